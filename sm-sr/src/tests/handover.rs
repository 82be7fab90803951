//! Handover of a card from one SM-SR to another: SGP.02 sections 3.8, 5.5 and 5.6. Both SM-SRs are
//! this implementation; the cryptography of the card is implemented here independently.

use std::time::Duration;

use crypto::{AesKey, Curve, PublicKey, SecretKey, Signature, x963};
use rsp::{
    der::{Tag, tlv, tlv_bytes},
    ota::script::{Chaining, Command},
    sgp02::{BaseRequest, ExecutionStatus, Octets, Response as _, eis::ProfileState, es3, es4, es7},
};
use world::Tx;

use super::{
    card::{OK, apdus},
    testbed::{
        BOOTSTRAP, OPERATOR, OTHER_OPERATOR, OTHER_SM_SR, SM_DP, SM_SR, Testbed, codes, eid, iccid, isd_p,
        response_message,
    },
};
use crate::{
    config::DOWNLOAD_TIME,
    es5::{Bearer, Effect, Job, JobOutcome},
    procedures::Step,
    records::{CARDS, Keys, PREPARED, PeerRole, TAKEOVERS},
};

const CHALLENGE: [u8; 16] = [0xC5; 16];
const RANDOM: [u8; 16] = [0xD7; 16];

pub(super) fn base() -> BaseRequest {
    BaseRequest { validity_period: Some(3600), ..BaseRequest::new("") }
}

/// Creates two SM-SRs; the first manages the card, the second is prepared for it.
pub(super) async fn prepared() -> (Testbed, Testbed) {
    prepared_with(ProfileState::Disabled).await
}

/// Creates the same testbed, with the second profile on the card in this state.
async fn prepared_with(state: ProfileState) -> (Testbed, Testbed) {
    let first = Testbed::new().await;
    let second = first.another().await;
    prepare_handover(&first, &second, state).await;
    (first, second)
}

/// Registers a card at the first SM-SR, and prepares the second one for it.
pub(super) async fn prepare_handover(first: &Testbed, second: &Testbed, state: ProfileState) {
    first.register_with([first.profile(2, OTHER_OPERATOR, state, false)]).await;
    prepare(second).await;
    let received: es4::PrepareSmsrChangeResponse = first.received_only(OPERATOR);
    assert!(received.base.is_done(), "{:?}", received.base);
}

pub(super) async fn prepare(second: &Testbed) {
    let request =
        es4::PrepareSmsrChangeRequest { base: base(), eid: eid(), current_smsr_id: second.id(SM_SR) };
    second.call::<es4::PrepareSmsrChange>(OPERATOR, request).await;
}

pub(super) async fn change(first: &Testbed) {
    let request = es4::SmsrChangeRequest { base: base(), eid: eid(), target_smsr_id: first.id(OTHER_SM_SR) };
    first.call::<es4::SmsrChange>(OPERATOR, request).await;
}

/// Runs the due work of both.
pub(super) async fn run_both(first: &Testbed, second: &Testbed) {
    for _ in 0..3 {
        first.run().await;
        second.run().await;
    }
}

/// The card checks a certificate and returns a challenge.
pub(super) async fn card_returns_challenge(first: &Testbed) -> Job {
    first.card_answers(&[(&tlv_bytes(Tag(0x85), &CHALLENGE), OK)]).await
}

/// Returns a card's response to the second STORE DATA, and the keys.
fn key_set_response(job: &Job, ecasd: &SecretKey, signer: &PublicKey) -> (Vec<u8>, [[u8; 16]; 3]) {
    let [Command::Apdu(apdu)] = job.script.commands.as_slice() else { panic!() };
    let data = &apdu[5..apdu.len() - 1];
    let template = &data[3..3 + usize::from(data[2])];
    let elements = tlv::each(&data[3 + template.len()..]).unwrap();
    let (Tag(0x7F49), point) = tlv::split(elements[0]).unwrap() else { panic!() };
    let (Tag(0x5F37), signature) = tlv::split(elements[1]).unwrap() else { panic!() };
    let covered = [&data[..data.len() - elements[1].len()], &[0, 0x85, 16], &CHALLENGE].concat();
    signer.verify(&covered, &Signature::from_slice(signature).unwrap()).unwrap();
    let shared = ecasd.agree(&PublicKey::from_sec1(Curve::P256, point).unwrap()).unwrap();
    let info = [&[0x10, 0x88, 0x10][..], &RANDOM].concat();
    let octets = x963::kdf_sha256(shared.expose(), &info, 64);
    let key =
        |number: usize| -> [u8; 16] { octets.expose()[16 * number..16 * (number + 1)].try_into().unwrap() };
    let random = tlv_bytes(Tag(0x85), &RANDOM);
    let receipt = AesKey::new(key(0)).cmac(&[template, &random]);
    ([random, tlv_bytes(Tag(0x86), &receipt)].concat(), [key(1), key(2), key(3)])
}

