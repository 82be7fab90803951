//! ES8+, from the SM-DP+ through the LPA to the eUICC: SGP.22 sections 2.5 and 5.5.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    DpProprietaryData, IconType, NotificationConfigurationInformation, NotificationMetadata, OperatorId,
    ProfileClass, SignatureOctets, ppr,
};
use crate::{
    choice, codes,
    der::{Asn1, BitString, DecodeError, Raw, Reader, Tag, tlv, write_length, write_tlv},
    finding::{FindingKind, report},
    ids::{Aid, Iccid, Oid, TransactionId},
    sequence,
};

sequence! {
    /// BoundProfilePackage: section 2.5.4.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct BoundProfilePackage = 0xBF36 {
        /// The request that opens the secure channel.
        pub initialise_secure_channel_request: Raw<InitialiseSecureChannelRequest> = 0xBF23,
        /// ConfigureISDP, protected.
        pub first_sequence_of87: Segments<0x87> = 0xA0,
        /// StoreMetadata, MACed only.
        pub sequence_of88: Segments<0x88> = 0xA1,
        /// ReplaceSessionKeys, protected.
        pub second_sequence_of87: Option<Segments<0x87>> = 0xA2,
        /// The profile package, protected.
        pub sequence_of86: Segments<0x86> = 0xA3,
    }
}

/// The length of the MAC at the end of each protected TLV in octets: section 2.6.4.
const MAC: usize = 8;

impl BoundProfilePackage {
    /// Returns the metadata. They are MACed but not encrypted, so that an LPA can read them. Only
    /// the eUICC can verify the MAC.
    ///
    /// # Errors
    /// The segments do not contain a StoreMetadataRequest.
    pub fn open_metadata(&self) -> Result<StoreMetadataRequest, DecodeError> {
        let mut data = Vec::new();
        for segment in &self.sequence_of88.0 {
            let contents = tlv::split(segment).map(|(_, contents)| contents).unwrap_or_default();
            data.extend_from_slice(contents.split_last_chunk::<MAC>().map_or(&[], |(data, _)| data));
        }
        StoreMetadataRequest::from_der(&data)
    }
}

/// SEQUENCE OF protected TLVs, each kept whole with its tag and MAC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segments<const TAG: u32>(pub Vec<Vec<u8>>);

impl<const ELEMENT: u32> Asn1 for Segments<ELEMENT> {
    const TAG: Tag = Tag::SEQUENCE;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        write_tlv(tag, &self.0.concat(), out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut inner = reader.enter(tag)?;
        let mut segments = Vec::new();
        while !inner.is_empty() {
            let before = inner.rest();
            inner.contents(Tag(ELEMENT)).map_err(|e| e.within_element(segments.len()))?;
            let length = before.len().saturating_sub(inner.rest().len());
            segments.push(before.get(..length).unwrap_or_default().to_vec());
        }
        Ok(Self(segments))
    }
}

/// Splits a Bound Profile Package into the pieces that are sent to the eUICC (section 5.7.6): the
/// outer header with InitialiseSecureChannel, the header of each sequence (with the first element
/// where the standard joins them), and each single segment. Every piece is sent in a STORE DATA
/// chain of its own. Unknown elements of the package are not sent, and are findings.
///
/// # Errors
/// The octets are not a Bound Profile Package.
pub fn store_data_segments(bpp: &[u8]) -> Result<Vec<Vec<u8>>, DecodeError> {
    let mut outer = Reader::new(bpp);
    let mut inner = outer.enter(BoundProfilePackage::TAG)?;
    outer.finish()?;
    let contents = inner.rest();
    let header_length = bpp.len().saturating_sub(contents.len());
    let mut unknown = 0_usize;
    let mut pieces = vec![inner.whole_tlv()?.to_vec()];

    while let Some(tag) = inner.peek()? {
        let offset = inner.offset();
        let whole = inner.whole_tlv()?;
        if !matches!(tag, Tag(0xA0..=0xA3)) {
            report(FindingKind::UnknownElement, || {
                format!("BoundProfilePackage: element {tag} at octet {offset}")
            });
            unknown = unknown.saturating_add(whole.len());
            continue;
        }
        let mut sequence = Reader::new(whole);
        let (_, length) = sequence.header()?;
        let header = whole.get(..whole.len().saturating_sub(length)).unwrap_or_default().to_vec();
        let elements = tlv::each(sequence.rest())?;
        match tag {
            // ConfigureISDP and ReplaceSessionKeys are sent together with the header of their
            // sequence.
            Tag(0xA0 | 0xA2) => pieces.push([header, elements.concat()].concat()),
            _ => {
                pieces.push(header);
                pieces.extend(elements.into_iter().map(<[u8]>::to_vec));
            }
        }
    }
    let mut header = bpp.get(..header_length).unwrap_or_default().to_vec();
    if unknown > 0 {
        // The header announces only what is sent.
        header.clear();
        BoundProfilePackage::TAG.write(&mut header);
        write_length(contents.len().saturating_sub(unknown), &mut header);
    }
    if let Some(first) = pieces.first_mut() {
        first.splice(..0, header);
    }
    Ok(pieces)
}

