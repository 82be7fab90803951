//! `landfall eim` with an IPA over TLS.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
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
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
};
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
        let ports = ["--listen", "127.0.0.1:0", "--listen-api", "127.0.0.1:0"];
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

    /// Returns the link of an IPA that trusts the CI of the PKI.
    fn link(&self) -> Link {
        self.link_through(&self.address)
    }

    /// Returns the link of an IPA that connects to `address`.
    fn link_through(&self, address: &str) -> Link {
        let root = std::fs::read(&self.root).unwrap();
        let tls = ClientTls::new(&[root], None, Arc::new(OsClock)).unwrap();
        Client::default().with_connect_to("127.0.0.1", address).link(&self.address, Some(tls)).unwrap()
    }

    /// Returns the link of an IPA over CoAP that connects to `address`.
    fn coap_link_through(&self, address: &str) -> Link {
        let anchors = vec![std::fs::read(&self.root).unwrap()];
        let trust = ServerTrust::Certificates { anchors, check: Arc::new(|_| Ok(())) };
        let dtls = ClientDtls::new(trust, Arc::new(OsClock)).unwrap();
        let world = World::new(OsClock, OsRandom::new().unwrap());
        let client = Client::default().with_connect_to("127.0.0.1", address);
        client.coap_link(self.coap.as_ref().unwrap(), dtls, world, Transmission::default()).unwrap()
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

/// A running SM-DP+.
struct Stock {
    _process: Running,
    sm_dp: String,
}

/// A profile in stock.
struct Profile {
    file: String,
    iccid: String,
    /// The operation of an eIM that downloads it.
    order: String,
}

impl Stock {
    fn serve(folder: &Path) -> Self {
        let serve = ["sm-dp", "serve", "--listen", "127.0.0.1:0"];
        let (process, sm_dp) = served(folder, &serve, "SM-DP+ at ");
        Self { _process: process, sm_dp }
    }

    /// Puts a profile into the stock and orders it.
    fn profile(&self, folder: &Path, number: &str) -> Profile {
        let file = folder.join(format!("{number}.der")).to_str().unwrap().to_owned();
        let sm_dp = ["--sm-dp", &self.sm_dp];
        succeed(landfall(folder).args(["profile", "new", &file, "--number", number]));
        let add = ["sm-dp", "add", &file, "--fallback-allowed"];
        let iccid = succeed(landfall(folder).args(add).args(sm_dp)).trim().to_owned();
        let code = succeed(landfall(folder).args(["operator", "order", &iccid]).args(sm_dp));
        Profile { file, iccid, order: format!("download:{}", code.trim()) }
    }
}

/// The device pins the key of the eIM's TLS certificate.
#[test]
fn an_iot_device_executes_the_orders_of_its_eim_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let stock = Stock::serve(folder);
    let eim = Eim::start_with(folder, &["--sm-dp", &stock.sm_dp]);
    let configuration = folder.join("eim.json");
    std::fs::write(&configuration, succeed(&mut eim.command(folder, &["configuration"]))).unwrap();
    let configuration = configuration.to_str().unwrap();
    let (first, second) = (stock.profile(folder, "1"), stock.profile(folder, "2"));
    let device = ["--json", "device", "--eid", EID, "--sm-dp", &stock.sm_dp];
    let order =
        |arguments: &[&str]| succeed(&mut eim.command(folder, &[&["order", EID], arguments].concat()));

    // Without a visible network the device uses the connection of the host.
    order(&[&first.order]);
    order(&[&format!("enable:{}", first.iccid)]);
    let once = ["run", "--iot", "--once", "--eim-configuration", configuration];
    let polled = succeed(landfall(folder).args(device).args(once));
    let polled: Value = serde_json::from_str(polled.lines().last().unwrap()).unwrap();
    let packages = &polled["polled"]["visits"][0]["packages"];
    let results: Vec<_> = (0..3).map(|number| packages[number]["results"][0].as_str().unwrap()).collect();
    assert_eq!(results, ["data", &format!("installed {}", first.iccid), "enable ok(0)"], "{polled}");

    // On a network, with the JSON binding, until it is stopped.
    let network =
        ["network", "--listen", "127.0.0.1:0", "--subscriber", &first.file, "--subscriber", &second.file];
    let (_network_process, network) = served(folder, &network, "networks at ");
    let run = ["run", "--iot", "--binding", "json", "--check-in-every", "1"];
    let cellular = ["--network", &network, "--visible", "724-99"];
    let _device = Running::start(landfall(folder).args(device).args(cellular).args(run));
    order(&[&second.order, "--wait", "60s"]);
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
    let stock = Stock::serve(folder);
    let eim = Eim::start_with(folder, &["--sm-dp", &stock.sm_dp]);
    let configuration = folder.join("eim.json");
    std::fs::write(&configuration, succeed(&mut eim.command(folder, &["configuration"]))).unwrap();
    let configuration = configuration.to_str().unwrap();
    let (first, second) = (stock.profile(folder, "1"), stock.profile(folder, "2"));
    let order =
        |arguments: &[&str]| succeed(&mut eim.command(folder, &[&["order", EID], arguments].concat()));
    let serve = ["--json", "euicc", "--eid", EID, "serve", "--listen", "127.0.0.1:0", "--kind", "iot"];
    let ipae = ["--ipae", "1", "--eim-configuration", configuration];
    let card = Running::start(landfall(folder).args(serve).args(ipae));
    let card_address = card.out.json()["cards"][0]["address"].as_str().unwrap().to_owned();
    let device = ["--json", "device", "--card", &card_address, "--sm-dp", &stock.sm_dp];

    // In the factory, the IPA of a device installs the first profile over the connection of the
    // host.
    order(&[&first.order]);
    order(&[&format!("enable:{}", first.iccid)]);
    let polled = succeed(landfall(folder).args(device).args(["run", "--iot", "--once"]));
    assert!(polled.contains("enable ok(0)"), "{polled}");

    let network = ["network", "--listen", "127.0.0.1:0"];
    let subscribers = ["--subscriber", &first.file, "--subscriber", &second.file];
    let (_network_process, network) = served(folder, &[&network[..], &subscribers].concat(), "networks at ");
    let cellular = ["--network", &network, "--visible", "724-99"];
    let _device = Running::start(landfall(folder).args(device).args(cellular).args(["run"]));
    order(&[&second.order, "--wait", "60s"]);
    order(&[&format!("enable-with-rollback:{}", second.iccid), "--wait", "60s"]);
    let done = order(&[&format!("delete:{}", first.iccid), "--wait", "60s"]);
    let done: Value = serde_json::from_str(&done).unwrap();
    assert_eq!(done["result"]["succeeded"], true, "{done}");
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
    let link = eim.coap_link_through(eim.coap.as_ref().unwrap());
    let package = poll(&link).await;
    refuse(&link, &package).await;
    let none = GetEimPackageResponse::EimPackageError(EimPackageError::NO_EIM_PACKAGE_AVAILABLE);
    assert_eq!(poll(&link).await, none);
}

