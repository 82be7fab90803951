//! Requests that do not authenticate the eUICC.

use certs::{Defect, Role};
use rsp::ids::TransactionId;
use rsp::sgp22::es9plus::{AuthenticateClient, InitiateAuthentication};
use rsp::status::Status;

use super::{FOR_ANY_EID, case};
use crate::binding::Answer;
use crate::case::{Case, Run, run};
use crate::euicc::{Authenticate, authentication_error};
use crate::testbed::Testbed;
use crate::verdict::{During, Verdict, ensure};

const TEST: &str = "4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases";

type Corrupt = fn(&Testbed<'_>, &mut Authenticate) -> Verdict;

/// Each entry consists of the identifier in SGP.23, the defect, the expected status, and the
/// function that produces the defect in a request.
const DEFECTS: &[(Option<&str>, &str, Status, Corrupt)] = &[
    (Some("2"), "the EUM certificate has expired", Status::EumCertificateExpired, |testbed, it| {
        eum(testbed, it, Defect::Expired)
    }),
    (Some("4"), "the eUICC certificate has expired", Status::EuiccCertificateExpired, |testbed, it| {
        euicc(testbed, it, Defect::Expired)
    }),
    (Some("5"), "euiccSignature1 is invalid", Status::EuiccVerificationFailed, |_, it| {
        it.corrupt_signature = true;
        Ok(())
    }),
    (None, "euiccSignature1 belongs to another eUICC", Status::EuiccVerificationFailed, |testbed, it| {
        it.key = testbed.other_euicc.credentials.euicc.key.clone();
        Ok(())
    }),
    (Some("6"), "serverChallenge differs", Status::EuiccVerificationFailed, |_, it| {
        it.server_challenge = it.server_challenge.map(|octet| octet ^ 1);
        Ok(())
    }),
    (Some("7"), "the EUM certificate was issued by an unknown CI", Status::CiUnknown, |testbed, it| {
        eum(testbed, it, Defect::StrangerCi)
    }),
    (Some("9"), "the TransactionID in the envelope is unknown", Status::TransactionUnknown, |_, it| {
        it.outer = TransactionId(vec![1; 16]);
        Ok(())
    }),
    (Some("10"), "the TransactionID in euiccSigned1 differs", Status::TransactionUnknown, |_, it| {
        it.inner = TransactionId(vec![1; 16]);
        Ok(())
    }),
    (None, "the EUM certificate cannot be parsed", Status::EumCertificateVerificationFailed, |_, it| {
        it.eum_certificate = vec![0x30, 0];
        Ok(())
    }),
    (None, "the eUICC certificate cannot be parsed", Status::EuiccCertificateVerificationFailed, |_, it| {
        it.euicc_certificate = vec![0x30, 0];
        Ok(())
    }),
];

const EUM_DEFECTS: &[(&str, Defect)] = &[
    ("is not yet valid", Defect::NotYetValid),
    ("has another role", Defect::WrongRole),
    ("has no certificate policies", Defect::NoRole),
    ("was signed with another key", Defect::ForgedSignature),
    ("was changed after it was signed", Defect::Tampered),
    ("has the key usage of a leaf", Defect::WrongKeyUsage),
    ("has no key usage", Defect::NoKeyUsage),
    ("is not a CA certificate", Defect::NotACa),
    ("has no EID range", Defect::NoEidRange),
    ("names no CI", Defect::NoAuthorityKeyId),
    ("has an unknown critical extension", Defect::UnknownCriticalExtension),
];

const EUICC_DEFECTS: &[(&str, Defect)] = &[
    ("is not yet valid", Defect::NotYetValid),
    ("has another role", Defect::WrongRole),
    ("has no certificate policies", Defect::NoRole),
    ("was signed with another key", Defect::ForgedSignature),
    ("was changed after it was signed", Defect::Tampered),
    ("has the key usage of a CA", Defect::WrongKeyUsage),
    ("has no key usage", Defect::NoKeyUsage),
    ("names another issuer than the EUM", Defect::StrangerCi),
    ("has no authority key identifier", Defect::NoAuthorityKeyId),
    ("has an EID outside the range of its EUM", Defect::EidOutsideRange),
    ("names another organisation than its EUM", Defect::OtherOrganisation),
    ("has an unknown critical extension", Defect::UnknownCriticalExtension),
];

fn eum(testbed: &Testbed<'_>, it: &mut Authenticate, defect: Defect) -> Verdict {
    it.eum_certificate = testbed.server.pki.issue_with(defect, Role::Eum, testbed.curve)?.der;
    Ok(())
}

fn euicc(testbed: &Testbed<'_>, it: &mut Authenticate, defect: Defect) -> Verdict {
    let broken = testbed.server.pki.issue_with(defect, Role::Euicc, testbed.curve)?;
    (it.euicc_certificate, it.key) = (broken.der, broken.key);
    Ok(())
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = DEFECTS
        .iter()
        .map(|(id, title, status, corrupt)| {
            let (status, corrupt) = (*status, *corrupt);
            let run = run!(|testbed| expect_refused(testbed, status, |it| corrupt(testbed, it)).await);
            case(title, FOR_ANY_EID, run).id(TEST, *id)
        })
        .collect();
    for (what, defect) in EUM_DEFECTS {
        let defect = *defect;
        let status = Status::EumCertificateVerificationFailed;
        let run = run!(|testbed| expect_refused(testbed, status, |it| eum(testbed, it, defect)).await);
        cases.push(case(&format!("the EUM certificate {what}"), FOR_ANY_EID, run).id(TEST, "1"));
    }
    for (what, defect) in EUICC_DEFECTS {
        let defect = *defect;
        let status = Status::EuiccCertificateVerificationFailed;
        let run = run!(|testbed| expect_refused(testbed, status, |it| euicc(testbed, it, defect)).await);
        cases.push(case(&format!("the eUICC certificate {what}"), FOR_ANY_EID, run).id(TEST, "3"));
    }
    cases.push(case(
        "a certificate chain of a CI other than the selected one is refused",
        FOR_ANY_EID,
        other_ci(),
    ));
    cases.push(case(
        "a challenge can be answered only once: a refusal ends the transaction",
        FOR_ANY_EID,
        once(),
    ));
    cases.push(case(
        "an error response of the eUICC ends the session and keeps the order",
        FOR_ANY_EID,
        euicc_error(),
    ));
    cases
}

/// Checks that the request is refused and that the order is unchanged: the same eUICC gets its
/// offer afterwards.
async fn expect_refused(
    testbed: &Testbed<'_>,
    status: Status,
    corrupt: impl Fn(&mut Authenticate) -> Verdict,
) -> Verdict {
    let started = testbed.initiate().await?;
    let mut proof = testbed.euicc.authenticate(&started.ok, &testbed.placed_order()?.matching_id);
    corrupt(&mut proof)?;
    testbed.refused::<AuthenticateClient>(&proof.request()?, status).await?;
    testbed.offered().await.during("afterwards, without the defect").map(|_| ())
}

/// The eUICC supports both CIs for signing and signs with a certificate of the CI that the server
/// has not selected.
fn other_ci() -> Run {
    use crypto::Curve;
    run!(|testbed| {
        let other = match testbed.curve {
            Curve::P256 => Curve::BrainpoolP256r1,
            Curve::BrainpoolP256r1 => Curve::P256,
        };
        let eid = testbed.euicc.eid;
        let other = testbed.server.pki.issue_euicc(other, eid, testbed.server.pki.eum(other)?.validity())?;
        let other_ci = other.ci.subject_key_id().cloned().into_iter();
        let mut request = testbed.initiation();
        request.euicc_info1.euicc_ci_pk_id_list_for_signing.extend(other_ci);
        let started = testbed.initiate_with(&request).await?;
        let mut proof = testbed.euicc.authenticate(&started.ok, &testbed.placed_order()?.matching_id);
        proof.euicc_certificate = other.euicc.certificate.der().to_vec();
        proof.eum_certificate = other.eum.der().to_vec();
        proof.key = other.euicc.key;
        testbed.refused::<AuthenticateClient>(&proof.request()?, Status::CiUnknown).await
    })
}

fn once() -> Run {
    run!(|testbed| {
        let started = testbed.initiate().await?;
        let wrong = testbed.euicc.authenticate(&started.ok, "GUESSED").request()?;
        testbed.refused::<AuthenticateClient>(&wrong, Status::MatchingIdRefused).await?;
        let right =
            testbed.euicc.authenticate(&started.ok, &testbed.placed_order()?.matching_id).request()?;
        testbed.refused::<AuthenticateClient>(&right, Status::TransactionUnknown).await
    })
}

fn euicc_error() -> Run {
    run!(|testbed| {
        let ok = testbed.call::<InitiateAuthentication>(&testbed.initiation()).await?.done()?;
        let refusal = authentication_error(&ok.transaction_id, &ok.transaction_id);
        // The standard defines no status for this. The case only requires a refusal.
        let answer = testbed.call::<AuthenticateClient>(&refusal).await?;
        ensure(matches!(answer, Answer::Refused(_)), || {
            "the server accepted an error response of the eUICC".to_owned()
        })?;
        let late = testbed.euicc.authenticate(&ok, &testbed.placed_order()?.matching_id).request()?;
        testbed.refused::<AuthenticateClient>(&late, Status::TransactionUnknown).await?;
        testbed.offered().await.during("afterwards, in a new session").map(|_| ())
    })
}
