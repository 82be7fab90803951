//! Responses to callers of functions.

use std::fmt::Display;

use rsp::{
    ids::{Aid, Iccid},
    ota::script::ScriptResponse,
    sgp02::{
        BaseResponse, ExecutionStatus, FunctionExecutionStatus, Octets,
        eis::Eis,
        es3, es4, shared_functions as shared,
        status::{Refusal, Status},
    },
};
use rsp_server::soap::Ticket;
use world::Fault;

use super::{Caller, Function, Interface, Operation};
use crate::{
    context::Context,
    es5::JobOutcome,
    outgoing,
    records::Card,
    visibility::{self, Disclosure},
};

/// Outcome of a function.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Kind of the outcome.
    kind: OutcomeKind,
    /// Response data of the card.
    pub(crate) data: Option<Octets>,
    /// The ISD-P that was created.
    pub(crate) isd_p: Option<Aid>,
}

#[derive(Clone, Debug)]
enum OutcomeKind {
    Success,
    Warning(Refusal),
    Failed(Refusal),
    /// The status of another SM-SR that executed the function.
    Status(FunctionExecutionStatus),
    Expired,
}

impl Outcome {
    /// Creates the outcome of a function that succeeded.
    pub(crate) fn done() -> Self {
        Self { kind: OutcomeKind::Success, data: None, isd_p: None }
    }

    /// Creates the outcome of a function that succeeded with a warning.
    pub(crate) fn with_warning(refusal: Refusal) -> Self {
        Self { kind: OutcomeKind::Warning(refusal), ..Self::done() }
    }

    /// Creates the outcome of a function that failed.
    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self { kind: OutcomeKind::Failed(refusal), ..Self::done() }
    }

    /// Creates the outcome of a function whose validity period ended.
    pub(crate) fn expired() -> Self {
        Self { kind: OutcomeKind::Expired, ..Self::done() }
    }

    /// Creates the outcome of a function that ended with the status of another party.
    pub(crate) fn with_status(status: FunctionExecutionStatus) -> Self {
        Self { kind: OutcomeKind::Status(status), ..Self::done() }
    }

    /// Adds the response data of the card.
    pub(crate) fn with_data(mut self, data: Octets) -> Self {
        self.data = (!data.0.is_empty()).then_some(data);
        self
    }

    /// Adds the ISD-P that was created.
    pub(crate) fn in_isd_p(mut self, aid: Aid) -> Self {
        self.isd_p = Some(aid);
        self
    }

    /// Returns true if the function succeeded.
    pub(crate) fn is_success(&self) -> bool {
        let status = self.status().status;
        matches!(status, ExecutionStatus::ExecutedSuccess | ExecutionStatus::ExecutedWithWarning)
    }

    /// Returns true if the function failed with this status.
    pub(crate) fn is_refused(&self, status: Status) -> bool {
        matches!(&self.kind, OutcomeKind::Failed(refusal) if refusal.status == status)
    }

    pub(crate) fn status(&self) -> FunctionExecutionStatus {
        self.base().function_execution_status
    }

    fn base(&self) -> BaseResponse {
        match &self.kind {
            OutcomeKind::Success => BaseResponse::default(),
            OutcomeKind::Warning(refusal) => BaseResponse::with_warning(refusal),
            OutcomeKind::Failed(refusal) => BaseResponse::failed(refusal),
            OutcomeKind::Status(status) => {
                BaseResponse { function_execution_status: status.clone(), ..BaseResponse::default() }
            }
            OutcomeKind::Expired => BaseResponse::expired(
                None,
                "the card did not execute the function within the validity period",
            ),
        }
    }
}

/// Returns the refusal for a response of the card that cannot be decoded.
pub(crate) fn unreadable(why: impl Display) -> Refusal {
    Status::IsdRExecutionError.because(format!("the card's answer cannot be read: {why}"))
}

/// Returns the refusal for a job that was not delivered to the card or not accepted by it.
pub(crate) fn undelivered(outcome: JobOutcome) -> Refusal {
    match outcome {
        JobOutcome::NotDelivered(why) => Status::EuiccInaccessible.because(why),
        JobOutcome::Refused(refusal) => Status::IsdRExecutionError.because(refusal.to_string()),
        JobOutcome::Expired
        | JobOutcome::Answered(_)
        | JobOutcome::AnsweredAgain(_)
        | JobOutcome::FoundDone(_) => Status::EuiccNoResponse.because("the card did not answer"),
    }
}

