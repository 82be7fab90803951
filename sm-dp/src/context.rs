//! What a function has to decide with.

use rsp::time::Timestamp;
use world::{Tx, World};

use crate::{config::Config, server::Credentials};

/// A decision about to be taken: the transaction it reads and writes, and what does not change meanwhile.
pub(crate) struct Context<'a, 'r> {
    pub(crate) tx: &'a mut Tx<'r>,
    pub(crate) config: &'a Config,
    pub(crate) credentials: &'a Credentials,
    pub(crate) world: &'a World,
    pub(crate) now: Timestamp,
}
