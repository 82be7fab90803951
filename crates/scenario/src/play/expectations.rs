//! Checks expectations against the actual state.

use std::collections::{BTreeMap, BTreeSet};

use fleet::{DeviceEvent, Fleet};
use localize::HeldState;
use rsp::ids::Iccid;
use rsp::sgp22;
use sm_dp::ProfileState;
use world::{Fault, Memory, RamMemory};

use super::cards::{CardAt, by_hand};
use super::dormant_device::{DormantDevice, ServiceState};
use super::internal_fault::bug;
use super::simulated_world::SimulatedWorld;
use crate::file::{Condition, Counter, Expectation, Expected, Limit};
use crate::report;
use testbed::host::Host;

/// Maximum number of devices that are named when an expectation is not met.
const NAMED: usize = 3;

/// The actual state of cards and servers at one moment.
#[derive(Default)]
struct ObservedState {
    records: Fleet,
    /// The profiles of each card. Empty if no condition needs them.
    cards: BTreeMap<usize, CardProfile>,
    /// The states of the profiles in stock, at the SM-DP+s.
    servers: BTreeMap<Iccid, ProfileState>,
    /// For M2M devices: a difference between card, SM-SR and SM-DP, if there is one.
    m2m: BTreeMap<usize, Option<String>>,
    /// The M2M devices whose SM-SR is the expected one.
    managed: BTreeSet<usize>,
    /// For IoT devices: the identifiers of the eIMs in the configuration of the card.
    eims: BTreeMap<usize, Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct CardProfile {
    profiles: Vec<Iccid>,
    enabled: Option<Iccid>,
}

impl SimulatedWorld {
    /// Checks an expectation and adds the result to the report.
    pub(super) async fn expect(&self, index: usize) -> Result<(), Fault> {
        let Some(expectation) = self.scenario.expectations.get(index) else { return Ok(()) };
        let (passed, saw) = self.look_at(expectation).await?;
        let text = expectation.that.clone().unwrap_or_else(|| expectation.to_string());
        let line = u32::try_from(expectation.line).ok();
        let at = self.now();
        self.report().judge(report::Expectation { text, line, at, passed, saw });
        Ok(())
    }

    async fn look_at(&self, expectation: &Expectation) -> Result<(bool, String), Fault> {
        let limit = expectation.limit;
        match &expectation.what {
            Expected::Devices { devices, conditions } => {
                let chosen = self.chosen(devices.as_ref().map(toml::Spanned::get_ref), "expectation");
                self.devices_are(&chosen, conditions, limit).await
            }
            Expected::Count { what, devices, campaign } => {
                let chosen = self.chosen(devices.as_ref().map(toml::Spanned::get_ref), "expectation");
                let campaign = campaign.as_ref().map(|campaign| campaign.get_ref().as_str());
                let number = self.count(*what, &chosen, campaign).await?;
                let of = u64::try_from(chosen.len()).unwrap_or(u64::MAX);
                Ok((limit.holds(number, of), format!("{number}")))
            }
            Expected::Campaign { campaign, is } => {
                let all = self.campaigns().await?;
                let state = all.iter().find(|other| other.name == *campaign.get_ref());
                let saw = state.map_or("not started".to_owned(), |campaign| match &campaign.why {
                    Some(why) => format!("{}: {why}", campaign.state),
                    None => campaign.state.clone(),
                });
                let passed = state.is_some_and(|campaign| campaign.state.replace(' ', "-") == *is);
                Ok((passed, saw))
            }
            Expected::Fault { name } => {
                let number = self.fault_count(name);
                let limit = match limit == Limit::default() {
                    true => Limit { at_least: Some(crate::file::Amount::Number(1.0)), at_most: None },
                    false => limit,
                };
                let number = f64::from(u32::try_from(number).unwrap_or(u32::MAX));
                Ok((limit.holds(number, 0), format!("{number} times")))
            }
        }
    }

    /// The number of times that a fault has happened so far.
    fn fault_count(&self, name: &str) -> u64 {
        let is_it = |spec: &faults::FaultSpec| spec.name() == name;
        let of = |faults: &faults::FaultInjector| -> u64 {
            faults
                .injected_counts()
                .into_iter()
                .filter(|(spec, _)| is_it(spec))
                .map(|(_, times)| u64::from(times))
                .sum()
        };
        let devices =
            (0..self.devices.len()).filter_map(|index| Some(of(self.device(index)?.faults.as_ref()?)));
        of(&self.server_faults) + devices.sum::<u64>()
    }

