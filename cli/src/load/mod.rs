//! Load: many devices that download at once, and what became of each order.
//!
//! Devices and cards are the real ones, in this process; each device has a connection of its own. What is measured is
//! what a device sees: from handing a request over until its answer is there, TLS handshake and waiting included.

mod figures;
mod fleet;
mod link;
mod orders;
mod progress;

pub use figures::{Figures, Row, table};
pub use fleet::{Ending, Fleet, FleetOptions};
pub use link::Patience;
pub use orders::{Bench, Order, Verdict};
pub use progress::Progress;
