//! A card with an IPA inside (IPAe), in a device without an IPA: the card polls its eIM by itself
//! through channels of the device.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use certs::{Pki, PkiOptions};
use device::IpaSettings;
use eim::records::{Download, DownloadSource, Outcome, Package, ProfileOperation};
use euicc_sim::{IotDescription, IpaeDescription};
use faults::{Power, PoweredCard};
use ipae::IpaeCard;
use network::{EmmCause, Policy};
use rsp::der::Asn1;
use rsp::ids::{Iccid, TransactionId};
use rsp::sgp22::ProfileState;
use rsp::sgp22::es8plus::{FinalResult, ProfileInstallationResult};
use rsp::sgp32::ipa_data::{ProfileDownloadTriggerResult, ProfileDownloadTriggerResultData};
use rsp::sgp32::{EuiccPackageResult, EuiccResultData};
use rsp::time::Timestamp;
use testbed::iot::{Iot, IotSetup, LOCAL};
use testbed::time::{Simulation, run};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{sleep, timeout};
use world::{Atr, BoxByteStream, BoxFuture, CardInterface, CardInterfaceFault, Dial, LinkFault, MemoryHosts};

const BEGIN: Timestamp = Timestamp(1_795_000_000_000);
/// Virtual time after which a test fails.
const PATIENCE: Duration = Duration::from_secs(4 * 3600);

static PKI: LazyLock<Arc<Pki>> =
    LazyLock::new(|| Arc::new(Pki::from_seed(b"ipae tests", &PkiOptions::default()).unwrap()));

fn simulate<T>(simulated: impl AsyncFnOnce(Simulation) -> T) -> T {
    run("ipae", BEGIN, simulated).unwrap()
}

/// A card with an IPA that polls once a minute, with the bootstrap profile enabled.
async fn from_factory(simulation: &Simulation) -> Iot {
    with_settings(simulation, IpaeDescription::default()).await
}

async fn with_settings(simulation: &Simulation, settings: IpaeDescription) -> Iot {
    let ipae = IpaeDescription { poll_seconds: 60, ..settings };
    let card = IotDescription { ipae: Some(ipae), ..IotDescription::default() };
    let setup = IotSetup { pki: Arc::clone(&PKI), ipa: IpaSettings::default(), card };
    Iot::from_factory(simulation, &setup).await.unwrap()
}

fn download(code: String) -> Package {
    let source = DownloadSource::ActivationCode(code);
    Package::Download(Download { source, kept_by_eim: false, iccid: None, policy_rules_allowed: false })
}

fn enable(iccid: Iccid) -> Package {
    Package::ProfileOperations(vec![ProfileOperation::Enable { iccid, rollback: true }])
}

async fn order_move(iot: &Iot) -> [TransactionId; 2] {
    let code = iot.release(iot.local).await.unwrap();
    [iot.order(0, download(code)).await.unwrap(), iot.order(0, enable(iot.local)).await.unwrap()]
}

/// Runs the device until the order has ended.
async fn run_until_ended<D: CardInterface>(
    iot: &Iot,
    card: D,
    dial: impl Dial + 'static,
    id: &TransactionId,
) {
    let mut device = iot.ipae_device(card, dial).unwrap();
    let ended = async {
        while iot.outcome(0, id).await.unwrap().is_none() {
            sleep(Duration::from_secs(5)).await;
        }
    };
    tokio::select! {
        biased;
        stopped = device.run() => panic!("the device stopped: {stopped:?}"),
        ended = timeout(PATIENCE, ended) => ended.expect("the order did not end"),
    }
}

/// The results of a package that the eIM has verified.
async fn results(iot: &Iot, id: &TransactionId) -> Vec<EuiccResultData> {
    let Some(Outcome::EuiccPackage(result)) = iot.outcome(0, id).await.unwrap() else { panic!() };
    let EuiccPackageResult::EuiccPackageResultSigned(signed) =
        EuiccPackageResult::from_der(&result.0).unwrap()
    else {
        panic!("an error")
    };
    let list = &signed.euicc_package_result_data_signed.euicc_result;
    list.iter().map(|result| (*result.decode().unwrap()).clone()).collect()
}

