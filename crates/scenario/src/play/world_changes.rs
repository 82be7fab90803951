//! Changes of the environment: moves of devices, changes of networks, rule breaches, costs.

use std::sync::Arc;
use std::time::Duration;

use device::Registered;
use fleet::costs::Money;
use localize::{Country, Day, Home, findings};
use network::{Network, Roaming};
use rsp::ids::{Iccid, Imsi, Plmn};
use rsp::time::Timestamp;
use world::{Clock, MemoryRecords};

use super::dormant_device::{Attached, DormantDevice, Hears, ServiceState};
use super::imei::{imei, reported_imei, thief};
use super::queue::Due;
use super::simulated_world::SimulatedWorld;
use super::{below, file_place};
use crate::report::{Kind, Stay};
use testbed::subscription::{own_imsi, own_number};

/// Maximum number of stays that are recorded for each device: one more than the report shows.
const STAYS_KEPT: usize = 41;
/// Number of devices whose stays are recorded for the report.
const SHOWN: usize = 200;
/// Maximum time in milliseconds until a device notices that it has lost its network.
const NOTICE_WITHIN_MS: u64 = 60_000;
/// Time without service after which a device needs a visit.
const VISITED_AFTER: Duration = Duration::from_secs(86_400);

impl SimulatedWorld {
    /// Schedules a wake-up of a device, unless an earlier one is scheduled.
    pub(super) fn schedule_wake_up(&self, index: usize, device: &mut DormantDevice, at: Timestamp) {
        let at = device.activity.alarm.map_or(at, |alarm| alarm.min(at));
        device.activity.alarm = Some(at);
        self.queue.put(at, Due::Wake(index));
    }

    /// Schedules a wake-up at a random time within a minute.
    fn schedule_wake_up_soon(&self, index: usize, device: &mut DormantDevice) {
        let random =
            self.simulation.random(&format!("device {} notices {}", device.eid, device.service.epoch));
        let at = self.now().plus(Duration::from_millis(below(&random, NOTICE_WITHIN_MS)));
        self.schedule_wake_up(index, device, at);
    }

    /// Records a registration.
    pub(super) fn register(&self, index: usize, device: &mut DormantDevice, with: &Registered) {
        let now = self.now();
        let home = self.radio.networks.home_of(with.imsi).map_or(with.plmn, |home| home.plmn());
        let &Registered { plmn: network, iccid, imsi, home_search, .. } = with;
        let attached = Attached { network, iccid, imsi, home, home_search };
        let former = device.service.registered.replace(attached);
        (device.service.registered_at, device.service.home_search) = (now, None);
        device.service.epoch += 1;
        (device.contact.failures, device.activity.must_recover) = (0, false);
        self.end_outage(device, now);
        let its_imei = self.imei_of(device);
        if let Some(former) = former.filter(|former| *former != attached) {
            self.radio.environment.left(former.network, former.imsi, Some(former.home), its_imei);
        }
        if std::mem::take(&mut device.service.lost) {
            device.counts.recoveries = device.counts.recoveries.saturating_add(1);
        }
        if former != Some(attached) {
            device.contact.must_check_in = true;
            self.add_event(Kind::Device, device, &self.where_it_is(&attached));
        }
        let last = device.service.last_as.replace((with.iccid, with.imsi));
        if last.is_some_and(|(iccid, imsi)| iccid == with.iccid && imsi != with.imsi) {
            device.counts.identities = device.counts.identities.saturating_add(1);
        }
        let roams = self.observe(device, &attached, now);
        if device.stay_log.stays.len() < STAYS_KEPT && index < SHOWN {
            device.stay_log.stays.push(Stay {
                from: now,
                network: Some(network),
                roams,
                at_home: network == home,
            });
        }
        self.foresee(index, device, &attached, now);
    }

    /// Schedules the day on which the network will reject or throttle the device, and the breaches
    /// of rules, if the registration stays.
    fn foresee(&self, index: usize, device: &DormantDevice, attached: &Attached, now: Timestamp) {
        let Attached { network, imsi, home, .. } = *attached;
        let epoch = device.service.epoch;
        if let Some(day) = self.radio.environment.attached(network, imsi, Some(home), self.imei_of(device)) {
            self.queue.put(day.start().max(now), Due::Expel { device: index, epoch });
        }
        if device.service_state == ServiceState::InService {
            self.foresee_breaches(index, device, now);
        }
    }

