//! Interaction of HTTPS sessions: their order, their stored state, and notifications.

use rsp::ota::admin::Reply;
use rsp::ota::cat::{Command, Envelope, GeneralResult, TimerValue};
use rsp::ota::script::Script;
use rsp::ota::secured_packet::Spi;
use rsp::ota::trigger::{HttpParameters, RetryPolicy, SessionParameters};
use rsp::sgp02::notification::NotificationType;

use super::https::{confirmation, notification_in, with_https_notifications};
use super::https_link::{Link, audit, commands, is_over, link, session, trigger, trigger_of};
use super::terminal::TestTerminal;
use crate::m2m::tests::testbed::{BOOTSTRAP, NEW, NO_RULES, aid, create_isd_p, isd_p_group, store_data};
use crate::m2m::toolkit::ToolkitSettings;
use crate::state::m2m::LifeCycle;
use crate::state::m2m::toolkit_state::{StoredSession, ToolkitState};

/// The timer numbers of notifications and sessions.
const NOTIFICATION: u8 = 2;
const SESSION: u8 = 3;

fn enable(terminal: &mut TestTerminal, number: u16) {
    let script =
        Script::of_apdus([hex::decode(store_data(&isd_p_group("3A03", number))).unwrap()]).to_bytes();
    terminal.packet(Spi::UNANSWERED, &script);
}

/// A card that sends notifications over HTTPS, with a confirmed declaration.
fn settled() -> TestTerminal {
    let mut terminal = with_https_notifications();
    terminal.link = Some(Link::new([confirmation(1)]));
    terminal.start();
    assert!(is_over(&terminal) && terminal.timers.is_empty());
    terminal
}

/// A link to a server that does not respond.
fn silent_link(replies: impl IntoIterator<Item = Reply>) -> Link {
    let mut link = Link::new(replies);
    link.is_silent = true;
    link
}

/// If `are_lost` is true, the links of all channels are lost at once.
fn set_links_lost(terminal: &mut TestTerminal, are_lost: bool) {
    terminal.link.as_mut().unwrap().commands_until_loss = are_lost.then_some(0);
}

fn at_uri(uri: &str) -> SessionParameters {
    let http = HttpParameters { uri: Some(uri.to_owned()), ..HttpParameters::default() };
    SessionParameters { http: Some(http), ..session() }
}

fn uris(terminal: &TestTerminal) -> Vec<&str> {
    link(terminal).requests.iter().map(|request| request.uri.as_str()).collect()
}

fn attempts(terminal: &TestTerminal) -> u8 {
    terminal.testbed.state().toolkit.notification.as_ref().unwrap().attempts
}

#[test]
fn a_rolled_back_switch_is_no_longer_notified() {
    let mut terminal = settled();
    terminal.link = Some(Link::new([confirmation(3)]));
    set_links_lost(&mut terminal, true);
    enable(&mut terminal, NO_RULES);
    assert_eq!(terminal.testbed.life_cycle(NO_RULES), Some(LifeCycle::Enabled));
    // Each failed attempt counts, even if no session could be opened.
    for attempt in 1..=ToolkitSettings::DEFAULT.notification_attempts {
        assert_eq!(attempts(&terminal), attempt);
        assert_eq!(terminal.expire_timer(), Some(ToolkitSettings::DEFAULT.notification_retry_seconds));
    }
    assert_eq!(terminal.testbed.life_cycle(BOOTSTRAP), Some(LifeCycle::Enabled));
    set_links_lost(&mut terminal, false);
    while terminal.expire_timer().is_some() {}
    let notification: Vec<_> =
        link(&terminal).requests.iter().filter(|each| each.uri.contains("msg=")).collect();
    assert_eq!(notification.len(), 1);
    let notification = notification_in(notification[0]);
    assert_eq!((notification.kind, notification.sequence_number), (NotificationType::ProfileChangeFailed, 3));
    assert_eq!(terminal.testbed.state().toolkit.notification, None);
    assert!(is_over(&terminal));
}

#[test]
fn a_roll_back_ends_the_session_that_notifies_the_switch() {
    let mut terminal = settled();
    terminal.link = Some(silent_link([confirmation(3)]));
    enable(&mut terminal, NO_RULES);
    // The session is active and its server is silent when the last attempt expires.
    terminal.testbed.state_mut().toolkit.notification.as_mut().unwrap().attempts =
        ToolkitSettings::DEFAULT.notification_attempts;
    terminal.link.as_mut().unwrap().is_silent = false;
    let value = TimerValue::of_seconds(120);
    terminal.timers.remove(&NOTIFICATION);
    terminal.envelope(&Envelope::TimerExpiration { timer: NOTIFICATION, value });
    terminal.run();
    assert_eq!(terminal.testbed.life_cycle(BOOTSTRAP), Some(LifeCycle::Enabled));
    let kinds: Vec<_> =
        link(&terminal).requests.iter().take(1).map(|each| notification_in(each).kind).collect();
    assert_eq!(kinds, [NotificationType::ProfileChangeFailed]);
}

