//! Common code of the matrix tests: cases, their execution, the comparison with the pinned outcomes,
//! counters and output.

mod pinned;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use faults::catalogue::{self, Entry, Places};
use faults::{FalseStatement, Family, FaultId, RadioAct, RecordsAct};

/// Duration of a lasting fault.
pub(crate) const LASTS: Duration = Duration::from_secs(3600);

/// One case of a matrix: a fault at a step.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) step: String,
    pub(crate) fault: &'static Entry,
    /// The installed fault specs.
    pub(crate) faults: Vec<String>,
    /// If present, the sample contains only every n-th case of this kind. Default: the stride of the
    /// matrix, and the first case for each step and each fault.
    pub(crate) stride: Option<usize>,
}

impl Case {
    pub(crate) fn new(step: impl Into<String>, fault: &'static Entry, faults: Vec<String>) -> Self {
        Self { step: step.into(), fault, faults, stride: None }
    }

    pub(crate) fn family(&self) -> Family {
        self.fault.id.family()
    }

    /// The fault spec without the name of the fault and its place: the value and the condition that
    /// distinguish this case from the other cases of the fault at its step.
    fn occasion(&self) -> String {
        let text = self.faults[0].strip_prefix(&self.fault.name).unwrap();
        let (value, rest) = text.split_once('@').unwrap();
        let when = rest.find('#').map_or("", |at| &rest[at..]);
        match (value, when) {
            ("", "") => "always".to_owned(),
            ("", when) => when.to_owned(),
            (value, _) => value.to_owned(),
        }
    }
}

/// The result of a case, with the virtual time of the move and of the recovery after the fault.
#[derive(Clone, Debug)]
pub(crate) struct CaseResult {
    /// The outcome in the words of the pinned table.
    pub(crate) outcome: String,
    pub(crate) moving: Duration,
    pub(crate) recovery: Duration,
}

/// The faults of a family.
pub(crate) fn of(family: Family) -> impl Iterator<Item = &'static Entry> {
    catalogue::all().filter(move |entry| entry.id.family() == family)
}

/// The faults of a registration. Packets are simulated only in scenarios.
pub(crate) fn registration_faults() -> impl Iterator<Item = &'static Entry> {
    of(Family::Radio)
        .filter(|entry| entry.places == Places::Network && entry.id != FaultId::Radio(RadioAct::NoData))
}

/// Rejected registrations on the new network, and on the way back to the visited network.
pub(crate) fn of_registration(local: &str, visited: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in registration_faults() {
        for when in ["#1", ""] {
            let new = format!("{}@{local}{when}", entry.name);
            cases.push(Case::new("registration on the new network", entry, vec![new]));
            // After this cause, the device tries no other network with the local profile.
            let rejected = format!("radio/refuse-illegal-ue@{local}");
            let back = format!("{}@{visited}{when}", entry.name);
            cases.push(Case::new("registration on the way back", entry, vec![back, rejected]));
        }
    }
    cases
}

/// Faults at each write to the memory of the card or the device.
pub(crate) fn of_power(memory: &str, writes: u32) -> Vec<Case> {
    let of_entry = |entry: &'static Entry| {
        let case = move |nth| {
            let spec = format!("{}@{memory}#{nth}", entry.name);
            Case::new(format!("writes of the {memory}"), entry, vec![spec])
        };
        (1..=writes).map(case)
    };
    of(Family::Power).flat_map(of_entry).collect()
}

/// A server, and the numbers of its commits and reads in a run without faults.
pub(crate) struct Server {
    /// Its name as a place of faults.
    pub(crate) place: &'static str,
    /// Its name in the steps of the cases.
    pub(crate) name: &'static str,
    pub(crate) commits: u32,
    pub(crate) reads: u32,
}

/// Faults of the records of these servers: at each commit or read, and for an hour.
pub(crate) fn of_records(servers: &[Server]) -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in of(Family::Records) {
        for Server { place, name, commits, reads } in servers {
            let (what, times) = match entry.id {
                FaultId::Records(RecordsAct::ReadFails) => ("reads", *reads),
                _ => ("commits", *commits),
            };
            for nth in 1..=times {
                let spec = format!("{}@{place}#{nth}", entry.name);
                cases.push(Case::new(format!("{name} {what}"), entry, vec![spec]));
            }
            // Conflicts without end do not occur in a correct store, so they are not tested.
            if entry.id != FaultId::Records(RecordsAct::Conflict) {
                let spec = format!("{}@{place}", entry.name);
                cases.push(Case::new(format!("{name}, for an hour"), entry, vec![spec]));
            }
        }
    }
    cases
}

/// True if only a comparison finds an inconsistency, because the store is faulty.
pub(crate) fn has_faulty_store(case: &Case) -> bool {
    matches!(case.fault.id, FaultId::Records(RecordsAct::LostWrite | RecordsAct::TornWrite))
}

/// Each of these false statements in each of its functions: once, twice, and repeatedly for an
/// hour.
pub(crate) fn of_tampering(is_tested: impl Fn(FalseStatement) -> bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in of(Family::Tamper).filter(|entry| matches!(entry.id, FaultId::Tamper(act) if is_tested(act)))
    {
        for function in entry.places.forms().split(", ") {
            for when in ["#1", "#1-2", "#1-"] {
                cases.push(Case::new(function, entry, vec![format!("{}@{function}{when}", entry.name)]));
            }
        }
    }
    cases
}

