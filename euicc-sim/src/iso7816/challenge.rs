//! GET CHALLENGE: TS 102 221 section 11.1.18.

use crate::StatusWord;
use crate::apdu::{Command, SHORT_MAXIMUM};
use crate::context::Context;

/// GET CHALLENGE: returns the requested number of random octets, up to 256.
pub(super) fn get_challenge(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    if (command.p1, command.p2) != (0, 0) {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    if !command.data.is_empty() || command.le.is_none() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    let mut challenge = vec![0; command.le_limit().min(SHORT_MAXIMUM)];
    context.world.random.fill(&mut challenge);
    Ok(challenge)
}
