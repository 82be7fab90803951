//! Which devices break which rule, and when.

use localize::{Country, Day, Finding, Limit, RuleId, Status};
use rsp::ids::{Eid, Plmn};
use serde::Serialize;

use crate::{counted::Counted, device::Selection};

/// A rule that a device breaks, or will if it stays where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// The device.
    pub eid: Eid,
    /// What its owner calls it.
    pub label: Box<str>,
    /// Where it is.
    pub country: Country,
    /// On which network.
    pub network: Plmn,
    /// The home of its subscription.
    pub home: Country,
    /// The rule.
    pub rule: RuleId,
    /// How close it is.
    pub status: Status,
    /// What counts today.
    pub measured: u32,
    /// What is allowed.
    #[serde(flatten)]
    pub limit: Limit,
    /// The first day on which it is broken; past if it is broken already.
    pub day: Day,
    /// The first day on which the device may be cut off.
    pub blocked_from: Day,
}

/// The breaches among the selected devices, first things first; with `within`, those in so many days at most.
pub fn breaches(counted: &Counted<'_>, selection: &Selection, within: Option<u32>) -> Vec<Breach> {
    let now = counted.question.now;
    let last = within.map(|days| Day::of(now).plus(days));
    let mut found = Vec::new();
    for device in counted.fleet.in_service().filter(|device| selection.has(device, now)) {
        let Some(stay) = device.connection.history.present(now) else { continue };
        for finding in counted.findings(device) {
            let Finding { citation, status, measurement, .. } = finding;
            if last.is_some_and(|last| measurement.breach.day > last) {
                continue;
            }
            found.push(Breach {
                eid: device.eid,
                label: device.label.clone(),
                country: stay.country,
                network: stay.plmn,
                home: stay.home,
                rule: citation.rule,
                status,
                measured: measurement.measured,
                limit: measurement.limit,
                day: measurement.breach.day,
                blocked_from: measurement.breach.blocked_from,
            });
        }
    }
    // The order of devices is that of their EIDs, and the sort keeps it.
    found.sort_by_key(|breach| breach.day);
    found
}
