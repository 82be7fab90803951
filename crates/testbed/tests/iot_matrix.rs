//! The provisioning of an IoT device by an eIM, combined with every fault at every step: with the
//! direct download, with the download through the eIM, and with ESipa over CoAP.
//!
//! After each case: the device has service after a limited number of polls, the card executed no
//! package twice, the orders of the eIM, the records of the SM-DP+ and the card agree, no result,
//! notification or session is left, and the eIM can still manage the card.
//!
//! Each journey has each fault at each of its steps. These faults cannot happen:
//! - Over HTTPS there are no CoAP messages.
//! - A reply over CoAP is no redirect, has no content type, and does not arrive octet by octet.
//! - The links are inside the process and have no certificates of servers (`tls/...`). The journeys
//!   use no short messages (`radio/sms-...`) and no servers of SGP.02, and packets (`radio/no-data`)
//!   are simulated only in scenarios.
//!
//! matrix/iot_direct.txt, iot_indirect.txt and iot_coap.txt have the outcome of each case. Without
//! `LANDFALL_MATRIX=all`, a sample runs.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod iot_journey;
#[allow(dead_code, reason = "the other matrices use more of it")]
mod matrix;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use faults::catalogue;
use faults::{FalseCardStatement, FalseStatement, Family, FaultId};
use iot_journey::{Executed, Journey, Prepared};
use matrix::{
    Case, CaseResult, LASTS, Server, has_faulty_store, of, of_power, of_records, of_tampering,
    registration_faults,
};
use testbed::fault_places::{EIM_PLACE, SM_DP_PLACE};
use testbed::iot::{Iot, LOCAL, VISITED};
use tokio::time::{Instant, sleep};
use world::Event;

/// Time between two polls of the device.
const POLL: Duration = Duration::from_secs(600);

/// Maximum number of polls after the end of the fault until everything agrees. They take more time
/// than a device stays on the Fallback Profile.
const POLLS: u32 = 9;

/// The sample consists of every 61st case.
const STRIDE: usize = 61;

/// How often each request was sent to a server or to a network.
type Requests = BTreeMap<String, usize>;

fn requests(events: &[Event]) -> Requests {
    let mut requests = Requests::new();
    for event in events {
        let is_request = (event.party == "IPA" && ["ESipa", "ES9+"].contains(&&*event.interface))
            || (event.party == "eIM" && event.interface == "ES9+'")
            || event.function == "ATTACH REQUEST";
        if is_request {
            *requests.entry(format!("{} {}", event.interface, event.function)).or_default() += 1;
        }
    }
    requests
}

/// The functions of ESipa and ES9+ that a journey can call.
const FUNCTIONS: [&str; 10] = [
    "ESipa.GetEimPackage",
    "ESipa.ProvideEimPackageResult",
    "ESipa.InitiateAuthentication",
    "ESipa.AuthenticateClient",
    "ESipa.GetBoundProfilePackage",
    "ESipa.HandleNotification",
    "ES9+.InitiateAuthentication",
    "ES9+.AuthenticateClient",
    "ES9+.GetBoundProfilePackage",
    "ES9+.HandleNotification",
];

/// The functions of the card that a journey calls.
const CARD_FUNCTIONS: [&str; 15] = [
    "ES10a.GetEuiccConfiguredAddresses",
    "ES10b.GetEUICCChallenge",
    "ES10b.GetEUICCInfo",
    "ES10b.AuthenticateServer",
    "ES10b.PrepareDownload",
    "ES10b.LoadBoundProfilePackage",
    "ES10b.ListNotification",
    "ES10b.RetrieveNotificationsList",
    "ES10b.RemoveNotificationFromList",
    "ES10b.LoadEuiccPackage",
    "ES10b.GetEimConfigurationData",
    "ES10b.GetCerts",
    "ES10b.ImmediateEnable",
    "ES10c.GetProfilesInfo",
    "ES10c.GetEID",
];

/// Number of occasions in a journey without faults.
struct Occasions {
    calls: Vec<u32>,
    commands: Vec<u32>,
    servers: [Server; 2],
    card_writes: u32,
    device_writes: u32,
    /// CoAP messages to the eIM and from it.
    messages: [u32; 2],
    /// Octets of each answer of ESipa.GetEimPackage, and of each request of
    /// ESipa.ProvideEimPackageResult.
    octets: [Vec<u64>; 2],
    requests: Requests,
    /// The result of each order.
    results: Vec<String>,
}

