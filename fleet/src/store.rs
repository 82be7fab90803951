//! The records of the fleet, one a device.

use rsp::time::Timestamp;
use world::{Collection, Fault, Records, Tx, transact};

use crate::{
    device::{Device, Fleet},
    files::{BadRow, Imported, Rows, merge},
};

/// Devices by EID.
pub const DEVICES: Collection<Device> = Collection::new("devices");

/// All devices, as they are now.
///
/// # Errors
/// The records cannot be read.
pub async fn load(records: &dyn Records) -> Result<Fleet, Fault> {
    let devices = Tx::begin(records).glance(&DEVICES, "").await?;
    Ok(Fleet::new(devices.into_iter().map(|(_, device)| device).collect()))
}

/// Writes a device, at the commit of the transaction.
///
/// # Errors
/// The record does not fit JSON.
pub fn put(tx: &mut Tx<'_>, device: &Device) -> Result<(), Fault> {
    tx.put(&DEVICES, &device.eid.to_string(), device)
}

/// Brings the rows of CSV files into the records, all in one transaction: either every row, or none if one is bad; with
/// `skip_bad_rows`, every good one. A file that says nothing new changes nothing.
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

/// What [`import`] would come to; writes nothing.
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
