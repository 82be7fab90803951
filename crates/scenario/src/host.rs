//! A party whose process may end at any commit, and is started again on its records.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tokio::time::Instant;
use world::{BoxFuture, Link, LinkFault, LinkFaultKind, Records, link_from};

use faults::{FaultInjector, FaultyRecords, ProcessHandle};

/// Makes a party over records; the number says how often it has been started, from 1.
type Make<P> = dyn Fn(Arc<dyn Records>, u32) -> (P, Link) + Send + Sync;

/// A party that is started again when its process has ended. A clone is the same party.
///
/// Who asks it while its process ends sees a connection that breaks off, whatever was committed; who asks before it is there
/// again is refused the connection.
pub struct Host<P>(Arc<Inner<P>>);

impl<P> Clone for Host<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Inner<P> {
    name: String,
    records: Arc<dyn Records>,
    mishaps: FaultInjector,
    make: Box<Make<P>>,
    process: Mutex<Process<P>>,
}

/// What runs, or has ended and is to be started.
struct Process<P> {
    party: P,
    link: Link,
    life: ProcessHandle,
    starts: u32,
    /// When it is to be started again, once its end has been seen.
    again: Option<Instant>,
}

impl<P: Clone + Send + 'static> Host<P> {
    /// Starts the party called `name` on these records, with what goes wrong with them.
    pub fn start(
        name: impl Into<String>,
        records: Arc<dyn Records>,
        mishaps: FaultInjector,
        make: impl Fn(Arc<dyn Records>, u32) -> (P, Link) + Send + Sync + 'static,
    ) -> Self {
        let name = name.into();
        let process = Process::start(&name, &records, &mishaps, &make, 1);
        Self(Arc::new(Inner { name, records, mishaps, make: Box::new(make), process: Mutex::new(process) }))
    }

    /// The party, if its process runs.
    pub fn party(&self) -> Option<P> {
        self.running().ok().map(|process| process.party.clone())
    }

    /// Ends its process at this moment, whatever it is at; it is started again after this time. One that has ended already stays
    /// away for so long from now.
    pub fn end(&self, away: Duration) {
        let mut process = self.process();
        process.again = Some(Instant::now() + away);
        process.life.end(away);
    }

    /// How often its process has been started.
    pub fn starts(&self) -> u32 {
        self.process().starts
    }

    /// Waits for the end of the process that runs now, and until it has been started again.
    pub async fn restarted(&self) {
        let (life, starts) = {
            let process = self.process();
            (process.life.clone(), process.starts)
        };
        let away = life.over().await;
        tokio::time::sleep(away).await;
        if self.starts() == starts {
            self.restart(&mut self.process());
        }
    }

    /// Has each of its processes do this for as long as it lives, one after another, without end. What is under way when a
    /// process ends is dropped.
    pub async fn works(&self, work: impl Fn(P) -> BoxFuture<'static, ()>) {
        loop {
            let running = self.running().ok().map(|process| (process.party.clone(), process.life.clone()));
            if let Some((party, life)) = running {
                tokio::select! {
                    biased;
                    _ = life.over() => {}
                    () = work(party) => return,
                }
            }
            self.restarted().await;
        }
    }

    /// The way to it, across all its processes.
    pub fn link(&self) -> Link {
        self.link_at(|process| process.link.clone())
    }

    /// The same to another of its doors.
    pub fn door(&self, of: impl Fn(&P) -> Link + Send + Sync + 'static) -> Link {
        self.link_at(move |process| of(&process.party))
    }

    fn link_at(&self, of: impl Fn(&Process<P>) -> Link + Send + Sync + 'static) -> Link {
        let (host, of) = (self.clone(), Arc::new(of));
        link_from(tower::service_fn(move |request| {
            let (host, of) = (host.clone(), Arc::clone(&of));
            async move { host.ask(&*of, request).await }
        }))
    }

    async fn ask(
        &self,
        of: impl Fn(&Process<P>) -> Link,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, LinkFault> {
        let (link, life) = {
            let process = self.running()?;
            (of(&process), process.life.clone())
        };
        let broken = |away| {
            self.process().again.get_or_insert(Instant::now() + away);
            Err(LinkFault::new(LinkFaultKind::Reset, self.0.name.clone(), "the process has ended"))
        };
        tokio::select! {
            biased;
            away = life.over() => broken(away),
            answer = world::send(&link, request) => match life.is_over() {
                true => broken(life.over().await),
                false => answer,
            },
        }
    }

    /// What runs; started again if it is time.
    fn running(&self) -> Result<MutexGuard<'_, Process<P>>, LinkFault> {
        let mut process = self.process();
        if process.life.is_over() {
            // Nobody was asking when it ended: this is when its end is seen.
            let away = process.life.away();
            let again = *process.again.get_or_insert_with(|| Instant::now() + away);
            if again > Instant::now() {
                let why = "the process has ended, and is not started yet";
                return Err(LinkFault::new(LinkFaultKind::Refused, self.0.name.clone(), why));
            }
            self.restart(&mut process);
        }
        Ok(process)
    }

    fn restart(&self, process: &mut Process<P>) {
        let Inner { name, records, mishaps, make, .. } = &*self.0;
        *process = Process::start(name, records, mishaps, make, process.starts.saturating_add(1));
    }

    fn process(&self) -> MutexGuard<'_, Process<P>> {
        self.0.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> Process<P> {
    fn start(
        name: &str,
        records: &Arc<dyn Records>,
        mishaps: &FaultInjector,
        make: &Make<P>,
        starts: u32,
    ) -> Self {
        let life = ProcessHandle::default();
        let faulty = FaultyRecords::new(name, Arc::clone(records), mishaps.clone(), life.clone());
        let (party, link) = make(Arc::new(faulty), starts);
        Self { party, link, life, starts, again: None }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;
    use world::{Collection, Fault, MemoryRecords, SeededDice, transact};

    use super::*;

    const VISITS: Collection<u32> = Collection::new("visits");

    /// A party that counts who comes, and answers with the number; and how often it was started.
    fn host(mishap: &str) -> Host<u32> {
        let mishaps = FaultInjector::new(SeededDice::from_text("host"), [mishap.parse().unwrap()]);
        Host::start("sm-dp", Arc::new(MemoryRecords::default()), mishaps, |records, starts| {
            let link = link_from(tower::service_fn(move |_: Request<Bytes>| {
                let records = Arc::clone(&records);
                async move {
                    let counted: Result<u32, Fault> = transact(&*records, |tx| {
                        Box::pin(async move {
                            let visits = tx.get(&VISITS, "all").await?.unwrap_or(0) + 1;
                            tx.put(&VISITS, "all", &visits)?;
                            Ok(visits)
                        })
                    })
                    .await;
                    let text = counted.map_or_else(|fault| fault.to_string(), |visits| visits.to_string());
                    Ok(Response::new(Bytes::from(text)))
                }
            }));
            (starts, link)
        })
    }

    async fn visit(host: &Host<u32>) -> Result<String, LinkFaultKind> {
        let answer = world::send(&host.link(), Request::new(Bytes::new())).await;
        answer.map(|answer| String::from_utf8(answer.body().to_vec()).unwrap()).map_err(|fault| fault.kind)
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_a_process_that_ends_hears_nothing_and_the_next_one_has_its_records() {
        for (mishap, third) in [("before", "2"), ("after", "3")] {
            let host = host(&format!("records/crash-{mishap}-commit=1m@sm-dp#2"));
            assert_eq!(visit(&host).await.unwrap(), "1");
            assert_eq!(visit(&host).await, Err(LinkFaultKind::Reset), "{mishap}");
            assert_eq!((visit(&host).await, host.party()), (Err(LinkFaultKind::Refused), None));
            sleep(Duration::from_secs(59)).await;
            assert_eq!(visit(&host).await, Err(LinkFaultKind::Refused));
            sleep(Duration::from_secs(1)).await;
            assert_eq!(visit(&host).await.unwrap(), third, "{mishap}");
            assert_eq!((host.starts(), host.party()), (2, Some(2)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_can_be_ended_at_any_moment_though_nobody_asks_it_for_anything() {
        let host = host("records/commit-fails#9");
        assert_eq!(visit(&host).await.unwrap(), "1");
        host.end(Duration::from_secs(60));
        assert_eq!((visit(&host).await, host.party()), (Err(LinkFaultKind::Refused), None));
        sleep(Duration::from_secs(59)).await;
        assert_eq!(visit(&host).await, Err(LinkFaultKind::Refused));
        sleep(Duration::from_secs(1)).await;
        assert_eq!((visit(&host).await.unwrap(), host.starts()), ("2".to_owned(), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_works_without_being_asked_is_started_again_by_whoever_waits_for_it() {
        let host = host("records/crash-before-commit=1m#1");
        let waits = host.clone();
        let restarted = tokio::spawn(async move { waits.restarted().await });
        tokio::task::yield_now().await;
        let from = Instant::now();
        assert_eq!(visit(&host).await, Err(LinkFaultKind::Reset));
        restarted.await.unwrap();
        assert_eq!((host.starts(), from.elapsed()), (2, Duration::from_secs(60)));
    }

    /// Faults that a party speaks of itself stay its answers.
    #[tokio::test(start_paused = true)]
    async fn a_party_that_lives_says_itself_what_failed() {
        let host = host("records/commit-fails#1");
        assert!(visit(&host).await.unwrap().contains("cannot write the records of sm-dp"));
        assert_eq!((visit(&host).await.unwrap(), host.starts()), ("1".to_owned(), 1));
    }
}