/// The card creates a key set.
pub(super) async fn card_creates_key_set(first: &Testbed) -> [[u8; 16]; 3] {
    let job = first.job().await;
    let signer = SecretKey::from_bytes(Curve::P256, &[0x33; 32]).unwrap().public_key();
    let (answer, keys) = key_set_response(&job, &first.ecasd_key, &signer);
    assert_eq!(job.script.chaining, Some(Chaining::Last));
    first.card_answers(&[(&answer, OK)]).await;
    keys
}

/// Begins a handover and lets the card return its challenge to the second SM-SR.
pub(super) async fn hand_over_until_challenge(first: &Testbed, second: &Testbed) {
    change(first).await;
    run_both(first, second).await;
    card_returns_challenge(first).await;
    run_both(first, second).await;
}

/// Begins a handover and lets the second SM-SR get the receipt of the card.
pub(super) async fn hand_over_until_receipt(first: &Testbed, second: &Testbed) {
    hand_over_until_challenge(first, second).await;
    card_creates_key_set(first).await;
    run_both(first, second).await;
}

/// The card stores the address of its new SM-SR and deletes the keys of the old one.
pub(super) async fn card_finalises_handover(second: &Testbed) {
    second.card_answers(&[(&[], OK), (&[0], OK)]).await;
}

#[tokio::test]
async fn a_card_is_handed_over_and_executes_functions_of_the_new_sm_sr() {
    let (first, second) = prepared().await;
    change(&first).await;
    run_both(&first, &second).await;
    let job = card_returns_challenge(&first).await;
    assert_eq!(job.script.chaining, Some(Chaining::First));
    assert_eq!(apdus(&job), ["80E20900093A01067F210393010200"]);
    run_both(&first, &second).await;
    let keys = card_creates_key_set(&first).await;
    run_both(&first, &second).await;
    // The second SM-SR manages the card, gives it its address and lets it delete the keys of the
    // first one.
    let job = second.job().await;
    assert_eq!(job.via, Some(Bearer::Sms));
    assert_eq!(
        apdus(&job),
        ["80E288000E3A070BA309810791947100000010".to_owned(), "80E4000005F20302010300".to_owned()]
    );
    let card = Tx::begin(second.records()).get(&CARDS, &eid().to_string()).await.unwrap().unwrap();
    let [set] = card.keys.as_slice() else { panic!() };
    let Keys::Scp80 { kic, kid, dek, counter } = &set.keys else { panic!() };
    assert_eq!([kic.expose(), kid.expose(), dek.expose()], [&keys[0][..], &keys[1], &keys[2]]);
    // The key set has a version number that the first SM-SR did not use.
    assert_eq!((set.version, *counter), (2, 0));
    // The first SM-SR keeps the card until the card has answered.
    assert_eq!(first.state(BOOTSTRAP).await, Some(ProfileState::Enabled));
    first.received();
    card_finalises_handover(&second).await;
    run_both(&first, &second).await;
    assert!(first.server().cards().await.unwrap().is_empty());
    assert!(first.server().audit_trail(eid()).await.unwrap().is_empty());
    let received = first.received_briefly();
    let received: Vec<(&str, &str)> =
        received.iter().map(|(to, what)| (to.as_str(), what.as_str())).collect();
    assert_eq!(
        received,
        [
            ("another-operator.example", "ES4-HandleSMSRChangeNotification"),
            ("operator.example", "ES4-HandleSMSRChangeNotification"),
            ("operator.example", "ES4-SMSRChangeResponse"),
            ("sm-sr.example", "ES7-HandleSMSRChangeNotification"),
            ("sm-sr.example", "ES7-HandoverEUICCResponse"),
        ]
    );
    let eis = second.server().eis(eid()).await.unwrap().unwrap();
    assert_eq!((eis.smsr_id, eis.profile_info.len()), (second.id(OTHER_SM_SR), 2));
    let kinds: Vec<u16> =
        second.server().audit_trail(eid()).await.unwrap().iter().map(|it| it.operation_type.0).collect();
    // The audit trail of the first SM-SR came with the card.
    assert_eq!(kinds, [0x0800, 0x0900]);
    assert!(Tx::begin(second.records()).list(&TAKEOVERS, "").await.unwrap().is_empty());
    assert!(Tx::begin(second.records()).list(&PREPARED, "").await.unwrap().is_empty());
    // The second SM-SR can use the card; the first one does not know it any more.
    let request = es4::AuditEisRequest { base: base(), eid: eid(), iccid: vec![] };
    second.call::<es4::AuditEis>(OPERATOR, request.clone()).await;
    assert_eq!(second.jobs().await.len(), 1);
    first.call::<es4::AuditEis>(OPERATOR, request).await;
    assert_eq!(
        codes(&first.received_only::<es4::AuditEisResponse>(OPERATOR)),
        ("8.1.1".into(), "3.9".into())
    );
}

