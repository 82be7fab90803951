//! `landfall device`: procedures of the device around a card, one subcommand each.

use std::{path::PathBuf, sync::Arc};

use certs::{Pki, Role};
use clap::{Args, Subcommand};
use device::{
    Device, DownloadOptions, Ending, EventSource, Installed, Lpa, LpaSettings, Modem, Recovery, Registered,
    Slot,
    lpa::{Delivery, Discovered},
};
use euicc_sim::MemoryKind;
use net::{Client, ClientTls};
use network::RemoteNetworks;
use rsp::{
    activation_code::ActivationCode,
    ids::{Eid, Iccid, Plmn, SmdpAddress},
    sgp22::{EuiccInfo2, ProfileState, es10c::ProfileInfo, es11::EventEntries},
};
use schemars::JsonSchema;
use serde::Serialize;
use world::{BoxCardInterface, Clock, Fault, FaultKind, World};

use crate::{
    faults::{ActiveFaults, FaultOptions, FaultPoints},
    json_schema::{CommandOutput, OneOf, document, lines},
    json_view::readable,
    output::{Lines, Table, print, print_json, remark},
    parties,
    readiness::Ready,
    secret_file::read_secret,
    settings::{Setting, Settings},
    trace::TraceOptions,
};

mod check_in;
mod failure;
mod iot;
mod online;

use failure::{FailedMove, Failure as _, failed};

/// Device: LPA and modem
#[derive(Debug, Args)]
#[command(args = Setting::global_flags(&[Setting::Network, Setting::SmDp, Setting::SmDpName, Setting::SmDs]))]
#[command(args = Setting::global_flags(&[Setting::SmDsName, Setting::Pki, Setting::Seed]))]
pub struct Command {
    /// Address of a card over TCP [default: a card in this process]
    #[arg(long, global = true, value_name = "HOST:PORT")]
    card: Option<String>,
    /// EID of the card in this process [default: first EID of the PKI]
    #[arg(long, global = true)]
    eid: Option<Eid>,
    /// Serial number of the card in this process, instead of --eid
    #[arg(long, global = true, value_name = "N")]
    serial: Option<u64>,
    /// Refuse deviations that are otherwise accepted with a finding; see docs/findings.md
    #[arg(long, global = true)]
    strict: bool,
    /// Visible network, strongest first (repeatable)
    #[arg(long = "visible", global = true, value_name = "PLMN")]
    visible: Vec<Plmn>,
    #[command(flatten)]
    trace: TraceOptions,
    #[command(flatten)]
    faults: FaultOptions,
    #[command(subcommand)]
    procedure: Procedure,
}

/// Procedure of the device
#[derive(Debug, Subcommand)]
enum Procedure {
    /// EID and capabilities of the card
    Info,
    /// Profiles on the card
    List,
    /// Download a profile
    Download {
        /// Activation code, such as LPA:1$smdp.example.com$MATCHING-ID [default: download
        /// from the default SM-DP+ of the card]
        activation_code: Option<ActivationCode>,
        #[command(flatten)]
        user: User,
    },
    /// Query the SM-DS for pending events, and download all profiles
    Discover {
        /// Address of the SM-DS [default: the root SM-DS stored on the card]
        #[arg(value_name = "SM-DS")]
        address: Option<SmdpAddress>,
        #[command(flatten)]
        user: User,
    },
    /// Set or clear the default SM-DP+ address of the card
    DefaultSmDp { address: Option<SmdpAddress> },
    /// Download and enable a profile, and register; fall back if registration fails
    Move {
        /// Activation code, such as LPA:1$smdp.example.com$MATCHING-ID
        activation_code: ActivationCode,
        #[command(flatten)]
        user: User,
    },
    /// Enable a profile
    Enable { iccid: Iccid },
    /// Disable a profile
    Disable { iccid: Iccid },
    /// Delete a profile
    Delete { iccid: Iccid },
    /// Deliver pending notifications
    Notifications,
    /// Register on a visible network
    Register,
    /// Complete or undo the procedure that a power loss interrupted, and register
    Recover,
    /// Run until stopped: register, receive short messages, execute proactive commands; or check in
    Run(Box<online::Options>),
}

/// Input of the end user for a download.
#[derive(Debug, Args)]
struct User {
    /// File with the confirmation code from the operator, or `-` for standard input
    #[arg(long, value_name = "FILE")]
    confirmation_code_file: Option<PathBuf>,
}

