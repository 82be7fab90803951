//! The card application toolkit of a device: proactive commands and event downloads, TS 102 223
//! sections 6.4 and 7, and short messages, TS 31.111 section 7.1.
//!
//! [`TerminalProfile`] announces exactly what is implemented here. Other commands are answered with
//! "beyond the terminal's capabilities", malformed ones with "data not understood". The card always
//! gets an answer.

mod channels;
mod timers;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use rsp::ids::Plmn;
use rsp::ota::cat::{
    Bearer, Command, CommandDetails, CommandKind, Envelope, Event, EventDownload, GeneralResult, Imei,
    LocalInformation, LocationInformation, LocationStatus, OpenChannel, Proactive, RefreshMode, Response,
    TerminalCapability, TerminalProfile, TerminalResponse, TimerAction,
};
use rsp::ota::sms::{Address, SmsSubmit};
use tokio::time::Instant;
use world::Dial;

use channels::{ChannelError, ChannelEvent, Channels, MAX_CHANNELS};
use network::{AttachId, MobileOriginated, Radio, RadioFault, RpAnswer};
pub(super) use timers::POLL_INTERVAL;
use timers::{Polling, Timers};

/// The facilities of this terminal. REFRESH "eUICC Profile State Change" is implemented but not
/// announced, because SGP.02 prefers the reset where a card has the choice.
const FACILITIES: [TerminalCapability; 22] = [
    TerminalCapability::PROFILE_DOWNLOAD,
    TerminalCapability::SMS_PP_DOWNLOAD,
    TerminalCapability::TIMER_EXPIRATION,
    TerminalCapability::MORE_TIME,
    TerminalCapability::POLL_INTERVAL,
    TerminalCapability::POLLING_OFF,
    TerminalCapability::REFRESH,
    TerminalCapability::SEND_SHORT_MESSAGE,
    TerminalCapability::LOCATION_AND_IMEI,
    TerminalCapability::SET_UP_EVENT_LIST,
    TerminalCapability::EVENT_LOCATION_STATUS,
    TerminalCapability::EVENT_DATA_AVAILABLE,
    TerminalCapability::EVENT_CHANNEL_STATUS,
    TerminalCapability::TIMER_MANAGEMENT,
    TerminalCapability::TIMER_TIME_LEFT,
    TerminalCapability::OPEN_CHANNEL,
    TerminalCapability::CLOSE_CHANNEL,
    TerminalCapability::RECEIVE_DATA,
    TerminalCapability::SEND_DATA,
    TerminalCapability::GET_CHANNEL_STATUS,
    TerminalCapability::BEARER_PACKET,
    TerminalCapability::TCP_CLIENT,
];

/// The facilities of a terminal with an LPA, which only reports its location to the card and
/// performs resets.
const FACILITIES_WITH_LPA: [TerminalCapability; 7] = [
    TerminalCapability::PROFILE_DOWNLOAD,
    TerminalCapability::MORE_TIME,
    TerminalCapability::POLL_INTERVAL,
    TerminalCapability::REFRESH,
    TerminalCapability::LOCATION_AND_IMEI,
    TerminalCapability::SET_UP_EVENT_LIST,
    TerminalCapability::EVENT_LOCATION_STATUS,
];

/// Additional information for "terminal currently unable": no service, section 8.12.2.
const NO_SERVICE: u8 = 0x04;
/// The result "performed, with missing information": section 8.12.
const MISSING_INFORMATION: GeneralResult = GeneralResult(0x02);
/// The result "performed, limited service": section 8.12.
const LIMITED_SERVICE: GeneralResult = GeneralResult(0x06);

/// The tracking area and the cell of every simulated location.
const AREA_AND_CELL: [u8; 6] = [0x00, 0x01, 0x00, 0x00, 0x00, 0x01];

/// Maximum envelopes that wait for a busy card. A card that accepts none of them is defective; the
/// oldest is dropped.
const MAX_ENVELOPES: usize = 32;

/// The identity of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The IMEI.
    pub imei: Imei,
}

/// Returns the TERMINAL PROFILE of a device with this toolkit and no LPA.
pub fn profile() -> TerminalProfile {
    TerminalProfile::of(&FACILITIES, MAX_CHANNELS)
}

/// Returns the TERMINAL PROFILE of a device with an LPA.
pub(super) fn profile_with_lpa() -> TerminalProfile {
    TerminalProfile::of(&FACILITIES_WITH_LPA, 0)
}

/// The device's environment during the execution of a command.
pub(super) struct Environment<'a> {
    pub(super) radio: &'a dyn Radio,
    /// The serving network and the ID that it has assigned to the device; `None` if the device is
    /// not registered.
    pub(super) attached: Option<(Plmn, AttachId)>,
    /// The network on whose cell the device camps while it has only limited service.
    pub(super) camped: Option<Plmn>,
}

