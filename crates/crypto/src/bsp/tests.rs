use sha2::{Digest, Sha256};

use super::*;
use crate::hex::{unhex, unhex_array};

fn keys(mac_chaining_value: &str, s_enc: &str, s_mac: &str) -> SessionKeys {
    SessionKeys {
        initial_mac_chaining_value: unhex_array(mac_chaining_value),
        s_enc: unhex_array(s_enc),
        s_mac: unhex_array(s_mac),
    }
}

/// The session keys as one octet string in the order of the derivation, as a trace contains them.
fn octets(keys: &SessionKeys) -> Vec<u8> {
    [keys.initial_mac_chaining_value, keys.s_enc, keys.s_mac].concat()
}

fn some_keys() -> SessionKeys {
    SessionKeys { initial_mac_chaining_value: [1; 16], s_enc: [2; 16], s_mac: [3; 16] }
}

fn some_data(octets: usize) -> Vec<u8> {
    (0..octets).map(|at| (at * 7 + at / 256) as u8).collect()
}

/// The trace of a commercial SM-DP+ that pySim's tests/unittests/test_esim_bsp.py records
/// (`BSP_Test_mode51`), from the key agreement to ReplaceSessionKeys. Two additional segments under
/// the keys of the trace follow.
#[test]
fn the_trace_of_a_commercial_sm_dp_plus_is_reproduced() {
    let shared = SharedSecret::from_bytes(unhex_array(
        "c9a993dd4879a8f7161f2085410edd4f9652f1df37be097ba96ba2ca6be528fe",
    ));
    let eid = unhex_array("89049032123451234512345678901235");
    let session_keys = SessionKeys::derive(&shared, KEY_TYPE_AES, KEY_LENGTH_AES_128, &[0x80; 8], &eid);
    assert_eq!(
        octets(&session_keys),
        octets(&keys(
            "406d507b448a699e7a36a38494debbde",
            "472f5bfadd97f21d34f3ce9b51b92751",
            "9ec07f5b36a13e12a991d66e294e6242",
        ))
    );

    let mut protect = BppSender::new(session_keys.clone());
    let mut unprotect = BppReceiver::new(session_keys);

    let configure_isdp = protect.encrypt_and_mac(0x87, &unhex("bf2400"));
    assert_eq!(configure_isdp, unhex("8718f6fe031e4b9cfe87c8e1e62f3fde85c49412d7722a6a2d89"));
    assert_eq!(unprotect.decrypt(&configure_isdp), Ok(unhex("bf2400")));

    let metadata = unhex(
        "bf252d5a0a98001032547698103214910947534d415f54455354921147534d415f544553545f50524f46494c45950100",
    );
    let store_metadata = protect.mac_only(0x88, &metadata);
    assert_eq!(store_metadata, [&[0x88, 0x38], metadata.as_slice(), &unhex("8a62cc9adbb5ccbc")].concat());
    assert_eq!(unprotect.verify_mac_only(&store_metadata), Ok(metadata));

    let request = unhex(
        "bf26368010000102030405060708090a0b0c0d0e0f8110010102030405060708090a0b0c0d0e0f8210020102030405060708090a0b0c0d0e0f",
    );
    let replace_session_keys = protect.encrypt_and_mac(0x87, &request);
    let expected = "8748a14c800a001992351cd46ad2945654674369701d82b7b46567652bc8fbed234939fc57fba748015525fd6c651e9d\
                    3d1330652d42a0cfad950e912122af4ec5362d3c0bc535729c40";
    assert_eq!(replace_session_keys, unhex(expected));
    assert_eq!(unprotect.decrypt(&replace_session_keys), Ok(request));

    let ppk = keys(
        "000102030405060708090a0b0c0d0e0f",
        "010102030405060708090a0b0c0d0e0f",
        "020102030405060708090a0b0c0d0e0f",
    );
    protect.replace_session_keys(ppk.clone());
    unprotect.replace_session_keys(ppk);

    // Both segments have the maximum length. The plain octets are made up; the digests are those of
    // pySim's result.
    let plain = some_data(2 * MAX_ENCRYPTED);
    let protected = protect.segments(0x86, &plain);
    let expected = [
        ("bb2a8f5e0ea776ce521a5ccdf573f91a4e266bb08a8e919c80c9af5604c8ce70", "b8d2fc55155427ce"),
        ("7a9c354e32fb77336547649dd8dbe10172c8520540aee9e263cdd51f86345660", "cc727d77286d9f07"),
    ];
    assert_eq!(protected.len(), expected.len());
    for ((tlv, plain), (digest, mac)) in protected.iter().zip(plain.chunks(MAX_ENCRYPTED)).zip(expected) {
        assert_eq!(tlv.len(), MAX_TLV);
        assert!(tlv.ends_with(&unhex(mac)));
        assert_eq!(Sha256::digest(tlv).as_slice(), unhex(digest));
        assert_eq!(unprotect.decrypt(tlv).as_deref(), Ok(plain));
    }
}

