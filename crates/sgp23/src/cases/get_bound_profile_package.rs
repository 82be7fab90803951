//! Cases of ES9+.GetBoundProfilePackage and of ES8+, which its response contains: SGP.22 sections
//! 5.6.2 and 5.5, SGP.23 section 4.3.13.

use rsp::ids::TransactionId;
use rsp::sgp22::es9plus::{GetBoundProfilePackage, GetBoundProfilePackageRequest};
use rsp::sgp22::es10b::{DownloadErrorCode, PrepareDownloadResponse, PrepareDownloadResponseError};
use rsp::status::Status;

use super::CODE;
use crate::binding::Answer;
use crate::bpp::protected_part;
use crate::case::{Case, Need, Run, run};
use crate::euicc::Prepare;
use crate::order::{Order, ProfileFeatures};
use crate::subject::Scope;
use crate::testbed::Testbed;
use crate::verdict::{During, Verdict, ensure, equal};

const FUNCTION: &str = "ES9+.GetBoundProfilePackage";
const CLAUSE: &str = "5.6.2";
const PACKAGES: &str = "4.3.13.2.1 TC_SM-DP+_ES9+.GetBoundProfilePackageNIST";
const RETRIES: &str = "4.3.13.2.4 TC_SM-DP+_ES9+.GetBoundProfilePackage_RetryCases_ReuseOTPK_NIST";
const ERRORS: &str = "4.3.13.2.10 TC_SM-DP+_ES9+.GetBoundProfilePackage_ErrorCasesNIST";

fn case(title: &str, order: Order, run: Run) -> Case {
    Case::new(FUNCTION, CLAUSE, title, run).order(order)
}

const PLAIN: Order = Order::PLAIN;
const WITH_CODE: Order = Order { confirmation_code: Some(CODE), ..PLAIN };
const PPK: Order = Order { ppk: true, ..PLAIN };
const PPK_WITH_CODE: Order = Order { ppk: true, ..WITH_CODE };

pub(super) fn cases() -> Vec<Case> {
    [packages(), retries(), refusals(), confirmation_codes(), sessions()].into_iter().flatten().collect()
}

// --- Packages ------------------------------------------------------------------------------------

fn packages() -> Vec<Case> {
    let icon = ProfileFeatures { icon: true, ..ProfileFeatures::NONE };
    [
        ("01", "with session keys: the package can be decrypted and is the one in stock", PLAIN),
        ("02", "with session keys and confirmation code", WITH_CODE),
        ("03", "with profile protection keys: ReplaceSessionKeys comes before the package", PPK),
        ("04", "with profile protection keys and confirmation code", PPK_WITH_CODE),
        ("05", "with session keys and metadata in two segments", Order { profile: icon, ..PLAIN }),
        ("06", "with profile protection keys and metadata in two segments", Order { profile: icon, ..PPK }),
    ]
    .into_iter()
    .map(|(id, title, order)| {
        let segments = if order.profile.icon { 2 } else { 1 };
        let run = run!(|testbed| {
            let bound = testbed.download().await?;
            if testbed.server.admin.is_some() {
                equal("the use of profile protection keys", &bound.opened.ppk, &order.ppk)?;
                equal("the number of metadata segments", &bound.opened.metadata_segments, &segments)?;
            }
            Ok(())
        });
        case(title, order, run).id(PACKAGES, id)
    })
    .collect()
}

// --- Retries -------------------------------------------------------------------------------------

