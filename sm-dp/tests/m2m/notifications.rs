//! Tests of ES3 notifications from an SM-SR and their forwarding over ES2: SGP.02 section 5.4.

use rsp::sgp02::{
    BaseNotification, Namespace,
    eis::{Pol2, Pol2Action, Pol2Qualification, Pol2Rule, Pol2Subject},
    es2, es3,
    signature::Canonical,
};

use crate::{
    support::{ICCID, OTHER_ICCID},
    testbed::{M2mTestbed, OPERATOR, OTHER_OPERATOR, OTHER_SM_SR, SM_SR, Step},
};

/// Defines tests of notifications about a profile.
macro_rules! of_a_profile {
    ($($test:ident: $name:ident;)+) => { $(
        #[tokio::test]
        async fn $test() {
            let testbed = M2mTestbed::installed().await;
            let notification = es3::$name {
                base: BaseNotification::default(),
                eid: testbed.eid(),
                iccid: ICCID.parse().unwrap(),
                mno_id: testbed.id(OPERATOR),
                completion_timestamp: testbed.base.now(),
            };
            let other_operators = es3::$name { mno_id: testbed.id(OTHER_OPERATOR), ..notification.clone() };
            let other_profile = es3::$name { iccid: OTHER_ICCID.parse().unwrap(), ..notification.clone() };
            let other_card = es3::$name { eid: testbed.other_eid(), ..notification.clone() };
            for (from, notification) in [
                (OTHER_SM_SR, notification.clone()),
                (OPERATOR, notification.clone()),
                (SM_SR, other_operators),
                (SM_SR, other_profile),
                (SM_SR, other_card),
            ] {
                testbed.notify(from, &notification).await;
                assert!(testbed.elements(OPERATOR).is_empty() && testbed.elements(OTHER_OPERATOR).is_empty());
            }
            assert_eq!(testbed.server().isd_ps(testbed.eid()).await.unwrap().len(), 1);
            testbed.notify(SM_SR, &notification).await;
            let [forwarded] = &testbed.sent::<es2::$name>(OPERATOR)[..] else { panic!() };
            assert_eq!((forwarded.eid, forwarded.iccid), (notification.eid, notification.iccid));
            assert_eq!(forwarded.completion_timestamp.seconds(), notification.completion_timestamp.seconds());
            assert_eq!(testbed.elements(OPERATOR).len(), 1);
        }
    )+ };
}

of_a_profile! {
    enabled: HandleProfileEnabledNotification;
    disabled: HandleProfileDisabledNotification;
    deleted: HandleProfileDeletedNotification;
    downloaded: HandleProfileDownloadedNotification;
    fall_back_set: HandleFallBackAttributeSetNotification;
    fall_back_unset: HandleFallBackAttributeUnsetNotification;
    emergency_set: HandleEmergencyProfileAttributeSetNotification;
    emergency_unset: HandleEmergencyProfileAttributeUnsetNotification;
}

#[tokio::test]
async fn pol2_updated() {
    let testbed = M2mTestbed::installed().await;
    let rule = Pol2Rule {
        subject: Pol2Subject::Profile,
        action: Pol2Action::Delete,
        qualification: Pol2Qualification::NotAllowed,
    };
    let notification = es3::HandleProfilePol2UpdatedNotification {
        base: BaseNotification::default(),
        eid: testbed.eid(),
        iccid: ICCID.parse().unwrap(),
        mno_id: testbed.id(OPERATOR),
        pol2: Some(Pol2 { rule: vec![rule] }),
        completion_timestamp: testbed.base.now(),
    };
    testbed.notify(OTHER_SM_SR, &notification).await;
    assert!(testbed.elements(OPERATOR).is_empty());
    testbed.notify(SM_SR, &notification).await;
    let [forwarded] = &testbed.sent::<es2::HandleProfilePol2UpdatedNotification>(OPERATOR)[..] else {
        panic!()
    };
    assert_eq!(forwarded.pol2, notification.pol2);
}

#[tokio::test]
async fn a_notification_about_a_download_in_progress_is_forwarded() {
    let testbed = M2mTestbed::new().await;
    testbed.advance_to(Step::Segments).await;
    let notification = es3::HandleProfileDownloadedNotification {
        base: BaseNotification::default(),
        eid: testbed.eid(),
        iccid: ICCID.parse().unwrap(),
        mno_id: testbed.id(OPERATOR),
        completion_timestamp: testbed.base.now(),
    };
    testbed.notify(OTHER_SM_SR, &notification).await;
    assert!(testbed.elements(OPERATOR).is_empty());
    testbed.notify(SM_SR, &notification).await;
    assert_eq!(testbed.sent::<es2::HandleProfileDownloadedNotification>(OPERATOR).len(), 1);
}

