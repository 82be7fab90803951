//! ES10b.ProfileRollback: SGP.32 sections 3.3.2 and 5.9.16.

use rsp::der::Asn1;
use rsp::sgp22::es10b::{
    ListNotificationRequest, ListNotificationResponse, NotificationSentRequest, NotificationSentResponse,
};
use rsp::sgp22::es10c::RefreshFlag;
use rsp::sgp32::EuiccPackageResult;
use rsp::sgp32::es10b::{ProfileRollbackRequest, ProfileRollbackResponse, reset_options};

use super::super::profiles::REFRESHES;
use super::super::testbed::Testbed;
use super::testbed::{Eim, card_in_use, enable, enable_with_rollback, enabled, refresh, results};

fn roll_back(testbed: &mut Testbed, refresh: bool) -> ProfileRollbackResponse {
    testbed.call(&ProfileRollbackRequest { refresh_flag: RefreshFlag(refresh) })
}

const NOT_ALLOWED: &str = "BF5803020101";

fn refused(testbed: &mut Testbed) -> String {
    testbed.es10_text("BF58038001FF")
}

/// A card whose eIM has enabled profile 2 with rollbackFlag, with the number of the result.
fn switched() -> (Testbed, Eim, i64) {
    let (mut testbed, mut eim) = card_in_use(|_| {});
    assert_eq!(refused(&mut testbed), NOT_ALLOWED);
    let before = events(&mut testbed);
    assert_eq!(eim.run(&mut testbed, [enable_with_rollback(2)]), ["830100"]);
    let result = testbed.next_sequence_number() - 1;
    testbed.reset();
    assert_eq!(enabled(&mut testbed), Some(2));
    assert_eq!(events(&mut testbed).len(), before.len() + 2);
    (testbed, eim, result)
}

/// Sequence number and events of the notifications.
fn events(testbed: &mut Testbed) -> Vec<(i64, Vec<usize>)> {
    match testbed.call(&ListNotificationRequest { profile_management_operation: None }) {
        ListNotificationResponse::NotificationMetadataList(list) => {
            list.0.iter().map(|each| (each.seq_number, each.profile_management_operation.ones())).collect()
        }
        ListNotificationResponse::ListNotificationsResultError(code) => panic!("{code}"),
    }
}

#[test]
fn a_rollback_enables_the_previous_profile_and_replaces_the_result() {
    for with_refresh in [false, true] {
        let (mut testbed, eim, result) = switched();
        let kept: Vec<_> = events(&mut testbed).into_iter().filter(|(number, _)| *number < result).collect();
        let response = roll_back(&mut testbed, with_refresh);
        if with_refresh {
            assert_eq!(enabled(&mut testbed), Some(2));
            testbed.reset();
        }
        assert_eq!(enabled(&mut testbed), Some(1));
        assert_eq!(response.cmd_result.0, 0);
        let signed = response.euicc_package_result.unwrap();
        let data = eim.verified(&testbed, &signed);
        assert_eq!(results(&data), ["8C0100"]);
        assert!(data.eim_transaction_id.is_some());
        assert!(data.seq_number > result);
        // The result of the package is gone, and the new one is stored.
        let stored = testbed.state().iot().results.iter().map(|result| result.sequence_number);
        let stored: Vec<i64> = stored.collect();
        assert!(!stored.contains(&result) && stored.contains(&data.seq_number), "{stored:?}");
        // The notifications of the switch are gone. Those of the rollback follow.
        let after = events(&mut testbed);
        assert_eq!(after[..kept.len()], kept[..]);
        assert_eq!(after.len(), kept.len() + 2);
        // A permission is for one rollback.
        assert_eq!(refused(&mut testbed), NOT_ALLOWED);
    }
}

#[test]
fn a_rollback_before_the_refresh_cancels_the_switch() {
    let (mut testbed, mut eim) = card_in_use(|_| {});
    let before = events(&mut testbed);
    assert_eq!(eim.run(&mut testbed, [enable_with_rollback(2)]), ["830100"]);
    assert_eq!(roll_back(&mut testbed, false).cmd_result.0, 0);
    testbed.reset();
    assert_eq!(enabled(&mut testbed), Some(1));
    assert_eq!(events(&mut testbed), before);
}

