//! Set-up of the SGP.02 parties for the commands and the demonstration.

mod cases;
mod demonstration;
pub mod eis;
pub mod messages;
pub mod names;
mod observer;
pub mod sm_dp;
pub mod sm_sr;
mod timeline;

pub use cases::Case;
pub use demonstration::Demonstration;
pub use observer::OverTheAir;
pub use testbed::m2m::{factory, operator};
pub use timeline::Timeline;
