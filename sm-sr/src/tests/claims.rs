//! Handovers with false reports or unknown results: SGP.02 sections 3.8 and 5.6.

use std::time::Duration;

use rsp::sgp02::{
    ExecutionStatus,
    eis::{AdditionalProperties, Eis, ProfileState},
    es1, es3, es4,
};
use world::Tx;

use super::{
    card::{OK, apdus},
    handover::{
        base, card_creates_key_set, card_finalises_handover, card_returns_challenge, change,
        hand_over_until_challenge, hand_over_until_receipt, operator_response, prepare, prepared, run_both,
    },
    testbed::{
        BOOTSTRAP, EUM, OPERATOR, OTHER_OPERATOR, OTHER_SM_SR, SM_DP, SM_SR, Testbed, codes, eid, iccid,
        isd_p, response_message, scp80_set,
    },
};
use crate::{
    es5::JobOutcome,
    records::{ADDRESSES, Key, PeerRole, TAKEOVERS},
    state::takeover::{Awaits, FinalisationCommand, HandoverFinalisation, Psk},
};

#[tokio::test]
async fn a_takeover_without_a_receipt_is_not_accepted() {
    let (first, second) = prepared().await;
    // The second SM-SR reports an earlier takeover of the card.
    let mut card = first.card().await;
    card.taken_from = Some(first.id(SM_SR));
    second.replace_card(&card).await;
    change(&first).await;
    run_both(&first, &second).await;
    assert_eq!(codes(&operator_response(&first)), ("8.7".into(), "4.2".into()));
    assert_eq!(first.state(BOOTSTRAP).await, Some(ProfileState::Enabled));
    assert!(first.server().operations(eid()).await.unwrap().is_empty());
    assert!(
        !first.server().audit_trail(eid()).await.unwrap().iter().any(|line| line.operation_type.0 == 0x0800)
    );
}

/// Creates a handover with an unknown result. The card has established a key set with the second
/// SM-SR, but the first SM-SR has received no result within the validity period.
async fn uncertain_handover() -> (Testbed, Testbed) {
    let (first, second) = taken_over().await;
    first.lose_messages(SM_SR, true);
    first.clock.advance(Duration::from_secs(3601));
    first.run().await;
    let status = operator_response(&first).base.function_execution_status.status;
    assert_eq!(status, ExecutionStatus::Expired);
    (first, second)
}

