//! A message of each type of SGP.32.

use rsp::{
    der::{Asn1, BitString, List, Null, Opaque, Raw},
    ids::Eid,
    sgp22::{
        CancelSessionReason, CtxParams1, IconType, PendingNotification as FullNotification, ProfileClass,
        ProfilePolicyAuthorisationRule,
        es8plus::{FinalResult, ProfileInstallationResult},
        es9plus,
        es10b::{AuthenticateServerResponse, CancelSessionError, PrepareDownloadResponse, SmdpSigned2},
        es10c::{
            ProfileInfoListError, ProfileInfoListRequest, ProfileInfoListResponse, ProfileSearch, RefreshFlag,
        },
    },
    sgp32::{
        compact::{self, *},
        eim_configuration::*,
        es6::UpdateMetadataRequest,
        es10b::{
            AddInitialEimOk, AddInitialEimRequest, AddInitialEimResponse, Certs, ConfigImmediateEnableResult,
            ConfigureImmediateProfileEnablingRequest, ConfigureImmediateProfileEnablingResponse,
            ConnectivityParameters, ConnectivityParametersError, DisableEmergencyProfileRequest,
            DisableEmergencyProfileResponse, DisableEmergencyProfileResult, EimSearch,
            EnableEmergencyProfileRequest, EnableEmergencyProfileResponse, EnableEmergencyProfileResult,
            EuiccMemoryResetRequest, EuiccMemoryResetResponse, ExecuteFallbackMechanismRequest,
            ExecuteFallbackMechanismResponse, ExecuteFallbackMechanismResult, GetCertsError, GetCertsRequest,
            GetCertsResponse, GetConnectivityParametersRequest, GetConnectivityParametersResponse,
            GetEimConfigurationDataRequest, GetEimConfigurationDataResponse, ImmediateEnableRequest,
            ImmediateEnableResponse, ImmediateEnableResult, IpaeActivationRequest, IpaeActivationResponse,
            IpaeActivationResult, IsdrProprietaryApplicationTemplateIot, NotificationSearch,
            NotificationsListResultError, ProfileRollbackRequest, ProfileRollbackResponse,
            ProfileRollbackResult, ResetEimResult, ResetImmediateEnableConfigResult, ResetResult,
            RetrieveNotificationsListRequest, RetrieveNotificationsListResponse, ReturnFromFallbackRequest,
            ReturnFromFallbackResponse, ReturnFromFallbackResult, SetDefaultDpAddressRequest,
            SetDefaultDpAddressResponse, SetDefaultDpAddressResult,
        },
        esipa,
        ipa_data::*,
        notification::{PendingNotification, PendingNotificationList},
        package::{
            Delete, DeleteEim, Disable, Eco, Enable, EuiccPackage, EuiccPackageRequest, EuiccPackageSigned,
            GetRat, ListEim, Psmo, SetFallbackAttribute, UnsetFallbackAttribute,
        },
        result::*,
        state_change::StateChangeCause,
        vendor::VendorSpecificExtension,
    },
};

use super::{
    Sample, address, certificate, context, error, iccid, info1, info2, installation_result, key_identifier,
    metadata, notification_metadata, oid, operator, other_notification, profile_info, public_key_info,
    sample, samples, server_signed1, signature, smdp_signed2, success, transaction_id,
};

fn eid() -> Eid {
    "89049032123451234512345678901235".parse().unwrap()
}

fn vendor() -> Option<Vec<VendorSpecificExtension>> {
    Some(vec![VendorSpecificExtension { vendor_oid: oid(), vendor_specific_data: vec![0x04, 1, 7] }])
}

fn public_key() -> SubjectPublicKeyInfo {
    SubjectPublicKeyInfo(public_key_info())
}

