//! What a function has to decide with.

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
use rsp_server::soap::{self, Ended, NoAnswer, Peer, Sender, Ticket};
use world::{Fault, Tx, World};

use super::{
    config::Config,
    credentials::Credentials,
    records::{OPERATORS, Procedure, SM_SRS},
};

/// How long after the validity period a peer may still say that it is over.
const GRACE: Duration = Duration::from_secs(30);

/// A decision about to be taken: the transaction it reads and writes, and what does not change meanwhile.
pub(crate) struct Context<'a, 'r> {
    pub(crate) tx: &'a mut Tx<'r>,
    pub(crate) config: &'a Config,
    pub(crate) credentials: &'a Credentials,
    pub(crate) world: &'a World,
    pub(crate) sender: &'a Sender,
    pub(crate) now: Timestamp,
}

impl Context<'_, '_> {
    /// The SM-SR that a request of an operator names.
    pub(crate) async fn sm_sr(&mut self, id: &Oid) -> soap::Decision<Peer> {
        self.tx.get(&SM_SRS, &id.to_string()).await?.ok_or_else(|| {
            Status::SmsrUnknown.because("this SM-DP was not told where that SM-SR is").about(id).into()
        })
    }

    /// That the caller of a function of ES2 is an operator.
    pub(crate) async fn must_be_operator(&mut self, id: &Oid) -> soap::Decision<()> {
        let key = id.to_string();
        if self.tx.get(&OPERATORS, &key).await?.is_some() {
            return Ok(());
        }
        Err(match self.tx.get(&SM_SRS, &key).await? {
            Some(_) => Status::RequesterNotAllowed.because("the caller is no operator"),
            None => Status::RequesterUnknown.because("the caller is not known here"),
        }
        .about(id)
        .into())
    }

    /// Asks an SM-SR; the answer moves the procedure on.
    pub(crate) async fn ask<F: Function>(
        &mut self,
        sm_sr: &Oid,
        request: F::Request,
        until: Timestamp,
        procedure: &Procedure,
    ) -> Result<(), Fault> {
        let Some(peer) = self.tx.get(&SM_SRS, &sm_sr.to_string()).await? else {
            return Err(Fault::new(
                format!("cannot ask {sm_sr} for {}", F::NAME),
                "where that SM-SR is was forgotten while a procedure with it was under way",
                "tell the SM-DP again where it is",
            ));
        };
        // The SM-SR says EXPIRED by itself; that is to be heard.
        let until = until.plus(GRACE);
        self.sender.ask::<F>(self.tx, self.now, &peer, request, until, procedure.to_string()).await
    }

    /// Answers a function of an operator.
    pub(crate) async fn answer<F: Function>(
        &mut self,
        ticket: &Ticket,
        response: F::Response,
    ) -> Result<(), Fault> {
        self.sender.answer::<F>(self.tx, self.now, ticket, response).await
    }

    /// Tells an operator, if we know where.
    pub(crate) async fn tell<N: Notification>(
        &mut self,
        operator: &Oid,
        notification: &N,
    ) -> Result<(), Fault> {
        match self.tx.get(&OPERATORS, &operator.to_string()).await? {
            Some(peer) => self.sender.notify(self.tx, self.now, &peer, notification).await,
            None => {
                tracing::warn!(%operator, "a notification is lost; where this operator listens is not known");
                Ok(())
            }
        }
    }
}

/// What an SM-SR answered: what was done, or how it ended otherwise.
pub(crate) fn heard<F: Function>(ended: &Ended) -> Result<F::Response, FunctionExecutionStatus> {
    let failed = |refusal: Refusal| refusal.to_status(ExecutionStatus::Failed);
    match ended.response::<F>() {
        Ok(response) if response.base().is_done() => Ok(response),
        Ok(response) => Err(response.base().function_execution_status.clone()),
        Err(NoAnswer::Expired) => Err(Status::FunctionExpired
            .because(format!("{} was not answered in its validity period", F::NAME))
            .to_status(ExecutionStatus::Expired)),
        Err(NoAnswer::Unreachable(why)) => Err(failed(Status::SmsrInaccessible.because(why))),
        Err(no) => Err(failed(Status::SmsrExecutionError.because(format!("{}: {no}", F::NAME)))),
    }
}
