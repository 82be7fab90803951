//! What a device does for its card: proactive commands and what the card is told by itself, TS 102 223 sections 6.4 and
//! 7, TS 31.111 section 7.1 for short messages.
//!
//! [`TerminalProfile`] says what is here and nothing else. A command that is not here is answered "beyond the terminal's
//! capabilities", one that does not add up "data not understood"; the card is never left without an answer.

mod channels;
mod timers;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use rsp::ids::Plmn;
use rsp::ota::cat::{
    Bearer, Command, CommandDetails, CommandKind, Envelope, Event, EventDownload, Facility, GeneralResult,
    Imei, LocalInformation, LocationInformation, LocationStatus, OpenChannel, Proactive, RefreshMode,
    Response, TerminalProfile, TerminalResponse, TimerAction,
};
use rsp::ota::sms::{Address, SmsSubmit};
use tokio::time::Instant;
use world::Dial;

use channels::{Channels, Happened, MAX_CHANNELS, NoChannel};
use network::{AttachId, MobileOriginated, Radio, RadioFault, RpAnswer};
pub(super) use timers::POLL_INTERVAL;
use timers::{Polling, Timers};

/// What this terminal can. "eUICC Profile State Change" is performed too and not claimed: where a card has the choice, SGP.02
/// wants the reset.
const FACILITIES: [Facility; 22] = [
    Facility::PROFILE_DOWNLOAD,
    Facility::SMS_PP_DOWNLOAD,
    Facility::TIMER_EXPIRATION,
    Facility::MORE_TIME,
    Facility::POLL_INTERVAL,
    Facility::POLLING_OFF,
    Facility::REFRESH,
    Facility::SEND_SHORT_MESSAGE,
    Facility::LOCATION_AND_IMEI,
    Facility::SET_UP_EVENT_LIST,
    Facility::EVENT_LOCATION_STATUS,
    Facility::EVENT_DATA_AVAILABLE,
    Facility::EVENT_CHANNEL_STATUS,
    Facility::TIMER_MANAGEMENT,
    Facility::TIMER_TIME_LEFT,
    Facility::OPEN_CHANNEL,
    Facility::CLOSE_CHANNEL,
    Facility::RECEIVE_DATA,
    Facility::SEND_DATA,
    Facility::GET_CHANNEL_STATUS,
    Facility::BEARER_PACKET,
    Facility::TCP_CLIENT,
];

/// What a terminal beside an LPA can, which does nothing for its card but to say where it is and to reset it.
const BESIDE_LPA: [Facility; 7] = [
    Facility::PROFILE_DOWNLOAD,
    Facility::MORE_TIME,
    Facility::POLL_INTERVAL,
    Facility::REFRESH,
    Facility::LOCATION_AND_IMEI,
    Facility::SET_UP_EVENT_LIST,
    Facility::EVENT_LOCATION_STATUS,
];

/// Additional information on "terminal currently unable": no service, section 8.12.2.
const NO_SERVICE: u8 = 0x04;
/// "Performed, with missing information": section 8.12.
const MISSING_INFORMATION: GeneralResult = GeneralResult(0x02);
/// "Performed, limited service": the same section.
const LIMITED_SERVICE: GeneralResult = GeneralResult(0x06);

/// Where a device camps: one tracking area and one cell, everywhere.
const AREA_AND_CELL: [u8; 6] = [0x00, 0x01, 0x00, 0x00, 0x00, 0x01];

/// What the card is to be told of and may still be too busy for. More than this and something is wrong with it; the
/// oldest is dropped.
const MAX_TOLD: usize = 32;

/// Which device it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The 15 digits of its IMEI.
    pub imei: Imei,
}

/// What TERMINAL PROFILE says of a device with this toolkit.
pub fn profile() -> TerminalProfile {
    TerminalProfile::of(&FACILITIES, MAX_CHANNELS)
}

/// The same of a device with an LPA.
pub(super) fn profile_beside_lpa() -> TerminalProfile {
    TerminalProfile::of(&BESIDE_LPA, 0)
}

