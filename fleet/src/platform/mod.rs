//! The owner's platform: a party to which devices check in, and which moves them by campaigns.
//!
//! Everything that it knows is in its records. A door commits before it speaks; what is ordered at an SM-DP+ is written down with
//! the identifier of the call before it is asked for, so that whoever starts again asks the same.

mod campaigns;
mod check_in;
mod devices;
mod ending;
mod offer;
mod orders;
mod survey;
mod word;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use localize::{Orderable, Place, RuleBook};
use rsp::{
    ids::{Iccid, Plmn},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use world::{Collection, Event, Events, Fault, Records, World};

use crate::{
    campaign::CampaignId,
    check_in::OrderId,
    counted::{Policies, Question},
    owner::Owner,
    supplier::Supplier,
};

pub use campaigns::{Decided, InCampaign, Planned, Shown, decisions};
pub use devices::Edit;
pub use orders::{Code, ORDERS, ProfileOrder, Step};
pub use word::{Heard, Told};

/// Moves that are under way, by EID: a device has one at most.
pub const MOVES: Collection<Move> = Collection::new("moves");

/// A move that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// Its name.
    pub order: OrderId,
    /// Who wants it.
    pub campaign: CampaignId,
    /// To the profile of this network.
    pub to: Place,
    /// By which profile.
    pub by: By,
    /// The profile to enable again if it fails.
    pub fall_back_to: Option<Iccid>,
    /// Whether the device goes back to where it came from.
    pub rolls_back: bool,
    /// Since when.
    pub begun: Timestamp,
}

/// By which profile a device moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// One that its card holds.
    Held(Iccid),
    /// One that is ordered: the key in [`ORDERS`].
    Ordered(OrderId),
    /// One that its operator brings when it is told to: which, or of which type.
    Operator(Orderable),
}

/// What a platform is made of besides its records.
#[derive(Clone)]
pub struct Setup {
    /// The rules, and which network is where.
    pub book: RuleBook,
    /// The owner's policy and offers.
    pub owner: Owner,
    /// Who brings profiles, by the network of their operator.
    pub suppliers: BTreeMap<Plmn, Supplier>,
    /// How patient it is.
    pub config: Config,
}

/// How patient a platform is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// A device checks in so often at least.
    pub longest: Duration,
    /// And not sooner than this after an answer.
    pub shortest: Duration,
    /// When it comes again if an SM-DP+ is away.
    pub order_again: Duration,
    /// When a device that was told to move comes again if it has nothing to say before.
    pub report_within: Duration,
    /// A move that takes longer is lost.
    pub longest_move: Duration,
    /// A device that was not heard of for longer is unreachable.
    pub silent_after: Duration,
    /// How long an SM-DP+ may take to say that a profile is installed which is.
    pub notified_within: Duration,
    /// How often the fleet is counted, and looked through for devices that are silent.
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

/// The owner's platform. A clone is the same platform.
#[derive(Clone)]
pub struct Platform(Arc<Inner>);

struct Inner {
    records: Arc<dyn Records>,
    world: World,
    events: Arc<dyn Events>,
    setup: Setup,
    surveyed: Mutex<Option<(Timestamp, Arc<Policies>)>>,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Platform {
    /// A platform on these records.
    pub fn new(
        records: impl Records + 'static,
        world: World,
        events: impl Events + 'static,
        setup: Setup,
    ) -> Self {
        let (records, events) = (Arc::new(records), Arc::new(events));
        Self(Arc::new(Inner {
            records,
            world,
            events,
            setup,
            surveyed: Mutex::default(),
            wake: OnceLock::new(),
        }))
    }

    /// The records, for commands that write devices beside the platform.
    pub fn records(&self) -> &dyn Records {
        &*self.0.records
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.world.now()
    }

    fn config(&self) -> Config {
        self.0.setup.config
    }

    /// What every decision is made under, but for the fleet's counts.
    pub(crate) fn question(&self, now: Timestamp) -> Question<'_> {
        let Setup { book, owner, .. } = &self.0.setup;
        Question { now, book, policy: &owner.policy, offers: &owner.offers }
    }

    /// The policy with the fleet's counts, as they were when it was counted last.
    async fn policies(&self) -> Result<Arc<Policies>, Fault> {
        let known = self.0.surveyed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some((_, policies)) => Ok(policies),
            None => self.count().await,
        }
    }

    /// Has this called whenever [`due`](Self::due) has something to do before it said. The first one stays.
    #[must_use]
    pub fn with_waker(self, wake: impl Fn() + Send + Sync + 'static) -> Self {
        let _ = self.0.wake.set(Box::new(wake));
        self
    }

    /// There will be something to do once this is written.
    fn wake_after(&self, tx: &mut world::Tx<'_>) {
        let inner = Arc::clone(&self.0);
        tx.after_commit(move || inner.wake.get().into_iter().for_each(|wake| wake()));
    }

    /// Told once what it is about is written.
    fn teller(&self) -> impl Fn(&mut world::Tx<'_>, Event) + Send + Sync + use<> {
        let events = Arc::clone(&self.0.events);
        move |tx, event| {
            let events = Arc::clone(&events);
            tx.after_commit(move || events.tell(event));
        }
    }
}
