//! A device without an LPA that is always on: it registers, listens for short messages, and
//! executes the proactive commands of its card. Its profiles are managed over the air.

use std::sync::Arc;
use std::time::Duration;

use rsp::ids::Plmn;
use rsp::ota::cat::{Envelope, EventDownload, Imei, LocationStatus};
use rsp::ota::sms::{SmsDeliver, SmsDeliverReport};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use world::{CardInterface, Dial, Outcome};

use super::data_download::{self, SW_BUSY, is_good};
use super::event_source::EventSource;
use super::modem::{Modem, NoService, NotRegistered, Registered, T3247};
use super::terminal::{Abilities, Answer, CardError, StatusWord};
use super::toolkit::{self, Environment, ExecutedCommand, FollowUp, Identity, Toolkit};
use network::smsc::tpdu;
use network::{AttachId, MobileTerminated, Radio, RadioFault, RadioFuture, RpAnswer, RpCause, RpReport};

/// The delay before an envelope is repeated to a card that was busy.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// The identity of the device and its delays.
#[derive(Clone, Debug)]
pub struct AlwaysOnSettings {
    /// The IMEI.
    pub imei: Imei,
    /// The delay between two searches for a network.
    pub search_pause: Duration,
}

impl Default for AlwaysOnSettings {
    /// The IMEI of a test device, and a search delay that is shorter than that of TS 23.122, so
    /// that a person who watches a demonstration does not have to wait.
    fn default() -> Self {
        let imei = Imei::of_digits("004999010640000").unwrap_or(Imei([0; 8]));
        Self { imei, search_pause: Duration::from_secs(10) }
    }
}

/// A device without an LPA that is always on.
pub struct Online<D> {
    modem: Modem<D>,
    radio: Arc<dyn Radio>,
    toolkit: Toolkit,
    settings: AlwaysOnSettings,
    events: EventSource,
    orders: mpsc::UnboundedReceiver<Order>,
    handle: AlwaysOnHandle,
    /// The time of the next search, while the device is not registered.
    search: Option<Instant>,
    /// The time until which a permanent refusal is respected.
    refused_until: Option<Instant>,
    /// The last service state that the device reported to the card.
    service: Option<LocationStatus>,
    /// The request for the next short message, with the ID of its attachment.
    listening: Option<(AttachId, Listening)>,
    /// The time until which no envelope is sent, because the card was busy.
    not_before: Option<Instant>,
}

type Listening = RadioFuture<'static, MobileTerminated>;

enum Order {
    SetVisible(Vec<Plmn>),
    Stop,
}

/// Controls a running device.
#[derive(Clone)]
pub struct AlwaysOnHandle(mpsc::UnboundedSender<Order>);

impl AlwaysOnHandle {
    /// Moves the device: sets the networks that are received, strongest first.
    pub fn set_visible(&self, visible: Vec<Plmn>) {
        // Has no effect if the device has stopped.
        let _ = self.0.send(Order::SetVisible(visible));
    }

    /// Switches the device off.
    pub fn stop(&self) {
        // Has no effect if the device has stopped.
        let _ = self.0.send(Order::Stop);
    }
}

/// The event that ended a wait.
enum WakeReason {
    Order(Order),
    ShortMessage(Result<MobileTerminated, RadioFault>),
    EnvelopePending,
    Poll,
    Search,
}

impl<D: CardInterface> Online<D> {
    /// Creates a device from this modem with its card. `dial` opens the connections of the card's
    /// channels. The device is off.
    pub fn new(
        mut modem: Modem<D>,
        dial: impl Dial + 'static,
        settings: AlwaysOnSettings,
        events: EventSource,
    ) -> Self {
        // Without an LPA the device has no eUICC-related capabilities.
        let capability = vec![0xA9, 0x00];
        modem.terminal().set_abilities(Abilities { capability, profile: toolkit::profile().0 });
        let (sender, orders) = mpsc::unbounded_channel();
        Self {
            radio: modem.radio(),
            modem,
            toolkit: Toolkit::new(Identity { imei: settings.imei }, Arc::new(dial)),
            settings,
            events,
            orders,
            handle: AlwaysOnHandle(sender),
            search: None,
            refused_until: None,
            service: None,
            listening: None,
            not_before: None,
        }
    }

