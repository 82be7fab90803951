//! Every fault of the catalogue can be parsed and installed, happens, and has the effect on a real
//! exchange that its entry describes.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use certs::{Pki, PkiOptions};
use device::lpa::DownloadOptions;
use device::{Ending, Recovery};
use faults::catalogue::{self, Entry};
use faults::{
    Family, FaultId, FaultInjector, FaultSpec, FaultyMemory, FaultyRadio, FaultyRecords, LinkAct, Power,
    PowerAct, ProcessHandle, RadioAct, RecordsAct,
};
use http::{Request, Response, StatusCode};
use network::{
    AttachRequest, AuthenticationAnswer, AuthenticationResponse, EmmCause, NetworkAnswer, Radio, RadioFault,
};
use rsp::time::Timestamp;
use testbed::consumer::{Consumer, LOCAL, Setup, Start};
use testbed::time::{Simulation, run};
use tokio::time::Instant;
use world::{
    Batch, CanSendSlowly, Cells, Collection, Link, LinkFault, LinkFaultKind, Memory, MemoryRecords,
    RamMemory, Records, SeededRandom, SlowBody, link_from, transact,
};

const START: Timestamp = Timestamp(1_795_000_000_000);

static SETUP: LazyLock<Setup> = LazyLock::new(|| {
    let pki = Pki::from_seed(b"scenario tests", &PkiOptions::default()).unwrap();
    Setup { pki: Arc::new(pki), carrier: None }
});

fn simulate<T>(simulated: impl AsyncFnOnce(Simulation) -> T) -> T {
    run("faults", START, simulated).unwrap()
}

fn faults(texts: &[&str]) -> FaultInjector {
    let read = |text: &&str| text.parse::<FaultSpec>().unwrap();
    FaultInjector::new(SeededRandom::from_text("faults"), texts.iter().map(read))
}

fn of(family: Family) -> impl Iterator<Item = &'static Entry> {
    catalogue::all().filter(move |entry| entry.id.family() == family)
}

#[test]
fn every_fault_round_trips_with_a_value_and_a_place() {
    for entry in catalogue::all() {
        let mut text = entry.name.to_owned();
        if let Some(parameter) = &entry.value {
            text.push_str(if parameter.kind == catalogue::ParameterKind::Duration { "=90s" } else { "=9" });
        }
        for place in entry.places.forms().split(", ") {
            let text = format!("{text}@{place}#2");
            let spec: FaultSpec = text.parse().unwrap();
            assert_eq!(spec.id(), entry.id);
            assert_eq!(spec.to_string(), text);
        }
        assert_eq!(FaultSpec::of(entry).to_string(), entry.name);
    }
}

/// A server that echoes requests, and the requests that it received.
fn echo() -> (Link, Arc<std::sync::Mutex<Vec<Bytes>>>) {
    let received: Arc<std::sync::Mutex<Vec<Bytes>>> = Arc::default();
    let recorded = Arc::clone(&received);
    let link = link_from(tower::service_fn(move |request: Request<Bytes>| {
        recorded.lock().unwrap().push(request.body().clone());
        let answer = Response::builder().header("Content-Type", "application/json").body(request.into_body());
        async { Ok::<_, LinkFault>(answer.unwrap()) }
    }));
    (link, received)
}

fn request(body: &'static str) -> Request<Bytes> {
    Request::post("http://server/gsma/rsp2/es9plus/authenticateClient")
        .body(Bytes::from_static(body.as_bytes()))
        .unwrap()
}

/// Sends one request with the body "0123456789". Returns the answer, the duration, and the requests
/// that the server received.
async fn send_request(fault: &str) -> (Result<Response<Bytes>, LinkFault>, Duration, Vec<Bytes>) {
    let (server, received) = echo();
    let faults = faults(&[&format!("{fault}@ES9+.AuthenticateClient#1")]);
    let (link, from) = (faults.link(server), Instant::now());
    let answer = world::send(&link, request("0123456789")).await;
    assert_eq!(faults.injected_count(), 1, "{fault}");
    let (took, requests) = (from.elapsed(), received.lock().unwrap().clone());
    // The next request must succeed.
    assert_eq!(world::send(&link, request("next")).await.unwrap().body(), "next", "{fault}");
    (answer, took, requests)
}

