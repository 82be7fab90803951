//! Merging of CSV rows into device records.

use std::collections::{BTreeMap, BTreeSet};

use localize::{Day, History};
use rsp::{ids::Eid, time::Timestamp};

use super::{BadRow, DeviceRow, Imported, Rows, Stage, StayRow};
use crate::{
    device::Device,
    state::{DeviceEvent, State},
};

/// The result of a merge: devices to write, and the import report.
pub(crate) struct Merged {
    pub(crate) changed: Vec<Device>,
    pub(crate) imported: Imported,
}

/// Merges rows into the known devices.
pub(crate) fn merge(mut known: BTreeMap<Eid, Device>, rows: &Rows, now: Timestamp) -> Merged {
    let mut merged =
        Merged { changed: Vec::new(), imported: Imported { bad: rows.bad.clone(), ..Imported::default() } };
    let mut in_devices = BTreeSet::new();
    for (done, row) in (1..).zip(&rows.devices) {
        rows.observe(Stage::Comparing, done);
        in_devices.insert(row.eid);
        let stays = rows.stays.get(&row.eid).map_or(&[][..], Vec::as_slice);
        merged.device(known.remove(&row.eid), row.eid, Some(row), stays, now);
    }
    for (eid, stays) in rows.stays.iter().filter(|(eid, _)| !in_devices.contains(eid)) {
        match known.remove(eid) {
            Some(device) => merged.device(Some(device), *eid, None, stays, now),
            None => merged.imported.bad.extend(stays.iter().map(|stay| BadRow {
                file: stay.file.clone(),
                line: stay.line,
                column: Some("eid"),
                what: format!("device {eid} is neither in the records nor in devices.csv"),
                next: "add the device to devices.csv".into(),
            })),
        }
    }
    merged.imported.bad.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    merged
}

impl Merged {
    fn device(
        &mut self,
        known: Option<Device>,
        eid: Eid,
        row: Option<&DeviceRow>,
        stays: &[StayRow],
        now: Timestamp,
    ) {
        let is_new = known.is_none();
        let before = known.unwrap_or_else(|| Device::new(eid));
        let mut device = before.clone();
        let mut bad = Vec::new();
        if !stays.is_empty() {
            match history(stays) {
                Ok(history) => device.connection.history = history,
                Err(refused) => bad.push(refused),
            }
        }
        bad.extend(stays.iter().filter_map(|stay| stay_in_the_future(stay, now)));
        if let Some(row) = row {
            bad.extend(row_in_the_future(row, now));
            bad.extend(retired_while_moving(&before, row));
            apply(&mut device, row);
            bad.extend(observe(&mut device.connection.history, row).err());
        }
        match bad.is_empty() {
            true if device == before && !is_new => self.imported.unchanged += 1,
            true => {
                let event = if is_new { DeviceEvent::Added } else { DeviceEvent::Changed };
                *(if is_new { &mut self.imported.added } else { &mut self.imported.changed }) += 1;
                device.trail.push(now, event);
                self.changed.push(device);
            }
            false => self.imported.bad.extend(bad),
        }
    }
}

/// Returns an error if the row retires a device that has an open move, which the platform must end
/// first.
fn retired_while_moving(device: &Device, row: &DeviceRow) -> Option<BadRow> {
    let is_retired = matches!(row.state, Some(State::Retired { .. }));
    (is_retired && matches!(device.state, State::Moving { .. })).then(|| BadRow {
        file: row.file.clone(),
        line: row.line,
        column: Some("state"),
        what: format!("device {} is moving", device.eid),
        next: "retire it with `landfall fleet retire`".into(),
    })
}

/// Returns an error if the row has a time in the future.
fn row_in_the_future(row: &DeviceRow, now: Timestamp) -> Option<BadRow> {
    let since = row.present.map(|(_, _, since)| ("since", since));
    let last_seen = row.last_seen.flatten().map(|at| ("last_seen", at));
    let started = |day: Option<Option<Day>>| day.flatten().map(Day::start);
    let owner_since = started(row.owner_since).map(|at| ("owner_since", at));
    let swap_requested = started(row.swap_requested).map(|at| ("swap_requested", at));
    let (column, at) =
        [since, last_seen, owner_since, swap_requested].into_iter().flatten().find(|(_, at)| *at > now)?;
    Some(in_the_future((&row.file, row.line), column, at))
}

