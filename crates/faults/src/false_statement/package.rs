//! False statements of an SM-DP+ in a package: ES9+.GetBoundProfilePackage, SGP.22 sections 2.5 and
//! 5.5.
//!
//! This layer cannot decrypt the genuine package, because only the SM-DP+ and the card have its
//! keys. It creates another package instead: a generic profile with the offered ICCID, bound to the
//! one-time key of the card and signed with the key of CERT.DPpb.

use certs::Role;
use crypto::bsp::{BppSender, KEY_LENGTH_AES_128, KEY_TYPE_AES, SessionKeys};
use crypto::{PublicKey, SecretKey};
use rsp::der::{Asn1, BitString, Raw, Tag, tlv_bytes};
use rsp::ids::{Eid, Iccid};
use rsp::sgp22::es8plus::{
    BoundProfilePackage, ConfigureIsdpRequest, InitialiseSecureChannelRequest, ReplaceSessionKeysRequest,
    Segments, StoreMetadataRequest,
};
use rsp::sgp22::es9plus::{BoundProfilePackageDer, GetBoundProfilePackageOk, GetBoundProfilePackageRequest};
use rsp::sgp22::es10b::PrepareDownloadResponse;
use rsp::sgp22::{IconType, NotificationConfigurationInformation, OperatorId, ProfileClass, ppr};
use world::Fault;

use super::{FalseStatement, InjectedFault, TamperingPeer, alter, cannot_falsify, elements, no_key, sign};
use crate::acts::false_statement::{FalseMetadata, FalsePackage};

impl FalseMetadata {
    pub(super) fn change(self, metadata: &mut StoreMetadataRequest) {
        let other_owner = || OperatorId { mcc_mnc: [0x99, 0xF9, 0x99], gid1: None, gid2: None };
        match self {
            Self::Iccid => metadata.iccid = another(metadata.iccid),
            Self::Name => metadata.profile_name = "Another".to_owned(),
            Self::ProviderTooLong => metadata.service_provider_name = "p".repeat(33),
            Self::NameTooLong => metadata.profile_name = "n".repeat(65),
            Self::NoIcon => (metadata.icon_type, metadata.icon) = (Some(IconType::PNG), None),
            Self::Test => metadata.profile_class = Some(ProfileClass::TEST),
            Self::UnknownClass => metadata.profile_class = Some(ProfileClass(9)),
            Self::RuleWithoutOwner => {
                metadata.profile_policy_rules = Some(BitString::of(&[ppr::PPR2]));
                metadata.profile_owner = None;
            }
            Self::RuleNotAlone => {
                metadata.profile_policy_rules = Some(BitString::of(&[ppr::PPR1]));
                metadata.profile_owner.get_or_insert_with(other_owner);
            }
            Self::Owner => metadata.profile_owner = Some(other_owner()),
            Self::Group => metadata.profile_owner.get_or_insert_with(other_owner).gid1 = Some(vec![0x66]),
            Self::Address => {
                let altered = NotificationConfigurationInformation {
                    profile_management_operation: BitString::of(&[0]),
                    notification_address: "no name".to_owned(),
                };
                metadata.notification_configuration_info.get_or_insert_default().push(altered);
            }
        }
    }
}

/// The inputs of protection and signature.
struct Plan {
    channel: InitialiseSecureChannelRequest,
    signer: SecretKey,
    /// otPK.EUICC.ECKA, over which smdpSign is computed.
    signed_for: Vec<u8>,
    otsk: SecretKey,
    eid: Eid,
    configure: Vec<u8>,
    metadata: Vec<u8>,
    replace: Option<Vec<u8>>,
    package: Vec<u8>,
}

