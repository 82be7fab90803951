use std::{
    collections::VecDeque,
    pin::{Pin, pin},
    task::Poll,
};

use bytes::Bytes;
use certs::{Pki, PkiOptions};
use http::Request;
use rsp_server::due::REST;
use world::{
    ChangeSet, Committed, LinkFault, LinkFaultKind, ManualClock, MemoryEvents, MemoryRecords, NullEvents,
    PeerCertificate, SeededDice, Stored, link_from,
};

use super::*;

const VALIDITY: Duration = Duration::from_secs(5);

/// Records whose next commits end like this; after that as they should.
#[derive(Default)]
struct Trouble {
    inner: MemoryRecords,
    next: Mutex<VecDeque<Result<Committed, Fault>>>,
}

impl Trouble {
    fn is(&self, next: impl IntoIterator<Item = Result<Committed, Fault>>) {
        self.next.lock().unwrap().extend(next);
    }
}

impl Records for Trouble {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>> {
        self.inner.read(collection, key)
    }

    fn list<'a>(
        &'a self,
        collection: &'static str,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        self.inner.list(collection, prefix)
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        match self.next.lock().unwrap().pop_front() {
            Some(trouble) => Box::pin(async { trouble }),
            None => self.inner.commit(changes),
        }
    }
}

fn full() -> Fault {
    Fault::new("cannot write", "the disk is full", "make room")
}

fn world(clock: &ManualClock) -> World {
    World::new(clock.clone(), SeededDice::from_text("operator"))
}

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_seconds(1_795_000_000))
}

/// Peers that are all like this.
struct Everybody(Link);

impl Peers for Everybody {
    fn link(&self, _: &str) -> Result<Link, Fault> {
        Ok(self.0.clone())
    }
}

fn nobody_answers() -> Arc<dyn Peers> {
    Arc::new(Everybody(link_from(tower::service_fn(|_: Request<Bytes>| std::future::pending()))))
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
    records: &Arc<Trouble>,
    clock: &ManualClock,
    events: &MemoryEvents,
) -> (Operator, mpsc::Receiver<Heard>) {
    let records = Arc::clone(records) as Arc<dyn Records>;
    let address = "https://operator.example/sgp02".to_owned();
    let (operator, heard) =
        Operator::new(id, "operator", "operator", address, records, world(clock), Arc::new(events.clone()));
    operator.knows(peer(sm_sr(), "sm-sr.example"));
    (operator, heard)
}

/// One that asks.
fn asker(records: &Arc<Trouble>, clock: &ManualClock, peers: Arc<dyn Peers>) -> Operator {
    let (operator, _) = operator("2.999.20.1".parse().unwrap(), records, clock, &MemoryEvents::default());
    operator.with_peers(peers)
}

async fn enable(operator: &Operator) -> Result<es4::EnableProfileResponse, Fault> {
    let request = es4::EnableProfileRequest { base: blank(), eid: eid(), iccid: iccid() };
    operator.ask::<es4::EnableProfile>(&sm_sr(), request, VALIDITY).await
}

