//! The admin API, for the tester who runs the server. It is HTTP and JSON on a port of its own and
//! cannot be reached over ES9+ or ES2+.
//!
//! There is one file for each resource. Each function is a type. The routing table and the OpenAPI
//! document are both generated from these types, so they cannot differ. The API has no password and
//! is meant for the loopback address. The module `origin` refuses requests from web pages.

mod document;
mod ensured;
mod events;
mod function;
mod notifications;
mod operators;
mod order_view;
mod orders;
mod origin;
mod outbox;
pub mod preset;
mod problem;
mod schema;
mod sessions;
mod stock;

use bytes::Bytes;
use http::{Request, Response};
use world::{Committed, Event, Events, Fault, Link, LinkFault, Outcome, Tx, link_from};

use crate::{
    context,
    event_log::EventLog,
    records::OUTBOX,
    server::{Inner, SmDpPlus},
};
use function::{Call, Route, Verb};
use problem::Problem;

/// All routes, in the order of the document.
const ROUTES: &[Route] = &[
    Route::of::<document::Document>(),
    Route::of::<stock::List>(),
    Route::of::<stock::Add>(),
    Route::of::<stock::Show>(),
    Route::of::<stock::Remove>(),
    Route::of::<orders::List>(),
    Route::of::<orders::Place>(),
    Route::of::<orders::Show>(),
    Route::of::<orders::End>(),
    Route::of::<sessions::List>(),
    Route::of::<sessions::Remove>(),
    Route::of::<notifications::List>(),
    Route::of::<outbox::List>(),
    Route::of::<events::List>(),
    Route::of::<operators::List>(),
    Route::of::<operators::Register>(),
    Route::of::<operators::Show>(),
    Route::of::<operators::Remove>(),
];

/// The context of an admin function.
struct Context<'a, 'r> {
    /// The context of a server function. Its transaction is committed if the function writes and
    /// succeeds.
    decision: context::Context<'a, 'r>,
    /// The latest events.
    log: &'a EventLog,
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
        let (route, call) = match self.find(request) {
            Ok(found) => found,
            Err(problem) => return problem.response(),
        };
        let is_read = route.verb == Verb::Get;
        let (response, outcome) = match self.decide(is_read, &*call).await {
            Ok(reply) => (route.verb.response(reply), Outcome::Done),
            Err(problem) => (problem.response(), problem.outcome()),
        };
        // Requests that only read change nothing. They are not logged, because otherwise a client
        // that polls the events would mostly see its own requests.
        if !is_read {
            self.0.core.events.tell(
                Event::new(
                    self.0.core.world.now(),
                    "SM-DP+",
                    format!("{} {}", route.verb, request.uri().path()),
                )
                .with_peer("admin", "client")
                .with_bytes(response.body().len(), request.body().len())
                .with_outcome(outcome),
            );
        }
        response
    }

    fn find(&self, request: &Request<Bytes>) -> Result<(&'static Route, Box<dyn Call<Bytes>>), Problem> {
        origin::check(&self.0.core.config, request)?;
        let (route, id) = function::find(ROUTES, request)?;
        if route.verb.has_body() {
            origin::check_content_type(request)?;
        }
        Ok((route, (route.read)(&id, request)?))
    }

    /// Load, decide, commit. Starts again from the beginning when another transaction committed a
    /// conflicting change first. A read needs no commit. A list is a snapshot, and a conflict check
    /// on a busy server would never succeed.
    async fn decide<T>(&self, is_read: bool, call: &dyn Call<T>) -> Result<T, Problem> {
        let Inner { core, log, .. } = &*self.0;
        for _ in 0..world::MAX_ATTEMPTS {
            let mut tx = Tx::begin(&*core.records);
            let decision = core.context(&mut tx, core.world.now());
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
                    return refusal.map_or(Ok(reply), |refusal| Err(Problem::event_refused(&refusal)));
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
