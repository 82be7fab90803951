//! Successful downloads and their effects.

use std::path::Path;

use crypto::{Curve, Signature, hash_cc};
use profile::EuiccResponse;
use profile::generic::{Subscription, generic};
use rsp::der::{Asn1, BitString};
use rsp::ids::Iccid;
use rsp::sgp22::es8plus::{BppCommandId, ErrorReason, FinalResult};
use rsp::sgp22::es10b::{
    CancelSessionError, CancelSessionRequest, CancelSessionResponse, DeleteNotificationStatus,
    DownloadErrorCode, GetEuiccChallengeRequest, GetEuiccChallengeResponse, ListNotificationRequest,
    ListNotificationResponse, NotificationSentRequest, NotificationSentResponse, PrepareDownloadResponse,
    RetrieveNotificationsListRequest, RetrieveNotificationsListResponse,
};
use rsp::sgp22::{
    CancelSessionReason, NotificationConfigurationInformation, NotificationMetadata, PendingNotification,
    ProfileClass, ProfileState, notification_event,
};

use world::RamMemory;

use super::server::{ADDRESS, Server, TestPackage, load, outcome, send};
use super::testbed::{Testbed, pki};

pub(super) const ICCID: &str = "89000123456789012341";

fn notifications(testbed: &mut Testbed) -> Vec<NotificationMetadata> {
    match testbed.call(&ListNotificationRequest { profile_management_operation: None }) {
        ListNotificationResponse::NotificationMetadataList(list) => list.0,
        ListNotificationResponse::ListNotificationsResultError(code) => panic!("{code}"),
    }
}

/// Section 2.5.3 limits a segment to 1020 octets, but does not ask the eUICC to refuse a longer one.
/// osmo-smdpp sends 1036. STORE DATA carries 65280.
#[test]
fn long_segments_are_accepted_unless_the_card_is_strict() {
    let subscription = Subscription {
        iccid: ICCID.parse::<Iccid>().unwrap().to_profile_header(),
        ..Subscription::default()
    };
    let mut test_package = TestPackage::of(generic(&subscription).encode());
    test_package.pad(70_000);
    let structure = (BppCommandId::LOAD_PROFILE_ELEMENTS, ErrorReason::SCP03T_STRUCTURE_ERROR);
    for (segment_octets, strict, expected) in [
        (1007, true, Ok(())),
        (1008, false, Ok(())),
        (1008, true, Err(structure)),
        (65_200, false, Ok(())),
        (65_200, true, Err(structure)),
    ] {
        let mut testbed = Testbed::with(pki(), |card| card.strict = strict, RamMemory::default());
        testbed.block = 255;
        let server = Server { segment_octets, ..Server::new(&testbed, Curve::P256) };
        let result = server.download(&mut testbed, &test_package);
        assert_eq!(outcome(&result), expected, "{segment_octets} octets, strict: {strict}");
    }
}

#[test]
fn a_download_installs_a_disabled_profile_and_returns_a_signed_result() {
    for curve in [Curve::P256, Curve::BrainpoolP256r1] {
        for own_keys in [true, false] {
            let mut testbed = Testbed::new();
            let server = Server { own_keys, ..Server::new(&testbed, curve) };
            let result = server.download(&mut testbed, &TestPackage::small(ICCID));
            assert_eq!(outcome(&result), Ok(()));

            let data = &result.profile_installation_result_data;
            let eid = testbed.pki.eids(curve)[0];
            let euicc = testbed.pki.euicc(curve, eid).unwrap().euicc.certificate;
            let signature = Signature::from_slice(&result.euicc_sign_pir).unwrap();
            euicc.public_key().verify(data.bytes(), &signature).unwrap();
            assert_eq!(data.transaction_id, server.transaction_id);
            assert_eq!(data.notification_metadata.notification_address, ADDRESS);
            assert_eq!(data.notification_metadata.iccid, Some(ICCID.parse().unwrap()));
            assert_eq!(data.smdp_oid.as_ref().unwrap().to_string(), "2.999.10");
            let FinalResult::SuccessResult(success) = &data.final_result else { panic!() };
            assert_eq!(success.sima_response, EuiccResponse::installed(vec![]).to_der());
            assert_eq!(success.aid.to_string(), "A0000005591010FFFFFFFF8900001000");

            let [profile] = &testbed.profiles()[..] else { panic!() };
            assert_eq!(profile.profile_state, Some(ProfileState::DISABLED));
            assert_eq!(profile.profile_name.as_deref(), Some("Test"));
            assert_eq!(profile.profile_class, Some(ProfileClass::OPERATIONAL));
        }
    }
}

