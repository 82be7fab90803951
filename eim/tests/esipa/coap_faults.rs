//! ESipa over CoAP while messages are lost, repeated, reordered, delayed or damaged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use faults::{CoapAct, Entry, FaultId, FaultInjector, FaultSpec, catalogue};
use http::Request;
use rsp::sgp32::{
    self,
    esipa::{
        GetEimPackageRequest, GetEimPackageResponse, MessageFromIpa, ProvideEimPackageResultResponse,
        USER_AGENT_IPAD, asn1,
    },
};
use tokio::time::Instant;
use world::{Link, SeededRandom, link_from};

use super::downloads::download_through_the_eim;
use super::support::*;

const DIRECTIONS: [&str; 2] = ["to-server", "from-server"];

/// A link over CoAP with a fault. The requests that the eIM executes are counted.
struct Faulty {
    ipa: Ipa,
    faults: FaultInjector,
    executed: Arc<AtomicU32>,
}

impl Faulty {
    fn over(testbed: &Testbed, block_size: usize, fault: &str) -> Self {
        let fault: FaultSpec = fault.parse().unwrap();
        let faults = FaultInjector::new(SeededRandom::from_text("CoAP faults"), [fault]);
        let executed = Arc::<AtomicU32>::default();
        let (eim, count) = (testbed.eim.link(), Arc::clone(&executed));
        let counted = link_from(tower::service_fn(move |request: Request<Bytes>| {
            count.fetch_add(1, Ordering::SeqCst);
            let eim = eim.clone();
            async move { world::send(&eim, request).await }
        }));
        let link = testbed.coap_link(counted, block_size, |dial| faults.coap_client(dial));
        Self { ipa: Ipa { link, binding: Binding::Coap }, faults, executed }
    }

    fn executed(&self) -> u32 {
        self.executed.load(Ordering::SeqCst)
    }

    fn injected(&self) -> u32 {
        self.faults.injected_count()
    }

    fn occasions(&self) -> u32 {
        self.faults.occasions()[0].1
    }
}

/// The faults that damage a message or replace it by another, or the others.
fn faults_that_damage(damage: bool) -> impl Iterator<Item = &'static Entry> {
    let is_asked = move |id| match id {
        FaultId::Coap(act) => {
            let damages = [CoapAct::Truncate, CoapAct::Corrupt, CoapAct::Reset, CoapAct::WrongToken];
            damages.contains(&act) == damage
        }
        _ => false,
    };
    catalogue::all().filter(move |entry| is_asked(entry.id))
}

/// Polls for a package, delivers its result and downloads a profile: GetEimPackage,
/// ProvideEimPackageResult, InitiateAuthentication, AuthenticateClient, GetBoundProfilePackage and
/// HandleNotification. Returns the number of requests.
async fn conversation(testbed: &Testbed, ipa: &Ipa) -> u32 {
    let mut card = testbed.registered_with(&[1, 2]).await;
    let order = testbed.enable(&card).await;
    let package = ipa.package(card.eid).await;
    let result = card.execute(&package);
    let sequence = card.sequence;
    assert_eq!(ipa.provide_result(card.eid, result).await, acknowledged(&[sequence]));
    testbed.outcome(&order).await;
    download_through_the_eim(testbed, ipa, &card, true, false).await;
    // The two before, and five of the download, which starts with a poll.
    7
}

async fn survives(fault: &str) -> Faulty {
    let testbed = Testbed::new();
    let faulty = Faulty::over(&testbed, 512, fault);
    let requests = conversation(&testbed, &faulty.ipa).await;
    assert_eq!(faulty.executed(), requests, "{fault}: a request was not executed once");
    faulty
}

