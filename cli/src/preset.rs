//! Presets: a file with the initial data of an SM-DP+. Its entries are request bodies of the admin
//! API. A profile can also be given by the file of its package, or be generated.

use std::path::{Path, PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, de::DeserializeOwned};
use sm_dp::{
    SmDpPlus,
    admin::preset::{NewOperator, NewOrder, NewProfile, NewTemplate},
};
use toml::{Table, Value};
use world::Fault;

use crate::files;

/// A parsed preset.
pub struct Preset {
    file: PathBuf,
    /// Entries with their names in the file.
    entries: Vec<(String, Entry)>,
    subscriptions: Vec<Vec<u8>>,
}

/// Structure of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    templates: Vec<Table>,
    #[serde(default)]
    stock: Vec<Table>,
    #[serde(default)]
    orders: Vec<Table>,
    #[serde(default)]
    operators: Vec<Table>,
}

/// Entry of a preset.
enum Entry {
    Templates(Box<NewTemplate>),
    Stock(Box<NewProfile>),
    Orders(Box<NewOrder>),
    Operators(NewOperator),
}

/// Highest subscriber number: an IMSI has nine digits after a network code of six.
const LAST_SUBSCRIBER: u64 = 999_999_999;

const NEXT: &str = "correct the file; docs/preset.md describes the format";

impl Preset {
    /// Reads a preset and its packages. Nothing is applied unless the whole file is valid.
    ///
    /// # Errors
    /// A file cannot be read, or an entry is malformed.
    pub fn read(file: &Path) -> Result<Self, Fault> {
        let text = files::read_text(file)?;
        let read: File = toml::from_str(&text).map_err(|e| {
            Fault::usage(format!("cannot use the preset {}", file.display()), e.to_string().trim_end(), NEXT)
        })?;
        let folder = file.parent().unwrap_or(Path::new(""));
        // The order of the sections matters: an order needs its profile.
        let operators =
            section(file, "operators", read.operators, |table| typed(table).map(Entry::Operators))?;
        let templates = section(file, "templates", read.templates, |table| {
            template(table, folder).map(|new| Entry::Templates(Box::new(new)))
        })?;
        let mut subscriptions = Vec::new();
        let stock = section(file, "stock", read.stock, |table| {
            let table = with_package(table, folder, &mut subscriptions)?;
            typed(table).map(|new| Entry::Stock(Box::new(new)))
        })?;
        let orders = section(file, "orders", read.orders, |table| {
            typed(table).map(|new| Entry::Orders(Box::new(new)))
        })?;
        let entries = operators.into_iter().chain(templates).chain(stock).chain(orders).collect();
        Ok(Self { file: file.to_owned(), entries, subscriptions })
    }

    /// Generated packages of the preset, for their home networks.
    pub fn subscriptions(&self) -> &[Vec<u8>] {
        &self.subscriptions
    }

    /// Creates the missing data. Returns one line per entry with the result.
    ///
    /// # Errors
    /// The server refuses an entry. The entries before it stay applied.
    pub async fn apply(&self, sm_dp: &SmDpPlus) -> Result<Vec<String>, Fault> {
        let mut lines = Vec::new();
        for (name, entry) in &self.entries {
            let ensured = match entry {
                Entry::Templates(new) => sm_dp.ensure_template(new).await.map(|ensured| ensured.to_string()),
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

/// Parses the entries of a section, and names each of them.
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

/// Replaces `file` or `subscription` of an entry by `package`. A generated package is added to
/// `subscriptions`.
fn with_package(mut table: Table, folder: &Path, subscriptions: &mut Vec<Vec<u8>>) -> Result<Table, Fault> {
    let bad = |why: String, next: &str| Fault::usage("cannot find the profile package", why, next);
    let one_way = "use exactly one of file, subscription and package";
    let (file, subscription) = (table.remove("file"), table.remove("subscription"));
    let number = table.remove("number");
    let package = match (&file, &subscription) {
        _ if number.is_some() && subscription.is_none() => {
            return Err(bad("number is only allowed with subscription".to_owned(), one_way));
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
                        let next = format!("use a number from 0 to {LAST_SUBSCRIBER}");
                        bad(format!("{number} is not a subscriber number"), &next)
                    })?,
            };
            let package = testbed::subscription::own_package(home, number, &format!("Network {home}"))?;
            subscriptions.push(package.clone());
            package
        }
        (None, None) => return Err(bad("the entry has none of them".to_owned(), one_way)),
        (Some(_), Some(_)) => return Err(bad("the entry has more than one of them".to_owned(), one_way)),
        _ => return Err(bad("file and subscription must be strings".to_owned(), "write them in quotes")),
    };
    if table.insert("package".to_owned(), BASE64_STANDARD.encode(package).into()).is_some() {
        return Err(bad("the entry has more than one of them".to_owned(), one_way));
    }
    Ok(table)
}

/// Reads a template. `file` is a description (TOML) or a package (DER), and is replaced by
/// `description` or `package`.
///
/// # Errors
/// The file cannot be read, or the entry is malformed.
pub fn template(mut table: Table, folder: &Path) -> Result<NewTemplate, Fault> {
    let bad = |why: &str, next: &str| Fault::usage("cannot read the template", why, next);
    match table.remove("file") {
        None => {}
        Some(Value::String(_)) if table.contains_key("description") || table.contains_key("package") => {
            let next = "use at most one of file, description and package";
            return Err(bad("the entry has more than one of them", next));
        }
        Some(Value::String(file)) => {
            let file = folder.join(file);
            let (name, value) = match file.extension().is_some_and(|ending| ending == "toml") {
                true => ("description", description(&file)?),
                false => ("package", BASE64_STANDARD.encode(files::read(&file)?).into()),
            };
            table.insert(name.to_owned(), value);
        }
        Some(_) => return Err(bad("file must be a string", "write it in quotes")),
    }
    typed(table)
}

fn description(file: &Path) -> Result<Value, Fault> {
    let text = files::read_text(file)?;
    let invalid = |why: String| {
        let next = "correct the description; docs/profile.schema.json describes all names";
        Fault::usage(format!("{} does not describe a profile", file.display()), why, next)
    };
    // The description is parsed for its errors, which name the line.
    profile::Description::parse(&text).map_err(|mistakes| invalid(mistakes.to_string()))?;
    toml::from_str::<Table>(&text).map(Value::Table).map_err(|e| invalid(e.to_string()))
}

/// Deserializes an entry like the admin API does. TOML dates become strings.
fn typed<T: DeserializeOwned>(mut table: Table) -> Result<T, Fault> {
    for (_, value) in &mut table {
        if let Value::Datetime(time) = value {
            *value = Value::String(time.to_string());
        }
    }
    table.try_into().map_err(|e| Fault::usage("the entry is invalid", e.to_string().trim_end(), NEXT))
}

/// Adds the file and the entry to a fault.
fn named(file: &Path, entry: &str, mut fault: Fault) -> Fault {
    fault.what = format!("{}, {entry}: {}", file.display(), fault.what);
    fault
}
