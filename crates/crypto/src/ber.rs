//! BER lengths, as in the TLVs of BSP, SCP03t and key establishment.

/// Encodes a BER length in its shortest form.
pub(crate) fn length(octets: usize) -> Vec<u8> {
    let significant: Vec<u8> = octets.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
    match (octets, significant.len()) {
        (0..0x80, _) => octets.to_be_bytes().last().copied().into_iter().collect(),
        // At most the eight octets of a usize.
        (_, count) => [&[0x80 | count as u8], significant.as_slice()].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_in_their_shortest_form() {
        for (octets, expected) in [
            (0, vec![0]),
            (0x7f, vec![0x7f]),
            (0x80, vec![0x81, 0x80]),
            (0xff, vec![0x81, 0xff]),
            (0x100, vec![0x82, 1, 0]),
            (0x1_0000, vec![0x83, 1, 0, 0]),
        ] {
            assert_eq!(length(octets), expected);
        }
    }
}
