//! Secured packets as the SM-SR makes and opens them: TS 102 225 section 5.1 and 5.2, on SMS as TS 31.115 section 4, with
//! AES as SGP.02 section 2.4.3 wants it.

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
/// CHL without the checksum: SPI, KIc, KID, TAR, CNTR, PCNTR.
const HEADER: usize = 13;
/// CPL, CHL, SPI, KIc, KID, TAR.
const IN_CLEAR: usize = 10;
/// RPL, RHL, TAR.
const RESPONSE_IN_CLEAR: usize = 6;
/// The octets of a part that the concatenation element takes, and in the first one that which names the packet.
const CONCATENATION: usize = 6;
const NAMES_PACKET: usize = 2;

/// How many short messages a command with this many octets of data takes.
pub(super) fn messages(data: usize) -> usize {
    let blocks = (COUNTERS + crypto::scp80::CC_LENGTH + data).div_ceil(crypto::scp80::BLOCK);
    let packet = IN_CLEAR + blocks * crypto::scp80::BLOCK;
    if packet <= MAX_USER_DATA - PacketKind::Command.header().len() {
        return 1;
    }
    let part = MAX_USER_DATA - CONCATENATION;
    (packet + NAMES_PACKET).div_ceil(part)
}

/// A command packet, from CPL on: with a checksum, and ciphered.
pub(super) fn seal(keys: &Scp80KeySet, spi: Spi, tar: Tar, counter: Counter, data: &[u8]) -> Vec<u8> {
    let reference = KeyReference::aes(keys.kvn);
    let header = CommandHeader { spi, kic: reference, kid: reference, tar }.to_bytes();
    let unpadded = COUNTERS + crypto::scp80::CC_LENGTH + data.len();
    let padding = unpadded.next_multiple_of(crypto::scp80::BLOCK) - unpadded;
    let padded = [data, [0; crypto::scp80::BLOCK].get(..padding).unwrap_or_default()].concat();
    let counters = [&counter.to_bytes()[..], &[u8::try_from(padding).unwrap_or(0)]].concat();
    let chl = u8::try_from(HEADER + crypto::scp80::CC_LENGTH).unwrap_or(u8::MAX);
    let length = 1 + header.len() + unpadded + padding;
    let cpl = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    let clear = [&cpl[..], &[chl], &header].concat();
    let check = crypto::scp80::mac(keys.kid.expose(), &[&clear, &counters, &padded]);
    let body = [&counters[..], &check, &padded].concat();
    // It is padded to whole blocks.
    let ciphered = crypto::scp80::encrypt(keys.kic.expose(), &body).unwrap_or_default();
    [clear, ciphered].concat()
}

/// What a response packet says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Response {
    /// The key set that vouches for it.
    pub(super) kvn: u8,
    pub(super) tar: Tar,
    /// That of the command.
    pub(super) counter: Counter,
    pub(super) status: ResponseStatus,
    pub(super) data: Vec<u8>,
}

/// What a command packet of a card says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FromCard {
    pub(super) data: Vec<u8>,
}

/// Why a packet is not believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Disbelieved {
    #[error("it is no packet: {0}")]
    NoPacket(DecodeError),
    #[error("none of the card's key sets vouches for it")]
    NotVouchedFor,
}

/// Opens a response packet, from RPL on. Every command of ours asks for a ciphered answer with a checksum, so one without is
/// nobody's.
pub(super) fn open_response(key_sets: &[Scp80KeySet], octets: &[u8]) -> Result<Response, Disbelieved> {
    let packet = ResponsePacket::parse(octets).map_err(Disbelieved::NoPacket)?;
    if packet.check_length != crypto::scp80::CC_LENGTH {
        return Err(Disbelieved::NotVouchedFor);
    }
    let clear = octets.get(..RESPONSE_IN_CLEAR).unwrap_or_default();
    let open = |keys: &Scp80KeySet| {
        let body = crypto::scp80::decrypt(keys.kic.expose(), packet.body)?;
        let (counter, rest) = body.split_first_chunk::<5>()?;
        let ([padding, status], rest) = rest.split_first_chunk::<2>()?;
        let (check, data) = rest.split_at_checked(crypto::scp80::CC_LENGTH)?;
        let parts = [&PacketKind::Response.header()[..], clear, counter, &[*padding, *status], data];
        crypto::scp80::is_equal(&crypto::scp80::mac(keys.kid.expose(), &parts), check).then_some(())?;
        Some(Response {
            kvn: keys.kvn,
            tar: packet.tar,
            counter: Counter::from_bytes(*counter),
            status: ResponseStatus::of(*status),
            data: unpadded(data, *padding)?,
        })
    };
    key_sets.iter().find_map(open).ok_or(Disbelieved::NotVouchedFor)
}

