//! GET /openapi.json: the OpenAPI 3.1 document of an API, generated from the same route table and
//! types that serve the requests.

use std::collections::BTreeMap;

use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Api, Arguments, Function, Header, Operation, Problem, Verb};

/// An OpenAPI document.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct OpenApi(BTreeMap<String, Value>);

/// Defines GET /openapi.json.
pub const fn document<A: Api>() -> Function<A, Arguments, OpenApi> {
    Function::get("/openapi.json", "This document", |_| Box::pin(async { Ok(openapi::<A>()) }))
}

/// Returns the schema of the reply to `verb path`, if the API has this function and it has a reply.
pub fn reply_schema<A: Api>(verb: Verb, path: &str, generator: &mut SchemaGenerator) -> Option<Schema> {
    let mut operations = A::ROUTES.iter().map(|route| route.operation());
    let operation = operations.find(|operation| operation.verb == verb && operation.path == path)?;
    operation.has_reply().then(|| (operation.reply)(generator))
}

/// The endpoints for the programs that start a server. Each port with an API document has them.
fn health() -> [(&'static str, Value); 2] {
    let status = |word: &str| {
        json!({
            "type": "object",
            "properties": { "status": { "const": word } },
            "required": ["status"],
        })
    };
    let response = |why: &str, word: &str| {
        json!({
            "description": why,
            "content": { "application/json": { "schema": status(word) } },
        })
    };
    let listens = response("The port listens", "ok");
    let (ready, starting) =
        (response("The server is ready", "ready"), response("The server starts", "starting"));
    [
        (
            "/healthz",
            json!({ "get": {
            "operationId": "get-healthz",
            "summary": "Answers as soon as the port listens",
            "parameters": [],
            "responses": { "200": listens },
        } }),
        ),
        (
            "/readyz",
            json!({ "get": {
            "operationId": "get-readyz",
            "summary": "Reports if the server is ready",
            "parameters": [],
            "responses": { "200": ready, "503": starting },
        } }),
        ),
    ]
}

fn openapi<A: Api>() -> OpenApi {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    let problem = generator.subschema_for::<Problem>();
    let mut paths: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
    for operation in A::ROUTES.iter().map(|route| route.operation()) {
        let methods = paths.entry(operation.path).or_default();
        methods.insert(
            operation.verb.name().to_lowercase(),
            describe(&mut generator, operation, A::HEADERS, &problem),
        );
    }
    let mut paths: BTreeMap<&str, Value> =
        paths.into_iter().map(|(path, methods)| (path, json!(methods))).collect();
    paths.extend(health());
    let license = "MIT OR Apache-2.0";
    let document = [
        ("openapi", json!("3.1.0")),
        (
            "info",
            json!({
                "title": A::TITLE,
                "version": "1",
                "description": A::DESCRIPTION,
                "license": { "name": license, "identifier": license },
            }),
        ),
        ("servers", json!([{ "url": A::SERVER }])),
        ("paths", json!(paths)),
        ("components", json!({ "schemas": generator.take_definitions(true) })),
    ];
    OpenApi(document.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn describe(
    generator: &mut SchemaGenerator,
    operation: &Operation,
    headers: &[Header],
    problem: &Schema,
) -> Value {
    let mut parameters = Vec::new();
    if let Some(name) = operation.id_name() {
        let schema = (operation.id)(generator);
        parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
    }
    let query = (operation.query)(generator);
    for (name, schema) in query.get("properties").and_then(Value::as_object).into_iter().flatten() {
        parameters.push(json!({ "name": name, "in": "query", "required": false, "schema": schema }));
    }
    for Header { name, description, schema } in headers {
        parameters.push(json!({
            "name": name,
            "in": "header",
            "required": false,
            "description": description,
            "schema": schema(generator),
        }));
    }
    let mut responses = BTreeMap::new();
    let reply = match operation.has_reply() {
        true if operation.is_list => json!({
            "description": "A page of the list",
            "headers": { "Link": {
                "description": "The next page, as <PATH>; rel=\"next\". The last page has no such header",
                "schema": { "type": "string" },
            } },
            "content": content(&(operation.reply)(generator)),
        }),
        true => json!({ "description": "Done", "content": content(&(operation.reply)(generator)) }),
        false => json!({ "description": "Done" }),
    };
    responses.insert(operation.success.as_str().to_owned(), reply);
    if let Some(why) = operation.nothing {
        responses.insert(StatusCode::NO_CONTENT.as_str().to_owned(), json!({ "description": why }));
    }
    for (status, why) in operation.problems {
        let response = json!({ "description": why, "content": content(problem) });
        responses.insert(status.as_str().to_owned(), response);
    }
    let response = json!({ "description": "The request failed; the body gives the reason", "content": content(problem) });
    responses.insert("default".to_owned(), response);
    let mut described = json!({
        "operationId": operation_id(operation),
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses,
    });
    if operation.has_body
        && let Some(fields) = described.as_object_mut()
    {
        let body = (operation.body)(generator);
        fields.insert("requestBody".to_owned(), json!({ "required": true, "content": content(&body) }));
    }
    described
}

fn content(schema: &Schema) -> Value {
    json!({ "application/json": { "schema": schema } })
}

/// Returns the operation ID, for example `get-stock-iccid` for `GET /admin/v1/stock/{iccid}`.
fn operation_id(operation: &Operation) -> String {
    let path = operation.path.split_once("/v1").map_or(operation.path, |(_, path)| path);
    let words = path.trim_start_matches('/').replace(['/', '.'], "-").replace(['{', '}'], "");
    format!("{}-{words}", operation.verb.name().to_lowercase())
}
