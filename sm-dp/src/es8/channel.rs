//! SCP03, the server's end: GlobalPlatform Amendment D with i = 70 (pseudo-random challenges, R-MAC and R-ENC) at security
//! level 33, for C-APDUs (ES8.UpdateConnectivityParameters) and for the TLVs of SCP03t (SGP.02 section 4.1.3.3).

use rsp::ids::Aid;

use super::{
    CardFault,
    arithmetic::{self, half},
    key_establishment::KeySet,
};

/// All of C-MAC, C-DECRYPTION, R-MAC and R-ENCRYPTION.
pub(super) const SECURITY_LEVEL: u8 = 0x33;
/// Octets of a MAC as it is sent.
const MAC: usize = 8;
/// The protocol and its parameter i, which we accept no other of.
const PROTOCOL: [u8; 2] = [0x03, 0x70];

/// What of a derivation tells one key from another: Amendment D, table 4-1.
mod constant {
    pub(super) const CARD_CRYPTOGRAM: u8 = 0x00;
    pub(super) const HOST_CRYPTOGRAM: u8 = 0x01;
    pub(super) const CARD_CHALLENGE: u8 = 0x02;
    pub(super) const S_ENC: u8 = 0x04;
    pub(super) const S_MAC: u8 = 0x06;
    pub(super) const S_RMAC: u8 = 0x07;
}

/// An open secure channel.
pub(super) struct Session {
    enc: [u8; 16],
    mac: [u8; 16],
    rmac: [u8; 16],
    chaining: [u8; 16],
    counter: u64,
    host_cryptogram: [u8; 8],
    /// The sequence counter that the card used.
    pub(super) sequence: u32,
}

impl Session {
    /// From what the card answered to INITIALIZE UPDATE, if it proves that it has the keys.
    pub(super) fn open(keys: &KeySet, host_challenge: [u8; 8], card: &[u8]) -> Result<Self, CardFault> {
        let parts = || {
            let (_diversification, rest) = card.split_first_chunk::<10>()?;
            let (&[version], rest) = rest.split_first_chunk()?;
            let (&protocol, rest) = rest.split_first_chunk()?;
            let (&challenge, rest) = rest.split_first_chunk::<8>()?;
            let (&cryptogram, rest) = rest.split_first_chunk::<8>()?;
            let sequence: [u8; 3] = rest.try_into().ok()?;
            Some((version, protocol, challenge, cryptogram, sequence))
        };
        let (version, protocol, challenge, cryptogram, sequence) = parts().ok_or_else(|| {
            CardFault::Unreadable("INITIALIZE UPDATE is answered with 32 octets".to_owned())
        })?;
        if (version, protocol) != (keys.version, PROTOCOL) {
            return Err(CardFault::Unreadable(
                "the secure channel is not SCP03 with i = 70 under the key version that was asked for"
                    .to_owned(),
            ));
        }
        let mut session = Self::between(keys, host_challenge, challenge);
        let [high, middle, low] = sequence;
        session.sequence = u32::from_be_bytes([0, high, middle, low]);
        let right = session.cryptogram(constant::CARD_CRYPTOGRAM, host_challenge, challenge);
        if !arithmetic::same(&right, &cryptogram) {
            return Err(CardFault::NotAuthentic("cryptogram"));
        }
        Ok(session)
    }

    /// Before the card has said anything: its challenge follows from the key, the AID and the number of the session.
    pub(super) fn foreseen(keys: &KeySet, host_challenge: [u8; 8], isd_p: &Aid, sequence: u32) -> Self {
        let [_, high, middle, low] = sequence.to_be_bytes();
        let card_challenge = half(derive(
            &keys.enc,
            constant::CARD_CHALLENGE,
            64,
            &[&[high, middle, low], isd_p.0.as_slice()],
        ));
        let mut session = Self::between(keys, host_challenge, card_challenge);
        session.sequence = sequence;
        session
    }

    fn between(keys: &KeySet, host_challenge: [u8; 8], card_challenge: [u8; 8]) -> Self {
        let both: [&[u8]; 2] = [&host_challenge, &card_challenge];
        let mut session = Self {
            enc: derive(&keys.enc, constant::S_ENC, 128, &both),
            mac: derive(&keys.mac, constant::S_MAC, 128, &both),
            rmac: derive(&keys.mac, constant::S_RMAC, 128, &both),
            chaining: [0; 16],
            counter: 0,
            host_cryptogram: [0; 8],
            sequence: 0,
        };
        session.host_cryptogram =
            session.cryptogram(constant::HOST_CRYPTOGRAM, host_challenge, card_challenge);
        session
    }

    fn cryptogram(&self, which: u8, host_challenge: [u8; 8], card_challenge: [u8; 8]) -> [u8; 8] {
        half(derive(&self.mac, which, 64, &[&host_challenge, &card_challenge]))
    }

    /// The data of EXTERNAL AUTHENTICATE: cryptogram and MAC. `header` is what the MAC covers before the cryptogram, and is
    /// told the length of the data.
    pub(super) fn authenticate(&mut self, header: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
        let mut data = self.host_cryptogram.to_vec();
        let mac = self.next_mac(&header(data.len().saturating_add(MAC)), &data);
        data.extend(mac);
        data
    }

    /// The data of a command: encrypted, and with a MAC.
    pub(super) fn protect(&mut self, header: impl Fn(usize) -> Vec<u8>, clear: &[u8]) -> Vec<u8> {
        self.counter = self.counter.saturating_add(1);
        let mut data = match clear {
            [] => Vec::new(),
            clear => arithmetic::encrypt(&self.enc, self.iv(0x00), clear),
        };
        let mac = self.next_mac(&header(data.len().saturating_add(MAC)), &data);
        data.extend(mac);
        data
    }

    /// The answer to the last command that was protected. The MAC covers `header`, the data and `trailer`.
    pub(super) fn unprotect(
        &self,
        header: &[u8],
        answer: &[u8],
        trailer: &[u8],
    ) -> Result<Vec<u8>, CardFault> {
        let wrong = CardFault::NotAuthentic("R-MAC");
        let (data, mac) = answer.split_last_chunk::<MAC>().ok_or_else(|| wrong.clone())?;
        let right = half(arithmetic::mac(&self.rmac, &[&self.chaining, header, data, trailer]));
        if !arithmetic::same(&right, mac) {
            return Err(wrong);
        }
        match data {
            [] => Ok(Vec::new()),
            data => arithmetic::decrypt(&self.enc, self.iv(0x80), data).ok_or(wrong),
        }
    }

    fn next_mac(&mut self, header: &[u8], data: &[u8]) -> [u8; 8] {
        self.chaining = arithmetic::mac(&self.mac, &[&self.chaining, header, data]);
        half(self.chaining)
    }

    /// The counter of commands, encrypted; its first octet tells answers from commands.
    fn iv(&self, first: u8) -> [u8; 16] {
        let counter = u128::from(first) << 120 | u128::from(self.counter);
        arithmetic::block(&self.enc, counter.to_be_bytes())
    }
}

/// NIST SP 800-108 in counter mode with AES-CMAC, for one block: Amendment D section 4.1.5.
fn derive(key: &[u8; 16], constant: u8, bits: u16, context: &[&[u8]]) -> [u8; 16] {
    let [high, low] = bits.to_be_bytes();
    let mut label = [0; 16];
    if let Some(end) = label.last_chunk_mut() {
        *end = [constant, 0, high, low, 1];
    }
    arithmetic::mac(key, &[&[label.as_slice()], context].concat())
}
