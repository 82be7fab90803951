//! Steps and injected faults.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet::{CampaignId, Problem};
use network::EmmCause;
use rsp::ids::Plmn;
use world::Fault;

use super::cards::by_hand;
use super::dormant_device::ServiceState;
use super::facts::FactChange;
use super::imei::imei;
use super::internal_fault::bug;
use super::iot::EimOrder;
use super::m2m::Order;
use super::queue::Due;
use super::simulated_world::SimulatedWorld;
use super::{DAY, below};
use crate::file::{Action, Devices, Length, Part, Which};
use crate::report::Kind;
use faults::{FaultId, FaultSpec, RadioAct, When};

/// Retry delay of a step that needs the platform while it is not running.
pub(super) const A_MINUTE: Duration = Duration::from_secs(60);

impl SimulatedWorld {
    /// The indices of the selected devices, or of all devices if there is no selection. A share
    /// selects the same devices each time for the same `purpose`.
    pub(super) fn chosen(&self, devices: Option<&Devices>, purpose: &str) -> Vec<usize> {
        let selected = devices.filter(|devices| !devices.0.is_empty());
        let Some(Devices(selected)) = selected else { return (0..self.devices.len()).collect() };
        let mut chosen = BTreeSet::new();
        for Which { group, part } in selected {
            let members = self.each_device().enumerate().filter_map(|(index, device)| {
                let name = self.group(device.group).map_or("", |group| group.name.get_ref());
                (name == group).then_some((index, device.number, device.eid))
            });
            match *part {
                Part::All => chosen.extend(members.map(|(index, ..)| index)),
                Part::Range(first, last) => {
                    let within = members.filter(|(_, number, _)| (first..=last).contains(number));
                    chosen.extend(within.map(|(index, ..)| index));
                }
                Part::Share(share) => {
                    let mut drawn: Vec<(u64, usize)> = members
                        .map(|(index, _, eid)| {
                            let random = self.simulation.random(&format!("{purpose} chooses {eid}"));
                            (below(&random, u64::MAX), index)
                        })
                        .collect();
                    drawn.sort_unstable();
                    drawn.truncate(share_of(share, drawn.len()));
                    chosen.extend(drawn.into_iter().map(|(_, index)| index));
                }
            }
        }
        chosen.into_iter().collect()
    }

