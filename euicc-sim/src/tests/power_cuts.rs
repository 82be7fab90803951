//! Tests that the card stays consistent after power cuts before and after every write, and between
//! any two commands.
//!
//! [`rows`] is the table of all functions of the card. Each row is interrupted at every point. The
//! memory after a power cut must be the one before or after one of the row's writes, and each of
//! these states must be a consistent card. The interrupted function can be repeated, and after each
//! row another download succeeds.

mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use certs::Pki;
use crypto::Curve;
use rsp::der::{Tag, tlv};
use rsp::ids::{Eid, Iccid};
use rsp::sgp22::es10b::{
    GetEuiccInfo2Request, ListNotificationRequest, ListNotificationResponse, SetDefaultDpAddressRequest,
    SetDefaultDpAddressResponse,
};
use rsp::sgp22::es10c::{DisableResult, EnableResult};
use rsp::sgp22::{EuiccInfo2, ProfileClass, ProfileState};
use world::{Cells, Content, Memory, RamMemory};

use super::cut_memory::CutMemory;
use super::server::{Server, TestPackage, outcome};
use super::stored::new_consumer_card;
use super::testbed::{Testbed, pki};
use rows::{Function, NON_WRITING, ROWS, Row, SELECT_USIM};

static PKI: LazyLock<Pki> = LazyLock::new(pki);

fn testbed(memory: impl Memory + 'static) -> Testbed {
    // One key is enough, and a card with one key is opened faster.
    Testbed::with(PKI.clone(), |description| description.credentials.truncate(1), memory)
}

/// The initial card of every row.
struct Start {
    cells: Cells,
    /// The memory for profiles on a new card in octets, and the memory that each profile takes.
    all: u32,
    charged: BTreeMap<Iccid, u32>,
}

/// Three profiles: 1 is enabled, 2 is disabled, 3 is a disabled test profile. The card has a
/// default SM-DP+ address.
static START: LazyLock<Start> = LazyLock::new(|| {
    let memory = RamMemory::default();
    let mut testbed = testbed(memory.clone());
    let all = free(&mut testbed);
    let mut charged = BTreeMap::new();
    let mut install = |testbed: &mut Testbed, test_package: &TestPackage| {
        let before = free(testbed);
        let server = Server::new(testbed, Curve::P256);
        assert_eq!(outcome(&server.download(testbed, test_package)), Ok(()));
        charged.insert(test_package.iccid(), before - free(testbed));
    };
    for number in [1, 2, 3] {
        install(&mut testbed, &test_package(number));
    }
    assert_eq!(testbed.enable(test_package(1).iccid(), false), EnableResult::OK);
    let address = SetDefaultDpAddressRequest { default_dp_address: "old.example.com".to_owned() };
    testbed.call::<SetDefaultDpAddressResponse>(&address);
    let cells = memory.load().unwrap();
    // The profiles that the rows and the checks install.
    for number in [rows::DOWNLOADED, AGAIN] {
        install(&mut testbed, &test_package(number));
    }
    Start { cells, all, charged }
});

/// The profile that the checks install.
const AGAIN: u8 = 9;

/// A package built by the test; number 3 is a test profile.
fn test_package(number: u8) -> TestPackage {
    let mut test_package = TestPackage::of(rows::package(number).encode());
    if number == 3 {
        test_package.metadata.profile_class = Some(ProfileClass::TEST);
    }
    test_package
}

fn free(testbed: &mut Testbed) -> u32 {
    let info: EuiccInfo2 = testbed.call(&GetEuiccInfo2Request {});
    let free = tlv::find(&info.ext_card_resource, Tag(0x82)).unwrap().unwrap();
    u32::from_be_bytes(free[2..].try_into().unwrap())
}

