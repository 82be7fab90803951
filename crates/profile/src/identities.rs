//! Several identities in one profile: the file that contains them, and the applet that selects one
//! by country.
//!
//! Neither is standardised; both are specific to this project. The applet has no bytecode:
//! [`PACKAGE`] names a function built into the card, and a card without it refuses the profile
//! (eUICC-Mandatory-AIDs). EF.IDENTITIES is the transparent file 6F1D in the directory 7F4D of the
//! MF. Its contents are DER objects: one object with tag A0 for each identity. A0 contains:
//!
//! | tag | contents |
//! |---|---|
//! | 80 | country codes (MCC) as in TS 24.008 section 10.5.1.13; absent in the default identity |
//! | 81 | EF.IMSI, nine bytes |
//! | 82, 83 | K; OPc or TOPc. Absent if the identity uses the keys of PE-AKAParameter |
//! | A4 | one for each file that is rewritten when the identity is selected: 80 path, 81 contents |
//!
//! The default identity is used in all countries that no other identity lists. The contents are
//! padded with FF. In a file with records, only the first record is rewritten.

use std::fmt;

use rsp::der::{Asn1, DecodeError, Problem, Reader, Tag, write_tlv};
use rsp::ids::{Imsi, Mcc};

use crate::element::Application;
use crate::files::{FileIndex, ProfileFiles};
use crate::octets::{Fid, Octets, SecretOctets};

/// The AID of the applet's package. `CLASS` and `INSTANCE` are the AIDs of its class and of its
/// instance in a profile. All three have the category of unregistered providers (ISO/IEC 7816-5
/// section 8.2.2).
pub const PACKAGE: [u8; 11] = *b"\xF0LandfallMI";
pub(crate) const CLASS: [u8; 12] = *b"\xF0LandfallMI\x01";
pub(crate) const INSTANCE: [u8; 13] = *b"\xF0LandfallMI\x01\x01";

/// The location of EF.IDENTITIES: a directory and a file in the range for administrative use.
pub(crate) const PATH: [Fid; 2] = [Fid(0x7F4D), Fid(0x6F1D)];

const IDENTITY: Tag = Tag(0xA0);
const COUNTRIES: Tag = Tag(0x80);
const IMSI: Tag = Tag(0x81);
const KEY: Tag = Tag(0x82);
const OPC: Tag = Tag(0x83);
const FILE: Tag = Tag(0xA4);
const FILE_PATH: Tag = Tag(0x80);
const FILE_CONTENTS: Tag = Tag(0x81);

/// The contents of EF.IDENTITIES.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identities(pub Vec<Identity>);

/// An identity: the subscription that is used in certain countries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its countries; empty for the identity that is used everywhere else.
    pub countries: Vec<Mcc>,
    /// Its IMSI.
    pub imsi: Imsi,
    /// K, and OPc or TOPc; `None` if the identity uses the keys of the profile.
    pub keys: Option<(SecretOctets, SecretOctets)>,
    /// The files that are rewritten when the identity is selected, besides EF.IMSI.
    pub files: Vec<IdentityFile>,
}

/// A file that is rewritten when the identity is selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFile {
    /// The path from the MF. The FID of the MF itself is left out.
    pub path: Vec<Fid>,
    /// The new contents of the file, or of its first record if it has records.
    pub contents: Octets,
}

impl Identities {
    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for identity in &self.0 {
            write_tlv(IDENTITY, &identity.contents(), &mut out);
        }
        out
    }

    /// Parses the bytes of the file; unused bytes are FF.
    ///
    /// # Errors
    /// The bytes are not a list of identities.
    pub fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let used = octets.iter().rposition(|octet| *octet != 0xFF).map_or(0, |last| last + 1);
        // All bytes are read, including padding, because the last key can end with FF, which looks
        // like padding.
        let mut reader = Reader::new(octets);
        let mut identities = Vec::new();
        while reader.offset() < used {
            identities.push(Identity::read(&mut reader.enter(IDENTITY)?)?);
        }
        Ok(Self(identities))
    }

    /// The identities of a profile; `None` if it has no such file.
    ///
    /// # Errors
    /// The file cannot be parsed.
    pub fn of(files: &ProfileFiles) -> Option<Result<Self, DecodeError>> {
        files.by_path(&PATH).and_then(|file| files.content(file)).map(Self::decode)
    }

    /// The identity for all other countries.
    pub fn default_one(&self) -> Option<&Identity> {
        self.0.iter().find(|identity| identity.countries.is_empty())
    }

    /// The identity for a country: the one that lists it, or the one for all other countries.
    pub fn for_country(&self, country: Mcc) -> Option<&Identity> {
        self.0.iter().find(|identity| identity.countries.contains(&country)).or_else(|| self.default_one())
    }

    /// The identity with this IMSI.
    pub fn with_imsi(&self, imsi: Imsi) -> Option<&Identity> {
        self.0.iter().find(|identity| identity.imsi == imsi)
    }
}

