//! Tests of ES9+.InitiateAuthentication: section 5.6.1.

use super::*;

#[tokio::test]
async fn initiate_authentication_refuses_each_defect_with_its_status() {
    let testbed = Testbed::new();
    let valid = testbed.euicc().initiation();
    let other_address = "other.landfall.example".to_owned();
    // req: SGP.22-5.6.1-Address
    let request = InitiateAuthenticationRequest { smdp_address: other_address, ..valid.clone() };
    let answer = call::<InitiateAuthentication>(&testbed.server, &request).await;
    assert_eq!(answer.refused(), Status::SmdpAddressRefused);
    let statuses =
        [Status::SvnUnsupported, Status::CiForVerificationUnavailable, Status::CiForSigningUnsupported];
    for (case, euicc_info1, status) in defective_infos(&valid.euicc_info1, statuses) {
        let request = InitiateAuthenticationRequest { euicc_info1, ..valid.clone() };
        let answer = call::<InitiateAuthentication>(&testbed.server, &request).await;
        assert_eq!(answer.refused(), status, "{case}");
    }
    assert!(testbed.server.sessions().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_address_is_case_insensitive_and_can_be_one_of_several() {
    let testbed =
        Testbed::with(|config| config.server.other_addresses.push("smdpp.other.example".parse().unwrap()));
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
