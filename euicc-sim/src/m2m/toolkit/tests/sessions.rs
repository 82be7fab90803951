//! Sessions over HTTPS among each other: whose turn it is, what each keeps, and what a notification has to do with them.

use rsp::ota::admin::Reply;
use rsp::ota::cat::{Command, Envelope, GeneralResult, TimerValue};
use rsp::ota::script::Script;
use rsp::ota::secured_packet::Spi;
use rsp::ota::trigger::{HttpParameters, RetryPolicy, SessionParameters};
use rsp::sgp02::notification::NotificationType;

use super::https::{confirmation, notified, over_https};
use super::https_link::{Link, audit, commands, is_over, link, session, trigger, trigger_of};
use super::phone::Phone;
use crate::m2m::state::LifeCycle;
use crate::m2m::tests::bench::{BOOTSTRAP, FREE, NEW, aid, create_isd_p, naming, store_data};
use crate::m2m::toolkit::{Numbers, Stored, StoredSession};

/// The timers of notifications and of sessions.
const NOTIFICATION: u8 = 2;
const SESSION: u8 = 3;

fn enable(phone: &mut Phone, number: u16) {
    let script = Script::of_apdus([hex::decode(store_data(&naming("3A03", number))).unwrap()]).to_bytes();
    phone.packet(Spi::UNANSWERED, &script);
}

/// Notified over HTTPS, its declaration confirmed.
fn settled() -> Phone {
    let mut phone = over_https();
    phone.link = Some(Link::new([confirmation(1)]));
    phone.start();
    assert!(is_over(&phone) && phone.timers.is_empty());
    phone
}

/// A server that says nothing.
fn mute(replies: impl IntoIterator<Item = Reply>) -> Link {
    let mut link = Link::new(replies);
    link.is_mute = true;
    link
}

/// The link of every channel is dead, or is not.
fn set_dead(phone: &mut Phone, is_dead: bool) {
    phone.link.as_mut().unwrap().lasts = is_dead.then_some(0);
}

fn at_uri(uri: &str) -> SessionParameters {
    let http = HttpParameters { uri: Some(uri.to_owned()), ..HttpParameters::default() };
    SessionParameters { http: Some(http), ..session() }
}

fn uris(phone: &Phone) -> Vec<&str> {
    link(phone).requests.iter().map(|request| request.uri.as_str()).collect()
}

fn attempts(phone: &Phone) -> u8 {
    phone.bench.state().toolkit.notification.as_ref().unwrap().attempts
}

#[test]
fn of_a_change_that_was_rolled_back_nothing_is_told_any_more() {
    let mut phone = settled();
    phone.link = Some(Link::new([confirmation(3)]));
    set_dead(&mut phone, true);
    enable(&mut phone, FREE);
    assert_eq!(phone.bench.life_cycle(FREE), Some(LifeCycle::Enabled));
    // Each time that it cannot be told counts, be it for want of a session.
    for attempt in 1..=Numbers::STANDARD.notification_attempts {
        assert_eq!(attempts(&phone), attempt);
        assert_eq!(phone.ring(), Some(Numbers::STANDARD.notification_retry_seconds));
    }
    assert_eq!(phone.bench.life_cycle(BOOTSTRAP), Some(LifeCycle::Enabled));
    set_dead(&mut phone, false);
    while phone.ring().is_some() {}
    let told: Vec<_> = link(&phone).requests.iter().filter(|each| each.uri.contains("msg=")).collect();
    assert_eq!(told.len(), 1);
    let told = notified(told[0]);
    assert_eq!((told.kind, told.sequence_number), (NotificationType::ProfileChangeFailed, 3));
    assert_eq!(phone.bench.state().toolkit.notification, None);
    assert!(is_over(&phone));
}

#[test]
fn a_roll_back_ends_the_session_that_tells_of_the_change() {
    let mut phone = settled();
    phone.link = Some(mute([confirmation(3)]));
    enable(&mut phone, FREE);
    // The session goes on, and its server is silent; meanwhile all attempts are over.
    phone.bench.card.persistent.m2m.as_mut().unwrap().toolkit.notification.as_mut().unwrap().attempts =
        Numbers::STANDARD.notification_attempts;
    phone.link.as_mut().unwrap().is_mute = false;
    let value = TimerValue::of_seconds(120);
    phone.timers.remove(&NOTIFICATION);
    phone.envelope(&Envelope::TimerExpiration { timer: NOTIFICATION, value });
    phone.serve();
    assert_eq!(phone.bench.life_cycle(BOOTSTRAP), Some(LifeCycle::Enabled));
    let kinds: Vec<_> = link(&phone).requests.iter().take(1).map(|each| notified(each).kind).collect();
    assert_eq!(kinds, [NotificationType::ProfileChangeFailed]);
}

