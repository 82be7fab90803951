//! A bench round one SM-DP+, and an honest eUICC with its LPA in software, whose every message a test can spoil.
//!
//! The eUICC is made from `rsp`, `crypto` and `certs` alone: nothing of `sm-dp` is on this side of the link.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

pub(crate) mod euicc;
pub(crate) mod openapi;
pub(crate) mod operator;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use certs::{Pki, PkiOptions};
use crypto::Curve;
use http::{Request, Response};
use profile::element::{End, PeHeader, ProfileHeader, Service, ServicesList};
use profile::{Package, ProfileElement};
use rsp::der::{Asn1, Unknown};
use rsp::ids::{Iccid, Version};
use rsp::sgp22::asn1::{self, Answer, Exchange};
use rsp::sgp22::{es9plus, json};
use rsp::status::Status;
use rsp::time::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use sm_dp::{Config, Credentials, ProfileOptions, ProfileState, SmDpPlus};
use world::{ManualClock, MemoryEvents, MemoryRecords, Records, SeededDice, World};

pub(crate) use euicc::Euicc;
pub(crate) use operator::Operator;

/// The server's name.
pub(crate) const ADDRESS: &str = "smdpp.landfall.example";
/// The version that the LPA and the operator of these tests speak.
pub(crate) const VERSION: Version = Version([2, 5, 0]);
/// The profile of the tests.
pub(crate) const ICCID: &str = "8949000000000000001";
/// Another one, of the same type.
pub(crate) const OTHER_ICCID: &str = "8949000000000000027";
/// Their type.
pub(crate) const PROFILE_TYPE: &str = "test";

/// Issued once: certificates cost more than whole downloads.
static PKI: LazyLock<Pki> = LazyLock::new(|| Pki::from_seed(b"sm-dp tests", &PkiOptions::default()).unwrap());

/// One SM-DP+ and what it stands on.
pub(crate) struct Bench {
    pub(crate) clock: ManualClock,
    pub(crate) dice: SeededDice,
    pub(crate) records: Arc<dyn Records>,
    pub(crate) events: MemoryEvents,
    pub(crate) pki: Pki,
    pub(crate) server: SmDpPlus,
}

impl Bench {
    /// With the defaults.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// With a configuration of its own.
    pub(crate) fn with(configure: impl FnOnce(&mut Config)) -> Self {
        Self::over(Arc::new(MemoryRecords::default()), configure)
    }

    /// Over records of its own.
    pub(crate) fn over(records: Arc<dyn Records>, configure: impl FnOnce(&mut Config)) -> Self {
        let clock = ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap());
        let dice = SeededDice::from_text("sm-dp tests");
        let events = MemoryEvents::default();
        let pki = PKI.clone();
        let mut config = Config::new(ADDRESS.parse().unwrap());
        configure(&mut config);
        let server = SmDpPlus::new(
            config,
            Credentials::from_pki(&pki).unwrap(),
            Arc::clone(&records),
            World::new(clock.clone(), dice.clone()),
            Arc::new(events.clone()),
        );
        Self { clock, dice, records, events, pki, server }
    }

    /// Another server on the same records.
    pub(crate) fn second_server(&self) -> SmDpPlus {
        SmDpPlus::new(
            Config::new(ADDRESS.parse().unwrap()),
            Credentials::from_pki(&self.pki).unwrap(),
            Arc::clone(&self.records),
            World::new(self.clock.clone(), self.dice.branch("second")),
            Arc::new(self.events.clone()),
        )
    }

    /// The eUICC with the first EID, on NIST P-256.
    pub(crate) fn euicc(&self) -> Euicc {
        self.euicc_on(Curve::P256)
    }

    /// The eUICC with the first EID.
    pub(crate) fn euicc_on(&self, curve: Curve) -> Euicc {
        self.numbered_euicc(curve, 0)
    }

    /// One of the PKI's eUICCs.
    pub(crate) fn numbered_euicc(&self, curve: Curve, number: usize) -> Euicc {
        let eid = self.pki.eids(curve)[number];
        Euicc::new(self.pki.euicc(curve, eid).unwrap(), self.dice.branch(&eid.to_string()))
    }

    /// An eUICC that is not in the PKI's folder: its certificate is issued now.
    pub(crate) fn fresh_euicc(&self, curve: Curve, number: usize) -> Euicc {
        let known = self.pki.eids(curve)[0].to_string();
        let eid = rsp::ids::Eid::with_check_digits(&format!("{}{number:010}", &known[..20])).unwrap();
        Euicc::new(self.pki.euicc(curve, eid).unwrap(), self.dice.branch(&eid.to_string()))
    }

    /// The operator, with a client certificate of the PKI.
    pub(crate) fn operator(&self) -> Operator {
        Operator::new(&self.pki, "Landfall Test Operator")
    }

    /// Puts a small package into stock.
    pub(crate) async fn stock(&self, iccid: &str, options: &ProfileOptions) -> Iccid {
        self.server.add_profile(&package(iccid, &[]), options).await.unwrap()
    }

    /// The profile in stock, ordered, confirmed and released for whoever has the MatchingID.
    pub(crate) async fn released(&self, options: &ProfileOptions) -> String {
        self.stock(ICCID, options).await;
        self.order(|_| {}).await
    }

    /// Orders the profile of the tests; `choose` changes the confirmation before it is sent.
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

    /// Where the profile of the tests stands.
    pub(crate) async fn state(&self) -> ProfileState {
        self.profile().await.state
    }

    /// The profile of the tests.
    pub(crate) async fn profile(&self) -> sm_dp::records::Profile {
        let orders = self.server.orders().await.unwrap();
        orders.into_iter().find(|profile| profile.iccid.to_string() == ICCID).unwrap()
    }

    /// Lets time pass.
    pub(crate) fn wait(&self, how_long: Duration) {
        self.clock.advance(how_long);
    }

    pub(crate) fn now(&self) -> Timestamp {
        world::Clock::now(&self.clock)
    }
}