fn retries() -> Vec<Case> {
    let ways = [
        ("01", "05", "with session keys", PLAIN),
        ("02", "06", "with session keys and confirmation code", WITH_CODE),
        ("03", "07", "with profile protection keys", PPK),
        ("04", "08", "with profile protection keys and confirmation code", PPK_WITH_CODE),
    ];
    let mut cases = Vec::new();
    for (same, other, what, order) in ways {
        let title = format!("{what}: the same one-time key gets the same package in another session");
        cases.push(case(&title, order, same_key()).id(RETRIES, same));
        let title = format!("{what}: an eUICC with a new one-time key gets a package bound to that key");
        cases.push(case(&title, order, other_key()).id(RETRIES, other));
    }
    cases.push(
        case("the correct confirmation code is accepted after a wrong one", WITH_CODE, second_code())
            .id(RETRIES, "09"),
    );
    cases.push(case(
        "the correct confirmation code is accepted after a wrong one in the same session",
        WITH_CODE,
        second_code_in_one_session(),
    ));
    cases.push(case("a repeated request in one session returns the same package", PLAIN, repeated_request()));
    let bound_once = Order { bound_once: true, ..PLAIN };
    cases.push(case(
        "a package that can be bound only once is refused for another one-time key",
        bound_once,
        refused_to_another_key(),
    ));
    cases
}

fn same_key() -> Run {
    run!(|testbed| {
        let key = testbed.euicc.one_time_key();
        let first = testbed.bound(&testbed.offered().await?, &key).await?;
        let offered = testbed.offered().await.during("the retry")?;
        let second = testbed.bound(&offered, &key).await.during("the retry")?;
        let (first, second) = (protected_part(&first.octets)?, protected_part(&second.octets)?);
        ensure(first == second, || "the retry got other segments for the same one-time key".to_owned())
    })
}

fn other_key() -> Run {
    run!(|testbed| {
        let first = testbed.download().await?;
        let second = testbed.download().await.during("the retry")?;
        ensure(first.opened.channel.smdp_otpk != second.opened.channel.smdp_otpk, || {
            "the retry got the same otPK.DP.ECKA for another one-time key".to_owned()
        })?;
        equal("the metadata of the retry", &second.opened.metadata, &first.opened.metadata)?;
        ensure(first.opened.package == second.opened.package, || "the retry got another package".to_owned())
    })
}

fn second_code() -> Run {
    run!(|testbed| {
        let key = testbed.euicc.one_time_key();
        let offered = testbed.offered().await?;
        let wrong = testbed.prepare(&offered, &key)?.code("0000");
        testbed.refused::<GetBoundProfilePackage>(&wrong.request(), Status::ConfirmationCodeRefused).await?;
        testbed.bound(&testbed.offered().await?, &key).await.map(|_| ())
    })
}

fn second_code_in_one_session() -> Run {
    run!(|testbed| {
        let key = testbed.euicc.one_time_key();
        let offered = testbed.offered().await?;
        let wrong = testbed.prepare(&offered, &key)?.code("0000");
        testbed.refused::<GetBoundProfilePackage>(&wrong.request(), Status::ConfirmationCodeRefused).await?;
        testbed.bound(&offered, &key).await.map(|_| ())
    })
}

fn repeated_request() -> Run {
    run!(|testbed| {
        let key = testbed.euicc.one_time_key();
        let offered = testbed.offered().await?;
        let first = testbed.bound(&offered, &key).await?;
        let second = testbed.bound(&offered, &key).await.during("the second time")?;
        ensure(first.octets == second.octets, || "the second response has another package".to_owned())
    })
}

fn refused_to_another_key() -> Run {
    run!(|testbed| {
        testbed.download().await?;
        let offered = testbed.offered().await.during("the retry")?;
        let request = testbed.prepare(&offered, &testbed.euicc.one_time_key())?.request();
        testbed.refused::<GetBoundProfilePackage>(&request, Status::ProfileUnavailable).await
    })
}

// --- Refusals ------------------------------------------------------------------------------------

