//! Which identity is to be used: a decision without the card.
//!
//! In each country its own identity is tried; where that is refused, the one for everywhere else. Nothing is tried without
//! end: an identity other than the default is picked [`MAX_TRIES`] times in a country, and [`MAX_PICKS`] times altogether,
//! before a day has passed; the way back to the default is always open, and from there the next pick counts.

use profile::identities::Identities;
use rsp::ids::{Imsi, Mcc};
use rsp::ota::cat::LocationStatus;
use serde::{Deserialize, Serialize};

/// How often the identity of a country is picked there.
pub(super) const MAX_TRIES: u8 = 3;
/// How often any is, wherever: more crossings of borders than a day has, unless it is spent on one.
pub(super) const MAX_PICKS: u8 = 12;
/// STATUS in a day, if one comes every half a minute.
pub(super) const DAY: u32 = 2880;
/// STATUS without service, ten minutes, after which an identity that never had any is given up.
pub(super) const PATIENCE: u32 = 20;

/// What has been tried, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The last country that was heard of.
    country: Option<Mcc>,
    /// How often its identity has been picked there.
    tries: u8,
    /// How often one has been picked.
    picks: u8,
    /// Whether the identity in use has been registered since it was picked.
    has_been_registered: bool,
}

impl Record {
    /// A day is over.
    pub(super) fn begin_anew(&mut self) {
        (self.tries, self.picks) = (0, 0);
    }
}

/// What the terminal says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) service: LocationStatus,
    /// Where, if it is said.
    pub(super) country: Option<Mcc>,
}

/// The identity to change to; none if the one in use is to stay.
pub(super) fn decide(
    identities: &Identities,
    active: Imsi,
    record: &mut Record,
    heard: Heard,
) -> Option<Imsi> {
    if heard.country.is_some() && heard.country != record.country {
        (record.country, record.tries) = (heard.country, 0);
    }
    let default = identities.default_one()?.imsi;
    let wanted = record.country.and_then(|country| identities.for_country(country)).map(|it| it.imsi);
    let wanted = wanted.unwrap_or(default);
    let is_refused = match heard.service {
        LocationStatus::Normal => false,
        LocationStatus::Limited => true,
        // Nobody has refused anything; but perhaps it is heard nowhere.
        LocationStatus::None => {
            let gives_up = active != default && !record.has_been_registered;
            return gives_up.then(|| pick(record, default, default));
        }
    };
    record.has_been_registered |= !is_refused;
    let may_pick = wanted == default || record.tries < MAX_TRIES && record.picks < MAX_PICKS;
    if wanted != active && may_pick {
        return Some(pick(record, wanted, default));
    }
    (is_refused && active != default).then(|| pick(record, default, default))
}

fn pick(record: &mut Record, picked: Imsi, default: Imsi) -> Imsi {
    record.has_been_registered = false;
    if picked != default {
        (record.tries, record.picks) = (record.tries.saturating_add(1), record.picks.saturating_add(1));
    }
    picked
}

#[cfg(test)]
mod tests {
    use profile::identities::Identity;

    use super::*;

    const HOME: &str = "234150000000012";
    const BRAZIL: &str = "724050000000001";
    const CHILE: &str = "730010000000001";

    fn identities() -> Identities {
        let identity = |imsi: &str, countries: &[&str]| Identity {
            countries: countries.iter().map(|country| country.parse().unwrap()).collect(),
            imsi: imsi.parse().unwrap(),
            keys: None,
            files: Vec::new(),
        };
        Identities(vec![identity(HOME, &[]), identity(BRAZIL, &["724"]), identity(CHILE, &["730"])])
    }

    /// What is heard, service and country, and the identity in use after it.
    fn journey(steps: &[(LocationStatus, &str, &str)]) {
        let (mut active, mut record) = (HOME.parse().unwrap(), Record::default());
        for (number, (service, country, expected)) in steps.iter().enumerate() {
            let heard = Heard { service: *service, country: country.parse().ok() };
            active = decide(&identities(), active, &mut record, heard).unwrap_or(active);
            assert_eq!(active.to_string(), *expected, "step {number}: {record:?}");
        }
    }

    use LocationStatus::{Limited, Normal};

    #[test]
    fn each_country_has_its_identity_and_all_others_the_default() {
        journey(&[
            (Normal, "234", HOME),
            (Normal, "724", BRAZIL),
            (Normal, "724", BRAZIL),
            (Normal, "730", CHILE),
            // Refused at home, it is at home somewhere else.
            (Limited, "724", BRAZIL),
            (Normal, "722", HOME),
            (Normal, "724", BRAZIL),
            // Nobody knows where.
            (Limited, "", HOME),
        ]);
    }

    #[test]
    fn an_identity_that_is_refused_gives_way_and_is_tried_three_times() {
        journey(&[
            (Normal, "724", BRAZIL),
            (Limited, "724", HOME),
            (Normal, "724", BRAZIL),
            (Limited, "724", HOME),
            (Limited, "724", BRAZIL),
            (Limited, "724", HOME),
            // No more.
            (Limited, "724", HOME),
            (Normal, "724", HOME),
            (Limited, "724", HOME),
            // Elsewhere it begins anew.
            (Normal, "730", CHILE),
            (Normal, "724", BRAZIL),
        ]);
    }

    #[test]
    fn without_service_only_one_that_never_had_any_gives_way() {
        journey(&[
            (Normal, "724", BRAZIL),
            (LocationStatus::None, "", HOME),
            (LocationStatus::None, "", HOME),
            (Normal, "724", BRAZIL),
            (Normal, "724", BRAZIL),
            (LocationStatus::None, "", BRAZIL),
        ]);
    }

    /// Whatever a terminal says, in whatever order: the changes of a day have an end.
    #[test]
    fn it_never_goes_on_for_ever() {
        let mut state = 1u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % below
        };
        for _ in 0..200 {
            let (mut active, mut record, mut changes) = (HOME.parse().unwrap(), Record::default(), 0);
            for _ in 0..500 {
                let service = [Normal, Limited, LocationStatus::None][random(3) as usize];
                let country = ["234", "724", "730", ""][random(4) as usize].parse().ok();
                if let Some(picked) = decide(&identities(), active, &mut record, Heard { service, country }) {
                    assert_ne!(picked, active);
                    (active, changes) = (picked, changes + 1);
                }
            }
            assert!(changes <= 2 * u32::from(MAX_PICKS), "{changes}");
            record.begin_anew();
            let heard = Heard { service: Normal, country: "724".parse().ok() };
            let next = decide(&identities(), active, &mut record, heard).unwrap_or(active);
            assert_eq!(next.to_string(), BRAZIL, "another day");
        }
    }
}
