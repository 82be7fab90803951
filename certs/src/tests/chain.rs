//! Chain checks of SGP.22 section 4.5.2.2: valid chains, and every defect.

use crypto::Curve;
use rsp::der::{Tag, tlv_bytes};

use super::{CURVES, at, now, pki, read};
use crate::issue::{self, Extension, Particulars, Plan, Signer};
use crate::{
    Certificate, CertificateError, ChainError, Credential, Defect, Flaw, Pki, PkiOptions, Role, TrustAnchors,
    Validity, Verified, check_euicc, check_server, numbered_eid, same_operator,
};

const SERVERS: [Role; 7] =
    [Role::DpAuth, Role::DpPb, Role::DpTls, Role::DsAuth, Role::DsTls, Role::OperatorTls, Role::SmSrTls];

fn first_eid() -> rsp::ids::Eid {
    PkiOptions::default().eids[0]
}

/// Returns the first credential of this role.
fn credential_of(pki: &Pki, role: Role, curve: Curve) -> Credential {
    match role {
        Role::DpAuth => pki.dp(curve).unwrap().auth,
        Role::DpPb => pki.dp(curve).unwrap().pb,
        Role::DpTls => pki.dp(curve).unwrap().tls,
        Role::DsAuth => pki.ds(curve).unwrap().auth,
        Role::DsTls => pki.ds(curve).unwrap().tls,
        Role::OperatorTls => pki.operator("Landfall Test Operator").unwrap(),
        Role::SmSrTls => pki.sm_sr().unwrap(),
        Role::Euicc => pki.euicc(curve, first_eid()).unwrap().euicc,
        Role::Ci | Role::Eum => panic!("not a leaf"),
    }
}

#[test]
fn every_chain_of_a_seeded_pki_is_valid_on_both_curves() {
    let pki = pki();
    let anchors = pki.anchors().unwrap();
    for curve in CURVES {
        let ci_key_id = pki.ci(curve).unwrap().subject_key_id().unwrap();
        for role in [Role::DpAuth, Role::DpPb, Role::DsAuth] {
            let checked =
                check_server(&anchors, &credential_of(&pki, role, curve).certificate, &[], role, now())
                    .unwrap();
            assert_eq!((checked.role, &checked.ci_key_id), (role, ci_key_id));
        }
        let held = pki.euicc(curve, first_eid()).unwrap();
        let checked = check_euicc(&anchors, &held.euicc.certificate, &held.eum, now()).unwrap();
        assert_eq!(checked.eid, first_eid());
        assert_eq!(checked.public_key, held.euicc.key.public_key());
        assert_eq!(&checked.ci_key_id, ci_key_id);
    }
    for role in SERVERS {
        check_server(&anchors, &credential_of(&pki, role, Curve::P256).certificate, &[], role, now())
            .unwrap();
    }
}

// req: SGP.22-4.5.2-Validity
#[test]
fn the_validity_period_includes_both_ends() {
    let pki = pki();
    let anchors = pki.anchors().unwrap();
    let leaf = credential_of(&pki, Role::DpAuth, Curve::P256).certificate;
    let check = |when| check_server(&anchors, &leaf, &[], Role::DpAuth, at(when)).map(drop);
    assert_eq!(check("2020-01-01T00:00:00Z"), Ok(()));
    assert_eq!(check("2049-12-31T23:59:59Z"), Ok(()));
    let from = leaf.validity().from;
    assert_eq!(check("2019-12-31T23:59:59.999Z"), Err(ChainError::Ci(Flaw::NotYetValid(from))));
    assert_eq!(check("2050-01-01T00:00:00Z"), Err(ChainError::Ci(Flaw::Expired(leaf.validity().to))));
}

