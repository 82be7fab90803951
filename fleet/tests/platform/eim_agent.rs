//! The agent for devices of an eIM, with a simulated eIM that only stores orders. Its requests and the
//! simulated responses are validated against the document of the eIM's API.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use fleet::{Action, DeviceEvent, EimAgent, EimAgentConfig, State};
use http::{Method, Request, Response, StatusCode};
use rsp::{
    ids::{Eid, Iccid},
    time::Timestamp,
};
use serde_json::{Value, json};
use world::{Link, LinkFault, LinkFaultKind, Outcome, SeededRandom, World, link_from};

use crate::{
    openapi::OpenApi,
    testbed::{BRAZIL, LOCAL, OrderState, Testbed, bootstrap, campaign, eid, iccid, plmn},
};

/// MCC and MNC of [`BRAZIL`] as in TS 24.008.
const BRAZIL_OCTETS: &str = "27F450";
/// The number of devices on a page of the list.
const PAGE: usize = 1000;
const AUTHORITY: &str = "eim.example.com:8492";

/// The state of the simulated eIM: one device, and its orders.
#[derive(Default)]
struct EimState {
    device: Value,
    /// Further devices.
    others: Vec<Value>,
    /// The eIM refuses orders for this device.
    refuses: Option<Eid>,
    /// The orders by eimTransactionId: the content, and the result if there is one.
    orders: BTreeMap<String, Value>,
    /// The identifiers in the order in which they were placed.
    placed: Vec<String>,
    /// Number of requests that are still answered.
    answers_left: Option<u32>,
}

/// A simulated eIM.
#[derive(Clone)]
struct Eim(Arc<Mutex<EimState>>, Arc<OpenApi>);

impl Eim {
    fn new(at: Timestamp) -> Self {
        let document = include_str!("../../../docs/eim-api.json");
        let device = json!({
            "eid": eid(0), "counter": 0, "signingKey": 0, "certificatesKnown": true, "openOrders": [],
            "registered": at,
        });
        let state = EimState { device, ..EimState::default() };
        Self(Arc::new(Mutex::new(state)), Arc::new(OpenApi(serde_json::from_str(document).unwrap())))
    }

    fn link(&self) -> Link {
        let eim = self.clone();
        link_from(tower::service_fn(move |request: Request<Bytes>| {
            let eim = eim.clone();
            async move { eim.answer(&request) }
        }))
    }

    fn answer(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, LinkFault> {
        let Self(state, document) = self;
        let mut state = state.lock().unwrap();
        if state.answers_left == Some(0) {
            return Err(LinkFault::new(LinkFaultKind::Reset, "eim", "unreachable"));
        }
        if let Some(left) = &mut state.answers_left {
            *left -= 1;
        }
        let (method, target) = (request.method(), request.uri().path_and_query().unwrap().as_str());
        let body: Option<Value> =
            (*method == Method::POST).then(|| serde_json::from_slice(request.body()).unwrap());
        document.check_request(method, target, body.as_ref()).unwrap();
        let path = request.uri().path();
        let (status, reply) = match (method.as_str(), path) {
            ("GET", "/admin/v1/devices") => {
                let page = usize::from(target.contains("after="));
                let all: Vec<&Value> = std::iter::once(&state.device).chain(&state.others).collect();
                (StatusCode::OK, json!(all.chunks(PAGE).nth(page).unwrap_or_default()))
            }
            ("POST", "/admin/v1/orders") => {
                let body = body.unwrap();
                if state.refuses.is_some_and(|eid| json!(eid) == body["eid"]) {
                    let refusal = Response::builder().status(StatusCode::BAD_REQUEST);
                    return Ok(refusal.body(Bytes::from_static(b"100 orders wait for it already")).unwrap());
                }
                let id = body["transactionId"].as_str().unwrap().to_owned();
                let order = json!({
                    "transactionId": id, "eid": body["eid"], "package": body["package"],
                    "automatic": false, "state": "Queued", "deliveries": 0,
                    "created": state.device["registered"], "expires": state.device["registered"],
                });
                if !state.orders.contains_key(&id) {
                    state.orders.insert(id.clone(), order);
                    state.placed.push(id.clone());
                }
                (StatusCode::CREATED, state.orders[&id].clone())
            }
            ("GET", path) => match state.orders.get(path.strip_prefix("/admin/v1/orders/").unwrap()) {
                Some(order) => (StatusCode::OK, order.clone()),
                None => {
                    let problem = json!({
                        "title": "there is no order", "detail": "unknown", "status": 404, "next": "list them",
                    });
                    (StatusCode::NOT_FOUND, problem)
                }
            },
            other => panic!("{other:?}"),
        };
        if status.is_success() {
            document.check_response(method, target, status, Some(&reply)).unwrap();
        }
        Ok(Response::builder().status(status).body(Bytes::from(reply.to_string())).unwrap())
    }

    /// The device fetches packages in a network.
    fn polls(&self, at: Timestamp, network: &str) {
        let device = &mut self.0.lock().unwrap().device;
        device["lastPoll"] = json!(at);
        device["rPlmn"] = json!(network);
    }

    /// The kinds of the orders that wait, first to last.
    fn open(&self) -> Vec<&'static str> {
        let state = self.0.lock().unwrap();
        let open = state.placed.iter().map(|id| &state.orders[id]).filter(|order| order["state"] == "Queued");
        open.map(kind).collect()
    }

