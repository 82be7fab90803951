//! Deletion, attributes, policy rules, addresses, connectivity parameters and audits: SGP.02
//! sections 3.6 to 3.16.

use std::time::Duration;

use rsp::{
    der::{Tag, tlv_bytes},
    ota::script::{Answer, Form, ScriptResponse},
    sgp02::{
        BaseRequest, ExecutionStatus, Octets, SubscriptionAddress,
        eis::{FreeMemory, Pol2Action, Pol2Qualification, ProfileState},
        es3, es4,
    },
};

use super::{
    card::{OK, apdus, response},
    testbed::{
        BOOTSTRAP, OPERATOR, OTHER_OPERATOR, OTHER_SM_DP, SM_DP, Testbed, codes, eid, iccid, isd_p,
        response_message, rules,
    },
};
use crate::{
    es5::{Effect, JobOutcome},
    procedures::MasterDeleteToken,
};
use ProfileState::{Created, Disabled, Enabled};

fn base() -> BaseRequest {
    BaseRequest { validity_period: Some(600), ..BaseRequest::new("") }
}

/// Creates a card with the bootstrap profile (enabled, fall-back), profile 2 of the other operator
/// and profile 3 of the operator, both disabled.
async fn new_testbed() -> Testbed {
    let testbed = Testbed::new().await;
    testbed
        .register_with([
            testbed.profile(2, OTHER_OPERATOR, Disabled, false),
            testbed.profile(3, OPERATOR, Disabled, false),
        ])
        .await;
    testbed
}

async fn delete(testbed: &Testbed, peer_name: &str, number: u8) {
    let request = es4::DeleteProfileRequest { base: base(), eid: eid(), iccid: iccid(number) };
    testbed.call::<es4::DeleteProfile>(peer_name, request).await;
}

#[tokio::test]
async fn deleting_a_profile_removes_it_and_frees_its_memory() {
    let testbed = new_testbed().await;
    delete(&testbed, OPERATOR, 3).await;
    let job = testbed.card_answers(&[(&[0], OK)]).await;
    assert_eq!(apdus(&job), ["80E40040124F10A0000005591010FFFFFFFF890000120000"]);
    assert!(testbed.received_only::<es4::DeleteProfileResponse>(OPERATOR).base.is_done());
    assert_eq!(testbed.state(3).await, None);
    let eis = testbed.server().eis(eid()).await.unwrap().unwrap();
    assert_eq!(eis.available_memory_for_profiles, 550_000);
}

#[tokio::test]
async fn deleting_a_profile_missing_on_the_card_succeeds_with_a_warning() {
    let testbed = new_testbed().await;
    delete(&testbed, OPERATOR, 3).await;
    testbed.card_answers(&[(&[], 0x6A88)]).await;
    let answer: es4::DeleteProfileResponse = testbed.received_only(OPERATOR);
    assert_eq!(answer.base.function_execution_status.status, ExecutionStatus::ExecutedWithWarning);
    assert_eq!(testbed.state(3).await, None);
}

