//! The values of EUICCInfo1 and EUICCInfo2: SGP.22 section 5.7.8. A description file names bits as
//! the standard does.

use std::fmt;
use std::str::FromStr;

use profile::Octets;
use rsp::der::{Tag, tlv_bytes};
use rsp::ids::Version;
use rsp::sgp22::{
    CertificationDataObject, EuiccCategory, LpaMode, rsp_capability, tre_properties, uicc_capability,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// Values of EUICCInfo1 and EUICCInfo2. Fields missing in a description file default to
/// [`Preset::V2_6`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capabilities {
    /// Base version of the supported TCA profile packages.
    pub profile_version: Version,
    /// Additional supported profile package versions.
    pub additional_profile_package_versions: Vec<Version>,
    /// Version of SGP.22.
    pub svn: Version,
    /// Firmware version.
    pub firmware_version: Version,
    /// Bits of UICCCapability, [`uicc_capability`]. With `javacard`, profiles with applications are
    /// installed, and the applications are not run. Without it, such profiles are refused.
    #[serde(with = "uicc_capability_by_name")]
    pub uicc_capability: Vec<usize>,
    /// TS 102 241 release.
    pub ts102241_version: Version,
    /// GlobalPlatform version.
    pub globalplatform_version: Version,
    /// Bits of RspCapability, [`rsp_capability`]. `additionalProfile` is reported only while there
    /// is free memory.
    #[serde(with = "rsp_capability_by_name")]
    pub rsp_capability: Vec<usize>,
    /// euiccCategory.
    pub euicc_category: Option<EuiccCategory>,
    /// Policy rules that the card refuses even if the RAT allows them.
    #[serde(with = "ppr_by_name")]
    pub forbidden_profile_policy_rules: Vec<usize>,
    /// Protection profile.
    pub pp_version: Version,
    /// SAS accreditation number, at most 64 octets.
    #[serde(deserialize_with = "sas_accreditation_number")]
    pub sas_accreditation_number: String,
    /// The certification data object, which refers to the platform's certification.
    pub certification_data_object: Option<CertificationDataObject>,
    /// Bits of treProperties, [`tre_properties`]; omitted from EUICCInfo2 if empty.
    #[serde(with = "tre_properties_by_name")]
    pub tre_properties: Vec<usize>,
    /// TRE product reference.
    pub tre_product_reference: Option<String>,
    /// Octets of volatile memory to report.
    pub volatile_memory: u32,
    /// Elements of EUICCInfo2 that were added in v3.
    pub v3: Option<V3Elements>,
}

/// Elements of EUICCInfo2 from SGP.22 v3. They do not add the functions of v3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct V3Elements {
    /// highestSvn.
    pub highest_svn: Version,
    /// lpaMode.
    pub lpa_mode: Option<LpaMode>,
    /// True if the signing keys are also listed in euiccCiPKIdListForSigningV3.
    pub ci_pk_id_list_for_signing: bool,
    /// additionalEuiccInfo, at most 32 octets.
    #[serde(default, deserialize_with = "additional_euicc_info")]
    pub additional_euicc_info: Option<Octets>,
}

/// A predefined set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Preset {
    /// SGP.22 v2.2: no CRLs, and an EUICCInfo2 without the elements added later.
    #[serde(rename = "v2.2")]
    V2_2,
    /// SGP.22 v2.6 with all capabilities of this card.
    #[default]
    #[serde(rename = "v2.6")]
    V2_6,
    /// v2.6 with the v3 elements in EUICCInfo2, to test an LPA that reads them.
    #[serde(rename = "v3-elements")]
    V3Elements,
}

