//! GET /openapi.json: an OpenAPI 3.1 document of the admin API, generated from the same route table
//! and types that serve the requests.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Context, Problem, ROUTES,
    function::{Arguments, Function, NoId, NoQuery, Route, Verb},
    problem::ProblemBody,
};

/// GET /openapi.json
pub(super) struct Document;

/// An OpenAPI document.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct OpenApi(BTreeMap<String, Value>);

impl Function for Document {
    const VERB: Verb = Verb::Get;
    const PATH: &'static str = "/openapi.json";
    const SUMMARY: &'static str = "This document";
    type Id = NoId;
    type Query = NoQuery;
    type Body = ();
    type Reply = OpenApi;

    async fn execute(_: &mut Context<'_, '_>, _: &Arguments<Self>) -> Result<OpenApi, Problem> {
        Ok(document())
    }
}

fn document() -> OpenApi {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    let problem = generator.subschema_for::<ProblemBody<'_>>();
    let mut paths: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
    for route in ROUTES {
        let operation = operation(&mut generator, route, &problem);
        paths.entry(route.path).or_default().insert(route.verb.to_string().to_lowercase(), operation);
    }
    let document = [
        ("openapi", json!("3.1.0")),
        (
            "info",
            json!({
                "title": "Landfall SM-DP+, admin API",
                "version": "1",
                "description": "Management API of a test SM-DP+. It has no authentication: bind it to the loopback address only.",
                "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
            }),
        ),
        ("servers", json!([{ "url": "http://127.0.0.1:8490" }])),
        ("paths", json!(paths)),
        ("components", json!({ "schemas": generator.take_definitions(true) })),
    ];
    OpenApi(document.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn operation(generator: &mut SchemaGenerator, route: &Route, problem: &Schema) -> Value {
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
    let reply = match route.verb {
        Verb::Delete => json!({ "description": "Done" }),
        _ => json!({ "description": "Done", "content": content(&(route.reply)(generator)) }),
    };
    responses.insert(route.verb.success().as_str().to_owned(), reply);
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
    if route.verb.has_body()
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
fn operation_id(route: &Route) -> String {
    let path = route.path.trim_start_matches("/admin/v1").trim_start_matches('/');
    let words = path.replace(['/', '.'], "-").replace(['{', '}'], "");
    format!("{}-{words}", route.verb.to_string().to_lowercase())
}
