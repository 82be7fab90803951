//! Tests for SGP.02: card certificates, TLS identities, and keys of a card.

use crypto::Curve;
use rsp::sgp02::certificate::Day;

use super::{at, now, pki};
use crate::m2m::{CardCertificateError, CardDefect, Owner, check_ecasd, check_server_certificate};
use crate::{
    Certificate, ChainError, Defect, Flaw, Pki, PkiError, PkiOptions, Role, ServerName, Validity,
    check_server, numbered_eid,
};

fn first_eid() -> rsp::ids::Eid {
    PkiOptions::default().eids[0]
}

fn names(name: &str) -> Vec<ServerName> {
    vec![name.parse().unwrap(), "127.0.0.1".parse().unwrap()]
}

fn eums(pki: &crate::Pki) -> Vec<Certificate> {
    pki.curves().into_iter().map(|curve| pki.eum(curve).unwrap().clone()).collect()
}

#[test]
fn every_server_has_certificates_for_cards_and_for_tls() {
    let pki = pki();
    let anchors = pki.anchors().unwrap();
    let mut seen = Vec::new();
    for (owner, name) in [(Owner::SmSr, "one"), (Owner::SmSr, "two"), (Owner::SmDp, "one")] {
        let server = pki.m2m_server(owner, name, &names("sr.example")).unwrap();
        let card =
            check_server_certificate(&anchors, server.card.certificate.octets(), owner, now()).unwrap();
        assert_eq!((card.owner, &card.oid), (owner, &server.oid));
        assert_eq!(card.public_key, server.card.key.public_key());
        let tls = check_server(&anchors, &server.tls.certificate, &[], Role::SmSrTls, now()).unwrap();
        assert_eq!(tls.oid, server.oid);
        assert_eq!(tls.certificate.server_names(), names("sr.example"));
        // The same PKI gives the same credentials again, and each party has its own.
        let again = super::pki().m2m_server(owner, name, &names("sr.example")).unwrap();
        assert_eq!(again.card.certificate, server.card.certificate);
        assert_eq!(again.tls.certificate, server.tls.certificate);
        seen.push((server.oid, server.card.key.to_bytes().expose().to_vec()));
        seen.push((again.oid, again.tls.key.to_bytes().expose().to_vec()));
    }
    let mut keys: Vec<_> = seen.iter().map(|(_, key)| key.clone()).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 6);
    assert!(matches!(pki.m2m_server(Owner::SmSr, "one", &[]), Err(PkiError::NoServerName)));
}

#[test]
fn operators_and_the_eum_have_tls_credentials() {
    let pki = pki();
    let anchors = pki.anchors().unwrap();
    let operator = pki.m2m_operator("Landfall Test Operator", &names("mno.example")).unwrap();
    let checked = check_server(&anchors, &operator.certificate, &[], Role::SmSrTls, now()).unwrap();
    let es2plus = pki.operator("Landfall Test Operator").unwrap();
    assert_eq!(&checked.oid, &es2plus.certificate.registered_ids()[0]);
    let eum = pki.m2m_eum(&names("eum.example")).unwrap();
    let checked = check_server(&anchors, &eum.certificate, &[], Role::SmSrTls, now()).unwrap();
    assert_eq!(checked.oid.to_string(), "2.999.5");
    assert_ne!(operator.key.to_bytes().expose(), eum.key.to_bytes().expose());
}

#[test]
fn the_certificate_of_an_ecasd_is_bound_to_its_card_and_manufacturer() {
    let pki = pki();
    let anchors = pki.anchors().unwrap();
    let eid = first_eid();
    let held = pki.ecasd(eid).unwrap();
    let octets = held.certificate.octets();
    let checked = check_ecasd(&anchors, octets, eid, &eums(&pki), now()).unwrap();
    assert_eq!((checked.eid, &checked.public_key), (eid, &held.key.public_key()));
    assert_eq!(&checked.eum, pki.eum(Curve::P256).unwrap());

    let other = PkiOptions::default().eids[1];
    let refused = check_ecasd(&anchors, octets, other, &eums(&pki), now());
    assert_eq!(refused, Err(CardCertificateError::OtherCard(other)));
    assert_eq!(check_ecasd(&anchors, octets, eid, &[], now()), Err(CardCertificateError::NoEum));
    let wrong_eum = [pki.eum(Curve::BrainpoolP256r1).unwrap().clone()];
    assert!(matches!(
        check_ecasd(&anchors, octets, eid, &wrong_eum, now()),
        Err(CardCertificateError::BadSignature(_))
    ));
    let strangers = crate::Pki::from_seed(b"other", &PkiOptions::default()).unwrap();
    assert!(matches!(
        check_ecasd(&strangers.anchors().unwrap(), octets, eid, &eums(&pki), now()),
        Err(CardCertificateError::Eum(_))
    ));
    // The EUM does not issue for cards of other manufacturers.
    let foreign = numbered_eid("89044045", 1).unwrap();
    assert!(matches!(pki.ecasd(foreign), Err(PkiError::EidOutsideRange { .. })));
}

