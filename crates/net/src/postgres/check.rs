//! The check of all records of a database.

use futures_util::TryStreamExt;
use tokio_postgres::Client;
use world::Fault;

use super::schema::{has_header, read_header};
use super::session::{Place, PostgresError, RESTORE};
use crate::integrity::{DamagedPart, Found, RecordsCheck, Recount};

/// Checks each record and the set of them, in one state of the database.
pub(super) async fn check(client: &Client, place: &Place, most: usize) -> Result<RecordsCheck, Fault> {
    let sql = |error: tokio_postgres::Error| place.fault("check", error.into());
    if !has_header(client, place).await.map_err(sql)? {
        return Err(place.none("check"));
    }
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(sql)?;
    let checked = check_snapshot(client, place, most).await;
    let ended = client.batch_execute("COMMIT").await.map_err(sql);
    let report = checked.map_err(|error| place.fault("check", error))?;
    ended.map(|()| report)
}

async fn check_snapshot(client: &Client, place: &Place, most: usize) -> Result<RecordsCheck, PostgresError> {
    let mut found = Found::up_to(most, |_| RESTORE);
    let header = match read_header(client, place).await {
        Ok(header) => header,
        Err(PostgresError::Damaged(why)) => {
            found.add(DamagedPart::Set, why);
            return Ok(RecordsCheck { damage: found.damage, ..RecordsCheck::default() });
        }
        Err(error) => return Err(error),
    };
    let select = format!("SELECT collection, key, version, content, checksum FROM {}.records", place.schema);
    let rows = client.query_raw(&select, std::iter::empty::<&str>()).await?;
    let mut rows = std::pin::pin!(rows);
    let mut recount = Recount::default();
    while let Some(row) = rows.try_next().await? {
        let record = super::decoded(&row)?;
        let fields = (&*record.collection, &*record.key, record.version, &*record.content);
        recount.add(&mut found, fields, record.checksum);
    }
    recount.compare(&header, &mut found);
    Ok(RecordsCheck {
        party: Some(header.party),
        last_commit: header.last_version,
        records: recount.records,
        damage: found.damage,
    })
}
