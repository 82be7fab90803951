//! Hostile peers on loopback at every port of every server, and an honest client beside them: it is
//! answered within a second, or refused at once. The memory of a server stays below 256 MiB.
//!
//! | Module | Contents |
//! |---|---|
//! | `servers` | the servers, each as a process |
//! | `doors` | the ports, with the request of the honest client |
//! | `attacks` | silent and slow connections, large bodies, sessions, passwords |
//! | `datagrams` | the attacks on a UDP port |
//! | `identities` | wrong certificates, keys and passwords |
//! | `euiccs` | wrong certificates and signatures of eUICCs |
//! | `results` | wrong signatures of results, for an eIM |
//! | `tokens` | wrong tokens at the check-in of the fleet |
//!
//! The default numbers are small. `docs/hostile.md` describes the full run.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and measure real time"
)]

mod attacks;
mod client;
#[path = "../common/mod.rs"]
mod common;
mod datagrams;
mod doors;
mod euiccs;
mod identities;
mod results;
mod servers;
mod tokens;

use std::{sync::Arc, time::Duration};

use attacks::{Silence, bodies, passwords, sessions};
use datagrams::Datagrams;
use doors::{ANSWER, CoapClient, Door, Honest, Service, doors, doors_of_up};
use servers::Servers;
use tokio::sync::Mutex;

/// Held by each test while it runs, because the tests measure times.
static TURN: Mutex<()> = Mutex::const_new(());

/// The sizes of a run.
struct Numbers {
    connections: usize,
    body_connections: usize,
    streams: usize,
    /// Sessions at the SM-DP+.
    sessions: usize,
    /// Sessions at each other server.
    other_sessions: usize,
    passwords: usize,
}

fn is_full() -> bool {
    std::env::var("LANDFALL_HOSTILE").as_deref() == Ok("full")
}

/// Number of times that each wrong certificate is tried.
fn rounds() -> usize {
    if is_full() { 20 } else { 1 }
}

impl Numbers {
    fn of_environment() -> Self {
        match is_full() {
            true => Self {
                connections: 4_100,
                body_connections: 100,
                streams: 200,
                sessions: 100_000,
                other_sessions: 20_000,
                passwords: 2_000,
            },
            false => Self {
                connections: 16,
                body_connections: 2,
                streams: 40,
                sessions: 100,
                other_sessions: 50,
                passwords: 400,
            },
        }
    }
}

/// The results of honest clients of a door beside hostile ones.
#[derive(Default)]
struct Figures {
    answered: usize,
    refused: usize,
    failures: Vec<String>,
    slowest: Duration,
}

impl Figures {
    /// Runs one more honest client.
    async fn add(&mut self, door: &Door) {
        let (service, took) = door.serve_honest().await;
        match service {
            Service::Answered => self.answered += 1,
            Service::Refused => self.refused += 1,
            Service::Failed(why) => self.failures.push(why),
        }
        self.slowest = self.slowest.max(took);
    }

    /// Runs this number of honest clients.
    async fn of(door: &Door, clients: usize) -> Self {
        let mut figures = Self::default();
        for _ in 0..clients {
            figures.add(door).await;
        }
        figures
    }

    /// Prints the figures, and checks them. `can_refuse` is true if honest clients can be refused.
    /// Returns the failures, so that the run continues.
    fn check(self, servers: &Servers, door: &Door, attack: &str, can_refuse: bool) -> Vec<String> {
        let Self { answered, refused, failures, slowest } = self;
        let (server, name) = (door.server, door.name);
        let peak = servers.peak_kib(server) >> 10;
        let slowest_ms = slowest.as_millis();
        println!(
            "{server:<13} {name:<25} {attack:<52} {answered:>8} {refused:>7} {slowest_ms:>7} ms {peak:>4} MiB"
        );
        let mut wrong = failures;
        if slowest >= ANSWER {
            wrong.push(format!("an honest client needed {slowest_ms} ms"));
        }
        if refused > 0 && !can_refuse {
            wrong.push(format!("{refused} honest clients were refused"));
        }
        if peak << 10 >= servers::MEMORY_KIB {
            wrong.push(format!("the server used {peak} MiB"));
        }
        wrong.into_iter().map(|wrong| format!("{server}, {name}, {attack}: {wrong}")).collect()
    }
}

