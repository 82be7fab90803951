//! GET /openapi.json: the OpenAPI 3.1 document of an API, generated from the same route table and
//! types that serve the requests.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Api, Arguments, Function, Input, Problem, Route, Verb};

/// GET /openapi.json
pub struct Document;

/// An OpenAPI document.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct OpenApi(BTreeMap<String, Value>);

impl<A: Api> Function<A> for Document {
    const VERB: Verb = Verb::Get;
    const PATH: &'static str = "/openapi.json";
    const SUMMARY: &'static str = "This document";
    type Arguments = Arguments;
    type Reply = OpenApi;

    async fn execute(_: Input<'_, '_, '_, A, Self>) -> Result<OpenApi, Problem> {
        Ok(document::<A>())
    }
}

fn document<A: Api>() -> OpenApi {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    let problem = generator.subschema_for::<Problem>();
    let mut paths: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
    for route in A::ROUTES {
        let operation = operation(&mut generator, route, &problem);
        paths.entry(route.path).or_default().insert(route.verb.name().to_lowercase(), operation);
    }
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

fn operation<A: Api>(generator: &mut SchemaGenerator, route: &Route<A>, problem: &Schema) -> Value {
    let mut parameters = Vec::new();
    if let Some(name) = route.id_name() {
        let schema = (route.id)(generator);
        parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
    }
    let query = (route.query)(generator);
    for (name, schema) in query.get("properties").and_then(Value::as_object).into_iter().flatten() {
        parameters.push(json!({ "name": name, "in": "query", "required": false, "schema": schema }));
    }
    let mut responses = BTreeMap::new();
    let reply = match route.has_reply() {
        true => json!({ "description": "Done", "content": content(&(route.reply)(generator)) }),
        false => json!({ "description": "Done" }),
    };
    responses.insert(route.success.as_str().to_owned(), reply);
    for (status, why) in route.problems {
        let response = json!({ "description": why, "content": content(problem) });
        responses.insert(status.as_str().to_owned(), response);
    }
    let response = json!({ "description": "The request failed; the body gives the reason", "content": content(problem) });
    responses.insert("default".to_owned(), response);
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "parameters": parameters,
        "responses": responses,
    });
    if route.has_body
        && let Some(fields) = operation.as_object_mut()
    {
        let body = (route.body)(generator);
        fields.insert("requestBody".to_owned(), json!({ "required": true, "content": content(&body) }));
    }
    operation
}

fn content(schema: &Schema) -> Value {
    json!({ "application/json": { "schema": schema } })
}

/// Returns the operation ID, for example `get-stock-iccid` for `GET /admin/v1/stock/{iccid}`.
fn operation_id<A: Api>(route: &Route<A>) -> String {
    let path = route.path.split_once("/v1").map_or(route.path, |(_, path)| path);
    let words = path.trim_start_matches('/').replace(['/', '.'], "-").replace(['{', '}'], "");
    format!("{}-{words}", route.verb.name().to_lowercase())
}
