//! ES10b of an IoT eUICC: SGP.32 section 5.9. Functions that SGP.22 defines as well are those of a
//! consumer eUICC.

use rsp::der::{List, Opaque, Raw};
use rsp::ids::SubjectKeyIdentifier;
use rsp::sgp22::es10c::RefreshFlag;
use rsp::sgp32::es10b::{
    AddInitialEimOk, AddInitialEimRequest, AddInitialEimResponse, Certs, ConfigImmediateEnableResult,
    ConfigureImmediateProfileEnablingRequest, ConfigureImmediateProfileEnablingResponse,
    DisableEmergencyProfileRequest, DisableEmergencyProfileResponse, DisableEmergencyProfileResult,
    EnableEmergencyProfileRequest, EnableEmergencyProfileResponse, EnableEmergencyProfileResult,
    EuiccMemoryResetRequest, EuiccMemoryResetResponse, ExecuteFallbackMechanismRequest,
    ExecuteFallbackMechanismResponse, ExecuteFallbackMechanismResult, GetCertsRequest, GetCertsResponse,
    GetEimConfigurationDataRequest, GetEimConfigurationDataResponse, ImmediateEnableRequest,
    ImmediateEnableResponse, ImmediateEnableResult, NotificationSearch, ProfileRollbackRequest,
    ProfileRollbackResponse, ProfileRollbackResult, ResetResult, RetrieveNotificationsListRequest,
    RetrieveNotificationsListResponse, ReturnFromFallbackRequest, ReturnFromFallbackResponse,
    ReturnFromFallbackResult,
};
use rsp::sgp32::{EimConfigurationData, EuiccPackageRequest, EuiccPackageResult, PendingNotification};
use world::CardInterface;

use super::answers::{ResultCode, Verdict, named_number};
use super::{ES10B, Es10, Es10Error};
use crate::terminal::{Abilities, CardError};

/// The entries of RetrieveNotificationsList, as the eUICC signed them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetrievedList {
    /// Notifications.
    Notifications(Vec<Opaque<PendingNotification>>),
    /// Results of packages.
    EuiccPackageResults(Vec<Opaque<EuiccPackageResult>>),
}

impl<D: CardInterface> Es10<D> {
    /// Announces an IPA in place of an LPA at the next start of the card: SGP.32 section 3.8.4.
    pub(crate) fn announce_ipa(&mut self) {
        self.terminal.set_abilities(Abilities::of_ipa());
    }

    /// Announces nothing to the card: the client is inside the card, and the terminal has announced
    /// itself.
    pub(crate) fn announce_nothing(&mut self) {
        self.terminal.announce_nothing();
    }

    /// ES10b.LoadEuiccPackage: section 5.9.1. An error of the eUICC is returned as `Ok`, because it is
    /// forwarded to the eIM.
    pub async fn load_euicc_package(
        &mut self,
        package: &Raw<EuiccPackageRequest>,
    ) -> Result<Raw<EuiccPackageResult>, CardError> {
        self.exchange(ES10B, "LoadEuiccPackage", package).await
    }

    /// ES10b.AddInitialEim: section 5.9.4. Returns the entry of each eIM.
    pub async fn add_initial_eim(
        &mut self,
        eims: Vec<EimConfigurationData>,
    ) -> Result<Vec<AddInitialEimOk>, Es10Error> {
        let request = AddInitialEimRequest { eim_configuration_data_list: eims };
        match self.call(ES10B, "AddInitialEim", &request).await? {
            AddInitialEimResponse::AddInitialEimOk(added) => Ok(added),
            // `call` has already returned this result as an error.
            AddInitialEimResponse::AddInitialEimError(_) => Ok(Vec::new()),
        }
    }

    /// ES10b.GetEimConfigurationData: section 5.9.18. Returns the configuration of every eIM.
    pub async fn get_eim_configuration_data(&mut self) -> Result<Vec<EimConfigurationData>, Es10Error> {
        let request = GetEimConfigurationDataRequest { search_criteria: None };
        let answer: GetEimConfigurationDataResponse =
            self.call(ES10B, "GetEimConfigurationData", &request).await?;
        let List(eims) = answer.eim_configuration_data_list;
        Ok(eims)
    }

