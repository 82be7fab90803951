//! The eIM of SGP.32: it manages the profiles of IoT devices. The crate opens no sockets.
//!
//! | module | content |
//! |---|---|
//! | `esipa` | the functions that IPAs call (SGP.32 section 5.14), one file each |
//! | `es9plus` | the client of SM-DP+s and SM-DSs, for downloads through the eIM |
//! | `orders` | the orders of the user, first to last for each device |
//! | `signing` | packages for eUICCs (section 2.11.1) |
//! | `results` | results, and their effect on orders and devices (section 2.11.2) |
//! | `verification` | signatures of eUICCs |
//! | `verified_chains` | certificate chains that were verified before |
//! | `notifications` | delivery of notifications to SM-DP+s |
//! | `admin` | the API of the user |
//! | [`records`] | everything that is kept between requests |
//!
//! An order becomes one package. The package is built and signed when the device asks for it for the
//! first time, in the same transaction that takes the counter. It is repeated octet for octet until a
//! result arrives or the order expires.

pub mod admin;
pub mod config;
mod context;
mod credentials;
mod devices;
mod es9plus;
mod esipa;
mod notifications;
mod orders;
pub mod records;
mod results;
mod router;
pub mod server;
mod signing;
mod verification;
mod verified_chains;

pub use config::Config;
pub use credentials::Credentials;
pub use devices::NewDevice;
pub use esipa::Transferred;
pub use orders::NewOrder;
pub use server::{Eim, Peers};
