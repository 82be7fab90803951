//! The table in docs/json.md.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

const BEGIN: &str = "<!-- cases: begin -->\n";
const END: &str = "<!-- cases: end -->";

/// Compares the table with the tested kinds of each command, or writes it.
pub(super) fn compare(kinds: &BTreeMap<&str, BTreeSet<&str>>) {
    let mut table = "\n| Command | Output | Tested results and errors |\n|---|---|---|\n".to_owned();
    for (command, kinds) in kinds {
        let output = cli::command::outputs().find(|output| output.command == *command);
        let output = match output {
            Some(output) => format!("[{}](json/{})", output.form.name(), output.file()),
            None => "no JSON".to_owned(),
        };
        let kinds: Vec<String> = kinds.iter().map(|kind| format!("`{kind}`")).collect();
        table.push_str(&format!("| `{command}` | {output} | {} |\n", kinds.join(", ")));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/json.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (current, after) = rest.split_once(END).unwrap();
    if std::env::var_os("LANDFALL_REGENERATE").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}\n{END}{after}")).unwrap();
    } else {
        assert_eq!(current.trim(), table.trim(), "LANDFALL_REGENERATE=1 writes the table");
    }
}