/// UICCCapability bits that were added after v2.2.
const OF_5G: [usize; 3] =
    [uicc_capability::GET_IDENTITY, uicc_capability::PROFILE_A_X25519, uicc_capability::PROFILE_B_P256];

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 3] = [Self::V2_2, Self::V2_6, Self::V3Elements];

    /// The capabilities of the preset.
    pub fn capabilities(self) -> Capabilities {
        let v2_6 = Capabilities::default();
        match self {
            Self::V2_2 => Capabilities {
                profile_version: Version([2, 1, 0]),
                additional_profile_package_versions: Vec::new(),
                svn: Version([2, 2, 0]),
                uicc_capability: v2_6
                    .uicc_capability
                    .iter()
                    .copied()
                    .filter(|bit| !OF_5G.contains(bit))
                    .collect(),
                rsp_capability: vec![rsp_capability::ADDITIONAL_PROFILE, rsp_capability::TEST_PROFILE],
                certification_data_object: None,
                tre_properties: Vec::new(),
                tre_product_reference: None,
                ..v2_6
            },
            Self::V2_6 => v2_6,
            Self::V3Elements => Capabilities {
                v3: Some(V3Elements {
                    highest_svn: Version([3, 1, 0]),
                    lpa_mode: Some(LpaMode::LPAD),
                    ci_pk_id_list_for_signing: true,
                    additional_euicc_info: None,
                }),
                ..v2_6
            },
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::V2_2 => "v2.2",
            Self::V2_6 => "v2.6",
            Self::V3Elements => "v3-elements",
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|preset| preset.name() == text)
            .ok_or_else(|| format!("unknown preset {text:?}; the presets are {}", names()))
    }
}

impl Capabilities {
    /// The card resources of TS 102 226 section 8.2.1.7.2: the number of applications, free
    /// non-volatile memory and free volatile memory.
    pub(crate) fn card_resources(&self, applications: u8, free_memory: u32) -> Vec<u8> {
        [
            tlv_bytes(Tag(0x81), &[applications]),
            tlv_bytes(Tag(0x82), &free_memory.to_be_bytes()),
            tlv_bytes(Tag(0x83), &self.volatile_memory.to_be_bytes()),
        ]
        .concat()
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            profile_version: Version([2, 3, 1]),
            additional_profile_package_versions: vec![Version([3, 3, 1])],
            svn: Version([2, 6, 0]),
            firmware_version: Version([1, 0, 0]),
            uicc_capability: vec![
                uicc_capability::USIM,
                uicc_capability::ISIM,
                uicc_capability::CSIM,
                uicc_capability::AKA_MILENAGE,
                uicc_capability::AKA_TUAK128,
                uicc_capability::AKA_TUAK256,
                uicc_capability::USIM_TEST_ALGORITHM,
                uicc_capability::JAVACARD,
                uicc_capability::MULTIPLE_USIM,
                uicc_capability::BER_TLV,
                uicc_capability::DF_LINK,
                uicc_capability::GET_IDENTITY,
                uicc_capability::PROFILE_A_X25519,
                uicc_capability::PROFILE_B_P256,
            ],
            ts102241_version: Version([9, 2, 0]),
            globalplatform_version: Version([2, 3, 0]),
            rsp_capability: vec![
                rsp_capability::ADDITIONAL_PROFILE,
                rsp_capability::CRL,
                rsp_capability::TEST_PROFILE,
                rsp_capability::DEVICE_INFO_EXTENSIBILITY,
            ],
            euicc_category: None,
            forbidden_profile_policy_rules: Vec::new(),
            pp_version: Version([1, 0, 0]),
            sas_accreditation_number: "LANDFALL-SIMULATOR".to_owned(),
            certification_data_object: Some(CertificationDataObject {
                platform_label: "1.2.840.1234567/landfall".to_owned(),
                discovery_base_url: "https://dloa.landfall.example".to_owned(),
            }),
            tre_properties: vec![tre_properties::IS_DISCRETE],
            tre_product_reference: Some("landfall".to_owned()),
            volatile_memory: 16 << 10,
            v3: None,
        }
    }
}

/// Limit for bit numbers in a description: twice the length of the longest BIT STRING in
/// EUICCInfo2.
const MAX_BITS: usize = 64;

/// UTF8String (SIZE(0..64)).
fn sas_accreditation_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let fits = text.len() <= 64;
    if fits { Ok(text) } else { Err(D::Error::custom("sas_accreditation_number is longer than 64 octets")) }
}

/// OCTET STRING (SIZE(0..32)).
fn additional_euicc_info<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Octets>, D::Error> {
    let octets = Option::<Octets>::deserialize(deserializer)?;
    let fits = octets.as_ref().is_none_or(|octets| octets.0.len() <= 32);
    if fits { Ok(octets) } else { Err(D::Error::custom("additional_euicc_info is longer than 32 octets")) }
}

