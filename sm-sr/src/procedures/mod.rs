//! What takes longer than a request: SGP.02 section 3. A function that needs the card is a record from the moment it is
//! asked until its asker has the answer in the outbox.
//!
//! The functions of one card stand in a queue; the first that may begin is at the card, the others wait. Every step is
//! taken in one transaction, by one of four callers: somebody asks (`submit`), a job at the card ends (`job_ended`),
//! the card tells something (`notified`), time passes (`run_deadline`). What a step has to say to others goes into
//! outboxes with it, so a restart between any two steps loses nothing.

mod answer;
mod attributes;
mod card_status;
pub(crate) mod check;
mod connectivity;
mod create;
mod delete;
mod euicc_audit;
pub mod farewell;
pub mod handover;
mod news;
mod notification;
mod personalisation;
mod queue;
mod send_data;
mod switch;
pub mod takeover;

use std::time::Duration;

use rsp::{
    ids::{Aid, Eid, Iccid, Oid},
    ota::script::Script,
    sgp02::{
        BaseRequest, Octets,
        eis::{OperationType, ProfileInfo},
        es5::DeleteToken,
    },
    time::Timestamp,
};
use rsp_server::soap::{Answer, Call, Decision, Ticket};
use serde::{Deserialize, Serialize};
use world::Fault;

pub(crate) use answer::Outcome;
pub(crate) use notification::notified;
pub(crate) use queue::{job_ended, run_deadline, submit};
pub use switch::{SwitchStep, Switching};

use crate::{
    audit,
    context::Context,
    es5::{self, Effect, Job, JobId},
    outward,
    records::{Deadline, OPERATIONS, numbered},
    router::By,
};

/// A function that is under way or waits for its turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Operation {
    /// The card.
    pub eid: Eid,
    /// Its place in the queue.
    pub number: u64,
    /// What is to be done.
    pub function: Function,
    /// Who is waiting for it; nobody, when the SM-SR does it of its own accord.
    pub asker: Option<Asker>,
    /// Since when.
    pub received: Timestamp,
    /// Until when; after that the answer is EXPIRED.
    pub expires: Timestamp,
    /// Where it stands.
    pub step: Step,
}

/// Who asked, and how the answer finds the way back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Asker {
    /// Over which interface it asked, and so what it may do.
    pub interface: Interface,
    /// The call that is to be answered.
    pub ticket: Ticket,
}

impl Asker {
    /// Its OID.
    pub fn id(&self) -> &Oid {
        &self.ticket.caller
    }

    pub(crate) fn by(&self) -> By<'_> {
        By { interface: self.interface, id: self.id() }
    }
}

/// The interfaces whose functions wait for a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interface {
    /// From an SM-DP.
    Es3,
    /// From an operator.
    Es4,
}

/// What is to be done with a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Function {
    /// ES3.CreateISDP.
    CreateIsdP {
        /// Of the profile that will be in it.
        iccid: Iccid,
        /// Whose profile that is.
        mno_id: Oid,
        /// Octets.
        required_memory: u32,
        /// Another function follows.
        more_to_do: bool,
    },
    /// ES3.SendData.
    SendData {
        /// To this security domain.
        sd_aid: Aid,
        /// A command script.
        data: Octets,
        /// Another function follows.
        more_to_do: bool,
    },
    /// ES3.UpdateConnectivityParameters.
    UpdateConnectivityParameters {
        /// Of the profile.
        iccid: Iccid,
        /// A command script for its ISD-P.
        parameters: Octets,
    },
    /// ES3 and ES4.EnableProfile.
    EnableProfile(Iccid),
    /// ES3 and ES4.DisableProfile.
    DisableProfile(Iccid),
    /// ES3.DeleteISDP and ES4.DeleteProfile.
    DeleteProfile(Iccid),
    /// Of our own accord: POL2 deletes the profile because it was disabled.
    AutoDelete(Iccid),
    /// Of our own accord: the download into the ISD-P was given up.
    CleanUp(Iccid),
    /// Deletes a profile whatever its policy rules say: SGP.02 section 3.10.
    MasterDelete {
        /// The profile.
        iccid: Iccid,
        /// What proves to the ISD-P that its SM-DP agrees.
        token: MasterDeleteToken,
    },
    /// ES3 and ES4.SetFallBackAttribute.
    SetFallBackAttribute(Iccid),
    /// ES3 and ES4.SetEmergencyProfileAttribute.
    SetEmergencyProfileAttribute(Iccid),
    /// ES3 and ES4.AuditEIS; every profile of the asker's when none is named.
    AuditEis(Vec<Iccid>),
    /// ES4.SMSRChange, to this SM-SR.
    SmsrChange(Oid),
}

