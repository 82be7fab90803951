//! Report of recovery: the cost of failed moves and of devices that cannot be repaired remotely.

use std::collections::{BTreeMap, BTreeSet};

use localize::{Country, Criticality, Role};
use rsp::ids::Eid;
use schemars::JsonSchema;
use serde::Serialize;

use super::who_must_move;
use crate::{
    costs::{Costs, Money},
    device::{Device, Fleet, Selection},
    evaluated_fleet::EvaluatedFleet,
    state::State,
};

/// Basis of the probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "basis", rename_all = "snake_case")]
pub enum Basis {
    /// An assumption.
    Assumed,
    /// The recorded results of the fleet's own moves.
    Record {
        /// Number of moves that ended.
        ended: u64,
    },
}

/// Probabilities of failed moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Chances {
    /// Of a million moves, the number that end on the former profile, with the new profile installed
    /// or not, and are retried.
    pub came_back_ppm: u32,
    /// Of a million moves, the number after which the device is unreachable and needs a site visit.
    pub lost_ppm: u32,
    /// Basis of these numbers.
    #[serde(flatten)]
    pub basis: Basis,
}

impl Default for Chances {
    /// Assumes that one move in fifty ends on the former profile, and that after one move in a
    /// thousand the device is unreachable.
    fn default() -> Self {
        Self { came_back_ppm: 20_000, lost_ppm: 1000, basis: Basis::Assumed }
    }
}

impl Chances {
    /// Minimum number of ended moves. Fewer moves are no basis for the probability of rare failures.
    pub const MIN_RECORD: u64 = 100;

    /// Returns the probabilities from the fleet's recorded moves, or `None` if too few have ended.
    pub fn of_record(fleet: &Fleet) -> Option<Self> {
        let sum =
            |of: fn(&Device) -> u32| fleet.devices().iter().map(|device| u64::from(of(device))).sum::<u64>();
        let ended = sum(|device| device.tally.ended());
        let ppm = |number: u64| u32::try_from(number * 1_000_000 / ended.max(1)).unwrap_or(u32::MAX);
        (ended >= Self::MIN_RECORD).then(|| Self {
            came_back_ppm: ppm(sum(|device| {
                device.tally.came_back.saturating_add(device.tally.not_installed)
            })),
            lost_ppm: ppm(sum(|device| device.tally.lost)),
            basis: Basis::Record { ended },
        })
    }
}

/// Devices of one criticality in one country.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RecoveryRow {
    /// Last known country.
    pub country: Option<Country>,
    /// Criticality of the devices.
    pub criticality: Criticality,
    /// Number of devices that move.
    pub moving: u32,
    /// Number of moving devices without a bootstrap profile. If their move fails, there is no
    /// certain fallback.
    pub without_way_back: u32,
    /// Number of devices that are unreachable or stuck already.
    pub silent: u32,
    /// Expected moves that come back and are retried, in thousandths.
    pub retries_milli: u64,
    /// Expected site visits in thousandths, including those to silent devices.
    pub visits_milli: u64,
    /// Days until a technician is on site.
    pub days: u32,
    /// Expected cost of retries and visits.
    pub money: Money,
    /// Cost if every device needs a visit.
    pub worst: Money,
}

/// Cost of recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Recovery {
    /// Assumed probabilities of failures.
    #[serde(flatten)]
    pub chances: Chances,
    /// Rows by criticality, highest first, then by country.
    pub rows: Vec<RecoveryRow>,
    /// Expected cost of all rows.
    pub money: Money,
    /// Cost if every device needs a visit.
    pub worst: Money,
    /// Currency of the costs.
    pub currency: String,
}

