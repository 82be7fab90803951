//! The toolkit application of an M2M eUICC: SGP.02 sections 3.14 to 3.16 and 4.1.1.11, over TS 102
//! 223.
//!
//! TERMINAL PROFILE starts the application. The card requests periodic STATUS commands, events for
//! location status and byte streams, and the location. After that, the application only reacts to
//! the terminal: to an envelope, a response, STATUS, or an expired timer. `ToolkitState` holds the
//! persistent state; all other state is reset by TERMINAL PROFILE.
//!
//! | part | contents |
//! |---|---|
//! | `scp80` | command packets in short messages, and their responses |
//! | `scp81` | the administration agent: HTTPS sessions |
//! | `notification` | reports the enabled profile to the SM-SR until it confirms |
//! | `fallback` | without a network: rolls back, or enables the profile with the fallback attribute |

pub(crate) mod settings;
#[cfg(test)]
mod tests;
pub(crate) mod timers;

use rsp::ota::cat::{
    ChannelState, Command, Duration, Envelope, Event, EventDownload, GeneralResult, LocalInformation,
    LocationStatus, Response, TerminalCapability, TerminalResponse,
};

use super::fallback;
use super::handlers::PacketHandlers;
use super::{delivery, scp80, scp81, script};
use crate::StatusWord;
use crate::m2m::context::M2mContext;
use crate::multi_imsi;
use crate::state::cat::facilities::{reports_event, supports_tcp_channels};
use crate::state::cat::queue::{LIMITED_SERVICE, Owner, is_done};

use crate::state::m2m::toolkit::{Network, TimerPurpose};
pub use settings::ToolkitSettings;

/// The handlers of command packets that arrive in short messages.
const HANDLERS: PacketHandlers = PacketHandlers { run_script: script::run, trigger: scp81::trigger };

/// Starts the application after TERMINAL PROFILE: TS 102 221 section 14.5.1.
pub(crate) fn begin(context: &mut M2mContext<'_>) {
    let poll = std::time::Duration::from_secs(context.toolkit_settings().poll_seconds);
    let cat = &mut context.volatile.cat;
    cat.restart();
    cat.queue_command(Owner::Toolkit, Command::PollInterval(Duration::nearest(poll)));
    let (streams, terminal) = (supports_tcp_channels(&cat.terminal), &cat.terminal);
    let is_wanted =
        [(Event::LOCATION_STATUS, true), (Event::DATA_AVAILABLE, streams), (Event::CHANNEL_STATUS, streams)];
    let events: Vec<_> = is_wanted
        .into_iter()
        .filter(|(event, is_wanted)| *is_wanted && reports_event(terminal, *event))
        .collect();
    let reports_network = terminal.can(TerminalCapability::SET_UP_EVENT_LIST)
        && reports_event(terminal, Event::LOCATION_STATUS);
    if !events.is_empty() {
        let events = events.into_iter().map(|(event, _)| event).collect();
        cat.queue_command(Owner::Toolkit, Command::SetUpEventList(events));
    }
    cat.queue_command(Owner::Toolkit, Command::ProvideLocalInformation(LocalInformation::Imei));
    let location = Command::ProvideLocalInformation(LocalInformation::Location);
    let reports_network = cat.queue_command(Owner::Toolkit, location) || reports_network;
    // If the terminal cannot report the location status, the card assumes a network. If there is
    // none, the attempts to send fail.
    fallback::network_status_changed(
        context,
        if reports_network { Network::Unknown } else { Network::Normal },
    );
}

/// Processes STATUS, which advances the timers counted by the card.
pub(crate) fn status_received(context: &mut M2mContext<'_>) {
    let seconds = match context.volatile.cat.toolkit.poll_seconds {
        0 => context.toolkit_settings().poll_seconds,
        reported => reported,
    };
    for purpose in context.volatile.cat.toolkit.timers.advance(seconds) {
        timer_expired(context, purpose);
    }
}

fn timer_expired(context: &mut M2mContext<'_>, purpose: TimerPurpose) {
    match purpose {
        TimerPurpose::Network => fallback::timer_expired(context),
        TimerPurpose::Notification => fallback::notification_timer_expired(context),
        TimerPurpose::Session => scp81::timer_expired(context),
    }
}

