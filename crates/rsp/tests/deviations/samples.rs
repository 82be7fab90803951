//! A message of each type of SGP.22 and SGP.32. Together they contain every element of every type.

mod iot;

use rsp::{
    der::{Asn1, BitString, DecodeError, List, Null, Opaque, Raw, Shape, Tag},
    finding::{self, Finding},
    ids::{Aid, CertificateDer, Iccid, Oid, SubjectKeyIdentifier, TransactionId, Version},
    sgp22::{
        CancelSessionReason, CertificationDataObject, CtxParams1, CtxParamsForCommonAuthentication,
        DeviceCapabilities, DeviceInfo, DpProprietaryData, EuiccCancelSessionSigned, EuiccCategory,
        EuiccInfo1, EuiccInfo2, EuiccSigned1, IconType, IotSpecificInfo, IotSpecificProfileInfo, LpaMode,
        MatchingIdSource, NotificationConfigurationInformation, NotificationMetadata, OperatorId,
        OtherSignedNotification, PendingNotification, ProfileClass, ProfileIdentifier,
        ProfilePolicyAuthorisationRule, ProfileState, ServerSigned1, es8plus::*, es9plus, es10b::*, es10c::*,
        es11,
    },
};

/// A message with its type.
pub(crate) struct Sample {
    /// The type in Rust.
    pub(crate) name: &'static str,
    pub(crate) octets: Vec<u8>,
    pub(crate) tag: Tag,
    pub(crate) shape: Shape,
    /// Decodes a message of the type, and returns the findings.
    pub(crate) decode: fn(&[u8]) -> Result<Vec<Finding>, DecodeError>,
}

/// A standard, with the folder of its types in the sources.
pub(crate) struct Standard {
    pub(crate) folder: &'static str,
    pub(crate) samples: fn() -> Vec<Sample>,
}

/// The standards whose types have samples.
pub(crate) const STANDARDS: &[Standard] =
    &[Standard { folder: "sgp22", samples: all }, Standard { folder: "sgp32", samples: iot::all }];

fn sample<T: Asn1>(name: &'static str, value: &T) -> Sample {
    fn decode<T: Asn1>(octets: &[u8]) -> Result<Vec<Finding>, DecodeError> {
        let (decoded, findings) = finding::collect(|| T::from_peer(octets));
        decoded.map(|_| findings)
    }
    Sample { name, octets: value.to_der(), tag: T::TAG, shape: T::shape(), decode: decode::<T> }
}

/// Makes the samples of a list of types and values.
macro_rules! samples {
    ($($type:ty: $value:expr;)+) => {
        vec![$({
            let value: $type = $value;
            sample(stringify!($type), &value)
        }),+]
    };
}

use samples;

fn iccid() -> Iccid {
    "89000123456789012341".parse().unwrap()
}

fn transaction_id() -> TransactionId {
    TransactionId(vec![1; 16])
}

fn signature() -> Vec<u8> {
    vec![9; 64]
}

fn one_time_key() -> Vec<u8> {
    [vec![4], vec![5; 64]].concat()
}

fn oid() -> Oid {
    "2.999.10".parse().unwrap()
}

/// A certificate without names and extensions.
fn certificate() -> CertificateDer {
    let key = hex::encode(public_key_info());
    let validity = hex::encode("\x17\x0D260101000000Z\x17\x0D360101000000Z");
    let algorithm = "300a06082a8648ce3d040302";
    let text = format!("3062304f020101{algorithm}3000301e{validity}3000{key}{algorithm}0303000404");
    CertificateDer(hex::decode(text).unwrap())
}

/// SubjectPublicKeyInfo of a key on NIST P-256. The key is shortened.
fn public_key_info() -> Vec<u8> {
    hex::decode("301a301306072a8648ce3d020106082a8648ce3d0301070303000404").unwrap()
}

fn key_identifier() -> SubjectKeyIdentifier {
    SubjectKeyIdentifier(vec![0x11; 20])
}

