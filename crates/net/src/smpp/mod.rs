//! SMPP 3.4 over TCP: short messages between hosts.
//!
//! | part | contents | clause |
//! |---|---|---|
//! | [`pdu`] | encoding and decoding of the supported PDUs | sections 3 to 5 |
//! | `translate` | conversion of PDUs to short messages and receipts | section 5.2, appendix B |
//! | [`serve_smsc`] | SMSC server for ESMEs | section 2.3 |
//! | [`Esme`] | ESME client, which reopens its session whenever it ends | section 2.2 |
//!
//! SMPP has no security of its own and sends passwords in clear text. Use it only on a loopback
//! interface or in a tunnel.

mod connection;
mod esme;
pub mod pdu;
mod server;
mod translate;

#[cfg(test)]
mod tests;

pub use esme::{Esme, EsmeSettings};
pub use server::{CentreSettings, serve_smsc};

use std::time::Duration;

/// Time-out for answers. A peer that does not answer in time counts as gone.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// Silence after which the peer gets an enquire_link.
const ENQUIRE_AFTER: Duration = Duration::from_secs(30);
