//! Certificates that a card verifies: GlobalPlatform Amendments A and E, SGP.02 sections 2.3.2.2
//! and 4.1.3.1 (tables 77 and 78).
//!
//! `7F21 { 93 serial, 42 CA, 5F20 subject, 95 usage, [5F25 from], 5F24 to, 73 discretionary, 7F49
//! key, 5F37 signature }`, in this order. The CI signs the certificates of SM-DPs and SM-SRs, the
//! EUM signs the certificate of each ECASD. This module only decodes certificates; `certs::m2m`
//! verifies them.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    der::{DecodeError, Elements, Problem, Reader, Tag, tlv_bytes, usually, write_tlv},
    ids::Oid,
    time::Timestamp,
};

const CERTIFICATE: Tag = Tag(0x7F21);
const SERIAL_NUMBER: Tag = Tag(0x93);
const AUTHORITY: Tag = Tag(0x42);
const SUBJECT: Tag = Tag(0x5F20);
const KEY_USAGE: Tag = Tag(0x95);
const EFFECTIVE: Tag = Tag(0x5F25);
const EXPIRES: Tag = Tag(0x5F24);
const DISCRETIONARY: Tag = Tag(0x73);
const PUBLIC_KEY: Tag = Tag(0x7F49);
const POINT: Tag = Tag(0xB0);
const CURVE: Tag = Tag(0xF0);
const SIGNATURE: Tag = Tag(0x5F37);
const OWNER: Tag = Tag(0xC8);
const AUTHORITY_KEY: Tag = Tag(0xC9);

/// The elements of a certificate, each of which occurs at most once, in this order.
const ELEMENTS: [Tag; 9] =
    [SERIAL_NUMBER, AUTHORITY, SUBJECT, KEY_USAGE, EFFECTIVE, EXPIRES, DISCRETIONARY, PUBLIC_KEY, SIGNATURE];

/// The name of the type in findings.
const NAME: &str = "CardCertificate";

/// The key usage in a server's certificate, as both servers observed in the field encode it.
/// Readers ignore it.
pub const USAGE_OF_SERVERS: &[u8] = &[0x88];
/// The key usage in an ECASD's certificate: key agreement in GlobalPlatform's encoding. Not
/// verified against the text of the standard.
pub const USAGE_OF_ECASDS: &[u8] = &[0x00, 0x80];

/// The curve of a key: the parameter reference in `F0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CurveReference(pub u8);

impl CurveReference {
    /// NIST P-256.
    pub const P256: Self = Self(0x00);
    /// brainpoolP256r1.
    pub const BRAINPOOL_P256R1: Self = Self(0x03);
}

/// The kind of server that owns a certificate: tag C8 of the discretionary data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Owner {
    /// An SM-DP.
    SmDp,
    /// An SM-SR.
    SmSr,
}

impl Owner {
    const fn code(self) -> u8 {
        match self {
            Self::SmDp => 0x01,
            Self::SmSr => 0x02,
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SmDp => "SM-DP",
            Self::SmSr => "SM-SR",
        })
    }
}

/// A date in decimal digits: `20491231`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day([u8; 4]);

impl Day {
    /// Returns the UTC date of a point in time, or `None` outside the years 0 to 9999.
    pub fn of(time: Timestamp) -> Option<Self> {
        let digits: String = time.to_string().chars().take(10).filter(char::is_ascii_digit).collect();
        let mut octets = [0; 4];
        hex::decode_to_slice(digits, &mut octets).ok()?;
        Some(Self(octets))
    }

    fn read(octets: &[u8]) -> Option<Self> {
        let decimal = octets.iter().all(|octet| octet >> 4 <= 9 && octet & 0x0F <= 9);
        octets.try_into().ok().filter(|_| decimal).map(Self)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [century, year, month, day] = self.0;
        write!(f, "{century:02x}{year:02x}-{month:02x}-{day:02x}")
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Day({self})")
    }
}

/// The contents of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The serial number, 1 to 16 octets.
    pub serial_number: Vec<u8>,
    /// The issuer, 1 to 16 octets.
    pub authority: Vec<u8>,
    /// The subject: the contents of an OID for a server, the EID for an ECASD.
    pub subject: Vec<u8>,
    /// The key usage.
    pub key_usage: Vec<u8>,
    /// The first day of validity.
    pub effective: Option<Day>,
    /// The last day of validity.
    pub expires: Day,
    /// The kind of server; absent for an ECASD.
    pub owner: Option<Owner>,
    /// The identifier of the issuer's signing key, since version 4.
    pub authority_key: Option<Vec<u8>>,
    /// The public key, 04 || X || Y.
    pub point: Vec<u8>,
    /// The curve of the public key.
    pub curve: CurveReference,
}

