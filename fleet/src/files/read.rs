//! Parsing of CSV files into rows.

use std::collections::HashMap;

use localize::{Home, RuleBook, Stay};
use rsp::ids::Eid;
use world::Fault;

use super::{
    BadRow, DEVICE_COLUMNS, DeviceRow, Observer, PRESENT_COLUMNS, Rows, STAY_COLUMNS, Stage, StayRow,
    cells::Row,
};

/// Reads `devices.csv` and adds its rows.
///
/// # Errors
/// The heading is invalid. Errors in a row are added to [`Rows::bad`] instead.
pub fn read_devices(rows: &mut Rows, file: &str, text: &[u8], book: &RuleBook) -> Result<(), Fault> {
    let columns: Vec<&'static str> =
        DEVICE_COLUMNS.iter().chain(PRESENT_COLUMNS).map(|(name, _)| *name).collect();
    let mut seen: HashMap<Eid, u64> = rows.devices.iter().map(|row| (row.eid, row.line)).collect();
    let observer = rows.observer.clone();
    let source = Source { file, text, book, observer: observer.as_ref() };
    each_row(source, &columns, &["eid"], &mut rows.bad, |row| {
        let device = device_row(row)?;
        if let Some(line) = seen.insert(device.eid, row.line) {
            let what = format!("line {line} has the same device");
            return Err(row.bad(
                Some("eid"),
                what,
                "keep one row for each device; put further stays into stays.csv",
            ));
        }
        rows.devices.push(device);
        Ok(())
    })
}

/// Reads `stays.csv` and adds its rows.
///
/// # Errors
/// The same as those of [`read_devices`].
pub fn read_stays(rows: &mut Rows, file: &str, text: &[u8], book: &RuleBook) -> Result<(), Fault> {
    let columns: Vec<&'static str> = STAY_COLUMNS.iter().map(|(name, _)| *name).collect();
    let needed: Vec<&'static str> = columns.iter().copied().filter(|column| *column != "imei").collect();
    let observer = rows.observer.clone();
    let source = Source { file, text, book, observer: observer.as_ref() };
    each_row(source, &columns, &needed, &mut rows.bad, |row| {
        let (eid, stay) = stay_row(row)?;
        let stay = StayRow { file: file.into(), line: row.line, stay };
        rows.stays.entry(eid).or_default().push(stay);
        Ok(())
    })
}

/// A file, and the means to read it.
struct Source<'a> {
    file: &'a str,
    text: &'a [u8],
    book: &'a RuleBook,
    observer: Option<&'a Observer>,
}