    /// ES10b.GetCerts: section 5.9.10. Returns the certificates for this CI, or for the first one.
    pub async fn get_certs(
        &mut self,
        ci: Option<SubjectKeyIdentifier>,
    ) -> Result<Result<Certs, ResultCode>, Es10Error> {
        let request = GetCertsRequest { euicc_ci_pk_id: ci };
        let answer: GetCertsResponse = self.exchange(ES10B, "GetCerts", &request).await?;
        Ok(match answer {
            GetCertsResponse::Certs(certs) => Ok(certs),
            GetCertsResponse::GetCertsError(code) => Err(ResultCode { number: code.0, name: code.name() }),
        })
    }

    /// ES10b.RetrieveNotificationsList: section 5.9.11. Without criteria, all notifications.
    pub async fn retrieve_notifications_list(
        &mut self,
        search_criteria: Option<NotificationSearch>,
    ) -> Result<RetrievedList, Es10Error> {
        let request = RetrieveNotificationsListRequest { search_criteria };
        Ok(match self.call(ES10B, "RetrieveNotificationsList", &request).await? {
            RetrieveNotificationsListResponse::NotificationList(list) => RetrievedList::Notifications(list),
            RetrieveNotificationsListResponse::EuiccPackageResultList(list) => {
                RetrievedList::EuiccPackageResults(list)
            }
            // `call` has already returned this result as an error.
            RetrieveNotificationsListResponse::NotificationsListResultError(_) => {
                RetrievedList::Notifications(Vec::new())
            }
        })
    }

    /// ES10b.ProfileRollback with REFRESH: section 5.9.16. Returns the result for the eIM.
    pub async fn profile_rollback(&mut self) -> Result<Option<Raw<EuiccPackageResult>>, Es10Error> {
        let request = ProfileRollbackRequest { refresh_flag: RefreshFlag(true) };
        let answer: ProfileRollbackResponse = self.call(ES10B, "ProfileRollback", &request).await?;
        Ok(answer.euicc_package_result)
    }

    /// ES10b.ImmediateEnable with REFRESH: section 5.9.15. Must follow an installation.
    pub async fn immediate_enable(&mut self) -> Result<(), Es10Error> {
        let request = ImmediateEnableRequest { refresh_flag: RefreshFlag(true) };
        self.call::<_, ImmediateEnableResponse>(ES10B, "ImmediateEnable", &request).await.map(|_| ())
    }

    /// ES10b.ConfigureImmediateProfileEnabling: section 5.9.17. Possible before an eIM is associated.
    pub async fn configure_immediate_profile_enabling(
        &mut self,
        request: &ConfigureImmediateProfileEnablingRequest,
    ) -> Result<(), Es10Error> {
        const FUNCTION: &str = "ConfigureImmediateProfileEnabling";
        self.call::<_, ConfigureImmediateProfileEnablingResponse>(ES10B, FUNCTION, request).await.map(|_| ())
    }

    /// ES10b.ExecuteFallbackMechanism with REFRESH: section 5.9.20.
    pub async fn execute_fallback_mechanism(&mut self) -> Result<(), Es10Error> {
        let request = ExecuteFallbackMechanismRequest { refresh_flag: RefreshFlag(true) };
        self.call::<_, ExecuteFallbackMechanismResponse>(ES10B, "ExecuteFallbackMechanism", &request)
            .await
            .map(|_| ())
    }

    /// ES10b.ReturnFromFallback with REFRESH: section 5.9.21.
    pub async fn return_from_fallback(&mut self) -> Result<(), Es10Error> {
        let request = ReturnFromFallbackRequest { refresh_flag: RefreshFlag(true) };
        self.call::<_, ReturnFromFallbackResponse>(ES10B, "ReturnFromFallback", &request).await.map(|_| ())
    }

