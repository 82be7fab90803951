//! The power fails, or the card does not answer, between the execution of a package and the delivery of
//! the result; a network does not answer.

use rsp::sgp32::ipa_data::ProfileDownloadTriggerResult;
use tokio::sync::Notify;

use super::*;

/// Returns the link to an eIM that never receives a result, and the notification that one is on its way.
fn without_results(eim: Link) -> (Link, Arc<Notify>) {
    let sent = Arc::<Notify>::default();
    let notify = Arc::clone(&sent);
    let link = link_from(tower::service_fn(move |request: Request<Bytes>| {
        let (eim, notify) = (eim.clone(), Arc::clone(&notify));
        async move {
            if ProvideEimPackageResultRequest::from_der(request.body()).is_ok() {
                notify.notify_one();
                std::future::pending::<()>().await;
            }
            world::send(&eim, request).await
        }
    }));
    (link, sent)
}

// req: SGP.32-3.3.1-KeptResults
#[test]
fn the_result_of_an_installation_survives_a_loss_of_power_before_its_delivery() {
    for feature in
        [ipa_features::DIRECT_RSP_SERVER_COMMUNICATION, ipa_features::INDIRECT_RSP_SERVER_COMMUNICATION]
    {
        let mut setup = setup();
        setup.ipa.features = vec![feature];
        simulate(async |simulation| {
            let mut iot = Iot::from_factory(&simulation, &setup).await.unwrap();
            let eim = iot.first_eim().unwrap().link();
            let code = iot.release(iot.local).await.unwrap();
            let id = iot.order(0, download(code, false)).await.unwrap();
            iot.events.take();
            let (link, sent) = without_results(eim.clone());
            iot.substitute_first_eim(link).unwrap();
            tokio::select! {
                report = iot.check_in() => panic!("the power did not fail: {report:?}"),
                () = sent.notified() => {}
            }
            assert!(iot.outcome(0, &id).await.unwrap().is_none());
            iot.substitute_first_eim(eim).unwrap();
            assert_eq!(held(&mut iot).await.len(), 2, "the profile is installed");
            let report = iot.check_in().await.unwrap();
            all_delivered(&report);
            let outcome = iot.outcome(0, &id).await.unwrap();
            assert!(matches!(outcome, Some(Outcome::Download(_) | Outcome::Installation(_))), "{outcome:?}");
            let events = iot.events.all();
            let loaded = events.iter().filter(|event| event.function == "LoadBoundProfilePackage");
            assert_eq!(loaded.count(), 1, "the profile was installed twice");
            assert_eq!(iot.ipa.es10().list_notification().await.unwrap(), []);
            assert!(iot.check_in().await.unwrap().visits[0].packages.is_empty());
        });
    }
}

// req: SGP.32-3.3.1-KeptResults
#[test]
fn an_installation_whose_result_was_not_stored_is_found_after_a_loss_of_power() {
    simulate(async |simulation| {
        let mut iot = Iot::from_factory(&simulation, &setup()).await.unwrap();
        let code = iot.release(iot.local).await.unwrap();
        let id = iot.order(0, download(code, false)).await.unwrap();
        iot.events.take();
        // The first write says that the download was started.
        iot.faults.install("power/cut-before-write@device:ipa#2".parse().unwrap());
        iot.check_in().await.unwrap_err();
        assert!(iot.power.is_off() && iot.outcome(0, &id).await.unwrap().is_none());
        iot.power_cycle().unwrap();
        let report = iot.check_in().await.unwrap();
        all_delivered(&report);
        assert_eq!(report.visits[0].packages, []);
        let Some(Outcome::Download(result)) = iot.outcome(0, &id).await.unwrap() else { panic!() };
        let result = ProfileDownloadTriggerResult::from_der(&result.0).unwrap();
        assert_eq!(result.eim_transaction_id, Some(id));
        let events = iot.events.all();
        let loaded = events.iter().filter(|event| event.function == "LoadBoundProfilePackage");
        assert_eq!(loaded.count(), 1, "the profile was installed twice");
        assert_eq!(held(&mut iot).await.len(), 2);
    });
}

/// An eIM repeats the trigger of a download until it has the result.
#[test]
fn the_result_of_a_download_is_delivered_when_the_eim_repeats_the_trigger() {
    simulate(async |simulation| {
        let mut setup = setup();
        setup.ipa.device.request_tries = 1;
        let mut iot = Iot::from_factory(&simulation, &setup).await.unwrap();
        let code = iot.release(iot.local).await.unwrap();
        let id = iot.order(0, download(code, false)).await.unwrap();
        iot.events.take();
        iot.faults.install("link/lose-request@ESipa.ProvideEimPackageResult#1-2".parse().unwrap());
        iot.check_in().await.unwrap();
        let report = iot.check_in().await.unwrap();
        all_delivered(&report);
        assert_eq!(report.visits[0].packages[0].results, ["the download has ended before"]);
        assert!(matches!(iot.outcome(0, &id).await.unwrap(), Some(Outcome::Download(_))));
        let events = iot.events.all();
        let loaded = events.iter().filter(|event| event.function == "LoadBoundProfilePackage");
        assert_eq!(loaded.count(), 1, "the profile was installed twice");
        assert_eq!(iot.check_in().await.unwrap().visits[0].packages, []);
    });
}

