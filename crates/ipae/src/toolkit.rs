//! The toolkit of the card as the IPA uses it: channels, timers, and the service of the network.
//!
//! Events of the terminal change this state, and the futures of the IPA read it. The program is
//! polled after every event, so a future that waits for the terminal stores no waker.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use euicc_sim::{Card, IpaeDescription, IpaePort, ToolkitEvent};
use rsp::ids::Plmn;
use rsp::ota::cat::{
    Bearer, ChannelParameters, ChannelState, Command, EventDownload, GeneralResult, LocalInformation,
    LocationInformation, LocationStatus, OpenChannel, Response, TerminalResponse, TimerAction, TimerValue,
    TransportLevel, TransportProtocol,
};

/// Requested buffer of a channel in octets. Most cards request this size.
const BUFFER_SIZE: u16 = 1400;
/// Maximum length of channel data in SEND DATA and in the response to RECEIVE DATA, in octets.
const MAX_CHANNEL_DATA: u8 = 0xED;
/// The numbers of timers: TS 102 223 section 8.37.
const TIMERS: std::ops::RangeInclusive<u8> = 1..=8;

/// The toolkit and its card, shared by the card's interface and the futures of the IPA. All of them
/// run in one thread at a time.
#[derive(Clone)]
pub(crate) struct SharedToolkit(Arc<Mutex<Toolkit>>);