    /// Applies the rules anew after a change of the facts about a device. Events that were scheduled
    /// under the former facts are ignored.
    pub(super) fn facts_changed(&self, index: usize, device: &mut DormantDevice) {
        let now = self.now();
        device.service.epoch += 1;
        match device.service.registered {
            Some(attached) => self.foresee(index, device, &attached, now),
            None if !device.hears.is_empty() => {
                device.contact.failures = 0;
                self.schedule_wake_up(index, device, now);
            }
            None => {}
        }
    }

    /// Describes a registration.
    pub(super) fn where_it_is(&self, attached: &Attached) -> String {
        let Attached { network, home, .. } = attached;
        match self.home_of_profile(attached.iccid).filter(|profile| profile != home) {
            Some(profile) => format!("on {network} with the identity of {home} in a profile of {profile}"),
            None => format!("on {network} with a profile of {home}"),
        }
    }

    /// Adds a registration to the history that the rules use. Returns true if the device roams.
    fn observe(&self, device: &mut DormantDevice, attached: &Attached, now: Timestamp) -> bool {
        let (Some(place), Some(home)) = (self.place(attached.network), self.place(attached.home)) else {
            return false;
        };
        let from = Home { imei: reported_imei(self.imei_of(device)), ..Home::from(home) };
        // The times of one device never decrease.
        let _ = device.stay_log.history.observe_with(place, from, now);
        place.country != home.country
    }

    fn foresee_breaches(&self, index: usize, device: &DormantDevice, now: Timestamp) {
        let connection = localize::Device {
            history: device.stay_log.history.clone(),
            imei_registered_in: device.stay_log.imei_registered_in.clone(),
            permits: device.stay_log.permits.clone(),
            owner_since: device.stay_log.owner_since,
            ..localize::Device::default()
        };
        let policy = localize::Policy {
            devices: u32::try_from(self.devices.len()).unwrap_or(u32::MAX),
            registered_in: self
                .scenario
                .owner
                .registered_in
                .iter()
                .map(|country| *country.get_ref())
                .collect(),
            permits: self.scenario.owner.permits.iter().copied().collect(),
            ..localize::Policy::default()
        };
        let ends = self.scenario.ends();
        for finding in findings(now, &connection, &self.scenario.book, &policy) {
            if finding.share.is_none() && finding.deadline <= ends {
                let (rule, epoch) = (finding.citation.rule.to_string(), device.service.epoch);
                let due = Due::Breach { device: index, epoch, rule, day: finding.measurement.breach.day };
                self.queue.put(finding.deadline.max(now), due);
            }
        }
    }

    /// Records a rule breach, if the registration is still the same.
    pub(super) fn breach(&self, index: usize, epoch: u32, rule: &str, day: Day) {
        let Some(mut device) = self.device(index) else { return };
        if device.service.epoch == epoch && device.stay_log.broken_rules.insert(rule.to_owned()) {
            device.counts.breaches = device.counts.breaches.saturating_add(1);
            self.add_event(Kind::World, &device, &format!("breaks {rule} on {day}"));
        }
    }

    /// The data rate in kilobits per second to which the serving network limits the device, if it
    /// does.
    pub(super) fn throttle_kbps(&self, device: &DormantDevice) -> Option<u32> {
        let Attached { network, imsi, home, .. } = device.service.registered?;
        self.radio.environment.throttle_kbps(network, imsi, Some(home), self.imei_of(device))
    }

    /// Ends a registration that the network no longer allows because of its day count, or reports
    /// that the network throttles the device.
    pub(super) fn expel(&self, index: usize, epoch: u32) {
        let Some(mut device) = self.device(index) else { return };
        let Some(attached) = device.service.registered.filter(|_| device.service.epoch == epoch) else {
            return;
        };
        let its_imei = self.imei_of(&device);
        if self
            .radio
            .environment
            .objection(attached.network, attached.imsi, Some(attached.home), its_imei)
            .is_some()
        {
            self.add_event(Kind::World, &device, &format!("{} has stopped serving it", attached.network));
            self.lose(index, &mut device);
        } else if let Some(kbps) = self.throttle_kbps(&device) {
            let what = format!("{} throttles it to {kbps} kbit/s", attached.network);
            self.add_event(Kind::World, &device, &what);
        }
    }