    /// Ends the first open order of this kind.
    fn end(&self, what: &str, result: Value) {
        let mut state = self.0.lock().unwrap();
        let first = state.placed.iter().find(|id| {
            let order = &state.orders[*id];
            order["state"] == "Queued" && kind(order) == what
        });
        let id = first.unwrap().clone();
        let at = state.device["lastPoll"].clone();
        let order = state.orders.get_mut(&id).unwrap();
        if result.is_null() {
            order["state"] = json!("Expired");
            return;
        }
        order["state"] = json!("Result");
        order["result"] = result;
        order["result"]["at"] = at;
    }

    fn lists(&self, profiles: &[(Iccid, bool)]) {
        let profiles: Vec<_> = profiles
            .iter()
            .map(|(iccid, enabled)| json!({ "iccid": iccid, "profile_state": i32::from(*enabled) }))
            .collect();
        let operations = json!([{ "operation": "listProfileInfo", "profiles": profiles }]);
        self.end("list", json!({ "succeeded": true, "operations": operations }));
    }
}

/// The kind of an order.
fn kind(order: &Value) -> &'static str {
    let package = &order["package"];
    match package.get("download") {
        Some(_) => "download",
        None if package["profileOperations"][0].get("enable").is_some() => "enable",
        None => "list",
    }
}

fn succeeded() -> Value {
    json!({ "succeeded": true, "operations": [] })
}

fn agent(testbed: &Testbed, eim: &Eim, process: u32) -> EimAgent {
    let world = World::new(testbed.clock.clone(), SeededRandom::from_text(&format!("agent {process}")));
    EimAgent::new(testbed.platform.clone(), world, eim.link(), AUTHORITY, EimAgentConfig::default())
}

/// A device in Brazil whose profiles the agent knows.
async fn known_device() -> (Testbed, Eim, EimAgent) {
    let testbed = Testbed::new(1).await;
    let eim = Eim::new(testbed.now());
    let agent = agent(&testbed, &eim, 0);
    eim.polls(testbed.now(), BRAZIL_OCTETS);
    agent.due().await.unwrap();
    eim.lists(&[(bootstrap(0), true)]);
    agent.due().await.unwrap();
    (testbed, eim, agent)
}

/// A device that has a move.
async fn moving_device() -> (Testbed, Eim, EimAgent) {
    let (testbed, eim, agent) = known_device().await;
    testbed.run(&campaign("home")).await;
    testbed.later(25);
    eim.polls(testbed.now(), BRAZIL_OCTETS);
    agent.due().await.unwrap();
    assert_eq!(eim.open(), ["download", "enable", "list"]);
    (testbed, eim, agent)
}

#[tokio::test]
async fn the_profiles_are_listed_before_the_first_check_in() {
    let testbed = Testbed::new(1).await;
    let eim = Eim::new(testbed.now());
    let agent = agent(&testbed, &eim, 0);
    agent.due().await.unwrap();
    assert_eq!(eim.open(), ["list"]);
    assert_eq!(testbed.device(0).await.last_seen, None, "a device that never polled is not seen");

    eim.polls(testbed.now(), BRAZIL_OCTETS);
    eim.lists(&[(bootstrap(0), true), (iccid(7), false)]);
    testbed.later(1);
    agent.due().await.unwrap();
    let device = testbed.device(0).await;
    assert_eq!(device.last_seen, Some(testbed.now()));
    let stay = device.connection.history.present(testbed.now()).unwrap();
    assert_eq!(stay.plmn, plmn(BRAZIL));
    assert_eq!(eim.open(), Vec::<&str>::new());
}