type Corrupt = fn(&Testbed<'_>, &mut Prepare);

const REFUSALS: &[(Option<&str>, &str, Status, Corrupt)] = &[
    (Some("01"), "euiccSignature2 is invalid", Status::EuiccVerificationFailed, |_, it| {
        it.corrupt_signature = true
    }),
    (Some("02"), "the TransactionID in the envelope is unknown", Status::TransactionUnknown, |_, it| {
        it.outer = TransactionId(vec![1; 16])
    }),
    (Some("03"), "the TransactionID in euiccSigned2 differs", Status::TransactionUnknown, |_, it| {
        it.signed.transaction_id = TransactionId(vec![1; 16])
    }),
    (None, "euiccSignature2 does not cover smdpSignature2", Status::EuiccVerificationFailed, |_, it| {
        it.smdp_signature2.clear();
    }),
    (None, "euiccSignature2 belongs to another eUICC", Status::EuiccVerificationFailed, |testbed, it| {
        it.key = testbed.other_euicc.credentials.euicc.key.clone();
    }),
    (None, "the one-time key is not a point of the curve", Status::EuiccVerificationFailed, |_, it| {
        if let Some(octet) = it.signed.euicc_otpk.get_mut(40) {
            *octet ^= 1;
        }
    }),
];

fn refusals() -> Vec<Case> {
    REFUSALS
        .iter()
        .map(|(id, title, status, corrupt)| {
            let (status, corrupt) = (*status, *corrupt);
            let run = run!(|testbed| {
                let offered = testbed.offered().await?;
                let mut prepare = testbed.prepare(&offered, &testbed.euicc.one_time_key())?;
                corrupt(testbed, &mut prepare);
                testbed.refused::<GetBoundProfilePackage>(&prepare.request(), status).await?;
                testbed.download().await.during("afterwards, without the defect").map(|_| ())
            });
            case(title, PLAIN, run).id(ERRORS, *id)
        })
        .collect()
}

// --- Confirmation codes --------------------------------------------------------------------------

fn confirmation_codes() -> Vec<Case> {
    let used_up = Order { wrong_confirmation_codes: 2, ..WITH_CODE };
    vec![
        case(
            "a missing confirmation code is refused",
            WITH_CODE,
            run!(|testbed| refused_code(testbed, None, Status::ConfirmationCodeMissing).await),
        )
        .id(ERRORS, "04"),
        case(
            "a wrong confirmation code is refused",
            WITH_CODE,
            run!(|testbed| refused_code(testbed, Some("0000"), Status::ConfirmationCodeRefused).await),
        )
        .id(ERRORS, "05"),
        case(
            "a confirmation code hash of another TransactionID is refused",
            WITH_CODE,
            run!(|testbed| {
                let offered = testbed.offered().await?;
                let mut prepare = testbed.prepare(&offered, &testbed.euicc.one_time_key())?;
                prepare.signed.hash_cc = Some(crypto::hash_cc(CODE, &[1; 16]));
                testbed
                    .refused::<GetBoundProfilePackage>(&prepare.request(), Status::ConfirmationCodeRefused)
                    .await
            }),
        ),
        case(
            "the last allowed wrong confirmation code ends the order",
            used_up,
            run!(|testbed| {
                let offered = testbed.offered().await?;
                let one_time = testbed.euicc.one_time_key();
                let wrong = testbed.prepare(&offered, &one_time)?.code("0000").request();
                testbed
                    .refused::<GetBoundProfilePackage>(&wrong, Status::ConfirmationCodeRetriesExceeded)
                    .await?;
                no_package(testbed, &testbed.prepare(&offered, &one_time)?)
                    .await
                    .during("with the correct code")?;
                testbed.expect_state("Error").await
            }),
        )
        .need(Need::Admin),
        case(
            "the correct code is refused in an older session after the last wrong one",
            used_up,
            run!(|testbed| {
                let early = testbed.offered().await?;
                refused_code(testbed, Some("0000"), Status::ConfirmationCodeRetriesExceeded).await?;
                let right = testbed.prepare(&early, &testbed.euicc.one_time_key())?.request();
                testbed
                    .refused::<GetBoundProfilePackage>(&right, Status::ConfirmationCodeRetriesExceeded)
                    .await
            }),
        ),
    ]
}

async fn refused_code(testbed: &Testbed<'_>, code: Option<&str>, status: Status) -> Verdict {
    let offered = testbed.offered().await?;
    let prepare = testbed.prepare(&offered, &testbed.euicc.one_time_key())?.code(code);
    testbed.refused::<GetBoundProfilePackage>(&prepare.request(), status).await
}

// --- Sessions ------------------------------------------------------------------------------------

async fn no_package(testbed: &Testbed<'_>, prepare: &Prepare) -> Verdict {
    let answer = testbed.call::<GetBoundProfilePackage>(&prepare.request()).await?;
    ensure(matches!(answer, Answer::Refused(_)), || "a package was delivered".to_owned())
}

fn sessions() -> Vec<Case> {
    vec![
        case(
            "no package is delivered after another session has ended the order",
            PLAIN,
            run!(|testbed| {
                let (late, other) = (testbed.offered().await?, testbed.offered().await?);
                let reason = rsp::sgp22::CancelSessionReason::END_USER_REJECTION;
                testbed
                    .cancel(&testbed.euicc.cancel(&other.ok.transaction_id, &other.auth.oid, reason))
                    .await?;
                no_package(testbed, &testbed.prepare(&late, &testbed.euicc.one_time_key())?).await
            }),
        ),
        case(
            "no package is delivered after another eUICC has downloaded it",
            PLAIN,
            run!(|testbed| {
                let second = testbed.with_the_other_euicc();
                let late = second.offered().await?;
                testbed.download().await?;
                no_package(&second, &second.prepare(&late, &second.euicc.one_time_key())?).await
            }),
        ),
        case(
            "no package is delivered before AuthenticateClient",
            PLAIN,
            run!(|testbed| {
                let offered = testbed.offered().await?;
                let started = testbed.initiate().await?;
                let mut early = testbed.prepare(&offered, &testbed.euicc.one_time_key())?;
                early.outer = started.ok.transaction_id.clone();
                early.signed.transaction_id = started.ok.transaction_id;
                testbed.refused::<GetBoundProfilePackage>(&early.request(), Status::TransactionUnknown).await
            }),
        ),
        case(
            "an error response of the eUICC gets no package and keeps the order",
            PLAIN,
            run!(|testbed| {
                let offered = testbed.offered().await?;
                let transaction_id = offered.ok.transaction_id;
                let refusal = GetBoundProfilePackageRequest {
                    transaction_id: transaction_id.clone(),
                    prepare_download_response: PrepareDownloadResponse::DownloadResponseError(
                        PrepareDownloadResponseError {
                            transaction_id,
                            download_error_code: DownloadErrorCode::INVALID_SIGNATURE,
                        },
                    ),
                };
                // The standard defines no status for this. The case only requires a refusal.
                let answer = testbed.call::<GetBoundProfilePackage>(&refusal).await?;
                ensure(matches!(answer, Answer::Refused(_)), || {
                    "a package was delivered for an error response of the eUICC".to_owned()
                })?;
                testbed.download().await.during("afterwards, in a new session").map(|_| ())
            }),
        ),
        case(
            "no package is delivered after the order was cancelled",
            PLAIN,
            run!(|testbed| {
                let offered = testbed.offered().await?;
                let operator = testbed.operator()?;
                operator
                    .cancel(&operator.cancellation(testbed.iccid()?))
                    .await?
                    .done()
                    .during("CancelOrder")?;
                let request = testbed.prepare(&offered, &testbed.euicc.one_time_key())?.request();
                let answer = testbed.call::<GetBoundProfilePackage>(&request).await?;
                ensure(matches!(answer, Answer::Refused(_)), || {
                    "the package of a cancelled order was delivered".to_owned()
                })
            }),
        )
        .need(Need::Operator)
        .scope(Scope::Json),
    ]
}
