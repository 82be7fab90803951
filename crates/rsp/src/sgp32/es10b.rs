//! ES10b, between the IPA and the IoT eUICC: SGP.32 section 5.9.
//!
//! Functions that SGP.22 defines as well, such as GetEuiccInfo and RemoveNotification, have the types
//! of [`crate::sgp22::es10b`]. LoadEuiccPackage has those of ESep, [`super::package`] and
//! [`super::result`].

mod switching;

use super::{
    eim_configuration::EimConfigurationData, notification::PendingNotification, result::AddEimResultCode,
    result::EuiccPackageResult,
};
use crate::{
    bits, choice, codes,
    der::{Asn1, BitString, DecodeError, List, Null, Opaque, Tag, tlv},
    ids::{CertificateDer, SubjectKeyIdentifier},
    sequence,
    sgp22::notification_event,
};

pub use super::settings::*;
pub use crate::sgp22::es10b::{NotificationSentRequest, NotificationSentResponse};
pub use switching::*;

sequence! {
    /// ISDRProprietaryApplicationTemplateIoT: section 3.8.4. The eUICC returns it in the response to the
    /// SELECT of the ISD-R.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct IsdrProprietaryApplicationTemplateIot = 0xE1 {
        /// The state of the eUICC ([`euicc_configuration`]).
        pub euicc_configuration: BitString = 0x80 known_bits euicc_configuration::NAMES,
    }
}

bits! {
    /// Bits of euiccConfiguration.
    pub mod euicc_configuration {
        /// The eUICC has an IPA (IPAe).
        IPAE_SUPPORTED = 0 "ipaeSupported",
        /// The eUICC has an enabled profile.
        ENABLED_PROFILE = 1 "enabledProfile",
    }
}

impl IsdrProprietaryApplicationTemplateIot {
    /// Finds the template in the response to SELECT. Returns `None` if there is none: the eUICC is not
    /// an IoT eUICC. Some cards have the template inside A5.
    ///
    /// # Errors
    /// The response or the template is not decodable.
    pub fn in_select_response(response: &[u8]) -> Result<Option<Self>, DecodeError> {
        const FCI: Tag = Tag(0x6F);
        const PROPRIETARY: Tag = Tag(0xA5);
        let contents = match tlv::split(response) {
            Some((FCI, contents)) => contents,
            _ => response,
        };
        let proprietary = tlv::find(contents, PROPRIETARY)?.and_then(tlv::split);
        let found = match (tlv::find(contents, Self::TAG)?, proprietary) {
            (None, Some((_, proprietary))) => tlv::find(proprietary, Self::TAG)?,
            (found, _) => found,
        };
        found.map(Self::from_der).transpose()
    }
}

sequence! {
    /// AddInitialEimRequest: section 5.9.4.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AddInitialEimRequest = 0xBF57 {
        /// The eIMs to associate.
        pub eim_configuration_data_list: Vec<EimConfigurationData> = 0xA0,
    }
}

choice! {
    /// AddInitialEimResponse: section 5.9.4.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum AddInitialEimResponse = 0xBF57 {
        /// All eIMs were associated; one entry for each.
        AddInitialEimOk(Vec<AddInitialEimOk>) = 0xA0,
        /// No eIM was associated.
        AddInitialEimError(AddEimResultCode) = 0x81,
    }
}

choice! {
    /// An entry of addInitialEimOk: section 5.9.4.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum AddInitialEimOk = 0 {
        /// The eUICC assigned this association token.
        AssociationToken(i64) = 0x84,
        /// The eIM has no association token.
        AddOk(Null) = 0x05,
    }
}

bits! {
    /// Bits of resetOptions: section 5.9.5.
    pub mod reset_options {
        /// Delete the operational profiles.
        DELETE_OPERATIONAL_PROFILES = 0 "deleteOperationalProfiles",
        /// Delete the test profiles that were loaded in the field.
        DELETE_FIELD_LOADED_TEST_PROFILES = 1 "deleteFieldLoadedTestProfiles",
        /// Reset the default SM-DP+ address.
        RESET_DEFAULT_SMDP_ADDRESS = 2 "resetDefaultSmdpAddress",
        /// Delete the test profiles that were loaded by the manufacturer.
        DELETE_PRE_LOADED_TEST_PROFILES = 3 "deletePreLoadedTestProfiles",
        /// Delete the provisioning profiles.
        DELETE_PROVISIONING_PROFILES = 4 "deleteProvisioningProfiles",
        /// Delete the eIM configuration.
        RESET_EIM_CONFIG_DATA = 5 "resetEimConfigData",
        /// Reset the configuration of immediate enabling.
        RESET_IMMEDIATE_ENABLE_CONFIG = 6 "resetImmediateEnableConfig",
    }
}

