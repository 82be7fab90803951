//! The identifiers in DER.

use super::{Aid, CertificateDer, Eid, Iccid, Oid, SubjectKeyIdentifier, TransactionId, Version};
use crate::der::{Asn1, DecodeError, Problem, Reader, Shape, Tag, tlv, tlv_bytes, write_tlv};
use crate::finding::{FindingKind, report};

impl Asn1 for Oid {
    const TAG: Tag = Tag::OBJECT_IDENTIFIER;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        write_tlv(tag, &self.0, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bad = reader.error(Problem::BadValue("the octets are not an OBJECT IDENTIFIER"));
        Self::from_der_contents(reader.contents(tag)?).map_err(|_| bad)
    }

    fn shape() -> Shape {
        Shape::displayed::<Self>()
    }
}

impl Asn1 for SubjectKeyIdentifier {
    const TAG: Tag = Tag::OCTET_STRING;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        self.0.encode_as(tag, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Vec::decode_as(tag, reader).map(Self)
    }

    fn shape() -> Shape {
        Shape::displayed::<Self>()
    }
}

impl Aid {
    /// Takes the AID from a message. An AID of fewer than 5 or more than 16 octets is a finding.
    pub fn of_peer(octets: &[u8]) -> Self {
        if !(5..=16).contains(&octets.len()) {
            report(FindingKind::LongValue, || format!("AID: {} octets, usually 5 to 16", octets.len()));
        }
        Self(octets.to_vec())
    }
}

impl Asn1 for Aid {
    const TAG: Tag = Tag::OCTET_STRING;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        self.0.encode_as(tag, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Vec::decode_as(tag, reader).map(|octets: Vec<u8>| Self::of_peer(&octets))
    }

    fn shape() -> Shape {
        Shape::displayed::<Self>()
    }
}

impl Asn1 for TransactionId {
    const TAG: Tag = Tag::OCTET_STRING;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        self.0.encode_as(tag, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bad = reader.error(Problem::BadValue("a TransactionID has 1 to 16 octets"));
        let octets = reader.contents(tag)?;
        if (1..=16).contains(&octets.len()) { Ok(Self(octets.to_vec())) } else { Err(bad) }
    }

    fn shape() -> Shape {
        Shape::displayed::<Self>()
    }
}

/// The ICCID of a third-party card can have any octets. One without 18 to 20 decimal digits is a
/// finding; a shorter one is padded with F.
impl Asn1 for Iccid {
    const TAG: Tag = Tag(0x5A);

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        self.0.encode_as(tag, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bad = reader.error(Problem::BadValue("an ICCID has 10 octets"));
        let contents = reader.contents(tag)?;
        let mut octets = [0xFF; 10];
        match octets.get_mut(..contents.len()) {
            Some(start @ [_, ..]) => start.copy_from_slice(contents),
            _ => return Err(bad),
        }
        let iccid = Self(octets);
        if contents.len() != 10 || iccid.to_string().parse() != Ok(iccid) {
            report(FindingKind::IccidCoding, || hex::encode_upper(contents));
        }
        Ok(iccid)
    }

    fn shape() -> Shape {
        Shape::displayed::<Self>()
    }
}

impl Asn1 for Eid {
    const TAG: Tag = Tag(0x5A);

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        self.0.encode_as(tag, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let eid = <[u8; 16]>::decode_as(tag, reader).map(Self)?;
        if eid.to_string().parse() != Ok(eid) {
            report(FindingKind::EidCoding, || eid.to_string());
        }
        Ok(eid)
    }

    fn shape() -> Shape {
        Shape::displayed::<Self>()
    }
}

/// A version that does not have three octets is a finding. Further octets are ignored, and
/// missing ones are 0.
impl Asn1 for Version {
    const TAG: Tag = Tag::OCTET_STRING;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        self.0.encode_as(tag, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let contents = reader.contents(tag)?;
        if contents.len() != 3 {
            report(FindingKind::VersionForm, || hex::encode_upper(contents));
        }
        let octet = |index| contents.get(index).copied().unwrap_or(0);
        Ok(Self([octet(0), octet(1), octet(2)]))
    }

    fn shape() -> Shape {
        Shape::displayed::<Self>()
    }
}

impl Asn1 for CertificateDer {
    const TAG: Tag = Tag::SEQUENCE;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        match tlv::split(&self.0) {
            Some((own, contents)) if own != tag => write_tlv(tag, contents, out),
            _ => out.extend_from_slice(&self.0),
        }
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        sequence_under(tag, reader).map(Self)
    }

    fn shape() -> Shape {
        Shape::Text(|contents| {
            Some(format!("certificate of {} octets", tlv_bytes(Tag::SEQUENCE, contents).len()))
        })
    }
}

/// Decodes a SEQUENCE whose tag may be replaced by `tag`, and returns it with its own tag. A SEQUENCE
/// inside the tag is a finding. This is unambiguous for a type of several elements, such as a
/// certificate or a public key.
pub(crate) fn sequence_under(tag: Tag, reader: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    let contents = reader.contents(tag)?;
    if tag != Tag::SEQUENCE && matches!(tlv::split(contents), Some((Tag::SEQUENCE, _))) {
        report(FindingKind::NestedSequence, || format!("tag {tag}"));
        return Ok(contents.to_vec());
    }
    Ok(tlv_bytes(Tag::SEQUENCE, contents))
}
