//! A device's record held against what it says of itself. The card is right.

use localize::{HeldProfile, HeldState, Home, Place, Refused, Role, RuleBook};
use rsp::{ids::Iccid, time::Timestamp};

use crate::{
    check_in::{CheckIn, Discrepancy, OnCard},
    device::Device,
};

/// More networks than a country has.
const MOST_REFUSED: usize = 16;

/// A profile that is to come onto the card: nobody is surprised by it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) iccid: Iccid,
    pub(crate) home: Place,
}

/// Makes the record say what the device says; what that was not to be expected of is said.
pub(crate) fn hold(
    device: &mut Device,
    said: &CheckIn,
    expected: &[Expected],
    book: &RuleBook,
    now: Timestamp,
) -> Vec<Discrepancy> {
    let mut found = Vec::new();
    if let Some(profiles) = &said.profiles {
        hold_card(device, profiles, expected, book, &mut found);
    }
    found.extend(observe(device, said, book, now));
    for refused in &said.refused {
        refuse(device, Refused { operator: refused.network, at: now });
    }
    found
}

/// The device is left alone by that operator for a while; only the last time counts.
pub(crate) fn refuse(device: &mut Device, refused: Refused) {
    let known = &mut device.connection.refused;
    known.retain(|known| known.operator != refused.operator);
    if known.len() >= MOST_REFUSED {
        known.remove(0);
    }
    known.push(refused);
}

fn hold_card(
    device: &mut Device,
    profiles: &[OnCard],
    expected: &[Expected],
    book: &RuleBook,
    found: &mut Vec<Discrepancy>,
) {
    let held = &mut device.connection.held;
    let was_in_use = enabled(held);
    held.retain(|held| {
        let is_there = profiles.iter().any(|profile| profile.iccid == held.iccid);
        if !is_there {
            found.push(Discrepancy::Gone { iccid: held.iccid });
        }
        is_there
    });
    for OnCard { iccid, enabled, home } in profiles {
        let state = if *enabled { HeldState::Enabled } else { HeldState::Disabled };
        if let Some(known) = held.iter_mut().find(|held| held.iccid == *iccid) {
            known.state = state;
            continue;
        }
        let ordered = expected.iter().find(|expected| expected.iccid == *iccid);
        let located = home.and_then(|home| book.locate(home).ok());
        let (home, role) = match (ordered, located) {
            (Some(ordered), _) => (ordered.home, Role::Local),
            (None, Some(home)) => {
                found.push(Discrepancy::Appeared { iccid: *iccid });
                (home, Role::Operational)
            }
            (None, None) => {
                found.push(Discrepancy::Stranger { iccid: *iccid });
                continue;
            }
        };
        held.push(HeldProfile { iccid: *iccid, home, role, state });
    }
    let in_use = profiles.iter().find(|profile| profile.enabled).map(|profile| profile.iccid);
    let was_to_be = expected.iter().any(|expected| Some(expected.iccid) == in_use);
    if in_use != was_in_use && !was_to_be {
        found.push(Discrepancy::OtherEnabled { iccid: in_use });
    }
}

/// The profile in use.
pub(crate) fn enabled(held: &[HeldProfile]) -> Option<Iccid> {
    held.iter().find(|held| held.state == HeldState::Enabled).map(|held| held.iccid)
}

/// Where it is goes into its history, by its own clock as far as that can be right.
fn observe(device: &mut Device, said: &CheckIn, book: &RuleBook, now: Timestamp) -> Option<Discrepancy> {
    let connection = &mut device.connection;
    let at = said.at.min(now);
    let Some(registered) = said.registered else {
        // It is heard of in another way, and a report that came late ends nothing.
        let _ = connection.history.detached(at);
        return None;
    };
    let Ok(place) = book.locate(registered.network) else {
        return Some(Discrepancy::UnknownNetwork { network: registered.network });
    };
    let profile = connection.held.iter().find(|held| held.iccid == registered.iccid)?;
    let home = Home::from(profile.home);
    let report = connection.history.observe_with(place, home, at);
    report.err().map(|_| Discrepancy::OldReport { country: place.country })
}