/// The key derivation of pySim's `BSP_Test`.
#[test]
fn the_second_key_derivation_of_pysim_is_reproduced() {
    let shared = SharedSecret::from_bytes(unhex_array(
        "8902dca391bbb22570fe60c176076246f568b1941265dff1d729e63039658089",
    ));
    let eid = unhex_array("89049032123451234512345678901335");
    let derived = SessionKeys::derive(&shared, KEY_TYPE_AES, KEY_LENGTH_AES_128, &[0x80; 8], &eid);
    let expected = keys(
        "734bc93ddb10c71c5ad13d420dc08b5b",
        "d782d575b22a38334556a3d9a1e2ae6b",
        "a35addc192ae8f934e2932116c7e89e7",
    );
    assert_eq!(octets(&derived), octets(&expected));
}

/// pySim cuts a package into pieces of 1008 octets, so its segments exceed the limit of the
/// standard. `accepting_long_tlvs` accepts such segments. The digest covers all segments that
/// pySim makes of these octets.
#[test]
fn long_segments_of_pysim_are_accepted_unless_the_receiver_is_strict() {
    let plain = some_data(2500);
    let mut protect = BppSender::new(some_keys());
    let segments: Vec<Vec<u8>> =
        plain.chunks(1008).map(|piece| protect.encrypt_and_mac(0x86, piece)).collect();
    let digest = "b7d880cccb4f63baa4fef420f0ae8c292b42acb327b75d887521068b7af913ce";
    assert_eq!(Sha256::digest(segments.concat()).as_slice(), unhex(digest));
    assert_eq!(segments[0].len(), 1036);

    let mut tolerant = BppReceiver::new(some_keys()).accepting_long_tlvs();
    let read: Vec<u8> = segments.iter().flat_map(|tlv| tolerant.decrypt(tlv).unwrap()).collect();
    assert_eq!(read, plain);
    let mut strict = BppReceiver::new(some_keys());
    assert_eq!(strict.decrypt(&segments[0]), Err(BspError::Structure("the TLV is longer than 1020 octets")));
}

/// RFC 4493 section 4, examples 2 to 4: the MAC is AES-CMAC.
#[test]
fn rfc_4493_vectors() {
    let key: [u8; 16] = unhex_array("2b7e151628aed2a6abf7158809cf4f3c");
    let message = unhex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
         30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
    );
    // The MAC covers the chaining value followed by the TLV, so the first block of each message is
    // used as the chaining value.
    for (octets, mac) in [
        (16, "070a16b46b4d4144f79bdd9dd04a287c"),
        (40, "dfa66747de9ae63030ca32611497c827"),
        (64, "51f0bebf7e3b9d92fc49741779363cfe"),
    ] {
        let (first, rest) = message[..octets].split_at(16);
        let chain = Chain::new(&SessionKeys {
            initial_mac_chaining_value: first.try_into().unwrap(),
            s_enc: [0; 16],
            s_mac: key,
        });
        assert_eq!(chain.mac(rest), unhex_array(mac));
    }
}

#[test]
fn segmented_data_are_recovered() {
    for octets in [0, 1, 15, 16].into_iter().chain(1003..=1012).chain([2014, 2015, 5000]) {
        let data = some_data(octets);
        let (mut protect, mut unprotect) = (BppSender::new(some_keys()), BppReceiver::new(some_keys()));

        let encrypted = protect.segments(0x86, &data);
        assert_eq!(encrypted.len(), octets.div_ceil(1007));
        assert!(encrypted.iter().all(|tlv| tlv.len() <= 1020));
        let back: Vec<u8> = encrypted.iter().flat_map(|tlv| unprotect.decrypt(tlv).unwrap()).collect();
        assert_eq!(back, data);

        let maced = protect.mac_only_segments(0x88, &data);
        assert_eq!(maced.len(), octets.div_ceil(1008));
        assert!(maced.iter().all(|tlv| tlv.len() <= 1020));
        let back: Vec<u8> = maced.iter().flat_map(|tlv| unprotect.verify_mac_only(tlv).unwrap()).collect();
        assert_eq!(back, data);
    }
}

#[test]
fn a_tlv_one_octet_over_the_limit_is_refused() {
    let too_long = Err(BspError::Structure("the TLV is longer than 1020 octets"));
    let tlv = BppSender::new(some_keys()).encrypt_and_mac(0x86, &some_data(MAX_ENCRYPTED + 1));
    assert_eq!(BppReceiver::new(some_keys()).decrypt(&tlv), too_long);
    let tlv = BppSender::new(some_keys()).mac_only(0x88, &some_data(MAX_MAC_ONLY + 1));
    assert_eq!(BppReceiver::new(some_keys()).verify_mac_only(&tlv), too_long);
}

