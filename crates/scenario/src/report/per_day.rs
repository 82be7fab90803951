//! Numbers for each day of a run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The plots of a run: for each, numbers by name and day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Days {
    /// Devices attached to each network at the end of the day; `none` is a network too.
    pub devices_by_network: PerDay,
    /// Devices with a subscription of each operator in use at the end of the day, by its home network; `none` is not registered.
    pub devices_by_subscription: PerDay,
    /// Devices in each country at the end of the day.
    pub devices_by_country: PerDay,
    /// Devices in each state of the platform's records at the end of the day.
    pub devices_by_state: PerDay,
    /// Moves that ended on the day, by how.
    pub moves: PerDay,
    /// Faults that struck on the day, by name and place.
    pub faults: PerDay,
    /// Millionths of the currency spent on the day, by bearer.
    pub spent: PerDay,
}

/// Numbers by name and day. A list that ends before the run does ends with zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PerDay(BTreeMap<String, Vec<u64>>);

/// Ten years: a day far out is a mistake that shall not fill the memory.
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

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
