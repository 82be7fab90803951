//! The swap of an M2M device, combined with every fault at every step, over both bearers.
//!
//! After each case: the device gets service within a limited time, no profile is lost or
//! duplicated, the EIS, the records of the SM-DP and the card agree, the operator got a correct
//! result or an unknown one, and the device can still be moved.
//!
//! matrix/m2m_sms.txt and matrix/m2m_https.txt have the outcome of each case. Without
//! `LANDFALL_MATRIX=all`, a sample runs. `LANDFALL_MATRIX=sms-lose@mt#3` runs only the
//! cases with this fault.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod matrix;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use certs::{Pki, PkiOptions};
use faults::catalogue::Places;
use faults::{FalseM2mStatement, FalseStatement, Family, FaultId};
use matrix::{
    Case, CaseResult, LASTS, Server, has_faulty_store, of, of_power, of_records, of_registration,
    of_tampering,
};
use rsp::sgp02::BaseResponse;
use rsp::sgp02::common::ExecutionStatus;
use rsp::time::Timestamp;
use sm_dp::m2m::ConnectivityUpdate;
use testbed::m2m::{Bearer, LOCAL, M2m, ObservedState, SM_DP_PLACE, SM_SR_PLACE, Setup, Start, VISITED};
use testbed::time::{Simulation, run};
use tokio::time::{Instant, sleep};
use world::{Event, Fault};

const BEGIN: Timestamp = Timestamp(1_795_000_000_000);

/// Validity period of all functions.
const VALIDITY: Duration = Duration::from_secs(3600);

/// Maximum time for the recovery after the fault has ended.
const BOUND: Duration = Duration::from_secs(3600);

/// Maximum time until the card and the servers agree. It includes the daily checks of the SM-SR and
/// the SM-DP.
const AGREE: Duration = Duration::from_secs(2 * 86_400);

/// The sample consists of every 37th case.
const STRIDE: usize = 37;

static PKI: LazyLock<Arc<Pki>> =
    LazyLock::new(|| Arc::new(Pki::from_seed(b"scenario tests", &PkiOptions::default()).unwrap()));

/// The result that the operator got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// The profile is installed, but not enabled.
    NotEnabled,
    Failed,
    /// The result could not be determined in time.
    NotKnown,
}

/// The tested procedure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Procedure {
    /// The local profile is downloaded and enabled.
    Swap,
    /// The local profile, which was downloaded before, is deleted.
    Deletion,
    /// The SM-DP changes the connectivity parameters of the local profile.
    Parameters,
}

/// Functions in the sequence of their calls, with true if the function is asynchronous. For
/// asynchronous functions, every second call is the callback.
const SWAP: [(&str, bool); 9] = [
    ("ES2.DownloadProfile", true),
    ("ES3.GetEIS", false),
    ("ES3.CreateISDP", true),
    ("ES3.SendData", true),
    ("ES3.ProfileDownloadCompleted", false),
    ("ES3.EnableProfile", true),
    ("ES4.HandleProfileDisabledNotification", false),
    ("ES5.OpenSession", false),
    ("ES5.Result", false),
];
const DELETION: [(&str, bool); 2] = [("ES2.DeleteProfile", true), ("ES3.DeleteISDP", true)];
const PARAMETERS: [(&str, bool); 1] = [("ES3.UpdateConnectivityParameters", true)];

impl Procedure {
    const ALL: [Self; 3] = [Self::Swap, Self::Deletion, Self::Parameters];

