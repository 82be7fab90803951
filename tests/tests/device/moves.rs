//! Moves to another profile, fallback, and power cuts in between.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use device::lpa::{ChangeError, DownloadOptions, Handled};
use device::{Ending, Recovery, Service};
use network::{EmmCause, Policy, RefusalRule};
use rsp::sgp22::es10c::{EnableResult, ResetResult, reset_options};
use sm_dp::ProfileState;

use crate::testbed::{BOOTSTRAP, LOCAL, LinkFailure, Testbed, iccid, plmn, ts48_package};

fn refusing_the_local_profile(cause: EmmCause) -> Policy {
    let rule = RefusalRule { imsi_prefix: "26242".into(), cause };
    Policy { refusals: vec![rule], ..Policy::default() }
}

#[tokio::test]
async fn a_device_moves_to_a_local_profile() {
    moves_to_the_local_profile(Testbed::abroad().await, 3_000).await;
}

#[tokio::test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles (../shared/data/ts48)")]
async fn a_device_moves_from_one_ts48_profile_to_another() {
    let packages = [ts48_package(BOOTSTRAP), ts48_package(LOCAL)];
    moves_to_the_local_profile(Testbed::abroad_with(packages).await, 10_000).await;
}

/// Moves the device and checks the report. `package` is the minimum number of octets that are
/// transferred to deliver the package.
async fn moves_to_the_local_profile(mut testbed: Testbed, package: u64) {
    let code = testbed.order(LOCAL, None).await;
    let report = testbed.device.move_to(&code, DownloadOptions::default(), None).await;
    let Ending::Moved(registered) = &report.ending else { panic!("{:?}", report.ending) };
    assert_eq!((registered.imsi.to_string().as_str(), registered.service), (LOCAL.1, Service::Home));
    assert_eq!(report.ending.registered(), Some(registered));
    let before = report.before.unwrap();
    assert_eq!((before.imsi.to_string().as_str(), before.service), (BOOTSTRAP.1, Service::Roaming));
    assert_eq!(report.bootstrap, Some(iccid(BOOTSTRAP)));
    assert_eq!(testbed.profiles().await, (vec![iccid(BOOTSTRAP), iccid(LOCAL)], Some(iccid(LOCAL))));
    assert_eq!(testbed.state(LOCAL).await, ProfileState::Installed);
    let deliveries = report.notifications.unwrap();
    assert_eq!(deliveries.iter().map(|each| each.event).collect::<Vec<_>>(), ["disable", "enable"]);
    assert!(deliveries.iter().all(|each| each.handled == Handled::Delivered));
    assert!(report.card.apdus > 50 && report.card.to_card > package, "{:?}", report.card);
    assert!(report.http.requests >= 6 && report.http.received > package, "{:?}", report.http);
    // The change is complete.
    testbed.power_cycle();
    let recovery = testbed.device.recover().await;
    assert!(matches!(recovery, Recovery::Working { interrupted: None, .. }), "{recovery:?}");
}

/// The metadata in the response to AuthenticateClient is not signed. The package determines what
/// would be installed.
// req: SGP.22-3.1.3-Metadata
#[tokio::test]
async fn a_profile_announced_with_another_iccid_is_not_installed() {
    let mut testbed = Testbed::abroad().await;
    let code = testbed.order(LOCAL, None).await;
    testbed.inject(&[LinkFailure::Modified("authenticateClient", |answer| {
        // The test changes a digit in the middle of the ICCID, which is the first field of the
        // metadata.
        let mut metadata = answer["profileMetadata"].as_str().unwrap().to_owned();
        let other = if &metadata[12..13] == "E" { "A" } else { "E" };
        metadata.replace_range(12..13, other);
        answer["profileMetadata"] = metadata.into();
    })]);
    let report = testbed.device.move_to(&code, DownloadOptions::default(), None).await;
    let Ending::NotInstalled(why) = &report.ending else { panic!("{:?}", report.ending) };
    let why = why.to_string();
    assert!(why.contains("metadata-mismatch(4)") && why.contains(&iccid(LOCAL).to_string()), "{why}");
    assert_eq!(testbed.profiles().await, (vec![iccid(BOOTSTRAP)], Some(iccid(BOOTSTRAP))));
    // The order is closed, because the package differs from its announcement.
    assert_eq!(testbed.state(LOCAL).await, ProfileState::Error);
}

