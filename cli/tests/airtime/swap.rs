//! A whole swap between the real programs.

use std::{
    cell::Cell,
    path::{Path, PathBuf},
};

use fleet::costs::Costs;
use rsp::ids::Eid;
use serde_json::Value;

use crate::{
    common::{Running, landfall, succeed},
    wire::{Count, Proxy},
};

/// Octets of a file with which a profile has the size of the GSMA's test profiles (TS.48).
pub(crate) const LARGE: usize = 10_000;
/// The home network of all profiles.
const HOME: &str = "724-99";
/// The name of the SM-DP+, which a device resolves to the proxy.
const NAME: [&str; 2] = ["--sm-dp-name", "smdp.landfall.example"];

/// An SM-DP+ and an eIM with their proxies.
pub(crate) struct Bench {
    folder: tempfile::TempDir,
    _sm_dp_process: Running,
    _eim_process: Running,
    sm_dp: String,
    eim: String,
    eim_coap: String,
    api: String,
    /// The number of devices and of profiles so far.
    devices: Cell<u32>,
    profiles: Cell<u32>,
}

/// A profile in the stock of the SM-DP+.
struct Profile {
    file: String,
    iccid: String,
    download: String,
    /// Octets of the package.
    octets: u64,
}

/// The measured cost of a swap.
pub(crate) struct Swap {
    eim: (Count, Count),
    sm_dp: (Count, Count),
    connections: u64,
    /// Requests on ESipa and on ES9+, and the octets of their bodies from the device and to it.
    requests: u64,
    messages: (u64, u64),
    package: u64,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at =
            |folder: &Path, arguments: &[&str]| Running::start(landfall(folder).args(arguments).args(NAME));
        let serve = ["--json", "sm-dp", "serve", "--listen", "127.0.0.1:0"];
        let sm_dp_process = at(folder.path(), &serve);
        let sm_dp = sm_dp_process.out.json()["addresses"]["sm_dp"].as_str().unwrap().to_owned();
        let listen =
            ["--listen", "127.0.0.1:0", "--listen-api", "127.0.0.1:0", "--listen-coap", "127.0.0.1:0"];
        let eim = ["--json", "eim", "serve", "--sm-dp", &sm_dp];
        let eim_process = at(folder.path(), &[&eim[..], &listen].concat());
        let ready = eim_process.out.json();
        let address = |name: &str| ready["addresses"][name].as_str().unwrap().to_owned();
        Self {
            eim: address("eim"),
            eim_coap: address("eim_coap"),
            api: address("api"),
            folder,
            _sm_dp_process: sm_dp_process,
            _eim_process: eim_process,
            sm_dp,
            devices: Cell::default(),
            profiles: Cell::default(),
        }
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Swaps the profile of a new device for one with this number of octets in an additional file.
    pub(crate) async fn swap(&self, arguments: &[&str], octets: usize) -> Swap {
        let is_coap = arguments.contains(&"coap");
        let eim = match is_coap {
            true => Proxy::udp(&self.eim_coap).await,
            false => Proxy::tcp(&self.eim).await,
        };
        let sm_dp = Proxy::tcp(&self.sm_dp).await;
        tokio::task::block_in_place(|| self.measure(arguments, octets, &eim, &sm_dp))
    }

    fn measure(&self, arguments: &[&str], octets: usize, eim: &Proxy, sm_dp: &Proxy) -> Swap {
        let number = self.devices.get() + 1;
        self.devices.set(number);
        let eid = Eid::with_check_digits(&format!("89049032{number:022}")).unwrap().to_string();
        self.eim(&["register", &eid]);
        let (bootstrap, local) = (self.profile(0), self.profile(octets));
        let order = |operation: &str| self.eim(&["order", &eid, operation]);

        // The device leaves the factory over another connection, which is not measured.
        order(&bootstrap.download);
        order(&format!("enable:{}", bootstrap.iccid));
        let configuration = self.configuration();
        let configuration = configuration.to_str().unwrap();
        let device = |sm_dp: &str| {
            let mut command = landfall(self.folder());
            command.args(["--json", "device", "--eid", &eid, "--sm-dp", sm_dp]).args(NAME);
            command
        };
        let run = ["run", "--iot", "--once"];
        let factory = ["--eim-configuration", configuration, "--binding", "asn1"];
        succeed(device(&self.sm_dp).args(run).args(factory).args(features(arguments)));

        let network = ["--json", "network", "--listen", "127.0.0.1:0"];
        let subscribers = ["--subscriber", &bootstrap.file, "--subscriber", &local.file];
        let network = Running::start(landfall(self.folder()).args(network).args(subscribers));
        let at = network.out.json()["addresses"]["network"].as_str().unwrap().to_owned();
        order(&local.download);
        order(&format!("enable-with-rollback:{}", local.iccid));
        order("list");
        let mut swapping = device(&sm_dp.address);
        swapping.args(["--network", &at, "--visible", HOME]).args(run);
        let output = swapping.args(["--eim", &eim.address]).args(arguments).output().unwrap();
        let events = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {events}");
        let polled = String::from_utf8_lossy(&output.stdout);
        let polled: Value = serde_json::from_str(polled.lines().last().unwrap()).unwrap();
        let packages = polled["polled"]["visits"][0]["packages"].as_array().unwrap();
        assert_eq!(packages[0]["results"][0], format!("installed {}", local.iccid), "{polled}");
        assert_eq!(packages[1]["results"][0], "enable ok(0)", "{polled}");
        assert_eq!(packages.len(), 3, "{polled}");

        let bodies = |interface: &str| -> (u64, u64, u64) {
            let events = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let events = events.filter(|event| event["interface"] == interface && event["peer"] != "");
            events.fold((0, 0, 0), |(requests, up, down), event| {
                let of = |name: &str| event[name].as_u64().unwrap();
                (requests + 1, up + of("bytes_sent"), down + of("bytes_received"))
            })
        };
        let ((esipa, esipa_up, esipa_down), (es9plus, es9plus_up, es9plus_down)) =
            (bodies("ESipa"), bodies("ES9+"));
        Swap {
            eim: (eim.payload(), eim.on_ip(esipa)),
            sm_dp: (sm_dp.payload(), sm_dp.on_ip(es9plus)),
            connections: eim.connections() + sm_dp.connections(),
            requests: esipa + es9plus,
            messages: (esipa_up + es9plus_up, esipa_down + es9plus_down),
            package: local.octets,
        }
    }

