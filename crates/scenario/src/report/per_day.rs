//! Numbers for each day of a run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The data of the plots of a run: numbers by name and day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Days {
    /// Devices attached to each network at the end of the day. `none` counts devices that are not
    /// attached.
    pub devices_by_network: PerDay,
    /// Devices by home network of the subscription in use at the end of the day. `none` counts
    /// devices that are not registered.
    pub devices_by_subscription: PerDay,
    /// Devices in each country at the end of the day.
    pub devices_by_country: PerDay,
    /// Devices by their state in the platform's records at the end of the day.
    pub devices_by_state: PerDay,
    /// Moves that ended on the day, by result.
    pub moves: PerDay,
    /// Faults that happened on the day, by name and place.
    pub faults: PerDay,
    /// Millionths of the currency spent on the day, by bearer.
    pub spent: PerDay,
}

/// Numbers by name and day. Missing days at the end of a list count as zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PerDay(BTreeMap<String, Vec<u64>>);

/// Ten years. A later day is an error, which must not exhaust the memory.
const LONGEST: usize = 3660;

impl PerDay {
    /// Adds to the number of a day of the run, counted from 0.
    pub fn add(&mut self, name: &str, day: usize, number: u64) {
        let day = day.min(LONGEST);
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), Vec::new());
        }
        let Some(values) = self.0.get_mut(name) else { return };
        if values.len() <= day {
            values.resize(day + 1, 0);
        }
        if let Some(value) = values.get_mut(day) {
            *value = value.saturating_add(number);
        }
    }

    /// The numbers of each name, from day 0.
    pub fn lines(&self) -> impl Iterator<Item = (&str, &[u64])> {
        self.0.iter().map(|(name, values)| (name.as_str(), values.as_slice()))
    }

    /// True if nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
