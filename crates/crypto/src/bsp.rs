//! BSP (BPP Security Protocol), the protection of a Bound Profile Package: SGP.22 section 2.6.4.
//! Version 2 of SGP.22 calls it SCP03t.
//!
//! The package is a chain of TLVs. Each TLV is either encrypted and MACed or only MACed, and each
//! MAC also covers all preceding TLVs.

use std::fmt;

use zeroize::Zeroize;

use crate::aes_key::{AesKey, BLOCK, MAC_LENGTH, truncated};
use crate::ber::length;
use crate::constant_time::is_equal;
use crate::curve::SharedSecret;
use crate::protected_tlv::{ProtectedTlv, without_mac};
use crate::x963;

/// Key type "AES" in the control reference template.
pub const KEY_TYPE_AES: u8 = 0x88;
/// Key length "16 octets" in the control reference template.
pub const KEY_LENGTH_AES_128: u8 = 0x10;

/// The maximum length of a TLV in octets, including tag, length and MAC: SGP.22 section 2.5.3.
pub const MAX_TLV: usize = 1020;
/// The maximum number of data octets in one MACed TLV.
pub const MAX_MAC_ONLY: usize = MAX_TLV - 4 - MAC_LENGTH;
/// The maximum number of data octets in one encrypted TLV: the ciphertext is whole blocks with at
/// least one octet of padding.
pub const MAX_ENCRYPTED: usize = MAX_MAC_ONLY / BLOCK * BLOCK - 1;

/// The keys of one BSP session, or the profile protection keys (PPK) that replace them; wiped when
/// dropped.
#[derive(Clone)]
pub struct SessionKeys {
    /// The initial value of the MAC chain.
    pub initial_mac_chaining_value: [u8; 16],
    /// S-ENC or PPK-ENC.
    pub s_enc: [u8; 16],
    /// S-MAC or PPK-MAC.
    pub s_mac: [u8; 16],
}

impl SessionKeys {
    /// Derives the session keys from the key agreement: SGP.22 section 2.6.4.2, annex G in version
    /// 2.
    ///
    /// `key_type`, `key_len` and `host_id` are the values of the control reference template in
    /// InitialiseSecureChannel.
    #[must_use]
    pub fn derive(shared: &SharedSecret, key_type: u8, key_len: u8, host_id: &[u8], eid: &[u8; 16]) -> Self {
        let shared_info =
            [&[key_type, key_len], length(host_id.len()).as_slice(), host_id, &length(eid.len()), eid]
                .concat();
        let octets = x963::kdf_sha256(shared.expose(), &shared_info, 48);
        let mut source = octets.expose().iter().copied();
        Self::fill_from(&mut |out| out.iter_mut().zip(&mut source).for_each(|(out, octet)| *out = octet))
    }

    /// Generates random keys (PPK). `fill` must fill its argument with unpredictable octets.
    pub fn generate(fill: &mut dyn FnMut(&mut [u8])) -> Self {
        Self::fill_from(fill)
    }

    fn fill_from(fill: &mut dyn FnMut(&mut [u8])) -> Self {
        let mut keys = Self { initial_mac_chaining_value: [0; 16], s_enc: [0; 16], s_mac: [0; 16] };
        // The keys are filled in the order of the key derivation output.
        fill(&mut keys.initial_mac_chaining_value);
        fill(&mut keys.s_enc);
        fill(&mut keys.s_mac);
        keys
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKeys(..)")
    }
}

impl Drop for SessionKeys {
    fn drop(&mut self) {
        self.initial_mac_chaining_value.zeroize();
        self.s_enc.zeroize();
        self.s_mac.zeroize();
    }
}

/// The sending side, in an SM-DP+.
#[derive(Debug, Clone)]
pub struct BppSender(Chain);

impl BppSender {
    /// Starts a session.
    #[must_use]
    pub fn new(keys: SessionKeys) -> Self {
        Self(Chain::new(&keys))
    }

    /// Continues with other keys, after the TLV that contained ReplaceSessionKeysRequest.
    pub fn replace_session_keys(&mut self, keys: SessionKeys) {
        self.0 = Chain::new(&keys);
    }

    /// Returns one encrypted and MACed TLV (86, 87).
    ///
    /// The TLV is as long as the data require. A receiver refuses more than [`MAX_ENCRYPTED`]
    /// octets of data; use [`Self::segments`] for data that may be longer.
    pub fn encrypt_and_mac(&mut self, tag: u8, data: &[u8]) -> Vec<u8> {
        let ciphertext = self.0.enc.encrypt_cbc_padded(self.0.icv(), data);
        self.seal(tag, &ciphertext)
    }

    /// Returns one MACed TLV (88).
    ///
    /// The TLV is as long as the data require. A receiver refuses more than [`MAX_MAC_ONLY`] octets
    /// of data; use [`Self::mac_only_segments`] for data that may be longer.
    pub fn mac_only(&mut self, tag: u8, data: &[u8]) -> Vec<u8> {
        self.seal(tag, data)
    }

    /// Returns the minimum number of encrypted TLVs that hold the data; no TLV for empty data.
    pub fn segments(&mut self, tag: u8, data: &[u8]) -> Vec<Vec<u8>> {
        data.chunks(MAX_ENCRYPTED).map(|segment| self.encrypt_and_mac(tag, segment)).collect()
    }

