//! Downloads: triggers for the IPA, and the relay to the SM-DP+.

use eim::{
    NewOrder,
    records::{
        ConfirmationCode, DEVICES, Download, DownloadSource, FORWARDED_RESULTS, ForwardedResult, Outcome,
        Package,
    },
};
use rsp::sgp22::{es12, json};
use rsp::{
    der::{Asn1, Raw},
    ids::TransactionId,
    sgp22::{
        CancelSessionReason, PendingNotification as Notification,
        es8plus::ProfileInstallationResult,
        es9plus,
        es10b::{
            AuthenticateServerResponse as Whole, CancelSessionResponse, PrepareDownloadResponse as Prepared,
        },
    },
    sgp32::{
        PendingNotification,
        compact::{
            AuthenticateServerResponse, CancelSessionResponse as Cancelled, CompactAuthenticateResponseOk,
            CompactCancelSessionResponseOk, CompactPrepareDownloadResponseOk,
            CompactProfileInstallationResult, PrepareDownloadResponse,
        },
        esipa::{self, GetEimPackageResponse, HandleNotificationRequest, MessageFromIpa},
        ipa_data::{
            ProfileDownloadData, ProfileDownloadError, ProfileDownloadErrorReason,
            ProfileDownloadTriggerRequest, ProfileDownloadTriggerResult, ProfileDownloadTriggerResultData,
            ipa_features as feature,
        },
        notification::PendingNotificationList,
    },
};
use sgp23::euicc::Euicc;
use world::{Link, link_from};

use super::support::*;

pub(crate) const EVERY_FEATURE: [usize; 6] = [0, 1, 2, 3, 4, 5];

pub(crate) fn download(code: &str, kept_by_eim: bool) -> Package {
    Package::Download(Download {
        source: DownloadSource::ActivationCode(code.to_owned()),
        kept_by_eim,
        iccid: None,
        policy_rules_allowed: false,
    })
}

pub(crate) async fn trigger(ipa: &Ipa, card: &Card) -> ProfileDownloadTriggerRequest {
    match ipa.poll(card.eid).await {
        GetEimPackageResponse::ProfileDownloadTriggerRequest(trigger) => trigger,
        other => panic!("no trigger: {other:?}"),
    }
}

pub(crate) fn initiation(
    euicc: &Euicc,
    address: Option<&str>,
    id: Option<&TransactionId>,
) -> esipa::InitiateAuthenticationRequest {
    let request = euicc.initiation(SM_DP);
    esipa::InitiateAuthenticationRequest {
        euicc_challenge: request.euicc_challenge,
        smdp_address: address.map(str::to_owned),
        euicc_info1: address.map(|_| Raw::new(request.euicc_info1)),
        eim_transaction_id: id.cloned(),
    }
}

pub(crate) async fn initiate(ipa: &Ipa, request: &esipa::InitiateAuthenticationRequest) -> Initiated {
    let wrap = MessageFromIpa::InitiateAuthenticationRequest;
    match ipa.call::<esipa::InitiateAuthentication>(request, wrap).await {
        esipa::InitiateAuthenticationResponse::Ok(ok) => Ok(*ok),
        esipa::InitiateAuthenticationResponse::Error(code) => Err(code),
    }
}

pub(crate) type Initiated = Result<esipa::InitiateAuthenticationOk, esipa::InitiateAuthenticationError>;

pub(crate) async fn authenticate(
    ipa: &Ipa,
    id: &TransactionId,
    response: AuthenticateServerResponse,
) -> Result<esipa::AuthenticateClientOkDp, esipa::AuthenticateClientError> {
    let request = esipa::AuthenticateClientRequest {
        transaction_id: id.clone(),
        authenticate_server_response: response,
    };
    let wrap = MessageFromIpa::AuthenticateClientRequest;
    match ipa.call::<esipa::AuthenticateClient>(&request, wrap).await {
        esipa::AuthenticateClientResponse::OkDp(ok) => Ok(*ok),
        esipa::AuthenticateClientResponse::Error(code) => Err(code),
        esipa::AuthenticateClientResponse::OkDs(_) => panic!("an SM-DP+ has no events"),
    }
}

pub(crate) async fn package(
    ipa: &Ipa,
    id: &TransactionId,
    response: PrepareDownloadResponse,
) -> Result<Vec<u8>, esipa::GetBoundProfilePackageError> {
    let request = esipa::GetBoundProfilePackageRequest {
        transaction_id: id.clone(),
        prepare_download_response: response,
    };
    let wrap = MessageFromIpa::GetBoundProfilePackageRequest;
    match ipa.call::<esipa::GetBoundProfilePackage>(&request, wrap).await {
        esipa::GetBoundProfilePackageResponse::Ok(ok) => Ok(ok.bound_profile_package.0),
        esipa::GetBoundProfilePackageResponse::Error(code) => Err(code),
    }
}

