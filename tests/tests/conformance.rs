//! docs/conformance.md is generated from the table, and the table names existing files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::{fmt::Write, fs, path::PathBuf};

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
    page
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
