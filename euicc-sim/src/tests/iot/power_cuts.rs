//! Tests that an IoT card stays consistent after power cuts before and after every write, and between
//! any two commands. The functions that a consumer card has as well are in the table of its tests.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use certs::Pki;
use rsp::der::{Asn1, BitString, Null};
use rsp::sgp32::es10b::{
    AddInitialEimRequest, ConfigureImmediateProfileEnablingRequest, EuiccMemoryResetRequest,
    NotificationSentRequest, SetDefaultDpAddressRequest, reset_options,
};
use rsp::sgp32::package::DeleteEim;
use rsp::sgp32::{Eco, EuiccPackage, EuiccPackageResult, Psmo};
use world::{Cells, Memory, RamMemory};

use super::super::cut_memory::CutMemory;
use super::super::profiles::REFRESHES;
use super::super::testbed::{Testbed, pki};
use super::testbed::{
    Eim, associate, delete, enable, enable_with_rollback, enabled, install, make_iot, results, set_fallback,
};

static PKI: LazyLock<Pki> = LazyLock::new(pki);

fn testbed(memory: impl Memory + 'static) -> Testbed {
    let change = |description: &mut crate::CardDescription| {
        // A card with one key is opened faster.
        description.credentials.truncate(1);
        make_iot(description, |_| {});
    };
    Testbed::with(PKI.clone(), change, memory)
}

/// Profile 1 is enabled, 4 has the Fallback Attribute, 5 is the Emergency Profile. The eIM has sent
/// two packages.
static START: LazyLock<Cells> = LazyLock::new(|| {
    let memory = RamMemory::default();
    let mut testbed = testbed(memory.clone());
    let mut eim = Eim::new("eim-1");
    eim.token = associate(&mut testbed, &eim.configuration());
    for number in 1..=3 {
        install(&mut testbed, number, |_| {});
    }
    install(&mut testbed, 4, |metadata| metadata.fallback_allowed = Some(true));
    install(&mut testbed, 5, |metadata| metadata.ecall_indication = Some(true));
    assert_eq!(eim.run(&mut testbed, [set_fallback(4), enable(1)]), ["8D0100", "830100"]);
    testbed.reset();
    let address = SetDefaultDpAddressRequest { default_dp_address: "old.example.com".to_owned() };
    testbed.es10(&address.to_der()).unwrap();
    memory.load().unwrap()
});

fn eim() -> Eim {
    Eim { counter: 1, token: Some(1), ..Eim::new("eim-1") }
}

/// A function of the card with its expected behaviour.
struct Row {
    /// Tag of the function.
    tag: u16,
    name: &'static str,
    writes: usize,
    /// The conversation. Returns its last response, or an error if the memory or the power failed.
    act: fn(&mut Testbed) -> Result<String, String>,
    answer: &'static str,
    /// Other permitted responses to a repetition.
    again: &'static [&'static str],
    /// The profile that can be enabled after a cut, besides profile 1.
    enabled: &'static [Option<u8>],
}

/// Functions that write nothing.
const NON_WRITING: &[u16] = &[
    // Those of a consumer card: addresses, EUICCInfo, ListNotification, RetrieveNotificationsList,
    // GetProfilesInfo, GetEUICCChallenge, AuthenticateServer, GetRAT, GetEID.
    0xBF3C, 0xBF20, 0xBF22, 0xBF28, 0xBF2B, 0xBF2D, 0xBF2E, 0xBF38, 0xBF43, 0xBF3E,
    // IpaeActivation, GetEimConfigurationData, GetCerts, GetConnectivityParameters.
    0xBF42, 0xBF55, 0xBF56, 0xBF5F,
];

/// Writing functions of a consumer card, which its tests interrupt: PrepareDownload, CancelSession,
/// LoadCRL.
const OF_CONSUMER: &[u16] = &[0xBF21, 0xBF41, 0xBF35];

