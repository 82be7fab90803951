//! Orders and events (ES2+, ES12, ES11), cancelled sessions and the ASN.1 binding, with one message on
//! the wire that deviates from the standard in a way that no standard requires to refuse. The order is
//! executed, and the party that received the message reports a finding.

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
use device::lpa::{Consent, Decision, DownloadError};
use device::{DownloadOptions, EventSource, Lpa, LpaSettings};
use euicc_sim::{Card, CardDescription};
use http::{Request, Response, StatusCode};
use profile::generic::Subscription;
use rsp::activation_code::ActivationCode;
use rsp::der::{tlv, tlv_bytes};
use rsp::finding::{Finding, FindingKind};
use rsp::ids::{Iccid, SmdpAddress, Version};
use rsp::sgp22::es2plus::{CancelOrder, CancelOrderRequest, ConfirmOrder, ConfirmOrderRequest};
use rsp::sgp22::es9plus::{
    AuthenticateClient, CancelSession, GetBoundProfilePackage, HandleNotificationRequest,
    InitiateAuthentication,
};
use rsp::sgp22::{CancelSessionReason, asn1, json};
use serde::{Serialize, de::DeserializeOwned};
use sm_dp::{Peers, ProfileOptions, ProfileState, SmDpPlus};
use sm_ds::SmDs;
use testbed::Testbed;
use wire::{Change, Reading, UNKNOWN, Wire, long_length, unknown_element, unknown_member};
use world::{Fault, Link, LinkFault, ManualClock, MemoryEvents, RamMemory, link_from};

const ADDRESS: &str = "smdpp.landfall.example";
const SM_DS: &str = "smds.landfall.example";
const ICCID: &str = "89000123456789012341";
const VERSION: Version = Version([2, 5, 0]);

static PKI: LazyLock<Arc<Pki>> =
    LazyLock::new(|| Arc::new(Pki::from_seed(b"deviations", &PkiOptions::default()).unwrap()));

/// The links of the SM-DP+ to the SM-DS.
struct SmDsPeers {
    wire: Wire,
    sm_ds: SmDs,
}

impl Peers for SmDsPeers {
    fn link(&self, _: &SmdpAddress) -> Result<Link, Fault> {
        let certificate = PKI.dp(Curve::P256).unwrap().tls.certificate;
        let link = world::with_peer_certificate(self.sm_ds.link(), certificate.der().to_vec());
        Ok(self.wire.link(link))
    }
}

/// An SM-DP+ with one profile, an SM-DS, and a device. All their messages pass the wire.
struct Parties {
    wire: Wire,
    events: MemoryEvents,
    testbed: Testbed,
    server: SmDpPlus,
    card: Arc<Mutex<Card>>,
    lpa: Lpa<Reading>,
}

impl Parties {
    /// `over` is between the LPA and the wire to the SM-DP+.
    async fn new(
        change: Change,
        describe: impl FnOnce(&mut CardDescription),
        over: impl FnOnce(Link) -> Link,
    ) -> Self {
        let events = MemoryEvents::default();
        let testbed = Testbed::with_pki(Arc::clone(&PKI), "deviations").with_events(events.clone());
        let wire = Wire::new(change);
        let sm_ds = testbed.sm_ds(SM_DS).unwrap();
        let peers = SmDsPeers { wire: wire.clone(), sm_ds: sm_ds.clone() };
        let server = testbed.sm_dp_plus(ADDRESS).unwrap().with_peers(Arc::new(peers));
        let subscription = Subscription { iccid: iccid().to_profile_header(), ..Subscription::default() };
        let package = profile::generic(&subscription).encode();
        server.add_profile(&package, &ProfileOptions::default()).await.unwrap();
        let mut description = testbed.card_description(testbed.eid().unwrap()).unwrap();
        description.root_ds_address = SM_DS.to_owned();
        describe(&mut description);
        let card = Card::open(description, RamMemory::default(), testbed.world("card")).unwrap();
        let card = Arc::new(Mutex::new(card));
        let reading = Reading::new(&wire, &card);
        let (to_sm_dp, to_sm_ds) = (over(wire.link(server.link())), wire.link_at("ES11", sm_ds.link()));
        let links = move |address: &SmdpAddress| -> Result<Link, Fault> {
            Ok(if address.as_str() == SM_DS { to_sm_ds.clone() } else { to_sm_dp.clone() })
        };
        let source = EventSource::new("LPA", ManualClock::at(rsp::time::Timestamp(0)), events.clone());
        let lpa = Lpa::new(reading, links, LpaSettings::default(), source);
        Self { wire, events, testbed, server, card, lpa }
    }

