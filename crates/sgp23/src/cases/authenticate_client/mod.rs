//! Cases of ES9+.AuthenticateClient: SGP.22 section 5.6.3, SGP.23 section 4.3.14.

mod failed_authentication;
mod nominal;
mod refused_orders;
mod retries;

use rsp::sgp22::es9plus::AuthenticateClient;

use crate::binding::Answer;
use crate::case::{Case, Run};
use crate::euicc::{Authenticate, Euicc};
use crate::order::{IntendedEuicc, LookupKey, Order, ProfileFeatures};
use crate::testbed::Testbed;
use crate::verdict::Stop;

const FUNCTION: &str = "ES9+.AuthenticateClient";
const CLAUSE: &str = "5.6.3";

const FOR_ANY_EID: Order = Order::PLAIN;
const FOR_EID: Order = Order { intended_for: IntendedEuicc::Own, ..FOR_ANY_EID };
const BY_EID: Order = Order { lookup: LookupKey::ByEid, ..FOR_EID };
const BY_EVENT: Order = Order { lookup: LookupKey::ByEvent, ..FOR_EID };
const WITH_GET_IDENTITY: Order =
    Order { profile: ProfileFeatures { get_identity: true, ..ProfileFeatures::NONE }, ..FOR_ANY_EID };

pub(super) fn cases() -> Vec<Case> {
    [nominal::cases(), failed_authentication::cases(), refused_orders::cases(), retries::cases()]
        .into_iter()
        .flatten()
        .collect()
}

fn case(title: &str, order: Order, run: Run) -> Case {
    Case::new(FUNCTION, CLAUSE, title, run).order(order)
}

type Change = fn(&Testbed<'_>, &mut Authenticate);

/// Runs AuthenticateClient of this eUICC in a new session and returns the response.
async fn call_authenticate_client(
    testbed: &Testbed<'_>,
    euicc: &Euicc,
    matching_id: &str,
) -> Result<Answer<rsp::sgp22::es9plus::AuthenticateClientOk>, Stop> {
    let started = testbed.initiate_with(&euicc.initiation(&testbed.server.address)).await?;
    testbed.call::<AuthenticateClient>(&euicc.authenticate(&started.ok, matching_id).request()?).await
}
