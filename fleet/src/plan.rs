//! Decides where a campaign moves a device. Real moves and dry runs use the same function.

use localize::{Decision, Destination, Device, HeldState, Offer, Policy, Reason, Role, RuleBook, decide};
use rsp::{
    ids::{Iccid, Plmn},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::campaign;

/// A campaign's plan for a device.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "plan", rename_all = "snake_case")]
pub enum Plan {
    /// The device stays.
    Nothing {
        /// The next time at which the plan can change on its own.
        next_check: Option<Timestamp>,
        /// The reasons. Empty if the device is at its destination.
        reasons: Vec<Reason>,
    },
    /// The device moves.
    Move {
        /// The destination.
        to: Destination,
        /// The profile to enable again if the move fails.
        fall_back_to: Option<Iccid>,
        /// The earliest deadline of a rule, if there is one.
        deadline: Option<Timestamp>,
        /// The reasons.
        reasons: Vec<Reason>,
    },
    /// The device should move, but has no destination.
    Stuck {
        /// Description of the missing profile or supplier.
        why: Box<str>,
        /// The next time at which the plan can change on its own.
        next_check: Option<Timestamp>,
        /// The reasons for a move.
        reasons: Vec<Reason>,
    },
}

/// Returns the plan of a campaign with this target for a device with this connection.
pub(crate) fn plan(
    now: Timestamp,
    connection: &Device,
    target: campaign::Destination,
    (book, offers, policy): (&RuleBook, &[Offer], &Policy),
) -> Plan {
    match target {
        campaign::Destination::Decided => decided(decide(now, connection, offers, book, policy)),
        campaign::Destination::Network(network) => to_network(now, connection, network, offers),
    }
}

fn decided(decision: Decision) -> Plan {
    match decision {
        Decision::Stay { reasons, next_check } => Plan::Nothing { next_check, reasons },
        // The applet on the card changes the identity by itself.
        Decision::Move { to, reasons, .. } if matches!(*to, Destination::Identity(_)) => {
            Plan::Nothing { next_check: None, reasons }
        }
        Decision::Move { to, fall_back_to, deadline, reasons, .. } => {
            Plan::Move { to: *to, fall_back_to: fall_back_to.map(|held| held.iccid), deadline, reasons }
        }
        Decision::Stuck { next_check, reasons, .. } => {
            let explains = |reason: &&Reason| {
                matches!(reason, Reason::NoLocalProfile { .. } | Reason::OperatorRefused { .. })
            };
            let why: Vec<String> = reasons.iter().filter(explains).map(ToString::to_string).collect();
            let why = if why.is_empty() { "there is no destination".to_owned() } else { why.join("; ") };
            Plan::Stuck { why: why.into(), next_check, reasons }
        }
    }
}

fn to_network(now: Timestamp, connection: &Device, network: Plmn, offers: &[Offer]) -> Plan {
    let held = &connection.held;
    let there = held.iter().filter(|held| held.home.plmn == network);
    // The device can be on the network with a profile of its own or with an identity of another
    // profile.
    let present = connection.history.present(now);
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
            let why = format!(
                "its card holds no profile of network {network}, and no offer for that network exists"
            );
            return Plan::Stuck { why: why.into(), next_check: None, reasons: Vec::new() };
        }
    };
    let enabled = held.iter().find(|held| held.state == HeldState::Enabled);
    let back = enabled.or_else(|| held.iter().find(|held| held.role == Role::Bootstrap));
    let fall_back_to = back.map(|held| held.iccid);
    Plan::Move { to, fall_back_to, deadline: None, reasons: Vec::new() }
}

#[cfg(test)]
mod tests {
    use localize::HeldProfile;

    use super::*;

    #[test]
    fn a_device_without_an_enabled_profile_falls_back_to_its_bootstrap_profile() {
        let book = RuleBook::built_in().unwrap();
        let home = |network: &str| book.locate(network.parse().unwrap()).unwrap();
        let held = |number: &str, network: &str, role, state| HeldProfile {
            iccid: Iccid::with_luhn(number).unwrap(),
            home: home(network),
            role,
            state,
        };
        let disabled = HeldState::Disabled;
        let local = held("8955000000000000001", "724-05", Role::Local, disabled);
        let bootstrap = held("8944000000000000001", "234-15", Role::Bootstrap, disabled);
        let destination = held("8949000000000000001", "262-01", Role::Local, disabled);
        let planned = |enabled: Option<usize>| {
            let mut held = vec![local.clone(), bootstrap.clone(), destination.clone()];
            enabled.into_iter().for_each(|at| held[at].state = HeldState::Enabled);
            let device = Device { held, ..Device::default() };
            to_network(Timestamp(0), &device, destination.home.plmn, &[])
        };
        for (enabled, expected) in [(None, &bootstrap), (Some(0), &local)] {
            let Plan::Move { to, fall_back_to, .. } = planned(enabled) else { panic!("{enabled:?}") };
            assert_eq!(to, Destination::Held(destination.clone()));
            assert_eq!(fall_back_to, Some(expected.iccid));
        }
    }
}
