//! A testbed with one SM-DS, an SM-DP+ that registers events, and a well-behaved eUICC with its
//! LPA. A test can corrupt each of their messages. The SM-DP+ and the LPA use no code of `sm-ds`.

#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a panic fails the test")]

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
use world::{ManualClock, MemoryEvents, MemoryRecords, PeerCertificate, Records, SeededRandom, World};

pub(crate) use euicc::Euicc;

/// Address of the server.
pub(crate) const ADDRESS: &str = "smds.landfall.example";
/// Protocol version of all parties.
pub(crate) const VERSION: Version = Version([2, 5, 0]);
/// Address of the SM-DP+ that holds the profiles.
pub(crate) const SMDP_ADDRESS: &str = "smdpp.landfall.example";

/// Issued once, because issuing certificates takes longer than the tests.
static PKI: LazyLock<Pki> = LazyLock::new(|| Pki::from_seed(b"sm-ds tests", &PkiOptions::default()).unwrap());

/// PKI of a second SM-DP+, which has another OID.
static OTHER_PKI: LazyLock<Pki> = LazyLock::new(|| {
    let options = PkiOptions { smdp_oid: "2.999.11".parse().unwrap(), ..PkiOptions::default() };
    Pki::from_seed(b"sm-ds tests", &options).unwrap()
});

/// An SM-DS with its environment.
pub(crate) struct Testbed {
    pub(crate) clock: ManualClock,
    pub(crate) random: SeededRandom,
    pub(crate) events: MemoryEvents,
    pub(crate) pki: Pki,
    pub(crate) server: SmDs,
}

impl Testbed {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(configure: impl FnOnce(&mut Config)) -> Self {
        Self::over(Arc::new(MemoryRecords::default()), configure)
    }

    pub(crate) fn over(records: Arc<dyn Records>, configure: impl FnOnce(&mut Config)) -> Self {
        let clock = ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap());
        let random = SeededRandom::from_text("sm-ds tests");
        let events = MemoryEvents::default();
        let pki = PKI.clone();
        let mut config = Config::new(ADDRESS.parse().unwrap());
        configure(&mut config);
        let server = SmDs::new(
            config,
            Credentials::from_pki(&pki).unwrap(),
            records,
            World::new(clock.clone(), random.clone()),
            Arc::new(events.clone()),
        );
        Self { clock, random, events, pki, server }
    }

    /// Returns the eUICC with the first EID.
    pub(crate) fn euicc_on(&self, curve: Curve) -> Euicc {
        self.numbered_euicc(curve, 0)
    }

    /// Returns the eUICC with the first EID on NIST P-256.
    pub(crate) fn euicc(&self) -> Euicc {
        self.euicc_on(Curve::P256)
    }

    /// Returns one of the PKI's eUICCs.
    pub(crate) fn numbered_euicc(&self, curve: Curve, number: usize) -> Euicc {
        let eid = self.pki.eids(curve)[number];
        Euicc::new(self.pki.euicc(curve, eid).unwrap(), self.random.branch(&eid.to_string()))
    }

    /// Returns the SM-DP+ of the PKI.
    pub(crate) fn sm_dp_plus(&self) -> SmDpPlus {
        SmDpPlus::of(&self.pki)
    }

    /// Returns another SM-DP+.
    pub(crate) fn other_sm_dp_plus(&self) -> SmDpPlus {
        SmDpPlus::of(&OTHER_PKI)
    }

    /// Registers an event of the first SM-DP+ for the first eUICC.
    pub(crate) async fn register(&self, event_id: &str) {
        let sm_dp_plus = self.sm_dp_plus();
        sm_dp_plus.register(&self.server, &sm_dp_plus.registration(self.euicc().eid, event_id)).await.done();
    }

    /// Returns the IDs of all registered events.
    pub(crate) async fn waiting(&self) -> Vec<String> {
        let events = self.server.registered_events().await.unwrap();
        events.into_iter().map(|event| event.event_id).collect()
    }

    pub(crate) fn wait(&self, duration: Duration) {
        self.clock.advance(duration);
    }
}

/// An SM-DP+ with its TLS client certificate.
pub(crate) struct SmDpPlus {
    pub(crate) oid: String,
    pub(crate) certificate: Option<Vec<u8>>,
}

/// A reply without fields.
#[derive(Debug, Deserialize)]
pub(crate) struct EmptyReply {}

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

    pub(crate) async fn register(&self, server: &SmDs, request: &RegisterEventRequest) -> Answer<EmptyReply> {
        self.call(server, "registerEvent", request).await
    }

    pub(crate) async fn delete(&self, server: &SmDs, request: &DeleteEventRequest) -> Answer<EmptyReply> {
        self.call(server, "deleteEvent", request).await
    }

    pub(crate) async fn call(
        &self,
        server: &SmDs,
        function: &str,
        body: &impl Serialize,
    ) -> Answer<EmptyReply> {
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

/// Assertions on an answer.
pub(crate) trait Expect<T> {
    /// Returns the reply; the test fails if the answer is a refusal.
    fn done(self) -> T;
    /// Returns the refusal; the test fails if the answer is a reply.
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
            Self::Refused(why) => why.status().unwrap_or_else(|| panic!("unknown status code: {why}")),
        }
    }
}
