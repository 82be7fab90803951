//! The functions of an API: their routes, their types and their implementation.

use bytes::Bytes;
use http::{Request, StatusCode};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use world::{BoxFuture, Fault};

use super::{
    Api, Call, Problem,
    route::{FromRequest, Operation, Problems, Route, Verb, is_unit},
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
}

impl<A: Api, Q: FromRequest, R: JsonSchema> Function<A, Q, R> {
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
            problems: &[],
            id: Q::id_schema,
            query: Q::query_schema,
            body: Q::body_schema,
            reply: SchemaGenerator::subschema_for::<R>,
        };
        Self { operation, execute }
    }
}

impl<A: Api, Q: FromRequest, R: Serialize + Send + 'static> Route<A> for Function<A, Q, R> {
    fn operation(&self) -> &Operation {
        &self.operation
    }

    fn call(&self, id: &str, request: &Request<Bytes>) -> Result<Box<dyn Call<A, Bytes>>, Problem> {
        let arguments = Q::read(self.operation.verb, id, request)?;
        Ok(Box::new(FunctionCall { execute: self.execute, arguments }))
    }
}

/// A call of a function with its arguments.
struct FunctionCall<A: Api, Q, R> {
    execute: Execute<A, Q, R>,
    arguments: Q,
}

impl<A: Api, Q: FromRequest, R: Serialize + Send + 'static> Call<A, Bytes> for FunctionCall<A, Q, R> {
    fn execute<'a>(&'a self, context: &'a mut A::Context<'_, '_>) -> BoxFuture<'a, Result<Bytes, Problem>> {
        Box::pin(async move {
            let reply = (self.execute)(Input { context, arguments: &self.arguments }).await?;
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
