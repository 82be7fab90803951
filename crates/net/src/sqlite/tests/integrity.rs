//! Damage of each file of a store is noticed: wrong bits, lost commits, changes of other programs.

use std::collections::BTreeSet;
use std::fs;

use super::*;

/// Key and text of each note, as a listing of the store returns them.
type Notes = Vec<(String, String)>;

async fn notes(records: &SqliteRecords) -> Result<Notes, Fault> {
    Tx::begin(records).peek_list(&NOTES, "").await
}

async fn put(records: &SqliteRecords, key: &str, text: &str) {
    assert_eq!(write(records, key, text).await.unwrap(), Committed::Yes);
}

/// A store with this number of notes, closed.
async fn closed(notes: usize) -> (tempfile::TempDir, PathBuf) {
    let (folder, path, records) = new();
    for number in 0..notes {
        put(&records, &format!("note-{number:03}"), &format!("text {number}").repeat(9)).await;
    }
    drop(records);
    (folder, path)
}

/// Copies the files of a store that is open, which a process leaves behind when it is killed.
fn killed(path: &Path, folder: &Path) -> PathBuf {
    let copy = folder.join("copy.db");
    for ending in ["", "-wal", "-commits"] {
        fs::copy(with(path, ending), with(&copy, ending)).unwrap();
    }
    copy
}

fn with(path: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", path.display()))
}

/// Runs statements as another program does.
fn execute(path: &Path, sql: &str) {
    plain(path).execute_batch(sql).unwrap();
}

fn damage(path: &Path) -> Vec<Damage> {
    SqliteRecords::check(path, None, 10).unwrap().damage
}

fn only_part(path: &Path) -> DamagedPart {
    let damage = damage(path);
    assert_eq!(damage.len(), 1, "{damage:?}");
    damage[0].part.clone()
}

#[tokio::test]
async fn a_wrong_bit_anywhere_is_refused_or_changes_nothing() {
    let (folder, path) = closed(60).await;
    let whole = fs::read(&path).unwrap();
    let records = SqliteRecords::open(&path, FORM).unwrap();
    let expected = notes(&records).await.unwrap();
    drop(records);
    let mark = fs::read(with(&path, "-commits")).unwrap();
    let mut refusals = 0;
    // The whole header of the file, and one bit of every 97th octet.
    let places = (0..100).chain((100..whole.len()).step_by(97));
    for at in places {
        let copy = folder.path().join(format!("{at}.db"));
        let mut wrong = whole.clone();
        wrong[at] ^= 1 << (at % 8);
        fs::write(&copy, wrong).unwrap();
        fs::write(with(&copy, "-commits"), &mark).unwrap();
        match SqliteRecords::open(&copy, FORM) {
            Ok(records) => assert_eq!(notes(&records).await.unwrap(), expected, "octet {at}"),
            Err(fault) => {
                refusals += 1;
                assert!(fault.what.contains(copy.to_str().unwrap()) && !fault.next.is_empty(), "{fault}");
            }
        }
        fs::remove_file(copy).unwrap();
    }
    assert!(refusals > 50, "{refusals} refusals: most octets contain something");
}

#[tokio::test]
async fn a_wrong_bit_of_a_record_is_refused_with_its_name() {
    let (_folder, path) = closed(10).await;
    execute(&path, "UPDATE records SET content = x'22782222' WHERE key = 'note-003'");
    let fault = refused(&path);
    assert!(fault.why.starts_with("record notes/note-003: its checksum does not match"), "{fault}");
    assert!(fault.next.contains("records check"), "{fault}");
    let record = DamagedPart::Record { collection: "notes".into(), key: "note-003".into() };
    assert_eq!(only_part(&path), record);
}

#[tokio::test]
async fn exchanged_contents_versions_and_names_are_noticed() {
    for change in [
        "UPDATE records SET content = (SELECT content FROM records WHERE key = 'note-001') WHERE key = 'note-002'",
        "UPDATE records SET version = version - 1 WHERE key = 'note-002'",
        "UPDATE records SET key = 'note-100' WHERE key = 'note-002'",
        "UPDATE records SET collection = 'other' WHERE key = 'note-002'",
        "UPDATE records SET key = CASE key WHEN 'note-001' THEN 'note-901' ELSE 'note-902' END WHERE key < 'note-003'
         AND key > 'note-000'",
    ] {
        let (_folder, path) = closed(5).await;
        execute(&path, change);
        assert!(refused(&path).why.contains("record "), "{change}");
    }
}

