//! Sets a `cfg` for each prerequisite of the tests that is present.

use prerequisites::Prerequisite::Ts48;

fn main() -> Result<(), String> {
    prerequisites::declare(&[Ts48])
}
