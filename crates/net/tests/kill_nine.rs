//! Records survive kill -9: no acknowledged commit is lost, and no commit is partial.
//!
//! The test runs itself as a child process that commits as fast as possible and prints each
//! acknowledged commit. After a random number of commits it kills the child with SIGKILL and
//! reopens the store. It repeats this for some rounds on the same file. A power cut can do more
//! than kill a process; the additional effects are covered by SQLite's guarantee for WAL with
//! `synchronous = FULL`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic in a function of the test fails the test"
)]
#![cfg(unix)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use net::{OsRandom, SqliteRecords};
use world::{Collection, Fault, Random, SeededRandom, StoredForm, Tx, transact};

const ROUNDS: u32 = 8;
const WRITERS: u32 = 4;
/// Each commit sets these three records of its writer to the same number, and adds one record to
/// the log.
const PARTS: [&str; 3] = ["a", "b", "c"];
const FORM: StoredForm = StoredForm { party: "test", version: 1 };
const COUNTERS: Collection<u32> = Collection::new("counters");
const LOG: Collection<u32> = Collection::new("log");

const CHILD: &str = "LANDFALL_TEST_KILL_NINE";
const SEED: &str = "LANDFALL_TEST_SEED";

#[tokio::test]
async fn no_acknowledged_commit_is_lost_and_none_is_partial() {
    let seed = std::env::var(SEED).unwrap_or_else(|_| {
        let mut bytes = [0; 8];
        OsRandom::new().unwrap().fill(&mut bytes);
        hex::encode(bytes)
    });
    println!("run again with {SEED}={seed}");
    let random = SeededRandom::from_text(&seed);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.db");

    let mut acknowledged = BTreeMap::new();
    for round in 0..ROUNDS {
        let mut byte = [0];
        random.fill(&mut byte);
        commit_until_killed(&path, 1 + usize::from(byte[0]), &mut acknowledged);
        check(&path, &acknowledged).await.unwrap_or_else(|why| panic!("round {round}, seed {seed}: {why}"));
    }
    assert_eq!(acknowledged.len(), WRITERS as usize, "every writer had its turn");
}

/// Runs the child until it has acknowledged this number of commits, and kills it.
fn commit_until_killed(path: &Path, commits: usize, acknowledged: &mut BTreeMap<u32, u32>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_commits_until_killed", "--ignored", "--nocapture"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut seen = 0;
    for line in lines {
        // The output also contains lines of the test harness.
        let Some((_, commit)) = line.split_once("ack ") else { continue };
        let (writer, number) = commit.split_once(' ').unwrap();
        // The last line may be incomplete, and an incomplete line does not count as an
        // acknowledgement.
        let Some(number) = number.strip_suffix(" .") else { continue };
        acknowledged.insert(writer.parse().unwrap(), number.parse().unwrap());
        seen += 1;
        if seen == commits {
            // `kill` sends SIGKILL. Lines that are already in the pipe are acknowledgements too.
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert!(seen >= commits && !status.success(), "the child ended by itself: {status}");
}

async fn check(path: &Path, acknowledged: &BTreeMap<u32, u32>) -> Result<(), String> {
    let records = SqliteRecords::open(path, FORM).map_err(|fault| fault.to_string())?;
    let mut tx = Tx::begin(&records);
    for (&writer, &number) in acknowledged {
        let mut parts = Vec::new();
        for part in PARTS {
            let value =
                tx.get(&COUNTERS, &format!("{writer}/{part}")).await.map_err(|fault| fault.to_string())?;
            parts.push(value.unwrap_or(0));
        }
        if parts.iter().any(|part| *part != parts[0]) {
            return Err(format!("a commit of writer {writer} is there in part: {parts:?}"));
        }
        if parts[0] < number {
            return Err(format!(
                "writer {writer} got an acknowledgement of {number}, but {} is stored",
                parts[0]
            ));
        }
        let log = tx.list(&LOG, &format!("{writer}/")).await.map_err(|fault| fault.to_string())?;
        let logged: Vec<u32> = log.into_iter().map(|(_, number)| number).collect();
        if logged != (1..=parts[0]).collect::<Vec<_>>() {
            return Err(format!("the log of writer {writer} does not go from 1 to {}", parts[0]));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the child of the test above, not a test"]
async fn child_that_commits_until_killed() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let records = Arc::new(SqliteRecords::open(path, FORM).unwrap());
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let records = Arc::clone(&records);
        writers.spawn(async move {
            loop {
                let number = transact(&records, |tx| Box::pin(commit_next(tx, writer))).await.unwrap();
                println!("ack {writer} {number} .");
            }
        });
    }
    writers.join_all().await;
}

async fn commit_next(tx: &mut Tx<'_>, writer: u32) -> Result<u32, Fault> {
    let mut number = 0;
    for part in PARTS {
        let key = format!("{writer}/{part}");
        number = tx.get(&COUNTERS, &key).await?.unwrap_or(0) + 1;
        tx.put(&COUNTERS, &key, &number)?;
    }
    tx.put(&LOG, &format!("{writer}/{number:08}"), &number)?;
    Ok(number)
}
