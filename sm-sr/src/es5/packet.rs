//! Secured packets of the SM-SR: TS 102 225 sections 5.1 and 5.2, over SMS as in TS 31.115 section
//! 4, with AES as SGP.02 section 2.4.3 requires.

use crypto::scp80::{self, Head, Keys, Opened, Protection};
use rsp::{
    der::DecodeError,
    ota::{
        secured_packet::{
            CommandHeader, CommandPacket, Counter, Integrity, KeyReference, ResponsePacket, ResponseStatus,
            Spi, Tar,
        },
        sms::{MAX_USER_DATA, PacketKind},
    },
};

use super::Scp80KeySet;

/// CNTR and PCNTR.
const COUNTERS: usize = 6;
/// CPL, CHL, SPI, KIc, KID, TAR.
const CLEAR_HEADER: usize = 10;
/// Octets of the concatenation element in each part, and of the element that identifies the packet
/// in the first part.
const CONCATENATION: usize = 6;
const PACKET_HEADER: usize = 2;

/// Returns the number of short messages for a command with this many octets of data.
pub(super) fn messages(data: usize) -> usize {
    let blocks = (COUNTERS + scp80::CC_LENGTH + data).div_ceil(scp80::BLOCK);
    let packet = CLEAR_HEADER + blocks * scp80::BLOCK;
    if packet <= MAX_USER_DATA - PacketKind::Command.header().len() {
        return 1;
    }
    let part = MAX_USER_DATA - CONCATENATION;
    (packet + PACKET_HEADER).div_ceil(part)
}

impl Scp80KeySet {
    fn keys(&self) -> Keys {
        Keys { kic: (*self.kic.expose()).into(), kid: (*self.kid.expose()).into() }
    }
}

/// Creates a command packet, starting with CPL: ciphered and with a checksum.
pub(super) fn seal(keys: &Scp80KeySet, spi: Spi, tar: Tar, counter: Counter, data: &[u8]) -> Vec<u8> {
    let reference = KeyReference::aes(keys.kvn);
    let header = CommandHeader { spi, kic: reference, kid: reference, tar }.to_bytes();
    let packet = Opened { counter: counter.to_bytes(), status: 0, data: data.to_vec() };
    scp80::seal(Head::Command(&header), &packet, Protection::FULL, &keys.keys())
}

/// Contents of a response packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Response {
    /// Version number of the key set that authenticates the packet.
    pub(super) kvn: u8,
    pub(super) tar: Tar,
    /// Counter of the command packet.
    pub(super) counter: Counter,
    pub(super) status: ResponseStatus,
    pub(super) data: Vec<u8>,
}

/// Contents of a command packet sent by a card.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CardCommand {
    pub(super) data: Vec<u8>,
}

/// Reason why a packet is rejected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PacketError {
    #[error("it is not a valid secured packet: {0}")]
    Malformed(DecodeError),
    #[error("none of the card's key sets authenticates it")]
    NotAuthenticated,
}

/// Opens a response packet, starting with RPL. Every command of this SM-SR requests a ciphered
/// response with a checksum, so any other response is rejected.
pub(super) fn open_response(key_sets: &[Scp80KeySet], octets: &[u8]) -> Result<Response, PacketError> {
    let packet = ResponsePacket::parse(octets).map_err(PacketError::Malformed)?;
    let header = PacketKind::Response.header();
    let head = Head::Response(&packet.tar.0, &header);
    let open = |keys: &Scp80KeySet| {
        let Opened { counter, status, data } =
            scp80::open(head, octets, Protection::FULL, &keys.keys()).ok()?;
        let (counter, status) = (Counter::from_bytes(counter), ResponseStatus::of(status));
        Some(Response { kvn: keys.kvn, tar: packet.tar, counter, status, data })
    };
    key_sets.iter().find_map(open).ok_or(PacketError::NotAuthenticated)
}