#[test]
fn a_flipped_bit_is_refused() {
    let encrypted = BppSender::new(some_keys()).encrypt_and_mac(0x86, &some_data(300));
    let maced = BppSender::new(some_keys()).mac_only(0x88, &some_data(100));
    for bit in 0..8 * encrypted.len() {
        let mut flipped = encrypted.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(BppReceiver::new(some_keys()).decrypt(&flipped).is_err(), "bit {bit}");
    }
    for bit in 0..8 * maced.len() {
        let mut flipped = maced.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(BppReceiver::new(some_keys()).verify_mac_only(&flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn truncated_and_extended_tlvs_are_refused() {
    let tlv = BppSender::new(some_keys()).encrypt_and_mac(0x86, &some_data(20));
    for octets in 0..tlv.len() {
        let refused = BppReceiver::new(some_keys()).decrypt(&tlv[..octets]);
        assert!(matches!(refused, Err(BspError::Structure(_))), "{octets}");
    }
    let refused = BppReceiver::new(some_keys()).decrypt(&[tlv.as_slice(), &[0]].concat());
    assert!(matches!(refused, Err(BspError::Structure(_))));
}

#[test]
fn a_correct_mac_on_an_invalid_structure_is_refused() {
    for (data, refusal) in [
        (some_data(0), BspError::Structure("the ciphertext is not made of whole blocks")),
        (some_data(17), BspError::Structure("the ciphertext is not made of whole blocks")),
        (some_data(16), BspError::Security("the decrypted data do not end in padding")),
    ] {
        let tlv = BppSender::new(some_keys()).mac_only(0x86, &data);
        assert_eq!(BppReceiver::new(some_keys()).decrypt(&tlv), Err(refusal));
    }
    let maced = BppSender::new(some_keys()).mac_only(0x88, &some_data(16));
    assert!(matches!(BppReceiver::new(some_keys()).decrypt(&maced), Err(BspError::Structure(_))));
    let encrypted = BppSender::new(some_keys()).encrypt_and_mac(0x86, &some_data(16));
    assert!(matches!(BppReceiver::new(some_keys()).verify_mac_only(&encrypted), Err(BspError::Structure(_))));
    // A length that is not in its shortest form, with a MAC that covers that form.
    let mut long_form = vec![0x88, 0x81, 8];
    let mac = Chain::new(&some_keys()).mac(&long_form);
    long_form.extend(&mac[..8]);
    assert!(matches!(BppReceiver::new(some_keys()).verify_mac_only(&long_form), Err(BspError::Structure(_))));
}

#[test]
fn swapped_and_repeated_tlvs_and_a_tlv_after_an_omitted_one_are_refused() {
    let tlvs = BppSender::new(some_keys()).segments(0x86, &some_data(3000));
    for order in [&[1][..], &[0, 2], &[0, 0], &[1, 0], &[0, 1, 1], &[0, 2, 1]] {
        let mut unprotect = BppReceiver::new(some_keys());
        let all: Result<Vec<_>, _> = order.iter().map(|at| unprotect.decrypt(&tlvs[*at])).collect();
        assert_eq!(all, Err(BspError::Security("the MAC does not match")), "{order:?}");
    }
}

#[test]
fn a_refused_tlv_ends_the_session() {
    let tlvs = BppSender::new(some_keys()).segments(0x86, &some_data(2000));
    let mut unprotect = BppReceiver::new(some_keys());
    assert!(unprotect.decrypt(&tlvs[1]).is_err());
    let ended = Err(BspError::Security("the session ended with an earlier refusal"));
    assert_eq!(unprotect.decrypt(&tlvs[0]), ended);
    unprotect.replace_session_keys(some_keys());
    assert_eq!(unprotect.decrypt(&tlvs[0]), ended);
}

#[test]
fn replaced_keys_restart_the_chain() {
    let mut protect =
        BppSender::new(SessionKeys { initial_mac_chaining_value: [9; 16], s_enc: [9; 16], s_mac: [9; 16] });
    protect.encrypt_and_mac(0x87, b"before");
    protect.replace_session_keys(some_keys());
    assert_eq!(
        protect.encrypt_and_mac(0x86, b"after"),
        BppSender::new(some_keys()).encrypt_and_mac(0x86, b"after")
    );
}

#[test]
fn another_host_id_or_eid_gives_other_keys() {
    let shared = SharedSecret::from_bytes([7; 32]);
    let derive = |host_id: &[u8], eid| {
        octets(&SessionKeys::derive(&shared, KEY_TYPE_AES, KEY_LENGTH_AES_128, host_id, &eid))
    };
    assert_ne!(derive(b"host", [0; 16]), derive(b"hosts", [0; 16]));
    assert_ne!(derive(b"host", [0; 16]), derive(b"host", [1; 16]));
}

#[test]
fn debug_does_not_show_keys() {
    let shown =
        format!("{:?} {:?} {:?}", some_keys(), BppSender::new(some_keys()), BppReceiver::new(some_keys()));
    assert!(!shown.contains("[1") && !shown.contains("0101") && shown.contains("SessionKeys(..)"), "{shown}");
}