/// The enabled profile, and all profiles, as the card itself reports them.
async fn profiles(iot: &mut Iot) -> (Option<Iccid>, usize) {
    iot.power_cycle().unwrap();
    let profiles = iot.ipa.es10().get_profiles_info(None).await.unwrap();
    let enabled = profiles.iter().find(|profile| profile.profile_state == Some(ProfileState::ENABLED));
    (enabled.and_then(|profile| profile.iccid), profiles.len())
}

// req: SGP.32-3.1.1.1-Ipae
#[test]
fn a_card_polls_its_eim_and_executes_a_package() {
    simulate(async |simulation| {
        let iot = from_factory(&simulation).await;
        let servers = iot.serve_channels().unwrap();
        let list = Package::ProfileOperations(vec![ProfileOperation::ListProfileInfo {}]);
        let id = iot.order(0, list).await.unwrap();
        let card = iot.ipae_card().unwrap();
        run_until_ended(&iot, card, servers.hosts.clone(), &id).await;
        assert!(matches!(results(&iot, &id).await[..], [EuiccResultData::ListProfileInfoResult(_)]));
        let events = iot.events.all();
        assert!(events.iter().any(|event| event.party == "IPAe" && event.function == "GetEimPackage"));
    });
}

// req: SGP.32-3.2.3.2-Ipae, SGP.32-3.3.1-IpaeRefresh
#[test]
fn a_card_downloads_through_its_eim_and_enables_the_profile() {
    simulate(async |simulation| {
        let mut iot = from_factory(&simulation).await;
        let servers = iot.serve_channels().unwrap();
        let [downloaded, enabled] = order_move(&iot).await;
        let card = iot.ipae_card().unwrap();
        run_until_ended(&iot, card, servers.hosts.clone(), &enabled).await;
        let outcome = iot.outcome(0, &downloaded).await.unwrap();
        assert!(matches!(outcome, Some(Outcome::Installation(_))), "{outcome:?}");
        assert_moved(&mut iot, &enabled).await;
    });
}

// req: SGP.32-3.1.1.1-Ipae
#[test]
fn a_card_downloads_from_the_sm_dp_directly() {
    simulate(async |simulation| {
        let settings = IpaeDescription { direct: true, ..IpaeDescription::default() };
        let mut iot = with_settings(&simulation, settings).await;
        let servers = iot.serve_channels().unwrap();
        let [_, enabled] = order_move(&iot).await;
        let card = iot.ipae_card().unwrap();
        run_until_ended(&iot, card, servers.hosts.clone(), &enabled).await;
        assert_moved(&mut iot, &enabled).await;
        let events = iot.events.all();
        let direct = |event: &&world::Event| event.party == "IPAe" && event.interface == "ES9+";
        assert!(events.iter().filter(direct).any(|event| event.function == "GetBoundProfilePackage"));
    });
}

async fn assert_moved(iot: &mut Iot, enabled: &TransactionId) {
    let results = results(iot, enabled).await;
    assert!(matches!(results[..], [EuiccResultData::EnableResult(code)] if code.0 == 0), "{results:?}");
    assert_eq!(profiles(iot).await, (Some(iot.local), 2));
}

async fn assert_rolled_back(iot: &mut Iot, enabled: &TransactionId) {
    let results = results(iot, enabled).await;
    assert!(matches!(results[..], [EuiccResultData::RollbackResult(code)] if code.0 == 0), "{results:?}");
    assert_eq!(profiles(iot).await, (Some(iot.bootstrap), 2));
}

// req: SGP.32-3.3.2-Ipae
#[test]
fn a_profile_without_service_is_rolled_back() {
    simulate(async |simulation| {
        let mut iot = from_factory(&simulation).await;
        let refusal = Policy::refusing_everybody(EmmCause::PLMN_NOT_ALLOWED);
        assert!(iot.networks.set_policy(LOCAL.parse().unwrap(), refusal));
        let servers = iot.serve_channels().unwrap();
        let [_, enabled] = order_move(&iot).await;
        let card = iot.ipae_card().unwrap();
        run_until_ended(&iot, card, servers.hosts.clone(), &enabled).await;
        assert_rolled_back(&mut iot, &enabled).await;
    });
}

