//! The targets, one file for each format.

#![allow(clippy::panic, clippy::expect_used, reason = "a panic is a finding of the fuzzer")]

pub(crate) mod bpp;
pub(crate) mod coap;
pub(crate) mod csv;
pub(crate) mod der;
pub(crate) mod esep;
pub(crate) mod esipa;
pub(crate) mod http;
pub(crate) mod json;
pub(crate) mod psk;
pub(crate) mod scp80;
pub(crate) mod smpp;
pub(crate) mod soap;
pub(crate) mod toml;
