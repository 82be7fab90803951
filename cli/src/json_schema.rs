//! JSON Schemas of the output of the commands.
//!
//! Each file of [`crate::command`] lists its commands in `OUTPUTS` with the types that they print.
//! [`crate::command::outputs`] returns all of them. The files in `docs/json` are generated from
//! these types.

use std::{borrow::Cow, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};

use crate::json_view;

/// The JSON output of a command.
#[derive(Clone, Copy, Debug)]
pub struct CommandOutput {
    /// The command, such as `device list`.
    pub command: &'static str,
    /// The form of the output.
    pub form: Form,
    schema: fn(&mut SchemaGenerator) -> Schema,
    is_readable: bool,
}

/// The form of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One document.
    Document,
    /// Any number of documents, one on each line.
    Lines,
}

impl Form {
    /// The name of the form, for the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Lines => "lines",
        }
    }
}

/// Describes a command that prints one document of the type `T`.
pub const fn document<T: JsonSchema>(command: &'static str) -> CommandOutput {
    CommandOutput { command, form: Form::Document, schema: T::json_schema, is_readable: false }
}

/// Describes a command that prints lines of the type `T`.
pub const fn lines<T: JsonSchema>(command: &'static str) -> CommandOutput {
    CommandOutput { form: Form::Lines, ..document::<T>(command) }
}

/// The type of an output that has one of two types, depending on the arguments.
pub struct OneOf<A, B>(PhantomData<(A, B)>);

impl<A: JsonSchema, B: JsonSchema> JsonSchema for OneOf<A, B> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}_or_{}", A::schema_name(), B::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [generator.subschema_for::<A>(), generator.subschema_for::<B>()] })
    }
}

impl CommandOutput {
    /// Changes the description for a command that prints the type as [`json_view::readable`]
    /// converts it.
    #[must_use]
    pub const fn readable(self) -> Self {
        Self { is_readable: true, ..self }
    }

    /// The name of the file with the schema: `device-list.schema.json`.
    pub fn file(&self) -> String {
        format!("{}.schema.json", self.command.replace(' ', "-"))
    }

    /// Returns the schema of a document, or of each line.
    pub fn schema(&self) -> Schema {
        let mut schema = complete(&format!("Result of landfall {}", self.command), self.schema);
        if self.is_readable {
            json_view::convert_schema(&mut schema);
        }
        schema
    }
}

/// Returns the schema of a type, with all types that it contains.
pub fn schema_of<T: JsonSchema>(title: &str) -> Schema {
    complete(title, T::json_schema)
}

fn complete(title: &str, schema: fn(&mut SchemaGenerator) -> Schema) -> Schema {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let meta_schema = settings.meta_schema.clone();
    let mut generator = settings.into_generator();
    let mut schema = schema(&mut generator);
    let definitions = generator.take_definitions(true);
    if let Some(meta_schema) = meta_schema {
        schema.insert("$schema".to_owned(), meta_schema.into_owned().into());
    }
    schema.insert("title".to_owned(), title.into());
    if !definitions.is_empty() {
        schema.insert("$defs".to_owned(), definitions.into());
    }
    schema
}
