//! Tests of default notifications, roll-back and fallback: SGP.02 sections 3.15 and 3.16.

use rsp::ids::Aid;
use rsp::ota::cat::{
    Command, GeneralResult, LocalInformation, LocationStatus, Response, TerminalCapability, TerminalResponse,
};
use rsp::ota::script::{Script, ScriptResponse};
use rsp::ota::secured_packet::Spi;
use rsp::sgp02::notification::NotificationType;

use super::terminal::{TestTerminal, opened, without};
use crate::m2m::notification;
use crate::m2m::tests::testbed::{
    BOOTSTRAP, DELETE_ON_DISABLE, NO_DISABLE, NO_RULES, Testbed, aid, isd_p_group, store_data,
};
use crate::m2m::toolkit::ToolkitSettings;
use crate::state::m2m::LifeCycle;

const SETTINGS: &ToolkitSettings = ToolkitSettings::DEFAULT;

/// Enables a profile by a script over SMS. Pending proactive commands are not fetched yet.
fn enable_without_running(terminal: &mut TestTerminal, number: u16) {
    let apdu = store_data(&isd_p_group("3A03", number));
    let script = Script::of_apdus([hex::decode(apdu).unwrap()]).to_bytes();
    let packet = terminal.next_packet(Spi::COMMAND_ANSWERED_IN_REPORT, &script);
    let (report, _) = terminal.deliver_only(&packet);
    let response = ScriptResponse::parse(&opened(&report).data).unwrap();
    assert_eq!(response.last_apdu().unwrap().status.0, 0x9000);
}

fn enable(terminal: &mut TestTerminal, number: u16) {
    enable_without_running(terminal, number);
    terminal.run();
}

fn is_enabled(terminal: &TestTerminal, number: u16) -> bool {
    terminal.testbed.life_cycle(number) == Some(LifeCycle::Enabled)
}

/// A card with this enabled profile and a confirmed notification.
fn with_enabled(number: u16) -> TestTerminal {
    let mut terminal = TestTerminal::settled();
    enable(&mut terminal, number);
    let notification = terminal.notification().unwrap();
    terminal.confirm(notification.sequence_number);
    terminal
}

#[test]
fn the_first_attachment_is_declared_once() {
    let mut terminal = TestTerminal::new(Testbed::new());
    terminal.network = LocationStatus::None;
    terminal.start();
    assert_eq!(terminal.notification(), None);
    terminal.report_network(LocationStatus::Normal);
    let notification = terminal.notification().unwrap();
    assert_eq!((notification.kind, notification.sequence_number), (NotificationType::EuiccDeclaration, 1));
    assert_eq!((notification.eid, notification.isd_p), (terminal.testbed.card.eid(), Aid::isd_p(BOOTSTRAP)));
    assert_eq!(notification.imei.unwrap().as_slice(), hex::decode("4A09512430325781").unwrap());
    assert_eq!(terminal.confirm(1), "AB0780010123029000");
    // The declaration is not repeated.
    for _ in 0..2 {
        terminal.reset();
        terminal.start();
        terminal.report_network(LocationStatus::None);
        terminal.report_network(LocationStatus::Normal);
        assert_eq!(terminal.notification(), None);
    }
}

// req: SGP.02-3.15-Repeat
#[test]
fn an_unconfirmed_notification_is_repeated_with_its_number() {
    let mut terminal = TestTerminal::new(Testbed::new());
    terminal.start();
    let first = terminal.notification().unwrap();
    for _ in 1..SETTINGS.notification_attempts {
        assert_eq!(terminal.expire_timer(), Some(SETTINGS.confirmation_seconds));
        assert_eq!(terminal.notification().as_ref(), Some(&first));
    }
    // No switch depends on the declaration, so the attempts restart after a delay.
    assert_eq!(terminal.expire_timer(), Some(SETTINGS.confirmation_seconds));
    assert_eq!(terminal.notification(), None);
    assert_eq!(terminal.expire_timer(), Some(SETTINGS.notification_again_seconds));
    assert_eq!(terminal.notification().as_ref(), Some(&first));
    // After a reset, the notification is sent again with its number.
    terminal.reset();
    terminal.start();
    assert_eq!(terminal.notification(), Some(first));
    terminal.confirm(1);
    assert!(terminal.timers.is_empty());
}

