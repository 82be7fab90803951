//! Tests of individual exchanges. A complete download is traced in the tests of the devices.

use rsp::der::{Shown, Tag, tlv_bytes};
use rsp::time::Timestamp;
use world::{Atr, CardInterface, CardInterfaceFault, ManualClock};

use super::{Decoder, Event, Exchange, Form, Recorder, TracingCard, pcapng, text};

fn octets(hex: &str) -> Vec<u8> {
    hex::decode(hex.replace(' ', "")).unwrap()
}

fn command(command: &str, answer: &str) -> Event {
    Event::Command { command: octets(command), answer: octets(answer) }
}

fn exchange(event: Event) -> Exchange {
    Exchange { at: Timestamp(1_000), card: "card".to_owned(), event }
}

/// Returns the text trace of these exchanges with a card.
fn trace_text(with_secrets: bool, events: Vec<Event>) -> String {
    let mut recorder = Recorder::new(Form::Text, with_secrets);
    let lines = events.into_iter().flat_map(|event| recorder.record(&exchange(event)));
    String::from_utf8(lines.collect()).unwrap()
}

#[track_caller]
fn contains_all(text: &str, expected: &[&str]) {
    for expected in expected {
        assert!(text.contains(expected), "{expected:?} is missing:\n{text}");
    }
}

/// Selects the USIM on channel 1.
const USIM: (&str, &str) = ("01A4040C07A0000000871002", "9000");

#[test]
fn files_are_recognised_by_path_identifier_and_short_identifier() {
    let text = trace_text(
        false,
        vec![
            command(USIM.0, USIM.1),
            command("01A40804047FFF6F07", "6116"),
            command("01C0000016", "6214 8202 4121 8302 6F07 8A01 05 8B03 6F06 02 8002 0009 9000"),
            // A failed selection leaves the current file unchanged.
            command("01A4000C026F08", "6A82"),
            command("01B0000009", "082926240000000010 9000"),
            command("01B2010400", "6981"),
            command("01A40804047FFF5FC0", "9000"),
            command("01D6810001 00", "6982"),
            command("00B0000000", "6986"),
        ],
    );
    contains_all(
        &text,
        &[
            "[1] SELECT by name A0000000871002: ADF.USIM -> 9000 ok\n",
            "[1] SELECT by path 7FFF/6F07: EF.IMSI -> 6116 ok, 22 octets available\n",
            "[1] GET RESPONSE to SELECT -> 9000 ok\n",
            "      fileDescriptor: transparent\n      fileIdentifier: 6F07\n",
            "      fileSize: 9\n",
            "[1] SELECT by identifier 6F08: EF.KEYS -> 6A82 file not found\n",
            "[1] READ BINARY EF.IMSI, offset 0 -> 9000 ok\n",
            "[1] READ RECORD EF.IMSI, record 1 -> 6981 command incompatible with the file structure\n",
            ": DF.5GS -> 9000",
            "UPDATE BINARY EF.5GS3GPPLOCI, offset 0 -> 6982 security status not satisfied",
            "[0] READ BINARY offset 0 -> 6986 no EF selected",
        ],
    );
}

