//! The firmware of a simulated device.
//!
//! A device wakes on arrival at a place, on loss of service, on power-up, and at its next scheduled
//! check-in. It registers with any profile that gets service, delivers pending notifications,
//! checks in at the platform of its owner, and executes the instruction. The card, LPA and modem
//! are created only when needed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use device::{
    Device, DownloadOptions, Ending as MoveEnding, Lpa, LpaSettings, Modem, MoveReport, Recovery, Registered,
    Slot, Teller,
};
use fleet::{CheckIn, Ending, Instruction, MoveEnded, OnCard, RefusedBy, Registration, Target, What};
use rsp::ids::SmdpAddress;
use rsp::sgp22::ProfileState;
use rsp::time::Timestamp;
use world::{Fault, Link};

use super::cards::AnyCard;
use super::check_in::{self, NotAsked, patience};
use super::data_connections::Lines;
use super::dormant_device::{Ordered, Resting, Standing, Unproven};
use super::radio_environment::{Air, Heard};
use super::simulated_world::{Stage, bug, imei, thief, told_imei};
use crate::consumer::{Waits, nowhere};
use crate::report::Kind;
use faults::{FaultInjector, FaultyMemory, FaultyRadio, Power, PoweredDoor};

/// Maximum check-ins per wake-up. Further instructions wait for the next one.
const ROUNDS: usize = 6;
/// Consecutive failures to carry data after which a new profile is given up.
const IN_VAIN: u32 = 3;
/// Maximum registration rejects reported in one check-in.
const MOST_REFUSED: usize = 8;

type Whole = Device<Slot<PoweredDoor<AnyCard>>>;

/// Wakes a device and lets it run. A device that is already awake runs again afterwards.
pub(super) async fn wake(stage: Arc<Stage>, index: usize) {
    {
        let Some(mut device) = stage.device(index) else { return };
        if device.is_awake {
            device.again = true;
            return;
        }
        (device.is_awake, device.alarm) = (true, None);
    }
    loop {
        let Some(mut agent) = Agent::new(&stage, index) else { return };
        let power = agent.power.clone();
        let was_cut = tokio::select! {
            biased;
            () = power.gone() => true,
            () = agent.live() => false,
        };
        agent.rest(was_cut);
        let Some(mut device) = stage.device(index) else { return };
        device.power = None;
        if !std::mem::take(&mut device.again) {
            device.is_awake = false;
            return;
        }
    }
}

/// A device that is awake.
struct Agent<'a> {
    stage: &'a Arc<Stage>,
    index: usize,
    heard: Arc<Mutex<Heard>>,
    lines: Lines,
    power: Power,
    mishaps: FaultInjector,
    whole: Option<Box<Whole>>,
}

impl<'a> Agent<'a> {
    fn new(stage: &'a Arc<Stage>, index: usize) -> Option<Self> {
        let mut device = stage.device(index)?;
        let power = Power::default();
        device.power = Some(power.clone());
        device.wakes += 1;
        let name = format!("device {} {}", device.eid, device.wakes);
        let attached = device.registered.map(|attached| attached.network);
        let heard = Arc::new(Mutex::new(Heard { attached, ..Heard::default() }));
        let dice = stage.simulation.dice(&name);
        let mishaps =
            device.mishaps.clone().unwrap_or_else(|| FaultInjector::new(dice.branch("mishaps"), []));
        let (networks, bearers) = (Arc::clone(&stage.networks), Arc::clone(&stage.bearers));
        let lines = Lines::new(networks, bearers, Arc::clone(&heard), dice, mishaps.clone());
        drop(device);
        Some(Self { stage, index, heard, lines, power, mishaps, whole: None })
    }

