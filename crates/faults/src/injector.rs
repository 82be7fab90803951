//! The fault injector: decides at each occasion which fault happens.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use network::Smsc;
use network::smsc::{Direction, SmsFaultKind};
use tokio::time::Instant;
use world::{Dice, SeededDice};

use super::catalogue::FaultId;
use super::{FaultSpec, TamperingPeer};

/// The faults of a run, or of one device in a run. Clones share their state: an occasion at one
/// wrapper counts for all clones.
///
/// At most one fault happens at each occasion: the first installed one. The occasion also
/// counts for the other faults.
#[derive(Clone)]
pub struct FaultInjector(Arc<Inner>);

struct Inner {
    dice: SeededDice,
    placed: Mutex<Vec<Placed>>,
    liar: OnceLock<Arc<TamperingPeer>>,
    told: OnceLock<Box<Told>>,
}

/// Callback for each fault that happens.
type Told = dyn Fn(&FaultSpec) + Send + Sync;

struct Placed {
    mishap: FaultSpec,
    since: Instant,
    dice: SeededDice,
    /// Number of occasions at the place of the fault.
    seen: u32,
    /// Number of times that the fault happened.
    struck: u32,
}

/// A fault that happens now.
#[derive(Clone)]
pub struct Struck {
    mishap: FaultSpec,
    dice: SeededDice,
    after: Duration,
}

impl Struck {
    /// The spec of the fault.
    pub fn mishap(&self) -> &FaultSpec {
        &self.mishap
    }

    pub(super) fn id(&self) -> FaultId {
        self.mishap.id()
    }

    pub(super) fn time(&self) -> Duration {
        self.mishap.time()
    }

    pub(super) fn number(&self) -> Option<usize> {
        self.mishap.number()
    }

    /// Time since the fault was installed.
    pub(super) fn after(&self) -> Duration {
        self.after
    }

    /// Fills a buffer with random octets of this fault.
    pub(super) fn fill(&self, octets: &mut [u8]) {
        self.dice.fill(octets);
    }

    /// Returns a random number below `limit`, or 0 if `limit` is 0.
    pub(super) fn below(&self, limit: usize) -> usize {
        let mut octets = [0; 8];
        self.dice.fill(&mut octets);
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from(u64::from_be_bytes(octets) % limit).unwrap_or_default()
    }
}

impl FaultInjector {
    /// Creates an injector with these faults, which are installed now. `dice` makes the random
    /// decisions.
    pub fn new(dice: SeededDice, mishaps: impl IntoIterator<Item = FaultSpec>) -> Self {
        let (placed, liar, told) = (Mutex::default(), OnceLock::new(), OnceLock::new());
        let this = Self(Arc::new(Inner { dice, placed, liar, told }));
        mishaps.into_iter().for_each(|mishap| this.put(mishap));
        this
    }

    /// Adds the peer that can make false statements with the keys of the parties. Without it, an
    /// installed lie never happens.
    ///
    /// Example in front of a server at a socket:
    /// `faults.with_liar(TamperingPeer::new(pki)).link(server.link())`, where `pki` is the PKI of
    /// the server and the cards. Only the first call has an effect.
    #[must_use]
    pub fn with_liar(self, liar: TamperingPeer) -> Self {
        self.0.liar.get_or_init(|| Arc::new(liar));
        self
    }

    pub(super) fn liar(&self) -> Option<Arc<TamperingPeer>> {
        self.0.liar.get().cloned()
    }

    /// Sets the callback that is called for each fault that happens. Only the first call has an
    /// effect.
    #[must_use]
    pub fn telling(self, tell: impl Fn(&FaultSpec) + Send + Sync + 'static) -> Self {
        self.0.told.get_or_init(|| Box::new(tell));
        self
    }

    /// Installs another fault, from now on.
    pub fn put(&self, mishap: FaultSpec) {
        let mut placed = self.placed();
        let dice = self.0.dice.branch(&format!("mishap {} {mishap}", placed.len()));
        placed.push(Placed { mishap, since: Instant::now(), dice, seen: 0, struck: 0 });
    }

    /// Removes all faults.
    pub fn clear(&self) {
        self.placed().clear();
    }

    /// Every installed fault, with the number of times that it happened.
    pub fn struck(&self) -> Vec<(FaultSpec, u32)> {
        self.placed().iter().map(|placed| (placed.mishap.clone(), placed.struck)).collect()
    }

