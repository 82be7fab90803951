//! Creates the initial state: profiles in stock, subscribers at their home networks, and devices
//! with their cards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use certs::Pki;
use crypto::Curve;
use euicc_sim::{Card, Shared};
use fleet::CardProfile;
use localize::{HeldProfile, HeldState, Place, Role};
use network::Networks;
use rsp::ids::{Eid, Iccid, Imsi, Plmn};
use sm_dp::ProfileOptions;
use world::{Fault, RamMemory};

use super::cards::{self, CardAt, describe};
use super::dormant_device::{
    Activity, Counts, DormantDevice, Hears, PlatformContact, Service, ServiceState, StayLog,
};
use super::eims::Iot;
use super::environment::{ThirdPartyCard, ThirdPartySmDp};
use super::internal_fault::bug;
use super::owner;
use super::simulated_world::{Foreign, SmDp};
use crate::file::{self, Group, Scenario};
use testbed::fault_places::EimPlace;
use testbed::m2m::M2mTestbed;
use testbed::subscription::{OwnIdentities, Subscription, own_package_with};
use testbed::time::Simulation;

/// First subscriber number of the profiles in stock. Profiles that are on cards at first have
/// smaller numbers.
pub(super) const FIRST_IN_STOCK: u64 = 10_000_001;

/// Creates the stock of an operator and its subscribers.
pub(super) async fn stock(
    scenario: &Scenario,
    operator: &file::Operator,
    networks: &Networks,
    sm_dp: &mut SmDp,
    theirs: Option<&ThirdPartySmDp>,
    foreign: &mut Foreign,
) -> Result<(), Fault> {
    let home = *operator.network.get_ref();
    if let Some(theirs) = theirs {
        for profile in &theirs.stock {
            if Subscription::of(&profile.package)?.home == home {
                let subscription = subscribe(networks, &profile.package, &scenario.operators)?;
                let iccid = subscription.iccid;
                foreign.insert(iccid, all_of(&subscription));
                let code = profile.code.clone().map(|code| (home, iccid, code));
                sm_dp.codes.extend(code);
            }
        }
        return Ok(());
    }
    let party = sm_dp.party.as_ref().and_then(testbed::host::Host::party);
    let party = party.ok_or_else(|| bug("an SM-DP+ is not running"))?;
    let options =
        ProfileOptions { profile_type: Some(owner::type_of(operator)), ..ProfileOptions::default() };
    let identities = scenario.identities_of(operator);
    for number in 0..u64::from(*operator.stock.get_ref()) {
        let package = package(operator, FIRST_IN_STOCK + number, &identities)?;
        subscribe(networks, &package, &scenario.operators)?;
        party.add_profile(&package, &options).await?;
    }
    Ok(())
}

/// Checks that every profile at a third-party SM-DP+ belongs to an operator that uses this SM-DP+.
pub(super) fn all_known(name: &str, theirs: &ThirdPartySmDp, foreign: &Foreign) -> Result<(), Fault> {
    for profile in &theirs.stock {
        let Subscription { iccid, home, .. } = Subscription::of(&profile.package)?;
        if !foreign.contains_key(&iccid) {
            let why = format!(
                "profile {iccid} belongs to {home}, but no operator of that network uses this SM-DP+"
            );
            let next = "add that [[operator]] with this sm_dp to the scenario, or remove the profile";
            return Err(Fault::usage(format!("cannot play with the SM-DP+ {name}"), why, next));
        }
    }
    Ok(())
}

pub(super) fn package(
    operator: &file::Operator,
    number: u64,
    identities: &OwnIdentities,
) -> Result<Vec<u8>, Fault> {
    let home = operator.network.get_ref().to_string();
    own_package_with(&home, number, operator.name.as_deref().unwrap_or(&home), identities)
}

/// Registers all subscribers of a package at their home networks.
pub(super) fn subscribe(
    networks: &Networks,
    package: &[u8],
    operators: &[file::Operator],
) -> Result<Subscription, Fault> {
    let subscription = Subscription::of(package)?;
    let Subscription { iccid, imsi, home, subscriber, others } = &subscription;
    let others = others.iter().map(|other| (other.imsi, other.home, &other.subscriber));
    for (imsi, home, subscriber) in std::iter::once((*imsi, *home, subscriber)).chain(others) {
        let operator = operators.iter().find(|operator| *operator.network.get_ref() == home);
        let (Some(operator), Some(server)) = (operator, networks.home_of(imsi)) else {
            let why = format!(
                "IMSI {imsi} in profile {iccid} belongs to {home}, which is not an operator of the scenario"
            );
            let next = "add that [[operator]] to the scenario, or remove the profile";
            return Err(Fault::new("cannot play the scenario", why, next));
        };
        let mut subscriber = subscriber.clone();
        subscriber.may_roam = operator.roaming;
        server.provision(imsi, subscriber)?;
    }
    Ok(subscription)
}

