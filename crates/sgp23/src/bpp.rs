//! Decrypts a Bound Profile Package like an eUICC and verifies every signature and MAC: SGP.22
//! sections 2.5 and 5.5.

use crypto::bsp::{BppReceiver, KEY_LENGTH_AES_128, KEY_TYPE_AES, SessionKeys};
use crypto::{PublicKey, SecretKey, Signature};
use rsp::der::Asn1;
use rsp::ids::Eid;
use rsp::sgp22::es8plus::{
    BoundProfilePackage, ConfigureIsdpRequest, InitialiseSecureChannelRequest, ReplaceSessionKeysRequest,
    StoreMetadataRequest,
};

use crate::verdict::{Stop, ensure};

/// The decrypted contents of a Bound Profile Package.
#[derive(Clone, Debug)]
pub struct Opened {
    /// InitialiseSecureChannel with a verified signature.
    pub channel: InitialiseSecureChannelRequest,
    /// ConfigureISDP.
    pub configure: ConfigureIsdpRequest,
    /// StoreMetadata.
    pub metadata: StoreMetadataRequest,
    /// The number of metadata segments.
    pub metadata_segments: usize,
    /// True if ReplaceSessionKeys contained profile protection keys.
    pub ppk: bool,
    /// The profile package.
    pub package: Vec<u8>,
    /// The number of octets of the longest segment. The standard allows 1020.
    pub longest_segment: usize,
}

/// Decrypts a package with the one-time key that it was bound to.
///
/// # Errors
/// Fails if a signature, a MAC or an element violates the standard.
pub fn open(octets: &[u8], eid: Eid, smdp_key: &PublicKey, one_time: &SecretKey) -> Result<Opened, Stop> {
    let bad = |what: &str, why: &dyn std::fmt::Display| Stop::failed(format!("{what}: {why}"));
    let bpp = BoundProfilePackage::from_der(octets).map_err(|e| bad("boundProfilePackage", &e))?;
    let channel = (*bpp.initialise_secure_channel_request).clone();
    ensure(channel.remote_op_id == InitialiseSecureChannelRequest::INSTALL_BOUND_PROFILE_PACKAGE, || {
        format!("remoteOpId is {}, expected 1", channel.remote_op_id)
    })?;
    let otpk = one_time.public_key().to_sec1();
    Signature::from_slice(&channel.smdp_sign)
        .and_then(|signature| smdp_key.verify(&channel.signed_octets(&otpk), &signature))
        .map_err(|e| bad("smdpSign of InitialiseSecureChannel", &e))?;

    let crt = &channel.control_ref_template;
    ensure(crt.key_type == [KEY_TYPE_AES] && crt.key_len == [KEY_LENGTH_AES_128], || {
        format!("controlRefTemplate requests keys {:02x?}/{:02x?}, expected 88/10", crt.key_type, crt.key_len)
    })?;
    ensure((1..=16).contains(&crt.host_id.len()), || {
        format!("hostId has {} octets, expected 1 to 16", crt.host_id.len())
    })?;
    let shared = PublicKey::from_sec1(one_time.curve(), &channel.smdp_otpk)
        .and_then(|peer| one_time.agree(&peer))
        .map_err(|e| bad("otPK.DP.ECKA", &e))?;
    let [key_type] = crt.key_type;
    let [key_len] = crt.key_len;
    let keys = SessionKeys::derive(&shared, key_type, key_len, &crt.host_id, &eid.0);
    let mut chain = BppReceiver::new(keys).accepting_long_tlvs();

    let configure = decrypt(&mut chain, "ConfigureISDP", &bpp.first_sequence_of87.0)?;
    let configure = ConfigureIsdpRequest::from_der(&configure).map_err(|e| bad("ConfigureISDP", &e))?;
    let mut metadata = Vec::new();
    for segment in &bpp.sequence_of88.0 {
        metadata.extend(chain.verify_mac_only(segment).map_err(|e| bad("StoreMetadata", &e))?);
    }
    let metadata = StoreMetadataRequest::from_der(&metadata).map_err(|e| bad("StoreMetadata", &e))?;
    if let Some(replace) = &bpp.second_sequence_of87 {
        let keys = decrypt(&mut chain, "ReplaceSessionKeys", &replace.0)?;
        let keys = ReplaceSessionKeysRequest::from_der(&keys).map_err(|e| bad("ReplaceSessionKeys", &e))?;
        chain.replace_session_keys(SessionKeys {
            initial_mac_chaining_value: keys.initial_mac_chaining_value,
            s_enc: keys.ppk_enc,
            s_mac: keys.ppk_cmac,
        });
    }
    let package = decrypt(&mut chain, "LoadProfileElements", &bpp.sequence_of86.0)?;
    Ok(Opened {
        channel,
        configure,
        metadata,
        metadata_segments: bpp.sequence_of88.0.len(),
        ppk: bpp.second_sequence_of87.is_some(),
        package,
        longest_segment: longest(&bpp),
    })
}

fn longest(bpp: &BoundProfilePackage) -> usize {
    let replace = bpp.second_sequence_of87.iter().flat_map(|sequence| &sequence.0);
    let first = bpp.first_sequence_of87.0.iter().chain(&bpp.sequence_of88.0);
    first.chain(replace).chain(&bpp.sequence_of86.0).map(Vec::len).max().unwrap_or_default()
}

fn decrypt(chain: &mut BppReceiver, what: &str, segments: &[Vec<u8>]) -> Result<Vec<u8>, Stop> {
    let mut data = Vec::new();
    for (number, segment) in segments.iter().enumerate() {
        let opened = chain.decrypt(segment);
        data.extend(opened.map_err(|e| Stop::failed(format!("{what}, segment {number}: {e}")))?);
    }
    Ok(data)
}

/// Returns the parts of a package that must stay the same in a later session with the same one-time
/// key.
///
/// # Errors
/// Fails if the octets are not a package.
pub(crate) fn protected_part(octets: &[u8]) -> Result<Vec<Vec<u8>>, Stop> {
    let bpp = BoundProfilePackage::from_der(octets)
        .map_err(|e| Stop::failed(format!("boundProfilePackage: {e}")))?;
    let second = bpp.second_sequence_of87.unwrap_or_default();
    Ok([bpp.first_sequence_of87.0, bpp.sequence_of88.0, second.0, bpp.sequence_of86.0].concat())
}
