//! What a type looks like on the wire, for those who show octets under the standard's names without relying on them.

use std::fmt;

use super::reader::MAX_DEPTH;
use super::{Asn1, Reader, Tag, tlv_bytes};

/// The shape of a type; it follows from the same description as the codec.
#[derive(Clone, Copy)]
pub enum Shape {
    /// Octets whose meaning is somebody else's, or TLVs that no type describes.
    Octets,
    /// A value that is written as one text; `None` when the contents are not one of its kind.
    Text(fn(&[u8]) -> Option<String>),
    /// The elements in their order, any of which may be absent.
    Sequence(&'static [Field]),
    /// One of these.
    Choice(&'static [Field]),
    /// Any number of elements with that tag.
    SequenceOf(Tag, fn() -> Shape),
}

/// An element of a SEQUENCE, or an alternative of a CHOICE.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in Rust: `euicc_signed1` where the standard has `euiccSigned1`.
    pub name: &'static str,
    /// Its tag; [`Tag::CHOICE`] for an untagged CHOICE.
    pub tag: Tag,
    /// What is under the tag.
    pub shape: fn() -> Shape,
}

impl Shape {
    /// The contents of a type that decodes and displays itself.
    pub fn displayed<T: Asn1 + fmt::Display>() -> Self {
        Self::Text(|contents| T::from_der(&tlv_bytes(T::TAG, contents)).ok().map(|value| value.to_string()))
    }

    /// The same for a type that has a `Debug` only.
    pub fn debugged<T: Asn1 + fmt::Debug>() -> Self {
        Self::Text(|contents| {
            T::from_der(&tlv_bytes(T::TAG, contents)).ok().map(|value| format!("{value:?}"))
        })
    }

    /// Shows the TLV that `tlv` is: what it is, as far as its octets are what the type says. What is nested deeper than
    /// a codec reads is shown as octets.
    pub fn show(self, own: Tag, tlv: &[u8]) -> Shown {
        self.show_at(0, own, tlv)
    }

    fn show_at(self, depth: u8, own: Tag, tlv: &[u8]) -> Shown {
        let mut reader = Reader::new(tlv);
        match reader.tlv() {
            Ok((_, contents)) if reader.is_empty() && depth >= MAX_DEPTH => Shown::Octets(contents.to_vec()),
            Ok((tag, contents)) if reader.is_empty() => {
                self.show_contents(depth.saturating_add(1), own, tag, tlv, contents)
            }
            _ => Shown::Octets(tlv.to_vec()),
        }
    }

    /// `depth` is that of the elements.
    fn show_contents(self, depth: u8, own: Tag, tag: Tag, tlv: &[u8], contents: &[u8]) -> Shown {
        match self {
            Self::Text(text) => text(contents).map_or_else(|| Shown::Octets(contents.to_vec()), Shown::Text),
            Self::Sequence(fields) => match super::tlv::each(contents) {
                Ok(elements) => Shown::Fields(in_order(depth, fields, &elements)),
                Err(_) => Shown::Octets(contents.to_vec()),
            },
            // Untagged, the alternative stands here itself; tagged, it stands inside.
            Self::Choice(fields) => {
                Shown::Fields(vec![named(depth, fields, if own == Tag::CHOICE { tlv } else { contents })])
            }
            Self::SequenceOf(of, shape) => match super::tlv::each(contents) {
                Ok(elements) => {
                    Shown::List(elements.into_iter().map(|each| shape().show_at(depth, of, each)).collect())
                }
                Err(_) => Shown::Octets(contents.to_vec()),
            },
            Self::Octets if tag.is_constructed() && !contents.is_empty() => {
                match super::tlv::each(contents) {
                    Ok(elements) => {
                        Shown::Fields(elements.into_iter().map(|each| named(depth, &[], each)).collect())
                    }
                    Err(_) => Shown::Octets(contents.to_vec()),
                }
            }
            Self::Octets => Shown::Octets(contents.to_vec()),
        }
    }

