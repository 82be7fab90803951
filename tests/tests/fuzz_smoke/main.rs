//! Fuzz tests of all interfaces with mutated data. The code must not panic or hang, must respond to
//! everything, and must leave nothing behind.
//!
//! | variable | meaning |
//! |---|---|
//! | `LANDFALL_SEED` | any text, printed at start; the same seed gives the same rounds |
//! | `LANDFALL_FUZZ_ROUNDS` | number of the cheapest rounds; other targets run fewer rounds
//! according to their cost |
//! | `LANDFALL_FUZZ_SECONDS` | duration of each target, instead of a number of rounds |
//! | `LANDFALL_FUZZ_ROUND` | number of the only round to run, to repeat a failed one |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod apdus;
mod corpus;
mod interference;
mod iot_sessions;
mod m2m_sessions;
mod nodes;
mod order_sessions;
mod ota;
mod packages;
mod profile_tools;
mod random;
mod run;
mod server;
mod sessions;
mod testbed;

use bytes::Bytes;
use http::{Request, StatusCode};
use profile::{Capabilities, InstalledProfile, Package, check::check_octets};
use rsp::{
    der::Asn1,
    ids::Version,
    sgp22::{
        EuiccInfo1, PendingNotification, asn1,
        es8plus::{BoundProfilePackage, store_data_segments},
        es9plus,
        es10b::{AuthenticateServerRequest, AuthenticateServerResponse, PrepareDownloadResponse},
    },
};
use run::Run;
use serde::de::DeserializeOwned;

fn own_package() -> Vec<u8> {
    ::testbed::subscription::own_package("724-99", 1, "Smoke").unwrap()
}

#[test]
fn a_mutated_package_is_read_or_refused() {
    let mut run = Run::of("a_mutated_package_is_read_or_refused", 500, 1);
    let whole = own_package();
    let (mut rounds, mut read) = (0, 0);
    while let Some(mut round) = run.round() {
        let mutated = round.random.mutate_octets(&whole);
        rounds += 1;
        let (package, deviations) =
            rsp::finding::collect(|| round.step(hex::encode(&mutated), || Package::decode(&mutated)));
        let findings = round.step(hex::encode(&mutated), || check_octets(&mutated));
        assert!(package.is_ok() || !findings.is_empty(), "an unreadable package has a finding");
        if let Ok(package) = package {
            if deviations.is_empty() {
                assert_eq!(package.encode(), mutated, "a decoded package is encoded to the same octets");
            }
            read += usize::from(InstalledProfile::of(&package, &Capabilities::default()).is_ok());
        }
    }
    run.end();
    // A single repeated round may be readable.
    assert!(rounds == 1 || read < rounds, "some packages must be refused");
    assert!(InstalledProfile::of(&Package::decode(&whole).unwrap(), &Capabilities::default()).is_ok());
}

#[test]
fn mutated_messages_are_read_or_refused() {
    let mut run = Run::of("mutated_messages_are_read_or_refused", 500, 1);
    let octets = [&[0x30, 0x82, 0x01, 0x00], own_package().as_slice()].concat();
    while let Some(mut round) = run.round() {
        let mutated = round.random.mutate_octets(&octets[round.random.number(64)..]);
        round.step(hex::encode(&mutated), || read_as_any_message(&mutated));
    }
    run.end();
}

fn read_as_any_message(mutated: &[u8]) {
    for tag in [[0xBF, 0x36], [0xBF, 0x38], [0xBF, 0x21], [0xBF, 0x20], [0xBF, 0x37]] {
        let message = [&tag, mutated].concat();
        let _ = BoundProfilePackage::from_der(&message);
        let _ = store_data_segments(&message);
        let _ = AuthenticateServerRequest::from_der(&message);
        let _ = AuthenticateServerResponse::from_der(&message);
        let _ = PrepareDownloadResponse::from_der(&message);
        let _ = EuiccInfo1::from_der(&message);
        let _ = PendingNotification::from_der(&message);
    }
}
#[test]
fn the_sm_dp_plus_answers_every_request() {
    let mut run = Run::of("the_sm_dp_plus_answers_every_request", 500, 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = ::testbed::Testbed::new("smoke").unwrap().sm_dp_plus("smdp.example.com").unwrap();
    let bodies = [
        r#"{"euiccChallenge":"AAAAAAAAAAAAAAAAAAAAAA==","euiccInfo1":"vyAJggMCAgCpAKoA","smdpAddress":"smdp.example.com"}"#,
        r#"{"transactionId":"0102","authenticateServerResponse":"vzgXoRWAEAECAwQFBgcICQoLDA0ODxACAX8="}"#,
        r#"{"transactionId":"0102","prepareDownloadResponse":"vyEXoRWAEAECAwQFBgcICQoLDA0ODxACAQQ="}"#,
        r#"{"transactionId":"0102","cancelSessionResponse":"v0EDgQEF"}"#,
        r#"{"pendingNotification":"MAA="}"#,
    ];
    let functions = [
        "initiateAuthentication",
        "authenticateClient",
        "getBoundProfilePackage",
        "cancelSession",
        "handleNotification",
    ];
    // Converts the JSON of one of the first four requests to the ASN.1 binding.
    fn asn1_body<T: DeserializeOwned + Asn1>(json: &str) -> Bytes {
        asn1::request(Version([2, 2, 0]), &serde_json::from_str::<T>(json).unwrap()).into_body()
    }
    let asn1_bodies = [
        asn1_body::<es9plus::InitiateAuthenticationRequest>(bodies[0]),
        asn1_body::<es9plus::AuthenticateClientRequest>(bodies[1]),
        asn1_body::<es9plus::GetBoundProfilePackageRequest>(bodies[2]),
        asn1_body::<es9plus::CancelSessionRequestEs9>(bodies[3]),
    ];
    while let Some(mut round) = run.round() {
        let random = &round.random;
        let (path, content_type, body) = if random.chance(50) {
            let path = format!("/gsma/rsp2/es9plus/{}", random.pick(&functions));
            (path, "application/json", random.mutate_octets(bodies[random.number(bodies.len())].as_bytes()))
        } else {
            (
                asn1::PATH.to_owned(),
                asn1::CONTENT_TYPE,
                random.mutate_octets(&asn1_bodies[random.number(asn1_bodies.len())]),
            )
        };
        let shown = format!("{path}: {}", String::from_utf8_lossy(&body));
        let request = Request::post(path)
            .header("content-type", content_type)
            .header("x-admin-protocol", "gsma/rsp/v2.2.0")
            .body(Bytes::from(body))
            .unwrap();
        let answering = server.handle(request);
        let status = round.step(shown, || runtime.block_on(answering)).status();
        assert!(
            [StatusCode::OK, StatusCode::NO_CONTENT, StatusCode::BAD_REQUEST].contains(&status),
            "{status}"
        );
    }
    run.end();
}
