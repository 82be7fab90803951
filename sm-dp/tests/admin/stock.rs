//! Tests of profiles in stock.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{ICCID, PROFILE_TYPE, Testbed};
use crate::{Api, base64, new_profile, post};

#[tokio::test]
async fn a_profile_can_be_added_shown_and_removed() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    assert_eq!(api.get("/admin/v1/stock").await, json!([]));
    let made = api.post("/admin/v1/stock", new_profile(ICCID)).await;
    assert_eq!(made["iccid"], ICCID);
    assert_eq!(made["state"], "Available");
    assert_eq!(made["profileType"], PROFILE_TYPE);
    assert_eq!(api.get("/admin/v1/stock").await, json!([made]));
    assert_eq!(api.get(&format!("/admin/v1/stock/{ICCID}")).await, made);
    // The profile is in the same stock as profiles that were added in another way.
    assert_eq!(testbed.profile().await.iccid.to_string(), ICCID);
    let (status, problem) = api.call(Method::POST, "/admin/v1/stock", Some(new_profile(ICCID))).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem["what"].as_str().unwrap().contains(ICCID), "{problem}");
    api.delete(&format!("/admin/v1/stock/{ICCID}")).await;
    for method in [Method::GET, Method::DELETE] {
        let (status, _) = api.call(method, &format!("/admin/v1/stock/{ICCID}"), None).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }
    api.post("/admin/v1/stock", new_profile(ICCID)).await;
}

#[tokio::test]
async fn the_options_of_a_new_profile_are_in_its_metadata() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    let mut new = new_profile(ICCID);
    let options = json!({
        "profileType": "gold",
        "serviceProviderName": "Provider",
        "profileName": "Name",
        "profileClass": "test",
        "profilePolicyRules": ["PPR1", "PPR2"],
        "icon": base64(b"a picture"),
        "iconType": "png",
        "notificationAddress": ["one.example", "two.example"],
        "protection": "ProfileProtectionKeys",
        "rebinding": "Refused",
    });
    new.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let made = api.post("/admin/v1/stock", new).await;
    for name in ["profileType", "serviceProviderName", "profileName", "protection", "rebinding"] {
        assert_eq!(made[name], options[name], "{name}");
    }
    let metadata = testbed.profile().await.metadata;
    assert_eq!(metadata.profile_class, Some(rsp::sgp22::ProfileClass::TEST));
    assert_eq!(metadata.profile_policy_rules.unwrap().ones(), [1, 2]);
    assert_eq!(metadata.icon_type, Some(rsp::sgp22::IconType::PNG));
    assert_eq!(metadata.icon.as_deref(), Some(b"a picture".as_slice()));
    let addresses = metadata.notification_configuration_info.unwrap();
    let addresses: Vec<_> =
        addresses.iter().map(|addresses| addresses.notification_address.as_str()).collect();
    assert_eq!(addresses, ["one.example", "two.example"]);
}

#[tokio::test]
async fn an_invalid_package_and_an_oversized_icon_are_refused() {
    let api = Api::of(&Testbed::new()).await;
    let add = |body: Value| post("/admin/v1/stock", &body.to_string());
    let why = api.refused(add(json!({ "package": "MAA=" })), StatusCode::BAD_REQUEST).await;
    assert!(why.contains("package"), "{why}");
    let mut new = new_profile(ICCID);
    new["icon"] = base64(&[0; 1025]);
    let why = api.refused(add(new.clone()), StatusCode::BAD_REQUEST).await;
    assert!(why.contains("iconType"), "{why}");
    new["iconType"] = json!("jpg");
    let why = api.refused(add(new.clone()), StatusCode::BAD_REQUEST).await;
    assert!(why.contains("1025") && why.contains("1024"), "{why}");
    new["icon"] = base64(&[0; 1024]);
    api.post("/admin/v1/stock", new).await;
}