    /// Returns the time of the next search for the home network while another network of the same
    /// country serves the device. The card sets the interval, which starts at the registration (TS
    /// 23.122 section 4.4.3.3.1, TS 31.102 section 4.2.6). Returns `None` if the home network has no
    /// coverage or would reject the device, because a search would then change nothing.
    pub(super) fn home_search(&self, device: &DormantDevice, now: Timestamp) -> Option<Timestamp> {
        let attached =
            device.service.registered.filter(|_| device.service_state == ServiceState::InService)?;
        let home = attached.home;
        if attached.network == home || !device.hears.contains(&home) {
            return None;
        }
        if self.place(attached.network)?.country != self.place(home)?.country {
            return None;
        }
        let at_home = Attached { network: home, ..attached };
        if !self.radio.still_serves(&at_home, device.eid, self.radio.network(home).as_ref()) {
            return None;
        }
        let (period, since) = (attached.home_search?, now.since(device.service.registered_at));
        let searches = since.as_millis().checked_div(period.as_millis())?;
        let next = u32::try_from(searches).unwrap_or(u32::MAX).saturating_add(1);
        Some(device.service.registered_at.plus(period.saturating_mul(next)))
    }

    /// Schedules a search for the home network, if the home network may have become available.
    fn schedule_home_search(&self, index: usize, device: &mut DormantDevice, now: Timestamp) {
        if device.service.home_search.is_none()
            && let Some(at) = self.home_search(device, now)
        {
            device.service.home_search = Some(at);
            self.schedule_wake_up(index, device, at);
        }
    }

    /// Records the end of a registration.
    pub(super) fn unregister(&self, device: &mut DormantDevice) {
        let now = self.now();
        let Some(attached) = device.service.registered.take() else { return };
        device.service.home_search = None;
        device.service.epoch += 1;
        let _ = device.stay_log.history.detached(now);
        self.radio.environment.left(
            attached.network,
            attached.imsi,
            Some(attached.home),
            self.imei_of(device),
        );
        if device.stay_log.stays.len() < STAYS_KEPT && !device.stay_log.stays.is_empty() {
            device.stay_log.stays.push(Stay { from: now, network: None, roams: false, at_home: false });
        }
        self.begin_outage(device, now);
    }

    /// Ends a registration because of a change in the network. The device notices the loss within a
    /// minute.
    pub(super) fn lose(&self, index: usize, device: &mut DormantDevice) {
        self.unregister(device);
        device.service.lost = true;
        self.schedule_wake_up_soon(index, device);
    }

    pub(super) fn begin_outage(&self, device: &mut DormantDevice, now: Timestamp) {
        let hears = || {
            device.hears.iter().any(|plmn| self.radio.network(*plmn).is_some_and(|network| network.coverage))
        };
        if device.activity.has_power
            && device.service_state == ServiceState::InService
            && device.service.registered.is_none()
            && hears()
        {
            device.service.without_service_since.get_or_insert(now);
        }
    }

    pub(super) fn end_outage(&self, device: &mut DormantDevice, now: Timestamp) {
        if let Some(since) = device.service.without_service_since.take() {
            device.service.longest_without_service =
                device.service.longest_without_service.max(now.since(since));
        }
    }

    fn imei_of(&self, device: &DormantDevice) -> u64 {
        match device.service_state {
            ServiceState::Stolen => thief(device.eid),
            ServiceState::InService | ServiceState::Retired => imei(device.eid),
        }
    }

    /// Moves a device to a stop of its journey.
    pub(super) fn arrive_at_stop(&self, index: usize, stop: usize, round: u32) {
        let Some(group) = self.device(index).and_then(|device| self.group(device.group)) else { return };
        let Some(place) = group.journey.get(stop).and_then(file_place) else { return };
        self.move_to_place(index, &self.hears(&place));
        if group.repeat.is_some() {
            self.put_stop(index, stop, round + 1);
        }
    }

