//! A card with an IPA inside (IPAe): SGP.31, SGP.32.
//!
//! The card (`euicc_sim`) has a place for an IPA, and the procedures of an IPA are those of
//! [`device::ipa`]. This crate joins the two: [`IpaeCard`] is a card that polls its eIMs by itself,
//! through any terminal that supports the bearer independent protocol with TCP (TS 102 223 section
//! 6.4.27).
//!
//! A card acts only while it processes a command. Therefore the IPA is a future that is polled by
//! hand: after each command, the events of the toolkit are recorded, the future is polled until it
//! waits for the terminal, and the response announces the next proactive command. A reset or a loss
//! of power drops the future. Everything that must survive is in the memory of the card, and the
//! IPA starts again with the next TERMINAL PROFILE.
//!
//! | module | contents |
//! |---|---|
//! | [`IpaeCard`] | the card as seen by its terminal |
//! | `program` | the polls of the eIMs, and the execution of the future |
//! | `toolkit` | the state of channels, timers and network service |
//! | `channel` | a channel of the terminal as a byte stream |
//! | `sleep` | delays, measured by the terminal |
//! | `servers` | links to servers: HTTP over TLS over a channel |
//! | `inside` | the card as seen by its IPA: the ISD-R, the memory, the reset |
//! | [`trust_of`] | how TLS recognises an eIM |

mod card;
mod channel;
mod inside;
mod program;
mod servers;
mod sleep;
mod tls;
mod toolkit;

pub use card::IpaeCard;
pub use servers::ServerTls;
pub use tls::trust_of;
