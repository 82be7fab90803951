//! The owner of the devices: the platform, its initial records, and its suppliers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use certs::{Credential, Pki, Validity};
use fleet::{Config, Es2Plus, Name, Owner, Platform, Setup, Supplier};
use localize::{Day, HeldProfile, Identity, Needs, Offer, Orderable, Place, Policy, ProfileType, RuleBook};
use rsp::ids::{Oid, Plmn};
use sm_dp::SmDpPlus;
use world::{Fault, MemoryRecords, transact};

use super::activation_codes::desk;
use super::dormant_device::DormantDevice;
use super::internal_fault::bug;
use super::notifications::EventReporter;
use super::simulated_world::{PLATFORM, SmDp};
use crate::file::{Action, Group, Operator, Scenario};
use faults::FaultInjector;
use testbed::host::Host;
use testbed::time::Simulation;
use testbed::{OPERATOR, bad_pki};

const DAY: Duration = Duration::from_secs(86_400);

/// The initial platform record of a device.
pub(super) fn record(
    device: &DormantDevice,
    group: &Group,
    held: Vec<HeldProfile>,
    scenario: &Scenario,
    places: &BTreeMap<Plmn, Place>,
) -> fleet::Device {
    let mut record = fleet::Device::new(device.eid);
    record.label = format!("{}-{}", group.name.get_ref(), device.number).into();
    record.group = Name::from(group.name.get_ref().as_str());
    record.model = Name::from(group.model.as_str());
    record.account = Name::from(group.account.as_str());
    let has = |operator: &&Operator| held.iter().any(|held| held.home.plmn == *operator.network.get_ref());
    let identities = scenario.operators.iter().filter(has).flat_map(|operator| &operator.identities);
    record.connection.identities = identities
        .filter_map(|identity| Some(Identity { operator: *places.get(identity.of.get_ref())? }))
        .collect();
    record.connection.held = held;
    let needs = group.needs;
    record.connection.needs =
        Needs { criticality: needs.criticality, bandwidth: needs.bandwidth, latency: needs.latency };
    record.connection.imei_registered_in.clone_from(&device.stay_log.imei_registered_in);
    record.connection.permits.clone_from(&device.stay_log.permits);
    record
}

/// The initial records of the platform.
pub(super) async fn records(devices: Vec<fleet::Device>) -> Result<MemoryRecords, Fault> {
    let records = MemoryRecords::default();
    for some in devices.chunks(1000) {
        let put = |tx: &mut world::Tx<'_>| some.iter().try_for_each(|device| fleet::put(tx, device));
        transact(&records, |tx| Box::pin(async move { put(tx) })).await?;
    }
    Ok(records)
}

/// Starts the platform with its records.
pub(super) fn platform(
    simulation: &Simulation,
    scenario: &Scenario,
    pki: &Pki,
    sm_dps: &BTreeMap<String, SmDp>,
    faults: &FaultInjector,
    records: &MemoryRecords,
    reporter: EventReporter,
) -> Result<Host<Platform>, Fault> {
    let setup = setup(scenario, pki, sm_dps, faults)?;
    let simulation = simulation.clone();
    let make = move |records: Arc<dyn world::Records>, starts| {
        let world = simulation.world(&format!("platform {starts}"));
        reporter.started("platform", starts);
        let platform = Platform::new(records, world, reporter.clone(), setup.clone());
        // Devices of a scenario check in without tokens.
        let link = platform.devices_link(|_, _| true);
        (platform, link)
    };
    Ok(Host::start("platform", Arc::new(records.clone()), faults.clone(), make))
}

fn setup(
    scenario: &Scenario,
    pki: &Pki,
    sm_dps: &BTreeMap<String, SmDp>,
    faults: &FaultInjector,
) -> Result<Setup, Fault> {
    let (mut suppliers, mut offers) = (BTreeMap::new(), Vec::new());
    for operator in scenario.operators.iter().filter(|operator| *operator.stock.get_ref() > 0) {
        let plmn = *operator.network.get_ref();
        let supplier = match scenario.is_m2m() {
            true => Supplier::Operator,
            false => Supplier::SmDpPlus(at_sm_dp_plus(operator, pki, sm_dps, faults)?),
        };
        suppliers.insert(plmn, supplier);
        let place = scenario.book.locate(plmn).map_err(|why| bug(&why.to_string()))?;
        let order = Orderable::ProfileType(ProfileType(type_of(operator)));
        offers.push(Offer { order, operator: place, priority: operator.priority });
    }
    let owner = &scenario.owner;
    let days = |length: &Option<toml::Spanned<crate::file::Length>>, usual: u32| {
        let days = length.as_ref().map(|length| length.get_ref().0.as_secs() / DAY.as_secs());
        days.map_or(usual, |days| u32::try_from(days).unwrap_or(u32::MAX))
    };
    let default = Policy::default();
    let policy = Policy {
        lead_time_days: days(&owner.lead_time, default.lead_time_days),
        retry_after_days: days(&owner.retry_after, default.retry_after_days),
        registered_in: owner.registered_in.iter().map(|country| *country.get_ref()).collect(),
        permits: owner.permits.iter().copied().collect(),
        strategy: scenario.strategy.clone(),
        ..default
    };
    let longest = scenario.groups.iter().map(|group| group.check_in.get_ref().0).max().unwrap_or(DAY);
    let usual = Config::default();
    let silent_after = owner.silent_after.map_or(usual.silent_after.max(longest * 3), |length| length.0);
    // An IoT device executes a move when it wakes up, and reports at the latest the next time.
    let longest_move = match scenario.is_iot() {
        true => usual.longest_move.max(longest * 4),
        false => usual.longest_move,
    };
    let config = Config { longest, silent_after, longest_move, ..usual };
    let book = with_notices(scenario)?;
    Ok(Setup { book, owner: Owner { policy, offers }, suppliers, config })
}

