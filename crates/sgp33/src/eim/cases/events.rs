//! Cases of events: the eIM retrieves the event of an eUICC at an SM-DS (ES11'), SGP.32 sections
//! 3.2.3.2 and 5.14.3.

use rsp::activation_code::ActivationCode;
use rsp::sgp32::esipa::{AuthenticateClientOkDs, AuthenticateClientResponse};
use rsp::sgp32::ipa_data::ProfileDownloadData;
use sgp23::{During, Stop, ensure, equal};

use super::downloads::install;
use crate::eim::case::{Case, Need, Run, run};
use crate::eim::download::{Form, Trigger};
use crate::eim::operator::Operation;
use crate::eim::testbed::Testbed;

const FUNCTION: &str = "ES11'.AuthenticateClient";
const CLAUSE: &str = "3.2.3.2, 5.14.1, 5.14.3";

pub(super) fn cases() -> Vec<Case> {
    let case =
        |title: &str, run| Case::new(FUNCTION, CLAUSE, title, run).need(Need::Operator).need(Need::SmDs);
    vec![
        case(
            "the event of an SM-DS becomes a trigger, and the eUICC installs the profile of the event",
            event(),
        )
        .need(Need::ActivationCode),
        case("an SM-DS without an event for the eUICC leads to no trigger", no_event()),
    ]
}

/// Orders the download of an event, and lets the eIM ask the SM-DS for it.
async fn asked(testbed: &mut Testbed<'_>) -> Result<(Trigger, AuthenticateClientResponse), Stop> {
    let address = testbed.sm_ds()?.address.clone();
    let request = testbed.trigger_of(Operation::DownloadEvent(address.clone())).await?;
    let trigger = Trigger { request, code: Some(code_of(&format!("1${address}$"))?) };
    let session = testbed.session(&trigger, Form::Whole).await.during("the session with the SM-DS")?;
    let reply = testbed.authenticate(&session.id, session.response).await?;
    if let AuthenticateClientResponse::OkDs(ok) = &reply {
        equal("the transactionId", &ok.transaction_id, &session.id)?;
    }
    Ok((trigger, reply))
}

fn code_of(text: &str) -> Result<ActivationCode, Stop> {
    text.parse().map_err(|error| Stop::failed(format!("activation code {text:?}: {error}")))
}

fn event() -> Run {
    run!(|testbed| {
        let code = code_of(&testbed.ordered_code()?)?;
        testbed.register_event(&code).await?;
        let (ordered, reply) = asked(testbed).await?;
        let AuthenticateClientResponse::OkDs(AuthenticateClientOkDs {
            profile_download_trigger: Some(request),
            ..
        }) = reply
        else {
            return Err(Stop::failed(format!("AuthenticateClient returned {reply:?}, expected a trigger")));
        };
        let Some(ProfileDownloadData::ActivationCode(sent)) = &request.profile_download_data else {
            return Err(Stop::failed("the trigger of the event has no activation code"));
        };
        let sent = code_of(sent)?;
        equal("the address of the event", &sent.smdp_address, &code.smdp_address)?;
        equal("the EventID", &sent.matching_id, &code.matching_id)?;
        let (id, expected) = (&request.eim_transaction_id, &ordered.request.eim_transaction_id);
        equal("the eimTransactionId of the event", id, expected)?;
        install(testbed, Trigger { request, code: Some(sent) }, Form::Whole).await
    })
}

fn no_event() -> Run {
    run!(|testbed| {
        let (_, reply) = asked(testbed).await?;
        let is_met = match &reply {
            AuthenticateClientResponse::OkDs(ok) => ok.profile_download_trigger.is_none(),
            AuthenticateClientResponse::Error(_) => true,
            AuthenticateClientResponse::OkDp(_) => false,
        };
        ensure(is_met, || format!("AuthenticateClient returned {reply:?}, expected no trigger"))
    })
}
