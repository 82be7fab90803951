//! A preset: what an SM-DP+ begins with, as a file. Its entries are the bodies of the admin API; a profile may also be
//! named by the file of its package, or be one of our own.

use std::path::{Path, PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, de::DeserializeOwned};
use sm_dp::{
    SmDpPlus,
    admin::preset::{NewOperator, NewOrder, NewProfile},
};
use toml::{Table, Value};
use world::Fault;

use crate::{command::sm_dp as files, demo};

/// A preset that was read and understood.
pub struct Preset {
    file: PathBuf,
    /// With the name of each in the file.
    entries: Vec<(String, Entry)>,
    subscriptions: Vec<Vec<u8>>,
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    stock: Vec<Table>,
    #[serde(default)]
    orders: Vec<Table>,
    #[serde(default)]
    operators: Vec<Table>,
}

/// Something that the server is to have.
enum Entry {
    Stock(Box<NewProfile>),
    Orders(Box<NewOrder>),
    Operators(NewOperator),
}

/// As many digits as an IMSI has after a network code of three.
const LAST_SUBSCRIBER: u64 = 999_999_999;

const NEXT: &str = "correct the file; docs/preset.md says what may stand in it";

impl Preset {
    /// Reads a preset and the packages it names. Nothing is applied unless all of it can be understood.
    ///
    /// # Errors
    /// A file cannot be read, or an entry is malformed.
    pub fn read(file: &Path) -> Result<Self, Fault> {
        let text = files::read_text(file)?;
        let read: File = toml::from_str(&text).map_err(|e| {
            Fault::new(format!("cannot use the preset {}", file.display()), e.to_string().trim_end(), NEXT)
        })?;
        let folder = file.parent().unwrap_or(Path::new(""));
        // In this order: an order needs its profile.
        let operators =
            section(file, "operators", read.operators, |table| typed(table).map(Entry::Operators))?;
        let mut subscriptions = Vec::new();
        let stock = section(file, "stock", read.stock, |table| {
            let table = with_package(table, folder, &mut subscriptions)?;
            typed(table).map(|new| Entry::Stock(Box::new(new)))
        })?;
        let orders = section(file, "orders", read.orders, |table| {
            typed(table).map(|new| Entry::Orders(Box::new(new)))
        })?;
        let entries = operators.into_iter().chain(stock).chain(orders).collect();
        Ok(Self { file: file.to_owned(), entries, subscriptions })
    }

    /// The packages of our own that it names, for their home networks.
    pub fn subscriptions(&self) -> &[Vec<u8>] {
        &self.subscriptions
    }

    /// Makes what is not there yet; for each entry a line that says what came of it.
    ///
    /// # Errors
    /// The server cannot do what an entry says. The entries before it stay.
    pub async fn apply(&self, sm_dp: &SmDpPlus) -> Result<Vec<String>, Fault> {
        let mut lines = Vec::new();
        for (name, entry) in &self.entries {
            let ensured = match entry {
                Entry::Stock(new) => sm_dp.ensure_profile(new).await.map(|ensured| ensured.to_string()),
                Entry::Orders(new) => sm_dp.ensure_order(new).await.map(|ensured| ensured.to_string()),
                Entry::Operators(new) => sm_dp.ensure_operator(new).await.map(|ensured| ensured.to_string()),
            };
            let ensured = ensured.map_err(|fault| named(&self.file, name, fault))?;
            lines.push(format!("{name}: {ensured}"));
        }
        Ok(lines)
    }
}

/// The entries of a section, each with its name.
fn section(
    file: &Path,
    name: &str,
    tables: Vec<Table>,
    mut read: impl FnMut(Table) -> Result<Entry, Fault>,
) -> Result<Vec<(String, Entry)>, Fault> {
    let entry = |(number, table)| {
        let name = format!("{name} entry {number}");
        match read(table) {
            Ok(entry) => Ok((name, entry)),
            Err(fault) => Err(named(file, &name, fault)),
        }
    };
    (1..).zip(tables).map(entry).collect()
}

/// The entry with `package` in place of `file` or `subscription`; one of our own goes to the subscriptions as well.
fn with_package(mut table: Table, folder: &Path, subscriptions: &mut Vec<Vec<u8>>) -> Result<Table, Fault> {
    let bad = |why: String, next: &str| Fault::new("cannot find the profile package", why, next);
    let one_way = "give one of file, subscription and package";
    let (file, subscription) = (table.remove("file"), table.remove("subscription"));
    let number = table.remove("number");
    let package = match (&file, &subscription) {
        _ if number.is_some() && subscription.is_none() => {
            return Err(bad(
                "number is the subscriber of a subscription, and there is none".to_owned(),
                one_way,
            ));
        }
        (None, None) if table.contains_key("package") => return Ok(table),
        (Some(Value::String(file)), None) => files::read(&folder.join(file))?,
        (None, Some(Value::String(home))) => {
            let number = match &number {
                None => 1,
                Some(number) => number
                    .as_integer()
                    .and_then(|number| u64::try_from(number).ok())
                    .filter(|number| *number <= LAST_SUBSCRIBER)
                    .ok_or_else(|| {
                        let next = format!("give one from 0 to {LAST_SUBSCRIBER}");
                        bad(format!("number {number} is no subscriber's"), &next)
                    })?,
            };
            let package = demo::own_package(home, number, &format!("Network {home}"))?;
            subscriptions.push(package.clone());
            package
        }
        (None, None) => return Err(bad("nothing in the entry names one".to_owned(), one_way)),
        (Some(_), Some(_)) => return Err(bad("the entry names two".to_owned(), one_way)),
        _ => return Err(bad("file and subscription are texts".to_owned(), "write them in quotes")),
    };
    if table.insert("package".to_owned(), BASE64_STANDARD.encode(package).into()).is_some() {
        return Err(bad("the entry names two".to_owned(), one_way));
    }
    Ok(table)
}

/// As the admin API reads it. TOML has dates of its own; here they are the texts they look like.
fn typed<T: DeserializeOwned>(mut table: Table) -> Result<T, Fault> {
    for (_, value) in &mut table {
        if let Value::Datetime(time) = value {
            *value = Value::String(time.to_string());
        }
    }
    table.try_into().map_err(|e| Fault::new("cannot understand it", e.to_string().trim_end(), NEXT))
}

/// The fault, with where in the file it is.
fn named(file: &Path, entry: &str, mut fault: Fault) -> Fault {
    fault.what = format!("{}, {entry}: {}", file.display(), fault.what);
    fault
}