// req: SGP.22-4.5.2-Role
#[test]
fn no_certificate_is_accepted_for_another_role() {
    let pki = pki();
    let anchors = pki.anchors().unwrap();
    let leaves = SERVERS.iter().copied().chain([Role::Euicc]);
    for role in leaves {
        let leaf = credential_of(&pki, role, Curve::P256).certificate;
        let eum = pki.eum(Curve::P256).unwrap().clone();
        // Operators have no registered role, so every TLS client certificate without an RSP role is
        // accepted for them.
        let passes_too = |other| (role, other) == (Role::SmSrTls, Role::OperatorTls);
        for other in Role::ALL.into_iter().filter(|other| *other != role && !passes_too(*other)) {
            let checked = check_server(&anchors, &leaf, std::slice::from_ref(&eum), other, now());
            assert!(
                matches!(checked, Err(ChainError::Server(..))),
                "{role} was accepted for {other}: {checked:?}"
            );
        }
    }
    for role in Role::ALL {
        for ca in [pki.ci(Curve::P256).unwrap(), pki.eum(Curve::P256).unwrap()] {
            assert!(check_server(&anchors, ca, &[], role, now()).is_err(), "a CA was accepted for {role}");
        }
    }
}

/// Returns the result that is expected for a defect in a leaf (or in an EUM's certificate).
fn expected(defect: Defect, role: Role) -> Expected {
    let flaw = match defect {
        Defect::Expired => Flaw::Expired(at("2001-12-31T23:59:59Z")),
        Defect::NotYetValid => Flaw::NotYetValid(at("9999-01-01T00:00:00Z")),
        Defect::WrongRole | Defect::NoRole => return Expected::WrongRole,
        Defect::StrangerCi | Defect::NoAuthorityKeyId if role == Role::Euicc => Flaw::KeyIdentifier,
        Defect::StrangerCi | Defect::NoAuthorityKeyId => return Expected::UnknownCi,
        Defect::ForgedSignature | Defect::Tampered => Flaw::BadSignature,
        Defect::WrongKeyUsage | Defect::NoKeyUsage => Flaw::KeyUsage,
        Defect::NotACa => Flaw::NotACa,
        Defect::OtherOid => return Expected::Accepted,
        Defect::NoOid => Flaw::NoRegisteredId,
        Defect::EidOutsideRange => Flaw::EidOutsideRange(numbered_eid("89033023", 1).unwrap()),
        Defect::OtherOrganisation => Flaw::OrganisationMismatch,
        Defect::NoEidRange => Flaw::NoEidRange,
        Defect::UnknownCriticalExtension => return Expected::Unreadable,
        Defect::OtherCurve => Flaw::CurveMismatch,
        Defect::ClientOnly => Flaw::ExtendedKeyUsage,
    };
    Expected::Flaw(flaw)
}

#[derive(Debug, PartialEq)]
enum Expected {
    Flaw(Flaw),
    WrongRole,
    UnknownCi,
    /// The certificate cannot be parsed.
    Unreadable,
    /// The certificate is valid by itself. The defect shows only in comparison with the operator's
    /// other certificate.
    Accepted,
}

fn classify(outcome: Result<(), ChainError>) -> Expected {
    match outcome {
        Ok(()) => Expected::Accepted,
        Err(ChainError::UnknownCi { .. }) => Expected::UnknownCi,
        Err(
            ChainError::Server(_, Flaw::WrongRole { .. })
            | ChainError::Eum(Flaw::WrongRole { .. })
            | ChainError::Euicc(Flaw::WrongRole { .. }),
        ) => Expected::WrongRole,
        Err(ChainError::Server(_, flaw) | ChainError::Eum(flaw) | ChainError::Euicc(flaw)) => {
            Expected::Flaw(flaw)
        }
        Err(other) => panic!("error in another certificate: {other:?}"),
    }
}

