//! Sets a `cfg` for each prerequisite of the tests that is present.

use prerequisites::Prerequisite::{EsimXsd, Ts48, Tshark};

fn main() -> Result<(), String> {
    prerequisites::declare(&[EsimXsd, Ts48, Tshark])
}
