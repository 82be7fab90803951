//! The cost of checksums, header and mark: the store is compared with the same statements without
//! them, in one run. Each result is a ratio, so that it does not depend on the machine.
//!
//! `cargo bench -p net --bench records`

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::path::Path;
use std::time::{Duration, Instant};

use net::{SqliteRecords, StoreKey};
use rusqlite::{Connection, params};
use world::records::Change;
use world::{ChangeSet, Committed, Records, StoredForm};

const FORM: StoredForm = StoredForm { party: "bench", version: 1 };
const COMMITS: usize = 400;
const RECORDS: usize = 20_000;
/// Size of a record of a device or an order.
const OCTETS: usize = 1500;
const ROUNDS: usize = 5;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let key = StoreKey::parse(&"a5".repeat(32), "the benchmark").unwrap();
    let bare = bare(&folder.path().join("bare.sqlite"));
    let plain_path = folder.path().join("plain.sqlite");
    let plain = SqliteRecords::open(&plain_path, FORM).unwrap();
    let encrypted = SqliteRecords::open_with_key(folder.path().join("key.sqlite"), FORM, Some(&key)).unwrap();
    let commit = |store: &SqliteRecords, from: usize, records: usize| {
        let changes = (from..from + records).map(|number| Change {
            collection: "devices",
            key: format!("{number:08}"),
            content: Some(content(number)),
        });
        let set = ChangeSet { changes: changes.collect(), ..ChangeSet::default() };
        assert_eq!(runtime.block_on(store.commit(set)).unwrap(), Committed::Yes);
    };
    let list = |store: &SqliteRecords| {
        assert!(runtime.block_on(store.list("devices", "")).unwrap().len() >= RECORDS);
    };

    write_bare(&bare, 0, RECORDS);
    commit(&plain, 0, RECORDS);
    commit(&encrypted, 0, RECORDS);
    println!("{COMMITS} commits of one record, {RECORDS} records of {OCTETS} octets, best of {ROUNDS}");
    let base = best(|| (0..COMMITS).for_each(|number| write_bare(&bare, number, 1)));
    let times = [&plain, &encrypted].map(|store| best(|| (0..COMMITS).for_each(|n| commit(store, n, 1))));
    report("commits, a sync each", base, times);
    let base = best(|| write_bare(&bare, 0, 5000));
    let times = [&plain, &encrypted].map(|store| best(|| commit(store, 0, 5000)));
    report("one commit of 5000 records", base, times);
    let base = best(|| list_bare(&bare));
    let times = [&plain, &encrypted].map(|store| best(|| list(store)));
    report("list of all records", base, times);
    drop(plain);
    let base = best(|| {
        let connection = Connection::open(folder.path().join("bare.sqlite")).unwrap();
        connection.query_row("PRAGMA quick_check(1)", [], |_| Ok(())).unwrap();
    });
    let open = best(|| drop(SqliteRecords::open(&plain_path, FORM).unwrap()));
    println!("start: {:.2} times the former quick_check ({open:?})", ratio(open, base));
}

fn report(what: &str, base: Duration, [plain, encrypted]: [Duration; 2]) {
    println!(
        "{what}: {:.2} times as long as without checksums, {:.2} times with encryption ({base:?} without)",
        ratio(plain, base),
        ratio(encrypted, base),
    );
}

fn ratio(time: Duration, base: Duration) -> f64 {
    time.as_secs_f64() / base.as_secs_f64()
}

fn best(mut work: impl FnMut()) -> Duration {
    let rounds = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed()
    });
    rounds.min().unwrap_or_default()
}

fn content(number: usize) -> Vec<u8> {
    format!("{number:010}").repeat(OCTETS / 10).into_bytes()
}

/// The former schema, and the settings of the store.
fn bare(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    let schema = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
        CREATE TABLE records (collection TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL,
        content BLOB NOT NULL, PRIMARY KEY (collection, key)) STRICT;
        CREATE TABLE last_version (version INTEGER NOT NULL) STRICT; INSERT INTO last_version VALUES (0);";
    connection.execute_batch(schema).unwrap();
    connection
}

fn write_bare(connection: &Connection, from: usize, records: usize) {
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    for number in from..from + records {
        connection
            .prepare_cached(
                "INSERT INTO records VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (collection, key) DO UPDATE SET version = ?3, content = ?4",
            )
            .unwrap()
            .execute(params!["devices", format!("{number:08}"), 1, content(number)])
            .unwrap();
    }
    connection.prepare_cached("UPDATE last_version SET version = version + 1").unwrap().execute([]).unwrap();
    connection.execute_batch("COMMIT").unwrap();
}

fn list_bare(connection: &Connection) {
    let mut rows = connection
        .prepare_cached("SELECT key, version, content FROM records WHERE collection = 'devices' ORDER BY key")
        .unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let all: Vec<(String, u64, Vec<u8>)> = rows.query_map([], row).unwrap().map(Result::unwrap).collect();
    assert!(all.len() >= RECORDS);
}
