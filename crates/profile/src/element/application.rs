//! PE-SecurityDomain, PE-RFM and PE-Application.

use rsp::der::Unknown;

use super::PeHeader;
use crate::macros::fields;
use crate::octets::{Octets, SecretOctets};

fields! {
    /// Reserved and granted memory, and the parameters of TS 102 226 and of GlobalPlatform, inside
    /// tag EF.
    #[derive(Default)]
    pub struct ApplicationSystemParameters = 0xEF {
        "volatileMemoryQuotaC7" volatile_memory_quota_c7: Option<Octets> = 0xC7,
        "nonVolatileMemoryQuotaC8" non_volatile_memory_quota_c8: Option<Octets> = 0xC8,
        "globalServiceParameters" global_service_parameters: Option<Octets> = 0xCB,
        "implicitSelectionParameter" implicit_selection_parameter: Option<Octets> = 0xCF,
        "volatileReservedMemory" volatile_reserved_memory: Option<Octets> = 0xD7,
        "nonVolatileReservedMemory" non_volatile_reserved_memory: Option<Octets> = 0xD8,
        "ts102226SIMFileAccessToolkitParameter" sim_file_access_toolkit_parameter: Option<Octets> = 0xCA,
        "ts102226AdditionalContactlessParameters"
        additional_contactless_parameters: Option<AdditionalContactlessParameters> = 0xA0,
        "contactlessProtocolParameters" contactless_protocol_parameters: Option<Octets> = 0xD9,
        "userInteractionContactlessParameters" user_interaction_contactless_parameters: Option<Octets> = 0xDA,
        "cumulativeGrantedVolatileMemory" cumulative_granted_volatile_memory: Option<Octets> = 0x82,
        "cumulativeGrantedNonVolatileMemory" cumulative_granted_non_volatile_memory: Option<Octets> = 0x83,
    }
}

fields! {
    /// TS102226AdditionalContactlessParameters.
    pub struct AdditionalContactlessParameters = 0x30 {
        "protocolParameterData" protocol_parameter_data: Octets = 0x80,
    }
}

fields! {
    /// The toolkit and access parameters of TS 102 226, inside tag EA.
    #[derive(Default)]
    pub struct UiccApplicationParameters = 0xEA {
        "uiccToolkitApplicationSpecificParametersField" toolkit: Option<Octets> = 0x80,
        "uiccAccessApplicationSpecificParametersField" access: Option<Octets> = 0x81,
        "uiccAdministrativeAccessApplicationSpecificParametersField" administrative_access: Option<Octets> = 0x82,
    }
}

fields! {
    /// ControlReferenceTemplate.
    pub struct ControlReferenceTemplate = 0xB0 {
        "applicationProviderIdentifier" application_provider_identifier: Octets = 0x5F20,
    }
}

fields! {
    /// An instance of an application or security domain.
    pub struct ApplicationInstance = 0x30 {
        "applicationLoadPackageAID" application_load_package_aid: Octets = 0x4F,
        "classAID" class_aid: Octets = 0x4F,
        "instanceAID" instance_aid: Octets = 0x4F,
        "extraditeSecurityDomainAID" extradite_security_domain_aid: Option<Octets> = 0x4F,
        "applicationPrivileges" application_privileges: Octets = 0x82,
        "lifeCycleState"
        /// DEFAULT 07.
        life_cycle_state: Option<Octets> = 0x83,
        "applicationSpecificParametersC9" application_specific_parameters_c9: Octets = 0xC9,
        "systemSpecificParameters" system_specific_parameters: Option<ApplicationSystemParameters> = 0xEF,
        "applicationParameters" application_parameters: Option<UiccApplicationParameters> = 0xEA,
        "processData" process_data: Option<Vec<Octets>> = 0x30,
        "controlReferenceTemplate" control_reference_template: Option<ControlReferenceTemplate> = 0xB0,
    }
}

fields! {
    /// One component of a key.
    pub struct KeyComponent = 0x30 {
        "keyType" key_type: Octets = 0x80,
        "keyData" key_data: SecretOctets = 0x86,
        "macLength"
        /// DEFAULT 8.
        mac_length: Option<i64> = 0x87,
    }
}

fields! {
    /// A key of a security domain.
    pub struct KeyObject = 0x30 {
        "keyUsageQualifier" key_usage_qualifier: Octets = 0x95,
        "keyAccess"
        /// DEFAULT 00.
        key_access: Option<Octets> = 0x96,
        "keyIdentifier" key_identifier: Octets = 0x82,
        "keyVersionNumber" key_version_number: Octets = 0x83,
        "keyCounterValue" key_counter_value: Option<Octets> = 0x85,
        "keyComponents" key_components: Vec<KeyComponent> = 0x30,
    }
}

