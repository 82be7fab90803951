//! A card with an IPA inside, and terminals of which each lacks something or misbehaves. The
//! commands of the terminal are sent one by one.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::{Arc, LazyLock};

use certs::{Pki, PkiOptions};
use device::IpaSettings;
use euicc_sim::{IotDescription, IpaeDescription};
use ipae::IpaeCard;
use rsp::ota::cat::{
    Bearer, BipCause, ChannelState, ChannelStatus, Command, Envelope, EventDownload, GeneralResult,
    LocationStatus, Proactive, Response, TerminalCapability, TerminalProfile, TerminalResponse, TimerAction,
    TimerValue,
};
use rsp::time::Timestamp;
use testbed::iot::{Iot, IotSetup};
use testbed::time::run;

const BEGIN: Timestamp = Timestamp(1_795_000_000_000);

static PKI: LazyLock<Arc<Pki>> =
    LazyLock::new(|| Arc::new(Pki::from_seed(b"ipae terminals", &PkiOptions::default()).unwrap()));

const CHANNELS: [TerminalCapability; 6] = [
    TerminalCapability::OPEN_CHANNEL,
    TerminalCapability::CLOSE_CHANNEL,
    TerminalCapability::RECEIVE_DATA,
    TerminalCapability::SEND_DATA,
    TerminalCapability::TCP_CLIENT,
    TerminalCapability::EVENT_DATA_AVAILABLE,
];
const EVENTS: [TerminalCapability; 3] = [
    TerminalCapability::SET_UP_EVENT_LIST,
    TerminalCapability::EVENT_LOCATION_STATUS,
    TerminalCapability::EVENT_CHANNEL_STATUS,
];
const TIMERS: [TerminalCapability; 2] =
    [TerminalCapability::TIMER_MANAGEMENT, TerminalCapability::TIMER_EXPIRATION];

/// A terminal with a card. The bootstrap profile is enabled.
struct Terminal {
    card: IpaeCard,
    _iot: Iot,
}

/// Runs a test with a terminal that announces these facilities.
fn with_terminal(facilities: &[&[TerminalCapability]], test: impl FnOnce(&mut Terminal)) {
    run("ipae terminals", BEGIN, async |simulation| {
        let ipae = IpaeDescription { poll_seconds: 60, ..IpaeDescription::default() };
        let card = IotDescription { ipae: Some(ipae), ..IotDescription::default() };
        let setup = IotSetup { pki: Arc::clone(&PKI), ipa: IpaSettings::default(), card };
        let iot = Iot::from_factory(&simulation, &setup).await.unwrap();
        let mut terminal = Terminal { card: iot.ipae_card().unwrap(), _iot: iot };
        let profile = TerminalProfile::of(&facilities.concat(), 1).0;
        terminal.send(&[0x80, 0x10, 0, 0], &profile);
        test(&mut terminal);
    })
    .unwrap();
}

impl Terminal {
    /// Sends a command with this header and data. Returns the response, which must be a success.
    fn send(&mut self, header: &[u8], data: &[u8]) -> Vec<u8> {
        let mut command = header.to_vec();
        if !data.is_empty() {
            command.push(u8::try_from(data.len()).unwrap());
            command.extend_from_slice(data);
        }
        let response = self.card.transmit(&command);
        let status = &response[response.len() - 2..];
        assert!(matches!(status, [0x90 | 0x91 | 0x61, _]), "{command:02X?}: {response:02X?}");
        response
    }

    fn status(&mut self) -> Vec<u8> {
        self.send(&[0x80, 0xF2, 0, 0x0C], &[])
    }

    /// Fetches the proactive command that `response` announces.
    fn fetch(&mut self, response: &[u8]) -> Option<Proactive> {
        let [.., 0x91, length] = *response else { return None };
        let fetched = self.send(&[0x80, 0x12, 0, 0, length], &[]);
        Some(Proactive::parse(&fetched[..fetched.len() - 2]).unwrap())
    }

    fn respond(&mut self, response: &TerminalResponse) -> Vec<u8> {
        self.send(&[0x80, 0x14, 0, 0], &response.to_bytes())
    }

    fn envelope(&mut self, envelope: &Envelope) -> Vec<u8> {
        self.send(&[0x80, 0xC2, 0, 0], &envelope.to_bytes())
    }

    /// Executes all announced commands with `execute`, and returns them.
    fn serve(
        &mut self,
        mut response: Vec<u8>,
        mut execute: impl FnMut(&Proactive) -> TerminalResponse,
    ) -> Vec<Command> {
        let mut commands = Vec::new();
        while let Some(proactive) = self.fetch(&response) {
            assert!(commands.len() < 1000, "commands without end");
            response = self.respond(&execute(&proactive));
            commands.push(proactive.command);
        }
        commands
    }