/// Hosts that a device reaches only while its subscriber is not in the local network.
struct NotThroughLocal {
    hosts: MemoryHosts,
    networks: Arc<network::Networks>,
    local: rsp::ids::Imsi,
}

impl Dial for NotThroughLocal {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<BoxByteStream, LinkFault>> {
        match self.networks.place_of(self.local) {
            Some(_) => world::NoDial.dial(host, port),
            None => self.hosts.dial(host, port),
        }
    }
}

// req: SGP.32-3.3.2-Ipae
#[test]
fn a_profile_over_which_the_result_cannot_be_delivered_is_rolled_back() {
    simulate(async |simulation| {
        let mut iot = from_factory(&simulation).await;
        let servers = iot.serve_channels().unwrap();
        let [_, enabled] = order_move(&iot).await;
        let card = iot.ipae_card().unwrap();
        let dial = NotThroughLocal {
            hosts: servers.hosts.clone(),
            networks: Arc::clone(&iot.networks),
            local: iot.local_imsi(),
        };
        run_until_ended(&iot, card, dial, &enabled).await;
        assert_rolled_back(&mut iot, &enabled).await;
    });
}

/// Hosts whose connection breaks once, after a number of octets from all servers.
#[derive(Clone)]
struct BreakOnce {
    hosts: MemoryHosts,
    /// The octets until the connection breaks.
    left: Arc<AtomicUsize>,
}

struct BreakingStream {
    inner: BoxByteStream,
    left: Arc<AtomicUsize>,
    is_broken: bool,
}

impl Dial for BreakOnce {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<BoxByteStream, LinkFault>> {
        Box::pin(async move {
            let inner = self.hosts.dial(host, port).await?;
            let stream = BreakingStream { inner, left: Arc::clone(&self.left), is_broken: false };
            Ok(Box::new(stream) as BoxByteStream)
        })
    }
}

impl AsyncRead for BreakingStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        let count = buffer.filled().len() - before;
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(count), Ordering::Relaxed);
        if left > 0 && left <= count {
            buffer.set_filled(before + left - 1);
            self.is_broken = true;
        }
        read
    }
}

impl AsyncWrite for BreakingStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// The places of a sweep: all with LANDFALL_MATRIX=all, or else about this number.
fn places(last: usize, sample: usize) -> Vec<usize> {
    let is_complete = std::env::var("LANDFALL_MATRIX").is_ok_and(|value| value == "all");
    let step = if is_complete { 1 } else { last.div_ceil(sample).max(1) };
    (1..=last).step_by(step).collect()
}

/// More octets than all connections of a test transport.
const NEVER: usize = usize::MAX;

// req: SGP.32-3.3.1-IpaeLoss
#[test]
fn a_move_succeeds_although_the_connection_breaks() {
    let octets = simulate(async |simulation| moved_with_break(&simulation, NEVER).await);
    assert!(octets > 5000, "{octets} octets");
    // The length of a TLS record differs by a few octets from run to run, so a finer sweep would
    // not be more complete.
    for at in places(octets / 50, 16) {
        simulate(async |simulation| moved_with_break(&simulation, at * 50).await);
    }
}

/// Performs a move during which the connection breaks. Returns the number of octets received.
async fn moved_with_break(simulation: &Simulation, at: usize) -> usize {
    let mut iot = from_factory(simulation).await;
    let servers = iot.serve_channels().unwrap();
    let left = Arc::new(AtomicUsize::new(at));
    let dial = BreakOnce { hosts: servers.hosts.clone(), left: Arc::clone(&left) };
    let card = iot.ipae_card().unwrap();
    moved_with_failures(&mut iot, card, dial).await;
    at - left.load(Ordering::Relaxed)
}