#[tokio::test]
async fn a_deletion_notification_does_not_affect_the_next_download() {
    let testbed = M2mTestbed::new().await;
    testbed.advance_to(Step::Segments).await;
    let (download, profile) = (testbed.server().downloads().await.unwrap(), testbed.profile().await);
    let notification = es3::HandleProfileDeletedNotification {
        base: BaseNotification::default(),
        eid: testbed.eid(),
        iccid: ICCID.parse().unwrap(),
        mno_id: testbed.id(OPERATOR),
        completion_timestamp: testbed.base.now(),
    };
    testbed.notify(SM_SR, &notification).await;
    assert_eq!(testbed.sent::<es2::HandleProfileDeletedNotification>(OPERATOR).len(), 1);
    assert_eq!((testbed.server().downloads().await.unwrap(), testbed.profile().await), (download, profile));
}

fn change(testbed: &M2mTestbed, mno_id: Option<&str>) -> es3::HandleSmsrChangeNotification {
    let mut eis = testbed.eis();
    eis.smsr_id = testbed.id(OTHER_SM_SR);
    eis.profile_info =
        vec![testbed.eis_entry(ICCID, OPERATOR), testbed.eis_entry(OTHER_ICCID, OTHER_OPERATOR)];
    es3::HandleSmsrChangeNotification {
        base: BaseNotification::default(),
        eis,
        mno_id: mno_id.map(|mno_id| testbed.id(mno_id)),
        completion_timestamp: testbed.base.now(),
    }
}

#[tokio::test]
async fn after_a_change_the_new_sm_sr_is_used() {
    for named in [Some(OPERATOR), None] {
        let testbed = M2mTestbed::installed().await;
        testbed.notify(OTHER_SM_SR, &change(&testbed, named)).await;
        let [forwarded] = &testbed.sent::<es2::HandleSmsrChangeNotification>(OPERATOR)[..] else { panic!() };
        assert_eq!(forwarded.eis.smsr_id, testbed.id(OTHER_SM_SR));
        assert_eq!(forwarded.eis.profile_info.len(), 1);
        assert!(testbed.elements(OTHER_OPERATOR).is_empty());
        assert_eq!(testbed.server().isd_ps(testbed.eid()).await.unwrap()[0].sm_sr, testbed.id(OTHER_SM_SR));
        // Notifications of the new SM-SR are accepted, and those of the old one are not.
        let notification = es3::HandleProfileEnabledNotification {
            base: BaseNotification::default(),
            eid: testbed.eid(),
            iccid: ICCID.parse().unwrap(),
            mno_id: testbed.id(OPERATOR),
            completion_timestamp: testbed.base.now(),
        };
        testbed.notify(SM_SR, &notification).await;
        assert!(testbed.sent::<es2::HandleProfileEnabledNotification>(OPERATOR).is_empty());
        testbed.notify(OTHER_SM_SR, &notification).await;
        assert_eq!(testbed.sent::<es2::HandleProfileEnabledNotification>(OPERATOR).len(), 1);
    }
}

#[tokio::test]
async fn a_change_is_accepted_after_the_certificates_of_the_card_have_expired() {
    let testbed = M2mTestbed::installed().await;
    testbed.base.wait(THIRTY_YEARS);
    testbed.notify(OTHER_SM_SR, &change(&testbed, None)).await;
    assert_eq!(testbed.server().isd_ps(testbed.eid()).await.unwrap()[0].sm_sr, testbed.id(OTHER_SM_SR));
    assert_eq!(testbed.sent::<es2::HandleSmsrChangeNotification>(OPERATOR).len(), 1);
}

const THIRTY_YEARS: std::time::Duration = std::time::Duration::from_secs(30 * 366 * 86_400);

// req: SGP.02-5.4-Change
#[tokio::test]
async fn an_invalid_change_of_the_sm_sr_is_refused() {
    let testbed = M2mTestbed::installed().await;
    let mut forged = change(&testbed, None);
    let mut info = testbed.signed_info();
    info.platform_type = "better".to_owned();
    forged.eis.eum_signed_info = Canonical::eum_signed_info(info, Namespace::V3);
    let mut another_card = change(&testbed, None);
    let mut info = testbed.signed_info();
    info.eid = testbed.other_eid();
    info.ecasd.keyset[0].certificate[0].value = rsp::sgp02::Octets(
        testbed.base.pki.ecasd(testbed.other_eid()).unwrap().certificate.octets().to_vec(),
    );
    another_card.eis.eum_signed_info = testbed.eis_of(info.clone()).eum_signed_info;
    another_card.eis.eum_signature = testbed.eis_of(info).eum_signature;
    for (from, notification) in [
        // The sender is not the new SM-SR.
        (SM_SR, change(&testbed, None)),
        // The sender is not an SM-SR.
        (OPERATOR, change(&testbed, None)),
        // As far as this SM-DP knows, the operator has no profile on the card.
        (OTHER_SM_SR, change(&testbed, Some(OTHER_OPERATOR))),
        (OTHER_SM_SR, forged),
        (OTHER_SM_SR, another_card),
    ] {
        testbed.notify(from, &notification).await;
        assert!(testbed.elements(OPERATOR).is_empty() && testbed.elements(OTHER_OPERATOR).is_empty());
        assert_eq!(testbed.server().isd_ps(testbed.eid()).await.unwrap()[0].sm_sr, testbed.id(SM_SR));
    }
}
