//! Tests that count what the platform reads from its records: a check-in concerns one device,
//! regardless of the size of the fleet.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use fleet::{Action, CampaignSpec, Devices, MemberStatus, Processed};
use rsp::sgp22::{
    es2plus::{HandleDownloadProgressInfoRequest, NotificationPointId},
    json::ExecutionStatus,
};
use world::{BoxFuture, ChangeSet, Committed, Fault, KeyRange, Records, Stored};

use crate::reconciler::progress_report;
use crate::testbed::{SM_DP, Testbed, bootstrap, campaign, eid};

/// Records that count the octets that are read.
struct Counting {
    inner: Arc<dyn Records>,
    octets: AtomicUsize,
}

impl Records for Counting {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>> {
        Box::pin(async move {
            let found = self.inner.read(collection, key).await?;
            let octets = found.as_ref().map_or(0, |stored| stored.bytes.len());
            self.octets.fetch_add(octets, Ordering::Relaxed);
            Ok(found)
        })
    }

    fn first<'a>(
        &'a self,
        collection: &'static str,
        keys: KeyRange<'a>,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        Box::pin(async move {
            let found = self.inner.first(collection, keys, most).await?;
            let octets = found.iter().map(|(_, stored)| stored.bytes.len()).sum();
            self.octets.fetch_add(octets, Ordering::Relaxed);
            Ok(found)
        })
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        self.inner.commit(changes)
    }
}

/// A fleet of this many devices, which are all listed in a standing campaign, and records that
/// count the octets that are read.
async fn listed(devices: u32) -> (Testbed, Arc<Counting>) {
    let testbed = Testbed::new(devices).await;
    let listed = Devices::Listed((0..devices).map(eid).collect());
    testbed.run(&CampaignSpec { devices: listed, standing: true, ..campaign("listed") }).await;
    let counting = Arc::new(Counting { inner: Arc::clone(&testbed.records), octets: AtomicUsize::new(0) });
    let records = Arc::<Counting>::clone(&counting) as Arc<dyn Records>;
    let testbed = Testbed::in_process(records, testbed.clock.clone(), testbed.sm_dp.clone(), 1);
    // The survey before the first check-in counts the fleet.
    testbed.platform.due().await.unwrap();
    (testbed, counting)
}

/// Without an EID, only the final report of an order is relevant.
#[tokio::test]
async fn a_progress_report_without_eid_about_an_intermediate_step_reads_no_orders() {
    let testbed = Testbed::new(2).await.decided().await;
    let told_to = testbed.check_in(&testbed.check_in_of(0, &[bootstrap(0)])).await;
    let Action::Move { to, .. } = told_to.what else { panic!("{told_to:?}") };
    let counting = Arc::new(Counting { inner: Arc::clone(&testbed.records), octets: AtomicUsize::new(0) });
    let records = Arc::<Counting>::clone(&counting) as Arc<dyn Records>;
    let testbed = Testbed::in_process(records, testbed.clock.clone(), testbed.sm_dp.clone(), 1);
    let read_for = async |eid, point| {
        counting.octets.store(0, Ordering::Relaxed);
        let report = HandleDownloadProgressInfoRequest {
            eid,
            ..progress_report(to.iccid().unwrap(), point, ExecutionStatus::ExecutedSuccess)
        };
        let processed = testbed.platform.process_progress(&[SM_DP.parse().unwrap()], &report).await.unwrap();
        assert_eq!(processed, Processed::Accepted);
        counting.octets.load(Ordering::Relaxed)
    };
    assert_eq!(read_for(None, NotificationPointId::ELIGIBILITY_AND_RETRY_LIMIT_CHECK).await, 0);
    assert!(read_for(Some(eid(0)), NotificationPointId::ELIGIBILITY_AND_RETRY_LIMIT_CHECK).await > 0);
    assert!(read_for(None, NotificationPointId::BPP_INSTALLATION).await > 0, "the final report is processed");
}

#[tokio::test]
async fn the_cost_of_a_check_in_does_not_depend_on_the_number_of_listed_devices() {
    let mut read = Vec::new();
    for devices in [3, 300] {
        let (testbed, counting) = listed(devices).await;
        counting.octets.store(0, Ordering::Relaxed);
        testbed.check_in(&testbed.check_in_of(1, &[bootstrap(1)])).await;
        read.push(counting.octets.load(Ordering::Relaxed));
        let shown = testbed.platform.campaign(&"listed".parse().unwrap()).await.unwrap();
        assert_eq!(shown.devices.len(), usize::try_from(devices).unwrap());
        let moving = shown.devices.iter().filter(|it| matches!(it.state, MemberStatus::Moving { .. }));
        assert_eq!(moving.map(|it| it.eid).collect::<Vec<_>>(), [eid(1)]);
    }
    assert!(read[1] < read[0] + 100, "{read:?} octets were read");
}