sequence! {
    /// InitialiseSecureChannelRequest: section 5.5.1.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct InitialiseSecureChannelRequest = 0xBF23 {
        /// 1: installation of a Bound Profile Package.
        pub remote_op_id: i64 = 0x82,
        /// The transaction ID of the session.
        pub transaction_id: TransactionId = 0x80,
        /// The parameters of the key agreement.
        pub control_ref_template: ControlRefTemplate = 0xA6,
        /// otPK.DP.ECKA, an uncompressed point.
        pub smdp_otpk: Vec<u8> = 0x5F49 usually 65,
        /// The signature with the key of CERT.DPpb over
        /// [`InitialiseSecureChannelRequest::signed_octets`].
        pub smdp_sign: SignatureOctets = 0x5F37 usually 64,
    }
}

impl InitialiseSecureChannelRequest {
    /// The value of `remote_op_id` for installBoundProfilePackage.
    pub const INSTALL_BOUND_PROFILE_PACKAGE: i64 = 1;

    /// Returns the octets that smdpSign covers: the four elements before it and the TLV of
    /// otPK.EUICC.ECKA (section 5.5.1).
    pub fn signed_octets(&self, euicc_otpk: &[u8]) -> Vec<u8> {
        let mut signed = Vec::new();
        self.remote_op_id.encode_as(Tag(0x82), &mut signed);
        self.transaction_id.encode_as(Tag(0x80), &mut signed);
        self.control_ref_template.encode_as(Tag(0xA6), &mut signed);
        write_tlv(Tag(0x5F49), &self.smdp_otpk, &mut signed);
        write_tlv(Tag(0x5F49), euicc_otpk, &mut signed);
        signed
    }
}

sequence! {
    /// ControlRefTemplate: section 5.5.1.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ControlRefTemplate = 0x30 {
        /// The key type. 88: AES.
        pub key_type: [u8; 1] = 0x80,
        /// The key length. 10: 16 octets.
        pub key_len: [u8; 1] = 0x81,
        /// The host ID chosen by the SM-DP+, at most 16 octets.
        pub host_id: Vec<u8> = 0x84 usually 16,
    }
}

sequence! {
    /// ConfigureISDPRequest: section 5.5.2.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ConfigureIsdpRequest = 0xBF24 {
        /// The data of the SM-DP+ that the eUICC stores with the profile.
        pub dp_proprietary_data: Option<DpProprietaryData> = 0xB8,
    }
}

sequence! {
    /// StoreMetadataRequest: section 5.5.3.
    #[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
    pub struct StoreMetadataRequest = 0xBF25 {
        /// ICCID.
        pub iccid: Iccid = 0x5A,
        /// The name of the service provider, at most 32 octets.
        pub service_provider_name: String = 0x91 usually 32,
        /// The name of the profile, at most 64 octets.
        pub profile_name: String = 0x92 usually 64,
        /// The type of the icon, JPEG or PNG.
        pub icon_type: Option<IconType> = 0x93,
        /// The icon of 64 by 64 pixels, at most 1024 octets.
        pub icon: Option<Vec<u8>> = 0x94 usually 1024,
        /// The profile class; operational if absent.
        pub profile_class: Option<ProfileClass> = 0x95,
        /// The recipients and events of notifications.
        pub notification_configuration_info: Option<Vec<NotificationConfigurationInformation>> = 0xB6,
        /// The operator that owns the profile; mandatory with policy rules.
        pub profile_owner: Option<OperatorId> = 0xB7,
        /// The policy rules.
        pub profile_policy_rules: Option<BitString> = 0x99 known_bits ppr::NAMES,
        /// SGP.32: true if the profile is an Emergency Profile.
        pub ecall_indication: Option<bool> = 0x9F7B,
        /// SGP.32: true if the profile owner allows the profile to be the Fallback Profile.
        pub fallback_allowed: Option<bool> = 0x9F67,
    }
}

sequence! {
    /// ReplaceSessionKeysRequest: section 5.5.4.
    #[derive(Clone, PartialEq, Eq)]
    pub struct ReplaceSessionKeysRequest = 0xBF26 {
        /// Initial MAC chaining value.
        pub initial_mac_chaining_value: [u8; 16] = 0x80,
        /// PPK-ENC.
        pub ppk_enc: [u8; 16] = 0x81,
        /// PPK-MAC.
        pub ppk_cmac: [u8; 16] = 0x82,
    }
}

sequence! {
    /// ProfileInstallationResult: section 2.5.6.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ProfileInstallationResult = 0xBF37 {
        /// The data signed by the eUICC.
        pub profile_installation_result_data: Raw<ProfileInstallationResultData> = 0xBF27,
        /// The signature over the previous element.
        pub euicc_sign_pir: SignatureOctets = 0x5F37 usually 64,
    }
}

