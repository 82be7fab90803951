//! Devices, each with a card of its own.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use certs::Pki;
use crypto::Curve;
use device::{DownloadOptions, Lpa, LpaSettings, Teller, lpa::Handled};
use euicc_sim::{Card, CardDescription, Quirk, Shared};
use net::{Client, ClientTls};
use rsp::{
    activation_code::ActivationCode,
    ids::{Eid, Iccid, SmdpAddress},
};
use serde::Serialize;
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};
use world::{Atr, CardDoor, DoorFault, Fault, Link, RamMemory, World};

use super::{Figures, Patience, Progress, link::measured};
use crate::parties;

/// The serial number of the first card: far from those of the cards that other commands use.
const FIRST_SERIAL: u64 = 1_000_001;
/// A download is begun again when the server has lost its session; it may do so more than once under load.
const DOWNLOAD_TRIES: u32 = 5;

/// What the devices have in common.
pub struct FleetOptions<'a> {
    /// Who vouches for the cards.
    pub pki: &'a Pki,
    /// Whom the devices trust.
    pub tls: ClientTls,
    /// How they find servers.
    pub client: Client,
    /// Clock and dice.
    pub world: World,
    /// How long they wait for a server that went away.
    pub patience: Patience,
    /// Where their calls are noted.
    pub figures: Figures,
    /// Whether their cards take segments of any length.
    pub long_segments: bool,
}

/// Devices that are ready to download.
pub struct Fleet {
    devices: Vec<Device>,
    figures: Figures,
}

struct Device {
    eid: Eid,
    lpa: Lpa<TimedCard>,
    busy: Arc<AtomicU64>,
}

/// How it ended for one device.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ending {
    /// Which device.
    pub eid: Eid,
    /// What its card holds now, whatever the device believes.
    pub on_card: Vec<Iccid>,
    /// Why it has not done what it should, if so.
    pub failure: Option<String>,
}

impl Fleet {
    /// Issues so many cards and puts each into a device.
    ///
    /// # Errors
    /// The PKI cannot issue cards.
    pub fn new(options: &FleetOptions<'_>, number: usize) -> Result<Self, Fault> {
        let serials = (FIRST_SERIAL..).take(number);
        let shared = Arc::new(Shared::default());
        let devices = serials
            .map(|serial| device(options, parties::eid_of_serial(options.pki, serial)?, &shared))
            .collect::<Result<_, _>>()?;
        Ok(Self { devices, figures: options.figures.clone() })
    }

    /// The devices' EIDs, in their order.
    pub fn eids(&self) -> Vec<Eid> {
        self.devices.iter().map(|device| device.eid).collect()
    }

    /// Every device downloads with its code, `at_once` of them at a time; tells how each ended, in their order.
    pub async fn download(self, codes: &[ActivationCode], at_once: usize) -> Vec<Ending> {
        let places = Arc::new(Semaphore::new(at_once));
        let progress = Arc::new(Progress::new("downloads", self.devices.len()));
        let mut under_way = JoinSet::new();
        for (number, (device, code)) in self.devices.into_iter().zip(codes).enumerate() {
            let (places, progress) = (Arc::clone(&places), Arc::clone(&progress));
            let (figures, code) = (self.figures.clone(), code.clone());
            under_way.spawn(async move {
                let _place = places.acquire_owned().await;
                let ending = device.run(&code, &figures).await;
                progress.step(ending.failure.is_none());
                (number, ending)
            });
        }
        let endings: BTreeMap<usize, Ending> = under_way.join_all().await.into_iter().collect();
        endings.into_values().collect()
    }
}

fn device(options: &FleetOptions<'_>, eid: Eid, shared: &Arc<Shared>) -> Result<Device, Fault> {
    let credentials = options
        .pki
        .euicc(Curve::P256, eid)
        .map_err(|e| Fault::caused_by(e, "no card", "choose another PKI"))?;
    let mut description = CardDescription::default_for(eid, &[credentials]);
    if options.long_segments {
        description.quirks.push(Quirk::LongSegments);
    }
    let card = Card::open_among(description, RamMemory::default(), options.world.clone(), shared)?;
    let busy = Arc::new(AtomicU64::new(0));
    let links = OwnConnections {
        client: options.client.clone(),
        tls: options.tls.clone(),
        patience: options.patience.clone(),
        figures: options.figures.clone(),
        open: Mutex::default(),
    };
    let settings = LpaSettings { request_tries: 1, download_tries: DOWNLOAD_TRIES, ..LpaSettings::default() };
    let lpa = Lpa::new(
        TimedCard { card, busy: Arc::clone(&busy) },
        move |address: &SmdpAddress| links.link(address),
        settings,
        Teller::silent(net::OsClock),
    );
    Ok(Device { eid, lpa, busy })
}

impl Device {
    async fn run(mut self, code: &ActivationCode, figures: &Figures) -> Ending {
        let began = Instant::now();
        let downloaded = self.download(code).await;
        figures.note("a whole download", began, downloaded.is_ok());
        let busy = Duration::from_nanos(self.busy.load(Ordering::Relaxed));
        figures.note_duration("of which the card", began, busy);
        let (on_card, listed) = match self.lpa.list().await {
            Ok(profiles) => (profiles.into_iter().filter_map(|profile| profile.iccid).collect(), Ok(())),
            Err(error) => (Vec::new(), Err(error.to_string())),
        };
        Ending { eid: self.eid, on_card, failure: downloaded.and(listed).err() }
    }

    async fn download(&mut self, code: &ActivationCode) -> Result<(), String> {
        let installed =
            self.lpa.download(code, DownloadOptions::default()).await.map_err(|e| e.to_string())?;
        match installed.notification.handled {
            Handled::Delivered => Ok(()),
            Handled::DeliveredButKept(why) | Handled::Kept(why) => {
                Err(format!("installed, but the SM-DP+ was not told: {why}"))
            }
        }
    }
}

/// A connection to each server, opened with the first request to it and kept.
struct OwnConnections {
    client: Client,
    tls: ClientTls,
    patience: Patience,
    figures: Figures,
    open: Mutex<BTreeMap<String, Link>>,
}

impl OwnConnections {
    fn link(&self, address: &SmdpAddress) -> Result<Link, Fault> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = open.get(address.as_str()) {
            return Ok(link.clone());
        }
        let link = self.client.link(address.as_str(), Some(self.tls.clone()))?;
        let link = self.patience.round(measured(link, "ES9+", &self.figures));
        open.insert(address.to_string(), link.clone());
        Ok(link)
    }
}

/// A card that adds up how long it works.
struct TimedCard {
    card: Card,
    busy: Arc<AtomicU64>,
}

impl CardDoor for TimedCard {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, DoorFault> {
        let began = Instant::now();
        let answer = CardDoor::transmit(&mut self.card, command).await;
        self.busy.fetch_add(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        answer
    }

    async fn reset(&mut self) -> Result<Atr, DoorFault> {
        CardDoor::reset(&mut self.card).await
    }
}
