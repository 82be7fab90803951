//! `landfall eim` with an IPA over TLS.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use certs::Certificate;
use coap::Transmission;
use common::{Running, fail, landfall, succeed};
use net::{Client, ClientDtls, ClientTls, OsClock, OsRandom, ServerTrust};
use rsp::{
    ids::{Eid, Version},
    sgp32::{
        self,
        esipa::{
            EimPackageError, EimPackageResult, EimPackageResultErrorCode, EimPackageResultResponseError,
            GetEimPackageRequest, GetEimPackageResponse, MessageFromIpa, ProvideEimPackageResultRequest,
            ProvideEimPackageResultResponse, USER_AGENT_IPAD, asn1,
        },
    },
};
use serde_json::Value;
use world::{Link, World};

const EID: &str = "89049032000000000000000000000163";

struct Eim {
    process: Running,
    address: String,
    coap: Option<String>,
    api: String,
    /// The file of the root certificate.
    root: PathBuf,
}

impl Eim {
    fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    fn start_with(folder: &Path, more: &[&str]) -> Self {
        let arguments = ["--json", "eim", "serve", "--device", EID];
        let ports: &[&str] = match more.contains(&"--listen") {
            true => &["--listen-api", "127.0.0.1:0"],
            false => &["--listen", "127.0.0.1:0", "--listen-api", "127.0.0.1:0"],
        };
        let process = Running::start(landfall(folder).args(arguments).args(ports).args(more));
        let ready = process.out.json();
        let address = |name: &str| ready["addresses"][name].as_str().unwrap().to_owned();
        let root = ready["root_certificate"].as_str().unwrap().into();
        let coap = ready["addresses"]["eim_coap"].as_str().map(str::to_owned);
        Self { address: address("eim"), coap, api: address("api"), root, process }
    }

    fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = landfall(folder);
        command.arg("--json").arg("eim").args(arguments).args(["--api", &self.api]);
        command
    }

    fn order(&self, folder: &Path, arguments: &[&str]) -> String {
        succeed(&mut self.command(folder, &[&["order", EID], arguments].concat()))
    }

    /// Writes the configuration for eUICCs into a file, and returns its path.
    fn configuration(&self, folder: &Path) -> String {
        let file = folder.join("eim.json");
        std::fs::write(&file, succeed(&mut self.command(folder, &["configuration"]))).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// Returns the link of an IPA that trusts the CI of the PKI.
    fn link(&self) -> Link {
        let tls = ClientTls::trusting(self.trust(), Arc::new(OsClock)).unwrap();
        Client::default().link(&self.address, Some(tls)).unwrap()
    }

    /// Returns the link of an IPA over CoAP.
    fn coap_link(&self) -> Link {
        let dtls = ClientDtls::new(self.trust(), Arc::new(OsClock)).unwrap();
        let world = World::new(OsClock, OsRandom::new().unwrap());
        let address = self.coap.as_ref().unwrap();
        Client::default().coap_link(address, dtls, world, Transmission::default()).unwrap()
    }

    fn trust(&self) -> ServerTrust {
        let anchors = vec![std::fs::read(&self.root).unwrap()];
        ServerTrust::Certificates { anchors, check: Arc::new(|_| Ok(())) }
    }
}

async fn poll(link: &Link) -> GetEimPackageResponse {
    let eid: Eid = EID.parse().unwrap();
    let request = GetEimPackageRequest {
        eid_value: eid,
        notify_state_change: None,
        state_change_cause: None,
        r_plmn: None,
    };
    call(link, MessageFromIpa::GetEimPackageRequest(request)).await
}

async fn refuse(link: &Link, package: &GetEimPackageResponse) -> ProvideEimPackageResultResponse {
    let eim_transaction_id = match package {
        GetEimPackageResponse::IpaEuiccDataRequest(request) => request.eim_transaction_id.clone(),
        GetEimPackageResponse::EuiccPackageRequest(package) => {
            package.euicc_package_signed.eim_transaction_id.clone()
        }
        other => panic!("no package: {other:?}"),
    };
    let result = EimPackageResult::EimPackageResultResponseError(EimPackageResultResponseError {
        eim_transaction_id,
        eim_package_result_error_code: EimPackageResultErrorCode::UNKNOWN_PACKAGE,
    });
    let request =
        ProvideEimPackageResultRequest { eid_value: Some(EID.parse().unwrap()), eim_package_result: result };
    call(link, MessageFromIpa::ProvideEimPackageResult(request)).await
}

