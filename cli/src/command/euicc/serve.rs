//! `landfall euicc serve`: serves cards over TCP, in PC/SC readers, or in modems.

use std::{path::PathBuf, sync::Arc, time::Duration};

use certs::{Pki, Role};
use clap::Args;
use device::{EventSource, Lpa, LpaSettings, Modem, Slot, at};
use euicc_sim::Shared;
use net::{
    Client, OsClock,
    card_interface::{Insertion, ModemPort, PortEvent, VPCD},
};
use network::RemoteNetworks;
use rsp::ids::{Eid, Plmn, SmdpAddress};
use tokio::{
    net::TcpListener,
    task::{JoinError, JoinSet},
    time::sleep,
};
use world::{BoxCardInterface, Events, Fault};

use crate::{
    cards::{self, CardAddress, CardEntry, CardKind, FirstAddresses, Interface, MemoryStorage, OnFirstUse},
    eim_configuration,
    faults::{FaultOptions, FaultPoints},
    output::{Lines, Table, print, remark},
    parties,
    readiness::{Ready, ReadyOptions, ServedCard},
    settings::{Setting, Settings},
    trace::Trace,
};

/// Duration of a modem's search for a network. Real modems need seconds.
const SEARCH_DURATION: Duration = Duration::from_millis(500);
/// Interval at which a modem without service searches for a network.
const SEARCH: Duration = Duration::from_secs(10);

/// Cards to serve, and their interfaces.
#[derive(Debug, Args)]
#[command(arg = Setting::Card.listen(), args = Setting::flags(&[Setting::Network]))]
pub(super) struct Serve {
    /// Number of cards, each with its own EID, memory and address (consecutive ports, or links
    /// with a number appended)
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with_all = ["cards", "eid"])]
    count: u16,
    /// TOML file of cards: [[card]] with eid, interface, address, memory, description, ...; see
    /// docs/cards.md
    #[arg(long, value_name = "FILE", conflicts_with_all = ["vpcd", "modem", "eid"])]
    cards: Option<PathBuf>,
    /// Virtual reader (vpcd) for PC/SC programs [default: 127.0.0.1:35963, the first slot]
    #[arg(long, value_name = "HOST:PORT", num_args = 0..=1, default_missing_value = VPCD, conflicts_with = "modem")]
    vpcd: Option<String>,
    /// Modem with AT commands on a pseudo-terminal, to which LINK becomes a symbolic link, or on
    /// the Unix socket unix:PATH
    #[arg(long, value_name = "LINK|unix:PATH", num_args = 0..=1, default_missing_value = "")]
    modem: Option<String>,
    /// Quirk of other modems (repeatable); `help` lists them
    #[arg(long = "modem-quirk", value_name = "NAME", requires = "modem")]
    modem_quirks: Vec<at::Quirk>,
    /// Network visible to the modem, strongest first (repeatable); served by `landfall network`
    #[arg(long = "visible", value_name = "PLMN", requires = "modem")]
    visible: Vec<Plmn>,
    /// Kind of the cards: consumer (SGP.22) or iot (SGP.32)
    #[arg(
        long,
        value_name = "KIND",
        default_value = "consumer",
        hide_possible_values = true,
        conflicts_with = "cards"
    )]
    kind: CardKind,
    /// Give IoT cards an IPA (IPAe) that polls their eIMs, every 60 seconds without SECONDS; see
    /// docs/eim.md
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "60", conflicts_with = "cards")]
    ipae: Option<u32>,
    /// Output of `landfall eim configuration`: the eIM of new IoT cards
    #[arg(long, value_name = "FILE", conflicts_with = "cards")]
    eim_configuration: Option<PathBuf>,
    /// Keep the cards in memory only
    #[arg(long, conflicts_with = "cards")]
    ram: bool,
    #[command(flatten)]
    faults: FaultOptions,
    #[command(flatten)]
    ready: ReadyOptions,
}

/// An open interface to a card.
enum OpenInterface {
    Tcp(TcpListener),
    Vpcd(String),
    At(ModemPort),
}