impl Contents {
    /// Encodes the signed part of the certificate.
    pub fn to_be_signed(&self) -> Vec<u8> {
        let mut discretionary = Vec::new();
        if let Some(owner) = self.owner {
            write_tlv(OWNER, &[owner.code()], &mut discretionary);
        }
        if let Some(key) = &self.authority_key {
            write_tlv(AUTHORITY_KEY, key, &mut discretionary);
        }
        let key = [tlv_bytes(POINT, &self.point), tlv_bytes(CURVE, &[self.curve.0])].concat();
        let mut out = Vec::new();
        write_tlv(SERIAL_NUMBER, &self.serial_number, &mut out);
        write_tlv(AUTHORITY, &self.authority, &mut out);
        write_tlv(SUBJECT, &self.subject, &mut out);
        write_tlv(KEY_USAGE, &self.key_usage, &mut out);
        if let Some(day) = self.effective {
            write_tlv(EFFECTIVE, &day.0, &mut out);
        }
        write_tlv(EXPIRES, &self.expires.0, &mut out);
        write_tlv(DISCRETIONARY, &discretionary, &mut out);
        write_tlv(PUBLIC_KEY, &key, &mut out);
        out
    }

    /// Encodes the whole certificate with the signature r || s over [`Self::to_be_signed`].
    pub fn signed(&self, signature: &[u8]) -> Vec<u8> {
        let mut contents = self.to_be_signed();
        write_tlv(SIGNATURE, signature, &mut contents);
        tlv_bytes(CERTIFICATE, &contents)
    }
}

/// A well-formed certificate: its octets and its contents. The contents must not be trusted before
/// the certificate has been verified.
#[derive(Clone, PartialEq, Eq)]
pub struct CardCertificate {
    octets: Vec<u8>,
    covered: Range<usize>,
    contents: Contents,
    signature: Vec<u8>,
}

impl CardCertificate {
    /// Decodes the whole TLV 7F21.
    ///
    /// # Errors
    /// The octets are not a certificate, an element is missing, duplicated or out of order, or an
    /// element has an invalid value.
    pub fn parse(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut outer = Reader::new(octets);
        let mut reader = outer.enter(CERTIFICATE)?;
        outer.report_trailing();
        let begin = reader.offset();
        let serial_number = identifier(&mut reader, SERIAL_NUMBER)?;
        let authority = identifier(&mut reader, AUTHORITY)?;
        let subject = identifier(&mut reader, SUBJECT)?;
        let key_usage = element(&mut reader, KEY_USAGE)?.rest().to_vec();
        usually(&key_usage, USAGE_OF_ECASDS.len(), "CardCertificate.key_usage");
        reader.skip_up_to(NAME, &ELEMENTS)?;
        let effective = match reader.peek()? {
            Some(EFFECTIVE) => Some(day(&mut reader, EFFECTIVE)?),
            _ => None,
        };
        let expires = day(&mut reader, EXPIRES)?;
        let (owner, authority_key) = discretionary(element(&mut reader, DISCRETIONARY)?)?;
        let (point, curve) = public_key(element(&mut reader, PUBLIC_KEY)?)?;
        reader.skip_up_to(NAME, &ELEMENTS)?;
        let covered = begin..reader.offset();
        let signature = reader.contents(SIGNATURE)?.to_vec();
        reader.skip_up_to(NAME, &ELEMENTS)?;
        reader.finish()?;
        let contents = Contents {
            serial_number,
            authority,
            subject,
            key_usage,
            effective,
            expires,
            owner,
            authority_key,
            point,
            curve,
        };
        let octets = octets.get(..outer.offset()).unwrap_or_default().to_vec();
        Ok(Self { octets, covered, contents, signature })
    }

    /// Returns the octets as received.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Returns the signed octets as received.
    pub fn covered(&self) -> &[u8] {
        self.octets.get(self.covered.clone()).unwrap_or_default()
    }

    /// Returns the contents.
    pub const fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Returns the signature r || s.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Returns the subject if it is an OID.
    pub fn oid(&self) -> Option<Oid> {
        Oid::from_der_contents(&self.contents.subject).ok()
    }
}

impl fmt::Debug for CardCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CardCertificate({})", hex::encode_upper(&self.octets))
    }
}

impl Serialize for CardCertificate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode_upper(&self.octets))
    }
}

impl<'de> Deserialize<'de> for CardCertificate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let octets = hex::decode(String::deserialize(deserializer)?).map_err(de::Error::custom)?;
        Self::parse(&octets).map_err(de::Error::custom)
    }
}

/// Returns the next element that is not unknown, which must have this tag.
fn element<'a>(reader: &mut Reader<'a>, tag: Tag) -> Result<Reader<'a>, DecodeError> {
    reader.skip_up_to(NAME, &ELEMENTS)?;
    reader.enter(tag)
}

fn identifier(reader: &mut Reader<'_>, tag: Tag) -> Result<Vec<u8>, DecodeError> {
    let bad = reader.error(Problem::BadValue("an identifier in a certificate has 1 to 16 octets"));
    let octets = element(reader, tag)?.rest();
    if (1..=16).contains(&octets.len()) { Ok(octets.to_vec()) } else { Err(bad) }
}