const ROWS: &[Row] = &[
    Row {
        tag: 0xBF51,
        name: "LoadEuiccPackage, profiles, then reset",
        writes: 2,
        act: |testbed| {
            let answer = load(testbed, [delete(3), enable(2)])?;
            reset(testbed)?;
            Ok(answer)
        },
        answer: "850100 830100",
        again: &["replay"],
        enabled: &[Some(2)],
    },
    Row {
        tag: 0xBF51,
        name: "LoadEuiccPackage, profiles, then REFRESH",
        writes: 2,
        act: |testbed| {
            command(testbed, REFRESHES)?;
            let answer = load(testbed, [enable_with_rollback(2)])?;
            refresh(testbed)?;
            Ok(answer)
        },
        answer: "830100",
        again: &["replay"],
        enabled: &[Some(2)],
    },
    Row {
        tag: 0xBF51,
        name: "LoadEuiccPackage, configuration of eIMs",
        writes: 1,
        act: |testbed| {
            let two = Eco::AddEim(Box::new(Eim::new("eim-2").configuration()));
            let delete = Eco::DeleteEim(DeleteEim { eim_id: "eim-1".to_owned() });
            load_package(testbed, EuiccPackage::of_ecos([two, delete]))
        },
        answer: "A803840102 890100",
        // The eIM no longer exists.
        again: &["unsigned"],
        enabled: &[],
    },
    Row {
        tag: 0xBF58,
        name: "ProfileRollback",
        writes: 3,
        act: |testbed| {
            if load(testbed, [enable_with_rollback(2)])? == "830100" {
                reset(testbed)?;
            }
            let answer = text(testbed, "BF5803800100")?;
            // The signed result follows the code.
            Ok(if answer[6..].starts_with("020100BF51") { "rolled back".to_owned() } else { answer })
        },
        answer: "rolled back",
        // The rollback was performed, so that the permission has ended.
        again: &["BF5803020101"],
        enabled: &[Some(2)],
    },
    Row {
        tag: 0xBF5D,
        name: "ExecuteFallbackMechanism, and the return",
        writes: 2,
        act: |testbed| {
            text(testbed, "BF5D03800100")?;
            text(testbed, "BF5E03800100")
        },
        answer: "BF5E03800100",
        again: &[],
        enabled: &[Some(4)],
    },
    Row {
        tag: 0xBF5E,
        name: "ExecuteFallbackMechanism and the return, with reset",
        writes: 4,
        act: |testbed| {
            text(testbed, "BF5D038001FF")?;
            reset(testbed)?;
            let answer = text(testbed, "BF5E038001FF")?;
            reset(testbed)?;
            Ok(answer)
        },
        answer: "BF5E03800100",
        again: &[],
        enabled: &[Some(4)],
    },
    Row {
        tag: 0xBF5B,
        name: "EnableEmergencyProfile",
        writes: 1,
        act: |testbed| text(testbed, "BF5B03800100"),
        answer: "BF5B03800100",
        again: &["BF5B03800102"],
        enabled: &[Some(5)],
    },
    Row {
        tag: 0xBF5C,
        name: "EnableEmergencyProfile and DisableEmergencyProfile, with reset",
        writes: 4,
        act: |testbed| {
            text(testbed, "BF5B038001FF")?;
            reset(testbed)?;
            let answer = text(testbed, "BF5C038001FF")?;
            reset(testbed)?;
            Ok(answer)
        },
        answer: "BF5C03800100",
        again: &[],
        enabled: &[Some(5)],
    },
    Row {
        tag: 0xBF57,
        name: "eUICCMemoryReset of the eIMs, AddInitialEim",
        writes: 2,
        act: |testbed| {
            memory_reset(testbed, &[reset_options::RESET_EIM_CONFIG_DATA])?;
            let eims = vec![Eim::new("eim-1").configuration()];
            bytes(testbed, &AddInitialEimRequest { eim_configuration_data_list: eims }.to_der())
        },
        answer: "BF5705A003840102",
        // The repetition gets the next token.
        again: &["BF5705A003840103"],
        enabled: &[],
    },
    Row {
        tag: 0xBF64,
        name: "eUICCMemoryReset of everything",
        writes: 1,
        act: |testbed| {
            let all: Vec<usize> = (0..=reset_options::RESET_IMMEDIATE_ENABLE_CONFIG).collect();
            memory_reset(testbed, &all)
        },
        answer: "BF6409800100810100820100",
        again: &["BF6409800101810101820100"],
        enabled: &[None],
    },
    Row {
        tag: 0xBF59,
        name: "eUICCMemoryReset of the eIMs, ConfigureImmediateProfileEnabling, ImmediateEnable",
        writes: 5,
        act: |testbed| {
            memory_reset(testbed, &[reset_options::RESET_EIM_CONFIG_DATA])?;
            configure_immediate(testbed)?;
            immediate(testbed, "BF5A03800100")
        },
        answer: "BF5A03800100",
        again: &["not installed"],
        enabled: &[Some(6)],
    },
    Row {
        tag: 0xBF5A,
        name: "ImmediateEnable after a package, with reset",
        writes: 5,
        act: |testbed| {
            load(testbed, [Psmo::ConfigureImmediateEnable(immediate_enable())])?;
            let answer = immediate(testbed, "BF5A038001FF")?;
            reset(testbed)?;
            Ok(answer)
        },
        answer: "BF5A03800100",
        again: &["not installed"],
        enabled: &[Some(6)],
    },
    Row {
        tag: 0xBF65,
        name: "SetDefaultDpAddress",
        writes: 1,
        act: |testbed| {
            let address = SetDefaultDpAddressRequest { default_dp_address: "new.example.com".to_owned() };
            bytes(testbed, &address.to_der())
        },
        answer: "BF6503800100",
        again: &[],
        enabled: &[],
    },
    Row {
        tag: 0xBF30,
        name: "RemoveNotificationFromList of a result",
        writes: 1,
        act: |testbed| {
            let seq_number = testbed.state().iot().results.first().map_or(0, |each| each.sequence_number);
            bytes(testbed, &NotificationSentRequest { seq_number }.to_der())
        },
        answer: "BF3003800100",
        again: &["BF3003800101"],
        enabled: &[],
    },
];

