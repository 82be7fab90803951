//! ES5 functions for ISD-Ps and the card: effects, refusals, and the order of the checks.

use profile::generic;
use profile::generic::Subscription;
use rsp::ids::Aid;
use world::RamMemory;

use super::oce;
use super::testbed::{
    BOOTSTRAP, DELETE_ON_DISABLE, ECASD, ISD_R, NEW, NO_DELETE, NO_DISABLE, NO_RULES, Testbed, aid,
    create_isd_p, iccid, isd_p_group, lv, package, store_data,
};
use crate::m2m::M2mDescription;
use crate::m2m::keys::KeySet;
use crate::state::m2m::LifeCycle::{Disabled, Enabled, Personalised, Selectable};
use crate::tests::stored::new_consumer_card;

const ENABLE: &str = "3A03";
const DISABLE: &str = "3A04";
const FALLBACK: &str = "3A05";
const EMERGENCY: &str = "3A09";

fn delete(number: u16) -> String {
    format!("80E40040124F10{}", aid(number))
}

/// Asserts that the command is refused and changes nothing.
#[track_caller]
fn assert_refused(testbed: &mut Testbed, apdu: &str, status: &str) {
    let before = testbed.memory();
    testbed.expect(apdu, status);
    assert!(testbed.memory() == before, "{apdu} was refused but changed the memory");
}

#[test]
fn a_new_card_has_the_profiles_and_sm_sr_keys_of_its_description() {
    let mut testbed = Testbed::new();
    assert_eq!(testbed.life_cycle(BOOTSTRAP), Some(Enabled));
    for number in [NO_RULES, NO_DISABLE, NO_DELETE, DELETE_ON_DISABLE] {
        assert_eq!(testbed.life_cycle(number), Some(Disabled));
    }
    assert_eq!(testbed.life_cycle(NEW), None);
    assert_eq!(testbed.state().fallback, Some(Aid::isd_p(BOOTSTRAP)));
    // The terminal sees the files of the enabled profile.
    assert_eq!(testbed.terminal("00A4000C022FE2"), "9000");
    assert_eq!(testbed.terminal("00B000000A"), format!("{}9000", hex::encode_upper(iccid(BOOTSTRAP).0)));
}

#[test]
fn an_inconsistent_description_is_refused() {
    use crate::Card;
    let open = |change: fn(&mut M2mDescription)| {
        let mut description = super::testbed::description();
        change(description.m2m.as_deref_mut().unwrap());
        let clock = world::ManualClock::at(rsp::time::Timestamp(0));
        let world = world::World::new(clock, world::SeededRandom::from_text("x"));
        Card::open(description, RamMemory::default(), world).map(drop).unwrap_err().to_string()
    };
    for (change, why) in [
        (
            (|m2m| m2m.profiles[1].enabled = true) as fn(&mut M2mDescription),
            "only one profile can be enabled",
        ),
        (|m2m| m2m.profiles[1].fallback = true, "fallback attribute"),
        (|m2m| m2m.profiles[1].package = m2m.profiles[0].package.clone(), "has the same ICCID"),
        (|m2m| m2m.profiles[1].isd_p = m2m.profiles[0].isd_p.clone(), "ISD-P"),
        (
            |m2m| m2m.profiles[0].package = package(BOOTSTRAP, None)[..100].into(),
            "cannot make a card with the profile",
        ),
        (|m2m| m2m.ecasd_key = [0x23; 32].into(), "the key does not match it"),
        (|m2m| m2m.ecasd_key = [0; 32].into(), "the key of the ECASD"),
        (|m2m| m2m.ci_public_key.0[64] ^= 1, "the public key of the CI"),
        (|m2m| m2m.ecasd_certificate.0.truncate(50), "7F21"),
    ] {
        let fault = open(change);
        assert!(fault.contains(why), "{fault}");
    }
}

#[test]
fn the_profiles_of_a_new_card_must_fit_into_its_memory() {
    let used = Testbed::new().memory_used();
    for (memory_size, fits) in [(used / 2, false), (used - 1, false), (used, true)] {
        let mut description = super::testbed::description();
        description.memory_size = memory_size;
        let clock = world::ManualClock::at(rsp::time::Timestamp(0));
        let world = world::World::new(clock, world::SeededRandom::from_text("x"));
        let opened = crate::Card::open(description, RamMemory::default(), world);
        assert_eq!(opened.is_ok(), fits, "{memory_size} of {used}: {:?}", opened.err());
    }
}

