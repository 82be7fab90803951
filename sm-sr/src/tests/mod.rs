//! Tests of the server from the outside: requests with client certificates, responses and
//! callbacks, and a card that answers scripts behind the interface of [`es5`](crate::es5).
//!
//! Every step uses a new server on the records of the earlier steps, so each of these tests is a
//! test of a restart too.

mod card;
mod claims;
mod confirmations;
mod downloads;
mod handover;
mod hostile;
mod limits;
mod others;
mod registration;
mod stored;
#[path = "../../../crates/world/tests/support/stored.rs"]
mod stored_records;
mod switching;
mod testbed;
