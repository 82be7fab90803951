//! Differences between two packages: PE by PE, and file by file.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::check::{files_of, path_of};
use crate::decoded::decoded;
use crate::element::ProfileElement;
use crate::files::{FileIndex, ProfileFiles};
use crate::octets::Fid;
use crate::package::Package;
use crate::show::{self, HIDDEN, SECRETS, ShowOptions};

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Difference {
    /// The PE, or the path of the file.
    pub place: String,
    /// The field of the PE, or the record; empty for the whole PE or file.
    pub field: String,
    /// The value in the first package; `None` if it exists only in the second.
    pub first: Option<Side>,
    /// The value in the second package.
    pub second: Option<Side>,
}

/// The value in one of the packages.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Side {
    /// The value: bytes in hexadecimal digits, numbers, words.
    pub value: String,
    /// The meaning of the value, if it is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub meaning: Vec<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        if !self.field.is_empty() {
            write!(f, ", {}", self.field)?;
        }
        match (&self.first, &self.second) {
            (Some(_), None) => f.write_str(": only in the first"),
            (None, Some(_)) => f.write_str(": only in the second"),
            (first, second) => {
                for (sign, side) in [('-', first), ('+', second)] {
                    let Some(side) = side else { continue };
                    write!(f, "\n  {sign} {}", side.value)?;
                    for meaning in &side.meaning {
                        write!(f, "\n  {sign} = {meaning}")?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// All differences of two packages: first PEs, then files. Secrets are compared, and shown only on
/// request.
pub fn diff(first: &Package, second: &Package, options: &ShowOptions) -> Vec<Difference> {
    let mut differences = Vec::new();
    elements(first, second, options, &mut differences);
    files(&files_of(first), &files_of(second), options, &mut differences);
    differences
}

/// The differences as readable text.
pub fn text(differences: &[Difference]) -> String {
    if differences.is_empty() {
        return "no difference".to_owned();
    }
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The fields of a PE by their paths. The identification is omitted, because it is only a number.
pub(crate) type Fields = BTreeMap<String, String>;

/// PEs by their names, with a number for each PE of the same name.
fn numbered(package: &Package) -> Vec<(String, &ProfileElement)> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let named = package.elements.iter().map(|element| {
        let count = seen.entry(element.name()).or_default();
        *count += 1;
        let name = match count {
            1 => element.name().to_owned(),
            count => format!("{} {count}", element.name()),
        };
        (name, element)
    });
    named.collect()
}

fn fields(element: &ProfileElement) -> Fields {
    let mut fields = Fields::new();
    let value = serde_json::to_value(element).unwrap_or(Value::Null);
    let inner = value.get(element.name()).unwrap_or(&Value::Null);
    let makes_files =
        matches!(element, ProfileElement::FileSystem(_) | ProfileElement::GenericFileManagement(_));
    // The file contents of a PE are compared as files.
    match inner {
        Value::Object(parts) if makes_files => {
            let own = |name: &String| name.to_ascii_lowercase().ends_with("header") || name == "templateID";
            parts
                .iter()
                .filter(|(name, _)| own(name))
                .for_each(|(name, part)| flatten(name, part, &mut fields));
        }
        inner => flatten("", inner, &mut fields),
    }
    fields
}

/// Every value in a PE with its path.
pub(crate) fn flattened(element: &ProfileElement) -> Fields {
    let mut fields = Fields::new();
    let value = serde_json::to_value(element).unwrap_or(Value::Null);
    flatten("", value.get(element.name()).unwrap_or(&Value::Null), &mut fields);
    fields
}

fn flatten(path: &str, value: &Value, fields: &mut Fields) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(parts) => {
            parts.iter().for_each(|(name, part)| flatten(&below(name), part, fields));
        }
        Value::Array(parts) => {
            (1..).zip(parts).for_each(|(number, part)| flatten(&format!("{path}[{number}]"), part, fields));
        }
        Value::Null => {
            fields.insert(path.to_owned(), "present".to_owned());
        }
        Value::String(text) => {
            fields.insert(path.to_owned(), text.clone());
        }
        other => {
            fields.insert(path.to_owned(), other.to_string());
        }
    }
}

fn elements(first: &Package, second: &Package, options: &ShowOptions, out: &mut Vec<Difference>) {
    let (first, second) = (numbered(first), numbered(second));
    let order = |elements: &[(String, &ProfileElement)], others: &[(String, &ProfileElement)]| {
        let common = elements.iter().filter(|(name, _)| others.iter().any(|(other, _)| other == name));
        common.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (here, there) = (order(&first, &second), order(&second, &first));
    if here != there {
        let side = |value| Some(Side { value, meaning: Vec::new() });
        out.push(Difference {
            place: "package".to_owned(),
            field: "order of PEs".to_owned(),
            first: side(here),
            second: side(there),
        });
    }
    let find = |elements: &[(String, &ProfileElement)], wanted: &str| {
        elements.iter().find(|(name, _)| name == wanted).map(|(_, element)| fields(element))
    };
    let only_there = second.iter().filter(|(name, _)| find(&first, name).is_none());
    for (name, _) in first.iter().chain(only_there) {
        let place = format!("PE {name}");
        match (find(&first, name), find(&second, name)) {
            (Some(here), Some(there)) => compare(&place, &here, &there, options, out),
            (here, there) => {
                let whole = |fields: Option<Fields>| fields.map(|_| Side::default());
                out.push(Difference {
                    place,
                    field: String::new(),
                    first: whole(here),
                    second: whole(there),
                });
            }
        }
    }
}

fn compare(place: &str, here: &Fields, there: &Fields, options: &ShowOptions, out: &mut Vec<Difference>) {
    let only_there = there.keys().filter(|name| !here.contains_key(*name));
    for name in here.keys().chain(only_there) {
        let (first, second) = (here.get(name), there.get(name));
        if first == second {
            continue;
        }
        let last = name.rsplit('.').next().unwrap_or_default();
        let hides = SECRETS.contains(&last) && !options.secrets;
        let side = |value: Option<&String>| {
            let value = value.map(|value| if hides { HIDDEN.to_owned() } else { value.clone() });
            value.map(|value| Side { value, meaning: Vec::new() })
        };
        let (first, second) = (side(first), side(second));
        out.push(Difference { place: place.to_owned(), field: name.clone(), first, second });
    }
}

fn files(here: &ProfileFiles, there: &ProfileFiles, options: &ShowOptions, out: &mut Vec<Difference>) {
    let by_path = |files: &ProfileFiles| {
        let paths = files.all().map(|(index, _)| (files.path_of(index), index));
        paths.collect::<BTreeMap<Vec<Fid>, FileIndex>>()
    };
    let (first, second) = (by_path(here), by_path(there));
    let mut paths: Vec<&Vec<Fid>> = first.keys().chain(second.keys()).collect();
    paths.sort();
    paths.dedup();
    for path in paths {
        match (first.get(path), second.get(path)) {
            (Some(first), Some(second)) => file((here, *first), (there, *second), options, out),
            (first, second) => {
                let place = first.map(|at| path_of(here, *at)).or(second.map(|at| path_of(there, *at)));
                out.push(Difference {
                    place: place.unwrap_or_default(),
                    field: String::new(),
                    first: first.map(|at| side(here, *at, options)),
                    second: second.map(|at| side(there, *at, options)),
                });
            }
        }
    }
}

/// The complete contents of a file.
fn side(files: &ProfileFiles, index: FileIndex, options: &ShowOptions) -> Side {
    let hides = show::is_secret(files, index) && !options.secrets;
    let value = match files.content(index) {
        Some(_) if hides => HIDDEN.to_owned(),
        Some(content) => hex::encode_upper(content),
        None => String::new(),
    };
    Side { value, meaning: decoded(files, index) }
}

fn file(
    (here, first): (&ProfileFiles, FileIndex),
    (there, second): (&ProfileFiles, FileIndex),
    options: &ShowOptions,
    out: &mut Vec<Difference>,
) {
    let place = path_of(here, first);
    let properties = |files: &ProfileFiles, index: FileIndex| {
        let mut fields = Fields::new();
        let (Some(file), Some(shown)) =
            (files.file(index), show::shown_file(files, index, &ShowOptions::default()))
        else {
            return fields;
        };
        let size = match (shown.records, shown.size) {
            (Some((count, length)), _) => format!("{count} records of {length} octets"),
            (None, Some(size)) => format!("{size} octets"),
            (None, None) => String::new(),
        };
        for (name, value) in [
            ("kind", shown.kind.to_owned()),
            ("AID", shown.aid.map(|aid| aid.to_string()).unwrap_or_default()),
            ("size", size),
            ("short identifier", shown.sfi.map(|sfi| format!("{sfi:02X}")).unwrap_or_default()),
            ("link to", shown.link.unwrap_or_default()),
            ("access", shown.access.join("; ")),
            ("life cycle", format!("{:02X}", file.life_cycle)),
            ("special information", format!("{:02X}", file.special_information)),
            ("PIN status", file.pin_status_template.to_string()),
        ] {
            fields.insert(name.to_owned(), value);
        }
        fields
    };
    compare(&place, &properties(here, first), &properties(there, second), options, out);
    if here.content(first) != there.content(second) {
        out.push(Difference {
            place,
            field: "contents".to_owned(),
            first: Some(side(here, first, options)),
            second: Some(side(there, second, options)),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generic::{Algorithm, Subscription, generic};

    fn differences(change: fn(&mut Subscription)) -> Vec<Difference> {
        let subscription =
            Subscription { msisdn: Some("5511987654321".to_owned()), ..Subscription::default() };
        let mut other = subscription.clone();
        change(&mut other);
        diff(&generic(&subscription), &generic(&other), &ShowOptions::default())
    }

    #[test]
    fn the_same_package_has_no_difference() {
        assert_eq!(text(&differences(|_| ())), "no difference");
    }

    #[test]
    fn another_subscriber_differs_in_files_shown_with_their_meaning() {
        let shown = text(&differences(|other| other.imsi = "001010000000002".to_owned()));
        assert_eq!(
            shown,
            "3F00/7FD0/6F07 ef-imsi, contents\n  - 080910100000000010\n  - = 001010000000001\n  \
             + 080910100000000020\n  + = 001010000000002\n\
             3F00/7FD0/6F78 ef-acc, contents\n  - 0002\n  - = class 1\n  + 0004\n  + = class 2"
        );
    }

    #[test]
    fn another_key_is_a_hidden_difference() {
        let change =
            |other: &mut Subscription| (other.key, other.algorithm) = ([0xAB; 16], Algorithm::UsimTest);
        let found = differences(change);
        let shown = text(&found);
        assert!(shown.contains("algoParameter.key\n  - (hidden)\n  + (hidden)"), "{shown}");
        assert!(shown.contains("algorithmID\n  - milenage\n  + usim-test-algorithm"), "{shown}");
        assert!(shown.contains("eUICC-Mandatory-services.milenage: only in the first"), "{shown}");
        assert!(!shown.contains("ABAB") && !serde_json::to_string(&found).unwrap().contains("ABAB"));
    }

    #[test]
    fn an_element_in_only_one_package_is_reported_once() {
        let shown = text(&differences(|other| other.msisdn = None));
        assert!(shown.contains("PE opt-usim: only in the first"), "{shown}");
        assert!(shown.contains("3F00/7FD0/6F40 ef-msisdn: only in the first"), "{shown}");
    }
}
