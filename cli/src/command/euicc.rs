//! `landfall euicc`: cards on their own, behind doors.

mod lpac;
mod serve;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use rsp::ids::Eid;
use world::Fault;

use crate::{settings::Settings, trace::TraceOptions};

/// The software eUICC
#[derive(Debug, Args)]
pub struct Command {
    /// Which card [default: the first of the PKI]
    #[arg(long, global = true)]
    eid: Option<Eid>,
    #[command(flatten)]
    trace: TraceOptions,
    #[command(subcommand)]
    what: What,
}

/// What is to be done with it
#[derive(Debug, Subcommand)]
enum What {
    /// Serve cards: over TCP (for `landfall device --card`), in a reader of PC/SC, or in a modem
    Serve(serve::Serve),
    /// Run lpac against the card, over lpac's stdio driver
    Lpac(lpac::Lpac),
}

impl Command {
    /// Runs the command; lpac's exit status is the command's.
    ///
    /// # Errors
    /// The card, its door or lpac fails.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<ExitCode, Fault> {
        let trace = self.trace.begin()?;
        match self.what {
            What::Serve(serve) => {
                serve.run(self.eid, &trace, settings, json).await.map(|()| ExitCode::SUCCESS)
            }
            What::Lpac(lpac) => lpac.run(self.eid, &trace, settings).await,
        }
    }
}

/// A door that does not open, as a fault.
pub fn no_card(fault: world::DoorFault) -> Fault {
    Fault::caused_by(
        fault,
        "cannot reach the card",
        "start it with `landfall euicc serve`, or correct the address",
    )
}
