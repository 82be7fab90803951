//! JSON: the requests and replies of ES9+, ES2+, ES11 and ES12.

use std::fmt::Debug;

use rsp::sgp22::{es2plus, es9plus, es11, es12};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) fn run(octets: &[u8]) -> bool {
    let read = [
        stable::<es9plus::InitiateAuthenticationRequest>(octets),
        stable::<es9plus::AuthenticateClientRequest>(octets),
        stable::<es9plus::GetBoundProfilePackageRequest>(octets),
        stable::<es9plus::CancelSessionRequestEs9>(octets),
        stable::<es9plus::HandleNotificationRequest>(octets),
        stable::<es9plus::InitiateAuthenticationOk>(octets),
        stable::<es9plus::AuthenticateClientOk>(octets),
        stable::<es9plus::GetBoundProfilePackageOk>(octets),
        stable::<es11::AuthenticateClientOk>(octets),
        stable::<es2plus::DownloadOrderRequest>(octets),
        stable::<es2plus::ConfirmOrderRequest>(octets),
        stable::<es2plus::CancelOrderRequest>(octets),
        stable::<es2plus::ReleaseProfileRequest>(octets),
        stable::<es2plus::HandleDownloadProgressInfoRequest>(octets),
        stable::<es12::RegisterEventRequest>(octets),
        stable::<es12::DeleteEventRequest>(octets),
    ];
    read.contains(&true)
}

/// Decodes a value, and checks that its encoding is decoded to the same value.
pub(crate) fn stable<T: Serialize + DeserializeOwned + PartialEq + Debug>(octets: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<T>(octets) else { return false };
    let text = serde_json::to_string(&value).expect("a decoded value can be encoded");
    let again: T = serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why} in {text}"));
    assert_eq!(again, value, "{text}");
    true
}

pub(crate) fn samples() -> Vec<Vec<u8>> {
    [
        r#"{"euiccChallenge":"AAAAAAAAAAAAAAAAAAAAAA==","euiccInfo1":"vyAJggMCAgCpAKoA","smdpAddress":"smdp.example.com"}"#,
        r#"{"transactionId":"0102","authenticateServerResponse":"vzgXoRWAEAECAwQFBgcICQoLDA0ODxACAX8="}"#,
        r#"{"transactionId":"0102","prepareDownloadResponse":"vyEXoRWAEAECAwQFBgcICQoLDA0ODxACAQQ="}"#,
        r#"{"header":{"functionRequesterIdentifier":"2.999.1","functionCallIdentifier":"call-1"},"eid":"89049032000000000000000000000196","profileType":"P"}"#,
        r#"{"header":{"functionRequesterIdentifier":"2.999.1","functionCallIdentifier":"call-2"},"iccid":"8929901012345678901F","matchingId":"ABC-123","confirmationCode":"1234","releaseFlag":true}"#,
        r#"{"header":{"functionRequesterIdentifier":"2.999.1","functionCallIdentifier":"call-3"},"eid":"89049032000000000000000000000196","rspServerAddress":"smdp.example.com","eventId":"E1","forwardingIndicator":false}"#,
        r#"{"header":{"functionRequesterIdentifier":"2.999.1","functionCallIdentifier":"call-4"},"eid":"89049032000000000000000000000196","iccid":"8929901012345678901F","profileType":"P","timestamp":"2026-11-25T08:00:00Z","notificationPointId":3,"notificationPointStatus":{"status":"Executed-Success"}}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