sequence! {
    /// EuiccMemoryResetRequest: section 5.9.5. Its tag was BF34 in v1.0.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EuiccMemoryResetRequest = 0xBF64 {
        /// The data to reset ([`reset_options`]).
        pub reset_options: BitString = 0x82 known_bits reset_options::NAMES,
    }
}

sequence! {
    /// EuiccMemoryResetResponse: section 5.9.5.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EuiccMemoryResetResponse = 0xBF64 {
        /// The result for the profiles and the default SM-DP+ address.
        pub reset_result: ResetResult = 0x80,
        /// The result for the eIM configuration, if its reset was requested.
        pub reset_eim_result: Option<ResetEimResult> = 0x81,
        /// The result for immediate enabling, if its reset was requested.
        pub reset_immediate_enable_config_result: Option<ResetImmediateEnableConfigResult> = 0x82,
    }
}

codes! {
    /// resetResult: section 5.9.5.
    pub struct ResetResult {
        /// The data were reset.
        OK = 0
            next "nothing",
        /// There is nothing to reset.
        NOTHING_TO_DELETE = 1
            next "nothing: there are no such data",
        /// The device is executing a proactive command.
        CAT_BUSY = 5
            next "end the proactive session (TERMINAL RESPONSE), and repeat the command",
        /// The Emergency Profile is active.
        ECALL_ACTIVE = 104
            next "repeat the command after the emergency call",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "read the state of the profiles, reset the card, and repeat the command",
    }
}

codes! {
    /// resetEimResult: section 5.9.5.
    pub struct ResetEimResult {
        /// The eIM configuration was deleted.
        OK = 0
            next "associate an eIM with ES10b.AddInitialEim",
        /// There is no eIM configuration.
        NOTHING_TO_DELETE = 1
            next "nothing: the eUICC has no eIM",
        /// The eUICC does not support it.
        EIM_RESET_NOT_SUPPORTED = 2
            next "delete the eIMs with deleteEim",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "read the configuration with ES10b.GetEimConfigurationData, and repeat the command",
    }
}

codes! {
    /// resetImmediateEnableConfigResult: section 5.9.5.
    pub struct ResetImmediateEnableConfigResult {
        /// The configuration was reset.
        OK = 0
            next "nothing",
        /// The eUICC does not support it.
        RESET_IEC_NOT_SUPPORTED = 1
            next "configure immediate enabling with a package of the eIM",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "repeat the command after a reset of the card",
    }
}

sequence! {
    /// GetCertsRequest: section 5.9.10.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct GetCertsRequest = 0xBF56 {
        /// The CI to which the certificates lead; the first one if absent.
        pub euicc_ci_pk_id: Option<SubjectKeyIdentifier> = 0x80 usually 32,
    }
}

choice! {
    /// GetCertsResponse: section 5.9.10.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum GetCertsResponse = 0xBF56 {
        /// The certificates.
        Certs(Certs) = 0xA0,
        /// There are no such certificates.
        GetCertsError(GetCertsError) = 0x81,
    }
}

sequence! {
    /// certs: section 5.9.10.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Certs = 0x30 {
        /// CERT.EUM.
        pub eum_certificate: CertificateDer = 0xA5,
        /// CERT.EUICC.
        pub euicc_certificate: CertificateDer = 0xA6,
    }
}

codes! {
    /// getCertsError: section 5.9.10.
    pub struct GetCertsError {
        /// The eUICC has no key for this CI.
        INVALID_CI_PK_ID = 1
            next "use a CI of euiccCiPKIdListForSigning",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "repeat the command after a reset of the card",
    }
}

sequence! {
    /// RetrieveNotificationsListRequest: section 5.9.11.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct RetrieveNotificationsListRequest = 0xBF2B {
        /// The entries to retrieve; all notifications if absent.
        pub search_criteria: Option<NotificationSearch> = 0xA0,
    }
}

