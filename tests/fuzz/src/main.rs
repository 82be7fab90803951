//! The program that libFuzzer drives. `LANDFALL_FUZZ_TARGET` names the target; `tests/fuzz/run`
//! builds and starts it.

#![no_main]
#![allow(missing_docs, reason = "the macro exports the entry points of libFuzzer")]

use std::sync::LazyLock;

use fuzz::Target;
use libfuzzer_sys::fuzz_target;

#[allow(clippy::panic, reason = "without a target there is nothing to run")]
static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("LANDFALL_FUZZ_TARGET").unwrap_or_default();
    fuzz::target(&name).unwrap_or_else(|| {
        let names: Vec<_> = fuzz::TARGETS.iter().map(|target| target.name).collect();
        panic!("LANDFALL_FUZZ_TARGET must be one of {}, not {name:?}", names.join(", "))
    })
});

fuzz_target!(|data: &[u8]| {
    let _ = (TARGET.run)(data);
});