#[test]
fn a_session_that_waits_to_be_tried_again_does_not_silence_a_notification() {
    let mut phone = settled();
    phone.link = Some(Link::new([confirmation(2)]));
    // A server that is not there, and patience for it.
    let retry = RetryPolicy { attempts: 100, delay: TimerValue::of_seconds(3600), failure_report: vec![] };
    let mut dead = SessionParameters { retry: Some(retry), ..session() };
    dead.connection.as_mut().unwrap().destination = Some([192, 0, 2, 99].into());
    let connection = dead.connection.clone();
    phone.refuse = Box::new(move |command| match command {
        Command::OpenChannel(open) if Some(&open.parameters) == connection.as_ref() => {
            Some((GeneralResult::NETWORK_UNABLE, vec![0]))
        }
        _ => None,
    });
    phone.packet(Spi::UNANSWERED, &trigger_of(dead));
    assert!(phone.timers.contains_key(&SESSION));
    enable(&mut phone, FREE);
    assert_eq!(notified(&link(&phone).requests[0]).kind, NotificationType::ProfileChangeSucceeded);
    assert_eq!(phone.bench.state().toolkit.notification, None);
    // And has its turn after it, at the server that is not there.
    assert!(!is_over(&phone) && phone.timers[&SESSION] == 3600);
    assert_eq!(phone.bench.state().toolkit.session.as_ref().unwrap().attempts, 2);
}

#[test]
fn a_notification_whose_session_a_reset_has_cut_off_is_told_anew() {
    for step in 1..12 {
        let mut phone = over_https();
        phone.link = Some(Link::new([]));
        phone.patience = Some(step);
        phone.start();
        phone.patience = None;
        phone.reset();
        phone.link = Some(Link::new([confirmation(1)]));
        phone.start();
        let first = &link(&phone).requests[0];
        assert_eq!(notified(first).kind, NotificationType::EuiccDeclaration, "step {step}");
        assert!(!first.head.contains("X-Admin-Resume"), "step {step}");
        assert_eq!(phone.bench.state().toolkit.notification, None, "step {step}");
        assert!(is_over(&phone) && phone.timers.is_empty(), "step {step}");
    }
}

#[test]
fn a_notification_waits_for_the_end_of_a_session_that_goes_on_and_that_does_not_count() {
    let mut phone = over_https();
    phone.link = Some(Link::new([Reply::End, audit(Some("/2")), Reply::End, confirmation(1)]));
    phone.start();
    assert_eq!(attempts(&phone), 1);
    phone.patience = Some(6);
    phone.packet(Spi::UNANSWERED, &trigger());
    phone.patience = None;
    for _ in 0..5 {
        let value = TimerValue::of_seconds(30);
        phone.envelope(&Envelope::TimerExpiration { timer: NOTIFICATION, value });
        assert_eq!(attempts(&phone), 1);
    }
    phone.serve();
    assert_eq!(uris(&phone)[1..3], ["/gsma/adminagent", "/2"]);
    assert!(link(&phone).requests[3].uri.contains("msg="));
    assert_eq!(phone.bench.state().toolkit.notification, None);
    assert!(is_over(&phone) && phone.timers.is_empty());
}

/// A session that was interrupted when it had an answer to tell, and waits to be tried again.
fn interrupted_with_an_answer() -> Phone {
    for cut in 0.. {
        let mut phone = Phone::settled();
        let create = create_isd_p(&aid(NEW), None);
        let replies = [commands(std::slice::from_ref(&create), Some("/2"))];
        phone.link = Some(Link::new(replies));
        phone.link.as_mut().unwrap().lasts = Some(cut);
        phone.packet(Spi::UNANSWERED, &trigger());
        if phone.bench.state().toolkit.session.as_ref().is_some_and(|session| session.answer.is_some()) {
            assert!(phone.timers.contains_key(&SESSION));
            phone.link = Some(Link::new([]));
            return phone;
        }
    }
    panic!("there is no such moment")
}