#[tokio::test(start_paused = true)]
async fn every_function_survives_the_loss_repetition_and_delay_of_each_message() {
    for Entry { name: fault, .. } in faults_that_damage(false) {
        for direction in DIRECTIONS {
            let messages = survives(&format!("{fault}@{direction}#9999")).await.occasions();
            assert!(messages > 10, "{messages} messages");
            for number in 1..=messages {
                let fault = format!("{fault}@{direction}#{number}");
                assert_eq!(survives(&fault).await.injected(), 1, "{fault}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_function_survives_a_bad_network() {
    for fault in ["coap/lose#20%", "coap/duplicate#50%", "coap/reorder#20%", "coap/delay=3s#30%"] {
        assert!(survives(fault).await.injected() > 3, "{fault}");
    }
}

/// DTLS does not let damaged messages through, so that only a faulty peer can send them. The damage is in
/// the header, the token or the first options; what a package contains is protected by its signature.
#[tokio::test(start_paused = true)]
async fn a_damaged_message_ends_in_a_result_or_an_error_in_bounded_time() {
    let mut failed = 0;
    for entry in faults_that_damage(true) {
        let values: Vec<_> = match entry.value {
            Some(_) => (0..8).map(|octet| format!("={octet}")).collect(),
            None => vec![String::new()],
        };
        for direction in DIRECTIONS {
            for (number, value) in (1..=6).flat_map(|number| values.iter().map(move |value| (number, value)))
            {
                let fault = format!("{}{value}@{direction}#{number}", entry.name);
                let testbed = Testbed::new();
                let mut card = testbed.registered().await;
                let order = testbed.enable(&card).await;
                let faulty = Faulty::over(&testbed, 64, &fault);
                let mut result = None;
                // An IPA polls again until it has delivered its result.
                for attempt in 1..=3 {
                    let (started, before) = (Instant::now(), faulty.executed());
                    let done = attempt_package(&faulty.ipa.link, &mut card, &mut result).await;
                    assert!(started.elapsed() < Duration::from_secs(400), "{fault}: {:?}", started.elapsed());
                    // Two requests, and one that was damaged so that it counts as another message.
                    assert!(faulty.executed() - before <= 3, "{fault}: {} requests", faulty.executed());
                    match done {
                        true => break,
                        false => failed += 1,
                    }
                    assert!(attempt < 3, "{fault}: every attempt failed");
                }
                testbed.outcome(&order).await;
                assert_eq!(faulty.injected(), 1, "{fault}");
            }
        }
    }
    assert!(failed > 0, "no fault had an effect");
}

/// Fetches the package, executes it unless that was done, and delivers the result. False if a step
/// failed.
async fn attempt_package(
    link: &Link,
    card: &mut Card,
    result: &mut Option<sgp32::EuiccPackageResult>,
) -> bool {
    if result.is_none() {
        let poll = GetEimPackageRequest {
            eid_value: card.eid,
            notify_state_change: None,
            state_change_cause: None,
            r_plmn: None,
        };
        let request = MessageFromIpa::GetEimPackageRequest(poll);
        let Some(GetEimPackageResponse::EuiccPackageRequest(package)) = call(link, request).await else {
            return false;
        };
        *result = Some(card.execute(&package));
    }
    let Some(result) = result.clone() else { return false };
    let request = provided(card.eid, result);
    let answer: Option<ProvideEimPackageResultResponse> = call(link, request).await;
    matches!(answer, Some(ProvideEimPackageResultResponse::EimAcknowledgements(_)))
}

fn provided(eid: rsp::ids::Eid, result: sgp32::EuiccPackageResult) -> MessageFromIpa {
    use rsp::{der::Raw, sgp32::esipa};
    MessageFromIpa::ProvideEimPackageResult(esipa::ProvideEimPackageResultRequest {
        eid_value: Some(eid),
        eim_package_result: esipa::EimPackageResult::EuiccPackageResult(Box::new(Raw::new(result))),
    })
}

async fn call<R: rsp::sgp32::esipa::Reply>(link: &Link, message: MessageFromIpa) -> Option<R> {
    let request = asn1::request(VERSION, sgp32::Version::V1_2, USER_AGENT_IPAD, &message);
    let response = world::send(link, request).await.ok()?;
    asn1::answer(&response).ok()
}
