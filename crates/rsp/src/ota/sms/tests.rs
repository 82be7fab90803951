use super::*;

fn unhex(digits: &str) -> Vec<u8> {
    hex::decode(digits).unwrap()
}

fn from(text: &str) -> Address {
    text.parse().unwrap()
}

/// The TPDU of `AES128-SJA5-CIPHERED-CC` in pySim's tests/unittests/test_ota.py, except for TP-UDL:
/// that test leaves it at 3, the length of the header.
#[test]
fn the_delivery_of_pysim_decodes() {
    let packet = "00281506192222b00011e87cceebb2d93083011ce294f93fc4d8de80da1abae8c37ca3e72ec4432e5058";
    let tpdu = unhex(&format!("440881214365877ff6227052000000002d027000{packet}"));
    let deliver = SmsDeliver::parse(&tpdu).unwrap();
    assert_eq!(deliver.to_bytes(), tpdu);
    assert_eq!(deliver.originator.to_string(), "12345678");
    assert!(deliver.is_data_download());
    let mut reassembler = Reassembler::default();
    let accepted = reassembler.accept(&deliver.originator, deliver.user_data.clone());
    assert_eq!(accepted, Ok(Accepted::Whole(PacketKind::Command, unhex(packet))));
    let segments = segments(&unhex(packet), PacketKind::Command, Reference::Short(0)).unwrap();
    assert_eq!(segments, [deliver.user_data]);
}

/// The messages of pySim's tests/unittests/test_sms.py (`Test_SUBMIT`, `Test_DELIVER`).
#[test]
fn the_messages_of_pysim_decode() {
    let tpdu = unhex(
        "550d0b911614261771f000f5a78c0b050423f423f40003010201424547494e3a56434152440d0a56455253494f4e3a322e310d0a4e3a4d650d0a\
         54454c3b505245463b43454c4c3b564f4943453a2b36313431363237313137300d0a54454c3b484f4d453b564f4943453a2b36313339353337303437310d0a\
         54454c3b574f524b3b564f4943453a2b36313339363734373031350d0a454e443a",
    );
    let submit = SmsSubmit::parse(&tpdu).unwrap();
    assert_eq!(submit.to_bytes(), tpdu);
    assert!(submit.reject_duplicates && !submit.status_report_request && is_submit(&tpdu).unwrap());
    assert_eq!((submit.message_reference, submit.validity), (13, Some(ValidityPeriod::Relative(0xA7))));
    assert_eq!(submit.destination.to_string(), "+61416271170");
    assert_eq!(submit.user_data.header.len(), 2);
    assert_eq!(submit.user_data.octets.len(), 128);

    let tpdu = unhex("0408D0E5759A0E7FF6907090307513000824010101BB400101");
    let deliver = SmsDeliver::parse(&tpdu).unwrap();
    assert_eq!(deliver.to_bytes(), tpdu);
    assert!(!deliver.more_messages && deliver.user_data.header.is_empty());
    assert_eq!(deliver.user_data.octets, unhex("24010101BB400101"));
}

#[test]
fn text_in_septets_is_preserved() {
    let tpdu = unhex("040491214300002270520000000005e8329bfd06");
    let deliver = SmsDeliver::parse(&tpdu).unwrap();
    assert_eq!((deliver.user_data.septets, deliver.user_data.octets.len()), (Some(5), 5));
    assert_eq!(deliver.to_bytes(), tpdu);
    assert!(!deliver.is_data_download());
}

