//! The parties of the consumer swap (SGP.22) in one process: an SM-DP+, its operator, the networks of two countries, and a
//! device with its card; links, records, memories and the air each with what goes wrong there.
//!
//! The device left its factory with a profile of one country and roams in another, whose operator has a local profile in
//! stock for it. [`Start`] is that moment; any number of [`Consumer`]s begin from it.

mod truth;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use certs::Pki;
use crypto::Curve;
use device::{Device, DownloadOptions, Ending, Lpa, LpaSettings, Modem, Pause, Recovery, Slot, Teller};
use euicc_sim::{Card, CardDescription};
use http::Request;
use network::{Network, Networks, Policy, SubscriberServer};
use rsp::activation_code::ActivationCode;
use rsp::ids::{Eid, Iccid, Plmn, SmdpAddress, Version};
use rsp::sgp22::es2plus::{
    self, CancelOrderRequest, ConfirmOrderReply, ConfirmOrderRequest, DownloadOrderReply,
    DownloadOrderRequest, FinalProfileStatusIndicator,
};
use rsp::sgp22::json::{self, Answer, RequestHeader};
use sm_dp::{Config, Credentials, ProfileOptions, SmDpPlus};
use tokio::time::sleep;
use world::{
    BoxFuture, Cells, Clock, Events, Fault, Link, Memory, MemoryEvents, MemoryRecords, PeerCertificate,
    RamMemory, World, link_from,
};

use crate::bearer::Carrier;
use crate::host::Host;
use crate::subscription::{Subscription, own_package};
use crate::time::Simulation;
use faults::{FaultInjector, FaultyMemory, FaultyRadio, Power, PoweredDoor, TamperingPeer};

pub use truth::Truth;

/// Where the SM-DP+ is.
pub const SM_DP: &str = "smdpp.landfall.example";
/// What the records of the SM-DP+ are called as a place of faults.
pub const SM_DP_PLACE: &str = "sm-dp";
/// At home to the profile that the device comes with.
pub const BOOTSTRAP: &str = "234-99";
/// Where that one roams.
pub const VISITED: &str = "262-41";
/// At home to the local profile, which no other network takes.
pub const LOCAL: &str = "262-42";
/// The operator of the local profile.
pub(crate) const OPERATOR: &str = "Landfall Test Operator";

/// What stays the same from run to run.
#[derive(Clone)]
pub struct Setup {
    /// Certificates and keys of everybody.
    pub pki: Arc<Pki>,
    /// What lies between the device and the SM-DP+; nothing takes no time.
    pub carrier: Option<Carrier>,
}

/// The moment from which a device is moved: what everybody has written down.
#[derive(Clone)]
pub struct Start {
    /// The profile that the device comes with.
    pub bootstrap: Iccid,
    /// The profile that it is to have.
    pub local: Iccid,
    /// With which it downloads that.
    pub code: ActivationCode,
    card: Cells,
    device: Cells,
    records: MemoryRecords,
    homes: Vec<(Plmn, Cells)>,
}

/// One run.
pub struct Consumer {
    /// Everything that was told.
    pub events: MemoryEvents,
    /// What goes wrong. Nothing does until it is put here.
    pub mishaps: FaultInjector,
    /// The SM-DP+.
    pub sm_dp: Host<SmDpPlus>,
    /// The networks, as they are without mishaps.
    pub networks: Arc<Networks>,
    /// The device.
    pub device: PoweredDevice,
    /// The power of device and card.
    pub power: Power,
    /// The profiles.
    pub start: Start,
    setup: Setup,
    simulation: Simulation,
    card_memory: RamMemory,
    device_memory: RamMemory,
    records: MemoryRecords,
    homes: Vec<(Plmn, RamMemory)>,
    powered: u32,
}

/// A device with its card in it, on a power that may go.
pub type PoweredDevice = Device<Slot<PoweredDoor<Card>>>;

/// A device waits longer before each further try.
pub(crate) struct Waits;

impl Pause for Waits {
    fn before(&self, next: u32) -> BoxFuture<'_, ()> {
        Box::pin(sleep(Duration::from_secs(10) * next))
    }
}

