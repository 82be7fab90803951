//! Tests of the SMSC with its networks and with devices that consist of a radio interface only, on
//! tokio's paused clock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crypto::aka::{Algorithm, Autn};
use crypto::milenage::Milenage;
use rsp::ids::{Imsi, Plmn};
use rsp::ota::sms::{SmsDeliver, SmsDeliverReport, SmsSubmit, UserData};
use rsp::time::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use world::{
    Batch, Cells, Fault, IncomingDelivery, Memory, MessageCentre, MessageId, MessageState, RamMemory,
    Receipts, SeededRandom, ShortMessage, ShortMessages, Submission, SubmitFault, TokioClock, World,
    link_from,
};

use super::{Account, Direction, SmsFaultKind, Smsc, SmscSettings, tpdu};
use crate::http::{NetworksService, RemoteNetworks};
use crate::{
    AttachId, AttachRequest, AuthenticationAnswer, AuthenticationResponse, Keys, MobileOriginated,
    MobileTerminated, Network, NetworkAnswer, Networks, Radio, RadioFault, RpAnswer, RpCause, RpReport,
    Subscriber, SubscriberServer,
};

const K: [u8; 16] = [0x11; 16];
const OPC: [u8; 16] = [0x22; 16];
const HOME: &str = "001-01";
const IMSI: &str = "001010000000001";
const OTHER: &str = "001010000000002";
const CARD: &str = "+4915100000001";

/// A memory that refuses all writes while `fails` is set, and counts the attempts.
#[derive(Clone, Default)]
struct FailingMemory {
    inner: RamMemory,
    fails: Arc<AtomicBool>,
    writes: Arc<AtomicUsize>,
}

impl Memory for FailingMemory {
    fn load(&self) -> Result<Cells, Fault> {
        self.inner.load()
    }

    fn commit(&mut self, batch: Batch) -> Result<(), Fault> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        if self.fails.load(Ordering::Relaxed) {
            return Err(Fault::new("cannot write", "the disk is full", "make room"));
        }
        self.inner.commit(batch)
    }
}

struct Testbed {
    networks: Arc<Networks>,
    memory: FailingMemory,
    world: World,
    smsc: Arc<Smsc>,
    runs: JoinHandle<()>,
}

fn plmn() -> Plmn {
    HOME.parse().unwrap()
}

fn settings() -> SmscSettings {
    let account = |name: &str, number: &str| Account {
        name: name.into(),
        password: "secret".to_owned().into(),
        numbers: vec![number.parse().unwrap()],
    };
    let accounts = vec![account("sm-sr", "1000"), account("other", "2000")];
    SmscSettings::new("+491710000000".parse().unwrap(), accounts)
}

fn testbed() -> Testbed {
    let clock = TokioClock::starting(Timestamp(1_795_000_000_000));
    let world = World::new(clock, SeededRandom::from_text("smsc"));
    let networks = Networks::new(world.clone());
    networks.put(Network::new(plmn(), "Home", "XX"));
    let home = SubscriberServer::open(plmn(), RamMemory::default(), world.clone()).unwrap();
    for (imsi, number) in [(IMSI, CARD), (OTHER, "+4915100000002")] {
        let subscriber = Subscriber::new(Keys::Milenage { k: K, opc: OPC });
        home.provision(imsi.parse().unwrap(), subscriber.with_msisdn(number.parse().unwrap())).unwrap();
    }
    networks.put_home(Arc::new(home));
    let (networks, memory) = (Arc::new(networks), FailingMemory::default());
    let smsc = Smsc::open(settings(), Arc::clone(&networks), memory.clone(), world.clone()).unwrap();
    let runs = tokio::spawn(Arc::clone(&smsc).run());
    Testbed { networks, memory, world, smsc, runs }
}

impl Testbed {
    /// Stops the SMSC and starts a new one with the stored state.
    fn restart(&mut self) {
        self.runs.abort();
        let inner = RamMemory::of(self.memory.load().unwrap());
        let memory = FailingMemory { inner, ..FailingMemory::default() };
        self.smsc =
            Smsc::open(settings(), Arc::clone(&self.networks), memory.clone(), self.world.clone()).unwrap();
        self.memory = memory;
        self.runs = tokio::spawn(Arc::clone(&self.smsc).run());
    }

