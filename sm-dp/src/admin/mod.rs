//! The admin API, for the tester who runs the server. It is HTTP and JSON on a port of its own and
//! cannot be reached over ES9+ or ES2+.
//!
//! There is one file for each resource. The API has no password and is meant for the loopback
//! address. [`api::check_origin`] refuses requests from web pages.

mod ensured;
mod events;
mod namespaces;
mod notifications;
mod operators;
mod order_view;
mod orders;
mod outbox;
pub mod preset;
mod schema;
mod sessions;
mod stock;
mod subscriber_view;
mod templates;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use rsp::status::Refusal;
use schemars::{Schema, SchemaGenerator};
use world::{Committed, Event, Events, Fault, Link, LinkFault, Outcome, Tx, link_from};

use rsp_server::{
    Namespace,
    api::{self, Api, Call, EventLog, Function, Header, Problem, Route, Verb, document},
};
use schemars::JsonSchema as _;

use crate::{
    context,
    records::OUTBOX,
    server::{Inner, SmDpPlus},
};

/// The admin API.
struct AdminApi;

/// Returns the schema of the reply to a request, such as GET `/admin/v1/orders`, if the API has
/// this function.
pub fn reply_schema(verb: Verb, path: &str, generator: &mut SchemaGenerator) -> Option<Schema> {
    api::reply_schema::<AdminApi>(verb, path, generator)
}

const NO_SUCH_PROFILE: (StatusCode, &str) = (StatusCode::NOT_FOUND, "No profile with this ICCID is in stock");
const NO_SUCH_TEMPLATE: (StatusCode, &str) = (StatusCode::NOT_FOUND, "The profile type has no template");
const NO_SUCH_OPERATOR: (StatusCode, &str) =
    (StatusCode::NOT_FOUND, "No operator is registered with this identifier");

/// Boxes the reply of a function.
macro_rules! at {
    ($file:ident :: $function:ident) => {
        |input| Box::pin($file::$function(input.context, input.arguments))
    };
}

impl Api for AdminApi {
    type Context<'c, 'r>
        = Context<'c, 'r>
    where
        'r: 'c;

    const TITLE: &'static str = "Landfall SM-DP+, admin API";
    const DESCRIPTION: &'static str =
        "Management API of a test SM-DP+. It has no authentication: bind it to the loopback address only.";
    const SERVER: &'static str = "http://127.0.0.1:8490";
    const HEADERS: &'static [Header] = &[Header {
        name: Namespace::HEADER,
        description: "The namespace of the profiles, orders, sessions, notifications, events and messages that the \
                      request is about. Templates and operators belong to all namespaces. Default: default",
        schema: Namespace::json_schema,
    }];
    const ROUTES: &'static [&'static dyn Route<Self>] = &[
        &document(),
        &Function::list("/admin/v1/stock", "Lists profiles with their orders, by ICCID", at!(stock::list)),
        &Function::create("/admin/v1/stock", "Adds a profile package to the stock", at!(stock::add))
            .problems(&[
                (StatusCode::BAD_REQUEST, "The body or the package is malformed"),
                (StatusCode::CONFLICT, "A profile with this ICCID is already in stock"),
            ]),
        &Function::get("/admin/v1/stock/{iccid}", "Returns a profile with its order", at!(stock::show))
            .problems(&[NO_SUCH_PROFILE]),
        &Function::delete(
            "/admin/v1/stock/{iccid}",
            "Removes a profile and its order, in any state, from the stock",
            at!(stock::remove),
        )
        .problems(&[NO_SUCH_PROFILE]),
        &Function::list("/admin/v1/templates", "Lists templates, by profile type", at!(templates::list)),
        &Function::create(
            "/admin/v1/templates",
            "Adds a template; an order that finds no available profile of its type gets a new one",
            at!(templates::add),
        )
        .problems(&[
            (StatusCode::BAD_REQUEST, "The body is malformed, or no profile can be made from it"),
            (StatusCode::CONFLICT, "The profile type has a template already"),
        ]),
        &Function::get(
            "/admin/v1/templates/{profileType}",
            "Returns the template of a profile type",
            at!(templates::show),
        )
        .problems(&[NO_SUCH_TEMPLATE]),
        &Function::delete(
            "/admin/v1/templates/{profileType}",
            "Deletes a template; its profiles stay in stock",
            at!(templates::remove),
        )
        .problems(&[NO_SUCH_TEMPLATE]),
        &Function::list("/admin/v1/orders", "Lists orders, pending or ended, by ICCID", at!(orders::list)),
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
        &Function::create(
            "/admin/v1/orders",
            "Orders a profile and sets the order to any state",
            at!(orders::place),
        )
        .problems(&[
            (StatusCode::BAD_REQUEST, "The body is malformed or contradictory"),
            NO_SUCH_PROFILE,
            (
                StatusCode::CONFLICT,
                "The profile or the MatchingID is in use, or no profile of the type is available and there is no template",
            ),
            (StatusCode::BAD_GATEWAY, "The SM-DS did not accept the event; the profile is unchanged"),
        ]),
        &Function::get(
            "/admin/v1/orders/{iccid}",
            "Returns the pending or last order of a profile",
            at!(orders::show),
        )
        .problems(&[(StatusCode::NOT_FOUND, "The profile is not in stock or has no order")]),
        &Function::delete(
            "/admin/v1/orders/{iccid}",
            "Ends an order in any state; the profile is Available again",
            at!(orders::end),
        )
        .problems(&[NO_SUCH_PROFILE]),
        &Function::list(
            "/admin/v1/sessions",
            "Lists sessions that have not expired, by TransactionID",
            at!(sessions::list),
        ),
        &Function::search(
            "/admin/v1/sessions/latest",
            "Returns the session that changed last",
            at!(sessions::latest),
        ),
        &Function::wait(
            "/admin/v1/sessions/wait",
            "Waits for a session; returns the one that changed first after a revision",
            at!(sessions::wait),
        ),
        &Function::delete(
            "/admin/v1/sessions/{transactionId}",
            "Deletes a session, as if it had expired; the order is unchanged",
            at!(sessions::remove),
        )
        .problems(&[(StatusCode::NOT_FOUND, "No session has this TransactionID")]),
        &Function::list(
            "/admin/v1/notifications",
            "Lists valid notifications, by eUICC",
            at!(notifications::list),
        ),
        &Function::search(
            "/admin/v1/notifications/latest",
            "Returns the notification that was received last",
            at!(notifications::latest),
        ),
        &Function::wait(
            "/admin/v1/notifications/wait",
            "Waits for a notification; returns the one that was received first after a revision",
            at!(notifications::wait),
        ),
        &Function::list(
            "/admin/v1/outbox",
            "Lists the messages that wait for operators and SM-DSs, by peer",
            at!(outbox::list),
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
        &Function::delete(
            "/admin/v1/namespaces/{namespace}",
            "Deletes the profiles, orders, sessions, notifications, events and messages of a namespace",
            at!(namespaces::remove),
        ),
        &Function::list("/admin/v1/operators", "Lists registered operators", at!(operators::list)),
        &Function::put(
            "/admin/v1/operators/{identifier}",
            "Registers an operator; its functionRequesterIdentifier can then only be used with its \
             certificate",
            at!(operators::register),
        )
        .problems(&[(StatusCode::BAD_REQUEST, "The body is malformed")]),
        &Function::get(
            "/admin/v1/operators/{identifier}",
            "Returns a registered operator",
            at!(operators::show),
        )
        .problems(&[NO_SUCH_OPERATOR]),
        &Function::delete(
            "/admin/v1/operators/{identifier}",
            "Unregisters an operator; its orders stay",
            at!(operators::remove),
        )
        .problems(&[NO_SUCH_OPERATOR]),
    ];
}