/// Opens a command packet of a card, starting with CPL. It must have a checksum and may be
/// ciphered. Its counter is ignored: messages that cards send on their own have none (SGP.02
/// section 4.1.1.11), so the sender must detect repetitions by other means.
pub(super) fn open_command(key_sets: &[Scp80KeySet], octets: &[u8]) -> Result<CardCommand, PacketError> {
    let packet = CommandPacket::parse(octets).map_err(PacketError::Malformed)?;
    let spi = packet.header.spi;
    if spi.integrity != Integrity::CryptographicChecksum {
        return Err(PacketError::NotAuthenticated);
    }
    let header = packet.clear;
    let protection = Protection { checksum: true, ciphered: spi.ciphered };
    let open = |keys: &Scp80KeySet| {
        let reference = KeyReference::aes(keys.kvn);
        let is_ciphered_so = !spi.ciphered || packet.header.kic == reference;
        (packet.header.kid == reference && is_ciphered_so).then_some(())?;
        let opened = scp80::open(Head::Command(&header), octets, protection, &keys.keys()).ok()?;
        Some(CardCommand { data: opened.data })
    };
    key_sets.iter().find_map(open).ok_or(PacketError::NotAuthenticated)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// pySim, tests/unittests/test_ota.py: the AES-128 key set of a sysmoISIM-SJA5, with the
    /// response of a real card.
    fn sja5() -> Scp80KeySet {
        let key = |text: &str| <[u8; 16]>::try_from(hex::decode(text).unwrap()).unwrap().into();
        Scp80KeySet {
            kvn: 2,
            kic: key("200102030405060708090a0b0c0d0e0f"),
            kid: key("201102030405060708090a0b0c0d0e0f"),
            initial_counter: Counter::ZERO,
        }
    }

    const TAR: Tar = Tar([0xB0, 0x00, 0x11]);
    const COMMAND: &str =
        "00281506192222b00011e87cceebb2d93083011ce294f93fc4d8de80da1abae8c37ca3e72ec4432e5058";

    #[test]
    fn a_command_packet_equals_that_of_pysim() {
        let spi = Spi::from_bytes([0x06, 0x19]).unwrap();
        let apdu = hex::decode("00a40004023f00").unwrap();
        assert_eq!(hex::encode(seal(&sja5(), spi, TAR, Counter::ZERO, &apdu)), COMMAND);
        let opened = open_command(&[sja5()], &hex::decode(COMMAND).unwrap()).unwrap();
        assert_eq!(opened, CardCommand { data: apdu });
    }

    #[test]
    fn the_response_of_a_real_card_is_read() {
        let answer = "002412b00011ebc6b497e2cad7aedf36ace0e3a29b38853f0fe9ccde81913be5702b73abce1f";
        let answer = hex::decode(answer).unwrap();
        let response = open_response(&[sja5()], &answer).unwrap();
        assert_eq!((response.kvn, response.tar, response.counter), (2, TAR, Counter::ZERO));
        assert_eq!(response.status, ResponseStatus::Ok);
        // The response has the compact format: one command was executed, and its status word is 61
        // 32.
        assert_eq!(response.data, [1, 0x61, 0x32]);
        for at in 0..answer.len() {
            let mut other = answer.clone();
            other[at] ^= 1;
            assert!(open_response(&[sja5()], &other).is_err(), "octet {at}");
        }
    }

    #[test]
    fn the_number_of_messages_is_predicted() {
        use rsp::ota::sms::{Reference, segments};
        for length in 0..2000 {
            let sealed = seal(&sja5(), Spi::UNANSWERED, TAR, Counter::ZERO, &vec![0; length]);
            let parts = segments(&sealed, PacketKind::Command, Reference::Short(1)).unwrap();
            assert_eq!(messages(length), parts.len(), "{length}");
        }
    }

    /// `3DES-SJA5-CIPHERED-CC` of the same file. The key set has the same octets and version, but
    /// the packet is rejected, because SGP.02 allows only AES.
    #[test]
    fn a_packet_under_triple_des_is_rejected() {
        let key = |text: &str| <[u8; 16]>::try_from(hex::decode(text).unwrap()).unwrap().into();
        let keys = Scp80KeySet {
            kvn: 3,
            kic: key("300102030405060708090a0b0c0d0e0f"),
            kid: key("301102030405060708090a0b0c0d0e0f"),
            initial_counter: Counter::ZERO,
        };
        let command = "00201506193535b00011ae733256918d050b87c94fbfe12e4dc402f262c41cf67f2f";
        let command = hex::decode(command).unwrap();
        assert_eq!(open_command(std::slice::from_ref(&keys), &command), Err(PacketError::NotAuthenticated));
        let answer = hex::decode("001c12b000118bb989492c632529326a2f4681feb37c825bc9021c9f6d0b").unwrap();
        assert_eq!(open_response(&[keys], &answer), Err(PacketError::NotAuthenticated));
    }

    #[test]
    fn a_packet_without_checksum_or_under_another_key_set_is_rejected() {
        let mut other = sja5();
        other.kvn = 3;
        let command = hex::decode(COMMAND).unwrap();
        assert_eq!(open_command(&[other], &command), Err(PacketError::NotAuthenticated));
        // CPL, CHL 0D, SPI without security, TAR, counter, data.
        let bare = hex::decode("00100d00002222b000110000000000004e0101").unwrap();
        assert!(matches!(
            open_command(&[sja5()], &bare),
            Err(PacketError::NotAuthenticated | PacketError::Malformed(_))
        ));
    }
}