    /// The stored state of the device. The guard must not be held across an await point.
    fn device(&self) -> Result<MutexGuard<'a, Resting>, Fault> {
        self.stage.device(self.index).ok_or_else(|| bug("the device does not exist"))
    }

    async fn live(&mut self) {
        if let Err(fault) = self.try_to_live().await
            && let Ok(device) = self.device()
        {
            self.stage.tell(Kind::Failed, &device, &fault.to_string());
        }
    }

    async fn try_to_live(&mut self) -> Result<(), Fault> {
        let (standing, is_away) = {
            let device = self.device()?;
            (device.standing, !device.has_power || device.hears.is_empty())
        };
        if is_away || standing == Standing::Retired {
            return Ok(());
        }
        if standing == Standing::Stolen {
            return self.serve_a_thief().await;
        }
        self.look_for_home().await?;
        if self.device()?.registered.is_none() && !self.come_back().await? {
            return Ok(());
        }
        self.prefer().await?;
        for _ in 0..ROUNDS {
            if !self.is_due()? {
                break;
            }
            match self.check_in().await? {
                Some(instruction) => self.obey(instruction).await?,
                None if self.gives_it_up().await? => {}
                None => break,
            }
        }
        Ok(())
    }

    fn is_due(&self) -> Result<bool, Fault> {
        let device = self.device()?;
        Ok(device.registered.is_some() && (device.has_news || device.check_in_due <= self.stage.now()))
    }

    /// The card, LPA and modem, which are created on first use.
    async fn whole(&mut self) -> Result<&mut Whole, Fault> {
        if self.whole.is_none() {
            self.whole = Some(Box::new(self.put_together()?));
        }
        self.whole.as_deref_mut().ok_or_else(|| bug("the device was not created"))
    }

    fn put_together(&self) -> Result<Whole, Fault> {
        let Self { stage, power, mishaps, .. } = self;
        let (eid, wakes, card, memory, hears, is_stolen, rested) = {
            let device = self.device()?;
            let since = device.rests_since.filter(|_| !device.to_recover);
            let is_stolen = device.standing == Standing::Stolen;
            (
                device.eid,
                device.wakes,
                device.card.clone(),
                device.memory.clone(),
                Arc::clone(&device.hears),
                is_stolen,
                since.map_or(Duration::ZERO, |since| stage.now().since(since)),
            )
        };
        let faulty = |whose, memory| FaultyMemory::new(whose, memory, mishaps.clone(), power.clone());
        let dice = format!("card {eid} {wakes}");
        let card = stage.card((eid, card), &dice, |memory| faulty("card", memory))?;
        let slot = Slot::new(PoweredDoor::of_device(card, power.clone()));
        let air = Air {
            ether: Arc::clone(&stage.ether),
            networks: Arc::clone(&stage.networks),
            radio: FaultyRadio::new(Arc::clone(&stage.networks), mishaps.clone()),
            imei: if is_stolen { thief(eid) } else { imei(eid) },
            heard: Arc::clone(&self.heard),
        };
        let mut known: Vec<(String, Link)> = Vec::new();
        for sm_dp in stage.sm_dps.values() {
            let link = power.link(self.lines.to(mishaps.link(sm_dp.way.link(None)?)));
            known.push((sm_dp.address.clone(), link));
        }
        let links = move |asked: &SmdpAddress| -> Result<Link, Fault> {
            let known = known.iter().find(|(address, _)| address == asked.as_str());
            Ok(known.map_or_else(|| nowhere(asked), |(_, link)| link.clone()))
        };
        let teller = Teller::silent(stage.simulation.clock());
        let lpa = Lpa::new(slot.clone(), links, LpaSettings::default(), teller.clone());
        let modem = Modem::new(slot, air, teller.clone());
        let mut whole = Device::new(lpa, modem, faulty("device", memory), teller).with_pause(Waits);
        if stage.scenario.operators.iter().any(|operator| !operator.identities.is_empty()) {
            // The cards of the other scenarios have no applet that needs these proactive commands.
            whole = whole.serving_its_card(told_imei(imei(eid)));
            whole.has_rested(rested);
        }
        whole.set_visible(hears.to_vec());
        Ok(whole)
    }

    /// Registers with the enabled profile, or with any profile that gets service. Returns true on
    /// success.
    async fn come_back(&mut self) -> Result<bool, Fault> {
        let to_recover = self.device()?.to_recover;
        let whole = self.whole().await?;
        let mut registered = None;
        if !to_recover {
            registered = whole.register().await.ok();
        }
        if registered.is_none()
            && let Recovery::Working { registered: with, .. } = whole.recover().await
        {
            registered = Some(with);
        }
        self.read_card().await?;
        match registered {
            Some(registered) => {
                self.registered(&registered)?;
                self.what_became_of_the_order(
                    "the move was interrupted, and the device uses another profile",
                )?;
                Ok(true)
            }
            None => {
                let mut device = self.device()?;
                device.fails = device.fails.saturating_add(1);
                if device.fails == 1 {
                    self.stage.tell(Kind::Device, &device, "no profile on its card gets service here");
                }
                Ok(false)
            }
        }
    }

    /// Searches for the home network when it is time. Without coverage of that network, the
    /// registration stays.
    async fn look_for_home(&mut self) -> Result<(), Fault> {
        let serving = {
            let mut device = self.device()?;
            let now = self.stage.now();
            let Some(attached) = device.registered else { return Ok(()) };
            if device.home_search.take_if(|at| *at <= now).is_none() {
                return Ok(());
            }
            attached.network
        };
        let whole = self.whole().await?;
        if !whole.modem.hears_home_from(serving).await {
            return Ok(());
        }
        match whole.register().await {
            Ok(registered) => self.registered(&registered),
            Err(_) => {
                let mut device = self.device()?;
                self.stage.unregister(&mut device);
                device.lost = true;
                Ok(())
            }
        }
    }

    /// Closes a move whose end was not recorded, according to the state of the card.
    fn what_became_of_the_order(&self, why: &str) -> Result<(), Fault> {
        let mut device = self.device()?;
        let Some(Ordered { order, target, back }) = device.ordered.take() else { return Ok(()) };
        let is_there = device.profiles.iter().any(|profile| profile.iccid == target);
        let ending = match device.registered.is_some_and(|attached| attached.iccid == target) {
            true => Ending::Moved,
            false if is_there => Ending::CameBack { why: why.into() },
            false => Ending::NotInstalled { why: why.into() },
        };
        if is_there && !device.should_have.contains(&target) {
            device.should_have.push(target);
        }
        self.ended(&mut device, Ordered { order, target, back }, ending);
        Ok(())
    }

    /// Returns to the previous profile if no server was reachable through the new one in several
    /// attempts: the device is registered, but its packets are not carried. A connection that a
    /// server refuses counts as carried. Returns true if the device went back.
    async fn gives_it_up(&mut self) -> Result<bool, Fault> {
        let unproven = self.device()?.unproven.clone().filter(|unproven| unproven.in_vain >= IN_VAIN);
        let Some(Unproven { order, target, back, .. }) = unproven else { return Ok(false) };
        let through = self.device()?.registered.map(|attached| attached.network.to_string());
        let report = self.whole().await?.switch_to(back, Some(target)).await;
        self.after_move(&report)?;
        self.read_card().await?;
        if let MoveEnding::Stranded { .. } = report.ending
            && !self.come_back().await?
        {
            return Ok(false);
        }
        let mut device = self.device()?;
        device.fails = 0;
        if device.registered.is_none_or(|attached| attached.iccid == target) {
            device.unproven = None;
            return Ok(false);
        }
        let why = format!("registered in {}, which carried no packets", through.unwrap_or_default()).into();
        device.counts.moved = device.counts.moved.saturating_sub(1);
        self.ended(&mut device, Ordered { order, target, back: None }, Ending::CameBack { why });
        Ok(true)
    }

    /// Lets the device of a thief try the card once.
    async fn serve_a_thief(&mut self) -> Result<(), Fault> {
        if self.device()?.registered.is_none() {
            match self.whole().await?.modem.register().await {
                Ok(registered) => self.registered(&registered)?,
                Err(not) => {
                    let mut device = self.device()?;
                    device.fails = device.fails.saturating_add(1);
                    self.stage.tell(Kind::Device, &device, &format!("in the device of a thief: {not}"));
                }
            }
        }
        Ok(())
    }

    /// Returns to the preferred profile, if enough time has passed and its network may have
    /// coverage.
    async fn prefer(&mut self) -> Result<(), Fault> {
        let now = self.stage.now();
        let (iccid, back) = {
            let mut device = self.device()?;
            let Some(group) = self.stage.group(device.group) else { return Ok(()) };
            let Some(preferred) = group.prefers.as_ref().map(|plmn| *plmn.get_ref()) else { return Ok(()) };
            let Some(attached) = device.registered else { return Ok(()) };
            if attached.home == preferred {
                device.left_preferred = None;
                return Ok(());
            }
            let left = *device.left_preferred.get_or_insert(now);
            if now < left.plus(group.prefers_after.get_ref().0) {
                return Ok(());
            }
            device.left_preferred = Some(now);
            let is_off = device.hears.contains(&preferred)
                && self.stage.network(preferred).is_some_and(|network| !network.coverage);
            let held = device.profiles.iter().find(|profile| profile.home == Some(preferred));
            match held.filter(|_| !is_off) {
                Some(held) => (held.iccid, attached.iccid),
                None => return Ok(()),
            }
        };
        let report = self.whole().await?.switch_to(iccid, Some(back)).await;
        self.after_move(&report)?;
        self.read_card().await?;
        if let MoveEnding::Stranded { .. } = report.ending {
            self.come_back().await?;
        }
        Ok(())
    }

    /// Checks in. Returns the instruction, or `None` if the platform was not reached.
    async fn check_in(&mut self) -> Result<Option<Instruction>, Fault> {
        if self.device()?.owes_notifications {
            // Notifications that are not acknowledged now are sent again at the next check-in.
            let _ = self.whole().await?.lpa.process_notifications().await;
            self.read_card().await?;
        }
        let said = {
            let device = self.device()?;
            CheckIn {
                registered: device.registered.map(|at| Registration {
                    network: at.network,
                    iccid: at.iccid,
                    imsi: Some(at.imsi),
                }),
                profiles: Some(device.profiles.clone()),
                refused: device.refused.clone(),
                ended: device.ended.clone(),
                ..CheckIn::new(device.eid, self.stage.now())
            }
        };
        let answered = self.ask(&said).await;
        let mut device = self.device()?;
        device.counts.check_ins = device.counts.check_ins.saturating_add(1);
        match answered {
            Ok(instruction) => {
                device.heard_at = Some(self.stage.now());
                (device.ended, device.has_news, device.fails) = (None, false, 0);
                device.unproven = None;
                device.refused.clear();
                Ok(Some(instruction))
            }
            Err(NotAsked { is_carried, why }) => {
                device.fails = device.fails.saturating_add(1);
                match &mut device.unproven {
                    Some(unproven) if !is_carried => unproven.in_vain = unproven.in_vain.saturating_add(1),
                    unproven => *unproven = None,
                }
                if device.fails == 1 {
                    self.stage.tell(Kind::Device, &device, &format!("the platform is unreachable: {why}"));
                }
                Ok(None)
            }
        }
    }

    async fn ask(&self, said: &CheckIn) -> Result<Instruction, NotAsked> {
        let way = self.stage.to_platform.link(None).map_err(NotAsked::carried)?;
        check_in::ask(&self.power.link(self.lines.to(self.mishaps.link(way))), said).await
    }

    /// Executes an instruction of the platform.
    async fn obey(&mut self, instruction: Instruction) -> Result<(), Fault> {
        let (order, to, target, back) = {
            let mut device = self.device()?;
            let own =
                self.stage.group(device.group).map(|group| self.stage.now().plus(group.check_in.get_ref().0));
            device.check_in_due =
                own.map_or(instruction.next_check_in, |own| own.min(instruction.next_check_in));
            let What::Move { order, to, fall_back_to } = instruction.what else { return Ok(()) };
            let target =
                to.iccid().ok_or_else(|| bug("the instruction for a device with an LPA has no ICCID"))?;
            device.ordered = Some(Ordered { order: order.clone(), target, back: fall_back_to });
            (order, to, target, fall_back_to)
        };
        let is_held = self.device()?.profiles.iter().any(|profile| profile.iccid == target);
        let whole = self.whole().await?;
        let report = match &to {
            Target::Download { code, .. } if !is_held => {
                whole.move_to(code, DownloadOptions::default(), back).await
            }
            _ => whole.switch_to(target, back).await,
        };
        self.after_move(&report)?;
        self.read_card().await?;
        let ending = match &report.ending {
            MoveEnding::Moved(_) => Ending::Moved,
            MoveEnding::CameBack { why, .. } => Ending::CameBack { why: why.to_string().into() },
            MoveEnding::NotInstalled(why) => Ending::NotInstalled { why: why.to_string().into() },
            MoveEnding::Fault(why) if report.installed.is_none() => {
                Ending::NotInstalled { why: why.to_string().into() }
            }
            MoveEnding::Fault(why) => Ending::CameBack { why: why.to_string().into() },
            MoveEnding::Stranded { why, back } => {
                let why = format!("{why}; the way back failed: {back}");
                // The order stays open until a profile gets service again.
                if self.come_back().await? {
                    return Ok(());
                }
                let device = self.device()?;
                self.stage.tell(Kind::Failed, &device, &format!("stranded: {why}"));
                return Ok(());
            }
        };
        let mut device = self.device()?;
        device.ordered = None;
        self.ended(&mut device, Ordered { order, target, back }, ending);
        Ok(())
    }

    /// Records the end of a move. A successful move stays unproven until a server is reached
    /// through the new profile.
    fn ended(&self, device: &mut Resting, Ordered { order, target, back }: Ordered, ending: Ending) {
        let back = back.filter(|_| ending == Ending::Moved);
        device.unproven = back.map(|back| Unproven { order: order.clone(), target, back, in_vain: 0 });
        self.stage.move_ended(device, &ending);
        device.ended = Some(MoveEnded { order, ending });
        device.has_news = true;
    }

    /// Records the profile and the registration after a move.
    fn after_move(&self, report: &MoveReport) -> Result<(), Fault> {
        if let Some(installed) = &report.installed {
            self.device()?.should_have.push(installed.iccid);
        }
        match &report.ending {
            MoveEnding::Moved(registered) | MoveEnding::CameBack { registered, .. } => {
                self.registered(registered)
            }
            MoveEnding::NotInstalled(_) | MoveEnding::Fault(_) => Ok(()),
            MoveEnding::Stranded { .. } => {
                let mut device = self.device()?;
                self.stage.unregister(&mut device);
                device.to_recover = true;
                Ok(())
            }
        }
    }

    /// Reads the profiles of the card.
    async fn read_card(&mut self) -> Result<(), Fault> {
        let Some(whole) = self.whole.as_deref_mut() else { return Ok(()) };
        let Ok(listed) = whole.lpa.list().await else { return Ok(()) };
        let waiting = whole.lpa.es10().list_notification().await.map_or(true, |waiting| !waiting.is_empty());
        let mut device = self.device()?;
        device.profiles = listed
            .iter()
            .filter_map(|profile| {
                let iccid = profile.iccid?;
                let enabled = profile.profile_state == Some(ProfileState::ENABLED);
                Some(OnCard { iccid, enabled, home: self.stage.home_of_profile(iccid) })
            })
            .collect();
        device.owes_notifications = waiting;
        Ok(())
    }

    /// Records a registration.
    fn registered(&self, with: &Registered) -> Result<(), Fault> {
        let mut device = self.device()?;
        self.stage.register(self.index, &mut device, with);
        Ok(())
    }

    /// Stores the state of the device and schedules its next wake-up.
    fn rest(&mut self, was_cut: bool) {
        let was_opened = self.whole.take().is_some();
        let stage = self.stage;
        let now = stage.now();
        let Ok(mut device) = self.device() else { return };
        if was_opened {
            device.rests_since = Some(now);
        }
        for (bearer, usage) in self.lines.usage() {
            let octets = usage.octets_up.saturating_add(usage.octets_down);
            device.counts.octets = device.counts.octets.saturating_add(octets);
            stage.spend(&bearer, octets, usage.messages);
        }
        let heard = std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner));
        for (network, imsi, cause) in heard.refusals {
            device.counts.refusals = device.counts.refusals.saturating_add(1);
            let home = stage.networks.home_of(imsi).map_or(network, |home| home.plmn());
            let known = device.refused.iter().any(|refused| refused.network == home);
            if !known && device.refused.len() < MOST_REFUSED {
                let cause = format!("{network} answered {cause}").into();
                device.refused.push(RefusedBy { network: home, cause });
            }
        }
        if was_cut {
            stage.unregister(&mut device);
            device.to_recover = true;
            stage.tell(Kind::Device, &device, "its power was cut");
        }
        // Events that became due while the device was awake are processed next.
        device.home_search = device.home_search.or_else(|| stage.home_search(&device, now));
        if let Some(at) = alarm(stage, &device, now, was_cut) {
            stage.call(self.index, &mut device, at);
        }
    }
}

/// The time of the next wake-up.
fn alarm(stage: &Stage, device: &Resting, now: Timestamp, was_cut: bool) -> Option<Timestamp> {
    if !device.has_power || device.standing == Standing::Retired || device.hears.is_empty() {
        return None;
    }
    let again = now.plus(patience(device.fails));
    if device.registered.is_none() || was_cut {
        // A thief gives up after a few attempts.
        return (device.standing == Standing::InService || device.fails < 3).then_some(again);
    }
    if device.standing == Standing::Stolen {
        return None;
    }
    let preferred = stage.group(device.group).and_then(|group| {
        device
            .left_preferred
            .map(|left| left.plus(group.prefers_after.get_ref().0).max(now.plus(Duration::from_secs(60))))
    });
    let soon = now.plus(Duration::from_secs(1));
    let due = if device.fails > 0 { again } else { device.check_in_due.max(soon) };
    let home = device.home_search.map(|at| at.max(soon));
    [Some(due), preferred, home].into_iter().flatten().min()
}
