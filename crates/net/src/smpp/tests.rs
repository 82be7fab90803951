//! Session tests over loopback, and a comparison of the PDU codec with a third-party one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rsp::time::Timestamp;
use rusmpp::pdus::BindTransceiver;
use rusmpp::tlvs::TlvTag;
use rusmpp::types::OctetString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use world::{
    BoxFuture, CentreRefusal, DeliveryTicket, Fault, IncomingDelivery, ManualClock, MessageCentre, MessageId,
    MessageState, QueuedDelivery, Receipts, ShortMessage, ShortMessageSink, ShortMessages, Submission,
    SubmitFault,
};

use super::pdu::{
    CommandId, CommandStatus, Frame, Sm, decode, encode, meaning, message_id, name, read_message_id,
};
use super::{CentreSettings, Esme, EsmeSettings, RESPONSE_TIMEOUT, serve_smsc, translate};

mod codec;
mod silence;

/// An SMSC that records all submissions. It refuses messages to 666 and throttles those to 429.
#[derive(Default)]
struct FakeCentre {
    submitted: Mutex<Vec<(String, Submission)>>,
    queue: Mutex<VecDeque<QueuedDelivery>>,
    taken: Mutex<Vec<DeliveryTicket>>,
    states: Mutex<BTreeMap<MessageId, MessageState>>,
    changed: Notify,
    /// True if the records fail.
    fails: AtomicBool,
}

impl FakeCentre {
    fn bring(&self, ticket: &str, arrived: IncomingDelivery) {
        let ticket = DeliveryTicket(ticket.into());
        self.queue.lock().unwrap().push_back(QueuedDelivery { ticket, arrived });
        self.changed.notify_waiters();
    }
}

impl MessageCentre for FakeCentre {
    fn admit(&self, account: &str, password: &str) -> Result<(), CentreRefusal> {
        match (account, password) {
            ("sm-sr", "secret") => Ok(()),
            ("sm-sr", _) => Err(CentreRefusal::WrongPassword),
            _ => Err(CentreRefusal::UnknownAccount),
        }
    }

    fn submit(&self, account: &str, submission: Submission) -> BoxFuture<'_, Result<MessageId, SubmitFault>> {
        let answer = match submission.message.to.digits() {
            "666" => Err(SubmitFault::Refused("nobody".into())),
            "429" => Err(SubmitFault::Throttled),
            _ => {
                let mut submitted = self.submitted.lock().unwrap();
                submitted.push((account.into(), submission));
                let id = MessageId(format!("m{}", submitted.len()));
                self.states.lock().unwrap().insert(id.clone(), MessageState::Enroute);
                Ok(id)
            }
        };
        Box::pin(async { answer })
    }

    fn state(&self, _: &str, id: &MessageId) -> Option<MessageState> {
        self.states.lock().unwrap().get(id).copied()
    }

    fn cancel(&self, _: &str, id: &MessageId) -> Result<bool, Fault> {
        Ok(self.states.lock().unwrap().remove(id).is_some())
    }

    fn next<'a>(&'a self, _: &'a str) -> BoxFuture<'a, QueuedDelivery> {
        Box::pin(async {
            loop {
                let changed = self.changed.notified();
                if let Some(first) = self.queue.lock().unwrap().front() {
                    return first.clone();
                }
                changed.await;
            }
        })
    }

    fn taken(&self, _: &str, ticket: &DeliveryTicket) -> Result<(), Fault> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(Fault::new("cannot write", "the disk is full", "make room"));
        }
        self.queue.lock().unwrap().retain(|each| each.ticket != *ticket);
        self.taken.lock().unwrap().push(ticket.clone());
        self.changed.notify_waiters();
        Ok(())
    }
}

/// An ESME that records its deliveries and refuses a given number of them.
struct Sink {
    deliveries: mpsc::UnboundedSender<IncomingDelivery>,
    refusals: Mutex<u32>,
}

impl ShortMessageSink for Sink {
    fn take(&self, arrived: IncomingDelivery) -> BoxFuture<'_, Result<(), Fault>> {
        let mut refusals = self.refusals.lock().unwrap();
        let answer = if *refusals > 0 {
            *refusals -= 1;
            Err(Fault::new("cannot record", "simulated by the test", "wait"))
        } else {
            self.deliveries.send(arrived).unwrap();
            Ok(())
        };
        Box::pin(async { answer })
    }
}