#[tokio::test]
async fn removed_added_and_replaced_records_are_noticed() {
    let added = of_record("notes", "new", 1, b"\"x\"");
    let replaced = of_record("notes", "note-001", 1, b"\"x\"");
    for change in [
        "DELETE FROM records WHERE key = 'note-002'".to_owned(),
        "DELETE FROM records".to_owned(),
        format!("INSERT INTO records VALUES ('notes', 'new', 1, x'227822', x'{}')", hex::encode(added)),
        format!(
            "UPDATE records SET version = 1, content = x'227822', checksum = x'{}' WHERE key = 'note-001'",
            hex::encode(replaced)
        ),
    ] {
        let (_folder, path) = closed(5).await;
        execute(&path, &change);
        assert_eq!(only_part(&path), DamagedPart::Set, "{change}");
        assert!(refused(&path).next.starts_with("restore"));
        assert!(SqliteRecords::accept(&path, None).is_err(), "{change}");
    }
}

#[tokio::test]
async fn a_changed_header_is_noticed() {
    for change in [
        "UPDATE header SET records = records + 1",
        "UPDATE header SET last_version = last_version + 1",
        "UPDATE header SET digest = zeroblob(16)",
        "UPDATE header SET store = zeroblob(16)",
        "UPDATE header SET checksum = zeroblob(16)",
        "UPDATE header SET form = 3",
        "UPDATE header SET party = 'SM-XZ'",
        "DELETE FROM header",
        "INSERT INTO header SELECT * FROM header",
    ] {
        let (_folder, path) = closed(2).await;
        execute(&path, change);
        assert!(refused(&path).why.contains("header"), "{change}");
        assert!(damage(&path).iter().any(|damage| damage.part == DamagedPart::File), "{change}");
    }
}

#[tokio::test]
async fn a_lost_journal_is_noticed_and_can_be_accepted() {
    let (folder, path, records) = new();
    put(&records, "first", "kept").await;
    drop(records);
    let records = SqliteRecords::open(&path, FORM).unwrap();
    put(&records, "second", "in the journal").await;
    let copy = killed(&path, folder.path());
    let whole = killed(&path, &path.parent().unwrap().join(".."));
    assert_eq!(whole, path.parent().unwrap().join("../copy.db"));
    fs::remove_file(with(&copy, "-wal")).unwrap();

    let fault = refused(&copy);
    assert!(fault.why.starts_with("it ends with commit 1, although commit 2 was made"), "{fault}");
    assert!(fault.next.contains("landfall records accept"), "{fault}");
    assert_eq!(only_part(&copy), DamagedPart::Commits);
    assert_eq!(SqliteRecords::accept(&copy, None).unwrap(), 1);
    let accepted = SqliteRecords::open(&copy, FORM).unwrap();
    assert_eq!(notes(&accepted).await.unwrap().len(), 1);
    assert_eq!(write(&accepted, "third", "works").await.unwrap(), Committed::Yes);
}

#[tokio::test]
async fn a_killed_process_leaves_a_store_without_damage() {
    let (folder, path, records) = new();
    for number in 0..5 {
        put(&records, &number.to_string(), "kept").await;
        let copy = killed(&path, folder.path());
        assert_eq!(damage(&copy), []);
        let reopened = SqliteRecords::open(&copy, FORM).unwrap();
        assert_eq!(notes(&reopened).await.unwrap().len(), number + 1);
        drop(reopened);
    }
}

#[tokio::test]
async fn a_wrong_bit_in_the_journal_is_noticed_and_the_journal_is_kept() {
    let (folder, path, records) = new();
    for number in 0..3 {
        put(&records, &number.to_string(), "in the journal").await;
    }
    let expected = notes(&records).await.unwrap();
    let journal = fs::read(with(&path, "-wal")).unwrap();
    let mut refusals = 0;
    for at in (0..journal.len()).step_by(211) {
        let copy = killed(&path, folder.path());
        let _ = fs::remove_file(with(&copy, "-shm"));
        let mut wrong = journal.clone();
        wrong[at] ^= 1 << (at % 8);
        fs::write(with(&copy, "-wal"), &wrong).unwrap();
        match SqliteRecords::open(&copy, FORM) {
            Ok(records) => assert_eq!(notes(&records).await.unwrap(), expected, "octet {at}"),
            Err(fault) => {
                refusals += 1;
                assert!(!fault.next.is_empty());
                assert_eq!(fs::read(with(&copy, "-wal")).unwrap(), wrong, "octet {at}: {fault}");
            }
        }
    }
    assert!(refusals > 10, "{refusals}");
}

