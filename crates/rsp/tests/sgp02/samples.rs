//! Samples of every message: one with all optional elements and one with as few as possible.

use std::fmt::Debug;

use rsp::{
    ids::{Aid, Eid, Iccid, Oid, Version},
    ota::secured_packet::Tar,
    sgp02::{
        BaseNotification, BaseRequest, BaseResponse, ExecutionStatus, FunctionExecutionStatus, Message,
        Namespace, Octets, Response, StatusCodeData, SubscriptionAddress,
        eis::{
            AdditionalProperties, AuditTrail, AuditTrailRecord, Eis, EuiccCapabilities, EumSignedInfo,
            FreeMemory, GpCertificate, Key, KeyComponent, Keyset, KeysetType, OperationType, Pol2,
            Pol2Action, Pol2Qualification, Pol2Rule, Pol2Subject, ProfileInfo, ProfileState, Property,
            SdRole, SecurityDomain,
        },
        es1, es2, es3, es4, es7,
        signature::{Canonical, EumSignature},
    },
    time::Timestamp,
};
use serde::{Serialize, de::DeserializeOwned};

/// The schemas for which a sample is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schema {
    /// The sample is valid in both namespaces.
    Both,
    /// Namespace 1 does not define the message, or defines it in another form.
    V3,
    /// No published schema is valid for the sample: a function of version 4, or a response without
    /// the elements that are missing in a failure.
    None,
}

/// A visitor of all sample messages.
pub(crate) trait Visitor {
    fn visit_message<M>(&mut self, schema: Schema, message: M)
    where
        M: Message + Clone + PartialEq + Debug + Serialize + DeserializeOwned;
}

pub(crate) fn eid() -> Eid {
    "89001012012341234012345678901224".parse().unwrap()
}

pub(crate) fn iccid() -> Iccid {
    "8900012345678901234".parse().unwrap()
}

pub(crate) fn oid(text: &str) -> Oid {
    text.parse().unwrap()
}

pub(crate) fn time() -> Timestamp {
    "2026-11-22T08:00:00Z".parse().unwrap()
}

pub(crate) fn pol2() -> Pol2 {
    let rule = |action, qualification| Pol2Rule { subject: Pol2Subject::Profile, action, qualification };
    Pol2 {
        rule: vec![
            rule(Pol2Action::Delete, Pol2Qualification::NotAllowed),
            rule(Pol2Action::Disable, Pol2Qualification::AutoDelete),
        ],
    }
}

pub(crate) fn address() -> SubscriptionAddress {
    SubscriptionAddress {
        imsi: Some("001010123456789".parse().unwrap()),
        msisdn: Some("491510000001".parse().unwrap()),
    }
}

