//! ES10b.GetEUICCInfo: SGP.22 section 5.7.8.

use rsp::der::BitString;
use rsp::sgp22::es10b::{GetEuiccInfo1Request, GetEuiccInfo2Request};
use rsp::sgp22::{EuiccInfo1, EuiccInfo2};

use crate::card::context::Context;

pub(crate) fn get_euicc_info1(context: &mut Context<'_>, _: GetEuiccInfo1Request) -> EuiccInfo1 {
    EuiccInfo1 {
        svn: context.description.capabilities.svn,
        euicc_ci_pk_id_list_for_verification: context.ecasd.ids_for_verification(),
        euicc_ci_pk_id_list_for_signing: context.ecasd.ids_for_signing(),
    }
}

pub(crate) fn get_euicc_info2(context: &mut Context<'_>, _: GetEuiccInfo2Request) -> EuiccInfo2 {
    euicc_info2(context)
}

/// EUICCInfo2 as it stands now.
pub(crate) fn euicc_info2(context: &Context<'_>) -> EuiccInfo2 {
    let capabilities = &context.description.capabilities;
    EuiccInfo2 {
        profile_version: capabilities.profile_version,
        svn: capabilities.svn,
        euicc_firmware_ver: capabilities.firmware_version,
        ext_card_resource: ext_card_resource(context),
        uicc_capability: BitString::of(&capabilities.uicc_capability),
        ts102241_version: Some(capabilities.ts102241_version),
        globalplatform_version: Some(capabilities.globalplatform_version),
        rsp_capability: BitString::of(&capabilities.rsp_capability),
        euicc_ci_pk_id_list_for_verification: context.ecasd.ids_for_verification(),
        euicc_ci_pk_id_list_for_signing: context.ecasd.ids_for_signing(),
        euicc_category: None,
        forbidden_profile_policy_rules: Some(BitString::of(&capabilities.forbidden_profile_policy_rules)),
        pp_version: capabilities.pp_version,
        sas_accreditation_number: capabilities.sas_accreditation_number.clone(),
        certification_data_object: None,
        tre_properties: None,
        tre_product_reference: None,
        additional_profile_package_versions: None,
    }
}

/// Octets of non-volatile memory that no profile takes.
pub(crate) fn free_memory(context: &Context<'_>) -> u32 {
    context.description.memory_size.saturating_sub(context.persistent.memory_used())
}

/// TS 102 226 section 8.2.1.7.2: no application outside profiles, free non-volatile and volatile memory.
fn ext_card_resource(context: &Context<'_>) -> Vec<u8> {
    let mut resource = vec![0x81, 1, 0, 0x82, 4];
    resource.extend(free_memory(context).to_be_bytes());
    resource.extend([0x83, 4]);
    resource.extend(context.description.capabilities.volatile_memory.to_be_bytes());
    resource
}