/// The profile packages contain Ki and OPc; the description also has other keys.
#[test]
fn the_debug_output_of_a_description_contains_no_keys() {
    let (key, opc) = ([0x4B; 16], [0x4C; 16]);
    let mut description = super::testbed::description();
    let m2m = description.m2m.as_mut().unwrap();
    m2m.profiles[0].package = generic(&Subscription { key, opc, ..Subscription::default() }).encode().into();
    m2m.profiles[0].key_sets = vec![KeySet::of_three(0x30, [[0x4D; 16]; 3], 0)];
    m2m.key_sets = vec![KeySet::of_three(0x01, [[0x4E; 16]; 3], 0)];
    m2m.ecasd_key = [0x4F; 32].into();
    let shown = format!("{description:?}").to_uppercase();
    for octet in [0x4B, 0x4C, 0x4D, 0x4E, 0x4F] {
        assert!(!shown.contains(&format!("{octet:02X}").repeat(8)), "{octet:02X} in {shown}");
        assert!(!shown.contains(&format!("{octet}, ").repeat(8)), "{octet} in {shown}");
    }
}

#[test]
fn a_memory_is_refused_by_a_card_of_the_other_kind() {
    let memory = RamMemory::default();
    let mut testbed = Testbed::with(|_| {}, memory.clone());
    assert_eq!(testbed.create(NEW, None), "009000");
    let cells = world::Memory::load(&memory).unwrap();
    assert!(cells.contains_key("m2m"));
    // The same card is opened again.
    let again = Testbed::with(|_| {}, RamMemory::of(cells.clone()));
    assert!(again.memory() == testbed.memory());
    // The memory of a consumer card with the description of this card.
    let description = super::testbed::description();
    let cells = new_consumer_card(description.eid);
    let clock = world::ManualClock::at(rsp::time::Timestamp(0));
    let world = world::World::new(clock, world::SeededRandom::from_text("x"));
    let fault = crate::Card::open(description, RamMemory::of(cells), world).map(drop).unwrap_err();
    assert_eq!(crate::mismatched_memory_kind(&fault), Some(crate::MemoryKind::Consumer), "{fault}");
}

#[test]
fn create_isd_p_makes_a_security_domain_without_keys() {
    let mut testbed = Testbed::new();
    let free = |testbed: &mut Testbed| {
        let answer = testbed.es5("80CAFF2100");
        u32::from_str_radix(answer.split_once("8204").unwrap().1.get(..8).unwrap(), 16).unwrap()
    };
    let before = free(&mut testbed);
    assert_eq!(testbed.create(NEW, Some(50_000)), "009000");
    assert_eq!(testbed.life_cycle(NEW), Some(Selectable));
    assert_eq!(free(&mut testbed), before - 50_000);
    // Without the memory parameter, or with zero, no memory is reserved.
    assert_eq!(testbed.create(NEW + 1, None), "009000");
    assert_eq!(testbed.create(NEW + 2, Some(0)), "009000");
    assert_eq!(free(&mut testbed), before - 50_000);
    // The AID is in use now.
    // req: SGP.02-4.1.1.1-AidInUse
    assert_refused(&mut testbed, &create_isd_p(&aid(NEW), None), "6A80");
    assert_refused(&mut testbed, &create_isd_p(&aid(BOOTSTRAP), None), "6A80");
    // An ISD-P can reserve all free memory, but not one octet more.
    let left = free(&mut testbed);
    // req: SGP.02-4.1.1.1-Memory
    assert_refused(&mut testbed, &create_isd_p(&aid(NEW + 3), Some(left + 1)), "6A84");
    assert_eq!(testbed.create(NEW + 3, Some(left)), "009000");
    assert_refused(&mut testbed, &create_isd_p(&aid(NEW + 4), None), "6A84");
}

