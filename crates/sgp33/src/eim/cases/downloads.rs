//! Cases of downloads: the trigger (SGP.32 section 2.11.1.3), and the download through the eIM
//! (section 3.2.3.2) with ESipa.InitiateAuthentication, AuthenticateClient, GetBoundProfilePackage
//! and CancelSession.

use std::fmt::Display;

use rsp::der::Raw;
use rsp::sgp32::PendingNotification;
use rsp::sgp32::compact::{
    AuthenticateServerResponse, CompactProfileInstallationResult, PrepareDownloadResponse,
};
use rsp::sgp32::esipa::{
    AuthenticateClientError, AuthenticateClientResponse, CancelSessionError, CancelSessionResponse,
    EimPackageResult, GetBoundProfilePackageError, GetBoundProfilePackageResponse, HandleNotificationRequest,
    InitiateAuthenticationError, InitiateAuthenticationResponse,
};
use rsp::sgp32::ipa_data::{
    ProfileDownloadError, ProfileDownloadErrorReason, ProfileDownloadTriggerResult,
    ProfileDownloadTriggerResultData,
};
use sgp23::{Binding, Stop, Verdict, ensure};

use crate::eim::case::{Case, Need, Run, run};
use crate::eim::download::Form;
use crate::eim::esipa::acknowledged;
use crate::eim::testbed::Testbed;

const TRIGGER: &str = "ESipa.GetEimPackage";
const INITIATE: &str = "ESipa.InitiateAuthentication";
const AUTHENTICATE: &str = "ESipa.AuthenticateClient";
const PACKAGE: &str = "ESipa.GetBoundProfilePackage";
const CANCEL: &str = "ESipa.CancelSession";
const NOTIFY: &str = "ESipa.HandleNotification";

pub(super) fn cases() -> Vec<Case> {
    let case = |function, clause, title: &str, run| {
        Case::new(function, clause, title, run).need(Need::Operator).need(Need::ActivationCode)
    };
    vec![
        case(
            TRIGGER,
            "2.11.1.3, 2.11.2.3",
            "a download is triggered with its activation code, and its failure is accepted",
            failed_download(),
        ),
        case(
            PACKAGE,
            "3.2.3.2, 5.14.1 to 5.14.3",
            "the eUICC installs the profile, and its result is accepted",
            download(Form::Whole),
        ),
        case(
            NOTIFY,
            "3.2.3.2, 5.14.2, 5.14.3, 5.14.7",
            "with compact forms the eUICC installs the profile, and its compact result is accepted",
            download(Form::Compact),
        ),
        case(
            INITIATE,
            "5.14.1",
            "an unknown eimTransactionId is refused: invalidEimTransactionId",
            unknown_trigger(),
        ),
        case(
            AUTHENTICATE,
            "5.14.3",
            "an unknown TransactionID is refused: invalidTransactionId",
            unknown_session(),
        ),
        case(
            AUTHENTICATE,
            "5.14.3",
            "an invalid euiccSignature1 is refused: euiccSignatureInvalid",
            invalid_signature1(),
        ),
        case(
            PACKAGE,
            "5.14.2",
            "an unknown TransactionID is refused: invalidTransactionId",
            unknown_session_of_package(),
        ),
        case(
            PACKAGE,
            "5.14.2",
            "an invalid euiccSignature2 is refused: euiccSignatureInvalid",
            invalid_signature2(),
        ),
        case(CANCEL, "5.14.8", "a cancelled session is ended", cancellation()),
        case(
            CANCEL,
            "5.14.8",
            "an unknown TransactionID is refused: invalidTransactionId",
            unknown_cancellation(),
        ),
    ]
}

