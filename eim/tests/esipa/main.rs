//! Tests of ESipa over HTTP and CoAP, in both bindings, with a card that signs.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a panic fails the test")]

mod admin;
mod coap_faults;
mod downloads;
mod notifications;
mod octets;
#[path = "../../../sm-dp/tests/support/openapi.rs"]
mod openapi;
mod packages;
mod results;
mod support;
mod transfers;
