//! The description of a card: identity, keys, capabilities.

mod capabilities;
mod iot;
mod ipae;

pub use capabilities::{Capabilities, Preset, V3Elements};
pub use iot::{
    AfterFailure, IotDescription, IotVersion, SizeError, TerminalCapabilityRule, TokenInUpdateEim,
};
pub use ipae::IpaeDescription;

use certs::EuiccCredentials;
use profile::element::Service;
use profile::{Octets, SecretOctets};
use rsp::der::{Asn1, BitString};
use rsp::ids::Eid;
use rsp::sgp22::{OperatorId, ProfilePolicyAuthorisationRule, ppr, uicc_capability};
use rsp::sgp32::EimConfigurationData;
use serde::{Deserialize, Serialize};

use super::m2m::M2mDescription;

/// The description of one card. Its serialised form is the format of card description files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardDescription {
    /// EID.
    pub eid: Eid,
    /// Answer to reset.
    pub atr: Octets,
    /// The card's own certificates and keys, the preferred CI first.
    pub credentials: Vec<CardCredential>,
    /// Certificates of the trusted CIs in DER, in the order of preference.
    pub trusted_cis: Vec<Octets>,
    /// Values of EUICCInfo1 and EUICCInfo2.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// The root SM-DS.
    pub root_ds_address: String,
    /// The initial default SM-DP+ address.
    pub default_dp_address: Option<String>,
    /// The Rules Authorisation Table. The first matching rule applies.
    pub rules_authorisation_table: Vec<AuthorisationRule>,
    /// Octets of non-volatile memory for profiles.
    pub memory_size: u32,
    /// True if the card refuses deviations of peers that it otherwise accepts with a finding
    /// (`docs/findings.md`). An M2M card cannot be strict.
    #[serde(default)]
    pub strict: bool,
    /// The M2M part of the description. If present, the card is an M2M eUICC (SGP.02) instead of a
    /// consumer card and needs no `credentials`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub m2m: Option<Box<M2mDescription>>,
    /// The IoT part of the description. If present, the card is an IoT eUICC (SGP.32) instead of a
    /// consumer card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iot: Option<Box<IotDescription>>,
}

/// A private key of the card with its certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardCredential {
    /// CERT.EUICC, DER.
    pub euicc_certificate: Octets,
    /// SK.EUICC: the scalar d in 32 octets, on the curve of the certificate.
    pub euicc_key: SecretOctets,
    /// CERT.EUM, DER.
    pub eum_certificate: Octets,
}

/// One line of the RAT: SGP.22 section 2.9.2.3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorisationRule {
    /// Bits of PprIds, [`ppr`].
    #[serde(with = "capabilities::ppr_by_name")]
    pub ppr_ids: Vec<usize>,
    /// The operators to which the rule applies.
    pub allowed_operators: Vec<AllowedOperator>,
    /// True if end user consent is required.
    pub consent_required: bool,
}

/// An operator of the RAT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowedOperator {
    /// MCC and MNC coded as in TS 24.008, six hexadecimal digits; E stands for any digit.
    #[serde(with = "mcc_mnc_in_hexadecimal")]
    pub mcc_mnc: [u8; 3],
    /// EF.GID1 of the profile owner. An empty value stands for any GID1, `None` for profile owners
    /// without GID1.
    pub gid1: Option<Octets>,
    /// EF.GID2 of the profile owner. An empty value stands for any GID2, `None` for profile owners
    /// without GID2.
    pub gid2: Option<Octets>,
}

/// The answer to reset: T=0 and the global interface bytes of TS 102 221 section 6.3. The
/// historical bytes (ISO/IEC 7816-4 section 12.1.1) announce selection by name, path, identifier
/// and short identifier, extended length, channel number assignment by the card, eight or more
/// channels, and "LNDFALL".
const ATR: [u8; 22] = [
    0x3B, 0x9F, 0x96, 0x80, 0x1F, 0xC7, 0x80, 0x31, 0xE0, 0x73, 0xFE, 0x21, 0x57, 0x57, b'L', b'N', b'D',
    b'F', b'A', b'L', b'L', TCK,
];

/// The check byte: the exclusive OR of all bytes after the first is zero.
const TCK: u8 = 0xED;

