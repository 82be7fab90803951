//! What somebody does, and what goes wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet::{CampaignId, Problem};
use network::EmmCause;
use rsp::ids::Plmn;
use world::Fault;

use super::cards::by_hand;
use super::m2m::Order;
use super::queue::Due;
use super::resting::Standing;
use super::stage::{Stage, bug, imei};
use super::{DAY, below};
use crate::file::{Action, Devices, Length, Part};
use crate::report::Kind;
use faults::{FaultId, FaultSpec, RadioAct, When};

/// After which somebody asks again who found the platform away.
pub(super) const A_MINUTE: Duration = Duration::from_secs(60);

impl Stage {
    /// The devices that are meant, by their numbers in the run; all if nothing is said. Of a share each scenario has the same
    /// ones for the same `purpose`.
    pub(super) fn chosen(&self, devices: Option<&Devices>, purpose: &str) -> Vec<usize> {
        let mut chosen = Vec::new();
        for index in 0..self.devices.len() {
            let Some(device) = self.device(index) else { continue };
            let name = self.group(device.group).map_or("", |group| group.name.get_ref());
            let is_one = |part: Part| match part {
                Part::All => true,
                Part::Range(first, last) => (first..=last).contains(&device.number),
                Part::Share(share) => {
                    let dice = self.simulation.dice(&format!("{purpose} chooses {}", device.eid));
                    below(&dice, 100) < u64::from(share)
                }
            };
            let is_meant = devices.is_none_or(|devices| {
                devices.0.is_empty()
                    || devices.0.iter().any(|which| which.group == *name && is_one(which.part))
            });
            if is_meant {
                chosen.push(index);
            }
        }
        chosen
    }

    /// A step of the scenario.
    pub(super) async fn step(&self, index: usize) -> Result<(), Fault> {
        let Some(step) = self.scenario.steps.get(index) else { return Ok(()) };
        let purpose = format!("step {index}");
        let chosen = |devices: &toml::Spanned<Devices>| self.chosen(Some(devices.get_ref()), &purpose);
        let now = self.now();
        let platform = self.platform.party();
        let asks_platform = matches!(
            step.action,
            Action::Pause { .. } | Action::Resume { .. } | Action::RollBack { .. } | Action::Retire { .. }
        );
        if asks_platform && platform.is_none() {
            // Whoever finds it away tries again.
            self.queue.put(now.plus(A_MINUTE), Due::Step(index));
            return Ok(());
        }
        self.report().timeline.tell(now, Kind::Step, "scenario", step.action.to_string());
        match &step.action {
            Action::Travel { devices, to } => {
                let hears = self.hears(to);
                chosen(devices).into_iter().for_each(|index| self.bring(index, &hears));
            }
            Action::CoverageEnds { network, lasts } => {
                let network = *network.get_ref();
                self.set_coverage(network, false);
                if let Some(lasts) = lasts {
                    self.queue.put(now.plus(lasts.0), Due::Coverage { network, is_there: true });
                }
            }
            Action::RoamingEnds { network, of } => {
                self.set_roaming(*network.get_ref(), of.as_ref().map(|of| *of.get_ref()), false);
            }
            Action::RoamingBegins { network, of } => {
                self.set_roaming(*network.get_ref(), of.as_ref().map(|of| *of.get_ref()), true);
            }
            Action::Notice { network, ends, of } => {
                let of = of.as_ref().map(|of| *of.get_ref());
                let due = Due::Roaming { network: *network.get_ref(), of, takes: false };
                self.queue.put(localize::Day::of(now.plus(ends.0)).start(), due);
            }
            Action::Refuse { network, devices, cause, lasts } => {
                let (network, devices) = (*network.get_ref(), chosen(devices));
                for index in &devices {
                    if let Some(device) = self.device(*index) {
                        self.ether.refuse(network, imei(device.eid), EmmCause(*cause));
                    }
                }
                self.look_again(network);
                if let Some(lasts) = lasts {
                    self.queue.put(now.plus(lasts.0), Due::Accept { network, devices });
                }
            }
            Action::Accept { network, devices } => self.accept(*network.get_ref(), &chosen(devices)),
            Action::Bar { devices, operator, cause } => {
                let operator = operator.as_ref().map(|operator| *operator.get_ref());
                self.bar(&chosen(devices), operator, Some(EmmCause(*cause)))?;
            }
            Action::Unbar { devices, operator } => {
                self.bar(&chosen(devices), operator.as_ref().map(|operator| *operator.get_ref()), None)?;
            }
            Action::CutPower { devices, lasts } => self.cut_power(chosen(devices), *lasts),
            Action::Ask { what, devices, operator, lasts } => {
                let of = operator.as_ref().map(|operator| *operator.get_ref());
                if let Some(order) = Order::of(*what, of) {
                    self.order(chosen(devices), order, lasts.0);
                }
            }
            Action::ChangeSmSr { devices, to, lasts } => {
                self.order(chosen(devices), Order::ChangeSmSr(*to), lasts.0);
            }
            Action::DeleteProfile { devices, operator } if self.m2m.is_some() => {
                self.order(chosen(devices), Order::Delete(*operator.get_ref()), DAY);
            }
            Action::EnableProfile { devices, operator } if self.m2m.is_some() => {
                self.order(chosen(devices), Order::Enable(*operator.get_ref()), DAY);
            }
            Action::DeleteProfile { devices, operator } => {
                for index in chosen(devices) {
                    self.by_hand(index, *operator.get_ref(), true).await?;
                }
            }
            Action::EnableProfile { devices, operator } => {
                for index in chosen(devices) {
                    self.by_hand(index, *operator.get_ref(), false).await?;
                }
            }
            Action::Restart { party, lasts } => {
                self.end_process(party.get_ref(), lasts.0);
            }
            Action::Pause { campaign } => {
                let Some(platform) = platform else { return Ok(()) };
                let done = platform.pause_campaign(&id(campaign.get_ref())?, "the scenario").await;
                self.tell_refused(campaign.get_ref(), done.err());
            }
            Action::Resume { campaign } => {
                let Some(platform) = platform else { return Ok(()) };
                let done = platform.resume_campaign(&id(campaign.get_ref())?).await;
                self.tell_refused(campaign.get_ref(), done.err());
            }
            Action::RollBack { campaign } => {
                let Some(platform) = platform else { return Ok(()) };
                let done = platform.roll_back_campaign(&id(campaign.get_ref())?).await;
                self.tell_refused(campaign.get_ref(), done.err());
            }
            Action::RegisterImei { devices, country } => {
                for index in chosen(devices) {
                    self.register_imei(index, *country.get_ref()).await?;
                }
            }
            Action::Steal { devices, to } => {
                let hears = self.hears(to);
                for index in chosen(devices) {
                    if let Some(mut device) = self.device(index) {
                        self.unregister(&mut device);
                        device.standing = Standing::Stolen;
                        device.dark_since = None;
                        // Another place, whatever it is.
                        device.hears = std::sync::Arc::new([]);
                    }
                    self.bring(index, &hears);
                }
            }
            Action::Retire { devices } => {
                let Some(platform) = platform else { return Ok(()) };
                for index in chosen(devices) {
                    let eid = {
                        let Some(mut device) = self.device(index) else { continue };
                        if device.standing == Standing::Retired {
                            continue;
                        }
                        self.unregister(&mut device);
                        (device.standing, device.dark_since) = (Standing::Retired, None);
                        device.eid
                    };
                    if let Err(why) = platform.retire(eid).await
                        && let Some(device) = self.device(index)
                    {
                        self.tell(Kind::Failed, &device, &format!("is not retired in the records: {why}"));
                    }
                }
            }
        }
        Ok(())
    }

