//! Every server of the program, each as a process of its own.

use std::{collections::BTreeMap, net::SocketAddr};

use certs::{Certificate, CrlPlan, Pki};
use crypto::Curve;
use rsp::{
    ids::{Eid, Oid},
    sgp02::keys::{KeyVersion, PskIdentity},
};
use tempfile::TempDir;

use crate::{
    client::PskClient,
    common::{Running, landfall, succeed},
};
use openssl::ssl::SslVersion;

/// The device of the fleet, of the eIM and of the SM-SR.
pub(crate) const EID: &str = "89049032000000000000000000000163";
/// Another device of the fleet.
pub(crate) const OTHER_EID: &str = "89049032000000000000000000000260";
/// MatchingID of the ordered profile.
pub(crate) const MATCHING_ID: &str = "HOSTILE";
/// Name of the process of `landfall up`.
pub(crate) const UP: &str = "up";
/// The operator that is configured at the servers.
pub(crate) const OPERATOR: &str = "Landfall Test Operator";
/// Name of the SM-SR that is configured at the SM-SR.
pub(crate) const OTHER_SM_SR: &str = "Other SM-SR";
/// Account of the SMSC. Its password is that of `landfall`.
pub(crate) const ACCOUNT: &str = "sm-sr";
pub(crate) const PASSWORD: &str = "secret";
/// Maximum memory of a server in KiB.
pub(crate) const MEMORY_KIB: u64 = 256 << 10;

const ANY: &str = "127.0.0.1:0";

/// The running servers, with the PKI that they use.
pub(crate) struct Servers {
    processes: BTreeMap<&'static str, (Running, serde_json::Value)>,
    pub(crate) pki: Pki,
    /// Check-in token of the device.
    pub(crate) token: String,
    folder: TempDir,
}

impl Servers {
    /// Starts `landfall up` only.
    pub(crate) fn start_up() -> Self {
        let mut servers = Self::without_processes();
        let ports = ["--sm-dp", "--sm-ds", "--network", "--card", "--admin", "--listen-smpp"];
        let ports = ports.map(|port| [port, ANY]).concat();
        let account = format!("{ACCOUNT}:1000");
        servers.run(UP, &[&[UP][..], &ports, &["--account", &account]].concat());
        servers
    }

    fn without_processes() -> Self {
        let folder = tempfile::tempdir().unwrap();
        succeed(landfall(folder.path()).args(["certs", "init"]));
        let pki = cli::pki::load(&folder.path().join("pki")).unwrap();
        Self { processes: BTreeMap::new(), pki, token: String::new(), folder }
    }

    /// Starts all servers.
    pub(crate) fn start() -> Self {
        let mut servers = Self::without_processes();
        let (data, pki) = (servers.folder.path(), &servers.pki);
        let revoked = pki.operator("Revoked Operator").unwrap().certificate;
        let plan = CrlPlan { number: 1, revoked: &[&revoked], ..CrlPlan::default() };
        std::fs::write(
            data.join("pki/CertificateIssuer/CRL_hostile.crl"),
            pki.crl(Curve::P256, &plan).unwrap(),
        )
        .unwrap();
        let devices = data.join("devices.csv");
        let device = format!(
            "eid,label,profiles,network,home,since\n\
             {EID},kiosk,8944476500001224158 234-15 bootstrap enabled,724-05,234-15,2026-01-01\n\
             {OTHER_EID},other,8944476500001224166 234-15 bootstrap enabled,724-05,234-15,2026-01-01\n"
        );
        std::fs::write(&devices, device).unwrap();
        succeed(landfall(data).args(["fleet", "import"]).arg(&devices));
        let package = data.join("ordered.der");
        succeed(landfall(data).args(["profile", "new", "--number", "2"]).arg(&package));
        succeed(landfall(data).args(["sm-dp", "add"]).arg(&package));
        servers.token = servers.token_of(EID);
        servers.start_all();
        servers.register_card();
        servers
    }

    /// Returns the check-in token of a device.
    pub(crate) fn token_of(&self, eid: &str) -> String {
        succeed(landfall(self.folder.path()).args(["fleet", "token", eid])).trim().to_owned()
    }

    /// Orders a profile at the SM-DP+, under `MATCHING_ID`.
    pub(crate) fn order_profile(&self) {
        let mut order = landfall(self.folder.path());
        order.env("LANDFALL_ADMIN", self.address("sm-dp", "admin").to_string());
        succeed(order.args(["sm-dp", "order", "--matching-id", MATCHING_ID]));
    }

