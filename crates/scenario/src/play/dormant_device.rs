//! A dormant device: its state while it does nothing, kept small so that a run can have many
//! devices.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fleet::{CardProfile, MoveEnded, MoveId, RefusedBy};
use localize::{Country, Day, History, Permit};
use rsp::ids::{Eid, Iccid, Imsi, Plmn};
use rsp::time::Timestamp;
use testbed::fault_places::EimPlace;
use world::RamMemory;

use super::cards::CardAt;
use crate::report::Stay;
use faults::{FaultInjector, Power};

/// The networks with coverage at a place, strongest first. Devices at the same place share the
/// list.
pub(super) type Hears = Arc<[Plmn]>;

/// A registration, as the device and the network store it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attached {
    pub(super) network: Plmn,
    pub(super) iccid: Iccid,
    pub(super) imsi: Imsi,
    /// The home network of the subscription, which is that of the profile or of one of its
    /// identities.
    pub(super) home: Plmn,
    /// The interval at which the device searches for its home network.
    pub(super) home_search: Option<Duration>,
}

/// A move that the platform has instructed.
#[derive(Clone, Debug)]
pub(super) struct Ordered {
    pub(super) order: MoveId,
    pub(super) target: Iccid,
    /// The profile to which the device returns if the move fails.
    pub(super) back: Option<Iccid>,
}

/// A move after which the device is registered, but has not reached a server yet.
#[derive(Clone, Debug)]
pub(super) struct Unproven {
    pub(super) order: MoveId,
    pub(super) target: Iccid,
    pub(super) back: Iccid,
    /// Number of attempts in which the network transported no packets.
    pub(super) failed_attempts: u32,
}

/// Counters of a device, for expectations.
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

/// The service state of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ServiceState {
    /// The device is in service.
    #[default]
    InService,
    /// Its card is in the device of a thief.
    Stolen,
    /// The owner has retired it.
    Retired,
}

/// A dormant device.
pub(super) struct DormantDevice {
    pub(super) eid: Eid,
    pub(super) group: usize,
    /// The number in its group, counted from 1.
    pub(super) number: u32,
    pub(super) card: CardAt,
    /// The eIM at which orders for the device are placed, if it is an IoT device.
    pub(super) eim: EimPlace,
    pub(super) memory: RamMemory,
    pub(super) hears: Hears,
    /// The profiles as the card reported them last.
    pub(super) profiles: Vec<CardProfile>,
    /// The profiles that must be on the card.
    pub(super) expected_profiles: Vec<Iccid>,
    pub(super) service_state: ServiceState,
    pub(super) left_preferred: Option<Timestamp>,
    pub(super) faults: Option<FaultInjector>,
    pub(super) counts: Counts,
    pub(super) service: Service,
    pub(super) contact: PlatformContact,
    pub(super) activity: Activity,
    pub(super) stay_log: StayLog,
}

/// The registration of a device, and its periods without service.
pub(super) struct Service {
    pub(super) registered: Option<Attached>,
    /// Time of the registration.
    pub(super) registered_at: Timestamp,
    /// Time of the next search for the home network, if that network could accept the device.
    pub(super) home_search: Option<Timestamp>,
    /// The profile and the IMSI of the latest registration.
    pub(super) last_as: Option<(Iccid, Imsi)>,
    /// Incremented with each change of the registration. Events for an earlier epoch are ignored.
    pub(super) epoch: u32,
    /// Start of the current period without service, in which the device has power and coverage but
    /// no registration.
    pub(super) without_service_since: Option<Timestamp>,
    pub(super) longest_without_service: Duration,
    pub(super) lost: bool,
}

/// The exchange of a device with its platform.
pub(super) struct PlatformContact {
    pub(super) heard_at: Option<Timestamp>,
    pub(super) ordered: Option<Ordered>,
    pub(super) unproven: Option<Unproven>,
    pub(super) ended: Option<MoveEnded>,
    pub(super) refused: Vec<RefusedBy>,
    pub(super) has_pending_notifications: bool,
    pub(super) must_check_in: bool,
    pub(super) check_in_due: Timestamp,
    /// Number of consecutive failed attempts.
    pub(super) failures: u32,
}

/// The power supply of a device and its wake-ups.
pub(super) struct Activity {
    pub(super) has_power: bool,
    /// Start of the period in which the device has done nothing but poll its card.
    pub(super) rests_since: Option<Timestamp>,
    /// True if the device must recover, because it had no power or a move was interrupted.
    pub(super) must_recover: bool,
    pub(super) alarm: Option<Timestamp>,
    pub(super) is_awake: bool,
    pub(super) again: bool,
    pub(super) power: Option<Power>,
    pub(super) wakes: u32,
}

/// The stays of a device, to which the rules apply.
pub(super) struct StayLog {
    pub(super) history: History,
    pub(super) stays: Vec<Stay>,
    pub(super) imei_registered_in: BTreeSet<Country>,
    pub(super) permits: BTreeSet<Permit>,
    /// The day of the last change of owner.
    pub(super) owner_since: Option<Day>,
    pub(super) broken_rules: BTreeSet<String>,
}
