//! `landfall load`: load tests with many concurrent devices.

use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use certs::Role;
use clap::{Args, Subcommand};
use rsp::activation_code::ActivationCode;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;
use world::{Clock, Fault};

use crate::{
    admin::Admin,
    exit_status::ExitStatus,
    json_schema::{CommandOutput, document},
    load::{self, Ending, Figures, Fleet, FleetOptions, OrderClient, RetryPolicy, Row, Verdict},
    output::{print, print_json},
    parties,
    settings::{Setting, Settings},
};

/// Number of file descriptors that this process needs besides those of its connections.
const OTHER_FILES: usize = 64;
/// Maximum number of failures that are printed, and of orders in a wrong state.
const SHOWN: usize = 10;

/// Load tests with many concurrent devices
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Concurrent profile downloads over TLS, from InitiateAuthentication to
    /// HandleNotification; prints the latency of each function
    #[command(after_help = AFTER_HELP)]
    Es9plus(Es9plus),
}

const AFTER_HELP: &str = "Every device has its own card. Orders are placed over ES2+ from a stock that is filled over \
the admin API, or activation codes are given.";

/// Devices, orders and concurrency.
#[derive(Debug, Args)]
#[command(args = Setting::flags(&[Setting::SmDp, Setting::SmDpName, Setting::Admin, Setting::Pki]))]
pub struct Es9plus {
    /// Number of devices
    #[arg(long, default_value = "1000", value_name = "NUMBER")]
    devices: NonZeroUsize,
    /// Maximum concurrent devices [default: all]
    #[arg(long, value_name = "NUMBER")]
    concurrency: Option<usize>,
    /// Activation code for all devices, whose order can be downloaded any number of times
    #[arg(long, value_name = "CODE", conflicts_with = "codes")]
    activation_code: Option<ActivationCode>,
    /// File of activation codes, one line for each device
    #[arg(long, value_name = "FILE")]
    codes: Option<PathBuf>,
    /// Operator whose client certificate is used on ES2+
    #[arg(long, default_value = "Landfall Test Operator", value_name = "NAME")]
    operator: String,
    /// Maximum time to wait for a server that became unreachable
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    patience: u64,
    /// Let the cards refuse deviations of an SM-DP+ that they otherwise accept with a finding
    /// (docs/findings.md)
    #[arg(long)]
    strict: bool,
}

/// Result of the run.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    server: String,
    devices: usize,
    concurrency: usize,
    installed: usize,
    seconds: f64,
    /// Requests that were repeated because the server was unreachable.
    repeated: usize,
    functions: Vec<Row>,
    /// Present only if this run placed the orders and could check them.
    orders: Option<Verdict>,
    failed: Vec<Ending>,
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] = &[document::<Summary>("load es9plus")];

impl Command {
    /// Runs the load test. The exit status is 0 if every device has its profile and every order
    /// is in its expected state.
    ///
    /// # Errors
    /// The test cannot start, or the orders cannot be queried.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<ExitCode, Fault> {
        let Self::Es9plus(options) = self;
        let (summary, checked) = options.run(settings, json).await?;
        if json {
            print_json(&summary)?;
        } else {
            print(&summary.render())?;
        }
        checked?;
        Ok(ExitStatus::expected(summary.is_well()))
    }
}

impl Es9plus {
    /// Returns the measurements, and the result of checking the orders. The measurements are
    /// printed even if the check fails.
    async fn run(&self, settings: &Settings, json: bool) -> Result<(Summary, Result<(), Fault>), Fault> {
        let at_once = self.concurrency.unwrap_or(self.devices.get()).clamp(1, self.devices.get());
        must_be_able_to_open(at_once)?;
        let given_codes = self.given_codes()?;
        let (world, clock) = parties::os_world()?;
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let pki = crate::pki::load(&settings.pki)?;
        let client = parties::client(&settings.sm_dp_names, &settings.sm_dp);
        let (figures, retry_policy) =
            (Figures::default(), RetryPolicy::of(Duration::from_secs(self.patience)));
        let fleet = Fleet::new(
            &FleetOptions {
                pki: &pki,
                tls: parties::device_tls(&pki, &[Role::DpTls], Arc::clone(&clock))?,
                client: client.clone(),
                world: world.clone(),
                retry_policy: retry_policy.clone(),
                figures: figures.clone(),
                strict: self.strict,
                json,
            },
            self.devices.get(),
        )?;
        let mut order_client = None;
        let codes = match given_codes {
            Some(codes) => codes,
            None => {
                let (tls, requester) = parties::operator_tls(&pki, &self.operator, clock)?;
                let own = OrderClient {
                    admin: Admin::at(admin_of(settings)?)?,
                    es2plus: client.link(&parties::reachable(settings), Some(tls))?,
                    requester,
                    world,
                    retry_policy: retry_policy.clone(),
                    figures: figures.clone(),
                    json,
                };
                let orders = own
                    .order(self.devices.get(), |matching_id, address| code(settings, matching_id, address));
                let orders = orders.await?;
                let codes = orders.iter().map(|order| order.code.clone()).collect();
                order_client = Some((own, orders));
                codes
            }
        };
        let server = codes.first().map(|code| code.smdp_address.to_string()).unwrap_or_default();
        let began = Instant::now();
        let endings = fleet.download(&codes, at_once).await;
        let seconds = began.elapsed().as_secs_f64();
        let (orders, checked) = match &order_client {
            Some((client, orders)) => match client.check(orders, &endings).await {
                Ok(verdict) => (Some(verdict), Ok(())),
                Err(fault) => (None, Err(fault)),
            },
            None => (None, Ok(())),
        };
        let failed: Vec<Ending> = endings.into_iter().filter(|ending| !ending.has_its_profile()).collect();
        let summary = Summary {
            server,
            devices: self.devices.get(),
            concurrency: at_once,
            installed: self.devices.get().saturating_sub(failed.len()),
            seconds,
            repeated: retry_policy.repeated(),
            functions: figures.rows(),
            orders,
            failed,
        };
        Ok((summary, checked))
    }

