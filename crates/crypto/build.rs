//! Sets a `cfg` for each prerequisite of the tests that is present.

use prerequisites::Prerequisite::Pysim;

fn main() -> Result<(), String> {
    prerequisites::declare(&[Pysim])
}