struct Bench {
    centre: Arc<FakeCentre>,
    address: String,
    stop: Option<oneshot::Sender<()>>,
    served: tokio::task::JoinHandle<()>,
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp(1_795_000_000_000)))
}

async fn serve_at(address: &str, centre: Arc<FakeCentre>, submits_per_second: Option<u32>) -> Bench {
    let retry_after = Duration::from_millis(1);
    let settings = CentreSettings { submits_per_second, retry_after, ..CentreSettings::new("SMSC", clock()) };
    serve_with(address, centre, settings).await
}

async fn serve_with(address: &str, centre: Arc<FakeCentre>, settings: CentreSettings) -> Bench {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = oneshot::channel::<()>();
    let centre_of_server: Arc<dyn MessageCentre> = Arc::<FakeCentre>::clone(&centre);
    let served = tokio::spawn(serve_smsc(listener, centre_of_server, settings, async {
        let _ = stopped.await;
    }));
    Bench { centre, address, stop: Some(stop), served }
}

async fn bench() -> Bench {
    serve_at("127.0.0.1:0", Arc::default(), None).await
}

impl Bench {
    async fn stop(mut self) -> (Arc<FakeCentre>, String) {
        drop(self.stop.take());
        self.served.await.unwrap();
        (self.centre, self.address)
    }

    fn esme(&self, refusals: u32) -> (Esme, mpsc::UnboundedReceiver<IncomingDelivery>) {
        esme_at(&self.address, refusals)
    }

    async fn raw(&self) -> Raw {
        Raw { stream: TcpStream::connect(&self.address).await.unwrap(), buffer: vec![], sequence: 0 }
    }
}

fn esme_at(address: &str, refusals: u32) -> (Esme, mpsc::UnboundedReceiver<IncomingDelivery>) {
    let settings = EsmeSettings {
        address: address.into(),
        system_id: "sm-sr".into(),
        password: "secret".to_owned().into(),
        system_type: "EC".into(),
    };
    let (deliveries, received) = mpsc::unbounded_channel();
    let sink = Sink { deliveries, refusals: Mutex::new(refusals) };
    (Esme::start(settings, Arc::new(sink), clock()), received)
}

/// An SMSC without behaviour of its own.
struct RawCentre(TcpListener);

impl RawCentre {
    /// Returns the SMSC, and an ESME that binds to it.
    async fn with_esme() -> (Self, Esme, mpsc::UnboundedReceiver<IncomingDelivery>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (esme, received) = esme_at(&listener.local_addr().unwrap().to_string(), 0);
        (Self(listener), esme, received)
    }

    /// Returns the next connection of the ESME, and its bind.
    async fn accept(&self) -> (Raw, Frame) {
        let mut raw = Raw { stream: self.0.accept().await.unwrap().0, buffer: vec![], sequence: 0 };
        let bind = raw.receive().await.unwrap();
        assert_eq!(bind.command, CommandId::BindTransceiver);
        (raw, bind)
    }

    /// Accepts the next connection of the ESME and its bind.
    async fn bound(&self, esme: &Esme) -> Raw {
        let (mut raw, bind) = self.accept().await;
        raw.answer(&bind, "SMSC").await;
        esme.bound().await;
        raw
    }
}

/// A peer that sends arbitrary PDUs.
struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
    sequence: u32,
}

impl Raw {
    async fn send(&mut self, command: CommandId, body: Vec<u8>) -> Frame {
        self.sequence += 1;
        let frame = Frame::request(command, self.sequence, body);
        self.stream.write_all(&frame.to_bytes()).await.unwrap();
        let answer = self.receive().await.unwrap();
        assert_eq!(answer.sequence, self.sequence);
        answer
    }

    async fn status(&mut self, command: CommandId, body: Vec<u8>) -> CommandStatus {
        self.send(command, body).await.status
    }

    async fn answer(&mut self, request: &Frame, id: &str) {
        let answer = Frame::answer(request, CommandStatus::EsmeRok, message_id(id));
        self.stream.write_all(&answer.to_bytes()).await.unwrap();
    }

    /// Returns `None` if the peer has closed.
    async fn receive(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::take(&mut self.buffer).unwrap() {
                return Some(frame);
            }
            if self.stream.read_buf(&mut self.buffer).await.unwrap() == 0 {
                return None;
            }
        }
    }

    async fn bind(&mut self, command: CommandId) {
        assert_eq!(self.status(command, bind("sm-sr", "secret")).await, CommandStatus::EsmeRok);
    }
}