#[test]
fn a_returning_network_shortens_only_the_delay_before_the_attempts_restart() {
    let mut terminal = TestTerminal::new(Testbed::new());
    terminal.start();
    let first = terminal.notification().unwrap();
    let return_of_the_network = |terminal: &mut TestTerminal| {
        terminal.report_network(LocationStatus::None);
        terminal.report_network(LocationStatus::Normal);
    };
    // The timer determines the next attempt.
    return_of_the_network(&mut terminal);
    assert_eq!(terminal.notification(), None);
    for _ in 1..SETTINGS.notification_attempts {
        assert_eq!(terminal.expire_timer(), Some(SETTINGS.confirmation_seconds));
        assert_eq!(terminal.notification().as_ref(), Some(&first));
    }
    assert_eq!(terminal.expire_timer(), Some(SETTINGS.confirmation_seconds));
    assert_eq!(terminal.notification(), None);
    return_of_the_network(&mut terminal);
    assert_eq!(terminal.notification(), Some(first));
}

#[test]
fn a_location_that_the_terminal_cannot_determine_says_nothing_about_the_network() {
    let mut terminal = TestTerminal::new(Testbed::new());
    terminal.refuse = Box::new(|command| {
        let is_location = matches!(command, Command::ProvideLocalInformation(LocalInformation::Location));
        is_location.then_some((GeneralResult::TERMINAL_UNABLE, vec![0x00]))
    });
    terminal.start();
    assert_eq!(terminal.notification(), None);
    terminal.report_network(LocationStatus::Normal);
    assert!(terminal.notification().is_some());
}

#[test]
fn a_message_that_cannot_be_sent_is_retried_earlier() {
    let mut terminal = TestTerminal::new(Testbed::new());
    terminal.refuse = Box::new(|command| {
        let is_message = matches!(command, Command::SendShortMessage { .. });
        is_message.then_some((GeneralResult::NETWORK_UNABLE, vec![0]))
    });
    terminal.start();
    assert_eq!(terminal.notification(), None);
    terminal.refuse = Box::new(|_| None);
    assert_eq!(terminal.expire_timer(), Some(SETTINGS.notification_retry_seconds));
    assert_eq!(terminal.notification().unwrap().sequence_number, 1);
}

#[test]
fn a_switch_sends_the_response_then_refresh_then_the_notification() {
    for facilities in
        [super::terminal::ALL.to_vec(), without(&[TerminalCapability::REFRESH_PROFILE_STATE_CHANGE])]
    {
        let mut terminal = TestTerminal::new(Testbed::new());
        terminal.facilities = facilities;
        terminal.settle();
        let apdu = store_data(&isd_p_group("3A03", NO_RULES));
        let script = Script::of_apdus([hex::decode(apdu).unwrap()]).to_bytes();
        terminal.packet(Spi::COMMAND_ANSWERED_BY_SUBMIT, &script);
        let order: Vec<_> = terminal
            .fetched
            .iter()
            .filter_map(|each| match each {
                Command::SendShortMessage { .. } => Some("message"),
                Command::Refresh(_) => Some("refresh"),
                _ => None,
            })
            .collect();
        assert_eq!(order, ["message", "refresh", "message"]);
        assert!(is_enabled(&terminal, NO_RULES));
        let notification = terminal.notification().unwrap();
        assert_eq!(
            (notification.kind, notification.sequence_number, notification.isd_p),
            (NotificationType::ProfileChangeSucceeded, 2, Aid::isd_p(NO_RULES))
        );
        let is_unconfirmed = terminal.testbed.commit(|context| notification::is_unconfirmed(context));
        assert!(is_unconfirmed.unwrap());
        assert_eq!(terminal.confirm(2), "AB0780010123029000");
        let is_unconfirmed = terminal.testbed.commit(|context| notification::is_unconfirmed(context));
        assert!(!is_unconfirmed.unwrap());
        // A repeated confirmation is accepted, an unknown number is refused.
        assert_eq!(terminal.confirm(2), "AB0780010123029000");
        assert_eq!(terminal.confirm(7), "AB0780010123026A88");
        assert!(terminal.timers.is_empty());
    }
}

