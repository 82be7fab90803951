//! Descriptions of profiles in TOML: subscription, keys, files, and management.
//!
//! Ten lines are sufficient for a working profile. [`Description::build`] builds the package, and
//! [`decompile`] converts a package back to a description. Parts of a package for which the
//! description has no key are written as `[[element]]`: PEs in order with their ASN.1 names, and
//! with placeholders such as `{ef-imsi}` for bytes that a key of the description supplies.

use std::fmt;

use rsp::ids::{Iccid, Imsi, Mcc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::element::AlgorithmId;
use crate::{Capabilities, InstalledProfile, Octets, Package, PeStatusCode, Refused, SecretOctets};

mod adf;
mod coding;
mod decompile;
mod identities;
mod key_lengths;
mod layout;
mod metadata;
mod mistakes;
mod own;
mod paths;
mod places;
mod raw;
mod shapes;
mod subscription;
mod terms;
mod types;
mod write;

pub use decompile::{Decompiled, decompile};
pub use metadata::{
    Event, Icon, Metadata, MetadataOverrides, Notification, PolicyRule, ProfileClassName, every_event,
    store_metadata,
};
pub use mistakes::{Mistake, Mistakes};
pub use types::{Code, Digits, Network};

pub(crate) use layout::elements;
pub(crate) use raw::mentions;

/// A profile description.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Description {
    /// The version of the TCA package; default 2.3.
    #[serde(skip_serializing_if = "is_default")]
    pub format: Format,
    /// Files are made by templates (default), or one by one by generic file management, except for
    /// the MF.
    #[serde(skip_serializing_if = "is_default")]
    pub files: FilesBy,
    /// The name of the profile (profileType); default "Landfall generic".
    pub profile_type: Option<String>,
    /// ICCID, 18 to 20 digits with the check digit.
    #[schemars(with = "Option<String>")]
    pub iccid: Option<Iccid>,
    /// IMSI.
    #[schemars(with = "Option<String>")]
    pub imsi: Option<Imsi>,
    /// Number of digits of the network code in the IMSI: 2 (default) or 3.
    pub mnc_digits: Option<u8>,
    /// MSISDN in international format, with or without +.
    pub msisdn: Option<Digits>,
    /// Access classes (EF.ACC), 0 to 15; default: the last digit of the IMSI.
    pub access_classes: Option<Vec<u8>>,
    /// POL1 of an M2M profile (SGP.02), one byte.
    pub pol1: Option<Octets>,
    /// connectivityParameters: the way in which an M2M card reaches its SM-SR (SGP.02 4.1.3.4).
    pub connectivity_parameters: Option<Octets>,
    /// The authentication of the subscriber.
    #[serde(skip_serializing_if = "is_default")]
    pub authentication: Authentication,
    /// PINs and administrative codes.
    #[serde(skip_serializing_if = "is_default")]
    pub codes: Codes,
    /// Files of the USIM.
    #[serde(skip_serializing_if = "is_default")]
    pub usim: UsimFiles,
    /// Files for 5G.
    #[serde(rename = "5g", skip_serializing_if = "is_default")]
    pub five_g: FiveG,
    /// An ISIM; absent by default. If the table is present but empty, its identities are derived
    /// from the IMSI.
    pub isim: Option<Isim>,
    /// The MNO-SD.
    #[serde(skip_serializing_if = "is_default")]
    pub security_domain: SecurityDomain,
    /// Remote file management; absent by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rfm: Vec<Rfm>,
    /// The metadata of the profile.
    #[serde(skip_serializing_if = "is_default")]
    pub metadata: Metadata,
    /// Further identities, one of which an applet selects by country: EF.IDENTITIES
    /// ([`crate::identities`]).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identity: Vec<Identity>,
    /// Further files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub file: Vec<OwnFile>,
    /// The PEs in order. If they are given, the package consists of these PEs only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub element: Vec<Map<String, Value>>,
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The version of the package.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Format {
    /// SIMalliance 2.3: first versions of the templates.
    #[default]
    #[serde(rename = "2.3")]
    V2_3,
    /// TCA 3.3: the newest supported templates.
    #[serde(rename = "3.3")]
    V3_3,
}

/// The way in which files are created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FilesBy {
    /// By the templates of the TCA.
    #[default]
    Templates,
    /// By path, with all parameters written out; only the MF comes from a template.
    Paths,
}