    /// The process of a server of ours ends; one of somebody else's is theirs to end.
    fn end_process(&self, party: &str, lasts: Duration) {
        const ENDED: &str = "its process has ended, and is away";
        let now = self.now();
        let tell = || {
            let mut report = self.report();
            // One that is away already is away for so long from now.
            report.timeline.over(now, party, ENDED);
            report.timeline.tell_lasting((now, now.plus(lasts)), Kind::Server, party, ENDED);
        };
        if party == "platform" {
            self.platform.end(lasts);
            tell();
        } else if let Some(m2m) = &self.m2m {
            m2m.field.end_process(party, lasts);
            tell();
        } else if let Some(sm_dp) = self.sm_dps.get(party).and_then(|sm_dp| sm_dp.party.as_ref()) {
            sm_dp.end(lasts);
            tell();
        } else {
            let what = "is somebody else's, and is not ended";
            self.report().timeline.tell(now, Kind::Failed, party, what);
        }
    }

    /// What a platform did not do because it could not be.
    pub(super) fn tell_refused(&self, campaign: &str, why: Option<Problem>) {
        if let Some(why) = why {
            self.report().timeline.tell(self.now(), Kind::Campaign, campaign, why.to_string());
        }
    }

    async fn register_imei(&self, index: usize, country: localize::Country) -> Result<(), Fault> {
        let (eid, registered) = {
            let Some(mut device) = self.device(index) else { return Ok(()) };
            device.imei_registered_in.insert(country);
            // What was foreseen as a breach is none any more.
            device.epoch += 1;
            self.ether.register_imei(imei(device.eid), country);
            (device.eid, device.imei_registered_in.clone())
        };
        let records = self.platform_records();
        world::transact(&records, |tx| {
            let registered = registered.clone();
            Box::pin(async move {
                if let Some(mut device) = fleet::get(tx, eid).await? {
                    device.connection.imei_registered_in = registered;
                    fleet::put(tx, &device)?;
                }
                Ok(())
            })
        })
        .await?;
        let here: Vec<Plmn> = self.device(index).map_or_else(Vec::new, |device| device.hears.to_vec());
        let Some(mut device) = self.device(index) else { return Ok(()) };
        if device.registered.is_none() && !here.is_empty() {
            device.fails = 0;
            let now = self.now();
            self.call(index, &mut device, now);
        }
        Ok(())
    }

