//! SCP03t, the secure channel of a profile download in SGP.02 section 4.1.3.3: SCP03 on TLVs
//! instead of APDUs.
//!
//! | tag | command | response |
//! |---|---|---|
//! | 84 | `KVN KID host-challenge` | `diversification-data(10) KVN 03 70 card-challenge card-cryptogram sequence(3)` |
//! | 85 | `33 host-cryptogram MAC` | empty |
//! | 86 | `ciphertext MAC` | empty, or `ciphertext MAC` with the response keys |
//!
//! Several sources agree on the commands. No test vector of a response is available. This module
//! assumes that the MAC of a response covers its tag and length, as the MAC of a command does. Only
//! `Channel::response_mac` depends on the assumption.

use crate::aes_key::{BLOCK, truncated};
use crate::constant_time::is_equal;
use crate::protected_tlv::{ProtectedTlv, without_mac};
use crate::scp03::{Chain, ChannelError, Direction, LENGTH, SecurityLevel, SessionKeys};

/// The tag of INITIALIZE UPDATE.
pub const INITIALIZE_UPDATE: u8 = 0x84;
/// The tag of EXTERNAL AUTHENTICATE.
pub const EXTERNAL_AUTHENTICATE: u8 = 0x85;
/// The tag of a protected segment.
pub const SEGMENT: u8 = 0x86;

/// The maximum length of a plain segment in octets. With padding, MAC, tag and length it has 1020
/// octets.
pub const MAX_SEGMENT: usize = 1007;

/// A session of the server or the card.
#[derive(Debug, Clone)]
pub struct Channel {
    keys: SessionKeys,
    chain: Chain,
}

impl Channel {
    /// Starts a session. The next TLV is EXTERNAL AUTHENTICATE.
    #[must_use]
    pub fn new(keys: SessionKeys) -> Self {
        Self::resumed(keys, Chain::default())
    }

    /// Resumes a session from a saved state.
    #[must_use]
    pub const fn resumed(keys: SessionKeys, chain: Chain) -> Self {
        Self { keys, chain }
    }

    /// Returns the current state of the session.
    #[must_use]
    pub const fn chain(&self) -> Chain {
        self.chain
    }

    /// Returns the server's TLV 85.
    #[must_use]
    pub fn external_authenticate(&mut self) -> Vec<u8> {
        let cryptogram = self.keys.host_cryptogram();
        self.seal(EXTERNAL_AUTHENTICATE, &[&[SecurityLevel::FULL.code()], cryptogram.as_slice()].concat())
    }

    /// Checks a TLV 85 at the card.
    pub fn check_external_authenticate(&mut self, tlv: &[u8]) -> Result<(), ChannelError> {
        let parts = split(tlv, EXTERNAL_AUTHENTICATE)?;
        let [level, cryptogram @ ..] = parts.payload else {
            return Err(ChannelError::Structure("the security level is missing"));
        };
        if cryptogram.len() != LENGTH {
            return Err(ChannelError::Structure("a host cryptogram has 8 octets"));
        }
        if *level != SecurityLevel::FULL.code() {
            // req: GPC-E-4.8-Authentication
            return Err(ChannelError::Security("the security level is not 33"));
        }
        self.verify(&parts)?;
        if !is_equal(cryptogram, &self.keys.host_cryptogram()) {
            return Err(ChannelError::Security("the host cryptogram does not match"));
        }
        Ok(())
    }

    /// Returns the server's TLV 86 with a segment of the profile. A card refuses more than
    /// [`MAX_SEGMENT`] octets.
    pub fn protect(&mut self, data: &[u8]) -> Vec<u8> {
        self.chain.counter = self.chain.counter.saturating_add(1);
        let ciphertext = self.keys.encrypt(self.chain.counter, Direction::Command, data);
        self.seal(SEGMENT, &ciphertext)
    }

