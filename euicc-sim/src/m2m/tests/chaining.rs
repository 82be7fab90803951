//! Chains of scripts: their state, their scope and their end.

use rsp::ota::script::{Chaining, ChainingFailure, Command, Form, Script};
use world::RamMemory;

use super::oce::{Plan, challenge, derive, initialize_update, personalised, tlvs};
use super::testbed::{ISD_R, NEW, Testbed, unhex};

fn testbed(memory: RamMemory) -> Testbed {
    let mut testbed = Testbed::with(|_| {}, memory);
    assert_eq!(testbed.create(NEW, None), "009000");
    testbed
}

fn begin(testbed: &mut Testbed, chaining: Option<Chaining>) -> String {
    let first = testbed.apdus(ISD_R, chaining, &Plan::for_isd_p(NEW).first()).pop().unwrap();
    Plan::for_isd_p(NEW).second(&challenge(&first).unwrap())
}

/// Runs the second script. Returns its responses, or the chaining error.
fn end(testbed: &mut Testbed, chaining: Option<Chaining>, second: &str) -> Result<String, ChainingFailure> {
    let commands = vec![Command::Apdu(unhex(second))];
    let response = testbed.run(ISD_R, &Script { form: Form::Definite, chaining, commands });
    response.chaining.map_or_else(|| Ok(super::testbed::text(&response).concat()), Err)
}

fn receipt() -> String {
    format!("8610{}9000", hex::encode_upper(derive(&Plan::for_isd_p(NEW), &[], &[]).0))
}

#[test]
fn a_chain_keeps_its_state_and_a_single_script_does_not() {
    let mut testbed = testbed(RamMemory::default());
    let second = begin(&mut testbed, Some(Chaining::First));
    assert_eq!(end(&mut testbed, Some(Chaining::Last), &second), Ok(receipt()));
    let second = begin(&mut testbed, None);
    assert_eq!(end(&mut testbed, None, &second), Ok("6A86".to_owned()));
    let second = begin(&mut testbed, None);
    assert_eq!(end(&mut testbed, Some(Chaining::Last), &second), Err(ChainingFailure::NoPreviousScript));
    assert_eq!(end(&mut testbed, Some(Chaining::Following), &second), Err(ChainingFailure::NoPreviousScript));
}

#[test]
fn a_single_script_or_a_new_chain_ends_the_previous_chain() {
    let mut testbed = testbed(RamMemory::default());
    for between in [None, Some(Chaining::First), Some(Chaining::FirstKept)] {
        let second = begin(&mut testbed, Some(Chaining::FirstKept));
        assert_eq!(testbed.apdus(ISD_R, between, &["80CA005A00".to_owned()]).len(), 1);
        let expected = match between {
            None => Err(ChainingFailure::NoPreviousScript),
            Some(_) => Ok("6A86".to_owned()),
        };
        assert_eq!(end(&mut testbed, Some(Chaining::Last), &second), expected, "{between:?}");
        assert_eq!(testbed.state().kept, None);
    }
    // A chain of another application is not affected.
    let second = begin(&mut testbed, Some(Chaining::FirstKept));
    assert_eq!(testbed.apdus(super::testbed::ECASD, None, &["80CA005A00".to_owned()]).len(), 1);
    assert_eq!(end(&mut testbed, Some(Chaining::Last), &second), Ok(receipt()));
}

#[test]
fn a_chain_survives_a_reset_if_its_first_script_requests_it() {
    for (chaining, expected) in
        [(Chaining::First, Err(ChainingFailure::NoPreviousScript)), (Chaining::FirstKept, Ok(receipt()))]
    {
        let memory = RamMemory::default();
        let mut testbed = testbed(memory.clone());
        let second = begin(&mut testbed, Some(chaining));
        // Besides the reset, the card is opened again from its memory.
        testbed.card.reset();
        let mut testbed = Testbed::with(|_| {}, RamMemory::of(world::Memory::load(&memory).unwrap()));
        assert_eq!(end(&mut testbed, Some(Chaining::Last), &second), expected);
        assert_eq!(testbed.state().kept, None);
        assert_eq!(end(&mut testbed, Some(Chaining::Last), &second), Err(ChainingFailure::NoPreviousScript));
    }
}

#[test]
fn a_secure_channel_does_not_survive_a_reset() {
    let mut testbed = Testbed::new();
    let keys = personalised(&mut testbed, NEW);
    let mut host = super::oce::open(&mut testbed, keys, NEW);
    testbed.card.reset();
    let commands = vec![Command::SecureChannel(host.segment(b"more"))];
    let chaining = Some(Chaining::Last);
    let response =
        testbed.run(rsp::ids::Aid::isd_p(NEW), &Script { form: Form::Indefinite, chaining, commands });
    assert_eq!(response.chaining, Some(ChainingFailure::NoPreviousScript));
    // A single script cannot continue the channel either.
    tlvs(&mut testbed, NEW, None, &[initialize_update(0x30)]);
    assert_eq!(tlvs(&mut testbed, NEW, None, &[host.authenticate(0x33)]), ["9F450102"]);
}

#[test]
fn the_number_of_commands_in_a_script_is_limited() {
    let mut testbed = Testbed::new();
    let apdus = vec!["80CA005A00".to_owned(); 257];
    let answers = testbed.apdus(ISD_R, None, &apdus);
    assert!(answers[..256].iter().all(|answer| answer.ends_with("9000")));
    assert_eq!(answers[256], "6A84");
    assert_eq!(answers.len(), 257);
}

// req: TS.102.226-5.2.1-Actions
#[test]
fn immediate_and_error_actions_are_refused() {
    let mut testbed = Testbed::new();
    for command in [Command::ImmediateAction(vec![1]), Command::ErrorAction(vec![1])] {
        let commands = vec![command, Command::Apdu(unhex("80CA005A00"))];
        let response = testbed.run(ISD_R, &Script { form: Form::Definite, chaining: None, commands });
        assert_eq!(super::testbed::text(&response), ["6A81"]);
    }
}
