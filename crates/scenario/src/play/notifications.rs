//! Notifications of an SM-DP+ to the owner's platform (ES2+), and reports of events outside
//! devices.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rsp::ids::SmdpAddress;
use sm_dp::{Peers, SmDpPlus};
use tokio::sync::Notify;
use tokio::time::sleep;
use world::{Clock, Event, Events, Fault, Link, Outcome, TokioClock};

use super::internal_fault::bug;
use crate::report::{Kind, Report};
use faults::FaultSpec;
use testbed::host::Host;

/// Retry delay after the records have failed.
const AFTER_A_FAULT: Duration = Duration::from_secs(10);

/// Adds events to the report.
#[derive(Clone)]
pub(super) struct EventReporter {
    pub(super) report: Arc<Mutex<Report>>,
    pub(super) clock: TokioClock,
}

impl EventReporter {
    fn with(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A callback that reports each fault that happens.
    pub(super) fn fault_callback(self) -> impl Fn(&FaultSpec) + Send + Sync + 'static {
        move |spec| {
            let now = self.clock.now();
            self.with(|report| {
                report.record_fault(now, &spec.to_string());
                // Only a crash with a place names the party whose process has ended.
                if let Some((party, away)) = spec.ends_process() {
                    let what = format!("its process was ended by {} and is down", spec.name());
                    report.timeline.add_lasting((now, now.plus(away)), Kind::Server, party, what);
                }
            });
        }
    }

    /// Reports the start of a server process, if it is not the first one.
    pub(super) fn started(&self, who: &str, starts: u32) {
        if starts > 1 {
            self.with(|report| report.timeline.add(self.clock.now(), Kind::Server, who, "has restarted"));
        }
    }
}

/// Reports the orders of the platform that an SM-DP+ refused, because no device reports them.
impl Events for EventReporter {
    fn emit(&self, event: Event) {
        if let Outcome::Refused(why) = &event.outcome
            && event.interface == "ES2+"
        {
            let what = format!("{} at {}: {why}", event.function, event.peer);
            self.with(|report| report.refused(event.at, &what));
        }
    }
}

/// The link of an SM-DP+ to the platform, which is set once all parties exist.
#[derive(Clone, Default)]
pub(super) struct PlatformNotifier {
    link: Arc<OnceLock<Link>>,
    woken: Arc<Notify>,
}

impl PlatformNotifier {
    pub(super) fn lead_to(&self, link: Link) {
        let _ = self.link.set(link);
    }

    /// Delivers the notifications of the SM-DP+ with retries, without end.
    pub(super) async fn deliver(self, host: Host<SmDpPlus>, clock: TokioClock) {
        host.works(move |sm_dp| {
            let woken = Arc::clone(&self.woken);
            Box::pin(async move {
                loop {
                    let wait = match sm_dp.deliver_due().await {
                        Ok(next) => next.map(|next| next.since(clock.now())),
                        Err(_) => Some(AFTER_A_FAULT),
                    };
                    let until = async {
                        match wait {
                            // The work may be due now. The minimum delay lets other tasks run
                            // first.
                            Some(wait) => sleep(wait.max(Duration::from_millis(1))).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        biased;
                        () = woken.notified() => {}
                        () = until => {}
                    }
                }
            })
        })
        .await;
    }
}

impl Peers for PlatformNotifier {
    fn link(&self, _: &SmdpAddress) -> Result<Link, Fault> {
        self.link.get().cloned().ok_or_else(|| bug("the platform does not exist yet"))
    }

    fn wake(&self) {
        self.woken.notify_one();
    }
}