impl Start {
    /// Makes the device, gives it its first profile over the air, ships it, and orders the local one.
    ///
    /// # Errors
    /// The PKI has no card or no operator, or what is to go well did not.
    pub async fn prepare(simulation: &Simulation, setup: &Setup) -> Result<Self, Fault> {
        let packages = [own_package(BOOTSTRAP, 1, "Bootstrap")?, own_package(LOCAL, 2, "Local")?];
        let [first, second] = [Subscription::of(&packages[0])?, Subscription::of(&packages[1])?];
        let code = ActivationCode {
            smdp_address: address(SM_DP)?,
            matching_id: String::new(),
            smdp_oid: None,
            confirmation_code_required: false,
        };
        let empty = Self {
            bootstrap: first.iccid,
            local: second.iccid,
            code,
            card: Cells::new(),
            device: Cells::new(),
            records: MemoryRecords::default(),
            homes: vec![(first.home, Cells::new()), (second.home, Cells::new())],
        };
        let mut run = Consumer::begin(simulation, setup, &empty)?;
        for (package, subscription) in packages.iter().zip([&first, &second]) {
            run.stocked()?.add_profile(package, &ProfileOptions::default()).await?;
            let home = run.networks.home_of(subscription.imsi).ok_or_else(|| unexpected("no home"))?;
            home.provision(subscription.imsi, subscription.subscriber.clone())?;
        }
        let code = run.order(first.iccid).await?;
        let report = run.device.move_to(&code, DownloadOptions::default(), None).await;
        let Ending::Moved(_) = report.ending else {
            return Err(unexpected(&format!("the first profile: {:?}", report.ending)));
        };
        let code = run.order(second.iccid).await?;
        let Consumer { card_memory, device_memory, records, homes, .. } = &run;
        let homes = homes.iter().map(|(plmn, home)| Ok((*plmn, home.load()?)));
        Ok(Self {
            code,
            card: card_memory.load()?,
            device: device_memory.load()?,
            records: records.copied(),
            homes: homes.collect::<Result<_, Fault>>()?,
            ..empty
        })
    }
}

impl Consumer {
    /// A run from here on, on copies of what everybody has written down. The device has power and is not registered.
    ///
    /// # Errors
    /// The PKI has no card, or what was written down cannot be read.
    pub fn begin(simulation: &Simulation, setup: &Setup, start: &Start) -> Result<Self, Fault> {
        let events = MemoryEvents::default();
        let liar = TamperingPeer::new(Arc::clone(&setup.pki));
        let mishaps = FaultInjector::new(simulation.dice("mishaps"), []).with_liar(liar);
        let records = start.records.copied();
        let at = (SM_DP_PLACE, SM_DP.to_owned());
        let alone = |server, _| server;
        let sm_dp = sm_dp_host(simulation, &setup.pki, at, events.clone(), &mishaps, &records, alone)?;
        let networks = Arc::new(Networks::new(simulation.world("networks")));
        let mut homes = Vec::new();
        for (home, cells) in &start.homes {
            let memory = RamMemory::of(cells.clone());
            let server = SubscriberServer::open(*home, memory.clone(), simulation.world(&home.to_string()))?;
            networks.put_home(Arc::new(server));
            homes.push((*home, memory));
        }
        let roaming = Policy::with_partners([plmn(BOOTSTRAP)?]);
        networks.put(Network::new(plmn(VISITED)?, "Visited", "DE").with_policy(roaming));
        networks.put(Network::new(plmn(LOCAL)?, "Local", "DE").with_policy(Policy::with_partners([])));
        let (card_memory, device_memory) =
            (RamMemory::of(start.card.clone()), RamMemory::of(start.device.clone()));
        let parts = Parts { simulation, setup, events: &events, mishaps: &mishaps, sm_dp: &sm_dp };
        let (device, power) = parts.device(&networks, &card_memory, &device_memory, 1)?;
        Ok(Self {
            events,
            mishaps,
            sm_dp,
            networks,
            device,
            power,
            start: start.clone(),
            setup: setup.clone(),
            simulation: simulation.clone(),
            card_memory,
            device_memory,
            records,
            homes,
            powered: 1,
        })
    }

    /// Takes the power from device and card, and gives it back: only what was written down is left.
    ///
    /// # Errors
    /// What was written down cannot be read.
    pub fn power_cycle(&mut self) -> Result<(), Fault> {
        self.powered = self.powered.saturating_add(1);
        let Self { simulation, setup, events, mishaps, sm_dp, .. } = &*self;
        let parts = Parts { simulation, setup, events, mishaps, sm_dp };
        (self.device, self.power) =
            parts.device(&self.networks, &self.card_memory, &self.device_memory, self.powered)?;
        Ok(())
    }

