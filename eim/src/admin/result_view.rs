//! Results as the API shows them: the octets that the eUICC signed, and what they mean.

use rsp::{
    der::Asn1,
    ids::Iccid,
    sgp22::{
        es8plus::{FinalResult, ProfileInstallationResult},
        es10c::{ProfileInfo, ProfileInfoListResponse},
    },
    sgp32::{
        EuiccPackageResult, EuiccResultData,
        eim_configuration::EimIdInfo,
        esipa::EimPackageResultErrorCode,
        ipa_data::{
            IpaEuiccDataErrorCode, IpaEuiccDataResponse, ProfileDownloadErrorReason,
            ProfileDownloadTriggerResult, ProfileDownloadTriggerResultData,
        },
        result::{AddEimResult, DeleteEimResult, ListEimResult},
    },
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::records::{Octets, Outcome, Package};

/// The result of an order.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResultView {
    /// True if everything that was ordered was done.
    succeeded: bool,
    /// The time at which the eIM received the result.
    at: Timestamp,
    /// The result of each operation, in the order of the package. Empty for data and downloads.
    operations: Vec<OperationView>,
    /// The reason why the package, the request or the download failed as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<CodeView>,
    /// The profile that a download installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    installed: Option<Iccid>,
    /// The result as it was received, DER.
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<Octets>,
}

/// The result of an operation.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct OperationView {
    /// The name of the operation in the standard.
    operation: &'static str,
    /// The code, if the result is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<CodeView>,
    /// The profiles that listProfileInfo returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    profiles: Option<Vec<ProfileInfo>>,
    /// The eIMs that listEim returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    eims: Option<Vec<EimIdInfo>>,
    /// The association token that addEim returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    association_token: Option<i64>,
    #[serde(skip)]
    is_success: bool,
}

/// A code of the standard.
#[derive(Serialize, JsonSchema)]
struct CodeView {
    /// The number.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<i64>,
    /// The meaning.
    meaning: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Describes a code.
macro_rules! code {
    ($code:expr) => {{
        let code = $code;
        CodeView {
            number: Some(code.0),
            meaning: code.meaning().unwrap_or("The code is not defined.").to_owned(),
            next: code.next().map(str::to_owned),
        }
    }};
}

impl ResultView {
    pub(super) fn of(at: Timestamp, outcome: &Outcome, package: &Package) -> Self {
        let mut view = Self {
            succeeded: false,
            at,
            operations: Vec::new(),
            error: None,
            installed: None,
            received: match outcome {
                Outcome::EuiccPackage(octets)
                | Outcome::Data(octets)
                | Outcome::Download(octets)
                | Outcome::Installation(octets) => Some(octets.clone()),
                Outcome::RefusedByIpa(_) | Outcome::NotSent(_) => None,
            },
        };
        match outcome {
            Outcome::EuiccPackage(octets) => view.add_package_result(&octets.0, package),
            Outcome::Data(octets) => view.add_data(&octets.0),
            Outcome::Download(octets) => view.add_download(&octets.0),
            Outcome::Installation(octets) => view.add_installation(&octets.0),
            Outcome::RefusedByIpa(code) => view.error = Some(code!(EimPackageResultErrorCode(*code))),
            Outcome::NotSent(why) => {
                view.error = Some(CodeView { number: None, meaning: why.clone(), next: None });
            }
        }
        view
    }

    fn add_package_result(&mut self, octets: &[u8], package: &Package) {
        let ordered = match package {
            Package::ProfileOperations(operations) => operations.len(),
            Package::EimOperations(operations) => operations.len(),
            Package::Data(_) | Package::Download(_) => 0,
        };
        match EuiccPackageResult::from_der(octets) {
            Ok(EuiccPackageResult::EuiccPackageResultSigned(result)) => {
                let results = &result.euicc_package_result_data_signed.euicc_result;
                self.operations = results.iter().map(|result| operation(result.decode().ok())).collect();
                self.succeeded = self.operations.len() >= ordered
                    && self.operations.iter().all(|operation| operation.is_success);
            }
            Ok(EuiccPackageResult::EuiccPackageErrorSigned(error)) => {
                self.error = Some(code!(error.euicc_package_error_data_signed.euicc_package_error_code));
            }
            Ok(EuiccPackageResult::EuiccPackageErrorUnsigned(error)) => {
                let code = error.euicc_package_unsigned_error_code;
                self.error = Some(code.map_or_else(unknown_to_card, |code| code!(code)));
            }
            Err(error) => self.error = Some(undecodable(&error)),
        }
    }

    fn add_data(&mut self, octets: &[u8]) {
        let refused = |code: IpaEuiccDataErrorCode| Some(code!(code));
        match IpaEuiccDataResponse::from_der(octets) {
            Ok(IpaEuiccDataResponse::IpaEuiccData(_)) => self.succeeded = true,
            Ok(IpaEuiccDataResponse::IpaEuiccDataResponseError(error)) => {
                self.error = refused(error.ipa_euicc_data_error_code);
            }
            Ok(IpaEuiccDataResponse::IpaEuiccDataError(code)) => self.error = refused(code),
            Err(error) => self.error = Some(undecodable(&error)),
        }
    }

