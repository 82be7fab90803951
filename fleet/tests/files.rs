//! CSV import and export.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy takes only #[test] functions for tests, not the helpers beside them"
)]

use std::sync::{Arc, Mutex};

use fleet::{
    ImportError, State,
    files::{BadRow, Imported, Observer, Rows, Stage, export, read_devices, read_stays},
};
use localize::RuleBook;
use rsp::time::Timestamp;
use world::MemoryRecords;

const E1: &str = "89049032000000000000000000000163";
const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn eid(number: u32) -> String {
    rsp::ids::Eid::with_check_digits(&format!("89049032{number:022}")).unwrap().to_string()
}

fn rows(devices: &str, stays: &str) -> Rows {
    let book = RuleBook::built_in().unwrap();
    let mut rows = Rows::default();
    read_devices(&mut rows, "devices.csv", devices.as_bytes(), &book).unwrap();
    if !stays.is_empty() {
        read_stays(&mut rows, "stays.csv", stays.as_bytes(), &book).unwrap();
    }
    rows
}

async fn import(records: &MemoryRecords, devices: &str, stays: &str) -> Result<Imported, Vec<BadRow>> {
    match fleet::import(records, &rows(devices, stays), NOW, false).await {
        Ok(imported) => Ok(imported),
        Err(ImportError::BadRows(bad)) => Err(bad),
        Err(ImportError::Fault(fault)) => panic!("{fault}"),
    }
}

fn counts(imported: &Imported) -> (usize, usize, usize) {
    (imported.added, imported.changed, imported.unchanged)
}

/// A device with every column filled, and one with an EID only.
fn full() -> (String, String) {
    let devices = format!(
        "eid,label,group,model,account,criticality,bandwidth,latency,profiles,identities,imei_registered_in,usage_kb,\
         last_seen,state,moved,came_back,not_installed,lost,refused,permits,owner_since,swap_requested\n\
         {E1},\"Kiosk 7, north\",kiosks,K-2,acme,high,medium,tight,8944476500001224158 234-15 bootstrap enabled; \
         8955031234567890120 724-05 local disabled,724-11 334-20,BR TR,512,2026-11-20T08:00:00Z,\
         \"stuck 2026-11-21T08:00:00Z no offer, no identity\",3,1,2,0,724-02 2026-11-20T08:00:00Z #2 IMSI unknown in HSS; 724-05 2026-11-21T08:00:00Z,\
         sim_registration SA; carrier_approval 724-02,2026-02-15,2026-11-01\n\
         {},,,,,,,,,,,,,,,,,,,,,\n",
        eid(2)
    );
    let stays = format!(
        "eid,network,home,from,until,imei\n{E1},724-05,234-15,2026-02-01,2026-03-01T12:00:00Z,004999010640000\n\
         {E1},262-01,GB,2026-01-01,2026-02-01,\n{E1},724-02,GB,2026-03-01T12:00:00Z,,004999010640018\n"
    );
    (devices, stays)
}

#[tokio::test]
async fn repeated_imports_change_nothing_and_exports_import_to_the_same_devices() {
    let (records, (devices, stays)) = (MemoryRecords::default(), full());
    assert_eq!(rows(&devices, &stays).devices(), 2);
    assert_eq!(counts(&import(&records, &devices, &stays).await.unwrap()), (2, 0, 0));
    assert_eq!(counts(&import(&records, &devices, &stays).await.unwrap()), (0, 0, 2));
    let fleet = fleet::load(&records).await.unwrap();
    let kiosk = fleet.device(E1.parse().unwrap()).unwrap();
    assert_eq!(kiosk.connection.history.stays().len(), 3);
    assert_eq!(kiosk.connection.held.len(), 2);
    assert_eq!(kiosk.state.to_string(), "stuck 2026-11-21T08:00:00Z no offer, no identity");

    let causes: Vec<_> = kiosk.connection.refused.iter().map(|refused| refused.cause.as_deref()).collect();
    assert_eq!(causes, [Some("#2 IMSI unknown in HSS"), None]);
    assert_eq!(kiosk.connection.permits.len(), 2);
    assert_eq!(kiosk.connection.owner_since.map(|day| day.to_string()).as_deref(), Some("2026-02-15"));
    assert_eq!(kiosk.connection.swap_requested.map(|day| day.to_string()).as_deref(), Some("2026-11-01"));
    let imeis: Vec<_> = kiosk.connection.history.stays().iter().map(|stay| stay.imei).collect();
    assert_eq!(imeis, [None, "004999010640000".parse().ok(), "004999010640018".parse().ok()]);

    let exported = export(fleet.devices()).unwrap();
    let trails = String::from_utf8(exported.trails).unwrap();
    assert!(trails.starts_with("eid,at,what\n") && trails.contains(",added\n"), "{trails}");
    let (devices, stays) =
        (String::from_utf8(exported.devices).unwrap(), String::from_utf8(exported.stays).unwrap());
    assert_eq!(counts(&import(&records, &devices, &stays).await.unwrap()), (0, 0, 2), "{devices}\n{stays}");
    let other = MemoryRecords::default();
    assert_eq!(counts(&import(&other, &devices, &stays).await.unwrap()), (2, 0, 0));
    assert_eq!(fleet::load(&other).await.unwrap(), fleet);
}

