//! Responses to callers of functions.

use std::fmt::Display;

use rsp::{
    ids::{Aid, Iccid},
    ota::script::ScriptResponse,
    sgp02::{
        BaseResponse, ExecutionStatus, FunctionExecutionStatus, Octets,
        eis::Eis,
        es3, es4,
        status::{Refusal, Status},
    },
};
use world::Fault;

use super::{Asker, Function, Interface, Operation};
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
    ended: Ended,
    /// Response data of the card.
    pub(crate) data: Option<Octets>,
    /// The ISD-P that was created.
    pub(crate) isd_p: Option<Aid>,
}

#[derive(Clone, Debug)]
enum Ended {
    Well,
    WithWarning(Refusal),
    Failed(Refusal),
    /// The status of another SM-SR that executed the function.
    As(FunctionExecutionStatus),
    Expired,
}

impl Outcome {
    /// The function succeeded.
    pub(crate) fn done() -> Self {
        Self { ended: Ended::Well, data: None, isd_p: None }
    }

    /// The function succeeded with a warning.
    pub(crate) fn with_warning(refusal: Refusal) -> Self {
        Self { ended: Ended::WithWarning(refusal), ..Self::done() }
    }

    /// The function failed.
    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self { ended: Ended::Failed(refusal), ..Self::done() }
    }

    /// The validity period ended.
    pub(crate) fn expired() -> Self {
        Self { ended: Ended::Expired, ..Self::done() }
    }

    /// The function ended with the status of another party.
    pub(crate) fn with_status(status: FunctionExecutionStatus) -> Self {
        Self { ended: Ended::As(status), ..Self::done() }
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
        matches!(&self.ended, Ended::Failed(refusal) if refusal.status == status)
    }

    pub(crate) fn status(&self) -> FunctionExecutionStatus {
        self.base().function_execution_status
    }

    fn base(&self) -> BaseResponse {
        match &self.ended {
            Ended::Well => BaseResponse::default(),
            Ended::WithWarning(refusal) => BaseResponse::with_warning(refusal),
            Ended::Failed(refusal) => BaseResponse::failed(refusal),
            Ended::As(status) => {
                BaseResponse { function_execution_status: status.clone(), ..BaseResponse::default() }
            }
            Ended::Expired => BaseResponse::expired(
                None,
                "the card did not execute the function within the validity period",
            ),
        }
    }
}

/// Refusal of an answer of the card that cannot be decoded.
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
    let Some(asker) = &operation.asker else { return Ok(()) };
    let base = BaseResponse {
        processing_start: Some(operation.received),
        processing_end: Some(context.now),
        ..outcome.base()
    };
    let eis = match (&operation.function, card) {
        (Function::AuditEis(iccids), Some(card)) if outcome.is_success() => {
            Some(audited_eis(card, asker, iccids))
        }
        _ => None,
    };
    let data = outcome.data;
    macro_rules! post {
        ($interface:ident::$function:ident, $response:ident { $($field:ident: $value:expr)? }) => {{
            let response = $interface::$response { base, $($field: $value)? };
            outgoing::reply::<$interface::$function>(context, &asker.ticket, response).await
        }};
        ($interface:ident::$function:ident, $response:ident) => {
            post!($interface::$function, $response { euicc_response_data: data })
        };
    }
    match (asker.interface, &operation.function) {
        (Interface::Es3, Function::CreateIsdP { .. }) => {
            let response =
                es3::CreateIsdpResponse { base, isd_p_aid: outcome.isd_p, euicc_response_data: data };
            outgoing::reply::<es3::CreateIsdp>(context, &asker.ticket, response).await
        }
        (Interface::Es3, Function::SendData { .. }) => post!(es3::SendData, SendDataResponse),
        (Interface::Es3, Function::UpdateConnectivityParameters { .. }) => {
            post!(es3::UpdateConnectivityParameters, UpdateConnectivityParametersResponse)
        }
        (Interface::Es3, Function::EnableProfile(_)) => post!(es3::EnableProfile, EnableProfileResponse),
        (Interface::Es4, Function::EnableProfile(_)) => post!(es4::EnableProfile, EnableProfileResponse),
        (Interface::Es3, Function::DisableProfile(_)) => post!(es3::DisableProfile, DisableProfileResponse),
        (Interface::Es4, Function::DisableProfile(_)) => post!(es4::DisableProfile, DisableProfileResponse),
        (Interface::Es3, Function::DeleteProfile(_)) => post!(es3::DeleteIsdp, DeleteIsdpResponse),
        (Interface::Es4, Function::DeleteProfile(_)) => post!(es4::DeleteProfile, DeleteProfileResponse),
        (Interface::Es3, Function::SetFallBackAttribute(_)) => {
            post!(es3::SetFallBackAttribute, SetFallBackAttributeResponse)
        }
        (Interface::Es4, Function::SetFallBackAttribute(_)) => {
            post!(es4::SetFallBackAttribute, SetFallBackAttributeResponse)
        }
        (Interface::Es3, Function::SetEmergencyProfileAttribute(_)) => {
            post!(es3::SetEmergencyProfileAttribute, SetEmergencyProfileAttributeResponse)
        }
        (Interface::Es4, Function::SetEmergencyProfileAttribute(_)) => {
            post!(es4::SetEmergencyProfileAttribute, SetEmergencyProfileAttributeResponse)
        }
        (Interface::Es3, Function::AuditEis(_)) => post!(es3::AuditEis, AuditEisResponse { eis: eis }),
        (Interface::Es4, Function::AuditEis(_)) => post!(es4::AuditEis, AuditEisResponse { eis: eis }),
        (Interface::Es4, Function::SmsrChange(_)) => post!(es4::SmsrChange, SmsrChangeResponse {}),
        // These functions do not exist on that interface.
        (Interface::Es3, Function::SmsrChange(_))
        | (Interface::Es4, Function::CreateIsdP { .. })
        | (Interface::Es4, Function::SendData { .. })
        | (Interface::Es4, Function::UpdateConnectivityParameters { .. })
        | (_, Function::MasterDelete { .. } | Function::AutoDelete(_) | Function::CleanUp(_)) => Ok(()),
    }
}

/// Returns the card's response as passed to SM-DPs and operators.
pub(super) fn octets_of(response: &ScriptResponse) -> Octets {
    Octets(response.to_bytes())
}

/// Returns the EIS for the caller after the audit.
fn audited_eis(card: &Card, asker: &Asker, iccids: &[Iccid]) -> Eis {
    let why = match asker.interface {
        Interface::Es3 => Disclosure::AuditEisToSmDp,
        Interface::Es4 => Disclosure::AuditEisToOperator,
    };
    visibility::visible_eis(&card.eis, Vec::new(), asker.id(), why, iccids)
}