fn day(reader: &mut Reader<'_>, tag: Tag) -> Result<Day, DecodeError> {
    let bad = reader.error(Problem::BadValue("a date must be eight decimal digits in four octets"));
    Day::read(element(reader, tag)?.rest()).ok_or(bad)
}

fn discretionary(contents: Reader<'_>) -> Result<(Option<Owner>, Option<Vec<u8>>), DecodeError> {
    let mut elements = Elements::of("CardCertificate.discretionary", contents)?;
    let owner = elements.optional(OWNER, |it| match it.rest() {
        [0x01] => Ok(Owner::SmDp),
        [0x02] => Ok(Owner::SmSr),
        _ => Err(it.error(Problem::BadValue("the kind of server must be 01 (SM-DP) or 02 (SM-SR)"))),
    })?;
    let authority_key = elements.take(&[AUTHORITY_KEY])?.map(|key| key.rest().to_vec());
    usually(&authority_key, 20, "CardCertificate.authority_key");
    elements.finish();
    Ok((owner, authority_key))
}

fn public_key(contents: Reader<'_>) -> Result<(Vec<u8>, CurveReference), DecodeError> {
    let mut elements = Elements::of("CardCertificate.public_key", contents)?;
    let point = elements.contents(POINT)?.to_vec();
    let [curve] = elements.array(CURVE, "the parameter reference has one octet")?;
    elements.finish();
    Ok((point, CurveReference(curve)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents() -> Contents {
        Contents {
            serial_number: vec![2],
            authority: vec![2],
            subject: vec![2],
            key_usage: USAGE_OF_SERVERS.to_vec(),
            effective: None,
            expires: Day::of("2145-01-01T12:00:00Z".parse().unwrap()).unwrap(),
            owner: Some(Owner::SmDp),
            authority_key: None,
            point: [vec![4], vec![0x11; 64]].concat(),
            curve: CurveReference::P256,
        }
    }

    /// The form of a test certificate observed in the field: one-octet identifiers, no first day of
    /// validity.
    #[test]
    fn a_server_certificate_is_encoded_and_decoded() {
        let octets = contents().signed(&[0x33; 64]);
        let expected = format!(
            "7F2181A5 930102 420102 5F200102 950188 5F240421450101 7303C80101 7F4946B04104{}F00100 5F3740{}",
            "11".repeat(64),
            "33".repeat(64)
        );
        assert_eq!(hex::encode_upper(&octets), expected.replace(' ', ""));
        let read = CardCertificate::parse(&octets).unwrap();
        assert_eq!(read.contents(), &contents());
        assert_eq!(
            (read.covered(), read.signature()),
            (contents().to_be_signed().as_slice(), &[0x33; 64][..])
        );
        assert_eq!(read.octets(), octets);
        let text = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<CardCertificate>(&text).unwrap(), read);
    }

    #[test]
    fn optional_elements_are_encoded_and_decoded() {
        let whole = Contents {
            subject: "2.999.10".parse::<Oid>().unwrap().der_contents().to_vec(),
            effective: Day::of("2020-02-29T23:59:59Z".parse().unwrap()),
            authority_key: Some(vec![7; 20]),
            owner: None,
            ..contents()
        };
        let read = CardCertificate::parse(&whole.signed(&[1; 64])).unwrap();
        assert_eq!(read.contents(), &whole);
        assert_eq!(read.oid(), "2.999.10".parse().ok());
        assert_eq!(whole.effective.map(|day| day.to_string()), Some("2020-02-29".to_owned()));
    }

    #[test]
    fn invalid_certificates_are_refused() {
        let octets = contents().signed(&[0x33; 64]);
        for cut in 0..octets.len() {
            assert!(CardCertificate::parse(&octets[..cut]).is_err(), "{cut}");
        }
        let broken = |change: fn(&mut Contents)| {
            let mut contents = contents();
            change(&mut contents);
            CardCertificate::parse(&contents.signed(&[0x33; 64])).unwrap_err().to_string()
        };
        assert_eq!(
            broken(|contents| contents.subject = vec![1; 17]),
            "an identifier in a certificate has 1 to 16 octets (at octet 10)"
        );
        assert!(broken(|contents| contents.serial_number.clear()).contains("identifier"));
        assert!(
            broken(|contents| contents.expires = Day([0x20, 0x4A, 1, 1])).contains("eight decimal digits")
        );
        // Elements out of order and duplicated.
        for (from, to) in [("930102420102", "420102930102"), ("930102", "930102930102")] {
            let altered = hex::encode(contents().to_be_signed()).replacen(from, to, 1);
            let mut inner = hex::decode(altered).unwrap();
            write_tlv(SIGNATURE, &[0x33; 64], &mut inner);
            assert!(CardCertificate::parse(&tlv_bytes(CERTIFICATE, &inner)).is_err(), "{to}");
        }
    }
}
