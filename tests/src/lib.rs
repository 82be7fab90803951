//! End-to-end tests, benchmarks, and the documents that are held against the code. All of it is in `tests/` and
//! `benches/`; the library is empty.