// req: SGP.22-5.7.11-Nothing
#[test]
fn notifications_are_numbered_survive_a_reset_and_are_removed_once() {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    let mut test_package = TestPackage::small(ICCID);
    let other = NotificationConfigurationInformation {
        profile_management_operation: BitString::of(&[
            notification_event::INSTALL,
            notification_event::DELETE,
        ]),
        notification_address: "other.example.com".to_owned(),
    };
    test_package.metadata.notification_configuration_info.as_mut().unwrap().push(other);
    server.download(&mut testbed, &test_package);
    testbed.enable(test_package.iccid(), false);
    testbed.disable(test_package.iccid(), false);
    testbed.delete(test_package.iccid());
    testbed.reset();

    let listed = notifications(&mut testbed);
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
        testbed.call(&RetrieveNotificationsListRequest { search_criteria: None })
    else {
        panic!()
    };
    let public_key =
        testbed.pki.euicc(Curve::P256, testbed.pki.eids(Curve::P256)[0]).unwrap().euicc.certificate;
    for notification in &all {
        match &*notification.decode().unwrap() {
            PendingNotification::ProfileInstallationResult(result) => assert_eq!(outcome(result), Ok(())),
            PendingNotification::OtherSignedNotification(other) => {
                let signature = Signature::from_slice(&other.euicc_notification_signature).unwrap();
                public_key.public_key().verify(other.tbs_other_notification.bytes(), &signature).unwrap();
            }
        }
    }

    let remove = NotificationSentRequest { seq_number: 3 };
    let removed =
        |testbed: &mut Testbed| testbed.call::<NotificationSentResponse>(&remove).delete_notification_status;
    assert_eq!(removed(&mut testbed), DeleteNotificationStatus::OK);
    assert_eq!(removed(&mut testbed), DeleteNotificationStatus::NOTHING_TO_DELETE);
    assert_eq!(notifications(&mut testbed).len(), 5);
}

#[test]
fn an_interrupted_download_can_be_repeated_with_the_same_one_time_key() {
    let mut testbed = Testbed::new();
    let mut server = Server::new(&testbed, Curve::P256);
    let test_package = TestPackage::small(ICCID);
    let PrepareDownloadResponse::DownloadResponseOk(first) = server.prepare(&mut testbed) else { panic!() };
    let bound = server.bind_to(&testbed, &first, &test_package, |_| {});
    let pieces = rsp::sgp22::es8plus::store_data_segments(&bound.to_der()).unwrap();
    assert!(send(&mut testbed, &pieces[..3]).is_none());
    testbed.reset();
    assert!(testbed.profiles().is_empty());

    server.transaction_id = rsp::ids::TransactionId(vec![9]);
    server.bpp_euicc_otpk = Some(first.euicc_signed2.euicc_otpk.clone());
    let PrepareDownloadResponse::DownloadResponseOk(second) = server.prepare(&mut testbed) else { panic!() };
    assert_eq!(second.euicc_signed2.euicc_otpk, first.euicc_signed2.euicc_otpk);
    let bound = server.bind_to(&testbed, &second, &test_package, |_| {});
    assert_eq!(outcome(&load(&mut testbed, &bound.to_der()).unwrap()), Ok(()));

    // The key has been used up, so another download gets another key.
    let PrepareDownloadResponse::DownloadResponseOk(third) = server.prepare(&mut testbed) else { panic!() };
    assert_ne!(third.euicc_signed2.euicc_otpk, first.euicc_signed2.euicc_otpk);
}

