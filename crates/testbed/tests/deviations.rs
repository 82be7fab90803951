//! Downloads in which one message on the wire deviates from the standard in a way that no standard
//! requires to refuse. The download succeeds, and the party that received the message reports a
//! finding. `crates/rsp/tests/deviations` has the deviations of every single type.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod wire;

use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use certs::{Pki, PkiOptions};
use crypto::Curve;
use device::{EventSource, Lpa, LpaSettings};
use euicc_sim::{Card, V3Elements};
use http::{Request, Response, StatusCode, header};
use profile::generic::Subscription;
use rsp::activation_code::ActivationCode;
use rsp::der::{Asn1, Raw, tlv, tlv_bytes};
use rsp::finding::{Finding, FindingKind};
use rsp::ids::{Iccid, SmdpAddress, Version};
use rsp::sgp22::ServerSigned1;
use rsp::sgp22::es2plus::ConfirmOrder;
use rsp::sgp22::es9plus::{GetBoundProfilePackageOk, InitiateAuthenticationOk};
use sm_dp::ProfileOptions;
use wire::{Change, Reading, Wire, edit, long_length, unknown_element, unknown_member};
use world::{Event, Fault, Link, MemoryEvents, RamMemory};

const ADDRESS: &str = "smdpp.landfall.example";
const ICCID: &str = "89000123456789012341";

static PKI: LazyLock<Arc<Pki>> =
    LazyLock::new(|| Arc::new(Pki::from_seed(b"deviations", &PkiOptions::default()).unwrap()));

/// What happened in a download.
struct Outcome {
    /// The number of messages that were changed.
    changed: usize,
    events: Vec<Event>,
    card: Arc<Mutex<Card>>,
}

impl Outcome {
    /// Returns the findings of a party.
    fn of(&self, party: &str) -> Vec<Finding> {
        match party {
            "card" => self.card.lock().unwrap().findings().to_vec(),
            party => {
                let events = self.events.iter().filter(|event| event.party == party);
                events.flat_map(|event| event.findings.clone()).collect()
            }
        }
    }
}

/// Downloads a profile, enables it and delivers its notifications.
async fn download(change: Change, describe: impl FnOnce(&mut euicc_sim::CardDescription)) -> Outcome {
    let events = MemoryEvents::default();
    let testbed = testbed::Testbed::with_pki(Arc::clone(&PKI), "deviations").with_events(events.clone());
    let server = testbed.sm_dp_plus(ADDRESS).unwrap();
    let iccid: Iccid = ICCID.parse().unwrap();
    let subscription = Subscription { iccid: iccid.to_profile_header(), ..Subscription::default() };
    let package = profile::generic(&subscription).encode();
    server.add_profile(&package, &ProfileOptions::default()).await.unwrap();
    let operator = testbed.operator(server.link()).unwrap();
    operator.download_order(None, Some(iccid), None).await.unwrap();
    let order = operator.call::<ConfirmOrder>(&operator.confirmation(iccid)).await.unwrap();
    let code = ActivationCode {
        smdp_address: ADDRESS.parse().unwrap(),
        matching_id: order.matching_id,
        smdp_oid: None,
        confirmation_code_required: false,
        findings: Vec::new(),
    };
    let mut description = testbed.card_description(testbed.eid().unwrap()).unwrap();
    describe(&mut description);
    let card = Card::open(description, RamMemory::default(), testbed.world("card")).unwrap();
    let card = Arc::new(Mutex::new(card));
    let wire = Wire::new(change);
    let reading = Reading::new(&wire, &card);
    let link = wire.link(server.link());
    let links = move |_: &SmdpAddress| -> Result<Link, Fault> { Ok(link.clone()) };
    let source = EventSource::new("LPA", world::ManualClock::at(rsp::time::Timestamp(0)), events.clone());
    let mut lpa = Lpa::new(reading, links, LpaSettings::default(), source);
    lpa.eid().await.unwrap();
    lpa.chip_info().await.unwrap();
    lpa.download(&code, Default::default()).await.unwrap();
    lpa.enable(iccid).await.unwrap();
    let failures: Vec<_> =
        lpa.process_notifications().await.unwrap().iter().filter_map(|it| it.failure()).collect();
    assert_eq!(failures, Vec::<String>::new());
    assert_eq!(lpa.enabled().await.unwrap(), Some(iccid));
    let orders = server.orders().await.unwrap();
    assert_eq!(orders[0].state, sm_dp::ProfileState::Installed);
    let changed = wire.changed();
    Outcome { changed, events: events.all(), card }
}

/// Adds line breaks to base64.
fn broken_lines(body: &mut Bytes) {
    edit(body, |value| {
        for (name, member) in value.as_object_mut().unwrap() {
            let is_base64 = !["transactionId", "smdpAddress"].contains(&name.as_str());
            if let Some(text) = member.as_str().filter(|text| is_base64 && text.len() > 20) {
                *member = format!("{}\r\n{}", &text[..20], &text[20..]).into();
            }
        }
    });
}

