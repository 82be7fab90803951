//! The form of messages.

use bytes::Bytes;
use coap::message::{Code, InvalidMessage, Kind, MAX_OPTIONS, Message, Options, Token, option};
use coap::{Block, BlockSize};

fn octets(hex: &str) -> Bytes {
    hex::decode(hex.replace(' ', "")).unwrap().into()
}

/// The messages of RFC 7252 Appendix A, figures 16, 17 and 20 (the octets are drawn in the first
/// two, and listed as fields in the third).
#[test]
fn messages_of_rfc_7252_have_its_octets() {
    let temperature = |kind, id, token: &[u8]| {
        let mut message = Message::new(kind, Code::of(0, 1), id, Token::try_from(token).unwrap());
        message.options.add(option::URI_PATH, "temperature");
        message
    };
    let content = |kind, id, token: &[u8]| {
        let mut message = Message::new(kind, Code::CONTENT, id, Token::try_from(token).unwrap());
        message.payload = Bytes::from_static(b"22.3 C");
        message
    };
    let path = "74 65 6d 70 65 72 61 74 75 72 65";
    let degrees = "32 32 2e 33 20 43";
    for (message, hex) in [
        (temperature(Kind::Confirmable, 0x7D34, &[]), format!("40 01 7d 34 bb {path}")),
        (content(Kind::Acknowledgement, 0x7D34, &[]), format!("60 45 7d 34 ff {degrees}")),
        (temperature(Kind::Confirmable, 0x7D35, &[0x20]), format!("41 01 7d 35 20 bb {path}")),
        (content(Kind::Acknowledgement, 0x7D35, &[0x20]), format!("61 45 7d 35 20 ff {degrees}")),
        (Message::empty(Kind::Acknowledgement, 0x7D38), "60 00 7d 38".to_owned()),
        (content(Kind::Confirmable, 0xAD7B, &[0x53]), format!("41 45 ad 7b 53 ff {degrees}")),
        (Message::empty(Kind::Reset, 0xAD7B), "70 00 ad 7b".to_owned()),
    ] {
        assert_eq!(message.encode(), octets(&hex));
        assert_eq!(Message::decode(&octets(&hex)), Ok(message));
    }
}

/// Extended deltas and lengths: RFC 7252 section 3.1.
#[test]
fn deltas_and_lengths_of_each_form_round_trip() {
    for number in [0, 12, 13, 268, 269, 65535] {
        for length in [0, 12, 13, 268, 269, 1034] {
            let mut message = Message::new(Kind::NonConfirmable, Code::POST, 1, Token::of(0xABCD));
            message.options.add(number, vec![7; length]);
            message.options.add(number, vec![8; length]);
            message.payload = Bytes::from_static(&[0xFF]);
            assert_eq!(Message::decode(&message.encode()), Ok(message), "option {number} of {length}");
        }
    }
}

#[test]
fn a_datagram_with_a_format_error_is_not_a_message() {
    for (hex, error) in [
        ("", InvalidMessage::Short),
        ("40 01 7d", InvalidMessage::Short),
        ("42 01 7d 34 20", InvalidMessage::Short),
        ("00 01 7d 34", InvalidMessage::Version(0)),
        ("80 01 7d 34", InvalidMessage::Version(2)),
        ("49 01 7d 34 00 00 00 00 00 00 00 00 00", InvalidMessage::TokenLength(9)),
        ("40 01 7d 34 b2 61", InvalidMessage::Option),
        ("40 01 7d 34 f0", InvalidMessage::Option),
        ("40 01 7d 34 0f", InvalidMessage::Option),
        ("40 01 7d 34 d0", InvalidMessage::Option),
        ("40 01 7d 34 e0 ff", InvalidMessage::Option),
        ("40 01 7d 34 e0 fe f2 10", InvalidMessage::Option),
        ("40 01 7d 34 e0 ff ff", InvalidMessage::Option),
        ("40 01 7d 34 ff", InvalidMessage::NoPayload),
        ("41 00 7d 34 20", InvalidMessage::EmptyWithContent),
        ("60 00 7d 34 ff 01", InvalidMessage::EmptyWithContent),
        ("60 00 7d 34 10", InvalidMessage::EmptyWithContent),
    ] {
        assert_eq!(Message::decode(&octets(hex)), Err(error), "{hex}");
    }
    let many = [octets("40 02 00 01"), Bytes::from(vec![0; MAX_OPTIONS + 1])].concat();
    assert_eq!(Message::decode(&many.into()), Err(InvalidMessage::TooManyOptions));
}

/// RFC 7959 section 2.2: the block size is 2 to the power of SZX + 4, and SZX 7 is reserved.
#[test]
fn block_options_have_the_octets_of_rfc_7959() {
    let size = |octets| BlockSize::of(octets).unwrap();
    for (block, hex) in [
        (Block { number: 0, more: false, size: size(16) }, ""),
        (Block { number: 0, more: true, size: size(128) }, "0b"),
        (Block { number: 4, more: true, size: size(32) }, "49"),
        (Block { number: 15, more: false, size: size(1024) }, "f6"),
        (Block { number: 16, more: true, size: size(64) }, "010a"),
        (Block { number: 0xF_FFFF, more: false, size: size(16) }, "fffff0"),
    ] {
        let mut options = Options::default();
        block.write(&mut options, option::BLOCK1);
        assert_eq!(options.first(option::BLOCK1), Some(&octets(hex)), "{block:?}");
        assert_eq!(Block::read(&options, option::BLOCK1), Ok(Some(block)));
        assert_eq!(Block::read(&options, option::BLOCK2), Ok(None));
    }
    for invalid in ["07", "0f", "00000000"] {
        let mut options = Options::default();
        options.add(option::BLOCK2, octets(invalid));
        assert!(Block::read(&options, option::BLOCK2).is_err(), "{invalid}");
    }
    for octets in [0, 8, 15, 17, 2048] {
        assert_eq!(BlockSize::of(octets), None);
    }
}
