//! The card application toolkit: TS 102 221 section 11.2, TS 102 223.
//!
//! A consumer card uses only REFRESH (sections 5.2, 6.4.7 and 6.6.13). The mode is "eUICC Profile
//! State Change" if the terminal profile announces it, otherwise "UICC Reset". Most tools that
//! manage eUICCs do not announce REFRESH; for them, the profile switch waits for the next reset.
//!
//! A profile with several identities has an applet that follows the location of the terminal
//! (`super::multi_imsi`).
//!
//! An M2M eUICC uses more proactive commands (`queue`). They are sent one at a time, and each has
//! an owner that receives the result. A REFRESH waits until all others are finished. Commands that
//! the terminal profile does not support are not sent.

mod deferred;

use std::mem;

use rsp::ota::cat::{RefreshMode, TerminalCapability, TerminalProfile};

use super::StatusWord;
use super::apdu::{Command, Le};
use super::context::Context;
use super::ipae;
use super::iso7816::select;
use super::kind::CardContext;
use super::m2m::toolkit::{self, ToolkitSettings};
use super::multi_imsi;
use super::state::Volatile;
use super::state::cat::queue::{Owner, ResponseOutcome};
use super::state::cat::refresh::{self, Refresh};
pub(crate) use super::state::cat::{ENVELOPE, TERMINAL_PROFILE, TERMINAL_RESPONSE};
use super::switch;
use crate::state::channel::Channel;

use deferred::process_deferred;

/// TERMINAL PROFILE: TS 102 221 section 11.2.1.
pub(crate) fn terminal_profile(
    context: &mut CardContext<'_, '_>,
    command: &Command<'_>,
) -> Result<Vec<u8>, StatusWord> {
    match (command.p1, command.p2, command.data) {
        (0, 0, []) => Err(StatusWord::WRONG_LENGTH),
        (0, 0, octets) => {
            process_deferred(context);
            begin(context, octets);
            Ok(Vec::new())
        }
        _ => Err(StatusWord::INCORRECT_P1_P2),
    }
}

/// Starts the toolkit applications with a new terminal profile.
fn begin(context: &mut CardContext<'_, '_>, profile: &[u8]) {
    context.volatile.cat.terminal = TerminalProfile(profile.to_vec());
    match context {
        CardContext::Consumer(context) => {
            // The IPA requests the events of the applet too: a second list would replace the first.
            match ipae::begin(context) {
                true => multi_imsi::request_location(context),
                false => multi_imsi::begin(context),
            }
        }
        CardContext::M2m(context) => {
            toolkit::begin(context);
            multi_imsi::request_location(context);
        }
    }
}

