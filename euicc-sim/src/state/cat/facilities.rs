//! Terminal facilities that a proactive command needs: TS 102 223 section 5.2.

use rsp::ota::cat::{Command, Event, LocalInformation, TerminalCapability, TerminalProfile, TimerAction};

/// True if the terminal profile announces all facilities for this command.
pub(crate) fn is_supported(command: &Command, terminal: &TerminalProfile) -> bool {
    let all = |facilities: &[TerminalCapability]| facilities.iter().all(|facility| terminal.can(*facility));
    match command {
        Command::Refresh(_) => all(&[TerminalCapability::REFRESH]),
        Command::MoreTime => all(&[TerminalCapability::MORE_TIME]),
        Command::PollInterval(_) => all(&[TerminalCapability::POLL_INTERVAL]),
        Command::PollingOff => all(&[TerminalCapability::POLLING_OFF]),
        Command::SetUpEventList(events) => {
            all(&[TerminalCapability::SET_UP_EVENT_LIST])
                && events.iter().all(|event| reports_event(terminal, *event))
        }
        Command::SendShortMessage { .. } => all(&[TerminalCapability::SEND_SHORT_MESSAGE]),
        Command::ProvideLocalInformation(LocalInformation::Location | LocalInformation::Imei) => {
            all(&[TerminalCapability::LOCATION_AND_IMEI])
        }
        // This card does not request the IMEISV.
        Command::ProvideLocalInformation(LocalInformation::Imeisv) => false,
        Command::TimerManagement { action: TimerAction::TimeLeft, .. } => {
            all(&[TerminalCapability::TIMER_TIME_LEFT])
        }
        // A timer is useful only if the terminal reports its expiration.
        Command::TimerManagement { .. } => {
            all(&[TerminalCapability::TIMER_MANAGEMENT, TerminalCapability::TIMER_EXPIRATION])
        }
        Command::OpenChannel(_) => supports_tcp_channels(terminal),
        Command::CloseChannel { .. } => all(&[TerminalCapability::CLOSE_CHANNEL]),
        Command::ReceiveData { .. } => all(&[TerminalCapability::RECEIVE_DATA]),
        Command::SendData { .. } => all(&[TerminalCapability::SEND_DATA]),
        Command::GetChannelStatus => all(&[TerminalCapability::GET_CHANNEL_STATUS]),
    }
}

/// True if the terminal supports TCP client channels and reports their events.
pub(crate) fn supports_tcp_channels(terminal: &TerminalProfile) -> bool {
    const NEEDED: [TerminalCapability; 7] = [
        TerminalCapability::OPEN_CHANNEL,
        TerminalCapability::CLOSE_CHANNEL,
        TerminalCapability::RECEIVE_DATA,
        TerminalCapability::SEND_DATA,
        TerminalCapability::TCP_CLIENT,
        TerminalCapability::SET_UP_EVENT_LIST,
        TerminalCapability::EVENT_DATA_AVAILABLE,
    ];
    NEEDED.iter().all(|facility| terminal.can(*facility))
}

/// True if the terminal reports this event.
pub(crate) fn reports_event(terminal: &TerminalProfile, event: Event) -> bool {
    match event {
        Event::LOCATION_STATUS => terminal.can(TerminalCapability::EVENT_LOCATION_STATUS),
        Event::DATA_AVAILABLE => terminal.can(TerminalCapability::EVENT_DATA_AVAILABLE),
        Event::CHANNEL_STATUS => terminal.can(TerminalCapability::EVENT_CHANNEL_STATUS),
        _ => false,
    }
}
