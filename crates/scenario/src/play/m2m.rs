//! M2M devices (SGP.02): cards that stay on in devices without an LPA. The SM-SR reaches them by
//! short messages over the bearer of their network. Their operator orders profiles, and its agent
//! (`m2m_agent`) checks in at the platform for them. A card that loses its network falls back by
//! itself.

mod m2m_agent;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use device::{AlwaysOnSettings, EventSource, Modem, Online, Registered, Slot};
use euicc_sim::m2m::{StoredIsdP, stored_isd_ps};
use euicc_sim::{Card, CardDescription};
use fleet::CardProfile;
use localize::{Orderable, ProfileType};
use network::{
    AttachAccept, AttachId, AttachReject, AttachRequest, AuthenticationResponse, MobileOriginated,
    MobileTerminated, NetworkAnswer, Networks, Radio, RadioFuture, RpAnswer, RpCause, RpReport,
    SystemInformation,
};
use rsp::ids::{Eid, Iccid, Imsi, Plmn};
use rsp::sgp02::ExecutionStatus;
use world::{Fault, Memory as _, PhoneNumber};

use super::channels::{Channels, Line};
use super::dormant_device::DormantDevice;
use super::factory::{FIRST_IN_STOCK, package, subscribe};
use super::imei::{imei, told_imei};
use super::internal_fault::bug;
use super::online_devices::{M2m, OnlineDevice};
use super::owner;
use super::radio_environment::DeviceRadio;
use super::simulated_world::SimulatedWorld;
use crate::file::{self, M2mOperation, ReachedBy};
use crate::report::Kind;
use faults::{FaultyMemory, FaultyRadio, Power, PoweredCard};
use testbed::bearer::Carrier;
use testbed::fault_places::SmSrPlace;
use testbed::m2m::Bearer;
use testbed::m2m::factory::FirstProfile;
use testbed::m2m::{FunctionResult, M2mTestbed};
use testbed::subscription::{OwnIdentities, Subscription};

/// Time for which a device stays without power after a power cut during a write, or after its card
/// has stopped answering.
const AWAY: Duration = Duration::from_secs(30);
/// Interval of the network search of a device without service.
const SEARCH: Duration = Duration::from_secs(300);

/// An operation that the operator requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Download and enable a profile of this operator.
    Download(Plmn),
    /// Enable the profile of this operator.
    Enable(Plmn),
    /// Disable the profile of this operator, which enables the profile with the fall-back
    /// attribute.
    Disable(Plmn),
    /// Delete the profile of this operator.
    Delete(Plmn),
    /// Read the state of the card.
    Audit,
    /// Hand the card over to this SM-SR.
    ChangeSmSr(SmSrPlace),
}

/// Creates the stock of an operator and its subscribers.
pub(super) async fn stock(
    operator: &file::Operator,
    networks: &Networks,
    testbed: &M2mTestbed,
) -> Result<(), Fault> {
    for number in 0..u64::from(*operator.stock.get_ref()) {
        let number = FIRST_IN_STOCK + number;
        let package = package(operator, number, &OwnIdentities::default())?;
        let subscription = subscribe(networks, &package, std::slice::from_ref(operator))?;
        let msisdn = with_number(networks, &subscription, number)?;
        testbed.put_in_stock(&package, subscription.iccid, &owner::type_of(operator), &msisdn).await?;
    }
    Ok(())
}

/// Creates a card with the profile of this subscriber in its delivery state, and registers it at
/// the SM-SR.
pub(super) async fn card(
    testbed: &M2mTestbed,
    networks: &Networks,
    eid: Eid,
    serial: u64,
    operator: &file::Operator,
    reached_by: ReachedBy,
) -> Result<CardDescription, Fault> {
    let reached_by = match reached_by {
        ReachedBy::Sms => Bearer::Sms,
        ReachedBy::Https => Bearer::Https,
    };
    let package = package(operator, serial, &OwnIdentities::default())?;
    let msisdn = with_number(networks, &Subscription::of(&package)?, serial)?;
    let first = FirstProfile { package, operator: testbed.operator().clone(), msisdn };
    testbed.register(eid, &first, reached_by).await?;
    testbed.card(eid, &first, reached_by)
}

