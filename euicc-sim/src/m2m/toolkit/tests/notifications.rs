//! Tests of default notifications, roll-back and fallback: SGP.02 sections 3.15 and 3.16.

use rsp::ids::Aid;
use rsp::ota::cat::{Command, Facility, GeneralResult, LocationStatus, Response, TerminalResponse};
use rsp::ota::script::{Script, ScriptResponse};
use rsp::ota::secured_packet::Spi;
use rsp::sgp02::notification::NotificationType;

use super::phone::{Phone, opened, without};
use crate::m2m::notification;
use crate::m2m::state::LifeCycle;
use crate::m2m::tests::bench::{BOOTSTRAP, Bench, FREE, GOES, STAYS_ENABLED, aid, naming, store_data};
use crate::m2m::toolkit::Numbers;

const NUMBERS: &Numbers = Numbers::STANDARD;

/// Enables a profile by a script over SMS. Pending proactive commands are not fetched yet.
fn enable_unserved(phone: &mut Phone, number: u16) {
    let apdu = store_data(&naming("3A03", number));
    let script = Script::of_apdus([hex::decode(apdu).unwrap()]).to_bytes();
    let packet = phone.next_packet(Spi::COMMAND_ANSWERED_IN_REPORT, &script);
    let (report, _) = phone.deliver_unserved(&packet);
    let response = ScriptResponse::parse(&opened(&report).data).unwrap();
    assert_eq!(response.last_apdu().unwrap().status.0, 0x9000);
}

fn enable(phone: &mut Phone, number: u16) {
    enable_unserved(phone, number);
    phone.serve();
}

fn is_enabled(phone: &Phone, number: u16) -> bool {
    phone.bench.life_cycle(number) == Some(LifeCycle::Enabled)
}

/// A card with this enabled profile and a confirmed notification.
fn with_enabled(number: u16) -> Phone {
    let mut phone = Phone::settled();
    enable(&mut phone, number);
    let told = phone.notification().unwrap();
    phone.confirm(told.sequence_number);
    phone
}

#[test]
fn the_first_attachment_is_declared_once() {
    let mut phone = Phone::new(Bench::new());
    phone.network = LocationStatus::None;
    phone.start();
    assert_eq!(phone.notification(), None);
    phone.told_of_network(LocationStatus::Normal);
    let told = phone.notification().unwrap();
    assert_eq!((told.kind, told.sequence_number), (NotificationType::EuiccDeclaration, 1));
    assert_eq!((told.eid, told.isd_p), (phone.bench.card.eid(), Aid::isd_p(BOOTSTRAP)));
    assert_eq!(told.imei.unwrap().as_slice(), hex::decode("4A09512430325781").unwrap());
    assert_eq!(phone.confirm(1), "AB0780010123029000");
    // It is not repeated.
    for _ in 0..2 {
        phone.reset();
        phone.start();
        phone.told_of_network(LocationStatus::None);
        phone.told_of_network(LocationStatus::Normal);
        assert_eq!(phone.notification(), None);
    }
}

#[test]
fn an_unconfirmed_notification_is_repeated_with_its_number() {
    let mut phone = Phone::new(Bench::new());
    phone.start();
    let first = phone.notification().unwrap();
    for _ in 1..NUMBERS.notification_attempts {
        assert_eq!(phone.ring(), Some(NUMBERS.confirmation_seconds));
        assert_eq!(phone.notification().as_ref(), Some(&first));
    }
    // No switch depends on it, so the attempts restart after a delay.
    assert_eq!(phone.ring(), Some(NUMBERS.confirmation_seconds));
    assert_eq!(phone.notification(), None);
    assert_eq!(phone.ring(), Some(NUMBERS.notification_again_seconds));
    assert_eq!(phone.notification().as_ref(), Some(&first));
    // The same after a reset.
    phone.reset();
    phone.start();
    assert_eq!(phone.notification(), Some(first));
    phone.confirm(1);
    assert!(phone.timers.is_empty());
}

