//! The cost of a whole swap of an IoT device in octets and in seconds of air time, for each binding of
//! ESipa. Everything is measured between the real programs, through proxies that count.
//!
//! docs/airtime.md has the figures. `LANDFALL_REGENERATE=1 cargo test -p cli --test airtime` writes them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

#[path = "airtime/handshakes.rs"]
mod handshakes;
#[path = "airtime/page.rs"]
mod page;
#[path = "airtime/swap.rs"]
mod swap;
#[path = "airtime/wire.rs"]
mod wire;

mod common;

use page::Table;
use swap::{Bench, LARGE, Swap};

/// The arguments of `landfall device run --iot` for each way, and its name.
const WAYS: [(&str, &[&str]); 9] = [
    ("JSON, direct", &["--binding", "json"]),
    ("ASN.1, direct", &["--binding", "asn1"]),
    ("CoAP, direct", &["--binding", "coap"]),
    ("JSON, through the eIM", &["--binding", "json", "--indirect"]),
    ("ASN.1, through the eIM", &["--binding", "asn1", "--indirect"]),
    ("CoAP, through the eIM", &["--binding", "coap", "--indirect"]),
    ("JSON, compact", &["--binding", "json", "--indirect", "--compact"]),
    ("ASN.1, compact", &["--binding", "asn1", "--indirect", "--compact"]),
    ("CoAP, compact", &["--binding", "coap", "--indirect", "--compact"]),
];

/// Ways that are moves of fleet/data/costs.toml.
const MOVES: [(&str, &str); 4] = [
    ("JSON, through the eIM", "iot-json"),
    ("ASN.1, through the eIM", "iot-asn1"),
    ("CoAP, through the eIM", "iot-coap"),
    ("CoAP, compact", "iot-coap-compact"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_committed_figures_are_those_of_a_measured_swap() {
    let bench = Bench::new();
    let mut swaps = Table::new(&[
        "Swap",
        "requests",
        "connections",
        "messages",
        "protocols",
        "IP",
        "up",
        "down",
        "round trips",
    ]);
    let mut packages = Table::new(&["Profile package", "octets", "round trips"]);
    for (name, arguments) in WAYS {
        let large = bench.swap(arguments, LARGE).await;
        if let Some((_, one)) = MOVES.iter().find(|(way, _)| *way == name) {
            large.compare(one);
        }
        let total = large.on_ip();
        let row = [
            large.requests(),
            large.connections(),
            large.messages(),
            large.protocols(),
            total.up + total.down - large.messages() - large.protocols(),
            total.up,
            total.down,
            total.round_trips,
        ];
        swaps.row(name, &row, total);
        // All ways without the eIM download in the same way, and the compact forms have the same package.
        if name == "JSON, direct" || name.ends_with("through the eIM") {
            let small = bench.swap(arguments, 0).await;
            let package = Swap::of_package(&large, &small);
            let row = [package.up + package.down, package.round_trips];
            packages.row(if name == "JSON, direct" { "from the SM-DP+" } else { name }, &row, package);
        }
    }
    page::compare("swap", &swaps);
    page::compare("package", &packages);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(has_openssl), ignore = "needs openssl")]
async fn the_committed_figures_are_those_of_measured_handshakes() {
    let mut table = Table::new(&["Handshake or poll", "up", "down", "packets", "round trips"]);
    for (name, count) in handshakes::measured().await {
        let row = [count.up, count.down, count.packets_up + count.packets_down, count.round_trips];
        table.row(name, &row, count);
    }
    page::compare("handshakes", &table);
}