// req: SGP.02-3.15-Pol1
#[test]
fn delete_when_disabled_takes_effect_with_the_confirmation() {
    let mut terminal = with_enabled(DELETE_ON_DISABLE);
    enable(&mut terminal, NO_RULES);
    let notification = terminal.notification().unwrap();
    assert_eq!(terminal.testbed.life_cycle(DELETE_ON_DISABLE), Some(LifeCycle::Disabled));
    let answer = terminal.confirm(notification.sequence_number);
    assert!(
        answer.contains(&format!("80124F10{}", Aid::isd_p(DELETE_ON_DISABLE)).to_uppercase()),
        "{answer}"
    );
    assert_eq!(terminal.testbed.life_cycle(DELETE_ON_DISABLE), None);
}

// req: SGP.02-3.16-Network
#[test]
fn without_a_network_after_a_switch_the_card_rolls_back() {
    for network in [LocationStatus::None, LocationStatus::Limited] {
        let mut terminal = with_enabled(NO_DISABLE.min(NO_RULES));
        enable_without_running(&mut terminal, DELETE_ON_DISABLE);
        terminal.network = network;
        terminal.run();
        assert!(is_enabled(&terminal, DELETE_ON_DISABLE));
        assert_eq!(terminal.notification(), None);
        // The previous profile has network.
        terminal.network = LocationStatus::Normal;
        assert_eq!(terminal.expire_timer(), Some(SETTINGS.attach_seconds));
        assert!(is_enabled(&terminal, NO_RULES));
        let notification = terminal.notification().unwrap();
        assert_eq!(
            (notification.kind, notification.isd_p),
            (NotificationType::ProfileChangeFailed, Aid::isd_p(NO_RULES))
        );
        // The failed profile is not deleted.
        terminal.confirm(notification.sequence_number);
        assert_eq!(terminal.testbed.life_cycle(DELETE_ON_DISABLE), Some(LifeCycle::Disabled));
    }
}

// req: SGP.02-3.16-Confirmation
#[test]
fn without_a_confirmation_after_a_switch_the_card_rolls_back() {
    let mut terminal = with_enabled(NO_RULES);
    enable(&mut terminal, DELETE_ON_DISABLE);
    let notification = terminal.notification().unwrap();
    for _ in 1..SETTINGS.notification_attempts {
        assert_eq!(terminal.expire_timer(), Some(SETTINGS.confirmation_seconds));
        assert_eq!(terminal.notification().as_ref(), Some(&notification));
    }
    terminal.expire_timer();
    assert!(is_enabled(&terminal, NO_RULES));
    let failed = terminal.notification().unwrap();
    assert_eq!(failed.kind, NotificationType::ProfileChangeFailed);
    assert_eq!(failed.sequence_number, notification.sequence_number + 1);
    // The switch can no longer be confirmed.
    assert!(terminal.confirm(notification.sequence_number).ends_with("6A88"));
    terminal.confirm(failed.sequence_number);
}

// req: SGP.02-3.16-Failed
#[test]
fn a_failed_roll_back_is_followed_by_a_fallback() {
    for is_confirmation_lost in [false, true] {
        let mut terminal = with_enabled(NO_RULES);
        enable_without_running(&mut terminal, DELETE_ON_DISABLE);
        terminal.network = LocationStatus::None;
        terminal.run();
        if is_confirmation_lost {
            terminal.network = LocationStatus::Normal;
            terminal.expire_timer();
            assert!(is_enabled(&terminal, NO_RULES));
            assert_eq!(terminal.notification().unwrap().kind, NotificationType::ProfileChangeFailed);
            for _ in 0..SETTINGS.notification_attempts {
                terminal.expire_timer();
            }
        } else {
            terminal.expire_timer();
            assert!(is_enabled(&terminal, NO_RULES));
            terminal.network = LocationStatus::Normal;
            terminal.expire_timer();
        }
        assert!(is_enabled(&terminal, BOOTSTRAP));
        let notification = terminal.notification().unwrap();
        assert_eq!(notification.kind, NotificationType::ProfileChangeAfterFallback);
        terminal.confirm(notification.sequence_number);
    }
}