#[test]
fn a_message_that_cannot_be_sent_is_retried_earlier() {
    let mut phone = Phone::new(Bench::new());
    phone.refuse = Box::new(|command| {
        let is_message = matches!(command, Command::SendShortMessage { .. });
        is_message.then_some((GeneralResult::NETWORK_UNABLE, vec![0]))
    });
    phone.start();
    assert_eq!(phone.notification(), None);
    phone.refuse = Box::new(|_| None);
    assert_eq!(phone.ring(), Some(NUMBERS.notification_retry_seconds));
    assert_eq!(phone.notification().unwrap().sequence_number, 1);
}

#[test]
fn a_switch_sends_the_response_then_refresh_then_the_notification() {
    for facilities in [super::phone::ALL.to_vec(), without(&[Facility::REFRESH_PROFILE_STATE_CHANGE])] {
        let mut phone = Phone::new(Bench::new());
        phone.facilities = facilities;
        phone.settle();
        let apdu = store_data(&naming("3A03", FREE));
        let script = Script::of_apdus([hex::decode(apdu).unwrap()]).to_bytes();
        phone.packet(Spi::COMMAND_ANSWERED_BY_SUBMIT, &script);
        let order: Vec<_> = phone
            .fetched
            .iter()
            .filter_map(|each| match each {
                Command::SendShortMessage { .. } => Some("message"),
                Command::Refresh(_) => Some("refresh"),
                _ => None,
            })
            .collect();
        assert_eq!(order, ["message", "refresh", "message"]);
        assert!(is_enabled(&phone, FREE));
        let told = phone.notification().unwrap();
        assert_eq!(
            (told.kind, told.sequence_number, told.isd_p),
            (NotificationType::ProfileChangeSucceeded, 2, Aid::isd_p(FREE))
        );
        let commit = phone.bench.card.commit(|context| notification::is_unconfirmed(context));
        assert!(commit.unwrap());
        assert_eq!(phone.confirm(2), "AB0780010123029000");
        let commit = phone.bench.card.commit(|context| notification::is_unconfirmed(context));
        assert!(!commit.unwrap());
        // A repeated confirmation is accepted, an unknown number is refused.
        assert_eq!(phone.confirm(2), "AB0780010123029000");
        assert_eq!(phone.confirm(7), "AB0780010123026A88");
        assert!(phone.timers.is_empty());
    }
}

#[test]
fn delete_when_disabled_takes_effect_with_the_confirmation() {
    let mut phone = with_enabled(GOES);
    enable(&mut phone, FREE);
    let told = phone.notification().unwrap();
    assert_eq!(phone.bench.life_cycle(GOES), Some(LifeCycle::Disabled));
    let answer = phone.confirm(told.sequence_number);
    assert!(answer.contains(&format!("80124F10{}", Aid::isd_p(GOES)).to_uppercase()), "{answer}");
    assert_eq!(phone.bench.life_cycle(GOES), None);
}

#[test]
fn without_a_network_after_a_switch_the_card_rolls_back() {
    let mut phone = with_enabled(STAYS_ENABLED.min(FREE));
    enable_unserved(&mut phone, GOES);
    phone.network = LocationStatus::None;
    phone.serve();
    assert!(is_enabled(&phone, GOES));
    assert_eq!(phone.notification(), None);
    // The previous profile has network.
    phone.network = LocationStatus::Normal;
    assert_eq!(phone.ring(), Some(NUMBERS.attach_seconds));
    assert!(is_enabled(&phone, FREE));
    let told = phone.notification().unwrap();
    assert_eq!((told.kind, told.isd_p), (NotificationType::ProfileChangeFailed, Aid::isd_p(FREE)));
    // The failed profile is not deleted.
    phone.confirm(told.sequence_number);
    assert_eq!(phone.bench.life_cycle(GOES), Some(LifeCycle::Disabled));
}