/// The smallest package there is, needing these services.
pub(crate) fn package(iccid: &str, services: &[Service]) -> Vec<u8> {
    let iccid: Iccid = iccid.parse().unwrap();
    let header = ProfileHeader {
        major_version: 2,
        minor_version: 3,
        profile_type: Some(PROFILE_TYPE.to_owned()),
        iccid: iccid.to_profile_header().into(),
        pol: None,
        mandatory_services: ServicesList { services: services.to_vec(), unknown: Unknown::default() },
        mandatory_gfste_list: vec![],
        connectivity_parameters: None,
        mandatory_aids: None,
        iot_options: None,
        unknown: Unknown::default(),
    };
    let end = End { header: PeHeader::mandated(1), unknown: Unknown::default() };
    Package { elements: vec![ProfileElement::Header(header), ProfileElement::End(end)] }.encode()
}

/// Whether this test program speaks the ASN.1 binding: its name says so.
const ASN1: bool = matches!(env!("CARGO_CRATE_NAME").as_bytes(), [.., b'_', b'a', b's', b'n', b'1']);

/// A function of ES9+, called as an LPA does, in the binding of this test program.
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

/// The same, for whoever wants to see the response.
pub(crate) async fn send<F: es9plus::Function>(server: &SmDpPlus, request: &F::Request) -> Response<Bytes>
where
    F::Request: Serialize + Asn1,
{
    let request = match ASN1 {
        true => asn1::request(VERSION, request),
        false => json::request(&es9plus::path(F::NAME), VERSION, request),
    };
    server.handle(request).await
}

/// How the server said no.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// In JSON: subject, reason and what else there is.
    Status(json::StatusCodeData),
    /// In ASN.1: the function's INTEGER, and what that is for each status.
    Code { code: String, of: fn(Status) -> String },
}

/// In ASN.1 several statuses share an INTEGER.
impl PartialEq<Status> for Rejection {
    fn eq(&self, status: &Status) -> bool {
        match self {
            Self::Status(said) => said.status() == Some(*status),
            Self::Code { code, of } => *code == of(*status),
        }
    }
}

/// A POST, dressed as the standard wants it.
pub(crate) async fn post<T: Serialize>(server: &SmDpPlus, path: &str, body: &T) -> Response<Bytes> {
    server.handle(json::request(path, VERSION, body)).await
}

/// A request of any kind.
pub(crate) async fn raw(server: &SmDpPlus, request: Request<Bytes>) -> Response<Bytes> {
    server.handle(request).await
}

/// What a test wants of an answer.
pub(crate) trait Expect<T> {
    /// How a no is said.
    type Rejection;
    /// The reply; the test fails when there is none.
    fn done(self) -> T;
    /// The refusal; the test fails when there is none.
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
            Self::Refused(why) => why.status().unwrap_or_else(|| panic!("not in the table: {why}")),
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
