//! The content of an order, as the user of the eIM wrote it.

use rsp::{
    der::Tag,
    ids::{Iccid, Oid},
    sgp32::{eim_configuration::EimIdType, ipa_data::protocols},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Octets;

/// The content of an order: one package for the eUICC, or one request to the IPA.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Package {
    /// Operations on profiles, in one package.
    ProfileOperations(Vec<ProfileOperation>),
    /// Operations on the eIM configuration, in one package.
    EimOperations(Vec<EimOperation>),
    /// A request for data of the device.
    Data(DataRequest),
    /// The download of a profile.
    Download(Download),
}

/// An operation on profiles (PSMO): SGP.32 section 2.11.1.1.3.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum ProfileOperation {
    /// Enables a profile after the package.
    Enable {
        /// The profile.
        iccid: Iccid,
        /// True if the device may return to the previous profile when it cannot deliver the result.
        #[serde(default)]
        rollback: bool,
    },
    /// Disables a profile after the package.
    Disable {
        /// The profile.
        iccid: Iccid,
    },
    /// Deletes a disabled profile.
    Delete {
        /// The profile.
        iccid: Iccid,
    },
    /// Lists the profiles.
    ListProfileInfo {},
    /// Reads the Rules Authorisation Table.
    GetRat {},
    /// Configures whether the IPA may enable a profile immediately after its download.
    ConfigureImmediateEnable {
        /// True if it may.
        allowed: bool,
        /// The OID of the SM-DP+ whose profiles may be enabled. Default: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        smdp_oid: Option<Oid>,
        /// The address of the SM-DP+ whose profiles may be enabled. Default: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        smdp_address: Option<String>,
    },
    /// Makes a profile the Fallback Profile.
    SetFallbackAttribute {
        /// The profile.
        iccid: Iccid,
    },
    /// Removes the Fallback Attribute.
    UnsetFallbackAttribute {},
    /// Sets the default SM-DP+.
    SetDefaultDpAddress {
        /// The address; empty removes the present one.
        address: String,
    },
}

/// An operation on the eIM configuration (eCO): SGP.32 section 2.11.1.1.2.2.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum EimOperation {
    /// Associates another eIM with the eUICC.
    AddEim(Box<EimConfiguration>),
    /// Removes an eIM.
    DeleteEim {
        /// The eIM.
        eim_id: String,
    },
    /// Changes the configuration of an eIM. Members that are absent stay as they are.
    UpdateEim(Box<EimConfiguration>),
    /// Replaces the signing key of this eIM by its next one. The counter begins at 0 again.
    ReplaceOwnKey {},
    /// Lists the associated eIMs.
    ListEim {},
}

/// EimConfigurationData: SGP.32 section 2.11.1.1.1.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EimConfiguration {
    /// The identifier of the eIM, 1 to 128 octets.
    pub eim_id: String,
    /// The host name, with the port if it is not 443.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fqdn: Option<String>,
    /// The kind of the identifier: 1 OID, 2 FQDN, 3 proprietary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eim_id_type: Option<EimIdType>,
    /// The initial counter. Default for addEim: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<i64>,
    /// The association token; -1 requests one from the eUICC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub association_token: Option<i64>,
    /// The key that verifies packages: SubjectPublicKeyInfo, DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<Octets>,
    /// The certificate that verifies packages, DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Octets>,
    /// The key that the IPA trusts in TLS: SubjectPublicKeyInfo, DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_public_key: Option<Octets>,
    /// The certificate that the IPA trusts in TLS, DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_certificate: Option<Octets>,
    /// The protocols of the eIM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocols: Option<Vec<Protocol>>,
    /// True if the eIM supports the indirect download.
    #[serde(default)]
    pub indirect_profile_download: bool,
}

