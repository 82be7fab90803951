//! Power cuts before and after every write of a switch, a roll-back and a fallback. Afterwards the
//! card is consistent, and with a responding SM-SR it reaches a state with one enabled profile and
//! no pending notification.

use std::collections::BTreeMap;

use rsp::ids::Aid;
use rsp::ota::cat::{LocationStatus, TerminalCapability};
use rsp::ota::script::Script;
use rsp::ota::secured_packet::Spi;
use rsp::sgp02::notification::{DefaultNotification, NotificationType};
use world::{Cells, Memory, RamMemory};

use super::https_link::{Link, audit, commands, is_over, link, trigger};
use super::terminal::{TestTerminal, without};
use crate::m2m::tests::testbed::{
    BOOTSTRAP, DELETE_ON_DISABLE, NEW, NO_DELETE, NO_DISABLE, NO_RULES, Testbed, aid, create_isd_p,
    isd_p_group, store_data,
};
use crate::m2m::toolkit::ToolkitSettings;
use crate::state::m2m::LifeCycle;
use crate::tests::cut_memory::CutMemory;

/// The received notifications. All notifications with the same number have the same type.
type Received = BTreeMap<u16, NotificationType>;

fn receive_notification(terminal: &mut TestTerminal, received: &mut Received) -> Option<DefaultNotification> {
    let notification = terminal.notification()?;
    let known = received.entry(notification.sequence_number).or_insert(notification.kind);
    assert_eq!(*known, notification.kind, "one number, one event");
    Some(notification)
}

fn enable(terminal: &mut TestTerminal, number: u16) {
    let apdu = store_data(&isd_p_group("3A03", number));
    let script = Script::of_apdus([hex::decode(apdu).unwrap()]).to_bytes();
    terminal.packet(Spi::UNANSWERED, &script);
}

fn enabled(terminal: &TestTerminal) -> Vec<u16> {
    [BOOTSTRAP, NO_RULES, NO_DISABLE, NO_DELETE, DELETE_ON_DISABLE]
        .into_iter()
        .filter(|number| terminal.testbed.life_cycle(*number) == Some(LifeCycle::Enabled))
        .collect()
}

/// A scenario. DELETE_ON_DISABLE is enabled, and NO_RULES is to be enabled.
type Scenario = fn(&mut TestTerminal, &mut Received);

const SCENARIOS: [(&str, Scenario, &[u16]); 4] = [
    (
        "a switch",
        |terminal, received| {
            enable(terminal, NO_RULES);
            if let Some(notification) = receive_notification(terminal, received) {
                confirm(terminal, notification.sequence_number);
            }
        },
        &[DELETE_ON_DISABLE, NO_RULES],
    ),
    (
        "an unconfirmed switch",
        |terminal, received| {
            enable(terminal, NO_RULES);
            for _ in 0..=ToolkitSettings::DEFAULT.notification_attempts {
                receive_notification(terminal, received);
                terminal.expire_timer();
            }
            receive_notification(terminal, received);
        },
        &[DELETE_ON_DISABLE, NO_RULES],
    ),
    (
        "a switch and a roll-back without a network",
        |terminal, received| {
            terminal.network = LocationStatus::None;
            enable(terminal, NO_RULES);
            terminal.expire_timer();
            terminal.network = LocationStatus::Normal;
            terminal.expire_timer();
            receive_notification(terminal, received);
        },
        &[DELETE_ON_DISABLE, NO_RULES, BOOTSTRAP],
    ),
    (
        "a loss of the network",
        |terminal, received| {
            terminal.report_network(LocationStatus::None);
            terminal.network = LocationStatus::Normal;
            terminal.expire_timer();
            receive_notification(terminal, received);
        },
        &[DELETE_ON_DISABLE, BOOTSTRAP],
    ),
];

/// Sends the confirmation. Its response can be lost if the memory fails.
fn confirm(terminal: &mut TestTerminal, number: u16) {
    let script = hex::decode(format!("AA0F220D80E28900073A08044E02{number:04X}00")).unwrap();
    terminal.packet(Spi::UNANSWERED, &script);
}

fn start() -> Cells {
    let memory = RamMemory::default();
    let mut terminal = TestTerminal::new(Testbed::with(|_| {}, memory.clone()));
    terminal.settle();
    enable(&mut terminal, DELETE_ON_DISABLE);
    let notification = terminal.notification().unwrap();
    terminal.confirm(notification.sequence_number);
    memory.load().unwrap()
}

fn terminal_with(memory: CutMemory) -> TestTerminal {
    let mut terminal = TestTerminal::new(Testbed::with(|_| {}, memory));
    // A command whose write failed has no effect, so the terminal cannot predict the responses.
    terminal.follows_protocol = false;
    terminal.skip_counters(100);
    terminal
}

