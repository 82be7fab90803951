//! Catalogue of certificates with a defect.

use certs::{Defect, Role};

use super::{AUTHENTICATE, INITIATE, Test, false_statement};
use crate::FalseStatement;
use crate::catalogue::Entry;

const SERVER: Test = Test {
    peer: "eUICC",
    requirement: "Certificate chain, role, dates, key usage and extensions are checked before the server is trusted. CERT.DPpb must belong to the operator of CERT.DPauth.",
    clause: "SGP.22 4.5.2, 5.7.5, 5.7.13; RFC 5280 6",
};
const CARD: Test = Test {
    peer: "SM-DP+",
    requirement: "Certificate chain, role, dates, key usage, extensions and the EUM's range of EIDs are checked before the eUICC is trusted. An untrusted notification changes nothing and is answered with 204.",
    clause: "SGP.22 4.5.2, 5.6.3, 5.6.4; RFC 5280 6",
};

/// The lie that presents a certificate of this role with this defect.
const fn shown(role: Role, defect: Defect, name: &'static str, answer: &'static str) -> Entry {
    let (told, test) = match role {
        Role::DpAuth => (INITIATE, &SERVER),
        Role::DpPb => (AUTHENTICATE, &SERVER),
        _ => ("ES9+.AuthenticateClient, ES9+.HandleNotification", &CARD),
    };
    false_statement(FalseStatement::Certificate(role, defect), name, told)
        .what(what(defect))
        .tests(test, answer)
}

const fn what(defect: Defect) -> &'static str {
    match defect {
        Defect::Expired => "The certificate has expired.",
        Defect::NotYetValid => "The certificate is not valid yet.",
        Defect::WrongRole => "The certificate has another role.",
        Defect::NoRole => "The certificate has no role.",
        Defect::StrangerCi => "The certificate is issued by an untrusted CI with the name of a trusted one.",
        Defect::ForgedSignature => "The certificate names its issuer, but another key signed it.",
        Defect::Tampered => "The certificate was changed after it was signed.",
        Defect::WrongKeyUsage => "The certificate has the wrong key usage.",
        Defect::NoKeyUsage => "The certificate has no key usage.",
        Defect::NotACa => "The certificate is not a CA certificate.",
        Defect::NoAuthorityKeyId => "The certificate has no authority key identifier.",
        Defect::OtherOid => {
            "The certificate has another registered identifier than the other certificates of its operator."
        }
        Defect::NoOid => "The certificate has no registered identifier.",
        Defect::EidOutsideRange => "The EID of the certificate is outside the range of its EUM.",
        Defect::OtherOrganisation => {
            "The certificate names another organisation than the certificate of its EUM."
        }
        Defect::NoEidRange => "The certificate does not contain the range of EIDs of its EUM.",
        Defect::UnknownCriticalExtension => "The certificate has an unknown critical extension.",
        Defect::OtherCurve => "The key of the certificate is on another curve than the key of its CI.",
    }
}