/// Signs the response of the eUICC to the server, with the context parameters of the eIM or its own.
pub(crate) fn response(
    euicc: &Euicc,
    ok: &esipa::InitiateAuthenticationOk,
    matching_id: &str,
) -> rsp::sgp22::es10b::AuthenticateResponseOk {
    let es9 = es9plus::InitiateAuthenticationOk {
        transaction_id: ok.server_signed1.transaction_id.clone(),
        server_signed1: ok.server_signed1.clone(),
        server_signature1: ok.server_signature1.clone(),
        euicc_ci_pk_id_to_be_used: ok.euicc_ci_pk_identifier_to_be_used.clone(),
        server_certificate: ok.server_certificate.clone(),
    };
    let mut answer = euicc.authenticate(&es9, ok.matching_id.as_deref().unwrap_or(matching_id));
    answer.ctx_params1 = ok.ctx_params1.clone().map(Raw::into_value);
    let request = answer.request().unwrap_or_else(|_| panic!("the eUICC cannot answer"));
    match request.authenticate_server_response {
        Whole::AuthenticateResponseOk(ok) => *ok,
        Whole::AuthenticateResponseError(error) => panic!("{error:?}"),
    }
}

pub(crate) fn prepared(
    euicc: &Euicc,
    ok: &esipa::AuthenticateClientOkDp,
    metadata: &rsp::sgp22::es8plus::StoreMetadataRequest,
    one_time: &crypto::SecretKey,
) -> rsp::sgp22::es10b::PrepareDownloadResponseOk {
    let es9 = es9plus::AuthenticateClientOk {
        transaction_id: ok.smdp_signed2.transaction_id.clone(),
        profile_metadata: metadata.clone(),
        smdp_signed2: ok.smdp_signed2.clone(),
        smdp_signature2: ok.smdp_signature2.clone(),
        smdp_certificate: ok.smdp_certificate.clone(),
    };
    match euicc.prepare(&es9, one_time).request().prepare_download_response {
        Prepared::DownloadResponseOk(ok) => ok,
        Prepared::DownloadResponseError(error) => panic!("{error:?}"),
    }
}

pub(crate) fn installation(euicc: &Euicc, id: &TransactionId) -> ProfileInstallationResult {
    let data = euicc.installed(id, &"2.999.10".parse().unwrap(), SM_DP, iccid());
    match euicc.signed_result(data) {
        Notification::ProfileInstallationResult(result) => result,
        Notification::OtherSignedNotification(_) => panic!("no installation result"),
    }
}

// req: SGP.32-5.14.7-Status, SGP.32-2.11.2.3-Result
#[tokio::test]
async fn a_direct_download_ends_with_the_result_that_the_card_signed() {
    for binding in BINDINGS {
        let testbed = Testbed::new();
        let card = testbed.registered_with(&[feature::DIRECT_RSP_SERVER_COMMUNICATION]).await;
        let ipa = testbed.ipa(binding);
        let id = testbed.order(&card, download("LPA:1$smdpp.landfall.example$CODE-1", false)).await;
        let sent = trigger(&ipa, &card).await;
        assert_eq!(
            sent.profile_download_data,
            Some(ProfileDownloadData::ActivationCode("1$smdpp.landfall.example$CODE-1".to_owned()))
        );
        let euicc = card.sgp22(&testbed);
        let mut wrong = installation(&euicc, &"01".parse().unwrap());
        wrong.euicc_sign_pir[5] ^= 1;
        let result = |installation| {
            HandleNotificationRequest::ProvideEimPackageResult(esipa::ProvideEimPackageResultRequest {
                eid_value: Some(card.eid),
                eim_package_result: esipa::EimPackageResult::ProfileDownloadTriggerResult(
                    ProfileDownloadTriggerResult {
                        eim_transaction_id: sent.eim_transaction_id.clone(),
                        profile_download_trigger_result_data:
                            ProfileDownloadTriggerResultData::ProfileInstallationResult(Box::new(Raw::new(
                                installation,
                            ))),
                    },
                ),
            })
        };
        assert_eq!(ipa.notify(&result(wrong)).await, 400);
        assert!(!testbed.state(&id).await.is_ended());
        assert_eq!(ipa.notify(&result(installation(&euicc, &"01".parse().unwrap()))).await, 204);
        assert!(matches!(testbed.outcome(&id).await, Outcome::Download(_)));
        assert!(testbed.eim.waiting_notifications().await.unwrap().is_empty(), "the IPA itself delivers it");
    }
}

