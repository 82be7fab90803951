//! The admin API, for the tester who runs the server. It is HTTP and JSON on a port of its own and
//! cannot be reached over ES9+ or ES2+.
//!
//! There is one file for each resource. Each function is a type ([`api::Function`]). The API has no password and
//! is meant for the loopback address. [`api::check_origin`] refuses requests from web pages.

mod ensured;
mod events;
mod notifications;
mod operators;
mod order_view;
mod orders;
mod outbox;
pub mod preset;
mod schema;
mod sessions;
mod stock;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use rsp::status::Refusal;
use world::{Committed, Event, Events, Fault, Link, LinkFault, Outcome, Tx, link_from};

use rsp_server::api::{self, Api, Call, Document, Problem, Route, Verb};

use crate::{
    context,
    event_log::EventLog,
    records::OUTBOX,
    server::{Inner, SmDpPlus},
};

/// The admin API.
struct AdminApi;

impl Api for AdminApi {
    type Context<'c, 'r>
        = Context<'c, 'r>
    where
        'r: 'c;

    const TITLE: &'static str = "Landfall SM-DP+, admin API";
    const DESCRIPTION: &'static str =
        "Management API of a test SM-DP+. It has no authentication: bind it to the loopback address only.";
    const SERVER: &'static str = "http://127.0.0.1:8490";
    const ROUTES: &'static [Route<Self>] = &[
        Route::of::<Document>(),
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
}

/// A decoded request to the admin API.
type AdminCall = Box<dyn Call<AdminApi, Bytes>>;

/// The input of an admin function.
type Input<'i, 'c, 'r, F> = api::Input<'i, 'c, 'r, AdminApi, F>;

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
        let (route, call) = match self.read(request) {
            Ok(found) => found,
            Err(problem) => return problem.response(),
        };
        let is_read = route.verb == Verb::Get;
        let (response, outcome) = match self.decide(is_read, &*call).await {
            Ok(reply) => (route.response(reply), Outcome::Done),
            Err(problem) => (problem.response(), outcome(&problem)),
        };
        // Requests that only read change nothing. They are not logged, because otherwise a client
        // that polls the events would mostly see its own requests.
        if !is_read {
            self.0.core.events.emit(
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

    fn read(&self, request: &Request<Bytes>) -> Result<(&'static Route<AdminApi>, AdminCall), Problem> {
        let settings = &self.0.core.config.server;
        api::check_origin::<AdminApi>(request, |name| settings.own_address(name).is_some())?;
        let (route, id) = api::find::<AdminApi>(request)?;
        Ok((route, route.call(&id, request)?))
    }

    /// Loads the records, executes the function and commits. Starts again if another transaction has
    /// committed a conflicting change. A read is not committed: a list is a snapshot, and on a busy
    /// server its conflict check would never succeed.
    async fn decide<T>(&self, is_read: bool, call: &dyn Call<AdminApi, T>) -> Result<T, Problem> {
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

fn outcome(problem: &Problem) -> Outcome {
    let text = problem.to_string();
    if problem.status.is_server_error() { Outcome::Failed(text) } else { Outcome::Refused(text) }
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
