//! `landfall device run --iot`: an IoT device (SGP.32), whose IPA polls the eIMs of its card.

use std::{path::Path, sync::Arc, time::Duration};

use coap::Transmission;
use device::{
    EventSource, Ipa, IpaSettings, Lpa, LpaSettings, Modem, Slot,
    ipa::{self, CheckIn, Connection, IpaError, VisitEnd},
};
use net::{Client, ClientDtls, ClientTls};
use network::RemoteNetworks;
use rsp::sgp32::{EimConfigurationData, ipa_data::ipa_features};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;
use world::{BoxCardInterface, Clock, Fault, FaultKind, Link};

use super::{
    Command,
    failure::failed,
    online::{Binding, Options},
};
use crate::{
    eim_configuration,
    faults::ActiveFaults,
    json_view::readable,
    output::{Lines, print, print_json_line, remark},
    parties,
    readiness::Ready,
    settings::Settings,
};

/// Interval between polls, unless --check-in-every is given.
const POLL_INTERVAL: Duration = Duration::from_secs(60);

/// One line of the output with `--json`.
#[derive(JsonSchema, Serialize)]
pub(super) struct Polled {
    /// The report of the poll.
    polled: CheckIn,
}

/// The IPA of this command.
type CliIpa = Ipa<Slot<BoxCardInterface>>;

impl Command {
    /// Runs the IPA until it is stopped, or polls once.
    ///
    /// # Errors
    /// The card or the memory fails. With `--once`: the device has no service, or a package failed.
    pub(super) async fn run_ipa(
        &self,
        options: &Options,
        active_faults: &ActiveFaults,
        settings: &Settings,
        json: bool,
    ) -> Result<(), Fault> {
        let startup = options.ready.begin()?;
        let mut ipa = self.ipa(options, active_faults, settings, json).await?;
        if let Some(file) = &options.iot.eim_configuration {
            associate(&mut ipa, file).await?;
        }
        if options.check_in.once {
            let polled = ipa.check_in().await.map_err(no_check_in)?;
            show(&polled, json)?;
            return incomplete(&polled).map_or(Ok(()), Err);
        }
        remark("the IPA polls its eIMs; Ctrl-C stops it");
        let announced = startup.announce(&Ready::of("device run", settings), json)?;
        let (stop, mut stopped) = watch::channel(false);
        let signalled = async {
            announced.requested().await;
            // The IPA may have ended already.
            let _ = stop.send(true);
            remark("the device stops after the current procedure; press Ctrl-C again to stop at once");
            parties::stop_signal().await;
        };
        let interval = options.check_in.check_in_every.map_or(POLL_INTERVAL, Duration::from_secs);
        let polling = async {
            while !*stopped.borrow() {
                match ipa.check_in().await {
                    Ok(polled) => show(&polled, json)?,
                    Err(error @ IpaError::NoService(_)) => remark(&format!("{:#}", no_check_in(error))),
                    Err(error) => return Err(no_check_in(error)),
                }
                tokio::select! {
                    // An error means that nothing stops the IPA any more, which cannot happen.
                    _ = stopped.changed() => {}
                    () = tokio::time::sleep(interval) => {}
                }
            }
            Ok(())
        };
        tokio::select! {
            ended = polling => ended,
            () = signalled => Ok(()),
        }
    }

    async fn ipa(
        &self,
        options: &Options,
        active_faults: &ActiveFaults,
        settings: &Settings,
        json: bool,
    ) -> Result<CliIpa, Fault> {
        let (world, clock) = parties::os_world()?;
        let pki = crate::pki::load_or_init(settings)?;
        let (card_interface, eid) = self.card_interface(active_faults, settings, &pki, &world, json).await?;
        let events = EventSource::new("device", clock.clone(), Arc::new(Lines::new(world.now(), json)));
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let client = parties::device_client(settings);
        let server_tls =
            parties::device_tls(&pki, &[certs::Role::DpTls, certs::Role::DsTls], Arc::clone(&clock))?;
        let (faulty, to_servers) = (active_faults.clone(), client.clone());
        let servers = move |address: &rsp::ids::SmdpAddress| {
            Ok(faulty.outgoing(to_servers.link(address.as_str(), Some(server_tls.clone()))?))
        };
        let by_ci = parties::device_trust(&pki)?;
        let (faulty, other_address) = (active_faults.clone(), options.iot.eim.clone());
        let eims = move |eim: &EimConfigurationData, binding: ipa::Binding| -> Result<Link, Fault> {
            let address = other_address.as_ref().or(eim.eim_fqdn.as_ref()).unwrap_or(&eim.eim_id);
            let (trust, clock) = (ipae::trust_of(eim, &by_ci), Arc::clone(&clock));
            let link = match binding {
                ipa::Binding::Asn1 | ipa::Binding::Json => {
                    client.link(address, Some(ClientTls::trusting(trust, clock)?))?
                }
                ipa::Binding::Coap => {
                    let dtls = faulty.coap_client(ClientDtls::new(trust, clock)?);
                    client.coap_link(address, dtls, world.clone(), Transmission::default())?
                }
            };
            Ok(faulty.outgoing(link))
        };
        let radio = Client::default().link(&settings.network, None)?;
        let slot = Slot::new(active_faults.apdus(card_interface));
        let file = settings.data_dir.join("devices").join(format!("{eid}.device"));
        let memory = active_faults.memory("device", file)?;
        let settings = ipa_settings(options, self.visible.is_empty());
        let lpa = Lpa::new(slot.clone(), servers, settings.device.clone(), events.clone());
        let modem = Modem::new(slot, RemoteNetworks::new(radio), events.clone());
        let mut ipa = Ipa::new(lpa, modem, eims, settings, memory, events)?;
        ipa.set_visible(self.visible.clone());
        Ok(ipa)
    }
}

