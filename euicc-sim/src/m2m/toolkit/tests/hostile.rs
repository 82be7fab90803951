//! Garbage from the terminal: in every envelope, in every response, in every order. The card does not panic, and obeys its
//! SM-SR afterwards.

use crypto::scp80::{Opened, Protection};
use rsp::ota::cat::{
    ChannelState, ChannelStatus, Envelope, EventDownload, LocationStatus, Proactive, Response,
    TerminalResponse, TimerValue,
};
use rsp::ota::script::{Script, ScriptResponse};
use rsp::ota::secured_packet::{ResponseStatus, Spi};
use rsp::ota::sms::{PacketKind, Reference, SmsDeliver, segments};
use world::{Dice, SeededDice};

use super::https_link::{Link, triggered};
use super::phone::{Phone, opened, opened_packet, peer};
use super::short_messages::submitted;

/// The card does what its SM-SR wants and can say so, as it is and after a reset: a card that a reset alone gives its voice
/// back has been silenced.
fn is_usable(phone: &mut Phone, what: &str) {
    phone.behave();
    obeys(phone, what);
    is_usable_after_a_reset(phone, what);
}

fn is_usable_after_a_reset(phone: &mut Phone, what: &str) {
    phone.behave();
    phone.reset();
    phone.start();
    obeys(phone, &format!("{what}, after a reset"));
}

/// Scripts that are carried out: one answered in the report, one by a message that the terminal is asked to send.
fn obeys(phone: &mut Phone, what: &str) {
    let script = Script::of_apdus([hex::decode("80CAFF2100").unwrap()]).to_bytes();
    let is_done = |answer: &Opened| {
        assert_eq!(answer.status, ResponseStatus::Ok.code(), "{what}");
        assert_eq!(ScriptResponse::parse(&answer.data).unwrap().apdus().count(), 1, "{what}");
    };
    is_done(&opened(&phone.packet(Spi::COMMAND_ANSWERED_IN_REPORT, &script)));
    phone.sent.clear();
    assert!(phone.packet(Spi::COMMAND_ANSWERED_BY_SUBMIT, &script).is_empty());
    assert!(!phone.sent.is_empty(), "{what}: the card does not ask for its answer to be sent");
    is_done(&opened_packet(&submitted(&phone.sent), Protection::FULL));
}

fn envelopes(phone: &mut Phone) -> Vec<Vec<u8>> {
    let packet = phone.next_packet(Spi::COMMAND_ANSWERED_IN_REPORT, &[0x81, 0x00]);
    let part = segments(&packet, PacketKind::Command, Reference::Short(1)).unwrap().remove(0);
    let tpdu = SmsDeliver::data_download(peer(), [0x62; 7], part).to_bytes();
    let status = ChannelStatus { channel: 1, state: ChannelState::Open };
    let dropped = ChannelStatus { channel: 1, state: ChannelState::Dropped };
    [
        Envelope::SmsPpDownload { service_centre: Some(peer()), tpdu },
        Envelope::TimerExpiration { timer: 1, value: TimerValue::of_seconds(180) },
        Envelope::EventDownload(EventDownload::LocationStatus {
            status: LocationStatus::Normal,
            location: None,
        }),
        Envelope::EventDownload(EventDownload::DataAvailable { status, length: 0xFF }),
        Envelope::EventDownload(EventDownload::ChannelStatus(dropped)),
    ]
    .iter()
    .map(Envelope::to_bytes)
    .collect()
}

#[test]
fn garbage_in_every_envelope() {
    let mut phone = Phone::settled();
    for envelope in envelopes(&mut phone) {
        for cut in 1..envelope.len() {
            phone.command(0xC2, &envelope[..cut]);
            phone.serve();
        }
        for at in 0..envelope.len() {
            for value in [0x00, 0x01, 0x7F, 0x80, 0xFF, envelope[at] ^ 0x01, envelope[at] ^ 0x80] {
                let mut altered = envelope.clone();
                altered[at] = value;
                let (_, status) = phone.command(0xC2, &altered);
                assert!(matches!(status, 0x9000 | 0x9100 | 0x6A80 | 0x6A81), "{status:04X}");
                phone.serve();
            }
        }
        is_usable(&mut phone, &hex::encode(&envelope));
    }
}

