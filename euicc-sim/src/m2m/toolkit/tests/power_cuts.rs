//! Power cuts before and after every write of a switch, a roll-back and a fallback. Afterwards the
//! card is consistent, and with a responding SM-SR it reaches a state with one enabled profile and
//! no pending notification.

use std::collections::BTreeMap;

use rsp::ids::Aid;
use rsp::ota::cat::{Facility, LocationStatus};
use rsp::ota::script::Script;
use rsp::ota::secured_packet::Spi;
use rsp::sgp02::notification::{DefaultNotification, NotificationType};
use world::{Cells, Memory, RamMemory};

use super::https_link::{Link, audit, commands, is_over, link, trigger};
use super::phone::{Phone, without};
use crate::m2m::state::LifeCycle;
use crate::m2m::tests::bench::{
    BOOTSTRAP, Bench, FREE, GOES, NEW, STAYS, STAYS_ENABLED, aid, create_isd_p, naming, store_data,
};
use crate::m2m::toolkit::Numbers;
use crate::tests::cut_memory::CutMemory;

/// The received notifications. A number always has the same kind.
type Heard = BTreeMap<u16, NotificationType>;

fn hear(phone: &mut Phone, heard: &mut Heard) -> Option<DefaultNotification> {
    let told = phone.notification()?;
    let known = heard.entry(told.sequence_number).or_insert(told.kind);
    assert_eq!(*known, told.kind, "one number, one event");
    Some(told)
}

fn enable(phone: &mut Phone, number: u16) {
    let apdu = store_data(&naming("3A03", number));
    let script = Script::of_apdus([hex::decode(apdu).unwrap()]).to_bytes();
    phone.packet(Spi::UNANSWERED, &script);
}

fn enabled(phone: &Phone) -> Vec<u16> {
    [BOOTSTRAP, FREE, STAYS_ENABLED, STAYS, GOES]
        .into_iter()
        .filter(|number| phone.bench.life_cycle(*number) == Some(LifeCycle::Enabled))
        .collect()
}

/// A scenario. GOES is enabled, and FREE is to be enabled.
type Story = fn(&mut Phone, &mut Heard);

const STORIES: [(&str, Story, &[u16]); 4] = [
    (
        "a switch",
        |phone, heard| {
            enable(phone, FREE);
            if let Some(told) = hear(phone, heard) {
                confirm(phone, told.sequence_number);
            }
        },
        &[GOES, FREE],
    ),
    (
        "an unconfirmed switch",
        |phone, heard| {
            enable(phone, FREE);
            for _ in 0..=Numbers::STANDARD.notification_attempts {
                hear(phone, heard);
                phone.ring();
            }
            hear(phone, heard);
        },
        &[GOES, FREE],
    ),
    (
        "a switch and a roll-back without a network",
        |phone, heard| {
            phone.network = LocationStatus::None;
            enable(phone, FREE);
            phone.ring();
            phone.network = LocationStatus::Normal;
            phone.ring();
            hear(phone, heard);
        },
        &[GOES, FREE, BOOTSTRAP],
    ),
    (
        "a loss of the network",
        |phone, heard| {
            phone.told_of_network(LocationStatus::None);
            phone.network = LocationStatus::Normal;
            phone.ring();
            hear(phone, heard);
        },
        &[GOES, BOOTSTRAP],
    ),
];

/// Sends the confirmation. Its response can be lost if the memory fails.
fn confirm(phone: &mut Phone, number: u16) {
    let script = hex::decode(format!("AA0F220D80E28900073A08044E02{number:04X}00")).unwrap();
    phone.packet(Spi::UNANSWERED, &script);
}

fn start() -> Cells {
    let memory = RamMemory::default();
    let mut phone = Phone::new(Bench::with(|_| {}, memory.clone()));
    phone.settle();
    enable(&mut phone, GOES);
    let told = phone.notification().unwrap();
    phone.confirm(told.sequence_number);
    memory.load().unwrap()
}

fn phone_with(memory: CutMemory) -> Phone {
    let mut phone = Phone::new(Bench::with(|_| {}, memory));
    // A command whose write failed has no effect, so the terminal cannot predict the responses.
    phone.is_orderly = false;
    phone.skip_counters(100);
    phone
}