// req: SGP.22-5.7.5-ConfirmationCode
#[test]
fn a_confirmation_code_is_signed_and_required_exactly_when_requested() {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    let hash = hash_cc("1234", &server.transaction_id.0);
    let prepare = |testbed: &mut Testbed, sent: Option<[u8; 32]>| {
        let challenge: GetEuiccChallengeResponse = testbed.call(&GetEuiccChallengeRequest {});
        let answer = testbed.call(&server.authenticate_server(challenge.euicc_challenge));
        let mut request = server.prepare_download(testbed, &answer, Some(hash));
        request.hash_cc = sent;
        testbed.call::<PrepareDownloadResponse>(&request)
    };
    let PrepareDownloadResponse::DownloadResponseOk(ok) = prepare(&mut testbed, Some(hash)) else { panic!() };
    assert_eq!(ok.euicc_signed2.hash_cc, Some(hash));
    let PrepareDownloadResponse::DownloadResponseError(error) = prepare(&mut testbed, None) else { panic!() };
    assert_eq!(error.download_error_code, DownloadErrorCode::UNDEFINED_ERROR);
}

// req: SGP.22-5.7.14-TransactionId
#[test]
fn a_session_can_be_cancelled_once_and_leaves_no_profile() {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    server.prepare(&mut testbed);
    let request = |transaction_id| CancelSessionRequest {
        transaction_id,
        reason: CancelSessionReason::END_USER_REJECTION,
    };
    let wrong = request(rsp::ids::TransactionId(vec![7]));
    let refused =
        CancelSessionResponse::CancelSessionResponseError(CancelSessionError::INVALID_TRANSACTION_ID);
    assert_eq!(testbed.call::<CancelSessionResponse>(&wrong), refused);
    let right = request(server.transaction_id.clone());
    let CancelSessionResponse::CancelSessionResponseOk(ok) = testbed.call(&right) else { panic!() };
    assert_eq!(ok.euicc_cancel_session_signed.smdp_oid.to_string(), "2.999.10");
    let euicc = testbed.pki.euicc(Curve::P256, testbed.pki.eids(Curve::P256)[0]).unwrap().euicc.certificate;
    let signature = Signature::from_slice(&ok.euicc_cancel_session_signature).unwrap();
    euicc.public_key().verify(ok.euicc_cancel_session_signed.bytes(), &signature).unwrap();
    assert_eq!(testbed.call::<CancelSessionResponse>(&right), refused);
    assert!(testbed.profiles().is_empty());
}

#[test]
fn isd_p_numbers_are_never_reused() {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    let test_package = TestPackage::small(ICCID);
    let mut seen = Vec::new();
    for _ in 0..3 {
        server.download(&mut testbed, &test_package);
        seen.push(testbed.profiles()[0].isdp_aid.clone().unwrap());
        testbed.delete(test_package.iccid());
    }
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

#[test]
fn an_iccid_cannot_be_installed_twice() {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    let test_package = TestPackage::small(ICCID);
    assert_eq!(outcome(&server.download(&mut testbed, &test_package)), Ok(()));
    let again = outcome(&server.download(&mut testbed, &test_package)).unwrap_err().1;
    assert_eq!(again, ErrorReason::INSTALL_FAILED_DUE_TO_ICCID_ALREADY_EXISTS_ON_EUICC);
    assert_eq!(testbed.profiles().len(), 1);
}

#[test]
#[cfg_attr(not(has_sgp26), ignore = "needs the SGP.26 test certificates (../shared/data/sgp26)")]
fn a_card_of_the_sgp26_set_downloads_from_its_sm_dp_plus() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/sgp26");
    let mut listing = vec!["test-scalars.csv".to_owned()];
    for role in ["CertificateIssuer", "EUM", "eUICC", "DPauth", "DPpb", "DPtls"] {
        let files = std::fs::read_dir(folder.join(role)).unwrap();
        listing.extend(files.map(|file| format!("{role}/{}", file.unwrap().file_name().to_string_lossy())));
    }
    listing.sort();
    for curve in [Curve::P256, Curve::BrainpoolP256r1] {
        let pki = certs::Pki::from_files(&listing, |path| std::fs::read(folder.join(path)).ok()).unwrap();
        let mut testbed = Testbed::with(pki, |_| {}, world::RamMemory::default());
        assert_eq!(testbed.card.eid().to_string(), "89049032123451234512345678901235");
        let server = Server::new(&testbed, curve);
        assert_eq!(outcome(&server.download(&mut testbed, &TestPackage::small(ICCID))), Ok(()));
    }
}
