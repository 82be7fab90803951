//! Tests of SCP80 over SMS: TS 102 225, TS 31.115.

use rsp::ids::Aid;
use rsp::ota::cat::{Command, Envelope, GeneralResult, TerminalCapability};
use rsp::ota::script::{Script, ScriptResponse};
use rsp::ota::secured_packet::{
    CommandHeader, CounterRule, Integrity, KeyReference, PorBearer, PorRule, ResponseStatus, Spi, Tar,
};
use rsp::ota::sms::{
    Accepted, PacketKind, Reassembler, Reference, SmsDeliver, SmsSubmit, UserData, segments,
};

use super::terminal::{
    TestTerminal, header, opened, opened_packet, sealed, sealed_under, sm_sr_address, triple_des_keys,
    without,
};
use crate::m2m::tests::testbed::{NO_RULES, SCP80, Testbed, aid};

/// GET DATA, extended card resources.
const RESOURCES: &str = "80CAFF2100";

fn script(apdus: &[&str]) -> Vec<u8> {
    Script::of_apdus(apdus.iter().map(|apdu| hex::decode(apdu).unwrap())).to_bytes()
}

/// A script with a long response.
fn long_script(times: usize) -> Vec<u8> {
    script(&vec![RESOURCES; times])
}

/// Reassembles the response packet from the sent messages.
pub(super) fn submitted(messages: &[SmsSubmit]) -> Vec<u8> {
    let mut reassembler = Reassembler::default();
    for message in messages {
        assert_eq!(message.destination, sm_sr_address());
        if let Accepted::Whole(PacketKind::Response, packet) =
            reassembler.accept(&message.destination, message.user_data.clone()).unwrap()
        {
            return packet;
        }
    }
    panic!("incomplete: {} messages", messages.len());
}

fn counter(terminal: &TestTerminal) -> u64 {
    terminal.testbed.state().key_set(SCP80).unwrap().counter
}

#[test]
fn the_response_to_a_script_is_in_the_delivery_report() {
    let mut terminal = TestTerminal::settled();
    let before = counter(&terminal);
    let report = terminal.packet(Spi::COMMAND_ANSWERED_IN_REPORT, &script(&[RESOURCES]));
    let answer = opened(&report);
    assert_eq!((answer.status, u64::from(answer.counter[4])), (0, before + 1));
    let response = ScriptResponse::parse(&answer.data).unwrap();
    assert!(hex::encode_upper(&response.last_apdu().unwrap().data).starts_with("FF21"));
    assert_eq!(counter(&terminal), before + 1);
    assert!(terminal.sent.is_empty());
}

#[test]
fn a_submitted_response_is_split_into_as_many_messages_as_necessary() {
    for (times, at_least) in [(1, 1), (12, 2), (30, 5)] {
        let mut terminal = TestTerminal::settled();
        let report = terminal.packet(Spi::COMMAND_ANSWERED_BY_SUBMIT, &long_script(times));
        assert!(report.is_empty());
        assert!(terminal.sent.len() >= at_least, "{times} commands in {} messages", terminal.sent.len());
        let answer = opened_packet(&submitted(&terminal.sent), crypto::scp80::Protection::FULL);
        let response = ScriptResponse::parse(&answer.data).unwrap();
        assert_eq!(response.apdus().count(), times);
    }
}

#[test]
fn a_response_too_long_for_the_report_is_announced_in_the_report_and_submitted() {
    let mut terminal = TestTerminal::settled();
    let report = terminal.packet(Spi::COMMAND_ANSWERED_IN_REPORT, &long_script(12));
    let announced = opened(&report);
    assert_eq!(announced.status, ResponseStatus::ActualResponseBySubmit.code());
    let answer = opened_packet(&submitted(&terminal.sent), crypto::scp80::Protection::FULL);
    assert_eq!((answer.status, answer.counter), (0, announced.counter));
    assert_eq!(ScriptResponse::parse(&answer.data).unwrap().apdus().count(), 12);
}