#[test]
fn a_pending_roll_back_is_not_replaced_by_a_fallback() {
    let mut terminal = with_enabled(NO_RULES);
    enable_without_running(&mut terminal, DELETE_ON_DISABLE);
    terminal.network = LocationStatus::None;
    terminal.run();
    // The terminal refuses the REFRESH of the roll-back, and there is no network for a long time.
    terminal.refuse = Box::new(|command| {
        let is_refresh = matches!(command, Command::Refresh(_));
        is_refresh.then_some((GeneralResult(0x30), Vec::new()))
    });
    assert_eq!(terminal.expire_timer(), Some(SETTINGS.attach_seconds));
    assert!(is_enabled(&terminal, DELETE_ON_DISABLE));
    terminal.report_network(LocationStatus::Limited);
    assert_eq!(terminal.expire_timer(), Some(SETTINGS.loss_seconds));
    assert!(is_enabled(&terminal, DELETE_ON_DISABLE));
    terminal.refuse = Box::new(|_| None);
    terminal.network = LocationStatus::Normal;
    terminal.reset();
    terminal.start();
    assert!(is_enabled(&terminal, NO_RULES));
    let notification = terminal.notification().unwrap();
    assert_eq!(
        (notification.kind, notification.isd_p),
        (NotificationType::ProfileChangeFailed, Aid::isd_p(NO_RULES))
    );
}

#[test]
fn a_pending_switch_is_applied_before_a_fallback() {
    let mut terminal = with_enabled(NO_RULES);
    terminal.facilities = without(&[TerminalCapability::REFRESH]);
    terminal.reset();
    terminal.start();
    enable(&mut terminal, DELETE_ON_DISABLE);
    assert!(is_enabled(&terminal, NO_RULES));
    terminal.report_network(LocationStatus::None);
    assert_eq!(terminal.expire_timer(), Some(SETTINGS.loss_seconds));
    terminal.network = LocationStatus::Normal;
    terminal.reset();
    terminal.start();
    assert!(is_enabled(&terminal, DELETE_ON_DISABLE));
    assert_eq!(terminal.notification().unwrap().kind, NotificationType::ProfileChangeSucceeded);
}

#[test]
fn the_emergency_profile_is_not_left_without_a_network() {
    // Each row has the enabled profile, the profile with the emergency attribute, and the profile that
    // is enabled after the loss of the network.
    for (enabled, emergency, after) in [
        (NO_RULES, Some(NO_RULES), NO_RULES),
        (NO_RULES, Some(NO_DISABLE), BOOTSTRAP),
        (NO_RULES, None, BOOTSTRAP),
    ] {
        let mut terminal = with_enabled(enabled);
        terminal.testbed.state_mut().emergency = emergency.map(Aid::isd_p);
        terminal.report_network(LocationStatus::None);
        terminal.network = LocationStatus::Normal;
        assert_eq!(terminal.expire_timer(), Some(SETTINGS.loss_seconds));
        assert!(is_enabled(&terminal, after), "{emergency:?}");
    }
}

// req: SGP.02-3.16-Loss
#[test]
fn a_long_loss_of_the_network_leads_to_a_fallback() {
    for lost in [LocationStatus::None, LocationStatus::Limited] {
        let mut terminal = with_enabled(NO_RULES);
        terminal.report_network(lost);
        terminal.report_network(LocationStatus::Normal);
        assert!(terminal.timers.is_empty(), "a short loss has no effect");
        terminal.report_network(lost);
        terminal.network = LocationStatus::Normal;
        assert_eq!(terminal.expire_timer(), Some(SETTINGS.loss_seconds));
        assert!(is_enabled(&terminal, BOOTSTRAP));
        let notification = terminal.notification().unwrap();
        assert_eq!(notification.kind, NotificationType::ProfileChangeAfterFallback);
        terminal.confirm(notification.sequence_number);
        // There is no fallback from the fallback profile.
        terminal.report_network(lost);
        terminal.expire_timer();
        assert!(is_enabled(&terminal, BOOTSTRAP));
        assert_eq!(terminal.resets, 2);
    }
}