#[test]
fn after_every_power_cut_the_card_reaches_a_final_state() {
    let start = start();
    for (name, story, may_be_enabled) in STORIES {
        let whole = CutMemory::whole(start.clone());
        let mut phone = phone_with(whole.clone());
        phone.start();
        story(&mut phone, &mut Heard::new());
        let writes = whole.writes();
        assert!(writes >= 3, "{name}: {writes}");

        for fails_at in 0..writes {
            for after in [false, true] {
                let what = format!("{name}, cut {} write {fails_at}", if after { "after" } else { "before" });
                let cut = CutMemory::new(start.clone(), fails_at, after);
                let mut phone = phone_with(cut.clone());
                let mut heard = Heard::new();
                phone.start();
                story(&mut phone, &mut heard);

                // Power and network are restored.
                let mut phone = phone_with(CutMemory::whole(cut.cells()));
                phone.skip_counters(200);
                phone.reset();
                phone.start();
                for _ in 0..4 {
                    if let Some(told) = hear(&mut phone, &mut heard) {
                        assert_eq!(
                            vec![told.isd_p.clone()],
                            enabled(&phone).iter().map(|number| Aid::isd_p(*number)).collect::<Vec<_>>(),
                            "{what}"
                        );
                        confirm(&mut phone, told.sequence_number);
                    }
                    phone.status();
                }
                let enabled = enabled(&phone);
                assert_eq!(enabled.len(), 1, "{what}: {enabled:?}");
                assert!(may_be_enabled.contains(&enabled[0]), "{what}: {enabled:?}");
                let toolkit = &phone.bench.state().toolkit;
                assert_eq!((&toolkit.notification, &toolkit.change), (&None, &None), "{what}");
                assert!(phone.timers.is_empty(), "{what}");
                // The card still accepts commands.
                let next = if enabled[0] == STAYS { FREE } else { STAYS };
                enable(&mut phone, next);
                let told = hear(&mut phone, &mut heard).expect(&what);
                assert_eq!(
                    (told.kind, told.isd_p),
                    (NotificationType::ProfileChangeSucceeded, Aid::isd_p(next))
                );
            }
        }
    }
}

/// Without a reset: input that the terminal sends only once is processed later.
#[test]
fn after_a_temporary_memory_failure_the_card_reaches_a_final_state() {
    let start = start();
    for (name, story, may_be_enabled) in STORIES {
        let whole = CutMemory::whole(start.clone());
        let mut phone = phone_with(whole.clone());
        phone.start();
        story(&mut phone, &mut Heard::new());
        let writes = whole.writes();
        for (fails_at, failures) in (0..writes).flat_map(|at| [(at, 1), (at, 3)]) {
            let what = format!("{name}, {failures} failures from write {fails_at}");
            let mut phone = phone_with(CutMemory::failing(start.clone(), fails_at, failures));
            let mut heard = Heard::new();
            phone.start();
            story(&mut phone, &mut heard);
            phone.told_of_network(LocationStatus::Normal);
            for _ in 0..20 {
                phone.status();
                if let Some(told) = hear(&mut phone, &mut heard) {
                    confirm(&mut phone, told.sequence_number);
                } else if phone.bench.state().toolkit.notification.is_some() {
                    phone.ring();
                }
            }
            let enabled = enabled(&phone);
            assert_eq!(enabled.len(), 1, "{what}: {enabled:?}");
            assert!(may_be_enabled.contains(&enabled[0]), "{what}: {enabled:?}");
            let toolkit = &phone.bench.state().toolkit;
            assert_eq!((&toolkit.notification, &toolkit.change), (&None, &None), "{what}");
            assert!(phone.timers.is_empty(), "{what}: {:?}", phone.timers);
            let next = if enabled[0] == STAYS { FREE } else { STAYS };
            // An SMS with a failed ENVELOPE is sent again.
            for _ in 0..=failures {
                enable(&mut phone, next);
                phone.status();
            }
            assert_eq!(self::enabled(&phone), [next], "{what}");
        }
    }
}

/// A terminal performs the reset for a REFRESH only once.
#[test]
fn a_switch_that_failed_at_the_reset_is_announced_again() {
    let start = start();
    let phone_with = |memory| {
        let mut phone = phone_with(memory);
        phone.facilities = without(&[Facility::REFRESH_PROFILE_STATE_CHANGE]);
        phone.start();
        phone
    };
    let whole = CutMemory::whole(start.clone());
    enable(&mut phone_with(whole.clone()), FREE);
    assert!(whole.writes() >= 2);
    for fails_at in 0..whole.writes() {
        let mut phone = phone_with(CutMemory::failing(start.clone(), fails_at, 1));
        // An SMS with a failed ENVELOPE is sent again.
        for _ in 0..2 {
            enable(&mut phone, FREE);
            phone.status();
        }
        assert_eq!(enabled(&phone), [FREE], "write {fails_at}");
    }
}

#[test]
fn a_failed_write_does_not_end_a_session() {
    let start = start();
    let create = create_isd_p(&aid(NEW), None);
    let replies = || [commands(std::slice::from_ref(&create), Some("/2")), audit(Some("/3"))];
    let run = |memory: CutMemory| {
        let mut phone = phone_with(memory);
        phone.start();
        phone.link = Some(Link::new(replies()));
        phone.packet(Spi::UNANSWERED, &trigger());
        phone
    };
    let whole = CutMemory::whole(start.clone());
    assert_eq!(link(&run(whole.clone())).requests.len(), 3);
    let writes = whole.writes();
    assert!(writes > 3);
    // The first write is that of the trigger, whose SMS the network would send again.
    for fails_at in 1..writes {
        let mut phone = run(CutMemory::failing(start.clone(), fails_at, 1));
        phone.status();
        assert!(is_over(&phone), "write {fails_at}");
        let requests = &link(&phone).requests;
        let uris: Vec<_> = requests.iter().map(|request| request.uri.as_str()).collect();
        assert_eq!(uris, ["/gsma/adminagent", "/2", "/3"], "write {fails_at}");
        assert_eq!(requests[1].response().last_apdu().unwrap().status.0, 0x9000, "write {fails_at}");
    }
}