#[test]
fn a_response_too_long_for_the_report_and_for_submission_is_shortened() {
    // Each command returns the certificate of the ECASD.
    let certificates = script(&["80CABF30045C027F2100"; 250]);
    let summary = |answer: &crypto::scp80::Opened| {
        let response = ScriptResponse::parse(&answer.data).unwrap();
        assert_eq!((answer.status, response.apdus().count()), (0, 1));
        (response.executed, response.last_apdu().unwrap().status.0)
    };
    let mut terminal = TestTerminal::settled();
    assert!(terminal.packet(Spi::COMMAND_ANSWERED_BY_SUBMIT, &certificates).is_empty());
    let answer = opened_packet(&submitted(&terminal.sent), crypto::scp80::Protection::FULL);
    assert_eq!(summary(&answer), (Some(250), 0x62F1));
    terminal.sent.clear();
    let report = terminal.packet(Spi::COMMAND_ANSWERED_IN_REPORT, &certificates);
    assert_eq!((summary(&opened(&report)), terminal.sent.len()), ((Some(250), 0x62F1), 0));
    // A refused command ends the script, and its status is returned.
    let refused = script(&[&["80CABF30045C027F2100"; 249][..], &["00D8000100"]].concat());
    let report = terminal.packet(Spi::COMMAND_ANSWERED_IN_REPORT, &refused);
    assert_eq!(summary(&opened(&report)), (Some(250), 0x6E00));

    // This terminal does not support SEND SHORT MESSAGE.
    let mut terminal = TestTerminal::new(Testbed::new());
    terminal.facilities = without(&[TerminalCapability::SEND_SHORT_MESSAGE]);
    terminal.start();
    let report = terminal.packet(Spi::COMMAND_ANSWERED_IN_REPORT, &long_script(12));
    assert_eq!(summary(&opened(&report)), (Some(12), 0x62F1));
}

#[test]
fn unfetched_responses_are_queued_completely_or_not_at_all() {
    let mut terminal = TestTerminal::settled();
    terminal.commands_left = Some(0);
    for _ in 0..20 {
        terminal.packet(Spi::COMMAND_ANSWERED_BY_SUBMIT, &long_script(200));
    }
    terminal.commands_left = None;
    terminal.run();
    let mut reassembler = Reassembler::default();
    let mut whole = 0;
    let mut last = Accepted::Unsecured;
    for message in &terminal.sent {
        last = reassembler.accept(&message.destination, message.user_data.clone()).unwrap();
        whole += usize::from(matches!(last, Accepted::Whole(..)));
    }
    assert!(whole > 1 && matches!(last, Accepted::Whole(..)), "{whole}");
}

#[test]
fn the_response_is_secured_and_sent_as_the_command_requests() {
    use crypto::scp80::Protection;
    for (por_integrity, checksum) in [(Integrity::None, false), (Integrity::CryptographicChecksum, true)] {
        for por_ciphered in [false, true] {
            for por_bearer in [PorBearer::DeliverReport, PorBearer::Submit] {
                let mut terminal = TestTerminal::settled();
                let spi = Spi { por_integrity, por_ciphered, por_bearer, ..Spi::COMMAND_ANSWERED_IN_REPORT };
                let report = terminal.packet(spi, &script(&[RESOURCES]));
                let packet = match por_bearer {
                    PorBearer::DeliverReport => report[3..].to_vec(),
                    PorBearer::Submit => submitted(&terminal.sent),
                };
                let protection = Protection { checksum, ciphered: por_ciphered };
                let answer = opened_packet(&packet, protection);
                assert!(ScriptResponse::parse(&answer.data).is_ok());
            }
        }
    }
    let mut terminal = TestTerminal::settled();
    assert!(terminal.packet(Spi::UNANSWERED, &script(&[RESOURCES])).is_empty());
    let on_error = Spi { por: PorRule::OnError, ..Spi::COMMAND_ANSWERED_IN_REPORT };
    let packet = terminal.next_packet(on_error, &script(&[RESOURCES]));
    assert!(terminal.deliver(&packet).is_empty());
    assert_eq!(opened(&terminal.deliver(&packet)).status, ResponseStatus::CounterLow.code());
}

/// Returns the status of an unsecured response packet. Asserts that its counter is zero.
#[track_caller]
fn in_clear(report: &[u8]) -> u8 {
    let none = crypto::scp80::Protection { checksum: false, ciphered: false };
    let tar = report[6..9].try_into().unwrap();
    let keys = crypto::scp80::Keys { kic: [0; 16].into(), kid: [0; 16].into() };
    let head = crypto::scp80::Head::Response(&tar, &[2, 0x71, 0]);
    let opened = crypto::scp80::open(head, &report[3..], none, &keys).unwrap();
    assert_eq!((opened.counter, opened.data), ([0; 5], Vec::new()));
    opened.status
}