#[tokio::test]
async fn columns_can_have_any_order_and_missing_columns_change_nothing() {
    let (records, (devices, stays)) = (MemoryRecords::default(), full());
    import(&records, &devices, &stays).await.unwrap().added.checked_sub(2).unwrap();
    let update = format!("\u{feff}Label , EID\nNew name,{E1}\n");
    assert_eq!(counts(&import(&records, &update, "").await.unwrap()), (0, 1, 0));
    let fleet = fleet::load(&records).await.unwrap();
    let device = fleet.device(E1.parse().unwrap()).unwrap();
    assert_eq!((&*device.label, device.group.as_ref()), ("New name", "kiosks"));
    assert_eq!(device.connection.history.stays().len(), 3);
    let trail: Vec<String> = device.trail.entries().iter().map(|e| e.event.to_string()).collect();
    assert_eq!(trail, ["added", "changed by a file"]);
    assert!(matches!(device.state, State::Stuck { .. }));
    // An empty cell replaces the state.
    let update = format!("eid,state\n{E1},\n");
    assert_eq!(counts(&import(&records, &update, "").await.unwrap()), (0, 1, 0));
    assert_eq!(
        fleet::load(&records).await.unwrap().device(E1.parse().unwrap()).unwrap().state,
        State::Working
    );
}

#[tokio::test]
async fn the_present_network_becomes_a_stay_after_the_last_one() {
    let records = MemoryRecords::default();
    let row = |network: &str, since: &str| format!("eid,network,home,since\n{E1},{network},GB,{since}\n");
    let stays = async || {
        let fleet = fleet::load(&records).await.unwrap();
        let stays = fleet.devices()[0].connection.history.stays().to_vec();
        stays.iter().map(|stay| (stay.plmn.to_string(), stay.until.is_some())).collect::<Vec<_>>()
    };
    import(&records, &row("724-05", "2026-01-01"), "").await.unwrap();
    assert_eq!(
        counts(&import(&records, &row("724-05", "2026-01-01T17:00:00Z"), "").await.unwrap()),
        (0, 0, 1)
    );
    let with_home = row("724-05", "2026-01-01").replace(",GB,", ",234-15,");
    assert_eq!(
        counts(&import(&records, &with_home, "").await.unwrap()),
        (0, 1, 0),
        "the home network is new"
    );
    assert_eq!(counts(&import(&records, &with_home, "").await.unwrap()), (0, 0, 1));
    import(&records, &row("724-02", "2026-02-01"), "").await.unwrap();
    assert_eq!(stays().await, [("724-05".to_owned(), true), ("724-02".to_owned(), false)]);
    // Another IMEI in the same place is another stay.
    let imei =
        |imei: &str, since: &str| format!("eid,network,home,since,imei\n{E1},724-02,GB,{since},{imei}\n");
    let known = imei("004999010640000", "2026-02-01");
    assert_eq!(counts(&import(&records, &known, "").await.unwrap()), (0, 1, 0), "the IMEI is new");
    assert_eq!(counts(&import(&records, &known, "").await.unwrap()), (0, 0, 1));
    import(&records, &imei("004999010640018", "2026-02-03"), "").await.unwrap();
    assert_eq!(stays().await.len(), 3);
    let bad = import(&records, &imei("4999", "2026-02-04"), "").await.unwrap_err();
    assert!(bad[0].to_string().contains("column imei: \"4999\" is not an IMEI"), "{}", bad[0]);
    let bad = import(&records, &row("724-05", "2026-01-15"), "").await.unwrap_err();
    assert!(bad[0].to_string().starts_with("devices.csv, line 2, column since: at 2026-01-15"), "{}", bad[0]);
}

