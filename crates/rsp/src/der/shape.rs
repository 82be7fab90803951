//! Structural descriptions of ASN.1 types, for displaying octets with the names of the standard
//! without requiring them to be valid.

use std::fmt;

use super::reader::MAX_DEPTH;
use super::{Asn1, Reader, Tag, tlv_bytes};

/// The structure of a type. It is generated from the same description as the codec.
#[derive(Clone, Copy)]
pub enum Shape {
    /// Octets that this crate does not interpret, or TLVs without a described type.
    Octets,
    /// A value that is displayed as one text. The function returns `None` if the contents are not a
    /// value of the type.
    Text(fn(&[u8]) -> Option<String>),
    /// Elements in a fixed order, any of which may be absent.
    Sequence(&'static [Field]),
    /// One of these alternatives.
    Choice(&'static [Field]),
    /// Any number of elements with this tag.
    SequenceOf(Tag, fn() -> Shape),
}

/// An element of a SEQUENCE, or an alternative of a CHOICE.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The name in Rust: `euicc_signed1` where the standard has `euiccSigned1`.
    pub name: &'static str,
    /// The tag; [`Tag::CHOICE`] for an untagged CHOICE.
    pub tag: Tag,
    /// The structure of the element.
    pub shape: fn() -> Shape,
}

impl Shape {
    /// The structure of a type that is displayed through its decoder and `Display`.
    pub fn displayed<T: Asn1 + fmt::Display>() -> Self {
        Self::Text(|contents| T::from_der(&tlv_bytes(T::TAG, contents)).ok().map(|value| value.to_string()))
    }

    /// The structure of a type that is displayed through its decoder and `Debug`.
    pub fn debugged<T: Asn1 + fmt::Debug>() -> Self {
        Self::Text(|contents| {
            T::from_der(&tlv_bytes(T::TAG, contents)).ok().map(|value| format!("{value:?}"))
        })
    }

    /// Describes the single TLV in `tlv` as far as its octets conform to the type. Elements nested
    /// deeper than the decoder allows are shown as octets.
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

    /// Describes the contents of a TLV. `depth` is the depth of the elements inside.
    fn show_contents(self, depth: u8, own: Tag, tag: Tag, tlv: &[u8], contents: &[u8]) -> Shown {
        match self {
            Self::Text(text) => text(contents).map_or_else(|| Shown::Octets(contents.to_vec()), Shown::Text),
            Self::Sequence(fields) => match super::tlv::each(contents) {
                Ok(elements) => Shown::Fields(in_order(depth, fields, &elements)),
                Err(_) => Shown::Octets(contents.to_vec()),
            },
            // An untagged CHOICE is the alternative itself; a tagged CHOICE contains it.
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

    /// True if a TLV with the tag `found` can have this structure when tagged `own`.
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
    /// The name in the spelling of the standard.
    pub fn standard_name(&self) -> String {
        standard_name(self.name)
    }

    /// True if the TLV can be this element.
    fn fits(&self, tlv: &[u8]) -> bool {
        first_tag(tlv).is_some_and(|tag| (self.shape)().fits(self.tag, tag))
    }
}

fn first_tag(tlv: &[u8]) -> Option<Tag> {
    Reader::new(tlv).peek().ok().flatten()
}

/// Assigns the elements of a SEQUENCE to fields. If a tag occurs more than once, each occurrence is
/// assigned to the next field with that tag.
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

/// Describes one TLV under its name in `fields`. An element that `fields` does not contain is named
/// by its tag.
fn named(depth: u8, fields: &[Field], tlv: &[u8]) -> (String, Shown) {
    match fields.iter().find(|field| field.fits(tlv)) {
        Some(field) => (field.standard_name(), (field.shape)().show_at(depth, field.tag, tlv)),
        None => {
            let tag = first_tag(tlv).unwrap_or(Tag::CHOICE);
            (format!("[{tag}]"), Shape::Octets.show_at(depth, tag, tlv))
        }
    }
}

/// Converts a Rust name to the spelling of the standard: `Iccid` and `euicc_signed1` become `iccid`
/// and `euiccSigned1`.
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

/// A description of octets for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Uninterpreted octets.
    Octets(Vec<u8>),
    /// A value as text.
    Text(String),
    /// Named elements in the order of the octets.
    Fields(Vec<(String, Shown)>),
    /// Unnamed elements.
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
    fn elements_are_named_as_in_the_standard() {
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
    fn unknown_elements_are_named_by_their_tags() {
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
    fn elements_nested_too_deeply_are_shown_as_octets() {
        // 64 KiB of SEQUENCEs, each the only element of the previous one.
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