/// ENVELOPE: TS 102 221 section 11.2.2, TS 31.111 section 9.1.
pub(crate) fn envelope(context: &mut M2mContext<'_>, data: &[u8]) -> Result<Vec<u8>, StatusWord> {
    const CELL_BROADCAST_DOWNLOAD: u8 = 0xD2;
    match Envelope::parse(data).map_err(|_| StatusWord::INCORRECT_DATA)? {
        Some(Envelope::SmsPpDownload { tpdu, .. }) => return scp80::short_message(context, &tpdu, HANDLERS),
        Some(Envelope::EventDownload(event)) => process_event(context, &event),
        Some(Envelope::TimerExpiration { timer, .. }) => {
            if let Some(purpose) = context.volatile.cat.toolkit.timers.expire(timer) {
                timer_expired(context, purpose);
            }
        }
        // There is no application for cell broadcast.
        None if data.first() == Some(&CELL_BROADCAST_DOWNLOAD) => {
            return Err(StatusWord::FUNCTION_NOT_SUPPORTED);
        }
        // Menu selection, call control and other envelopes have no effect on this card.
        None => {}
    }
    Ok(Vec::new())
}

/// TS 102 223 section 7.5.
fn process_event(context: &mut M2mContext<'_>, event: &EventDownload) {
    match event {
        EventDownload::LocationStatus { status, location } => {
            let network = match status {
                LocationStatus::Normal => Network::Normal,
                LocationStatus::Limited => Network::Limited,
                LocationStatus::None => Network::None,
            };
            fallback::network_status_changed(context, network);
            multi_imsi::location_reported(context, *status, location.as_ref());
        }
        EventDownload::DataAvailable { status, length } => {
            scp81::data_available(context, status.channel, *length);
        }
        EventDownload::ChannelStatus(status) => match status.state {
            ChannelState::Open => {}
            ChannelState::Closed | ChannelState::Dropped => scp81::link_lost(context, status.channel),
        },
        // The card does not subscribe to other events.
        EventDownload::Other(_) => {}
    }
}

/// Dispatches the response to a proactive command to its owner. The response is `None` if it could
/// not be decoded.
pub(crate) fn response_received(
    context: &mut M2mContext<'_>,
    owner: Owner,
    command: &Command,
    response: Option<&TerminalResponse>,
) {
    match owner {
        Owner::Toolkit => process_own_response(context, command, response),
        Owner::Timers => timers::response_received(context, command, response),
        // The result is not needed: if the message was not sent, the SM-SR repeats its request.
        Owner::ResponsePacket => {}
        Owner::Notification => delivery::response_received(context, response),
        Owner::Agent => scp81::response_received(context, command, response, script::run),
        Owner::Identities => multi_imsi::response_received(context, command, response),
        // An M2M eUICC has no IPA.
        Owner::Ipae => {}
    }
}

fn process_own_response(
    context: &mut M2mContext<'_>,
    command: &Command,
    response: Option<&TerminalResponse>,
) {
    /// TS 102 223 section 8.12.2: additional information "no service".
    const NO_SERVICE: u8 = 0x04;
    let Some(response) = response else { return };
    match (command, &response.response) {
        (Command::PollInterval(_), Response::PollInterval(interval)) if is_done(response.result) => {
            context.volatile.cat.toolkit.poll_seconds = interval.as_time().as_secs().max(1);
        }
        (Command::ProvideLocalInformation(LocalInformation::Imei), Response::Imei(imei)) => {
            context.volatile.cat.toolkit.imei = Some(*imei);
        }
        (Command::ProvideLocalInformation(LocalInformation::Location), _) => match response.result {
            LIMITED_SERVICE => fallback::network_status_changed(context, Network::Limited),
            result if is_done(result) => fallback::network_status_changed(context, Network::Normal),
            GeneralResult::TERMINAL_UNABLE if response.additional.first() == Some(&NO_SERVICE) => {
                fallback::network_status_changed(context, Network::None);
            }
            // The location is unavailable; the event will report it.
            _ => {}
        },
        _ => {}
    }
}