// req: SGP.02-5.5-Pol2
#[tokio::test]
async fn the_status_code_of_a_refused_deletion_tells_the_reason() {
    let testbed = new_testbed().await;
    let lock = es4::UpdatePolicyRulesRequest {
        base: base(),
        eid: eid(),
        iccid: iccid(3),
        pol2: Some(rules(&[(Pol2Action::Delete, Pol2Qualification::NotAllowed)])),
    };
    let response = testbed.call::<es4::UpdatePolicyRules>(OPERATOR, lock).await;
    assert!(response_message::<es4::UpdatePolicyRulesResponse>(&response).base.is_done());
    for (number, subject, reason) in
        [(2, "8.2.1", "1.2"), (3, "8.2.3", "3.8"), (9, "8.2.1", "3.9"), (BOOTSTRAP, "8.2.1", "3.5")]
    {
        delete(&testbed, OPERATOR, number).await;
        let answer: es4::DeleteProfileResponse = testbed.received_only(OPERATOR);
        assert_eq!(codes(&answer), (subject.into(), reason.into()), "{number}");
    }
    // The fall-back attribute prevents the deletion even if the profile is disabled.
    let testbed = Testbed::new().await;
    let mut eis = testbed.eis();
    eis.profile_info[0].state = Disabled;
    testbed.call::<rsp::sgp02::es1::RegisterEis>(super::testbed::EUM, testbed.register_request(eis)).await;
    // req: SGP.02-5.5-DeletionOfFallBack
    delete(&testbed, OPERATOR, BOOTSTRAP).await;
    assert_eq!(
        codes(&testbed.received_only::<es4::DeleteProfileResponse>(OPERATOR)),
        ("8.2.1".into(), "3.8".into())
    );
    // POL1 is enforced by the card.
    let testbed = new_testbed().await;
    delete(&testbed, OPERATOR, 3).await;
    // req: SGP.02-5.5-Pol1
    testbed.card_answers(&[(&[], 0x69E1)]).await;
    assert_eq!(
        codes(&testbed.received_only::<es4::DeleteProfileResponse>(OPERATOR)),
        ("8.2.2".into(), "3.8".into())
    );
    assert_eq!(testbed.state(3).await, Some(Disabled));
}

#[tokio::test]
async fn a_master_delete_ignores_rules_and_notifies_the_owner() {
    let testbed = new_testbed().await;
    let token = MasterDeleteToken {
        sin: Octets(vec![1]),
        sdin: Octets(vec![2]),
        provider: Octets(vec![3]),
        token_id: Octets(vec![4]),
        token: Octets(vec![5; 16]),
    };
    let lock = es3::UpdatePolicyRulesRequest {
        base: base(),
        eid: eid(),
        iccid: iccid(2),
        pol2: Some(rules(&[(Pol2Action::Delete, Pol2Qualification::NotAllowed)])),
    };
    testbed.call::<es3::UpdatePolicyRules>(SM_DP, lock).await;
    testbed.received();
    testbed.server().master_delete(eid(), iccid(2), token.clone()).await.unwrap();
    testbed.run().await;
    let job = testbed.card_executes().await;
    assert_eq!(
        apdus(&job),
        ["80E4004034\
          4F10A0000005591010FFFFFFFF8900001100\
          B60D420101450102 5F200103 930104 9E1005050505050505050505050505050505 00"
            .replace(' ', "")
            .replace("80E4004034", "80E4004033")]
    );
    let notification: es4::HandleProfileDeletedNotification = testbed.received_only(OTHER_OPERATOR);
    assert_eq!(notification.iccid, iccid(2));
    // The fall-back profile and an enabled profile cannot be deleted by a master delete.
    testbed.server().master_delete(eid(), iccid(BOOTSTRAP), token).await.unwrap();
    testbed.run().await;
    assert!(testbed.jobs().await.is_empty());
    assert_eq!(testbed.state(BOOTSTRAP).await, Some(Enabled));
    let trail = testbed.server().audit_trail(eid()).await.unwrap();
    assert_eq!(trail.iter().map(|record| record.operation_type.0).collect::<Vec<_>>(), [0x0600, 0x0600]);
}