impl TamperingPeer {
    /// Replaces the genuine package by one with this false statement.
    pub(super) fn bind(
        &self,
        act: FalseStatement,
        request: &GetBoundProfilePackageRequest,
        reply: &mut GetBoundProfilePackageOk,
        injected: &InjectedFault,
    ) -> Result<(), Fault> {
        let PrepareDownloadResponse::DownloadResponseOk(prepared) = &request.prepare_download_response else {
            return Ok(());
        };
        let euicc_otpk = &prepared.euicc_signed2.euicc_otpk;
        let session = self.observed(&request.transaction_id)?;
        let unreadable = |_| cannot_falsify("the genuine package cannot be read");
        let genuine = BoundProfilePackage::from_der(&reply.bound_profile_package.0).map_err(unreadable)?;
        let mut metadata = open_metadata(&genuine)?;
        let profile_package = elements::generic(&metadata, act)?;
        if let FalseStatement::Metadata(statement) = act {
            statement.change(&mut metadata);
        }
        let mut fill = |octets: &mut [u8]| injected.fill(octets);
        let otsk = SecretKey::generate(session.binding, &mut fill);
        let own = SessionKeys::generate(&mut fill);
        let replace = ReplaceSessionKeysRequest {
            initial_mac_chaining_value: own.initial_mac_chaining_value,
            ppk_enc: own.s_enc,
            ppk_cmac: own.s_mac,
        };
        let mut channel = genuine.initialise_secure_channel_request.clone().into_value();
        channel.smdp_otpk = otsk.public_key().to_sec1().to_vec();
        let pb = self.pki.credential(Role::DpPb, session.binding).map_err(no_key)?;
        let mut plan = Plan {
            channel,
            signer: pb.key,
            signed_for: euicc_otpk.clone(),
            otsk,
            eid: session.eid,
            configure: ConfigureIsdpRequest { dp_proprietary_data: None }.to_der(),
            metadata: metadata.to_der(),
            replace: matches!(
                act,
                FalseStatement::Package(FalsePackage::ShortKeys | FalsePackage::OtherKeys)
            )
            .then(|| replace.to_der()),
            package: profile_package,
        };
        if let FalseStatement::Package(statement) = act {
            self.corrupt_plan(statement, &mut plan, injected)?;
        }
        let statement = match act {
            FalseStatement::Package(statement) => Some(statement),
            _ => None,
        };
        reply.bound_profile_package = BoundProfilePackageDer(bound(statement, plan, euicc_otpk, own)?);
        Ok(())
    }

    /// Applies the false statements that affect the inputs of the protection.
    fn corrupt_plan(
        &self,
        statement: FalsePackage,
        plan: &mut Plan,
        injected: &InjectedFault,
    ) -> Result<(), Fault> {
        let curve = plan.otsk.curve();
        match statement {
            FalsePackage::RemoteOperation => plan.channel.remote_op_id = 2,
            FalsePackage::Transaction => alter(&mut plan.channel.transaction_id.0),
            FalsePackage::KeyType => plan.channel.control_ref_template.key_type = [0x80],
            FalsePackage::KeyLength => plan.channel.control_ref_template.key_len = [0x20],
            FalsePackage::NoHostId => plan.channel.control_ref_template.host_id = Vec::new(),
            FalsePackage::LongHostId => plan.channel.control_ref_template.host_id = vec![0x4C; 17],
            FalsePackage::NoPoint => alter(&mut plan.channel.smdp_otpk),
            FalsePackage::OtherOtpk => {
                let another = SecretKey::generate(curve, &mut |octets| injected.fill(octets));
                plan.channel.smdp_otpk = another.public_key().to_sec1().to_vec();
            }
            FalsePackage::SignatureByDpauth => {
                plan.signer = self.pki.credential(Role::DpAuth, curve).map_err(no_key)?.key;
            }
            FalsePackage::SignatureOverOther => plan.signed_for = plan.otsk.public_key().to_sec1().to_vec(),
            FalsePackage::OtherCard => alter(&mut plan.eid.0),
            FalsePackage::Configure => plan.configure = tlv_bytes(Tag(0xBF26), &[]),
            FalsePackage::LongProprietaryData => {
                let oid = tlv_bytes(Tag(0x80), &[&[0x88, 0x37], [1; 140].as_slice()].concat());
                plan.configure = tlv_bytes(Tag(0xBF24), &tlv_bytes(Tag(0xB8), &oid));
            }
            FalsePackage::NoConfigure => plan.configure = Vec::new(),
            FalsePackage::NoMetadata => plan.metadata = Vec::new(),
            FalsePackage::ShortKeys => {
                let key = |tag| tlv_bytes(Tag(tag), &[0x4C; 15]);
                plan.replace = Some(tlv_bytes(Tag(0xBF26), &[key(0x80), key(0x81), key(0x82)].concat()));
            }
            _ => {}
        }
        Ok(())
    }
}