#[test]
fn truncated_messages_are_refused() {
    let deliver = SmsDeliver::data_download(
        from("+4912"),
        [0x22; 7],
        segments(&[7; 20], PacketKind::Command, Reference::Short(0)).unwrap().remove(0),
    );
    let submit = SmsSubmit {
        validity: Some(ValidityPeriod::Absolute([1; 7])),
        ..SmsSubmit::data(from("12"), deliver.user_data.clone())
    };
    let report = SmsDeliverReport::of_card(deliver.user_data.clone(), None);
    let negative = SmsDeliverReport::of_card(deliver.user_data.clone(), Some(FAILURE_DATA_DOWNLOAD));
    assert_eq!(SmsDeliver::parse(&deliver.to_bytes()), Ok(deliver.clone()));
    assert_eq!(SmsSubmit::parse(&submit.to_bytes()), Ok(submit.clone()));
    assert_eq!(SmsDeliverReport::parse(&report.to_bytes()), Ok(report.clone()));
    assert_eq!(SmsDeliverReport::parse(&negative.to_bytes()), Ok(negative));
    for (tpdu, parse) in [
        (deliver.to_bytes(), (|tpdu| SmsDeliver::parse(tpdu).is_err()) as fn(&[u8]) -> bool),
        (submit.to_bytes(), |tpdu| SmsSubmit::parse(tpdu).is_err()),
        (report.to_bytes(), |tpdu| SmsDeliverReport::parse(tpdu).is_err()),
    ] {
        for cut in 0..tpdu.len() {
            assert!(parse(&tpdu[..cut]), "{cut} of {}", hex::encode(&tpdu));
        }
    }
    assert!(SmsSubmit::parse(&deliver.to_bytes()).is_err());
    assert_eq!(SmsDeliverReport::parse(&[0, 0]), Ok(SmsDeliverReport::default()));
}

// req: TS.23.040-9.2-Header
#[test]
fn malformed_headers_are_refused() {
    for octets in ["00", "02", "027001", "0370", "0300", "0171"] {
        assert!(UserData::parse(&unhex(octets), true).is_err(), "{octets}");
    }
    let long = unhex(&format!("440491214300f62270520000000{}", "08d02700000"));
    assert!(SmsDeliver::parse(&long).is_err());
}

fn packet(octets: usize) -> Vec<u8> {
    (0..octets).map(|at| (at % 251) as u8).collect()
}

#[test]
fn segments_are_full_and_start_with_the_headers_of_the_standard() {
    assert_eq!(segments(&packet(137), PacketKind::Command, Reference::Short(1)).unwrap().len(), 1);
    let two = segments(&packet(138), PacketKind::Response, Reference::Short(0xAB)).unwrap();
    assert_eq!(two[0].to_bytes()[..8], unhex("070003ab02017100"));
    assert_eq!(two[1].to_bytes()[..6], unhex("050003ab0202"));
    let long = segments(&packet(1000), PacketKind::Command, Reference::Long(0x1234)).unwrap();
    assert_eq!(long[0].to_bytes()[..9], unhex("080804123408017000"));
    assert!(long.iter().rev().skip(1).all(|each| each.to_bytes().len() == MAX_USER_DATA));
    let most = 132 + 254 * 134;
    assert_eq!(segments(&packet(most), PacketKind::Command, Reference::Short(0)).unwrap().len(), 255);
    assert_eq!(segments(&packet(most + 1), PacketKind::Command, Reference::Short(0)), Err(TooLong(most + 1)));
}

#[test]
fn segments_are_reassembled_in_any_order_and_duplicates_are_ignored() {
    let peer = from("+49123");
    for reference in [Reference::Short(7), Reference::Long(700)] {
        for octets in [138, 400, 1000] {
            let whole = Accepted::Whole(PacketKind::Command, packet(octets));
            let parts = segments(&packet(octets), PacketKind::Command, reference).unwrap();
            for turn in 0..parts.len() {
                let mut reassembler = Reassembler::default();
                let mut order: Vec<UserData> = parts.clone();
                order.rotate_left(turn);
                if turn % 2 == 1 {
                    order.reverse();
                }
                let last = order.pop().unwrap();
                for (count, part) in order.iter().enumerate() {
                    let waiting = Accepted::Waiting { have: count as u8 + 1, of: parts.len() as u8 };
                    assert_eq!(reassembler.accept(&peer, part.clone()), Ok(waiting));
                    assert_eq!(reassembler.accept(&peer, part.clone()), Ok(Accepted::Duplicate));
                }
                assert_eq!(reassembler.accept(&peer, last), Ok(whole.clone()));
                assert!(reassembler.is_empty());
            }
        }
    }
}