#[tokio::test]
async fn a_move_becomes_a_download_an_enabling_and_a_list() {
    let (testbed, eim, agent) = moving_device().await;
    let new = iccid(100);
    {
        let state = eim.0.lock().unwrap();
        let order = |number: usize| &state.orders[&state.placed[number]];
        let code = format!("LPA:1$smdp.example.com$M-{new}");
        assert_eq!(order(1)["package"]["download"]["source"], json!({ "activationCode": code }));
        let enable = json!([{ "enable": { "iccid": new, "rollback": true } }]);
        assert_eq!(order(2)["package"]["profileOperations"], enable);
    }
    assert!(matches!(testbed.device(0).await.state, State::Moving { to, .. } if to == plmn(LOCAL)));

    eim.end("download", succeeded());
    eim.end("enable", succeeded());
    testbed.sm_dp.set(new, OrderState::Downloaded);
    agent.due().await.unwrap();
    assert!(matches!(testbed.device(0).await.state, State::Moving { .. }), "the list shows the end");
    eim.lists(&[(bootstrap(0), false), (new, true)]);
    agent.due().await.unwrap();
    let device = testbed.device(0).await;
    assert_eq!((device.state, device.tally.moved), (State::Working, 1));
    assert_eq!(testbed.campaign("home").await.spec.id.to_string(), "home");
    agent.due().await.unwrap();
    assert_eq!(testbed.device(0).await.tally.moved, 1, "the end is reported once");
}

#[tokio::test]
async fn a_failed_enabling_is_a_return_with_its_reason() {
    let operation = |operation: &str, number: i64, meaning: &str| json!({ "operation": operation, "code": { "number": number, "meaning": meaning } });
    let done = operation("disable", 0, "Done.");
    for (operations, reason) in [
        (vec![operation("rollback", 0, "Rolled back.")], "enable: rollback: Rolled back."),
        (vec![done.clone(), operation("enable", 1, "Unknown ICCID.")], "enable: enable: Unknown ICCID."),
        (vec![done], "enable: the result does not contain a success"),
    ] {
        let (testbed, eim, agent) = moving_device().await;
        eim.end("download", succeeded());
        eim.end("enable", json!({ "succeeded": false, "operations": operations }));
        testbed.sm_dp.set(iccid(100), OrderState::Downloaded);
        eim.lists(&[(bootstrap(0), true), (iccid(100), false)]);
        agent.due().await.unwrap();
        let device = testbed.device(0).await;
        assert_eq!((device.tally.moved, device.tally.came_back), (0, 1));
        let trail = device.trail.entries().iter().rev();
        let why = trail.clone().find_map(|entry| match &entry.event {
            DeviceEvent::CameBack { why } => Some(why.to_string()),
            _ => None,
        });
        assert_eq!(why.as_deref(), Some(reason));
    }
}

#[tokio::test]
async fn a_failed_download_leaves_no_profile() {
    let (testbed, eim, agent) = moving_device().await;
    let error = json!({ "number": 4, "meaning": "The SM-DP+ is unreachable." });
    eim.end("download", json!({ "succeeded": false, "operations": [], "error": error }));
    let unknown = json!({ "operation": "enable", "code": { "number": 1, "meaning": "Unknown ICCID." } });
    eim.end("enable", json!({ "succeeded": false, "operations": [unknown] }));
    eim.lists(&[(bootstrap(0), true)]);
    agent.due().await.unwrap();
    let device = testbed.device(0).await;
    assert_eq!(device.tally.not_installed, 1);
    let why = device.trail.entries().iter().find_map(|entry| match &entry.event {
        DeviceEvent::NotInstalled { why } => Some(why.to_string()),
        _ => None,
    });
    assert_eq!(why.as_deref(), Some("download: The SM-DP+ is unreachable."));
}

#[tokio::test]
async fn orders_that_expire_are_placed_again() {
    let (_testbed, eim, agent) = moving_device().await;
    eim.end("download", succeeded());
    eim.end("enable", Value::Null);
    eim.end("list", Value::Null);
    agent.due().await.unwrap();
    agent.due().await.unwrap();
    assert_eq!(eim.open(), ["enable", "list"], "the download is not repeated");
    eim.end("enable", succeeded());
    eim.end("list", Value::Null);
    agent.due().await.unwrap();
    agent.due().await.unwrap();
    assert_eq!(eim.open(), ["list"]);
}

#[tokio::test]
async fn a_device_that_never_wakes_up_ends_the_move_without_a_profile() {
    let (testbed, eim, agent) = moving_device().await;
    for _ in 0..4 {
        for what in eim.open() {
            eim.end(what, Value::Null);
        }
        agent.due().await.unwrap();
        agent.due().await.unwrap();
    }
    assert_eq!(eim.open(), ["list"], "the profiles are listed again");
    testbed.later(25);
    eim.polls(testbed.now(), BRAZIL_OCTETS);
    eim.lists(&[(bootstrap(0), true)]);
    agent.due().await.unwrap();
    assert_eq!(testbed.device(0).await.tally.not_installed, 1);
}

#[tokio::test]
async fn a_crash_at_each_request_places_no_order_twice() {
    for answers in 0..12 {
        let (testbed, eim, agent) = known_device().await;
        testbed.run(&campaign("home")).await;
        testbed.later(25);
        eim.polls(testbed.now(), BRAZIL_OCTETS);
        eim.0.lock().unwrap().answers_left = Some(answers);
        let crashed = agent.due().await;
        eim.0.lock().unwrap().answers_left = None;
        let other = self::agent(&testbed, &eim, 1);
        other.due().await.unwrap();
        assert_eq!(eim.open(), ["download", "enable", "list"], "after {answers} answers: {crashed:?}");
        if crashed.is_ok() {
            return;
        }
    }
    panic!("every run crashed");
}

