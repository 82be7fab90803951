//! ES9+ as an LPA meets it: SGP.22 section 5.6, the cases of SGP.23 section 4.3 that concern the SM-DP+.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use certs::{Defect, Role};
use crypto::Curve;
use profile::element::Service;
use rsp::der::{Asn1, BitString, Raw};
use rsp::ids::{SubjectKeyIdentifier, TransactionId, Version};
use rsp::sgp22::es9plus::{
    AuthenticateClient, AuthenticateClientRequest, CancelSession, CancelSessionRequestEs9,
    GetBoundProfilePackage, GetBoundProfilePackageRequest, InitiateAuthentication,
};
use rsp::sgp22::es10b::{
    AuthenticateErrorCode, AuthenticateResponseError, AuthenticateServerResponse, CancelSessionResponse,
    DownloadErrorCode, PrepareDownloadResponse, PrepareDownloadResponseError,
};
use rsp::sgp22::{CancelSessionReason, PendingNotification, notification_event, ppr, uicc_capability};
use rsp::status::Status;
use sm_dp::{Config, ProfileOptions, ProfileState, Protection, Rebinding};
use support::euicc::{Authenticate, Prepare, notify, smdp_oid};
use support::{ADDRESS, Bench, Euicc, Expect, ICCID, OTHER_ICCID, call, package};
use world::{ChangeSet, Committed, Fault, MemoryRecords, Outcome, Records, Stored};

fn options() -> ProfileOptions {
    ProfileOptions::default()
}

fn iccid() -> rsp::ids::Iccid {
    ICCID.parse().unwrap()
}

// --- The whole way -------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_download_delivers_the_package_and_ends_in_installed_on_both_curves_with_both_protections() {
    for curve in [Curve::P256, Curve::BrainpoolP256r1] {
        for protection in [Protection::SessionKeys, Protection::ProfileProtectionKeys] {
            let bench = Bench::new();
            let code = bench.released(&ProfileOptions { protection, ..options() }).await;
            let euicc = bench.euicc_on(curve);
            let dp = bench.pki.dp(curve).unwrap();

            let first = euicc.initiate(&bench.server).await;
            let signature = crypto::Signature::from_slice(&first.server_signature1).unwrap();
            dp.auth.certificate.public_key().verify(first.server_signed1.bytes(), &signature).unwrap();
            assert_eq!(first.server_certificate.0, dp.auth.certificate.der());
            assert_eq!(first.server_signed1.server_address, ADDRESS);
            assert_eq!(first.server_signed1.transaction_id, first.transaction_id);

            let request = euicc.authenticate(&first, &code).request();
            let second = call::<AuthenticateClient>(&bench.server, &request).await.done();
            assert_eq!(second.smdp_certificate.0, dp.pb.certificate.der());
            assert!(!second.smdp_signed2.cc_required_flag);
            assert_eq!(second.smdp_signed2.bpp_euicc_otpk, None, "nothing is bound yet");

            let key = euicc.one_time_key();
            let third = euicc.get(&bench.server, &euicc.prepare(&second, &key)).await.done();
            let opened = euicc.open(&third.bound_profile_package.0, dp.pb.certificate.public_key(), &key);
            assert_eq!(opened.channel.transaction_id, first.transaction_id);
            assert_eq!(opened.configure.dp_proprietary_data.unwrap().dp_oid, smdp_oid());
            assert_eq!(opened.metadata, second.profile_metadata);
            assert_eq!(opened.metadata.iccid, iccid());
            assert_eq!(opened.package, package(ICCID, &[]));
            assert_eq!(opened.ppk, protection == Protection::ProfileProtectionKeys);
            assert_eq!(bench.state().await, ProfileState::Downloaded);

            let result = euicc.signed_result(euicc.result(&first.transaction_id, iccid(), true));
            assert_eq!(notify(&bench.server, result).await, 204);
            assert_eq!(bench.state().await, ProfileState::Installed);
        }
    }
}

#[tokio::test]
async fn the_published_test_profiles_come_out_as_they_went_in() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/ts48");
    let Ok(folder) = std::fs::read_dir(folder) else {
        assert!(std::env::var_os("CI").is_none(), "../shared/data/ts48 is missing, and CI needs it");
        println!("skipped: ../shared/data/ts48 is not there");
        return;
    };
    let mut held = 0;
    for file in folder.map(|entry| entry.unwrap().path()) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("TS48v7") || !name.ends_with(".der") {
            continue;
        }
        let bench = Bench::new();
        let package = std::fs::read(&file).unwrap();
        let iccid = bench.server.add_profile(&package, &options()).await.unwrap();
        let operator = bench.operator();
        operator.download_order(&bench.server, Some(iccid), None, None).await.done();
        let confirmation = operator.confirmation(iccid);
        let code = operator
            .call::<rsp::sgp22::es2plus::ConfirmOrderReply>(&bench.server, "confirmOrder", &confirmation)
            .await
            .done()
            .matching_id;
        let mut euicc = bench.euicc();
        euicc.info2.uicc_capability = BitString::of(&(0..32).collect::<Vec<_>>());
        let key = euicc.one_time_key();
        let (_, bpp) = euicc.download(&bench.server, &code, &key).await;
        let pb = bench.pki.dp(Curve::P256).unwrap().pb.certificate;
        assert_eq!(euicc.open(&bpp, pb.public_key(), &key).package, package, "{name}");
        held += 1;
    }
    assert_eq!(held, 4);
}

#[tokio::test]
async fn metadata_longer_than_one_segment_travels_in_several() {
    let bench = Bench::new();
    let notifications = (0..40)
        .map(|number| rsp::sgp22::NotificationConfigurationInformation {
            profile_management_operation: BitString::of(&[notification_event::ENABLE]),
            notification_address: format!("notify-{number}.landfall.example"),
        })
        .collect();
    let code = bench.released(&ProfileOptions { notifications: Some(notifications), ..options() }).await;
    let euicc = bench.euicc();
    let key = euicc.one_time_key();
    let (_, bpp) = euicc.download(&bench.server, &code, &key).await;
    let pb = bench.pki.dp(Curve::P256).unwrap().pb.certificate;
    let opened = euicc.open(&bpp, pb.public_key(), &key);
    assert!(opened.metadata_segments > 1);
    assert_eq!(opened.metadata, bench.profile().await.metadata);
}

