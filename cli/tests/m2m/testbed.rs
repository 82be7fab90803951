//! Testbed of the M2M tests: addresses, identities and processes of the parties.

use std::{
    net::TcpListener,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use certs::{Pki, m2m::Owner};
use rsp::ids::{Eid, Oid};
use serde_json::Value;
use tempfile::TempDir;
use testbed::subscription::Subscription;

use crate::common::{Running, landfall, succeed};

/// Returns a free port. Parties must know each other's ports before they start, and keep them after
/// a kill. The port is below the range of outgoing connections, which could otherwise occupy it in
/// the meantime.
pub(crate) fn free() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(64);
    loop {
        let port = 10_000 + first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let at = format!("127.0.0.1:{port}");
        if TcpListener::bind(&at).is_ok() {
            return at;
        }
    }
}

/// Home networks of the first profiles and of the other ones.
pub(crate) const HOME: &str = "234-99";
pub(crate) const LOCAL: &str = "724-99";

/// Identity and address of a party.
#[derive(Clone)]
pub(crate) struct Party {
    pub(crate) name: String,
    pub(crate) id: Oid,
    pub(crate) at: String,
}

/// A profile package, and the MSISDN of its subscriber.
pub(crate) struct Profile {
    pub(crate) file: String,
    pub(crate) iccid: String,
    pub(crate) imsi: String,
    pub(crate) number: String,
}

impl Profile {
    /// Writes a package, with these policy rules (POL1) in its header, if any.
    fn write(folder: &Path, home: &str, number: u64, pol1: Option<u8>) -> Self {
        let octets = testbed::subscription::own_package(home, number, home).unwrap();
        let mut package = profile::Package::decode(&octets).unwrap();
        if let Some(profile::ProfileElement::Header(header)) = package.elements.first_mut() {
            header.pol = pol1.map(|rules| vec![rules].into());
        }
        let octets = package.encode();
        let file = folder.join(format!("{home}-{number}.der"));
        std::fs::write(&file, &octets).unwrap();
        let subscription = Subscription::of(&octets).unwrap();
        Self {
            file: file.display().to_string(),
            iccid: subscription.iccid.to_string(),
            imsi: subscription.imsi.to_string(),
            number: format!("+{}{number:07}", if home == HOME { "4477009" } else { "5511900" }),
        }
    }
}

/// Data folder, PKI and parties of a test.
pub(crate) struct Testbed {
    folder: TempDir,
    pub(crate) pki: Pki,
    networks: String,
    smpp: String,
    /// Addresses of the SM-SRs for cards, which are stored on new cards.
    cards: [String; 2],
    pub(crate) sm_srs: [Party; 2],
    pub(crate) sm_dp: Party,
    /// Two operators with their addresses for responses and notifications.
    pub(crate) operators: [Party; 2],
    /// First profile of the card.
    pub(crate) first: Profile,
    /// Profiles in stock at the SM-DP. The policy rules of the third one forbid disabling and
    /// deletion.
    pub(crate) stock: Vec<Profile>,
    /// EID of the device's card.
    pub(crate) eid: Eid,
}

/// Numbers of the SM-SRs, and their accounts at the SMSC.
const NUMBERS: [&str; 2] = ["+447700900001", "+447700900002"];
const ACCOUNTS: [&str; 2] = ["smsr1", "smsr2"];