fn lower_case(body: &mut Bytes) {
    edit(body, |value| {
        value["transactionId"] = value["transactionId"].as_str().unwrap().to_lowercase().into()
    });
}

/// Checks that a changed message is received with a finding of this kind.
async fn check(what: String, change: Change, party: &str, kind: FindingKind) {
    let outcome = download(change, |_| {}).await;
    assert!(outcome.changed > 0, "{what}: the message was never sent");
    let findings = outcome.of(party);
    assert!(findings.iter().any(|finding| finding.kind == kind), "{what}: {findings:?}");
}

/// The functions of a download.
const FUNCTIONS: [&str; 3] =
    ["ES9+.InitiateAuthentication", "ES9+.AuthenticateClient", "ES9+.GetBoundProfilePackage"];

#[tokio::test]
async fn a_download_without_deviations_has_no_findings() {
    let outcome = download(Change::Command(0, <[u8]>::to_vec), |_| {}).await;
    for party in ["SM-DP+", "LPA", "card"] {
        assert_eq!(outcome.of(party), [], "{party}");
    }
}

#[tokio::test]
async fn the_sm_dp_plus_accepts_deviations_in_each_request() {
    use FindingKind as Kind;
    type Deviation = (fn(&mut Request<Bytes>), Kind);
    let deviations: [Deviation; 3] = [
        (|request| unknown_member(request.body_mut()), Kind::UnknownElement),
        (|request| broken_lines(request.body_mut()), Kind::Base64Form),
        (
            |request| {
                let version = "gsma/rsp/v2.2".parse().unwrap();
                request.headers_mut().insert("x-admin-protocol", version);
            },
            Kind::VersionForm,
        ),
    ];
    for function in FUNCTIONS.into_iter().chain(["ES9+.HandleNotification"]) {
        for (change, kind) in deviations {
            check(format!("{function}, {kind}"), Change::Request(function, change), "SM-DP+", kind).await;
        }
    }
    for function in &FUNCTIONS[1..] {
        let change: fn(&mut Request<Bytes>) = |request| lower_case(request.body_mut());
        check(function.to_string(), Change::Request(function, change), "SM-DP+", Kind::HexadecimalCase).await;
    }
}

#[tokio::test]
async fn the_lpa_accepts_deviations_in_each_response_of_the_server() {
    use FindingKind as Kind;
    type Deviation = (fn(&mut Response<Bytes>), Kind);
    let deviations: [Deviation; 4] = [
        (|response| unknown_member(response.body_mut()), Kind::UnknownElement),
        (|response| broken_lines(response.body_mut()), Kind::Base64Form),
        (|response| *response.status_mut() = StatusCode::CREATED, Kind::HttpStatus),
        (
            |response| {
                response.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
            },
            Kind::ContentType,
        ),
    ];
    for function in FUNCTIONS {
        for (change, kind) in deviations {
            check(format!("{function}, {kind}"), Change::Response(function, change), "LPA", kind).await;
        }
    }
    let change: fn(&mut Response<Bytes>) = |response| {
        *response.status_mut() = StatusCode::OK;
        *response.body_mut() = "accepted".into();
    };
    let notification = Change::Response("ES9+.HandleNotification", change);
    check("ES9+.HandleNotification".to_owned(), notification, "LPA", Kind::HttpStatus).await;
}

#[tokio::test]
async fn the_card_accepts_deviations_in_each_command() {
    for tag in [0xBF20, 0xBF22, 0xBF2E, 0xBF38, 0xBF21, 0xBF31, 0xBF28, 0xBF2B, 0xBF30, 0xBF2D, 0xBF3E] {
        let what = format!("{tag:X}");
        check(what.clone(), Change::Command(tag, unknown_element), "card", FindingKind::UnknownElement).await;
        check(what.clone(), Change::Command(tag, long_length), "card", FindingKind::NotDer).await;
        let trailing: fn(&[u8]) -> Vec<u8> = |command| [command, &[0]].concat();
        check(what, Change::Command(tag, trailing), "card", FindingKind::TrailingOctets).await;
    }
}

#[tokio::test]
async fn the_lpa_accepts_deviations_in_each_response_of_the_card() {
    for tag in
        [0xBF20, 0xBF22, 0xBF2E, 0xBF38, 0xBF21, 0xBF31, 0xBF37, 0xBF28, 0xBF2B, 0xBF30, 0xBF2D, 0xBF3E]
    {
        let what = format!("{tag:X}");
        check(what.clone(), Change::Answer(tag, unknown_element), "LPA", FindingKind::UnknownElement).await;
        check(what, Change::Answer(tag, long_length), "LPA", FindingKind::NotDer).await;
    }
}

