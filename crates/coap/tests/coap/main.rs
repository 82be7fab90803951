//! Messages and exchanges over CoAP, in virtual time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod conversations;
mod exchanges;
mod messages;
mod support;
