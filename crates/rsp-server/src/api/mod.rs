//! HTTP APIs in JSON for people and their programs, such as the admin API of the SM-DP+.
//!
//! Each function of an API is a type that implements [`Function`]. Its route, its decoding and its
//! part of the OpenAPI document all come from this type, so they cannot differ.

mod document;
mod origin;
mod problem;
mod route;

use std::str::FromStr;

use bytes::Bytes;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::{BoxFuture, Fault};

pub use document::{Document, OpenApi};
pub use origin::check_origin;
pub use problem::Problem;
pub use route::{FromRequest, Route, Verb, find};

/// An API.
pub trait Api: Sized + 'static {
    /// The context in which functions execute.
    type Context<'c, 'r>: Send
    where
        'r: 'c;

    /// The title of the document.
    const TITLE: &'static str;
    /// The description in the document.
    const DESCRIPTION: &'static str;
    /// The default address.
    const SERVER: &'static str;
    /// All functions, in the order of the document.
    const ROUTES: &'static [Route<Self>];
}

/// The errors of a function, with the reason for each in the document.
pub type Problems = &'static [(StatusCode, &'static str)];

/// A function of an API: its path, its request and response types, and its implementation.
pub trait Function<A: Api>: Sized + 'static {
    /// The HTTP method.
    const VERB: Verb;
    /// The path. At most one segment is a `{name}`, the identifier.
    const PATH: &'static str;
    /// A one-line description.
    const SUMMARY: &'static str;
    /// The HTTP status of a successful response that has a body. Without a body it is 204.
    const SUCCESS: StatusCode = StatusCode::OK;
    /// The errors that this function can return, besides those of every function.
    const PROBLEMS: Problems = &[];

    /// The identifier in the path, the parameters of the query string and the request body.
    type Arguments: FromRequest;
    /// The response body, or `()` if there is none.
    type Reply: Serialize + JsonSchema;

    /// Executes the function. If its transaction conflicts with another one, it is called again.
    fn execute(
        input: Input<'_, '_, '_, A, Self>,
    ) -> impl Future<Output = Result<Self::Reply, Problem>> + Send;
}

/// The arguments of a function, decoded from a request. A function that has no identifier in its
/// path, no parameters or no body omits them from the end of the list of types.
pub struct Arguments<Id = NoId, Query = NoQuery, Body = ()> {
    /// The identifier in the path.
    pub id: Id,
    /// The parameters of the query string.
    pub query: Query,
    /// The body.
    pub body: Body,
}

/// The input of a function.
pub struct Input<'i, 'c, 'r: 'c, A: Api, F: Function<A>> {
    /// The context.
    pub context: &'i mut A::Context<'c, 'r>,
    /// The decoded request.
    pub arguments: &'i F::Arguments,
}

/// A path without an identifier.
#[derive(JsonSchema)]
pub struct NoId;

impl FromStr for NoId {
    type Err = std::convert::Infallible;

    fn from_str(_: &str) -> Result<Self, Self::Err> {
        Ok(Self)
    }
}

/// No query parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoQuery {}

/// A decoded call. It can be executed several times, because a conflict repeats the transaction.
pub trait Call<A: Api, T>: Send + Sync {
    /// Executes the function that is called.
    fn execute<'a>(&'a self, context: &'a mut A::Context<'_, '_>) -> BoxFuture<'a, Result<T, Problem>>;
}

/// A call of a function with its arguments.
struct FunctionCall<A: Api, F: Function<A>>(F::Arguments);

impl<A: Api, F: Function<A>> Call<A, Bytes> for FunctionCall<A, F> {
    fn execute<'a>(&'a self, context: &'a mut A::Context<'_, '_>) -> BoxFuture<'a, Result<Bytes, Problem>> {
        Box::pin(async move {
            let reply = F::execute(Input { context, arguments: &self.0 }).await?;
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
