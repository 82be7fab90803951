//! What it costs when moves fail and devices cannot be repaired from afar.

use std::collections::{BTreeMap, BTreeSet};

use localize::{Country, Criticality, Role};
use rsp::ids::Eid;
use serde::Serialize;

use super::who_must_move;
use crate::{
    costs::{Costs, Money},
    counted::Counted,
    device::{Device, Fleet, Selection},
    state::State,
};

/// Where the chances come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "basis", rename_all = "snake_case")]
pub enum Basis {
    /// Somebody has assumed them.
    Assumed,
    /// From how the fleet's own moves have ended.
    Record {
        /// How many have.
        ended: u64,
    },
}

/// How likely it is that a move fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Chances {
    /// Of a million moves, those that end on the profile before; they are tried again.
    pub came_back_ppm: u32,
    /// Of a million moves, those that end with a device out of reach; somebody goes there.
    pub lost_ppm: u32,
    /// Where that comes from.
    #[serde(flatten)]
    pub basis: Basis,
}

impl Default for Chances {
    /// One in fifty comes back, one in a thousand is lost: an assumption.
    fn default() -> Self {
        Self { came_back_ppm: 20_000, lost_ppm: 1000, basis: Basis::Assumed }
    }
}

impl Chances {
    /// Fewer moves say little about seldom failures.
    pub const MIN_RECORD: u64 = 100;

    /// From how the fleet's own moves have ended; none if too few have.
    pub fn of_record(fleet: &Fleet) -> Option<Self> {
        let sum =
            |of: fn(&Device) -> u32| fleet.devices().iter().map(|device| u64::from(of(device))).sum::<u64>();
        let ended = sum(|device| device.tally.ended());
        let ppm = |number: u64| u32::try_from(number * 1_000_000 / ended.max(1)).unwrap_or(u32::MAX);
        (ended >= Self::MIN_RECORD).then(|| Self {
            came_back_ppm: ppm(sum(|device| device.tally.came_back)),
            lost_ppm: ppm(sum(|device| device.tally.lost)),
            basis: Basis::Record { ended },
        })
    }
}

/// Devices of one criticality in one country.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecoveryRow {
    /// Where they were last.
    pub country: Option<Country>,
    /// What it means when one is out of reach.
    pub criticality: Criticality,
    /// Those that move.
    pub moving: u32,
    /// Those of them without a bootstrap profile: a failed move has no sure way back.
    pub without_way_back: u32,
    /// Those that are out of reach or stuck already.
    pub silent: u32,
    /// Expected moves that come back and are tried again, in thousandths.
    pub retries_milli: u64,
    /// Expected visits, the silent ones included, in thousandths.
    pub visits_milli: u64,
    /// How long it takes until somebody is there.
    pub days: u32,
    /// What retries and visits cost.
    pub money: Money,
    /// What it costs if somebody has to go to each of them.
    pub worst: Money,
}

/// What recovery costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// How likely failures are taken to be.
    #[serde(flatten)]
    pub chances: Chances,
    /// The most critical first, then by country.
    pub rows: Vec<RecoveryRow>,
    /// Expected, of all.
    pub money: Money,
    /// If somebody has to go to each device.
    pub worst: Money,
    /// In which currency.
    pub currency: String,
}

/// What recovery costs for the selected devices that move within so many days, and for those that are out of reach or stuck.
/// `each` is what one move costs.
pub fn recovery(
    counted: &Counted<'_>,
    selection: &Selection,
    within: Option<u32>,
    costs: &Costs,
    chances: Chances,
    each: Money,
) -> Recovery {
    let now = counted.question.now;
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
    rows.iter_mut().for_each(|row| row.reckon(costs, chances, each));
    let sum = |of: fn(&RecoveryRow) -> Money| rows.iter().map(of).fold(Money(0), Money::plus);
    let (money, worst) = (sum(|row| row.money), sum(|row| row.worst));
    Recovery { chances, rows, money, worst, currency: costs.currency.clone() }
}

impl RecoveryRow {
    fn reckon(&mut self, costs: &Costs, chances: Chances, each: Money) {
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
