//! The trigger of a download (SGP.32 sections 2.11.1.3 and 2.11.2.3), and the direct download
//! (section 3.2.3.1), which is the download of an LPA.
//!
//! The result is stored before it is delivered, so that a loss of power does not lose it and the
//! profile is not downloaded twice.

use rsp::activation_code::ActivationCode;
use rsp::der::{Asn1, Raw};
use rsp::ids::SmdpAddress;
use rsp::sgp22::es8plus::{FinalResult, ProfileInstallationResult};
use rsp::sgp32::esipa::{EimPackageResult, EimPackageResultErrorCode};
use rsp::sgp32::ipa_data::{
    ContactSmds, ProfileDownloadData, ProfileDownloadError, ProfileDownloadErrorReason,
    ProfileDownloadTriggerRequest, ProfileDownloadTriggerResult, ProfileDownloadTriggerResultData,
    ipa_features,
};
use rsp::sgp32::{EimConfigurationData, PendingNotification};
use world::CardInterface;

use super::report::{CheckIn, ExecutedPackage, ResultDelivery};
use super::state::{Download, Octets, Progress};
use super::{Connectivity, Ipa, IpaError};
use crate::es10::RetrievedList;
use crate::lpa::{Agenda, DownloadError, DownloadOptions, Es9Error, Fetched, SessionError};

/// The reason why no package was loaded.
pub(super) struct Failure {
    /// A description.
    pub(super) why: String,
    /// errorResponse: the error of the server or the eUICC, as received.
    pub(super) error_response: Option<Vec<u8>>,
}

impl Failure {
    pub(super) fn new(why: impl ToString) -> Self {
        Self { why: why.to_string(), error_response: None }
    }
}

impl From<DownloadError> for Failure {
    fn from(error: DownloadError) -> Self {
        let error_response = match &error {
            DownloadError::Session(SessionError::Server(Es9Error::Refused { status, .. })) => {
                serde_json::to_vec(status).ok()
            }
            _ => None,
        };
        Self { why: error.to_string(), error_response }
    }
}

impl<D: CardInterface, C: Connectivity> Ipa<D, C> {
    /// Downloads the profile of a trigger, and delivers the result.
    pub(super) async fn profile_download(
        &mut self,
        eim: &EimConfigurationData,
        trigger: &ProfileDownloadTriggerRequest,
        report: &mut CheckIn,
    ) -> Result<ExecutedPackage, IpaError> {
        const PACKAGE: &str = "ProfileDownloadTriggerRequest";
        let id = trigger.eim_transaction_id.clone();
        if let Err(code) = self.check_trigger(trigger) {
            return self.refuse(eim, PACKAGE, id, code).await;
        }
        if self.state.emergency {
            let failure = ("the Emergency Profile is active", ProfileDownloadErrorReason::ECALL_ACTIVE);
            let result = failed(trigger, failure.1, None);
            let delivery = self.provide_download_result(eim, result).await?;
            return Ok(executed(PACKAGE, trigger, vec![failure.0.to_owned()], delivery));
        }
        // An eIM repeats the trigger until it has the result.
        if let Some(result) = self.undelivered_result(eim, trigger) {
            let delivery = self.provide_download_result(eim, result).await?;
            let description = "the download has ended before".to_owned();
            return Ok(executed(PACKAGE, trigger, vec![description], delivery));
        }
        let last_notification = self.last_notification().await?;
        self.remember(|state| {
            state.download = Some(Download {
                eim_id: eim.eim_id.clone(),
                eim_transaction_id: id.clone(),
                progress: Progress::Started { last_notification },
            });
        })?;
        let loaded = match self.is_direct(trigger) {
            true => self.download_directly(trigger).await,
            false => self.download_through_eim(eim, trigger).await.map(|result| vec![Ok(result)]),
        };
        // The eUICC may have installed the profile although its response was lost.
        let downloads = match loaded {
            Err(failure) => vec![self.installation_after(last_notification).await?.ok_or(failure)],
            Ok(downloads) => downloads,
        };
        let descriptions = downloads.iter().map(|download| match download {
            Ok(result) => described(result),
            Err(failure) => failure.why.clone(),
        });
        let descriptions = descriptions.collect();
        let first_installed =
            downloads.iter().position(|download| download.as_ref().is_ok_and(|result| is_installed(result)));
        if first_installed.is_some() {
            self.enable_immediately(report).await?;
            self.connect(report).await?;
        }
        // A trigger has one result.
        let result = match downloads.into_iter().nth(first_installed.unwrap_or_default()) {
            Some(Ok(result)) => installed(trigger, result),
            Some(Err(Failure { error_response, .. })) => {
                failed(trigger, ProfileDownloadErrorReason::UNDEFINED_ERROR, error_response)
            }
            None => failed(trigger, ProfileDownloadErrorReason::UNDEFINED_ERROR, None),
        };
        self.remember(|state| {
            if let Some(download) = &mut state.download {
                download.progress = Progress::Ended(Octets(result.to_der()));
            }
        })?;
        let delivery = self.provide_download_result(eim, result).await?;
        Ok(executed(PACKAGE, trigger, descriptions, delivery))
    }