#[tokio::test]
async fn a_refusal_by_the_network_causes_a_fallback() {
    for cause in [EmmCause::PLMN_NOT_ALLOWED, EmmCause::ILLEGAL_UE, EmmCause(15), EmmCause(17)] {
        let mut testbed = Testbed::abroad().await;
        let code = testbed.order(LOCAL, None).await;
        testbed.networks.set_policy(plmn("262-42"), refusing_the_local_profile(cause));
        let report = testbed.device.move_to(&code, DownloadOptions::default(), None).await;
        let Ending::CameBack { why, registered } = &report.ending else { panic!("{:?}", report.ending) };
        assert!(why.to_string().contains(&cause.to_string()), "{why}");
        assert_eq!(registered.imsi.to_string(), BOOTSTRAP.1);
        assert_eq!(testbed.profiles().await.1, Some(iccid(BOOTSTRAP)));
        assert!(report.notifications.unwrap().iter().all(|each| each.handled == Handled::Delivered));
    }
}

/// Without a limit of the attempts, this test would not end.
#[tokio::test]
async fn a_profile_that_the_card_does_not_have_is_tried_once() {
    let mut testbed = Testbed::abroad().await;
    let report = testbed.device.switch_to(iccid(LOCAL), None).await;
    let Ending::CameBack { why, registered } = &report.ending else { panic!("{:?}", report.ending) };
    assert!(why.to_string().contains("iccid-or-aid-not-found(1)"), "{why}");
    assert_eq!(registered.imsi.to_string(), BOOTSTRAP.1);
    // The other attempt enables the former profile.
    let attempts =
        testbed.timeline().iter().filter(|line| line.contains("-> eUICC ES10c.EnableProfile")).count();
    assert_eq!(attempts, 2);
}

#[tokio::test]
async fn an_enabled_profile_is_enabled_again_without_an_error() {
    let mut testbed = Testbed::abroad().await;
    testbed.device.lpa.enable(iccid(BOOTSTRAP)).await.unwrap();
    let ChangeError::Es10(refused) = testbed.device.lpa.enable(iccid(LOCAL)).await.unwrap_err() else {
        panic!("another error")
    };
    assert_eq!(refused.code(), Some(EnableResult::ICCID_OR_AID_NOT_FOUND.0));
}

/// The traffic of the earlier changes is not counted again.
#[tokio::test]
async fn a_report_has_the_traffic_of_its_own_change() {
    let mut testbed = Testbed::abroad().await;
    let code = testbed.order(LOCAL, None).await;
    let download = testbed.device.move_to(&code, DownloadOptions::default(), None).await;
    let back = testbed.device.switch_to(iccid(BOOTSTRAP), None).await;
    assert!(back.card.to_card < download.card.to_card / 2, "{:?} {:?}", back.card, download.card);
    // The second change has only its two notifications.
    assert!(back.http.requests == 2 && back.http.sent < download.http.sent, "{:?}", back.http);
}

#[tokio::test]
async fn a_memory_reset_deletes_the_profiles_once() {
    let mut testbed = Testbed::abroad().await;
    let options = [reset_options::DELETE_OPERATIONAL_PROFILES];
    testbed.device.lpa.memory_reset(&options).await.unwrap();
    assert_eq!(testbed.profiles().await, (vec![], None));
    let ChangeError::Es10(refused) = testbed.device.lpa.memory_reset(&options).await.unwrap_err() else {
        panic!("another error")
    };
    assert_eq!(refused.code(), Some(ResetResult::NOTHING_TO_DELETE.0));
}

#[tokio::test]
async fn a_failed_download_changes_nothing() {
    let mut testbed = Testbed::abroad().await;
    let code = testbed.order(LOCAL, None).await;
    testbed.inject(&[LinkFailure::RequestLost("initiateAuthentication"); 3]);
    let report = testbed.device.move_to(&code, DownloadOptions::default(), None).await;
    assert!(matches!(report.ending, Ending::NotInstalled(_)));
    assert_eq!(testbed.profiles().await, (vec![iccid(BOOTSTRAP)], Some(iccid(BOOTSTRAP))));
    testbed.power_cycle();
    let Recovery::Working { interrupted: None, .. } = testbed.device.recover().await else { panic!() };
}