#[tokio::test]
async fn a_row_can_begin_earlier_or_in_another_network_on_the_day_of_the_last_stay() {
    let records = MemoryRecords::default();
    let row = |network: &str, since: &str| format!("eid,network,home,since\n{E1},{network},GB,{since}\n");
    import(&records, &row("724-05", "2026-01-01T17:00:00Z"), "").await.unwrap();
    let rounded = import(&records, &row("724-05", "2026-01-01"), "").await.unwrap();
    assert_eq!(counts(&rounded), (0, 0, 1));
    import(&records, &row("724-02", "2026-01-01T20:00:00Z"), "").await.unwrap();
    let fleet = fleet::load(&records).await.unwrap();
    let stays = fleet.devices()[0].connection.history.stays();
    let begun: Vec<_> = stays.iter().map(|stay| (stay.plmn.to_string(), stay.from.to_string())).collect();
    let expected = [("724-05", "2026-01-01T17:00:00Z"), ("724-02", "2026-01-01T20:00:00Z")];
    assert_eq!(begun, expected.map(|(network, from)| (network.to_owned(), from.to_owned())));
    // The equipment or the subscription cannot be another one earlier on that day.
    let row = |home: &str, since: &str, imei: &str| {
        format!("eid,network,home,since,imei\n{E1},724-02,{home},{since},{imei}\n")
    };
    let known = row("234-15", "2026-01-01", "004999010640000");
    assert_eq!(
        counts(&import(&records, &known, "").await.unwrap()),
        (0, 1, 0),
        "home network and IMEI are new"
    );
    for (home, imei) in [("234-15", "004999010640018"), ("234-20", "004999010640000")] {
        let bad = import(&records, &row(home, "2026-01-01", imei), "").await.unwrap_err();
        assert_eq!(bad[0].column, Some("since"), "{}", bad[0]);
    }
}

#[tokio::test]
async fn a_bad_row_names_line_and_column_and_prevents_the_import() {
    let records = MemoryRecords::default();
    let cases = [
        ("label", "x", "89049032000000000000000000000164", "column eid: the check digits"),
        ("label", "x", "8.9049E+31", "column eid: \"8.9049E+31\" is not an EID"),
        ("label", "x", "", "column eid: it is empty"),
        ("criticality", "urgent", E1, "column criticality: unknown variant `urgent`"),
        ("profiles", "8944476500001224158 234-15 bootstrap", E1, "does not have four parts"),
        ("profiles", "8944476500001224158 234-15 first enabled", E1, "unknown variant `first`"),
        (
            "profiles",
            "8944476500001224158 234-15 local enabled; 8955031234567890120 724-05 local enabled",
            E1,
            "column profiles: two profiles are enabled",
        ),
        (
            "profiles",
            "8944476500001224158 998-15 local enabled",
            E1,
            "no country is known for network 998-15",
        ),
        ("identities", "Telefonica", E1, "is not a network"),
        ("home", "QQ", E1, "column home: QQ is not a country"),
        ("imei_registered_in", "Brazil", E1, "is not a country code"),
        ("usage_kb", "1.5 MB", E1, "is not a whole number"),
        ("last_seen", "yesterday", E1, "is not a date or a time"),
        ("state", "asleep", E1, "is not a state of a device"),
        ("since", "2026-01-01", E1, "column network: it is empty"),
        ("network", "724-05", E1, "column home: it is empty"),
        ("network,home", "724-05,GB", E1, "column since: it is empty"),
        ("imei", "004999010640000", E1, "column imei: the stay in which it is used is missing"),
        ("label", "a,b", E1, "the row has 3 cells and the heading has 2"),
    ];
    for (column, cell, eid, words) in cases {
        let text = format!("{column},eid\n{cell},{eid}\n");
        let bad = import(&records, &text, "").await.unwrap_err();
        let error = bad[0].to_string();
        assert!(error.starts_with("devices.csv, line 2") && error.contains(words), "{error}");
        assert!(!bad[0].next.is_empty());
    }
    let text = format!("eid,label\n{E1},\"two\nlines\"\n{},b\n{E1},c\n{},d,\n", eid(2), eid(3));
    let bad = import(&records, &text, "").await.unwrap_err();
    let error: Vec<String> = bad.iter().map(ToString::to_string).collect();
    assert!(error[0].starts_with("devices.csv, line 5, column eid: line 2 has the same device"), "{error:?}");
    assert!(error[1].starts_with("devices.csv, line 6: the row has 3 cells"), "{error:?}");
    assert_eq!(fleet::load(&records).await.unwrap().devices().len(), 0);

    let skipped = fleet::import(&records, &rows(&text, ""), NOW, true).await.unwrap();
    assert_eq!((counts(&skipped), skipped.bad.len()), ((2, 0, 0), 2));
    let dry = fleet::dry_run(&records, &rows(&format!("eid\n{}\n", eid(9)), ""), NOW, false).await.unwrap();
    assert_eq!(counts(&dry), (1, 0, 0));
    assert_eq!(fleet::load(&records).await.unwrap().devices().len(), 2);
}

