//! ES10b.LoadBoundProfilePackage and the functions of ES8+: SGP.22 sections 2.5.4, 2.5.5, 5.5 and
//! 5.7.6.
//!
//! The package arrives in segments and is installed into volatile memory as they arrive. The last
//! segment stores the profile and its notification in one write. After a failure only the signed
//! installation result remains.

mod checks;
mod elements;
pub(crate) mod package;
mod result;
pub(crate) mod stream;

use crypto::bsp::{BppReceiver, BspError, KEY_LENGTH_AES_128, KEY_TYPE_AES, MAX_TLV, SessionKeys};
use crypto::{PublicKey, SecretKey, Signature};
use profile::EuiccResponse;
use rsp::der::{Asn1, Tag, tlv, write_tlv};
use rsp::finding::{self, FindingKind};
use rsp::sgp22::es8plus::{
    BppCommandId, ConfigureIsdpRequest, ErrorReason, InitialiseSecureChannelRequest,
    ReplaceSessionKeysRequest, StoreMetadataRequest,
};

use super::StatusWord;
use super::consumer::ConsumerContext;
use super::state::session::{Expects, Installation, Loading, Outline, PreparedDownload, Session};
use checks::check_metadata;
use stream::{Part, Stream};

/// The reason for which the installation failed.
#[derive(Debug)]
struct Failure {
    command: BppCommandId,
    reason: ErrorReason,
    response: Option<EuiccResponse>,
}

/// Processes one segment of a package. The response data are empty until the package is complete or
/// refused.
pub(crate) fn load_bound_profile_package(
    context: &mut ConsumerContext<'_>,
    piece: &[u8],
) -> Result<Vec<u8>, StatusWord> {
    let mut installation = match std::mem::take(&mut context.volatile.session) {
        Session::ExpectBoundProfilePackage(prepared) => Installation {
            prepared: *prepared,
            stream: Stream::default(),
            expects: Expects::default(),
            iccid: None,
        },
        Session::Loading(installation) => *installation,
        other => {
            context.volatile.session = other;
            return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
        }
    };
    match installation.take(context, piece) {
        Ok(false) => {
            context.volatile.session = Session::Loading(Box::new(installation));
            Ok(Vec::new())
        }
        Ok(true) => Ok(installation.finish(context)),
        Err(failure) => Ok(result::failed(context, &installation.prepared, installation.iccid, failure)),
    }
}

impl Installation {
    /// Processes a segment and returns true if the package is complete. A failure ends the
    /// installation.
    fn take(&mut self, context: &ConsumerContext<'_>, piece: &[u8]) -> Result<bool, Failure> {
        let parts = self.stream.take(piece);
        let parts =
            parts.map_err(|_| Failure::new(self.expects.command(), ErrorReason::INCORRECT_INPUT_VALUES))?;
        for part in parts {
            if let Part::Segment(segment) = &part
                && segment.len() > MAX_TLV
                && !context.description.strict
            {
                finding::report(FindingKind::LongSegment, || format!("{} octets", segment.len()));
            }
            let expects = std::mem::take(&mut self.expects);
            self.expects = self.next(context, expects, part)?;
        }
        Ok(self.stream.is_complete())
    }

