//! The schema of a database: creation and checks.

use tokio_postgres::{Client, Row};
use world::{Fault, StoredForm};

use super::Missing;
use super::session::{Place, PostgresError};
use crate::integrity::Header;
use crate::integrity::checksum::{Checksum, Digest128};

/// Version of the schema. Every change that older programs cannot handle increases it.
const SCHEMA_VERSION: i32 = 1;
/// Keys are ordered by code point, which is the order of the octets of UTF-8. The header is updated
/// by each commit; free space in its page keeps these updates short.
const TABLES: &str = "
    CREATE SCHEMA IF NOT EXISTS {schema};
    CREATE TABLE {schema}.records (
        collection text COLLATE \"C\" NOT NULL,
        key        text COLLATE \"C\" NOT NULL,
        version    int8 NOT NULL,
        content    bytea NOT NULL,
        checksum   bytea NOT NULL,
        PRIMARY KEY (collection, key)
    );
    CREATE TABLE {schema}.header (
        one            bool PRIMARY KEY DEFAULT true CHECK (one),
        schema_version int4 NOT NULL,
        party          text NOT NULL,
        form           int8 NOT NULL,
        store          bytea NOT NULL,
        last_version   int8 NOT NULL,
        records        int8 NOT NULL,
        digest         bytea NOT NULL,
        checksum       bytea NOT NULL
    ) WITH (fillfactor = 10);
    CREATE TABLE {schema}.commits (
        token bytea PRIMARY KEY,
        at    timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX ON {schema}.commits (at);
";

/// Selects the names of all records in a database.
pub(super) const NAMES: &str = "SELECT substr(nspname, 10)::text FROM pg_namespace
    WHERE starts_with(nspname, 'landfall_') AND to_regclass(quote_ident(nspname) || '.header') IS NOT NULL
    ORDER BY nspname";

/// Creates the schema if it is missing, and otherwise checks that it belongs to this party.
///
/// # Errors
/// The records belong to another party, have another version, or are missing and must exist.
pub(super) async fn prepare(
    client: &Client,
    place: &Place,
    form: StoredForm,
    missing: Missing,
) -> Result<(), Fault> {
    // Processes that start at the same time create the schema one after another.
    let sql = |error: tokio_postgres::Error| place.fault("open", error.into());
    client.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(hashtext('landfall'))").await.map_err(sql)?;
    let prepared = create_or_check(client, place, form, missing).await;
    let ended = client.batch_execute(if prepared.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
    // The first error is the relevant one, even if the rollback fails.
    prepared.and_then(|()| ended.map_err(sql))
}

async fn create_or_check(
    client: &Client,
    place: &Place,
    form: StoredForm,
    missing: Missing,
) -> Result<(), Fault> {
    let opening = |error: tokio_postgres::Error| place.fault("open", error.into());
    let sql = |text: &str| text.replace("{schema}", &place.schema);
    if has_header(client, place).await.map_err(opening)? {
        return check(client, place, form).await;
    }
    if missing == Missing::Refuse {
        return Err(place.none("open"));
    }
    client.batch_execute(&sql(TABLES)).await.map_err(opening)?;
    let header = Header::new(form)?;
    let insert = sql("INSERT INTO {schema}.header
         (schema_version, party, form, store, last_version, records, digest, checksum)
         VALUES ($1, $2, $3, $4, 0, 0, $5, $6)");
    let (store, digest, checksum) = (header.store, header.digest.octets(), header.checksum());
    client
        .execute(
            &insert,
            &[
                &SCHEMA_VERSION,
                &header.party,
                &i64::from(header.form),
                &store.as_slice(),
                &digest.as_slice(),
                &checksum.as_slice(),
            ],
        )
        .await
        .map_err(opening)?;
    Ok(())
}

/// True if the records exist.
pub(super) async fn has_header(client: &Client, place: &Place) -> Result<bool, tokio_postgres::Error> {
    let found =
        client.query_one("SELECT to_regclass($1)::text", &[&format!("{}.header", place.schema)]).await?;
    Ok(found.try_get::<_, Option<String>>(0)?.is_some())
}

async fn check(client: &Client, place: &Place, form: StoredForm) -> Result<(), Fault> {
    let opening = |error: tokio_postgres::Error| place.fault("open", error.into());
    let version = version(client, place).await.map_err(opening)?;
    let what = format!("cannot open the records in {}", place.name);
    if version != SCHEMA_VERSION {
        return Err(Fault::usage(
            what,
            format!("they have schema version {version}, and this program knows version {SCHEMA_VERSION}"),
            "use the program that wrote them, or another database",
        ));
    }
    let header = read_header(client, place).await.map_err(|error| place.fault("open", error))?;
    form.check(what, &header.party, header.form)
}

async fn version(client: &Client, place: &Place) -> Result<i32, tokio_postgres::Error> {
    let select = format!("SELECT schema_version FROM {}.header", place.schema);
    client.query_one(&select, &[]).await?.try_get(0)
}

/// Reads and verifies the header.
pub(super) async fn read_header(client: &Client, place: &Place) -> Result<Header, PostgresError> {
    let select = format!(
        "SELECT party, form, store, last_version, records, digest, checksum FROM {}.header",
        place.schema
    );
    header_of(&client.query(&select, &[]).await?)
}

/// Decodes and verifies the header.
pub(super) fn header_of(rows: &[Row]) -> Result<Header, PostgresError> {
    let damaged = |why: &str| PostgresError::Damaged(why.to_owned());
    let [row] = rows else { return Err(damaged("the header is missing")) };
    let number = |column: usize| -> Result<u64, PostgresError> {
        u64::try_from(row.try_get::<_, i64>(column)?).map_err(|_| damaged("the header has a negative number"))
    };
    let octets = |column: usize| -> Result<[u8; 16], PostgresError> {
        let octets: &[u8] = row.try_get(column)?;
        octets.try_into().map_err(|_| damaged("the header has a value of another length"))
    };
    let header = Header {
        party: row.try_get(0)?,
        form: u32::try_from(number(1)?).map_err(|_| damaged("the header has an invalid form"))?,
        store: octets(2)?,
        last_version: number(3)?,
        records: number(4)?,
        digest: Digest128::from_octets(octets(5)?),
    };
    let checksum: Checksum = octets(6)?;
    if header.checksum() == checksum { Ok(header) } else { Err(damaged("the header has a wrong checksum")) }
}
