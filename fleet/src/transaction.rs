//! Transactions of the platform that can refuse.

use rsp_server::{Rejection, api::Problem};
use world::{BoxFuture, Records, Tx, transact};

/// Reason why a transaction has no result.
pub(crate) type Rejected = Rejection<Problem>;

/// Runs a transaction that can refuse. It must refuse before it writes. A refusal is based on
/// unchanged records, because a conflict repeats the transaction.
pub(crate) async fn decide<'r, T: Send + 'static>(
    records: &'r dyn Records,
    mut decide: impl for<'t> FnMut(&'t mut Tx<'r>) -> BoxFuture<'t, Result<T, Rejected>>,
) -> Result<T, Problem> {
    let decided = transact(records, |tx| {
        let decided = decide(tx);
        Box::pin(async move {
            match decided.await {
                Ok(value) => Ok(Ok(value)),
                Err(Rejected::Refusal(problem)) => Ok(Err(problem)),
                Err(Rejected::Fault(fault)) => Err(fault),
            }
        })
    });
    decided.await?
}