fn isd_r() -> SecurityDomain {
    SecurityDomain {
        aid: Aid(Aid::ISD_R.to_vec()),
        tar: vec![Tar([0, 0, 1])],
        sin: Octets(vec![1; 8]),
        sdin: Octets(vec![2; 16]),
        role: SdRole::IsdR,
        keyset: vec![Keyset {
            version: 1,
            r#type: Some(KeysetType::Scp80),
            cntr: Some(7),
            key: vec![Key {
                index: 1,
                kcv: Octets(vec![0xAB, 0xCD, 0xEF]),
                key_components: vec![KeyComponent { r#type: 0x88, value: Octets(vec![0x11; 16]) }],
            }],
            certificate: Vec::new(),
        }],
    }
}

fn ecasd() -> SecurityDomain {
    SecurityDomain {
        aid: Aid(Aid::ECASD.to_vec()),
        tar: Vec::new(),
        sin: Octets(vec![3; 8]),
        sdin: Octets(vec![4; 16]),
        role: SdRole::Ecasd,
        keyset: vec![Keyset {
            version: 0x74,
            r#type: Some(KeysetType::Ca),
            cntr: None,
            key: Vec::new(),
            certificate: vec![GpCertificate {
                index: 1,
                ca_id: oid("2.999.1"),
                value: Octets(vec![0x7F, 0x21, 0x02, 0x93, 0x00]),
            }],
        }],
    }
}

pub(crate) fn signed_info(namespace: Namespace) -> Canonical<EumSignedInfo> {
    let info = EumSignedInfo {
        eid: eid(),
        eum_id: oid("2.999.2"),
        production_date: time(),
        platform_type: "Landfall <sim> & \"more\"".to_owned(),
        platform_version: Version([1, 2, 3]),
        isd_p_loadfile_aid: Aid::isd_p(0x0D),
        isd_p_module_aid: Aid::isd_p(0x0E),
        ecasd: ecasd(),
        euicc_capabilities: EuiccCapabilities {
            cattp_support: false,
            cattp_version: None,
            http_support: true,
            http_version: Some(Version([1, 1, 3])),
            secure_packet_version: Version([12, 1, 0]),
            remote_provisioning_version: Version([4, 2, 0]),
        },
    };
    Canonical::eum_signed_info(info, namespace)
}

/// A substitute for a hash function, sufficient for encoding and decoding.
pub(crate) fn digest(octets: &[u8]) -> [u8; 32] {
    let sum = octets.iter().fold(7u8, |sum, octet| sum.wrapping_mul(31).wrapping_add(*octet));
    [sum; 32]
}

pub(crate) fn eis(namespace: Namespace) -> Eis {
    let eum_signed_info = signed_info(namespace);
    let eum_signature = EumSignature::new(&eum_signed_info, digest, |_| vec![0x5A; 64], Some(&[0x30, 0x00]));
    Eis {
        eum_signed_info,
        eum_signature,
        remaining_memory: 512_000,
        available_memory_for_profiles: 300_000,
        last_audit_date: Some(time()),
        smsr_id: oid("2.999.20"),
        profile_info: vec![ProfileInfo {
            iccid: iccid(),
            isd_p_aid: Aid::isd_p(0x10),
            mno_id: oid("2.999.30"),
            fallback_attribute: true,
            subscription_address: address(),
            state: ProfileState::Enabled,
            smdp_id: Some(oid("2.999.10")),
            profile_type: Some("metering".to_owned()),
            allocated_memory: 65_536,
            free_memory: Some(FreeMemory(1_024)),
            pol2: pol2(),
        }],
        isd_r: Some(isd_r()),
        audit_trail: Some(AuditTrail {
            record: vec![AuditTrailRecord {
                eid: eid(),
                smsr_id: oid("2.999.20"),
                operation_date: time(),
                operation_type: OperationType::ENABLE_PROFILE,
                requester_id: Some(oid("2.999.30")),
                operation_execution_status: Some(failed().function_execution_status),
                isd_p_aid: Some(Aid::isd_p(0x10)),
                iccid: Some(iccid()),
                imei: Some(Octets(vec![0x12; 8])),
                meid: Some(Octets(vec![0x34; 7])),
            }],
        }),
        additional_properties: Some(AdditionalProperties {
            property: vec![Property { key: "x:factory".to_owned(), value: "a <\"b\">\n\t&".to_owned() }],
        }),
    }
}

/// An EIS with as few elements as possible.
pub(crate) fn small_eis(namespace: Namespace) -> Eis {
    let mut eis = eis(namespace);
    eis.last_audit_date = None;
    eis.audit_trail = None;
    eis.additional_properties = None;
    eis.isd_r = eis.isd_r.map(SecurityDomain::without_key_values);
    for profile in &mut eis.profile_info {
        profile.pol2 = Pol2::default();
        profile.smdp_id = None;
        profile.profile_type = None;
        profile.free_memory = None;
        profile.subscription_address = SubscriptionAddress::default();
    }
    eis
}

pub(crate) fn request() -> BaseRequest {
    BaseRequest { function_call_identifier: "call <1> & so on".to_owned(), validity_period: Some(3600) }
}

pub(crate) fn done() -> BaseResponse {
    BaseResponse {
        processing_start: Some(time()),
        processing_end: Some("2026-11-22T08:00:01.5Z".parse().unwrap()),
        acceptable_validity_period: None,
        function_execution_status: FunctionExecutionStatus::default(),
    }
}

pub(crate) fn failed() -> BaseResponse {
    BaseResponse {
        processing_start: None,
        processing_end: None,
        acceptable_validity_period: Some(60),
        function_execution_status: FunctionExecutionStatus {
            status: ExecutionStatus::Expired,
            status_code_data: Some(StatusCodeData {
                subject: "8.2.1".to_owned(),
                reason: "3.9".to_owned(),
                subject_identifier: Some("8900012345678901234".to_owned()),
                message: Some("unknown".to_owned()),
            }),
        },
    }
}

const NOTIFICATION_BASE: BaseNotification = BaseNotification {};

/// Visits a function whose response has the same schema in success and in failure.
macro_rules! function {
    ($v:ident, $schema:expr, $module:ident :: $request:ident { $($field:ident : $value:expr),* $(,)? }
        => $response:ident { $($out:ident : $given:expr),* $(,)? } $failure:expr) => {
        $v.visit_message($schema, $module::$request { base: request(), $($field: $value),* });
        $v.visit_message($schema, $module::$response { base: done(), $($out: $given),* });
        $v.visit_message($failure, <$module::$response as Response>::only(failed()));
    };
}

/// Visits every message. The information sets are signed in this namespace.
pub(crate) fn visit(v: &mut impl Visitor, namespace: Namespace) {
    use Schema::{Both, None as Beyond, V3};
    let data = || Some(Octets(vec![0xAB, 0x03, 0x80, 0x01, 0x01]));
    es1_and_es7(v, namespace);

    function!(v, Both, es2::GetEisRequest { eid: eid(), smsr_id: oid("2.999.20") }
        => GetEisResponse { eis: Some(eis(namespace)) } Both);
    function!(v, Both, es2::DownloadProfileRequest { eid: eid(), smsr_id: oid("2.999.20"),
            profile_type: Some("metering".to_owned()), iccid: Some(iccid()), enable_profile: true }
        => DownloadProfileResponse { iccid: Some(iccid()) } Both);
    function!(v, Both, es2::UpdatePolicyRulesRequest { eid: eid(), iccid: iccid(), smsr_id: oid("2.999.20"),
            pol2: Some(pol2()) } => UpdatePolicyRulesResponse {} Both);
    v.visit_message(
        Both,
        es2::UpdatePolicyRulesRequest {
            base: BaseRequest::new("2"),
            eid: eid(),
            iccid: iccid(),
            smsr_id: oid("2.999.20"),
            pol2: None,
        },
    );
    function!(v, Both, es2::UpdateSubscriptionAddressRequest { eid: eid(), iccid: iccid(),
            smsr_id: oid("2.999.20"), new_subscription_address: address() }
        => UpdateSubscriptionAddressResponse {} Both);
    function!(v, Beyond, es2::AuditEisRequest { eid: eid(), iccid: vec![iccid(), iccid()],
            smsr_id: oid("2.999.20") } => AuditEisResponse { eis: Some(eis(namespace)) } Beyond);
    macro_rules! es2_on_a_profile {
        ($($schema:expr, $request:ident $response:ident;)+) => { $(
            v.visit_message($schema, es2::$request {
                base: request(), eid: eid(), smsr_id: oid("2.999.20"), iccid: iccid() });
            v.visit_message(Beyond, es2::$response { base: done(), euicc_response_data: data() });
            v.visit_message($schema, es2::$response::only(failed()));
        )+ };
    }
    es2_on_a_profile! {
        Both, EnableProfileRequest EnableProfileResponse;
        Both, DisableProfileRequest DisableProfileResponse;
        Both, DeleteProfileRequest DeleteProfileResponse;
        Beyond, SetFallBackAttributeRequest SetFallBackAttributeResponse;
        Beyond, SetEmergencyProfileAttributeRequest SetEmergencyProfileAttributeResponse;
    }

    function!(v, Both, es3::GetEisRequest { eid: eid() } => GetEisResponse { eis: Some(small_eis(namespace)) } Both);
    function!(v, V3, es3::AuditEisRequest { eid: eid(), iccid: vec![iccid()] }
        => AuditEisResponse { eis: Some(eis(namespace)) } Both);
    v.visit_message(Both, es3::AuditEisRequest { base: request(), eid: eid(), iccid: Vec::new() });
    function!(v, Both, es3::CreateIsdpRequest { eid: eid(), iccid: iccid(), mno_id: oid("2.999.30"),
            required_memory: 65_536, more_to_do: Some(true) }
        => CreateIsdpResponse { isd_p_aid: Some(Aid::isd_p(0x11)), euicc_response_data: data() } Beyond);
    function!(v, Both, es3::SendDataRequest { eid: eid(), sd_aid: Aid(Aid::ISD_R.to_vec()),
            data: Octets(vec![0xAA, 0x00]), more_to_do: Some(false) }
        => SendDataResponse { euicc_response_data: data() } Both);
    function!(v, Both, es3::ProfileDownloadCompletedRequest { eid: eid(), iccid: iccid(),
            profile_type: Some("metering".to_owned()), subscription_address: Some(address()), pol2: Some(pol2()) }
        => ProfileDownloadCompletedResponse {} Both);
    function!(v, Both, es3::UpdatePolicyRulesRequest { eid: eid(), iccid: iccid(), pol2: Some(Pol2::default()) }
        => UpdatePolicyRulesResponse {} Both);
    function!(v, Both, es3::UpdateSubscriptionAddressRequest { eid: eid(), iccid: iccid(),
            new_subscription_address: address() } => UpdateSubscriptionAddressResponse {} Both);
    function!(v, Both, es3::UpdateConnectivityParametersRequest { eid: eid(), iccid: iccid(),
            connectivity_parameters: Octets(vec![0xA0, 0x00]) }
        => UpdateConnectivityParametersResponse { euicc_response_data: data() } Both);

    function!(v, Both, es4::GetEisRequest { eid: eid() } => GetEisResponse { eis: Some(small_eis(namespace)) } Both);
    function!(v, Both, es4::AuditEisRequest { eid: eid(), iccid: vec![iccid(), iccid()] }
        => AuditEisResponse { eis: Some(eis(namespace)) } Both);
    function!(v, Both, es4::UpdatePolicyRulesRequest { eid: eid(), iccid: iccid(), pol2: Some(pol2()) }
        => UpdatePolicyRulesResponse {} Both);
    function!(v, Both, es4::UpdateSubscriptionAddressRequest { eid: eid(), iccid: iccid(),
            new_subscription_address: SubscriptionAddress::default() } => UpdateSubscriptionAddressResponse {} Both);
    function!(v, Both, es4::PrepareSmsrChangeRequest { eid: eid(), current_smsr_id: oid("2.999.20") }
        => PrepareSmsrChangeResponse {} Both);
    function!(v, Both, es4::SmsrChangeRequest { eid: eid(), target_smsr_id: oid("2.999.21") }
        => SmsrChangeResponse {} Both);

    macro_rules! on_a_profile {
        ($($schema:expr, $module:ident :: $request:ident $response:ident;)+) => { $(
            function!(v, $schema, $module::$request { eid: eid(), iccid: iccid() }
                => $response { euicc_response_data: data() } $schema);
        )+ };
    }
    on_a_profile! {
        Both, es3::EnableProfileRequest EnableProfileResponse;
        Both, es3::DisableProfileRequest DisableProfileResponse;
        Both, es3::DeleteIsdpRequest DeleteIsdpResponse;
        Beyond, es3::SetFallBackAttributeRequest SetFallBackAttributeResponse;
        Beyond, es3::SetEmergencyProfileAttributeRequest SetEmergencyProfileAttributeResponse;
        Both, es4::EnableProfileRequest EnableProfileResponse;
        Both, es4::DisableProfileRequest DisableProfileResponse;
        Both, es4::DeleteProfileRequest DeleteProfileResponse;
        Beyond, es4::SetFallBackAttributeRequest SetFallBackAttributeResponse;
        Beyond, es4::SetEmergencyProfileAttributeRequest SetEmergencyProfileAttributeResponse;
    }
    notifications(v, namespace);
}

fn notifications(v: &mut impl Visitor, namespace: Namespace) {
    use Schema::{Both, None as Beyond};
    macro_rules! notification {
        ($($schema:expr, $name:ident;)+) => { $(
            v.visit_message($schema, es2::$name { base: NOTIFICATION_BASE, eid: eid(), iccid: iccid(), completion_timestamp: time() });
            v.visit_message($schema, es3::$name {
                base: NOTIFICATION_BASE, eid: eid(), iccid: iccid(), mno_id: oid("2.999.30"), completion_timestamp: time() });
            v.visit_message($schema, es4::$name { base: NOTIFICATION_BASE, eid: eid(), iccid: iccid(), completion_timestamp: time() });
        )+ };
    }
    notification! {
        Both, HandleProfileEnabledNotification;
        Both, HandleProfileDisabledNotification;
        Both, HandleProfileDeletedNotification;
        Beyond, HandleProfileDownloadedNotification;
        Beyond, HandleFallBackAttributeSetNotification;
        Beyond, HandleFallBackAttributeUnsetNotification;
        Beyond, HandleEmergencyProfileAttributeSetNotification;
        Beyond, HandleEmergencyProfileAttributeUnsetNotification;
    }
    v.visit_message(
        Beyond,
        es2::HandleProfilePol2UpdatedNotification {
            base: NOTIFICATION_BASE,
            eid: eid(),
            iccid: iccid(),
            pol2: Some(pol2()),
            completion_timestamp: time(),
        },
    );
    v.visit_message(
        Beyond,
        es3::HandleProfilePol2UpdatedNotification {
            base: NOTIFICATION_BASE,
            eid: eid(),
            iccid: iccid(),
            mno_id: oid("2.999.30"),
            pol2: None,
            completion_timestamp: time(),
        },
    );
    v.visit_message(
        Beyond,
        es4::HandleProfilePol2UpdatedNotification {
            base: NOTIFICATION_BASE,
            eid: eid(),
            iccid: iccid(),
            pol2: Some(pol2()),
            completion_timestamp: time(),
        },
    );
    v.visit_message(
        Both,
        es2::HandleSmsrChangeNotification {
            base: NOTIFICATION_BASE,
            eis: small_eis(namespace),
            completion_timestamp: time(),
        },
    );
    v.visit_message(
        Both,
        es3::HandleSmsrChangeNotification {
            base: NOTIFICATION_BASE,
            eis: small_eis(namespace),
            mno_id: Some(oid("2.999.30")),
            completion_timestamp: time(),
        },
    );
    v.visit_message(
        Both,
        es4::HandleSmsrChangeNotification {
            base: NOTIFICATION_BASE,
            eis: small_eis(namespace),
            completion_timestamp: time(),
        },
    );
}

fn es1_and_es7(v: &mut impl Visitor, namespace: Namespace) {
    use Schema::{None as Beyond, V3};
    function!(v, V3, es1::RegisterEisRequest { eis: eis(namespace) } => RegisterEisResponse {} V3);
    let additional_properties = || eis(namespace).additional_properties.unwrap();
    function!(v, Beyond, es1::UpdateEisAdditionalPropertiesRequest { eid: eid(),
            additional_properties: additional_properties() }
        => UpdateEisAdditionalPropertiesResponse {} Beyond);
    function!(v, V3, es7::HandoverEuiccRequest { eis: eis(namespace) } => HandoverEuiccResponse {} V3);
    function!(v, Beyond, es7::AuthenticateSmsrRequest { eid: Some(eid()), eis: None,
            smsr_certificate: Octets(vec![0x7F, 0x21, 0x00]) }
        => AuthenticateSmsrResponse { random_challenge: Some(Octets(vec![9; 16])) } Beyond);
    v.visit_message(
        V3,
        es7::AuthenticateSmsrRequest {
            base: request(),
            eid: None,
            eis: Some(small_eis(namespace)),
            smsr_certificate: Octets(vec![0x7F, 0x21, 0x00]),
        },
    );
    v.visit_message(
        V3,
        es7::AuthenticateSmsrResponse { base: done(), random_challenge: Some(Octets(vec![9; 16])) },
    );
    function!(v, V3, es7::CreateAdditionalKeySetRequest { eid: eid(), key_version_number: 2,
            initial_sequence_counter: 1, ecc_key_length: es7::EccKeyLength::Ecc256, scenario_parameter: 0x0B,
            host_id: Octets::default(), ephemeral_public_key: Octets(vec![4; 65]), signature: Octets(vec![5; 64]) }
        => CreateAdditionalKeySetResponse { derivation_random: Some(Octets(vec![6; 16])),
            receipt: Some(Octets(vec![7; 16])) } Beyond);
    v.visit_message(
        V3,
        es7::HandleSmsrChangeNotification {
            base: NOTIFICATION_BASE,
            eis: small_eis(namespace),
            completion_timestamp: time(),
        },
    );
}