/// Adds an entry at the end of the list in A0, unless the list is empty.
fn with_entry(message: &[u8], entry: &[u8]) -> Vec<u8> {
    let (tag, contents) = tlv::split(message).unwrap();
    let (list, entries) = tlv::split(contents).unwrap();
    let entry = if entries.is_empty() { &[] } else { entry };
    tlv_bytes(tag, &tlv_bytes(list, &[entries, entry].concat()))
}

#[tokio::test]
async fn one_odd_entry_does_not_make_a_list_unreadable() {
    // A profile whose ICCID has 12 octets, one whose ICCID is hexadecimal, and a notification whose
    // recipient is missing.
    let long: fn(&[u8]) -> Vec<u8> =
        |list| with_entry(list, &hex::decode("e30e5a0c989898989898989898989898").unwrap());
    check("ICCID of 12 octets".to_owned(), Change::Answer(0xBF2D, long), "LPA", FindingKind::EntryUnreadable)
        .await;
    let odd: fn(&[u8]) -> Vec<u8> =
        |list| with_entry(list, &hex::decode("e3105a0a98a0b0c0d0e0f01020309f700100").unwrap());
    check("hexadecimal ICCID".to_owned(), Change::Answer(0xBF2D, odd), "LPA", FindingKind::IccidCoding).await;
    let missing: fn(&[u8]) -> Vec<u8> =
        |list| with_entry(list, &hex::decode("bf2f0780010181020780").unwrap());
    check("no recipient".to_owned(), Change::Answer(0xBF28, missing), "LPA", FindingKind::EntryUnreadable)
        .await;
}

/// An unknown element in data that the server has signed, with a new signature.
#[tokio::test]
async fn signed_data_of_the_server_may_have_unknown_elements() {
    let change: fn(&mut Response<Bytes>) = |response| {
        edit(response.body_mut(), |value| {
            let mut ok: InitiateAuthenticationOk = serde_json::from_value(value.clone()).unwrap();
            let signed = unknown_element(ok.server_signed1.bytes());
            let key = PKI.dp(Curve::P256).unwrap().auth.key;
            ok.server_signature1 = key.sign(&signed).as_bytes().to_vec();
            ok.server_signed1 = Raw::<ServerSigned1>::from_der(&signed).unwrap();
            value
                .as_object_mut()
                .unwrap()
                .extend(serde_json::to_value(ok).unwrap().as_object().unwrap().clone());
        });
    };
    for party in ["LPA", "card"] {
        let change = Change::Response("ES9+.InitiateAuthentication", change);
        check(format!("serverSigned1, {party}"), change, party, FindingKind::UnknownElement).await;
    }
}

/// The segments of section 2.5.5 do not include an unknown element, so the card never gets it.
#[tokio::test]
async fn the_lpa_does_not_send_unknown_elements_of_a_package_to_the_card() {
    let change: fn(&mut Response<Bytes>) = |response| {
        edit(response.body_mut(), |value| {
            let mut ok: GetBoundProfilePackageOk = serde_json::from_value(value.clone()).unwrap();
            ok.bound_profile_package.0 = unknown_element(&ok.bound_profile_package.0);
            value["boundProfilePackage"] = serde_json::to_value(ok).unwrap()["boundProfilePackage"].take();
        });
    };
    let change = Change::Response("ES9+.GetBoundProfilePackage", change);
    check("boundProfilePackage".to_owned(), change, "LPA", FindingKind::UnknownElement).await;
}

/// EUICCInfo2 is signed, so the card itself has the deviations.
#[tokio::test]
async fn signed_data_of_the_card_may_have_reserved_bits_and_long_values() {
    let outcome = download(Change::Command(0, <[u8]>::to_vec), |card| {
        card.capabilities.uicc_capability.push(60);
        card.capabilities.rsp_capability.push(40);
        card.capabilities.sas_accreditation_number = "S".repeat(100);
        card.capabilities.v3 = Some(V3Elements {
            highest_svn: Version([3, 1, 0]),
            lpa_mode: None,
            ci_pk_id_list_for_signing: false,
            additional_euicc_info: None,
        });
    })
    .await;
    for party in ["SM-DP+", "LPA"] {
        let findings = outcome.of(party);
        for (kind, place) in [
            (FindingKind::ReservedBit, "EuiccInfo2.uicc_capability: bit 60"),
            (FindingKind::ReservedBit, "EuiccInfo2.rsp_capability: bit 40"),
            (FindingKind::LongValue, "EuiccInfo2.sas_accreditation_number: 100 octets, usually at most 64"),
        ] {
            assert!(findings.contains(&Finding::new(kind, place)), "{party}, {place}: {findings:?}");
        }
    }
}