#[tokio::test]
async fn the_fall_back_attribute_can_be_moved() {
    let testbed = new_testbed().await;
    let request = es4::SetFallBackAttributeRequest { base: base(), eid: eid(), iccid: iccid(2) };
    testbed.call::<es4::SetFallBackAttribute>(OTHER_OPERATOR, request.clone()).await;
    let job = testbed.card_executes().await;
    assert_eq!(job.effect, Effect::SetFallBack(isd_p(2)));
    assert_eq!(
        testbed.received_briefly(),
        [
            ("another-operator.example".into(), "ES4-SetFallBackAttributeResponse".into()),
            ("operator.example".into(), "ES4-HandleFallBackAttributeUnsetNotification".into()),
        ]
    );
    let eis = testbed.server().eis(eid()).await.unwrap().unwrap();
    let with: Vec<_> = eis.profile_info.iter().filter(|profile| profile.fallback_attribute).collect();
    assert_eq!(with.iter().map(|profile| profile.iccid).collect::<Vec<_>>(), [iccid(2)]);
    // The profile has the attribute already: no job for the card.
    testbed.call::<es4::SetFallBackAttribute>(OTHER_OPERATOR, request).await;
    assert!(testbed.received_only::<es4::SetFallBackAttributeResponse>(OTHER_OPERATOR).base.is_done());
    // The card can refuse the command.
    let request = es3::SetFallBackAttributeRequest { base: base(), eid: eid(), iccid: iccid(3) };
    testbed.call::<es3::SetFallBackAttribute>(SM_DP, request.clone()).await;
    testbed.card_answers(&[(&[], 0x69E1)]).await;
    assert_eq!(
        codes(&testbed.received_only::<es3::SetFallBackAttributeResponse>(SM_DP)),
        ("8.2.2".into(), "3.8".into())
    );
    testbed.call::<es3::SetFallBackAttribute>(OTHER_SM_DP, request).await;
    let answer: es3::SetFallBackAttributeResponse = testbed.received_only(OTHER_SM_DP);
    assert_eq!(codes(&answer), ("8.2.1".into(), "1.2".into()));
}

// req: SGP.02-5.5-FallBackAttribute
#[tokio::test]
async fn the_emergency_attribute_excludes_the_fall_back_attribute() {
    let testbed = new_testbed().await;
    let send_request = |peer_name: &'static str, number: u8| {
        let testbed = &testbed;
        async move {
            let request =
                es4::SetEmergencyProfileAttributeRequest { base: base(), eid: eid(), iccid: iccid(number) };
            testbed.call::<es4::SetEmergencyProfileAttribute>(peer_name, request).await;
        }
    };
    send_request(OPERATOR, 3).await;
    testbed.card_executes().await;
    type Answer = es4::SetEmergencyProfileAttributeResponse;
    assert!(testbed.received_only::<Answer>(OPERATOR).base.is_done());
    // A repetition needs no job.
    send_request(OPERATOR, 3).await;
    assert!(testbed.received_only::<Answer>(OPERATOR).base.is_done());
    // An enabled profile cannot get the attribute. Neither can another operator's profile while a
    // profile has it.
    send_request(OPERATOR, BOOTSTRAP).await;
    assert_eq!(codes(&testbed.received_only::<Answer>(OPERATOR)), ("8.2.1".into(), "3.5".into()));
    send_request(OTHER_OPERATOR, 2).await;
    assert_eq!(codes(&testbed.received_only::<Answer>(OTHER_OPERATOR)), ("8.2.1".into(), "1.2".into()));
    // A profile can have only one of the two attributes.
    let request = es4::SetFallBackAttributeRequest { base: base(), eid: eid(), iccid: iccid(3) };
    testbed.call::<es4::SetFallBackAttribute>(OPERATOR, request).await;
    let answer: es4::SetFallBackAttributeResponse = testbed.received_only(OPERATOR);
    assert_eq!(codes(&answer), ("8.2.1".into(), "3.8".into()));
}

