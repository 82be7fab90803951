//! Types used by several interfaces: SGP.22 sections 2.4.5, 2.8, 4.3, 5.7.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::IotSpecificInfo;
use crate::{
    bits, choice, codes,
    der::{BitString, Null, Raw},
    ids::{Aid, Iccid, Oid, SubjectKeyIdentifier, TransactionId, Version},
    sequence,
};

/// An ECDSA signature with SHA-256: r followed by s, 32 octets each.
pub type SignatureOctets = Vec<u8>;

sequence! {
    /// EUICCInfo1: section 5.7.8.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct EuiccInfo1 = 0xBF20 {
        /// Lowest version of SGP.22 that the eUICC supports.
        pub svn: Version = 0x82,
        /// CI keys whose certificates the eUICC can verify, in descending priority.
        pub euicc_ci_pk_id_list_for_verification: Vec<SubjectKeyIdentifier> = 0xA9 usually 32,
        /// CI keys for which the eUICC has a signing key, in descending priority.
        pub euicc_ci_pk_id_list_for_signing: Vec<SubjectKeyIdentifier> = 0xAA usually 32,
    }
}

sequence! {
    /// EUICCInfo2: section 5.7.8.
    #[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
    pub struct EuiccInfo2 = 0xBF22 {
        /// Supported version of the TCA profile package.
        pub profile_version: Version = 0x81,
        /// Lowest version of SGP.22 that the eUICC supports.
        pub svn: Version = 0x82,
        /// Firmware version.
        pub euicc_firmware_ver: Version = 0x83,
        /// Extended card resources (TS 102 226): 81 applications, 82 non-volatile memory, 83 volatile
        /// memory, in octets.
        pub ext_card_resource: Vec<u8> = 0x84 usually 32,
        /// UICCCapability.
        pub uicc_capability: BitString = 0x85 known_bits uicc_capability::NAMES,
        /// TS 102 241 release.
        pub ts102241_version: Option<Version> = 0x86,
        /// GlobalPlatform version.
        pub globalplatform_version: Option<Version> = 0x87,
        /// RspCapability.
        pub rsp_capability: BitString = 0x88 known_bits rsp_capability::NAMES,
        /// See EUICCInfo1.
        pub euicc_ci_pk_id_list_for_verification: Vec<SubjectKeyIdentifier> = 0xA9 usually 32,
        /// See EUICCInfo1.
        pub euicc_ci_pk_id_list_for_signing: Vec<SubjectKeyIdentifier> = 0xAA usually 32,
        /// Category of the eUICC.
        pub euicc_category: Option<EuiccCategory> = 0x8B,
        /// Policy rules with which the eUICC refuses a profile.
        pub forbidden_profile_policy_rules: Option<BitString> = 0x99 known_bits ppr::NAMES,
        /// Protection profile version.
        pub pp_version: Version = 0x04,
        /// SAS accreditation number.
        pub sas_accreditation_number: String = 0x0C usually 64,
        /// Location of the certification data.
        pub certification_data_object: Option<CertificationDataObject> = 0xAC,
        /// TRE properties: 0 discrete, 1 integrated, 2 uses remote memory.
        pub tre_properties: Option<BitString> = 0x8D known_bits tre_properties::NAMES,
        /// TRE product reference.
        pub tre_product_reference: Option<String> = 0x8E usually 64,
        /// Additional supported profile package versions.
        pub additional_profile_package_versions: Option<Vec<Version>> = 0xAF,
        /// v3: the LPA in use; in SGP.32 ipaMode, the IPA in use.
        pub lpa_mode: Option<LpaMode> = 0x90,
        /// v3: CI keys for which the eUICC has a signing key for v3.
        pub euicc_ci_pk_id_list_for_signing_v3: Option<Vec<SubjectKeyIdentifier>> = 0xB1 usually 32,
        /// v3: manufacturer-specific data of at most 32 octets.
        pub additional_euicc_info: Option<Vec<u8>> = 0x92 usually 32,
        /// v3: highest supported version of SGP.22.
        pub highest_svn: Option<Version> = 0x93,
        /// SGP.32: the IoT functions of the eUICC.
        pub iot_specific_info: Option<IotSpecificInfo> = 0xB4,
        /// SGP.32 v1.3: eUICC Minimum Security Level, one octet.
        pub euicc_minimum_security_level: Option<[u8; 1]> = 0x95,
    }
}