#[test]
fn a_rollback_waits_for_a_pending_refresh() {
    let (mut testbed, mut eim) = card_in_use(|_| {});
    testbed.expect(REFRESHES, "9000");
    assert_eq!(eim.run(&mut testbed, [enable_with_rollback(2)]), ["830100"]);
    assert_eq!(refused(&mut testbed), "BF5803020105");
    refresh(&mut testbed);
    assert_eq!(enabled(&mut testbed), Some(2));
    assert_eq!(roll_back(&mut testbed, true).cmd_result.0, 0);
    refresh(&mut testbed);
    assert_eq!(enabled(&mut testbed), Some(1));
}

#[test]
fn the_permission_ends_with_the_delivery_of_the_result_and_with_the_next_package() {
    // req: SGP.32-5.9.1-Rollback, SGP.32-5.9.16-NotAllowed
    let (mut testbed, _, result) = switched();
    let removed: NotificationSentResponse = testbed.call(&NotificationSentRequest { seq_number: result });
    assert_eq!(removed.delete_notification_status.0, 0);
    assert_eq!(refused(&mut testbed), NOT_ALLOWED);

    let (mut testbed, mut eim, _) = switched();
    assert_eq!(eim.run(&mut testbed, [enable(9)]), ["830101"]);
    assert_eq!(refused(&mut testbed), NOT_ALLOWED);

    // A package that the card refuses does not end it.
    let (mut testbed, mut eim, _) = switched();
    eim.counter = 0;
    let replay = eim.package(&testbed, rsp::sgp32::EuiccPackage::of_psmos([enable(3)]));
    assert_eq!(super::testbed::error(&mut testbed, &eim, &replay), "signed 4");
    assert_eq!(roll_back(&mut testbed, false).cmd_result.0, 0);
}

#[test]
fn the_permission_ends_when_the_eim_or_the_profile_is_deleted() {
    for bit in [reset_options::RESET_EIM_CONFIG_DATA, reset_options::DELETE_OPERATIONAL_PROFILES] {
        let (mut testbed, _, _) = switched();
        let request =
            rsp::sgp32::es10b::EuiccMemoryResetRequest { reset_options: rsp::der::BitString::of(&[bit]) };
        let response = hex::encode_upper(testbed.es10(&request.to_der()).unwrap());
        assert!(response.contains("800100"), "{response}");
        assert_eq!(refused(&mut testbed), NOT_ALLOWED);
    }
}

#[test]
fn a_protected_profile_is_not_rolled_back() {
    let (mut testbed, mut eim) = card_in_use(|_| {});
    super::testbed::install(&mut testbed, 4, |metadata| {
        metadata.profile_policy_rules = Some(rsp::der::BitString::of(&[rsp::sgp22::ppr::PPR1]));
        metadata.profile_owner =
            Some(rsp::sgp22::OperatorId { mcc_mnc: [0, 0xF1, 0x10], gid1: None, gid2: None });
    });
    assert_eq!(eim.run(&mut testbed, [enable_with_rollback(4)]), ["830100"]);
    testbed.reset();
    assert_eq!(refused(&mut testbed), "BF5803020107");
}

#[test]
fn the_result_of_a_rollback_is_retrieved_as_it_was_returned() {
    let (mut testbed, _, _) = switched();
    let returned = roll_back(&mut testbed, false).euicc_package_result.unwrap();
    let EuiccPackageResult::EuiccPackageResultSigned(signed) = &*returned else { panic!() };
    let number = signed.euicc_package_result_data_signed.seq_number;
    testbed.reset();
    let retrieved = testbed.es10_text(&format!("BF2B05A0038001{number:02X}"));
    assert!(retrieved.ends_with(&hex::encode_upper(returned.bytes())));
}