fn load(testbed: &mut Testbed, operations: impl IntoIterator<Item = Psmo>) -> Result<String, String> {
    load_package(testbed, EuiccPackage::of_psmos(operations))
}

/// Sends the second package of the eIM. Returns the results of the operations.
fn load_package(testbed: &mut Testbed, package: EuiccPackage) -> Result<String, String> {
    let mut eim = eim();
    let request = eim.package(testbed, package);
    let result: EuiccPackageResult = testbed.try_call(&request)?;
    Ok(match &result {
        EuiccPackageResult::EuiccPackageResultSigned(signed) => {
            results(&signed.euicc_package_result_data_signed).join(" ")
        }
        EuiccPackageResult::EuiccPackageErrorSigned(error) => {
            match error.euicc_package_error_data_signed.euicc_package_error_code.0 {
                4 => "replay".to_owned(),
                code => code.to_string(),
            }
        }
        EuiccPackageResult::EuiccPackageErrorUnsigned(_) => "unsigned".to_owned(),
    })
}

fn bytes(testbed: &mut Testbed, request: &[u8]) -> Result<String, String> {
    testbed.es10(request).map(hex::encode_upper)
}

fn text(testbed: &mut Testbed, request: &str) -> Result<String, String> {
    bytes(testbed, &hex::decode(request).unwrap())
}

fn memory_reset(testbed: &mut Testbed, options: &[usize]) -> Result<String, String> {
    bytes(testbed, &EuiccMemoryResetRequest { reset_options: BitString::of(options) }.to_der())
}

fn immediate_enable() -> ConfigureImmediateProfileEnablingRequest {
    ConfigureImmediateProfileEnablingRequest {
        immediate_enable_flag: Some(Null),
        ..ConfigureImmediateProfileEnablingRequest::default()
    }
}

fn configure_immediate(testbed: &mut Testbed) -> Result<String, String> {
    bytes(testbed, &immediate_enable().to_der())
}

/// Downloads profile 6 and enables it.
fn immediate(testbed: &mut Testbed, request: &str) -> Result<String, String> {
    use super::super::server::{Server, TestPackage, outcome};
    let server = Server::new(testbed, crypto::Curve::P256);
    let test_package = TestPackage::small(&super::testbed::iccid(6).to_string());
    match outcome(&server.try_download(testbed, &test_package)?) {
        Ok(()) => text(testbed, request),
        Err(_) => Ok("not installed".to_owned()),
    }
}

fn reset(testbed: &mut Testbed) -> Result<(), String> {
    if testbed.power == Some(0) {
        return Err("no power".to_owned());
    }
    testbed.reset();
    Ok(())
}

fn refresh(testbed: &mut Testbed) -> Result<(), String> {
    command(testbed, "801200000B")?;
    command(testbed, "801400000C810301010482028281830100").map(drop)
}

fn command(testbed: &mut Testbed, command: &str) -> Result<String, String> {
    match testbed.apdu(command) {
        answer if answer.is_empty() || answer == "6581" => Err(answer),
        answer => Ok(answer),
    }
}