#[test]
fn every_refusal_has_a_status_and_changes_nothing() {
    let enable = script(&[&format!("80E28800153A03124F10{}", aid(NO_RULES))]);
    let spi = Spi::COMMAND_ANSWERED_IN_REPORT;
    let weak = [
        Spi { integrity: Integrity::None, ..spi },
        Spi { integrity: Integrity::RedundancyCheck, ..spi },
        Spi { integrity: Integrity::DigitalSignature, ..spi },
        Spi { ciphered: false, ..spi },
        Spi { counter: CounterRule::None, ..spi },
        Spi { counter: CounterRule::Unchecked, ..spi },
    ];
    let mut cases: Vec<(CommandHeader, ResponseStatus)> = weak
        .into_iter()
        // req: SGP.02-2.4.3-SecurityLevel
        .map(|spi| (CommandHeader { spi, ..header() }, ResponseStatus::InsufficientSecurityLevel))
        .collect();
    // req: SGP.02-2.4.3-Tar
    cases.push((CommandHeader { tar: Tar([0, 0, 3]), ..header() }, ResponseStatus::TarUnknown));
    cases.push((CommandHeader { tar: Tar([0xB0, 0, 0x10]), ..header() }, ResponseStatus::TarUnknown));
    for (kic, kid) in [(0x22, 0x12), (0x12, 0x22), (0x22, 0x22), (0x15, 0x12), (0x12, 0x15), (0x02, 0x02)] {
        let header = CommandHeader { kic: KeyReference(kic), kid: KeyReference(kid), ..header() };
        // req: SGP.02-2.4.3-KeySet
        cases.push((header, ResponseStatus::UnidentifiedSecurityError));
    }
    let mut terminal = TestTerminal::settled();
    let before = terminal.testbed.memory();
    for (header, expected) in cases {
        let packet = sealed(header, 50, &enable);
        assert_eq!(in_clear(&terminal.deliver(&packet)), expected.code(), "{header:?}");
        assert!(terminal.testbed.memory() == before);
    }

    // The response is secured if the checksum of the packet is correct. The response to a packet
    // that does not consist of whole blocks is not secured.
    let last = counter(&terminal);
    let not_blocks = [&sealed(header(), 50, &enable)[..], &[0]].concat();
    let longer = u16::try_from(not_blocks.len() - 2).unwrap().to_be_bytes();
    let not_blocks = [&longer, &not_blocks[2..]].concat();
    let next = CommandHeader { spi: Spi { counter: CounterRule::Next, ..spi }, ..header() };
    assert_eq!(in_clear(&terminal.deliver(&not_blocks)), ResponseStatus::CipheringError.code());
    assert!(terminal.testbed.memory() == before);
    for (packet, expected) in [
        // req: SGP.02-2.4.3-CounterLow
        (sealed(header(), last, &enable), ResponseStatus::CounterLow),
        (sealed(header(), 0, &enable), ResponseStatus::CounterLow),
        (sealed(next, last, &enable), ResponseStatus::CounterLow),
        // req: SGP.02-2.4.3-CounterHigh
        (sealed(next, last + 2, &enable), ResponseStatus::CounterHigh),
    ] {
        assert_eq!(opened(&terminal.deliver(&packet)).status, expected.code());
        assert!(terminal.testbed.memory() == before, "{expected:?}");
    }
    assert_eq!(opened(&terminal.deliver(&sealed(next, last + 1, &script(&[RESOURCES])))).status, 0);
    let end = (1 << 40) - 1;
    assert_eq!(opened(&terminal.deliver(&sealed(header(), end, &script(&[RESOURCES])))).status, 0);
    let blocked = opened(&terminal.deliver(&sealed(header(), end, &enable)));
    // req: SGP.02-2.4.3-CounterBlocked
    assert_eq!(blocked.status, ResponseStatus::CounterBlocked.code());
}

/// SGP.02 section 2.4.3 permits only AES, even if the packet is correct for triple DES.
// req: SGP.02-2.4.3-Aes
#[test]
fn a_triple_des_packet_is_refused() {
    let enable = script(&[&format!("80E28800153A03124F10{}", aid(NO_RULES))]);
    let mut terminal = TestTerminal::settled();
    let before = terminal.testbed.memory();
    let next = counter(&terminal) + 1;
    for (algorithm, expected) in [
        (0x5, ResponseStatus::UnidentifiedSecurityError),
        (0x9, ResponseStatus::UnidentifiedSecurityError),
        // If the packet has the algorithm identifier of AES, its checksum is wrong.
        (0x2, ResponseStatus::CheckFailed),
    ] {
        let key = KeyReference(SCP80 << 4 | algorithm);
        let header = CommandHeader { kic: key, kid: key, ..header() };
        // The data are also padded to whole AES blocks, so that only the algorithm is wrong.
        let data = [&enable[..], &[0; 16]].concat();
        let packets = (0..16).map(|more| {
            let data = &data[..enable.len() + more];
            sealed_under(&triple_des_keys(), header, next, data)
        });
        let packet = packets.into_iter().find(|packet| (packet.len() - 10).is_multiple_of(16)).unwrap();
        assert_eq!(in_clear(&terminal.deliver(&packet)), expected.code(), "{algorithm:X}");
        assert!(terminal.testbed.memory() == before, "{algorithm:X}");
    }
}