    async fn devices_are(
        &self,
        chosen: &[usize],
        conditions: &[Condition],
        limit: Limit,
    ) -> Result<(bool, String), Fault> {
        let truth = self.truth(chosen, conditions).await?;
        let mut are = 0_u32;
        let mut not = Vec::new();
        for index in chosen {
            let Some(device) = self.device(*index) else { continue };
            let wrong =
                conditions.iter().find_map(|condition| self.is_not(*index, &device, condition, &truth));
            match wrong {
                None => are += 1,
                Some(why) if not.len() < NAMED => not.push(format!("{} {why}", self.name(&device))),
                Some(_) => {}
            }
        }
        let of = u64::try_from(chosen.len()).unwrap_or(u64::MAX);
        let limit = match limit == Limit::default() {
            true => Limit { at_least: Some(crate::file::Amount::Percent(100.0)), at_most: None },
            false => limit,
        };
        let passed = limit.holds(f64::from(are), of);
        let mut saw = format!("{are} of {of}");
        if !passed && !not.is_empty() {
            saw = format!("{saw}; {}", not.join("; "));
        }
        Ok((passed, saw))
    }

    async fn truth(&self, chosen: &[usize], conditions: &[Condition]) -> Result<ObservedState, Fault> {
        let asks = |wanted: fn(&Condition) -> bool| conditions.iter().any(wanted);
        let agrees = asks(|condition| matches!(condition, Condition::Agrees(_)));
        let records = match agrees || asks(|condition| matches!(condition, Condition::State(_))) {
            true => self.records().await?,
            false => Fleet::default(),
        };
        let mut truth = ObservedState { records, ..ObservedState::default() };
        let cards = agrees || asks(|condition| matches!(condition, Condition::Holds(_) | Condition::With(_)));
        for index in chosen.iter().filter(|_| cards) {
            let card = self.ask_card(*index).await?;
            truth.cards.insert(*index, card);
            let eid = self.device(*index).map(|device| device.eid);
            if let (true, Some(m2m), Some(eid)) = (agrees, &self.parties.m2m, eid) {
                let isd_ps = self.isd_ps(*index)?.unwrap_or_default();
                truth.m2m.insert(*index, m2m.testbed.disagreement(eid, &isd_ps).await?);
            }
        }
        let is_eim = asks(|condition| matches!(condition, Condition::ManagedByEim(_)));
        for index in chosen.iter().filter(|_| is_eim) {
            truth.eims.insert(*index, self.eims_of_card(*index).await?);
        }
        let managed = conditions.iter().filter_map(|condition| match condition {
            Condition::ManagedBy(sm_sr) => Some(*sm_sr),
            _ => None,
        });
        for (sm_sr, index) in managed.flat_map(|sm_sr| chosen.iter().map(move |index| (sm_sr, *index))) {
            let eid = self.device(index).map(|device| device.eid);
            if let (Some(m2m), Some(eid)) = (&self.parties.m2m, eid)
                && m2m.testbed.manages(sm_sr, eid).await?
            {
                truth.managed.insert(index);
            }
        }
        for sm_dp in self.parties.sm_dps.values().filter(|_| agrees) {
            if let Some(server) = sm_dp.party.as_ref().and_then(Host::party) {
                let all = server.orders().await?;
                truth.servers.extend(all.into_iter().map(|profile| (profile.iccid, profile.state)));
            }
        }
        Ok(truth)
    }

    /// Powers up a card and reads the identifiers of its eIMs.
    async fn eims_of_card(&self, index: usize) -> Result<Vec<String>, Fault> {
        let Some((eid, memory)) = self
            .device(index)
            .map(|device| Ok::<_, Fault>((device.eid, device.card.memory()?.load()?)))
            .transpose()?
        else {
            return Ok(Vec::new());
        };
        let at = CardAt::Simulated(RamMemory::of(memory));
        let card =
            self.card((eid, at), &format!("card {eid} shows its eIMs at {}", self.now()), |memory| memory)?;
        let eims = by_hand(card, self.simulation.clock()).es10().get_eim_configuration_data().await;
        let eims = eims.map_err(|why| Fault::caused_by(why, "a card cannot be queried", "report this"))?;
        Ok(eims.into_iter().map(|eim| eim.eim_id).collect())
    }

