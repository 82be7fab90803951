//! Cases for an eIM. The tester acts as an IPA with an IoT eUICC, and orders packages over an
//! interface of the operator of the eIM.

mod api;
mod case;
mod cases;
mod coap;
mod device_data;
mod download;
mod esipa;
mod operations;
mod operator;
mod subject;
mod testbed;
mod transfer;

pub use api::Api;
pub use case::{Case, Need, Run};
pub use cases::table;
pub use operator::{Operation, Operator, OtherEim};
pub use subject::{EimUnderTest, SmDsOfEvents, Transfer};
pub use testbed::Testbed;
