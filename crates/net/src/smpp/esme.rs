//! The writer's end of SMPP 3.4: one session as transceiver, opened again whenever it ends.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use world::{BoxFuture, Clock, Fault, MessageId, ShortMessageSink, ShortMessages, Submission, SubmitFault};

use super::connection::{Connection, Incoming};
use super::pdu::{Bind, CommandId, Frame, Sm, Status, VERSION, message_id, read_message_id};
use super::{ENQUIRE_AFTER, RESPONSE_TIMEOUT, translate};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two tries to bind; doubled each time up to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// Submissions under way at a time: section 2.8 calls 10 a guideline.
const WINDOW: usize = 10;
/// Submissions that wait for the window.
const WAITING: usize = 256;
/// Deliveries that wait until the one before is taken.
const MAX_INCOMING: usize = 64;

/// Where a message centre is, and as whom to go there.
#[derive(Clone, PartialEq, Eq)]
pub struct EsmeSettings {
    /// `host:port`.
    pub address: String,
    /// The account, at most 15 characters.
    pub system_id: String,
    /// Its password, at most 8 characters.
    pub password: String,
    /// What kind of writer it is, where the centre wants to know.
    pub system_type: String,
}

impl std::fmt::Debug for EsmeSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EsmeSettings({} as {:?})", self.address, self.system_id)
    }
}

/// A writer at a message centre. Sessions end when it is dropped.
#[derive(Debug)]
pub struct Esme {
    requests: mpsc::Sender<Request>,
    bound: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Request {
    submission: Submission,
    answer: oneshot::Sender<Result<MessageId, SubmitFault>>,
}

impl Esme {
    /// Binds, and binds again whenever the session ends. What the centre brings goes to `sink`.
    pub fn start(settings: EsmeSettings, sink: Arc<dyn ShortMessageSink>, clock: Arc<dyn Clock>) -> Self {
        let (requests, receiver) = mpsc::channel(WAITING);
        let (tell, bound) = watch::channel(false);
        let task = tokio::spawn(run(settings, sink, clock, receiver, tell));
        Self { requests, bound, task }
    }

    /// Whether there is a session now.
    pub fn is_bound(&self) -> bool {
        *self.bound.borrow()
    }

