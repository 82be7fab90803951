//! Tests of a PKI made from a seed, written to a folder and read back.

use std::collections::BTreeMap;

use crypto::Curve;

use super::{CURVES, at, now, pki};
use crate::{Pki, PkiError, PkiOptions, Role, Validity, check_euicc, check_server, numbered_eid};

fn reload(files: Vec<(String, Vec<u8>)>) -> Pki {
    let files: BTreeMap<_, _> = files.into_iter().collect();
    let listing: Vec<_> = files.keys().cloned().collect();
    Pki::from_files(&listing, |path| files.get(path).cloned()).unwrap()
}

#[test]
fn the_files_depend_on_the_seed_only() {
    let options = PkiOptions::default();
    let files = |seed: &[u8]| Pki::from_seed(seed, &options).unwrap().files();
    assert_eq!(files(b"one"), files(b"one"));
    let (one, two) = (files(b"one"), files(b"two"));
    assert_eq!(one.len(), two.len());
    for ((path, one), (same_path, two)) in one.iter().zip(&two) {
        assert_eq!(path, same_path);
        assert_ne!(one, two, "{path}");
    }
}

/// The octets are guaranteed: a seed always gives the same PKI.
#[test]
fn the_files_of_a_seed_never_change() {
    use sha2::{Digest, Sha256};
    let all: Vec<u8> =
        pki().files().into_iter().flat_map(|(path, bytes)| [path.into_bytes(), bytes].concat()).collect();
    assert_eq!(
        hex::encode(Sha256::digest(all)),
        "d12e286b9ae9624596630bbe0185a9dec3d6228f7c7efdaa4a4f886eccfe0882"
    );
}

#[test]
fn a_pki_read_back_from_its_files_issues_the_same_certificates() {
    let pki = pki();
    let again = reload(pki.files());
    assert_eq!(again.files().len(), pki.files().len());
    assert_eq!(
        again.files().into_iter().collect::<BTreeMap<_, _>>(),
        pki.files().into_iter().collect::<BTreeMap<_, _>>()
    );
    assert_eq!(again.describe(), pki.describe());
    let eid = numbered_eid("89049032", 77).unwrap();
    for curve in CURVES {
        let der = |pki: &Pki| pki.euicc(curve, eid).unwrap().euicc.certificate.der().to_vec();
        assert_eq!(der(&pki), der(&again));
    }
    let der = |pki: &Pki| pki.operator("Somebody").unwrap().certificate.der().to_vec();
    assert_eq!(der(&pki), der(&again));
}

#[test]
fn the_files_have_the_layout_of_sgp26_and_every_certificate_has_its_key() {
    let pki = pki();
    let paths: Vec<_> = pki.files().into_iter().map(|(path, _)| path).collect();
    for path in [
        "CertificateIssuer/CERT_CI_ECDSA_NIST.der",
        "CertificateIssuer/SK_CI_ECDSA_BRP.pem",
        "EUM/CERT_EUM_ECDSA_BRP.der",
        "DPauth/CERT_S_SM_DPauth_ECDSA_NIST.der",
        "DPpb/SK_S_SM_DPpb_ECDSA_BRP.pem",
        "DPtls/CERT_S_SM_DP_TLS_NIST.der",
        "Operator/CERT_OPERATOR_Landfall_Test_Operator_TLS_NIST.der",
    ] {
        assert!(paths.iter().any(|found| found == path), "{path} is not among {paths:#?}");
    }
    assert!(pki.entries().iter().all(|entry| pki.has_key(&entry.certificate)));
    assert_eq!(paths.len(), 2 * pki.entries().len());
}

#[test]
fn eids_are_listed_and_certificates_are_issued_for_permitted_eids_only() {
    let pki = pki();
    assert_eq!(pki.eids(Curve::BrainpoolP256r1), PkiOptions::default().eids);
    let foreign = numbered_eid("89033023", 1).unwrap();
    assert!(matches!(pki.euicc(Curve::P256, foreign), Err(PkiError::EidOutsideRange { .. })));
    let fresh = numbered_eid("89049032", 1_000_000).unwrap();
    let held = pki.euicc(Curve::P256, fresh).unwrap();
    check_euicc(&pki.anchors().unwrap(), &held.euicc.certificate, &held.eum, now()).unwrap();
}