    /// Orders the profile. `choose` changes the confirmation.
    async fn order(&self, choose: impl FnOnce(&mut ConfirmOrderRequest)) -> ActivationCode {
        let operator = self.testbed.operator(self.wire.link(self.server.link())).unwrap();
        operator.download_order(None, Some(iccid()), None).await.unwrap();
        let mut confirmation = operator.confirmation(iccid());
        choose(&mut confirmation);
        let confirmed = operator.call::<ConfirmOrder>(&confirmation).await.unwrap();
        format!("1${ADDRESS}${}", confirmed.matching_id).parse().unwrap()
    }

    /// Checks that the changed message was received with a finding of this kind.
    fn check(&self, what: &str, party: &str, kind: FindingKind) {
        assert!(self.wire.changed() > 0, "{what}: the message was never sent");
        let findings = self.findings(party);
        assert!(findings.iter().any(|finding| finding.kind == kind), "{what}, {party}: {findings:?}");
    }

    fn findings(&self, party: &str) -> Vec<Finding> {
        if party == "card" {
            return self.card.lock().unwrap().findings().to_vec();
        }
        let events = self.events.all().into_iter().filter(|event| event.party == party);
        events.flat_map(|event| event.findings).collect()
    }
}

fn iccid() -> Iccid {
    ICCID.parse().unwrap()
}

fn unchanged() -> Change {
    Change::Command(0, <[u8]>::to_vec)
}

/// An order with an event at the SM-DS, which the device retrieves.
async fn discovered(change: Change, describe: impl FnOnce(&mut CardDescription)) -> Parties {
    let mut parties = Parties::new(change, describe, |link| link).await;
    let eid = parties.testbed.eid().unwrap();
    let with_event = |confirm: &mut ConfirmOrderRequest| {
        (confirm.eid, confirm.smds_address) = (Some(eid), Some(SM_DS.to_owned()));
    };
    parties.order(with_event).await;
    let found = parties.lpa.discover(None, DownloadOptions::default()).await.unwrap();
    let installed: Vec<_> = found.into_iter().map(|each| each.outcome.unwrap().iccid).collect();
    assert_eq!(installed, [iccid()]);
    parties.server.deliver_due().await.unwrap();
    assert_eq!(parties.server.orders().await.unwrap()[0].state, ProfileState::Installed);
    parties
}

/// A download that the user postpones.
async fn postponed(change: Change) -> Parties {
    let mut parties = Parties::new(change, |_| {}, |link| link).await;
    let code = parties.order(|_| {}).await;
    let consent = Consent::Ask(Box::new(|_| Decision::Postpone));
    let options = DownloadOptions { consent, ..DownloadOptions::default() };
    let DownloadError::Cancelled(cancelled) = parties.lpa.download(&code, options).await.unwrap_err() else {
        panic!()
    };
    assert_eq!((cancelled.reason, cancelled.not_told), (CancelSessionReason::POSTPONED, None));
    assert_eq!(parties.server.orders().await.unwrap()[0].state, ProfileState::Released);
    parties
}

/// A change of a message, and the finding of its receiver.
type Deviation<Change> = (Change, FindingKind);
type OfRequest = Deviation<fn(&mut Request<Bytes>)>;
type OfOctets = Deviation<fn(&[u8]) -> Vec<u8>>;
type OfResponse = Deviation<fn(&mut Response<Bytes>)>;