#[test]
fn every_link_fault_has_the_described_effect() {
    let mut seen = 0;
    for entry in of(Family::Link) {
        let FaultId::Link(act) = entry.id else { panic!() };
        simulate(async |_| {
            let (answer, took, received) = send_request(&entry.name).await;
            let kind = answer.as_ref().err().map(|fault| fault.kind);
            let body = answer.as_ref().map(|answer| answer.body().clone()).unwrap_or_default();
            let status = answer.as_ref().map(Response::status).unwrap_or_default();
            let minute = Duration::from_secs(60);
            let timeout = (Some(LinkFaultKind::Timeout), minute);
            let context = format!("{}: {answer:?} after {took:?}", entry.name);
            match act {
                LinkAct::LoseRequest | LinkAct::Reorder => {
                    assert_eq!(((kind, took), received.len()), (timeout, 0), "{context}");
                }
                LinkAct::LoseAnswer => assert_eq!(((kind, took), received.len()), (timeout, 1), "{context}"),
                LinkAct::Reset => {
                    assert_eq!((kind, received.len()), (Some(LinkFaultKind::Reset), 1), "{context}");
                }
                LinkAct::Delay => assert_eq!((took, &*body), (Duration::from_secs(10), &b"0123456789"[..])),
                LinkAct::Duplicate => assert_eq!((received.len(), &*body), (2, &b"0123456789"[..])),
                LinkAct::TruncateRequest => assert_eq!(received, ["01234"], "{context}"),
                LinkAct::TruncateAnswer => {
                    assert_eq!((&*received[0], &*body), (&b"0123456789"[..], &b"01234"[..]))
                }
                LinkAct::CorruptRequest => assert_eq!(bits_apart(&received[0]), 1, "{context}"),
                LinkAct::CorruptAnswer => {
                    assert_eq!((&*received[0], bits_apart(&body)), (&b"0123456789"[..], 1), "{context}");
                }
                LinkAct::HttpStatus(code) => {
                    assert_eq!((status.as_u16(), received.len()), (code, 0), "{context}");
                    assert!(entry.name.ends_with(&code.to_string()) && body.is_empty());
                }
                LinkAct::Redirect => {
                    assert_eq!((status, received.len()), (StatusCode::FOUND, 0), "{context}")
                }
                LinkAct::SlowDrip => assert_eq!((took, body.len()), (Duration::from_millis(100), 10)),
                LinkAct::WrongContentType => {
                    assert_eq!(answer.unwrap().headers()["Content-Type"], "text/html");
                }
                LinkAct::EmptyBody => {
                    assert_eq!((status, received.len(), body.len()), (StatusCode::OK, 1, 0))
                }
                LinkAct::HugeBody => {
                    assert!(body.len() > net::http::MAX_ANSWER && body.starts_with(b"0123456789 "));
                }
            }
        });
        seen += 1;
    }
    assert!(seen >= 26, "{seen}");
}

fn bits_apart(body: &[u8]) -> u32 {
    assert_eq!(body.len(), 10);
    body.iter().zip(b"0123456789").map(|(found, sent)| (found ^ sent).count_ones()).sum()
}

#[test]
fn values_set_the_octet_the_number_and_the_duration() {
    simulate(async |_| {
        let (_, took, _) = send_request("link/lose-request=2h").await;
        assert_eq!(took, Duration::from_secs(7200));
        let (answer, ..) = send_request("link/truncate-answer=3").await;
        assert_eq!(answer.unwrap().body(), "012");
        let (answer, ..) = send_request("link/corrupt-answer=9").await;
        let body = answer.unwrap().into_body();
        assert!(body.starts_with(b"012345678") && !body.ends_with(b"9"), "{body:?}");
        let (answer, took, _) = send_request("link/slow-drip=1m").await;
        assert_eq!((answer.unwrap_err().kind, took), (LinkFaultKind::Timeout, Duration::from_secs(60)));
    });
}

/// A server at a socket sends the answer octet by octet, so that this wrapper does not wait.
#[test]
fn a_server_that_can_send_slowly_is_instructed_to_do_so() {
    simulate(async |_| {
        let link = faults(&["link/slow-drip=1m"]).link(echo().0);
        let mut first = request("0123456789");
        first.extensions_mut().insert(CanSendSlowly);
        let began = Instant::now();
        let answer = world::send(&link, first).await.unwrap();
        assert_eq!((began.elapsed(), answer.body().len()), (Duration::ZERO, 10));
        assert_eq!(answer.extensions().get(), Some(&SlowBody(Duration::from_secs(60))));
    });
}

