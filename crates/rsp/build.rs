//! Sets a `cfg` for each prerequisite of the tests that is present.

use prerequisites::Prerequisite::{EsimXsd, Sgp32Asn};

fn main() -> Result<(), String> {
    prerequisites::declare(&[EsimXsd, Sgp32Asn])
}
