//! The messages of SGP.02: written and read in both namespaces, shapes of real peers, hostile XML.

mod captured;
mod headers;
mod hostile;
mod round_trip;
mod samples;
mod schema;