    fn next(
        &mut self,
        context: &ConsumerContext<'_>,
        expects: Expects,
        part: Part,
    ) -> Result<Expects, Failure> {
        let command = expects.command();
        let bsp_failure = |error| Failure::new(command, reason_of(error));
        match (expects, part) {
            (Expects::InitialiseSecureChannel, Part::InitialiseSecureChannel(request)) => {
                let bsp = initialise_secure_channel(context, &self.prepared, &request)
                    .map_err(|reason| Failure::new(command, reason))?;
                Ok(Expects::ConfigureIsdp { bsp, data: Vec::new() })
            }
            (Expects::ConfigureIsdp { mut bsp, mut data }, Part::Segment(segment)) => {
                data.extend(bsp.decrypt(&segment).map_err(bsp_failure)?);
                Ok(Expects::ConfigureIsdp { bsp, data })
            }
            (Expects::ConfigureIsdp { bsp, data }, Part::EndOfSequence) => {
                let request: ConfigureIsdpRequest = decoded(context, command, &data)?;
                // req: SGP.22-5.7.6-ProprietaryData
                if !is_small(&data) {
                    return Err(Failure::new(command, ErrorReason::INCORRECT_INPUT_VALUES));
                }
                let dp_oid = request.dp_proprietary_data.map(|data| data.dp_oid);
                Ok(Expects::StoreMetadata { bsp, dp_oid, data: Vec::new() })
            }
            (Expects::StoreMetadata { mut bsp, dp_oid, mut data }, Part::Segment(segment)) => {
                data.extend(bsp.verify_mac_only(&segment).map_err(bsp_failure)?);
                Ok(Expects::StoreMetadata { bsp, dp_oid, data })
            }
            (Expects::StoreMetadata { bsp, dp_oid, data }, Part::EndOfSequence) => {
                let metadata: StoreMetadataRequest = decoded(context, command, &data)?;
                self.iccid = Some(metadata.iccid);
                check_metadata(context, &metadata).map_err(|reason| Failure::new(command, reason))?;
                let outline = Box::new(Outline { dp_oid, metadata });
                Ok(Expects::ReplaceSessionKeys { bsp, outline, data: Vec::new() })
            }
            (Expects::ReplaceSessionKeys { mut bsp, outline, mut data }, Part::Segment(segment)) => {
                if is_profile_element(&segment) {
                    let expects = Expects::LoadProfileElements {
                        bsp,
                        outline,
                        loading: Box::new(Loading::new(context)),
                    };
                    return self.next(context, expects, Part::Segment(segment));
                }
                data.extend(bsp.decrypt(&segment).map_err(bsp_failure)?);
                Ok(Expects::ReplaceSessionKeys { bsp, outline, data })
            }
            (Expects::ReplaceSessionKeys { mut bsp, outline, data }, Part::EndOfSequence) => {
                let request: ReplaceSessionKeysRequest = decoded(context, command, &data)?;
                bsp.replace_session_keys(SessionKeys {
                    initial_mac_chaining_value: request.initial_mac_chaining_value,
                    s_enc: request.ppk_enc,
                    s_mac: request.ppk_cmac,
                });
                Ok(Expects::LoadProfileElements { bsp, outline, loading: Box::new(Loading::new(context)) })
            }
            (Expects::LoadProfileElements { mut bsp, outline, mut loading }, Part::Segment(segment)) => {
                let octets = bsp.decrypt(&segment).map_err(bsp_failure)?;
                loading.take(context, &outline.metadata, &octets)?;
                Ok(Expects::LoadProfileElements { bsp, outline, loading })
            }
            (expects @ Expects::LoadProfileElements { .. }, Part::EndOfSequence) => Ok(expects),
            _ => Err(Failure::new(command, ErrorReason::INCORRECT_INPUT_VALUES)),
        }
    }

    /// Finishes a complete package: installs the profile or reports the failure.
    fn finish(self, context: &mut ConsumerContext<'_>) -> Vec<u8> {
        let Self { prepared, expects, iccid, .. } = self;
        let finished = match expects {
            Expects::LoadProfileElements { outline, loading, .. } => {
                loading.finish(context, &outline.metadata).map(|loaded| (outline, loaded))
            }
            other => Err(Failure::new(other.command(), ErrorReason::INCORRECT_INPUT_VALUES)),
        };
        match finished {
            Ok((outline, loaded)) => result::installed(context, &prepared, *outline, loaded),
            Err(failure) => result::failed(context, &prepared, iccid, failure),
        }
    }
}

impl Expects {
    fn command(&self) -> BppCommandId {
        match self {
            Self::InitialiseSecureChannel => BppCommandId::INITIALISE_SECURE_CHANNEL,
            Self::ConfigureIsdp { .. } => BppCommandId::CONFIGURE_ISDP,
            Self::StoreMetadata { .. } => BppCommandId::STORE_METADATA,
            Self::ReplaceSessionKeys { .. } => BppCommandId::REPLACE_SESSION_KEYS,
            Self::LoadProfileElements { .. } => BppCommandId::LOAD_PROFILE_ELEMENTS,
        }
    }
}

impl Failure {
    fn new(command: BppCommandId, reason: ErrorReason) -> Self {
        Self { command, reason, response: None }
    }
}

