//! ES10b.GetEUICCInfo: SGP.22 section 5.7.8.

use rsp::der::{BitString, Null};
use rsp::ids::Version;
use rsp::sgp22::es10b::{GetEuiccInfo1Request, GetEuiccInfo2Request};
use rsp::sgp22::{EuiccInfo1, EuiccInfo2, IotSpecificInfo, LpaMode, rsp_capability};

use crate::consumer::ConsumerContext;
use crate::ipae;

pub(crate) fn get_euicc_info1(context: &mut ConsumerContext<'_>, _: GetEuiccInfo1Request) -> EuiccInfo1 {
    EuiccInfo1 {
        svn: context.description.capabilities.svn,
        euicc_ci_pk_id_list_for_verification: context.ecasd.ids_for_verification(),
        euicc_ci_pk_id_list_for_signing: context.ecasd.ids_for_signing(),
    }
}

pub(crate) fn get_euicc_info2(context: &mut ConsumerContext<'_>, _: GetEuiccInfo2Request) -> EuiccInfo2 {
    euicc_info2(context)
}

/// The current EUICCInfo2.
pub(crate) fn euicc_info2(context: &ConsumerContext<'_>) -> EuiccInfo2 {
    let capabilities = &context.description.capabilities;
    let v3 = capabilities.v3.as_ref();
    EuiccInfo2 {
        profile_version: capabilities.profile_version,
        svn: capabilities.svn,
        euicc_firmware_ver: capabilities.firmware_version,
        // There are no applications outside of profiles.
        ext_card_resource: capabilities.card_resources(0, context.free_memory()),
        uicc_capability: BitString::of(&capabilities.uicc_capability),
        ts102241_version: Some(capabilities.ts102241_version),
        globalplatform_version: Some(capabilities.globalplatform_version),
        rsp_capability: rsp_capability(context),
        euicc_ci_pk_id_list_for_verification: context.ecasd.ids_for_verification(),
        euicc_ci_pk_id_list_for_signing: context.ecasd.ids_for_signing(),
        euicc_category: capabilities.euicc_category,
        forbidden_profile_policy_rules: Some(BitString::of(&capabilities.forbidden_profile_policy_rules)),
        pp_version: capabilities.pp_version,
        sas_accreditation_number: capabilities.sas_accreditation_number.clone(),
        certification_data_object: capabilities.certification_data_object.clone(),
        tre_properties: non_empty(&capabilities.tre_properties, BitString::of),
        tre_product_reference: capabilities.tre_product_reference.clone(),
        additional_profile_package_versions: non_empty(
            &capabilities.additional_profile_package_versions,
            <[Version]>::to_vec,
        ),
        lpa_mode: if context.is_iot() { Some(ipa_mode(context)) } else { v3.and_then(|v3| v3.lpa_mode) },
        euicc_ci_pk_id_list_for_signing_v3: v3
            .filter(|v3| v3.ci_pk_id_list_for_signing)
            .map(|_| context.ecasd.ids_for_signing()),
        additional_euicc_info: v3.and_then(|v3| v3.additional_euicc_info.as_ref()).map(|info| info.to_vec()),
        highest_svn: v3.map(|v3| v3.highest_svn),
        iot_specific_info: context.is_iot().then(|| iot_specific_info(context)),
        euicc_minimum_security_level: None,
    }
}

/// ipaMode of an IoT card, SGP.32 section 5.9.2: the active IPA.
fn ipa_mode(context: &ConsumerContext<'_>) -> LpaMode {
    if ipae::is_active(context) { LpaMode::LPAE } else { LpaMode::LPAD }
}

/// IoTSpecificInfo: SGP.32 section 5.9.2.
fn iot_specific_info(context: &ConsumerContext<'_>) -> IotSpecificInfo {
    let settings = context.description.iot();
    IotSpecificInfo {
        iot_version: vec![rsp::sgp32::Version::from(settings.version).number()],
        ecall_supported: settings.ecall_supported.then_some(Null),
        fallback_supported: settings.fallback_supported.then_some(Null),
        fallback_allowed_update_supported: None,
    }
}

/// Returns `None` for an empty list, because an empty optional list is omitted and not encoded.
fn non_empty<T, U>(list: &[T], of: impl FnOnce(&[T]) -> U) -> Option<U> {
    (!list.is_empty()).then(|| of(list))
}

/// Minimum memory of a profile with a USIM, in octets.
const SMALLEST_PROFILE: u32 = 4 << 10;

/// The RspCapability bits. additionalProfile is set if there is memory for at least one more
/// profile.
fn rsp_capability(context: &ConsumerContext<'_>) -> BitString {
    let has_room = context.free_memory() >= SMALLEST_PROFILE;
    let bits = context.description.capabilities.rsp_capability.iter().copied();
    let bits = bits.filter(|bit| *bit != rsp_capability::ADDITIONAL_PROFILE || has_room);
    BitString::of(&bits.collect::<Vec<_>>())
}