/// The position of a certificate that was renewed with the same key is irrelevant.
#[test]
fn one_valid_certificate_of_a_manufacturer_is_sufficient() {
    let pki = pki();
    let anchors = pki.anchors().unwrap();
    let eid = first_eid();
    let held = pki.ecasd(eid).unwrap();
    let good = pki.eum(Curve::P256).unwrap().clone();
    let old = super::read(pki.issue_with(Defect::Expired, Role::Eum, Curve::P256).unwrap().der);
    assert_eq!(old.public_key(), good.public_key());
    let check = |eums: &[Certificate]| {
        check_ecasd(&anchors, held.certificate.octets(), eid, eums, now()).map(|ecasd| ecasd.eum.clone())
    };
    assert_eq!(check(&[old.clone(), good.clone()]), Ok(good.clone()));
    assert_eq!(check(&[good.clone(), old.clone()]), Ok(good));
    assert!(matches!(check(&[old]), Err(CardCertificateError::Eum(_))));
}

#[test]
fn a_server_below_an_expired_ci_is_refused() {
    let validity = Validity { from: at("2020-01-01T00:00:00Z"), to: at("2025-01-01T00:00:00Z") };
    let options = PkiOptions { validity, ..PkiOptions::default() };
    // This is the same CI, because its key is derived from the same seed.
    let expired = Pki::from_seed(b"certs tests", &options).unwrap();
    let server = pki().m2m_card_credential(Owner::SmDp, "one").unwrap();
    let check = |pki: &Pki| {
        let anchors = pki.anchors().unwrap();
        check_server_certificate(&anchors, server.certificate.octets(), Owner::SmDp, now()).map(|_| ())
    };
    assert_eq!(check(&pki()), Ok(()));
    let expected = CardCertificateError::Ci(ChainError::Ci(Flaw::Expired(validity.to)));
    assert_eq!(check(&expired), Err(expected));
}

// req: SGP.02-2.3.2.2-Signature
#[test]
fn each_card_certificate_defect_is_refused_for_the_expected_reason() {
    let pki = pki();
    let anchors = pki.anchors().unwrap();
    let eid = first_eid();
    for defect in CardDefect::ALL {
        for owner in [Owner::SmDp, Owner::SmSr] {
            let (octets, key) = pki.m2m_card_credential_with(defect, owner, "one").unwrap();
            let good = pki.m2m_card_credential(owner, "one").unwrap();
            assert_eq!(key.to_bytes().expose(), good.key.to_bytes().expose());
            let error = check_server_certificate(&anchors, &octets, owner, now()).unwrap_err();
            let expected = match defect {
                CardDefect::Expired => matches!(error, CardCertificateError::Expired(_)),
                CardDefect::NotYetValid => matches!(error, CardCertificateError::NotYetValid(_)),
                CardDefect::WrongOwner => {
                    matches!(error, CardCertificateError::WrongOwner { found: Some(_), .. })
                }
                CardDefect::ForgedSignature
                | CardDefect::Stranger
                | CardDefect::Tampered
                | CardDefect::ShortSignature => matches!(error, CardCertificateError::BadSignature(_)),
                CardDefect::NotAPoint => error == CardCertificateError::NotAPoint,
                CardDefect::UnknownCurve => error == CardCertificateError::UnknownCurve(0x7F),
                CardDefect::Truncated => matches!(error, CardCertificateError::Malformed(_)),
            };
            assert!(expected, "{defect:?} of an {owner}: {error}");
        }
        let (octets, _) = pki.ecasd_with(defect, eid).unwrap();
        assert!(check_ecasd(&anchors, &octets, eid, &eums(&pki), now()).is_err(), "{defect:?} of an ECASD");
    }
}

