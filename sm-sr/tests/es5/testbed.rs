//! A testbed: an engine with a simulated SMSC that stores messages in a list, procedures that only
//! record events, and a clock that is advanced by hand.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use rsp::{
    ids::{Aid, Eid},
    ota::{script::Script, secured_packet::Counter, trigger::SessionTrigger},
    sgp02::{keys, notification::DefaultNotification},
    time::Timestamp,
};
use sm_sr::es5::{
    self, Bearer, CardAccess, Effect, Engine, Es5Config, HttpsEndpoint, Job, JobId, JobOutcome, Procedures,
    PskKey, Scp80KeySet,
};
use world::{
    BoxFuture, Collection, Events, Fault, IncomingDelivery, ManualClock, MemoryEvents, MemoryRecords,
    MessageId, PhoneNumber, PskIdentity, Records, SeededRandom, ShortMessage, ShortMessages, Submission,
    SubmitFault, Tx, World,
};

use super::card::{self, Card, CardResponse, EID, KIC, KID};

/// Events reported to the procedures, in order.
const REPORTS: Collection<Vec<String>> = Collection::new("test-reports");
pub(crate) const SM_SR: &str = "+49100";
pub(crate) const NUMBER: &str = "+491511";
/// Number of the card's other profile.
pub(crate) const OTHER_NUMBER: &str = "+491522";
/// Number of another card.
pub(crate) const NUMBER_OF_ANOTHER: &str = "+491533";
pub(crate) const PSK: [u8; 16] = [0x33; 16];

pub(crate) struct Testbed {
    pub(crate) clock: ManualClock,
    pub(crate) records: Arc<dyn Records>,
    pub(crate) smsc: Arc<Smsc>,
    pub(crate) procedures: Arc<TestProcedures>,
    pub(crate) events: MemoryEvents,
    pub(crate) config: Es5Config,
    pub(crate) engine: Engine,
}

/// The simulated SMSC.
#[derive(Default)]
pub(crate) struct Smsc {
    pub(crate) sent: Mutex<Vec<(MessageId, Submission)>>,
    next: AtomicU64,
    /// Number for which submissions get no answer.
    pub(crate) silent_for: Mutex<Option<PhoneNumber>>,
    /// Fault returned for submissions.
    pub(crate) fault: Mutex<Option<SubmitFault>>,
    /// Commits that are left to the submitting process: at 0 it was killed and submits nothing.
    pub(crate) commits: Mutex<Option<Arc<AtomicI64>>>,
}

impl ShortMessages for Smsc {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<MessageId, SubmitFault>> {
        Box::pin(async move {
            if self
                .commits
                .lock()
                .unwrap()
                .as_ref()
                .is_some_and(|commits| commits.load(Ordering::SeqCst) == 0)
            {
                return Err(SubmitFault::Unreachable("the process was killed".into()));
            }
            if let Some(fault) = self.fault.lock().unwrap().clone() {
                return Err(fault);
            }
            let is_silent = self.silent_for.lock().unwrap().as_ref() == Some(&submission.message.to);
            if is_silent {
                std::future::pending::<()>().await;
            }
            let id = MessageId(format!("m{}", self.next.fetch_add(1, Ordering::SeqCst)));
            self.sent.lock().unwrap().push((id.clone(), submission));
            Ok(id)
        })
    }
}

/// The procedures.
pub(crate) struct TestProcedures {
    pub(crate) https: AtomicBool,
    pub(crate) confirms: AtomicBool,
    pub(crate) has_number: AtomicBool,
    /// Script that is enqueued when the previous one has ended, like the next call of an SM-DP.
    pub(crate) next_jobs: Mutex<Vec<Job>>,
}

async fn record_report(tx: &mut Tx<'_>, what: String) -> Result<(), Fault> {
    let mut reports = tx.get(&REPORTS, "all").await?.unwrap_or_default();
    reports.push(what);
    tx.put(&REPORTS, "all", &reports)
}

