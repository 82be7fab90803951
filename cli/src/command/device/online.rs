//! `landfall device run`: a device that runs until it is stopped.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::{Args, ValueEnum};
use device::{AlwaysOnSettings, EventSource, Modem, Online};
use euicc_sim::Card;
use net::{Client, TcpDial};
use network::RemoteNetworks;
use rsp::{ids::Eid, ota::cat::Imei};
use world::{Fault, FaultKind, PhoneNumber};

use super::Command;
use crate::{
    faults::ActiveFaults,
    m2m::{
        factory::{self, CardAddresses},
        sm_sr::CARD_PATH,
    },
    output::{Lines, remark},
    parties,
    readiness::{Ready, ReadyOptions},
    settings::Settings,
};

/// Options of a device that checks in.
#[derive(Args, Debug)]
pub(super) struct CheckInOptions {
    /// Platform at which the device checks in
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "first_profile", group = "poller")]
    pub(super) platform: Option<String>,
    /// File with the check-in token [default: LANDFALL_TOKEN]
    #[arg(long, value_name = "FILE", requires = "platform")]
    pub(super) token_file: Option<PathBuf>,
    /// Check in or poll once, execute, report the result
    #[arg(long, requires = "poller", conflicts_with = "until_idle")]
    pub(super) once: bool,
    /// End when the platform has no instruction
    #[arg(long, requires = "platform")]
    pub(super) until_idle: bool,
    /// Maximum interval between check-ins or polls, in seconds
    #[arg(long, value_name = "SECONDS", requires = "poller")]
    pub(super) check_in_every: Option<u64>,
}

/// Options of an IoT device. The help has no room for all of them; docs/eim.md has the table.
#[derive(Args, Debug)]
pub(super) struct IotOptions {
    /// Run the IPA of an IoT card; docs/eim.md has its options
    #[arg(long, group = "poller", conflicts_with_all = ["first_profile", "platform"])]
    pub(super) iot: bool,
    /// Output of `landfall eim configuration`, to associate a card that has no eIM
    #[arg(long, value_name = "FILE", requires = "iot", hide = true)]
    pub(super) eim_configuration: Option<PathBuf>,
    /// Address of the eIMs, instead of that in the configuration of the card
    #[arg(long, value_name = "HOST:PORT", requires = "iot", hide = true)]
    pub(super) eim: Option<String>,
    /// Binding of ESipa [default: ASN.1, over HTTPS unless the eIM supports only CoAP]
    #[arg(long, value_name = "BINDING", requires = "iot", hide = true)]
    pub(super) binding: Option<Binding>,
    /// Download only through the eIM
    #[arg(long, requires = "iot", hide = true)]
    pub(super) indirect: bool,
    /// Leave out of messages to the eIM what it knows (the compact forms)
    #[arg(long, requires = "indirect", hide = true)]
    pub(super) compact: bool,
}

/// A binding of ESipa.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Binding {
    /// ASN.1 over HTTPS
    Asn1,
    /// JSON over HTTPS
    Json,
    /// ASN.1 over CoAP and DTLS
    Coap,
}

/// Options of a running device.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// IMEI of the device, 15 digits
    #[arg(long, value_parser = imei)]
    pub(super) imei: Option<Imei>,
    /// Interval between network searches, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    search_pause: u64,
    /// Address for the card's channels to HOST (repeatable)
    #[arg(long = "channel-to", value_name = "HOST=HOST:PORT", value_parser = elsewhere)]
    channels_to: Vec<(String, String)>,
    /// First profile of an M2M eUICC, as for `landfall eum register`
    #[arg(long, value_name = "FILE", requires = "sm_sr_number")]
    first_profile: Option<std::path::PathBuf>,
    /// Number of the first SM-SR
    #[arg(long, value_name = "NUMBER", value_parser = parties::number, requires = "first_profile")]
    sm_sr_number: Option<PhoneNumber>,
    /// Address of the first SM-SR for HTTPS sessions of the card
    #[arg(long, value_name = "IP:PORT", requires = "first_profile")]
    sm_sr_cards: Option<std::net::SocketAddr>,
    /// Shorten the M2M card's timers from minutes to seconds
    #[arg(long, requires = "first_profile")]
    impatient: bool,
    #[command(flatten)]
    pub(super) ready: ReadyOptions,
    #[command(flatten)]
    pub(super) check_in: CheckInOptions,
    #[command(flatten)]
    pub(super) iot: IotOptions,
}