fn occasions(prepared: &Prepared) -> Occasions {
    let mut never: Vec<String> = FUNCTIONS.map(|function| format!("link/reset@{function}")).into();
    never.extend(CARD_FUNCTIONS.map(|function| format!("apdu/reset-before@{function}")));
    for party in [EIM_PLACE, SM_DP_PLACE] {
        never.extend([format!("records/conflict@{party}"), format!("records/read-fails@{party}")]);
    }
    never.extend(["power/write-fails@card", "power/write-fails@device"].map(str::to_owned));
    never.extend(DIRECTIONS.map(|(direction, _)| format!("coap/lose@{direction}")));
    prepared.run(async |mut iot, executed| {
        never.iter().for_each(|text| iot.faults.install(format!("{text}#4000000000").parse().unwrap()));
        iot.events.take();
        iot.check_in().await.unwrap();
        let seen: Vec<_> = iot.faults.occasions().into_iter().map(|(_, seen)| seen).collect();
        assert_has_all_functions(&iot.events.all());
        let wrong = prepared.wrong(&mut iot, &executed).await;
        assert_eq!(wrong, [""; 0]);
        let (calls, rest) = seen.split_at(FUNCTIONS.len());
        let (commands, rest) = rest.split_at(CARD_FUNCTIONS.len());
        let &[eim, eim_reads, sm_dp, sm_dp_reads, card_writes, device_writes, sent, received] = rest else {
            panic!()
        };
        let events = iot.events.all();
        let octets = |function: &str, of: fn(&Event) -> u64| {
            let is_call = |event: &&Event| {
                event.party == "IPA" && event.interface == "ESipa" && event.function == function
            };
            events.iter().filter(is_call).map(of).collect()
        };
        Occasions {
            calls: calls.to_vec(),
            commands: commands.to_vec(),
            servers: [
                Server { place: EIM_PLACE, name: "eIM", commits: eim, reads: eim_reads },
                Server { place: SM_DP_PLACE, name: "SM-DP+", commits: sm_dp, reads: sm_dp_reads },
            ],
            card_writes,
            device_writes,
            messages: [sent, received],
            octets: [
                octets("GetEimPackage", |event| event.bytes_received),
                octets("ProvideEimPackageResult", |event| event.bytes_sent),
            ],
            requests: requests(&events),
            results: prepared.results(&iot).await.unwrap(),
        }
    })
}

/// Fails if the journey calls a function at which no fault is placed.
fn assert_has_all_functions(events: &[Event]) {
    let mut missing = BTreeSet::new();
    for event in events {
        let interface = event.interface.trim_end_matches('\'');
        // GetEUICCInfo1 and GetEUICCInfo2 are one place.
        let function = format!("{interface}.{}", event.function.trim_end_matches(['1', '2']));
        let is_call = ["ESipa", "ES9+", "ES10a", "ES10b", "ES10c"].contains(&interface);
        if is_call && !FUNCTIONS.iter().chain(&CARD_FUNCTIONS).any(|known| *known == function) {
            missing.insert(function);
        }
    }
    assert!(missing.is_empty(), "no faults are placed at {missing:?}");
}

/// The directions of CoAP messages, and the steps of their cases.
const DIRECTIONS: [(&str, &str); 2] =
    [("to-server", "messages to the eIM"), ("from-server", "messages from the eIM")];

fn cases(occasions: &Occasions, journey: Journey) -> Vec<Case> {
    let mut cases = of_statements(occasions);
    cases.extend(of_messages(occasions));
    cases.extend(of_links(occasions, journey));
    cases.extend(of_records(&occasions.servers));
    cases.extend(of_octets(occasions));
    cases.extend(of_registrations());
    cases.extend(of_commands(occasions));
    cases.extend(of_power("card", occasions.card_writes));
    cases.extend(of_power("device", occasions.device_writes));
    cases
}

/// The false statements in the functions that the journey calls. The consumer matrix has those of
/// ES9+ too, so the sample has fewer of them.
fn of_statements(occasions: &Occasions) -> Vec<Case> {
    let mut cases = of_tampering(|act| !matches!(act, FalseStatement::M2m(_)));
    let is_called = |function: &str| {
        FUNCTIONS.into_iter().zip(&occasions.calls).any(|(each, calls)| each == function && *calls > 0)
    };
    cases.retain(|case| is_called(&case.step));
    for case in cases.iter_mut().filter(|case| case.step.starts_with("ES9+")) {
        case.stride = Some(STRIDE);
    }
    cases
}

