//! Downloads at the SM-SR: SGP.02 sections 3.1 and 5.4, CreateISDP, SendData,
//! ProfileDownloadCompleted.

use std::{collections::BTreeSet, time::Duration};

use rsp::{
    der::{Tag, tlv_bytes},
    ids::Aid,
    ota::script::{Answer, Chaining, Command, Form, Script, ScriptResponse},
    sgp02::{
        BaseRequest, ExecutionStatus, Octets, SubscriptionAddress,
        eis::{Pol2Action, Pol2Qualification, ProfileState},
        es3, es4, es5,
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
    config::MAX_SCRIPT_OCTETS,
    es5::{CardRefusal, Effect, JobOutcome},
    records::{Deadline, deadline_key},
    state::Function,
};
use ProfileState::{Created, Disabled};

fn base() -> BaseRequest {
    BaseRequest { validity_period: Some(3600), ..BaseRequest::new("") }
}

async fn new_testbed() -> Testbed {
    let testbed = Testbed::new().await;
    testbed.register().await;
    testbed
}

async fn create(testbed: &Testbed, peer_name: &str, number: u8, more_to_do: bool) {
    let request = es3::CreateIsdpRequest {
        base: base(),
        eid: eid(),
        iccid: iccid(number),
        mno_id: testbed.id(OTHER_OPERATOR),
        required_memory: 40_000,
        more_to_do: Some(more_to_do),
    };
    testbed.call::<es3::CreateIsdp>(peer_name, request).await;
}

async fn created(testbed: &Testbed) {
    create(testbed, SM_DP, 2, true).await;
    testbed.card_answers(&[(&[0], OK)]).await;
    testbed.received();
}

async fn send(testbed: &Testbed, peer_name: &str, to: Aid, script: Vec<u8>, more_to_do: bool) {
    let request = es3::SendDataRequest {
        base: base(),
        eid: eid(),
        sd_aid: to,
        data: Octets(script),
        more_to_do: Some(more_to_do),
    };
    testbed.call::<es3::SendData>(peer_name, request).await;
}

fn isd_r() -> Aid {
    Aid(Aid::ISD_R.to_vec())
}

async fn completed(testbed: &Testbed, peer_name: &str, number: u8) -> es3::ProfileDownloadCompletedResponse {
    let request = es3::ProfileDownloadCompletedRequest {
        base: base(),
        eid: eid(),
        iccid: iccid(number),
        profile_type: Some("4G".to_owned()),
        subscription_address: Some(SubscriptionAddress {
            imsi: None,
            msisdn: Some("4915199999999".parse().unwrap()),
        }),
        pol2: Some(rules(&[(Pol2Action::Delete, Pol2Qualification::NotAllowed)])),
    };
    response_message(&testbed.call::<es3::ProfileDownloadCompleted>(peer_name, request).await)
}

#[tokio::test]
async fn create_isdp_uses_a_free_number() {
    let testbed = new_testbed().await;
    create(&testbed, SM_DP, 2, true).await;
    let job = testbed.card_answers(&[(&[0], OK)]).await;
    assert_eq!(job.effect, Effect::CreateIsdP(isd_p(2)));
    assert!(job.more_to_do);
    assert!(apdus(&job)[0].starts_with("80E60C00"));
    assert!(apdus(&job)[0].contains("EF06830400009C40"), "{:?}", apdus(&job));
    let answer: es3::CreateIsdpResponse = testbed.received_only(SM_DP);
    assert_eq!(answer.isd_p_aid, Some(isd_p(2)));
    let eis = testbed.server().eis(eid()).await.unwrap().unwrap();
    assert_eq!(eis.available_memory_for_profiles, 460_000);
    let profile = &eis.profile_info[1];
    assert_eq!((profile.state, &profile.smdp_id), (Created, &Some(testbed.id(SM_DP))));
    assert_eq!((&profile.mno_id, profile.allocated_memory), (&testbed.id(OTHER_OPERATOR), 40_000));
}

#[tokio::test]
async fn two_downloads_have_two_isd_ps() {
    let testbed = new_testbed().await;
    created(&testbed).await;
    // A number that has become free is used again.
    create(&testbed, SM_DP, 3, false).await;
    testbed.card_answers(&[(&[0], OK)]).await;
    let answer: es3::CreateIsdpResponse = testbed.received_only(SM_DP);
    assert_eq!(answer.isd_p_aid, Some(isd_p(3)));
}

#[tokio::test]
async fn a_refused_create_isdp_leaves_the_eis_unchanged() {
    let testbed = new_testbed().await;
    // req: SGP.02-5.4-CreateIsdp-IccidInUse
    create(&testbed, SM_DP, BOOTSTRAP, false).await;
    assert_eq!(
        codes(&testbed.received_only::<es3::CreateIsdpResponse>(SM_DP)),
        ("8.2.1".into(), "3.3".into())
    );
    let too_large = es3::CreateIsdpRequest {
        base: base(),
        eid: eid(),
        iccid: iccid(2),
        mno_id: testbed.id(OPERATOR),
        required_memory: 500_001,
        more_to_do: None,
    };
    // req: SGP.02-5.4-CreateIsdp-Memory
    testbed.call::<es3::CreateIsdp>(SM_DP, too_large).await;
    assert_eq!(codes(&testbed.received_only::<es3::CreateIsdpResponse>(SM_DP)), ("8.1".into(), "4.8".into()));
    // The card refuses the command.
    for (status_word, subject, reason) in [(0x6A84, "8.1", "4.8"), (0x6A88, "8.4", "4.2")] {
        create(&testbed, SM_DP, 2, true).await;
        testbed.card_answers(&[(&[], status_word)]).await;
        let answer: es3::CreateIsdpResponse = testbed.received_only(SM_DP);
        assert_eq!(codes(&answer), (subject.into(), reason.into()));
        // The response names the ISD-P of the failed command.
        assert_eq!((testbed.state(2).await, answer.isd_p_aid), (None, Some(isd_p(2))));
    }
    let refused = rsp::ota::secured_packet::ResponseStatus::CipheringError;
    create(&testbed, SM_DP, 2, true).await;
    testbed.job_ends(JobOutcome::Refused(CardRefusal::Packet(refused))).await;
    assert_eq!(codes(&testbed.received_only::<es3::CreateIsdpResponse>(SM_DP)), ("8.4".into(), "4.2".into()));
    assert!(testbed.jobs().await.is_empty());
    let eis = testbed.server().eis(eid()).await.unwrap().unwrap();
    assert_eq!(eis.available_memory_for_profiles, 500_000);
}

#[tokio::test]
async fn an_isd_p_is_deleted_after_its_creation_expired() {
    let testbed = new_testbed().await;
    create(&testbed, SM_DP, 2, true).await;
    testbed.advance(Duration::from_secs(3601)).await;
    let answer: es3::CreateIsdpResponse = testbed.received_only(SM_DP);
    assert_eq!(answer.base.function_execution_status.status, ExecutionStatus::Expired);
    // 6A88 means that the ISD-P was never created.
    let job = testbed.card_answers(&[(&[], 0x6A88)]).await;
    assert_eq!(job.effect, Effect::Delete(isd_p(2)));
    assert_eq!(testbed.state(2).await, None);
    assert!(testbed.received().is_empty());
}

#[tokio::test]
async fn an_isd_p_whose_creation_is_uncertain_stays_in_the_eis_until_it_is_deleted() {
    let testbed = new_testbed().await;
    create(&testbed, SM_DP, 2, true).await;
    testbed.job_ends(JobOutcome::NotDelivered("its answer cannot be read".to_owned())).await;
    assert_eq!(codes(&testbed.received_only::<es3::CreateIsdpResponse>(SM_DP)), ("8.1".into(), "5.1".into()));
    // Neither its AID nor its memory is allocated again meanwhile.
    assert_eq!(testbed.state(2).await, Some(Created));
    let job = testbed.card_executes().await;
    assert_eq!(job.effect, Effect::Delete(isd_p(2)));
    let eis = testbed.server().eis(eid()).await.unwrap().unwrap();
    assert_eq!((eis.profile_info.len(), eis.available_memory_for_profiles), (1, 500_000));
}

#[tokio::test]
async fn a_failed_clean_up_is_retried_the_next_day() {
    let testbed = new_testbed().await;
    created(&testbed).await;
    testbed.advance(Duration::from_secs(48 * 3600 + 1)).await;
    let outcomes = [
        JobOutcome::NotDelivered("off".to_owned()),
        JobOutcome::Expired,
        JobOutcome::Answered(response(&[(&[], 0x6581)])),
    ];
    for (tries, outcome) in outcomes.into_iter().enumerate() {
        let job = testbed.job_ends(outcome).await;
        assert_eq!(job.effect, Effect::Delete(isd_p(2)));
        assert!(testbed.jobs().await.is_empty());
        // The audit trail contains every failed attempt.
        let trail = testbed.server().audit_trail(eid()).await.unwrap();
        assert_eq!(trail.iter().filter(|line| line.operation_type.0 == 0x0400).count(), tries + 1);
        testbed.advance(Duration::from_secs(24 * 3600 + 1)).await;
    }
    testbed.card_executes().await;
    assert_eq!(testbed.state(2).await, None);
    testbed.advance(Duration::from_secs(10 * 24 * 3600)).await;
    assert!(testbed.jobs().await.is_empty());
}

#[test]
fn the_retries_of_functions_do_not_replace_each_other() {
    let key = |function| {
        let again = Deadline::Again { eid: eid(), function };
        deadline_key(rsp::time::Timestamp(0), &again)
    };
    let keys = [
        key(Function::CleanUp(iccid(2))),
        key(Function::AutoDelete(iccid(2))),
        key(Function::CleanUp(iccid(3))),
        key(Function::AuditEis(vec![])),
    ];
    assert_eq!(BTreeSet::from(keys).len(), 4);
}

#[tokio::test]
async fn a_clean_up_is_accepted_by_a_full_queue() {
    let testbed = new_testbed().await;
    created(&testbed).await;
    for _ in 0..crate::config::MAX_QUEUE_LENGTH {
        let request = es4::AuditEisRequest {
            base: BaseRequest { validity_period: Some(49 * 3600), ..BaseRequest::new("") },
            eid: eid(),
            iccid: vec![],
        };
        testbed.call::<es4::AuditEis>(OPERATOR, request).await;
    }
    testbed.advance(Duration::from_secs(48 * 3600 + 1)).await;
    testbed.advance(Duration::from_secs(2 * 3600)).await;
    assert_eq!(testbed.job().await.effect, Effect::Delete(isd_p(2)));
}

#[tokio::test]
async fn the_deadline_of_one_download_does_not_end_another() {
    let testbed = new_testbed().await;
    created(&testbed).await;
    let request = es3::DeleteIsdpRequest { base: base(), eid: eid(), iccid: iccid(2) };
    testbed.call::<es3::DeleteIsdp>(SM_DP, request).await;
    testbed.card_executes().await;
    testbed.advance(Duration::from_secs(47 * 3600)).await;
    // The same profile is downloaded again into the same ISD-P.
    created(&testbed).await;
    testbed.advance(Duration::from_secs(3601)).await;
    assert!(testbed.jobs().await.is_empty());
    assert_eq!(testbed.state(2).await, Some(Created));
    testbed.advance(Duration::from_secs(47 * 3600)).await;
    assert_eq!(testbed.job().await.effect, Effect::Delete(isd_p(2)));
}

#[tokio::test]
async fn an_isd_p_found_by_an_audit_is_treated_as_created() {
    // The response to a repeated command may be a refusal, because the ISD-P exists already.
    for status_word in [OK, 0x6A80] {
        let testbed = new_testbed().await;
        create(&testbed, SM_DP, 2, false).await;
        testbed.job_ends(JobOutcome::FoundDone(response(&[(&[], status_word)]))).await;
        let answer: es3::CreateIsdpResponse = testbed.received_only(SM_DP);
        assert!(answer.base.is_done(), "{status_word:04X}");
        assert_eq!(answer.isd_p_aid, Some(isd_p(2)));
        assert_eq!(testbed.state(2).await, Some(Created));
    }
}

#[tokio::test]
async fn send_data_forwards_scripts_and_responses_unchanged() {
    let testbed = new_testbed().await;
    created(&testbed).await;
    let apdu = es5::install_for_personalization(&isd_p(2));
    let certificate = es5::store_certificate(&tlv_bytes(Tag(0x7F21), &[1, 2, 3]));
    let script = Script::of_apdus([apdu.clone(), certificate]).chained(Chaining::FirstKept);
    send(&testbed, SM_DP, isd_r(), script.to_bytes(), true).await;
    let job = testbed.job_ends(JobOutcome::Answered(response(&[(&[], OK), (&[0x85, 1, 7], OK)]))).await;
    assert_eq!((job.target, job.script, job.more_to_do), (isd_r(), script, true));
    let answer: es3::SendDataResponse = testbed.received_only(SM_DP);
    assert_eq!(
        answer.euicc_response_data.unwrap().to_string(),
        "AB0E80010223029000230585010790 00".replace(' ', "")
    );
    // Scripts with SCP03t for the ISD-P, in the two other forms of a script.
    let secured = vec![0x86, 0x02, 0xAA, 0xBB];
    for form in [Form::Bare, Form::Indefinite] {
        let script = Script { form, chaining: None, commands: vec![Command::SecureChannel(secured.clone())] };
        send(&testbed, SM_DP, isd_p(2), script.to_bytes(), true).await;
        let answered = ScriptResponse::of(form, vec![Answer::SecureChannel(vec![0x86, 0x00])]);
        let job = testbed.job_ends(JobOutcome::Answered(answered.clone())).await;
        assert_eq!((job.target, job.script.commands), (isd_p(2), script.commands));
        let answer: es3::SendDataResponse = testbed.received_only(SM_DP);
        assert_eq!(answer.euicc_response_data.unwrap().0, answered.to_bytes());
    }
    // A refusal of the card is passed to the SM-DP as data.
    send(&testbed, SM_DP, isd_p(2), secured, false).await;
    testbed.job_ends(JobOutcome::Answered(response(&[(&[], 0x6985)]))).await;
    let answer: es3::SendDataResponse = testbed.received_only(SM_DP);
    assert!(answer.base.is_done());
}

// req: SGP.02-5.4-SendData-Size
#[tokio::test]
async fn the_size_of_a_script_is_limited() {
    let testbed = new_testbed().await;
    created(&testbed).await;
    // The script is a single segment of SCP03t.
    let script = |octets: usize| {
        [vec![0x86, 0x83], (octets - 5).to_be_bytes()[5..].to_vec(), vec![0; octets - 5]].concat()
    };
    send(&testbed, SM_DP, isd_p(2), script(MAX_SCRIPT_OCTETS + 1), true).await;
    let answer: es3::SendDataResponse = testbed.received_only(SM_DP);
    assert_eq!(codes(&answer), ("1.3.1".into(), "2.1".into()));
    let status = answer.base.function_execution_status.to_string();
    assert!(status.ends_with("Data has 524289 octets, the maximum is 524288"), "{status}");
    send(&testbed, SM_DP, isd_p(2), script(MAX_SCRIPT_OCTETS), true).await;
    // A script of the maximum size would be sent to the card if the card supported more than short
    // messages.
    let answer: es3::SendDataResponse = testbed.received_only(SM_DP);
    assert_eq!(codes(&answer), ("8.1".into(), "5.1".into()));
}

#[tokio::test]
async fn send_data_is_limited_to_own_security_domains() {
    let testbed = new_testbed().await;
    created(&testbed).await;
    let script = |apdu: Vec<u8>| Script::of_apdus([apdu]).to_bytes();
    let store = script(vec![0x80, 0xE2, 0x88, 0x00, 0x01, 0x00]);
    let perso = |number| script(es5::install_for_personalization(&isd_p(number)));
    let enable = script(es5::enable_profile(&isd_p(2)));
    for (peer_name, to, data, subject, reason) in [
        // req: SGP.02-5.4-SendData-Owner
        (OTHER_SM_DP, isd_p(2), store.clone(), "8.3.1", "1.2"),
        (SM_DP, isd_p(BOOTSTRAP), store.clone(), "8.3.1", "1.2"),
        // req: SGP.02-5.4-SendData-IsdP
        (SM_DP, isd_p(7), store.clone(), "8.3.1", "3.9"),
        // req: SGP.02-5.4-SendData-Script
        (SM_DP, isd_p(2), vec![0xAA, 0x05, 0x22], "1.3.1", "2.1"),
        (SM_DP, isd_p(2), vec![], "1.3.1", "2.1"),
        // At the ISD-R, only the keys of an own ISD-P can be established.
        // req: SGP.02-5.4-SendData-KeyEstablishment
        (SM_DP, isd_r(), enable, "8.3.1", "1.2"),
        (SM_DP, isd_r(), store, "8.3.1", "1.2"),
        (SM_DP, isd_r(), perso(BOOTSTRAP), "8.3.1", "1.2"),
        (OTHER_SM_DP, isd_r(), perso(2), "8.3.1", "1.2"),
        (SM_DP, Aid(Aid::ECASD.to_vec()), perso(2), "8.3.1", "1.2"),
        (SM_DP, isd_r(), vec![0xAA, 0x04, 0x86, 0x02, 0x00, 0x00], "8.3.1", "1.2"),
    ] {
        // A caller that set MoreToDo has exclusive use of the card for a while.
        testbed.advance(Duration::from_secs(301)).await;
        send(&testbed, peer_name, to.clone(), data, false).await;
        let answer: es3::SendDataResponse = testbed.received_only(peer_name);
        assert_eq!(codes(&answer), (subject.into(), reason.into()), "{peer_name} {to}");
    }
    assert!(testbed.jobs().await.is_empty());
    // Allowed cases.
    send(&testbed, SM_DP, isd_r(), perso(2), false).await;
    send(&testbed, SM_DP, Aid(Aid::ECASD.to_vec()), script(vec![0x80, 0xCA, 0x00, 0x5A, 0x00]), false).await;
    testbed.card_executes().await;
    testbed.card_executes().await;
    assert_eq!(testbed.received().len(), 2);
    // SendData to the ISD-R is not allowed any more once the profile is installed.
    assert!(completed(&testbed, SM_DP, 2).await.base.is_done());
    testbed.received();
    send(&testbed, SM_DP, isd_r(), perso(2), false).await;
    assert_eq!(codes(&testbed.received_only::<es3::SendDataResponse>(SM_DP)), ("8.3.1".into(), "1.2".into()));
}

// req: SGP.02-5.4-SendData-KeyEstablishment
#[tokio::test]
async fn no_sm_dp_can_establish_keys_of_the_isd_r_or_of_a_foreign_isd_p() {
    let testbed = new_testbed().await;
    created(&testbed).await;
    let certificate = es5::store_certificate(&tlv_bytes(Tag(0x7F21), &[1, 2, 3]));
    let agreement = es5::KeyAgreement::scp80(0x0B, 0x30, 0);
    let key_set = agreement.store_data(&[4; 65], &[5; 64]);
    let install = |number| es5::install_for_personalization(&isd_p(number));
    let chained = |apdus: &[Vec<u8>], chaining| Script::of_apdus(apdus.to_vec()).chained(chaining).to_bytes();
    let challenges: &[(&[u8], u16)] = &[(&[], OK), (&[0x85, 1, 7], OK)];
    let begins = |number| chained(&[install(number), certificate.clone()], Chaining::FirstKept);
    let ends = chained(&[key_set], Chaining::Last);
    let is_refused = |peer_name: &'static str, script: Vec<u8>| {
        let testbed = &testbed;
        async move {
            testbed.advance(Duration::from_secs(301)).await;
            send(testbed, peer_name, isd_r(), script, false).await;
            let answer: es3::SendDataResponse = testbed.received_only(peer_name);
            assert_eq!(codes(&answer), ("8.3.1".into(), "1.2".into()));
            assert!(testbed.jobs().await.is_empty());
        }
    };
    // Without INSTALL [for personalization] the data would be for the ISD-R.
    is_refused(SM_DP, chained(std::slice::from_ref(&certificate), Chaining::First)).await;
    is_refused(SM_DP, ends.clone()).await;
    // A chain that was begun for an own ISD-P can be completed.
    send(&testbed, SM_DP, isd_r(), begins(2), true).await;
    testbed.card_answers(challenges).await;
    send(&testbed, SM_DP, isd_r(), ends.clone(), false).await;
    testbed.card_answers(&[(&[0x86, 1, 7], OK)]).await;
    testbed.received();
    is_refused(SM_DP, ends.clone()).await;
    // Another SM-DP with an ISD-P cannot complete the chain. Neither can the SM-DP that began it
    // after the card has refused a script, executed another function, or not answered.
    create(&testbed, OTHER_SM_DP, 3, false).await;
    testbed.card_answers(&[(&[0], OK)]).await;
    let audit = es4::AuditEisRequest { base: base(), eid: eid(), iccid: vec![] };
    for between in ["another", "refused", "something else", "nothing"] {
        testbed.advance(Duration::from_secs(301)).await;
        send(&testbed, SM_DP, isd_r(), begins(2), false).await;
        let peer_name = if between == "another" { OTHER_SM_DP } else { SM_DP };
        match between {
            "refused" => testbed.card_answers(&[(&[], OK), (&[], 0x6982)]).await,
            "nothing" => testbed.job_ends(JobOutcome::NotDelivered("lost".to_owned())).await,
            _ => testbed.card_answers(challenges).await,
        };
        if between == "something else" {
            testbed.call::<es4::AuditEis>(OPERATOR, audit.clone()).await;
            testbed.card_answers(&[(&[], 0x6A88)]).await;
        }
        testbed.received();
        is_refused(peer_name, ends.clone()).await;
    }
    // A chain cannot be begun for an own ISD-P that contains a profile either.
    assert!(completed(&testbed, SM_DP, 2).await.base.is_done());
    create(&testbed, SM_DP, 4, false).await;
    testbed.card_answers(&[(&[0], OK)]).await;
    testbed.received();
    is_refused(SM_DP, begins(2)).await;
}

