//! The fault injector: decides at each occasion which fault happens. An occasion is one use of a
//! wrapped interface, for example a request, a commit, an attach or a short message.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use network::Smsc;
use network::smsc::{Direction, SmsFaultKind};
use tokio::time::Instant;
use world::{Random, SeededRandom};

use super::acts::RadioAct;
use super::catalogue::{Family, FaultId};
use super::fault_spec::FaultSpec;
use super::tampering_peer::TamperingPeer;

/// The faults of a run, or of one device in a run. Clones share their state: an occasion at one
/// wrapper counts for all clones.
///
/// At most one fault happens at each occasion: the first installed one. The occasion also
/// counts for the other faults.
#[derive(Clone)]
pub struct FaultInjector(Arc<Inner>);

struct Inner {
    random: SeededRandom,
    placed: Mutex<Vec<Placed>>,
    tampering_peer: OnceLock<Arc<TamperingPeer>>,
    on_fault: OnceLock<Box<OnFault>>,
}

/// Callback for each fault that happens.
type OnFault = dyn Fn(&FaultSpec) + Send + Sync;

struct Placed {
    spec: FaultSpec,
    since: Instant,
    random: SeededRandom,
    /// Number of occasions at the place of the fault.
    seen: u32,
    /// Number of times that the fault happened.
    injected: u32,
    /// True if the fault does not happen any more.
    is_over: bool,
}

/// A fault that happens now.
#[derive(Clone)]
pub struct InjectedFault {
    spec: FaultSpec,
    random: SeededRandom,
    after: Duration,
}

impl InjectedFault {
    /// The spec of the fault.
    pub fn spec(&self) -> &FaultSpec {
        &self.spec
    }

    pub(super) fn id(&self) -> FaultId {
        self.spec.id()
    }

    pub(super) fn time(&self) -> Duration {
        self.spec.time()
    }

    pub(super) fn number(&self) -> Option<usize> {
        self.spec.number()
    }

    /// Time since the fault was installed.
    pub(super) fn after(&self) -> Duration {
        self.after
    }

    /// Fills a buffer with random octets of this fault.
    pub(super) fn fill(&self, octets: &mut [u8]) {
        self.random.fill(octets);
    }

    /// Returns a random number below `limit`, or 0 if `limit` is 0.
    pub(super) fn below(&self, limit: usize) -> usize {
        let mut octets = [0; 8];
        self.random.fill(&mut octets);
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from(u64::from_be_bytes(octets) % limit).unwrap_or_default()
    }
}

impl InjectedFault {
    /// Returns the octets without their end. The value of the fault is the number that is left.
    pub(super) fn truncate(&self, octets: &Bytes) -> Bytes {
        let left = self.number().unwrap_or(octets.len() / 2);
        octets.slice(..left.min(octets.len()))
    }

    /// Returns the octets with one bit flipped. The value of the fault is the index of the octet.
    pub(super) fn corrupt(&self, octets: &Bytes) -> Bytes {
        let mut octets = octets.to_vec();
        let at = self.number().unwrap_or_else(|| self.below(octets.len()));
        let bit = self.below(8);
        if let Some(octet) = octets.get_mut(at) {
            *octet ^= 1 << bit;
        }
        octets.into()
    }
}

impl FaultInjector {
    /// Creates an injector with these faults, which are installed now. `random` makes the random
    /// decisions.
    pub fn new(random: SeededRandom, faults: impl IntoIterator<Item = FaultSpec>) -> Self {
        let (placed, tampering_peer, on_fault) = (Mutex::default(), OnceLock::new(), OnceLock::new());
        let this = Self(Arc::new(Inner { random, placed, tampering_peer, on_fault }));
        faults.into_iter().for_each(|spec| this.install(spec));
        this
    }

    /// Adds the peer that can make false statements with the keys of the parties. Without it, an
    /// installed false statement never happens.
    ///
    /// Example in front of a server at a socket:
    /// `faults.with_tampering_peer(TamperingPeer::new(pki)).link(server.link())`, where `pki` is
    /// the PKI of the server and the cards. Only the first call has an effect.
    #[must_use]
    pub fn with_tampering_peer(self, tampering_peer: TamperingPeer) -> Self {
        self.0.tampering_peer.get_or_init(|| Arc::new(tampering_peer));
        self
    }

    pub(super) fn tampering_peer(&self) -> Option<Arc<TamperingPeer>> {
        self.0.tampering_peer.get().cloned()
    }

    /// Sets the callback that is called for each fault that happens. Only the first call has an
    /// effect.
    #[must_use]
    pub fn on_fault(self, callback: impl Fn(&FaultSpec) + Send + Sync + 'static) -> Self {
        self.0.on_fault.get_or_init(|| Box::new(callback));
        self
    }

    /// Installs another fault. Earlier occasions do not count for it.
    pub fn install(&self, spec: FaultSpec) {
        let mut placed = self.placed();
        // This name determines the random decisions of a seed, so it must not change.
        let random = self.0.random.branch(&format!("mishap {} {spec}", placed.len()));
        placed.push(Placed { spec, since: Instant::now(), random, seen: 0, injected: 0, is_over: false });
    }

    /// Ends the installed faults of a family. They are still counted in
    /// [`FaultInjector::injected_counts`].
    pub fn end(&self, family: Family) {
        let mut placed = self.placed();
        placed.iter_mut().filter(|placed| placed.spec.id().family() == family).for_each(|placed| {
            placed.is_over = true;
        });
    }

    /// Removes all faults.
    pub fn clear(&self) {
        self.placed().clear();
    }

