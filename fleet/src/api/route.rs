//! Which function a request asks for, and with what.

use std::str::FromStr;

use bytes::Bytes;
use http::{Request, StatusCode};
use localize::Country;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    device::{Name, Selection},
    problem::Problem,
};

/// A function, by what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    /// The description of the API.
    Document,
    /// A device says how it is, and is told what to do.
    CheckIn,
    /// Devices.
    Devices,
    /// A device.
    Device,
    /// Something new about a device.
    Edit,
    /// A device goes out of service.
    Retire,
    /// What is decided about each device, and why.
    Decisions,
    /// Where foreign subscriptions are in fact resident.
    Residents,
    /// Which device breaks which rule, and when.
    Breaches,
    /// Which countries must move.
    Markets,
    /// What moving takes.
    Effort,
    /// What it costs when moves fail.
    Recovery,
    /// Whom other rules affect.
    WhatIf,
    /// Campaigns.
    Campaigns,
    /// A new campaign.
    Create,
    /// What a campaign would do.
    DryRun,
    /// A campaign, and where its devices stand.
    Campaign,
    /// A campaign is forgotten.
    Remove,
    /// A campaign starts.
    Start,
    /// A campaign begins nothing more.
    Pause,
    /// A campaign goes on.
    Resume,
    /// A campaign's devices go back.
    RollBack,
}

/// A row of the table of functions.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The method of HTTP.
    pub method: &'static str,
    /// The path; a segment in braces is any.
    pub path: &'static str,
    /// What may stand behind the `?`.
    pub query: &'static [&'static str],
    pub(super) function: Function,
}

const WHICH: &[&str] = &["country", "group", "model", "account", "state"];
const WHICH_WITHIN: &[&str] = &["country", "group", "model", "account", "state", "within"];
const MEANS: &[&str] = &["country", "group", "model", "account", "state", "within", "bearer", "move"];

const fn route(
    method: &'static str,
    path: &'static str,
    query: &'static [&'static str],
    function: Function,
) -> Route {
    Route { method, path, query, function }
}

/// Everything there is.
pub const ROUTES: &[Route] = &[
    route("GET", "/openapi.json", &[], Function::Document),
    route("POST", super::CHECK_IN, &[], Function::CheckIn),
    route("GET", "/v1/devices", WHICH, Function::Devices),
    route("GET", "/v1/devices/{eid}", &[], Function::Device),
    route("PUT", "/v1/devices/{eid}", &[], Function::Edit),
    route("DELETE", "/v1/devices/{eid}", &[], Function::Retire),
    route("GET", "/v1/decisions", WHICH, Function::Decisions),
    route("GET", "/v1/answers/residents", &["days", "threshold"], Function::Residents),
    route("GET", "/v1/answers/breaches", WHICH_WITHIN, Function::Breaches),
    route("GET", "/v1/answers/markets", &["within"], Function::Markets),
    route("GET", "/v1/answers/effort", MEANS, Function::Effort),
    route("GET", "/v1/answers/recovery", MEANS, Function::Recovery),
    route("POST", "/v1/answers/what-if", WHICH, Function::WhatIf),
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
    /// What stands in its braces, empty if it has none; `None` if this is not the path.
    fn id_in<'p>(&self, path: &'p str) -> Option<&'p str> {
        let Some((before, after)) = self.path.split_once('{') else {
            return (path == self.path).then_some("");
        };
        let (_, after) = after.split_once('}')?;
        let id = path.strip_prefix(before)?.strip_suffix(after)?;
        (!id.is_empty() && !id.contains('/')).then_some(id)
    }
}

/// The function of a request, and what its path names.
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
            "GET /openapi.json lists what there is",
        ));
    }
    let allow: Vec<&str> = here.iter().map(|(route, _)| route.method).collect();
    let why = format!("the path knows {}", allow.join(", "));
    let next = "use one of these methods; GET /openapi.json says what each does";
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, what, why, next);
    Err(Problem { allow: allow.join(", "), ..problem })
}

/// What stands behind the `?`, for all functions; the table says what each takes.
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

const NEXT: &str =
    "docs/fleet-api.json, which GET /openapi.json at the owner's door answers with, says what is understood";

pub(super) fn query(route: &Route, request: &Request<Bytes>) -> Result<Query, Problem> {
    let text = request.uri().query().unwrap_or_default();
    let unreadable = |why: String| {
        Problem::bad_request(format!("cannot read the query of {}", request.uri().path()), why, NEXT)
    };
    let names = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next());
    if let Some(name) = names.flatten().find(|name| !route.query.contains(name)) {
        return Err(unreadable(format!("it has {name:?}, which means nothing there")));
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
