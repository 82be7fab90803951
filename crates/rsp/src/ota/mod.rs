//! What goes over the air to a card: TS 102 225, TS 102 226, TS 23.040, TS 102 223, GlobalPlatform Amendment B.
//!
//! Types and their codecs in both directions; no arithmetic (that is in `crypto`) and no I/O.

pub mod admin;
pub mod cat;
pub mod octets;
pub mod script;
pub mod secured_packet;
pub mod sms;
pub mod trigger;