    /// Executes the commands that wait at the start or after STATUS.
    fn serve_waiting(&mut self, execute: impl FnMut(&Proactive) -> TerminalResponse) -> Vec<Command> {
        let response = self.send(&[0x00, 0xA4, 0x00, 0x0C], &[0x3F, 0x00]);
        self.serve(response, execute)
    }

    fn report(&mut self, status: LocationStatus) -> Vec<u8> {
        let event = EventDownload::LocationStatus { status, location: None };
        self.envelope(&Envelope::EventDownload(event))
    }
}

fn performed(proactive: &Proactive) -> TerminalResponse {
    TerminalResponse::performed(proactive, Response::None)
}

/// Cannot open channels, and performs all other commands.
fn without_network(proactive: &Proactive) -> TerminalResponse {
    match proactive.command {
        Command::OpenChannel(_) => {
            let cause = vec![BipCause::NOT_REACHABLE.0];
            TerminalResponse::of(proactive, GeneralResult::BIP_ERROR, cause, channel(None))
        }
        _ => performed(proactive),
    }
}

/// Opens channel 1, over which no server ever sends anything.
fn silent(proactive: &Proactive) -> TerminalResponse {
    match proactive.command {
        Command::OpenChannel(_) => {
            let status = ChannelStatus { channel: 1, state: ChannelState::Open };
            TerminalResponse::performed(proactive, channel(Some(status)))
        }
        Command::SendData { .. } => TerminalResponse::performed(proactive, Response::Sent { free: 0xFF }),
        _ => performed(proactive),
    }
}

fn channel(status: Option<ChannelStatus>) -> Response {
    Response::Channel { status, bearer: Bearer::default_bearer(), buffer_size: 1400 }
}

fn opened(commands: &[Command]) -> usize {
    commands.iter().filter(|command| matches!(command, Command::OpenChannel(_))).count()
}

/// The timers that run after these commands, with their durations.
fn running(commands: &[Command]) -> Vec<(u8, u64)> {
    let mut running = Vec::new();
    for command in commands {
        if let Command::TimerManagement { timer, action } = command {
            running.retain(|(known, _)| known != timer);
            if let TimerAction::Start(value) = action {
                running.push((*timer, value.as_time().as_secs()));
            }
        }
    }
    running
}

#[test]
fn without_timers_status_commands_are_counted() {
    with_terminal(&[&CHANNELS, &EVENTS], |terminal| {
        terminal.serve_waiting(without_network);
        let response = terminal.report(LocationStatus::Normal);
        // Two attempts of one request.
        assert_eq!(opened(&terminal.serve(response, without_network)), 2);
        // One minute, of which each STATUS is half.
        let first = terminal.status();
        assert_eq!(terminal.serve(first, without_network), []);
        let second = terminal.status();
        assert_eq!(opened(&terminal.serve(second, without_network)), 2);
    });
}

#[test]
fn a_timer_of_the_terminal_starts_the_next_poll() {
    with_terminal(&[&CHANNELS, &EVENTS, &TIMERS], |terminal| {
        let mut commands = terminal.serve_waiting(without_network);
        let response = terminal.report(LocationStatus::Normal);
        commands.extend(terminal.serve(response, without_network));
        assert_eq!(opened(&commands), 2);
        let [(timer, 60)] = running(&commands)[..] else { panic!("{commands:?}") };
        let status = terminal.status();
        assert_eq!(terminal.serve(status, without_network), []);
        let response =
            terminal.envelope(&Envelope::TimerExpiration { timer, value: TimerValue::of_seconds(60) });
        assert_eq!(opened(&terminal.serve(response, without_network)), 2);
    });
}

#[test]
fn without_service_the_ipa_waits_for_the_network() {
    with_terminal(&[&CHANNELS, &EVENTS, &TIMERS], |terminal| {
        let commands = terminal.serve_waiting(without_network);
        assert_eq!(opened(&commands), 0);
        let [(timer, 180)] = running(&commands)[..] else { panic!("{commands:?}") };
        let response = terminal.report(LocationStatus::Limited);
        assert_eq!(terminal.serve(response, without_network), []);
        // No rollback and no fallback is possible, so the IPA tries again after a while.
        let expired = Envelope::TimerExpiration { timer, value: TimerValue::of_seconds(180) };
        let response = terminal.envelope(&expired);
        let commands = terminal.serve(response, without_network);
        assert_eq!((opened(&commands), running(&commands).len()), (0, 1), "{commands:?}");
    });
}

