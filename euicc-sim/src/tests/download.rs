//! Successful downloads and their effects.

use std::path::Path;

use crypto::{Curve, Signature, hash_cc};
use profile::EuiccResponse;
use rsp::der::{Asn1, BitString};
use rsp::sgp22::es8plus::{ErrorReason, FinalResult};
use rsp::sgp22::es10b::{
    CancelSessionRequest, CancelSessionResponse, DeleteNotificationStatus, DownloadErrorCode,
    GetEuiccChallengeRequest, GetEuiccChallengeResponse, ListNotificationRequest, ListNotificationResponse,
    NotificationSentRequest, NotificationSentResponse, PrepareDownloadResponse,
    RetrieveNotificationsListRequest, RetrieveNotificationsListResponse,
};
use rsp::sgp22::{
    CancelSessionReason, NotificationConfigurationInformation, NotificationMetadata, PendingNotification,
    ProfileClass, ProfileState, notification_event,
};

use super::bench::Bench;
use super::server::{ADDRESS, Goods, Server, load, outcome, send};

pub(super) const ICCID: &str = "89000123456789012341";

fn notifications(bench: &mut Bench) -> Vec<NotificationMetadata> {
    match bench.call(&ListNotificationRequest { profile_management_operation: None }) {
        ListNotificationResponse::NotificationMetadataList(list) => list,
        ListNotificationResponse::ListNotificationsResultError(code) => panic!("{code}"),
    }
}

#[test]
fn a_download_installs_a_disabled_profile_and_returns_a_signed_result() {
    for curve in [Curve::P256, Curve::BrainpoolP256r1] {
        for own_keys in [true, false] {
            let mut bench = Bench::new();
            let server = Server { own_keys, ..Server::new(&bench, curve) };
            let result = server.download(&mut bench, &Goods::small(ICCID));
            assert_eq!(outcome(&result), Ok(()));

            let data = &result.profile_installation_result_data;
            let eid = bench.pki.eids(curve)[0];
            let euicc = bench.pki.euicc(curve, eid).unwrap().euicc.certificate;
            let signature = Signature::from_slice(&result.euicc_sign_pir).unwrap();
            euicc.public_key().verify(data.bytes(), &signature).unwrap();
            assert_eq!(data.transaction_id, server.transaction_id);
            assert_eq!(data.notification_metadata.notification_address, ADDRESS);
            assert_eq!(data.notification_metadata.iccid, Some(ICCID.parse().unwrap()));
            assert_eq!(data.smdp_oid.as_ref().unwrap().to_string(), "2.999.10");
            let FinalResult::SuccessResult(success) = &data.final_result else { panic!() };
            assert_eq!(success.sima_response, EuiccResponse::installed(vec![]).to_der());
            assert_eq!(success.aid.to_string(), "A0000005591010FFFFFFFF8900001000");

            let [profile] = &bench.profiles()[..] else { panic!() };
            assert_eq!(profile.profile_state, Some(ProfileState::DISABLED));
            assert_eq!(profile.profile_name.as_deref(), Some("Test"));
            assert_eq!(profile.profile_class, Some(ProfileClass::OPERATIONAL));
        }
    }
}

