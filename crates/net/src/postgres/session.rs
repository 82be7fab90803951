//! Connections to the database, and the faults of statements.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;
use world::{Fault, FaultKind};

use super::PostgresAddress;

/// Maximum time in which a read or a commit waits for a database that cannot be reached. The
/// failover of a cluster takes up to 20 seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two attempts to connect.
pub(super) const PAUSE: Duration = Duration::from_millis(200);
/// Maximum length of the name of a schema.
const MAX_SCHEMA: usize = 63;
/// Advice if records are damaged.
pub(super) const RESTORE: &str =
    "restore a backup of the database; `landfall records check` lists all damage";
/// Settings of each connection. A process that stops inside a transaction loses its lock after ten
/// seconds. A commit that is acknowledged must be on disk, whatever the default of the database is.
const SETTINGS: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '10s';
    SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// The records of one party in a database.
pub(super) struct Place {
    address: PostgresAddress,
    /// Name of the schema, quoted.
    pub(super) schema: String,
    /// Name for faults.
    pub(super) name: String,
}

/// An error below the interface of the store.
#[derive(Debug)]
pub(super) enum PostgresError {
    Server(tokio_postgres::Error),
    /// The settings of TLS cannot be used.
    Tls(Fault),
    /// The records are damaged. The text is the reason.
    Damaged(String),
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

impl Place {
    /// # Errors
    /// The name is too long for a schema. PostgreSQL would cut it, and two parties could share one.
    pub(super) fn new(address: &PostgresAddress, name: &str) -> Result<Self, Fault> {
        let (schema, named) = (format!("landfall_{name}"), format!("{address} ({name})"));
        if schema.len() > MAX_SCHEMA || schema.contains('\0') {
            return Err(Fault::usage(
                format!("cannot use the records in {named}"),
                format!("a schema of PostgreSQL has a name of at most {MAX_SCHEMA} octets, without NUL"),
                "choose a shorter name for the server",
            ));
        }
        let schema = format!("\"{}\"", schema.replace('"', "\"\""));
        Ok(Self { address: address.clone(), schema, name: named })
    }

    /// Opens a connection. The task that drives it runs on the current runtime.
    pub(super) async fn connect(&self) -> Result<Client, PostgresError> {
        let client = match self.address.tls().map_err(PostgresError::Tls)? {
            Some(tls) => {
                let (client, connection) = self.address.config().connect(MakeRustlsConnect::new(tls)).await?;
                // The client reports the end of the connection.
                tokio::spawn(async { drop(connection.await) });
                client
            }
            None => {
                let (client, connection) = self.address.config().connect(NoTls).await?;
                tokio::spawn(async { drop(connection.await) });
                client
            }
        };
        client.batch_execute(SETTINGS).await?;
        Ok(client)
    }

    /// Opens a connection with the statements of the store. Waits for a database that cannot be
    /// reached until this time.
    pub(super) async fn session(&self, verb: &str, until: Instant) -> Result<Session, Fault> {
        loop {
            let session = match self.connect().await {
                Ok(client) => Session::prepare(client, self).await.map_err(PostgresError::from),
                Err(error) => Err(error),
            };
            match session {
                Ok(session) => return Ok(session),
                Err(error) if error.may_pass() && Instant::now() + PAUSE < until => sleep(PAUSE).await,
                Err(error) => return Err(self.fault(verb, error)),
            }
        }
    }

    /// The fault of a store whose thread has ended.
    pub(super) fn ended(&self) -> Fault {
        Fault::new(
            format!("cannot use the records in {}", self.name),
            "the thread that writes them has ended",
            "restart the program, and report this",
        )
    }

    /// The fault of records that do not exist.
    pub(super) fn none(&self, verb: &str) -> Fault {
        Fault::usage(
            format!("cannot {verb} the records in {}", self.name),
            "the database has no such records",
            "correct the address or the name, or start the server once",
        )
        .of_kind(FaultKind::NotFound)
    }

    pub(super) fn fault(&self, verb: &str, error: PostgresError) -> Fault {
        let what = format!("cannot {verb} the records in {}", self.name);
        let error = match error {
            PostgresError::Tls(fault) => return fault,
            PostgresError::Damaged(why) => {
                return Fault::new(what, format!("they are damaged: {why}"), RESTORE);
            }
            PostgresError::Server(error) => error,
        };
        let Some(refusal) = error.as_db_error() else {
            let why = std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string);
            return Fault::new(what, why, "check that the database runs and can be reached at this address")
                .of_kind(FaultKind::Unreachable)
                .with_source(error);
        };
        let next = match refusal.code() {
            &SqlState::DISK_FULL => {
                "free some disk space of the database; nothing of this request was written"
            }
            &SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                "correct the user of the address, and the password in records-password-file"
            }
            &SqlState::INVALID_CATALOG_NAME => "create the database with createdb, or correct the address",
            &SqlState::INSUFFICIENT_PRIVILEGE => {
                "let the user create schemas in the database, or make it the owner"
            }
            &SqlState::LOCK_NOT_AVAILABLE => "another process has locked the records for too long; try again",
            &SqlState::READ_ONLY_SQL_TRANSACTION => "add all hosts of the cluster to the address",
            _ => "check the log of the database; nothing of this request was written",
        };
        let why = refusal.message().to_owned();
        Fault::new(what, why, next).with_source(error)
    }
}

