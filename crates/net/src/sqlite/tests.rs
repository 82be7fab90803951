//! Tests of the store.

use std::sync::Arc;

use world::{Collection, Tx, transact};

use super::schema::{FIRST_FORM, SCHEMA_VERSION};
use super::*;

mod integrity;

const NOTES: Collection<String> = Collection::new("notes");
const FORM: StoredForm = StoredForm { party: "SM-XY", version: 2 };

fn new() -> (tempfile::TempDir, PathBuf, SqliteRecords) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/records.db");
    let records = SqliteRecords::open(&path, FORM).unwrap();
    (folder, path, records)
}

async fn write(records: &SqliteRecords, key: &str, text: &str) -> Result<Committed, Fault> {
    let mut tx = Tx::begin(records);
    tx.put(&NOTES, key, &text.to_owned())?;
    tx.commit().await
}

fn plain(path: &Path) -> Connection {
    connect(path, None, Access::Write).unwrap()
}

fn refused(path: &Path) -> Fault {
    SqliteRecords::open(path, FORM).err().expect("the file must be refused")
}

#[tokio::test]
async fn sqlite_records_fulfil_the_contract() {
    let (_folder, _path, records) = new();
    world::records::contract::check(Arc::new(records)).await.unwrap();
}

#[tokio::test]
async fn records_and_versions_survive_reopening() {
    let (_folder, path, records) = new();
    assert_eq!(write(&records, "a", "kept").await.unwrap(), Committed::Yes);
    let before = records.read("notes", "a").await.unwrap().unwrap();
    drop(records);
    let records = SqliteRecords::open(&path, FORM).unwrap();
    assert_eq!(records.read("notes", "a").await.unwrap().unwrap(), before);
    assert_eq!(write(&records, "a", "again").await.unwrap(), Committed::Yes);
    assert!(records.read("notes", "a").await.unwrap().unwrap().version > before.version);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_increments_lose_no_update() {
    const COUNTER: Collection<u32> = Collection::new("counter");
    async fn count(records: Arc<SqliteRecords>) -> Result<u32, Fault> {
        transact(&records, |tx| {
            Box::pin(async {
                let next = tx.get(&COUNTER, "n").await?.unwrap_or(0) + 1;
                tx.put(&COUNTER, "n", &next)?;
                Ok(next)
            })
        })
        .await
    }
    let (_folder, _path, records) = new();
    let records = Arc::new(records);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        tasks.spawn(count(Arc::clone(&records)));
    }
    let mut answers: Vec<u32> = tasks.join_all().await.into_iter().map(Result::unwrap).collect();
    answers.sort_unstable();
    assert_eq!(answers, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn two_stores_on_one_file_detect_conflicts() {
    let (_folder, path, first) = new();
    let second = SqliteRecords::open(&path, FORM).unwrap();
    let mut tx = Tx::begin(&first);
    assert_eq!(tx.get(&NOTES, "a").await.unwrap(), None);
    assert_eq!(write(&second, "a", "second").await.unwrap(), Committed::Yes);
    tx.put(&NOTES, "a", &"first".to_owned()).unwrap();
    assert_eq!(tx.commit().await.unwrap(), Committed::Conflict);
    assert_eq!(Tx::begin(&first).get(&NOTES, "a").await.unwrap().unwrap(), "second");
}

#[tokio::test]
async fn a_full_disk_is_a_fault_and_loses_nothing() {
    let (_folder, path, records) = new();
    assert_eq!(write(&records, "small", "kept").await.unwrap(), Committed::Yes);
    drop(records);
    let connection = plain(&path);
    // At this limit SQLite fails exactly as with a full disk.
    let _: i64 = connection.query_row("PRAGMA max_page_count = 10", [], |row| row.get(0)).unwrap();
    let mut records = SqliteRecords::open(&path, FORM).unwrap();
    records.writer = Writer::start(connection, path.clone(), MarkFile::open(&path).unwrap()).unwrap();
    let fault = write(&records, "large", &"x".repeat(100_000)).await.unwrap_err();
    assert!(fault.next.starts_with("free some"), "{fault}");
    assert_eq!(Tx::begin(&records).get(&NOTES, "large").await.unwrap(), None);
    assert_eq!(write(&records, "small", "still works").await.unwrap(), Committed::Yes);
}

#[tokio::test]
async fn reads_continue_after_panics_in_all_readers() {
    let (_folder, _path, records) = new();
    assert_eq!(write(&records, "a", "kept").await.unwrap(), Committed::Yes);
    for _ in 0..READERS {
        let panic = std::panic::AssertUnwindSafe(|| records.query::<()>(|_| panic!("in a query")));
        std::panic::catch_unwind(panic).unwrap_err();
    }
    for _ in 0..=READERS * READERS {
        assert_eq!(Tx::begin(&records).get(&NOTES, "a").await.unwrap().unwrap(), "kept");
    }
}

#[tokio::test]
async fn a_damaged_file_is_refused_with_advice() {
    let (_folder, path, records) = new();
    for i in 0..100 {
        assert_eq!(write(&records, &i.to_string(), &"x".repeat(300)).await.unwrap(), Committed::Yes);
    }
    drop(records);
    let whole = std::fs::read(&path).unwrap();
    let mut torn_page = whole.clone();
    torn_page[4096..8192].fill(0x55);
    let cases = [
        ("garbage", b"this is not a database, it only looks long enough to be one".repeat(20)),
        ("garbage after the first octets", [b"SQLite format 3\0", &[0x55; 8192][..]].concat()),
        ("cut short", whole[..whole.len() / 2].to_vec()),
        ("a torn page", torn_page),
    ];
    for (name, bytes) in cases {
        std::fs::write(&path, bytes).unwrap();
        let fault = refused(&path);
        assert!(fault.next.contains("restore a copy"), "{name}: {fault}");
        assert!(!fault.why.contains("key"), "{name}: {fault}");
    }
}

#[test]
fn a_newer_schema_is_refused() {
    let (_folder, path, records) = new();
    drop(records);
    plain(&path).pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    assert!(refused(&path).why.contains("schema version 4"));
}

#[test]
fn another_stored_form_is_refused_and_both_versions_are_named() {
    let (_folder, path, records) = new();
    drop(records);
    for (party, version, expected) in [
        ("SM-XY", 1, "their stored form has version 2, and this SM-XY reads version 1"),
        ("SM-XY", 3, "their stored form has version 2, and this SM-XY reads version 3"),
        ("SM-ZZ", 2, "they are the records of the SM-XY, and this is the SM-ZZ"),
    ] {
        let refused = SqliteRecords::open(&path, StoredForm { party, version }).err().unwrap();
        assert_eq!(refused.why, expected);
        assert!(refused.next.contains("another folder"), "{refused}");
    }
    SqliteRecords::open(&path, FORM).unwrap();
}

#[test]
fn a_database_of_another_program_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(refused(&path).why.contains("another program"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn an_unwritable_folder_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    assert!(refused(&file.join("records.db")).next.contains("--data-dir"));
    assert!(refused(folder.path()).next.contains("--data-dir"), "a folder in place of the file");
}

#[cfg(unix)]
#[test]
#[cfg_attr(not(has_unprivileged), ignore = "needs a user other than root, because root may write everywhere")]
fn a_folder_without_permission_is_a_fault() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
    assert!(refused(&folder.path().join("records.db")).next.contains("--data-dir"));
}

#[cfg(unix)]
#[test]
fn only_the_owner_has_access_to_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, path, _records) = new();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0);
}
