//! The result of a direct download that ended without an answer of the card or of the SM-DP+.

use rsp::sgp32::ipa_data::{ProfileDownloadTriggerResult, ProfileDownloadTriggerResultData};

use super::*;

/// The number of APDUs of the last installation.
fn apdus(iot: &Iot) -> u32 {
    let events = iot.events.all();
    let loaded = events.iter().rfind(|event| event.function == "LoadBoundProfilePackage").unwrap();
    loaded.note.split(' ').next().unwrap().parse().unwrap()
}

/// The card installs the profile, but its answer is lost.
#[test]
fn an_installation_without_an_answer_of_the_card_is_found_among_the_notifications() {
    let apdus = simulate(async |simulation| {
        let mut iot = Iot::from_factory(&simulation, &setup()).await.unwrap();
        let code = iot.release(iot.local).await.unwrap();
        iot.order(0, download(code, false)).await.unwrap();
        iot.check_in().await.unwrap();
        apdus(&iot)
    });
    // Some APDUs are not commands of the package, so the fault with the highest numbers does not occur.
    let found = (1..=apdus).rev().find(|number| {
        simulate(async |simulation| {
            let mut iot = Iot::from_factory(&simulation, &setup()).await.unwrap();
            let code = iot.release(iot.local).await.unwrap();
            let id = iot.order(0, download(code, false)).await.unwrap();
            let lost = format!("apdu/lose-response@ES10b.LoadBoundProfilePackage#{number}");
            iot.faults.install(lost.parse().unwrap());
            let report = iot.check_in().await.unwrap();
            all_delivered(&report);
            assert_eq!(report.visits[0].packages[0].results, [format!("installed {}", iot.local)]);
            assert!(matches!(iot.outcome(0, &id).await.unwrap(), Some(Outcome::Download(_))));
            iot.faults.injected_count() == 1
        })
    });
    assert!(found.is_some());
}

/// The notification of an earlier installation, which is still on the card, is not the result.
#[test]
fn a_download_that_the_sm_dp_refuses_has_its_error_and_no_earlier_result() {
    simulate(async |simulation| {
        let mut iot = Iot::from_factory(&simulation, &setup()).await.unwrap();
        let code = iot.release(iot.local).await.unwrap();
        iot.order(0, download(code.clone(), false)).await.unwrap();
        let (address, _) = code.rsplit_once('$').unwrap();
        let refused = iot.order(0, download(format!("{address}$UNKNOWN"), false)).await.unwrap();
        all_delivered(&iot.check_in().await.unwrap());
        let Some(Outcome::Download(result)) = iot.outcome(0, &refused).await.unwrap() else { panic!() };
        let result = ProfileDownloadTriggerResult::from_der(&result.0).unwrap();
        let ProfileDownloadTriggerResultData::ProfileDownloadError(error) =
            result.profile_download_trigger_result_data
        else {
            panic!("an earlier result")
        };
        // MatchingID, refused.
        let response = String::from_utf8(error.error_response.unwrap()).unwrap();
        assert!(response.contains("8.2.6") && response.contains("3.8"), "{response}");
    });
}
