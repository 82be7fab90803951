//! Report of markets: the countries in which devices must move, and by when.

use std::collections::BTreeMap;

use localize::{Country, Day, Decision, NamedCountry};
use rsp::ids::Plmn;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    device::Device,
    evaluated_fleet::{EvaluatedFleet, strategy_row},
};

/// A country in which devices must or should leave their foreign subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Market {
    /// The country.
    pub country: NamedCountry,
    /// Number of devices in the country.
    pub devices: u32,
    /// Number of roaming devices among them.
    pub roaming: u32,
    /// Number of roaming devices that break a rule within the horizon if they stay.
    pub must_move: u32,
    /// Number of devices that already break a rule.
    pub broken: u32,
    /// Day of the first breach. Absent if only the owner's strategy moves devices.
    pub first: Option<Day>,
    /// Day of the last breach within the horizon.
    pub last: Option<Day>,
    /// Number of devices that only the owner's strategy moves.
    pub by_strategy: u32,
    /// Number of devices with a local profile or identity on the card.
    pub ready: u32,
    /// Number of devices that have to move and have no destination.
    pub stuck: u32,
    /// Number of devices to which each row of the strategy applies.
    pub rows: BTreeMap<String, u32>,
    /// Networks whose profiles can be ordered.
    pub offers: Vec<Plmn>,
}

/// Returns the countries in which devices move because of the strategy, or because of a rule within
/// this number of days (without a limit if `None`). The earliest breach comes first.
pub fn markets(counted: &EvaluatedFleet<'_>, within: Option<u32>) -> Vec<Market> {
    let ahead = counted.ahead(within.unwrap_or(u32::MAX));
    let mut found: BTreeMap<Country, Market> = BTreeMap::new();
    for device in counted.fleet.in_service() {
        let Some(country) = device.country(counted.conditions.now) else { continue };
        found.entry(country).or_insert_with(|| market(counted, country)).count(&ahead, device);
    }
    let mut rows: Vec<Market> =
        found.into_values().filter(|market| market.must_move + market.by_strategy > 0).collect();
    rows.sort_by_key(|market| (market.first.is_none(), market.first, market.country.code));
    rows
}

fn market(counted: &EvaluatedFleet<'_>, country: Country) -> Market {
    let offers = counted.conditions.offers.iter().map(|offer| offer.operator);
    let mut offers: Vec<Plmn> =
        offers.filter(|place| place.country == country).map(|place| place.plmn).collect();
    offers.sort_unstable();
    offers.dedup();
    Market {
        country: NamedCountry { code: country, name: counted.conditions.book.name(country) },
        devices: 0,
        roaming: 0,
        must_move: 0,
        broken: 0,
        first: None,
        last: None,
        by_strategy: 0,
        ready: 0,
        stuck: 0,
        rows: BTreeMap::new(),
        offers,
    }
}

impl Market {
    fn count(&mut self, ahead: &EvaluatedFleet<'_>, device: &Device) {
        let now = ahead.conditions.now;
        self.devices += 1;
        if !device.connection.history.present(now).is_some_and(localize::Stay::is_roaming) {
            return;
        }
        self.roaming += 1;
        let decision = ahead.decide(device);
        if let Some(row) = strategy_row(&decision) {
            *self.rows.entry(row).or_default() += 1;
        }
        let deadline = earliest_deadline(&decision);
        match (&decision, deadline) {
            (_, Some(deadline)) => {
                self.must_move += 1;
                self.broken += u32::from(deadline <= now);
                let day = Day::of(deadline);
                self.first = Some(self.first.map_or(day, |first| first.min(day)));
                self.last = Some(self.last.map_or(day, |last| last.max(day)));
            }
            (Decision::Move { .. }, None) => self.by_strategy += 1,
            _ => {}
        }
        self.stuck += u32::from(matches!(decision, Decision::Stuck { .. }));
        let at_home = |place: localize::Place| place.country == self.country.code;
        let held = device.connection.held.iter().any(|held| at_home(held.home));
        let identity = device.connection.identities.iter().any(|identity| at_home(identity.operator));
        self.ready += u32::from(held || identity);
    }
}

/// The earliest deadline of a rule, regardless of the decision.
pub(super) fn earliest_deadline(decision: &Decision) -> Option<rsp::time::Timestamp> {
    let deadlines = decision.reasons().iter().filter_map(|reason| match reason {
        localize::Reason::Rule(finding) if finding.status != localize::Status::Clear => {
            Some(finding.deadline)
        }
        _ => None,
    });
    deadlines.min()
}
