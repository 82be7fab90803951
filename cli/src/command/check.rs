//! `landfall check`: checks of third-party servers and devices.

mod device;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, Subcommand, ValueEnum};
use crypto::Curve;
use sgp23::{Binding, Ended, Selection};
use world::{Fault, NullEvents};

use crate::{
    check::{self, OwnServer, ServerFacts},
    device_check,
    exit_status::ExitStatus,
    files,
    json_schema::{CommandOutput, OneOf, document},
    output::{Table, print, print_json, remark},
    parties,
    settings::{Setting, Settings},
};

/// Checks of third-party servers (SGP.23), devices and cards (faults)
#[derive(Debug, Subcommand)]
pub enum Command {
    /// SM-DP+ cases: ES9+ in both bindings, and ES2+; for the server of `landfall up` or any
    /// other SM-DP+
    SmDp(SmDp),
    /// Download a profile with an LPA or a device, once for each fault between it and an SM-DP+
    Device(device::Device),
    /// Download a profile to a card, once for each fault that the card can notice
    Card(device::Card),
}

/// Selection of cases, and facts about the server that the cases need.
#[derive(Debug, Args)]
#[command(args = Setting::flags(&[Setting::SmDp, Setting::SmDpName, Setting::Admin, Setting::Pki, Setting::Seed]))]
pub struct SmDp {
    /// Text to match in the identifier, clause, function or title of a case
    #[arg(long = "case", value_name = "TEXT", default_value = "")]
    filter: String,
    /// ES9+ binding
    #[arg(long, value_enum, default_value = "both")]
    binding: Bindings,
    /// Curve of the eUICC certificate
    #[arg(long, value_enum, default_value = "both")]
    curve: Curves,
    /// Start an SM-DP+ of this program and test that
    #[arg(long, conflicts_with_all = ["ca", "profile_type", "codes", "sm_ds"])]
    own: bool,
    /// Root certificate of the server's TLS certificate (DER), if it is not in the PKI
    #[arg(long, value_name = "FILE")]
    ca: Vec<PathBuf>,
    /// Profile type that can be ordered on ES2+ without limit, for a server without admin API
    #[arg(long, value_name = "TYPE")]
    profile_type: Option<String>,
    /// MatchingID of a released order, for a server without admin API and profile type
    /// (repeatable; used in turn)
    #[arg(long = "matching-id", value_name = "ID")]
    codes: Vec<String>,
    /// SM-DS where the server registers events
    #[arg(long, value_name = "HOST:PORT")]
    sm_ds: Option<String>,
    /// Fail cases in which the server deviates from the standard in a way that is otherwise reported
    /// as a finding (docs/findings.md)
    #[arg(long)]
    strict: bool,
    /// Output file for the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// List the cases without running them
    #[arg(long)]
    list: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Bindings {
    Json,
    Asn1,
    Both,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Curves {
    Nist,
    Brainpool,
    Both,
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] = &[
    document::<OneOf<sgp23::Report, Vec<sgp23::Row>>>("check sm-dp"),
    document::<OneOf<device_check::Report, Vec<String>>>("check device"),
    document::<OneOf<device_check::Report, Vec<String>>>("check card"),
];

impl Command {
    /// Runs the cases. The exit status is 6 if a case failed or if none ran.
    ///
    /// # Errors
    /// A case cannot be run.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<ExitCode, Fault> {
        match self {
            Self::SmDp(command) => command.run(settings, json).await,
            Self::Device(command) => command.run(settings, json).await,
            Self::Card(command) => command.run(settings, json).await,
        }
    }
}

impl SmDp {
    /// Runs the cases of SGP.23.
    ///
    /// # Errors
    /// The PKI cannot be used, or no server answers at the address.
    async fn run(self, settings: &Settings, json: bool) -> Result<ExitCode, Fault> {
        let command = self;
        if command.list {
            return list(&command.filter, json).map(|()| ExitCode::SUCCESS);
        }
        let (world, _) = parties::os_world()?;
        let mut known = ServerFacts {
            roots: Vec::new(),
            profile_type: command.profile_type,
            codes: command.codes,
            smds_address: command.sm_ds,
        };
        for file in &command.ca {
            known.roots.push(files::read(file)?);
        }
        let own = match command.own {
            true => Some(OwnServer::start(settings, &world, Arc::new(NullEvents)).await?),
            false => None,
        };
        let server = match &own {
            Some(own) => check::server(&own.settings, own.pki.clone(), world, own.known()).await?,
            None => check::server(settings, crate::pki::load(&settings.pki)?, world, known).await?,
        };
        let selection = Selection {
            filter: command.filter,
            bindings: match command.binding {
                Bindings::Json => vec![Binding::Json],
                Bindings::Asn1 => vec![Binding::Asn1],
                Bindings::Both => vec![Binding::Json, Binding::Asn1],
            },
            strict: command.strict,
            curves: match command.curve {
                Curves::Nist => vec![Curve::P256],
                Curves::Brainpool => vec![Curve::BrainpoolP256r1],
                Curves::Both => vec![Curve::P256, Curve::BrainpoolP256r1],
            },
        };
        let mut done = 0;
        let report = sgp23::run(&server, &sgp23::table(), &selection, |entry, all| {
            done += 1;
            if !json || matches!(entry.ended, Ended::Failed(_)) {
                remark(&format!("{done:>3}/{all}  {}", entry.line()));
            }
        })
        .await;
        if let Some(own) = own {
            own.stop().await;
        }
        if let Some(file) = &command.junit {
            files::write(file, report.junit("SGP.23"))?;
        }
        match json {
            true => print_json(&report)?,
            false => print(&format!("{}\n", report.summary()))?,
        }
        Ok(ExitStatus::expected(report.is_good()))
    }
}

fn list(filter: &str, json: bool) -> Result<(), Fault> {
    let table = sgp23::table();
    let chosen = table.iter().filter(|case| filter.is_empty() || case.matches(filter));
    if json {
        let rows: Vec<_> = chosen.map(sgp23::Row::of).collect();
        return print_json(&rows);
    }
    let mut text = Table::new(&["function", "clause", "SGP.23", "case"]);
    for case in chosen {
        text.row([case.function, case.clause, case.id.as_deref().unwrap_or_default(), &case.title]);
    }
    print(&text.render())
}
