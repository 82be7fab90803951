//! The owner's platform: devices check in, and campaigns move them.
//!
//! The platform keeps its whole state in its records. A handler commits before it replies. A call to an SM-DP+ is
//! recorded with its identifier before it is sent, so that the platform repeats the same call after
//! a restart.

mod campaigns;
mod check_in;
mod devices;
mod download_progress;
mod moving;
mod offer;
mod orders;
mod rules;
mod survey;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use localize::RuleBook;
use rsp::{ids::Plmn, time::Timestamp};
use rsp_server::api::{EventLog, Waits, WatchedRecords};
use world::{Event, Events, Fault, Records, World};

use crate::{
    evaluated_fleet::{Conditions, Policies},
    owner::Owner,
    supplier::Supplier,
};

pub use campaigns::{CampaignDetails, CampaignDevice, DeviceDecision, PlannedMove, decisions};
pub use devices::Edit;
pub use download_progress::Processed;
pub use rules::NewRules;

/// The configuration of a platform.
#[derive(Clone)]
pub struct Setup {
    /// The rule book, which also locates networks.
    pub book: RuleBook,
    /// The owner's policy and offers.
    pub owner: Owner,
    /// Suppliers of profiles by the network of their operator.
    pub suppliers: BTreeMap<Plmn, Supplier>,
    /// Time limits.
    pub config: Config,
}

/// Time limits of a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Maximum interval between check-ins of a device.
    pub longest: Duration,
    /// Minimum interval between check-ins of a device.
    pub shortest: Duration,
    /// Interval until the next check-in if an SM-DP+ is unreachable.
    pub order_again: Duration,
    /// Interval until the next check-in of a device with a move, if it has nothing to
    /// report earlier.
    pub report_within: Duration,
    /// Time after which a move counts as lost.
    pub longest_move: Duration,
    /// Time without a check-in after which a device counts as unreachable.
    pub silent_after: Duration,
    /// Time in which an SM-DP+ has to report that an installed profile is installed.
    pub notified_within: Duration,
    /// Interval between surveys, which count the fleet and look for silent devices.
    pub survey_every: Duration,
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

impl Default for Config {
    fn default() -> Self {
        Self {
            longest: DAY,
            shortest: Duration::from_secs(60),
            order_again: Duration::from_secs(900),
            report_within: HOUR,
            longest_move: DAY * 2,
            silent_after: DAY * 7,
            notified_within: DAY,
            survey_every: DAY,
        }
    }
}

/// The owner's platform. Clones share its state.
#[derive(Clone)]
pub struct Platform(Arc<Inner>);

struct Inner {
    records: Arc<dyn Records>,
    world: World,
    events: Arc<EventLog>,
    /// The requests to the API that wait for a change.
    waits: Arc<Waits>,
    setup: Setup,
    rules: Mutex<Rules>,
    keep_rules: OnceLock<Box<KeepRules>>,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// The rule book in use, and the result of the last survey under it.
struct Rules {
    book: Arc<RuleBook>,
    surveyed: Option<(Timestamp, Arc<RulesInForce>)>,
}

/// The rule book, and the owner's policy with the fleet's counts under it. A check-in uses one
/// snapshot from its start to its end.
pub(crate) struct RulesInForce {
    pub(crate) book: Arc<RuleBook>,
    pub(crate) policies: Policies,
}

/// Keeps the text of new rules, durably, so that the platform has them after a restart.
type KeepRules = dyn Fn(&str) -> Result<(), Fault> + Send + Sync;

impl Platform {
    /// Returns a platform on these records.
    pub fn new(
        records: impl Records + 'static,
        world: World,
        events: impl Events + 'static,
        setup: Setup,
    ) -> Self {
        let waits = Arc::<Waits>::default();
        let rules = Rules { book: Arc::new(setup.book.clone()), surveyed: None };
        let events = Arc::new(EventLog::over(Arc::new(events), Arc::clone(&waits)));
        let records = Arc::new(WatchedRecords::new(Arc::new(records), Arc::clone(&waits)));
        Self(Arc::new(Inner {
            records,
            world,
            events,
            waits,
            setup,
            rules: Mutex::new(rules),
            keep_rules: OnceLock::new(),
            wake: OnceLock::new(),
        }))
    }

    /// The records, for commands that change devices without the platform.
    pub fn records(&self) -> &dyn Records {
        &*self.0.records
    }

    /// The latest events.
    pub(crate) fn log(&self) -> &EventLog {
        &self.0.events
    }

    /// The requests to the API that wait for a change.
    pub(crate) fn waits(&self) -> &Waits {
        &self.0.waits
    }

    /// Ends the requests to the API that wait, so that the server can stop.
    pub fn end_waits(&self) {
        self.0.waits.end();
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.world.now()
    }

    fn config(&self) -> Config {
        self.0.setup.config
    }

    /// The conditions of all decisions under a rule book, except for the fleet's counts.
    pub(crate) fn conditions<'a>(&'a self, book: &'a RuleBook, now: Timestamp) -> Conditions<'a> {
        let owner = &self.0.setup.owner;
        Conditions { now, book, policy: &owner.policy, offers: &owner.offers }
    }

    /// The rule book in use.
    pub(crate) fn book(&self) -> Arc<RuleBook> {
        Arc::clone(&self.rules().book)
    }

    /// The book in which networks are looked up. An update of the rules does not change the
    /// networks.
    fn networks(&self) -> &RuleBook {
        &self.0.setup.book
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.0.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the rules in use, with the policy and the fleet's counts from the last survey.
    async fn in_force(&self) -> Result<Arc<RulesInForce>, Fault> {
        let known = self.rules().surveyed.clone();
        match known {
            Some((_, in_force)) => Ok(in_force),
            None => self.count().await,
        }
    }

    /// Registers the function that keeps the text of new rules. It is called before the rules are
    /// used. Without it, an [update of the rules](Self::update_rules) is refused. Only the first
    /// registration counts.
    #[must_use]
    pub fn with_rules_kept_by(
        self,
        keep: impl Fn(&str) -> Result<(), Fault> + Send + Sync + 'static,
    ) -> Self {
        let _ = self.0.keep_rules.set(Box::new(keep));
        self
    }

    /// Registers a callback. It is called when there is work for [`due`](Self::due) before the time
    /// that `due` last returned. Only the first registration counts.
    #[must_use]
    pub fn with_waker(self, wake: impl Fn() + Send + Sync + 'static) -> Self {
        let _ = self.0.wake.set(Box::new(wake));
        self
    }

    /// Calls the waker after the commit.
    fn wake_after(&self, tx: &mut world::Tx<'_>) {
        let inner = Arc::clone(&self.0);
        tx.after_commit(move || inner.wake.get().into_iter().for_each(|wake| wake()));
    }

    /// Returns a function that reports an event after the commit.
    fn reporter(&self) -> impl Fn(&mut world::Tx<'_>, Event) + Send + Sync + use<> {
        let events = Arc::clone(&self.0.events);
        move |tx, event| {
            let events = Arc::clone(&events);
            tx.after_commit(move || events.emit(event));
        }
    }
}