    /// Returns the result of the download that this trigger started before, if the eIM does not have it.
    fn undelivered_result(
        &self,
        eim: &EimConfigurationData,
        trigger: &ProfileDownloadTriggerRequest,
    ) -> Option<ProfileDownloadTriggerResult> {
        let download = self.state.download.as_ref().filter(|download| download.eim_id == eim.eim_id)?;
        let is_same = download.eim_transaction_id == trigger.eim_transaction_id;
        download.result().filter(|_| is_same && trigger.eim_transaction_id.is_some())
    }

    /// Completes a download that a loss of power interrupted, or whose result could not be delivered.
    pub(super) async fn conclude_download(&mut self) -> Result<(), IpaError> {
        let Some(download) = self.state.download.clone() else { return Ok(()) };
        let result = match &download.progress {
            Progress::Ended(_) => download.result(),
            Progress::Started { last_notification } => {
                let trigger = ProfileDownloadTriggerRequest {
                    eim_transaction_id: download.eim_transaction_id.clone(),
                    ..ProfileDownloadTriggerRequest::default()
                };
                self.installation_after(*last_notification).await?.map(|result| installed(&trigger, result))
            }
        };
        let eims = self.es10().get_eim_configuration_data().await?;
        let eim = eims.into_iter().find(|eim| eim.eim_id == download.eim_id);
        match (result, eim) {
            (Some(result), Some(eim)) => self.provide_download_result(&eim, result).await.map(drop),
            // Nothing was installed, and the eIM repeats the trigger; or the eIM was deleted.
            _ => self.remember(|state| state.download = None),
        }
    }

    /// Delivers the result of a download, and forgets the download if the eIM has the result. An eIM that
    /// refuses a damaged result repeats the trigger.
    async fn provide_download_result(
        &mut self,
        eim: &EimConfigurationData,
        result: ProfileDownloadTriggerResult,
    ) -> Result<ResultDelivery, IpaError> {
        let delivery = self.provide(eim, EimPackageResult::ProfileDownloadTriggerResult(result)).await?;
        if delivery == ResultDelivery::Delivered {
            self.remember(|state| state.download = None)?;
        }
        Ok(delivery)
    }

    /// Checks that the IPA can perform the download.
    // req: SGP.32-2.11.1.3-Format
    fn check_trigger(
        &self,
        trigger: &ProfileDownloadTriggerRequest,
    ) -> Result<(), EimPackageResultErrorCode> {
        let can = |feature| match self.settings.has(feature) {
            true => Ok(()),
            false => Err(EimPackageResultErrorCode::INVALID_PACKAGE_FORMAT),
        };
        match &trigger.profile_download_data {
            None => can(ipa_features::EIM_DOWNLOAD_DATA_HANDLING),
            Some(ProfileDownloadData::ActivationCode(code)) => match code.parse::<ActivationCode>() {
                Ok(_) => Ok(()),
                Err(_) => Err(EimPackageResultErrorCode::INVALID_PACKAGE_FORMAT),
            },
            Some(ProfileDownloadData::ContactSmds(ContactSmds { smds_address: Some(address) })) => {
                match address.parse::<SmdpAddress>() {
                    Ok(_) => Ok(()),
                    Err(_) => Err(EimPackageResultErrorCode::INVALID_PACKAGE_FORMAT),
                }
            }
            Some(_) => Ok(()),
        }
    }

    /// True if the IPA connects to the SM-DP+ itself.
    fn is_direct(&self, trigger: &ProfileDownloadTriggerRequest) -> bool {
        self.settings.has(ipa_features::DIRECT_RSP_SERVER_COMMUNICATION)
            && trigger.profile_download_data.is_some()
    }

    /// Downloads from the SM-DP+ itself: one profile, or one for each event of an SM-DS, in the order of
    /// the events. A failure does not end the downloads of the other events. The eIM gets the result of
    /// the first profile that is installed; each SM-DP+ gets its result as a notification.
    // req: SGP.32-3.2.3.1-Direct, SGP.32-3.2.3.1-Events
    async fn download_directly(
        &mut self,
        trigger: &ProfileDownloadTriggerRequest,
    ) -> Result<Vec<Result<Raw<ProfileInstallationResult>, Failure>>, Failure> {
        let code = self.activation_code(trigger).await?;
        let mut options = DownloadOptions::default();
        let mut agenda = match self.lpa.fetch(&code, &mut options).await? {
            Fetched::Package(loaded) => return Ok(vec![Ok(loaded.result)]),
            Fetched::Events(events) => Agenda::of(events),
        };
        let mut downloads = Vec::new();
        loop {
            let last_notification = self.last_notification().await.map_err(Failure::new)?;
            let Some((_, loaded)) = self.lpa.follow(&mut agenda, &mut options).await else { break };
            downloads.push(match loaded {
                Ok(loaded) => Ok(loaded.result),
                Err(error) => {
                    let installed = self.installation_after(last_notification).await;
                    installed.map_err(Failure::new)?.ok_or_else(|| error.into())
                }
            });
        }
        match downloads.is_empty() {
            true => Err(Failure::new("the SM-DS has no event for this eUICC")),
            false => Ok(downloads),
        }
    }