// req: SGP.02-4.1.1.1-Fields
#[test]
fn create_isd_p_checks_its_fields() {
    let mut testbed = Testbed::new();
    let right = create_isd_p(&aid(NEW), None);
    for (from, to, status) in [
        // A load file and a module other than those of ISD-Ps.
        // req: SGP.02-4.1.1.1-LoadFile
        ("8900000D00", "8900000C00", "6A88"),
        ("8900000E00", "8900000F00", "6A88"),
        // AIDs that are not of an ISD-P: the ISD-R, a reserved number, another suffix, another RID.
        ("8900002000", "8900000100", "6A80"),
        ("8900002000", "8900000F00", "6A80"),
        ("8900002000", "8900002001", "6A80"),
        ("8900002000", "8901002000", "6A80"),
        // Privileges that are not those of a security domain; SCP02 instead of SCP03.
        ("0380C000", "0340C000", "6A80"),
        ("81020370", "81020255", "6A80"),
        // Invalid P1, P2 and class.
        ("80E60C00", "80E60800", "6A86"),
        ("80E60C00", "80E60C01", "6A86"),
        ("80E60C00", "00E60C00", "6E00"),
    ] {
        assert!(right.contains(from), "{from}");
        assert_refused(&mut testbed, &right.replacen(from, to, 1), status);
    }
    // A missing field, a token, no data.
    let data = &right[10..right.len() - 2];
    for wrong in [&data[..data.len() - 2], &format!("{}01FF", &data[..data.len() - 2]), ""] {
        let apdu =
            if wrong.is_empty() { "80E60C0000".to_owned() } else { format!("80E60C00{}00", lv(wrong)) };
        assert_refused(&mut testbed, &apdu, "6A80");
    }
}

// req: SGP.02-4.1.1.1-Memory
#[test]
fn the_number_of_isd_ps_is_limited() {
    let mut testbed = Testbed::new();
    let mut created = 0;
    while testbed.create(NEW + created, None) == "009000" {
        created += 1;
    }
    assert_eq!(created, 128 - 5);
    assert_refused(&mut testbed, &create_isd_p(&aid(NEW + created), None), "6A84");
}

// req: SGP.02-4.1.1.2-Reset
#[test]
fn enable_takes_effect_with_the_next_reset() {
    let mut testbed = Testbed::new();
    assert_eq!(testbed.store(&isd_p_group(ENABLE, NO_RULES)), "9000");
    assert_eq!(testbed.life_cycle(BOOTSTRAP), Some(Enabled));
    // Until the reset no other switch is accepted, and neither profile can be deleted.
    for group in
        [isd_p_group(ENABLE, NO_DELETE), isd_p_group(ENABLE, NO_RULES), isd_p_group(DISABLE, BOOTSTRAP)]
    {
        assert_refused(&mut testbed, &store_data(&group), "6985");
    }
    assert_refused(&mut testbed, &delete(NO_RULES), "6985");
    testbed.card.reset();
    assert_eq!(testbed.life_cycle(NO_RULES), Some(Enabled));
    assert_eq!(testbed.life_cycle(BOOTSTRAP), Some(Disabled));
    assert_eq!(testbed.terminal("00A4000C022FE2"), "9000");
    assert_eq!(testbed.terminal("00B000000A"), format!("{}9000", hex::encode_upper(iccid(NO_RULES).0)));
}

/// Resets the card and clears the notification, as after a confirmation.
fn settle(testbed: &mut Testbed) {
    testbed.card.reset();
    testbed.state_mut().toolkit = crate::state::m2m::toolkit_state::ToolkitState::default();
}

// req: SGP.02-4.1.1.2-Checks, SGP.02-4.1.1.3-Checks
#[test]
fn enable_and_disable_check_existence_then_state_then_pol1() {
    let mut testbed = Testbed::new();
    assert_eq!(testbed.create(NEW, None), "009000");
    // An ISD-P that does not exist, one without a profile, and one that is already enabled.
    for (number, enable, disable) in [
        (NEW + 1, "6A88", "6A88"),
        (NEW, "6985", "6985"),
        // The fallback profile cannot be disabled.
        (BOOTSTRAP, "6985", "6985"),
        (NO_RULES, "", "6985"),
    ] {
        assert_refused(&mut testbed, &store_data(&isd_p_group(DISABLE, number)), disable);
        if !enable.is_empty() {
            assert_refused(&mut testbed, &store_data(&isd_p_group(ENABLE, number)), enable);
        }
    }
    // POL1 of the enabled profile is checked last.
    assert_eq!(testbed.store(&isd_p_group(ENABLE, NO_DISABLE)), "9000");
    settle(&mut testbed);
    assert_refused(&mut testbed, &store_data(&isd_p_group(ENABLE, NEW + 1)), "6A88");
    assert_refused(&mut testbed, &store_data(&isd_p_group(ENABLE, NO_DISABLE)), "6985");
    assert_refused(&mut testbed, &store_data(&isd_p_group(ENABLE, NO_RULES)), "69E1");
    assert_refused(&mut testbed, &store_data(&isd_p_group(DISABLE, NO_DISABLE)), "69E1");
}