#[tokio::test]
async fn a_download_that_fails_ends_with_the_reason() {
    let testbed = Testbed::new();
    let card = testbed.registered().await;
    let ipa = testbed.ipa(Binding::Json);
    let smds = Package::Download(Download {
        source: DownloadSource::Smds { address: Some("smds.example".to_owned()) },
        kept_by_eim: false,
        iccid: None,
        policy_rules_allowed: false,
    });
    let id = testbed.order(&card, smds).await;
    let sent = trigger(&ipa, &card).await;
    assert!(matches!(sent.profile_download_data, Some(ProfileDownloadData::ContactSmds(_))));
    let error = ProfileDownloadError {
        profile_download_error_reason: Some(ProfileDownloadErrorReason::UNDEFINED_ERROR),
        error_response: None,
    };
    let result = esipa::EimPackageResult::ProfileDownloadTriggerResult(ProfileDownloadTriggerResult {
        eim_transaction_id: sent.eim_transaction_id,
        profile_download_trigger_result_data: ProfileDownloadTriggerResultData::ProfileDownloadError(error),
    });
    assert_eq!(ipa.provide(card.eid, result).await, acknowledged(&[]));
    assert!(matches!(testbed.outcome(&id).await, Outcome::Download(_)));
}

// req: SGP.32-5.14.1-Relay, SGP.32-5.14.2-Relay, SGP.32-5.14.3-Relay, SGP.32-5.14.1-CtxParams
// req: SGP.32-5.14.2-Compact, SGP.32-5.14.3-Compact, SGP.32-5.14.7-Compact
#[tokio::test]
async fn a_download_through_the_eim_installs_the_profile_and_informs_the_sm_dp() {
    for (binding, kept, compact) in [
        (Binding::Asn1, false, false),
        (Binding::Json, false, false),
        (Binding::Asn1, true, false),
        (Binding::Json, true, true),
        (Binding::Asn1, true, true),
        (Binding::Coap, true, true),
    ] {
        let testbed = Testbed::new();
        let features: &[usize] = if compact { &EVERY_FEATURE } else { &[1, 2] };
        let card = testbed.registered_with(features).await;
        download_through_the_eim(&testbed, &testbed.ipa(binding), &card, kept, compact).await;
    }
}

/// Downloads a profile, with all functions that relay to the SM-DP+. Returns the installation result.
pub(crate) async fn download_through_the_eim(
    testbed: &Testbed,
    ipa: &Ipa,
    card: &Card,
    kept: bool,
    compact: bool,
) -> PendingNotification {
    let euicc = card.sgp22(testbed);
    let code = testbed.released().await;
    let order = testbed.order(card, download(&code, kept)).await;
    let sent = trigger(ipa, card).await;
    assert_eq!(sent.profile_download_data.is_none(), kept);

    let request = initiation(&euicc, (!kept).then_some(SM_DP), sent.eim_transaction_id.as_ref());
    let first = initiate(ipa, &request).await.unwrap();
    let id = first.server_signed1.transaction_id.clone();
    assert_eq!(first.ctx_params1.is_some(), compact);
    assert_eq!(first.matching_id.as_deref(), (kept && !compact).then_some("CODE-1"));

    let full = response(&euicc, &first, "CODE-1");
    let answer = match compact {
        true => {
            let short = CompactAuthenticateResponseOk::of(&full, false, false);
            AuthenticateServerResponse::CompactAuthenticateResponseOk(Box::new(short))
        }
        false => AuthenticateServerResponse::AuthenticateResponseOk(Box::new(full)),
    };
    let second = authenticate(ipa, &id, answer).await.unwrap();
    assert_eq!(second.profile_metadata.is_none(), compact, "the eIM verifies the metadata");
    let metadata = testbed.sm_dp.orders().await.unwrap()[0].metadata.clone();

    let key = euicc.one_time_key();
    let full = prepared(&euicc, &second, &metadata, &key);
    let answer = match compact {
        true => {
            let short = CompactPrepareDownloadResponseOk::of(&full, &second.smdp_signed2, None);
            PrepareDownloadResponse::CompactDownloadResponseOk(short)
        }
        false => PrepareDownloadResponse::DownloadResponseOk(full),
    };
    let bpp = package(ipa, &id, answer).await.unwrap();
    let pb = testbed.pki.dp(crypto::Curve::P256).unwrap().pb.certificate;
    let opened = sgp23::bpp::open(&bpp, card.eid, pb.public_key(), &key).unwrap();
    assert_eq!(opened.metadata.iccid, iccid());

    let full = installation(&euicc, &id);
    let result = match compact {
        true => PendingNotification::CompactProfileInstallationResult(
            CompactProfileInstallationResult::of(&full).unwrap(),
        ),
        false => PendingNotification::ProfileInstallationResult(full.clone()),
    };
    let notification = HandleNotificationRequest::PendingNotification(Box::new(Raw::new(result.clone())));
    assert_eq!(ipa.notify(&notification).await, 204);
    assert_eq!(testbed.outcome(&order).await, Outcome::Installation(full.to_der().into()));
    assert_eq!(testbed.eim.deliver_due().await.unwrap(), None);
    let state = testbed.sm_dp.orders().await.unwrap()[0].state;
    assert_eq!(state, sm_dp::ProfileState::Installed);
    result
}

