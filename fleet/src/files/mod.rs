//! CSV files: devices, and stays. docs/fleet.md has the columns with examples.
//!
//! `devices.csv` has a row a device; only `eid` must be there, and what a column does not say stays as it is in the records.
//! `stays.csv` has a row a stay: a device that is in it has these stays and no others. Where the present network is all that is
//! known, the columns `network`, `home` and `since` of `devices.csv` do.

mod cells;
mod export;
mod merge;
mod read;

use std::{collections::BTreeMap, fmt};

use localize::{Bandwidth, Country, Criticality, HeldProfile, Home, Identity, Latency, Place, Refused, Stay};
use rsp::{ids::Eid, time::Timestamp};
use serde::Serialize;

use crate::state::State;

pub use export::{Exported, export};
pub(crate) use merge::merge;
pub use read::{read_devices, read_stays};

/// The columns of `devices.csv`, as they are exported, with what a cell holds.
pub const DEVICE_COLUMNS: &[(&str, &str)] = &[
    ("eid", "32 digits; the only column that must be there"),
    ("label", "what the owner calls the device"),
    ("group", "what it belongs to"),
    ("model", "what it is"),
    ("account", "by which account its subscriptions are paid"),
    ("criticality", "low, normal or high; empty: normal"),
    ("bandwidth", "low, medium or high; empty: low"),
    ("latency", "relaxed, interactive or tight; empty: relaxed"),
    ("profiles", "what the card holds: ICCID, home network, role, state; several with ; between them"),
    ("identities", "home networks of the identities in its multi-IMSI applet, with blanks between them"),
    ("imei_registered_in", "countries, with blanks between them"),
    ("usage_kb", "kilobytes in the last 30 days"),
    ("last_seen", "a date, or date and time"),
    ("state", "working, or as it was exported; empty: working"),
    ("moved", "how many moves have succeeded"),
    ("came_back", "how many have ended on the profile before"),
    ("lost", "how many have ended with a device out of reach"),
    ("refused", "networks that did not take it: network and time; several with ; between them"),
];

/// Columns that `devices.csv` may have besides: the present stay.
pub const PRESENT_COLUMNS: &[(&str, &str)] = &[
    ("network", "where the device is now; empty: not known"),
    ("home", "the home of the subscription in use: a network or a country"),
    ("since", "since when; a date, or date and time"),
];

/// The columns of `stays.csv`. All must be there.
pub const STAY_COLUMNS: &[(&str, &str)] = &[
    ("eid", "32 digits"),
    ("network", "where"),
    ("home", "the home of the subscription in use: a network or a country"),
    ("from", "a date, or date and time"),
    ("until", "likewise; empty while it lasts"),
];

/// The columns of `trails.csv`, which is written and not read.
pub const TRAIL_COLUMNS: &[(&str, &str)] = &[("eid", "32 digits"), ("at", "when"), ("what", "what happened")];

/// A row that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadRow {
    /// In which file.
    pub file: Box<str>,
    /// In which line, counted from 1.
    pub line: u64,
    /// In which column, if it is about one.
    pub column: Option<&'static str>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
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

/// What the files say: good rows, and what is wrong with the others.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    devices: Vec<DeviceRow>,
    stays: BTreeMap<Eid, Vec<StayRow>>,
    /// Rows that cannot be taken.
    pub bad: Vec<BadRow>,
}

/// What a row says of a device; what it does not say is none.
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
    usage_kb: Option<Option<u32>>,
    last_seen: Option<Option<Timestamp>>,
    state: Option<State>,
    moved: Option<u32>,
    came_back: Option<u32>,
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

/// What an import came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Devices that were not in the records.
    pub added: usize,
    /// Devices of which the files say something new.
    pub changed: usize,
    /// Devices of which they say what the records say.
    pub unchanged: usize,
    /// Rows that were left out.
    pub bad: Vec<BadRow>,
}