// req: SGP.22-2.6.4-AlteredSegment
fn reason_of(error: BspError) -> ErrorReason {
    match error {
        BspError::Structure(_) => ErrorReason::SCP03T_STRUCTURE_ERROR,
        BspError::Security(_) => ErrorReason::SCP03T_SECURITY_ERROR,
    }
}

fn decoded<T: Asn1>(context: &ConsumerContext<'_>, command: BppCommandId, data: &[u8]) -> Result<T, Failure> {
    context.decode(data).map_err(|_| Failure::new(command, ErrorReason::INCORRECT_INPUT_VALUES))
}

/// True if dpProprietaryData are at most 128 octets long, including tag and length: section 5.5.2.
fn is_small(configure_isdp: &[u8]) -> bool {
    let contents = tlv::split(configure_isdp).map(|(_, contents)| contents).unwrap_or_default();
    let data = tlv::find(contents, Tag(0xB8)).ok().flatten().unwrap_or_default();
    data.len() <= 128
}

fn is_profile_element(segment: &[u8]) -> bool {
    segment.first() == Some(&0x86)
}

/// ES8+.InitialiseSecureChannel: section 5.5.1. Returns the session keys after verifying the
/// signature of the SM-DP+.
fn initialise_secure_channel(
    context: &ConsumerContext<'_>,
    prepared: &PreparedDownload,
    octets: &[u8],
) -> Result<BppReceiver, ErrorReason> {
    let request: InitialiseSecureChannelRequest =
        context.decode(octets).map_err(|_| ErrorReason::INCORRECT_INPUT_VALUES)?;
    let certificate = &prepared.profile_binding.certificate;
    // req: SGP.22-5.7.6-Signature
    let covered = covered_by_signature(octets, &prepared.one_time_key.public);
    Signature::from_slice(&request.smdp_sign)
        .and_then(|signature| certificate.public_key().verify(&covered, &signature))
        .map_err(|_| ErrorReason::INVALID_SIGNATURE)?;
    // req: SGP.22-5.7.6-RemoteOperation
    if request.remote_op_id != InitialiseSecureChannelRequest::INSTALL_BOUND_PROFILE_PACKAGE {
        return Err(ErrorReason::UNSUPPORTED_REMOTE_OPERATION_TYPE);
    }
    // req: SGP.22-5.7.6-TransactionId
    if request.transaction_id != prepared.server.transaction_id {
        return Err(ErrorReason::INVALID_TRANSACTION_ID);
    }
    let template = &request.control_ref_template;
    // req: SGP.22-5.7.6-ControlReference
    if (template.key_type, template.key_len) != ([KEY_TYPE_AES], [KEY_LENGTH_AES_128])
        || !(1..=16).contains(&template.host_id.len())
    {
        return Err(ErrorReason::UNSUPPORTED_CRT_VALUES);
    }
    let curve = certificate.curve();
    let shared = <[u8; 32]>::try_from(prepared.one_time_key.secret.expose())
        .ok()
        .and_then(|octets| SecretKey::from_bytes(curve, &octets).ok())
        .and_then(|secret| secret.agree(&PublicKey::from_sec1(curve, &request.smdp_otpk).ok()?).ok())
        .ok_or(ErrorReason::INCORRECT_INPUT_VALUES)?;
    let keys = SessionKeys::derive(
        &shared,
        KEY_TYPE_AES,
        KEY_LENGTH_AES_128,
        &template.host_id,
        &context.description.eid.0,
    );
    let bsp = BppReceiver::new(keys);
    Ok(match context.description.strict {
        true => bsp,
        false => bsp.accepting_long_tlvs(),
    })
}

/// The signed data: the elements before smdpSign as they were received, followed by the card's own
/// one-time public key, which is not sent.
fn covered_by_signature(request: &[u8], own_key: &[u8]) -> Vec<u8> {
    let contents = tlv::split(request).map(|(_, contents)| contents).unwrap_or_default();
    let elements = tlv::each(contents).unwrap_or_default();
    let before = elements.iter().take_while(|element| !element.starts_with(&[0x5F, 0x37]));
    let mut covered: Vec<u8> = before.flat_map(|element| element.iter().copied()).collect();
    write_tlv(Tag(0x5F49), own_key, &mut covered);
    covered
}
