//! Downloads that succeed, are refused or cancelled, or lose the connection (SGP.22 sections 3.0.1
//! to 3.1.3).

use device::lpa::{DownloadError, DownloadOptions, Es9Error, Handled, SessionError};
use rsp::activation_code::ActivationCode;
use rsp::sgp22::CancelSessionReason;
use rsp::status::Status;
use sm_dp::ProfileState;

use crate::testbed::{BOOTSTRAP, LOCAL, LinkFailure, Testbed, iccid};

fn with_code(code: &str) -> DownloadOptions {
    DownloadOptions { confirmation_code: Some(code.to_owned().into()), ..DownloadOptions::default() }
}

#[tokio::test]
async fn a_download_installs_and_its_result_reaches_the_server() {
    let mut testbed = Testbed::new().await;
    // A blank before the activation code is a finding.
    let code: ActivationCode = format!(" {}", testbed.order(LOCAL, None).await).parse().unwrap();
    let installed = testbed.device.lpa.download(&code, DownloadOptions::default()).await.unwrap();
    assert_eq!(installed.iccid, iccid(LOCAL));
    assert_eq!(installed.notification.handled, Handled::Delivered);
    assert_eq!(testbed.profiles().await, (vec![iccid(LOCAL)], None));
    assert_eq!(testbed.state(LOCAL).await, ProfileState::Installed);
    assert_eq!(testbed.device.lpa.process_notifications().await.unwrap(), []);
    let timeline = testbed.timeline().join("\n");
    for function in [
        "activation code read",
        "LPA -> eUICC ES10b.GetEUICCChallenge",
        "LPA -> smdpp.landfall.example ES9+.InitiateAuthentication",
        "LPA -> eUICC ES10b.AuthenticateServer",
        "LPA -> smdpp.landfall.example ES9+.AuthenticateClient",
        "LPA -> eUICC ES10b.PrepareDownload",
        "LPA -> smdpp.landfall.example ES9+.GetBoundProfilePackage",
        "LPA -> eUICC ES10b.LoadBoundProfilePackage",
        "LPA -> smdpp.landfall.example ES9+.HandleNotification",
        "LPA -> eUICC ES10b.RemoveNotificationFromList",
    ] {
        assert!(timeline.contains(function), "{function} in\n{timeline}");
    }
}

#[tokio::test]
async fn a_confirmation_code_is_requested_checked_and_can_be_corrected() {
    let mut testbed = Testbed::new().await;
    let code = testbed.order(LOCAL, Some("1234")).await;
    let lpa = &mut testbed.device.lpa;
    let DownloadError::Cancelled(cancelled) =
        lpa.download(&code, DownloadOptions::default()).await.unwrap_err()
    else {
        panic!()
    };
    assert_eq!((cancelled.reason, cancelled.not_told), (CancelSessionReason::POSTPONED, None));
    let wrong = lpa.download(&code, with_code("4321")).await.unwrap_err();
    assert!(wrong.is_retryable());
    let DownloadError::Session(SessionError::Server(error)) = wrong else { panic!("{wrong}") };
    assert_eq!(error.status(), Some(Status::ConfirmationCodeRefused));
    lpa.download(&code, with_code("1234")).await.unwrap();
}

// req: SGP.22-3.0.1-Oid
#[tokio::test]
async fn an_unknown_matching_id_or_oid_is_refused() {
    let mut testbed = Testbed::new().await;
    let mut code = testbed.order(LOCAL, None).await;
    code.smdp_oid = Some("2.999.77".parse().unwrap());
    let error = testbed.device.lpa.download(&code, DownloadOptions::default()).await.unwrap_err();
    assert!(matches!(error, DownloadError::Session(SessionError::ServerFlaw(_))), "{error}");
    code.smdp_oid = None;
    code.matching_id = "NOBODYS".into();
    let error = testbed.device.lpa.download(&code, DownloadOptions::default()).await.unwrap_err();
    let DownloadError::Session(SessionError::Server(Es9Error::Refused { function, status })) = &error else {
        panic!("{error}")
    };
    assert_eq!((*function, status.status()), ("authenticateClient", Some(Status::MatchingIdRefused)));
}