#[tokio::test]
async fn an_unreachable_eim_changes_nothing() {
    let (testbed, eim, agent) = moving_device().await;
    let before = testbed.device(0).await;
    // It answers nothing, or only the list of the devices.
    for answers in [0, 1] {
        eim.0.lock().unwrap().answers_left = Some(answers);
        let fault = agent.due().await.unwrap_err();
        assert!(fault.to_string().contains("eim.example.com:8492"), "{fault}");
        assert_eq!(testbed.device(0).await, before);
    }
}

#[tokio::test]
async fn a_refusal_for_one_device_does_not_stop_the_others() {
    let testbed = Testbed::new(2).await;
    let eim = Eim::new(testbed.now());
    {
        let mut state = eim.0.lock().unwrap();
        let mut other = state.device.clone();
        other["eid"] = json!(eid(1));
        state.others.push(other);
        state.refuses = Some(eid(0));
    }
    agent(&testbed, &eim, 0).due().await.unwrap();
    let placed: Vec<Value> = eim.0.lock().unwrap().orders.values().cloned().collect();
    assert_eq!(placed.iter().map(|order| &order["eid"]).collect::<Vec<_>>(), [&json!(eid(1))]);
    let seen = testbed.events.all();
    let refused = seen.iter().find(|event| event.function == "Look").unwrap();
    assert!(matches!(&refused.outcome, Outcome::Refused(why) if why.contains("100 orders")), "{refused:?}");
}

#[tokio::test]
async fn devices_on_the_second_page_of_the_list_are_looked_at() {
    let testbed = Testbed::new(1).await;
    let eim = Eim::new(testbed.now());
    {
        let mut state = eim.0.lock().unwrap();
        let device = state.device.clone();
        let other = |number: u32| {
            let mut other = device.clone();
            other["eid"] = json!(eid(number));
            other
        };
        // Only the last device is in the fleet.
        let mut all = (1..=1000).chain([0]).map(other);
        state.device = all.next().unwrap();
        state.others = all.collect();
    }
    agent(&testbed, &eim, 0).due().await.unwrap();
    assert_eq!(eim.open(), ["list"]);
}

#[tokio::test]
async fn a_change_without_the_eim_causes_a_new_list() {
    let (testbed, eim, agent) = known_device().await;
    testbed.later(1);
    eim.0.lock().unwrap().device["stateChange"] = json!({ "at": testbed.now() });
    agent.due().await.unwrap();
    assert_eq!(eim.open(), ["list"]);
    eim.polls(testbed.now(), BRAZIL_OCTETS);
    eim.lists(&[(bootstrap(0), false), (iccid(7), true)]);
    testbed.later(25);
    eim.polls(testbed.now(), BRAZIL_OCTETS);
    agent.due().await.unwrap();
    let enabled = testbed.device(0).await.connection.held;
    assert!(enabled.iter().any(|held| held.iccid == bootstrap(0)));
    agent.due().await.unwrap();
    assert_eq!(eim.open(), Vec::<&str>::new(), "the list is ordered once");
}

#[tokio::test]
async fn a_device_checks_in_only_if_there_is_news() {
    let (testbed, eim, agent) = known_device().await;
    let seen = testbed.device(0).await.last_seen;
    testbed.later(1);
    agent.due().await.unwrap();
    assert_eq!(testbed.device(0).await.last_seen, seen, "the device did not poll");
    eim.polls(testbed.now(), "32F451");
    agent.due().await.unwrap();
    let device = testbed.device(0).await;
    assert_eq!(device.last_seen, Some(testbed.now()), "the network changed");
    let stay = device.connection.history.present(testbed.now()).unwrap();
    assert_eq!(stay.plmn, plmn("234-15"));
}

#[tokio::test]
async fn a_device_that_is_not_in_the_fleet_is_ignored() {
    let testbed = Testbed::new(0).await;
    let eim = Eim::new(testbed.now());
    agent(&testbed, &eim, 0).due().await.unwrap();
    assert_eq!(eim.open(), Vec::<&str>::new());
}

#[tokio::test]
async fn the_platform_repeats_a_move_that_the_agent_lost() {
    let (testbed, eim, agent) = moving_device().await;
    let report = testbed.check_in_of(0, &[bootstrap(0)]);
    let Action::Move { .. } = testbed.check_in(&report).await.what else { panic!("the move is open") };
    agent.due().await.unwrap();
    assert_eq!(eim.open(), ["download", "enable", "list"]);
}