#[test]
fn disable_enables_the_profile_with_the_fallback_attribute() {
    let mut testbed = Testbed::new();
    assert_eq!(testbed.store(&isd_p_group(ENABLE, NO_RULES)), "9000");
    settle(&mut testbed);
    assert_eq!(testbed.store(&isd_p_group(FALLBACK, NO_DELETE)), "9000");
    assert_eq!(testbed.store(&isd_p_group(DISABLE, NO_RULES)), "9000");
    settle(&mut testbed);
    assert_eq!(testbed.life_cycle(NO_DELETE), Some(Enabled));
    assert_eq!(testbed.life_cycle(NO_RULES), Some(Disabled));
}

// req: SGP.02-4.1.1.7-Checks
#[test]
fn the_fallback_attribute_moves_between_profiles() {
    let mut testbed = Testbed::new();
    assert_eq!(testbed.create(NEW, None), "009000");
    assert_refused(&mut testbed, &store_data(&isd_p_group(FALLBACK, NEW + 1)), "6A88");
    assert_refused(&mut testbed, &store_data(&isd_p_group(FALLBACK, NEW)), "6985");
    assert_eq!(testbed.store(&isd_p_group(FALLBACK, NO_RULES)), "9000");
    assert_eq!(testbed.state().fallback, Some(Aid::isd_p(NO_RULES)));
    // The attribute can also move to an enabled profile.
    assert_eq!(testbed.store(&isd_p_group(FALLBACK, BOOTSTRAP)), "9000");
    assert_eq!(testbed.state().fallback, Some(Aid::isd_p(BOOTSTRAP)));
}

#[test]
fn the_emergency_attribute_requires_a_disabled_profile_without_the_fallback_attribute() {
    let mut testbed = Testbed::new();
    assert_refused(&mut testbed, &store_data(&isd_p_group(EMERGENCY, NEW)), "6A88");
    assert_refused(&mut testbed, &store_data(&isd_p_group(EMERGENCY, BOOTSTRAP)), "6985");
    assert_eq!(testbed.store(&isd_p_group(EMERGENCY, NO_RULES)), "9000");
    assert_eq!(testbed.store(&isd_p_group(EMERGENCY, NO_DELETE)), "9000");
    assert_eq!(testbed.state().emergency, Some(Aid::isd_p(NO_DELETE)));
    // A profile cannot have both attributes.
    assert_refused(&mut testbed, &store_data(&isd_p_group(FALLBACK, NO_DELETE)), "6985");
    assert_eq!(testbed.store(&isd_p_group(FALLBACK, NO_RULES)), "9000");
    assert_refused(&mut testbed, &store_data(&isd_p_group(EMERGENCY, NO_RULES)), "6985");
    // The attribute is deleted with its profile. POL1 protects this profile.
    assert_refused(&mut testbed, &delete(NO_DELETE), "69E1");
    assert_eq!(testbed.store(&isd_p_group(EMERGENCY, DELETE_ON_DISABLE)), "9000");
    assert_eq!(testbed.es5(&delete(DELETE_ON_DISABLE)), "9000");
    assert_eq!(testbed.state().emergency, None);
}

#[test]
fn delete_removes_an_isd_p_with_its_contents() {
    let mut testbed = Testbed::new();
    let used = testbed.memory_used();
    assert_refused(&mut testbed, &delete(NEW), "6A88");
    // req: SGP.02-4.1.1.4-State
    assert_refused(&mut testbed, &delete(BOOTSTRAP), "6985");
    // req: SGP.02-4.1.1.4-Pol1
    assert_refused(&mut testbed, &delete(NO_DELETE), "69E1");
    // If the command has an Le, the response has data.
    assert_eq!(testbed.es5(&format!("{}00", delete(NO_RULES))), "009000");
    assert_eq!(testbed.life_cycle(NO_RULES), None);
    assert!(testbed.memory_used() < used);
    assert_refused(&mut testbed, &delete(NO_RULES), "6A88");
    // An ISD-P without a profile can be deleted in any state.
    assert_eq!(testbed.create(NEW, Some(1000)), "009000");
    assert_eq!(testbed.es5(&delete(NEW)), "9000");
    let keys = oce::personalised(&mut testbed, NEW);
    assert_eq!(testbed.life_cycle(NEW), Some(Personalised));
    oce::open(&mut testbed, keys, NEW);
    assert_eq!(testbed.es5(&delete(NEW)), "9000");
    assert!(!testbed.card.volatile.m2m.0.contains_key(&Aid::isd_p(NEW)));
    // An enabled profile that lost the fallback attribute is still enabled.
    assert_eq!(testbed.store(&isd_p_group(FALLBACK, DELETE_ON_DISABLE)), "9000");
    assert_refused(&mut testbed, &delete(BOOTSTRAP), "6985");
    assert_refused(&mut testbed, &delete(DELETE_ON_DISABLE), "6985");
}

