//! Requests of an eIM to the IPA: data of the eUICC and the device, and the download of a profile.
//! SGP.32 sections 2.11.1.2, 2.11.1.3, 2.11.2.2 and 2.11.2.3.

use super::{
    es10b::NotificationSearch, notification::PendingNotificationList, result::EuiccPackageResult,
    vendor::VendorSpecificExtension,
};
use crate::{
    bits, choice, codes,
    der::{BitString, DecodeError, Null, Opaque, Raw, Reader, Tag},
    ids::{CertificateDer, SubjectKeyIdentifier, TransactionId},
    sequence,
    sgp22::{DeviceInfo, EuiccInfo1, EuiccInfo2, es8plus::ProfileInstallationResult},
};

pub use super::eim_configuration::protocols;

sequence! {
    /// IpaEuiccDataRequest: section 2.11.1.2.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct IpaEuiccDataRequest = 0xBF52 {
        /// The tags of the requested elements of [`IpaEuiccData`], one after the other.
        pub tag_list: Vec<u8> = 0x5C usually 64,
        /// The CI to which the requested certificates lead, possibly truncated.
        pub euicc_ci_pk_identifier_to_be_used: Option<SubjectKeyIdentifier> = 0x04 usually 32,
        /// The requested notifications; all if absent.
        pub search_criteria_notification: Option<NotificationSearch> = 0xA1,
        /// The requested result of a package; all if absent.
        pub search_criteria_euicc_package_result: Option<PackageResultSearch> = 0xA2,
        /// The identifier that the eIM gave to the request; the response returns it.
        pub eim_transaction_id: Option<TransactionId> = 0x83,
    }
}

impl IpaEuiccDataRequest {
    /// Returns the tags of `tag_list`.
    ///
    /// # Errors
    /// The octets are not a list of tags.
    pub fn tags(&self) -> Result<Vec<Tag>, DecodeError> {
        let mut reader = Reader::new(&self.tag_list);
        let mut tags = Vec::new();
        while !reader.is_empty() {
            tags.push(reader.next_tag()?);
        }
        Ok(tags)
    }

    /// Encodes `tags` for `tag_list`.
    pub fn tag_list_of(tags: &[Tag]) -> Vec<u8> {
        let mut list = Vec::new();
        tags.iter().for_each(|tag| tag.write(&mut list));
        list
    }
}

choice! {
    /// searchCriteriaEuiccPackageResult: section 2.11.1.2.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum PackageResultSearch = 0 {
        /// The result with this sequence number.
        SeqNumber(i64) = 0x80,
    }
}

choice! {
    /// IpaEuiccDataResponse: section 2.11.2.2.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum IpaEuiccDataResponse = 0xBF52 {
        /// The requested data.
        IpaEuiccData(Box<IpaEuiccData>) = 0xA0,
        /// The data are not available.
        IpaEuiccDataResponseError(IpaEuiccDataResponseError) = 0xA1,
        /// v1.0: the data are not available.
        IpaEuiccDataError(IpaEuiccDataErrorCode) = 0x81,
    }
}

sequence! {
    /// IpaEuiccData: section 2.11.2.2. It contains the requested elements that exist. The EID is not
    /// among them.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct IpaEuiccData = 0x30 {
        /// Pending notifications.
        pub notifications_list: Option<PendingNotificationList> = 0xA0,
        /// The default SM-DP+. Its tag was 80 in v1.0.
        pub default_smdp_address: Option<String> = 0x81 | 0x80 usually 255,
        /// Results of packages that the eIM has not acknowledged.
        pub euicc_package_result_list: Option<Vec<Opaque<EuiccPackageResult>>> = 0xA2,
        /// EUICCInfo1.
        pub euicc_info1: Option<Raw<EuiccInfo1>> = 0xBF20,
        /// EUICCInfo2.
        pub euicc_info2: Option<Raw<EuiccInfo2>> = 0xBF22,
        /// The root SM-DS.
        pub root_smds_address: Option<String> = 0x83 usually 255,
        /// The association token of the eIM.
        pub association_token: Option<i64> = 0x84,
        /// CERT.EUM.
        pub eum_certificate: Option<CertificateDer> = 0xA5,
        /// CERT.EUICC.
        pub euicc_certificate: Option<CertificateDer> = 0xA6,
        /// The identifier of the request.
        pub eim_transaction_id: Option<TransactionId> = 0x87,
        /// The functions of the IPA.
        pub ipa_capabilities: Option<IpaCapabilities> = 0xA8,
        /// The device.
        pub device_info: Option<DeviceInfo> = 0xA9,
        /// v1.0: pending notifications, as the last element.
        pub notifications_list_v1_0: Option<PendingNotificationList> = 0xBF2B,
    }
}

sequence! {
    /// IpaEuiccDataResponseError: section 2.11.2.2.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct IpaEuiccDataResponseError = 0x30 {
        /// The identifier of the request.
        pub eim_transaction_id: Option<TransactionId> = 0x80,
        /// The reason.
        pub ipa_euicc_data_error_code: IpaEuiccDataErrorCode = 0x02,
    }
}