/// An IPA that did not get the acknowledgement repeats the result, in one of three messages. The session
/// is over then.
// req: SGP.32-5.14.7-Repetition
#[tokio::test]
async fn an_installation_result_is_acknowledged_again_after_its_session() {
    for compact in [false, true] {
        let testbed = Testbed::new();
        let features: &[usize] = if compact { &EVERY_FEATURE } else { &[1, 2] };
        let mut card = testbed.registered_with(features).await;
        let ipa = testbed.ipa(Binding::Asn1);
        let result = download_through_the_eim(&testbed, &ipa, &card, true, compact).await;
        let notification = |result: PendingNotification| {
            HandleNotificationRequest::PendingNotification(Box::new(Raw::new(result)))
        };
        let (mut other, number) = match &result {
            PendingNotification::ProfileInstallationResult(full) => {
                let number = full.profile_installation_result_data.notification_metadata.seq_number;
                let whole = Box::new(Raw::new(full.clone()));
                let download = ProfileDownloadTriggerResult {
                    eim_transaction_id: None,
                    profile_download_trigger_result_data:
                        ProfileDownloadTriggerResultData::ProfileInstallationResult(whole),
                };
                let download = esipa::EimPackageResult::ProfileDownloadTriggerResult(download);
                assert_eq!(ipa.provide(card.eid, download).await, acknowledged(&[number]));
                (result.clone(), number)
            }
            PendingNotification::CompactProfileInstallationResult(short) => {
                (result.clone(), short.compact_profile_installation_result_data.seq_number)
            }
            other => panic!("no installation result: {other:?}"),
        };
        assert_eq!(ipa.notify(&notification(result.clone())).await, 204);
        testbed.enable(&card).await;
        let enabled = card.execute(&*ipa.package(card.eid).await);
        let both = esipa::EimPackageResult::EprAndNotifications(Box::new(esipa::EprAndNotifications {
            euicc_package_result: Raw::new(enabled),
            notification_list: PendingNotificationList(vec![Raw::new(result).into()]),
        }));
        assert_eq!(ipa.provide(card.eid, both).await, acknowledged(&[1, number]));
        assert!(testbed.eim.waiting_notifications().await.unwrap().is_empty(), "forwarded once");
        match &mut other {
            PendingNotification::ProfileInstallationResult(full) => full.euicc_sign_pir[5] ^= 1,
            PendingNotification::CompactProfileInstallationResult(short) => short.euicc_sign_pir[5] ^= 1,
            other => panic!("no installation result: {other:?}"),
        }
        assert_eq!(ipa.notify(&notification(other)).await, 400, "not the result of this session");
    }
}

#[tokio::test]
async fn the_eim_forgets_the_oldest_of_too_many_installation_results() {
    let testbed = Testbed::new();
    let card = testbed.registered_with(&[1, 2]).await;
    let ipa = testbed.ipa(Binding::Json);
    let key = card.eid.to_string();
    let mut device = testbed.eim.device(card.eid).await.unwrap().unwrap();
    let earlier = (0..eim::config::MAX_FORWARDED_RESULTS_PER_DEVICE)
        .map(|number| TransactionId(vec![0xEE, u8::try_from(number).unwrap()]));
    device.forwarded_results.extend(earlier);
    let forwarded = ForwardedResult { eid: card.eid, seq_number: 1, signature: Vec::new().into() };
    world::transact(&*testbed.records, |tx| {
        let (device, forwarded, key) = (&device, &forwarded, &key);
        Box::pin(async move {
            for id in &device.forwarded_results {
                tx.put(&FORWARDED_RESULTS, &id.to_string(), forwarded)?;
            }
            tx.put(&DEVICES, key, device)
        })
    })
    .await
    .unwrap();
    download_through_the_eim(&testbed, &ipa, &card, true, false).await;
    let kept = testbed.eim.device(card.eid).await.unwrap().unwrap().forwarded_results;
    let stored = world::Tx::begin(&*testbed.records).peek_list(&FORWARDED_RESULTS, "").await.unwrap();
    let stored: Vec<_> = stored.into_iter().map(|(id, _)| id).collect();
    assert_eq!(kept.len(), eim::config::MAX_FORWARDED_RESULTS_PER_DEVICE);
    assert_eq!(stored.len(), kept.len());
    assert!(!stored.contains(&"EE00".to_owned()) && stored.contains(&"EE01".to_owned()), "{stored:?}");
}