#[test]
fn pins_and_keys_are_shown_only_with_secrets() {
    let events = vec![
        command("0020000108 31323334FFFFFFFF", "63C2"),
        command("002C000110 3837363534333231 31323334FFFFFFFF", "9000"),
        Event::Fault { command: octets("0020000108 31323334FFFFFFFF"), why: "no power".to_owned() },
        command(USIM.0, USIM.1),
        command("01A4000C026F08", "9000"),
        command("01B0000004", "07C0FFEE 9000"),
        command("01D6000004 07C0FFEE", "9000"),
        command(&format!("01880081 22 10{0} 10{0}", "5A".repeat(16)), "6108"),
        // A terminal that first sends Le 00 gets the correct length in the status word, and repeats
        // the command.
        command("01C0000000", "6C08"),
        command("01C0000008", "DB02C0FFEE00C0FF 9000"),
        command("01B0000000", "6104"),
        command("01C0000000", "6C04"),
        command("01C0000002", "07C0 6102"),
        command("01C0000002", "FFEE 9000"),
        // The lengths of these commands are inconsistent.
        command("0020000107 31323334FFFFFFFFFF", "6700"),
        command("00200001 31323334", "6700"),
        command("01D6000002 07C0FFEE", "6700"),
        Event::Fault { command: octets("0020000107 31323334FFFFFFFFFF"), why: "no power".to_owned() },
        Event::Fault { command: octets("01D6000004 07C0FFEE"), why: "no power".to_owned() },
        // GET RESPONSE to a command that is not in the trace.
        command("02C0000004", "07C0FFEE 9000"),
    ];
    let hidden = trace_text(false, events.clone());
    contains_all(
        &hidden,
        &[
            "[0] VERIFY PIN PIN 1 (P2 01) -> 63C2 wrong, 2 attempts left\n    > 0020000108****************\n",
            "[0] VERIFY PIN -> no answer: no power\n    > 0020000108****************\n",
            "    < ********9000\n    answer: 4 octets, hidden\n",
            "    > 01D6000004********\n",
            "[1] GET RESPONSE to AUTHENTICATE -> 6C08 wrong Le, correct value 8\n",
            "[1] GET RESPONSE to AUTHENTICATE -> 9000 ok\n    > 01C0000008\n    < ****************9000\n    answer: 8 octets, hidden\n",
            "[1] GET RESPONSE to READ BINARY -> 6102 ok, 2 octets available\n    > 01C0000002\n    < ****6102\n",
            "[1] GET RESPONSE to READ BINARY -> 9000 ok\n    > 01C0000002\n    < ****9000\n    answer: 4 octets, hidden\n",
            "not an APDU -> 6700 wrong length\n    > 00200001********************\n",
            "not an APDU -> 6700 wrong length\n    > 00200001********\n",
            "not an APDU -> 6700 wrong length\n    > 01D60000**********\n",
            "not an APDU -> no answer: no power\n    > 00200001********************\n",
            "[1] UPDATE BINARY -> no answer: no power\n    > 01D6000004********\n",
            "[2] GET RESPONSE to an unknown command -> 9000 ok\n    > 02C0000004\n    < ********9000\n",
        ],
    );
    for secret in ["31323334", "38373635", "C0FFEE"] {
        assert!(!hidden.contains(secret), "{hidden}");
        assert!(trace_text(true, events.clone()).contains(secret));
    }
    // The other formats do not contain the secrets either.
    for form in [Form::JsonLines, Form::Pcapng] {
        let mut recorder = Recorder::new(form, false);
        let all: Vec<u8> =
            events.iter().flat_map(|event| recorder.record(&exchange(event.clone()))).collect();
        let text = String::from_utf8_lossy(&all);
        assert!(!text.contains("C0FFEE") && !text.contains("1234"), "{text}");
        assert!(!all.windows(3).any(|octets| octets == [0xC0, 0xFF, 0xEE]));
    }
}

#[test]
fn synchronisation_failures_and_toolkit_commands_are_decoded() {
    let text = trace_text(
        false,
        vec![
            command(
                &format!("00880081 22 10{0} 10{0} 00", "5A".repeat(16)),
                "DC0E 0102030405060708090A0B0C0D0E 9000",
            ),
            command("801200000B", "D009 8103010104 82028182 9000"),
            command("801400000C 8103010104 82028281 830100", "9000"),
            command("80C2000004 D6020000", "9000"),
        ],
    );
    contains_all(
        &text,
        &[
            "    AUTS: 0102030405060708090A0B0C0D0E\n",
            "    REFRESH, UICC reset\n      commandDetails: 010104\n",
            "TERMINAL RESPONSE REFRESH: performed -> 9000",
            "ENVELOPE event download -> 9000",
        ],
    );
}

#[test]
fn malformed_and_unknown_commands_are_shown_as_they_are() {
    let text = trace_text(
        false,
        vec![
            command("00A4", "6700"),
            command("00EE0102", "6D00"),
            command("81E2910005 BF7F020102", "6A88"),
            command("01A4040010 A0000005591010FFFFFFFF8900000100", "9000"),
            command("81E2910005 BF7F020102", "6A88"),
            Event::Command { command: vec![], answer: vec![] },
        ],
    );
    contains_all(
        &text,
        &[
            "not an APDU -> 6700 wrong length",
            "unknown command P1 01 P2 02 -> 6D00",
            "STORE DATA unknown function with tag BF7F, last block 0 -> 6A88",
            "not an APDU ->  no status word",
        ],
    );
}