fn failed_download() -> Run {
    run!(|testbed| {
        let trigger = testbed.triggered().await?;
        let error = ProfileDownloadError {
            profile_download_error_reason: Some(ProfileDownloadErrorReason::UNDEFINED_ERROR),
            error_response: None,
        };
        let result = ProfileDownloadTriggerResult {
            eim_transaction_id: trigger.request.eim_transaction_id,
            profile_download_trigger_result_data: ProfileDownloadTriggerResultData::ProfileDownloadError(
                error,
            ),
        };
        let reply = testbed.provide(EimPackageResult::ProfileDownloadTriggerResult(result)).await?;
        acknowledged(&reply)?;
        testbed.expect_no_package().await
    })
}

fn download(form: Form) -> Run {
    run!(|testbed| {
        let trigger = testbed.triggered().await?;
        let result = testbed.downloaded(&trigger, form).await?;
        if form == Form::Compact {
            let compact = CompactProfileInstallationResult::of(&result)
                .ok_or_else(|| Stop::needs("a result with a compact form"))?;
            let compact = Raw::new(PendingNotification::CompactProfileInstallationResult(compact));
            let request = HandleNotificationRequest::PendingNotification(Box::new(compact));
            let status = testbed.notify(&request).await?;
            return ensure(status == http::StatusCode::NO_CONTENT, || {
                format!("HTTP status {status}, expected 204")
            });
        }
        let data = ProfileDownloadTriggerResultData::ProfileInstallationResult(Box::new(result));
        let result = ProfileDownloadTriggerResult {
            eim_transaction_id: trigger.request.eim_transaction_id,
            profile_download_trigger_result_data: data,
        };
        let reply = testbed.provide(EimPackageResult::ProfileDownloadTriggerResult(result)).await?;
        acknowledged(&reply)?;
        testbed.expect_no_package().await
    })
}

/// Checks the code of a refusal. In JSON only some codes have a status of their own, so that
/// undefinedError is accepted.
fn expect_code<C: PartialEq + Display>(
    testbed: &Testbed<'_>,
    found: Option<C>,
    expected: C,
    undefined: C,
) -> Verdict {
    let Some(code) = found else { return Err(Stop::failed(format!("accepted, expected {expected}"))) };
    let is_met = code == expected || (testbed.binding == Binding::Json && code == undefined);
    ensure(is_met, || format!("refused with {code}, expected {expected}"))
}

fn unknown_trigger() -> Run {
    run!(|testbed| {
        let trigger = testbed.triggered().await?;
        let mut request = testbed.initiation(&trigger).await?;
        request.eim_transaction_id = Some(Testbed::unknown_transaction());
        let refusal = match testbed.initiate(&request).await? {
            InitiateAuthenticationResponse::Ok(_) => None,
            InitiateAuthenticationResponse::Error(code) => Some(code),
        };
        use InitiateAuthenticationError as Code;
        expect_code(testbed, refusal, Code::INVALID_EIM_TRANSACTION_ID, Code::UNDEFINED_ERROR)
    })
}

fn refusal_of_authentication(reply: AuthenticateClientResponse) -> Option<AuthenticateClientError> {
    match reply {
        AuthenticateClientResponse::Error(code) => Some(code),
        AuthenticateClientResponse::OkDp(_) | AuthenticateClientResponse::OkDs(_) => None,
    }
}

fn refusal_of_package(reply: GetBoundProfilePackageResponse) -> Option<GetBoundProfilePackageError> {
    match reply {
        GetBoundProfilePackageResponse::Error(code) => Some(code),
        GetBoundProfilePackageResponse::Ok(_) => None,
    }
}

fn unknown_session() -> Run {
    run!(|testbed| {
        let trigger = testbed.triggered().await?;
        let session = testbed.session(&trigger, Form::Whole).await?;
        let reply = testbed.authenticate(&Testbed::unknown_transaction(), session.response.clone()).await?;
        use AuthenticateClientError as Code;
        let refusal = refusal_of_authentication(reply);
        expect_code(testbed, refusal, Code::INVALID_TRANSACTION_ID, Code::UNDEFINED_ERROR)?;
        testbed.offered(&session).await.map(|_| ())
    })
}

