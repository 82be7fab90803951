//! The switch that `mutants prepare` puts in front of each mutant in its copy of the repository.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// The number of the active mutant: 0 for none, the largest number before it has been read.
static ACTIVE: AtomicU32 = AtomicU32::new(u32::MAX);

/// The mutants that were reached, up to the largest number that a list may have.
static REACHED: [AtomicBool; LIMIT] = [const { AtomicBool::new(false) }; LIMIT];

const LIMIT: usize = 65_536;

/// The file that receives the number of each mutant that is reached, one number a line.
static FILE: OnceLock<Option<File>> = OnceLock::new();

/// Returns true if the mutant `number` is active: `MUTANT` contains its number. Without an active
/// mutant, the first call for each mutant appends its number to the file `MUTANTS_REACHED`.
pub fn on(number: u32) -> bool {
    let mut active = ACTIVE.load(Relaxed);
    if active == u32::MAX {
        active = std::env::var("MUTANT").ok().and_then(|number| number.parse().ok()).unwrap_or(0);
        ACTIVE.store(active, Relaxed);
    }
    if active == 0 && !REACHED[number as usize].swap(true, Relaxed) {
        report(number);
    }
    active == number
}

fn report(number: u32) {
    let file = FILE.get_or_init(|| {
        let name = std::env::var_os("MUTANTS_REACHED")?;
        OpenOptions::new().append(true).create(true).open(name).ok()
    });
    if let Some(mut file) = file.as_ref() {
        // One write per line, because processes share the file. A lost line means a mutant that
        // seems to be unreached, which the report shows.
        let _ = file.write_all(format!("{number}\n").as_bytes());
    }
}