impl Testbed {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        succeed(landfall(data).args(["certs", "init"]));
        let pki = cli::pki::load(&data.join("pki")).unwrap();
        let sm_sr = |name: &str| Party {
            name: name.to_owned(),
            id: pki.m2m_oid(Owner::SmSr, name).unwrap(),
            at: free(),
        };
        let operator = |name: &str| Party {
            name: name.to_owned(),
            id: pki.m2m_operator(name, &host_names()).unwrap().certificate.registered_ids()[0].clone(),
            at: free(),
        };
        Self {
            networks: free(),
            smpp: free(),
            cards: [free(), free()],
            sm_srs: [sm_sr("Landfall SM-SR"), sm_sr("Another SM-SR")],
            sm_dp: Party {
                name: cli::m2m::sm_dp::NAME_IN_PKI.to_owned(),
                id: cli::m2m::sm_dp::oid(&pki).unwrap(),
                at: free(),
            },
            operators: [operator("Landfall Test Operator"), operator("Another Operator")],
            first: Profile::write(data, HOME, 7, None),
            stock: [None, None, Some(0x03), None]
                .into_iter()
                .zip(7..)
                .map(|(pol1, number)| Profile::write(data, LOCAL, number, pol1))
                .collect(),
            eid: cli::parties::eid_of_serial(&pki, 700).unwrap(),
            pki,
            folder,
        }
    }

    pub(crate) fn run<S: AsRef<str>>(&self, arguments: &[S]) -> Command {
        let mut command = landfall(self.folder.path());
        command.args(arguments.iter().map(AsRef::as_ref));
        command
    }

    /// Starts the networks and the SMSC.
    pub(crate) fn networks(&self, more: &[&str]) -> Running {
        let mut command = self.run(&["network", "--listen", &self.networks, "--listen-smpp", &self.smpp]);
        for (account, number) in ACCOUNTS.iter().zip(NUMBERS) {
            command.args(["--account", &format!("{account}:{number}")]);
        }
        for profile in self.stock.iter().chain([&self.first]) {
            command.args(["--subscriber", &profile.file]);
            command.args(["--msisdn", &format!("{}={}", profile.imsi, profile.number)]);
        }
        let running = Running::start(command.args(more));
        running.err.up_to(&["networks at"]);
        running
    }

    /// Starts one of the two SM-SRs.
    pub(crate) fn sm_sr(&self, which: usize, more: &[&str]) -> Running {
        let [own, other] = [&self.sm_srs[which], &self.sm_srs[1 - which]];
        let mut command = self.run(&["sm-sr", "--name", &own.name, "serve", "--listen", &own.at]);
        command.args(["--number", NUMBERS[which]]);
        command.args(["--smsc", &format!("{}@{}", ACCOUNTS[which], self.smpp)]);
        command.args(["--peer", "eum:EUM", "--peer", &format!("sm-dp:{}@{}", self.sm_dp.id, self.sm_dp.at)]);
        command.args(["--peer", &format!("sm-sr:{}@{}", other.id, other.at)]);
        let [operator, distant] = &self.operators;
        command.args(["--peer", &format!("operator:{}@{}", operator.id, operator.at)]);
        // This operator receives notifications about its profiles through the SM-DP.
        command.args(["--peer", &format!("operator:{}", distant.id)]);
        if !more.contains(&"--listen-cards") {
            command.args(["--listen-cards", &self.cards[which]]);
        }
        let running = Running::start(command.args(["--answer-within", "1"]).args(more));
        running.err.up_to(&["SM-SR "]);
        running
    }

    pub(crate) fn sm_dp(&self, more: &[&str]) -> Running {
        let mut command = self.run(&["sm-dp", "serve", "--listen", &self.sm_dp.at]);
        for profile in &self.stock {
            command.args(["--profile", &profile.file]);
            command.args(["--msisdn", &format!("{}={}", profile.iccid, profile.number)]);
        }
        for Party { id, at, .. } in &self.sm_srs {
            command.args(["--sm-sr", &format!("{id}@{at}")]);
        }
        for Party { id, at, .. } in &self.operators {
            command.args(["--m2m-operator", &format!("{id}@{at}")]);
        }
        let running = Running::start(command.args(more));
        running.err.up_to(&["SM-DP+ at"]);
        running
    }

    /// Starts a device with the card, with both networks visible.
    pub(crate) fn device(&self, more: &[&str]) -> Running {
        let eid = self.eid.to_string();
        let mut command = self.run(&["device", "--network", &self.networks, "--eid", &eid]);
        command.args(["--visible", HOME, "--visible", LOCAL, "run", "--search-pause", "1", "--impatient"]);
        command.args(["--first-profile", &self.first.file, "--sm-sr-number", NUMBERS[0]]);
        if more.first() != Some(&"--without-https") {
            command.args(["--sm-sr-cards", &self.cards[0]]).args(more);
        }
        Running::start(&mut command)
    }

    /// Returns the command with which the EUM registers a card at the first SM-SR.
    pub(crate) fn register(&self, eid: &Eid) -> Command {
        let mut command = self.run(&["eum", "register", &eid.to_string(), "--sm-sr", &self.sm_srs[0].at]);
        command.args(["--profile", &self.first.file, "--msisdn", &self.first.number]);
        command
    }

    /// Returns a command of the first operator about the card, with the first SM-SR.
    pub(crate) fn operator(&self, function: &[&str]) -> Command {
        self.operator_at(0, function)
    }

    /// Returns a command of the first operator about the card, with this SM-SR.
    pub(crate) fn operator_at(&self, which: usize, function: &[&str]) -> Command {
        let Party { id, at, .. } = &self.sm_srs[which];
        let mut command = self.run(&["--json", "operator", "m2m", "--sm-dp", &self.sm_dp.at]);
        command.args(["--listen", &self.operators[0].at]).args(function);
        // The card is the object of these functions. The object of the others is its profile.
        if !matches!(function, ["get-eis" | "audit" | "smsr-change", ..]) {
            command.arg("--eid");
        }
        command.args([&self.eid.to_string(), "--sm-sr", &format!("{id}@{at}")]);
        command
    }

    /// Runs a command of the operator that must succeed. Returns its JSON output.
    pub(crate) fn ask(&self, function: &[&str]) -> Value {
        serde_json::from_str(&succeed(&mut self.operator(function))).unwrap()
    }
}

/// Host names in the certificates of the independent peers.
pub(crate) fn host_names() -> [certs::ServerName; 1] {
    ["127.0.0.1".parse().unwrap()]
}

/// Returns ICCID and state of each profile in an EIS, in order.
pub(crate) fn states(answer: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let profiles = answer["eis"]["profile_info"].as_array().unwrap().iter();
    profiles.map(|profile| (text(&profile["iccid"]), text(&profile["state"]))).collect()
}
