//! HTTP APIs in JSON for people and their programs, such as the admin API of the SM-DP+.
//!
//! Each function of an API is a [`Function`] in the route table. The decoding of its requests and its
//! part of the OpenAPI document come from the types of its implementation, so they cannot differ.

mod document;
mod event_log;
mod events;
mod function;
mod origin;
mod paging;
mod problem;
mod route;
mod wait;

use std::{str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use world::BoxFuture;

pub use document::{OpenApi, document, reply_schema};
pub use event_log::EventLog;
pub use events::{EventFilter, EventPage, NumberedEvent};
pub use function::{Execute, Function, Input};
pub use origin::check_origin;
pub use paging::{DEFAULT_LIMIT, Listing, MAX_LIMIT, Page, Paged, Revised, first_after, latest, next_page};
pub use problem::Problem;
pub use route::{FromRequest, Operation, Problems, Route, Verb, find};
pub use wait::{MAX_TIMEOUT, MAX_WAITS, Timeout, Waiting, Waits, WatchedRecords};

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
    /// The headers that every request can have.
    const HEADERS: &'static [Header] = &[];
    /// All functions, in the order of the document.
    const ROUTES: &'static [&'static dyn Route<Self>];
}

/// A request header of an API, for the document.
pub struct Header {
    /// The name.
    pub name: &'static str,
    /// The meaning.
    pub description: &'static str,
    /// The schema of the value.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

/// The arguments of a function, decoded from a request. The type parameters have defaults for a
/// function without identifier, query parameters or body, so trailing ones can be omitted.
pub struct Arguments<Id = NoId, Query = NoQuery, Body = ()> {
    /// The identifier in the path.
    pub id: Id,
    /// The parameters of the query string.
    pub query: Query,
    /// The body.
    pub body: Body,
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
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoQuery {}

/// A decoded call. It can be executed several times, because a conflict repeats the transaction.
pub trait Call<A: Api, T>: Send + Sync {
    /// Executes the function that is called.
    fn execute<'a>(&'a self, context: &'a mut A::Context<'_, '_>) -> BoxFuture<'a, Result<T, Problem>>;

    /// Returns the time that the call waits for a reply with content, or `None` if it does not wait.
    fn timeout(&self) -> Option<Duration> {
        None
    }
}
