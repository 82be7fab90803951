//! A bench round one SM-DS, with an SM-DP+ that registers events and an honest eUICC with its LPA, whose every message a
//! test can spoil. Nothing of `sm-ds` is on their side of the link.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

pub(crate) mod euicc;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use certs::{Pki, PkiOptions};
use crypto::Curve;
use http::Request;
use rsp::ids::{Eid, Version};
use rsp::sgp22::es12::{self, DeleteEventRequest, RegisterEventRequest};
use rsp::sgp22::json::{self, Answer, RequestHeader};
use rsp::status::Status;
use serde::{Deserialize, Serialize};
use sm_ds::{Config, Credentials, SmDs};
use world::{ManualClock, MemoryEvents, MemoryRecords, PeerCertificate, Records, SeededDice, World};

pub(crate) use euicc::Euicc;

/// The server's name.
pub(crate) const ADDRESS: &str = "smds.landfall.example";
/// The version that everybody here speaks.
pub(crate) const VERSION: Version = Version([2, 5, 0]);
/// Where profiles wait.
pub(crate) const SMDP_ADDRESS: &str = "smdpp.landfall.example";

/// Issued once: certificates cost more than everything else here.
static PKI: LazyLock<Pki> = LazyLock::new(|| Pki::from_seed(b"sm-ds tests", &PkiOptions::default()).unwrap());

/// A second SM-DP+ has an OID of its own.
static OTHER_PKI: LazyLock<Pki> = LazyLock::new(|| {
    let options = PkiOptions { smdp_oid: "2.999.11".parse().unwrap(), ..PkiOptions::default() };
    Pki::from_seed(b"sm-ds tests", &options).unwrap()
});

/// One SM-DS and what it stands on.
pub(crate) struct Bench {
    pub(crate) clock: ManualClock,
    pub(crate) dice: SeededDice,
    pub(crate) events: MemoryEvents,
    pub(crate) pki: Pki,
    pub(crate) server: SmDs,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(configure: impl FnOnce(&mut Config)) -> Self {
        Self::over(Arc::new(MemoryRecords::default()), configure)
    }

    pub(crate) fn over(records: Arc<dyn Records>, configure: impl FnOnce(&mut Config)) -> Self {
        let clock = ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap());
        let dice = SeededDice::from_text("sm-ds tests");
        let events = MemoryEvents::default();
        let pki = PKI.clone();
        let mut config = Config::new(ADDRESS.parse().unwrap());
        configure(&mut config);
        let server = SmDs::new(
            config,
            Credentials::from_pki(&pki).unwrap(),
            records,
            World::new(clock.clone(), dice.clone()),
            Arc::new(events.clone()),
        );
        Self { clock, dice, events, pki, server }
    }

    /// The eUICC with the first EID.
    pub(crate) fn euicc_on(&self, curve: Curve) -> Euicc {
        self.numbered_euicc(curve, 0)
    }

    /// The same, on NIST P-256.
    pub(crate) fn euicc(&self) -> Euicc {
        self.euicc_on(Curve::P256)
    }

    /// One of the PKI's eUICCs.
    pub(crate) fn numbered_euicc(&self, curve: Curve, number: usize) -> Euicc {
        let eid = self.pki.eids(curve)[number];
        Euicc::new(self.pki.euicc(curve, eid).unwrap(), self.dice.branch(&eid.to_string()))
    }

    /// The SM-DP+ of the PKI.
    pub(crate) fn sm_dp_plus(&self) -> SmDpPlus {
        SmDpPlus::of(&self.pki)
    }

    /// Another SM-DP+.
    pub(crate) fn other_sm_dp_plus(&self) -> SmDpPlus {
        SmDpPlus::of(&OTHER_PKI)
    }

    /// An event for the first eUICC, left by the first SM-DP+.
    pub(crate) async fn register(&self, event_id: &str) {
        let sm_dp_plus = self.sm_dp_plus();
        sm_dp_plus.register(&self.server, &sm_dp_plus.registration(self.euicc().eid, event_id)).await.done();
    }

    /// The ids of all events that wait.
    pub(crate) async fn waiting(&self) -> Vec<String> {
        let events = self.server.registered_events().await.unwrap();
        events.into_iter().map(|event| event.event_id).collect()
    }

    pub(crate) fn wait(&self, how_long: Duration) {
        self.clock.advance(how_long);
    }
}

/// An SM-DP+ with its TLS client certificate.
pub(crate) struct SmDpPlus {
    pub(crate) oid: String,
    pub(crate) certificate: Option<Vec<u8>>,
}

/// A reply without fields.
#[derive(Debug, Deserialize)]
pub(crate) struct Nothing {}

impl SmDpPlus {
    fn of(pki: &Pki) -> Self {
        let certificate = pki.dp(Curve::P256).unwrap().tls.certificate;
        Self {
            oid: certificate.registered_ids()[0].to_string(),
            certificate: Some(certificate.der().to_vec()),
        }
    }

    pub(crate) fn header(&self, call: &str) -> RequestHeader {
        RequestHeader {
            function_requester_identifier: self.oid.clone(),
            function_call_identifier: call.to_owned(),
        }
    }

    pub(crate) fn registration(&self, eid: Eid, event_id: &str) -> RegisterEventRequest {
        RegisterEventRequest {
            header: self.header(&format!("register {event_id}")),
            eid,
            rsp_server_address: SMDP_ADDRESS.parse().unwrap(),
            event_id: event_id.to_owned(),
            forwarding_indicator: false,
        }
    }

    pub(crate) fn deletion(&self, eid: Eid, event_id: &str) -> DeleteEventRequest {
        DeleteEventRequest { header: self.header("delete"), eid, event_id: event_id.to_owned() }
    }

    pub(crate) async fn register(&self, server: &SmDs, request: &RegisterEventRequest) -> Answer<Nothing> {
        self.call(server, "registerEvent", request).await
    }

    pub(crate) async fn delete(&self, server: &SmDs, request: &DeleteEventRequest) -> Answer<Nothing> {
        self.call(server, "deleteEvent", request).await
    }

    pub(crate) async fn call(&self, server: &SmDs, function: &str, body: &impl Serialize) -> Answer<Nothing> {
        json::answer(&server.handle(self.request(function, body)).await).unwrap()
    }

    pub(crate) fn request(&self, function: &str, body: &impl Serialize) -> Request<Bytes> {
        let mut request = json::request(&es12::path(function), VERSION, body);
        if let Some(certificate) = &self.certificate {
            request.extensions_mut().insert(PeerCertificate(certificate.clone()));
        }
        request
    }
}

/// What a test wants of an answer.
pub(crate) trait Expect<T> {
    /// The reply; the test fails when there is none.
    fn done(self) -> T;
    /// The refusal; the test fails when there is none.
    fn refused(self) -> Status;
}

impl<T: std::fmt::Debug> Expect<T> for Answer<T> {
    #[track_caller]
    fn done(self) -> T {
        match self {
            Self::Done(reply) => reply,
            Self::Refused(why) => panic!("refused: {why}"),
        }
    }

    #[track_caller]
    fn refused(self) -> Status {
        match self {
            Self::Done(reply) => panic!("not refused: {reply:?}"),
            Self::Refused(why) => why.status().unwrap_or_else(|| panic!("not in the table: {why}")),
        }
    }
}
