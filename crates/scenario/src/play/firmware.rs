//! The firmware of a simulated device.
//!
//! A device wakes on arrival at a place, on loss of service, on power-up, and at its next scheduled
//! check-in. It registers with any profile that gets service, delivers pending notifications,
//! checks in at the platform of its owner, and executes the instruction. The card, LPA and modem
//! are created only when needed.

mod service;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use device::{
    Device, DownloadOptions, Ending as MoveEnding, EventSource, Lpa, LpaSettings, Modem, MoveReport,
    Registered, Slot,
};
use fleet::{Action, CardProfile, CheckIn, Ending, Instruction, MoveEnded, RefusedBy, Registration, Target};
use rsp::ids::{Eid, SmdpAddress};
use rsp::sgp22::ProfileState;
use rsp::time::Timestamp;
use world::{Fault, Link, RamMemory};

use super::cards::AnyCard;
use super::check_in::{self, CheckInError, patience};
use super::data_connections::DataConnections;
use super::dormant_device::{DormantDevice, Hears, Ordered, ServiceState, Unproven};
use super::imei::{imei, reported_imei, thief, told_imei};
use super::internal_fault::bug;
use super::radio_environment::{DeviceRadio, RadioState};
use super::simulated_world::SimulatedWorld;
use crate::report::Kind;
use faults::{FaultInjector, FaultyMemory, FaultyRadio, Power, PoweredCard};
use testbed::consumer::{Waits, nowhere};
use testbed::move_report;
use testbed::transport::Transport;

/// Maximum check-ins per wake-up. Further instructions wait for the next one.
const MAX_CHECK_INS: usize = 6;
/// Maximum registration rejects reported in one check-in.
const MAX_REPORTED_REJECTS: usize = 8;

type OpenDevice = Device<DeviceSlot>;
/// The slot of a device with its card.
pub(super) type DeviceSlot = Slot<PoweredCard<AnyCard>>;

/// The parts of a device that is awake.
pub(super) struct Parts {
    pub(super) eid: Eid,
    pub(super) lpa: Lpa<DeviceSlot>,
    pub(super) modem: Modem<DeviceSlot>,
    pub(super) memory: FaultyMemory<RamMemory>,
    pub(super) events: EventSource,
    pub(super) hears: Hears,
    /// The time that the device has slept.
    pub(super) rested: Duration,
}

/// Wakes a device and lets it run. A device that is already awake runs again afterwards.
pub(super) async fn wake(sim: Arc<SimulatedWorld>, index: usize) {
    {
        let Some(mut device) = sim.device(index) else { return };
        if device.activity.is_awake {
            device.activity.again = true;
            return;
        }
        device.activity.is_awake = true;
    }
    loop {
        let Some(mut firmware) = Firmware::new(&sim, index) else { return };
        let power = firmware.power.clone();
        let was_cut = tokio::select! {
            biased;
            () = power.wait_until_off() => true,
            () = firmware.run_device() => false,
        };
        firmware.rest(was_cut);
        let Some(mut device) = sim.device(index) else { return };
        device.activity.power = None;
        if !std::mem::take(&mut device.activity.again) {
            device.activity.is_awake = false;
            return;
        }
        // The next run sets its own alarm.
        device.activity.alarm = None;
    }
}

/// A device that is awake.
pub(super) struct Firmware<'a> {
    pub(super) sim: &'a Arc<SimulatedWorld>,
    pub(super) index: usize,
    radio_state: Arc<Mutex<RadioState>>,
    pub(super) connections: DataConnections,
    pub(super) power: Power,
    pub(super) faults: FaultInjector,
    open_device: Option<Box<OpenDevice>>,
}