/// TERMINAL CAPABILITY: TS 102 221 section 11.1.19. An IoT card remembers whether the terminal has an
/// IPA (SGP.32 section 3.8.1); other data are validated and ignored.
pub(crate) fn terminal_capability(
    context: &mut Context<'_>,
    command: &Command<'_>,
) -> Result<Vec<u8>, StatusWord> {
    /// Support of SGP.32 by the terminal, and the bit of the IPAd.
    const IOT: rsp::der::Tag = rsp::der::Tag(0x84);
    const IPAD: u8 = 0x01;
    if (command.p1, command.p2) != (0, 0) {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    match rsp::der::tlv::split(command.data) {
        Some((rsp::der::Tag(0xA9), contents)) if rsp::der::tlv::each(contents).is_ok() => {
            let iot = rsp::der::tlv::find(contents, IOT).ok().flatten().and_then(rsp::der::tlv::split);
            let bits = iot.and_then(|(_, contents)| contents.first().copied()).unwrap_or_default();
            context.volatile.has_ipad = bits & IPAD != 0;
            Ok(Vec::new())
        }
        _ => Err(StatusWord::INCORRECT_DATA),
    }
}

/// STATUS: TS 102 221 section 11.1.2. The terminal sends it periodically, so it serves as the
/// card's clock.
pub(crate) fn status(
    context: &mut CardContext<'_, '_>,
    command: &Command<'_>,
) -> Result<Vec<u8>, StatusWord> {
    process_deferred(context);
    let answer = select::status(context, command);
    let has_identities = multi_imsi::is_installed(context);
    let has_applications =
        has_identities || ipae::is_active(context) || matches!(context, CardContext::M2m(_));
    if context.channel == 0 && has_applications {
        context.volatile.cat.queue.release();
        if mem::take(&mut context.volatile.cat.is_switch_late) {
            context.volatile.cat.announce_switch();
        }
        if let CardContext::M2m(context) = context {
            toolkit::status_received(context);
        }
        ipae::status_received(context);
        if has_identities {
            multi_imsi::status_received(context);
        }
    }
    answer
}

/// ENVELOPE: TS 102 221 section 11.2.2.
pub(crate) fn envelope(
    context: &mut CardContext<'_, '_>,
    command: &Command<'_>,
) -> Result<Vec<u8>, StatusWord> {
    if (command.p1, command.p2) != (0, 0) {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    if command.data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    process_deferred(context);
    context.volatile.cat.queue.release();
    process_envelope(context, command.data)
}

fn process_envelope(context: &mut CardContext<'_, '_>, data: &[u8]) -> Result<Vec<u8>, StatusWord> {
    match context {
        CardContext::Consumer(context) => {
            let is_for_ipae = ipae::envelope(context, data);
            if multi_imsi::envelope(context, data) || is_for_ipae {
                Ok(Vec::new())
            } else {
                unhandled_envelope(data)
            }
        }
        CardContext::M2m(context) => toolkit::envelope(context, data),
    }
}

/// Processes an envelope on a card without a toolkit application for it. Events, timer expirations,
/// menu selections and call control get an empty response. Downloads are refused.
fn unhandled_envelope(data: &[u8]) -> Result<Vec<u8>, StatusWord> {
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
        // req: TS.102.223-Envelope
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
    let mode = if cat.terminal.can(TerminalCapability::REFRESH_PROFILE_STATE_CHANGE) {
        mode
    } else {
        RefreshMode::UiccReset
    };
    cat.refresh = Refresh::Fetched(mode);
    Ok(refresh::command(mode))
}

/// TERMINAL RESPONSE: TS 102 221 section 11.2.4, TS 102 223 section 6.8.
pub(crate) fn terminal_response(
    context: &mut CardContext<'_, '_>,
    command: &Command<'_>,
) -> Result<Vec<u8>, StatusWord> {
    if (command.p1, command.p2) != (0, 0) {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    context.volatile.cat.deferred.discard_response();
    process_response(context, command.data)
}

/// Processes the result of the fetched command.
fn process_response(context: &mut CardContext<'_, '_>, data: &[u8]) -> Result<Vec<u8>, StatusWord> {
    let Refresh::Fetched(mode) = context.volatile.cat.refresh else {
        return queued_response(context, data);
    };
    let result = general_result(data, mode).ok_or(StatusWord::INCORRECT_DATA)?;
    context.volatile.cat.refresh = Refresh::None;
    match result >> 4 {
        // The terminal has performed the REFRESH.
        0 => {
            switch::apply_pending(context);
            if mode == RefreshMode::ProfileStateChange {
                multi_imsi::apply_pending(context);
                // TS 102 223 section 6.4.7: the state is as after activation, before the response
                // to this command.
                *context.volatile = Volatile::after_reset(Channel::fresh(&context.persistent));
            }
        }
        // After a temporary failure the REFRESH is announced again with the next command.
        2 => {
            context.volatile.cat.refresh = Refresh::Waiting(mode);
            context.warning = Some(StatusWord::OK);
        }
        // If the terminal refuses the REFRESH, the switch stays pending until the next reset
        // applies it.
        _ => {}
    }
    Ok(Vec::new())
}

/// Processes TERMINAL RESPONSE to a queued command.
fn queued_response(context: &mut CardContext<'_, '_>, data: &[u8]) -> Result<Vec<u8>, StatusWord> {
    if !context.volatile.cat.queue.is_fetched() {
        return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
    }
    let settings = match context {
        CardContext::Consumer(_) => ToolkitSettings::DEFAULT,
        CardContext::M2m(context) => context.toolkit_settings(),
    };
    match context.volatile.cat.queue.answer(data, settings.tries_of_a_command) {
        ResponseOutcome::Unmatched => return Err(StatusWord::INCORRECT_DATA),
        ResponseOutcome::Retry => {}
        ResponseOutcome::Finished(owner, proactive, response) => {
            let is_undecodable = response.is_none();
            match context {
                CardContext::Consumer(context) if owner == Owner::Ipae => {
                    ipae::response_received(context, proactive, response);
                }
                // The applet is the only other owner of commands on a consumer card.
                CardContext::Consumer(context) => {
                    multi_imsi::response_received(context, &proactive.command, response.as_ref());
                }
                CardContext::M2m(context) => {
                    toolkit::response_received(context, owner, &proactive.command, response.as_ref());
                }
            }
            if is_undecodable {
                return Err(StatusWord::INCORRECT_DATA);
            }
        }
    }
    Ok(Vec::new())
}

/// The general result, if the response is to REFRESH in this mode. Tags are accepted with and
/// without the "comprehension required" flag.
fn general_result(data: &[u8], mode: RefreshMode) -> Option<u8> {
    let elements = rsp::der::tlv::each(data).ok()?;
    let find = |number: u32| {
        elements.iter().filter_map(|tlv| rsp::der::tlv::split(tlv)).find(|(tag, _)| tag.0 & 0x7F == number)
    };
    let (_, details) = find(0x01)?;
    let (_, result) = find(0x03)?;
    (details == refresh::details(mode)).then_some(result.first().copied()).flatten()
}
