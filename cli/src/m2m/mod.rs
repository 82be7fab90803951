//! Set-up of the SGP.02 parties for the commands and the demonstration.

pub mod eis;
pub mod messages;
pub mod names;
pub mod sm_dp;
pub mod sm_sr;
mod stage;
mod story;
mod timeline;
mod watching;

pub use scenario::m2m::{factory, operator};
pub use stage::Stage;
pub use story::Story;
pub use timeline::Timeline;
pub use watching::OverTheAir;
