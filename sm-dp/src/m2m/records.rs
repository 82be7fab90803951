//! The records of the SM-DP besides the stock: registered peers, procedures in progress, and the
//! ISD-Ps with the keys that it established.

use std::{fmt, str::FromStr};

use rsp::{
    ids::{Aid, Eid, Iccid, Oid},
    sgp02::common::FunctionExecutionStatus,
    time::Timestamp,
};
use rsp_server::soap::{Peer, Ticket};
use serde::{Deserialize, Serialize};
use world::Collection;

use crate::{
    es8::{
        download::{Channel, Opening},
        key_establishment::{Agreement, KeySet},
    },
    records::{Octets, ProfileOrderId},
};

/// SM-SRs, by OID.
pub const SM_SRS: Collection<Peer> = Collection::new("m2m-sm-srs");
/// Operators of M2M devices, by OID.
pub const OPERATORS: Collection<Peer> = Collection::new("m2m-operators");
/// Downloads in progress. The key is the EID and a random number.
pub const DOWNLOADS: Collection<Download> = Collection::new("m2m-downloads");
/// ES2 functions that were forwarded to an SM-SR, by a random identifier.
pub const RELAYS: Collection<Relay> = Collection::new("m2m-relays");
/// Profiles on M2M eUICCs. The key is EID/ICCID.
pub const ISD_PS: Collection<IsdP> = Collection::new("m2m-isd-ps");
/// Profiles that failed downloads may have left on M2M eUICCs. The key is EID/ICCID.
pub const REMNANTS: Collection<Remnant> = Collection::new("m2m-remnants");

/// The key of an ISD-P.
pub(crate) fn isd_p_key(eid: Eid, iccid: Iccid) -> String {
    format!("{eid}/{iccid}")
}

/// The key prefix of the downloads to an eUICC.
pub(crate) fn downloads_to(eid: Eid) -> String {
    format!("{eid}-")
}

/// A profile download (SGP.02 section 3.1), from ES2.DownloadProfile to its response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Download {
    /// The operator that ordered it.
    pub operator: Oid,
    /// The SM-SR that manages the eUICC.
    pub sm_sr: Oid,
    /// The EID of the eUICC.
    pub eid: Eid,
    /// The ICCID of the profile.
    pub iccid: Iccid,
    /// The order that reserved the profile. If the profile gets another order, this download fails.
    pub order: ProfileOrderId,
    /// True if the profile is enabled after the download.
    pub enable: bool,
    /// The ticket for the response to the operator.
    pub answer: Ticket,
    /// The end of the validity period.
    pub valid_until: Timestamp,
    /// The number of requests sent to the SM-SR. Only the response to the last one is evaluated.
    pub step: u32,
    /// The response that the download waits for.
    pub awaits: Awaits,
}

/// The response that a download waits for, with the data that its evaluation needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Awaits {
    /// ES3.GetEIS, which describes the eUICC.
    Eis,
    /// ES3.CreateISDP.
    IsdP {
        /// PK.ECASD.ECKA as an uncompressed point, from the verified certificate.
        ecasd_key: Octets,
    },
    /// The random challenge of the ECASD, in response to CERT.DP.ECDSA.
    RandomChallenge {
        /// The ISD-P.
        isd_p: Aid,
        /// PK.ECASD.ECKA.
        ecasd_key: Octets,
    },
    /// The receipt, which proves that the card has the agreed keys.
    Receipt {
        /// The ISD-P.
        isd_p: Aid,
        /// This server's side of the key agreement.
        agreement: Agreement,
    },
    /// The card's response to INITIALIZE UPDATE in the SCP03t session.
    CardChallenge {
        /// The ISD-P.
        isd_p: Aid,
        /// This server's side of the session.
        opening: Opening,
    },
    /// The card's response to a script that contains SCP03t segments of the profile.
    Segments {
        /// The ISD-P.
        isd_p: Aid,
        /// The session, including the data of earlier card responses.
        channel: Channel,
    },
    /// ES3.ProfileDownloadCompleted.
    Completion {
        /// The record of the ISD-P to write once the SM-SR has confirmed.
        isd_p: IsdP,
    },
    /// ES3.EnableProfile.
    Enabling,
    /// ES3.DeleteISDP, after a failure.
    Undoing {
        /// The failed status that the operator gets, unless the operator has been notified already.
        why: FunctionExecutionStatus,
    },
}

