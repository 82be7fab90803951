//! Tests that the records of each release can be read. The folder `tests/stored` has a fixture for
//! each stored form.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a panic fails the test")]

#[path = "../../crates/world/tests/support/stored.rs"]
mod stored_records;
mod support;

use std::{path::PathBuf, sync::Arc};

use rsp::{ids::TransactionId, sgp22::es11::AuthenticateClient};
use sm_ds::records::{EVENTS, SESSIONS};
use stored_records::{Fixture, NamedRecords, file};
use support::{Expect, Testbed, euicc::call};

/// An event that the SM-DP+ deletes.
const DELETED: &str = "EV-1";
/// An event that an eUICC requests.
const REQUESTED: &str = "EV-2";

fn path() -> PathBuf {
    file(env!("CARGO_MANIFEST_DIR"), "0.1.json")
}

/// Two events and one session that waits for AuthenticateClient.
async fn regenerate() {
    let records = NamedRecords::default();
    let testbed = Testbed::over(Arc::new(records.clone()), |_| {});
    testbed.register(DELETED).await;
    testbed.register(REQUESTED).await;
    testbed.euicc().initiate(&testbed.server).await;
    records.regenerate(&path()).await;
}

#[tokio::test]
async fn the_records_of_each_release_can_be_read() {
    regenerate().await;
    let mut fixture = Fixture::read(&path());
    let testbed = Testbed::over(Arc::new(fixture.records().await), |_| {});
    let (sm_dp_plus, euicc) = (testbed.sm_dp_plus(), testbed.euicc());

    // The eUICC can continue the session of the fixture. The challenge of another server is replaced
    // by the stored one.
    let (id, session) = testbed.server.sessions().await.unwrap().remove(0);
    let id: TransactionId = id.parse().unwrap();
    let mut proof = euicc.proof(&euicc.initiate(&Testbed::new().server).await, None);
    proof.outer = id.clone();
    proof.inner = id;
    proof.server_challenge = session.server_challenge;
    let reply = call::<AuthenticateClient>(&testbed.server, &proof.request().unwrap()).await.done();
    let events: Vec<_> = reply.event_entries.into_iter().map(|event| event.event_id).collect();
    assert_eq!(events, [DELETED, REQUESTED]);

    // The events can be deleted and requested.
    sm_dp_plus.delete(&testbed.server, &sm_dp_plus.deletion(euicc.eid, DELETED)).await.done();
    assert_eq!(euicc.events(&testbed.server, Some(REQUESTED)).await, [REQUESTED]);
    assert_eq!(testbed.waiting().await, [REQUESTED]);

    fixture.check(&EVENTS).await;
    fixture.check(&SESSIONS).await;
    fixture.all_checked();
}
