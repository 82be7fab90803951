//! Doors to a card: each module is one kind.

pub mod tcp;

pub use tcp::{TcpCard, serve_card};
