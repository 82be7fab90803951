//! Over-the-air messages to a card: TS 102 225, TS 102 226, TS 23.040, TS 102 223, GlobalPlatform
//! Amendment B.
//!
//! This module contains types and their codecs in both directions. Cryptography is in `crypto`. No
//! I/O.

pub mod admin;
pub mod cat;
pub mod octets;
pub mod script;
pub mod secured_packet;
pub mod sms;
pub mod trigger;