/// Assigns an MSISDN to a subscriber.
fn with_number(networks: &Networks, subscription: &Subscription, number: u64) -> Result<PhoneNumber, Fault> {
    let Subscription { imsi, home, .. } = subscription;
    let msisdn = PhoneNumber::international(format!("{}{:0>3}{number:08}", home.mcc(), home.mnc()));
    let msisdn = msisdn.map_err(|_| bug("a subscriber has no number"))?;
    let server = networks.home_of(*imsi).ok_or_else(|| bug("a subscriber has no home network"))?;
    let subscriber = server.subscriber(*imsi).ok_or_else(|| bug("a subscriber is missing"))?;
    server.provision(*imsi, subscriber.with_msisdn(msisdn.clone()))?;
    Ok(msisdn)
}

impl SimulatedWorld {
    /// Powers up the M2M devices, which stay on until the run ends.
    pub(super) fn switch_on(self: &Arc<Self>) {
        let Some(m2m) = &self.parties.m2m else { return };
        let _ = self.this.set(Arc::downgrade(self));
        for index in m2m.online_devices.keys().copied() {
            tokio::task::spawn_local(run_device(Arc::downgrade(self), index));
            tokio::task::spawn_local(m2m_agent::run(Arc::downgrade(self), index));
        }
    }

    fn online_device(&self, index: usize) -> Option<&OnlineDevice> {
        self.parties.m2m.as_ref()?.online_devices.get(&index)
    }

    /// Returns true if the device is an M2M device. In that case it scans for the networks at its
    /// place.
    pub(super) fn scan_networks(&self, index: usize) -> bool {
        let Some(online_device) = self.online_device(index) else { return false };
        let Some(mut device) = self.device(index) else { return true };
        device.activity.alarm = None;
        if device.activity.has_power {
            online_device.has_power.notify_one();
        }
        if let Some(handle) = &*online_device.handle() {
            if device.service.registered.is_none() {
                handle.set_visible(Vec::new());
            }
            handle.set_visible(device.hears.to_vec());
        }
        true
    }

    /// The ISD-Ps of an M2M card. `None` for other cards.
    pub(super) fn isd_ps(&self, index: usize) -> Result<Option<Vec<StoredIsdP>>, Fault> {
        let (Some(_), Some(device)) = (self.online_device(index), self.device(index)) else {
            return Ok(None);
        };
        stored_isd_ps(device.card.memory()?.load()?, device.eid).map(Some)
    }

    /// Updates the stored profiles from the card. Returns the enabled one.
    fn update_from_card(&self, device: &mut DormantDevice) -> Result<Option<Iccid>, Fault> {
        let card = stored_isd_ps(device.card.memory()?.load()?, device.eid)?;
        let home = |iccid| self.home_of_profile(iccid);
        let of = |isd_p: &StoredIsdP| {
            Some(CardProfile { iccid: isd_p.iccid?, enabled: isd_p.is_enabled, home: home(isd_p.iccid?) })
        };
        device.profiles = card.iter().filter_map(of).collect();
        Ok(card.iter().find(|isd_p| isd_p.is_enabled).and_then(|isd_p| isd_p.iccid))
    }

    /// Records a registration.
    fn attached(&self, index: usize, accept: &AttachAccept, imsi: Imsi) {
        let Some(mut device) = self.device(index) else { return };
        let Ok(Some(iccid)) = self.update_from_card(&mut device) else { return };
        let AttachAccept { plmn, network_name, country, service, .. } = accept.clone();
        // The modem searches for its home network by itself.
        let (at, home_search) = (self.now(), None);
        let with = Registered { plmn, network_name, country, service, imsi, iccid, at, home_search };
        self.register(index, &mut device, &with);
        self.notify_agent(device.eid);
    }

    /// Notifies the agent of the operator that the location or the profiles of a device may have
    /// changed.
    fn notify_agent(&self, eid: Eid) {
        if let Some(m2m) = &self.parties.m2m {
            m2m.testbed.notifications(eid).notify_one();
        }
    }

    /// Records the end of a registration. `has_left` is true if the device ended the registration
    /// itself, and false if it noticed a loss.
    fn detached(&self, index: usize, has_left: bool) {
        if let Some(mut device) = self.device(index) {
            device.service.lost |= device.service.registered.is_some() && !has_left;
            self.unregister(&mut device);
        }
    }