#[test]
fn an_added_certificate_replaces_the_former_one_and_has_two_files() {
    let mut pki = pki();
    let names = ["fresh.example".parse().unwrap()];
    let validity = Validity { from: at("2026-01-01T00:00:00Z"), to: at("2027-01-01T00:00:00Z") };
    let fresh = pki.issue_dp_tls(&names, validity).unwrap();
    let written: Vec<_> = pki.add(fresh.clone()).into_iter().map(|(path, _)| path).collect();
    assert_eq!(written, ["DPtls/CERT_S_SM_DP_TLS_NIST.der", "DPtls/SK_S_SM_DP_TLS_NIST.pem"]);
    let held = pki.dp(Curve::BrainpoolP256r1).unwrap().tls;
    assert_eq!(held.certificate.der(), fresh.certificate.der());
    check_server(&pki.anchors().unwrap(), &held.certificate, &[], Role::DpTls, now()).unwrap();
    let again = reload(pki.files());
    assert_eq!(again.dp(Curve::P256).unwrap().tls.certificate.der(), fresh.certificate.der());
}

#[test]
fn an_error_for_a_missing_object_names_its_file() {
    let files = pki().files();
    let without =
        |part: &str| reload(files.iter().filter(|(path, _)| !path.contains(part)).cloned().collect());
    let text = without("SK_CI").issue_operator("X", PkiOptions::default().validity).unwrap_err().to_string();
    assert!(
        text.contains("private key") && text.contains("CertificateIssuer/SK_CI_ECDSA_NIST.pem"),
        "{text}"
    );
    let text = without("DPpb").dp(Curve::P256).unwrap_err().to_string();
    assert!(text.contains("DPpb/CERT_S_SM_DPpb_ECDSA_NIST.der"), "{text}");
    let text = without("CERT_CI").anchors().unwrap_err().to_string();
    assert!(text.contains("CertificateIssuer/CERT_CI_ECDSA_NIST.der"), "{text}");
    assert!(Pki::default().anchors().is_err());
}

#[test]
fn an_error_for_an_unusable_file_names_the_file_and_the_reason() {
    let load = |path: &str, bytes: &[u8]| {
        Pki::from_files(&[path.to_owned()], |_| Some(bytes.to_vec())).map(drop).unwrap_err().to_string()
    };
    assert!(load("EUM/CERT_EUM.der", b"no certificate").contains("EUM/CERT_EUM.der"));
    assert!(load("EUM/SK_EUM.pem", b"nothing").contains("neither a certificate nor a private key"));
    let unreadable = Pki::from_files(&["a.der".to_owned()], |_| None).map(drop).unwrap_err();
    assert!(unreadable.to_string().contains("cannot be read"));
    assert!(Pki::from_files(&["README.md".to_owned()], |_| None).is_ok(), "other files are ignored");
}

#[test]
fn inconsistent_options_are_refused() {
    let refused = |change: fn(&mut PkiOptions)| {
        let mut options = PkiOptions::default();
        change(&mut options);
        Pki::from_seed(b"x", &options).map(drop).unwrap_err()
    };
    assert_eq!(refused(|o| o.smdp_names.clear()), PkiError::NoServerName);
    assert!(matches!(refused(|o| o.validity.to = at("2019-01-01T00:00:00Z")), PkiError::Validity(_)));
    assert!(matches!(refused(|o| o.validity.from = at("1900-01-01T00:00:00Z")), PkiError::Validity(_)));
    assert!(matches!(refused(|o| o.eid_prefix = "89033023".into()), PkiError::EidOutsideRange { .. }));
}

#[test]
fn a_certificate_is_described_as_text_and_as_json() {
    let pki = pki();
    let eum = pki.eum(Curve::BrainpoolP256r1).unwrap();
    let text = eum.describe();
    for part in ["EUM", "brainpoolP256r1", "2.23.146.1.2.1.2", "89049032...", "path length 0", "keyCertSign"]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_eq!(text.lines().next().unwrap(), eum.to_string());
    let json = serde_json::to_value(pki.entries()).unwrap();
    let tls = json.as_array().unwrap().iter().find(|e| e["certificate"]["role"] == "dp-tls").unwrap();
    assert_eq!(tls["certificate"]["server_names"][1], "localhost");
    assert_eq!(tls["certificate"]["registered_ids"][0], "2.999.10");
}

#[test]
fn an_eim_has_keys_of_its_own_and_a_certificate_for_its_names() {
    let pki = Pki::from_seed(b"eim", &PkiOptions::default()).unwrap();
    let names = ["eim.landfall.example".parse().unwrap()];
    let (one, again) = (pki.eim("eim-1", &names).unwrap(), pki.eim("eim-1", &names).unwrap());
    let other = pki.eim("eim-2", &names).unwrap();
    let key = |eim: &crate::EimCredentials, number: usize| eim.signing[number].public_key().to_sec1();
    assert_eq!(key(&one, 0), key(&again, 0));
    assert_ne!(key(&one, 0), key(&one, 1));
    assert_ne!(key(&one, 0), key(&other, 0));
    assert_eq!(one.tls.certificate.server_names(), names);
    assert_ne!(one.tls.certificate.registered_ids(), other.tls.certificate.registered_ids());
}
