//! What a function has to decide with, and the two ways in which it can fail to.

use rsp::{status::Refusal, time::Timestamp};
use world::{Fault, Tx, World};

use crate::{config::Config, server::Credentials};

/// A decision about to be taken: the transaction it reads and writes, and what does not change meanwhile.
pub(crate) struct Context<'a, 'r> {
    pub(crate) tx: &'a mut Tx<'r>,
    pub(crate) config: &'a Config,
    pub(crate) credentials: &'a Credentials,
    pub(crate) world: &'a World,
    pub(crate) now: Timestamp,
}

/// A function's result: its reply, or why there is none.
pub(crate) type Decision<T> = Result<T, No>;

/// Why there is no reply.
#[derive(Debug)]
pub(crate) enum No {
    /// The protocol's answer. What was written is committed: a session ended.
    Refusal(Refusal),
    /// Ours. Nothing is committed.
    Fault(Fault),
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<Fault> for No {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
