//! The API of the user: devices, orders and their results. It is HTTP and JSON on a port of its own and
//! cannot be reached over ESipa.
//!
//! There is one file for each resource. The API has no password and is meant for the loopback
//! address. [`api::check_origin`] refuses requests from web pages.

mod configuration;
mod devices;
mod events;
mod notifications;
mod order_view;
mod orders;
mod result_view;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use schemars::{Schema, SchemaGenerator};
use world::{Committed, Event, Fault, Link, LinkFault, Outcome, Tx, link_from};

use rsp_server::{
    Namespace,
    api::{self, Api, Call, EventLog, Function, Problem, Route, Verb, document},
};

use crate::{
    context,
    server::{Eim, Inner},
};

/// The API.
struct EimApi;

/// Returns the schema of the reply to a request, such as GET `/admin/v1/orders`, if the API has
/// this function.
pub fn reply_schema(verb: Verb, path: &str, generator: &mut SchemaGenerator) -> Option<Schema> {
    api::reply_schema::<EimApi>(verb, path, generator)
}

const NO_SUCH_DEVICE: (StatusCode, &str) = (StatusCode::NOT_FOUND, "No device with this EID is registered");
const NO_SUCH_ORDER: (StatusCode, &str) = (StatusCode::NOT_FOUND, "No order has this eimTransactionId");

/// Boxes the reply of a function.
macro_rules! at {
    ($file:ident :: $function:ident) => {
        |input| Box::pin($file::$function(input.context, input.arguments))
    };
}

impl Api for EimApi {
    type Context<'c, 'r>
        = Context<'c, 'r>
    where
        'r: 'c;

    const TITLE: &'static str = "Landfall eIM";
    const DESCRIPTION: &'static str =
        "Management API of a test eIM. It has no authentication: bind it to the loopback address only.";
    const SERVER: &'static str = "http://127.0.0.1:8492";
    const ROUTES: &'static [&'static dyn Route<Self>] = &[
        &document(),
        &Function::get(
            "/admin/v1/configuration",
            "Returns the configuration with which an eUICC is associated with this eIM",
            at!(configuration::show),
        ),
        &Function::list("/admin/v1/devices", "Lists devices, by EID", at!(devices::list)),
        &Function::create(
            "/admin/v1/devices",
            "Registers a device, or replaces its association",
            at!(devices::register),
        )
        .problems(&[(StatusCode::BAD_REQUEST, "The body is malformed, or a certificate is invalid")]),
        &Function::get("/admin/v1/devices/{eid}", "Returns a device", at!(devices::show))
            .problems(&[NO_SUCH_DEVICE]),
        &Function::delete(
            "/admin/v1/devices/{eid}",
            "Deletes a device and its orders; the association on the eUICC stays",
            at!(devices::remove),
        )
        .problems(&[NO_SUCH_DEVICE]),
        &Function::list("/admin/v1/orders", "Lists orders, oldest first", at!(orders::list)),
        &Function::search(
            "/admin/v1/orders/latest",
            "Returns the order that changed last",
            at!(orders::latest),
        ),
        &Function::wait(
            "/admin/v1/orders/wait",
            "Waits for an order; returns the one that changed first after a revision",
            at!(orders::wait),
        ),
        &Function::create("/admin/v1/orders", "Orders a package for a device", at!(orders::place)).problems(
            &[(StatusCode::BAD_REQUEST, "The body is malformed, or the device cannot get this package")],
        ),
        &Function::get(
            "/admin/v1/orders/{transactionId}",
            "Returns an order with its result",
            at!(orders::show),
        )
        .problems(&[NO_SUCH_ORDER]),
        &Function::delete(
            "/admin/v1/orders/{transactionId}",
            "Deletes an order; a package that was sent already may still be executed",
            at!(orders::remove),
        )
        .problems(&[NO_SUCH_ORDER]),
        &Function::list(
            "/admin/v1/notifications",
            "Lists notifications that wait for their SM-DP+",
            at!(notifications::list),
        ),
        &Function::list(
            "/admin/v1/events",
            "Lists events of the server with their numbers; the last 4096 are kept",
            at!(events::list),
        ),
        &Function::search("/admin/v1/events/latest", "Returns the newest event", at!(events::latest)),
        &Function::wait(
            "/admin/v1/events/wait",
            "Waits for an event; returns the first one after a number",
            at!(events::wait),
        ),
    ];
}

/// A decoded request to the API.
type AdminCall = Box<dyn Call<EimApi, Response<Bytes>>>;

/// The context of a function.
struct Context<'a, 'r> {
    /// The context of a server function. Its transaction is committed if the function writes and
    /// succeeds.
    decision: context::Context<'a, 'r>,
    /// The latest events.
    log: &'a Arc<EventLog>,
}

impl Eim {
    /// Returns a link to the API of the user, for a socket of its own.
    pub fn admin(&self) -> Link {
        let server = self.clone();
        link_from(tower::service_fn(move |request| {
            let server = server.clone();
            async move { Ok::<_, LinkFault>(server.handle_admin(&request).await) }
        }))
    }

    async fn handle_admin(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let (route, call) = match self.read(request) {
            Ok(found) => found,
            Err(problem) => return problem.response(),
        };
        let operation = route.operation();
        let is_read = operation.verb == Verb::Get;
        let decided = self.0.waits.answer(call.timeout(), || Box::pin(self.decide(is_read, &*call)));
        let (response, outcome) = match decided.await {
            Ok(response) => (response, Outcome::Done),
            Err(problem) => (problem.response(), problem.outcome()),
        };
        // Requests that only read are not logged, because otherwise a client that polls the events
        // would mostly see its own requests.
        if !is_read {
            let function = format!("{} {}", operation.verb, request.uri().path());
            self.0.core.events.emit(
                Event::new(self.0.core.world.now(), "eIM", function)
                    .with_peer("admin", "client")
                    .with_bytes(response.body().len(), request.body().len())
                    .with_outcome(outcome),
            );
        }
        response
    }

    fn read(&self, request: &Request<Bytes>) -> Result<(&'static dyn Route<EimApi>, AdminCall), Problem> {
        let settings = &self.0.core.config.server;
        api::check_origin::<EimApi>(request, |name| settings.own_address(name).is_some())?;
        let (route, id) = api::find::<EimApi>(request)?;
        Ok((route, route.call(&id, request)?))
    }

    /// Loads the records, executes the function and commits. A read is not committed: a list is a
    /// snapshot, and on a busy server its conflict check would never succeed.
    async fn decide<T>(&self, is_read: bool, call: &dyn Call<EimApi, T>) -> Result<T, Problem> {
        let Inner { core, log, .. } = &*self.0;
        for _ in 0..world::MAX_ATTEMPTS {
            let mut tx = Tx::begin(&*core.records);
            let decision = core.context(&mut tx, core.world.now());
            let reply = call.execute(&mut Context { decision, log }).await?;
            if is_read || tx.commit().await? == Committed::Yes {
                return Ok(reply);
            }
        }
        Err(Fault::new(
            "cannot write the records of this request",
            format!("the records were changed by other requests {} times in a row", world::MAX_ATTEMPTS),
            "retry when the server is less busy",
        )
        .into())
    }
}

/// The namespace of all events: an eIM has no other one.
fn namespace() -> Namespace {
    Namespace::default()
}
