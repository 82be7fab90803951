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
/// The operator that is configured at the servers.
pub(crate) const OPERATOR: &str = "Landfall Test Operator";
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
    /// Starts all servers.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        succeed(landfall(data).args(["certs", "init"]));
        let pki = cli::pki::load(&data.join("pki")).unwrap();
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
             {EID},kiosk,8944476500001224158 234-15 bootstrap enabled,724-05,234-15,2026-01-01\n"
        );
        std::fs::write(&devices, device).unwrap();
        succeed(landfall(data).args(["fleet", "import"]).arg(&devices));
        let token = succeed(landfall(data).args(["fleet", "token", EID])).trim().to_owned();
        let mut servers = Self { processes: BTreeMap::new(), pki, token, folder };
        servers.start_all();
        servers.register_card();
        servers
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
        let cards = ["--listen-cards", ANY, "--peer", "eum:EUM", "--peer", &as_peer];
        self.run("sm-sr", &[&["sm-sr", "serve", "--listen", ANY][..], &cards].concat());
        let account = format!("{ACCOUNT}:1000");
        self.run("network", &["network", "--listen", ANY, "--listen-smpp", ANY, "--account", &account]);
        self.run("fleet", &["fleet", "serve", "--listen", ANY, "--listen-api", ANY, "--sm-dp", &sm_dp]);
        let allow = ["--allow-address", &sm_dp, "--sm-dp", &sm_dp, "--device", EID];
        self.run("eim", &[&["eim", "serve", "--listen", ANY, "--listen-api", ANY][..], &allow].concat());
        self.run("euicc", &["euicc", "serve", "--listen", ANY, "--ram"]);
        self.run("operator", &["operator", "listen", "--listen", ANY]);
        self.run("m2m operator", &["operator", "m2m", "--listen", ANY, "--sm-dp", &sm_dp, "listen"]);
        self.run("proxy", &["faults", "serve", "--listen", ANY, "--before", &sm_dp]);
    }

    fn run(&mut self, name: &'static str, arguments: &[&str]) {
        let running = Running::start(landfall(self.folder.path()).arg("--json").args(arguments));
        let ready = running.out.json();
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
