//! SGP.22, consumer remote SIM provisioning: v2.5 as the base, the later fields that real peers send.
//!
//! The ASN.1 module is compiled with AUTOMATIC TAGS, so a structure none of whose elements carries a tag numbers them
//! itself, and a CHOICE under a tag is tagged explicitly. The tags written here are the ones on the wire.

pub mod asn1;
pub mod common;
pub mod es10b;
pub mod es10c;
pub mod es11;
pub mod es12;
pub mod es2plus;
pub mod es8plus;
pub mod es9plus;
pub mod headers;
pub mod json;

pub use common::*;