    /// Returns the handle that moves and stops the device while it runs.
    pub fn handle(&self) -> AlwaysOnHandle {
        self.handle.clone()
    }

    /// Returns the modem.
    pub fn modem(&self) -> &Modem<D> {
        &self.modem
    }

    /// Switches the device on, and runs until it is stopped.
    ///
    /// # Errors
    /// The card does not answer any more.
    pub async fn run(&mut self) -> Result<(), CardError> {
        self.power_on().await?;
        while self.step().await? {}
        self.modem.switch_off().await;
        self.listening = None;
        Ok(())
    }

    async fn power_on(&mut self) -> Result<(), CardError> {
        self.listening = None;
        self.modem.detach().await;
        self.modem.reset_card().await?;
        self.toolkit.reset();
        self.service = None;
        self.not_before = None;
        self.search = Some(Instant::now());
        self.modem.terminal().start().await
    }

    /// Performs the next step. Returns false if the device has been stopped.
    async fn step(&mut self) -> Result<bool, CardError> {
        // A card may send proactive commands without end, so the device processes the handle's
        // requests between any two proactive commands.
        if let Ok(order) = self.orders.try_recv()
            && !self.execute_order(order).await
        {
            return Ok(false);
        }
        if let Some(octets) = self.modem.terminal().fetch().await? {
            self.execute(&octets).await?;
        } else if self.can_send_envelope() {
            self.send_envelope().await?;
        } else if self.search.is_some_and(|at| at <= Instant::now()) {
            self.register().await;
        } else if self.modem.is_home_search_due() && !self.toolkit.is_connected() {
            if let Some(found) = self.modem.search_home().await {
                self.registered(found);
            }
        } else {
            return self.wait().await;
        }
        Ok(true)
    }

