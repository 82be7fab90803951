//! A profile as its operator would describe it, in TOML: the subscription, its keys and files, who may manage it.
//!
//! Ten lines make a working profile; [`Description::build`] makes the package, [`decompile`] goes the way back. What the
//! terms do not cover is carried by `[[element]]`: the PEs in order under their ASN.1 names, with `{ef-imsi}` and the like in
//! the places where a term has its octets.

use std::fmt;

use rsp::ids::{Iccid, Imsi, Mcc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::element::AlgorithmId;
use crate::{Capabilities, InstalledProfile, Octets, Package, PeStatusCode, Refused, SecretOctets};

mod coding;
mod decompile;
mod identities;
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
    Event, Icon, Metadata, Notification, PolicyRule, ProfileClassName, Said, every_event, store_metadata,
};
pub use mistakes::{Mistake, Mistakes};
pub use types::{Code, Digits, Network};

pub(crate) use layout::elements;
pub(crate) use raw::mentions;

/// A profile description.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Description {
    /// The version of the TCA package; 2.3 when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub format: Format,
    /// Whether files are made by template or, but for the MF, one by one by generic file management; templates when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub files: FilesBy,
    /// What the profile calls itself (profileType); "Landfall generic" when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile_type: Option<String>,
    /// ICCID, 18 to 20 digits with the check digit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub iccid: Option<Iccid>,
    /// IMSI.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub imsi: Option<Imsi>,
    /// Digits of the network code in the IMSI: 2 when absent, or 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mnc_digits: Option<u8>,
    /// MSISDN, international, with or without +.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msisdn: Option<Digits>,
    /// Access classes (EF.ACC), 0 to 15; the last digit of the IMSI when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_classes: Option<Vec<u8>>,
    /// POL1 of an M2M profile (SGP.02), one octet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pol1: Option<Octets>,
    /// How an M2M card reaches its SM-SR (SGP.02 4.1.3.4): connectivityParameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connectivity_parameters: Option<Octets>,
    /// How the network knows the subscriber.
    #[serde(skip_serializing_if = "is_default")]
    pub authentication: Authentication,
    /// PINs and their like.
    #[serde(skip_serializing_if = "is_default")]
    pub codes: Codes,
    /// Files of the USIM.
    #[serde(skip_serializing_if = "is_default")]
    pub usim: UsimFiles,
    /// Files of 5G.
    #[serde(rename = "5g", skip_serializing_if = "is_default")]
    pub five_g: FiveG,
    /// An ISIM; none when absent, and with its name alone one whose identities come from the IMSI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isim: Option<Isim>,
    /// The MNO-SD.
    #[serde(skip_serializing_if = "is_default")]
    pub security_domain: SecurityDomain,
    /// Remote file management; none when absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rfm: Vec<Rfm>,
    /// What is told of the profile beside its package.
    #[serde(skip_serializing_if = "is_default")]
    pub metadata: Metadata,
    /// Further identities, of which an applet picks one by country: EF.IDENTITIES ([`crate::identities`]).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identity: Vec<Identity>,
    /// Further files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub file: Vec<OwnFile>,
    /// The PEs themselves in their order. Where there are any, nothing else is built.
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
    /// TCA 3.3: the newest templates that are known here.
    #[serde(rename = "3.3")]
    V3_3,
}

/// How files are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FilesBy {
    /// By the templates of the TCA.
    #[default]
    Templates,
    /// By path, with all parameters written out; only the MF is a template's.
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
    /// The octets that K may have.
    pub(crate) fn ki_lengths(self) -> &'static [usize] {
        if self == Self::Tuak { &[16, 32] } else { &[16] }
    }

    /// The octets of OPc or TOPc. The test algorithm has none: whatever stands there, no card looks at it.
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
    /// Milenage when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub algorithm: Algorithm,
    /// K: 16 octets, with TUAK 16 or 32.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ki: Option<SecretOctets>,
    /// OPc, 16 octets; TOPc, 32. The test algorithm has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opc: Option<SecretOctets>,
    /// OP in the place of OPc, which is reckoned from it (Milenage).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op: Option<SecretOctets>,
    /// algorithmOptions, one octet; 02 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Octets>,
    /// r1 to r5 of Milenage, five octets; those of TS 35.206 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation_constants: Option<Octets>,
    /// c1 to c5 of Milenage, eighty octets; those of TS 35.206 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xoring_constants: Option<Octets>,
    /// How often one may authenticate, three octets; without limit when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_counter_max: Option<Octets>,
    /// How often TUAK runs Keccak; once when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keccak: Option<u8>,
    /// Which checks of sequence numbers apply, one octet; 02 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqn_options: Option<Octets>,
    /// How far a sequence number may jump, six octets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqn_delta: Option<Octets>,
    /// How old a sequence number may be, six octets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqn_age_limit: Option<Octets>,
}