/// Returns the cost of recovery for the selected devices that move within this number of days, and
/// for those that are unreachable or stuck. `each` is the cost of one move.
pub fn recovery(
    counted: &EvaluatedFleet<'_>,
    selection: &Selection,
    within: Option<u32>,
    costs: &Costs,
    chances: Chances,
    each: Money,
) -> Recovery {
    let now = counted.conditions.now;
    let moving: BTreeSet<Eid> =
        who_must_move(counted, selection, within).by_profile.into_iter().map(|device| device.eid).collect();
    let mut groups: BTreeMap<(std::cmp::Reverse<Criticality>, Option<Country>), RecoveryRow> =
        BTreeMap::new();
    for device in counted.fleet.in_service().filter(|device| selection.has(device, now)) {
        let is_silent = matches!(device.state, State::Unreachable { .. } | State::Stuck { .. });
        let moves = moving.contains(&device.eid) && !is_silent;
        if !is_silent && !moves {
            continue;
        }
        let country = device.connection.history.stays().last().map(|stay| stay.country);
        let criticality = device.connection.needs.criticality;
        let row = groups.entry((std::cmp::Reverse(criticality), country)).or_insert_with(|| RecoveryRow {
            country,
            criticality,
            moving: 0,
            without_way_back: 0,
            silent: 0,
            retries_milli: 0,
            visits_milli: 0,
            days: 0,
            money: Money(0),
            worst: Money(0),
        });
        row.moving += u32::from(moves);
        row.silent += u32::from(is_silent);
        let has_way_back = device.connection.held.iter().any(|held| held.role == Role::Bootstrap);
        row.without_way_back += u32::from(moves && !has_way_back);
    }
    let mut rows: Vec<RecoveryRow> = groups.into_values().collect();
    rows.iter_mut().for_each(|row| row.compute(costs, chances, each));
    let sum = |of: fn(&RecoveryRow) -> Money| rows.iter().map(of).fold(Money(0), Money::plus);
    let (money, worst) = (sum(|row| row.money), sum(|row| row.worst));
    Recovery { chances, rows, money, worst, currency: costs.currency.clone() }
}

impl RecoveryRow {
    fn compute(&mut self, costs: &Costs, chances: Chances, each: Money) {
        let visit = costs.visit(self.country);
        let milli = |ppm: u32| u64::from(self.moving) * u64::from(ppm) / 1000;
        self.days = visit.days;
        self.retries_milli = milli(chances.came_back_ppm);
        self.visits_milli = milli(chances.lost_ppm) + u64::from(self.silent) * 1000;
        let visits = visit.price.times(self.visits_milli, 1000);
        self.money = each.times(self.retries_milli, 1000).plus(visits);
        self.worst = visit.price.times(u64::from(self.moving) + u64::from(self.silent), 1);
    }
}

#[cfg(test)]
mod tests {
    use localize::{Policy, RuleBook};
    use rsp::time::Timestamp;

    use super::*;
    use crate::{device::Fleet, evaluated_fleet::Conditions};

    const BAN: &str = "[[rule]]\nid = \"ban\"\nnetworks = [\"724-05\"]\nkind = \"banned\"\n\
                       effective = \"2026-12-01\"\nsource = \"s\"\nreviewed = \"2026-11-22\"\n\
                       confidence = \"high\"\n";

    #[test]
    fn the_cost_of_recovery_equals_a_manual_calculation() {
        let costs = Costs::built_in().unwrap();
        let (book, policy) = (RuleBook::parse(BAN).unwrap(), Policy::default());
        let now: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
        let place = |plmn: &str| book.locate(plmn.parse().unwrap()).unwrap();
        let device = |number: usize| {
            let mut device = Device::new(Eid::with_check_digits(&format!("{:030}", 89 + number)).unwrap());
            let history = &mut device.connection.history;
            history.observe_with(place("724-05"), place("234-15").into(), Timestamp(now.0 - 60_000)).unwrap();
            if number < 2 {
                device.state = State::Unreachable { since: now };
            }
            device
        };
        let fleet = Fleet::new((0..60).map(device).collect());
        let counted =
            EvaluatedFleet::new(&fleet, Conditions { now, book: &book, policy: &policy, offers: &[] });
        let chances =
            Chances { came_back_ppm: 100_000, lost_ppm: 50_000, basis: Basis::Record { ended: 100 } };
        let all = recovery(&counted, &Selection::default(), None, &costs, chances, Money(3_000_000));
        let [row] = all.rows.as_slice() else { panic!("{:?}", all.rows) };
        assert_eq!((row.moving, row.without_way_back, row.silent), (58, 58, 2));
        // A tenth of 58 moves is retried; a twentieth needs a visit, as do both silent devices.
        assert_eq!((row.retries_milli, row.visits_milli), (5800, 2900 + 2000));
        let visit = costs.visit(row.country).price;
        assert_eq!(row.money, Money(3_000_000 * 58 / 10 + visit.0 * 49 / 10));
        assert_eq!(row.worst, Money(visit.0 * 60));
        assert_eq!((all.money, all.worst), (row.money, row.worst));
    }
}
