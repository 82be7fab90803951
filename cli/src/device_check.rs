//! A check of a third-party LPA, device or card: one profile download for each fault that can occur
//! between an LPA and an SM-DP+, or between an LPA and its card.
//!
//! Each case has an SM-DP+ of its own with one order, and the layers of the crate `faults` in front of
//! it. The command of the device, or the LPA of this program with the card, is run, and run again after
//! a failure.

mod behaviour;
mod calls;
mod card;
mod cases;
pub(crate) mod command;
mod outcome;
mod report;
mod server;

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use faults::{Family, FaultInjector, FaultSpec, TamperingPeer};
use rsp::ids::{Eid, Iccid};
use sm_dp::SmDpPlus;
use tokio::task::{JoinSet, LocalSet};
use world::{Fault, FaultKind, SeededRandom};

use self::{
    calls::{CallLog, CardFinding},
    card::{CardContent, CardOrder, TestedCard},
    cases::Case,
    command::{CaseCard, DeviceCommand, Values},
    outcome::Evidence,
    report::CaseResult,
    server::{OrderedServer, Setup},
};
use crate::{output::remark, parties, settings::Settings};

pub use cases::Subject;
pub use report::Report;

/// Options of a check.
#[derive(Clone, Debug)]
pub struct Options {
    /// Patterns of the cases; empty for all cases.
    pub patterns: Vec<String>,
    /// The device or the card that is checked.
    pub tested: Tested,
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

/// A device or a card that is checked.
#[derive(Clone, Debug)]
pub enum Tested {
    /// A device.
    Device {
        /// Its command: program and arguments, with placeholders.
        command: Vec<String>,
        /// True if the command uses a card of this program over the stdio interface of lpac.
        stdio: bool,
    },
    /// A card.
    Card {
        /// Its address, for example `127.0.0.1:8446` or `at:/dev/ttyUSB2`.
        address: String,
    },
}

/// Returns the names of the cases that match one of the patterns, with the description of their fault.
///
/// # Errors
/// No case matches.
pub fn list(subject: Subject, patterns: &[String]) -> Result<Vec<(String, &'static str)>, Fault> {
    let cases = cases::select(subject, patterns)?;
    Ok(cases.iter().map(|case| (case.fault.to_string(), case.entry.what.as_str())).collect())
}

/// Runs all cases. Before, a profile must be downloaded without a fault.
///
/// # Errors
/// No case matches, the PKI has no keys, the command cannot be started or the card cannot be used, or no
/// profile can be downloaded without a fault.
pub async fn run(settings: &Settings, options: Options) -> Result<Report, Fault> {
    let subject = match options.tested {
        Tested::Device { .. } => Subject::Device,
        Tested::Card { .. } => Subject::Card,
    };
    let cases = cases::select(subject, &options.patterns)?;
    let (world, _) = parties::os_world()?;
    let pki = Arc::new(crate::pki::load_or_init(settings)?);
    let settings = Settings { sm_dp: options.listen.clone(), ..settings.clone() };
    let (command, own_card, address, runner) = match options.tested {
        Tested::Device { command: words, stdio } => {
            let eid = stdio.then(|| parties::default_eid(&pki)).transpose()?;
            let command = DeviceCommand { words: words.clone(), timeout: options.timeout };
            (words, stdio, None, Runner::Device { command, eid })
        }
        Tested::Card { address } => {
            let card = Rc::new(TestedCard::open(&address, options.timeout).await?);
            (Vec::new(), false, Some(address), Runner::Card(card))
        }
    };
    let setup = Setup { settings, pki, world, bind_once: options.bind_once };
    let first_number = u32::from_be_bytes(setup.world.random()).into();
    let check = Rc::new(Check { setup, runner, retries: options.retries, first_number, json: options.json });

    let download = check.download_without_fault().await?;
    let reports = download.state == sm_dp::ProfileState::Installed;
    let cases = check.all(cases, reports, options.jobs).await?;
    let behaviours = match &check.runner {
        Runner::Device { .. } => behaviour::observe(&download),
        Runner::Card(card) => card.behaviours(),
    };
    Ok(Report {
        command,
        card: address,
        own_card,
        bind_once: options.bind_once,
        retries: options.retries,
        cases,
        behaviours,
    })
}

/// Numbers of the profiles of a check, counted from its first number.
const WITHOUT_FAULT: u64 = 0;
const FIRST_CASE: u64 = 1;

struct Check {
    setup: Setup,
    runner: Runner,
    retries: u32,
    /// The first number is random, so that a card that the device keeps has no profile with the same
    /// ICCID from an earlier check.
    first_number: u64,
    /// True if only failed cases are printed.
    json: bool,
}

/// Runs a download.
enum Runner {
    /// The command of a device.
    Device {
        command: DeviceCommand,
        /// The EID of the card for each case, if the command uses a card of this program.
        eid: Option<Eid>,
    },
    /// The LPA of this program with a card.
    Card(Rc<TestedCard>),
}

impl Runner {
    /// Prepares the runs of one case.
    async fn prepare(
        &self,
        server: &OrderedServer,
        setup: &Setup,
        injector: &FaultInjector,
    ) -> Result<CaseRunner, Fault> {
        Ok(match self {
            Self::Device { command, eid } => CaseRunner::Device {
                command: command.clone(),
                values: Values::of(server, setup),
                card: eid.map(CaseCard::new),
            },
            Self::Card(card) => CaseRunner::Card {
                card: Rc::clone(card),
                order: CardOrder::of(server)?,
                before: card.content(setup).await?,
                injector: injector.clone(),
            },
        })
    }
}

/// Runs the downloads of one case.
enum CaseRunner {
    Device { command: DeviceCommand, values: Values, card: Option<CaseCard> },
    Card { card: Rc<TestedCard>, order: CardOrder, before: CardContent, injector: FaultInjector },
}

impl CaseRunner {
    async fn run(&self, setup: &Setup) -> Result<command::Run, Fault> {
        match self {
            Self::Device { command, values, card } => command.run(values, card.as_ref(), setup).await,
            Self::Card { card, order, injector, .. } => card.run(order, injector, setup).await,
        }
    }

