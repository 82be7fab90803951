//! The selection of an identity, independent of the card.
//!
//! In each country the applet tries the identity of that country, and after a rejection the default
//! identity. The number of attempts is limited: within a day, an identity other than the default is
//! selected at most [`MAX_SELECTIONS_PER_COUNTRY`] times per country and at most [`MAX_SELECTIONS`]
//! times in total. The return to the default identity is always possible and does not count as a
//! selection.

use profile::identities::Identities;
use rsp::ids::{Imsi, Mcc};
use rsp::ota::cat::LocationStatus;

use crate::state::multi_imsi::Record;

/// Maximum selections of a country's identity in that country.
pub(super) const MAX_SELECTIONS_PER_COUNTRY: u8 = 3;
/// Maximum selections in total. A journey crosses fewer borders in a day, unless it crosses the
/// same border again and again.
pub(super) const MAX_SELECTIONS: u8 = 12;
/// Number of STATUS commands in a day if the terminal sends one every 30 seconds.
pub(super) const STATUS_PER_DAY: u32 = 2880;
/// Number of STATUS commands without service (ten minutes) after which an identity that was never
/// registered is abandoned.
pub(super) const MAX_STATUS_WITHOUT_SERVICE: u32 = 20;

/// A location report of the terminal.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocationReport {
    pub(super) service: LocationStatus,
    /// The country, if it is known.
    pub(super) country: Option<Mcc>,
}

/// The identity to change to; `None` to keep the one in use.
pub(super) fn decide(
    identities: &Identities,
    active: Imsi,
    record: &mut Record,
    report: LocationReport,
) -> Option<Imsi> {
    if report.country.is_some() && report.country != record.country {
        (record.country, record.tries) = (report.country, 0);
    }
    let default = identities.default_one()?.imsi;
    let wanted =
        record.country.and_then(|country| identities.for_country(country)).map(|identity| identity.imsi);
    let wanted = wanted.unwrap_or(default);
    let is_refused = match report.service {
        LocationStatus::Normal => false,
        LocationStatus::Limited => true,
        // No network has rejected the identity, but none accepts it either.
        LocationStatus::None => {
            let gives_up = active != default && !record.has_been_registered;
            return gives_up.then(|| select(record, default, default));
        }
    };
    record.has_been_registered |= !is_refused;
    // req: TS.31.111-6.4.7.1-Attempts
    let may_select =
        wanted == default || record.tries < MAX_SELECTIONS_PER_COUNTRY && record.picks < MAX_SELECTIONS;
    if wanted != active && may_select {
        return Some(select(record, wanted, default));
    }
    (is_refused && active != default).then(|| select(record, default, default))
}

fn select(record: &mut Record, selected: Imsi, default: Imsi) -> Imsi {
    record.has_been_registered = false;
    if selected != default {
        (record.tries, record.picks) = (record.tries.saturating_add(1), record.picks.saturating_add(1));
    }
    selected
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

    /// Reports each step (service and country), and asserts the identity that is expected after the
    /// report.
    fn check_reports(steps: &[(LocationStatus, &str, &str)]) {
        let (mut active, mut record) = (HOME.parse().unwrap(), Record::default());
        for (number, (service, country, expected)) in steps.iter().enumerate() {
            let report = LocationReport { service: *service, country: country.parse().ok() };
            active = decide(&identities(), active, &mut record, report).unwrap_or(active);
            assert_eq!(active.to_string(), *expected, "step {number}: {record:?}");
        }
    }

    use LocationStatus::{Limited, Normal};

    #[test]
    fn the_identity_of_the_country_is_used_and_elsewhere_the_default_identity() {
        check_reports(&[
            (Normal, "234", HOME),
            (Normal, "724", BRAZIL),
            (Normal, "724", BRAZIL),
            (Normal, "730", CHILE),
            // The Chilean identity is rejected in Brazil, which has its own identity.
            (Limited, "724", BRAZIL),
            (Normal, "722", HOME),
            (Normal, "724", BRAZIL),
            // The country is unknown.
            (Limited, "", HOME),
        ]);
    }

    #[test]
    fn a_rejected_identity_is_selected_at_most_three_times_per_country() {
        check_reports(&[
            (Normal, "724", BRAZIL),
            (Limited, "724", HOME),
            (Normal, "724", BRAZIL),
            (Limited, "724", HOME),
            (Limited, "724", BRAZIL),
            (Limited, "724", HOME),
            // The limit is reached.
            (Limited, "724", HOME),
            (Normal, "724", HOME),
            (Limited, "724", HOME),
            // The count starts again in another country.
            (Normal, "730", CHILE),
            (Normal, "724", BRAZIL),
        ]);
    }

    #[test]
    fn without_service_only_a_never_registered_identity_is_replaced() {
        check_reports(&[
            (Normal, "724", BRAZIL),
            (LocationStatus::None, "", HOME),
            (LocationStatus::None, "", HOME),
            (Normal, "724", BRAZIL),
            (Normal, "724", BRAZIL),
            (LocationStatus::None, "", BRAZIL),
        ]);
    }

    /// The number of changes in a day is limited for any sequence of reports.
    // req: TS.31.111-6.4.7.1-Attempts
    #[test]
    fn the_number_of_changes_is_limited() {
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
                if let Some(selected) =
                    decide(&identities(), active, &mut record, LocationReport { service, country })
                {
                    assert_ne!(selected, active);
                    (active, changes) = (selected, changes + 1);
                }
            }
            assert!(changes <= 2 * u32::from(MAX_SELECTIONS), "{changes}");
            record.start_day();
            let report = LocationReport { service: Normal, country: "724".parse().ok() };
            let next = decide(&identities(), active, &mut record, report).unwrap_or(active);
            assert_eq!(next.to_string(), BRAZIL, "the next day");
        }
    }
}