sequence! {
    /// ProfileInstallationResultData: section 2.5.6.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ProfileInstallationResultData = 0xBF27 {
        /// The transaction ID of the session.
        pub transaction_id: TransactionId = 0x80,
        /// The sequence number, recipient and ICCID of the notification.
        pub notification_metadata: NotificationMetadata = 0xBF2F,
        /// The OID of the SM-DP+ according to CERT.DPpb.
        pub smdp_oid: Option<Oid> = 0x06,
        /// The result.
        pub final_result: FinalResult = 0xA2,
    }
}

choice! {
    /// finalResult.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum FinalResult = 0 {
        /// The profile was installed.
        SuccessResult(SuccessResult) = 0xA0,
        /// The profile was not installed, and nothing remains on the eUICC.
        ErrorResult(ErrorResult) = 0xA1,
    }
}

sequence! {
    /// SuccessResult.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct SuccessResult = 0x30 {
        /// The AID of the ISD-P.
        pub aid: Aid = 0x4F,
        /// EUICCResponse of the profile package.
        pub sima_response: Vec<u8> = 0x04 usually 256,
    }
}

sequence! {
    /// ErrorResult.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ErrorResult = 0x30 {
        /// The command that failed.
        pub bpp_command_id: BppCommandId = 0x80,
        /// The reason.
        pub error_reason: ErrorReason = 0x81,
        /// EUICCResponse of the profile package, if its installation was started.
        pub sima_response: Option<Vec<u8>> = 0x82 usually 256,
    }
}

codes! {
    /// BppCommandId.
    pub struct BppCommandId {
        /// InitialiseSecureChannel.
        INITIALISE_SECURE_CHANNEL = 0,
        /// ConfigureISDP.
        CONFIGURE_ISDP = 1,
        /// StoreMetadata.
        STORE_METADATA = 2,
        /// StoreMetadata, second occurrence.
        STORE_METADATA2 = 3,
        /// ReplaceSessionKeys.
        REPLACE_SESSION_KEYS = 4,
        /// LoadProfileElements.
        LOAD_PROFILE_ELEMENTS = 5,
    }
}

codes! {
    /// ErrorReason.
    pub struct ErrorReason {
        /// The command contains incorrect values.
        INCORRECT_INPUT_VALUES = 1
            next "read bppCommandId: it names the command; compare its values with SGP.22",
        /// A signature does not verify.
        INVALID_SIGNATURE = 2
            next "check that smdpSign2 is over the elements that the eUICC signed in this session",
        /// The transaction ID is not that of the session.
        INVALID_TRANSACTION_ID = 3
            next "use the package with the session for which it was bound",
        /// The values of the control reference template are not supported.
        UNSUPPORTED_CRT_VALUES = 4
            next "use key type 88 and key length 10",
        /// The type of the remote operation is not supported.
        UNSUPPORTED_REMOTE_OPERATION_TYPE = 5
            next "use installBoundProfilePackage(1)",
        /// The profile class is not supported.
        UNSUPPORTED_PROFILE_CLASS = 6
            next "check ProfileClass in the metadata and the categories of the eUICC",
        /// A protected TLV is malformed.
        SCP03T_STRUCTURE_ERROR = 7
            next "check that the LPA sends the segments whole and in order",
        /// A protected TLV does not verify.
        SCP03T_SECURITY_ERROR = 8
            next "download again: the session keys or the counter differ, or a segment was changed",
        /// The ICCID already exists on the eUICC.
        INSTALL_FAILED_DUE_TO_ICCID_ALREADY_EXISTS_ON_EUICC = 9
            next "delete the profile with this ICCID on the eUICC, or order another one",
        /// Not enough memory for the profile.
        INSTALL_FAILED_DUE_TO_INSUFFICIENT_MEMORY_FOR_PROFILE = 10
            next "delete a profile on the eUICC, or order a smaller one",
        /// The installation was interrupted.
        INSTALL_FAILED_DUE_TO_INTERRUPTION = 11
            next "download again",
        /// A profile element was refused.
        INSTALL_FAILED_DUE_TO_PE_PROCESSING_ERROR = 12
            next "read simaResponse: it names the profile element and its status",
        /// Profile package and metadata are inconsistent.
        INSTALL_FAILED_DUE_TO_DATA_MISMATCH = 13
            next "give profile package and metadata the same ICCID",
        /// The key of a test profile is not a test key.
        TEST_PROFILE_INSTALL_FAILED_DUE_TO_INVALID_NAA_KEY = 14
            next "use the test key of SGP.22 in a test profile, or another profile class",
        /// A policy rule is not allowed.
        PPR_NOT_ALLOWED = 15
            next "compare the policy rules with ES10b.GetRAT, and remove those that it does not allow",
        /// Any other error.
        INSTALL_FAILED_DUE_TO_UNKNOWN_ERROR = 127
            next "check the profile package with `landfall profile check`",
    }
}
