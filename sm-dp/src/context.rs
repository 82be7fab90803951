//! The context of a function call.

use rsp::time::Timestamp;
use world::{Tx, World};

use crate::{config::Config, credentials::Credentials};

/// A running function call: its transaction, and inputs that do not change during the call.
pub(crate) struct Context<'a, 'r> {
    pub(crate) tx: &'a mut Tx<'r>,
    pub(crate) config: &'a Config,
    pub(crate) credentials: &'a Credentials,
    pub(crate) world: &'a World,
    pub(crate) now: Timestamp,
}
