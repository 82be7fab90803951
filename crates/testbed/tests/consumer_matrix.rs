//! The swap of a consumer device, combined with every fault at every step.
//!
//! After each case: the device gets service within a limited time, no profile is lost or
//! duplicated, the server's records agree with the card after delivery of the notifications, and
//! the device can still be moved.
//!
//! matrix/consumer.txt has the outcome of each case. Without `LANDFALL_MATRIX=all`, a sample runs.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod matrix;
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use device::Ending;
use device::lpa::{Consent, Decision, DownloadError, DownloadOptions, SessionError};
use faults::catalogue;
use faults::{FalseStatement, Family, FaultId};
use matrix::{
    Case, CaseResult, LASTS, Server, has_faulty_store, of, of_power, of_records, of_registration,
    of_tampering,
};
use testbed::consumer::{BOOTSTRAP, LOCAL, Start, VISITED};
use testbed::fault_places::SM_DP_PLACE;
use testbed::time::run;
use tokio::time::Instant;
use world::Event;

use support::{BEGIN, SETUP, abroad, can_still_be_moved, deliver};

/// Maximum time for the recovery after the fault has ended.
const BOUND: Duration = Duration::from_secs(3600);

/// The sample consists of every third case.
const STRIDE: usize = 3;

/// True if the user postpones the download at first, so that the session is cancelled.
fn is_postponed(case: &Case) -> bool {
    case.step.contains("CancelSession")
}

/// True if an inconsistency must be found by a comparison or corrected by a later notification,
/// because the store is faulty or a party makes false statements.
fn needs_a_reconciler(case: &Case) -> bool {
    match case.fault.id {
        FaultId::Tamper(act) => support::needs_a_reconciler(act),
        _ => has_faulty_store(case),
    }
}

/// Number of occasions in a swap without faults.
struct Occasions {
    sm_dp: Server,
    card_writes: u32,
    device_writes: u32,
    /// Octets of each request and of its answer, in the order of `FUNCTIONS`.
    octets: Vec<(u64, u64)>,
    requests: Requests,
}

/// Every ES9+ call in a swap: the function, its ordinal, and its purpose.
const FUNCTIONS: [(&str, u32, &str); 6] = [
    ("InitiateAuthentication", 1, ""),
    ("AuthenticateClient", 1, ""),
    ("GetBoundProfilePackage", 1, ""),
    ("HandleNotification", 1, " (install)"),
    ("HandleNotification", 2, " (disable)"),
    ("HandleNotification", 3, " (enable)"),
];

/// How often the device sent each request to a server or to a network.
type Requests = BTreeMap<String, usize>;

fn requests(events: &[Event]) -> Requests {
    let mut requests = Requests::new();
    for event in events {
        if (event.party == "LPA" && event.interface == "ES9+") || event.function == "ATTACH REQUEST" {
            *requests.entry(event.function.to_string()).or_default() += 1;
        }
    }
    requests
}

fn occasions(start: &Start) -> Occasions {
    const NEVER: [&str; 4] = [
        "records/conflict#4000000000",
        "records/read-fails#4000000000",
        "power/write-fails@card#4000000000",
        "power/write-fails@device#4000000000",
    ];
    run("matrix", BEGIN, async |simulation| {
        let mut run = abroad(&simulation, start).await;
        NEVER.iter().for_each(|text| run.faults.install(text.parse().unwrap()));
        run.events.take();
        let ending = run.move_to_local(&start.code, DownloadOptions::default()).await;
        assert!(matches!(ending, Some(Ending::Moved(_))), "{ending:?}");
        let seen: Vec<_> = run.faults.occasions().into_iter().map(|(_, seen)| seen).collect();
        let wrong = run.truth().await.unwrap().wrong(start.bootstrap, start.local);
        assert_eq!(wrong, [""; 0]);
        let events = run.events.all();
        let calls: Vec<_> =
            events.iter().filter(|event| event.party == "LPA" && event.interface == "ES9+").collect();
        let names: Vec<_> = calls.iter().map(|event| event.function.to_string()).collect();
        assert_eq!(names, FUNCTIONS.map(|(name, ..)| name.to_owned()));
        let octets = calls.iter().map(|event| (event.bytes_sent, event.bytes_received)).collect();
        Occasions {
            sm_dp: Server { place: SM_DP_PLACE, name: "SM-DP+", commits: seen[0], reads: seen[1] },
            card_writes: seen[2],
            device_writes: seen[3],
            octets,
            requests: requests(&events),
        }
    })
    .unwrap()
}

fn cases(occasions: &Occasions) -> Vec<Case> {
    let mut cases = of_links();
    cases.extend(of_octets(occasions));
    cases.extend(of_records(std::slice::from_ref(&occasions.sm_dp)));
    cases.extend(of_registration(LOCAL, VISITED));
    cases.extend(of_power("card", occasions.card_writes));
    cases.extend(of_power("device", occasions.device_writes));
    cases.extend(of_tampering(|act| !is_between_other_parties(act)));
    cases
}

/// True if the statement is not made in SGP.22.
fn is_between_other_parties(act: FalseStatement) -> bool {
    matches!(act, FalseStatement::M2m(_) | FalseStatement::Eim(_) | FalseStatement::Iot(_))
}

/// Two cases for each link fault and each call: the fault happens at this call only, or at this
/// call and at all later calls for an hour.
fn of_links() -> Vec<Case> {
    let cancelled = [("CancelSession", 1, "")];
    let mut cases = Vec::new();
    for entry in of(Family::Link) {
        for (function, nth, about) in FUNCTIONS.into_iter().chain(cancelled) {
            for when in [format!("#{nth}"), format!("#{nth}-")] {
                let spec = format!("{}@ES9+.{function}{when}", entry.name);
                cases.push(Case::new(format!("ES9+.{function}{about}"), entry, vec![spec]));
            }
        }
    }
    cases
}