    /// Moves a device to another place.
    pub(super) fn move_to_place(&self, index: usize, hears: &Hears) {
        let now = self.now();
        let Some(mut device) = self.device(index) else { return };
        if device.hears == *hears {
            return;
        }
        device.hears = Arc::clone(hears);
        let stays = device.service.registered.is_some_and(|attached| {
            hears.contains(&attached.network)
                && self.radio.still_serves(
                    &attached,
                    device.eid,
                    self.radio.network(attached.network).as_ref(),
                )
        });
        self.end_outage(&mut device, now);
        if !stays {
            device.service.lost |= device.service.registered.is_some();
            self.unregister(&mut device);
        }
        self.begin_outage(&mut device, now);
        device.contact.failures = 0;
        if self.parties.m2m.is_some() {
            // A device that stays on is notified about every new place.
            self.schedule_wake_up(index, &mut device, now);
        } else if stays {
            self.schedule_home_search(index, &mut device, now);
        } else if !hears.is_empty() {
            self.schedule_wake_up_soon(index, &mut device);
        }
    }

    /// Starts or ends the coverage of a network.
    pub(super) fn set_coverage(&self, network: Plmn, is_there: bool) {
        const AWAY: &str = "has no coverage";
        self.radio.networks.set_coverage(network, is_there);
        if is_there {
            self.report().timeline.over(self.now(), &network.to_string(), AWAY);
            self.add_network_event(network, "has coverage");
        } else {
            let for_good = (self.now(), self.scenario.ends());
            self.report().timeline.add_lasting(for_good, Kind::World, network.to_string(), AWAY);
        }
        self.reevaluate_network(network);
    }

    /// Changes whether a network accepts roamers.
    pub(super) fn set_roaming(&self, plmn: Plmn, of: Option<Plmn>, takes: bool) {
        let Some(Network { mut policy, .. }) = self.radio.network(plmn) else { return };
        let homes = self.scenario.operators.iter().map(|operator| *operator.network.get_ref());
        let mut partners = match policy.roaming {
            Roaming::Everybody => homes.filter(|home| *home != plmn).collect(),
            Roaming::Partners(partners) => partners,
            Roaming::Nobody => std::collections::BTreeSet::new(),
        };
        policy.roaming = match (of, takes) {
            (None, true) => Roaming::Everybody,
            (None, false) => Roaming::Partners(std::collections::BTreeSet::new()),
            (Some(of), true) => {
                partners.insert(of);
                Roaming::Partners(partners)
            }
            (Some(of), false) => {
                partners.remove(&of);
                Roaming::Partners(partners)
            }
        };
        self.radio.networks.set_policy(plmn, policy);
        let whom = of.map_or_else(|| "roamers".to_owned(), |of| format!("roamers of {of}"));
        self.add_network_event(plmn, &format!("{} accepting {whom}", if takes { "starts" } else { "stops" }));
        self.reevaluate_network(plmn);
    }

    /// Lets a network accept rejected devices again.
    pub(super) fn accept(&self, network: Plmn, devices: &[usize]) {
        for index in devices {
            if let Some(device) = self.device(*index) {
                self.radio.environment.accept(network, imei(device.eid));
            }
        }
        self.reevaluate_network(network);
    }

    /// Restores the power of devices.
    pub(super) fn power_comes_back(&self, devices: &[usize]) {
        let now = self.now();
        for index in devices {
            let Some(mut device) = self.device(*index) else { continue };
            device.activity.has_power = true;
            self.begin_outage(&mut device, now);
            self.schedule_wake_up_soon(*index, &mut device);
        }
    }

