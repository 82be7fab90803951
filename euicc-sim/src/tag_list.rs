//! Tag lists: tag 5C of GlobalPlatform and SGP.22.

use rsp::der::{Reader, Tag};

/// Parses a list of tags without lengths; `None` if a tag is malformed or incomplete.
pub(crate) fn tags(list: &[u8]) -> Option<Vec<Tag>> {
    let mut rest = list;
    let mut tags = Vec::new();
    while !rest.is_empty() {
        let tag = Reader::new(rest).peek().ok()??;
        let mut written = Vec::new();
        tag.write(&mut written);
        rest = rest.get(written.len()..)?;
        tags.push(tag);
    }
    Some(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_list_is_a_sequence_of_tags_without_lengths() {
        assert_eq!(tags(&[0x5A, 0x9F, 0x70, 0x4F]), Some(vec![Tag(0x5A), Tag(0x9F70), Tag(0x4F)]));
        assert_eq!(tags(&[0xBF, 0x22]), Some(vec![Tag(0xBF22)]));
        assert_eq!(tags(&[0x5A, 0x9F]), None);
        assert_eq!(tags(&[0x9F, 0x80]), None);
    }
}
