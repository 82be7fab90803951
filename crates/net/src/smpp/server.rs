//! SMSC server for ESMEs: SMPP 3.4 sections 2.2 (session states), 2.3 and 4.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusmpp::pdus::{BindTransceiver, BindTransceiverResp, QuerySmResp};
use rusmpp::values::InterfaceVersion;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use world::{CentreRefusal, Clock, DeliveryTicket, FailedAttempts, MessageCentre, MessageId, QueuedDelivery};

use super::connection::{Connection, Incoming};
use super::pdu::{
    CommandId, CommandStatus, Frame, Sm, decode, encode, message_id, name, read_named_message, text,
};
use super::{ENQUIRE_AFTER, RESPONSE_TIMEOUT, translate};
use crate::http::connections::{Activity, Connections, Limits, Work};

/// Maximum number of sessions, half of them from one address. A gateway has a few for each account.
/// A further connection replaces one that is not bound, or is closed at once if all are.
pub(super) const MAX_SESSIONS: usize = 256;
/// Time-out for the bind after a connection: section 7.2, session_init_timer.
const BIND_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept. Without the pause the loop would use the whole processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const SECOND: Duration = Duration::from_secs(1);

/// Settings of an SMSC.
#[derive(Clone)]
pub struct CentreSettings {
    /// The system ID in answers to a bind, at most 15 characters.
    pub system_id: String,
    /// Clock for absolute validity periods.
    pub clock: Arc<dyn Clock>,
    /// Maximum number of submissions per session and second, unlimited if `None`.
    pub submits_per_second: Option<u32>,
    /// Delay before a delivery that the ESME did not accept is repeated.
    pub retry_after: Duration,
}

impl CentreSettings {
    /// Returns settings with this system ID and clock, and without a rate limit.
    pub fn new(system_id: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            system_id: system_id.into(),
            clock,
            submits_per_second: None,
            retry_after: Duration::from_secs(5),
        }
    }
}

/// Serves ESMEs until `shutdown` is done, then unbinds their sessions.
pub async fn serve_smsc(
    listener: TcpListener,
    centre: Arc<dyn MessageCentre>,
    settings: CentreSettings,
    shutdown: impl Future<Output = ()>,
) {
    let server = Arc::new(Server {
        centre,
        settings,
        leases: Mutex::default(),
        failed_binds: FailedAttempts::default(),
    });
    let places = Connections::new(Limits::of(MAX_SESSIONS));
    let (stop, stopped) = watch::channel(false);
    let mut sessions = JoinSet::new();
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let Some(place) = places.admit(peer.ip()) else {
                        tracing::debug!(%peer, "an SMPP connection is refused: all are bound");
                        continue;
                    };
                    let (server, stopped) = (Arc::clone(&server), stopped.clone());
                    sessions.spawn(async move {
                        let ended = tokio::select! {
                            ended = serve(stream, &server, &place.activity, stopped) => ended,
                            () = place.evicted() => Err(io::ErrorKind::TimedOut.into()),
                        };
                        match ended {
                            Ok(()) => tracing::debug!(%peer, "an SMPP session has ended"),
                            Err(error) => tracing::debug!(%peer, %error, "an SMPP session failed"),
                        }
                    });
                    while sessions.try_join_next().is_some() {}
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an SMPP connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accept => {}
        () = shutdown => {}
    }
    // Sending fails if no session is left, which is not an error.
    let _ = stop.send(true);
    while sessions.join_next().await.is_some() {}
}

struct Server {
    centre: Arc<dyn MessageCentre>,
    settings: CentreSettings,
    /// Locks by account. Only one session of an account at a time gets deliveries, so that none is
    /// delivered twice unnecessarily.
    leases: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Failed binds of each address with each account.
    failed_binds: FailedAttempts<(Option<IpAddr>, String)>,
}

impl Server {
    fn lease(&self, account: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(leases.entry(account.to_owned()).or_default())
    }
}

