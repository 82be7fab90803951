//! ESME client for SMPP 3.4: one transceiver session, reopened whenever it ends.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crypto::Secret;
use rusmpp::pdus::BindTransceiver;
use rusmpp::values::InterfaceVersion;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use world::{BoxFuture, Clock, Fault, MessageId, ShortMessageSink, ShortMessages, Submission, SubmitFault};

use super::connection::{Connection, Incoming};
use super::pdu::{CommandId, CommandStatus, Frame, Sm, encode, message_id, name, read_message_id};
use super::{ENQUIRE_AFTER, RESPONSE_TIMEOUT, translate};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two bind attempts, doubled each time up to the maximum.
const MIN_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// Maximum number of unanswered submissions: section 2.8 gives 10 as a guideline.
const MAX_UNANSWERED: usize = 10;
/// Maximum number of further submissions, which wait until an earlier one is answered.
const MAX_WAITING: usize = 256;
/// Maximum number of deliveries that wait while one is processed.
pub(super) const MAX_INCOMING: usize = 64;

/// Address of an SMSC, and the account to use there.
#[derive(Clone, PartialEq, Eq)]
pub struct EsmeSettings {
    /// `host:port`.
    pub address: String,
    /// The account, at most 15 characters.
    pub system_id: String,
    /// Its password, at most 8 characters.
    pub password: Secret<String>,
    /// The type of ESME, if the SMSC requires it.
    pub system_type: String,
}

impl std::fmt::Debug for EsmeSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EsmeSettings({} as {:?})", self.address, self.system_id)
    }
}