    /// Moves the device to the local profile, until that has ended or the power is gone; none if it is.
    pub async fn move_to_local(&mut self, code: &ActivationCode, options: DownloadOptions) -> Option<Ending> {
        let power = self.power.clone();
        tokio::select! {
            biased;
            () = power.gone() => None,
            report = self.device.move_to(code, options, None) => Some(report.ending),
        }
    }

    /// Has the device recover, as it does by itself once it has power, until it is registered. Gives how long it took.
    ///
    /// # Errors
    /// It has not come back within this time; says what it said last.
    pub async fn settle(&mut self, within: Duration) -> Result<Duration, Fault> {
        let clock = self.simulation.clock();
        let (began, mut last) = (clock.elapsed(), String::from("nothing"));
        while clock.elapsed() - began <= within {
            if self.power.is_gone() {
                self.power_cycle()?;
            } else if self.device.modem.registered().is_some() {
                return Ok(clock.elapsed() - began);
            }
            let power = self.power.clone();
            tokio::select! {
                biased;
                () = power.gone() => last = "the power went".to_owned(),
                recovery = self.device.recover() => match recovery {
                    Recovery::Working { .. } => {}
                    not => last = format!("{not:?}"),
                },
            }
            if self.device.modem.registered().is_none() {
                sleep(Duration::from_secs(60)).await;
            }
        }
        Err(Fault::new("the device does not come back", last, "look at what was told"))
    }

    /// ES2+: orders, confirms and releases a profile.
    ///
    /// # Errors
    /// The SM-DP+ does not do it.
    pub async fn order(&self, iccid: Iccid) -> Result<ActivationCode, Fault> {
        let header = self.header()?;
        let order = DownloadOrderRequest {
            header: header.clone(),
            eid: None,
            iccid: Some(iccid),
            profile_type: None,
        };
        let _: DownloadOrderReply = self.es2plus("downloadOrder", &order).await?;
        let confirm = ConfirmOrderRequest {
            header,
            iccid,
            eid: None,
            matching_id: None,
            confirmation_code: None,
            smds_address: None,
            release_flag: true,
        };
        let reply: ConfirmOrderReply = self.es2plus("confirmOrder", &confirm).await?;
        Ok(ActivationCode { matching_id: reply.matching_id, ..self.start.code.clone() })
    }

    /// ES2+: cancels the order of a profile, which can be ordered again then.
    ///
    /// # Errors
    /// The SM-DP+ does not do it.
    pub async fn cancel_order(&self, iccid: Iccid) -> Result<(), Fault> {
        let cancel = CancelOrderRequest {
            header: self.header()?,
            iccid,
            eid: None,
            matching_id: None,
            final_profile_status_indicator: FinalProfileStatusIndicator::Available,
        };
        self.es2plus::<serde::de::IgnoredAny>("cancelOrder", &cancel).await.map(drop)
    }

    async fn es2plus<R: serde::de::DeserializeOwned>(
        &self,
        function: &str,
        body: &impl serde::Serialize,
    ) -> Result<R, Fault> {
        let mut request = json::request(&es2plus::path(function), Version([2, 5, 0]), body);
        let certificate = self.setup.pki.operator(OPERATOR).map_err(bad_pki)?.certificate;
        request.extensions_mut().insert(PeerCertificate(certificate.der().to_vec()));
        match json::answer(&world::send(&self.sm_dp.link(), request).await?) {
            Ok(Answer::Done(reply)) => Ok(reply),
            Ok(Answer::Refused(status)) => Err(unexpected(&format!("{function}: {status}"))),
            Err(why) => Err(unexpected(&format!("{function}: {why}"))),
        }
    }

    fn header(&self) -> Result<RequestHeader, Fault> {
        let certificate = self.setup.pki.operator(OPERATOR).map_err(bad_pki)?.certificate;
        let oid = certificate.registered_ids().first().map(ToString::to_string);
        Ok(RequestHeader {
            function_requester_identifier: oid.ok_or_else(|| unexpected("the operator has no OID"))?,
            function_call_identifier: "call".to_owned(),
        })
    }

    /// The EID of the card.
    ///
    /// # Errors
    /// The PKI has none.
    pub fn eid(&self) -> Result<Eid, Fault> {
        eid(&self.setup.pki)
    }

    fn stocked(&self) -> Result<SmDpPlus, Fault> {
        self.sm_dp.party().ok_or_else(|| unexpected("the SM-DP+ does not run"))
    }
}

