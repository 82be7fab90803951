//! `landfall check`: checks of third-party servers and devices.

mod cases;
mod device;
mod eim;
mod ipa;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, Subcommand};
use world::{Fault, NullEvents};

use self::cases::{CaseOptions, Variants};

use crate::{
    check::{self, OwnServer, ServerFacts},
    device_check, files,
    json_schema::{CommandOutput, OneOf, document},
    parties,
    settings::{Setting, Settings},
};

/// Checks of third-party servers (SGP.23, SGP.33), devices and cards (faults)
#[derive(Debug, Subcommand)]
pub enum Command {
    /// SM-DP+ cases: ES9+ in both bindings, and ES2+; for the server of `landfall up` or any
    /// other SM-DP+
    SmDp(SmDp),
    /// eIM cases (SGP.32): ESipa in both bindings, packages and their results, downloads; for the
    /// eIM of `landfall eim serve` or any other eIM
    Eim(eim::Eim),
    /// IPA cases (SGP.32): packages, results, losses, downloads and rollback; for any IPA whose
    /// eUICC is associated with the eIM of this command
    Ipa(ipa::Ipa),
    /// Download a profile with an LPA or a device, once for each fault between it and an SM-DP+
    Device(device::Device),
    /// Download a profile to a card, once for each fault that the card can notice
    Card(device::Card),
}

/// Test specification of the identifiers.
const SUITE: &str = "SGP.23";

/// Selection of cases, and facts about the server that the cases need.
#[derive(Debug, Args)]
#[command(args = Setting::flags(&[Setting::SmDp, Setting::SmDpName, Setting::Admin, Setting::Pki, Setting::Seed]))]
pub struct SmDp {
    #[command(flatten)]
    cases: CaseOptions,
    #[command(flatten)]
    variants: Variants,
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
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] = &[
    document::<OneOf<sgp23::Report, Vec<sgp23::Row>>>("check sm-dp"),
    document::<OneOf<sgp23::Report, Vec<sgp23::Row>>>("check eim"),
    document::<OneOf<sgp23::Report, Vec<sgp23::Row>>>("check ipa"),
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
            Self::Eim(command) => command.run(settings, json).await,
            Self::Ipa(command) => command.run(settings, json).await,
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
        let Self { cases, variants, own, ca, profile_type, codes, sm_ds } = self;
        let table = sgp23::table();
        if cases.list {
            return cases.print_list(&table, SUITE, json);
        }
        let (world, _) = parties::os_world()?;
        let mut known = ServerFacts { roots: Vec::new(), profile_type, codes, smds_address: sm_ds };
        for file in &ca {
            known.roots.push(files::read(file)?);
        }
        let own = match own {
            true => Some(OwnServer::start(settings, &world, Arc::new(NullEvents)).await?),
            false => None,
        };
        let server = match &own {
            Some(own) => check::server(&own.settings, own.pki.clone(), world, own.known()).await?,
            None => check::server(settings, crate::pki::load(&settings.pki)?, world, known).await?,
        };
        let report = cases.run(&server, &table, variants.selection(), json).await;
        if let Some(own) = own {
            own.stop().await;
        }
        cases.conclude(&report, SUITE, json)
    }
}