fn ipa_settings(options: &Options, has_other_connection: bool) -> IpaSettings {
    let mut settings = IpaSettings {
        binding: options.iot.binding.map(|binding| match binding {
            Binding::Asn1 => ipa::Binding::Asn1,
            Binding::Json => ipa::Binding::Json,
            Binding::Coap => ipa::Binding::Coap,
        }),
        connection: match has_other_connection {
            true => Connection::Other,
            false => Connection::Cellular,
        },
        ..IpaSettings::default()
    };
    if options.iot.indirect {
        settings.features.retain(|feature| *feature != ipa_features::DIRECT_RSP_SERVER_COMMUNICATION);
    }
    if options.iot.compact {
        settings.features.extend([
            ipa_features::EIM_CTX_PARAMS1_GENERATION,
            ipa_features::EIM_PROFILE_METADATA_VERIFICATION,
            ipa_features::MINIMIZE_ESIPA_BYTES,
        ]);
    }
    settings.device = LpaSettings { request_tries: 2, ..settings.device };
    settings
}

/// Associates a card that has no eIM with that of a file.
async fn associate(ipa: &mut CliIpa, file: &Path) -> Result<(), Fault> {
    let unread = |e| failed(&e, "cannot read the eIMs of the card");
    if !ipa.es10().get_eim_configuration_data().await.map_err(unread)?.is_empty() {
        return Ok(());
    }
    let eims = eim_configuration::read(file)?;
    let names: Vec<_> = eims.iter().map(|eim| eim.eim_id.clone()).collect();
    ipa.add_initial_eim(eims).await.map_err(|e| failed(&e, "the card refused the eIM"))?;
    remark(&format!("the card is associated with {}", names.join(", ")));
    Ok(())
}

fn show(polled: &CheckIn, json: bool) -> Result<(), Fault> {
    if json {
        return print_json_line(&readable(&Polled { polled: polled.clone() })?);
    }
    for change in &polled.changes {
        print(&format!("{change}\n"))?;
    }
    for visit in &polled.visits {
        for package in &visit.packages {
            print(&format!("{}: {package}\n", visit.eim_id))?;
        }
        if visit.end != VisitEnd::NoPackage {
            remark(&format!("{}: {}", visit.eim_id, visit.end));
        }
    }
    for failure in polled.notifications.iter().filter_map(device::lpa::Delivery::failure) {
        remark(&failure);
    }
    Ok(())
}

/// Returns a fault if an eIM could not be visited to the end.
fn incomplete(polled: &CheckIn) -> Option<Fault> {
    let (visit, kind) = polled.visits.iter().find_map(|visit| match visit.end {
        VisitEnd::NoPackage => None,
        VisitEnd::Refused(_) => Some((visit, FaultKind::Refused)),
        VisitEnd::Failed(_) | VisitEnd::Interrupted => Some((visit, FaultKind::Unreachable)),
    })?;
    let next = "check the eIM, and run the command again; the card keeps undelivered results";
    Some(
        Fault::new(format!("the visit of {} is incomplete", visit.eim_id), visit.end.to_string(), next)
            .of_kind(kind),
    )
}

fn no_check_in(error: IpaError) -> Fault {
    const WHAT: &str = "the IPA cannot poll its eIMs";
    match error {
        IpaError::NoService(not) => failed(&not, WHAT),
        IpaError::Card(error) => failed(&error, WHAT),
        IpaError::Memory(fault) => fault,
    }
}