#[test]
fn after_a_fallback_from_a_protected_profile_only_that_profile_can_be_enabled() {
    let mut terminal = with_enabled(NO_DISABLE);
    terminal.report_network(LocationStatus::None);
    terminal.network = LocationStatus::Normal;
    terminal.expire_timer();
    let notification = terminal.notification().unwrap();
    terminal.confirm(notification.sequence_number);
    assert!(is_enabled(&terminal, BOOTSTRAP));
    assert_eq!(terminal.testbed.store(&isd_p_group("3A03", NO_RULES)), "69E1");
    assert_eq!(terminal.testbed.store(&isd_p_group("3A05", NO_RULES)), "69E1");
    // A failed attempt to enable it does not lift the restriction.
    enable_without_running(&mut terminal, NO_DISABLE);
    terminal.network = LocationStatus::None;
    terminal.run();
    terminal.network = LocationStatus::Normal;
    terminal.expire_timer();
    assert!(is_enabled(&terminal, BOOTSTRAP));
    let notification = terminal.notification().unwrap();
    assert_eq!(notification.kind, NotificationType::ProfileChangeFailed);
    terminal.confirm(notification.sequence_number);
    assert_eq!(terminal.testbed.store(&isd_p_group("3A03", NO_RULES)), "69E1");
    enable(&mut terminal, NO_DISABLE);
    assert!(is_enabled(&terminal, NO_DISABLE));
    let notification = terminal.notification().unwrap();
    assert_eq!(notification.kind, NotificationType::ProfileChangeSucceeded);
    terminal.confirm(notification.sequence_number);
    assert_eq!(terminal.testbed.state().toolkit.fell_back_from, None);
}

#[test]
fn the_fallback_restriction_ends_with_the_deletion_of_the_profile() {
    let mut terminal = with_enabled(NO_DISABLE);
    terminal.report_network(LocationStatus::None);
    terminal.network = LocationStatus::Normal;
    terminal.expire_timer();
    let notification = terminal.notification().unwrap();
    terminal.confirm(notification.sequence_number);
    let kept = |terminal: &TestTerminal| terminal.testbed.state().toolkit.fell_back_from.clone();
    assert_eq!(kept(&terminal), Some(Aid::isd_p(NO_DISABLE)));
    assert_eq!(terminal.testbed.es5(&format!("80E40040124F10{}", aid(NO_DISABLE))), "9000");
    assert_eq!(kept(&terminal), None);
}

#[test]
fn no_command_is_announced_during_a_refresh() {
    let mut terminal = TestTerminal::settled();
    enable_without_running(&mut terminal, NO_RULES);
    let refresh = loop {
        let proactive = terminal.fetch().expect("a REFRESH");
        if matches!(proactive.command, Command::Refresh(_)) {
            break proactive;
        }
        terminal.execute(&proactive);
    };
    // A response by short message must wait.
    let script = Script::of_apdus([hex::decode("80CAFF2100").unwrap()]).to_bytes();
    let packet = terminal.next_packet(Spi::COMMAND_ANSWERED_BY_SUBMIT, &script);
    assert_eq!(terminal.deliver_only(&packet).1, 0x9000);
    assert_eq!(terminal.testbed.terminal("8012000000"), "6985");
    // The terminal fails temporarily: the message is sent first, then REFRESH is repeated.
    terminal.respond(&TerminalResponse::of(
        &refresh,
        GeneralResult::TERMINAL_UNABLE,
        vec![0],
        Response::None,
    ));
    terminal.fetched.clear();
    terminal.status();
    let position_of = |is: fn(&Command) -> bool| terminal.fetched.iter().position(is).unwrap();
    assert!(
        position_of(|each| matches!(each, Command::SendShortMessage { .. }))
            < position_of(|each| matches!(each, Command::Refresh(_)))
    );
    assert!(is_enabled(&terminal, NO_RULES));
}

