//! Waiting. A card has no clock: the terminal's timers (TS 102 223 section 6.4.21) tell it that time has passed, and where
//! there are none the regular coming of STATUS does.

use std::collections::BTreeMap;

use rsp::ota::cat::{Command, TerminalResponse, TimerAction, TimerValue};

use super::super::super::cat::{Owner, is_done};
use super::super::super::context::Context;

/// What the card waits for; the number is that of the terminal's timer (1 to 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    /// A network.
    Network = 1,
    /// The confirmation of a notification, or the time to send it again.
    Notification = 2,
    /// The server of a session, or the time to begin it again.
    Session = 3,
}

/// What is being waited for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alarms(BTreeMap<Alarm, Running>);

#[derive(Clone, Copy, Debug)]
struct Running {
    /// Counted in STATUS, where the terminal has no timer for it.
    seconds_left: u64,
    is_timed: bool,
}

/// Begins to wait, from the beginning if it was waited for already.
pub(crate) fn start(context: &mut Context<'_>, alarm: Alarm, seconds: u64) {
    let action = TimerAction::Start(TimerValue::of_seconds(seconds.max(1)));
    let command = Command::TimerManagement { timer: alarm as u8, action };
    let is_timed = context.volatile.cat.ask(Owner::Alarms, command);
    let running = Running { seconds_left: seconds, is_timed };
    context.volatile.cat.toolkit.alarms.0.insert(alarm, running);
}

/// Waits no longer.
pub(crate) fn stop(context: &mut Context<'_>, alarm: Alarm) {
    if context.volatile.cat.toolkit.alarms.0.remove(&alarm).is_some_and(|running| running.is_timed) {
        let command = Command::TimerManagement { timer: alarm as u8, action: TimerAction::Deactivate };
        context.volatile.cat.ask(Owner::Alarms, command);
    }
}

/// The terminal has started or stopped a timer, or not: then STATUS is counted.
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

    /// The terminal says that this timer is over.
    pub(super) fn ring(&mut self, timer: u8) -> Option<Alarm> {
        let alarm = *self.0.keys().find(|alarm| **alarm as u8 == timer)?;
        self.0.remove(&alarm);
        Some(alarm)
    }

    /// So much time has passed: what is over of that which the terminal has no timer for.
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
