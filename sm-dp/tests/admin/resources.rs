//! Tests of sessions, events, operators, notifications and the outbox.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use rsp::ids::SmdpAddress;
use rsp::sgp22::json;
use rsp::status::Status;
use serde_json::json;
use sm_dp::{Peers, ProfileOptions, ProfileState};
use world::{Fault, Link, LinkFault, LinkFaultKind, link_from};

use crate::support::{self, Expect, ICCID, OTHER_ICCID, Testbed};
use crate::{Api, new_profile};

#[tokio::test]
async fn sessions_can_be_listed_and_deleted() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    let matching_id = testbed.released(&ProfileOptions::default()).await;
    let euicc = testbed.euicc();
    let download = euicc.try_authenticate(&testbed.server, &matching_id).await.done().transaction_id;
    let sessions = api.get("/admin/v1/sessions").await;
    let [session] = sessions.as_array().unwrap().as_slice() else { panic!("{sessions}") };
    assert_eq!(session["transactionId"], download.to_string());
    assert_eq!(session["awaits"], "GetBoundProfilePackage");
    assert_eq!(session["iccid"], ICCID);
    assert_eq!(session["eid"], euicc.eid.to_string());
    assert_eq!(session["matchingId"], matching_id);
    let target = format!("/admin/v1/sessions/{download}");
    api.delete(&target).await;
    assert_eq!(api.get("/admin/v1/sessions").await, json!([]));
    let (status, _) = api.call(Method::DELETE, &target, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    euicc.initiate(&testbed.server).await;
    let sessions = api.get("/admin/v1/sessions").await;
    assert_eq!(
        (sessions.as_array().unwrap().len(), &sessions[0]["awaits"]),
        (1, &json!("AuthenticateClient"))
    );
    testbed.wait(sm_dp::config::SESSION_LIFETIME);
    assert_eq!(api.get("/admin/v1/sessions").await, json!([]));
}

#[tokio::test]
async fn events_are_numbered_and_paged() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    assert_eq!(api.get("/admin/v1/events").await, json!({ "next": 0, "lost": 0, "events": [] }));
    testbed.released(&ProfileOptions::default()).await;
    let page = api.get("/admin/v1/events?limit=1").await;
    assert_eq!(page["next"], 1);
    assert_eq!(page["events"][0]["number"], 1);
    assert_eq!(page["events"][0]["function"], "DownloadOrder");
    assert_eq!(page["events"][0]["outcome"], json!({ "result": "done" }));
    let page = api.get("/admin/v1/events?after=1").await;
    assert_eq!((&page["next"], &page["events"][0]["function"]), (&json!(2), &json!("ConfirmOrder")));
    // Changes through the API are logged too, and reads are not.
    let (status, _) = api.call(Method::DELETE, &format!("/admin/v1/stock/{OTHER_ICCID}"), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let page = api.get("/admin/v1/events?after=2&limit=9").await;
    assert_eq!(page["events"].as_array().unwrap().len(), 1, "{page}");
    assert_eq!(page["events"][0]["interface"], "admin");
    assert_eq!(page["events"][0]["outcome"]["result"], "refused");
    assert_eq!(testbed.events.all().len(), 3);
}

