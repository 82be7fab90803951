//! Deviations in the JSON binding, of requests and of responses.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use rsp::{
    finding::{self, Finding, FindingKind},
    ids::Version,
    sgp22::{
        Function, es2plus, es9plus, es11, es12,
        json::{self, Answer, NoOutput, RequestHeader},
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

const ICCID: &str = "89000123456789012341";
const EID: &str = "89049032123451234512345678901235";

/// A message of a function, and its decoder.
struct Message {
    name: &'static str,
    body: Value,
    decode: fn(&Value) -> Result<Vec<Finding>, String>,
}

fn request<F: Function<Request: DeserializeOwned>>(name: &'static str, body: Value) -> Message {
    fn decode<T: DeserializeOwned>(body: &Value) -> Result<Vec<Finding>, String> {
        let (decoded, findings) = finding::collect(|| json::read::<T>(body.to_string().as_bytes()));
        decoded.map(|_| findings).map_err(|refusal| refusal.to_string())
    }
    Message { name, body, decode: decode::<F::Request> }
}

fn reply<F: Function<Reply: DeserializeOwned>>(name: &'static str, body: Value) -> Message {
    fn decode<T: DeserializeOwned>(body: &Value) -> Result<Vec<Finding>, String> {
        answer::<T>(&response(body.to_string()))
    }
    let mut body = body;
    body["header"] = json!({"functionExecutionStatus": {"status": "Executed-Success"}});
    Message { name, body, decode: decode::<F::Reply> }
}

fn answer<T: DeserializeOwned>(response: &Response<Bytes>) -> Result<Vec<Finding>, String> {
    let (answer, findings) = finding::collect(|| json::answer::<T>(response));
    match answer {
        Ok(Answer::Done(_)) => Ok(findings),
        Ok(Answer::Refused(status)) => Err(status.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn response(body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = json::response(Version([2, 2, 0]), Ok(&NoOutput));
    *response.body_mut() = body.into();
    response
}

/// Returns the JSON of the sample with this type.
fn of_type<T: DeserializeOwned + Serialize + rsp::der::Asn1>(name: &str) -> Value {
    let sample = crate::samples::all().into_iter().find(|sample| sample.name == name).unwrap();
    serde_json::to_value(T::from_der(&sample.octets).unwrap()).unwrap()
}

macro_rules! of_es9 {
    ($($function:ident: $request:ident, $reply:ident;)+) => {
        vec![$(
            request::<es9plus::$function>(
                concat!(stringify!($function), ", request"),
                of_type::<es9plus::$request>(concat!("es9plus::", stringify!($request))),
            ),
            reply::<es9plus::$function>(
                concat!(stringify!($function), ", reply"),
                of_type::<es9plus::$reply>(concat!("es9plus::", stringify!($reply))),
            ),
        )+]
    };
}

fn messages() -> Vec<Message> {
    let header = serde_json::to_value(RequestHeader::new("2.999.10", "call-1")).unwrap();
    let mut all = of_es9! {
        InitiateAuthentication: InitiateAuthenticationRequest, InitiateAuthenticationOk;
        AuthenticateClient: AuthenticateClientRequest, AuthenticateClientOk;
        GetBoundProfilePackage: GetBoundProfilePackageRequest, GetBoundProfilePackageOk;
        CancelSession: CancelSessionRequestEs9, CancelSessionOk;
    };
    all.push(request::<es9plus::HandleNotification>(
        "HandleNotification, request",
        of_type::<es9plus::HandleNotificationRequest>("es9plus::HandleNotificationRequest"),
    ));
    all.push(request::<es11::InitiateAuthentication>(
        "InitiateAuthentication, request to the SM-DS",
        of_type::<es11::InitiateAuthenticationRequest>("es11::InitiateAuthenticationRequest"),
    ));
    all.push(reply::<es11::AuthenticateClient>(
        "AuthenticateClient, reply of the SM-DS",
        of_type::<es11::AuthenticateClientOk>("es11::AuthenticateClientOk"),
    ));
    all.extend([
        request::<es2plus::DownloadOrder>(
            "DownloadOrder, request",
            json!({"header": header, "eid": EID, "iccid": ICCID, "profileType": "p"}),
        ),
        reply::<es2plus::DownloadOrder>("DownloadOrder, reply", json!({"iccid": ICCID})),
        request::<es2plus::ConfirmOrder>(
            "ConfirmOrder, request",
            json!({"header": header, "iccid": ICCID, "eid": EID, "matchingId": "M", "confirmationCode": "1",
                "smdsAddress": "smds.example.com", "releaseFlag": true}),
        ),
        reply::<es2plus::ConfirmOrder>(
            "ConfirmOrder, reply",
            json!({"eid": EID, "matchingId": "M", "smdpAddress": "smdp.example.com"}),
        ),
        request::<es2plus::CancelOrder>(
            "CancelOrder, request",
            json!({"header": header, "iccid": ICCID, "eid": EID, "matchingId": "M",
                "finalProfileStatusIndicator": "Available"}),
        ),
        reply::<es2plus::CancelOrder>("CancelOrder, reply", json!({})),
        request::<es2plus::ReleaseProfile>(
            "ReleaseProfile, request",
            json!({"header": header, "iccid": ICCID}),
        ),
        reply::<es2plus::ReleaseProfile>("ReleaseProfile, reply", json!({})),
        request::<es2plus::HandleDownloadProgressInfo>(
            "HandleDownloadProgressInfo, request",
            json!({"header": header, "eid": EID, "iccid": ICCID, "profileType": "p",
                "timestamp": "2026-11-25T00:00:00Z", "notificationPointId": 4,
                "notificationPointStatus": {"status": "Failed", "statusCodeData": {"subjectCode": "8.1",
                    "reasonCode": "4.8"}},
                "resultData": "vzcA"}),
        ),
        request::<es12::RegisterEvent>(
            "RegisterEvent, request",
            json!({"header": header, "eid": EID, "rspServerAddress": "smdp.example.com", "eventId": "E",
                "forwardingIndicator": true}),
        ),
        reply::<es12::RegisterEvent>("RegisterEvent, reply", json!({})),
        request::<es12::DeleteEvent>(
            "DeleteEvent, request",
            json!({"header": header, "eid": EID, "eventId": "E"}),
        ),
        reply::<es12::DeleteEvent>("DeleteEvent, reply", json!({})),
    ]);
    all
}

/// Returns the values in which one object, array or text is changed.
fn changed(value: &Value, change: &dyn Fn(&Value) -> Option<Value>) -> Vec<Value> {
    let mut all: Vec<Value> = change(value).into_iter().collect();
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), member)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(at, item)| (at.to_string(), item)).collect(),
        _ => Vec::new(),
    };
    for (at, child) in children {
        for other in changed(child, change) {
            let mut copy = value.clone();
            *copy.pointer_mut(&format!("/{at}")).unwrap() = other;
            all.push(copy);
        }
    }
    all
}

