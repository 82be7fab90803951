//! Records in a PostgreSQL database, with a server of Debian's package.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic in a function of the test fails the test"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use net::{DamagedPart, PostgresAddress, PostgresRecords};
use prerequisites::postgres::PostgresServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::NoTls;
use world::{Collection, Committed, Fault, FaultKind, Records, StoredForm, Tx, transact};

const FORM: StoredForm = StoredForm { party: "SM-XY", version: 2 };
const NOTES: Collection<String> = Collection::new("notes");
const COUNTER: Collection<u32> = Collection::new("counter");

fn server() -> PostgresServer {
    PostgresServer::start(&[]).unwrap()
}

fn address(server: &PostgresServer) -> PostgresAddress {
    server.address().parse().unwrap()
}

fn open(address: &PostgresAddress, name: &str) -> Arc<PostgresRecords> {
    Arc::new(PostgresRecords::open(address, name, FORM).unwrap())
}

async fn write(records: &dyn Records, key: &str, text: &str) -> Result<Committed, Fault> {
    let mut tx = Tx::begin(records);
    tx.put(&NOTES, key, &text.to_owned())?;
    tx.commit().await
}

async fn count(records: Arc<PostgresRecords>) -> Result<u32, Fault> {
    transact(&records, |tx| {
        Box::pin(async {
            let next = tx.get(&COUNTER, "n").await?.unwrap_or(0) + 1;
            tx.put(&COUNTER, "n", &next)?;
            // A record for each number, so that a commit that took place twice is noticed.
            tx.put(&COUNTER, &format!("each/{next}"), &next)?;
            Ok(next)
        })
    })
    .await
}

/// Connects to the server as another program.
async fn client(server: &PostgresServer) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(&server.address(), NoTls).await.unwrap();
    tokio::spawn(async { drop(connection.await) });
    client
}

async fn sql(server: &PostgresServer, statements: &str) {
    client(server).await.batch_execute(statements).await.unwrap();
}

#[tokio::test]
#[cfg_attr(not(has_postgres), ignore = "needs postgres")]
async fn records_in_a_database_fulfil_the_contract() {
    let server = server();
    world::records::contract::check(open(&address(&server), "contract")).await.unwrap();
}

#[tokio::test]
#[cfg_attr(not(has_postgres), ignore = "needs postgres")]
async fn records_survive_reopening_and_belong_to_one_party() {
    let server = server();
    let address = address(&server);
    let records = open(&address, "sm-xy");
    assert_eq!(write(&*records, "a", "kept").await.unwrap(), Committed::Yes);
    let before = records.read("notes", "a").await.unwrap().unwrap();
    drop(records);
    let records = open(&address, "sm-xy");
    assert_eq!(records.read("notes", "a").await.unwrap().unwrap(), before);
    assert_eq!(write(&*records, "a", "again").await.unwrap(), Committed::Yes);
    assert!(records.read("notes", "a").await.unwrap().unwrap().version > before.version);
    for (form, why) in [
        (StoredForm { party: "SM-DS", version: 2 }, "records of the SM-XY"),
        (StoredForm { version: 3, ..FORM }, "version 2"),
    ] {
        let fault = PostgresRecords::open(&address, "sm-xy", form).err().unwrap();
        assert!(fault.kind == FaultKind::Usage && fault.why.contains(why), "{fault}");
    }
    // Names that need quotes, and names that differ by case, are different stores.
    for name in ["eim-a.example", "eim-A.example", "a\"b"] {
        let other = open(&address, name);
        assert_eq!(other.list("notes", "").await.unwrap(), [], "{name}");
        assert_eq!(write(&*other, "a", name).await.unwrap(), Committed::Yes);
        drop(other);
        assert_eq!(Tx::begin(&*open(&address, name)).get(&NOTES, "a").await.unwrap().unwrap(), name);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "needs postgres")]
async fn several_processes_lose_no_update() {
    let server = server();
    let address = address(&server);
    let stores = [open(&address, "counters"), open(&address, "counters"), open(&address, "counters")];
    let mut tasks = tokio::task::JoinSet::new();
    for at in 0..90 {
        tasks.spawn(count(Arc::clone(&stores[at % stores.len()])));
    }
    let mut answers: Vec<u32> = tasks.join_all().await.into_iter().map(Result::unwrap).collect();
    answers.sort_unstable();
    assert_eq!(answers, (1..=90).collect::<Vec<_>>());
    assert_eq!(stores[0].list("counter", "each/").await.unwrap().len(), 90);
    let report = PostgresRecords::check(&address, "counters", 10).await.unwrap();
    assert_eq!((report.damage, report.last_commit, report.records), (vec![], 90, 91));
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "needs postgres")]
async fn a_store_that_is_closed_has_completed_its_commits() {
    let server = server();
    let records = open(&address(&server), "closed");
    let (other, observer) = (client(&server).await, client(&server).await);
    other.batch_execute("BEGIN; SELECT * FROM landfall_closed.header FOR UPDATE").await.unwrap();
    {
        let mut commit = std::pin::pin!(write(&*records, "a", "nobody waits for it"));
        // The commit is in the queue after the first poll.
        assert!(
            std::future::poll_fn(|context| Poll::Ready(commit.as_mut().poll(context))).await.is_pending()
        );
    }
    let (closes, closing) = tokio::sync::oneshot::channel();
    let unlock = tokio::spawn(async move {
        closing.await.unwrap();
        // A store that does not wait for its commits is closed before these round trips have ended.
        for _ in 0..200 {
            other.batch_execute("SELECT 1").await.unwrap();
        }
        other.batch_execute("COMMIT").await.unwrap();
    });
    closes.send(()).unwrap();
    tokio::task::block_in_place(|| drop(records));
    let count = observer.query_one("SELECT count(*) FROM landfall_closed.records", &[]).await.unwrap();
    assert_eq!(count.get::<_, i64>(0), 1);
    unlock.await.unwrap();
}

