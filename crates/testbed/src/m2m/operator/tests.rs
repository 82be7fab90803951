use std::{
    collections::VecDeque,
    pin::{Pin, pin},
    task::Poll,
};

use bytes::Bytes;
use certs::{Pki, PkiOptions};
use http::Request;
use rsp_server::due::RETRY_DELAY;
use world::{
    ChangeSet, Committed, KeyRange, LinkFault, LinkFaultKind, ManualClock, MemoryEvents, MemoryRecords,
    NullEvents, PeerCertificate, SeededRandom, Stored, link_from,
};

use super::*;

const VALIDITY: Duration = Duration::from_secs(5);

/// Records whose next commits have these results. Later commits succeed.
#[derive(Default)]
struct FailingRecords {
    inner: MemoryRecords,
    next: Mutex<VecDeque<Result<Committed, Fault>>>,
}

impl FailingRecords {
    fn fail_next(&self, next: impl IntoIterator<Item = Result<Committed, Fault>>) {
        self.next.lock().unwrap().extend(next);
    }
}

impl Records for FailingRecords {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>> {
        self.inner.read(collection, key)
    }

    fn first<'a>(
        &'a self,
        collection: &'static str,
        keys: KeyRange<'a>,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        self.inner.first(collection, keys, most)
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        match self.next.lock().unwrap().pop_front() {
            Some(result) => Box::pin(async { result }),
            None => self.inner.commit(changes),
        }
    }
}

fn full() -> Fault {
    Fault::new("cannot write", "the disk is full", "make room")
}

fn world(clock: &ManualClock) -> World {
    World::new(clock.clone(), SeededRandom::from_text("operator"))
}

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_seconds(1_795_000_000))
}

/// Peers that all use the same link.
struct SameLink(Link);

impl Peers for SameLink {
    fn link(&self, _: &str) -> Result<Link, Fault> {
        Ok(self.0.clone())
    }
}

fn nobody_answers() -> Arc<dyn Peers> {
    Arc::new(SameLink(link_from(tower::service_fn(|_: Request<Bytes>| std::future::pending()))))
}

fn sm_sr() -> Oid {
    "2.999.16.1".parse().unwrap()
}

fn eid() -> Eid {
    "89049032000000000000000000000163".parse().unwrap()
}

fn iccid() -> Iccid {
    "89724990000000000084".parse().unwrap()
}

fn operator(
    id: Oid,
    records: &Arc<FailingRecords>,
    clock: &ManualClock,
    events: &MemoryEvents,
) -> (Operator, mpsc::Receiver<ReceivedNotification>) {
    let records = Arc::clone(records) as Arc<dyn Records>;
    let address = "https://operator.example/sgp02".to_owned();
    let (operator, notifications) =
        Operator::new(id, "operator", "operator", address, records, world(clock), Arc::new(events.clone()));
    operator.knows(peer(sm_sr(), "sm-sr.example"));
    (operator, notifications)
}

/// An operator that calls functions.
fn asker(records: &Arc<FailingRecords>, clock: &ManualClock, peers: Arc<dyn Peers>) -> Operator {
    let (operator, _) = operator("2.999.20.1".parse().unwrap(), records, clock, &MemoryEvents::default());
    operator.with_peers(peers)
}

async fn enable(operator: &Operator) -> Result<es4::EnableProfileResponse, Fault> {
    let request = es4::EnableProfileRequest { base: blank(), eid: eid(), iccid: iccid() };
    operator.call::<es4::EnableProfile>(&sm_sr(), request, VALIDITY).await
}