/// All subscriptions of a profile. The first one is the profile's own.
fn all_of(subscription: &Subscription) -> Vec<(Plmn, Imsi)> {
    let Subscription { imsi, home, others, .. } = subscription;
    let others = others.iter().map(|other| (other.home, other.imsi));
    std::iter::once((*home, *imsi)).chain(others).collect()
}

/// Creates devices.
pub(super) struct Factory<'a> {
    pub(super) simulation: &'a Simulation,
    /// The PKI that certifies cards, and true if they are strict.
    pub(super) maker: (&'a Pki, bool),
    pub(super) shared: &'a Arc<Shared>,
    pub(super) networks: &'a Networks,
    pub(super) scenario: &'a Scenario,
    /// The M2M servers, if the devices are M2M devices.
    pub(super) testbed: Option<&'a M2mTestbed>,
    /// The eIMs, if the devices are IoT devices.
    pub(super) iot: Option<&'a Iot>,
    pub(super) theirs: &'a [ThirdPartyCard],
}

/// The group of a device, and its number in the group.
#[derive(Clone, Copy)]
pub(super) struct GroupMember<'a> {
    /// Index of the group in the scenario.
    pub(super) index: usize,
    pub(super) group: &'a Group,
    /// The number in the group, counted from 1.
    pub(super) number: u32,
}

/// A card for a device.
struct Made {
    eid: Eid,
    card: CardAt,
    /// The profiles, each with its home network.
    profiles: Vec<CardProfile>,
}

