//! The power goes at every write of a change, a roll-back and a fallback, before it and after it. Afterwards the card is
//! whole, and with an SM-SR that answers it comes to rest with one profile enabled and nothing left to tell.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rsp::ids::Aid;
use rsp::ota::cat::LocationStatus;
use rsp::ota::script::Script;
use rsp::ota::secured_packet::Spi;
use rsp::sgp02::notification::{DefaultNotification, NotificationType};
use world::{Batch, Cells, Fault, Memory, RamMemory};

use super::phone::Phone;
use crate::card::m2m::state::LifeCycle;
use crate::card::m2m::tests::bench::{
    BOOTSTRAP, Bench, FREE, GOES, STAYS, STAYS_ENABLED, naming, store_data,
};
use crate::card::m2m::toolkit::Numbers;

/// A memory whose `n`-th write goes wrong, and every one after it.
#[derive(Clone)]
struct CutMemory {
    inner: RamMemory,
    writes: Arc<Mutex<usize>>,
    fails_at: usize,
    /// Whether the write that goes wrong has happened all the same: the power went after it.
    after: bool,
}

impl Memory for CutMemory {
    fn load(&self) -> Result<Cells, Fault> {
        self.inner.load()
    }

    fn commit(&mut self, batch: Batch) -> Result<(), Fault> {
        let mut writes = self.writes.lock().unwrap();
        if *writes < self.fails_at || self.after && *writes == self.fails_at {
            self.inner.commit(batch)?;
            *writes += 1;
            if *writes <= self.fails_at {
                return Ok(());
            }
        }
        Err(Fault::new("cannot write", "no power", "try later"))
    }
}

/// What the SM-SR has heard: number and kind never part.
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

/// What happens to the card; GOES is enabled, FREE is to be.
type Story = fn(&mut Phone, &mut Heard);

const STORIES: [(&str, Story, &[u16]); 4] = [
    (
        "a change",
        |phone, heard| {
            enable(phone, FREE);
            if let Some(told) = hear(phone, heard) {
                confirm(phone, told.sequence_number);
            }
        },
        &[GOES, FREE],
    ),
    (
        "a change that nobody confirms",
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
        "a change without a network, and none where it came from",
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

/// The confirmation, whose answer may be lost with the memory.
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
    // Of commands whose write failed nothing was done, which an orderly terminal does not foresee.
    phone.is_orderly = false;
    phone.skip_counters(100);
    phone
}

#[test]
fn every_cut_leaves_a_card_that_comes_to_rest() {
    let start = start();
    for (name, story, may_be_enabled) in STORIES {
        let whole = CutMemory {
            inner: RamMemory::of(start.clone()),
            writes: Arc::default(),
            fails_at: usize::MAX,
            after: false,
        };
        let mut phone = phone_with(whole.clone());
        phone.start();
        story(&mut phone, &mut Heard::new());
        let writes = *whole.writes.lock().unwrap();
        assert!(writes >= 3, "{name}: {writes}");

        for fails_at in 0..writes {
            for after in [false, true] {
                let what = format!("{name}, cut {} write {fails_at}", if after { "after" } else { "before" });
                let inner = RamMemory::of(start.clone());
                let cut = CutMemory { inner: inner.clone(), writes: Arc::default(), fails_at, after };
                let mut phone = phone_with(cut);
                let mut heard = Heard::new();
                phone.start();
                story(&mut phone, &mut heard);

                // The power is back, and so is the network.
                let cells = inner.load().unwrap();
                let whole = CutMemory {
                    inner: RamMemory::of(cells),
                    writes: Arc::default(),
                    fails_at: usize::MAX,
                    after: false,
                };
                let mut phone = phone_with(whole);
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
                // And it still obeys.
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