    /// Waits until there is a session.
    pub async fn bound(&self) {
        // The task lives as long as this does.
        let _ = self.bound.clone().wait_for(|bound| *bound).await;
    }
}

impl Drop for Esme {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ShortMessages for Esme {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<MessageId, SubmitFault>> {
        Box::pin(async move {
            // Nobody waits for a session: whoever writes knows best when to write again.
            if !self.is_bound() {
                return Err(SubmitFault::Unbound);
            }
            let gone = || SubmitFault::Unreachable("there is no session, or it has just ended".into());
            let (answer, answered) = oneshot::channel();
            let ask = async {
                let request = Request { submission, answer };
                self.requests.send(request).await.map_err(|_| gone())?;
                answered.await.map_err(|_| gone())?
            };
            match timeout(RESPONSE_TIMEOUT, ask).await {
                Ok(answer) => answer,
                Err(_) => Err(SubmitFault::Unreachable(format!("no answer within {RESPONSE_TIMEOUT:?}"))),
            }
        })
    }
}

async fn run(
    settings: EsmeSettings,
    sink: Arc<dyn ShortMessageSink>,
    clock: Arc<dyn Clock>,
    mut requests: mpsc::Receiver<Request>,
    tell: watch::Sender<bool>,
) {
    let mut pause = FIRST_PAUSE;
    let mut is_refused = false;
    loop {
        match bind(&settings).await {
            Ok(connection) => {
                (pause, is_refused) = (FIRST_PAUSE, false);
                tell.send_replace(true);
                tracing::debug!(address = settings.address, "bound to the message centre");
                let now = Instant::now();
                let mut session = Session {
                    connection,
                    sink: &*sink,
                    clock: &*clock,
                    pending: BTreeMap::new(),
                    incoming: VecDeque::new(),
                    heard: now,
                    enquired: None,
                };
                let why = session.run(&mut requests).await;
                tell.send_replace(false);
                while let Ok(request) = requests.try_recv() {
                    // Whoever asked may have stopped waiting.
                    let _ = request.answer.send(Err(SubmitFault::Unbound));
                }
                match why {
                    Ok(Ended::NobodyAsks) => return,
                    Ok(Ended::ByPeer) => tracing::warn!("the message centre has ended the session"),
                    Err(error) => tracing::warn!(%error, "the session with the message centre broke off"),
                }
            }
            Err(no_session) => {
                match no_session {
                    // It is not right the next time by itself, and is said once.
                    NoSession::Refused(fault) if is_refused => tracing::debug!(%fault, "still refused"),
                    NoSession::Refused(fault) => {
                        tracing::error!(%fault, "the message centre does not let this account in; it is asked again");
                        is_refused = true;
                    }
                    NoSession::Away(fault) => {
                        tracing::warn!(%fault, "no session with the message centre; it is tried again");
                        is_refused = false;
                    }
                }
                if requests.is_closed() {
                    return;
                }
            }
        }
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(LAST_PAUSE);
    }
}

/// Why there is no session.
enum NoSession {
    /// The centre is there, and does not know the account.
    Refused(Fault),
    /// Whatever may pass.
    Away(Fault),
}

async fn bind(settings: &EsmeSettings) -> Result<Connection, NoSession> {
    let EsmeSettings { address, system_id, password, system_type } = settings;
    let what = format!("cannot bind to the message centre at {address}");
    let fault = |why: String, next: &str| NoSession::Away(Fault::new(what.clone(), why, next));
    let start = "start it, or correct the address";
    let stream = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(fault(error.to_string(), start)),
        Err(_) => return Err(fault(format!("no connection within {CONNECT_TIMEOUT:?}"), start)),
    };
    let mut connection = Connection::new(stream).map_err(|error| fault(error.to_string(), start))?;
    let bind = Bind {
        system_id: system_id.clone(),
        password: password.clone(),
        system_type: system_type.clone(),
        interface_version: VERSION,
    };
    let sequence = connection.sequence();
    let request = Frame::request(CommandId::BIND_TRANSCEIVER, sequence, bind.to_bytes());
    connection.send(&request).await.map_err(|error| fault(error.to_string(), start))?;
    let no_centre = "check that a message centre that speaks SMPP 3.4 is there";
    match timeout(RESPONSE_TIMEOUT, connection.next()).await {
        Ok(Ok(Incoming::Frame(frame))) if frame.sequence == sequence && frame.command.is_answer() => {
            match frame.status {
                Status::OK => Ok(connection),
                status @ (Status::BIND_FAILED | Status::INVALID_PASSWORD | Status::INVALID_SYSTEM_ID) => {
                    let next = "correct account and password on one of the two sides";
                    let why = format!("it refused with {status}");
                    Err(NoSession::Refused(Fault::new(what.clone(), why, next)))
                }
                status => Err(fault(format!("it refused with {status}"), "look at what the centre says")),
            }
        }
        Ok(Ok(Incoming::End)) => Err(fault("it closed the connection".into(), no_centre)),
        Ok(Ok(_)) => Err(fault("its answer is no answer to a bind".into(), no_centre)),
        Ok(Err(error)) => Err(fault(error.to_string(), no_centre)),
        Err(_) => Err(fault(format!("no answer within {RESPONSE_TIMEOUT:?}"), no_centre)),
    }
}

enum Ended {
    /// The handle is gone.
    NobodyAsks,
    ByPeer,
}

/// A submission that has not been answered.
struct Pending {
    since: Instant,
    answer: oneshot::Sender<Result<MessageId, SubmitFault>>,
}

struct Session<'a> {
    connection: Connection,
    sink: &'a dyn ShortMessageSink,
    clock: &'a dyn Clock,
    /// Submissions by their sequence number.
    pending: BTreeMap<u32, Pending>,
    /// Deliveries that wait.
    incoming: VecDeque<(Frame, world::Arrived)>,
    heard: Instant,
    enquired: Option<Instant>,
}

