//! Functions in progress: the data of each function and of its current step.

pub mod handover;
pub mod switching;
pub mod takeover;

use rsp::{
    ids::{Aid, Eid, Iccid, Oid},
    sgp02::{Octets, eis::ProfileInfo, es5::DeleteToken},
    time::Timestamp,
};
use rsp_server::soap::{Call, Ticket};
use serde::{Deserialize, Serialize};

use self::{handover::HandingOver, switching::Switching};
use crate::es5::JobId;

/// A function that is in progress or waits for its turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Operation {
    /// EID of the card.
    pub eid: Eid,
    /// Position in the queue.
    pub number: u64,
    /// The function to execute.
    pub function: Function,
    /// Caller that waits for the response; `None` if the SM-SR started the function itself.
    #[serde(rename = "asker")]
    pub caller: Option<Caller>,
    /// Time of receipt.
    pub received: Timestamp,
    /// End of the validity period; after that the response is EXPIRED.
    pub expires: Timestamp,
    /// Current step.
    pub step: Step,
}

/// Caller of a function, with the reference for its response.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Caller {
    /// Interface of the call, which determines what the caller is allowed to do.
    pub interface: Interface,
    /// Ticket of the call to answer.
    pub ticket: Ticket,
}

impl Caller {
    /// Returns the caller's OID.
    pub fn id(&self) -> &Oid {
        &self.ticket.caller
    }

    pub(crate) fn requester(&self) -> Requester<'_> {
        Requester { interface: self.interface, id: self.id() }
    }
}

/// Interfaces whose functions need a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interface {
    /// Called by an SM-DP.
    Es3,
    /// Called by an operator.
    Es4,
}

impl Interface {
    /// Returns ES3 or ES4 by its number.
    pub(crate) const fn numbered<const ES: u8>() -> Self {
        const { assert!(matches!(ES, 3 | 4), "only ES3 and ES4 have functions for a card") };
        if ES == 3 { Self::Es3 } else { Self::Es4 }
    }

    /// Returns the caller of a function of this interface.
    pub(crate) fn requester(self, call: &Call) -> Requester<'_> {
        Requester { interface: self, id: &call.caller }
    }
}

/// Requester of a function, with the interface of the call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requester<'a> {
    pub(crate) interface: Interface,
    pub(crate) id: &'a Oid,
}

impl Requester<'_> {
    /// Returns true if a profile belongs to the requester: over ES3 to the SM-DP that installed it,
    /// over ES4 to its operator.
    pub(crate) fn owns(&self, profile: &ProfileInfo) -> bool {
        match self.interface {
            Interface::Es3 => profile.smdp_id.as_ref() == Some(self.id),
            Interface::Es4 => profile.mno_id == *self.id,
        }
    }
}

/// A function to execute on a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Function {
    /// ES3.CreateISDP.
    CreateIsdP {
        /// ICCID of the profile to be installed.
        iccid: Iccid,
        /// Operator of the profile.
        mno_id: Oid,
        /// Required memory in octets.
        required_memory: u32,
        /// True if another function follows.
        more_to_do: bool,
    },
    /// ES3.SendData.
    SendData {
        /// AID of the security domain.
        sd_aid: Aid,
        /// Command script.
        data: Octets,
        /// True if another function follows.
        more_to_do: bool,
    },
    /// ES3.UpdateConnectivityParameters.
    UpdateConnectivityParameters {
        /// ICCID of the profile.
        iccid: Iccid,
        /// Command script for its ISD-P.
        parameters: Octets,
    },
    /// ES3 and ES4.EnableProfile.
    EnableProfile(Iccid),
    /// ES3 and ES4.DisableProfile.
    DisableProfile(Iccid),
    /// ES3.DeleteISDP and ES4.DeleteProfile.
    DeleteProfile(Iccid),
    /// Started by this SM-SR: POL2 deletes the profile because it was disabled.
    AutoDelete(Iccid),
    /// Started by this SM-SR: the download into the ISD-P has failed.
    CleanUp(Iccid),
    /// Deletes a profile regardless of its policy rules: SGP.02 section 3.10.
    MasterDelete {
        /// ICCID of the profile.
        iccid: Iccid,
        /// Proof for the ISD-P that its SM-DP agrees.
        token: MasterDeleteToken,
    },
    /// ES3 and ES4.SetFallBackAttribute.
    SetFallBackAttribute(Iccid),
    /// ES3 and ES4.SetEmergencyProfileAttribute.
    SetEmergencyProfileAttribute(Iccid),
    /// ES3 and ES4.AuditEIS of these profiles, or of all profiles of the caller if the list is
    /// empty.
    AuditEis(Vec<Iccid>),
    /// ES4.SMSRChange, called at this SM-SR: the OID of the target SM-SR.
    SmsrChange(Oid),
}