// req: SGP.32-5.14.1-EimTransactionId, SGP.32-5.14.1-SmdpOidMismatch
#[tokio::test]
async fn a_session_is_refused_if_the_server_is_not_that_of_the_order() {
    use esipa::InitiateAuthenticationError as Error;
    for binding in BINDINGS {
        let testbed = Testbed::new();
        let card = testbed.registered_with(&[1, 2]).await;
        let (ipa, euicc) = (testbed.ipa(binding), card.sgp22(&testbed));
        let code = testbed.released().await;
        let unknown = initiation(&euicc, Some(SM_DP), Some(&"AABB".parse().unwrap()));
        assert_eq!(initiate(&ipa, &unknown).await.unwrap_err(), Error::INVALID_EIM_TRANSACTION_ID);
        // Without an order, an IPA can name only the servers that the eIM allows.
        let named = initiation(&euicc, Some(SM_DP), None);
        assert_eq!(initiate(&ipa, &named).await.unwrap_err(), Error::INVALID_DP_ADDRESS);
        let order = testbed.order(&card, download(&format!("{code}$2.999.11"), true)).await;
        trigger(&ipa, &card).await;
        let request = initiation(&euicc, None, Some(&order));
        let code = initiate(&ipa, &request).await.unwrap_err();
        // In JSON, the code has no status of its own.
        match binding {
            Binding::Asn1 | Binding::Coap => assert_eq!(code, Error::SMDP_OID_MISMATCH),
            Binding::Json => assert!(code == Error::SMDP_OID_MISMATCH || code == Error::UNDEFINED_ERROR),
        }
        let other = initiation(&euicc, Some("other.example"), Some(&order));
        assert_eq!(initiate(&ipa, &other).await.unwrap_err(), Error::INVALID_DP_ADDRESS);
    }
}

// req: SGP.32-5.14.3-TransactionId
#[tokio::test]
async fn the_refusal_of_the_sm_dp_has_its_code() {
    for binding in BINDINGS {
        let testbed = Testbed::new();
        let card = testbed.registered_with(&[1]).await;
        let (ipa, euicc) = (testbed.ipa(binding), card.sgp22(&testbed));
        let order = testbed.order(&card, download("1$smdpp.landfall.example$NONE", false)).await;
        trigger(&ipa, &card).await;
        let first = initiate(&ipa, &initiation(&euicc, Some(SM_DP), Some(&order))).await.unwrap();
        let id = first.server_signed1.transaction_id.clone();
        let full = Box::new(response(&euicc, &first, "NONE"));
        let answer = AuthenticateServerResponse::AuthenticateResponseOk(full);
        let refused = authenticate(&ipa, &id, answer.clone()).await.unwrap_err();
        assert_eq!(refused, esipa::AuthenticateClientError::MATCHING_ID_REFUSED);
        // The challenge can be answered only once.
        let refused = authenticate(&ipa, &id, answer).await.unwrap_err();
        assert_eq!(refused, esipa::AuthenticateClientError::INVALID_TRANSACTION_ID);
    }
}

#[tokio::test]
async fn sessions_over_the_limit_are_refused_at_once_until_others_end() {
    for binding in [Binding::Asn1, Binding::Json] {
        let testbed = Testbed::configured(|config| config.server.max_unauthenticated_sessions = 2);
        let card = testbed.registered_in(binding, &[1, 2]).await;
        let (ipa, euicc) = (testbed.ipa(binding), card.sgp22(&testbed));
        let code = testbed.released().await;
        let order = testbed.order(&card, download(&code, true)).await;
        trigger(&ipa, &card).await;
        let request = initiation(&euicc, None, Some(&order));
        let wrap = MessageFromIpa::InitiateAuthenticationRequest;
        let first = initiate(&ipa, &request).await.unwrap();
        initiate(&ipa, &request).await.unwrap();
        for _ in 0..2 {
            let refused = ipa.response::<esipa::InitiateAuthentication>(&request, wrap).await;
            assert_eq!(refused.status(), 503, "{binding:?}");
            assert!(refused.headers().contains_key(http::header::RETRY_AFTER), "{binding:?}");
        }
        // An open session continues. Its eUICC authenticates itself, which makes room for another one.
        let answer =
            AuthenticateServerResponse::AuthenticateResponseOk(Box::new(response(&euicc, &first, "")));
        authenticate(&ipa, &first.server_signed1.transaction_id, answer).await.unwrap();
        initiate(&ipa, &request).await.unwrap();
        let refused = ipa.response::<esipa::InitiateAuthentication>(&request, wrap).await;
        assert_eq!(refused.status(), 503, "{binding:?}");
    }
}

