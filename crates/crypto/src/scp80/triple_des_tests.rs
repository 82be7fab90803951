//! Triple DES: all triple DES vectors of pySim's tests/unittests/test_ota.py, sealed and opened.
//!
//! pySim omits the packet length from a command that is not ciphered, although the checksum covers
//! it. The vectors here include it.

use super::*;
use crate::hex::{unhex, unhex_array};
use crate::secret::Secret;

const HEADER: [u8; 3] = [0x02, 0x71, 0x00];
const CIPHERED: Protection = Protection { checksum: false, ciphered: true };
const CHECKSUMMED: Protection = Protection { checksum: true, ciphered: false };
const UNPROTECTED: Protection = Protection { checksum: false, ciphered: false };

fn two(octets: &str) -> Key {
    TripleDesKey::Two(Secret::new(unhex_array(octets))).into()
}

/// `OTA_KEYSET_SJA5_SAMPLES`.
fn sja5() -> Keys {
    Keys { kic: two("300102030405060708090a0b0c0d0e0f"), kid: two("301102030405060708090a0b0c0d0e0f") }
}

/// Key set 3 of the card of `Test_SMS_3DES`.
fn issued() -> Keys {
    Keys { kic: two("c21dd66acac13cb3bc8b331b24afb57b"), kid: two("12110c78e678c25408233076aa033615") }
}

/// Checks both directions: the plain values seal to the packet, and the packet opens to the plain
/// values.
fn check(head: Head<'_>, data: &str, packet: &str, protection: Protection, keys: &Keys) {
    let plain = Opened { counter: [0; 5], status: 0, data: unhex(data) };
    assert_eq!(seal(head, &plain, protection, keys), unhex(packet), "{packet}");
    assert_eq!(open(head, &unhex(packet), protection, keys), Ok(plain), "{packet}");
}

#[test]
fn command_packets_equal_the_vectors_of_pysim() {
    for (head, packet) in [
        ("06193535b00011", "00201506193535b00011ae733256918d050b87c94fbfe12e4dc402f262c41cf67f2f"),
        ("06093535b00011", "00201506093535b00011c49ac91ab8159ba5b83a54fb6385e0a5e31694f8b215fafc"),
        ("06013535b00011", "00201506013535b000113190be334900f52b025f3f7eddfe868e96ebf310023b7769"),
    ] {
        check(Head::Command(&unhex_array(head)), "00a40004023f00", packet, Protection::FULL, &sja5());
    }
    for (head, packet, protection) in [
        ("04193535b00000", "00180d04193535b00000e3ec80a849b554421276af3883927c20", CIPHERED),
        ("02193535b00000", "001d1502193535b00000000000000000072ea17bdb72060e00a40000023f00", CHECKSUMMED),
        ("00193535b00000", "00150d00193535b0000000000000000000a40000023f00", UNPROTECTED),
    ] {
        check(Head::Command(&unhex_array(head)), "00a40000023f00", packet, protection, &issued());
    }
}

#[test]
fn response_packets_recorded_by_pysim_open() {
    let tar = unhex_array("b00011");
    let head = Head::Response(&tar, &HEADER);
    for (data, packet, protection, keys) in [
        ("016132", "001c12b000118bb989492c632529326a2f4681feb37c825bc9021c9f6d0b", Protection::FULL, sja5()),
        ("016132", "001612b0001100000000000000b5bcd6353a421fae016132", CHECKSUMMED, sja5()),
        ("016132", "000e0ab0001100000000000000016132", UNPROTECTED, sja5()),
        (
            "01612f",
            "001c12b000119660ebdb81be189b5e4389e9e7ab2bc0954f963ad869ed7c",
            Protection::FULL,
            issued(),
        ),
        ("01612f", "001612b000110000000000000055f47118381175fb01612f", CHECKSUMMED, issued()),
        ("01612f", "000e0ab000110000000000000001612f", UNPROTECTED, issued()),
    ] {
        check(head, data, packet, protection, &keys);
    }
    let altered = unhex("001612b000110000000000000055f47118381175fb02612f");
    assert_eq!(open(head, &altered, CHECKSUMMED, &issued()), Err(PacketError::Checksum));
}

