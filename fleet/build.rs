//! Sets a `cfg` for each prerequisite of the tests that is present.

use prerequisites::Prerequisite::Python3;

fn main() -> Result<(), String> {
    prerequisites::declare(&[Python3])
}
