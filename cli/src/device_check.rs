//! A check of a third-party LPA or device: one profile download for each fault that can occur between
//! an LPA and an SM-DP+.
//!
//! Each case has an SM-DP+ of its own with one order, and the layers of the crate `faults` in front of
//! it. The command of the device is run, and run again after a failure.

mod behaviour;
mod calls;
mod cases;
mod command;
mod outcome;
mod report;
mod server;

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use certs::{Pki, PkiOptions};
use faults::{FaultInjector, FaultSpec, TamperingPeer};
use rsp::ids::Eid;
use sm_dp::SmDpPlus;
use tokio::task::{JoinSet, LocalSet};
use world::{Fault, FaultKind, SeededRandom};

use self::{
    calls::CallLog,
    cases::Case,
    command::{CaseCard, DeviceCommand, Values},
    outcome::Evidence,
    report::CaseResult,
    server::Setup,
};
use crate::{output::remark, parties, settings::Settings};

pub use report::Report;

/// Options of a check.
#[derive(Clone, Debug)]
pub struct Options {
    /// Patterns of the cases; empty for all cases.
    pub patterns: Vec<String>,
    /// The command of the device: program and arguments, with placeholders.
    pub command: Vec<String>,
    /// True if the command uses a card of this program over the stdio interface of lpac.
    pub stdio: bool,
    /// Maximum number of runs after a failure.
    pub retries: u32,
    /// Time after which a run is stopped.
    pub timeout: Duration,
    /// Number of cases that run at the same time.
    pub jobs: usize,
    /// Listening address of the SM-DP+. With port 0, each case uses a free port.
    pub listen: String,
    /// True if the package of an order can be bound only once.
    pub bind_once: bool,
    /// True if only failed cases are printed during the check.
    pub json: bool,
}

/// Returns the names of the cases that match one of the patterns, with the description of their fault.
///
/// # Errors
/// No case matches.
pub fn list(patterns: &[String]) -> Result<Vec<(String, &'static str)>, Fault> {
    let cases = cases::select(patterns)?;
    Ok(cases.iter().map(|case| (case.fault.to_string(), case.entry.what.as_str())).collect())
}

/// Runs all cases. Before, the command must download a profile without a fault.
///
/// # Errors
/// No case matches, the PKI has no keys, the command cannot be started, or it cannot download a profile
/// without a fault.
pub async fn run(settings: &Settings, options: Options) -> Result<Report, Fault> {
    let cases = cases::select(&options.patterns)?;
    let (world, _) = parties::os_world()?;
    let pki = Arc::new(crate::pki::load_or_init(settings)?);
    let eid = options.stdio.then(|| parties::default_eid(&pki)).transpose()?;
    let settings = Settings { sm_dp: options.listen.clone(), ..settings.clone() };
    let setup = Setup { settings, pki, world, bind_once: options.bind_once };
    let command = DeviceCommand { words: options.command.clone(), timeout: options.timeout };
    let first_number = u32::from_be_bytes(setup.world.random()).into();
    let check =
        Rc::new(Check { setup, command, eid, retries: options.retries, first_number, json: options.json });

    let download = check.download_without_fault().await?;
    let reports = download.state == sm_dp::ProfileState::Installed;
    let behaviours = behaviour::observe(&download, &check.calls_to_untrusted_server().await?);
    let cases = check.all(cases, reports, options.jobs).await?;
    Ok(Report {
        command: options.command,
        own_card: options.stdio,
        bind_once: options.bind_once,
        retries: options.retries,
        cases,
        behaviours,
    })
}

/// Numbers of the profiles of a check, counted from its first number.
const WITHOUT_FAULT: u64 = 0;
const UNTRUSTED: u64 = 1;
const FIRST_CASE: u64 = 2;

struct Check {
    setup: Setup,
    command: DeviceCommand,
    /// The EID of the card for each case, if the command uses a card of this program.
    eid: Option<Eid>,
    retries: u32,
    /// The first number is random, so that a card that the device keeps has no profile with the same
    /// ICCID from an earlier check.
    first_number: u64,
    /// True if only failed cases are printed.
    json: bool,
}

impl Check {
    async fn download_without_fault(&self) -> Result<Evidence, Fault> {
        let download = self.evidence(WITHOUT_FAULT, None, 0, |_| true).await?;
        if download.is_installed() {
            return Ok(download);
        }
        let output = download.runs.last().map(|run| run.output.clone()).unwrap_or_default();
        let fault = Fault::new(
            "the command does not download a profile without a fault",
            format!("the profile is {} at the SM-DP+; the command printed: {output}", download.state),
            "correct the command; docs/how-to/check-device.md has examples",
        );
        Err(fault.of_kind(FaultKind::Expectation))
    }

    /// Runs the command with a server whose TLS certificate is issued by an unknown CI.
    async fn calls_to_untrusted_server(&self) -> Result<Vec<calls::Call>, Fault> {
        let server = self.setup.order(self.first_number + UNTRUSTED).await?;
        let unknown = Pki::from_seed(b"an unknown CI", &PkiOptions::default())
            .map_err(|e| Fault::caused_by(e, "cannot create an unknown CI", "report this"))?;
        let tls = server.tls(&unknown, &self.setup.world)?;
        let (log, injector) = (CallLog::default(), self.injector(None));
        let (values, card) = (Values::of(&server, &self.setup), self.eid.map(CaseCard::new));
        tokio::select! {
            ended = server.serve(&self.setup, tls, injector, &log) => ended?,
            run = self.command.run(&values, card.as_ref(), &self.setup) => drop(run?),
        }
        Ok(log.all())
    }

