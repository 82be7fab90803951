//! Conformance cases of SGP.32 for any eIM.
//!
//! The test specification is SGP.33. Version 1.2 of its part 3 leaves most cases of ESep and all cases
//! of ESipa for further study, so that most cases here are derived from the procedures of SGP.32 and
//! are identified by a clause and a title.
//!
//! The tables use the runner, the verdicts and the report of [`sgp23`]. A caller supplies all links, so
//! this crate opens no sockets. The cases share no code with an eIM except the wire types and the
//! cryptography.

pub mod eim;
