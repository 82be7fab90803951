//! The generated parts of docs/scenarios.md, and its examples.

use std::fmt::Write;

use scenario::file::Scenario;

use crate::{Key, Keys, docs, hold, keys};

#[test]
fn the_page_is_up_to_date() {
    let mut page = std::fs::read_to_string(docs("scenarios.md")).unwrap();
    let keys = keys();
    for (name, fresh) in [
        ("places", tables(&crate::places::keys())),
        ("keys", tables(&keys)),
        ("steps", steps(&keys)),
        ("counts", counts(&keys)),
        ("library", library()),
    ] {
        let (begin, end) = (format!("<!-- {name}: made by a test -->\n"), format!("<!-- end of {name} -->"));
        let (head, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("the page has no {begin}"));
        let (_, tail) = rest.split_once(&end).unwrap_or_else(|| panic!("the page has no {end}"));
        page = format!("{head}{begin}\n{fresh}\n{end}{tail}");
    }
    hold("scenarios.md", &page);
}

#[test]
fn the_examples_of_the_page_are_valid() {
    let examples = examples();
    assert!(!examples.is_empty(), "docs/scenarios.md has no example");
    for example in examples {
        Scenario::parse("docs/scenarios.md", &example).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// The complete scenarios on the page.
pub(crate) fn examples() -> Vec<String> {
    let page = std::fs::read_to_string(docs("scenarios.md")).unwrap_or_default();
    let blocks = page.split("\n```toml scenario\n").skip(1);
    blocks.filter_map(|block| block.split_once("\n```")).map(|(text, _)| text.to_owned()).collect()
}

fn tables(keys: &Keys) -> String {
    let mut page = String::new();
    for table in &keys.table {
        // Writing to a String cannot fail.
        let title = if table.written.starts_with('[') {
            format!("`{}`", table.written)
        } else {
            table.written.clone()
        };
        let _ = writeln!(
            page,
            "### {title}\n\n{}\n\n| key | value | default | example | meaning |\n|---|---|---|---|---|",
            table.what
        );
        for key in &table.keys {
            let example = key.example.as_deref().map(|example| format!("`{example}`")).unwrap_or_default();
            let _ = writeln!(
                page,
                "| `{}` | {} | {} | {example} | {} |",
                key.key,
                form(&key.form),
                otherwise(key),
                key.what
            );
        }
        page.push('\n');
    }
    page.trim_end().to_owned() + "\n"
}

fn otherwise(key: &Key) -> String {
    match (&key.default, &key.otherwise) {
        (Some(default), _) => format!("`{default}`"),
        (None, Some(otherwise)) => otherwise.clone(),
        (None, None) => "**required**".to_owned(),
    }
}

fn form(form: &str) -> String {
    let (word, rest) = form.split_once(' ').unwrap_or((form, ""));
    match (word, rest) {
        ("plmn", _) => "network".to_owned(),
        ("range", _) => "network or mobile country code".to_owned(),
        ("flag", _) => "true or false".to_owned(),
        ("fault", _) => "[fault](faults.md)".to_owned(),
        ("number", rest) => {
            let words: Vec<&str> = rest.splitn(3, ' ').collect();
            let of = words.get(2).map(|of| format!(", {of}")).unwrap_or_default();
            match words[1] {
                "4294967295" => format!("number from {}{of}", words[0]),
                most => format!("number {} to {most}{of}", words[0]),
            }
        }
        ("one", rest) => {
            rest.split(' ').skip(1).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        }
        ("step", _) => "one of [these](#steps)".to_owned(),
        ("count", _) => "one of [these](#counts)".to_owned(),
        ("list", rest) => format!("list of: {}", self::form(rest.trim_start_matches("of "))),
        ("table", name) => format!("a `{name}`"),
        ("tables", name) => format!("list of `{name}`"),
        ("foreign", file) => format!("tables as in [{file}](../{file})"),
        (word, _) => word.to_owned(),
    }
}

fn steps(keys: &Keys) -> String {
    let mut page = "| `do` | keys besides `at` | effect |\n|---|---|---|\n".to_owned();
    for step in &keys.step {
        let _ = writeln!(page, "| `{}` | {} | {} |", step.name, step.keys, step.what);
    }
    page
}

fn counts(keys: &Keys) -> String {
    let mut page = "| `count` | meaning |\n|---|---|\n".to_owned();
    for count in &keys.count {
        let _ = writeln!(page, "| `{}` | {} |", count.name, count.what);
    }
    page
}

fn library() -> String {
    let mut page =
        "| `landfall run` | title | devices | duration | expectations |\n|---|---|---|---|---|\n".to_owned();
    for (name, text) in scenario::library::all() {
        let scenario = Scenario::parse(name, text).unwrap_or_else(|error| panic!("{error}"));
        let devices: u32 = scenario.groups.iter().map(|group| *group.count.get_ref()).sum();
        let _ = writeln!(
            page,
            "| [`{name}`](../crates/scenario/library/{name}.toml) | {} | {devices} | {} | {} |",
            scenario.title,
            scenario.lasts,
            scenario.expectations.len()
        );
    }
    page
}
