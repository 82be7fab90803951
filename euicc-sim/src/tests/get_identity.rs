//! GET IDENTITY: TS 31.102 section 7.5.

use crypto::suci::{Concealed, HomeNetworkPrivateKey, HomeNetworkPublicKey, Profile};
use crypto::{Curve, Secret, SecretKey};
use profile::element::{Fcp, FileManagement, GenericFileManagement, PeHeader};
use profile::generic::Subscription;
use profile::{Fid, Octets, ProfileElement};

use super::files::{SELECT_USIM, VERIFY_ADM1, own_package, ts48, with_enabled};
use super::server::TestPackage;
use super::testbed::Testbed;

const GET_IDENTITY: &str = "8078000100";

/// The home network keys of these tests.
fn key_a() -> HomeNetworkPrivateKey {
    HomeNetworkPrivateKey::A(Secret::new([0x3A; 32]))
}

fn key_b() -> HomeNetworkPrivateKey {
    HomeNetworkPrivateKey::B(SecretKey::from_bytes(Curve::P256, &[0x3B; 32]).unwrap())
}

fn public(key: &HomeNetworkPrivateKey) -> Vec<u8> {
    match key.public_key() {
        HomeNetworkPublicKey::A(octets) => octets.to_vec(),
        HomeNetworkPublicKey::B(key) => key.to_sec1_compressed().to_vec(),
    }
}

/// Cards with the TS.48 packages whose USIM calculates a SUCI. The profile is enabled and the USIM
/// selected.
fn with_suci() -> Vec<Testbed> {
    let packages = ts48("der").into_iter().filter(|(name, _)| name.contains("SUCI"));
    let testbeds = packages.map(|(name, package)| {
        println!("{name}");
        let mut testbed = with_enabled(&TestPackage::of(package));
        testbed.read(SELECT_USIM);
        testbed
    });
    testbeds.collect()
}

/// Writes schemes (identifier and key index) and keys (identifier and octets) to
/// EF.SUCI_Calc_Info_USIM with ADM rights.
fn provision(testbed: &mut Testbed, schemes: &[u8], keys: &[(u8, Vec<u8>)]) {
    let mut list = Vec::new();
    for (identifier, key) in keys {
        list.extend([0x80, 1, *identifier, 0x81, key.len() as u8]);
        list.extend(key);
    }
    let mut content = vec![0xA0, schemes.len() as u8];
    content.extend(schemes);
    if !keys.is_empty() {
        content.extend([0xA1, list.len() as u8]);
        content.extend(list);
    }
    content.resize(0x76, 0xFF);
    update(testbed, "7FFF5FD04F01", &content);
}

fn update(testbed: &mut Testbed, path: &str, content: &[u8]) {
    testbed.expect(VERIFY_ADM1, "9000");
    testbed.expect(&format!("00A4080C{:02X}{path}", path.len() / 2), "9000");
    testbed.expect(&format!("00D60000{:02X}{}", content.len(), hex::encode(content)), "9000");
    testbed.read(SELECT_USIM);
}

/// The MSIN of a subscription of 001-01. The last five octets of EF.IMSI have its ten digits in the
/// coding of the SUCI.
fn msin(testbed: &mut Testbed) -> String {
    testbed.expect("00A4000C02 6F07", "9000");
    let imsi = testbed.read("00B0000009");
    assert!(imsi.starts_with("08091010"), "{imsi}");
    imsi[8..].to_owned()
}

/// Splits a SUCI into the octets before the scheme output (format, 001-01, routing indicator,
/// scheme, key) and the scheme output.
fn split(answer: &str) -> (String, Vec<u8>) {
    let answer = hex::decode(answer).unwrap();
    let [0xA1, length, suci @ ..] = &answer[..] else { panic!("no SUCI: {answer:02X?}") };
    assert_eq!(usize::from(*length), suci.len());
    let (head, output) = suci.split_at(8);
    (hex::encode_upper(head), output.to_vec())
}

#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles (../shared/data/ts48)")]
fn the_null_scheme_returns_the_msin() {
    for mut testbed in with_suci() {
        let suci = format!("A10D 01 00F110 F0FF 00 00 {} 9000", msin(&mut testbed));
        testbed.expect(GET_IDENTITY, &suci);
        // If the command has no Le, the card keeps the response for GET RESPONSE.
        testbed.expect("80780001", "610F");
        testbed.expect("80C000000F", &suci);
    }
}

