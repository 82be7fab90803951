//! Tests of the administration agent with an OpenSSL server and a scripted SM-SR.

use profile::Octets;
use rsp::ids::Aid;
use rsp::ota::admin::Reply;
use rsp::ota::cat::{Command, GeneralResult, LocationStatus, TerminalCapability};
use rsp::ota::script::{Form, Script, ScriptResponse};
use rsp::ota::secured_packet::{CommandHeader, Spi, Tar};
use rsp::ota::trigger::{HttpParameters, SecurityParameters, SessionParameters, SessionTrigger};
use rsp::sgp02::notification::{DefaultNotification, NotificationType};

use super::terminal::{TestTerminal, header, opened_of, sealed, without};
use crate::m2m::tests::testbed::{
    BOOTSTRAP, DELETE_ON_DISABLE, NO_RULES, SCP80, SCP81, Testbed, aid, isd_p_group, store_data,
};
use crate::m2m::toolkit::ToolkitSettings;
use crate::state::m2m::LifeCycle;

const RESOURCES: &str = "80CAFF2100";

use super::https_link::*;
#[test]
fn a_session_runs_scripts_until_the_server_replies_with_204() {
    let terminal = triggered([audit(Some("/2")), audit(Some("/3?x=y")), Reply::End]);
    let requests = &link(&terminal).requests;
    let uris: Vec<_> = requests.iter().map(|request| request.uri.as_str()).collect();
    assert_eq!(uris, ["/gsma/adminagent", "/2", "/3?x=y"]);
    let eid = terminal.testbed.card.eid();
    let from = format!("X-Admin-From: //se-id/eid/{eid};//aa-id/aid/A000000559/1010FFFFFFFF8900000100");
    for request in requests {
        for field in ["Host: sm-sr.example", "X-Admin-Protocol: globalplatform-remote-admin/1.0", &from] {
            assert!(request.head.contains(field), "{}", request.head);
        }
        assert!(!request.head.contains("X-Admin-Resume"));
    }
    assert!(requests[0].body.is_empty());
    for request in &requests[1..] {
        assert!(request.head.contains("X-Admin-Script-Status: ok"));
        let response = request.response();
        assert_eq!(response.form, Form::Indefinite);
        assert!(hex::encode_upper(&response.last_apdu().unwrap().data).starts_with("FF21"));
    }
    let opened = &link(&terminal).opened;
    assert_eq!(opened[0].parameters, session().connection.unwrap());
    assert_eq!((opened.len(), link(&terminal).closed), (1, 1));
    assert!(is_over(&terminal) && terminal.timers.is_empty());
}

#[test]
fn the_session_is_interrupted_after_two_replies_without_a_script() {
    let nothing =
        |uri: &str| Reply::Commands { target: None, next_uri: Some(uri.to_owned()), script: Vec::new() };
    let terminal = triggered([nothing("/2"), nothing("/3"), nothing("/4"), nothing("/5"), nothing("/6")]);
    let uris: Vec<_> = link(&terminal).requests.iter().map(|request| request.uri.clone()).collect();
    assert_eq!(uris, ["/gsma/adminagent", "/2"]);
    assert_eq!(link(&terminal).closed, 1);
    assert!(!is_over(&terminal) && !terminal.timers.is_empty(), "a retry is expected");
    // A script in between resets the count.
    let terminal =
        triggered([nothing("/2"), audit(Some("/3")), nothing("/4"), audit(Some("/5")), Reply::End]);
    assert_eq!(link(&terminal).requests.len(), 5);
    assert!(is_over(&terminal));
}

#[test]
fn a_script_without_a_next_uri_is_executed_and_ends_the_session() {
    let terminal = triggered([commands(&[store_data(&isd_p_group("3A03", NO_RULES))], None)]);
    assert_eq!((link(&terminal).requests.len(), link(&terminal).closed), (1, 1));
    assert_eq!(terminal.testbed.life_cycle(NO_RULES), Some(LifeCycle::Enabled));
}

