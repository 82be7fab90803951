//! Checks the built-in scenarios against the JSON schema for editors. A validator for JSON Schema
//! would add some 35 crates for this one test, so the test implements the few keywords that the
//! schema uses, and fails for any other keyword.

use serde_json::{Value, json};

use crate::docs;

struct Schema(Value);

impl Schema {
    /// Describes the first part of a value that does not match this part of the schema. `None` if
    /// it matches.
    fn wrong(&self, value: &Value, part: &Value, at: &str) -> Option<String> {
        let keywords = part.as_object().unwrap_or_else(|| panic!("{part} is not a schema"));
        keywords.iter().find_map(|(keyword, said)| self.wrong_by(value, part, (keyword, said), at))
    }

    fn wrong_by(
        &self,
        value: &Value,
        part: &Value,
        (keyword, said): (&str, &Value),
        at: &str,
    ) -> Option<String> {
        let unless = |is_so: bool| (!is_so).then(|| format!("{at}: {value} is not {keyword} {said}"));
        let all = || said.as_array().unwrap().iter();
        let fits = |part: &Value| self.wrong(value, part, at).is_none();
        match keyword {
            "$ref" => self.wrong(value, self.0.pointer(&said.as_str().unwrap()[1..]).unwrap(), at),
            "type" => {
                let is = |name: &Value| match name.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    other => panic!("unknown type {other}"),
                };
                unless(said.as_array().map_or_else(|| is(said), |any| any.iter().any(is)))
            }
            "properties" => value.as_object()?.iter().find_map(|(key, value)| {
                said.get(key).and_then(|part| self.wrong(value, part, &format!("{at}.{key}")))
            }),
            "additionalProperties" => {
                assert_eq!(*said, json!(false));
                let known = part["properties"].as_object().unwrap();
                let other = value.as_object()?.keys().find(|key| !known.contains_key(*key));
                other.map(|key| format!("{at} has the unknown key {key}"))
            }
            "required" => all().find_map(|key| match value.as_object()?.contains_key(key.as_str()?) {
                true => None,
                false => Some(format!("{at} has no {key}")),
            }),
            "propertyNames" => {
                let mut keys = value.as_object()?.keys();
                keys.find_map(|key| self.wrong(&json!(key), said, &format!("a key of {at}")))
            }
            "items" => value
                .as_array()?
                .iter()
                .enumerate()
                .find_map(|(place, value)| self.wrong(value, said, &format!("{at}[{place}]"))),
            "enum" => unless(all().any(|one| one == value)),
            "const" => unless(value == said),
            "minimum" => unless(value.as_f64().is_none_or(|number| number >= said.as_f64().unwrap())),
            "maximum" => unless(value.as_f64().is_none_or(|number| number <= said.as_f64().unwrap())),
            "allOf" => all().find_map(|part| self.wrong(value, part, at)),
            "anyOf" => unless(all().any(fits)),
            "if" => fits(said).then(|| self.wrong(value, &part["then"], at))?,
            // The parser checks the contents of strings.
            "pattern" | "then" | "description" | "title" | "default" | "examples" | "$schema"
            | "definitions" => None,
            other => panic!("this test does not support the keyword {other}"),
        }
    }
}

#[test]
fn every_built_in_scenario_matches_the_schema() {
    let schema = std::fs::read_to_string(docs("scenario.schema.json")).unwrap();
    let schema = Schema(serde_json::from_str(&schema).unwrap());
    let wrong = |text: &str| {
        let value: toml::Table = toml::from_str(text).unwrap();
        schema.wrong(&serde_json::to_value(value).unwrap(), &schema.0, "the file")
    };
    let mut seen = 0;
    for (name, text) in scenario::library::all() {
        assert_eq!(wrong(text), None, "{name}");
        seen += 1;
    }
    assert!(seen >= 25, "{seen}");
    let (_, good) = scenario::library::all().find(|(name, _)| *name == "roll-back").unwrap();
    for (from, to) in [
        ("title = ", "titel = "),
        ("count = 20", "count = \"20\""),
        ("count = 20", "count = 0"),
        ("do = \"roll-back\"", "do = \"roll-forward\""),
        ("do = \"roll-back\"", "do = \"restart\""),
    ] {
        assert!(good.contains(from), "{from}");
        assert!(wrong(&good.replacen(from, to, 1)).is_some(), "{to}");
    }
}
