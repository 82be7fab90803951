//! Procedures that take longer than a request: SGP.02 section 3. A function that needs the card is
//! a record from its acceptance until its response is in the outbox.
//!
//! The functions of one card form a queue. The first one that is allowed to begin is in progress at
//! the card; the others wait. Every step is one transaction with one of four triggers: a call
//! (`submit`), the end of a job at the card (`job_ended`), a notification of the card (`notified`),
//! and a deadline (`run_deadline`). Messages that a step sends go into the outboxes in the same
//! transaction, so a restart between two steps loses nothing.

mod answer;
mod attributes;
mod card_status;
pub(crate) mod check;
mod connectivity;
mod create;
mod delete;
mod euicc_audit;
pub mod handover;
pub mod handover_finalisation;
mod notification;
mod personalisation;
mod profile_changes;
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
    outgoing,
    records::{Deadline, OPERATIONS, numbered},
    router::Requester,
};

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
    pub asker: Option<Asker>,
    /// Time of receipt.
    pub received: Timestamp,
    /// End of the validity period; after that the response is EXPIRED.
    pub expires: Timestamp,
    /// Current step.
    pub step: Step,
}

/// Caller of a function, with the reference for its response.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Asker {
    /// Interface of the call, which determines what the caller is allowed to do.
    pub interface: Interface,
    /// Ticket of the call to answer.
    pub ticket: Ticket,
}

impl Asker {
    /// Returns the caller's OID.
    pub fn id(&self) -> &Oid {
        &self.ticket.caller
    }

    pub(crate) fn by(&self) -> Requester<'_> {
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

/// Current step of a function, with the data that this step needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Step {
    /// Other functions are first.
    Waiting,
    /// A job was sent to the card, which has not answered.
    AtCard(AtCard),
    /// The card is changing its enabled profile.
    Switching(Switching),
    /// The card is being handed over to another SM-SR.
    HandingOver(Box<handover::HandingOver>),
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

/// Result of starting a function.
pub(crate) enum Started {
    /// A script must be sent to the card.
    AtCard(CardScript),
    /// The function has ended without the card.
    Done(Outcome),
    /// The function waits for another party.
    Step(Step),
}

/// A script for the card.
pub(crate) struct CardScript {
    pub(crate) target: Aid,
    pub(crate) script: Script,
    pub(crate) more_to_do: bool,
    pub(crate) effect: Effect,
}

impl CardScript {
    /// Creates a script for the ISD-R.
    pub(crate) fn isd_r(script: Script, effect: Effect) -> Self {
        Self { target: isd_r(), script, more_to_do: false, effect }
    }
}

/// Returns the AID of the ISD-R.
pub(crate) fn isd_r() -> Aid {
    Aid(Aid::ISD_R.to_vec())
}

/// Returns a script with one command.
pub(crate) fn single_command(apdu: Vec<u8>) -> Script {
    Script::of_apdus([apdu])
}

impl Purpose {
    pub(crate) fn to_text(&self) -> Result<String, Fault> {
        outgoing::to_text(self)
    }
}

/// Accepts a function of a call. The response is sent later by the ticket of the call.
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

    /// Returns true if the SM-SR starts this function itself and therefore retries it after a
    /// failure. MasterDelete is not one of them: its caller sees the result.
    fn is_own(&self) -> bool {
        matches!(self, Self::AutoDelete(_) | Self::CleanUp(_) | Self::AuditEis(_))
    }

    /// Returns the profile whose ISD-P may exist if the card has not answered.
    fn may_have_created(&self) -> Option<Iccid> {
        match self {
            Self::CreateIsdP { iccid, .. } => Some(*iccid),
            _ => None,
        }
    }

    /// Returns the operation type for the audit trail; `None` if the function is not recorded.
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
            // The data of a download belongs to the SM-DP; a card that was handed over has no trail
            // here any more.
            Self::SendData { .. } | Self::SmsrChange(_) => return None,
        })
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

impl Operation {
    /// Returns the OID of the caller; `None` for a function that the SM-SR started itself.
    pub(crate) fn asker_id(&self) -> Option<&Oid> {
        self.asker.as_ref().map(Asker::id)
    }

    /// Returns the caller if its response tells it about changes of this profile. Over ES4 that is
    /// the operator, for each of its profiles. Over ES3 it is the SM-DP, for the profile named in
    /// the call only, because its other profiles on the card may belong to other operators.
    pub(crate) fn answers_for(&self, profile: &ProfileInfo) -> Option<Requester<'_>> {
        let asker = self.asker.as_ref()?;
        let is_told = asker.interface == Interface::Es4 || self.function.iccid() == Some(profile.iccid);
        is_told.then(|| asker.by())
    }

    /// Returns true if the card may have changed without answering, so that an audit is needed.
    /// Functions that the SM-SR started itself are retried until they are answered.
    fn may_have_changed(&self) -> bool {
        matches!(
            self.function,
            Function::DeleteProfile(_) | Function::MasterDelete { .. } | Function::SetFallBackAttribute(_)
        )
    }

    fn deadline(&self) -> Deadline {
        Deadline::Operation { eid: self.eid, number: self.number }
    }

    pub(crate) fn store(&self, context: &mut Context<'_, '_>) -> Result<(), Fault> {
        context.tx.put(&OPERATIONS, &numbered(self.eid, self.number), self)
    }

    fn delete_record(&self, context: &mut Context<'_, '_>) {
        context.tx.delete(&OPERATIONS, &numbered(self.eid, self.number));
        context.clear_deadline(self.expires, &self.deadline());
    }

    /// Sends a script to the card for this function.
    pub(crate) async fn send(
        &self,
        context: &mut Context<'_, '_>,
        part: u32,
        what: CardScript,
    ) -> Result<JobId, Fault> {
        self.send_until(context, self.expires, part, what).await
    }

    /// Sends a script to the card for this function, with another end of validity.
    pub(crate) async fn send_until(
        &self,
        context: &mut Context<'_, '_>,
        valid_until: Timestamp,
        part: u32,
        what: CardScript,
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