#[test]
fn functions_are_atomic_after_every_power_cut() {
    for row in ROWS {
        let whole = CutMemory::intact(START.clone());
        let mut testbed_of_row = testbed(whole.clone());
        testbed_of_row.power = Some(usize::MAX);
        assert_eq!((row.act)(&mut testbed_of_row).as_deref(), Ok(row.answer), "{}", row.name);
        let commands = usize::MAX - testbed_of_row.power.unwrap();
        let mut states = vec![START.clone()];
        states.extend(whole.written());
        assert_eq!(states.len() - 1, row.writes, "writes of {}", row.name);

        for write in 0..row.writes {
            for after in [false, true] {
                let memory = CutMemory::new(START.clone(), write, after);
                let cut = if after { "after" } else { "before" };
                let what = format!("{}, cut {cut} write {write}", row.name);
                // The result is ignored, because a switch that fails at a reset is not reported.
                let _ = (row.act)(&mut testbed(memory.clone()));
                assert!(memory.cells() == states[write + usize::from(after)], "{what}");
                assert_consistent(row, &memory.cells(), &what);
            }
        }
        for cut in 0..commands {
            let memory = CutMemory::intact(START.clone());
            let mut testbed = testbed(memory.clone());
            testbed.power = Some(cut);
            let what = format!("{}, cut before command {cut} of {commands}", row.name);
            (row.act)(&mut testbed).expect_err(&what);
            assert!(memory.cells() == states[memory.writes()], "{what}");
        }
    }
}

/// Asserts that the card has one of the expected profiles enabled, that its results can be retrieved,
/// and that the function can be repeated.
fn assert_consistent(row: &Row, cells: &Cells, what: &str) {
    let mut testbed_of_state = testbed(RamMemory::of(cells.clone()));
    let now = enabled(&mut testbed_of_state);
    assert!(now == Some(1) || row.enabled.contains(&now), "{what}: {now:?} is enabled");
    let stored = testbed_of_state.state().iot().results.clone();
    let numbers: BTreeSet<i64> = stored.iter().map(|result| result.sequence_number).collect();
    assert_eq!(numbers.len(), stored.len(), "{what}");
    assert!(numbers.iter().all(|number| *number < testbed_of_state.next_sequence_number()), "{what}");
    let retrieved = testbed_of_state.es10_text("BF2B04A0028200");
    for result in stored {
        assert!(retrieved.contains(&hex::encode_upper(result.signed.0.bytes())), "{what}");
    }
    let again = (row.act)(&mut testbed_of_state).unwrap_or_else(|status| panic!("{what}, again: {status}"));
    assert!(again == row.answer || row.again.contains(&again.as_str()), "{what}, again: {again}");
}

/// The package was executed, but its result was lost.
#[test]
fn the_result_of_an_interrupted_package_is_retrieved() {
    let memory = CutMemory::new(START.clone(), 0, true);
    let mut cut = testbed(memory.clone());
    assert_eq!(load(&mut cut, [delete(3)]), Err("6581".to_owned()));
    let mut testbed = testbed(RamMemory::of(memory.cells()));
    assert_eq!(load(&mut testbed, [delete(3)]).as_deref(), Ok("replay"));
    let newest = testbed.state().iot().results.last().unwrap().clone();
    let mut eim = eim();
    eim.counter += 1;
    assert_eq!(results(&eim.verified(&testbed, &newest.signed.0)), ["850100"]);
}

#[test]
fn every_function_is_in_the_table() {
    let known = ROWS.iter().map(|row| row.tag).chain(NON_WRITING.iter().chain(OF_CONSUMER).copied());
    let known: BTreeSet<u16> = known.collect();
    let mut found = BTreeSet::new();
    let mut testbed = testbed(RamMemory::of(START.clone()));
    for number in 0x20..=0x7F {
        // BF36 is the bound profile package.
        if number != 0x36 && testbed.es10(&[0xBF, number, 0]) != Err("6A88".to_owned()) {
            found.insert(0xBF00 | u16::from(number));
        }
    }
    let only = |one: &BTreeSet<u16>, other| one.difference(other).copied().collect::<Vec<_>>();
    let (without_row, without_function) = (only(&found, &known), only(&known, &found));
    assert!(without_row.is_empty(), "functions without a row: {without_row:04X?}");
    assert!(without_function.is_empty(), "rows without a function: {without_function:04X?}");
}
