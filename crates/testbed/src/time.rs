//! Virtual time: a run in one thread, on the paused clock of tokio, which advances to the next due
//! timer.
//!
//! The same seed gives the same events, byte for byte, on every machine. This needs two rules.
//! Every party has [its own random numbers](Simulation::world). And code that waits for several
//! futures at once polls them in a fixed order (`biased` in `tokio::select!`, because its own
//! random order does not depend on the seed).

use rsp::time::Timestamp;
use tokio::runtime::{Builder, Handle};
use world::{Fault, SeededRandom, TokioClock, World};

/// A run in virtual time. Clones refer to the same run.
#[derive(Clone)]
pub struct Simulation {
    seed: String,
    clock: TokioClock,
    random: SeededRandom,
}

impl Simulation {
    /// The seed. The same program, input and seed give the same run.
    pub fn seed(&self) -> &str {
        &self.seed
    }

    /// The clock of all parties.
    pub fn clock(&self) -> TokioClock {
        self.clock
    }

    /// A random number generator with this name. It depends only on the seed and the name, not on
    /// the order in which the parties run.
    pub fn random(&self, name: &str) -> SeededRandom {
        self.random.branch(name)
    }

    /// The clock and the random number generator of one party.
    pub fn world(&self, party: &str) -> World {
        World::new(self.clock, self.random(party))
    }
}

/// Runs `simulated` in virtual time that starts at `start`. Tasks that it has spawned end with it.
///
/// ```
/// # use std::time::Duration;
/// # use world::Clock;
/// let start = "2026-11-21T08:00:00Z".parse().unwrap();
/// let end = testbed::time::run("7", start, async |simulation| {
///     tokio::time::sleep(Duration::from_secs(365 * 86_400)).await;
///     simulation.clock().now()
/// });
/// assert_eq!(end.unwrap().to_string(), "2027-11-21T08:00:00Z");
/// ```
///
/// # Errors
/// The function was called from asynchronous code, which has its own time, or no runtime can be
/// created.
pub fn run<T>(
    seed: &str,
    start: Timestamp,
    simulated: impl AsyncFnOnce(Simulation) -> T,
) -> Result<T, Fault> {
    let cannot = "cannot run in virtual time";
    if Handle::try_current().is_ok() {
        return Err(Fault::new(
            cannot,
            "the caller is asynchronous code, which has its own time",
            "call it from a thread of its own",
        ));
    }
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime =
        runtime.map_err(|why| Fault::caused_by(why, cannot, "free some memory or threads, and try again"))?;
    Ok(runtime.block_on(async {
        let random = SeededRandom::from_text(seed);
        simulated(Simulation { seed: seed.to_owned(), clock: TokioClock::starting(start), random }).await
    }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;
    use world::{Event, Events, MemoryEvents};

    use super::*;

    const START: Timestamp = Timestamp(1_795_000_000_000);

    /// Runs three parties for a year, which wait for random times, and returns their events.
    fn a_year(seed: &str) -> String {
        let events = MemoryEvents::default();
        run(seed, START, async |simulation| {
            let parties = ["a", "b", "c"].map(|name| {
                let (world, events) = (simulation.world(name), events.clone());
                tokio::spawn(async move {
                    while world.now() < START.plus(Duration::from_secs(365 * 86_400)) {
                        let [wait] = world.random();
                        sleep(Duration::from_secs(3600 * u64::from(wait))).await;
                        events.emit(Event::new(world.now(), name, "woke").with_note(wait.to_string()));
                    }
                })
            });
            for party in parties {
                party.await.unwrap();
            }
        })
        .unwrap();
        serde_json::to_string(&events.all()).unwrap()
    }

    #[test]
    fn the_same_seed_gives_the_same_events() {
        let first = a_year("7");
        assert!(first.matches("woke").count() > 100, "{first}");
        assert_eq!(first, a_year("7"));
        assert_ne!(first, a_year("8"));
    }

    #[tokio::test]
    async fn a_call_from_asynchronous_code_is_refused() {
        let fault = run("7", START, async |_| ()).unwrap_err();
        assert!(fault.next.contains("thread of its own"), "{fault}");
    }
}
