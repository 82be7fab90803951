//! The fuzz targets with their corpus, and with mutations of it.

use std::path::PathBuf;

use fuzz::{TARGETS, Target};

use crate::run::Run;

fn folder(target: &Target) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus")).join(target.name)
}

/// Returns the inputs in the corpus of a target, by name.
fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(folder(target)).unwrap_or_else(|why| panic!("{}: {why}", target.name));
    let mut inputs: Vec<_> = files
        .map(|file| {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    inputs.sort();
    inputs
}

#[test]
fn the_corpus_contains_the_samples_of_each_target() {
    let mut refused = Vec::new();
    for target in TARGETS {
        for (number, sample) in (target.samples)().iter().enumerate() {
            let file = folder(target).join(format!("sample-{number}"));
            if std::env::var_os("LANDFALL_REGENERATE").is_some() {
                std::fs::create_dir_all(folder(target)).unwrap();
                std::fs::write(&file, sample).unwrap();
            }
            let shown = file.display();
            assert!(
                std::fs::read(&file).ok().as_ref() == Some(sample),
                "{shown} is stale; LANDFALL_REGENERATE=1 cargo test -p tests --test fuzz_smoke corpus"
            );
            if !(target.run)(sample) {
                refused.push(shown.to_string());
            }
        }
    }
    assert!(refused.is_empty(), "not accepted: {refused:#?}");
}

#[test]
fn every_target_processes_its_corpus() {
    for target in TARGETS {
        for (name, input) in corpus(target) {
            println!("{}/{name}", target.name);
            let _ = (target.run)(&input);
        }
    }
}

/// Runs one target with mutations of its corpus.
fn mutated(name: &'static str, ordinary: usize, cost: usize) {
    let target = TARGETS.iter().find(|target| name.starts_with(target.name)).unwrap();
    let corpus = corpus(target);
    let mut run = Run::of(name, ordinary, cost);
    while let Some(mut round) = run.round() {
        let (_, input) = round.random.pick(&corpus);
        let mutated = round.random.mutate_octets(input);
        round.step(hex::encode(&mutated), || (target.run)(&mutated));
    }
    run.end();
}

macro_rules! mutated {
    ($($name:ident: $ordinary:literal rounds, cost $cost:literal;)+) => { $(
        #[test]
        fn $name() {
            mutated(stringify!($name), $ordinary, $cost);
        }
    )+ };
}

mutated! {
    der_mutated: 2000 rounds, cost 1;
    json_mutated: 2000 rounds, cost 1;
    soap_mutated: 1000 rounds, cost 2;
    bpp_mutated: 100 rounds, cost 20;
    scp80_mutated: 2000 rounds, cost 1;
    smpp_mutated: 2000 rounds, cost 1;
    http_mutated: 100 rounds, cost 10;
    psk_mutated: 300 rounds, cost 5;
    coap_mutated: 300 rounds, cost 5;
    csv_mutated: 500 rounds, cost 2;
    toml_mutated: 500 rounds, cost 2;
    esep_mutated: 100 rounds, cost 20;
    esipa_mutated: 200 rounds, cost 10;
}
