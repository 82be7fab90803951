//! Cases of downloads: the trigger (SGP.32 section 2.11.1.3), and the download through the eIM
//! (section 3.2.3.2) with ESipa.InitiateAuthentication, AuthenticateClient, GetBoundProfilePackage
//! and CancelSession.

use std::fmt::Display;

use rsp::der::{Null, Raw};
use rsp::ids::{SmdpAddress, TransactionId};
use rsp::sgp32::PendingNotification;
use rsp::sgp32::compact::{
    AuthenticateServerResponse, CompactProfileInstallationResult, PrepareDownloadResponse,
};
use rsp::sgp32::esipa::{
    AuthenticateClientError, AuthenticateClientResponse, CancelSessionError, CancelSessionResponse,
    EimPackageResult, GetBoundProfilePackageError, GetBoundProfilePackageResponse, GetEimPackageResponse,
    HandleNotificationRequest, InitiateAuthenticationError, InitiateAuthenticationResponse,
};
use rsp::sgp32::ipa_data::{
    ContactSmds, ProfileDownloadData, ProfileDownloadError, ProfileDownloadErrorReason,
    ProfileDownloadTriggerResult, ProfileDownloadTriggerResultData,
};
use sgp23::{Binding, Stop, Verdict, ensure, equal};

use crate::eim::case::{Case, Need, Run, run};
use crate::eim::download::{Form, Trigger};
use crate::eim::esipa::acknowledged;
use crate::eim::operator::Operation;
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
            TRIGGER,
            "2.11.2.3",
            "the result of a download with an unknown eimTransactionId does not end the order",
            wrong_transaction(),
        ),
        Case::new(
            TRIGGER,
            "2.11.1.3",
            "a download from the default SM-DP+ is triggered without an address",
            default_smdp(),
        )
        .need(Need::Operator),
        Case::new(
            TRIGGER,
            "2.11.1.3",
            "the download of an event is triggered with the address of the SM-DS",
            event(),
        )
        .need(Need::Operator),
        case(
            TRIGGER,
            "2.11.1.3",
            "a download whose activation code the eIM keeps is triggered without it",
            run!(|testbed| testbed.triggered_without_code().await.map(|_| ())),
        ),
        case(
            PACKAGE,
            "3.2.3.2, 5.14.1 to 5.14.3",
            "the eUICC installs the profile, and its result is accepted",
            download(Code::Sent, Form::Whole),
        ),
        case(
            PACKAGE,
            "3.2.3.2, 5.14.1 to 5.14.3",
            "the eUICC installs the profile of an activation code that the eIM keeps",
            download(Code::Kept, Form::Whole),
        ),
        case(
            PACKAGE,
            "5.14.1 to 5.14.3",
            "unknown elements of a later version are ignored during a download",
            unknown_elements(),
        ),
        case(
            NOTIFY,
            "3.2.3.2, 5.14.2, 5.14.3, 5.14.7",
            "with compact forms the eUICC installs the profile, and its compact result is accepted",
            download(Code::Sent, Form::Compact),
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
        case(CANCEL, "5.14.8", "a cancelled session is ended", cancellation(Form::Whole)),
        case(
            CANCEL,
            "5.14.8",
            "a session that is cancelled in the compact form is ended",
            cancellation(Form::Compact),
        ),
        case(
            CANCEL,
            "5.14.8",
            "an unknown TransactionID is refused: invalidTransactionId",
            unknown_cancellation(),
        ),
    ]
}

/// The result of a download that failed.
fn failure(id: Option<TransactionId>) -> EimPackageResult {
    let error = ProfileDownloadError {
        profile_download_error_reason: Some(ProfileDownloadErrorReason::UNDEFINED_ERROR),
        error_response: None,
    };
    EimPackageResult::ProfileDownloadTriggerResult(ProfileDownloadTriggerResult {
        eim_transaction_id: id,
        profile_download_trigger_result_data: ProfileDownloadTriggerResultData::ProfileDownloadError(error),
    })
}

fn failed_download() -> Run {
    run!(|testbed| {
        let trigger = testbed.triggered().await?;
        acknowledged(&testbed.provide(failure(trigger.request.eim_transaction_id)).await?)?;
        testbed.expect_no_package().await
    })
}

fn wrong_transaction() -> Run {
    run!(|testbed| {
        let trigger = testbed.triggered().await?;
        // The eIM may refuse or acknowledge it: no order is meant.
        testbed.provide(failure(Some(Testbed::unknown_transaction()))).await?;
        let expected = GetEimPackageResponse::ProfileDownloadTriggerRequest(trigger.request);
        equal("the next package", &testbed.poll().await?, &expected)
    })
}

fn default_smdp() -> Run {
    run!(|testbed| {
        let trigger = testbed.trigger_of(Operation::DownloadDefault).await?;
        let expected = Some(ProfileDownloadData::ContactDefaultSmdp(Null));
        equal("profileDownloadData", &trigger.profile_download_data, &expected)
    })
}

fn event() -> Run {
    run!(|testbed| {
        let address: SmdpAddress =
            "smds.other.example".parse().map_err(|_| Stop::needs("the address of an SM-DS"))?;
        let trigger = testbed.trigger_of(Operation::DownloadEvent(address.clone())).await?;
        let expected =
            ProfileDownloadData::ContactSmds(ContactSmds { smds_address: Some(address.to_string()) });
        equal("profileDownloadData", &trigger.profile_download_data, &Some(expected))
    })
}

/// The place of the activation code.
#[derive(Clone, Copy)]
enum Code {
    Sent,
    Kept,
}

fn download(code: Code, form: Form) -> Run {
    run!(|testbed| {
        let trigger = match code {
            Code::Sent => testbed.triggered().await?,
            Code::Kept => testbed.triggered_without_code().await?,
        };
        install(testbed, trigger, form).await
    })
}

fn unknown_elements() -> Run {
    run!(|testbed| {
        let trigger = testbed.triggered().await?;
        testbed.adds_unknown = true;
        install(testbed, trigger, Form::Whole).await
    })
}

/// Downloads and installs the profile of a trigger, and delivers the result.
pub(super) async fn install(testbed: &mut Testbed<'_>, trigger: Trigger, form: Form) -> Verdict {
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

fn cancellation(form: Form) -> Run {
    run!(|testbed| {
        let trigger = testbed.triggered().await?;
        let session = testbed.session(&trigger, Form::Whole).await?;
        let offered = testbed.offered(&session).await?;
        let prepared = testbed.prepared(&offered, Form::Whole).await?;
        match testbed.cancelled(&session.id, &session.id, form).await? {
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
        let refusal =
            match testbed.cancelled(&session.id, &Testbed::unknown_transaction(), Form::Whole).await? {
                CancelSessionResponse::Ok(_) => None,
                CancelSessionResponse::Error(code) => Some(code),
            };
        use CancelSessionError as Code;
        expect_code(testbed, refusal, Code::INVALID_TRANSACTION_ID, Code::UNDEFINED_ERROR)
    })
}