/// The surroundings in which a command is executed.
pub(super) struct Surroundings<'a> {
    pub(super) radio: &'a dyn Radio,
    /// The network and by what it knows the device, while it is registered.
    pub(super) attached: Option<(Plmn, AttachId)>,
    /// The network on a cell of which the device waits, while none takes it: limited service.
    pub(super) camped: Option<Plmn>,
}

/// What is to be done when a command has been executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing.
    Nothing,
    /// The card is reset; that is its answer.
    Reset,
    /// What was read of the card does not hold any more.
    ReadAnew,
}

/// An executed command.
pub(super) struct Executed {
    /// What the card is answered; none where a reset is the answer.
    pub(super) response: Option<TerminalResponse>,
    pub(super) after: After,
    /// What it was and how it went, for the console.
    pub(super) name: &'static str,
    pub(super) note: String,
}

/// The toolkit of a device.
pub(super) struct Toolkit {
    identity: Identity,
    channels: Channels,
    timers: Timers,
    polling: Polling,
    events: BTreeSet<Event>,
    /// TP-MR of the last message.
    message_reference: u8,
    /// What the card is still to be told.
    to_tell: VecDeque<Envelope>,
}

impl Toolkit {
    pub(super) fn new(identity: Identity, dial: Arc<dyn Dial>) -> Self {
        Self {
            identity,
            channels: Channels::new(dial),
            timers: Timers::default(),
            polling: Polling::new(),
            events: BTreeSet::new(),
            message_reference: 0,
            to_tell: VecDeque::new(),
        }
    }

    /// The card has lost its power: nothing of what it had asked for holds.
    pub(super) fn reset(&mut self) {
        self.channels.clear();
        self.timers = Timers::default();
        self.polling = Polling::new();
        self.events.clear();
        self.to_tell.clear();
    }

    /// Whether the card is speaking to somebody through the network.
    pub(super) fn is_connected(&self) -> bool {
        self.channels.is_up()
    }

    /// The service has changed.
    pub(super) fn service(&mut self, status: LocationStatus, plmn: Option<Plmn>) {
        if status != LocationStatus::Normal {
            for channel in self.channels.drop_links() {
                self.tell_of(EventDownload::ChannelStatus(self.channels.status(channel)));
            }
        }
        let location = plmn.map(location).filter(|_| status == LocationStatus::Normal);
        self.tell_of(EventDownload::LocationStatus { status, location });
    }

    /// The card is told if it has asked for it.
    fn tell_of(&mut self, event: EventDownload) {
        if self.events.contains(&event.event()) {
            self.tell(Envelope::EventDownload(event));
        }
    }

    fn tell(&mut self, envelope: Envelope) {
        if self.to_tell.len() >= MAX_TOLD {
            self.to_tell.pop_front();
        }
        self.to_tell.push_back(envelope);
    }

    /// What the card is to be told next.
    pub(super) fn next_to_tell(&self) -> Option<&Envelope> {
        self.to_tell.front()
    }

    /// The card has been told.
    pub(super) fn told(&mut self) {
        self.to_tell.pop_front();
    }

    /// The card has answered a command.
    pub(super) fn asked(&mut self) {
        self.polling.asked();
    }

    /// Waits until the card is to be told something, or asked whether it wants something (`false`).
    pub(super) async fn next(&mut self) -> bool {
        let until = |at: Option<Instant>| async move {
            match at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // In this order, and not by dice of tokio's own: the same seed is to give the same.
            biased;
            happened = self.channels.next() => {
                match happened {
                    Happened::Data { channel, length } => {
                        let status = self.channels.status(channel);
                        self.tell_of(EventDownload::DataAvailable { status, length });
                    }
                    Happened::Dropped(channel) => {
                        let status = self.channels.status(channel);
                        self.tell_of(EventDownload::ChannelStatus(status));
                    }
                    Happened::More => {}
                }
                true
            }
            () = until(self.timers.next()) => {
                while let Some((timer, value)) = self.timers.expired() {
                    self.tell(Envelope::TimerExpiration { timer, value });
                }
                true
            }
            () = until(self.polling.next()) => false,
        }
    }

