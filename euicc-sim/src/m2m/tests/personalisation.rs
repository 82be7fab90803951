//! SCP03 APDUs to an ISD-P.

use rsp::ids::Aid;
use rsp::ota::script::Chaining;

use super::oce::{HOST_CHALLENGE, Host, personalised};
use super::oce::{cbc_encrypt, check_value};
use super::testbed::{NEW, Testbed, lv, unhex};

/// INITIALIZE UPDATE with this key version.
fn initialize(version: &str) -> String {
    format!("8050{version}0008{}00", hex::encode(HOST_CHALLENGE))
}

struct Session {
    testbed: Testbed,
    host: Host,
    keys: [[u8; 16]; 3],
}

fn to_isd_p(testbed: &mut Testbed, chaining: Option<Chaining>, apdu: &str) -> String {
    testbed.apdus(Aid::isd_p(NEW), chaining, &[apdu.to_owned()]).concat()
}

impl Session {
    fn open() -> Self {
        let mut testbed = Testbed::new();
        let keys = personalised(&mut testbed, NEW);
        let answer = to_isd_p(&mut testbed, Some(Chaining::First), &initialize("30"));
        let answer = unhex(answer.strip_suffix("9000").unwrap());
        let mut host = Host::new(keys, NEW, &answer);
        let authenticate = hex::encode(host.external_authenticate(0x33));
        assert_eq!(to_isd_p(&mut testbed, Some(Chaining::Following), &authenticate), "9000");
        Self { testbed, host, keys }
    }

    fn apdu(&mut self, header: [u8; 4], data: &str) -> String {
        let apdu = hex::encode(self.host.apdu(header, &unhex(data)));
        let answer = to_isd_p(&mut self.testbed, Some(Chaining::Following), &apdu);
        self.host.answer(&answer)
    }

    fn store(&mut self, group: &str) -> String {
        self.apdu([0x84, 0xE2, 0x88, 0x00], group)
    }

    fn isd_p(&self) -> &crate::state::m2m::IsdP {
        self.testbed.state().isd_p(&Aid::isd_p(NEW)).unwrap()
    }
}

#[test]
fn connectivity_parameters_are_replaced_per_bearer() {
    let mut session = Session::open();
    assert_eq!(session.store("3A07 0B A0 09 06 07913386994211F1"), "9000");
    assert_eq!(session.isd_p().connectivity.as_ref().unwrap().to_string(), "A0090607913386994211F1");
    assert_eq!(session.store("3A07 0A A1 08 35 01 03 47 03 024141"), "9000");
    assert_eq!(session.store("3A07 05 A0 03 06 0191"), "9000");
    let expected = "A003060191A108350103470302 4141".replace(' ', "");
    assert_eq!(session.isd_p().connectivity.as_ref().unwrap().to_string(), expected);
    let before = session.testbed.memory();
    for group in [
        "3A07 00",
        "3A07 03 A30106",
        "3A07 04 A3020600",
        "3A07 03 A00206",
        "3A07 02 A000 00",
        "3A08 00",
        "0071 00",
    ] {
        let mut again = Session::open();
        again.testbed.card.persistent = before.0.clone();
        *again.testbed.state_mut() = before.1.clone();
        let status = if group.starts_with("3A07") { "6A80" } else { "6A88" };
        assert_eq!(again.store(group), status, "{group}");
        assert!(again.testbed.memory() == before);
    }
}

#[test]
fn the_owner_and_its_token_key_are_set_over_the_channel() {
    let mut session = Session::open();
    assert_eq!(session.store("0070 04 42020102"), "9000");
    assert_eq!(session.store("0070 08 450103 5F20020405"), "9000");
    let identity = &session.isd_p().identity;
    let stored = [&identity.sin, &identity.sdin, &identity.provider].map(ToString::to_string);
    assert_eq!(stored, ["0102", "03", "0405"]);
    let wrapped = hex::encode_upper(cbc_encrypt(&session.keys[2], &[0x70; 16]));
    let check = hex::encode_upper(check_value(&[0x70; 16]));
    let key = format!("70 88 11 10 {wrapped} {}", lv(&check));
    assert_eq!(session.apdu([0x84, 0xD8, 0x00, 0x01], &key), format!("70{check}9000"));
    assert_eq!(session.isd_p().key_set(0x70).unwrap().aes(1).unwrap().expose(), &[0x70; 16]);
    // An ISD-P accepts no key versions of the ISD-R.
    let key = key.replacen("70", "01", 1);
    assert_eq!(session.apdu([0x84, 0xD8, 0x00, 0x01], &key), "6A80");
}

#[test]
fn long_data_can_be_sent_in_blocks() {
    let mut session = Session::open();
    let group = format!("3A07 FF0104 A1820100{}", "470E".to_owned() + &"41".repeat(14) + &"4700".repeat(120));
    let group = group.replace(' ', "");
    let (first, second) = group.split_at(300);
    assert_eq!(session.apdu([0x84, 0xE2, 0x08, 0x00], first), "9000");
    assert_eq!(session.apdu([0x84, 0xE2, 0x88, 0x01], second), "9000");
    assert_eq!(session.isd_p().connectivity.as_ref().unwrap().len(), 0x104);
}

