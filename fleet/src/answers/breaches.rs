//! Report of rule breaches: which devices break which rule, and when.

use localize::{Consequence, Country, Day, Finding, Limit, Requirement, RuleId, Status};
use rsp::ids::{Eid, Plmn};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{device::Selection, evaluated_fleet::EvaluatedFleet};

/// A rule that a device breaks, or will break if it stays where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Breach {
    /// The device.
    pub eid: Eid,
    /// The owner's name for the device.
    pub label: Box<str>,
    /// The present country of the device.
    pub country: Country,
    /// The present network.
    pub network: Plmn,
    /// The home country of its subscription.
    pub home: Country,
    /// The rule.
    pub rule: RuleId,
    /// Status of the rule: how close the breach is.
    pub status: Status,
    /// The value measured today.
    pub measured: u32,
    /// The limit.
    #[serde(flatten)]
    pub limit: Limit,
    /// The first day of the breach. It is in the past if the rule is already broken.
    pub day: Day,
    /// The first day of the consequence.
    pub blocked_from: Day,
    /// The consequence.
    #[serde(flatten)]
    pub consequence: Consequence,
    /// The unfulfilled requirements. If the device fulfilled them, the rule would not apply.
    pub unmet: Vec<Requirement>,
}

/// Returns the breaches of the selected devices, earliest first. `within` limits them to breaches
/// within this number of days.
pub fn breaches(counted: &EvaluatedFleet<'_>, selection: &Selection, within: Option<u32>) -> Vec<Breach> {
    let now = counted.conditions.now;
    let last = within.map(|days| Day::of(now).plus(days));
    let mut found = Vec::new();
    for device in counted.fleet.in_service().filter(|device| selection.has(device, now)) {
        let Some(stay) = device.connection.history.present(now) else { continue };
        for finding in counted.findings(device) {
            let Finding { citation, status, measurement, consequence, unmet, .. } = finding;
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
                consequence,
                unmet,
            });
        }
    }
    // The devices are in the order of their EIDs, and the sort is stable.
    found.sort_by_key(|breach| breach.day);
    found
}