/// An authentication algorithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// TS 35.206.
    #[default]
    Milenage,
    /// TS 35.231.
    Tuak,
    /// TS 34.108 section 8.1.2.
    Test,
}

impl Algorithm {
    /// The permitted lengths of K in bytes.
    pub(crate) fn ki_lengths(self) -> &'static [usize] {
        if self == Self::Tuak { &[16, 32] } else { &[16] }
    }

    /// The length of OPc or TOPc in bytes. The test algorithm uses no OPc, and cards ignore its
    /// value.
    pub(crate) fn opc_length(self) -> Option<usize> {
        match self {
            Self::Milenage => Some(16),
            Self::Tuak => Some(32),
            Self::Test => None,
        }
    }

    /// algorithmID.
    pub fn id(self) -> AlgorithmId {
        match self {
            Self::Milenage => AlgorithmId::MILENAGE,
            Self::Tuak => AlgorithmId::TUAK,
            Self::Test => AlgorithmId::USIM_TEST_ALGORITHM,
        }
    }

    pub(crate) fn of(id: AlgorithmId) -> Option<Self> {
        [Self::Milenage, Self::Tuak, Self::Test].into_iter().find(|algorithm| algorithm.id() == id)
    }
}

/// Keys and options of the authentication (PE-AKAParameter).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Authentication {
    /// The algorithm; default Milenage.
    #[serde(skip_serializing_if = "is_default")]
    pub algorithm: Algorithm,
    /// K: 16 bytes, with TUAK 16 or 32.
    pub ki: Option<SecretOctets>,
    /// OPc, 16 bytes; TOPc, 32. The test algorithm has none.
    pub opc: Option<SecretOctets>,
    /// OP, from which OPc is derived (Milenage). It is given instead of OPc.
    pub op: Option<SecretOctets>,
    /// algorithmOptions, one byte; default 02.
    pub options: Option<Octets>,
    /// r1 to r5 of Milenage, five bytes; default: those of TS 35.206.
    pub rotation_constants: Option<Octets>,
    /// c1 to c5 of Milenage, eighty bytes; default: those of TS 35.206.
    pub xoring_constants: Option<Octets>,
    /// Maximum number of authentications, three bytes; default: no limit.
    pub auth_counter_max: Option<Octets>,
    /// Number of Keccak iterations of TUAK; default 1.
    pub keccak: Option<u8>,
    /// The checks of sequence numbers, one byte; default 02.
    pub sqn_options: Option<Octets>,
    /// Maximum step of a sequence number, six bytes.
    pub sqn_delta: Option<Octets>,
    /// Maximum age of a sequence number, six bytes.
    pub sqn_age_limit: Option<Octets>,
}

/// PINs and administrative codes, as digits: 4 to 8, PUKs 8.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Codes {
    /// PIN1; default 0000.
    pub pin1: Option<Code>,
    /// True if PIN1 must be presented.
    #[serde(skip_serializing_if = "is_default")]
    pub pin1_enabled: bool,
    /// PUK1; default 11111111.
    pub puk1: Option<Code>,
    /// PIN2; default 9999.
    pub pin2: Option<Code>,
    /// PUK2; default 22222222.
    pub puk2: Option<Code>,
    /// ADM1; default 55555555.
    pub adm1: Option<Code>,
}

/// Files of the USIM (TS 31.102 section 4.2).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct UsimFiles {
    /// EF.SPN; default "Landfall".
    pub spn: Option<String>,
    /// The first byte of EF.SPN, the display condition; default 00.
    pub spn_display: Option<Octets>,
    /// EF.UST: services by number; default: the services that the files of this description need.
    pub services: Option<Vec<u8>>,
    /// EF.EST: enabled services by number (1 FDN, 2 BDN, 3 ACL); default none.
    pub enabled_services: Option<Vec<u8>>,
    /// The SMSC address in EF.SMSP.
    pub smsc: Option<Digits>,
    /// EF.HPLMNwAcT: networks, each with its technologies unless all apply ("724-05 eutran ngran").
    pub home_plmns: Option<Vec<Network>>,
    /// EF.OPLMNwAcT.
    pub operator_plmns: Option<Vec<Network>>,
    /// EF.PLMNwAcT.
    pub user_plmns: Option<Vec<Network>>,
    /// EF.EHPLMN.
    #[schemars(with = "Option<Vec<String>>")]
    pub equivalent_plmns: Option<Vec<rsp::ids::Plmn>>,
    /// EF.FPLMN.
    #[schemars(with = "Option<Vec<String>>")]
    pub forbidden_plmns: Option<Vec<rsp::ids::Plmn>>,
    /// EF.GID1.
    pub gid1: Option<Octets>,
    /// EF.GID2.
    pub gid2: Option<Octets>,
    /// EF.ECC; default 112.
    pub emergency: Option<Vec<Digits>>,
}

