//! `landfall device`: the device round a card, a command a procedure.

use std::sync::Arc;

use certs::Pki;
use clap::{Args, Subcommand};
use device::{
    Device, DownloadOptions, Ending, Installed, Lpa, LpaSettings, Modem, Recovery, Registered, Slot, Teller,
    lpa::{Delivery, Discovered},
};
use euicc_sim::Quirk;
use net::Client;
use network::RemoteNetworks;
use rsp::{
    activation_code::ActivationCode,
    ids::{Eid, Iccid, Plmn, SmdpAddress},
    sgp22::{ProfileState, es11::EventEntries},
};
use serde::Serialize;
use world::{BoxCardDoor, Clock, Fault, World};

use crate::{
    faults::{Faults, Seams, Trouble},
    output::{Lines, Table, remark, say, say_json},
    parties,
    settings::Settings,
    trace::TraceOptions,
};

mod online;

/// A device: its LPA and its modem
#[derive(Debug, Args)]
pub struct Command {
    /// A card that is served over TCP, in place of one in this process
    #[arg(long, global = true, value_name = "HOST:PORT")]
    card: Option<String>,
    /// Which card of this process [default: the first of the PKI]
    #[arg(long, global = true)]
    eid: Option<Eid>,
    /// Take segments of up to 1036 octets, as osmo-smdpp sends them
    #[arg(long, global = true)]
    quirk_long_segments: bool,
    /// A network in reach, strongest first; may be repeated
    #[arg(long = "visible", global = true, value_name = "PLMN")]
    visible: Vec<Plmn>,
    #[command(flatten)]
    trace: TraceOptions,
    #[command(flatten)]
    faults: Faults,
    #[command(subcommand)]
    procedure: Procedure,
}

/// What the device is to do
#[derive(Debug, Subcommand)]
enum Procedure {
    /// EID and what the card says of itself
    Info,
    /// The profiles on the card
    List,
    /// Download a profile
    Download {
        /// Activation code, such as LPA:1$smdp.example.com$MATCHING-ID [default: what waits at the card's default SM-DP+]
        activation_code: Option<ActivationCode>,
        #[command(flatten)]
        user: User,
    },
    /// Ask the SM-DS what waits for the card, and download all of it
    Discover {
        /// The SM-DS [default: the root SM-DS that the card knows]
        #[arg(value_name = "SM-DS")]
        address: Option<SmdpAddress>,
        #[command(flatten)]
        user: User,
    },
    /// Set the card's default SM-DP+, or none
    DefaultSmDp { address: Option<SmdpAddress> },
    /// Download, enable and register; come back if that fails
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
    /// Deliver what the card has to tell
    Notifications,
    /// Register on a network in reach
    Register,
    /// Come back after a loss of power: finish or undo what it interrupted, and register
    Recover,
    /// Stay on: register, listen for short messages, and let the card act; until it is stopped
    Run(online::Options),
}

/// What the user says to a download.
#[derive(Debug, Args)]
struct User {
    /// What the operator gave the user
    #[arg(long)]
    confirmation_code: Option<String>,
}

impl User {
    fn options(&self) -> DownloadOptions {
        DownloadOptions { confirmation_code: self.confirmation_code.clone(), ..DownloadOptions::default() }
    }
}

/// A move that succeeded.
#[derive(Serialize)]
struct Moved<'a> {
    registered: &'a Registered,
    before: Option<&'a Registered>,
    bootstrap: Option<Iccid>,
    installed: Option<&'a Installed>,
    seconds: f64,
    notifications: &'a [Delivery],
}

/// What became of an event.
#[derive(Serialize)]
struct Found<'a> {
    event: &'a EventEntries,
    installed: Option<&'a Installed>,
    why: Option<String>,
}

/// Every event with its profile, and a failure when one is without.
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
        say_json(&all)?;
    } else if all.is_empty() {
        say("nothing waits\n")?;
    }
    for Found { event, installed, why } in &all {
        let EventEntries { event_id, rsp_server_address } = event;
        match (installed, why) {
            (Some(installed), _) if !json => {
                say(&format!("installed {} (event {event_id} at {rsp_server_address})\n", installed.iccid))?;
            }
            (None, Some(why)) => remark(&format!("event {event_id} at {rsp_server_address}: {why}")),
            _ => {}
        }
    }
    let missing = all.iter().filter(|each| each.installed.is_none()).count();
    if missing == 0 {
        return Ok(());
    }
    Err(Fault::new(
        format!("{missing} of {} profiles were not downloaded", all.len()),
        "see above, event by event",
        "mend what is named there, and run `landfall device discover` again; the SM-DS keeps the events",
    ))
}

/// A result, as JSON or as a line.
fn show(json: bool, result: &impl Serialize, line: &str) -> Result<(), Fault> {
    if json { say_json(result) } else { say(&format!("{line}\n")) }
}

