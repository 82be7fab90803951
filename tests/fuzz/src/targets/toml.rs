//! TOML: descriptions of profiles, rules and networks of countries, and a strategy. The first octet
//! selects the file.

use std::sync::LazyLock;

use localize::{RuleBook, Strategy};
use profile::Description;

static RULES: LazyLock<RuleBook> = LazyLock::new(|| RuleBook::built_in().expect("the built-in rules"));

pub(crate) fn run(octets: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(octets) else { return false };
    match text.split_at_checked(1) {
        Some(("d", text)) => description(text),
        Some(("r", text)) => RuleBook::parse(text).is_ok(),
        Some(("s", text)) => Strategy::parse(text, &RULES).is_ok(),
        _ => false,
    }
}

fn description(text: &str) -> bool {
    let description = match Description::parse(text) {
        Ok(description) => description,
        Err(mistakes) => {
            assert!(!mistakes.in_text(text).to_string().is_empty(), "an error has a text");
            return false;
        }
    };
    let again = Description::parse(&description.to_toml());
    assert_eq!(again.ok().as_ref(), Some(&description), "{}", description.to_toml());
    description.build().is_ok()
}

pub(crate) fn samples() -> Vec<Vec<u8>> {
    [
        "diccid = \"89724990000000000129\"\nimsi = \"724990000000012\"\n[authentication]\n\
         ki = \"000102030405060708090A0B0C0D0E0F\"\nopc = \"101112131415161718191A1B1C1D1E1F\"\n",
        "diccid = \"89724990000000000129\"\nimsi = \"724990000000012\"\nmsisdn = \"+5511987654321\"\n[authentication]\n\
         ki = \"000102030405060708090A0B0C0D0E0F\"\nopc = \"101112131415161718191A1B1C1D1E1F\"\n[usim]\nspn = \"Example\"\n\
         [[identity]]\ncountries = [\"234\"]\nimsi = \"234150000000012\"\nki = \"5A5B5C5D5E5F50515253545556575859\"\n\
         opc = \"6A6B6C6D6E6F60616263646566676869\"\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
