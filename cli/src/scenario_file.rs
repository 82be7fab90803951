//! Scenario files and built-in scenarios named on the command line.

use std::path::Path;

use scenario::file::{InvalidScenario, Scenario};
use scenario::library;
use world::Fault;

use crate::files;

/// Reads a scenario file or a built-in scenario.
///
/// # Errors
/// The scenario cannot be read or is invalid.
pub fn read(file: &Path) -> Result<Scenario, Fault> {
    Scenario::parse(&file.display().to_string(), &text(file)?).map_err(not_a_scenario)
}

pub(crate) fn text(file: &Path) -> Result<String, Fault> {
    let named = file.to_str().filter(|_| !file.exists()).and_then(library::named);
    match named {
        Some(text) => Ok(text.to_owned()),
        None => files::read_text(file).map_err(|mut fault| {
            let near = file.to_str().filter(|_| !file.exists()).and_then(library::nearest);
            let helps = near.map_or(fault.next + ";", |near| format!("did you mean {near}?"));
            fault.next = format!("{helps} `landfall run --list` lists the built-in scenarios");
            fault
        }),
    }
}

/// Converts the error of an invalid scenario or places file into a fault.
pub fn not_a_scenario(why: InvalidScenario) -> Fault {
    let what = format!("{}:{}: {}", why.file, why.line, why.what);
    Fault::usage("cannot run the scenario", what, why.next)
}

/// Name of a scenario in reports: its file name without extension.
pub fn name(file: &Path) -> String {
    file.file_stem().map_or_else(|| "scenario".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_similar_scenario_name_is_suggested() {
        let next = |name: &str| text(Path::new(name)).unwrap_err().next;
        assert!(next("turkiye-120-day").starts_with("did you mean turkiye-120-days? `landfall run --list`"));
        assert!(next("no-such-scenario").starts_with("correct the path; `landfall run --list`"));
    }
}