#[tokio::test]
async fn any_number_of_servers_share_one_set_of_records() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let other = bench.second_server();
    let euicc = bench.euicc();
    let first = euicc.initiate(&bench.server).await;
    let second =
        call::<AuthenticateClient>(&other, &euicc.authenticate(&first, &code).request()).await.done();
    let key = euicc.one_time_key();
    euicc.get(&bench.server, &euicc.prepare(&second, &key)).await.done();
    let result = euicc.signed_result(euicc.result(&first.transaction_id, iccid(), true));
    assert_eq!(notify(&other, result).await, 204);
    assert_eq!(bench.state().await, ProfileState::Installed);
}

// --- InitiateAuthentication ----------------------------------------------------------------------------------------

#[tokio::test]
async fn initiate_authentication_refuses_each_thing_with_its_own_status() {
    let stranger = vec![SubjectKeyIdentifier(vec![7; 20])];
    let bench = Bench::new();
    let euicc = bench.euicc();
    let mut address = euicc.initiation();
    address.smdp_address = "other.landfall.example".to_owned();
    let mut too_new = euicc.initiation();
    too_new.euicc_info1.svn = Version([9, 0, 0]);
    let mut too_old = euicc.initiation();
    too_old.euicc_info1.svn = Version([1, 0, 0]);
    let mut verification = euicc.initiation();
    verification.euicc_info1.euicc_ci_pk_id_list_for_verification = stranger.clone();
    let mut no_verification = euicc.initiation();
    no_verification.euicc_info1.euicc_ci_pk_id_list_for_verification = vec![];
    let mut signing = euicc.initiation();
    signing.euicc_info1.euicc_ci_pk_id_list_for_signing = stranger;
    for (case, request, status) in [
        ("the address is another server's", address, Status::SmdpAddressRefused),
        ("the eUICC needs a later version", too_new, Status::SvnUnsupported),
        ("the eUICC is of an earlier version", too_old, Status::SvnUnsupported),
        ("no certificate below the eUICC's CIs", verification, Status::CiForVerificationUnavailable),
        ("the eUICC verifies under no CI", no_verification, Status::CiForVerificationUnavailable),
        ("no trusted CI for signing", signing, Status::CiForSigningUnsupported),
    ] {
        assert_eq!(call::<InitiateAuthentication>(&bench.server, &request).await.refused(), status, "{case}");
    }
    assert!(bench.server.sessions().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_address_is_compared_without_regard_to_case_and_may_be_one_of_several() {
    let bench = Bench::with(|config| config.other_addresses.push("smdpp.other.example".parse().unwrap()));
    let euicc = bench.euicc();
    for address in ["SMDPP.Landfall.EXAMPLE", "Smdpp.Other.Example"] {
        let mut request = euicc.initiation();
        request.smdp_address = address.to_owned();
        let reply = call::<InitiateAuthentication>(&bench.server, &request).await.done();
        assert!(reply.server_signed1.server_address.eq_ignore_ascii_case(address));
    }
}

#[tokio::test]
async fn the_ci_for_signing_is_the_first_of_the_euiccs_list_that_is_trusted() {
    let bench = Bench::new();
    let ci = |curve| bench.pki.ci(curve).unwrap().subject_key_id().unwrap().clone();
    let (nist, brainpool) = (ci(Curve::P256), ci(Curve::BrainpoolP256r1));
    let mut request = bench.euicc().initiation();
    request.euicc_info1.euicc_ci_pk_id_list_for_signing =
        vec![SubjectKeyIdentifier(vec![7; 20]), brainpool.clone(), nist.clone()];
    let reply = call::<InitiateAuthentication>(&bench.server, &request).await.done();
    assert_eq!(reply.euicc_ci_pk_id_to_be_used, brainpool);
    request.euicc_info1.euicc_ci_pk_id_list_for_signing.swap(1, 2);
    let reply = call::<InitiateAuthentication>(&bench.server, &request).await.done();
    assert_eq!(reply.euicc_ci_pk_id_to_be_used, nist);
}

// --- AuthenticateClient --------------------------------------------------------------------------------------------

type SpoilAuthenticate = fn(&Bench, &mut Authenticate);

/// One thing wrong in the proof; everything else as it should be.
const PROOFS: &[(&str, Status, SpoilAuthenticate)] = &[
    ("another transaction outside", Status::TransactionUnknown, |_, it| {
        it.outer = TransactionId(vec![1; 16])
    }),
    ("another transaction inside", Status::TransactionUnknown, |_, it| {
        it.signed.transaction_id = TransactionId(vec![1; 16]);
    }),
    ("another challenge", Status::EuiccVerificationFailed, |_, it| it.signed.server_challenge[0] ^= 1),
    ("another server address", Status::EuiccVerificationFailed, |_, it| {
        it.signed.server_address = "other.landfall.example".to_owned();
    }),
    ("a wrong signature", Status::EuiccVerificationFailed, |_, it| it.spoil_signature = true),
    ("another eUICC's key", Status::EuiccVerificationFailed, |bench, it| {
        it.key = bench.numbered_euicc(Curve::P256, 1).credentials.euicc.key;
    }),
    ("a chain below another CI than the one to be used", Status::CiUnknown, |bench, it| {
        let other = bench.euicc_on(Curve::BrainpoolP256r1).credentials;
        (it.euicc_certificate, it.eum_certificate) =
            (other.euicc.certificate.der().to_vec(), other.eum.der().to_vec());
        it.key = other.euicc.key;
    }),
    ("the EUM of an unknown CI", Status::CiUnknown, |bench, it| eum(bench, it, Defect::StrangerCi)),
    ("an expired EUM", Status::EumCertificateExpired, |bench, it| eum(bench, it, Defect::Expired)),
    ("an EUM that is not yet valid", Status::EumCertificateVerificationFailed, |bench, it| {
        eum(bench, it, Defect::NotYetValid);
    }),
    ("a forged EUM", Status::EumCertificateVerificationFailed, |bench, it| {
        eum(bench, it, Defect::ForgedSignature);
    }),
    ("an EUM of another role", Status::EumCertificateVerificationFailed, |bench, it| {
        eum(bench, it, Defect::WrongRole);
    }),
    ("an EUM that may issue for any EID", Status::EumCertificateVerificationFailed, |bench, it| {
        eum(bench, it, Defect::NoEidRange);
    }),
    ("an expired eUICC certificate", Status::EuiccCertificateExpired, |bench, it| {
        euicc(bench, it, Defect::Expired);
    }),
    ("a forged eUICC certificate", Status::EuiccCertificateVerificationFailed, |bench, it| {
        euicc(bench, it, Defect::ForgedSignature);
    }),
    ("an eUICC certificate of another role", Status::EuiccCertificateVerificationFailed, |bench, it| {
        euicc(bench, it, Defect::WrongRole);
    }),
    ("an EID outside the EUM's range", Status::EuiccCertificateVerificationFailed, |bench, it| {
        euicc(bench, it, Defect::EidOutsideRange);
    }),
    ("an eUICC certificate that is none", Status::EuiccCertificateVerificationFailed, |_, it| {
        it.euicc_certificate = vec![0x30, 0];
    }),
    ("an EUM certificate that is none", Status::EumCertificateVerificationFailed, |_, it| {
        it.eum_certificate = vec![0x30, 0];
    }),
];

fn eum(bench: &Bench, it: &mut Authenticate, defect: Defect) {
    it.eum_certificate = bench.pki.issue_with(defect, Role::Eum, Curve::P256).unwrap().der;
}

fn euicc(bench: &Bench, it: &mut Authenticate, defect: Defect) {
    let broken = bench.pki.issue_with(defect, Role::Euicc, Curve::P256).unwrap();
    (it.euicc_certificate, it.key) = (broken.der, broken.key);
}

#[tokio::test]
async fn authenticate_client_refuses_a_wrong_proof_with_its_own_status_and_changes_nothing() {
    for (case, status, spoil) in PROOFS {
        let bench = Bench::new();
        let code = bench.released(&options()).await;
        let peer = bench.euicc();
        let before = bench.profile().await;
        let first = peer.initiate(&bench.server).await;
        let mut proof = peer.authenticate(&first, &code);
        spoil(&bench, &mut proof);
        let answer = call::<AuthenticateClient>(&bench.server, &proof.request()).await;
        assert_eq!(answer.refused(), *status, "{case}");
        assert_eq!(bench.profile().await, before, "{case}");
    }
}

type Prepared = fn(&mut Euicc, &mut ProfileOptions);

/// One reason in eUICC or profile why the profile is not for this eUICC.
const UNFIT: &[(&str, Status, Prepared)] = &[
    ("the eUICC has no Milenage", Status::ProfileNotEligible, |euicc, _| {
        euicc.info2.uicc_capability = BitString::of(&[uicc_capability::USIM]);
    }),
    ("the eUICC forbids PPR1, which the profile has", Status::ProfileNotEligible, |euicc, options| {
        options.profile_policy_rules = Some(BitString::of(&[ppr::PPR1]));
        euicc.info2.forbidden_profile_policy_rules = Some(BitString::of(&[ppr::PPR1]));
    }),
    ("too little memory", Status::EuiccInsufficientMemory, |euicc, _| {
        euicc.info2.ext_card_resource = vec![0x81, 1, 0, 0x82, 1, 0, 0x83, 1, 0];
    }),
];

#[tokio::test]
async fn authenticate_client_offers_only_what_fits_the_euicc() {
    for (case, status, spoil) in UNFIT {
        let bench = Bench::new();
        let mut euicc = bench.euicc();
        let mut options = options();
        spoil(&mut euicc, &mut options);
        let package = package(ICCID, &[Service::USIM, Service::MILENAGE]);
        bench.server.add_profile(&package, &options).await.unwrap();
        let code = bench.order(|_| {}).await;
        assert_eq!(euicc.try_authenticate(&bench.server, &code).await.refused(), *status, "{case}");
    }
    // And the same eUICC, unspoilt, gets it.
    let bench = Bench::new();
    bench.server.add_profile(&package(ICCID, &[Service::USIM, Service::MILENAGE]), &options()).await.unwrap();
    let code = bench.order(|_| {}).await;
    bench.euicc().try_authenticate(&bench.server, &code).await.done();
}

#[tokio::test]
async fn a_matching_id_must_be_that_of_a_pending_order() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    for unknown in ["UNKNOWN", ""] {
        let answer = euicc.try_authenticate(&bench.server, unknown).await;
        assert_eq!(answer.refused(), Status::MatchingIdRefused, "{unknown:?}");
    }
    // Absent is as good as empty: the default SM-DP+ case, for which there is no order.
    let first = euicc.initiate(&bench.server).await;
    let mut proof = euicc.authenticate(&first, &code);
    proof.matching_id = None;
    let answer = call::<AuthenticateClient>(&bench.server, &proof.request()).await;
    assert_eq!(answer.refused(), Status::MatchingIdRefused);
}

#[tokio::test]
async fn an_order_without_matching_id_is_found_by_its_eid_and_by_nothing_else() {
    let bench = Bench::new();
    let (right, wrong) = (bench.euicc(), bench.numbered_euicc(Curve::P256, 1));
    bench.stock(ICCID, &options()).await;
    bench
        .order(|confirm| {
            confirm.eid = Some(right.eid);
            confirm.matching_id = Some(String::new());
        })
        .await;
    assert_eq!(wrong.try_authenticate(&bench.server, "").await.refused(), Status::MatchingIdRefused);
    assert_eq!(right.try_authenticate(&bench.server, "").await.done().profile_metadata.iccid, iccid());
}

#[tokio::test]
async fn an_order_for_one_eid_is_not_for_another() {
    let bench = Bench::new();
    let (right, wrong) = (bench.euicc(), bench.numbered_euicc(Curve::P256, 1));
    bench.stock(ICCID, &options()).await;
    let code = bench.order(|confirm| confirm.eid = Some(right.eid)).await;
    assert_eq!(wrong.try_authenticate(&bench.server, &code).await.refused(), Status::EidNotAllowed);
    right.try_authenticate(&bench.server, &code).await.done();
}

#[tokio::test]
async fn what_was_handed_to_one_euicc_is_not_for_another_even_if_the_order_names_none() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let (first, second) = (bench.euicc(), bench.numbered_euicc(Curve::P256, 1));
    first.download(&bench.server, &code, &first.one_time_key()).await;
    assert_eq!(second.try_authenticate(&bench.server, &code).await.refused(), Status::EidNotAllowed);
    // Nor when both had been offered it before either took it.
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let late = second.try_authenticate(&bench.server, &code).await.done();
    first.download(&bench.server, &code, &first.one_time_key()).await;
    let answer = second.get(&bench.server, &second.prepare(&late, &second.one_time_key())).await;
    assert_eq!(answer.refused(), Status::ProfileUnavailable);
}

