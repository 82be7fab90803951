//! The M2M part of a card description: keys and certificates of the ECASD, the keys of the first
//! SM-SR, the initial profiles. SGP.02 sections 2.2 and 4.1.1; annex E lists the data that the EUM
//! sends to the SM-SR.

use profile::{Octets, SecretOctets};
use rsp::ids::Aid;
use serde::{Deserialize, Serialize};

use super::keys::KeySet;
use super::toolkit::settings::ToolkitSettings;

/// The M2M part of the description of a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct M2mDescription {
    /// CERT.ECASD.ECKA: the complete TLV 7F21, signed by the EUM.
    pub ecasd_certificate: Octets,
    /// SK.ECASD.ECKA: the scalar d in 32 octets, on NIST P-256.
    pub ecasd_key: SecretOctets,
    /// PK.CI.ECDSA: 04 || X || Y on NIST P-256. It verifies the certificates of SM-DPs and SM-SRs.
    pub ci_public_key: Octets,
    /// Security domain image number of the ISD-R (tag 45 of an EIS). It is an input of key
    /// establishment if the server requests it.
    #[serde(default)]
    pub sdin: Octets,
    /// Security domain provider identification number of the ISD-R (tag 42 of an EIS).
    #[serde(default)]
    pub sin: Octets,
    /// Keys of the ISD-R, for SCP80 and SCP81.
    pub key_sets: Vec<KeySet>,
    /// The addresses of the SM-SR.
    #[serde(default)]
    pub addressing: Addressing,
    /// The initial profiles.
    pub profiles: Vec<FactoryProfile>,
    /// Timers and retry limits of the toolkit application.
    #[serde(default)]
    pub toolkit: ToolkitSettings,
}

/// The addresses of the SM-SR, as written by ES5.UpdateSMSRAddressingParameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Addressing {
    /// SMS address: type of number and numbering plan, followed by the digits, two per octet.
    pub sms: Option<Octets>,
    /// HTTPS: the parameters of an administration session (GlobalPlatform Amendment B), contents of
    /// tag 81: `83 {84 connection, 85 security, 86 retry policy, 89 HTTP POST}`.
    pub https: Option<Octets>,
    /// DNS parameters to resolve the name of the SM-SR: contents of tag B3.
    pub dns: Option<Octets>,
}

/// An initial profile of the card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactoryProfile {
    /// Its ISD-P.
    pub isd_p: Aid,
    /// The profile package in TCA format with the subscriber's keys. The header contains POL1 and
    /// the connectivity parameters.
    pub package: SecretOctets,
    /// True if the profile is enabled.
    #[serde(default)]
    pub enabled: bool,
    /// True if the profile has the fallback attribute.
    #[serde(default)]
    pub fallback: bool,
    /// SCP03 keys of the ISD-P, if an SM-DP knows them.
    #[serde(default)]
    pub key_sets: Vec<KeySet>,
}
