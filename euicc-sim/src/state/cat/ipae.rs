//! The reports of the toolkit to an IPA inside the card.

use std::collections::VecDeque;

use rsp::ota::cat::{EventDownload, Proactive, TerminalResponse};

/// A report of the toolkit to the IPA inside the card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolkitEvent {
    /// The IPA starts, or starts again: the terminal has sent its profile, or it has activated the
    /// IPA.
    Started,
    /// A command of the IPA ended. The response is `None` if it could not be decoded.
    Response(Box<Proactive>, Option<TerminalResponse>),
    /// An event of the terminal.
    Event(EventDownload),
    /// The timer with this number, 1 to 8, expired.
    TimerExpired(u8),
    /// The terminal sent STATUS. This number of seconds has passed since the previous one.
    Status(u64),
}

/// Maximum number of events that wait for the IPA. It takes them after each command, so more exist
/// only if it does not run.
const MAX_EVENTS: usize = 64;

/// The part of an IPA inside the card in the state of the toolkit.
#[derive(Clone, Debug, Default)]
pub(crate) struct IpaeEvents {
    waiting: VecDeque<ToolkitEvent>,
    /// The interval of STATUS commands, as the terminal reported it.
    pub(crate) status_seconds: Option<u64>,
}

impl IpaeEvents {
    /// Adds an event. The oldest event is discarded if there are too many.
    pub(crate) fn push(&mut self, event: ToolkitEvent) {
        if self.waiting.len() >= MAX_EVENTS {
            self.waiting.pop_front();
        }
        self.waiting.push_back(event);
    }

    /// Takes all events, oldest first.
    pub(crate) fn take(&mut self) -> Vec<ToolkitEvent> {
        self.waiting.drain(..).collect()
    }
}
