//! Tests of templates: orders that find no available profile get a personalised one.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use http::{Method, StatusCode};
use profile::{
    Capabilities, InstalledProfile, Package,
    generic::{Subscription, generic},
};
use rsp::{ids::Iccid, sgp22::ProfileClass, status::Status};
use serde_json::{Value, json};
use sm_dp::{
    PersonalisedHook, ProfileState,
    admin::preset::{Ensured, NewOrder, NewTemplate},
};

use crate::support::{Expect, ICCID, Testbed};
use crate::{Api, base64, post};

const TEMPLATES: &str = "/admin/v1/templates";
const ORDERS: &str = "/admin/v1/orders";

/// Stores a template of type "meters" for consecutive numbers.
async fn meters(api: &Api) -> Value {
    let description = json!({ "usim": { "spn": "Meters" } });
    let template = json!({
        "profileType": "meters",
        "description": description,
        "iccid": "8972499000000000100",
        "imsi": "724990000000100",
    });
    api.post(TEMPLATES, template).await
}

/// Returns the digits of an ICCID with its check digit.
fn iccid(digits: &str) -> String {
    Iccid::with_luhn(digits).unwrap().to_string()
}

#[tokio::test]
async fn an_order_without_an_available_profile_gets_the_next_profile_of_the_template() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    let stored = meters(&api).await;
    assert_eq!(api.get(&format!("{TEMPLATES}/meters")).await, stored);
    assert_eq!(api.get(TEMPLATES).await, json!([stored]));
    let first = api.post(ORDERS, json!({ "profileType": "meters" })).await;
    assert_eq!(first["iccid"], iccid("8972499000000000100"));
    assert_eq!(first["subscriber"]["imsi"], "724990000000100");
    assert_eq!(first["subscriber"]["home"], "724-99");
    let profile = api.get(&format!("/admin/v1/stock/{}", iccid("8972499000000000100"))).await;
    assert_eq!((&profile["profileType"], &profile["state"]), (&json!("meters"), &json!("Released")));
    assert_eq!(profile["serviceProviderName"], "Meters");
    let second = api.post(ORDERS, json!({})).await;
    assert_eq!(second["iccid"], iccid("8972499000000000101"), "the first template is used by default");
    let key = |order: &Value| order["subscriber"]["keys"]["milenage"]["k"].as_str().unwrap().to_owned();
    assert_ne!(key(&first), key(&second));
    // A device can download it.
    let code = second["matchingId"].as_str().unwrap();
    testbed.euicc().download(&testbed.server, code, &testbed.euicc().one_time_key()).await;
    // An available profile is used first.
    api.delete(&format!("{ORDERS}/{}", iccid("8972499000000000100"))).await;
    let again = api.post(ORDERS, json!({ "profileType": "meters" })).await;
    assert_eq!((&again["iccid"], key(&again)), (&first["iccid"], key(&first)));
}

#[tokio::test]
async fn profiles_of_a_template_have_the_metadata_of_its_description() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    let metadata = json!({
        "service-provider-name": "Meters Ltd",
        "profile-name": "Gas meter",
        "class": "provisioning",
        "icon": "89504E47",
        "policy-rules": ["disable-not-allowed"],
        "notifications": [{ "address": "notifications.example" }],
        "fallback-allowed": true,
    });
    let template = json!({ "profileType": "meters", "description": { "metadata": metadata } });
    api.post(TEMPLATES, template).await;
    let code = api.post(ORDERS, json!({ "profileType": "meters" })).await["matchingId"].clone();
    let code = code.as_str().unwrap();
    let metadata = testbed.euicc().try_authenticate(&testbed.server, code).await.done().profile_metadata;
    assert_eq!(metadata.service_provider_name, "Meters Ltd");
    assert_eq!(metadata.profile_name, "Gas meter");
    assert_eq!(metadata.profile_class, Some(ProfileClass::PROVISIONING));
    assert_eq!(metadata.icon.as_deref(), Some(&hex::decode("89504E47").unwrap()[..]));
    assert!(metadata.profile_policy_rules.is_some());
    let addresses = metadata.notification_configuration_info.unwrap();
    assert_eq!(addresses.first().unwrap().notification_address, "notifications.example");
    assert_eq!((metadata.fallback_allowed, metadata.ecall_indication), (Some(true), None));
}

