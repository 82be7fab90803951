//! CSV import and export of devices and stays. docs/fleet.md describes the columns with examples.
//!
//! `devices.csv` has one row per device. Only `eid` is mandatory; a missing column leaves the
//! recorded value unchanged. `stays.csv` has one row per stay and replaces all stays of the devices
//! that it names. If only the present network is known, the columns `network`, `home` and `since`
//! of `devices.csv` are enough.

mod cells;
mod export;
mod merge;
mod read;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use localize::{
    Bandwidth, Country, Criticality, Day, HeldProfile, Home, Identity, Latency, Permit, Place, Refused, Stay,
};
use rsp::{ids::Eid, time::Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::state::State;

pub use export::{Exported, export};
pub(crate) use merge::{Merged, merge};
pub use read::{read_devices, read_stays};

/// Exported columns of `devices.csv`, each with a description of its cells.
pub const DEVICE_COLUMNS: &[(&str, &str)] = &[
    ("eid", "32 digits; the only mandatory column"),
    ("label", "the owner's name for the device"),
    ("group", "the group of the device"),
    ("model", "the model of the device"),
    ("account", "the account that pays for its subscriptions"),
    ("criticality", "low, normal or high; empty: normal"),
    ("bandwidth", "low, medium or high; empty: low"),
    ("latency", "relaxed, interactive or tight; empty: relaxed"),
    ("profiles", "profiles on the card: ICCID, home network, role, state; separated by ;"),
    ("identities", "home networks of the identities in its multi-IMSI applet, separated by blanks"),
    ("imei_registered_in", "countries, separated by blanks"),
    ("permits", "facts that fulfil requirements of rules, such as sim_registration SA; separated by ;"),
    ("owner_since", "the day on which the present owner got the device; empty: no change of owner"),
    ("swap_requested", "the day on which a swap of the profile was requested; empty: none is under way"),
    ("usage_kb", "kilobytes in the last 30 days"),
    ("last_seen", "a date, or date and time"),
    ("state", "working, or an exported state; empty: working; ignored while the device is moving"),
    ("moved", "number of successful moves"),
    ("came_back", "number of moves that ended on the former profile"),
    ("not_installed", "number of moves for which no profile was installed"),
    ("lost", "number of moves after which the device was unreachable"),
    ("refused", "networks that refused the device: network, time and cause; separated by ;"),
];

/// Optional import columns of `devices.csv` that describe the present stay.
pub const PRESENT_COLUMNS: &[(&str, &str)] = &[
    ("network", "the network of the device now; empty: unknown"),
    ("home", "the home of the subscription in use: a network or a country"),
    ("since", "start of the stay; a date, or date and time"),
    ("imei", "the IMEI of the equipment in this stay; empty: unknown"),
];

/// Columns of `stays.csv`, all mandatory except the last one.
pub const STAY_COLUMNS: &[(&str, &str)] = &[
    ("eid", "32 digits"),
    ("network", "the visited network"),
    ("home", "the home of the subscription in use: a network or a country"),
    ("from", "start of the stay; a date, or date and time"),
    ("until", "end of the stay, in the same form; empty while it lasts"),
    ("imei", "the IMEI of the equipment; empty: unknown"),
];

/// Columns of `trails.csv`, which is only exported.
pub const TRAIL_COLUMNS: &[(&str, &str)] = &[("eid", "32 digits"), ("at", "the time"), ("what", "the event")];

/// A row that was rejected.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct BadRow {
    /// The file.
    pub file: Box<str>,
    /// The line, counted from 1.
    pub line: u64,
    /// The column, if the error concerns a single one.
    pub column: Option<&'static str>,
    /// The error.
    pub what: String,
    /// The correction.
    pub next: String,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", self.file, self.line)?;
        if let Some(column) = self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": {}; {}", self.what, self.next)
    }
}

/// The rows that were read, and the rejected ones.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    devices: Vec<DeviceRow>,
    stays: BTreeMap<Eid, Vec<StayRow>>,
    /// Rejected rows.
    pub bad: Vec<BadRow>,
    /// The observer of the import, if there is one.
    pub observer: Option<Observer>,
}

/// A stage of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Rows of a file are read.
    Reading,
    /// Devices are compared with the records.
    Comparing,
    /// Changed devices are written.
    Writing,
}

/// A function that is called with the stage of an import and the number of completed rows or
/// devices. If a conflict repeats the transaction, the number starts again.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(Stage, usize) + Send + Sync>);

impl Observer {
    /// Creates an observer that calls this function.
    pub fn new(observe: impl Fn(Stage, usize) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer(..)")
    }
}

impl Rows {
    pub(crate) fn observe(&self, stage: Stage, done: usize) {
        if let Some(Observer(observe)) = &self.observer {
            observe(stage, done);
        }
    }

    /// Number of devices that the rows name.
    pub fn devices(&self) -> usize {
        self.devices.len()
    }
}

/// A row of `devices.csv`. A missing column is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct DeviceRow {
    file: Box<str>,
    line: u64,
    eid: Eid,
    label: Option<Box<str>>,
    group: Option<Box<str>>,
    model: Option<Box<str>>,
    account: Option<Box<str>>,
    criticality: Option<Criticality>,
    bandwidth: Option<Bandwidth>,
    latency: Option<Latency>,
    profiles: Option<Vec<HeldProfile>>,
    identities: Option<Vec<Identity>>,
    imei_registered_in: Option<Vec<Country>>,
    permits: Option<BTreeSet<Permit>>,
    owner_since: Option<Option<Day>>,
    swap_requested: Option<Option<Day>>,
    usage_kb: Option<Option<u32>>,
    last_seen: Option<Option<Timestamp>>,
    state: Option<State>,
    moved: Option<u32>,
    came_back: Option<u32>,
    not_installed: Option<u32>,
    lost: Option<u32>,
    refused: Option<Vec<Refused>>,
    present: Option<(Place, Home, Timestamp)>,
}

#[derive(Clone, Debug)]
struct StayRow {
    file: Box<str>,
    line: u64,
    stay: Stay,
}

/// The result of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Imported {
    /// Number of new devices.
    pub added: usize,
    /// Number of devices whose records changed.
    pub changed: usize,
    /// Number of devices whose records did not change.
    pub unchanged: usize,
    /// Rejected rows.
    pub bad: Vec<BadRow>,
}