    /// ES10b.EnableEmergencyProfile with REFRESH: section 5.9.22.
    pub async fn enable_emergency_profile(&mut self) -> Result<(), Es10Error> {
        let request = EnableEmergencyProfileRequest { refresh_flag: RefreshFlag(true) };
        self.call::<_, EnableEmergencyProfileResponse>(ES10B, "EnableEmergencyProfile", &request)
            .await
            .map(|_| ())
    }

    /// ES10b.DisableEmergencyProfile with REFRESH: section 5.9.23.
    pub async fn disable_emergency_profile(&mut self) -> Result<(), Es10Error> {
        let request = DisableEmergencyProfileRequest { refresh_flag: RefreshFlag(true) };
        self.call::<_, DisableEmergencyProfileResponse>(ES10B, "DisableEmergencyProfile", &request)
            .await
            .map(|_| ())
    }

    /// ES10b.EuiccMemoryReset of an IoT eUICC: section 5.9.5.
    pub async fn iot_memory_reset(
        &mut self,
        request: &EuiccMemoryResetRequest,
    ) -> Result<EuiccMemoryResetResponse, Es10Error> {
        self.call(ES10B, "EuiccMemoryReset", request).await
    }
}

impl Verdict for GetEimConfigurationDataResponse {}

named_number! {
    ProfileRollbackResponse.cmd_result: ProfileRollbackResult,
    ImmediateEnableResponse.immediate_enable_result: ImmediateEnableResult,
    ConfigureImmediateProfileEnablingResponse.config_immediate_enable_result: ConfigImmediateEnableResult,
    ExecuteFallbackMechanismResponse.execute_fallback_mechanism_result: ExecuteFallbackMechanismResult,
    ReturnFromFallbackResponse.return_from_fallback_result: ReturnFromFallbackResult,
    EnableEmergencyProfileResponse.enable_emergency_profile_result: EnableEmergencyProfileResult,
    DisableEmergencyProfileResponse.disable_emergency_profile_result: DisableEmergencyProfileResult,
    EuiccMemoryResetResponse.reset_result: ResetResult,
}

impl Verdict for EuiccPackageResult {
    fn refusal(&self) -> Option<ResultCode> {
        match self {
            Self::EuiccPackageResultSigned(_) => None,
            Self::EuiccPackageErrorSigned(error) => {
                let code = error.euicc_package_error_data_signed.euicc_package_error_code;
                Some(ResultCode { number: code.0, name: code.name() })
            }
            // Without a code the eIM is unknown, or its signature is invalid.
            Self::EuiccPackageErrorUnsigned(error) => {
                let code = error.euicc_package_unsigned_error_code;
                let code = code.map(|code| ResultCode { number: code.0, name: code.name() });
                Some(code.unwrap_or(ResultCode { number: UNDEFINED, name: Some("UNKNOWN_EIM_OR_SIGNATURE") }))
            }
        }
    }
}

/// The number of undefinedError.
const UNDEFINED: i64 = 127;

impl Verdict for AddInitialEimResponse {
    fn refusal(&self) -> Option<ResultCode> {
        match self {
            Self::AddInitialEimOk(_) => None,
            Self::AddInitialEimError(code) => Some(ResultCode { number: code.0, name: code.name() }),
        }
    }
}

impl Verdict for GetCertsResponse {
    fn refusal(&self) -> Option<ResultCode> {
        match self {
            Self::Certs(_) => None,
            Self::GetCertsError(code) => Some(ResultCode { number: code.0, name: code.name() }),
        }
    }
}

impl Verdict for RetrieveNotificationsListResponse {
    fn refusal(&self) -> Option<ResultCode> {
        match self {
            Self::NotificationList(_) | Self::EuiccPackageResultList(_) => None,
            Self::NotificationsListResultError(code) => {
                Some(ResultCode { number: code.0, name: code.name() })
            }
        }
    }
}