#[tokio::test]
async fn only_the_owner_can_change_rules_and_addresses() {
    let testbed = new_testbed().await;
    let address = SubscriptionAddress {
        imsi: Some("262019876543210".parse().unwrap()),
        msisdn: Some("491711234567".parse().unwrap()),
    };
    let request = |number| es3::UpdateSubscriptionAddressRequest {
        base: base(),
        eid: eid(),
        iccid: iccid(number),
        new_subscription_address: address.clone(),
    };
    type Answer = es3::UpdateSubscriptionAddressResponse;
    let answer: Answer =
        response_message(&testbed.call::<es3::UpdateSubscriptionAddress>(SM_DP, request(2)).await);
    assert!(answer.base.is_done());
    let eis = testbed.server().eis(eid()).await.unwrap().unwrap();
    assert_eq!(eis.profile_info[1].subscription_address, address);
    let answer: Answer =
        response_message(&testbed.call::<es3::UpdateSubscriptionAddress>(OTHER_SM_DP, request(2)).await);
    assert_eq!(codes(&answer), ("8.2.1".into(), "1.2".into()));
    let answer: Answer =
        response_message(&testbed.call::<es3::UpdateSubscriptionAddress>(SM_DP, request(9)).await);
    assert_eq!(codes(&answer), ("8.2.1".into(), "3.9".into()));
    // A request without rules is valid. The operator that owns the profile is not notified, because
    // its SM-DP made the request.
    let request = es3::UpdatePolicyRulesRequest { base: base(), eid: eid(), iccid: iccid(2), pol2: None };
    testbed.call::<es3::UpdatePolicyRules>(SM_DP, request).await;
    let request = es4::UpdatePolicyRulesRequest { base: base(), eid: eid(), iccid: iccid(2), pol2: None };
    let response = testbed.call::<es4::UpdatePolicyRules>(OPERATOR, request).await;
    assert_eq!(
        codes(&response_message::<es4::UpdatePolicyRulesResponse>(&response)),
        ("8.2.1".into(), "1.2".into())
    );
    let request = es4::UpdateSubscriptionAddressRequest {
        base: base(),
        eid: eid(),
        iccid: iccid(3),
        new_subscription_address: SubscriptionAddress::default(),
    };
    let response = testbed.call::<es4::UpdateSubscriptionAddress>(OPERATOR, request).await;
    assert!(response_message::<es4::UpdateSubscriptionAddressResponse>(&response).base.is_done());
    assert!(testbed.received().is_empty());
}

#[tokio::test]
async fn connectivity_parameters_are_sent_to_the_isd_p() {
    let testbed = new_testbed().await;
    let request = |parameters: &str| es3::UpdateConnectivityParametersRequest {
        base: base(),
        eid: eid(),
        iccid: iccid(2),
        connectivity_parameters: Octets(hex::decode(parameters).unwrap()),
    };
    type Answer = es3::UpdateConnectivityParametersResponse;
    testbed.call::<es3::UpdateConnectivityParameters>(SM_DP, request("AA07220580E2880000")).await;
    let job = testbed.card_executes().await;
    assert_eq!((job.target.clone(), apdus(&job)), (isd_p(2), vec!["80E2880000".to_owned()]));
    assert!(testbed.received_only::<Answer>(SM_DP).euicc_response_data.is_some());
    testbed.call::<es3::UpdateConnectivityParameters>(SM_DP, request("AA07220580E2880000")).await;
    testbed.card_answers(&[(&[], 0x6982)]).await;
    assert_eq!(codes(&testbed.received_only::<Answer>(SM_DP)), ("8.4".into(), "4.2".into()));
    testbed.call::<es3::UpdateConnectivityParameters>(SM_DP, request("A003060791")).await;
    assert_eq!(codes(&testbed.received_only::<Answer>(SM_DP)).1, "2.1");
    testbed.call::<es3::UpdateConnectivityParameters>(OTHER_SM_DP, request("AA07220580E2880000")).await;
    assert_eq!(codes(&testbed.received_only::<Answer>(OTHER_SM_DP)), ("8.2.1".into(), "1.2".into()));
}

pub(super) fn status_of(number: u8, state: u8, fallback: bool) -> Vec<u8> {
    let mut contents = tlv_bytes(Tag(0x4F), &isd_p(number).0);
    contents.extend(tlv_bytes(Tag(0x9F70), &[state]));
    contents.extend(tlv_bytes(Tag(0x53), &[u8::from(fallback)]));
    contents.extend(tlv_bytes(Tag(0x91), &[0x01, 0x00]));
    tlv_bytes(Tag(0xE3), &contents)
}

pub(super) fn resources(free: u32) -> Vec<u8> {
    let contents = [(0x81, 3u32), (0x82, free), (0x83, 1024)]
        .map(|(tag, value)| tlv_bytes(Tag(tag), &value.to_be_bytes()))
        .concat();
    tlv_bytes(Tag(0xFF21), &contents)
}

