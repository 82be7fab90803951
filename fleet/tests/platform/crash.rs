//! The platform dies at each commit, before and after it, and is started again: nothing is lost, and nothing ordered twice.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use fleet::{CampaignState, Retries, Spec, State};
use rsp::sgp22::{es2plus::NotificationPointId, json::ExecutionStatus};
use world::{BoxFuture, ChangeSet, Committed, Fault, Outcome, Records, Stored};

use crate::{
    bench::{Agent, Bench, How, SM_DP, Stands, campaign, iccid},
    reconciler::told,
};

/// Records of a process that dies at a commit: from then on nothing is answered.
struct Mortal {
    records: Arc<dyn Records>,
    left: AtomicI64,
    /// Whether the commit at which it dies takes place.
    after: bool,
}

fn dead() -> Fault {
    Fault::new("the process is dead", "the test has it so", "start it again")
}

impl Mortal {
    fn check(&self) -> Result<(), Fault> {
        if self.left.load(Ordering::SeqCst) < 0 { Err(dead()) } else { Ok(()) }
    }
}

impl Records for Mortal {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>> {
        Box::pin(async move {
            self.check()?;
            self.records.read(collection, key).await
        })
    }

    fn list<'a>(
        &'a self,
        collection: &'static str,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        Box::pin(async move {
            self.check()?;
            self.records.list(collection, prefix).await
        })
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        Box::pin(async move {
            self.check()?;
            if self.left.fetch_sub(1, Ordering::SeqCst) > 0 {
                return self.records.commit(changes).await;
            }
            if self.after {
                assert_eq!(self.records.commit(changes).await?, Committed::Yes);
            }
            Err(dead())
        })
    }
}

#[tokio::test]
async fn a_word_of_an_sm_dp_that_cannot_be_written_down_is_told() {
    let born = Bench::new(1).await;
    let dead = Mortal { records: Arc::clone(&born.records), left: AtomicI64::new(-1), after: false };
    let bench = Bench::in_life(Arc::new(dead), born.clock.clone(), born.sm_dp.clone(), 1);
    let installed = told(iccid(5), NotificationPointId::BPP_INSTALLATION, ExecutionStatus::ExecutedSuccess);
    bench.platform.hear(&[SM_DP.parse().unwrap()], &installed).await.unwrap_err();
    let events = bench.events.all();
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(event.function, "HandleDownloadProgressInfo");
    assert!(
        matches!(&event.outcome, Outcome::Failed(why) if why.contains("the process is dead")),
        "{event:?}"
    );
}

/// Two devices, of which one fails once; the platform lives for so many commits first. Says whether it died.
async fn story(lives_for: i64, after: bool) -> bool {
    let born = Bench::new(2).await;
    let spec = Spec { retries: Retries { times: 3, ..Retries::default() }, ..campaign("c") };
    born.run(&spec).await;
    let mortal =
        Arc::new(Mortal { records: Arc::clone(&born.records), left: AtomicI64::new(lives_for), after });
    let first: Arc<dyn Records> = Arc::<Mortal>::clone(&mortal);
    let mut bench = Bench::in_life(first, born.clock.clone(), born.sm_dp.clone(), 1);
    let mut agents = [Agent::new(0), Agent::new(1)];
    let mut failed = false;
    for _ in 0..40 {
        for agent in &mut agents {
            if agent.next.is_some_and(|next| next > bench.now()) {
                continue;
            }
            let how = if agent.number == 0 && !failed { How::Fails } else { How::Moves };
            match agent.wake(&bench, how).await {
                Ok(moved) => failed |= moved && how == How::Fails,
                // It has no answer, and asks again.
                Err(_) => bench = again(&born),
            }
        }
        if bench.platform.due().await.is_err() {
            bench = again(&born);
            bench.platform.due().await.unwrap();
        }
        bench.clock.advance(std::time::Duration::from_secs(900));
    }
    let what = format!("after {lives_for} commits, {}", if after { "written" } else { "not written" });
    let stands = bench.campaign("c").await;
    assert_eq!(stands.state, CampaignState::Done, "{what}: {:?}", stands.progress);
    assert_eq!((stands.progress.moved, stands.progress.under_way), (2, 0), "{what}");
    assert_eq!(stands.progress.begun, 3, "{what}: {:?}", stands.progress);
    for agent in &agents {
        let device = bench.device(agent.number).await;
        assert_eq!((device.state, device.tally.moved), (State::Working, 1), "{what}");
        assert_eq!(agent.profiles.len(), 2, "{what}");
        assert_eq!(bench.sm_dp.order(agent.profiles[0]), Stands::Downloaded, "{what}");
    }
    let orders = bench.sm_dp.0.lock().unwrap().orders.clone();
    let left = orders.values().filter(|(_, stands)| *stands != Stands::Cancelled).count();
    assert_eq!(left, 2, "{what}: an order for each device and no other: {orders:?}");
    mortal.left.load(Ordering::SeqCst) < 0
}

/// The platform on the same records, with dice that were not thrown yet.
fn again(born: &Bench) -> Bench {
    Bench::in_life(Arc::clone(&born.records), born.clock.clone(), born.sm_dp.clone(), 2)
}

#[tokio::test]
async fn a_crash_at_any_commit_loses_nothing_and_orders_nothing_twice() {
    for after in [false, true] {
        let mut commits = 0;
        while story(commits, after).await {
            commits += 1;
        }
        assert!(commits > 10, "{commits} commits");
    }
}