/// Puts the response into the outbox. A function without a caller has no response.
pub(crate) async fn answer(
    context: &mut Context<'_, '_>,
    card: Option<&Card>,
    operation: &Operation,
    outcome: Outcome,
) -> Result<(), Fault> {
    let Some(caller) = &operation.caller else { return Ok(()) };
    let base = BaseResponse {
        processing_start: Some(operation.received),
        processing_end: Some(context.now),
        ..outcome.base()
    };
    let eis = match (&operation.function, card) {
        (Function::AuditEis(iccids), Some(card)) if outcome.is_success() => {
            Some(audited_eis(card, caller, iccids))
        }
        _ => None,
    };
    let (data, ticket) = (outcome.data, &caller.ticket);
    match (caller.interface, &operation.function) {
        (Interface::Es3, Function::CreateIsdP { .. }) => {
            let response =
                es3::CreateIsdpResponse { base, isd_p_aid: outcome.isd_p, euicc_response_data: data };
            outgoing::reply::<es3::CreateIsdp>(context, ticket, response).await
        }
        (Interface::Es3, Function::SendData { .. }) => {
            let response = es3::SendDataResponse { base, euicc_response_data: data };
            outgoing::reply::<es3::SendData>(context, ticket, response).await
        }
        (Interface::Es3, Function::UpdateConnectivityParameters { .. }) => {
            let response = es3::UpdateConnectivityParametersResponse { base, euicc_response_data: data };
            outgoing::reply::<es3::UpdateConnectivityParameters>(context, ticket, response).await
        }
        (Interface::Es4, Function::SmsrChange(_)) => {
            outgoing::reply::<es4::SmsrChange>(context, ticket, es4::SmsrChangeResponse { base }).await
        }
        (Interface::Es3, function) => answer_shared::<3>(context, ticket, function, base, data, eis).await,
        (Interface::Es4, function) => answer_shared::<4>(context, ticket, function, base, data, eis).await,
    }
}

/// Answers a function that ES3 and ES4 have in common.
async fn answer_shared<const ES: u8>(
    context: &mut Context<'_, '_>,
    ticket: &Ticket,
    function: &Function,
    base: BaseResponse,
    euicc_response_data: Option<Octets>,
    eis: Option<Eis>,
) -> Result<(), Fault> {
    macro_rules! reply {
        ($function:ident, $response:ident, $data:ident) => {
            outgoing::reply::<shared::$function<ES>>(context, ticket, shared::$response { base, $data }).await
        };
    }
    match function {
        Function::EnableProfile(_) => reply!(EnableProfile, EnableProfileResponse, euicc_response_data),
        Function::DisableProfile(_) => reply!(DisableProfile, DisableProfileResponse, euicc_response_data),
        Function::DeleteProfile(_) => reply!(DeleteProfile, DeleteProfileResponse, euicc_response_data),
        Function::SetFallBackAttribute(_) => {
            reply!(SetFallBackAttribute, SetFallBackAttributeResponse, euicc_response_data)
        }
        Function::SetEmergencyProfileAttribute(_) => {
            reply!(SetEmergencyProfileAttribute, SetEmergencyProfileAttributeResponse, euicc_response_data)
        }
        Function::AuditEis(_) => reply!(AuditEis, AuditEisResponse, eis),
        // These functions do not exist on both interfaces, or have no caller.
        Function::CreateIsdP { .. }
        | Function::SendData { .. }
        | Function::UpdateConnectivityParameters { .. }
        | Function::SmsrChange(_)
        | Function::MasterDelete { .. }
        | Function::AutoDelete(_)
        | Function::CleanUp(_) => Ok(()),
    }
}

/// Returns the card's response in the encoding that SM-DPs and operators get.
pub(super) fn octets_of(response: &ScriptResponse) -> Octets {
    Octets(response.to_bytes())
}

/// Returns the EIS for the caller after the audit.
fn audited_eis(card: &Card, caller: &Caller, iccids: &[Iccid]) -> Eis {
    let why = match caller.interface {
        Interface::Es3 => Disclosure::AuditEisToSmDp,
        Interface::Es4 => Disclosure::AuditEisToOperator,
    };
    visibility::visible_eis(&card.eis, Vec::new(), caller.id(), why, iccids)
}