#[test]
fn a_session_in_its_retry_delay_does_not_block_a_notification() {
    let mut terminal = settled();
    terminal.link = Some(Link::new([confirmation(2)]));
    // The server is unreachable, and the retry delay of the session is long.
    let retry = RetryPolicy { attempts: 100, delay: TimerValue::of_seconds(3600), failure_report: vec![] };
    let mut unreachable = SessionParameters { retry: Some(retry), ..session() };
    unreachable.connection.as_mut().unwrap().destination = Some([192, 0, 2, 99].into());
    let connection = unreachable.connection.clone();
    terminal.refuse = Box::new(move |command| match command {
        Command::OpenChannel(open) if Some(&open.parameters) == connection.as_ref() => {
            Some((GeneralResult::NETWORK_UNABLE, vec![0]))
        }
        _ => None,
    });
    terminal.packet(Spi::UNANSWERED, &trigger_of(unreachable));
    assert!(terminal.timers.contains_key(&SESSION));
    enable(&mut terminal, NO_RULES);
    assert_eq!(notification_in(&link(&terminal).requests[0]).kind, NotificationType::ProfileChangeSucceeded);
    assert_eq!(terminal.testbed.state().toolkit.notification, None);
    // Afterwards the session with the unreachable server is retried.
    assert!(!is_over(&terminal) && terminal.timers[&SESSION] == 3600);
    assert_eq!(terminal.testbed.state().toolkit.session.as_ref().unwrap().attempts, 2);
}

#[test]
fn a_notification_is_repeated_after_a_reset_during_its_session() {
    for step in 1..12 {
        let mut terminal = with_https_notifications();
        terminal.link = Some(Link::new([]));
        terminal.commands_left = Some(step);
        terminal.start();
        terminal.commands_left = None;
        terminal.reset();
        terminal.link = Some(Link::new([confirmation(1)]));
        terminal.start();
        let first = &link(&terminal).requests[0];
        assert_eq!(notification_in(first).kind, NotificationType::EuiccDeclaration, "step {step}");
        assert!(!first.head.contains("X-Admin-Resume"), "step {step}");
        assert_eq!(terminal.testbed.state().toolkit.notification, None, "step {step}");
        assert!(is_over(&terminal) && terminal.timers.is_empty(), "step {step}");
    }
}

#[test]
fn a_notification_waits_for_the_active_session_without_using_up_attempts() {
    let mut terminal = with_https_notifications();
    terminal.link = Some(Link::new([Reply::End, audit(Some("/2")), Reply::End, confirmation(1)]));
    terminal.start();
    assert_eq!(attempts(&terminal), 1);
    terminal.commands_left = Some(6);
    terminal.packet(Spi::UNANSWERED, &trigger());
    terminal.commands_left = None;
    for _ in 0..5 {
        let value = TimerValue::of_seconds(30);
        terminal.envelope(&Envelope::TimerExpiration { timer: NOTIFICATION, value });
        assert_eq!(attempts(&terminal), 1);
    }
    terminal.run();
    assert_eq!(uris(&terminal)[1..3], ["/gsma/adminagent", "/2"]);
    assert!(link(&terminal).requests[3].uri.contains("msg="));
    assert_eq!(terminal.testbed.state().toolkit.notification, None);
    assert!(is_over(&terminal) && terminal.timers.is_empty());
}

/// A session that was interrupted with a pending response and waits for its retry.
fn interrupted_with_a_response() -> TestTerminal {
    for cut in 0.. {
        let mut terminal = TestTerminal::settled();
        let create = create_isd_p(&aid(NEW), None);
        let replies = [commands(std::slice::from_ref(&create), Some("/2"))];
        terminal.link = Some(Link::new(replies));
        terminal.link.as_mut().unwrap().commands_until_loss = Some(cut);
        terminal.packet(Spi::UNANSWERED, &trigger());
        if terminal.testbed.state().toolkit.session.as_ref().is_some_and(|session| session.answer.is_some()) {
            assert!(terminal.timers.contains_key(&SESSION));
            terminal.link = Some(Link::new([]));
            return terminal;
        }
    }
    panic!("the session was never interrupted with a response")
}

