//! Plays a scenario: every party runs in virtual time, and the result is a report.
//!
//! The SM-DP+s, the networks with their subscriber servers, the owner's platform and the cards are
//! the implementations of the other crates. [`faults`] injects faults around them. Of a dormant
//! device, only the stored data of its card, its own stored data and a small state are kept. Its
//! card, LPA and modem are created when it wakes up.
//!
//! The same scenario and seed give the same report, octet for octet.

mod activation_codes;
mod cards;
mod channels;
mod check_in;
mod construction;
mod data_connections;
mod dormant_device;
mod eims;
mod environment;
mod expectations;
mod factory;
mod facts;
mod firmware;
mod imei;
mod internal_fault;
mod iot;
mod iot_firmware;
mod m2m;
mod notifications;
mod online_devices;
mod owner;
mod queue;
mod radio_environment;
mod simulated_world;
mod steps;
mod world_changes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fleet::{CampaignState, MemberState};
use rsp::ids::Plmn;
use rsp::time::Timestamp;
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};
use toml::Spanned;
use world::Fault;

use crate::file::{Place, Scenario, Stop, campaign_spec};
use crate::report::{self, Kind, Report};
use eims::EimParty;
pub use environment::{Environment, Progress, StockedProfile, ThirdPartyCard, ThirdPartySmDp};
use queue::Due;
use simulated_world::{SimulatedWorld, SmDp};
use testbed::time;

const DAY: Duration = Duration::from_secs(86_400);
/// The maximum interval between two runs of the platform's due tasks.
const PLATFORM: Duration = Duration::from_secs(3600);

/// Plays a scenario with this seed. `name` is its name in the report.
///
/// # Errors
/// The parties cannot be created, or the caller is asynchronous code.
pub fn play(name: &str, scenario: &Scenario, seed: &str) -> Result<Report, Fault> {
    play_in(Environment::none()?, name, scenario, seed)
}

/// Like [`play`], with third-party parties and transports.
///
/// # Errors
/// As [`play`].
pub fn play_in(
    environment: Environment,
    name: &str,
    scenario: &Scenario,
    seed: &str,
) -> Result<Report, Fault> {
    let mut report = Report::new(name, &scenario.title, scenario.about.trim(), seed, scenario.begins);
    report.live.clone_from(&environment.live);
    report.networks = network_names(scenario);
    if let Some(live) = report.live.as_mut().filter(|_| scenario.is_m2m()) {
        live.inside.push("short messages".to_owned());
    }
    let progress = Arc::clone(&environment.progress);
    let scenario = scenario.clone();
    time::run(seed, scenario.begins, async |simulation| {
        let sim = Arc::new(SimulatedWorld::create(simulation, scenario, report, environment).await?);
        LocalSet::new().run_until(run(Arc::clone(&sim), progress)).await?;
        let report = sim.report().clone();
        Ok(report)
    })?
}

/// The names of networks by their codes. A network without a name can have that of its operator.
fn network_names(scenario: &Scenario) -> BTreeMap<String, String> {
    let operators = scenario.operators.iter().map(|operator| (&operator.network, &operator.name));
    let networks = scenario.networks.iter().map(|network| (&network.plmn, &network.name));
    let named =
        |(plmn, name): (&Spanned<Plmn>, &Option<String>)| Some((plmn.get_ref().to_string(), name.clone()?));
    operators.chain(networks).filter_map(named).collect()
}

async fn run(sim: Arc<SimulatedWorld>, progress: Progress) -> Result<(), Fault> {
    sim.put_all();
    sim.switch_on();
    for SmDp { party, tells, .. } in sim.parties.sm_dps.values() {
        if let Some(party) = party {
            tokio::task::spawn_local(tells.clone().deliver(party.clone(), sim.simulation.clock()));
        }
    }
    for eim in sim.parties.iot.iter().flat_map(|iot| &iot.eims) {
        let delivery = EimParty::deliver(eim.host.clone(), eim.woken(), sim.simulation.clock());
        tokio::task::spawn_local(delivery);
    }
    let ends = sim.scenario.ends();
    while let Some(next) = sim.queue.next().filter(|next| *next <= ends) {
        progress(sim.now());
        let wait = next.since(sim.now());
        if !wait.is_zero() {
            tokio::select! {
                biased;
                () = sim.queue.changed() => continue,
                () = sleep(wait) => {}
            }
        }
        while let Some(due) = sim.queue.take(sim.now()) {
            happens(&sim, due).await?;
        }
    }
    sim.finish(ends).await
}

