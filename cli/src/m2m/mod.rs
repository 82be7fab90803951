//! The parties of SGP.02 as the commands and the demonstration put them together.

pub mod factory;
pub mod operator;
pub mod sm_dp;
pub mod sm_sr;
mod stage;
mod story;

pub use stage::Stage;
pub use story::{Story, tells_the_story};
