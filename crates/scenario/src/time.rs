//! Virtual time: a run in one thread, on tokio's clock, which is paused and jumps to whatever is due next.
//!
//! The same seed gives the same events, byte for byte, whatever the machine. Two things keep it so: every party throws
//! [dice of its own](Simulation::world), and what waits for several things at once says in which order it looks at them
//! (`biased` in `tokio::select!`, whose own dice no seed reaches).

use rsp::time::Timestamp;
use tokio::runtime::{Builder, Handle};
use world::{Fault, SeededDice, TokioClock, World};

/// A run in virtual time, as those who are in it see it. A clone is the same run.
#[derive(Clone)]
pub struct Simulation {
    seed: String,
    clock: TokioClock,
    dice: SeededDice,
}

impl Simulation {
    /// The seed, which with the same program and input gives the same run.
    pub fn seed(&self) -> &str {
        &self.seed
    }

    /// The clock of everybody.
    pub fn clock(&self) -> TokioClock {
        self.clock
    }

    /// Dice of this name: they follow from the seed and the name alone, so that nobody's throws depend on who runs first.
    pub fn dice(&self, name: &str) -> SeededDice {
        self.dice.branch(name)
    }

    /// Clock and dice of one party.
    pub fn world(&self, party: &str) -> World {
        World::new(self.clock, self.dice(party))
    }
}

/// Runs `story` in virtual time that begins at `start`; what it has spawned ends with it.
///
/// ```
/// # use std::time::Duration;
/// # use world::Clock;
/// let start = "2026-11-21T08:00:00Z".parse().unwrap();
/// let end = scenario::time::run("7", start, async |simulation| {
///     tokio::time::sleep(Duration::from_secs(365 * 86_400)).await;
///     simulation.clock().now()
/// });
/// assert_eq!(end.unwrap().to_string(), "2027-11-21T08:00:00Z");
/// ```
///
/// # Errors
/// It was called from asynchronous code, which has a time of its own; or no runtime can be made.
pub fn run<T>(seed: &str, start: Timestamp, story: impl AsyncFnOnce(Simulation) -> T) -> Result<T, Fault> {
    let cannot = "cannot run in virtual time";
    if Handle::try_current().is_ok() {
        return Err(Fault::new(
            cannot,
            "it was asked for within a runtime that has its own time",
            "run it in a thread of its own",
        ));
    }
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime =
        runtime.map_err(|why| Fault::caused_by(why, cannot, "free some memory or threads, and try again"))?;
    Ok(runtime.block_on(async {
        let dice = SeededDice::from_text(seed);
        story(Simulation { seed: seed.to_owned(), clock: TokioClock::starting(start), dice }).await
    }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;
    use world::{Event, Events, MemoryEvents};

    use super::*;

    const START: Timestamp = Timestamp(1_795_000_000_000);

    /// Three parties that each wait as their dice say, for a year; what they tell.
    fn a_year(seed: &str) -> String {
        let events = MemoryEvents::default();
        run(seed, START, async |simulation| {
            let parties = ["a", "b", "c"].map(|name| {
                let (world, events) = (simulation.world(name), events.clone());
                tokio::spawn(async move {
                    while world.now() < START.plus(Duration::from_secs(365 * 86_400)) {
                        let [wait] = world.random();
                        sleep(Duration::from_secs(3600 * u64::from(wait))).await;
                        events.tell(Event::new(world.now(), name, "woke").with_note(wait.to_string()));
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
    fn the_same_seed_gives_the_same_events_byte_for_byte_and_a_year_passes_in_a_moment() {
        let first = a_year("7");
        assert!(first.matches("woke").count() > 100, "{first}");
        assert_eq!(first, a_year("7"));
        assert_ne!(first, a_year("8"));
    }

    #[tokio::test]
    async fn within_a_runtime_it_says_what_to_do() {
        let fault = run("7", START, async |_| ()).unwrap_err();
        assert!(fault.next.contains("thread of its own"), "{fault}");
    }
}