#[tokio::test]
async fn a_registered_identifier_is_reserved_for_its_operator() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    api.post("/admin/v1/stock", new_profile(ICCID)).await;
    let named = support::Operator { identifier: "ACME & Söhne/1".to_owned(), ..testbed.operator() };
    let target = "/admin/v1/operators/ACME%20&%20S%C3%B6hne%2F1";
    let order = || async {
        let iccid = Some(ICCID.parse().unwrap());
        named.download_order(&testbed.server, iccid, None, None).await
    };
    assert_eq!(order().await.refused(), Status::RequesterNotAllowed);
    let (status, _) = api.call(Method::GET, target, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let facts = json!({ "certificateOid": named.oid.to_string(), "es2plusAddress": "acme.example:8443" });
    let (status, made) = api.call(Method::PUT, target, Some(facts.clone())).await;
    assert_eq!(status, StatusCode::OK, "{made}");
    assert_eq!(
        (&made["identifier"], &made["certificateOid"]),
        (&json!(named.identifier), &facts["certificateOid"])
    );
    assert_eq!(api.get(target).await, made);
    assert_eq!(api.get("/admin/v1/operators").await, json!([made]));
    order().await.done();
    let (_, made) = api.call(Method::PUT, target, Some(json!({ "certificateOid": "2.999.1" }))).await;
    assert_eq!(made.get("es2plusAddress"), None);
    assert_eq!(order().await.refused(), Status::RequesterNotAllowed);
    api.delete(target).await;
    let (status, _) = api.call(Method::DELETE, target, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(api.get("/admin/v1/operators").await, json!([]));
}

#[tokio::test]
async fn notifications_are_listed() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    assert_eq!(api.get("/admin/v1/notifications").await, json!([]));
    let code = testbed.released(&ProfileOptions::default()).await;
    let euicc = testbed.euicc();
    let (download, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    let result = euicc.result(&download, ICCID.parse().unwrap(), true);
    assert_eq!(support::euicc::notify(&testbed.server, euicc.signed_result(result)).await, 204);
    let all = api.get("/admin/v1/notifications").await;
    let [notification] = all.as_array().unwrap().as_slice() else { panic!("{all}") };
    assert_eq!(
        (&notification["eid"], &notification["iccid"]),
        (&json!(euicc.eid.to_string()), &json!(ICCID))
    );
    assert_eq!(notification["told"], "installation result");
}

/// An SM-DS that executes every call while it is reachable.
#[derive(Clone, Default)]
struct SmDs {
    is_reachable: Arc<AtomicBool>,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Peers for SmDs {
    fn link(&self, address: &SmdpAddress) -> Result<Link, Fault> {
        let (sm_ds, address) = (self.clone(), address.to_string());
        Ok(link_from(tower::service_fn(move |request: Request<Bytes>| {
            let answer = match sm_ds.is_reachable.load(Ordering::Relaxed) {
                true => Ok(json::response(support::VERSION, Ok(&()))),
                false => Err(LinkFault::new(LinkFaultKind::Refused, address.clone(), "not there")),
            };
            if answer.is_ok() {
                let function = request.uri().path().rsplit('/').next().unwrap().to_owned();
                sm_ds.calls.lock().unwrap().push(function);
            }
            async move { answer }
        })))
    }
}

#[tokio::test]
async fn an_order_with_an_sm_ds_has_its_event_registered_and_deleted() {
    let mut testbed = Testbed::new();
    let sm_ds = SmDs::default();
    testbed.server = testbed.server.with_peers(Arc::new(sm_ds.clone()));
    let api = Api::of(&testbed).await;
    api.post("/admin/v1/stock", new_profile(ICCID)).await;
    let eid = testbed.euicc().eid.to_string();
    let wanted = json!({ "iccid": ICCID, "eid": eid, "matchingId": "EVENT", "smdsAddress": "smds.example" });
    let (status, problem) = api.call(Method::POST, "/admin/v1/orders", Some(wanted.clone())).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{problem}");
    assert!(problem["why"].as_str().unwrap().contains("cannot be reached"), "{problem}");
    assert_eq!(testbed.state().await, ProfileState::Available);

    sm_ds.is_reachable.store(true, Ordering::Relaxed);
    let placed = api.post("/admin/v1/orders", wanted).await;
    assert_eq!((&placed["smdsAddress"], &placed["eventRegistered"]), (&json!("smds.example"), &json!(true)));
    assert_eq!(api.get("/admin/v1/outbox").await, json!([]));

    sm_ds.is_reachable.store(false, Ordering::Relaxed);
    api.delete(&format!("/admin/v1/orders/{ICCID}")).await;
    testbed.server.deliver_due().await.unwrap();
    let waiting = api.get("/admin/v1/outbox").await;
    assert_eq!(waiting[0]["peer"], json!({ "smds": "smds.example" }));
    assert_eq!(waiting[0]["failures"], 1);
    let message = &waiting[0]["messages"][0];
    assert_eq!((&message["function"], &message["eventId"]), (&json!("DeleteEvent"), &json!("EVENT")));
    assert_eq!(message["eid"], eid);

    sm_ds.is_reachable.store(true, Ordering::Relaxed);
    testbed.wait(std::time::Duration::from_secs(3600));
    testbed.server.deliver_due().await.unwrap();
    assert_eq!(api.get("/admin/v1/outbox").await, json!([]));
    assert_eq!(*sm_ds.calls.lock().unwrap(), ["registerEvent", "deleteEvent"]);
}
