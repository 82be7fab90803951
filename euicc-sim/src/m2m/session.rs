//! The volatile state of scripts.

use std::collections::BTreeMap;

use rsp::ids::Aid;

use super::{isd_p, isd_r};

/// Sessions by the application that the scripts address. A chain of scripts keeps its session until
/// it ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions(pub(crate) BTreeMap<Aid, Session>);

/// The session of one application.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    /// The open chain.
    pub(crate) chain: Option<Chain>,
    pub(crate) isd_r: isd_r::IsdRState,
    pub(crate) isd_p: isd_p::Channel,
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