// req: SGP.02-2.3.2.2-Owner
#[test]
fn certificates_of_ecasds_and_servers_are_not_interchangeable() {
    let pki = pki();
    let anchors = pki.anchors().unwrap();
    let ecasd = pki.ecasd(first_eid()).unwrap();
    assert_eq!(
        check_server_certificate(&anchors, ecasd.certificate.octets(), Owner::SmDp, now()),
        Err(CardCertificateError::WrongOwner { expected: Owner::SmDp, found: None })
    );
    let server = pki.m2m_card_credential(Owner::SmDp, "one").unwrap();
    let refused = check_ecasd(&anchors, server.certificate.octets(), first_eid(), &eums(&pki), now());
    assert_eq!(refused, Err(CardCertificateError::OtherCard(first_eid())));
}

// req: SGP.02-2.3.2.2-Validity
#[test]
fn the_validity_period_includes_the_first_and_the_last_day() {
    let pki = pki();
    let anchors = pki.anchors().unwrap();
    let server = pki.m2m_card_credential(Owner::SmSr, "one").unwrap();
    let octets = server.certificate.octets();
    let check = |time| check_server_certificate(&anchors, octets, Owner::SmSr, at(time)).map(|_| ());
    assert_eq!(check("2020-01-01T00:00:00Z"), Ok(()));
    assert_eq!(check("2049-12-31T23:59:59Z"), Ok(()));
    let first = Day::of(at("2020-01-01T00:00:00Z")).unwrap();
    assert_eq!(check("2019-12-31T23:59:59Z"), Err(CardCertificateError::NotYetValid(first)));
    let last = Day::of(at("2049-12-31T00:00:00Z")).unwrap();
    assert_eq!(check("2050-01-01T00:00:00Z"), Err(CardCertificateError::Expired(last)));
}

#[test]
fn every_card_has_keys_of_its_own() {
    let pki = pki();
    let [one, other] = [0, 1].map(|at| pki.isd_r_keys(PkiOptions::default().eids[at]).unwrap());
    let octets = |keys: &crate::m2m::IsdRKeys| {
        [&keys.kic, &keys.kid, &keys.dek, &keys.psk, &keys.psk_dek].map(|key| *key.expose())
    };
    let mut all = [octets(&one), octets(&other)].concat();
    assert_eq!(octets(&super::pki().isd_r_keys(first_eid()).unwrap()), octets(&one));
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 10);
    assert!(!format!("{one:?}").contains(&hex::encode(one.kic.expose())));
}

/// The folder with additional files for third-party programs can still be read, and the PKI is
/// unchanged.
#[test]
fn additional_files_for_third_party_programs_do_not_change_the_pki() {
    let pki = pki();
    let mut files = pki.files();
    let server = pki.m2m_server(Owner::SmSr, "another one", &names("sr.example")).unwrap();
    files.extend(server.files(Owner::SmSr, "another one"));
    files.extend(pki.ecasd(first_eid()).unwrap().ecasd_files(first_eid()));
    let paths: Vec<String> = files.iter().map(|(path, _)| path.clone()).collect();
    assert!(paths.contains(&"M2M/SM_SR_another_one/CERT_CARD_ECDSA_NIST.7f21".to_owned()), "{paths:?}");
    assert!(paths.contains(&format!("M2M/ECASD/SK_{}_ECDSA_NIST.pem", first_eid())), "{paths:?}");
    let read = |path: &str| files.iter().find(|(each, _)| each == path).map(|(_, octets)| octets.clone());
    let again = crate::Pki::from_files(&paths, read).unwrap();
    assert_eq!(again.sm_sr().unwrap().certificate, pki.sm_sr().unwrap().certificate);
    let same = again.m2m_server(Owner::SmSr, "another one", &names("sr.example")).unwrap();
    assert_eq!(same.card.certificate, server.card.certificate);
    assert!(again.has_key(&server.tls.certificate));
}
