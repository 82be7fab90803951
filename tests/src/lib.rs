//! End-to-end tests, benchmarks, and checks of the documents against the code, all in `tests/` and
//! `benches/`. The library itself is empty.