/// The state of a bound session.
struct Bound {
    account: String,
    /// A bound session is not evicted.
    _work: Work,
    may_submit: bool,
    deliveries: Option<Deliveries>,
}

/// Deliveries to the ESME, one at a time.
struct Deliveries {
    lease: Arc<tokio::sync::Mutex<()>>,
    held: Option<OwnedMutexGuard<()>>,
    /// The unanswered delivery.
    outstanding: Option<(u32, DeliveryTicket, Instant)>,
    not_before: Option<Instant>,
}

impl Deliveries {
    /// Waits for the next delivery that may be sent to the ESME. The future can be dropped at any
    /// time.
    async fn next(&mut self, centre: &dyn MessageCentre, account: &str) -> QueuedDelivery {
        if self.outstanding.is_some() {
            std::future::pending::<()>().await;
        }
        if let Some(at) = self.not_before {
            sleep_until(at).await;
        }
        if self.held.is_none() {
            self.held = Some(Arc::clone(&self.lease).lock_owned().await);
        }
        centre.next(account).await
    }
}

async fn serve(
    stream: TcpStream,
    server: &Server,
    activity: &Arc<Activity>,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let now = Instant::now();
    let mut session = Session {
        connection: Connection::new(stream)?,
        server,
        activity,
        bound: None,
        last_received: now,
        began: now,
        enquired: None,
        window: (now, 0),
    };
    loop {
        let deadline = session.deadline();
        tokio::select! {
            incoming = session.connection.next() => match incoming? {
                Incoming::Frame(frame) => {
                    session.last_received = Instant::now();
                    session.enquired = None;
                    if !session.take(frame).await? {
                        return Ok(());
                    }
                }
                Incoming::OutOfStep(wrong) => {
                    let nack = Frame::generic_nack(wrong.sequence, CommandStatus::EsmeRinvcmdlen);
                    return session.connection.send(&nack).await;
                }
                Incoming::End => return Ok(()),
            },
            delivery = next_delivery(&mut session.bound, &*server.centre) => session.deliver(delivery).await?,
            () = sleep_until(deadline) => if !session.time_is_up().await? { return Ok(()) },
            // An error means that the server has been dropped.
            _ = stopped.changed() => {
                let sequence = session.connection.sequence();
                return session.connection.send(&Frame::request(CommandId::Unbind, sequence, vec![])).await;
            }
        }
    }
}

async fn next_delivery(bound: &mut Option<Bound>, centre: &dyn MessageCentre) -> QueuedDelivery {
    match bound {
        Some(Bound { account, deliveries: Some(deliveries), .. }) => deliveries.next(centre, account).await,
        _ => std::future::pending().await,
    }
}

struct Session<'a> {
    connection: Connection,
    server: &'a Server,
    activity: &'a Arc<Activity>,
    bound: Option<Bound>,
    began: Instant,
    last_received: Instant,
    /// Time of an unanswered enquire_link.
    enquired: Option<Instant>,
    /// Start of the present rate window, and submissions in it.
    window: (Instant, u32),
}