async fn is_pending<F: Future>(mut future: Pin<&mut F>) -> bool {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

fn waiting(operator: &Operator) -> usize {
    operator.ear.waiting.lock().unwrap().len()
}

#[tokio::test]
async fn nobody_is_kept_who_waits_no_more() {
    let records = Arc::new(Trouble::default());
    let operator = asker(&records, &clock(), nobody_answers());
    records.is([Err(full())]);
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
async fn how_a_call_has_ended_is_told_when_it_is_written() {
    let (records, clock) = (Arc::new(Trouble::default()), clock());
    let operator = asker(&records, &clock, nobody_answers());
    let mut asking = pin!(enable(&operator));
    assert!(is_pending(asking.as_mut()).await);
    clock.advance(VALIDITY + GRACE);
    records.is([Err(full())]);
    // What has run out of time is ended by asking what is due.
    operator.due().await.unwrap();
    assert!(is_pending(asking.as_mut()).await, "it is not written, and will be heard again");
    clock.advance(REST);
    operator.due().await.unwrap();
    let fault = asking.await.unwrap_err();
    assert_eq!((fault.why.as_str(), waiting(&operator)), ("no answer came in time", 0));
}

#[tokio::test]
async fn who_was_never_there_is_not_said_to_have_been_slow() {
    let (records, clock) = (Arc::new(Trouble::default()), clock());
    let refused = link_from(tower::service_fn(|_: Request<Bytes>| async {
        Err(LinkFault::new(LinkFaultKind::Refused, "127.0.0.1:1", "nobody listens"))
    }));
    let operator = asker(&records, &clock, Arc::new(Everybody(refused)));
    let mut asking = pin!(enable(&operator));
    assert!(is_pending(asking.as_mut()).await);
    operator.due().await.unwrap().run().await;
    assert_eq!(operator.tries.failed(&sm_sr()).await, "127.0.0.1:1: connection refused (nobody listens)");
    assert!(is_pending(asking.as_mut()).await, "it is tried again");
    clock.advance(VALIDITY + GRACE);
    operator.due().await.unwrap();
    let fault = asking.await.unwrap_err();
    let why = "the peer could not be reached: 127.0.0.1:1: connection refused (nobody listens)";
    assert_eq!((fault.why.as_str(), fault.next.as_str()), (why, "start 2.999.16.1, or correct its address"));
}

#[tokio::test]
async fn a_notification_is_told_once_when_it_is_written() {
    let (records, clock, events) = (Arc::new(Trouble::default()), clock(), MemoryEvents::default());
    let (operator, mut heard) = operator("2.999.20.1".parse().unwrap(), &records, &clock, &events);
    // Who tells it: another party with a certificate of its own.
    let credential = Pki::from_seed(b"x", &PkiOptions::default()).unwrap().operator("SM-SR").unwrap();
    let id = credential.certificate.registered_ids()[0].clone();
    operator.knows(peer(id.clone(), "sm-sr.example"));
    let certificate = PeerCertificate(credential.certificate.der().to_vec());
    let door = operator.link();
    let way = Everybody(link_from(tower::service_fn(move |mut request: Request<Bytes>| {
        request.extensions_mut().insert(certificate.clone());
        let door = door.clone();
        async move { world::send(&door, request).await }
    })));
    let teller_records = Arc::new(MemoryRecords::default());
    let (teller, _) = Operator::new(
        id,
        "SM-SR",
        "SM-SR",
        "https://sm-sr.example/sgp02".to_owned(),
        Arc::clone(&teller_records) as Arc<dyn Records>,
        World::new(clock.clone(), SeededDice::from_text("teller")),
        Arc::new(NullEvents),
    );
    let teller = teller.with_peers(Arc::new(way));
    let told = es4::HandleProfileEnabledNotification {
        base: rsp::sgp02::BaseNotification {},
        eid: eid(),
        iccid: iccid(),
        completion_timestamp: world(&clock).now(),
    };
    let to = peer(operator.id().clone(), "operator.example");
    world::transact(&*teller_records, |tx| {
        let (sender, now) = (teller.soap.sender(), world(&clock).now());
        let (to, told) = (&to, &told);
        Box::pin(async move { sender.notify(tx, now, to, told).await })
    })
    .await
    .unwrap();
    // Nothing is written, and the teller is to tell it again.
    records.is([Ok(Committed::Conflict), Err(full())]);
    teller.due().await.unwrap().run().await;
    assert_eq!((heard.try_recv().ok(), events.all().len()), (None, 0));
    clock.advance(Duration::from_secs(60));
    records.is([Ok(Committed::Conflict)]);
    teller.due().await.unwrap().run().await;
    assert_eq!(heard.try_recv().unwrap().notification, "ES4-HandleProfileEnabledNotification");
    assert_eq!((heard.try_recv().ok(), events.all().len()), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_function_that_is_answered_at_once_has_no_more_time_than_it_was_given() {
    let operator = asker(&Arc::new(Trouble::default()), &clock(), nobody_answers());
    let began = tokio::time::Instant::now();
    let request = es4::GetEisRequest { base: blank(), eid: eid() };
    let fault = operator.ask::<es4::GetEis>(&sm_sr(), request, VALIDITY).await.unwrap_err();
    assert_eq!((fault.why.as_str(), began.elapsed()), ("no answer came in time", VALIDITY));
}
