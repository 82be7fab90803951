//! Access to cards. Each module implements one kind.

pub mod csim;
pub mod lpac;
pub mod modem_port;
pub mod pty;
pub mod reader;
pub mod tcp;
pub mod vpcd;

pub use csim::AtCard;
pub use lpac::run_lpac;
pub use modem_port::{ModemPort, PortEvent};
pub use pty::Pty;
pub use reader::VpcdSlot;
pub use tcp::{TcpCard, serve_card};
pub use vpcd::{Insertion, VPCD, connect_to_vpcd};