pub(super) fn configuration() -> EimConfigurationData {
    EimConfigurationData {
        eim_id: "eim.example.com".into(),
        eim_fqdn: Some("eim.example.com".into()),
        eim_id_type: Some(EimIdType::FQDN),
        counter_value: Some(0),
        association_token: Some(EimConfigurationData::TOKEN_REQUESTED),
        eim_public_key_data: Some(KeyOrCertificate::PublicKey(public_key())),
        trusted_public_key_data_tls: Some(KeyOrCertificate::Certificate(certificate())),
        eim_supported_protocol: Some(BitString::of(&[protocols::RETRIEVE_HTTPS])),
        euicc_ci_pk_id: Some(key_identifier()),
        indirect_profile_download: Some(Null),
        esipa_proprietary_protocol_information: vendor(),
    }
}

fn package(euicc_package: EuiccPackage) -> EuiccPackageRequest {
    EuiccPackageRequest {
        euicc_package_signed: Raw::new(EuiccPackageSigned {
            eim_id: "eim.example.com".into(),
            eid_value: eid(),
            counter_value: 1,
            eim_transaction_id: Some(transaction_id()),
            euicc_package,
        }),
        eim_signature: signature(),
    }
}

fn psmos() -> EuiccPackage {
    EuiccPackage::of_psmos([
        Psmo::ListProfileInfo(ProfileInfoListRequest {
            search_criteria: Some(ProfileSearch::ProfileClass(ProfileClass::OPERATIONAL)),
            tag_list: Some(vec![0x5A, 0x9F, 0x70]),
        }),
        Psmo::GetRat(GetRat {}),
        Psmo::ConfigureImmediateEnable(immediate_enable()),
        Psmo::SetFallbackAttribute(SetFallbackAttribute { iccid: iccid() }),
        Psmo::UnsetFallbackAttribute(UnsetFallbackAttribute {}),
        Psmo::SetDefaultDpAddress(SetDefaultDpAddressRequest { default_dp_address: address() }),
        Psmo::Delete(Delete { iccid: iccid() }),
        Psmo::Disable(Disable { iccid: iccid() }),
        Psmo::Enable(Enable { iccid: iccid(), rollback_flag: Some(Null) }),
    ])
}

fn ecos() -> EuiccPackage {
    EuiccPackage::of_ecos([
        Eco::AddEim(Box::new(configuration())),
        Eco::UpdateEim(Box::new(configuration())),
        Eco::DeleteEim(DeleteEim { eim_id: "eim.example.com".into() }),
        Eco::ListEim(ListEim {}),
    ])
}

fn immediate_enable() -> ConfigureImmediateProfileEnablingRequest {
    ConfigureImmediateProfileEnablingRequest {
        immediate_enable_flag: Some(Null),
        default_smdp_oid: Some(oid()),
        default_smdp_address: Some(address()),
    }
}

fn results() -> Vec<EuiccResultData> {
    vec![
        EuiccResultData::EnableResult(EnableProfileResult::OK),
        EuiccResultData::DisableResult(DisableProfileResult::CAT_BUSY),
        EuiccResultData::DeleteResult(DeleteProfileResult::RETURN_FALLBACK_PROFILE),
        EuiccResultData::ListProfileInfoResult(ProfileInfoListResponse::ProfileInfoListOk(List(vec![
            profile_info(),
        ]))),
        EuiccResultData::ListProfileInfoResult(ProfileInfoListResponse::ProfileInfoListError(
            ProfileInfoListError::PROFILE_CHANGE_ONGOING,
        )),
        EuiccResultData::GetRatResult(vec![ProfilePolicyAuthorisationRule {
            ppr_ids: BitString::of(&[1]),
            allowed_operators: vec![operator()],
            ppr_flags: BitString::of(&[0]),
        }]),
        EuiccResultData::ConfigureImmediateEnableResult(ConfigureImmediateEnableResult::OK),
        EuiccResultData::AddEimResult(AddEimResult::AssociationToken(2)),
        EuiccResultData::AddEimResult(AddEimResult::AddEimResultCode(AddEimResultCode::CI_PK_UNKNOWN)),
        EuiccResultData::DeleteEimResult(DeleteEimResult::LAST_EIM_DELETED),
        EuiccResultData::UpdateEimResult(UpdateEimResult::COUNTER_VALUE_OUT_OF_RANGE),
        EuiccResultData::ListEimResult(ListEimResult::EimIdList(List(vec![EimIdInfo {
            eim_id: "eim.example.com".into(),
            eim_id_type: Some(EimIdType::FQDN),
        }]))),
        EuiccResultData::ListEimResult(ListEimResult::ListEimError(ListEimError::UNDEFINED_ERROR)),
        EuiccResultData::RollbackResult(RollbackProfileResult::OK),
        EuiccResultData::SetFallbackAttributeResult(SetFallbackAttributeResult::FALLBACK_NOT_ALLOWED),
        EuiccResultData::UnsetFallbackAttributeResult(UnsetFallbackAttributeResult::OK),
        EuiccResultData::SetDefaultDpAddressResult(SetDefaultDpAddressResponse {
            set_default_dp_address_result: SetDefaultDpAddressResult::OK,
        }),
        EuiccResultData::ProcessingTerminated(ProcessingTerminated::INTERRUPTION),
    ]
}