impl CardDescription {
    /// A card with these credentials. It trusts their CIs, has room for about fifty ordinary
    /// profiles, and allows both policy rules to every operator if the end user consents.
    pub fn default_for(eid: Eid, credentials: &[EuiccCredentials]) -> Self {
        Self {
            eid,
            atr: ATR.to_vec().into(),
            credentials: credentials.iter().map(CardCredential::from).collect(),
            trusted_cis: credentials.iter().map(|each| each.ci.der().into()).collect(),
            capabilities: Capabilities::default(),
            root_ds_address: "smds.example.com".to_owned(),
            default_dp_address: None,
            rules_authorisation_table: vec![AuthorisationRule {
                ppr_ids: vec![ppr::PPR1, ppr::PPR2],
                allowed_operators: vec![AllowedOperator {
                    mcc_mnc: [0xEE; 3],
                    gid1: Some(Octets::default()),
                    gid2: Some(Octets::default()),
                }],
                consent_required: true,
            }],
            memory_size: 1 << 20,
            strict: false,
            m2m: None,
            iot: None,
        }
    }

    /// An IoT card with these credentials and eIMs, and otherwise the default card.
    pub fn iot_for(eid: Eid, credentials: &[EuiccCredentials], eims: &[EimConfigurationData]) -> Self {
        let initial_eims = eims.iter().map(|eim| eim.to_der().into()).collect();
        let iot = IotDescription { initial_eims, ..IotDescription::default() };
        Self { iot: Some(Box::new(iot)), ..Self::default_for(eid, credentials) }
    }

    /// The settings of an IoT card.
    pub(crate) fn iot(&self) -> &IotDescription {
        static DEFAULT: IotDescription = IotDescription::DEFAULT;
        self.iot.as_deref().unwrap_or(&DEFAULT)
    }

    /// The capabilities that the card offers to profile packages.
    pub(crate) fn package_capabilities(&self) -> profile::Capabilities {
        let services = self.capabilities.uicc_capability.iter().filter_map(|bit| service(*bit)).collect();
        profile::Capabilities { services, ..profile::Capabilities::default() }
    }

    /// The RAT as returned by ES10b.GetRAT.
    pub(crate) fn rat(&self) -> Vec<ProfilePolicyAuthorisationRule> {
        self.rules_authorisation_table.iter().map(AuthorisationRule::to_wire).collect()
    }
}

/// The profile package service for a bit of UICCCapability.
fn service(bit: usize) -> Option<Service> {
    Some(match bit {
        uicc_capability::USIM => Service::USIM,
        uicc_capability::ISIM => Service::ISIM,
        uicc_capability::CSIM => Service::CSIM,
        uicc_capability::AKA_MILENAGE => Service::MILENAGE,
        uicc_capability::AKA_TUAK128 => Service::TUAK128,
        uicc_capability::AKA_TUAK256 => Service::TUAK256,
        uicc_capability::USIM_TEST_ALGORITHM => Service::USIM_TEST_ALGORITHM,
        uicc_capability::JAVACARD => Service::JAVACARD,
        uicc_capability::MULTIPLE_USIM => Service::MULTIPLE_USIM,
        uicc_capability::BER_TLV => Service::BER_TLV,
        uicc_capability::DF_LINK => Service::DF_LINK,
        uicc_capability::CAT_TP => Service::CAT_TP,
        uicc_capability::GET_IDENTITY => Service::GET_IDENTITY,
        uicc_capability::PROFILE_A_X25519 => Service::PROFILE_A_X25519,
        uicc_capability::PROFILE_B_P256 => Service::PROFILE_B_P256,
        _ => return None,
    })
}

impl From<&EuiccCredentials> for CardCredential {
    fn from(credentials: &EuiccCredentials) -> Self {
        Self {
            euicc_certificate: credentials.euicc.certificate.der().into(),
            euicc_key: credentials.euicc.key.to_bytes().expose().as_slice().into(),
            eum_certificate: credentials.eum.der().into(),
        }
    }
}

impl AuthorisationRule {
    /// True if this line allows the policy rule with this bit for `operator`.
    pub(crate) fn allows(&self, rule: usize, operator: &OperatorId) -> bool {
        self.ppr_ids.contains(&rule)
            && self.allowed_operators.iter().any(|allowed| allowed.to_wire().matches(operator))
    }

