//! A device at rest: what card and device have written down, and a few words.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fleet::{MoveEnded, MoveId, OnCard, RefusedBy};
use localize::{Country, History};
use rsp::ids::{Eid, Iccid, Imsi, Plmn};
use rsp::time::Timestamp;
use world::RamMemory;

use super::cards::CardAt;
use crate::report::Stay;
use faults::{FaultInjector, Power};

/// The networks that are heard at a place, strongest first. Devices at the same place share it.
pub(super) type Hears = Arc<[Plmn]>;

/// A registration, as device and network know it while nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attached {
    pub(super) network: Plmn,
    pub(super) iccid: Iccid,
    pub(super) imsi: Imsi,
    /// The home network of the subscriber: of the profile, or of one of its identities.
    pub(super) home: Plmn,
    /// How often the device looks for its home network from here.
    pub(super) home_search: Option<Duration>,
}

/// A move that the device was told to make.
#[derive(Clone, Debug)]
pub(super) struct Ordered {
    pub(super) order: MoveId,
    pub(super) target: Iccid,
    /// The profile to go back to.
    pub(super) back: Option<Iccid>,
}

/// A move that ended well, as far as a registration tells: nobody has been reached through the new profile yet.
#[derive(Clone, Debug)]
pub(super) struct Unproven {
    pub(super) order: MoveId,
    pub(super) target: Iccid,
    pub(super) back: Iccid,
    /// How often the network carried nothing.
    pub(super) in_vain: u32,
}

/// What a device has come to, for expectations.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) moved: u32,
    pub(super) came_back: u32,
    pub(super) not_installed: u32,
    pub(super) recoveries: u32,
    pub(super) identities: u32,
    pub(super) refusals: u32,
    pub(super) check_ins: u32,
    pub(super) breaches: u32,
    pub(super) octets: u64,
}

/// Why a device is not to be woken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is.
    #[default]
    InService,
    /// Its card is in somebody else's device.
    Stolen,
    /// Its owner has put it out of service.
    Retired,
}

/// A device at rest.
pub(super) struct Resting {
    pub(super) eid: Eid,
    pub(super) group: usize,
    /// From 1, in its group.
    pub(super) number: u32,
    pub(super) card: CardAt,
    pub(super) memory: RamMemory,
    pub(super) hears: Hears,
    pub(super) registered: Option<Attached>,
    /// Since when that is so.
    pub(super) registered_at: Timestamp,
    /// When it looks for its home network, which would take it.
    pub(super) home_search: Option<Timestamp>,
    /// With which profile it was registered last, and as whom.
    pub(super) last_as: Option<(Iccid, Imsi)>,
    /// Counted up with each change of that, so that what was foreseen for the former one is dropped.
    pub(super) epoch: u32,
    /// What the card said when it was asked last.
    pub(super) profiles: Vec<OnCard>,
    /// What is to be on it.
    pub(super) should_have: Vec<Iccid>,
    pub(super) history: History,
    pub(super) stays: Vec<Stay>,
    /// Since when it has power, hears a network and is registered nowhere.
    pub(super) dark_since: Option<Timestamp>,
    pub(super) darkest: Duration,
    pub(super) heard_at: Option<Timestamp>,
    pub(super) lost: bool,
    pub(super) has_power: bool,
    /// Since when it has had nothing to do but to poll its card.
    pub(super) rests_since: Option<Timestamp>,
    /// It had no power, or its move was cut off: it looks what there is to finish.
    pub(super) to_recover: bool,
    pub(super) standing: Standing,
    pub(super) imei_registered_in: BTreeSet<Country>,
    pub(super) ordered: Option<Ordered>,
    pub(super) unproven: Option<Unproven>,
    pub(super) ended: Option<MoveEnded>,
    pub(super) refused: Vec<RefusedBy>,
    pub(super) owes_notifications: bool,
    pub(super) has_news: bool,
    pub(super) check_in_due: Timestamp,
    /// Tries in a row that brought nothing.
    pub(super) fails: u32,
    pub(super) alarm: Option<Timestamp>,
    pub(super) left_preferred: Option<Timestamp>,
    pub(super) is_awake: bool,
    pub(super) again: bool,
    pub(super) power: Option<Power>,
    pub(super) mishaps: Option<FaultInjector>,
    pub(super) wakes: u32,
    pub(super) broken: BTreeSet<String>,
    pub(super) counts: Counts,
}
