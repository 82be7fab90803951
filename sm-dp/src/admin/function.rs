//! The functions of the admin API, and how a request is matched to one.

use std::{
    fmt::{self, Display},
    str::FromStr,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use world::{BoxFuture, Fault};

use rsp::ids::{Iccid, TransactionId};

use super::{
    Context, Problem,
    schema::{IccidText, TransactionIdText},
};

/// A function: its path, its request and response types, and its implementation.
pub(super) trait Function: Sized + 'static {
    /// The HTTP method.
    const VERB: Verb;
    /// The path. At most one segment is a `{name}`, which becomes the [`Id`](Self::Id).
    const PATH: &'static str;
    /// A one-line description.
    const SUMMARY: &'static str;
    /// The errors that this function can return, besides those of every function.
    const PROBLEMS: &'static [(StatusCode, &'static str)] = &[];

    /// The identifier in the path.
    type Id: PathId;
    /// The parameters of the query string.
    type Query: DeserializeOwned + JsonSchema + Send + Sync;
    /// The request body, for methods that have one.
    type Body: DeserializeOwned + JsonSchema + Send + Sync;
    /// The response body, for methods that have one.
    type Reply: Serialize + JsonSchema;

    /// Executes the function. After a conflict it is called again with a new transaction.
    fn execute(
        context: &mut Context<'_, '_>,
        arguments: &Arguments<Self>,
    ) -> impl Future<Output = Result<Self::Reply, Problem>> + Send;
}

/// A decoded request to a function.
pub(super) struct Arguments<F: Function> {
    pub(super) id: F::Id,
    pub(super) query: F::Query,
    pub(super) body: F::Body,
}

/// An identifier in a path, with its schema.
pub(super) trait PathId: FromStr<Err: Display> + Send + Sync {
    /// The schema type of the identifier.
    type Text: JsonSchema;
}

impl PathId for Iccid {
    type Text = IccidText;
}

impl PathId for TransactionId {
    type Text = TransactionIdText;
}

impl PathId for String {
    type Text = Self;
}

/// A path without an identifier.
pub(super) struct NoId;

impl PathId for NoId {
    type Text = ();
}

impl FromStr for NoId {
    type Err = std::convert::Infallible;

    fn from_str(_: &str) -> Result<Self, Self::Err> {
        Ok(Self)
    }
}

/// No query parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoQuery {}

/// An HTTP method, which also tells what kind of function it calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// Reads.
    Get,
    /// Creates.
    Post,
    /// Creates or replaces.
    Put,
    /// Deletes.
    Delete,
}

impl Verb {
    pub(super) fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put)
    }

    /// The HTTP status of a successful response.
    pub(super) fn success(self) -> StatusCode {
        match self {
            Self::Get | Self::Put => StatusCode::OK,
            Self::Post => StatusCode::CREATED,
            Self::Delete => StatusCode::NO_CONTENT,
        }
    }

    /// Builds a successful response.
    pub(super) fn response(self, reply: Bytes) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = self.success();
        if self != Self::Delete {
            *response.body_mut() = reply;
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        response
    }

    fn name(self) -> &'static str {
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

/// A decoded call. It can be executed several times, because a conflict repeats the transaction.
pub(super) trait Call<T>: Send + Sync {
    fn execute<'a>(&'a self, context: &'a mut Context<'_, '_>) -> BoxFuture<'a, Result<T, Problem>>;
}

impl<F: Function> Call<Bytes> for Arguments<F> {
    fn execute<'a>(&'a self, context: &'a mut Context<'_, '_>) -> BoxFuture<'a, Result<Bytes, Problem>> {
        Box::pin(async move {
            let reply = F::execute(context, self).await?;
            serde_json::to_vec(&reply).map(Bytes::from).map_err(|e| {
                Fault::caused_by(
                    e,
                    "cannot write the reply as JSON",
                    "report this: a reply cannot be encoded as JSON",
                )
                .into()
            })
        })
    }
}