/// Octets of the payloads of TCP and UDP in both directions, and of the datagrams.
#[derive(Default)]
struct Traffic {
    octets: AtomicUsize,
    packets: AtomicUsize,
}

impl Traffic {
    fn count(&self, octets: usize) {
        self.octets.fetch_add(octets, Ordering::SeqCst);
        self.packets.fetch_add(1, Ordering::SeqCst);
    }

    fn take(&self) -> (usize, usize) {
        (self.octets.swap(0, Ordering::SeqCst), self.packets.swap(0, Ordering::SeqCst))
    }
}

/// Forwards one TCP connection and counts its octets.
async fn tcp_proxy(to: &str, traffic: &Arc<Traffic>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (to, traffic) = (to.to_owned(), Arc::clone(traffic));
    tokio::spawn(async move {
        let (near, _) = listener.accept().await.unwrap();
        let far = TcpStream::connect(to).await.unwrap();
        let (near, far) = (near.into_split(), far.into_split());
        for (mut from, mut to) in [(near.0, far.1), (far.0, near.1)] {
            let traffic = Arc::clone(&traffic);
            tokio::spawn(async move {
                let mut buffer = vec![0; 1 << 14];
                while let Ok(length @ 1..) = from.read(&mut buffer).await {
                    traffic.count(length);
                    to.write_all(&buffer[..length]).await.unwrap();
                }
            });
        }
    });
    address
}

/// Forwards the datagrams of one client and counts their octets.
async fn udp_proxy(to: &str, traffic: &Arc<Traffic>) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let (to, traffic): (SocketAddr, _) = (to.parse().unwrap(), Arc::clone(traffic));
    tokio::spawn(async move {
        let (mut client, mut buffer) = (None, vec![0; 2048]);
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            traffic.count(length);
            let target = if from == to { client.unwrap() } else { to };
            client = if from == to { client } else { Some(from) };
            socket.send_to(&buffer[..length], target).await.unwrap();
        }
    });
    address
}

/// The octets of GetEimPackage that docs/eim.md reports. The headers of IP, TCP and UDP and the
/// acknowledgements of TCP are not counted.
#[tokio::test]
async fn a_poll_over_coap_takes_fewer_octets_than_over_https() {
    let folder = tempfile::tempdir().unwrap();
    let eim = Eim::start_with(folder.path(), &COAP);
    let traffic = Arc::<Traffic>::default();
    let https = eim.link_through(&tcp_proxy(&eim.address, &traffic).await);
    let coap = eim.coap_link_through(&udp_proxy(eim.coap.as_ref().unwrap(), &traffic).await);
    let mut counted = Vec::new();
    for (name, link) in [("HTTPS", &https), ("CoAP", &coap)] {
        let mut packages = Vec::new();
        for connection in ["new", "open"] {
            packages.push(poll(link).await);
            let (octets, packets) = traffic.take();
            println!("{name}, {connection} connection: {octets} octets in {packets} reads");
            counted.push(octets);
        }
        assert_eq!(packages[0], packages[1], "a package is repeated octet for octet");
    }
    let [https_new, https_open, coap_new, coap_open] = counted[..] else { panic!("{counted:?}") };
    assert!(coap_new < https_new && coap_open < https_open, "{counted:?}");
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