    fn functions(self) -> &'static [(&'static str, bool)] {
        match self {
            Self::Swap => &SWAP,
            Self::Deletion => &DELETION,
            Self::Parameters => &PARAMETERS,
        }
    }

    /// Prefix of the step names of the cases.
    fn prefix(self) -> &'static str {
        match self {
            Self::Swap => "",
            Self::Deletion => "deletion: ",
            Self::Parameters => "parameters: ",
        }
    }

    fn of(case: &Case) -> Self {
        let is_tested =
            |procedure: &Self| *procedure != Self::Swap && case.step.starts_with(procedure.prefix());
        Self::ALL.into_iter().find(is_tested).unwrap_or(Self::Swap)
    }

    /// Runs the steps before the tested procedure, without faults.
    async fn prepare(self, run: &M2m) {
        if self != Self::Swap {
            let answer = run.download(self == Self::Parameters, VALIDITY).await.unwrap();
            assert!(answer.base.is_done(), "{}", answer.base.function_execution_status);
        }
    }

    /// Runs the procedure. Returns the result that the operator got.
    async fn run(self, run: &M2m) -> (Outcome, String) {
        let result = match self {
            Self::Swap => run.download(true, VALIDITY).await.map(|answer| answer.base),
            Self::Deletion => run.delete(VALIDITY).await.map(|answer| answer.base),
            Self::Parameters => return change_parameters(run, &NEW).await,
        };
        let how = result.as_ref().map(|base| base.function_execution_status.to_string());
        (outcome(&result), how.unwrap_or_else(|fault| fault.to_string()))
    }

    /// True if the result that the operator received matches the actual state.
    fn is_so(self, outcome: Outcome, truth: &ObservedState, start: &Start) -> bool {
        let (has, enabled) = (truth.has(start.local), truth.enabled());
        let has_new = truth.card.iter().any(|isd_p| isd_p.connectivity.as_deref() == Some(&NEW));
        match (outcome, self) {
            (Outcome::Done, Self::Swap) => enabled == Some(start.local),
            (Outcome::Done, Self::Deletion) => !has,
            (Outcome::Done, Self::Parameters) => has_new,
            (Outcome::NotEnabled, Self::Swap) => has && enabled == Some(start.bootstrap),
            (Outcome::Failed, Self::Swap) => !has || truth.is_remnant,
            (Outcome::Failed, Self::Deletion) => has,
            (Outcome::Failed, Self::Parameters) => !has_new,
            (Outcome::NotEnabled, _) => false,
            (Outcome::NotKnown, _) => true,
        }
    }
}

/// Connectivity parameters (SGP.02 section 4.1.3.4) with another SMSC address.
const NEW: [u8; 11] = [0xA0, 0x09, 0x06, 0x07, 0x91, 0x94, 0x71, 0x01, 0x00, 0x00, 0xF0];
const NEWER: [u8; 11] = [0xA0, 0x09, 0x06, 0x07, 0x91, 0x94, 0x71, 0x01, 0x00, 0x00, 0xF1];

/// Lets the SM-DP change the parameters, and waits for the result.
async fn change_parameters(run: &M2m, parameters: &[u8]) -> (Outcome, String) {
    let (eid, local) = (run.start.eid, run.start.local);
    let until = Instant::now() + AGREE;
    let mut is_begun = false;
    while Instant::now() < until {
        if let Some(sm_dp) = run.sm_dp.party() {
            if !is_begun {
                let begun = sm_dp.update_connectivity_parameters(eid, local, parameters.to_vec()).await;
                is_begun = begun.is_ok();
            }
            match sm_dp.connectivity_update(eid, local).await {
                // The request is not in the records, so its outcome is unknown. It is sent again.
                Ok(None) => is_begun = false,
                Ok(Some(ConnectivityUpdate::Done { .. })) if is_begun => {
                    return (Outcome::Done, "done".to_owned());
                }
                Ok(Some(ConnectivityUpdate::Failed { why, .. })) if is_begun => {
                    // The SM-DP itself does not know the outcome for certain.
                    return (Outcome::NotKnown, why);
                }
                _ => {}
            }
        }
        if Instant::now() + AGREE > until + LASTS {
            run.faults.clear();
        }
        sleep(Duration::from_secs(60)).await;
    }
    (Outcome::NotKnown, NOT_ENDED.to_owned())
}

/// Reported if a procedure does not end.
const NOT_ENDED: &str = "the procedure has not ended";

/// Number of occasions in a procedure without faults.
struct Occasions {
    /// The calls of each function.
    calls: Vec<u32>,
    servers: [Server; 2],
    /// The short messages to the card and from it.
    messages: [u32; 2],
    card_writes: u32,
    usual: Usual,
}

/// A procedure without faults.
struct Usual {
    requests: Requests,
    /// Virtual time until the operator got the result.
    duration: Duration,
}

/// How often the servers sent or received each message.
type Requests = BTreeMap<(String, String), usize>;

