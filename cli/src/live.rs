//! A scenario over sockets: its servers listen on the loopback, and whoever asks one of them does so over TLS.
//!
//! A scenario is played in one thread, whose clock jumps to what is due next. That thread waits while octets are on the way, so
//! that no time passes for anybody, and everything comes in the order in which it comes without sockets. What a server does with
//! a request it does in that thread too: the same party, behind a socket. docs/decisions/0017 says why.

mod door;
mod strangers;
mod wire;

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use certs::{Pki, Validity};
use net::OsClock;
use rsp::time::Timestamp;
use scenario::file::{Places, Scenario};
use scenario::play::{self, Outside, Server, Way, Ways, play_in};
use scenario::report::{Live, Report};
use tokio::runtime::{Builder, Handle, Runtime};
use world::{Clock, Fault};

use crate::command::run::not_a_scenario;
use door::Door;
use strangers::Strangers;
use wire::Wire;

/// Servers behind sockets of their own.
struct Sockets {
    real: Handle,
    pki: Arc<Pki>,
    validity: Validity,
}

/// Plays a scenario with this seed over sockets; `name` is what the report calls it.
///
/// # Errors
/// As [`scenario::play::play`], or there are no sockets.
pub fn play(name: &str, scenario: &Scenario, seed: &str) -> Result<Report, Fault> {
    // It outlives everybody who asks over its sockets.
    let real = runtime()?;
    let outside = Outside { live: Some(Live::default()), ..Outside::none()? };
    play_in(over_sockets(outside, real.handle(), scenario), name, scenario, seed)
}

/// The same with the servers and cards of others that the file `places` names. It begins now then, whatever the scenario says.
/// `file` is what errors call the text of the scenario.
///
/// # Errors
/// As [`play()`]; and one of the files is not what it should be, or a card is not where it is to be.
pub fn play_with(places: &Path, name: &str, (file, text): (&str, &str), seed: &str) -> Result<Report, Fault> {
    let mut scenario = Scenario::parse(file, text).map_err(not_a_scenario)?;
    let of_places = crate::command::sm_dp::read_text(places)?;
    let read = Places::parse(&places.display().to_string(), &of_places, &scenario).map_err(not_a_scenario)?;
    if !read.is_empty() {
        let now = Timestamp::from_seconds(OsClock.now().seconds());
        scenario = Scenario::parse_to_begin(file, text, now).map_err(not_a_scenario)?;
    }
    let real = runtime()?;
    let mut outside = Outside::none()?;
    let folder = places.parent().unwrap_or(Path::new(""));
    if let Some(pki) = &read.pki {
        outside.pki = Arc::new(crate::pki::load(&folder.join(pki))?);
    }
    let Strangers { sm_dps, cards, named } = Strangers::find(real.handle(), &read, folder, &outside.pki)?;
    let outside = Outside {
        quirks: read.quirks.clone(),
        sm_dps,
        cards,
        live: Some(Live { strangers: named, ..Live::default() }),
        ..outside
    };
    play_in(over_sockets(outside, real.handle(), &scenario), name, &scenario, seed)
}

fn over_sockets(outside: Outside, real: &Handle, scenario: &Scenario) -> Outside {
    let ways = Sockets::new(real.clone(), Arc::clone(&outside.pki), scenario);
    Outside { ways: Arc::new(ways), ..outside }
}

fn runtime() -> Result<Runtime, Fault> {
    let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("sockets").enable_all().build();
    runtime.map_err(|why| {
        Fault::caused_by(why, "cannot use sockets", "free some memory or threads, and try again")
    })
}

impl Sockets {
    /// Sockets in this runtime, whose servers show certificates of this PKI that hold as long as the scenario lasts.
    fn new(real: Handle, pki: Arc<Pki>, scenario: &Scenario) -> Self {
        // Certificates count whole seconds.
        let second = |time: Timestamp| Timestamp::from_seconds(time.seconds());
        let day = Duration::from_secs(86_400);
        let validity = Validity { from: second(scenario.begins), to: second(scenario.ends().plus(day)) };
        Self { real, pki, validity }
    }
}

impl Ways for Sockets {
    fn open(&self, server: Server) -> Result<Arc<dyn Way>, Fault> {
        Ok(Arc::new(Door::open(self.real.clone(), &self.pki, self.validity, server)?))
    }

    fn wire(&self) -> Result<Box<dyn play::Wire>, Fault> {
        Ok(Box::new(Wire::open()?))
    }
}

/// What comes of it among the sockets, for a thread that waits; none if their runtime is gone.
fn wait<T: Send + 'static>(real: &Handle, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    let (done, outcome) = mpsc::sync_channel(1);
    real.spawn(async move {
        // Who does not wait any more does not need it.
        let _ = done.send(work.await);
    });
    outcome.recv().ok()
}