fn invalid_signature1() -> Run {
    run!(|testbed| {
        let trigger = testbed.triggered().await?;
        let session = testbed.session(&trigger, Form::Whole).await?;
        let AuthenticateServerResponse::AuthenticateResponseOk(mut ok) = session.response else {
            return Err(Stop::needs("a whole response of the card"));
        };
        if let Some(octet) = ok.euicc_signature1.last_mut() {
            *octet ^= 1;
        }
        let forged = AuthenticateServerResponse::AuthenticateResponseOk(ok);
        let refusal = refusal_of_authentication(testbed.authenticate(&session.id, forged).await?);
        use AuthenticateClientError as Code;
        expect_code(testbed, refusal, Code::EUICC_SIGNATURE_INVALID, Code::UNDEFINED_ERROR)
    })
}

fn unknown_session_of_package() -> Run {
    run!(|testbed| {
        let trigger = testbed.triggered().await?;
        let session = testbed.session(&trigger, Form::Whole).await?;
        let offered = testbed.offered(&session).await?;
        let prepared = testbed.prepared(&offered, Form::Whole).await?;
        let reply = testbed.bound(&Testbed::unknown_transaction(), prepared.clone()).await?;
        use GetBoundProfilePackageError as Code;
        let refusal = refusal_of_package(reply);
        expect_code(testbed, refusal, Code::INVALID_TRANSACTION_ID, Code::UNDEFINED_ERROR)?;
        match testbed.bound(&session.id, prepared).await? {
            GetBoundProfilePackageResponse::Ok(_) => Ok(()),
            GetBoundProfilePackageResponse::Error(code) => {
                Err(Stop::failed(format!("with the correct TransactionID: refused with {code}")))
            }
        }
    })
}

fn invalid_signature2() -> Run {
    run!(|testbed| {
        let trigger = testbed.triggered().await?;
        let session = testbed.session(&trigger, Form::Whole).await?;
        let offered = testbed.offered(&session).await?;
        let PrepareDownloadResponse::DownloadResponseOk(mut ok) =
            testbed.prepared(&offered, Form::Whole).await?
        else {
            return Err(Stop::needs("a whole response of the card"));
        };
        if let Some(octet) = ok.euicc_signature2.last_mut() {
            *octet ^= 1;
        }
        let forged = PrepareDownloadResponse::DownloadResponseOk(ok);
        let refusal = refusal_of_package(testbed.bound(&session.id, forged).await?);
        use GetBoundProfilePackageError as Code;
        expect_code(testbed, refusal, Code::EUICC_SIGNATURE_INVALID, Code::UNDEFINED_ERROR)
    })
}

fn cancellation() -> Run {
    run!(|testbed| {
        let trigger = testbed.triggered().await?;
        let session = testbed.session(&trigger, Form::Whole).await?;
        let offered = testbed.offered(&session).await?;
        let prepared = testbed.prepared(&offered, Form::Whole).await?;
        match testbed.cancelled(&session.id, &session.id).await? {
            CancelSessionResponse::Ok(_) => {}
            CancelSessionResponse::Error(code) => {
                return Err(Stop::failed(format!("refused with {code}, expected success")));
            }
        }
        use GetBoundProfilePackageError as Code;
        let refusal = refusal_of_package(testbed.bound(&session.id, prepared).await?);
        expect_code(testbed, refusal, Code::INVALID_TRANSACTION_ID, Code::UNDEFINED_ERROR)
    })
}

fn unknown_cancellation() -> Run {
    run!(|testbed| {
        let trigger = testbed.triggered().await?;
        let session = testbed.session(&trigger, Form::Whole).await?;
        testbed.offered(&session).await?;
        let refusal = match testbed.cancelled(&session.id, &Testbed::unknown_transaction()).await? {
            CancelSessionResponse::Ok(_) => None,
            CancelSessionResponse::Error(code) => Some(code),
        };
        use CancelSessionError as Code;
        expect_code(testbed, refusal, Code::INVALID_TRANSACTION_ID, Code::UNDEFINED_ERROR)
    })
}
