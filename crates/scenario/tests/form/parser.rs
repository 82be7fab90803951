//! Compares `keys.toml` with the parser: both must have the same keys.

use std::collections::BTreeSet;

use scenario::file::Scenario;
use toml::{Table, Value};

use crate::{Keys, keys};

/// A scenario with each kind of table.
const BASE: &str = r#"
title = "x"
lasts = "120d"
owner = {}
network = [{ plmn = "724-91", away = [{ from = "1d" }], roamers = { days = 90 } }, { plmn = "234-91" }]
operator = [{ network = "722-91" }, { network = "234-91" }, { network = "724-91" }]
devices = [{ name = "meters", count = 20, bootstrap = "234-91", needs = {}, journey = [{ at = "0d", in = "GB" }, { at = "1d", in = "BR" }] }]
campaign = [{ name = "home", at = "1d", canary = { devices = 1 }, stop = {}, windows = [{ from = 0, until = 1 }], retries = {} }]
fault = [{ what = "link/reset@ES9+" }]
step = [{ at = "1d", do = "pause", campaign = "home" }]
expect = [{ registered = true }]
"#;

fn base() -> Table {
    toml::from_str(BASE).unwrap()
}

/// The table with this name in the base scenario.
fn place<'t>(base: &'t mut Table, name: &str) -> &'t mut Table {
    let (list, inner, key) = match name {
        "" => return base,
        "away" => ("network", Some("away"), 0),
        "roamers" => ("network", Some("roamers"), 0),
        "identity" => {
            let identity = value("[{ in = [\"AR\"], of = \"724-91\" }]");
            base["operator"][0].as_table_mut().unwrap().entry("identities").or_insert(identity);
            ("operator", Some("identities"), 0)
        }
        "needs" => ("devices", Some("needs"), 0),
        "stop" => ("devices", Some("journey"), 1),
        "canary" => ("campaign", Some("canary"), 0),
        "stop-when" => ("campaign", Some("stop"), 0),
        "window" => ("campaign", Some("windows"), 0),
        "retries" => ("campaign", Some("retries"), 0),
        other => (other, None, 0),
    };
    let entry = |value: &'t mut Value, number: usize| match value {
        Value::Array(list) => list[number].as_table_mut().unwrap(),
        other => other.as_table_mut().unwrap(),
    };
    let outer = entry(base.get_mut(list).unwrap(), 0);
    match inner {
        Some(inner) => entry(outer.get_mut(inner).unwrap(), key),
        None => outer,
    }
}

fn parse(file: &Table) -> Result<Scenario, scenario::file::InvalidScenario> {
    Scenario::parse("x.toml", &toml::to_string(file).unwrap())
}

fn value(text: &str) -> Value {
    toml::from_str::<Table>(&format!("it = {text}")).unwrap()["it"].clone()
}

/// The words that an error lists as known.
fn known(next: &str) -> BTreeSet<String> {
    let list = next
        .rsplit_once("one of ")
        .or_else(|| next.rsplit_once("Known keys: "))
        .map_or(next, |(_, list)| list);
    list.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_parser_has_exactly_the_keys_of_keys_toml() {
    for table in &keys().table {
        let mut file = base();
        place(&mut file, &table.name).insert("zzzzzzzz".into(), Value::Integer(1));
        let error = parse(&file).expect_err("an unknown key was accepted");
        assert!(error.what.contains("zzzzzzzz"), "{error}");
        let described: BTreeSet<String> = table.keys.iter().map(|key| key.key.clone()).collect();
        assert_eq!(known(&error.next), described, "[{}]", table.name);
    }
}

#[test]
fn the_parser_has_exactly_the_words_of_keys_toml() {
    let Keys { table: tables, step, count } = keys();
    for table in &tables {
        for key in &table.keys {
            let words: BTreeSet<String> = match key.form.split_once(' ').unwrap_or((&key.form, "")) {
                ("one", words) => words.split(' ').skip(1).map(str::to_owned).collect(),
                ("step", _) => step.iter().map(|step| step.name.clone()).collect(),
                ("count", _) => count.iter().map(|count| count.name.clone()).collect(),
                _ => continue,
            };
            if key.key == "bearer" {
                continue; // Bearers are checked against the bearer table.
            }
            let mut file = base();
            let place = place(&mut file, &table.name);
            if table.name == "expect" {
                place.clear();
                place.insert("campaign".into(), "home".into());
            }
            place.insert(key.key.clone(), "zzzzzzzz".into());
            let error = parse(&file).expect_err("an unknown word was accepted");
            assert_eq!(known(&error.next), words, "[{}] {}: {error}", table.name, key.key);
        }
    }
}

#[test]
fn examples_are_valid_and_defaults_equal_a_missing_key() {
    // Positions in the file are not part of the comparison.
    let without_numbers_after = |text: String, word: &str| -> String {
        let mut parts = text.split(word);
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |said, part| {
            said + part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
        })
    };
    let said = |scenario: Scenario| {
        without_numbers_after(without_numbers_after(format!("{scenario:?}"), "span: "), " line: ")
    };
    for table in keys().table.iter().filter(|table| !matches!(table.name.as_str(), "step" | "expect")) {
        for key in &table.keys {
            let with = |text: &str| {
                let mut file = base();
                let place = place(&mut file, &table.name);
                if key.key == "hears" {
                    place.remove("in");
                }
                if let Some(kind) = &key.kind {
                    place.insert("kind".into(), kind.as_str().into());
                }
                place.insert(key.key.clone(), value(text));
                parse(&file).unwrap_or_else(|error| panic!("[{}] {} = {text}: {error}", table.name, key.key))
            };
            // The rest of the base scenario refers to these tables.
            let carries =
                table.name.is_empty() && matches!(key.key.as_str(), "network" | "operator" | "campaign");
            if let Some(example) = key.example.as_deref().filter(|_| !carries) {
                with(example);
            }
            if let Some(default) = key.default.as_deref().filter(|_| !carries) {
                let mut file = base();
                let place = place(&mut file, &table.name);
                place.remove(&key.key);
                if let Some(kind) = &key.kind {
                    place.insert("kind".into(), kind.as_str().into());
                }
                let same = said(with(default)) == said(parse(&file).unwrap());
                assert!(same, "[{}] {} = {default} is not the default", table.name, key.key);
            }
        }
    }
}

