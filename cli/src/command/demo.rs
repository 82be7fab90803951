//! `landfall demo`: the main job.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::Args;
use serde::Serialize;
use world::{Clock, Event, Events, Fault, MemoryEvents};

use crate::{
    demo::{PATIENCE, Stage, Story},
    m2m::{self, messages::Messages, names::Names},
    output::{Table, say, say_json, timeline_line},
    settings::Settings,
};

/// Bring a permanently roaming device home, and another one back
#[derive(Debug, Args)]
pub struct Command {
    /// The local operator's profile package (TCA, DER), in place of one of our own
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Keep the records and cards in the data folder; otherwise they are made in a temporary one
    #[arg(long)]
    keep: bool,
    /// Every APDU function and the server's side as well; of M2M devices, the card's toolkit too
    #[arg(long, short)]
    verbose: bool,
    /// M2M devices (SGP.02) in place of consumer ones: a profile is pushed, one comes back, a card changes hands
    #[arg(long, conflicts_with = "profile")]
    m2m: bool,
    /// Put every SOAP message between the parties into this folder, a file each
    #[arg(long, value_name = "FOLDER", requires = "m2m")]
    soap: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report<S> {
    success: bool,
    summary: Vec<S>,
    timeline: Vec<Event>,
}

impl Command {
    /// Runs the demonstration; the exit status says whether both stories ended as they should.
    ///
    /// # Errors
    /// Something failed that is no part of the story.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<ExitCode, Fault> {
        let package = self.profile.as_deref().map(super::sm_dp::read).transpose()?;
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
            let mut stage = Stage::start(&settings, &scratch.folder, Arc::new(shown)).await?;
            let played = stage.play(&scratch.folder, package.as_deref()).await;
            stage.close().await;
            played
        };
        let summary = tokio::time::timeout(PATIENCE, play).await.map_err(|_| hangs("two"))??;
        let success = summary.iter().all(|story| story.as_expected);
        if json {
            say_json(&Report { success, summary, timeline: kept.all() })?;
        } else {
            say(&format!("\n{}", table(&summary).render()))?;
        }
        Ok(if success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The same for M2M devices.
    async fn run_m2m(
        settings: &Settings,
        scratch: &Scratch,
        (names, messages): (Names, Option<Messages>),
        shown: Shown,
        kept: &MemoryEvents,
        json: bool,
    ) -> Result<ExitCode, Fault> {
        let play = async {
            let mut stage =
                m2m::Stage::start(settings, &scratch.folder, names, messages, Arc::new(shown)).await?;
            let played = stage.play().await;
            stage.close().await;
            played
        };
        let summary =
            tokio::time::timeout(PATIENCE.saturating_mul(2), play).await.map_err(|_| hangs("four"))??;
        let success = summary.iter().all(|story| story.as_expected);
        if json {
            say_json(&Report { success, summary, timeline: kept.all() })?;
        } else {
            say(&format!("\n{}", m2m_table(&summary).render()))?;
        }
        Ok(if success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn hangs(minutes: &str) -> Fault {
    Fault::new(
        "the demonstration hangs",
        format!("it took longer than {minutes} minutes"),
        "run it again with --verbose to see where",
    )
}

fn m2m_table(summary: &[m2m::Story]) -> Table {
    let mut table = Table::new(&[
        "story",
        "device",
        "is on",
        "SM-SR",
        "SMS to/from card",
        "HTTPS bytes",
        "seconds",
        "ending",
    ]);
    for (number, story) in (1..).zip(summary) {
        let air = story.over_the_air;
        let (_, network) = story.registered.split_once(" on ").unwrap_or(("", "nothing"));
        table.row([
            number.to_string(),
            story.device.clone(),
            network.to_owned(),
            story.sm_sr.clone(),
            format!("{}/{}", air.messages_to_card, air.messages_from_card),
            air.https_octets.to_string(),
            format!("{:.2}", story.seconds),
            story.ending.clone(),
        ]);
    }
    table
}

fn table(summary: &[Story]) -> Table {
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
    for story in summary {
        let imsi = |imsi: &Option<rsp::ids::Imsi>| imsi.map(|imsi| imsi.to_string()).unwrap_or_default();
        table.row([
            story.device.clone(),
            imsi(&story.imsi_before),
            story.network_before.clone(),
            imsi(&story.imsi_after),
            story.network_after.clone(),
            format!("{:.2}", story.seconds),
            story.http_bytes.to_string(),
            story.apdus.to_string(),
            story.card_bytes.to_string(),
            story.ending.clone(),
        ]);
    }
    table
}

/// Where the demonstration keeps its records and cards.
struct Scratch {
    folder: PathBuf,
    temporary: bool,
}

impl Scratch {
    fn new(settings: &Settings, keep: bool) -> Result<Self, Fault> {
        let name = format!("demo-{}-{}", net::OsClock.now().seconds(), std::process::id());
        let base = if keep { settings.data_dir.clone() } else { std::env::temp_dir() };
        let folder = base.join(if keep { name } else { format!("landfall-{name}") });
        std::fs::create_dir_all(&folder).map_err(|e| {
            Fault::caused_by(
                e,
                format!("cannot make the folder {}", folder.display()),
                "give a folder that can be written with --data-dir",
            )
        })?;
        Ok(Self { folder, temporary: !keep })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.temporary {
            // What cannot be removed now goes with the next clean-up of the temporary folder.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Keeps every event, and prints those that tell the story.
struct Shown {
    start: rsp::time::Timestamp,
    verbose: bool,
    quiet: bool,
    /// What is shown of M2M devices, if that is what it is about.
    m2m: Option<m2m::Timeline>,
    kept: MemoryEvents,
}

impl Events for Shown {
    fn tell(&self, event: Event) {
        self.kept.tell(event.clone());
        if let Some(timeline) = &self.m2m {
            let told = if self.verbose { Some(event) } else { timeline.told(event) };
            if let Some(event) = told.filter(|_| !self.quiet) {
                // As below.
                let elapsed = net::OsClock.now().since(self.start);
                let _ = say(&format!("{}\n", timeline_line(elapsed, self.start, &event)));
            }
            return;
        }
        let twice = event.party == "SM-DP+";
        let small = event.interface.starts_with("ES10");
        if !self.quiet && (self.verbose || !twice && !small) {
            let mut event = event;
            if event.interface == "ES9+" && !twice {
                // There is one; its port says nothing.
                event.peer = "SM-DP+".into();
            }
            // An event cannot fail; the summary, which goes the same way, will.
            let _ = say(&format!(
                "{}\n",
                timeline_line(net::OsClock.now().since(self.start), self.start, &event)
            ));
        }
    }
}
