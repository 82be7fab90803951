//! The operator of an eIM, who registers devices and places orders.

use std::fmt;

use rsp::ids::{Eid, Iccid, SmdpAddress};
use rsp::sgp32::EimConfigurationData;
use rsp::sgp32::eim_configuration::{KeyOrCertificate, SubjectPublicKeyInfo};
use serde::Serialize;
use world::{BoxFuture, Fault};

/// The interface to the operator of an eIM. It is proprietary, because SGP.32 does not define one.
pub trait Operator: Send + Sync {
    /// Registers a device. The eIM knows its EID only, and requests its other data from the IPA.
    fn register(&self, eid: Eid) -> BoxFuture<'_, Result<(), Fault>>;

    /// Orders one package with these operations, in this order.
    fn order<'a>(&'a self, eid: Eid, operations: &'a [Operation]) -> BoxFuture<'a, Result<(), Fault>>;
}

/// An operation of an order. The text form is that of `landfall eim order`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// listProfileInfo.
    List,
    /// getRAT.
    Rat,
    /// enable.
    Enable(Iccid),
    /// enable with rollbackFlag.
    EnableWithRollback(Iccid),
    /// disable.
    Disable(Iccid),
    /// delete.
    Delete(Iccid),
    /// setFallbackAttribute.
    SetFallback(Iccid),
    /// unsetFallbackAttribute.
    UnsetFallback,
    /// configureImmediateEnable with immediateEnableFlag, for any SM-DP+.
    ImmediateEnable,
    /// setDefaultDpAddress.
    DefaultSmdp(String),
    /// listEim.
    ListEims,
    /// addEim.
    AddEim(OtherEim),
    /// updateEim for another eIM.
    UpdateEim(OtherEim),
    /// deleteEim.
    DeleteEim(String),
    /// updateEim with the next signing key of the eIM under test.
    ReplaceKey,
    /// A request for data of the device.
    Data,
    /// The download of a profile with this activation code.
    Download(String),
    /// The same, but the eIM keeps the code, and the IPA downloads through the eIM.
    DownloadKept(String),
    /// The download of a profile from the default SM-DP+ of the eUICC.
    DownloadDefault,
    /// The download of the first event of this SM-DS.
    DownloadEvent(SmdpAddress),
}

/// The configuration of another eIM in an order. Its text form is JSON, with the public key as a
/// SubjectPublicKeyInfo in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OtherEim {
    /// The identifier.
    pub eim_id: String,
    /// The host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fqdn: Option<String>,
    /// The initial counter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counter: Option<i64>,
    /// The key that verifies packages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
}

impl OtherEim {
    /// Returns the elements of a configuration that an order has.
    pub(super) fn of(data: &EimConfigurationData) -> Self {
        let public_key = match &data.eim_public_key_data {
            Some(KeyOrCertificate::PublicKey(SubjectPublicKeyInfo(key))) => Some(hex::encode_upper(key)),
            _ => None,
        };
        Self {
            eim_id: data.eim_id.clone(),
            fqdn: data.eim_fqdn.clone(),
            counter: data.counter_value,
            public_key,
        }
    }
}

impl fmt::Display for OtherEim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl Operation {
    /// True for the operations that are in a list of eCOs.
    pub(super) fn is_of_eims(&self) -> bool {
        use Operation as Op;
        matches!(self, Op::ListEims | Op::AddEim(_) | Op::UpdateEim(_) | Op::DeleteEim(_) | Op::ReplaceKey)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List => f.write_str("list"),
            Self::Rat => f.write_str("rat"),
            Self::Enable(iccid) => write!(f, "enable:{iccid}"),
            Self::EnableWithRollback(iccid) => write!(f, "enable-with-rollback:{iccid}"),
            Self::Disable(iccid) => write!(f, "disable:{iccid}"),
            Self::Delete(iccid) => write!(f, "delete:{iccid}"),
            Self::SetFallback(iccid) => write!(f, "set-fallback:{iccid}"),
            Self::UnsetFallback => f.write_str("unset-fallback"),
            Self::ImmediateEnable => f.write_str("immediate-enable"),
            Self::DefaultSmdp(address) => write!(f, "default-sm-dp:{address}"),
            Self::ListEims => f.write_str("list-eims"),
            Self::AddEim(eim) => write!(f, "add-eim:{eim}"),
            Self::UpdateEim(eim) => write!(f, "update-eim:{eim}"),
            Self::DeleteEim(id) => write!(f, "delete-eim:{id}"),
            Self::ReplaceKey => f.write_str("replace-key"),
            Self::Data => f.write_str("data"),
            Self::Download(code) => write!(f, "download:{code}"),
            Self::DownloadKept(code) => write!(f, "download:{code} --kept"),
            Self::DownloadDefault => f.write_str("download-default"),
            Self::DownloadEvent(address) => write!(f, "download-event:{address}"),
        }
    }
}