#[tokio::test]
async fn a_profile_that_is_not_released_is_refused_until_it_is() {
    let bench = Bench::new();
    bench.stock(ICCID, &options()).await;
    let code = bench.order(|confirm| confirm.release_flag = false).await;
    let euicc = bench.euicc();
    assert_eq!(euicc.try_authenticate(&bench.server, &code).await.refused(), Status::ProfileNotReleased);
    bench.operator().release(&bench.server, iccid()).await.done();
    euicc.try_authenticate(&bench.server, &code).await.done();
}

#[tokio::test]
async fn an_order_expires() {
    let bench = Bench::with(|config| config.order_lifetime = Duration::from_secs(60));
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    bench.wait(Duration::from_secs(59));
    euicc.try_authenticate(&bench.server, &code).await.done();
    bench.wait(Duration::from_secs(1));
    assert_eq!(euicc.try_authenticate(&bench.server, &code).await.refused(), Status::OrderExpired);
}

#[tokio::test]
async fn downloads_are_counted_and_one_too_many_ends_the_order() {
    let bench = Bench::with(|config| config.max_download_attempts = 2);
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    for _ in 0..2 {
        euicc.try_authenticate(&bench.server, &code).await.done();
    }
    for _ in 0..2 {
        let answer = euicc.try_authenticate(&bench.server, &code).await;
        assert_eq!(answer.refused(), Status::DownloadAttemptsExceeded);
        assert_eq!(bench.state().await, ProfileState::Error);
    }
}

