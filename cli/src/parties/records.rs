//! The records of servers: files in the data folder, or a PostgreSQL database.

use std::{path::Path, sync::Arc};

use net::{PostgresRecords, SqliteRecords, StoreKey};
use world::{Fault, FaultKind, Records, StoredForm};

use crate::settings::Settings;

/// Opens the records in this file, encrypted if the settings have a key. If the settings name a
/// database, the records with the name of the file are opened there.
///
/// # Errors
/// The key cannot be read, or the records cannot be opened.
pub fn open_records(settings: &Settings, path: &Path, form: StoredForm) -> Result<Arc<dyn Records>, Fault> {
    let key = settings.records_key.read()?;
    Ok(match &settings.records {
        Some(address) => {
            refuse_key(key.as_ref())?;
            Arc::new(PostgresRecords::open(address, &records_name(path), form)?)
        }
        None => Arc::new(SqliteRecords::open_with_key(path, form, key.as_ref())?),
    })
}

/// Opens the records of a server that has run, as [`open_records`], but does not create them.
///
/// # Errors
/// Those of `open_records`; there are no records, which is of the kind [`FaultKind::NotFound`].
pub fn open_existing_records(
    settings: &Settings,
    path: &Path,
    form: StoredForm,
) -> Result<Arc<dyn Records>, Fault> {
    match &settings.records {
        Some(address) => {
            refuse_key(settings.records_key.read()?.as_ref())?;
            Ok(Arc::new(PostgresRecords::open_existing(address, &records_name(path), form)?))
        }
        None if path.exists() => open_records(settings, path, form),
        None => Err(Fault::usage(
            format!("cannot open the records in {}", path.display()),
            "the file does not exist",
            "correct the name or --data-dir, or start the server once",
        )
        .of_kind(FaultKind::NotFound)),
    }
}

/// The name of records in a database: that of their file, without the ending.
fn records_name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn refuse_key(key: Option<&StoreKey>) -> Result<(), Fault> {
    match key {
        None => Ok(()),
        Some(_) => Err(Fault::usage(
            "cannot use the key of the records",
            "records in a PostgreSQL database are not encrypted by this program",
            "remove records-key-file, and let the database use an encrypted disk",
        )),
    }
}