sequence! {
    /// CertificationDataObject.
    #[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
    pub struct CertificationDataObject = 0x30 {
        /// Platform label.
        pub platform_label: String = 0x80 usually 128,
        /// Discovery base URL.
        pub discovery_base_url: String = 0x81 usually 255,
    }
}

bits! {
    /// Bits of RspCapability.
    pub mod rsp_capability {
        /// An additional profile can be installed.
        ADDITIONAL_PROFILE = 0 "additionalProfile",
        /// CRLs are supported.
        CRL = 1 "crlSupport",
        /// Remote profile management.
        RPM = 2 "rpmSupport",
        /// Test profiles can be installed.
        TEST_PROFILE = 3 "testProfileSupport",
        /// Extensions of DeviceInfo are supported.
        DEVICE_INFO_EXTENSIBILITY = 4 "deviceInfoExtensibilitySupport",
        /// Service-specific data are supported.
        SERVICE_SPECIFIC_DATA = 5 "serviceSpecificDataSupport",
    }
}

bits! {
    /// Bits of UICCCapability.
    pub mod uicc_capability {
        /// Contactless.
        CONTACTLESS = 0 "contactlessSupport",
        /// USIM.
        USIM = 1 "usimSupport",
        /// ISIM.
        ISIM = 2 "isimSupport",
        /// CSIM.
        CSIM = 3 "csimSupport",
        /// Milenage.
        AKA_MILENAGE = 4 "akaMilenage",
        /// CAVE.
        AKA_CAVE = 5 "akaCave",
        /// TUAK with a 128-bit key.
        AKA_TUAK128 = 6 "akaTuak128",
        /// TUAK with a 256-bit key.
        AKA_TUAK256 = 7 "akaTuak256",
        /// The USIM test algorithm of TS 34.108.
        USIM_TEST_ALGORITHM = 8 "usimTestAlgorithm",
        /// GBA in the USIM.
        GBA_AUTHEN_USIM = 10 "gbaAuthenUsim",
        /// GBA in the ISIM.
        GBA_AUTHEN_ISIM = 11 "gbaAuthenISim",
        /// MBMS in the USIM.
        MBMS_AUTHEN_USIM = 12 "mbmsAuthenUsim",
        /// EAP.
        EAP_CLIENT = 13 "eapClient",
        /// Java Card.
        JAVACARD = 14 "javacard",
        /// Multos.
        MULTOS = 15 "multos",
        /// More than one USIM in a profile.
        MULTIPLE_USIM = 16 "multipleUsimSupport",
        /// More than one ISIM in a profile.
        MULTIPLE_ISIM = 17 "multipleIsimSupport",
        /// More than one CSIM in a profile.
        MULTIPLE_CSIM = 18 "multipleCsimSupport",
        /// BER-TLV files.
        BER_TLV = 19 "berTlvFileSupport",
        /// Linked directories.
        DF_LINK = 20 "dfLinkSupport",
        /// CAT_TP.
        CAT_TP = 21 "catTp",
        /// GET IDENTITY.
        GET_IDENTITY = 22 "getIdentity",
        /// SUCI profile A.
        PROFILE_A_X25519 = 23 "profile-a-x25519",
        /// SUCI profile B.
        PROFILE_B_P256 = 24 "profile-b-p256",
        /// The API for SUCI calculation.
        SUCI_CALCULATOR_API = 25 "suciCalculatorApi",
    }
}

impl EuiccInfo2 {
    /// True if the bit of UICCCapability was reserved in the version of SGP.22 that the eUICC
    /// implements, so that its value says nothing about the eUICC: bits 8, 9 and those from 19 were
    /// assigned after v2.2.
    pub fn is_reserved_capability(&self, bit: usize) -> bool {
        self.svn < Version([2, 3, 0]) && (matches!(bit, 8 | 9) || bit > uicc_capability::MULTIPLE_CSIM)
    }
}

bits! {
    /// Bits of treProperties.
    pub mod tre_properties {
        /// The TRE is a separate chip.
        IS_DISCRETE = 0 "isDiscrete",
        /// The TRE is part of another chip.
        IS_INTEGRATED = 1 "isIntegrated",
        /// The TRE uses memory outside of it.
        USES_REMOTE_MEMORY = 2 "usesRemoteMemory",
    }
}

bits! {
    /// Bits of PprIds.
    pub mod ppr {
        /// PPRs can be updated over ES6.
        UPDATE_CONTROL = 0 "pprUpdateControl",
        /// PPR1: disabling is not allowed.
        PPR1 = 1 "ppr1",
        /// PPR2: deletion is not allowed.
        PPR2 = 2 "ppr2",
    }
}

