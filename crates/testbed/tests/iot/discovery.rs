//! Downloads of an event that an SM-DP+ registered at an SM-DS.

use rsp::ids::Version;
use rsp::sgp22::{es12, json::RequestHeader};
use rsp::sgp32::ipa_data::{ProfileDownloadTriggerResult, ProfileDownloadTriggerResultData};
use testbed::consumer::SM_DP;
use testbed::iot::SM_DS;

use super::*;

/// Registers an event for the device, as the SM-DP+ does after ES2+.ConfirmOrder with an SM-DS.
async fn register(iot: &Iot, matching_id: &str) {
    let registration = es12::RegisterEventRequest {
        header: RequestHeader::new("2.999.10".to_owned(), "1".to_owned()),
        eid: iot.eid().unwrap(),
        rsp_server_address: SM_DP.parse().unwrap(),
        event_id: matching_id.to_owned(),
        forwarding_indicator: false,
    };
    let certificate = PKI.dp(crypto::Curve::P256).unwrap().tls.certificate;
    let sm_dp = world::with_peer_certificate(iot.sm_ds.link(), certificate.der().to_vec());
    let version = Version([2, 5, 0]);
    world::call::<es12::RegisterEvent>(&sm_dp, version, &registration).await.result.unwrap();
}

// req: SGP.32-3.2.3.1-Direct, SGP.32-3.2.3.2-Indirect
#[test]
fn an_ipa_downloads_the_event_of_an_sm_ds_directly_and_through_the_eim() {
    use ipa_features as f;
    for (features, kept_by_eim) in [
        (vec![f::DIRECT_RSP_SERVER_COMMUNICATION], false),
        (vec![f::INDIRECT_RSP_SERVER_COMMUNICATION], false),
        (vec![f::INDIRECT_RSP_SERVER_COMMUNICATION, f::EIM_DOWNLOAD_DATA_HANDLING], true),
    ] {
        let mut setup = setup();
        setup.ipa.features = features.clone();
        simulate(async |simulation| {
            let mut iot = Iot::from_factory(&simulation, &setup).await.unwrap();
            let source = DownloadSource::Smds { address: Some(SM_DS.to_owned()) };
            let order =
                Package::Download(Download { source, kept_by_eim, iccid: None, policy_rules_allowed: false });
            // Without an event nothing is installed, and the eIM learns it.
            let none = iot.order(0, order.clone()).await.unwrap();
            all_delivered(&iot.check_in().await.unwrap());
            assert!(matches!(iot.outcome(0, &none).await.unwrap(), Some(Outcome::Download(_))));
            assert_eq!(held(&mut iot).await, [iot.bootstrap]);

            let code = iot.release(iot.local).await.unwrap();
            register(&iot, code.rsplit('$').next().unwrap()).await;
            let id = iot.order(0, order).await.unwrap();
            let report = iot.check_in().await.unwrap();
            all_delivered(&report);
            let text = &report.visits[0].packages[0].results[0];
            assert_eq!(*text, format!("installed {}", iot.local), "{features:?}");
            let outcome = iot.outcome(0, &id).await.unwrap();
            assert!(matches!(outcome, Some(Outcome::Download(_) | Outcome::Installation(_))), "{outcome:?}");
            assert_eq!(held(&mut iot).await.len(), 2);
        });
    }
}

/// The SM-DP+ does not know the first event. The IPA loads the profiles of the others, and the eIM gets
/// the result of the first profile.
// req: SGP.32-3.2.3.1-Events
#[test]
fn an_ipa_downloads_every_event_of_an_sm_ds_directly() {
    simulate(async |simulation| {
        let mut iot = Iot::from_factory(&simulation, &setup()).await.unwrap();
        let sm_dp = iot.sm_dp.party().unwrap().clone();
        let package = testbed::subscription::own_package("724-99", 7, "Another").unwrap();
        let another = sm_dp.add_profile(&package, &sm_dp::ProfileOptions::default()).await.unwrap();
        let order = serde_json::json!({ "iccid": another, "matchingId": "ANOTHER" });
        sm_dp.ensure_order(&serde_json::from_value(order).unwrap()).await.unwrap();
        let code = iot.release(iot.local).await.unwrap();
        for event in ["UNKNOWN", code.rsplit('$').next().unwrap(), "ANOTHER"] {
            register(&iot, event).await;
            // The SM-DS returns the events in the order of their registration.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let source = DownloadSource::Smds { address: Some(SM_DS.to_owned()) };
        let download = Download { source, kept_by_eim: false, iccid: None, policy_rules_allowed: false };
        let id = iot.order(0, Package::Download(download)).await.unwrap();

        let report = iot.check_in().await.unwrap();
        all_delivered(&report);
        let [refused, first, second] = report.visits[0].packages[0].results.as_slice() else {
            panic!("{report:?}");
        };
        assert!(refused.contains("8.2.6/3.8"), "{refused}");
        assert_eq!(*first, format!("installed {}", iot.local));
        assert_eq!(*second, format!("installed {another}"));
        assert_eq!(held(&mut iot).await.len(), 3);
        let Some(Outcome::Download(result)) = iot.outcome(0, &id).await.unwrap() else { panic!("no result") };
        let result = ProfileDownloadTriggerResult::from_der(&result.0).unwrap();
        let ProfileDownloadTriggerResultData::ProfileInstallationResult(result) =
            &result.profile_download_trigger_result_data
        else {
            panic!("{result:?}");
        };
        let metadata = &result.profile_installation_result_data.notification_metadata;
        assert_eq!(metadata.iccid, Some(iot.local));
    });
}
