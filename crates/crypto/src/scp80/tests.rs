use super::*;
use crate::aes_key::AesKey;
use crate::hex::{unhex, unhex_array};

/// `OTA_KEYSET_SJA5_AES128` of pySim's tests/unittests/test_ota.py, whose responses were recorded
/// from a real card.
fn keys() -> Keys {
    Keys {
        kic: AesKey::new(unhex_array("200102030405060708090a0b0c0d0e0f")).into(),
        kid: AesKey::new(unhex_array("201102030405060708090a0b0c0d0e0f")).into(),
    }
}

const HEADER: [u8; 3] = [0x02, 0x71, 0x00];

#[test]
fn the_command_packet_equals_the_vector_of_pysim() {
    let head = unhex_array("06192222b00011");
    let plain = Opened { counter: [0; 5], status: 0, data: unhex("00a40004023f00") };
    let packet =
        unhex("00281506192222b00011e87cceebb2d93083011ce294f93fc4d8de80da1abae8c37ca3e72ec4432e5058");
    assert_eq!(seal(Head::Command(&head), &plain, Protection::FULL, &keys()), packet);
    assert_eq!(open(Head::Command(&head), &packet, Protection::FULL, &keys()), Ok(plain));
}

#[test]
fn the_response_packet_recorded_by_pysim_opens() {
    let tar = unhex_array("b00011");
    let packet = unhex("002412b00011ebc6b497e2cad7aedf36ace0e3a29b38853f0fe9ccde81913be5702b73abce1f");
    let response = open(Head::Response(&tar, &HEADER), &packet, Protection::FULL, &keys()).unwrap();
    assert_eq!(response, Opened { counter: [0; 5], status: 0, data: unhex("016132") });
    assert_eq!(seal(Head::Response(&tar, &HEADER), &response, Protection::FULL, &keys()), packet);
}

/// `3DES-SJA5-UNCIPHERED-NOCC` of the same file: no key is used.
#[test]
fn the_unsecured_response_packet_recorded_by_pysim_opens() {
    let tar = unhex_array("b00011");
    let none = Protection { checksum: false, ciphered: false };
    let packet = unhex("000e0ab0001100000000000000016132");
    let response = open(Head::Response(&tar, &HEADER), &packet, none, &keys()).unwrap();
    assert_eq!(response.data, unhex("016132"));
    assert_eq!(seal(Head::Response(&tar, &HEADER), &response, none, &keys()), packet);
}

/// The exported `encrypt`, `decrypt` and `mac`, which other code uses to build its own packets.
#[test]
fn encrypt_and_mac_build_the_packet_of_pysim() {
    let (kic, kid) =
        (unhex_array("200102030405060708090a0b0c0d0e0f"), unhex_array("201102030405060708090a0b0c0d0e0f"));
    let clear = unhex("00281506192222b00011");
    let data = [unhex("00a40004023f00"), vec![0; 11]].concat();
    let counters = [0, 0, 0, 0, 0, 11];
    let cc = mac(&kid, &[&clear, &counters, &data]);
    let body = encrypt(&kic, &[counters.as_slice(), &cc, &data].concat()).unwrap();
    assert_eq!(body, unhex("e87cceebb2d93083011ce294f93fc4d8de80da1abae8c37ca3e72ec4432e5058"));
    assert_eq!(&decrypt(&kic, &body).unwrap()[..6], counters);
    assert_eq!((encrypt(&kic, &[0; 15]), decrypt(&kic, &[0; 17])), (None, None));
}

#[test]
fn packets_of_every_length_open_under_every_protection() {
    let head = [0x16, 0x39, 0x12, 0x12, 0, 0, 1];
    let tar = [0, 0, 1];
    for octets in 0..40 {
        for (checksum, ciphered) in [(true, true), (true, false), (false, true), (false, false)] {
            let protection = Protection { checksum, ciphered };
            for head in [Head::Command(&head), Head::Response(&tar, &HEADER)] {
                let status = if matches!(head, Head::Command(_)) { 0 } else { 9 };
                let plain = Opened { counter: [1, 2, 3, 4, 5], status, data: vec![0xA5; octets] };
                let packet = seal(head, &plain, protection, &keys());
                assert_eq!(open(head, &packet, protection, &keys()), Ok(plain));
            }
        }
    }
}

#[test]
fn packets_with_an_altered_bit_are_refused() {
    let head = [0x16, 0x39, 0x12, 0x12, 0, 0, 1];
    let plain = Opened { counter: [0, 0, 0, 0, 7], status: 0, data: vec![1; 21] };
    let packet = seal(Head::Command(&head), &plain, Protection::FULL, &keys());
    for bit in 0..packet.len() * 8 {
        let mut altered = packet.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(open(Head::Command(&head), &altered, Protection::FULL, &keys()).is_err(), "bit {bit}");
    }
    for cut in 0..packet.len() {
        assert!(open(Head::Command(&head), &packet[..cut], Protection::FULL, &keys()).is_err(), "{cut}");
    }
}

// req: TS.102.225-5-Checksum, TS.102.225-5-Length, TS.102.225-5-Padding
#[test]
fn each_invalid_packet_has_its_own_error() {
    let head = [0x16, 0x39, 0x12, 0x12, 0, 0, 1];
    let plain = Opened { counter: [0; 5], status: 0, data: vec![1; 2] };
    let packet = seal(Head::Command(&head), &plain, Protection::FULL, &keys());
    let other = Keys { kid: [0; 16].into(), ..keys() };
    let opened = |packet: &[u8], keys: &Keys| open(Head::Command(&head), packet, Protection::FULL, keys);
    assert_eq!(opened(&packet, &other), Err(PacketError::Checksum));
    assert_eq!(opened(&packet[..9], &keys()), Err(PacketError::Structure));
    let mut longer = [packet.as_slice(), &[0]].concat();
    longer[1] += 1;
    assert_eq!(opened(&longer, &keys()), Err(PacketError::Ciphering));
    // The padding counter is larger than the data, in a packet without a checksum.
    let clear = Protection { checksum: false, ciphered: false };
    let mut packet = seal(Head::Command(&head), &plain, clear, &keys());
    packet[15] = 3;
    assert_eq!(open(Head::Command(&head), &packet, clear, &keys()), Err(PacketError::Structure));
    // The checksum of a response covers the user data header in front of it.
    let tar = [0, 0, 1];
    let response = seal(Head::Response(&tar, &HEADER), &plain, Protection::FULL, &keys());
    let other_header = Head::Response(&tar, &[0x02, 0x70, 0x00]);
    assert_eq!(open(other_header, &response, Protection::FULL, &keys()), Err(PacketError::Checksum));
}
