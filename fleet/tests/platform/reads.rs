//! What the platform reads of its records, counted: a check-in is about one device, however many others there are.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use fleet::{Devices, Heard, MemberState, Spec, What};
use rsp::sgp22::{
    es2plus::{HandleDownloadProgressInfoRequest, NotificationPointId},
    json::ExecutionStatus,
};
use world::{BoxFuture, ChangeSet, Committed, Fault, Records, Stored};

use crate::bench::{Bench, SM_DP, bootstrap, campaign, eid};
use crate::reconciler::told;

/// Records that count the octets of what is read of them.
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

    fn list<'a>(
        &'a self,
        collection: &'static str,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        Box::pin(async move {
            let found = self.inner.list(collection, prefix).await?;
            let octets = found.iter().map(|(_, stored)| stored.bytes.len()).sum();
            self.octets.fetch_add(octets, Ordering::Relaxed);
            Ok(found)
        })
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        self.inner.commit(changes)
    }
}

/// A fleet of so many, all of them listed in a campaign without end, and the records that count.
async fn listed(devices: u32) -> (Bench, Arc<Counting>) {
    let bench = Bench::new(devices).await;
    let listed = Devices::Listed((0..devices).map(eid).collect());
    bench.run(&Spec { devices: listed, standing: true, ..campaign("listed") }).await;
    let counting = Arc::new(Counting { inner: Arc::clone(&bench.records), octets: AtomicUsize::new(0) });
    let records = Arc::<Counting>::clone(&counting) as Arc<dyn Records>;
    let bench = Bench::in_life(records, bench.clock.clone(), bench.sm_dp.clone(), 1);
    // The fleet is counted before the first answer.
    bench.platform.due().await.unwrap();
    (bench, counting)
}

/// Of an order of another device it is told at the end alone, when the EID is known.
#[tokio::test]
async fn a_step_of_a_download_that_names_no_device_reads_no_orders() {
    let bench = Bench::new(2).await.decided().await;
    let told_to = bench.check_in(&bench.says(0, &[bootstrap(0)])).await;
    let What::Move { to, .. } = told_to.what else { panic!("{told_to:?}") };
    let counting = Arc::new(Counting { inner: Arc::clone(&bench.records), octets: AtomicUsize::new(0) });
    let records = Arc::<Counting>::clone(&counting) as Arc<dyn Records>;
    let bench = Bench::in_life(records, bench.clock.clone(), bench.sm_dp.clone(), 1);
    let read_for = async |eid, point| {
        counting.octets.store(0, Ordering::Relaxed);
        let told = HandleDownloadProgressInfoRequest {
            eid,
            ..told(to.iccid().unwrap(), point, ExecutionStatus::ExecutedSuccess)
        };
        let heard = bench.platform.hear(&[SM_DP.parse().unwrap()], &told).await.unwrap();
        assert_eq!(heard, Heard::Taken);
        counting.octets.load(Ordering::Relaxed)
    };
    assert_eq!(read_for(None, NotificationPointId::ELIGIBILITY_AND_RETRY_LIMIT_CHECK).await, 0);
    assert!(read_for(Some(eid(0)), NotificationPointId::ELIGIBILITY_AND_RETRY_LIMIT_CHECK).await > 0);
    assert!(read_for(None, NotificationPointId::BPP_INSTALLATION).await > 0, "the end is looked for");
}

#[tokio::test]
async fn a_check_in_reads_as_much_of_many_listed_devices_as_of_few() {
    let mut read = Vec::new();
    for devices in [3, 300] {
        let (bench, counting) = listed(devices).await;
        counting.octets.store(0, Ordering::Relaxed);
        bench.check_in(&bench.says(1, &[bootstrap(1)])).await;
        read.push(counting.octets.load(Ordering::Relaxed));
        let shown = bench.platform.campaign(&"listed".parse().unwrap()).await.unwrap();
        assert_eq!(shown.devices.len(), usize::try_from(devices).unwrap());
        let moving = shown.devices.iter().filter(|it| matches!(it.member.state, MemberState::Moving { .. }));
        assert_eq!(moving.map(|it| it.eid).collect::<Vec<_>>(), [eid(1)]);
    }
    assert!(read[1] < read[0] + 100, "{read:?} octets were read");
}