sequence! {
    /// ServerSigned1: section 5.7.13.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ServerSigned1 = 0x30 {
        /// The transaction ID chosen by the server.
        pub transaction_id: TransactionId = 0x80,
        /// The eUICC's challenge, returned.
        pub euicc_challenge: [u8; 16] = 0x81,
        /// The server's address in the form that the user of the eUICC supplied.
        pub server_address: String = 0x83 usually 255,
        /// The server's own challenge.
        pub server_challenge: [u8; 16] = 0x84,
    }
}

sequence! {
    /// EuiccSigned1: section 5.7.13.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EuiccSigned1 = 0x30 {
        /// The transaction ID.
        pub transaction_id: TransactionId = 0x80,
        /// The server's address, returned.
        pub server_address: String = 0x83 usually 255,
        /// The server's challenge, returned.
        pub server_challenge: [u8; 16] = 0x84,
        /// The capabilities of the eUICC.
        pub euicc_info2: Raw<EuiccInfo2> = 0xBF22,
        /// The context parameters of the LPA.
        pub ctx_params1: Raw<CtxParams1> = 0,
    }
}

choice! {
    /// CtxParams1: the purpose of the session.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum CtxParams1 = 0 {
        /// A download, or the retrieval of events. The only alternative of v2.
        CtxParamsForCommonAuthentication(CtxParamsForCommonAuthentication) = 0xA0,
        /// v3: moving a profile to another device. The contents are not decoded.
        CtxParamsForDeviceChange(Vec<u8>) = 0xA1,
        /// v3: recovery of a deleted profile. The contents are not decoded.
        CtxParamsForProfileRecovery(Vec<u8>) = 0xA2,
        /// v3: registration of a push service for events. The contents are not decoded.
        CtxParamsForPushServiceRegistration(Vec<u8>) = 0xA3,
    }
}

impl CtxParams1 {
    /// Creates the parameters of a download in version 2.
    pub fn download(matching_id: Option<String>, device_info: DeviceInfo) -> Self {
        Self::CtxParamsForCommonAuthentication(CtxParamsForCommonAuthentication {
            matching_id,
            device_info,
            operation_type: None,
            iccid: None,
            matching_id_source: None,
        })
    }
}

sequence! {
    /// CtxParamsForCommonAuthentication.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CtxParamsForCommonAuthentication = 0x30 {
        /// The token of an activation code, an event ID, or empty.
        pub matching_id: Option<String> = 0x80 usually 255,
        /// The device that contains the eUICC.
        pub device_info: DeviceInfo = 0xA1,
        /// v3: the accepted operations ([`operation_type`]); a download if absent.
        pub operation_type: Option<BitString> = 0x82 known_bits operation_type::NAMES,
        /// v3: the profile for which remote management is requested.
        pub iccid: Option<Iccid> = 0x5A,
        /// v3: the source of the MatchingID.
        pub matching_id_source: Option<MatchingIdSource> = 0xA3,
    }
}

bits! {
    /// Bits of OperationType (v3).
    pub mod operation_type {
        /// A profile download.
        PROFILE_DOWNLOAD = 0 "profileDownload",
        /// Remote profile management.
        RPM = 1 "rpm",
    }
}

bits! {
    /// Bits of pprFlags.
    pub mod ppr_flags {
        /// The consent of the user is required.
        CONSENT_REQUIRED = 0 "consentRequired",
    }
}

choice! {
    /// MatchingIdSource (v3).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum MatchingIdSource = 0 {
        /// No source.
        None(Null) = 0x80,
        /// An activation code.
        ActivationCode(Null) = 0x81,
        /// An event of the SM-DS with this OID.
        SmdsOid(Oid) = 0x82,
    }
}

sequence! {
    /// DeviceInfo.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct DeviceInfo = 0x30 {
        /// Type allocation code, nibble-swapped, 4 octets.
        pub tac: [u8; 4] = 0x80,
        /// Highest release of each technology.
        pub device_capabilities: DeviceCapabilities = 0xA1,
        /// IMEI, nibble-swapped, padded with F.
        pub imei: Option<[u8; 8]> = 0x82,
    }
}

