//! `landfall faults`: the catalogue of faults.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use common::{fail, landfall, succeed};

#[test]
fn faults_of_all_families_or_of_one_are_listed_as_table_or_json() {
    let folder = tempfile::tempdir().unwrap();
    let table = succeed(landfall(folder.path()).arg("faults"));
    for family in
        ["link/lose-answer", "records/crash-after-commit", "radio/refuse-illegal-ue", "power/torn-write"]
    {
        assert!(table.contains(family), "{table}");
    }
    let json = succeed(landfall(folder.path()).args(["faults", "--family", "radio", "--json"]));
    let rows: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    assert!(rows.len() > 10);
    for row in &rows {
        assert!(row["id"].as_str().unwrap().starts_with("radio/"), "{row}");
        for field in ["what", "peer", "requirement", "clause", "places"] {
            assert!(row[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {row}");
        }
    }
    let flapping = rows.iter().find(|row| row["id"] == "radio/flapping").unwrap();
    assert_eq!(flapping["value"]["default"], "1m");
    let errors = fail(landfall(folder.path()).args(["faults", "--family", "tampering"]));
    assert!(errors.contains("Known families: link, coap, tls, records, radio, power"), "{errors}");
}
