//! Procedures that take longer than a request: SGP.02 section 3. A function that needs the card is
//! a record from its acceptance until its response is in the outbox.
//!
//! The functions of one card form a queue. The first one that is allowed to begin is in progress at
//! the card; the others wait. Every step is one transaction with one of four triggers: a call
//! (`submit`), the end of a job at the card (`job_ended`), a notification of the card (`notified`),
//! and a deadline (`run_deadline`). Messages that a step sends go into the outboxes in the same
//! transaction, so a restart between two steps loses nothing.
//!
//! `queue` keeps the order of the functions. Each of the other files executes one function, and
//! `dispatch` begins the next function and passes events to the functions. The data types are in
//! [`state`](crate::state).

mod answer;
mod attributes;
mod card_status;
pub(crate) mod check;
mod connectivity;
mod continuation;
mod create;
mod delete;
mod dispatch;
mod euicc_audit;
pub(crate) mod handover;
mod handover_finalisation;
mod key_sets;
mod notification;
mod personalisation;
mod profile_changes;
mod queue;
mod send_data;
mod switch;
pub(crate) mod takeover;
mod takeover_record;

use std::time::Duration;

use rsp::{
    ids::{Aid, Eid, Iccid, Oid},
    ota::script::Script,
    sgp02::{
        BaseRequest,
        eis::{OperationType, ProfileInfo},
    },
    time::Timestamp,
};
use rsp_server::soap::{Answer, Call, Decision};
use world::Fault;

pub(crate) use crate::state::Requester;
pub use crate::state::{AtCard, Caller, Function, Interface, MasterDeleteToken, Operation, Purpose, Step};
pub(crate) use answer::Outcome;
pub(crate) use continuation::resumed;
pub(crate) use dispatch::{advance, job_ended, notified, run_deadline, submit};

use crate::{
    audit,
    context::Context,
    es5::{self, Effect, Job, JobId},
    outgoing,
    records::{Deadline, OPERATIONS, numbered},
};

/// Result of starting a function.
pub(crate) enum Started {
    /// A script must be sent to the card.
    AtCard(CardScript),
    /// The function has ended without the card.
    Done(Outcome),
    /// The function waits for another party.
    Step(Step),
}

impl Started {
    /// Starts a function with one command for the ISD-R.
    fn one_command(apdu: Vec<u8>, effect: Effect) -> Self {
        Self::AtCard(CardScript::isd_r(single_command(apdu), effect))
    }
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

/// Accepts the function that a call requests. The response is sent later with the ticket of the
/// call.
pub(crate) async fn accept<R>(
    context: &mut Context<'_, '_>,
    call: &Call,
    interface: Interface,
    base: &BaseRequest,
    eid: Eid,
    function: Function,
) -> Decision<Answer<R>> {
    let requested = base.validity_period.map(Duration::from_secs);
    let expires = context.now.plus(context.config.validity(requested));
    let caller = Caller { interface, ticket: call.ticket() };
    submit(context, eid, function, Some(caller), expires).await?;
    Ok(Answer::Later)
}

impl Function {
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
            // SendData is not recorded because its data belongs to the SM-DP. SMSRChange is not
            // recorded because the audit trail leaves with the card.
            Self::SendData { .. } | Self::SmsrChange(_) => return None,
        })
    }
}

impl Operation {
    /// Returns the OID of the caller; `None` for a function that the SM-SR started itself.
    pub(crate) fn caller_id(&self) -> Option<&Oid> {
        self.caller.as_ref().map(Caller::id)
    }

    /// Returns the caller if its response reports changes of this profile, so that it needs no
    /// notification of them. An operator (ES4) learns of changes of all its profiles from the
    /// response. An SM-DP (ES3) learns only of changes of the profile named in the call, because its
    /// other profiles on the card may belong to other operators.
    pub(crate) fn answers_for(&self, profile: &ProfileInfo) -> Option<Requester<'_>> {
        let caller = self.caller.as_ref()?;
        let is_informed = caller.interface == Interface::Es4 || self.function.iccid() == Some(profile.iccid);
        is_informed.then(|| caller.requester())
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