const REQUESTS: [OfRequest; 2] = [
    (|request| unknown_member(request.body_mut()), FindingKind::UnknownElement),
    (
        |request| drop(request.headers_mut().insert("x-admin-protocol", "gsma/rsp/v2.2".parse().unwrap())),
        FindingKind::VersionForm,
    ),
];

const RESPONSES: [OfResponse; 2] = [
    (|response| unknown_member(response.body_mut()), FindingKind::UnknownElement),
    (|response| *response.status_mut() = StatusCode::CREATED, FindingKind::HttpStatus),
];

#[tokio::test]
async fn without_deviations_there_are_no_findings() {
    for parties in [discovered(unchanged(), |_| {}).await, postponed(unchanged()).await] {
        for party in ["operator", "SM-DP+", "SM-DS", "LPA", "card"] {
            assert_eq!(parties.findings(party), [], "{party}");
        }
    }
}

/// The functions of an order with an event, with the server and the client of each.
const ORDER: [(&str, &str, &str); 6] = [
    ("ES2+.DownloadOrder", "SM-DP+", "operator"),
    ("ES2+.ConfirmOrder", "SM-DP+", "operator"),
    ("ES12.RegisterEvent", "SM-DS", "SM-DP+"),
    ("ES11.InitiateAuthentication", "SM-DS", "LPA"),
    ("ES11.AuthenticateClient", "SM-DS", "LPA"),
    ("ES12.DeleteEvent", "SM-DS", "SM-DP+"),
];

#[tokio::test]
async fn each_server_of_an_order_with_an_event_accepts_deviations_in_requests() {
    for (function, server, _) in ORDER {
        for (change, kind) in REQUESTS {
            discovered(Change::Request(function, change), |_| {}).await.check(function, server, kind);
        }
    }
}

#[tokio::test]
async fn each_client_of_an_order_with_an_event_accepts_deviations_in_responses() {
    for (function, _, client) in ORDER {
        for (change, kind) in RESPONSES {
            discovered(Change::Response(function, change), |_| {}).await.check(function, client, kind);
        }
    }
}

/// EUICCInfo2 is signed, so the card itself has the deviations.
#[tokio::test]
async fn the_sm_ds_accepts_reserved_bits_and_long_values_in_signed_data_of_the_card() {
    let parties = discovered(unchanged(), |card| {
        card.capabilities.uicc_capability.push(60);
        card.capabilities.sas_accreditation_number = "S".repeat(100);
    })
    .await;
    for kind in [FindingKind::ReservedBit, FindingKind::LongValue] {
        let findings = parties.findings("SM-DS");
        assert!(findings.iter().any(|finding| finding.kind == kind), "{kind}: {findings:?}");
    }
}

#[tokio::test]
async fn an_order_is_cancelled_although_the_messages_have_unknown_members() {
    let request = Change::Request("ES2+.CancelOrder", REQUESTS[0].0);
    let response = Change::Response("ES2+.CancelOrder", RESPONSES[0].0);
    for (change, party) in [(request, "SM-DP+"), (response, "operator")] {
        let parties = Parties::new(change, |_| {}, |link| link).await;
        parties.order(|_| {}).await;
        let operator = parties.testbed.operator(parties.wire.link(parties.server.link())).unwrap();
        let request = CancelOrderRequest::new(operator.header(), iccid());
        operator.call::<CancelOrder>(&request).await.unwrap();
        parties.check("ES2+.CancelOrder", party, FindingKind::UnknownElement);
    }
}

#[tokio::test]
async fn a_session_is_cancelled_although_a_message_deviates() {
    const FUNCTION: &str = "ES9+.CancelSession";
    const TAG: u32 = 0xBF41;
    for (change, kind) in REQUESTS {
        postponed(Change::Request(FUNCTION, change)).await.check(FUNCTION, "SM-DP+", kind);
    }
    for (change, kind) in RESPONSES {
        postponed(Change::Response(FUNCTION, change)).await.check(FUNCTION, "LPA", kind);
    }
    let octets: [OfOctets; 2] =
        [(unknown_element, FindingKind::UnknownElement), (long_length, FindingKind::NotDer)];
    for (change, kind) in octets {
        postponed(Change::Command(TAG, change)).await.check("the command", "card", kind);
        postponed(Change::Answer(TAG, change)).await.check("the response", "LPA", kind);
    }
}

