//! Tests of ES9+ in the ASN.1 binding.

mod es9plus;
#[path = "../../crates/rsp-server/tests/support/failing_records.rs"]
mod failing_records;
#[path = "../../crates/rsp-server/tests/support/mutual_authentication.rs"]
mod mutual_authentication;
mod support;