impl Procedures for TestProcedures {
    fn card<'a>(&'a self, _: &'a mut Tx<'_>, eid: Eid) -> BoxFuture<'a, Result<Option<CardAccess>, Fault>> {
        let numbers = [NUMBER, NUMBER_OF_ANOTHER];
        let access = CardAccess {
            address: self
                .has_number
                .load(Ordering::SeqCst)
                .then(|| number(numbers[usize::from(eid != eid_of_card())])),
            scp80: vec![Scp80KeySet {
                kvn: 1,
                kic: KIC.into(),
                kid: KID.into(),
                initial_counter: Counter::ZERO,
            }],
            scp81: vec![PskKey { kvn: 0x40, key_id: 1, key: PSK.to_vec().into() }],
            https: self.https.load(Ordering::SeqCst),
        };
        Box::pin(async move { Ok([eid_of_card(), another_eid()].contains(&eid).then_some(access)) })
    }

    fn card_at<'a>(
        &'a self,
        _: &'a mut Tx<'_>,
        address: &'a PhoneNumber,
    ) -> BoxFuture<'a, Result<Option<Eid>, Fault>> {
        let known = [NUMBER, OTHER_NUMBER].iter().any(|known| number(known).is_same(address));
        Box::pin(async move { Ok(known.then(eid_of_card)) })
    }

    fn job_ended<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        now: Timestamp,
        _: &'a JobId,
        job: &'a Job,
        outcome: JobOutcome,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let result = match outcome {
                JobOutcome::Answered(response) => format!("answered {}", statuses(&response)),
                JobOutcome::AnsweredAgain(response) => format!("answered again {}", statuses(&response)),
                JobOutcome::FoundDone(_) => "found done".into(),
                JobOutcome::Refused(refusal) => format!("refused: {refusal}"),
                JobOutcome::Expired => "expired".into(),
                JobOutcome::NotDelivered(why) => format!("not delivered: {why}"),
            };
            record_report(tx, format!("{} {result}", job.purpose)).await?;
            let next = self
                .next_jobs
                .lock()
                .unwrap()
                .iter()
                .find(|next| next.purpose == after(&job.purpose))
                .cloned();
            if let Some(next) = next {
                es5::enqueue(tx, now, next).await?;
            }
            Ok(())
        })
    }

    fn notified<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        now: Timestamp,
        eid: Eid,
        notification: DefaultNotification,
        via: Bearer,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let number = notification.sequence_number;
            record_report(tx, format!("notified {number} by {via:?}")).await?;
            if self.confirms.load(Ordering::SeqCst) {
                es5::enqueue(tx, now, confirmation(eid, number, via, now)).await?;
            }
            Ok(())
        })
    }
}

/// Returns the purpose of the next job: `a1` is followed by `a2`.
fn after(purpose: &str) -> String {
    let (name, number) = purpose.split_at(purpose.len() - 1);
    number.parse::<u32>().map_or(String::new(), |number| format!("{name}{}", number + 1))
}

pub(crate) fn confirmation(eid: Eid, number: u16, via: Bearer, now: Timestamp) -> Job {
    let [high, low] = number.to_be_bytes();
    Job {
        eid,
        target: Aid(Aid::ISD_R.to_vec()),
        script: Script::of_apdus([vec![0x80, 0xE2, 0x89, 0, 7, 0x3A, 0x08, 4, 0x4E, 2, high, low, 0]]),
        valid_until: now.plus(Duration::from_secs(600)),
        more_to_do: false,
        urgent: true,
        via: Some(via),
        effect: Effect::ConfirmNotification(number),
        purpose: format!("confirm {number}"),
    }
}

pub(crate) fn number(text: &str) -> PhoneNumber {
    text.parse().unwrap()
}

pub(crate) fn eid_of_card() -> Eid {
    EID.parse().unwrap()
}

/// Returns the EID of another managed card.
pub(crate) fn another_eid() -> Eid {
    Eid::with_check_digits("890490321234512345123451234588").unwrap()
}

pub(crate) fn start() -> Timestamp {
    Timestamp::from_seconds(1_800_000_000)
}

pub(crate) fn config() -> Es5Config {
    Es5Config {
        https: Some(HttpsEndpoint { trigger: SessionTrigger::default(), path: "/es5".into() }),
        ..Es5Config::at(number(SM_SR))
    }
}

impl Testbed {
    pub(crate) fn new() -> Self {
        Self::over(Arc::new(MemoryRecords::default()), config())
    }

    pub(crate) fn with(change: impl FnOnce(&mut Es5Config)) -> Self {
        let mut config = config();
        change(&mut config);
        Self::over(Arc::new(MemoryRecords::default()), config)
    }

    pub(crate) fn over(records: Arc<dyn Records>, config: Es5Config) -> Self {
        let procedures = Arc::new(TestProcedures {
            https: AtomicBool::new(true),
            confirms: AtomicBool::new(true),
            has_number: AtomicBool::new(true),
            next_jobs: Mutex::default(),
        });
        let (clock, smsc, events) =
            (ManualClock::at(start()), Arc::new(Smsc::default()), MemoryEvents::default());
        let engine = engine(&records, &clock, &smsc, &procedures, &events, &config);
        Self { clock, records, smsc, procedures, events, config, engine }
    }

