//! The schemas: validators, and the files in docs/json.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use cli::{json_schema::schema_of, output::ErrorDocument, readiness::Ready};
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use world::Event;

/// Validators of all documents.
pub(super) struct Schemas {
    commands: BTreeMap<&'static str, Validator>,
    error: Validator,
    event: Validator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let commands = cli::command::outputs();
        Self {
            commands: commands.map(|output| (output.command, validator(output.schema().into()))).collect(),
            error: validator(schema_of::<ErrorDocument<'_>>("").into()),
            event: validator(schema_of::<Event>("").into()),
        }
    }

    /// Checks a result of a command.
    pub(super) fn check_result(&self, command: &str, document: &Value) -> Result<(), String> {
        let validator = self.commands.get(command).ok_or("the command has no schema")?;
        check(validator, document)
    }

    /// Checks an error.
    pub(super) fn check_error(&self, document: &Value) -> Result<(), String> {
        check(&self.error, document)
    }

    /// Checks a line of standard error that is an event.
    pub(super) fn check_event(&self, document: &Value) -> Result<(), String> {
        check(&self.event, document)
    }
}

fn check(validator: &Validator, document: &Value) -> Result<(), String> {
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("the schema does not match at {}: {error}", error.instance_path()))
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(errors.join("\n")) }
}

/// Returns a validator that also refuses members which the schema does not describe.
fn validator(mut schema: Value) -> Validator {
    let mut extended = BTreeSet::new();
    find_extended(&schema, &mut extended);
    close(&mut schema, &extended);
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

/// Finds the definitions to which an object refers that has further members.
fn find_extended(schema: &Value, extended: &mut BTreeSet<String>) {
    match schema {
        Value::Array(schemas) => schemas.iter().for_each(|schema| find_extended(schema, extended)),
        Value::Object(members) => {
            let definition = members.get("$ref").and_then(|reference| reference.as_str()?.rsplit('/').next());
            if members.contains_key("properties") {
                extended.extend(definition.map(str::to_owned));
            }
            members.values().for_each(|schema| find_extended(schema, extended));
        }
        _ => {}
    }
}

/// Closes each object of a schema. A schema that extends an object, or that an object extends, is
/// left open, because the object itself is closed.
fn close(schema: &mut Value, extended: &BTreeSet<String>) {
    match schema {
        Value::Array(schemas) => schemas.iter_mut().for_each(|schema| close(schema, extended)),
        Value::Object(members) => {
            let is_object = members.contains_key("properties");
            for (key, member) in members.iter_mut() {
                match key.as_str() {
                    "oneOf" | "anyOf" | "allOf" if is_object => {}
                    // The keys are names of members and not keywords.
                    "properties" => {
                        let members = member.as_object_mut().into_iter().flat_map(Map::values_mut);
                        members.for_each(|schema| close(schema, extended));
                    }
                    "$defs" => {
                        let definitions = member.as_object_mut().into_iter().flatten();
                        let closed = definitions.filter(|(name, _)| !extended.contains(*name));
                        closed.for_each(|(_, schema)| close(schema, extended));
                    }
                    "enum" | "const" | "default" => {}
                    _ => close(member, extended),
                }
            }
            if is_object && !members.contains_key("additionalProperties") {
                members.insert("unevaluatedProperties".to_owned(), json!(false));
            }
        }
        _ => {}
    }
}

#[test]
fn the_committed_schemas_match_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/json");
    let of_commands = cli::command::outputs().map(|output| (output.file(), output.schema()));
    let others = [
        ("error.schema.json", schema_of::<ErrorDocument<'_>>("Error of a landfall command")),
        ("event.schema.json", schema_of::<Event>("Event on standard error")),
        ("ready.schema.json", schema_of::<Ready>("Announcement of a server that is ready")),
    ];
    let others = others.into_iter().map(|(file, schema)| (file.to_owned(), schema));
    let files: BTreeMap<PathBuf, String> = of_commands
        .chain(others)
        .map(|(file, schema)| (folder.join(file), serde_json::to_string_pretty(&schema).unwrap() + "\n"))
        .collect();
    if std::env::var_os("LANDFALL_REGENERATE").is_some() {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        files.iter().for_each(|(file, text)| std::fs::write(file, text).unwrap());
    }
    let present: BTreeSet<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let expected: BTreeSet<PathBuf> = files.keys().cloned().collect();
    let regenerate = "LANDFALL_REGENERATE=1 cargo test -p cli --test json";
    assert_eq!(present, expected, "{regenerate}");
    for (file, text) in files {
        let is_up_to_date = std::fs::read_to_string(&file).unwrap() == text;
        assert!(is_up_to_date, "{} is not up to date: {regenerate}", file.display());
    }
}