/// Returns an error if the stay has a time in the future.
fn stay_in_the_future(row: &StayRow, now: Timestamp) -> Option<BadRow> {
    let ends = row.stay.until.map(|until| ("until", until));
    let (column, at) =
        [Some(("from", row.stay.from)), ends].into_iter().flatten().find(|(_, at)| *at > now)?;
    Some(in_the_future((&row.file, row.line), column, at))
}

fn in_the_future((file, line): (&str, u64), column: &'static str, at: Timestamp) -> BadRow {
    BadRow {
        file: file.into(),
        line,
        column: Some(column),
        what: format!("{at} is in the future"),
        next: "give a time in the past, or leave it empty".into(),
    }
}

fn apply(device: &mut Device, row: &DeviceRow) {
    fn set<T: Clone>(field: &mut T, given: &Option<T>) {
        if let Some(given) = given {
            *field = given.clone();
        }
    }
    let named = |name: &Option<Box<str>>| name.as_deref().map(Into::into);
    set(&mut device.label, &row.label);
    set(&mut device.group, &named(&row.group));
    set(&mut device.model, &named(&row.model));
    set(&mut device.account, &named(&row.account));
    let needs = &mut device.connection.needs;
    set(&mut needs.criticality, &row.criticality);
    set(&mut needs.bandwidth, &row.bandwidth);
    set(&mut needs.latency, &row.latency);
    set(&mut device.connection.held, &row.profiles);
    set(&mut device.connection.identities, &row.identities);
    let countries = row.imei_registered_in.as_ref().map(|countries| countries.iter().copied().collect());
    set(&mut device.connection.imei_registered_in, &countries);
    set(&mut device.connection.permits, &row.permits);
    set(&mut device.connection.owner_since, &row.owner_since);
    set(&mut device.connection.swap_requested, &row.swap_requested);
    set(&mut device.usage_kb, &row.usage_kb);
    set(&mut device.last_seen, &row.last_seen);
    match (&device.state, &row.state) {
        // A file neither starts nor ends a move.
        (State::Moving { .. }, _) | (_, None) => {}
        (_, Some(State::Moving { .. })) => device.state = State::Working,
        (_, Some(state)) => device.state = state.clone(),
    }
    set(&mut device.tally.moved, &row.moved);
    set(&mut device.tally.came_back, &row.came_back);
    set(&mut device.tally.not_installed, &row.not_installed);
    set(&mut device.tally.lost, &row.lost);
    set(&mut device.connection.refused, &row.refused);
}

/// Adds the present stay that a row of `devices.csv` describes. It is either the open stay in the
/// records or a new stay after it.
fn observe(history: &mut History, row: &DeviceRow) -> Result<(), BadRow> {
    let Some((place, home, since)) = row.present else { return Ok(()) };
    let lasting = history.stays().last().filter(|last| {
        let same_home = last.home_network.zip(home.network).is_none_or(|(then, now)| then == now)
            && last.imei.zip(home.imei).is_none_or(|(then, now)| then == now);
        last.plmn == place.plmn && last.home == home.country && same_home && last.until.is_none()
    });
    // The owner's platforms round times, so a stay that begins on the same day is the same stay.
    let known = lasting.filter(|last| Day::of(last.from) == Day::of(since));
    let since = known.map_or(since, |last| since.max(last.from));
    history.observe_with(place, home, since).map_err(|error| BadRow {
        file: row.file.clone(),
        line: row.line,
        column: Some("since"),
        what: error.to_string(),
        next: "leave network, home and since empty, or give all stays of the device in stays.csv".into(),
    })
}

/// Builds the history of one device from stays in any order.
fn history(rows: &[StayRow]) -> Result<History, BadRow> {
    let mut rows: Vec<&StayRow> = rows.iter().collect();
    rows.sort_by_key(|row| (row.stay.from, row.stay.until.unwrap_or(Timestamp(i64::MAX))));
    let mut good = Vec::with_capacity(rows.len());
    for row in rows {
        good.push(row.stay);
        // The error is reported for the row with which the history becomes inconsistent.
        let last_two = good.get(good.len().saturating_sub(2)..).unwrap_or_default();
        if let Err(error) = History::from_stays(last_two.iter().copied()) {
            return Err(BadRow {
                file: row.file.clone(),
                line: row.line,
                column: Some("from"),
                what: error.to_string(),
                next: "make sure that the stays of a device do not overlap".into(),
            });
        }
    }
    History::from_stays(good).map_err(|error| BadRow {
        file: "stays.csv".into(),
        line: 0,
        column: None,
        what: error.to_string(),
        next: "correct the stays of the device".into(),
    })
}
