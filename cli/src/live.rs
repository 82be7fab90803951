//! A scenario over sockets: its servers listen on the loopback, and whoever asks one of them does so over TLS.
//!
//! A scenario is played in one thread, whose clock jumps to what is due next. That thread waits while octets are on the way, so
//! that no time passes for anybody, and everything comes in the order in which it comes without sockets. What a server does with
//! a request it does in that thread too: the same party, behind a socket. docs/decisions/0017 says why.

mod door;

use std::sync::{Arc, mpsc};
use std::time::Duration;

use certs::{Pki, Validity};
use rsp::time::Timestamp;
use scenario::file::Scenario;
use scenario::play::{Outside, Server, Way, Ways, play_in};
use scenario::report::{Live, Report};
use tokio::runtime::{Builder, Handle, Runtime};
use world::Fault;

use door::Door;

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
    let outside = Outside::none()?;
    let ways = Sockets::new(real.handle().clone(), Arc::clone(&outside.pki), scenario);
    let live = Some(Live::default());
    play_in(Outside { ways: Arc::new(ways), live, ..outside }, name, scenario, seed)
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