/// Each CoAP fault at each message. A fault of some kinds also lasts for an hour, from every eighth
/// message on.
fn of_messages(occasions: &Occasions) -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in of(Family::Coap) {
        for ((direction, step), messages) in DIRECTIONS.into_iter().zip(occasions.messages) {
            for nth in 1..=messages {
                let spec = format!("{}@{direction}#{nth}", entry.name);
                if ["coap/lose", "coap/delay", "coap/reset"].contains(&entry.name.as_str()) && nth % 8 == 1 {
                    cases.push(Case::new(step, entry, vec![format!("{spec}-")]));
                }
                cases.push(Case::new(step, entry, vec![spec]));
            }
        }
    }
    cases
}

/// Faults of the registration before the first poll, on the new network, and on the way back after a
/// rollback.
fn of_registrations() -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in registration_faults() {
        for (step, network) in [("registration", VISITED), ("registration on the new network", LOCAL)] {
            for when in ["#1", ""] {
                cases.push(Case::new(step, entry, vec![format!("{}@{network}{when}", entry.name)]));
            }
        }
        for when in ["#1s..2m", "#1s.."] {
            let back = format!("{}@{VISITED}{when}", entry.name);
            let outage = format!("radio/outage@{LOCAL}");
            cases.push(Case::new("registration on the way back", entry, vec![back, outage]));
        }
    }
    cases
}

/// Faults of a connection that also last for an hour.
const LASTING: [&str; 4] = ["link/lose-request", "link/lose-answer", "link/reset", "link/http-503"];

/// Faults of a connection that CoAP does not have.
const NOT_OVER_COAP: [&str; 3] = ["link/redirect", "link/wrong-content-type", "link/slow-drip"];

/// Each link fault at each call; some of them also at this call and at all later calls for an hour. The
/// answers of intermediaries have the same effect, so all of them are tested at the first call of a
/// function, and one of them at the others.
fn of_links(occasions: &Occasions, journey: Journey) -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in of(Family::Link) {
        for (function, calls) in FUNCTIONS.into_iter().zip(&occasions.calls) {
            let is_coap = journey == Journey::Coap && function.starts_with("ESipa.");
            if is_coap && NOT_OVER_COAP.contains(&entry.name.as_str()) {
                continue;
            }
            for nth in 1..=*calls {
                let is_lasting = LASTING.contains(&entry.name.as_str());
                if entry.name.starts_with("link/http-") && nth > 1 && !is_lasting {
                    continue;
                }
                let spec = format!("{}@{function}#{nth}", entry.name);
                let step = format!("{function} {nth}");
                if is_lasting {
                    cases.push(Case::new(&step, entry, vec![format!("{spec}-")]));
                }
                cases.push(Case::new(&step, entry, vec![spec]));
            }
        }
    }
    cases
}

/// Cases that corrupt every 101st octet of each package and of each result. There are many of them, so
/// the sample has fewer of them.
fn of_octets(occasions: &Occasions) -> Vec<Case> {
    let faults = ["link/corrupt-answer", "link/corrupt-request"].map(|name| catalogue::named(name).unwrap());
    let mut cases = Vec::new();
    for ((function, entry), lengths) in FUNCTIONS.into_iter().zip(faults).zip(&occasions.octets) {
        for (nth, octets) in (1..).zip(lengths) {
            for at in (0..*octets).step_by(101) {
                let spec = format!("{}={at}@{function}#{nth}", entry.name);
                let case = Case::new(format!("{function} {nth}"), entry, vec![spec]);
                cases.push(Case { stride: Some(4 * STRIDE), ..case });
            }
        }
    }
    cases
}

/// Faults at each command of the device to the card.
fn of_commands(occasions: &Occasions) -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in of(Family::Apdu) {
        for (function, commands) in CARD_FUNCTIONS.into_iter().zip(&occasions.commands) {
            for nth in 1..=*commands {
                let spec = format!("{}@{function}#{nth}", entry.name);
                cases.push(Case::new(function, entry, vec![spec]));
            }
        }
    }
    cases
}

/// True if only a comparison finds an inconsistency, because the store is faulty, or because no server
/// can detect the false statement.
fn needs_a_reconciler(case: &Case) -> bool {
    let is_undetectable = FaultId::Tamper(FalseStatement::Card(FalseCardStatement::NotificationDeleted));
    case.fault.id == is_undetectable || has_faulty_store(case)
}