#[tokio::test]
async fn after_lost_requests_or_responses_the_profile_is_installed_exactly_once() {
    for failures in [
        &[
            LinkFailure::RequestLost("initiateAuthentication"),
            LinkFailure::ResponseLost("initiateAuthentication"),
        ][..],
        &[LinkFailure::RequestLost("authenticateClient")],
        &[LinkFailure::ResponseLost("authenticateClient")],
        &[
            LinkFailure::RequestLost("getBoundProfilePackage"),
            LinkFailure::RequestLost("getBoundProfilePackage"),
        ],
        &[LinkFailure::ResponseLost("getBoundProfilePackage")],
        &[LinkFailure::RequestLost("getBoundProfilePackage"); 3],
        &[LinkFailure::ResponseLost("handleNotification")],
    ] {
        let mut testbed = Testbed::new().await;
        let code = testbed.order(LOCAL, None).await;
        testbed.inject(failures);
        let result = testbed.device.lpa.download(&code, DownloadOptions::default()).await;
        assert!(result.is_ok(), "{}\n{}", result.unwrap_err(), testbed.timeline().join("\n"));
        assert!(testbed.failures.lock().unwrap().is_empty());
        assert_eq!(testbed.state(LOCAL).await, ProfileState::Installed);
        assert_eq!(testbed.profiles().await.0, [iccid(LOCAL)]);
    }
}

#[tokio::test]
async fn an_undelivered_result_stays_on_the_card() {
    let mut testbed = Testbed::new().await;
    let code = testbed.order(LOCAL, None).await;
    testbed.inject(&[LinkFailure::RequestLost("handleNotification"); 3]);
    let installed = testbed.device.lpa.download(&code, DownloadOptions::default()).await.unwrap();
    assert!(matches!(installed.notification.handled, Handled::Kept(_)));
    assert_ne!(testbed.state(LOCAL).await, ProfileState::Installed);
    testbed.power_cycle();
    // A second delivery fails, and the notification stays on the card.
    testbed.inject(&[LinkFailure::RequestLost("handleNotification"); 3]);
    let deliveries = testbed.device.lpa.process_notifications().await.unwrap();
    assert!(matches!(deliveries[..], [ref only] if matches!(only.handled, Handled::Kept(_))));
    let deliveries = testbed.device.lpa.process_notifications().await.unwrap();
    assert_eq!((deliveries.len(), deliveries[0].event), (1, "install"));
    assert_eq!(deliveries[0].handled, Handled::Delivered);
    assert_eq!(testbed.state(LOCAL).await, ProfileState::Installed);
}

#[tokio::test]
async fn an_unreachable_server_is_an_error_and_the_order_stays_valid() {
    let mut testbed = Testbed::new().await;
    let code = testbed.order(LOCAL, None).await;
    testbed.inject(&[LinkFailure::RequestLost("getBoundProfilePackage"); 6]);
    let error = testbed.device.lpa.download(&code, DownloadOptions::default()).await.unwrap_err();
    assert!(
        error.is_retryable()
            && matches!(error, DownloadError::Session(SessionError::Server(Es9Error::Link { .. })))
    );
    assert_eq!(testbed.profiles().await.0, []);
    testbed.device.lpa.download(&code, DownloadOptions::default()).await.unwrap();
}

#[tokio::test]
async fn local_profile_management_works() {
    let mut testbed = Testbed::abroad().await;
    let lpa = &mut testbed.device.lpa;
    let bootstrap = iccid(BOOTSTRAP);
    lpa.set_nickname(bootstrap, "way back").await.unwrap();
    assert_eq!(lpa.list().await.unwrap()[0].profile_nickname.as_deref(), Some("way back"));
    let address = "smdpp.landfall.example".parse().unwrap();
    lpa.set_default_smdp_address(Some(&address)).await.unwrap();
    assert!(lpa.configured_addresses().await.unwrap().default_dp_address.is_some());
    assert!(lpa.delete(bootstrap).await.is_err(), "the enabled profile");
    lpa.enable(bootstrap).await.unwrap();
    lpa.disable(bootstrap).await.unwrap();
    assert_eq!(lpa.enabled().await.unwrap(), None);
    assert!(lpa.disable(bootstrap).await.is_err(), "a disabled profile");
    lpa.delete(bootstrap).await.unwrap();
    assert_eq!(lpa.list().await.unwrap(), []);
    let events: Vec<_> = lpa.process_notifications().await.unwrap().iter().map(|each| each.event).collect();
    assert_eq!(events, ["disable", "delete"]);
    assert!(testbed.device.modem.register().await.is_err());
}
