//! `landfall check eim`: the cases of SGP.32 for an eIM.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use sgp33::eim::EimUnderTest;
use world::Fault;

use super::cases::{CaseOptions, Variants};
use crate::{
    eim_check::{self, EimFacts, OwnEim},
    eim_configuration, parties,
    settings::{Setting, Settings},
};

/// Test specification of the identifiers.
const SUITE: &str = "SGP.33-3";

/// Default address of the API.
const API: &str = "127.0.0.1:8492";

/// Selection of cases, and facts about the eIM that the cases need.
#[derive(Debug, Args)]
#[command(args = Setting::flags(&[Setting::Pki, Setting::Seed]))]
pub struct Eim {
    #[command(flatten)]
    cases: CaseOptions,
    #[command(flatten)]
    variants: Variants,
    /// Start an eIM, an SM-DP+ and an SM-DS of this program and test that eIM
    #[arg(long, conflicts_with_all = ["eim_configuration", "eim", "api", "operator", "codes", "sm_ds"])]
    own: bool,
    /// Configuration of the eIM for eUICCs, as `landfall eim configuration` prints it [default:
    /// that of the API]
    #[arg(long, value_name = "FILE")]
    eim_configuration: Option<PathBuf>,
    /// Address of the eIM, if it cannot be reached at the one in its configuration
    #[arg(long, value_name = "HOST:PORT")]
    eim: Option<String>,
    /// Address of the API of the eIM, or `none` [default: 127.0.0.1:8492, unless --operator is
    /// given]
    #[arg(long, value_name = "HOST:PORT")]
    api: Option<String>,
    /// Shell command that registers a device or orders a package: ACTION, EID and OPERATIONS are
    /// environment variables
    #[arg(long, value_name = "COMMAND")]
    operator: Option<String>,
    /// Activation code of a released order at an SM-DP+ that the eIM can reach (repeatable; used in
    /// turn)
    #[arg(long = "activation-code", value_name = "CODE")]
    codes: Vec<String>,
    /// SM-DS that the eIM can reach, and that trusts the SM-DP+ of the PKI
    #[arg(long, value_name = "HOST:PORT")]
    sm_ds: Option<String>,
}

impl Eim {
    /// Runs the cases.
    ///
    /// # Errors
    /// The PKI or the configuration cannot be used, or no eIM answers at the address.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<ExitCode, Fault> {
        let table = sgp33::eim::table();
        if self.cases.list {
            return self.cases.print_list(&table, SUITE, json);
        }
        let (world, _) = parties::os_world()?;
        let own = match self.own {
            true => Some(OwnEim::start(settings, &world).await?),
            false => None,
        };
        let eim = match &own {
            Some(own) => EimUnderTest {
                transfer: Some(own.transfer()),
                ..eim_check::eim(own.pki(), world, own.known()).await?
            },
            None => eim_check::eim(crate::pki::load(&settings.pki)?, world, self.facts()?).await?,
        };
        let report = self.cases.run(&eim, &table, self.variants.selection(), json).await;
        if let Some(own) = own {
            own.stop().await;
        }
        self.cases.conclude(&report, SUITE, json)
    }

    fn facts(&self) -> Result<EimFacts, Fault> {
        let configuration = match &self.eim_configuration {
            Some(file) => eim_configuration::read(file)?.into_iter().next(),
            None => None,
        };
        let api = match (self.api.as_deref(), &self.operator) {
            (Some("none"), _) | (None, Some(_)) => None,
            (Some(address), _) => Some(address.to_owned()),
            (None, None) => Some(API.to_owned()),
        };
        Ok(EimFacts {
            configuration,
            address: self.eim.clone(),
            api,
            operator: self.operator.clone(),
            codes: self.codes.clone(),
            sm_ds: self.sm_ds.clone(),
        })
    }
}