/// The sequence numbers of the listed notifications.
fn numbers(testbed: &mut Testbed) -> Vec<i64> {
    match testbed.call(&ListNotificationRequest { profile_management_operation: None }) {
        ListNotificationResponse::NotificationMetadataList(list) => {
            list.iter().map(|notification| notification.seq_number).collect()
        }
        ListNotificationResponse::ListNotificationsResultError(code) => panic!("{code}"),
    }
}

fn every_cut(rows: &[Row]) {
    let mut seen_at_start = BTreeSet::new();
    assert_consistent(&START.cells, &mut seen_at_start, "initial card");
    for row in rows {
        let whole = CutMemory::intact(START.cells.clone());
        let mut testbed_of_row = testbed(whole.clone());
        testbed_of_row.power = Some(usize::MAX);
        assert_eq!((row.act)(&mut testbed_of_row).as_deref(), Ok(row.answer), "{}", row.name);
        let commands = usize::MAX - testbed_of_row.power.unwrap();
        let mut states = vec![START.cells.clone()];
        states.extend(whole.written());
        assert_eq!(states.len() - 1, row.writes, "writes of {}", row.name);

        for write in 0..row.writes {
            for after in [false, true] {
                let memory = CutMemory::new(START.cells.clone(), write, after);
                let what =
                    format!("{}, cut {} write {write}", row.name, if after { "after" } else { "before" });
                // The result is ignored, because a switch that fails at a reset is not reported.
                let _ = (row.act)(&mut testbed(memory.clone()));
                assert!(memory.cells() == states[write + usize::from(after)], "{what}");
            }
        }
        // A download is interrupted between commands only in the row of the accepted package, not
        // in the rows of refused packages.
        let commands = if row.function == Function::Loading && row.again.is_empty() { 0 } else { commands };
        let mut so_far = 0;
        for command in 0..commands {
            let memory = CutMemory::intact(START.cells.clone());
            let mut testbed = testbed(memory.clone());
            testbed.power = Some(command);
            let what = format!("{}, cut before command {command} of {commands}", row.name);
            (row.act)(&mut testbed).expect_err(&what);
            assert!(so_far <= memory.writes() && memory.cells() == states[memory.writes()], "{what}");
            so_far = memory.writes();
        }

        let mut seen = seen_at_start.clone();
        for (write, cells) in states.iter().enumerate().skip(1) {
            let what = format!("{} after {write} writes", row.name);
            assert_consistent(cells, &mut seen, &what);
            let mut testbed = assert_repeatable(row, cells, &what);
            if write == row.writes {
                testbed.reset();
                let server = Server::new(&testbed, Curve::P256);
                assert_eq!(outcome(&server.download(&mut testbed, &test_package(AGAIN))), Ok(()), "{what}");
            }
        }
    }
}

