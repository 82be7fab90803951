//! STORE DATA: SGP.22 section 5.7.2, GlobalPlatform section 11.11. An ES10 command arrives in one
//! or more blocks.

use super::dispatch;
use crate::StatusWord;
use crate::apdu::Command;
use crate::consumer::ConsumerContext;
use crate::description::TerminalCapabilityRule;
use crate::ipae;
use crate::state::channel::{Chain, Selection};

/// Maximum length of a command in octets: 256 blocks of 255 octets. Blocks of extended length do
/// not raise this limit.
const MAX_COMMAND: usize = 256 * 255;

const MORE_BLOCKS: u8 = 0x11;
const LAST_BLOCK: u8 = 0x91;

/// STORE DATA to the ISD-R.
pub(crate) fn store_data(
    context: &mut ConsumerContext<'_>,
    command: &Command<'_>,
) -> Result<Vec<u8>, StatusWord> {
    if ipae::excludes_terminal(context) {
        return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
    }
    if !context.is_from_ipae {
        check_terminal_capability(context)?;
    }
    // The blocks received before on this channel. A refused block discards the whole command.
    let chain = match context.channel().map(|channel| &mut channel.selection) {
        Some(Selection::IsdR(chain)) => chain.take(),
        _ => return Err(StatusWord::CONDITIONS_NOT_SATISFIED),
    };
    let is_last = match command.p1 {
        MORE_BLOCKS => false,
        LAST_BLOCK => true,
        _ => return Err(StatusWord::INCORRECT_P1_P2),
    };
    if command.data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    let mut chain =
        if command.p2 == 0 { Chain::default() } else { chain.ok_or(StatusWord::INCORRECT_P1_P2)? };
    if u16::from(command.p2) != chain.next_block {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    if chain.data.len().saturating_add(command.data.len()) > MAX_COMMAND {
        return Err(StatusWord::NOT_ENOUGH_MEMORY);
    }
    chain.data.extend_from_slice(command.data);
    if is_last {
        return dispatch(context, &chain.data);
    }
    chain.next_block = chain.next_block.saturating_add(1);
    context.select(Selection::IsdR(Some(chain)));
    Ok(Vec::new())
}

/// Refuses the command if the card requires that the terminal announces its IPA, and it did not.
fn check_terminal_capability(context: &mut ConsumerContext<'_>) -> Result<(), StatusWord> {
    let is_met = match context.description.iot().terminal_capability {
        TerminalCapabilityRule::NotRequired => true,
        TerminalCapabilityRule::BeforeCommand => context.volatile.has_ipad,
        TerminalCapabilityRule::BeforeChannel => {
            context.channel().is_some_and(|channel| channel.opened_by_ipad)
        }
    };
    if is_met { Ok(()) } else { Err(StatusWord::CONDITIONS_NOT_SATISFIED) }
}