impl Function {
    /// Returns the ICCID of the profile that the function concerns.
    pub(crate) fn iccid(&self) -> Option<Iccid> {
        match self {
            Self::CreateIsdP { iccid, .. }
            | Self::UpdateConnectivityParameters { iccid, .. }
            | Self::EnableProfile(iccid)
            | Self::DisableProfile(iccid)
            | Self::DeleteProfile(iccid)
            | Self::AutoDelete(iccid)
            | Self::CleanUp(iccid)
            | Self::MasterDelete { iccid, .. }
            | Self::SetFallBackAttribute(iccid)
            | Self::SetEmergencyProfileAttribute(iccid) => Some(*iccid),
            Self::SendData { .. } | Self::AuditEis(_) | Self::SmsrChange(_) => None,
        }
    }

    /// Returns the name in the standard's spelling.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CreateIsdP { .. } => "CreateISDP",
            Self::SendData { .. } => "SendData",
            Self::UpdateConnectivityParameters { .. } => "UpdateConnectivityParameters",
            Self::EnableProfile(_) => "EnableProfile",
            Self::DisableProfile(_) => "DisableProfile",
            Self::DeleteProfile(_) => "DeleteProfile",
            Self::AutoDelete(_) => "AutoDelete",
            Self::CleanUp(_) => "CleanUp",
            Self::MasterDelete { .. } => "MasterDelete",
            Self::SetFallBackAttribute(_) => "SetFallBackAttribute",
            Self::SetEmergencyProfileAttribute(_) => "SetEmergencyProfileAttribute",
            Self::AuditEis(_) => "AuditEIS",
            Self::SmsrChange(_) => "SMSRChange",
        }
    }
}

/// Delete token of a profile, created by its SM-DP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterDeleteToken {
    /// SIN of the ISD-P.
    pub sin: Octets,
    /// SDIN of the ISD-P.
    pub sdin: Octets,
    /// Application provider identifier.
    pub provider: Octets,
    /// Token identifier; it must not have been used for this profile before.
    pub token_id: Octets,
    /// AES-CMAC with the ISD-P's token key.
    pub token: Octets,
}

impl MasterDeleteToken {
    /// Returns the command that contains the token.
    pub(crate) fn master_delete(&self, isd_p: &Aid) -> Vec<u8> {
        let token = DeleteToken {
            sin: self.sin.as_slice(),
            sdin: self.sdin.as_slice(),
            provider: self.provider.as_slice(),
            id: self.token_id.as_slice(),
        };
        token.master_delete(isd_p, self.token.as_slice())
    }
}

/// Current step of a function, with the data that this step needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Step {
    /// Other functions are executed before this one.
    Waiting,
    /// A job was sent to the card, which has not answered.
    AtCard(AtCard),
    /// The card is changing its enabled profile.
    Switching(Switching),
    /// The card is being handed over to another SM-SR.
    HandingOver(Box<HandingOver>),
}

impl Step {
    /// Returns the display name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::AtCard(_) => "at the card",
            Self::Switching(switching) => switching.name(),
            Self::HandingOver(_) => "handing over",
        }
    }
}

/// A job at the card.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AtCard {
    /// Identifier of the job.
    pub job: JobId,
    /// Number of earlier jobs of the function.
    pub part: u32,
}

/// Purpose of a job at the card. The ES5 engine stores it and returns it when the job ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// Executes the function with this number.
    Operation {
        /// Number of the function.
        number: u64,
        /// Number of earlier jobs of the function.
        part: u32,
    },
    /// Confirms a notification of the card.
    Confirmation {
        /// Sequence number of the notification.
        sequence: u16,
    },
    /// Completes the takeover of a card.
    Takeover,
}
