//! Cases of ES2+: SGP.22 section 5.3, SGP.23 sections 4.3.1 to 4.3.6.

mod callers;
mod cancel_order;
mod confirm_order;
mod download_order;
mod release_profile;

use rsp::ids::{Iccid, TransactionId};
use rsp::sgp22::es2plus::ConfirmOrderRequest;
use rsp::status::Status;

use crate::binding::{Answer, Refused};
use crate::case::{Case, Need, Run};
use crate::operator::Operator;
use crate::order::{Order, PlacedOrder, StockState};
use crate::subject::Scope;
use crate::testbed::Testbed;
use crate::verdict::{During, Stop, Verdict, ensure};

const STOCK: Order = Order { state: StockState::Available, ..Order::PLAIN };

fn case(function: &'static str, clause: &'static str, title: &str, run: Run) -> Case {
    Case::new(function, clause, title, run).scope(Scope::Once).order(STOCK).need(Need::Operator)
}

pub(super) fn cases() -> Vec<Case> {
    [
        download_order::cases(),
        confirm_order::cases(),
        cancel_order::cases(),
        release_profile::cases(),
        callers::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl Testbed<'_> {
    /// Orders the profile in stock.
    async fn ordered(&self) -> Result<(&Operator, Iccid), Stop> {
        let (operator, iccid) = (self.operator()?, self.iccid()?);
        operator.download_order(Some(iccid), None, None).await?.done().during("DownloadOrder")?;
        Ok((operator, iccid))
    }

    /// Orders and confirms the profile in stock. Returns the MatchingID.
    async fn confirmed(&self, release_flag: bool) -> Result<(&Operator, Iccid, String), Stop> {
        let (operator, iccid) = self.ordered().await?;
        let request = ConfirmOrderRequest { release_flag, ..operator.confirmation(iccid) };
        let reply = operator.confirm(&request).await?.done().during("ConfirmOrder")?;
        Ok((operator, iccid, reply.matching_id))
    }

    /// Downloads the profile with this MatchingID.
    async fn download_with(
        &self,
        matching_id: &str,
        code: Option<&'static str>,
    ) -> Result<TransactionId, Stop> {
        let placed_order = PlacedOrder {
            matching_id: matching_id.to_owned(),
            confirmation_code: code,
            ..self.placed_order()?.clone()
        };
        Ok(self.following(placed_order).download().await.during("the download")?.transaction_id)
    }

    /// Checks that a download with this MatchingID is refused.
    async fn expect_refused_download(&self, matching_id: &str, status: Status) -> Verdict {
        use rsp::sgp22::es9plus::AuthenticateClient;
        let started = self.initiate().await?;
        let proof = self.euicc.authenticate(&started.ok, matching_id).request()?;
        self.refused::<AuthenticateClient>(&proof, status).await
    }
}

/// Checks that the call is refused with this subject code and any reason code.
fn expect_refusal<T>(answer: Answer<T>, subject: &str) -> Verdict {
    match answer {
        Answer::Refused(Refused::Json(why)) => ensure(why.subject_code == subject, || {
            format!("refused with {why}; expected a refusal about {subject}")
        }),
        Answer::Refused(why) => {
            Err(Stop::failed(format!("refused with {why}; expected a refusal about {subject}")))
        }
        Answer::Done(_) => Err(Stop::failed(format!("succeeded, expected a refusal about {subject}"))),
    }
}