async fn happens(sim: &Arc<SimulatedWorld>, due: Due) -> Result<(), Fault> {
    match due {
        Due::Wake(index) => {
            let now = sim.now();
            // The alarm is removed even if the device is awake. Otherwise an alarm in the past
            // would wake the device each time that it goes to sleep.
            let is_due = sim
                .device(index)
                .is_some_and(|mut device| device.activity.alarm.take_if(|alarm| *alarm <= now).is_some());
            if is_due && !sim.scan_networks(index) {
                tokio::task::spawn_local(firmware::wake(Arc::clone(sim), index));
            }
        }
        Due::Stop { device, stop, round } => sim.arrive_at_stop(device, stop, round),
        Due::Coverage { network, is_there } => sim.set_coverage(network, is_there),
        Due::Roaming { network, of, takes } => sim.set_roaming(network, of, takes),
        Due::Accept { network, devices } => sim.accept(network, &devices),
        Due::Power(devices) => sim.power_comes_back(&devices),
        Due::Expel { device, epoch } => sim.expel(device, epoch),
        Due::Breach { device, epoch, rule, day } => sim.breach(device, epoch, &rule, day),
        Due::Step(index) => sim.step(index).await?,
        Due::Fault(index) => sim.install_fault(index),
        Due::Campaign(index) => sim.campaign(index).await?,
        Due::Platform => {
            let sim = Arc::clone(sim);
            tokio::task::spawn_local(async move { sim.look_after_platform().await });
        }
        Due::Day => sim.end_day().await?,
        Due::Expect(index) => sim.expect(index).await?,
    }
    Ok(())
}

/// Adds the numbers of a day to a plot.
fn add_all<K: ToString>(numbers: &mut report::PerDay, day: usize, counted: BTreeMap<Option<K>, u64>) {
    for (of, number) in counted {
        numbers.add(&of.map_or_else(|| "none".to_owned(), |of| of.to_string()), day, number);
    }
}

impl SimulatedWorld {
    /// Schedules all events that are known at the start.
    fn put_all(&self) {
        let (begins, ends) = (self.scenario.begins, self.scenario.ends());
        for (index, device) in self.each_device().enumerate() {
            let group = device.group;
            drop(device);
            let stops = self.group(group).map_or(0, |group| group.journey.len());
            (0..stops).for_each(|stop| self.put_stop(index, stop, 0));
        }
        for network in &self.scenario.networks {
            let plmn = *network.plmn.get_ref();
            for away in &network.away {
                let from = self.scenario.when(*away.from.get_ref()).unwrap_or(begins);
                self.queue.put(from, Due::Coverage { network: plmn, is_there: false });
                if let Some(until) =
                    away.until.as_ref().and_then(|until| self.scenario.when(*until.get_ref()))
                {
                    self.queue.put(until, Due::Coverage { network: plmn, is_there: true });
                }
            }
        }
        for (index, fault) in self.scenario.faults.iter().enumerate() {
            let at = fault.at.as_ref().and_then(|at| self.scenario.when(*at.get_ref())).unwrap_or(begins);
            self.queue.put(at, Due::Fault(index));
        }
        for (index, campaign) in self.scenario.campaigns.iter().enumerate() {
            let at = self.scenario.when(*campaign.at.get_ref()).unwrap_or(begins);
            self.queue.put(at, Due::Campaign(index));
        }
        for (index, step) in self.scenario.steps.iter().enumerate() {
            let at = self.scenario.when(*step.at.get_ref()).unwrap_or(begins);
            self.queue.put(at, Due::Step(index));
        }
        for (index, expectation) in self.scenario.expectations.iter().enumerate() {
            let at = self.scenario.when(expectation.at).unwrap_or(ends);
            self.queue.put(at, Due::Expect(index));
        }
        self.queue.put(begins, Due::Platform);
        self.queue.put(begins.plus(DAY), Due::Day);
    }

    /// Schedules the arrival of a device at a stop.
    fn put_stop(&self, index: usize, stop: usize, round: u32) {
        let Some((group, name)) = self.device(index).map(|device| (device.group, self.name(&device))) else {
            return;
        };
        let Some(group) = self.group(group) else { return };
        let Some(Stop { at, spread, .. }) = group.journey.get(stop) else { return };
        let Some(at) = self.scenario.when(*at.get_ref()) else { return };
        let late = match spread.0.as_millis() {
            0 => Duration::ZERO,
            spread => {
                let random = self.simulation.random(&format!("{name} gets to stop {stop} of round {round}"));
                Duration::from_millis(below(&random, u64::try_from(spread).unwrap_or(u64::MAX)))
            }
        };
        let rounds = group.repeat.as_ref().map_or(Duration::ZERO, |repeat| repeat.get_ref().0 * round);
        self.queue.put(at.plus(rounds).plus(late), Due::Stop { device: index, stop, round });
    }

