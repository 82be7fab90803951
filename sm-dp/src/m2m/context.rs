//! The context of a function call of the SM-DP.

use std::time::Duration;

use rsp::{
    ids::Oid,
    sgp02::{
        Function, Notification,
        common::{ExecutionStatus, FunctionExecutionStatus, Response as _},
        status::{Refusal, Status},
    },
    time::Timestamp,
};
use rsp_server::soap::{self, CallFailure, Ended, Peer, Sender, Ticket};
use world::{Fault, Tx, World};

use super::{
    config::Config,
    credentials::Credentials,
    records::{OPERATORS, Procedure, SM_SRS},
};

/// Time after the end of the validity period in which the server still accepts a peer's EXPIRED
/// response.
const GRACE: Duration = Duration::from_secs(30);

/// A running function call: its transaction, and inputs that do not change during the call.
pub(crate) struct Context<'a, 'r> {
    pub(crate) tx: &'a mut Tx<'r>,
    pub(crate) config: &'a Config,
    pub(crate) credentials: &'a Credentials,
    pub(crate) world: &'a World,
    pub(crate) sender: &'a Sender,
    pub(crate) now: Timestamp,
}

impl Context<'_, '_> {
    /// Returns the SM-SR that an operator's request names.
    pub(crate) async fn sm_sr(&mut self, id: &Oid) -> soap::Decision<Peer> {
        self.tx.get(&SM_SRS, &id.to_string()).await?.ok_or_else(|| {
            Status::SmsrUnknown.because("this SM-DP has no address for this SM-SR").about(id).into()
        })
    }

    /// Checks that the caller of an ES2 function is an operator.
    pub(crate) async fn must_be_operator(&mut self, id: &Oid) -> soap::Decision<()> {
        let key = id.to_string();
        if self.tx.get(&OPERATORS, &key).await?.is_some() {
            return Ok(());
        }
        Err(match self.tx.get(&SM_SRS, &key).await? {
            // req: SGP.02-5.3-Requester
            Some(_) => Status::RequesterNotAllowed.because("the caller is not an operator"),
            None => Status::RequesterUnknown.because("the caller is not registered"),
        }
        .about(id)
        .into())
    }

    /// Sends a request to an SM-SR. Its response resumes the procedure.
    pub(crate) async fn call<F: Function>(
        &mut self,
        sm_sr: &Oid,
        request: F::Request,
        until: Timestamp,
        procedure: &Procedure,
    ) -> Result<(), Fault> {
        let Some(peer) = self.tx.get(&SM_SRS, &sm_sr.to_string()).await? else {
            return Err(Fault::new(
                format!("cannot send {} to SM-SR {sm_sr}", F::NAME),
                "the address of this SM-SR was removed during a procedure",
                "register the SM-SR again",
            ));
        };
        // The SM-SR reports EXPIRED itself, and this server waits for that report.
        let until = until.plus(GRACE);
        self.sender.call::<F>(self.tx, self.now, &peer, request, until, procedure.to_string()).await
    }

    /// Sends the response to a function that an operator called.
    pub(crate) async fn answer<F: Function>(
        &mut self,
        ticket: &Ticket,
        response: F::Response,
    ) -> Result<(), Fault> {
        self.sender.answer::<F>(self.tx, self.now, ticket, response).await
    }

    /// Notifies an operator, if its address is known.
    pub(crate) async fn notify<N: Notification>(
        &mut self,
        operator: &Oid,
        notification: &N,
    ) -> Result<(), Fault> {
        match self.tx.get(&OPERATORS, &operator.to_string()).await? {
            Some(peer) => self.sender.notify(self.tx, self.now, &peer, notification).await,
            None => {
                tracing::warn!(%operator, "notification discarded: this operator has no address");
                Ok(())
            }
        }
    }
}

/// Returns the response of an SM-SR, or the status with which the function failed.
pub(crate) fn response_of<F: Function>(ended: &Ended) -> Result<F::Response, FunctionExecutionStatus> {
    let failed = |refusal: Refusal| refusal.to_status(ExecutionStatus::Failed);
    match ended.response::<F>() {
        Ok(response) if response.base().is_done() => Ok(response),
        Ok(response) => Err(response.base().function_execution_status.clone()),
        Err(CallFailure::Expired) => Err(Status::FunctionExpired
            .because(format!("{} got no response within its validity period", F::NAME))
            .to_status(ExecutionStatus::Expired)),
        Err(CallFailure::Unreachable(why)) => Err(failed(Status::SmsrInaccessible.because(why))),
        Err(no) => Err(failed(Status::SmsrExecutionError.because(format!("{}: {no}", F::NAME)))),
    }
}
