//! The part of an EIS that the EUM signs, with the security domains and their keys: SGP.02 section
//! 5.1.1.3 and Annex E.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    macros::{enumeration, structure},
    xml::{Children, Element, Name, Octets, Prefix, Problem, Text, Writer, XmlError},
};
use crate::{
    ids::{Aid, Eid, Oid, Version},
    ota::secured_packet::Tar,
    time::Timestamp,
};

structure! {
    /// The information that does not change during the life of an eUICC.
    pub struct EumSignedInfo {
        eid: Eid = "eid" / "Eid",
        eum_id: Oid = "eumId" / "Eum-id",
        production_date: Timestamp = "productionDate" / "ProductionDate",
        /// The platform type, at most 100 characters.
        platform_type: String = "platformType" / "PlatformType" usually 100,
        platform_version: Version = "platformVersion" / "PlatformVersion",
        isd_p_loadfile_aid: Aid = "isdpLoadFileAid" / "Isd-p-loadfile-aid",
        isd_p_module_aid: Aid = "isdpModuleAid" / "Isd-p-module-aid",
        /// The ECASD with the eUICC's certificate.
        ecasd: SecurityDomain = "ecasd" / "Ecasd",
        euicc_capabilities: EuiccCapabilities = "euiccCapabilities" / "EuiccCapabilities",
    }
}

structure! {
    /// The bearers and versions that an eUICC supports.
    pub struct EuiccCapabilities {
        cattp_support: bool = "catTpSupport" / "CattpSupport",
        cattp_version: Option<Version> = "catTpVersion" / "CattpVersion",
        http_support: bool = "httpSupport" / "HttpSupport",
        http_version: Option<Version> = "httpVersion" / "HttpVersion",
        secure_packet_version: Version = "securePacketVersion" / "SecurePacketVersion",
        remote_provisioning_version: Version = "remoteProvisioningVersion" / "RemoteProvisioningVersion",
    }
}

structure! {
    /// A security domain and its keys.
    #[derive(JsonSchema)]
    pub struct SecurityDomain {
        aid: Aid = "aid" / "Aid",
        /// The TARs; empty if the TAR is contained in octets 13 to 15 of the AID.
        tar: Vec<Tar> = "tar" / "Tar",
        /// The SIN, at most 16 octets.
        sin: Octets = "sin" / "Sin" usually 16,
        /// The SDIN, at most 16 octets.
        sdin: Octets = "sdin" / "Sdin" usually 16,
        role: SdRole = "role" / "Role",
        keyset: Vec<Keyset> = "keyset" / "Keyset",
    }
}

enumeration! {
    /// The role of a security domain.
    #[derive(JsonSchema)]
    pub enum SdRole {
        /// The security domain that the SM-SR manages.
        IsdR = "ISD-R",
        /// The security domain that holds the eUICC's certificate.
        Ecasd = "ECASD",
    }
}

structure! {
    /// The keys or certificates of one key set version.
    #[derive(JsonSchema)]
    pub struct Keyset {
        /// The version, 1 to 127.
        version: u8 = "version" / "Version",
        r#type: Option<KeysetType> = "type" / "Type",
        /// The counter of the last message secured with the key set.
        cntr: Option<u64> = "cntr" / "Cntr",
        key: Vec<Key> = "key" / "Key",
        certificate: Vec<GpCertificate> = "certificate" / "Certificate",
    }
}

enumeration! {
    /// The use of a key set.
    #[derive(JsonSchema)]
    pub enum KeysetType {
        /// SCP03, the secure channel over APDUs.
        Scp03 = "SCP03",
        /// SCP80, secured packets.
        Scp80 = "SCP80",
        /// SCP81, HTTPS.
        Scp81 = "SCP81",
        /// Generation of tokens.
        TokenGeneration = "TokenGeneration",
        /// Verification of receipts.
        ReceiptVerification = "ReceiptVerification",
        /// Certificates.
        Ca = "CA",
    }
}

