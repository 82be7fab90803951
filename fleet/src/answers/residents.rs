//! Report of residents: countries in which foreign subscriptions are in fact resident.

use std::collections::{BTreeMap, BTreeSet};

use localize::{Country, History, NamedCountry};
use rsp::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::evaluated_fleet::EvaluatedFleet;

/// Definition of a resident device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Residence {
    /// Length of the window in days. The window ends today.
    pub window_days: u32,
    /// Minimum number of days in the window that make a device resident.
    pub threshold_days: u32,
}

impl Default for Residence {
    fn default() -> Self {
        Self { window_days: 90, threshold_days: 30 }
    }
}

/// Subscriptions of one home country in one visited country.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Resident {
    /// The visited country.
    pub country: NamedCountry,
    /// The home country.
    pub home: NamedCountry,
    /// Number of devices with at least one day there.
    pub devices: u32,
    /// Number of resident devices.
    pub resident: u32,
    /// Sum of the days of all resident devices.
    pub days: u64,
    /// The median of the days of the resident devices: half of them have at least this number of
    /// days.
    pub median_days: u32,
    /// The longest uninterrupted stay of a resident device, in days. It may begin before the
    /// window.
    pub longest_stay_days: u32,
    /// Percentage of days on the network that each device used most. A visited network recognises
    /// residents by this figure.
    pub same_network_percent: u32,
}

/// Returns the pairs of countries with foreign devices, those with most resident devices first.
pub fn residents(counted: &EvaluatedFleet<'_>, residence: Residence) -> Vec<Resident> {
    let (now, book) = (counted.conditions.now, counted.conditions.book);
    let mut found: BTreeMap<(Country, Country), Found> = BTreeMap::new();
    for device in counted.fleet.in_service() {
        let history = &device.connection.history;
        let pairs: BTreeSet<_> = history
            .stays()
            .iter()
            .filter(|stay| stay.is_roaming())
            .map(|stay| (stay.country, stay.home))
            .collect();
        for pair in pairs {
            let days = days(history, pair, residence.window_days, now);
            if days.all == 0 {
                continue;
            }
            let found = found.entry(pair).or_default();
            found.devices += 1;
            if days.all >= residence.threshold_days {
                found.residents.push(days);
            }
        }
    }
    let named = |code| NamedCountry { code, name: book.name(code) };
    let mut rows: Vec<Resident> =
        found.into_iter().map(|((country, home), found)| found.row(named(country), named(home))).collect();
    rows.sort_by_key(|row| std::cmp::Reverse((row.resident, row.devices)));
    rows
}

#[derive(Default)]
struct Found {
    devices: u32,
    residents: Vec<Days>,
}

/// Days of one device in one country with subscriptions of one home country.
struct Days {
    all: u32,
    on_one_network: u32,
    in_a_row: u32,
}

fn days(history: &History, (country, home): (Country, Country), window: u32, now: Timestamp) -> Days {
    let there = |stay: &localize::Stay| (stay.country, stay.home) == (country, home);
    let networks: BTreeSet<_> =
        history.stays().iter().filter(|stay| there(stay)).map(|stay| stay.plmn).collect();
    let on = |network| history.days_of(window, now, |stay| there(stay) && stay.plmn == network);
    Days {
        all: history.days_of(window, now, there),
        on_one_network: networks.into_iter().map(on).max().unwrap_or(0),
        in_a_row: history.longest_run_of(now, there),
    }
}

impl Found {
    fn row(mut self, country: NamedCountry, home: NamedCountry) -> Resident {
        self.residents.sort_by_key(|days| days.all);
        let sum = |of: fn(&Days) -> u32| self.residents.iter().map(|days| u64::from(of(days))).sum::<u64>();
        let (days, on_one) = (sum(|days| days.all), sum(|days| days.on_one_network));
        Resident {
            country,
            home,
            devices: self.devices,
            resident: u32::try_from(self.residents.len()).unwrap_or(u32::MAX),
            days,
            median_days: self.residents.get(self.residents.len() / 2).map_or(0, |days| days.all),
            longest_stay_days: self.residents.iter().map(|days| days.in_a_row).max().unwrap_or(0),
            same_network_percent: u32::try_from(on_one * 100 / days.max(1)).unwrap_or(100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_days_of_a_device_are_counted_for_each_network() {
        let mut history = History::default();
        let book = localize::RuleBook::built_in().unwrap();
        let place = |network: &str| book.locate(network.parse().unwrap()).unwrap();
        let at = |day: i64| Timestamp(day * 86_400_000);
        // Three days on one Brazilian network, five on another one, and two in Argentina.
        for (network, day) in [("724-05", 100), ("724-02", 103), ("722-07", 108)] {
            history.observe_with(place(network), place("234-15").into(), at(day)).unwrap();
        }
        history.detached(at(110)).unwrap();
        let pair = ("BR".parse().unwrap(), "GB".parse().unwrap());
        for (window, expected) in [(180, (8, 5, 8)), (9, (7, 5, 8))] {
            let days = days(&history, pair, window, Timestamp(at(110).0 - 1));
            assert_eq!((days.all, days.on_one_network, days.in_a_row), expected, "{window}");
        }
    }

    #[test]
    fn the_figures_of_residents_are_sums_median_and_maximum() {
        let country = |code: &str| NamedCountry { code: code.parse().unwrap(), name: String::new() };
        let days = |(all, on_one_network, in_a_row)| Days { all, on_one_network, in_a_row };
        let residents = [(40, 40, 7), (80, 10, 9), (50, 34, 8)].map(days).into();
        let row = Found { devices: 5, residents }.row(country("BR"), country("DE"));
        assert_eq!((row.devices, row.resident, row.days), (5, 3, 170));
        assert_eq!((row.median_days, row.longest_stay_days), (50, 9));
        assert_eq!(row.same_network_percent, 49, "84 of 170 days");
    }
}
