//! Storage of device records.

use std::collections::BTreeMap;

use rsp::{ids::Eid, time::Timestamp};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use world::{Collection, Fault, Records, StoredForm, Tx, transact};

use crate::{
    device::{Device, Fleet},
    files::{BadRow, Imported, Merged, Rows, Stage, merge},
    moves::{MOVES, Move},
    state::State,
};

/// Form of the records that this program writes.
pub const STORED_FORM: StoredForm = StoredForm { party: "fleet platform", version: 1 };
/// Devices by EID.
pub(crate) const DEVICES: Collection<StoredDevice> = Collection::new("devices");

/// A device as it is stored. The state "moving" is not stored, because it follows from the record of
/// the open move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct StoredDevice(Device);

impl<'de> Deserialize<'de> for StoredDevice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let device = Device::deserialize(deserializer)?;
        if matches!(device.state, State::Moving { .. }) {
            let why = "the record has the state \"moving\", as an earlier version wrote it";
            return Err(D::Error::custom(why));
        }
        Ok(Self(device))
    }
}

impl StoredDevice {
    fn new(device: &Device) -> Self {
        let mut device = device.clone();
        if matches!(device.state, State::Moving { .. }) {
            device.state = State::Working;
        }
        Self(device)
    }

    /// The device with the state that follows from its open move.
    pub(crate) fn with(self, open: Option<&Move>) -> Device {
        let Self(mut device) = self;
        if let Some(open) = open {
            device.state = open.device_state();
        }
        device
    }
}

/// Loads all devices.
///
/// # Errors
/// The records cannot be read.
pub async fn load(records: &dyn Records) -> Result<Fleet, Fault> {
    let tx = Tx::begin(records);
    let open: BTreeMap<String, Move> = tx.peek_list(&MOVES, "").await?.into_iter().collect();
    let devices = tx.peek_list(&DEVICES, "").await?.into_iter();
    Ok(Fleet::new(devices.map(|(key, device)| device.with(open.get(&key))).collect()))
}

/// Reads a device. Its state is "moving" if it has an open move.
///
/// # Errors
/// The records cannot be read.
pub async fn get(tx: &mut Tx<'_>, eid: Eid) -> Result<Option<Device>, Fault> {
    let key = eid.to_string();
    let Some(device) = tx.get(&DEVICES, &key).await? else { return Ok(None) };
    Ok(Some(device.with(tx.get(&MOVES, &key).await?.as_ref())))
}

/// Writes a device when the transaction commits. The state "moving" is not written.
///
/// # Errors
/// The device cannot be encoded as JSON.
pub fn put(tx: &mut Tx<'_>, device: &Device) -> Result<(), Fault> {
    tx.put(&DEVICES, &device.eid.to_string(), &StoredDevice::new(device))
}

/// Reason why nothing was imported.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ImportError {
    /// Some rows are bad.
    #[error("{} rows are bad", .0.len())]
    BadRows(Vec<BadRow>),
    /// The records cannot be read or written.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Imports the rows of CSV files in one transaction. If a row is bad, nothing is imported; with
/// `skip_bad_rows`, all good rows are imported. If the rows change no record, nothing is written.
///
/// # Errors
/// A row is bad, or the records cannot be read or written.
pub async fn import(
    records: &dyn Records,
    rows: &Rows,
    now: Timestamp,
    skip_bad_rows: bool,
) -> Result<Imported, ImportError> {
    let merged = transact(records, |tx| {
        Box::pin(async move {
            let merged = merge_rows(tx, rows, now).await?;
            if skip_bad_rows || merged.imported.bad.is_empty() {
                for (done, device) in (1..).zip(&merged.changed) {
                    put(tx, device)?;
                    rows.observe(Stage::Writing, done);
                }
            }
            Ok(merged)
        })
    });
    report(merged.await?, skip_bad_rows)
}

/// Returns the result that [`import`] would have, and writes nothing.
///
/// # Errors
/// A row is bad, or the records cannot be read.
pub async fn dry_run(
    records: &dyn Records,
    rows: &Rows,
    now: Timestamp,
    skip_bad_rows: bool,
) -> Result<Imported, ImportError> {
    report(merge_rows(&mut Tx::begin(records), rows, now).await?, skip_bad_rows)
}

async fn merge_rows(tx: &mut Tx<'_>, rows: &Rows, now: Timestamp) -> Result<Merged, Fault> {
    let open: BTreeMap<String, Move> = tx.list(&MOVES, "").await?.into_iter().collect();
    let known = tx.list(&DEVICES, "").await?.into_iter().map(|(key, device)| {
        let device = device.with(open.get(&key));
        (device.eid, device)
    });
    Ok(merge(known.collect(), rows, now))
}

fn report(merged: Merged, skip_bad_rows: bool) -> Result<Imported, ImportError> {
    match merged.imported.bad.is_empty() || skip_bad_rows {
        true => Ok(merged.imported),
        false => Err(ImportError::BadRows(merged.imported.bad)),
    }
}
