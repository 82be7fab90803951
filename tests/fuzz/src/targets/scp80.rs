//! Secured packets of SCP80 in short messages. The first octet selects the layer: a packet, a
//! script that is sealed and opened again, or a short message with a packet.

use crypto::scp80::{Head, Key, Keys, Opened, Protection, open, seal};
use rsp::ota::script::{Script, ScriptResponse};
use rsp::ota::secured_packet::{CommandPacket, ResponsePacket};
use rsp::ota::sms::{Reassembler, SmsDeliver, SmsSubmit, UserData};

pub(crate) fn run(octets: &[u8]) -> bool {
    match octets {
        [b'p', packet @ ..] => packet_of(packet),
        [b's', script @ ..] => sealed(script),
        [b'm', message @ ..] => short_message(message),
        _ => false,
    }
}

fn keys() -> Keys {
    Keys { kic: Key::Aes([0x11; 16].into()), kid: Key::Aes([0x22; 16].into()) }
}

fn packet_of(octets: &[u8]) -> bool {
    let response = ResponsePacket::parse(octets);
    let Ok(packet) = CommandPacket::parse(octets) else { return response.is_ok() };
    let head: Option<&[u8; 7]> = octets.get(3..).and_then(<[u8]>::first_chunk);
    if let Some(head) = head {
        for protection in [
            Protection::FULL,
            Protection { checksum: false, ciphered: false },
            Protection { checksum: true, ciphered: false },
        ] {
            let _ = open(Head::Command(head), octets, protection, &keys());
        }
    }
    packet.body.len() < octets.len()
}

/// Seals a script, opens the packet again, and parses the script.
fn sealed(script: &[u8]) -> bool {
    let head = [0x16, 0x39, 0x12, 0x12, 0x00, 0x00, 0x01];
    let contents = Opened { counter: [0, 0, 0, 0, 9], status: 0, data: script.to_vec() };
    let packet = seal(Head::Command(&head), &contents, Protection::FULL, &keys());
    let opened = open(Head::Command(&head), &packet, Protection::FULL, &keys());
    // The length field has two octets.
    if packet.len() < 0xFFFF {
        assert_eq!(opened.as_ref(), Ok(&contents));
    }
    let _ = ScriptResponse::parse(script);
    let Ok(read) = Script::parse(script) else { return false };
    assert_eq!(Script::parse(&read.to_bytes()), Ok(read));
    true
}

fn short_message(octets: &[u8]) -> bool {
    if let Ok(submit) = SmsSubmit::parse(octets) {
        assert_eq!(SmsSubmit::parse(&submit.to_bytes()), Ok(submit));
    }
    if let Ok(data) = UserData::parse(octets, true) {
        let mut reassembler = Reassembler::default();
        let from = "+49100".parse().expect("a phone number");
        let _ = reassembler.accept(&from, data);
    }
    let Ok(deliver) = SmsDeliver::parse(octets) else { return false };
    assert_eq!(SmsDeliver::parse(&deliver.to_bytes()), Ok(deliver));
    true
}

pub(crate) fn samples() -> Vec<Vec<u8>> {
    [
        ('p', "00281506192222B00011E87CCEEBB2D93083011CE294F93FC4D8DE80DA1ABAE8C37CA3E72EC4432E5058"),
        ('s', "AA1C221A80E28800153A03124F10A0000005591010FFFFFFFF8900001100"),
        ('s', "AE80220580CAFF21000000"),
        (
            'm',
            "400881214365877FF6227052000000002D02700000281506192222B00011E87CCEEBB2D93083011CE294F93FC4D8DE80DA1ABAE8C37CA3E72EC4432E5058",
        ),
    ]
    .iter()
    .filter_map(|(layer, digits)| {
        Some([vec![u8::try_from(*layer).ok()?], hex::decode(digits).ok()?].concat())
    })
    .collect()
}