/// The delete token of a profile, made by its SM-DP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterDeleteToken {
    /// SIN of the ISD-P.
    pub sin: Octets,
    /// SDIN of the ISD-P.
    pub sdin: Octets,
    /// Application provider identifier.
    pub provider: Octets,
    /// Never used before with this profile.
    pub token_id: Octets,
    /// AES-CMAC by the ISD-P's token key.
    pub token: Octets,
}

impl MasterDeleteToken {
    /// The command that carries it.
    fn master_delete(&self, isd_p: &Aid) -> Vec<u8> {
        let token = DeleteToken {
            sin: self.sin.as_slice(),
            sdin: self.sdin.as_slice(),
            provider: self.provider.as_slice(),
            id: self.token_id.as_slice(),
        };
        token.master_delete(isd_p, self.token.as_slice())
    }
}

/// Where a function stands, with what that point needs and nothing else.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Step {
    /// Others are before it.
    Waiting,
    /// The card has been sent something and has not answered.
    AtCard(AtCard),
    /// The card changes its profile.
    Switching(Switching),
    /// The card is being handed over to another SM-SR.
    HandingOver(Box<handover::HandingOver>),
}

/// A job at the card.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AtCard {
    /// Which.
    pub job: JobId,
    /// How many the function had before.
    pub part: u32,
}

/// What a job at the card is for; es5 keeps it and gives it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// For the function with this number.
    Operation {
        /// The function.
        number: u64,
        /// How many jobs it had before.
        part: u32,
    },
    /// Confirms the card's notification of this number.
    Confirmation {
        /// The notification.
        sequence: u16,
    },
    /// Finishes taking over a card.
    Takeover,
}

/// What a function comes to when it begins.
pub(crate) enum Started {
    /// Something goes to the card.
    AtCard(ToCard),
    /// Nothing needs the card.
    Done(Outcome),
    /// Somebody else was asked.
    Step(Step),
}

/// A script for the card.
pub(crate) struct ToCard {
    pub(crate) target: Aid,
    pub(crate) script: Script,
    pub(crate) more_to_do: bool,
    pub(crate) effect: Effect,
}

impl ToCard {
    /// For the ISD-R.
    pub(crate) fn isd_r(script: Script, effect: Effect) -> Self {
        Self { target: isd_r(), script, more_to_do: false, effect }
    }
}

/// The AID of the ISD-R.
pub(crate) fn isd_r() -> Aid {
    Aid(Aid::ISD_R.to_vec())
}

/// A script of one command.
pub(crate) fn one(apdu: Vec<u8>) -> Script {
    Script::of_apdus([apdu])
}

impl Purpose {
    pub(crate) fn to_text(&self) -> Result<String, Fault> {
        outward::to_text(self)
    }
}

/// Takes in a function that was asked for; its answer comes by the ticket of the call.
pub(crate) async fn take_in<R>(
    context: &mut Context<'_, '_>,
    call: &Call,
    interface: Interface,
    base: &BaseRequest,
    eid: Eid,
    function: Function,
) -> Decision<Answer<R>> {
    let asked = base.validity_period.map(Duration::from_secs);
    let expires = context.now.plus(context.config.validity(asked));
    let asker = Asker { interface, ticket: call.ticket() };
    submit(context, eid, function, Some(asker), expires).await?;
    Ok(Answer::Later)
}

impl Function {
    /// The profile it is about.
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

    /// Whether it is done of our own accord, and so again when it has failed. Whoever asks for a master delete sees how it
    /// ends.
    fn is_own(&self) -> bool {
        matches!(self, Self::AutoDelete(_) | Self::CleanUp(_) | Self::AuditEis(_))
    }

