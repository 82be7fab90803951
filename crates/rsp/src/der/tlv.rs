//! Functions on TLVs of unknown type: for segmenting a Bound Profile Package, for traces, and for
//! finding one element.

use super::{DecodeError, Reader, Tag};

/// Returns tag and contents of `bytes` if it is a single TLV, otherwise `None`.
pub fn split(bytes: &[u8]) -> Option<(Tag, &[u8])> {
    let mut reader = Reader::new(bytes);
    let found = reader.tlv().ok()?;
    reader.is_empty().then_some(found)
}

/// Returns the first whole TLV with tag `tag` among the TLVs in `contents`.
///
/// # Errors
/// `contents` up to that element is not a sequence of DER TLVs.
pub fn find(contents: &[u8], tag: Tag) -> Result<Option<&[u8]>, DecodeError> {
    let mut reader = Reader::new(contents);
    while let Some(next) = reader.peek()? {
        let whole = reader.whole_tlv()?;
        if next == tag {
            return Ok(Some(whole));
        }
    }
    Ok(None)
}

/// Returns all TLVs in `contents`, each including its header.
///
/// # Errors
/// `contents` is not a sequence of DER TLVs.
pub fn each(contents: &[u8]) -> Result<Vec<&[u8]>, DecodeError> {
    let mut reader = Reader::new(contents);
    let mut found = Vec::new();
    while !reader.is_empty() {
        found.push(reader.whole_tlv()?);
    }
    Ok(found)
}

/// Returns the length of the TLV at the start of `bytes` according to its header, including the
/// header. Returns `None` while the header is incomplete.
///
/// # Errors
/// The header is not DER.
pub fn announced_length(bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
    let mut reader = Reader::new(bytes);
    match reader.header() {
        Ok((_, length)) => Ok(Some(reader.offset().saturating_add(length))),
        Err(e) if e.problem == super::Problem::Truncated => Ok(None),
        Err(e) => Err(e),
    }
}