fn print_heading() {
    println!(
        "\n{:<13} {:<25} {:<52} {:>8} {:>7} {:>10} {:>8}",
        "server", "door", "hostile clients", "answered", "refused", "slowest", "peak"
    );
}

/// Opens silent and slow connections of each kind, beside honest clients. Returns the failures.
async fn silent_connections(servers: &Servers, door: &Arc<Door>, count: usize) -> Vec<String> {
    let mut wrong = Figures::of(door, 3).await.check(servers, door, "none", false);
    for silence in Silence::kinds(door) {
        let mut open = silence.open(door, count).await;
        let mut figures = Figures::default();
        for _ in 0..3 {
            silence.drip(&mut open).await;
            figures.add(door).await;
        }
        let attack = format!("{} x {}", open.len(), silence.name);
        wrong.extend(figures.check(servers, door, &attack, silence.takes_turn));
    }
    wrong.extend(Figures::of(door, 1).await.check(servers, door, "none, after these", false));
    wrong
}

/// Runs hostile clients of each kind at a UDP port, beside honest clients. Returns the failures.
async fn hostile_datagrams(
    servers: &Servers,
    door: &Door,
    client: &Arc<CoapClient>,
    count: usize,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for kind in Datagrams::ALL {
        let own = Arc::clone(client);
        let hostile = tokio::spawn(async move { kind.open(&own, count).await });
        let mut figures = Figures::default();
        while !hostile.is_finished() {
            figures.add(door).await;
        }
        let held = hostile.await.unwrap();
        for _ in 0..3 {
            figures.add(door).await;
        }
        let attack = format!("{} x {}", held.len(), kind.name());
        wrong.extend(figures.check(servers, door, &attack, false));
        if held.len() < count {
            wrong.push(format!("{attack}: the server did not answer the other {}", count - held.len()));
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_do_not_stop_any_port_of_up() {
    let _turn = TURN.lock().await;
    let servers = Servers::start_up();
    print_heading();
    let mut wrong = Vec::new();
    for door in doors_of_up(&servers).into_iter().map(Arc::new) {
        wrong.extend(silent_connections(&servers, &door, Numbers::of_environment().connections).await);
    }
    servers.check_memory();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_clients_are_answered_beside_hostile_ones_at_every_door() {
    let _turn = TURN.lock().await;
    let numbers = Numbers::of_environment();
    let servers = Servers::start();
    let only = std::env::var("LANDFALL_HOSTILE_SERVER").ok();
    let doors =
        doors(&servers).into_iter().filter(|door| only.as_ref().is_none_or(|only| only == door.server));
    let doors: Vec<_> = doors.map(Arc::new).collect();
    assert!(!doors.is_empty(), "no server has the name {only:?}");
    print_heading();
    let mut wrong = Vec::new();
    for door in &doors {
        wrong.extend(silent_connections(&servers, door, numbers.connections).await);
        if let Honest::Coap(client) = &door.honest {
            wrong.extend(hostile_datagrams(&servers, door, client, numbers.connections).await);
        }
        if let Some(call) = door.http_2() {
            let hostile = bodies(door, call, numbers.body_connections, numbers.streams).await;
            let figures = Figures::of(door, 20).await;
            let attack = format!("{} x {} bodies of 1 MiB", numbers.body_connections, numbers.streams);
            wrong.extend(figures.check(&servers, door, &attack, false));
            drop(hostile);
        }
        if matches!(door.honest, Honest::Smpp(_)) {
            let (checked, refused) = passwords(door, numbers.passwords).await;
            let attack = format!("{checked} passwords checked, {refused} not checked");
            wrong.extend(Figures::of(door, 3).await.check(&servers, door, &attack, false));
            assert!(refused > 0, "every password was checked");
        }
    }
    // A server that has all its sessions refuses further ones, so the other attacks come first, and
    // the eIM comes before the SM-DP+ at which it opens sessions.
    for door in doors.iter().rev() {
        let Some(call) = &door.session else { continue };
        let count = if door.server == "sm-dp" { numbers.sessions } else { numbers.other_sessions };
        let (opened, refused) = sessions(door, call, count).await;
        assert!(opened > 0, "{}: no session was opened", door.name);
        let attack = format!("{opened} sessions opened, {refused} refused");
        wrong.extend(Figures::of(door, 3).await.check(&servers, door, &attack, refused > 0));
    }
    servers.check_memory();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