    async fn wait(&mut self) -> Result<bool, CardError> {
        self.listen();
        let home_search = self.home_search().map(|pause| Instant::now() + pause);
        let Self { orders, listening, toolkit, search, not_before, .. } = self;
        let until = |at: Option<Instant>| async move {
            match at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let envelope_retry = toolkit.next_envelope().and(*not_before);
        let woken = tokio::select! {
            // Fixed order instead of tokio's random one, so that the same seed gives the same run.
            biased;
            order = orders.recv() => WakeReason::Order(order.unwrap_or(Order::Stop)),
            message = async {
                match listening {
                    Some((_, listening)) => listening.await,
                    None => std::future::pending().await,
                }
            } => WakeReason::ShortMessage(message),
            is_envelope = toolkit.next() => if is_envelope { WakeReason::EnvelopePending } else { WakeReason::Poll },
            () = until(envelope_retry) => WakeReason::EnvelopePending,
            () = until(*search) => WakeReason::Search,
            () = until(home_search) => WakeReason::Search,
        };
        match woken {
            WakeReason::Order(order) => return Ok(self.execute_order(order).await),
            WakeReason::ShortMessage(message) => {
                self.listening = None;
                match message {
                    Ok(message) => self.deliver(message).await?,
                    Err(fault) => self.network_lost(&fault),
                }
            }
            WakeReason::Poll => {
                self.modem.terminal().status().await?;
                self.toolkit.polled();
            }
            WakeReason::EnvelopePending | WakeReason::Search => {}
        }
        Ok(true)
    }

    /// Executes a request of the handle. Returns false if the device must stop.
    async fn execute_order(&mut self, order: Order) -> bool {
        match order {
            Order::Stop => return false,
            Order::SetVisible(visible) => {
                let is_still_there =
                    self.modem.registered().is_some_and(|registered| visible.contains(&registered.plmn));
                if is_still_there {
                    self.modem.keep_visible(visible);
                } else {
                    self.modem.set_visible(visible);
                    self.listening = None;
                    // In limited service, too, a change of the location is an event (TS 102 223
                    // section 7.5.4).
                    self.service.take_if(|service| *service == LocationStatus::Limited);
                    self.search = Some(Instant::now());
                    self.report_event("moved away", Outcome::Done, String::new());
                }
            }
        }
        true
    }

    /// Ensures that there is one request for the next message while the device is registered.
    fn listen(&mut self) {
        let Some((plmn, attach)) = self.modem.attachment() else {
            self.listening = None;
            return;
        };
        if self.listening.as_ref().is_some_and(|(own, _)| *own == attach) {
            return;
        }
        let radio = Arc::clone(&self.radio);
        let own = attach.clone();
        let listening = Box::pin(async move { radio.next_short_message(plmn, attach).await });
        self.listening = Some((own, listening));
    }

    async fn register(&mut self) {
        self.refused_until.take_if(|until| *until <= Instant::now());
        let result = self.modem.register().await;
        self.registered(result);
    }

    /// Returns the time until the next search for the home network. The device does not search
    /// while it has a connection (TS 23.122 section 4.4.3.3.1 d).
    fn home_search(&self) -> Option<Duration> {
        let at = self.modem.home_search().filter(|_| !self.toolkit.is_connected())?;
        Some(at.since(self.events.now()))
    }

    fn registered(&mut self, result: Result<Registered, NotRegistered>) {
        let (status, plmn) = match result {
            Ok(registered) => {
                self.search = None;
                (LocationStatus::Normal, Some(registered.plmn))
            }
            Err(not) => {
                let now = Instant::now();
                if let NoService::Refused(_) = not.why {
                    self.refused_until.get_or_insert(now + T3247);
                }
                // A permanent refusal is respected until the timer expires, the card is reset or
                // switched, or the device has moved.
                let next = Some(now + self.settings.search_pause);
                self.search = if not.is_final() { self.refused_until.or(next) } else { next };
                self.report_event("not registered", Outcome::Failed(not.to_string()), String::new());
                (service_without(&not), None)
            }
        };
        self.update_service(status, plmn);
    }

    /// Handles the loss of the network.
    fn network_lost(&mut self, fault: &RadioFault) {
        self.report_event("network lost", Outcome::Failed(fault.to_string()), String::new());
        self.modem.deregister();
        self.search = Some(Instant::now());
    }

    fn update_service(&mut self, status: LocationStatus, plmn: Option<Plmn>) {
        // A new registration is always reported, because it may belong to another subscription.
        if self.service != Some(status) || status == LocationStatus::Normal {
            self.service = Some(status);
            self.toolkit.service(status, plmn);
        }
    }

    async fn execute(&mut self, octets: &[u8]) -> Result<(), CardError> {
        let attached = self.modem.attachment();
        let camped = match (&attached, self.service) {
            (None, Some(LocationStatus::Limited)) => self.modem.camped().await,
            _ => None,
        };
        let environment = Environment { radio: &*self.radio, attached, camped };
        let ExecutedCommand { response, after, name, note } = self.toolkit.execute(octets, environment).await;
        let outcome = match response.as_ref().map(|response| response.result) {
            Some(result) if !result.is_performed() => Outcome::Refused(format!("result {:02X}", result.0)),
            _ => Outcome::Done,
        };
        self.report_event(name, outcome, note);
        if let Some(response) = response {
            self.modem.terminal().respond(&response.to_bytes()).await?;
            self.toolkit.polled();
        } else if after == FollowUp::Nothing {
            // A TERMINAL RESPONSE repeats the command details, so it cannot be built without them.
            let why = "a proactive command without details".to_owned();
            return Err(CardError::Answer { command: "FETCH", why });
        }
        match after {
            FollowUp::Nothing => {}
            FollowUp::Reset => self.power_on().await?,
            FollowUp::ReadAgain => {
                self.listening = None;
                self.modem.detach().await;
                self.modem.forget();
                self.search = Some(Instant::now());
            }
        }
        Ok(())
    }

    fn can_send_envelope(&self) -> bool {
        self.toolkit.next_envelope().is_some() && self.not_before.is_none_or(|at| at <= Instant::now())
    }

    /// Sends the next envelope. The envelope is sent again later if the card is busy, but not if
    /// the card refuses it.
    async fn send_envelope(&mut self) -> Result<(), CardError> {
        let Some(envelope) = self.toolkit.next_envelope() else { return Ok(()) };
        let name = envelope_name(envelope);
        let octets = envelope.to_bytes();
        let Answer { status, .. } = self.modem.terminal().envelope(&octets).await?;
        self.toolkit.polled();
        if status == StatusWord(SW_BUSY) {
            self.not_before = Some(Instant::now() + BUSY_PAUSE);
            return Ok(());
        }
        self.not_before = None;
        self.toolkit.envelope_sent();
        let outcome = if is_good(status) { Outcome::Done } else { Outcome::Refused(status.to_string()) };
        self.report_event(name, outcome, String::new());
        Ok(())
    }

    /// Handles a short message: a message for the card is passed on, and the card's response is
    /// returned (TS 31.111 section 7.1.1.2).
    async fn deliver(&mut self, message: MobileTerminated) -> Result<(), CardError> {
        let MobileTerminated { reference, service_centre, tpdu } = message;
        let answer = match SmsDeliver::parse(&tpdu) {
            Ok(deliver) if deliver.is_data_download() => {
                let terminal = self.modem.terminal();
                let download = data_download::deliver(terminal, &deliver, service_centre, tpdu).await?;
                self.toolkit.polled();
                self.report_event("SMS-PP download", download.outcome, download.note);
                download.answer
            }
            Ok(deliver) => {
                let text = tpdu::text(&deliver.user_data, deliver.dcs);
                let note = format!("from {}, not for the card: {text:?}", deliver.originator);
                self.report_event("short message", Outcome::Done, note);
                RpAnswer::Ack(SmsDeliverReport::default().to_bytes())
            }
            Err(error) => {
                self.report_event("short message", Outcome::Failed(error.to_string()), String::new());
                RpAnswer::Error(RpCause::INVALID_MESSAGE, Vec::new())
            }
        };
        if let Some((plmn, attach)) = self.modem.attachment() {
            let report = RpReport { attach, reference, answer };
            if let Err(fault) = self.radio.report_short_message(plmn, report).await {
                self.network_lost(&fault);
            }
        }
        Ok(())
    }

    fn report_event(&self, function: &'static str, outcome: Outcome, note: String) {
        let event = self.events.event(function).with_peer("CAT", "card");
        self.events.emit(event.with_outcome(outcome).with_note(note));
    }
}

/// Returns the location status of a device that is not registered.
pub(super) fn service_without(not: &NotRegistered) -> LocationStatus {
    match not.why {
        // A network is available, so emergency calls are possible.
        NoService::Refused(_) | NoService::Forbidden(_) => LocationStatus::Limited,
        NoService::Card(_) | NoService::NoCoverage | NoService::Lost(_) => LocationStatus::None,
    }
}

fn envelope_name(envelope: &Envelope) -> &'static str {
    match envelope {
        Envelope::SmsPpDownload { .. } => "SMS-PP download",
        Envelope::TimerExpiration { .. } => "timer expiration",
        Envelope::EventDownload(EventDownload::LocationStatus { .. }) => "location status",
        Envelope::EventDownload(EventDownload::DataAvailable { .. }) => "data available",
        Envelope::EventDownload(EventDownload::ChannelStatus(_)) => "channel status",
        Envelope::EventDownload(EventDownload::Other(_)) => "event",
    }
}