/// Every notification must have been taken and forgotten.
fn undelivered(told: &[Delivery]) -> Result<(), Fault> {
    let failures: Vec<String> = told.iter().filter_map(Delivery::failure).collect();
    if failures.is_empty() {
        return Ok(());
    }
    Err(Fault::new(
        "not every notification was delivered",
        failures.join("; "),
        "see to the recipient, then run `landfall device notifications`; the card keeps them until then",
    ))
}

impl Command {
    /// Runs the procedure.
    ///
    /// # Errors
    /// It did not succeed.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let run = async |trouble: &Trouble| self.run_in(trouble, settings, json).await;
        let seams = match self.procedure {
            Procedure::Run(_) => Seams::DEVICE_RUN,
            _ => Seams::DEVICE,
        };
        let seams = if self.card.is_some() { seams.without_card() } else { seams };
        self.faults.live(&seams, settings, run).await
    }

    async fn run_in(&self, trouble: &Trouble, settings: &Settings, json: bool) -> Result<(), Fault> {
        if let Procedure::Run(options) = &self.procedure {
            return self.run_online(options, trouble, settings, json).await;
        }
        let mut device = self.device(trouble, settings, json).await?;
        let failed = |e: &dyn std::fmt::Display, what: &str| {
            Fault::new(what, e.to_string(), "look at the timeline above; the step that failed says why")
        };
        match &self.procedure {
            Procedure::Info => {
                let eid = device.lpa.eid().await.map_err(|e| failed(&e, "the card does not tell its EID"))?;
                let (_, info) = device
                    .lpa
                    .chip_info()
                    .await
                    .map_err(|e| failed(&e, "the card does not describe itself"))?;
                if json {
                    say_json(&serde_json::json!({ "eid": eid, "euiccInfo2": info }))?;
                } else {
                    say(&format!("EID {eid}, SGP.22 {}, profiles {}\n", info.svn, info.profile_version))?;
                }
            }
            Procedure::List => {
                let profiles =
                    device.lpa.list().await.map_err(|e| failed(&e, "the card does not list its profiles"))?;
                if json {
                    say_json(&profiles)?;
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
                    say(&table.render())?;
                }
            }
            Procedure::Download { activation_code, user } => {
                let installed = match activation_code {
                    Some(code) => device.lpa.download(code, user.options()).await,
                    None => device.lpa.download_from_default(user.options()).await,
                };
                let installed = installed.map_err(|e| failed(&e, "the profile was not downloaded"))?;
                show(json, &installed, &format!("installed {}", installed.iccid))?;
                if let Some(failure) = installed.notification.failure() {
                    remark(&format!("{failure}; `landfall device notifications` tries again"));
                }
            }
            Procedure::Discover { address, user } => {
                let discovered = device.lpa.discover(address.as_ref(), user.options()).await;
                found(&discovered.map_err(|e| failed(&e, "the SM-DS did not say what waits"))?, json)?;
            }
            Procedure::DefaultSmDp { address } => {
                let set = device.lpa.set_default_smdp_address(address.as_ref()).await;
                set.map_err(|e| failed(&e, "the default SM-DP+ was not set"))?;
            }
            Procedure::Move { activation_code, user } => {
                device
                    .register()
                    .await
                    .map_err(|e| failed(&e, "the device is on no network to begin with"))?;
                let report = device.move_to(activation_code, user.options(), None).await;
                let Ending::Moved(registered) = &report.ending else {
                    return Err(failed(&crate::demo::in_words(&report.ending), "the device did not move"));
                };
                let notifications = report.notifications.as_deref();
                let notifications = notifications.map_err(|e| {
                    failed(&e, "the device moved, and the card does not list its notifications")
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
                    remark(&format!("{failure}; `landfall device notifications` tries again"));
                }
            }
            Procedure::Enable { iccid } => {
                device.lpa.enable(*iccid).await.map_err(|e| failed(&e, "the profile was not enabled"))?;
            }
            Procedure::Disable { iccid } => {
                device.lpa.disable(*iccid).await.map_err(|e| failed(&e, "the profile was not disabled"))?;
            }
            Procedure::Delete { iccid } => {
                device.lpa.delete(*iccid).await.map_err(|e| failed(&e, "the profile was not deleted"))?;
            }
            Procedure::Notifications => {
                let told = device.lpa.process_notifications().await;
                let told = told.map_err(|e| failed(&e, "the card does not list its notifications"))?;
                let delivered = told.iter().filter(|each| each.failure().is_none()).count();
                show(json, &told, &format!("{delivered} of {} notifications delivered", told.len()))?;
                undelivered(&told)?;
            }
            Procedure::Recover => match device.recover().await {
                Recovery::Working { registered, interrupted, notifications: _ } => {
                    let before = interrupted.map_or(String::new(), |what| format!(", after {what}"));
                    show(json, &registered, &format!("{registered}{before}"))?;
                }
                Recovery::Stranded(_) => {
                    return Err(failed(&"no profile on the card carries it", "the device did not come back"));
                }
                Recovery::Card(error) => {
                    return Err(failed(&error, "the device did not come back"));
                }
            },
            // Above, before there was an LPA.
            Procedure::Run(_) => {}
            Procedure::Register => {
                let registered =
                    device.register().await.map_err(|e| failed(&e, "the device did not register"))?;
                show(json, &registered, &registered.to_string())?;
            }
        }
        Ok(())
    }

    /// The way to the card, and what its device calls its own memory.
    async fn door(
        &self,
        trouble: &Trouble,
        settings: &Settings,
        pki: &Pki,
        world: &World,
    ) -> Result<(BoxCardDoor, String), Fault> {
        let m2m = match &self.procedure {
            Procedure::Run(options) => options.m2m(),
            _ => None,
        };
        // Not left to the parser, as with --trace-secrets.
        if self.card.is_some() && m2m.is_some() {
            return Err(Fault::new(
                "--card is given with --first-profile",
                "a card elsewhere has left its factory already",
                "leave one of the two out",
            ));
        }
        let trace = self.trace.begin()?;
        Ok(match &self.card {
            Some(address) => {
                let card = net::door::TcpCard::connect(address).await.map_err(super::euicc::no_card)?;
                (trace.over(card, address, &world.clock), address.replace([':', '/'], "-"))
            }
            None => {
                let eid = self.eid.map_or_else(|| parties::default_eid(pki), Ok)?;
                let quirks = if self.quirk_long_segments { vec![Quirk::LongSegments] } else { vec![] };
                let memory = trouble.memory("card", parties::card_path(&settings.data_dir, eid))?;
                let card = match &m2m {
                    Some(m2m) => m2m.card(pki, eid, memory, world, quirks),
                    None => parties::card_on(settings, pki, eid, memory, world, quirks),
                };
                let card = card.map_err(|fault| self.of_its_kind(fault, m2m.is_some()))?;
                (trace.over(trouble.door(card), eid.to_string(), &world.clock), eid.to_string())
            }
        })
    }

    /// What helps where the card is of the other kind.
    fn of_its_kind(&self, mut fault: Fault, m2m: bool) -> Fault {
        if !euicc_sim::is_another_kind(&fault) {
            return fault;
        }
        fault.next = match (&self.procedure, m2m) {
            (_, true) => "it is a consumer card: leave out --first-profile, or take another --eid or --data-dir",
            (Procedure::Run(_), false) => {
                "it is an M2M card: give --first-profile and --sm-sr-number as when it was made, or take another --eid or --data-dir"
            }
            (_, false) => {
                "it is an M2M card, which has no LPA: `landfall sm-sr eis` shows its profiles, `landfall device run` with \
                 --first-profile runs it; or take another --eid or --data-dir"
            }
        }
        .to_owned();
        fault
    }

    async fn device(
        &self,
        trouble: &Trouble,
        settings: &Settings,
        json: bool,
    ) -> Result<Device<Slot<BoxCardDoor>>, Fault> {
        let (world, clock) = parties::os_world()?;
        let pki = crate::pki::load_or_init(settings)?;
        let (door, eid) = self.door(trouble, settings, &pki, &world).await?;
        let teller = Teller::new("device", clock.clone(), Arc::new(Lines::new(world.now(), json)));
        let tls = parties::device_tls(&pki, Arc::new(clock) as Arc<dyn Clock>)?;
        let client = parties::device_client(settings);
        let (faulty, mut sm_ds) = (trouble.clone(), vec![parties::root_sm_ds(settings)]);
        if let Procedure::Discover { address: Some(address), .. } = &self.procedure {
            sm_ds.push(address.to_string());
        }
        let links = move |address: &SmdpAddress| {
            let link = client.link(address.as_str(), Some(tls.clone()))?;
            Ok(match sm_ds.iter().any(|known| known == address.as_str()) {
                true => faulty.goes_out_to_sm_ds(link),
                false => faulty.goes_out(link),
            })
        };
        let radio = Client::default().link(&settings.network, None)?;
        let slot = Slot::new(door);
        let file = settings.data_dir.join("devices").join(format!("{eid}.device"));
        let memory = trouble.memory("device", file)?;
        let mut device = Device::new(
            Lpa::new(slot.clone(), links, LpaSettings::default(), teller.clone()),
            Modem::new(slot, RemoteNetworks::new(radio), teller.clone()),
            memory,
            teller,
        );
        device.set_visible(self.visible.clone());
        Ok(device)
    }
}
