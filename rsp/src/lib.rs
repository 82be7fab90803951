//! The words: wire types of SGP.22, identifiers, status codes, bindings. No I/O.
