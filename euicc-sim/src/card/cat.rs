//! The card application toolkit, as far as a change of profiles needs it: TS 102 223 sections 6.4.7 and 6.6.13.
//!
//! The one proactive command is REFRESH with "UICC reset". It is announced by `91xx` whether or not the terminal
//! sent a profile of its own: the tools that manage eUICCs do not, and understand the answer all the same.

use super::apdu::{Command, Le};
use super::context::Context;
use super::status_word::StatusWord;
use super::switch;

/// How far a proactive command has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Cat {
    /// There is none.
    #[default]
    Quiet,
    /// REFRESH waits for FETCH.
    Announced,
    /// REFRESH was fetched and waits for TERMINAL RESPONSE.
    Fetched,
}

/// REFRESH, UICC reset: command details (number 1), device identities (UICC to terminal).
const REFRESH: [u8; 11] = [0xD0, 0x09, 0x81, 0x03, 0x01, 0x01, 0x04, 0x82, 0x02, 0x81, 0x82];

/// How a terminal's answer to [`REFRESH`] begins: the same command details.
const COMMAND_DETAILS: [u8; 3] = [0x01, 0x01, 0x04];

impl Cat {
    /// What a command that succeeded ends with.
    pub(crate) fn status(self) -> StatusWord {
        match self {
            Self::Announced => StatusWord::proactive(REFRESH.len()),
            Self::Quiet | Self::Fetched => StatusWord::OK,
        }
    }

    /// Whether a proactive command waits for FETCH.
    pub(crate) fn is_announced(self) -> bool {
        self == Self::Announced
    }

    /// Whether another proactive command has to wait.
    pub(crate) fn is_busy(self) -> bool {
        self != Self::Quiet
    }
}

/// TERMINAL PROFILE: TS 102 221 section 11.2.1. What the terminal can do makes no difference to a reset.
pub(crate) fn terminal_profile(command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    match (command.p1, command.p2, command.data) {
        (0, 0, [_, ..]) => Ok(Vec::new()),
        (0, 0, []) => Err(StatusWord::WRONG_LENGTH),
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

/// FETCH: TS 102 221 section 11.2.3.
pub(crate) fn fetch(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    if (command.p1, command.p2) != (0, 0) {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    if !command.data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    if context.volatile.cat != Cat::Announced {
        return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
    }
    match command.le {
        Some(Le::Maximum(_)) => {}
        Some(Le::Exactly(octets)) if octets == REFRESH.len() => {}
        _ => return Err(StatusWord::wrong_le(REFRESH.len())),
    }
    context.volatile.cat = Cat::Fetched;
    Ok(REFRESH.to_vec())
}

/// TERMINAL RESPONSE: TS 102 221 section 11.2.4, TS 102 223 section 6.8.
pub(crate) fn terminal_response(
    context: &mut Context<'_>,
    command: &Command<'_>,
) -> Result<Vec<u8>, StatusWord> {
    if (command.p1, command.p2) != (0, 0) {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    if context.volatile.cat != Cat::Fetched {
        return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
    }
    let result = general_result(command.data).ok_or(StatusWord::INCORRECT_DATA)?;
    context.volatile.cat = Cat::Quiet;
    // 0X: performed. Whatever else it says, the switch stays due and the next reset makes it.
    if result >> 4 == 0 {
        switch::make_due(context);
    }
    Ok(Vec::new())
}

/// The general result, if the answer is one to [`REFRESH`]; tags with or without "comprehension required".
fn general_result(data: &[u8]) -> Option<u8> {
    let elements = rsp::der::tlv::each(data).ok()?;
    let find = |number: u32| {
        elements.iter().filter_map(|tlv| rsp::der::tlv::split(tlv)).find(|(tag, _)| tag.0 & 0x7F == number)
    };
    let (_, details) = find(0x01)?;
    let (_, result) = find(0x03)?;
    (details == COMMAND_DETAILS).then_some(result.first().copied()).flatten()
}
