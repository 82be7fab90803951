//! The messages of SGP.02: written and read in both namespaces, shapes of real peers, hostile XML.

mod captured;