#[test]
fn after_a_switch_the_session_ends_before_the_refresh() {
    let terminal = triggered([commands(&[store_data(&isd_p_group("3A03", NO_RULES))], Some("/2"))]);
    assert_eq!(link(&terminal).requests[1].response().last_apdu().unwrap().status.0, 0x9000);
    let position_of = |is: fn(&Command) -> bool| terminal.fetched.iter().position(is).unwrap();
    assert!(
        position_of(|each| matches!(each, Command::CloseChannel { .. }))
            < position_of(|each| matches!(each, Command::Refresh(_)))
    );
    assert_eq!(terminal.testbed.life_cycle(NO_RULES), Some(LifeCycle::Enabled));
}

#[test]
fn scripts_reach_applications_of_the_card_and_other_targets_are_unknown() {
    let of = |target: Aid| Reply::Commands {
        target: Some(target),
        next_uri: Some("/next".to_owned()),
        script: Script::of_apdus([hex::decode(RESOURCES).unwrap()]).to_bytes(),
    };
    let unreadable =
        Reply::Commands { target: None, next_uri: Some("/next".to_owned()), script: vec![0xAA, 1] };
    let terminal = triggered([of(Aid::isd_p(NO_RULES)), of(Aid::isd_p(0x77)), unreadable, Reply::End]);
    let requests = &link(&terminal).requests;
    assert!(requests[1].head.contains("X-Admin-Script-Status: ok"));
    assert!(requests[2].head.contains("X-Admin-Script-Status: unknown-application"));
    assert!(requests[2].body.is_empty());
    assert!(requests[3].head.contains("X-Admin-Script-Status: ok"));
    assert!(requests[3].response().bad_format.is_some());
}

#[test]
fn parameters_missing_in_the_trigger_are_taken_from_the_isd_r() {
    let testbed = Testbed::with(
        |description| {
            let addressing = &mut description.m2m.as_mut().unwrap().addressing;
            let session = SessionParameters { security: None, ..session() };
            addressing.https = Some(Octets::from(session.to_bytes().as_slice()));
        },
        world::RamMemory::default(),
    );
    let mut terminal = TestTerminal::new(testbed);
    terminal.settle();
    terminal.link = Some(Link::new([audit(Some("/2"))]));
    terminal.packet(Spi::UNANSWERED, &[0x81, 0x00]);
    assert_eq!(link(&terminal).requests.len(), 2);
    let http = HttpParameters { uri: Some("/other".to_owned()), ..HttpParameters::default() };
    let session = SessionParameters { http: Some(http), ..SessionParameters::default() };
    let trigger = SessionTrigger { session: Some(session), dns: None }.to_bytes();
    terminal.packet(Spi::UNANSWERED, &trigger);
    let last = &link(&terminal).requests[2];
    assert_eq!(last.uri, "/other");
    assert!(last.head.contains("Host: sm-sr.example"));
}

#[test]
fn a_session_that_cannot_start_is_abandoned() {
    // An address that neither the trigger nor the card has; a terminal without TCP channels; a
    // missing key.
    let mut terminal = TestTerminal::settled();
    terminal.packet(Spi::UNANSWERED, &[0x81, 0x00]);
    assert!(is_over(&terminal));
    let mut terminal = TestTerminal::new(Testbed::new());
    terminal.facilities = without(&[TerminalCapability::OPEN_CHANNEL]);
    terminal.settle();
    terminal.packet(Spi::UNANSWERED, &trigger());
    assert!(is_over(&terminal));
    let mut terminal = TestTerminal::settled();
    let security = SecurityParameters { psk_identity: vec![1], key_version: 0x41, key_identifier: 1 };
    let session = SessionParameters { security: Some(security), ..session() };
    terminal.packet(Spi::UNANSWERED, &SessionTrigger { session: Some(session), dns: None }.to_bytes());
    assert!(is_over(&terminal));
    assert!(!terminal.fetched.iter().any(|each| matches!(each, Command::OpenChannel(_))));
}

#[test]
fn a_dek_is_not_accepted_as_a_psk() {
    let mut terminal = TestTerminal::settled();
    let security = session().security.map(|security| SecurityParameters { key_identifier: 2, ..security });
    let trigger = SessionTrigger { session: Some(SessionParameters { security, ..session() }), dns: None };
    terminal.packet(Spi::UNANSWERED, &trigger.to_bytes());
    assert!(is_over(&terminal));
    assert!(!terminal.fetched.iter().any(|each| matches!(each, Command::OpenChannel(_))));
}

