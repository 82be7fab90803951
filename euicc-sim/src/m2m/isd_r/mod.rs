//! ES5, the functions of the ISD-R: SGP.02 section 4.1.1. One file per function.
//!
//! The order of the checks is: syntax (6A80), existence of the referenced object (6A88), its state
//! (6985), POL1 (69E1).

mod audit;
mod create_isd_p;
mod delete;
mod key_sets;
mod profile_state;
mod store_data;

use super::data_groups::STORE_DATA;
use super::put_key::PUT_KEY;
use crate::StatusWord;
use crate::apdu::{ClassKind, Command};
use crate::m2m::context::M2mContext;
use crate::state::m2m::session::{IsdRState, Session};

pub(crate) use audit::{GET_DATA, get_data};

/// The response to a successful command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) data: Vec<u8>,
    /// A status word other than 9000.
    pub(crate) warning: Option<StatusWord>,
}

impl From<Vec<u8>> for Answer {
    fn from(data: Vec<u8>) -> Self {
        Self { data, warning: None }
    }
}

impl Answer {
    /// Truncates the response data to Le. If there is no Le, no data are returned.
    pub(crate) fn truncated(self, command: &Command<'_>) -> (Vec<u8>, StatusWord) {
        let mut data = self.data;
        data.truncate(command.le_limit());
        (data, self.warning.unwrap_or(StatusWord::OK))
    }
}

/// The response data of a command that returns nothing else.
const EMPTY_RESPONSE: [u8; 1] = [0x00];

/// Processes one command to the ISD-R and returns response data and status word.
pub(super) fn answer(
    context: &mut M2mContext<'_>,
    session: &mut Session,
    key_version: u8,
    command: &Command<'_>,
) -> Result<(Vec<u8>, StatusWord), StatusWord> {
    Ok(self::command(context, &mut session.isd_r, key_version, command)?.truncated(command))
}

/// Processes one command to the ISD-R. `key_version` is the key version of the session in which it
/// arrived.
fn command(
    context: &mut M2mContext<'_>,
    session_state: &mut IsdRState,
    key_version: u8,
    command: &Command<'_>,
) -> Result<Answer, StatusWord> {
    if command.class.channel != 0 {
        return Err(StatusWord::LOGICAL_CHANNEL_NOT_SUPPORTED);
    }
    match (command.class.kind, command.ins) {
        (_, audit::GET_DATA) => audit::get_data(context, command).map(Answer::from),
        (ClassKind::Proprietary, audit::GET_STATUS) => audit::get_status(context, session_state, command),
        (ClassKind::Proprietary, create_isd_p::INSTALL) => match (command.p1, command.p2) {
            (0x0C, 0x00) => create_isd_p::create_isd_p(context, command.data).map(Answer::from),
            (0x20, 0x00) => {
                create_isd_p::for_personalization(context, session_state, command.data).map(Answer::from)
            }
            _ => Err(StatusWord::INCORRECT_P1_P2),
        },
        (ClassKind::Proprietary, STORE_DATA) => {
            store_data::store_data(context, session_state, command).map(Answer::from)
        }
        (ClassKind::Proprietary, delete::DELETE) => match (command.p1, command.p2) {
            (0x00, 0x40) => delete::delete(context, command.data).map(Answer::from),
            (0x00, 0x00) => key_sets::delete_keys(context, key_version, command.data).map(Answer::from),
            _ => Err(StatusWord::INCORRECT_P1_P2),
        },
        (ClassKind::Proprietary, PUT_KEY) => {
            key_sets::put_key_to_isd_r(context, key_version, command).map(Answer::from)
        }
        (
            ClassKind::Interindustry,
            audit::GET_STATUS | create_isd_p::INSTALL | STORE_DATA | delete::DELETE | PUT_KEY,
        ) => Err(StatusWord::CLASS_NOT_SUPPORTED),
        _ => Err(StatusWord::INSTRUCTION_NOT_SUPPORTED),
    }
}