#[tokio::test]
async fn an_installed_profile_is_not_offered_again() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let (transaction, _) = euicc.download(&bench.server, &code, &euicc.one_time_key()).await;
    notify(&bench.server, euicc.signed_result(euicc.result(&transaction, iccid(), true))).await;
    assert_eq!(euicc.try_authenticate(&bench.server, &code).await.refused(), Status::MatchingIdRefused);
}

#[tokio::test]
async fn an_activation_code_dies_with_its_order() {
    let bench = Bench::with(|config| config.max_download_attempts = 0);
    let old = bench.released(&options()).await;
    let euicc = bench.euicc();
    euicc.try_authenticate(&bench.server, &old).await.refused();
    assert_eq!(bench.state().await, ProfileState::Error);
    // Ordered anew: under the old code nothing is to be had.
    let new = bench.order(|_| {}).await;
    assert_ne!(old, new);
    assert_eq!(euicc.try_authenticate(&bench.server, &old).await.refused(), Status::MatchingIdRefused);
}

#[tokio::test]
async fn the_euiccs_own_refusal_is_an_answer_and_ends_the_session() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let first = euicc.initiate(&bench.server).await;
    let refusal = AuthenticateClientRequest {
        transaction_id: first.transaction_id.clone(),
        authenticate_server_response: AuthenticateServerResponse::AuthenticateResponseError(
            AuthenticateResponseError {
                transaction_id: first.transaction_id.clone(),
                authenticate_error_code: AuthenticateErrorCode::INVALID_CERTIFICATE,
            },
        ),
    };
    let answer = call::<AuthenticateClient>(&bench.server, &refusal).await;
    assert_eq!(answer.refused(), Status::EuiccVerificationFailed);
    let late = euicc.authenticate(&first, &code).request();
    assert_eq!(call::<AuthenticateClient>(&bench.server, &late).await.refused(), Status::TransactionUnknown);
    assert_eq!(bench.state().await, ProfileState::Released);

    let second = euicc.try_authenticate(&bench.server, &code).await.done();
    let refusal = GetBoundProfilePackageRequest {
        transaction_id: second.transaction_id.clone(),
        prepare_download_response: PrepareDownloadResponse::DownloadResponseError(
            PrepareDownloadResponseError {
                transaction_id: second.transaction_id.clone(),
                download_error_code: DownloadErrorCode::INVALID_CERTIFICATE,
            },
        ),
    };
    let answer = call::<GetBoundProfilePackage>(&bench.server, &refusal).await;
    assert_eq!(answer.refused(), Status::EuiccVerificationFailed);
    let late = euicc.prepare(&second, &euicc.one_time_key());
    assert_eq!(euicc.get(&bench.server, &late).await.refused(), Status::TransactionUnknown);
}

#[tokio::test]
async fn a_challenge_is_good_for_one_answer() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let first = euicc.initiate(&bench.server).await;
    let wrong = euicc.authenticate(&first, "GUESSED").request();
    call::<AuthenticateClient>(&bench.server, &wrong).await.refused();
    let right = euicc.authenticate(&first, &code).request();
    assert_eq!(call::<AuthenticateClient>(&bench.server, &right).await.refused(), Status::TransactionUnknown);
}

// --- GetBoundProfilePackage ----------------------------------------------------------------------------------------

type SpoilPrepare = fn(&Bench, &mut Prepare);

const PREPARATIONS: &[(&str, Status, SpoilPrepare)] = &[
    ("another transaction outside", Status::TransactionUnknown, |_, it| {
        it.outer = TransactionId(vec![1; 16])
    }),
    ("another transaction inside", Status::TransactionUnknown, |_, it| {
        it.signed.transaction_id = TransactionId(vec![1; 16]);
    }),
    ("a wrong signature", Status::EuiccVerificationFailed, |_, it| it.spoil_signature = true),
    ("a signature without smdpSignature2", Status::EuiccVerificationFailed, |_, it| {
        it.smdp_signature2.clear()
    }),
    ("another eUICC's key", Status::EuiccVerificationFailed, |bench, it| {
        it.key = bench.numbered_euicc(Curve::P256, 1).credentials.euicc.key;
    }),
    ("a one-time key that is no point", Status::EuiccVerificationFailed, |_, it| {
        it.signed.euicc_otpk[40] ^= 1
    }),
];