    /// Executes what FETCH gave.
    pub(super) async fn execute(&mut self, octets: &[u8], surroundings: Surroundings<'_>) -> Executed {
        let proactive = match Proactive::parse(octets) {
            Ok(proactive) => proactive,
            Err(error) => {
                let refused = TerminalResponse::refusing(octets, GeneralResult::DATA_NOT_UNDERSTOOD);
                let response = refused.map(|refused| {
                    let CommandDetails { kind, qualifier, .. } = refused.details;
                    let is_here = match CommandKind::of(kind) {
                        None => false,
                        // Its qualifier is what is asked for, and there are many that are not here.
                        Some(CommandKind::ProvideLocalInformation) => matches!(qualifier, 0x00 | 0x01 | 0x08),
                        Some(_) => true,
                    };
                    let beyond = GeneralResult::BEYOND_CAPABILITIES;
                    if is_here { refused } else { TerminalResponse { result: beyond, ..refused } }
                });
                let note = error.to_string();
                return Executed { response, after: After::Nothing, name: "unknown command", note };
            }
        };
        let name = name_of(&proactive.command);
        let mut after = After::Nothing;
        let mut note = String::new();
        let response = match &proactive.command {
            Command::Refresh(mode) => {
                note = format!("{mode:?}");
                match mode {
                    RefreshMode::UiccReset => {
                        return Executed { response: None, after: After::Reset, name, note };
                    }
                    // Initialisation with or without file changes, application or session reset, file change.
                    RefreshMode::ProfileStateChange | RefreshMode::Other(0..=3 | 5 | 6) => {
                        after = After::ReadAnew;
                        performed(&proactive, Response::None)
                    }
                    RefreshMode::Other(_) => beyond(&proactive),
                }
            }
            Command::MoreTime => performed(&proactive, Response::None),
            Command::PollInterval(interval) => {
                self.polling.every(interval.as_time());
                performed(&proactive, Response::PollInterval(*interval))
            }
            Command::PollingOff => {
                self.polling.off();
                performed(&proactive, Response::None)
            }
            Command::SetUpEventList(events) => self.set_up_event_list(&proactive, events),
            Command::SendShortMessage { service_centre, tpdu } => {
                let (response, said) =
                    self.send_short_message(&proactive, service_centre.clone(), tpdu, &surroundings).await;
                note = said;
                response
            }
            Command::ProvideLocalInformation(what) => {
                self.local_information(&proactive, *what, &surroundings)
            }
            Command::TimerManagement { timer, action } => self.timer(&proactive, *timer, *action),
            Command::OpenChannel(channel) => {
                if surroundings.attached.is_none() {
                    note = "no service".into();
                    open_response(&proactive, channel, no_service(&proactive))
                } else {
                    match self.channels.open(channel).await {
                        Ok(status) => {
                            note = format!("channel {}", status.channel);
                            opened(&proactive, channel, status)
                        }
                        Err(why) => {
                            note = why.to_string();
                            open_response(&proactive, channel, refused(&proactive, &why))
                        }
                    }
                }
            }
            Command::CloseChannel { channel } => match self.channels.close(*channel).await {
                Ok(()) => performed(&proactive, Response::None),
                Err(why) => {
                    note = why.to_string();
                    refused(&proactive, &why)
                }
            },
            Command::SendData { channel, immediately, data } => {
                note = format!("{} octets", data.len());
                match self.channels.send(*channel, data, *immediately).await {
                    Ok(free) => performed(&proactive, Response::Sent { free }),
                    Err(why) => {
                        note = why.to_string();
                        refused(&proactive, &why)
                    }
                }
            }
            Command::ReceiveData { channel, length } => match self.channels.receive(*channel, *length) {
                Ok((data, left)) => {
                    note = format!("{} octets, {left} left", data.len());
                    let is_short = data.len() < usize::from(*length);
                    let result = if is_short { MISSING_INFORMATION } else { GeneralResult::PERFORMED };
                    TerminalResponse::of(&proactive, result, vec![], Response::Received { data, left })
                }
                Err(why) => {
                    note = why.to_string();
                    refused(&proactive, &why)
                }
            },
            Command::GetChannelStatus => {
                performed(&proactive, Response::ChannelStatuses(self.channels.statuses()))
            }
        };
        Executed { response: Some(response), after, name, note }
    }