// req: SGP.02-4.1.1.4-Data
#[test]
fn delete_checks_its_data() {
    let mut testbed = Testbed::new();
    for (apdu, status) in [
        ("80E4004000", "6A80"),
        ("80E40040024F00", "6A80"),
        ("80E4004003810100", "6A80"),
        ("80E40041024F00", "6A86"),
        ("80E40140024F00", "6A86"),
        ("00E40040024F00", "6E00"),
    ] {
        assert_refused(&mut testbed, apdu, status);
    }
    let twice = format!("4F10{0}4F10{0}", aid(NO_RULES));
    assert_refused(&mut testbed, &format!("80E40040{}", lv(&twice)), "6A80");
}

// req: SGP.02-4.1.1.5-Continue
#[test]
fn the_audit_lists_all_isd_ps_and_continues_in_the_next_command() {
    let mut testbed = Testbed::new();
    assert_eq!(testbed.create(NEW, Some(0x1234)), "009000");
    let line = |number: u16, state: &str, rest: &str| {
        let line = format!("4F10{}9F7001{state}{rest}", aid(number));
        format!("E3{}", lv(&line))
    };
    // Each entry has the AID and the state.
    let first = [
        (BOOTSTRAP, "3F"),
        (NO_RULES, "1F"),
        (NO_DISABLE, "1F"),
        (NO_DELETE, "1F"),
        (DELETE_ON_DISABLE, "1F"),
        (NEW, "07"),
    ];
    let all: String = first.iter().map(|(number, state)| line(*number, state, "")).collect();
    testbed.expect("80F24002074F005C034F9F7000", &format!("{all}9000"));
    testbed.expect(
        &format!("80F24002174F10{}5C034F9F7000", aid(DELETE_ON_DISABLE)),
        &format!("{}9000", line(DELETE_ON_DISABLE, "1F", "")),
    );
    // Without a tag list, each entry also has the privileges.
    testbed
        .expect(&format!("80F24002124F10{}00", aid(NEW)), &format!("{}9000", line(NEW, "07", "C50380C000")));
    // The tag list can request the fallback attribute and the memory.
    let charged = testbed.card.persistent.profile(&Aid::isd_p(BOOTSTRAP)).unwrap().memory;
    let criteria = format!("4F10{}5C064F9F70538F91", aid(BOOTSTRAP));
    testbed.expect(
        &format!("80F24002{}00", lv(&criteria)),
        &format!("{}9000", line(BOOTSTRAP, "3F", &format!("5301018F04{charged:08X}910400000000"))),
    );
    let criteria = format!("4F10{}5C064F9F70538F91", aid(NEW));
    testbed.expect(
        &format!("80F24002{}00", lv(&criteria)),
        &format!("{}9000", line(NEW, "07", "5301008F0400001234910400001234")),
    );
    // It can also request the emergency attribute and the associated security domain. Unknown tags
    // have no value.
    assert_eq!(testbed.store(&isd_p_group(EMERGENCY, NO_DELETE)), "9000");
    for (number, attribute) in [(NO_DELETE, "01"), (NEW, "00")] {
        let criteria = format!("4F10{}5C0454CC9F55", aid(number));
        let entry = format!("5401{attribute}CC10{}", hex::encode_upper(Aid::ISD_R));
        testbed.expect(&format!("80F24002{}00", lv(&criteria)), &format!("E3{}9000", lv(&entry)));
    }
    // If the list does not fit into one response, the status word is 6310, and the next command
    // returns the rest.
    for number in 1..10 {
        assert_eq!(testbed.create(NEW + number, None), "009000");
    }
    let get_status = |p2: &str| format!("80F240{p2}074F005C034F9F7000");
    let answers = testbed.apdus(ISD_R, None, &[get_status("02"), get_status("03")]);
    assert!(answers[0].ends_with("6310") && answers[1].ends_with("9000"), "{answers:?}");
    let listed = [&answers[0][..answers[0].len() - 4], &answers[1][..answers[1].len() - 4]].concat();
    assert_eq!(listed.matches("E3164F10").count(), 15);
    assert!(listed.starts_with(&all));
    // The next occurrence is requested, but the first one was not.
    testbed.expect(&get_status("03"), "6985");
    for (apdu, status) in [
        (format!("80F24002124F10{}00", aid(0x77)), "6A88"),
        ("80F24002025C0000".to_owned(), "6A80"),
        ("80F2400200".to_owned(), "6A80"),
        // No application has this AID, and the tag list is the last element.
        (format!("80F24002134F11{}0000", aid(NEW)), "6A88"),
        (format!("80F24002{}00", lv(&format!("4F10{}5C014F5C014F", aid(NEW)))), "6A80"),
        ("80F28002024F0000".to_owned(), "6A86"),
        ("80F24000024F0000".to_owned(), "6A86"),
        ("00F24002024F0000".to_owned(), "6E00"),
    ] {
        testbed.expect(&apdu, status);
    }
}