sequence! {
    /// DeviceCapabilities.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct DeviceCapabilities = 0x30 {
        /// GSM.
        pub gsm_supported_release: Option<Version> = 0x80,
        /// UTRAN.
        pub utran_supported_release: Option<Version> = 0x81,
        /// cdma2000 1X.
        pub cdma2000_onex_supported_release: Option<Version> = 0x82,
        /// cdma2000 HRPD.
        pub cdma2000_hrpd_supported_release: Option<Version> = 0x83,
        /// cdma2000 eHRPD.
        pub cdma2000_ehrpd_supported_release: Option<Version> = 0x84,
        /// E-UTRAN with EPC.
        pub eutran_epc_supported_release: Option<Version> = 0x85,
        /// Contactless.
        pub contactless_supported_release: Option<Version> = 0x86,
        /// CRLs.
        pub rsp_crl_supported_version: Option<Version> = 0x87,
        /// NR with EPC.
        pub nr_epc_supported_release: Option<Version> = 0x88,
        /// NR with 5GC.
        pub nr_5gc_supported_release: Option<Version> = 0x89,
        /// E-UTRAN with 5GC.
        pub eutran_5gc_supported_release: Option<Version> = 0x8A,
        /// SGP.22 version of the LPA.
        pub lpa_svn: Option<Version> = 0x8B,
    }
}

codes! {
    /// euiccCategory: section 4.3.
    pub struct EuiccCategory {
        /// None of the defined categories.
        OTHER = 0,
        /// basicEuicc.
        BASIC = 1,
        /// mediumEuicc.
        MEDIUM = 2,
        /// contactlessEuicc.
        CONTACTLESS = 3,
    }
}

codes! {
    /// LpaMode of v3.
    pub struct LpaMode {
        /// In the device.
        LPAD = 0,
        /// In the eUICC.
        LPAE = 1,
    }
}

codes! {
    /// CancelSessionReason: section 5.7.14.
    pub struct CancelSessionReason {
        /// The user rejected the download.
        END_USER_REJECTION = 0,
        /// The user postponed the download.
        POSTPONED = 1,
        /// The user did not respond.
        TIMEOUT = 2,
        /// A policy rule is not allowed on this eUICC or the user did not consent to it.
        PPR_NOT_ALLOWED = 3,
        /// The metadata differ from the expected ones.
        METADATA_MISMATCH = 4,
        /// The package could not be loaded.
        LOAD_BPP_EXECUTION_ERROR = 5,
        /// v3: the LPA or the device aborted the session.
        SESSION_ABORTED = 16,
        /// v3: enterprise profiles are not supported.
        ENTERPRISE_PROFILES_NOT_SUPPORTED = 17,
        /// v3: enterprise rules are not allowed.
        ENTERPRISE_RULES_NOT_ALLOWED = 18,
        /// v3: the user does not allow enterprise profiles.
        ENTERPRISE_PROFILE_NOT_ALLOWED = 19,
        /// v3: a profile of another enterprise is installed.
        ENTERPRISE_OID_MISMATCH = 20,
        /// v3: the enterprise rules contradict an installed profile.
        ENTERPRISE_RULES_ERROR = 21,
        /// v3: only enterprise profiles can be installed.
        ENTERPRISE_PROFILES_ONLY = 22,
        /// v3: the device has no LPA proxy.
        LPR_NOT_SUPPORTED = 23,
        /// v3: the user does not allow the LPA proxy to use network data.
        LPR_NETWORK_DATA_NOT_ALLOWED = 24,
        /// v3: the name of the profile or of the service provider is empty.
        EMPTY_PROFILE_OR_SP_NAME = 25,
        /// v3: remote profile management is disabled.
        RPM_DISABLED = 27,
        /// v3: the RPM package is invalid.
        INVALID_RPM_PACKAGE = 28,
        /// v3: the RPM package could not be loaded.
        LOAD_RPM_PACKAGE_ERROR = 29,
        /// v3: the operation was abandoned.
        OPERATION_ABANDONED = 30,
        /// Any other reason.
        UNDEFINED_REASON = 127,
    }
}

impl CancelSessionReason {
    /// True if the order can still be downloaded later (section 5.6.5).
    pub fn allows_later_download(self) -> bool {
        [Self::POSTPONED, Self::TIMEOUT, Self::SESSION_ABORTED].contains(&self)
    }
}

sequence! {
    /// EuiccCancelSessionSigned: section 5.7.14.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EuiccCancelSessionSigned = 0x30 {
        /// The session that ends.
        pub transaction_id: TransactionId = 0x80,
        /// The OID of the SM-DP+ according to CERT.DPauth.
        pub smdp_oid: Oid = 0x81,
        /// The reason.
        pub reason: CancelSessionReason = 0x82,
    }
}