#[test]
fn long_data_can_be_sent_with_extended_lengths() {
    let mut session = Session::open();
    let group = format!("3A07 FF0104 A1820100 470E{} {}", "41".repeat(14), "4700".repeat(120));
    let apdu = hex::encode(session.host.extended_apdu([0x84, 0xE2, 0x88, 0x00], &unhex(&group)));
    let answer = to_isd_p(&mut session.testbed, Some(Chaining::Following), &apdu);
    assert_eq!(session.host.answer(&answer), "9000");
    assert_eq!(session.isd_p().connectivity.as_ref().unwrap().len(), 0x104);
}

// req: SGP.02-4.1.3.4-SecurityError
#[test]
fn a_command_with_a_security_error_ends_the_channel() {
    let group = unhex("3A070BA0090607913386994211F1");
    let header = [0x84, 0xE2, 0x88, 0x00];
    // Every octet is altered, except Le and the class byte, which announces the MAC.
    let mut session = Session::open();
    let (before, snapshot) = (session.testbed.memory(), session.testbed.snapshot());
    let good = session.host.clone().apdu(header, &group);
    for octet in 1..good.len() - 1 {
        session.testbed.restore(&snapshot);
        let mut altered = good.clone();
        altered[octet] ^= 1;
        let answer = to_isd_p(&mut session.testbed, Some(Chaining::Following), &hex::encode(altered));
        assert!(matches!(answer.as_str(), "6982" | "6700" | "6D00"), "octet {octet}: {answer}");
        assert!(session.testbed.memory() == before);
    }
    session.testbed.restore(&snapshot);
    assert_eq!(session.store(&hex::encode(&group)), "9000");
    // A command without a MAC, and a repeated command.
    let mut session = Session::open();
    assert_eq!(
        to_isd_p(&mut session.testbed, Some(Chaining::Following), "80E288000E3A070BA0090607913386994211F1"),
        "6982"
    );
    let mut session = Session::open();
    let apdu = hex::encode(session.host.apdu(header, &group));
    let answer = to_isd_p(&mut session.testbed, Some(Chaining::Following), &apdu);
    assert_eq!(session.host.answer(&answer), "9000");
    assert_eq!(to_isd_p(&mut session.testbed, Some(Chaining::Following), &apdu), "6982");
}

// req: SGP.02-4.1.3.4-Keys
#[test]
fn a_channel_opens_only_with_the_right_keys_and_security_level() {
    let mut testbed = Testbed::new();
    assert_eq!(testbed.create(NEW + 1, None), "009000");
    let keys = personalised(&mut testbed, NEW);
    for (apdu, status) in [
        (initialize("31"), "6A88"),
        (initialize("40"), "6A88"),
        (initialize("30").replacen("80503000", "80503001", 1), "6A86"),
        ("805030000411223344".to_owned(), "6700"),
        ("8482330010".to_owned() + &"00".repeat(16), "6985"),
        ("84E2880010".to_owned() + &"00".repeat(16), "6985"),
        ("80E2880003000000".to_owned(), "6982"),
        ("80D8000103000000".to_owned(), "6982"),
        ("80CA005A00".to_owned(), "6D00"),
        ("0050300008".to_owned() + &"00".repeat(8), "6E00"),
    ] {
        assert_eq!(to_isd_p(&mut testbed, None, &apdu), status, "{apdu}");
    }
    assert_eq!(testbed.apdus(Aid::isd_p(NEW + 1), None, &[initialize("00")]), ["6A88"]);
    // Version 00 selects the first key set. Invalid levels and cryptograms are refused.
    for (level, status) in [(0x33, "9000"), (0x01, "6A86"), (0x00, "6A86"), (0x13, "6A86")] {
        let answer = to_isd_p(&mut testbed, Some(Chaining::First), &initialize("00"));
        let mut host = Host::new(keys, NEW, &unhex(answer.strip_suffix("9000").unwrap()));
        let authenticate = hex::encode(host.external_authenticate(level));
        assert_eq!(to_isd_p(&mut testbed, Some(Chaining::Last), &authenticate), status);
    }
    for octet in 5..21 {
        let answer = to_isd_p(&mut testbed, Some(Chaining::First), &initialize("30"));
        let mut host = Host::new(keys, NEW, &unhex(answer.strip_suffix("9000").unwrap()));
        let mut authenticate = host.external_authenticate(0x33);
        authenticate[octet] ^= 1;
        assert_eq!(to_isd_p(&mut testbed, Some(Chaining::Last), &hex::encode(authenticate)), "6982");
    }
}

#[test]
fn no_challenge_is_repeated() {
    let mut testbed = Testbed::new();
    personalised(&mut testbed, NEW);
    let answers: std::collections::BTreeSet<String> =
        (0..10).map(|_| to_isd_p(&mut testbed, None, &initialize("30"))).collect();
    assert_eq!(answers.len(), 10);
    let sets = &mut testbed.state_mut().isd_p_mut(&Aid::isd_p(NEW)).unwrap().key_sets;
    sets[0].counter = 0xFF_FFFE;
    assert!(to_isd_p(&mut testbed, None, &initialize("30")).ends_with("FFFFFF9000"));
    // The sequence numbers are used up. A new key set restarts them.
    assert_eq!(to_isd_p(&mut testbed, None, &initialize("30")), "6985");
    assert!(super::oce::establish(&mut testbed, &super::oce::Plan::for_isd_p(NEW)).1.ends_with("9000"));
    assert!(to_isd_p(&mut testbed, None, &initialize("30")).ends_with("0000019000"));
}