    async fn attach(&self, imsi: &str) -> AttachId {
        attach(&*self.networks, imsi).await
    }

    async fn submit(&self, octets: &[u8], validity: Option<u64>) -> MessageId {
        let validity = validity.map(Duration::from_secs);
        let message = message(octets);
        let submission = Submission { message, validity, receipts: Receipts::Always };
        self.smsc.account("sm-sr").submit(submission).await.unwrap()
    }

    /// Receives and acknowledges the client's next delivery.
    async fn next_delivery(&self) -> IncomingDelivery {
        let writer = self.smsc.account("sm-sr");
        let next = writer.next().await;
        writer.taken(&next.ticket).unwrap();
        next.arrived
    }

    async fn receipt_state(&self, id: &MessageId) -> MessageState {
        match self.next_delivery().await {
            IncomingDelivery::Receipt(receipt) if receipt.id == *id => receipt.state,
            other => panic!("{other:?}"),
        }
    }
}

async fn attach(radio: &dyn Radio, imsi: &str) -> AttachId {
    let imsi: Imsi = imsi.parse().unwrap();
    let answer = radio.attach(plmn(), AttachRequest { imsi }).await.unwrap();
    let NetworkAnswer::AuthenticationRequest(request) = answer else { panic!("{answer:?}") };
    let algorithm = Algorithm::Milenage(Milenage::new(K, OPC));
    let checked = algorithm.check_autn(&request.rand, &Autn::from_bytes(request.autn)).unwrap();
    let res = checked.keys.res.as_bytes().to_vec();
    let response = AuthenticationResponse { attach: request.attach, answer: AuthenticationAnswer::Res(res) };
    match radio.authenticate(plmn(), response).await.unwrap() {
        NetworkAnswer::AttachAccept(accept) => accept.attach,
        other => panic!("{other:?}"),
    }
}

fn message(octets: &[u8]) -> ShortMessage {
    let user_data = [&[2, 0x70, 0], octets].concat();
    ShortMessage::to_card("1000".parse().unwrap(), CARD.parse().unwrap(), user_data)
}

/// Receives a message on the device, answers it with `answer`, and returns the octets after its
/// header.
async fn receives(radio: &dyn Radio, attach: &AttachId, answer: RpAnswer) -> Vec<u8> {
    let MobileTerminated { reference, tpdu, .. } =
        radio.next_short_message(plmn(), attach.clone()).await.unwrap();
    let report = RpReport { attach: attach.clone(), reference, answer };
    radio.report_short_message(plmn(), report).await.unwrap();
    let deliver = SmsDeliver::parse(&tpdu).unwrap();
    assert!(deliver.is_data_download());
    deliver.user_data.octets
}

/// Returns the SMS-SUBMIT of a device.
fn note_for(to: &str, octets: &[u8]) -> Vec<u8> {
    let user_data = UserData::parse(&[&[2, 0x70, 0], octets].concat(), true).unwrap();
    let destination = tpdu::address(&to.parse().unwrap()).unwrap();
    SmsSubmit { pid: 0x7F, ..SmsSubmit::data(destination, user_data) }.to_bytes()
}

fn ack() -> RpAnswer {
    RpAnswer::Ack(SmsDeliverReport::default().to_bytes())
}

#[tokio::test(start_paused = true)]
async fn a_message_waits_until_its_device_attaches() {
    let testbed = testbed();
    let id = testbed.submit(b"one", None).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(MessageCentre::state(&*testbed.smsc, "sm-sr", &id), Some(MessageState::Enroute));
    assert_eq!(
        MessageCentre::state(&*testbed.smsc, "other", &id),
        None,
        "the message belongs to another account"
    );
    let attach = testbed.attach(IMSI).await;
    let came = Instant::now();
    assert_eq!(receives(&*testbed.networks, &attach, ack()).await, b"one");
    assert!(came.elapsed() < Duration::from_secs(1), "the attach triggers the delivery, not the schedule");
    assert_eq!(testbed.receipt_state(&id).await, MessageState::Delivered);
    assert_eq!(MessageCentre::state(&*testbed.smsc, "sm-sr", &id), Some(MessageState::Delivered));
    assert_eq!(testbed.smsc.waiting(), 0);
}