    fn set_up_event_list(&mut self, proactive: &Proactive, events: &[Event]) -> TerminalResponse {
        const KNOWN: [Event; 3] = [Event::LOCATION_STATUS, Event::DATA_AVAILABLE, Event::CHANNEL_STATUS];
        if events.iter().any(|event| !KNOWN.contains(event)) {
            // Section 6.4.16: the former list stands.
            return beyond(proactive);
        }
        self.events = events.iter().copied().collect();
        performed(proactive, Response::None)
    }

    async fn send_short_message(
        &mut self,
        proactive: &Proactive,
        service_centre: Option<Address>,
        tpdu: &[u8],
        surroundings: &Surroundings<'_>,
    ) -> (TerminalResponse, String) {
        let Ok(submit) = SmsSubmit::parse(tpdu) else {
            let result = GeneralResult::DATA_NOT_UNDERSTOOD;
            let response = TerminalResponse::of(proactive, result, vec![], Response::None);
            return (response, "not an SMS-SUBMIT".into());
        };
        let Some((plmn, attach)) = surroundings.attached.clone() else {
            return (no_service(proactive), "no service".into());
        };
        self.message_reference = self.message_reference.wrapping_add(1);
        let to = submit.destination.to_string();
        let tpdu = SmsSubmit { message_reference: self.message_reference, ..submit }.to_bytes();
        let message = MobileOriginated { attach, service_centre, tpdu };
        let respond =
            |result, additional| TerminalResponse::of(proactive, result, additional, Response::None);
        match surroundings.radio.submit_short_message(plmn, message).await {
            Ok(RpAnswer::Ack(_)) => (performed(proactive, Response::None), format!("to {to}")),
            Ok(RpAnswer::Error(cause, _)) => {
                let response = respond(GeneralResult::SMS_RP_ERROR, vec![cause.0]);
                (response, format!("to {to}: the service centre refused, RP-Cause {}", cause.0))
            }
            Err(fault @ (RadioFault::NoCoverage(_) | RadioFault::Detached | RadioFault::Lost(_))) => {
                (respond(GeneralResult::NETWORK_UNABLE, vec![0]), format!("to {to}: {fault}"))
            }
        }
    }

    fn local_information(
        &self,
        proactive: &Proactive,
        what: LocalInformation,
        surroundings: &Surroundings<'_>,
    ) -> TerminalResponse {
        match (what, &surroundings.attached) {
            (LocalInformation::Imei, _) => performed(proactive, Response::Imei(self.identity.imei)),
            (LocalInformation::Imeisv, _) => beyond(proactive),
            (LocalInformation::Location, Some((plmn, _))) => {
                performed(proactive, Response::Location(location(*plmn)))
            }
            (LocalInformation::Location, None) => match surroundings.camped {
                Some(plmn) => {
                    let location = Response::Location(location(plmn));
                    TerminalResponse::of(proactive, LIMITED_SERVICE, vec![], location)
                }
                None => no_service(proactive),
            },
        }
    }

