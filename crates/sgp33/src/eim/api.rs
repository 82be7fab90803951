//! The operator of an eIM that has the API of `landfall eim serve`: docs/eim-api.json.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use rsp::ids::Eid;
use serde_json::{Value, json};
use world::{BoxFuture, Fault, Link};

use super::operator::{Operation, Operator};

/// The API of an eIM.
#[derive(Clone)]
pub struct Api(pub Link);

impl Operator for Api {
    fn register(&self, eid: Eid) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move { self.post("/admin/v1/devices", &json!({ "eid": eid })).await })
    }

    fn order<'a>(&'a self, eid: Eid, operations: &'a [Operation]) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let order = json!({ "eid": eid, "package": package(operations) });
            self.post("/admin/v1/orders", &order).await
        })
    }
}

impl Api {
    async fn post(&self, path: &'static str, body: &Value) -> Result<(), Fault> {
        let mut request = Request::new(Bytes::from(body.to_string()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = http::Uri::from_static(path);
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let response = world::send(&self.0, request).await?;
        if response.status().is_success() {
            return Ok(());
        }
        let why = format!("HTTP status {}: {}", response.status(), String::from_utf8_lossy(response.body()));
        Err(Fault::new(format!("the API of the eIM refused POST {path}"), why, "read the log of the eIM"))
    }
}

/// Returns the package of an order. A request for data and a download are packages of their own.
fn package(operations: &[Operation]) -> Value {
    match operations {
        [Operation::Data] => json!({ "data": {} }),
        [Operation::Download(code)] => json!({ "download": { "source": { "activationCode": code } } }),
        _ if operations.contains(&Operation::ListEims) => {
            json!({ "eimOperations": operations.iter().map(operation).collect::<Vec<_>>() })
        }
        _ => json!({ "profileOperations": operations.iter().map(operation).collect::<Vec<_>>() }),
    }
}

fn operation(operation: &Operation) -> Value {
    match operation {
        Operation::List => json!({ "listProfileInfo": {} }),
        Operation::Rat => json!({ "getRat": {} }),
        Operation::Enable(iccid) => json!({ "enable": { "iccid": iccid } }),
        Operation::Disable(iccid) => json!({ "disable": { "iccid": iccid } }),
        Operation::Delete(iccid) => json!({ "delete": { "iccid": iccid } }),
        Operation::ListEims => json!({ "listEim": {} }),
        // These are never combined with other operations.
        Operation::Data | Operation::Download(_) => Value::Null,
    }
}