    /// Returns the activation codes of the command line, one for each device.
    fn given_codes(&self) -> Result<Option<Vec<ActivationCode>>, Fault> {
        if let Some(code) = &self.activation_code {
            return Ok(Some(vec![code.clone(); self.devices.get()]));
        }
        let Some(file) = &self.codes else { return Ok(None) };
        let text = String::from_utf8_lossy(&crate::files::read(file)?).into_owned();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let codes = lines.map(str::parse).collect::<Result<Vec<ActivationCode>, _>>().map_err(|e| {
            Fault::usage_caused_by(
                e,
                format!("cannot use {}", file.display()),
                "give an activation code in each line",
            )
        })?;
        match codes.get(..self.devices.get()) {
            Some(codes) => Ok(Some(codes.to_vec())),
            None => Err(Fault::usage(
                format!("{} is too short", file.display()),
                format!("it has {} codes for {} devices", codes.len(), self.devices),
                format!("add codes, or give --devices {}", codes.len()),
            )),
        }
    }
}

fn admin_of(settings: &Settings) -> Result<&str, Fault> {
    settings.admin.as_deref().ok_or_else(|| {
        Fault::usage(
            "cannot order profiles",
            "profiles are put into stock over the admin API, which is disabled",
            "give its address with --admin, or give --activation-code or --codes",
        )
    })
}

fn code(settings: &Settings, matching_id: &str, address: Option<&str>) -> Result<ActivationCode, Fault> {
    let own = parties::reachable(settings);
    format!("1${}${matching_id}", address.unwrap_or(&own)).parse().map_err(|e| {
        Fault::usage_caused_by(
            e,
            "the SM-DP+ gave no usable activation code",
            "check its address with --sm-dp",
        )
    })
}

/// Checks the open-file limit of the process: every connection needs a file descriptor.
fn must_be_able_to_open(at_once: usize) -> Result<(), Fault> {
    let may = net::raise_open_files();
    if at_once.saturating_add(OTHER_FILES) <= may {
        return Ok(());
    }
    let needed = at_once.saturating_add(OTHER_FILES);
    Err(Fault::usage(
        format!("cannot have {at_once} devices connected at once"),
        format!("this process can open {may} files, and {needed} are needed"),
        format!(
            "raise the hard limit (`ulimit -Hn {needed}` as root), or give --concurrency {}",
            may.saturating_sub(OTHER_FILES).max(1)
        ),
    ))
}

impl Ending {
    fn has_its_profile(&self) -> bool {
        self.failure.is_none() && self.on_card.len() == 1
    }
}

impl Summary {
    fn is_well(&self) -> bool {
        self.failed.is_empty() && self.orders.as_ref().is_none_or(|orders| orders.wrong.is_empty())
    }

    fn render(&self) -> String {
        let Self { server, devices, concurrency, installed, seconds, repeated, .. } = self;
        let mut text = format!("\n{}\n", load::table(&self.functions));
        text += &format!(
            "{installed} of {devices} devices have their profile from {server}, {concurrency} at a time, in {seconds:.2} s"
        );
        text += &match repeated {
            0 => "\n".to_owned(),
            repeated => format!("; {repeated} requests were repeated while the server was down\n"),
        };
        if let Some(orders) = &self.orders {
            text += &format!("{} of {devices} orders are in the expected state\n", orders.right);
            text += &some(&orders.wrong);
        }
        let failures = self.failed.iter().map(|ending| {
            let why = ending.failure.clone();
            let why = why.unwrap_or_else(|| format!("the card has {} profiles", ending.on_card.len()));
            format!("device {}: {why}", ending.eid)
        });
        text + &some(&failures.collect::<Vec<_>>())
    }
}

/// Returns the first lines, and the number of omitted ones.
fn some(lines: &[String]) -> String {
    let mut text: String = lines.iter().take(SHOWN).map(|line| format!("  {line}\n")).collect();
    if lines.len() > SHOWN {
        text += &format!("  and {} more\n", lines.len() - SHOWN);
    }
    text
}
