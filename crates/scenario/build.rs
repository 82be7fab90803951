//! Sets a `cfg` for each prerequisite of the tests that is present.

use prerequisites::Prerequisite::Sgp32Asn;

fn main() -> Result<(), String> {
    prerequisites::declare(&[Sgp32Asn])
}