/// A key: its identifier, check value and components.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Key {
    /// The key identifier, 0 to 127.
    pub index: u8,
    /// The key check value.
    pub kcv: Octets,
    /// The components; a symmetric key has one.
    pub key_components: Vec<KeyComponent>,
}

/// A component of a key. The value is encrypted with a transport key in messages from the EUM to
/// the SM-SR, and empty if the receiver must not know it.
#[derive(Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct KeyComponent {
    /// The key type in GlobalPlatform's encoding (Card Specification section 11.1.8).
    pub r#type: u8,
    /// The value.
    pub value: Octets,
}

impl fmt::Debug for KeyComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyComponent {{ type: {:02X}, value: {} octets }}", self.r#type, self.value.0.len())
    }
}

const INDEX: Name = Name { v1: "index", v3: "Index" };
const COMPONENTS: Name = Name { v1: "keyComponents", v3: "KeyComponents" };

impl Element for Key {
    fn write_as(&self, name: Name, out: &mut Writer) {
        let local = name.within(out.namespace());
        out.element(Prefix::Rps, local, &[("kcv", &self.kcv.to_text())], |out| {
            self.index.write_as(INDEX, out);
            for component in &self.key_components {
                let (kind, value) = (format!("{:02X}", component.r#type), component.value.to_text());
                let local = COMPONENTS.within(out.namespace());
                out.element(Prefix::Rps, local, &[("type", &kind), ("value", &value)], |_| {});
            }
        });
    }

    fn read_as(name: Name, from: &mut Children<'_, '_>) -> Result<Self, XmlError> {
        let node = from.take(name)?;
        let read = || {
            let kcv = attribute(node, "kcv")?;
            let mut inside = Children::of(node, from.namespace())?;
            let index = u8::read_as(INDEX, &mut inside)?;
            let mut key_components = Vec::new();
            while inside.has(COMPONENTS) {
                let component = inside.take(COMPONENTS)?;
                let kind: Octets = attribute(component, "type")?;
                let [kind] = kind.as_slice() else {
                    let why = "the type of a key component must be one octet".to_owned();
                    return Err(XmlError::at(component, Problem::BadValue(why)));
                };
                key_components.push(KeyComponent { r#type: *kind, value: attribute(component, "value")? });
            }
            inside.finish(&[&[INDEX, COMPONENTS]])?;
            Ok(Self { index, kcv, key_components })
        };
        read().map_err(|e| e.within(node.tag_name().name()))
    }
}

/// Returns the value of a mandatory attribute.
pub(super) fn attribute<T: Text>(node: roxmltree::Node<'_, '_>, name: &str) -> Result<T, XmlError> {
    let text = node
        .attribute(name)
        .ok_or_else(|| XmlError::at(node, Problem::Missing(format!("the attribute {name}"))))?;
    T::from_text(text).map_err(|why| XmlError::at(node, Problem::BadValue(format!("{name}: {why}"))))
}

structure! {
    /// A certificate in GlobalPlatform's format.
    #[derive(JsonSchema)]
    pub struct GpCertificate {
        /// The identifier of the private key.
        index: u8 = "index" / "Index",
        ca_id: Oid = "caId" / "CaId",
        /// The whole TLV `7F21`.
        value: Octets = "value" / "Value",
    }
}

impl Text for Tar {
    fn to_text(&self) -> String {
        self.to_string()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let octets = Octets::from_text(text)?;
        octets.0.try_into().map(Self).map_err(|_| "a TAR must be three octets".to_owned())
    }
}

impl SecurityDomain {
    /// Returns the security domain without the secrets of the SM-SR: the check values and values of
    /// keys are empty. The schema requires the elements to be present.
    #[must_use]
    pub fn without_key_values(mut self) -> Self {
        for key in self.keyset.iter_mut().flat_map(|keyset| &mut keyset.key) {
            key.kcv = Octets::default();
            for component in &mut key.key_components {
                component.value = Octets::default();
            }
        }
        self
    }
}