#[test]
fn each_defect_is_refused_for_the_expected_reason() {
    let pki = pki();
    let anchors = pki.anchors().unwrap();
    let mut tried = 0;
    for curve in CURVES {
        let held = pki.euicc(curve, first_eid()).unwrap();
        let roles = Role::ALL.into_iter().filter(|role| !(role.is_tls_client() && curve != Curve::P256));
        for role in roles.filter(|role| *role != Role::Ci) {
            for defect in Defect::ALL.into_iter().filter(|defect| defect.applies_to(role)) {
                let broken = pki.issue_with(defect, role, curve).unwrap();
                let outcome = match Certificate::from_der(broken.der) {
                    Err(CertificateError::UnknownCriticalExtension(_)) => Expected::Unreadable,
                    Err(e) => panic!("{defect:?} in {role}: {e}"),
                    Ok(broken) if role == Role::Eum => {
                        let outcome = check_euicc(&anchors, &held.euicc.certificate, &broken, now());
                        assert!(
                            !matches!(outcome, Err(ChainError::Euicc(_))),
                            "{defect:?}: the error is attributed to the eUICC"
                        );
                        classify(outcome.map(drop))
                    }
                    Ok(broken) if role == Role::Euicc => {
                        let outcome = check_euicc(&anchors, &broken, &held.eum, now());
                        assert!(
                            !matches!(outcome, Err(ChainError::Eum(_))),
                            "{defect:?}: the error is attributed to the EUM"
                        );
                        classify(outcome.map(drop))
                    }
                    Ok(broken) => classify(check_server(&anchors, &broken, &[], role, now()).map(drop)),
                };
                assert_eq!(outcome, expected(defect, role), "{defect:?} in {role} on {curve}");
                tried += 1;
            }
        }
    }
    assert!(tried > 120, "only {tried} broken certificates were tried");
}

#[test]
fn a_defect_that_does_not_apply_is_not_issued() {
    let pki = pki();
    assert!(pki.issue_with(Defect::EidOutsideRange, Role::DpAuth, Curve::P256).is_err());
    assert!(pki.issue_with(Defect::Expired, Role::Ci, Curve::P256).is_err());
}

// req: SGP.22-4.5.2-SameOperator
#[test]
fn dpauth_and_dppb_must_belong_to_the_same_sm_dp_plus_below_the_same_ci() {
    let pki = pki();
    let anchors = pki.anchors().unwrap();
    let check =
        |certificate: &Certificate, role| check_server(&anchors, certificate, &[], role, now()).unwrap();
    let verified = |role, curve| check(&credential_of(&pki, role, curve).certificate, role);
    let auth: Verified<_> = verified(Role::DpAuth, Curve::P256);
    assert_eq!(same_operator(&auth, &verified(Role::DpPb, Curve::P256)), Ok(()));
    let other = read(pki.issue_with(Defect::OtherOid, Role::DpPb, Curve::P256).unwrap().der);
    assert!(matches!(same_operator(&auth, &check(&other, Role::DpPb)), Err(ChainError::OtherOperator(..))));
    let brainpool = verified(Role::DpPb, Curve::BrainpoolP256r1);
    assert!(matches!(same_operator(&auth, &brainpool), Err(ChainError::UnknownCi { .. })));
}

// req: SGP.22-4.5.2-UnknownCi
#[test]
fn certificates_of_another_pki_are_refused() {
    let stranger = Pki::from_seed(b"another seed", &PkiOptions::default()).unwrap();
    let anchors = stranger.anchors().unwrap();
    let pki = pki();
    for role in SERVERS {
        let leaf = credential_of(&pki, role, Curve::P256).certificate;
        let checked = check_server(&anchors, &leaf, &[], role, now());
        assert!(matches!(checked, Err(ChainError::UnknownCi { key_id: Some(_) })), "{checked:?}");
    }
}

#[test]
fn only_a_ci_can_be_trusted() {
    let pki = pki();
    let eum = pki.eum(Curve::P256).unwrap().clone();
    assert!(matches!(TrustAnchors::new([eum]), Err(ChainError::Ci(Flaw::WrongRole { .. }))));
    let mut der = pki.ci(Curve::P256).unwrap().der().to_vec();
    *der.last_mut().unwrap() ^= 1;
    assert_eq!(TrustAnchors::new([read(der)]).err(), Some(ChainError::Ci(Flaw::BadSignature)));
}