impl User {
    fn options(&self) -> Result<DownloadOptions, Fault> {
        let confirmation_code = self.confirmation_code_file.as_deref().map(read_secret).transpose()?;
        Ok(DownloadOptions { confirmation_code, ..DownloadOptions::default() })
    }
}

/// The EID and the capabilities of a card.
#[derive(JsonSchema, Serialize)]
struct CardInfo {
    eid: Eid,
    #[serde(rename = "euiccInfo2")]
    info: EuiccInfo2,
}

/// The default SM-DP+ of a card, if it has one.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct DefaultSmDp<'a> {
    default_sm_dp: Option<&'a SmdpAddress>,
}

/// A profile and its new state.
#[derive(JsonSchema, Serialize)]
struct ChangedProfile {
    iccid: Iccid,
    state: NewState,
}

/// The new state of a profile.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
enum NewState {
    Enabled,
    Disabled,
    Deleted,
}

/// Result of a successful move.
#[derive(JsonSchema, Serialize)]
struct Moved<'a> {
    registered: &'a Registered,
    before: Option<&'a Registered>,
    bootstrap: Option<Iccid>,
    installed: Option<&'a Installed>,
    seconds: f64,
    notifications: &'a [Delivery],
}

/// Outcome of an SM-DS event.
#[derive(JsonSchema, Serialize)]
struct Found<'a> {
    event: &'a EventEntries,
    installed: Option<&'a Installed>,
    why: Option<String>,
}

/// Prints every event with its profile. Returns a fault if any download failed.
fn found(discovered: &[Discovered], json: bool) -> Result<(), Fault> {
    let all: Vec<Found<'_>> = discovered
        .iter()
        .map(|Discovered { event, outcome }| Found {
            event,
            installed: outcome.as_ref().ok(),
            why: outcome.as_ref().err().map(ToString::to_string),
        })
        .collect();
    if json {
        print_json(&readable(&all)?)?;
    } else if all.is_empty() {
        print("no pending events\n")?;
    }
    for Found { event, installed, why } in &all {
        let EventEntries { event_id, rsp_server_address } = event;
        match (installed, why) {
            (Some(installed), _) if !json => {
                print(&format!(
                    "installed {} (event {event_id} at {rsp_server_address})\n",
                    installed.iccid
                ))?;
            }
            (None, Some(why)) => remark(&format!("event {event_id} at {rsp_server_address}: {why}")),
            _ => {}
        }
    }
    let mut failures = discovered.iter().filter_map(|each| each.outcome.as_ref().err());
    let Some(first) = failures.next() else { return Ok(()) };
    let missing = failures.count() + 1;
    Err(Fault::new(
        format!("{missing} of {} profiles were not downloaded", all.len()),
        "the reason of each event is printed above",
        "fix the problem named there, and run `landfall device discover` again; the SM-DS keeps the events",
    )
    .of_kind(first.kind()))
}

/// Prints a result as JSON or as one line of text.
fn show(json: bool, result: &impl Serialize, line: &str) -> Result<(), Fault> {
    if json { print_json(&readable(result)?) } else { print(&format!("{line}\n")) }
}

/// Prints the state after a change as JSON. Without `--json`, a successful change prints nothing.
fn changed(json: bool, state: &impl Serialize) -> Result<(), Fault> {
    if json { print_json(state) } else { Ok(()) }
}

/// Returns a fault if a notification was not delivered or not removed from the card.
fn undelivered(deliveries: &[Delivery]) -> Result<(), Fault> {
    let failures: Vec<String> = deliveries.iter().filter_map(Delivery::failure).collect();
    if failures.is_empty() {
        return Ok(());
    }
    Err(Fault::new(
        "not every notification was delivered",
        failures.join("; "),
        "check the recipient, then run `landfall device notifications`; the card keeps them until then",
    )
    .of_kind(FaultKind::Unreachable))
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] = &[
    document::<CardInfo>("device info").readable(),
    document::<Vec<ProfileInfo>>("device list").readable(),
    document::<Installed>("device download").readable(),
    document::<Vec<Found<'static>>>("device discover").readable(),
    document::<DefaultSmDp<'static>>("device default-sm-dp"),
    document::<Moved<'static>>("device move").readable(),
    document::<ChangedProfile>("device enable"),
    document::<ChangedProfile>("device disable"),
    document::<ChangedProfile>("device delete"),
    document::<Vec<Delivery>>("device notifications").readable(),
    document::<Registered>("device register").readable(),
    document::<Registered>("device recover").readable(),
    lines::<OneOf<Ready, OneOf<check_in::Exchange<'static>, iot::Polled>>>("device run"),
];

