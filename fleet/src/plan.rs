//! Where a campaign sends a device: one function, for what is done and for what is only asked.

use localize::{Decision, Destination, HeldState, Offer, Policy, Reason, Role, RuleBook, decide};
use rsp::{
    ids::{Iccid, Plmn},
    time::Timestamp,
};
use serde::Serialize;

use crate::{campaign, device::Device};

/// What a campaign means for a device.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "plan", rename_all = "snake_case")]
pub enum Plan {
    /// Nothing.
    Nothing {
        /// When that may change by the passing of time.
        next_check: Option<Timestamp>,
        /// Why; empty if it is where it is to go.
        reasons: Vec<Reason>,
    },
    /// A move.
    Move {
        /// Where.
        to: Destination,
        /// The profile to enable again if it fails.
        fall_back_to: Option<Iccid>,
        /// When the first rule is broken, if one presses.
        deadline: Option<Timestamp>,
        /// Why.
        reasons: Vec<Reason>,
    },
    /// It should move, and there is nowhere to go.
    Stuck {
        /// What is missing.
        why: Box<str>,
        /// When that may change by the passing of time.
        next_check: Option<Timestamp>,
        /// Why it should.
        reasons: Vec<Reason>,
    },
}

/// What a campaign with this target means for a device now.
pub(crate) fn plan(
    now: Timestamp,
    device: &Device,
    target: campaign::Destination,
    (book, offers, policy): (&RuleBook, &[Offer], &Policy),
) -> Plan {
    match target {
        campaign::Destination::Decided => decided(decide(now, &device.connection, offers, book, policy)),
        campaign::Destination::Network(network) => to_network(now, device, network, offers),
    }
}

fn decided(decision: Decision) -> Plan {
    match decision {
        Decision::Stay { reasons, next_check } => Plan::Nothing { next_check, reasons },
        // The applet of the card changes its identity by itself.
        Decision::Move { to, reasons, .. } if matches!(*to, Destination::Identity(_)) => {
            Plan::Nothing { next_check: None, reasons }
        }
        Decision::Move { to, fall_back_to, deadline, reasons, .. } => {
            Plan::Move { to: *to, fall_back_to: fall_back_to.map(|held| held.iccid), deadline, reasons }
        }
        Decision::Stuck { next_check, reasons, .. } => {
            let why = reasons.iter().rev().find(|reason| matches!(reason, Reason::NoLocalProfile { .. }));
            let why = why.map_or_else(|| "there is nowhere to go".to_owned(), ToString::to_string);
            Plan::Stuck { why: why.into(), next_check, reasons }
        }
    }
}

fn to_network(now: Timestamp, device: &Device, network: Plmn, offers: &[Offer]) -> Plan {
    let held = &device.connection.held;
    let there = held.iter().filter(|held| held.home.plmn == network);
    // By a profile of it, or by one of the identities of another.
    let present = device.connection.history.present(now);
    let is_its_subscriber = present.is_some_and(|stay| stay.home_network == Some(network));
    if is_its_subscriber || there.clone().any(|held| held.state == HeldState::Enabled) {
        return Plan::Nothing { next_check: None, reasons: Vec::new() };
    }
    let offer =
        offers.iter().filter(|offer| offer.operator.plmn == network).min_by_key(|offer| offer.priority);
    let to = match (there.max_by_key(|held| held.role), offer) {
        (Some(held), _) => Destination::Held(held.clone()),
        (None, Some(offer)) => Destination::Offer(offer.clone()),
        (None, None) => {
            let why = format!("its card holds no profile of network {network}, and there is no offer of one");
            return Plan::Stuck { why: why.into(), next_check: None, reasons: Vec::new() };
        }
    };
    let enabled = held.iter().find(|held| held.state == HeldState::Enabled);
    let back = enabled.or_else(|| held.iter().find(|held| held.role == Role::Bootstrap));
    let fall_back_to = back.map(|held| held.iccid);
    Plan::Move { to, fall_back_to, deadline: None, reasons: Vec::new() }
}
