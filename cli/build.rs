//! Sets a `cfg` for each prerequisite of the tests that is present.

use prerequisites::Prerequisite::{Lpac, Sgp26, Ts48};

fn main() -> Result<(), String> {
    prerequisites::declare(&[Lpac, Sgp26, Ts48])
}