fn address() -> String {
    "smdp.example.com".into()
}

fn operator() -> OperatorId {
    OperatorId { mcc_mnc: [0, 0xF1, 0x10], gid1: Some(vec![1]), gid2: Some(vec![2]) }
}

fn version() -> Option<Version> {
    Some(Version([2, 2, 0]))
}

fn info1() -> EuiccInfo1 {
    EuiccInfo1 {
        svn: Version([2, 2, 0]),
        euicc_ci_pk_id_list_for_verification: vec![key_identifier()],
        euicc_ci_pk_id_list_for_signing: vec![key_identifier()],
    }
}

fn info2() -> EuiccInfo2 {
    EuiccInfo2 {
        profile_version: Version([2, 3, 1]),
        svn: Version([2, 2, 2]),
        euicc_firmware_ver: Version([1, 0, 0]),
        ext_card_resource: hex::decode("810100820400010000830210 00".replace(' ', "")).unwrap(),
        uicc_capability: BitString::of(&[1, 14]),
        ts102241_version: version(),
        globalplatform_version: version(),
        rsp_capability: BitString::of(&[0]),
        euicc_ci_pk_id_list_for_verification: vec![key_identifier()],
        euicc_ci_pk_id_list_for_signing: vec![key_identifier()],
        euicc_category: Some(EuiccCategory::MEDIUM),
        forbidden_profile_policy_rules: Some(BitString::of(&[0])),
        pp_version: Version([1, 0, 0]),
        sas_accreditation_number: "SAS-1".into(),
        certification_data_object: Some(CertificationDataObject {
            platform_label: "p".into(),
            discovery_base_url: "u".into(),
        }),
        tre_properties: Some(BitString::of(&[0])),
        tre_product_reference: Some("r".into()),
        additional_profile_package_versions: Some(vec![Version([2, 2, 0])]),
        lpa_mode: Some(LpaMode::LPAD),
        euicc_ci_pk_id_list_for_signing_v3: Some(vec![key_identifier()]),
        additional_euicc_info: Some(vec![1]),
        highest_svn: version(),
        iot_specific_info: Some(IotSpecificInfo {
            iot_version: vec![Version([1, 2, 0])],
            ecall_supported: Some(Null),
            fallback_supported: Some(Null),
            fallback_allowed_update_supported: Some(Null),
        }),
        euicc_minimum_security_level: Some([1]),
    }
}

fn context() -> CtxParams1 {
    CtxParams1::CtxParamsForCommonAuthentication(CtxParamsForCommonAuthentication {
        matching_id: Some("A-1".into()),
        device_info: DeviceInfo {
            tac: [0x35, 0x29, 6, 0x11],
            device_capabilities: DeviceCapabilities {
                gsm_supported_release: version(),
                utran_supported_release: version(),
                cdma2000_onex_supported_release: version(),
                cdma2000_hrpd_supported_release: version(),
                cdma2000_ehrpd_supported_release: version(),
                eutran_epc_supported_release: version(),
                contactless_supported_release: version(),
                rsp_crl_supported_version: version(),
                nr_epc_supported_release: version(),
                nr_5gc_supported_release: version(),
                eutran_5gc_supported_release: version(),
                lpa_svn: version(),
            },
            imei: Some([0x35; 8]),
        },
        operation_type: Some(BitString::of(&[0])),
        iccid: Some(iccid()),
        matching_id_source: Some(MatchingIdSource::SmdsOid(oid())),
    })
}

fn server_signed1() -> Raw<ServerSigned1> {
    Raw::new(ServerSigned1 {
        transaction_id: transaction_id(),
        euicc_challenge: [3; 16],
        server_address: address(),
        server_challenge: [4; 16],
    })
}