#[test]
fn a_silent_server_is_abandoned_and_its_channel_is_closed() {
    with_terminal(&[&CHANNELS, &EVENTS, &TIMERS], |terminal| {
        let mut commands = terminal.serve_waiting(silent);
        let response = terminal.report(LocationStatus::Normal);
        commands.extend(terminal.serve(response, silent));
        assert_eq!(opened(&commands), 1);
        assert!(commands.iter().any(|command| matches!(command, Command::SendData { channel: 1, .. })));
        let [(timer, 60)] = running(&commands)[..] else { panic!("{commands:?}") };
        let expired = Envelope::TimerExpiration { timer, value: TimerValue::of_seconds(60) };
        let response = terminal.envelope(&expired);
        let commands = terminal.serve(response, silent);
        let closed = commands.iter().position(|command| *command == Command::CloseChannel { channel: 1 });
        let opened = commands.iter().position(|command| matches!(command, Command::OpenChannel(_)));
        assert!(closed.unwrap() < opened.unwrap(), "{commands:?}");
    });
}

#[test]
fn a_lost_link_ends_the_request() {
    with_terminal(&[&CHANNELS, &EVENTS], |terminal| {
        terminal.serve_waiting(silent);
        let response = terminal.report(LocationStatus::Normal);
        terminal.serve(response, silent);
        let status = ChannelStatus { channel: 1, state: ChannelState::Dropped };
        let lost = Envelope::EventDownload(EventDownload::ChannelStatus(status));
        let response = terminal.envelope(&lost);
        let commands = terminal.serve(response, silent);
        assert_eq!(commands.first(), Some(&Command::CloseChannel { channel: 1 }));
        assert_eq!(opened(&commands), 1);
    });
}

// req: SGP.32-3.8.4-Mode
#[test]
fn a_terminal_that_announces_its_ipa_stops_that_of_the_card() {
    with_terminal(&[&CHANNELS, &EVENTS, &TIMERS], |terminal| {
        terminal.serve_waiting(silent);
        let response = terminal.report(LocationStatus::Normal);
        assert_eq!(opened(&terminal.serve(response, silent)), 1);
        let response = terminal.send(&[0x80, 0xAA, 0, 0], &[0xA9, 0x03, 0x84, 0x01, 0x01]);
        let commands = terminal.serve(response, silent);
        assert!(commands.contains(&Command::CloseChannel { channel: 1 }), "{commands:?}");
        assert_eq!(running(&commands), []);
        let status = terminal.status();
        assert_eq!(terminal.serve(status, silent), []);
    });
}

#[test]
fn a_terminal_without_channels_or_without_toolkit_gets_no_channel_commands() {
    with_terminal(&[&EVENTS, &TIMERS], |terminal| {
        let mut commands = terminal.serve_waiting(without_network);
        let response = terminal.report(LocationStatus::Normal);
        commands.extend(terminal.serve(response, without_network));
        assert!(matches!(commands[..], [Command::SetUpEventList(_)]), "{commands:?}");
    });
    with_terminal(&[&[TerminalCapability::PROFILE_DOWNLOAD]], |terminal| {
        assert_eq!(terminal.serve_waiting(without_network), []);
    });
}

/// The commands of the IPA would discard the rest of a response.
#[test]
fn the_ipa_waits_until_the_terminal_has_its_whole_response() {
    with_terminal(&[&CHANNELS, &EVENTS], |terminal| {
        terminal.serve_waiting(without_network);
        let response = terminal.report(LocationStatus::Normal);
        terminal.serve(response, without_network);
        terminal.status();
        // STATUS with data ends the minute after which the IPA polls.
        let [0x61, length] = terminal.send(&[0x80, 0xF2, 0, 0], &[])[..] else { panic!("no data") };
        let data = terminal.send(&[0x00, 0xC0, 0, 0, length], &[]);
        assert_eq!(data[0], 0x62, "{data:02X?}");
        assert_eq!(data.len(), usize::from(length) + 2);
        assert_eq!(opened(&terminal.serve(data, without_network)), 2);
    });
}

#[test]
fn after_a_reset_the_ipa_starts_with_the_next_terminal_profile() {
    with_terminal(&[&CHANNELS, &EVENTS, &TIMERS], |terminal| {
        terminal.serve_waiting(silent);
        let response = terminal.report(LocationStatus::Normal);
        terminal.serve(response, silent);
        terminal.card.reset();
        let status = terminal.status();
        assert_eq!(terminal.serve(status, silent), []);
        let profile = TerminalProfile::of(&[&CHANNELS[..], &EVENTS].concat(), 1).0;
        let response = terminal.send(&[0x80, 0x10, 0, 0], &profile);
        assert!(matches!(terminal.serve(response, silent)[..], [Command::SetUpEventList(_)]));
        let response = terminal.report(LocationStatus::Normal);
        assert_eq!(opened(&terminal.serve(response, silent)), 1);
    });
}
