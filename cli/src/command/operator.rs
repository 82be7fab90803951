//! `landfall operator`: an operator's calls on ES2+, and with `m2m` on ES2 and ES4.

use std::sync::Arc;

use clap::{Args, Subcommand};
use rsp::{
    ids::{Eid, Iccid},
    sgp22::es2plus::FinalProfileStatusIndicator,
};
use serde::Serialize;
use world::{Clock, Fault, NullEvents};

use crate::{
    listener::listener,
    operator::Operator,
    output::{remark, say, say_json},
    parties::{self, Running},
    settings::Settings,
};

/// An operator: of consumer devices over ES2+; with m2m of M2M devices, over ES2 and ES4
#[derive(Debug, Args)]
pub struct Command {
    /// Whose client certificate to show
    #[arg(long, global = true, default_value = "Landfall Test Operator")]
    name: String,
    #[command(subcommand)]
    function: Function,
}

/// What to ask of the SM-DP+
#[derive(Debug, Subcommand)]
enum Function {
    /// DownloadOrder, ConfirmOrder and ReleaseProfile at once; prints the activation code
    Order {
        #[command(flatten)]
        wanted: Wanted,
        /// For this eUICC only
        #[arg(long)]
        eid: Option<Eid>,
        /// The operator's own MatchingID
        #[arg(long)]
        matching_id: Option<String>,
        /// What the user must type
        #[arg(long)]
        confirmation_code: Option<String>,
        /// The SM-DS that shall tell the eUICC of it
        #[arg(long, value_name = "HOST[:PORT]")]
        event_at: Option<String>,
        /// Do not release it yet
        #[arg(long)]
        hold: bool,
    },
    /// ReleaseProfile
    Release {
        /// Which profile
        iccid: Iccid,
    },
    /// CancelOrder
    Cancel {
        /// Which profile
        iccid: Iccid,
        /// The EID of the order, if it has one
        #[arg(long)]
        eid: Option<Eid>,
        /// Not to be ordered again
        #[arg(long)]
        for_good: bool,
    },
    /// Hear how downloads go: ES2+.HandleDownloadProgressInfo, a line each, until it is stopped
    Listen {
        /// Where to listen
        #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8448")]
        address: String,
    },
    /// M2M devices (SGP.02)
    M2m(super::operator_m2m::Command),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct Wanted {
    /// Which profile
    #[arg(long)]
    pub(super) iccid: Option<Iccid>,
    /// Any profile of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub(super) profile_type: Option<String>,
}

#[derive(Serialize)]
struct Ordered {
    iccid: Iccid,
    matching_id: String,
    activation_code: String,
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// The SM-DP+ refuses or cannot be reached.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let function = match self.function {
            Function::M2m(command) => return command.run(&self.name, settings, json).await,
            other => other,
        };
        let (world, clock) = parties::os_world()?;
        let pki = crate::pki::load(&settings.pki)?;
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let (tls, oid) = parties::operator_tls(&pki, &self.name, Arc::clone(&clock))?;
        let client = parties::client(&settings.sm_dp_names, &settings.sm_dp);
        let link = client.link(&parties::reachable(settings), Some(tls))?;
        let operator = Operator::new(link, oid, world, Arc::new(NullEvents));
        match function {
            // Done above.
            Function::M2m(_) => {}
            Function::Order { wanted, eid, matching_id, confirmation_code, event_at, hold } => {
                let Wanted { iccid, profile_type } = wanted;
                let iccid = operator.download_order(eid, iccid, profile_type).await?;
                let code = confirmation_code.clone();
                let confirmed =
                    operator.confirm_event(iccid, eid, matching_id, code, event_at, !hold).await?;
                let code = parties::activation_code(settings, &confirmed, confirmation_code.is_some());
                if json {
                    say_json(&Ordered { iccid, matching_id: confirmed.matching_id, activation_code: code })?;
                } else {
                    say(&format!("{code}\n"))?;
                }
            }
            Function::Listen { mut address } => {
                let socket = parties::listen_at(&mut address).await?;
                let names = crate::pki::names_of(&address, &[])?;
                let tls = parties::operator_server_tls(&pki, &names, clock)?;
                let running = Running::serve(socket, Some(tls), listener(json))?;
                remark(&format!(
                    "listening; an SM-DP+ tells it with --operator {}@{address}",
                    operator.identifier()
                ));
                super::sm_dp::stop_signal().await;
                running.stop().await;
            }
            Function::Release { iccid } => operator.release_profile(iccid).await?,
            Function::Cancel { iccid, eid, for_good } => {
                let status = match for_good {
                    true => FinalProfileStatusIndicator::Unavailable,
                    false => FinalProfileStatusIndicator::Available,
                };
                operator.cancel_order(iccid, eid, None, status).await?;
            }
        }
        Ok(())
    }
}
