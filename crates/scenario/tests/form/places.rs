//! The format of a places file: `places.toml` describes every key, and is compared with the parser.

use std::collections::BTreeSet;

use scenario::file::{InvalidScenario, Places, Scenario};
use toml::{Table, Value};

use crate::{Keys, docs};

/// A scenario with one device and one SM-DP+.
const SCENARIO: &str = r#"
title = "x"
lasts = "1d"
network = [{ plmn = "234-91" }]
operator = [{ network = "234-91" }]
devices = [{ name = "meters", count = 2, bootstrap = "234-91", journey = [{ at = "0d", in = "GB" }] }]
"#;

/// A places file with each kind of table.
const BASE: &str = r#"
sm_dp = [{ name = "sm-dp", address = "dp.example", profiles = [{ package = "a.der" }] }]
card = [{ device = "meters 1", tcp = "127.0.0.1:1" }]
"#;

pub(crate) fn keys() -> Keys {
    toml::from_str(include_str!("places.toml")).unwrap_or_else(|error| panic!("places.toml: {error}"))
}

fn parse(text: &str) -> Result<Places, InvalidScenario> {
    Places::parse("places.toml", text, &Scenario::parse("x.toml", SCENARIO).unwrap())
}

fn place<'t>(base: &'t mut Table, name: &str) -> &'t mut Table {
    let first = |value: &'t mut Value| value.as_array_mut().unwrap()[0].as_table_mut().unwrap();
    match name {
        "" => base,
        "profile" => first(first(&mut base["sm_dp"]).get_mut("profiles").unwrap()),
        table => first(&mut base[table]),
    }
}

#[test]
fn the_places_parser_has_exactly_the_keys_of_places_toml() {
    for table in keys().table {
        let with = |key: &str, value: Value| {
            let mut base: Table = toml::from_str(BASE).unwrap();
            let place = place(&mut base, &table.name);
            if key == "vpcd" || key == "at" {
                place.remove("tcp");
            }
            place.insert(key.into(), value);
            parse(&toml::to_string(&base).unwrap())
        };
        let error = with("zzzzzzzz", Value::Integer(1)).expect_err("an unknown key was accepted");
        let (_, list) = error.next.rsplit_once("one of ").or(error.next.rsplit_once("Known keys: ")).unwrap();
        let described: BTreeSet<&str> = table.keys.iter().map(|key| key.key.as_str()).collect();
        assert_eq!(list.split(", ").collect::<BTreeSet<_>>(), described, "[{}]", table.name);
        for key in &table.keys {
            let example = key.example.as_deref().expect("each key has an example");
            let value = toml::from_str::<Table>(&format!("it = {example}")).unwrap()["it"].clone();
            with(&key.key, value).unwrap_or_else(|error| panic!("[{}] {}: {error}", table.name, key.key));
        }
    }
}

#[test]
fn places_must_refer_to_the_scenario() {
    for (text, what) in [
        ("sm_dp = [{ name = 'dp', address = 'dp.example' }]", "an SM-DP+ named dp"),
        (
            "sm_dp = [{ name = 'sm-dp', address = 'a', profiles = [{ package = 'x', code = 'a b' }] }]",
            "letters, digits, -, _ and .",
        ),
        ("card = [{ device = 'meters 3', tcp = 'x:1' }]", "meters 3 is not a device"),
        ("card = [{ device = 'meters', tcp = 'x:1' }]", "meters is not a device"),
        ("card = [{ device = 'meters 1', tcp = 'x:1', at = 'y' }]", "exactly one interface"),
        ("card = [{ device = 'meters 1' }]", "exactly one interface"),
        ("card = [{ device = 'meters 1', at = 'x' }, { device = 'meters 1', at = 'y' }]", "two cards"),
        ("sm_dp = [{ name = 'sm-dp', address = 'a' }, { name = 'sm-dp', address = 'b' }]", "twice"),
    ] {
        let error = parse(text).expect_err(text);
        assert!(error.what.contains(what) && error.line == 1, "{error}");
    }
    assert!(parse("").unwrap().is_empty());
}

#[test]
fn the_places_example_of_the_page_is_valid() {
    let page = std::fs::read_to_string(docs("scenarios.md")).unwrap();
    let (_, rest) = page.split_once("\n```toml places\n").unwrap();
    parse(rest.split_once("\n```").unwrap().0).unwrap_or_else(|error| panic!("{error}"));
}
