//! Tests of the API over a link. All messages are checked against the OpenAPI document.

use std::time::Duration;

use bytes::Bytes;
use certs::{Defect, Pki, PkiOptions, Validity};
use fleet::CHECK_IN;
use http::{HeaderName, Method, Request, StatusCode, header};
use serde_json::{Value, json};
use world::{Link, PeerCertificate};

use crate::{
    openapi::OpenApi,
    operator::restarted,
    testbed::{Agent, MoveResult, SM_DP, Testbed, bootstrap, campaign, eid},
};

pub(crate) struct Api {
    pub(crate) link: Link,
    document: OpenApi,
}

impl Api {
    pub(crate) async fn of(testbed: &Testbed) -> Self {
        let link = testbed.platform.link();
        let request = Request::get("/openapi.json").body(Bytes::new()).unwrap();
        let response = world::send(&link, request).await.unwrap();
        Self { link, document: OpenApi(serde_json::from_slice(response.body()).unwrap()) }
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        target: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let sent = body.as_ref().map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = Request::builder().method(&method).uri(target);
        let request = request.header(header::CONTENT_TYPE, "application/json").body(sent).unwrap();
        let response = world::send(&self.link, request).await.unwrap();
        let report: Option<Value> =
            (!response.body().is_empty()).then(|| serde_json::from_slice(response.body()).unwrap());
        let status = response.status();
        if status.is_success() {
            self.document.check_request(&method, target, body.as_ref()).unwrap();
        }
        self.document.check_response(&method, target, status, report.as_ref()).unwrap();
        (status, report.unwrap_or_default())
    }

    pub(crate) async fn get(&self, target: &str) -> Value {
        let (status, report) = self.call(Method::GET, target, None).await;
        assert_eq!(status, StatusCode::OK, "{target}: {report}");
        report
    }

    async fn post(&self, target: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.call(Method::POST, target, body).await
    }
}

#[tokio::test]
async fn the_committed_document_matches_the_served_one() {
    let api = Api::of(&Testbed::new(0).await).await;
    let text = format!("{}\n", serde_json::to_string_pretty(&api.document.0).unwrap());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/fleet-api.json");
    if std::env::var_os("LANDFALL_REGENERATE").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    assert_eq!(committed, text, "LANDFALL_REGENERATE=1 cargo test -p fleet --test platform regenerates it");
}

/// A request with a method that the document does not list must get 405 and an Allow header with the
/// listed methods. A request with an unlisted parameter must get 400.
#[tokio::test(start_paused = true)]
async fn served_operations_match_the_document() {
    let api = Api::of(&Testbed::new(0).await).await;
    let operations = api.document.operations();
    assert_eq!(operations.len(), 30);
    for (method, template) in &operations {
        let path = template.replace("{eid}", &eid(0).to_string()).replace("{id}", "none");
        let of_path = |method: &Method| operations.contains(&(method.clone(), template.clone()));
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS]
        {
            let request = Request::builder().method(&method).uri(&path).body(Bytes::new()).unwrap();
            let response = world::send(&api.link, request).await.unwrap();
            let allowed = response.status() != StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(allowed, of_path(&method), "{method} {path}: {}", response.status());
            if let Some(allow) = response.headers().get(header::ALLOW) {
                for name in allow.to_str().unwrap().split(", ") {
                    assert!(of_path(&name.parse().unwrap()), "{name} {path}");
                }
            }
        }
        let (status, _) = api.call(method.clone(), &format!("{path}?colour=red"), None).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{method} {path}");
    }
}