#[test]
fn a_packet_altered_anywhere_is_refused() {
    let mut terminal = TestTerminal::settled();
    let enable = script(&[&format!("80E28800153A03124F10{}", aid(NO_RULES))]);
    let packet = terminal.next_packet(Spi::COMMAND_ANSWERED_IN_REPORT, &enable);
    let before = terminal.testbed.memory();
    for at in 0..packet.len() {
        for bit in 0..8 {
            let mut altered = packet.clone();
            altered[at] ^= 1 << bit;
            let (report, status) = terminal.deliver_only(&altered);
            assert!(matches!(status, 0x9000 | 0x9100 | 0x6A80), "octet {at}: {status:04X}");
            terminal.run();
            assert!(terminal.testbed.memory() == before, "octet {at}");
            if at >= 10 {
                // The response contains no decrypted data and is not secured with the keys.
                // req: SGP.02-2.4.3-Checksum
                assert_eq!(in_clear(&report), ResponseStatus::CheckFailed.code(), "octet {at}");
            }
        }
    }
    assert_eq!(opened(&terminal.deliver(&packet)).status, 0);
}

#[test]
fn a_replayed_packet_is_refused_even_after_a_reset() {
    let mut terminal = TestTerminal::settled();
    let packet = terminal.next_packet(Spi::COMMAND_ANSWERED_IN_REPORT, &script(&[RESOURCES]));
    assert_eq!(opened(&terminal.deliver(&packet)).status, 0);
    for _ in 0..2 {
        assert_eq!(opened(&terminal.deliver(&packet)).status, ResponseStatus::CounterLow.code());
        terminal.reset();
        terminal.start();
    }
}

#[test]
fn the_parts_of_a_packet_can_arrive_in_any_order_and_repeatedly() {
    let data = long_script(60);
    for turn in 0..4 {
        let mut terminal = TestTerminal::settled();
        let packet = terminal.next_packet(Spi::COMMAND_ANSWERED_BY_SUBMIT, &data);
        let mut parts = segments(&packet, PacketKind::Command, Reference::Short(9)).unwrap();
        assert!(parts.len() > 3);
        parts.rotate_left(turn);
        for part in &parts[1..] {
            assert_eq!(terminal.message(part.clone()), (Vec::new(), 0x9000));
            assert_eq!(terminal.message(part.clone()), (Vec::new(), 0x9000));
        }
        assert_eq!(terminal.message(parts[0].clone()).1, 0x9100);
        terminal.run();
        let answer = opened_packet(&submitted(&terminal.sent), crypto::scp80::Protection::FULL);
        assert_eq!(ScriptResponse::parse(&answer.data).unwrap().apdus().count(), 60);
    }
}

#[test]
fn a_reset_discards_incomplete_packets_which_can_be_sent_again() {
    let mut terminal = TestTerminal::settled();
    let packet = terminal.next_packet(Spi::COMMAND_ANSWERED_BY_SUBMIT, &long_script(60));
    let parts = segments(&packet, PacketKind::Command, Reference::Short(9)).unwrap();
    let (last, first) = parts.split_last().unwrap();
    for part in first {
        terminal.message(part.clone());
    }
    terminal.reset();
    terminal.start();
    assert_eq!(terminal.message(last.clone()), (Vec::new(), 0x9000));
    terminal.sent.clear();
    terminal.deliver(&packet);
    assert!(!terminal.sent.is_empty());
}

#[test]
fn an_invalid_script_gets_a_bad_format_response() {
    let mut terminal = TestTerminal::settled();
    for (data, expected) in [
        ("AA03990100", "AB06800100900101"),
        ("AA032205", "AB06800100900102"),
        ("", "AB06800100900103"),
        ("8103830184", "AB06800100900102"),
    ] {
        let report = terminal.packet(Spi::COMMAND_ANSWERED_IN_REPORT, &hex::decode(data).unwrap());
        let answer = opened(&report);
        assert_eq!((answer.status, hex::encode_upper(answer.data).as_str()), (0, expected), "{data}");
    }
}

