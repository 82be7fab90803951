//! `landfall check`: the cases of SGP.23 against a running server.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, Subcommand, ValueEnum};
use crypto::Curve;
use sgp23::{Binding, Ended, Selection};
use world::{Fault, NullEvents};

use crate::{
    check::{self, Known, Own},
    output::{Table, remark, say, say_json},
    parties,
    settings::Settings,
};

/// Hold a server against the cases of SGP.23
#[derive(Debug, Subcommand)]
pub enum Command {
    /// An SM-DP+: ES9+ in both bindings, ES2+; the one of `landfall up` or any other
    SmDp(SmDp),
}

/// What of the table, and what is known of the server.
#[derive(Debug, Args)]
pub struct SmDp {
    /// Only cases with this in identifier, clause, function or title
    #[arg(long = "case", value_name = "TEXT", default_value = "")]
    filter: String,
    /// Binding of ES9+
    #[arg(long, value_enum, default_value = "both")]
    binding: Bindings,
    /// Curve of the eUICC's certificate
    #[arg(long, value_enum, default_value = "both")]
    curve: Curves,
    /// Start an SM-DP+ of our own for it
    #[arg(long, conflicts_with_all = ["ca", "profile_type", "codes", "smds"])]
    own: bool,
    /// Root certificate of the server's TLS (DER), if it is not in the PKI
    #[arg(long, value_name = "FILE")]
    ca: Vec<PathBuf>,
    /// Without admin API: a profile type that may be ordered on ES2+ without end
    #[arg(long, value_name = "TYPE")]
    profile_type: Option<String>,
    /// Without either: a MatchingID that waits; may be repeated, used in turn
    #[arg(long = "matching-id", value_name = "ID")]
    codes: Vec<String>,
    /// SM-DS at which the server registers events
    #[arg(long, value_name = "HOST:PORT")]
    smds: Option<String>,
    /// Also write the results as JUnit's XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print the table of cases and run none
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

impl Command {
    /// Runs the cases; the exit status is 1 when one of them failed, or none ran.
    ///
    /// # Errors
    /// The PKI cannot be used, or nothing answers at the address.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<ExitCode, Fault> {
        let Self::SmDp(command) = self;
        if command.list {
            return list(&command.filter, json).map(|()| ExitCode::SUCCESS);
        }
        let (world, _) = parties::os_world()?;
        let mut known = Known {
            roots: Vec::new(),
            profile_type: command.profile_type,
            codes: command.codes,
            smds_address: command.smds,
        };
        for file in &command.ca {
            known.roots.push(super::sm_dp::read(file)?);
        }
        let own = match command.own {
            true => Some(Own::start(settings, &world, Arc::new(NullEvents)).await?),
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
            curves: match command.curve {
                Curves::Nist => vec![Curve::P256],
                Curves::Brainpool => vec![Curve::BrainpoolP256r1],
                Curves::Both => vec![Curve::P256, Curve::BrainpoolP256r1],
            },
        };
        let report = sgp23::run(&server, &sgp23::table(), &selection, |entry| {
            if !json || matches!(entry.ended, Ended::Failed(_)) {
                remark(&entry.line());
            }
        })
        .await;
        if let Some(own) = own {
            own.stop().await;
        }
        if let Some(file) = &command.junit {
            std::fs::write(file, report.junit()).map_err(|e| {
                Fault::caused_by(e, format!("cannot write {}", file.display()), "give another file")
            })?;
        }
        match json {
            true => say_json(&report)?,
            false => say(&format!("{}\n", report.summary()))?,
        }
        Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn list(filter: &str, json: bool) -> Result<(), Fault> {
    let table = sgp23::table();
    let chosen = table.iter().filter(|case| filter.is_empty() || case.matches(filter));
    if json {
        let rows: Vec<_> = chosen.map(sgp23::Row::of).collect();
        return say_json(&rows);
    }
    let mut text = Table::new(&["function", "clause", "SGP.23", "case"]);
    for case in chosen {
        text.row([case.function, case.clause, case.id.unwrap_or_default(), &case.title]);
    }
    say(&text.render())
}