    /// Returns the minimum number of MACed TLVs that hold the data; no TLV for empty data.
    pub fn mac_only_segments(&mut self, tag: u8, data: &[u8]) -> Vec<Vec<u8>> {
        data.chunks(MAX_MAC_ONLY).map(|segment| self.mac_only(tag, segment)).collect()
    }

    fn seal(&mut self, tag: u8, payload: &[u8]) -> Vec<u8> {
        let mut tlv = without_mac(tag, payload);
        let full_mac = self.0.mac(&tlv);
        tlv.extend(truncated(full_mac));
        self.0.advance(full_mac);
        tlv
    }
}

/// The reason why a TLV is refused. The Profile Installation Result distinguishes the two reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BspError {
    /// The octets are not a TLV of BSP (scp03tStructureError).
    #[error("BSP structure error: {0}; end the session and request the package again")]
    Structure(&'static str),
    /// The TLV was made with other keys or is not the next of the chain (scp03tSecurityError).
    #[error("BSP security error: {0}; end the session and agree on new keys")]
    Security(&'static str),
}

/// The receiving side, in an eUICC.
///
/// The first refused TLV ends the session: the keys are wiped and all later TLVs are refused.
#[derive(Debug, Clone)]
pub struct BppReceiver {
    chain: Option<Chain>,
    longest: usize,
}

impl BppReceiver {
    /// Starts a session.
    #[must_use]
    pub fn new(keys: SessionKeys) -> Self {
        Self { chain: Some(Chain::new(&keys)), longest: MAX_TLV }
    }

    /// Accepts TLVs of any length. osmo-smdpp sends up to 1036 octets, because it does not account
    /// for padding.
    #[must_use]
    pub fn accepting_long_tlvs(mut self) -> Self {
        self.longest = usize::MAX;
        self
    }

    /// Continues with the other keys of a ReplaceSessionKeysRequest. A session that has ended stays
    /// ended.
    pub fn replace_session_keys(&mut self, keys: SessionKeys) {
        self.chain = self.chain.take().map(|_| Chain::new(&keys));
    }

    /// Checks and decrypts the next TLV, which must have tag 86 or 87.
    pub fn decrypt(&mut self, tlv: &[u8]) -> Result<Vec<u8>, BspError> {
        self.next(tlv, |chain, parts| {
            if !matches!(parts.tag, 0x86 | 0x87) {
                // req: SGP.22-2.6.4-Structure
                return Err(BspError::Structure("an encrypted TLV has tag 86 or 87"));
            }
            if parts.payload.is_empty() || !parts.payload.len().is_multiple_of(BLOCK) {
                return Err(BspError::Structure("the ciphertext is not made of whole blocks"));
            }
            let icv = chain.icv();
            chain.verify(&parts)?;
            chain
                .enc
                .decrypt_cbc_padded(icv, parts.payload)
                .ok_or(BspError::Security("the decrypted data do not end in padding"))
        })
    }

    /// Checks the next TLV, which must have tag 88, and returns its data.
    pub fn verify_mac_only(&mut self, tlv: &[u8]) -> Result<Vec<u8>, BspError> {
        self.next(tlv, |chain, parts| {
            if parts.tag != 0x88 {
                return Err(BspError::Structure("a TLV that is only MACed has tag 88"));
            }
            chain.verify(&parts)?;
            Ok(parts.payload.to_vec())
        })
    }

    fn next(
        &mut self,
        tlv: &[u8],
        open: impl FnOnce(&mut Chain, ProtectedTlv<'_>) -> Result<Vec<u8>, BspError>,
    ) -> Result<Vec<u8>, BspError> {
        // The chain is taken out, and put back only after success.
        let mut chain =
            self.chain.take().ok_or(BspError::Security("the session ended with an earlier refusal"))?;
        if tlv.len() > self.longest {
            return Err(BspError::Structure("the TLV is longer than 1020 octets"));
        }
        let data = open(&mut chain, ProtectedTlv::split(tlv).map_err(BspError::Structure)?)?;
        self.chain = Some(chain);
        Ok(data)
    }
}

/// The position of one side in the chain of TLVs.
#[derive(Clone)]
struct Chain {
    enc: AesKey,
    mac: AesKey,
    mac_chaining_value: [u8; BLOCK],
    /// Counts every TLV, including those that are only MACed.
    block_counter: u128,
}

impl Chain {
    fn new(keys: &SessionKeys) -> Self {
        Self {
            enc: keys.s_enc.into(),
            mac: keys.s_mac.into(),
            mac_chaining_value: keys.initial_mac_chaining_value,
            block_counter: 1,
        }
    }

    /// Computes the ICV of the next TLV.
    fn icv(&self) -> [u8; BLOCK] {
        self.enc.encrypt_block(self.block_counter.to_be_bytes())
    }

    /// Computes the full MAC of a TLV without its MAC.
    fn mac(&self, tlv: &[u8]) -> [u8; BLOCK] {
        self.mac.cmac(&[&self.mac_chaining_value, tlv])
    }

    fn verify(&mut self, parts: &ProtectedTlv<'_>) -> Result<(), BspError> {
        let full_mac = self.mac(parts.maced);
        if !is_equal(&truncated(full_mac), parts.mac) {
            // req: SGP.22-2.6.4-Mac
            return Err(BspError::Security("the MAC does not match"));
        }
        self.advance(full_mac);
        Ok(())
    }

    fn advance(&mut self, full_mac: [u8; BLOCK]) {
        self.mac_chaining_value = full_mac;
        self.block_counter += 1;
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain(.., next TLV is number {})", self.block_counter)
    }
}

#[cfg(test)]
mod tests;
