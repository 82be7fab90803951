//! A commit is on disk before it is acknowledged, and a disk that fails is reported. strace shows the
//! system calls of a child process that commits, and makes some of them fail.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic in a function of the test fails the test"
)]

use std::path::Path;
use std::process::Command;

use net::{FileMemory, SqliteRecords};
use world::{Batch, Collection, Committed, Memory, StoredForm, Tx};

const FORM: StoredForm = StoredForm { party: "test", version: 1 };
const NOTES: Collection<String> = Collection::new("notes");
const STORE: &str = "LANDFALL_TEST_STORE";
const PATH: &str = "LANDFALL_TEST_PATH";
const COMMITS: usize = 12;
/// Enough for a compaction of the memory within [`COMMITS`] commits.
const CELL: usize = 10_000;

/// What strace and the child have printed.
struct Trace {
    calls: Vec<String>,
    output: String,
}

impl Trace {
    /// Runs the child with this store under strace.
    fn of(store: &str, folder: &Path, inject: Option<&str>) -> Self {
        let log = folder.join("strace.log");
        let calls = "trace=fsync,fdatasync,write,rename,renameat,renameat2";
        let child = Command::new("strace")
            .args(["-f", "-y", "-s", "64", "-e", calls, "-o"])
            .arg(&log)
            .args(inject.iter().flat_map(|inject| ["-e", inject]))
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_commits", "--ignored", "--nocapture", "--test-threads", "1"])
            .env(STORE, store)
            .env(PATH, folder.join("store"))
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&child.stdout).into_owned();
        assert!(child.status.success(), "{output}{}", String::from_utf8_lossy(&child.stderr));
        let log = std::fs::read_to_string(log).unwrap();
        Self { calls: log.lines().map(str::to_owned).collect(), output }
    }

    /// Returns the calls before each acknowledged commit, since the one before it.
    fn before_each_commit(&self) -> Vec<&[String]> {
        let is_line = |call: &String| call.contains("write(1") && call.contains("commit ");
        let mut parts: Vec<_> = self.calls.split(is_line).collect();
        parts.pop();
        assert_eq!(parts.len(), COMMITS, "{:#?}", self.calls);
        parts
    }

    fn lines(&self, heading: &str) -> usize {
        self.output.lines().filter(|line| line.contains(heading)).count()
    }
}

fn is_sync(call: &str, file: &str) -> bool {
    (call.contains("fsync(") || call.contains("fdatasync(")) && call.contains(file)
}

#[test]
#[cfg_attr(not(has_strace), ignore = "needs strace")]
fn records_are_synced_before_a_commit_is_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let trace = Trace::of("records", folder.path(), None);
    for (number, calls) in trace.before_each_commit().into_iter().enumerate() {
        assert!(calls.iter().any(|call| is_sync(call, "store-wal>")), "commit {number}: {calls:#?}");
    }
}

#[tokio::test]
#[cfg_attr(not(has_strace), ignore = "needs strace")]
async fn a_failed_sync_of_the_records_is_a_fault_and_loses_no_acknowledged_commit() {
    let folder = tempfile::tempdir().unwrap();
    // strace counts the calls of each thread. The first ones create the file.
    let trace = Trace::of("records", folder.path(), Some("inject=fsync,fdatasync:error=EIO:when=10+"));
    let (acknowledged, failed) = (trace.lines("commit ok"), trace.lines("commit failed"));
    assert!(acknowledged > 0 && failed > 0 && acknowledged + failed == COMMITS, "{}", trace.output);
    let records = SqliteRecords::open(folder.path().join("store"), FORM).unwrap();
    let stored = Tx::begin(&records).list(&NOTES, "").await.unwrap().len();
    assert!(stored >= acknowledged, "{stored} of {acknowledged}");
}

#[test]
#[cfg_attr(not(has_strace), ignore = "needs strace")]
fn a_memory_is_synced_before_a_commit_is_acknowledged_and_before_it_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let trace = Trace::of("memory", folder.path(), None);
    let parts = trace.before_each_commit();
    let name = folder.path().file_name().unwrap().to_str().unwrap();
    let is_folder = |call: &String| is_sync(call, &format!("{name}>"));
    for (number, calls) in parts.iter().enumerate() {
        assert!(calls.iter().any(|call| is_sync(call, "/store>")), "commit {number}: {calls:#?}");
    }
    assert!(parts[0].iter().any(is_folder), "the name of the file: {:#?}", parts[0]);
    let renamed = parts.iter().position(|calls| calls.iter().any(|call| call.contains("rename"))).unwrap();
    let calls = parts[renamed];
    let position = calls.iter().position(|call| call.contains("rename")).unwrap();
    assert!(calls[..position].iter().any(|call| is_sync(call, "/store.new>")), "{calls:#?}");
    assert!(parts[renamed + 1].iter().any(is_folder), "the new name: {:#?}", parts[renamed + 1]);
}

#[test]
#[cfg_attr(not(has_strace), ignore = "needs strace")]
fn a_failed_sync_of_a_memory_is_a_fault() {
    for call in ["fdatasync", "fsync"] {
        let folder = tempfile::tempdir().unwrap();
        let trace = Trace::of("memory", folder.path(), Some(&format!("inject={call}:error=EIO")));
        assert_eq!(trace.lines("commit failed"), COMMITS, "{call}: {}", trace.output);
        assert!(FileMemory::open(folder.path().join("store")).unwrap().load().unwrap().is_empty(), "{call}");
    }
}

#[tokio::test]
#[ignore = "the child of the tests above, not a test"]
async fn child_that_commits() {
    let (Ok(store), Ok(path)) = (std::env::var(STORE), std::env::var(PATH)) else { return };
    let report = |result: Result<(), world::Fault>| match result {
        Ok(()) => println!("commit ok"),
        Err(fault) => println!("commit failed: {fault}"),
    };
    if store == "memory" {
        let mut memory = FileMemory::open(path).unwrap();
        for number in 0..COMMITS {
            report(memory.commit(Batch::of("cell", vec![u8::try_from(number).unwrap(); CELL])));
        }
        return;
    }
    let records = SqliteRecords::open(path, FORM).unwrap();
    for number in 0..COMMITS {
        let mut tx = Tx::begin(&records);
        tx.put(&NOTES, &number.to_string(), &"kept".to_owned()).unwrap();
        report(tx.commit().await.map(|committed| assert_eq!(committed, Committed::Yes)));
    }
}
