//! The volatile state of the toolkit application.

use std::collections::BTreeMap;

use rsp::ota::cat::{Imei, OpenChannel};
use rsp::ota::sms::Reassembler;

use crate::m2m::scp81::connection::Connection;

/// The volatile state, reset by TERMINAL PROFILE.
#[derive(Clone, Debug, Default)]
pub(crate) struct Toolkit {
    /// The interval of STATUS commands in seconds; 0 until the terminal has reported it.
    pub(crate) poll_seconds: u64,
    /// The IMEI as reported by the terminal.
    pub(crate) imei: Option<Imei>,
    pub(crate) network: Network,
    pub(crate) timers: Timers,
    pub(crate) messages: Messages,
    pub(crate) agent: Agent,
    /// True if a notification must be sent after the current session.
    pub(crate) notification_waits: bool,
}

/// Location status: TS 102 223 section 8.27.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Network {
    /// Not yet reported by the terminal.
    #[default]
    Unknown,
    Normal,
    /// Limited service: emergency calls only.
    Limited,
    None,
}

/// A timer of the card. The value of a variant is the number of the terminal's timer (1 to 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerPurpose {
    /// Waits for a network.
    Network = 1,
    /// Waits for the confirmation of a notification, or for its next attempt.
    Notification = 2,
    /// Waits for the server of a session, or for the next attempt of a session.
    Session = 3,
}

/// The running timers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers(pub(crate) BTreeMap<TimerPurpose, Running>);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Running {
    /// Remaining time, counted in STATUS commands if the terminal has no timer.
    pub(crate) seconds_left: u64,
    pub(crate) is_timed: bool,
}

impl Timers {
    pub(crate) fn is_running(&self, purpose: TimerPurpose) -> bool {
        self.0.contains_key(&purpose)
    }

    /// Removes the timer that the terminal reports as expired.
    pub(crate) fn expire(&mut self, timer: u8) -> Option<TimerPurpose> {
        let purpose = *self.0.keys().find(|purpose| **purpose as u8 == timer)?;
        self.0.remove(&purpose);
        Some(purpose)
    }

    /// Advances the timers that are counted by the card, and returns the expired ones.
    pub(crate) fn advance(&mut self, seconds: u64) -> Vec<TimerPurpose> {
        for running in self.0.values_mut().filter(|running| !running.is_timed) {
            running.seconds_left = running.seconds_left.saturating_sub(seconds);
        }
        let over = |running: &Running| !running.is_timed && running.seconds_left == 0;
        let expired: Vec<_> =
            self.0.iter().filter(|(_, running)| over(running)).map(|(purpose, _)| *purpose).collect();
        self.0.retain(|_, running| !over(running));
        expired
    }
}

/// Incomplete incoming packets, and the last reference number of an outgoing one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Messages {
    pub(crate) reassembler: Reassembler,
    pub(crate) last_reference: u8,
}

/// The state of the agent.
#[derive(Clone, Debug, Default)]
pub(crate) enum Agent {
    /// There is no session, or no session could be started yet.
    #[default]
    Idle,
    /// The terminal is opening the channel.
    Opening(Box<OpenChannel>),
    /// The channel is open.
    Open(Box<Connection>),
    /// The session was interrupted and waits for its retry.
    Waiting,
}

impl Agent {
    /// True if a session is active. A session that waits for its retry is not.
    pub(crate) fn is_active(&self) -> bool {
        matches!(self, Self::Opening(_) | Self::Open(_))
    }
}
