//! The words: wire types of the GSMA remote provisioning standards, identifiers, status codes and bindings. No I/O.
//!
//! A module per standard, a file per interface, a type per ASN.1 type, in the standard's own spelling.

pub mod activation_code;
pub mod der;
pub mod ids;
pub mod ota;
pub mod sgp02;
pub mod sgp22;
pub mod status;
mod status_word;
pub mod time;

pub use status_word::StatusWord;