#[tokio::test]
async fn an_isd_p_of_a_taken_over_card_gets_a_download_deadline() {
    let (first, second) = prepared_with(ProfileState::Created).await;
    hand_over_until_receipt(&first, &second).await;
    card_finalises_handover(&second).await;
    run_both(&first, &second).await;
    second.advance(DOWNLOAD_TIME - Duration::from_secs(60)).await;
    assert!(second.jobs().await.is_empty());
    second.advance(Duration::from_secs(61)).await;
    assert_eq!(second.card_executes().await.effect, Effect::Delete(isd_p(2)));
    assert_eq!(second.state(2).await, None);
}

#[tokio::test]
async fn the_status_code_of_a_refused_handover_tells_the_reason() {
    let first = Testbed::new().await;
    first.register().await;
    let send_request = |peer_name: &'static str, target: &'static str| {
        let first = &first;
        async move {
            let request =
                es4::SmsrChangeRequest { base: base(), eid: eid(), target_smsr_id: first.id(target) };
            first.call::<es4::SmsrChange>(peer_name, request).await;
            codes(&first.received_only::<es4::SmsrChangeResponse>(peer_name))
        }
    };
    // A caller without a profile, the SM-SR itself as target, a target that is not an SM-SR, a
    // target without endpoint.
    // req: SGP.02-5.6-SmsrChange-Caller
    assert_eq!(send_request(OTHER_OPERATOR, OTHER_SM_SR).await, ("8.1.1".into(), "1.2".into()));
    // req: SGP.02-5.6-SmsrChange-Self
    assert_eq!(send_request(OPERATOR, SM_SR).await, ("8.7".into(), "3.8".into()));
    // req: SGP.02-5.6-SmsrChange-Target
    assert_eq!(send_request(OPERATOR, SM_DP).await, ("8.7".into(), "3.9".into()));
    first.add_peer("far", PeerRole::SmSr, false).await;
    assert_eq!(send_request(OPERATOR, "far").await, ("8.7".into(), "3.9".into()));
    assert!(first.server().operations(eid()).await.unwrap().is_empty());
}