/// A [`Function`] as an entry of the route table.
pub(super) struct Route {
    pub(super) verb: Verb,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    pub(super) problems: &'static [(StatusCode, &'static str)],
    pub(super) id: fn(&mut SchemaGenerator) -> Schema,
    pub(super) query: fn(&mut SchemaGenerator) -> Schema,
    pub(super) body: fn(&mut SchemaGenerator) -> Schema,
    pub(super) reply: fn(&mut SchemaGenerator) -> Schema,
    pub(super) read: Read,
}

/// Decodes a call from the identifier in the path and the request.
type Read = fn(&str, &Request<Bytes>) -> Result<Box<dyn Call<Bytes>>, Problem>;

impl Route {
    pub(super) const fn of<F: Function>() -> Self {
        Self {
            verb: F::VERB,
            path: F::PATH,
            summary: F::SUMMARY,
            problems: F::PROBLEMS,
            id: <F::Id as PathId>::Text::json_schema,
            query: F::Query::json_schema,
            body: SchemaGenerator::subschema_for::<F::Body>,
            reply: SchemaGenerator::subschema_for::<F::Reply>,
            read: read::<F>,
        }
    }

    /// The name of the identifier in the path.
    pub(super) fn id_name(&self) -> Option<&'static str> {
        self.path.split_once('{')?.1.split_once('}').map(|(name, _)| name)
    }

    /// Returns the identifier segment of `path`, empty if the route has none, or `None` if the path
    /// does not match.
    fn id_in<'p>(&self, path: &'p str) -> Option<&'p str> {
        let Some((before, after)) = self.path.split_once('{') else {
            return (path == self.path).then_some("");
        };
        let (_, after) = after.split_once('}')?;
        let id = path.strip_prefix(before)?.strip_suffix(after)?;
        (!id.is_empty() && !id.contains('/')).then_some(id)
    }
}

/// Returns the route of a request and the identifier in its path.
pub(super) fn find(
    routes: &'static [Route],
    request: &Request<Bytes>,
) -> Result<(&'static Route, String), Problem> {
    let path = request.uri().path();
    let matching: Vec<_> = routes.iter().filter_map(|route| Some((route, route.id_in(path)?))).collect();
    let method = request.method().as_str();
    if let Some((route, id)) = matching.iter().find(|(route, _)| route.verb.name() == method) {
        let id = percent_decode_str(id).decode_utf8().map_err(|e| {
            Problem::bad_request(
                format!("cannot read the path {path}"),
                e.to_string(),
                "write names in UTF-8 with percent-encoding",
            )
        })?;
        return Ok((route, id.into_owned()));
    }
    if matching.is_empty() {
        return Err(Problem::not_found(
            format!("cannot {method} {path}"),
            "the admin API does not have this path",
            "GET /openapi.json lists all paths",
        ));
    }
    let allow: Vec<_> = matching.iter().map(|(route, _)| route.verb.name()).collect();
    let mut problem = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("cannot {method} {path}"),
        format!("the path supports {}", allow.join(", ")),
        "use one of these methods; GET /openapi.json describes them",
    );
    problem.allow = allow;
    Err(problem)
}

fn read<F: Function>(id: &str, request: &Request<Bytes>) -> Result<Box<dyn Call<Bytes>>, Problem> {
    let next = "GET /openapi.json describes valid requests";
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    let unreadable = |part: &str, why: String| {
        Problem::bad_request(format!("cannot read the {part} of {} {target}", F::VERB), why, next)
    };
    let id = id.parse().map_err(|e: <F::Id as FromStr>::Err| unreadable("path", e.to_string()))?;
    let query = serde_urlencoded::from_str(request.uri().query().unwrap_or_default())
        .map_err(|e| unreadable("query", e.to_string()))?;
    let body: &[u8] = if F::VERB.has_body() { request.body() } else { b"null" };
    let body = serde_json::from_slice(body).map_err(|e| unreadable("body", e.to_string()))?;
    Ok(Box::new(Arguments::<F> { id, query, body }))
}