    /// Re-evaluates all registrations after a change of a network: devices in it may have to leave,
    /// and others may be able to use it.
    pub(super) fn reevaluate_network(&self, plmn: Plmn) {
        let now = self.now();
        let network = self.radio.network(plmn);
        for index in 0..self.devices.len() {
            let Some(mut device) = self.device(index) else { continue };
            match device.service.registered {
                Some(attached)
                    if attached.network == plmn
                        && !self.radio.still_serves(&attached, device.eid, network.as_ref()) =>
                {
                    self.lose(index, &mut device);
                }
                Some(attached) if attached.home == plmn => self.schedule_home_search(index, &mut device, now),
                Some(_) => {}
                None if device.hears.contains(&plmn) && device.activity.has_power => {
                    self.begin_outage(&mut device, now);
                    device.contact.failures = 0;
                    self.schedule_wake_up_soon(index, &mut device);
                }
                None => {}
            }
        }
    }

    /// Adds an event of a network to the timeline.
    pub(super) fn add_network_event(&self, network: Plmn, what: &str) {
        self.report().timeline.add(self.now(), Kind::World, network.to_string(), what);
    }

    /// Adds the cost of traffic over a bearer.
    pub(super) fn spend(&self, bearer: &str, octets: u64, messages: u64) {
        let price = self.log.costs.price(bearer);
        let money = price.map_or(Money::default(), |price| {
            price.per_mb.times(octets, 1_000_000).plus(price.per_sms.times(messages, 1))
        });
        let mut report = self.report();
        let spent = report.costs.by_bearer.entry(bearer.to_owned()).or_default();
        spent.octets = spent.octets.saturating_add(octets);
        spent.messages = spent.messages.saturating_add(messages);
        spent.money = spent.money.plus(money);
        let day = report.day(self.simulation.clock().now());
        report.days.spent.add(bearer, day, u64::try_from(money.0).unwrap_or(0));
    }

    /// The home network of a profile, by its ICCID.
    pub(super) fn home_of_profile(&self, iccid: Iccid) -> Option<Plmn> {
        if let Some((home, _)) = self.parties.foreign.get(&iccid).and_then(|all| all.first()) {
            return Some(*home);
        }
        let mut homes = self.scenario.operators.iter().map(|operator| *operator.network.get_ref());
        homes.find(|home| matches!(own_number(&home.to_string(), iccid), Ok(Some(_))))
    }

    /// The subscriptions on a card, with their home networks.
    pub(super) fn imsis(&self, device: &DormantDevice) -> Vec<(Plmn, Imsi)> {
        device.profiles.iter().flat_map(|profile| self.imsis_of(profile.iccid)).collect()
    }

    /// The subscriptions of a profile, with their home networks.
    pub(super) fn imsis_of(&self, iccid: Iccid) -> Vec<(Plmn, Imsi)> {
        self.known_imsis_of(iccid).unwrap_or_default()
    }

    fn known_imsis_of(&self, iccid: Iccid) -> Option<Vec<(Plmn, Imsi)>> {
        if let Some(subscriptions) = self.parties.foreign.get(&iccid) {
            return Some(subscriptions.clone());
        }
        let home = self.home_of_profile(iccid)?;
        let number = own_number(&home.to_string(), iccid).ok()??;
        let mut all = vec![(home, own_imsi(&home.to_string(), number).ok()?)];
        let operator = self.scenario.operators.iter().find(|operator| *operator.network.get_ref() == home)?;
        all.extend(self.scenario.identities_of(operator).imsis(number).ok()?);
        Some(all)
    }

    /// The countries of the devices that need a visit: they have power and coverage, but have been
    /// without registration for long.
    pub(super) fn visits(&self) -> Vec<Option<Country>> {
        let now = self.now();
        let mut visits = Vec::new();
        for device in self.each_device() {
            if device.service.without_service_since.is_some_and(|since| now.since(since) > VISITED_AFTER) {
                let place = device.hears.first().and_then(|plmn| self.place(*plmn));
                visits.push(place.map(|place| place.country));
            }
        }
        visits
    }

    /// The cost of all visits.
    pub(super) fn visits_money(&self) -> Money {
        let prices = self.visits().into_iter().map(|country| self.log.costs.visit(country).price);
        prices.fold(Money::default(), Money::plus)
    }

    /// The records of the platform. They can be read even while its process is not running.
    pub(super) fn platform_records(&self) -> MemoryRecords {
        self.parties.platform_records.clone()
    }
}