#[tokio::test]
async fn more_to_do_reserves_the_card() {
    let testbed = new_testbed().await;
    created(&testbed).await;
    let request = es4::AuditEisRequest { base: base(), eid: eid(), iccid: vec![] };
    testbed.call::<es4::AuditEis>(OPERATOR, request.clone()).await;
    assert!(testbed.jobs().await.is_empty());
    // The SM-DP is first, although it calls later.
    send(&testbed, SM_DP, isd_p(2), vec![0x86, 0x00], true).await;
    assert_eq!(testbed.job().await.effect, Effect::Data);
    testbed.card_executes().await;
    assert!(testbed.jobs().await.is_empty());
    // The reservation ends when the SM-DP has no more to do.
    send(&testbed, SM_DP, isd_p(2), vec![0x86, 0x00], false).await;
    testbed.card_executes().await;
    assert_eq!(testbed.job().await.effect, Effect::Audit);
    testbed.job_ends(JobOutcome::NotDelivered(String::new())).await;
    // The reservation also ends after its maximum time.
    send(&testbed, SM_DP, isd_p(2), vec![0x86, 0x00], true).await;
    testbed.card_executes().await;
    testbed.call::<es4::AuditEis>(OPERATOR, request).await;
    assert!(testbed.jobs().await.is_empty());
    testbed.advance(Duration::from_secs(301)).await;
    assert_eq!(testbed.job().await.effect, Effect::Audit);
}

