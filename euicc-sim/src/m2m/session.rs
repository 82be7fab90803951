//! What scripts have begun and not finished: a reset clears it.

use std::collections::BTreeMap;

use rsp::ids::Aid;

use super::{isd_p, isd_r};

/// By the application that the scripts are for. A chain of scripts keeps what it has begun until it ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions(pub(crate) BTreeMap<Aid, Session>);

/// What the scripts for one application have begun.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    /// The chain that is open.
    pub(crate) chain: Option<Chain>,
    pub(crate) isd_r: isd_r::Work,
    pub(crate) isd_p: isd_p::Channel,
}

/// A chain of scripts: TS 102 226 section 5.2.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chain {
    /// A reset ends it.
    UntilReset,
    /// A reset does not.
    Kept,
}

impl Session {
    /// At the start of a script, or of a chain.
    pub(crate) fn begin(chain: Option<Chain>) -> Self {
        Self { chain, ..Self::default() }
    }
}