/// Cases that corrupt every 13th octet of each request and of each answer. There are many of them, so
/// the sample has fewer of them.
fn of_octets(occasions: &Occasions) -> Vec<Case> {
    let [request, answer] =
        ["link/corrupt-request", "link/corrupt-answer"].map(|name| catalogue::named(name).unwrap());
    let mut cases = Vec::new();
    for ((function, nth, about), (sent, received)) in FUNCTIONS.into_iter().zip(&occasions.octets) {
        for (entry, octets) in [(request, *sent), (answer, *received)] {
            for at in (0..octets).step_by(13) {
                let spec = format!("{}={at}@ES9+.{function}#{nth}", entry.name);
                let case = Case::new(format!("ES9+.{function}{about}"), entry, vec![spec]);
                cases.push(Case { stride: Some(12 * STRIDE), ..case });
            }
        }
    }
    cases
}

/// The outcome of the first move. `is_repeated` is true if the device sent a request again.
fn first_outcome(ending: Option<&Ending>, is_repeated: bool) -> &'static str {
    match ending {
        None => "power cut",
        Some(Ending::Moved(_)) if is_repeated => "moved after retry",
        Some(Ending::Moved(_)) => "moved",
        Some(Ending::CameBack { .. }) => "came back",
        Some(Ending::Stranded { .. }) => "stranded",
        Some(Ending::Fault(_)) => "memory failed",
        Some(Ending::NotInstalled(error)) => match error {
            DownloadError::Cancelled(_) if error.is_retryable() => "postponed",
            error if error.is_retryable() => "gave up",
            DownloadError::Session(SessionError::Server(_)) => "refused by the SM-DP+",
            DownloadError::Session(SessionError::ServerFlaw(_) | SessionError::Setup(_)) => {
                "refused by the LPA"
            }
            DownloadError::Cancelled(_) => "refused by the LPA",
            DownloadError::Session(SessionError::Card(_) | SessionError::ServerNotAuthenticated(_)) => {
                "refused by the card"
            }
            DownloadError::NotPrepared(_) | DownloadError::NotInstalled { .. } => "refused by the card",
        },
    }
}

/// Runs one case in virtual time. `usual` are the requests of a move without faults. Returns an error
/// if the final state is inconsistent.
fn try_case(case: &Case, start: &Start, usual: &Requests) -> Result<CaseResult, String> {
    let failed = |what: &str| format!("{:?}: {what}", case.faults);
    run("matrix", BEGIN, async |simulation| {
        let mut run = abroad(&simulation, start).await;
        for spec in &case.faults {
            run.faults.install(spec.parse().map_err(|why| failed(&format!("{why}")))?);
        }
        let consent = match is_postponed(case) {
            true => Consent::Ask(Box::new(|_| Decision::Postpone)),
            false => Consent::Given,
        };
        let options = DownloadOptions { consent, ..DownloadOptions::default() };
        run.events.take();
        let began = Instant::now();
        let ending = run.move_to_local(&start.code, options).await;
        let moving = began.elapsed();
        if run.faults.injected_counts().iter().any(|(_, times)| *times == 0) {
            return Err(failed("did not happen"));
        }
        if case.family() == Family::Link
            && matches!(ending, Some(Ending::CameBack { .. } | Ending::Stranded { .. }))
        {
            return Err(failed(&format!("a profile with service was given up: {ending:?}")));
        }
        tokio::time::sleep(LASTS).await;
        run.faults.clear();
        let recovery = run.settle(BOUND).await.map_err(|fault| failed(&fault.to_string()))?;
        deliver(&mut run).await.map_err(|why| failed(&why))?;
        let truth = run.truth().await.map_err(|fault| failed(&fault.to_string()))?;
        let is_repeated =
            requests(&run.events.all()).iter().any(|(request, times)| usual.get(request) < Some(times));
        let mut outcome = first_outcome(ending.as_ref(), is_repeated).to_owned();
        if truth.enabled == Some(start.local) && !matches!(ending, Some(Ending::Moved(_))) {
            outcome.push_str(", then moved");
        }
        let wrong = truth.wrong(start.bootstrap, start.local);
        if needs_a_reconciler(case) && !wrong.is_empty() {
            let is_of_records = |each: &String| each.contains("server") || each.contains("notifications");
            return match wrong.iter().all(is_of_records) {
                true => Ok(CaseResult { outcome: outcome + ", to be reconciled", moving, recovery }),
                false => Err(failed(&wrong.join("; "))),
            };
        }
        if !wrong.is_empty() {
            return Err(failed(&format!("{} (result of the move: {ending:?})", wrong.join("; "))));
        }
        if !truth.has(start.local) {
            can_still_be_moved(&mut run, start, truth.state).await.map_err(|why| failed(&why))?;
        }
        Ok(CaseResult { outcome, moving, recovery })
    })
    .map_err(|fault| failed(&fault.to_string()))?
}

#[test]
fn a_device_recovers_from_every_fault_at_every_step_of_its_swap() {
    assert_ne!(BOOTSTRAP, LOCAL);
    let start = run("matrix", BEGIN, async |simulation| Start::prepare(&simulation, &SETUP).await);
    let start = start.unwrap().unwrap();
    let occasions = occasions(&start);
    matrix::run_cases("the swap of a consumer device", "consumer.txt", &cases(&occasions), STRIDE, |case| {
        try_case(case, &start, &occasions.requests)
    });
}