/// `LANDFALL_MATRIX`: `all` runs every case; another text selects the cases whose fault specs
/// contain it. Without it, a sample runs.
fn selection() -> Option<String> {
    std::env::var("LANDFALL_MATRIX").ok().filter(|selection| !selection.is_empty())
}

/// True if every case is to be run, and not only a sample.
fn is_all() -> bool {
    selection().is_some_and(|selection| selection == "all")
}

/// Runs the selected cases, or a [sample](some). Prints the counters. Fails if a case failed or has
/// another outcome than the one pinned in this [file](pinned).
pub(crate) fn run_cases(
    what: &str,
    file: &str,
    all: &[Case],
    stride: usize,
    try_case: impl Fn(&Case) -> Result<CaseResult, String> + Sync,
) {
    let selection = selection().filter(|selection| selection != "all");
    let cases: Vec<_> = match &selection {
        Some(selection) => {
            all.iter().filter(|case| case.faults.iter().any(|text| text.contains(selection))).collect()
        }
        None if is_all() => all.iter().collect(),
        None => some(all, stride),
    };
    let results = in_parallel(&cases, &try_case);
    print(what, &cases, &results, all.len());
    let wrong: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    let failures = wrong.iter().fold(String::new(), |text, each| text + each + "\n");
    assert!(wrong.is_empty(), "{} of {}:\n{failures}", wrong.len(), cases.len());
    let outcomes =
        cases.iter().zip(&results).filter_map(|(case, result)| Some((*case, &result.as_ref().ok()?.outcome)));
    pinned::check(file, all, outcomes.collect());
}

/// A sample: every `stride`-th case, and the first one for each step and each fault. Cases with a
/// stride of their own are chosen by it alone.
fn some(all: &[Case], stride: usize) -> Vec<&Case> {
    let (mut steps, mut faults) = (BTreeSet::new(), BTreeSet::new());
    let is_chosen = |(number, case): &(usize, &Case)| match case.stride {
        Some(stride) => number % stride == 0,
        None => {
            let is_new = [steps.insert(case.step.clone()), faults.insert(case.fault.name.clone())];
            is_new.contains(&true) || number % stride == 0
        }
    };
    all.iter().enumerate().filter(is_chosen).map(|(_, case)| case).collect()
}

/// Each thread has its own runs. The results do not depend on the number of threads or on the
/// distribution of the cases. The whole matrix takes minutes, so progress is printed.
fn in_parallel(
    cases: &[&Case],
    try_case: &(impl Fn(&Case) -> Result<CaseResult, String> + Sync),
) -> Vec<Result<CaseResult, String>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let next = AtomicUsize::new(0);
    let work_through = || {
        let mut tried = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(number) else { return tried };
            if number > 0 && number.is_multiple_of(250) {
                eprintln!("{number} of {} cases", cases.len());
            }
            tried.push((number, try_case(case)));
        }
    };
    let mut tried: Vec<_> = std::thread::scope(|scope| {
        let work: Vec<_> = (0..threads).map(|_| scope.spawn(work_through)).collect();
        work.into_iter().flat_map(|work| work.join().unwrap()).collect()
    });
    tried.sort_by_key(|(number, _)| *number);
    tried.into_iter().map(|(_, result)| result).collect()
}

/// Prints the number of cases by step and family, and by result.
fn print(what: &str, cases: &[&Case], results: &[Result<CaseResult, String>], of: usize) {
    let mut by_step: BTreeMap<&str, BTreeMap<Family, usize>> = BTreeMap::new();
    let mut by_end: BTreeMap<String, BTreeMap<Family, usize>> = BTreeMap::new();
    for (case, result) in cases.iter().zip(results) {
        *by_step.entry(&case.step).or_default().entry(case.family()).or_default() += 1;
        let end = result.as_ref().map_or("WRONG".to_owned(), |tried| tried.outcome.clone());
        *by_end.entry(end).or_default().entry(case.family()).or_default() += 1;
    }
    println!("{what}: {} of {of} cases", cases.len());
    line("step", Family::ALL.map(Family::name), "all");
    for (step, row) in &by_step {
        row_of(step, row);
    }
    line("result of the first move", Family::ALL.map(|_| ""), "");
    for (end, row) in &by_end {
        row_of(end, row);
    }
    let longest =
        |of: fn(&CaseResult) -> Duration| results.iter().flatten().map(of).max().unwrap_or_default();
    let (moving, back) = (longest(|tried| tried.moving), longest(|tried| tried.recovery));
    println!(
        "maximum virtual time: {} s for a move, {} s for the recovery",
        moving.as_secs(),
        back.as_secs()
    );
}

fn row_of(name: &str, row: &BTreeMap<Family, usize>) {
    let columns = Family::ALL.map(|family| row.get(&family).map_or(String::new(), ToString::to_string));
    line(name, columns, row.values().sum::<usize>());
}

fn line<const N: usize>(name: &str, columns: [impl Display; N], all: impl Display) {
    let columns = columns.iter().fold(String::new(), |text, column| text + &format!(" {column:>8}"));
    println!("{name:<60}{columns} {all:>8}");
}
