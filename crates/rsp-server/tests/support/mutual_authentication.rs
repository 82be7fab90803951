//! Invalid requests of mutual authentication. The tests of each server that authenticates eUICCs
//! include this file.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic fails the test")]

use certs::{Defect, Pki, Role};
use crypto::Curve;
use rsp::ids::{SubjectKeyIdentifier, TransactionId, Version};
use rsp::sgp22::{CtxParams1, EuiccInfo1};
use rsp::status::Status;
use sgp23::euicc::Authenticate;

/// Returns copies of an EUICCInfo1 with one defect each, and the status of the refusal. The three
/// statuses of the server are those for the version, for the CI that verifies the server, and for
/// the CI that signs.
pub(crate) fn defective_infos(
    valid: &EuiccInfo1,
    [version, verification, signing]: [Status; 3],
) -> Vec<(&'static str, EuiccInfo1, Status)> {
    let unknown = vec![SubjectKeyIdentifier(vec![7; 20])];
    let change = |change: &dyn Fn(&mut EuiccInfo1)| {
        let mut info = valid.clone();
        change(&mut info);
        info
    };
    vec![
        // req: SGP.22-5.6.1-Svn, SGP.22-5.8.1-Svn
        ("the eUICC needs a later version", change(&|info| info.svn = Version([9, 0, 0])), version),
        ("the eUICC is of an earlier version", change(&|info| info.svn = Version([1, 0, 0])), version),
        // req: SGP.22-5.6.1-CiForVerification, SGP.22-5.8.1-CiForVerification
        (
            "no certificate below the eUICC's CIs",
            change(&|info| info.euicc_ci_pk_id_list_for_verification = unknown.clone()),
            verification,
        ),
        (
            "the eUICC verifies under no CI",
            change(&|info| info.euicc_ci_pk_id_list_for_verification.clear()),
            verification,
        ),
        // req: SGP.22-5.6.1-CiForSigning, SGP.22-5.8.1-CiForSigning
        (
            "no trusted CI for signing",
            change(&|info| info.euicc_ci_pk_id_list_for_signing = unknown.clone()),
            signing,
        ),
    ]
}

type Corrupt = fn(&Pki, &mut Authenticate);

