//! Implementation of each API function.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use localize::{DataError, Day};
use rsp::ids::Plmn;
use serde::{Deserialize, Serialize};
use world::Fault;

use super::{
    DOCUMENT, response,
    route::{self, Function, Query},
};
use crate::{
    answers::{self, Chances, Effort, Residence},
    bearers::Bearers,
    costs::Costs,
    device::Fleet,
    evaluated_fleet::{Conditions, EvaluatedFleet},
    platform::Platform,
    problem::Problem,
};

/// Body of a request to pause a campaign.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PausedBy {
    by: Box<str>,
}

/// Body of a what-if request: rules that replace or extend those in force.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OtherRules {
    /// Rules in the form of `countries.toml` that replace the rules in force.
    rules: Option<String>,
    /// Networks that end permanent roaming, with the day on which they do.
    #[serde(default)]
    carrier_ends: BTreeMap<Plmn, Day>,
}

/// Default bearer of a move.
const BEARER: &str = "lte-m";
const MOVE: &str = "consumer-ts48";

impl Platform {
    pub(super) async fn execute(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, Problem> {
        let (found, named) = route::find(request)?;
        let query = route::query(found, request)?;
        match found.function {
            Function::Document => {
                let mut response = Response::new(Bytes::from_static(DOCUMENT.as_bytes()));
                let json = HeaderValue::from_static("application/json");
                response.headers_mut().insert(header::CONTENT_TYPE, json);
                Ok(response)
            }
            Function::CheckIn => ok(&self.check_in(&route::body(request)?).await?),
            Function::Devices => ok(&self.devices(&query.selection()).await?),
            Function::Device => ok(&self.device(route::id(named)?).await?),
            Function::Edit => ok(&self.edit(route::id(named)?, &route::body(request)?).await?),
            Function::Retire => ok(&self.retire(route::id(named)?).await?),
            Function::Decisions => ok(&self.decisions(&query.selection()).await?),
            Function::Campaigns => ok(&self.campaigns().await?),
            Function::Create => {
                let made = self.create_campaign(&route::body(request)?).await?;
                Ok(response(StatusCode::CREATED, &made)?)
            }
            Function::DryRun => ok(&self.dry_run(&route::body(request)?).await?),
            Function::Campaign => ok(&self.campaign(&route::id(named)?).await?),
            Function::Remove => {
                self.remove_campaign(&route::id(named)?).await?;
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = StatusCode::NO_CONTENT;
                Ok(response)
            }
            Function::Start => ok(&self.start_campaign(&route::id(named)?).await?),
            Function::Pause => {
                let PausedBy { by } = route::body(request)?;
                ok(&self.pause_campaign(&route::id(named)?, &by).await?)
            }
            Function::Resume => ok(&self.resume_campaign(&route::id(named)?).await?),
            Function::RollBack => ok(&self.roll_back_campaign(&route::id(named)?).await?),
            Function::WhatIf => self.what_if(&route::body(request)?, &query).await,
            Function::Residents
            | Function::Breaches
            | Function::Markets
            | Function::Effort
            | Function::Recovery => {
                let fleet = self.fleet_of(&query.selection()).await?;
                self.answer_about(found.function, &fleet, &query)
            }
        }
    }

    async fn what_if(&self, other: &OtherRules, query: &Query) -> Result<Response<Bytes>, Problem> {
        let asked = self.conditions(self.now());
        let cannot = |error: DataError| {
            Problem::bad_request("cannot use the other rules", error.to_string(), error.next)
        };
        let mut book = match &other.rules {
            Some(rules) => asked.book.with_rules(rules).map_err(cannot)?,
            None if other.carrier_ends.is_empty() => {
                let next = "give a carrier that ends roaming, or rules that replace those in force";
                return Err(Problem::bad_request(
                    "cannot answer the what-if request",
                    "it contains no rules",
                    next,
                ));
            }
            None => asked.book.clone(),
        };
        for (network, day) in &other.carrier_ends {
            book.add(&answers::carrier_ends(*network, *day)).map_err(cannot)?;
        }
        let fleet = self.fleet_of(&query.selection()).await?;
        let before = EvaluatedFleet::new(&fleet, asked);
        let after = EvaluatedFleet::new(&fleet, Conditions { book: &book, ..asked });
        ok(&answers::what_if(&before, &after, &query.selection()))
    }

    fn answer_about(
        &self,
        function: Function,
        fleet: &Fleet,
        query: &Query,
    ) -> Result<Response<Bytes>, Problem> {
        let counted = EvaluatedFleet::new(fleet, self.conditions(self.now()));
        let (selection, within) = (query.selection(), query.within);
        match function {
            Function::Residents => {
                let default = Residence::default();
                let residence = Residence {
                    window_days: query.days.unwrap_or(default.window_days),
                    threshold_days: query.threshold.unwrap_or(default.threshold_days),
                };
                ok(&answers::residents(&counted, residence))
            }
            Function::Breaches => ok(&answers::breaches(&counted, &selection, within)),
            Function::Markets => ok(&answers::markets(&counted, within)),
            _ => {
                let costs = Costs::built_in().map_err(invalid_tables)?;
                let bearers = Bearers::built_in().map_err(invalid_tables)?;
                let bearer =
                    bearers.named(query.bearer.as_deref().unwrap_or(BEARER)).map_err(unknown_name)?;
                let one = query.one.as_deref().unwrap_or(MOVE);
                let one = costs.r#move(one).ok_or_else(|| {
                    let next = format!("take one of {}", costs.moves().join(", "));
                    Problem::bad_request(
                        format!("there is no move {one:?}"),
                        "the cost table has no such move",
                        next,
                    )
                })?;
                if function == Function::Effort {
                    let moving = answers::who_must_move(&counted, &selection, within);
                    return ok(&Effort::of(&moving, &costs, bearer, one, answers::Pace::default())
                        .map_err(unknown_name)?);
                }
                let chances = Chances::of_record(fleet).unwrap_or_default();
                let each = answers::effort(1, &costs, bearer, one, answers::Pace::default())
                    .map_err(unknown_name)?
                    .money_each;
                ok(&answers::recovery(&counted, &selection, within, &costs, chances, each))
            }
        }
    }
}

fn ok(body: &impl Serialize) -> Result<Response<Bytes>, Problem> {
    Ok(response(StatusCode::OK, body)?)
}

fn invalid_tables(error: DataError) -> Fault {
    let next = error.next.clone();
    Fault::caused_by(error, "cannot use the built-in figures", next)
}

/// Converts a fault about an unknown name in the query into a bad request.
fn unknown_name(Fault { what, why, next, .. }: Fault) -> Problem {
    Problem::bad_request(what, why, next)
}