/// PINs and their like, as digits: 4 to 8, the PUKs 8.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Codes {
    /// PIN1; 0000 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin1: Option<Code>,
    /// Whether PIN1 must be presented.
    #[serde(skip_serializing_if = "is_default")]
    pub pin1_enabled: bool,
    /// Unblocks PIN1; 11111111 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub puk1: Option<Code>,
    /// PIN2; 9999 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin2: Option<Code>,
    /// Unblocks PIN2; 22222222 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub puk2: Option<Code>,
    /// The administrator's; 55555555 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adm1: Option<Code>,
}

/// Files of the USIM (TS 31.102 section 4.2).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct UsimFiles {
    /// EF.SPN; "Landfall" when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spn: Option<String>,
    /// The first octet of EF.SPN: when the name is displayed; 00 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spn_display: Option<Octets>,
    /// EF.UST: services by number. What the files of this description serve when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<u8>>,
    /// EF.EST: enabled services by number (1 FDN, 2 BDN, 3 ACL); none when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled_services: Option<Vec<u8>>,
    /// The service centre in EF.SMSP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smsc: Option<Digits>,
    /// EF.HPLMNwAcT: networks, each with its technologies if not all ("724-05 eutran ngran").
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home_plmns: Option<Vec<Network>>,
    /// EF.OPLMNwAcT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator_plmns: Option<Vec<Network>>,
    /// EF.PLMNwAcT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_plmns: Option<Vec<Network>>,
    /// EF.EHPLMN.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    pub equivalent_plmns: Option<Vec<rsp::ids::Plmn>>,
    /// EF.FPLMN.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    pub forbidden_plmns: Option<Vec<rsp::ids::Plmn>>,
    /// EF.GID1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid1: Option<Octets>,
    /// EF.GID2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid2: Option<Octets>,
    /// EF.ECC; 112 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emergency: Option<Vec<Digits>>,
}

/// Files of 5G (TS 31.102 section 4.4.11, TCA annex D).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct FiveG {
    /// EF.Routing_Indicator: 1 to 4 digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing_indicator: Option<Digits>,
    /// Keys with which the subscription is concealed, the preferred first; the null scheme is what remains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suci_keys: Option<Vec<SuciKey>>,
    /// Whether the USIM itself reckons the SUCI (EF.SUCI_Calc_Info_USIM), not the terminal.
    #[serde(skip_serializing_if = "is_default")]
    pub suci_by_usim: bool,
    /// EF.SUPI_NAI: a network specific identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supi_nai: Option<String>,
    /// EF.URSP: the policy section, as TS 24.526 codes it.
    #[serde(skip_serializing_if = "Option::is_none")]
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
    /// The key: 32 octets for A, a compressed point of 33 for B.
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
    /// EF.IMPI; from the IMSI (TS 23.003 section 13.3) when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impi: Option<String>,
    /// EF.IMPU; from the IMSI (TS 23.003 section 13.4B) when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impu: Option<Vec<String>>,
    /// EF.DOMAIN; from the IMSI (TS 23.003 section 13.2) when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// EF.P-CSCF: host names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pcscf: Vec<String>,
}

/// The MNO-SD (PE-SecurityDomain).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SecurityDomain {
    /// Instance AID; A000000151000000 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aid: Option<Octets>,
    /// Toolkit parameters of TS 102 226 (its TAR is in there); none when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toolkit: Option<Octets>,
    /// Key sets; a well-known one of version 1, for tests only, when absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeySet>,
}

/// A key set: KIc, KID and KIK in SCP80.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KeySet {
    /// Key version number: 1 to 15 for SCP80, 48 to 63 for SCP03, and so on.
    pub version: u8,
    /// AES when absent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub r#type: KeyType,
    /// Key 1, encryption.
    pub enc: SecretOctets,
    /// Key 2, message authentication.
    pub mac: SecretOctets,
    /// Key 3, encryption of data.
    pub dek: SecretOctets,
}