#[test]
fn only_the_isd_r_accepts_a_trigger() {
    let mut terminal = TestTerminal::settled();
    terminal.link = Some(Link::new([audit(Some("/2"))]));
    let to = |terminal: &mut TestTerminal, aid: &Aid| {
        let header = CommandHeader { tar: Tar::of_aid(&aid.0).unwrap(), ..header() };
        let counter = terminal.testbed.state().key_set(SCP80).unwrap().counter + 1;
        terminal.deliver(&sealed(header, counter, &trigger()))
    };
    let report = to(&mut terminal, &Aid::isd_p(NO_RULES));
    let answer = opened_of(Tar::of_aid(&Aid::isd_p(NO_RULES).0).unwrap(), &report);
    // The ISD-P parses the trigger as a script, which is invalid.
    assert_ne!(ScriptResponse::parse(&answer.data).unwrap().last_apdu().unwrap().status.0, 0x9000);
    assert!(link(&terminal).opened.is_empty() && is_over(&terminal));
    to(&mut terminal, &Aid(Aid::ISD_R.to_vec()));
    assert_eq!(link(&terminal).requests.len(), 2);
}

#[test]
fn a_channel_is_closed_if_its_key_was_deleted_meanwhile() {
    let mut terminal = TestTerminal::settled();
    terminal.link = Some(Link::new([audit(Some("/2"))]));
    terminal.commands_left = Some(0);
    terminal.packet(Spi::UNANSWERED, &trigger());
    terminal.commands_left = None;
    let open = loop {
        let proactive = terminal.fetch().expect("a channel to be opened");
        if matches!(proactive.command, Command::OpenChannel(_)) {
            break proactive;
        }
        terminal.execute(&proactive);
    };
    let delete = Script::of_apdus([hex::decode("80E4000005F20301010300").unwrap()]).to_bytes();
    let packet = terminal.next_packet(Spi::UNANSWERED, &delete);
    terminal.deliver_only(&packet);
    assert!(terminal.testbed.state().key_set(SCP81).is_none());
    terminal.execute(&open);
    terminal.run();
    assert_eq!((link(&terminal).opened.len(), link(&terminal).closed), (1, 1));
    assert!(is_over(&terminal) && terminal.timers.is_empty());
}

// req: SGP.02-2.4.4-Retry
#[test]
fn a_failed_channel_is_retried_according_to_the_retry_policy() {
    let mut terminal = TestTerminal::settled();
    terminal.refuse = Box::new(|command| {
        let is_open = matches!(command, Command::OpenChannel(_));
        is_open.then_some((GeneralResult::NETWORK_UNABLE, vec![0]))
    });
    terminal.packet(Spi::UNANSWERED, &trigger());
    for _ in 0..2 {
        assert!(!is_over(&terminal));
        assert_eq!(terminal.expire_timer(), Some(11));
    }
    assert!(is_over(&terminal));
    assert_eq!(terminal.fetched.iter().filter(|each| matches!(each, Command::OpenChannel(_))).count(), 3);
    assert!(terminal.timers.is_empty());
}

#[test]
fn a_server_with_another_key_is_refused() {
    let mut terminal = TestTerminal::settled();
    terminal.link = Some(Link::new([audit(Some("/2"))]).with_psk([0x42; 16]));
    terminal.packet(Spi::UNANSWERED, &trigger());
    while terminal.expire_timer().is_some() {}
    assert!(link(&terminal).requests.is_empty() && is_over(&terminal));
}

#[test]
fn a_session_with_a_refusing_or_silent_server_is_retried() {
    let mut terminal = triggered([Reply::Refused(503), audit(Some("/2"))]);
    assert!(!is_over(&terminal));
    assert_eq!(terminal.expire_timer(), Some(11));
    assert!(is_over(&terminal));
    let resumptions: Vec<_> =
        link(&terminal).requests.iter().map(|each| each.head.contains("X-Admin-Resume: true")).collect();
    assert_eq!(resumptions, [false, true, false]);

    let mut terminal = TestTerminal::settled();
    terminal.link = Some(Link::new([audit(Some("/2"))]));
    terminal.commands_left = Some(3);
    terminal.packet(Spi::UNANSWERED, &trigger());
    terminal.commands_left = None;
    while terminal.expire_timer().is_some() {}
    assert!(is_over(&terminal));
    assert_eq!(link(&terminal).requests.len(), 2);
}

