//! Rows of `landfall profile personalise`. All rows are checked before the first package is
//! created.

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

/// Returns the rows of a file, each with its line number.
///
/// # Errors
/// The file cannot be read, or its first line is not a list of column names.
pub(super) fn of(file: &Path) -> Result<impl Iterator<Item = Result<(u64, Row), Fault>> + use<>, Fault> {
    let shown = file.display().to_string();
    let columns = || format!("the columns are {}", ROW_COLUMNS.join(", "));
    let mut reader = csv::Reader::from_path(file).map_err(|e| unread(&shown, &StringRecord::new(), e))?;
    let headings = reader.headers().map_err(|e| unread(&shown, &StringRecord::new(), e))?.clone();
    for (number, heading) in headings.iter().enumerate() {
        let why = match (ROW_COLUMNS.contains(&heading), headings.iter().take(number).any(|it| it == heading))
        {
            (true, false) => continue,
            (true, true) => format!("line 1: the column {heading} occurs twice"),
            (false, _) => format!("line 1: unknown column {heading:?}"),
        };
        return Err(Fault::usage(format!("cannot read {shown}"), why, columns()));
    }
    let rows = reader.into_records().map(move |record| {
        let record = record.map_err(|e| unread(&shown, &headings, e))?;
        let line = record.position().map_or(0, csv::Position::line);
        let row = record.deserialize(Some(&headings)).map_err(|e| unread(&shown, &headings, e))?;
        Ok((line, row))
    });
    Ok(rows)
}

/// Converts a CSV error into a fault that names the line and the column.
fn unread(file: &str, headings: &StringRecord, error: csv::Error) -> Fault {
    let what = format!("cannot read {file}");
    let line = error.position().map(|position| format!("line {}: ", position.line())).unwrap_or_default();
    let (why, next) = match error.kind() {
        ErrorKind::Deserialize { err, .. } => {
            let column = err.field().and_then(|field| headings.get(usize::try_from(field).ok()?));
            let column = column.map(|column| format!("{column}: ")).unwrap_or_default();
            let invalid = match err.kind() {
                DeserializeErrorKind::Message(text) => text.clone(),
                kind => kind.to_string(),
            };
            (format!("{line}{column}{invalid}"), "correct the row; no package was created")
        }
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            let why = format!("{line}the row has {len} cells, and line 1 names {expected_len} columns");
            (why, "correct the row; no package was created")
        }
        _ => {
            return Fault::usage_caused_by(
                error,
                what,
                "choose a CSV file (UTF-8) whose first line contains the column names",
            );
        }
    };
    Fault::usage(what, why, next)
}

/// Checks that all rows can be read, that no ICCID occurs twice, and that values which must be
/// unique come from the rows or are generated, not from the template.
///
/// # Errors
/// The first problem found.
pub(super) fn check_rows(file: &Path, template: &Description, same_keys: bool) -> Result<(), Fault> {
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
            return Err(Fault::usage(
                format!("cannot read {}", file.display()),
                format!("line {line}: {iccid} is already in line {first}"),
                "remove one of the two rows; no package was created",
            ));
        }
        if let Some(right) = with_right_check_digit(iccid) {
            wrong_digits.push((line, iccid, right));
        }
    }
    check_unique(taken, same_keys)?;
    if let [(line, iccid, right), others @ ..] = wrong_digits.as_slice() {
        remark(&format!(
            "{}: line {line}: the check digit of {iccid} is wrong; {right} would be correct (ITU-T E.118){}",
            file.display(),
            match others.len() {
                0 => String::new(),
                others => format!("; {others} more rows have wrong check digits"),
            }
        ));
    }
    Ok(())
}

/// Checks that each profile has its own identities and keys. `taken` contains, for each value of
/// the template, the number of profiles that use it.
///
/// # Errors
/// Several profiles would have the same number, or the same keys without `same_keys`.
pub(super) fn check_unique(
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
            "omit it in the template, so that each profile gets its own; or add these columns to --rows; or use --same-keys for SIMs of a test network"
        }
        false => {
            "omit it in the template; use --iccid, --imsi and --msisdn for consecutive numbers, or add these columns to --rows; keys are generated"
        }
    };
    Err(Fault::usage(
        format!("cannot give {profiles} profiles the same {columns}"),
        "the value is in the template and not in the rows; each SIM needs its own identity, and a key that no other SIM has",
        next,
    ))
}