#[tokio::test]
async fn a_web_page_cannot_use_the_api() {
    let testbed = Testbed::new(0).await;
    let link = testbed.platform.link();
    let body = json!({ "id": "x", "target": { "network": "724-02" } }).to_string();
    let status = async |headers: &[(HeaderName, &str)], target: &str, body: &str| {
        let method = if body.is_empty() { Method::GET } else { Method::POST };
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        world::send(&link, request).await.unwrap().status()
    };
    let own = (header::HOST, "127.0.0.1:8460");
    let json = (header::CONTENT_TYPE, "application/json");
    let foreign = [
        (header::HOST, "evil.example:8460"),
        (header::ORIGIN, "https://evil.example"),
        (header::ORIGIN, "null"),
    ];
    for (name, value) in foreign {
        let headers = [(name, value), json.clone()];
        for target in ["/v1/campaigns", CHECK_IN] {
            assert_eq!(status(&headers, target, &body).await, StatusCode::FORBIDDEN, "{headers:?}");
        }
        assert_eq!(status(&headers, "/v1/devices", "").await, StatusCode::FORBIDDEN, "{headers:?}");
    }
    // A form of another site can have these types.
    for form in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let headers = [own.clone(), (header::CONTENT_TYPE, form)];
        let refused = status(&headers, "/v1/campaigns", &body).await;
        assert_eq!(refused, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{form}");
    }
    for host in [own.1, "localhost"] {
        assert_eq!(status(&[(header::HOST, host)], "/v1/devices", "").await, StatusCode::OK, "{host}");
    }
    assert_eq!(status(&[own, json], "/v1/campaigns", &body).await, StatusCode::CREATED);
}

/// The check-in comes from the M2M agent of a device of SGP.02.
#[tokio::test]
async fn an_instruction_to_order_from_an_operator_matches_the_document() {
    let testbed = restarted(&Testbed::new(1).await, 1).decided().await;
    let api = Api::of(&testbed).await;
    let mut report = serde_json::to_value(testbed.check_in_of(0, &[bootstrap(0)])).unwrap();
    report["profiles"][0]["home"] = json!("234-15");
    let (status, instruction) = api.post(CHECK_IN, Some(report)).await;
    assert_eq!(status, StatusCode::OK);
    let order = json!({ "operator": "724-02", "what": { "profile_type": "local-br" } });
    assert_eq!(instruction["what"]["move"]["to"], json!({ "order": order }));
}