codes! {
    /// IpaEuiccDataErrorCode: section 2.11.2.2.
    pub struct IpaEuiccDataErrorCode {
        /// A tag is not that of an element of the response.
        INCORRECT_TAG_LIST = 1
            next "request only tags of IpaEuiccData; the EID and the profiles are not among them",
        /// The eUICC has no key for the CI.
        EUICC_CI_PK_ID_NOT_FOUND = 5
            next "use a CI of euiccCiPKIdListForSigning",
        /// The Emergency Profile is active.
        ECALL_ACTIVE = 104
            next "repeat the request after the emergency call",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "trace the exchange, and compare the request with SGP.32",
    }
}

bits! {
    /// Bits of ipaFeatures: section 4.1.
    pub mod ipa_features {
        /// The IPA downloads profiles from an SM-DP+ itself.
        DIRECT_RSP_SERVER_COMMUNICATION = 0 "directRspServerCommunication",
        /// The IPA downloads profiles through the eIM.
        INDIRECT_RSP_SERVER_COMMUNICATION = 1 "indirectRspServerCommunication",
        /// The eIM can keep the download data instead of sending them to the IPA.
        EIM_DOWNLOAD_DATA_HANDLING = 2 "eimDownloadDataHandling",
        /// The eIM can generate ctxParams1.
        EIM_CTX_PARAMS1_GENERATION = 3 "eimCtxParams1Generation",
        /// The eIM can verify the metadata of a profile.
        EIM_PROFILE_METADATA_VERIFICATION = 4 "eimProfileMetadataVerification",
        /// The IPA leaves out what the eIM knows.
        MINIMIZE_ESIPA_BYTES = 5 "minimizeEsipaBytes",
    }
}

sequence! {
    /// IpaCapabilities: section 4.1.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct IpaCapabilities = 0x30 {
        /// The functions ([`ipa_features`]).
        pub ipa_features: BitString = 0x80 known_bits ipa_features::NAMES,
        /// The protocols ([`protocols`]).
        pub ipa_supported_protocols: Option<BitString> = 0x81 known_bits protocols::NAMES,
        /// v1.3: data of a proprietary protocol on ESipa.
        pub esipa_proprietary_protocol_information: Option<Vec<VendorSpecificExtension>> = 0xA2,
    }
}

sequence! {
    /// ProfileDownloadTriggerRequest: section 2.11.1.3.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct ProfileDownloadTriggerRequest = 0xBF54 {
        /// The source of the profile. Absent if the eIM keeps the download data.
        pub profile_download_data: Option<ProfileDownloadData> = 0xA0,
        /// The identifier that the eIM gave to the request; the result returns it.
        pub eim_transaction_id: Option<TransactionId> = 0x82,
    }
}

choice! {
    /// ProfileDownloadData: section 2.11.1.3.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum ProfileDownloadData = 0 {
        /// An activation code (SGP.22 section 4.1).
        ActivationCode(String) = 0x80 usually 255,
        /// The default SM-DP+ of the eUICC.
        ContactDefaultSmdp(Null) = 0x81,
        /// An SM-DS, which returns an event.
        ContactSmds(ContactSmds) = 0xA2,
    }
}

sequence! {
    /// contactSmds: section 2.11.1.3.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct ContactSmds = 0x30 {
        /// The SM-DS; the root SM-DS of the eUICC if absent.
        pub smds_address: Option<String> = 0x80 usually 255,
    }
}

sequence! {
    /// ProfileDownloadTriggerResult: section 2.11.2.3.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ProfileDownloadTriggerResult = 0xBF54 {
        /// The identifier of the request.
        pub eim_transaction_id: Option<TransactionId> = 0x82,
        /// The result.
        pub profile_download_trigger_result_data: ProfileDownloadTriggerResultData = 0,
    }
}

choice! {
    /// profileDownloadTriggerResultData: section 2.11.2.3.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum ProfileDownloadTriggerResultData = 0 {
        /// The eUICC installed the profile or refused it, as it was signed.
        ProfileInstallationResult(Box<Raw<ProfileInstallationResult>>) = 0xBF37,
        /// The profile did not reach the eUICC.
        ProfileDownloadError(ProfileDownloadError) = 0x30,
    }
}

sequence! {
    /// profileDownloadError: section 2.11.2.3.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct ProfileDownloadError = 0x30 {
        /// The reason. It does not exist in v1.0, and is mandatory since v1.1.
        pub profile_download_error_reason: Option<ProfileDownloadErrorReason> = 0x80,
        /// The error of the server or the eUICC, as received.
        pub error_response: Option<Vec<u8>> = 0x04 usually 1024,
    }
}

codes! {
    /// profileDownloadErrorReason: section 2.11.2.3.
    pub struct ProfileDownloadErrorReason {
        /// The Emergency Profile is active.
        ECALL_ACTIVE = 104
            next "repeat the request after the emergency call",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "read errorResponse, and the log of the SM-DP+",
    }
}
