//! A fleet evaluated under rules, policy and offers at one point in time.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use localize::{
    Census, Decision, Finding, FleetCounts, History, Offer, Policy, Reason, RuleBook, Scope, decide, findings,
};
use rsp::time::Timestamp;

use crate::{
    device::{Device, Fleet, Name},
    equipment::Equipment,
};

/// The conditions of an evaluation.
#[derive(Clone, Copy)]
pub struct Conditions<'a> {
    /// The time.
    pub now: Timestamp,
    /// The rule book.
    pub book: &'a RuleBook,
    /// The owner's policy. A fresh count replaces the fleet's numbers in the policy.
    pub policy: &'a Policy,
    /// The offers.
    pub offers: &'a [Offer],
}

/// A fleet with its counts under these conditions: the input of every report.
pub struct EvaluatedFleet<'a> {
    /// The fleet.
    pub fleet: &'a Fleet,
    /// The conditions.
    pub conditions: Conditions<'a>,
    policies: Policies,
}

/// The owner's policy with the fleet's counts, and the stays of all equipment. If a rule counts by
/// account, there is one more policy for each account.
#[derive(Clone, Debug)]
pub(crate) struct Policies {
    owner: Policy,
    accounts: BTreeMap<Name, Policy>,
    equipment: Arc<Equipment>,
}

impl Policies {
    /// Returns the policy for a device, with the counts of its account.
    pub(crate) fn of(&self, device: &Device) -> &Policy {
        self.accounts.get(&device.account).unwrap_or(&self.owner)
    }

    /// Returns the connection of a device with the stays of other cards in its equipment.
    pub(crate) fn connection<'d>(&self, device: &'d Device, now: Timestamp) -> Cow<'d, localize::Device> {
        self.equipment.connection(device, now)
    }

    /// Counts devices in service, given as pairs of account and history. `equipment` has the stays
    /// of all devices.
    pub(crate) fn counted(
        devices: &[(&Name, &History)],
        equipment: Equipment,
        conditions: Conditions<'_>,
    ) -> Self {
        let Conditions { now, book, policy, .. } = conditions;
        let of_owner = count(devices.iter().map(|(_, history)| *history), book, now);
        let number = u32::try_from(devices.len()).unwrap_or(u32::MAX);
        let with = |counts| Policy { devices: number, counts, ..policy.clone() };
        let mut accounts = BTreeMap::new();
        if book.rules().iter().any(|rule| rule.of == Scope::Account) {
            let mut members: BTreeMap<&Name, Vec<&History>> = BTreeMap::new();
            devices.iter().for_each(|(account, history)| members.entry(account).or_default().push(history));
            accounts.extend(members.into_iter().map(|(name, members)| {
                let of_account = count(members.into_iter(), book, now);
                (name.clone(), with(of_owner.for_account(&of_account, book)))
            }));
        }
        Self { owner: with(of_owner), accounts, equipment: Arc::new(equipment) }
    }
}

impl<'a> EvaluatedFleet<'a> {
    /// Counts the devices in service.
    pub fn new(fleet: &'a Fleet, conditions: Conditions<'a>) -> Self {
        let devices: Vec<_> =
            fleet.in_service().map(|device| (&device.account, &device.connection.history)).collect();
        let cards = fleet.devices().iter().map(|device| (device.eid, &device.connection.history));
        let equipment = Equipment::of(cards, conditions.book);
        Self { fleet, conditions, policies: Policies::counted(&devices, equipment, conditions) }
    }

    /// Returns the same fleet with another lead time: a device must move if a rule is broken or
    /// will be broken within this number of days.
    #[must_use]
    pub fn ahead(&self, days: u32) -> Self {
        let ahead = |policy: &Policy| Policy { lead_time_days: days, ..policy.clone() };
        let Policies { owner, accounts, equipment } = &self.policies;
        let accounts = accounts.iter().map(|(name, policy)| (name.clone(), ahead(policy))).collect();
        let policies = Policies { owner: ahead(owner), accounts, equipment: Arc::clone(equipment) };
        Self { fleet: self.fleet, conditions: self.conditions, policies }
    }

    /// Returns the policy for a device, with the counts of its account.
    pub fn policy(&self, device: &Device) -> &Policy {
        self.policies.of(device)
    }

    /// Decides what to do with a device.
    pub fn decide(&self, device: &Device) -> Decision {
        let Conditions { now, book, offers, .. } = self.conditions;
        decide(now, &self.connection(device), offers, book, self.policy(device))
    }

    /// Returns the finding of each quantitative rule for the device, most urgent first.
    pub fn findings(&self, device: &Device) -> Vec<Finding> {
        let Conditions { now, book, .. } = self.conditions;
        findings(now, &self.connection(device), book, self.policy(device))
    }

    /// Returns the connection of a device with the stays of other cards in its equipment.
    pub(crate) fn connection<'d>(&self, device: &'d Device) -> Cow<'d, localize::Device> {
        self.policies.connection(device, self.conditions.now)
    }
}

fn count<'d>(histories: impl Iterator<Item = &'d History>, book: &RuleBook, now: Timestamp) -> FleetCounts {
    let mut census = Census::new(book, now);
    histories.for_each(|history| census.add(history));
    census.finish()
}

/// Returns the row of the strategy among the reasons of a decision.
pub(crate) fn strategy_row(decision: &Decision) -> Option<String> {
    decision.reasons().iter().find_map(|reason| match reason {
        Reason::Strategy { row, .. } => Some(row.to_string()),
        _ => None,
    })
}