/// The ES2+ interface at which profiles of this operator are ordered.
fn at_sm_dp_plus(
    operator: &Operator,
    pki: &Pki,
    sm_dps: &BTreeMap<String, SmDp>,
    faults: &FaultInjector,
) -> Result<Es2Plus, Fault> {
    let plmn = *operator.network.get_ref();
    let sm_dp = sm_dps.get(operator.sm_dp.get_ref()).ok_or_else(|| bug("an SM-DP+ is not running"))?;
    let codes: Vec<_> = sm_dp.codes.iter().filter(|(home, ..)| *home == plmn).collect();
    let orders = match codes.is_empty() {
        true => sm_dp.transport.link(Some(&pki.operator(OPERATOR).map_err(bad_pki)?))?,
        false => desk(&sm_dp.address, codes.into_iter().map(|(_, iccid, code)| (*iccid, code.clone()))),
    };
    let host = sm_dp.address.rsplit_once(':').map_or(sm_dp.address.as_str(), |(host, _)| host);
    Ok(Es2Plus {
        link: faults.link(orders),
        address: sm_dp.address.parse().map_err(|_| bug("an SM-DP+ has no address"))?,
        name: host.parse().map_err(|_| bug("an SM-DP+ has no name"))?,
        requester: requester(pki)?.to_string(),
        reports_progress: sm_dp.party.is_some(),
    })
}

/// The profile type of an operator in orders.
pub(super) fn type_of(operator: &Operator) -> String {
    operator.profile_type.clone().unwrap_or_else(|| format!("local-{}", operator.network.get_ref()))
}

/// The rule book of the platform. If a network announces a change, the book contains the change as
/// a rule that is known from the announcement on.
fn with_notices(scenario: &Scenario) -> Result<RuleBook, Fault> {
    let mut book = scenario.book.clone();
    for step in &scenario.steps {
        let Action::Notice { network, ends, of } = &step.action else { continue };
        let announced = scenario.when(*step.at.get_ref()).ok_or_else(|| bug("a notice has no time"))?;
        let effective = announced.plus(ends.0);
        let network = network.get_ref();
        let homes =
            of.as_ref().map_or(String::new(), |of| format!("home_networks = [\"{}\"]\n", of.get_ref()));
        let (announced, effective) = (Day::of(announced), Day::of(effective));
        let text = format!(
            "[[rule]]\nid = \"notice-{network}-{effective}\"\nnetworks = [\"{network}\"]\n{homes}kind = \"banned\"\n\
             announced = \"{announced}\"\neffective = \"{effective}\"\nsource = \"the network's notice\"\n\
             reviewed = \"{announced}\"\nconfidence = \"high\"\n"
        );
        book.add(&text).map_err(|why| bug(&why.to_string()))?;
    }
    Ok(book)
}

/// The OID of the platform at SM-DP+s.
fn requester(pki: &Pki) -> Result<Oid, Fault> {
    let certificate = pki.operator(OPERATOR).map_err(bad_pki)?.certificate;
    certificate.registered_ids().first().cloned().ok_or_else(|| bug("the operator has no OID"))
}

/// Registers the platform at an SM-DP+, which then reports the progress of downloads to it.
pub(super) async fn introduce(pki: &Pki, sm_dp: &Host<SmDpPlus>) -> Result<(), Fault> {
    let oid = requester(pki)?;
    let platform = sm_dp::Operator {
        identifier: oid.to_string(),
        certificate_oid: oid,
        es2plus_address: Some(PLATFORM.parse().map_err(|_| bug("the platform has no address"))?),
        namespace: Default::default(),
    };
    sm_dp.party().ok_or_else(|| bug("an SM-DP+ is not running"))?.register_operator(&platform).await
}

/// The CERT.DP.TLS that an SM-DP+ presents to the platform.
pub(super) fn shown_by(pki: &Pki, sm_dp: &SmDp, scenario: &Scenario) -> Result<Credential, Fault> {
    let name = sm_dp.address.parse().map_err(|_| bug("an SM-DP+ has no name"))?;
    let validity = Validity { from: scenario.begins, to: scenario.ends().plus(DAY) };
    pki.issue_dp_tls(&[name], validity).map_err(bad_pki)
}