    /// Runs the cases, several at once if `jobs` is greater than one.
    async fn all(
        self: &Rc<Self>,
        cases: Vec<Case>,
        reports: bool,
        jobs: usize,
    ) -> Result<Vec<CaseResult>, Fault> {
        let total = cases.len();
        let waiting = Rc::new(RefCell::new(cases.into_iter().enumerate().collect::<Vec<_>>().into_iter()));
        let done = Rc::new(RefCell::new(Vec::with_capacity(total)));
        let local = LocalSet::new();
        let mut workers = JoinSet::new();
        for _ in 0..jobs.max(1) {
            let (check, waiting, done) = (Rc::clone(self), Rc::clone(&waiting), Rc::clone(&done));
            let work = async move {
                loop {
                    let next = waiting.borrow_mut().next();
                    let Some((index, case)) = next else { return Ok::<_, Fault>(()) };
                    let result = check.case(index, &case, reports).await?;
                    let mut done = done.borrow_mut();
                    if !check.json || result.outcome.is_failure() {
                        remark(&format!("{:>3}/{total}  {}", done.len() + 1, result.line()));
                    }
                    done.push((index, result));
                }
            };
            workers.spawn_local_on(work, &local);
        }
        local
            .run_until(async {
                while let Some(ended) = workers.join_next().await {
                    ended.map_err(|e| Fault::caused_by(e, "a case was aborted", "report this"))??;
                }
                Ok::<_, Fault>(())
            })
            .await?;
        let mut done = done.take();
        done.sort_by_key(|(index, _)| *index);
        Ok(done.into_iter().map(|(_, result)| result).collect())
    }

    async fn case(&self, index: usize, case: &Case, reports: bool) -> Result<CaseResult, Fault> {
        let number = FIRST_CASE + u64::try_from(index).unwrap_or_default();
        let is_over = |evidence: &Evidence| {
            evidence.is_done(reports) || evidence.is_closed() || evidence.is_wrongly_accepted(case)
        };
        let evidence = self.evidence(number, Some(&case.fault), self.retries, is_over).await?;
        let (outcome, detail) = evidence.decide(case, reports);
        Ok(CaseResult {
            fault: case.fault.to_string(),
            function: case.function,
            what: case.entry.what.clone(),
            requirement: case.entry.requirement.clone(),
            clause: case.entry.clause.clone(),
            outcome,
            detail,
            retries: evidence.runs.len().saturating_sub(1),
            state: evidence.state.to_string(),
            on_card: evidence.on_card,
            runs: evidence.runs,
            calls: evidence.calls,
        })
    }

    fn injector(&self, fault: Option<&FaultSpec>) -> FaultInjector {
        let random = SeededRandom::from_text(&self.setup.settings.seed).branch("faults");
        let tampering_peer = TamperingPeer::new(Arc::clone(&self.setup.pki));
        FaultInjector::new(random, fault.cloned()).with_tampering_peer(tampering_peer)
    }

    /// Runs the command with a fresh order until the case is over, a run is stuck, or no retry is left.
    async fn evidence(
        &self,
        number: u64,
        fault: Option<&FaultSpec>,
        retries: u32,
        is_over: impl Fn(&Evidence) -> bool,
    ) -> Result<Evidence, Fault> {
        let server = self.setup.order(self.first_number + number).await?;
        let (injector, log) = (self.injector(fault), CallLog::default());
        let (values, card) = (Values::of(&server, &self.setup), self.eid.map(CaseCard::new));
        let observed =
            Observed { sm_dp: server.without_faults(), iccid: server.iccid, card, log: log.clone() };
        let tls = server.tls(&self.setup.pki, &self.setup.world)?;
        let address = server.listens();
        let serving = server.serve(&self.setup, tls, injector.clone(), &log);
        let downloading = async {
            let (mut runs, mut calls, mut counted) = (Vec::new(), Vec::new(), 0);
            loop {
                server::until_reachable(&address).await;
                runs.push(self.command.run(&values, observed.card.as_ref(), &self.setup).await?);
                let all = observed.log.all();
                calls.push(all.get(counted..).unwrap_or_default().to_vec());
                counted = all.len();
                let evidence = observed
                    .evidence(runs.clone(), calls.clone(), injector.injected_count(), &self.setup)
                    .await?;
                let retried = u32::try_from(runs.len() - 1).unwrap_or(u32::MAX);
                if is_over(&evidence) || evidence.is_stuck() || retried >= retries {
                    return Ok(evidence);
                }
            }
        };
        tokio::select! {
            ended = serving => Err(ended.err().unwrap_or_else(|| {
                Fault::new("the SM-DP+ of a case ended", "it should serve until the case ends", "report this")
            })),
            evidence = downloading => evidence,
        }
    }
}

/// The places where the effect of a case can be observed.
struct Observed {
    sm_dp: SmDpPlus,
    iccid: rsp::ids::Iccid,
    card: Option<CaseCard>,
    log: CallLog,
}

impl Observed {
    async fn evidence(
        &self,
        runs: Vec<command::Run>,
        calls: Vec<Vec<calls::Call>>,
        injected: u32,
        setup: &Setup,
    ) -> Result<Evidence, Fault> {
        let content = match &self.card {
            Some(card) => Some(card.content(setup).await?),
            None => None,
        };
        Ok(Evidence {
            runs,
            calls,
            state: server::state(&self.sm_dp).await?,
            on_card: content.as_ref().map(|(profiles, _)| profiles.contains(&self.iccid)),
            pending_notifications: content.map(|(_, pending)| pending),
            injected,
        })
    }
}
