//! `landfall operator`: calls of an operator on ES2+, and with `m2m` on ES2 and ES4.

mod m2m;

use std::{path::PathBuf, sync::Arc};

use clap::{Args, Subcommand};
use rsp::{
    ids::{Eid, Iccid},
    sgp22::es2plus::{
        CancelOrder, CancelOrderRequest, ConfirmOrder, ConfirmOrderRequest, FinalProfileStatusIndicator,
        HandleDownloadProgressInfoRequest, ReleaseProfile, ReleaseProfileRequest,
    },
};
use schemars::JsonSchema;
use serde::Serialize;
use testbed::m2m::operator::{Answer, ReceivedNotification};
use world::{Clock, Fault, NullEvents};

use crate::{
    advice::{Server, advised},
    json_schema::{CommandOutput, OneOf, document, lines},
    listener::listener,
    output::{print, print_json, remark},
    parties::{self, Running},
    readiness::{Ready, ReadyOptions},
    secret_file::read_secret,
    settings::{Setting, Settings},
};

/// Operator: ES2+ for consumer devices; with `m2m` ES2 and ES4 for M2M devices
#[derive(Debug, Args)]
pub struct Command {
    /// Operator whose client certificate is used
    #[arg(long, global = true, default_value = "Landfall Test Operator")]
    name: String,
    #[command(subcommand)]
    function: Function,
}

/// Function of the SM-DP+
#[derive(Debug, Subcommand)]
enum Function {
    /// Order and release a profile (DownloadOrder, ConfirmOrder, ReleaseProfile); prints the
    /// activation code
    #[command(args = Setting::flags(&[Setting::Pki, Setting::SmDp, Setting::SmDpName]))]
    Order {
        #[command(flatten)]
        selector: ProfileSelector,
        /// EID of the eUICC to which the order is bound
        #[arg(long)]
        eid: Option<Eid>,
        /// MatchingID chosen by the operator
        #[arg(long)]
        matching_id: Option<String>,
        /// File with the confirmation code that the end user must enter, or `-` for standard input
        #[arg(long, value_name = "FILE")]
        confirmation_code_file: Option<PathBuf>,
        /// SM-DS where the SM-DP+ registers an event for the eUICC
        #[arg(long, value_name = "HOST[:PORT]")]
        sm_ds: Option<String>,
        /// Do not release the profile yet
        #[arg(long)]
        hold: bool,
    },
    /// Release an ordered profile (ReleaseProfile)
    #[command(args = Setting::flags(&[Setting::Pki, Setting::SmDp, Setting::SmDpName]))]
    Release {
        /// ICCID of the profile
        iccid: Iccid,
    },
    /// Cancel an order (CancelOrder)
    #[command(args = Setting::flags(&[Setting::Pki, Setting::SmDp, Setting::SmDpName]))]
    Cancel {
        /// ICCID of the profile
        iccid: Iccid,
        /// EID of the order, if it has one
        #[arg(long)]
        eid: Option<Eid>,
        /// Make the profile unavailable for further orders
        #[arg(long)]
        for_good: bool,
    },
    /// Print download progress (ES2+.HandleDownloadProgressInfo), one line each, until stopped
    #[command(args = Setting::flags(&[Setting::Pki]))]
    Listen {
        /// Listening address
        #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8448")]
        listen: String,
        #[command(flatten)]
        ready: ReadyOptions,
    },
    /// M2M devices (SGP.02)
    M2m(m2m::Command),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct ProfileSelector {
    /// ICCID of the profile
    pub(super) iccid: Option<Iccid>,
    /// Profile type, for any profile of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub(super) profile_type: Option<String>,
}

/// An ordered profile and its activation code.
#[derive(JsonSchema, Serialize)]
struct Ordered {
    iccid: Iccid,
    matching_id: String,
    activation_code: String,
}

/// A profile and the new state of its order.
#[derive(JsonSchema, Serialize)]
struct ChangedOrder {
    iccid: Iccid,
    state: NewState,
}

/// The new state of an order.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
enum NewState {
    Released,
    Cancelled,
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] = &[
    document::<Ordered>("operator order"),
    document::<ChangedOrder>("operator release"),
    document::<ChangedOrder>("operator cancel"),
    lines::<OneOf<Ready, HandleDownloadProgressInfoRequest>>("operator listen"),
    document::<Answer>("operator m2m download"),
    document::<Answer>("operator m2m enable"),
    document::<Answer>("operator m2m disable"),
    document::<Answer>("operator m2m delete"),
    document::<Answer>("operator m2m set-fallback"),
    document::<Answer>("operator m2m set-emergency"),
    document::<Answer>("operator m2m update-policy"),
    document::<Answer>("operator m2m update-address"),
    document::<Answer>("operator m2m get-eis"),
    document::<Answer>("operator m2m audit"),
    document::<Answer>("operator m2m smsr-change"),
    lines::<OneOf<Ready, ReceivedNotification>>("operator m2m listen"),
];

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// The SM-DP+ refuses the request or is unreachable.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let Self { name, function } = self;
        match function {
            Function::M2m(command) => command.run(&name, settings, json).await,
            other => {
                let called = other.run(&name, settings, json).await;
                called.map_err(|fault| advised(fault, Server::SmDp))
            }
        }
    }
}

