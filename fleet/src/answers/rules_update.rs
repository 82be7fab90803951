//! Report about new rules: their differences from the present rules, and their effect.

use localize::{ALERT_DAYS, Alert, Day, RuleBook, RulesDiff};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::what_if::{WhatIf, what_if};
use crate::{
    device::{Fleet, Selection},
    evaluated_fleet::{Conditions, EvaluatedFleet},
};

/// The result of an update of the rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RulesUpdate {
    /// True if the rules were replaced.
    pub replaced: bool,
    /// The differences.
    pub diff: RulesDiff,
    /// The devices for which the new rules give another result; null without a fleet.
    pub effect: Option<WhatIf>,
    /// Dates of the new rules that are near.
    pub alerts: Vec<Alert>,
}

/// Compares the present rules, which are part of the conditions, with new ones. Replaces nothing.
pub fn rules_update(fleet: Option<&Fleet>, present: Conditions<'_>, new: &RuleBook) -> RulesUpdate {
    let effect = fleet.map(|fleet| {
        let before = EvaluatedFleet::new(fleet, present);
        let after = EvaluatedFleet::new(fleet, Conditions { book: new, ..present });
        what_if(&before, &after, &Selection::default())
    });
    RulesUpdate {
        replaced: false,
        diff: RulesDiff::between(present.book, new),
        effect,
        alerts: new.alerts(Day::of(present.now), ALERT_DAYS),
    }
}