    /// Every installed fault, with the number of occasions at its place, including those at which
    /// it did not happen.
    pub fn occasions(&self) -> Vec<(FaultSpec, u32)> {
        self.placed().iter().map(|placed| (placed.mishap.clone(), placed.seen)).collect()
    }

    /// Total number of faults that happened.
    pub fn strikes(&self) -> u32 {
        self.placed().iter().map(|placed| placed.struck).sum()
    }

    /// Registers an occasion and returns the fault that happens, if any. `concerns` selects the
    /// faults for which this is an occasion.
    pub(super) fn strike(&self, concerns: impl Fn(&FaultSpec) -> bool) -> Option<Struck> {
        let mut happens = None;
        for placed in self.placed().iter_mut().filter(|placed| concerns(&placed.mishap)) {
            placed.seen = placed.seen.saturating_add(1);
            if happens.is_some() {
                continue;
            }
            let after = placed.since.elapsed();
            let mut throw = [0; 2];
            placed.dice.fill(&mut throw);
            let percent = u8::try_from(u16::from_be_bytes(throw) % 100).unwrap_or_default();
            let conditions = placed.mishap.conditions();
            if conditions.iter().all(|when| when.holds(placed.seen, after, percent)) {
                placed.struck = placed.struck.saturating_add(1);
                happens = Some(Struck { mishap: placed.mishap.clone(), dice: placed.dice.clone(), after });
            }
        }
        if let (Some(struck), Some(tell)) = (&happens, self.0.told.get()) {
            tell(struck.mishap());
        }
        happens
    }

    /// Makes the SMSC consult this injector for each short message. Faults that are installed later
    /// apply as well.
    pub fn inject_into(&self, centre: &Smsc) {
        let mishaps = self.clone();
        centre.ask_of_each(move |direction| mishaps.strike_short_message(direction));
    }

    fn strike_short_message(&self, direction: Direction) -> Option<SmsFaultKind> {
        let concerns = |mishap: &FaultSpec| matches!(mishap.id(), FaultId::Radio(act) if act.of_short_message(mishap, direction).is_some());
        let struck = self.strike(concerns)?;
        let FaultId::Radio(act) = struck.id() else { return None };
        act.of_short_message(struck.mishap(), direction)
    }

    fn placed(&self) -> MutexGuard<'_, Vec<Placed>> {
        self.0.placed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn occasions_are_counted_per_place_and_all_conditions_must_hold() {
        let mishaps = FaultInjector::new(
            SeededDice::from_text("mishaps"),
            ["link/reset@ES9+#2-3", "link/empty-body#10s.."].map(|text| text.parse().unwrap()),
        );
        let happens = |here: &'static str| {
            mishaps.strike(|mishap| mishap.is_at(&[here])).map(|struck| struck.mishap().name())
        };
        let names: Vec<_> = ["ES9+", "ES11", "ES9+", "ES11", "ES9+", "ES9+"].map(happens).into();
        assert_eq!(names, [None, None, Some("link/reset"), None, Some("link/reset"), None]);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(happens("ES11"), Some("link/empty-body"));
        assert_eq!(mishaps.struck().iter().map(|(_, times)| *times).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(mishaps.strikes(), 3);
        mishaps.clear();
        assert_eq!(happens("ES9+"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn short_messages_are_counted_per_direction() {
        let mishaps = FaultInjector::new(
            SeededDice::from_text("messages"),
            ["radio/sms-lose@mt#2", "radio/sms-lose-answer#2-", "radio/sms-delay=5m@mo#1"]
                .map(|text| text.parse().unwrap()),
        );
        let to_device: Vec<_> = (0..3).map(|_| mishaps.strike_short_message(Direction::ToDevice)).collect();
        assert_eq!(to_device, [None, Some(SmsFaultKind::Lose), Some(SmsFaultKind::LoseAnswer)]);
        let from_device = [(); 2].map(|()| mishaps.strike_short_message(Direction::FromDevice));
        assert_eq!(from_device, [Some(SmsFaultKind::Delay(Duration::from_secs(300))), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn random_decisions_follow_from_the_seed() {
        let throws = |seed: &str| -> Vec<bool> {
            let mishaps =
                FaultInjector::new(SeededDice::from_text(seed), ["link/reset#30%".parse().unwrap()]);
            (0..200).map(|_| mishaps.strike(|_| true).is_some()).collect()
        };
        let first = throws("7");
        let times = first.iter().filter(|happens| **happens).count();
        assert!((40..=80).contains(&times), "{times} of 200");
        assert_eq!(first, throws("7"));
        assert_ne!(first, throws("8"));
    }
}
