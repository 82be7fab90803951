//! The one binary, `landfall`.
fn main() {}