#[test]
fn every_function_has_its_messages() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sgp22");
    let mut functions = BTreeSet::new();
    for interface in ["es2plus", "es9plus", "es11", "es12"] {
        let source = std::fs::read_to_string(format!("{folder}/{interface}.rs")).unwrap();
        let of_line = |line: &str| {
            let (name, types) = line.trim().split_once(" = \"")?;
            types.contains(" => ").then(|| name.to_owned())
        };
        functions.extend(source.lines().filter_map(of_line));
    }
    assert_eq!(functions.len(), 12, "{functions:?}");
    let all = messages();
    for function in functions {
        let request = format!("{function}, request");
        assert!(all.iter().any(|message| message.name == request), "add a message of {function}");
    }
}

#[test]
fn an_unknown_member_is_accepted_in_every_object_of_every_message() {
    for Message { name, body, decode } in messages() {
        assert_eq!(decode(&body), Ok(Vec::new()), "{name}");
        let with_unknown = changed(&body, &|value| {
            let mut value = value.clone();
            value.as_object_mut()?.insert("unknownMember".into(), json!({"later": [1]}));
            Some(value)
        });
        assert!(!with_unknown.is_empty(), "{name}");
        for body in with_unknown {
            let findings = decode(&body).unwrap_or_else(|e| panic!("{name}: {e}: {body}"));
            let [finding] = &findings[..] else { panic!("{name}: {findings:?}: {body}") };
            assert_eq!(finding.kind, FindingKind::UnknownElement);
            assert!(finding.detail.ends_with("unknownMember"), "{name}: {finding}");
        }
    }
}

