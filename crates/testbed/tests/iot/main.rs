//! Remote provisioning of an IoT device (SGP.32): an eIM, an IPA, a card that signs and installs, an
//! SM-DP+ and networks to lose.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod coap;
mod damage;
mod discovery;
mod installation;
mod interruptions;

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use certs::{Pki, PkiOptions};
use device::IpaSettings;
use device::ipa::{Binding, CheckIn, Connection, ConnectionChange, ResultDelivery, VisitEnd};
use eim::NewDevice;
use eim::records::{DataRequest, Download, DownloadSource, EimOperation, Outcome, Package, ProfileOperation};
use euicc_sim::{IotDescription, TerminalCapabilityRule};
use http::{Request, Response};
use rsp::der::{Asn1, BitString, Raw};
use rsp::finding::FindingKind;
use rsp::ids::{Iccid, SubjectKeyIdentifier, TransactionId};
use rsp::sgp22::ProfileState;
use rsp::sgp32::es10b::{ConfigureImmediateProfileEnablingRequest, EuiccMemoryResetRequest, reset_options};
use rsp::sgp32::esipa::{
    self, EimPackageError, EimPackageResult, EmptyResponse, GetEimPackageResponse,
    ProvideEimPackageResultRequest, ProvideEimPackageResultResponse,
};
use rsp::sgp32::ipa_data::{
    IpaEuiccDataRequest, IpaEuiccDataResponse, ProfileDownloadData, ProfileDownloadTriggerRequest,
    ipa_features,
};
use rsp::sgp32::result::EuiccPackageErrorCode;
use rsp::sgp32::{EuiccPackageResult, EuiccResultData, StateChangeCause};
use rsp::time::Timestamp;
use testbed::iot::{FIRST_EIM, Iot, IotSetup, SECOND_EIM};
use testbed::time::{Simulation, run};
use world::{Link, LinkFault, LinkFaultKind, link_from};

const BEGIN: Timestamp = Timestamp(1_795_000_000_000);

static PKI: LazyLock<Arc<Pki>> =
    LazyLock::new(|| Arc::new(Pki::from_seed(b"iot tests", &PkiOptions::default()).unwrap()));

fn setup() -> IotSetup {
    IotSetup { pki: Arc::clone(&PKI), ipa: IpaSettings::default(), card: IotDescription::default() }
}

fn simulate<T>(simulated: impl AsyncFnOnce(Simulation) -> T) -> T {
    run("iot", BEGIN, simulated).unwrap()
}

fn download(code: String, kept_by_eim: bool) -> Package {
    let source = DownloadSource::ActivationCode(code);
    Package::Download(Download { source, kept_by_eim, iccid: None, policy_rules_allowed: false })
}

fn operations(operations: impl IntoIterator<Item = ProfileOperation>) -> Package {
    Package::ProfileOperations(operations.into_iter().collect())
}

fn enable(iccid: Iccid) -> ProfileOperation {
    ProfileOperation::Enable { iccid, rollback: true }
}

async fn enabled(iot: &mut Iot) -> Option<Iccid> {
    let profiles = iot.ipa.es10().get_profiles_info(None).await.unwrap();
    let enabled = profiles.iter().find(|profile| profile.profile_state == Some(ProfileState::ENABLED));
    enabled.and_then(|profile| profile.iccid)
}

async fn held(iot: &mut Iot) -> Vec<Iccid> {
    let profiles = iot.ipa.es10().get_profiles_info(None).await.unwrap();
    profiles.iter().filter_map(|profile| profile.iccid).collect()
}