#[test]
fn terminal_profile_instead_of_a_response_to_refresh_delays_the_switch_to_the_reset() {
    let mut terminal = TestTerminal::settled();
    enable_without_running(&mut terminal, NO_RULES);
    while !matches!(terminal.fetch().expect("a REFRESH").command, Command::Refresh(_)) {}
    terminal.fetched.clear();
    terminal.start();
    assert!(terminal.fetched.iter().any(|each| matches!(each, Command::SetUpEventList(_))));
    assert!(is_enabled(&terminal, BOOTSTRAP));
    terminal.reset();
    terminal.start();
    assert!(is_enabled(&terminal, NO_RULES));
}

#[test]
fn without_timers_status_commands_are_counted() {
    let mut terminal = TestTerminal::new(Testbed::new());
    terminal.facilities = without(&[TerminalCapability::TIMER_MANAGEMENT]);
    terminal.settle();
    enable_without_running(&mut terminal, NO_RULES);
    terminal.network = LocationStatus::None;
    terminal.run();
    assert!(is_enabled(&terminal, NO_RULES) && terminal.timers.is_empty());
    let polls = SETTINGS.attach_seconds / SETTINGS.poll_seconds;
    for _ in 1..polls {
        terminal.status();
        assert!(is_enabled(&terminal, NO_RULES));
    }
    terminal.network = LocationStatus::Normal;
    terminal.status();
    assert!(is_enabled(&terminal, BOOTSTRAP));
}

#[test]
fn if_a_timer_cannot_start_status_commands_are_counted() {
    let mut terminal = TestTerminal::settled();
    terminal.refuse = Box::new(|command| {
        let is_timer = matches!(command, Command::TimerManagement { .. });
        is_timer.then_some((GeneralResult::TIMER_CONTRADICTION, Vec::new()))
    });
    terminal.report_network(LocationStatus::None);
    for _ in 0..SETTINGS.loss_seconds / SETTINGS.poll_seconds {
        terminal.status();
    }
    // The fallback profile is enabled, so the expiration has no effect.
    assert!(is_enabled(&terminal, BOOTSTRAP));
    enable(&mut terminal, NO_RULES);
    terminal.report_network(LocationStatus::None);
    for _ in 0..SETTINGS.attach_seconds.max(SETTINGS.loss_seconds) / SETTINGS.poll_seconds {
        terminal.status();
    }
    assert!(is_enabled(&terminal, BOOTSTRAP));
}

#[test]
fn a_network_is_assumed_if_the_terminal_cannot_report_it() {
    let mut terminal = TestTerminal::new(Testbed::new());
    terminal.facilities =
        without(&[TerminalCapability::EVENT_LOCATION_STATUS, TerminalCapability::LOCATION_AND_IMEI]);
    terminal.start();
    let notification = terminal.notification().unwrap();
    assert_eq!((notification.kind, notification.imei), (NotificationType::EuiccDeclaration, None));
}

#[test]
fn without_refresh_the_switch_is_applied_at_the_next_reset() {
    let mut terminal = TestTerminal::new(Testbed::new());
    terminal.facilities = without(&[TerminalCapability::REFRESH]);
    terminal.settle();
    enable(&mut terminal, NO_RULES);
    assert!(is_enabled(&terminal, BOOTSTRAP));
    terminal.reset();
    terminal.start();
    assert!(is_enabled(&terminal, NO_RULES));
    assert_eq!(terminal.notification().unwrap().kind, NotificationType::ProfileChangeSucceeded);
}

#[test]
fn timers_and_limits_are_those_of_the_description() {
    let testbed = Testbed::with(
        |description| {
            let numbers = &mut description.m2m.as_mut().unwrap().toolkit;
            *numbers = ToolkitSettings {
                confirmation_seconds: 7,
                notification_attempts: 1,
                ..ToolkitSettings::default()
            };
        },
        world::RamMemory::default(),
    );
    let mut terminal = TestTerminal::new(testbed);
    terminal.settle();
    enable(&mut terminal, NO_RULES);
    assert_eq!(terminal.expire_timer(), Some(7));
    assert!(is_enabled(&terminal, BOOTSTRAP));
}
