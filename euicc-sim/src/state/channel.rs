//! The state of a logical channel.

use profile::FileIndex;

use super::Persistent;
use crate::StatusWord;

/// The state of one open logical channel. Channels share no state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Channel {
    pub(crate) selection: Selection,
    pub(crate) pending_response: PendingResponse,
    /// A data object of the current EF that is being transferred in blocks.
    pub(crate) transfer: Option<Transfer>,
    /// True if the terminal had announced an IPA when it opened the channel.
    pub(crate) opened_by_ipad: bool,
}

/// Response data pending for GET RESPONSE.
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

impl Selection {
    /// Takes the segments of an incomplete STORE DATA command out of the selection.
    pub(crate) fn take_chain(&mut self) -> Option<Chain> {
        if let Self::IsdR(chain) = self { chain.take() } else { None }
    }
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

/// An incomplete command.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chain {
    pub(crate) data: Vec<u8>,
    /// P2 of the next block.
    pub(crate) next_block: u16,
}

/// A transfer of an object of the current EF in blocks.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    pub(crate) file: FileIndex,
    pub(crate) direction: TransferDirection,
    /// Tag, length and value: all octets when the object is read, the octets received so far when
    /// it is written.
    pub(crate) object: Vec<u8>,
    /// The offsets of the last block and of the next block.
    pub(crate) last: usize,
    pub(crate) next: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransferDirection {
    Out,
    In,
}
