//! TLVs that a receiver finds by their tags: the templates of GlobalPlatform and of SGP.02.

use super::{DecodeError, Problem, Reader, Tag};
use crate::finding::{FindingKind, report};

/// The elements of a template. Each is taken once; the elements that nobody takes are unknown.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    /// The name of the template, for findings.
    of: &'static str,
    left: Vec<(Tag, Reader<'a>)>,
    /// The position after the last element, for errors.
    end: Reader<'a>,
}

impl<'a> Elements<'a> {
    /// Splits the remaining octets of `reader`, which are the contents of the template named `of`.
    ///
    /// # Errors
    /// The octets are not a sequence of TLVs.
    pub fn of(of: &'static str, mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        let mut left = Vec::new();
        while let Some(tag) = reader.peek()? {
            left.push((tag, reader.enter(tag)?));
        }
        Ok(Self { of, left, end: reader })
    }

    /// Splits the contents of the template `tag`, with which `octets` begin. Octets after the
    /// template are a finding.
    ///
    /// # Errors
    /// The octets do not begin with this template, or its contents are not a sequence of TLVs.
    pub fn within(of: &'static str, tag: Tag, octets: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(octets);
        let contents = reader.enter(tag)?;
        reader.report_trailing();
        Self::of(of, contents)
    }

    /// Removes and returns all elements with this tag, in their order.
    pub fn all(&mut self, tag: Tag) -> impl Iterator<Item = Reader<'a>> {
        self.left.extract_if(.., move |(found, _)| *found == tag).map(|(_, reader)| reader)
    }

    /// Removes and returns the element with one of these tags, if there is one.
    ///
    /// # Errors
    /// There are two.
    pub fn take(&mut self, tags: &[Tag]) -> Result<Option<Reader<'a>>, DecodeError> {
        let mut found = self.left.extract_if(.., |(tag, _)| tags.contains(tag)).map(|(_, reader)| reader);
        let Some(first) = found.next() else { return Ok(None) };
        match found.next() {
            Some(second) => Err(second.error(Problem::BadValue("this element occurs twice"))),
            None => Ok(Some(first)),
        }
    }

    /// Removes and decodes the element with this tag, if there is one.
    ///
    /// # Errors
    /// There are two, or `read` fails.
    pub fn optional<T>(
        &mut self,
        tag: Tag,
        read: impl FnOnce(Reader<'a>) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        self.take(&[tag])?.map(read).transpose().map_err(|e| e.within(&tag.to_string()))
    }

    /// Removes and returns the element with this tag.
    ///
    /// # Errors
    /// There is no such element, or there are two.
    pub fn require(&mut self, tag: Tag) -> Result<Reader<'a>, DecodeError> {
        let missing = self.end.error(Problem::Missing { expected: tag });
        self.take(&[tag])?.ok_or(missing)
    }

    /// Removes and returns the contents of the element with this tag.
    ///
    /// # Errors
    /// There is no such element, or there are two.
    pub fn contents(&mut self, tag: Tag) -> Result<&'a [u8], DecodeError> {
        Ok(self.require(tag)?.rest())
    }

    /// Removes and returns the contents of the element with one of these tags.
    ///
    /// # Errors
    /// There is no such element, or there are two.
    pub fn contents_of(&mut self, tags: &[Tag]) -> Result<&'a [u8], DecodeError> {
        let expected = tags.first().copied().unwrap_or(Tag::CHOICE);
        let missing = self.end.error(Problem::Missing { expected });
        self.take(tags)?.map(|reader| reader.rest()).ok_or(missing)
    }

    /// Removes and returns the element with this tag, whose contents have N octets.
    ///
    /// # Errors
    /// There is no such element, there are two, or the number of octets differs. `size` describes
    /// the required contents.
    pub fn array<const N: usize>(&mut self, tag: Tag, size: &'static str) -> Result<[u8; N], DecodeError> {
        let reader = self.require(tag)?;
        reader.rest().try_into().map_err(|_| reader.error(Problem::BadValue(size)))
    }

    /// Reports the elements that have not been taken.
    pub fn finish(self) {
        for (tag, reader) in self.left {
            report(FindingKind::UnknownElement, || {
                format!("{}: element {tag} at octet {}", self.of, reader.offset())
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Finding, collect};

    const OCTETS: [u8; 13] = [0xA6, 0x0A, 0x83, 0x01, 0x30, 0x9F, 0x7F, 0x01, 0x00, 0x91, 0x01, 0x07, 0x00];

    #[test]
    fn unknown_elements_and_octets_after_the_template_are_findings() {
        let (found, findings) = collect(|| {
            let mut elements = Elements::within("A6", Tag(0xA6), &OCTETS)?;
            let found = (elements.contents(Tag(0x91))?, elements.array(Tag(0x83), "one octet")?);
            elements.finish();
            Ok::<_, DecodeError>(found)
        });
        assert_eq!(found, Ok((&[7][..], [0x30])));
        let unknown = Finding::new(FindingKind::UnknownElement, "A6: element 9F7F at octet 8");
        assert_eq!(findings, [Finding::new(FindingKind::TrailingOctets, "1 octets"), unknown]);
    }

    #[test]
    fn missing_duplicated_and_short_elements_are_errors() {
        let mut elements = Elements::within("A6", Tag(0xA6), &OCTETS).unwrap();
        assert_eq!(
            elements.contents(Tag(0x95)).unwrap_err().problem,
            Problem::Missing { expected: Tag(0x95) }
        );
        assert!(elements.array::<2>(Tag(0x83), "two octets").is_err());
        let twice = Elements::of("twice", Reader::new(&[0x83, 0, 0x83, 0])).unwrap().take(&[Tag(0x83)]);
        assert_eq!(twice.unwrap_err().to_string(), "this element occurs twice (at octet 4)");
    }
}