#[tokio::test]
async fn an_activation_code_with_deviations_is_an_event_of_the_lpa() {
    let mut parties = Parties::new(unchanged(), |_| {}, |link| link).await;
    let code: ActivationCode = format!("lpa:{}$$$later", parties.order(|_| {}).await).parse().unwrap();
    parties.lpa.download(&code, DownloadOptions::default()).await.unwrap();
    let events = parties.events.all();
    let event = events.iter().find(|event| event.function == "activation code read").unwrap();
    let kinds: Vec<_> = event.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::ActivationCodePrefix, FindingKind::UnknownElement]);
}

/// Translates the JSON binding of the LPA to the ASN.1 binding.
fn over_asn1(server: Link) -> Link {
    link_from(tower::service_fn(move |request: Request<Bytes>| {
        let server = server.clone();
        async move {
            match faults::function_of(&request).as_deref() {
                Some("ES9+.InitiateAuthentication") => {
                    translated::<InitiateAuthentication>(&server, &request).await
                }
                Some("ES9+.AuthenticateClient") => translated::<AuthenticateClient>(&server, &request).await,
                Some("ES9+.GetBoundProfilePackage") => {
                    translated::<GetBoundProfilePackage>(&server, &request).await
                }
                Some("ES9+.CancelSession") => translated::<CancelSession>(&server, &request).await,
                Some("ES9+.HandleNotification") => {
                    let message: HandleNotificationRequest = json::read(request.body()).unwrap();
                    world::send(&server, asn1::request(VERSION, &message)).await
                }
                other => panic!("{other:?}"),
            }
        }
    }))
}

async fn translated<F>(server: &Link, request: &Request<Bytes>) -> Result<Response<Bytes>, LinkFault>
where
    F: asn1::Exchange<Request: DeserializeOwned, Reply: Serialize>,
{
    let message: F::Request = json::read(request.body()).unwrap();
    let response = world::send(server, asn1::request(VERSION, &message)).await?;
    let asn1::Answer::Done(reply) = asn1::answer::<F>(&response).unwrap() else { panic!("refused") };
    Ok(json::response(VERSION, Ok(&reply)))
}

/// Changes the message in the wrapper of a request of the ASN.1 binding.
fn in_wrapper(request: &mut Request<Bytes>, change: fn(&[u8]) -> Vec<u8>) {
    let (wrapper, message) = tlv::split(request.body()).unwrap();
    let changed = tlv_bytes(wrapper, &change(message));
    *request.body_mut() = changed.into();
}

#[tokio::test]
async fn the_sm_dp_plus_accepts_deviations_in_each_request_of_the_asn1_binding() {
    let deviations: [OfRequest; 3] = [
        (|request| in_wrapper(request, unknown_element), FindingKind::UnknownElement),
        (|request| in_wrapper(request, long_length), FindingKind::NotDer),
        (
            |request| *request.body_mut() = [&request.body()[..], &UNKNOWN].concat().into(),
            FindingKind::TrailingOctets,
        ),
    ];
    for function in [
        "ES9+.InitiateAuthentication",
        "ES9+.AuthenticateClient",
        "ES9+.GetBoundProfilePackage",
        "ES9+.HandleNotification",
    ] {
        for (change, kind) in deviations {
            let mut parties = Parties::new(Change::Request(function, change), |_| {}, over_asn1).await;
            let code = parties.order(|_| {}).await;
            parties.lpa.download(&code, DownloadOptions::default()).await.unwrap();
            assert_eq!(parties.server.orders().await.unwrap()[0].state, ProfileState::Installed);
            parties.check(function, "SM-DP+", kind);
        }
    }
}