#[test]
fn notifications_are_numbered_survive_a_reset_and_are_removed_once() {
    let mut bench = Bench::new();
    let server = Server::new(&bench, Curve::P256);
    let mut goods = Goods::small(ICCID);
    let other = NotificationConfigurationInformation {
        profile_management_operation: BitString::of(&[
            notification_event::INSTALL,
            notification_event::DELETE,
        ]),
        notification_address: "other.example.com".to_owned(),
    };
    goods.metadata.notification_configuration_info.as_mut().unwrap().push(other);
    server.download(&mut bench, &goods);
    bench.enable(goods.iccid(), false);
    bench.disable(goods.iccid(), false);
    bench.delete(goods.iccid());
    bench.reset();

    let listed = notifications(&mut bench);
    let seen: Vec<_> = listed
        .iter()
        .map(|each| {
            (each.seq_number, each.profile_management_operation.ones()[0], each.notification_address.as_str())
        })
        .collect();
    let other = "other.example.com";
    assert_eq!(
        seen,
        [(1, 0, ADDRESS), (2, 0, other), (3, 1, ADDRESS), (4, 2, ADDRESS), (5, 3, ADDRESS), (6, 3, other)]
    );

    let RetrieveNotificationsListResponse::NotificationList(all) =
        bench.call(&RetrieveNotificationsListRequest { search_criteria: None })
    else {
        panic!()
    };
    let public_key = bench.pki.euicc(Curve::P256, bench.pki.eids(Curve::P256)[0]).unwrap().euicc.certificate;
    for notification in &all {
        match &**notification {
            PendingNotification::ProfileInstallationResult(result) => assert_eq!(outcome(result), Ok(())),
            PendingNotification::OtherSignedNotification(other) => {
                let signature = Signature::from_slice(&other.euicc_notification_signature).unwrap();
                public_key.public_key().verify(other.tbs_other_notification.bytes(), &signature).unwrap();
            }
        }
    }

    let remove = NotificationSentRequest { seq_number: 3 };
    let removed =
        |bench: &mut Bench| bench.call::<NotificationSentResponse>(&remove).delete_notification_status;
    assert_eq!(removed(&mut bench), DeleteNotificationStatus::OK);
    assert_eq!(removed(&mut bench), DeleteNotificationStatus::NOTHING_TO_DELETE);
    assert_eq!(notifications(&mut bench).len(), 5);
}

#[test]
fn an_interrupted_download_can_be_repeated_with_the_same_one_time_key() {
    let mut bench = Bench::new();
    let mut server = Server::new(&bench, Curve::P256);
    let goods = Goods::small(ICCID);
    let PrepareDownloadResponse::DownloadResponseOk(first) = server.prepare(&mut bench) else { panic!() };
    let bound = server.bind_to(&bench, &first, &goods, |_| {});
    let pieces = rsp::sgp22::es8plus::loading_pieces(&bound.to_der()).unwrap();
    assert!(send(&mut bench, &pieces[..3]).is_none());
    bench.reset();
    assert!(bench.profiles().is_empty());

    server.transaction_id = rsp::ids::TransactionId(vec![9]);
    server.bpp_euicc_otpk = Some(first.euicc_signed2.euicc_otpk.clone());
    let PrepareDownloadResponse::DownloadResponseOk(second) = server.prepare(&mut bench) else { panic!() };
    assert_eq!(second.euicc_signed2.euicc_otpk, first.euicc_signed2.euicc_otpk);
    let bound = server.bind_to(&bench, &second, &goods, |_| {});
    assert_eq!(outcome(&load(&mut bench, &bound.to_der()).unwrap()), Ok(()));

    // The key has been used up, so another download gets another key.
    let PrepareDownloadResponse::DownloadResponseOk(third) = server.prepare(&mut bench) else { panic!() };
    assert_ne!(third.euicc_signed2.euicc_otpk, first.euicc_signed2.euicc_otpk);
}

#[test]
fn a_confirmation_code_is_signed_and_required_exactly_when_requested() {
    let mut bench = Bench::new();
    let server = Server::new(&bench, Curve::P256);
    let hash = hash_cc("1234", &server.transaction_id.0);
    let prepare = |bench: &mut Bench, sent: Option<[u8; 32]>| {
        let challenge: GetEuiccChallengeResponse = bench.call(&GetEuiccChallengeRequest {});
        let answer = bench.call(&server.authenticate_server(challenge.euicc_challenge));
        let mut request = server.prepare_download(bench, &answer, Some(hash));
        request.hash_cc = sent;
        bench.call::<PrepareDownloadResponse>(&request)
    };
    let PrepareDownloadResponse::DownloadResponseOk(ok) = prepare(&mut bench, Some(hash)) else { panic!() };
    assert_eq!(ok.euicc_signed2.hash_cc, Some(hash));
    let PrepareDownloadResponse::DownloadResponseError(error) = prepare(&mut bench, None) else { panic!() };
    assert_eq!(error.download_error_code, DownloadErrorCode::UNDEFINED_ERROR);
}