// req: SGP.32-5.14.3-EidMismatch
#[tokio::test]
async fn another_card_cannot_answer_for_the_device_of_the_order() {
    let testbed = Testbed::new();
    let card = testbed.registered_with(&[1, 2]).await;
    let ipa = testbed.ipa(Binding::Asn1);
    let code = testbed.released().await;
    let order = testbed.order(&card, download(&code, true)).await;
    trigger(&ipa, &card).await;
    let eid = testbed.pki.eids(crypto::Curve::P256)[1];
    let credentials = testbed.pki.euicc(crypto::Curve::P256, eid).unwrap();
    let other = Euicc::new(credentials, testbed.random.branch("other")).unwrap();
    let first = initiate(&ipa, &initiation(&other, None, Some(&order))).await.unwrap();
    let answer = AuthenticateServerResponse::AuthenticateResponseOk(Box::new(response(&other, &first, "")));
    let refused = authenticate(&ipa, &first.server_signed1.transaction_id, answer).await.unwrap_err();
    assert_eq!(refused, esipa::AuthenticateClientError::EID_MISMATCH);
}

// req: SGP.32-5.14.8-Relay, SGP.32-5.14.8-Compact, SGP.32-5.14.3-MetadataVerification
#[tokio::test]
async fn a_profile_other_than_the_expected_one_is_refused_and_the_session_cancelled() {
    for binding in BINDINGS {
        let testbed = Testbed::new();
        let card = testbed.registered_with(&EVERY_FEATURE).await;
        let (ipa, euicc) = (testbed.ipa(binding), card.sgp22(&testbed));
        let code = testbed.released().await;
        let mut package = download(&code, true);
        let Package::Download(content) = &mut package else { panic!("no download") };
        content.iccid = Some("8949000000000000027".parse().unwrap());
        let order = testbed.order(&card, package).await;
        trigger(&ipa, &card).await;
        let first = initiate(&ipa, &initiation(&euicc, None, Some(&order))).await.unwrap();
        let id = first.server_signed1.transaction_id.clone();
        let answer =
            AuthenticateServerResponse::AuthenticateResponseOk(Box::new(response(&euicc, &first, "")));
        authenticate(&ipa, &id, answer).await.unwrap_err();
        let cancel = euicc.cancel(&id, &"2.999.10".parse().unwrap(), CancelSessionReason::METADATA_MISMATCH);
        let CancelSessionResponse::CancelSessionResponseOk(full) = cancel.request().cancel_session_response
        else {
            panic!("not cancelled")
        };
        // The eIM knows the reason, because it refused the profile.
        let short = CompactCancelSessionResponseOk::of(&full, Some(CancelSessionReason::METADATA_MISMATCH));
        assert_eq!(short.compact_euicc_cancel_session_signed.reason, None);
        let request = esipa::CancelSessionRequest {
            transaction_id: id.clone(),
            cancel_session_response: Cancelled::CompactCancelSessionResponseOk(short),
        };
        let wrap = MessageFromIpa::CancelSessionRequest;
        let reply = ipa.call::<esipa::CancelSession>(&request, wrap).await;
        assert_eq!(reply, esipa::CancelSessionResponse::Ok(esipa::CancelSessionOk {}));
        let again = ipa.call::<esipa::CancelSession>(&request, MessageFromIpa::CancelSessionRequest).await;
        let unknown = esipa::CancelSessionError::INVALID_TRANSACTION_ID;
        assert_eq!(again, esipa::CancelSessionResponse::Error(unknown));
    }
}

#[tokio::test]
async fn a_confirmation_code_is_never_sent_and_only_with_the_source() {
    let testbed = Testbed::new();
    let card = testbed.registered_with(&[1, 2]).await;
    let with = |kept| NewOrder {
        confirmation_code: Some(ConfirmationCode("4711".to_owned())),
        ..NewOrder::new(card.eid, download("1$smdpp.landfall.example$X$$1", kept))
    };
    assert!(!format!("{:?}", with(true)).contains("4711"));
    assert!(testbed.eim.order(&with(false)).await.is_err());
    let id = testbed.eim.order(&with(true)).await.unwrap();
    assert!(!format!("{:?}", testbed.found(&id).await).contains("4711"));
    let without = NewOrder { confirmation_code: None, ..with(true) };
    assert!(testbed.eim.order(&without).await.is_err());
}

#[tokio::test]
async fn an_ipa_that_cannot_leave_the_source_to_the_eim_gets_no_such_download() {
    let testbed = Testbed::new();
    let card = testbed.registered_with(&[0]).await;
    let id = testbed.order(&card, download("1$smdpp.landfall.example$X", true)).await;
    let reply = testbed.ipa(Binding::Asn1).poll(card.eid).await;
    assert!(matches!(reply, GetEimPackageResponse::EimPackageError(_)), "{reply:?}");
    assert!(matches!(testbed.outcome(&id).await, Outcome::NotSent(_)));
}

