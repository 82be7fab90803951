//! Export of device records to CSV.

use localize::{Day, HeldProfile, Refused, Stay};
use rsp::time::Timestamp;
use serde::Serialize;
use world::Fault;

use super::{DEVICE_COLUMNS, STAY_COLUMNS, TRAIL_COLUMNS};
use crate::device::Device;

/// The exported files. An import of the files of devices and stays into empty records restores the
/// same devices without their audit trails. A move that is under way is not part of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// `devices.csv`.
    pub devices: Vec<u8>,
    /// `stays.csv`.
    pub stays: Vec<u8>,
    /// `trails.csv`.
    pub trails: Vec<u8>,
}

/// Exports devices.
pub fn export<'d>(devices: impl IntoIterator<Item = &'d Device>) -> Result<Exported, Fault> {
    let mut rows = Table::new(DEVICE_COLUMNS)?;
    let mut stays = Table::new(STAY_COLUMNS)?;
    let mut trails = Table::new(TRAIL_COLUMNS)?;
    for device in devices {
        rows.row(&device_row(device))?;
        for stay in device.connection.history.stays() {
            stays.row(&stay_row(device, stay))?;
        }
        for entry in device.trail.entries() {
            trails.row(&[device.eid.to_string(), entry.at.to_string(), entry.event.to_string()])?;
        }
    }
    Ok(Exported { devices: rows.finish()?, stays: stays.finish()?, trails: trails.finish()? })
}

struct Table(::csv::Writer<Vec<u8>>);

impl Table {
    fn new(columns: &[(&str, &str)]) -> Result<Self, Fault> {
        let mut table = Self(::csv::Writer::from_writer(Vec::new()));
        let heading: Vec<String> = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        table.row(&heading)?;
        Ok(table)
    }

    fn row(&mut self, cells: &[String]) -> Result<(), Fault> {
        self.0.write_record(cells).map_err(|error| cannot(&error))
    }

    fn finish(self) -> Result<Vec<u8>, Fault> {
        self.0.into_inner().map_err(|error| cannot(&error))
    }
}

fn cannot(error: &dyn std::fmt::Display) -> Fault {
    Fault::new("cannot write the devices as CSV", error.to_string(), "free some memory and try again")
}

fn device_row(device: &Device) -> Vec<String> {
    let connection = &device.connection;
    let needs = connection.needs;
    let number = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
    let profiles: Vec<String> = connection.held.iter().map(profile).collect();
    let identities: Vec<String> =
        connection.identities.iter().map(|identity| identity.operator.plmn.to_string()).collect();
    let refused = connection.refused.iter().map(|Refused { operator, at, cause }| match cause {
        Some(cause) => format!("{operator} {at} {cause}"),
        None => format!("{operator} {at}"),
    });
    let refused: Vec<String> = refused.collect();
    let countries: Vec<String> = connection.imei_registered_in.iter().map(ToString::to_string).collect();
    let permits: Vec<String> = connection.permits.iter().map(ToString::to_string).collect();
    let day = |day: Option<Day>| day.map(|day| day.to_string()).unwrap_or_default();
    vec![
        device.eid.to_string(),
        device.label.to_string(),
        device.group.to_string(),
        device.model.to_string(),
        device.account.to_string(),
        word(needs.criticality),
        word(needs.bandwidth),
        word(needs.latency),
        profiles.join("; "),
        identities.join(" "),
        countries.join(" "),
        permits.join("; "),
        day(connection.owner_since),
        day(connection.swap_requested),
        number(device.usage_kb),
        time(device.last_seen),
        device.state.to_string(),
        device.tally.moved.to_string(),
        device.tally.came_back.to_string(),
        device.tally.not_installed.to_string(),
        device.tally.lost.to_string(),
        refused.join("; "),
    ]
}

fn profile(held: &HeldProfile) -> String {
    format!("{} {} {} {}", held.iccid, held.home.plmn, word(held.role), word(held.state))
}

fn stay_row(device: &Device, stay: &Stay) -> Vec<String> {
    vec![
        device.eid.to_string(),
        stay.plmn.to_string(),
        stay.home_network.map_or_else(|| stay.home.to_string(), |network| network.to_string()),
        stay.from.to_string(),
        time(stay.until),
        stay.imei.map(|imei| imei.to_string()).unwrap_or_default(),
    ]
}

fn time(time: Option<Timestamp>) -> String {
    time.map(|time| time.to_string()).unwrap_or_default()
}

/// The keyword that serde writes for a value.
fn word(value: impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
