//! A fleet held against rules, policy and offers at one time.

use std::collections::BTreeMap;

use localize::{
    Census, Decision, Finding, FleetCounts, History, Offer, Policy, Reason, RuleBook, Scope, decide, findings,
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

    /// With the counts of these devices, which are in service: of each its account and its history.
    pub(crate) fn counted(devices: &[(&Name, &History)], question: Question<'_>) -> Self {
        let Question { now, book, policy, .. } = question;
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
        Self { owner: with(of_owner), accounts }
    }
}

impl<'a> Counted<'a> {
    /// Counts the devices that are in service.
    pub fn new(fleet: &'a Fleet, question: Question<'a>) -> Self {
        let devices: Vec<_> =
            fleet.in_service().map(|device| (&device.account, &device.connection.history)).collect();
        Self { fleet, question, policies: Policies::counted(&devices, question) }
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

fn count<'d>(histories: impl Iterator<Item = &'d History>, book: &RuleBook, now: Timestamp) -> FleetCounts {
    let mut census = Census::new(book, now);
    histories.for_each(|history| census.add(history));
    census.finish()
}

/// The row of the strategy among the reasons of a decision.
pub(crate) fn strategy_row(decision: &Decision) -> Option<String> {
    decision.reasons().iter().find_map(|reason| match reason {
        Reason::Strategy { row, .. } => Some(row.to_string()),
        _ => None,
    })
}