impl<'a> Firmware<'a> {
    fn new(sim: &'a Arc<SimulatedWorld>, index: usize) -> Option<Self> {
        let mut device = sim.device(index)?;
        let power = Power::default();
        device.activity.power = Some(power.clone());
        device.activity.wakes += 1;
        let name = format!("device {} {}", device.eid, device.activity.wakes);
        let attached = device.service.registered.map(|attached| attached.network);
        let throttle_kbps = sim.throttle_kbps(&device);
        let radio_state =
            Arc::new(Mutex::new(RadioState { attached, throttle_kbps, ..RadioState::default() }));
        let random = sim.simulation.random(&name);
        let faults =
            device.faults.clone().unwrap_or_else(|| FaultInjector::new(random.branch("mishaps"), []));
        let (networks, bearers) = (Arc::clone(&sim.radio.networks), Arc::clone(&sim.radio.bearers));
        let connections =
            DataConnections::new(networks, bearers, Arc::clone(&radio_state), random, faults.clone());
        drop(device);
        Some(Self { sim, index, radio_state, connections, power, faults, open_device: None })
    }

    /// The stored state of the device. The guard must not be held across an await point.
    pub(super) fn device(&self) -> Result<MutexGuard<'a, DormantDevice>, Fault> {
        self.sim.device(self.index).ok_or_else(|| bug("the device does not exist"))
    }

    async fn run_device(&mut self) {
        if let Err(fault) = self.try_run().await
            && let Ok(device) = self.device()
        {
            self.sim.add_event(Kind::Failed, &device, &fault.to_string());
        }
    }

    async fn try_run(&mut self) -> Result<(), Fault> {
        let (service_state, is_away) = {
            let device = self.device()?;
            (device.service_state, !device.activity.has_power || device.hears.is_empty())
        };
        if is_away || service_state == ServiceState::Retired {
            return Ok(());
        }
        if service_state == ServiceState::Stolen {
            return self.run_stolen().await;
        }
        if self.sim.parties.iot.is_some() {
            return self.run_iot().await;
        }
        self.schedule_home_search().await?;
        if self.device()?.service.registered.is_none() && !self.restore_service().await? {
            return Ok(());
        }
        self.return_to_preferred().await?;
        for _ in 0..MAX_CHECK_INS {
            if !self.is_due()? {
                break;
            }
            match self.check_in().await? {
                Some(instruction) => self.execute(instruction).await?,
                None if self.give_up_unproven().await? => {}
                None => break,
            }
        }
        Ok(())
    }

    pub(super) fn is_due(&self) -> Result<bool, Fault> {
        let device = self.device()?;
        Ok(device.service.registered.is_some()
            && (device.contact.must_check_in || device.contact.check_in_due <= self.sim.now()))
    }

    /// The card, LPA and modem, which are created on first use.
    async fn open_device(&mut self) -> Result<&mut OpenDevice, Fault> {
        if self.open_device.is_none() {
            self.open_device = Some(Box::new(self.build()?));
        }
        self.open_device.as_deref_mut().ok_or_else(|| bug("the device was not created"))
    }

    fn build(&self) -> Result<OpenDevice, Fault> {
        let Parts { eid, lpa, modem, memory, events, hears, rested } = self.parts(LpaSettings::default())?;
        let mut open_device = Device::new(lpa, modem, memory, events).with_pause(Waits);
        if self.sim.scenario.operators.iter().any(|operator| !operator.identities.is_empty()) {
            // The toolkit is only needed for cards with several identities, because only these have
            // an applet that uses proactive commands.
            open_device = open_device.with_toolkit(told_imei(imei(eid)));
            open_device.record_idle_time(rested);
        }
        open_device.set_visible(hears.to_vec());
        Ok(open_device)
    }

    /// The card, LPA, modem and memory of the device.
    pub(super) fn parts(&self, settings: LpaSettings) -> Result<Parts, Fault> {
        let Self { sim, power, faults, .. } = self;
        let (eid, wakes, card, memory, hears, is_stolen, rested) = {
            let device = self.device()?;
            let since = device.activity.rests_since.filter(|_| !device.activity.must_recover);
            let is_stolen = device.service_state == ServiceState::Stolen;
            (
                device.eid,
                device.activity.wakes,
                device.card.clone(),
                device.memory.clone(),
                Arc::clone(&device.hears),
                is_stolen,
                since.map_or(Duration::ZERO, |since| sim.now().since(since)),
            )
        };
        let faulty = |whose, memory| FaultyMemory::new(whose, memory, faults.clone(), power.clone());
        let random = format!("card {eid} {wakes}");
        let card = sim.card((eid, card), &random, |memory| faulty("card", memory))?;
        let slot = Slot::new(PoweredCard::of_device(card, power.clone()));
        let device_radio = DeviceRadio {
            radio_environment: Arc::clone(&sim.radio.environment),
            networks: Arc::clone(&sim.radio.networks),
            radio: FaultyRadio::new(Arc::clone(&sim.radio.networks), faults.clone()),
            imei: if is_stolen { thief(eid) } else { imei(eid) },
            radio_state: Arc::clone(&self.radio_state),
        };
        let mut known: Vec<(String, Link)> = Vec::new();
        for sm_dp in sim.parties.sm_dps.values() {
            known.push((sm_dp.address.clone(), self.link_to(&*sm_dp.transport)?));
        }
        let links = move |asked: &SmdpAddress| -> Result<Link, Fault> {
            let known = known.iter().find(|(address, _)| address == asked.as_str());
            Ok(known.map_or_else(|| nowhere(asked), |(_, link)| link.clone()))
        };
        let events = EventSource::silent(sim.simulation.clock());
        let lpa = Lpa::new(slot.clone(), links, settings, events.clone());
        let modem = Modem::new(slot, device_radio, events.clone());
        Ok(Parts { eid, lpa, modem, memory: faulty("device", memory), events, hears, rested })
    }

    /// A link to a server over the bearer of the current network.
    pub(super) fn link_to(&self, transport: &dyn Transport) -> Result<Link, Fault> {
        Ok(self.power.link(self.connections.to(self.faults.link(transport.link(None)?))))
    }

    /// Records how an interrupted move ended, according to the state of the card.
    fn close_interrupted_move(&self, why: &str) -> Result<(), Fault> {
        let mut device = self.device()?;
        let Some(Ordered { order, target, back }) = device.contact.ordered.take() else { return Ok(()) };
        let is_there = device.profiles.iter().any(|profile| profile.iccid == target);
        let ending = match device.service.registered.is_some_and(|attached| attached.iccid == target) {
            true => Ending::Moved,
            false if is_there => Ending::CameBack { why: why.into() },
            false => Ending::NotInstalled { why: why.into() },
        };
        if is_there && !device.expected_profiles.contains(&target) {
            device.expected_profiles.push(target);
        }
        self.ended(&mut device, Ordered { order, target, back }, ending);
        Ok(())
    }

    /// Lets the thief's device try to register once with the stolen card.
    async fn run_stolen(&mut self) -> Result<(), Fault> {
        if self.device()?.service.registered.is_none() {
            match self.open_device().await?.modem.register().await {
                Ok(registered) => self.registered(&registered)?,
                Err(not) => {
                    let mut device = self.device()?;
                    device.contact.failures = device.contact.failures.saturating_add(1);
                    self.sim.add_event(Kind::Device, &device, &format!("in the device of a thief: {not}"));
                }
            }
        }
        Ok(())
    }

    /// Checks in. Returns the instruction, or `None` if the platform was not reached.
    async fn check_in(&mut self) -> Result<Option<Instruction>, Fault> {
        if self.device()?.contact.has_pending_notifications {
            // Notifications that are not acknowledged now are sent again at the next check-in.
            let _ = self.open_device().await?.lpa.process_notifications().await;
            self.read_card().await?;
        }
        let report = {
            let device = self.device()?;
            CheckIn {
                registered: device.service.registered.map(|at| Registration {
                    network: at.network,
                    iccid: at.iccid,
                    imsi: Some(at.imsi),
                    imei: reported_imei(imei(device.eid)),
                }),
                profiles: Some(device.profiles.clone()),
                refused: device.contact.refused.clone(),
                ended: device.contact.ended.clone(),
                ..CheckIn::new(device.eid, self.sim.now())
            }
        };
        let answered = self.send(&report).await;
        let mut device = self.device()?;
        device.counts.check_ins = device.counts.check_ins.saturating_add(1);
        match answered {
            Ok(instruction) => {
                device.contact.heard_at = Some(self.sim.now());
                (device.contact.ended, device.contact.must_check_in, device.contact.failures) =
                    (None, false, 0);
                device.contact.unproven = None;
                device.contact.refused.clear();
                Ok(Some(instruction))
            }
            Err(CheckInError { is_carried, why }) => {
                device.contact.failures = device.contact.failures.saturating_add(1);
                match &mut device.contact.unproven {
                    Some(unproven) if !is_carried => {
                        unproven.failed_attempts = unproven.failed_attempts.saturating_add(1)
                    }
                    unproven => *unproven = None,
                }
                if device.contact.failures == 1 {
                    self.sim.add_event(Kind::Device, &device, &format!("the platform is unreachable: {why}"));
                }
                Ok(None)
            }
        }
    }

    async fn send(&self, check_in: &CheckIn) -> Result<Instruction, CheckInError> {
        let transport = self.sim.parties.platform_transport.link(None).map_err(CheckInError::carried)?;
        check_in::send(&self.power.link(self.connections.to(self.faults.link(transport))), check_in).await
    }

    /// Executes an instruction of the platform.
    async fn execute(&mut self, instruction: Instruction) -> Result<(), Fault> {
        let (order, to, target, back) = {
            let mut device = self.device()?;
            let own =
                self.sim.group(device.group).map(|group| self.sim.now().plus(group.check_in.get_ref().0));
            device.contact.check_in_due =
                own.map_or(instruction.next_check_in, |own| own.min(instruction.next_check_in));
            let Action::Move { order, to, fall_back_to } = instruction.what else { return Ok(()) };
            let target =
                to.iccid().ok_or_else(|| bug("the instruction for a device with an LPA has no ICCID"))?;
            device.contact.ordered = Some(Ordered { order: order.clone(), target, back: fall_back_to });
            (order, to, target, fall_back_to)
        };
        let is_held = self.device()?.profiles.iter().any(|profile| profile.iccid == target);
        let open_device = self.open_device().await?;
        let report = match &to {
            Target::Download { code, .. } if !is_held => {
                open_device.move_to(code, DownloadOptions::default(), back).await
            }
            _ => open_device.switch_to(target, back).await,
        };
        self.record_move(&report)?;
        self.read_card().await?;
        if let MoveEnding::Stranded { why, back } = &report.ending
            && !self.restore_service().await?
        {
            let why = format!("{why}; the way back failed: {back}");
            self.sim.add_event(Kind::Failed, &*self.device()?, &format!("stranded: {why}"));
        }
        // Until a profile gets service again, the move has not ended, and its order stays open.
        let Some(ending) = move_report::ending(&report) else { return Ok(()) };
        let mut device = self.device()?;
        device.contact.ordered = None;
        self.ended(&mut device, Ordered { order, target, back }, ending);
        Ok(())
    }

    /// Records the end of a move. A successful move stays unproven until a server is reached
    /// through the new profile.
    fn ended(&self, device: &mut DormantDevice, Ordered { order, target, back }: Ordered, ending: Ending) {
        let back = back.filter(|_| ending == Ending::Moved);
        device.contact.unproven =
            back.map(|back| Unproven { order: order.clone(), target, back, failed_attempts: 0 });
        self.sim.move_ended(device, &ending);
        device.contact.ended = Some(MoveEnded { order, ending });
        device.contact.must_check_in = true;
    }

    /// Records the profile and the registration after a move.
    fn record_move(&self, report: &MoveReport) -> Result<(), Fault> {
        if let Some(installed) = &report.installed {
            self.device()?.expected_profiles.push(installed.iccid);
        }
        match &report.ending {
            MoveEnding::Moved(registered) | MoveEnding::CameBack { registered, .. } => {
                self.registered(registered)
            }
            MoveEnding::NotInstalled(_) | MoveEnding::Fault(_) => Ok(()),
            MoveEnding::Stranded { .. } => {
                let mut device = self.device()?;
                self.sim.unregister(&mut device);
                device.activity.must_recover = true;
                Ok(())
            }
        }
    }

    /// Reads the profiles of the card.
    async fn read_card(&mut self) -> Result<(), Fault> {
        let Some(open_device) = self.open_device.as_deref_mut() else { return Ok(()) };
        let Ok(listed) = open_device.lpa.list().await else { return Ok(()) };
        let waiting =
            open_device.lpa.es10().list_notification().await.map_or(true, |waiting| !waiting.is_empty());
        let mut device = self.device()?;
        device.profiles = listed
            .iter()
            .filter_map(|profile| {
                let iccid = profile.iccid?;
                let enabled = profile.profile_state == Some(ProfileState::ENABLED);
                Some(CardProfile { iccid, enabled, home: self.sim.home_of_profile(iccid) })
            })
            .collect();
        device.contact.has_pending_notifications = waiting;
        Ok(())
    }

    /// Records a registration.
    pub(super) fn registered(&self, with: &Registered) -> Result<(), Fault> {
        let mut device = self.device()?;
        self.sim.register(self.index, &mut device, with);
        Ok(())
    }

    /// Stores the state of the device and schedules its next wake-up.
    fn rest(&mut self, was_cut: bool) {
        let opened = self.open_device.take();
        let sim = self.sim;
        let now = sim.now();
        let Ok(mut device) = self.device() else { return };
        if opened.is_some() {
            device.activity.rests_since = Some(now);
        }
        for (bearer, usage) in self.connections.usage() {
            let octets = usage.octets_up.saturating_add(usage.octets_down);
            device.counts.octets = device.counts.octets.saturating_add(octets);
            sim.spend(&bearer, octets, usage.messages);
        }
        let radio_state =
            std::mem::take(&mut *self.radio_state.lock().unwrap_or_else(PoisonError::into_inner));
        for (network, imsi, cause) in radio_state.refusals {
            device.counts.refusals = device.counts.refusals.saturating_add(1);
            let home = sim.radio.networks.home_of(imsi).map_or(network, |home| home.plmn());
            let known = device.contact.refused.iter().any(|refused| refused.network == home);
            if !known && device.contact.refused.len() < MAX_REPORTED_REJECTS {
                let cause = format!("{network} answered {cause}").into();
                device.contact.refused.push(RefusedBy { network: home, cause });
            }
        }
        if was_cut {
            sim.unregister(&mut device);
            device.activity.must_recover = true;
            sim.add_event(Kind::Device, &device, "its power was cut");
        }
        // Searches and wake-ups that became due while the device was awake are scheduled for now.
        device.service.home_search = device.service.home_search.or_else(|| sim.home_search(&device, now));
        if let Some(at) = alarm(sim, &device, now, was_cut) {
            sim.schedule_wake_up(self.index, &mut device, at);
        }
    }
}

/// The time of the next wake-up.
fn alarm(sim: &SimulatedWorld, device: &DormantDevice, now: Timestamp, was_cut: bool) -> Option<Timestamp> {
    if !device.activity.has_power || device.service_state == ServiceState::Retired || device.hears.is_empty()
    {
        return None;
    }
    let again = now.plus(patience(device.contact.failures));
    if device.service.registered.is_none() || was_cut {
        // A thief's device stops its attempts to register after three failures.
        return (device.service_state == ServiceState::InService || device.contact.failures < 3)
            .then_some(again);
    }
    if device.service_state == ServiceState::Stolen {
        return None;
    }
    let preferred = sim.group(device.group).and_then(|group| {
        device
            .left_preferred
            .map(|left| left.plus(group.prefers_after.get_ref().0).max(now.plus(Duration::from_secs(60))))
    });
    let soon = now.plus(Duration::from_secs(1));
    let due = if device.contact.failures > 0 { again } else { device.contact.check_in_due.max(soon) };
    let home = device.service.home_search.map(|at| at.max(soon));
    [Some(due), preferred, home].into_iter().flatten().min()
}