impl Function {
    async fn run(self, name: &str, settings: &Settings, json: bool) -> Result<(), Fault> {
        let (world, clock) = parties::os_world()?;
        let pki = crate::pki::load(&settings.pki)?;
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let operator = parties::operator(settings, &pki, name, &world, Arc::new(NullEvents))?;
        match self {
            // Handled by the caller, because it has other peers.
            Self::M2m(_) => {}
            Self::Order { selector, eid, matching_id, confirmation_code_file, sm_ds, hold } => {
                let confirmation_code = confirmation_code_file.as_deref().map(read_secret).transpose()?;
                let ProfileSelector { iccid, profile_type } = selector;
                let iccid = operator.download_order(eid, iccid, profile_type).await?;
                let code = confirmation_code.as_ref().map(|code| code.expose().clone());
                let request = ConfirmOrderRequest {
                    eid,
                    matching_id,
                    confirmation_code: code,
                    smds_address: sm_ds,
                    release_flag: !hold,
                    ..operator.confirmation(iccid)
                };
                let confirmed = operator.call::<ConfirmOrder>(&request).await?;
                let code = parties::activation_code(settings, &confirmed, confirmation_code.is_some());
                if json {
                    print_json(&Ordered {
                        iccid,
                        matching_id: confirmed.matching_id,
                        activation_code: code,
                    })?;
                } else {
                    print(&format!("{code}\n"))?;
                }
            }
            Self::Listen { listen: mut address, ready } => {
                let startup = ready.begin()?;
                let socket = parties::listen_at(&mut address, "--listen").await?;
                let names = crate::pki::names_of(&address, &[])?;
                let tls = parties::operator_server_tls(&pki, &names, clock)?;
                let running = Running::serve(socket, Some(tls), listener(json))?;
                remark(&format!(
                    "listening; start the SM-DP+ with --operator {}@{address}",
                    operator.identifier()
                ));
                let ready = Ready::of("operator listen", settings).at("operator", running.address);
                startup.announce(&ready, json)?.requested().await;
                running.stop().await;
            }
            Self::Release { iccid } => {
                let request = ReleaseProfileRequest { header: operator.header(), iccid };
                operator.call::<ReleaseProfile>(&request).await?;
                if json {
                    print_json(&ChangedOrder { iccid, state: NewState::Released })?;
                }
            }
            Self::Cancel { iccid, eid, for_good } => {
                let mut request =
                    CancelOrderRequest { eid, ..CancelOrderRequest::new(operator.header(), iccid) };
                if for_good {
                    request.final_profile_status_indicator = FinalProfileStatusIndicator::Unavailable;
                }
                operator.call::<CancelOrder>(&request).await?;
                if json {
                    print_json(&ChangedOrder { iccid, state: NewState::Cancelled })?;
                }
            }
        }
        Ok(())
    }
}
