//! Figures of a whole fleet, which cannot be computed from the history of one device.

use std::collections::BTreeMap;

use rsp::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    book::RuleBook,
    history::History,
    network::Country,
    rules::{DevicesIn, Rule, RuleId, RuleKind, Scope},
};

/// The figures of a fleet that a decision about one of its devices needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FleetCounts {
    /// Number of devices attached in each country.
    pub in_country: BTreeMap<Country, u32>,
    /// The figures under each rule that is about the fleet.
    pub under_rule: BTreeMap<RuleId, Share>,
}

/// Number of devices that roam where a rule applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FleetShare")]
pub struct Share {
    /// Devices that were attached anywhere in the rule's window with a subscription that the rule
    /// covers.
    pub devices: u32,
    /// Devices that roamed in the rule's window where the rule applies, on as many days as the rule
    /// requires.
    pub roaming: u32,
    /// Those of them that roam now where the rule applies.
    pub staying: u32,
    /// The allowed number of roaming devices; absent for a rule that only applies from a number of
    /// devices on.
    pub allowed: Option<u32>,
    /// Number of days in the window from which on a device has to leave, if more devices stay than
    /// are allowed. The devices with the longest stays leave: as many as exceed the limit, or more if
    /// several devices have equally long stays.
    pub from_days: u32,
}

impl Share {
    /// Share of roaming devices in percent, rounded up.
    pub fn percent(&self) -> u32 {
        let percent = (u64::from(self.roaming) * 100).div_ceil(u64::from(self.devices.max(1)));
        u32::try_from(percent).unwrap_or(u32::MAX)
    }

    /// True if more devices stay than are allowed.
    pub fn is_exceeded(&self) -> bool {
        self.allowed.is_some_and(|allowed| self.staying > allowed)
    }
}

impl FleetCounts {
    /// Number of devices attached in the country.
    pub fn devices_in(&self, country: Country) -> u32 {
        self.in_country.get(&country).copied().unwrap_or(0)
    }

    /// Returns the figures for devices of one account. Under rules that count each account
    /// separately, these are the figures of the account; under all other rules, they are those of
    /// the owner.
    #[must_use]
    pub fn for_account(&self, account: &Self, book: &RuleBook) -> Self {
        let mut counts = self.clone();
        for rule in book.rules().iter().filter(|rule| rule.of == Scope::Account) {
            match account.under_rule.get(&rule.id) {
                Some(share) => counts.under_rule.insert(rule.id.clone(), *share),
                None => counts.under_rule.remove(&rule.id),
            };
        }
        counts
    }
}

/// Counts a fleet, one history after the other.
pub struct Census<'a> {
    now: Timestamp,
    in_country: BTreeMap<Country, u32>,
    tallies: Vec<(&'a Rule, Tally)>,
}

#[derive(Default)]
struct Tally {
    devices: u32,
    roaming: u32,
    /// The devices that count and roam now where the rule applies, counted by the number of days that
    /// each of them has roamed there in the rule's window.
    staying: BTreeMap<u32, u32>,
}

impl<'a> Census<'a> {
    /// An empty count for the rules of the book.
    pub fn new(book: &'a RuleBook, now: Timestamp) -> Self {
        let needs_count = |rule: &&Rule| {
            rule.kind.is_of_fleet() || (rule.devices_in == DevicesIn::Place && rule.min_devices > 1)
        };
        let tallies = book.rules().iter().filter(needs_count).map(|rule| (rule, Tally::default())).collect();
        Self { now, in_country: BTreeMap::new(), tallies }
    }

    /// Adds a device.
    pub fn add(&mut self, history: &History) {
        let now = self.now;
        let present = history.present(now);
        if let Some(present) = present {
            *self.in_country.entry(present.country).or_default() += 1;
        }
        for (rule, tally) in &mut self.tallies {
            // Any other rule in the tally has a minimum number of devices, and counts those that
            // roam now where it applies.
            let window = rule.kind.limit().filter(|_| rule.kind.is_of_fleet()).and_then(|limit| limit.window);
            let window = window.unwrap_or(1);
            tally.devices +=
                u32::from(history.days_of(window, now, |stay| rule.covers_subscription(stay)) > 0);
            let days = history.days_of(window, now, |stay| rule.covers(stay));
            let counts = days >= rule.kind.min_days_of_fleet().unwrap_or(1);
            tally.roaming += u32::from(counts);
            if counts && present.is_some_and(|present| rule.covers(present)) {
                *tally.staying.entry(days).or_default() += 1;
            }
        }
    }

    /// The result.
    pub fn finish(self) -> FleetCounts {
        let under_rule = self.tallies.into_iter().map(|(rule, tally)| (rule.id.clone(), tally.share(rule)));
        FleetCounts { in_country: self.in_country, under_rule: under_rule.collect() }
    }
}

impl Tally {
    fn share(&self, rule: &Rule) -> Share {
        let staying: u32 = self.staying.values().sum();
        let allowed = match rule.kind {
            RuleKind::ShareOfRoaming { max_percent, .. } => {
                u32::try_from(u64::from(self.devices) * u64::from(max_percent) / 100).ok()
            }
            RuleKind::DeviceCount { max_devices, .. } => Some(max_devices),
            _ => None,
        };
        let mut too_many = allowed.map_or(0, |allowed| staying.saturating_sub(allowed));
        let mut from_days = 0;
        for (days, devices) in self.staying.iter().rev() {
            if too_many == 0 {
                break;
            }
            from_days = *days;
            too_many = too_many.saturating_sub(*devices);
        }
        Share { devices: self.devices, roaming: self.roaming, staying, allowed, from_days }
    }
}