#[test]
fn a_session_that_the_server_closes_is_resumed_after_the_delay() {
    let mut terminal = TestTerminal::settled();
    let mut link_of_terminal = Link::new([audit(Some("/2"))]);
    link_of_terminal.is_closing = true;
    terminal.link = Some(link_of_terminal);
    terminal.packet(Spi::UNANSWERED, &trigger());
    assert!(!is_over(&terminal));
    assert_eq!(terminal.expire_timer(), Some(11), "without waiting for an answer");
    assert!(is_over(&terminal));
    let resumptions: Vec<_> =
        link(&terminal).requests.iter().map(|each| each.head.contains("X-Admin-Resume: true")).collect();
    assert_eq!(resumptions, [false, true, false]);
}

/// The URIs of the requests, without consecutive repetitions.
fn distinct_uris(terminal: &TestTerminal) -> Vec<String> {
    let mut uris: Vec<_> = link(terminal).requests.iter().map(|each| each.uri.clone()).collect();
    uris.dedup();
    uris
}

#[test]
fn a_session_resumes_after_a_loss_of_the_link_at_every_step() {
    let replies = || [commands(&[store_data(&isd_p_group("3A05", NO_RULES))], Some("/2")), audit(Some("/3"))];
    let whole = triggered(replies());
    let steps = whole
        .fetched
        .iter()
        .filter(|each| matches!(each, Command::SendData { .. } | Command::ReceiveData { .. }))
        .count();
    assert!(steps > 6);
    for cut in 0..steps {
        let mut terminal = TestTerminal::settled();
        terminal.link = Some(Link::new(replies()).losing_link_after(cut));
        terminal.packet(Spi::UNANSWERED, &trigger());
        terminal.link.as_mut().unwrap().commands_until_loss = None;
        if is_over(&terminal) {
            // Only the close_notify of the card was lost.
            assert_eq!((cut + 1, link(&terminal).requests.len()), (steps, 3));
            continue;
        }
        while terminal.expire_timer().is_some() {}
        assert!(is_over(&terminal), "cut {cut}");
        assert!(terminal.timers.is_empty());
        let link = link(&terminal);
        assert_eq!(link.opened.len(), 2, "cut {cut}");
        // The server repeats its last reply if necessary. The card loses nothing: the first request
        // after the interruption has the same contents as the last request before it, and is marked
        // as a resumption.
        let resumed: Vec<_> =
            link.requests.iter().filter(|each| each.head.contains("X-Admin-Resume")).collect();
        assert!(resumed.len() == 1, "cut {cut}: {}", resumed.len());
        let uris = distinct_uris(&terminal);
        assert_eq!(uris[0], "/gsma/adminagent", "cut {cut}");
    }
}

#[test]
fn a_power_cut_at_any_step_loses_no_response_and_repeats_no_script() {
    // The first script succeeds only once, because its repetition would fail: the ISD-P already
    // exists.
    let create = crate::m2m::tests::testbed::create_isd_p(&aid(0x20), None);
    let replies = || [commands(std::slice::from_ref(&create), Some("/2")), audit(Some("/3"))];
    let steps = triggered(replies()).fetched.len();
    for cut in 0..steps {
        let mut terminal = TestTerminal::settled();
        terminal.link = Some(Link::new(replies()));
        terminal.commands_left = Some(cut);
        terminal.packet(Spi::UNANSWERED, &trigger());
        terminal.commands_left = None;
        terminal.reset();
        terminal.start();
        while terminal.expire_timer().is_some() {}
        assert!(is_over(&terminal), "cut {cut}");
        let link = link(&terminal);
        let created: Vec<_> = link.requests.iter().filter(|each| each.uri == "/2").collect();
        assert!(!created.is_empty(), "cut {cut}: the response to the first script is missing");
        for request in created {
            assert_eq!(request.response().last_apdu().unwrap().status.0, 0x9000, "cut {cut}");
        }
    }
}

#[test]
fn a_repeated_trigger_does_not_disturb_the_session() {
    let mut terminal = TestTerminal::settled();
    terminal.link = Some(Link::new([audit(Some("/2"))]));
    terminal.commands_left = Some(6);
    terminal.packet(Spi::UNANSWERED, &trigger());
    terminal.commands_left = None;
    terminal.packet(Spi::UNANSWERED, &trigger());
    while terminal.expire_timer().is_some() {}
    assert!(is_over(&terminal));
    assert_eq!(link(&terminal).requests.len(), 2);
    assert_eq!(link(&terminal).opened.len(), 1);
}