#[tokio::test]
#[cfg_attr(not(has_postgres), ignore = "needs postgres")]
async fn a_check_finds_changed_and_missing_records() {
    let server = server();
    let address = address(&server);
    let records = open(&address, "sm-xy");
    for key in ["a", "b", "c"] {
        assert_eq!(write(&*records, key, "as written").await.unwrap(), Committed::Yes);
    }
    let check = async || PostgresRecords::check(&address, "sm-xy", 10).await.unwrap();
    let report = check().await;
    assert_eq!((report.party.as_deref(), report.records, report.last_commit), (Some("SM-XY"), 3, 3));
    assert_eq!(report.damage, []);

    sql(&server, "UPDATE \"landfall_sm-xy\".records SET content = '\\x22'::bytea WHERE key = 'b'").await;
    let part = DamagedPart::Record { collection: "notes".into(), key: "b".into() };
    assert_eq!(check().await.damage.into_iter().map(|damage| damage.part).collect::<Vec<_>>(), [part]);
    let fault = records.read("notes", "b").await.unwrap_err();
    assert!(fault.why.contains("notes/b") && fault.next.contains("restore"), "{fault}");
    assert!(records.read("notes", "a").await.is_ok());

    sql(&server, "DELETE FROM \"landfall_sm-xy\".records WHERE key = 'b'").await;
    assert_eq!(check().await.damage[0].part, DamagedPart::Set);

    sql(&server, "UPDATE \"landfall_sm-xy\".header SET last_version = 1").await;
    assert!(check().await.damage[0].why.contains("checksum"));
    let fault = write(&*records, "d", "after damage").await.unwrap_err();
    assert!(fault.why.contains("damaged"), "{fault}");
    let fault = PostgresRecords::open(&address, "sm-xy", FORM).err().unwrap();
    assert!(fault.why.contains("damaged"), "{fault}");

    let fault = PostgresRecords::check(&address, "none", 10).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::NotFound);
}

#[tokio::test]
#[cfg_attr(not(has_postgres), ignore = "needs postgres")]
async fn a_key_with_nul_is_refused_and_finds_nothing() {
    let server = server();
    let records = open(&address(&server), "nul");
    assert_eq!(write(&*records, "a", "x").await.unwrap(), Committed::Yes);
    assert_eq!(write(&*records, "b", "x").await.unwrap(), Committed::Yes);
    let fault = write(&*records, "a\0b", "x").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Usage);
    assert_eq!(records.read("notes", "a\0").await.unwrap(), None);
    assert_eq!(records.list("notes", "a\0").await.unwrap(), []);
    let after = world::KeyRange { prefix: "", after: Some("a\0b") };
    assert_eq!(records.first("notes", after, 9).await.unwrap()[0].0, "b");
    // A transaction that read such a key commits.
    let mut tx = Tx::begin(&*records);
    assert_eq!(tx.get(&NOTES, "a\0b").await.unwrap(), None);
    assert_eq!(tx.list(&NOTES, "\0").await.unwrap(), []);
    tx.put(&NOTES, "c", &"x".to_owned()).unwrap();
    assert_eq!(tx.commit().await.unwrap(), Committed::Yes);
}

#[tokio::test]
#[cfg_attr(not(has_postgres), ignore = "needs postgres")]
async fn a_database_that_cannot_be_used_is_a_clear_fault() {
    let server = server();
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let port = server.port();
    for (address, kind, text) in [
        (
            format!("postgresql://landfall@127.0.0.1:{unused}/postgres"),
            FaultKind::Unreachable,
            "check that the database runs",
        ),
        (format!("postgresql://landfall@127.0.0.1:{port}/none"), FaultKind::Internal, "createdb"),
        (format!("postgresql://nobody@127.0.0.1:{port}/postgres"), FaultKind::Internal, "correct the user"),
    ] {
        let fault = PostgresRecords::open(&address.parse().unwrap(), "x", FORM).err().unwrap();
        assert!(fault.kind == kind && fault.next.contains(text), "{address}: {fault} ({:?})", fault.kind);
    }
}

/// Writes a certificate for `localhost` with its key, as the server expects it, and returns it.
fn issue(server: &PostgresServer) -> String {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = issued.cert.pem();
    server.add_file("server.crt", certificate.as_bytes()).unwrap();
    server.add_file("server.key", issued.signing_key.serialize_pem().as_bytes()).unwrap();
    certificate
}

