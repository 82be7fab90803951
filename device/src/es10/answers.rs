//! Result codes of the ES10 functions, and the values that are refusals.

use std::fmt;

use rsp::der::Raw;
use rsp::sgp22::es8plus::{FinalResult, ProfileInstallationResult};
use rsp::sgp22::es10b::{
    AuthenticateServerResponse, CancelSessionResponse, DeleteNotificationStatus,
    EuiccConfiguredAddressesResponse, GetEuiccChallengeResponse, GetRatResponse, ListNotificationResponse,
    NotificationSentResponse, NotificationsListResultError, PrepareDownloadResponse,
    RetrieveNotificationsListResponse, SetDefaultDpAddressResponse, SetDefaultDpAddressResult,
};
use rsp::sgp22::es10c::{
    DeleteProfileResponse, DeleteResult, DisableProfileResponse, DisableResult, EnableProfileResponse,
    EnableResult, EuiccMemoryResetResponse, GetEuiccDataResponse, ProfileInfoListResponse, ResetResult,
    SetNicknameResponse, SetNicknameResult,
};
use rsp::sgp22::{EuiccInfo1, EuiccInfo2};
use world::Outcome;

/// A result code other than "ok".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResultCode {
    /// The number in the standard's ASN.1.
    pub number: i64,
    /// The name in the standard, if this program knows it.
    pub name: Option<&'static str>,
}

impl fmt::Display for ResultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => write!(f, "{}({})", name.to_lowercase().replace('_', "-"), self.number),
            None => write!(f, "error {}", self.number),
        }
    }
}

/// A response that can be a refusal.
pub(super) trait Verdict {
    /// Returns the result code, if it is a refusal.
    fn refusal(&self) -> Option<ResultCode> {
        None
    }
}

impl<T: Verdict> Verdict for Raw<T> {
    fn refusal(&self) -> Option<ResultCode> {
        T::refusal(self)
    }
}

impl Verdict for EuiccConfiguredAddressesResponse {}
impl Verdict for GetEuiccChallengeResponse {}
impl Verdict for EuiccInfo1 {}
impl Verdict for EuiccInfo2 {}
impl Verdict for GetRatResponse {}
impl Verdict for GetEuiccDataResponse {}

/// Functions whose response is an integer with named values.
macro_rules! named_number {
    ($($response:ident . $field:ident: $codes:ident),+ $(,)?) => { $(
        impl Verdict for $response {
            fn refusal(&self) -> Option<ResultCode> {
                let code = self.$field;
                (code != $codes::OK).then(|| ResultCode { number: code.0, name: code.name() })
            }
        }
    )+ };
}

pub(super) use named_number;

named_number! {
    NotificationSentResponse.delete_notification_status: DeleteNotificationStatus,
    SetDefaultDpAddressResponse.set_default_dp_address_result: SetDefaultDpAddressResult,
    EnableProfileResponse.enable_result: EnableResult,
    DisableProfileResponse.disable_result: DisableResult,
    DeleteProfileResponse.delete_result: DeleteResult,
    EuiccMemoryResetResponse.reset_result: ResetResult,
    SetNicknameResponse.set_nickname_result: SetNicknameResult,
}

impl Verdict for AuthenticateServerResponse {
    fn refusal(&self) -> Option<ResultCode> {
        match self {
            Self::AuthenticateResponseOk(_) => None,
            Self::AuthenticateResponseError(error) => {
                let code = error.authenticate_error_code;
                Some(ResultCode { number: code.0, name: code.name() })
            }
        }
    }
}

impl Verdict for PrepareDownloadResponse {
    fn refusal(&self) -> Option<ResultCode> {
        match self {
            Self::DownloadResponseOk(_) => None,
            Self::DownloadResponseError(error) => {
                let code = error.download_error_code;
                Some(ResultCode { number: code.0, name: code.name() })
            }
        }
    }
}

impl Verdict for CancelSessionResponse {
    fn refusal(&self) -> Option<ResultCode> {
        match self {
            Self::CancelSessionResponseOk(_) => None,
            Self::CancelSessionResponseError(code) => Some(ResultCode { number: code.0, name: code.name() }),
        }
    }
}

impl Verdict for ListNotificationResponse {
    fn refusal(&self) -> Option<ResultCode> {
        match self {
            Self::NotificationMetadataList(_) => None,
            Self::ListNotificationsResultError(number) => Some(ResultCode { number: *number, name: None }),
        }
    }
}