codes! {
    /// ProfileState: section 5.7.15.
    pub struct ProfileState {
        /// The profile is installed but not in use.
        DISABLED = 0,
        /// The profile is in use.
        ENABLED = 1,
    }
}

codes! {
    /// ProfileClass: section 4.4.
    pub struct ProfileClass {
        /// A test profile.
        TEST = 0,
        /// A provisioning profile, for access to the SM-DP+.
        PROVISIONING = 1,
        /// An operational profile: a subscription.
        OPERATIONAL = 2,
    }
}

codes! {
    /// IconType.
    pub struct IconType {
        /// JPEG.
        JPG = 0,
        /// PNG.
        PNG = 1,
    }
}

sequence! {
    /// OperatorID: MCC and MNC in the encoding of TS 24.008, and the group identifiers.
    #[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
    pub struct OperatorId = 0x30 {
        /// MCC and MNC, three octets.
        pub mcc_mnc: [u8; 3] = 0x80,
        /// EF.GID1.
        pub gid1: Option<Vec<u8>> = 0x81 usually 32,
        /// EF.GID2.
        pub gid2: Option<Vec<u8>> = 0x82 usually 32,
    }
}

impl OperatorId {
    /// True if this operator of the Rules Authorisation Table matches the owner of a profile:
    /// section 2.9.2.1. The digit E matches any digit, and an empty group identifier matches any.
    /// An absent group identifier matches only owners without one.
    pub fn matches(&self, owner: &Self) -> bool {
        let digits = |octets: &[u8; 3]| octets.map(|octet| [octet >> 4, octet & 0x0F]).concat();
        let group = |allowed: &Option<Vec<u8>>, found: &Option<Vec<u8>>| match allowed.as_deref() {
            Some([]) => true,
            allowed => allowed == found.as_deref(),
        };
        digits(&self.mcc_mnc)
            .iter()
            .zip(digits(&owner.mcc_mnc))
            .all(|(allowed, found)| *allowed == 0xE || *allowed == found)
            && group(&self.gid1, &owner.gid1)
            && group(&self.gid2, &owner.gid2)
    }
}

sequence! {
    /// DpProprietaryData.
    #[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
    pub struct DpProprietaryData = 0x30 {
        /// The OID of the SM-DP+ that created the profile.
        pub dp_oid: Oid = 0x80,
    }
}

choice! {
    /// The identifier of a profile in ES10c functions.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum ProfileIdentifier = 0 {
        /// The AID of its ISD-P.
        IsdpAid(Aid) = 0x4F,
        /// The ICCID.
        Iccid(Iccid) = 0x5A,
    }
}

sequence! {
    /// ProfilePolicyAuthorisationRule: section 2.9.2.3.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct ProfilePolicyAuthorisationRule = 0x30 {
        /// The rules ([`ppr`]).
        pub ppr_ids: BitString = 0x80 known_bits ppr::NAMES,
        /// The operators to which the rule applies; EEEEEE matches all.
        pub allowed_operators: Vec<OperatorId> = 0xA1,
        /// Bit 0: the user's consent is required.
        pub ppr_flags: BitString = 0x82 known_bits ppr_flags::NAMES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_of_the_table_may_contain_wildcards() {
        let operator = |mcc_mnc, gid1: Option<&[u8]>, gid2: Option<&[u8]>| OperatorId {
            mcc_mnc,
            gid1: gid1.map(<[u8]>::to_vec),
            gid2: gid2.map(<[u8]>::to_vec),
        };
        let here = [0x62, 0xF2, 0x24];
        let owner = operator(here, Some(&[1]), None);
        for allowed in [
            operator(here, Some(&[1]), None),
            operator([0x62, 0xE2, 0xEE], Some(&[1]), None),
            operator([0xEE; 3], Some(&[]), None),
            operator(here, Some(&[]), Some(&[])),
        ] {
            assert!(allowed.matches(&owner), "{allowed:?}");
        }
        for allowed in [
            operator(here, Some(&[2]), None),
            operator(here, Some(&[1, 0]), None),
            operator(here, None, None),
            operator(here, Some(&[1]), Some(&[1])),
            operator([0x62, 0xF2, 0x25], Some(&[1]), None),
        ] {
            assert!(!allowed.matches(&owner), "{allowed:?}");
        }
        assert!(operator([0xEE; 3], None, None).matches(&operator(here, None, None)));
    }
}
