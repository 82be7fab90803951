//! TLVs that end in a MAC of eight octets, as in BSP and SCP03t.

use crate::aes_key::MAC_LENGTH;
use crate::ber;

/// A protected TLV split into its parts.
pub(crate) struct ProtectedTlv<'a> {
    pub(crate) tag: u8,
    /// The TLV without the MAC: the octets that the MAC covers.
    pub(crate) maced: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) mac: &'a [u8],
}

impl<'a> ProtectedTlv<'a> {
    /// Splits a TLV. Fails with the reason if the octets are not a single TLV with a MAC.
    pub(crate) fn split(tlv: &'a [u8]) -> Result<Self, &'static str> {
        let (tag, value) = match *tlv {
            [tag, l, ref value @ ..] if l < 0x80 && value.len() == usize::from(l) => (tag, value),
            [tag, 0x81, l, ref value @ ..] if l >= 0x80 && value.len() == usize::from(l) => (tag, value),
            [tag, 0x82, l1, l2, ref value @ ..]
                if l1 != 0 && value.len() == usize::from(u16::from_be_bytes([l1, l2])) =>
            {
                (tag, value)
            }
            _ => return Err("the length of the TLV is wrong or not in its shortest form"),
        };
        let without_mac = |octets: &'a [u8]| octets.split_at_checked(octets.len().checked_sub(MAC_LENGTH)?);
        let (payload, mac) = without_mac(value).ok_or("too short for a MAC")?;
        let (maced, _) = without_mac(tlv).ok_or("too short for a MAC")?;
        Ok(Self { tag, maced, payload, mac })
    }
}

/// Returns the octets that the MAC covers: the tag, the length of the finished TLV, and the
/// payload.
pub(crate) fn without_mac(tag: u8, payload: &[u8]) -> Vec<u8> {
    let mut tlv = vec![tag];
    tlv.extend(ber::length(payload.len().saturating_add(MAC_LENGTH)));
    tlv.extend_from_slice(payload);
    tlv
}