impl Serve {
    /// Serves cards until stopped. By default this is one card.
    ///
    /// # Errors
    /// A card, a socket or a serial port fails.
    pub(super) async fn run(
        self,
        (eid, strict): (Option<Eid>, bool),
        trace: &Trace,
        settings: &Settings,
        json: bool,
    ) -> Result<(), Fault> {
        let startup = self.ready.begin()?;
        let (world, _) = parties::os_world()?;
        let pki = Arc::new(crate::pki::load_or_init(settings)?);
        let mut entries = match &self.cards {
            Some(file) => cards::read(file)?,
            None => self.entries(eid),
        };
        if self.ipae.is_some() || self.eim_configuration.is_some() {
            self.check_iot()?;
            let eims = self.eim_configuration.as_deref().map(eim_configuration::read).transpose()?;
            let eims = eims.unwrap_or_default();
            entries.iter_mut().for_each(|entry| entry.make_iot(&eims, self.ipae));
        }
        if strict {
            entries.iter_mut().for_each(CardEntry::make_strict);
        }
        let addresses = cards::addresses(&entries, self.first_addresses(settings))?;
        let active_faults = self.faults.put(&FaultPoints::EUICC, settings)?;
        net::raise_open_files();
        let shared = Arc::new(Shared::default());
        let events: Arc<dyn Events> = Arc::new(Lines::new(world.now(), json));
        let mut served = Vec::with_capacity(entries.len());
        let mut tasks = JoinSet::new();
        let cards = entries.iter().zip(cards::eids(&pki, &entries)?).zip(addresses);
        for (number, ((entry, eid), place)) in cards.enumerate() {
            let open_card = {
                let (entry, settings, pki) = (entry.clone(), settings.clone(), Arc::clone(&pki));
                let (world, shared, faults) = (world.clone(), Arc::clone(&shared), active_faults.clone());
                let events = Arc::clone(&events);
                move || entry.open(eid, &settings, &pki, (&world, &shared, &events), &faults)
            };
            // The first card shows errors that all cards of --count have in common. The cards of a
            // file differ, so that each is opened now.
            let card = match number > 0 && self.cards.is_none() {
                true => BoxCardInterface::new(OnFirstUse::new(open_card)),
                false => open_card()?,
            };
            let card = trace.over(card, eid.to_string(), &world.clock);
            let (interface, address) = open(place).await?;
            served.push(ServedCard { eid, interface: entry.interface, address: address.clone() });
            match interface {
                OpenInterface::Tcp(listener) => {
                    tasks.spawn(async move {
                        net::card_interface::serve_card(listener, card).await;
                        Ok(())
                    });
                }
                OpenInterface::Vpcd(address) => {
                    tasks.spawn(async move {
                        let report = |insertion| remark(&reader_message(eid, &address, &insertion));
                        net::card_interface::connect_to_vpcd(&address, card, report).await;
                        Ok(())
                    });
                }
                OpenInterface::At(port) => {
                    let modem = modem(card, number, entry, settings, &pki)?;
                    tasks.spawn(serve_modem(port, modem));
                }
            }
        }
        if !json {
            print(&table(&served))?;
        }
        remark("Ctrl-C stops the cards");
        let first = served.first().map(|card| card.address.clone());
        let ready = Ready::of("euicc serve", settings).at_optional("euicc", first).with_cards(served);
        let stop = startup.announce(&ready, json)?;
        tokio::select! {
            Some(ended) = tasks.join_next() => ended.unwrap_or_else(|panic| Err(card_panicked(panic))),
            () = stop.requested() => Ok(()),
        }
    }

    /// Refuses the options of IoT cards for other cards.
    fn check_iot(&self) -> Result<(), Fault> {
        match self.kind {
            CardKind::Iot => Ok(()),
            CardKind::Consumer => {
                let why = "only IoT cards have an IPA and an eIM";
                Err(Fault::usage("cannot use --ipae or --eim-configuration", why, "add --kind iot"))
            }
        }
    }

    /// Returns the cards of the command line. [`cards::addresses`] assigns addresses to those
    /// without one.
    fn entries(&self, eid: Option<Eid>) -> Vec<CardEntry> {
        let memory = if self.ram { MemoryStorage::Ram } else { MemoryStorage::File };
        let interface = match (&self.vpcd, &self.modem) {
            (Some(_), _) => Interface::Vpcd,
            (None, Some(_)) => Interface::At,
            (None, None) => Interface::Tcp,
        };
        let link = self.modem.as_ref().filter(|link| !link.is_empty());
        (0..self.count)
            .map(|number| {
                let address = link.map(|link| match self.count {
                    1 => link.clone(),
                    _ => format!("{link}{number}"),
                });
                let (at_quirks, visible) = (self.modem_quirks.clone(), self.visible.clone());
                let kind = self.kind;
                CardEntry {
                    eid,
                    interface,
                    address,
                    memory,
                    at_quirks,
                    visible,
                    kind,
                    ..CardEntry::default()
                }
            })
            .collect()
    }

