//! The admin API: what the operator of a test bench asks for. HTTP and JSON, on a port of its own; nothing of it can be
//! reached over ES9+ or ES2+.
//!
//! A file a resource. Each function is a type; routing and the OpenAPI document are both made from it, so
//! neither can say what the other does not. The API asks for no password: it is meant for the loopback, and what a
//! browser brings from elsewhere is refused at the door.

mod document;
mod door;
mod events;
mod function;
mod notifications;
mod operators;
mod orders;
mod outbox;
pub mod preset;
mod problem;
mod schema;
mod sessions;
mod stock;

use bytes::Bytes;
use http::{Request, Response};
use world::{Committed, Event, Events, Fault, Link, LinkFault, Outcome, Tx, link_from};

use crate::{context, event_log::EventLog, records::OUTBOX, server::SmDpPlus};
use function::{Call, Route, Verb};
use problem::Problem;

/// Everything there is, in the order of the document.
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

/// What a function of the API has to decide with.
struct Context<'a, 'r> {
    /// What every decision has; its transaction is committed if the function changes something and succeeds.
    decision: context::Context<'a, 'r>,
    /// What was told lately.
    log: &'a EventLog,
}

impl SmDpPlus {
    /// The admin API as a link, for a socket of its own.
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
        let only_looks = route.verb == Verb::Get;
        let (response, outcome) = match self.decide(only_looks, &*call).await {
            Ok(reply) => (route.verb.response(reply), Outcome::Done),
            Err(problem) => (problem.response(), problem.outcome()),
        };
        // Who only looks changes nothing; and whoever looks at the events would see nothing but himself.
        if !only_looks {
            self.0.events.tell(
                Event::new(self.0.world.now(), "SM-DP+", format!("{} {}", route.verb, request.uri().path()))
                    .with_peer("admin", "bench")
                    .with_bytes(response.body().len(), request.body().len())
                    .with_outcome(outcome),
            );
        }
        response
    }

    fn find(&self, request: &Request<Bytes>) -> Result<(&'static Route, Box<dyn Call<Bytes>>), Problem> {
        door::check(&self.0.config, request)?;
        let (route, id) = function::find(ROUTES, request)?;
        if route.verb.has_body() {
            door::check_content_type(request)?;
        }
        Ok((route, (route.read)(&id, request)?))
    }

    /// Load, decide, commit; again from the start when somebody else was faster. Who only looks has nothing to commit,
    /// and a list is right at the moment it was read: held against a busy server it never would be.
    async fn decide<T>(&self, only_looks: bool, call: &dyn Call<T>) -> Result<T, Problem> {
        let inner = &*self.0;
        for _ in 0..world::MAX_ATTEMPTS {
            let mut tx = Tx::begin(&*inner.records);
            let decision = inner.context(&mut tx, inner.world.now());
            let reply = call.execute(&mut Context { decision, log: &inner.events }).await?;
            if only_looks {
                return Ok(reply);
            }
            let posted = tx.written_keys(&OUTBOX);
            match tx.commit().await? {
                Committed::Yes if posted.is_empty() => return Ok(reply),
                Committed::Yes => {
                    let refusal = self.register_events(&posted).await?;
                    self.wake();
                    return refusal.map_or(Ok(reply), |refusal| Err(Problem::of_the_sm_ds(&refusal)));
                }
                Committed::Conflict => {}
            }
        }
        Err(Fault::new(
            "cannot write the records of this request",
            format!("what it read was changed by others {} times in a row", world::MAX_ATTEMPTS),
            "ask again when the server is less busy",
        )
        .into())
    }
}
