//! `landfall records`: the integrity of the files in which servers, cards and devices keep their
//! state.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;
use net::{
    Damage, DamagedPart, FileMemory, PostgresAddress, PostgresRecords, RecordsCheck, SqliteRecords, StoreKey,
};
use schemars::JsonSchema;
use serde::Serialize;
use world::Fault;

use crate::{
    exit_status::ExitStatus,
    json_schema::{CommandOutput, document},
    output::{Table, print, print_json},
    settings::{Setting, Settings},
};

/// Maximum number of damaged parts that are listed for each file.
const MAX_DAMAGES: usize = 100;
/// Maximum depth of folders below the data folder.
const MAX_DEPTH: usize = 4;

/// Check and encrypt the files of servers, cards and devices
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check records and memories for damage and lost commits, without changing them
    ///
    /// A server can run at the same time. The exit status is 6 if there is damage.
    #[command(args = Setting::flags(&[Setting::Records]))]
    Check {
        /// File, or folder of files [default: the PostgreSQL database of the settings, or the data
        /// folder]
        paths: Vec<PathBuf>,
    },
    /// Accept the last commit in the file, although later commits were lost
    ///
    /// No process may use the file. A file with other damage is refused.
    Accept {
        /// Database or memory
        file: PathBuf,
    },
    /// Encrypt a database with the key of the settings (records-key-file)
    ///
    /// No process may use the database.
    Encrypt {
        /// Database
        file: PathBuf,
    },
}

/// A checked file.
#[derive(JsonSchema, Serialize)]
struct CheckedFile {
    /// The file, or the address of a PostgreSQL database with the name of the records.
    file: PathBuf,
    kind: FileKind,
    /// The party that the records belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    party: Option<String>,
    /// The number of the last commit in the file.
    last_commit: u64,
    /// The number of records, or of cells of a memory.
    entries: u64,
    /// Damage of the file, at most 100 entries. An intact file has none.
    damage: Vec<FoundDamage>,
}

/// The kind of a file.
#[derive(Clone, Copy, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum FileKind {
    /// The database of a server.
    Records,
    /// The records of a server in a PostgreSQL database.
    Postgres,
    /// The memory of a card, a device or a network.
    Memory,
}

/// A damage of a file.
#[derive(JsonSchema, Serialize)]
struct FoundDamage {
    /// Collection and key of the damaged record, if the damage is limited to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
    why: String,
    /// Advice.
    next: String,
}

