//! The route table of an API, and how a request is matched to a function.

use std::{
    fmt::{self, Display},
    str::FromStr,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

use super::{Api, Arguments, Call, Problem};

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Reads.
    Get,
    /// Creates a resource or performs an action.
    Post,
    /// Creates or replaces a resource.
    Put,
    /// Deletes.
    Delete,
}

impl Verb {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

impl Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The errors of a function, with the reason for each in the document.
pub type Problems = &'static [(StatusCode, &'static str)];

/// A function as an entry of the route table.
pub trait Route<A: Api>: Sync {
    /// The HTTP method and the path, and what the document says about the function.
    fn operation(&self) -> &Operation;

    /// Decodes a request that [`find`] matched to this route.
    ///
    /// # Errors
    /// The request is malformed.
    fn call(
        &'static self,
        id: &str,
        request: &Request<Bytes>,
    ) -> Result<Box<dyn Call<A, Response<Bytes>>>, Problem>;
}

/// The HTTP method and the path of a function, and what the document says about it.
pub struct Operation {
    /// The HTTP method.
    pub verb: Verb,
    /// True if requests have a body.
    pub(super) has_body: bool,
    /// The path. At most one segment is a `{name}`, the identifier.
    pub(super) path: &'static str,
    /// A one-line description.
    pub(super) summary: &'static str,
    /// The HTTP status of a successful response.
    pub(super) success: StatusCode,
    /// The meaning of a response without content, for a function that may find nothing.
    pub(super) nothing: Option<&'static str>,
    /// True if the reply is a page of a list.
    pub(super) is_list: bool,
    /// The errors that this function can return, besides those of every function.
    pub(super) problems: Problems,
    pub(super) id: fn(&mut SchemaGenerator) -> Schema,
    pub(super) query: fn(&mut SchemaGenerator) -> Schema,
    pub(super) body: fn(&mut SchemaGenerator) -> Schema,
    pub(super) reply: fn(&mut SchemaGenerator) -> Schema,
}

impl Operation {
    /// Builds a successful response.
    pub(super) fn response(&self, reply: Bytes) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = self.success;
        if self.has_reply() {
            *response.body_mut() = reply;
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        response
    }

    /// True if successful responses have a body.
    pub(super) fn has_reply(&self) -> bool {
        self.success != StatusCode::NO_CONTENT
    }

    /// The name of the identifier in the path.
    pub(super) fn id_name(&self) -> Option<&'static str> {
        self.path.split_once('{')?.1.split_once('}').map(|(name, _)| name)
    }

    /// Returns the identifier segment of `path`, empty if the route has none, or `None` if the path
    /// does not match.
    pub(super) fn id_in<'p>(&self, path: &'p str) -> Option<&'p str> {
        let Some((before, after)) = self.path.split_once('{') else {
            return (path == self.path).then_some("");
        };
        let (_, after) = after.split_once('}')?;
        let id = path.strip_prefix(before)?.strip_suffix(after)?;
        (!id.is_empty() && !id.contains('/')).then_some(id)
    }
}

/// True for `()`, the only zero-sized type that is used as a body.
pub(super) const fn is_unit<T>() -> bool {
    size_of::<T>() == 0
}

/// Returns the route of a request and the identifier in its path.
///
/// # Errors
/// The API does not have the path, or the path does not support the method.
pub fn find<A: Api>(request: &Request<Bytes>) -> Result<(&'static dyn Route<A>, String), Problem> {
    let path = request.uri().path();
    let mut matching: Vec<_> =
        A::ROUTES.iter().filter_map(|route| Some((*route, route.operation().id_in(path)?))).collect();
    // A path such as /orders/latest is not the identifier of an order.
    if matching.iter().any(|(_, id)| id.is_empty()) {
        matching.retain(|(_, id)| id.is_empty());
    }
    let method = request.method().as_str();
    if let Some((route, id)) = matching.iter().find(|(route, _)| route.operation().verb.name() == method) {
        let id = percent_decode_str(id).decode_utf8().map_err(|e| {
            let next = "write names in UTF-8 with percent-encoding";
            Problem::bad_request(format!("cannot read the path {path}"), e.to_string(), next)
        })?;
        return Ok((*route, id.into_owned()));
    }
    let what = format!("cannot {method} {path}");
    let allow: Vec<_> = matching.iter().map(|(route, _)| route.operation().verb.name()).collect();
    if allow.is_empty() {
        let why = "the API does not have this path";
        return Err(Problem::not_found(what, why, "GET /openapi.json lists all paths"));
    }
    let why = format!("the path supports {}", allow.join(", "));
    let next = "use one of these methods; GET /openapi.json describes them";
    Err(Problem { allow, ..Problem::new(StatusCode::METHOD_NOT_ALLOWED, what, why, next) })
}

/// Arguments that can be decoded from a request, and their part of the document.
pub trait FromRequest: Sized + Send + Sync + 'static {
    /// True if requests have a body.
    const HAS_BODY: bool;

    /// The schema of the identifier in the path.
    fn id_schema(generator: &mut SchemaGenerator) -> Schema;

    /// The schema of the query string.
    fn query_schema(generator: &mut SchemaGenerator) -> Schema;

    /// The schema of the body.
    fn body_schema(generator: &mut SchemaGenerator) -> Schema;

    /// Decodes the arguments from the identifier in the path and the request.
    ///
    /// # Errors
    /// The request is malformed.
    fn read(verb: Verb, id: &str, request: &Request<Bytes>) -> Result<Self, Problem>;
}

impl<Id, Query, Body> FromRequest for Arguments<Id, Query, Body>
where
    Id: FromStr<Err: Display> + JsonSchema + Send + Sync + 'static,
    Query: DeserializeOwned + JsonSchema + Send + Sync + 'static,
    Body: DeserializeOwned + JsonSchema + Send + Sync + 'static,
{
    const HAS_BODY: bool = !is_unit::<Body>();

    fn id_schema(generator: &mut SchemaGenerator) -> Schema {
        Id::json_schema(generator)
    }

    fn query_schema(generator: &mut SchemaGenerator) -> Schema {
        Query::json_schema(generator)
    }

    fn body_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Body>()
    }

    fn read(verb: Verb, id: &str, request: &Request<Bytes>) -> Result<Self, Problem> {
        let target = request.uri().path_and_query().map_or("", |target| target.as_str());
        let unreadable = |part: &str, why: String| {
            let what = format!("cannot read the {part} of {verb} {target}");
            Problem::bad_request(what, why, "GET /openapi.json describes valid requests")
        };
        let id = id.parse().map_err(|e: Id::Err| unreadable("path", e.to_string()))?;
        let query = serde_urlencoded::from_str(request.uri().query().unwrap_or_default())
            .map_err(|e| unreadable("query", e.to_string()))?;
        let body: &[u8] = if Self::HAS_BODY { request.body() } else { b"null" };
        let body = serde_json::from_slice(body).map_err(|e| unreadable("body", e.to_string()))?;
        Ok(Self { id, query, body })
    }
}