    /// Performs a step of the scenario.
    pub(super) async fn step(&self, index: usize) -> Result<(), Fault> {
        let Some(step) = self.scenario.steps.get(index) else { return Ok(()) };
        let purpose = format!("step {index}");
        let chosen = |devices: &toml::Spanned<Devices>| self.chosen(Some(devices.get_ref()), &purpose);
        let now = self.now();
        let platform = self.parties.platform.party();
        let asks_platform = matches!(
            step.action,
            Action::Pause { .. } | Action::Resume { .. } | Action::RollBack { .. } | Action::Retire { .. }
        );
        if asks_platform && platform.is_none() {
            // The platform is not running, so the step is repeated after a minute.
            self.queue.put(now.plus(A_MINUTE), Due::Step(index));
            return Ok(());
        }
        self.report().timeline.add(now, Kind::Step, "scenario", step.action.to_string());
        match &step.action {
            Action::Travel { devices, to } => {
                let hears = self.hears(to);
                chosen(devices).into_iter().for_each(|index| self.move_to_place(index, &hears));
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
                        self.radio.environment.refuse(network, imei(device.eid), EmmCause(*cause));
                    }
                }
                self.reevaluate_network(network);
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
            Action::DeleteProfile { devices, operator } if self.parties.m2m.is_some() => {
                self.order(chosen(devices), Order::Delete(*operator.get_ref()), DAY);
            }
            Action::EnableProfile { devices, operator } if self.parties.m2m.is_some() => {
                self.order(chosen(devices), Order::Enable(*operator.get_ref()), DAY);
            }
            Action::DeleteProfile { devices, operator } if self.parties.iot.is_some() => {
                self.order_at_eim(chosen(devices), EimOrder::Delete(*operator.get_ref())).await?;
            }
            Action::EnableProfile { devices, operator } if self.parties.iot.is_some() => {
                self.order_at_eim(chosen(devices), EimOrder::Enable(*operator.get_ref())).await?;
            }
            Action::ChangeEim { devices, to } => {
                self.order_at_eim(chosen(devices), EimOrder::ChangeEim(*to)).await?;
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
                self.report_refusal(campaign.get_ref(), done.err());
            }
            Action::Resume { campaign } => {
                let Some(platform) = platform else { return Ok(()) };
                let done = platform.resume_campaign(&id(campaign.get_ref())?).await;
                self.report_refusal(campaign.get_ref(), done.err());
            }
            Action::RollBack { campaign } => {
                let Some(platform) = platform else { return Ok(()) };
                let done = platform.roll_back_campaign(&id(campaign.get_ref())?).await;
                self.report_refusal(campaign.get_ref(), done.err());
            }
            Action::RegisterImei { devices, country } => {
                self.change_facts(chosen(devices), FactChange::RegisterImei(*country.get_ref())).await?;
            }
            Action::Grant { devices, permit } => {
                self.change_facts(chosen(devices), FactChange::Grant(*permit)).await?;
            }
            Action::Withdraw { devices, permit } => {
                self.change_facts(chosen(devices), FactChange::Withdraw(*permit)).await?;
            }
            Action::ChangeOwner { devices } => {
                self.change_facts(chosen(devices), FactChange::NewOwner).await?;
            }
            Action::Steal { devices, to } => {
                let hears = self.hears(to);
                for index in chosen(devices) {
                    if let Some(mut device) = self.device(index) {
                        self.unregister(&mut device);
                        device.service_state = ServiceState::Stolen;
                        device.service.without_service_since = None;
                        // The old place is cleared, so that the device counts as moved even if the
                        // thief stays at the same place.
                        device.hears = std::sync::Arc::new([]);
                    }
                    self.move_to_place(index, &hears);
                }
            }
            Action::Retire { devices } => {
                let Some(platform) = platform else { return Ok(()) };
                for index in chosen(devices) {
                    let eid = {
                        let Some(mut device) = self.device(index) else { continue };
                        if device.service_state == ServiceState::Retired {
                            continue;
                        }
                        self.unregister(&mut device);
                        (device.service_state, device.service.without_service_since) =
                            (ServiceState::Retired, None);
                        device.eid
                    };
                    if let Err(why) = platform.retire(eid).await
                        && let Some(device) = self.device(index)
                    {
                        self.add_event(
                            Kind::Failed,
                            &device,
                            &format!("cannot be retired in the records: {why}"),
                        );
                    }
                }
            }
        }
        Ok(())
    }

    /// Ends the process of a simulated server. Third-party servers are not affected.
    fn end_process(&self, party: &str, lasts: Duration) {
        const ENDED: &str = "its process has ended and is down";
        let now = self.now();
        let report_end = || {
            let mut report = self.report();
            // If the process is already down, the new downtime starts now.
            report.timeline.over(now, party, ENDED);
            report.timeline.add_lasting((now, now.plus(lasts)), Kind::Server, party, ENDED);
        };
        if party == "platform" {
            self.parties.platform.end(lasts);
            report_end();
        } else if let Some(m2m) = &self.parties.m2m {
            m2m.testbed.end_process(party, lasts);
            report_end();
        } else if let Some(eim) = self.parties.iot.as_ref().and_then(|iot| iot.eim_at(party)) {
            eim.host.end(lasts);
            report_end();
        } else if let Some(sm_dp) = self.parties.sm_dps.get(party).and_then(|sm_dp| sm_dp.party.as_ref()) {
            sm_dp.end(lasts);
            report_end();
        } else {
            let what = "is a third-party server and cannot be restarted";
            self.report().timeline.add(now, Kind::Failed, party, what);
        }
    }

    /// Reports a request that the platform refused.
    pub(super) fn report_refusal(&self, campaign: &str, why: Option<Problem>) {
        if let Some(why) = why {
            self.report().timeline.add(self.now(), Kind::Campaign, campaign, why.to_string());
        }
    }

    fn bar(&self, devices: &[usize], operator: Option<Plmn>, cause: Option<EmmCause>) -> Result<(), Fault> {
        for index in devices {
            let Some(mut device) = self.device(*index) else { continue };
            let serial = self.imsis(&device);
            for (home, imsi) in serial.into_iter().filter(|(home, _)| operator.is_none_or(|of| of == *home)) {
                let Some(server) = self.radio.networks.home_of(imsi) else { continue };
                if let Some(mut subscriber) = server.subscriber(imsi) {
                    subscriber.barred = cause;
                    server.provision(imsi, subscriber)?;
                }
                if cause.is_some()
                    && device
                        .service
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
            (device.activity.has_power, device.activity.must_recover) = (false, true);
            let now = self.now();
            self.end_outage(&mut device, now);
            if let Some(power) = &device.activity.power {
                power.cut();
            }
        }
        let (now, until) = (self.now(), self.now().plus(lasts.0));
        for (group, number) in cut {
            let Some(group) = self.group(group) else { continue };
            let (name, of) = (group.name.get_ref().as_str(), group.count.get_ref());
            let what = format!("{number} of {of} devices have no power");
            self.report().timeline.add_lasting((now, until), Kind::World, name, what);
        }
        self.queue.put(until, Due::Power(devices));
    }

    /// Enables or deletes a profile directly on the card, as a person with access to the device
    /// does.
    async fn by_hand(&self, index: usize, operator: Plmn, delete: bool) -> Result<(), Fault> {
        let (eid, at, target) = {
            let Some(device) = self.device(index) else { return Ok(()) };
            if device.activity.is_awake {
                self.add_event(Kind::Failed, &device, "is active, so its card is not accessible");
                return Ok(());
            }
            let held = device.profiles.iter().find(|profile| profile.home == Some(operator));
            let Some(held) = held else {
                self.add_event(Kind::Failed, &device, &format!("has no profile of {operator} on its card"));
                return Ok(());
            };
            (device.eid, device.card.clone(), held.iccid)
        };
        let card = self.card((eid, at), &format!("card {eid} in hand at {}", self.now()), |memory| memory)?;
        let mut lpa = by_hand(card, self.simulation.clock());
        let done = match delete {
            true => {
                // An enabled profile must be disabled before it can be deleted.
                let _ = lpa.disable(target).await;
                lpa.delete(target).await
            }
            false => lpa.enable(target).await,
        };
        let Some(mut device) = self.device(index) else { return Ok(()) };
        if let Err(why) = done {
            self.add_event(Kind::Failed, &device, &why.to_string());
            return Ok(());
        }
        if delete {
            device.expected_profiles.retain(|iccid| *iccid != target);
            device.profiles.retain(|profile| profile.iccid != target);
        }
        device.contact.has_pending_notifications = true;
        device.activity.must_recover = delete;
        let uses_it = device.service.registered.is_some_and(|attached| attached.iccid == target);
        if uses_it == delete {
            self.lose(index, &mut device);
        }
        Ok(())
    }

    /// Installs a fault of the scenario.
    pub(super) fn install_fault(&self, index: usize) {
        let Some(fault) = self.scenario.faults.get(index) else { return };
        let mut spec: FaultSpec = fault.what.get_ref().clone();
        if let Some(lasts) = &fault.lasts {
            let until = Some(lasts.get_ref().0);
            spec = spec.when(When::Span { from: Duration::ZERO, until });
        }
        let whom =
            fault.devices.as_ref().map_or_else(|| "all".to_owned(), |devices| devices.get_ref().to_string());
        let of_servers = spec.is_of_servers();
        let what = if of_servers { spec.to_string() } else { format!("{spec}, {whom}") };
        let now = self.now();
        match &fault.lasts {
            None => self.report().timeline.add(now, Kind::Fault, "faults", what),
            Some(lasts) => {
                let span = (now, now.plus(lasts.get_ref().0));
                self.report().timeline.add_lasting(span, Kind::Fault, "faults", what);
            }
        }
        if of_servers {
            self.server_faults.install(spec);
            return;
        }
        let purpose = format!("fault {index}");
        let devices = self.chosen(fault.devices.as_ref().map(toml::Spanned::get_ref), &purpose);
        let silences = matches!(spec.id(), FaultId::Radio(RadioAct::Outage | RadioAct::Flapping));
        for index in devices {
            let Some(mut device) = self.device(index) else { continue };
            self.mishaps_of(&mut device).install(spec.clone());
            let is_there = |plmn: Plmn| spec.place().is_none_or(|place| place == plmn.to_string());
            if silences && device.service.registered.is_some_and(|attached| is_there(attached.network)) {
                self.lose(index, &mut device);
            }
        }
    }
}

fn id(campaign: &str) -> Result<CampaignId, Fault> {
    campaign.parse().map_err(|_| bug("a campaign has no name"))
}

/// The number of devices in a share of this percentage of `devices`: rounded to the nearest number,
/// a half upwards, and at least one.
fn share_of(percentage: u8, devices: usize) -> usize {
    let rounded = (devices.saturating_mul(usize::from(percentage)).saturating_add(50)) / 100;
    rounded.clamp(1.min(devices), devices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_and_never_empty() {
        for (percentage, devices, share) in [
            (10, 80, 8),
            (10, 40, 4),
            (33, 10, 3),
            (25, 10, 3),
            (24, 10, 2),
            (1, 10, 1),
            (99, 3, 3),
            (100, 7, 7),
        ] {
            assert_eq!(share_of(percentage, devices), share, "{percentage}% of {devices}");
        }
    }
}