/// Files of 5G (TS 31.102 section 4.4.11, TCA annex D).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct FiveG {
    /// EF.Routing_Indicator: 1 to 4 digits.
    pub routing_indicator: Option<Digits>,
    /// Keys that conceal the subscription, in order of preference; the null scheme is the last
    /// resort.
    pub suci_keys: Option<Vec<SuciKey>>,
    /// True if the USIM computes the SUCI (EF.SUCI_Calc_Info_USIM), instead of the terminal.
    #[serde(skip_serializing_if = "is_default")]
    pub suci_by_usim: bool,
    /// EF.SUPI_NAI: a network specific identifier.
    pub supi_nai: Option<String>,
    /// EF.URSP: the policy section as coded in TS 24.526.
    pub ursp: Option<Octets>,
}

/// A public key of the home network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SuciKey {
    /// Home Network Public Key Identifier.
    pub id: u8,
    /// Protection scheme of TS 33.501 annex C.
    pub profile: SuciProfile,
    /// The key: 32 bytes for A, a compressed point of 33 bytes for B.
    pub key: Octets,
}

/// A protection scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SuciProfile {
    /// X25519.
    A,
    /// secp256r1.
    B,
}

/// An ISIM (TS 31.103).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Isim {
    /// EF.IMPI; default: derived from the IMSI (TS 23.003 section 13.3).
    pub impi: Option<String>,
    /// EF.IMPU; default: derived from the IMSI (TS 23.003 section 13.4B).
    pub impu: Option<Vec<String>>,
    /// EF.DOMAIN; default: derived from the IMSI (TS 23.003 section 13.2).
    pub domain: Option<String>,
    /// EF.P-CSCF: host names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pcscf: Vec<String>,
}

/// The MNO-SD (PE-SecurityDomain).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SecurityDomain {
    /// Instance AID; default A000000151000000.
    pub aid: Option<Octets>,
    /// Toolkit parameters of TS 102 226, which contain its TAR; absent by default.
    pub toolkit: Option<Octets>,
    /// Key sets; default: a published one of version 1, for tests only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeySet>,
}

/// A key set: KIc, KID and KIK in SCP80.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KeySet {
    /// Key version number: 1 to 15 for SCP80, 48 to 63 for SCP03, and so on.
    pub version: u8,
    /// The algorithm; default AES.
    #[serde(default, skip_serializing_if = "is_default")]
    pub r#type: KeyType,
    /// Key 1, encryption.
    pub enc: SecretOctets,
    /// Key 2, message authentication.
    pub mac: SecretOctets,
    /// Key 3, encryption of data.
    pub dek: SecretOctets,
}

/// The algorithm of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum KeyType {
    /// AES.
    #[default]
    #[serde(rename = "aes")]
    Aes,
    /// Triple DES.
    #[serde(rename = "3des")]
    TripleDes,
}

/// A remote file management instance (PE-RFM).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rfm {
    /// Instance AID.
    pub aid: Octets,
    /// Toolkit application references, three bytes each.
    pub tar: Vec<Octets>,
    /// Minimum security level (SPI1 of TS 102 225), one byte; default 16: encrypted, with a
    /// cryptographic checksum and a counter.
    pub security_level: Option<Octets>,
    /// Access domain in the MF and below; default 00, all.
    pub access: Option<Octets>,
    /// True if it can access the files of the USIM as well.
    #[serde(default, skip_serializing_if = "is_default")]
    pub usim: bool,
}