    /// Requests an operation of the operator on each of these devices.
    pub(super) fn order(&self, devices: Vec<usize>, order: Order, validity: Duration) {
        let Some(sim) = self.this.get().and_then(Weak::upgrade) else { return };
        for index in devices {
            let sim = Arc::clone(&sim);
            tokio::task::spawn_local(async move {
                if let Err(fault) = sim.execute(index, order, validity).await
                    && let Some(device) = sim.device(index)
                {
                    sim.add_event(Kind::Failed, &device, &fault.to_string());
                }
            });
        }
    }

    async fn execute(&self, index: usize, order: Order, validity: Duration) -> Result<(), Fault> {
        let Some(M2m { testbed, .. }) = &self.parties.m2m else { return Ok(()) };
        let (eid, of) = {
            let Some(mut device) = self.device(index) else { return Ok(()) };
            self.update_from_card(&mut device)?;
            let of = |plmn| {
                let held = device.profiles.iter().find(|profile| profile.home == Some(plmn));
                held.map(|held| held.iccid).ok_or_else(|| no_profile(plmn))
            };
            let of = match order {
                Order::Enable(plmn) | Order::Disable(plmn) | Order::Delete(plmn) => Some(of(plmn)?),
                Order::Download(_) | Order::Audit | Order::ChangeSmSr(_) => None,
            };
            (device.eid, of)
        };
        let answer = match (order, of) {
            (Order::Download(plmn), _) => testbed.download(eid, &self.type_of(plmn)?, validity).await,
            (Order::ChangeSmSr(to), _) => testbed.change_sm_sr(eid, to, validity).await,
            (Order::Enable(_), Some(iccid)) => testbed.enable(eid, iccid, validity).await,
            (Order::Disable(_), Some(iccid)) => testbed.disable(eid, iccid, validity).await,
            (Order::Delete(_), Some(iccid)) => testbed.delete(eid, iccid, validity).await,
            _ => testbed.audit(eid, validity).await,
        };
        self.answered(index, order, answer)
    }

    fn answered(
        &self,
        index: usize,
        order: Order,
        answer: Result<FunctionResult, Fault>,
    ) -> Result<(), Fault> {
        let Some(mut device) = self.device(index) else { return Ok(()) };
        self.update_from_card(&mut device)?;
        let status = answer.as_ref().map(|answer| answer.base.function_execution_status.status);
        let is_done = status.as_ref().is_ok_and(|status| *status == ExecutionStatus::ExecutedSuccess);
        let iccid = answer.as_ref().ok().and_then(|answer| answer.iccid);
        let is_there = |device: &DormantDevice, iccid| device.profiles.iter().any(|held| held.iccid == iccid);
        match (order, iccid) {
            (Order::Delete(_), Some(iccid)) => device.expected_profiles.retain(|other| *other != iccid),
            (Order::Download(_), Some(iccid)) if is_there(&device, iccid) => {
                device.expected_profiles.push(iccid)
            }
            _ => {}
        }
        let counts = &mut device.counts;
        let counted = match (order, is_done, iccid) {
            (Order::Download(_) | Order::Enable(_), true, _) => Some(&mut counts.moved),
            (Order::Download(_), false, None) => Some(&mut counts.not_installed),
            (Order::Download(_) | Order::Enable(_), false, _) => Some(&mut counts.came_back),
            _ => None,
        };
        if let Some(counted) = counted {
            *counted = counted.saturating_add(1);
        }
        let result = match &answer {
            Ok(answer) => answer.base.function_execution_status.to_string(),
            Err(fault) => fault.to_string(),
        };
        let kind = if is_done { Kind::Moved } else { Kind::Failed };
        self.add_event(kind, &device, &format!("{}: {result}", order.function()));
        self.notify_agent(device.eid);
        Ok(())
    }

    fn type_of(&self, plmn: Plmn) -> Result<Orderable, Fault> {
        let operator = self.scenario.operators.iter().find(|operator| *operator.network.get_ref() == plmn);
        let operator = operator.ok_or_else(|| bug("the operator does not exist"))?;
        Ok(Orderable::ProfileType(ProfileType(owner::type_of(operator))))
    }