pub(super) static ENTRIES: &[Entry] = &[
    shown(Role::DpAuth, Defect::Expired, "lie/dpauth-expired", "invalid-certificate(1)"),
    shown(Role::DpAuth, Defect::NotYetValid, "lie/dpauth-not-yet-valid", "invalid-certificate(1)"),
    shown(Role::DpAuth, Defect::WrongRole, "lie/dpauth-wrong-role", "invalid-oid(5)"),
    shown(Role::DpAuth, Defect::NoRole, "lie/dpauth-no-role", "invalid-oid(5)"),
    shown(Role::DpAuth, Defect::StrangerCi, "lie/dpauth-stranger-ci", "ci-pk-unknown(7)"),
    shown(Role::DpAuth, Defect::ForgedSignature, "lie/dpauth-forged", "invalid-certificate(1)"),
    shown(Role::DpAuth, Defect::Tampered, "lie/dpauth-tampered", "invalid-certificate(1)"),
    shown(Role::DpAuth, Defect::WrongKeyUsage, "lie/dpauth-wrong-key-usage", "invalid-certificate(1)"),
    shown(Role::DpAuth, Defect::NoKeyUsage, "lie/dpauth-no-key-usage", "invalid-certificate(1)"),
    shown(Role::DpAuth, Defect::NoAuthorityKeyId, "lie/dpauth-no-authority-key-id", "ci-pk-unknown(7)"),
    shown(Role::DpAuth, Defect::OtherOid, "lie/dpauth-other-oid", "invalid-certificate(1)"),
    shown(Role::DpAuth, Defect::NoOid, "lie/dpauth-no-oid", "invalid-certificate(1)"),
    shown(
        Role::DpAuth,
        Defect::UnknownCriticalExtension,
        "lie/dpauth-unknown-critical-extension",
        "invalid-certificate(1)",
    ),
    shown(Role::DpAuth, Defect::OtherCurve, "lie/dpauth-other-curve", "unsupported-curve(3)"),
    shown(Role::DpPb, Defect::Expired, "lie/dppb-expired", "invalid-certificate(1)"),
    shown(Role::DpPb, Defect::NotYetValid, "lie/dppb-not-yet-valid", "invalid-certificate(1)"),
    shown(Role::DpPb, Defect::WrongRole, "lie/dppb-wrong-role", "invalid-certificate(1)"),
    shown(Role::DpPb, Defect::NoRole, "lie/dppb-no-role", "invalid-certificate(1)"),
    shown(Role::DpPb, Defect::StrangerCi, "lie/dppb-stranger-ci", "invalid-certificate(1)"),
    shown(Role::DpPb, Defect::ForgedSignature, "lie/dppb-forged", "invalid-certificate(1)"),
    shown(Role::DpPb, Defect::Tampered, "lie/dppb-tampered", "invalid-certificate(1)"),
    shown(Role::DpPb, Defect::WrongKeyUsage, "lie/dppb-wrong-key-usage", "invalid-certificate(1)"),
    shown(Role::DpPb, Defect::NoKeyUsage, "lie/dppb-no-key-usage", "invalid-certificate(1)"),
    shown(Role::DpPb, Defect::NoAuthorityKeyId, "lie/dppb-no-authority-key-id", "invalid-certificate(1)"),
    shown(Role::DpPb, Defect::OtherOid, "lie/dppb-other-oid", "invalid-certificate(1)"),
    shown(Role::DpPb, Defect::NoOid, "lie/dppb-no-oid", "invalid-certificate(1)"),
    shown(
        Role::DpPb,
        Defect::UnknownCriticalExtension,
        "lie/dppb-unknown-critical-extension",
        "invalid-certificate(1)",
    ),
    shown(Role::DpPb, Defect::OtherCurve, "lie/dppb-other-curve", "unsupported-curve(3)"),
    shown(Role::Euicc, Defect::Expired, "lie/euicc-expired", "8.1.3/6.3"),
    shown(Role::Euicc, Defect::NotYetValid, "lie/euicc-not-yet-valid", "8.1.3/6.1"),
    shown(Role::Euicc, Defect::WrongRole, "lie/euicc-wrong-role", "8.1.3/6.1"),
    shown(Role::Euicc, Defect::NoRole, "lie/euicc-no-role", "8.1.3/6.1"),
    shown(Role::Euicc, Defect::StrangerCi, "lie/euicc-stranger-ci", "8.1.3/6.1"),
    shown(Role::Euicc, Defect::ForgedSignature, "lie/euicc-forged", "8.1.3/6.1"),
    shown(Role::Euicc, Defect::Tampered, "lie/euicc-tampered", "8.1.3/6.1"),
    shown(Role::Euicc, Defect::WrongKeyUsage, "lie/euicc-wrong-key-usage", "8.1.3/6.1"),
    shown(Role::Euicc, Defect::NoKeyUsage, "lie/euicc-no-key-usage", "8.1.3/6.1"),
    shown(Role::Euicc, Defect::NoAuthorityKeyId, "lie/euicc-no-authority-key-id", "8.1.3/6.1"),
    shown(Role::Euicc, Defect::EidOutsideRange, "lie/euicc-eid-outside-range", "8.1.3/6.1"),
    shown(Role::Euicc, Defect::OtherOrganisation, "lie/euicc-other-organisation", "8.1.3/6.1"),
    shown(Role::Euicc, Defect::UnknownCriticalExtension, "lie/euicc-unknown-critical-extension", "8.1.3/6.1"),
    shown(Role::Euicc, Defect::OtherCurve, "lie/euicc-other-curve", "8.1.3/6.1"),
    shown(Role::Eum, Defect::Expired, "lie/eum-expired", "8.1.2/6.3"),
    shown(Role::Eum, Defect::NotYetValid, "lie/eum-not-yet-valid", "8.1.2/6.1"),
    shown(Role::Eum, Defect::WrongRole, "lie/eum-wrong-role", "8.1.2/6.1"),
    shown(Role::Eum, Defect::NoRole, "lie/eum-no-role", "8.1.2/6.1"),
    shown(Role::Eum, Defect::StrangerCi, "lie/eum-stranger-ci", "8.11.1/3.9"),
    shown(Role::Eum, Defect::ForgedSignature, "lie/eum-forged", "8.1.2/6.1"),
    shown(Role::Eum, Defect::Tampered, "lie/eum-tampered", "8.1.2/6.1"),
    shown(Role::Eum, Defect::WrongKeyUsage, "lie/eum-wrong-key-usage", "8.1.2/6.1"),
    shown(Role::Eum, Defect::NoKeyUsage, "lie/eum-no-key-usage", "8.1.2/6.1"),
    shown(Role::Eum, Defect::NotACa, "lie/eum-not-a-ca", "8.1.2/6.1"),
    shown(Role::Eum, Defect::NoAuthorityKeyId, "lie/eum-no-authority-key-id", "8.11.1/3.9"),
    shown(Role::Eum, Defect::NoEidRange, "lie/eum-no-eid-range", "8.1.2/6.1"),
    shown(Role::Eum, Defect::UnknownCriticalExtension, "lie/eum-unknown-critical-extension", "8.1.2/6.1"),
    shown(Role::Eum, Defect::OtherCurve, "lie/eum-other-curve", "8.1.2/6.1"),
];