/// An SM-DP+ on these records: what it is called as a place of faults, and where devices find it.
pub(crate) fn sm_dp_host(
    simulation: &Simulation,
    pki: &Pki,
    (name, at): (&str, String),
    events: impl Events + Clone + 'static,
    mishaps: &FaultInjector,
    records: &MemoryRecords,
    started: impl Fn(SmDpPlus, u32) -> SmDpPlus + Send + Sync + 'static,
) -> Result<Host<SmDpPlus>, Fault> {
    let credentials = Credentials::from_pki(pki).map_err(bad_pki)?;
    let config = Config::new(address(&at)?);
    let simulation = simulation.clone();
    let make = move |records, starts| {
        // A process that is started again throws other dice: those of the first are used up.
        let world = simulation.world(&format!("SM-DP+ {at} {} {starts}", simulation.clock().now()));
        let server =
            SmDpPlus::new(config.clone(), credentials.clone(), records, world, Arc::new(events.clone()));
        let server = started(server, starts);
        let link = server.link();
        (server, link)
    };
    Ok(Host::start(name, Arc::new(records.clone()), mishaps.clone(), make))
}

/// Of which a device is made again and again.
struct Parts<'a> {
    simulation: &'a Simulation,
    setup: &'a Setup,
    events: &'a MemoryEvents,
    mishaps: &'a FaultInjector,
    sm_dp: &'a Host<SmDpPlus>,
}

impl Parts<'_> {
    fn device(
        &self,
        networks: &Arc<Networks>,
        card_memory: &RamMemory,
        device_memory: &RamMemory,
        powered: u32,
    ) -> Result<(PoweredDevice, Power), Fault> {
        let Self { simulation, setup, events, mishaps, sm_dp } = self;
        let power = Power::default();
        let memory = |whose, memory: &RamMemory| {
            FaultyMemory::new(whose, memory.clone(), (*mishaps).clone(), power.clone())
        };
        let eid = eid(&setup.pki)?;
        let credentials = [setup.pki.euicc(Curve::P256, eid).map_err(bad_pki)?];
        let description = CardDescription::default_for(eid, &credentials);
        let world: World = simulation.world(&format!("card {} {powered}", simulation.clock().now()));
        let card = Card::open(description, memory("card", card_memory), world)?;
        let slot = Slot::new(PoweredDoor::of_device(card, power.clone()));
        let mut link = mishaps.link(sm_dp.link());
        if let Some(carrier) = &setup.carrier {
            link = carrier.link(link)?;
        }
        let link = power.link(link);
        let links = move |asked: &SmdpAddress| -> Result<Link, Fault> {
            match asked.as_str() == SM_DP {
                true => Ok(link.clone()),
                false => Ok(nowhere(asked)),
            }
        };
        let teller = Teller::new("device", simulation.clock(), (*events).clone());
        let radio = FaultyRadio::new(Arc::clone(networks), (*mishaps).clone());
        let lpa = Lpa::new(slot.clone(), links, LpaSettings::default(), teller.named("LPA"));
        let modem = Modem::new(slot, radio, teller.named("modem"));
        let mut device = Device::new(lpa, modem, memory("device", device_memory), teller).with_pause(Waits);
        device.set_visible(vec![plmn(VISITED)?, plmn(LOCAL)?]);
        Ok((device, power))
    }
}

/// A link to a name that nobody has.
pub(crate) fn nowhere(asked: &SmdpAddress) -> Link {
    let peer = asked.to_string();
    link_from(tower::service_fn(move |_: Request<Bytes>| {
        let why = "nobody in this simulation has the name";
        let fault = world::LinkFault::new(world::LinkFaultKind::Unresolved, peer.clone(), why);
        async { Err::<http::Response<Bytes>, _>(fault) }
    }))
}

fn eid(pki: &Pki) -> Result<Eid, Fault> {
    pki.eids(Curve::P256).first().copied().ok_or_else(|| unexpected("the PKI has no eUICC"))
}

fn plmn(text: &str) -> Result<Plmn, Fault> {
    text.parse().map_err(|_| unexpected(text))
}

fn address(text: &str) -> Result<SmdpAddress, Fault> {
    text.parse().map_err(|_| unexpected(text))
}

pub(crate) fn bad_pki(why: impl std::error::Error + Send + Sync + 'static) -> Fault {
    Fault::caused_by(
        why,
        "cannot lay out the parties",
        "give a PKI with a CI, an SM-DP+, an EUM and an operator",
    )
}

fn unexpected(why: &str) -> Fault {
    Fault::new("cannot lay out the parties of a swap", why, "report this")
}