    /// Records the traffic of a device over a bearer.
    pub(super) fn used(&self, index: usize, bearer: &str, octets: u64, messages: u64) {
        if let Some(mut device) = self.device(index) {
            device.counts.octets = device.counts.octets.saturating_add(octets);
        }
        self.spend(bearer, octets, messages);
    }
}

impl Order {
    /// The operation of a step. `None` if it needs an operator and the step has none.
    pub(super) fn of(what: M2mOperation, operator: Option<Plmn>) -> Option<Self> {
        match what {
            M2mOperation::Download => operator.map(Self::Download),
            M2mOperation::Disable => operator.map(Self::Disable),
            M2mOperation::Audit => Some(Self::Audit),
        }
    }

    fn function(self) -> &'static str {
        match self {
            Self::Download(_) => "ES2.DownloadProfile",
            Self::Enable(_) => "ES4.EnableProfile",
            Self::Disable(_) => "ES4.DisableProfile",
            Self::Delete(_) => "ES2.DeleteProfile",
            Self::Audit => "ES4.AuditEIS",
            Self::ChangeSmSr(_) => "ES4.SMSRChange",
        }
    }
}

fn no_profile(of: Plmn) -> Fault {
    Fault::new(
        "the operator requests no operation",
        format!("there is no profile of {of} on the card"),
        "download one first",
    )
}

/// Runs a device without end. Only stored data survives a power cut.
async fn run_device(sim: Weak<SimulatedWorld>, index: usize) {
    for powered in 1_u32.. {
        let power = Power::default();
        let Some(life) = sim.upgrade().and_then(|sim| begin(&sim, index, powered, &power)) else {
            return;
        };
        let mut life = match life {
            Ok(life) => life,
            Err(fault) => {
                let Some(sim) = sim.upgrade() else { return };
                if let Some(device) = sim.device(index) {
                    sim.add_event(Kind::Failed, &device, &fault.to_string());
                }
                return;
            }
        };
        tokio::select! {
            biased;
            () = power.wait_until_off() => {}
            // A card that stops answering is powered off and on.
            _ended = life.run() => {}
        }
        drop(life);
        tokio::time::sleep(AWAY).await;
        loop {
            let Some(sim) = sim.upgrade() else { return };
            let has_power = {
                let Some(device) = sim.device(index) else { return };
                device.activity.has_power
            };
            let Some(online_device) = sim.online_device(index) else { return };
            if has_power {
                break;
            }
            online_device.has_power.notified().await;
        }
    }
}

type OpenDevice = Online<Slot<PoweredCard<Card>>>;

/// Powers up a device with its card. `None` if the device does not exist.
fn begin(
    sim: &Arc<SimulatedWorld>,
    index: usize,
    powered: u32,
    power: &Power,
) -> Option<Result<OpenDevice, Fault>> {
    sim.detached(index, false);
    let online_device = sim.online_device(index)?;
    let (eid, memory, hears, faults) = {
        let mut device = sim.device(index)?;
        device.activity.power = Some(power.clone());
        let faults = sim.mishaps_of(&mut device);
        (device.eid, device.card.memory().ok()?.clone(), Arc::clone(&device.hears), faults)
    };
    let memory = FaultyMemory::new("card", memory, faults.clone(), power.clone());
    let world = sim.simulation.world(&format!("card {eid} {powered}"));
    let card = match Card::open_among(online_device.description.clone(), memory, world, &sim.cards.shared) {
        Ok(card) => card,
        Err(fault) => return Some(Err(fault)),
    };
    let device_radio = DeviceRadio {
        radio_environment: Arc::clone(&sim.radio.environment),
        networks: Arc::clone(&sim.radio.networks),
        radio: FaultyRadio::new(Arc::clone(&sim.radio.networks), faults.clone()),
        imei: imei(eid),
        radio_state: Arc::default(),
    };
    let radio_state = Arc::clone(&device_radio.radio_state);
    let random = sim.simulation.random(&format!("bearers of {eid} {powered}"));
    let carrier =
        |(plmn, bearer): (&Plmn, _)| (*plmn, Carrier::new(bearer, random.branch(&plmn.to_string())));
    let carriers: BTreeMap<_, _> = sim.radio.bearers.iter().map(carrier).collect();
    let line = Line { radio_state, carriers: Arc::new(carriers), faults, sim: Arc::downgrade(sim), index };
    let m2m = sim.parties.m2m.as_ref()?;
    let (hosts, transports) = (m2m.testbed.hosts().clone(), Arc::clone(&m2m.transports));
    let channels = Channels { hosts, transports, line: line.clone() };
    let radio = OnlineRadio { device_radio, line };
    let slot = Slot::new(PoweredCard::of_device(card, power.clone()));
    let events = EventSource::silent(sim.simulation.clock());
    let mut modem = Modem::new(slot, radio, events.clone());
    modem.set_visible(hears.to_vec());
    let settings = AlwaysOnSettings { search_pause: SEARCH, imei: told_imei(imei(eid)) };
    let online = Online::new(modem, channels, settings, events);
    *online_device.handle() = Some(online.handle());
    Some(Ok(online))
}