/// Changes a member of the JSON bodies of one function of the SM-DP+.
fn tampering(
    function: &'static str,
    is_request: bool,
    change: fn(&mut serde_json::Value),
) -> impl FnOnce(Link) -> Link {
    move |link: Link| {
        link_from(tower::service_fn(move |mut request: http::Request<bytes::Bytes>| {
            let link = link.clone();
            async move {
                let is_meant = request.uri().path().ends_with(function);
                let changed = |body: &bytes::Bytes| {
                    let mut json = serde_json::from_slice(body).unwrap();
                    change(&mut json);
                    bytes::Bytes::from(serde_json::to_vec(&json).unwrap())
                };
                if is_meant && is_request {
                    *request.body_mut() = changed(request.body());
                }
                let mut response = world::send(&link, request).await?;
                if is_meant && !is_request {
                    *response.body_mut() = changed(response.body());
                }
                Ok(response)
            }
        }))
    }
}

// req: SGP.32-5.14.1-SmdpAddressMismatch
#[tokio::test]
async fn a_server_that_signs_another_address_than_that_of_the_order_is_refused() {
    let testbed = Testbed::with_sm_dp(tampering("initiateAuthentication", true, |body| {
        body["smdpAddress"] = SM_DP.into();
    }));
    let card = testbed.registered_with(&[1, 2]).await;
    let (ipa, euicc) = (testbed.ipa(Binding::Asn1), card.sgp22(&testbed));
    let order = testbed.order(&card, download(&format!("1${ALIAS}$CODE-1"), true)).await;
    trigger(&ipa, &card).await;
    let refused = initiate(&ipa, &initiation(&euicc, None, Some(&order))).await.unwrap_err();
    assert_eq!(refused, esipa::InitiateAuthenticationError::SMDP_ADDRESS_MISMATCH);
}

// req: SGP.32-5.14.2-MetadataMismatch
#[tokio::test]
async fn a_package_with_other_metadata_than_those_offered_is_refused() {
    let testbed = Testbed::with_sm_dp(tampering("authenticateClient", false, |body| {
        let der = json::base64_octets::deserialize::<_, Vec<u8>>(&body["profileMetadata"]).unwrap();
        let mut metadata = rsp::sgp22::es8plus::StoreMetadataRequest::from_der(&der).unwrap();
        metadata.profile_name = "Another profile".to_owned();
        let value =
            json::base64_octets::serialize(&metadata.to_der(), serde_json::value::Serializer).unwrap();
        body["profileMetadata"] = value;
    }));
    let card = testbed.registered_with(&[1, 2]).await;
    let (ipa, euicc) = (testbed.ipa(Binding::Asn1), card.sgp22(&testbed));
    let code = testbed.released().await;
    let order = testbed.order(&card, download(&code, true)).await;
    trigger(&ipa, &card).await;
    let first = initiate(&ipa, &initiation(&euicc, None, Some(&order))).await.unwrap();
    let id = first.server_signed1.transaction_id.clone();
    let answer = AuthenticateServerResponse::AuthenticateResponseOk(Box::new(response(&euicc, &first, "")));
    let second = authenticate(&ipa, &id, answer).await.unwrap();
    let offered = second.profile_metadata.clone().unwrap();
    assert_eq!(offered.profile_name, "Another profile");
    let full = prepared(&euicc, &second, &offered, &euicc.one_time_key());
    let refused = package(&ipa, &id, PrepareDownloadResponse::DownloadResponseOk(full)).await.unwrap_err();
    assert_eq!(refused, esipa::GetBoundProfilePackageError::METADATA_MISMATCH);
}