fn package_result() -> EuiccPackageResult {
    EuiccPackageResult::EuiccPackageResultSigned(EuiccPackageResultSigned {
        euicc_package_result_data_signed: Raw::new(EuiccPackageResultDataSigned {
            eim_id: "eim.example.com".into(),
            counter_value: 1,
            eim_transaction_id: Some(transaction_id()),
            seq_number: 130,
            euicc_result: results().into_iter().map(|result| Raw::new(result).into()).collect(),
        }),
        euicc_sign_epr: signature(),
    })
}

fn error_signed() -> EuiccPackageResult {
    EuiccPackageResult::EuiccPackageErrorSigned(EuiccPackageErrorSigned {
        euicc_package_error_data_signed: Raw::new(EuiccPackageErrorDataSigned {
            eim_id: "eim.example.com".into(),
            counter_value: 1,
            eim_transaction_id: Some(transaction_id()),
            euicc_package_error_code: EuiccPackageErrorCode::REPLAY_ERROR,
        }),
        euicc_sign_epe: signature(),
    })
}

fn error_unsigned() -> EuiccPackageResult {
    EuiccPackageResult::EuiccPackageErrorUnsigned(EuiccPackageErrorUnsigned {
        eim_id: "eim.example.com".into(),
        eim_transaction_id: Some(transaction_id()),
        association_token: Some(1),
        euicc_package_unsigned_error_code: Some(EuiccPackageUnsignedErrorCode::SIZE_OVERFLOW),
    })
}

fn installation(final_result: FinalResult) -> ProfileInstallationResult {
    installation_result(final_result)
}

fn compact_installation(final_result: FinalResult) -> CompactProfileInstallationResult {
    let mut full = installation(final_result);
    let mut data = full.profile_installation_result_data.into_value();
    data.notification_metadata.profile_management_operation = BitString::of(&[0]);
    data.notification_metadata.iccid = None;
    full.profile_installation_result_data = Raw::new(data);
    CompactProfileInstallationResult::of(&full).unwrap()
}

fn compact_other() -> CompactOtherSignedNotification {
    CompactOtherSignedNotification {
        eid_value: Some(eid()),
        tbs_other_notification: Raw::new(notification_metadata()),
        euicc_notification_signature: signature(),
        euicc_ci_pk_identifier_to_be_used: Some(key_identifier()),
    }
}

fn other() -> PendingNotification {
    let FullNotification::OtherSignedNotification(other) = other_notification() else { unreachable!() };
    PendingNotification::OtherSignedNotification(other)
}