/// The radio of a device that stays on. Short messages take their transmission time, and
/// registrations are recorded.
struct OnlineRadio {
    device_radio: DeviceRadio,
    line: Line,
}

impl OnlineRadio {
    fn note(&self, answer: &NetworkAnswer) {
        let Some(sim) = self.line.sim.upgrade() else { return };
        let imsi = {
            let mut radio_state = self.line.radio_state.lock().unwrap_or_else(PoisonError::into_inner);
            radio_state.refusals.clear();
            radio_state.asking
        };
        match (answer, imsi) {
            (NetworkAnswer::AttachAccept(accept), Some(imsi)) => sim.attached(self.line.index, accept, imsi),
            (NetworkAnswer::AttachReject(AttachReject { .. }), _) => {
                if let Some(mut device) = sim.device(self.line.index) {
                    device.counts.refusals = device.counts.refusals.saturating_add(1);
                }
            }
            _ => {}
        }
    }
}

impl Radio for OnlineRadio {
    fn system_information(&self, plmn: Plmn) -> RadioFuture<'_, Option<SystemInformation>> {
        self.device_radio.system_information(plmn)
    }

    fn attach(&self, plmn: Plmn, request: AttachRequest) -> RadioFuture<'_, NetworkAnswer> {
        Box::pin(async move {
            // While a device requests to attach, it is not registered.
            if let Some(sim) = self.line.sim.upgrade() {
                sim.detached(self.line.index, false);
            }
            let answer = self.device_radio.attach(plmn, request).await?;
            self.note(&answer);
            Ok(answer)
        })
    }

    fn authenticate(&self, plmn: Plmn, response: AuthenticationResponse) -> RadioFuture<'_, NetworkAnswer> {
        Box::pin(async move {
            let answer = self.device_radio.authenticate(plmn, response).await?;
            self.note(&answer);
            Ok(answer)
        })
    }

    fn detach(&self, plmn: Plmn, attach: AttachId) -> RadioFuture<'_, ()> {
        if let Some(sim) = self.line.sim.upgrade() {
            sim.detached(self.line.index, true);
        }
        self.device_radio.detach(plmn, attach)
    }

    fn submit_short_message(&self, plmn: Plmn, message: MobileOriginated) -> RadioFuture<'_, RpAnswer> {
        Box::pin(async move {
            match self.line.message(plmn, message.tpdu.len(), false).await {
                true => self.device_radio.submit_short_message(plmn, message).await,
                false => Ok(RpAnswer::Error(RpCause::TEMPORARY_FAILURE, Vec::new())),
            }
        })
    }

    fn next_short_message(&self, plmn: Plmn, attach: AttachId) -> RadioFuture<'_, MobileTerminated> {
        Box::pin(async move {
            loop {
                let message = self.device_radio.next_short_message(plmn, attach.clone()).await?;
                // The SMSC gets no report of a lost message and sends it again.
                if self.line.message(plmn, message.tpdu.len(), true).await {
                    return Ok(message);
                }
            }
        })
    }

    fn report_short_message(&self, plmn: Plmn, report: RpReport) -> RadioFuture<'_, ()> {
        self.device_radio.report_short_message(plmn, report)
    }
}
