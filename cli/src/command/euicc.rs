//! `landfall euicc`: the card on its own, behind a door.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use net::door::Insertion;
use rsp::ids::Eid;
use tokio::process;
use world::{BoxCardDoor, Fault};

use crate::{
    output::{remark, say},
    parties,
    settings::Settings,
};

/// Where Debian's vpcd listens for the card of its first slot.
const VPCD: &str = "127.0.0.1:35963";

/// The software eUICC
#[derive(Debug, Args)]
pub struct Command {
    /// Which card [default: the first of the PKI]
    #[arg(long, global = true)]
    eid: Option<Eid>,
    #[command(subcommand)]
    door: Door,
}

/// How the card is reached
#[derive(Debug, Subcommand)]
enum Door {
    /// Over TCP, for `landfall device --card` on this host or another; or in a reader of PC/SC
    Serve {
        /// Put the card into the virtual reader vpcd, where every PC/SC program finds it
        #[arg(long, value_name = "HOST:PORT", num_args = 0..=1, default_missing_value = VPCD)]
        vpcd: Option<String>,
    },
    /// By lpac, which is started with these arguments and talks to the card over its stdio driver
    Lpac {
        /// The program
        #[arg(long, default_value = "lpac", value_name = "FILE")]
        lpac: PathBuf,
        /// A card that is served over TCP, in place of one in this process
        #[arg(long, value_name = "HOST:PORT")]
        card: Option<String>,
        /// What lpac is to do, such as `profile list`
        #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

impl Command {
    /// Runs the command; lpac's exit status is the command's.
    ///
    /// # Errors
    /// The card, the socket or lpac fails.
    pub async fn run(self, settings: &Settings) -> Result<std::process::ExitCode, Fault> {
        let open = || {
            let (world, _) = parties::os_world()?;
            let pki = crate::pki::load_or_init(settings)?;
            let eid = self.eid.map_or_else(|| parties::default_eid(&pki), Ok)?;
            parties::card_of(settings, &pki, eid, &world, vec![])
        };
        match &self.door {
            Door::Serve { vpcd: Some(address) } => {
                let card = open()?;
                remark(&format!("card {}; Ctrl-C takes it away", card.eid()));
                tokio::select! {
                    () = net::door::insert_into_vpcd(address, card, |insertion| {
                        remark(&told(address, &insertion));
                    }) => {}
                    () = super::sm_dp::stop_signal() => {}
                }
                Ok(std::process::ExitCode::SUCCESS)
            }
            Door::Serve { vpcd: None } => {
                let card = open()?;
                let listener = net::listen(&settings.euicc).await?;
                remark(&format!("card {} at {}; Ctrl-C stops it", card.eid(), settings.euicc));
                tokio::select! {
                    () = net::door::serve_card(listener, card) => {}
                    () = super::sm_dp::stop_signal() => {}
                }
                Ok(std::process::ExitCode::SUCCESS)
            }
            Door::Lpac { lpac, card, arguments } => {
                let door = match card {
                    Some(address) => {
                        BoxCardDoor::new(net::door::TcpCard::connect(address).await.map_err(no_card)?)
                    }
                    None => BoxCardDoor::new(open()?),
                };
                let mut command = process::Command::new(lpac);
                command.args(arguments);
                let mut said = Ok(());
                let status = net::door::run_lpac(command, door, |line| {
                    if said.is_ok() {
                        said = say(&format!("{line}\n"));
                    }
                })
                .await?;
                said?;
                Ok(status
                    .code()
                    .and_then(|code| u8::try_from(code).ok())
                    .map_or(std::process::ExitCode::FAILURE, Into::into))
            }
        }
    }
}

/// What is said of a card in a reader of PC/SC.
fn told(address: &str, insertion: &Insertion) -> String {
    match insertion {
        Insertion::Inserted => format!("the card is in the reader at {address}"),
        Insertion::Withdrawn => {
            format!("the reader at {address} has gone; the card waits for it to come back")
        }
        Insertion::NoReader(fault) => format!("{fault:#}\nthe card waits for the reader"),
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
