//! Duration, progress and repetition of fuzz targets.
//!
//! The random values of each round follow from the seed and the number of the round, and each round
//! starts from scratch, so that a failed round can be repeated alone.

#![allow(clippy::disallowed_methods, reason = "the duration of a run is real time")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use world::SeededRandom;

use crate::random::Random;

/// Time after which a step counts as hanging.
const HANG: Duration = Duration::from_secs(120);

/// Interval of progress messages.
const PROGRESS: Duration = Duration::from_secs(10);

/// Number of steps shown when a round fails.
const SHOWN_STEPS: usize = 12;

pub(crate) fn seed() -> String {
    std::env::var("LANDFALL_SEED").unwrap_or_else(|_| "smoke".to_owned())
}

fn number(variable: &str) -> Option<usize> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text:?}")))
}

/// A running target.
pub(crate) struct Run {
    target: &'static str,
    random: SeededRandom,
    rounds: Option<usize>,
    only: Option<usize>,
    time: Option<Duration>,
    began: Instant,
    reported: Instant,
    done: usize,
    watch: Watch,
    warm: Option<usize>,
}

impl Run {
    /// Creates a run with `ordinary` rounds by default. `LANDFALL_FUZZ_ROUNDS` is the number of
    /// the cheapest rounds; a round of this target takes as long as `cost` of them.
    pub(crate) fn of(target: &'static str, ordinary: usize, cost: usize) -> Self {
        let time = number("LANDFALL_FUZZ_SECONDS").map(|seconds| Duration::from_secs(seconds as u64));
        let requested = number("LANDFALL_FUZZ_ROUNDS").map(|rounds| rounds.div_ceil(cost));
        let rounds = requested.or(time.is_none().then_some(ordinary));
        println!("{target}: LANDFALL_SEED={}", seed());
        let now = Instant::now();
        Self {
            target,
            random: SeededRandom::from_text(&seed()).branch(target),
            rounds,
            only: number("LANDFALL_FUZZ_ROUND"),
            time,
            began: now,
            reported: now,
            done: 0,
            watch: Watch::over(target),
            warm: None,
        }
    }

    /// Returns the next round, or `None` at the end.
    pub(crate) fn round(&mut self) -> Option<Round> {
        self.report_progress(false);
        let number = match self.only {
            Some(_) if self.done > 0 => return None,
            Some(only) => only,
            None => self.done,
        };
        let late = self.time.is_some_and(|time| self.began.elapsed() >= time);
        if self.only.is_none() && (late || self.rounds.is_some_and(|rounds| number >= rounds)) {
            return None;
        }
        self.done += 1;
        let random = Random(self.random.branch(&number.to_string()));
        Some(Round { target: self.target, number, random, watch: self.watch.clone(), steps: VecDeque::new() })
    }

    /// Prints the final progress message, and checks that the memory of the process has not
    /// grown since it was warm.
    pub(crate) fn end(mut self) {
        self.report_progress(true);
        if let (Some(warm), Some(now)) = (self.warm, resident_kib()) {
            let most = 2 * warm + (64 << 10);
            assert!(now <= most, "{}: {now} KiB in memory after {warm} KiB when warm", self.target);
        }
    }

    fn report_progress(&mut self, last: bool) {
        // Other targets of this process run during the first half of this one, or have
        // failed in it.
        let warm_after = self.time.map_or(2 * PROGRESS, |time| time / 2);
        if self.warm.is_none() && self.began.elapsed() > warm_after {
            self.warm = resident_kib();
        }
        if !last && self.reported.elapsed() < PROGRESS {
            return;
        }
        self.reported = Instant::now();
        let [memory, peak] = ["VmRSS:", "VmHWM:"].map(|name| memory_kib(name).unwrap_or_default() >> 10);
        let warm = self.warm.map(|warm| format!(" ({} MiB when warm)", warm >> 10)).unwrap_or_default();
        let state = self.watch.0.lock().unwrap_or_else(PoisonError::into_inner);
        println!(
            "{}: {} rounds, {} steps in {} s; slowest {} ms: {}; {memory} MiB in memory{warm}, peak {peak} MiB",
            self.target,
            self.done,
            state.steps,
            self.began.elapsed().as_secs(),
            state.slowest.0.as_millis(),
            shortened(&state.slowest.1),
        );
    }
}

/// A round. If it fails, it prints its last steps and how to repeat it.
pub(crate) struct Round {
    target: &'static str,
    pub(crate) number: usize,
    pub(crate) random: Random,
    watch: Watch,
    steps: VecDeque<String>,
}

impl Round {
    /// Runs a step. It is timed, and its description `what` is printed if the round fails soon.
    pub(crate) fn step<T>(&mut self, what: String, step: impl FnOnce() -> T) -> T {
        if self.steps.len() == SHOWN_STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(what.clone());
        self.watch.begin(self.number, what);
        let result = step();
        self.watch.end();
        result
    }

    /// Adds a note to the description of the last step.
    pub(crate) fn note(&mut self, what: &str) {
        if let Some(step) = self.steps.back_mut() {
            step.push_str(" -> ");
            step.push_str(what);
        }
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: round {} failed; the last steps:", self.target, self.number);
            for step in &self.steps {
                eprintln!("  {step}");
            }
            eprintln!("{}", replay(self.target, self.number));
        }
    }
}

fn replay(target: &str, round: usize) -> String {
    let seed = seed();
    format!(
        "repeat it with: LANDFALL_SEED={seed} LANDFALL_FUZZ_ROUND={round} cargo test -p tests --test fuzz_smoke {target} -- --nocapture"
    )
}

fn shortened(text: &str) -> &str {
    text.get(..100).unwrap_or(text)
}

/// Time measurement of steps, and a thread that ends the process if a step hangs.
#[derive(Clone)]
struct Watch(Arc<Mutex<Watched>>);

#[derive(Default)]
struct Watched {
    steps: usize,
    now: Option<(Instant, usize, String)>,
    slowest: (Duration, String),
}

impl Watch {
    fn over(target: &'static str) -> Self {
        let watched = Arc::new(Mutex::new(Watched::default()));
        let weak = Arc::downgrade(&watched);
        std::thread::spawn(move || {
            while let Some(watched) = weak.upgrade() {
                let state = watched.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((since, round, what)) = &state.now
                    && since.elapsed() > HANG
                {
                    eprintln!("{target}: round {round} hangs in {what}\n{}", replay(target, *round));
                    // A hanging thread cannot be ended in another way.
                    std::process::exit(101);
                }
                drop(state);
                drop(watched);
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        Self(watched)
    }

    fn begin(&self, round: usize, what: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).now = Some((Instant::now(), round, what));
    }

    fn end(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.steps += 1;
        if let Some((since, _, what)) = state.now.take()
            && since.elapsed() > state.slowest.0
        {
            state.slowest = (since.elapsed(), what);
        }
    }
}

/// Resident memory of the process, if the system reports it.
fn resident_kib() -> Option<usize> {
    memory_kib("VmRSS:")
}

fn memory_kib(name: &str) -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