    fn timer(&mut self, proactive: &Proactive, timer: u8, action: TimerAction) -> TerminalResponse {
        let left = match action {
            TimerAction::Start(value) => {
                self.timers.start(timer, value);
                return performed(proactive, Response::Timer { timer, left: None });
            }
            TimerAction::Deactivate => self.timers.stop(timer),
            TimerAction::TimeLeft => self.timers.left(timer),
        };
        match left {
            Some(left) => performed(proactive, Response::Timer { timer, left: Some(left) }),
            None => {
                let result = GeneralResult::TIMER_CONTRADICTION;
                TerminalResponse::of(proactive, result, vec![], Response::Timer { timer, left: None })
            }
        }
    }
}

fn performed(proactive: &Proactive, response: Response) -> TerminalResponse {
    TerminalResponse::performed(proactive, response)
}

fn beyond(proactive: &Proactive) -> TerminalResponse {
    TerminalResponse::of(proactive, GeneralResult::BEYOND_CAPABILITIES, vec![], Response::None)
}

fn no_service(proactive: &Proactive) -> TerminalResponse {
    TerminalResponse::of(proactive, GeneralResult::TERMINAL_UNABLE, vec![NO_SERVICE], Response::None)
}

fn refused(proactive: &Proactive, why: &NoChannel) -> TerminalResponse {
    match why {
        NoChannel::ValuesMissing(_) => {
            TerminalResponse::of(proactive, GeneralResult::VALUES_MISSING, vec![], Response::None)
        }
        NoChannel::BeyondCapabilities(_) => beyond(proactive),
        NoChannel::Bip(cause, _) => {
            TerminalResponse::of(proactive, GeneralResult::BIP_ERROR, vec![cause.0], Response::None)
        }
    }
}

/// What the channel would have been belongs to an answer that says no, too: section 6.8.
fn open_response(
    proactive: &Proactive,
    command: &OpenChannel,
    mut response: TerminalResponse,
) -> TerminalResponse {
    response.response = channel_response(command, None);
    response.details = proactive.details();
    response
}

fn opened(
    proactive: &Proactive,
    command: &OpenChannel,
    status: rsp::ota::cat::ChannelStatus,
) -> TerminalResponse {
    // A link that drops stays down: whoever asked for more is told that it got less.
    let result = if command.automatic_reconnection {
        GeneralResult::PERFORMED_WITH_MODIFICATION
    } else {
        GeneralResult::PERFORMED
    };
    TerminalResponse::of(proactive, result, vec![], channel_response(command, Some(status)))
}

fn channel_response(command: &OpenChannel, status: Option<rsp::ota::cat::ChannelStatus>) -> Response {
    let parameters = &command.parameters;
    let bearer = parameters.bearer.clone().unwrap_or_else(Bearer::default_bearer);
    Response::Channel { status, bearer, buffer_size: parameters.buffer_size.unwrap_or_default() }
}

fn location(plmn: Plmn) -> LocationInformation {
    LocationInformation { plmn: plmn.to_bytes(), area_and_cell: AREA_AND_CELL.to_vec() }
}

impl std::fmt::Display for NoChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ValuesMissing(why) | Self::BeyondCapabilities(why) => f.write_str(why),
            Self::Bip(_, why) => f.write_str(why),
        }
    }
}

/// The standard's name.
fn name_of(command: &Command) -> &'static str {
    match command {
        Command::Refresh(_) => "REFRESH",
        Command::MoreTime => "MORE TIME",
        Command::PollInterval(_) => "POLL INTERVAL",
        Command::PollingOff => "POLLING OFF",
        Command::SetUpEventList(_) => "SET UP EVENT LIST",
        Command::SendShortMessage { .. } => "SEND SHORT MESSAGE",
        Command::ProvideLocalInformation(_) => "PROVIDE LOCAL INFORMATION",
        Command::TimerManagement { .. } => "TIMER MANAGEMENT",
        Command::OpenChannel(_) => "OPEN CHANNEL",
        Command::CloseChannel { .. } => "CLOSE CHANNEL",
        Command::ReceiveData { .. } => "RECEIVE DATA",
        Command::SendData { .. } => "SEND DATA",
        Command::GetChannelStatus => "GET CHANNEL STATUS",
    }
}
