//! The order of the checks. Each test starts with a request that has every defect, then removes the
//! defects one after the other from the front. Each request must be refused because of its first
//! remaining defect.

use super::*;

// req: SGP.22-5.6.1-Order
#[tokio::test]
async fn initiate_authentication_checks_address_version_signing_ci_verification_ci() {
    type Corrupt = fn(&mut rsp::sgp22::es9plus::InitiateAuthenticationRequest);
    let defects: [(Status, Corrupt); 4] = [
        (Status::SmdpAddressRefused, |it| it.smdp_address = "other.landfall.example".to_owned()),
        (Status::SvnUnsupported, |it| it.euicc_info1.svn = Version([9, 0, 0])),
        (Status::CiForSigningUnsupported, |it| it.euicc_info1.euicc_ci_pk_id_list_for_signing.clear()),
        (Status::CiForVerificationUnavailable, |it| {
            it.euicc_info1.euicc_ci_pk_id_list_for_verification.clear();
        }),
    ];
    let testbed = Testbed::new();
    for first in 0..defects.len() {
        let mut request = testbed.euicc().initiation();
        defects[first..].iter().for_each(|(_, corrupt)| corrupt(&mut request));
        let answer = call::<InitiateAuthentication>(&testbed.server, &request).await;
        assert_eq!(answer.refused(), defects[first].0);
    }
}

/// The expected order: TransactionID in the envelope, EUM certificate, eUICC certificate,
/// signature, signed TransactionID, signed challenge, MatchingID.
#[tokio::test]
async fn authenticate_client_checks_the_authentication_in_this_order() {
    type Corrupt = fn(&Testbed, &mut Authenticate);
    let defects: [(Status, Corrupt); 7] = [
        (Status::TransactionUnknown, |_, it| it.outer = TransactionId(vec![1; 16])),
        (Status::EumCertificateExpired, |testbed, it| {
            it.eum_certificate = testbed.pki.issue_with(Defect::Expired, Role::Eum, Curve::P256).unwrap().der;
        }),
        (Status::EuiccCertificateVerificationFailed, |testbed, it| {
            let forged = testbed.pki.issue_with(Defect::ForgedSignature, Role::Euicc, Curve::P256).unwrap();
            it.euicc_certificate = forged.der;
        }),
        (Status::EuiccVerificationFailed, |_, it| it.corrupt_signature = true),
        (Status::TransactionUnknown, |_, it| it.inner = TransactionId(vec![1; 16])),
        (Status::EuiccVerificationFailed, |_, it| it.server_challenge[0] ^= 1),
        (Status::MatchingIdRefused, |_, it| it.matching_id = Some("UNKNOWN".to_owned())),
    ];
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    for first in 0..defects.len() {
        let mut proof = euicc.authenticate(&euicc.initiate(&testbed.server).await, &code);
        defects[first..].iter().for_each(|(_, corrupt)| corrupt(&testbed, &mut proof));
        let answer = call::<AuthenticateClient>(&testbed.server, &proof.request().unwrap()).await;
        assert_eq!(answer.refused(), defects[first].0, "defect {first}");
    }
}

// req: SGP.22-5.6.3-Order
#[tokio::test]
async fn authenticate_client_checks_eid_then_release_then_eligibility_then_attempts_then_expiry() {
    let statuses = [
        Status::EidNotAllowed,
        Status::ProfileNotReleased,
        Status::ProfileNotEligible,
        Status::DownloadAttemptsExceeded,
        Status::OrderExpired,
    ];
    for (first, status) in statuses.into_iter().enumerate() {
        let testbed = Testbed::with(|config| {
            config.order_lifetime = Duration::from_secs(60);
            config.max_download_attempts = if first <= 3 { 0 } else { 10 };
        });
        testbed.server.add_profile(&package(ICCID, &[Service::MILENAGE]), &options()).await.unwrap();
        let other = testbed.numbered_euicc(Curve::P256, 1).eid;
        let code = testbed
            .order(|confirm| {
                confirm.eid = (first == 0).then_some(other);
                confirm.release_flag = first > 1;
            })
            .await;
        let mut euicc = testbed.euicc();
        if first <= 2 {
            euicc.info2.uicc_capability = BitString::of(&[uicc_capability::USIM]);
        }
        testbed.wait(Duration::from_secs(61));
        assert_eq!(euicc.try_authenticate(&testbed.server, &code).await.refused(), status, "defect {first}");
    }
}

/// The expected order: TransactionID in the envelope, signature, signed TransactionID, confirmation
/// code, one-time key of an earlier binding.
#[tokio::test]
async fn get_bound_profile_package_checks_the_request_in_this_order() {
    type Corrupt = fn(&mut Prepare);
    let defects: [(Status, Corrupt); 4] = [
        (Status::TransactionUnknown, |it| it.outer = TransactionId(vec![1; 16])),
        (Status::EuiccVerificationFailed, |it| it.corrupt_signature = true),
        (Status::TransactionUnknown, |it| it.signed.transaction_id = TransactionId(vec![1; 16])),
        (Status::ConfirmationCodeMissing, |it| it.signed.hash_cc = None),
    ];
    let testbed = Testbed::new();
    testbed.stock(ICCID, &ProfileOptions { rebinding: Rebinding::Refused, ..options() }).await;
    let code = testbed.order(|confirm| confirm.confirmation_code = Some("1234".to_owned())).await;
    let euicc = testbed.euicc();
    let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
    euicc.get(&testbed.server, &euicc.prepare(&ok, &euicc.one_time_key()).code("1234")).await.done();
    for first in 0..=defects.len() {
        let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
        // This one-time key differs from the one that the package is bound to.
        let mut prepare = euicc.prepare(&ok, &euicc.one_time_key()).code("1234");
        defects[first..].iter().for_each(|(_, corrupt)| corrupt(&mut prepare));
        let status = defects.get(first).map_or(Status::ProfileUnavailable, |(status, _)| *status);
        assert_eq!(euicc.get(&testbed.server, &prepare).await.refused(), status, "defect {first}");
    }
}

/// The expected order: TransactionID in the envelope, signature, signed TransactionID, SM-DP+ OID.
#[tokio::test]
async fn cancel_session_checks_the_request_in_this_order() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
    let unknown = TransactionId(vec![1; 16]);
    let statuses = [
        Status::TransactionUnknown,
        Status::EuiccVerificationFailed,
        Status::TransactionUnknown,
        Status::SmdpOidMismatch,
    ];
    for (first, status) in statuses.into_iter().enumerate() {
        let inner = if first <= 2 { &unknown } else { &ok.transaction_id };
        let mut cancel = euicc.cancel(inner, CancelSessionReason::END_USER_REJECTION);
        cancel.outer = if first == 0 { unknown.clone() } else { ok.transaction_id.clone() };
        cancel.signed.smdp_oid = "2.999.11".parse().unwrap();
        cancel.corrupt_signature = first <= 1;
        assert_eq!(
            call::<CancelSession>(&testbed.server, &cancel.request()).await.refused(),
            status,
            "defect {first}"
        );
    }
}
