//! The volatile state of scripts.

use std::collections::BTreeMap;

use rsp::ids::Aid;

use super::{Establishing, StoredEstablishment};
use crate::install::package::PackageLoader;
use crate::m2m::data_groups::Blocks;
use crate::m2m::isd_p::scp03;

/// Sessions by the application that the scripts address. A chain of scripts keeps its session until
/// it ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions(pub(crate) BTreeMap<Aid, Session>);

/// The session of one application.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    /// The open chain.
    pub(crate) chain: Option<Chain>,
    pub(crate) isd_r: IsdRState,
    pub(crate) isd_p: Channel,
}

/// A chain of scripts: TS 102 226 section 5.2.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chain {
    /// A reset ends the chain.
    UntilReset,
    /// The chain survives a reset.
    AcrossReset,
}

impl Session {
    /// The session at the start of a script or of a chain.
    pub(crate) fn begin(chain: Option<Chain>) -> Self {
        Self { chain, ..Self::default() }
    }
}

/// The session state of the ISD-R.
#[derive(Clone, Debug, Default)]
pub(crate) struct IsdRState {
    /// The ISD-P addressed by INSTALL for personalization; `None` if STORE DATA is for the ISD-R
    /// itself.
    pub(crate) personalises: Option<Aid>,
    /// An incomplete STORE DATA.
    pub(crate) blocks: Blocks,
    /// A key establishment between its two STORE DATA commands.
    pub(crate) establishing: Option<Establishing>,
    /// Number of ISD-Ps that GET STATUS has returned so far.
    pub(crate) listed: usize,
}

impl IsdRState {
    /// P2 of the next block of STORE DATA.
    pub(crate) fn next_block(&self) -> u8 {
        self.blocks.next
    }

    /// The session state restored after a reset.
    pub(crate) fn resumed(kept: &StoredEstablishment) -> Self {
        Self {
            personalises: kept.personalises.clone(),
            blocks: Blocks::resumed(kept.next_block),
            establishing: Some(kept.establishing.clone()),
            listed: 0,
        }
    }
}

/// The secure channel to an ISD-P, with states named by the expected command.
#[derive(Clone, Debug, Default)]
pub(crate) enum Channel {
    /// The channel is closed.
    #[default]
    Closed,
    /// Expects EXTERNAL AUTHENTICATE. Contains the key version.
    ExpectAuthenticate(MessageFormat, u8, Box<scp03::Handshake>),
    /// Expects APDUs.
    ExpectApdu(Box<scp03::Session>, Opened),
    /// Expects segments of a profile package.
    ExpectSegment(Box<scp03::Session>, Box<Loading>),
}

/// The message format of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageFormat {
    /// SCP03.
    Apdus,
    /// SCP03t.
    Tlvs,
}

/// The state of an APDU channel besides its SCP03 session.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    /// Version of the session keys, whose DEK encrypts new keys.
    pub(crate) version: u8,
    pub(crate) blocks: Blocks,
}

/// A profile package that is being received.
#[derive(Clone, Debug)]
pub(crate) struct Loading(pub(crate) PackageLoader);
