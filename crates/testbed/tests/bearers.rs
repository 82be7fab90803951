//! A complete swap over each bearer in virtual time: its duration and its traffic.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use certs::{Pki, PkiOptions};
use device::Ending;
use device::lpa::DownloadOptions;
use fleet::answers::{Pace, effort};
use fleet::bearers::{Bearer, Bearers};
use fleet::costs::{Costs, Move};
use rsp::time::Timestamp;
use testbed::bearer::{Carrier, Usage};
use testbed::consumer::{Consumer, Setup, Start};
use testbed::time::run;
use tokio::time::Instant;

static PKI: LazyLock<Arc<Pki>> =
    LazyLock::new(|| Arc::new(Pki::from_seed(b"scenario tests", &PkiOptions::default()).unwrap()));

/// Moves a device over this bearer. Returns the result, the duration and the traffic.
fn swap(bearer: &Bearer, seed: &str) -> (Ending, Duration, Usage) {
    run(seed, Timestamp(1_795_000_000_000), async |simulation| {
        let setup = Setup { pki: Arc::clone(&PKI), carrier: None };
        let start = Start::prepare(&simulation, &setup).await.unwrap();
        let carrier = Carrier::new(bearer, simulation.random("bearer"));
        let setup = Setup { carrier: Some(carrier.clone()), ..setup };
        let mut run = Consumer::begin(&simulation, &setup, &start).unwrap();
        run.device.register().await.unwrap();
        let from = Instant::now();
        let ending = run.move_to_local(&start.code, DownloadOptions::default()).await.unwrap();
        (ending, from.elapsed(), carrier.usage())
    })
    .unwrap()
}

#[test]
fn a_swap_takes_longer_over_a_slower_bearer() {
    let bearers = Bearers::built_in().unwrap();
    let costs = Costs::built_in().unwrap();
    let one = Move { switch_seconds: 0, ..costs.r#move("consumer").unwrap().clone() };
    let mut before = (Duration::MAX, 0);
    for id in ["nb-iot", "lte-m", "lte"] {
        let calm = Bearer { loss: 0.0, availability: 1.0, ..bearers.named(id).unwrap().clone() };
        let (ending, took, usage) = swap(&calm, "7");
        println!("{id}: {took:?}, {} octets up, {} down", usage.octets_up, usage.octets_down);
        assert!(matches!(ending, Ending::Moved(_)), "{id}: {ending:?}");
        // Six functions use one connection, and the bearer takes all the time of the swap.
        assert_eq!((usage.requests, usage.handshakes, usage.busy), (6, 1, took), "{id}");
        assert_eq!((usage.retransmissions, usage.given_up), (0, 0), "{id}");
        let packets = calm.packets.unwrap();
        assert!(usage.octets_up > packets.tls_up + 7_000 && usage.octets_down > packets.tls_down + 5_000);
        // The delays alone need this time: three round trips for the handshake, and one for each
        // function.
        assert!(took >= Duration::from_millis(calm.delay_ms) * 2 * 9, "{id}: {took:?}");
        assert!(took < before.0, "{id} must be faster than the previous bearer");
        // The estimate for a move must match the simulated one, in which the card and the modem
        // take no time.
        let estimate = effort(1, &costs, &calm, &one, Pace::default()).unwrap();
        let (seconds, octets) = (took.as_secs_f64(), (usage.octets_up + usage.octets_down) as f64);
        println!("estimated: {:?} s, {} octets", estimate.seconds_each, estimate.octets_each);
        assert!((0.9..1.1).contains(&(estimate.seconds_each / seconds)), "{id}: {estimate:?}, {took:?}");
        assert!((0.9..1.1).contains(&(estimate.octets_each as f64 / octets)), "{id}: {estimate:?}, {octets}");
        before = (took, usage.octets_up);
    }
}

#[test]
fn a_swap_over_a_lossy_bearer_succeeds_and_follows_from_the_seed() {
    let bearers = Bearers::built_in().unwrap();
    let lossy = Bearer { loss: 0.3, ..bearers.named("nb-iot").unwrap().clone() };
    let (ending, took, usage) = swap(&lossy, "7");
    assert!(matches!(ending, Ending::Moved(_)), "{ending:?}");
    assert!(usage.retransmissions > 0 && took > Duration::from_secs(30), "{usage:?}");
    let (_, again, same) = swap(&lossy, "7");
    assert_eq!((took, usage), (again, same));
    assert_ne!(usage, swap(&lossy, "8").2);
}