#[test]
fn without_a_confirmation_after_a_switch_the_card_rolls_back() {
    let mut phone = with_enabled(FREE);
    enable(&mut phone, GOES);
    let told = phone.notification().unwrap();
    for _ in 1..NUMBERS.notification_attempts {
        assert_eq!(phone.ring(), Some(NUMBERS.confirmation_seconds));
        assert_eq!(phone.notification().as_ref(), Some(&told));
    }
    phone.ring();
    assert!(is_enabled(&phone, FREE));
    let failed = phone.notification().unwrap();
    assert_eq!(failed.kind, NotificationType::ProfileChangeFailed);
    assert_eq!(failed.sequence_number, told.sequence_number + 1);
    // The switch can no longer be confirmed.
    assert!(phone.confirm(told.sequence_number).ends_with("6A88"));
    phone.confirm(failed.sequence_number);
}

#[test]
fn a_failed_roll_back_is_followed_by_a_fallback() {
    for is_confirmation_lost in [false, true] {
        let mut phone = with_enabled(FREE);
        enable_unserved(&mut phone, GOES);
        phone.network = LocationStatus::None;
        phone.serve();
        if is_confirmation_lost {
            phone.network = LocationStatus::Normal;
            phone.ring();
            assert!(is_enabled(&phone, FREE));
            assert_eq!(phone.notification().unwrap().kind, NotificationType::ProfileChangeFailed);
            for _ in 0..NUMBERS.notification_attempts {
                phone.ring();
            }
        } else {
            phone.ring();
            assert!(is_enabled(&phone, FREE));
            phone.network = LocationStatus::Normal;
            phone.ring();
        }
        assert!(is_enabled(&phone, BOOTSTRAP));
        let told = phone.notification().unwrap();
        assert_eq!(told.kind, NotificationType::ProfileChangeAfterFallback);
        phone.confirm(told.sequence_number);
    }
}

#[test]
fn a_pending_roll_back_is_not_replaced_by_a_fallback() {
    let mut phone = with_enabled(FREE);
    enable_unserved(&mut phone, GOES);
    phone.network = LocationStatus::None;
    phone.serve();
    // The terminal refuses the REFRESH of the roll-back, and there is no network for a long time.
    phone.refuse = Box::new(|command| {
        let is_refresh = matches!(command, Command::Refresh(_));
        is_refresh.then_some((GeneralResult(0x30), Vec::new()))
    });
    assert_eq!(phone.ring(), Some(NUMBERS.attach_seconds));
    assert!(is_enabled(&phone, GOES));
    phone.told_of_network(LocationStatus::Limited);
    assert_eq!(phone.ring(), Some(NUMBERS.loss_seconds));
    assert!(is_enabled(&phone, GOES));
    phone.refuse = Box::new(|_| None);
    phone.network = LocationStatus::Normal;
    phone.reset();
    phone.start();
    assert!(is_enabled(&phone, FREE));
    let told = phone.notification().unwrap();
    assert_eq!((told.kind, told.isd_p), (NotificationType::ProfileChangeFailed, Aid::isd_p(FREE)));
}

#[test]
fn a_pending_switch_is_made_before_a_fallback() {
    let mut phone = with_enabled(FREE);
    phone.facilities = without(&[Facility::REFRESH]);
    phone.reset();
    phone.start();
    enable(&mut phone, GOES);
    assert!(is_enabled(&phone, FREE));
    phone.told_of_network(LocationStatus::None);
    assert_eq!(phone.ring(), Some(NUMBERS.loss_seconds));
    phone.network = LocationStatus::Normal;
    phone.reset();
    phone.start();
    assert!(is_enabled(&phone, GOES));
    assert_eq!(phone.notification().unwrap().kind, NotificationType::ProfileChangeSucceeded);
}