/// An ESME with an account at an SMSC. Its session ends when it is dropped.
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
    /// Starts an ESME that binds, and binds again whenever the session ends. Deliveries of the SMSC
    /// are passed to `sink`.
    pub fn start(settings: EsmeSettings, sink: Arc<dyn ShortMessageSink>, clock: Arc<dyn Clock>) -> Self {
        let (requests, receiver) = mpsc::channel(MAX_WAITING);
        let (bound_sender, bound) = watch::channel(false);
        let task = tokio::spawn(run(settings, sink, clock, receiver, bound_sender));
        Self { requests, bound, task }
    }

    /// True if a session is bound.
    pub fn is_bound(&self) -> bool {
        *self.bound.borrow()
    }

    /// Waits until a session is bound.
    pub async fn bound(&self) {
        // The task runs as long as this value exists.
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
            // Submissions do not wait for a session, because the caller knows best when to retry.
            if !self.is_bound() {
                return Err(SubmitFault::Unbound);
            }
            let session_ended =
                || SubmitFault::Unreachable("no session is bound, or it has just ended".into());
            let (answer, answered) = oneshot::channel();
            let exchange = async {
                let request = Request { submission, answer };
                self.requests.send(request).await.map_err(|_| session_ended())?;
                answered.await.map_err(|_| session_ended())?
            };
            match timeout(RESPONSE_TIMEOUT, exchange).await {
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
    bound_sender: watch::Sender<bool>,
) {
    let mut pause = MIN_PAUSE;
    let mut is_refused = false;
    loop {
        match bind(&settings).await {
            Ok(connection) => {
                (pause, is_refused) = (MIN_PAUSE, false);
                bound_sender.send_replace(true);
                tracing::debug!(address = settings.address, "bound to the SMSC");
                let now = Instant::now();
                let mut session = Session {
                    connection,
                    sink: &*sink,
                    clock: &*clock,
                    pending: BTreeMap::new(),
                    incoming: VecDeque::new(),
                    last_received: now,
                    enquired: None,
                };
                let why = session.run(&mut requests).await;
                bound_sender.send_replace(false);
                while let Ok(request) = requests.try_recv() {
                    // The caller may have stopped waiting.
                    let _ = request.answer.send(Err(SubmitFault::Unbound));
                }
                match why {
                    Ok(Ended::Dropped) => return,
                    Ok(Ended::ByPeer) => tracing::warn!("the SMSC has ended the session"),
                    Err(error) => tracing::warn!(%error, "the session with the SMSC failed"),
                }
            }
            Err(no_session) => {
                match no_session {
                    // A refusal does not change by itself, so it is logged once.
                    NoSession::Refused(fault) if is_refused => tracing::debug!(%fault, "still refused"),
                    NoSession::Refused(fault) => {
                        tracing::error!(%fault, "the SMSC refuses this account; binding is retried");
                        is_refused = true;
                    }
                    NoSession::Unreachable(fault) => {
                        tracing::warn!(%fault, "cannot bind to the SMSC; binding is retried");
                        is_refused = false;
                    }
                }
                if requests.is_closed() {
                    return;
                }
            }
        }
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(MAX_PAUSE);
    }
}

/// Reason for a failed bind.
enum NoSession {
    /// The SMSC is reachable, but refuses the account.
    Refused(Fault),
    /// Any other failure, which can be temporary.
    Unreachable(Fault),
}

/// Returns the body of the bind, or `None` if a setting does not fit into its field. The addresses
/// stay empty, because the account determines them.
fn bind_transceiver(settings: &EsmeSettings) -> Option<BindTransceiver> {
    Some(BindTransceiver {
        system_id: settings.system_id.parse().ok()?,
        password: settings.password.expose().parse().ok()?,
        system_type: settings.system_type.parse().ok()?,
        interface_version: InterfaceVersion::Smpp3_4,
        ..BindTransceiver::default()
    })
}

async fn bind(settings: &EsmeSettings) -> Result<Connection, NoSession> {
    let EsmeSettings { address, .. } = settings;
    let what = format!("cannot bind to the SMSC at {address}");
    let fault = |why: String, next: &str| NoSession::Unreachable(Fault::new(what.clone(), why, next));
    let start = "start it, or correct the address";
    let bind = bind_transceiver(settings).ok_or_else(|| {
        let why = "the account, the password or the system type is too long or not ASCII";
        let next = "use at most 15, 8 and 12 ASCII characters";
        NoSession::Refused(Fault::new(what.clone(), why, next))
    })?;
    let stream = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(fault(error.to_string(), start)),
        Err(_) => return Err(fault(format!("no connection within {CONNECT_TIMEOUT:?}"), start)),
    };
    let mut connection = Connection::new(stream).map_err(|error| fault(error.to_string(), start))?;
    let sequence = connection.sequence();
    let request = Frame::request(CommandId::BindTransceiver, sequence, encode(&bind));
    connection.send(&request).await.map_err(|error| fault(error.to_string(), start))?;
    let no_centre = "check that the address is that of an SMSC with SMPP 3.4";
    match timeout(RESPONSE_TIMEOUT, connection.next()).await {
        Ok(Ok(Incoming::Frame(frame))) if frame.sequence == sequence && frame.command.is_response() => {
            match frame.status {
                CommandStatus::EsmeRok => Ok(connection),
                status @ (CommandStatus::EsmeRbindfail
                | CommandStatus::EsmeRinvpaswd
                | CommandStatus::EsmeRinvsysid) => {
                    let next =
                        "correct the account or the password, in the settings of this program or at the SMSC";
                    let why = format!("it refused with {}", name(status));
                    Err(NoSession::Refused(Fault::new(what.clone(), why, next)))
                }
                status => {
                    Err(fault(format!("it refused with {}", name(status)), "check the log of the SMSC"))
                }
            }
        }
        Ok(Ok(Incoming::End)) => Err(fault("it closed the connection".into(), no_centre)),
        Ok(Ok(_)) => Err(fault("its answer is not an answer to a bind".into(), no_centre)),
        Ok(Err(error)) => Err(fault(error.to_string(), no_centre)),
        Err(_) => Err(fault(format!("no answer within {RESPONSE_TIMEOUT:?}"), no_centre)),
    }
}

enum Ended {
    /// The handle was dropped.
    Dropped,
    ByPeer,
}

/// A submission without an answer.
struct Pending {
    since: Instant,
    answer: oneshot::Sender<Result<MessageId, SubmitFault>>,
}

struct Session<'a> {
    connection: Connection,
    sink: &'a dyn ShortMessageSink,
    clock: &'a dyn Clock,
    /// Unanswered submissions by sequence number.
    pending: BTreeMap<u32, Pending>,
    /// Waiting deliveries.
    incoming: VecDeque<(Frame, world::IncomingDelivery)>,
    last_received: Instant,
    enquired: Option<Instant>,
}