    fn eim(&self, arguments: &[&str]) -> String {
        succeed(landfall(self.folder()).args(["--json", "eim"]).args(arguments).args(["--api", &self.api]))
    }

    fn configuration(&self) -> PathBuf {
        let file = self.folder().join("eim.json");
        std::fs::write(&file, self.eim(&["configuration"])).unwrap();
        file
    }

    /// Puts a profile into the stock of the SM-DP+, and orders it.
    fn profile(&self, octets: usize) -> Profile {
        let number = self.profiles.get() + 1;
        self.profiles.set(number);
        let name =
            |ending: &str| self.folder().join(format!("{number}.{ending}")).to_str().unwrap().to_owned();
        let (description, file) = (name("toml"), name("der"));
        std::fs::write(&description, described(number, octets)).unwrap();
        succeed(landfall(self.folder()).args(["profile", "build", &description, &file]));
        let operator = |arguments: &[&str]| {
            let sm_dp = ["--sm-dp", &self.sm_dp];
            succeed(landfall(self.folder()).args(arguments).args(sm_dp)).trim().to_owned()
        };
        let iccid = operator(&["sm-dp", "add", &file]);
        let code = operator(&[&["operator", "order", &iccid], &NAME[..]].concat());
        let octets = std::fs::metadata(&file).unwrap().len();
        Profile { file, iccid, download: format!("download:{code}"), octets }
    }
}

/// The description of a profile with this number of octets in an additional file.
fn described(number: u32, octets: usize) -> String {
    let iccid = rsp::ids::Iccid::with_luhn(&format!("897249{number:012}")).unwrap();
    let (imsi, opc) = (format!("72499{number:010}"), u128::from(number) << 64);
    let mut text = format!(
        "iccid = \"{iccid}\"\nimsi = \"{imsi}\"\n[authentication]\nki = \"{number:032X}\"\nopc = \"{opc:032X}\"\n"
    );
    if octets > 0 {
        let content = hex::encode_upper(vec![0xA5; octets]);
        text += &format!("[[file]]\ndirectory = \"7FD0\"\nid = \"6FF8\"\ncontent = \"{content}\"\n");
    }
    text
}

/// The arguments that the data of the device depend on.
fn features<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    arguments.iter().copied().filter(|argument| matches!(*argument, "--indirect" | "--compact")).collect()
}

impl Swap {
    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections
    }

    /// Octets of the messages of ESipa and ES9+.
    pub(crate) fn messages(&self) -> u64 {
        self.messages.0 + self.messages.1
    }

    /// Compares the swap with a move of fleet/data/costs.toml.
    pub(crate) fn compare(&self, name: &str) {
        if std::env::var_os("LANDFALL_REGENERATE").is_some() {
            let (requests, connections, total) = (self.requests, self.connections, self.on_ip());
            println!(
                "{name}: {:?} in {requests} requests and {connections} connections, {total:?}",
                self.messages
            );
            return;
        }
        let costs = Costs::built_in().unwrap();
        let one = costs.r#move(name).unwrap();
        let counted = [
            ("connections", u64::from(one.connections), self.connections),
            ("requests", u64::from(one.requests), self.requests),
            ("octets_up", one.octets_up, self.messages.0),
            ("octets_down", one.octets_down, self.messages.1),
            (
                "all octets",
                one.octets_up
                    + one.octets_down
                    + u64::from(one.connections) * one.overhead_per_connection
                    + u64::from(one.requests) * one.overhead_per_request,
                self.on_ip().up + self.on_ip().down,
            ),
        ];
        for (what, committed, measured) in counted {
            assert!(
                committed.abs_diff(measured) * 20 <= committed,
                "{name} of costs.toml has {committed} {what}, and {measured} were measured: {counted:?}"
            );
        }
    }

    /// Octets of HTTP or CoAP headers, TLS or DTLS records and handshakes.
    pub(crate) fn protocols(&self) -> u64 {
        let payload = self.eim.0 + self.sm_dp.0;
        payload.up + payload.down - self.messages()
    }

    pub(crate) fn on_ip(&self) -> Count {
        self.eim.1 + self.sm_dp.1
    }

    /// Returns the cost of the profile package in the first swap, which has a larger one than the second.
    pub(crate) fn of_package(large: &Self, small: &Self) -> Count {
        let difference = large.on_ip() - small.on_ip();
        let scaled = |octets: u64| octets * large.package / (large.package - small.package);
        Count {
            up: scaled(difference.up),
            down: scaled(difference.down),
            packets_up: scaled(difference.packets_up),
            packets_down: scaled(difference.packets_down),
            round_trips: scaled(difference.round_trips),
        }
    }
}