/// Protects and signs the package, and applies the false statements that affect the protection.
fn bound(
    statement: Option<FalsePackage>,
    plan: Plan,
    euicc_otpk: &[u8],
    own: SessionKeys,
) -> Result<Vec<u8>, Fault> {
    let Plan { mut channel, signer, signed_for, otsk, eid, configure, metadata, replace, package } = plan;
    let no_point = |_| cannot_falsify("otPK.EUICC.ECKA is not a point on the curve of the session");
    let euicc = PublicKey::from_sec1(otsk.curve(), euicc_otpk).map_err(no_point)?;
    let shared = otsk.agree(&euicc).map_err(no_point)?;
    let host_id = &channel.control_ref_template.host_id;
    let keys = SessionKeys::derive(&shared, KEY_TYPE_AES, KEY_LENGTH_AES_128, host_id, &eid.0);
    channel.smdp_sign = sign(&signer, &channel.signed_octets(&signed_for));
    if statement == Some(FalsePackage::Signature) {
        alter(&mut channel.smdp_sign);
    }

    let mut protect = BppSender::new(keys);
    let first = protect.segments(0x87, &configure);
    let mut sequence_of88 = protect.mac_only_segments(0x88, &metadata);
    if let (Some(FalsePackage::MetadataMac), Some(segment)) = (statement, sequence_of88.first_mut()) {
        alter(segment);
    }
    let second = replace.map(|replace| {
        let segments = protect.segments(0x87, &replace);
        let mut own = own;
        if statement == Some(FalsePackage::OtherKeys) {
            alter(&mut own.s_mac);
        }
        protect.replace_session_keys(own);
        Segments(segments)
    });
    let sequence_of86 = segments(statement, &mut protect, &package);
    Ok(BoundProfilePackage {
        initialise_secure_channel_request: Raw::new(channel),
        first_sequence_of87: Segments(first),
        sequence_of88: Segments(sequence_of88),
        second_sequence_of87: second,
        sequence_of86: Segments(sequence_of86),
    }
    .to_der())
}

fn segments(statement: Option<FalsePackage>, protect: &mut BppSender, package: &[u8]) -> Vec<Vec<u8>> {
    let mut segments = Vec::new();
    for (number, part) in package.chunks(SEGMENT).enumerate() {
        // A segment that is itself defective is inserted into the MAC chain after the first
        // segment.
        match statement {
            Some(FalsePackage::NoPadding) if number == 1 => {
                segments.push(protect.mac_only(0x86, &[0x4C; 32]))
            }
            Some(FalsePackage::NoBlocks) if number == 1 => segments.push(protect.mac_only(0x86, &[0x4C; 17])),
            Some(FalsePackage::Empty) if number == 1 => segments.push(protect.mac_only(0x86, &[])),
            Some(FalsePackage::Long) if number == 1 => {
                segments.push(protect.encrypt_and_mac(0x86, &[0x4C; 1040]));
            }
            _ => {}
        }
        segments.push(protect.encrypt_and_mac(0x86, part));
    }
    match statement {
        Some(FalsePackage::Mac) => segments.get_mut(1).into_iter().for_each(|segment| alter(segment)),
        Some(FalsePackage::Swapped) if segments.len() > 2 => segments.swap(1, 2),
        Some(FalsePackage::Doubled) => {
            let again = segments.get(1).cloned();
            segments.splice(1..1, again);
        }
        Some(FalsePackage::Missing) if segments.len() > 2 => {
            segments.remove(1);
        }
        Some(FalsePackage::Short) => {
            segments.pop();
        }
        _ => {}
    }
    segments
}

/// The metadata of a bound package, which has a MAC but is not encrypted.
fn open_metadata(package: &BoundProfilePackage) -> Result<StoreMetadataRequest, Fault> {
    package.open_metadata().map_err(|_| cannot_falsify("the metadata of the genuine package cannot be read"))
}

/// Octets of the profile per segment. The value is small, so that there are many segments.
const SEGMENT: usize = 256;

/// Another ICCID with the same issuer prefix.
fn another(iccid: Iccid) -> Iccid {
    let digits = iccid.to_string();
    let stem: String = digits.chars().take(digits.len().saturating_sub(3)).collect();
    Iccid::with_luhn(&format!("{stem}66")).unwrap_or(iccid)
}
