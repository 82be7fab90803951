//! A testbed with one SM-DP+, and a simulated eUICC with its LPA. A test can corrupt each of their
//! messages. The eUICC uses no code of `sm-dp`.

#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a panic fails the test")]

pub(crate) mod euicc;
pub(crate) mod openapi;
pub(crate) mod operator;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use certs::{Pki, PkiOptions};
use crypto::Curve;
use http::{Request, Response};
use profile::element::Service;
use rsp::der::{Asn1, Tag, tlv_bytes};
use rsp::ids::{Iccid, Version};
use rsp::sgp22::asn1::{self, Answer, Exchange};
use rsp::sgp22::json;
use rsp::status::Status;
use rsp::time::Timestamp;
use rsp_server::AllowedAddresses;
use serde::{Serialize, de::DeserializeOwned};
use sm_dp::{Config, Credentials, ProfileOptions, ProfileState, SmDpPlus};
use world::{ManualClock, MemoryEvents, MemoryRecords, Records, SeededRandom, World};

pub(crate) use euicc::Euicc;
pub(crate) use operator::Operator;

/// The address of the server.
pub(crate) const ADDRESS: &str = "smdpp.landfall.example";
/// The protocol version of the LPA and the operator in these tests.
pub(crate) const VERSION: Version = Version([2, 5, 0]);
/// The ICCID of the default test profile.
pub(crate) const ICCID: &str = "8949000000000000001";
/// The ICCID of a second profile of the same type.
pub(crate) const OTHER_ICCID: &str = "8949000000000000027";
/// The profile type of both profiles.
pub(crate) const PROFILE_TYPE: &str = "test";

/// The PKI is shared by all tests, because issuing certificates takes longer than complete
/// downloads.
static PKI: LazyLock<Pki> = LazyLock::new(|| Pki::from_seed(b"sm-dp tests", &PkiOptions::default()).unwrap());

/// An SM-DP+ with its records, clock and PKI.
pub(crate) struct Testbed {
    pub(crate) clock: ManualClock,
    pub(crate) random: SeededRandom,
    pub(crate) records: Arc<dyn Records>,
    pub(crate) events: MemoryEvents,
    pub(crate) pki: Pki,
    pub(crate) server: SmDpPlus,
}

impl Testbed {
    /// Creates a testbed with the default configuration.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// Creates a testbed with a modified configuration.
    pub(crate) fn with(configure: impl FnOnce(&mut Config)) -> Self {
        Self::over(Arc::new(MemoryRecords::default()), configure)
    }

    /// Creates a testbed with these records.
    pub(crate) fn over(records: Arc<dyn Records>, configure: impl FnOnce(&mut Config)) -> Self {
        let clock = ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap());
        let random = SeededRandom::from_text("sm-dp tests");
        let events = MemoryEvents::default();
        let pki = PKI.clone();
        let mut config = Config::new(ADDRESS.parse().unwrap());
        config.sm_ds_addresses = AllowedAddresses::Any;
        configure(&mut config);
        let server = SmDpPlus::new(
            config,
            Credentials::from_pki(&pki).unwrap(),
            Arc::clone(&records),
            World::new(clock.clone(), random.clone()),
            Arc::new(events.clone()),
        );
        Self { clock, random, records, events, pki, server }
    }

    /// Creates another server on the same records.
    pub(crate) fn second_server(&self) -> SmDpPlus {
        SmDpPlus::new(
            Config::new(ADDRESS.parse().unwrap()),
            Credentials::from_pki(&self.pki).unwrap(),
            Arc::clone(&self.records),
            World::new(self.clock.clone(), self.random.branch("second")),
            Arc::new(self.events.clone()),
        )
    }

    /// Returns the eUICC with the first EID, on NIST P-256.
    pub(crate) fn euicc(&self) -> Euicc {
        self.euicc_on(Curve::P256)
    }

    /// Returns the eUICC with the first EID on this curve.
    pub(crate) fn euicc_on(&self, curve: Curve) -> Euicc {
        self.numbered_euicc(curve, 0)
    }

    /// Returns an eUICC of the PKI by its index.
    pub(crate) fn numbered_euicc(&self, curve: Curve, number: usize) -> Euicc {
        let eid = self.pki.eids(curve)[number];
        Euicc::new(self.pki.euicc(curve, eid).unwrap(), self.random.branch(&eid.to_string()))
    }

    /// Creates an eUICC that is not in the PKI yet and issues its certificate.
    pub(crate) fn fresh_euicc(&self, curve: Curve, number: usize) -> Euicc {
        let known = self.pki.eids(curve)[0].to_string();
        let eid = rsp::ids::Eid::with_check_digits(&format!("{}{number:010}", &known[..20])).unwrap();
        Euicc::new(self.pki.euicc(curve, eid).unwrap(), self.random.branch(&eid.to_string()))
    }

    /// Returns an operator with a client certificate of the PKI.
    pub(crate) fn operator(&self) -> Operator {
        Operator::new(&self.pki, "Landfall Test Operator")
    }

    /// Adds a small package to the stock.
    pub(crate) async fn stock(&self, iccid: &str, options: &ProfileOptions) -> Iccid {
        self.server.add_profile(&package(iccid, &[]), options).await.unwrap()
    }

    /// Adds the default profile and releases an order that any eUICC can use. Returns the
    /// MatchingID.
    pub(crate) async fn released(&self, options: &ProfileOptions) -> String {
        self.stock(ICCID, options).await;
        self.order(|_| {}).await
    }

    /// Orders the default profile. `choose` modifies the ConfirmOrder request before it is sent.
    pub(crate) async fn order(
        &self,
        choose: impl FnOnce(&mut rsp::sgp22::es2plus::ConfirmOrderRequest),
    ) -> String {
        let operator = self.operator();
        let iccid = ICCID.parse().unwrap();
        operator.download_order(&self.server, Some(iccid), None, None).await.done();
        let mut confirm = operator.confirmation(iccid);
        choose(&mut confirm);
        operator
            .call::<rsp::sgp22::es2plus::ConfirmOrderReply>(&self.server, "confirmOrder", &confirm)
            .await
            .done()
            .matching_id
    }

    /// Returns the state of the default profile.
    pub(crate) async fn state(&self) -> ProfileState {
        self.profile().await.state
    }

    /// Returns the record of the default profile.
    pub(crate) async fn profile(&self) -> sm_dp::records::ProfileRecord {
        let orders = self.server.orders().await.unwrap();
        orders.into_iter().find(|profile| profile.iccid.to_string() == ICCID).unwrap()
    }

    /// Advances the clock.
    pub(crate) fn wait(&self, how_long: Duration) {
        self.clock.advance(how_long);
    }

    pub(crate) fn now(&self) -> Timestamp {
        world::Clock::now(&self.clock)
    }
}