#[tokio::test]
async fn get_bound_profile_package_refuses_a_wrong_preparation_and_binds_nothing() {
    for (case, status, spoil) in PREPARATIONS {
        let bench = Bench::new();
        let code = bench.released(&options()).await;
        let euicc = bench.euicc();
        let ok = euicc.try_authenticate(&bench.server, &code).await.done();
        let mut prepare = euicc.prepare(&ok, &euicc.one_time_key());
        spoil(&bench, &mut prepare);
        assert_eq!(euicc.get(&bench.server, &prepare).await.refused(), *status, "{case}");
        assert_eq!(bench.state().await, ProfileState::Released, "{case}");
    }
}

#[tokio::test]
async fn a_confirmation_code_is_asked_for_checked_and_counted() {
    let bench = Bench::with(|config| config.max_confirmation_code_attempts = 2);
    bench.stock(ICCID, &options()).await;
    let code = bench.order(|confirm| confirm.confirmation_code = Some("1234".to_owned())).await;
    let euicc = bench.euicc();
    let key = euicc.one_time_key();
    let ok = euicc.try_authenticate(&bench.server, &code).await.done();
    assert!(ok.smdp_signed2.cc_required_flag);
    let answer = euicc.get(&bench.server, &euicc.prepare(&ok, &key)).await;
    assert_eq!(answer.refused(), Status::ConfirmationCodeMissing);
    let ok = euicc.try_authenticate(&bench.server, &code).await.done();
    let answer = euicc.get(&bench.server, &euicc.prepare(&ok, &key).code("1235")).await;
    assert_eq!(answer.refused(), Status::ConfirmationCodeRefused);
    assert_eq!(bench.profile().await.order.unwrap().wrong_confirmation_codes, 1);
    let ok = euicc.try_authenticate(&bench.server, &code).await.done();
    euicc.get(&bench.server, &euicc.prepare(&ok, &key).code("1234")).await.done();
    assert_eq!(bench.state().await, ProfileState::Downloaded);
}

#[tokio::test]
async fn too_many_wrong_confirmation_codes_end_the_order_even_for_the_right_one() {
    let bench = Bench::with(|config| config.max_confirmation_code_attempts = 2);
    bench.stock(ICCID, &options()).await;
    let code = bench.order(|confirm| confirm.confirmation_code = Some("1234".to_owned())).await;
    let euicc = bench.euicc();
    let key = euicc.one_time_key();
    let mut last = Status::ConfirmationCodeRefused;
    let early = euicc.try_authenticate(&bench.server, &code).await.done();
    for _ in 0..2 {
        let ok = euicc.try_authenticate(&bench.server, &code).await.done();
        last = euicc.get(&bench.server, &euicc.prepare(&ok, &key).code("9999")).await.refused();
    }
    assert_eq!(last, Status::ConfirmationCodeRetriesExceeded);
    assert_eq!(bench.state().await, ProfileState::Error);
    // A session that was open all the time does not help.
    let answer = euicc.get(&bench.server, &euicc.prepare(&early, &key).code("1234")).await;
    assert_eq!(answer.refused(), Status::ConfirmationCodeRetriesExceeded);
    assert_eq!(bench.state().await, ProfileState::Error);
}

#[tokio::test]
async fn the_confirmation_code_itself_is_not_kept() {
    let bench = Bench::new();
    bench.stock(ICCID, &options()).await;
    bench.order(|confirm| confirm.confirmation_code = Some("SECRET-CODE".to_owned())).await;
    let stored = bench.records.list("profiles", "").await.unwrap();
    assert!(!stored.is_empty());
    for (_, record) in stored {
        assert!(!String::from_utf8(record.bytes).unwrap().contains("SECRET-CODE"));
    }
}

#[tokio::test]
async fn asked_twice_in_one_session_the_package_is_the_same_octet_for_octet() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let prepare =
        euicc.prepare(&euicc.try_authenticate(&bench.server, &code).await.done(), &euicc.one_time_key());
    let once = euicc.get(&bench.server, &prepare).await.done();
    let twice = euicc.get(&bench.server, &prepare).await.done();
    assert_eq!(once, twice);
}

/// The transaction is named inside InitialiseSecureChannel and the card checks it, so a later session needs that part
/// anew; the rest is the same, and no other key is spent.
#[tokio::test]
async fn the_same_one_time_key_in_a_later_session_gets_the_same_package_under_its_own_transaction() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let key = euicc.one_time_key();
    let (_, first) = euicc.download(&bench.server, &code, &key).await;
    let ok = euicc.try_authenticate(&bench.server, &code).await.done();
    assert_eq!(ok.smdp_signed2.bpp_euicc_otpk.as_deref(), Some(key.public_key().to_sec1().as_slice()));
    let second = euicc.get(&bench.server, &euicc.prepare(&ok, &key)).await.done();
    let pb = bench.pki.dp(Curve::P256).unwrap().pb.certificate;
    let opened = euicc.open(&second.bound_profile_package.0, pb.public_key(), &key);
    assert_eq!(opened.channel.transaction_id, ok.transaction_id);
    let segments = |bpp: &[u8]| {
        let bpp = rsp::sgp22::es8plus::BoundProfilePackage::from_der(bpp).unwrap();
        (bpp.first_sequence_of87, bpp.sequence_of88, bpp.second_sequence_of87, bpp.sequence_of86)
    };
    assert_eq!(segments(&first), segments(&second.bound_profile_package.0));
}