/// A decoded request to the admin API.
type AdminCall = Box<dyn Call<AdminApi, Response<Bytes>>>;

/// The context of an admin function.
struct Context<'a, 'r> {
    /// The context of a server function. Its transaction is committed if the function writes and
    /// succeeds.
    decision: context::Context<'a, 'r>,
    /// The latest events.
    log: &'a Arc<EventLog>,
}

impl SmDpPlus {
    /// Returns a link to the admin API, for a socket of its own.
    pub fn admin(&self) -> Link {
        let server = self.clone();
        link_from(tower::service_fn(move |request| {
            let server = server.clone();
            async move { Ok::<_, LinkFault>(server.handle_admin(&request).await) }
        }))
    }

    async fn handle_admin(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let (namespace, route, call) = match self.read(request) {
            Ok(found) => found,
            Err(problem) => return problem.response(),
        };
        let namespace = &namespace;
        let operation = route.operation();
        let is_read = operation.verb == Verb::Get;
        let decided =
            self.0.waits.answer(call.timeout(), || Box::pin(self.decide(namespace, is_read, &*call)));
        let decided = decided.await;
        let (response, outcome) = match decided {
            Ok(response) => (response, Outcome::Done),
            Err(problem) => (problem.response(), problem.outcome()),
        };
        // Requests that only read change nothing. They are not logged, because otherwise a client
        // that polls the events would mostly see its own requests.
        if !is_read {
            self.0.core.events.emit(
                Event::new(
                    self.0.core.world.now(),
                    "SM-DP+",
                    format!("{} {}", operation.verb, request.uri().path()),
                )
                .with_peer("admin", "client")
                .with_bytes(response.body().len(), request.body().len())
                .with_outcome(outcome)
                .with_namespace(String::from(namespace.clone())),
            );
        }
        response
    }

    fn read(
        &self,
        request: &Request<Bytes>,
    ) -> Result<(Namespace, &'static dyn Route<AdminApi>, AdminCall), Problem> {
        let settings = &self.0.core.config.server;
        api::check_origin::<AdminApi>(request, |name| settings.own_address(name).is_some())?;
        let (route, id) = api::find::<AdminApi>(request)?;
        Ok((Namespace::of(request)?, route, route.call(&id, request)?))
    }

    /// Loads the records, executes the function and commits. Starts again if another transaction has
    /// committed a conflicting change. A read is not committed: a list is a snapshot, and on a busy
    /// server its conflict check would never succeed.
    async fn decide<T>(
        &self,
        namespace: &Namespace,
        is_read: bool,
        call: &dyn Call<AdminApi, T>,
    ) -> Result<T, Problem> {
        let Inner { core, log, .. } = &*self.0;
        for _ in 0..world::MAX_ATTEMPTS {
            let mut tx = Tx::begin(&*core.records);
            let mut decision = core.context(&mut tx, core.world.now());
            decision.namespace = namespace.clone();
            let reply = call.execute(&mut Context { decision, log }).await?;
            if is_read {
                return Ok(reply);
            }
            let posted = tx.written_keys(&OUTBOX);
            match tx.commit().await? {
                Committed::Yes if posted.is_empty() => return Ok(reply),
                Committed::Yes => {
                    let refusal = self.register_events(&posted).await?;
                    self.wake();
                    return refusal.map_or(Ok(reply), |refusal| Err(event_refused(&refusal)));
                }
                Committed::Conflict => {}
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

/// The SM-DS did not accept the event of an order. The profile is unchanged.
fn event_refused(refusal: &Refusal) -> Problem {
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "cannot register the event",
        refusal.to_string(),
        "check the SM-DS, or leave smdsAddress out; the profile is unchanged",
    )
}