/// Builds a minimal package that requires these services.
pub(crate) fn package(iccid: &str, services: &[Service]) -> Vec<u8> {
    sgp23::minimal_package(iccid.parse().unwrap(), PROFILE_TYPE, services)
}

/// True if this test program uses the ASN.1 binding, according to its name.
const ASN1: bool = matches!(env!("CARGO_CRATE_NAME").as_bytes(), [.., b'_', b'a', b's', b'n', b'1']);

/// Calls an ES9+ function like an LPA, in the binding of this test program.
pub(crate) async fn call<F: Exchange>(server: &SmDpPlus, request: &F::Request) -> Answer<F::Reply, Rejection>
where
    F::Request: Serialize,
    F::Reply: DeserializeOwned,
{
    let response = send::<F>(server, request).await;
    if ASN1 {
        return match asn1::answer::<F>(&response).unwrap() {
            Answer::Done(reply) => Answer::Done(reply),
            Answer::Refused(code) => Answer::Refused(Rejection::Code {
                code: code.to_string(),
                of: |status| F::Error::from(status).to_string(),
            }),
        };
    }
    match json::answer(&response).unwrap() {
        json::Answer::Done(reply) => Answer::Done(reply),
        json::Answer::Refused(why) => Answer::Refused(Rejection::Status(why)),
    }
}

/// Calls an ES9+ function and returns the HTTP response.
pub(crate) async fn send<F: rsp::sgp22::Function>(server: &SmDpPlus, request: &F::Request) -> Response<Bytes>
where
    F::Request: Serialize + Asn1,
{
    let request = match ASN1 {
        true => asn1::request(VERSION, request),
        false => json::request(&F::path(), VERSION, request),
    };
    server.handle(request).await
}

/// Calls HandleNotification, or another function with one element, with octets that may be no
/// valid element. `name` is the name of the element in the JSON binding; its tag in the ASN.1
/// binding is A0.
pub(crate) async fn send_octets<F: rsp::sgp22::Function>(
    server: &SmDpPlus,
    name: &str,
    octets: &[u8],
) -> Response<Bytes>
where
    F::Request: Asn1,
{
    let request = match ASN1 {
        true => {
            let element = tlv_bytes(Tag(0xA0), octets);
            let mut request = json::request(asn1::PATH, VERSION, &());
            let content_type = http::HeaderValue::from_static(asn1::CONTENT_TYPE);
            request.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
            *request.body_mut() = tlv_bytes(Tag(0xA2), &tlv_bytes(F::Request::TAG, &element)).into();
            request
        }
        false => {
            let base64 = json::base64_octets::serialize(octets, serde_json::value::Serializer).unwrap();
            json::request(&F::path(), VERSION, &serde_json::json!({ name: base64 }))
        }
    };
    server.handle(request).await
}

/// A refusal from the server.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// JSON: subject and reason with details.
    Status(json::StatusCodeData),
    /// ASN.1: the error code of the function, and the error code of the function for a given
    /// status.
    Code { code: String, of: fn(Status) -> String },
}

/// In ASN.1, several statuses share one error code.
impl PartialEq<Status> for Rejection {
    fn eq(&self, status: &Status) -> bool {
        match self {
            Self::Status(received) => received.status() == Some(*status),
            Self::Code { code, of } => *code == of(*status),
        }
    }
}

/// Sends a POST request with the headers that the standard requires.
pub(crate) async fn post<T: Serialize>(server: &SmDpPlus, path: &str, body: &T) -> Response<Bytes> {
    server.handle(json::request(path, VERSION, body)).await
}

/// Sends an arbitrary request.
pub(crate) async fn raw(server: &SmDpPlus, request: Request<Bytes>) -> Response<Bytes> {
    server.handle(request).await
}

/// Unwraps the expected variant of a reply.
pub(crate) trait Expect<T> {
    /// The type of a refusal.
    type Rejection;
    /// Returns the reply, or fails the test if the call was refused.
    fn done(self) -> T;
    /// Returns the refusal, or fails the test if the call succeeded.
    fn refused(self) -> Self::Rejection;
}

impl<T: std::fmt::Debug> Expect<T> for json::Answer<T> {
    type Rejection = Status;

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

impl<T: std::fmt::Debug> Expect<T> for Answer<T, Rejection> {
    type Rejection = Rejection;

    #[track_caller]
    fn done(self) -> T {
        match self {
            Self::Done(reply) => reply,
            Self::Refused(why) => panic!("refused: {why:?}"),
        }
    }

    #[track_caller]
    fn refused(self) -> Rejection {
        match self {
            Self::Done(reply) => panic!("not refused: {reply:?}"),
            Self::Refused(why) => why,
        }
    }
}
