//! Input of a function besides its request.

use rsp::time::Timestamp;
use world::{Tx, World};

use crate::{config::Config, credentials::Credentials};

/// Context of a decision: the transaction to read and write, and values that do not change during
/// it.
pub(crate) struct Context<'a, 'r> {
    pub(crate) tx: &'a mut Tx<'r>,
    pub(crate) config: &'a Config,
    pub(crate) credentials: &'a Credentials,
    pub(crate) world: &'a World,
    pub(crate) now: Timestamp,
}