fn notifications() -> PendingNotificationList {
    let all = [
        other(),
        PendingNotification::ProfileInstallationResult(installation(success())),
        PendingNotification::CompactOtherSignedNotification(compact_other()),
        PendingNotification::CompactProfileInstallationResult(compact_installation(success())),
        PendingNotification::CompactProfileInstallationResult(compact_installation(error())),
    ];
    PendingNotificationList(all.into_iter().map(|it| Opaque::new(it.to_der())).collect())
}

fn capabilities() -> IpaCapabilities {
    IpaCapabilities {
        ipa_features: BitString::of(&[ipa_features::DIRECT_RSP_SERVER_COMMUNICATION]),
        ipa_supported_protocols: Some(BitString::of(&[protocols::RETRIEVE_HTTPS])),
        esipa_proprietary_protocol_information: vendor(),
    }
}

fn data_request() -> IpaEuiccDataRequest {
    IpaEuiccDataRequest {
        tag_list: vec![0x81, 0xBF, 0x20, 0xA5],
        euicc_ci_pk_identifier_to_be_used: Some(key_identifier()),
        search_criteria_notification: Some(NotificationSearch::ProfileManagementOperation(BitString::of(&[
            2,
        ]))),
        search_criteria_euicc_package_result: Some(PackageResultSearch::SeqNumber(130)),
        eim_transaction_id: Some(transaction_id()),
    }
}

fn data_response() -> IpaEuiccDataResponse {
    let CtxParams1::CtxParamsForCommonAuthentication(context) = context() else { unreachable!() };
    IpaEuiccDataResponse::IpaEuiccData(Box::new(IpaEuiccData {
        notifications_list: Some(notifications()),
        default_smdp_address: Some(address()),
        euicc_package_result_list: Some(vec![Opaque::new(package_result().to_der())]),
        euicc_info1: Some(Raw::new(info1())),
        euicc_info2: Some(Raw::new(info2())),
        root_smds_address: Some(address()),
        association_token: Some(1),
        eum_certificate: Some(certificate()),
        euicc_certificate: Some(certificate()),
        eim_transaction_id: Some(transaction_id()),
        ipa_capabilities: Some(capabilities()),
        device_info: Some(context.device_info),
        notifications_list_v1_0: None,
    }))
}

fn data_error() -> IpaEuiccDataResponse {
    IpaEuiccDataResponse::IpaEuiccDataResponseError(IpaEuiccDataResponseError {
        eim_transaction_id: Some(transaction_id()),
        ipa_euicc_data_error_code: IpaEuiccDataErrorCode::INCORRECT_TAG_LIST,
    })
}

fn trigger(profile_download_data: ProfileDownloadData) -> ProfileDownloadTriggerRequest {
    ProfileDownloadTriggerRequest {
        profile_download_data: Some(profile_download_data),
        eim_transaction_id: Some(transaction_id()),
    }
}

fn activation_code() -> ProfileDownloadTriggerRequest {
    trigger(ProfileDownloadData::ActivationCode("1$smdp.example.com$A-1".into()))
}

fn trigger_result() -> ProfileDownloadTriggerResult {
    ProfileDownloadTriggerResult {
        eim_transaction_id: Some(transaction_id()),
        profile_download_trigger_result_data: ProfileDownloadTriggerResultData::ProfileInstallationResult(
            Box::new(Raw::new(installation(success()))),
        ),
    }
}

fn trigger_error() -> ProfileDownloadTriggerResult {
    ProfileDownloadTriggerResult {
        eim_transaction_id: None,
        profile_download_trigger_result_data: ProfileDownloadTriggerResultData::ProfileDownloadError(
            ProfileDownloadError {
                profile_download_error_reason: Some(ProfileDownloadErrorReason::UNDEFINED_ERROR),
                error_response: Some(vec![1]),
            },
        ),
    }
}

fn authenticate_response() -> AuthenticateResponse {
    let AuthenticateServerResponse::AuthenticateResponseOk(ok) = super::authenticate_response() else {
        unreachable!()
    };
    *ok
}

type AuthenticateResponse = rsp::sgp22::es10b::AuthenticateResponseOk;