#[test]
fn a_trigger_during_the_retry_delay_starts_both_sessions() {
    let mut terminal = interrupted_with_a_response();
    terminal.packet(Spi::UNANSWERED, &trigger_of(at_uri("/other")));
    assert_eq!(uris(&terminal), ["/other", "/2"]);
    let requests = &link(&terminal).requests;
    assert!(!requests[0].head.contains("X-Admin-Resume"));
    assert!(requests[1].head.contains("X-Admin-Resume: true"));
    assert_eq!(requests[1].response().last_apdu().unwrap().status.0, 0x9000);
    assert!(is_over(&terminal) && terminal.timers.is_empty());
}

#[test]
fn a_repeated_trigger_resumes_the_session_at_once() {
    let mut terminal = interrupted_with_a_response();
    terminal.packet(Spi::UNANSWERED, &trigger());
    assert_eq!(uris(&terminal), ["/2"]);
    assert!(link(&terminal).requests[0].head.contains("X-Admin-Resume: true"));
    assert!(is_over(&terminal) && terminal.timers.is_empty());
}

#[test]
fn a_session_triggered_during_another_starts_after_it() {
    for step in 1..8 {
        let mut terminal = TestTerminal::settled();
        terminal.link = Some(Link::new([audit(Some("/2"))]));
        terminal.commands_left = Some(step);
        terminal.packet(Spi::UNANSWERED, &trigger());
        terminal.commands_left = None;
        terminal.packet(Spi::UNANSWERED, &trigger_of(at_uri("/other")));
        assert_eq!(uris(&terminal), ["/gsma/adminagent", "/2", "/other"], "step {step}");
        assert!(is_over(&terminal) && terminal.timers.is_empty(), "step {step}");
    }
    // The second session also starts after a session with a silent server.
    let mut terminal = TestTerminal::settled();
    terminal.link = Some(silent_link([]));
    terminal.packet(Spi::UNANSWERED, &trigger());
    terminal.packet(Spi::UNANSWERED, &trigger_of(at_uri("/other")));
    terminal.link.as_mut().unwrap().is_silent = false;
    assert_eq!(terminal.expire_timer(), Some(ToolkitSettings::DEFAULT.session_answer_seconds));
    assert_eq!(uris(&terminal), ["/other", "/gsma/adminagent"]);
    assert!(is_over(&terminal) && terminal.timers.is_empty());
}

#[test]
fn waiting_sessions_survive_a_reset() {
    let mut terminal = interrupted_with_a_response();
    set_links_lost(&mut terminal, true);
    terminal.packet(Spi::UNANSWERED, &trigger_of(at_uri("/other")));
    terminal.reset();
    set_links_lost(&mut terminal, false);
    terminal.start();
    assert_eq!(uris(&terminal), ["/other", "/2"]);
    assert!(is_over(&terminal) && terminal.timers.is_empty());
}

#[test]
fn the_number_of_waiting_sessions_is_limited() {
    let mut stored = ToolkitState::default();
    for number in 0..20 {
        let requested = StoredSession { parameters: vec![number].into(), ..StoredSession::default() };
        stored.request_session(requested.clone(), number % 2 == 0);
        stored.request_session(requested, true);
    }
    assert_eq!((stored.waiting.len(), stored.session.is_some()), (4, true));
    let mut turns = 0;
    while stored.take_turn() {
        stored.session = None;
        turns += 1;
    }
    assert_eq!(turns, 5);
}

/// A TLS warning alert: unrecognized_name.
const WARNING: [u8; 7] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x01, 0x70];

#[test]
fn unauthenticated_octets_do_not_delay_a_refresh() {
    // A warning, and the beginning of a record.
    for octets in [&WARNING[..], &[0x16, 0x03, 0x03, 0x03, 0xFF]] {
        let mut terminal = TestTerminal::settled();
        terminal.link = Some(silent_link([]));
        terminal.packet(Spi::UNANSWERED, &trigger());
        enable(&mut terminal, NO_RULES);
        assert_eq!(terminal.testbed.life_cycle(BOOTSTRAP), Some(LifeCycle::Enabled));
        let seconds = ToolkitSettings::DEFAULT.session_answer_seconds;
        for passed in (0..seconds).step_by(10) {
            assert_eq!(terminal.timers[&SESSION], seconds - passed);
            terminal.link.as_mut().unwrap().inject(octets);
            terminal.run();
            *terminal.timers.get_mut(&SESSION).unwrap() -= 10;
        }
        terminal.expire_timer();
        assert_eq!(terminal.testbed.life_cycle(NO_RULES), Some(LifeCycle::Enabled));
    }
}