    async fn look_after_platform(&self) {
        let next = match self.parties.platform.party() {
            Some(platform) => {
                let work = async {
                    let next = platform.due().await?;
                    let looks = self.look_at_eims(&platform).await?;
                    Ok::<_, Fault>([Some(next), looks].into_iter().flatten().min().unwrap_or(next))
                };
                match timeout(PLATFORM, work).await {
                    Ok(Ok(next)) => next,
                    Ok(Err(_)) | Err(_) => self.now().plus(Duration::from_secs(60)),
                }
            }
            None => self.now().plus(Duration::from_secs(60)),
        };
        let now = self.now();
        let next = next.clamp(now.plus(Duration::from_secs(1)), now.plus(PLATFORM));
        self.queue.put(next, Due::Platform);
    }

    /// Starts a campaign.
    async fn campaign(&self, index: usize) -> Result<(), Fault> {
        let Some(campaign) = self.scenario.campaigns.get(index) else { return Ok(()) };
        let eids = campaign.devices.as_ref().map(|devices| {
            let chosen = self.chosen(Some(devices.get_ref()), "campaign");
            chosen.into_iter().filter_map(|index| Some(self.device(index)?.eid)).collect()
        });
        let spec = campaign_spec(campaign, eids)?;
        let again = || self.queue.put(self.now().plus(steps::A_MINUTE), Due::Campaign(index));
        // The creation is repeated if the platform is not running or its records fail. After a
        // failure the campaign may already exist.
        let Some(platform) = self.parties.platform.party() else {
            again();
            return Ok(());
        };
        let made = platform.create_campaign(&spec).await;
        match platform.start_campaign(&spec.id).await {
            Ok(_) => {
                let what = format!("starts: {}", spec.target);
                self.report().timeline.add(self.now(), Kind::Campaign, spec.id.to_string(), what);
            }
            Err(why) => {
                self.report_refusal(&spec.id.to_string(), Some(made.err().unwrap_or(why)));
                again();
            }
        }
        Ok(())
    }

    /// Records the numbers of the day that has ended.
    async fn end_day(&self) -> Result<(), Fault> {
        let now = self.now();
        self.count_day(now).await?;
        if let Some(m2m) = &self.parties.m2m {
            m2m.testbed.forget_events();
        }
        self.queue.put(now.plus(DAY), Due::Day);
        Ok(())
    }

    async fn count_day(&self, now: Timestamp) -> Result<(), Fault> {
        let (mut networks, mut homes) = (BTreeMap::new(), BTreeMap::new());
        let mut countries = BTreeMap::new();
        for device in self.each_device() {
            *networks.entry(device.service.registered.map(|at| at.network)).or_default() += 1;
            *homes.entry(device.service.registered.map(|at| at.home)).or_default() += 1;
            let place = device.hears.first().and_then(|plmn| self.place(*plmn));
            *countries.entry(place.map(|place| place.country)).or_default() += 1;
        }
        let states = self.states().await?;
        let mut report = self.report();
        // The day that ends now.
        let day = report.day(now).saturating_sub(1);
        add_all(&mut report.days.devices_by_network, day, networks);
        add_all(&mut report.days.devices_by_subscription, day, homes);
        add_all(&mut report.days.devices_by_country, day, countries);
        for (name, number) in states {
            report.days.devices_by_state.add(name, day, number);
        }
        Ok(())
    }