fn compact_authentication() -> compact::AuthenticateServerResponse {
    let compact = CompactAuthenticateResponseOk::of(&authenticate_response(), true, true);
    compact::AuthenticateServerResponse::CompactAuthenticateResponseOk(Box::new(compact))
}

fn compact_preparation() -> compact::PrepareDownloadResponse {
    let PrepareDownloadResponse::DownloadResponseOk(ok) = super::prepare_response() else { unreachable!() };
    let signed =
        SmdpSigned2 { transaction_id: transaction_id(), cc_required_flag: true, bpp_euicc_otpk: None };
    compact::PrepareDownloadResponse::CompactDownloadResponseOk(CompactPrepareDownloadResponseOk::of(
        &ok, &signed, None,
    ))
}

fn compact_cancellation() -> compact::CancelSessionResponse {
    compact::CancelSessionResponse::CompactCancelSessionResponseOk(CompactCancelSessionResponseOk {
        compact_euicc_cancel_session_signed: CompactEuiccCancelSessionSigned {
            reason: Some(CancelSessionReason::PPR_NOT_ALLOWED),
        },
        euicc_cancel_session_signature: signature(),
    })
}

fn both() -> esipa::EprAndNotifications {
    esipa::EprAndNotifications {
        euicc_package_result: Raw::new(package_result()),
        notification_list: notifications(),
    }
}

fn provide(eim_package_result: esipa::EimPackageResult) -> esipa::ProvideEimPackageResultRequest {
    esipa::ProvideEimPackageResultRequest { eid_value: Some(eid()), eim_package_result }
}

fn acknowledgements() -> esipa::EimAcknowledgements {
    esipa::EimAcknowledgements(vec![esipa::SequenceNumber(130), esipa::SequenceNumber(131)])
}