    fn bar(&self, devices: &[usize], operator: Option<Plmn>, cause: Option<EmmCause>) -> Result<(), Fault> {
        for index in devices {
            let Some(mut device) = self.device(*index) else { continue };
            let serial = self.imsis(&device);
            for (home, imsi) in serial.into_iter().filter(|(home, _)| operator.is_none_or(|of| of == *home)) {
                let Some(server) = self.networks.home_of(imsi) else { continue };
                if let Some(mut subscriber) = server.subscriber(imsi) {
                    subscriber.barred = cause;
                    server.provision(imsi, subscriber)?;
                }
                if cause.is_some()
                    && device
                        .registered
                        .is_some_and(|attached| attached.imsi == imsi && attached.home == home)
                {
                    self.lose(*index, &mut device);
                }
            }
        }
        Ok(())
    }

    fn cut_power(&self, devices: Vec<usize>, lasts: Length) {
        let mut cut = BTreeMap::<usize, u32>::new();
        for index in &devices {
            let Some(mut device) = self.device(*index) else { continue };
            *cut.entry(device.group).or_default() += 1;
            self.unregister(&mut device);
            (device.has_power, device.to_recover) = (false, true);
            let now = self.now();
            self.end_darkness(&mut device, now);
            if let Some(power) = &device.power {
                power.cut();
            }
        }
        let (now, until) = (self.now(), self.now().plus(lasts.0));
        for (group, number) in cut {
            let Some(group) = self.group(group) else { continue };
            let (name, of) = (group.name.get_ref().as_str(), group.count.get_ref());
            let what = format!("{number} of {of} have no power");
            self.report().timeline.tell_lasting((now, until), Kind::World, name, what);
        }
        self.queue.put(until, Due::Power(devices));
    }

    /// Somebody changes a profile at the device itself, with an LPA in hand.
    async fn by_hand(&self, index: usize, operator: Plmn, delete: bool) -> Result<(), Fault> {
        let (eid, at, target) = {
            let Some(device) = self.device(index) else { return Ok(()) };
            if device.is_awake {
                self.tell(Kind::Failed, &device, "is at work, so that nobody gets at its card");
                return Ok(());
            }
            let held = device.profiles.iter().find(|profile| profile.home == Some(operator));
            let Some(held) = held else {
                self.tell(Kind::Failed, &device, &format!("has no profile of {operator} on its card"));
                return Ok(());
            };
            (device.eid, device.card.clone(), held.iccid)
        };
        let card = self.card((eid, at), &format!("card {eid} in hand at {}", self.now()), |memory| memory)?;
        let mut lpa = by_hand(card, self.simulation.clock());
        let done = match delete {
            true => {
                // An enabled profile is disabled first.
                let _ = lpa.disable(target).await;
                lpa.delete(target).await
            }
            false => lpa.enable(target).await,
        };
        let Some(mut device) = self.device(index) else { return Ok(()) };
        if let Err(why) = done {
            self.tell(Kind::Failed, &device, &why.to_string());
            return Ok(());
        }
        if delete {
            device.should_have.retain(|iccid| *iccid != target);
            device.profiles.retain(|profile| profile.iccid != target);
        }
        device.owes_notifications = true;
        device.to_recover = delete;
        let uses_it = device.registered.is_some_and(|attached| attached.iccid == target);
        if uses_it == delete {
            self.lose(index, &mut device);
        }
        Ok(())
    }

    /// A fault of the scenario begins.
    pub(super) fn trouble(&self, index: usize) {
        let Some(trouble) = self.scenario.troubles.get(index) else { return };
        let mut mishap: FaultSpec = trouble.what.get_ref().clone();
        if let Some(lasts) = &trouble.lasts {
            let until = Some(lasts.get_ref().0);
            mishap = mishap.when(When::Span { from: Duration::ZERO, until });
        }
        let whom = trouble
            .devices
            .as_ref()
            .map_or_else(|| "all".to_owned(), |devices| devices.get_ref().to_string());
        let of_servers = mishap.is_of_servers();
        let what = if of_servers { mishap.to_string() } else { format!("{mishap}, {whom}") };
        let now = self.now();
        match &trouble.lasts {
            None => self.report().timeline.tell(now, Kind::Fault, "faults", what),
            Some(lasts) => {
                let span = (now, now.plus(lasts.get_ref().0));
                self.report().timeline.tell_lasting(span, Kind::Fault, "faults", what);
            }
        }
        if of_servers {
            self.servers.put(mishap);
            return;
        }
        let purpose = format!("fault {index}");
        let devices = self.chosen(trouble.devices.as_ref().map(toml::Spanned::get_ref), &purpose);
        let silences = matches!(mishap.id(), FaultId::Radio(RadioAct::Outage | RadioAct::Flapping));
        for index in devices {
            let Some(mut device) = self.device(index) else { continue };
            self.mishaps_of(&mut device).put(mishap.clone());
            let is_there = |plmn: Plmn| mishap.place().is_none_or(|place| place == plmn.to_string());
            if silences && device.registered.is_some_and(|attached| is_there(attached.network)) {
                self.lose(index, &mut device);
            }
        }
    }
}

fn id(campaign: &str) -> Result<CampaignId, Fault> {
    campaign.parse().map_err(|_| bug("a campaign has no name"))
}
