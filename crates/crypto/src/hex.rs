//! Hexadecimal decoding for test vectors.

/// Decodes hexadecimal digits.
pub(crate) fn unhex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2), "odd number of hexadecimal digits: {digits}");
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("a hexadecimal digit"))
        .collect()
}

/// Decodes hexadecimal digits into an array.
pub(crate) fn unhex_array<const N: usize>(digits: &str) -> [u8; N] {
    unhex(digits).try_into().expect("the length of the array")
}
