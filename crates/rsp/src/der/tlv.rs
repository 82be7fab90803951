//! Looking at TLVs without knowing their type: for cutting a Bound Profile Package, for traces, for finding one element.

use super::{DecodeError, Reader, Tag};

/// Tag and contents of the single TLV that `bytes` is; `None` when it is anything else.
pub fn split(bytes: &[u8]) -> Option<(Tag, &[u8])> {
    let mut reader = Reader::new(bytes);
    let found = reader.tlv().ok()?;
    reader.is_empty().then_some(found)
}

/// The first element with `tag` among the TLVs in `contents`, whole.
///
/// # Errors
/// `contents` is not a run of DER TLVs up to there.
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

/// Every TLV in `contents`, each whole, header included.
///
/// # Errors
/// `contents` is not a run of DER TLVs.
pub fn each(contents: &[u8]) -> Result<Vec<&[u8]>, DecodeError> {
    let mut reader = Reader::new(contents);
    let mut found = Vec::new();
    while !reader.is_empty() {
        found.push(reader.whole_tlv()?);
    }
    Ok(found)
}

/// How long the TLV at the start of `bytes` says it is, header included; `None` while its header is incomplete.
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
