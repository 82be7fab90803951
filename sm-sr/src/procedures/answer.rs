//! What a function came to, in the words of whoever asked for it.

use rsp::{
    ids::Aid,
    sgp02::{
        common::{BaseResponse, ExecutionStatus, Function as _, FunctionExecutionStatus, Response as _},
        eis::Eis,
        es3, es4,
        status::{Refusal, Status},
    },
};
use rsp_server::soap;
use world::Fault;

use super::{Asker, Function, Interface, Operation, euicc_audit};
use crate::{
    context::Context,
    es5::{self, JobOutcome},
    records::{Card, Octets},
};

/// What a function came to.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// How it ended.
    ended: Ended,
    /// What the card answered.
    pub(crate) data: Option<Octets>,
    /// The ISD-P that was made.
    pub(crate) isd_p: Option<Aid>,
}

#[derive(Clone, Debug)]
enum Ended {
    Well,
    WithWarning(Refusal),
    Failed(Refusal),
    /// As another party said it, who did it for us.
    As(FunctionExecutionStatus),
    Expired,
}

impl Outcome {
    /// It was done.
    pub(crate) fn done() -> Self {
        Self { ended: Ended::Well, data: None, isd_p: None }
    }

    /// It was done, but.
    pub(crate) fn with_warning(refusal: Refusal) -> Self {
        Self { ended: Ended::WithWarning(refusal), ..Self::done() }
    }

    /// It was not done.
    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self { ended: Ended::Failed(refusal), ..Self::done() }
    }

    /// Its time was over.
    pub(crate) fn expired() -> Self {
        Self { ended: Ended::Expired, ..Self::done() }
    }

    /// It ended as somebody else's did.
    pub(crate) fn as_told(status: FunctionExecutionStatus) -> Self {
        Self { ended: Ended::As(status), ..Self::done() }
    }

    /// With what the card answered.
    pub(crate) fn with_data(mut self, data: Vec<u8>) -> Self {
        self.data = (!data.is_empty()).then_some(Octets(data));
        self
    }

    /// With the ISD-P that was made.
    pub(crate) fn in_isd_p(mut self, aid: Aid) -> Self {
        self.isd_p = Some(aid);
        self
    }

    /// Whether it was done.
    pub(crate) fn is_success(&self) -> bool {
        let status = self.status().status;
        matches!(status, ExecutionStatus::ExecutedSuccess | ExecutionStatus::ExecutedWithWarning)
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
            Ended::Expired => BaseResponse::expired(None, "the card did not do it within the validity period"),
        }
    }

    fn octets(&self) -> Option<Vec<u8>> {
        self.data.as_ref().map(|data| data.0.clone())
    }
}

/// Why a job did not get to the card, or the card did not take it.
pub(crate) fn undelivered(outcome: JobOutcome) -> Refusal {
    match outcome {
        JobOutcome::NotDelivered(why) => Status::EuiccInaccessible.because(why),
        JobOutcome::Refused(refusal) => Status::IsdRExecutionError.because(refusal.to_string()),
        JobOutcome::Expired | JobOutcome::Answered(_) | JobOutcome::FoundDone(_) => {
            Status::EuiccNoResponse.because("the card did not answer")
        }
    }
}

/// Puts the answer into the outbox; what nobody asked for is not answered.
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
    let data = outcome.octets();
    let eis = match (&operation.function, card) {
        (Function::AuditEis(iccids), Some(card)) if outcome.is_success() => {
            Some(euicc_audit::shown(context, card, asker, iccids).await?)
        }
        _ => None,
    };
    match (asker.interface, &operation.function) {
        (Interface::Es3, Function::CreateIsdP { .. }) => {
            let response = es3::CreateIsdpResponse { base, isd_p_aid: outcome.isd_p, euicc_response_data: data };
            post::<es3::CreateIsdp>(context, asker, response).await
        }
        (Interface::Es3, Function::SendData { .. }) => {
            post::<es3::SendData>(context, asker, es3::SendDataResponse { base, euicc_response_data: data }).await
        }
    }
}