#[tokio::test]
async fn an_audit_updates_the_eis() {
    let testbed = new_testbed().await;
    let request = es4::AuditEisRequest { base: base(), eid: eid(), iccid: vec![iccid(3)] };
    testbed.call::<es4::AuditEis>(OPERATOR, request).await;
    let job = testbed.job().await;
    assert_eq!(apdus(&job)[0], "80CAFF2100");
    testbed.advance(Duration::from_secs(5)).await;
    // The list comes in two parts. ISD-P 8 is not in the EIS.
    let first = [status_of(BOOTSTRAP, 0x1F, false), status_of(2, 0x3F, false)].concat();
    let second = [status_of(3, 0x1F, true), status_of(8, 0x1F, false)].concat();
    let resources = resources(123_456);
    testbed.card_answers(&[(&resources, OK), (&first, 0x6310), (&second, OK)]).await;
    // The owner that did not make the call is notified of the changes.
    let received = testbed.received();
    let to =
        |peer_name| received.iter().find(|received| received.to == testbed.authority(peer_name)).unwrap();
    let notification: es4::HandleProfileEnabledNotification = to(OTHER_OPERATOR).message();
    assert_eq!((received.len(), notification.iccid), (2, iccid(2)));
    let answer: es4::AuditEisResponse = to(OPERATOR).message();
    let shown = answer.eis.unwrap();
    assert_eq!(shown.profile_info.iter().map(|profile| profile.iccid).collect::<Vec<_>>(), [iccid(3)]);
    assert_eq!(shown.last_audit_date, Some(testbed.now()));
    assert_eq!(shown.available_memory_for_profiles, 123_456);
    let states = [testbed.state(BOOTSTRAP).await, testbed.state(2).await, testbed.state(3).await];
    assert_eq!(states, [Some(Disabled), Some(Enabled), Some(Disabled)]);
    let eis = testbed.server().eis(eid()).await.unwrap().unwrap();
    assert!(eis.profile_info[2].fallback_attribute && !eis.profile_info[0].fallback_attribute);
    assert_eq!(eis.profile_info[2].free_memory, Some(FreeMemory(256)));
}

#[tokio::test]
async fn an_audit_is_repeated_until_the_card_has_returned_all_isd_ps() {
    let testbed = new_testbed().await;
    let request = es4::AuditEisRequest { base: base(), eid: eid(), iccid: vec![] };
    testbed.call::<es4::AuditEis>(OPERATOR, request.clone()).await;
    let all = [status_of(BOOTSTRAP, 0x3F, true), status_of(2, 0x1F, false)].concat();
    let rest = status_of(3, 0x1F, false);
    let resources = resources(1);
    let job = testbed.card_answers(&[(&resources, OK), (&all, 0x6310)]).await;
    assert_eq!(job.script.commands.len(), 2);
    assert!(testbed.received().is_empty());
    // The repeated audit starts from the first ISD-P and has more commands. The card refuses the
    // commands that are not needed.
    let job = testbed.card_answers(&[(&resources, OK), (&all, 0x6310), (&rest, OK), (&[], 0x6985)]).await;
    assert_eq!(job.script.commands.len(), 6);
    let answer: es4::AuditEisResponse = testbed.received_only(OPERATOR);
    assert_eq!(answer.eis.unwrap().profile_info.len(), 2);
    // The repetition is limited.
    testbed.call::<es4::AuditEis>(OPERATOR, request).await;
    for _ in 0..20 {
        let Some((_, job)) = testbed.jobs().await.pop() else { break };
        let more = vec![(rest.as_slice(), 0x6310); job.script.commands.len() - 1];
        testbed.card_answers(&[&[(resources.as_slice(), OK)], more.as_slice()].concat()).await;
    }
    assert_eq!(codes(&testbed.received_only::<es4::AuditEisResponse>(OPERATOR)).1, "4.2");
}