#[test]
fn packets_of_different_senders_do_not_mix() {
    let mut reassembler = Reassembler::default();
    let one = segments(&packet(200), PacketKind::Command, Reference::Short(9)).unwrap();
    let other = segments(&[0xEE; 200], PacketKind::Command, Reference::Short(9)).unwrap();
    let waiting = Ok(Accepted::Waiting { have: 1, of: 2 });
    assert_eq!(reassembler.accept(&from("1"), one[0].clone()), waiting);
    assert_eq!(reassembler.accept(&from("2"), other[1].clone()), waiting);
    let short_and_long = segments(&packet(200), PacketKind::Command, Reference::Long(9)).unwrap();
    assert_eq!(reassembler.accept(&from("1"), short_and_long[1].clone()), waiting);
    let text = serde_json::to_string(&reassembler).unwrap();
    let mut reassembler: Reassembler = serde_json::from_str(&text).unwrap();
    let whole = |octets| Ok(Accepted::Whole(PacketKind::Command, octets));
    assert_eq!(reassembler.accept(&from("1"), one[1].clone()), whole(packet(200)));
    assert_eq!(reassembler.accept(&from("2"), other[0].clone()), whole(vec![0xEE; 200]));
}

#[test]
fn a_reused_reference_starts_a_new_packet() {
    let mut reassembler = Reassembler::default();
    let peer = from("1");
    let old = segments(&packet(200), PacketKind::Command, Reference::Short(9)).unwrap();
    let new = segments(&[0xEE; 200], PacketKind::Command, Reference::Short(9)).unwrap();
    reassembler.accept(&peer, old[0].clone()).unwrap();
    assert_eq!(reassembler.accept(&peer, new[0].clone()), Ok(Accepted::Waiting { have: 1, of: 2 }));
    let whole = Accepted::Whole(PacketKind::Command, vec![0xEE; 200]);
    assert_eq!(reassembler.accept(&peer, new[1].clone()), Ok(whole));
}

#[test]
fn a_duplicate_segment_is_not_part_of_the_next_packet() {
    let peer = from("1");
    let old = segments(&packet(200), PacketKind::Response, Reference::Short(1)).unwrap();
    let new = segments(&[0xEE; 200], PacketKind::Response, Reference::Short(1)).unwrap();
    let [old, new] = [old, new].map(|parts| <[UserData; 2]>::try_from(parts).unwrap());
    for late in 0..2 {
        for order in [[0, 1], [1, 0]] {
            let mut reassembler = Reassembler::default();
            reassembler.accept(&peer, old[0].clone()).unwrap();
            reassembler.accept(&peer, old[1].clone()).unwrap();
            // The duplicate arrives before the next packet, with the state restored from a record.
            let duplicate = Ok(Accepted::Duplicate);
            assert_eq!(reassembler.accept(&peer, old[late].clone()), duplicate);
            let text = serde_json::to_string(&reassembler).unwrap();
            let mut reassembler: Reassembler = serde_json::from_str(&text).unwrap();
            let waiting = Ok(Accepted::Waiting { have: 1, of: 2 });
            assert_eq!(reassembler.accept(&peer, new[order[0]].clone()), waiting);
            // The duplicate arrives during the next packet. It might belong to that packet, so it
            // may complete a packet, but it must not corrupt the next packet.
            let whole = Accepted::Whole(PacketKind::Response, vec![0xEE; 200]);
            let during = reassembler.accept(&peer, old[late].clone());
            assert!(
                during == duplicate
                    || matches!(&during, Ok(Accepted::Whole(..)) if during != Ok(whole.clone()))
            );
            assert_eq!(reassembler.accept(&peer, new[order[1]].clone()), Ok(whole));
            assert_eq!(reassembler.accept(&peer, new[late].clone()), duplicate);
            assert!(reassembler.is_empty());
        }
    }
}

