//! The servers and files that the cases share, and the values of the placeholders.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Mutex,
};

use rsp::ids::{Eid, Iccid};

use super::{
    MISSED, SCENARIO,
    common::{Running, landfall, succeed},
};

const M2M_EID: &str = "89049032000000000000000000000163";
const SM_SR_NUMBER: &str = "+447700900001";
const SECOND_SM_SR_NUMBER: &str = "+447700900002";

/// Values of the placeholders, and the servers behind the addresses.
pub(super) struct Setup {
    /// The data folder.
    pub(super) folder: PathBuf,
    values: BTreeMap<&'static str, String>,
    /// Only a mutex makes them usable by several threads; no thread uses them.
    servers: Mutex<Vec<Running>>,
}

impl Setup {
    /// Starts the servers and writes the files.
    pub(super) fn new(folder: &Path) -> Self {
        let mut setup =
            Self { folder: folder.to_owned(), values: BTreeMap::new(), servers: Mutex::default() };
        setup.set("folder", folder.display());
        setup.write_files();
        setup.start_consumer_servers();
        setup.start_m2m_servers();
        setup.set("closed", free_port());
        setup
    }

    /// Replaces the placeholders of an argument. Some placeholders stand for several arguments.
    pub(super) fn fill(&self, argument: &str) -> Vec<String> {
        let several: &[&str] = match argument {
            "{servers}" => &["--sm-dp", "{sm_dp}", "--sm-ds", "{sm_ds}", "--network", "{network}"],
            // The environment has the ports: see `run`.
            "{any_ports}" => &[],
            "{first}" => &["--profile", "{m2m_first}", "--msisdn", "+447700910009"],
            "{card}" => &["--eid", "{m2m_eid}", "{m2m_servers}"],
            "{card_itself}" => &["{m2m_eid}", "{m2m_servers}"],
            "{no_card_itself}" => &["{third_eid}", "{m2m_servers}"],
            "{m2m_servers}" => {
                &["--sm-sr", "{sm_sr_id}@{sm_sr}", "--sm-dp", "{m2m_sm_dp}", "--listen", "127.0.0.1:0"]
            }
            "{lpa}" => &[
                env!("CARGO_BIN_EXE_landfall"),
                "--data-dir",
                "{folder}/checked",
                "device",
                "download",
                "{activation_code}",
            ],
            _ => return vec![self.replace(argument)],
        };
        several.iter().flat_map(|one| self.fill(one)).collect()
    }

    fn replace(&self, argument: &str) -> String {
        let replaced =
            |text: String, (name, value): (&&str, &String)| text.replace(&format!("{{{name}}}"), value);
        self.values.iter().fold(argument.to_owned(), replaced)
    }

    fn set(&mut self, name: &'static str, value: impl ToString) {
        self.values.insert(name, value.to_string());
    }

    fn write(&mut self, name: &'static str, file: &str, contents: impl AsRef<[u8]>) {
        let path = self.folder.join(file);
        std::fs::write(&path, contents).unwrap();
        self.set(name, path.display());
    }

