//! Timers. A card has no clock, so it uses the timers of the terminal (TS 102 223 section 6.4.21).
//! If a timer is not available, the card counts STATUS commands.

use std::collections::BTreeMap;

use rsp::ota::cat::{Command, TerminalResponse, TimerAction, TimerValue};

use super::super::super::context::Context;
use crate::state::cat::queue::{Owner, is_done};

/// A timer of the card. The number is that of the terminal's timer (1 to 8).
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
pub(crate) struct Timers(BTreeMap<TimerPurpose, Running>);

#[derive(Clone, Copy, Debug)]
struct Running {
    /// Remaining time, counted in STATUS commands if the terminal has no timer.
    seconds_left: u64,
    is_timed: bool,
}

/// Starts or restarts a timer.
pub(crate) fn start(context: &mut Context<'_>, purpose: TimerPurpose, seconds: u64) {
    let action = TimerAction::Start(TimerValue::of_seconds(seconds.max(1)));
    let command = Command::TimerManagement { timer: purpose as u8, action };
    let is_timed = context.volatile.cat.queue_command(Owner::Timers, command);
    let running = Running { seconds_left: seconds, is_timed };
    context.volatile.cat.toolkit.timers.0.insert(purpose, running);
}

/// Stops a timer.
pub(crate) fn stop(context: &mut Context<'_>, purpose: TimerPurpose) {
    if context.volatile.cat.toolkit.timers.0.remove(&purpose).is_some_and(|running| running.is_timed) {
        let command = Command::TimerManagement { timer: purpose as u8, action: TimerAction::Deactivate };
        context.volatile.cat.queue_command(Owner::Timers, command);
    }
}

/// Processes the response to a timer command. If the terminal did not start the timer, STATUS
/// commands are counted.
pub(super) fn response_received(
    context: &mut Context<'_>,
    command: &Command,
    response: Option<&TerminalResponse>,
) {
    let is_started = response.is_some_and(|response| is_done(response.result));
    if let Command::TimerManagement { timer, action: TimerAction::Start(_) } = command
        && !is_started
    {
        let timers = &mut context.volatile.cat.toolkit.timers.0;
        if let Some((_, running)) = timers.iter_mut().find(|(purpose, _)| **purpose as u8 == *timer) {
            running.is_timed = false;
        }
    }
}

impl Timers {
    pub(crate) fn is_running(&self, purpose: TimerPurpose) -> bool {
        self.0.contains_key(&purpose)
    }

    /// Removes the timer that the terminal reports as expired.
    pub(super) fn expire(&mut self, timer: u8) -> Option<TimerPurpose> {
        let purpose = *self.0.keys().find(|purpose| **purpose as u8 == timer)?;
        self.0.remove(&purpose);
        Some(purpose)
    }

    /// Advances the timers that are counted by the card, and returns the expired ones.
    pub(super) fn advance(&mut self, seconds: u64) -> Vec<TimerPurpose> {
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