#[test]
fn after_every_power_cut_the_card_reaches_a_final_state() {
    let start = start();
    for (name, scenario, may_be_enabled) in SCENARIOS {
        let whole = CutMemory::intact(start.clone());
        let mut terminal = terminal_with(whole.clone());
        terminal.start();
        scenario(&mut terminal, &mut Received::new());
        let writes = whole.writes();
        assert!(writes >= 3, "{name}: {writes}");

        for fails_at in 0..writes {
            for after in [false, true] {
                let what = format!("{name}, cut {} write {fails_at}", if after { "after" } else { "before" });
                let cut = CutMemory::new(start.clone(), fails_at, after);
                let mut terminal = terminal_with(cut.clone());
                let mut received = Received::new();
                terminal.start();
                scenario(&mut terminal, &mut received);

                // Power and network are restored.
                let mut terminal = terminal_with(CutMemory::intact(cut.cells()));
                terminal.skip_counters(200);
                terminal.reset();
                terminal.start();
                for _ in 0..4 {
                    if let Some(notification) = receive_notification(&mut terminal, &mut received) {
                        assert_eq!(
                            vec![notification.isd_p.clone()],
                            enabled(&terminal).iter().map(|number| Aid::isd_p(*number)).collect::<Vec<_>>(),
                            "{what}"
                        );
                        confirm(&mut terminal, notification.sequence_number);
                    }
                    terminal.status();
                }
                let enabled = enabled(&terminal);
                assert_eq!(enabled.len(), 1, "{what}: {enabled:?}");
                assert!(may_be_enabled.contains(&enabled[0]), "{what}: {enabled:?}");
                let toolkit = &terminal.testbed.state().toolkit;
                assert_eq!((&toolkit.notification, &toolkit.change), (&None, &None), "{what}");
                assert!(terminal.timers.is_empty(), "{what}");
                // The card still accepts commands.
                let next = if enabled[0] == NO_DELETE { NO_RULES } else { NO_DELETE };
                enable(&mut terminal, next);
                let notification = receive_notification(&mut terminal, &mut received).expect(&what);
                assert_eq!(
                    (notification.kind, notification.isd_p),
                    (NotificationType::ProfileChangeSucceeded, Aid::isd_p(next))
                );
            }
        }
    }
}

/// The card is not reset. Input that the terminal sends only once is processed later.
#[test]
fn after_a_temporary_memory_failure_the_card_reaches_a_final_state() {
    let start = start();
    for (name, scenario, may_be_enabled) in SCENARIOS {
        let whole = CutMemory::intact(start.clone());
        let mut terminal = terminal_with(whole.clone());
        terminal.start();
        scenario(&mut terminal, &mut Received::new());
        let writes = whole.writes();
        for (fails_at, failures) in (0..writes).flat_map(|at| [(at, 1), (at, 3)]) {
            let what = format!("{name}, {failures} failures from write {fails_at}");
            let mut terminal = terminal_with(CutMemory::failing(start.clone(), fails_at, failures));
            let mut received = Received::new();
            terminal.start();
            scenario(&mut terminal, &mut received);
            terminal.report_network(LocationStatus::Normal);
            for _ in 0..20 {
                terminal.status();
                if let Some(notification) = receive_notification(&mut terminal, &mut received) {
                    confirm(&mut terminal, notification.sequence_number);
                } else if terminal.testbed.state().toolkit.notification.is_some() {
                    terminal.expire_timer();
                }
            }
            let enabled = enabled(&terminal);
            assert_eq!(enabled.len(), 1, "{what}: {enabled:?}");
            assert!(may_be_enabled.contains(&enabled[0]), "{what}: {enabled:?}");
            let toolkit = &terminal.testbed.state().toolkit;
            assert_eq!((&toolkit.notification, &toolkit.change), (&None, &None), "{what}");
            assert!(terminal.timers.is_empty(), "{what}: {:?}", terminal.timers);
            let next = if enabled[0] == NO_DELETE { NO_RULES } else { NO_DELETE };
            // An SMS with a failed ENVELOPE is sent again.
            for _ in 0..=failures {
                enable(&mut terminal, next);
                terminal.status();
            }
            assert_eq!(self::enabled(&terminal), [next], "{what}");
        }
    }
}

/// A terminal performs the reset for a REFRESH only once.
#[test]
fn a_switch_that_failed_at_the_reset_is_announced_again() {
    let start = start();
    let terminal_with = |memory| {
        let mut terminal = terminal_with(memory);
        terminal.facilities = without(&[TerminalCapability::REFRESH_PROFILE_STATE_CHANGE]);
        terminal.start();
        terminal
    };
    let whole = CutMemory::intact(start.clone());
    enable(&mut terminal_with(whole.clone()), NO_RULES);
    assert!(whole.writes() >= 2);
    for fails_at in 0..whole.writes() {
        let mut terminal = terminal_with(CutMemory::failing(start.clone(), fails_at, 1));
        // An SMS with a failed ENVELOPE is sent again.
        for _ in 0..2 {
            enable(&mut terminal, NO_RULES);
            terminal.status();
        }
        assert_eq!(enabled(&terminal), [NO_RULES], "write {fails_at}");
    }
}

#[test]
fn a_failed_write_does_not_end_a_session() {
    let start = start();
    let create = create_isd_p(&aid(NEW), None);
    let replies = || [commands(std::slice::from_ref(&create), Some("/2")), audit(Some("/3"))];
    let run = |memory: CutMemory| {
        let mut terminal = terminal_with(memory);
        terminal.start();
        terminal.link = Some(Link::new(replies()));
        terminal.packet(Spi::UNANSWERED, &trigger());
        terminal
    };
    let whole = CutMemory::intact(start.clone());
    assert_eq!(link(&run(whole.clone())).requests.len(), 3);
    let writes = whole.writes();
    assert!(writes > 3);
    // The first write is skipped: it stores the trigger, and the network would send the SMS with
    // the trigger again.
    for fails_at in 1..writes {
        let mut terminal = run(CutMemory::failing(start.clone(), fails_at, 1));
        terminal.status();
        assert!(is_over(&terminal), "write {fails_at}");
        let requests = &link(&terminal).requests;
        let uris: Vec<_> = requests.iter().map(|request| request.uri.as_str()).collect();
        assert_eq!(uris, ["/gsma/adminagent", "/2", "/3"], "write {fails_at}");
        assert_eq!(requests[1].response().last_apdu().unwrap().status.0, 0x9000, "write {fails_at}");
    }
}