    /// Whether a TLV with this tag may be one of this shape under `own`.
    fn fits(self, own: Tag, found: Tag) -> bool {
        match self {
            Self::Choice(fields) if own == Tag::CHOICE => {
                fields.iter().any(|field| (field.shape)().fits(field.tag, found))
            }
            _ => own == found,
        }
    }
}

impl Field {
    /// Whether the TLV may be this element.
    fn fits(&self, tlv: &[u8]) -> bool {
        first_tag(tlv).is_some_and(|tag| (self.shape)().fits(self.tag, tag))
    }
}

fn first_tag(tlv: &[u8]) -> Option<Tag> {
    Reader::new(tlv).peek().ok().flatten()
}

/// The elements of a SEQUENCE: a tag that comes more than once stands for one field after the other.
fn in_order(depth: u8, fields: &[Field], elements: &[&[u8]]) -> Vec<(String, Shown)> {
    let mut left = fields;
    let mut shown = Vec::new();
    for element in elements {
        shown.push(named(depth, left, element));
        let found = left.iter().position(|field| field.fits(element));
        left = found.and_then(|at| left.get(at + 1..)).unwrap_or(left);
    }
    shown
}

/// One TLV under the name that `fields` have for it; an element that they do not know is named by its tag.
fn named(depth: u8, fields: &[Field], tlv: &[u8]) -> (String, Shown) {
    match fields.iter().find(|field| field.fits(tlv)) {
        Some(field) => (standard_name(field.name), (field.shape)().show_at(depth, field.tag, tlv)),
        None => {
            let tag = first_tag(tlv).unwrap_or(Tag::CHOICE);
            (format!("[{tag}]"), Shape::Octets.show_at(depth, tag, tlv))
        }
    }
}

/// The standard's spelling of a name in Rust: `Iccid` and `euicc_signed1` become `iccid` and `euiccSigned1`.
fn standard_name(name: &str) -> String {
    let mut standard = String::with_capacity(name.len());
    let mut capital = false;
    for letter in name.chars() {
        match letter {
            '_' => capital = true,
            letter if capital => {
                standard.extend(letter.to_uppercase());
                capital = false;
            }
            letter if standard.is_empty() => standard.extend(letter.to_lowercase()),
            letter => standard.push(letter),
        }
    }
    standard
}

/// Octets as they are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// As they are.
    Octets(Vec<u8>),
    /// A value.
    Text(String),
    /// Elements with their names, in the order of the octets.
    Fields(Vec<(String, Shown)>),
    /// Elements without names.
    List(Vec<Shown>),
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Octets => "Octets",
            Self::Text(_) => "Text",
            Self::Sequence(_) => "Sequence",
            Self::Choice(_) => "Choice",
            Self::SequenceOf(..) => "SequenceOf",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sgp22::es10b::{AuthenticateServerResponse, RetrieveNotificationsListRequest};
    use crate::sgp22::es10c::{EnableProfileRequest, EnableProfileResponse};

    fn show<T: Asn1>(octets: &str) -> Shown {
        T::shape().show(T::TAG, &hex::decode(octets).unwrap())
    }

    fn text(text: &str) -> Shown {
        Shown::Text(text.to_owned())
    }

    #[test]
    fn elements_have_the_names_of_the_standard() {
        assert_eq!(
            show::<EnableProfileRequest>("BF3111A00C5A0A989209012143658709F18101FF"),
            Shown::Fields(vec![
                (
                    "profileIdentifier".to_owned(),
                    Shown::Fields(vec![("iccid".to_owned(), text("8929901012345678901"))])
                ),
                ("refreshFlag".to_owned(), text("true")),
            ])
        );
        assert_eq!(
            show::<EnableProfileResponse>("BF3103800102"),
            Shown::Fields(vec![("enableResult".to_owned(), text("profile-not-in-disabled-state(2)"))])
        );
        assert_eq!(
            show::<RetrieveNotificationsListRequest>("BF2B05A003800107"),
            Shown::Fields(vec![(
                "searchCriteria".to_owned(),
                Shown::Fields(vec![("seqNumber".to_owned(), text("7"))])
            )])
        );
    }

    #[test]
    fn what_is_not_described_is_shown_by_its_tag() {
        assert_eq!(
            show::<EnableProfileResponse>("BF31078001000902CAFE"),
            Shown::Fields(vec![
                ("enableResult".to_owned(), text("ok(0)")),
                ("[09]".to_owned(), Shown::Octets(vec![0xCA, 0xFE])),
            ])
        );
        assert_eq!(
            show::<AuthenticateServerResponse>("BF3805A103800101"),
            Shown::Fields(vec![(
                "authenticateResponseError".to_owned(),
                Shown::Fields(vec![("transactionId".to_owned(), text("01"))])
            )])
        );
        let broken = "BF310480010002";
        assert_eq!(show::<EnableProfileResponse>(broken), Shown::Octets(hex::decode("80010002").unwrap()));
        assert_eq!(show::<EnableProfileResponse>("BF31"), Shown::Octets(vec![0xBF, 0x31]));
    }

    #[test]
    fn what_is_nested_too_deep_is_shown_as_octets() {
        // 64 KiB of SEQUENCEs, each the only element of the one before.
        let mut nested = Vec::new();
        for left in (256..=u16::MAX - 4).rev().step_by(4) {
            nested.extend([[0x30, 0x82], left.to_be_bytes()].concat());
        }
        nested.resize(usize::from(u16::MAX), 0);
        let mut shown = &Shape::Octets.show(Tag::SEQUENCE, &nested);
        let mut depth = 0;
        while let Shown::Fields(fields) = shown {
            let [(_, inside)] = &fields[..] else { panic!("{fields:?}") };
            (shown, depth) = (inside, depth + 1);
        }
        assert_eq!(depth, MAX_DEPTH);
        let headers = 4 * (usize::from(MAX_DEPTH) + 1);
        assert_eq!(*shown, Shown::Octets(nested[headers..].to_vec()));
    }
}
