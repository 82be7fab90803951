//! Timers. A card has no clock, so it uses the timers of the terminal (TS 102 223 section 6.4.21).
//! If a timer is not available, the card counts STATUS commands.

use std::collections::BTreeMap;

use rsp::ota::cat::{Command, TerminalResponse, TimerAction, TimerValue};

use super::super::super::cat::{Owner, is_done};
use super::super::super::context::Context;

/// A timer of the card. The number is that of the terminal's timer (1 to 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    /// Waits for a network.
    Network = 1,
    /// Waits for the confirmation of a notification, or for its next attempt.
    Notification = 2,
    /// Waits for the server of a session, or for the next attempt of a session.
    Session = 3,
}

/// The running timers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alarms(BTreeMap<Alarm, Running>);

#[derive(Clone, Copy, Debug)]
struct Running {
    /// Remaining time, counted in STATUS commands if the terminal has no timer.
    seconds_left: u64,
    is_timed: bool,
}

/// Starts or restarts a timer.
pub(crate) fn start(context: &mut Context<'_>, alarm: Alarm, seconds: u64) {
    let action = TimerAction::Start(TimerValue::of_seconds(seconds.max(1)));
    let command = Command::TimerManagement { timer: alarm as u8, action };
    let is_timed = context.volatile.cat.ask(Owner::Alarms, command);
    let running = Running { seconds_left: seconds, is_timed };
    context.volatile.cat.toolkit.alarms.0.insert(alarm, running);
}

/// Stops a timer.
pub(crate) fn stop(context: &mut Context<'_>, alarm: Alarm) {
    if context.volatile.cat.toolkit.alarms.0.remove(&alarm).is_some_and(|running| running.is_timed) {
        let command = Command::TimerManagement { timer: alarm as u8, action: TimerAction::Deactivate };
        context.volatile.cat.ask(Owner::Alarms, command);
    }
}

/// Processes the response to a timer command. If the terminal did not start the timer, STATUS
/// commands are counted.
pub(super) fn answered(context: &mut Context<'_>, command: &Command, response: Option<&TerminalResponse>) {
    let is_started = response.is_some_and(|response| is_done(response.result));
    if let Command::TimerManagement { timer, action: TimerAction::Start(_) } = command
        && !is_started
    {
        let alarms = &mut context.volatile.cat.toolkit.alarms.0;
        if let Some((_, running)) = alarms.iter_mut().find(|(alarm, _)| **alarm as u8 == *timer) {
            running.is_timed = false;
        }
    }
}

impl Alarms {
    pub(crate) fn is_running(&self, alarm: Alarm) -> bool {
        self.0.contains_key(&alarm)
    }

    /// Removes the timer that the terminal reports as expired.
    pub(super) fn ring(&mut self, timer: u8) -> Option<Alarm> {
        let alarm = *self.0.keys().find(|alarm| **alarm as u8 == timer)?;
        self.0.remove(&alarm);
        Some(alarm)
    }

    /// Advances the timers that are counted by the card, and returns the expired ones.
    pub(super) fn pass(&mut self, seconds: u64) -> Vec<Alarm> {
        for running in self.0.values_mut().filter(|running| !running.is_timed) {
            running.seconds_left = running.seconds_left.saturating_sub(seconds);
        }
        let over = |running: &Running| !running.is_timed && running.seconds_left == 0;
        let rung: Vec<_> =
            self.0.iter().filter(|(_, running)| over(running)).map(|(alarm, _)| *alarm).collect();
        self.0.retain(|_, running| !over(running));
        rung
    }
}
