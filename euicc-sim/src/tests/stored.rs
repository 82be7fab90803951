//! Tests that the memory of each release can be read. The folder `tests/stored` of the crate has a
//! fixture for each stored form. A fixture is a JSON object with all cells: file contents in
//! hexadecimal, other cells as their JSON.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crypto::Curve;
use rsp::ids::{Eid, Iccid};
use serde_json::{Value, json};
use world::{Cells, Content, Memory, RamMemory};

use super::download::ICCID;
use super::server::{Server, TestPackage, outcome};
use super::testbed::{Testbed, pki};
use crate::shared::Shared;
use crate::state::{ConsumerState, Persistent};
use crate::stored::{self, STORED_FORM, StoredKind};

/// Maximum size of a fixture.
const MAX_OCTETS: usize = 100_000;

type Fixture = BTreeMap<String, Value>;

/// True if the cell has file contents. They are stored as octets.
fn has_octets(cell: &str) -> bool {
    cell.starts_with("profile/") && (cell.ends_with("/contents") || cell.contains("/content/"))
}

fn to_fixture(cells: &Cells) -> Fixture {
    let value = |(cell, content): (&String, &Content)| match has_octets(cell) {
        true => (cell.clone(), hex::encode(content.to_vec()).into()),
        false => (cell.clone(), content.from_json().unwrap()),
    };
    cells.iter().map(value).collect()
}

fn to_cells(fixture: &Fixture) -> Cells {
    let content = |(cell, value): (&String, &Value)| match has_octets(cell) {
        true => (cell.clone(), hex::decode(value.as_str().unwrap()).unwrap().into()),
        false => (cell.clone(), Content::json(value).unwrap()),
    };
    fixture.iter().map(content).collect()
}

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "stored", name].iter().collect()
}

/// The memory of a new consumer card.
pub(crate) fn new_consumer_card(eid: Eid) -> Cells {
    let (persistent, state) = (Persistent::new(eid), ConsumerState::new(None));
    let mut cells = Cells::new();
    stored::changes(None, (&persistent, &state), &Shared::default()).unwrap().apply_to(&mut cells);
    cells
}

/// Writes the cells to a fixture if `LANDFALL_REGENERATE` is set.
pub(crate) fn regenerate(name: &str, cells: impl FnOnce() -> Cells) {
    if std::env::var_os("LANDFALL_REGENERATE").is_some() {
        std::fs::create_dir_all(path("")).unwrap();
        let text = serde_json::to_string_pretty(&to_fixture(&cells())).unwrap();
        std::fs::write(path(name), text + "\n").unwrap();
    }
}

/// Checks a fixture and returns its cells:
///
/// - It can be read, and the state that was read has the same cells, so that no field was skipped.
/// - Another version, and a cell with an unknown or a renamed field, are refused.
#[track_caller]
pub(crate) fn checked(name: &str, eid: Eid) -> Cells {
    let text = std::fs::read_to_string(path(name)).unwrap();
    assert!(text.len() <= MAX_OCTETS, "{name} has {} octets", text.len());
    let fixture: Fixture = serde_json::from_str(&text).unwrap();
    let shared = Arc::new(Shared::default());
    let load = |fixture: &Fixture| stored::load(to_cells(fixture), eid, &shared);

    let (read, kind) = load(&fixture).unwrap_or_else(|fault| panic!("{fault}")).unwrap();
    let batch = match &kind {
        StoredKind::Consumer(state) => stored::changes(None, (&read, state), &shared),
        StoredKind::M2m(state) => stored::changes(None, (&read, &**state), &shared),
    };
    let mut written = Cells::new();
    batch.unwrap().apply_to(&mut written);
    let written = to_fixture(&written);
    let names = written.keys().chain(fixture.keys());
    let differs = names.filter(|cell| written.get(*cell) != fixture.get(*cell)).collect::<Vec<_>>();
    assert!(differs.is_empty(), "{name} is written with other cells: {differs:?}");

    let mut later = fixture.clone();
    later.get_mut("card").unwrap()["stored_form"] = json!(STORED_FORM + 1);
    let fault = load(&later).unwrap_err();
    assert!(fault.why.contains("has stored form"), "{fault}");
    let mut later = fixture.clone();
    later.insert("unknown-cell".to_owned(), Value::Null);
    let fault = load(&later).unwrap_err();
    assert!(fault.why.contains("unknown-cell is unknown"), "{fault}");

    for (cell, value) in &fixture {
        let Value::Object(fields) = value else { continue };
        for field in std::iter::once(None).chain(fields.keys().map(Some)) {
            let mut changed = fixture.clone();
            let object = changed.get_mut(cell).and_then(Value::as_object_mut).unwrap();
            let value = field.map_or(Some(Value::Null), |field| object.remove(field));
            object.insert("unknown-field".to_owned(), value.unwrap());
            let Err(fault) = load(&changed) else { panic!("{cell} is read without its field {field:?}") };
            assert!(fault.why.contains(&format!("cell {cell} cannot be read")), "{fault}");
        }
    }
    to_cells(&fixture)
}

/// The ICCID of a second profile.
fn other_iccid() -> Iccid {
    (0..10).find_map(|check| format!("8900012345678901235{check}").parse().ok()).unwrap()
}

#[test]
fn the_memory_of_a_consumer_card_of_each_release_can_be_read() {
    let name = "consumer-0.1.json";
    regenerate(name, || {
        let memory = RamMemory::default();
        let mut testbed = Testbed::with(pki(), |_| {}, memory.clone());
        for iccid in [ICCID.to_owned(), other_iccid().to_string()] {
            let server = Server::new(&testbed, Curve::P256);
            assert_eq!(outcome(&server.download(&mut testbed, &TestPackage::small(&iccid))), Ok(()));
        }
        testbed.enable(ICCID.parse().unwrap(), false);
        // A third download begins, so that the card keeps a one-time key.
        Server::new(&testbed, Curve::P256).prepare(&mut testbed);
        memory.load().unwrap()
    });
    let eid = super::testbed::description(&pki()).eid;
    let cells = checked(name, eid);
    let mut testbed = Testbed::with(pki(), |_| {}, RamMemory::of(cells.clone()));
    let profiles: Vec<Option<Iccid>> = testbed.profiles().iter().map(|profile| profile.iccid).collect();
    assert_eq!(profiles, [Some(ICCID.parse().unwrap()), Some(other_iccid())]);
    assert_eq!((testbed.state().notifications.len(), testbed.state().one_time_keys.len()), (3, 1));
    let enabled = testbed.card.persistent.enabled_profile().unwrap();
    assert_eq!(enabled.iccid(), ICCID.parse().unwrap());
    // Two installations and one profile switch have each created a notification that nobody has
    // retrieved.
    assert_eq!(testbed.next_sequence_number(), 4);
}