/// Opens a command packet of a card, from CPL on. It must have a checksum; it may be ciphered. Its counter is nothing: what
/// cards send on their own has none (SGP.02 section 4.1.1.11), so its sender must be able to tell a repetition otherwise.
pub(super) fn open_command(key_sets: &[Scp80KeySet], octets: &[u8]) -> Result<FromCard, Disbelieved> {
    let packet = CommandPacket::parse(octets).map_err(Disbelieved::NoPacket)?;
    let spi = packet.header.spi;
    if spi.integrity != Integrity::CryptographicChecksum || packet.check_length != crypto::scp80::CC_LENGTH {
        return Err(Disbelieved::NotVouchedFor);
    }
    let clear = octets.get(..IN_CLEAR).unwrap_or_default();
    let open = |keys: &Scp80KeySet| {
        let reference = KeyReference::aes(keys.kvn);
        let is_ciphered_so = !spi.ciphered || packet.header.kic == reference;
        (packet.header.kid == reference && is_ciphered_so).then_some(())?;
        let body = match spi.ciphered {
            true => crypto::scp80::decrypt(keys.kic.expose(), packet.body)?,
            false => packet.body.to_vec(),
        };
        let (counters, rest) = body.split_first_chunk::<COUNTERS>()?;
        let (check, data) = rest.split_at_checked(crypto::scp80::CC_LENGTH)?;
        let mac = crypto::scp80::mac(keys.kid.expose(), &[clear, counters, data]);
        crypto::scp80::is_equal(&mac, check).then_some(())?;
        let [.., padding] = *counters;
        Some(FromCard { data: unpadded(data, padding)? })
    };
    key_sets.iter().find_map(open).ok_or(Disbelieved::NotVouchedFor)
}

fn unpadded(data: &[u8], padding: u8) -> Option<Vec<u8>> {
    data.get(..data.len().checked_sub(usize::from(padding))?).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// pySim, tests/unittests/test_ota.py: the AES-128 key set of a sysmoISIM-SJA5, with what a real card answered.
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
    fn a_command_is_the_one_that_pysim_makes() {
        let spi = Spi::from_bytes([0x06, 0x19]).unwrap();
        let apdu = hex::decode("00a40004023f00").unwrap();
        assert_eq!(hex::encode(seal(&sja5(), spi, TAR, Counter::ZERO, &apdu)), COMMAND);
        let opened = open_command(&[sja5()], &hex::decode(COMMAND).unwrap()).unwrap();
        assert_eq!(opened, FromCard { data: apdu });
    }

    #[test]
    fn the_answer_of_a_real_card_is_understood() {
        let answer = "002412b00011ebc6b497e2cad7aedf36ace0e3a29b38853f0fe9ccde81913be5702b73abce1f";
        let answer = hex::decode(answer).unwrap();
        let response = open_response(&[sja5()], &answer).unwrap();
        assert_eq!((response.kvn, response.tar, response.counter), (2, TAR, Counter::ZERO));
        assert_eq!(response.status, ResponseStatus::Ok);
        // Compact: one command, 61 32.
        assert_eq!(response.data, [1, 0x61, 0x32]);
        for at in 0..answer.len() {
            let mut other = answer.clone();
            other[at] ^= 1;
            assert!(open_response(&[sja5()], &other).is_err(), "octet {at}");
        }
    }

    #[test]
    fn the_number_of_messages_is_foreseen() {
        use rsp::ota::sms::{Reference, segments};
        for length in 0..2000 {
            let sealed = seal(&sja5(), Spi::UNANSWERED, TAR, Counter::ZERO, &vec![0; length]);
            let parts = segments(&sealed, PacketKind::Command, Reference::Short(1)).unwrap();
            assert_eq!(messages(length), parts.len(), "{length}");
        }
    }

    /// `3DES-SJA5-CIPHERED-CC` of the same file, for a key set of the same octets and version: SGP.02 has AES alone.
    #[test]
    fn a_card_is_not_believed_under_triple_des() {
        let key = |text: &str| <[u8; 16]>::try_from(hex::decode(text).unwrap()).unwrap().into();
        let keys = Scp80KeySet {
            kvn: 3,
            kic: key("300102030405060708090a0b0c0d0e0f"),
            kid: key("301102030405060708090a0b0c0d0e0f"),
            initial_counter: Counter::ZERO,
        };
        let command = "00201506193535b00011ae733256918d050b87c94fbfe12e4dc402f262c41cf67f2f";
        let command = hex::decode(command).unwrap();
        assert_eq!(open_command(std::slice::from_ref(&keys), &command), Err(Disbelieved::NotVouchedFor));
        let answer = hex::decode("001c12b000118bb989492c632529326a2f4681feb37c825bc9021c9f6d0b").unwrap();
        assert_eq!(open_response(&[keys], &answer), Err(Disbelieved::NotVouchedFor));
    }

    #[test]
    fn a_card_is_not_believed_without_a_checksum_or_under_another_key_set() {
        let mut other = sja5();
        other.kvn = 3;
        let command = hex::decode(COMMAND).unwrap();
        assert_eq!(open_command(&[other], &command), Err(Disbelieved::NotVouchedFor));
        // CPL, CHL 0D, SPI without anything, TAR, counter, data.
        let bare = hex::decode("00100d00002222b000110000000000004e0101").unwrap();
        assert!(matches!(
            open_command(&[sja5()], &bare),
            Err(Disbelieved::NotVouchedFor | Disbelieved::NoPacket(_))
        ));
    }
}
