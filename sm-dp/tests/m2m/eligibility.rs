//! Tests of every refusal of the eligibility check: SGP.02 section 3.1.

use certs::{Certificate, Defect, Role, m2m::CardDefect};
use crypto::Curve;
use rsp::sgp02::{
    Namespace, Octets,
    eis::{Eis, SdRole},
    es3,
    signature::Canonical,
};
use rsp_server::soap::eum;
use sm_dp::ProfileState;

use crate::{
    support::ICCID,
    testbed::{M2mTestbed, OPERATOR, OTHER_OPERATOR, OTHER_SM_SR, SM_SR},
};

/// Orders the profile with this EIS, asserts that the card was not changed, and returns the status
/// of the download.
async fn download_status(testbed: &M2mTestbed, eis: Eis) -> String {
    testbed.clear_sent();
    testbed.set_eis(eis);
    testbed.order(OPERATOR, testbed.request()).await;
    assert!(testbed.sent::<es3::CreateIsdpRequest>(SM_SR).is_empty());
    assert_eq!(testbed.state().await, ProfileState::Available);
    testbed.download_status(OPERATOR)
}

/// Orders the profile with this EIS and asserts that the download starts.
async fn is_taken(testbed: &M2mTestbed, eis: Eis) {
    testbed.clear_sent();
    testbed.set_eis(eis);
    testbed.order(OPERATOR, testbed.request()).await;
    assert_eq!(testbed.last_request().element(), "ES3-CreateISDPRequest");
}

#[tokio::test]
async fn an_eis_that_does_not_match_the_order_is_refused() {
    let testbed = M2mTestbed::new().await;
    let eis = |change: fn(&M2mTestbed, &mut Eis)| {
        let mut eis = testbed.eis();
        change(&testbed, &mut eis);
        eis
    };
    let cases = [
        (
            // req: SGP.02-3.1-OtherEid
            "FAILED 8.6/2.1",
            eis(|testbed, eis| {
                let mut info = testbed.signed_info();
                info.eid = testbed.other_eid();
                *eis = testbed.eis_of(info);
            }),
        ),
        // req: SGP.02-3.1-SmSr
        ("FAILED 8.7/3.8", eis(|testbed, eis| eis.smsr_id = testbed.id(OTHER_SM_SR))),
        (
            // req: SGP.02-3.1-IccidInUse
            "FAILED 8.2.1/3.3",
            eis(|testbed, eis| eis.profile_info.push(testbed.eis_entry(ICCID, OTHER_OPERATOR))),
        ),
        // req: SGP.02-3.1-Memory
        ("FAILED 8.1/4.8", eis(|_, eis| eis.available_memory_for_profiles = 1)),
    ];
    for (code, eis) in cases {
        assert_eq!(download_status(&testbed, eis).await, code);
    }
}

#[tokio::test]
async fn the_eum_must_sign_the_eis_with_a_certified_key() {
    let testbed = M2mTestbed::new().await;
    // The signature is for other data.
    let mut eis = testbed.eis();
    let mut info = testbed.signed_info();
    info.platform_type = "better".to_owned();
    eis.eum_signed_info = Canonical::eum_signed_info(info, Namespace::V3);
    assert_eq!(download_status(&testbed, eis).await, "FAILED 8.1.2/6.1");
    // The EIS names another EUM than the certificate.
    let mut info = testbed.signed_info();
    info.eum_id = "2.999.77".parse().unwrap();
    let named = !testbed.base.pki.eum(Curve::P256).unwrap().registered_ids().is_empty();
    if named {
        assert_eq!(download_status(&testbed, testbed.eis_of(info)).await, "FAILED 8.1.2/6.1");
    }
    // The signer is not an EUM.
    let mut eis = testbed.eis();
    let other = testbed.base.pki.operator(OPERATOR).unwrap();
    eis.eum_signature = eum::sign(&eis.eum_signed_info, &other.key, Some(other.certificate.der()));
    assert_eq!(download_status(&testbed, eis).await, "FAILED 8.1.2/6.1");
    // The EIS has no EUM certificate, and none is configured.
    assert_eq!(download_status(&testbed, without_certificate(&testbed)).await, "FAILED 8.1.2/6.1");
}

fn without_certificate(testbed: &M2mTestbed) -> Eis {
    let mut eis = testbed.eis();
    let key = testbed.base.pki.credential(Role::Eum, Curve::P256).unwrap().key;
    eis.eum_signature = eum::sign(&eis.eum_signed_info, &key, None);
    eis
}

/// Returns an EIS signed with an EUM certificate that has one defect.
fn under(testbed: &M2mTestbed, defect: Defect) -> Eis {
    let broken = testbed.base.pki.issue_with(defect, Role::Eum, Curve::P256).unwrap();
    let mut eis = testbed.eis();
    eis.eum_signature = eum::sign(&eis.eum_signed_info, &broken.key, Some(&broken.der));
    eis
}

#[tokio::test]
async fn a_certificate_of_an_eum_with_any_defect_is_refused() {
    let testbed = M2mTestbed::new().await;
    for defect in Defect::ALL.into_iter().filter(|defect| defect.applies_to(Role::Eum)) {
        let code = match defect {
            Defect::Expired => "FAILED 8.1.2/6.3",
            _ => "FAILED 8.1.2/6.1",
        };
        assert_eq!(download_status(&testbed, under(&testbed, defect)).await, code, "{defect:?}");
    }
}

#[tokio::test]
async fn a_valid_configured_eum_certificate_is_used_even_if_another_one_has_expired() {
    let mut testbed = M2mTestbed::new().await;
    let old = testbed.base.pki.issue_with(Defect::Expired, Role::Eum, Curve::P256).unwrap().der;
    testbed.eums =
        vec![Certificate::from_der(old).unwrap(), testbed.base.pki.eum(Curve::P256).unwrap().clone()];
    // A signature with an expired certificate is refused, whatever certificates are configured.
    assert_eq!(download_status(&testbed, under(&testbed, Defect::Expired)).await, "FAILED 8.1.2/6.3");
    is_taken(&testbed, without_certificate(&testbed)).await;
}

// req: SGP.02-3.1-Ecasd
#[tokio::test]
async fn the_ecasd_certificate_must_be_valid_and_issued_by_the_eum() {
    let testbed = M2mTestbed::new().await;
    let with = |certificate: Option<Vec<u8>>| {
        let mut info = testbed.signed_info();
        let set = &mut info.ecasd.keyset[0];
        match certificate {
            Some(certificate) => set.certificate[0].value = Octets(certificate),
            None => set.certificate.clear(),
        }
        testbed.eis_of(info)
    };
    for defect in CardDefect::ALL {
        let code = if defect == CardDefect::Expired { "FAILED 8.5.2/6.3" } else { "FAILED 8.5.2/6.1" };
        let (certificate, _) = testbed.base.pki.ecasd_with(defect, testbed.eid()).unwrap();
        assert_eq!(download_status(&testbed, with(Some(certificate))).await, code, "{defect:?}");
    }
    let other = testbed.base.pki.ecasd(testbed.other_eid()).unwrap().certificate.octets().to_vec();
    for bad in [other, Vec::new()] {
        assert_eq!(download_status(&testbed, with(Some(bad))).await, "FAILED 8.5.2/6.1");
    }
    assert_eq!(download_status(&testbed, with(None)).await, "FAILED 8.6/2.1");
    let mut info = testbed.signed_info();
    info.ecasd.role = SdRole::IsdR;
    assert_eq!(download_status(&testbed, testbed.eis_of(info)).await, "FAILED 8.6/2.1");
}
