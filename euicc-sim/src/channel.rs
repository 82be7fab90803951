//! Logical channels: TS 102 221 sections 8.7 and 11.1.17.

use super::StatusWord;
use super::apdu::{CHANNELS, Command, Le};
use super::context::Context;
use super::state::channel::Channel;

/// MANAGE CHANNEL: TS 102 221 section 11.1.17.
pub(crate) fn manage_channel(
    context: &mut Context<'_>,
    command: &Command<'_>,
) -> Result<Vec<u8>, StatusWord> {
    match (command.p1, command.p2, command.data) {
        (0x00, 0x00, []) => open_any(context, command.le),
        (0x00, number @ 1..CHANNELS, []) => open(context, number),
        (0x80, number @ 1..CHANNELS, []) => {
            let closed = context.volatile.channels.remove(&number);
            closed.map(|_| Vec::new()).ok_or(StatusWord::LOGICAL_CHANNEL_NOT_SUPPORTED)
        }
        (0x00 | 0x80, _, []) => Err(StatusWord::INCORRECT_P1_P2),
        (0x00 | 0x80, ..) => Err(StatusWord::WRONG_LENGTH),
        _ => Err(StatusWord::INCORRECT_P1_P2),
    }
}

fn open_any(context: &mut Context<'_>, le: Option<Le>) -> Result<Vec<u8>, StatusWord> {
    match le {
        Some(Le::Exactly(1) | Le::Maximum(_)) => {}
        _ => return Err(StatusWord::wrong_le(1)),
    }
    let free = (1..CHANNELS).find(|number| !context.volatile.channels.contains_key(number));
    let number = free.ok_or(StatusWord::FUNCTION_NOT_SUPPORTED)?;
    open(context, number)?;
    Ok(vec![number])
}

/// Opens a channel. It inherits nothing from the channel on which the command came.
fn open(context: &mut Context<'_>, number: u8) -> Result<Vec<u8>, StatusWord> {
    if context.volatile.channels.contains_key(&number) {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    let opened_by_ipad = context.volatile.has_ipad;
    let channel = Channel { opened_by_ipad, ..Channel::fresh(&context.persistent) };
    context.volatile.channels.insert(number, channel);
    Ok(Vec::new())
}
