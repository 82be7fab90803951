//! What the SM-DP keeps beside the stock: whom it knows, procedures under way, and the ISD-Ps whose keys it made.

use std::{fmt, str::FromStr};

use rsp::{
    ids::{Aid, Eid, Iccid, Oid},
    sgp02::common::SubscriptionAddress,
    time::Timestamp,
};
use rsp_server::soap::{Peer, Ticket};
use serde::{Deserialize, Serialize};
use world::Collection;

use super::{download::Awaits, relay::Relayed};
use crate::{es8::key_establishment::KeySet, records::OrderId};

/// SM-SRs, by OID.
pub const SM_SRS: Collection<Peer> = Collection::new("m2m-sm-srs");
/// Operators of M2M devices, by OID.
pub const OPERATORS: Collection<Peer> = Collection::new("m2m-operators");
/// Downloads under way: the key is the EID and a number.
pub const DOWNLOADS: Collection<Download> = Collection::new("m2m-downloads");
/// Functions of ES2 that are asked of an SM-SR for an operator, by a number of their own.
pub const RELAYS: Collection<Relay> = Collection::new("m2m-relays");
/// Profiles on M2M eUICCs: the key is EID/ICCID.
pub const ISD_PS: Collection<IsdP> = Collection::new("m2m-isd-ps");
/// What failed downloads may have left on M2M eUICCs: the key is EID/ICCID.
pub const REMNANTS: Collection<Remnant> = Collection::new("m2m-remnants");
/// By what a device is reached under a profile in stock, by ICCID.
pub const ADDRESSES: Collection<SubscriptionAddress> = Collection::new("m2m-addresses");

/// The key of an ISD-P.
pub(crate) fn isd_p_key(eid: Eid, iccid: Iccid) -> String {
    format!("{eid}/{iccid}")
}

/// What the keys of downloads to an eUICC begin with.
pub(crate) fn downloads_to(eid: Eid) -> String {
    format!("{eid}-")
}

/// A profile download (SGP.02 section 3.1), from ES2.DownloadProfile to its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Download {
    /// Who ordered it.
    pub operator: Oid,
    /// Through whom.
    pub sm_sr: Oid,
    /// On which eUICC.
    pub eid: Eid,
    /// Which profile.
    pub iccid: Iccid,
    /// Under which order. Another one of the same profile is not this download's business.
    pub order: OrderId,
    /// Whether it is to be enabled too.
    pub enable: bool,
    /// How the operator is answered.
    pub answer: Ticket,
    /// When its validity period ends.
    pub valid_until: Timestamp,
    /// Counts what was asked of the SM-SR. An answer to anything but the last is not waited for any more.
    pub step: u32,
    /// What comes next.
    pub awaits: Awaits,
}

/// A function of ES2 that an SM-SR carries out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// Who asked.
    pub operator: Oid,
    /// About which eUICC.
    pub eid: Eid,
    /// How the operator is answered.
    pub answer: Ticket,
    /// What is to be done.
    pub function: Relayed,
}

/// A profile on an M2M eUICC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsdP {
    /// Whose profile it is.
    pub operator: Oid,
    /// Who manages the eUICC, as far as we know.
    pub sm_sr: Oid,
    /// Its AID.
    pub aid: Aid,
    /// The SCP03 key set that was established at the download.
    pub keys: KeySet,
    /// The sequence counter that the card named last: the next secure channel has the one after it.
    pub sequence: u32,
    /// Since when.
    pub at: Timestamp,
}

/// A profile that may be on an eUICC or not: its download has failed, and nobody has said that its ISD-P was deleted. The
/// profile stays with that eUICC until somebody does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remnant {
    /// Who had ordered it.
    pub operator: Oid,
    /// Who manages the eUICC, as far as we know.
    pub sm_sr: Oid,
    /// Since when.
    pub at: Timestamp,
}

/// Which procedure an answer of an SM-SR moves on: what stands in the record of the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Procedure {
    /// A download, and how many questions it had asked.
    Download(String, u32),
    /// A function that was passed on.
    Relay(String),
    /// New connectivity parameters for a profile, and the number of the question.
    Connectivity(Eid, Iccid, String),
    /// Whether a profile is still on its card.
    FindOut(Eid, Iccid),
}

impl fmt::Display for Procedure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Download(id, step) => write!(f, "download/{id}/{step}"),
            Self::Relay(id) => write!(f, "relay/{id}"),
            Self::Connectivity(eid, iccid, id) => write!(f, "connectivity/{eid}/{iccid}/{id}"),
            Self::FindOut(eid, iccid) => write!(f, "find-out/{eid}/{iccid}"),
        }
    }
}

/// The record of a question names no procedure of ours.
#[derive(Debug)]
pub(crate) struct NoProcedure;

impl FromStr for Procedure {
    type Err = NoProcedure;

    fn from_str(text: &str) -> Result<Self, NoProcedure> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            ["download", id, step] => {
                Ok(Self::Download((*id).to_owned(), step.parse().map_err(|_| NoProcedure)?))
            }
            ["relay", id] => Ok(Self::Relay((*id).to_owned())),
            ["connectivity", eid, iccid, id] => Ok(Self::Connectivity(
                eid.parse().map_err(|_| NoProcedure)?,
                iccid.parse().map_err(|_| NoProcedure)?,
                (*id).to_owned(),
            )),
            ["find-out", eid, iccid] => Ok(Self::FindOut(
                eid.parse().map_err(|_| NoProcedure)?,
                iccid.parse().map_err(|_| NoProcedure)?,
            )),
            _ => Err(NoProcedure),
        }
    }
}
