//! What an M2M card does by itself: SGP.02 sections 3.14 to 3.16 and 4.1.1.11, over TS 102 223.
//!
//! The terminal's profile begins it: the card asks to be polled, to be told of the network and of byte streams, and where
//! it is. From then on everything here answers something that the terminal says: an envelope, a response, STATUS, a timer
//! that is over. What must outlive the power is `Stored`; all else begins anew with the terminal's profile.
//!
//! | part | what |
//! |---|---|
//! | `scp80` | command packets that come as short messages, and what is answered |
//! | `scp81` | the administration agent: sessions over HTTPS |
//! | `notification` | the SM-SR is told which profile is enabled, until it confirms |
//! | `fallback` | no network: back to the profile before, or to the one with the fallback attribute |

mod alarms;
mod numbers;
mod stored;
#[cfg(test)]
mod tests;

use rsp::ota::cat::{
    ChannelState, Command, Duration, Envelope, Event, EventDownload, Facility, GeneralResult, Imei,
    LocalInformation, LocationStatus, Response, TerminalResponse,
};

use super::super::StatusWord;
use super::super::cat::{Owner, has_streams, is_done, tells};
use super::super::context::Context;
use super::super::multi_imsi;
use super::fallback::{self, Network};
use super::{notification, scp80, scp81};

pub(crate) use alarms::{Alarm, Alarms, start, stop};
pub use numbers::Numbers;
pub(crate) use stored::{Cause, Change, Kind, Pending, ScriptAnswer, Stored, StoredSession};

/// What is going on, until the terminal says its profile anew.
#[derive(Clone, Debug, Default)]
pub(crate) struct Toolkit {
    /// How often the terminal sends STATUS, in seconds; 0 while it has not said so.
    poll_seconds: u64,
    /// The terminal's own number, as it gave it.
    pub(super) imei: Option<Imei>,
    pub(super) network: Network,
    pub(super) alarms: Alarms,
    pub(super) messages: scp80::Messages,
    pub(super) agent: scp81::Agent,
    /// A notification is to be sent once the session is over that goes on.
    pub(super) notification_waits: bool,
}

/// What the description says of times and tries.
pub(crate) fn numbers<'a>(context: &Context<'a>) -> &'a Numbers {
    context.description.m2m.as_deref().map_or(Numbers::STANDARD, |m2m| &m2m.toolkit)
}

/// What must outlive the power.
pub(super) fn stored<'a>(context: &'a Context<'_>) -> &'a Stored {
    const NOTHING: &Stored = &Stored::NEW;
    context.persistent.m2m.as_deref().map_or(NOTHING, |m2m| &m2m.toolkit)
}

/// The same, to change it.
pub(super) fn change_stored(context: &mut Context<'_>, change: impl FnOnce(&mut Stored)) {
    let mut changed = stored(context).clone();
    change(&mut changed);
    if changed != *stored(context)
        && let Some(m2m) = &mut context.persistent.to_mut().m2m
    {
        m2m.toolkit = changed;
    }
}

/// The terminal has said what it can do: TS 102 221 section 14.5.1.
pub(crate) fn begin(context: &mut Context<'_>) {
    let poll = std::time::Duration::from_secs(numbers(context).poll_seconds);
    let cat = &mut context.volatile.cat;
    cat.forget();
    cat.ask(Owner::Toolkit, Command::PollInterval(Duration::nearest(poll)));
    let (streams, terminal) = (has_streams(cat.terminal()), cat.terminal());
    let wanted =
        [(Event::LOCATION_STATUS, true), (Event::DATA_AVAILABLE, streams), (Event::CHANNEL_STATUS, streams)];
    let events: Vec<_> =
        wanted.into_iter().filter(|(event, wanted)| *wanted && tells(terminal, *event)).collect();
    let is_told_of_the_network =
        terminal.can(Facility::SET_UP_EVENT_LIST) && tells(terminal, Event::LOCATION_STATUS);
    if !events.is_empty() {
        let events = events.into_iter().map(|(event, _)| event).collect();
        cat.ask(Owner::Toolkit, Command::SetUpEventList(events));
    }
    cat.ask(Owner::Toolkit, Command::ProvideLocalInformation(LocalInformation::Imei));
    let location = Command::ProvideLocalInformation(LocalInformation::Location);
    let is_told_of_the_network = cat.ask(Owner::Toolkit, location) || is_told_of_the_network;
    // Of a terminal that never says whether there is a network it is assumed, and trying shows.
    fallback::told(context, if is_told_of_the_network { Network::Unknown } else { Network::Normal });
}