#[test]
fn a_long_loss_of_the_network_leads_to_a_fallback() {
    for lost in [LocationStatus::None, LocationStatus::Limited] {
        let mut phone = with_enabled(FREE);
        phone.told_of_network(lost);
        phone.told_of_network(LocationStatus::Normal);
        assert!(phone.timers.is_empty(), "a short loss has no effect");
        phone.told_of_network(lost);
        phone.network = LocationStatus::Normal;
        assert_eq!(phone.ring(), Some(NUMBERS.loss_seconds));
        assert!(is_enabled(&phone, BOOTSTRAP));
        let told = phone.notification().unwrap();
        assert_eq!(told.kind, NotificationType::ProfileChangeAfterFallback);
        phone.confirm(told.sequence_number);
        // There is no fallback from the fallback profile.
        phone.told_of_network(lost);
        phone.ring();
        assert!(is_enabled(&phone, BOOTSTRAP));
        assert_eq!(phone.resets, 2);
    }
}

#[test]
fn after_a_fallback_from_a_protected_profile_only_that_profile_can_be_enabled() {
    let mut phone = with_enabled(STAYS_ENABLED);
    phone.told_of_network(LocationStatus::None);
    phone.network = LocationStatus::Normal;
    phone.ring();
    let told = phone.notification().unwrap();
    phone.confirm(told.sequence_number);
    assert!(is_enabled(&phone, BOOTSTRAP));
    assert_eq!(phone.bench.store(&naming("3A03", FREE)), "69E1");
    assert_eq!(phone.bench.store(&naming("3A05", FREE)), "69E1");
    // A failed attempt to enable it does not lift the restriction.
    enable_unserved(&mut phone, STAYS_ENABLED);
    phone.network = LocationStatus::None;
    phone.serve();
    phone.network = LocationStatus::Normal;
    phone.ring();
    assert!(is_enabled(&phone, BOOTSTRAP));
    let told = phone.notification().unwrap();
    assert_eq!(told.kind, NotificationType::ProfileChangeFailed);
    phone.confirm(told.sequence_number);
    assert_eq!(phone.bench.store(&naming("3A03", FREE)), "69E1");
    enable(&mut phone, STAYS_ENABLED);
    assert!(is_enabled(&phone, STAYS_ENABLED));
    let told = phone.notification().unwrap();
    assert_eq!(told.kind, NotificationType::ProfileChangeSucceeded);
    phone.confirm(told.sequence_number);
    assert_eq!(phone.bench.state().toolkit.fell_back_from, None);
}

#[test]
fn the_fallback_restriction_ends_with_the_deletion_of_the_profile() {
    let mut phone = with_enabled(STAYS_ENABLED);
    phone.told_of_network(LocationStatus::None);
    phone.network = LocationStatus::Normal;
    phone.ring();
    let told = phone.notification().unwrap();
    phone.confirm(told.sequence_number);
    let kept = |phone: &Phone| phone.bench.state().toolkit.fell_back_from.clone();
    assert_eq!(kept(&phone), Some(Aid::isd_p(STAYS_ENABLED)));
    assert_eq!(phone.bench.es5(&format!("80E40040124F10{}", aid(STAYS_ENABLED))), "9000");
    assert_eq!(kept(&phone), None);
}

#[test]
fn no_command_is_announced_during_a_refresh() {
    let mut phone = Phone::settled();
    enable_unserved(&mut phone, FREE);
    let refresh = loop {
        let proactive = phone.fetch().expect("a REFRESH");
        if matches!(proactive.command, Command::Refresh(_)) {
            break proactive;
        }
        phone.obey(&proactive);
    };
    // A response by short message must wait.
    let script = Script::of_apdus([hex::decode("80CAFF2100").unwrap()]).to_bytes();
    let packet = phone.next_packet(Spi::COMMAND_ANSWERED_BY_SUBMIT, &script);
    assert_eq!(phone.deliver_unserved(&packet).1, 0x9000);
    assert_eq!(phone.bench.terminal("8012000000"), "6985");
    // The terminal fails temporarily: the message is sent first, then REFRESH is repeated.
    phone.respond(&TerminalResponse::of(&refresh, GeneralResult::TERMINAL_UNABLE, vec![0], Response::None));
    phone.fetched.clear();
    phone.status();
    let place = |is: fn(&Command) -> bool| phone.fetched.iter().position(is).unwrap();
    assert!(
        place(|each| matches!(each, Command::SendShortMessage { .. }))
            < place(|each| matches!(each, Command::Refresh(_)))
    );
    assert!(is_enabled(&phone, FREE));
}

