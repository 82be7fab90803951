//! `landfall euicc`: software eUICCs for other programs.

mod lpac;
mod serve;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use rsp::ids::Eid;
use serde_json::{Map, Value};
use world::{Fault, FaultKind};

use crate::{
    json_schema::{CommandOutput, lines},
    readiness::Ready,
    settings::{Setting, Settings},
    trace::TraceOptions,
};

/// Software eUICC
#[derive(Debug, Args)]
#[command(args = Setting::global_flags(&[Setting::Pki, Setting::Seed, Setting::SmDs, Setting::SmDsName]))]
pub struct Command {
    /// EID of the card [default: the first EID of the PKI]
    #[arg(long, global = true)]
    eid: Option<Eid>,
    /// Refuse deviations that are otherwise accepted with a finding; see docs/findings.md
    #[arg(long, global = true)]
    strict: bool,
    #[command(flatten)]
    trace: TraceOptions,
    #[command(subcommand)]
    what: What,
}

/// Action
#[derive(Debug, Subcommand)]
enum What {
    /// Serve cards over TCP (for `landfall device --card`), in a PC/SC reader, or in a modem
    Serve(serve::Serve),
    /// Run lpac with the card, over lpac's stdio driver
    Lpac(lpac::Lpac),
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] = &[
    lines::<Ready>("euicc serve"),
    // Messages of lpac.
    lines::<Map<String, Value>>("euicc lpac"),
];

impl Command {
    /// Runs the command. The exit status of lpac becomes that of the command.
    ///
    /// # Errors
    /// The card, its interface or lpac fails.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<ExitCode, Fault> {
        let trace = self.trace.begin()?;
        match self.what {
            What::Serve(serve) => {
                serve.run((self.eid, self.strict), &trace, settings, json).await.map(|()| ExitCode::SUCCESS)
            }
            What::Lpac(lpac) => lpac.run((self.eid, self.strict), &trace, settings, json).await,
        }
    }
}

/// Converts a failed connection to a card into a fault.
pub fn no_card(fault: world::CardInterfaceFault) -> Fault {
    Fault::caused_by(
        fault,
        "cannot reach the card",
        "start it with `landfall euicc serve` or `landfall up`, or correct --card",
    )
    .of_kind(FaultKind::Unreachable)
}