impl Identity {
    fn contents(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.countries.is_empty() {
            let countries: Vec<u8> = self.countries.iter().flat_map(|country| country.to_bytes()).collect();
            write_tlv(COUNTRIES, &countries, &mut out);
        }
        write_tlv(IMSI, &self.imsi.to_ef(), &mut out);
        if let Some((key, opc)) = &self.keys {
            key.encode_as(KEY, &mut out);
            opc.encode_as(OPC, &mut out);
        }
        for file in &self.files {
            let mut inner = Vec::new();
            let path: Vec<u8> = file.path.iter().flat_map(|fid| fid.0.to_be_bytes()).collect();
            write_tlv(FILE_PATH, &path, &mut inner);
            write_tlv(FILE_CONTENTS, &file.contents, &mut inner);
            write_tlv(FILE, &inner, &mut out);
        }
        out
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bad = |reader: &Reader<'_>, what| reader.error(Problem::BadValue(what));
        let mut countries = Vec::new();
        if reader.peek()? == Some(COUNTRIES) {
            let wrong = bad(reader, "countries are mobile country codes of two octets each");
            let (codes, rest) = reader.contents(COUNTRIES)?.as_chunks::<2>();
            let codes: Option<Vec<Mcc>> = codes.iter().map(|code| Mcc::from_bytes(*code)).collect();
            countries = codes.filter(|codes| rest.is_empty() && !codes.is_empty()).ok_or(wrong)?;
        }
        let wrong = bad(reader, "the IMSI is not in the format of EF.IMSI");
        let imsi = Imsi::from_ef(reader.contents(IMSI)?).map_err(|_| wrong)?;
        let keys = match reader.peek()? {
            Some(KEY) => Some((SecretOctets::decode_as(KEY, reader)?, SecretOctets::decode_as(OPC, reader)?)),
            _ => None,
        };
        let mut files = Vec::new();
        while reader.peek()?.is_some() {
            let mut file = reader.enter(FILE)?;
            let wrong = bad(&file, "the length of a file path is not a multiple of two octets");
            let path = Fid::path(file.contents(FILE_PATH)?).ok_or(wrong)?;
            let contents = file.contents(FILE_CONTENTS)?.into();
            file.finish()?;
            files.push(IdentityFile { path, contents });
        }
        Ok(Self { countries, imsi, keys, files })
    }

    /// The country codes as text, or "elsewhere" for the default identity.
    pub fn place(&self) -> String {
        let countries: Vec<String> = self.countries.iter().map(Mcc::to_string).collect();
        if countries.is_empty() { "elsewhere".to_owned() } else { countries.join(", ") }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = if self.keys.is_some() { "keys of its own" } else { "the profile's keys" };
        write!(f, "{}: IMSI {}, {keys}, {} files", self.place(), self.imsi, self.files.len())
    }
}

/// True if a PE creates instances of this applet and nothing else.
pub fn is_applet(application: &Application) -> bool {
    let mut instances = application.instance_list.iter().flatten().peekable();
    application.load_block.is_none()
        && instances.peek().is_some()
        && instances.all(|instance| *instance.application_load_package_aid == PACKAGE)
}

/// True if a file is EF.IDENTITIES.
pub(crate) fn is_table(files: &ProfileFiles, index: FileIndex) -> bool {
    files.by_path(&PATH) == Some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identities() -> Identities {
        let file = |path: [u16; 2], contents: &[u8]| IdentityFile {
            path: path.map(Fid).to_vec(),
            contents: contents.into(),
        };
        Identities(vec![
            Identity {
                countries: vec![],
                imsi: "234150000000012".parse().unwrap(),
                keys: None,
                files: vec![file([0x7FD0, 0x6F78], &[0x00, 0x04])],
            },
            Identity {
                countries: vec!["724".parse().unwrap(), "722".parse().unwrap()],
                imsi: "724050000000001".parse().unwrap(),
                keys: Some(([0x20; 16].into(), [0xFF; 16].into())),
                files: vec![],
            },
        ])
    }

    #[test]
    fn the_encoding_is_the_documented_one() {
        let octets = identities().encode();
        let expected = concat!(
            "A017",
            "8109082943510000000021",
            "A40A",
            "80047FD06F78",
            "81020004", // elsewhere
            "A035",
            "800427F427F2",
            "8109087942500000000010",
            "8210",
            "20202020202020202020202020202020",
            "8310",
            "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
        );
        assert_eq!(hex::encode_upper(&octets), expected);
        assert_eq!(Identities::decode(&octets).unwrap(), identities());
        // The list in a longer file.
        assert_eq!(Identities::decode(&[octets, vec![0xFF; 40]].concat()).unwrap(), identities());
        assert_eq!(Identities::decode(&[0xFF; 8]).unwrap(), Identities::default());
    }

    #[test]
    fn truncated_or_altered_bytes_are_refused_or_decoded_without_panic() {
        let octets = identities().encode();
        for cut in 1..octets.len() {
            let read = Identities::decode(&octets[..cut]);
            assert!(read.is_err() || cut == 25, "{cut}");
            let mut altered = octets.clone();
            for value in [0x00, 0x7F, 0x80, 0xFF] {
                altered[cut] = value;
                let _ = Identities::decode(&altered);
            }
        }
    }

    #[test]
    fn a_listed_country_has_its_identity_and_other_countries_have_the_default_one() {
        let identities = identities();
        let imsi = |country: &str| identities.for_country(country.parse().unwrap()).unwrap().imsi.to_string();
        assert_eq!(imsi("722"), "724050000000001");
        assert_eq!(imsi("208"), "234150000000012");
    }
}
