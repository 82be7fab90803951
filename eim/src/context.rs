//! The context of a function call.

use crate::{config::Config, credentials::Credentials};

/// A running function call of this server.
pub(crate) type Context<'a, 'r> = rsp_server::Context<'a, 'r, Config, Credentials>;
