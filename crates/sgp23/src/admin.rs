//! A client of the admin API of a test SM-DP+, which creates stock and orders in any state over
//! HTTP and JSON.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use rsp::ids::Iccid;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use world::Link;

use crate::verdict::Stop;

/// A client of the admin API on this link.
pub struct Admin<'a>(pub &'a Link);

/// The state of a profile in the admin API.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileView {
    /// The state, in the terms of SGP.22 section 3.1.6.
    pub state: String,
    /// The EIDs of the eUICCs that have the profile.
    #[serde(default)]
    pub installed_on: Vec<String>,
}

/// A placed order.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderView {
    /// The MatchingID of the order.
    #[serde(default)]
    pub matching_id: String,
}

impl Admin<'_> {
    /// Adds a package to the stock.
    ///
    /// # Errors
    /// Fails if the server refuses the package.
    pub async fn stock(&self, body: &Value) -> Result<(), Stop> {
        self.call::<Value>(Method::POST, "/admin/v1/stock", Some(body)).await.map(|_| ())
    }

    /// Places an order.
    ///
    /// # Errors
    /// Fails if the server refuses the order.
    pub async fn order(&self, body: &Value) -> Result<OrderView, Stop> {
        self.call(Method::POST, "/admin/v1/orders", Some(body)).await
    }

    /// Returns the state of a profile.
    ///
    /// # Errors
    /// Fails if the server does not return it.
    pub async fn profile(&self, iccid: Iccid) -> Result<ProfileView, Stop> {
        self.call(Method::GET, &format!("/admin/v1/stock/{iccid}"), None).await
    }

    /// Registers an operator with the OID of its client certificate and its ES2+ address.
    ///
    /// # Errors
    /// Fails if the server refuses the operator.
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
            .map_err(|e| Stop::needs(format!("an admin API with the expected responses: {path}: {e}")))
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
        Err(Stop::needs(format!("the admin API to accept {path}: HTTP {status} {why}")))
    }
}

/// Returns the object without its null fields.
pub(crate) fn object(fields: Value) -> Value {
    match fields {
        Value::Object(fields) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => json!({}),
    }
}