#[tokio::test]
async fn the_subscriber_in_the_reply_is_the_one_in_the_package() {
    let personalised = Arc::new(Mutex::new(Vec::new()));
    let packages = Arc::clone(&personalised);
    let testbed = Testbed::with(|config| {
        let hook = move |package: &[u8]| packages.lock().unwrap().push(package.to_vec());
        config.personalised_hook = Some(PersonalisedHook::new(hook));
    });
    let api = Api::of(&testbed).await;
    meters(&api).await;
    let order = api.post(ORDERS, json!({ "profileType": "meters" })).await;
    let packages = personalised.lock().unwrap().clone();
    let [package] = packages.as_slice() else { panic!("{} profiles", packages.len()) };
    let package = Package::decode(package).unwrap();
    let installed = InstalledProfile::of(&package, &Capabilities::default()).unwrap();
    let aka = installed.facts.aka.first().unwrap();
    let keys = json!({ "k": aka.key, "opc": aka.opc });
    assert_eq!(order["subscriber"]["keys"], json!({ "milenage": keys }));
    assert_eq!(order["subscriber"]["imsi"], installed.usim().unwrap().imsi().unwrap().to_string());
    assert!(api.get(ORDERS).await[0].get("subscriber").is_none(), "only the first reply has keys");
}

#[tokio::test]
async fn an_operator_orders_by_type_without_end() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    let operator = testbed.operator();
    let unknown = operator.download_order(&testbed.server, None, Some("meters"), None).await.refused();
    assert_eq!(unknown, Status::ProfileTypeUnknown);
    meters(&api).await;
    for number in 100..103 {
        let ordered = operator.download_order(&testbed.server, None, Some("meters"), None).await.done();
        assert_eq!(ordered.iccid.to_string(), iccid(&format!("8972499000000000{number}")));
    }
    api.delete(&format!("{TEMPLATES}/meters")).await;
    let none = operator.download_order(&testbed.server, None, Some("meters"), None).await.refused();
    assert_eq!(none, Status::ProfileTypeUnavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_orders_get_different_profiles() {
    const ORDERED: usize = 50;
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    meters(&api).await;
    let orders: Vec<_> = (0..ORDERED)
        .map(|_| {
            let link = api.link.clone();
            tokio::spawn(async move { world::send(&link, post(ORDERS, "{}")).await.unwrap() })
        })
        .collect();
    let (mut iccids, mut imsis) = (BTreeSet::new(), BTreeSet::new());
    for order in orders {
        let response = order.await.unwrap();
        let order: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(response.status(), StatusCode::CREATED, "{order}");
        iccids.insert(order["iccid"].as_str().unwrap().to_owned());
        imsis.insert(order["subscriber"]["imsi"].as_str().unwrap().to_owned());
    }
    assert_eq!((iccids.len(), imsis.len()), (ORDERED, ORDERED));
    let next = api.post(ORDERS, json!({})).await;
    assert_eq!(next["iccid"], iccid("8972499000000000150"), "no number was lost");
}

#[tokio::test]
async fn no_number_is_used_twice() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    meters(&api).await;
    let ordered = async || api.post(ORDERS, json!({})).await["iccid"].as_str().unwrap().to_owned();
    let first = ordered().await;
    // Neither if the profile is deleted, nor if the template is stored again.
    api.delete(&format!("/admin/v1/stock/{first}")).await;
    assert_eq!(ordered().await, iccid("8972499000000000101"));
    api.delete(&format!("{TEMPLATES}/meters")).await;
    meters(&api).await;
    assert_eq!(ordered().await, iccid("8972499000000000102"));
    // A profile with the next ICCID that was added by other means is skipped.
    api.delete(&format!("{TEMPLATES}/meters")).await;
    let other = json!({ "profileType": "others", "iccid": "8972499000000000101", "imsi": "724990000000500" });
    api.post(TEMPLATES, other).await;
    assert_eq!(ordered().await, iccid("8972499000000000103"));
}

#[tokio::test]
async fn a_package_becomes_a_template_with_new_numbers_and_keys() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    let subscription = Subscription {
        iccid: ICCID.parse::<Iccid>().unwrap().to_profile_header(),
        key: [7; 16],
        opc: [9; 16],
        operator_name: "Original".to_owned(),
        ..Subscription::default()
    };
    let package = base64(&generic(&subscription).encode());
    api.post("/admin/v1/stock", json!({ "package": package })).await;
    let original = api.post(ORDERS, json!({ "iccid": ICCID })).await;
    assert_eq!(original["subscriber"]["imsi"], "001010000000001");
    api.post(TEMPLATES, json!({ "package": package, "profileType": "new" })).await;
    let made = api.post(ORDERS, json!({ "profileType": "new" })).await;
    assert_eq!(made["iccid"], iccid("8972499000000100000"), "the default series");
    assert_eq!(made["subscriber"]["imsi"], "724990000100000");
    assert_ne!(made["subscriber"]["keys"], original["subscriber"]["keys"]);
    let profile = api.get(&format!("/admin/v1/stock/{}", iccid("8972499000000100000"))).await;
    assert_eq!(profile["serviceProviderName"], "Original");
    let same = json!({ "package": package, "profileType": "same", "sameKeys": true });
    api.post(TEMPLATES, same).await;
    let made = api.post(ORDERS, json!({ "profileType": "same" })).await;
    assert_eq!(made["iccid"], iccid("8972499000000100001"), "templates with the same series share it");
    assert_eq!(made["subscriber"]["keys"], original["subscriber"]["keys"]);
}

