//! Load test: many concurrent downloads, and a check of each order afterwards.
//!
//! Devices and cards run in this process and use the same code as the other commands. Each device
//! has its own connections. The latency is that seen by the device: from sending a request until
//! its response has arrived, including the TLS handshake and queueing.

mod figures;
mod fleet;
mod link;
mod orders;

pub use figures::{Figures, Row, table};
pub use fleet::{Ending, Fleet, FleetOptions};
pub use link::RetryPolicy;
pub use orders::{Order, OrderClient, Verdict};