async fn call<R: sgp32::esipa::Reply>(link: &Link, message: MessageFromIpa) -> R {
    let version = sgp32::Version::default();
    let request = asn1::request(Version([2, 6, 0]), version, USER_AGENT_IPAD, &message);
    asn1::answer(&world::send(link, request).await.unwrap()).unwrap()
}

#[tokio::test]
async fn an_order_is_delivered_over_tls_and_its_failure_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let eim = Eim::start(folder);
    let link = eim.link();
    // The IPA of this test supports neither data requests nor packages.
    let first = poll(&link).await;
    assert!(matches!(first, GetEimPackageResponse::IpaEuiccDataRequest(_)), "{first:?}");
    refuse(&link, &first).await;
    let order = eim.command(folder, &["order", EID, "list", "--wait", "60s"]);
    let waiting = std::thread::spawn(move || {
        let mut order = order;
        order.output().unwrap()
    });
    let package = loop {
        match poll(&link).await {
            GetEimPackageResponse::EimPackageError(EimPackageError::NO_EIM_PACKAGE_AVAILABLE) => {
                tokio::task::yield_now().await;
            }
            package => break package,
        }
    };
    refuse(&link, &package).await;
    let output = waiting.join().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(error.contains("does not support this kind of package"), "{error}");
    let listed: Value =
        serde_json::from_str(&succeed(&mut eim.command(folder, &["list", "orders", "state=Result"])))
            .unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn orders_survive_a_restart_and_can_be_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut eim = Eim::start(folder);
    let placed: Value =
        serde_json::from_str(&succeed(&mut eim.command(folder, &["order", EID, "list"]))).unwrap();
    let id = placed["transactionId"].as_str().unwrap();
    eim.process.kill();
    let eim = Eim::start(folder);
    succeed(&mut eim.command(folder, &["cancel", id]));
    let error = fail(&mut eim.command(folder, &["cancel", id]));
    let listed = succeed(&mut eim.command(folder, &["list", "orders", "progress=Open"]));
    assert_eq!(serde_json::from_str::<Value>(&listed).unwrap(), serde_json::json!([]), "{error}");
}

#[tokio::test]
#[cfg_attr(not(has_openssl), ignore = "needs openssl")]
async fn the_configuration_pins_the_key_of_the_tls_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let eim = Eim::start(folder);
    let printed: Value =
        serde_json::from_str(&succeed(&mut eim.command(folder, &["configuration"]))).unwrap();
    let pinned = printed["configuration"]["tlsPublicKey"].as_str().unwrap().to_owned();
    assert_eq!(printed["configuration"]["fqdn"], eim.address.as_str());
    let address = eim.address.clone();
    let certificate = tokio::task::spawn_blocking(move || presented(&address)).await.unwrap();
    let key = Certificate::from_der(certificate).unwrap().public_key().clone();
    assert_eq!(hex::encode_upper(certs::subject_public_key_info(&key)), pinned);
}

/// A server on a free port, and the address that it prints after `heading`.
fn served(folder: &Path, arguments: &[&str], heading: &str) -> (Running, String) {
    let running = Running::start(landfall(folder).args(arguments));
    let address = running.err.word_after(heading);
    (running, address)
}

#[test]
fn the_issued_keys_are_those_of_the_running_eim() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let eim = Eim::start(folder);
    let printed = succeed(&mut eim.command(folder, &["configuration"]));
    let printed: Value = serde_json::from_str(&printed).unwrap();
    let named = ["--name", "eim.landfall.example", "--host", "127.0.0.1"];
    succeed(landfall(folder).args(["certs", "issue", "eim"]).args(named));
    let issued = |file: &str| std::fs::read(folder.join("pki/EIM/eim_landfall_example").join(file)).unwrap();
    let certificate = Certificate::from_der(issued("CERT_TLS_NIST.der")).unwrap();
    let tls_key = hex::encode_upper(certs::subject_public_key_info(certificate.public_key()));
    assert_eq!(printed["configuration"]["tlsPublicKey"], tls_key);
    assert_eq!(printed["configuration"]["publicKey"], hex::encode_upper(issued("PK_SIGN_1_NIST.spki")));
    let shown = succeed(landfall(folder).args(["certs", "show"]));
    assert!(shown.contains("EIM/eim_landfall_example/CERT_TLS_NIST.der (with key)"), "{shown}");
}