impl SharedToolkit {
    pub(crate) fn new(card: Card) -> Self {
        Self(Arc::new(Mutex::new(Toolkit {
            card,
            commands: BTreeMap::new(),
            channels: BTreeMap::new(),
            timers: BTreeMap::new(),
            last_id: 0,
            octets_received: 0,
            service: Service::default(),
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Toolkit> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of the toolkit since TERMINAL PROFILE.
pub(crate) struct Toolkit {
    pub(crate) card: Card,
    /// The purposes of the commands that have no response yet, by command number.
    commands: BTreeMap<u8, Purpose>,
    channels: BTreeMap<Id, Channel>,
    timers: BTreeMap<Id, Timer>,
    last_id: u64,
    /// Octets that were received on all channels.
    octets_received: u64,
    service: Service,
}

/// The identifier of a channel or a timer. It is never reused, unlike the numbers of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(u64);

/// The purpose of a proactive command whose response matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Open(Id),
    Send(Id),
    Receive(Id),
    Timer(Id),
}

/// The service of the network, as the terminal reported it.
#[derive(Clone, Copy, Debug, Default)]
struct Service {
    is_normal: bool,
    network: Option<Plmn>,
}

/// A channel of the terminal.
pub(crate) enum Channel {
    /// The terminal has not answered OPEN CHANNEL.
    Opening,
    /// The channel is open, or was open until the link was lost.
    Open(OpenState),
    /// The terminal could not open the channel.
    Failed(String),
}

/// The state of an open channel.
#[derive(Debug, Default)]
pub(crate) struct OpenState {
    number: u8,
    /// Number of octets that the terminal has received: FF for 255 and more.
    available: u8,
    /// Octets that the IPA has not read.
    received: VecDeque<u8>,
    is_receiving: bool,
    is_sending: bool,
    is_lost: bool,
}

/// A timer. If the terminal does not measure it, the card counts STATUS commands.
#[derive(Debug)]
struct Timer {
    /// The number of the timer of the terminal.
    number: Option<u8>,
    seconds_left: u64,
    is_over: bool,
}

impl Toolkit {
    /// Takes the events of the toolkit, and returns them with true if the IPA is active. Returns
    /// `None` if the card has no IPA.
    pub(crate) fn take_events(&mut self) -> Option<(bool, Vec<ToolkitEvent>)> {
        let mut port = self.card.ipae()?;
        Some((port.is_active(), port.take_events()))
    }

    /// Discards the state, when the terminal starts the card again.
    pub(crate) fn restart(&mut self) {
        self.commands.clear();
        self.channels.clear();
        self.timers.clear();
        let is_reported = self.card.ipae().is_some_and(|port| port.reports_location());
        // Without reports the IPA assumes a network. If there is none, channels cannot be opened.
        self.service = Service { is_normal: !is_reported, network: None };
    }

    /// The settings of the IPA, if the terminal supports the commands that it needs.
    pub(crate) fn settings(&mut self) -> Option<IpaeDescription> {
        self.card.ipae().filter(IpaePort::supports_channels)?.settings().cloned()
    }

    /// Removes the commands that the terminal has not fetched.
    pub(crate) fn withdraw(&mut self) {
        if let Some(mut port) = self.card.ipae() {
            port.withdraw();
        }
    }

    /// True if the terminal is registered.
    pub(crate) fn has_service(&self) -> bool {
        self.service.is_normal
    }

    /// The network on which the terminal is registered.
    pub(crate) fn network(&self) -> Option<Plmn> {
        self.service.network.filter(|_| self.service.is_normal)
    }

    /// Octets that were received on all channels.
    pub(crate) fn octets_received(&self) -> u64 {
        self.octets_received
    }

    /// Processes an event of the terminal.
    pub(crate) fn process(&mut self, event: ToolkitEvent) {
        match event {
            // The caller starts the program.
            ToolkitEvent::Started => {}
            ToolkitEvent::Response(proactive, response) => {
                let purpose = self.commands.remove(&proactive.number);
                self.process_response(purpose, &proactive.command, response.as_ref());
            }
            ToolkitEvent::Event(EventDownload::LocationStatus { status, location }) => {
                self.located(status == LocationStatus::Normal, location.as_ref());
            }
            ToolkitEvent::Event(EventDownload::DataAvailable { status, length }) => {
                if let Some(open) = self.numbered(status.channel) {
                    open.available = open.available.max(length);
                }
            }
            ToolkitEvent::Event(EventDownload::ChannelStatus(status)) => {
                if status.state != ChannelState::Open
                    && let Some(open) = self.numbered(status.channel)
                {
                    open.is_lost = true;
                }
            }
            ToolkitEvent::Event(EventDownload::Other(_)) => {}
            ToolkitEvent::TimerExpired(number) => {
                for timer in self.timers.values_mut().filter(|timer| timer.number == Some(number)) {
                    timer.is_over = true;
                }
            }
            ToolkitEvent::Status(seconds) => {
                for timer in self.timers.values_mut().filter(|timer| timer.number.is_none()) {
                    timer.seconds_left = timer.seconds_left.saturating_sub(seconds);
                    timer.is_over = timer.is_over || timer.seconds_left == 0;
                }
            }
        }
    }

    fn located(&mut self, is_normal: bool, location: Option<&LocationInformation>) {
        let network = location.and_then(|location| Plmn::from_bytes(location.plmn).ok());
        self.service = Service { is_normal, network };
    }

    fn process_response(
        &mut self,
        purpose: Option<Purpose>,
        command: &Command,
        response: Option<&TerminalResponse>,
    ) {
        let done = response.filter(|response| response.result.is_performed()).map(|done| &done.response);
        match (purpose, command, done) {
            (_, Command::ProvideLocalInformation(LocalInformation::Location), _) => {
                self.process_location(response);
            }
            (Some(Purpose::Open(id)), _, Some(Response::Channel { status: Some(status), .. })) => {
                let number = status.channel;
                match self.channels.get_mut(&id) {
                    Some(channel) => {
                        *channel = Channel::Open(OpenState { number, ..OpenState::default() });
                    }
                    // The IPA gave up before the channel was opened.
                    None => drop(self.queue(Command::CloseChannel { channel: number })),
                }
            }
            (Some(Purpose::Open(id)), ..) => {
                if let Some(channel) = self.channels.get_mut(&id) {
                    *channel = Channel::Failed(failure(response));
                }
            }
            (Some(Purpose::Send(id)), _, done) => {
                if let Some(open) = self.open_channel(id) {
                    open.is_sending = false;
                    open.is_lost = open.is_lost || done.is_none();
                }
            }
            (Some(Purpose::Receive(id)), _, done) => {
                let mut count = 0;
                if let Some(open) = self.open_channel(id) {
                    open.is_receiving = false;
                    match done {
                        Some(Response::Received { data, left }) => {
                            count = data.len();
                            open.received.extend(data);
                            open.available = *left;
                        }
                        _ => (open.available, open.is_lost) = (0, true),
                    }
                }
                let count = u64::try_from(count).unwrap_or(u64::MAX);
                self.octets_received = self.octets_received.saturating_add(count);
            }
            (Some(Purpose::Timer(id)), _, None) => {
                if let Some(timer) = self.timers.get_mut(&id) {
                    timer.number = None;
                }
            }
            (Some(Purpose::Timer(_)) | None, ..) => {}
        }
    }

    /// Processes the response to the request for the location at the start.
    fn process_location(&mut self, response: Option<&TerminalResponse>) {
        /// TS 102 223 section 8.12: performed, limited service.
        const LIMITED_SERVICE: GeneralResult = GeneralResult(0x06);
        let Some(response) = response.filter(|response| response.result.is_performed()) else { return };
        let location = match &response.response {
            Response::Location(location) => Some(location),
            _ => None,
        };
        self.located(response.result != LIMITED_SERVICE, location);
    }

    fn queue(&mut self, command: Command) -> Option<u8> {
        self.card.ipae()?.queue(command)
    }

    /// Queues a command, and remembers its purpose. Returns false if that is not possible.
    fn queue_for(&mut self, purpose: Purpose, command: Command) -> bool {
        let number = self.queue(command);
        number.map(|number| self.commands.insert(number, purpose)).is_some()
    }

    fn new_id(&mut self) -> Id {
        self.last_id = self.last_id.saturating_add(1);
        Id(self.last_id)
    }

    /// Requests a channel to a server.
    pub(crate) fn open(&mut self, server: SocketAddr) -> Id {
        let id = self.new_id();
        let parameters = ChannelParameters {
            bearer: Some(Bearer::default_bearer()),
            buffer_size: Some(BUFFER_SIZE),
            transport: Some(TransportLevel { protocol: TransportProtocol::TcpClient, port: server.port() }),
            destination: Some(server.ip()),
            ..ChannelParameters::default()
        };
        let open = OpenChannel { immediate: true, automatic_reconnection: false, parameters };
        let is_queued = self.queue_for(Purpose::Open(id), Command::OpenChannel(open));
        let failed = || Channel::Failed("the queue of proactive commands is full".to_owned());
        self.channels.insert(id, if is_queued { Channel::Opening } else { failed() });
        id
    }

    /// The state of a channel; `None` after a restart of the card.
    pub(crate) fn channel(&self, id: Id) -> Option<&Channel> {
        self.channels.get(&id)
    }

    /// Closes a channel.
    pub(crate) fn close(&mut self, id: Id) {
        if let Some(Channel::Open(open)) = self.channels.remove(&id) {
            self.queue(Command::CloseChannel { channel: open.number });
        }
    }

    fn open_channel(&mut self, id: Id) -> Option<&mut OpenState> {
        match self.channels.get_mut(&id) {
            Some(Channel::Open(open)) => Some(open),
            Some(Channel::Opening | Channel::Failed(_)) | None => None,
        }
    }

    fn numbered(&mut self, number: u8) -> Option<&mut OpenState> {
        self.channels.values_mut().find_map(|channel| match channel {
            Channel::Open(open) if open.number == number => Some(open),
            _ => None,
        })
    }

    /// Takes up to `limit` octets that a channel has received. Returns `None` if there are none
    /// yet, and no octets at the end of the stream.
    pub(crate) fn receive(&mut self, id: Id, limit: usize) -> Option<Vec<u8>> {
        let Some(open) = self.open_channel(id) else { return Some(Vec::new()) };
        if !open.received.is_empty() {
            let count = limit.min(open.received.len());
            return Some(open.received.drain(..count).collect());
        }
        if !open.is_receiving {
            if open.available == 0 {
                return open.is_lost.then(Vec::new);
            }
            let length = open.available.min(MAX_CHANNEL_DATA);
            let command = Command::ReceiveData { channel: open.number, length };
            let is_queued = self.queue_for(Purpose::Receive(id), command);
            if let Some(open) = self.open_channel(id) {
                (open.is_receiving, open.is_lost) = (is_queued, open.is_lost || !is_queued);
            }
        }
        None
    }

    /// Sends the first octets of `data` on a channel. Returns their number, or `None` if the
    /// terminal is still sending.
    ///
    /// # Errors
    /// The link was lost.
    pub(crate) fn send(&mut self, id: Id, data: &[u8]) -> Result<Option<usize>, LinkLost> {
        let open = self.open_channel(id).filter(|open| !open.is_lost).ok_or(LinkLost)?;
        if open.is_sending {
            return Ok(None);
        }
        let data: Vec<u8> = data.iter().copied().take(usize::from(MAX_CHANNEL_DATA)).collect();
        let count = data.len();
        let command = Command::SendData { channel: open.number, immediately: true, data };
        open.is_sending = true;
        if !self.queue_for(Purpose::Send(id), command) {
            return Err(LinkLost);
        }
        Ok(Some(count))
    }

    /// True if everything was sent.
    ///
    /// # Errors
    /// The link was lost.
    pub(crate) fn is_sent(&mut self, id: Id) -> Result<bool, LinkLost> {
        let open = self.open_channel(id).filter(|open| !open.is_lost).ok_or(LinkLost)?;
        Ok(!open.is_sending)
    }

    /// Starts a timer.
    pub(crate) fn start_timer(&mut self, seconds: u64) -> Id {
        let id = self.new_id();
        let is_used = |number: u8| self.timers.values().any(|timer| timer.number == Some(number));
        let number = TIMERS.into_iter().find(|number| !is_used(*number)).filter(|number| {
            let action = TimerAction::Start(TimerValue::of_seconds(seconds.max(1)));
            self.queue_for(Purpose::Timer(id), Command::TimerManagement { timer: *number, action })
        });
        self.timers.insert(id, Timer { number, seconds_left: seconds, is_over: seconds == 0 });
        id
    }

    /// True if a timer has expired.
    pub(crate) fn is_over(&self, id: Id) -> bool {
        self.timers.get(&id).is_none_or(|timer| timer.is_over)
    }

    /// Stops and removes a timer.
    pub(crate) fn stop_timer(&mut self, id: Id) {
        if let Some(Timer { number: Some(timer), is_over: false, .. }) = self.timers.remove(&id) {
            self.queue(Command::TimerManagement { timer, action: TimerAction::Deactivate });
        }
    }
}

/// The link of a channel was lost.
#[derive(Debug)]
pub(crate) struct LinkLost;

/// Describes a failed OPEN CHANNEL.
fn failure(response: Option<&TerminalResponse>) -> String {
    match response {
        None => "the terminal's response cannot be decoded".to_owned(),
        Some(response) => match response.bip_cause() {
            Some(cause) => format!("the terminal cannot open a channel: BIP cause {:02X}", cause.0),
            None => format!("the terminal cannot open a channel: result {:02X}", response.result.0),
        },
    }
}
