//! Crash tests: the platform stops before and after each commit and is restarted. Nothing is lost,
//! and nothing is ordered twice.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use fleet::{CampaignSpec, CampaignState, Retries, State};
use rsp::sgp22::{es2plus::NotificationPointId, json::ExecutionStatus};
use world::{BoxFuture, ChangeSet, Committed, Fault, KeyRange, Outcome, Records, Stored};

use crate::{
    reconciler::progress_report,
    testbed::{Agent, MoveResult, OrderState, SM_DP, Testbed, campaign, iccid},
};

/// Records of a process that stops at a commit. After that, every operation fails.
struct Mortal {
    records: Arc<dyn Records>,
    left: AtomicI64,
    /// True if the last commit takes place.
    after: bool,
}

fn dead() -> Fault {
    Fault::new("the process has stopped", "the test stops it", "restart it")
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

    fn first<'a>(
        &'a self,
        collection: &'static str,
        keys: KeyRange<'a>,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        Box::pin(async move {
            self.check()?;
            self.records.first(collection, keys, most).await
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
async fn a_progress_report_that_cannot_be_recorded_is_reported_as_an_event() {
    let born = Testbed::new(1).await;
    let dead = Mortal { records: Arc::clone(&born.records), left: AtomicI64::new(-1), after: false };
    let testbed = Testbed::in_process(Arc::new(dead), born.clock.clone(), born.sm_dp.clone(), 1);
    let installed =
        progress_report(iccid(5), NotificationPointId::BPP_INSTALLATION, ExecutionStatus::ExecutedSuccess);
    testbed.platform.process_progress(&[SM_DP.parse().unwrap()], &installed).await.unwrap_err();
    let events = testbed.events.all();
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(event.function, "HandleDownloadProgressInfo");
    assert!(
        matches!(&event.outcome, Outcome::Failed(why) if why.contains("the process has stopped")),
        "{event:?}"
    );
}

/// Runs a campaign of two devices, of which one fails once, in a process that stops after this
/// number of commits. Returns true if the process stopped.
async fn crash_after(lives_for: i64, after: bool) -> bool {
    let born = Testbed::new(2).await;
    let spec = CampaignSpec { retries: Retries { times: 3, ..Retries::default() }, ..campaign("c") };
    born.run(&spec).await;
    let mortal =
        Arc::new(Mortal { records: Arc::clone(&born.records), left: AtomicI64::new(lives_for), after });
    let first: Arc<dyn Records> = Arc::<Mortal>::clone(&mortal);
    let mut testbed = Testbed::in_process(first, born.clock.clone(), born.sm_dp.clone(), 1);
    let mut agents = [Agent::new(0), Agent::new(1)];
    let mut failed = false;
    for _ in 0..40 {
        for agent in &mut agents {
            if agent.next.is_some_and(|next| next > testbed.now()) {
                continue;
            }
            let result = if agent.number == 0 && !failed { MoveResult::Fails } else { MoveResult::Moves };
            match agent.wake(&testbed, result).await {
                Ok(moved) => failed |= moved && result == MoveResult::Fails,
                // The device got no answer and checks in again.
                Err(_) => testbed = again(&born),
            }
        }
        if testbed.platform.due().await.is_err() {
            testbed = again(&born);
            testbed.platform.due().await.unwrap();
        }
        testbed.clock.advance(std::time::Duration::from_secs(900));
    }
    let what = format!("after {lives_for} commits, {}", if after { "written" } else { "not written" });
    let current = testbed.campaign("c").await;
    assert_eq!(current.state, CampaignState::Done, "{what}: {:?}", current.progress);
    assert_eq!((current.progress.moved, current.progress.under_way), (2, 0), "{what}");
    assert_eq!(current.progress.begun, 3, "{what}: {:?}", current.progress);
    for agent in &agents {
        let device = testbed.device(agent.number).await;
        assert_eq!((device.state, device.tally.moved), (State::Working, 1), "{what}");
        assert_eq!(agent.profiles.len(), 2, "{what}");
        assert_eq!(testbed.sm_dp.order(agent.profiles[0]), OrderState::Downloaded, "{what}");
    }
    let orders = testbed.sm_dp.0.lock().unwrap().orders.clone();
    let left = orders.values().filter(|(_, order_state)| *order_state != OrderState::Cancelled).count();
    assert_eq!(left, 2, "{what}: each device has exactly one order: {orders:?}");
    mortal.left.load(Ordering::SeqCst) < 0
}

/// Restarts the platform on the same records, with fresh random numbers.
fn again(born: &Testbed) -> Testbed {
    Testbed::in_process(Arc::clone(&born.records), born.clock.clone(), born.sm_dp.clone(), 2)
}

#[tokio::test]
async fn a_crash_at_any_commit_loses_nothing_and_orders_nothing_twice() {
    for after in [false, true] {
        let mut commits = 0;
        while crash_after(commits, after).await {
            commits += 1;
        }
        assert!(commits > 10, "{commits} commits");
    }
}