fn authenticate_response() -> AuthenticateServerResponse {
    AuthenticateServerResponse::AuthenticateResponseOk(Box::new(AuthenticateResponseOk {
        euicc_signed1: Raw::new(EuiccSigned1 {
            transaction_id: transaction_id(),
            server_address: address(),
            server_challenge: [4; 16],
            euicc_info2: Raw::new(info2()),
            ctx_params1: Raw::new(context()),
        }),
        euicc_signature1: signature(),
        euicc_certificate: certificate(),
        eum_certificate: certificate(),
    }))
}

fn smdp_signed2() -> Raw<SmdpSigned2> {
    Raw::new(SmdpSigned2 {
        transaction_id: transaction_id(),
        cc_required_flag: true,
        bpp_euicc_otpk: Some(one_time_key()),
    })
}

fn prepare_response() -> PrepareDownloadResponse {
    PrepareDownloadResponse::DownloadResponseOk(PrepareDownloadResponseOk {
        euicc_signed2: Raw::new(EuiccSigned2 {
            transaction_id: transaction_id(),
            euicc_otpk: one_time_key(),
            hash_cc: Some([6; 32]),
        }),
        euicc_signature2: signature(),
    })
}

fn cancel_response() -> CancelSessionResponse {
    CancelSessionResponse::CancelSessionResponseOk(CancelSessionResponseOk {
        euicc_cancel_session_signed: Raw::new(EuiccCancelSessionSigned {
            transaction_id: transaction_id(),
            smdp_oid: oid(),
            reason: CancelSessionReason::POSTPONED,
        }),
        euicc_cancel_session_signature: signature(),
    })
}

fn receivers() -> Vec<NotificationConfigurationInformation> {
    vec![NotificationConfigurationInformation {
        profile_management_operation: BitString::of(&[0]),
        notification_address: address(),
    }]
}

fn metadata() -> StoreMetadataRequest {
    StoreMetadataRequest {
        iccid: iccid(),
        service_provider_name: "sp".into(),
        profile_name: "n".into(),
        icon_type: Some(IconType::PNG),
        icon: Some(vec![0x89]),
        profile_class: Some(ProfileClass::OPERATIONAL),
        notification_configuration_info: Some(receivers()),
        profile_owner: Some(operator()),
        profile_policy_rules: Some(BitString::of(&[1])),
        ecall_indication: Some(true),
        fallback_allowed: Some(true),
    }
}

fn profile_info() -> ProfileInfo {
    ProfileInfo {
        iccid: Some(iccid()),
        isdp_aid: Some(Aid::isd_p(0x11)),
        profile_state: Some(ProfileState::ENABLED),
        profile_nickname: Some("nick".into()),
        service_provider_name: Some("sp".into()),
        profile_name: Some("n".into()),
        icon_type: Some(IconType::JPG),
        icon: Some(vec![0xFF]),
        profile_class: Some(ProfileClass::TEST),
        notification_configuration_info: Some(receivers()),
        profile_owner: Some(operator()),
        dp_proprietary_data: Some(DpProprietaryData { dp_oid: oid() }),
        profile_policy_rules: Some(BitString::of(&[1])),
        ecall_indication: Some(true),
        fallback_attribute: Some(true),
        fallback_allowed: Some(true),
        iot_specific_profile_info: Some(IotSpecificProfileInfo {}),
    }
}

fn notification_metadata() -> NotificationMetadata {
    NotificationMetadata {
        seq_number: 130,
        profile_management_operation: BitString::of(&[1]),
        notification_address: address(),
        iccid: Some(iccid()),
    }
}

fn installation_result(final_result: FinalResult) -> ProfileInstallationResult {
    ProfileInstallationResult {
        profile_installation_result_data: Raw::new(ProfileInstallationResultData {
            transaction_id: transaction_id(),
            notification_metadata: notification_metadata(),
            smdp_oid: Some(oid()),
            final_result,
        }),
        euicc_sign_pir: signature(),
    }
}

fn success() -> FinalResult {
    FinalResult::SuccessResult(SuccessResult { aid: Aid::isd_p(0x11), sima_response: vec![0x30, 0] })
}