    fn first_addresses<'a>(&'a self, settings: &'a Settings) -> FirstAddresses<'a> {
        FirstAddresses { tcp: &settings.card, vpcd: self.vpcd.as_deref().unwrap_or(VPCD) }
    }
}

async fn open(place: CardAddress) -> Result<(OpenInterface, String), Fault> {
    Ok(match place {
        CardAddress::Tcp(mut address) => {
            let listener = parties::listen_at(&mut address, "--listen").await?;
            (OpenInterface::Tcp(listener), address)
        }
        CardAddress::Vpcd(address) => (OpenInterface::Vpcd(address.clone()), address),
        CardAddress::At(link) => {
            let port = ModemPort::open(link.as_deref())?;
            let address = port.address();
            (OpenInterface::At(port), address)
        }
    })
}

/// The card, which the modem and its LPA share.
type ModemCard = Slot<BoxCardInterface>;

fn modem(
    card: BoxCardInterface,
    number: usize,
    entry: &CardEntry,
    settings: &Settings,
    pki: &Pki,
) -> Result<at::AtModem<ModemCard>, Fault> {
    let radio = Client::default().link(&settings.network, None)?;
    let slot = Slot::new(card);
    let events = EventSource::silent(OsClock);
    let mut modem = Modem::new(slot.clone(), RemoteNetworks::new(radio), events.clone());
    modem.set_visible(entry.visible.clone());
    let tls = parties::device_tls(pki, &[Role::DpTls], Arc::new(OsClock))?;
    let client = parties::device_client(settings);
    let links = move |address: &SmdpAddress| client.link(address.as_str(), Some(tls.clone()));
    let lpa = Lpa::new(slot, links, LpaSettings::default(), events);
    let number = u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
    let modem = at::AtModem::new(modem, at::Identity::numbered(number), entry.at_quirks.clone());
    Ok(modem.with_lpa(lpa))
}

/// Runs a modem on its port. Returns only when the port fails.
async fn serve_modem(mut port: ModemPort, mut modem: at::AtModem<ModemCard>) -> Result<(), Fault> {
    let address = port.address();
    let broken = |error| {
        Fault::caused_by(error, format!("the port {address} of a modem failed"), "start the command again")
    };
    loop {
        port.write(&modem.settle().await).await.map_err(broken)?;
        let pause = if modem.is_search_due() { SEARCH_DURATION } else { SEARCH };
        tokio::select! {
            event = port.next() => match event.map_err(broken)? {
                PortEvent::Received(octets) => {
                    let answer = modem.receive(&octets).await;
                    port.write(&answer).await.map_err(broken)?;
                }
                PortEvent::Closed => modem.hang_up(),
            },
            () = modem.network_event() => {}
            () = sleep(pause) => modem.search_again(),
        }
    }
}

/// Converts the panic of a card's task into a fault.
fn card_panicked(panic: JoinError) -> Fault {
    Fault::caused_by(
        panic,
        "a card is no longer served",
        "start the command again, and report this internal error",
    )
}

fn table(served: &[ServedCard]) -> String {
    let mut table = Table::new(&["EID", "interface", "address"]);
    for ServedCard { eid, interface, address } in served {
        table.row([eid.to_string(), interface.to_string(), address.clone()]);
    }
    table.render()
}

/// Message for an event of a PC/SC reader.
fn reader_message(eid: Eid, address: &str, insertion: &Insertion) -> String {
    match insertion {
        Insertion::Inserted => format!("card {eid} is in the reader at {address}"),
        Insertion::Withdrawn => {
            format!("the reader at {address} disappeared; card {eid} waits for it")
        }
        Insertion::NoReader(fault) => format!("{fault:#}\ncard {eid} waits for the reader"),
        Insertion::CardFailed(fault) => format!("{fault:#}\ncard {eid} was removed from the reader"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_card_that_panics_is_a_fault() {
        let panic = tokio::spawn(async { panic!("panicking to") }).await.unwrap_err();
        assert!(card_panicked(panic).why.contains("panicking to"));
    }
}