#[tokio::test]
async fn a_device_without_coverage_recovers_when_coverage_returns() {
    let mut testbed = Testbed::abroad().await;
    let code = testbed.order(LOCAL, None).await;
    testbed.networks.set_coverage(plmn("262-42"), false);
    let report = testbed.device.move_to(&code, DownloadOptions::default(), None).await;
    assert!(matches!(report.ending, Ending::Stranded { .. }), "{:?}", report.ending);
    assert_eq!(report.notifications.unwrap(), [], "without service the servers cannot be reached");
    let Recovery::Stranded(rejected) = testbed.device.recover().await else { panic!() };
    let tried: Vec<_> = rejected.iter().map(|(iccid, _)| *iccid).collect();
    assert_eq!(tried, [iccid(BOOTSTRAP), iccid(LOCAL)]);
    testbed.networks.set_coverage(plmn("262-42"), true);
    testbed.power_cycle();
    let recovery = testbed.device.recover().await;
    let Recovery::Working { registered, interrupted, notifications } = recovery else {
        panic!("{recovery:?}")
    };
    assert_eq!(
        (registered.imsi.to_string().as_str(), interrupted),
        (BOOTSTRAP.1, Some("the return to the former profile"))
    );
    assert!(notifications.unwrap().iter().all(|each| each.handled == Handled::Delivered));
}

/// The card loses power after each single command of a move in turn, and the device notices it.
#[tokio::test]
async fn the_device_recovers_after_a_card_power_loss_at_any_command() {
    cut_after_every_command(false).await;
}

/// As in the test above, but the device loses power together with its card, so that only the stored
/// data of the device is left.
#[tokio::test]
async fn the_device_recovers_after_a_power_loss_at_any_command() {
    let seen = cut_after_every_command(true).await;
    assert!(seen.contains("a download") && seen.contains("a change of profiles"), "{seen:?}");
}

/// After each cut the device must register, one profile must be enabled, no profile may be
/// installed twice, and a missing local profile must be downloadable again. Returns the interrupted
/// procedures that were found.
async fn cut_after_every_command(is_of_device: bool) -> BTreeSet<&'static str> {
    let mut seen = BTreeSet::new();
    for commands in 1.. {
        let mut testbed = Testbed::abroad().await;
        let code = testbed.order(LOCAL, None).await;
        let power = Arc::clone(&testbed.power);
        power.is_of_device.store(is_of_device, Ordering::SeqCst);
        power.commands_left.store(commands, Ordering::SeqCst);
        let report = tokio::select! {
            report = testbed.device.move_to(&code, DownloadOptions::default(), None) => Some(report),
            () = power.gone.notified() => None,
        };
        if power.commands_left.load(Ordering::SeqCst) > 0 {
            assert!(matches!(report.unwrap().ending, Ending::Moved(_)));
            assert!(commands > 50, "{commands}");
            return seen;
        }
        testbed.power_cycle();
        let recovery = testbed.device.recover().await;
        let Recovery::Working { interrupted, registered, .. } = recovery else {
            panic!("after {commands} commands: {recovery:?}\n{}", testbed.timeline().join("\n"))
        };
        seen.extend(interrupted);
        let (profiles, enabled) = testbed.profiles().await;
        assert_eq!(enabled, Some(registered.iccid), "after {commands} commands");
        match profiles[..] {
            [first, second] => assert_eq!([first, second], [iccid(BOOTSTRAP), iccid(LOCAL)]),
            [only] => {
                assert_eq!(only, iccid(BOOTSTRAP));
                let report = testbed.device.move_to(&code, DownloadOptions::default(), None).await;
                assert!(matches!(report.ending, Ending::Moved(_)), "after {commands}: {:?}", report.ending);
            }
            _ => panic!("after {commands} commands: {profiles:?}"),
        }
    }
    unreachable!("the move ends after some number of commands")
}