#[test]
fn a_reordered_request_arrives_after_the_next_one() {
    simulate(async |_| {
        let (server, received) = echo();
        let link = faults(&["link/reorder@ES9+#1"]).link(server);
        assert!(world::send(&link, request("first")).await.is_err());
        assert_eq!(world::send(&link, request("second")).await.unwrap().body(), "second");
        assert_eq!(*received.lock().unwrap(), ["second", "first"]);
    });
}

const COUNTERS: Collection<u32> = Collection::new("counters");
const NOTES: Collection<u32> = Collection::new("notes");

/// Increments a counter and stores it in another collection as well. Returns the reported result.
async fn count(records: &dyn Records) -> Result<u32, world::Fault> {
    transact(records, |tx| {
        Box::pin(async move {
            let next = tx.get(&COUNTERS, "a").await?.unwrap_or(0) + 1;
            tx.put(&COUNTERS, "a", &next)?;
            tx.put(&NOTES, "a", &next)?;
            Ok(next)
        })
    })
    .await
}

/// The stored values of both collections.
async fn kept(records: &MemoryRecords) -> [u32; 2] {
    let mut tx = world::Tx::begin(records);
    let counter = tx.get(&COUNTERS, "a").await.unwrap().unwrap_or(0);
    [counter, tx.get(&NOTES, "a").await.unwrap().unwrap_or(0)]
}

#[test]
fn every_records_fault_has_the_described_effect() {
    for entry in of(Family::Records) {
        let FaultId::Records(act) = entry.id else { panic!() };
        simulate(async |_| {
            let (store, life) = (MemoryRecords::default(), ProcessHandle::default());
            let faults = faults(&[&format!("{}@sm-dp:counters#2", entry.name)]);
            let faulty = |party: &str| {
                FaultyRecords::new(party, Arc::new(store.clone()), faults.clone(), life.clone())
            };
            assert_eq!(count(&faulty("sm-sr")).await.unwrap(), 1);
            assert_eq!(count(&faulty("sm-dp")).await.unwrap(), 2);
            assert_eq!(
                faults.injected_count(),
                0,
                "the fault must not happen to another party or at the first occasion"
            );
            let second = count(&faulty("sm-dp")).await;
            assert_eq!(faults.injected_count(), 1, "{}", entry.name);
            let is_committed = second.is_ok();
            match act {
                RecordsAct::CommitFails | RecordsAct::ReadFails => {
                    assert_eq!((is_committed, kept(&store).await), (false, [2, 2]));
                }
                RecordsAct::TornWrite => assert_eq!((is_committed, kept(&store).await), (false, [3, 2])),
                RecordsAct::LostWrite => assert_eq!((is_committed, kept(&store).await), (true, [2, 2])),
                RecordsAct::Conflict => assert_eq!((is_committed, kept(&store).await), (true, [3, 3])),
                RecordsAct::CrashBeforeCommit => {
                    assert_eq!((is_committed, kept(&store).await), (false, [2, 2]))
                }
                RecordsAct::CrashAfterCommit => {
                    assert_eq!((is_committed, kept(&store).await), (false, [3, 3]))
                }
            }
            let crashes = matches!(act, RecordsAct::CrashBeforeCommit | RecordsAct::CrashAfterCommit);
            assert_eq!(life.is_over(), crashes, "{}", entry.name);
            assert_eq!(count(&faulty("sm-dp")).await.is_err(), crashes, "an ended process must not write");
        });
    }
}