/// A terminal with a card that sends its notifications over HTTPS.
pub(super) fn with_https_notifications() -> TestTerminal {
    let testbed = Testbed::with(
        |description| {
            let m2m = description.m2m.as_mut().unwrap();
            m2m.addressing.sms = None;
            m2m.addressing.https = Some(Octets::from(session().to_bytes().as_slice()));
        },
        world::RamMemory::default(),
    );
    TestTerminal::new(testbed)
}

pub(super) fn confirmation(number: u16) -> Reply {
    commands(&[format!("80E28900073A08044E02{number:04X}00")], Some("/done"))
}

pub(super) fn notification_in(request: &Request) -> DefaultNotification {
    let (_, message) = request.uri.split_once("?msg=").unwrap();
    DefaultNotification::parse(&hex::decode(message).unwrap()).unwrap()
}

#[test]
fn without_an_sms_address_notifications_use_https() {
    let mut terminal = with_https_notifications();
    terminal.link = Some(Link::new([confirmation(1)]));
    terminal.start();
    assert!(terminal.sent.is_empty());
    let notification = notification_in(&link(&terminal).requests[0]);
    assert_eq!(
        (notification.kind, notification.isd_p),
        (NotificationType::EuiccDeclaration, Aid::isd_p(BOOTSTRAP))
    );
    assert_eq!(link(&terminal).requests[1].uri, "/done");
    assert!(is_over(&terminal) && terminal.timers.is_empty());
    assert_eq!(terminal.testbed.state().toolkit.notification, None);

    // A switch that was requested over HTTPS is also notified over HTTPS, and the confirmation
    // triggers the deletion.
    for (number, sequence) in [(DELETE_ON_DISABLE, 2), (NO_RULES, 3)] {
        terminal.link = Some(Link::new([
            commands(&[store_data(&isd_p_group("3A03", number))], Some("/2")),
            Reply::End,
            confirmation(sequence),
        ]));
        terminal.packet(Spi::UNANSWERED, &trigger());
        let requests = &link(&terminal).requests;
        let notification = notification_in(&requests[2]);
        assert_eq!(
            (notification.kind, notification.isd_p),
            (NotificationType::ProfileChangeSucceeded, Aid::isd_p(number))
        );
        assert_eq!(terminal.testbed.state().toolkit.notification, None);
    }
    assert_eq!(terminal.testbed.life_cycle(DELETE_ON_DISABLE), None);
}

#[test]
fn without_a_confirmation_over_https_the_card_rolls_back() {
    let mut terminal = with_https_notifications();
    terminal.link = Some(Link::new([confirmation(1)]));
    terminal.start();
    terminal.link =
        Some(Link::new([commands(&[store_data(&isd_p_group("3A03", NO_RULES))], Some("/2")), Reply::End]));
    terminal.packet(Spi::UNANSWERED, &trigger());
    assert_eq!(terminal.testbed.life_cycle(NO_RULES), Some(LifeCycle::Enabled));
    // A notification that was passed on waits for its confirmation.
    for _ in 0..ToolkitSettings::DEFAULT.notification_attempts {
        assert_eq!(terminal.expire_timer(), Some(ToolkitSettings::DEFAULT.confirmation_seconds));
    }
    assert_eq!(terminal.testbed.life_cycle(BOOTSTRAP), Some(LifeCycle::Enabled));
    let last = link(&terminal).requests.last().unwrap();
    assert_eq!(notification_in(last).kind, NotificationType::ProfileChangeFailed);
}

#[test]
fn a_session_waits_for_a_network() {
    let mut terminal = TestTerminal::settled();
    terminal.link = Some(Link::new([audit(Some("/2"))]));
    terminal.report_network(LocationStatus::None);
    terminal.packet(Spi::UNANSWERED, &trigger());
    assert!(link(&terminal).opened.is_empty() && !is_over(&terminal));
    terminal.report_network(LocationStatus::Normal);
    assert!(is_over(&terminal));
    assert_eq!(link(&terminal).requests.len(), 2);
}