fn requests(events: &[Event]) -> Requests {
    let mut requests = Requests::new();
    for event in events.iter().filter(|event| event.party == "SM-DP" || event.party == "SM-SR") {
        let message = format!("{}.{}", event.interface, event.function);
        *requests.entry((event.party.to_string(), message)).or_default() += 1;
    }
    requests
}

fn setup(bearer: Bearer) -> (Setup, Start) {
    let setup = Setup::new(Arc::clone(&PKI), bearer);
    let start = run("matrix", BEGIN, async |simulation| Start::prepare(&simulation, &setup).await);
    let start = start.unwrap().unwrap();
    (setup, start)
}

async fn abroad(simulation: &Simulation, (setup, start): &(Setup, Start)) -> M2m {
    let run = M2m::begin(simulation, setup, start).unwrap();
    run.until(Duration::from_secs(300), |truth| truth.is_registered).await.unwrap();
    run
}

/// Runs `simulated` in virtual time, one hour after the preparation.
fn in_a_run<T>(simulated: impl AsyncFnOnce(Simulation) -> T) -> T {
    run("matrix", BEGIN.plus(Duration::from_secs(3600)), simulated).unwrap()
}

fn occasions(procedure: Procedure, from: &(Setup, Start)) -> Occasions {
    let functions = procedure.functions();
    let mut never: Vec<String> =
        functions.iter().map(|(function, _)| format!("link/reset@{function}")).collect();
    for party in [SM_DP_PLACE, SM_SR_PLACE] {
        never.extend([format!("records/conflict@{party}"), format!("records/read-fails@{party}")]);
    }
    never.extend(["radio/sms-lose@mt", "radio/sms-lose@mo", "power/write-fails@card"].map(str::to_owned));
    in_a_run(async |simulation| {
        let run = abroad(&simulation, from).await;
        procedure.prepare(&run).await;
        never.iter().for_each(|text| run.faults.install(format!("{text}#4000000000").parse().unwrap()));
        run.events.take();
        let began = Instant::now();
        let (outcome, status) = procedure.run(&run).await;
        assert_eq!(outcome, Outcome::Done, "{status}");
        let usual = Usual { requests: requests(&run.events.all()), duration: began.elapsed() };
        let seen: Vec<_> = run.faults.occasions().into_iter().map(|(_, seen)| seen).collect();
        assert_eq!(run.truth().await.unwrap().wrong(from.1.bootstrap, from.1.local), [""; 0]);
        let (calls, rest) = seen.split_at(functions.len());
        let &[sm_dp, sm_dp_reads, sm_sr, sm_sr_reads, to, from, card_writes] = rest else { panic!() };
        Occasions {
            calls: calls.to_vec(),
            servers: [
                Server { place: SM_DP_PLACE, name: "SM-DP", commits: sm_dp, reads: sm_dp_reads },
                Server { place: SM_SR_PLACE, name: "SM-SR", commits: sm_sr, reads: sm_sr_reads },
            ],
            messages: [to, from],
            card_writes,
            usual,
        }
    })
}

fn cases(occasions: &[Occasions; 3]) -> Vec<Case> {
    let mut cases = of_registration(LOCAL, VISITED);
    for (procedure, occasions) in Procedure::ALL.into_iter().zip(occasions) {
        let mut added = of_links(procedure, occasions);
        if procedure == Procedure::Swap {
            added.extend(of_tampering(|act| matches!(act, FalseStatement::M2m(_))));
        }
        added.extend(of_records(&occasions.servers));
        added.extend(of_messages(occasions));
        added.extend(of_power("card", occasions.card_writes));
        added.iter_mut().for_each(|case| case.step.insert_str(0, procedure.prefix()));
        cases.extend(added);
    }
    cases
}

/// Two cases for each link fault and each call: the fault happens at this call only, or at this
/// call and at all later calls for an hour.
fn of_links(procedure: Procedure, occasions: &Occasions) -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in of(Family::Link) {
        for ((function, is_later), calls) in procedure.functions().iter().copied().zip(&occasions.calls) {
            // Between a card and the SM-SR, TLS turns corrupted data into a broken connection,
            // which has its own cases.
            if function.starts_with("ES5") && entry.name.starts_with("link/corrupt") {
                continue;
            }
            for nth in 1..=*calls {
                let step = match is_later {
                    true if nth % 2 == 0 => format!("{function} {}, the answer", nth / 2),
                    true => format!("{function} {}", nth.div_ceil(2)),
                    false => format!("{function} {nth}"),
                };
                for when in [format!("#{nth}"), format!("#{nth}-")] {
                    cases.push(Case::new(&step, entry, vec![format!("{}@{function}{when}", entry.name)]));
                }
            }
        }
    }
    cases
}