#[test]
fn every_radio_fault_has_the_described_effect() {
    for entry in of(Family::Radio) {
        let FaultId::Radio(act) = entry.id else { panic!() };
        simulate(async |simulation| {
            let start = Start::prepare(&simulation, &SETUP).await.unwrap();
            let run = Consumer::begin(&simulation, &SETUP, &start).unwrap();
            let [local, elsewhere] = [LOCAL, "262-41"].map(|plmn| plmn.parse().unwrap());
            let imsi = "262420000000002".parse().unwrap();
            let place = if matches!(entry.places, catalogue::Places::Network) { LOCAL } else { "mt" };
            let faults = faults(&[&format!("{}@{place}", entry.name)]);
            let radio = FaultyRadio::new(Arc::clone(&run.networks), faults.clone());
            assert!(radio.system_information(elsewhere).await.unwrap().is_some());
            let received = radio.system_information(local).await.unwrap().is_some();
            let answer = radio.attach(local, AttachRequest { imsi }).await;
            match act {
                RadioAct::Outage => {
                    assert_eq!((received, answer), (false, Err(RadioFault::NoCoverage(local))));
                    assert_eq!(faults.injected_count(), 2);
                }
                RadioAct::Flapping => {
                    assert!(!received && answer.is_err());
                    let mut on = Vec::new();
                    for _ in 0..4 {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                        on.push(radio.system_information(local).await.unwrap().is_some());
                    }
                    assert_eq!(on, [true, false, true, false]);
                }
                RadioAct::Refuse(cause) => {
                    let Ok(NetworkAnswer::AttachReject(reject)) = answer else { panic!("{answer:?}") };
                    assert!(received && reject.cause == cause && cause.name() != EmmCause(0).name());
                    assert!(entry.what.contains(&format!("#{}", cause.0)), "{}", entry.what);
                }
                RadioAct::LoseAttachRequest => assert!(matches!(answer, Err(RadioFault::Lost(_)))),
                RadioAct::HomeAuthenticationFailure => {
                    let Ok(NetworkAnswer::AuthenticationRequest(request)) = answer else { panic!() };
                    let plain = run.networks.attach(local, AttachRequest { imsi }).await;
                    let Ok(NetworkAnswer::AuthenticationRequest(own)) = plain else { panic!() };
                    assert_ne!(request.autn[8..], own.autn[8..]);
                    assert_eq!(faults.injected_count(), 1);
                }
                RadioAct::LoseAttachAnswer => {
                    let Ok(NetworkAnswer::AuthenticationRequest(request)) = answer else { panic!() };
                    // After a wrong response the network sends a reject, so there is no attach
                    // accept that could be lost. The matrix tests the other cases.
                    let answer = AuthenticationAnswer::Res(vec![0; 8]);
                    let response = AuthenticationResponse { attach: request.attach, answer };
                    let said = radio.authenticate(local, response).await.unwrap();
                    assert!(matches!(said, NetworkAnswer::AttachReject(_)));
                    loses_the_answer_to_a_real_card(&simulation, &start).await;
                }
                RadioAct::NoData => {
                    let taken = matches!(answer, Ok(NetworkAnswer::AuthenticationRequest(_)));
                    assert!(
                        received && taken && faults.injected_count() == 0,
                        "the fault must affect later packets only"
                    );
                    assert!(faults.carries_nothing(local) && !faults.carries_nothing(elsewhere));
                }
                RadioAct::SmsLose | RadioAct::SmsDelay | RadioAct::SmsDouble | RadioAct::SmsLoseAnswer => {
                    assert!(
                        answer.is_ok() && faults.injected_count() == 0,
                        "the fault must happen in the SMSC only"
                    );
                }
            }
        });
    }
}

async fn loses_the_answer_to_a_real_card(simulation: &Simulation, start: &Start) {
    let mut run = Consumer::begin(simulation, &SETUP, start).unwrap();
    run.faults.install("radio/lose-attach-answer@262-41#1".parse().unwrap());
    let from = Instant::now();
    run.device.register().await.unwrap();
    assert_eq!(
        (run.faults.injected_count(), from.elapsed()),
        (1, Duration::from_secs(20)),
        "the second attempt must succeed"
    );
}

#[test]
fn every_power_fault_has_the_described_effect() {
    for entry in of(Family::Power) {
        let FaultId::Power(act) = entry.id else { panic!() };
        let (inner, power) = (RamMemory::default(), Power::default());
        simulate(async |_| {
            let faults = faults(&[&format!("{}@card:profile/#2", entry.name)]);
            let mut memory = FaultyMemory::new("card", inner.clone(), faults.clone(), power.clone());
            memory.commit(Batch::of("card", vec![1])).unwrap();
            memory.commit(Batch::of("profile/a", vec![1])).unwrap();
            assert_eq!(faults.injected_count(), 0);
            assert!(memory.commit(Batch::of("profile/b", vec![2])).is_err());
            assert_eq!(faults.injected_count(), 1, "{}", entry.name);
            let is_there = inner.load().unwrap().contains_key("profile/b");
            assert_eq!(is_there, act == PowerAct::CutAfterWrite, "{}", entry.name);
            assert_eq!(power.is_off(), act != PowerAct::WriteFails, "{}", entry.name);
            assert_eq!(memory.commit(Batch::of("card", vec![3])).is_ok(), act == PowerAct::WriteFails);
        });
    }
}

