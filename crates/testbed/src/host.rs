//! A party whose process can end at any commit and is restarted with its records.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tokio::time::Instant;
use world::{BoxFuture, Link, LinkFault, LinkFaultKind, Records, link_from};

use faults::{FaultInjector, FaultyRecords, ProcessHandle};

/// Creates a party that uses these records. The number counts the starts of the process, from 1.
type Make<P> = dyn Fn(Arc<dyn Records>, u32) -> (P, Link) + Send + Sync;

/// A party that is restarted after its process has ended. Clones refer to the same party.
///
/// A request during which the process ends fails with a broken connection, whether or not it was
/// committed. A request between the end of the process and the restart fails because the connection
/// is refused.
pub struct Host<P>(Arc<Inner<P>>);

impl<P> Clone for Host<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Inner<P> {
    name: String,
    records: Arc<dyn Records>,
    faults: FaultInjector,
    make: Box<Make<P>>,
    process: Mutex<Process<P>>,
}

/// A process that runs, or that has ended and is to be restarted.
struct Process<P> {
    party: P,
    link: Link,
    life: ProcessHandle,
    starts: u32,
    /// Time of the restart; `None` until the end of the process was detected.
    again: Option<Instant>,
}

impl<P: Clone + Send + 'static> Host<P> {
    /// Starts the party called `name` with these records. The injector applies the faults of
    /// records.
    pub fn start(
        name: impl Into<String>,
        records: Arc<dyn Records>,
        faults: FaultInjector,
        make: impl Fn(Arc<dyn Records>, u32) -> (P, Link) + Send + Sync + 'static,
    ) -> Self {
        let name = name.into();
        let process = Process::start(&name, &records, &faults, &make, 1);
        Self(Arc::new(Inner { name, records, faults, make: Box::new(make), process: Mutex::new(process) }))
    }

    /// The party, if its process is running.
    pub fn party(&self) -> Option<P> {
        self.running().ok().map(|process| process.party.clone())
    }

    /// Ends the process at once, and restarts it after `away`. If the process has already ended,
    /// the delay starts again now.
    pub fn end(&self, away: Duration) {
        let mut process = self.process();
        process.again = Some(Instant::now() + away);
        process.life.end(away);
    }

    /// The number of times that the process was started.
    pub fn starts(&self) -> u32 {
        self.process().starts
    }

    /// Waits until the current process has ended and the next one has started.
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

    /// Runs the background work of the party, and starts it again in each new process, until the
    /// work returns. Work in progress is dropped when the process ends.
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

    /// A link to the party that stays valid across restarts.
    pub fn link(&self) -> Link {
        self.link_at(|process| process.link.clone())
    }

    /// Returns a link as [`Host::link`] does, to another interface of the party.
    pub fn link_of(&self, of: impl Fn(&P) -> Link + Send + Sync + 'static) -> Link {
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

    /// Returns the running process. Restarts the process if the time of the restart has come.
    fn running(&self) -> Result<MutexGuard<'_, Process<P>>, LinkFault> {
        let mut process = self.process();
        if process.life.is_over() {
            // No request was in progress when the process ended, so the end is detected only now.
            let away = process.life.away();
            let again = *process.again.get_or_insert_with(|| Instant::now() + away);
            if again > Instant::now() {
                let why = "the process has ended and has not been restarted yet";
                return Err(LinkFault::new(LinkFaultKind::Refused, self.0.name.clone(), why));
            }
            self.restart(&mut process);
        }
        Ok(process)
    }

    fn restart(&self, process: &mut Process<P>) {
        let Inner { name, records, faults, make, .. } = &*self.0;
        *process = Process::start(name, records, faults, make, process.starts.saturating_add(1));
    }

    fn process(&self) -> MutexGuard<'_, Process<P>> {
        self.0.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> Process<P> {
    fn start(
        name: &str,
        records: &Arc<dyn Records>,
        faults: &FaultInjector,
        make: &Make<P>,
        starts: u32,
    ) -> Self {
        let life = ProcessHandle::default();
        let faulty = FaultyRecords::new(name, Arc::clone(records), faults.clone(), life.clone());
        let (party, link) = make(Arc::new(faulty), starts);
        Self { party, link, life, starts, again: None }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;
    use world::{Collection, Fault, MemoryRecords, SeededRandom, transact};

    use super::*;

    const VISITS: Collection<u32> = Collection::new("visits");

    /// A party that counts requests and answers with the count. The party value is the number of
    /// starts.
    fn host(spec: &str) -> Host<u32> {
        let faults = FaultInjector::new(SeededRandom::from_text("host"), [spec.parse().unwrap()]);
        Host::start("sm-dp", Arc::new(MemoryRecords::default()), faults, |records, starts| {
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
    async fn a_request_to_a_crashing_process_fails_and_the_next_process_keeps_the_records() {
        for (spec, third) in [("before", "2"), ("after", "3")] {
            let host = host(&format!("records/crash-{spec}-commit=1m@sm-dp#2"));
            assert_eq!(visit(&host).await.unwrap(), "1");
            assert_eq!(visit(&host).await, Err(LinkFaultKind::Reset), "{spec}");
            assert_eq!((visit(&host).await, host.party()), (Err(LinkFaultKind::Refused), None));
            sleep(Duration::from_secs(59)).await;
            assert_eq!(visit(&host).await, Err(LinkFaultKind::Refused));
            sleep(Duration::from_secs(1)).await;
            assert_eq!(visit(&host).await.unwrap(), third, "{spec}");
            assert_eq!((host.starts(), host.party()), (2, Some(2)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_process_can_be_ended() {
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
    async fn waiting_for_the_restart_restarts_the_process() {
        let host = host("records/crash-before-commit=1m#1");
        let waits = host.clone();
        let restarted = tokio::spawn(async move { waits.restarted().await });
        tokio::task::yield_now().await;
        let from = Instant::now();
        assert_eq!(visit(&host).await, Err(LinkFaultKind::Reset));
        restarted.await.unwrap();
        assert_eq!((host.starts(), from.elapsed()), (2, Duration::from_secs(60)));
    }

    /// Faults that the party itself reports are passed on unchanged.
    #[tokio::test(start_paused = true)]
    async fn a_running_party_reports_its_own_faults() {
        let host = host("records/commit-fails#1");
        assert!(visit(&host).await.unwrap().contains("cannot write the records of sm-dp"));
        assert_eq!((visit(&host).await.unwrap(), host.starts()), ("1".to_owned(), 1));
    }
}