/// Issues a certificate below `issuer` with the extensions of the role, modified by `change`.
fn issued_below(
    issuer: &Credential,
    role: Role,
    subject: Vec<u8>,
    validity: Validity,
    change: impl FnOnce(&mut Vec<Extension>),
) -> Credential {
    issued_below_with_key(0x42, issuer, role, subject, validity, change)
}

/// Like [`issued_below`], with a specific key, for chains in which every certificate needs a key of its
/// own.
fn issued_below_with_key(
    key: u8,
    issuer: &Credential,
    role: Role,
    subject: Vec<u8>,
    validity: Validity,
    change: impl FnOnce(&mut Vec<Extension>),
) -> Credential {
    let key = crypto::SecretKey::from_bytes(issuer.key.curve(), &[key; 32]).unwrap();
    let public_key = key.public_key();
    let oid = "2.999.10".parse().unwrap();
    let particulars = Particulars { oid: Some(&oid), ..Particulars::default() };
    let issuer_id = issuer.certificate.subject_key_id().unwrap();
    let mut extensions = issue::extensions(role, &public_key, issuer_id, &particulars);
    change(&mut extensions);
    let plan = Plan { subject, validity, public_key, extensions };
    let signer = Signer { name: issuer.certificate.subject().der(), key: &issuer.key };
    Credential { certificate: read(plan.sign(&signer)), key }
}

/// SGP.26 variant C: CI, CI sub-CA (policy 0.0), SM-DP+ sub-CA (0.0.1), SM-DP+.
#[test]
fn a_server_can_be_below_sub_cas_of_its_kind() {
    let pki = pki();
    let anchors = pki.anchors().unwrap();
    let ci = pki.credential(Role::Ci, Curve::P256).unwrap();
    let validity = ci.certificate.validity();
    let name = |text| issue::organisation_name("Test", text);
    let sub_ca = |issuer: &Credential, who, policy: &str, length| {
        issued_below(issuer, Role::Eum, name(who), validity, |extensions| {
            for extension in extensions.iter_mut() {
                match extension.oid {
                    issue::CERTIFICATE_POLICIES => extension.value = issue::certificate_policies(policy),
                    issue::BASIC_CONSTRAINTS => extension.value = issue::basic_constraints(length),
                    _ => {}
                }
            }
        })
    };
    // `issued_below` gives every certificate the same key, so the two sub-CAs must not be in the same
    // chain.
    let outer = sub_ca(&ci, "CI sub-CA", "2.23.146.1.2.1.0.0", Some(0));
    let dp = sub_ca(&ci, "SM-DP+ sub-CA", "2.23.146.1.2.1.0.0.1", Some(0));
    let ds = sub_ca(&ci, "SM-DS sub-CA", "2.23.146.1.2.1.0.0.2", Some(0));
    let below = |issuer: &Credential, role| {
        let leaf = issued_below(issuer, role, name("leaf"), validity, |_| {});
        let sub_cas = std::slice::from_ref(&issuer.certificate);
        check_server(&anchors, &leaf.certificate, sub_cas, role, now()).map(drop)
    };
    assert_eq!(below(&outer, Role::DpAuth), Ok(()));
    assert_eq!(below(&outer, Role::DsAuth), Ok(()));
    assert_eq!(below(&dp, Role::DpPb), Ok(()));
    assert_eq!(below(&ds, Role::DsAuth), Ok(()));
    assert!(matches!(below(&ds, Role::DpPb), Err(ChainError::SubCa(Flaw::WrongRole { .. }))));
    assert!(matches!(below(&dp, Role::DsAuth), Err(ChainError::SubCa(Flaw::WrongRole { .. }))));
    let eum = pki.credential(Role::Eum, Curve::P256).unwrap();
    assert!(matches!(below(&eum, Role::DpAuth), Err(ChainError::SubCa(Flaw::WrongRole { .. }))));
}