    /// Returns the activation code of a trigger. It is empty at a default SM-DP+ and at an SM-DS.
    pub(super) async fn activation_code(
        &mut self,
        trigger: &ProfileDownloadTriggerRequest,
    ) -> Result<ActivationCode, Failure> {
        match &trigger.profile_download_data {
            Some(ProfileDownloadData::ActivationCode(code)) => code.parse().map_err(Failure::new),
            Some(ProfileDownloadData::ContactDefaultSmdp(_)) => {
                self.lpa.default_activation_code().await.map_err(Failure::new)
            }
            Some(ProfileDownloadData::ContactSmds(ContactSmds { smds_address })) => {
                let address = smds_address.as_ref().map(|address| address.parse()).transpose();
                let address = address.map_err(Failure::new)?;
                self.lpa.sm_ds_activation_code(address.as_ref()).await.map_err(Failure::new)
            }
            None => Err(Failure::new("the eIM keeps the download data")),
        }
    }

    /// Returns the highest sequence number of a notification on the eUICC.
    async fn last_notification(&mut self) -> Result<Option<i64>, IpaError> {
        let list = self.es10().list_notification().await?;
        Ok(list.iter().map(|metadata| metadata.seq_number).max())
    }

    /// Returns the result of the first successful installation after this notification, or else of the
    /// last failed one.
    async fn installation_after(
        &mut self,
        last_notification: Option<i64>,
    ) -> Result<Option<Raw<ProfileInstallationResult>>, IpaError> {
        let RetrievedList::Notifications(list) = self.es10().retrieve_notifications_list(None).await? else {
            return Ok(None);
        };
        let results = list.iter().filter_map(|notification| {
            let decoded = notification.decode().ok()?;
            let PendingNotification::ProfileInstallationResult(result) = &*decoded else { return None };
            let number = result.profile_installation_result_data.notification_metadata.seq_number;
            (Some(number) > last_notification).then(|| Raw::from_der(notification.bytes()).ok())?
        });
        let results: Vec<Raw<ProfileInstallationResult>> = results.collect();
        let first_installed = results.iter().position(|result| is_installed(result));
        let found = first_installed.unwrap_or(results.len().saturating_sub(1));
        Ok(results.into_iter().nth(found))
    }
}

fn is_installed(result: &ProfileInstallationResult) -> bool {
    matches!(result.profile_installation_result_data.final_result, FinalResult::SuccessResult(_))
}

fn described(result: &ProfileInstallationResult) -> String {
    let data = &result.profile_installation_result_data;
    match (&data.final_result, data.notification_metadata.iccid) {
        (FinalResult::SuccessResult(_), Some(iccid)) => format!("installed {iccid}"),
        (FinalResult::SuccessResult(_), None) => "installed".to_owned(),
        (FinalResult::ErrorResult(error), _) => {
            format!("not installed: {} at {}", error.error_reason, error.bpp_command_id)
        }
    }
}

fn installed(
    trigger: &ProfileDownloadTriggerRequest,
    result: Raw<ProfileInstallationResult>,
) -> ProfileDownloadTriggerResult {
    let data = ProfileDownloadTriggerResultData::ProfileInstallationResult(Box::new(result));
    result_of(trigger, data)
}

fn failed(
    trigger: &ProfileDownloadTriggerRequest,
    reason: ProfileDownloadErrorReason,
    error_response: Option<Vec<u8>>,
) -> ProfileDownloadTriggerResult {
    let error = ProfileDownloadError { profile_download_error_reason: Some(reason), error_response };
    result_of(trigger, ProfileDownloadTriggerResultData::ProfileDownloadError(error))
}

fn result_of(
    trigger: &ProfileDownloadTriggerRequest,
    data: ProfileDownloadTriggerResultData,
) -> ProfileDownloadTriggerResult {
    ProfileDownloadTriggerResult {
        eim_transaction_id: trigger.eim_transaction_id.clone(),
        profile_download_trigger_result_data: data,
    }
}

fn executed(
    package: &'static str,
    trigger: &ProfileDownloadTriggerRequest,
    results: Vec<String>,
    delivery: ResultDelivery,
) -> ExecutedPackage {
    let eim_transaction_id = trigger.eim_transaction_id.clone();
    ExecutedPackage { package, eim_transaction_id, results, delivery }
}