fn each_row(
    Source { file, text, book, observer }: Source<'_>,
    known: &[&'static str],
    needed: &[&'static str],
    bad: &mut Vec<BadRow>,
    mut take: impl FnMut(&Row<'_>) -> Result<(), BadRow>,
) -> Result<(), Fault> {
    // Spreadsheet programs write a byte order mark before the heading.
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let mut reader = ::csv::ReaderBuilder::new().flexible(true).from_reader(text);
    let heading =
        reader.headers().map_err(|error| refused(file, error.to_string(), "save it as UTF-8"))?.clone();
    let columns = columns(file, &heading, known, needed)?;
    for (done, record) in (1..).zip(reader.records()) {
        if let Some(Observer(observe)) = observer {
            observe(Stage::Reading, done);
        }
        let empty = ::csv::StringRecord::new();
        let cells = record.as_ref().unwrap_or(&empty);
        let position = match &record {
            Ok(record) => record.position(),
            Err(error) => error.position(),
        };
        // Every row of a file in memory has a position.
        let line = position.map_or(0, ::csv::Position::line);
        let row = Row { file, line, columns: &columns, cells, book };
        let taken = match &record {
            Err(error) => Err(row.bad(None, error.to_string(), "save the file as UTF-8")),
            Ok(cells) if cells.len() != heading.len() => {
                let what = format!("the row has {} cells and the heading has {}", cells.len(), heading.len());
                Err(row.bad(None, what, "put quotation marks around cells that contain commas"))
            }
            Ok(_) => take(&row),
        };
        bad.extend(taken.err());
    }
    Ok(())
}

/// Maps the columns of the file to their positions.
fn columns(
    file: &str,
    heading: &::csv::StringRecord,
    known: &[&'static str],
    needed: &[&'static str],
) -> Result<Vec<(&'static str, usize)>, Fault> {
    let mut columns: Vec<(&'static str, usize)> = Vec::new();
    for (place, name) in heading.iter().enumerate() {
        let name = name.trim().to_ascii_lowercase();
        let Some(column) = known.iter().find(|column| **column == name) else {
            let next = match name.contains(';') {
                true => "save the file with commas as separators".to_owned(),
                false => format!("remove it, or use one of {}", known.join(", ")),
            };
            return Err(refused(file, format!("there is no column {name:?}"), &next));
        };
        if columns.iter().any(|(other, _)| other == column) {
            return Err(refused(file, format!("column {name} occurs twice"), "remove one of them"));
        }
        columns.push((column, place));
    }
    match needed.iter().find(|name| !columns.iter().any(|(column, _)| column == *name)) {
        Some(name) => {
            Err(refused(file, format!("column {name} is missing"), "add it; the first line is the heading"))
        }
        None => Ok(columns),
    }
}

fn refused(file: &str, why: String, next: &str) -> Fault {
    Fault::usage(format!("cannot use the heading of {file}"), why, next)
}

fn eid(row: &Row<'_>) -> Result<Eid, BadRow> {
    let eid = row.parsed::<Eid>("eid", "copy it from the card; a spreadsheet may have rounded it")?;
    let eid = eid.ok_or_else(|| row.bad(Some("eid"), "it is empty", "each row needs an EID"))?;
    match eid.has_valid_check_digits() {
        true => Ok(eid),
        false => Err(row.bad(
            Some("eid"),
            format!("the check digits of {eid} are wrong"),
            "copy it from the card; a spreadsheet may have rounded it",
        )),
    }
}

fn device_row(row: &Row<'_>) -> Result<DeviceRow, BadRow> {
    let has = |column: &str| row.cell(column).is_some();
    Ok(DeviceRow {
        file: row.file.into(),
        line: row.line,
        eid: eid(row)?,
        label: row.text("label"),
        group: row.text("group"),
        model: row.text("model"),
        account: row.text("account"),
        criticality: row.word("criticality")?,
        bandwidth: row.word("bandwidth")?,
        latency: row.word("latency")?,
        profiles: row.profiles("profiles")?,
        identities: row.identities("identities")?,
        imei_registered_in: row.countries("imei_registered_in")?,
        permits: row.permits("permits")?,
        owner_since: has("owner_since").then(|| row.day("owner_since")).transpose()?,
        swap_requested: has("swap_requested").then(|| row.day("swap_requested")).transpose()?,
        usage_kb: has("usage_kb").then(|| row.number("usage_kb")).transpose()?,
        last_seen: has("last_seen").then(|| row.time("last_seen")).transpose()?,
        state: match row.parsed("state", "write working, or copy what `landfall fleet export` writes")? {
            None if has("state") => Some(crate::state::State::Working),
            state => state,
        },
        moved: row.number("moved")?,
        came_back: row.number("came_back")?,
        not_installed: row.number("not_installed")?,
        lost: row.number("lost")?,
        refused: row.refused("refused")?,
        present: present(row)?,
    })
}

const IMEI: &str = "write its 15 digits, or leave it empty";

fn present(row: &Row<'_>) -> Result<Option<(localize::Place, localize::Home, rsp::time::Timestamp)>, BadRow> {
    let (network, home, since) = (row.place("network")?, row.home("home")?, row.time("since")?);
    let imei = row.parsed("imei", IMEI)?;
    match (network, home, since) {
        (None, None, None) if imei.is_some() => Err(row.bad(
            Some("imei"),
            "the stay in which it is used is missing",
            "fill network, home and since",
        )),
        (None, None, None) => Ok(None),
        (Some(network), Some(home), Some(since)) => Ok(Some((network, Home { imei, ..home }, since))),
        (network, home, _) => {
            let column = if network.is_none() {
                "network"
            } else if home.is_none() {
                "home"
            } else {
                "since"
            };
            let next = "fill network, home and since, or leave all three empty";
            Err(row.bad(Some(column), "it is empty, but network, home and since belong together", next))
        }
    }
}

fn stay_row(row: &Row<'_>) -> Result<(Eid, Stay), BadRow> {
    let empty = |column| row.bad(Some(column), "it is empty", "each stay needs a value");
    let place = row.place("network")?.ok_or_else(|| empty("network"))?;
    let home = row.home("home")?.ok_or_else(|| empty("home"))?;
    let from = row.time("from")?.ok_or_else(|| empty("from"))?;
    let until = row.time("until")?;
    let stay = Stay {
        country: place.country,
        plmn: place.plmn,
        home: home.country,
        home_network: home.network,
        imei: row.parsed("imei", IMEI)?,
        from,
        until,
    };
    Ok((eid(row)?, stay))
}
