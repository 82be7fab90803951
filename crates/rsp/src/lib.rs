//! Wire types of the GSMA remote SIM provisioning standards, identifiers, status codes and
//! bindings. No I/O.
//!
//! Each standard has a module, each interface a file and each ASN.1 type a Rust type, in the
//! standard's own spelling.

pub mod activation_code;
pub mod der;
pub mod finding;
pub mod ids;
pub mod ota;
mod schema;
pub mod sgp02;
pub mod sgp22;
pub mod sgp32;
pub mod status;
mod status_word;
pub mod time;

pub use status_word::StatusWord;
