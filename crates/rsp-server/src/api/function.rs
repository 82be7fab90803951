//! The functions of an API: their routes, their types and their implementation.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use world::{BoxFuture, Fault};

use super::{
    Api, Arguments, Call, NoId, Problem,
    paging::{Paged, link_to_next},
    route::{FromRequest, Operation, Problems, Route, Verb, is_unit},
    wait::Waiting,
};

/// Executes a function. If its transaction conflicts with another one, it is called again.
pub type Execute<A, Q, R> = for<'i, 'c, 'r> fn(Input<'i, 'c, 'r, A, Q>) -> BoxFuture<'i, Result<R, Problem>>;

/// The input of a function.
pub struct Input<'i, 'c, 'r: 'c, A: Api, Q> {
    /// The context.
    pub context: &'i mut A::Context<'c, 'r>,
    /// The decoded request.
    pub arguments: &'i Q,
}

/// A function of an API, with the types of its arguments `Q` and of its reply `R`. The reply is the
/// response body, or `()` if there is none.
pub struct Function<A: Api, Q, R> {
    operation: Operation,
    execute: Execute<A, Q, R>,
    encode: Encode<R>,
    timeout: fn(&Q) -> Option<Duration>,
}

/// Builds the response to a request with this target.
type Encode<R> = fn(&Operation, &Uri, &R) -> Result<Response<Bytes>, Problem>;

impl<A: Api, Q: FromRequest, R: JsonSchema + Serialize> Function<A, Q, R> {
    /// Defines a function that reads data (GET).
    pub const fn get(path: &'static str, summary: &'static str, execute: Execute<A, Q, R>) -> Self {
        Self::new(Verb::Get, path, summary, execute)
    }

    /// Defines a function that performs an action (POST).
    pub const fn post(path: &'static str, summary: &'static str, execute: Execute<A, Q, R>) -> Self {
        Self::new(Verb::Post, path, summary, execute)
    }

    /// Defines a function that creates a resource.
    pub const fn create(path: &'static str, summary: &'static str, execute: Execute<A, Q, R>) -> Self {
        let mut function = Self::new(Verb::Post, path, summary, execute);
        function.operation.success = StatusCode::CREATED;
        function
    }

    /// Defines a function that creates or replaces a resource.
    pub const fn put(path: &'static str, summary: &'static str, execute: Execute<A, Q, R>) -> Self {
        Self::new(Verb::Put, path, summary, execute)
    }

    /// Defines a function that deletes a resource.
    pub const fn delete(path: &'static str, summary: &'static str, execute: Execute<A, Q, R>) -> Self {
        Self::new(Verb::Delete, path, summary, execute)
    }

    /// Adds the errors that the function can return, besides those of every function.
    #[must_use]
    pub const fn problems(mut self, problems: Problems) -> Self {
        self.operation.problems = problems;
        self
    }

    const fn new(verb: Verb, path: &'static str, summary: &'static str, execute: Execute<A, Q, R>) -> Self {
        let operation = Operation {
            verb,
            has_body: Q::HAS_BODY,
            path,
            summary,
            success: if is_unit::<R>() { StatusCode::NO_CONTENT } else { StatusCode::OK },
            nothing: None,
            is_list: false,
            problems: &[],
            id: Q::id_schema,
            query: Q::query_schema,
            body: Q::body_schema,
            reply: SchemaGenerator::subschema_for::<R>,
        };
        Self { operation, execute, encode: encode::<R>, timeout: |_| None }
    }
}

impl<A: Api, Q: FromRequest, R: JsonSchema + Serialize + Paged> Function<A, Q, R> {
    /// Defines a function that lists, in pages. The Link header of its response has the next page.
    pub const fn list(path: &'static str, summary: &'static str, execute: Execute<A, Q, R>) -> Self {
        let mut function = Self::get(path, summary, execute);
        function.operation.is_list = true;
        function.encode = encode_page::<R>;
        function
    }
}

impl<A: Api, Q: FromRequest, T: JsonSchema + Serialize> Function<A, Q, Option<T>> {
    /// Defines a function that searches. Its response has no content if nothing matches.
    pub const fn search(
        path: &'static str,
        summary: &'static str,
        execute: Execute<A, Q, Option<T>>,
    ) -> Self {
        let mut function = Self::get(path, summary, execute);
        function.operation.reply = SchemaGenerator::subschema_for::<T>;
        function.operation.nothing = Some("Nothing matches");
        function.encode = encode_found::<T>;
        function
    }
}

impl<A, F, T> Function<A, Arguments<NoId, Waiting<F>>, Option<T>>
where
    A: Api,
    Arguments<NoId, Waiting<F>>: FromRequest,
    T: JsonSchema + Serialize,
{
    /// Defines a function that waits until something matches.
    pub const fn wait(
        path: &'static str,
        summary: &'static str,
        execute: Execute<A, Arguments<NoId, Waiting<F>>, Option<T>>,
    ) -> Self {
        let mut function = Self::search(path, summary, execute);
        function.operation.nothing = Some("Nothing matched within the timeout, or the server stops");
        function.operation.problems =
            &[(StatusCode::SERVICE_UNAVAILABLE, "The maximum number of requests wait already")];
        function.timeout = |arguments| Some(arguments.query.timeout.0);
        function
    }
}

fn encode<R: Serialize>(operation: &Operation, _: &Uri, reply: &R) -> Result<Response<Bytes>, Problem> {
    let body = serde_json::to_vec(reply).map_err(|e| {
        Fault::caused_by(
            e,
            "cannot write the reply as JSON",
            "report this: a reply cannot be encoded as JSON",
        )
    })?;
    Ok(operation.response(body.into()))
}

fn encode_page<R: Serialize + Paged>(
    operation: &Operation,
    target: &Uri,
    reply: &R,
) -> Result<Response<Bytes>, Problem> {
    let mut response = encode(operation, target, reply)?;
    if let Some(link) = reply.next().and_then(|next| link_to_next(target, &next)) {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

fn encode_found<T: Serialize>(
    operation: &Operation,
    target: &Uri,
    reply: &Option<T>,
) -> Result<Response<Bytes>, Problem> {
    if let Some(found) = reply {
        return encode(operation, target, found);
    }
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

impl<A: Api, Q: FromRequest, R: Serialize + Send + 'static> Route<A> for Function<A, Q, R> {
    fn operation(&self) -> &Operation {
        &self.operation
    }

    fn call(
        &'static self,
        id: &str,
        request: &Request<Bytes>,
    ) -> Result<Box<dyn Call<A, Response<Bytes>>>, Problem> {
        let arguments = Q::read(self.operation.verb, id, request)?;
        Ok(Box::new(FunctionCall { function: self, target: request.uri().clone(), arguments }))
    }
}

/// A call of a function with its arguments.
struct FunctionCall<A: Api, Q: 'static, R: 'static> {
    function: &'static Function<A, Q, R>,
    target: Uri,
    arguments: Q,
}

impl<A: Api, Q: FromRequest, R: Serialize + Send + 'static> Call<A, Response<Bytes>>
    for FunctionCall<A, Q, R>
{
    fn execute<'a>(
        &'a self,
        context: &'a mut A::Context<'_, '_>,
    ) -> BoxFuture<'a, Result<Response<Bytes>, Problem>> {
        Box::pin(async move {
            let Function { execute, encode, operation, .. } = self.function;
            let reply = execute(Input { context, arguments: &self.arguments }).await?;
            encode(operation, &self.target, &reply)
        })
    }

    fn timeout(&self) -> Option<Duration> {
        (self.function.timeout)(&self.arguments)
    }
}