/// The card executes a package, but its answer is lost. The reset takes the place of the REFRESH.
#[test]
fn a_profile_enabled_without_an_answer_of_the_card_is_used_at_the_next_check_in() {
    simulate(async |simulation| {
        let mut iot = Iot::from_factory(&simulation, &setup()).await.unwrap();
        let code = iot.release(iot.local).await.unwrap();
        iot.order(0, download(code, false)).await.unwrap();
        let moved = iot.order(0, operations([enable(iot.local)])).await.unwrap();
        iot.faults.install("apdu/lose-response@ES10b.LoadEuiccPackage#1".parse().unwrap());
        iot.check_in().await.unwrap_err();
        let report = iot.check_in().await.unwrap();
        all_delivered(&report);
        assert_eq!(report.registered.unwrap().iccid, iot.local);
        assert_eq!(results(&iot, 0, &moved).await, ["enable ok(0)"]);
    });
}

/// A device tries each of the two networks three times.
#[test]
fn a_device_whose_attach_requests_are_lost_tries_again() {
    for (lost, is_registered) in [(2, true), (6, false)] {
        simulate(async |simulation| {
            let mut iot = Iot::from_factory(&simulation, &setup()).await.unwrap();
            iot.faults.install(format!("radio/lose-attach-request#1-{lost}").parse().unwrap());
            assert_eq!(iot.check_in().await.is_ok(), is_registered, "{lost}");
            assert_eq!(iot.faults.injected_count(), lost);
        });
    }
}

/// The card is on its Fallback Profile, or is to be after the REFRESH, and the device does not know it.
// req: SGP.32-3.6-Return
#[test]
fn a_device_returns_from_a_fallback_that_it_did_not_know_of() {
    for is_refreshed in [true, false] {
        simulate(async |simulation| {
            let mut iot = Iot::from_factory(&simulation, &setup()).await.unwrap();
            let code = iot.release(iot.local).await.unwrap();
            iot.order(0, download(code, false)).await.unwrap();
            iot.order(0, operations([enable(iot.local)])).await.unwrap();
            let attribute = ProfileOperation::SetFallbackAttribute { iccid: iot.bootstrap };
            iot.order(0, operations([attribute])).await.unwrap();
            iot.check_in().await.unwrap();
            iot.ipa.es10().execute_fallback_mechanism().await.unwrap();
            if is_refreshed {
                iot.ipa.es10().refresh().await.unwrap();
                iot.power_cycle().unwrap();
            }
            let set_coverage = |iot: &Iot, is_covered| {
                for plmn in [testbed::iot::LOCAL, testbed::iot::VISITED] {
                    iot.networks.set_coverage(plmn.parse().unwrap(), is_covered);
                }
            };
            set_coverage(&iot, false);
            iot.check_in().await.unwrap_err();
            assert_eq!(enabled(&mut iot).await, Some(iot.bootstrap));
            set_coverage(&iot, true);
            tokio::time::sleep(Duration::from_secs(3600)).await;
            let report = iot.check_in().await.unwrap();
            assert_eq!(report.changes, [ConnectionChange::ReturnedFromFallback], "{is_refreshed}");
            assert_eq!(enabled(&mut iot).await, Some(iot.local));
        });
    }
}

/// The result of an earlier trigger is not that of this one.
#[test]
fn another_trigger_begins_another_download() {
    simulate(async |simulation| {
        let mut setup = setup();
        setup.ipa.device.request_tries = 1;
        let mut iot = Iot::from_factory(&simulation, &setup).await.unwrap();
        let code = iot.release(iot.local).await.unwrap();
        let (address, _) = code.rsplit_once('$').unwrap();
        let trigger = |id: u8| {
            let data = ProfileDownloadData::ActivationCode(format!("{address}$UNKNOWN"));
            let eim_transaction_id = Some(TransactionId(vec![id]));
            let profile_download_data = Some(data);
            let trigger = ProfileDownloadTriggerRequest { profile_download_data, eim_transaction_id };
            GetEimPackageResponse::ProfileDownloadTriggerRequest(trigger).to_der()
        };
        iot.faults.install("link/lose-request@ESipa.ProvideEimPackageResult#1-2".parse().unwrap());
        let (eim, _) = scripted(vec![trigger(1)]);
        iot.substitute_first_eim(eim).unwrap();
        iot.check_in().await.unwrap();
        let (eim, results) = scripted(vec![trigger(2)]);
        iot.substitute_first_eim(eim).unwrap();
        iot.check_in().await.unwrap();
        assert_eq!(iot.faults.injected_count(), 2);
        let results = results.lock().unwrap();
        let [EimPackageResult::ProfileDownloadTriggerResult(result)] = results.as_slice() else {
            panic!("{results:?}")
        };
        assert_eq!(result.eim_transaction_id, Some(TransactionId(vec![2])));
    });
}
