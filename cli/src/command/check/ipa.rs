//! `landfall check ipa`: the cases of SGP.32 for an IPA.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use sgp23::Selection;
use world::Fault;

use super::cases::CaseOptions;
use crate::{
    ipa_check::{IpaCheck, Options},
    output::remark,
    settings::{Setting, Settings},
};

/// Test specification of the identifiers.
const SUITE: &str = "SGP.33-2";

/// Selection of cases, and the device.
#[derive(Debug, Args)]
#[command(args = Setting::flags(&[Setting::SmDpName, Setting::Pki, Setting::Seed]))]
pub struct Ipa {
    #[command(flatten)]
    cases: CaseOptions,
    /// Identifier of the eIM; its keys depend on it
    #[arg(long, value_name = "ID", default_value = "eim.landfall.example")]
    id: String,
    /// Listening address of the eIM for the IPA
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    listen: String,
    /// Listening address of the eIM over CoAP; the port must be that of --listen if the IPA reads
    /// it from the configuration [default: no CoAP]
    #[arg(long, value_name = "HOST:PORT")]
    listen_coap: Option<String>,
    /// Listening address of the other eIM, with which cases associate the eUICC
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    listen_other: String,
    /// Listening address of the SM-DP+ for downloads
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    listen_sm_dp: String,
    /// Maximum number of further polls in one step of a case
    #[arg(long, value_name = "N", default_value_t = 3)]
    retries: u32,
    /// Time after which a run of the command, or the wait for a poll, is stopped, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
    /// Command that lets the IPA poll once; {eim_configuration} (file with the configuration of the
    /// eIM), {eim} (its address) and {root} (file of the root certificate) are replaced. Without a
    /// command, the IPA has to poll by itself
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Ipa {
    /// Runs the cases.
    ///
    /// # Errors
    /// The servers of the tester cannot be started.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<ExitCode, Fault> {
        let table = sgp33::ipa::table();
        if self.cases.list {
            return self.cases.print_list(&table, SUITE, json);
        }
        let check = IpaCheck::start(
            settings,
            &Options {
                id: self.id,
                listen: self.listen,
                listen_coap: self.listen_coap,
                listen_other: self.listen_other,
                listen_sm_dp: self.listen_sm_dp,
                command: self.command,
                timeout: Duration::from_secs(self.timeout),
                retries: self.retries,
            },
        )
        .await?;
        remark(&format!("the eIM is at {}; {}", check.address, check.configuration.display()));
        let report = self.cases.run(&check.ipa, &table, Selection::default(), json).await;
        check.stop().await;
        self.cases.conclude(&report, SUITE, json)
    }
}
