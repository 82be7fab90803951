//! `landfall demo`: moves a permanently roaming device to a local profile.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::Args;
use scenario::{file::Scenario, report::Verdict};
use schemars::JsonSchema;
use serde::Serialize;
use world::{Clock, Event, Events, Fault, FaultKind, MemoryEvents};

use super::run::days;
use crate::{
    demo::{Case, Demonstration, PATIENCE},
    exit_status::ExitStatus,
    json_schema::{CommandOutput, OneOf, document},
    live,
    m2m::{self, messages::Messages, names::Names},
    output::{Table, print, print_json, timeline_line},
    report::print_report,
    scenario_file::not_a_scenario,
    settings::{Setting, Settings},
};

/// Demonstration: one device moves to a local profile, another falls back
#[derive(Debug, Args)]
#[command(args = Setting::flags(&[Setting::SmDpName, Setting::Pki, Setting::Seed]))]
pub struct Command {
    /// Profile package of the local operator (TCA, DER) [default: a generated package]
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Keep the records and cards in the data folder instead of a temporary folder
    #[arg(long)]
    keep: bool,
    /// Also show the functions of the card (ES10) and the events of the SM-DP+; for M2M devices,
    /// show all events, including those of the card's toolkit
    #[arg(long, short)]
    verbose: bool,
    /// M2M devices (SGP.02) instead of consumer devices: profile download, fallback and SM-SR
    /// change
    #[arg(long, conflicts_with = "profile")]
    m2m: bool,
    /// IoT devices (SGP.32): rollback, fallback and return, and change of the eIM
    #[arg(long, conflicts_with_all = ["profile", "keep", "m2m"])]
    iot: bool,
    /// Folder for SOAP messages, one file each
    #[arg(long, value_name = "FOLDER", requires = "m2m")]
    soap: Option<PathBuf>,
}

/// Result of the demonstration.
#[derive(JsonSchema, Serialize)]
struct Report<S> {
    /// True if all cases ended as expected.
    success: bool,
    /// The cases.
    summary: Vec<S>,
    /// The events of all parties.
    timeline: Vec<Event>,
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] =
    &[document::<OneOf<OneOf<Report<Case>, Report<m2m::Case>>, scenario::report::Report>>("demo")];

impl Command {
    /// Runs the demonstration. The exit status is 0 if all cases ended as expected.
    ///
    /// # Errors
    /// A step outside the cases failed, such as starting a server.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<ExitCode, Fault> {
        if self.iot {
            return iot(json).await;
        }
        let package = self.profile.as_deref().map(crate::files::read).transpose()?;
        let scratch = Scratch::new(settings, self.keep)?;
        let mut settings = settings.clone();
        if !self.keep && !settings.pki.exists() {
            settings.pki = scratch.folder.join("pki");
        }
        let kept = MemoryEvents::default();
        let names = Names::default();
        let shown = Shown {
            start: net::OsClock.now(),
            verbose: self.verbose,
            kept: kept.clone(),
            quiet: json,
            m2m: self.m2m.then(|| m2m::Timeline::new(names.clone())),
        };
        if self.m2m {
            let messages = self.soap.map(Messages::into_folder).transpose()?;
            return Self::run_m2m(&settings, &scratch, (names, messages), shown, &kept, json).await;
        }
        let play = async {
            let mut demonstration = Demonstration::start(&settings, &scratch.folder, Arc::new(shown)).await?;
            let played = demonstration.play(&scratch.folder, package.as_deref()).await;
            demonstration.close().await;
            played
        };
        let summary = tokio::time::timeout(PATIENCE, play).await.map_err(|_| hangs("two"))??;
        let success = summary.iter().all(|case| case.as_expected);
        if json {
            print_json(&Report { success, summary, timeline: kept.all() })?;
        } else {
            print(&format!("\n{}", table(&summary).render()))?;
        }
        Ok(ExitStatus::expected(success))
    }

    /// Runs the demonstration with M2M devices.
    async fn run_m2m(
        settings: &Settings,
        scratch: &Scratch,
        (names, messages): (Names, Option<Messages>),
        shown: Shown,
        kept: &MemoryEvents,
        json: bool,
    ) -> Result<ExitCode, Fault> {
        let play = async {
            let mut demonstration =
                m2m::Demonstration::start(settings, &scratch.folder, names, messages, Arc::new(shown))
                    .await?;
            let played = demonstration.play().await;
            demonstration.close().await;
            played
        };
        let summary =
            tokio::time::timeout(PATIENCE.saturating_mul(2), play).await.map_err(|_| hangs("four"))??;
        let success = summary.iter().all(|case| case.as_expected);
        if json {
            print_json(&Report { success, summary, timeline: kept.all() })?;
        } else {
            print(&format!("\n{}", m2m_table(&summary).render()))?;
        }
        Ok(ExitStatus::expected(success))
    }
}