/// Changes to a valid response to the server's challenge, with the status of the refusal. Each
/// response has one defect.
pub(crate) const DEFECTS: &[(&str, Status, Corrupt)] = &[
    // req: SGP.22-5.6.3-TransactionId, SGP.22-5.8.2-TransactionId
    ("another TransactionID in the envelope", Status::TransactionUnknown, |_, it| {
        it.outer = TransactionId(vec![1; 16])
    }),
    // req: SGP.22-5.6.3-SignedTransactionId, SGP.22-5.8.2-SignedTransactionId
    ("another TransactionID in euiccSigned1", Status::TransactionUnknown, |_, it| {
        it.inner = TransactionId(vec![1; 16]);
    }),
    // req: SGP.22-5.6.3-Challenge, SGP.22-5.8.2-Challenge
    ("another challenge", Status::EuiccVerificationFailed, |_, it| it.server_challenge[0] ^= 1),
    // req: SGP.22-5.6.3-ServerAddress, SGP.22-5.8.2-ServerAddress
    ("another server address", Status::EuiccVerificationFailed, |_, it| {
        it.server_address = "other.landfall.example".to_owned();
    }),
    // req: SGP.22-5.6.3-Signature, SGP.22-5.8.2-Signature
    ("a wrong signature", Status::EuiccVerificationFailed, |_, it| it.corrupt_signature = true),
    ("another eUICC's key", Status::EuiccVerificationFailed, |pki, it| {
        it.key = pki.euicc(Curve::P256, pki.eids(Curve::P256)[1]).unwrap().euicc.key;
    }),
    // req: SGP.22-5.6.3-CiUnknown, SGP.22-5.8.2-CiUnknown
    ("a chain of a CI other than the selected one", Status::CiUnknown, |pki, it| {
        let curve = Curve::BrainpoolP256r1;
        let other = pki.euicc(curve, pki.eids(curve)[0]).unwrap();
        it.euicc_certificate = other.euicc.certificate.der().to_vec();
        it.eum_certificate = other.eum.der().to_vec();
        it.key = other.euicc.key;
    }),
    ("the EUM of an unknown CI", Status::CiUnknown, |pki, it| eum(pki, it, Defect::StrangerCi)),
    // req: SGP.22-5.6.3-EumCertificate, SGP.22-5.8.2-EumCertificate
    ("an expired EUM certificate", Status::EumCertificateExpired, |pki, it| eum(pki, it, Defect::Expired)),
    ("an EUM certificate that is not yet valid", Status::EumCertificateVerificationFailed, |pki, it| {
        eum(pki, it, Defect::NotYetValid)
    }),
    ("a forged EUM certificate", Status::EumCertificateVerificationFailed, |pki, it| {
        eum(pki, it, Defect::ForgedSignature);
    }),
    ("an EUM certificate of another role", Status::EumCertificateVerificationFailed, |pki, it| {
        eum(pki, it, Defect::WrongRole);
    }),
    ("an EUM certificate without an EID range", Status::EumCertificateVerificationFailed, |pki, it| {
        eum(pki, it, Defect::NoEidRange);
    }),
    // Section 4.5.2: an EUM certificate must name its CI.
    ("an EUM certificate that names no CI", Status::EumCertificateVerificationFailed, |pki, it| {
        eum(pki, it, Defect::NoAuthorityKeyId);
    }),
    ("an EUM certificate that cannot be parsed", Status::EumCertificateVerificationFailed, |_, it| {
        it.eum_certificate = vec![0x30, 0];
    }),
    // req: SGP.22-5.6.3-EuiccCertificate, SGP.22-5.8.2-EuiccCertificate
    ("an expired eUICC certificate", Status::EuiccCertificateExpired, |pki, it| {
        euicc(pki, it, Defect::Expired);
    }),
    ("a forged eUICC certificate", Status::EuiccCertificateVerificationFailed, |pki, it| {
        euicc(pki, it, Defect::ForgedSignature);
    }),
    ("an eUICC certificate of another role", Status::EuiccCertificateVerificationFailed, |pki, it| {
        euicc(pki, it, Defect::WrongRole);
    }),
    ("an EID outside the EUM's range", Status::EuiccCertificateVerificationFailed, |pki, it| {
        euicc(pki, it, Defect::EidOutsideRange);
    }),
    ("an eUICC certificate that cannot be parsed", Status::EuiccCertificateVerificationFailed, |_, it| {
        it.euicc_certificate = vec![0x30, 0];
    }),
    // req: SGP.22-v3.1-5.6.3-Function, SGP.22-5.8.2-Function
    ("a device change (v3)", Status::FunctionUnsupported, |_, it| {
        it.ctx_params1 = Some(CtxParams1::CtxParamsForDeviceChange(vec![]));
    }),
    ("a profile recovery (v3)", Status::FunctionUnsupported, |_, it| {
        it.ctx_params1 = Some(CtxParams1::CtxParamsForProfileRecovery(vec![]));
    }),
    ("a push service registration (v3)", Status::FunctionUnsupported, |_, it| {
        it.ctx_params1 = Some(CtxParams1::CtxParamsForPushServiceRegistration(vec![]));
    }),
];

fn eum(pki: &Pki, it: &mut Authenticate, defect: Defect) {
    it.eum_certificate = pki.issue_with(defect, Role::Eum, Curve::P256).unwrap().der;
}

fn euicc(pki: &Pki, it: &mut Authenticate, defect: Defect) {
    let broken = pki.issue_with(defect, Role::Euicc, Curve::P256).unwrap();
    (it.euicc_certificate, it.key) = (broken.der, broken.key);
}