/// A profile built by the test, with the keys in DF.SAIP.
#[test]
fn the_home_network_decrypts_the_suci_of_a_built_profile() {
    let file = |fid, descriptor: &[u8], size: Option<Octets>| {
        FileManagement::CreateFcp(Box::new(Fcp {
            file_id: Some(Fid(fid)),
            file_descriptor: Some(descriptor.into()),
            security_attributes_referenced: Some([0x2F, 0x06, 0x03].into()),
            ef_file_size: size,
            ..Fcp::default()
        }))
    };
    let key = public(&key_a());
    let list = [&[0x80, 1, 7, 0x81, 0x20], key.as_slice()].concat();
    let info = [&[0xA0, 2, 1, 1, 0xA1, 0x25], list.as_slice()].concat();
    let commands = vec![
        FileManagement::FilePath([0x7F, 0xD0].into()),
        file(0x5FD0, &[0x78, 0x21], None),
        file(0x4F01, &[0x41, 0x21], Some([info.len() as u8].into())),
        FileManagement::FillFileContent(info.into()),
    ];
    let header = PeHeader::mandated(99);
    let files = GenericFileManagement { header, commands: vec![commands], unknown: Default::default() };
    let subscription = Subscription { imsi: "001010123456789".to_owned(), ..Subscription::default() };
    let mut package = own_package(subscription, &[124, 125]);
    package.elements.insert(package.elements.len() - 1, ProfileElement::GenericFileManagement(files));
    let mut testbed = with_enabled(&TestPackage::of(package.encode()));
    testbed.read(SELECT_USIM);
    let (head, output) = split(&testbed.read(GET_IDENTITY));
    assert_eq!(head, "0100F110F0FF0107");
    let concealed = Concealed::from_bytes(Profile::A, &output).unwrap();
    assert_eq!(key_a().reveal(&concealed).unwrap(), [0x10, 0x32, 0x54, 0x76, 0x98]);
}

#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles (../shared/data/ts48)")]
fn the_home_network_decrypts_the_suci() {
    for mut testbed in with_suci() {
        let msin = hex::decode(msin(&mut testbed)).unwrap();
        let keys = [(7, public(&key_a())), (0xFE, public(&key_b()))];
        for (schemes, profile, key, identifiers) in [
            (&[1, 1, 2, 2, 0, 0][..], Profile::A, key_a(), "0107"),
            (&[2, 2, 1, 1, 0, 0][..], Profile::B, key_b(), "02FE"),
            // The card skips an operator-specific scheme, and schemes whose key is missing or
            // belongs to another scheme.
            (&[0x0C, 1, 1, 3, 2, 1, 2, 2], Profile::B, key_b(), "02FE"),
        ] {
            provision(&mut testbed, schemes, &keys);
            update(&mut testbed, "7FFF5FC04F0A", &[0x21, 0xF3]);
            let mut seen = Vec::new();
            for _ in 0..3 {
                let (head, output) = split(&testbed.read(GET_IDENTITY));
                assert_eq!(head, format!("0100F11021F3{identifiers}"));
                let concealed = Concealed::from_bytes(profile, &output).unwrap();
                assert_eq!(key.reveal(&concealed).unwrap(), msin);
                assert!(!seen.contains(&concealed.ephemeral_key), "an ephemeral key was repeated");
                seen.push(concealed.ephemeral_key);
            }
        }
    }
}

// req: TS.33.501-C.3-Key
#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles (../shared/data/ts48)")]
fn invalid_get_identity_commands_are_refused() {
    let mut testbed = with_suci().pop().unwrap();
    for (command, status) in [
        // Other identity contexts including 5G NSWO; P1; data; another class; a closed channel.
        ("8078000000", "6A86"),
        ("8078000200", "6A81"),
        ("8078000300", "6A86"),
        ("8078010100", "6A86"),
        ("80780001015500", "6700"),
        ("0078000100", "6E00"),
        ("8178000100", "6881"),
    ] {
        testbed.expect(command, status);
    }
    // The file first has no key for any scheme, and is then empty.
    provision(&mut testbed, &[1, 1], &[]);
    testbed.expect(GET_IDENTITY, "6A88");
    provision(&mut testbed, &[1, 1], &[(1, vec![0; 32])]);
    testbed.expect(GET_IDENTITY, "6A88");
    update(&mut testbed, "7FFF5FD04F01", &[0xFF; 0x76]);
    testbed.expect(GET_IDENTITY, "6A88");
    provision(&mut testbed, &[0, 0], &[]);
    let suci = format!("A10D 01 00F110 F0FF 00 00 {} 9000", msin(&mut testbed));
    testbed.expect(GET_IDENTITY, &suci);
    // The PIN must be verified.
    testbed.expect("0028000108 30303030FFFFFFFF", "9000");
    testbed.reset();
    testbed.read(SELECT_USIM);
    testbed.expect(GET_IDENTITY, "6982");
    testbed.expect("0020000108 30303030FFFFFFFF", "9000");
    testbed.expect(GET_IDENTITY, &suci);
    // The operator removes service 125, then service 124.
    for table in ["9EFFBF1DFF3E0083410310010400402E39", "9EFFBF1DFF3E0083410310010400403639"] {
        update(&mut testbed, "7FFF6F38", &hex::decode(table).unwrap());
        testbed.expect(GET_IDENTITY, "6A81");
    }
    // The current application is not a USIM, or there is none.
    testbed.read("00A4040C07 A0000000871004");
    testbed.expect(GET_IDENTITY, "6A81");
    testbed.read(SELECT_USIM);
    testbed.expect("00A4000C02 3F00", "9000");
    testbed.expect(GET_IDENTITY, "6985");
    testbed.reset();
    testbed.expect(GET_IDENTITY, "6985");
}
