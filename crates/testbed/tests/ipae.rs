//! A card with an IPA inside (IPAe), in a device without an IPA: the card polls its eIM by itself
//! through channels of the device.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use certs::{Pki, PkiOptions};
use device::IpaSettings;
use eim::records::{Download, DownloadSource, Outcome, Package, ProfileOperation};
use euicc_sim::{IotDescription, IpaeDescription};
use faults::{Power, PoweredCard};
use ipae::IpaeCard;
use rsp::der::Asn1;
use rsp::ids::{Iccid, TransactionId};
use rsp::sgp22::ProfileState;
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
    let ipae = IpaeDescription { poll_seconds: 60, ..IpaeDescription::default() };
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

// req: SGP.32-Ipae-Poll
#[test]
fn a_card_polls_its_eim_and_executes_a_package() {
    simulate(async |simulation| {
        let mut iot = from_factory(&simulation).await;
        let eim = iot.serve_first_eim().unwrap();
        let list = Package::ProfileOperations(vec![ProfileOperation::ListProfileInfo {}]);
        let id = iot.order(0, list).await.unwrap();
        let card = iot.ipae_card().unwrap();
        run_until_ended(&iot, card, eim.hosts.clone(), &id).await;
        assert!(matches!(results(&iot, &id).await[..], [EuiccResultData::ListProfileInfoResult(_)]));
        let events = iot.events.all();
        assert!(events.iter().any(|event| event.party == "IPAe" && event.function == "GetEimPackage"));
    });
}
