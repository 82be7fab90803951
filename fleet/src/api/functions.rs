//! What each function does.

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
    counted::{Counted, Question},
    device::Fleet,
    platform::Platform,
    problem::Problem,
};

/// Who pauses a campaign.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PausedBy {
    by: Box<str>,
}

/// Other rules than those that hold.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OtherRules {
    /// In the form of `countries.toml`, instead of those that hold.
    rules: Option<String>,
    /// Carriers that end permanent roaming on their networks, and when.
    #[serde(default)]
    carrier_ends: BTreeMap<Plmn, Day>,
}

/// By what devices are moved if nobody says so.
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
        let asked = self.question(self.now());
        let cannot = |error: DataError| {
            Problem::bad_request("cannot use the other rules", error.to_string(), error.next)
        };
        let mut book = match &other.rules {
            Some(rules) => asked.book.with_rules(rules).map_err(cannot)?,
            None if other.carrier_ends.is_empty() => {
                let next = "say a carrier that ends roaming, or rules to hold instead";
                return Err(Problem::bad_request("cannot say what would be", "no other rule is given", next));
            }
            None => asked.book.clone(),
        };
        for (network, day) in &other.carrier_ends {
            book.add(&answers::carrier_ends(*network, *day)).map_err(cannot)?;
        }
        let fleet = self.fleet_of(&query.selection()).await?;
        let before = Counted::new(&fleet, asked);
        let after = Counted::new(&fleet, Question { book: &book, ..asked });
        ok(&answers::what_if(&before, &after, &query.selection()))
    }

    fn answer_about(
        &self,
        function: Function,
        fleet: &Fleet,
        query: &Query,
    ) -> Result<Response<Bytes>, Problem> {
        let counted = Counted::new(fleet, self.question(self.now()));
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
                let costs = Costs::built_in().map_err(figures)?;
                let bearers = Bearers::built_in().map_err(figures)?;
                let bearer = bearers.named(query.bearer.as_deref().unwrap_or(BEARER)).map_err(named_badly)?;
                let one = query.one.as_deref().unwrap_or(MOVE);
                let one = costs.r#move(one).ok_or_else(|| {
                    let next = format!("take one of {}", costs.moves().join(", "));
                    Problem::bad_request(
                        format!("there is no move {one:?}"),
                        "it is not in the figures",
                        next,
                    )
                })?;
                if function == Function::Effort {
                    let moving = answers::who_must_move(&counted, &selection, within);
                    return ok(&Effort::of(&moving, &costs, bearer, one, answers::Pace::default())
                        .map_err(named_badly)?);
                }
                let chances = Chances::of_record(fleet).unwrap_or_default();
                let each = answers::effort(1, &costs, bearer, one, answers::Pace::default())
                    .map_err(named_badly)?
                    .money_each;
                ok(&answers::recovery(&counted, &selection, within, &costs, chances, each))
            }
        }
    }
}

fn ok(body: &impl Serialize) -> Result<Response<Bytes>, Problem> {
    Ok(response(StatusCode::OK, body)?)
}

fn figures(error: DataError) -> Fault {
    let next = error.next.clone();
    Fault::caused_by(error, "cannot use the built-in figures", next)
}

/// Something in the query is in no table.
fn named_badly(Fault { what, why, next, .. }: Fault) -> Problem {
    Problem::bad_request(what, why, next)
}