/// STATUS has come.
pub(crate) fn polled(context: &mut Context<'_>) {
    let seconds = match context.volatile.cat.toolkit.poll_seconds {
        0 => numbers(context).poll_seconds,
        said => said,
    };
    for alarm in context.volatile.cat.toolkit.alarms.pass(seconds) {
        alarmed(context, alarm);
    }
}

fn alarmed(context: &mut Context<'_>, alarm: Alarm) {
    match alarm {
        Alarm::Network => fallback::waited_long_enough(context),
        Alarm::Notification => notification::waited_long_enough(context),
        Alarm::Session => scp81::waited_long_enough(context),
    }
}

/// ENVELOPE: TS 102 221 section 11.2.2, TS 31.111 section 9.1.
pub(crate) fn envelope(context: &mut Context<'_>, data: &[u8]) -> Result<Vec<u8>, StatusWord> {
    const CELL_BROADCAST_DOWNLOAD: u8 = 0xD2;
    match Envelope::parse(data).map_err(|_| StatusWord::INCORRECT_DATA)? {
        Some(Envelope::SmsPpDownload { tpdu, .. }) => return scp80::short_message(context, &tpdu),
        Some(Envelope::EventDownload(event)) => happened(context, &event),
        Some(Envelope::TimerExpiration { timer, .. }) => {
            if let Some(alarm) = context.volatile.cat.toolkit.alarms.ring(timer) {
                alarmed(context, alarm);
            }
        }
        // For an application that is not there.
        None if data.first() == Some(&CELL_BROADCAST_DOWNLOAD) => {
            return Err(StatusWord::FUNCTION_NOT_SUPPORTED);
        }
        // Menus, calls and what else a terminal may tell: nobody here has a part in them.
        None => {}
    }
    Ok(Vec::new())
}

/// TS 102 223 section 7.5.
fn happened(context: &mut Context<'_>, event: &EventDownload) {
    match event {
        EventDownload::LocationStatus { status, location } => {
            let network = match status {
                LocationStatus::Normal => Network::Normal,
                LocationStatus::Limited => Network::Limited,
                LocationStatus::None => Network::None,
            };
            fallback::told(context, network);
            multi_imsi::told(context, *status, location.as_ref());
        }
        EventDownload::DataAvailable { status, length } => {
            scp81::data_available(context, status.channel, *length);
        }
        EventDownload::ChannelStatus(status) => match status.state {
            ChannelState::Open => {}
            ChannelState::Closed | ChannelState::Dropped => scp81::channel_gone(context, status.channel),
        },
        // Nobody here asked for it.
        EventDownload::Other(_) => {}
    }
}

/// The terminal has done, or not, what was asked for; without a response where its answer could not be read.
pub(crate) fn answered(
    context: &mut Context<'_>,
    owner: Owner,
    command: &Command,
    response: Option<&TerminalResponse>,
) {
    match owner {
        Owner::Toolkit => own_answer(context, command, response),
        Owner::Alarms => alarms::answered(context, command, response),
        // It was sent, or it was not: then the SM-SR asks again.
        Owner::ResponsePacket => {}
        Owner::Notification => notification::answered(context, response),
        Owner::Agent => scp81::answered(context, command, response),
        Owner::Identities => multi_imsi::answered(context, command, response),
    }
}

fn own_answer(context: &mut Context<'_>, command: &Command, response: Option<&TerminalResponse>) {
    /// TS 102 223 section 8.12: performed, limited service.
    const LIMITED_SERVICE: GeneralResult = GeneralResult(0x06);
    /// Section 8.12.2: why the terminal cannot now.
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
            LIMITED_SERVICE => fallback::told(context, Network::Limited),
            result if is_done(result) => fallback::told(context, Network::Normal),
            GeneralResult::TERMINAL_UNABLE if response.additional.first() == Some(&NO_SERVICE) => {
                fallback::told(context, Network::None);
            }
            // It cannot say: the event will.
            _ => {}
        },
        _ => {}
    }
}