impl PostgresError {
    /// True if another attempt to connect can succeed: the database does not answer, starts, ends,
    /// has too many connections, or has become a replica.
    fn may_pass(&self) -> bool {
        let Self::Server(error) = self else { return false };
        let passing = [
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::READ_ONLY_SQL_TRANSACTION,
        ];
        error.code().is_none_or(|code| passing.contains(code))
    }
}

/// True if a statement failed because its connection was lost or must be replaced.
pub(super) fn is_lost(client: &Client, error: &tokio_postgres::Error) -> bool {
    let ends = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        SqlState::READ_ONLY_SQL_TRANSACTION,
    ];
    client.is_closed() || error.is_closed() || error.code().is_none_or(|code| ends.contains(code))
}

/// A connection with the statements of the store.
pub(super) struct Session {
    pub(super) client: Client,
    /// Reads a record. Parameters: collection, key.
    pub(super) read: Statement,
    /// Reads records. Parameters: collection, first key, key after the last one, key to leave out,
    /// maximum number.
    pub(super) first: Statement,
    /// Locks and reads the header.
    pub(super) lock: Statement,
    /// Returns the sets with a record that has changed. Parameters, all of them arrays: set,
    /// collection, key, version.
    pub(super) changed_records: Statement,
    /// Returns the sets with a list that has changed. Parameters, all of them arrays: set,
    /// collection, first key, key after the last one, number of records, newest version.
    pub(super) changed_lists: Statement,
    /// Returns the checksums of records, with the number of the set that changes each. Parameters:
    /// arrays of sets, collections and keys.
    pub(super) checksums: Statement,
    /// Deletes records. Parameters: arrays of collections and keys.
    pub(super) delete: Statement,
    /// Adds or replaces records. Parameters: arrays of collections, keys, versions, contents and
    /// checksums.
    pub(super) write: Statement,
    /// Replaces the variable part of the header. Parameters: last version, number of records,
    /// digest, checksum.
    pub(super) header: Statement,
    /// Marks a transaction as committed. Changes no row if it is marked already. Parameter: token.
    pub(super) mark: Statement,
    /// Deletes the marks of former days.
    pub(super) forget: Statement,
}

impl Session {
    pub(super) async fn prepare(client: Client, place: &Place) -> Result<Self, tokio_postgres::Error> {
        let statement = async |text: &str| client.prepare(&text.replace("{schema}", &place.schema)).await;
        Ok(Self {
            read: statement(
                "SELECT collection, key, version, content, checksum FROM {schema}.records
                 WHERE collection = $1 AND key = $2",
            )
            .await?,
            first: statement(
                "SELECT collection, key, version, content, checksum FROM {schema}.records
                 WHERE collection = $1 AND key >= $2 AND ($3::text IS NULL OR key < $3)
                 AND ($4::text IS NULL OR key <> $4) ORDER BY key LIMIT $5",
            )
            .await?,
            lock: statement(
                "SELECT party, form, store, last_version, records, digest, checksum
                 FROM {schema}.header FOR UPDATE",
            )
            .await?,
            changed_records: statement(
                "SELECT DISTINCT expected.number
                 FROM unnest($1::int4[], $2::text[], $3::text[], $4::int8[])
                    AS expected(number, collection, key, version)
                 LEFT JOIN {schema}.records AS found
                    ON found.collection = expected.collection AND found.key = expected.key
                 WHERE coalesce(found.version, 0) <> expected.version",
            )
            .await?,
            changed_lists: statement(
                "SELECT DISTINCT expected.number
                 FROM unnest($1::int4[], $2::text[], $3::text[], $4::text[], $5::int8[], $6::int8[])
                    AS expected(number, collection, first, last, records, newest)
                 CROSS JOIN LATERAL (
                    SELECT count(*) AS records, coalesce(max(version), 0) AS newest FROM {schema}.records AS found
                    WHERE found.collection = expected.collection AND found.key >= expected.first
                    AND (expected.last IS NULL OR found.key < expected.last)) AS found
                 WHERE found.records <> expected.records OR found.newest <> expected.newest",
            )
            .await?,
            checksums: statement(
                "SELECT changed.number, found.checksum
                 FROM unnest($1::int4[], $2::text[], $3::text[]) AS changed(number, collection, key)
                 JOIN {schema}.records AS found ON found.collection = changed.collection AND found.key = changed.key",
            )
            .await?,
            delete: statement(
                "DELETE FROM {schema}.records AS found USING unnest($1::text[], $2::text[]) AS gone(collection, key)
                 WHERE found.collection = gone.collection AND found.key = gone.key",
            )
            .await?,
            write: statement(
                "INSERT INTO {schema}.records (collection, key, version, content, checksum)
                 SELECT * FROM unnest($1::text[], $2::text[], $3::int8[], $4::bytea[], $5::bytea[])
                 ON CONFLICT (collection, key) DO UPDATE
                 SET version = excluded.version, content = excluded.content, checksum = excluded.checksum",
            )
            .await?,
            header: statement(
                "UPDATE {schema}.header SET last_version = $1, records = $2, digest = $3, checksum = $4",
            )
            .await?,
            mark: statement(
                "INSERT INTO {schema}.commits (token) VALUES ($1) ON CONFLICT DO NOTHING",
            )
            .await?,
            forget: statement(
                "DELETE FROM {schema}.commits WHERE at < now() - interval '1 day'",
            )
            .await?,
            client,
        })
    }
}
