//! Tests with the GSMA's published test certificates (SGP.26, variant O): parsing, checks,
//! comparison, and issuing below their CI.

use crypto::Curve;

use super::{CURVES, at, sgp26};
use crate::{
    Certificate, ChainError, Flaw, Pki, Role, Validity, check_euicc, check_server, numbered_eid,
    same_operator,
};

/// A time within the validity periods of all certificates of the set, including the TLS
/// certificates.
const WITHIN: &str = "2026-09-01T00:00:00Z";

#[test]
#[cfg_attr(not(has_sgp26), ignore = "needs the SGP.26 test certificates (../shared/data/sgp26)")]
fn the_published_chains_are_valid_on_both_curves() {
    let pki = sgp26();
    let anchors = pki.anchors().unwrap();
    let now = at(WITHIN);
    for curve in CURVES {
        let dp = pki.dp(curve).unwrap();
        let auth = check_server(&anchors, &dp.auth.certificate, &[], Role::DpAuth, now).unwrap();
        let pb = check_server(&anchors, &dp.pb.certificate, &[], Role::DpPb, now).unwrap();
        same_operator(&auth, &pb).unwrap();
        assert_eq!(auth.oid.to_string(), "2.999.10");
        let tls = check_server(&anchors, &dp.tls.certificate, &[], Role::DpTls, now).unwrap();
        assert_eq!(tls.certificate.server_names()[0].to_string(), "testsmdpplus1.example.com");
        let eid = pki.eids(curve)[0];
        assert_eq!(eid.to_string(), "89049032123451234512345678901235");
        let held = pki.euicc(curve, eid).unwrap();
        assert_eq!(check_euicc(&anchors, &held.euicc.certificate, &held.eum, now).unwrap().eid, eid);
    }
}

#[test]
#[cfg_attr(not(has_sgp26), ignore = "needs the SGP.26 test certificates (../shared/data/sgp26)")]
fn every_published_certificate_has_its_published_key() {
    let pki = sgp26();
    assert_eq!(pki.entries().len(), 12);
    for entry in pki.entries() {
        assert!(pki.has_key(&entry.certificate), "{}", entry.path);
    }
}

#[test]
#[cfg_attr(not(has_sgp26), ignore = "needs the SGP.26 test certificates (../shared/data/sgp26)")]
fn the_published_tls_certificate_expires() {
    let pki = sgp26();
    let leaf = pki.dp(Curve::P256).unwrap().tls.certificate;
    let check = |when| check_server(&pki.anchors().unwrap(), &leaf, &[], Role::DpTls, at(when)).map(drop);
    assert_eq!(check("2027-02-06T13:39:07Z"), Ok(()));
    assert_eq!(
        check("2027-02-06T13:39:08Z"),
        Err(ChainError::Server(Role::DpTls, Flaw::Expired(at("2027-02-06T13:39:07Z"))))
    );
}

