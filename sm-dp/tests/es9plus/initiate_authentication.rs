//! Tests of ES9+.InitiateAuthentication: section 5.6.1.

use super::*;

#[tokio::test]
async fn initiate_authentication_refuses_each_defect_with_its_status() {
    let stranger = vec![SubjectKeyIdentifier(vec![7; 20])];
    let testbed = Testbed::new();
    let euicc = testbed.euicc();
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
        // req: SGP.22-5.6.1-Address
        ("the address of another server", address, Status::SmdpAddressRefused),
        // req: SGP.22-5.6.1-Svn
        ("the eUICC needs a later version", too_new, Status::SvnUnsupported),
        ("the eUICC is of an earlier version", too_old, Status::SvnUnsupported),
        // req: SGP.22-5.6.1-CiForVerification
        ("no certificate below the eUICC's CIs", verification, Status::CiForVerificationUnavailable),
        ("the eUICC verifies under no CI", no_verification, Status::CiForVerificationUnavailable),
        // req: SGP.22-5.6.1-CiForSigning
        ("no trusted CI for signing", signing, Status::CiForSigningUnsupported),
    ] {
        assert_eq!(
            call::<InitiateAuthentication>(&testbed.server, &request).await.refused(),
            status,
            "{case}"
        );
    }
    assert!(testbed.server.sessions().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_address_is_case_insensitive_and_can_be_one_of_several() {
    let testbed = Testbed::with(|config| config.other_addresses.push("smdpp.other.example".parse().unwrap()));
    let euicc = testbed.euicc();
    for address in ["SMDPP.Landfall.EXAMPLE", "Smdpp.Other.Example"] {
        let mut request = euicc.initiation();
        request.smdp_address = address.to_owned();
        let reply = call::<InitiateAuthentication>(&testbed.server, &request).await.done();
        assert!(reply.server_signed1.server_address.eq_ignore_ascii_case(address));
    }
}

#[tokio::test]
async fn the_ci_for_signing_is_the_first_trusted_one_of_the_euiccs_list() {
    let testbed = Testbed::new();
    let ci = |curve| testbed.pki.ci(curve).unwrap().subject_key_id().unwrap().clone();
    let (nist, brainpool) = (ci(Curve::P256), ci(Curve::BrainpoolP256r1));
    let mut request = testbed.euicc().initiation();
    request.euicc_info1.euicc_ci_pk_id_list_for_signing =
        vec![SubjectKeyIdentifier(vec![7; 20]), brainpool.clone(), nist.clone()];
    let reply = call::<InitiateAuthentication>(&testbed.server, &request).await.done();
    assert_eq!(reply.euicc_ci_pk_id_to_be_used, brainpool);
    request.euicc_info1.euicc_ci_pk_id_list_for_signing.swap(1, 2);
    let reply = call::<InitiateAuthentication>(&testbed.server, &request).await.done();
    assert_eq!(reply.euicc_ci_pk_id_to_be_used, nist);
}