#[tokio::test]
async fn an_unusable_template_is_refused_with_the_reason() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    for (body, reason) in [
        (json!({ "profileType": "" }), "the profile type is empty"),
        (json!({ "iccid": "89x" }), "\"89x\" is not a number"),
        (json!({ "imsi": "7249900001000001" }), "imsi"),
        (json!({ "description": { "imsi": "724990000000001", "mnc-digits": 4 } }), "2 or 3 digits"),
        (json!({ "description": { "authentication": { "ki": "00" } } }), "the same ki"),
        (json!({ "description": {}, "package": "" }), "a description and a package"),
        (json!({ "package": "AAAA" }), "not a profile package"),
        (json!({ "description": { "no-such-term": 1 } }), "no-such-term"),
    ] {
        let refused = api.refused(post(TEMPLATES, &body.to_string()), StatusCode::BAD_REQUEST).await;
        assert!(refused.to_lowercase().contains(&reason.to_lowercase()), "{body}: {refused}");
    }
    meters(&api).await;
    let again = json!({ "profileType": "meters" }).to_string();
    let refused = api.refused(post(TEMPLATES, &again), StatusCode::CONFLICT).await;
    assert!(refused.contains("has a template already"), "{refused}");
    let (status, _) = api.call(Method::DELETE, &format!("{TEMPLATES}/others"), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let refused = post(ORDERS, &json!({ "profileType": "others" }).to_string());
    let refused = api.refused(refused, StatusCode::CONFLICT).await;
    assert!(refused.contains("the type has no template"), "{refused}");
}

#[tokio::test]
async fn a_template_with_numbers_in_other_places_is_refused() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    let iccid = ICCID.parse::<Iccid>().unwrap();
    let subscription = Subscription { iccid: iccid.to_profile_header(), ..Subscription::default() };
    let header = hex::encode_upper(subscription.iccid);
    let elements = serde_json::to_string(&generic(&subscription).elements).unwrap();
    let imsi = "080910100000000010";
    // The header, EF-ICCID and EF-IMSI with a fixed number or with that of the order. The type of the
    // profile has the number that is in no other place.
    for (header_iccid, ef_iccid, ef_imsi, other) in
        [(&*header, "{ef-iccid}", "{ef-imsi}", ""), ("{iccid}", "{ef-iccid}", imsi, "{ef-imsi}")]
    {
        let mut elements = elements.clone();
        for (from, to) in [
            (&*header, header_iccid),
            (&*hex::encode_upper(iccid.0), ef_iccid),
            (imsi, ef_imsi),
            ("Landfall generic", other),
        ] {
            assert!(elements.contains(&format!("\"{from}\"")), "{from}: {elements}");
            elements = elements.replace(&format!("\"{from}\""), &format!("\"{to}\""));
        }
        let elements: Value = serde_json::from_str(&elements).unwrap();
        let body = json!({ "profileType": "fixed", "description": { "element": elements } });
        let refused = api.refused(post(TEMPLATES, &body.to_string()), StatusCode::BAD_REQUEST).await;
        assert!(refused.contains("ICCID or IMSI in a part that cannot be personalised"), "{refused}");
    }
}

#[tokio::test]
async fn an_exhausted_series_refuses_the_order_with_the_reason() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    let last = json!({ "profileType": "last", "imsi": "999999999999999" });
    api.post(TEMPLATES, last).await;
    api.post(ORDERS, json!({})).await;
    let refused = api.refused(post(ORDERS, "{}"), StatusCode::CONFLICT).await;
    assert!(refused.contains("there are not enough numbers"), "{refused}");
    let refused =
        testbed.operator().download_order(&testbed.server, None, Some("last"), None).await.refused();
    assert_eq!(refused, Status::ProfileTypeUnavailable);
}

#[tokio::test]
async fn a_preset_template_is_stored_once_and_serves_preset_orders() {
    let testbed = Testbed::new();
    let template = NewTemplate::default();
    let stored = testbed.server.ensure_template(&template).await.unwrap();
    assert!(matches!(&stored, Ensured::Created(_)), "{stored}");
    assert!(stored.to_string().starts_with("template \"Landfall generic\" begins with"), "{stored}");
    let kept = testbed.server.ensure_template(&template).await.unwrap();
    assert!(matches!(&kept, Ensured::Existing(_)), "{kept}");
    let order: NewOrder = serde_json::from_value(json!({ "matchingId": "PRESET" })).unwrap();
    let placed = testbed.server.ensure_order(&order).await.unwrap().into_inner();
    assert_eq!(placed.state, ProfileState::Released);
    assert_eq!(testbed.server.ensure_order(&order).await.unwrap(), Ensured::Existing(placed));
}
