//! A device's record held against what it says of itself. The card is right.

use localize::{HeldProfile, HeldState, Home, Identity, Place, Refused, Role, RuleBook};
use rsp::{
    ids::{Iccid, Imsi, Plmn},
    time::Timestamp,
};

use crate::{
    check_in::{CheckIn, Discrepancy, OnCard},
    device::Device,
};

/// More networks than a country has.
const MOST_REFUSED: usize = 16;

/// A profile that is to come onto the card: nobody is surprised by it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// Which; none if that is up to its operator.
    pub(crate) iccid: Option<Iccid>,
    pub(crate) home: Place,
}

impl Expected {
    /// Whether it is this one. What its operator picks may name no home.
    fn is(&self, iccid: Iccid, home: Option<Plmn>) -> bool {
        match self.iccid {
            Some(own) => own == iccid,
            None => home.is_none_or(|home| home == self.home.plmn),
        }
    }
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
    let was_in_use = enabled(&device.connection.held);
    let in_use = match (&said.profiles, said.registered) {
        (Some(profiles), _) => {
            hold_card(device, profiles, expected, book, &mut found);
            profiles.iter().find(|profile| profile.enabled).map(|profile| profile.iccid)
        }
        // The card was not asked; but it has in use what it is registered with.
        (None, Some(registered)) => {
            use_alone(&mut device.connection.held, registered.iccid);
            enabled(&device.connection.held)
        }
        (None, None) => was_in_use,
    };
    let mut its = device.connection.held.iter().filter(|held| Some(held.iccid) == in_use);
    let was_to_be = its.any(|its| {
        let home = Some(its.home.plmn);
        expected.iter().any(|expected| expected.is(its.iccid, home))
    });
    if in_use != was_in_use && !was_to_be {
        found.push(Discrepancy::OtherEnabled { iccid: in_use });
    }
    found.extend(observe(device, said, expected, book, now));
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
        let ordered = expected.iter().find(|expected| expected.is(*iccid, *home));
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
}

/// This profile is in use and no other, if it is known.
fn use_alone(held: &mut [HeldProfile], iccid: Iccid) {
    if held.iter().any(|held| held.iccid == iccid) {
        for held in held {
            held.state = if held.iccid == iccid { HeldState::Enabled } else { HeldState::Disabled };
        }
    }
}

/// The profile in use.
pub(crate) fn enabled(held: &[HeldProfile]) -> Option<Iccid> {
    held.iter().find(|held| held.state == HeldState::Enabled).map(|held| held.iccid)
}

/// Where it is, and as whom, goes into its history, by its own clock as far as that can be right. What cannot be put there
/// ends what was: no more days are counted where the device is no longer, or as whom it is no longer there.
fn observe(
    device: &mut Device,
    said: &CheckIn,
    expected: &[Expected],
    book: &RuleBook,
    now: Timestamp,
) -> Vec<Discrepancy> {
    let at = said.at.min(now);
    let connection = &mut device.connection;
    // A report that came late ends nothing.
    let Some(registered) = said.registered else {
        let _ = connection.history.detached(at);
        return Vec::new();
    };
    device.imsi = registered.imsi;
    let Ok(place) = book.locate(registered.network) else {
        let _ = connection.history.detached(at);
        return vec![Discrepancy::UnknownNetwork { network: registered.network }];
    };
    let iccid = registered.iccid;
    let held = connection.held.iter().find(|held| held.iccid == iccid).map(|held| held.home);
    let ordered = expected.iter().find(|expected| expected.is(iccid, None)).map(|expected| expected.home);
    let Some(own) = held.or(ordered) else {
        let _ = connection.history.detached(at);
        return vec![Discrepancy::Stranger { iccid }];
    };
    let (home, stranger) = match registered.imsi {
        None => (own.into(), None),
        Some(imsi) => match recorded(imsi, own, &connection.identities) {
            Some(home) => (home.into(), None),
            None => (by_country(imsi, book).unwrap_or(own.into()), Some(Discrepancy::OtherIdentity { imsi })),
        },
    };
    let report = connection.history.observe_with(place, home, at);
    let late = report.err().map(|_| Discrepancy::OldReport { country: place.country });
    stranger.into_iter().chain(late).collect()
}

/// The home network of the subscriber: that of the profile, or of an identity. Of two that begin alike it is the longer.
fn recorded(imsi: Imsi, own: Place, identities: &[Identity]) -> Option<Place> {
    let digits = |place: &Place| place.plmn.mnc().len();
    let all = std::iter::once(own).chain(identities.iter().map(|identity| identity.operator));
    all.filter(|place| imsi.plmn(digits(place)) == Some(place.plmn)).max_by_key(digits)
}

/// How many digits its network code has nobody has said; its country is plain.
fn by_country(imsi: Imsi, book: &RuleBook) -> Option<Home> {
    let somewhere: Plmn = imsi.plmn(2)?;
    Some(book.locate(somewhere).ok()?.country.into())
}
