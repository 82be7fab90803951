//! Logical channels: TS 102 221 sections 8.7 and 11.1.17.

use profile::FileIndex;

use super::StatusWord;
use super::apdu::{CHANNELS, Command, Le};
use super::context::Context;
use super::isd_r::store_data::Chain;
use super::iso7816::Transfer;
use super::state::Persistent;

/// The state of one open logical channel. Channels share no state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Channel {
    pub(crate) selection: Selection,
    pub(crate) waiting: PendingResponse,
    /// A data object of the current EF that is being transferred in blocks.
    pub(crate) transfer: Option<Transfer>,
}

/// Response data waiting for GET RESPONSE.
#[derive(Clone, Debug, Default)]
pub(crate) struct PendingResponse {
    pub(crate) data: Vec<u8>,
    /// The status word after the data, if it is not the normal one.
    pub(crate) status: Option<StatusWord>,
}

/// The application or file that is selected on a channel.
#[derive(Clone, Debug, Default)]
pub(crate) enum Selection {
    /// No selection: no profile is enabled, or the profile was switched after the selection.
    #[default]
    Nothing,
    /// The ISD-R, and the segments of an incomplete STORE DATA command to it.
    IsdR(Option<Chain>),
    /// The ECASD.
    Ecasd,
    /// A security domain of the enabled profile, by its index.
    SecurityDomain(usize),
    /// A position in the file system of the enabled profile.
    Files(Place),
}

/// A position in the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The current directory.
    pub(crate) directory: FileIndex,
    /// The application selected last on this channel.
    pub(crate) adf: Option<FileIndex>,
    /// The current EF.
    pub(crate) ef: Option<CurrentEf>,
}

/// The current EF and the record pointer in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CurrentEf {
    pub(crate) file: FileIndex,
    /// The number of the current record, from 1; 0 if the record pointer is before the first
    /// record.
    pub(crate) record: usize,
}

impl Place {
    /// The MF.
    pub(crate) const MF: Self = Self { directory: FileIndex::MF, adf: None, ef: None };
}

impl Channel {
    /// A channel after reset or after MANAGE CHANNEL (open). The MF is selected if there is one.
    pub(crate) fn fresh(persistent: &Persistent) -> Self {
        let selection = match persistent.enabled_profile() {
            Some(profile) if profile.content.files.file(FileIndex::MF).is_some() => {
                Selection::Files(Place::MF)
            }
            _ => Selection::Nothing,
        };
        Self { selection, ..Self::default() }
    }
}

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
    let channel = Channel::fresh(&context.persistent);
    context.volatile.channels.insert(number, channel);
    Ok(Vec::new())
}