/// Returns the messages.
pub(crate) fn all() -> Vec<Sample> {
    let flag = RefreshFlag(true);
    samples! {
        // ESep.
        EuiccPackageRequest: package(psmos());
        EuiccPackageRequest: package(ecos());
        EuiccPackageResult: package_result();
        EuiccPackageResult: error_signed();
        EuiccPackageResult: error_unsigned();
        // ES10b.
        IsdrProprietaryApplicationTemplateIot: IsdrProprietaryApplicationTemplateIot {
            euicc_configuration: BitString::of(&[0, 1]),
        };
        AddInitialEimRequest: AddInitialEimRequest { eim_configuration_data_list: vec![configuration()] };
        AddInitialEimResponse: AddInitialEimResponse::AddInitialEimOk(vec![
            AddInitialEimOk::AssociationToken(1),
            AddInitialEimOk::AddOk(Null),
        ]);
        AddInitialEimResponse: AddInitialEimResponse::AddInitialEimError(AddEimResultCode::COMMAND_ERROR);
        EuiccMemoryResetRequest: EuiccMemoryResetRequest { reset_options: BitString::of(&[5]) };
        EuiccMemoryResetResponse: EuiccMemoryResetResponse {
            reset_result: ResetResult::OK,
            reset_eim_result: Some(ResetEimResult::OK),
            reset_immediate_enable_config_result: Some(ResetImmediateEnableConfigResult::OK),
        };
        GetCertsRequest: GetCertsRequest { euicc_ci_pk_id: Some(key_identifier()) };
        GetCertsResponse: GetCertsResponse::Certs(Certs {
            eum_certificate: certificate(),
            euicc_certificate: certificate(),
        });
        GetCertsResponse: GetCertsResponse::GetCertsError(GetCertsError::INVALID_CI_PK_ID);
        RetrieveNotificationsListRequest: RetrieveNotificationsListRequest {
            search_criteria: Some(NotificationSearch::EuiccPackageResults(Null)),
        };
        RetrieveNotificationsListRequest: RetrieveNotificationsListRequest {
            search_criteria: Some(NotificationSearch::SeqNumber(130)),
        };
        RetrieveNotificationsListRequest: RetrieveNotificationsListRequest {
            search_criteria: Some(NotificationSearch::ProfileManagementOperation(BitString::of(&[1]))),
        };
        RetrieveNotificationsListResponse: RetrieveNotificationsListResponse::NotificationList(
            notifications().0
        );
        RetrieveNotificationsListResponse: RetrieveNotificationsListResponse::NotificationsListResultError(
            NotificationsListResultError::UNDEFINED_ERROR
        );
        RetrieveNotificationsListResponse: RetrieveNotificationsListResponse::EuiccPackageResultList(vec![
            Opaque::new(package_result().to_der()),
        ]);
        ImmediateEnableRequest: ImmediateEnableRequest { refresh_flag: flag };
        ImmediateEnableResponse: ImmediateEnableResponse {
            immediate_enable_result: ImmediateEnableResult::OK,
        };
        ProfileRollbackRequest: ProfileRollbackRequest { refresh_flag: flag };
        ProfileRollbackResponse: ProfileRollbackResponse {
            cmd_result: ProfileRollbackResult::OK,
            euicc_package_result: Some(Raw::new(package_result())),
        };
        ConfigureImmediateProfileEnablingRequest: immediate_enable();
        ConfigureImmediateProfileEnablingResponse: ConfigureImmediateProfileEnablingResponse {
            config_immediate_enable_result: ConfigImmediateEnableResult::ASSOCIATED_EIM_ALREADY_EXISTS,
        };
        GetEimConfigurationDataRequest: GetEimConfigurationDataRequest {
            search_criteria: Some(EimSearch::EimId("eim.example.com".into())),
        };
        GetEimConfigurationDataResponse: GetEimConfigurationDataResponse {
            eim_configuration_data_list: List(vec![configuration()]),
        };
        EnableEmergencyProfileRequest: EnableEmergencyProfileRequest { refresh_flag: flag };
        EnableEmergencyProfileResponse: EnableEmergencyProfileResponse {
            enable_emergency_profile_result: EnableEmergencyProfileResult::OK,
        };
        DisableEmergencyProfileRequest: DisableEmergencyProfileRequest { refresh_flag: flag };
        DisableEmergencyProfileResponse: DisableEmergencyProfileResponse {
            disable_emergency_profile_result: DisableEmergencyProfileResult::ECALL_NOT_AVAILABLE,
        };
        ExecuteFallbackMechanismRequest: ExecuteFallbackMechanismRequest { refresh_flag: flag };
        ExecuteFallbackMechanismResponse: ExecuteFallbackMechanismResponse {
            execute_fallback_mechanism_result: ExecuteFallbackMechanismResult::ECALL_ACTIVE,
        };
        ReturnFromFallbackRequest: ReturnFromFallbackRequest { refresh_flag: RefreshFlag(false) };
        ReturnFromFallbackResponse: ReturnFromFallbackResponse {
            return_from_fallback_result: ReturnFromFallbackResult::OK,
        };
        GetConnectivityParametersRequest: GetConnectivityParametersRequest {};
        GetConnectivityParametersResponse: GetConnectivityParametersResponse::ConnectivityParameters(
            ConnectivityParameters { http_params: Some(vec![1]) }
        );
        GetConnectivityParametersResponse: GetConnectivityParametersResponse::ConnectivityParametersError(
            ConnectivityParametersError::PARAMETERS_NOT_AVAILABLE
        );
        SetDefaultDpAddressRequest: SetDefaultDpAddressRequest { default_dp_address: address() };
        SetDefaultDpAddressResponse: SetDefaultDpAddressResponse {
            set_default_dp_address_result: SetDefaultDpAddressResult::OK,
        };
        IpaeActivationRequest: IpaeActivationRequest { ipae_option: BitString::of(&[0]) };
        IpaeActivationResponse: IpaeActivationResponse {
            ipae_activation_result: IpaeActivationResult::NOT_SUPPORTED,
        };
        UpdateMetadataRequest: UpdateMetadataRequest {
            service_provider_name: Some("sp".into()),
            profile_name: Some("n".into()),
            icon_type: Some(IconType::PNG),
            icon: Some(vec![0x89]),
            profile_policy_rules: Some(BitString::of(&[1])),
            fallback_allowed: Some(true),
        };
        // Between eIM and IPA.
        IpaEuiccDataRequest: data_request();
        IpaEuiccDataResponse: data_response();
        IpaEuiccDataResponse: data_error();
        ProfileDownloadTriggerRequest: activation_code();
        ProfileDownloadTriggerRequest: trigger(ProfileDownloadData::ContactDefaultSmdp(Null));
        ProfileDownloadTriggerRequest: trigger(ProfileDownloadData::ContactSmds(ContactSmds {
            smds_address: Some(address()),
        }));
        ProfileDownloadTriggerResult: trigger_result();
        ProfileDownloadTriggerResult: trigger_error();
        compact::AuthenticateServerResponse: compact_authentication();
        compact::PrepareDownloadResponse: compact_preparation();
        compact::CancelSessionResponse: compact_cancellation();
        compact::CancelSessionResponse: compact::CancelSessionResponse::CancelSessionResponseError(
            CancelSessionError::INVALID_TRANSACTION_ID
        );
        // ESipa.
        esipa::InitiateAuthenticationRequest: esipa::InitiateAuthenticationRequest {
            euicc_challenge: [3; 16],
            smdp_address: Some(address()),
            euicc_info1: Some(Raw::new(info1())),
            eim_transaction_id: Some(transaction_id()),
        };
        esipa::InitiateAuthenticationResponse: esipa::InitiateAuthenticationResponse::Ok(Box::new(
            esipa::InitiateAuthenticationOk {
                transaction_id: Some(transaction_id()),
                server_signed1: server_signed1(),
                server_signature1: signature(),
                euicc_ci_pk_identifier_to_be_used: key_identifier(),
                server_certificate: certificate(),
                matching_id: Some("A-1".into()),
                ctx_params1: Some(Raw::new(context())),
            },
        ));
        esipa::InitiateAuthenticationResponse: esipa::InitiateAuthenticationResponse::Error(
            esipa::InitiateAuthenticationError::SMDP_ADDRESS_MISMATCH
        );
        esipa::AuthenticateClientRequest: esipa::AuthenticateClientRequest {
            transaction_id: transaction_id(),
            authenticate_server_response: compact::AuthenticateServerResponse::AuthenticateResponseOk(
                Box::new(authenticate_response()),
            ),
        };
        esipa::AuthenticateClientResponse: esipa::AuthenticateClientResponse::OkDp(Box::new(
            esipa::AuthenticateClientOkDp {
                transaction_id: Some(transaction_id()),
                profile_metadata: Some(metadata()),
                smdp_signed2: smdp_signed2(),
                smdp_signature2: signature(),
                smdp_certificate: certificate(),
                hash_cc: Some([6; 32]),
            },
        ));
        esipa::AuthenticateClientResponse: esipa::AuthenticateClientResponse::OkDs(
            esipa::AuthenticateClientOkDs {
                transaction_id: transaction_id(),
                profile_download_trigger: Some(activation_code()),
            }
        );
        esipa::GetBoundProfilePackageRequest: esipa::GetBoundProfilePackageRequest {
            transaction_id: transaction_id(),
            prepare_download_response: compact_preparation(),
        };
        esipa::GetBoundProfilePackageResponse: esipa::GetBoundProfilePackageResponse::Ok(
            esipa::GetBoundProfilePackageOk {
                transaction_id: Some(transaction_id()),
                bound_profile_package: es9plus::BoundProfilePackageDer(
                    super::bound_profile_package().to_der(),
                ),
            }
        );
        esipa::CancelSessionRequest: esipa::CancelSessionRequest {
            transaction_id: transaction_id(),
            cancel_session_response: compact_cancellation(),
        };
        esipa::CancelSessionResponse: esipa::CancelSessionResponse::Ok(esipa::CancelSessionOk {});
        esipa::HandleNotificationRequest: esipa::HandleNotificationRequest::PendingNotification(Box::new(
            Raw::new(other()),
        ));
        esipa::HandleNotificationRequest: esipa::HandleNotificationRequest::PendingNotification(Box::new(
            Raw::new(PendingNotification::CompactProfileInstallationResult(compact_installation(success()))),
        ));
        esipa::HandleNotificationRequest: esipa::HandleNotificationRequest::ProvideEimPackageResult(provide(
            esipa::EimPackageResult::EuiccPackageResult(Box::new(Raw::new(package_result()))),
        ));
        esipa::GetEimPackageRequest: esipa::GetEimPackageRequest {
            eid_value: eid(),
            notify_state_change: Some(Null),
            state_change_cause: Some(StateChangeCause::FALLBACK),
            r_plmn: Some([0, 0xF1, 0x10]),
        };
        esipa::GetEimPackageResponse: esipa::GetEimPackageResponse::EuiccPackageRequest(Raw::new(package(
            psmos(),
        )));
        esipa::GetEimPackageResponse: esipa::GetEimPackageResponse::IpaEuiccDataRequest(data_request());
        esipa::GetEimPackageResponse: esipa::GetEimPackageResponse::ProfileDownloadTriggerRequest(
            activation_code()
        );
        esipa::GetEimPackageResponse: esipa::GetEimPackageResponse::EimPackageError(
            esipa::EimPackageError::NO_EIM_PACKAGE_AVAILABLE
        );
        esipa::ProvideEimPackageResultRequest: provide(esipa::EimPackageResult::EprAndNotifications(
            Box::new(both()),
        ));
        esipa::ProvideEimPackageResultRequest: provide(esipa::EimPackageResult::IpaEuiccDataResponse(
            Box::new(data_response()),
        ));
        esipa::ProvideEimPackageResultRequest: provide(
            esipa::EimPackageResult::ProfileDownloadTriggerResult(trigger_result())
        );
        esipa::ProvideEimPackageResultRequest: provide(
            esipa::EimPackageResult::EimPackageResultResponseError(esipa::EimPackageResultResponseError {
                eim_transaction_id: Some(transaction_id()),
                eim_package_result_error_code: esipa::EimPackageResultErrorCode::UNKNOWN_PACKAGE,
            })
        );
        esipa::ProvideEimPackageResultResponse:
            esipa::ProvideEimPackageResultResponse::EimAcknowledgements(acknowledgements());
        esipa::ProvideEimPackageResultResponse:
            esipa::ProvideEimPackageResultResponse::EmptyResponse(esipa::EmptyResponse {});
        esipa::TransferEimPackageRequest:
            esipa::TransferEimPackageRequest::EimAcknowledgements(acknowledgements());
        esipa::TransferEimPackageRequest:
            esipa::TransferEimPackageRequest::EuiccPackageRequest(Raw::new(package(ecos())));
        esipa::TransferEimPackageResponse:
            esipa::TransferEimPackageResponse::EprAndNotifications(Box::new(both()));
        esipa::TransferEimPackageResponse: esipa::TransferEimPackageResponse::EimPackageReceived(Null);
        esipa::TransferEimPackageResponse: esipa::TransferEimPackageResponse::EimPackageReceivedWithCid(
            esipa::EimPackageReceivedWithCid {
                correlation_id: Some(esipa::CorrelationId::EimTransactionId(transaction_id())),
            }
        );
        esipa::TransferEimPackageResponse: esipa::TransferEimPackageResponse::EimPackageErrorWithCid(
            esipa::EimPackageErrorWithCid {
                correlation_id: Some(esipa::CorrelationId::EidValue(eid())),
                eim_package_error: esipa::EimPackageResultErrorCode::UNDEFINED_ERROR,
            }
        );
    }
}
