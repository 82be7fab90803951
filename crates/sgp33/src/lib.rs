//! Conformance cases of SGP.32 for any eIM and any IPA.
//!
//! The test specification is SGP.33. Version 1.2 of its part 3 leaves most cases of ESep and all
//! cases of ESipa for further study, so that most cases here are derived from the procedures of
//! SGP.32 and are identified by a clause and a title.
//!
//! The tables use the runner, the verdicts, the rules of HTTP and the report of [`sgp23`]. A caller
//! supplies all links, so this crate opens no sockets. The cases for an eIM share no code with it
//! except the wire types, the CoAP messages and the cryptography. The cases for an IPA use the eIM
//! and the SM-DP+ of this project.

pub mod eim;
pub mod ipa;