#[test]
fn a_torn_journal_has_the_state_before_the_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("card");
    for missing in ["", "=1", "=40", "=100000"] {
        let _ = std::fs::remove_file(&path);
        let _ = std::fs::remove_file(net::FileMemory::lock_file(&path));
        let file = || net::FileMemory::open(&path).unwrap();
        simulate(async |_| {
            let torn = faults(&[&format!("power/torn-write{missing}#2")]);
            let mut memory = FaultyMemory::new("card", file(), torn, Power::default())
                .in_file(&path, net::FileMemory::lock_file(&path));
            memory.commit(Batch::of("a", vec![1; 100])).unwrap();
            let whole = std::fs::metadata(&path).unwrap().len();
            assert!(memory.commit(Batch::of("b", vec![2; 100])).is_err());
            let torn = std::fs::metadata(&path).unwrap().len();
            assert!(torn >= whole && torn < whole + 140, "{whole} and {torn}");
        });
        assert_eq!(file().load().unwrap(), Cells::from([("a".to_owned(), vec![1; 100].into())]));
    }
}

/// A real download in virtual time: the answer to GetBoundProfilePackage is lost, and the device
/// starts again.
#[test]
fn a_download_survives_the_loss_of_its_package() {
    let (ending, took, struck) = simulate(async |simulation| {
        let start = Start::prepare(&simulation, &SETUP).await.unwrap();
        let mut run = Consumer::begin(&simulation, &SETUP, &start).unwrap();
        run.device.register().await.unwrap();
        run.faults.install("link/lose-answer@ES9+.GetBoundProfilePackage#1".parse().unwrap());
        let from = Instant::now();
        let ending = run.move_to_local(&start.code, DownloadOptions::default()).await.unwrap();
        (ending, from.elapsed(), run.faults.injected_count())
    });
    assert!(matches!(ending, Ending::Moved(_)), "{ending:?}");
    assert_eq!((took, struck), (Duration::from_secs(60), 1));
}

/// The process of the server ends at the commit of GetBoundProfilePackage and restarts after five
/// seconds.
#[test]
fn a_crashed_server_restarts_with_its_records() {
    for name in ["records/crash-before-commit", "records/crash-after-commit"] {
        simulate(async |simulation| {
            let start = Start::prepare(&simulation, &SETUP).await.unwrap();
            let mut run = Consumer::begin(&simulation, &SETUP, &start).unwrap();
            run.device.register().await.unwrap();
            run.faults.install(format!("{name}@sm-dp:profiles#1").parse().unwrap());
            let first = run.device.lpa.download(&start.code, DownloadOptions::default()).await;
            assert!(first.unwrap_err().is_retryable(), "a download does not wait for a restart");
            assert_eq!((run.sm_dp.starts(), run.sm_dp.party().is_some()), (1, false));
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert!(
                matches!(
                    run.move_to_local(&start.code, DownloadOptions::default()).await,
                    Some(Ending::Moved(_))
                ),
                "{name}"
            );
            assert_eq!(run.sm_dp.starts(), 2);
        });
    }
}

/// The power fails when the device stores the intended move. The device completes it after the
/// restart.
#[test]
fn a_device_without_power_stops_and_recovers() {
    simulate(async |simulation| {
        let start = Start::prepare(&simulation, &SETUP).await.unwrap();
        let mut run = Consumer::begin(&simulation, &SETUP, &start).unwrap();
        run.device.register().await.unwrap();
        run.faults.install("power/cut-after-write@device:intention#2".parse().unwrap());
        assert!(run.move_to_local(&start.code, DownloadOptions::default()).await.is_none());
        assert!(run.power.is_off());
        run.power_cycle().unwrap();
        let Recovery::Working { interrupted, registered, .. } = run.device.recover().await else { panic!() };
        assert_eq!((interrupted, registered.iccid), (Some("a change of profiles"), start.local));
    });
}

/// The same seed and the same random faults give the same events, byte for byte.
#[test]
fn the_same_seed_gives_the_same_swap() {
    let swap = |seed: &str| {
        run(seed, START, async |simulation| {
            let start = Start::prepare(&simulation, &SETUP).await.unwrap();
            let mut run = Consumer::begin(&simulation, &SETUP, &start).unwrap();
            run.device.register().await.unwrap();
            run.faults.install("link/lose-answer#50%".parse().unwrap());
            run.faults.install("radio/lose-attach-request#50%".parse().unwrap());
            run.move_to_local(&start.code, DownloadOptions::default()).await;
            serde_json::to_string(&run.events.all()).unwrap()
        })
        .unwrap()
    };
    let first = swap("7");
    assert_eq!(first, swap("7"));
    assert_ne!(first, swap("8"));
}