/// A protocol on ESipa.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Protocol {
    /// The IPA retrieves packages over HTTPS.
    RetrieveHttps,
    /// The IPA retrieves packages over CoAP with DTLS.
    RetrieveCoaps,
    /// The eIM sends packages over HTTPS.
    InjectHttps,
    /// The eIM sends packages over CoAP with DTLS.
    InjectCoaps,
    /// A proprietary protocol.
    Proprietary,
}

impl Protocol {
    pub(crate) fn bit(self) -> usize {
        match self {
            Self::RetrieveHttps => protocols::RETRIEVE_HTTPS,
            Self::RetrieveCoaps => protocols::RETRIEVE_COAPS,
            Self::InjectHttps => protocols::INJECT_HTTPS,
            Self::InjectCoaps => protocols::INJECT_COAPS,
            Self::Proprietary => protocols::PROPRIETARY,
        }
    }
}

/// A request for data of the device: SGP.32 section 2.11.1.2.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataRequest {
    /// The requested elements. Default: all but notifications and results.
    #[serde(default = "DataElement::usual")]
    pub elements: Vec<DataElement>,
}

impl Default for DataRequest {
    fn default() -> Self {
        Self { elements: DataElement::usual() }
    }
}

/// An element of IpaEuiccData: SGP.32 section 2.11.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DataElement {
    /// The default SM-DP+.
    DefaultSmdpAddress,
    /// EUICCInfo1.
    EuiccInfo1,
    /// EUICCInfo2.
    EuiccInfo2,
    /// The root SM-DS.
    RootSmdsAddress,
    /// The association token of this eIM.
    AssociationToken,
    /// CERT.EUM.
    EumCertificate,
    /// CERT.EUICC.
    EuiccCertificate,
    /// The functions of the IPA.
    IpaCapabilities,
    /// The device.
    DeviceInfo,
    /// Pending notifications.
    Notifications,
    /// Results of packages that are not acknowledged.
    EuiccPackageResults,
}

impl DataElement {
    /// Returns the elements that describe a device.
    fn usual() -> Vec<Self> {
        use DataElement as E;
        vec![
            E::DefaultSmdpAddress,
            E::EuiccInfo1,
            E::EuiccInfo2,
            E::RootSmdsAddress,
            E::AssociationToken,
            E::EumCertificate,
            E::EuiccCertificate,
            E::IpaCapabilities,
            E::DeviceInfo,
        ]
    }

    /// Returns the tag in tagList.
    pub(crate) fn tag(self) -> Tag {
        Tag(match self {
            Self::DefaultSmdpAddress => 0x81,
            Self::EuiccInfo1 => 0xBF20,
            Self::EuiccInfo2 => 0xBF22,
            Self::RootSmdsAddress => 0x83,
            Self::AssociationToken => 0x84,
            Self::EumCertificate => 0xA5,
            Self::EuiccCertificate => 0xA6,
            Self::IpaCapabilities => 0xA8,
            Self::DeviceInfo => 0xA9,
            Self::Notifications => 0xA0,
            Self::EuiccPackageResults => 0xA2,
        })
    }
}

/// The download of a profile: SGP.32 section 3.2.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Download {
    /// The source of the profile.
    pub source: DownloadSource,
    /// True if the eIM keeps the source, and the IPA downloads through the eIM. False if the IPA
    /// receives the source and decides.
    #[serde(default)]
    pub kept_by_eim: bool,
    /// The profile that is expected. Another one is refused. Only for downloads through the eIM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iccid: Option<Iccid>,
    /// True if the profile can have policy rules. Only for downloads through the eIM.
    #[serde(default)]
    pub policy_rules_allowed: bool,
}

/// The source of a profile: SGP.32 section 2.11.1.3.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum DownloadSource {
    /// An activation code: SGP.22 section 4.1.
    ActivationCode(String),
    /// The default SM-DP+ of the eUICC.
    DefaultSmdp {},
    /// An event at an SM-DS.
    Smds {
        /// The SM-DS. Default: the root SM-DS of the eUICC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<String>,
    },
}