    /// Every installed fault, with the number of times that it happened.
    pub fn injected_counts(&self) -> Vec<(FaultSpec, u32)> {
        self.placed().iter().map(|placed| (placed.spec.clone(), placed.injected)).collect()
    }

    /// Every installed fault, with the number of occasions at its place, including those at which
    /// it did not happen.
    pub fn occasions(&self) -> Vec<(FaultSpec, u32)> {
        self.placed().iter().map(|placed| (placed.spec.clone(), placed.seen)).collect()
    }

    /// Total number of faults that happened.
    pub fn injected_count(&self) -> u32 {
        self.placed().iter().map(|placed| placed.injected).sum()
    }

    /// Registers an occasion and returns the fault that happens, if any. `concerns` selects the
    /// faults for which this is an occasion.
    pub(super) fn next_fault(&self, concerns: impl Fn(&FaultSpec) -> bool) -> Option<InjectedFault> {
        let mut happens = None;
        for placed in self.placed().iter_mut().filter(|placed| !placed.is_over && concerns(&placed.spec)) {
            placed.seen = placed.seen.saturating_add(1);
            if happens.is_some() {
                continue;
            }
            let after = placed.since.elapsed();
            let mut throw = [0; 2];
            placed.random.fill(&mut throw);
            let percent = u8::try_from(u16::from_be_bytes(throw) % 100).unwrap_or_default();
            let conditions = placed.spec.conditions();
            if conditions.iter().all(|when| when.holds(placed.seen, after, percent)) {
                placed.injected = placed.injected.saturating_add(1);
                happens =
                    Some(InjectedFault { spec: placed.spec.clone(), random: placed.random.clone(), after });
            }
        }
        if let (Some(injected), Some(callback)) = (&happens, self.0.on_fault.get()) {
            callback(injected.spec());
        }
        happens
    }

    /// Makes the SMSC consult this injector for each short message. Faults that are installed later
    /// apply as well.
    pub fn inject_into(&self, centre: &Smsc) {
        let faults = self.clone();
        centre.set_fault_source(move |direction| faults.next_sms_fault(direction));
    }

    fn next_sms_fault(&self, direction: Direction) -> Option<SmsFaultKind> {
        let concerns = |spec: &FaultSpec| matches!(spec.id(), FaultId::Radio(act) if sms_fault(act, spec, direction).is_some());
        let injected = self.next_fault(concerns)?;
        let FaultId::Radio(act) = injected.id() else { return None };
        sms_fault(act, injected.spec(), direction)
    }

    fn placed(&self) -> MutexGuard<'_, Vec<Placed>> {
        self.0.placed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The effect of this fault on a short message in this direction, or `None` if it has no
/// effect.
fn sms_fault(act: RadioAct, spec: &FaultSpec, direction: Direction) -> Option<SmsFaultKind> {
    let kind = match act {
        RadioAct::SmsLose => SmsFaultKind::Lose,
        RadioAct::SmsDelay => SmsFaultKind::Delay(spec.time()),
        RadioAct::SmsDouble => SmsFaultKind::Double,
        // A device gets the result of a submission at once, so there is no report that could be
        // lost.
        RadioAct::SmsLoseAnswer if direction == Direction::ToDevice => SmsFaultKind::LoseAnswer,
        _ => return None,
    };
    let name = match direction {
        Direction::ToDevice => "mt",
        Direction::FromDevice => "mo",
    };
    spec.is_at(&[name]).then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn occasions_are_counted_per_place_and_all_conditions_must_hold() {
        let faults = FaultInjector::new(
            SeededRandom::from_text("mishaps"),
            ["link/reset@ES9+#2-3", "link/empty-body#10s.."].map(|text| text.parse().unwrap()),
        );
        let happens = |here: &'static str| {
            faults.next_fault(|spec| spec.is_at(&[here])).map(|injected| injected.spec().name())
        };
        let names: Vec<_> = ["ES9+", "ES11", "ES9+", "ES11", "ES9+", "ES9+"].map(happens).into();
        assert_eq!(names, [None, None, Some("link/reset"), None, Some("link/reset"), None]);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(happens("ES11"), Some("link/empty-body"));
        assert_eq!(faults.injected_counts().iter().map(|(_, times)| *times).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(faults.injected_count(), 3);
        faults.clear();
        assert_eq!(happens("ES9+"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn short_messages_are_counted_per_direction() {
        let faults = FaultInjector::new(
            SeededRandom::from_text("messages"),
            ["radio/sms-lose@mt#2", "radio/sms-lose-answer#2-", "radio/sms-delay=5m@mo#1"]
                .map(|text| text.parse().unwrap()),
        );
        let to_device: Vec<_> = (0..3).map(|_| faults.next_sms_fault(Direction::ToDevice)).collect();
        assert_eq!(to_device, [None, Some(SmsFaultKind::Lose), Some(SmsFaultKind::LoseAnswer)]);
        let from_device = [(); 2].map(|()| faults.next_sms_fault(Direction::FromDevice));
        assert_eq!(from_device, [Some(SmsFaultKind::Delay(Duration::from_secs(300))), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn random_decisions_follow_from_the_seed() {
        let throws = |seed: &str| -> Vec<bool> {
            let faults =
                FaultInjector::new(SeededRandom::from_text(seed), ["link/reset#30%".parse().unwrap()]);
            (0..200).map(|_| faults.next_fault(|_| true).is_some()).collect()
        };
        let first = throws("7");
        let times = first.iter().filter(|happens| **happens).count();
        assert!((40..=80).contains(&times), "{times} of 200");
        assert_eq!(first, throws("7"));
        assert_ne!(first, throws("8"));
    }
}
