//! 1,000 devices poll one eIM at once: in process with records in memory, and over TLS on the loopback
//! with records in SQLite, as `landfall eim serve` has them.
//!
//! `cargo bench -p tests --bench eim`. Latencies are measured from the moment at which all devices begin.
//! The processor time is that of the server without its clients, and is compared with the cryptographic
//! operations of the same step, measured in the same run. Compare the ratios between machines, not the
//! times. Linux only.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark fails by panicking"
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark needs the real clock")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use certs::{EuiccCredentials, Pki, PkiOptions, check_euicc};
use crypto::{Curve, SecretKey};
use eim::{
    Config, Credentials, Eim, NewDevice, NewOrder,
    records::{Package, ProfileOperation, STORED_FORM},
};
use http::Request;
use net::{Client, ClientAuth, ClientTls, Identity, OsClock, OsRandom, ServerTls, SqliteRecords};
use rsp::{
    der::{BitString, Raw},
    ids::{CertificateDer, Version},
    sgp32::{
        self, EuiccPackageRequest, EuiccPackageResult, EuiccResultData,
        esipa::{
            EimPackageResult, GetEimPackageRequest, GetEimPackageResponse, MessageFromIpa,
            ProvideEimPackageResultRequest, ProvideEimPackageResultResponse, Reply, USER_AGENT_IPAD, asn1,
        },
        ipa_data::{IpaCapabilities, IpaEuiccData, IpaEuiccDataResponse},
        result::{EnableProfileResult, EuiccPackageResultDataSigned, EuiccPackageResultSigned},
        signature::signed_octets,
    },
};
use tokio::task::JoinSet;
use world::{Link, MemoryRecords, NullEvents, Records, World};

const DEVICES: u64 = 1000;
const EIM: &str = "eim.landfall.example";
const ICCID: &str = "89724990000000000019";
const TOKEN: i64 = 1;

fn main() {
    let pki = Arc::new(Pki::from_seed(b"bench", &PkiOptions::default()).unwrap());
    let devices: Vec<Arc<Device>> = (1..=DEVICES).map(|number| Arc::new(Device::new(&pki, number))).collect();
    let bare = Bare::measure(&pki, &devices[0].credentials);
    println!("single operations, median microseconds (NIST P-256)");
    println!("  sign {:.0}  verify {:.0}  certificate chain {:.0}", bare.sign, bare.verify, bare.chain);
    let server = Server::in_process(&pki);
    report("in process, records in memory", &server, &devices, &bare);
    let folder = tempfile::tempdir().unwrap();
    let server = Server::over_tls(&pki, &folder.path().join("eim.sqlite"));
    report("TLS on the loopback, records in SQLite", &server, &devices, &bare);
}

/// Measures each step of one device with all devices at once.
fn report(name: &str, server: &Server, devices: &[Arc<Device>], bare: &Bare) {
    println!("\n{name}, {DEVICES} devices at once");
    println!("  step                      p50 ms   p99 ms   CPU us each   cryptography us   ratio");
    let row = |step: &str, waves: Wave, cryptography: f64| {
        let ratio = match cryptography > 0.0 {
            true => format!("{:>7.2}", waves.cpu / cryptography),
            false => "      -".to_owned(),
        };
        println!(
            "  {step:<24} {:>7.1}  {:>7.1}  {:>12.0}  {cryptography:>16.0} {ratio}",
            waves.p50, waves.p99, waves.cpu
        );
    };
    let clients = Clients::new(server, devices);
    server.block_on(|eim| async move {
        for number in 1..=DEVICES {
            let mut device = NewDevice::new(eid(number));
            device.association_token = Some(TOKEN);
            eim.register(&device).await.unwrap();
        }
    });
    if server.address.is_some() {
        row("connect (TLS)", clients.wave(|device, link| device.connect(link)), bare.sign);
    }
    row("first poll: data request", clients.wave(|device, link| device.poll(link)), 0.0);
    row("data: certificate chain", clients.wave(|device, link| device.provide_data(link)), bare.chain);
    row("poll without package", clients.wave(|device, link| device.poll(link)), 0.0);
    server.block_on(|eim| async move {
        for number in 1..=DEVICES {
            let enable = ProfileOperation::Enable { iccid: ICCID.parse().unwrap(), rollback: true };
            let package = Package::ProfileOperations(vec![enable]);
            eim.order(&NewOrder::new(eid(number), package)).await.unwrap();
        }
    });
    row("poll with a package", clients.wave(|device, link| device.poll(link)), bare.sign);
    row("result verified", clients.wave(|device, link| device.provide_result(link)), bare.verify);
}

fn eid(number: u64) -> rsp::ids::Eid {
    certs::numbered_eid("89049032", number).unwrap()
}

/// The times of one step of all devices.
struct Wave {
    p50: f64,
    p99: f64,
    /// Processor time of the server for each device in microseconds.
    cpu: f64,
}