fn of_messages(occasions: &Occasions) -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in of(Family::Radio).filter(|entry| entry.places == Places::Direction) {
        let directions = [("mt", "short messages to the card"), ("mo", "short messages from the card")];
        for ((direction, step), messages) in directions.into_iter().zip(occasions.messages) {
            // A device gets the result of a submission at once, so there is no report that could be
            // lost.
            if direction == "mo" && entry.name == "radio/sms-lose-answer" {
                continue;
            }
            for nth in 1..=messages {
                for when in [format!("#{nth}"), format!("#{nth}-")] {
                    cases.push(Case::new(step, entry, vec![format!("{}@{direction}{when}", entry.name)]));
                }
            }
        }
    }
    cases
}

/// True if the SM-SR falsely reports that the profile was not enabled. The operator cannot detect
/// this false report until it requests an audit.
fn operator_was_misinformed(case: &Case, truth: &ObservedState, start: &Start) -> bool {
    let is_that_statement =
        matches!(case.fault.id, FaultId::Tamper(FalseStatement::M2m(FalseM2mStatement::NotEnabled)));
    is_that_statement && truth.enabled() == Some(start.local)
}

/// The result that the operator got.
fn outcome(result: &Result<BaseResponse, Fault>) -> Outcome {
    match result.as_ref().map(|base| base.function_execution_status.status) {
        Ok(ExecutionStatus::ExecutedSuccess) => Outcome::Done,
        Ok(ExecutionStatus::ExecutedWithWarning) => Outcome::NotEnabled,
        Ok(ExecutionStatus::Failed) => Outcome::Failed,
        Ok(ExecutionStatus::Expired) | Err(_) => Outcome::NotKnown,
    }
}

impl Outcome {
    /// The words for this outcome in the table. A procedure is done late if it took longer than
    /// without faults although the servers repeated nothing.
    fn words(self, is_repeated: bool, is_late: bool) -> &'static str {
        match self {
            Self::Done if is_repeated => "done after retry",
            Self::Done if is_late => "done late",
            Self::Done => "done",
            Self::NotEnabled => "installed, not enabled",
            Self::Failed => "failed",
            Self::NotKnown => "unknown",
        }
    }
}