    /// The profile whose ISD-P is there, perhaps, when the card has not answered.
    fn may_have_made(&self) -> Option<Iccid> {
        match self {
            Self::CreateIsdP { iccid, .. } => Some(*iccid),
            _ => None,
        }
    }

    /// As the audit trail names it, if it is written there.
    fn audited_as(&self) -> Option<OperationType> {
        Some(match self {
            Self::CreateIsdP { .. } => OperationType::CREATE_ISDP,
            Self::EnableProfile(_) => OperationType::ENABLE_PROFILE,
            Self::DisableProfile(_) => OperationType::DISABLE_PROFILE,
            Self::DeleteProfile(_) | Self::AutoDelete(_) | Self::CleanUp(_) => OperationType::DELETE_PROFILE,
            Self::MasterDelete { .. } => OperationType::MASTER_DELETE,
            Self::SetFallBackAttribute(_) => OperationType::SET_FALLBACK_ATTRIBUTE,
            Self::SetEmergencyProfileAttribute(_) => audit::SET_EMERGENCY_PROFILE_ATTRIBUTE,
            Self::UpdateConnectivityParameters { .. } => audit::UPDATE_CONNECTIVITY_PARAMETERS,
            Self::AuditEis(_) => OperationType::CAPABILITY_AUDIT,
            // The data of a download is the SM-DP's; a card that has gone has no trail here any more.
            Self::SendData { .. } | Self::SmsrChange(_) => return None,
        })
    }

    /// In the standard's spelling.
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

impl Step {
    /// For people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::AtCard(_) => "at the card",
            Self::Switching(switching) => switching.name(),
            Self::HandingOver(_) => "handing over",
        }
    }
}

impl Operation {
    /// Who asked; nobody for what the SM-SR does of its own accord.
    pub(crate) fn asker_id(&self) -> Option<&Oid> {
        self.asker.as_ref().map(Asker::id)
    }

    /// Who learns from the answer what becomes of this profile: over ES4 the operator, of every profile of its own; over ES3
    /// the SM-DP, of the one that it has asked about. Others that it has put on the card may be another operator's.
    pub(crate) fn answers_for(&self, profile: &ProfileInfo) -> Option<By<'_>> {
        let asker = self.asker.as_ref()?;
        let is_told = asker.interface == Interface::Es4 || self.function.iccid() == Some(profile.iccid);
        is_told.then(|| asker.by())
    }

    /// Whether the card may have changed in a way that only an audit shows, when it has not answered. What has to be done of
    /// our own accord is done again until it is answered.
    fn may_have_changed(&self) -> bool {
        matches!(
            self.function,
            Function::DeleteProfile(_) | Function::MasterDelete { .. } | Function::SetFallBackAttribute(_)
        )
    }

    fn deadline(&self) -> Deadline {
        Deadline::Operation { eid: self.eid, number: self.number }
    }

    pub(crate) fn keep(&self, context: &mut Context<'_, '_>) -> Result<(), Fault> {
        context.tx.put(&OPERATIONS, &numbered(self.eid, self.number), self)
    }

    fn forget(&self, context: &mut Context<'_, '_>) {
        context.tx.delete(&OPERATIONS, &numbered(self.eid, self.number));
        context.clear_deadline(self.expires, &self.deadline());
    }

    /// Sends something to the card for this function.
    pub(crate) async fn send(
        &self,
        context: &mut Context<'_, '_>,
        part: u32,
        what: ToCard,
    ) -> Result<JobId, Fault> {
        self.send_until(context, self.expires, part, what).await
    }

    /// The same, for a shorter time.
    pub(crate) async fn send_until(
        &self,
        context: &mut Context<'_, '_>,
        valid_until: Timestamp,
        part: u32,
        what: ToCard,
    ) -> Result<JobId, Fault> {
        let job = Job {
            eid: self.eid,
            target: what.target,
            script: what.script,
            valid_until,
            more_to_do: what.more_to_do,
            urgent: false,
            via: None,
            effect: what.effect,
            purpose: Purpose::Operation { number: self.number, part }.to_text()?,
        };
        es5::enqueue(context.tx, context.now, job).await
    }
}
