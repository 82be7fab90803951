//! Malformed input from the terminal in envelopes and responses, in any order. The card does not
//! panic, and processes commands of its SM-SR afterwards.

use crypto::scp80::{Opened, Protection};
use rsp::ota::cat::{
    ChannelState, ChannelStatus, Envelope, EventDownload, LocationStatus, Proactive, Response,
    TerminalResponse, TimerValue,
};
use rsp::ota::script::{Script, ScriptResponse};
use rsp::ota::secured_packet::{ResponseStatus, Spi};
use rsp::ota::sms::{PacketKind, Reference, SmsDeliver, segments};
use world::{Random, SeededRandom};

use super::https_link::{Link, triggered};
use super::short_messages::submitted;
use super::terminal::{TestTerminal, opened, opened_packet, sm_sr_address};

/// Asserts that the card executes scripts of its SM-SR and sends responses, both in its present
/// state and after a reset. Recovery only by a reset is a failure, because a malformed message must
/// not stop the card.
fn assert_usable(terminal: &mut TestTerminal, what: &str) {
    terminal.follow_protocol();
    assert_executes_scripts(terminal, what);
    assert_usable_after_reset(terminal, what);
}

fn assert_usable_after_reset(terminal: &mut TestTerminal, what: &str) {
    terminal.follow_protocol();
    terminal.reset();
    terminal.start();
    assert_executes_scripts(terminal, &format!("{what}, after a reset"));
}

/// Asserts that scripts are executed: one with a response in the delivery report, one with a
/// response by short message.
fn assert_executes_scripts(terminal: &mut TestTerminal, what: &str) {
    let script = Script::of_apdus([hex::decode("80CAFF2100").unwrap()]).to_bytes();
    let is_done = |answer: &Opened| {
        assert_eq!(answer.status, ResponseStatus::Ok.code(), "{what}");
        assert_eq!(ScriptResponse::parse(&answer.data).unwrap().apdus().count(), 1, "{what}");
    };
    is_done(&opened(&terminal.packet(Spi::COMMAND_ANSWERED_IN_REPORT, &script)));
    terminal.sent.clear();
    assert!(terminal.packet(Spi::COMMAND_ANSWERED_BY_SUBMIT, &script).is_empty());
    assert!(!terminal.sent.is_empty(), "{what}: the card does not send its response");
    is_done(&opened_packet(&submitted(&terminal.sent), Protection::FULL));
}