    /// Replaces the engine by another one on the same records, as after a restart.
    pub(crate) fn restart(&mut self) {
        self.engine =
            engine(&self.records, &self.clock, &self.smsc, &self.procedures, &self.events, &self.config);
    }

    pub(crate) async fn enqueue(&self, job: Job) -> JobId {
        let now = self.clock_now();
        let id =
            world::transact(&*self.records, |tx| Box::pin(es5::enqueue(tx, now, job.clone()))).await.unwrap();
        self.engine.wake();
        id
    }

    pub(crate) fn clock_now(&self) -> Timestamp {
        use world::Clock;
        self.clock.now()
    }

    pub(crate) async fn run(&self) -> Option<Timestamp> {
        self.engine.run_due().await.unwrap()
    }

    /// Advances the clock and runs the due work.
    pub(crate) async fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.run().await;
    }

    /// Returns and clears the submitted messages.
    pub(crate) fn take_submitted(&self) -> Vec<Vec<u8>> {
        let sent = std::mem::take(&mut *self.smsc.sent.lock().unwrap());
        sent.into_iter()
            .map(|(_, submission)| {
                let message = submission.message;
                assert_eq!(
                    (message.protocol_identifier, message.data_coding, message.has_header),
                    (0x7F, 0xF6, true)
                );
                assert_eq!(message.from, number(SM_SR));
                message.user_data
            })
            .collect()
    }

    /// Passes messages to the card and returns its responses.
    pub(crate) fn pass_to_card(&self, card: &mut Card, messages: Vec<Vec<u8>>) -> Vec<CardResponse> {
        messages
            .iter()
            .map(|message| card.receive(message))
            .filter(|response| *response != CardResponse::Nothing)
            .collect()
    }

    pub(crate) async fn deliver_response(&self, response: &CardResponse) {
        match response {
            CardResponse::Nothing => {}
            CardResponse::Submit(parts) => {
                for part in parts {
                    self.deliver_from(NUMBER, part).await;
                }
            }
            CardResponse::Report(data) => {
                let report = message(NUMBER, data);
                self.deliver(IncomingDelivery::Report(MessageId("unknown".into()), report)).await;
            }
        }
    }

    pub(crate) async fn deliver_from(&self, from: &str, user_data: &[u8]) {
        self.deliver(IncomingDelivery::Message(message(from, user_data))).await;
    }

    pub(crate) async fn deliver(&self, arrived: IncomingDelivery) {
        self.engine.short_message(arrived).await.unwrap();
    }

    /// Runs due work and passes messages to the card and back until no message is left.
    pub(crate) async fn exchange_messages(&self, card: &mut Card) {
        loop {
            self.run().await;
            let sent = self.take_submitted();
            if sent.is_empty() {
                return;
            }
            for response in self.pass_to_card(card, sent) {
                self.deliver_response(&response).await;
            }
        }
    }

    pub(crate) async fn reports(&self) -> Vec<String> {
        Tx::begin(&*self.records).get(&REPORTS, "all").await.unwrap().unwrap_or_default()
    }

    pub(crate) async fn waiting(&self) -> usize {
        Tx::begin(&*self.records).peek_list(&es5::JOBS, "").await.unwrap().len()
    }

    /// Returns the refusals in the timeline since the last call.
    pub(crate) fn refused(&self) -> Vec<String> {
        let refused = |event: world::Event| match event.outcome {
            world::Outcome::Refused(why) => Some(why),
            _ => None,
        };
        self.events.take().into_iter().filter_map(refused).collect()
    }

    pub(crate) async fn post(&self, uri: &str, answer: Option<Vec<u8>>) -> Response<Bytes> {
        self.engine.https(request(uri, answer, "ok")).await
    }

    /// Runs a session of the card: sends the first POST to `uri`, and executes scripts until the
    /// end. Returns the number of scripts.
    pub(crate) async fn session(&self, card: &mut Card, uri: &str) -> usize {
        let mut response = self.post(uri, None).await;
        let mut scripts = 0;
        while response.status() == 200 {
            scripts += 1;
            let (next, answer) = run(card, &response);
            response = self.post(&next, Some(answer)).await;
        }
        assert_eq!(response.status(), 204);
        assert!(response.body().is_empty());
        assert_eq!(response.headers()["connection"], "close");
        scripts
    }
}