    /// Powers up a card and reads its profiles.
    async fn ask_card(&self, index: usize) -> Result<CardProfile, Fault> {
        if let Some(isd_ps) = self.isd_ps(index)? {
            return Ok(CardProfile {
                enabled: isd_ps.iter().find(|isd_p| isd_p.is_enabled).and_then(|isd_p| isd_p.iccid),
                profiles: isd_ps.iter().filter_map(|isd_p| isd_p.iccid).collect(),
            });
        }
        let (eid, at) = match self.device(index) {
            // A simulated card is read from a copy of its stored memory. A third-party card that is
            // in use must not be disturbed.
            Some(device) => match &device.card {
                CardAt::Simulated(memory) => (device.eid, CardAt::Simulated(RamMemory::of(memory.load()?))),
                CardAt::ThirdParty(_) if device.activity.is_awake => {
                    let enabled = device.profiles.iter().find(|profile| profile.enabled);
                    let profiles = device.profiles.iter().map(|profile| profile.iccid).collect();
                    return Ok(CardProfile { enabled: enabled.map(|profile| profile.iccid), profiles });
                }
                CardAt::ThirdParty(card_interface) => {
                    (device.eid, CardAt::ThirdParty(card_interface.clone()))
                }
            },
            None => return Ok(CardProfile::default()),
        };
        let card =
            self.card((eid, at), &format!("card {eid} is asked at {}", self.now()), |memory| memory)?;
        let listed = by_hand(card, self.simulation.clock()).list().await;
        let listed =
            listed.map_err(|why| Fault::caused_by(why, "a card cannot be queried", "report this"))?;
        let is_enabled = |profile: &&sgp22::es10c::ProfileInfo| {
            profile.profile_state == Some(sgp22::ProfileState::ENABLED)
        };
        Ok(CardProfile {
            enabled: listed.iter().find(is_enabled).and_then(|profile| profile.iccid),
            profiles: listed.iter().filter_map(|profile| profile.iccid).collect(),
        })
    }

    /// Describes what the device does instead, if it does not fulfil the condition.
    fn is_not(
        &self,
        index: usize,
        device: &DormantDevice,
        condition: &Condition,
        truth: &ObservedState,
    ) -> Option<String> {
        let now = self.now();
        let on = || match device.service.registered {
            Some(attached) => format!("is {}", self.where_it_is(&attached)),
            None => "is not registered".to_owned(),
        };
        let card = truth.cards.get(&index);
        let (so, instead) = match condition {
            Condition::On(plmn) => {
                (device.service.registered.is_some_and(|attached| attached.network == *plmn), on())
            }
            Condition::With(plmn) => {
                let enabled =
                    card.and_then(|card| card.enabled).and_then(|iccid| self.home_of_profile(iccid));
                let instead = enabled
                    .map_or("has no enabled profile".to_owned(), |home| format!("has a profile of {home}"));
                (enabled == Some(*plmn), instead)
            }
            Condition::As(plmn) => {
                (device.service.registered.is_some_and(|attached| attached.home == *plmn), on())
            }
            Condition::Holds(plmn) => {
                let mut homes = card.into_iter().flat_map(|card| &card.profiles);
                let has = homes.any(|iccid| self.home_of_profile(*iccid) == Some(*plmn));
                (has, format!("has no profile of {plmn}"))
            }
            Condition::In(country) => {
                let is_in = |plmn| self.place(plmn).is_some_and(|place| place.country == *country);
                (device.hears.iter().copied().any(is_in), "is elsewhere".to_owned())
            }
            Condition::Registered(wanted) => (device.service.registered.is_some() == *wanted, on()),
            Condition::State(word) => {
                let state = truth.records.device(device.eid).map_or("unknown", |record| record.state.word());
                (state == word, format!("is {state}"))
            }
            Condition::Agrees(wanted) => match self.disagreement(index, device, card, truth) {
                Some(why) => (!*wanted, why),
                None => (*wanted, "agrees".to_owned()),
            },
            Condition::ManagedByEim(eim) => {
                let known = truth.eims.get(&index);
                let id = self.parties.iot.as_ref().and_then(|iot| iot.eim(*eim)).map(|eim| &eim.id);
                let is_so = known.is_some_and(|known| known.iter().eq(id));
                (is_so, format!("has {}", known.map_or(String::new(), |known| known.join(", "))))
            }
            Condition::ManagedBy(_) => (truth.managed.contains(&index), "is not".to_owned()),
            Condition::DarkAtMost(limit) => {
                let since = device
                    .service
                    .without_service_since
                    .map_or(device.service.longest_without_service, |since| {
                        device.service.longest_without_service.max(now.since(since))
                    });
                let dark = crate::file::Length(since);
                (since <= limit.0, format!("was without service for {dark}"))
            }
            Condition::WithinRules(wanted) => {
                let broken_rules: Vec<&str> =
                    device.stay_log.broken_rules.iter().map(String::as_str).collect();
                (broken_rules.is_empty() == *wanted, format!("broke {}", broken_rules.join(", ")))
            }
            Condition::Throttled(wanted) => {
                let rate = self.throttle_kbps(device);
                let instead = rate.map_or("is not throttled".to_owned(), |kbps| format!("has {kbps} kbit/s"));
                (rate.is_some() == *wanted, instead)
            }
            Condition::HeardWithin(limit) => {
                let ago = device.contact.heard_at.map(|radio_state| now.since(radio_state));
                let instead = ago.map_or("was never in contact".to_owned(), |ago| {
                    format!("was last in contact {} ago", crate::file::Length(ago))
                });
                (ago.is_some_and(|ago| ago <= limit.0), instead)
            }
        };
        (!so).then_some(instead)
    }