choice! {
    /// The search criteria of RetrieveNotificationsList: section 5.9.11.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum NotificationSearch = 0 {
        /// The notification or result with this sequence number.
        SeqNumber(i64) = 0x80,
        /// The notifications of these events.
        ProfileManagementOperation(BitString) = 0x81 known_bits notification_event::NAMES,
        /// The results of eUICC packages.
        EuiccPackageResults(Null) = 0x82,
    }
}

choice! {
    /// RetrieveNotificationsListResponse: section 5.9.11.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum RetrieveNotificationsListResponse = 0xBF2B {
        /// The notifications as they were signed.
        NotificationList(Vec<Opaque<PendingNotification>>) = 0xA0,
        /// The list is not available.
        NotificationsListResultError(NotificationsListResultError) = 0x81,
        /// The results of packages as they were signed.
        EuiccPackageResultList(Vec<Opaque<EuiccPackageResult>>) = 0xA2,
    }
}

codes! {
    /// notificationsListResultError: section 5.9.11.
    pub struct NotificationsListResultError {
        /// Any error.
        UNDEFINED_ERROR = 127
            next "check that the search criteria are inside A0",
    }
}

sequence! {
    /// GetEimConfigurationDataRequest: section 5.9.18.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct GetEimConfigurationDataRequest = 0xBF55 {
        /// The eIM to read; all if absent.
        pub search_criteria: Option<EimSearch> = 0xA0,
    }
}

choice! {
    /// The search criteria of GetEimConfigurationData: section 5.9.18.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum EimSearch = 0 {
        /// The eIM with this identifier.
        EimId(String) = 0x80 usually 128,
    }
}

sequence! {
    /// GetEimConfigurationDataResponse: section 5.9.18.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct GetEimConfigurationDataResponse = 0xBF55 {
        /// The configuration of each eIM, without its counter; may be empty.
        pub eim_configuration_data_list: List<EimConfigurationData> = 0xA0,
    }
}

sequence! {
    /// GetConnectivityParametersRequest: section 5.9.24.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct GetConnectivityParametersRequest = 0xBF5F {}
}

choice! {
    /// GetConnectivityParametersResponse: section 5.9.24.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum GetConnectivityParametersResponse = 0xBF5F {
        /// The parameters of the enabled profile.
        ConnectivityParameters(ConnectivityParameters) = 0xA0,
        /// There are no parameters.
        ConnectivityParametersError(ConnectivityParametersError) = 0x81,
    }
}

sequence! {
    /// ConnectivityParameters: section 5.9.24.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct ConnectivityParameters = 0x30 {
        /// The parameters for HTTP, which are also those for CoAP (SGP.02 section 4.1.3.4).
        pub http_params: Option<Vec<u8>> = 0x81 usually 255,
    }
}

codes! {
    /// ConnectivityParametersError: section 5.9.24.
    pub struct ConnectivityParametersError {
        /// The enabled profile has no parameters.
        PARAMETERS_NOT_AVAILABLE = 1
            next "configure the access point in the device",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "repeat the command after a reset of the card",
    }
}

bits! {
    /// Bits of ipaeOption.
    pub mod ipae_option {
        /// The IPAe takes over.
        ACTIVATE_IPAE = 0 "activateIpae",
    }
}

sequence! {
    /// IpaeActivationRequest: section 3.8.4.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct IpaeActivationRequest = 0xBF42 {
        /// The requested change ([`ipae_option`]).
        pub ipae_option: BitString = 0x80 known_bits ipae_option::NAMES,
    }
}

sequence! {
    /// IpaeActivationResponse: section 3.8.4.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct IpaeActivationResponse = 0xBF42 {
        /// The result.
        pub ipae_activation_result: IpaeActivationResult = 0x80,
    }
}

codes! {
    /// ipaeActivationResult.
    pub struct IpaeActivationResult {
        /// The IPAe is active.
        OK = 0
            next "nothing; only a reset and TERMINAL CAPABILITY make the IPAd active again",
        /// The eUICC has no IPAe.
        NOT_SUPPORTED = 1
            next "use the IPA of the device",
    }
}
