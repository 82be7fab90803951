//! Sets a `cfg` for each prerequisite of the tests that is present.

use prerequisites::Prerequisite::{Openssl, Postgres, Sgp26, Smsc, Strace, Unprivileged};

fn main() -> Result<(), String> {
    prerequisites::declare(&[Openssl, Postgres, Sgp26, Smsc, Strace, Unprivileged])
}