#[tokio::test]
#[cfg_attr(not(has_postgres), ignore = "needs postgres")]
async fn tls_verifies_the_server_and_a_password_is_used() {
    let mut server = server();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.pem");
    std::fs::write(&root, issue(&server)).unwrap();
    sql(&server, "ALTER SYSTEM SET ssl = on").await;
    sql(&server, "ALTER USER landfall PASSWORD 'correct'").await;
    server.add_file("pg_hba.conf", b"hostssl all all all scram-sha-256\n").unwrap();
    server.kill().unwrap();
    server.run().unwrap();

    let address = |host: &str, options: &str| -> PostgresAddress {
        format!("postgresql://landfall@{host}:{}/postgres{options}", server.port()).parse().unwrap()
    };
    let verified = format!("?sslmode=verify-full&sslrootcert={}", root.display());
    let records = open(&address("localhost", &verified).with_password("correct"), "tls");
    assert_eq!(write(&*records, "a", "over TLS").await.unwrap(), Committed::Yes);

    let refused = |address: PostgresAddress| PostgresRecords::open(&address, "tls", FORM).err().unwrap();
    let fault = refused(address("localhost", &verified).with_password("wrong"));
    assert!(fault.next.contains("records-password-file"), "{fault}");
    let fault = refused(address("localhost", "").with_password("correct"));
    assert!(fault.why.contains("no encryption"), "{fault}");
    // The certificate is for another name, and then from another CA.
    let fault = refused(address("127.0.0.1", &verified).with_password("correct"));
    assert!(fault.why.contains("certificate"), "{fault}");
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&root, other.cert.pem()).unwrap();
    let fault = refused(address("localhost", &verified).with_password("correct"));
    assert!(fault.why.contains("certificate"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "needs postgres")]
async fn commits_and_reads_wait_for_a_server_that_starts_again() {
    let mut server = server();
    let records = open(&address(&server), "restarts");
    for round in 1..=3 {
        assert_eq!(count(Arc::clone(&records)).await.unwrap(), 2 * round - 1);
        server.kill().unwrap();
        let waiting = tokio::spawn(count(Arc::clone(&records)));
        let started = tokio::task::spawn_blocking(move || {
            server.run().unwrap();
            server
        });
        assert_eq!(waiting.await.unwrap().unwrap(), 2 * round);
        server = started.await.unwrap();
    }
}

/// What the first message that is lost contains, if [`cutter`] cuts a connection.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// The changes and the COMMIT.
    Writes,
    /// The COMMIT.
    Commit,
    /// The answer to the COMMIT.
    Answer,
}

/// Forwards connections to a server, and cuts those that send a COMMIT, as often as the returned
/// number says. Returns its port too.
async fn cutter(port: u16, cut: Cut) -> (u16, Arc<AtomicUsize>) {
    const COMMIT: &[u8] = b"COMMIT\0";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let times = Arc::new(AtomicUsize::new(0));
    let left = Arc::clone(&times);
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let left = Arc::clone(&left);
            tokio::spawn(async move {
                let (mut near_read, mut near_write) = near.into_split();
                let (mut far_read, mut far_write) = far.into_split();
                let back = tokio::spawn(async move { tokio::io::copy(&mut far_read, &mut near_write).await });
                let mut buffer = vec![0; 1 << 16];
                while let Ok(length @ 1..) = near_read.read(&mut buffer).await {
                    let octets = &buffer[..length];
                    let commit = octets.windows(COMMIT.len()).position(|window| window == COMMIT);
                    let is_cut = |left: usize| left.checked_sub(1);
                    if let Some(commit) = commit
                        && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, is_cut).is_ok()
                    {
                        // The message begins with its type and length.
                        let end = match cut {
                            Cut::Writes => 0,
                            Cut::Commit => commit - 5,
                            Cut::Answer => length,
                        };
                        back.abort();
                        let _ = back.await;
                        far_write.write_all(&octets[..end]).await.unwrap();
                        far_write.shutdown().await.unwrap();
                        return;
                    }
                    if far_write.write_all(octets).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (own, times)
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "needs postgres")]
async fn a_commit_whose_answer_is_lost_takes_place_once() {
    let server = server();
    for (at, cut) in [Cut::Writes, Cut::Commit, Cut::Answer].into_iter().enumerate() {
        let (port, times) = cutter(server.port(), cut).await;
        let through = format!("postgresql://landfall@127.0.0.1:{port}/postgres").parse().unwrap();
        let name = format!("doubt{at}");
        let records = open(&through, &name);
        times.store(3, Ordering::SeqCst);
        for number in 1..=5 {
            assert_eq!(count(Arc::clone(&records)).await.unwrap(), number, "{cut:?}");
        }
        assert_eq!(times.load(Ordering::SeqCst), 0);
        drop(records);
        let report = PostgresRecords::check(&address(&server), &name, 10).await.unwrap();
        assert_eq!((report.damage, report.last_commit, report.records), (vec![], 5, 6), "{cut:?}");
    }
}