/// A further identity of the profile. The profile's own identity is used in all other countries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Identity {
    /// The countries in which it is used: mobile country codes such as 724. A code belongs to one
    /// identity only.
    #[schemars(with = "Vec<String>")]
    pub countries: Vec<Mcc>,
    /// Its IMSI.
    #[schemars(with = "String")]
    pub imsi: Imsi,
    /// Number of digits of the network code in its IMSI: 2 (default) or 3.
    pub mnc_digits: Option<u8>,
    /// Its K, together with OPc; default: the profile's keys.
    pub ki: Option<SecretOctets>,
    /// Its OPc or TOPc.
    pub opc: Option<SecretOctets>,
    /// Its access classes; default: the last digit of its IMSI.
    pub access_classes: Option<Vec<u8>>,
    /// Its SMSC address; default: the profile's. If any identity has one, the profile must have one
    /// too.
    pub smsc: Option<Digits>,
    /// Its EF.SPN; default: the profile's.
    pub spn: Option<String>,
    /// Its EF.HPLMNwAcT; default empty.
    pub home_plmns: Option<Vec<Network>>,
    /// Its EF.OPLMNwAcT; default empty.
    pub operator_plmns: Option<Vec<Network>>,
    /// Its EF.EHPLMN; default empty.
    #[schemars(with = "Option<Vec<String>>")]
    pub equivalent_plmns: Option<Vec<rsp::ids::Plmn>>,
}

/// An additional file, made by generic file management.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OwnFile {
    /// The directory as a path from the MF, two bytes for each step, 7FD0 for the USIM; default:
    /// the MF.
    #[serde(default, skip_serializing_if = "is_default")]
    pub directory: Octets,
    /// File identifier, two bytes.
    pub id: Octets,
    /// True for a directory.
    #[serde(default, skip_serializing_if = "is_default")]
    pub is_directory: bool,
    /// Length of the file in bytes; default: the length of the contents.
    pub size: Option<u16>,
    /// Length of a record in bytes; default: no records.
    pub record_length: Option<u16>,
    /// The record of EF.ARR with its access rule; default 13, the administrator's.
    pub rule: Option<u8>,
    /// The contents.
    #[serde(default, skip_serializing_if = "is_default")]
    pub content: Octets,
}

/// Maximum length of a description in bytes. A package of 376 KiB, written out element by element,
/// needs a tenth of this length.
const LONGEST: usize = 8 << 20;

impl Description {
    /// Parses a description.
    ///
    /// # Errors
    /// The text is not TOML, contains an unknown name or an invalid value (the error names the
    /// line), or is longer than 8 MiB.
    pub fn parse(text: &str) -> Result<Self, Mistakes> {
        if text.len() > LONGEST {
            let what = format!("the description has {} octets", text.len());
            return Err(Mistakes::one("", what, "give at most 8 MiB"));
        }
        toml::from_str(text).map_err(|error| Mistakes::of_toml(text, &error))
    }

    /// The description as text that [`Description::parse`] reads.
    pub fn to_toml(&self) -> String {
        write::text(self)
    }

    /// Builds the package, and installs it once to verify that it can be installed.
    ///
    /// # Errors
    /// A mandatory value is missing, or values contradict each other.
    pub fn build(&self) -> Result<Package, Mistakes> {
        self.checked()?;
        let package = match self.element.as_slice() {
            [] => Package { elements: elements(self) },
            given => Package { elements: raw::elements(self, given)? },
        };
        match InstalledProfile::of(&package, &Capabilities::default()) {
            Ok(_) => Ok(package),
            // A description cannot contain loaders of applications and similar elements.
            Err(Refused {
                code: PeStatusCode::RUNTIME_NOT_SUPPORTED | PeStatusCode::FEATURE_NOT_SUPPORTED,
                ..
            }) => Ok(package),
            Err(refused) => Err(Mistakes::one(
                "",
                format!("the package cannot be installed: {refused}"),
                "correct the element that the error names",
            )),
        }
    }

    /// Checks for the errors that can be found without building the package.
    fn checked(&self) -> Result<(), Mistakes> {
        mistakes::of(self)
    }
}

/// The JSON Schema of a description.
pub fn schema() -> String {
    let schema = schemars::schema_for!(Description);
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V2_3 => "2.3",
            Self::V3_3 => "3.3",
        })
    }
}

#[cfg(test)]
mod tests;