// req: SGP.32-5.14.3-HashCc
#[tokio::test]
async fn the_hash_of_the_confirmation_code_of_the_order_satisfies_the_sm_dp() {
    for (entered, accepted) in [("4711", true), ("4712", false)] {
        let testbed = Testbed::new();
        let card = testbed.registered_with(&[1, 2]).await;
        let (ipa, euicc) = (testbed.ipa(Binding::Json), card.sgp22(&testbed));
        let code = testbed.released_with(Some("4711")).await;
        let order = NewOrder {
            confirmation_code: Some(ConfirmationCode(entered.to_owned())),
            ..NewOrder::new(card.eid, download(&code, true))
        };
        let order = testbed.eim.order(&order).await.unwrap();
        trigger(&ipa, &card).await;
        let first = initiate(&ipa, &initiation(&euicc, None, Some(&order))).await.unwrap();
        let id = first.server_signed1.transaction_id.clone();
        let answer =
            AuthenticateServerResponse::AuthenticateResponseOk(Box::new(response(&euicc, &first, "")));
        let second = authenticate(&ipa, &id, answer).await.unwrap();
        let es9 = es9plus::AuthenticateClientOk {
            transaction_id: id.clone(),
            profile_metadata: second.profile_metadata.clone().unwrap(),
            smdp_signed2: second.smdp_signed2.clone(),
            smdp_signature2: second.smdp_signature2.clone(),
            smdp_certificate: second.smdp_certificate.clone(),
        };
        let mut prepare = euicc.prepare(&es9, &euicc.one_time_key());
        prepare.signed.hash_cc = second.hash_cc;
        let Prepared::DownloadResponseOk(full) = prepare.request().prepare_download_response else {
            panic!("not prepared")
        };
        let short = CompactPrepareDownloadResponseOk::of(&full, &second.smdp_signed2, second.hash_cc);
        assert_eq!(short.compact_euicc_signed2.hash_cc, None, "the eIM knows the hash");
        let reply = package(&ipa, &id, PrepareDownloadResponse::CompactDownloadResponseOk(short)).await;
        match accepted {
            true => assert!(reply.is_ok(), "{reply:?}"),
            false => {
                assert_eq!(reply.unwrap_err(), esipa::GetBoundProfilePackageError::CONFIRMATION_CODE_REFUSED);
            }
        }
    }
}

// req: SGP.32-5.14.3-Event
// req: SGP.32-5.14.3-FurtherEvents
#[tokio::test]
async fn the_event_of_an_sm_ds_leads_to_the_download_from_its_sm_dp() {
    for kept in [true, false] {
        let testbed = Testbed::new();
        let card = testbed.registered_with(&[1, 2]).await;
        let (ipa, euicc) = (testbed.ipa(Binding::Asn1), card.sgp22(&testbed));
        testbed.released().await;
        let certificate = testbed.pki.dp(crypto::Curve::P256).unwrap().tls.certificate;
        let registration = |event_id: &str| es12::RegisterEventRequest {
            header: json::RequestHeader {
                function_requester_identifier: "2.999.10".to_owned(),
                function_call_identifier: "1".to_owned(),
            },
            eid: card.eid,
            rsp_server_address: SM_DP.parse().unwrap(),
            event_id: event_id.to_owned(),
            forwarding_indicator: false,
        };
        let sm_dp = world::with_peer_certificate(testbed.sm_ds.link(), certificate.der().to_vec());
        for event_id in ["CODE-1", "CODE-2", "CODE-3"] {
            let registration = registration(event_id);
            world::call::<es12::RegisterEvent>(&sm_dp, VERSION, &registration).await.result.unwrap();
        }

        let package = Package::Download(Download {
            source: DownloadSource::Smds { address: Some(SM_DS.to_owned()) },
            kept_by_eim: kept,
            iccid: None,
            policy_rules_allowed: false,
        });
        let order = testbed.order(&card, package).await;
        trigger(&ipa, &card).await;
        let at_sm_ds = initiation(&euicc, (!kept).then_some(SM_DS), Some(&order));
        let first = initiate(&ipa, &at_sm_ds).await.unwrap();
        let request = esipa::AuthenticateClientRequest {
            transaction_id: first.server_signed1.transaction_id.clone(),
            authenticate_server_response: AuthenticateServerResponse::AuthenticateResponseOk(Box::new(
                response(&euicc, &first, ""),
            )),
        };
        let wrap = MessageFromIpa::AuthenticateClientRequest;
        let esipa::AuthenticateClientResponse::OkDs(found) =
            ipa.call::<esipa::AuthenticateClient>(&request, wrap).await
        else {
            panic!("no event")
        };
        let next = found.profile_download_trigger.unwrap();
        let code = |event_id: &str| format!("1${SM_DP}${event_id}");
        let first_code = ProfileDownloadData::ActivationCode(code("CODE-1"));
        assert_eq!(next.profile_download_data, (!kept).then_some(first_code));
        let open = testbed.eim.device(card.eid).await.unwrap().unwrap().open;
        assert_eq!(open[0], order);
        let mut further = Vec::new();
        for id in open.iter().skip(1) {
            further.push(testbed.found(id).await.package);
        }
        assert_eq!(further, ["CODE-2", "CODE-3"].map(|event_id| download(&code(event_id), kept)));
        let at_sm_dp = initiation(&euicc, (!kept).then_some(SM_DP), Some(&order));
        let first = initiate(&ipa, &at_sm_dp).await.unwrap();
        assert_eq!(first.server_signed1.server_address, SM_DP);
        let id = first.server_signed1.transaction_id.clone();
        let full = Box::new(response(&euicc, &first, "CODE-1"));
        authenticate(&ipa, &id, AuthenticateServerResponse::AuthenticateResponseOk(full)).await.unwrap();
    }
}
