//! What makes a card an M2M eUICC: keys and certificates of its ECASD, the keys of its first SM-SR, the profiles that
//! it leaves the factory with. SGP.02 sections 2.2 and 4.1.1; annex E says which of it the EUM tells the SM-SR.

use profile::{Octets, SecretOctets};
use rsp::ids::Aid;
use serde::{Deserialize, Serialize};

use super::keys::KeySet;
use super::toolkit;

/// The M2M part of the description of a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct M2mDescription {
    /// CERT.ECASD.ECKA: the whole of 7F21, signed by the EUM.
    pub ecasd_certificate: Octets,
    /// SK.ECASD.ECKA: the number d in 32 octets, on NIST P-256.
    pub ecasd_key: SecretOctets,
    /// PK.CI.ECDSA: 04 || X || Y on NIST P-256. Certificates of SM-DPs and SM-SRs are checked against it.
    pub ci_public_key: Octets,
    /// Security domain image number of the ISD-R (tag 45 of an EIS): part of key establishment where the other side asks
    /// for it.
    #[serde(default)]
    pub sdin: Octets,
    /// Security domain provider identification number of the ISD-R (tag 42 of an EIS).
    #[serde(default)]
    pub sin: Octets,
    /// Keys of the ISD-R, for SCP80 and SCP81.
    pub key_sets: Vec<KeySet>,
    /// Where the SM-SR is reached.
    #[serde(default)]
    pub addressing: Addressing,
    /// Profiles that are on the card from the start.
    pub profiles: Vec<FactoryProfile>,
    /// Timers and numbers of attempts.
    #[serde(default)]
    pub toolkit: toolkit::Numbers,
}

/// Where the SM-SR is reached: what ES5.UpdateSMSRAddressingParameters writes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Addressing {
    /// Over SMS: type of number and numbering plan, then the digits, two an octet.
    pub sms: Option<Octets>,
    /// Over HTTPS: the parameters of an administration session (GlobalPlatform Amendment B), contents of tag 81: `83
    /// {84 connection, 85 security, 86 retry policy, 89 HTTP POST}`.
    pub https: Option<Octets>,
    /// Where the name of the SM-SR is resolved: contents of tag B3.
    pub dns: Option<Octets>,
}

/// A profile that the card leaves the factory with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactoryProfile {
    /// Its ISD-P.
    pub isd_p: Aid,
    /// The profile package as the TCA has it, with the keys of its subscriber. POL1 and connectivity parameters are in its
    /// header.
    pub package: SecretOctets,
    /// Whether it is the one that is enabled.
    #[serde(default)]
    pub enabled: bool,
    /// Whether it has the fallback attribute.
    #[serde(default)]
    pub fallback: bool,
    /// SCP03 keys of its ISD-P, if an SM-DP has them.
    #[serde(default)]
    pub key_sets: Vec<KeySet>,
}
