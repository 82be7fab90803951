//! A profile built from a description, tested against an independent Milenage implementation:
//! osmo-auc-gen of libosmocore (Debian: libosmocore-utils) in the role of the network.
//!
//! osmo-auc-gen does not support TUAK, which is tested with the vectors of TS 35.232 in `crypto`.

use std::collections::BTreeMap;
use std::process::Command;

use profile::Description;
use profile::description::{FilesBy, Format};
use world::{Random, SeededRandom};

use super::files::{SELECT_USIM, with_enabled};
use super::server::TestPackage;
use super::testbed::Testbed;

const KI: &str = "000102030405060708090a0b0c0d0e0f";
const OP: &str = "101112131415161718191a1b1c1d1e1f";
const RAND: &str = "00112233445566778899aabbccddeeff";

/// A card whose profile is built from a description with this Ki and this `opc` or `op`.
fn card(format: Format, files: FilesBy, ki: &str, (name, value): (&str, &str)) -> Testbed {
    let text = format!(
        "iccid = '89724990000000000126'\nimsi = '724990000000012'\n[authentication]\nki = '{ki}'\n{name} = '{value}'\n"
    );
    let description = Description { format, files, ..Description::parse(&text).unwrap() };
    let mut testbed = with_enabled(&TestPackage::of(description.build().unwrap().encode()));
    testbed.read(SELECT_USIM);
    testbed
}

/// AUTHENTICATE in the 3G context with these values in hexadecimal.
fn challenge(rand: &str, autn: &str) -> String {
    format!("0088008122 10{rand} 10{autn}")
}

/// Returns RES, CK and IK of a successful response (TS 31.102 section 7.1.2.1). The response
/// consists of a tag, and of each value after its length.
fn success(answer: &str) -> [String; 3] {
    let octets = hex::decode(answer).unwrap();
    let (tag, mut rest) = octets.split_first().unwrap();
    assert_eq!(*tag, 0xDB, "{answer}");
    std::array::from_fn(|_| {
        let (part, others) = rest[1..].split_at(usize::from(rest[0]));
        rest = others;
        hex::encode(part)
    })
}

/// The AUTS of a synchronisation failure.
fn synchronisation_failure(answer: &str) -> String {
    answer.strip_prefix("DC0E").unwrap_or_else(|| panic!("{answer}")).to_ascii_lowercase()
}

/// Runs osmo-auc-gen and returns its output.
fn osmo_auc_gen(arguments: &[&str]) -> BTreeMap<String, String> {
    let output =
        Command::new("osmo-auc-gen").args(["-3", "-a", "MILENAGE", "-f", "8000"]).args(arguments).output();
    let output = output.unwrap();
    let output_text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{output_text}{}", String::from_utf8_lossy(&output.stderr));
    let lines = output_text.lines().filter_map(|line| line.split_once(':'));
    lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

fn keys(vector: &BTreeMap<String, String>) -> [String; 3] {
    ["RES", "CK", "IK"].map(|name| vector[name].clone())
}

/// Output of osmo-auc-gen 1.7.0, once with K and OPc and once with K and OP. Each entry contains
/// the AUTN of SQN 32, RES, CK, IK, the AUTN of SQN 64, and an AUTS. The AUTS (SQN.MS 32) is the
/// one from which osmo-auc-gen derived SQN 64.
const PRECOMPUTED: [(&str, [&str; 5], &str); 2] = [
    (
        "opc",
        [
            "21fe6397eb828000e1e112c5f06404d4",
            "e78c651aa2d9dc63",
            "4d1fca2001835a3816959b6692bdf3b0",
            "8f8a98e6f3e5bfc27f2254d05cb32c32",
            "21fe6397ebe28000089e6be215c35e78",
        ],
        "2e91b51d60b551095875b33cdc8b",
    ),
    (
        "op",
        [
            "80dbfb04c9a780003648eb4152638225",
            "f711b0f395753a21",
            "e62b552473aad8c430f4da18481e40bc",
            "4b3fe8a3cf62abfe8aa589ff9ac98d6b",
            "80dbfb04c9c78000e5fffcc892c2c304",
        ],
        "d2f46f3ca8d9160c2defedeed832",
    ),
];

#[test]
fn a_built_usim_matches_the_precomputed_values_of_libosmocore() {
    for (name, [autn, res, ck, ik, after], auts) in PRECOMPUTED {
        let mut testbed = card(Format::V2_3, FilesBy::Templates, KI, (name, OP));
        assert_eq!(success(&testbed.read(&challenge(RAND, autn))), [res, ck, ik], "{name}");
        assert_eq!(synchronisation_failure(&testbed.read(&challenge(RAND, autn))), auts, "{name}");
        assert_eq!(success(&testbed.read(&challenge(RAND, after))), [res, ck, ik], "{name}, after AUTS");
    }
}

#[test]
#[cfg_attr(not(has_osmo_auc_gen), ignore = "needs osmo-auc-gen (Debian: libosmocore-utils)")]
fn a_built_usim_and_osmo_auc_gen_authenticate_each_other() {
    let random = SeededRandom::from_text("independent milenage");
    let random_octets = || {
        let mut octets = [0; 16];
        random.fill(&mut octets);
        hex::encode(octets)
    };
    let mut cards = 0;
    for format in [Format::V2_3, Format::V3_3] {
        for files in [FilesBy::Templates, FilesBy::Paths] {
            for (name, argument) in [("opc", "-o"), ("op", "-O")] {
                let (ki, op, rand) = (random_octets(), random_octets(), random_octets());
                let arguments = ["-k", &ki, argument, &op, "-r", &rand];
                let generate = |more: [&str; 2]| osmo_auc_gen(&[&arguments[..], &more].concat());
                let first = generate(["-s", "3232"]);
                let mut testbed = card(format, files, &ki, (name, &op));

                assert_eq!(success(&testbed.read(&challenge(&rand, &first["AUTN"]))), keys(&first));
                // The same AUTN is sent again. osmo-auc-gen continues from the AUTS of the card.
                let auts = synchronisation_failure(&testbed.read(&challenge(&rand, &first["AUTN"])));
                let next = generate(["--auts", &auts]);
                assert!(next["SQN"].parse::<u64>().unwrap() > 3232, "{next:?}");
                // If the key is another one or the values are altered, the authentication fails and
                // the card keeps its SQN.
                let other = osmo_auc_gen(&["-k", &op, argument, &op, "-r", &rand, "-s", "6464"]);
                testbed.expect(&challenge(&rand, &other["AUTN"]), "9862");
                testbed.expect(&challenge(&rand, &altered(&next["AUTN"])), "9862");
                testbed.expect(&challenge(&altered(&rand), &next["AUTN"]), "9862");

                assert_eq!(success(&testbed.read(&challenge(&rand, &next["AUTN"]))), keys(&next));
                cards += 1;
            }
        }
    }
    println!("{cards} cards");
}

/// Inverts the last bit.
fn altered(digits: &str) -> String {
    let mut octets = hex::decode(digits).unwrap();
    *octets.last_mut().unwrap() ^= 1;
    hex::encode(octets)
}