#[tokio::test]
async fn another_one_time_key_gets_another_binding_or_none_as_the_profile_says() {
    for (rebinding, allowed) in [(Rebinding::Allowed, true), (Rebinding::Refused, false)] {
        let bench = Bench::new();
        let code = bench.released(&ProfileOptions { rebinding, ..options() }).await;
        let euicc = bench.euicc();
        let (old, new) = (euicc.one_time_key(), euicc.one_time_key());
        euicc.download(&bench.server, &code, &old).await;
        let ok = euicc.try_authenticate(&bench.server, &code).await.done();
        let answer = euicc.get(&bench.server, &euicc.prepare(&ok, &new)).await;
        if allowed {
            let bpp = answer.done().bound_profile_package.0;
            let pb = bench.pki.dp(Curve::P256).unwrap().pb.certificate;
            assert_eq!(euicc.open(&bpp, pb.public_key(), &new).package, package(ICCID, &[]));
        } else {
            assert_eq!(answer.refused(), Status::ProfileUnavailable);
        }
    }
}

#[tokio::test]
async fn an_order_cancelled_between_offer_and_package_gives_no_package() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let ok = euicc.try_authenticate(&bench.server, &code).await.done();
    let operator = bench.operator();
    operator.cancel(&bench.server, &operator.cancellation(iccid())).await.done();
    let answer = euicc.get(&bench.server, &euicc.prepare(&ok, &euicc.one_time_key())).await;
    assert_eq!(answer.refused(), Status::ProfileUnavailable);
    // Nor when it was ordered anew meanwhile: the session belongs to the order that was cancelled.
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let ok = euicc.try_authenticate(&bench.server, &code).await.done();
    operator.cancel(&bench.server, &operator.cancellation(iccid())).await.done();
    bench.order(|_| {}).await;
    let answer = euicc.get(&bench.server, &euicc.prepare(&ok, &euicc.one_time_key())).await;
    assert_eq!(answer.refused(), Status::ProfileUnavailable);
}

#[tokio::test]
async fn a_second_session_ends_with_the_order_that_the_first_one_ended() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let first = euicc.try_authenticate(&bench.server, &code).await.done();
    let second = euicc.try_authenticate(&bench.server, &code).await.done();
    let cancelled = euicc.cancellation(&first.transaction_id, CancelSessionReason::END_USER_REJECTION);
    call::<CancelSession>(&bench.server, &euicc.signed_cancellation(cancelled, false)).await.done();
    let answer = euicc.get(&bench.server, &euicc.prepare(&second, &euicc.one_time_key())).await;
    assert_eq!(answer.refused(), Status::ProfileUnavailable);
    assert_eq!(bench.state().await, ProfileState::Error);
}

#[tokio::test]
async fn nonsense_after_the_package_is_out_does_not_lose_the_key_for_its_result() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let ok = euicc.try_authenticate(&bench.server, &code).await.done();
    let mut prepare = euicc.prepare(&ok, &euicc.one_time_key());
    euicc.get(&bench.server, &prepare).await.done();
    prepare.spoil_signature = true;
    assert_eq!(euicc.get(&bench.server, &prepare).await.refused(), Status::EuiccVerificationFailed);
    notify(&bench.server, euicc.signed_result(euicc.result(&ok.transaction_id, iccid(), true))).await;
    assert_eq!(bench.state().await, ProfileState::Installed);
}

// --- Sessions ------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_session_expires_at_each_step() {
    let lifetime = Duration::from_secs(100);
    let bench = Bench::with(|config| config.session_lifetime = lifetime);
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let first = euicc.initiate(&bench.server).await;
    let request = euicc.authenticate(&first, &code).request();
    bench.wait(lifetime);
    assert_eq!(
        call::<AuthenticateClient>(&bench.server, &request).await.refused(),
        Status::TransactionUnknown
    );
    let ok = euicc.try_authenticate(&bench.server, &code).await.done();
    let prepare = euicc.prepare(&ok, &euicc.one_time_key());
    bench.wait(lifetime);
    assert_eq!(euicc.get(&bench.server, &prepare).await.refused(), Status::TransactionUnknown);
    assert!(bench.server.sessions().await.unwrap().is_empty());

    // A step in time renews it.
    let first = euicc.initiate(&bench.server).await;
    bench.wait(lifetime - Duration::from_millis(1));
    let ok =
        call::<AuthenticateClient>(&bench.server, &euicc.authenticate(&first, &code).request()).await.done();
    bench.wait(lifetime - Duration::from_millis(1));
    euicc.get(&bench.server, &euicc.prepare(&ok, &euicc.one_time_key())).await.done();
    // The result may take longer.
    bench.wait(lifetime * 10);
    notify(&bench.server, euicc.signed_result(euicc.result(&ok.transaction_id, iccid(), true))).await;
    assert_eq!(bench.state().await, ProfileState::Installed);
}

#[tokio::test]
async fn functions_out_of_turn_are_refused() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let first = euicc.initiate(&bench.server).await;
    let request = euicc.authenticate(&first, &code).request();
    let ok = call::<AuthenticateClient>(&bench.server, &request).await.done();
    // Again.
    assert_eq!(
        call::<AuthenticateClient>(&bench.server, &request).await.refused(),
        Status::TransactionUnknown
    );
    // The package before the proof.
    let first = euicc.initiate(&bench.server).await;
    let mut early = euicc.prepare(&ok, &euicc.one_time_key());
    early.outer = first.transaction_id.clone();
    early.signed.transaction_id = first.transaction_id;
    assert_eq!(euicc.get(&bench.server, &early).await.refused(), Status::TransactionUnknown);
    // And the session that was in turn goes on.
    euicc.get(&bench.server, &euicc.prepare(&ok, &euicc.one_time_key())).await.done();
}

// --- CancelSession -------------------------------------------------------------------------------------------------

#[tokio::test]
async fn postponed_and_timed_out_sessions_keep_the_order_and_every_other_reason_ends_it() {
    use CancelSessionReason as Reason;
    for (reason, after) in [
        (Reason::POSTPONED, ProfileState::Released),
        (Reason::TIMEOUT, ProfileState::Released),
        (Reason::END_USER_REJECTION, ProfileState::Error),
        (Reason::PPR_NOT_ALLOWED, ProfileState::Error),
        (Reason::METADATA_MISMATCH, ProfileState::Error),
        (Reason::LOAD_BPP_EXECUTION_ERROR, ProfileState::Error),
        (Reason::UNDEFINED_REASON, ProfileState::Error),
        (CancelSessionReason(99), ProfileState::Error),
    ] {
        let bench = Bench::new();
        let code = bench.released(&options()).await;
        let euicc = bench.euicc();
        let ok = euicc.try_authenticate(&bench.server, &code).await.done();
        let request = euicc.signed_cancellation(euicc.cancellation(&ok.transaction_id, reason), false);
        call::<CancelSession>(&bench.server, &request).await.done();
        assert_eq!(bench.state().await, after, "{reason}");
        // The session is over.
        assert_eq!(
            call::<CancelSession>(&bench.server, &request).await.refused(),
            Status::TransactionUnknown
        );
        let prepare = euicc.prepare(&ok, &euicc.one_time_key());
        assert_eq!(euicc.get(&bench.server, &prepare).await.refused(), Status::TransactionUnknown);
    }
}