async fn is_pending<F: Future>(mut future: Pin<&mut F>) -> bool {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

fn waiting(operator: &Operator) -> usize {
    operator.inbox.waiting.lock().unwrap().len()
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_no_waiter() {
    let records = Arc::new(FailingRecords::default());
    let operator = asker(&records, &clock(), nobody_answers());
    records.fail_next([Err(full())]);
    assert_eq!(enable(&operator).await.unwrap_err().why, "the disk is full");
    assert_eq!(waiting(&operator), 0);
    {
        let asking = pin!(enable(&operator));
        assert!(is_pending(asking).await);
        assert_eq!(waiting(&operator), 1);
    }
    assert_eq!(waiting(&operator), 0);
}

#[tokio::test]
async fn the_end_of_a_call_is_reported_after_the_commit() {
    let (records, clock) = (Arc::new(FailingRecords::default()), clock());
    let operator = asker(&records, &clock, nobody_answers());
    let mut asking = pin!(enable(&operator));
    assert!(is_pending(asking.as_mut()).await);
    clock.advance(VALIDITY + GRACE);
    records.fail_next([Err(full())]);
    // Querying the due tasks ends the calls that have timed out.
    operator.due().await.unwrap();
    assert!(is_pending(asking.as_mut()).await, "the end was not committed and will be reported later");
    clock.advance(RETRY_DELAY);
    operator.due().await.unwrap();
    let fault = asking.await.unwrap_err();
    assert_eq!((fault.why.as_str(), waiting(&operator)), ("no answer came in time", 0));
}

#[tokio::test]
async fn an_unreachable_peer_is_not_reported_as_a_timeout() {
    let (records, clock) = (Arc::new(FailingRecords::default()), clock());
    let refused = link_from(tower::service_fn(|_: Request<Bytes>| async {
        Err(LinkFault::new(LinkFaultKind::Refused, "127.0.0.1:1", "nobody listens"))
    }));
    let operator = asker(&records, &clock, Arc::new(SameLink(refused)));
    let mut asking = pin!(enable(&operator));
    assert!(is_pending(asking.as_mut()).await);
    operator.due().await.unwrap().run().await;
    assert_eq!(
        operator.deliveries.failed(&sm_sr()).await,
        "127.0.0.1:1: connection refused (nobody listens)"
    );
    assert!(is_pending(asking.as_mut()).await, "delivery is retried");
    clock.advance(VALIDITY + GRACE);
    operator.due().await.unwrap();
    let fault = asking.await.unwrap_err();
    let why = "the peer could not be reached: 127.0.0.1:1: connection refused (nobody listens)";
    assert_eq!((fault.why.as_str(), fault.next.as_str()), (why, "start 2.999.16.1, or correct its address"));
}

#[tokio::test]
async fn a_notification_is_reported_once_after_the_commit() {
    let (records, clock, events) = (Arc::new(FailingRecords::default()), clock(), MemoryEvents::default());
    let (operator, mut notifications) = operator("2.999.20.1".parse().unwrap(), &records, &clock, &events);
    // The sender is another party with its own certificate.
    let credential = Pki::from_seed(b"x", &PkiOptions::default()).unwrap().operator("SM-SR").unwrap();
    let id = credential.certificate.registered_ids()[0].clone();
    operator.knows(peer(id.clone(), "sm-sr.example"));
    let certificate = PeerCertificate(credential.certificate.der().to_vec());
    let link = operator.link();
    let way = SameLink(link_from(tower::service_fn(move |mut request: Request<Bytes>| {
        request.extensions_mut().insert(certificate.clone());
        let link = link.clone();
        async move { world::send(&link, request).await }
    })));
    let teller_records = Arc::new(MemoryRecords::default());
    let (teller, _) = Operator::new(
        id,
        "SM-SR",
        "SM-SR",
        "https://sm-sr.example/sgp02".to_owned(),
        Arc::clone(&teller_records) as Arc<dyn Records>,
        World::new(clock.clone(), SeededRandom::from_text("teller")),
        Arc::new(NullEvents),
    );
    let teller = teller.with_peers(Arc::new(way));
    let notification = es4::HandleProfileEnabledNotification {
        base: rsp::sgp02::BaseNotification {},
        eid: eid(),
        iccid: iccid(),
        completion_timestamp: world(&clock).now(),
    };
    let to = peer(operator.id().clone(), "operator.example");
    world::transact(&*teller_records, |tx| {
        let (sender, now) = (teller.soap.sender(), world(&clock).now());
        let (to, notification) = (&to, &notification);
        Box::pin(async move { sender.notify(tx, now, to, notification).await })
    })
    .await
    .unwrap();
    // The commit fails, so the sender must send the notification again.
    records.fail_next([Ok(Committed::Conflict), Err(full())]);
    teller.due().await.unwrap().run().await;
    assert_eq!((notifications.try_recv().ok(), events.all().len()), (None, 0));
    clock.advance(Duration::from_secs(60));
    records.fail_next([Ok(Committed::Conflict)]);
    teller.due().await.unwrap().run().await;
    assert_eq!(notifications.try_recv().unwrap().notification, "ES4-HandleProfileEnabledNotification");
    assert_eq!((notifications.try_recv().ok(), events.all().len()), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_synchronous_function_times_out_after_its_validity_period() {
    let operator = asker(&Arc::new(FailingRecords::default()), &clock(), nobody_answers());
    let began = tokio::time::Instant::now();
    let request = es4::GetEisRequest { base: blank(), eid: eid() };
    let fault = operator.call::<es4::GetEis>(&sm_sr(), request, VALIDITY).await.unwrap_err();
    assert_eq!((fault.why.as_str(), began.elapsed()), ("no answer came in time", VALIDITY));
}
