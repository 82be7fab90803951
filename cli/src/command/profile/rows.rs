//! The rows of `landfall profile personalise`: all are looked at before the first package is made.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use csv::{DeserializeErrorKind, ErrorKind, StringRecord};
use profile::{
    Description,
    check::with_right_check_digit,
    personalise::{ROW_COLUMNS, Row, taken_from_template},
};
use world::Fault;

use crate::output::remark;

/// The rows of a file, each with its line.
///
/// # Errors
/// The file cannot be read, or its first line names no columns.
pub(super) fn of(file: &Path) -> Result<impl Iterator<Item = Result<(u64, Row), Fault>> + use<>, Fault> {
    let shown = file.display().to_string();
    let columns = || format!("the columns are {}", ROW_COLUMNS.join(", "));
    let mut reader = csv::Reader::from_path(file).map_err(|e| unread(&shown, &StringRecord::new(), e))?;
    let headings = reader.headers().map_err(|e| unread(&shown, &StringRecord::new(), e))?.clone();
    for (number, heading) in headings.iter().enumerate() {
        let why = match (ROW_COLUMNS.contains(&heading), headings.iter().take(number).any(|it| it == heading))
        {
            (true, false) => continue,
            (true, true) => format!("line 1: there are two columns {heading}"),
            (false, _) => format!("line 1: nothing is known by {heading:?}"),
        };
        return Err(Fault::new(format!("cannot read {shown}"), why, columns()));
    }
    let rows = reader.into_records().map(move |record| {
        let record = record.map_err(|e| unread(&shown, &headings, e))?;
        let line = record.position().map_or(0, csv::Position::line);
        let row = record.deserialize(Some(&headings)).map_err(|e| unread(&shown, &headings, e))?;
        Ok((line, row))
    });
    Ok(rows)
}

/// What is wrong with the rows, in the words of a table.
fn unread(file: &str, headings: &StringRecord, error: csv::Error) -> Fault {
    let what = format!("cannot read {file}");
    let line = error.position().map(|position| format!("line {}: ", position.line())).unwrap_or_default();
    let (why, next) = match error.kind() {
        ErrorKind::Deserialize { err, .. } => {
            let column = err.field().and_then(|field| headings.get(usize::try_from(field).ok()?));
            let column = column.map(|column| format!("{column}: ")).unwrap_or_default();
            let wrong = match err.kind() {
                DeserializeErrorKind::Message(text) => text.clone(),
                kind => kind.to_string(),
            };
            (format!("{line}{column}{wrong}"), "correct the row; nothing is made yet")
        }
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            let why = format!("{line}it has {len} cells, and line 1 names {expected_len} columns");
            (why, "correct the row; nothing is made yet")
        }
        _ => {
            return Fault::caused_by(
                error,
                what,
                "give a table (CSV, UTF-8) with a first line that names the columns",
            );
        }
    };
    Fault::new(what, why, next)
}

/// Looks at all rows: they can be read, none is there twice, and what each profile has of its own is in them or is drawn.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn look_at(file: &Path, template: &Description, same_keys: bool) -> Result<(), Fault> {
    let mut lines = HashMap::new();
    let mut taken: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut wrong_digits = Vec::new();
    for row in of(file)? {
        let (line, row) = row?;
        for name in taken_from_template(template, &row) {
            *taken.entry(name).or_default() += 1;
        }
        let Some(iccid) = row.iccid else { continue };
        if let Some(first) = lines.insert(iccid, line) {
            return Err(Fault::new(
                format!("cannot read {}", file.display()),
                format!("line {line}: {iccid} is in line {first} already"),
                "take one of the two rows away; nothing is made yet",
            ));
        }
        if let Some(right) = with_right_check_digit(iccid) {
            wrong_digits.push((line, iccid, right));
        }
    }
    own_each(taken, same_keys)?;
    if let [(line, iccid, right), others @ ..] = wrong_digits.as_slice() {
        remark(&format!(
            "{}: line {line}: the check digit of {iccid} is wrong, {right} would be right (ITU-T E.118){}",
            file.display(),
            match others.len() {
                0 => String::new(),
                others => format!("; and so in {others} more rows"),
            }
        ));
    }
    Ok(())
}

/// Whether each profile has what it must have of its own, given what several take from the template.
///
/// # Errors
/// Several would have the same number, or the same keys without that being asked for.
pub(super) fn own_each(
    taken: impl IntoIterator<Item = (&'static str, u64)>,
    same_keys: bool,
) -> Result<(), Fault> {
    let is_key = |name: &str| matches!(name, "ki" | "opc");
    let several: Vec<(&str, u64)> =
        taken.into_iter().filter(|(name, profiles)| *profiles > 1 && !(same_keys && is_key(name))).collect();
    let Some((_, profiles)) = several.first() else { return Ok(()) };
    let names: Vec<&str> = several.iter().map(|(name, _)| *name).collect();
    let columns = names.join(", ");
    let next = match names.iter().all(|name| is_key(name)) {
        true => {
            "leave it out of the template, and each gets its own; or give --rows with such columns; or, for SIMs of a test network, --same-keys"
        }
        false => {
            "leave it out of the template; count up with --iccid, --imsi and --msisdn, or give --rows with such columns; keys are drawn"
        }
    };
    Err(Fault::new(
        format!("cannot give {profiles} profiles the same {columns}"),
        "it stands in the template, and no row has its own; each SIM has to be told from the others, and its key to be known to nobody else",
        next,
    ))
}
