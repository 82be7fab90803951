//! Cases of ES9+.AuthenticateClient: SGP.22 section 5.6.3, SGP.23 section 4.3.14.

use certs::{Defect, Role};
use rsp::der::{BitString, Tag, tlv_bytes};
use rsp::ids::TransactionId;
use rsp::sgp22::es9plus::{AuthenticateClient, AuthenticateClientRequest, InitiateAuthentication};
use rsp::sgp22::es10b::{AuthenticateErrorCode, AuthenticateResponseError, AuthenticateServerResponse};
use rsp::sgp22::{CtxParams1, ppr, uicc_capability};
use rsp::status::Status;

use super::CODE;
use crate::binding::Answer;
use crate::case::{Case, Run, run};
use crate::euicc::{Authenticate, Euicc};
use crate::order::{IntendedEuicc, LookupKey, Order, ProfileFeatures, StockState};
use crate::testbed::{Offered, Testbed};
use crate::verdict::{During, Stop, Verdict, ensure, equal};

const FUNCTION: &str = "ES9+.AuthenticateClient";
const CLAUSE: &str = "5.6.3";

const FOR_ANY_EID: Order = Order {
    intended_for: IntendedEuicc::Any,
    lookup: LookupKey::ByMatchingId,
    confirmation_code: None,
    state: StockState::Released,
    expired: false,
    attempts: None,
    wrong_confirmation_codes: 0,
    reusable: false,
    ppk: false,
    bound_once: false,
    profile: ProfileFeatures { usim: false, ppr1: false, icon: false },
};
const FOR_EID: Order = Order { intended_for: IntendedEuicc::Own, ..FOR_ANY_EID };
const BY_EID: Order = Order { lookup: LookupKey::ByEid, ..FOR_EID };
const BY_EVENT: Order = Order { lookup: LookupKey::ByEvent, ..FOR_EID };

pub(super) fn cases() -> Vec<Case> {
    let mut cases = nominal_cases();
    cases.extend(failed_authentications());
    cases.extend(orders());
    cases.extend(retries());
    cases
}

fn case(title: &str, order: Order, run: Run) -> Case {
    Case::new(FUNCTION, CLAUSE, title, run).order(order)
}

// --- Offers --------------------------------------------------------------------------------------