/// A device: its IPA, and the key of its eUICC.
struct Device {
    credentials: EuiccCredentials,
    state: std::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    transaction_id: Option<rsp::ids::TransactionId>,
    package: Option<Raw<EuiccPackageRequest>>,
}

impl Device {
    fn new(pki: &Pki, number: u64) -> Self {
        let credentials = pki.euicc(Curve::P256, eid(number)).unwrap();
        Self { credentials, state: std::sync::Mutex::default() }
    }

    /// Opens the connection with a poll of an unknown device.
    async fn connect(self: Arc<Self>, link: Link) {
        let unknown = certs::numbered_eid("89049032", DEVICES + 1).unwrap();
        let reply = call::<GetEimPackageResponse>(&link, poll(unknown)).await;
        assert!(matches!(reply, GetEimPackageResponse::EimPackageError(_)), "{reply:?}");
    }

    async fn poll(self: Arc<Self>, link: Link) {
        let reply = call::<GetEimPackageResponse>(&link, poll(self.credentials.eid)).await;
        let mut state = self.state.lock().unwrap();
        match reply {
            GetEimPackageResponse::IpaEuiccDataRequest(it) => state.transaction_id = it.eim_transaction_id,
            GetEimPackageResponse::EuiccPackageRequest(package) => state.package = Some(package),
            GetEimPackageResponse::EimPackageError(_) => {}
            GetEimPackageResponse::ProfileDownloadTriggerRequest(_) => panic!("no download was ordered"),
        }
    }

    async fn provide_data(self: Arc<Self>, link: Link) {
        let der = |certificate: &certs::Certificate| Some(CertificateDer(certificate.der().to_vec()));
        let data = IpaEuiccData {
            association_token: Some(TOKEN),
            eum_certificate: der(&self.credentials.eum),
            euicc_certificate: der(&self.credentials.euicc.certificate),
            eim_transaction_id: self.state.lock().unwrap().transaction_id.take(),
            ipa_capabilities: Some(IpaCapabilities {
                ipa_features: BitString::of(&[0, 1]),
                ..IpaCapabilities::default()
            }),
            ..IpaEuiccData::default()
        };
        let data = IpaEuiccDataResponse::IpaEuiccData(Box::new(data));
        let reply = self.provide(&link, EimPackageResult::IpaEuiccDataResponse(Box::new(data))).await;
        assert!(matches!(reply, ProvideEimPackageResultResponse::EmptyResponse(_)), "{reply:?}");
    }

    async fn provide_result(self: Arc<Self>, link: Link) {
        let package = self.state.lock().unwrap().package.take().unwrap();
        let signed = &package.euicc_package_signed;
        let data = Raw::new(EuiccPackageResultDataSigned {
            eim_id: signed.eim_id.clone(),
            counter_value: signed.counter_value,
            eim_transaction_id: signed.eim_transaction_id.clone(),
            seq_number: 1,
            euicc_result: vec![Raw::new(EuiccResultData::EnableResult(EnableProfileResult::OK)).into()],
        });
        let signature = self.credentials.euicc.key.sign(&signed_octets(data.bytes(), Some(TOKEN)));
        let result = EuiccPackageResult::EuiccPackageResultSigned(EuiccPackageResultSigned {
            euicc_package_result_data_signed: data,
            euicc_sign_epr: signature.as_bytes().to_vec(),
        });
        let result = EimPackageResult::EuiccPackageResult(Box::new(Raw::new(result)));
        let reply = self.provide(&link, result).await;
        assert!(matches!(reply, ProvideEimPackageResultResponse::EimAcknowledgements(_)), "{reply:?}");
    }

    async fn provide(&self, link: &Link, result: EimPackageResult) -> ProvideEimPackageResultResponse {
        let request = ProvideEimPackageResultRequest {
            eid_value: Some(self.credentials.eid),
            eim_package_result: result,
        };
        call(link, MessageFromIpa::ProvideEimPackageResult(request)).await
    }
}

fn poll(eid: rsp::ids::Eid) -> MessageFromIpa {
    MessageFromIpa::GetEimPackageRequest(GetEimPackageRequest {
        eid_value: eid,
        notify_state_change: None,
        state_change_cause: None,
        r_plmn: None,
    })
}

async fn call<R: Reply>(link: &Link, message: MessageFromIpa) -> R {
    let request: Request<Bytes> =
        asn1::request(Version([2, 6, 0]), sgp32::Version::V1_2, USER_AGENT_IPAD, &message);
    asn1::answer(&world::send(link, request).await.unwrap()).unwrap()
}

/// The devices with their links. Their work is done by threads that do not count as server.
struct Clients {
    runtime: tokio::runtime::Runtime,
    devices: Vec<(Arc<Device>, Link)>,
    /// Measures the processor time of the server.
    is_in_process: bool,
}

/// The name of the threads that run the devices.
const CLIENT_THREAD: &str = "device";

