//! Devices of a load test, each with its own card.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use certs::Pki;
use device::{DownloadOptions, EventSource, Lpa, LpaSettings, lpa::Handled};
use euicc_sim::{Card, CardDescription, Shared};
use net::{Client, ClientTls};
use rsp::{
    activation_code::ActivationCode,
    ids::{Eid, Iccid, SmdpAddress},
};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};
use world::{Atr, CardInterface, CardInterfaceFault, Fault, Link, RamMemory, World};

use super::{Figures, RetryPolicy, link::measured};
use crate::{parties, progress::Progress};

/// Serial number of the first card. Other commands use much lower serial numbers, so that their
/// cards differ from those of the load test.
const FIRST_SERIAL: u64 = 1_000_001;
/// Attempts per download. A server may lose a session under load, which requires a new download.
const DOWNLOAD_TRIES: u32 = 5;

/// Settings common to all devices.
pub struct FleetOptions<'a> {
    /// PKI that issues the cards' certificates.
    pub pki: &'a Pki,
    /// Trust anchors of the devices.
    pub tls: ClientTls,
    /// Client that resolves the server names.
    pub client: Client,
    /// Clock and random source.
    pub world: World,
    /// Retry policy for an unreachable server.
    pub retry_policy: RetryPolicy,
    /// Collection of the measured latencies.
    pub figures: Figures,
    /// True if the cards are strict ([`CardDescription::strict`]).
    pub strict: bool,
    /// True if the progress is printed as JSON.
    pub json: bool,
}

/// Devices that are ready to download.
pub struct Fleet {
    devices: Vec<Device>,
    figures: Figures,
    json: bool,
}

struct Device {
    eid: Eid,
    lpa: Lpa<TimedCard>,
    busy: Arc<AtomicU64>,
}

/// Outcome for one device.
#[derive(Clone, Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ending {
    /// EID of the device's card.
    pub eid: Eid,
    /// ICCIDs on the card after the download, read from the card itself.
    pub on_card: Vec<Iccid>,
    /// Reason of the failure, if there was one.
    pub failure: Option<String>,
}

impl Fleet {
    /// Issues `number` cards and puts each into a device.
    ///
    /// # Errors
    /// The PKI cannot issue cards.
    pub fn new(options: &FleetOptions<'_>, number: usize) -> Result<Self, Fault> {
        let serials = (FIRST_SERIAL..).take(number);
        let shared = Arc::new(Shared::default());
        let devices = serials
            .map(|serial| device(options, parties::eid_of_serial(options.pki, serial)?, &shared))
            .collect::<Result<_, _>>()?;
        Ok(Self { devices, figures: options.figures.clone(), json: options.json })
    }

    /// Returns the EIDs of the devices, in order.
    pub fn eids(&self) -> Vec<Eid> {
        self.devices.iter().map(|device| device.eid).collect()
    }

    /// Lets every device download with its code, `at_once` devices concurrently. Returns the
    /// outcomes in the order of the devices.
    pub async fn download(self, codes: &[ActivationCode], at_once: usize) -> Vec<Ending> {
        let places = Arc::new(Semaphore::new(at_once));
        let progress = Arc::new(Progress::new("downloads", self.devices.len(), self.json));
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
    let credentials = options.pki.euicc(options.pki.tls_curve(), eid).map_err(|e| {
        Fault::usage_caused_by(e, "cannot issue a card", "choose a PKI with the key of the EUM")
    })?;
    let mut description = CardDescription::default_for(eid, &[credentials]);
    description.strict = options.strict;
    let card = Card::open_among(description, RamMemory::default(), options.world.clone(), shared)?;
    let busy = Arc::new(AtomicU64::new(0));
    let links = OwnConnections {
        client: options.client.clone(),
        tls: options.tls.clone(),
        retry_policy: options.retry_policy.clone(),
        figures: options.figures.clone(),
        open: Mutex::default(),
    };
    let settings = LpaSettings { request_tries: 1, download_tries: DOWNLOAD_TRIES, ..LpaSettings::default() };
    let lpa = Lpa::new(
        TimedCard { card, busy: Arc::clone(&busy) },
        move |address: &SmdpAddress| links.link(address),
        settings,
        EventSource::silent(net::OsClock),
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
                Err(format!("installed, but the notification was not delivered: {why}"))
            }
        }
    }
}

/// Connections of one device. The first request to a server opens a connection, which is kept.
struct OwnConnections {
    client: Client,
    tls: ClientTls,
    retry_policy: RetryPolicy,
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
        let link = self.retry_policy.wrap(measured(link, "ES9+", &self.figures));
        open.insert(address.to_string(), link.clone());
        Ok(link)
    }
}

/// A card that measures its total processing time.
struct TimedCard {
    card: Card,
    busy: Arc<AtomicU64>,
}

impl CardInterface for TimedCard {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        let began = Instant::now();
        let answer = CardInterface::transmit(&mut self.card, command).await;
        self.busy.fetch_add(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        answer
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        CardInterface::reset(&mut self.card).await
    }
}
