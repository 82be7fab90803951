//! Live mode of scenarios: the servers listen on the loopback, and all calls to them use TLS.
//!
//! A scenario runs in one thread, whose clock jumps to the next event. That thread blocks while
//! octets are in transit, so that no virtual time passes and all events keep the order that they
//! have without sockets. The server's request handling also runs in that thread: it is the same
//! party, behind a socket. The reasons are in docs/decisions/0017.

mod card_socket;
mod external;
mod server_socket;

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use certs::{Pki, Validity};
use net::OsClock;
use rsp::time::Timestamp;
use scenario::file::{Places, Scenario};
use scenario::play::{Environment, Progress, play_in};
use scenario::report::{Live, Report};
use testbed::transport::{self, Server, Transport, Transports};
use tokio::runtime::{Builder, Handle, Runtime};
use world::{Clock, Fault};

use crate::scenario_file::not_a_scenario;
use card_socket::CardSocket;
use external::ExternalParties;
use server_socket::ServerSocket;

/// Reason of a fault: a socket was used after the end of the runtime.
const RUNTIME_ENDED: &str = "the socket runtime has ended";

/// Factory of server sockets.
struct Sockets {
    real: Handle,
    pki: Arc<Pki>,
    validity: Validity,
}

/// Runs a scenario with this seed over sockets. `name` is its name in the report.
///
/// # Errors
/// As [`scenario::play::play`], or sockets are unavailable.
pub fn play(name: &str, scenario: &Scenario, seed: &str, progress: Progress) -> Result<Report, Fault> {
    // The runtime must outlive all clients that use its sockets.
    let real = runtime()?;
    let environment = Environment { live: Some(Live::default()), progress, ..Environment::none()? };
    play_in(over_sockets(environment, real.handle(), scenario), name, scenario, seed)
}

/// Runs a scenario with the external servers and cards in the file `places`. The scenario then
/// starts at the current time, whatever its file says. `file` is the name of the scenario text in
/// errors.
///
/// # Errors
/// As [`play()`], or one of the files is invalid, or a card is not at its address.
pub fn play_with(
    places: &Path,
    name: &str,
    (file, text): (&str, &str),
    seed: &str,
    progress: impl FnOnce(&Scenario) -> Progress,
) -> Result<Report, Fault> {
    let mut scenario = Scenario::parse(file, text).map_err(not_a_scenario)?;
    let of_places = crate::files::read_text(places)?;
    let read = Places::parse(&places.display().to_string(), &of_places, &scenario).map_err(not_a_scenario)?;
    if !read.is_empty() {
        let now = Timestamp::from_seconds(OsClock.now().seconds());
        scenario = Scenario::parse_to_begin(file, text, now).map_err(not_a_scenario)?;
    }
    let real = runtime()?;
    let mut environment = Environment::none()?;
    let folder = places.parent().unwrap_or(Path::new(""));
    if let Some(pki) = &read.pki {
        environment.pki = Arc::new(crate::pki::load(&folder.join(pki))?);
    }
    let ExternalParties { sm_dps, cards, named } =
        ExternalParties::find(real.handle(), &read, folder, &environment.pki)?;
    let environment = Environment {
        strict: read.strict,
        sm_dps,
        cards,
        live: Some(Live { strangers: named, ..Live::default() }),
        progress: progress(&scenario),
        ..environment
    };
    play_in(over_sockets(environment, real.handle(), &scenario), name, &scenario, seed)
}

fn over_sockets(environment: Environment, real: &Handle, scenario: &Scenario) -> Environment {
    let transports = Sockets::new(real.clone(), Arc::clone(&environment.pki), scenario);
    Environment { transports: Arc::new(transports), ..environment }
}

fn runtime() -> Result<Runtime, Fault> {
    let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("sockets").enable_all().build();
    runtime.map_err(|why| {
        Fault::caused_by(why, "cannot use sockets", "free some memory or threads, and try again")
    })
}

impl Sockets {
    /// Creates sockets in this runtime. The servers use certificates of this PKI, valid for the
    /// duration of the scenario.
    fn new(real: Handle, pki: Arc<Pki>, scenario: &Scenario) -> Self {
        // Certificates have a resolution of one second.
        let second = |time: Timestamp| Timestamp::from_seconds(time.seconds());
        let day = Duration::from_secs(86_400);
        let validity = Validity { from: second(scenario.begins), to: second(scenario.ends().plus(day)) };
        Self { real, pki, validity }
    }
}

impl Transports for Sockets {
    fn open(&self, server: Server) -> Result<Arc<dyn Transport>, Fault> {
        Ok(Arc::new(ServerSocket::open(self.real.clone(), &self.pki, self.validity, server)?))
    }

    fn connect_card(&self) -> Result<Box<dyn transport::CardConnection>, Fault> {
        Ok(Box::new(CardSocket::open()?))
    }
}

/// Runs a future in the socket runtime and blocks until it is done. Returns `None` if the runtime
/// has ended.
fn wait<T: Send + 'static>(real: &Handle, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    let (done, outcome) = mpsc::sync_channel(1);
    real.spawn(async move {
        // The receiver may have been dropped; the result is then not needed.
        let _ = done.send(work.await);
    });
    outcome.recv().ok()
}