    /// Checks a TLV 86 at the card and returns its plain data.
    pub fn unprotect(&mut self, tlv: &[u8]) -> Result<Vec<u8>, ChannelError> {
        let parts = split(tlv, SEGMENT)?;
        if parts.payload.is_empty() || !parts.payload.len().is_multiple_of(BLOCK) {
            return Err(ChannelError::Structure("the ciphertext is not made of whole blocks"));
        }
        self.chain.counter = self.chain.counter.saturating_add(1);
        self.verify(&parts)?;
        self.keys.decrypt(self.chain.counter, Direction::Command, parts.payload)
    }

    /// Returns the card's TLV 86 in response to the previous segment. The TLV is empty if `data` is
    /// empty.
    #[must_use]
    pub fn protect_response(&self, data: &[u8]) -> Vec<u8> {
        if data.is_empty() {
            return vec![SEGMENT, 0];
        }
        let ciphertext = self.keys.encrypt(self.chain.counter, Direction::Response, data);
        let mut tlv = without_mac(SEGMENT, &ciphertext);
        let mac = self.response_mac(&tlv);
        tlv.extend(mac);
        tlv
    }

    /// Checks the card's TLV 86 at the server and returns the data of the response to the previous
    /// segment.
    pub fn unprotect_response(&self, tlv: &[u8]) -> Result<Vec<u8>, ChannelError> {
        if tlv == [SEGMENT, 0] {
            return Ok(Vec::new());
        }
        let parts = split(tlv, SEGMENT)?;
        if !is_equal(&self.response_mac(parts.maced), parts.mac) {
            return Err(ChannelError::Security("the response MAC does not match"));
        }
        self.keys.decrypt(self.chain.counter, Direction::Response, parts.payload)
    }

    fn seal(&mut self, tag: u8, payload: &[u8]) -> Vec<u8> {
        let mut tlv = without_mac(tag, payload);
        let mac = self.keys.mac.cmac(&[&self.chain.mac_chaining_value, &tlv]);
        self.chain.mac_chaining_value = mac;
        tlv.extend(truncated(mac));
        tlv
    }

    fn verify(&mut self, parts: &ProtectedTlv<'_>) -> Result<(), ChannelError> {
        let mac = self.keys.mac.cmac(&[&self.chain.mac_chaining_value, parts.maced]);
        if !is_equal(&truncated(mac), parts.mac) {
            // req: GPC-E-4.8-Mac
            return Err(ChannelError::Security("the MAC does not match"));
        }
        self.chain.mac_chaining_value = mac;
        Ok(())
    }

    fn response_mac(&self, maced: &[u8]) -> [u8; LENGTH] {
        truncated(self.keys.rmac.cmac(&[&self.chain.mac_chaining_value, maced]))
    }
}