#[tokio::test]
async fn an_older_copy_of_the_database_and_a_truncated_one_are_noticed() {
    let (_folder, path) = closed(3).await;
    let older = fs::read(&path).unwrap();
    let records = SqliteRecords::open(&path, FORM).unwrap();
    put(&records, "later", "lost").await;
    drop(records);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &older).unwrap();
    assert!(refused(&path).why.contains("commit 4 was made"));
    for length in [0, 1, 100, 4096, whole.len() - 4096] {
        fs::write(&path, &whole[..length]).unwrap();
        let fault = refused(&path);
        assert!(fault.next.contains("restore"), "{length}: {fault}");
    }
    fs::remove_file(&path).unwrap();
    assert!(refused(&path).why.contains("commit 4 was made"), "the database was removed");
}

#[tokio::test]
async fn a_mark_that_is_missing_or_damaged_or_of_another_store_is_noticed() {
    let (_other_folder, other) = closed(1).await;
    let (_folder, path) = closed(1).await;
    let mark = with(&path, "-commits");
    let whole = fs::read(&mark).unwrap();
    let foreign = fs::read(with(&other, "-commits")).unwrap();
    let mut reasons = BTreeSet::new();
    for content in [None, Some(&b""[..]), Some(&b"x"[..]), Some(&foreign[..])] {
        let _ = fs::remove_file(&mark);
        content.into_iter().for_each(|content| fs::write(&mark, content).unwrap());
        let fault = refused(&path);
        assert!(fault.next.contains("records accept"), "{fault}");
        assert_eq!(only_part(&path), DamagedPart::Commits);
        reasons.insert(fault.why);
    }
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    fs::write(&mark, whole).unwrap();
    SqliteRecords::open(&path, FORM).unwrap();
}

#[test]
fn a_mark_that_cannot_be_read_is_a_fault_and_not_damage() {
    let (_folder, path, records) = new();
    drop(records);
    let mark = with(&path, "-commits");
    fs::remove_file(&mark).unwrap();
    let fault = || {
        let fault = refused(&path);
        assert!(fault.what.contains("records.db") && fault.next.contains("-commits"), "{fault}");
        assert!(SqliteRecords::check(&path, None, 1).is_err());
    };
    // A folder cannot be read as a file.
    fs::create_dir(&mark).unwrap();
    fault();
    // A link to itself cannot be opened.
    fs::remove_dir(&mark).unwrap();
    std::os::unix::fs::symlink(&mark, &mark).unwrap();
    fault();
}

/// The mark is written before the transaction that creates the store is durable.
#[tokio::test]
async fn an_interrupted_creation_is_repeated() {
    let (_folder, path) = closed(0).await;
    fs::write(&path, "").unwrap();
    for ending in ["-wal", "-shm"] {
        let _ = fs::remove_file(with(&path, ending));
    }
    drop(SqliteRecords::open(&path, FORM).unwrap());
    assert_eq!(damage(&path), []);
}

#[test]
fn a_file_of_another_program_is_not_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    for fault in
        [SqliteRecords::check(&path, None, 1).unwrap_err(), SqliteRecords::accept(&path, None).unwrap_err()]
    {
        assert!(fault.why.contains("not a database of this program"), "{fault}");
    }
}

#[cfg(unix)]
#[test]
fn only_the_owner_has_access_to_the_mark() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, path, _records) = new();
    assert_eq!(fs::metadata(with(&path, "-commits")).unwrap().permissions().mode() & 0o077, 0);
}

#[tokio::test]
async fn the_mark_has_the_last_commit_of_each_process() {
    let (_folder, path, first) = new();
    let second = SqliteRecords::open(&path, FORM).unwrap();
    for records in [&first, &second, &first] {
        put(records, "a", "text").await;
    }
    // A transaction without changes is not a commit.
    let mut tx = Tx::begin(&first);
    tx.get(&NOTES, "a").await.unwrap();
    assert_eq!(tx.commit().await.unwrap(), Committed::Yes);
    let Some(crate::commit_mark::FoundMark::Mark(mark)) = mark_file::read(&path).unwrap() else { panic!() };
    assert_eq!(mark.number, 3);
    assert_eq!(SqliteRecords::check(&path, None, 1).unwrap().last_commit, 3);
}