#[test]
fn every_family_has_faults() {
    let families: BTreeSet<_> = catalogue::all().map(|entry| entry.id.family()).collect();
    assert_eq!(families.into_iter().collect::<Vec<_>>(), Family::ALL);
}

/// The content type of a valid response is not the standard's: the device accepts it with a finding.
#[test]
fn a_response_with_another_content_type_is_accepted() {
    simulate(async |simulation| {
        let start = Start::prepare(&simulation, &SETUP).await.unwrap();
        let mut run = Consumer::begin(&simulation, &SETUP, &start).unwrap();
        run.device.register().await.unwrap();
        run.faults.install("link/wrong-content-type@ES9+.InitiateAuthentication".parse().unwrap());
        let ending = run.move_to_local(&start.code, DownloadOptions::default()).await;
        assert!(matches!(ending, Some(Ending::Moved(_))), "{ending:?}");
        assert_eq!(run.faults.injected_count(), 1);
    });
}

/// The device does not accept an invalid answer: the requirement behind most link faults.
#[test]
fn an_invalid_answer_changes_nothing() {
    let no_answers = of(Family::Link).filter(|entry| {
        let FaultId::Link(act) = entry.id else { panic!() };
        matches!(act, LinkAct::HttpStatus(_) | LinkAct::Redirect)
            || matches!(act, LinkAct::EmptyBody | LinkAct::TruncateAnswer | LinkAct::LoseAnswer)
    });
    for entry in no_answers {
        simulate(async |simulation| {
            let start = Start::prepare(&simulation, &SETUP).await.unwrap();
            for function in ["InitiateAuthentication", "AuthenticateClient", "GetBoundProfilePackage"] {
                let mut run = Consumer::begin(&simulation, &SETUP, &start).unwrap();
                run.device.register().await.unwrap();
                run.faults.install(format!("{}@ES9+.{function}", entry.name).parse().unwrap());
                let ending = run.move_to_local(&start.code, DownloadOptions::default()).await;
                let context = format!("{} at {function}: {ending:?}", entry.name);
                assert!(matches!(ending, Some(Ending::NotInstalled(_))), "{context}");
                let truth = run.truth().await.unwrap();
                assert!(truth.state.is_pending() && !truth.has(start.local), "{context}: {truth:?}");
                assert_eq!(truth.registered, Some(start.bootstrap), "{context}");
            }
        });
    }
}

/// A notification stays on the card until its recipient has acknowledged it.
#[test]
fn a_notification_stays_until_it_is_acknowledged() {
    for entry in of(Family::Link) {
        let FaultId::Link(act) = entry.id else { panic!() };
        let is_taken = match act {
            LinkAct::LoseRequest | LinkAct::LoseAnswer | LinkAct::Reset | LinkAct::Reorder => false,
            LinkAct::HttpStatus(_) | LinkAct::Redirect | LinkAct::TruncateRequest => false,
            // The acknowledgement has no body that these faults could change.
            LinkAct::EmptyBody | LinkAct::WrongContentType | LinkAct::SlowDrip => true,
            LinkAct::TruncateAnswer | LinkAct::CorruptAnswer | LinkAct::HugeBody => true,
            LinkAct::Delay | LinkAct::Duplicate => true,
            // The result depends on the flipped bit.
            LinkAct::CorruptRequest => continue,
        };
        simulate(async |simulation| {
            let start = Start::prepare(&simulation, &SETUP).await.unwrap();
            let mut run = Consumer::begin(&simulation, &SETUP, &start).unwrap();
            run.device.register().await.unwrap();
            run.faults.install(format!("{}@ES9+.HandleNotification", entry.name).parse().unwrap());
            let ending = run.move_to_local(&start.code, DownloadOptions::default()).await;
            assert!(matches!(ending, Some(Ending::Moved(_))), "{}: {ending:?}", entry.name);
            let truth = run.truth().await.unwrap();
            assert_eq!(truth.notifications, if is_taken { 0 } else { 3 }, "{}", entry.name);
            run.faults.clear();
            run.device.lpa.process_notifications().await.unwrap();
            let truth = run.truth().await.unwrap();
            assert_eq!(truth.wrong(start.bootstrap, start.local), [""; 0], "{}", entry.name);
        });
    }
}
