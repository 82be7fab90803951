//! The result codes of SGP.32 with the tests that bring them about: docs/iot-results.toml.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::Path,
};

use serde::Deserialize;

/// The sources of the types: each `codes!` of the first file, and the named ones of the others.
const SOURCES: [(&str, &[&str]); 3] = [
    ("crates/rsp/src/sgp32/result.rs", &[]),
    ("crates/rsp/src/sgp32/settings.rs", &["SetDefaultDpAddressResult"]),
    ("crates/rsp/src/sgp22/es10c.rs", &["ProfileInfoListError"]),
];

/// The folder of the tests of types.
const MODULES: &str = "euicc-sim/src/tests/iot";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    r#type: Vec<Type>,
    situation: Vec<Situation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Type {
    name: String,
    operation: String,
    shows: String,
    tests: BTreeMap<String, String>,
    #[serde(default)]
    shown_as: BTreeMap<String, String>,
    #[serde(default)]
    impossible: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Situation {
    what: String,
    clause: String,
    tests: Vec<String>,
}

fn table(root: &Path) -> Table {
    toml::from_str(&fs::read_to_string(root.join("docs/iot-results.toml")).unwrap()).unwrap()
}

/// Returns the codes of each type, with their numbers.
fn codes(root: &Path) -> BTreeMap<String, BTreeMap<String, i64>> {
    let mut types = BTreeMap::new();
    for (file, only) in SOURCES {
        let text = fs::read_to_string(root.join(file)).unwrap();
        for block in text.split("\ncodes! {").skip(1) {
            let block = block.split("\n}").next().unwrap();
            let name = block.split("pub struct ").nth(1).unwrap().split(' ').next().unwrap();
            if !only.is_empty() && !only.contains(&name) {
                continue;
            }
            let code = |line: &str| {
                let (code, number) = line.trim().split_once(" = ")?;
                Some((code.to_owned(), number.parse().ok()?))
            };
            types.insert(name.to_owned(), block.lines().filter_map(code).collect());
        }
    }
    types
}

/// Returns the body of a test, if the file has it.
fn body(text: &str, function: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("fn {function}()"))?;
    Some(rest.split("\n}").next()?.to_owned())
}

/// Returns every defect of the table.
pub(crate) fn wrong(root: &Path) -> Vec<String> {
    let (table, mut codes) = (table(root), codes(root));
    let mut wrong = Vec::new();
    for each in &table.r#type {
        let Some(codes) = codes.remove(&each.name) else {
            wrong.push(format!("{}: no such type, or it is twice in the table", each.name));
            continue;
        };
        let rows: Vec<_> = each.tests.keys().chain(each.impossible.keys()).collect();
        let known: BTreeSet<_> = codes.keys().collect();
        if rows.len() != known.len() || rows.into_iter().collect::<BTreeSet<_>>() != known {
            wrong.push(format!("{}: the table must have each of {known:?} once", each.name));
        }
        for (code, test) in &each.tests {
            let number = codes.get(code).copied().unwrap_or_default();
            let missing = match test.split_once("::") {
                Some((module, function)) => shown(root, each, (code, number), module, function),
                None => Some("a test is written as module::function".to_owned()),
            };
            wrong.extend(missing.map(|why| format!("{} {code}: {why}", each.name)));
        }
    }
    wrong.extend(codes.keys().map(|name| format!("{name}: the table does not have this type")));
    for situation in &table.situation {
        for test in &situation.tests {
            let (file, function) = test.split_once("::").unwrap();
            let text = fs::read_to_string(root.join(file)).unwrap_or_default();
            if body(&text, function).is_none() {
                wrong.push(format!("{}: there is no test {test}", situation.what));
            }
        }
    }
    wrong
}

/// Returns the reason for which a test does not show a code.
fn shown(
    root: &Path,
    each: &Type,
    (code, number): (&str, i64),
    module: &str,
    function: &str,
) -> Option<String> {
    let file = format!("{MODULES}/{module}.rs");
    let text = fs::read_to_string(root.join(&file)).unwrap_or_default();
    let Some(body) = body(&text, function) else { return Some(format!("{file} has no test {function}")) };
    let (place, shows) = match each.shown_as.get(code) {
        Some(shows) => (text, shows.clone()),
        None => {
            let shows = each.shows.replace("{x}", &format!("{number:02X}"));
            (body, shows.replace("{d}", &number.to_string()))
        }
    };
    (!place.contains(&shows)).then(|| format!("{function} does not expect {shows}"))
}

/// Writes the section of the conformance page.
pub(crate) fn write_section(page: &mut String, root: &Path) {
    let (table, codes) = (table(root), codes(root));
    let tests: usize = table.r#type.iter().map(|each| each.tests.len()).sum();
    let impossible: usize = table.r#type.iter().map(|each| each.impossible.len()).sum();
    write!(
        page,
        "\n## Result codes of SGP.32\n\n{} result codes of operations and packages (SGP.32 section 2.11.2.1). \
         A test brings about {tests} of them on the software eUICC; {impossible} cannot be brought about. \
         Generated from `iot-results.toml`.\n\n\
         | operation | type | code | test, or why there is none |\n|---|---|---|---|\n",
        tests + impossible
    )
    .unwrap();
    for each in &table.r#type {
        let mut numbered: Vec<_> = codes.get(&each.name).into_iter().flatten().collect();
        numbered.sort_by_key(|(_, number)| **number);
        for (code, number) in numbered {
            let shown = match (each.tests.get(code), each.impossible.get(code)) {
                (Some(test), _) => {
                    let (module, function) = test.split_once("::").unwrap();
                    format!("[{function}](../{MODULES}/{module}.rs)")
                }
                (None, why) => why.cloned().unwrap_or_default(),
            };
            writeln!(page, "| {} | {} | {code} ({number}) | {shown} |", each.operation, each.name).unwrap();
        }
    }
    page.push_str("\n| situation | clause | tests |\n|---|---|---|\n");
    for Situation { what, clause, tests } in &table.situation {
        let link = |test: &String| {
            let (file, function) = test.split_once("::").unwrap();
            format!("[{function}](../{file})")
        };
        let tests = tests.iter().map(link).collect::<Vec<_>>().join(", ");
        writeln!(page, "| {what} | {clause} | {tests} |").unwrap();
    }
}