// req: TS.23.040-3.2-Validity
#[tokio::test(start_paused = true)]
async fn an_expired_message_is_not_delivered() {
    let testbed = testbed();
    let id = testbed.submit(b"late", Some(60)).await;
    let begun = Instant::now();
    assert_eq!(testbed.receipt_state(&id).await, MessageState::Expired);
    assert_eq!(begun.elapsed().as_secs(), 60);
    let attach = testbed.attach(IMSI).await;
    let next = testbed.networks.next_short_message(plmn(), attach);
    assert!(tokio::time::timeout(Duration::from_secs(86_400), next).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_device_that_did_not_answer_receives_the_message_when_it_listens_again() {
    let testbed = testbed();
    let attach = testbed.attach(IMSI).await;
    let id = testbed.submit(b"one", None).await;
    // The page is not answered, and the next scheduled attempt is minutes away.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let came = Instant::now();
    assert_eq!(receives(&*testbed.networks, &attach, ack()).await, b"one");
    assert!(came.elapsed() < Duration::from_secs(1));
    assert_eq!(testbed.receipt_state(&id).await, MessageState::Delivered);
    // A message that was accepted but never reported is delivered again.
    let id = testbed.submit(b"two", None).await;
    let taken = testbed.networks.next_short_message(plmn(), attach.clone()).await.unwrap();
    let first = SmsDeliver::parse(&taken.tpdu).unwrap().user_data;
    assert_eq!(receives(&*testbed.networks, &attach, ack()).await, first.octets);
    assert_eq!(testbed.receipt_state(&id).await, MessageState::Delivered);
}

#[tokio::test(start_paused = true)]
async fn delivery_to_a_busy_card_is_retried_and_a_refusal_is_final() {
    let testbed = testbed();
    let attach = testbed.attach(IMSI).await;
    let refusal = |failure_cause, user_data: Option<UserData>| {
        let report =
            SmsDeliverReport { failure_cause: Some(failure_cause), user_data, ..SmsDeliverReport::default() };
        RpAnswer::Error(RpCause::PROTOCOL_ERROR, report.to_bytes())
    };
    let id = testbed.submit(b"one", None).await;
    receives(&*testbed.networks, &attach, refusal(0xD4, None)).await;
    let refused = Instant::now();
    assert_eq!(receives(&*testbed.networks, &attach, ack()).await, b"one");
    assert_eq!(refused.elapsed().as_secs(), 30, "the first delay of the schedule");
    assert_eq!(testbed.receipt_state(&id).await, MessageState::Delivered);
    let id = testbed.submit(b"two", None).await;
    receives(&*testbed.networks, &attach, refusal(0xD5, None)).await;
    assert_eq!(testbed.receipt_state(&id).await, MessageState::Undeliverable);
}

#[tokio::test(start_paused = true)]
async fn the_delivery_report_of_the_card_reaches_the_client_before_the_receipt() {
    let testbed = testbed();
    let attach = testbed.attach(IMSI).await;
    let id = testbed.submit(b"one", None).await;
    let packet = UserData::parse(&[2, 0x71, 0, 9, 9], true).unwrap();
    let report = SmsDeliverReport::of_card(packet, None);
    receives(&*testbed.networks, &attach, RpAnswer::Ack(report.to_bytes())).await;
    let IncomingDelivery::Report(of, report) = testbed.next_delivery().await else { panic!() };
    assert_eq!(
        (of, report.user_data.as_slice(), report.has_header),
        (id.clone(), &[2, 0x71, 0, 9, 9][..], true)
    );
    assert_eq!(report.from, CARD.parse().unwrap());
    assert_eq!(testbed.receipt_state(&id).await, MessageState::Delivered);
}

#[tokio::test(start_paused = true)]
async fn a_device_sends_to_a_client_and_to_another_device() {
    let testbed = testbed();
    let (attach, other) = (testbed.attach(IMSI).await, testbed.attach(OTHER).await);
    let submit = |to: &str, octets: &[u8]| MobileOriginated {
        attach: attach.clone(),
        service_centre: None,
        tpdu: note_for(to, octets),
    };
    let answer = |message| testbed.networks.submit_short_message(plmn(), message);
    assert!(matches!(answer(submit("1000", b"note")).await, Ok(RpAnswer::Ack(_))));
    let IncomingDelivery::Message(message) = testbed.next_delivery().await else { panic!() };
    assert_eq!((message.from, message.user_data), (CARD.parse().unwrap(), b"\x02\x70\x00note".to_vec()));
    assert!(matches!(answer(submit("+4915100000002", b"hello")).await, Ok(RpAnswer::Ack(_))));
    assert_eq!(receives(&*testbed.networks, &other, ack()).await, b"hello");
    assert!(matches!(answer(submit("999", b"?")).await, Ok(RpAnswer::Error(RpCause::UNASSIGNED_NUMBER, _))));
    let nonsense = MobileOriginated { attach, service_centre: None, tpdu: vec![1] };
    assert!(matches!(answer(nonsense).await, Ok(RpAnswer::Error(RpCause::INVALID_MESSAGE, _))));
    let stranger = MobileOriginated { attach: AttachId("x".into()), service_centre: None, tpdu: vec![] };
    assert_eq!(answer(stranger).await, Err(RadioFault::Detached));
}

#[tokio::test(start_paused = true)]
async fn a_restart_preserves_messages_and_receipts() {
    let mut testbed = testbed();
    let waits = testbed.submit(b"waits", Some(7200)).await;
    let expires = testbed.submit(b"expires", Some(600)).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    testbed.restart();
    assert_eq!(testbed.smsc.waiting(), 2);
    assert_eq!(testbed.receipt_state(&expires).await, MessageState::Expired);
    // The receipt that waits for its client survives as well, and numbers are not assigned twice.
    let attach = testbed.attach(IMSI).await;
    assert_eq!(receives(&*testbed.networks, &attach, ack()).await, b"waits");
    testbed.smsc.account("sm-sr").next().await;
    testbed.restart();
    assert_eq!(testbed.receipt_state(&waits).await, MessageState::Delivered);
    assert!(testbed.submit(b"next", None).await > expires);
}

#[tokio::test(start_paused = true)]
async fn a_failed_store_is_retried_with_a_delay() {
    let testbed = testbed();
    let expires = testbed.submit(b"expires", Some(60)).await;
    let waits = testbed.submit(b"waits", None).await;
    let attach = testbed.attach(OTHER).await;
    testbed.memory.fails.store(true, Ordering::Relaxed);
    let before = testbed.memory.writes.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let tries = testbed.memory.writes.load(Ordering::Relaxed) - before;
    assert!((10..300).contains(&tries), "{tries} tries in an hour");
    // Delivery to a reachable device is not repeated without a delay either.
    let attach_of_first = testbed.attach(IMSI).await;
    let begun = Instant::now();
    assert_eq!(receives(&*testbed.networks, &attach_of_first, ack()).await, b"waits");
    assert_eq!(receives(&*testbed.networks, &attach_of_first, ack()).await, b"waits");
    assert!(begun.elapsed() >= Duration::from_secs(59), "{:?}", begun.elapsed());
    let note = MobileOriginated { attach, service_centre: None, tpdu: note_for("1000", b"note") };
    let answer = testbed.networks.submit_short_message(plmn(), note).await;
    assert!(matches!(answer, Ok(RpAnswer::Error(RpCause::TEMPORARY_FAILURE, _))), "{answer:?}");
    testbed.memory.fails.store(false, Ordering::Relaxed);
    let mut states = BTreeMap::new();
    let acks = async {
        assert_eq!(receives(&*testbed.networks, &attach_of_first, ack()).await, b"waits");
        std::future::pending::<()>().await
    };
    let next_delivery = async {
        for _ in 0..2 {
            let IncomingDelivery::Receipt(receipt) = testbed.next_delivery().await else { panic!() };
            states.insert(receipt.id, receipt.state);
        }
    };
    tokio::select! { () = acks => {}, () = next_delivery => {} }
    assert_eq!(states, BTreeMap::from([(expires, MessageState::Expired), (waits, MessageState::Delivered)]));
}

#[tokio::test(start_paused = true)]
async fn a_client_with_a_full_queue_receives_no_further_messages() {
    let testbed = testbed();
    let attach = testbed.attach(IMSI).await;
    for _ in 0..super::MAX_WAITING {
        let tpdu = note_for("1000", b"note");
        let note = MobileOriginated { attach: attach.clone(), service_centre: None, tpdu };
        let answer = testbed.networks.submit_short_message(plmn(), note).await;
        assert!(matches!(answer, Ok(RpAnswer::Ack(_))));
    }
    let write = |to: &str| {
        let message =
            MobileOriginated { attach: attach.clone(), service_centre: None, tpdu: note_for(to, b"more") };
        testbed.networks.submit_short_message(plmn(), message)
    };
    let full = write("1000").await;
    assert!(matches!(full, Ok(RpAnswer::Error(RpCause::TEMPORARY_FAILURE, _))), "{full:?}");
    let submission = || Submission { message: message(b"x"), validity: None, receipts: Receipts::Always };
    let refused = testbed.smsc.account("sm-sr").submit(submission()).await;
    assert!(matches!(refused, Err(SubmitFault::Throttled)), "{refused:?}");
    assert!(matches!(write("2000").await, Ok(RpAnswer::Ack(_))), "another client is not affected");
    testbed.next_delivery().await;
    assert!(testbed.smsc.account("sm-sr").submit(submission()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn each_injected_fault_has_its_effect() {
    let testbed = testbed();
    let attach = testbed.attach(IMSI).await;
    let injected: Arc<Mutex<Vec<(SmsFaultKind, Direction)>>> = Arc::default();
    let pending = Arc::clone(&injected);
    testbed.smsc.set_fault_source(move |direction| {
        let mut pending = pending.lock().unwrap();
        let at = pending.iter().position(|(_, of)| *of == direction)?;
        Some(pending.remove(at).0)
    });
    let inject = |kind, direction| injected.lock().unwrap().push((kind, direction));
    inject(SmsFaultKind::Lose, Direction::ToDevice);
    let lost = testbed.submit(b"lost", None).await;
    let found = testbed.submit(b"found", None).await;
    assert_eq!(receives(&*testbed.networks, &attach, ack()).await, b"found");
    assert_eq!(testbed.receipt_state(&found).await, MessageState::Delivered);
    assert_eq!(MessageCentre::state(&*testbed.smsc, "sm-sr", &lost), Some(MessageState::Unknown));
    inject(SmsFaultKind::Double, Direction::ToDevice);
    let doubled = testbed.submit(b"twice", None).await;
    for _ in 0..2 {
        assert_eq!(receives(&*testbed.networks, &attach, ack()).await, b"twice");
    }
    assert_eq!(testbed.receipt_state(&doubled).await, MessageState::Delivered);
    inject(SmsFaultKind::Delay(Duration::from_secs(100)), Direction::ToDevice);
    let begun = Instant::now();
    let late = testbed.submit(b"late", None).await;
    assert_eq!(receives(&*testbed.networks, &attach, ack()).await, b"late");
    assert_eq!(begun.elapsed().as_secs(), 100);
    assert_eq!(testbed.receipt_state(&late).await, MessageState::Delivered);
    inject(SmsFaultKind::LoseAnswer, Direction::ToDevice);
    let again = testbed.submit(b"again", None).await;
    for _ in 0..2 {
        assert_eq!(receives(&*testbed.networks, &attach, ack()).await, b"again");
    }
    assert_eq!(testbed.receipt_state(&again).await, MessageState::Delivered);
    let submit = |octets: &[u8]| {
        let destination = tpdu::address(&"1000".parse().unwrap()).unwrap();
        let submit = SmsSubmit::data(destination, UserData::plain(octets.to_vec()));
        let tpdu = submit.to_bytes();
        let message = MobileOriginated { attach: attach.clone(), service_centre: None, tpdu };
        testbed.networks.submit_short_message(plmn(), message)
    };
    inject(SmsFaultKind::Lose, Direction::FromDevice);
    inject(SmsFaultKind::Double, Direction::FromDevice);
    inject(SmsFaultKind::Delay(Duration::from_secs(50)), Direction::FromDevice);
    for octets in [b"1", b"2", b"3", b"4"] {
        assert!(matches!(submit(octets).await, Ok(RpAnswer::Ack(_))));
    }
    let mut received = Vec::new();
    for _ in 0..4 {
        match testbed.next_delivery().await {
            IncomingDelivery::Message(message) => received.extend(message.user_data),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(received, b"2243");
}

#[tokio::test(start_paused = true)]
async fn sender_destination_and_account_are_checked() {
    let testbed = testbed();
    let submit = |account: &str, from: &str, to: &str| {
        let mut message = message(b"x");
        message.from = from.parse().unwrap();
        message.to = to.parse().unwrap();
        let submission = Submission { message, validity: None, receipts: Receipts::None };
        let writer = testbed.smsc.account(account);
        async move { writer.submit(submission).await }
    };
    assert!(submit("sm-sr", "1000", CARD).await.is_ok());
    assert!(submit("sm-sr", "1000", IMSI).await.is_ok(), "an IMSI is accepted as destination");
    for (account, from, to) in [("sm-sr", "2000", CARD), ("sm-sr", "1000", "12345"), ("nobody", "1000", CARD)]
    {
        let refused = submit(account, from, to).await;
        assert!(matches!(refused, Err(SubmitFault::Refused(_))), "{account} {from} {to}");
    }
    let id = testbed.submit(b"y", None).await;
    assert!(!testbed.smsc.cancel("other", &id).unwrap());
    assert!(testbed.smsc.cancel("sm-sr", &id).unwrap());
    assert_eq!(MessageCentre::state(&*testbed.smsc, "sm-sr", &id), Some(MessageState::Deleted));
}

#[tokio::test(start_paused = true)]
async fn delivery_over_http_survives_a_loss_of_coverage() {
    let testbed = testbed();
    let remote = RemoteNetworks::new(link_from(NetworksService::new(Arc::clone(&testbed.networks))));
    let attach = attach(&remote, IMSI).await;
    let listener = {
        let (remote, attach) = (remote.clone(), attach.clone());
        tokio::spawn(async move { receives(&remote, &attach, ack()).await })
    };
    // This is longer than one request for the next message waits.
    tokio::time::sleep(Duration::from_secs(50)).await;
    let id = testbed.submit(b"one", None).await;
    assert_eq!(listener.await.unwrap(), b"one");
    assert_eq!(testbed.receipt_state(&id).await, MessageState::Delivered);
    let listener = {
        let (remote, attach) = (remote.clone(), attach.clone());
        tokio::spawn(async move { remote.next_short_message(plmn(), attach).await })
    };
    tokio::time::sleep(Duration::from_secs(5)).await;
    testbed.networks.set_coverage(plmn(), false);
    assert_eq!(listener.await.unwrap(), Err(RadioFault::NoCoverage(plmn())));
    let id = testbed.submit(b"two", None).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    // Coverage is back, and the device listens before the next attempt is due.
    testbed.networks.set_coverage(plmn(), true);
    let back = Instant::now();
    assert_eq!(receives(&remote, &attach, ack()).await, b"two");
    assert!(back.elapsed() < Duration::from_secs(1));
    assert_eq!(testbed.receipt_state(&id).await, MessageState::Delivered);
    remote.detach(plmn(), attach.clone()).await.unwrap();
    assert_eq!(remote.next_short_message(plmn(), attach.clone()).await, Err(RadioFault::Detached));
    let text = MobileOriginated { attach, service_centre: None, tpdu: vec![1] };
    assert_eq!(remote.submit_short_message(plmn(), text).await, Err(RadioFault::Detached));
}
