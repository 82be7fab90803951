//! Short messages between hosts: SMPP 3.4 over TCP.
//!
//! | part | what it is | clause |
//! |---|---|---|
//! | [`pdu`] | the PDUs that are used here, octets and back | sections 3 to 5 |
//! | `translate` | PDUs as short messages and receipts | section 5.2, appendix B |
//! | [`serve_centre`] | a message centre for writers (ESMEs) elsewhere | section 2.3 |
//! | [`Esme`] | the writer's end: a session that is opened again whenever it ends | section 2.2 |
//!
//! SMPP has no security of its own: a password in clear. It belongs on a loopback or inside a tunnel.

mod connection;
mod esme;
pub mod pdu;
mod reader;
mod server;
mod translate;

#[cfg(test)]
mod tests;

pub use esme::{Esme, EsmeSettings};
pub use server::{CentreSettings, serve_centre};

use std::time::Duration;

/// How long an answer is waited for; a peer that does not answer is gone.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// After so much silence the peer is asked whether it is still there.
const ENQUIRE_AFTER: Duration = Duration::from_secs(30);
