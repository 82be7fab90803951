//! Doors to a card: each module is one kind.

pub mod lpac;
pub mod tcp;

pub use lpac::run_lpac;
pub use tcp::{TcpCard, serve_card};