#[test]
fn terminal_profile_instead_of_a_response_to_refresh_delays_the_switch_to_the_reset() {
    let mut phone = Phone::settled();
    enable_unserved(&mut phone, FREE);
    while !matches!(phone.fetch().expect("a REFRESH").command, Command::Refresh(_)) {}
    phone.fetched.clear();
    phone.start();
    assert!(phone.fetched.iter().any(|each| matches!(each, Command::SetUpEventList(_))));
    assert!(is_enabled(&phone, BOOTSTRAP));
    phone.reset();
    phone.start();
    assert!(is_enabled(&phone, FREE));
}

#[test]
fn without_timers_status_commands_are_counted() {
    let mut phone = Phone::new(Bench::new());
    phone.facilities = without(&[Facility::TIMER_MANAGEMENT]);
    phone.settle();
    enable_unserved(&mut phone, FREE);
    phone.network = LocationStatus::None;
    phone.serve();
    assert!(is_enabled(&phone, FREE) && phone.timers.is_empty());
    let polls = NUMBERS.attach_seconds / NUMBERS.poll_seconds;
    for _ in 1..polls {
        phone.status();
        assert!(is_enabled(&phone, FREE));
    }
    phone.network = LocationStatus::Normal;
    phone.status();
    assert!(is_enabled(&phone, BOOTSTRAP));
}

#[test]
fn if_a_timer_cannot_start_status_commands_are_counted() {
    let mut phone = Phone::settled();
    phone.refuse = Box::new(|command| {
        let is_timer = matches!(command, Command::TimerManagement { .. });
        is_timer.then_some((GeneralResult::TIMER_CONTRADICTION, Vec::new()))
    });
    phone.told_of_network(LocationStatus::None);
    for _ in 0..NUMBERS.loss_seconds / NUMBERS.poll_seconds {
        phone.status();
    }
    // The fallback profile is enabled, so the expiration has no effect.
    assert!(is_enabled(&phone, BOOTSTRAP));
    enable(&mut phone, FREE);
    phone.told_of_network(LocationStatus::None);
    for _ in 0..NUMBERS.attach_seconds.max(NUMBERS.loss_seconds) / NUMBERS.poll_seconds {
        phone.status();
    }
    assert!(is_enabled(&phone, BOOTSTRAP));
}

#[test]
fn a_network_is_assumed_if_the_terminal_cannot_report_it() {
    let mut phone = Phone::new(Bench::new());
    phone.facilities = without(&[Facility::EVENT_LOCATION_STATUS, Facility::LOCATION_AND_IMEI]);
    phone.start();
    let told = phone.notification().unwrap();
    assert_eq!((told.kind, told.imei), (NotificationType::EuiccDeclaration, None));
}

#[test]
fn without_refresh_the_switch_is_made_at_the_next_reset() {
    let mut phone = Phone::new(Bench::new());
    phone.facilities = without(&[Facility::REFRESH]);
    phone.settle();
    enable(&mut phone, FREE);
    assert!(is_enabled(&phone, BOOTSTRAP));
    phone.reset();
    phone.start();
    assert!(is_enabled(&phone, FREE));
    assert_eq!(phone.notification().unwrap().kind, NotificationType::ProfileChangeSucceeded);
}

#[test]
fn timers_and_limits_are_those_of_the_description() {
    let bench = Bench::with(
        |description| {
            let numbers = &mut description.m2m.as_mut().unwrap().toolkit;
            *numbers = Numbers { confirmation_seconds: 7, notification_attempts: 1, ..Numbers::default() };
        },
        world::RamMemory::default(),
    );
    let mut phone = Phone::new(bench);
    phone.settle();
    enable(&mut phone, FREE);
    assert_eq!(phone.ring(), Some(7));
    assert!(is_enabled(&phone, BOOTSTRAP));
}
