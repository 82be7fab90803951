//! Fuzz targets: one for each format that comes from a peer or from a file. A target takes any
//! octets, returns true if they are accepted, and panics if a property of the code does not hold.
//!
//! libFuzzer runs the targets with coverage (`tests/fuzz/run`), and the fuzz smoke test runs them
//! with the corpus and mutations of it. `docs/how-to/fuzz.md` describes both.

pub mod iot;
mod targets;

use targets::{bpp, coap, csv, der, esep, esipa, http, json, psk, scp80, smpp, soap, toml};

/// A fuzz target.
pub struct Target {
    /// The name, which is also the name of its folder in `corpus`.
    pub name: &'static str,
    /// Processes any octets. Returns true if they are accepted.
    pub run: fn(&[u8]) -> bool,
    /// Returns valid inputs, from which the corpus starts.
    pub samples: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "der", run: der::run, samples: der::samples },
    Target { name: "json", run: json::run, samples: json::samples },
    Target { name: "soap", run: soap::run, samples: soap::samples },
    Target { name: "bpp", run: bpp::run, samples: bpp::samples },
    Target { name: "scp80", run: scp80::run, samples: scp80::samples },
    Target { name: "smpp", run: smpp::run, samples: smpp::samples },
    Target { name: "http", run: http::run, samples: http::samples },
    Target { name: "psk", run: psk::run, samples: psk::samples },
    Target { name: "coap", run: coap::run, samples: coap::samples },
    Target { name: "csv", run: csv::run, samples: csv::samples },
    Target { name: "toml", run: toml::run, samples: toml::samples },
    Target { name: "esep", run: esep::run, samples: esep::samples },
    Target { name: "esipa", run: esipa::run, samples: esipa::samples },
];

/// Returns the target with this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