#[test]
fn data_in_both_directions_and_long_answers_become_several_packets() {
    /// Returns the payloads of the GSMTAP packets in a file, which are recognised by their header.
    fn payloads(file: &[u8]) -> Vec<Vec<u8>> {
        let start = [2, 4, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let packets = (0..file.len()).filter(|at| file[*at..].starts_with(&start));
        let length = |at: usize| usize::from(u16::from_be_bytes([file[at - 4], file[at - 3]])) - 8 - 16;
        packets.map(|at| file[at + 16..at + 16 + length(at)].to_vec()).collect()
    }
    let packets = |event: Event| {
        let decoded = Decoder::new(true).decode(&event);
        payloads(&pcapng::Writer::default().packets(&exchange(event), &decoded))
    };
    assert_eq!(packets(command("00A40004023F00", "6120")), [octets("00A40004023F006120")]);
    assert_eq!(
        packets(command("00A40004023F0000", "62009000")),
        [octets("00A40004023F006102"), octets("00C000000262009000")]
    );
    assert_eq!(packets(command("00B0000000", "CAFE9000")), [octets("00B0000002CAFE9000")]);
    assert_eq!(packets(command("00B0000004", "6C02")), [octets("00B00000046C02")]);
    let long = packets(command("00B00000000000", &format!("{}9000", "AB".repeat(300))));
    assert_eq!(long.len(), 2);
    assert_eq!((long[0].len(), &long[0][..5]), (5 + 256 + 2, &octets("00B0000000")[..]));
    assert_eq!(long[0][261..], [0x61, 44]);
    assert_eq!((long[1].len(), &long[1][..5]), (5 + 44 + 2, &octets("00C000002C")[..]));
    assert_eq!(packets(Event::Reset { atr: octets("3B00") }), [octets("3B00")]);
}

#[test]
fn the_data_of_an_undecoded_command_is_shown_once() {
    let decoded = Decoder::new(false).decode(&command("00DA010202CAFE", "9000"));
    let details = vec![("data".to_owned(), Shown::Octets(vec![0xCA, 0xFE]))];
    assert_eq!(decoded.details, details);
    assert_eq!(text::details(&details), "    data: CAFE\n");
}

/// The ISD-R on channel 1.
const ISD_R: (&str, &str) = ("01A4040010 A0000005591010FFFFFFFF8900000100", "9000");

fn tlv(tag: u32, contents: &[u8]) -> Vec<u8> {
    tlv_bytes(Tag(tag), contents)
}

/// A command of the ISD-R in one block.
fn store_data(request: &[u8], response: &[u8]) -> Event {
    let length = u8::try_from(request.len()).unwrap();
    Event::Command {
        command: [&[0x81, 0xE2, 0x91, 0x00, length], request].concat(),
        answer: [response, &[0x90, 0x00]].concat(),
    }
}

#[test]
fn the_version_template_of_the_isd_r_is_decoded() {
    let template = tlv(0xE0, &[tlv(0x82, &[2, 6, 0]), tlv(0x03, &[0x06, 0x40])].concat());
    let fci = tlv(0x6F, &[tlv(0x84, &octets("A0000005591010FFFFFFFF8900000100")), template].concat());
    let text = trace_text(false, vec![command(ISD_R.0, &format!("{}9000", hex::encode(fci)))]);
    contains_all(
        &text,
        &[
            "      isdrProprietaryApplicationTemplate\n        svn: 2.6.0\n        lpaeSupport: lpaeUsingScws\n",
        ],
    );
}

#[test]
fn the_carrier_privileges_of_a_profile_are_decoded() {
    let reference = tlv(0xE1, &[tlv(0xC1, &[1, 2, 3, 4]), tlv(0xCA, b"com.example.app")].concat());
    let rule = tlv(0xE2, &[reference, tlv(0xE3, &tlv(0xDB, &[0, 0, 0, 0, 0, 0, 0, 1]))].concat());
    let profile = tlv(0xE3, &[tlv(0x91, b"Example"), tlv(0xBF76, &rule)].concat());
    let request = octets("BF2D065C045A91BF76");
    // Some cards send the list with the universal tag.
    for list in [0xA0, 0x30] {
        let response = tlv(0xBF2D, &tlv(list, &profile));
        let text = trace_text(false, vec![store_data(&request, &response)]);
        contains_all(
            &text,
            &[
                "tagList: 5A iccid, 91 serviceProviderName, BF76 carrierPrivilegeRules\n",
                "      profileInfoListOk: 1\n",
                "          serviceProviderName: Example\n          carrierPrivilegeRules\n            refArDo\n",
                "                deviceAppIdRefDo: 01020304\n                pkgRefDo: com.example.app\n",
                "                permArDo: 0000000000000001\n",
            ],
        );
    }
}

#[test]
fn errors_of_the_profile_list_are_decoded_with_both_tags() {
    let response = |error: &str| {
        let text = trace_text(false, vec![store_data(&octets("BF2D00"), &octets(error))]);
        text.lines().find(|line| line.contains("profileInfoListError")).map(str::trim).map(str::to_owned)
    };
    let shown = |error: &str| response(error).unwrap_or_else(|| panic!("no error in {error}"));
    assert_eq!(shown("BF2D03810101"), "profileInfoListError: incorrect-input-values(1)");
    assert_eq!(shown("BF2D0381010B"), "profileInfoListError: profile-change-ongoing(11)");
    assert_eq!(shown("BF2D0302017F"), "profileInfoListError: undefined-error(127)");
}

#[test]
fn the_response_of_the_profile_package_is_decoded() {
    // peStatus of PE 12, and profileInstallationAborted.
    let response = octets("300CA008300680010581010C8100");
    // The tag of the standard, and the tag of an OCTET STRING that some cards send.
    for tag in [0x82, 0x04] {
        let error = [tlv(0x80, &[5]), tlv(0x81, &[12]), tlv(tag, &response)].concat();
        let data = tlv(0xBF27, &tlv(0xA2, &tlv(0xA1, &error)));
        let result = tlv(0xBF37, &data);
        let text = trace_text(false, vec![store_data(&octets("8600"), &result)]);
        contains_all(
            &text,
            &[
                "simaResponse\n",
                "status: invalid-request-format(5)\n",
                "identification: 12\n",
                "profileInstallationAborted",
            ],
        );
    }
    let [element] = &crate::es10::elements(&response)[..] else { panic!("one reading is expected") };
    assert!(element.name.starts_with("EUICCResponse"), "{element:?}");
}

#[test]
fn a_trace_can_begin_after_the_selection() {
    // The channel is open, and the selection is missing.
    let opened =
        trace_text(false, vec![command("0070000001", "019000"), command("81E2910003BF2D00", "9000")]);
    contains_all(&opened, &["STORE DATA ES10c.GetProfilesInfo", "ISD-R, assumed"]);
    let reset = Event::Reset { atr: octets("3B00") };
    let after_reset = trace_text(false, vec![reset, command("80E2910003BF2D00", "9000")]);
    contains_all(&after_reset, &["STORE DATA ES10c.GetProfilesInfo", "ISD-R, assumed"]);
    // The first exchange is the continuation of an answer, or of a request.
    let text = trace_text(
        false,
        vec![
            command("01C0000006", "BF2D03810101 9000"),
            command("81E2910003BF2D00", "9000"),
            command("02C0000009", "6F07 8302 6F07 8A0105 9000"),
            command("83E2110108 0102030405060708", "9000"),
            command("83E2910203 010203", "9000"),
        ],
    );
    contains_all(
        &text,
        &[
            "[1] GET RESPONSE to an unknown command -> 9000",
            "profileInfoListError: incorrect-input-values(1)",
            "[1] STORE DATA ES10c.GetProfilesInfo",
            "      fileIdentifier: 6F07\n",
            "[3] STORE DATA rest of a request that began before the trace, block 1",
        ],
    );
    assert!(!text.contains("hidden"), "{text}");
}

/// A card that answers once and then fails.
struct Once(bool);

impl CardInterface for Once {
    async fn transmit(&mut self, _: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        if std::mem::replace(&mut self.0, true) {
            return Err(CardInterfaceFault::Broken("gone".to_owned()));
        }
        Ok(vec![0x90, 0x00])
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        Ok(Atr(vec![0x3B, 0x00]))
    }
}

#[tokio::test]
async fn a_traced_card_behaves_like_the_original_and_all_exchanges_are_reported() {
    let clock = ManualClock::at(Timestamp(5));
    let mut reported = Vec::new();
    {
        let sink = |exchange: &Exchange| reported.push(exchange.clone());
        let mut card_interface =
            TracingCard::new(Once(false), "card", std::sync::Arc::new(clock.clone()), sink);
        assert_eq!(card_interface.reset().await, Ok(Atr(vec![0x3B, 0x00])));
        clock.set(Timestamp(7));
        assert_eq!(card_interface.transmit(&[0, 1, 2, 3]).await, Ok(vec![0x90, 0x00]));
        assert_eq!(card_interface.transmit(&[4]).await, Err(CardInterfaceFault::Broken("gone".to_owned())));
    }
    let [reset, command, fault] = &reported[..] else { panic!("{reported:?}") };
    assert_eq!((reset.at, &reset.event), (Timestamp(5), &Event::Reset { atr: vec![0x3B, 0x00] }));
    let event = Event::Command { command: vec![0, 1, 2, 3], answer: vec![0x90, 0x00] };
    assert_eq!((command.at, &command.event), (Timestamp(7), &event));
    assert!(matches!(&fault.event, Event::Fault { command, why } if *command == [4] && why.contains("gone")));
}