    fn add_download(&mut self, octets: &[u8]) {
        match ProfileDownloadTriggerResult::from_der(octets) {
            Ok(result) => match result.profile_download_trigger_result_data {
                ProfileDownloadTriggerResultData::ProfileInstallationResult(result) => {
                    self.add_installation_of(&result);
                }
                ProfileDownloadTriggerResultData::ProfileDownloadError(error) => {
                    let reason = error.profile_download_error_reason;
                    self.error = Some(code!(reason.unwrap_or(ProfileDownloadErrorReason::UNDEFINED_ERROR)));
                }
            },
            Err(error) => self.error = Some(undecodable(&error)),
        }
    }

    fn add_installation(&mut self, octets: &[u8]) {
        match ProfileInstallationResult::from_der(octets) {
            Ok(result) => self.add_installation_of(&result),
            Err(error) => self.error = Some(undecodable(&error)),
        }
    }

    fn add_installation_of(&mut self, result: &ProfileInstallationResult) {
        let data = &result.profile_installation_result_data;
        match &data.final_result {
            FinalResult::SuccessResult(_) => {
                self.succeeded = true;
                self.installed = data.notification_metadata.iccid;
            }
            FinalResult::ErrorResult(error) => {
                self.error = Some(CodeView {
                    number: Some(error.error_reason.0),
                    meaning: format!("The eUICC failed at {}: {}.", error.bpp_command_id, error.error_reason),
                    next: error.error_reason.next().map(str::to_owned),
                });
            }
        }
    }
}

fn unknown_to_card() -> CodeView {
    CodeView {
        number: None,
        meaning: "The eUICC does not know the eIM, or the signature of the package does not verify.".to_owned(),
        next: Some(
            "compare the association on the eUICC with the device; the eIM requests the data of the device again"
                .to_owned(),
        ),
    }
}

fn undecodable(error: &rsp::der::DecodeError) -> CodeView {
    CodeView { number: None, meaning: format!("The result cannot be decoded: {error}."), next: None }
}

/// Describes the result of an operation. `None` is one that cannot be decoded.
fn operation(result: Option<rsp::der::Raw<EuiccResultData>>) -> OperationView {
    let mut view = OperationView {
        operation: "unknown",
        code: None,
        profiles: None,
        eims: None,
        association_token: None,
        is_success: true,
    };
    let Some(result) = result else {
        return OperationView { is_success: false, ..view };
    };
    let (name, code) = match result.into_value() {
        EuiccResultData::EnableResult(code) => ("enable", Some(code!(code))),
        EuiccResultData::DisableResult(code) => ("disable", Some(code!(code))),
        EuiccResultData::DeleteResult(code) => ("delete", Some(code!(code))),
        EuiccResultData::ListProfileInfoResult(ProfileInfoListResponse::ProfileInfoListOk(list)) => {
            view.profiles = Some(list.0);
            ("listProfileInfo", None)
        }
        EuiccResultData::ListProfileInfoResult(ProfileInfoListResponse::ProfileInfoListError(code)) => {
            ("listProfileInfo", Some(code!(code)))
        }
        EuiccResultData::GetRatResult(_) => ("getRAT", None),
        EuiccResultData::ConfigureImmediateEnableResult(code) => {
            ("configureImmediateEnable", Some(code!(code)))
        }
        EuiccResultData::AddEimResult(AddEimResult::AssociationToken(token)) => {
            view.association_token = Some(token);
            ("addEim", None)
        }
        EuiccResultData::AddEimResult(AddEimResult::AddEimResultCode(code)) => ("addEim", Some(code!(code))),
        EuiccResultData::DeleteEimResult(code) => {
            view.is_success = [DeleteEimResult::OK, DeleteEimResult::LAST_EIM_DELETED].contains(&code);
            view.code = Some(code!(code));
            view.operation = "deleteEim";
            return view;
        }
        EuiccResultData::UpdateEimResult(code) => ("updateEim", Some(code!(code))),
        EuiccResultData::ListEimResult(ListEimResult::EimIdList(list)) => {
            view.eims = Some(list.0);
            ("listEim", None)
        }
        EuiccResultData::ListEimResult(ListEimResult::ListEimError(code)) => ("listEim", Some(code!(code))),
        EuiccResultData::RollbackResult(code) => {
            view.code = Some(code!(code));
            // The device did not keep the profile that the package enabled.
            return OperationView { operation: "rollback", is_success: false, ..view };
        }
        EuiccResultData::SetFallbackAttributeResult(code) => ("setFallbackAttribute", Some(code!(code))),
        EuiccResultData::UnsetFallbackAttributeResult(code) => ("unsetFallbackAttribute", Some(code!(code))),
        EuiccResultData::ProcessingTerminated(code) => {
            view.code = Some(code!(code));
            return OperationView { operation: "processingTerminated", is_success: false, ..view };
        }
        EuiccResultData::SetDefaultDpAddressResult(result) => {
            ("setDefaultDpAddress", Some(code!(result.set_default_dp_address_result)))
        }
    };
    view.operation = name;
    view.is_success = code.as_ref().is_none_or(|code| code.number == Some(0));
    view.code = code;
    view
}