    fn to_wire(&self) -> ProfilePolicyAuthorisationRule {
        ProfilePolicyAuthorisationRule {
            ppr_ids: BitString::of(&self.ppr_ids),
            allowed_operators: self.allowed_operators.iter().map(AllowedOperator::to_wire).collect(),
            ppr_flags: BitString::of(if self.consent_required { &[0] } else { &[] }),
        }
    }
}

impl AllowedOperator {
    fn to_wire(&self) -> OperatorId {
        let group = |group: &Option<Octets>| group.as_ref().map(|octets| octets.to_vec());
        OperatorId { mcc_mnc: self.mcc_mnc, gid1: group(&self.gid1), gid2: group(&self.gid2) }
    }
}

mod mcc_mnc_in_hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(octets: &[u8; 3], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode_upper(octets))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 3], D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut octets = [0; 3];
        hex::decode_to_slice(&text, &mut octets)
            .map_err(|_| D::Error::custom(format!("{text:?} does not have six hexadecimal digits")))?;
        Ok(octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_byte_of_the_answer_to_reset_is_correct() {
        assert_eq!(ATR.iter().skip(1).fold(0, |sum, octet| sum ^ octet), 0);
    }

    #[test]
    fn the_default_card_allows_both_policy_rules_for_every_operator() {
        let eid = "89049032000000000000000000000196".parse().unwrap();
        let card = CardDescription::default_for(eid, &[]);
        let [line] = &card.rules_authorisation_table[..] else { panic!("one line is expected") };
        for gid1 in [None, Some(vec![]), Some(vec![7])] {
            let operator = OperatorId { mcc_mnc: [0x62, 0xF2, 0x10], gid1, gid2: None };
            assert!(line.allows(ppr::PPR1, &operator) && line.allows(ppr::PPR2, &operator));
            assert!(!line.allows(ppr::UPDATE_CONTROL, &operator));
        }
    }

    #[test]
    fn a_description_survives_json() {
        let eid: Eid = "89049032000000000000000000000196".parse().unwrap();
        let mut card = CardDescription::iot_for(eid, &[], &[]);
        card.rules_authorisation_table[0].allowed_operators[0].mcc_mnc = [0x62, 0xF2, 0x10];
        let json = serde_json::to_string(&card).unwrap();
        assert!(json.contains("\"62F210\""), "{json}");
        let read: CardDescription = serde_json::from_str(&json).unwrap();
        let operator = OperatorId { mcc_mnc: [0x62, 0xF2, 0x10], gid1: None, gid2: None };
        assert!(read.iot.is_some() && read.rules_authorisation_table[0].allows(ppr::PPR1, &operator));
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        assert!(serde_json::from_str::<CardDescription>(&json.replace("62F210", "62F21")).is_err());
    }

    #[test]
    fn each_capability_of_the_card_offers_its_service() {
        let services = [
            (uicc_capability::USIM, Service::USIM),
            (uicc_capability::ISIM, Service::ISIM),
            (uicc_capability::CSIM, Service::CSIM),
            (uicc_capability::AKA_MILENAGE, Service::MILENAGE),
            (uicc_capability::AKA_TUAK128, Service::TUAK128),
            (uicc_capability::AKA_TUAK256, Service::TUAK256),
            (uicc_capability::USIM_TEST_ALGORITHM, Service::USIM_TEST_ALGORITHM),
            (uicc_capability::JAVACARD, Service::JAVACARD),
            (uicc_capability::MULTIPLE_USIM, Service::MULTIPLE_USIM),
            (uicc_capability::BER_TLV, Service::BER_TLV),
            (uicc_capability::DF_LINK, Service::DF_LINK),
            (uicc_capability::CAT_TP, Service::CAT_TP),
            (uicc_capability::GET_IDENTITY, Service::GET_IDENTITY),
            (uicc_capability::PROFILE_A_X25519, Service::PROFILE_A_X25519),
            (uicc_capability::PROFILE_B_P256, Service::PROFILE_B_P256),
        ];
        for bit in 0..32 {
            let expected = services.iter().find(|(capability, _)| *capability == bit);
            assert_eq!(service(bit), expected.map(|(_, service)| *service), "bit {bit}");
        }
    }
}
