//! Tests of rules while the platform runs: updates, and days of one IMEI.

use std::sync::{Arc, Mutex};

use fleet::{NewRules, Platform};
use http::{Method, StatusCode};
use serde_json::json;
use world::Fault;

use crate::{
    api::Api,
    testbed::{Testbed, at, bootstrap, eid},
};

/// Brazil allows ten days; the built-in rules allow 90.
const TEN_DAYS: &str = "[[rule]]\nid = 'ten-days'\ncountries = ['BR']\nkind = 'consecutive_days'\n\
                        limit_days = 10\nsource = 's'\nreviewed = '2026-11-25'\nconfidence = 'high'\n";
const NONE: &str = "";

fn new(rules: &str) -> NewRules {
    NewRules { rules: rules.to_owned(), dry_run: false }
}

/// A platform that keeps the text of its rules in memory.
fn keeping(platform: Platform) -> (Platform, Arc<Mutex<Vec<String>>>) {
    let kept = Arc::<Mutex<Vec<String>>>::default();
    let texts = Arc::clone(&kept);
    let keep = move |text: &str| {
        texts.lock().unwrap().push(text.to_owned());
        Ok(())
    };
    (platform.with_rules_kept_by(keep), kept)
}

#[tokio::test]
async fn the_next_check_in_uses_new_rules() {
    let mut testbed = Testbed::new(1).await.decided().await;
    let (platform, kept) = keeping(testbed.platform.clone());
    testbed.platform = platform;
    // Without a rule, the device does not move. The present rules move it: it is in Brazil for 90
    // days.
    let update = testbed.platform.update_rules(&new(NONE)).await.unwrap();
    assert!(update.replaced && update.diff.removed.iter().any(|id| id.to_string() == "br-90-in-365"));
    let report = testbed.check_in_of(0, &[bootstrap(0)]);
    assert_eq!(testbed.check_in(&report).await.what, fleet::Action::Nothing);

    let dry = NewRules { dry_run: true, ..new(TEN_DAYS) };
    let dry = testbed.platform.update_rules(&dry).await.unwrap();
    assert!(!dry.replaced);
    assert_eq!(testbed.check_in(&report).await.what, fleet::Action::Nothing);

    let update = testbed.platform.update_rules(&new(TEN_DAYS)).await.unwrap();
    let effect = update.effect.unwrap();
    assert_eq!((effect.affected[0].eid, &*effect.affected[0].after.decision), (eid(0), "move"));
    assert_eq!(testbed.sm_dp.0.lock().unwrap().calls, Vec::<String>::new());
    let fleet::Action::Move { .. } = testbed.check_in(&report).await.what else {
        panic!("the device does not move")
    };
    assert_eq!(*kept.lock().unwrap(), [NONE, TEN_DAYS]);
}

#[tokio::test]
async fn rules_that_are_invalid_or_cannot_be_kept_change_nothing() {
    let mut testbed = Testbed::new(1).await.decided().await;
    let api = Api::of(&testbed).await;
    let put = |rules: &str| api.call(Method::PUT, "/v1/rules", Some(json!({ "rules": rules })));
    let before = api.get("/v1/rules").await;
    assert!(before.as_array().unwrap().iter().any(|rule| rule["id"] == "br-90-in-365"));
    let (status, problem) = put(TEN_DAYS).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    let (status, problem) = put("[[rule]]\nid = 'bad'\n").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
    assert!(problem["why"].as_str().unwrap().contains("line"), "{problem}");

    let full = |_: &str| Err(Fault::new("cannot write the rules", "the disk is full", "free some space"));
    testbed.platform = testbed.platform.with_rules_kept_by(full);
    let (status, _) = put(TEN_DAYS).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(api.get("/v1/rules").await, before);
}

#[tokio::test]
async fn a_survey_after_an_update_uses_the_new_rules() {
    let testbed = Testbed::new(1).await.decided().await;
    let (platform, _) = keeping(testbed.platform.clone());
    platform.due().await.unwrap();
    platform.update_rules(&new(NONE)).await.unwrap();
    testbed.later(48);
    platform.due().await.unwrap();
    let report = testbed.check_in_of(0, &[bootstrap(0)]);
    assert_eq!(testbed.check_in(&report).await.what, fleet::Action::Nothing);
}

#[tokio::test]
async fn the_days_of_a_replaced_card_count_for_the_card_in_the_same_equipment() {
    const BY_IMEI: &str = "[[rule]]\nid = 'by-imei'\ncountries = ['BR']\nkind = 'days_in_period'\n\
                           limit_days = 90\nwindow_days = 120\ncounted_by = 'imei'\nsource = 's'\n\
                           reviewed = '2026-11-25'\nconfidence = 'high'\n";
    for (same_imei, moves) in [(true, true), (false, false)] {
        let testbed = Testbed::new(2).await.decided().await;
        let (platform, _) = keeping(testbed.platform.clone());
        platform.update_rules(&new(BY_IMEI)).await.unwrap();
        let imei = "350000000000001";
        // Both cards were recorded without IMEI. The first is in Brazil since the first of August;
        // the second one has not been there yet.
        let mut second = testbed.device(1).await;
        second.connection.history = localize::History::default();
        testbed.put(&second).await;
        let report = |number: u32, imei: &str| {
            let mut report = testbed.check_in_of(number, &[bootstrap(number)]);
            report.registered.as_mut().unwrap().imei = imei.parse().ok();
            report
        };
        // The card reports the IMEI, and is taken out of service.
        testbed.clock.advance(std::time::Duration::from_secs(1));
        platform.check_in(&report(0, imei)).await.unwrap();
        assert_eq!(testbed.device(0).await.connection.history.stays()[0].from, at("2026-08-01T00:00:00Z"));
        platform.retire(eid(0)).await.unwrap();
        testbed.later(25);
        platform.due().await.unwrap();
        let other = if same_imei { imei } else { "350000000000002" };
        let instruction = platform.check_in(&report(1, other)).await.unwrap();
        let is_move = matches!(instruction.what, fleet::Action::Move { .. });
        assert_eq!(is_move, moves, "{instruction:?}");
        assert_eq!(testbed.device(1).await.connection.other_cards, [], "they are not stored");
    }
}