#[tokio::test]
async fn a_completed_download_leaves_a_disabled_profile() {
    let testbed = new_testbed().await;
    created(&testbed).await;
    assert_eq!(codes(&completed(&testbed, OTHER_SM_DP, 2).await), ("8.2.1".into(), "1.2".into()));
    assert_eq!(codes(&completed(&testbed, SM_DP, 7).await), ("8.2.1".into(), "3.9".into()));
    assert!(completed(&testbed, SM_DP, 2).await.base.is_done());
    assert!(testbed.received().is_empty(), "the SM-DP informs its operator itself");
    let eis = testbed.server().eis(eid()).await.unwrap().unwrap();
    let profile = &eis.profile_info[1];
    assert_eq!((profile.state, profile.profile_type.as_deref()), (Disabled, Some("4G")));
    assert_eq!(profile.subscription_address.msisdn.as_ref().unwrap().as_str(), "4915199999999");
    assert!(profile.pol2.has(Pol2Action::Delete, Pol2Qualification::NotAllowed));
    assert_eq!(codes(&completed(&testbed, SM_DP, 2).await), ("8.2.1".into(), "3.5".into()));
    // The card is found by its number.
    let mut tx = world::Tx::begin(testbed.records());
    let number = world::PhoneNumber::international("4915199999999").unwrap();
    assert_eq!(testbed.server().procedures().card_at(&mut tx, &number).await.unwrap(), Some(eid()));
    // The download deadline does not delete it, and no deletion is recorded.
    let trail = testbed.server().audit_trail(eid()).await.unwrap().len();
    testbed.advance(Duration::from_secs(49 * 3600)).await;
    assert!(testbed.jobs().await.is_empty());
    assert_eq!(testbed.server().audit_trail(eid()).await.unwrap().len(), trail);
}

