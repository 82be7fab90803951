//! Cases for an IPA. The tester has an eIM and an SM-DP+, orders packages for the device, and lets
//! it poll.
//!
//! The eIM verifies what the eUICC of the device signs. A [`Tap`] in front of it records the calls
//! of the IPA, and loses or replaces messages.

mod case;
mod cases;
mod subject;
mod tap;
mod testbed;

pub use case::{Case, Need, Run};
pub use cases::table;
pub use subject::{AnotherEim, Device, IpaUnderTest};
pub use tap::{Call, Function, Tap};
pub use testbed::Testbed;
