//! Storage of device records.

use rsp::time::Timestamp;
use world::{Collection, Fault, Records, Tx, transact};

use crate::{
    device::{Device, Fleet},
    files::{BadRow, Imported, Rows, merge},
};

/// Devices by EID.
pub const DEVICES: Collection<Device> = Collection::new("devices");

/// Loads all devices.
///
/// # Errors
/// The records cannot be read.
pub async fn load(records: &dyn Records) -> Result<Fleet, Fault> {
    let devices = Tx::begin(records).glance(&DEVICES, "").await?;
    Ok(Fleet::new(devices.into_iter().map(|(_, device)| device).collect()))
}

/// Writes a device when the transaction commits.
///
/// # Errors
/// The device cannot be encoded as JSON.
pub fn put(tx: &mut Tx<'_>, device: &Device) -> Result<(), Fault> {
    tx.put(&DEVICES, &device.eid.to_string(), device)
}

/// Imports the rows of CSV files in one transaction. If a row is bad, nothing is imported; with
/// `skip_bad_rows`, all good rows are imported. A file without changes writes nothing.
///
/// # Errors
/// The records cannot be read or written.
pub async fn import(
    records: &dyn Records,
    rows: &Rows,
    now: Timestamp,
    skip_bad_rows: bool,
) -> Result<Result<Imported, Vec<BadRow>>, Fault> {
    transact(records, |tx| Box::pin(import_in(tx, rows, now, skip_bad_rows, true))).await
}

/// Returns the result that [`import`] would have, and writes nothing.
///
/// # Errors
/// The records cannot be read.
pub async fn dry_run(
    records: &dyn Records,
    rows: &Rows,
    now: Timestamp,
    skip_bad_rows: bool,
) -> Result<Result<Imported, Vec<BadRow>>, Fault> {
    import_in(&mut Tx::begin(records), rows, now, skip_bad_rows, false).await
}

async fn import_in(
    tx: &mut Tx<'_>,
    rows: &Rows,
    now: Timestamp,
    skip_bad_rows: bool,
    write: bool,
) -> Result<Result<Imported, Vec<BadRow>>, Fault> {
    let known = tx.list(&DEVICES, "").await?.into_iter().map(|(_, device)| (device.eid, device)).collect();
    let merged = merge(known, rows, now);
    if !merged.imported.bad.is_empty() && !skip_bad_rows {
        return Ok(Err(merged.imported.bad));
    }
    for device in merged.changed.iter().filter(|_| write) {
        put(tx, device)?;
    }
    Ok(Ok(merged.imported))
}
