//! Remote provisioning of an IoT device (SGP.32): an eIM, an IPA, a card that signs and installs, an
//! SM-DP+ and networks to lose.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use certs::{Pki, PkiOptions};
use device::IpaSettings;
use device::ipa::{CheckIn, ConnectionChange, ResultDelivery, VisitEnd};
use eim::records::{Download, DownloadSource, Outcome, Package, ProfileOperation};
use euicc_sim::IotDescription;
use rsp::der::Asn1;
use rsp::ids::{Iccid, TransactionId};
use rsp::sgp22::ProfileState;
use rsp::sgp32::{EuiccPackageResult, EuiccResultData};
use rsp::time::Timestamp;
use testbed::iot::{Iot, IotSetup};
use testbed::time::{Simulation, run};

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

#[test]
fn a_device_moves_to_a_local_profile_and_the_former_one_is_deleted() {
    simulate(async |simulation| {
        let mut iot = Iot::from_factory(&simulation, &setup()).await.unwrap();
        assert_eq!(enabled(&mut iot).await, Some(iot.bootstrap));
        let code = iot.release(iot.local).await.unwrap();
        let downloaded = iot.order(0, download(code, false)).await.unwrap();
        let moved = iot.order(0, operations([enable(iot.local)])).await.unwrap();
        let deleted = ProfileOperation::Delete { iccid: iot.bootstrap };
        let deleted = iot.order(0, operations([deleted])).await.unwrap();
        let report = iot.check_in().await.unwrap();
        all_delivered(&report);
        assert!(matches!(iot.outcome(0, &downloaded).await.unwrap(), Some(Outcome::Download(_))));
        assert_eq!(results(&iot, 0, &moved).await, ["enable ok(0)"]);
        assert_eq!(results(&iot, 0, &deleted).await, ["delete ok(0)"]);
        assert_eq!(held(&mut iot).await, [iot.local]);
        assert_eq!(report.registered.unwrap().plmn.to_string(), "262-42");
        // The SM-DP+ knows every event of both profiles.
        assert_eq!(iot.ipa.es10().list_notification().await.unwrap(), []);
        let progress = iot.sm_dp.profile(iot.local).await;
        drop(progress);
        let next = iot.check_in().await.unwrap();
        assert!(next.visits[0].packages.is_empty());
    });
}

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

#[test]
fn a_device_without_service_falls_back_and_returns() {
    simulate(async |simulation| {
        let mut iot = Iot::from_factory(&simulation, &setup()).await.unwrap();
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
        assert_eq!(enabled(&mut iot).await, Some(iot.bootstrap));
        let cause = async |iot: &Iot| {
            let device = iot.first_eim().device(iot.eid().unwrap()).await.unwrap().unwrap();
            device.state_change.unwrap().cause
        };
        assert_eq!(cause(&iot).await, Some(rsp::sgp32::StateChangeCause::FALLBACK));

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
    });
}