impl Session<'_> {
    fn deadline(&self) -> Instant {
        let silence = self.enquired.map_or(self.last_received + ENQUIRE_AFTER, |at| at + RESPONSE_TIMEOUT);
        self.oldest_unanswered().map_or(silence, |since| silence.min(since + RESPONSE_TIMEOUT))
    }

    /// Start of the oldest unanswered submission.
    fn oldest_unanswered(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.since).min()
    }

    /// Sends enquire_link to a silent SMSC. An SMSC that does not answer a submission in time
    /// counts as gone, even if it sends other PDUs.
    async fn time_is_up(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let is_overdue = self.oldest_unanswered().is_some_and(|since| now >= since + RESPONSE_TIMEOUT);
        if is_overdue || self.enquired.is_some() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.enquired = Some(now);
        let sequence = self.connection.sequence();
        self.connection.send(&Frame::request(CommandId::EnquireLink, sequence, vec![])).await
    }

    async fn run(&mut self, requests: &mut mpsc::Receiver<Request>) -> io::Result<Ended> {
        // The delivery in progress. If the session ends before it is acknowledged, the SMSC repeats
        // it.
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
                        self.last_received = Instant::now();
                        self.enquired = None;
                        if !self.take(frame).await? {
                            return Ok(Ended::ByPeer);
                        }
                    }
                    Incoming::OutOfStep(wrong) => return Err(io::Error::other(wrong)),
                    Incoming::End => return Ok(Ended::ByPeer),
                },
                request = requests.recv(), if self.pending.len() < MAX_UNANSWERED => match request {
                    Some(request) => self.submit(request).await?,
                    None => {
                        let sequence = self.connection.sequence();
                        self.connection.send(&Frame::request(CommandId::Unbind, sequence, vec![])).await?;
                        return Ok(Ended::Dropped);
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
                            Ok(()) => CommandStatus::EsmeRok,
                            Err(fault) => {
                                tracing::warn!(%fault, "a short message could not be processed");
                                CommandStatus::EsmeRxTAppn
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
            // The caller has stopped waiting and treats the message as not sent.
            return Ok(());
        }
        let sequence = self.connection.sequence();
        let body = translate::submit_sm(&submission).to_bytes();
        self.pending.insert(sequence, Pending { since: Instant::now(), answer });
        self.connection.send(&Frame::request(CommandId::SubmitSm, sequence, body)).await
    }

    /// Answers a PDU. Returns true if the session continues.
    async fn take(&mut self, frame: Frame) -> io::Result<bool> {
        let answer = match frame.command {
            command if command.is_response() => {
                if let Some(Pending { answer: waiting, .. }) = self.pending.remove(&frame.sequence) {
                    let answer = match (frame.status, read_message_id(&frame.body)) {
                        (CommandStatus::EsmeRok, Some(id)) if command == CommandId::SubmitSmResp => {
                            Ok(MessageId(id))
                        }
                        (CommandStatus::EsmeRok, _) => {
                            Err(SubmitFault::Unreachable("its answer contains no message ID".into()))
                        }
                        (status, _) => Err(translate::fault_of(status)),
                    };
                    // The caller may have stopped waiting.
                    let _ = waiting.send(answer);
                }
                return Ok(true);
            }
            CommandId::DeliverSm => {
                match Sm::receive(&frame.body).and_then(|sm| translate::arrived(&sm, self.clock.now())) {
                    Ok(arrived) if self.incoming.len() < MAX_INCOMING => {
                        self.incoming.push_back((frame, arrived));
                        return Ok(true);
                    }
                    Ok(_) => Frame::answer(&frame, CommandStatus::EsmeRmsgqful, message_id("")),
                    Err(status) => {
                        tracing::warn!(status = name(status), "the SMSC delivered an invalid message");
                        Frame::answer(&frame, CommandStatus::EsmeRxPAppn, message_id(""))
                    }
                }
            }
            CommandId::EnquireLink => Frame::answer(&frame, CommandStatus::EsmeRok, vec![]),
            CommandId::Unbind => {
                self.connection.send(&Frame::answer(&frame, CommandStatus::EsmeRok, vec![])).await?;
                return Ok(false);
            }
            _ => Frame::generic_nack(frame.sequence, CommandStatus::EsmeRinvcmdid),
        };
        self.connection.send(&answer).await?;
        Ok(true)
    }
}