fn bind(system_id: &str, password: &str) -> Vec<u8> {
    // In some tests these texts are longer than `BindTransceiver` allows.
    let texts = [system_id, password, "EC"].map(|text| [text.as_bytes(), &[0]].concat()).concat();
    [texts, vec![0x34, 0, 0, 0]].concat()
}

fn submission(to: &str) -> Submission {
    let message = ShortMessage::to_card("1000".parse().unwrap(), to.parse().unwrap(), vec![2, 0x70, 0, 7]);
    Submission { message, validity: None, receipts: Receipts::Always }
}

fn from_device(octets: &[u8]) -> IncomingDelivery {
    let (from, to) = ("+491".parse().unwrap(), "1000".parse().unwrap());
    IncomingDelivery::Message(ShortMessage::to_card(from, to, octets.to_vec()))
}

#[tokio::test]
async fn an_esme_submits_and_gets_deliveries() {
    let bench = bench().await;
    let (esme, mut received) = bench.esme(0);
    esme.bound().await;
    let id = esme.submit(submission("+492")).await.unwrap();
    assert_eq!(id, MessageId("m1".into()));
    assert_eq!(*bench.centre.submitted.lock().unwrap(), [("sm-sr".to_owned(), submission("+492"))]);
    assert!(matches!(esme.submit(submission("666")).await, Err(SubmitFault::Refused(_))));
    assert_eq!(esme.submit(submission("429")).await, Err(SubmitFault::Throttled));
    for octets in [[2, 0x71, 0, 1], [2, 0x71, 0, 2], [2, 0x71, 0, 3]] {
        bench.centre.bring(&octets[3].to_string(), from_device(&octets));
    }
    for octets in [[2, 0x71, 0, 1], [2, 0x71, 0, 2], [2, 0x71, 0, 3]] {
        assert_eq!(received.recv().await.unwrap(), from_device(&octets));
    }
    let (centre, _) = bench.stop().await;
    assert_eq!(centre.taken.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_session_is_reopened_and_nothing_is_lost() {
    let bench = bench().await;
    let (esme, mut received) = bench.esme(0);
    esme.bound().await;
    let (centre, address) = bench.stop().await;
    centre.bring("1", from_device(&[1]));
    let bench = serve_at(&address, centre, None).await;
    assert_eq!(received.recv().await.unwrap(), from_device(&[1]));
    assert!(esme.is_bound());
    esme.submit(submission("+492")).await.unwrap();
    assert_eq!(bench.centre.submitted.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_delivery_that_the_esme_refuses_stays_in_the_smsc() {
    let bench = bench().await;
    let mut raw = bench.raw().await;
    raw.bind(CommandId::BindReceiver).await;
    bench.centre.bring("1", from_device(&[1]));
    let delivery = raw.receive().await.unwrap();
    let refusal = Frame::answer(&delivery, CommandStatus::EsmeRxTAppn, message_id(""));
    raw.stream.write_all(&refusal.to_bytes()).await.unwrap();
    // The delivery is repeated in this session, or in another one if this session has ended.
    let again = raw.receive().await.unwrap();
    assert_eq!(again.body, delivery.body);
    assert!(bench.centre.taken.lock().unwrap().is_empty());
    drop(raw);
    let mut raw = bench.raw().await;
    raw.bind(CommandId::BindTransceiver).await;
    let again = raw.receive().await.unwrap();
    assert_eq!(again.body, delivery.body);
    // Neither the answer to another request nor another answer acknowledges the delivery.
    let other_request = Frame { sequence: again.sequence + 1, ..again.clone() };
    let other_answer = Frame { command: CommandId::EnquireLink, ..again.clone() };
    for request in [other_request, other_answer] {
        let answer = Frame::answer(&request, CommandStatus::EsmeRok, message_id(""));
        raw.stream.write_all(&answer.to_bytes()).await.unwrap();
    }
    assert_eq!(raw.status(CommandId::EnquireLink, vec![]).await, CommandStatus::EsmeRok);
    assert!(bench.centre.taken.lock().unwrap().is_empty());
    raw.stream
        .write_all(&Frame::answer(&again, CommandStatus::EsmeRok, message_id("")).to_bytes())
        .await
        .unwrap();
    assert_eq!(raw.status(CommandId::EnquireLink, vec![]).await, CommandStatus::EsmeRok);
    assert_eq!(*bench.centre.taken.lock().unwrap(), [DeliveryTicket("1".into())]);
}

#[tokio::test]
async fn an_smsc_that_cannot_record_an_acknowledgement_repeats_the_delivery_after_a_pause() {
    let settings =
        CentreSettings { retry_after: Duration::from_secs(3600), ..CentreSettings::new("SMSC", clock()) };
    let bench = serve_with("127.0.0.1:0", Arc::default(), settings).await;
    bench.centre.fails.store(true, Ordering::Relaxed);
    let mut raw = bench.raw().await;
    raw.bind(CommandId::BindReceiver).await;
    bench.centre.bring("1", from_device(&[1]));
    let delivery = raw.receive().await.unwrap();
    raw.stream
        .write_all(&Frame::answer(&delivery, CommandStatus::EsmeRok, message_id("")).to_bytes())
        .await
        .unwrap();
    // Only answers to these requests arrive.
    for _ in 0..50 {
        assert_eq!(raw.status(CommandId::EnquireLink, vec![]).await, CommandStatus::EsmeRok);
    }
    assert_eq!(bench.centre.queue.lock().unwrap().len(), 1);
}

// req: SMPP-Bind, SMPP-State
#[tokio::test]
async fn a_session_allows_the_operations_of_its_bind_type() {
    let bench = bench().await;
    let body = || translate::submit_sm(&submission("+492")).to_bytes();
    let mut raw = bench.raw().await;
    assert_eq!(raw.status(CommandId::SubmitSm, body()).await, CommandStatus::EsmeRinvbndsts);
    assert_eq!(raw.status(CommandId::EnquireLink, vec![]).await, CommandStatus::EsmeRok);
    for (account, password, status) in [
        ("sm-sr", "wrong", CommandStatus::EsmeRinvpaswd),
        ("other", "secret", CommandStatus::EsmeRinvsysid),
        ("much-too-long-an-account", "secret", CommandStatus::EsmeRinvsysid),
        ("sm-sr", "toolongone", CommandStatus::EsmeRinvpaswd),
    ] {
        assert_eq!(raw.status(CommandId::BindTransmitter, bind(account, password)).await, status);
    }
    let bound = raw.send(CommandId::BindTransmitter, bind("sm-sr", "secret")).await;
    assert_eq!(read_message_id(&bound.body).as_deref(), Some("SMSC"));
    assert_eq!(
        raw.status(CommandId::BindReceiver, bind("sm-sr", "secret")).await,
        CommandStatus::EsmeRalybnd
    );
    let submitted = raw.send(CommandId::SubmitSm, body()).await;
    assert_eq!(read_message_id(&submitted.body).as_deref(), Some("m1"));
    // query_sm returns the state ENROUTE; cancel_sm removes the message.
    let named = [message_id("m1"), vec![0, 0, 0]].concat();
    let state = raw.send(CommandId::QuerySm, named.clone()).await;
    assert_eq!((state.status, state.body), (CommandStatus::EsmeRok, b"m1\0\0\x01\0".to_vec()));
    let cancel = [vec![0], named.clone(), vec![0, 0, 0]].concat();
    assert_eq!(raw.status(CommandId::CancelSm, cancel.clone()).await, CommandStatus::EsmeRok);
    assert_eq!(raw.status(CommandId::CancelSm, cancel).await, CommandStatus::EsmeRcancelfail);
    assert_eq!(raw.status(CommandId::QuerySm, named).await, CommandStatus::EsmeRinvmsgid);
    assert_eq!(raw.status(CommandId::Unbind, vec![]).await, CommandStatus::EsmeRok);
    assert_eq!(raw.receive().await, None);

    let mut raw = bench.raw().await;
    raw.bind(CommandId::BindReceiver).await;
    assert_eq!(raw.status(CommandId::SubmitSm, body()).await, CommandStatus::EsmeRinvbndsts);
    let named = [message_id("m1"), vec![0, 0, 0]].concat();
    assert_eq!(raw.status(CommandId::QuerySm, named).await, CommandStatus::EsmeRinvbndsts);
}

#[tokio::test]
async fn a_dropped_esme_closes_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (esme, _deliveries) = esme_at(&listener.local_addr().unwrap().to_string(), 0);
    let (mut smsc, _) = listener.accept().await.unwrap();
    drop(esme);
    let mut received = Vec::new();
    // Without the end of its task, the ESME would wait half a minute for the answer to its bind.
    let end = tokio::time::timeout(RESPONSE_TIMEOUT / 2, smsc.read_to_end(&mut received));
    end.await.unwrap().unwrap();
}

#[tokio::test]
async fn invalid_pdus_are_answered_and_the_session_continues_where_possible() {
    let bench = bench().await;
    let good = translate::submit_sm(&submission("+492"));
    let mut raw = bench.raw().await;
    raw.bind(CommandId::BindTransceiver).await;
    let nack = raw.send(CommandId::Other(0x0000_0ABC), vec![1, 2, 3]).await;
    assert_eq!((nack.command, nack.status), (CommandId::GenericNack, CommandStatus::EsmeRinvcmdid));
    // Every prefix of a valid body is refused, and none ends the session.
    let whole = good.to_bytes();
    for length in 0..whole.len() {
        assert_ne!(
            raw.status(CommandId::SubmitSm, whole[..length].to_vec()).await,
            CommandStatus::EsmeRok,
            "{length}"
        );
    }
    // Inconsistent optional parameters, a message without an end, and an invalid text.
    for (tail, status) in [
        (&[0x04][..], CommandStatus::EsmeRinvtlvstream),
        (&[0x04, 0x24, 0xFF, 0xFF], CommandStatus::EsmeRinvtlvlen),
        (&[0x04, 0x24, 0x00, 0x00], CommandStatus::EsmeRinvmsglen),
        (&[0x13; 4 * 0x1317], CommandStatus::EsmeRok),
    ] {
        let body = [whole.as_slice(), tail].concat();
        assert_eq!(raw.status(CommandId::SubmitSm, body).await, status);
    }
    let many = (0..65).map(|number| (TlvTag::Other(0x1400 + number), vec![])).collect();
    let too_many = Sm { parameters: many, ..good.clone() };
    assert_eq!(raw.status(CommandId::SubmitSm, too_many.to_bytes()).await, CommandStatus::EsmeRinvtlvstream);
    let mut long = Sm { parameters: vec![(TlvTag::MessagePayload, vec![0; 0xFFFF])], ..good };
    long.fields.set_short_message(OctetString::empty());
    assert_eq!(raw.status(CommandId::SubmitSm, long.to_bytes()).await, CommandStatus::EsmeRinvmsglen);
    // Answers without a request are ignored.
    for command in [CommandId::DeliverSmResp, CommandId::GenericNack, CommandId::Other(0xFFFF_FFFF)] {
        raw.stream.write_all(&Frame::request(command, 99, vec![0xFF; 40]).to_bytes()).await.unwrap();
    }
    assert_eq!(raw.status(CommandId::EnquireLink, vec![]).await, CommandStatus::EsmeRok);
    assert_eq!(bench.centre.submitted.lock().unwrap().len(), 1);

    for length in [0_u32, 15, 70_001, u32::MAX] {
        let mut raw = bench.raw().await;
        let header = [length.to_be_bytes(), 4_u32.to_be_bytes(), [0; 4], 7_u32.to_be_bytes()].concat();
        raw.stream.write_all(&header).await.unwrap();
        let nack = raw.receive().await.unwrap();
        assert_eq!((nack.status, nack.command), (CommandStatus::EsmeRinvcmdlen, CommandId::GenericNack));
        assert_eq!(raw.receive().await, None, "the session is over");
    }
    // Half a PDU and the end of the stream.
    let mut raw = bench.raw().await;
    raw.stream.write_all(&[0, 0, 0, 32, 0]).await.unwrap();
    raw.stream.shutdown().await.unwrap();
    assert_eq!(raw.receive().await, None);
}

// req: SMPP-Throttled
#[tokio::test]
async fn fast_submissions_are_throttled() {
    let bench = serve_at("127.0.0.1:0", Arc::default(), Some(2)).await;
    let mut raw = bench.raw().await;
    raw.bind(CommandId::BindTransmitter).await;
    let body = translate::submit_sm(&submission("+492")).to_bytes();
    // The submissions of more than two windows arrive in far less than a second, so at least one is
    // refused, wherever the second ends.
    let mut refused = 0;
    for number in 0..9 {
        let status = raw.status(CommandId::SubmitSm, body.clone()).await;
        assert!(number > 0 || status == CommandStatus::EsmeRok, "{status:?}");
        refused += u32::from(status == CommandStatus::EsmeRthrottled);
    }
    assert!(refused >= 1);
    assert_eq!(bench.centre.submitted.lock().unwrap().len(), 9 - refused as usize);
}

#[tokio::test]
async fn two_sessions_of_an_account_get_no_delivery_twice() {
    let bench = bench().await;
    let (mut first, mut second) = (bench.raw().await, bench.raw().await);
    first.bind(CommandId::BindReceiver).await;
    bench.centre.bring("1", from_device(&[1]));
    let delivery = first.receive().await.unwrap();
    second.bind(CommandId::BindReceiver).await;
    assert_eq!(second.status(CommandId::EnquireLink, vec![]).await, CommandStatus::EsmeRok);
    // The first session ends without an answer, so the second one gets the delivery.
    drop(first);
    assert_eq!(second.receive().await.unwrap().body, delivery.body);
}

#[tokio::test]
async fn a_refused_delivery_is_repeated_to_the_same_account() {
    let bench = bench().await;
    let (esme, mut received) = bench.esme(2);
    let delivery = from_device(&[1]);
    bench.centre.bring("1", delivery.clone());
    assert_eq!(received.recv().await.unwrap(), delivery);
    // The delivery is acknowledged and not repeated.
    while bench.centre.taken.lock().unwrap().is_empty() {
        bench.centre.changed.notified().await;
    }
    drop(esme);
    let (centre, _) = bench.stop().await;
    assert_eq!(*centre.taken.lock().unwrap(), [DeliveryTicket("1".into())]);
    assert!(received.try_recv().is_err(), "once");
}

#[tokio::test(start_paused = true)]
async fn a_missing_smsc_is_a_temporary_fault() {
    let (esme, _hears) = esme_at("127.0.0.1:1", 0);
    let began = tokio::time::Instant::now();
    let fault = esme.submit(submission("+492")).await.unwrap_err();
    assert_eq!(fault, SubmitFault::Unbound);
    assert!(fault.is_temporary() && fault.is_certain());
    assert_eq!(began.elapsed(), Duration::ZERO, "submissions do not wait for a session");
    assert!(!esme.is_bound());
    // While no SMSC is reachable, there is nothing to wait for.
    assert!(tokio::time::timeout(Duration::from_secs(60), esme.bound()).await.is_err());
}

/// `LANDFALL_SMSC=host:port` is a third-party SMSC that admits sm-sr with the password secret,
/// accepts any message, returns a receipt for it, and then delivers a message with eight-bit data.
#[tokio::test]
#[cfg_attr(not(has_smsc), ignore = "needs LANDFALL_SMSC=host:port, a third-party SMSC")]
async fn a_third_party_smsc_works() {
    let address = std::env::var("LANDFALL_SMSC").unwrap();
    let (esme, mut received) = esme_at(&address, 0);
    esme.bound().await;
    let id = esme.submit(submission("+492")).await.unwrap();
    let Some(IncomingDelivery::Receipt(receipt)) = received.recv().await else { panic!() };
    assert_eq!((receipt.id, receipt.state), (id, MessageState::Delivered));
    let Some(IncomingDelivery::Message(message)) = received.recv().await else { panic!() };
    assert_eq!(message.data_coding, ShortMessage::CLASS_2_DATA);
    assert!(message.has_header);
}

#[tokio::test]
async fn an_esme_that_guesses_passwords_is_stopped() {
    let bench = bench().await;
    let mut raw = bench.raw().await;
    for guess in 0..world::MAX_FAILED_ATTEMPTS {
        let wrong = bind("sm-sr", &format!("w{guess}"));
        assert_eq!(raw.status(CommandId::BindTransmitter, wrong).await, CommandStatus::EsmeRinvpaswd);
    }
    // Neither another session nor the right password helps. Other accounts and other addresses are
    // not affected.
    let mut raw = bench.raw().await;
    let right = bind("sm-sr", "secret");
    assert_eq!(raw.status(CommandId::BindTransmitter, right).await, CommandStatus::EsmeRthrottled);
    let other = bind("other", "secret");
    assert_eq!(raw.status(CommandId::BindTransmitter, other).await, CommandStatus::EsmeRinvsysid);
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let stream = socket.connect(bench.address.parse().unwrap()).await.unwrap();
    Raw { stream, buffer: vec![], sequence: 0 }.bind(CommandId::BindTransmitter).await;
}

#[tokio::test]
async fn silent_connections_keep_no_esme_out_and_end_no_session() {
    let bench = bench().await;
    let mut first = bench.raw().await;
    first.bind(CommandId::BindTransmitter).await;
    let mut silent = Vec::new();
    for _ in 0..super::server::MAX_SESSIONS + 10 {
        silent.push(TcpStream::connect(&bench.address).await.unwrap());
    }
    bench.raw().await.bind(CommandId::BindTransmitter).await;
    assert_eq!(first.status(CommandId::EnquireLink, vec![]).await, CommandStatus::EsmeRok);
}
