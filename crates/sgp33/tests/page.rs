//! docs/sgp33.md is generated from the tables.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::fmt::Write;
use std::path::PathBuf;

use sgp23::{Case, Row, Subject};

fn table<S: Subject>(page: &mut String, suite: &str, cases: &[Case<S>]) {
    writeln!(page, "| function | SGP.32 | {suite} | requirement | needs |\n|---|---|---|---|---|").unwrap();
    for row in cases.iter().map(Row::of) {
        let id = row.id.unwrap_or_default();
        writeln!(page, "| {} | {} | {id} | {} | {} |", row.function, row.clause, row.title, row.needs)
            .unwrap();
    }
}

#[test]
fn the_page_matches_the_tables() {
    let mut fresh = String::from(
        "# Cases of SGP.33\n\n\
         Generated from the tables of `sgp33`. `cargo test -p sgp33` runs them in one process.\n\n\
         Version 1.2 of SGP.33-3 leaves most cases of an eIM for further study, so that most cases here are\n\
         derived from the procedures of SGP.32. The identifiers of the others are those that public summaries\n\
         of SGP.33-3 quote; the document itself was not available.\n\n\
         ## eIM\n\n\
         `landfall check eim` [runs these cases](how-to/check-eim.md). Cases of functions run in both\n\
         bindings and on both curves, those of HTTP in both bindings.\n\n",
    );
    table(&mut fresh, "SGP.33-3", &sgp33::eim::table());
    fresh.push_str(
        "\n## IPA\n\n`landfall check ipa` [runs these cases](how-to/check-ipa.md), each one once.\n\n",
    );
    table(&mut fresh, "SGP.33-2", &sgp33::ipa::table());
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/sgp33.md");
    if std::env::var_os("LANDFALL_REGENERATE").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == fresh,
        "docs/sgp33.md is stale; LANDFALL_REGENERATE=1 cargo test -p sgp33 --test page"
    );
}
