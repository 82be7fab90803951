//! Latency of each function as its callers see it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;

use crate::output::Table;

/// Latencies by function, collected from concurrent tasks. Clones share their data.
#[derive(Clone, Debug, Default)]
pub struct Figures(Arc<Mutex<Vec<(String, Samples)>>>);

#[derive(Clone, Debug)]
struct Samples {
    done: Vec<Duration>,
    errors: usize,
    first: Instant,
    last: Instant,
}

/// Statistics of one function. Latencies are those of successful calls; those of errors are not
/// meaningful.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Interface and function, such as `ES9+.AuthenticateClient`.
    pub function: String,
    /// Number of successful calls.
    pub count: usize,
    /// Number of refused or unanswered calls.
    pub errors: usize,
    /// Minimum.
    pub min_ms: f64,
    /// Median.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Maximum.
    pub max_ms: f64,
    /// Successful calls per second, from the start of the first call to the end of the last.
    pub per_second: f64,
}

impl Figures {
    /// Records a call that started at `began` and ended now.
    pub fn note(&self, function: &str, began: Instant, is_done: bool) {
        self.add(function, began, is_done.then(|| began.elapsed()));
    }

    /// Records a call that started at `began` and took the duration `took`.
    pub fn note_duration(&self, function: &str, began: Instant, took: Duration) {
        self.add(function, began, Some(took));
    }

    fn add(&self, function: &str, began: Instant, took: Option<Duration>) {
        let last = Instant::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Samples { done: Vec::new(), errors: 0, first: began, last };
        let position = all.iter().position(|(name, _)| name == function).unwrap_or_else(|| {
            all.push((function.to_owned(), new()));
            all.len() - 1
        });
        let Some((_, samples)) = all.get_mut(position) else { return };
        samples.first = samples.first.min(began);
        samples.last = samples.last.max(last);
        match took {
            Some(took) => samples.done.push(took),
            None => samples.errors += 1,
        }
    }

    /// Returns one row per function, in the order of their first calls.
    pub fn rows(&self) -> Vec<Row> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(name, samples)| samples.row(name))
            .collect()
    }
}

impl Samples {
    fn row(&self, function: &str) -> Row {
        let mut sorted = self.done.clone();
        sorted.sort_unstable();
        let at = |percent: usize| millis(percentile(&sorted, percent));
        let span = self.last.duration_since(self.first).as_secs_f64();
        let count = sorted.len();
        Row {
            function: function.to_owned(),
            count,
            errors: self.errors,
            min_ms: at(0),
            p50_ms: at(50),
            p90_ms: at(90),
            p99_ms: at(99),
            max_ms: at(100),
            #[allow(clippy::cast_precision_loss, reason = "the number of calls is far below 2^53")]
            per_second: if span > 0.0 { count as f64 / span } else { 0.0 },
        }
    }
}

/// Returns the percentile by nearest rank, or zero for an empty list.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

fn millis(duration: Duration) -> f64 {
    // Rounded to microseconds.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Returns the rows as a text table.
pub fn table(rows: &[Row]) -> String {
    let mut table = Table::new(&[
        "function", "count", "errors", "min ms", "p50 ms", "p90 ms", "p99 ms", "max ms", "per s",
    ]);
    for row in rows {
        let cells = [row.min_ms, row.p50_ms, row.p90_ms, row.p99_ms, row.max_ms, row.per_second];
        let counts = [row.function.clone(), row.count.to_string(), row.errors.to_string()];
        table.row(counts.into_iter().chain(cells.iter().map(|cell| format!("{cell:.1}"))));
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_use_the_nearest_rank() {
        let sorted: Vec<Duration> = (1..=10).map(Duration::from_millis).collect();
        let at = |percent| percentile(&sorted, percent).as_millis();
        assert_eq!([at(0), at(50), at(51), at(90), at(99), at(100)], [1, 5, 6, 9, 10, 10]);
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn errors_are_counted_and_not_timed() {
        let figures = Figures::default();
        let began = Instant::now();
        tokio::time::advance(Duration::from_millis(40)).await;
        figures.note("ES9+.X", began, true);
        tokio::time::advance(Duration::from_millis(460)).await;
        figures.note("ES9+.X", began, false);
        let [row] = &figures.rows()[..] else { panic!("expected one function") };
        assert_eq!((row.count, row.errors, row.max_ms, row.per_second), (1, 1, 40.0, 2.0));
        let table = table(&figures.rows());
        let cells: Vec<_> = table.lines().last().unwrap_or_default().split_whitespace().collect();
        assert_eq!(cells, ["ES9+.X", "1", "1", "40.0", "40.0", "40.0", "40.0", "40.0", "2.0"]);
    }
}