/// Runs the demonstration with IoT devices, a scenario over sockets.
async fn iot(json: bool) -> Result<ExitCode, Fault> {
    const NAME: &str = "iot-three-devices";
    let text = scenario::library::named(NAME).unwrap_or_default();
    let scenario = Scenario::parse(NAME, text).map_err(not_a_scenario)?;
    // A run has a thread of its own, because its time is virtual.
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let played = live::play(NAME, &scenario, &scenario.seed, days(&scenario, json));
        let _ = sender.send(played);
    });
    let report = receiver.await.map_err(|error| {
        Fault::caused_by(error, "the demonstration ended early", "report this as a bug")
    })??;
    if json {
        print_json(&report)?;
    } else {
        for entry in report.timeline.entries() {
            let day = entry.at.since(report.begins).as_secs() / 86_400;
            print(&format!("day {day:<3} {:<9} {}\n", entry.who, entry.what))?;
        }
        print("\n")?;
        print_report(&report)?;
    }
    Ok(ExitStatus::expected(report.verdict() == Verdict::Passed))
}

fn hangs(minutes: &str) -> Fault {
    Fault::new(
        "the demonstration does not finish",
        format!("it took longer than {minutes} minutes"),
        "run it again with --verbose to see the step at which it stops",
    )
    .of_kind(FaultKind::Expectation)
}

fn m2m_table(summary: &[m2m::Case]) -> Table {
    let mut table = Table::new(&[
        "case",
        "device",
        "registered on",
        "SM-SR",
        "SMS to/from card",
        "HTTPS bytes",
        "seconds",
        "ending",
    ]);
    for (number, case) in (1..).zip(summary) {
        let air = case.over_the_air;
        let (_, network) = case.registered.split_once(" on ").unwrap_or(("", "nothing"));
        table.row([
            number.to_string(),
            case.device.clone(),
            network.to_owned(),
            case.sm_sr.clone(),
            format!("{}/{}", air.messages_to_card, air.messages_from_card),
            air.https_octets.to_string(),
            format!("{:.2}", case.seconds),
            case.ending.clone(),
        ]);
    }
    table
}

fn table(summary: &[Case]) -> Table {
    let mut table = Table::new(&[
        "device",
        "IMSI before",
        "network before",
        "IMSI after",
        "network after",
        "seconds",
        "HTTP bytes",
        "APDUs",
        "APDU bytes",
        "ending",
    ]);
    for case in summary {
        let imsi = |imsi: &Option<rsp::ids::Imsi>| imsi.map(|imsi| imsi.to_string()).unwrap_or_default();
        table.row([
            case.device.clone(),
            imsi(&case.imsi_before),
            case.network_before.clone(),
            imsi(&case.imsi_after),
            case.network_after.clone(),
            format!("{:.2}", case.seconds),
            case.http_bytes.to_string(),
            case.apdus.to_string(),
            case.card_bytes.to_string(),
            case.ending.clone(),
        ]);
    }
    table
}

/// Folder for the records and cards of the demonstration.
struct Scratch {
    folder: PathBuf,
    temporary: bool,
}

impl Scratch {
    fn new(settings: &Settings, keep: bool) -> Result<Self, Fault> {
        let name = format!("demo-{}-{}", net::OsClock.now().seconds(), std::process::id());
        let base = if keep { settings.data_dir.clone() } else { std::env::temp_dir() };
        let folder = base.join(if keep { name } else { format!("landfall-{name}") });
        net::create_private_folder(&folder).map_err(|e| {
            Fault::usage_caused_by(
                e,
                format!("cannot create the folder {}", folder.display()),
                "choose a writable folder with --data-dir",
            )
        })?;
        Ok(Self { folder, temporary: !keep })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.temporary {
            // A folder that cannot be removed now is left to the clean-up of the
            // temporary folder.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Records every event, and prints those of the timeline.
struct Shown {
    start: rsp::time::Timestamp,
    verbose: bool,
    quiet: bool,
    /// Filter and wording of the timeline of M2M devices, if the demonstration is about them.
    m2m: Option<m2m::Timeline>,
    kept: MemoryEvents,
}

impl Events for Shown {
    fn emit(&self, event: Event) {
        self.kept.emit(event.clone());
        if let Some(timeline) = &self.m2m {
            let shown = if self.verbose { Some(event) } else { timeline.shown(event) };
            if let Some(event) = shown.filter(|_| !self.quiet) {
                // A failure to print is ignored: printing the summary fails later if the output is
                // closed.
                let elapsed = net::OsClock.now().since(self.start);
                let _ = print(&format!("{}\n", timeline_line(elapsed, self.start, &event)));
            }
            return;
        }
        let twice = event.party == "SM-DP+";
        let small = event.interface.starts_with("ES10");
        if !self.quiet && (self.verbose || !twice && !small) {
            let mut event = event;
            if event.interface == "ES9+" && !twice {
                // There is only one SM-DP+, so its port is not shown.
                event.peer = "SM-DP+".into();
            }
            // An event source cannot report an error. If the output is closed, printing the summary
            // fails later.
            let _ = print(&format!(
                "{}\n",
                timeline_line(net::OsClock.now().since(self.start), self.start, &event)
            ));
        }
    }
}
