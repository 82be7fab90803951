//! Chains of scripts: their state, their scope and their end.

use rsp::ota::script::{Chaining, ChainingFailure, Command, Form, Script};
use world::RamMemory;

use super::bench::{Bench, ISD_R, NEW, unhex};
use super::oce::{Plan, challenge, derive, initialize_update, personalised, tlvs};

fn bench(memory: RamMemory) -> Bench {
    let mut bench = Bench::with(|_| {}, memory);
    assert_eq!(bench.create(NEW, None), "009000");
    bench
}

fn begin(bench: &mut Bench, chaining: Option<Chaining>) -> String {
    let first = bench.apdus(ISD_R, chaining, &Plan::for_isd_p(NEW).first()).pop().unwrap();
    Plan::for_isd_p(NEW).second(&challenge(&first).unwrap())
}

/// Runs the second script. Returns its responses, or the chaining error.
fn end(bench: &mut Bench, chaining: Option<Chaining>, second: &str) -> Result<String, ChainingFailure> {
    let commands = vec![Command::Apdu(unhex(second))];
    let response = bench.run(ISD_R, &Script { form: Form::Definite, chaining, commands });
    response.chaining.map_or_else(|| Ok(super::bench::text(&response).concat()), Err)
}

fn receipt() -> String {
    format!("8610{}9000", hex::encode_upper(derive(&Plan::for_isd_p(NEW), &[], &[]).0))
}

#[test]
fn a_chain_keeps_its_state_and_a_single_script_does_not() {
    let mut bench = bench(RamMemory::default());
    let second = begin(&mut bench, Some(Chaining::First));
    assert_eq!(end(&mut bench, Some(Chaining::Last), &second), Ok(receipt()));
    let second = begin(&mut bench, None);
    assert_eq!(end(&mut bench, None, &second), Ok("6A86".to_owned()));
    let second = begin(&mut bench, None);
    assert_eq!(end(&mut bench, Some(Chaining::Last), &second), Err(ChainingFailure::NoPreviousScript));
    assert_eq!(end(&mut bench, Some(Chaining::Following), &second), Err(ChainingFailure::NoPreviousScript));
}

#[test]
fn a_single_script_or_a_new_chain_ends_the_previous_chain() {
    let mut bench = bench(RamMemory::default());
    for between in [None, Some(Chaining::First), Some(Chaining::FirstKept)] {
        let second = begin(&mut bench, Some(Chaining::FirstKept));
        assert_eq!(bench.apdus(ISD_R, between, &["80CA005A00".to_owned()]).len(), 1);
        let expected = match between {
            None => Err(ChainingFailure::NoPreviousScript),
            Some(_) => Ok("6A86".to_owned()),
        };
        assert_eq!(end(&mut bench, Some(Chaining::Last), &second), expected, "{between:?}");
        assert_eq!(bench.state().kept, None);
    }
    // A chain of another application is not affected.
    let second = begin(&mut bench, Some(Chaining::FirstKept));
    assert_eq!(bench.apdus(super::bench::ECASD, None, &["80CA005A00".to_owned()]).len(), 1);
    assert_eq!(end(&mut bench, Some(Chaining::Last), &second), Ok(receipt()));
}

#[test]
fn a_chain_survives_a_reset_if_its_first_script_requests_it() {
    for (chaining, expected) in
        [(Chaining::First, Err(ChainingFailure::NoPreviousScript)), (Chaining::FirstKept, Ok(receipt()))]
    {
        let memory = RamMemory::default();
        let mut bench = bench(memory.clone());
        let second = begin(&mut bench, Some(chaining));
        // Besides the reset, the card is opened again from its memory.
        bench.card.reset();
        let mut bench = Bench::with(|_| {}, RamMemory::of(world::Memory::load(&memory).unwrap()));
        assert_eq!(end(&mut bench, Some(Chaining::Last), &second), expected);
        assert_eq!(bench.state().kept, None);
        assert_eq!(end(&mut bench, Some(Chaining::Last), &second), Err(ChainingFailure::NoPreviousScript));
    }
}

#[test]
fn a_secure_channel_does_not_survive_a_reset() {
    let mut bench = Bench::new();
    let keys = personalised(&mut bench, NEW);
    let mut host = super::oce::open(&mut bench, keys, NEW);
    bench.card.reset();
    let commands = vec![Command::SecureChannel(host.segment(b"more"))];
    let chaining = Some(Chaining::Last);
    let response =
        bench.run(rsp::ids::Aid::isd_p(NEW), &Script { form: Form::Indefinite, chaining, commands });
    assert_eq!(response.chaining, Some(ChainingFailure::NoPreviousScript));
    // A single script cannot continue the channel either.
    tlvs(&mut bench, NEW, None, &[initialize_update(0x30)]);
    assert_eq!(tlvs(&mut bench, NEW, None, &[host.authenticate(0x33)]), ["9F450102"]);
}

#[test]
fn the_number_of_commands_in_a_script_is_limited() {
    let mut bench = Bench::new();
    let apdus = vec!["80CA005A00".to_owned(); 257];
    let answers = bench.apdus(ISD_R, None, &apdus);
    assert!(answers[..256].iter().all(|answer| answer.ends_with("9000")));
    assert_eq!(answers[256], "6A84");
    assert_eq!(answers.len(), 257);
}

#[test]
fn immediate_and_error_actions_are_refused() {
    let mut bench = Bench::new();
    for command in [Command::ImmediateAction(vec![1]), Command::ErrorAction(vec![1])] {
        let commands = vec![command, Command::Apdu(unhex("80CA005A00"))];
        let response = bench.run(ISD_R, &Script { form: Form::Definite, chaining: None, commands });
        assert_eq!(super::bench::text(&response), ["6A81"]);
    }
}