#[tokio::test]
async fn an_isd_p_is_deleted_at_the_deadline_of_its_download() {
    let testbed = new_testbed().await;
    created(&testbed).await;
    testbed.advance(Duration::from_secs(48 * 3600 + 1)).await;
    let job = testbed.card_executes().await;
    assert_eq!(job.effect, Effect::Delete(isd_p(2)));
    assert_eq!(testbed.state(2).await, None);
    assert!(testbed.received().is_empty());
    let eis = testbed.server().eis(eid()).await.unwrap().unwrap();
    assert_eq!(eis.available_memory_for_profiles, 500_000);
}

#[tokio::test]
async fn a_download_completed_before_the_clean_up_begins_is_kept() {
    let testbed = new_testbed().await;
    created(&testbed).await;
    let request = es4::AuditEisRequest {
        base: BaseRequest { validity_period: Some(100 * 3600), ..BaseRequest::new("") },
        eid: eid(),
        iccid: vec![],
    };
    testbed.call::<es4::AuditEis>(OPERATOR, request).await;
    testbed.advance(Duration::from_secs(48 * 3600 + 1)).await;
    assert_eq!(testbed.job().await.effect, Effect::Audit);
    assert!(completed(&testbed, SM_DP, 2).await.base.is_done());
    assert!(testbed.card().await.downloads.is_empty());
    testbed.job_ends(JobOutcome::NotDelivered(String::new())).await;
    assert!(testbed.jobs().await.is_empty());
    assert_eq!(testbed.state(2).await, Some(Disabled));
}

#[tokio::test]
async fn an_sm_dp_can_delete_the_isd_p_of_a_failed_download() {
    let testbed = new_testbed().await;
    created(&testbed).await;
    let request = es3::DeleteIsdpRequest { base: base(), eid: eid(), iccid: iccid(2) };
    testbed.call::<es3::DeleteIsdp>(SM_DP, request).await;
    testbed.card_executes().await;
    assert!(testbed.received_only::<es3::DeleteIsdpResponse>(SM_DP).base.is_done());
    assert_eq!(testbed.state(2).await, None);
}