type Change = fn(&Testbed<'_>, &mut Authenticate);

/// Identifier, title, order, modification of the request.
const OFFERS: &[(Option<&str>, &str, Order, Change)] = &[
    (
        Some("4.3.14.2.1 TC_SM-DP+_ES9+.AuthenticateClientNIST #01"),
        "default SM-DP+: an order for the EID is found with an empty MatchingID",
        BY_EID,
        |_, _| {},
    ),
    (
        Some("4.3.14.2.1 TC_SM-DP+_ES9+.AuthenticateClientNIST #02"),
        "default SM-DP+, with confirmation code",
        Order { confirmation_code: Some(CODE), ..BY_EID },
        |_, _| {},
    ),
    (
        Some("4.3.14.2.1 TC_SM-DP+_ES9+.AuthenticateClientNIST #05"),
        "SM-DS: the order is found with the EventID",
        BY_EVENT,
        |_, _| {},
    ),
    (
        Some("4.3.14.2.1 TC_SM-DP+_ES9+.AuthenticateClientNIST #06"),
        "SM-DS, with confirmation code",
        Order { confirmation_code: Some(CODE), ..BY_EVENT },
        |_, _| {},
    ),
    (
        Some("4.3.14.2.1 TC_SM-DP+_ES9+.AuthenticateClientNIST #08"),
        "activation code: the order for the EID is found with its MatchingID",
        FOR_EID,
        |_, _| {},
    ),
    (
        Some("4.3.14.2.1 TC_SM-DP+_ES9+.AuthenticateClientNIST #09"),
        "activation code for the EID, with confirmation code",
        Order { confirmation_code: Some(CODE), ..FOR_EID },
        |_, _| {},
    ),
    (
        Some("4.3.14.2.1 TC_SM-DP+_ES9+.AuthenticateClientNIST #11"),
        "activation code: an order without EID is for any eUICC",
        FOR_ANY_EID,
        |_, _| {},
    ),
    (
        Some("4.3.14.2.1 TC_SM-DP+_ES9+.AuthenticateClientNIST #12"),
        "activation code without EID, with confirmation code",
        Order { confirmation_code: Some(CODE), ..FOR_ANY_EID },
        |_, _| {},
    ),
    (
        Some("4.3.14.2.1 TC_SM-DP+_ES9+.AuthenticateClientNIST #14"),
        "default SM-DP+: the MatchingID may be missing",
        BY_EID,
        |_, it| it.matching_id = None,
    ),
    (
        Some("4.3.14.2.1 TC_SM-DP+_ES9+.AuthenticateClientNIST #19"),
        "unknown bits of UICCCapability are ignored",
        FOR_ANY_EID,
        |_, it| {
            let mut bits = it.info2.uicc_capability.ones();
            bits.extend([40, 61]);
            it.info2.uicc_capability = BitString::of(&bits);
        },
    ),
    (
        Some("4.3.14.2.1 TC_SM-DP+_ES9+.AuthenticateClientNIST #20"),
        "unknown elements of deviceInfo are ignored",
        FOR_ANY_EID,
        |_, it| {
            let device_info = vec![Tag(0xA0), Tag(0xA1)];
            it.later.push((device_info.clone(), tlv_bytes(Tag(0x9D), &[1, 2, 3])));
            it.later.push(([device_info, vec![Tag(0xA1)]].concat(), tlv_bytes(Tag(0x9C), &[17, 0, 0])));
        },
    ),
    (
        Some("4.3.14.2.1 TC_SM-DP+_ES9+.AuthenticateClientNIST #21"),
        "unknown elements of euiccInfo2 are ignored",
        FOR_ANY_EID,
        |_, it| {
            // Adds highestSvn and an unknown element.
            it.later.push((vec![Tag(0xBF22)], tlv_bytes(Tag(0x93), &[3, 1, 0])));
            it.later.push((vec![Tag(0xBF22)], tlv_bytes(Tag(0xBF7E), &[0x80, 1, 1])));
        },
    ),
    (None, "unknown bits of RspCapability are ignored", FOR_ANY_EID, |_, it| {
        it.info2.rsp_capability = BitString::of(&[0, 1, 2, 3, 4, 5, 14, 23]);
    }),
    (None, "unknown elements after ctxParams1 are ignored", FOR_ANY_EID, |_, it| {
        it.later.push((vec![], tlv_bytes(Tag(0x9E), &[1])));
        it.later.push((vec![Tag(0xA0)], tlv_bytes(Tag(0x9D), &[1])));
    }),
    (
        None,
        "version 3: operationType may request a download and matchingIdSource may be present",
        FOR_ANY_EID,
        |_, it| {
            it.later.push((vec![Tag(0xA0)], tlv_bytes(Tag(0x82), &[0x06, 0xC0])));
            it.later.push((vec![Tag(0xA0)], tlv_bytes(Tag(0xA3), &[0x81, 0x00])));
        },
    ),
    (None, "a device with an IMEI and all supported releases is accepted", FOR_ANY_EID, |_, it| {
        let release = Some(rsp::ids::Version([15, 0, 0]));
        it.device_info.imei = Some([0x53, 0x92, 0x60, 0x11, 0x32, 0x54, 0x76, 0xF8]);
        it.device_info.device_capabilities.gsm_supported_release = release;
        it.device_info.device_capabilities.eutran_epc_supported_release = release;
        it.device_info.device_capabilities.nr_5gc_supported_release = release;
    }),
];

fn nominal_cases() -> Vec<Case> {
    let mut cases: Vec<_> = OFFERS
        .iter()
        .map(|(id, title, order, change)| {
            let change = *change;
            let run = run!(|testbed| {
                let started = testbed.initiate().await?;
                let mut proof = testbed.euicc.authenticate(&started.ok, &testbed.placed_order()?.matching_id);
                change(testbed, &mut proof);
                let offered = testbed.authenticate(started, &proof.request()?).await?;
                equal("smdpSigned2.bppEuiccOtpk", &offered.ok.smdp_signed2.bpp_euicc_otpk, &None)
            });
            Case { id: *id, ..case(title, *order, run) }
        })
        .collect();
    cases.push(
        case(
            "default SM-DP+: the correct MatchingID is accepted after a wrong one",
            BY_EID,
            second_attempt(),
        )
        .id("4.3.14.2.1 TC_SM-DP+_ES9+.AuthenticateClientNIST #03"),
    );
    cases
}

fn second_attempt() -> Run {
    run!(|testbed| {
        ask(testbed, &testbed.euicc, "WRONG")
            .await?
            .refused("authenticateClient", Status::MatchingIdRefused)?;
        testbed.offered().await.map(|_| ())
    })
}

/// Runs AuthenticateClient of this eUICC in a new session and returns the response.
async fn ask(
    testbed: &Testbed<'_>,
    euicc: &Euicc,
    matching_id: &str,
) -> Result<Answer<rsp::sgp22::es9plus::AuthenticateClientOk>, Stop> {
    let started = testbed.initiate_with(&euicc.initiation(&testbed.server.address)).await?;
    testbed.call::<AuthenticateClient>(&euicc.authenticate(&started.ok, matching_id).request()?).await
}

// --- Failed authentication -----------------------------------------------------------------------

type Corrupt = fn(&Testbed<'_>, &mut Authenticate) -> Verdict;

/// Identifier, defect, expected status.
const DEFECTS: &[(Option<&str>, &str, Status, Corrupt)] = &[
    (
        Some("4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases #2"),
        "the EUM certificate has expired",
        Status::EumCertificateExpired,
        |testbed, it| eum(testbed, it, Defect::Expired),
    ),
    (
        Some("4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases #4"),
        "the eUICC certificate has expired",
        Status::EuiccCertificateExpired,
        |testbed, it| euicc(testbed, it, Defect::Expired),
    ),
    (
        Some("4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases #5"),
        "euiccSignature1 is invalid",
        Status::EuiccVerificationFailed,
        |_, it| {
            it.corrupt_signature = true;
            Ok(())
        },
    ),
    (None, "euiccSignature1 belongs to another eUICC", Status::EuiccVerificationFailed, |testbed, it| {
        it.key = testbed.other_euicc.credentials.euicc.key.clone();
        Ok(())
    }),
    (
        Some("4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases #6"),
        "serverChallenge differs",
        Status::EuiccVerificationFailed,
        |_, it| {
            it.server_challenge = it.server_challenge.map(|octet| octet ^ 1);
            Ok(())
        },
    ),
    (
        Some("4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases #7"),
        "the EUM certificate was issued by an unknown CI",
        Status::CiUnknown,
        |testbed, it| eum(testbed, it, Defect::StrangerCi),
    ),
    (
        Some("4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases #9"),
        "the TransactionID in the envelope is unknown",
        Status::TransactionUnknown,
        |_, it| {
            it.outer = TransactionId(vec![1; 16]);
            Ok(())
        },
    ),
    (
        Some("4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases #10"),
        "the TransactionID in euiccSigned1 differs",
        Status::TransactionUnknown,
        |_, it| {
            it.inner = TransactionId(vec![1; 16]);
            Ok(())
        },
    ),
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

fn failed_authentications() -> Vec<Case> {
    let mut cases: Vec<_> = DEFECTS
        .iter()
        .map(|(id, title, status, corrupt)| {
            let (status, corrupt) = (*status, *corrupt);
            let run = run!(|testbed| expect_refused(testbed, status, |it| corrupt(testbed, it)).await);
            Case { id: *id, ..case(title, FOR_ANY_EID, run) }
        })
        .collect();
    for (what, defect) in EUM_DEFECTS {
        let defect = *defect;
        let status = Status::EumCertificateVerificationFailed;
        let run = run!(|testbed| expect_refused(testbed, status, |it| eum(testbed, it, defect)).await);
        cases.push(
            case(&format!("the EUM certificate {what}"), FOR_ANY_EID, run)
                .id("4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases #1"),
        );
    }
    for (what, defect) in EUICC_DEFECTS {
        let defect = *defect;
        let status = Status::EuiccCertificateVerificationFailed;
        let run = run!(|testbed| expect_refused(testbed, status, |it| euicc(testbed, it, defect)).await);
        cases.push(
            case(&format!("the eUICC certificate {what}"), FOR_ANY_EID, run)
                .id("4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases #3"),
        );
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
        let refusal = AuthenticateClientRequest {
            transaction_id: ok.transaction_id.clone(),
            authenticate_server_response: AuthenticateServerResponse::AuthenticateResponseError(
                AuthenticateResponseError {
                    transaction_id: ok.transaction_id.clone(),
                    authenticate_error_code: AuthenticateErrorCode::INVALID_CERTIFICATE,
                },
            ),
        };
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

// --- Refused orders ------------------------------------------------------------------------------

/// Identifier, title, order, expected status, modification of the request.
const ORDERS: &[(Option<&str>, &str, Order, Status, Change)] = &[
    (
        Some("4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases #8"),
        "a profile that is not released is refused",
        Order { state: StockState::Confirmed, ..FOR_ANY_EID },
        Status::ProfileNotReleased,
        |_, _| {},
    ),
    (
        Some("4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases #11"),
        "default SM-DP+: an unknown MatchingID is refused",
        BY_EID,
        Status::MatchingIdRefused,
        |_, it| it.matching_id = Some("UNKNOWN-MATCHING-ID".to_owned()),
    ),
    (
        Some("4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases #12"),
        "activation code for the EID: an unknown MatchingID is refused",
        FOR_EID,
        Status::MatchingIdRefused,
        |_, it| it.matching_id = Some("UNKNOWN-MATCHING-ID".to_owned()),
    ),
    (
        Some("4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases #13"),
        "SM-DS: an unknown EventID is refused",
        BY_EVENT,
        Status::MatchingIdRefused,
        |_, it| it.matching_id = Some("UNKNOWN-EVENT-ID".to_owned()),
    ),
    (
        Some("4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases #14"),
        "default SM-DP+: an EID without an order is refused",
        Order { intended_for: IntendedEuicc::Other, ..BY_EID },
        Status::EidNotAllowed,
        |_, _| {},
    ),
    (
        Some("4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases #15"),
        "an eUICC without a capability that the profile requires is refused",
        Order { profile: ProfileFeatures { usim: true, ppr1: false, icon: false }, ..FOR_ANY_EID },
        Status::ProfileNotEligible,
        |_, it| it.info2.uicc_capability = BitString::of(&[uicc_capability::USIM]),
    ),
    (
        None,
        "an eUICC that forbids a policy rule of the profile is refused",
        Order { profile: ProfileFeatures { usim: false, ppr1: true, icon: false }, ..FOR_ANY_EID },
        Status::ProfileNotEligible,
        |_, it| it.info2.forbidden_profile_policy_rules = Some(BitString::of(&[ppr::PPR1])),
    ),
    (
        None,
        "an eUICC with too little memory is refused",
        FOR_ANY_EID,
        Status::EuiccInsufficientMemory,
        |_, it| it.info2.ext_card_resource = vec![0x81, 1, 0, 0x82, 1, 0, 0x83, 1, 0],
    ),
    (
        Some("4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases #16"),
        "an expired order is refused",
        Order { expired: true, ..FOR_ANY_EID },
        Status::OrderExpired,
        |_, _| {},
    ),
    (
        Some("4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases #17"),
        "an order is refused after its last download attempt",
        Order { attempts: Some((3, 3)), ..FOR_ANY_EID },
        Status::DownloadAttemptsExceeded,
        |_, _| {},
    ),
    (
        Some("4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases #19"),
        "SM-DS: an EID that differs from the order is refused",
        Order { intended_for: IntendedEuicc::Other, ..BY_EVENT },
        Status::EidNotAllowed,
        |_, _| {},
    ),
    (
        Some("4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases #20"),
        "activation code: an EID that differs from the order is refused",
        Order { intended_for: IntendedEuicc::Other, ..FOR_ANY_EID },
        Status::EidNotAllowed,
        |_, _| {},
    ),
    (
        Some("4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases #21"),
        "activation code without EID: an unknown MatchingID is refused",
        FOR_ANY_EID,
        Status::MatchingIdRefused,
        |_, it| it.matching_id = Some("UNKNOWN-MATCHING-ID".to_owned()),
    ),
];

fn orders() -> Vec<Case> {
    let mut cases: Vec<_> = ORDERS
        .iter()
        .map(|(id, title, order, status, change)| {
            let (status, change) = (*status, *change);
            let run = run!(|testbed| {
                let started = testbed.initiate().await?;
                let mut proof = testbed.euicc.authenticate(&started.ok, &testbed.placed_order()?.matching_id);
                change(testbed, &mut proof);
                testbed.refused::<AuthenticateClient>(&proof.request()?, status).await
            });
            Case { id: *id, ..case(title, *order, run) }
        })
        .collect();
    let last_one = Order { attempts: Some((2, 3)), ..FOR_ANY_EID };
    cases.push(case(
        "the last allowed download attempt is accepted and the next one is refused",
        last_one,
        last_attempt(),
    ));
    cases.push(case("an installed profile is not offered again", FOR_ANY_EID, installed()));
    cases.extend(version_3());
    cases.push(case("another eUICC is refused after the package was delivered", FOR_ANY_EID, delivered()));
    let for_all = Order { reusable: true, ..FOR_ANY_EID };
    cases.push(case("a reusable order can be downloaded by several eUICCs", for_all, one_after_another()));
    cases
}

/// Requests of version 3 that the server may refuse. They must not lead to an offer.
fn version_3() -> Vec<Case> {
    type Ask = fn(&mut Authenticate);
    let asks: [(&str, Ask); 3] = [
        ("version 3: remote profile management alone is refused", |it| {
            it.later.push((vec![Tag(0xA0)], tlv_bytes(Tag(0x82), &[0x06, 0x40])));
        }),
        ("version 3: device change is refused", |it| {
            it.instead = Some(CtxParams1::CtxParamsForDeviceChange(vec![]));
        }),
        ("version 3: profile recovery is refused", |it| {
            it.instead = Some(CtxParams1::CtxParamsForProfileRecovery(vec![]));
        }),
    ];
    asks.into_iter()
        .map(|(title, ask)| {
            let run = run!(|testbed| {
                let started = testbed.initiate().await?;
                let mut proof = testbed.euicc.authenticate(&started.ok, &testbed.placed_order()?.matching_id);
                ask(&mut proof);
                let answer = testbed.call::<AuthenticateClient>(&proof.request()?).await?;
                ensure(matches!(answer, Answer::Refused(_)), || "a download was offered".to_owned())?;
                testbed.offered().await.during("afterwards, with a download request").map(|_| ())
            });
            case(title, FOR_ANY_EID, run)
        })
        .collect()
}

fn last_attempt() -> Run {
    run!(|testbed| {
        testbed.offered().await?;
        let answer = ask(testbed, &testbed.euicc, &testbed.placed_order()?.matching_id).await?;
        answer.refused("authenticateClient", Status::DownloadAttemptsExceeded)
    })
}

fn installed() -> Run {
    run!(|testbed| {
        let bound = testbed.download().await?;
        testbed.notify(testbed.installed(&bound)).await?;
        let answer = ask(testbed, &testbed.euicc, &testbed.placed_order()?.matching_id).await?;
        answer.refused("authenticateClient", Status::MatchingIdRefused)
    })
}

fn delivered() -> Run {
    run!(|testbed| {
        testbed.download().await?;
        let answer = ask(testbed, &testbed.other_euicc, &testbed.placed_order()?.matching_id).await?;
        answer.refused("authenticateClient", Status::EidNotAllowed)
    })
}

fn one_after_another() -> Run {
    run!(|testbed| {
        let matching_id = &testbed.placed_order()?.matching_id;
        let bound = testbed.download().await?;
        testbed.notify(testbed.installed(&bound)).await?;
        ask(testbed, &testbed.other_euicc, matching_id).await?.done().during("the other eUICC")?;
        ask(testbed, &testbed.euicc, matching_id).await?.done().during("the first eUICC again").map(|_| ())
    })
}

// --- Retries -------------------------------------------------------------------------------------

fn retries() -> Vec<Case> {
    [
        (
            "4.3.14.2.6 TC_SM-DP+_ES9+.AuthenticateClient_RetryCases_Reuse_OTPK #01",
            "default SM-DP+: a retry gets the one-time key of the bound package",
            BY_EID,
        ),
        (
            "4.3.14.2.6 TC_SM-DP+_ES9+.AuthenticateClient_RetryCases_Reuse_OTPK #02",
            "SM-DS: a retry gets the one-time key of the bound package",
            BY_EVENT,
        ),
        (
            "4.3.14.2.6 TC_SM-DP+_ES9+.AuthenticateClient_RetryCases_Reuse_OTPK #03",
            "activation code for the EID: a retry gets the one-time key of the bound package",
            FOR_EID,
        ),
        (
            "4.3.14.2.6 TC_SM-DP+_ES9+.AuthenticateClient_RetryCases_Reuse_OTPK #04",
            "activation code without EID: a retry gets the one-time key of the bound package",
            FOR_ANY_EID,
        ),
    ]
    .into_iter()
    .map(|(id, title, order)| {
        let run = run!(|testbed| {
            let key = testbed.euicc.one_time_key();
            let offered = testbed.offered().await?;
            testbed.bound(&offered, &key).await?;
            check_bpp_otpk(&testbed.offered().await.during("the retry")?, &key)
        });
        case(title, order, run).id(id)
    })
    .collect()
}

fn check_bpp_otpk(offered: &Offered, key: &crypto::SecretKey) -> Verdict {
    let expected = Some(key.public_key().to_sec1().to_vec());
    equal("smdpSigned2.bppEuiccOtpk", &offered.ok.smdp_signed2.bpp_euicc_otpk, &expected)
}