    /// The profiles on the card, and the number of pending notifications. `None` if the card cannot be
    /// read.
    async fn content(&self, setup: &Setup) -> Result<Option<(Vec<Iccid>, usize)>, Fault> {
        Ok(match self {
            Self::Device { card: None, .. } => None,
            Self::Device { card: Some(card), .. } => Some(card.content(setup).await?),
            Self::Card { card, .. } => {
                let CardContent { profiles, pending_notifications, .. } = card.content(setup).await?;
                Some((profiles.iter().filter_map(|profile| profile.iccid).collect(), pending_notifications))
            }
        })
    }

    /// Ends the case. A tested card is observed, and its profile is deleted.
    async fn conclude(&self, case: &str, setup: &Setup) -> Result<(), Fault> {
        match self {
            Self::Device { .. } => Ok(()),
            Self::Card { card, order, before, .. } => card.conclude(case, order.iccid, before, setup).await,
        }
    }

    /// Takes the deviations of a tested card that were accepted in this case.
    fn take_findings(&self) -> Vec<CardFinding> {
        match self {
            Self::Device { .. } => Vec::new(),
            Self::Card { card, .. } => card.take_findings(),
        }
    }
}

impl Check {
    async fn download_without_fault(&self) -> Result<Evidence, Fault> {
        let download = self.evidence(WITHOUT_FAULT, None, 0, |_| true).await?;
        if download.is_installed() {
            return Ok(download);
        }
        let output = download.runs.last().map(|run| run.output.clone()).unwrap_or_default();
        let (what, next) = match &self.runner {
            Runner::Device { .. } => (
                "the command does not download a profile without a fault",
                "correct the command; docs/how-to/check-device.md has examples",
            ),
            Runner::Card(_) => (
                "the card does not install a profile without a fault",
                "check that the card trusts the CI of the PKI; see docs/how-to/check-card.md",
            ),
        };
        let why = format!("the profile is {} at the SM-DP+; the output was: {output}", download.state);
        Err(Fault::new(what, why, next).of_kind(FaultKind::Expectation))
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
            card_findings: evidence.card_findings,
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
        let runner = self.runner.prepare(&server, &self.setup, &injector).await?;
        let observed =
            Observed { sm_dp: server.without_faults(), iccid: server.iccid, runner, log: log.clone() };
        let tls = server.tls(&self.setup, &injector)?;
        let address = server.listens();
        let serving = server.serve(&self.setup, tls, injector.clone(), &log);
        let downloading = async {
            let (mut runs, mut calls, mut counted) = (Vec::new(), Vec::new(), 0);
            loop {
                server::until_reachable(&address).await;
                runs.push(observed.runner.run(&self.setup).await?);
                // A fault of the certificate lasts for one run, so that a retry can succeed.
                injector.end(Family::Tls);
                let all = observed.log.all();
                calls.push(all.get(counted..).unwrap_or_default().to_vec());
                counted = all.len();
                let evidence = observed
                    .evidence(runs.clone(), calls.clone(), injector.injected_count(), &self.setup)
                    .await?;
                let retried = u32::try_from(runs.len() - 1).unwrap_or(u32::MAX);
                if is_over(&evidence) || evidence.is_stuck() || retried >= retries {
                    let case = fault.map_or_else(|| "without fault".to_owned(), ToString::to_string);
                    observed.runner.conclude(&case, &self.setup).await?;
                    return Ok(Evidence { card_findings: observed.runner.take_findings(), ..evidence });
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
    iccid: Iccid,
    runner: CaseRunner,
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
        let content = self.runner.content(setup).await?;
        Ok(Evidence {
            runs,
            calls,
            state: server::state(&self.sm_dp).await?,
            on_card: content.as_ref().map(|(profiles, _)| profiles.contains(&self.iccid)),
            pending_notifications: content.map(|(_, pending)| pending),
            injected,
            card_findings: Vec::new(),
        })
    }
}