#[tokio::test]
async fn a_read_of_a_damaged_record_is_a_fault_and_the_others_stay_readable() {
    let (_folder, path, records) = new();
    for key in ["a", "b"] {
        put(&records, key, "text").await;
    }
    execute(&path, "UPDATE records SET content = x'2222' WHERE key = 'a'");
    let fault = Tx::begin(&records).get(&NOTES, "a").await.unwrap_err();
    assert!(fault.why.contains("record notes/a") && fault.next.contains("restore"), "{fault}");
    assert!(notes(&records).await.unwrap_err().why.contains("record notes/a"));
    assert_eq!(Tx::begin(&records).get(&NOTES, "b").await.unwrap().unwrap(), "text");
    // A commit that replaces the record repairs it.
    put(&records, "a", "new").await;
    assert_eq!(damage(&path), []);
}

#[tokio::test]
async fn a_check_lists_the_damage_and_changes_nothing() {
    let (_folder, path) = closed(30).await;
    assert_eq!(
        SqliteRecords::check(&path, None, 10).unwrap(),
        RecordsCheck { party: Some("SM-XY".into()), last_commit: 30, records: 30, damage: Vec::new() }
    );
    execute(&path, "UPDATE records SET content = x'2222' WHERE key < 'note-020'");
    let before = fs::read(&path).unwrap();
    assert_eq!(damage(&path).len(), 10, "at most the requested number");
    assert_eq!(SqliteRecords::check(&path, None, 100).unwrap().damage.len(), 20);
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// The schemas of earlier versions, as they were released.
const EARLIER: &str = "
    CREATE TABLE records (
        collection TEXT NOT NULL,
        key        TEXT NOT NULL,
        version    INTEGER NOT NULL,
        content    BLOB NOT NULL,
        PRIMARY KEY (collection, key)
    ) STRICT;
    CREATE TABLE last_version (version INTEGER NOT NULL) STRICT;
    INSERT INTO last_version VALUES (7);
    INSERT INTO records VALUES ('notes', 'a', 7, x'226b65707422');
    PRAGMA application_id = 1279675460;
    PRAGMA journal_mode = WAL;
    PRAGMA user_version = 1;
";
const SECOND: &str = "
    CREATE TABLE stored_form (party TEXT NOT NULL, version INTEGER NOT NULL) STRICT;
    INSERT INTO stored_form VALUES ('SM-XY', 2);
    PRAGMA user_version = 2;
";

fn earlier(sql: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.db");
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    (folder, path)
}

#[tokio::test]
async fn records_of_earlier_schemas_are_migrated() {
    let first = StoredForm { version: FIRST_FORM, ..FORM };
    for (sql, form, other) in [(EARLIER.to_owned(), first, FORM), ([EARLIER, SECOND].concat(), FORM, first)] {
        let (_folder, path) = earlier(&sql);
        let fault = SqliteRecords::open(&path, other).err().unwrap();
        assert!(fault.why.contains("stored form"), "{fault}");
        assert!(SqliteRecords::check(&path, None, 1).is_err(), "a check does not migrate");
        let records = SqliteRecords::open(&path, form).unwrap();
        let stored = records.read("notes", "a").await.unwrap().unwrap();
        assert_eq!((stored.version, &stored.bytes[..]), (Version(7), &b"\"kept\""[..]));
        put(&records, "b", "new").await;
        assert_eq!(records.read("notes", "b").await.unwrap().unwrap().version, Version(8));
        drop(records);
        assert_eq!(damage(&path), []);
        SqliteRecords::open(&path, form).unwrap();
        let tables = "SELECT group_concat(name, ' ' ORDER BY name) FROM sqlite_schema WHERE type = 'table'";
        let tables: String = plain(&path).query_row(tables, [], |row| row.get(0)).unwrap();
        assert_eq!(tables, "header records");
    }
}

#[test]
fn a_migrated_store_is_not_replaced_by_an_earlier_copy() {
    let (_folder, path) = earlier(&[EARLIER, SECOND].concat());
    let records = SqliteRecords::open(&path, FORM).unwrap();
    drop(records);
    let mark = fs::read(with(&path, "-commits")).unwrap();
    fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch(&EARLIER.replace("(7)", "(6)")).unwrap();
    assert!(refused(&path).why.contains("stored form"));
    let fault = SqliteRecords::open(&path, StoredForm { version: 1, ..FORM }).err().unwrap();
    assert!(fault.why.contains("ends with commit 6, although commit 7 was made"), "{fault}");
    assert_eq!(fs::read(with(&path, "-commits")).unwrap(), mark);
}

mod encrypted {
    use super::*;

    fn key(digit: &str) -> StoreKey {
        StoreKey::parse(&digit.repeat(64), "the test").unwrap()
    }

    async fn store() -> (tempfile::TempDir, PathBuf, SqliteRecords) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.db");
        let records = SqliteRecords::open_with_key(&path, FORM, Some(&key("a"))).unwrap();
        put(&records, "name-of-the-record", "text of the record").await;
        (folder, path, records)
    }

    #[tokio::test]
    async fn no_file_of_an_encrypted_store_contains_names_or_contents() {
        let (_folder, path, records) = store().await;
        let contains = |needle: &str| {
            ["", "-wal", "-shm", "-commits"].iter().any(|ending| {
                let octets = fs::read(with(&path, ending)).unwrap_or_default();
                octets.windows(needle.len()).any(|window| window == needle.as_bytes())
            })
        };
        for needle in ["name-of-the-record", "text of the record", "notes", "SM-XY", "SQLite"] {
            assert!(!contains(needle), "{needle}");
        }
        drop(records);
        assert!(!contains("text of the record"));
        let records = SqliteRecords::open_with_key(&path, FORM, Some(&key("a"))).unwrap();
        assert_eq!(notes(&records).await.unwrap()[0].1, "text of the record");
        assert_eq!(SqliteRecords::check(&path, Some(&key("a")), 1).unwrap().damage, []);
    }

    #[tokio::test]
    async fn another_key_and_no_key_are_refused_and_so_is_a_key_for_a_plain_store() {
        let (_folder, path, records) = store().await;
        drop(records);
        let fault = SqliteRecords::open_with_key(&path, FORM, Some(&key("b"))).err().unwrap();
        assert!(fault.why.contains("key"), "{fault}");
        let fault = refused(&path);
        assert!(fault.why.contains("encrypted") && fault.next.contains("records-key-file"), "{fault}");
        let (_folder, plain) = closed(1).await;
        let fault = SqliteRecords::open_with_key(&plain, FORM, Some(&key("a"))).err().unwrap();
        assert!(fault.why.contains("not encrypted"), "{fault}");
    }

    #[tokio::test]
    async fn an_encrypted_store_fulfils_the_contract_and_notices_wrong_bits() {
        let (_folder, path, records) = store().await;
        drop(records);
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(509) {
            let mut wrong = whole.clone();
            wrong[at] ^= 1;
            fs::write(&path, &wrong).unwrap();
            assert!(SqliteRecords::open_with_key(&path, FORM, Some(&key("a"))).is_err(), "octet {at}");
        }
        let other = path.with_extension("other");
        let records = SqliteRecords::open_with_key(&other, FORM, Some(&key("a"))).unwrap();
        world::records::contract::check(Arc::new(records)).await.unwrap();
    }

    #[tokio::test]
    async fn a_plain_store_can_be_encrypted_unless_it_is_in_use_or_damaged() {
        let (_folder, path) = closed(20).await;
        let records = SqliteRecords::open(&path, FORM).unwrap();
        let expected = notes(&records).await.unwrap();
        let fault = SqliteRecords::encrypt(&path, &key("a")).unwrap_err();
        assert!(fault.next.contains("another process"), "{fault}");
        put(&records, "later", "in the journal").await;
        drop(records);
        SqliteRecords::encrypt(&path, &key("a")).unwrap();
        let octets = fs::read(&path).unwrap();
        assert!(!octets.windows(6).any(|window| window == b"note-0" || window == b"SQLite"));
        let records = SqliteRecords::open_with_key(&path, FORM, Some(&key("a"))).unwrap();
        let found = notes(&records).await.unwrap();
        assert_eq!((found.len(), &found[1..]), (21, &expected[..]));
        put(&records, "after", "works").await;
        drop(records);
        assert!(SqliteRecords::encrypt(&path, &key("a")).is_err(), "it is encrypted already");
        let (_folder, path) = closed(3).await;
        execute(&path, "UPDATE records SET content = x'2222' WHERE key = 'note-001'");
        assert!(SqliteRecords::encrypt(&path, &key("a")).unwrap_err().why.contains("note-001"));
        SqliteRecords::check(&path, None, 1).unwrap();
    }

    #[test]
    fn a_key_has_64_hexadecimal_digits() {
        for wrong in ["", "ab", &"g".repeat(64), &"a".repeat(63), &"a".repeat(65)] {
            assert!(StoreKey::parse(wrong, "key.txt").unwrap_err().what.contains("key.txt"), "{wrong}");
        }
        let key = StoreKey::parse(&format!("{}\n", "Ab".repeat(32)), "key.txt").unwrap();
        assert!(!format!("{key:?}").to_lowercase().contains("abab"));
    }
}
