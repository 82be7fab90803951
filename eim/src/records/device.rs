//! Devices: eUICCs with which the eIM is associated.

use std::collections::{BTreeSet, VecDeque};

use rsp::{
    der::{Asn1, Raw},
    ids::{CertificateDer, Eid, TransactionId},
    sgp22::{DeviceInfo, EuiccInfo1, EuiccInfo2},
    sgp32::{
        StateChangeCause,
        compact::KnownEuicc,
        ipa_data::{IpaCapabilities, IpaEuiccData},
    },
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

use super::Octets;

/// An eUICC with which the eIM is associated, and the device that contains it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// The eUICC.
    pub eid: Eid,
    /// The association between eIM and eUICC.
    pub association: Association,
    /// The certificates of the eUICC, if they are known. Results cannot be verified without them.
    pub certificates: Option<Certificates>,
    /// The data that the IPA reported, if it has.
    pub data: Option<DeviceData>,
    /// True if the eIM requests the data of the device before it sends the next package.
    pub is_data_wanted: bool,
    /// Orders that have not ended, first to last.
    pub open: VecDeque<TransactionId>,
    /// Orders that have ended, oldest first. The oldest are deleted when there are too many.
    pub ended: VecDeque<TransactionId>,
    /// Keys of the notifications that wait for their recipients.
    pub waiting_notifications: BTreeSet<String>,
    /// Sessions whose installation results the eIM remembers, oldest first.
    pub forwarded_results: VecDeque<TransactionId>,
    /// The time of the registration.
    pub registered: Timestamp,
    /// The time of the last request for a package.
    pub last_poll: Option<Timestamp>,
    /// The last change that was made without this eIM.
    pub state_change: Option<StateChange>,
    /// MCC and MNC of the last registered network, as the IPA reported them.
    pub r_plmn: Option<Octets>,
}

/// The association between eIM and eUICC: SGP.32 section 2.11.1.1.1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Association {
    /// The counter of the last package.
    pub counter: i64,
    /// The association token, if there is one.
    pub token: Option<i64>,
    /// The number of the signing key that the eUICC knows. The first is 0.
    pub key: usize,
}

/// Certificates of an eUICC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificates {
    /// CERT.EUM, DER.
    pub eum: Octets,
    /// CERT.EUICC, DER.
    pub euicc: Octets,
}

/// Data of a device that its IPA reported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceData {
    /// EUICCInfo1, DER.
    pub euicc_info1: Option<Octets>,
    /// EUICCInfo2, DER.
    pub euicc_info2: Option<Octets>,
    /// The default SM-DP+.
    pub default_smdp_address: Option<String>,
    /// The root SM-DS.
    pub root_smds_address: Option<String>,
    /// The functions of the IPA (`rsp::sgp32::ipa_data::ipa_features`), if it reported them.
    pub ipa_features: Option<Vec<usize>>,
    /// The protocols of the IPA (`rsp::sgp32::ipa_data::protocols`), if it reported them.
    pub ipa_protocols: Option<Vec<usize>>,
    /// DeviceInfo, DER.
    pub device_info: Option<Octets>,
}

/// A change that was made without this eIM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateChange {
    /// The cause, if the IPA reported one.
    pub cause: Option<StateChangeCause>,
    /// The time at which the eIM was notified.
    pub at: Timestamp,
}

impl Device {
    /// Creates a device without orders.
    pub fn new(
        eid: Eid,
        association: Association,
        certificates: Option<Certificates>,
        now: Timestamp,
    ) -> Self {
        Self {
            eid,
            association,
            is_data_wanted: true,
            certificates,
            data: None,
            open: VecDeque::new(),
            ended: VecDeque::new(),
            waiting_notifications: BTreeSet::new(),
            forwarded_results: VecDeque::new(),
            registered: now,
            last_poll: None,
            state_change: None,
            r_plmn: None,
        }
    }

    /// True if the IPA reported this bit of `ipa_features`.
    pub fn has_feature(&self, bit: usize) -> bool {
        self.features().is_some_and(|features| features.contains(&bit))
    }

    /// Returns the bits of `ipa_features` that the IPA reported.
    pub fn features(&self) -> Option<&[usize]> {
        self.data.as_ref()?.ipa_features.as_deref()
    }

    /// Returns EUICCInfo1.
    pub fn euicc_info1(&self) -> Option<EuiccInfo1> {
        decoded(self.data.as_ref()?.euicc_info1.as_ref())
    }

    /// Returns the description of the device.
    pub fn device_info(&self) -> Option<DeviceInfo> {
        decoded(self.data.as_ref()?.device_info.as_ref())
    }

    /// Returns what is known of the eUICC, for the expansion of compact forms.
    pub fn known(&self) -> KnownEuicc {
        let certificates = self.certificates.as_ref();
        KnownEuicc {
            euicc_info2: self
                .data
                .as_ref()
                .and_then(|data| decoded::<Raw<EuiccInfo2>>(data.euicc_info2.as_ref())),
            ctx_params1: None,
            euicc_certificate: certificates.map(|it| CertificateDer(it.euicc.0.clone())),
            eum_certificate: certificates.map(|it| CertificateDer(it.eum.0.clone())),
        }
    }

    /// Stores the data that the IPA reported. Elements that are absent stay as they are.
    pub fn learn(&mut self, reported: &IpaEuiccData) {
        let data = self.data.get_or_insert_default();
        let octets = |der: &[u8]| Some(Octets::from(der));
        if let Some(info) = &reported.euicc_info1 {
            data.euicc_info1 = octets(info.bytes());
        }
        if let Some(info) = &reported.euicc_info2 {
            data.euicc_info2 = octets(info.bytes());
        }
        if let Some(address) = &reported.default_smdp_address {
            data.default_smdp_address = Some(address.clone());
        }
        if let Some(address) = &reported.root_smds_address {
            data.root_smds_address = Some(address.clone());
        }
        if let Some(device_info) = &reported.device_info {
            data.device_info = octets(&device_info.to_der());
        }
        if let Some(IpaCapabilities { ipa_features, ipa_supported_protocols, .. }) =
            &reported.ipa_capabilities
        {
            data.ipa_features = Some(ipa_features.ones());
            data.ipa_protocols = ipa_supported_protocols.as_ref().map(|bits| bits.ones());
        }
    }
}

fn decoded<T: Asn1>(der: Option<&Octets>) -> Option<T> {
    T::from_der(&der?.0).ok()
}
