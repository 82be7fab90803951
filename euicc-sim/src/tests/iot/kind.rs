//! The kind of the card: SELECT, EUICCInfo2, TERMINAL CAPABILITY, functions that it has and lacks.

use rsp::der::{Null, Tag, tlv};
use rsp::ids::Version;
use rsp::sgp22::EuiccInfo2;
use rsp::sgp22::es10b::GetEuiccInfo2Request;
use rsp::sgp32::es10b::IsdrProprietaryApplicationTemplateIot;
use world::RamMemory;

use super::super::testbed::{Testbed, pki};
use super::testbed::{Eim, card, card_in_use, make_iot};
use crate::{IotVersion, TerminalCapabilityRule};

const SELECT_ISD_R: &str = "00A4040010A0000005591010FFFFFFFF8900000100";

#[test]
fn select_returns_the_iot_template_with_the_state_of_the_profiles() {
    let mut testbed = card(|_| {});
    testbed.expect("0070000001", "019000");
    let select = SELECT_ISD_R.replacen("00A4", "01A4", 1);
    let response = testbed.read(&select);
    assert!(response.ends_with("A5049F6501FFE0058203020600E103800100"), "{response}");
    let (mut testbed, _) = card_in_use(|_| {});
    testbed.expect("0070000001", "019000");
    let response = testbed.read(&select);
    assert!(response.ends_with("A5049F6501FFE0058203020600E10480020640"), "{response}");
    let octets = hex::decode(response).unwrap();
    assert!(IsdrProprietaryApplicationTemplateIot::in_select_response(&octets).unwrap().is_some());

    let mut testbed = card(|iot| iot.template_in_a5 = true);
    testbed.expect("0070000001", "019000");
    let response = testbed.read(&select);
    assert!(response.ends_with("A5099F6501FFE103800100E0058203020600"), "{response}");
}

#[test]
fn euicc_info2_has_the_iot_part() {
    let mut testbed = card(|iot| {
        iot.version = IotVersion::V1_3;
        iot.ecall_supported = false;
    });
    let info: EuiccInfo2 = testbed.call(&GetEuiccInfo2Request {});
    assert_eq!(info.lpa_mode.map(|mode| mode.0), Some(0));
    let iot = info.iot_specific_info.unwrap();
    assert_eq!(iot.iot_version, [Version([1, 3, 0])]);
    assert_eq!((iot.ecall_supported, iot.fallback_supported), (None, Some(Null)));
    let octets = testbed.es10(&[0xBF, 0x22, 0]).unwrap();
    let (_, contents) = tlv::split(&octets).unwrap();
    assert_eq!(hex::encode(tlv::find(contents, Tag(0xB4)).unwrap().unwrap()), "b409a00504030103008200");
}

/// Functions of ES10c, and those with another tag in SGP.32.
#[test]
fn the_card_has_no_es10c_and_a_consumer_card_no_functions_of_sgp_32() {
    let mut iot = card(|_| {});
    let mut consumer = Testbed::new();
    for tag in ["BF31", "BF32", "BF33", "BF29", "BF34", "BF3F"] {
        assert_eq!(iot.es10_text(&format!("{tag}00")), "6A88", "{tag}");
    }
    for tag in [0x42, 0x51, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x5B, 0x5C, 0x5D, 0x5E, 0x5F, 0x64, 0x65] {
        assert_eq!(consumer.es10_text(&format!("BF{tag:02X}00")), "6A88", "BF{tag:02X}");
        assert_ne!(iot.es10_text(&format!("BF{tag:02X}00")), "6A88", "BF{tag:02X}");
    }
    assert_eq!(iot.es10_text("BF3E035C015A")[..10], *"BF3E125A10");
    assert_eq!(iot.es10_text("BF3E00"), "6A80");
    // The IPAe does not exist.
    assert_eq!(iot.es10_text("BF420480020780"), "BF4203800101");
}

#[test]
fn a_card_can_require_that_the_terminal_announces_its_ipa() {
    // Seen from devices: the consumer LPA, the IPAd, and both.
    let (consumer, ipad, both) =
        ("80AA000005A903830107", "80AA000005A903840101", "80AA00000DA90B8100820101830107840101");
    let with = |rule| card(|iot| iot.terminal_capability = rule);
    let info = "BF2000";
    let mut testbed = with(TerminalCapabilityRule::NotRequired);
    assert!(testbed.es10_text(info).starts_with("BF20"));

    let mut testbed = with(TerminalCapabilityRule::BeforeCommand);
    assert_eq!(testbed.es10_text(info), "6985");
    testbed.expect(consumer, "9000");
    assert_eq!(testbed.es10_text(info), "6985");
    testbed.expect(ipad, "9000");
    assert!(testbed.es10_text(info).starts_with("BF20"));
    testbed.reset();
    assert_eq!(testbed.es10_text(info), "6985");

    let mut testbed = with(TerminalCapabilityRule::BeforeChannel);
    assert_eq!(testbed.es10_text(info), "6985");
    testbed.expect(both, "9000");
    assert_eq!(testbed.es10_text(info), "6985");
    testbed.forget_channel();
    assert!(testbed.es10_text(info).starts_with("BF20"));
}

#[test]
fn a_memory_of_another_kind_of_card_is_refused() {
    let memory = RamMemory::default();
    let change = |description: &mut crate::CardDescription| make_iot(description, |_| {});
    let mut testbed = Testbed::with(pki(), change, memory.clone());
    super::testbed::associate(&mut testbed, &Eim::new("eim").configuration());
    let mut description = super::super::testbed::description(&pki());
    let world = || {
        let clock = world::ManualClock::at(rsp::time::Timestamp(0));
        world::World::new(clock, world::SeededRandom::from_text("x"))
    };
    let fault = crate::Card::open(description.clone(), memory.clone(), world()).unwrap_err();
    assert_eq!(crate::mismatched_memory_kind(&fault), Some(crate::MemoryKind::Iot), "{fault}");
    make_iot(&mut description, |_| {});
    crate::Card::open(description, memory, world()).unwrap();
}