/// Executes the script given to a card. Returns the URI for the response, and the response.
pub(crate) fn run(card: &mut Card, response: &Response<Bytes>) -> (String, Vec<u8>) {
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap());
    assert_eq!(response.status(), 200);
    assert_eq!(header("x-admin-protocol"), Some("globalplatform-remote-admin/1.0"));
    assert_eq!(header("content-type"), Some("application/vnd.globalplatform.card-content-mgt;version=1.0"));
    let target = card::target(header("x-admin-targeted-application"));
    assert_eq!(response.body()[0], 0xAE);
    (header("x-admin-next-uri").unwrap().to_owned(), card.script(response.body(), &target))
}

pub(crate) fn request(uri: &str, answer: Option<Vec<u8>>, status: &str) -> Request<Bytes> {
    let mut request = Request::post(uri)
        .header("host", "sm-sr.example")
        .header("x-admin-protocol", "globalplatform-remote-admin/1.0")
        .header("x-admin-from", format!("//se-id/eid/{EID};//aa-id/aid/A000000559/1010FFFFFFFF8900000100"))
        .extension(PskIdentity(identity().to_string()));
    if answer.is_some() {
        request = request
            .header("x-admin-script-status", status)
            .header("content-type", "application/vnd.globalplatform.card-content-mgt-response;version=1.0");
    }
    request.body(answer.unwrap_or_default().into()).unwrap()
}

pub(crate) fn identity() -> keys::PskIdentity {
    keys::PskIdentity { eid: eid_of_card(), key_version: keys::KeyVersion(0x40), key_identifier: 1 }
}

fn engine(
    records: &Arc<dyn Records>,
    clock: &ManualClock,
    smsc: &Arc<Smsc>,
    procedures: &Arc<TestProcedures>,
    events: &MemoryEvents,
    config: &Es5Config,
) -> Engine {
    let world = World::new(clock.clone(), SeededRandom::from_text("es5"));
    let events: Arc<dyn Events> = Arc::new(events.clone());
    let procedures: Arc<dyn Procedures> = procedures.clone();
    Engine::new(Arc::clone(records), world, events, config.clone(), procedures)
        .with_short_messages(smsc.clone())
}

fn message(from: &str, user_data: &[u8]) -> ShortMessage {
    ShortMessage {
        from: number(from),
        to: number(SM_SR),
        protocol_identifier: 0,
        data_coding: 0xF6,
        has_header: true,
        user_data: user_data.to_vec(),
    }
}

pub(crate) fn job(effect: Effect, apdu: Vec<u8>, purpose: &str) -> Job {
    Job {
        eid: eid_of_card(),
        target: Aid(Aid::ISD_R.to_vec()),
        script: Script::of_apdus([apdu]),
        valid_until: start().plus(Duration::from_secs(3600)),
        more_to_do: false,
        urgent: false,
        via: None,
        effect,
        purpose: purpose.into(),
    }
}

fn store_data(group: u8, isd_p: &str) -> Vec<u8> {
    let isd_p = hex::decode(isd_p).unwrap();
    [&[0x80, 0xE2, 0x88, 0, 0x15, 0x3A, group, 0x12, 0x4F, 0x10][..], &isd_p].concat()
}

pub(crate) fn enable(number: u16) -> Job {
    job(Effect::Enable(Aid::isd_p(number)), store_data(3, &card::isd_p(number)), "enable")
}

pub(crate) fn disable(number: u16) -> Job {
    job(Effect::Disable(Aid::isd_p(number)), store_data(4, &card::isd_p(number)), "disable")
}

pub(crate) fn delete(number: u16) -> Job {
    let isd_p = hex::decode(card::isd_p(number)).unwrap();
    let apdu = [&[0x80, 0xE4, 0, 0x40, 0x12, 0x4F, 0x10][..], &isd_p].concat();
    job(Effect::Delete(Aid::isd_p(number)), apdu, "delete")
}

/// Creates a job of the given length for an ISD-P.
pub(crate) fn data(length: usize, purpose: &str) -> Job {
    let chunk = |part: &[u8]| [&[0x80, 0xE2, 0x88, 0, part.len() as u8], part].concat();
    let all = vec![0x5A; length];
    Job {
        target: Aid::isd_p(0x12),
        script: Script::of_apdus(all.chunks(200).map(chunk)),
        ..job(Effect::Data, Vec::new(), purpose)
    }
}

/// Returns the status words of a response.
fn statuses(response: &rsp::ota::script::ScriptResponse) -> String {
    let statuses: Vec<String> = response.apdus().map(|apdu| apdu.status.to_string()).collect();
    statuses.join(" ")
}