impl Clients {
    fn new(server: &Server, devices: &[Arc<Device>]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(CLIENT_THREAD)
            .enable_all()
            .build()
            .unwrap();
        let devices = devices.iter().map(|device| (Arc::clone(device), server.link())).collect();
        Self { runtime, devices, is_in_process: server.address.is_none() }
    }

    /// Runs a step of all devices at once.
    fn wave<F>(&self, step: impl Fn(Arc<Device>, Link) -> F) -> Wave
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let cpu = self.cpu();
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for (device, link) in &self.devices {
            let running = step(Arc::clone(device), link.clone());
            let timed = async move {
                running.await;
                began.elapsed()
            };
            tasks.spawn_on(timed, self.runtime.handle());
        }
        let mut times: Vec<Duration> = self.runtime.block_on(tasks.join_all());
        let cpu = self.cpu() - cpu;
        times.sort();
        let at =
            |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
        Wave { p50: at(50), p99: at(99), cpu: cpu.as_secs_f64() * 1e6 / DEVICES as f64 }
    }

    /// The processor time of the server. In process, it includes the encoding of the devices.
    fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let nanoseconds = tasks.filter_map(|task| {
            let folder = task.ok()?.path();
            let name = std::fs::read_to_string(folder.join("comm")).ok()?;
            let is_counted = self.is_in_process == (name.trim() == CLIENT_THREAD);
            let used = std::fs::read_to_string(folder.join("schedstat")).ok()?;
            used.split_whitespace().next()?.parse::<u64>().ok().filter(|_| is_counted)
        });
        Duration::from_nanos(nanoseconds.sum())
    }
}

/// An eIM.
struct Server {
    eim: Eim,
    runtime: tokio::runtime::Runtime,
    /// The address and the root, unless the devices are in the same process.
    address: Option<(String, Vec<u8>)>,
}

impl Server {
    fn in_process(pki: &Pki) -> Self {
        Self::new(pki, Arc::new(MemoryRecords::default()))
    }

    fn over_tls(pki: &Pki, path: &std::path::Path) -> Self {
        let mut server = Self::new(pki, Arc::new(SqliteRecords::open(path, STORED_FORM).unwrap()));
        let tls = pki.eim(EIM, &["localhost".parse().unwrap()]).unwrap().tls;
        let identity = Identity { chain: vec![tls.certificate.der().to_vec()], key: tls.key_pkcs8().into() };
        let tls = ServerTls::new(&identity, &ClientAuth::None, Arc::new(OsClock)).unwrap();
        let listener = server.runtime.block_on(net::listen("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let link = server.eim.link();
        server.runtime.spawn(net::serve(listener, Some(tls), link, std::future::pending()));
        let root = pki.ci(Curve::P256).unwrap().der().to_vec();
        server.address = Some((format!("localhost:{port}"), root));
        server
    }

    fn new(pki: &Pki, records: Arc<dyn Records>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("server")
            .enable_all()
            .build()
            .unwrap();
        let credentials = Credentials::from_pki(pki, EIM, &[EIM.parse().unwrap()]).unwrap();
        let world = World::new(OsClock, OsRandom::new().unwrap());
        let config = Config::new(EIM, EIM.parse().unwrap());
        let eim = Eim::new(config, credentials, records, world, Arc::new(NullEvents));
        Self { eim, runtime, address: None }
    }

    /// Returns the link of one device, which has a connection of its own.
    fn link(&self) -> Link {
        match &self.address {
            None => self.eim.link(),
            Some((address, root)) => {
                let tls = ClientTls::new(std::slice::from_ref(root), None, Arc::new(OsClock)).unwrap();
                Client::default().link(address, Some(tls)).unwrap()
            }
        }
    }

    fn block_on<F: Future<Output = ()>>(&self, work: impl FnOnce(Eim) -> F) {
        self.runtime.block_on(work(self.eim.clone()));
    }
}

/// The cryptographic operations alone, median microseconds.
struct Bare {
    sign: f64,
    verify: f64,
    chain: f64,
}

impl Bare {
    fn measure(pki: &Pki, euicc: &EuiccCredentials) -> Self {
        let key: &SecretKey = &euicc.euicc.key;
        let message = [0x5A; 120];
        let signature = key.sign(&message);
        let public = key.public_key();
        let anchors = pki.anchors().unwrap();
        let now = world::Clock::now(&OsClock);
        Self {
            sign: median(|| {
                let _ = key.sign(&message);
            }),
            verify: median(|| public.verify(&message, &signature).unwrap()),
            chain: median(|| {
                check_euicc(&anchors, &euicc.euicc.certificate, &euicc.eum, now).unwrap();
            }),
        }
    }
}

fn median(operation: impl Fn()) -> f64 {
    let mut samples: Vec<f64> = (0..200)
        .map(|_| {
            let began = Instant::now();
            operation();
            began.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