impl Options {
    /// Returns the options of the M2M card, if there is one.
    pub(super) fn m2m(&self) -> Option<M2m<'_>> {
        Some(M2m {
            options: self,
            package: self.first_profile.as_deref()?,
            number: self.sm_sr_number.as_ref()?,
        })
    }
}

/// An M2M card in this process. Its memory is stored in the same place as the memory of a consumer
/// card.
pub(super) struct M2m<'a> {
    options: &'a Options,
    package: &'a Path,
    number: &'a PhoneNumber,
}

impl M2m<'_> {
    /// Opens the card.
    ///
    /// # Errors
    /// The package cannot be read, the PKI has no keys for the card, or the memory belongs to
    /// another card.
    pub(super) fn card(
        &self,
        pki: &certs::Pki,
        eid: Eid,
        memory: Box<dyn world::Memory>,
        world: &world::World,
        strict: bool,
    ) -> Result<Card, Fault> {
        let package = crate::files::read(self.package)?;
        let https = self.options.sm_sr_cards;
        let side = CardAddresses { number: self.number.clone(), https, path: CARD_PATH.to_owned() };
        let mut description = factory::card(pki, eid, &package, &side)?;
        if let Some(m2m) = description.m2m.as_mut().filter(|_| self.options.impatient) {
            m2m.toolkit = factory::impatient();
        }
        description.strict = strict;
        let card = Card::open(description, memory, world.clone())?;
        if card.is_stored() {
            remark(&format!(
                "card {eid} exists already and keeps its state: --first-profile, --sm-sr-number and --sm-sr-cards only affect the \
                                 creation of a card; choose another --eid or --data-dir to create one"
            ));
        }
        Ok(card)
    }
}

fn imei(text: &str) -> Result<Imei, String> {
    Imei::of_digits(text).ok_or_else(|| "an IMEI has 15 digits".to_owned())
}

fn elsewhere(text: &str) -> Result<(String, String), String> {
    let (host, address) =
        text.split_once('=').ok_or("expected a host, = and an address, such as 10.0.0.1=127.0.0.1:8446")?;
    Ok((host.to_owned(), address.to_owned()))
}

impl Command {
    /// Runs the device until it is stopped.
    ///
    /// # Errors
    /// The card stopped responding.
    pub(super) async fn run_online(
        &self,
        options: &Options,
        active_faults: &ActiveFaults,
        settings: &Settings,
        json: bool,
    ) -> Result<(), Fault> {
        let startup = options.ready.begin()?;
        let (world, clock) = parties::os_world()?;
        let pki = crate::pki::load_or_init(settings)?;
        let (card_interface, eid) = self.card_interface(active_faults, settings, &pki, &world, json).await?;
        let events = EventSource::new("device", clock, Arc::new(Lines::new(world.now(), json)));
        let radio = Client::default().link(&settings.network, None)?;
        let mut modem = Modem::new(card_interface, RemoteNetworks::new(radio), events.clone());
        modem.set_visible(self.visible.clone());
        let device = AlwaysOnSettings {
            imei: options.imei.unwrap_or(AlwaysOnSettings::default().imei),
            search_pause: Duration::from_secs(options.search_pause.max(1)),
        };
        let dial = options
            .channels_to
            .iter()
            .fold(TcpDial::default(), |dial, (host, address)| dial.with_connect_to(host, address));
        let mut device = Online::new(modem, dial, device, events);
        let handle = device.handle();
        remark(&format!("device with card {eid}; Ctrl-C stops it"));
        let announced = startup.announce(&Ready::of("device run", settings), json)?;
        let stop = async {
            announced.requested().await;
            handle.stop();
            remark("the device stops after the current procedure; press Ctrl-C again to stop at once");
            parties::stop_signal().await;
        };
        tokio::select! {
            ended = device.run() => ended.map_err(|error| {
                                let next = "see the timeline above; restart the device when the card is available";
                                Fault::new("the device lost its card", error.to_string(), next)
                                    .of_kind(FaultKind::Unreachable)
            }),
            () = stop => Ok(()),
        }
    }
}
