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
    let download = |source: Value, is_kept| json!({ "download": { "source": source, "keptByEim": is_kept } });
    match operations {
        [Operation::Data] => json!({ "data": {} }),
        [Operation::Download(code)] => download(json!({ "activationCode": code }), false),
        [Operation::DownloadKept(code)] => download(json!({ "activationCode": code }), true),
        [Operation::DownloadDefault] => download(json!({ "defaultSmdp": {} }), false),
        [Operation::DownloadEvent(address)] => download(json!({ "smds": { "address": address } }), false),
        _ => {
            let is_of_eims = operations.iter().any(Operation::is_of_eims);
            let member = if is_of_eims { "eimOperations" } else { "profileOperations" };
            json!({ member: operations.iter().map(operation).collect::<Vec<_>>() })
        }
    }
}

fn operation(operation: &Operation) -> Value {
    use Operation as Op;
    match operation {
        Op::List => json!({ "listProfileInfo": {} }),
        Op::Rat => json!({ "getRat": {} }),
        Op::Enable(iccid) => json!({ "enable": { "iccid": iccid } }),
        Op::EnableWithRollback(iccid) => json!({ "enable": { "iccid": iccid, "rollback": true } }),
        Op::Disable(iccid) => json!({ "disable": { "iccid": iccid } }),
        Op::Delete(iccid) => json!({ "delete": { "iccid": iccid } }),
        Op::SetFallback(iccid) => json!({ "setFallbackAttribute": { "iccid": iccid } }),
        Op::UnsetFallback => json!({ "unsetFallbackAttribute": {} }),
        Op::ImmediateEnable => json!({ "configureImmediateEnable": { "allowed": true } }),
        Op::DefaultSmdp(address) => json!({ "setDefaultDpAddress": { "address": address } }),
        Op::ListEims => json!({ "listEim": {} }),
        Op::AddEim(eim) => json!({ "addEim": eim }),
        Op::UpdateEim(eim) => json!({ "updateEim": eim }),
        Op::DeleteEim(id) => json!({ "deleteEim": { "eimId": id } }),
        Op::ReplaceKey => json!({ "replaceOwnKey": {} }),
        // These are never combined with other operations.
        Op::Data | Op::Download(_) | Op::DownloadKept(_) | Op::DownloadDefault | Op::DownloadEvent(_) => {
            Value::Null
        }
    }
}
