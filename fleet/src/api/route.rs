//! Routes of the API: maps a request to its function and its parameters.

use std::str::FromStr;

use bytes::Bytes;
use http::{Request, StatusCode};
use localize::Country;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    device::{Name, Selection},
    problem::Problem,
};

/// A function of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    /// Returns the OpenAPI description.
    Document,
    /// Processes a check-in and returns an instruction.
    CheckIn,
    /// Lists devices.
    Devices,
    /// Returns one device.
    Device,
    /// Edits or adds a device.
    Edit,
    /// Takes a device out of service.
    Retire,
    /// Returns the decision about each device, with its reasons.
    Decisions,
    /// Lists the countries in which foreign subscriptions are resident.
    Residents,
    /// Lists rule breaches by device and day.
    Breaches,
    /// Lists the countries in which devices must move.
    Markets,
    /// Returns the effort of moving devices.
    Effort,
    /// Returns the cost of failed moves.
    Recovery,
    /// Lists the devices that other rules affect.
    WhatIf,
    /// Lists campaigns.
    Campaigns,
    /// Creates a campaign.
    Create,
    /// Returns what a campaign would do.
    DryRun,
    /// Returns a campaign and the state of its devices.
    Campaign,
    /// Deletes a campaign.
    Remove,
    /// Starts a campaign.
    Start,
    /// Pauses a campaign.
    Pause,
    /// Resumes a campaign.
    Resume,
    /// Rolls a campaign back.
    RollBack,
}

/// A row of the routing table.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The HTTP method.
    pub method: &'static str,
    /// The path. A segment in braces matches any text.
    pub path: &'static str,
    /// Query parameters that the function accepts.
    pub query: &'static [&'static str],
    pub(super) function: Function,
}

const SELECTION: &[&str] = &["country", "group", "model", "account", "state"];
const SELECTION_WITHIN: &[&str] = &["country", "group", "model", "account", "state", "within"];
const MEANS: &[&str] = &["country", "group", "model", "account", "state", "within", "bearer", "move"];

const fn route(
    method: &'static str,
    path: &'static str,
    query: &'static [&'static str],
    function: Function,
) -> Route {
    Route { method, path, query, function }
}

/// All routes of the API.
pub const ROUTES: &[Route] = &[
    route("GET", "/openapi.json", &[], Function::Document),
    route("POST", super::CHECK_IN, &[], Function::CheckIn),
    route("GET", "/v1/devices", SELECTION, Function::Devices),
    route("GET", "/v1/devices/{eid}", &[], Function::Device),
    route("PUT", "/v1/devices/{eid}", &[], Function::Edit),
    route("DELETE", "/v1/devices/{eid}", &[], Function::Retire),
    route("GET", "/v1/decisions", SELECTION, Function::Decisions),
    route("GET", "/v1/answers/residents", &["days", "threshold"], Function::Residents),
    route("GET", "/v1/answers/breaches", SELECTION_WITHIN, Function::Breaches),
    route("GET", "/v1/answers/markets", &["within"], Function::Markets),
    route("GET", "/v1/answers/effort", MEANS, Function::Effort),
    route("GET", "/v1/answers/recovery", MEANS, Function::Recovery),
    route("POST", "/v1/answers/what-if", SELECTION, Function::WhatIf),
    route("GET", "/v1/campaigns", &[], Function::Campaigns),
    route("POST", "/v1/campaigns", &[], Function::Create),
    route("POST", "/v1/dry-run", &[], Function::DryRun),
    route("GET", "/v1/campaigns/{id}", &[], Function::Campaign),
    route("DELETE", "/v1/campaigns/{id}", &[], Function::Remove),
    route("POST", "/v1/campaigns/{id}/start", &[], Function::Start),
    route("POST", "/v1/campaigns/{id}/pause", &[], Function::Pause),
    route("POST", "/v1/campaigns/{id}/resume", &[], Function::Resume),
    route("POST", "/v1/campaigns/{id}/roll-back", &[], Function::RollBack),
];

impl Route {
    /// Returns the text that matches the braces (empty if there are none), or `None` if the path
    /// does not match.
    fn id_in<'p>(&self, path: &'p str) -> Option<&'p str> {
        let Some((before, after)) = self.path.split_once('{') else {
            return (path == self.path).then_some("");
        };
        let (_, after) = after.split_once('}')?;
        let id = path.strip_prefix(before)?.strip_suffix(after)?;
        (!id.is_empty() && !id.contains('/')).then_some(id)
    }
}

/// Returns the route of a request and the parameter in its path.
pub(super) fn find(request: &Request<Bytes>) -> Result<(&'static Route, &str), Problem> {
    let (method, path) = (request.method().as_str(), request.uri().path());
    let here: Vec<_> = ROUTES.iter().filter_map(|route| Some((route, route.id_in(path)?))).collect();
    if let Some(found) = here.iter().find(|(route, _)| route.method == method) {
        return Ok(*found);
    }
    let what = format!("cannot {method} {path}");
    if here.is_empty() {
        return Err(Problem::not_found(
            what,
            "the API has no such path",
            "GET /openapi.json lists all paths",
        ));
    }
    let allow: Vec<&str> = here.iter().map(|(route, _)| route.method).collect();
    let why = format!("the path accepts {}", allow.join(", "));
    let next = "use one of these methods; GET /openapi.json says what each does";
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, what, why, next);
    Err(Problem { allow: allow.join(", "), ..problem })
}

/// Query parameters of all functions. The routing table lists the parameters of each function.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Query {
    country: Option<Country>,
    group: Option<Name>,
    model: Option<Name>,
    account: Option<Name>,
    state: Option<Name>,
    pub(super) within: Option<u32>,
    pub(super) days: Option<u32>,
    pub(super) threshold: Option<u32>,
    pub(super) bearer: Option<String>,
    #[serde(rename = "move")]
    pub(super) one: Option<String>,
}

impl Query {
    pub(super) fn selection(&self) -> Selection {
        let Self { country, group, model, account, state, .. } = self;
        Selection {
            country: *country,
            group: group.clone(),
            model: model.clone(),
            account: account.clone(),
            state: state.clone(),
        }
    }
}

const NEXT: &str = "docs/fleet-api.json describes the API; GET /openapi.json on the owner's port returns it";

pub(super) fn query(route: &Route, request: &Request<Bytes>) -> Result<Query, Problem> {
    let text = request.uri().query().unwrap_or_default();
    let unreadable = |why: String| {
        Problem::bad_request(format!("cannot read the query of {}", request.uri().path()), why, NEXT)
    };
    let names = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next());
    if let Some(name) = names.flatten().find(|name| !route.query.contains(name)) {
        return Err(unreadable(format!("the parameter {name:?} is not known there")));
    }
    serde_urlencoded::from_str(text).map_err(|error| unreadable(error.to_string()))
}

pub(super) fn id<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Problem> {
    text.parse()
        .map_err(|error| Problem::bad_request("cannot read the path", format!("{text:?}: {error}"), NEXT))
}

pub(super) fn body<T: DeserializeOwned>(request: &Request<Bytes>) -> Result<T, Problem> {
    serde_json::from_slice(request.body()).map_err(|error| {
        let what = format!("cannot read the body of {}", request.uri().path());
        Problem::bad_request(what, error.to_string(), NEXT)
    })
}
