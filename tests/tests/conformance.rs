//! docs/conformance.md is generated from the table, the table names existing files, and each
//! requirement of the table is cited at a check and at a test: `// req: ID, ID`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod iot_results;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    row: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    clause: String,
    what: String,
    server: Option<String>,
    card: Option<String>,
    status: Status,
    note: Option<String>,
    #[serde(default)]
    untraced: bool,
    #[serde(default)]
    requirements: BTreeMap<String, Requirement>,
}

/// The text of a requirement, and the reason if no test shows it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Requirement {
    Tested(String),
    Untested { what: String, untested: String },
}

/// The files that cite a requirement.
#[derive(Default)]
struct Citations {
    checks: BTreeSet<String>,
    tests: BTreeSet<String>,
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(rename_all = "lowercase")]
enum Status {
    Done,
    Part,
    Refused,
    Missing,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn table() -> Table {
    toml::from_str(&fs::read_to_string(root().join("docs/conformance.toml")).unwrap()).unwrap()
}

/// Returns the citations of each requirement in all sources.
fn citations() -> BTreeMap<String, Citations> {
    let mut citations = BTreeMap::new();
    for folder in fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()) {
        let name = folder.file_name().unwrap().to_string_lossy();
        if folder.is_dir() && !name.starts_with('.') && name != "target" {
            read_citations(&folder, &mut citations);
        }
    }
    citations
}

fn read_citations(path: &Path, citations: &mut BTreeMap<String, Citations>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            read_citations(&entry.unwrap().path(), citations);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let file = path.strip_prefix(root()).unwrap();
        let mut is_test = file.iter().any(|part| part == "tests" || part == "tests.rs");
        let file = file.to_string_lossy().into_owned();
        for line in fs::read_to_string(path).unwrap().lines() {
            is_test |= line == "mod tests {";
            let Some(ids) = line.trim_start().strip_prefix("// req: ") else { continue };
            for id in ids.split(", ") {
                let cited: &mut Citations = citations.entry(id.to_owned()).or_default();
                if is_test { &mut cited.tests } else { &mut cited.checks }.insert(file.clone());
            }
        }
    }
}

fn page(table: &Table) -> String {
    let mut page = String::from(
        "# Conformance\n\nGenerated from `conformance.toml`, which describes its format. Each gap states what happens instead.\n\n\
                 | clause | subject | state | server | card | remark |\n|---|---|---|---|---|---|\n",
    );
    let link = |path: &Option<String>| match path {
        Some(path) => format!("[{}](../{path})", path.rsplit('/').next().unwrap()),
        None => String::new(),
    };
    for row in &table.row {
        writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} |",
            row.clause,
            row.what,
            format!("{:?}", row.status).to_lowercase(),
            link(&row.server),
            link(&row.card),
            row.note.clone().unwrap_or_default()
        )
        .unwrap();
    }
    write_requirements(&mut page, table);
    iot_results::write_section(&mut page, &root());
    page
}

fn write_requirements(page: &mut String, table: &Table) {
    let citations = citations();
    let links = |files: &BTreeSet<String>| {
        let link = |file: &String| format!("[{}](../{file})", file.rsplit('/').next().unwrap());
        files.iter().map(link).collect::<Vec<_>>().join(", ")
    };
    let requirements: Vec<_> = table.row.iter().flat_map(|row| &row.requirements).collect();
    let untested = requirements.iter().filter(|(_, it)| matches!(it, Requirement::Untested { .. })).count();
    let untraced: Vec<_> = table.row.iter().filter(|row| row.untraced).map(|row| &*row.clause).collect();
    write!(
        page,
        "\n## Requirements\n\n{} requirements, {untested} of them without a test. \
         Each is cited by its identifier in a comment `// req:` at the check and at the test.\n\n\
         {} of {} entries above have no requirement identifiers yet: {}.\n\n\
         | id | requirement | check | test |\n|---|---|---|---|\n",
        requirements.len(),
        untraced.len(),
        table.row.len(),
        untraced.join("; "),
    )
    .unwrap();
    for (id, requirement) in requirements {
        let cited = citations.get(id);
        let checks = cited.map(|cited| links(&cited.checks)).unwrap_or_default();
        let (what, test) = match requirement {
            Requirement::Tested(what) => (what, cited.map(|cited| links(&cited.tests)).unwrap_or_default()),
            Requirement::Untested { what, untested } => (what, format!("none: {untested}")),
        };
        writeln!(page, "| {id} | {what} | {checks} | {test} |").unwrap();
    }
}

#[test]
fn the_page_matches_the_table() {
    let path = root().join("docs/conformance.md");
    let fresh = page(&table());
    if std::env::var_os("LANDFALL_REGENERATE").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == fresh,
        "docs/conformance.md is stale; LANDFALL_REGENERATE=1 cargo test -p tests --test conformance"
    );
}

#[test]
fn every_named_file_exists_and_every_gap_is_explained() {
    for row in table().row {
        for path in [&row.server, &row.card].into_iter().flatten() {
            assert!(root().join(path).is_file(), "{}: {path} does not exist", row.what);
        }
        let has_code = row.server.is_some() || row.card.is_some();
        assert_eq!(has_code, row.status != Status::Missing, "{}", row.what);
        assert!(
            row.status != Status::Part || row.note.is_some(),
            "{}: the note must name the missing part",
            row.what
        );
    }
}

#[test]
fn every_requirement_is_cited_at_a_check_and_at_a_test() {
    let mut citations = citations();
    let mut wrong = Vec::new();
    for row in table().row {
        if row.untraced != row.requirements.is_empty() && row.status != Status::Missing {
            wrong.push(format!("{}: give requirements, or set untraced = true", row.clause));
        }
        for (id, requirement) in row.requirements {
            let cited = citations.remove(&id).unwrap_or_default();
            if cited.checks.is_empty() {
                wrong.push(format!("{id}: no check cites it"));
            }
            let is_untested = matches!(requirement, Requirement::Untested { .. });
            if cited.tests.is_empty() != is_untested {
                wrong.push(format!("{id}: cite it at a test, or give the reason as untested, but not both"));
            }
        }
    }
    wrong.extend(citations.keys().map(|id| format!("{id}: docs/conformance.toml has no such requirement")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_result_code_of_sgp_32_has_a_test_or_a_reason() {
    let wrong = iot_results::wrong(&root());
    assert!(wrong.is_empty(), "docs/iot-results.toml:\n{}", wrong.join("\n"));
}