/// The action that follows the execution of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FollowUp {
    /// No action.
    Nothing,
    /// The card must be reset. The reset takes the place of a response.
    Reset,
    /// The data read from the card is no longer valid.
    ReadAgain,
}

/// The result of an executed command.
pub(super) struct ExecutedCommand {
    /// The response to the card; `None` if the device resets the card instead.
    pub(super) response: Option<TerminalResponse>,
    pub(super) after: FollowUp,
    /// The name of the command, for the console.
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
    /// TP-MR of the last short message.
    message_reference: u8,
    /// The envelopes that wait to be sent to the card.
    envelopes: VecDeque<Envelope>,
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
            envelopes: VecDeque::new(),
        }
    }

    /// Discards all state that the card has set up, after it has lost its power.
    pub(super) fn reset(&mut self) {
        self.channels.clear();
        self.timers = Timers::default();
        self.polling = Polling::new();
        self.events.clear();
        self.envelopes.clear();
    }

    /// True if the card has a connection through the network.
    pub(super) fn is_connected(&self) -> bool {
        self.channels.is_up()
    }

    /// Informs the card of a change of the service state.
    pub(super) fn service(&mut self, status: LocationStatus, plmn: Option<Plmn>) {
        if status != LocationStatus::Normal {
            for channel in self.channels.drop_links() {
                self.queue_event(EventDownload::ChannelStatus(self.channels.status(channel)));
            }
        }
        let location = plmn.map(location).filter(|_| status == LocationStatus::Normal);
        self.queue_event(EventDownload::LocationStatus { status, location });
    }

    /// Queues an event for the card if the card has subscribed to it.
    fn queue_event(&mut self, event: EventDownload) {
        if self.events.contains(&event.event()) {
            self.queue_envelope(Envelope::EventDownload(event));
        }
    }

    fn queue_envelope(&mut self, envelope: Envelope) {
        if self.envelopes.len() >= MAX_ENVELOPES {
            self.envelopes.pop_front();
        }
        self.envelopes.push_back(envelope);
    }

    /// Returns the next envelope for the card.
    pub(super) fn next_envelope(&self) -> Option<&Envelope> {
        self.envelopes.front()
    }

    /// Removes the next envelope after it was sent.
    pub(super) fn envelope_sent(&mut self) {
        self.envelopes.pop_front();
    }

    /// Restarts the poll interval after an answer of the card.
    pub(super) fn polled(&mut self) {
        self.polling.polled();
    }

    /// Waits until there may be an envelope for the card (`true`), or until the card must be polled
    /// (`false`).
    pub(super) async fn next(&mut self) -> bool {
        let until = |at: Option<Instant>| async move {
            match at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Fixed order instead of tokio's random one, so that the same seed gives the same run.
            biased;
            event = self.channels.next() => {
                match event {
                    ChannelEvent::Data { channel, length } => {
                        let status = self.channels.status(channel);
                        self.queue_event(EventDownload::DataAvailable { status, length });
                    }
                    ChannelEvent::Dropped(channel) => {
                        let status = self.channels.status(channel);
                        self.queue_event(EventDownload::ChannelStatus(status));
                    }
                    ChannelEvent::More => {}
                }
                true
            }
            () = until(self.timers.next()) => {
                while let Some((timer, value)) = self.timers.expired() {
                    self.queue_envelope(Envelope::TimerExpiration { timer, value });
                }
                true
            }
            () = until(self.polling.next()) => false,
        }
    }

    /// Executes a fetched proactive command.
    pub(super) async fn execute(&mut self, octets: &[u8], environment: Environment<'_>) -> ExecutedCommand {
        let proactive = match Proactive::parse(octets) {
            Ok(proactive) => proactive,
            Err(error) => {
                let refused = TerminalResponse::refusing(octets, GeneralResult::DATA_NOT_UNDERSTOOD);
                let response = refused.map(|refused| {
                    let CommandDetails { kind, qualifier, .. } = refused.details;
                    let is_here = match CommandKind::of(kind) {
                        None => false,
                        // The qualifier of this command determines the requested information. Most
                        // values are not supported.
                        Some(CommandKind::ProvideLocalInformation) => matches!(qualifier, 0x00 | 0x01 | 0x08),
                        Some(_) => true,
                    };
                    let beyond_capabilities = GeneralResult::BEYOND_CAPABILITIES;
                    // req: TS.102.223-7-Unsupported
                    if is_here {
                        refused
                    } else {
                        TerminalResponse { result: beyond_capabilities, ..refused }
                    }
                });
                let note = error.to_string();
                return ExecutedCommand { response, after: FollowUp::Nothing, name: "unknown command", note };
            }
        };
        let name = command_name(&proactive.command);
        let mut after = FollowUp::Nothing;
        let mut note = String::new();
        let response = match &proactive.command {
            Command::Refresh(mode) => {
                note = format!("{mode:?}");
                match mode {
                    RefreshMode::UiccReset => {
                        return ExecutedCommand { response: None, after: FollowUp::Reset, name, note };
                    }
                    // Initialisation with or without file changes, application or session reset,
                    // file change.
                    RefreshMode::ProfileStateChange | RefreshMode::Other(0..=3 | 5 | 6) => {
                        after = FollowUp::ReadAgain;
                        performed(&proactive, Response::None)
                    }
                    RefreshMode::Other(_) => beyond_capabilities(&proactive),
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
                let (response, description) =
                    self.send_short_message(&proactive, service_centre.clone(), tpdu, &environment).await;
                note = description;
                response
            }
            Command::ProvideLocalInformation(what) => self.local_information(&proactive, *what, &environment),
            Command::TimerManagement { timer, action } => self.timer(&proactive, *timer, *action),
            Command::OpenChannel(channel) => {
                if environment.attached.is_none() {
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
        ExecutedCommand { response: Some(response), after, name, note }
    }

    fn set_up_event_list(&mut self, proactive: &Proactive, events: &[Event]) -> TerminalResponse {
        const KNOWN: [Event; 3] = [Event::LOCATION_STATUS, Event::DATA_AVAILABLE, Event::CHANNEL_STATUS];
        if events.iter().any(|event| !KNOWN.contains(event)) {
            // After a rejected event list the former list stays valid: section 6.4.16.
            return beyond_capabilities(proactive);
        }
        self.events = events.iter().copied().collect();
        performed(proactive, Response::None)
    }

    async fn send_short_message(
        &mut self,
        proactive: &Proactive,
        service_centre: Option<Address>,
        tpdu: &[u8],
        environment: &Environment<'_>,
    ) -> (TerminalResponse, String) {
        let Ok(submit) = SmsSubmit::parse(tpdu) else {
            let result = GeneralResult::DATA_NOT_UNDERSTOOD;
            let response = TerminalResponse::of(proactive, result, vec![], Response::None);
            return (response, "not an SMS-SUBMIT".into());
        };
        let Some((plmn, attach)) = environment.attached.clone() else {
            return (no_service(proactive), "no service".into());
        };
        self.message_reference = self.message_reference.wrapping_add(1);
        let to = submit.destination.to_string();
        let tpdu = SmsSubmit { message_reference: self.message_reference, ..submit }.to_bytes();
        let message = MobileOriginated { attach, service_centre, tpdu };
        let respond =
            |result, additional| TerminalResponse::of(proactive, result, additional, Response::None);
        match environment.radio.submit_short_message(plmn, message).await {
            Ok(RpAnswer::Ack(_)) => (performed(proactive, Response::None), format!("to {to}")),
            Ok(RpAnswer::Error(cause, _)) => {
                let response = respond(GeneralResult::SMS_RP_ERROR, vec![cause.0]);
                (response, format!("to {to}: refused by the service centre, RP-Cause {}", cause.0))
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
        environment: &Environment<'_>,
    ) -> TerminalResponse {
        match (what, &environment.attached) {
            (LocalInformation::Imei, _) => performed(proactive, Response::Imei(self.identity.imei)),
            (LocalInformation::Imeisv, _) => beyond_capabilities(proactive),
            (LocalInformation::Location, Some((plmn, _))) => {
                performed(proactive, Response::Location(location(*plmn)))
            }
            (LocalInformation::Location, None) => match environment.camped {
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

fn beyond_capabilities(proactive: &Proactive) -> TerminalResponse {
    TerminalResponse::of(proactive, GeneralResult::BEYOND_CAPABILITIES, vec![], Response::None)
}

fn no_service(proactive: &Proactive) -> TerminalResponse {
    TerminalResponse::of(proactive, GeneralResult::TERMINAL_UNABLE, vec![NO_SERVICE], Response::None)
}

fn refused(proactive: &Proactive, why: &ChannelError) -> TerminalResponse {
    match why {
        ChannelError::ValuesMissing(_) => {
            TerminalResponse::of(proactive, GeneralResult::VALUES_MISSING, vec![], Response::None)
        }
        ChannelError::BeyondCapabilities(_) => beyond_capabilities(proactive),
        ChannelError::Bip(cause, _) => {
            TerminalResponse::of(proactive, GeneralResult::BIP_ERROR, vec![cause.0], Response::None)
        }
    }
}

/// Adds the channel parameters to a negative response, as section 6.8 requires.
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
    // The device does not restore a lost connection, so it fulfills a request for automatic
    // reconnection only in part.
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

impl std::fmt::Display for ChannelError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ValuesMissing(why) | Self::BeyondCapabilities(why) => f.write_str(why),
            Self::Bip(_, why) => f.write_str(why),
        }
    }
}

/// Returns the name of a command in the standard.
fn command_name(command: &Command) -> &'static str {
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