/// pySim has no vector with three keys. If the third key equals the first, the result is that of
/// two keys; with another third key it differs.
#[test]
fn three_keys_with_equal_first_and_third_key_are_two_keys() {
    let three = |octets: &str| Key::from(TripleDesKey::Three(Secret::new(unhex_array(octets))));
    let head = unhex_array("06193939b00011");
    let head = Head::Command(&head);
    let of_two = Keys {
        kic: three("300102030405060708090a0b0c0d0e0f3001020304050607"),
        kid: three("301102030405060708090a0b0c0d0e0f3011020304050607"),
    };
    let plain = Opened { counter: [0, 0, 0, 0, 1], status: 0, data: unhex("00a40004023f00") };
    let packet = seal(head, &plain, Protection::FULL, &of_two);
    assert_eq!(packet, seal(head, &plain, Protection::FULL, &sja5()));
    let other = Keys { kic: three("300102030405060708090a0b0c0d0e0ff001020304050607"), ..of_two.clone() };
    assert!(open(head, &packet, Protection::FULL, &other).is_err());
    let packet = seal(head, &plain, Protection::FULL, &other);
    assert_eq!(open(head, &packet, Protection::FULL, &other), Ok(plain));
    assert!(open(head, &packet, Protection::FULL, &of_two).is_err());
}

/// NIST SP 800-67 appendix B: three keys, three blocks, each encrypted separately.
#[test]
fn blocks_of_sp_800_67() {
    let key = Key::from(TripleDesKey::Three(Secret::new(unhex_array(
        "0123456789abcdef23456789abcdef01456789abcdef0123",
    ))));
    let plain = *b"The qufck brown fox jump";
    let ciphered = unhex("a826fd8ce53b855fcce21c8112256fe668d5c05dd9b6b900");
    for (plain, ciphered) in plain.chunks(8).zip(ciphered.chunks(8)) {
        assert_eq!(key.encrypt(plain).as_deref(), Some(ciphered));
        assert_eq!(key.decrypt(ciphered).as_deref(), Some(plain));
        assert_eq!(key.cc(&[&plain[..3], &plain[3..]]), ciphered);
    }
    assert_eq!((key.encrypt(&[0; 7]), key.decrypt(&[0; 9])), (None, None));
}

#[test]
fn packets_of_every_length_open_and_altered_bits_are_refused() {
    let head = unhex_array("16393535b00011");
    let tar = unhex_array("b00011");
    for octets in 0..24 {
        for protection in [Protection::FULL, CIPHERED, CHECKSUMMED, UNPROTECTED] {
            for head in [Head::Command(&head), Head::Response(&tar, &HEADER)] {
                let status = if matches!(head, Head::Command(_)) { 0 } else { 9 };
                let plain = Opened { counter: [1, 2, 3, 4, 5], status, data: vec![0xA5; octets] };
                let packet = seal(head, &plain, protection, &sja5());
                assert_eq!(open(head, &packet, protection, &sja5()), Ok(plain));
            }
        }
    }
    let plain = Opened { counter: [0, 0, 0, 0, 7], status: 0, data: vec![1; 21] };
    let packet = seal(Head::Command(&head), &plain, Protection::FULL, &sja5());
    for bit in 0..packet.len() * 8 {
        let mut altered = packet.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(open(Head::Command(&head), &altered, Protection::FULL, &sja5()).is_err(), "bit {bit}");
    }
}

/// The algorithm is part of the key: the same octets as an AES key do not open the packet.
#[test]
fn an_aes_key_does_not_open_a_triple_des_packet() {
    let octets = "300102030405060708090a0b0c0d0e0f";
    let (aes, des) = (Key::from(unhex_array::<16>(octets)), two(octets));
    let head = unhex_array("16393535b00011");
    let head = Head::Command(&head);
    let plain = Opened { counter: [0, 0, 0, 0, 7], status: 0, data: vec![1; 18] };
    let packet = seal(head, &plain, Protection::FULL, &Keys { kic: des.clone(), kid: des.clone() });
    assert_eq!((packet.len() - 10) % BLOCK, 0);
    for keys in [Keys { kic: aes.clone(), kid: aes.clone() }, Keys { kic: des, kid: aes.clone() }] {
        assert_eq!(open(head, &packet, Protection::FULL, &keys), Err(PacketError::Checksum));
    }
    assert!(!format!("{:?} {aes:?}", two(octets)).contains("0f"));
}