/// What a terminal says to a command instead of an answer.
fn garbage(proactive: &Proactive) -> Vec<Vec<u8>> {
    let right = TerminalResponse::performed(proactive, Response::None).to_bytes();
    let all = right.iter().enumerate();
    let mut garbage: Vec<_> = all
        .map(|(at, octet)| {
            let mut altered = right.clone();
            altered[at] = octet ^ 0xFF;
            altered
        })
        .collect();
    garbage.extend((1..right.len()).map(|cut| right[..cut].to_vec()));
    // Performed, with elements that are none of this command's, or cut short, or too long.
    for element in
        ["B600", "B681FF00", "B701", "B80100", "B802FFFF", "B802010536", "8402FF00", "1401FF", "1300"]
    {
        garbage.push([right.clone(), hex::decode(element).unwrap()].concat());
    }
    garbage
}

#[test]
fn garbage_in_every_terminal_response_of_a_session() {
    let mut steps = 0;
    for step in 0..60 {
        for kind in 0.. {
            let mut phone = Phone::settled();
            phone.link = Some(Link::new([]));
            phone.patience = Some(step);
            phone.packet(Spi::UNANSWERED, &super::https_link::trigger());
            phone.patience = None;
            let Some(proactive) = phone.fetch() else { break };
            let garbage = garbage(&proactive);
            let Some(octets) = garbage.get(kind) else { break };
            steps += usize::from(kind == 0);
            phone.command(0x14, octets);
            // What the card wants after it, it gets.
            phone.is_orderly = false;
            phone.serve();
            for _ in 0..4 {
                phone.ring();
            }
            if kind % 8 == 0 {
                is_usable(&mut phone, &format!("step {step}: {}", hex::encode(octets)));
            }
        }
    }
    assert!(steps > 8, "{steps}");
}

#[test]
fn garbage_in_every_terminal_response_of_the_beginning() {
    for step in 0..8 {
        let mut phone = Phone::new(crate::m2m::tests::bench::Bench::new());
        phone.patience = Some(step);
        phone.start();
        phone.patience = None;
        phone.status();
        for _ in 0..3 {
            if let Some(proactive) = phone.fetch() {
                for octets in garbage(&proactive) {
                    phone.command(0x14, &octets);
                }
            }
            phone.status();
        }
        is_usable(&mut phone, &format!("step {step}"));
    }
}

#[test]
fn responses_that_nobody_asked_for_and_fetches_of_nothing() {
    let mut phone = Phone::settled();
    assert_eq!(phone.command(0x14, &[0x81, 3, 2, 3, 0, 0x82, 2, 0x82, 0x81, 0x83, 1, 0]).1, 0x6985);
    assert_eq!(phone.bench.terminal("8012000000"), "6985");
    phone.link = Some(Link::new([]));
    phone.patience = Some(0);
    phone.packet(Spi::UNANSWERED, &super::https_link::trigger());
    phone.patience = None;
    assert!(phone.fetch().is_some());
    assert_eq!(phone.bench.terminal("8012000000"), "6985");
    is_usable(&mut phone, "fetched twice");
}

#[test]
fn whatever_a_terminal_does_in_whatever_order() {
    const SEED: &str = "a terminal that does what it likes";
    let dice = SeededDice::from_text(SEED);
    let random = |limit: usize| {
        let mut octets = [0; 4];
        dice.fill(&mut octets);
        usize::try_from(u32::from_be_bytes(octets)).unwrap() % limit
    };
    for round in 0..20 {
        let mut phone = triggered([]);
        phone.is_orderly = false;
        let envelopes = envelopes(&mut phone);
        for _ in 0..200 {
            match random(8) {
                0 => phone.status(),
                1 => {
                    phone.fetch();
                }
                2 => {
                    if let Some(proactive) = phone.fetch() {
                        let garbage = garbage(&proactive);
                        phone.command(0x14, &garbage[random(garbage.len())]);
                    }
                }
                3 => {
                    let mut octets = vec![0; 1 + random(60)];
                    dice.fill(&mut octets);
                    // A terminal whose profile is garbage has said that it can do anything, or nothing.
                    let can_begin_anew = round % 2 == 1;
                    phone.command([0xC2, 0x14, 0x10][random(if can_begin_anew { 3 } else { 2 })], &octets);
                }
                4 => {
                    phone.ring();
                }
                5 => {
                    let mut octets = envelopes[random(envelopes.len())].clone();
                    let at = random(octets.len());
                    octets[at] = u8::try_from(random(256)).unwrap();
                    phone.command(0xC2, &octets);
                }
                6 => phone.told_of_network(
                    [LocationStatus::Normal, LocationStatus::Limited, LocationStatus::None][random(3)],
                ),
                _ => phone.packet_of_nothing(),
            }
        }
        let what = format!("seed {SEED:?}, round {round}");
        if round % 2 == 1 {
            is_usable_after_a_reset(&mut phone, &what);
        } else {
            is_usable(&mut phone, &what);
        }
    }
}