/// A profile in the stock of an SM-DP+, released for any device.
struct Stocked {
    file: String,
    iccid: String,
    /// The operation of `landfall eim order` that downloads it.
    download: String,
}

impl Stocked {
    fn new(folder: &Path, sm_dp: &str, number: &str) -> Self {
        let file = folder.join(format!("{number}.der"));
        let file = file.to_str().unwrap().to_owned();
        succeed(landfall(folder).args(["profile", "new", &file, "--number", number]));
        let iccid =
            succeed(landfall(folder).args(["sm-dp", "add", &file, "--sm-dp", sm_dp, "--fallback-allowed"]));
        let iccid = iccid.trim().to_owned();
        let code = succeed(landfall(folder).args(["operator", "order", &iccid, "--sm-dp", sm_dp]));
        Self { file, iccid, download: format!("download:{}", code.trim()) }
    }
}

/// Runs a device that polls once, and returns the results of its packages.
fn polled(device: &mut Command) -> Vec<String> {
    let printed = succeed(device);
    let polled: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    let packages = polled["polled"]["visits"][0]["packages"].as_array().unwrap();
    packages.iter().map(|package| package["results"][0].as_str().unwrap().to_owned()).collect()
}

/// The device pins the key of the eIM's TLS certificate.
#[test]
fn an_iot_device_executes_the_orders_of_its_eim_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let serve = ["sm-dp", "serve", "--listen", "127.0.0.1:0"];
    let (_sm_dp_process, sm_dp) = served(folder, &serve, "SM-DP+ at ");
    let eim = Eim::start_with(folder, &["--sm-dp", &sm_dp]);
    let configuration = eim.configuration(folder);
    let profile = |number: &str| Stocked::new(folder, &sm_dp, number);
    let (first, second) = (profile("1"), profile("2"));
    let device = ["--json", "device", "--eid", EID, "--sm-dp", &sm_dp];
    let order = |arguments: &[&str]| eim.order(folder, arguments);

    // Without a visible network the device uses the connection of the host.
    order(&[&first.download]);
    order(&[&format!("enable:{}", first.iccid)]);
    let once = ["run", "--iot", "--once", "--eim-configuration", &configuration];
    let results = polled(landfall(folder).args(device).args(once));
    assert_eq!(results, ["data", &format!("installed {}", first.iccid), "enable ok(0)"]);

    // On a network, with the JSON binding, until it is stopped.
    let network =
        ["network", "--listen", "127.0.0.1:0", "--subscriber", &first.file, "--subscriber", &second.file];
    let (_network_process, network) = served(folder, &network, "networks at ");
    let run = ["run", "--iot", "--binding", "json", "--check-in-every", "1"];
    let cellular = ["--network", &network, "--visible", "724-99"];
    let _device = Running::start(landfall(folder).args(device).args(cellular).args(run));
    order(&[&second.download, "--wait", "60s"]);
    order(&[&format!("enable-with-rollback:{}", second.iccid), "--wait", "60s"]);
    let done = order(&[&format!("delete:{}", first.iccid), "--wait", "60s"]);
    let done: Value = serde_json::from_str(&done).unwrap();
    assert_eq!(done["result"]["succeeded"], true, "{done}");
}

/// The device has no IPA: it only serves the proactive commands of its card, which polls the eIM.
// req: SGP.32-3.1.1.1-Ipae, SGP.32-3.2.3.2-Ipae, SGP.32-3.3.1-IpaeRefresh
#[test]
fn a_card_with_an_ipa_executes_the_orders_of_its_eim_over_a_modem() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let serve = ["sm-dp", "serve", "--listen", "127.0.0.1:0"];
    let (_sm_dp_process, sm_dp) = served(folder, &serve, "SM-DP+ at ");
    let eim = Eim::start_with(folder, &["--sm-dp", &sm_dp]);
    let configuration = eim.configuration(folder);
    let profile = |number: &str| Stocked::new(folder, &sm_dp, number);
    let (first, second) = (profile("1"), profile("2"));
    let order = |arguments: &[&str]| eim.order(folder, arguments);
    let serve = ["--json", "euicc", "--eid", EID, "serve", "--listen", "127.0.0.1:0", "--kind", "iot"];
    let ipae = ["--ipae", "1", "--eim-configuration", &configuration];
    let card = Running::start(landfall(folder).args(serve).args(ipae));
    let card_address = card.out.json()["cards"][0]["address"].as_str().unwrap().to_owned();
    let device = ["--json", "device", "--card", &card_address, "--sm-dp", &sm_dp];

    // In the factory, the IPA of a device installs the first profile over the connection of the
    // host.
    order(&[&first.download]);
    order(&[&format!("enable:{}", first.iccid)]);
    let results = polled(landfall(folder).args(device).args(["run", "--iot", "--once"]));
    assert_eq!(results.last().unwrap(), "enable ok(0)");

    let network = ["network", "--listen", "127.0.0.1:0"];
    let subscribers = ["--subscriber", &first.file, "--subscriber", &second.file];
    let (_network_process, network) = served(folder, &[&network[..], &subscribers].concat(), "networks at ");
    let cellular = ["--network", &network, "--visible", "724-99"];
    let _device = Running::start(landfall(folder).args(device).args(cellular).args(["run"]));
    order(&[&second.download, "--wait", "60s"]);
    order(&[&format!("enable-with-rollback:{}", second.iccid), "--wait", "60s"]);
    let done = order(&[&format!("delete:{}", first.iccid), "--wait", "60s"]);
    let done: Value = serde_json::from_str(&done).unwrap();
    assert_eq!(done["result"]["succeeded"], true, "{done}");
}

