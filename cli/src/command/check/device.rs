//! `landfall check device` and `landfall check card`: one download for each fault.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;
use world::Fault;

use crate::{
    device_check::{self, Options, Subject, Tested},
    exit_status::ExitStatus,
    files,
    output::{Table, print, print_json},
    settings::{Setting, Settings},
};

/// Selection of cases, and output.
#[derive(Debug, Args)]
struct Common {
    /// Pattern of the cases, with * for any text, such as tamper/* (repeatable) [default: all cases]
    #[arg(long = "fault", value_name = "GLOB")]
    patterns: Vec<String>,
    /// Maximum number of further runs after a failure
    #[arg(long, value_name = "N", default_value_t = 2)]
    retries: u32,
    /// Time after which a run is stopped, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
    /// Listening address of the SM-DP+ [default: a free port of the loopback for each case]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Let the SM-DP+ bind the package of each order only once
    #[arg(long)]
    bind_once: bool,
    /// Output file for the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Output file for the results as an HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// List the cases without running them
    #[arg(long)]
    list: bool,
}

/// Selection of cases, and the command of the device.
#[derive(Debug, Args)]
#[command(args = Setting::flags(&[Setting::SmDpName, Setting::Pki, Setting::Seed]))]
pub struct Device {
    #[command(flatten)]
    common: Common,
    /// Give the command a fresh card of this program in each case, over the stdio interface of lpac
    #[arg(long)]
    stdio: bool,
    /// Number of cases that run at the same time
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
    /// Command that downloads a profile; {activation_code}, {sm_dp}, {matching_id}, {iccid} and {root}
    /// (file of the root certificate) are replaced
    #[arg(last = true, required_unless_present = "list", value_name = "COMMAND")]
    command: Vec<String>,
}

/// Selection of cases, and the card.
#[derive(Debug, Args)]
#[command(args = Setting::flags(&[Setting::SmDpName, Setting::Pki, Setting::Seed]))]
pub struct Card {
    #[command(flatten)]
    common: Common,
    /// Address of the card: HOST:PORT over TCP, vpcd:HOST:PORT where this program is the PC/SC reader
    /// of a card, or at:DEVICE behind a modem
    #[arg(long, required_unless_present = "list", value_name = "ADDRESS")]
    card: Option<String>,
}

impl Device {
    /// Runs the cases. The exit status is 6 if the device failed a case.
    ///
    /// # Errors
    /// A case cannot be run, or a file cannot be written.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<ExitCode, Fault> {
        let Self { common, stdio, jobs, command } = self;
        common.run(Subject::Device, Tested::Device { command, stdio }, jobs, settings, json).await
    }
}

impl Card {
    /// Runs the cases. The exit status is 6 if the card failed a case.
    ///
    /// # Errors
    /// The card cannot be used, a case cannot be run, or a file cannot be written.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<ExitCode, Fault> {
        let tested = Tested::Card { address: self.card.unwrap_or_default() };
        self.common.run(Subject::Card, tested, 1, settings, json).await
    }
}

impl Common {
    async fn run(
        self,
        subject: Subject,
        tested: Tested,
        jobs: usize,
        settings: &Settings,
        json: bool,
    ) -> Result<ExitCode, Fault> {
        if self.list {
            return self.print_list(subject, json).map(|()| ExitCode::SUCCESS);
        }
        let listen = self.listen.unwrap_or_else(|| "127.0.0.1:0".to_owned());
        if jobs > 1 && !listen.ends_with(":0") {
            return Err(Fault::usage(
                format!("cannot run {jobs} cases at the same time"),
                format!("each case needs its own port, and --listen is {listen}"),
                "omit --jobs, or give --listen with port 0",
            ));
        }
        let options = Options {
            patterns: self.patterns,
            tested,
            retries: self.retries,
            timeout: Duration::from_secs(self.timeout),
            jobs,
            listen,
            bind_once: self.bind_once,
            json,
        };
        let report = device_check::run(settings, options).await?;
        for (file, text) in [(&self.junit, report.junit()), (&self.html, report.page())] {
            if let Some(file) = file {
                files::write(file, text)?;
            }
        }
        match json {
            true => print_json(&report)?,
            false => print(&report.text())?,
        }
        Ok(ExitStatus::expected(report.is_good()))
    }

    fn print_list(&self, subject: Subject, json: bool) -> Result<(), Fault> {
        let cases = device_check::list(subject, &self.patterns)?;
        if json {
            return print_json(&cases.iter().map(|(fault, _)| fault).collect::<Vec<_>>());
        }
        let mut table = Table::new(&["fault", "what happens"]);
        for (fault, what) in cases {
            table.row([fault.as_str(), what]);
        }
        print(&table.render())
    }
}