#[test]
fn the_audit_returns_memory_certificate_and_eid() {
    let mut testbed = Testbed::new();
    let free = testbed.card.description.memory_size - testbed.memory_used();
    let volatile = testbed.card.description.capabilities.volatile_memory;
    testbed
        .expect("80CAFF2100", &format!("FF210F81010582 04{free:08X}8304{volatile:08X}9000").replace(' ', ""));
    let certificate = super::testbed::description().m2m.unwrap().ecasd_certificate.to_string();
    for target in [ISD_R, ECASD] {
        let get_data =
            |testbed: &mut Testbed, apdu: &str| testbed.apdus(target, None, &[apdu.to_owned()]).concat();
        let answer = get_data(&mut testbed, "80CABF30045C027F2100");
        assert_eq!(answer, format!("BF30{}{certificate}9000", ber_length(certificate.len() / 2)));
        let answer = get_data(&mut testbed, "80CABF30035C016600");
        assert!(answer.starts_with("BF30") && answer.contains("2A864886FC6B04") && answer.ends_with("9000"));
        // The recognition data can also be read without the template of the forwarded data.
        let (_, recognition_data) = answer.split_once("66").unwrap();
        assert_eq!(get_data(&mut testbed, "80CA006600"), format!("66{recognition_data}"));
        assert_eq!(get_data(&mut testbed, "80CA005A00"), "5A10890010120123412340123456789012249000");
        assert_eq!(get_data(&mut testbed, "00CA005A00"), "5A10890010120123412340123456789012249000");
        for (apdu, status) in [
            ("80CA123400", "6A88"),
            ("80CABF30045C027F4900", "6A88"),
            ("80CABF3000", "6A80"),
            ("80CAFF21015C00", "6700"),
        ] {
            assert_eq!(get_data(&mut testbed, apdu), status, "{apdu}");
        }
    }
    // The response has the identifier, version, type and length of each key.
    testbed.expect("80CA00E000", "E01EC00401018810C00402018810C00403018810C00401408510C004024088109000");
    assert_eq!(testbed.apdus(ECASD, None, &["80E2880000".to_owned()]), ["6D00"]);
}

fn ber_length(octets: usize) -> String {
    if octets < 0x80 { format!("{octets:02X}") } else { format!("81{octets:02X}") }
}

