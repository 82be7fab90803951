//! The card application toolkit: TS 102 221 section 11.2, TS 102 223.
//!
//! To what a consumer's card does only REFRESH belongs (sections 5.2, 6.4.7 and 6.6.13): "eUICC Profile State Change" to a
//! terminal whose profile says that it knows this mode, "UICC Reset" to another. To a terminal that has not said that it
//! performs REFRESH, as most tools that manage eUICCs have not, nothing is announced: the change of profiles waits for
//! the next reset.
//!
//! A profile with several identities has an applet that listens to where the terminal is (`super::multi_imsi`).
//!
//! A card for M2M asks for more (`queue`), one thing at a time, each for an owner that is told how it went; a REFRESH
//! waits until all else has been done. What the terminal has not said that it can do it is not asked.

mod known;
mod queue;
mod refresh;
mod unheard;

use std::mem;

use rsp::ota::cat::{self as toolkit_words, Facility, RefreshMode, TerminalProfile};

use super::StatusWord;
use super::apdu::{Command, Le};
use super::channel::Channel;
use super::context::Context;
use super::iso7816;
use super::m2m::toolkit;
use super::multi_imsi;
use super::state::Volatile;
use super::switch;

pub(crate) use known::{has_streams, tells};
pub(crate) use queue::{Owner, is_done};

use queue::{Answered, Queue};
use refresh::Refresh;
use unheard::{Unheard, hear_again};

/// Instructions: TS 102 221 section 11.2.
pub(crate) const TERMINAL_PROFILE: u8 = 0x10;
pub(crate) const TERMINAL_RESPONSE: u8 = 0x14;
pub(crate) const ENVELOPE: u8 = 0xC2;

/// What is known of the terminal, and what is wanted of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cat {
    terminal: TerminalProfile,
    refresh: Refresh,
    queue: Queue,
    /// The terminal is told of a change of profiles only when this is over.
    refresh_is_held: bool,
    /// The reset that was to make a change did not, because the memory failed.
    is_change_late: bool,
    /// What was said while the memory failed.
    unheard: Unheard,
    /// What a card for M2M is about.
    pub(crate) toolkit: toolkit::Toolkit,
    /// What the applet of several identities has heard.
    pub(crate) identities: multi_imsi::Listening,
}

impl Cat {
    /// What a command that succeeded ends with.
    pub(crate) fn status(&self) -> StatusWord {
        self.announced_length().map_or(StatusWord::OK, StatusWord::proactive)
    }

    /// Whether a proactive command waits for FETCH.
    pub(crate) fn is_announced(&self) -> bool {
        self.announced_length().is_some()
    }

    fn announced_length(&self) -> Option<usize> {
        // One at a time: until the terminal has answered a REFRESH, nothing else.
        if matches!(self.refresh, Refresh::Fetched(_)) {
            return None;
        }
        let refresh = || self.announced_refresh().map(|mode| refresh::command(mode).len());
        self.queue.announced().map(<[u8]>::len).or_else(refresh)
    }

    fn announced_refresh(&self) -> Option<RefreshMode> {
        let Refresh::Waiting(mode) = self.refresh else { return None };
        let may_be = self.terminal.can(Facility::REFRESH) && self.queue.is_empty() && !self.refresh_is_held;
        may_be.then_some(mode)
    }

    /// Whether another proactive command has to wait.
    pub(crate) fn is_busy(&self) -> bool {
        self.refresh != Refresh::None && self.terminal.can(Facility::REFRESH)
    }

    /// The terminal is to be told that the enabled profile is about to change.
    pub(crate) fn announce_change(&mut self) {
        self.refresh = Refresh::Waiting(RefreshMode::ProfileStateChange);
    }

    /// The same with the next STATUS: a terminal that stays on would not reset the card again by itself, and one whose memory
    /// goes on failing is not to be reset without a pause.
    pub(crate) fn announce_change_later(&mut self) {
        self.is_change_late = true;
    }

    /// The terminal is to reset the card: SGP.22 section 5.7.19.
    pub(crate) fn announce_reset(&mut self) {
        self.refresh = Refresh::Waiting(RefreshMode::UiccReset);
    }

    /// Whether a REFRESH has to wait although nothing else is asked of the terminal.
    pub(crate) fn hold_refresh(&mut self, held: bool) {
        self.refresh_is_held = held;
    }

    /// What the terminal has said that it can do.
    pub(crate) fn terminal(&self) -> &TerminalProfile {
        &self.terminal
    }