#[tokio::test]
async fn a_campaign_can_be_operated_over_the_api() {
    let testbed = Testbed::new(3).await;
    let api = Api::of(&testbed).await;
    let spec = json!({
        "id": "to-brazil", "target": { "network": "724-02" },
        "devices": { "selected": { "country": "BR" } },
        "pace": { "per_hour": 2, "at_once": 2 }, "canary": { "devices": { "count": 1 }, "wait_hours": 0 },
        "stop": { "failed_percent": 50, "after": 2 }, "retries": { "times": 1 },
        "windows": [{ "days": ["thu", "fri"], "from_hour": 0, "until_hour": 24 }],
    });
    let (status, planned) = api.post("/v1/dry-run", Some(spec.clone())).await;
    assert_eq!((status, planned.as_array().unwrap().len()), (StatusCode::OK, 3));
    let (status, made) = api.post("/v1/campaigns", Some(spec.clone())).await;
    assert_eq!((status, &made["state"]["is"]), (StatusCode::CREATED, &json!("draft")));
    assert_eq!(api.post("/v1/campaigns", Some(spec)).await.0, StatusCode::CONFLICT);
    let (_, started) = api.post("/v1/campaigns/to-brazil/start", None).await;
    assert_eq!(started["progress"]["devices"], 3);

    let report = serde_json::to_value(testbed.check_in_of(0, &[bootstrap(0)])).unwrap();
    let (status, instruction) = api.post(CHECK_IN, Some(report)).await;
    assert_eq!(status, StatusCode::OK);
    let order = instruction["what"]["move"]["order"].clone();
    assert!(instruction["what"]["move"]["to"]["download"]["code"].as_str().unwrap().starts_with("LPA:1$"));
    let mut back = serde_json::to_value(testbed.check_in_of(0, &[bootstrap(0)])).unwrap();
    back["ended"] = json!({ "order": order, "ending": "came_back", "why": "no network" });
    let (_, instruction) = api.post(CHECK_IN, Some(back)).await;
    assert_eq!(instruction["what"], "nothing");
    let mut other = Agent::new(1);
    other.settle(&testbed, MoveResult::Moves).await;

    let by = Some(json!({ "by": "Ada" }));
    let (status, paused) = api.post("/v1/campaigns/to-brazil/pause", by.clone()).await;
    assert_eq!((status, &paused["state"]["by"]), (StatusCode::OK, &json!("Ada")));
    assert_eq!(api.post("/v1/campaigns/to-brazil/pause", by).await.0, StatusCode::CONFLICT);
    assert_eq!(api.post("/v1/campaigns/to-brazil/resume", None).await.0, StatusCode::OK);
    let shown = api.get("/v1/campaigns/to-brazil").await;
    assert_eq!(shown["devices"].as_array().unwrap().len(), 3);
    assert_eq!(shown["devices"][0]["state"]["is"], "again");
    assert_eq!(api.call(Method::DELETE, "/v1/campaigns/to-brazil", None).await.0, StatusCode::CONFLICT);
    let (_, back) = api.post("/v1/campaigns/to-brazil/roll-back", None).await;
    assert_eq!(back["state"]["is"], "rolled_back", "no device had moved");
    assert_eq!(api.call(Method::DELETE, "/v1/campaigns/to-brazil", None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(api.get("/v1/campaigns").await, json!([]));
}

#[tokio::test]
async fn devices_and_reports_are_available_over_the_api() {
    let testbed = Testbed::new(2).await;
    let api = Api::of(&testbed).await;
    assert_eq!(api.get("/v1/devices?country=BR&state=working").await.as_array().unwrap().len(), 2);
    let path = format!("/v1/devices/{}", eid(0));
    let needs = json!({ "criticality": "high", "bandwidth": "low", "latency": "tight" });
    let edit = json!({ "label": "kiosk 1", "group": "kiosks", "needs": needs });
    let (_, device) = api.call(Method::PUT, &path, Some(edit)).await;
    assert_eq!(
        (&device["label"], &device["connection"]["needs"]["latency"]),
        (&json!("kiosk 1"), &json!("tight"))
    );
    let (status, _) = api.call(Method::PUT, &format!("/v1/devices/{}", eid(9)), Some(json!({}))).await;
    assert_eq!(status, StatusCode::OK, "a new device");
    assert_eq!(api.get("/v1/devices?group=kiosks").await[0], api.get(&path).await);
    for (query, what, why) in [
        ("group=nobody", "no device has group \"nobody\"", "there are kiosks"),
        ("model=x", "no device has model \"x\"", "no device has a model"),
        (
            "state=asleep",
            "there is no state \"asleep\"",
            "there are working, moving, unreachable, stuck, retired",
        ),
        ("country=XX", "there is no country XX", "it is not in crates/localize/data/networks.toml"),
    ] {
        for path in ["devices", "decisions", "answers/breaches", "answers/effort", "answers/recovery"] {
            let (status, problem) = api.call(Method::GET, &format!("/v1/{path}?{query}"), None).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}?{query}");
            assert_eq!((&problem["what"], &problem["why"]), (&json!(what), &json!(why)), "{path}?{query}");
        }
    }
    assert_eq!(api.get("/v1/devices?country=DE").await, json!([]), "a country without devices is valid");
    let decided = api.get("/v1/decisions?country=BR").await;
    assert_eq!(decided[0]["decision"], "move", "{decided}");
    for (answer, pointer, expected) in [
        ("residents?days=60&threshold=10", "/0/resident", json!(2)),
        ("residents?days=60&threshold=61", "/0/resident", json!(0)),
        ("breaches?within=60", "/1/eid", json!(eid(1))),
        ("breaches?within=0", "", json!([])),
        ("markets", "/0/must_move", json!(2)),
        ("markets?within=0", "", json!([])),
        ("effort?bearer=nb-iot", "/devices", json!(2)),
        ("recovery", "/rows/0/moving", json!(1)),
    ] {
        let report = api.get(&format!("/v1/answers/{answer}")).await;
        assert_eq!(report.pointer(pointer), Some(&expected), "{answer}: {report}");
    }
    let markets = api.get("/v1/answers/markets").await;
    assert_eq!(
        (&markets[0]["country"]["code"], &markets[0]["rows"]),
        (&json!("BR"), &json!({})),
        "{markets}"
    );
    let (status, retired) = api.call(Method::DELETE, &path, None).await;
    assert_eq!((status, &retired["state"]["is"]), (StatusCode::OK, &json!("retired")));
    assert_eq!(api.call(Method::DELETE, &path, None).await.0, StatusCode::CONFLICT);
}

#[tokio::test]
async fn what_if_reports_are_available_over_the_api() {
    let testbed = Testbed::new(2).await;
    let api = Api::of(&testbed).await;
    let ends = json!({ "carrier_ends": { "724-05": "2026-10-29" } });
    let (status, instruction) = api.post("/v1/answers/what-if?country=BR", Some(ends.clone())).await;
    assert_eq!(
        (status, &instruction["devices"], &instruction["changes"]),
        (StatusCode::OK, &json!(2), &json!({ "nearer": 2 }))
    );
    assert_eq!(instruction["affected"][0]["after"]["rule"], "what-if-724-05-2026-10-29");
    assert_eq!(instruction["affected"][0]["before"]["rule"], "br-90-in-365");
    let (_, elsewhere) = api.post("/v1/answers/what-if?country=TR", Some(ends)).await;
    assert_eq!(elsewhere["devices"], 0);
    let rule = "[[rule]]\nid = \"none\"\nnetworks = [\"262-01\"]\nkind = \"banned\"\nsource = \"a test\"\n\
                reviewed = \"2026-10-01\"\nconfidence = \"high\"\n";
    let (_, without) = api.post("/v1/answers/what-if", Some(json!({ "rules": rule }))).await;
    assert_eq!(without["changes"], json!({ "goes": 2 }), "no remaining rule applies to them: {without}");
    assert_eq!(
        api.get(&format!("/v1/devices/{}", eid(0))).await["state"]["is"],
        "working",
        "a what-if changes nothing"
    );
}

#[tokio::test]
async fn invalid_requests_are_refused_with_advice() {
    let testbed = Testbed::new(1).await;
    let api = Api::of(&testbed).await;
    let unknown = format!("/v1/devices/{}", eid(7));
    for (method, target, body, status) in [
        (Method::GET, unknown.as_str(), None, 404),
        (Method::GET, "/v1/devices/12", None, 400),
        (Method::GET, "/v1/devices?colour=red", None, 400),
        (Method::GET, "/v1/devices?country=Brazil", None, 400),
        (Method::GET, "/v1/answers/effort?bearer=pigeon", None, 400),
        (Method::GET, "/v1/answers/effort?move=house", None, 400),
        (Method::POST, "/v1/answers/what-if", Some(json!({})), 400),
        (Method::POST, "/v1/answers/what-if", Some(json!({ "rules": "[[rule]]\nid = 7" })), 400),
        (Method::GET, "/v1/campaigns/none", None, 404),
        (Method::POST, CHECK_IN, Some(json!({ "eid": eid(7), "at": "2026-11-21T08:00:00Z" })), 404),
        (Method::POST, CHECK_IN, Some(json!({ "eid": eid(0) })), 400),
        (Method::POST, "/v1/campaigns", Some(json!({ "id": "Big", "target": "decided" })), 400),
        (Method::POST, "/v1/campaigns", Some(json!({ "id": "a", "target": "decided", "speed": 1 })), 400),
    ] {
        let (report, problem) = api.call(method, target, body).await;
        assert_eq!(report.as_u16(), status, "{target}: {problem}");
        assert!(!problem["next"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn each_device_needs_its_token_on_the_device_port() {
    let testbed = Testbed::new(2).await;
    let link = testbed.platform.devices_link(|eid, token| token == format!("token of {eid}"));
    let report = serde_json::to_vec(&testbed.check_in_of(0, &[bootstrap(0)])).unwrap();
    let status_of = async |path: &str, token: String| {
        let request = Request::post(path).header(header::AUTHORIZATION, token);
        world::send(&link, request.body(report.clone().into()).unwrap()).await.unwrap().status()
    };
    assert_eq!(status_of(CHECK_IN, format!("Bearer token of {}", eid(0))).await, StatusCode::OK);
    assert_eq!(status_of(CHECK_IN, format!("Bearer token of {}", eid(1))).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status_of(CHECK_IN, String::new()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(
        status_of("/v1/campaigns", format!("Bearer token of {}", eid(0))).await,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn only_the_sm_dp_of_an_order_can_report_its_progress() {
    let testbed = Testbed::new(1).await;
    testbed.run(&campaign("c")).await;
    let mut device = Agent::new(0);
    device.settle(&testbed, MoveResult::Moves).await;
    let body = json!({
        "header": { "functionRequesterIdentifier": "2.999.10", "functionCallIdentifier": "1" },
        "eid": eid(0), "iccid": device.profiles[0], "profileType": "local-br",
        "timestamp": "2026-11-21T08:00:00Z", "notificationPointId": 4,
        "notificationPointStatus": { "status": "Executed-Success" },
    });
    let path = rsp::sgp22::es2plus::path("handleDownloadProgressInfo");
    let pki = Pki::from_seed(b"platform", &PkiOptions::default()).unwrap();
    let credential_of = |name: &str| {
        let year =
            Validity { from: testbed.now(), to: testbed.now().plus(Duration::from_secs(365 * 86_400)) };
        pki.issue_dp_tls(&[name.parse().unwrap()], year).unwrap()
    };
    let named = |name: &str| PeerCertificate(credential_of(name).certificate.der().to_vec());
    let report = async |shown: Option<PeerCertificate>, body: String| {
        let mut request = Request::post(&path).body(Bytes::from(body)).unwrap();
        if let Some(shown) = shown {
            request.extensions_mut().insert(shown);
        }
        world::send(&testbed.platform.link(), request).await.unwrap().status()
    };
    let orders = async || world::Tx::begin(&*testbed.records).peek_list(&fleet::ORDERS, "").await.unwrap();
    let before = orders().await;
    let operator = PeerCertificate(pki.operator("Operator").unwrap().certificate.der().to_vec());
    for not_it in [None, Some(PeerCertificate(vec![])), Some(operator), Some(named("another.example.com"))] {
        assert_eq!(report(not_it, body.to_string()).await, StatusCode::FORBIDDEN);
    }
    let it = || Some(named(SM_DP));
    let other_oid = body.to_string().replace("2.999.10", "2.999.11");
    assert_eq!(report(it(), other_oid).await, StatusCode::FORBIDDEN);
    let without_oid = pki.issue_like(&credential_of(SM_DP), Defect::NoOid).unwrap().der;
    assert_eq!(report(Some(PeerCertificate(without_oid)), body.to_string()).await, StatusCode::FORBIDDEN);
    assert_eq!(report(it(), "{}".into()).await, StatusCode::BAD_REQUEST);
    assert_eq!(orders().await, before, "none of these senders may report on the order");
    assert_eq!(report(it(), body.to_string()).await, StatusCode::NO_CONTENT);
    assert!(orders().await.is_empty(), "card and SM-DP+ agree");
    // A report about an unknown order is accepted from any SM-DP+ and ignored.
    assert_eq!(report(Some(named("another.example.com")), body.to_string()).await, StatusCode::NO_CONTENT);
}
