//! Tests that the cost of an order does not depend on the size of the stock.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sm_dp::ProfileOptions;
use support::{Expect, PROFILE_TYPE, Testbed};
use world::{BoxFuture, ChangeSet, Committed, Fault, KeyRange, MemoryRecords, Records, Stored};

/// Records that count reads.
#[derive(Default)]
struct Counting {
    inner: MemoryRecords,
    read: AtomicUsize,
}

impl Records for Counting {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>> {
        self.read.fetch_add(1, Ordering::Relaxed);
        self.inner.read(collection, key)
    }

    fn first<'a>(
        &'a self,
        collection: &'static str,
        keys: KeyRange<'a>,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        Box::pin(async move {
            let found = self.inner.first(collection, keys, most).await?;
            self.read.fetch_add(found.len(), Ordering::Relaxed);
            Ok(found)
        })
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        self.inner.commit(changes)
    }
}

#[tokio::test]
async fn an_order_by_type_reads_the_same_number_of_records_for_any_stock_size() {
    let mut read = Vec::new();
    for stock in [300, 900] {
        let records = Arc::new(Counting::default());
        let testbed = Testbed::over(Arc::clone(&records) as Arc<dyn Records>, |_| {});
        for number in 0..stock {
            testbed.stock(&format!("894900000000001{number:04}"), &ProfileOptions::default()).await;
        }
        records.read.store(0, Ordering::Relaxed);
        let ordered =
            testbed.operator().download_order(&testbed.server, None, Some(PROFILE_TYPE), None).await;
        ordered.done();
        read.push(records.read.load(Ordering::Relaxed));
    }
    assert_eq!(read[0], read[1], "number of records read for one order");
    assert!(read[0] > 1, "reads are counted");
}