/// A module for `serde(with)` that writes the bits of a BIT STRING by name.
macro_rules! by_name {
    ($module:ident, $names:expr) => {
        pub(super) mod $module {
            use serde::{Deserialize, Deserializer, Serializer, de::Error};

            pub(in super::super) fn serialize<S: Serializer>(
                bits: &[usize],
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                let name = |bit: &usize| {
                    let known = $names.iter().find(|(_, number)| number == bit);
                    known.map_or_else(|| bit.to_string(), |(name, _)| (*name).to_owned())
                };
                serializer.collect_seq(bits.iter().map(name))
            }

            pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Vec<usize>, D::Error> {
                let bit = |text: String| {
                    let known = $names.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
                    let number =
                        || text.parse().ok().filter(|bit| *bit < $crate::description::capabilities::MAX_BITS);
                    known.or_else(number).ok_or_else(|| {
                        let names: Vec<_> = $names.iter().map(|(name, _)| *name).collect();
                        D::Error::custom(format!("{text:?} is not one of {}", names.join(", ")))
                    })
                };
                Vec::<String>::deserialize(deserializer)?.into_iter().map(bit).collect()
            }
        }
    };
}

by_name!(uicc_capability_by_name, rsp::sgp22::uicc_capability::NAMES);
by_name!(rsp_capability_by_name, rsp::sgp22::rsp_capability::NAMES);
by_name!(tre_properties_by_name, rsp::sgp22::tre_properties::NAMES);
by_name!(ppr_by_name, rsp::sgp22::ppr::NAMES);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_contains_only_differences_and_bits_are_written_by_name() {
        let text =
            r#"{"svn": "2.4.0", "rsp_capability": ["crlSupport", "11"], "tre_properties": ["isIntegrated"]}"#;
        let capabilities: Capabilities = serde_json::from_str(text).unwrap();
        let expected = Capabilities {
            svn: Version([2, 4, 0]),
            rsp_capability: vec![rsp_capability::CRL, 11],
            tre_properties: vec![tre_properties::IS_INTEGRATED],
            ..Capabilities::default()
        };
        assert_eq!(capabilities, expected);
        let written = serde_json::to_string(&capabilities).unwrap();
        assert!(written.contains(r#""rsp_capability":["crlSupport","11"]"#), "{written}");
        assert_eq!(serde_json::from_str::<Capabilities>(&written).unwrap(), capabilities);
    }

    #[test]
    fn the_error_for_an_unknown_bit_lists_the_known_names() {
        let error = serde_json::from_str::<Capabilities>(r#"{"rsp_capability": ["crl"]}"#).unwrap_err();
        assert!(error.to_string().contains("additionalProfile, crlSupport"), "{error}");
        assert!(serde_json::from_str::<Capabilities>(r#"{"swn": "2.4.0"}"#).is_err());
    }

    #[test]
    fn values_over_the_size_limits_are_refused() {
        let reads = |text: &str| serde_json::from_str::<Capabilities>(text).is_ok();
        assert!(reads(r#"{"rsp_capability": ["63"]}"#));
        assert!(!reads(r#"{"rsp_capability": ["64"]}"#));
        assert!(!reads(r#"{"uicc_capability": ["40000000000"]}"#));
        let sas = |octets| format!(r#"{{"sas_accreditation_number": "{}"}}"#, "x".repeat(octets));
        assert!(reads(&sas(64)) && !reads(&sas(65)));
        let info = |octets| {
            let info = "00".repeat(octets);
            let v3 = r#""highest_svn": "3.1.0", "ci_pk_id_list_for_signing": true"#;
            format!(r#"{{"v3": {{{v3}, "additional_euicc_info": "{info}"}}}}"#)
        };
        assert!(reads(&info(32)) && !reads(&info(33)));
    }

    #[test]
    fn the_v2_2_preset_has_no_5g_capabilities() {
        let early = Preset::V2_2.capabilities().uicc_capability;
        assert!(
            !early.is_empty() && early.iter().all(|bit| *bit < uicc_capability::GET_IDENTITY),
            "{early:?}"
        );
    }

    #[test]
    fn a_preset_has_the_same_name_in_all_formats() {
        for preset in Preset::ALL {
            assert_eq!(preset.to_string().parse(), Ok(preset));
            assert_eq!(serde_json::to_string(&preset).unwrap(), format!("{:?}", preset.to_string()));
            let text = serde_json::to_string(&preset.capabilities()).unwrap();
            assert_eq!(serde_json::from_str::<Capabilities>(&text).unwrap(), preset.capabilities());
        }
        assert!("v4".parse::<Preset>().unwrap_err().contains("v2.2, v2.6, v3-elements"));
    }
}
