//! Reconciles a device's record with what the device reports. The card is authoritative.

use localize::{HeldProfile, HeldState, Home, Identity, Place, Refused, Role, RuleBook};
use rsp::{
    ids::{Iccid, Imsi, Plmn},
    time::Timestamp,
};

use crate::{
    check_in::{CardProfile, CheckIn, Discrepancy},
    device::Device,
};

/// Maximum number of recorded refusals of a device: more than the number of networks in a country.
const MOST_REFUSED: usize = 16;
/// Maximum number of characters of the recorded cause of a refusal.
const MOST_CAUSE: usize = 200;

/// A profile that is expected on the card, so that its appearance is not a discrepancy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// The ICCID, or `None` if the operator chooses the profile.
    pub(crate) iccid: Option<Iccid>,
    pub(crate) home: Place,
    /// True if the device was instructed to enable the profile. The enabled profile is then not a
    /// discrepancy either.
    pub(crate) is_target: bool,
}

impl Expected {
    /// True if this is the expected profile. The metadata of a profile that the operator chooses
    /// may name no home network.
    fn is(&self, iccid: Iccid, home: Option<Plmn>) -> bool {
        match self.iccid {
            Some(own) => own == iccid,
            None => home.is_none_or(|home| home == self.home.plmn),
        }
    }
}

/// Updates the record from the report and returns the discrepancies.
pub(crate) fn reconcile(
    device: &mut Device,
    report: &CheckIn,
    expected: &[Expected],
    book: &RuleBook,
    now: Timestamp,
) -> Vec<Discrepancy> {
    let mut found = Vec::new();
    let was_in_use = enabled(&device.connection.held);
    let in_use = match (&report.profiles, report.registered) {
        (Some(profiles), _) => {
            reconcile_profiles(device, profiles, expected, book, &mut found);
            profiles.iter().find(|profile| profile.enabled).map(|profile| profile.iccid)
        }
        // The device did not query the card, but the profile that it registered with must be
        // enabled.
        (None, Some(registered)) => {
            enable_only(&mut device.connection.held, registered.iccid);
            enabled(&device.connection.held)
        }
        (None, None) => was_in_use,
    };
    let mut held_in_use = device.connection.held.iter().filter(|held| Some(held.iccid) == in_use);
    let is_expected = held_in_use.any(|held| {
        let home = Some(held.home.plmn);
        expected.iter().any(|expected| expected.is_target && expected.is(held.iccid, home))
    });
    if in_use != was_in_use && !is_expected {
        found.push(Discrepancy::OtherEnabled { iccid: in_use });
    }
    found.extend(observe(device, report, expected, book, now));
    for refused in &report.refused {
        refuse(device, refused.network, now, &refused.cause);
    }
    found
}

/// Records a refusal by an operator. The device then avoids that operator for a while. Only
/// the operator's latest refusal is kept.
pub(crate) fn refuse(device: &mut Device, operator: Plmn, at: Timestamp, cause: &str) {
    // The CSV file separates refusals by semicolons.
    let cause: String = cause.trim().replace(';', ",").chars().take(MOST_CAUSE).collect();
    let cause = (!cause.is_empty()).then(|| cause.trim_end().into());
    let known = &mut device.connection.refused;
    known.retain(|known| known.operator != operator);
    if known.len() >= MOST_REFUSED {
        known.remove(0);
    }
    known.push(Refused { operator, at, cause });
}

fn reconcile_profiles(
    device: &mut Device,
    profiles: &[CardProfile],
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
    for CardProfile { iccid, enabled, home } in profiles {
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

/// Marks the profile as the only enabled one, if the record has it.
fn enable_only(held: &mut [HeldProfile], iccid: Iccid) {
    if held.iter().any(|held| held.iccid == iccid) {
        for held in held {
            held.state = if held.iccid == iccid { HeldState::Enabled } else { HeldState::Disabled };
        }
    }
}

/// Returns the ICCID of the enabled profile.
pub(crate) fn enabled(held: &[HeldProfile]) -> Option<Iccid> {
    held.iter().find(|held| held.state == HeldState::Enabled).map(|held| held.iccid)
}

/// Adds the reported network and subscriber to the history, at the device's own time but never in
/// the future. If they cannot be added, the open stay ends, because no further days must be
/// counted for a place or subscriber that may no longer be right.
fn observe(
    device: &mut Device,
    report: &CheckIn,
    expected: &[Expected],
    book: &RuleBook,
    now: Timestamp,
) -> Vec<Discrepancy> {
    let at = report.at.min(now);
    let connection = &mut device.connection;
    // A report that is older than the history is refused by it and does not end a stay.
    let Some(registered) = report.registered else {
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
    let (home, unknown_imsi) = match registered.imsi {
        None => (own.into(), None),
        Some(imsi) => match recorded(imsi, own, &connection.identities) {
            Some(home) => (home.into(), None),
            None => (by_country(imsi, book).unwrap_or(own.into()), Some(Discrepancy::OtherIdentity { imsi })),
        },
    };
    let home = Home { imei: registered.imei, ..home };
    let observed = connection.history.observe_with(place, home, at);
    let late = observed.err().map(|_| Discrepancy::OldReport { country: place.country });
    unknown_imsi.into_iter().chain(late).collect()
}

/// Returns the home network of the subscriber: that of the profile or of one of the identities. The
/// longest matching network code wins.
fn recorded(imsi: Imsi, own: Place, identities: &[Identity]) -> Option<Place> {
    let digits = |place: &Place| place.plmn.mnc().len();
    let all = std::iter::once(own).chain(identities.iter().map(|identity| identity.operator));
    all.filter(|place| imsi.plmn(digits(place)) == Some(place.plmn)).max_by_key(digits)
}

/// Returns the home country of an IMSI. The length of its network code is unknown, but its country
/// is not.
fn by_country(imsi: Imsi, book: &RuleBook) -> Option<Home> {
    let somewhere: Plmn = imsi.plmn(2)?;
    Some(book.locate(somewhere).ok()?.country.into())
}
