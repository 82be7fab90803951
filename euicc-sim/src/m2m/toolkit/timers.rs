//! Timers. A card has no clock, so it uses the timers of the terminal (TS 102 223 section 6.4.21).
//! If a timer is not available, the card counts STATUS commands.

use rsp::ota::cat::{Command, TerminalResponse, TimerAction, TimerValue};

use crate::m2m::context::M2mContext;
use crate::state::cat::queue::{Owner, is_done};
use crate::state::m2m::toolkit::{Running, TimerPurpose};

/// Starts or restarts a timer.
pub(crate) fn start(context: &mut M2mContext<'_>, purpose: TimerPurpose, seconds: u64) {
    let action = TimerAction::Start(TimerValue::of_seconds(seconds.max(1)));
    let command = Command::TimerManagement { timer: purpose as u8, action };
    let is_timed = context.volatile.cat.queue_command(Owner::Timers, command);
    let running = Running { seconds_left: seconds, is_timed };
    context.volatile.cat.toolkit.timers.0.insert(purpose, running);
}

/// Stops a timer.
pub(crate) fn stop(context: &mut M2mContext<'_>, purpose: TimerPurpose) {
    if context.volatile.cat.toolkit.timers.0.remove(&purpose).is_some_and(|running| running.is_timed) {
        let command = Command::TimerManagement { timer: purpose as u8, action: TimerAction::Deactivate };
        context.volatile.cat.queue_command(Owner::Timers, command);
    }
}

/// Processes the response to a timer command. If the terminal did not start the timer, STATUS
/// commands are counted.
pub(super) fn response_received(
    context: &mut M2mContext<'_>,
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