    /// The terminal begins anew: nothing is asked or known any more but what it can do and that a REFRESH waits for it.
    pub(crate) fn forget(&mut self) {
        let terminal = mem::take(&mut self.terminal);
        let refresh = match self.refresh {
            // It is not going to be answered any more, and to ask again would go on without end: the next reset does it.
            Refresh::Fetched(_) => Refresh::None,
            other => other,
        };
        *self = Self { terminal, refresh, is_change_late: self.is_change_late, ..Self::default() };
    }

    /// Asks the terminal for something. `false` when it has said that it cannot, and then nothing comes of it.
    pub(crate) fn ask(&mut self, owner: Owner, command: toolkit_words::Command) -> bool {
        known::is_known(&command, &self.terminal) && self.queue.push(owner, command)
    }

    /// Takes back what the owner asked for and the terminal has not fetched.
    pub(crate) fn withdraw(&mut self, owner: Owner) {
        self.queue.withdraw(owner);
    }

    /// Whether there is room to ask for so many things more.
    pub(crate) fn has_room(&self, commands: usize) -> bool {
        self.queue.has_room(commands)
    }

    /// The memory failed to take in what this command said.
    pub(crate) fn keep(&mut self, command: &Command<'_>) {
        self.unheard.keep(command);
    }

    /// Whether the owner waits for the terminal.
    pub(crate) fn is_asking(&self, owner: Owner) -> bool {
        self.queue.has(owner)
    }
}

/// TERMINAL PROFILE: TS 102 221 section 11.2.1.
pub(crate) fn terminal_profile(
    context: &mut Context<'_>,
    command: &Command<'_>,
) -> Result<Vec<u8>, StatusWord> {
    match (command.p1, command.p2, command.data) {
        (0, 0, []) => Err(StatusWord::WRONG_LENGTH),
        (0, 0, octets) => {
            hear_again(context);
            begin(context, octets);
            Ok(Vec::new())
        }
        _ => Err(StatusWord::INCORRECT_P1_P2),
    }
}

/// With a terminal that can do this.
fn begin(context: &mut Context<'_>, profile: &[u8]) {
    context.volatile.cat.terminal = TerminalProfile(profile.to_vec());
    if context.m2m().is_ok() {
        toolkit::begin(context);
    }
    multi_imsi::begin(context);
}

