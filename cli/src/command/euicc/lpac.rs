//! `landfall euicc lpac`: runs lpac, a third-party LPA, with the software eUICC.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::Args;
use rsp::ids::Eid;
use tokio::process;
use world::{Events, Fault};

use crate::{
    exit_status::ExitStatus,
    faults::{CardMemory, FaultOptions, FaultPoints},
    output::{Lines, print_document},
    parties,
    settings::Settings,
    trace::Trace,
};

/// The lpac program, its arguments, and the card.
#[derive(Debug, Args)]
pub(super) struct Lpac {
    /// lpac program
    #[arg(long, default_value = "lpac", value_name = "FILE")]
    lpac: PathBuf,
    /// Address of a card over TCP [default: a card in this process]
    #[arg(long, value_name = "HOST:PORT")]
    card: Option<String>,
    #[command(flatten)]
    faults: FaultOptions,
    /// Arguments of lpac, such as `profile list`
    #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Lpac {
    /// Runs lpac and returns its exit status.
    ///
    /// # Errors
    /// The card or lpac fails.
    pub(super) async fn run(
        self,
        (eid, strict): (Option<Eid>, bool),
        trace: &Trace,
        settings: &Settings,
        json: bool,
    ) -> Result<ExitCode, Fault> {
        let (world, _) = parties::os_world()?;
        let fault_points =
            if self.card.is_some() { FaultPoints::LPAC.without_card() } else { FaultPoints::LPAC };
        let active_faults = self.faults.put(&fault_points, settings)?;
        let card_interface = match &self.card {
            Some(address) => {
                let card = net::card_interface::TcpCard::connect(address).await.map_err(super::no_card)?;
                trace.over(card, address, &world.clock)
            }
            None => {
                let pki = crate::pki::load_or_init(settings)?;
                let eid = eid.map_or_else(|| parties::default_eid(&pki), Ok)?;
                let file = parties::card_path(&settings.data_dir, eid);
                let (own, random) = (settings.clone(), world.clone());
                let events: Arc<dyn Events> = Arc::new(Lines::new(world.now(), json));
                let make = move |memory| {
                    let card = parties::card_on(&own, &pki, eid, memory, &random, strict)?;
                    Ok(card.with_events(Arc::clone(&events)))
                };
                trace.over(active_faults.card(CardMemory::File(file), make)?, eid.to_string(), &world.clock)
            }
        };
        let mut command = process::Command::new(&self.lpac);
        command.args(&self.arguments);
        let mut written = Ok(());
        let answers = std::io::BufReader::new(std::io::stdin());
        let status = net::card_interface::run_lpac(command, card_interface, answers, |line| {
            if written.is_ok() {
                written = print_document(&format!("{line}\n"));
            }
        })
        .await?;
        written?;
        Ok(status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .map_or(ExitStatus::Internal.into(), Into::into))
    }
}
