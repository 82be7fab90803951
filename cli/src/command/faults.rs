//! `landfall faults`: the catalogue of injectable faults, and a fault-injecting proxy.

mod serve;

use clap::{Args, Subcommand};
use faults::{Entry, Family, catalogue, page};
use world::Fault;

use crate::{
    json_schema::{CommandOutput, document, lines},
    output::{Table, print, print_json},
    readiness::Ready,
    settings::Settings,
};

/// Catalogue of faults: effect, tested party and requirement
///
/// docs/faults.md describes how to write a fault with its location, such as
/// link/lose-answer@ES9+.GetBoundProfilePackage#2.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Command {
    /// Fault family: link, tls, records, radio, power, apdu or tamper
    #[arg(long)]
    family: Option<Family>,
    #[command(subcommand)]
    what: Option<What>,
}

/// Action other than listing
#[derive(Debug, Subcommand)]
enum What {
    /// Run a proxy in front of a third-party server that injects faults
    Serve(serve::Serve),
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] =
    &[document::<Vec<Entry>>("faults"), lines::<Ready>("faults serve")];

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// The output cannot be written, or a socket fails.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        if let Some(What::Serve(serve)) = self.what {
            return serve.run(settings, json).await;
        }
        let of_family = |entry: &&Entry| self.family.is_none_or(|family| entry.id.family() == family);
        let shown: Vec<&Entry> = catalogue::all().filter(of_family).collect();
        if json {
            return print_json(&shown);
        }
        let mut table = Table::new(&["fault", "what happens", "tests", "clause", "value"]);
        for Entry { name, what, peer, clause, value, .. } in shown {
            let value = value.as_ref().map(page::in_words).unwrap_or_default();
            table.row([
                (*name).to_owned(),
                (*what).to_owned(),
                (*peer).to_owned(),
                (*clause).to_owned(),
                value,
            ]);
        }
        print(&table.render())
    }
}