/// A changed file.
#[derive(JsonSchema, Serialize)]
struct Changed {
    file: PathBuf,
    /// The number of the last commit, if it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_commit: Option<u64>,
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] = &[
    document::<Vec<CheckedFile>>("records check"),
    document::<Changed>("records accept"),
    document::<Changed>("records encrypt"),
];

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// A file cannot be read, is in use, or has damage that the command does not accept.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<ExitCode, Fault> {
        let key = settings.records_key.read()?;
        let changed = match self {
            Self::Check { paths } => {
                let checked = match &settings.records {
                    Some(address) if paths.is_empty() => check_database(address).await?,
                    _ if paths.is_empty() => {
                        check_files(std::slice::from_ref(&settings.data_dir), key.as_ref())?
                    }
                    _ => check_files(&paths, key.as_ref())?,
                };
                return report(&checked, json);
            }
            Self::Accept { file } => {
                let last = match kind_of(&file)? {
                    FileKind::Records | FileKind::Postgres => SqliteRecords::accept(&file, key.as_ref())?,
                    FileKind::Memory => FileMemory::accept(&file)?,
                };
                Changed { file, last_commit: Some(last) }
            }
            Self::Encrypt { file } => {
                let key = key.ok_or_else(|| {
                    Fault::usage(
                        format!("cannot encrypt {}", file.display()),
                        "the settings have no key",
                        "set LANDFALL_RECORDS_KEY_FILE, or records-key-file in landfall.toml",
                    )
                })?;
                SqliteRecords::encrypt(&file, &key)?;
                Changed { file, last_commit: None }
            }
        };
        match (json, changed.last_commit) {
            (true, _) => print_json(&changed)?,
            (false, Some(last)) => {
                print(&format!("{}: commit {last} was accepted as the last one\n", changed.file.display()))?;
            }
            (false, None) => print(&format!("{} is encrypted\n", changed.file.display()))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Checks all records of a database.
async fn check_database(address: &PostgresAddress) -> Result<Vec<CheckedFile>, Fault> {
    let mut checked = Vec::new();
    for name in PostgresRecords::names(address).await? {
        let report = PostgresRecords::check(address, &name, MAX_DAMAGES).await?;
        let file = PathBuf::from(format!("{address} ({name})"));
        checked.push(CheckedFile { file, kind: FileKind::Postgres, ..CheckedFile::of_report(report) });
    }
    Ok(checked)
}

fn check_files(paths: &[PathBuf], key: Option<&StoreKey>) -> Result<Vec<CheckedFile>, Fault> {
    let mut files = BTreeSet::new();
    for path in paths {
        if path.is_dir() {
            let found = files_below(path, MAX_DEPTH).map_err(|error| unreadable(path, error))?;
            files.extend(found);
        } else {
            files.insert(path.clone());
        }
    }
    files.into_iter().map(|file| CheckedFile::of(file, key)).collect()
}

fn report(checked: &[CheckedFile], json: bool) -> Result<ExitCode, Fault> {
    let damaged = checked.iter().filter(|file| !file.damage.is_empty()).count();
    if json {
        print_json(&checked)?;
    } else {
        print(&in_words(checked))?;
    }
    Ok(if damaged == 0 { ExitCode::SUCCESS } else { ExitStatus::Expectation.into() })
}

fn in_words(checked: &[CheckedFile]) -> String {
    let mut table = Table::new(&["file", "commits", "entries", "result"]);
    for file in checked {
        let result = if file.damage.is_empty() { "intact" } else { "damaged" };
        table.row([
            file.file.display().to_string(),
            file.last_commit.to_string(),
            file.entries.to_string(),
            result.to_owned(),
        ]);
    }
    let mut text = table.render();
    for file in checked {
        for FoundDamage { record, why, next } in &file.damage {
            let record = record.as_ref().map(|record| format!("record {record}: ")).unwrap_or_default();
            text.push_str(&format!("{}: {record}{why}; {next}\n", file.file.display()));
        }
    }
    text
}

impl CheckedFile {
    /// Checks a file. A file that cannot be checked counts as damaged.
    fn of(file: PathBuf, key: Option<&StoreKey>) -> Result<Self, Fault> {
        let kind = kind_of(&file)?;
        let mut checked = Self { file, kind, party: None, last_commit: 0, entries: 0, damage: Vec::new() };
        let unchecked = |fault: Fault| FoundDamage { record: None, why: fault.why, next: fault.next };
        match kind {
            FileKind::Memory => match FileMemory::check(&checked.file) {
                Ok(memory) => {
                    checked.last_commit = memory.last_commit;
                    checked.entries = memory.cells.try_into().unwrap_or(u64::MAX);
                }
                Err(fault) => checked.damage.push(unchecked(fault)),
            },
            FileKind::Records | FileKind::Postgres => {
                match SqliteRecords::check(&checked.file, key, MAX_DAMAGES) {
                    Ok(report) => {
                        let Self { file, kind, .. } = checked;
                        checked = Self { file, kind, ..Self::of_report(report) };
                    }
                    Err(fault) => checked.damage.push(unchecked(fault)),
                }
            }
        }
        Ok(checked)
    }

    /// Returns the result of a check, without the name of the file.
    fn of_report(report: RecordsCheck) -> Self {
        Self {
            file: PathBuf::new(),
            kind: FileKind::Records,
            party: report.party,
            last_commit: report.last_commit,
            entries: report.records,
            damage: report.damage.into_iter().map(FoundDamage::from).collect(),
        }
    }
}

impl From<Damage> for FoundDamage {
    fn from(damage: Damage) -> Self {
        let next = damage.next.to_owned();
        let record = match damage.part {
            DamagedPart::Record { collection, key } => Some(format!("{collection}/{key}")),
            DamagedPart::File | DamagedPart::Set | DamagedPart::Commits => None,
        };
        Self { record, why: damage.why, next }
    }
}

/// Returns the kind of a file. The kind of a missing file follows from the files with its mark.
fn kind_of(file: &Path) -> Result<FileKind, Fault> {
    match FileMemory::is_memory(file) {
        Ok(true) => Ok(FileKind::Memory),
        Ok(false) => {
            let is_records = file.extension().is_some_and(|ending| ending == "sqlite")
                || beside(file, "-commits").exists()
                || !beside(file, ".lock").exists();
            Ok(if is_records { FileKind::Records } else { FileKind::Memory })
        }
        Err(_) if beside(file, "-commits").exists() => Ok(FileKind::Records),
        Err(_) if beside(file, ".lock").exists() => Ok(FileKind::Memory),
        Err(error) => Err(unreadable(file, error)),
    }
}

/// Finds databases and memories, and also missing ones if another file shows that they existed.
fn files_below(folder: &Path, depth: usize) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.as_os_str().to_string_lossy().into_owned();
        if path.is_dir() {
            if depth > 1 {
                found.extend(files_below(&path, depth - 1)?);
            }
        } else if let Some(of) = name.strip_suffix("-commits").or(name.strip_suffix(".lock")) {
            let of = PathBuf::from(of);
            if !of.exists() && (name.ends_with("-commits") || FileMemory::check(&of).is_err()) {
                found.push(of);
            }
        } else if path.extension().is_some_and(|ending| ending == "sqlite")
            || beside(&path, "-commits").exists()
            || FileMemory::is_memory(&path)?
            || FileMemory::has_mark(&path)
        {
            found.push(path);
        }
    }
    Ok(found)
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn unreadable(path: &Path, error: std::io::Error) -> Fault {
    let kind = error.kind();
    let fault = Fault::usage_caused_by(
        error,
        format!("cannot check {}", path.display()),
        "correct the path, or choose another folder with --data-dir",
    );
    match kind {
        std::io::ErrorKind::NotFound => fault.of_kind(world::FaultKind::NotFound),
        _ => fault,
    }
}