/// TERMINAL CAPABILITY: TS 102 221 section 11.1.19. Looked through, nothing in it changes this card.
pub(crate) fn terminal_capability(command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    if (command.p1, command.p2) != (0, 0) {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    match rsp::der::tlv::split(command.data) {
        Some((rsp::der::Tag(0xA9), contents)) if rsp::der::tlv::each(contents).is_ok() => Ok(Vec::new()),
        _ => Err(StatusWord::INCORRECT_DATA),
    }
}

/// STATUS: TS 102 221 section 11.1.2. Its regular coming is what a card has instead of a clock.
pub(crate) fn status(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    hear_again(context);
    let answer = iso7816::status(context, command);
    let (is_m2m, has_identities) = (context.m2m().is_ok(), multi_imsi::is_there(context));
    if context.channel == 0 && (is_m2m || has_identities) {
        context.volatile.cat.queue.release();
        if mem::take(&mut context.volatile.cat.is_change_late) {
            context.volatile.cat.announce_change();
        }
        if is_m2m {
            toolkit::polled(context);
        }
        if has_identities {
            multi_imsi::polled(context);
        }
    }
    answer
}

/// ENVELOPE: TS 102 221 section 11.2.2.
pub(crate) fn envelope(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    if (command.p1, command.p2) != (0, 0) {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    if command.data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    hear_again(context);
    context.volatile.cat.queue.release();
    hear_envelope(context, command.data)
}

fn hear_envelope(context: &mut Context<'_>, data: &[u8]) -> Result<Vec<u8>, StatusWord> {
    if context.m2m().is_ok() {
        return toolkit::envelope(context, data);
    }
    if multi_imsi::envelope(context, data) { Ok(Vec::new()) } else { unheard_envelope(data) }
}

/// No application here waits for an event, a timer or a choice, or has a say in calls: these pass without an answer. What
/// is sent for an application to act on, nobody takes.
fn unheard_envelope(data: &[u8]) -> Result<Vec<u8>, StatusWord> {
    /// SMS-PP and cell broadcast download: TS 31.111 section 9.1.
    const DOWNLOADS: [u32; 2] = [0xD1, 0xD2];
    match rsp::der::tlv::split(data) {
        Some((tag, contents)) if (0xD1..=0xDF).contains(&tag.0) && rsp::der::tlv::each(contents).is_ok() => {
            if DOWNLOADS.contains(&tag.0) {
                Err(StatusWord::FUNCTION_NOT_SUPPORTED)
            } else {
                Ok(Vec::new())
            }
        }
        _ => Err(StatusWord::INCORRECT_DATA),
    }
}

/// FETCH: TS 102 221 section 11.2.3.
pub(crate) fn fetch(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    if (command.p1, command.p2) != (0, 0) {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    if !command.data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    let cat = &mut context.volatile.cat;
    let length = cat.announced_length().ok_or(StatusWord::CONDITIONS_NOT_SATISFIED)?;
    match command.le {
        Some(Le::Maximum(_)) => {}
        Some(Le::Exactly(octets)) if octets == length => {}
        _ => return Err(StatusWord::wrong_le(length)),
    }
    if let Some(command) = cat.queue.fetch() {
        return Ok(command);
    }
    let Refresh::Waiting(mode) = cat.refresh else { return Err(StatusWord::CONDITIONS_NOT_SATISFIED) };
    let mode =
        if cat.terminal.can(Facility::REFRESH_PROFILE_STATE_CHANGE) { mode } else { RefreshMode::UiccReset };
    cat.refresh = Refresh::Fetched(mode);
    Ok(refresh::command(mode))
}

/// TERMINAL RESPONSE: TS 102 221 section 11.2.4, TS 102 223 section 6.8.
pub(crate) fn terminal_response(
    context: &mut Context<'_>,
    command: &Command<'_>,
) -> Result<Vec<u8>, StatusWord> {
    if (command.p1, command.p2) != (0, 0) {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    context.volatile.cat.unheard.forget_response();
    hear_response(context, command.data)
}

/// What the terminal has done of that which was fetched.
fn hear_response(context: &mut Context<'_>, data: &[u8]) -> Result<Vec<u8>, StatusWord> {
    let Refresh::Fetched(mode) = context.volatile.cat.refresh else {
        return queued_response(context, data);
    };
    let result = general_result(data, mode).ok_or(StatusWord::INCORRECT_DATA)?;
    context.volatile.cat.refresh = Refresh::None;
    match result >> 4 {
        // Performed.
        0 => {
            switch::apply_pending(context);
            if mode == RefreshMode::ProfileStateChange {
                multi_imsi::apply_pending(context);
                // Section 6.4.7: as after an activation, before the answer to this command.
                *context.volatile = Volatile::after_reset(Channel::fresh(&context.persistent));
            }
        }
        // Not now, but it may be worth trying again: announced from the next command on.
        2 => {
            context.volatile.cat.refresh = Refresh::Waiting(mode);
            context.warning = Some(StatusWord::OK);
        }
        // Not at all: the switch stays due, and the next reset makes it.
        _ => {}
    }
    Ok(Vec::new())
}

/// TERMINAL RESPONSE to something else than REFRESH.
fn queued_response(context: &mut Context<'_>, data: &[u8]) -> Result<Vec<u8>, StatusWord> {
    if !context.volatile.cat.queue.is_fetched() {
        return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
    }
    let tries = toolkit::numbers(context).tries_of_a_command;
    match context.volatile.cat.queue.answer(data, tries) {
        Answered::Nobody => return Err(StatusWord::INCORRECT_DATA),
        Answered::Later => {}
        Answered::Done(owner, asked, response) => {
            toolkit::answered(context, owner, &asked, response.as_ref());
            if response.is_none() {
                return Err(StatusWord::INCORRECT_DATA);
            }
        }
    }
    Ok(Vec::new())
}

/// The general result, if the answer is one to REFRESH in this mode; tags with or without "comprehension required".
fn general_result(data: &[u8], mode: RefreshMode) -> Option<u8> {
    let elements = rsp::der::tlv::each(data).ok()?;
    let find = |number: u32| {
        elements.iter().filter_map(|tlv| rsp::der::tlv::split(tlv)).find(|(tag, _)| tag.0 & 0x7F == number)
    };
    let (_, details) = find(0x01)?;
    let (_, result) = find(0x03)?;
    (details == refresh::details(mode)).then_some(result.first().copied()).flatten()
}