fn error() -> FinalResult {
    FinalResult::ErrorResult(ErrorResult {
        bpp_command_id: BppCommandId::LOAD_PROFILE_ELEMENTS,
        error_reason: ErrorReason::PPR_NOT_ALLOWED,
        sima_response: Some(vec![0x30, 0]),
    })
}

fn other_notification() -> PendingNotification {
    PendingNotification::OtherSignedNotification(OtherSignedNotification {
        tbs_other_notification: Raw::new(notification_metadata()),
        euicc_notification_signature: signature(),
        euicc_certificate: certificate(),
        eum_certificate: certificate(),
    })
}

fn initialise_secure_channel() -> InitialiseSecureChannelRequest {
    InitialiseSecureChannelRequest {
        remote_op_id: InitialiseSecureChannelRequest::INSTALL_BOUND_PROFILE_PACKAGE,
        transaction_id: transaction_id(),
        control_ref_template: ControlRefTemplate { key_type: [0x88], key_len: [0x10], host_id: vec![7; 7] },
        smdp_otpk: one_time_key(),
        smdp_sign: signature(),
    }
}

fn bound_profile_package() -> BoundProfilePackage {
    BoundProfilePackage {
        initialise_secure_channel_request: Raw::new(initialise_secure_channel()),
        first_sequence_of87: Segments(vec![vec![0x87, 1, 1]]),
        sequence_of88: Segments(vec![vec![0x88, 1, 2]]),
        second_sequence_of87: Some(Segments(vec![vec![0x87, 1, 3]])),
        sequence_of86: Segments(vec![vec![0x86, 1, 4]]),
    }
}

