//! The power goes at every write: the card comes back whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crypto::Curve;
use rsp::sgp22::es10c::{
    DeleteProfileRequest, DeleteProfileResponse, DisableProfileRequest, DisableProfileResponse,
    EnableProfileRequest, EnableProfileResponse, RefreshFlag,
};
use rsp::sgp22::{ProfileIdentifier, ProfileState};
use world::{Batch, Cells, Content, Fault, Memory, RamMemory};

use super::bench::{Bench, pki};
use super::download::ICCID;
use super::server::{Goods, Server, outcome};

/// A memory whose `n`-th write goes wrong, and every one after it.
#[derive(Clone)]
struct FailingMemory {
    inner: RamMemory,
    writes: Arc<AtomicUsize>,
    fails_at: usize,
    /// Whether the write that goes wrong has happened all the same: the power went after it.
    after: bool,
}

impl FailingMemory {
    fn new(fails_at: usize, after: bool) -> Self {
        Self { inner: RamMemory::default(), writes: Arc::default(), fails_at, after }
    }
}

impl Memory for FailingMemory {
    fn load(&self) -> Result<Cells, Fault> {
        self.inner.load()
    }

    fn commit(&mut self, batch: Batch) -> Result<(), Fault> {
        let number = self.writes.fetch_add(1, Ordering::SeqCst);
        if number < self.fails_at || self.after && number == self.fails_at {
            self.inner.commit(batch)?;
        }
        if number >= self.fails_at {
            Err(Fault::new("cannot write", "no power", "try later"))
        } else {
            Ok(())
        }
    }
}

/// A whole life of a profile; ends with the first command that the memory fails.
fn live(bench: &mut Bench, goods: &Goods) -> Result<(), String> {
    let by_iccid = || ProfileIdentifier::Iccid(goods.iccid());
    let enable =
        |refresh| EnableProfileRequest { profile_identifier: by_iccid(), refresh_flag: RefreshFlag(refresh) };
    let disable = |refresh| DisableProfileRequest {
        profile_identifier: by_iccid(),
        refresh_flag: RefreshFlag(refresh),
    };
    Server::new(bench, Curve::P256).try_download(bench, goods)?;
    bench.try_call::<EnableProfileResponse>(&enable(true))?;
    bench.reset();
    bench.try_call::<DisableProfileResponse>(&disable(false))?;
    bench.try_call::<EnableProfileResponse>(&enable(false))?;
    bench.try_call::<DisableProfileResponse>(&disable(true))?;
    bench.reset();
    bench.try_call::<DeleteProfileResponse>(&DeleteProfileRequest::Iccid(goods.iccid()))?;
    Ok(())
}

#[test]
fn after_a_cut_at_any_write_the_card_is_whole_and_the_download_can_be_repeated() {
    let goods = Goods::small(ICCID);
    let whole = FailingMemory::new(usize::MAX, false);
    live(&mut Bench::with(pki(), |_| {}, whole.clone()), &goods).unwrap();
    let writes = whole.writes.load(Ordering::SeqCst);
    assert!((8..20).contains(&writes), "{writes} writes");

    for fails_at in 0..writes {
        for after in [false, true] {
            let memory = FailingMemory::new(fails_at, after);
            // A failed switch at reset is not answered by anybody.
            let _ = live(&mut Bench::with(pki(), |_| {}, memory.clone()), &goods);

            let mut bench = Bench::with(pki(), |_| {}, memory.inner.clone());
            let profiles = bench.profiles();
            let enabled =
                profiles.iter().filter(|each| each.profile_state == Some(ProfileState::ENABLED)).count();
            assert!(profiles.len() <= 1 && enabled <= profiles.len(), "write {fails_at}");
            if let [profile] = &profiles[..] {
                assert_eq!(profile.profile_name.as_deref(), Some("Test"));
                if enabled == 1 {
                    assert_eq!(bench.disable(goods.iccid(), false).0, 0);
                }
                assert_eq!(bench.delete(goods.iccid()).0, 0);
            }
            let server = Server::new(&bench, Curve::P256);
            assert_eq!(outcome(&server.download(&mut bench, &goods)), Ok(()), "write {fails_at}");
        }
    }
}

#[test]
fn a_memory_that_cannot_be_written_refuses_the_command_and_changes_nothing() {
    let memory = FailingMemory::new(0, false);
    let mut bench = Bench::with(pki(), |_| {}, memory.clone());
    assert_eq!(
        bench.es10(&hex::decode("BF3F068004").unwrap().into_iter().chain(*b"a.bc").collect::<Vec<_>>()),
        Err("6581".to_owned())
    );
    let addresses = bench.es10(&[0xBF, 0x3C, 0]).unwrap();
    assert_eq!(hex::encode(addresses), format!("bf3c128110{}", hex::encode("smds.example.com")));
    assert!(memory.inner.load().unwrap().is_empty());
}

#[test]
fn what_does_not_change_is_not_written() {
    let memory = FailingMemory::new(usize::MAX, false);
    let mut bench = Bench::with(pki(), |_| {}, memory.clone());
    bench.profiles();
    bench.es10(&[0xBF, 0x2E, 0]).unwrap();
    bench.reset();
    assert_eq!(memory.writes.load(Ordering::SeqCst), 0);
}

#[test]
fn a_memory_of_another_card_or_of_no_card_is_not_used() {
    use crate::card::{Card, state::Persistent};
    let open = |cell: &str, content: Content| {
        let memory = RamMemory::of(Cells::from([(cell.to_owned(), content)]));
        let world = world::World::new(
            world::ManualClock::at(rsp::time::Timestamp(0)),
            world::SeededDice::from_text("x"),
        );
        Card::open(super::bench::description(&pki()), memory, world).map(drop).unwrap_err().to_string()
    };
    let json = |persistent: &Persistent| Content::json(persistent).unwrap();
    assert!(open("card", b"{".to_vec().into()).contains("restore it from a copy"));
    let own = super::bench::description(&pki()).eid;
    assert!(open("cart", json(&Persistent::new(own, None))).contains("its cell card is missing"));
    let mut other = Persistent::new("89001012012341234012345678901224".parse().unwrap(), None);
    assert!(open("card", json(&other)).contains("that of card 8900101"));
    other.stored_form = 99;
    assert!(open("card", json(&other)).contains("form 99"));
}
