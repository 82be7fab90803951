//! The card application toolkit, as far as a change of profiles needs it: TS 102 221 section 11.2, TS 102 223 sections
//! 5.2, 6.4.7 and 6.6.13.
//!
//! The one proactive command is REFRESH: "eUICC Profile State Change" to a terminal whose profile says that it knows
//! this mode, "UICC Reset" to another. To a terminal that has not said that it performs REFRESH, as most tools that
//! manage eUICCs have not, nothing is announced: the change of profiles waits for the next reset.

use super::apdu::{Command, Le};
use super::channel::Channel;
use super::context::Context;
use super::state::Volatile;
use super::status_word::StatusWord;
use super::switch;

/// What is known of the terminal, and how far the proactive command has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cat {
    terminal: TerminalProfile,
    refresh: Refresh,
}

/// What of TERMINAL PROFILE makes a difference to this card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct TerminalProfile {
    refresh: bool,
    profile_state_change: bool,
}

/// How far REFRESH has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Refresh {
    /// There is none.
    #[default]
    None,
    /// It waits for FETCH, in this mode if the terminal knows it.
    Waiting(RefreshMode),
    /// It was fetched and waits for TERMINAL RESPONSE.
    Fetched(RefreshMode),
}

/// The command qualifier of REFRESH: TS 102 223 section 8.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RefreshMode {
    /// The terminal resets the card; that is its answer.
    UiccReset = 0x04,
    /// The terminal forgets what it knew of the profile, answers, and begins anew without a reset.
    ProfileStateChange = 0x09,
}

/// Length of REFRESH in either mode.
const REFRESH_LENGTH: usize = 11;

impl RefreshMode {
    /// Command details: number 1, REFRESH, the mode.
    const fn details(self) -> [u8; 3] {
        [0x01, 0x01, self as u8]
    }

    /// The command: details and device identities (UICC to terminal).
    const fn command(self) -> [u8; REFRESH_LENGTH] {
        let [number, kind, qualifier] = self.details();
        [0xD0, 0x09, 0x81, 0x03, number, kind, qualifier, 0x82, 0x02, 0x81, 0x82]
    }
}

impl TerminalProfile {
    /// TS 102 223 section 5.2: octets and bits are counted from 1, what is not sent is not supported.
    fn of(octets: &[u8]) -> Self {
        let has = |octet: usize, bit: u32| {
            octets.get(octet.saturating_sub(1)).is_some_and(|octet| octet >> bit.saturating_sub(1) & 1 == 1)
        };
        Self { refresh: has(3, 8), profile_state_change: has(34, 6) }
    }
}

impl Cat {
    /// What a command that succeeded ends with.
    pub(crate) fn status(self) -> StatusWord {
        if self.is_announced() { StatusWord::proactive(REFRESH_LENGTH) } else { StatusWord::OK }
    }

    /// Whether a proactive command waits for FETCH.
    pub(crate) fn is_announced(self) -> bool {
        matches!(self.refresh, Refresh::Waiting(_)) && self.terminal.refresh
    }

    /// Whether another proactive command has to wait.
    pub(crate) fn is_busy(self) -> bool {
        self.refresh != Refresh::None && self.terminal.refresh
    }

    /// The terminal is to be told that the enabled profile is about to change.
    pub(crate) fn announce_change(&mut self) {
        self.refresh = Refresh::Waiting(RefreshMode::ProfileStateChange);
    }

    /// The terminal is to reset the card: SGP.22 section 5.7.19.
    pub(crate) fn announce_reset(&mut self) {
        self.refresh = Refresh::Waiting(RefreshMode::UiccReset);
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
            context.volatile.cat.terminal = TerminalProfile::of(octets);
            Ok(Vec::new())
        }
        _ => Err(StatusWord::INCORRECT_P1_P2),
    }
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

/// ENVELOPE: TS 102 221 section 11.2.2. No application here waits for an event, a timer or a choice, or has a say in
/// calls: these pass without an answer. What is sent for an application to act on, nobody takes.
pub(crate) fn envelope(command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    /// SMS-PP and cell broadcast download: TS 31.111 section 9.1.
    const DOWNLOADS: [u32; 2] = [0xD1, 0xD2];
    if (command.p1, command.p2) != (0, 0) {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    if command.data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    match rsp::der::tlv::split(command.data) {
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
    let Refresh::Waiting(mode) = cat.refresh else { return Err(StatusWord::CONDITIONS_NOT_SATISFIED) };
    if !cat.is_announced() {
        return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
    }
    match command.le {
        Some(Le::Maximum(_)) => {}
        Some(Le::Exactly(octets)) if octets == REFRESH_LENGTH => {}
        _ => return Err(StatusWord::wrong_le(REFRESH_LENGTH)),
    }
    let mode = if cat.terminal.profile_state_change { mode } else { RefreshMode::UiccReset };
    cat.refresh = Refresh::Fetched(mode);
    Ok(mode.command().to_vec())
}

/// TERMINAL RESPONSE: TS 102 221 section 11.2.4, TS 102 223 section 6.8.
pub(crate) fn terminal_response(
    context: &mut Context<'_>,
    command: &Command<'_>,
) -> Result<Vec<u8>, StatusWord> {
    if (command.p1, command.p2) != (0, 0) {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    let Refresh::Fetched(mode) = context.volatile.cat.refresh else {
        return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
    };
    let result = general_result(command.data, mode).ok_or(StatusWord::INCORRECT_DATA)?;
    context.volatile.cat.refresh = Refresh::None;
    match result >> 4 {
        // Performed.
        0 => {
            switch::make_due(context);
            if mode == RefreshMode::ProfileStateChange {
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

/// The general result, if the answer is one to REFRESH in this mode; tags with or without "comprehension required".
fn general_result(data: &[u8], mode: RefreshMode) -> Option<u8> {
    let elements = rsp::der::tlv::each(data).ok()?;
    let find = |number: u32| {
        elements.iter().filter_map(|tlv| rsp::der::tlv::split(tlv)).find(|(tag, _)| tag.0 & 0x7F == number)
    };
    let (_, details) = find(0x01)?;
    let (_, result) = find(0x03)?;
    (details == mode.details()).then_some(result.first().copied()).flatten()
}
