//! Tests of pages and filters of lists.

use serde_json::{Value, json};
use sm_dp::ProfileOptions;

use crate::support::{self, Expect, ICCID, OTHER_ICCID, Testbed};
use crate::{Api, new_profile};

const THIRD_ICCID: &str = "89490000000000000611";

/// Returns the values of a field of all elements, from all pages.
async fn all(api: &Api, target: &str, field: &str) -> Vec<Value> {
    let mut values = Vec::new();
    let mut next = Some(target.to_owned());
    while let Some(target) = next {
        let (page, following) = api.page(&target).await;
        values.extend(page.as_array().unwrap().iter().map(|element| element[field].clone()));
        next = following;
    }
    values
}

#[tokio::test]
async fn stock_and_orders_are_listed_in_pages() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    let mut iccids = [ICCID, OTHER_ICCID, THIRD_ICCID].map(|iccid| iccid.parse::<rsp::ids::Iccid>().unwrap());
    for iccid in iccids {
        api.post("/admin/v1/stock", new_profile(&iccid.to_string())).await;
        api.post("/admin/v1/orders", json!({ "iccid": iccid })).await;
    }
    iccids.sort_by_key(ToString::to_string);
    for resource in ["stock", "orders"] {
        let (page, next) = api.page(&format!("/admin/v1/{resource}?limit=2")).await;
        assert_eq!(page.as_array().unwrap().len(), 2, "{resource}");
        assert_eq!(next, Some(format!("/admin/v1/{resource}?limit=2&after={}", iccids[1])));
        let found = all(&api, &format!("/admin/v1/{resource}?limit=1&state=Released"), "iccid").await;
        assert_eq!(found, iccids.map(|iccid| json!(iccid)), "{resource}");
        assert_eq!(api.page(&format!("/admin/v1/{resource}")).await.1, None, "all on one page");
    }
}

#[tokio::test]
async fn lists_have_filters() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    let eid = testbed.euicc().eid.to_string();
    let mut gold = new_profile(OTHER_ICCID);
    gold["profileType"] = json!("gold");
    api.post("/admin/v1/stock", new_profile(ICCID)).await;
    let kind = api.post("/admin/v1/stock", gold).await["profileType"].clone();
    assert_eq!(kind, "gold");
    api.post("/admin/v1/orders", json!({ "iccid": ICCID, "matchingId": "A", "eid": eid })).await;
    let found = |target: &'static str| all(&api, target, "iccid");
    for (target, expected) in [
        ("/admin/v1/stock?profileType=gold", vec![json!(OTHER_ICCID)]),
        ("/admin/v1/stock?state=Released", vec![json!(ICCID)]),
        ("/admin/v1/stock?state=Released&profileType=gold", vec![]),
        ("/admin/v1/orders?matchingId=A", vec![json!(ICCID)]),
        ("/admin/v1/orders?matchingId=B", vec![]),
        ("/admin/v1/orders?state=Installed", vec![]),
        ("/admin/v1/orders?profileType=gold", vec![]),
        ("/admin/v1/orders?eid=89049032000000000000000000000000", vec![]),
    ] {
        assert_eq!(found(target).await, expected, "{target}");
    }
    assert_eq!(all(&api, &format!("/admin/v1/orders?eid={eid}"), "iccid").await, [json!(ICCID)]);
    let events = api.get("/admin/v1/events?function=POST%20/admin/v1/orders&interface=admin").await;
    let numbers: Vec<_> = events["events"].as_array().unwrap().iter().map(|event| &event["number"]).collect();
    assert_eq!((numbers, &events["next"]), (vec![&json!(3)], &json!(3)));
    for none in ["outcome=refused", "party=SM-DS", "interface=ES9%2B", "peer=x"] {
        assert_eq!(api.get(&format!("/admin/v1/events?{none}")).await["events"], json!([]), "{none}");
    }
}

#[tokio::test]
async fn sessions_and_notifications_have_filters() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    let code = testbed.released(&ProfileOptions::default()).await;
    let euicc = testbed.euicc();
    euicc.initiate(&testbed.server).await;
    euicc.try_authenticate(&testbed.server, &code).await.done();
    let count = async |target: String| api.get(&target).await.as_array().unwrap().len();
    assert_eq!(count("/admin/v1/sessions".to_owned()).await, 2);
    assert_eq!(count("/admin/v1/sessions?awaits=AuthenticateClient".to_owned()).await, 1);
    assert_eq!(count(format!("/admin/v1/sessions?eid={}", euicc.eid)).await, 1);
    assert_eq!(count(format!("/admin/v1/sessions?eid={}&awaits=AuthenticateClient", euicc.eid)).await, 0);
    let (download, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    let result = euicc.result(&download, ICCID.parse().unwrap(), true);
    assert_eq!(support::euicc::notify(&testbed.server, euicc.signed_result(result)).await, 204);
    for (query, expected) in [
        (format!("eid={}", euicc.eid), 1),
        (format!("iccid={ICCID}&operation=installation%20result"), 1),
        (format!("iccid={OTHER_ICCID}"), 0),
        ("operation=delete".to_owned(), 0),
    ] {
        assert_eq!(count(format!("/admin/v1/notifications?{query}")).await, expected, "{query}");
    }
}
