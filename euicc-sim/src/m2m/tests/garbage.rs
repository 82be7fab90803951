//! Thousands of damaged scripts: each gets a response, and the card stays consistent.

use rsp::ota::script::Script;
use world::{Memory, RamMemory, Random, SeededRandom};

use super::oce::{Plan, establish, initialize_update};
use super::testbed::{ISD_R, NEW, NO_RULES, Testbed, aid, create_isd_p, isd_p_group, store_data, unhex};
use crate::state::m2m::LifeCycle;

/// The original scripts: for the ISD-R, and for an ISD-P.
fn scripts() -> [Vec<Vec<u8>>; 2] {
    let plan = Plan::for_isd_p(NEW);
    let apdus = [
        create_isd_p(&aid(NEW + 1), Some(1000)),
        store_data(&isd_p_group("3A05", NO_RULES)),
        store_data(&isd_p_group("3A09", NO_RULES)),
        store_data("3A07 0B A309 81 07 91112233445566"),
        format!("80E40040124F10{}", aid(NO_RULES)),
        "80E4000005F203400102".to_owned(),
        "80F24002074F005C034F9F7000".to_owned(),
        "80CABF30045C027F2100".to_owned(),
        "80D8000117418511100102030405060708090A0B0C0D0E0F1000".to_owned(),
        plan.first().concat(),
        plan.second(&[0; 16]),
    ];
    let of_apdus = |apdus: &[String]| {
        apdus.iter().map(|apdu| Script::of_apdus([unhex(apdu)]).to_bytes()).collect::<Vec<_>>()
    };
    let to_isd_p = [
        [&[0xAA, 0x0C][..], &initialize_update(0x30)].concat(),
        unhex("AA13 8511 33 00112233445566778899AABBCCDDEEFF"),
        unhex("AA0A 8608 0011223344556677"),
        Script::of_apdus([unhex("8050300008010203040506070800")]).to_bytes(),
        Script::of_apdus([unhex("84E28800100011223344556677889900112233445566")]).to_bytes(),
    ];
    [of_apdus(&apdus), to_isd_p.to_vec()]
}

#[test]
fn every_damaged_script_gets_a_response_and_leaves_a_consistent_card() {
    let memory = RamMemory::default();
    let mut testbed = Testbed::with(|_| {}, memory.clone());
    assert_eq!(testbed.create(NEW, None), "009000");
    assert!(establish(&mut testbed, &Plan::for_isd_p(NEW)).1.ends_with("9000"));
    let start = memory.load().unwrap();
    let mut memory = memory;
    let scripts = scripts();
    let random = SeededRandom::from_text("garbage");
    let random_below = |below: usize| {
        let mut octets = [0; 4];
        random.fill(&mut octets);
        usize::try_from(u32::from_be_bytes(octets)).unwrap() % below.max(1)
    };
    let mut parsed = 0;
    for round in 0..6000 {
        if round % 50 == 0 {
            // A card opened from the stored memory has the same state as the running card.
            let again = Testbed::with(|_| {}, RamMemory::of(memory.load().unwrap()));
            assert!(again.memory() == testbed.memory());
            memory = RamMemory::of(start.clone());
            testbed = Testbed::with(|_| {}, memory.clone());
        }
        let to_isd_p = random_below(4) == 0;
        let mut octets =
            scripts[usize::from(to_isd_p)][random_below(scripts[usize::from(to_isd_p)].len())].clone();
        for _ in 0..=random_below(3).min(octets.len() - 1) {
            let at = random_below(octets.len());
            match random_below(6) {
                0 if octets.len() > 1 => drop(octets.remove(at)),
                1 => octets.insert(at, u8::try_from(random_below(256)).unwrap()),
                2 => octets.truncate(at.max(1)),
                _ => octets[at] = u8::try_from(random_below(256)).unwrap(),
            }
        }
        let Ok(script) = Script::parse(&octets) else { continue };
        parsed += 1;
        let target = if to_isd_p { rsp::ids::Aid::isd_p(NEW) } else { ISD_R.into() };
        let response = testbed.run(target, &script);
        assert!(response.answers.len() <= script.commands.len());
        let what = hex::encode(&octets);
        let (persistent, state) = (&testbed.card.persistent, testbed.state());
        let enabled = state.isd_ps.iter();
        let enabled =
            enabled.filter(|isd_p| state.life_cycle(persistent, &isd_p.aid) == Some(LifeCycle::Enabled));
        assert_eq!(enabled.count(), 1, "{what}");
        assert!(testbed.memory_used() <= testbed.card.description.memory_size, "{what}");
        assert!(state.key_set(super::testbed::SCP80).is_some(), "{what}");
    }
    // Enough of the scripts can be parsed and reach the applications.
    assert!(parsed > 1000, "{parsed} scripts");
}