/// The first package has a wrong signature, and the result of the second one another eimTransactionId.
#[test]
fn an_eim_and_a_device_make_false_statements_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let eim = Eim::start_with(folder, &["--fault", "tamper/eim-signature#1"]);
    let configuration = eim.configuration(folder);
    for _ in 0..2 {
        eim.order(folder, &["list"]);
    }
    let device = ["--json", "device", "--eid", EID, "--fault", "tamper/iot-result-transaction#1"];
    let once = ["run", "--iot", "--once", "--eim-configuration", &configuration];
    let results = polled(landfall(folder).args(device).args(once));
    let refused = "the eUICC does not know the eIM, or the signature is invalid";
    assert_eq!(results, ["data", refused, "data", "listProfileInfo"]);
    let open = succeed(&mut eim.command(folder, &["list", "orders", "progress=Open"]));
    assert_eq!(serde_json::from_str::<Value>(&open).unwrap(), serde_json::json!([]));
}

const COAP: [&str; 2] = ["--listen-coap", "127.0.0.1:0"];

#[test]
fn faults_of_coap_need_coap() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = landfall(folder.path());
    command.args(["eim", "serve", "--listen", "127.0.0.1:0", "--listen-api", "none"]);
    let error = fail(command.args(["--fault", "coap/lose"]));
    assert!(error.contains("--listen-coap"), "{error}");
}

#[tokio::test]
async fn an_order_is_delivered_over_coap_although_messages_are_lost() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let faults = ["--fault", "coap/lose@to-server#1", "--fault", "coap/lose@from-server#2"];
    let eim = Eim::start_with(folder, &[&COAP[..], &faults].concat());
    let printed: Value =
        serde_json::from_str(&succeed(&mut eim.command(folder, &["configuration"]))).unwrap();
    assert_eq!(printed["configuration"]["protocols"], serde_json::json!(["retrieveHttps", "retrieveCoaps"]));
    let link = eim.coap_link();
    let package = poll(&link).await;
    refuse(&link, &package).await;
    let none = GetEimPackageResponse::EimPackageError(EimPackageError::NO_EIM_PACKAGE_AVAILABLE);
    assert_eq!(poll(&link).await, none);
}