/// Runs one case in virtual time. Returns an error if the final state is inconsistent.
fn try_case(
    case: &Case,
    procedure: Procedure,
    usual: &Usual,
    from: &(Setup, Start),
) -> Result<CaseResult, String> {
    let start = &from.1;
    let failed = |what: &str| format!("{:?}: {what}", case.faults);
    in_a_run(async |simulation| {
        let run = abroad(&simulation, from).await;
        procedure.prepare(&run).await;
        for spec in &case.faults {
            run.faults.install(spec.parse().map_err(|why| failed(&format!("{why}")))?);
        }
        run.events.take();
        let began = Instant::now();
        let (outcome, ended) = procedure.run(&run).await;
        let moving = began.elapsed();
        let is_more = |(message, times): (_, &usize)| usual.requests.get(message) < Some(times);
        let is_repeated = requests(&run.events.all()).iter().any(is_more);
        let mut words = outcome.words(is_repeated, moving > usual.duration).to_owned();
        if run.faults.injected_counts().iter().any(|(_, times)| *times == 0) {
            return Err(failed(&format!("did not happen ({ended})")));
        }
        if ended == NOT_ENDED {
            return Err(failed(NOT_ENDED));
        }
        sleep(LASTS.saturating_sub(moving)).await;
        run.faults.clear();
        let back = run.until(BOUND, |truth| truth.is_registered).await;
        let back = back.map_err(|fault| failed(&format!("the device does not recover: {fault}")))?;
        let is_quiet = |truth: &ObservedState| truth.wrong(start.bootstrap, start.local).is_empty();
        let agreed = run.until(AGREE, is_quiet).await;
        let truth = run.truth().await.map_err(|fault| failed(&fault.to_string()))?;
        let wrong = truth.wrong(start.bootstrap, start.local);
        if outcome != Outcome::Done && procedure.is_so(Outcome::Done, &truth, start) {
            words.push_str(", then done");
        }
        if has_faulty_store(case) && !wrong.is_empty() {
            return match wrong.iter().all(|each| ObservedState::is_of_records(each)) {
                true => Ok(CaseResult { outcome: words + ", to be reconciled", moving, recovery: back }),
                false => Err(failed(&format!("{} ({ended})", wrong.join("; ")))),
            };
        }
        let recovery = agreed.map_err(|_| failed(&format!("{} ({ended})", wrong.join("; "))))?;
        let is_so = procedure.is_so(outcome, &truth, start) || operator_was_misinformed(case, &truth, start);
        if !is_so && !has_faulty_store(case) {
            return Err(failed(&format!("the operator got {ended}, but the state is {truth:?}")));
        }
        if let Err(why) = can_still_be_moved(&run, start).await {
            let truth = run.truth().await.map_err(|fault| failed(&fault.to_string()))?;
            let mut wrong = truth.wrong(start.bootstrap, start.local).into_iter();
            // A write that was lost in the store leaves an inconsistent record until a comparison
            // finds it. The device still works.
            if !has_faulty_store(case) || !wrong.all(|each| ObservedState::is_of_records(&each)) {
                return Err(failed(&format!("{why} (result of the move: {ended})")));
            }
            return Ok(CaseResult { outcome: words + ", to be reconciled", moving, recovery });
        }
        Ok(CaseResult { outcome: words, moving, recovery })
    })
}

/// Moves the device to the local profile, starting from the current state of that profile. Also
/// checks that the card responds to an audit.
async fn can_still_be_moved(run: &M2m, start: &Start) -> Result<(), String> {
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let truth = run.truth().await.map_err(|fault| fault.to_string())?;
        if truth.enabled() == Some(start.local) && !truth.is_remnant {
            break;
        }
        let answer = match (truth.is_remnant, truth.is_known) {
            (true, _) => run.delete(VALIDITY).await.map(|response| response.base),
            (false, true) => run.enable(VALIDITY).await.map(|response| response.base),
            (false, false) => run.download(true, VALIDITY).await.map(|response| response.base),
        };
        statuses.push(
            answer.map_or_else(|fault| fault.to_string(), |base| base.function_execution_status.to_string()),
        );
    }
    let (outcome, how) = change_parameters(run, &NEWER).await;
    statuses.push(format!("{outcome:?} {how}"));
    let eis = run.audit(VALIDITY).await.map_err(|why| format!("cannot be reached: {why}, {statuses:?}"))?;
    let truth = run.truth().await.map_err(|fault| fault.to_string())?;
    let wrong = truth.wrong(start.bootstrap, start.local);
    let has_newer = truth.card.iter().any(|isd_p| isd_p.connectivity.as_deref() == Some(&NEWER));
    match wrong.is_empty() && truth.enabled() == Some(start.local) && has_newer && eis.profile_info.len() == 2
    {
        true => Ok(()),
        false => Err(format!("cannot be moved any more: {statuses:?}, {}, {truth:?}", wrong.join("; "))),
    }
}

fn the_matrix_over(bearer: Bearer, file: &str) {
    let from = setup(bearer);
    let occasions = Procedure::ALL.map(|procedure| occasions(procedure, &from));
    let what = format!("the swap of an M2M device over {bearer}");
    matrix::run_cases(&what, file, &cases(&occasions), STRIDE, |case| {
        let procedure = Procedure::of(case);
        try_case(case, procedure, &occasions[procedure as usize].usual, &from)
    });
}

#[test]
fn an_m2m_device_recovers_from_every_fault_of_its_swap_over_short_messages() {
    the_matrix_over(Bearer::Sms, "m2m_sms.txt");
}

#[test]
fn an_m2m_device_recovers_from_every_fault_of_its_swap_over_https() {
    the_matrix_over(Bearer::Https, "m2m_https.txt");
}