impl Session<'_> {
    fn deadline(&self) -> Instant {
        let Some(bound) = &self.bound else { return self.began + BIND_TIMEOUT };
        let silence = self.enquired.map_or(self.last_received + ENQUIRE_AFTER, |at| at + RESPONSE_TIMEOUT);
        let outstanding = bound.deliveries.as_ref().and_then(|deliveries| deliveries.outstanding.as_ref());
        outstanding.map_or(silence, |(.., since)| silence.min(*since + RESPONSE_TIMEOUT))
    }

    /// Returns true if the session continues.
    async fn time_is_up(&mut self) -> io::Result<bool> {
        let now = Instant::now();
        let is_overdue = self.bound.as_ref().is_none_or(|bound| {
            bound
                .deliveries
                .as_ref()
                .and_then(|deliveries| deliveries.outstanding.as_ref())
                .is_some_and(|(.., since)| now >= *since + RESPONSE_TIMEOUT)
        });
        if is_overdue || self.enquired.is_some() {
            return Ok(false);
        }
        self.enquired = Some(now);
        let sequence = self.connection.sequence();
        self.connection.send(&Frame::request(CommandId::EnquireLink, sequence, vec![])).await?;
        Ok(true)
    }

    async fn deliver(&mut self, delivery: QueuedDelivery) -> io::Result<()> {
        let QueuedDelivery { ticket, arrived } = delivery;
        let sequence = self.connection.sequence();
        if let Some(deliveries) = self.bound.as_mut().and_then(|bound| bound.deliveries.as_mut()) {
            deliveries.outstanding = Some((sequence, ticket, Instant::now()));
            deliveries.not_before = None;
        }
        let body = translate::deliver_sm(&arrived).to_bytes();
        self.connection.send(&Frame::request(CommandId::DeliverSm, sequence, body)).await
    }

    /// Answers a PDU. Returns true if the session continues.
    async fn take(&mut self, frame: Frame) -> io::Result<bool> {
        if frame.command.is_response() {
            self.answered(&frame);
            return Ok(true);
        }
        let (answer, goes_on) = match frame.command {
            CommandId::BindReceiver | CommandId::BindTransmitter | CommandId::BindTransceiver => {
                (self.bind(&frame), true)
            }
            CommandId::EnquireLink => (Frame::answer(&frame, CommandStatus::EsmeRok, vec![]), true),
            CommandId::Unbind => (Frame::answer(&frame, CommandStatus::EsmeRok, vec![]), false),
            CommandId::SubmitSm => (self.submit(&frame).await, true),
            CommandId::QuerySm | CommandId::CancelSm => (self.named_message(&frame), true),
            _ => (Frame::generic_nack(frame.sequence, CommandStatus::EsmeRinvcmdid), true),
        };
        self.connection.send(&answer).await?;
        Ok(goes_on)
    }

    fn bind(&mut self, frame: &Frame) -> Frame {
        if self.bound.is_some() {
            return Frame::answer(frame, CommandStatus::EsmeRalybnd, vec![]);
        }
        // The bodies of the three bind commands have the same fields: section 4.1.
        let admitted = decode::<BindTransceiver>(&frame.body).and_then(|(bind, _)| {
            let attempt = (self.activity.source(), bind.system_id.to_string());
            let now = self.server.settings.clock.now();
            if self.server.failed_binds.is_blocked(&attempt, now) {
                return Err(CommandStatus::EsmeRthrottled);
            }
            // req: SMPP-Bind
            let admitted = match self.server.centre.admit(bind.system_id.as_str(), bind.password.as_str()) {
                Ok(()) => Ok(bind.system_id.to_string()),
                Err(CentreRefusal::UnknownAccount) => Err(CommandStatus::EsmeRinvsysid),
                Err(CentreRefusal::WrongPassword) => Err(CommandStatus::EsmeRinvpaswd),
            };
            if admitted.is_err() {
                self.server.failed_binds.failed(&attempt, now);
            }
            admitted
        });
        match admitted {
            Ok(account) => {
                let may_submit = frame.command != CommandId::BindReceiver;
                let deliveries = (frame.command != CommandId::BindTransmitter).then(|| Deliveries {
                    lease: self.server.lease(&account),
                    held: None,
                    outstanding: None,
                    not_before: None,
                });
                tracing::debug!(account, "an SMPP session is bound");
                let mut work = self.activity.begin();
                work.execute();
                self.bound = Some(Bound { account, _work: work, may_submit, deliveries });
                let system_id = text(&self.server.settings.system_id);
                let answer = BindTransceiverResp::new(system_id, Some(InterfaceVersion::Smpp3_4));
                Frame::answer(frame, CommandStatus::EsmeRok, encode(&answer))
            }
            Err(status) => Frame::answer(frame, status, vec![]),
        }
    }

    async fn submit(&mut self, frame: &Frame) -> Frame {
        let account = match &self.bound {
            // req: SMPP-State
            Some(bound) if bound.may_submit => bound.account.clone(),
            _ => return Frame::answer(frame, CommandStatus::EsmeRinvbndsts, vec![]),
        };
        // req: SMPP-Throttled
        if !self.is_in_window() {
            return Frame::answer(frame, CommandStatus::EsmeRthrottled, vec![]);
        }
        let now = self.server.settings.clock.now();
        let submission = Sm::receive(&frame.body).and_then(|sm| translate::submission(&sm, now));
        let taken = match submission {
            Ok(submission) => {
                let submitted = self.server.centre.submit(&account, submission).await;
                submitted.map_err(|fault| {
                    tracing::debug!(account, %fault, "a message was not accepted");
                    translate::status_of(&fault)
                })
            }
            Err(status) => Err(status),
        };
        match taken {
            Ok(id) => Frame::answer(frame, CommandStatus::EsmeRok, message_id(&id.0)),
            Err(status) => Frame::answer(frame, status, vec![]),
        }
    }

    fn is_in_window(&mut self) -> bool {
        let Some(most) = self.server.settings.submits_per_second else { return true };
        let now = Instant::now();
        let (since, count) = self.window;
        self.window = if now >= since + SECOND { (now, 1) } else { (since, count.saturating_add(1)) };
        self.window.1 <= most
    }

    fn named_message(&self, frame: &Frame) -> Frame {
        let account = match &self.bound {
            Some(bound) if bound.may_submit => &bound.account,
            _ => return Frame::answer(frame, CommandStatus::EsmeRinvbndsts, vec![]),
        };
        let id = match read_named_message(frame.command, &frame.body) {
            Ok(id) => MessageId(id),
            Err(status) => return Frame::answer(frame, status, vec![]),
        };
        let centre = &self.server.centre;
        let (status, body) = if frame.command == CommandId::QuerySm {
            match centre.state(account, &id) {
                Some(state) => {
                    // The final date stays empty, because the SMSC does not store one.
                    let state = translate::state_number(state).into();
                    let answer = QuerySmResp::new(text(&id.0), Default::default(), state, 0);
                    (CommandStatus::EsmeRok, encode(&answer))
                }
                None => (CommandStatus::EsmeRinvmsgid, vec![]),
            }
        } else {
            match centre.cancel(account, &id) {
                Ok(true) => (CommandStatus::EsmeRok, vec![]),
                Ok(false) => (CommandStatus::EsmeRcancelfail, vec![]),
                Err(fault) => {
                    tracing::warn!(%fault, "a message could not be cancelled");
                    (CommandStatus::EsmeRsyserr, vec![])
                }
            }
        };
        Frame::answer(frame, status, body)
    }

    /// Processes an answer of the ESME. An answer without a request is ignored.
    fn answered(&mut self, frame: &Frame) {
        let Some(Bound { account, deliveries: Some(deliveries), .. }) = &mut self.bound else { return };
        let is_answer = matches!(frame.command, CommandId::GenericNack | CommandId::DeliverSmResp);
        let ticket = match deliveries.outstanding.take() {
            Some((sequence, ticket, _)) if is_answer && sequence == frame.sequence => ticket,
            outstanding => {
                deliveries.outstanding = outstanding;
                return;
            }
        };
        match frame.status {
            CommandStatus::EsmeRok | CommandStatus::EsmeRxPAppn => {
                if let Err(fault) = self.server.centre.taken(account, &ticket) {
                    tracing::warn!(%fault, "an acknowledged delivery could not be recorded; it will be repeated");
                    deliveries.not_before = Some(Instant::now() + self.server.settings.retry_after);
                }
            }
            status => {
                tracing::debug!(
                    account,
                    status = name(status),
                    "the ESME did not accept a message; it will be repeated"
                );
                deliveries.not_before = Some(Instant::now() + self.server.settings.retry_after);
            }
        }
    }
}
