//! Sets a `cfg` for each prerequisite of the tests that is present.

use prerequisites::Prerequisite::{OsmoAucGen, Pysim, Sgp26, Ts48};

fn main() -> Result<(), String> {
    prerequisites::declare(&[OsmoAucGen, Pysim, Sgp26, Ts48])
}