// req: SGP.22-4.5.2-PathLength
#[test]
fn a_path_length_of_zero_permits_no_further_ca() {
    let pki = pki();
    let anchors = pki.anchors().unwrap();
    let ci = pki.credential(Role::Ci, Curve::P256).unwrap();
    let validity = ci.certificate.validity();
    let policy = |extensions: &mut Vec<Extension>| {
        for extension in extensions.iter_mut().filter(|e| e.oid == issue::CERTIFICATE_POLICIES) {
            extension.value = issue::certificate_policies("2.23.146.1.2.1.0.0");
        }
    };
    let name = |text| issue::organisation_name("T", text);
    let upper = issued_below(&ci, Role::Eum, name("upper"), validity, policy);
    let lower = issued_below_with_key(0x43, &upper, Role::Eum, name("lower"), validity, policy);
    let leaf = issued_below_with_key(0x44, &lower, Role::DpAuth, name("leaf"), validity, |_| {});
    let sub_cas = [upper.certificate, lower.certificate];
    let checked = check_server(&anchors, &leaf.certificate, &sub_cas, Role::DpAuth, now());
    assert_eq!(checked.err(), Some(ChainError::SubCa(Flaw::PathLength)));
}

/// SGP.26 variant C has two sub-CAs. Three are refused, regardless of the path lengths.
#[test]
fn a_chain_has_at_most_two_sub_cas() {
    let pki = pki();
    let anchors = pki.anchors().unwrap();
    let ci = pki.credential(Role::Ci, Curve::P256).unwrap();
    let validity = ci.certificate.validity();
    let name = |text| issue::organisation_name("T", text);
    let mut issuer = ci;
    let mut sub_cas = Vec::new();
    for number in 1..=3u8 {
        let policy = if number == 1 { "2.23.146.1.2.1.0.0" } else { "2.23.146.1.2.1.0.0.1" };
        issuer = issued_below_with_key(number, &issuer, Role::Eum, name("sub-CA"), validity, |extensions| {
            for extension in extensions {
                match extension.oid {
                    issue::CERTIFICATE_POLICIES => extension.value = issue::certificate_policies(policy),
                    issue::BASIC_CONSTRAINTS => extension.value = issue::basic_constraints(None),
                    _ => {}
                }
            }
        });
        sub_cas.insert(0, issuer.certificate.clone());
        let leaf =
            issued_below_with_key(0x42, &issuer, Role::DpAuth, name("leaf"), validity, |_| {}).certificate;
        let checked = check_server(&anchors, &leaf, &sub_cas, Role::DpAuth, now()).map(drop);
        if number <= 2 {
            assert_eq!(checked, Ok(()), "{number}");
        } else {
            assert!(matches!(checked, Err(ChainError::UnknownCi { .. })), "{checked:?}");
        }
    }
}

#[test]
fn permitted_eins_of_v3_restrict_the_eids() {
    let pki = pki();
    let anchors = pki.anchors().unwrap();
    let ci = pki.credential(Role::Ci, Curve::P256).unwrap();
    let validity = ci.certificate.validity();
    let checked = |eins: &[&str], eid: rsp::ids::Eid| {
        let eins: Vec<_> = eins.iter().map(|ein| tlv_bytes(Tag(0x13), ein.as_bytes())).collect();
        let permitted = issue::extension("2.23.146.1.2.2.0", false, issue::sequence(&eins));
        let subject = issue::organisation_name("An EUM", "EUM");
        let eum = issued_below(&ci, Role::Eum, subject, validity, |extensions| extensions.push(permitted));
        let subject = issue::euicc_name("An EUM", &eid.to_string(), "eUICC");
        let euicc = issued_below(&eum, Role::Euicc, subject, validity, |_| {});
        check_euicc(&anchors, &euicc.certificate, &eum.certificate, now()).map(drop)
    };
    let eid = numbered_eid("89044045", 5).unwrap();
    assert_eq!(checked(&["89033023", "89044045"], eid), Ok(()));
    assert_eq!(checked(&["89033023"], eid), Err(ChainError::Euicc(Flaw::EidOutsideRange(eid))));
    assert_eq!(checked(&[], eid), Err(ChainError::Euicc(Flaw::EidOutsideRange(eid))));
    assert_eq!(checked(&[""], eid), Err(ChainError::Euicc(Flaw::EidOutsideRange(eid))), "an empty prefix");
}