/// The issued and the published certificates of a role have the same extensions, order and
/// criticality, except for key identifiers, CRL addresses and names.
#[test]
#[cfg_attr(not(has_sgp26), ignore = "needs the SGP.26 test certificates (../shared/data/sgp26)")]
fn issued_certificates_have_the_structure_of_the_published_ones() {
    let published = sgp26();
    let mut options = crate::PkiOptions { smdp_names: Vec::new(), ..Default::default() };
    options.smdp_names.push("testsmdpplus1.example.com".parse().unwrap());
    let issued = Pki::from_seed(b"like SGP.26", &options).unwrap();
    for curve in CURVES {
        let pairs = |pki: &Pki| {
            let dp = pki.dp(curve).unwrap();
            let held = pki.euicc(curve, pki.eids(curve)[0]).unwrap();
            [
                held.ci,
                held.eum,
                held.euicc.certificate,
                dp.auth.certificate,
                dp.pb.certificate,
                dp.tls.certificate,
            ]
        };
        for (issued, published) in pairs(&issued).iter().zip(&pairs(&published)) {
            let what = published.to_string();
            assert_eq!(
                issued.extensions(),
                published.extensions(),
                "{what}: identifiers, order, criticality"
            );
            assert_eq!(issued.role(), published.role(), "{what}");
            assert_eq!(issued.curve(), published.curve(), "{what}");
            assert_eq!(issued.policies(), published.policies(), "{what}");
            assert_eq!(issued.key_usage(), published.key_usage(), "{what}");
            assert_eq!(issued.extended_key_usage(), published.extended_key_usage(), "{what}");
            assert_eq!(issued.basic_constraints(), published.basic_constraints(), "{what}");
            assert_eq!(issued.registered_ids(), published.registered_ids(), "{what}");
            assert_eq!(issued.server_names(), published.server_names(), "{what}");
            assert_eq!(shape(issued), shape(published), "{what}: attributes of the subject");
            let prefixes = |c: &Certificate| c.eid_range().prefixes().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(prefixes(issued), prefixes(published), "{what}");
            let length = |id: Option<&rsp::ids::SubjectKeyIdentifier>| id.map(|id| id.0.len());
            assert_eq!(length(issued.subject_key_id()), length(published.subject_key_id()), "{what}");
            assert_eq!(length(issued.authority_key_id()), length(published.authority_key_id()), "{what}");
        }
    }
}

/// Returns the attribute types of the subject, without country and organisational unit, which the
/// standard leaves open.
fn shape(certificate: &Certificate) -> Vec<String> {
    let mut kinds: Vec<_> =
        certificate.subject().attributes.iter().map(|(kind, _)| kind.to_string()).collect();
    kinds.retain(|kind| !matches!(kind.as_str(), "2.5.4.6" | "2.5.4.11"));
    kinds.sort();
    kinds
}

#[test]
#[cfg_attr(not(has_sgp26), ignore = "needs the SGP.26 test certificates (../shared/data/sgp26)")]
fn fresh_certificates_can_be_issued_below_the_published_ci() {
    let pki = sgp26();
    let anchors = pki.anchors().unwrap();
    let now = at("2030-01-01T00:00:00Z");
    let names = ["smdpp.example".parse().unwrap(), "127.0.0.1".parse().unwrap()];
    let validity = Validity { from: at("2028-01-01T00:00:00Z"), to: at("2031-01-01T00:00:00Z") };
    let tls = pki.issue_dp_tls(&names, validity).unwrap();
    let checked = check_server(&anchors, &tls.certificate, &[], Role::DpTls, now).unwrap();
    assert_eq!(checked.oid.to_string(), "2.999.10");
    assert_eq!(checked.certificate.server_names(), names);
    let operator = pki.operator("An Operator").unwrap();
    check_server(&anchors, &operator.certificate, &[], Role::OperatorTls, now).unwrap();
    for curve in CURVES {
        let eid = numbered_eid("89049032", 4711).unwrap();
        let held = pki.euicc(curve, eid).unwrap();
        assert_eq!(check_euicc(&anchors, &held.euicc.certificate, &held.eum, now).unwrap().eid, eid);
    }
}

#[test]
#[cfg_attr(not(has_sgp26), ignore = "needs the SGP.26 test certificates (../shared/data/sgp26)")]
fn broken_certificates_can_be_issued_below_the_published_ci() {
    let pki = sgp26();
    let anchors = pki.anchors().unwrap();
    for curve in CURVES {
        let held = pki.euicc(curve, pki.eids(curve)[0]).unwrap();
        let broken = pki.issue_with(crate::Defect::NotACa, Role::Eum, curve).unwrap();
        let eum = Certificate::from_der(broken.der).unwrap();
        let checked = check_euicc(&anchors, &held.euicc.certificate, &eum, at(WITHIN));
        assert_eq!(checked.err(), Some(ChainError::Eum(Flaw::NotACa)));
    }
}