    fn start_all(&mut self) {
        let operator = self.operator_id();
        let peer = format!("{operator}@127.0.0.1:1");
        let (own, as_peer) = (operator.to_string(), format!("operator:{peer}"));
        self.run(
            "sm-dp",
            &[
                "sm-dp",
                "serve",
                "--listen",
                ANY,
                "--listen-admin",
                ANY,
                "--operator",
                &own,
                "--m2m-operator",
                &peer,
            ],
        );
        let sm_dp = self.address("sm-dp", "sm_dp").to_string();
        self.run("sm-ds", &["sm-ds", "serve", "--listen", ANY]);
        let sm_dp_peer = format!("sm-dp:{}", cli::m2m::sm_dp::NAME_IN_PKI);
        let sm_sr_peer = format!("sm-sr:{OTHER_SM_SR}");
        let peers = ["eum:EUM", &as_peer, &sm_dp_peer, &sm_sr_peer].map(|peer| ["--peer", peer]);
        let cards = ["--listen-cards", ANY];
        self.run("sm-sr", &[&["sm-sr", "serve", "--listen", ANY][..], &cards, &peers.concat()].concat());
        let account = format!("{ACCOUNT}:1000");
        self.run("network", &["network", "--listen", ANY, "--listen-smpp", ANY, "--account", &account]);
        self.run("fleet", &["fleet", "serve", "--listen", ANY, "--listen-api", ANY, "--sm-dp", &sm_dp]);
        let allow = ["--allow-address", &sm_dp, "--sm-dp", &sm_dp, "--device", EID];
        let ports = ["--listen", "--listen-coap", "--listen-api"].map(|port| [port, ANY]).concat();
        self.run("eim", &[&["eim", "serve"][..], &ports, &allow].concat());
        self.run("euicc", &["euicc", "serve", "--listen", ANY, "--ram"]);
        self.run("operator", &["operator", "listen", "--listen", ANY]);
        self.run("m2m operator", &["operator", "m2m", "--listen", ANY, "--sm-dp", &sm_dp, "listen"]);
        self.run("proxy", &["faults", "serve", "--listen", ANY, "--before", &sm_dp]);
    }

    fn run(&mut self, name: &'static str, arguments: &[&str]) {
        let running = Running::start(landfall(self.folder.path()).arg("--json").args(arguments));
        let ready = running.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap());
        let ready = ready.into_iter().find(|line| line["addresses"].is_object()).unwrap();
        self.processes.insert(name, (running, ready["addresses"].clone()));
    }

    /// Registers the card of the device at the SM-SR, so that its pre-shared key is known there.
    fn register_card(&self) {
        let data = self.folder.path();
        let profile = data.join("first.der");
        succeed(landfall(data).args(["profile", "new", "--number", "1"]).arg(&profile));
        let mut register = landfall(data);
        register.args(["eum", "register", EID, "--msisdn", "+447700900007"]).arg("--profile").arg(&profile);
        succeed(register.args(["--sm-sr", &self.address("sm-sr", "sm_sr").to_string()]));
    }

    /// Returns the address of an interface in the announcement of a server.
    pub(crate) fn address(&self, server: &str, interface: &str) -> SocketAddr {
        let text = self.processes[server].1[interface].as_str();
        text.unwrap_or_else(|| panic!("{server} has no {interface}")).parse().unwrap()
    }

    pub(crate) fn root(&self) -> &Certificate {
        self.pki.ci(Curve::P256).unwrap()
    }

    /// OID of the configured operator.
    pub(crate) fn operator_id(&self) -> Oid {
        self.pki.operator(OPERATOR).unwrap().certificate.registered_ids()[0].clone()
    }

    /// Returns the TLS parameters of the registered card.
    pub(crate) fn card(&self) -> PskClient {
        let eid: Eid = EID.parse().unwrap();
        let identity = PskIdentity { eid, key_version: KeyVersion(0x40), key_identifier: 1 };
        PskClient {
            identity: identity.to_string().into_bytes(),
            key: self.pki.isd_r_keys(eid).unwrap().psk.expose().to_vec(),
            version: SslVersion::TLS1_2,
            suites: "PSK-AES128-GCM-SHA256:PSK-AES128-CBC-SHA256".to_owned(),
        }
    }

    /// Returns the peak memory of a server in KiB.
    pub(crate) fn peak_kib(&self, server: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.processes[server].0.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Checks the memory of each server.
    pub(crate) fn check_memory(&self) {
        for name in self.processes.keys() {
            let kib = self.peak_kib(name);
            println!("{name:<13} peak memory {} MiB", kib >> 10);
            assert!(kib < MEMORY_KIB, "{name}: {kib} KiB");
        }
    }
}