#[test]
fn a_packet_with_the_same_last_segment_as_the_previous_one_is_complete() {
    let mut reassembler = Reassembler::default();
    let peer = from("1");
    for first in 0..3 {
        let whole = [vec![first; 132], vec![0xEE; 68]].concat();
        let parts = segments(&whole, PacketKind::Command, Reference::Short(1)).unwrap();
        let [one, two] = <[UserData; 2]>::try_from(parts).unwrap();
        assert_eq!(reassembler.accept(&peer, one), Ok(Accepted::Waiting { have: 1, of: 2 }));
        assert_eq!(reassembler.accept(&peer, two), Ok(Accepted::Whole(PacketKind::Command, whole)));
    }
}

#[test]
fn a_repeated_packet_is_complete_each_time() {
    let mut reassembler = Reassembler::default();
    let peer = from("1");
    for _ in 0..3 {
        for parts in [200, 300] {
            let parts = segments(&packet(parts), PacketKind::Command, Reference::Short(parts as u8)).unwrap();
            let (last, others) = parts.split_last().unwrap();
            for part in others {
                let accepted = reassembler.accept(&peer, part.clone()).unwrap();
                assert!(matches!(accepted, Accepted::Waiting { .. } | Accepted::Duplicate));
            }
            let accepted = reassembler.accept(&peer, last.clone()).unwrap();
            assert!(matches!(accepted, Accepted::Whole(..)), "{accepted:?}");
        }
    }
}

#[test]
fn the_number_of_remembered_packets_is_limited() {
    let mut reassembler = Reassembler::default();
    let peer = from("1");
    let parts = |reference| segments(&packet(200), PacketKind::Command, Reference::Short(reference)).unwrap();
    for reference in 0..=MAX_PARTIAL as u8 {
        for part in parts(reference) {
            reassembler.accept(&peer, part).unwrap();
        }
    }
    let again = |reassembler: &mut Reassembler, reference: u8| {
        reassembler.accept(&peer, parts(reference).remove(1)).unwrap()
    };
    assert_eq!(again(&mut reassembler, 1), Accepted::Duplicate);
    assert_eq!(again(&mut reassembler, 0), Accepted::Waiting { have: 1, of: 2 });
}

#[test]
fn a_lost_segment_does_not_block_later_packets() {
    let mut reassembler = Reassembler::default();
    let peer = from("1");
    for reference in 0..=MAX_PARTIAL as u8 {
        let part =
            segments(&packet(200), PacketKind::Command, Reference::Short(reference)).unwrap().remove(0);
        reassembler.accept(&peer, part).unwrap();
    }
    // The first packet was discarded, the second was not.
    let second = |reference| {
        segments(&packet(200), PacketKind::Command, Reference::Short(reference)).unwrap().remove(1)
    };
    assert!(matches!(reassembler.accept(&peer, second(1)), Ok(Accepted::Whole(..))));
    assert_eq!(reassembler.accept(&peer, second(0)), Ok(Accepted::Waiting { have: 1, of: 2 }));
}

#[test]
fn messages_without_a_secured_packet_are_recognised() {
    let mut reassembler = Reassembler::default();
    let peer = from("1");
    assert_eq!(reassembler.accept(&peer, UserData::plain(vec![1])), Ok(Accepted::Unsecured));
    let port = InformationElement { identifier: 5, data: vec![0, 1, 0, 2] };
    let message = UserData { header: vec![port], octets: vec![1], septets: None };
    assert_eq!(reassembler.accept(&peer, message), Ok(Accepted::Unsecured));
    for data in [vec![1, 2], vec![1, 2, 0], vec![1, 2, 3], vec![1, 0, 0]] {
        let element = InformationElement { identifier: 0, data };
        let message = UserData { header: vec![element], octets: vec![1], septets: None };
        assert!(reassembler.accept(&peer, message).is_err());
    }
    assert!(reassembler.is_empty());
}