#[test]
fn base64_in_another_form_is_accepted_in_every_message() {
    for Message { name, body, decode } in messages() {
        for broken in changed(&body, &|value| {
            let text = value.as_str().filter(|text| text.len() > 20 && text.starts_with(['M', 'v']))?;
            let (first, rest) = text.split_at(4);
            Some(Value::from(format!("{first}\r\n{}", rest.trim_end_matches('='))))
        }) {
            let findings = decode(&broken).unwrap_or_else(|e| panic!("{name}: {e}: {broken}"));
            assert!(
                findings.iter().all(|finding| finding.kind == FindingKind::Base64Form)
                    && !findings.is_empty(),
                "{name}: {findings:?}"
            );
        }
    }
}

#[test]
fn the_forms_of_identifiers_that_peers_use_are_accepted() {
    let of = |name: &str| messages().into_iter().find(|message| message.name == name).unwrap();
    let kinds = |name: &str, member: &str, text: &str| {
        let Message { mut body, decode, .. } = of(name);
        body[member] = text.into();
        decode(&body).map(|findings| findings.iter().map(|finding| finding.kind).collect::<Vec<_>>())
    };
    let lower = "ab".repeat(16);
    assert_eq!(
        kinds("CancelSession, request", "transactionId", &lower),
        Ok(vec![FindingKind::HexadecimalCase])
    );
    assert_eq!(kinds("CancelSession, request", "transactionId", &lower.to_uppercase()), Ok(vec![]));
    let hexadecimal = "8986800a04b0c0d0e0f0";
    assert_eq!(kinds("ReleaseProfile, request", "iccid", hexadecimal), Ok(vec![FindingKind::IccidCoding]));
    assert!(kinds("ReleaseProfile, request", "iccid", "no digits").is_err());
    assert_eq!(kinds("RegisterEvent, request", "eid", &lower), Ok(vec![FindingKind::EidCoding]));
}

#[test]
fn another_status_or_content_type_of_a_response_is_accepted() {
    let good = response(r#"{"header":{"functionExecutionStatus":{"status":"Executed-Success"}}}"#);
    let kinds = |response: &Response<Bytes>| {
        answer::<NoOutput>(response).map(|findings| findings.iter().map(|it| it.kind).collect::<Vec<_>>())
    };
    assert_eq!(kinds(&good), Ok(vec![]));
    let mut created = good.clone();
    *created.status_mut() = StatusCode::CREATED;
    assert_eq!(kinds(&created), Ok(vec![FindingKind::HttpStatus]));
    let mut text = good.clone();
    text.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    assert_eq!(kinds(&text), Ok(vec![FindingKind::ContentType]));
    // A page of an intermediary is no response.
    *text.body_mut() = "<html>".into();
    assert!(kinds(&text).is_err());
    let mut version = good;
    version.headers_mut().insert(json::X_ADMIN_PROTOCOL, "gsma/rsp/v2.2".parse().unwrap());
    assert_eq!(kinds(&version), Ok(vec![FindingKind::VersionForm]));
}

#[test]
fn a_notification_is_acknowledged_by_any_success_that_is_not_a_refusal() {
    let kinds = |status: u16, body: &'static str| {
        let mut response = response(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        let (answer, findings) = finding::collect(|| json::acknowledgement(&response));
        (answer.ok(), findings.len())
    };
    assert_eq!(kinds(204, ""), (Some(Answer::Done(())), 0));
    for (status, body) in [(204, "{}"), (200, ""), (200, "OK"), (202, "{}")] {
        assert_eq!(kinds(status, body), (Some(Answer::Done(())), 1), "{status} {body}");
    }
    assert_eq!(kinds(400, "").0, None);
    assert_eq!(kinds(500, "").0, None);
    let refusal = r#"{"header":{"functionExecutionStatus":{"status":"Failed",
        "statusCodeData":{"subjectCode":"8.2.1","reasonCode":"3.9"}}}}"#;
    assert!(matches!(kinds(200, refusal).0, Some(Answer::Refused(_))));
}
