//! A fleet held against rules, policy and offers at one time.

use std::collections::BTreeMap;

use localize::{
    Census, Decision, Finding, FleetCounts, Offer, Policy, Reason, RuleBook, Scope, decide, findings,
};
use rsp::time::Timestamp;

use crate::device::{Device, Fleet, Name};

/// Under what a fleet is looked at.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// When.
    pub now: Timestamp,
    /// The rules.
    pub book: &'a RuleBook,
    /// How the owner wants decisions made; the fleet's numbers in it are counted anew.
    pub policy: &'a Policy,
    /// What can be ordered.
    pub offers: &'a [Offer],
}

/// A fleet that has been counted: what every answer begins with.
pub struct Counted<'a> {
    /// The devices.
    pub fleet: &'a Fleet,
    /// Under what it was counted.
    pub question: Question<'a>,
    policies: Policies,
}

/// The owner's policy with a fleet's counts in it, and one for each account if a rule counts by account.
#[derive(Clone, Debug)]
pub(crate) struct Policies {
    owner: Policy,
    accounts: BTreeMap<Name, Policy>,
}

impl Policies {
    /// The policy for a device, with the counts that its account goes by.
    pub(crate) fn of(&self, device: &Device) -> &Policy {
        self.accounts.get(&device.account).unwrap_or(&self.owner)
    }
}

impl<'a> Counted<'a> {
    /// Counts the devices that are in service.
    pub fn new(fleet: &'a Fleet, question: Question<'a>) -> Self {
        let Question { now, book, policy, .. } = question;
        let of_owner = count(fleet.in_service(), book, now);
        let devices = u32::try_from(fleet.in_service().count()).unwrap_or(u32::MAX);
        let with = |counts| Policy { devices, counts, ..policy.clone() };
        let mut accounts = BTreeMap::new();
        if book.rules().iter().any(|rule| rule.of == Scope::Account) {
            let mut members: BTreeMap<&Name, Vec<&Device>> = BTreeMap::new();
            fleet.in_service().for_each(|device| members.entry(&device.account).or_default().push(device));
            accounts.extend(members.into_iter().map(|(name, members)| {
                let of_account = count(members.into_iter(), book, now);
                (name.clone(), with(of_owner.for_account(&of_account, book)))
            }));
        }
        Self { fleet, question, policies: Policies { owner: with(of_owner), accounts } }
    }

    /// The same with another lead time: each rule presses that is broken or will be within so many days.
    #[must_use]
    pub fn ahead(&self, days: u32) -> Self {
        let ahead = |policy: &Policy| Policy { lead_time_days: days, ..policy.clone() };
        let Policies { owner, accounts } = &self.policies;
        let accounts = accounts.iter().map(|(name, policy)| (name.clone(), ahead(policy))).collect();
        let policies = Policies { owner: ahead(owner), accounts };
        Self { fleet: self.fleet, question: self.question, policies }
    }

    /// The policy for a device, with the counts that its account goes by.
    pub fn policy(&self, device: &Device) -> &Policy {
        self.policies.of(device)
    }

    /// The counts without the devices.
    pub(crate) fn into_policies(self) -> Policies {
        self.policies
    }

    /// What to do with a device, and why.
    pub fn decide(&self, device: &Device) -> Decision {
        let Question { now, book, offers, .. } = self.question;
        decide(now, &device.connection, offers, book, self.policy(device))
    }

    /// What each rule with a number comes to for the device, most urgent first.
    pub fn findings(&self, device: &Device) -> Vec<Finding> {
        findings(self.question.now, &device.connection, self.question.book, self.policy(device))
    }
}

fn count<'d>(devices: impl Iterator<Item = &'d Device>, book: &RuleBook, now: Timestamp) -> FleetCounts {
    let mut census = Census::new(book, now);
    devices.for_each(|device| census.add(&device.connection.history));
    census.finish()
}

/// The row of the strategy among the reasons of a decision.
pub(crate) fn strategy_row(decision: &Decision) -> Option<String> {
    decision.reasons().iter().find_map(|reason| match reason {
        Reason::Strategy { row, .. } => Some(row.to_string()),
        _ => None,
    })
}
