//! Cases for an eIM. The tester acts as an IPA with an IoT eUICC, and orders packages over an
//! interface of the operator of the eIM.

mod api;
mod case;
mod cases;
mod device_data;
mod download;
mod esipa;
mod operator;
mod subject;
mod testbed;

pub use api::Api;
pub use case::{Case, Need, Run};
pub use cases::table;
pub use operator::{Operation, Operator};
pub use subject::EimUnderTest;
pub use testbed::Testbed;