/// Asserts that the card responds, its profiles work, its memory is accounted for, and sequence
/// numbers are not reused. `seen` are the numbers of earlier notifications.
fn assert_consistent(cells: &Cells, seen: &mut BTreeSet<i64>, what: &str) {
    let mut testbed = testbed(RamMemory::of(cells.clone()));
    let profiles = testbed.profiles();
    let is_enabled = |state: Option<ProfileState>| state == Some(ProfileState::ENABLED);
    assert!(profiles.iter().filter(|each| is_enabled(each.profile_state)).count() <= 1, "{what}");
    // The memory that the profile took at its installation, and the memory of the data objects that
    // were added since then.
    let charged = testbed.card.persistent.profiles.iter().map(|profile| {
        let files = &profile.content.files;
        let installed: usize = files.image().contents.iter().map(|content| content.len()).sum();
        START.charged[&profile.iccid()] + u32::try_from(files.memory() - installed).unwrap()
    });
    let charged: u32 = charged.sum();
    assert_eq!(free(&mut testbed) + charged, START.all, "{what}: memory");
    let listed = numbers(&mut testbed);
    assert!(listed.is_sorted_by(|one, next| one < next), "{what}: {listed:?}");
    seen.extend(listed);
    let last = *seen.last().unwrap();

    for profile in &profiles {
        let iccid = profile.iccid.unwrap();
        // A test profile can be replaced only by its predecessor, so all profiles are disabled
        // first.
        while let Some(enabled) = testbed.profiles().iter().find(|each| is_enabled(each.profile_state)) {
            assert_eq!(testbed.disable(enabled.iccid.unwrap(), false), DisableResult::OK, "{what}");
        }
        assert_eq!(testbed.enable(iccid, false), EnableResult::OK, "{what}: {iccid}");
        testbed.reset();
        testbed.expect("00A4000C022FE2", "9000");
        let ef_iccid: Vec<u8> = iccid.to_profile_header().iter().map(|octet| octet.rotate_left(4)).collect();
        assert_eq!(testbed.read("00B000000A"), hex::encode_upper(ef_iccid), "{what}");
        testbed.expect(SELECT_USIM, "9000");
        // The user PIN, if a row has enabled it, or the one set by UNBLOCK PIN.
        for code in ["30303030", "34343434"] {
            // A wrong PIN after the right one would revoke the verification.
            if testbed.apdu(&format!("0020000108{code}FFFFFFFF")) == "9000" {
                break;
            }
        }
        testbed.expect("00A4000C026F07", "9000");
        assert_eq!(testbed.read("00B0000009").len(), 18, "{what}");
        let files = &testbed.card.persistent.enabled_profile().unwrap().content.files;
        for (index, file) in files.all() {
            assert_eq!(files.content(index).is_none(), file.kind.is_directory(), "{what}: {}", file.fid);
        }
    }
    let new: Vec<i64> = numbers(&mut testbed).into_iter().filter(|number| *number > last).collect();
    assert!(profiles.is_empty() || !new.is_empty(), "{what}: a sequence number was reused");
}

/// Asserts that the interrupted function can be repeated.
fn assert_repeatable(row: &Row, cells: &Cells, what: &str) -> Testbed {
    let mut testbed = testbed(RamMemory::of(cells.clone()));
    let again = (row.act)(&mut testbed).unwrap_or_else(|status| panic!("{what}, again: {status}"));
    assert!(again == row.answer || row.again.contains(&again.as_str()), "{what}, again: {again}");
    testbed
}

#[test]
fn es10_functions_are_atomic_after_every_power_cut() {
    let rows = ROWS.iter().filter(|row| matches!(row.function, Function::Es10(_))).cloned();
    every_cut(&rows.collect::<Vec<_>>());
}

#[test]
fn loading_a_package_is_atomic_after_every_power_cut() {
    let rows = ROWS.iter().filter(|row| matches!(row.function, Function::Loading)).cloned();
    every_cut(&rows.collect::<Vec<_>>());
}

#[test]
fn uicc_commands_are_atomic_after_every_power_cut() {
    let rows = ROWS.iter().filter(|row| matches!(row.function, Function::Uicc(_))).cloned();
    every_cut(&rows.collect::<Vec<_>>());
}

/// Every function that the card supports must be in the table.
#[test]
fn every_function_is_in_the_table() {
    let known: BTreeSet<Function> =
        ROWS.iter().map(|row| row.function).chain(NON_WRITING.iter().copied()).collect();
    let mut found = BTreeSet::from([Function::Loading]);
    let mut testbed = testbed(RamMemory::of(START.cells.clone()));
    for number in 0x20..=0x7F {
        let tag = 0xBF00 | u16::from(number);
        if tag != 0xBF36 && testbed.es10(&[0xBF, number, 0]) != Err("6A88".to_owned()) {
            found.insert(Function::Es10(tag));
        }
    }
    for ins in 0..=0xFFu8 {
        for class in [0x00, 0x80] {
            testbed.expect(SELECT_USIM, "9000");
            let answer = testbed.apdu(&format!("{class:02X}{ins:02X}0000"));
            if !matches!(answer.as_str(), "6D00" | "6E00") {
                found.insert(Function::Uicc(ins));
            }
        }
    }
    let only = |one: &BTreeSet<Function>, other| one.difference(other).copied().collect::<Vec<_>>();
    let (without_row, without_function) = (only(&found, &known), only(&known, &found));
    assert!(without_row.is_empty(), "functions without a row: {without_row:02X?}");
    assert!(without_function.is_empty(), "rows without a function: {without_function:02X?}");
}