// req: SGP.02-4.1.1.10-Invalid
#[test]
fn only_the_given_addressing_parameters_change() {
    let mut testbed = Testbed::new();
    assert_eq!(testbed.store("3A07 0B A309 81 07 91112233445566"), "9000");
    assert_eq!(testbed.state().addressing.sms.as_ref().unwrap().to_string(), "91112233445566");
    assert_eq!(testbed.store("3A07 0A A308 82 06 8304 89028900"), "9000");
    let addressing = testbed.state().addressing.clone();
    assert_eq!(addressing.sms.unwrap().to_string(), "91112233445566");
    assert_eq!(addressing.https.unwrap().to_string(), "830489028900");
    for (group, status) in [
        ("3A07 00", "6A80"),
        ("3A07 02 A300", "6A80"),
        ("3A07 04 A302 8100", "6A80"),
        ("3A07 05 A303 810191", "6A80"),
        ("3A07 05 A303 820183", "6A80"),
        ("3A07 06 A304 8F021122", "6A80"),
        ("3A07 05 A403 810291", "6A80"),
        // Invalid numbers: more than 20 digits, a filler between digits, no digits.
        ("3A07 10 A30E 810C 91 1122334455667788990011", "6A80"),
        ("3A07 09 A307 8105 91 11F23344", "6A80"),
        ("3A07 06 A304 810291FF", "6A80"),
        // Invalid sessions: empty, invalid connection, truncated key reference, empty URI, URI with
        // a space.
        ("3A07 04 A302 8200", "6A80"),
        ("3A07 0A A308 8206 8304 84023501", "6A80"),
        ("3A07 0A A308 8206 8304 85020441", "6A80"),
        ("3A07 0A A308 8206 8304 89028C00", "6A80"),
        ("3A07 0D A30B 8209 8307 89058C03 2F2041", "6A80"),
        // The truncated key reference again, without the 83.
        ("3A07 08 A306 8204 85020441", "6A80"),
        // Invalid or missing names.
        ("3A07 04 A302 8300", "6A80"),
        ("3A07 07 A305 8303 D601FF", "6A80"),
        ("3A07 06 A304 8302 FA00", "6A80"),
        // Additional octets after the data group.
        ("3A07 0B A309 81 07 91112233445566 00", "6A80"),
    ] {
        assert_refused(&mut testbed, &store_data(group), status);
    }
}

// req: SGP.02-4.1.1.12-Unknown
#[test]
fn a_confirmation_without_a_notification_is_refused() {
    let mut testbed = Testbed::new();
    assert_refused(&mut testbed, "80E28900073A08044E02FFFF00", "6A88");
    for group in ["3A08 00", "3A08 03 4E0101", "3A08 05 4E03010101", "3A08 04 4F020101"] {
        assert_refused(&mut testbed, &store_data(group), "6A80");
    }
}

#[test]
fn store_data_checks_its_groups_and_blocks() {
    let mut testbed = Testbed::new();
    let group = isd_p_group(ENABLE, NO_RULES);
    for (apdu, status) in [
        // A data format other than data groups.
        (format!("80E28000{}", lv(&group)), "6A86"),
        (format!("80E29100{}", lv(&group)), "6A86"),
        (format!("00E28800{}", lv(&group)), "6E00"),
        (format!("81E28800{}", lv(&group)), "6881"),
        // A block out of sequence, an incomplete last block.
        (format!("80E28801{}", lv(&group)), "6A86"),
        (format!("80E28800{}", lv(&group[..20])), "6A80"),
        (store_data("3A06 12 4F10A0000005591010FFFFFFFF8900001100"), "6A88"),
        (store_data("0070 03 450101"), "6A88"),
        (store_data("3A03 03 4F0100"), "6A80"),
        (store_data("3A03 00"), "6A80"),
        (store_data("3A"), "6A80"),
    ] {
        assert_refused(&mut testbed, &apdu, status);
    }
    // The data group is sent in two blocks of one script.
    let blocks = [format!("80E20800{}", lv(&group[..20])), format!("80E28801{}", lv(&group[20..]))];
    // The second block is sent alone in a script.
    assert_eq!(testbed.apdus(ISD_R, None, &blocks[1..]), ["6A86"]);
    assert_eq!(testbed.apdus(ISD_R, None, &blocks), ["9000", "9000"]);
    assert!(testbed.card.persistent.switch.is_some());
}

#[test]
fn an_unsupported_command_is_refused_and_ends_the_script() {
    let mut testbed = Testbed::new();
    for (apdu, status) in [
        ("80A40400", "6D00"),
        ("00A40400", "6D00"),
        ("80500000081122334455667788", "6D00"),
        ("84E28800", "6882"),
        ("80", "6700"),
    ] {
        testbed.expect(apdu, status);
    }
    let apdus = ["80CA005A00", "80A40400", "80CA005A00"].map(str::to_owned);
    let answers = testbed.apdus(ISD_R, None, &apdus);
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[1], "6D00");
}