/// Returns the messages.
pub(crate) fn all() -> Vec<Sample> {
    let by_iccid = || ProfileIdentifier::Iccid(iccid());
    let by_aid = || ProfileIdentifier::IsdpAid(Aid::isd_p(0x11));
    samples! {
        // ES10a and ES10b, to the eUICC.
        EuiccConfiguredAddressesRequest: EuiccConfiguredAddressesRequest {};
        SetDefaultDpAddressRequest: SetDefaultDpAddressRequest { default_dp_address: address() };
        GetEuiccChallengeRequest: GetEuiccChallengeRequest {};
        GetEuiccInfo1Request: GetEuiccInfo1Request {};
        GetEuiccInfo2Request: GetEuiccInfo2Request {};
        AuthenticateServerRequest: AuthenticateServerRequest {
            server_signed1: server_signed1(),
            server_signature1: signature(),
            euicc_ci_pk_id_to_be_used: key_identifier(),
            server_certificate: certificate(),
            ctx_params1: Raw::new(context()),
        };
        PrepareDownloadRequest: PrepareDownloadRequest {
            smdp_signed2: smdp_signed2(),
            smdp_signature2: signature(),
            hash_cc: Some([6; 32]),
            smdp_certificate: certificate(),
        };
        CancelSessionRequest: CancelSessionRequest {
            transaction_id: transaction_id(),
            reason: CancelSessionReason::TIMEOUT,
        };
        ListNotificationRequest: ListNotificationRequest {
            profile_management_operation: Some(BitString::of(&[0])),
        };
        RetrieveNotificationsListRequest: RetrieveNotificationsListRequest {
            search_criteria: Some(NotificationSearch::ProfileManagementOperation(BitString::of(&[2]))),
        };
        RetrieveNotificationsListRequest: RetrieveNotificationsListRequest {
            search_criteria: Some(NotificationSearch::SeqNumber(130)),
        };
        NotificationSentRequest: NotificationSentRequest { seq_number: 130 };
        GetRatRequest: GetRatRequest {};
        LoadCrlRequest: LoadCrlRequest { crl: CertificateList(vec![0x30, 0]) };
        // ES10c, to the eUICC.
        ProfileInfoListRequest: ProfileInfoListRequest {
            search_criteria: Some(ProfileSearch::ProfileClass(ProfileClass::OPERATIONAL)),
            tag_list: Some(vec![0x5A, 0x9F, 0x70]),
        };
        ProfileInfoListRequest: ProfileInfoListRequest {
            search_criteria: Some(ProfileSearch::IsdpAid(Aid::isd_p(0x11))),
            tag_list: None,
        };
        EnableProfileRequest: EnableProfileRequest {
            profile_identifier: by_iccid(),
            refresh_flag: RefreshFlag(true),
        };
        DisableProfileRequest: DisableProfileRequest {
            profile_identifier: by_aid(),
            refresh_flag: RefreshFlag(false),
        };
        DeleteProfileRequest: DeleteProfileRequest::Iccid(iccid());
        EuiccMemoryResetRequest: EuiccMemoryResetRequest { reset_options: BitString::of(&[0, 2]) };
        GetEuiccDataRequest: GetEuiccDataRequest { tag_list: EidTag };
        SetNicknameRequest: SetNicknameRequest { iccid: iccid(), profile_nickname: "home".into() };
        // ES8+, to the eUICC.
        BoundProfilePackage: bound_profile_package();
        InitialiseSecureChannelRequest: initialise_secure_channel();
        ConfigureIsdpRequest: ConfigureIsdpRequest {
            dp_proprietary_data: Some(DpProprietaryData { dp_oid: oid() }),
        };
        StoreMetadataRequest: metadata();
        ReplaceSessionKeysRequest: ReplaceSessionKeysRequest {
            initial_mac_chaining_value: [1; 16],
            ppk_enc: [2; 16],
            ppk_cmac: [3; 16],
        };
        // From the eUICC.
        EuiccConfiguredAddressesResponse: EuiccConfiguredAddressesResponse {
            default_dp_address: Some(address()),
            root_ds_address: address(),
        };
        SetDefaultDpAddressResponse: SetDefaultDpAddressResponse {
            set_default_dp_address_result: SetDefaultDpAddressResult::OK,
        };
        GetEuiccChallengeResponse: GetEuiccChallengeResponse { euicc_challenge: [0; 16] };
        EuiccInfo1: info1();
        EuiccInfo2: info2();
        AuthenticateServerResponse: authenticate_response();
        AuthenticateServerResponse: AuthenticateServerResponse::AuthenticateResponseError(
            AuthenticateResponseError {
                transaction_id: transaction_id(),
                authenticate_error_code: AuthenticateErrorCode::INVALID_OID,
            }
        );
        PrepareDownloadResponse: prepare_response();
        PrepareDownloadResponse: PrepareDownloadResponse::DownloadResponseError(PrepareDownloadResponseError {
            transaction_id: transaction_id(),
            download_error_code: DownloadErrorCode::INVALID_SIGNATURE,
        });
        CancelSessionResponse: cancel_response();
        CancelSessionResponse: CancelSessionResponse::CancelSessionResponseError(
            CancelSessionError::INVALID_TRANSACTION_ID
        );
        ListNotificationResponse: ListNotificationResponse::NotificationMetadataList(List(vec![
            notification_metadata(),
        ]));
        NotificationMetadata: notification_metadata();
        RetrieveNotificationsListResponse: RetrieveNotificationsListResponse::NotificationList(vec![
            Opaque::new(other_notification().to_der()),
        ]);
        RetrieveNotificationsListResponse: RetrieveNotificationsListResponse::NotificationsListResultError(
            NotificationsListResultError::NO_RESULT_AVAILABLE
        );
        NotificationSentResponse: NotificationSentResponse {
            delete_notification_status: DeleteNotificationStatus::OK,
        };
        GetRatResponse: GetRatResponse {
            rat: vec![ProfilePolicyAuthorisationRule {
                ppr_ids: BitString::of(&[1]),
                allowed_operators: vec![operator()],
                ppr_flags: BitString::of(&[0]),
            }],
        };
        LoadCrlResponse: LoadCrlResponse::LoadCrlResponseOk(LoadCrlResponseOk {
            missing_parts: Some(vec![1, 2]),
        });
        ProfileInfoListResponse: ProfileInfoListResponse::ProfileInfoListOk(List(vec![profile_info()]));
        EnableProfileResponse: EnableProfileResponse { enable_result: EnableResult::OK };
        DisableProfileResponse: DisableProfileResponse { disable_result: DisableResult::OK };
        DeleteProfileResponse: DeleteProfileResponse { delete_result: DeleteResult::OK };
        EuiccMemoryResetResponse: EuiccMemoryResetResponse { reset_result: ResetResult::OK };
        GetEuiccDataResponse: GetEuiccDataResponse {
            eid_value: "89049032123451234512345678901235".parse().unwrap(),
        };
        SetNicknameResponse: SetNicknameResponse { set_nickname_result: SetNicknameResult::OK };
        ProfileInstallationResult: installation_result(success());
        ProfileInstallationResult: installation_result(error());
        ProfileInstallationResultData: ProfileInstallationResultData {
            transaction_id: transaction_id(),
            notification_metadata: notification_metadata(),
            smdp_oid: None,
            final_result: error(),
        };
        // ES9+ and ES11.
        es9plus::InitiateAuthenticationRequest: es9plus::InitiateAuthenticationRequest {
            euicc_challenge: [3; 16],
            smdp_address: address(),
            euicc_info1: info1(),
        };
        es9plus::InitiateAuthenticationOk: es9plus::InitiateAuthenticationOk {
            transaction_id: transaction_id(),
            server_signed1: server_signed1(),
            server_signature1: signature(),
            euicc_ci_pk_id_to_be_used: key_identifier(),
            server_certificate: certificate(),
        };
        es9plus::AuthenticateClientRequest: es9plus::AuthenticateClientRequest {
            transaction_id: transaction_id(),
            authenticate_server_response: authenticate_response(),
        };
        es9plus::AuthenticateClientOk: es9plus::AuthenticateClientOk {
            transaction_id: transaction_id(),
            profile_metadata: metadata(),
            smdp_signed2: smdp_signed2(),
            smdp_signature2: signature(),
            smdp_certificate: certificate(),
        };
        es9plus::GetBoundProfilePackageRequest: es9plus::GetBoundProfilePackageRequest {
            transaction_id: transaction_id(),
            prepare_download_response: prepare_response(),
        };
        es9plus::GetBoundProfilePackageOk: es9plus::GetBoundProfilePackageOk {
            transaction_id: transaction_id(),
            bound_profile_package: es9plus::BoundProfilePackageDer(bound_profile_package().to_der()),
        };
        es9plus::CancelSessionRequestEs9: es9plus::CancelSessionRequestEs9 {
            transaction_id: transaction_id(),
            cancel_session_response: cancel_response(),
        };
        es9plus::CancelSessionOk: es9plus::CancelSessionOk {};
        es9plus::HandleNotificationRequest: es9plus::HandleNotificationRequest {
            pending_notification: Raw::new(other_notification()),
        };
        es9plus::HandleNotificationRequest: es9plus::HandleNotificationRequest {
            pending_notification: Raw::new(PendingNotification::ProfileInstallationResult(
                installation_result(success()),
            )),
        };
        es11::InitiateAuthenticationRequest: es11::InitiateAuthenticationRequest {
            euicc_challenge: [3; 16],
            smds_address: address(),
            euicc_info1: info1(),
        };
        es11::AuthenticateClientOk: es11::AuthenticateClientOk {
            transaction_id: transaction_id(),
            event_entries: vec![es11::EventEntries {
                event_id: "EV-1".into(),
                rsp_server_address: address(),
            }],
        };
        // An element that no message of the other samples contains.
        MatchingIdSource: MatchingIdSource::None(Null);
    }
}