#[test]
fn isd_p_and_ecasd_are_addressed_by_their_tars() {
    let mut terminal = TestTerminal::settled();
    let tar = Tar::of_aid(&Aid::isd_p(NO_RULES).0).unwrap();
    let packet = sealed(CommandHeader { tar, ..header() }, 90, &script(&[RESOURCES]));
    let report = terminal.deliver(&packet);
    assert_eq!(report[6..9], tar.0);
    // The ECASD is addressed by its TAR.
    let tar = Tar::of_aid(&Aid::ECASD).unwrap();
    let packet = sealed(CommandHeader { tar, ..header() }, 91, &script(&["80CABF30045C027F2100"]));
    let report = terminal.deliver(&packet);
    assert_eq!((&report[6..9], counter(&terminal)), (&[0, 0, 2][..], 91));
}

#[test]
fn messages_for_other_applications_are_refused() {
    let mut terminal = TestTerminal::settled();
    assert_eq!(terminal.message(UserData::plain(vec![1, 2, 3])).1, 0x6A81);
    let response = segments(&[0; 20], PacketKind::Response, Reference::Short(1)).unwrap().remove(0);
    assert_eq!(terminal.message(response).1, 0x6A81);
    let cell_broadcast = [0xD2, 0x04, 0x82, 0x02, 0x83, 0x81];
    assert_eq!(terminal.command(0xC2, &cell_broadcast).1, 0x6A81);
}

#[test]
fn a_response_that_fails_temporarily_is_retried_a_limited_number_of_times() {
    let mut terminal = TestTerminal::settled();
    terminal.refuse = Box::new(|command| {
        let is_message = matches!(command, Command::SendShortMessage { .. });
        is_message.then_some((GeneralResult::NETWORK_UNABLE, vec![0]))
    });
    terminal.packet(Spi::COMMAND_ANSWERED_BY_SUBMIT, &script(&[RESOURCES]));
    let tries = |terminal: &TestTerminal| {
        terminal.fetched.iter().filter(|each| matches!(each, Command::SendShortMessage { .. })).count()
    };
    assert_eq!(tries(&terminal), 1);
    for expected in [2, 3, 3, 3] {
        terminal.status();
        assert_eq!(tries(&terminal), expected);
    }
    terminal.refuse = Box::new(|_| None);
    let report = terminal.packet(Spi::COMMAND_ANSWERED_IN_REPORT, &script(&[RESOURCES]));
    assert_eq!(opened(&report).status, 0);
}

#[test]
fn unsupported_short_messages_are_not_requested() {
    let mut terminal = TestTerminal::new(Testbed::new());
    terminal.facilities = without(&[TerminalCapability::SEND_SHORT_MESSAGE]);
    terminal.start();
    terminal.packet(Spi::COMMAND_ANSWERED_BY_SUBMIT, &script(&[RESOURCES]));
    assert!(!terminal.fetched.iter().any(|each| matches!(each, Command::SendShortMessage { .. })));
    let report = terminal.packet(Spi::COMMAND_ANSWERED_IN_REPORT, &script(&[RESOURCES]));
    assert_eq!(opened(&report).status, 0);
}

#[test]
fn the_service_centre_is_taken_from_the_enabled_profile() {
    let mut terminal = TestTerminal::settled();
    terminal.packet(Spi::COMMAND_ANSWERED_BY_SUBMIT, &script(&[RESOURCES]));
    let centres: Vec<_> = terminal
        .fetched
        .iter()
        .filter_map(|each| match each {
            Command::SendShortMessage { service_centre, .. } => Some(service_centre.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(centres, [Some(sm_sr_address())]);
}

#[test]
fn a_truncated_short_message_is_refused() {
    let mut terminal = TestTerminal::settled();
    let part = segments(&[0; 20], PacketKind::Command, Reference::Short(1)).unwrap().remove(0);
    let whole = SmsDeliver::data_download(sm_sr_address(), [0x62; 7], part).to_bytes();
    for cut in 0..whole.len() {
        let envelope = Envelope::SmsPpDownload { service_centre: None, tpdu: whole[..cut].to_vec() };
        assert_eq!(terminal.envelope(&envelope).1, 0x6A80, "{cut}");
    }
}
