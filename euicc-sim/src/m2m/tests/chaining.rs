//! Chains of scripts: what they keep, for whom, and when they end.

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

/// Answers of the second script, or that it follows nothing.
fn end(bench: &mut Bench, chaining: Option<Chaining>, second: &str) -> Result<String, ChainingFailure> {
    let commands = vec![Command::Apdu(unhex(second))];
    let response = bench.run(ISD_R, &Script { form: Form::Definite, chaining, commands });
    response.chaining.map_or_else(|| Ok(super::bench::text(&response).concat()), Err)
}

fn receipt() -> String {
    format!("8610{}9000", hex::encode_upper(derive(&Plan::for_isd_p(NEW), &[], &[]).0))
}

#[test]
fn a_chain_keeps_what_was_begun_and_a_script_alone_does_not() {
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
fn a_script_alone_or_a_new_chain_ends_the_one_before() {
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
    // Another application's chain is its own.
    let second = begin(&mut bench, Some(Chaining::FirstKept));
    assert_eq!(bench.apdus(super::bench::ECASD, None, &["80CA005A00".to_owned()]).len(), 1);
    assert_eq!(end(&mut bench, Some(Chaining::Last), &second), Ok(receipt()));
}

#[test]
fn a_chain_outlives_a_reset_if_it_says_so() {
    for (chaining, expected) in
        [(Chaining::First, Err(ChainingFailure::NoPreviousScript)), (Chaining::FirstKept, Ok(receipt()))]
    {
        let memory = RamMemory::default();
        let mut bench = bench(memory.clone());
        let second = begin(&mut bench, Some(chaining));
        // Not only a reset: the card is put into another reader.
        bench.card.reset();
        let mut bench = Bench::with(|_| {}, RamMemory::of(world::Memory::load(&memory).unwrap()));
        assert_eq!(end(&mut bench, Some(Chaining::Last), &second), expected);
        assert_eq!(bench.state().kept, None);
        assert_eq!(end(&mut bench, Some(Chaining::Last), &second), Err(ChainingFailure::NoPreviousScript));
    }
}

#[test]
fn a_secure_channel_does_not_outlive_a_reset() {
    let mut bench = Bench::new();
    let keys = personalised(&mut bench, NEW);
    let mut host = super::oce::open(&mut bench, keys, NEW);
    bench.card.reset();
    let commands = vec![Command::SecureChannel(host.segment(b"more"))];
    let chaining = Some(Chaining::Last);
    let response =
        bench.run(rsp::ids::Aid::isd_p(NEW), &Script { form: Form::Indefinite, chaining, commands });
    assert_eq!(response.chaining, Some(ChainingFailure::NoPreviousScript));
    // In a script of its own nothing is left of the channel either.
    tlvs(&mut bench, NEW, None, &[initialize_update(0x30)]);
    assert_eq!(tlvs(&mut bench, NEW, None, &[host.authenticate(0x33)]), ["9F450102"]);
}

#[test]
fn a_script_has_so_many_commands() {
    let mut bench = Bench::new();
    let asks = vec!["80CA005A00".to_owned(); 257];
    let answers = bench.apdus(ISD_R, None, &asks);
    assert!(answers[..256].iter().all(|answer| answer.ends_with("9000")));
    assert_eq!(answers[256], "6A84");
    assert_eq!(answers.len(), 257);
}

#[test]
fn what_a_card_does_at_once_or_on_errors_is_not_a_scripts_to_say() {
    let mut bench = Bench::new();
    for command in [Command::ImmediateAction(vec![1]), Command::ErrorAction(vec![1])] {
        let commands = vec![command, Command::Apdu(unhex("80CA005A00"))];
        let response = bench.run(ISD_R, &Script { form: Form::Definite, chaining: None, commands });
        assert_eq!(super::bench::text(&response), ["6A81"]);
    }
}
