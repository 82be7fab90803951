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

use rsp::ids::Aid;

use super::establish::{Establishing, StoredEstablishment};
use super::script::truncate_to_le;
use super::session::Session;
use crate::StatusWord;
use crate::apdu::{ClassKind, Command};
use crate::context::Context;

pub(crate) use audit::{GET_DATA, get_data};
pub(super) use key_sets::{PUT_KEY, put_key};
pub(super) use store_data::{Blocks, Group, STORE_DATA};

/// The session state of the ISD-R.
#[derive(Clone, Debug, Default)]
pub(crate) struct IsdRState {
    /// The ISD-P addressed by INSTALL for personalization; `None` if STORE DATA is for the ISD-R
    /// itself.
    pub(super) personalises: Option<Aid>,
    /// An incomplete STORE DATA.
    blocks: store_data::Blocks,
    /// A key establishment between its two STORE DATA commands.
    pub(super) establishing: Option<Establishing>,
    /// Number of ISD-Ps that GET STATUS has returned so far.
    listed: usize,
}

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

/// The response data of a command that returns nothing else.
const EMPTY_RESPONSE: [u8; 1] = [0x00];

impl IsdRState {
    /// P2 of the next block of STORE DATA.
    pub(super) fn next_block(&self) -> u8 {
        self.blocks.next
    }

    /// The session state restored after a reset.
    pub(super) fn resumed(kept: &StoredEstablishment) -> Self {
        Self {
            personalises: kept.personalises.clone(),
            blocks: Blocks::resumed(kept.next_block),
            establishing: Some(kept.establishing.clone()),
            listed: 0,
        }
    }
}

/// Processes one command to the ISD-R and returns response data and status word.
pub(super) fn answer(
    context: &mut Context<'_>,
    session: &mut Session,
    key_version: u8,
    command: &Command<'_>,
) -> Result<(Vec<u8>, StatusWord), StatusWord> {
    truncate_to_le(command, self::command(context, &mut session.isd_r, key_version, command)?)
}

/// Processes one command to the ISD-R. `key_version` is the key version of the session in which it
/// arrived.
fn command(
    context: &mut Context<'_>,
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
        (ClassKind::Proprietary, store_data::STORE_DATA) => {
            store_data::store_data(context, session_state, command).map(Answer::from)
        }
        (ClassKind::Proprietary, delete::DELETE) => match (command.p1, command.p2) {
            (0x00, 0x40) => delete::delete(context, command.data).map(Answer::from),
            (0x00, 0x00) => key_sets::delete_keys(context, key_version, command.data).map(Answer::from),
            _ => Err(StatusWord::INCORRECT_P1_P2),
        },
        (ClassKind::Proprietary, key_sets::PUT_KEY) => {
            key_sets::put_key_to_isd_r(context, key_version, command).map(Answer::from)
        }
        (
            ClassKind::Interindustry,
            audit::GET_STATUS
            | create_isd_p::INSTALL
            | store_data::STORE_DATA
            | delete::DELETE
            | key_sets::PUT_KEY,
        ) => Err(StatusWord::CLASS_NOT_SUPPORTED),
        _ => Err(StatusWord::INSTRUCTION_NOT_SUPPORTED),
    }
}
