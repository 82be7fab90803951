//! /v1/answers: reports about the fleet.

use std::collections::BTreeMap;

use http::StatusCode;
use localize::{DataError, Day};
use rsp::ids::Plmn;
use rsp_server::api::Problem;
use schemars::JsonSchema;
use serde::Deserialize;
use world::Fault;

use crate::{
    answers::{self, Breach, Chances, Effort, Market, Recovery, Residence, Resident, WhatIf},
    bearers::{Bearer, Bearers},
    costs::{Costs, Move},
    device::Selection,
    evaluated_fleet::{Conditions, EvaluatedFleet},
    platform::Platform,
};

/// The definition of a resident device.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResidenceQuery {
    /// Length of the window in days. The window ends today. Default: 90.
    days: Option<u32>,
    /// Minimum number of days in the window that make a device resident. Default: 30.
    threshold: Option<u32>,
}

/// The horizon of a report.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HorizonQuery {
    /// Only breaches within this number of days. Default: no limit.
    within: Option<u32>,
}

/// A selection of devices and the horizon of a report.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BreachQuery {
    #[serde(flatten)]
    selection: Selection,
    /// Only breaches within this number of days. Default: no limit.
    within: Option<u32>,
}

/// A selection of devices that move, and how.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MoveQuery {
    #[serde(flatten)]
    selection: Selection,
    /// Only devices that must move within this number of days. Default: no limit.
    within: Option<u32>,
    /// The bearer. Default: lte-m.
    bearer: Option<String>,
    /// The move. Default: consumer-ts48.
    #[serde(rename = "move")]
    one: Option<String>,
}

/// Rules that replace or extend those in force.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OtherRules {
    /// Rules in the form of `countries.toml` that replace the rules in force.
    rules: Option<String>,
    /// Networks that end permanent roaming, with the day on which they do.
    #[serde(default)]
    carrier_ends: BTreeMap<Plmn, Day>,
}

/// GET /v1/answers/residents
pub(super) async fn residents(platform: &Platform, query: &ResidenceQuery) -> Result<Vec<Resident>, Problem> {
    let fleet = platform.fleet_of(&Selection::default()).await?;
    let book = platform.book();
    let evaluated = EvaluatedFleet::new(&fleet, platform.conditions(&book, platform.now()));
    let default = Residence::default();
    let residence = Residence {
        window_days: query.days.unwrap_or(default.window_days),
        threshold_days: query.threshold.unwrap_or(default.threshold_days),
    };
    Ok(answers::residents(&evaluated, residence))
}

/// GET /v1/answers/breaches
pub(super) async fn breaches(platform: &Platform, query: &BreachQuery) -> Result<Vec<Breach>, Problem> {
    let BreachQuery { selection, within } = query;
    let fleet = platform.fleet_of(selection).await?;
    let book = platform.book();
    let evaluated = EvaluatedFleet::new(&fleet, platform.conditions(&book, platform.now()));
    Ok(answers::breaches(&evaluated, selection, *within))
}

/// GET /v1/answers/markets
pub(super) async fn markets(platform: &Platform, query: &HorizonQuery) -> Result<Vec<Market>, Problem> {
    let fleet = platform.fleet_of(&Selection::default()).await?;
    let book = platform.book();
    let evaluated = EvaluatedFleet::new(&fleet, platform.conditions(&book, platform.now()));
    Ok(answers::markets(&evaluated, query.within))
}

/// GET /v1/answers/effort
pub(super) async fn effort(platform: &Platform, query: &MoveQuery) -> Result<Effort, Problem> {
    let MoveQuery { selection, within, .. } = query;
    let fleet = platform.fleet_of(selection).await?;
    let book = platform.book();
    let evaluated = EvaluatedFleet::new(&fleet, platform.conditions(&book, platform.now()));
    let (costs, bearers) = built_in_tables()?;
    let (bearer, one) = query.means(&costs, &bearers)?;
    let moving = answers::who_must_move(&evaluated, selection, *within);
    Effort::of(&moving, &costs, bearer, one, answers::Pace::default()).map_err(bad_request)
}

/// GET /v1/answers/recovery
pub(super) async fn recovery(platform: &Platform, query: &MoveQuery) -> Result<Recovery, Problem> {
    let MoveQuery { selection, within, .. } = query;
    let fleet = platform.fleet_of(selection).await?;
    let book = platform.book();
    let evaluated = EvaluatedFleet::new(&fleet, platform.conditions(&book, platform.now()));
    let (costs, bearers) = built_in_tables()?;
    let (bearer, one) = query.means(&costs, &bearers)?;
    let chances = Chances::of_record(&fleet).unwrap_or_default();
    let each = answers::effort(1, &costs, bearer, one, answers::Pace::default()).map_err(bad_request)?;
    Ok(answers::recovery(&evaluated, selection, *within, &costs, chances, each.money_each))
}

/// POST /v1/answers/what-if
pub(super) async fn what_if(
    platform: &Platform,
    selection: &Selection,
    rules: &OtherRules,
) -> Result<WhatIf, Problem> {
    let present = platform.book();
    let conditions = platform.conditions(&present, platform.now());
    let OtherRules { rules, carrier_ends } = rules;
    let cannot =
        |error: DataError| Problem::bad_request("cannot use the other rules", error.to_string(), error.next);
    let mut book = match rules {
        Some(rules) => conditions.book.with_rules(rules).map_err(cannot)?,
        None if carrier_ends.is_empty() => {
            return Err(Problem::bad_request(
                "cannot answer the what-if request",
                "it contains no rules",
                "give a carrier that ends roaming, or rules that replace those in force",
            ));
        }
        None => conditions.book.clone(),
    };
    for (network, day) in carrier_ends {
        book.add(&answers::carrier_ends(*network, *day)).map_err(cannot)?;
    }
    let fleet = platform.fleet_of(selection).await?;
    let before = EvaluatedFleet::new(&fleet, conditions);
    let after = EvaluatedFleet::new(&fleet, Conditions { book: &book, ..conditions });
    Ok(answers::what_if(&before, &after, selection))
}

impl MoveQuery {
    /// Returns the bearer and the move with these names.
    fn means<'t>(&self, costs: &'t Costs, bearers: &'t Bearers) -> Result<(&'t Bearer, &'t Move), Problem> {
        let bearer = bearers.named(self.bearer.as_deref().unwrap_or("lte-m")).map_err(bad_request)?;
        let one = self.one.as_deref().unwrap_or("consumer-ts48");
        let found = costs.r#move(one).ok_or_else(|| {
            Problem::bad_request(
                format!("there is no move {one:?}"),
                "the cost table has no such move",
                format!("take one of {}", costs.moves().join(", ")),
            )
        })?;
        Ok((bearer, found))
    }
}

fn built_in_tables() -> Result<(Costs, Bearers), Fault> {
    let invalid = |error: DataError| {
        let next = error.next.clone();
        Fault::caused_by(error, "cannot use the built-in figures", next)
    };
    Ok((Costs::built_in().map_err(invalid)?, Bearers::built_in().map_err(invalid)?))
}

/// Converts a fault about a name in the query into a bad request.
fn bad_request(fault: Fault) -> Problem {
    Problem::because(StatusCode::BAD_REQUEST, fault)
}