/// Orders a move and runs the device until the move has ended.
async fn moved_with_failures<D: CardInterface>(iot: &mut Iot, card: D, dial: impl Dial + 'static) {
    let mut device = iot.ipae_device(card, dial).unwrap();
    let enabled = tokio::select! {
        biased;
        stopped = device.run() => panic!("the device stopped: {stopped:?}"),
        moved = timeout(PATIENCE, order_until_moved(iot)) => moved.expect("the move did not end"),
    };
    drop(device);
    assert_moved(iot, &enabled).await;
}

async fn ended(iot: &Iot, id: &TransactionId) -> Outcome {
    loop {
        if let Some(outcome) = iot.outcome(0, id).await.unwrap() {
            return outcome;
        }
        sleep(Duration::from_secs(5)).await;
    }
}

/// Orders the download until the profile is installed, because a download that is interrupted
/// fails, and then its enabling.
async fn order_until_moved(iot: &Iot) -> TransactionId {
    let code = iot.release(iot.local).await.unwrap();
    loop {
        let id = iot.order(0, download(code.clone())).await.unwrap();
        if is_installed(&ended(iot, &id).await) {
            break;
        }
    }
    let id = iot.order(0, enable(iot.local)).await.unwrap();
    ended(iot, &id).await;
    id
}

fn is_installed(outcome: &Outcome) -> bool {
    let installed = match outcome {
        Outcome::Installation(result) => ProfileInstallationResult::from_der(&result.0).unwrap(),
        Outcome::Download(result) => {
            let result = ProfileDownloadTriggerResult::from_der(&result.0).unwrap();
            match result.profile_download_trigger_result_data {
                ProfileDownloadTriggerResultData::ProfileInstallationResult(installed) => {
                    (**installed).clone()
                }
                ProfileDownloadTriggerResultData::ProfileDownloadError(_) => return false,
            }
        }
        other => panic!("{other:?}"),
    };
    matches!(installed.profile_installation_result_data.final_result, FinalResult::SuccessResult(_))
}

/// A card that loses its power, together with its device, when the device fetches a proactive
/// command.
struct CutAtFetch {
    card: PoweredCard<IpaeCard>,
    power: Power,
    /// The proactive commands until the cut.
    left: Arc<AtomicUsize>,
}

impl CardInterface for CutAtFetch {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        if command.starts_with(&[0x80, 0x12]) {
            let left = self.left.load(Ordering::Relaxed);
            self.left.store(left.saturating_sub(1), Ordering::Relaxed);
            if left == 1 {
                self.power.cut();
            }
        }
        self.card.transmit(command).await
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        self.card.reset().await
    }
}

// req: SGP.32-3.3.1-IpaeLoss
#[test]
fn a_move_succeeds_although_the_power_fails_at_a_proactive_command() {
    let commands = simulate(async |simulation| moved_with_power_cut(&simulation, NEVER).await);
    assert!(commands > 100, "{commands} commands");
    for at in places(commands, 24) {
        simulate(async |simulation| moved_with_power_cut(&simulation, at).await);
    }
}

/// Performs a move during which the power fails once. Returns the number of proactive commands.
async fn moved_with_power_cut(simulation: &Simulation, at: usize) -> usize {
    let mut iot = from_factory(simulation).await;
    let servers = iot.serve_channels().unwrap();
    let left = Arc::new(AtomicUsize::new(at));
    let running = async {
        for _ in 0..2 {
            let power = Power::default();
            let card = PoweredCard::of_device(iot.ipae_card().unwrap(), power.clone());
            let card = CutAtFetch { card, power: power.clone(), left: Arc::clone(&left) };
            let mut device = iot.ipae_device(card, servers.hosts.clone()).unwrap();
            tokio::select! {
                biased;
                stopped = device.run() => panic!("the device stopped: {stopped:?}"),
                () = power.wait_until_off() => {}
            }
            drop(device);
            sleep(Duration::from_secs(30)).await;
        }
    };
    let enabled = tokio::select! {
        biased;
        () = running => panic!("the power failed again"),
        moved = timeout(PATIENCE, order_until_moved(&iot)) => moved.expect("the move did not end"),
    };
    assert_moved(&mut iot, &enabled).await;
    at - left.load(Ordering::Relaxed)
}
