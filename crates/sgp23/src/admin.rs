//! The admin API of a test bench as a tester uses it: stock and orders in any state. Plain HTTP, JSON.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use rsp::ids::Iccid;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use world::Link;

use crate::verdict::Stop;

/// The admin API behind a link.
pub struct Admin<'a>(pub &'a Link);

/// Where a profile stands, as the admin API tells it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileView {
    /// Its state in the words of SGP.22 section 3.1.6.
    pub state: String,
    /// The eUICCs that have it.
    #[serde(default)]
    pub installed_on: Vec<String>,
}

/// An order that was made.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderView {
    /// What the LPA asks for.
    #[serde(default)]
    pub matching_id: String,
}

impl Admin<'_> {
    /// Puts a package into stock.
    ///
    /// # Errors
    /// The server does not take it.
    pub async fn stock(&self, body: &Value) -> Result<(), Stop> {
        self.call::<Value>(Method::POST, "/admin/v1/stock", Some(body)).await.map(|_| ())
    }

    /// Makes an order.
    ///
    /// # Errors
    /// The server does not make it.
    pub async fn order(&self, body: &Value) -> Result<OrderView, Stop> {
        self.call(Method::POST, "/admin/v1/orders", Some(body)).await
    }

    /// Where a profile stands.
    ///
    /// # Errors
    /// The server does not say.
    pub async fn profile(&self, iccid: Iccid) -> Result<ProfileView, Stop> {
        self.call(Method::GET, &format!("/admin/v1/stock/{iccid}"), None).await
    }

    /// Names an operator by the OID of its client certificate, and says where it is called.
    ///
    /// # Errors
    /// The server does not take it.
    pub async fn register(&self, identifier: &str, oid: &str, address: Option<&str>) -> Result<(), Stop> {
        let body = object(json!({ "certificateOid": oid, "es2plusAddress": address }));
        self.ask(Method::PUT, &format!("/admin/v1/operators/{identifier}"), Some(&body)).await.map(|_| ())
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Stop> {
        let answer = self.ask(method, path, body).await?;
        serde_json::from_slice(&answer)
            .map_err(|e| Stop::needs(format!("an admin API that is understood: {path}: {e}")))
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Bytes, Stop> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap_or_default();
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = world::send(self.0, request).await;
        let answer = answer.map_err(|fault| Stop::needs(format!("the admin API: {fault}")))?;
        let status = answer.status();
        if status == StatusCode::OK || status == StatusCode::CREATED || status == StatusCode::NO_CONTENT {
            return Ok(answer.into_body());
        }
        let why = String::from_utf8_lossy(answer.body()).into_owned();
        Err(Stop::needs(format!("the admin API to do {path}: HTTP {status} {why}")))
    }
}

/// An object without the fields that are null.
pub(crate) fn object(fields: Value) -> Value {
    match fields {
        Value::Object(fields) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => json!({}),
    }
}