fn split(tlv: &[u8], tag: u8) -> Result<ProtectedTlv<'_>, ChannelError> {
    let parts = ProtectedTlv::split(tlv).map_err(ChannelError::Structure)?;
    if parts.tag == tag { Ok(parts) } else { Err(ChannelError::Structure("unexpected tag")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aes_key::AesKey;
    use crate::hex::{unhex, unhex_array};
    use crate::scp03::StaticKeys;

    /// Computed once by independent code (Python's cryptography) from the specification; not a GSMA
    /// vector.
    fn keys() -> SessionKeys {
        let keys = StaticKeys {
            enc: AesKey::new(unhex_array("c40b97be5c644ba3e2d06dac8747a6f3")),
            mac: AesKey::new(unhex_array("5a4122852513f84be078b80c68056a4f")),
            dek: AesKey::new(unhex_array("4ea9e6b34e49d419d81c095927a800e4")),
        };
        let aid = unhex("a0000005591010ffffffff8900001100");
        let card_challenge = keys.card_challenge([0, 0, 1], &aid);
        assert_eq!(card_challenge.as_slice(), unhex("ce2811c576f5fbb0"));
        SessionKeys::derive(&keys, unhex_array("0102030405060708"), card_challenge)
    }

    #[test]
    fn the_worked_example_is_reproduced() {
        let keys = keys();
        assert_eq!(keys.enc.expose(), unhex("2eb421eb49cc1d6aadb0f36e7fb655b7"));
        assert_eq!(keys.mac.expose(), unhex("39d913ba7720b40c952d5f80ecd47bff"));
        assert_eq!(keys.rmac.expose(), unhex("9f7605f986372816079f9a7c79539d7b"));
        assert_eq!(keys.card_cryptogram().as_slice(), unhex("4cdbf8607d8abd6c"));
        let mut server = Channel::new(keys.clone());
        let mut card = Channel::new(keys);
        let authenticate = server.external_authenticate();
        assert_eq!(authenticate, unhex("851133b2169b5a8e068107e9b7d2041530b344"));
        assert_eq!(card.check_external_authenticate(&authenticate), Ok(()));
        let segment = server.protect(&unhex("a0058001018101"));
        assert_eq!(segment, unhex("86189861d386b19dfe3779395c3c9373eff56d36468ae290cb2f"));
        assert_eq!(card.unprotect(&segment), Ok(unhex("a0058001018101")));
        assert_eq!(server.chain(), card.chain());
    }

    fn authenticated() -> (Channel, Channel) {
        let (mut server, mut card) = (Channel::new(keys()), Channel::new(keys()));
        card.check_external_authenticate(&server.external_authenticate()).unwrap();
        (server, card)
    }

    #[test]
    fn protected_segments_and_responses_are_recovered_also_after_the_session_is_resumed() {
        let (mut server, mut card) = authenticated();
        for octets in [0, 1, 15, 16, 100, MAX_SEGMENT] {
            let segment = server.protect(&vec![0x5A; octets]);
            assert!(segment.len() <= 1020);
            assert_eq!(card.unprotect(&segment), Ok(vec![0x5A; octets]));
            for response in [0, 1, 16, 300] {
                let tlv = card.protect_response(&vec![0xA5; response]);
                assert_eq!(server.unprotect_response(&tlv), Ok(vec![0xA5; response]));
                server = Channel::resumed(keys(), server.chain());
            }
        }
    }

    // req: GPC-E-4.8-Mac
    #[test]
    fn altered_and_repeated_segments_and_a_segment_after_an_omitted_one_are_refused() {
        let (mut server, card) = authenticated();
        let segment = server.protect(&[1; 20]);
        for bit in 0..segment.len() * 8 {
            let mut altered = segment.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(card.clone().unprotect(&altered).is_err(), "bit {bit}");
        }
        for cut in 0..segment.len() {
            assert!(card.clone().unprotect(&segment[..cut]).is_err(), "{cut}");
        }
        let mut repeated = card.clone();
        repeated.unprotect(&segment).unwrap();
        assert_eq!(repeated.unprotect(&segment), Err(ChannelError::Security("the MAC does not match")));
        let next = server.protect(&[2; 20]);
        assert_eq!(card.clone().unprotect(&next), Err(ChannelError::Security("the MAC does not match")));
        let response = repeated.protect_response(&[3; 20]);
        assert!(server.unprotect_response(&response).is_err(), "a response to another segment");
        assert!(card.clone().check_external_authenticate(&segment).is_err());
    }

    // req: GPC-E-4.8-Authentication
    #[test]
    fn authentication_requires_the_keys_and_the_level() {
        let tlv = Channel::new(keys()).external_authenticate();
        let other =
            StaticKeys { enc: AesKey::new([1; 16]), mac: AesKey::new([2; 16]), dek: AesKey::new([3; 16]) };
        let mut card = Channel::new(SessionKeys::derive(&other, [1; 8], [2; 8]));
        assert!(matches!(card.check_external_authenticate(&tlv), Err(ChannelError::Security(_))));
        let mut lower = tlv.clone();
        lower[2] = 0x11;
        let refused = Channel::new(keys()).check_external_authenticate(&lower);
        assert_eq!(refused, Err(ChannelError::Security("the security level is not 33")));
        for cut in 0..tlv.len() {
            assert!(Channel::new(keys()).check_external_authenticate(&tlv[..cut]).is_err());
        }
    }
}