/// The results of a package that the eIM has verified, as text.
async fn results(iot: &Iot, eim: usize, id: &TransactionId) -> Vec<String> {
    match iot.outcome(eim, id).await.unwrap() {
        Some(Outcome::EuiccPackage(result)) => match EuiccPackageResult::from_der(&result.0).unwrap() {
            EuiccPackageResult::EuiccPackageResultSigned(signed) => {
                let list = &signed.euicc_package_result_data_signed.euicc_result;
                list.iter().map(|result| text(&result.decode().unwrap())).collect()
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn text(result: &EuiccResultData) -> String {
    match result {
        EuiccResultData::EnableResult(code) => format!("enable {code}"),
        EuiccResultData::DeleteResult(code) => format!("delete {code}"),
        EuiccResultData::RollbackResult(code) => format!("rollback {code}"),
        EuiccResultData::SetFallbackAttributeResult(code) => format!("fallback {code}"),
        EuiccResultData::AddEimResult(_) => "addEim".to_owned(),
        EuiccResultData::DeleteEimResult(code) => format!("deleteEim {code}"),
        other => format!("{other:?}"),
    }
}

fn all_delivered(report: &CheckIn) {
    for visit in &report.visits {
        assert_eq!(visit.end, VisitEnd::NoPackage, "{report:?}");
        for package in &visit.packages {
            assert_eq!(package.delivery, ResultDelivery::Delivered, "{report:?}");
        }
    }
    for delivery in &report.notifications {
        assert_eq!(delivery.failure(), None);
    }
}

// req: SGP.32-3.2.3.1-Direct, SGP.32-3.3.1-Acknowledgements
#[test]
fn a_device_moves_to_a_local_profile_and_the_former_one_is_deleted() {
    let mut setup = setup();
    setup.card.terminal_capability = TerminalCapabilityRule::BeforeChannel;
    simulate(async |simulation| {
        let mut iot = Iot::from_factory(&simulation, &setup).await.unwrap();
        assert_eq!(enabled(&mut iot).await, Some(iot.bootstrap));
        let code = iot.release(iot.local).await.unwrap();
        let downloaded = iot.order(0, download(code, false)).await.unwrap();
        let moved = iot.order(0, operations([enable(iot.local)])).await.unwrap();
        let deleted = ProfileOperation::Delete { iccid: iot.bootstrap };
        let deleted = iot.order(0, operations([deleted])).await.unwrap();
        let data = iot.order(0, Package::Data(DataRequest::default())).await.unwrap();
        let report = iot.check_in().await.unwrap();
        all_delivered(&report);
        assert!(matches!(iot.outcome(0, &data).await.unwrap(), Some(Outcome::Data(_))));
        let events = iot.events.all();
        let findings: Vec<_> = events.iter().flat_map(|event| &event.findings).collect();
        assert!(findings.is_empty(), "{findings:?}");
        assert!(matches!(iot.outcome(0, &downloaded).await.unwrap(), Some(Outcome::Download(_))));
        assert_eq!(results(&iot, 0, &moved).await, ["enable ok(0)"]);
        assert_eq!(results(&iot, 0, &deleted).await, ["delete ok(0)"]);
        assert_eq!(held(&mut iot).await, [iot.local]);
        assert_eq!(report.registered.unwrap().plmn.to_string(), "262-42");
        let (all, direct) = (iot.ipa.http_traffic(), iot.ipa.lpa().http_traffic());
        assert!(0 < direct.sent && direct.sent < all.sent, "{direct:?} {all:?}");
        // An eIM is not informed of the effects of its own packages.
        let device = iot.first_eim().unwrap().device(iot.eid().unwrap()).await.unwrap().unwrap();
        assert_eq!(device.state_change.and_then(|change| change.cause), None);
        // The SM-DP+ knows every event of both profiles.
        assert_eq!(iot.ipa.es10().list_notification().await.unwrap(), []);
        let next = iot.check_in().await.unwrap();
        assert!(next.visits[0].packages.is_empty());
    });
}

// req: SGP.32-3.3.2-Rollback
#[test]
fn a_profile_without_service_is_rolled_back_and_the_eim_gets_the_result() {
    simulate(async |simulation| {
        let mut iot = Iot::from_factory(&simulation, &setup()).await.unwrap();
        let code = iot.release(iot.local).await.unwrap();
        iot.order(0, download(code, false)).await.unwrap();
        iot.check_in().await.unwrap();
        let refusal = network::Policy::refusing_everybody(network::EmmCause::PLMN_NOT_ALLOWED);
        assert!(iot.networks.set_policy(testbed::iot::LOCAL.parse().unwrap(), refusal));
        let moved = iot.order(0, operations([enable(iot.local)])).await.unwrap();
        let report = iot.check_in().await.unwrap();
        assert_eq!(report.changes, [ConnectionChange::RolledBack]);
        all_delivered(&report);
        assert_eq!(enabled(&mut iot).await, Some(iot.bootstrap));
        assert_eq!(results(&iot, 0, &moved).await, ["rollback ok(0)"]);
        assert_eq!(iot.ipa.es10().list_notification().await.unwrap(), []);
    });
}

// req: SGP.32-3.3.2-Undeliverable
#[test]
fn a_result_that_cannot_be_delivered_after_a_loss_of_power_is_rolled_back() {
    for has_service in [true, false] {
        simulate(async |simulation| {
            let mut setup = setup();
            setup.ipa.device.request_tries = 1;
            let mut iot = Iot::from_factory(&simulation, &setup).await.unwrap();
            let code = iot.release(iot.local).await.unwrap();
            iot.order(0, download(code, false)).await.unwrap();
            iot.check_in().await.unwrap();
            let moved = iot.order(0, operations([enable(iot.local)])).await.unwrap();
            // The power fails while the result of the first attempt is on its way.
            let real = iot.first_eim().unwrap().link();
            iot.substitute_first_eim(losing_results(&real, None)).unwrap();
            assert!(tokio::time::timeout(Duration::from_secs(600), iot.check_in()).await.is_err());
            // The new profile has service, but the eIM is in reach only after three attempts; or the new
            // profile has no service any more.
            let lost = if has_service { 3 } else { 0 };
            iot.substitute_first_eim(losing_results(&real, Some(lost))).unwrap();
            if !has_service {
                let refusal = network::Policy::refusing_everybody(network::EmmCause::ILLEGAL_UE);
                iot.networks.set_policy(testbed::iot::LOCAL.parse().unwrap(), refusal);
            }
            let report = iot.check_in().await.unwrap();
            assert_eq!(report.changes, [ConnectionChange::RolledBack]);
            assert_eq!(report.registered.unwrap().iccid, iot.bootstrap);
            assert_eq!(enabled(&mut iot).await, Some(iot.bootstrap));
            assert_eq!(results(&iot, 0, &moved).await, ["rollback ok(0)"]);
        });
    }
}

/// An eIM that loses this number of results; without a number, it never answers a result.
fn losing_results(real: &Link, count: Option<usize>) -> Link {
    let (real, left) = (real.clone(), Arc::new(Mutex::new(count)));
    link_from(tower::service_fn(move |request: Request<Bytes>| {
        let (real, left) = (real.clone(), Arc::clone(&left));
        async move {
            if ProvideEimPackageResultRequest::from_der(request.body()).is_err() {
                return world::send(&real, request).await;
            }
            let lost = || LinkFault::new(LinkFaultKind::Timeout, "eIM", "the result was lost");
            let count = *left.lock().unwrap();
            match count {
                None => std::future::pending().await,
                Some(0) => world::send(&real, request).await,
                Some(count) => {
                    *left.lock().unwrap() = Some(count - 1);
                    Err(lost())
                }
            }
        }
    }))
}

// req: SGP.32-3.6-Fallback, SGP.32-3.6-Return
#[test]
fn a_device_without_service_falls_back_and_returns() {
    simulate(async |simulation| fall_back_and_return(&simulation, &setup(), "ES9+").await);
}

// req: SGP.32-3.7-Indirect
#[test]
fn the_notifications_of_a_fallback_go_through_the_eim_if_the_ipa_has_no_other_way() {
    let mut setup = setup();
    setup.ipa.features = vec![ipa_features::INDIRECT_RSP_SERVER_COMMUNICATION];
    simulate(async |simulation| fall_back_and_return(&simulation, &setup, "ESipa").await);
}

/// `interface` is that of the notifications.
async fn fall_back_and_return(simulation: &Simulation, setup: &IotSetup, interface: &str) {
    let mut iot = Iot::from_factory(simulation, setup).await.unwrap();
    let code = iot.release(iot.local).await.unwrap();
    iot.order(0, download(code, false)).await.unwrap();
    iot.order(0, operations([enable(iot.local)])).await.unwrap();
    let attribute = ProfileOperation::SetFallbackAttribute { iccid: iot.bootstrap };
    let attribute = iot.order(0, operations([attribute])).await.unwrap();
    iot.check_in().await.unwrap();
    assert_eq!(results(&iot, 0, &attribute).await, ["fallback ok(0)"]);
    assert_eq!(enabled(&mut iot).await, Some(iot.local));

    let local = testbed::iot::LOCAL.parse().unwrap();
    iot.networks.set_coverage(local, false);
    let report = iot.check_in().await.unwrap();
    assert_eq!(report.changes, [ConnectionChange::FellBack]);
    all_delivered(&report);
    assert_eq!(report.notifications.len(), 2);
    let events = iot.events.all();
    let sent = events.iter().rfind(|event| event.party == "IPA" && event.function == "HandleNotification");
    assert_eq!(sent.unwrap().interface, interface);
    assert_eq!(enabled(&mut iot).await, Some(iot.bootstrap));
    let cause = async |iot: &Iot| {
        let device = iot.first_eim().unwrap().device(iot.eid().unwrap()).await.unwrap().unwrap();
        device.state_change.unwrap().cause
    };
    assert_eq!(cause(&iot).await, Some(StateChangeCause::FALLBACK));

    // The local network is still away after an hour, and back after two. The device remembers its
    // fallback when the power is off.
    for (hours, back, changes) in [
        (1, false, vec![ConnectionChange::ReturnedFromFallback, ConnectionChange::FellBack]),
        (2, true, vec![ConnectionChange::ReturnedFromFallback]),
    ] {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        iot.networks.set_coverage(local, back);
        iot.power_cycle().unwrap();
        let report = iot.check_in().await.unwrap();
        assert_eq!(report.changes, changes, "after {hours} hours");
        all_delivered(&report);
    }
    assert_eq!(enabled(&mut iot).await, Some(iot.local));
    assert_eq!(iot.check_in().await.unwrap().changes, []);
}

// req: SGP.32-5.14.5-Ipa
#[test]
fn a_device_is_handed_over_to_a_second_eim() {
    simulate(async |simulation| {
        let mut iot = Iot::from_factory(&simulation, &setup()).await.unwrap();
        let eid = iot.eid().unwrap();
        let second = Box::new(iot.eim(1).unwrap().configuration());
        let added = iot.order(0, Package::EimOperations(vec![EimOperation::AddEim(second)])).await.unwrap();
        let deletion = EimOperation::DeleteEim { eim_id: FIRST_EIM.to_owned() };
        let deleted = iot.order(0, Package::EimOperations(vec![deletion])).await.unwrap();
        iot.eim(1).unwrap().register(&NewDevice::new(eid)).await.unwrap();
        let code = iot.release(iot.local).await.unwrap();
        iot.order(1, download(code, false)).await.unwrap();
        let moved = iot.order(1, operations([enable(iot.local)])).await.unwrap();
        // The result of the deletion reaches the deleted eIM. The second one is visited at once.
        let report = iot.check_in().await.unwrap();
        all_delivered(&report);
        let visited: Vec<_> = report.visits.iter().map(|visit| visit.eim_id.as_str()).collect();
        assert_eq!(visited, [FIRST_EIM, SECOND_EIM]);
        assert_eq!(results(&iot, 0, &added).await, ["addEim"]);
        assert_eq!(results(&iot, 0, &deleted).await, ["deleteEim ok(0)"]);
        assert_eq!(results(&iot, 1, &moved).await, ["enable ok(0)"]);
        assert_eq!(enabled(&mut iot).await, Some(iot.local));
        let device = iot.eim(1).unwrap().device(eid).await.unwrap().unwrap();
        assert_eq!(device.state_change.unwrap().cause, Some(StateChangeCause::OTHER_EIM));
        let next = iot.check_in().await.unwrap();
        assert_eq!(next.visits.len(), 1, "{next:?}");
    });
}

/// The answer to the result of deleteEim is lost, and the power too: the former eIM still gets the result.
#[test]
fn a_deleted_eim_gets_its_last_result_after_a_loss_of_power() {
    simulate(async |simulation| {
        let mut setup = setup();
        setup.ipa.device.request_tries = 1;
        let mut iot = Iot::from_factory(&simulation, &setup).await.unwrap();
        let second = Box::new(iot.eim(1).unwrap().configuration());
        let deletion = EimOperation::DeleteEim { eim_id: FIRST_EIM.to_owned() };
        let ecos = vec![EimOperation::AddEim(second), deletion];
        let deleted = iot.order(0, Package::EimOperations(ecos)).await.unwrap();
        iot.eim(1).unwrap().register(&NewDevice::new(iot.eid().unwrap())).await.unwrap();
        iot.faults.install("link/lose-request@ESipa.ProvideEimPackageResult#1".parse().unwrap());
        iot.check_in().await.unwrap();
        assert_eq!(iot.outcome(0, &deleted).await.unwrap(), None);
        iot.power_cycle().unwrap();
        iot.check_in().await.unwrap();
        assert_eq!(results(&iot, 0, &deleted).await, ["addEim", "deleteEim ok(0)"]);
    });
}

#[test]
fn a_replayed_package_is_refused_and_not_executed_again() {
    simulate(async |simulation| {
        let mut iot = Iot::from_factory(&simulation, &setup()).await.unwrap();
        let list = iot.order(0, operations([ProfileOperation::ListProfileInfo {}])).await.unwrap();
        iot.check_in().await.unwrap();
        let order = iot.found(0, &list).await.unwrap();
        let package = Raw::from_der(&order.state.delivery().unwrap().package.0).unwrap();
        let result = iot.ipa.es10().load_euicc_package(&package).await.unwrap();
        let EuiccPackageResult::EuiccPackageErrorSigned(error) = &*result else { panic!("{result:?}") };
        let code = error.euicc_package_error_data_signed.euicc_package_error_code;
        assert_eq!(code, EuiccPackageErrorCode::REPLAY_ERROR);
        let events = iot.events.all();
        let loaded = events.iter().rfind(|event| event.function == "LoadEuiccPackage").unwrap();
        assert_eq!(loaded.outcome, world::Outcome::Refused("replay-error(4)".to_owned()));
        // The eUICC keeps no result of an error.
        assert!(iot.check_in().await.unwrap().visits[0].packages.is_empty());
    });
}

/// The eUICC gets a new association while a package with the former token is on its way.
#[test]
fn a_package_with_another_token_is_refused_and_the_eim_learns_the_token() {
    simulate(async |simulation| {
        let mut setup = setup();
        setup.ipa.device.request_tries = 1;
        let mut iot = Iot::from_factory(&simulation, &setup).await.unwrap();
        let first = iot.order(0, operations([ProfileOperation::ListProfileInfo {}])).await.unwrap();
        iot.faults.install("link/lose-answer@ESipa.GetEimPackage#1".parse().unwrap());
        iot.check_in().await.unwrap();
        let reset_options = BitString::of(&[reset_options::RESET_EIM_CONFIG_DATA]);
        iot.ipa.es10().iot_memory_reset(&EuiccMemoryResetRequest { reset_options }).await.unwrap();
        let configuration = iot.eim_configuration(0).unwrap();
        iot.ipa.add_initial_eim(vec![configuration]).await.unwrap();
        let second = iot.order(0, operations([ProfileOperation::ListProfileInfo {}])).await.unwrap();
        let report = iot.check_in().await.unwrap();
        all_delivered(&report);
        let Some(Outcome::EuiccPackage(refused)) = iot.outcome(0, &first).await.unwrap() else { panic!() };
        let refused = EuiccPackageResult::from_der(&refused.0).unwrap();
        assert!(matches!(refused, EuiccPackageResult::EuiccPackageErrorUnsigned(_)), "{refused:?}");
        assert_eq!(results(&iot, 0, &second).await.len(), 1);
    });
}

// req: SGP.32-3.2.3.2-Indirect, SGP.32-5.14.2-IpaCompact, SGP.32-5.14.3-IpaCompact
#[test]
fn an_ipa_downloads_through_the_eim_in_every_binding_and_in_full_and_compact_forms() {
    use ipa_features as f;
    let features = vec![f::INDIRECT_RSP_SERVER_COMMUNICATION, f::EIM_DOWNLOAD_DATA_HANDLING];
    let minimal =
        [f::EIM_CTX_PARAMS1_GENERATION, f::EIM_PROFILE_METADATA_VERIFICATION, f::MINIMIZE_ESIPA_BYTES];
    for binding in [Binding::Asn1, Binding::Json, Binding::Coap] {
        for kept in [false, true] {
            let [full, compact] = [&[][..], &minimal].map(|more| {
                let mut setup = setup();
                setup.ipa.binding = Some(binding);
                setup.ipa.features = [&features, more].concat();
                simulate(async |simulation| {
                    let mut iot = Iot::from_factory(&simulation, &setup).await.unwrap();
                    let code = iot.release(iot.local).await.unwrap();
                    let id = iot.order(0, download(code, kept)).await.unwrap();
                    let moved = iot.order(0, operations([enable(iot.local)])).await.unwrap();
                    iot.events.take();
                    let report = iot.check_in().await.unwrap();
                    all_delivered(&report);
                    let outcome = iot.outcome(0, &id).await.unwrap();
                    let is_installed =
                        matches!(outcome, Some(Outcome::Download(_) | Outcome::Installation(_)));
                    assert!(is_installed, "{binding:?} {more:?} {kept}: {outcome:?} {report:?}");
                    assert_eq!(results(&iot, 0, &moved).await, ["enable ok(0)"]);
                    assert_eq!(iot.ipa.es10().list_notification().await.unwrap(), []);
                    assert_eq!(iot.eim(0).unwrap().waiting_notifications().await.unwrap(), []);
                    ["InitiateAuthentication", "AuthenticateClient", "GetBoundProfilePackage"]
                        .map(|function| sent(&iot, function))
                })
            });
            assert!(compact.iter().zip(&full).all(|(compact, full)| compact < full), "{compact:?} {full:?}");
        }
    }
}

/// The octets of a request of the IPA.
fn sent(iot: &Iot, function: &str) -> u64 {
    let events = iot.events.all();
    events.iter().find(|event| event.party == "IPA" && event.function == function).unwrap().bytes_sent
}

/// The eIM has forwarded the result to the SM-DP+, so the card must not keep it.
#[test]
fn the_acknowledgement_of_an_installation_through_the_eim_is_repeated() {
    simulate(async |simulation| {
        let mut setup = setup();
        setup.ipa.features = vec![ipa_features::INDIRECT_RSP_SERVER_COMMUNICATION];
        let mut iot = Iot::from_factory(&simulation, &setup).await.unwrap();
        let code = iot.release(iot.local).await.unwrap();
        let id = iot.order(0, download(code, false)).await.unwrap();
        iot.faults.install("link/lose-answer@ESipa.ProvideEimPackageResult#1".parse().unwrap());
        iot.check_in().await.unwrap();
        assert_eq!(iot.faults.injected_count(), 1);
        assert!(matches!(iot.outcome(0, &id).await.unwrap(), Some(Outcome::Installation(_))));
        assert_eq!(iot.ipa.es10().list_notification().await.unwrap(), []);
    });
}

// req: SGP.32-5.9.15-Ipa
#[test]
fn a_downloaded_profile_is_enabled_immediately_if_the_card_is_configured_for_it() {
    simulate(async |simulation| {
        let mut iot = Iot::from_factory(&simulation, &setup()).await.unwrap();
        // An associated eIM must configure it.
        let request = ConfigureImmediateProfileEnablingRequest::default();
        assert!(iot.ipa.configure_immediate_profile_enabling(&request).await.is_err());
        let configure = ProfileOperation::ConfigureImmediateEnable {
            allowed: true,
            smdp_oid: None,
            smdp_address: Some(testbed::consumer::SM_DP.to_owned()),
        };
        iot.order(0, operations([configure])).await.unwrap();
        let code = iot.release(iot.local).await.unwrap();
        let id = iot.order(0, download(code, false)).await.unwrap();
        let report = iot.check_in().await.unwrap();
        assert_eq!(report.changes, [ConnectionChange::ImmediatelyEnabled]);
        all_delivered(&report);
        assert_eq!(enabled(&mut iot).await, Some(iot.local));
        assert!(matches!(iot.outcome(0, &id).await.unwrap(), Some(Outcome::Download(_))));
        let device = iot.first_eim().unwrap().device(iot.eid().unwrap()).await.unwrap().unwrap();
        assert_eq!(device.state_change.unwrap().cause, Some(StateChangeCause::IMMEDIATE_ENABLE_PROFILE));
    });
}

/// Each answer of the eIM is lost once, with and without a loss of power after it.
// req: SGP.32-3.3.1-KeptResults
#[test]
fn a_lost_answer_executes_no_package_twice_and_eim_and_card_agree() {
    // A visit has three packages and four polls.
    for (place, times) in [("ESipa.GetEimPackage", 4), ("ESipa.ProvideEimPackageResult", 3)] {
        for (fault, number) in
            (1..=times).flat_map(|number| ["lose-answer", "lose-request"].map(|it| (it, number)))
        {
            for power in [false, true] {
                let spec = format!("link/{fault}@{place}#{number}");
                simulate(async |simulation| lost(&simulation, &spec, power).await);
            }
        }
    }
}

async fn lost(simulation: &Simulation, spec: &str, power: bool) {
    let mut setup = setup();
    setup.ipa.device.request_tries = 1;
    let mut iot = Iot::from_factory(simulation, &setup).await.unwrap();
    let code = iot.release(iot.local).await.unwrap();
    let downloaded = iot.order(0, download(code, false)).await.unwrap();
    let moved = iot.order(0, operations([enable(iot.local)])).await.unwrap();
    let deletion = ProfileOperation::Delete { iccid: iot.bootstrap };
    let deleted = iot.order(0, operations([deletion])).await.unwrap();
    iot.events.take();
    iot.faults.install(spec.parse().unwrap());
    for _ in 0..4 {
        iot.check_in().await.unwrap();
        if power {
            iot.power_cycle().unwrap();
        }
    }
    let context = format!("{spec}, power {power}");
    assert_eq!(iot.faults.injected_count(), 1, "{context}");
    assert!(
        matches!(iot.outcome(0, &downloaded).await.unwrap(), Some(Outcome::Download(_))),
        "{context}: {:?}",
        iot.outcome(0, &downloaded).await
    );
    assert_eq!(results(&iot, 0, &moved).await, ["enable ok(0)"], "{context}");
    assert_eq!(results(&iot, 0, &deleted).await, ["delete ok(0)"], "{context}");
    assert_eq!((held(&mut iot).await, enabled(&mut iot).await), (vec![iot.local], Some(iot.local)));
    assert_eq!(iot.ipa.es10().list_notification().await.unwrap(), [], "{context}");
    let loaded = |function: &str| {
        let events = iot.events.all();
        let loaded = events.iter().filter(|event| event.function == function);
        loaded.filter(|event| event.outcome == world::Outcome::Done).count()
    };
    assert_eq!((loaded("LoadEuiccPackage"), loaded("LoadBoundProfilePackage")), (2, 1), "{context}");
}

/// The eIM is out of reach after a change of the profile, although the device has service.
// req: SGP.32-3.3.2-Undeliverable
#[test]
fn a_result_that_cannot_be_delivered_leads_to_a_rollback() {
    simulate(async |simulation| {
        let mut iot = Iot::from_factory(&simulation, &setup()).await.unwrap();
        let code = iot.release(iot.local).await.unwrap();
        iot.order(0, download(code, false)).await.unwrap();
        iot.check_in().await.unwrap();
        let moved = iot.order(0, operations([enable(iot.local)])).await.unwrap();
        let tries = setup().ipa.delivery_tries * setup().ipa.device.request_tries;
        iot.faults.install(
            format!("link/lose-request=1s@ESipa.ProvideEimPackageResult#1-{tries}").parse().unwrap(),
        );
        let begin = tokio::time::Instant::now();
        let report = iot.check_in().await.unwrap();
        // The pauses of the device before the second and the third attempt.
        assert!(begin.elapsed() >= Duration::from_secs(20 + 30));
        assert_eq!(report.changes, [ConnectionChange::RolledBack]);
        all_delivered(&report);
        assert_eq!(enabled(&mut iot).await, Some(iot.bootstrap));
        assert_eq!(results(&iot, 0, &moved).await, ["rollback ok(0)"]);
    });
}

/// An eIM that sends these packages, and its results.
fn scripted(packages: Vec<Vec<u8>>) -> (Link, Arc<Mutex<Vec<EimPackageResult>>>) {
    let results: Arc<Mutex<Vec<EimPackageResult>>> = Arc::default();
    let (received, mut packages) = (Arc::clone(&results), packages.into_iter());
    let next = Arc::new(Mutex::new(move || packages.next()));
    let none = GetEimPackageResponse::EimPackageError(EimPackageError::NO_EIM_PACKAGE_AVAILABLE).to_der();
    let link = link_from(tower::service_fn(move |request: Request<Bytes>| {
        let answer = match ProvideEimPackageResultRequest::from_der(request.body()) {
            Ok(result) => {
                received.lock().unwrap().push(result.eim_package_result);
                ProvideEimPackageResultResponse::EmptyResponse(EmptyResponse {}).to_der()
            }
            Err(_) => (next.lock().unwrap())().unwrap_or_else(|| none.clone()),
        };
        let answer =
            Response::builder().header("Content-Type", esipa::asn1::CONTENT_TYPE).body(answer.into());
        async { Ok::<_, LinkFault>(answer.unwrap()) }
    }));
    (link, results)
}

fn data_request(tag_list: &str, ci: Option<SubjectKeyIdentifier>) -> Vec<u8> {
    GetEimPackageResponse::IpaEuiccDataRequest(IpaEuiccDataRequest {
        tag_list: hex::decode(tag_list).unwrap(),
        euicc_ci_pk_identifier_to_be_used: ci,
        search_criteria_notification: None,
        search_criteria_euicc_package_result: None,
        eim_transaction_id: None,
    })
    .to_der()
}

fn trigger(data: Option<ProfileDownloadData>) -> Vec<u8> {
    let trigger = ProfileDownloadTriggerRequest { profile_download_data: data, eim_transaction_id: None };
    GetEimPackageResponse::ProfileDownloadTriggerRequest(trigger).to_der()
}

// req: SGP.32-2.11.1.2-TagList, SGP.32-2.11.1.3-Format, SGP.32-3.3.1-InvalidFormat
#[test]
fn requests_that_the_ipa_cannot_process_are_refused() {
    simulate(async |simulation| {
        let mut setup = setup();
        setup.ipa.features = vec![ipa_features::DIRECT_RSP_SERVER_COMMUNICATION];
        let mut iot = Iot::from_factory(&simulation, &setup).await.unwrap();
        let damaged_code = ProfileDownloadData::ActivationCode("nonsense".to_owned());
        let (eim, results) = scripted(vec![
            data_request("5A", None),
            // The list of tags that IPAs of v1.0 understood.
            data_request("80BF20BF228384A5A688A9BF2B", None),
            data_request("A6", Some(SubjectKeyIdentifier(vec![1; 20]))),
            trigger(Some(damaged_code)),
            // The IPA needs the download data.
            trigger(None),
            hex::decode("BF4F020500").unwrap(),
        ]);
        iot.substitute_first_eim(eim).unwrap();
        let report = iot.check_in().await.unwrap();
        assert!(matches!(report.visits[0].end, VisitEnd::Failed(_)), "{report:?}");
        let described: Vec<_> =
            report.visits[0].packages.iter().map(|package| package.results.join(" ")).collect();
        let invalid = "invalid-package-format(1)";
        let other_ci = "euicc-ci-pk-id-not-found(5)";
        assert_eq!(described, ["incorrect-tag-list(1)", "data", other_ci, invalid, invalid, invalid]);
        let results = results.lock().unwrap();
        let EimPackageResult::IpaEuiccDataResponse(data) = &results[1] else { panic!("{results:?}") };
        let IpaEuiccDataResponse::IpaEuiccData(data) = &**data else { panic!("{data:?}") };
        assert!(data.notifications_list.is_some(), "{data:?}");
        let features = &data.ipa_capabilities.as_ref().unwrap().ipa_features;
        assert!(features.has(ipa_features::DIRECT_RSP_SERVER_COMMUNICATION), "{features:?}");
        let events = iot.events.all();
        let findings = events.iter().flat_map(|event| &event.findings);
        assert_eq!(findings.filter(|finding| finding.kind == FindingKind::OtherTag).count(), 3);
    });
}

// req: SGP.32-2.11.2.2-Ecall
#[test]
fn requests_are_refused_while_the_emergency_profile_is_enabled() {
    simulate(async |simulation| {
        let mut setup = setup();
        setup.ipa.connection = Connection::Other;
        let mut iot = Iot::from_factory(&simulation, &setup).await.unwrap();
        let package = testbed::subscription::own_package(testbed::iot::LOCAL, 3, "Emergency").unwrap();
        let options = sm_dp::ProfileOptions { ecall_indication: true, ..sm_dp::ProfileOptions::default() };
        let emergency = iot.sm_dp.party().unwrap().add_profile(&package, &options).await.unwrap();
        let code = iot.release(emergency).await.unwrap();
        iot.order(0, download(code, false)).await.unwrap();
        iot.check_in().await.unwrap();
        iot.ipa.begin_emergency().await.unwrap();
        assert_eq!(enabled(&mut iot).await, Some(emergency));
        let code = iot.release(iot.local).await.unwrap();
        iot.order(0, Package::Data(DataRequest::default())).await.unwrap();
        iot.order(0, download(code, false)).await.unwrap();
        let report = iot.check_in().await.unwrap();
        let described: Vec<_> =
            report.visits[0].packages.iter().map(|package| package.results.join(" ")).collect();
        assert_eq!(described, ["ecall-active(104)", "the Emergency Profile is active"]);
        iot.ipa.end_emergency().await.unwrap();
        assert_eq!(enabled(&mut iot).await, Some(iot.bootstrap));
        let refused = iot.ipa.end_emergency().await.unwrap_err();
        assert!(refused.to_string().contains("DisableEmergencyProfile"), "{refused}");
    });
}