/// An ES2 function that was forwarded to an SM-SR.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// The operator that called the function.
    pub operator: Oid,
    /// The EID of the eUICC.
    pub eid: Eid,
    /// The ticket for the response to the operator.
    pub answer: Ticket,
    /// The forwarded function.
    pub function: Relayed,
}

/// A forwarded function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Relayed {
    /// ES2.EnableProfile.
    Enable(Iccid),
    /// ES2.DisableProfile.
    Disable(Iccid),
    /// ES2.DeleteProfile.
    Delete(Iccid),
    /// ES2.SetFallBackAttribute.
    SetFallBack(Iccid),
    /// ES2.SetEmergencyProfileAttribute.
    SetEmergency(Iccid),
    /// ES2.AuditEIS of these profiles, or of all profiles of the operator if the list is empty.
    Audit(Vec<Iccid>),
}

impl Relayed {
    /// The profiles that the function names.
    pub(super) fn profiles(&self) -> &[Iccid] {
        match self {
            Self::Enable(iccid)
            | Self::Disable(iccid)
            | Self::Delete(iccid)
            | Self::SetFallBack(iccid)
            | Self::SetEmergency(iccid) => std::slice::from_ref(iccid),
            Self::Audit(iccids) => iccids,
        }
    }
}

/// A profile on an M2M eUICC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsdP {
    /// The operator that owns the profile.
    pub operator: Oid,
    /// The SM-SR that manages the eUICC, as far as this server knows.
    pub sm_sr: Oid,
    /// The AID of the ISD-P.
    pub aid: Aid,
    /// The SCP03 key set that was established during the download.
    pub keys: KeySet,
    /// The last sequence counter that the card returned. The next secure channel uses the next
    /// value.
    pub sequence: u32,
    /// The time of the download.
    pub at: Timestamp,
}

/// A profile that may or may not be on an eUICC: its download has failed and the deletion of its
/// ISD-P was not confirmed. The profile stays assigned to that eUICC until the deletion is
/// confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remnant {
    /// The operator that ordered it.
    pub operator: Oid,
    /// The SM-SR that manages the eUICC, as far as this server knows.
    pub sm_sr: Oid,
    /// The time of the failure.
    pub at: Timestamp,
}

/// The procedure that a response of an SM-SR resumes. Its text form is stored with the outgoing
/// request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Procedure {
    /// A download, and its number of requests so far.
    Download(String, u32),
    /// A forwarded function.
    Relay(String),
    /// A connectivity parameter update of a profile, and the identifier of its request.
    Connectivity(Eid, Iccid, String),
    /// An audit that checks if a profile is still on its card.
    Audit(Eid, Iccid),
}

impl fmt::Display for Procedure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Download(id, step) => write!(f, "download/{id}/{step}"),
            Self::Relay(id) => write!(f, "relay/{id}"),
            Self::Connectivity(eid, iccid, id) => write!(f, "connectivity/{eid}/{iccid}/{id}"),
            Self::Audit(eid, iccid) => write!(f, "find-out/{eid}/{iccid}"),
        }
    }
}

/// The text does not name a known procedure.
#[derive(Debug)]
pub(crate) struct UnknownProcedure;

impl FromStr for Procedure {
    type Err = UnknownProcedure;

    fn from_str(text: &str) -> Result<Self, UnknownProcedure> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            ["download", id, step] => {
                Ok(Self::Download((*id).to_owned(), step.parse().map_err(|_| UnknownProcedure)?))
            }
            ["relay", id] => Ok(Self::Relay((*id).to_owned())),
            ["connectivity", eid, iccid, id] => Ok(Self::Connectivity(
                eid.parse().map_err(|_| UnknownProcedure)?,
                iccid.parse().map_err(|_| UnknownProcedure)?,
                (*id).to_owned(),
            )),
            ["find-out", eid, iccid] => Ok(Self::Audit(
                eid.parse().map_err(|_| UnknownProcedure)?,
                iccid.parse().map_err(|_| UnknownProcedure)?,
            )),
            _ => Err(UnknownProcedure),
        }
    }
}