    /// Describes a difference between card, platform and SM-DP+, or for an M2M device between card,
    /// platform, SM-SR and SM-DP.
    fn disagreement(
        &self,
        index: usize,
        device: &DormantDevice,
        card: Option<&CardProfile>,
        truth: &ObservedState,
    ) -> Option<String> {
        if let Some(Some(why)) = truth.m2m.get(&index) {
            return Some(why.clone());
        }
        let card = card?;
        let on_card: BTreeSet<Iccid> = card.profiles.iter().copied().collect();
        let Some(record) = truth.records.device(device.eid) else {
            return Some("has no record at the platform".into());
        };
        let held = &record.connection.held;
        let recorded: BTreeSet<Iccid> = held.iter().map(|held| held.iccid).collect();
        if recorded != on_card {
            return Some(format!("has {} profiles, but {} are recorded", on_card.len(), recorded.len()));
        }
        let enabled = held.iter().find(|held| held.state == HeldState::Enabled).map(|held| held.iccid);
        if enabled != card.enabled {
            return Some("has another enabled profile than recorded".to_owned());
        }
        let of_server = |iccid: &Iccid| truth.servers.get(iccid).copied();
        let unreported = on_card
            .iter()
            .find(|iccid| of_server(iccid).is_some_and(|state| state != ProfileState::Installed));
        unreported.map(|iccid| format!("has profile {iccid}, which is {:?} at its SM-DP+", of_server(iccid)))
    }

    async fn count(&self, what: Counter, chosen: &[usize], campaign: Option<&str>) -> Result<f64, Fault> {
        let sum = |of: fn(&DormantDevice) -> u32| {
            chosen.iter().filter_map(|index| Some(f64::from(of(&*self.device(*index)?)))).sum::<f64>()
        };
        if let Some(name) = campaign {
            let all = self.campaigns().await?;
            let results = all.iter().find(|campaign| campaign.name == name).map(|campaign| &campaign.results);
            let word = match what {
                Counter::Moved => "moved",
                Counter::CameBack => "came back",
                Counter::NotInstalled => "not installed",
                _ => return Err(bug("only moves can be counted for a campaign")),
            };
            let number = results.and_then(|results| results.get(word)).copied().unwrap_or(0);
            return Ok(f64::from(u32::try_from(number).unwrap_or(u32::MAX)));
        }
        Ok(match what {
            Counter::Breaches => sum(|device| device.counts.breaches),
            Counter::Moved => sum(|device| device.counts.moved),
            Counter::CameBack => sum(|device| device.counts.came_back),
            Counter::NotInstalled => sum(|device| device.counts.not_installed),
            Counter::Recoveries => sum(|device| device.counts.recoveries),
            Counter::Identities => sum(|device| device.counts.identities),
            Counter::Refusals => sum(|device| device.counts.refusals),
            Counter::CheckIns => sum(|device| device.counts.check_ins),
            Counter::WakeUps => sum(|device| device.activity.wakes),
            Counter::Octets => sum(|device| u32::try_from(device.counts.octets).unwrap_or(u32::MAX)),
            Counter::Visits => f64::from(u32::try_from(self.visits().len()).unwrap_or(u32::MAX)),
            Counter::ProfilesLost => self.profiles_lost(chosen).await?,
            Counter::Findings => {
                let records = self.records().await?;
                let found = records.devices().iter().flat_map(|device| device.trail.entries());
                let found = found.filter(|entry| matches!(entry.event, DeviceEvent::Found(_))).count();
                f64::from(u32::try_from(found).unwrap_or(u32::MAX))
            }
            Counter::Cost => self.report().costs.total().plus(self.visits_money()).units(),
            Counter::Faults => {
                let of = |faults: &faults::FaultInjector| f64::from(faults.injected_count());
                let devices =
                    chosen.iter().filter_map(|index| Some(of(self.device(*index)?.faults.as_ref()?)));
                of(&self.server_faults) + devices.sum::<f64>()
            }
        })
    }

    /// The number of profiles that must be on a card but are missing or duplicated.
    async fn profiles_lost(&self, chosen: &[usize]) -> Result<f64, Fault> {
        let mut lost = 0_u32;
        for index in chosen {
            let card = self.ask_card(*index).await?;
            let Some(device) = self.device(*index) else { continue };
            if device.service_state == ServiceState::Stolen {
                continue;
            }
            let times = |iccid: &Iccid| card.profiles.iter().filter(|other| *other == iccid).count();
            let gone = device.expected_profiles.iter().filter(|iccid| times(iccid) != 1).count();
            lost = lost.saturating_add(u32::try_from(gone).unwrap_or(u32::MAX));
        }
        Ok(f64::from(lost))
    }
}