impl Session<'_> {
    fn deadline(&self) -> Instant {
        let silence = self.enquired.map_or(self.heard + ENQUIRE_AFTER, |at| at + RESPONSE_TIMEOUT);
        self.oldest().map_or(silence, |since| silence.min(since + RESPONSE_TIMEOUT))
    }

    /// Since when the submission is out that has waited longest.
    fn oldest(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.since).min()
    }

    /// Asks a centre that says nothing whether it is there. One that owes an answer is gone, whatever else it says.
    async fn time_is_up(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let is_overdue = self.oldest().is_some_and(|since| now >= since + RESPONSE_TIMEOUT);
        if is_overdue || self.enquired.is_some() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.enquired = Some(now);
        let sequence = self.connection.sequence();
        self.connection.send(&Frame::request(CommandId::ENQUIRE_LINK, sequence, vec![])).await
    }

    async fn run(&mut self, requests: &mut mpsc::Receiver<Request>) -> io::Result<Ended> {
        // The delivery that is being taken. A message that is half taken when the session ends comes again.
        let mut taking: Option<(Frame, BoxFuture<'_, Result<(), Fault>>)> = None;
        let sink = self.sink;
        loop {
            if taking.is_none()
                && let Some((frame, arrived)) = self.incoming.pop_front()
            {
                taking = Some((frame, sink.take(arrived)));
            }
            let deadline = self.deadline();
            tokio::select! {
                incoming = self.connection.next() => match incoming? {
                    Incoming::Frame(frame) => {
                        self.heard = Instant::now();
                        self.enquired = None;
                        if !self.take(frame).await? {
                            return Ok(Ended::ByPeer);
                        }
                    }
                    Incoming::OutOfStep(wrong) => return Err(io::Error::other(wrong)),
                    Incoming::End => return Ok(Ended::ByPeer),
                },
                request = requests.recv(), if self.pending.len() < WINDOW => match request {
                    Some(request) => self.submit(request).await?,
                    None => {
                        let sequence = self.connection.sequence();
                        self.connection.send(&Frame::request(CommandId::UNBIND, sequence, vec![])).await?;
                        return Ok(Ended::NobodyAsks);
                    }
                },
                taken = async {
                    match &mut taking {
                        Some((_, future)) => future.await,
                        None => std::future::pending().await,
                    }
                } => {
                    if let Some((frame, _)) = taking.take() {
                        let status = match taken {
                            Ok(()) => Status::OK,
                            Err(fault) => {
                                tracing::warn!(%fault, "a short message could not be taken");
                                Status::TEMPORARY_RECEIVER_ERROR
                            }
                        };
                        self.connection.send(&Frame::answer(&frame, status, message_id(""))).await?;
                    }
                }
                () = sleep_until(deadline) => self.time_is_up().await?,
            }
        }
    }

    async fn submit(&mut self, request: Request) -> io::Result<()> {
        let Request { submission, answer } = request;
        if answer.is_closed() {
            // Nobody waits any more, and has been told that it was not sent.
            return Ok(());
        }
        let sequence = self.connection.sequence();
        let body = translate::submit_sm(&submission).to_bytes();
        self.pending.insert(sequence, Pending { since: Instant::now(), answer });
        self.connection.send(&Frame::request(CommandId::SUBMIT_SM, sequence, body)).await
    }

    /// Answers a PDU; whether the session goes on.
    async fn take(&mut self, frame: Frame) -> io::Result<bool> {
        let answer = match frame.command {
            command if command.is_answer() => {
                if let Some(Pending { answer: waiting, .. }) = self.pending.remove(&frame.sequence) {
                    let answer = match (frame.status, read_message_id(&frame.body)) {
                        (Status::OK, Some(id)) if command == CommandId::SUBMIT_SM.answer() => {
                            Ok(MessageId(id))
                        }
                        (Status::OK, _) => {
                            Err(SubmitFault::Unreachable("its answer names no message".into()))
                        }
                        (status, _) => Err(translate::fault_of(status)),
                    };
                    // Whoever asked may have stopped waiting.
                    let _ = waiting.send(answer);
                }
                return Ok(true);
            }
            CommandId::DELIVER_SM => {
                match Sm::parse(&frame.body).and_then(|sm| translate::arrived(&sm, self.clock.now())) {
                    Ok(arrived) if self.incoming.len() < MAX_INCOMING => {
                        self.incoming.push_back((frame, arrived));
                        return Ok(true);
                    }
                    Ok(_) => Frame::answer(&frame, Status::QUEUE_FULL, message_id("")),
                    Err(status) => {
                        tracing::warn!(%status, "the message centre brought what cannot be understood");
                        Frame::answer(&frame, Status::PERMANENT_RECEIVER_ERROR, message_id(""))
                    }
                }
            }
            CommandId::ENQUIRE_LINK => Frame::answer(&frame, Status::OK, vec![]),
            CommandId::UNBIND => {
                self.connection.send(&Frame::answer(&frame, Status::OK, vec![])).await?;
                return Ok(false);
            }
            _ => Frame::generic_nack(frame.sequence, Status::INVALID_COMMAND_ID),
        };
        self.connection.send(&answer).await?;
        Ok(true)
    }
}