    /// The number of devices by their state at the platform. A very large fleet is not queried
    /// every day.
    async fn states(&self) -> Result<BTreeMap<&'static str, u64>, Fault> {
        const ASKED_EACH_DAY: usize = 5000;
        let mut states = BTreeMap::new();
        if self.devices.len() <= ASKED_EACH_DAY {
            for device in self.records().await?.devices() {
                *states.entry(device.state.word()).or_default() += 1;
            }
        }
        Ok(states)
    }

    /// The records of the platform.
    async fn records(&self) -> Result<fleet::Fleet, Fault> {
        let platform = self.platform_records();
        fleet::load(&platform).await
    }

    /// Completes the report at the end of the run.
    async fn finish(&self, ends: Timestamp) -> Result<(), Fault> {
        let records = self.records().await?;
        let mut costs = self.report().costs.clone();
        costs.currency.clone_from(&self.log.costs.currency);
        costs.visits = u64::try_from(self.visits().len()).unwrap_or(u64::MAX);
        costs.visits_money = self.visits_money();
        let mut campaigns = self.campaigns().await?;
        for campaign in &mut campaigns {
            self.name_members(campaign).await?;
        }
        let devices = self.each_device().map(|device| {
            let state = records.device(device.eid).map_or("", |record| record.state.word()).to_owned();
            let mut stays = report::Bounded::default();
            device.stay_log.stays.iter().for_each(|stay| stays.push(*stay));
            report::Device {
                name: self.name(&device),
                eid: device.eid,
                network: device.service.registered.map(|at| at.network),
                enabled: device.profiles.iter().find(|profile| profile.enabled).map(|profile| profile.iccid),
                profiles: u64::try_from(device.profiles.len()).unwrap_or(u64::MAX),
                state,
                moves: u64::from(device.counts.moved),
                came_back: u64::from(device.counts.came_back),
                stays,
            }
        });
        let mut counts = BTreeMap::<String, u32>::new();
        let of_devices =
            self.each_device().filter_map(|device| Some(device.faults.as_ref()?.injected_counts()));
        for (spec, count) in of_devices.flatten().chain(self.server_faults.injected_counts()) {
            *counts.entry(spec.to_string()).or_default() += count;
        }
        let mut report = self.report();
        report.never_struck =
            counts.into_iter().filter(|(_, count)| *count == 0).map(|(spec, _)| spec).collect();
        report.ended = ends;
        report.timeline.ends(ends);
        report.costs = costs;
        report.campaigns = campaigns;
        devices.for_each(|device| report.devices.push(device));
        Ok(())
    }

    async fn campaigns(&self) -> Result<Vec<report::Campaign>, Fault> {
        let mut all = Vec::new();
        let records = self.platform_records();
        let known = world::Tx::begin(&records).peek_list(&fleet::CAMPAIGNS, "").await?;
        for specified in &self.scenario.campaigns {
            let Some((_, campaign)) = known.iter().find(|(id, _)| id == specified.name.get_ref()) else {
                continue;
            };
            let why = match &campaign.state {
                CampaignState::Paused { by, .. } => Some(format!("by {by}")),
                CampaignState::Stopped { why, .. } => Some(why.to_string()),
                _ => None,
            };
            let progress = &campaign.progress;
            let results = [
                ("begun", progress.begun),
                ("moved", progress.moved),
                ("came back", progress.came_back),
                ("not installed", progress.not_installed),
                ("lost", progress.lost),
                ("rolled back", progress.rolled_back),
                ("under way", progress.under_way),
            ];
            let is_over = matches!(campaign.state, CampaignState::Done | CampaignState::RolledBack);
            all.push(report::Campaign {
                name: specified.name.get_ref().clone(),
                target: campaign.spec.target.to_string(),
                terms: report::terms(&campaign.spec),
                state: campaign.state.word().to_owned(),
                why,
                began: Some(campaign.made),
                ended: progress.last_ended.filter(|_| is_over),
                devices: u64::from(progress.devices.max(progress.started)),
                results: results
                    .iter()
                    .map(|(name, number)| ((*name).to_owned(), u64::from(*number)))
                    .collect(),
                canaries: report::Bounded::default(),
                failures: report::Bounded::default(),
            });
        }
        Ok(all)
    }

    /// Lists the canary devices of a campaign, and the devices that did not move, with the reason.
    async fn name_members(&self, campaign: &mut report::Campaign) -> Result<(), Fault> {
        let records = self.platform_records();
        let members =
            world::Tx::begin(&records).peek_list(&fleet::MEMBERS, &format!("{}/", campaign.name)).await?;
        let members: BTreeMap<_, _> = members.into_iter().collect();
        for device in self.each_device() {
            let Some(member) = members.get(&format!("{}/{}", campaign.name, device.eid)) else { continue };
            if member.canary {
                campaign.canaries.push(self.name(&device));
            }
            if let MemberState::Again { why, .. } | MemberState::Failed { why, .. } = &member.state {
                let (device, result, why) = (self.name(&device), member.state.to_string(), why.to_string());
                campaign.failures.push(report::Failure { device, result, why });
            }
        }
        Ok(())
    }
}

/// The place of a stop.
fn file_place(stop: &Stop) -> Option<Place> {
    let country = stop.country.clone().map(Place::In);
    country.or_else(|| stop.hears.clone().map(Place::Hears))
}

/// A random number below this limit.
fn below(random: &impl world::Random, limit: u64) -> u64 {
    let mut octets = [0; 8];
    random.fill(&mut octets);
    u64::from_be_bytes(octets) % limit.max(1)
}
