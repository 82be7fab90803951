//! The JSON schema for editors, generated from `keys.toml`.

use serde_json::{Map, Value, json};

use crate::{Key, Keys, Table, hold, keys};

const LENGTH: &str = "([0-9]+[wdhms] *)+";
const DATE: &str = "[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9:]+))?";
const WHICH: &str = "^[A-Za-z0-9._-]+( ([0-9]+|[0-9]+-[0-9]+|[0-9]+%))?$";

#[test]
fn the_schema_is_up_to_date() {
    for (file, title, keys) in [
        ("scenario.schema.json", "A Landfall scenario", keys()),
        ("places.schema.json", "The places of a Landfall scenario", crate::places::keys()),
    ] {
        hold(file, &(serde_json::to_string_pretty(&schema(title, &keys)).unwrap() + "\n"));
    }
}

fn schema(title: &str, keys: &Keys) -> Value {
    let mut root = Map::new();
    root.insert("$schema".into(), json!("http://json-schema.org/draft-07/schema#"));
    root.insert("title".into(), json!(title));
    let mut definitions = Map::new();
    for table in &keys.table {
        let object = object(table, keys);
        if table.name.is_empty() {
            root.extend(object);
        } else {
            definitions.insert(table.name.clone(), Value::Object(object));
        }
    }
    root.insert("definitions".into(), Value::Object(definitions));
    Value::Object(root)
}

fn object(table: &Table, keys: &Keys) -> Map<String, Value> {
    let properties: Map<String, Value> =
        table.keys.iter().map(|key| (key.key.clone(), property(key, keys))).collect();
    let required: Vec<&str> =
        table.keys.iter().filter(|key| key.must_be_there()).map(|key| key.key.as_str()).collect();
    let mut object = json!({
        "type": "object",
        "description": table.what,
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    });
    if table.name == "step" {
        object["allOf"] = keys.step.iter().map(of_step).collect();
    }
    match object {
        Value::Object(object) => object,
        _ => unreachable!("the value is an object"),
    }
}

/// The value of `do` determines the other keys of a step.
fn of_step(step: &crate::Step) -> Value {
    let all: Vec<&str> = ["at", "do"].into_iter().chain(step.keys().map(|(key, _)| key)).collect();
    let required: Vec<&str> = step.keys().filter(|(_, must)| *must).map(|(key, _)| key).collect();
    json!({
        "if": { "properties": { "do": { "const": step.name } } },
        "then": { "propertyNames": { "enum": all }, "required": required },
    })
}

fn property(key: &Key, keys: &Keys) -> Value {
    let mut schema = form(&key.form, keys);
    let value = |text: &str| toml::from_str::<toml::Table>(&format!("it = {text}")).unwrap()["it"].clone();
    schema["description"] = json!(key.what);
    if let Some(default) = &key.default {
        schema["default"] = serde_json::to_value(value(default)).unwrap();
    }
    if let Some(example) = &key.example {
        schema["examples"] = json!([serde_json::to_value(value(example)).unwrap()]);
    }
    schema
}

fn form(form: &str, keys: &Keys) -> Value {
    let pattern = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    let (word, rest) = form.split_once(' ').unwrap_or((form, ""));
    match (word, rest) {
        ("text", _) => json!({ "type": "string" }),
        ("word", _) => pattern("^[A-Za-z0-9._-]+$"),
        ("plmn", _) => pattern("^[0-9]{3}-[0-9]{2,3}$"),
        ("country", _) => pattern("^[A-Z]{2}$"),
        ("range", _) => pattern("^[0-9]{3}(-[0-9]{2,3})?$"),
        ("permit", _) => pattern("^[a-z_]+ ([A-Z]{2}|[0-9]{3}-[0-9]{2,3})$"),
        ("length", _) => pattern(&format!("^{LENGTH}$")),
        ("moment", _) => pattern(&format!("^(end|{LENGTH}|{DATE})$")),
        ("date", _) => pattern(&format!("^{DATE}$")),
        ("flag", _) => json!({ "type": "boolean" }),
        ("amount", _) => json!({ "anyOf": [{ "type": "number", "minimum": 0 }, pattern("^[0-9.]+ *%$")] }),
        ("devices", _) => {
            json!({ "anyOf": [pattern(WHICH), { "type": "array", "items": pattern(WHICH) }] })
        }
        ("partners", _) => {
            json!({ "anyOf": [{ "enum": ["any", "none"] }, { "type": "array", "items": self::form("plmn", keys) }] })
        }
        ("fault", _) => pattern("^[a-z]+/[a-z0-9-]+"),
        ("number", rest) => {
            let mut words = rest.split(' ').map(|word| word.parse::<u32>().unwrap());
            json!({ "type": "integer", "minimum": words.next().unwrap(), "maximum": words.next().unwrap() })
        }
        ("one", rest) => json!({ "enum": rest.split(' ').skip(1).collect::<Vec<_>>() }),
        ("step", _) => json!({ "enum": keys.step.iter().map(|step| &step.name).collect::<Vec<_>>() }),
        ("count", _) => json!({ "enum": keys.count.iter().map(|count| &count.name).collect::<Vec<_>>() }),
        ("list", rest) => {
            json!({ "type": "array", "items": self::form(rest.trim_start_matches("of "), keys) })
        }
        ("table", name) => json!({ "allOf": [{ "$ref": format!("#/definitions/{name}") }] }),
        ("tables", name) => {
            json!({ "type": "array", "items": { "$ref": format!("#/definitions/{name}") } })
        }
        ("foreign", _) => json!({ "type": "array", "items": { "type": "object" } }),
        _ => panic!("keys.toml has the unknown form {form:?}"),
    }
}