#[tokio::test]
async fn an_audit_removes_profiles_that_the_card_does_not_have() {
    let testbed = new_testbed().await;
    let request = es4::AuditEisRequest { base: base(), eid: eid(), iccid: vec![] };
    testbed.call::<es4::AuditEis>(OPERATOR, request.clone()).await;
    let left = [status_of(BOOTSTRAP, 0x3F, true), status_of(3, 0x1F, false)].concat();
    testbed.card_answers(&[(&resources(1), OK), (&left, OK)]).await;
    assert_eq!(
        testbed.received_briefly(),
        [
            ("another-operator.example".into(), "ES4-HandleProfileDeletedNotification".into()),
            ("operator.example".into(), "ES4-AuditEISResponse".into()),
        ]
    );
    assert_eq!(testbed.state(2).await, None);
    // A response without any ISD-P must be wrong: the card is connected with the profile of one.
    testbed.call::<es4::AuditEis>(OPERATOR, request).await;
    testbed.card_answers(&[(&resources(1), OK), (&[], OK)]).await;
    assert_eq!(
        codes(&testbed.received_only::<es4::AuditEisResponse>(OPERATOR)),
        ("8.4".into(), "4.2".into())
    );
    assert_eq!(testbed.state(BOOTSTRAP).await, Some(Enabled));
}

// req: SGP.02-5.5-AuditOwner
#[tokio::test]
async fn an_audit_requires_a_profile_on_the_card() {
    let testbed = Testbed::new().await;
    testbed.register().await;
    let request = es4::AuditEisRequest { base: base(), eid: eid(), iccid: vec![] };
    testbed.call::<es4::AuditEis>(OTHER_OPERATOR, request).await;
    assert_eq!(
        codes(&testbed.received_only::<es4::AuditEisResponse>(OTHER_OPERATOR)),
        ("8.1.1".into(), "1.2".into())
    );
    let request = es3::AuditEisRequest { base: base(), eid: eid(), iccid: vec![] };
    testbed.call::<es3::AuditEis>(SM_DP, request).await;
    assert_eq!(codes(&testbed.received_only::<es3::AuditEisResponse>(SM_DP)), ("8.1.1".into(), "1.2".into()));
    assert!(testbed.jobs().await.is_empty());
}

#[tokio::test]
async fn an_audit_does_not_complete_a_download() {
    let testbed = Testbed::new().await;
    testbed.register_with([testbed.profile(2, OTHER_OPERATOR, Created, false)]).await;
    let request = es3::AuditEisRequest { base: base(), eid: eid(), iccid: vec![] };
    testbed.call::<es3::AuditEis>(SM_DP, request).await;
    let all = [status_of(BOOTSTRAP, 0x3F, true), status_of(2, 0x1F, false)].concat();
    testbed.card_answers(&[(&resources(1), OK), (&all, OK)]).await;
    let answer: es3::AuditEisResponse = testbed.received_only(SM_DP);
    assert_eq!(answer.eis.unwrap().profile_info.len(), 1);
    assert_eq!(testbed.state(2).await, Some(Created));
}

#[tokio::test]
async fn an_audit_that_fails_changes_nothing() {
    let testbed = new_testbed().await;
    let request = es4::AuditEisRequest { base: base(), eid: eid(), iccid: vec![] };
    let broken: [Vec<(Vec<u8>, u16)>; 5] = [
        vec![(vec![], 0x6A88)],
        vec![(vec![0xFF], OK), (vec![], OK)],
        vec![(resources(9), OK)],
        vec![(resources(9), OK), (vec![0xE3, 0x7F], OK)],
        vec![(resources(9), OK), (status_of(2, 0x3F, false), 0x6310), (vec![], 0x6581)],
    ];
    for answers in broken {
        testbed.call::<es4::AuditEis>(OPERATOR, request.clone()).await;
        let answers: Vec<(&[u8], u16)> =
            answers.iter().map(|(data, status_word)| (data.as_slice(), *status_word)).collect();
        testbed.card_answers(&answers).await;
        let answer: es4::AuditEisResponse = testbed.received_only(OPERATOR);
        assert_eq!(codes(&answer).1, "4.2");
        assert_eq!(answer.eis, None);
    }
    let eis = testbed.server().eis(eid()).await.unwrap().unwrap();
    assert_eq!((eis.available_memory_for_profiles, eis.last_audit_date), (500_000, None));
    // The operator repeats its audit, if it wishes. The SM-SR does not.
    testbed.advance(Duration::from_secs(25 * 3600)).await;
    assert!(testbed.jobs().await.is_empty());
    // The audit names another operator's profile.
    let request = es4::AuditEisRequest { base: base(), eid: eid(), iccid: vec![iccid(2)] };
    testbed.call::<es4::AuditEis>(OPERATOR, request).await;
    assert_eq!(
        codes(&testbed.received_only::<es4::AuditEisResponse>(OPERATOR)),
        ("8.2.1".into(), "1.2".into())
    );
}