fn envelopes(terminal: &mut TestTerminal) -> Vec<Vec<u8>> {
    let packet = terminal.next_packet(Spi::COMMAND_ANSWERED_IN_REPORT, &[0x81, 0x00]);
    let part = segments(&packet, PacketKind::Command, Reference::Short(1)).unwrap().remove(0);
    let tpdu = SmsDeliver::data_download(sm_sr_address(), [0x62; 7], part).to_bytes();
    let status = ChannelStatus { channel: 1, state: ChannelState::Open };
    let dropped = ChannelStatus { channel: 1, state: ChannelState::Dropped };
    [
        Envelope::SmsPpDownload { service_centre: Some(sm_sr_address()), tpdu },
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
fn malformed_envelopes_are_refused() {
    let mut terminal = TestTerminal::settled();
    for envelope in envelopes(&mut terminal) {
        for cut in 1..envelope.len() {
            terminal.command(0xC2, &envelope[..cut]);
            terminal.run();
        }
        for at in 0..envelope.len() {
            for value in [0x00, 0x01, 0x7F, 0x80, 0xFF, envelope[at] ^ 0x01, envelope[at] ^ 0x80] {
                let mut altered = envelope.clone();
                altered[at] = value;
                let (_, status) = terminal.command(0xC2, &altered);
                assert!(matches!(status, 0x9000 | 0x9100 | 0x6A80 | 0x6A81), "{status:04X}");
                terminal.run();
            }
        }
        assert_usable(&mut terminal, &hex::encode(&envelope));
    }
}

/// Malformed responses to a proactive command.
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
    // A successful result with elements that are unexpected, truncated or too long.
    for element in
        ["B600", "B681FF00", "B701", "B80100", "B802FFFF", "B802010536", "8402FF00", "1401FF", "1300"]
    {
        garbage.push([right.clone(), hex::decode(element).unwrap()].concat());
    }
    garbage
}

#[test]
fn malformed_terminal_responses_in_a_session_do_not_stop_the_card() {
    let mut steps = 0;
    for step in 0..60 {
        for kind in 0.. {
            let mut terminal = TestTerminal::settled();
            terminal.link = Some(Link::new([]));
            terminal.commands_left = Some(step);
            terminal.packet(Spi::UNANSWERED, &super::https_link::trigger());
            terminal.commands_left = None;
            let Some(proactive) = terminal.fetch() else { break };
            let garbage = garbage(&proactive);
            let Some(octets) = garbage.get(kind) else { break };
            steps += usize::from(kind == 0);
            terminal.command(0x14, octets);
            // The terminal then executes the further commands of the card.
            terminal.follows_protocol = false;
            terminal.run();
            for _ in 0..4 {
                terminal.expire_timer();
            }
            if kind % 8 == 0 {
                assert_usable(&mut terminal, &format!("step {step}: {}", hex::encode(octets)));
            }
        }
    }
    assert!(steps > 8, "{steps}");
}

#[test]
fn malformed_terminal_responses_after_terminal_profile_do_not_stop_the_card() {
    for step in 0..8 {
        let mut terminal = TestTerminal::new(crate::m2m::tests::testbed::Testbed::new());
        terminal.commands_left = Some(step);
        terminal.start();
        terminal.commands_left = None;
        terminal.status();
        for _ in 0..3 {
            if let Some(proactive) = terminal.fetch() {
                for octets in garbage(&proactive) {
                    terminal.command(0x14, &octets);
                }
            }
            terminal.status();
        }
        assert_usable(&mut terminal, &format!("step {step}"));
    }
}

#[test]
fn unexpected_terminal_response_and_fetch_are_refused() {
    let mut terminal = TestTerminal::settled();
    assert_eq!(terminal.command(0x14, &[0x81, 3, 2, 3, 0, 0x82, 2, 0x82, 0x81, 0x83, 1, 0]).1, 0x6985);
    assert_eq!(terminal.testbed.terminal("8012000000"), "6985");
    terminal.link = Some(Link::new([]));
    terminal.commands_left = Some(0);
    terminal.packet(Spi::UNANSWERED, &super::https_link::trigger());
    terminal.commands_left = None;
    assert!(terminal.fetch().is_some());
    assert_eq!(terminal.testbed.terminal("8012000000"), "6985");
    assert_usable(&mut terminal, "fetched twice");
}

#[test]
fn random_terminal_behaviour_does_not_stop_the_card() {
    const SEED: &str = "random terminal";
    let random = SeededRandom::from_text(SEED);
    let below = |limit: usize| {
        let mut octets = [0; 4];
        random.fill(&mut octets);
        usize::try_from(u32::from_be_bytes(octets)).unwrap() % limit
    };
    for round in 0..20 {
        let mut terminal = triggered([]);
        terminal.follows_protocol = false;
        let envelopes = envelopes(&mut terminal);
        for _ in 0..200 {
            match below(8) {
                0 => terminal.status(),
                1 => {
                    terminal.fetch();
                }
                2 => {
                    if let Some(proactive) = terminal.fetch() {
                        let garbage = garbage(&proactive);
                        terminal.command(0x14, &garbage[below(garbage.len())]);
                    }
                }
                3 => {
                    let mut octets = vec![0; 1 + below(60)];
                    random.fill(&mut octets);
                    // A random terminal profile can lack facilities that the card needs to respond.
                    // The rounds that send one therefore check the card only after a reset.
                    let can_send_profile = round % 2 == 1;
                    terminal
                        .command([0xC2, 0x14, 0x10][below(if can_send_profile { 3 } else { 2 })], &octets);
                }
                4 => {
                    terminal.expire_timer();
                }
                5 => {
                    let mut octets = envelopes[below(envelopes.len())].clone();
                    let at = below(octets.len());
                    octets[at] = u8::try_from(below(256)).unwrap();
                    terminal.command(0xC2, &octets);
                }
                6 => terminal.report_network(
                    [LocationStatus::Normal, LocationStatus::Limited, LocationStatus::None][below(3)],
                ),
                _ => terminal.empty_trigger(),
            }
        }
        let what = format!("seed {SEED:?}, round {round}");
        if round % 2 == 1 {
            assert_usable_after_reset(&mut terminal, &what);
        } else {
            assert_usable(&mut terminal, &what);
        }
    }
}