// req: SGP.02-5.6-Uncertain
#[tokio::test]
async fn a_card_with_uncertain_owner_is_not_used() {
    let (first, _) = uncertain_handover().await;
    let request = es4::EnableProfileRequest { base: base(), eid: eid(), iccid: iccid(2) };
    first.call::<es4::EnableProfile>(OTHER_OPERATOR, request).await;
    let answer: es4::EnableProfileResponse = first.received_only(OTHER_OPERATOR);
    assert_eq!(codes(&answer), ("1.6".into(), "3.7".into()));
    let request = es3::UpdatePolicyRulesRequest { base: base(), eid: eid(), iccid: iccid(2), pol2: None };
    let answer: es3::UpdatePolicyRulesResponse =
        response_message(&first.call::<es3::UpdatePolicyRules>(SM_DP, request).await);
    assert_eq!(codes(&answer), ("1.6".into(), "3.7".into()));
    let request = es1::UpdateEisAdditionalPropertiesRequest {
        base: base(),
        eid: eid(),
        additional_properties: AdditionalProperties { property: Vec::new() },
    };
    let response = first.call::<es1::UpdateEisAdditionalProperties>(EUM, request).await;
    let answer: es1::UpdateEisAdditionalPropertiesResponse = response_message(&response);
    assert_eq!(codes(&answer), ("1.6".into(), "3.7".into()));
    // The card cannot be handed over to a third SM-SR either.
    first.add_peer("third", PeerRole::SmSr, true).await;
    let request = es4::SmsrChangeRequest { base: base(), eid: eid(), target_smsr_id: first.id("third") };
    first.call::<es4::SmsrChange>(OPERATOR, request).await;
    assert_eq!(codes(&operator_response(&first)), ("1.6".into(), "3.7".into()));
    // Nothing is sent to the card, and messages under its old keys are ignored.
    assert!(first.jobs().await.is_empty());
    let procedures = first.server().procedures();
    assert!(procedures.card(&mut Tx::begin(first.records()), eid()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_repeated_handover_shows_that_the_other_sm_sr_manages_the_card() {
    let (first, second) = uncertain_handover().await;
    first.lose_messages(SM_SR, false);
    // The operator repeats the call before the notification arrives.
    assert!(!first.server().cards().await.unwrap().is_empty());
    change(&first).await;
    run_both(&first, &second).await;
    let status = operator_response(&first).base.function_execution_status.status;
    assert_eq!(status, ExecutionStatus::ExecutedWithWarning);
    assert!(first.server().cards().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_repeated_handover_completes_if_this_sm_sr_still_manages_the_card() {
    let (first, second) = prepared().await;
    hand_over_until_challenge(&first, &second).await;
    // The card creates a key set, but the second SM-SR never gets the receipt and gives up.
    first.lose_messages(OTHER_SM_SR, true);
    card_creates_key_set(&first).await;
    first.clock.advance(Duration::from_secs(3601));
    run_both(&first, &second).await;
    let status = operator_response(&first).base.function_execution_status.status;
    assert_eq!(status, ExecutionStatus::Expired);
    assert!(second.server().cards().await.unwrap().is_empty());
    first.lose_messages(OTHER_SM_SR, false);
    first.clock.advance(Duration::from_secs(60));
    run_both(&first, &second).await;
    let is_managed = async || {
        let procedures = first.server().procedures();
        procedures.card(&mut Tx::begin(first.records()), eid()).await.unwrap().is_some()
    };
    assert!(!is_managed().await);
    // The second SM-SR requests a challenge again. This proves that it does not manage the card,
    // so the first SM-SR sends messages to the card again.
    change(&first).await;
    run_both(&first, &second).await;
    assert!(is_managed().await);
    card_returns_challenge(&first).await;
    run_both(&first, &second).await;
    card_creates_key_set(&first).await;
    run_both(&first, &second).await;
    card_finalises_handover(&second).await;
    run_both(&first, &second).await;
    assert!(operator_response(&first).base.is_done());
    assert!(first.server().cards().await.unwrap().is_empty());
}

/// Creates a takeover whose last commands (to store the new address and to delete the old keys)
/// have not reached the card yet.
async fn taken_over() -> (Testbed, Testbed) {
    let (first, second) = prepared().await;
    hand_over_until_receipt(&first, &second).await;
    (first, second)
}

const A_DAY: Duration = Duration::from_secs(24 * 3600 + 1);
/// The command that deletes all keys except for those of the second SM-SR.
const DELETE_OTHER_KEYS: &str = "80E4000005F20302010300";

#[tokio::test]
async fn a_failed_deletion_of_old_keys_is_retried_another_day() {
    let (first, second) = taken_over().await;
    second.job_ends(JobOutcome::NotDelivered("off".to_owned())).await;
    run_both(&first, &second).await;
    // The operator gets its response now. It does not have to wait for a successful deletion.
    let status = operator_response(&first).base.function_execution_status.status;
    assert_eq!(status, ExecutionStatus::ExecutedWithWarning);
    assert!(second.jobs().await.is_empty());
    second.advance(A_DAY).await;
    let job = second.card_answers(&[(&[], OK), (&[], 0x6985)]).await;
    assert_eq!(apdus(&job)[1..], [DELETE_OTHER_KEYS]);
    assert!(second.jobs().await.is_empty());
    // Only the command that the card refused is repeated.
    second.advance(A_DAY).await;
    let job = second.card_answers(&[(&[0], OK)]).await;
    assert_eq!(apdus(&job), [DELETE_OTHER_KEYS]);
    assert!(Tx::begin(second.records()).list(&TAKEOVERS, "").await.unwrap().is_empty());
    second.advance(A_DAY).await;
    assert!(second.jobs().await.is_empty());
    assert!(
        first.received().iter().all(|received| received.element() != "ES4-HandleSMSRChangeNotification"),
        "the notification was sent a second time"
    );
}

#[tokio::test]
async fn old_keys_are_deleted_even_if_the_new_address_is_refused() {
    let (first, second) = taken_over().await;
    second.card_answers(&[(&[], 0x6A80)]).await;
    let job = second.card_answers(&[(&[0], OK)]).await;
    assert_eq!(apdus(&job), [DELETE_OTHER_KEYS]);
    run_both(&first, &second).await;
    let status = operator_response(&first).base.function_execution_status;
    assert_eq!(status.status, ExecutionStatus::ExecutedWithWarning);
    assert!(
        status
            .to_string()
            .contains("the card answered 6A80 to the command to store the address of its new SM-SR")
    );
    // The command with the address is repeated for a month.
    for _ in 1..crate::config::MAX_FINALISATION_ATTEMPTS {
        second.advance(A_DAY).await;
        let job = second.card_answers(&[(&[], 0x6A80)]).await;
        assert_eq!(apdus(&job).len(), 1);
    }
    second.advance(A_DAY).await;
    assert!(second.jobs().await.is_empty());
    assert!(Tx::begin(second.records()).list(&TAKEOVERS, "").await.unwrap().is_empty());
    assert_eq!(
        second.card().await.undone,
        [FinalisationCommand::StoreAddress],
        "the abandoned command is recorded"
    );
}

/// Changes the stored state of a takeover.
async fn change_finalisation(testbed: &Testbed, change: impl FnOnce(&mut HandoverFinalisation)) {
    let key = eid().to_string();
    let mut takeover = Tx::begin(testbed.records()).get(&TAKEOVERS, &key).await.unwrap().unwrap();
    let Awaits::Finalised(finalisation) = &mut takeover.awaits else { panic!() };
    change(finalisation);
    world::transact(testbed.records(), |tx| {
        let put = tx.put(&TAKEOVERS, &key, &takeover);
        Box::pin(async { put })
    })
    .await
    .unwrap();
}

/// A card that has stored the key already refuses it with 6985.
#[tokio::test]
async fn a_key_that_the_card_has_from_an_earlier_attempt_counts_as_stored() {
    const VERSION: u8 = 0x41;
    let (_first, second) = taken_over().await;
    change_finalisation(&second, |finalisation| {
        finalisation.psk = Some(Psk { version: VERSION, key: Key::new(vec![7; 16]) });
        finalisation.sent = vec![FinalisationCommand::StorePsk, FinalisationCommand::DeleteOtherKeys];
    })
    .await;
    let stored = async || second.card().await.keys.iter().any(|set| set.version == VERSION);
    // There was no earlier attempt.
    second.card_answers(&[(&[], 0x6985)]).await;
    second.card_answers(&[(&[0], OK)]).await;
    assert_eq!(second.card().await.undone, [FinalisationCommand::StorePsk]);
    // Another status word is a refusal in every attempt.
    second.advance(A_DAY).await;
    second.card_answers(&[(&[], 0x6A80)]).await;
    assert_eq!(second.card().await.undone, [FinalisationCommand::StorePsk]);
    assert!(!stored().await);
    second.advance(A_DAY).await;
    second.card_answers(&[(&[], 0x6985)]).await;
    assert!(second.card().await.undone.is_empty());
    assert!(stored().await);
    assert!(Tx::begin(second.records()).list(&TAKEOVERS, "").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_command_that_does_not_apply_any_more_is_dropped() {
    let (first, second) = taken_over().await;
    second.job_ends(JobOutcome::NotDelivered("off".to_owned())).await;
    run_both(&first, &second).await;
    assert_eq!(
        second.card().await.undone,
        [FinalisationCommand::StoreAddress, FinalisationCommand::DeleteOtherKeys]
    );
    // This command is for a key that does not exist.
    change_finalisation(&second, |finalisation| {
        finalisation.failed.insert(0, FinalisationCommand::StorePsk);
    })
    .await;
    second.advance(A_DAY).await;
    let job = second.card_answers(&[(&[], OK), (&[0], OK)]).await;
    assert_eq!(apdus(&job)[1..], [DELETE_OTHER_KEYS]);
    assert!(Tx::begin(second.records()).list(&TAKEOVERS, "").await.unwrap().is_empty());
    assert!(second.card().await.undone.is_empty());
}

// req: SGP.02-5.6-HandoverEuicc-Eis
#[tokio::test]
async fn a_takeover_with_an_inconsistent_eis_is_refused() {
    let defects: [fn(&mut Eis); 4] = [
        |eis| eis.profile_info[1].isd_p_aid = isd_p(BOOTSTRAP),
        |eis| eis.profile_info[1].state = ProfileState::Enabled,
        |eis| eis.isd_r.as_mut().unwrap().keyset.push(scp80_set(1)),
        |eis| eis.isd_r.as_mut().unwrap().keyset[0].key[2].index = 9,
    ];
    for defect in defects {
        let (first, second) = prepared().await;
        let mut card = first.card().await;
        defect(&mut card.eis);
        first.replace_card(&card).await;
        change(&first).await;
        run_both(&first, &second).await;
        assert_eq!(codes(&operator_response(&first)), ("8.6".into(), "2.1".into()));
        assert!(Tx::begin(second.records()).list(&TAKEOVERS, "").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_takeover_with_the_number_of_another_card_is_refused() {
    let (first, second) = prepared().await;
    let mut other = first.card().await;
    let other_eid = first.pki.eids(crypto::Curve::P256)[1];
    other.eis.eum_signed_info = {
        let mut info = first.signed_info();
        info.eid = other_eid;
        rsp::sgp02::signature::Canonical::eum_signed_info(info, first.namespace)
    };
    let number = other.eis.profile_info[0].subscription_address.msisdn.clone().unwrap();
    world::transact(second.records(), |tx| {
        let put = tx.put(&crate::records::CARDS, &other_eid.to_string(), &other);
        let put = put.and_then(|()| tx.put(&ADDRESSES, number.as_str(), &other_eid));
        Box::pin(async { put })
    })
    .await
    .unwrap();
    change(&first).await;
    run_both(&first, &second).await;
    assert_eq!(codes(&operator_response(&first)), ("8.2.6".into(), "3.3".into()));
}

#[tokio::test]
async fn only_an_operator_with_a_profile_on_the_card_can_prepare_a_handover() {
    let first = Testbed::new().await;
    let second = first.another().await;
    first.register().await;
    let request =
        es4::PrepareSmsrChangeRequest { base: base(), eid: eid(), current_smsr_id: second.id(SM_SR) };
    second.call::<es4::PrepareSmsrChange>(OTHER_OPERATOR, request).await;
    first.received();
    change(&first).await;
    run_both(&first, &second).await;
    assert_eq!(codes(&operator_response(&first)), ("8.1.1".into(), "1.2".into()));
    // The preparation by one operator does not block the preparation by another.
    prepare(&second).await;
    change(&first).await;
    run_both(&first, &second).await;
    assert_eq!(first.jobs().await.len(), 1);
}