fields! {
    /// openPersoData.
    pub struct OpenPersoData = 0x30 {
        "restrictParameter" restrict_parameter: Option<Octets> = 0xD9,
        "contactlessProtocolParameters" contactless_protocol_parameters: Option<Octets> = 0x04,
    }
}

fields! {
    /// catTpParameters.
    pub struct CatTpParameters = 0x30 {
        "catTpMaxSduSize" max_sdu_size: i64 = 0x80,
        "catTpMaxPduSize" max_pdu_size: i64 = 0x81,
    }
}

fields! {
    /// PE-SecurityDomain; the first in a package is the MNO-SD.
    pub struct SecurityDomain = 0xA6 {
        "sd-Header" header: PeHeader = 0xA0,
        "instance" instance: ApplicationInstance = 0xA1,
        "keyList" key_list: Option<Vec<KeyObject>> = 0xA2,
        "sdPersoData" sd_perso_data: Option<Vec<Octets>> = 0xA3,
        "openPersoData" open_perso_data: Option<OpenPersoData> = 0xA4,
        "catTpParameters" cat_tp_parameters: Option<CatTpParameters> = 0xA5,
    }
}

fields! {
    /// An executable load file.
    pub struct ApplicationLoadPackage = 0x30 {
        "loadPackageAID" load_package_aid: Octets = 0x4F,
        "securityDomainAID" security_domain_aid: Option<Octets> = 0x4F,
        "nonVolatileCodeLimitC6" non_volatile_code_limit_c6: Option<Octets> = 0xC6,
        "volatileDataLimitC7" volatile_data_limit_c7: Option<Octets> = 0xC7,
        "nonVolatileDataLimitC8" non_volatile_data_limit_c8: Option<Octets> = 0xC8,
        "hashValue" hash_value: Option<Octets> = 0xC1,
        "loadBlockObject" load_block_object: Octets = 0xC4,
    }
}

fields! {
    /// PE-Application.
    pub struct Application = 0xA8 {
        "app-Header" header: PeHeader = 0xA0,
        "loadBlock" load_block: Option<ApplicationLoadPackage> = 0xA1,
        "instanceList" instance_list: Option<Vec<ApplicationInstance>> = 0xA2,
    }
}

fields! {
    /// ADFRFMAccess.
    pub struct AdfRfmAccess = 0x30 {
        "adfAID" adf_aid: Octets = 0x80,
        "adfAccessDomain" adf_access_domain: Octets = 0x81,
        "adfAdminAccessDomain" adf_admin_access_domain: Octets = 0x82,
    }
}

fields! {
    /// PE-RFM.
    pub struct Rfm = 0xA7 {
        "rfm-header" header: PeHeader = 0xA0,
        "instanceAID" instance_aid: Octets = 0x4F,
        "securityDomainAID" security_domain_aid: Option<Octets> = 0x4F,
        "tarList" tar_list: Option<Vec<Octets>> = 0xA0,
        "minimumSecurityLevel" minimum_security_level: Octets = 0x81,
        "uiccAccessDomain" uicc_access_domain: Octets = 0x04,
        "uiccAdminAccessDomain" uicc_admin_access_domain: Octets = 0x04,
        "adfRFMAccess" adf_rfm_access: Option<AdfRfmAccess> = 0x30,
    }
}

impl Application {
    /// Creates an element that loads an executable load file without limits and creates no instance.
    pub fn loading(header: PeHeader, load_package_aid: Octets, load_block_object: Octets) -> Self {
        let load_block = ApplicationLoadPackage {
            load_package_aid,
            security_domain_aid: None,
            non_volatile_code_limit_c6: None,
            volatile_data_limit_c7: None,
            non_volatile_data_limit_c8: None,
            hash_value: None,
            load_block_object,
            unknown: Unknown::default(),
        };
        Self { header, load_block: Some(load_block), instance_list: None, unknown: Unknown::default() }
    }
}

impl std::fmt::Display for Application {
    /// The AIDs of the package that it loads and of its instances.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let package = self.load_block.iter().map(|block| &block.load_package_aid);
        let instances = self.instance_list.iter().flatten().map(|instance| &instance.instance_aid);
        let aids: Vec<String> = package.chain(instances).map(ToString::to_string).collect();
        f.write_str(&aids.join(", "))
    }
}