#[tokio::test]
async fn cancel_session_refuses_each_thing_with_its_own_status_and_the_session_goes_on() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let stranger = bench.numbered_euicc(Curve::P256, 1);
    let ok = euicc.try_authenticate(&bench.server, &code).await.done();
    let id = &ok.transaction_id;
    let unknown = TransactionId(vec![1; 16]);
    let good = || euicc.cancellation(id, CancelSessionReason::END_USER_REJECTION);
    let mut outside = euicc.signed_cancellation(good(), false);
    outside.transaction_id = unknown.clone();
    let mut inside =
        euicc.signed_cancellation(euicc.cancellation(&unknown, CancelSessionReason::TIMEOUT), false);
    inside.transaction_id = id.clone();
    let mut oid = good();
    oid.smdp_oid = "2.999.11".parse().unwrap();
    let error = CancelSessionRequestEs9 {
        transaction_id: id.clone(),
        cancel_session_response: CancelSessionResponse::CancelSessionResponseError(127),
    };
    for (case, request, status) in [
        ("unknown transaction", outside, Status::TransactionUnknown),
        ("another transaction inside", inside, Status::TransactionUnknown),
        ("a wrong signature", euicc.signed_cancellation(good(), true), Status::EuiccVerificationFailed),
        ("another eUICC's", stranger.signed_cancellation(good(), false), Status::EuiccVerificationFailed),
        ("another SM-DP+", euicc.signed_cancellation(oid, false), Status::SmdpOidMismatch),
        ("the eUICC's own error", error, Status::EuiccVerificationFailed),
    ] {
        assert_eq!(call::<CancelSession>(&bench.server, &request).await.refused(), status, "{case}");
        assert_eq!(bench.state().await, ProfileState::Released, "{case}");
    }
    euicc.get(&bench.server, &euicc.prepare(&ok, &euicc.one_time_key())).await.done();
}

// --- HandleNotification --------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_failed_installation_ends_the_order_which_can_then_be_placed_anew() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let (transaction, _) = euicc.download(&bench.server, &code, &euicc.one_time_key()).await;
    let result = euicc.signed_result(euicc.result(&transaction, iccid(), false));
    assert_eq!(notify(&bench.server, result).await, 204);
    assert_eq!(bench.state().await, ProfileState::Error);
    let code = bench.order(|_| {}).await;
    euicc.download(&bench.server, &code, &euicc.one_time_key()).await;
}

type SpoilResult = fn(&Bench, &Euicc, &TransactionId) -> PendingNotification;

/// What is not believed. There is no functional error for it: HTTP 204, an event, and nothing changed.
const RESULTS: &[(&str, SpoilResult)] = &[
    ("an unknown transaction", |_, euicc, _| {
        euicc.signed_result(euicc.result(&TransactionId(vec![1; 16]), iccid(), true))
    }),
    ("a wrong signature", |bench, euicc, transaction| {
        let stranger = bench.numbered_euicc(Curve::P256, 1);
        stranger.signed_result(euicc.result(transaction, iccid(), true))
    }),
    ("another SM-DP+", |_, euicc, transaction| {
        let mut data = euicc.result(transaction, iccid(), true);
        data.smdp_oid = Some("2.999.11".parse().unwrap());
        euicc.signed_result(data)
    }),
    ("another profile", |_, euicc, transaction| {
        euicc.signed_result(euicc.result(transaction, OTHER_ICCID.parse().unwrap(), true))
    }),
];

#[tokio::test]
async fn an_installation_result_that_does_not_verify_is_answered_and_changes_nothing() {
    for (case, spoil) in RESULTS {
        let bench = Bench::new();
        let code = bench.released(&options()).await;
        let euicc = bench.euicc();
        let (transaction, _) = euicc.download(&bench.server, &code, &euicc.one_time_key()).await;
        bench.events.take();
        assert_eq!(notify(&bench.server, spoil(&bench, &euicc, &transaction)).await, 204, "{case}");
        assert_eq!(bench.state().await, ProfileState::Downloaded, "{case}");
        let events = bench.events.take();
        assert!(
            matches!(events[..], [ref e] if matches!(e.outcome, Outcome::Refused(_))),
            "{case}: {events:?}"
        );
        // And the true one still counts.
        notify(&bench.server, euicc.signed_result(euicc.result(&transaction, iccid(), true))).await;
        assert_eq!(bench.state().await, ProfileState::Installed, "{case}");
    }
}

#[tokio::test]
async fn a_notification_that_comes_again_is_answered_again_and_has_no_second_effect() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let (transaction, _) = euicc.download(&bench.server, &code, &euicc.one_time_key()).await;
    let taken = async || bench.records.list("notifications", "").await.unwrap();
    for _ in 0..3 {
        let result = euicc.signed_result(euicc.result(&transaction, iccid(), true));
        assert_eq!(notify(&bench.server, result).await, 204);
    }
    assert_eq!((bench.state().await, taken().await.len()), (ProfileState::Installed, 1));
    for _ in 0..3 {
        let enabled = euicc.notification(2, notification_event::ENABLE, iccid());
        assert_eq!(notify(&bench.server, enabled).await, 204);
    }
    let before = taken().await;
    assert_eq!(before.len(), 2);
    assert_eq!(notify(&bench.server, euicc.notification(2, notification_event::ENABLE, iccid())).await, 204);
    assert_eq!(taken().await, before, "not even rewritten");
    assert_eq!(notify(&bench.server, euicc.notification(3, notification_event::DISABLE, iccid())).await, 204);
    assert_eq!(taken().await.len(), 3);
}