    fn write_files(&mut self) {
        self.write("text", "text.txt", "this is not what the command expects\n");
        self.write("records_key", "records.key", "5a".repeat(32));
        let encryption = format!("records-key-file = '{}'\n", self.replace("{records_key}"));
        self.write("encryption", "encryption.toml", encryption);
        self.write("trace", "trace.txt", "00A40004023F00 > 9000\n00A40004022FE2 > 9000\n");
        self.write("device", "device.json", DEVICE);
        self.write("scenario", "met.toml", SCENARIO);
        self.write("missed", "missed.toml", format!("{SCENARIO}{MISSED}"));
        self.write("campaign", "campaign.toml", "id = \"standing\"\ntarget = \"decided\"\nstanding = true\n");
        let eid = |n: u32| Eid::with_check_digits(&format!("89049032{n:022}")).unwrap();
        let rows = format!("eid,network,home,since\n{},724-05,234-15,2026-01-01T00:00:00Z\n", eid(1));
        self.write("devices", "devices.csv", rows);
        self.set("eid", eid(1));
        self.set("unknown_eid", eid(2));
        self.set("third_eid", eid(3));
        // The IMSI of the package `{more}`.
        self.set("imsi", "724990000000003");
        self.set("unknown", Iccid::with_luhn("894999000000000001").unwrap());
        self.set("fault", "link/reset@ES9+.InitiateAuthentication#1");
        let lpac = self.folder.join("lpac.sh");
        std::fs::write(&lpac, LPAC).unwrap();
        std::fs::set_permissions(&lpac, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        self.set("lpac", lpac.display());

        succeed(landfall(&self.folder).args(["certs", "init"]));
        self.set("pki", self.folder.join("pki").display());
        let new: [(&str, &str, &[&str]); 6] = [
            ("package", "package.der", &["--number", "1"]),
            ("second", "second.der", &["--number", "2"]),
            ("more", "more.der", &["--number", "3"]),
            ("m2m_first", "m2m-first.der", &["--home", "234-99", "--number", "7"]),
            ("m2m_local", "m2m-local.der", &["--home", "724-99", "--number", "8"]),
            ("m2m_spare", "m2m-spare.der", &["--home", "724-99", "--number", "9"]),
        ];
        for (name, file, options) in new {
            let path = self.folder.join(file);
            succeed(landfall(&self.folder).args(["profile", "new"]).arg(&path).args(options));
            self.set(name, path.display());
        }
        let octets = std::fs::read(self.folder.join("package.der")).unwrap();
        self.write("damaged", "damaged.der", &octets[..octets.len() - 40]);
    }

    /// Starts a server in a data folder. Returns the addresses of its interfaces.
    fn start(&mut self, data_dir: &str, arguments: &[&str]) -> serde_json::Value {
        let arguments: Vec<String> = arguments.iter().map(|argument| self.replace(argument)).collect();
        let mut server = landfall(&self.folder.join(data_dir));
        server.env("LANDFALL_PKI", &self.values["pki"]);
        let running = Running::start(server.arg("--json").args(arguments));
        let mut ready = running.out.json();
        self.servers.get_mut().unwrap().push(running);
        ready["addresses"].take()
    }

    fn set_address(&mut self, name: &'static str, addresses: &serde_json::Value, interface: &str) {
        self.set(name, addresses[interface].as_str().unwrap());
    }

    fn start_consumer_servers(&mut self) {
        let addresses = self.start("", &["sm-dp", "serve", "--listen", "127.0.0.1:0"]);
        self.set_address("sm_dp", &addresses, "sm_dp");
        self.set_address("admin", &addresses, "admin");
        for (name, package) in [("iccid", "{package}"), ("second_iccid", "{second}")] {
            // The profile contains the address of the SM-DP+, where the device sends notifications.
            let arguments = ["sm-dp", "add", package, "--sm-dp", "{sm_dp}"].map(|one| self.replace(one));
            let iccid = succeed(landfall(&self.folder).args(arguments));
            self.set(name, iccid.trim());
        }
        let addresses = self.start("", &["sm-ds", "serve", "--listen", "127.0.0.1:0"]);
        self.set_address("sm_ds", &addresses, "sm_ds");
        let serve_eim = ["eim", "serve", "--listen", "127.0.0.1:0", "--listen-api", "127.0.0.1:0"];
        let addresses = self.start("", &serve_eim);
        self.set_address("eim_api", &addresses, "api");
        for arguments in [&["register", "{third_eid}"][..], &["order", "{third_eid}", "list"]] {
            let arguments: Vec<_> = arguments.iter().map(|argument| self.replace(argument)).collect();
            let mut command = landfall(&self.folder);
            let api = &self.values["eim_api"];
            let printed = succeed(command.args(["--json", "eim"]).args(arguments).args(["--api", api]));
            let printed: serde_json::Value = serde_json::from_str(&printed).unwrap();
            self.set("eim_order", printed["transactionId"].as_str().unwrap_or_default());
        }
        let subscribers = ["--subscriber", "{package}", "--subscriber", "{second}"];
        let network = ["network", "--listen", "127.0.0.1:0"];
        let addresses = self.start("", &[&network[..], &subscribers].concat());
        self.set_address("network", &addresses, "network");
    }

    /// Starts a network, two SM-SRs, an SM-DP, and a device with a registered card.
    fn start_m2m_servers(&mut self) {
        self.set("m2m", self.folder.join("m2m").display());
        self.set("m2m_eid", M2M_EID);
        let iccid = |file: &str| {
            let package = profile::Package::decode(&std::fs::read(self.folder.join(file)).unwrap()).unwrap();
            package.header().unwrap().iccid.to_string()
        };
        let [first, local, spare] = ["m2m-first.der", "m2m-local.der", "m2m-spare.der"].map(iccid);
        self.set("m2m_spare_iccid", spare);
        self.set("m2m_first_iccid", first);
        self.set("m2m_iccid", local);
        let addresses = self.start(
            "m2m",
            &[
                "network",
                "--listen",
                "127.0.0.1:0",
                "--subscriber",
                "{m2m_first}",
                "--subscriber",
                "{m2m_local}",
                "--msisdn",
                "234990000000007=+447700910007",
                "--msisdn",
                "724990000000008=+5511900000008",
                "--listen-smpp",
                "127.0.0.1:0",
                "--account",
                &format!("sm-sr:{SM_SR_NUMBER}"),
                "--account",
                &format!("sm-sr-2:{SECOND_SM_SR_NUMBER}"),
            ],
        );
        self.set_address("m2m_network", &addresses, "network");
        self.set_address("smpp", &addresses, "smpp");

        // Each SM-SR needs the address of the other before it starts.
        let second = free_port();
        let peer = format!("sm-sr:Second@{second}");
        let options = ["--listen", "127.0.0.1:0", "--smsc", "sm-sr@{smpp}", "--peer", &peer];
        let (sm_sr, address) = self.start_sm_sr("Landfall SM-SR", &options);
        let cards = self.values["cards"].clone();
        let peer = format!("sm-sr:Landfall SM-SR@{address}");
        let account = ["--number", SECOND_SM_SR_NUMBER, "--smsc", "sm-sr-2@{smpp}"];
        let options = [&account[..], &["--listen", &second, "--peer", &peer]].concat();
        let (second_sm_sr, _) = self.start_sm_sr("Second", &options);
        self.set("second_sm_sr", second_sm_sr);
        self.set("sm_sr", address);
        self.set("sm_sr_id", sm_sr.split('@').next().unwrap());
        let addresses = self.start(
            "m2m",
            &[
                "sm-dp",
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--profile",
                "{m2m_local}",
                "--profile",
                "{m2m_spare}",
                "--sm-sr",
                &sm_sr,
                "--m2m-operator",
                "2.999.20.1230898428@127.0.0.1:1",
                "--allow-address",
                "any",
                "--msisdn",
                "{m2m_iccid}=+5511900000008",
            ],
        );
        self.set_address("m2m_sm_dp", &addresses, "sm_dp");
        let register = ["eum", "register", M2M_EID, "--profile", "{m2m_first}", "--sm-sr", "{sm_sr}"];
        let register = register.map(|one| self.replace(one));
        succeed(landfall(&self.folder).args(register).args(["--msisdn", "+447700910007"]));
        self.start(
            "m2m",
            &[
                "device",
                "--network",
                "{m2m_network}",
                "--eid",
                M2M_EID,
                "--visible",
                "234-99",
                "--visible",
                "724-99",
                "run",
                "--impatient",
                "--first-profile",
                "{m2m_first}",
                "--sm-sr-number",
                SM_SR_NUMBER,
                "--sm-sr-cards",
                &cards,
            ],
        );
    }

    /// Starts an SM-SR. Returns `OID@ADDRESS` and its address, and sets `{cards}`.
    fn start_sm_sr(&mut self, name: &str, options: &[&str]) -> (String, String) {
        let serve = ["sm-sr", "--name", name, "serve"];
        let peers = ["--peer", "eum:EUM", "--peer", "sm-dp:Landfall SM-DP", "--peer"];
        let more = ["operator:Landfall Test Operator", "--listen-cards", "127.0.0.1:0"];
        // The peers have no configured address, and listen at any port.
        let more = [&more[..], &["--allow-address", "any"]].concat();
        let addresses = self.start("m2m", &[&serve[..], &peers, &more, options].concat());
        self.set_address("cards", &addresses, "cards");
        let address = addresses["sm_sr"].as_str().unwrap().to_owned();
        let id = self.servers.get_mut().unwrap().last().unwrap().err.word_after("SM-SR ");
        (format!("{id}@{address}"), address)
    }
}

/// Returns an address at which nothing listens.
fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A program in place of lpac, which prints a message of lpac.
const LPAC: &str = r#"#!/bin/sh
echo '{"type":"lpa","payload":{"code":0,"message":"success","data":[]}}'
"#;

/// A device with a British subscription, in Brazil since January 1st.
const DEVICE: &str = r#"{"device": {"history": {"stays": [
    {"country": "BR", "plmn": "724-05", "home": "GB", "from": "2026-01-01T00:00:00Z", "until": null}
]}, "held": []}}"#;