/// The card may have executed a function that it has not answered; an audit updates the EIS.
#[tokio::test]
async fn an_unanswered_deletion_is_followed_by_an_audit() {
    let status = |numbers: &[u8]| {
        let isd_ps = numbers
            .iter()
            .map(|number| status_of(*number, if *number == 1 { 0x3F } else { 0x1F }, *number == 1));
        isd_ps.collect::<Vec<_>>().concat()
    };
    for (left, state) in [(&[1, 2][..], None), (&[1, 2, 3], Some(Disabled))] {
        for is_expired in [true, false] {
            let testbed = new_testbed().await;
            delete(&testbed, OPERATOR, 3).await;
            match is_expired {
                true => testbed.advance(Duration::from_secs(601)).await,
                false => drop(
                    testbed.job_ends(JobOutcome::NotDelivered("its answer cannot be read".to_owned())).await,
                ),
            }
            assert!(!testbed.received_only::<es4::DeleteProfileResponse>(OPERATOR).base.is_done());
            assert!(testbed.jobs().await.is_empty());
            testbed.advance(Duration::from_secs(3601)).await;
            let job = testbed.card_answers(&[(&resources(450_000), OK), (&status(left), OK)]).await;
            assert_eq!(job.effect, Effect::Audit);
            assert_eq!(testbed.state(3).await, state, "{is_expired}");
            if state.is_none() {
                let notification: es4::HandleProfileDeletedNotification = testbed.received_only(OPERATOR);
                assert_eq!(notification.iccid, iccid(3));
            }
            testbed.advance(Duration::from_secs(10 * 86_400)).await;
            assert!(testbed.jobs().await.is_empty() && testbed.received().is_empty());
        }
    }
    // A function that never left the queue has changed nothing.
    let testbed = new_testbed().await;
    let first = es4::AuditEisRequest {
        base: BaseRequest { validity_period: Some(86_400), ..BaseRequest::new("") },
        eid: eid(),
        iccid: vec![],
    };
    testbed.call::<es4::AuditEis>(OPERATOR, first).await;
    delete(&testbed, OPERATOR, 3).await;
    testbed.advance(Duration::from_secs(601)).await;
    testbed.card_answers(&[(&resources(450_000), OK), (&status(&[1, 2, 3]), OK)]).await;
    testbed.advance(Duration::from_secs(3601)).await;
    assert!(testbed.jobs().await.is_empty());
}

#[tokio::test]
async fn an_invalid_response_of_the_card_is_an_execution_error() {
    let testbed = new_testbed().await;
    delete(&testbed, OPERATOR, 3).await;
    let nothing = ScriptResponse::of(Form::Definite, vec![Answer::SecureChannel(vec![0x86, 0x00])]);
    testbed.job_ends(JobOutcome::Answered(nothing)).await;
    assert_eq!(
        codes(&testbed.received_only::<es4::DeleteProfileResponse>(OPERATOR)),
        ("8.1".into(), "4.2".into())
    );
    // If an audit finds that a function was executed, the function has succeeded, whatever else the
    // audit's response contains.
    delete(&testbed, OPERATOR, 3).await;
    testbed.job_ends(JobOutcome::FoundDone(response(&[(&[], 0x6A88)]))).await;
    let status = testbed.received_only::<es4::DeleteProfileResponse>(OPERATOR).base.function_execution_status;
    assert_eq!(status.status, ExecutionStatus::ExecutedSuccess, "without a warning: {status}");
    assert_eq!(testbed.state(3).await, None);
}