#[tokio::test]
async fn other_notifications_are_believed_only_from_the_euicc_that_has_the_profile() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let (transaction, _) = euicc.download(&bench.server, &code, &euicc.one_time_key()).await;
    notify(&bench.server, euicc.signed_result(euicc.result(&transaction, iccid(), true))).await;
    let enabled = || euicc.notification(2, notification_event::ENABLE, iccid());
    let spoilt = |spoil: &dyn Fn(&mut rsp::sgp22::OtherSignedNotification)| {
        let PendingNotification::OtherSignedNotification(mut it) = enabled() else { unreachable!() };
        spoil(&mut it);
        PendingNotification::OtherSignedNotification(it)
    };
    let stranger = bench.numbered_euicc(Curve::P256, 1);
    let expired = bench.pki.issue_with(Defect::Expired, Role::Eum, Curve::P256).unwrap().der;
    for (case, notification) in [
        ("another eUICC", stranger.notification(2, notification_event::ENABLE, iccid())),
        ("another profile", euicc.notification(2, notification_event::ENABLE, OTHER_ICCID.parse().unwrap())),
        ("a wrong signature", spoilt(&|it| it.euicc_notification_signature[3] ^= 1)),
        ("an expired EUM", spoilt(&|it| it.eum_certificate.0 = expired.clone())),
        (
            "another sequence number than the signed one",
            spoilt(&|it| {
                let mut metadata = it.tbs_other_notification.clone().into_value();
                metadata.seq_number = 9;
                it.tbs_other_notification = Raw::new(metadata);
            }),
        ),
    ] {
        bench.events.take();
        assert_eq!(notify(&bench.server, notification).await, 204, "{case}");
        assert!(
            matches!(bench.events.take()[..], [ref e] if matches!(e.outcome, Outcome::Refused(_))),
            "{case}"
        );
        assert_eq!(bench.records.list("notifications", "").await.unwrap().len(), 1, "{case}");
    }
    assert_eq!(notify(&bench.server, enabled()).await, 204);
    assert_eq!(bench.records.list("notifications", "").await.unwrap().len(), 2);
}

// --- Records -------------------------------------------------------------------------------------------------------

/// A store in which somebody else is faster a given number of times, or which fails.
struct Contended {
    records: MemoryRecords,
    conflicts: std::sync::atomic::AtomicUsize,
    broken: std::sync::atomic::AtomicBool,
}

impl Records for Contended {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> world::BoxFuture<'a, Result<Option<Stored>, Fault>> {
        self.records.read(collection, key)
    }

    fn list<'a>(
        &'a self,
        collection: &'static str,
        prefix: &'a str,
    ) -> world::BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        self.records.list(collection, prefix)
    }

    fn commit(&self, changes: ChangeSet) -> world::BoxFuture<'_, Result<Committed, Fault>> {
        use std::sync::atomic::Ordering::SeqCst;
        if self.broken.load(SeqCst) {
            return Box::pin(async { Err(Fault::new("cannot write", "the disk is full", "make room")) });
        }
        let one_less = |left: usize| left.checked_sub(1);
        if self.conflicts.fetch_update(SeqCst, SeqCst, one_less).is_ok() {
            return Box::pin(async { Ok(Committed::Conflict) });
        }
        self.records.commit(changes)
    }
}

#[tokio::test]
async fn a_conflict_runs_the_decision_again_and_too_many_are_a_fault() {
    use std::sync::atomic::Ordering::SeqCst;
    let records =
        Arc::new(Contended { records: MemoryRecords::default(), conflicts: 0.into(), broken: false.into() });
    let bench = Bench::over(records.clone(), |_: &mut Config| {});
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let first = euicc.initiate(&bench.server).await;
    let request = euicc.authenticate(&first, &code).request();
    records.conflicts.store(5, SeqCst);
    call::<AuthenticateClient>(&bench.server, &request).await.done();
    assert_eq!(records.conflicts.load(SeqCst), 0);
    assert_eq!(bench.profile().await.order.unwrap().download_attempts, 1, "counted once, not six times");

    // Without end, and with a broken disk: no answer but a 500, and nothing has changed.
    let first = euicc.initiate(&bench.server).await;
    let request = euicc.authenticate(&first, &code).request();
    for (conflicts, broken) in [(usize::MAX, false), (0, true)] {
        records.conflicts.store(conflicts, SeqCst);
        records.broken.store(broken, SeqCst);
        let path = rsp::sgp22::es9plus::path("authenticateClient");
        let response = support::post(&bench.server, &path, &request).await;
        assert_eq!(response.status(), 500);
        assert!(response.body().is_empty());
        assert_eq!(bench.profile().await.order.unwrap().download_attempts, 1);
    }
    records.broken.store(false, SeqCst);
    call::<AuthenticateClient>(&bench.server, &request).await.done();
}

#[tokio::test]
async fn sessions_that_expired_do_not_stay_in_the_records() {
    let bench = Bench::with(|config| config.session_lifetime = Duration::from_secs(10));
    let euicc = bench.euicc();
    for _ in 0..50 {
        euicc.initiate(&bench.server).await;
        bench.wait(Duration::from_secs(3600));
    }
    let left = bench.records.list("sessions", "").await.unwrap().len();
    assert!(left < 10, "{left} sessions are kept");
}

#[tokio::test]
async fn every_call_tells_one_event() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    bench.events.take();
    euicc.download(&bench.server, &code, &euicc.one_time_key()).await;
    euicc.try_authenticate(&bench.server, "WRONG").await.refused();
    let events = bench.events.take();
    let told: Vec<_> = events.iter().map(|event| (&*event.interface, &*event.function)).collect();
    assert_eq!(
        told,
        [
            ("ES9+", "InitiateAuthentication"),
            ("ES9+", "AuthenticateClient"),
            ("ES9+", "GetBoundProfilePackage"),
            ("ES9+", "InitiateAuthentication"),
            ("ES9+", "AuthenticateClient"),
        ]
    );
    assert!(events.iter().all(|event| event.bytes_received > 0 && event.bytes_sent > 0));
    assert!(matches!(&events[4].outcome, Outcome::Refused(why) if why.contains("8.2.6/3.8")));
}
