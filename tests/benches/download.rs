//! One whole download in process, compared with the sum of its cryptographic operations measured in
//! the same run.
//!
//! `cargo bench -p tests`. Reports both sides together, and the server side alone (the time inside
//! its link). Set-up, stock and order are not counted. Compare the ratios between machines, not the
//! times.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark fails by panicking"
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark needs the real clock")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use certs::{Pki, PkiOptions};
use crypto::{Curve, SecretKey, bsp};
use device::{DownloadOptions, EventSource, Lpa, LpaSettings, Slot};
use rsp::ids::SmdpAddress;
use sm_dp::{ProfileOptions, SmDpPlus};
use testbed::Testbed;
use world::{Fault, Link, RamMemory};

const ROUNDS: usize = 40;
const ADDRESS: &str = "smdp.example.com";

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let crypto = Bare::measure();
    println!("single operations, median microseconds (NIST P-256)");
    println!(
        "  sign {:.1}  verify {:.1}  key {:.1}  agree {:.1}",
        crypto.sign, crypto.verify, crypto.key, crypto.agree
    );
    let mut packages =
        vec![("own package", testbed::subscription::own_package("724-99", 1, "Bench").unwrap())];
    let ts48 = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/ts48/TS48v7_SAIP2.3_BERTLV_SUCI.der");
    match std::fs::read(ts48) {
        Ok(package) => packages.push(("TS.48 v7", package)),
        Err(_) => println!("without TS.48: the package is not next to the checkout"),
    }
    for (name, package) in packages {
        let (whole, server) = runtime.block_on(downloads(&package));
        let bsp = bsp_time(&package);
        // Server: verification of a chain of two certificates, euiccSignature1, euiccSignature2,
        // euiccSignPIR; signing of serverSigned1, smdpSigned2, smdpSign.
        let server_crypto = 5.0 * crypto.verify + 3.0 * crypto.sign + crypto.key + crypto.agree + bsp;
        // Card: verification of DPauth, DPpb, serverSignature1, smdpSignature2, smdpSign;
        // signing of euiccSignature1, euiccSignature2, euiccSignPIR.
        let card_crypto = 5.0 * crypto.verify + 3.0 * crypto.sign + crypto.key + crypto.agree + bsp;
        let both = server_crypto + card_crypto;
        println!("\n{name}, {} octets, median of {ROUNDS} downloads", package.len());
        println!(
            "  server side  {server:>9.0} us   cryptography {server_crypto:>9.0} us   ratio {:.2}",
            server / server_crypto
        );
        println!("  both sides   {whole:>9.0} us   cryptography {both:>9.0} us   ratio {:.2}", whole / both);
    }
}

/// Returns the median microseconds of one download: on both sides, and inside the server.
async fn downloads(package: &[u8]) -> (f64, f64) {
    let pki = Arc::new(Pki::from_seed(b"bench", &PkiOptions::default()).unwrap());
    let eid = cli::parties::default_eid(&pki).unwrap();
    let (mut whole, mut server) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let testbed = Testbed::with_pki(Arc::clone(&pki), &format!("round {round}"));
        let sm_dp = testbed.sm_dp_plus(ADDRESS).unwrap();
        let iccid = sm_dp.add_profile(package, &ProfileOptions::default()).await.unwrap();
        let operator = testbed.operator(sm_dp.link()).unwrap();
        let code = operator.order(iccid, Some(eid), ADDRESS.parse().unwrap()).await.unwrap();
        let card = testbed.card(eid, RamMemory::default()).unwrap();
        let clock = testbed.world("device").clock;
        let inside = Arc::new(AtomicU64::new(0));
        let link = timed(sm_dp, Arc::clone(&inside));
        let links = move |_: &SmdpAddress| Ok::<Link, Fault>(link.clone());
        let mut lpa = Lpa::new(Slot::new(card), links, LpaSettings::default(), EventSource::silent(clock));

        let start = Instant::now();
        lpa.download(&code, DownloadOptions::default()).await.unwrap();
        whole.push(micros(start.elapsed()));
        server.push(Duration::from_nanos(inside.load(Ordering::Relaxed)).as_secs_f64() * 1e6);
    }
    (median(whole), median(server))
}

/// Returns the server as a link that measures the time spent in it.
fn timed(sm_dp: SmDpPlus, inside: Arc<AtomicU64>) -> Link {
    world::link_from(tower::service_fn(move |request| {
        let (sm_dp, inside) = (sm_dp.clone(), Arc::clone(&inside));
        async move {
            let start = Instant::now();
            let response = sm_dp.handle(request).await;
            inside.fetch_add(u64::try_from(start.elapsed().as_nanos()).unwrap(), Ordering::Relaxed);
            Ok(response)
        }
    }))
}

/// Median microseconds of single cryptographic operations.
struct Bare {
    sign: f64,
    verify: f64,
    key: f64,
    agree: f64,
}

impl Bare {
    fn measure() -> Self {
        let secret = SecretKey::from_bytes(Curve::P256, &[0x11; 32]).unwrap();
        let peer = SecretKey::from_bytes(Curve::P256, &[0x22; 32]).unwrap().public_key();
        let public = secret.public_key();
        let message = [0x33; 300];
        let signature = secret.sign(&message);
        let mut counter = 0u64;
        let mut fill = |octets: &mut [u8]| {
            counter += 1;
            octets.fill(0x5A);
            octets[..8].copy_from_slice(&counter.to_be_bytes());
        };
        Self {
            sign: time(|| {
                std::hint::black_box(secret.sign(&message));
            }),
            verify: time(|| public.verify(&message, &signature).unwrap()),
            key: time(|| {
                std::hint::black_box(SecretKey::generate(Curve::P256, &mut fill).public_key());
            }),
            agree: time(|| drop(std::hint::black_box(secret.agree(&peer).unwrap()))),
        }
    }
}

/// Time for protecting the package. Unprotecting it needs the same operations.
fn bsp_time(package: &[u8]) -> f64 {
    let keys = bsp::SessionKeys { initial_mac_chaining_value: [1; 16], s_enc: [2; 16], s_mac: [3; 16] };
    time(|| drop(std::hint::black_box(bsp::BppSender::new(keys.clone()).segments(0x86, package))))
}

fn time(mut operation: impl FnMut()) -> f64 {
    let samples = (0..200).map(|_| {
        let start = Instant::now();
        operation();
        micros(start.elapsed())
    });
    median(samples.collect())
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
