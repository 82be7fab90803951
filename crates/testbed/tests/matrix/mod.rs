//! Common code of the matrix tests: cells, their execution, counters and output.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Display};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use faults::Family;
use faults::catalogue::{self, Entry};

/// Duration of a lasting fault.
pub(crate) const LASTS: Duration = Duration::from_secs(3600);

/// One cell of a matrix: a fault at a step.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) step: String,
    pub(crate) fault: &'static Entry,
    /// The installed fault specs.
    pub(crate) faults: Vec<String>,
}

impl Cell {
    pub(crate) fn new(step: impl Into<String>, fault: &'static Entry, faults: Vec<String>) -> Self {
        Self { step: step.into(), fault, faults }
    }

    pub(crate) fn family(&self) -> Family {
        self.fault.id.family()
    }
}

/// The result of a cell, with the virtual time of the move and of the recovery after the fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttachAttempt<O> {
    pub(crate) outcome: O,
    pub(crate) moving: Duration,
    pub(crate) coming_back: Duration,
}

/// The faults of a family.
pub(crate) fn of(family: Family) -> impl Iterator<Item = &'static Entry> {
    catalogue::all().filter(move |entry| entry.id.family() == family)
}

/// `LANDFALL_MATRIX`: `all` runs every cell; another text selects the cells whose fault specs
/// contain it. Without it, a sample runs.
fn wish() -> Option<String> {
    std::env::var("LANDFALL_MATRIX").ok().filter(|wish| !wish.is_empty())
}

/// True if every cell is to be run, and not only a sample.
pub(crate) fn is_all() -> bool {
    wish().is_some_and(|wish| wish == "all")
}

/// Runs the selected cells, or a [sample](some). Prints the counters, and fails if a cell failed.
pub(crate) fn tried<O: Debug + Send>(
    what: &str,
    all: &[Cell],
    stride: usize,
    try_cell: impl Fn(&Cell) -> Result<AttachAttempt<O>, String> + Sync,
) {
    let wish = wish().filter(|wish| wish != "all");
    let cells: Vec<_> = match &wish {
        Some(wish) => all.iter().filter(|cell| cell.faults.iter().any(|text| text.contains(wish))).collect(),
        None if is_all() => all.iter().collect(),
        None => some(all, stride),
    };
    let results = in_parallel(&cells, &try_cell);
    print(what, &cells, &results, all.len());
    let wrong: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    let told = wrong.iter().fold(String::new(), |text, each| text + each + "\n");
    assert!(wrong.is_empty(), "{} of {}:\n{told}", wrong.len(), cells.len());
}

/// A sample: every `stride`-th cell, and the first one for each step and each fault.
fn some(all: &[Cell], stride: usize) -> Vec<&Cell> {
    let (mut steps, mut faults) = (BTreeSet::new(), BTreeSet::new());
    let is_chosen = |(number, cell): &(usize, &Cell)| {
        let is_new =
            [steps.insert(cell.step.clone()), faults.insert(cell.fault.name.to_owned())].contains(&true);
        is_new || number % stride == 0
    };
    all.iter().enumerate().filter(is_chosen).map(|(_, cell)| cell).collect()
}

/// Each thread has its own runs. The results do not depend on the number of threads or on the
/// distribution of the cells. The whole matrix takes minutes, so progress is printed.
fn in_parallel<O: Send>(
    cells: &[&Cell],
    try_cell: &(impl Fn(&Cell) -> Result<AttachAttempt<O>, String> + Sync),
) -> Vec<Result<AttachAttempt<O>, String>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let next = AtomicUsize::new(0);
    let one_after_another = || {
        let mut tried = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(cell) = cells.get(number) else { return tried };
            if number > 0 && number.is_multiple_of(250) {
                eprintln!("{number} of {} cells", cells.len());
            }
            tried.push((number, try_cell(cell)));
        }
    };
    let mut tried: Vec<_> = std::thread::scope(|scope| {
        let work: Vec<_> = (0..threads).map(|_| scope.spawn(one_after_another)).collect();
        work.into_iter().flat_map(|work| work.join().unwrap()).collect()
    });
    tried.sort_by_key(|(number, _)| *number);
    tried.into_iter().map(|(_, result)| result).collect()
}

/// Prints the number of cells by step and family, and by result.
fn print<O: Debug>(what: &str, cells: &[&Cell], results: &[Result<AttachAttempt<O>, String>], of: usize) {
    let mut by_step: BTreeMap<&str, BTreeMap<Family, usize>> = BTreeMap::new();
    let mut by_end: BTreeMap<String, BTreeMap<Family, usize>> = BTreeMap::new();
    for (cell, result) in cells.iter().zip(results) {
        *by_step.entry(&cell.step).or_default().entry(cell.family()).or_default() += 1;
        let end = result.as_ref().map_or("WRONG".to_owned(), |tried| format!("{:?}", tried.outcome));
        *by_end.entry(end).or_default().entry(cell.family()).or_default() += 1;
    }
    println!("{what}: {} of {of} cells", cells.len());
    line("step", Family::ALL.map(Family::name), "all");
    for (step, row) in &by_step {
        row_of(step, row);
    }
    line("result of the first move", Family::ALL.map(|_| ""), "");
    for (end, row) in &by_end {
        row_of(end, row);
    }
    let longest =
        |of: fn(&AttachAttempt<O>) -> Duration| results.iter().flatten().map(of).max().unwrap_or_default();
    let (moving, back) = (longest(|tried| tried.moving), longest(|tried| tried.coming_back));
    println!(
        "maximum virtual time: {} s for a move, {} s for the recovery",
        moving.as_secs(),
        back.as_secs()
    );
}

fn row_of(name: &str, row: &BTreeMap<Family, usize>) {
    let cells = Family::ALL.map(|family| row.get(&family).map_or(String::new(), ToString::to_string));
    line(name, cells, row.values().sum::<usize>());
}

fn line<const N: usize>(name: &str, cells: [impl Display; N], all: impl Display) {
    let cells = cells.iter().fold(String::new(), |text, cell| text + &format!(" {cell:>8}"));
    println!("{name:<60}{cells} {all:>8}");
}