#[test]
fn each_step_has_exactly_the_keys_of_keys_toml() {
    let keys = keys();
    let described = keys.table.iter().find(|table| table.name == "step").unwrap();
    let example = |name: &str| {
        value(described.keys.iter().find(|key| key.key == name).unwrap().example.as_deref().unwrap())
    };
    for step in &keys.step {
        let base_step = || {
            Table::from_iter([
                ("at".to_owned(), value("\"1d\"")),
                ("do".to_owned(), step.name.as_str().into()),
            ])
        };
        let with = |names: &[&str]| {
            let mut file = base();
            if let Some(kind) = &step.kind {
                file.remove("campaign");
                place(&mut file, "devices").insert("kind".into(), kind.as_str().into());
            }
            let mut table = base_step();
            names.iter().for_each(|name| drop(table.insert((*name).to_owned(), example(name))));
            file.insert("step".into(), Value::Array(vec![Value::Table(table)]));
            parse(&file)
        };
        let all: Vec<&str> = step.keys().map(|(key, _)| key).collect();
        let one_place: Vec<&str> = all.iter().copied().filter(|key| *key != "hears").collect();
        with(&one_place).unwrap_or_else(|error| panic!("{}: {error}", step.name));
        for (key, _) in step.keys().filter(|(_, must)| *must) {
            let without: Vec<&str> = one_place.iter().copied().filter(|other| *other != key).collect();
            assert!(with(&without).is_err(), "{} without {key}", step.name);
        }
        let other = described
            .keys
            .iter()
            .map(|key| key.key.as_str())
            .find(|key| !all.contains(key) && !matches!(*key, "at" | "do"));
        let error = with(&[one_place.as_slice(), &[other.unwrap()]].concat())
            .expect_err("a key of another step was accepted");
        let has = error.next.split_once("has the keys at, ").map_or("", |(_, has)| has);
        assert_eq!(has, all.join(", "), "{error}");
    }
}

#[test]
fn each_key_of_an_expectation_is_accepted() {
    let keys = keys();
    let described = keys.table.iter().find(|table| table.name == "expect").unwrap();
    for key in &described.keys {
        let beside = match key.key.as_str() {
            "count" | "fault" => "exactly = 0",
            "campaign" => "is = \"done\"",
            "is" => "campaign = \"home\"",
            "at" | "that" | "devices" | "exactly" | "at_least" | "at_most" => {
                "count = \"breaches\"\nexactly = 0"
            }
            _ => "",
        };
        let mut expect: Table = toml::from_str(beside).unwrap();
        if key.key.starts_with("at_") {
            expect.remove("exactly");
        }
        expect.insert(key.key.clone(), value(key.example.as_deref().unwrap()));
        let mut file = base();
        if let Some(kind) = &key.kind {
            file.remove("campaign");
            file.remove("step");
            place(&mut file, "devices").insert("kind".into(), kind.as_str().into());
        }
        file.insert("expect".into(), Value::Array(vec![Value::Table(expect)]));
        parse(&file).unwrap_or_else(|error| panic!("{}: {error}", key.key));
    }
}
