//! The configuration of an eIM at an eUICC: SGP.32 section 2.11.1.1.1.

use schemars::JsonSchema;
use serde::Serialize;

use super::vendor::VendorSpecificExtension;
use crate::{
    bits, choice, codes,
    der::{Asn1, BitString, DecodeError, Null, Reader, Shape, Tag, tlv, tlv_bytes, write_tlv},
    ids::{CertificateDer, SubjectKeyIdentifier, asn1::sequence_under},
    sequence,
};

sequence! {
    /// EimConfigurationData: section 2.11.1.1.1.
    ///
    /// addEim and AddInitialEim need counterValue and eimPublicKeyData. In updateEim absent elements
    /// stay as they are.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct EimConfigurationData = 0x30 {
        /// The identifier of the eIM, at most 128 octets.
        pub eim_id: String = 0x80 usually 128,
        /// The host name of the eIM or of the server in front of it.
        pub eim_fqdn: Option<String> = 0x81 usually 255,
        /// The kind of the identifier.
        pub eim_id_type: Option<EimIdType> = 0x82,
        /// The initial value of the replay counter. The eUICC never returns it.
        pub counter_value: Option<i64> = 0x83,
        /// The association token; -1 requests one from the eUICC.
        pub association_token: Option<i64> = 0x84,
        /// The key or certificate that verifies packages of the eIM.
        pub eim_public_key_data: Option<KeyOrCertificate> = 0xA5,
        /// The key or certificate that the IPA trusts in TLS and DTLS with the eIM.
        pub trusted_public_key_data_tls: Option<KeyOrCertificate> = 0xA6,
        /// The protocols of the eIM ([`protocols`]).
        pub eim_supported_protocol: Option<BitString> = 0x87 known_bits protocols::NAMES,
        /// The CI whose key the eUICC uses for results to this eIM.
        pub euicc_ci_pk_id: Option<SubjectKeyIdentifier> = 0x88 usually 32,
        /// Present if the eIM supports the indirect download.
        pub indirect_profile_download: Option<Null> = 0x89,
        /// v1.3: data of a proprietary protocol on ESipa.
        pub esipa_proprietary_protocol_information: Option<Vec<VendorSpecificExtension>> = 0xAA,
    }
}

impl EimConfigurationData {
    /// The value of association_token that requests a token from the eUICC: section 2.11.1.1.1.
    pub const TOKEN_REQUESTED: i64 = -1;
}

codes! {
    /// EimIdType: section 2.11.1.1.1.
    pub struct EimIdType {
        /// An OBJECT IDENTIFIER.
        OID = 1,
        /// A host name.
        FQDN = 2,
        /// Any other text.
        PROPRIETARY = 3,
    }
}

bits! {
    /// Bits of EimSupportedProtocol and of ipaSupportedProtocols, which have the same meaning.
    pub mod protocols {
        /// The IPA retrieves packages over HTTPS.
        RETRIEVE_HTTPS = 0 "retrieveHttps",
        /// The IPA retrieves packages over CoAP with DTLS.
        RETRIEVE_COAPS = 1 "retrieveCoaps",
        /// The eIM sends packages to the IPA over HTTPS.
        INJECT_HTTPS = 2 "injectHttps",
        /// The eIM sends packages to the IPA over CoAP with DTLS.
        INJECT_COAPS = 3 "injectCoaps",
        /// A proprietary protocol.
        PROPRIETARY = 4 "proprietary",
    }
}

choice! {
    /// The CHOICE of eimPublicKeyData and trustedPublicKeyDataTls: section 2.11.1.1.1. Its tag
    /// replaces the SEQUENCE of the key or certificate. One inside the tag is a finding.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum KeyOrCertificate = 0 {
        /// A public key.
        PublicKey(SubjectPublicKeyInfo) = 0xA0,
        /// A certificate.
        Certificate(CertificateDer) = 0xA1,
    }
}

/// A public key as received: one whole SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), which this
/// crate does not parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectPublicKeyInfo(pub Vec<u8>);

impl Asn1 for SubjectPublicKeyInfo {
    const TAG: Tag = Tag::SEQUENCE;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        write_tlv(tag, tlv::split(&self.0).map_or(&self.0[..], |(_, contents)| contents), out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        sequence_under(tag, reader).map(Self)
    }

    fn shape() -> Shape {
        Shape::Text(|contents| {
            Some(format!("public key of {} octets", tlv_bytes(Tag::SEQUENCE, contents).len()))
        })
    }
}

sequence! {
    /// EimIdInfo, an entry of the result of listEim: section 2.11.2.1.
    #[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
    pub struct EimIdInfo = 0x30 {
        /// The identifier of the eIM.
        pub eim_id: String = 0x80 usually 128,
        /// The kind of the identifier, if it is an OID or an FQDN. Its tag was 84 in v1.0.
        pub eim_id_type: Option<EimIdType> = 0x82 | 0x84,
    }
}
