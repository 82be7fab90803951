//! Servers with their records in a PostgreSQL database.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use common::{Running, fail, landfall, succeed};
use prerequisites::postgres::PostgresServer;
use serde_json::Value;

/// Starts SM-DP+, SM-DS and networks on free ports, with the records in the database.
fn up(data: &std::path::Path, database: &str) -> Running {
    let any = "127.0.0.1:0";
    let places = ["--sm-dp", any, "--sm-ds", any, "--network", any, "--admin", any, "--no-card"];
    Running::start(landfall(data).args(["--json", "up", "--records", database]).args(places))
}

#[test]
#[cfg_attr(not(has_postgres), ignore = "needs postgres")]
fn a_download_survives_a_restart_with_records_in_a_database() {
    let server = PostgresServer::start(&[]).unwrap();
    let database = server.address();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let code = |running: &Running| running.out.json()["activation_code"].as_str().unwrap().to_owned();
    let mut first = up(data, &database);
    let ordered = code(&first);
    first.kill();

    let mut second = up(data, &database);
    let again = code(&second);
    let matching_id = |code: &str| code.rsplit('$').next().unwrap().to_owned();
    assert_eq!(matching_id(&again), matching_id(&ordered), "the order is in the database");
    succeed(landfall(data).args(["device", "download", &again]));
    second.kill();

    let list = |database: &str| {
        let list = ["--json", "sm-dp", "list", "--records", database];
        serde_json::from_str::<Value>(&succeed(landfall(data).args(list))).unwrap()
    };
    assert_eq!(list(&database)[0]["state"], "Installed");
    assert!(!data.join("sm-dp.sqlite").exists() && !data.join("sm-ds.sqlite").exists());

    let check = ["--json", "records", "check", "--records", &database];
    let report: Value = serde_json::from_str(&succeed(landfall(data).args(check))).unwrap();
    let parties: Vec<_> =
        report.as_array().unwrap().iter().map(|one| one["party"].as_str().unwrap()).collect();
    assert_eq!(parties, ["SM-DP+", "SM-DS"]);
    assert!(report.as_array().unwrap().iter().all(|one| one["damage"] == Value::Array(vec![])), "{report}");
}

#[test]
fn a_database_that_cannot_be_used_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let list = |records: &str| fail(landfall(folder.path()).args(["sm-dp", "list", "--records", records]));
    for (records, text) in [
        ("records.sqlite", "expected postgresql://"),
        ("postgresql://landfall:secret@127.0.0.1/records", "records-password-file"),
        ("postgresql://landfall@db.example/records", "sslrootcert"),
        ("postgresql://landfall@127.0.0.1:1/records", "check that the database runs"),
    ] {
        let error = list(records);
        assert!(error.contains(text) && !error.contains("secret"), "{records}: {error}");
    }
    let key = folder.path().join("key");
    std::fs::write(&key, "ab".repeat(32)).unwrap();
    let mut encrypted = landfall(folder.path());
    encrypted.args(["sm-dp", "list", "--records", "postgresql://landfall@127.0.0.1:1/records"]);
    assert!(fail(encrypted.env("LANDFALL_RECORDS_KEY_FILE", key)).contains("not encrypted by this program"));
}