impl Command {
    /// Runs the procedure.
    ///
    /// # Errors
    /// The procedure failed.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let run = async |active_faults: &ActiveFaults| self.run_in(active_faults, settings, json).await;
        let fault_points = match &self.procedure {
            Procedure::Run(options) if options.iot.iot => FaultPoints::DEVICE_IOT,
            Procedure::Run(options) if options.check_in.platform.is_none() => FaultPoints::DEVICE_RUN,
            _ => FaultPoints::DEVICE,
        };
        let fault_points = if self.card.is_some() { fault_points.without_card() } else { fault_points };
        self.faults.live(&fault_points, settings, run).await
    }

    async fn run_in(
        &self,
        active_faults: &ActiveFaults,
        settings: &Settings,
        json: bool,
    ) -> Result<(), Fault> {
        if let Procedure::Run(options) = &self.procedure {
            if options.check_in.platform.is_some() {
                return self.run_checking_in(options, active_faults, settings, json).await;
            }
            if options.iot.iot {
                return self.run_ipa(options, active_faults, settings, json).await;
            }
            return self.run_online(options, active_faults, settings, json).await;
        }
        let mut device = self.device(active_faults, settings, json).await?;
        match &self.procedure {
            Procedure::Info => {
                let eid =
                    device.lpa.eid().await.map_err(|e| failed(&e, "cannot read the EID of the card"))?;
                let (_, info) = device
                    .lpa
                    .chip_info()
                    .await
                    .map_err(|e| failed(&e, "cannot read EUICCInfo2 from the card"))?;
                if json {
                    print_json(&readable(&CardInfo { eid, info })?)?;
                } else {
                    print(&format!("EID {eid}, SGP.22 {}, profiles {}\n", info.svn, info.profile_version))?;
                }
            }
            Procedure::List => {
                let profiles = device
                    .lpa
                    .list()
                    .await
                    .map_err(|e| failed(&e, "cannot list the profiles of the card"))?;
                if json {
                    print_json(&readable(&profiles)?)?;
                } else {
                    let mut table = Table::new(&["ICCID", "state", "provider", "name", "nickname"]);
                    for profile in profiles {
                        let enabled = profile.profile_state == Some(ProfileState::ENABLED);
                        table.row([
                            profile.iccid.map(|iccid| iccid.to_string()).unwrap_or_default(),
                            if enabled { "enabled" } else { "disabled" }.to_owned(),
                            profile.service_provider_name.unwrap_or_default(),
                            profile.profile_name.unwrap_or_default(),
                            profile.profile_nickname.unwrap_or_default(),
                        ]);
                    }
                    print(&table.render())?;
                }
            }
            Procedure::Download { activation_code, user } => {
                let installed = match activation_code {
                    Some(code) => device.lpa.download(code, user.options()?).await,
                    None => device.lpa.download_from_default(user.options()?).await,
                };
                let installed = installed.map_err(|e| failed(&e, "the profile was not downloaded"))?;
                show(json, &installed, &format!("installed {}", installed.iccid))?;
                if let Some(failure) = installed.notification.failure() {
                    remark(&format!("{failure}; `landfall device notifications` retries it"));
                }
            }
            Procedure::Discover { address, user } => {
                let discovered = device.lpa.discover(address.as_ref(), user.options()?).await;
                found(&discovered.map_err(|e| failed(&e, "cannot query the SM-DS"))?, json)?;
            }
            Procedure::DefaultSmDp { address } => {
                let set = device.lpa.set_default_smdp_address(address.as_ref()).await;
                set.map_err(|e| failed(&e, "the default SM-DP+ was not set"))?;
                changed(json, &DefaultSmDp { default_sm_dp: address.as_ref() })?;
            }
            Procedure::Move { activation_code, user } => {
                device
                    .register()
                    .await
                    .map_err(|e| failed(&e, "the device cannot register before the move"))?;
                let report = device.move_to(activation_code, user.options()?, None).await;
                let Ending::Moved(registered) = &report.ending else {
                    return Err(failed(&FailedMove(&report.ending), "the device did not move"));
                };
                let notifications = report.notifications.as_deref();
                let notifications = notifications.map_err(|e| {
                    failed(e, "the device moved, but the notifications of the card cannot be listed")
                })?;
                let moved = Moved {
                    registered,
                    before: report.before.as_ref(),
                    bootstrap: report.bootstrap,
                    installed: report.installed.as_ref(),
                    seconds: report.finished.since(report.started).as_secs_f64(),
                    notifications,
                };
                show(json, &moved, &format!("moved: {registered}"))?;
                for failure in notifications.iter().filter_map(Delivery::failure) {
                    remark(&format!("{failure}; `landfall device notifications` retries it"));
                }
            }
            Procedure::Enable { iccid } => {
                device.lpa.enable(*iccid).await.map_err(|e| failed(&e, "the profile was not enabled"))?;
                changed(json, &ChangedProfile { iccid: *iccid, state: NewState::Enabled })?;
            }
            Procedure::Disable { iccid } => {
                device.lpa.disable(*iccid).await.map_err(|e| failed(&e, "the profile was not disabled"))?;
                changed(json, &ChangedProfile { iccid: *iccid, state: NewState::Disabled })?;
            }
            Procedure::Delete { iccid } => {
                device.lpa.delete(*iccid).await.map_err(|e| failed(&e, "the profile was not deleted"))?;
                changed(json, &ChangedProfile { iccid: *iccid, state: NewState::Deleted })?;
            }
            Procedure::Notifications => {
                let deliveries = device.lpa.process_notifications().await;
                let deliveries =
                    deliveries.map_err(|e| failed(&e, "cannot list the notifications of the card"))?;
                let delivered = deliveries.iter().filter(|each| each.failure().is_none()).count();
                show(
                    json,
                    &deliveries,
                    &format!("{delivered} of {} notifications delivered", deliveries.len()),
                )?;
                undelivered(&deliveries)?;
            }
            Procedure::Recover => match device.recover().await {
                Recovery::Working { registered, interrupted, notifications: _ } => {
                    let before = interrupted.map_or(String::new(), |what| format!(", after {what}"));
                    show(json, &registered, &format!("{registered}{before}"))?;
                }
                Recovery::Stranded(tried) => {
                    let kind = tried.first().map_or(FaultKind::NotFound, |(_, rejected)| rejected.kind());
                    let why = "no profile on the card gets service";
                    let next = match tried.first() {
                        Some((_, rejected)) => {
                            rejected.next().unwrap_or_else(|| "see the timeline above".to_owned())
                        }
                        None => "download a profile with `landfall device download`".to_owned(),
                    };
                    return Err(Fault::new("the device did not recover", why, next).of_kind(kind));
                }
                Recovery::Card(error) => {
                    return Err(failed(&error, "the device did not recover"));
                }
            },
            // Handled above, because it needs no LPA.
            Procedure::Run(_) => {}
            Procedure::Register => {
                let registered =
                    device.register().await.map_err(|e| failed(&e, "the device did not register"))?;
                show(json, &registered, &registered.to_string())?;
            }
        }
        Ok(())
    }

    /// Returns the connection to the card, and the name of the device's memory file.
    async fn card_interface(
        &self,
        active_faults: &ActiveFaults,
        settings: &Settings,
        pki: &Pki,
        world: &World,
        json: bool,
    ) -> Result<(BoxCardInterface, String), Fault> {
        let m2m = match &self.procedure {
            Procedure::Run(options) => options.m2m(),
            _ => None,
        };
        // Checked here and not by the parser, because these are global arguments.
        if self.serial.is_some() && (self.eid.is_some() || self.card.is_some()) {
            return Err(Fault::usage(
                "--serial is given with --eid or --card",
                "each of them chooses a card",
                "give one of the three options",
            ));
        }
        if self.card.is_some() && m2m.is_some() {
            return Err(Fault::usage(
                "--card is given with --first-profile",
                "a card served elsewhere already has its first profile",
                "omit one of the two options",
            ));
        }
        let trace = self.trace.begin()?;
        Ok(match &self.card {
            Some(address) => {
                let card =
                    net::card_interface::TcpCard::connect(address).await.map_err(super::euicc::no_card)?;
                (trace.over(card, address, &world.clock), address.replace([':', '/'], "-"))
            }
            None => {
                let eid = match (self.eid, self.serial) {
                    (Some(eid), _) => eid,
                    (None, Some(serial)) => parties::eid_of_serial(pki, serial)?,
                    (None, None) => parties::default_eid(pki)?,
                };
                let memory = || active_faults.memory("card", parties::card_path(&settings.data_dir, eid));
                let is_iot = matches!(&self.procedure, Procedure::Run(options) if options.iot.iot);
                let card = match &m2m {
                    Some(m2m) => m2m.card(pki, eid, memory()?, world, self.strict),
                    None if is_iot => parties::iot_card_on(settings, pki, eid, memory()?, world, self.strict),
                    None => match parties::card_on(settings, pki, eid, memory()?, world, self.strict) {
                        Err(fault) if self.is_possible_on_iot_card(&fault) => {
                            parties::iot_card_on(settings, pki, eid, memory()?, world, self.strict)
                        }
                        opened => opened,
                    },
                };
                let card = card
                    .map_err(|fault| self.of_its_kind(fault, m2m.is_some()))?
                    .with_events(Lines::new(world.now(), json));
                (
                    trace.over(active_faults.card_interface(card), eid.to_string(), &world.clock),
                    eid.to_string(),
                )
            }
        })
    }

    /// True if the card is an IoT card, and the procedure uses no function of ES10c, which such a card
    /// does not have.
    fn is_possible_on_iot_card(&self, fault: &Fault) -> bool {
        euicc_sim::mismatched_memory_kind(fault) == Some(MemoryKind::Iot)
            && matches!(
                self.procedure,
                Procedure::Info
                    | Procedure::List
                    | Procedure::Download { activation_code: Some(_), .. }
                    | Procedure::Notifications
            )
    }

    /// Replaces the advice of a fault that was caused by a card of another kind (consumer, IoT or
    /// M2M).
    fn of_its_kind(&self, mut fault: Fault, m2m: bool) -> Fault {
        let Some(kind) = euicc_sim::mismatched_memory_kind(&fault) else { return fault };
        fault.next = match (&self.procedure, m2m) {
            _ if kind == MemoryKind::Iot => {
                "this is an IoT card, which has no LPA: order it at its eIM with `landfall eim order`, and run its IPA with \
                 `landfall device run --iot --once`; or choose another --eid or --data-dir"
            }
            (_, true) => "this is a consumer card: omit --first-profile, or choose another --eid or --data-dir",
            (Procedure::Run(_), false) => {
                                "this is an M2M card: give --first-profile and --sm-sr-number as at its creation, or choose another --eid or --data-dir"
            }
            (_, false) => {
                                "this is an M2M card, which has no LPA: `landfall sm-sr eis` shows its profiles, and `landfall device run` with \
                                 --first-profile runs it; or choose another --eid or --data-dir"
            }
        }
        .to_owned();
        fault
    }

    async fn device(
        &self,
        active_faults: &ActiveFaults,
        settings: &Settings,
        json: bool,
    ) -> Result<Device<Slot<BoxCardInterface>>, Fault> {
        let (world, clock) = parties::os_world()?;
        let pki = crate::pki::load_or_init(settings)?;
        let (card_interface, eid) = self.card_interface(active_faults, settings, &pki, &world, json).await?;
        let events = EventSource::new("device", clock.clone(), Arc::new(Lines::new(world.now(), json)));
        let clock: Arc<dyn Clock> = Arc::new(clock);
        // An event of an SM-DS, and the card, can name an SM-DS that is unknown here.
        let servers: &[Role] = match &self.procedure {
            Procedure::Discover { .. } => &[Role::DpTls, Role::DsTls],
            _ => &[Role::DpTls],
        };
        let tls = parties::device_tls(&pki, servers, Arc::clone(&clock))?;
        let sm_ds_tls = parties::device_tls(&pki, &[Role::DsTls], clock)?;
        let client = parties::device_client(settings);
        let (faulty, mut sm_ds) = (active_faults.clone(), vec![parties::root_sm_ds(settings)]);
        if let Procedure::Discover { address: Some(address), .. } = &self.procedure {
            sm_ds.push(address.to_string());
        }
        let links = move |address: &SmdpAddress| {
            let link = |tls: &ClientTls| client.link(address.as_str(), Some(tls.clone()));
            Ok(match sm_ds.iter().any(|known| known == address.as_str()) {
                true => faulty.outgoing_to_sm_ds(link(&sm_ds_tls)?),
                false => faulty.outgoing(link(&tls)?),
            })
        };
        let radio = Client::default().link(&settings.network, None)?;
        let slot = Slot::new(active_faults.apdus(card_interface));
        let file = settings.data_dir.join("devices").join(format!("{eid}.device"));
        let memory = active_faults.memory("device", file)?;
        let mut device = Device::new(
            Lpa::new(slot.clone(), links, LpaSettings::default(), events.clone()),
            Modem::new(slot, RemoteNetworks::new(radio), events.clone()),
            memory,
            events,
        );
        device.set_visible(self.visible.clone());
        Ok(device)
    }
}