// req: SGP.02-5.6-HandoverEuicc-Unprepared
#[tokio::test]
async fn an_unprepared_sm_sr_refuses_a_handover() {
    let first = Testbed::new().await;
    let second = first.another().await;
    first.register().await;
    change(&first).await;
    run_both(&first, &second).await;
    let received = first.received();
    let answer = received.iter().find(|received| received.to == first.authority(OPERATOR)).unwrap();
    let answer: es4::SmsrChangeResponse = answer.message();
    assert_eq!(codes(&answer), ("8.1.1".into(), "1.2".into()));
    // Nothing has changed, and functions can use the card again.
    assert_eq!(first.state(BOOTSTRAP).await, Some(ProfileState::Enabled));
    assert!(first.server().operations(eid()).await.unwrap().is_empty());
    assert!(second.server().cards().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_invalid_preparation_is_refused() {
    let (first, second) = prepared().await;
    let send_request = |testbed: &'static str, peer_name: &'static str, current: &'static str| {
        let testbed = if testbed == SM_SR { &first } else { &second };
        async move {
            let request = es4::PrepareSmsrChangeRequest {
                base: base(),
                eid: eid(),
                current_smsr_id: testbed.id(current),
            };
            testbed.call::<es4::PrepareSmsrChange>(peer_name, request).await;
            testbed.received_only::<es4::PrepareSmsrChangeResponse>(peer_name)
        }
    };
    // req: SGP.02-5.6-Prepare-Managed
    assert_eq!(codes(&send_request(SM_SR, OPERATOR, OTHER_SM_SR).await), ("8.1.1".into(), "3.3".into()));
    // req: SGP.02-5.6-Prepare-Current
    assert_eq!(codes(&send_request(OTHER_SM_SR, OPERATOR, SM_DP).await), ("8.7".into(), "3.9".into()));
    // A preparation can be repeated. The preparation by another operator is independent of it. Both
    // expire after a week.
    assert!(send_request(OTHER_SM_SR, OPERATOR, SM_SR).await.base.is_done());
    assert!(send_request(OTHER_SM_SR, OTHER_OPERATOR, SM_SR).await.base.is_done());
    assert_eq!(Tx::begin(second.records()).list(&PREPARED, "").await.unwrap().len(), 2);
    second.advance(Duration::from_secs(7 * 86_400 + 1)).await;
    assert!(Tx::begin(second.records()).list(&PREPARED, "").await.unwrap().is_empty());
}

// req: SGP.02-5.6-Busy
#[tokio::test]
async fn no_other_function_is_accepted_during_a_handover() {
    let (first, second) = prepared().await;
    change(&first).await;
    run_both(&first, &second).await;
    first.received();
    let request = es4::EnableProfileRequest { base: base(), eid: eid(), iccid: iccid(2) };
    first.call::<es4::EnableProfile>(OTHER_OPERATOR, request).await;
    let answer: es4::EnableProfileResponse = first.received_only(OTHER_OPERATOR);
    assert_eq!(codes(&answer), ("1.6".into(), "3.7".into()));
    let request = es3::UpdatePolicyRulesRequest { base: base(), eid: eid(), iccid: iccid(2), pol2: None };
    let response = first.call::<es3::UpdatePolicyRules>(SM_DP, request).await;
    let answer: es3::UpdatePolicyRulesResponse = response_message(&response);
    assert_eq!(codes(&answer), ("1.6".into(), "3.7".into()));
}

/// Returns the final response to the operator.
pub(super) fn operator_response(testbed: &Testbed) -> es4::SmsrChangeResponse {
    let received = testbed.received();
    let is_it = |received: &&super::testbed::ReceivedMessage| received.element() == "ES4-SMSRChangeResponse";
    received.iter().find(is_it).unwrap().message()
}

#[tokio::test]
async fn a_handover_that_fails_before_the_receipt_has_changed_nothing() {
    for (step, answer) in [
        (1, JobOutcome::Answered(super::card::response(&[(&[], 0x6982)]))),
        (1, JobOutcome::NotDelivered("off".into())),
        (2, JobOutcome::Answered(super::card::response(&[(&[], 0x6982)]))),
        (2, JobOutcome::Expired),
    ] {
        let (first, second) = prepared().await;
        change(&first).await;
        run_both(&first, &second).await;
        if step == 2 {
            card_returns_challenge(&first).await;
            run_both(&first, &second).await;
        }
        first.job_ends(answer).await;
        run_both(&first, &second).await;
        let answer = operator_response(&first);
        assert_eq!(codes(&answer), ("8.7".into(), "4.2".into()), "{step}");
        let status = answer.base.function_execution_status.to_string();
        let failed =
            if step == 1 { "AuthenticateSMSR ended with" } else { "CreateAdditionalKeySet ended with" };
        assert!(status.contains(failed), "{step}: {status}");
        assert!(second.server().cards().await.unwrap().is_empty());
        assert!(Tx::begin(second.records()).list(&TAKEOVERS, "").await.unwrap().is_empty());
        assert!(first.server().operations(eid()).await.unwrap().is_empty());
        // The handover can be repeated at once.
        hand_over_until_receipt(&first, &second).await;
        card_finalises_handover(&second).await;
        run_both(&first, &second).await;
        assert!(operator_response(&first).base.is_done());
    }
}

// req: SGP.02-5.6-HandoverEuicc-Receipt
#[tokio::test]
async fn an_invalid_receipt_ends_the_handover() {
    let (first, second) = prepared().await;
    hand_over_until_challenge(&first, &second).await;
    let signer = SecretKey::from_bytes(Curve::P256, &[0x33; 32]).unwrap().public_key();
    let (mut answer, _) = key_set_response(&first.job().await, &first.ecasd_key, &signer);
    *answer.last_mut().unwrap() ^= 1;
    first.card_answers(&[(&answer, OK)]).await;
    run_both(&first, &second).await;
    assert_eq!(codes(&operator_response(&first)).0, "8.5.2");
    assert!(second.server().cards().await.unwrap().is_empty());
    assert_eq!(first.state(BOOTSTRAP).await, Some(ProfileState::Enabled));
}

#[tokio::test]
async fn failures_after_the_receipt_are_only_warnings() {
    for outcome in [
        JobOutcome::NotDelivered("off".to_owned()),
        JobOutcome::Answered(super::card::response(&[(&[], OK), (&[], 0x6985)])),
    ] {
        let (first, second) = prepared().await;
        hand_over_until_receipt(&first, &second).await;
        second.job_ends(outcome).await;
        run_both(&first, &second).await;
        let answer = operator_response(&first);
        let status = answer.base.function_execution_status.status;
        assert_eq!(status, ExecutionStatus::ExecutedWithWarning);
        assert!(first.server().cards().await.unwrap().is_empty());
        assert_eq!(second.state(BOOTSTRAP).await, Some(ProfileState::Enabled));
    }
}

#[tokio::test]
async fn a_handover_that_takes_too_long_before_the_receipt_ends_on_both_sides() {
    let (first, second) = prepared().await;
    change(&first).await;
    run_both(&first, &second).await;
    first.clock.advance(Duration::from_secs(3601));
    run_both(&first, &second).await;
    let status = operator_response(&first).base.function_execution_status.status;
    assert_eq!(status, ExecutionStatus::Expired);
    assert!(first.jobs().await.is_empty());
    assert!(Tx::begin(second.records()).list(&TAKEOVERS, "").await.unwrap().is_empty());
    assert_eq!(first.state(BOOTSTRAP).await, Some(ProfileState::Enabled));
}

#[tokio::test]
async fn a_lost_response_after_the_receipt_does_not_keep_the_card_at_the_first_sm_sr() {
    let (first, second) = prepared().await;
    hand_over_until_receipt(&first, &second).await;
    // The first SM-SR receives nothing any more, and its validity period ends.
    first.lose_messages(SM_SR, true);
    card_finalises_handover(&second).await;
    first.clock.advance(Duration::from_secs(3601));
    run_both(&first, &second).await;
    let status = operator_response(&first).base.function_execution_status.status;
    assert_eq!(status, ExecutionStatus::Expired);
    assert_eq!(first.state(BOOTSTRAP).await, Some(ProfileState::Enabled));
    // The notification reports the change.
    first.lose_messages(SM_SR, false);
    first.clock.advance(Duration::from_secs(600));
    run_both(&first, &second).await;
    assert!(first.server().cards().await.unwrap().is_empty());
}

#[tokio::test]
async fn calls_of_a_third_sm_sr_during_a_handover_are_refused() {
    let (first, second) = prepared().await;
    change(&first).await;
    run_both(&first, &second).await;
    first.received();
    first.add_peer("third", PeerRole::SmSr, true).await;
    let request = es7::AuthenticateSmsrRequest {
        base: base(),
        eid: Some(eid()),
        eis: None,
        smsr_certificate: Octets(tlv_bytes(Tag(0x7F21), &[1])),
    };
    // req: SGP.02-5.6-AuthenticateSmsr-Caller
    first.call::<es7::AuthenticateSmsr>("third", request.clone()).await;
    let answer: es7::AuthenticateSmsrResponse = first.received_only("third");
    assert_eq!(codes(&answer), ("8.1.1".into(), "1.2".into()));
    first.call::<es7::AuthenticateSmsr>(OPERATOR, request.clone()).await;
    assert_eq!(
        codes(&first.received_only::<es7::AuthenticateSmsrResponse>(OPERATOR)),
        ("1.1".into(), "1.2".into())
    );
    // Calls with an unknown card, without an EID, and with an invalid certificate are refused.
    let unknown_card = es7::AuthenticateSmsrRequest {
        eid: Some("89049032123451234512345123451235".parse().unwrap()),
        ..request.clone()
    };
    first.call::<es7::AuthenticateSmsr>("third", unknown_card).await;
    assert_eq!(codes(&first.received_only::<es7::AuthenticateSmsrResponse>("third")).1, "3.9");
    // req: SGP.02-5.6-AuthenticateSmsr-Eid
    first.call::<es7::AuthenticateSmsr>("third", es7::AuthenticateSmsrRequest { eid: None, ..request }).await;
    assert_eq!(
        codes(&first.received_only::<es7::AuthenticateSmsrResponse>("third")),
        ("1.3.1".into(), "2.3".into())
    );
    // A notification about a card that was not handed over is accepted and ignored.
    let eis = first.server().eis(eid()).await.unwrap().unwrap();
    let claim = es7::HandleSmsrChangeNotification {
        base: Default::default(),
        eis: eis.clone(),
        completion_timestamp: first.now(),
    };
    first.send_notification("third", &claim).await;
    assert_eq!(first.state(BOOTSTRAP).await, Some(ProfileState::Enabled));
    // A third party cannot hand over a card that it does not manage, or one whose EIS has no valid
    // signature.
    let handover = |eis| es7::HandoverEuiccRequest { base: base(), eis };
    second.add_peer("third", PeerRole::SmSr, true).await;
    second.call::<es7::HandoverEuicc>("third", handover(eis)).await;
    let answer: es7::HandoverEuiccResponse = second.received_only("third");
    assert!(!answer.base().is_done());
}

// req: SGP.02-5.6-CreateAdditionalKeySet-Version
#[tokio::test]
async fn a_key_set_must_have_a_new_scp80_version_and_use_a_supported_curve() {
    let (first, second) = prepared().await;
    change(&first).await;
    run_both(&first, &second).await;
    card_returns_challenge(&first).await;
    // The second SM-SR is unreachable for a moment, and the test makes the calls instead.
    first.received();
    let request = es7::CreateAdditionalKeySetRequest {
        base: base(),
        eid: eid(),
        key_version_number: 0x30,
        initial_sequence_counter: 0,
        ecc_key_length: es7::EccKeyLength::Ecc256,
        scenario_parameter: 0x0B,
        host_id: Octets::default(),
        ephemeral_public_key: Octets(vec![4; 65]),
        signature: Octets(vec![0; 64]),
    };
    let others = [
        es7::CreateAdditionalKeySetRequest { key_version_number: 0x30, ..request.clone() },
        // The first SM-SR reaches the card by this key set.
        es7::CreateAdditionalKeySetRequest { key_version_number: 1, ..request.clone() },
        es7::CreateAdditionalKeySetRequest {
            key_version_number: 2,
            ecc_key_length: es7::EccKeyLength::Ecc384,
            ..request
        },
    ];
    for request in others {
        let request = es7::CreateAdditionalKeySetRequest {
            base: BaseRequest::new(format!("{}", request.key_version_number)),
            ..request
        };
        let response = first.post(OTHER_SM_SR, first.namespace, "x", &request);
        assert_eq!(response.await.status(), http::StatusCode::ACCEPTED);
        first.server().run_due().await.unwrap();
        let received = first.received();
        let answer = received
            .iter()
            .find(|received| received.element() == "ES7-CreateAdditionalKeySetResponse")
            .unwrap();
        let answer: es7::CreateAdditionalKeySetResponse = answer.message();
        assert_eq!(codes(&answer), ("1.3.1".into(), "2.1".into()));
    }
    let operations = first.server().operations(eid()).await.unwrap();
    assert!(matches!(operations[0].step, Step::HandingOver(_)));
}
