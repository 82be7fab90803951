//! Costs of the server at start and per session, measured with the real binary in its own process.
//!
//! `cargo bench -p tests --bench server`. Each figure is compared with its target, and the start-up
//! time with the time in which the same program prints its version. Memory is measured on Linux
//! only.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark fails by panicking"
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark needs the real clock")]

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Instant,
};

use certs::Pki;
use crypto::Curve;
use device::{EventSource, Lpa, LpaSettings};
use euicc_sim::{Card, CardDescription};
use net::{Client, ClientTls, OsClock, OsRandom};
use rsp::{
    ids::{SmdpAddress, Version},
    sgp22::{
        EuiccInfo1, Function,
        es9plus::{InitiateAuthentication, InitiateAuthenticationRequest},
        json,
    },
};
use world::{Fault, Link, RamMemory, World};

const STARTS: usize = 15;
/// Sessions over one shared connection.
const SESSIONS: usize = 2000;
/// Sessions with a connection each, which stays open.
const CONNECTED: usize = 500;
/// Sessions before the measurement, after which the server has made its one-time allocations.
const WARM_UP: usize = 300;

const START_MS: f64 = 50.0;
const REST_MIB: f64 = 20.0;
const SESSION_KIB: f64 = 4.0;

fn main() {
    let program = program();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let bare = median((0..STARTS).map(|_| version(&program)).collect());
    let (server, first) = Server::start(&program, folder);
    drop(server);
    let again = median((0..STARTS).map(|_| Server::start(&program, folder).1).collect());
    println!("from start to listening, milliseconds, median of {STARTS}");
    println!("  {first:>7.1}  including the creation of a PKI (once)");
    println!("  {again:>7.1}  with an existing PKI, {}", target(again, START_MS));
    println!(
        "  {bare:>7.1}  --version of the same program; the start takes {:.1} times as long",
        again / bare
    );

    let (server, _) = Server::start(&program, folder);
    let rest = server.kib();
    println!("\nmemory at rest, resident MiB\n  {:>7.1}  {}", rest / 1024.0, target(rest / 1024.0, REST_MIB));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(sessions(&server, folder));
}

async fn sessions(server: &Server, folder: &Path) {
    let device = Device::new(folder, &server.address).await;
    let shared = device.link();
    device.begin(&shared, WARM_UP).await;
    let (memory, disk) = (server.kib(), kib_on_disk(folder));
    device.begin(&shared, SESSIONS).await;
    let sessions = SESSIONS as f64;
    let each = (server.kib() - memory) / sessions;
    let on_disk = (kib_on_disk(folder) - disk) / sessions;
    println!("\nan open session that awaits AuthenticateClient, KiB, mean of {SESSIONS}");
    println!("  {each:>7.2}  resident memory, {}", target(each, SESSION_KIB));
    println!("  {on_disk:>7.2}  disk, for the record of the session");

    let memory = server.kib();
    let mut links = Vec::new();
    for _ in 0..CONNECTED {
        let link = device.link();
        device.begin(&link, 1).await;
        links.push(link);
    }
    let each = (server.kib() - memory) / CONNECTED as f64;
    println!("  {each:>7.2}  resident memory including an open TLS connection, mean of {CONNECTED}");
    let after = server.kib() / 1024.0;
    println!("\nmemory at the end, resident MiB\n  {after:>7.1}");
}

/// A device that starts sessions and does not continue them.
struct Device {
    client: Client,
    tls: ClientTls,
    address: String,
    info: EuiccInfo1,
}

impl Device {
    async fn new(folder: &Path, address: &str) -> Self {
        let pki = pki(&folder.join("pki"));
        let clock = Arc::new(OsClock);
        let root = pki.ci(Curve::P256).unwrap().der().to_vec();
        let tls = ClientTls::new(&[root], None, clock).unwrap();
        let eid = cli::parties::default_eid(&pki).unwrap();
        let credentials = pki.euicc(Curve::P256, eid).unwrap();
        let description = CardDescription::default_for(eid, &[credentials]);
        let world = World::new(OsClock, OsRandom::new().unwrap());
        let card = Card::open(description, RamMemory::default(), world).unwrap();
        let nowhere = |_: &SmdpAddress| Err::<Link, Fault>(Fault::new("no link", "none is needed", "-"));
        let mut lpa = Lpa::new(card, nowhere, LpaSettings::default(), EventSource::silent(OsClock));
        let (info, _) = lpa.chip_info().await.unwrap();
        Self { client: Client::default(), tls, address: address.to_owned(), info }
    }

    /// Opens a new connection.
    fn link(&self) -> Link {
        self.client.link(&self.address, Some(self.tls.clone())).unwrap()
    }

    async fn begin(&self, link: &Link, number: usize) {
        for challenge in 0..number {
            let mut euicc_challenge = [0; 16];
            euicc_challenge[..8].copy_from_slice(&challenge.to_be_bytes());
            let request = InitiateAuthenticationRequest {
                euicc_challenge,
                smdp_address: self.address.clone(),
                euicc_info1: self.info.clone(),
            };
            let path = InitiateAuthentication::path();
            let request = json::request(&path, Version([2, 5, 0]), &request);
            let response = world::send(link, request).await.unwrap();
            assert!(response.body().windows(16).any(|part| part == b"Executed-Success"), "{response:?}");
        }
    }
}

fn pki(folder: &Path) -> Pki {
    cli::pki::load(folder).unwrap()
}

/// An SM-DP+ process, killed when this is dropped.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// Starts the server. Returns it with the milliseconds until it listened.
    fn start(program: &Path, folder: &Path) -> (Self, f64) {
        let began = Instant::now();
        let mut process = landfall(program)
            .arg("--data-dir")
            .arg(folder)
            .args(["sm-dp", "serve", "--listen", "127.0.0.1:0", "--listen-admin", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let printed =
            lines.find_map(|line| line.unwrap().strip_prefix("SM-DP+ at ").map(str::to_owned)).unwrap();
        let took = millis(began);
        let address = printed.split_whitespace().next().unwrap().to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        (Self { process, address }, took)
    }

    /// Resident memory in KiB.
    fn kib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn kib_on_disk(folder: &Path) -> f64 {
    let octets: u64 = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("sm-dp.sqlite"))
        .map(|entry| entry.metadata().unwrap().len())
        .sum();
    octets as f64 / 1024.0
}

fn version(program: &Path) -> f64 {
    let began = Instant::now();
    assert!(landfall(program).arg("--version").stdout(Stdio::null()).status().unwrap().success());
    millis(began)
}

fn landfall(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LANDFALL_")) {
        command.env_remove(name);
    }
    command
}

/// Builds the binary with the release profile. Returns its path.
fn program() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built =
        Command::new(cargo).args(["build", "--release", "--package", "cli", "--bin", "landfall"]).status();
    assert!(built.unwrap().success());
    // This executable is in the folder `deps` next to the binary.
    let own = std::env::current_exe().unwrap();
    own.ancestors().nth(2).unwrap().join("landfall")
}

fn target(value: f64, target: f64) -> String {
    let met = if value <= target { "met" } else { "MISSED" };
    format!("target {target}: {met} ({:.2} of it)", value / target)
}

fn millis(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