#[tokio::test]
async fn a_bad_stay_names_its_row_and_leaves_the_device_unchanged() {
    let records = MemoryRecords::default();
    let devices = format!("eid\n{E1}\n");
    let stays = |rows: &str| format!("eid,network,home,from,until\n{rows}");
    for (text, words) in [
        (format!("{E1},724-05,GB,2026-02-01,2026-01-01\n"), "line 2, column from: a stay in BR ends at"),
        (
            format!("{E1},724-05,GB,2026-02-01,\n{E1},724-05,GB,2026-03-01,\n"),
            "line 3, column from: the stay in BR",
        ),
        (
            format!("{E1},724-05,GB,2026-02-01,2026-03-01\n{E1},262-01,GB,2026-01-01,2026-02-10\n"),
            "line 2, column from: at 2026-02-01T00:00:00Z is before",
        ),
        (format!("{},724-05,GB,2026-02-01,\n", eid(5)), "line 2, column eid: device"),
        (format!("{E1},724-05,England,2026-02-01,\n"), "line 2, column home"),
        (format!("{E1},,GB,2026-02-01,\n"), "line 2, column network: it is empty"),
    ] {
        let bad = import(&records, &devices, &stays(&text)).await.unwrap_err();
        assert!(bad[0].to_string().contains(words), "{}", bad[0]);
    }
    assert_eq!(fleet::load(&records).await.unwrap().devices().len(), 0);
}

#[test]
fn an_invalid_heading_is_refused() {
    let book = RuleBook::built_in().unwrap();
    for (text, words) in [
        ("eid,colour\n", "there is no column \"colour\""),
        ("eid;label\n", "with commas"),
        ("label\n", "column eid is missing"),
        ("eid,label,eid\n", "occurs twice"),
        ("", "column eid is missing"),
    ] {
        let fault = read_devices(&mut Rows::default(), "d.csv", text.as_bytes(), &book).unwrap_err();
        assert!(fault.to_string().contains(words), "{fault}");
    }
    let mut rows = Rows::default();
    read_devices(&mut rows, "d.csv", b"eid,label\n89049032000000000000000000000163,Ma\xF1ana\n", &book)
        .unwrap();
    assert!(rows.bad[0].to_string().starts_with("d.csv, line 2: "), "{}", rows.bad[0]);
}

#[tokio::test]
async fn a_time_in_the_future_is_a_bad_row() {
    let records = MemoryRecords::default();
    for (columns, cells, column) in [
        ("last_seen", "2030-01-01", "last_seen"),
        ("network,home,since", "724-05,234-15,2027-05-05", "since"),
    ] {
        let bad = import(&records, &format!("eid,{columns}\n{E1},{cells}\n"), "").await.unwrap_err();
        assert_eq!((bad[0].line, bad[0].column), (2, Some(column)), "{bad:?}");
        assert!(bad[0].to_string().contains("is in the future"), "{}", bad[0]);
    }
    import(&records, &format!("eid,last_seen\n{E1},{NOW}\n"), "").await.unwrap();
    let until_now = format!("eid,network,home,from,until\n{E1},724-05,234-15,2026-01-01,{NOW}\n");
    import(&records, &format!("eid\n{E1}\n"), &until_now).await.unwrap();
    for (from, until, column) in [("2027-05-05", "", "from"), ("2026-01-01", "2030-01-01", "until")] {
        let stays = format!("eid,network,home,from,until\n{E1},724-05,234-15,{from},{until}\n");
        let bad = import(&records, &format!("eid\n{E1}\n"), &stays).await.unwrap_err();
        assert_eq!((bad[0].line, bad[0].column), (2, Some(column)), "{bad:?}");
    }
}

#[tokio::test]
async fn an_import_reports_each_stage() {
    let seen = Arc::<Mutex<Vec<(Stage, usize)>>>::default();
    let stages = Arc::clone(&seen);
    let observer = Observer::new(move |stage, done| stages.lock().unwrap().push((stage, done)));
    let mut rows = Rows::default();
    rows.observer = Some(observer);
    let book = RuleBook::built_in().unwrap();
    let devices = format!("eid\n{}\n{}\n", eid(1), eid(2));
    read_devices(&mut rows, "devices.csv", devices.as_bytes(), &book).unwrap();
    let records = MemoryRecords::default();
    fleet::import(&records, &rows, NOW, false).await.unwrap();
    let expected = [Stage::Reading, Stage::Comparing, Stage::Writing].map(|stage| [(stage, 1), (stage, 2)]);
    assert_eq!(*seen.lock().unwrap(), expected.concat());
}