/// Polls until everything agrees, at most `polls` times. Returns the remaining inconsistencies, and
/// the number of polls.
async fn settle(
    iot: &mut Iot,
    prepared: &Prepared,
    executed: &Executed,
    polls: u32,
) -> Result<(Vec<String>, u32), String> {
    let mut wrong = vec!["the device has not polled".to_owned()];
    for polled in 1..=polls {
        if polled > 1 {
            sleep(POLL).await;
        }
        if iot.power.is_off() {
            iot.power_cycle().map_err(|fault| fault.to_string())?;
        }
        let report = iot.check_in().await;
        if iot.power.is_off() {
            wrong = vec!["the device has no power".to_owned()];
            continue;
        }
        wrong = prepared.wrong(iot, executed).await;
        if let Err(error) = report {
            wrong.push(format!("the check-in failed: {error}"));
        }
        if wrong.is_empty() {
            return Ok((wrong, polled));
        }
    }
    Ok((wrong, polls))
}

/// Runs one case in virtual time. Returns an error if the final state is inconsistent.
fn try_case(case: &Case, prepared: &Prepared, usual: &Occasions) -> Result<CaseResult, String> {
    let failed = |what: &str| format!("{:?}: {what}", case.faults);
    prepared.run(async |mut iot, executed| {
        for spec in &case.faults {
            iot.faults.install(spec.parse().map_err(|why| failed(&format!("{why}")))?);
        }
        iot.events.take();
        let began = Instant::now();
        let during = u32::try_from(LASTS.as_secs() / POLL.as_secs()).unwrap();
        let (wrong, mut polls) =
            settle(&mut iot, prepared, &executed, during).await.map_err(|why| failed(&why))?;
        if iot.faults.injected_counts().iter().any(|(_, times)| *times == 0) {
            return Err(failed("did not happen"));
        }
        let moving = began.elapsed();
        iot.faults.clear();
        let mut outcome = String::new();
        if !wrong.is_empty() {
            sleep(POLL).await;
            let (wrong, further) =
                settle(&mut iot, prepared, &executed, POLLS).await.map_err(|why| failed(&why))?;
            polls += further;
            let is_of_records = |each: &String| each.starts_with("eIM: ") || each.starts_with("SM-DP+: ");
            if needs_a_reconciler(case) && !wrong.is_empty() && wrong.iter().all(is_of_records) {
                outcome.push_str(", to be reconciled");
            } else if !wrong.is_empty() {
                return Err(failed(&wrong.join("; ")));
            }
        }
        let recovery = began.elapsed().saturating_sub(moving);
        let is_more = |(request, times): (_, &usize)| usual.requests.get(request) < Some(times);
        let is_repeated = requests(&iot.events.all()).iter().any(is_more);
        let results = prepared.results(&iot).await.map_err(|why| failed(&why))?;
        let differences: Vec<_> = results
            .iter()
            .zip(&usual.results)
            .filter(|(now, usual)| now != usual)
            .map(|(now, _)| &**now)
            .collect();
        let words = match (differences.is_empty(), polls) {
            (true, 1) if is_repeated => "done after retry".to_owned(),
            (true, 1) => "done".to_owned(),
            (true, polls) => format!("done at poll {polls}"),
            (false, _) => differences.join("; "),
        };
        prepared
            .can_still_be_managed(&mut iot, &executed, has_faulty_store(case))
            .await
            .map_err(|why| failed(&format!("{why} (outcome: {words}{outcome})")))?;
        Ok(CaseResult { outcome: words + &outcome, moving, recovery })
    })
}

fn the_matrix_of(journey: Journey, file: &str) {
    let prepared = Prepared::new(journey);
    let occasions = occasions(&prepared);
    let what = format!("the provisioning of an IoT device, {journey:?} download");
    let cases = cases(&occasions, journey);
    matrix::run_cases(&what, file, &cases, STRIDE, |case| try_case(case, &prepared, &occasions));
}

#[test]
fn an_iot_device_recovers_from_every_fault_with_the_direct_download() {
    the_matrix_of(Journey::Direct, "iot_direct.txt");
}

#[test]
fn an_iot_device_recovers_from_every_fault_with_the_download_through_the_eim() {
    the_matrix_of(Journey::Indirect, "iot_indirect.txt");
}

#[test]
fn an_iot_device_recovers_from_every_fault_of_esipa_over_coap() {
    the_matrix_of(Journey::Coap, "iot_coap.txt");
}