#[test]
fn a_trigger_while_a_session_waits_loses_neither() {
    let mut phone = interrupted_with_an_answer();
    phone.packet(Spi::UNANSWERED, &trigger_of(at_uri("/other")));
    assert_eq!(uris(&phone), ["/other", "/2"]);
    let requests = &link(&phone).requests;
    assert!(!requests[0].head.contains("X-Admin-Resume"));
    assert!(requests[1].head.contains("X-Admin-Resume: true"));
    assert_eq!(requests[1].response().last_apdu().unwrap().status.0, 0x9000);
    assert!(is_over(&phone) && phone.timers.is_empty());
}

#[test]
fn the_same_trigger_again_takes_the_session_up_at_once() {
    let mut phone = interrupted_with_an_answer();
    phone.packet(Spi::UNANSWERED, &trigger());
    assert_eq!(uris(&phone), ["/2"]);
    assert!(link(&phone).requests[0].head.contains("X-Admin-Resume: true"));
    assert!(is_over(&phone) && phone.timers.is_empty());
}

#[test]
fn a_trigger_for_another_session_in_the_midst_of_one_has_its_turn_after_it() {
    for step in 1..8 {
        let mut phone = Phone::settled();
        phone.link = Some(Link::new([audit(Some("/2"))]));
        phone.patience = Some(step);
        phone.packet(Spi::UNANSWERED, &trigger());
        phone.patience = None;
        phone.packet(Spi::UNANSWERED, &trigger_of(at_uri("/other")));
        assert_eq!(uris(&phone), ["/gsma/adminagent", "/2", "/other"], "step {step}");
        assert!(is_over(&phone) && phone.timers.is_empty(), "step {step}");
    }
    // Also after one whose server is not there.
    let mut phone = Phone::settled();
    phone.link = Some(mute([]));
    phone.packet(Spi::UNANSWERED, &trigger());
    phone.packet(Spi::UNANSWERED, &trigger_of(at_uri("/other")));
    phone.link.as_mut().unwrap().is_mute = false;
    assert_eq!(phone.ring(), Some(Numbers::STANDARD.session_answer_seconds));
    assert_eq!(uris(&phone), ["/other", "/gsma/adminagent"]);
    assert!(is_over(&phone) && phone.timers.is_empty());
}

#[test]
fn sessions_that_wait_outlive_a_reset() {
    let mut phone = interrupted_with_an_answer();
    set_dead(&mut phone, true);
    phone.packet(Spi::UNANSWERED, &trigger_of(at_uri("/other")));
    phone.reset();
    set_dead(&mut phone, false);
    phone.start();
    assert_eq!(uris(&phone), ["/other", "/2"]);
    assert!(is_over(&phone) && phone.timers.is_empty());
}

#[test]
fn no_more_sessions_wait_than_there_is_room_for() {
    let mut stored = Stored::default();
    for number in 0..20 {
        let asked = StoredSession { parameters: vec![number].into(), ..StoredSession::default() };
        stored.ask_for(asked.clone(), number % 2 == 0);
        stored.ask_for(asked, true);
    }
    assert_eq!((stored.waiting.len(), stored.session.is_some()), (4, true));
    let mut turns = 0;
    while stored.take_turn() {
        stored.session = None;
        turns += 1;
    }
    assert_eq!(turns, 5);
}

/// A warning of TLS: unrecognised name.
const WARNING: [u8; 7] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x01, 0x70];

#[test]
fn octets_of_nobody_do_not_hold_off_a_refresh() {
    // And what may yet become a record.
    for octets in [&WARNING[..], &[0x16, 0x03, 0x03, 0x03, 0xFF]] {
        let mut phone = Phone::settled();
        phone.link = Some(mute([]));
        phone.packet(Spi::UNANSWERED, &trigger());
        enable(&mut phone, FREE);
        assert_eq!(phone.bench.life_cycle(BOOTSTRAP), Some(LifeCycle::Enabled));
        let seconds = Numbers::STANDARD.session_answer_seconds;
        for passed in (0..seconds).step_by(10) {
            assert_eq!(phone.timers[&SESSION], seconds - passed);
            phone.link.as_mut().unwrap().inject(octets);
            phone.serve();
            *phone.timers.get_mut(&SESSION).unwrap() -= 10;
        }
        phone.ring();
        assert_eq!(phone.bench.life_cycle(FREE), Some(LifeCycle::Enabled));
    }
}
