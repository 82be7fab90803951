//! Comparison of secrets in constant time.

use elliptic_curve::subtle::ConstantTimeEq;

/// True if two octet strings are equal. The time depends only on their lengths.
#[must_use]
pub fn is_equal(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_equal_octets_compare_equal() {
        assert!(is_equal(&[1, 2], &[1, 2]) && !is_equal(&[1, 2], &[1, 3]) && !is_equal(&[1], &[1, 2]));
    }
}
