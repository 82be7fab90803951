//! Dates of rules that are near.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    book::RuleBook,
    day::Day,
    rules::{Rule, RuleId},
};

/// Number of days in advance in which dates of rules are usually reported.
pub const ALERT_DAYS: u32 = 90;

/// A date of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DateOfRule {
    /// The rule takes effect.
    TakesEffect,
    /// The rule ends.
    Ends,
}

/// A date of a rule that is near.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// The rule.
    pub rule: RuleId,
    /// The event on this date.
    pub event: DateOfRule,
    /// The date.
    pub day: Day,
    /// Number of days until the date.
    pub in_days: u32,
}

impl RuleBook {
    /// The dates of known rules after `today` and within this number of days, earliest first.
    pub fn alerts(&self, today: Day, within_days: u32) -> Vec<Alert> {
        let mut alerts: Vec<Alert> = self
            .rules()
            .iter()
            .filter(|rule| rule.is_known_on(today))
            .flat_map(|rule| dates(rule).into_iter().map(move |(event, day)| (rule, event, day)))
            .filter(|(_, _, day)| *day > today && *day <= today.plus(within_days))
            .map(|(rule, event, day)| Alert {
                rule: rule.id.clone(),
                event,
                day,
                in_days: u32::try_from(day.number() - today.number()).unwrap_or(u32::MAX),
            })
            .collect();
        alerts.sort_by_key(|alert| alert.day);
        alerts
    }
}

fn dates(rule: &Rule) -> Vec<(DateOfRule, Day)> {
    [(DateOfRule::TakesEffect, rule.effective), (DateOfRule::Ends, rule.ends)]
        .into_iter()
        .filter_map(|(event, day)| Some((event, day?)))
        .collect()
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, event, day, in_days } = self;
        let event = match event {
            DateOfRule::TakesEffect => "takes effect",
            DateOfRule::Ends => "ends",
        };
        write!(f, "rule {rule} {event} on {day}, in {in_days} days")
    }
}