impl Verdict for RetrieveNotificationsListResponse {
    fn refusal(&self) -> Option<ResultCode> {
        match self {
            // "None available" is not a refusal.
            Self::NotificationList(_)
            | Self::NotificationsListResultError(NotificationsListResultError::NO_RESULT_AVAILABLE) => None,
            Self::NotificationsListResultError(code) => {
                Some(ResultCode { number: code.0, name: code.name() })
            }
        }
    }
}

impl Verdict for ProfileInfoListResponse {
    fn refusal(&self) -> Option<ResultCode> {
        match self {
            Self::ProfileInfoListOk(_) => None,
            Self::ProfileInfoListError(code) => Some(ResultCode { number: code.0, name: code.name() }),
        }
    }
}

/// Returns the outcome of a ProfileInstallationResult for the timeline.
pub(super) fn installation_refused(result: &ProfileInstallationResult) -> Outcome {
    match &result.profile_installation_result_data.final_result {
        FinalResult::SuccessResult(_) => Outcome::Done,
        FinalResult::ErrorResult(error) => {
            Outcome::Refused(format!("{} at {}", error.error_reason, error.bpp_command_id))
        }
    }
}

#[cfg(test)]
mod tests {
    use rsp::ids::TransactionId;
    use rsp::sgp22::es10b::{
        AuthenticateErrorCode, AuthenticateResponseError, CancelSessionError, DownloadErrorCode,
        PrepareDownloadResponseError,
    };
    use rsp::sgp22::es10c::ProfileInfoListError;
    use rsp::sgp32::es10b as sgp32;
    use rsp::sgp32::result::AddEimResultCode;

    use super::*;

    #[test]
    fn a_response_is_a_refusal_unless_its_result_is_ok() {
        let number = |response: &dyn Verdict| response.refusal().map(|code| code.number);
        for code in 0..=6 {
            let enable = EnableProfileResponse { enable_result: EnableResult(code) };
            let reset = EuiccMemoryResetResponse { reset_result: ResetResult(code) };
            let expected = Some(code).filter(|code| *code != 0);
            assert_eq!((number(&enable), number(&reset)), (expected, expected));
        }
        let error = AuthenticateResponseError {
            transaction_id: TransactionId(vec![1]),
            authenticate_error_code: AuthenticateErrorCode::INVALID_SIGNATURE,
        };
        let response = AuthenticateServerResponse::AuthenticateResponseError(error);
        let refused = response.refusal().unwrap();
        assert_eq!(refused.to_string(), format!("invalid-signature({})", refused.number));
        assert_eq!(number(&Raw::new(response)), Some(refused.number));

        let prepared = PrepareDownloadResponse::DownloadResponseError(PrepareDownloadResponseError {
            transaction_id: TransactionId(vec![1]),
            download_error_code: DownloadErrorCode::UNDEFINED_ERROR,
        });
        let cancelled =
            CancelSessionResponse::CancelSessionResponseError(CancelSessionError::UNDEFINED_ERROR);
        let added = sgp32::AddInitialEimResponse::AddInitialEimError(AddEimResultCode::UNDEFINED_ERROR);
        let certs = sgp32::GetCertsResponse::GetCertsError(sgp32::GetCertsError::UNDEFINED_ERROR);
        let profiles = ProfileInfoListResponse::ProfileInfoListError(ProfileInfoListError(127));
        let list = ListNotificationResponse::ListNotificationsResultError(127);
        let refusals: [&dyn Verdict; 6] = [&prepared, &cancelled, &added, &certs, &profiles, &list];
        for (at, refusal) in refusals.into_iter().enumerate() {
            assert_eq!(number(refusal), Some(127), "{at}");
        }
    }

    /// SGP.22 section 5.7.10 and SGP.32 section 5.9.11: an IoT eUICC returns an empty list instead.
    #[test]
    fn a_list_without_notifications_is_no_refusal() {
        let number = |response: &dyn Verdict| response.refusal().map(|code| code.number);
        let of = |code| {
            RetrieveNotificationsListResponse::NotificationsListResultError(NotificationsListResultError(
                code,
            ))
        };
        assert_eq!((number(&of(1)), number(&of(127))), (None, Some(127)));
        let code = sgp32::NotificationsListResultError::UNDEFINED_ERROR;
        let iot = sgp32::RetrieveNotificationsListResponse::NotificationsListResultError(code);
        assert_eq!(number(&iot), Some(127));
        assert_eq!(number(&sgp32::RetrieveNotificationsListResponse::NotificationList(vec![])), None);
    }
}
