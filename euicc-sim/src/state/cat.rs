//! The state of the card application toolkit.

pub(crate) mod deferred;
pub(crate) mod facilities;
pub(crate) mod ipae;
pub(crate) mod queue;
pub(crate) mod refresh;

use std::mem;

use rsp::ota::cat::{self as toolkit_commands, RefreshMode, TerminalCapability, TerminalProfile};

use super::m2m::toolkit;
use super::multi_imsi;
use crate::StatusWord;
use deferred::DeferredInput;
use ipae::IpaeEvents;
use queue::{Owner, Queue};
use refresh::Refresh;

/// Instructions: TS 102 221 section 11.2.
pub(crate) const TERMINAL_PROFILE: u8 = 0x10;

pub(crate) const TERMINAL_RESPONSE: u8 = 0x14;

pub(crate) const ENVELOPE: u8 = 0xC2;

/// The state of the terminal and of the proactive commands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cat {
    /// The facilities that the terminal announced.
    pub(crate) terminal: TerminalProfile,
    pub(crate) refresh: Refresh,
    pub(crate) queue: Queue,
    /// True while a REFRESH is postponed although no other command is pending.
    pub(crate) refresh_is_held: bool,
    /// True if the last reset did not apply the pending switch because the memory failed. The next
    /// STATUS announces the switch. The announcement is necessary, because a terminal that stays
    /// powered on does not reset the card again by itself. It waits for STATUS, because otherwise
    /// the resets would follow one another without end while the memory fails.
    pub(crate) is_switch_late: bool,
    /// Terminal input that arrived while the memory failed.
    pub(crate) deferred: DeferredInput,
    /// The toolkit application of an M2M eUICC.
    pub(crate) toolkit: toolkit::Toolkit,
    /// The volatile state of the multi-IMSI applet.
    pub(crate) identities: multi_imsi::LocationTracking,
    /// The events for an IPA inside the card.
    pub(crate) ipae: IpaeEvents,
}

impl Cat {
    /// The status word of a successful command.
    pub(crate) fn status(&self) -> StatusWord {
        self.announced_length().map_or(StatusWord::OK, StatusWord::proactive)
    }

    /// True if a proactive command waits for FETCH.
    pub(crate) fn is_announced(&self) -> bool {
        self.announced_length().is_some()
    }

    pub(crate) fn announced_length(&self) -> Option<usize> {
        // Only one command can be in progress, so nothing is announced until the terminal has
        // responded to a fetched REFRESH.
        if matches!(self.refresh, Refresh::Fetched(_)) {
            return None;
        }
        let refresh = || self.announced_refresh().map(|mode| refresh::command(mode).len());
        self.queue.announced().map(<[u8]>::len).or_else(refresh)
    }

    pub(crate) fn announced_refresh(&self) -> Option<RefreshMode> {
        let Refresh::Waiting(mode) = self.refresh else { return None };
        let may_announce =
            self.terminal.can(TerminalCapability::REFRESH) && self.queue.is_empty() && !self.refresh_is_held;
        may_announce.then_some(mode)
    }

    /// True if a pending REFRESH blocks another profile switch.
    pub(crate) fn is_busy(&self) -> bool {
        self.refresh != Refresh::None && self.terminal.can(TerminalCapability::REFRESH)
    }

    /// Announces a REFRESH for a profile switch.
    pub(crate) fn announce_switch(&mut self) {
        self.refresh = Refresh::Waiting(RefreshMode::ProfileStateChange);
    }

    /// Requests a reset by the terminal: SGP.22 section 5.7.19.
    pub(crate) fn announce_reset(&mut self) {
        self.refresh = Refresh::Waiting(RefreshMode::UiccReset);
    }

    /// Resets the toolkit after a new TERMINAL PROFILE. The terminal profile and an unfetched
    /// REFRESH are kept.
    pub(crate) fn restart(&mut self) {
        let terminal = mem::take(&mut self.terminal);
        let refresh = match self.refresh {
            // After a new TERMINAL PROFILE, the terminal does not respond to a REFRESH that it
            // fetched before. The card does not repeat the REFRESH, because this could go on for
            // ever; the next reset applies the switch.
            Refresh::Fetched(_) => Refresh::None,
            other => other,
        };
        *self = Self { terminal, refresh, is_switch_late: self.is_switch_late, ..Self::default() };
    }

    /// Queues a proactive command. Returns `false` if the terminal does not support it or if the
    /// queue is full.
    pub(crate) fn queue_command(&mut self, owner: Owner, command: toolkit_commands::Command) -> bool {
        self.queue_numbered(owner, command).is_some()
    }

    /// Queues a proactive command, and returns its command number. Returns `None` if the terminal
    /// does not support it or if the queue is full.
    pub(crate) fn queue_numbered(&mut self, owner: Owner, command: toolkit_commands::Command) -> Option<u8> {
        facilities::is_supported(&command, &self.terminal).then(|| self.queue.push(owner, command))?
    }
}