// req: SGP.22-4.5.2-Eid
#[test]
fn a_subject_without_a_valid_eid_is_refused() {
    let pki = pki();
    let anchors = pki.anchors().unwrap();
    let eum = pki.credential(Role::Eum, Curve::P256).unwrap();
    let validity = eum.certificate.validity();
    let organisation = eum.certificate.subject().organisation().unwrap();
    for subject in [
        issue::organisation_name(organisation, "no serial number"),
        issue::euicc_name(organisation, "8904903212345", "too short"),
        issue::euicc_name(organisation, "8904903200000000000000000000000X", "not digits"),
    ] {
        let euicc = issued_below(&eum, Role::Euicc, subject, validity, |_| {});
        let checked = check_euicc(&anchors, &euicc.certificate, &eum.certificate, now());
        assert_eq!(checked.err(), Some(ChainError::Euicc(Flaw::NoEid)));
    }
}

/// Flips every bit of several certificates: parsing never panics, and no changed certificate is
/// accepted.
// req: SGP.22-4.5.2-Signature
#[test]
fn every_flipped_bit_is_detected() {
    let pki = pki();
    let anchors = pki.anchors().unwrap();
    for curve in CURVES {
        let held = pki.euicc(curve, first_eid()).unwrap();
        let (euicc, eum) = (held.euicc.certificate, held.eum);
        for (at, bit) in bits(euicc.der().len(), curve) {
            if let Some(changed) = flipped(euicc.der(), at, bit) {
                assert!(check_euicc(&anchors, &changed, &eum, now()).is_err(), "eUICC, octet {at} bit {bit}");
            }
        }
        for (at, bit) in bits(eum.der().len(), curve) {
            if let Some(changed) = flipped(eum.der(), at, bit) {
                assert!(check_euicc(&anchors, &euicc, &changed, now()).is_err(), "EUM, octet {at} bit {bit}");
            }
        }
    }
    let tls = pki.dp(Curve::P256).unwrap().tls.certificate;
    for (at, bit) in bits(tls.der().len(), Curve::P256) {
        if let Some(changed) = flipped(tls.der(), at, bit) {
            let checked = check_server(&anchors, &changed, &[], Role::DpTls, now());
            assert!(checked.is_err(), "TLS, octet {at} bit {bit}");
        }
    }
}

/// Yields every bit if verification is fast, otherwise one bit of each octet.
fn bits(length: usize, curve: Curve) -> impl Iterator<Item = (usize, usize)> {
    (0..length).flat_map(move |at| {
        let all = curve == Curve::P256;
        (0..8).filter(move |bit| all || *bit == at % 8).map(move |bit| (at, bit))
    })
}

fn flipped(der: &[u8], at: usize, bit: usize) -> Option<Certificate> {
    let mut der = der.to_vec();
    der[at] ^= 1 << bit;
    Certificate::from_der(der).ok()
}

#[test]
fn truncated_certificates_and_trailing_octets_are_refused() {
    let der = pki().ci(Curve::P256).unwrap().der().to_vec();
    for length in 0..der.len() {
        assert!(Certificate::from_der(der[..length].to_vec()).is_err());
    }
    assert!(Certificate::from_der([der, vec![0]].concat()).is_err());
}
