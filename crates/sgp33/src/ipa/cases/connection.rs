//! Cases of the connection to the eIM: SGP.32 sections 6.1, 6.3, 6.4 and 5.14.5.

use http::{HeaderMap, header};
use rsp::sgp22::json;
use rsp::sgp32::esipa::{USER_AGENT_IPAD, USER_AGENT_IPAE, asn1};
use sgp23::{During, Stop, ensure};

use super::case;
use crate::ipa::case::{Case, Need, Run, run};
use crate::ipa::tap::{Act, Function};
use crate::ipa::testbed::results_of;

const POLL: &str = "ESipa.GetEimPackage";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("HTTP", "6.1", "each request has the User-Agent of an IPA", headers(user_agent))
            .need(Need::Https),
        case("HTTP", "6.3, 6.4", "each request has X-Admin-Protocol", headers(protocol)).need(Need::Https),
        case("HTTP", "6.3, 6.4", "each request has the Content-Type of its binding", headers(content_type))
            .need(Need::Https),
        case("TLS", "2.11.1.1.1, 6.1", "an eIM with another TLS key gets no request", another_key())
            .need(Need::Https)
            .need(Need::AnotherKey),
        case(POLL, "3.1.1.1", "the IPA polls again after a request that was lost", lost(Act::LoseRequest)),
        case(
            POLL,
            "3.1.1.1, 3.3.1",
            "a package whose delivery was lost is executed later",
            lost(Act::LoseAnswer),
        ),
    ]
}

/// Checks the headers of all requests of a visit with a package.
fn headers(check: fn(&HeaderMap, bool) -> Result<(), String>) -> Run {
    run!(|testbed| {
        let id = testbed.order_list().await?;
        testbed.outcome(&id).await?;
        for call in testbed.calls() {
            check(&call.headers, call.is_json())
                .map_err(|why| Stop::failed(format!("{:?}: {why}", call.function)))?;
        }
        Ok(())
    })
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> String {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}

fn user_agent(headers: &HeaderMap, _: bool) -> Result<(), String> {
    let found = text(headers, header::USER_AGENT);
    let name = found.split(';').next().unwrap_or_default().trim();
    match [USER_AGENT_IPAD, USER_AGENT_IPAE].contains(&name) {
        true => Ok(()),
        false => Err(format!("User-Agent is {found:?}, expected {USER_AGENT_IPAD} or {USER_AGENT_IPAE}")),
    }
}

fn protocol(headers: &HeaderMap, _: bool) -> Result<(), String> {
    match json::protocol_version(headers) {
        Some(_) => Ok(()),
        None => Err("X-Admin-Protocol is missing or is not gsma/rsp/v followed by a version".to_owned()),
    }
}

fn content_type(headers: &HeaderMap, is_json: bool) -> Result<(), String> {
    let found = text(headers, header::CONTENT_TYPE);
    let expected = if is_json { "application/json" } else { asn1::CONTENT_TYPE };
    match found.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(expected) {
        true => Ok(()),
        false => Err(format!("Content-Type is {found:?}, expected {expected}")),
    }
}

fn another_key() -> Run {
    run!(|testbed| {
        let id = testbed.order_list().await?;
        if !testbed.ipa.device.present_another_key(true) {
            return Err(Stop::needs(Need::AnotherKey));
        }
        testbed.run().await?;
        let calls = testbed.calls().len();
        ensure(calls == 0, || format!("the IPA sent {calls} requests to an eIM with another TLS key"))?;
        testbed.ipa.device.present_another_key(false);
        testbed.outcome(&id).await.during("with the correct key").map(|_| ())
    })
}

fn lost(act: Act) -> Run {
    run!(|testbed| {
        let id = testbed.order_list().await?;
        testbed.intervene(&[Function::GetEimPackage], act, 1);
        results_of(&testbed.outcome(&id).await?).map(|_| ())
    })
}