#[test]
fn a_memory_that_cannot_be_written_refuses_the_command_and_changes_nothing() {
    let memory = CutMemory::new(Cells::new(), 0, false);
    let mut testbed = testbed(memory.clone());
    assert_eq!(
        testbed.es10(&hex::decode("BF3F068004").unwrap().into_iter().chain(*b"a.bc").collect::<Vec<_>>()),
        Err("6581".to_owned())
    );
    let addresses = testbed.es10(&[0xBF, 0x3C, 0]).unwrap();
    assert_eq!(hex::encode(addresses), format!("bf3c128110{}", hex::encode("smds.example.com")));
    assert!(memory.cells().is_empty());
}

#[test]
fn unchanged_state_is_not_written() {
    for cells in [Cells::new(), START.cells.clone()] {
        let memory = CutMemory::intact(cells);
        let mut testbed = testbed(memory.clone());
        testbed.profiles();
        testbed.es10(&[0xBF, 0x2E, 0]).unwrap();
        testbed.reset();
        assert_eq!(memory.writes(), 0);
    }
}

/// The approximate number of octets of the changed cells.
fn octets(before: &Cells, after: &Cells) -> usize {
    let changed = after.iter().filter(|(name, content)| before.get(*name) != Some(content));
    changed.map(|(name, content)| name.len() + content.len()).sum()
}

#[test]
fn a_change_of_one_file_is_written_without_the_others() {
    for (ins, most) in [(0xD6, 100), (0xDC, 100), (0x24, 800), (0x88, 1500)] {
        let row = ROWS.iter().find(|row| row.function == Function::Uicc(ins)).unwrap();
        let memory = CutMemory::intact(START.cells.clone());
        (row.act)(&mut testbed(memory.clone())).unwrap();
        let written = octets(&START.cells, &memory.cells());
        assert!((1..most).contains(&written), "{}: {written} octets", row.name);
    }
}

#[test]
fn the_memory_of_another_card_or_of_no_card_is_refused() {
    use crate::Card;
    let open = |cells: Cells| {
        let world = world::World::new(
            world::ManualClock::at(rsp::time::Timestamp(0)),
            world::SeededRandom::from_text("x"),
        );
        let opened = Card::open(super::testbed::description(&PKI), RamMemory::of(cells), world);
        opened.map(drop).unwrap_err().to_string()
    };
    let one = |cell: &str, content: Content| open(Cells::from([(cell.to_owned(), content)]));
    let new = |eid: Eid| new_consumer_card(eid).remove("card").unwrap();
    assert!(one("card", b"{".to_vec().into()).contains("restore the memory from a backup"));
    let own = super::testbed::description(&PKI).eid;
    assert!(one("cart", new(own)).contains("its cell card is missing"));
    let other = new("89001012012341234012345678901224".parse().unwrap());
    assert!(one("card", other.clone()).contains("belongs to card 8900101"));
    let mut later: serde_json::Value = other.from_json().unwrap();
    later["stored_form"] = 99.into();
    assert!(one("card", Content::json(&later).unwrap()).contains("stored form 99"));

    // Every cell of a profile is required, and unknown cells are refused.
    for cell in START.cells.keys().filter(|name| name.starts_with("profile/")) {
        let mut cells = START.cells.clone();
        cells.remove(cell);
        let fault = open(cells);
        assert!(fault.contains("is missing") || fault.contains("is unknown"), "without {cell}: {fault}");
    }
    let mut cells = START.cells.clone();
    cells.insert("profil/x".to_owned(), Content::from(vec![]));
    assert!(open(cells).contains("its cell profil/x is unknown"));
}