#[test]
fn a_session_can_be_cancelled_once_and_leaves_no_profile() {
    let mut bench = Bench::new();
    let server = Server::new(&bench, Curve::P256);
    server.prepare(&mut bench);
    let request = |transaction_id| CancelSessionRequest {
        transaction_id,
        reason: CancelSessionReason::END_USER_REJECTION,
    };
    let wrong = request(rsp::ids::TransactionId(vec![7]));
    let refused = CancelSessionResponse::CancelSessionResponseError(5);
    assert_eq!(bench.call::<CancelSessionResponse>(&wrong), refused);
    let right = request(server.transaction_id.clone());
    let CancelSessionResponse::CancelSessionResponseOk(ok) = bench.call(&right) else { panic!() };
    assert_eq!(ok.euicc_cancel_session_signed.smdp_oid.to_string(), "2.999.10");
    let euicc = bench.pki.euicc(Curve::P256, bench.pki.eids(Curve::P256)[0]).unwrap().euicc.certificate;
    let signature = Signature::from_slice(&ok.euicc_cancel_session_signature).unwrap();
    euicc.public_key().verify(ok.euicc_cancel_session_signed.bytes(), &signature).unwrap();
    assert_eq!(bench.call::<CancelSessionResponse>(&right), refused);
    assert!(bench.profiles().is_empty());
}

#[test]
fn isd_p_numbers_are_never_reused() {
    let mut bench = Bench::new();
    let server = Server::new(&bench, Curve::P256);
    let goods = Goods::small(ICCID);
    let mut seen = Vec::new();
    for _ in 0..3 {
        server.download(&mut bench, &goods);
        seen.push(bench.profiles()[0].isdp_aid.clone().unwrap());
        bench.delete(goods.iccid());
    }
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

#[test]
fn an_iccid_cannot_be_installed_twice() {
    let mut bench = Bench::new();
    let server = Server::new(&bench, Curve::P256);
    let goods = Goods::small(ICCID);
    assert_eq!(outcome(&server.download(&mut bench, &goods)), Ok(()));
    let again = outcome(&server.download(&mut bench, &goods)).unwrap_err().1;
    assert_eq!(again, ErrorReason::INSTALL_FAILED_DUE_TO_ICCID_ALREADY_EXISTS_ON_EUICC);
    assert_eq!(bench.profiles().len(), 1);
}

#[test]
fn a_card_of_the_sgp26_set_downloads_from_its_sm_dp_plus() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/sgp26");
    if !folder.is_dir() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "SGP.26 must be at {}", folder.display());
        println!("skipped: no SGP.26 certificates at {}", folder.display());
        return;
    }
    let mut listing = vec!["test-scalars.csv".to_owned()];
    for role in ["CertificateIssuer", "EUM", "eUICC", "DPauth", "DPpb", "DPtls"] {
        let files = std::fs::read_dir(folder.join(role)).unwrap();
        listing.extend(files.map(|file| format!("{role}/{}", file.unwrap().file_name().to_string_lossy())));
    }
    listing.sort();
    for curve in [Curve::P256, Curve::BrainpoolP256r1] {
        let pki = certs::Pki::from_files(&listing, |path| std::fs::read(folder.join(path)).ok()).unwrap();
        let mut bench = Bench::with(pki, |_| {}, world::RamMemory::default());
        assert_eq!(bench.card.eid().to_string(), "89049032123451234512345678901235");
        let server = Server::new(&bench, curve);
        assert_eq!(outcome(&server.download(&mut bench, &Goods::small(ICCID))), Ok(()));
    }
}
