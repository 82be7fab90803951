//! Terminal facilities that a proactive command needs: TS 102 223 section 5.2.

use rsp::ota::cat::{Command, Event, Facility, LocalInformation, TerminalProfile, TimerAction};

/// True if the terminal profile announces all facilities for this command.
pub(crate) fn is_supported(command: &Command, terminal: &TerminalProfile) -> bool {
    let all = |facilities: &[Facility]| facilities.iter().all(|facility| terminal.can(*facility));
    match command {
        Command::Refresh(_) => all(&[Facility::REFRESH]),
        Command::MoreTime => all(&[Facility::MORE_TIME]),
        Command::PollInterval(_) => all(&[Facility::POLL_INTERVAL]),
        Command::PollingOff => all(&[Facility::POLLING_OFF]),
        Command::SetUpEventList(events) => {
            all(&[Facility::SET_UP_EVENT_LIST]) && events.iter().all(|event| reports_event(terminal, *event))
        }
        Command::SendShortMessage { .. } => all(&[Facility::SEND_SHORT_MESSAGE]),
        Command::ProvideLocalInformation(LocalInformation::Location | LocalInformation::Imei) => {
            all(&[Facility::LOCATION_AND_IMEI])
        }
        // This card does not request the IMEISV.
        Command::ProvideLocalInformation(LocalInformation::Imeisv) => false,
        Command::TimerManagement { action: TimerAction::TimeLeft, .. } => all(&[Facility::TIMER_TIME_LEFT]),
        // A timer is useful only if the terminal reports its expiration.
        Command::TimerManagement { .. } => all(&[Facility::TIMER_MANAGEMENT, Facility::TIMER_EXPIRATION]),
        Command::OpenChannel(_) => supports_tcp_channels(terminal),
        Command::CloseChannel { .. } => all(&[Facility::CLOSE_CHANNEL]),
        Command::ReceiveData { .. } => all(&[Facility::RECEIVE_DATA]),
        Command::SendData { .. } => all(&[Facility::SEND_DATA]),
        Command::GetChannelStatus => all(&[Facility::GET_CHANNEL_STATUS]),
    }
}

/// True if the terminal supports TCP client channels and reports their events.
pub(crate) fn supports_tcp_channels(terminal: &TerminalProfile) -> bool {
    const NEEDED: [Facility; 7] = [
        Facility::OPEN_CHANNEL,
        Facility::CLOSE_CHANNEL,
        Facility::RECEIVE_DATA,
        Facility::SEND_DATA,
        Facility::TCP_CLIENT,
        Facility::SET_UP_EVENT_LIST,
        Facility::EVENT_DATA_AVAILABLE,
    ];
    NEEDED.iter().all(|facility| terminal.can(*facility))
}

/// True if the terminal reports this event.
pub(crate) fn reports_event(terminal: &TerminalProfile, event: Event) -> bool {
    match event {
        Event::LOCATION_STATUS => terminal.can(Facility::EVENT_LOCATION_STATUS),
        Event::DATA_AVAILABLE => terminal.can(Facility::EVENT_DATA_AVAILABLE),
        Event::CHANNEL_STATUS => terminal.can(Facility::EVENT_CHANNEL_STATUS),
        _ => false,
    }
}
