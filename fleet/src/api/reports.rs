//! /v1/answers: reports about the fleet.

use std::collections::BTreeMap;

use http::StatusCode;
use localize::{DataError, Day};
use rsp::ids::Plmn;
use rsp_server::api::{Arguments, Function, NoId, Problem, Problems, Verb};
use schemars::JsonSchema;
use serde::Deserialize;
use world::Fault;

use super::{Input, PlatformApi, devices::NO_SUCH_SELECTION};
use crate::{
    answers::{self, Breach, Chances, Effort, Market, Recovery, Residence, Resident, WhatIf},
    bearers::{Bearer, Bearers},
    costs::{Costs, Move},
    device::Selection,
    evaluated_fleet::{Conditions, EvaluatedFleet},
};

/// GET /v1/answers/residents
pub(super) struct Residents;
/// GET /v1/answers/breaches
pub(super) struct Breaches;
/// GET /v1/answers/markets
pub(super) struct Markets;
/// GET /v1/answers/effort
pub(super) struct EffortOfMoves;
/// GET /v1/answers/recovery
pub(super) struct RecoveryCost;
/// POST /v1/answers/what-if
pub(super) struct CompareRules;

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
    /// Only breaches within so many days. Default: no limit.
    within: Option<u32>,
}

/// A selection of devices and the horizon of a report.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BreachQuery {
    #[serde(flatten)]
    selection: Selection,
    /// Only breaches within so many days. Default: no limit.
    within: Option<u32>,
}

/// A selection of devices that move, and how.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MoveQuery {
    #[serde(flatten)]
    selection: Selection,
    /// Only devices that must move within so many days. Default: no limit.
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

impl Function<PlatformApi> for Residents {
    const VERB: Verb = Verb::Get;
    const PATH: &'static str = "/v1/answers/residents";
    const SUMMARY: &'static str = "Lists the countries in which foreign subscriptions are in fact resident";
    type Arguments = Arguments<NoId, ResidenceQuery>;
    type Reply = Vec<Resident>;

    async fn execute(
        Input { context, arguments }: Input<'_, '_, '_, Self>,
    ) -> Result<Vec<Resident>, Problem> {
        let fleet = context.fleet_of(&Selection::default()).await?;
        let evaluated = EvaluatedFleet::new(&fleet, context.conditions(context.now()));
        let (default, query) = (Residence::default(), &arguments.query);
        let residence = Residence {
            window_days: query.days.unwrap_or(default.window_days),
            threshold_days: query.threshold.unwrap_or(default.threshold_days),
        };
        Ok(answers::residents(&evaluated, residence))
    }
}

impl Function<PlatformApi> for Breaches {
    const VERB: Verb = Verb::Get;
    const PATH: &'static str = "/v1/answers/breaches";
    const SUMMARY: &'static str = "Lists the rules that the selected devices break, earliest breach first";
    const PROBLEMS: Problems = NO_SUCH_SELECTION;
    type Arguments = Arguments<NoId, BreachQuery>;
    type Reply = Vec<Breach>;

    async fn execute(Input { context, arguments }: Input<'_, '_, '_, Self>) -> Result<Vec<Breach>, Problem> {
        let BreachQuery { selection, within } = &arguments.query;
        let fleet = context.fleet_of(selection).await?;
        let evaluated = EvaluatedFleet::new(&fleet, context.conditions(context.now()));
        Ok(answers::breaches(&evaluated, selection, *within))
    }
}

impl Function<PlatformApi> for Markets {
    const VERB: Verb = Verb::Get;
    const PATH: &'static str = "/v1/answers/markets";
    const SUMMARY: &'static str = "Lists the countries in which devices must move, and the offers there";
    type Arguments = Arguments<NoId, HorizonQuery>;
    type Reply = Vec<Market>;

    async fn execute(Input { context, arguments }: Input<'_, '_, '_, Self>) -> Result<Vec<Market>, Problem> {
        let fleet = context.fleet_of(&Selection::default()).await?;
        let evaluated = EvaluatedFleet::new(&fleet, context.conditions(context.now()));
        Ok(answers::markets(&evaluated, arguments.query.within))
    }
}

impl Function<PlatformApi> for EffortOfMoves {
    const VERB: Verb = Verb::Get;
    const PATH: &'static str = "/v1/answers/effort";
    const SUMMARY: &'static str =
        "Returns the duration and cost of moving the selected devices that must move";
    const PROBLEMS: Problems = NO_SUCH_SELECTION;
    type Arguments = Arguments<NoId, MoveQuery>;
    type Reply = Effort;

    async fn execute(Input { context, arguments }: Input<'_, '_, '_, Self>) -> Result<Effort, Problem> {
        let MoveQuery { selection, within, .. } = &arguments.query;
        let fleet = context.fleet_of(selection).await?;
        let evaluated = EvaluatedFleet::new(&fleet, context.conditions(context.now()));
        let (costs, bearers) = built_in_tables()?;
        let (bearer, one) = arguments.query.means(&costs, &bearers)?;
        let moving = answers::who_must_move(&evaluated, selection, *within);
        Effort::of(&moving, &costs, bearer, one, answers::Pace::default()).map_err(bad_request)
    }
}

impl Function<PlatformApi> for RecoveryCost {
    const VERB: Verb = Verb::Get;
    const PATH: &'static str = "/v1/answers/recovery";
    const SUMMARY: &'static str = "Returns the cost of failed moves and of devices that need a visit";
    const PROBLEMS: Problems = NO_SUCH_SELECTION;
    type Arguments = Arguments<NoId, MoveQuery>;
    type Reply = Recovery;

    async fn execute(Input { context, arguments }: Input<'_, '_, '_, Self>) -> Result<Recovery, Problem> {
        let MoveQuery { selection, within, .. } = &arguments.query;
        let fleet = context.fleet_of(selection).await?;
        let evaluated = EvaluatedFleet::new(&fleet, context.conditions(context.now()));
        let (costs, bearers) = built_in_tables()?;
        let (bearer, one) = arguments.query.means(&costs, &bearers)?;
        let chances = Chances::of_record(&fleet).unwrap_or_default();
        let each = answers::effort(1, &costs, bearer, one, answers::Pace::default()).map_err(bad_request)?;
        Ok(answers::recovery(&evaluated, selection, *within, &costs, chances, each.money_each))
    }
}

impl Function<PlatformApi> for CompareRules {
    const VERB: Verb = Verb::Post;
    const PATH: &'static str = "/v1/answers/what-if";
    const SUMMARY: &'static str = "Lists the selected devices that other rules would affect; changes nothing";
    const PROBLEMS: Problems = &[
        (StatusCode::BAD_REQUEST, "There are no rules in the request, or they are malformed"),
        (
            StatusCode::NOT_FOUND,
            "No device has this group, model or account, or there is no such country or state",
        ),
    ];
    type Arguments = Arguments<NoId, Selection, OtherRules>;
    type Reply = WhatIf;

    async fn execute(Input { context, arguments }: Input<'_, '_, '_, Self>) -> Result<WhatIf, Problem> {
        let conditions = context.conditions(context.now());
        let OtherRules { rules, carrier_ends } = &arguments.body;
        let cannot = |error: DataError| {
            Problem::bad_request("cannot use the other rules", error.to_string(), error.next)
        };
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
        let selection = &arguments.query;
        let fleet = context.fleet_of(selection).await?;
        let before = EvaluatedFleet::new(&fleet, conditions);
        let after = EvaluatedFleet::new(&fleet, Conditions { book: &book, ..conditions });
        Ok(answers::what_if(&before, &after, selection))
    }
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