impl Factory<'_> {
    pub(super) async fn device(
        &self,
        serial: u64,
        GroupMember { index, group, number }: GroupMember<'_>,
        places: &BTreeMap<Plmn, Place>,
        hears: &Hears,
        foreign: &mut Foreign,
    ) -> Result<(DormantDevice, Vec<HeldProfile>), Fault> {
        let is_of_device =
            |card: &&ThirdPartyCard| card.group == *group.name.get_ref() && card.number == number;
        let Made { eid, card, profiles } = match self.theirs.iter().find(is_of_device) {
            Some(card) => self.third_party_card(card, group, foreign).await?,
            None => self.simulated_card(serial, group).await?,
        };
        let mut held = Vec::new();
        for CardProfile { iccid, enabled, home } in &profiles {
            let home = home.ok_or_else(|| bug("a profile has no home network"))?;
            let role = match (enabled, self.operator(home)?.roaming) {
                (true, _) => Role::Bootstrap,
                (false, true) => Role::Operational,
                (false, false) => Role::Local,
            };
            let state = if *enabled { HeldState::Enabled } else { HeldState::Disabled };
            let home = *places.get(&home).ok_or_else(|| bug("the country of an operator is unknown"))?;
            held.push(HeldProfile { iccid: *iccid, home, role, state });
        }
        let expected_profiles: Vec<Iccid> = profiles.iter().map(|profile| profile.iccid).collect();
        let dormant = DormantDevice {
            eid,
            group: index,
            number,
            card,
            eim: EimPlace::First,
            memory: RamMemory::default(),
            hears: Arc::clone(hears),
            profiles,
            expected_profiles,
            service_state: ServiceState::default(),
            left_preferred: None,
            faults: None,
            counts: Counts::default(),
            service: Service {
                registered: None,
                registered_at: self.scenario.begins,
                home_search: None,
                last_as: None,
                epoch: 0,
                without_service_since: None,
                longest_without_service: Duration::ZERO,
                lost: false,
            },
            contact: PlatformContact {
                heard_at: None,
                ordered: None,
                unproven: None,
                ended: None,
                refused: Vec::new(),
                has_pending_notifications: false,
                must_check_in: false,
                check_in_due: self.scenario.begins,
                failures: 0,
            },
            activity: Activity {
                has_power: true,
                rests_since: None,
                must_recover: false,
                alarm: None,
                is_awake: false,
                again: false,
                power: None,
                wakes: 0,
            },
            stay_log: StayLog {
                history: localize::History::default(),
                stays: Vec::new(),
                permits: group.permits.iter().copied().collect(),
                owner_since: None,
                imei_registered_in: group
                    .imei_registered_in
                    .iter()
                    .map(|country| *country.get_ref())
                    .collect(),
                broken_rules: BTreeSet::new(),
            },
        };
        Ok((dormant, held))
    }

    async fn simulated_card(&self, serial: u64, group: &Group) -> Result<Made, Fault> {
        let eid = self.eid(serial)?;
        let memory = RamMemory::default();
        let world = self.simulation.world(&format!("card {eid} in its factory"));
        // The first profile of an M2M card is part of its description.
        let mut card = match self.testbed {
            Some(_) => None,
            None => {
                let eims = self.iot.map(|iot| Ok::<_, Fault>([iot.initial_eim()?])).transpose()?;
                let description = describe(self.maker, eid, eims.as_ref().map(<[_; 1]>::as_slice))?;
                Some(Card::open_among(description, memory.clone(), world, self.shared)?)
            }
        };
        let mut profiles = Vec::new();
        for (place, plmn) in homes(group).enumerate() {
            let operator = self.operator(plmn)?;
            let package = package(operator, serial, &self.scenario.identities_of(operator))?;
            let Subscription { iccid, .. } = subscribe(self.networks, &package, &self.scenario.operators)?;
            let enabled = place == 0;
            if let Some(card) = &mut card {
                card.load_in_factory(&package, enabled)?;
            }
            profiles.push(CardProfile { iccid, enabled, home: Some(plmn) });
        }
        if let Some(iot) = self.iot {
            let of = |plmn: &Plmn| profiles.iter().find(|profile| profile.home == Some(*plmn));
            let fallback = group.fallback.as_ref().and_then(|plmn| of(plmn.get_ref()));
            iot.register(eid, fallback.map(|profile| profile.iccid)).await?;
        }
        Ok(Made { eid, card: CardAt::Simulated(memory), profiles })
    }

    /// Uses a third-party card. It must match the scenario's description of the device.
    async fn third_party_card(
        &self,
        card: &ThirdPartyCard,
        group: &Group,
        foreign: &mut Foreign,
    ) -> Result<Made, Fault> {
        let cannot = |why: String, next: &str| {
            Fault::usage(format!("cannot use the card of {} {}", card.group, card.number), why, next)
        };
        for package in &card.packages {
            let subscription = subscribe(self.networks, package, &self.scenario.operators)
                .map_err(|why| cannot(why.why.to_string(), &why.next))?;
            foreign.insert(subscription.iccid, all_of(&subscription));
        }
        let (eid, mut profiles) = cards::found(card, self.simulation.clock()).await?;
        for profile in &mut profiles {
            profile.home = foreign.get(&profile.iccid).and_then(|all| all.first()).map(|(home, _)| *home);
            if profile.home.is_none() {
                let why = format!("the home network of its profile {} has no such subscriber", profile.iccid);
                return Err(cannot(
                    why,
                    "add the package to the profiles of the card, or delete the profile",
                ));
            }
        }
        let enabled = profiles.iter().find(|profile| profile.enabled).and_then(|profile| profile.home);
        if enabled != Some(*group.bootstrap.get_ref()) {
            let is = enabled.map_or("it has no enabled profile".to_owned(), |home| {
                format!("its enabled profile belongs to {home}")
            });
            let why = format!("{is}, but bootstrap is {}", group.bootstrap.get_ref());
            return Err(cannot(why, "enable that profile, or correct bootstrap in the scenario"));
        }
        let has: BTreeSet<Plmn> = profiles.iter().filter_map(|profile| profile.home).collect();
        if let Some(missing) = homes(group).find(|home| !has.contains(home)) {
            let why = format!("it has no profile of {missing}, which the scenario lists in holds");
            return Err(cannot(why, "load one, or correct holds in the scenario"));
        }
        Ok(Made { eid, card: CardAt::ThirdParty(card.card_interface.clone()), profiles })
    }

    pub(super) fn operator(&self, plmn: Plmn) -> Result<&file::Operator, Fault> {
        self.scenario
            .operators
            .iter()
            .find(|operator| *operator.network.get_ref() == plmn)
            .ok_or_else(|| bug("the operator does not exist"))
    }

    fn eid(&self, serial: u64) -> Result<Eid, Fault> {
        let eum = self.maker.0.eum(Curve::P256).map_err(testbed::bad_pki)?;
        let prefix =
            eum.eid_range().prefixes().next().ok_or_else(|| bug("the EUM has no EID range"))?.to_owned();
        let width = 30_usize.saturating_sub(prefix.len());
        Eid::with_check_digits(&format!("{prefix}{serial:0width$}")).map_err(|why| bug(&why.to_string()))
    }
}

/// The home networks of the profiles that a device of the group has at first, the enabled one
/// first.
fn homes(group: &Group) -> impl Iterator<Item = Plmn> {
    std::iter::once(&group.bootstrap).chain(&group.holds).map(|plmn| *plmn.get_ref())
}