/// What a key is for.
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
    /// Toolkit application references, three octets each.
    pub tar: Vec<Octets>,
    /// Minimum security level (SPI1 of TS 102 225), one octet; 16, encrypted with a cryptographic checksum and a counter, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_level: Option<Octets>,
    /// Access domain in the MF and below; 00, all, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Octets>,
    /// Whether it reaches the files of the USIM as well.
    #[serde(default, skip_serializing_if = "is_default")]
    pub usim: bool,
}

/// Another identity behind the same profile. The profile's own is used wherever no other is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Identity {
    /// Where it is used: mobile country codes, such as 724; each stands with one identity.
    #[schemars(with = "Vec<String>")]
    pub countries: Vec<Mcc>,
    /// Its IMSI.
    #[schemars(with = "String")]
    pub imsi: Imsi,
    /// Digits of the network code in its IMSI: 2 when absent, or 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mnc_digits: Option<u8>,
    /// Its K, with OPc; the profile's own keys when both are absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ki: Option<SecretOctets>,
    /// Its OPc or TOPc.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opc: Option<SecretOctets>,
    /// Its access classes; the last digit of its IMSI when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_classes: Option<Vec<u8>>,
    /// Its service centre; the profile's when absent, which must have one if any identity has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smsc: Option<Digits>,
    /// Its EF.SPN; the profile's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spn: Option<String>,
    /// Its EF.HPLMNwAcT; empty when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home_plmns: Option<Vec<Network>>,
    /// Its EF.OPLMNwAcT; empty when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_plmns: Option<Vec<Network>>,
    /// Its EF.EHPLMN; empty when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    pub equivalent_plmns: Option<Vec<rsp::ids::Plmn>>,
}

/// A file that the terms do not know, made by generic file management.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OwnFile {
    /// The directory, from the MF: two octets for each step, 7FD0 for the USIM. The MF when absent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub directory: Octets,
    /// File identifier, two octets.
    pub id: Octets,
    /// A directory when true.
    #[serde(default, skip_serializing_if = "is_default")]
    pub is_directory: bool,
    /// Octets of the file; as many as there are contents when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u16>,
    /// Octets of a record; no records when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_length: Option<u16>,
    /// The record of EF.ARR with its access rule: 13, the administrator's, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<u8>,
    /// What is in it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub content: Octets,
}

/// The longest description, in octets: that of a package of 376 KiB, element by element, has a tenth of it.
const LONGEST: usize = 8 << 20;

impl Description {
    /// Reads a description.
    ///
    /// # Errors
    /// It is no TOML, has a name that is not known, or a value that is none: with the line. Or it is longer than 8 MiB.
    pub fn parse(text: &str) -> Result<Self, Mistakes> {
        if text.len() > LONGEST {
            let what = format!("it has {} octets, and no profile needs as many", text.len());
            return Err(Mistakes::one("", what, "give at most 8 MiB"));
        }
        toml::from_str(text).map_err(|error| Mistakes::of_toml(text, &error))
    }

    /// The description as text that [`Description::parse`] reads.
    pub fn to_toml(&self) -> String {
        write::text(self)
    }

    /// The package, which has been installed once to see that it can be.
    ///
    /// # Errors
    /// Something that must be said is missing, or does not fit the rest.
    pub fn build(&self) -> Result<Package, Mistakes> {
        self.checked()?;
        let package = match self.element.as_slice() {
            [] => Package { elements: elements(self) },
            given => Package { elements: raw::elements(self, given)? },
        };
        match InstalledProfile::of(&package, &Capabilities::default()) {
            Ok(_) => Ok(package),
            // Loaders of applications and the like are no business of a description's.
            Err(Refused {
                code: PeStatusCode::RUNTIME_NOT_SUPPORTED | PeStatusCode::FEATURE_NOT_SUPPORTED,
                ..
            }) => Ok(package),
            Err(refused) => Err(Mistakes::one(
                "",
                format!("the package cannot be installed: {refused}"),
                "correct what it names",
            )),
        }
    }

    /// What is wrong with a description and can be told from it alone.
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