/// The configuration of the eIM names only CoAP, so that the device chooses it. The device pins the key
/// of the certificate. Messages are lost in both directions.
// req: SGP.32-2.11.1.1.1-Protocol
#[test]
fn an_iot_device_reaches_an_eim_that_supports_only_coap() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (_sm_dp_process, sm_dp) =
        served(folder, &["sm-dp", "serve", "--listen", "127.0.0.1:0"], "SM-DP+ at ");
    let only_coap = ["--listen", "none", "--listen-coap", "127.0.0.1:0", "--sm-dp", &sm_dp];
    let eim = Eim::start_with(folder, &only_coap);
    let configuration = eim.configuration(folder);
    let printed: Value = serde_json::from_str(&std::fs::read_to_string(&configuration).unwrap()).unwrap();
    let printed = &printed["configuration"];
    assert_eq!(printed["protocols"], serde_json::json!(["retrieveCoaps"]));
    assert_eq!(printed["fqdn"].as_str(), eim.coap.as_deref());
    let stocked = Stocked::new(folder, &sm_dp, "1");
    eim.order(folder, &[&stocked.download]);
    eim.order(folder, &[&format!("enable:{}", stocked.iccid)]);
    let device = ["--json", "device", "--eid", EID, "--sm-dp", &sm_dp];
    let lossy = ["--fault", "coap/lose@to-server#2", "--fault", "coap/lose@from-server#4"];
    let run = ["run", "--iot", "--indirect", "--once"];
    let poll = |more: &[&str]| polled(landfall(folder).args(device).args(lossy).args(run).args(more));
    let results = poll(&["--eim-configuration", &configuration]);
    assert_eq!(results, ["data", &format!("installed {}", stocked.iccid), "enable ok(0)"]);
    assert_eq!(poll(&[]), Vec::<String>::new());
    // Another eIM has another key.
    let other = Eim::start_with(
        folder,
        &["--id", "other.landfall.example", "--listen", "none", "--listen-coap", "127.0.0.1:0"],
    );
    let other = ["--eim", other.coap.as_deref().unwrap()];
    let error = fail(landfall(folder).args(device).args(run).args(other));
    assert!(error.contains("another key than the pinned one"), "{error}");
}

/// The card is served by another program. The download without an order is one of the device itself.
#[test]
fn an_iot_device_uses_a_card_at_an_address_and_a_stored_card_downloads_without_an_order() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (_sm_dp_process, sm_dp) =
        served(folder, &["sm-dp", "serve", "--listen", "127.0.0.1:0"], "SM-DP+ at ");
    let eim = Eim::start_with(folder, &["--sm-dp", &sm_dp]);
    let configuration = eim.configuration(folder);
    let serve = ["--json", "euicc", "serve", "--kind", "iot", "--listen", "127.0.0.1:0", "--eid", EID];
    let card = Running::start(landfall(folder).args(serve));
    let address = card.out.json()["cards"][0]["address"].as_str().unwrap().to_owned();
    let (first, second) = (Stocked::new(folder, &sm_dp, "1"), Stocked::new(folder, &sm_dp, "2"));
    eim.order(folder, &[&first.download]);
    eim.order(folder, &[&format!("enable:{}", first.iccid)]);
    let device = ["--json", "device", "--card", &address, "--sm-dp", &sm_dp];
    let run = ["run", "--iot", "--once", "--eim-configuration", &configuration];
    let results = polled(landfall(folder).args(device).args(run));
    assert_eq!(results, ["data", &format!("installed {}", first.iccid), "enable ok(0)"]);
    drop(card);

    let device = |arguments: &[&str]| {
        let mut command = landfall(folder);
        command.args(["device", "--eid", EID, "--sm-dp", &sm_dp]).args(arguments);
        command
    };
    let (_, code) = second.download.split_once(':').unwrap();
    assert_eq!(succeed(&mut device(&["download", code])), format!("installed {}\n", second.iccid));
    let listed = succeed(&mut device(&["list"]));
    assert!(listed.contains(&first.iccid) && listed.contains(&second.iccid), "{listed}");
    let error = fail(&mut device(&["enable", &second.iccid]));
    assert!(error.contains("landfall eim order"), "{error}");
}

/// The configuration names both protocols, of which the device chooses HTTPS.
#[test]
fn an_iot_device_can_be_made_to_use_coap() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let eim = Eim::start_with(folder, &COAP);
    let configuration = eim.configuration(folder);
    let device = ["--json", "device", "--eid", EID, "--fault", "coap/lose#1", "run", "--iot", "--once"];
    let coap = ["--binding", "coap", "--eim", eim.coap.as_deref().unwrap()];
    let configured = ["--eim-configuration", &configuration];
    assert_eq!(polled(landfall(folder).args(device).args(configured)), ["data"]);
    eim.order(folder, &["list"]);
    assert_eq!(polled(landfall(folder).args(device).args(coap)).len(), 1);
    // Nothing listens for CoAP at the address of HTTPS.
    let error = fail(landfall(folder).args(device).args(["--binding", "coap"]));
    assert!(error.contains("incomplete"), "{error}");
}

/// Returns the certificate that a TLS server presents.
fn presented(address: &str) -> Vec<u8> {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", address, "-showcerts"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----").unwrap();
    let (base64, _) = rest.split_once("-----END CERTIFICATE-----").unwrap();
    let base64: String = base64.split_whitespace().collect();
    base64::Engine::decode(&base64::prelude::BASE64_STANDARD, base64).unwrap()
}
