//! Tests of campaigns: canaries, stop conditions, windows, retries and commands of the owner.

use std::collections::BTreeMap;

use fleet::{
    CampaignSpec, Canary, Destination, DeviceEvent, Devices, Discrepancy, MemberState, MemberStatus, Plan,
    Retries, Selection, Setup, Share, Stop, Weekday, Window, violations,
};

use crate::testbed::{
    Agent, HOME, LOCAL, MoveResult, Testbed, at, bootstrap, campaign, eid, plmn, roamer, setup,
};

async fn all(testbed: &Testbed, agents: &mut [Agent], result: impl Fn(u32) -> MoveResult) {
    for agent in agents {
        agent.settle(testbed, result(agent.number)).await;
    }
}

fn agents(number: u32) -> Vec<Agent> {
    (0..number).map(Agent::new).collect()
}

#[tokio::test]
async fn a_failed_canary_stops_the_campaign_before_other_devices_begin() {
    let testbed = Testbed::new(10).await;
    let canary = Canary { devices: Share::Percent(20), wait_hours: 48 };
    let stop = Stop { failed_percent: Some(50), ..Stop::default() };
    testbed.run(&CampaignSpec { canary: Some(canary), stop, ..campaign("c") }).await;
    let mut devices = agents(10);
    all(&testbed, &mut devices, |number| if number == 0 { MoveResult::Moves } else { MoveResult::ComesBack })
        .await;
    let current = testbed.campaign("c").await;
    assert_eq!(current.progress.begun, 2, "two canaries of ten");
    assert!(current.state.to_string().contains("1 of 2 attempts failed"), "{}", current.state);
    testbed.later(24);
    all(&testbed, &mut devices, |_| MoveResult::Moves).await;
    assert_eq!(testbed.campaign("c").await.progress.begun, 2, "a stopped campaign begins nothing");

    // An operator has checked the failures and accepts the risk.
    testbed.platform.resume_campaign(&"c".parse().unwrap()).await.unwrap();
    assert_eq!(testbed.campaign("c").await.state.word(), "running", "the canaries are not repeated");
    testbed.later(24);
    all(&testbed, &mut devices, |_| MoveResult::Moves).await;
    let current = testbed.campaign("c").await;
    assert_eq!((current.progress.moved, current.progress.came_back), (9, 1));
    assert_eq!(current.state.word(), "done");
}

#[tokio::test]
async fn other_devices_follow_after_the_observation_time_of_the_canaries() {
    let testbed = Testbed::new(5).await;
    let canary = Canary { devices: Share::Count(1), wait_hours: 48 };
    testbed.run(&CampaignSpec { canary: Some(canary), ..campaign("c") }).await;
    let mut devices = agents(5);
    all(&testbed, &mut devices, |_| MoveResult::Moves).await;
    testbed.later(24);
    all(&testbed, &mut devices, |_| MoveResult::Moves).await;
    assert_eq!(testbed.campaign("c").await.progress.begun, 1, "the canary is observed for two days");
    assert!(testbed.platform.due().await.unwrap() <= at("2026-10-31T08:00:00Z"));
    assert_eq!(testbed.campaign("c").await.state.word(), "canary");
    testbed.later(24);
    testbed.platform.due().await.unwrap();
    assert_eq!(testbed.campaign("c").await.state.word(), "running", "without a check-in");
    all(&testbed, &mut devices, |_| MoveResult::Moves).await;
    assert_eq!(testbed.campaign("c").await.state.word(), "done");
}

#[tokio::test]
async fn lost_canaries_stop_the_campaign() {
    let testbed = Testbed::new(5).await;
    let canary = Canary { devices: Share::Count(1), wait_hours: 0 };
    testbed.run(&CampaignSpec { canary: Some(canary), stop: Stop::default(), ..campaign("c") }).await;
    let mut devices = agents(5);
    all(&testbed, &mut devices, |_| MoveResult::Vanishes).await;
    testbed.later(49);
    testbed.platform.due().await.unwrap();
    let current = testbed.campaign("c").await;
    assert_eq!((current.progress.lost, current.progress.begun), (1, 1));
    assert!(current.state.to_string().contains("none of the canaries moved"), "{}", current.state);
    assert_eq!(testbed.device(0).await.state.word(), "unreachable");
}

#[tokio::test]
async fn too_many_failures_or_losses_stop_a_campaign() {
    for (result, stop, begun) in [
        (MoveResult::ComesBack, Stop { failed_percent: Some(30), after: 3, lost: None }, 3),
        (MoveResult::Fails, Stop { failed_percent: Some(30), after: 4, lost: None }, 4),
        (MoveResult::ComesBack, Stop { failed_percent: None, after: 1, lost: Some(1) }, 6),
    ] {
        let testbed = Testbed::new(6).await;
        testbed.run(&CampaignSpec { stop, ..campaign("c") }).await;
        all(&testbed, &mut agents(6), |_| result).await;
        assert_eq!(testbed.campaign("c").await.progress.begun, begun, "{result:?}, {stop:?}");
    }
    let testbed = Testbed::new(6).await;
    testbed.run(&CampaignSpec { stop: Stop { lost: Some(2), ..Stop::default() }, ..campaign("c") }).await;
    all(&testbed, &mut agents(3), |_| MoveResult::Vanishes).await;
    testbed.later(49);
    testbed.platform.due().await.unwrap();
    let current = testbed.campaign("c").await.state.to_string();
    assert!(current.starts_with("stopped") && current.contains("2 devices were lost"), "{current}");
}

#[tokio::test]
async fn moves_begin_only_in_windows_and_devices_get_appointments() {
    let testbed = Testbed::new(3).await;
    let nights = Window { days: vec![Weekday::Sat], from_hour: 22, until_hour: 2 };
    testbed.run(&CampaignSpec { windows: vec![nights], ..campaign("c") }).await;
    let mut devices = agents(3);
    // It is a Thursday, and the next window opens after the maximum check-in interval.
    for day in 0..3 {
        all(&testbed, &mut devices, |_| MoveResult::Moves).await;
        assert_eq!(testbed.campaign("c").await.progress.begun, 0, "day {day}");
        testbed.later(if day == 2 { 0 } else { 24 });
    }
    let next: Vec<String> = devices.iter().map(|agent| agent.next.unwrap().to_string()).collect();
    assert_eq!(next, ["2026-10-31T22:00:00Z", "2026-10-31T22:00:01Z", "2026-10-31T22:00:02Z"]);
    testbed.later(14);
    devices[0].settle(&testbed, MoveResult::Moves).await;
    assert_eq!(testbed.campaign("c").await.progress.begun, 1);
}

#[tokio::test]
async fn retries_are_delayed_and_limited() {
    // The other device keeps the campaign running. Only a standing campaign tries again after the
    // rest days.
    let testbed = Testbed::new(2).await;
    let retries = Retries { times: 2, after_hours: 3, rest_days: 1 };
    testbed.run(&CampaignSpec { retries, ..campaign("c") }).await;
    let mut device = Agent::new(0);
    let mut begun = Vec::new();
    for _ in 0..48 {
        if device.settle(&testbed, MoveResult::Fails).await > 0 {
            begun.push(testbed.now().to_string());
        }
        testbed.later(1);
    }
    assert_eq!(begun, ["2026-10-29T08:00:00Z", "2026-10-29T11:00:00Z", "2026-10-29T17:00:00Z"]);
    let shown = testbed.platform.campaign(&"c".parse().unwrap()).await.unwrap();
    assert!(matches!(shown.devices[0].state, MemberStatus::BetweenMoves(MemberState::Failed { .. })));
    assert_eq!(shown.campaign.state.word(), "running");
    Agent::new(1).settle(&testbed, MoveResult::Moves).await;
    assert_eq!(testbed.campaign("c").await.state.word(), "done");
}

#[tokio::test]
async fn a_standing_campaign_tries_again_after_its_rest_days() {
    let testbed = Testbed::new(1).await;
    let retries = Retries { times: 0, after_hours: 1, rest_days: 5 };
    testbed.run(&CampaignSpec { retries, ..CampaignSpec::decided("s".parse().unwrap()) }).await;
    let mut device = Agent::new(0);
    let mut days = Vec::new();
    for day in 0..12 {
        if device.settle(&testbed, MoveResult::Fails).await > 0 {
            days.push(day);
        }
        testbed.later(24);
    }
    assert_eq!(days, [0, 5, 10]);
    let progress = testbed.campaign("s").await.progress;
    assert_eq!((progress.devices, progress.started, progress.settled, progress.finished), (1, 1, 1, 1));
}

#[tokio::test]
async fn a_campaign_can_be_paused_and_resumed() {
    let testbed = Testbed::new(4).await;
    testbed.run(&campaign("c")).await;
    let id = "c".parse().unwrap();
    let mut devices = agents(4);
    devices[0].settle(&testbed, MoveResult::Moves).await;
    devices[1].wake(&testbed, MoveResult::Moves).await.unwrap();
    testbed.platform.pause_campaign(&id, "Ada").await.unwrap();
    all(&testbed, &mut devices[2..], |_| MoveResult::Moves).await;
    let problem = testbed.platform.remove_campaign(&id).await.unwrap_err();
    assert!(problem.to_string().contains("wait until no moves are under way"), "{problem}");
    // Moves under way end.
    devices[1].settle(&testbed, MoveResult::Moves).await;
    let current = testbed.campaign("c").await;
    assert_eq!((current.progress.begun, current.progress.moved), (2, 2));
    assert_eq!(current.state.to_string(), "paused by Ada since 2026-10-29T08:00:00Z");
    assert!(testbed.platform.pause_campaign(&id, "Ada").await.is_err());
    testbed.platform.resume_campaign(&id).await.unwrap();
    assert!(testbed.platform.resume_campaign(&id).await.is_err());
    testbed.later(24);
    all(&testbed, &mut devices, |_| MoveResult::Moves).await;
    assert_eq!(testbed.campaign("c").await.state.word(), "done");
}

#[tokio::test]
async fn a_rollback_returns_devices_to_their_former_profiles() {
    let testbed = Testbed::new(4).await;
    testbed.run(&campaign("c")).await;
    let id = "c".parse().unwrap();
    let mut devices = agents(4);
    all(&testbed, &mut devices[..2], |_| MoveResult::Moves).await;
    devices[2].wake(&testbed, MoveResult::Moves).await.unwrap();
    testbed.platform.roll_back_campaign(&id).await.unwrap();
    assert!(testbed.platform.roll_back_campaign(&id).await.is_err());
    testbed.later(24);
    all(&testbed, &mut devices, |_| MoveResult::Moves).await;
    testbed.later(24);
    all(&testbed, &mut devices, |_| MoveResult::Moves).await;
    for agent in &devices {
        assert_eq!(agent.profiles[0], bootstrap(agent.number));
    }
    let current = testbed.campaign("c").await;
    assert_eq!((current.progress.rolled_back, current.progress.to_roll_back), (3, 0));
    assert_eq!(current.state.word(), "rolled back");
    assert_eq!(current.progress.finished, 4);
    testbed.platform.remove_campaign(&id).await.unwrap();
    assert!(testbed.platform.campaigns().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_rolled_back_campaign_counts_the_moves_there_and_back_separately() {
    let testbed = Testbed::new(4).await;
    let retries = Retries { times: 2, after_hours: 1, rest_days: 7 };
    testbed.run(&CampaignSpec { retries, ..campaign("c") }).await;
    let mut devices = agents(4);
    all(&testbed, &mut devices[..2], |_| MoveResult::Moves).await;
    // The last two devices fail once, and wait for their retries.
    all(&testbed, &mut devices[2..], |_| MoveResult::ComesBack).await;
    let id = "c".parse().unwrap();
    testbed.platform.roll_back_campaign(&id).await.unwrap();
    testbed.later(24);
    all(&testbed, &mut devices, |_| MoveResult::Moves).await;
    assert_eq!(violations(&*testbed.records).await.unwrap(), [] as [String; 0]);
    let shown = testbed.platform.campaign(&id).await.unwrap();
    let progress = shown.campaign.progress;
    assert_eq!(shown.campaign.state.word(), "rolled back");
    assert_eq!((progress.moved, progress.returned, progress.rolled_back, progress.came_back), (2, 2, 2, 2));
    assert_eq!((progress.begun, progress.ended()), (6, 6));
    let tries: Vec<u32> = shown.devices.iter().map(|device| device.tries).collect();
    assert_eq!(tries, [2, 2, 1, 1], "attempts there and back");
    for failed in &shown.devices[2..] {
        assert!(failed.state.to_string().contains("simulated by the test"), "{}", failed.state);
    }
}

#[tokio::test]
async fn a_moved_device_shows_the_number_of_its_attempts() {
    let testbed = Testbed::new(1).await;
    testbed.run(&CampaignSpec { retries: Retries { times: 1, ..Retries::default() }, ..campaign("c") }).await;
    let id = "c".parse().unwrap();
    let tries = async || testbed.platform.campaign(&id).await.unwrap().devices[0].tries;
    let mut device = Agent::new(0);
    assert_eq!(tries().await, 0);
    device.settle(&testbed, MoveResult::Fails).await;
    assert_eq!(tries().await, 1);
    testbed.later(24);
    device.settle(&testbed, MoveResult::Moves).await;
    assert_eq!(tries().await, 2);
}

/// The device enables the profile of the campaign without an instruction, after the end of the
/// rollback.
#[tokio::test]
async fn an_enabled_profile_of_a_rolled_back_campaign_is_found() {
    let testbed = Testbed::new(1).await;
    testbed.run(&campaign("c")).await;
    let id = "c".parse().unwrap();
    let mut device = Agent::new(0);
    device.settle(&testbed, MoveResult::ComesBack).await;
    assert_eq!(device.profiles.len(), 2, "the profile is on the card, and not enabled");
    testbed.platform.roll_back_campaign(&id).await.unwrap();
    assert_eq!(testbed.campaign("c").await.state.word(), "rolled back");
    device.profiles.swap(0, 1);
    let enabled = device.profiles[0];
    testbed.later(24);
    device.settle(&testbed, MoveResult::Moves).await;
    let trail = testbed.device(0).await.trail;
    let found = DeviceEvent::Found(Discrepancy::OtherEnabled { iccid: Some(enabled) });
    assert!(trail.entries().iter().any(|entry| entry.event == found), "{trail:?}");
}

#[tokio::test]
async fn a_refused_order_counts_as_not_installed_in_campaign_and_device() {
    let testbed = Testbed::new(1).await;
    testbed.run(&campaign("c")).await;
    testbed.sm_dp.0.lock().unwrap().empty = true;
    let mut device = Agent::new(0);
    device.settle(&testbed, MoveResult::Moves).await;
    let progress = testbed.campaign("c").await.progress;
    assert_eq!((progress.came_back, progress.not_installed), (0, 1));
    let record = testbed.device(0).await;
    assert_eq!((record.tally.came_back, record.tally.not_installed), (0, 1));
    let trail = record.trail.entries().iter().map(|entry| entry.event.to_string()).collect::<Vec<_>>();
    assert!(trail.iter().any(|event| event.starts_with("not installed: ")), "{trail:?}");
}

/// The only operator with an offer has refused the subscription. The reason is this refusal, and not
/// a missing offer.
#[tokio::test]
async fn a_device_stuck_after_a_refusal_names_the_operator_and_the_cause() {
    let testbed = Testbed::new(1).await.decided().await;
    let mut report = testbed.check_in_of(0, &[bootstrap(0)]);
    let is_stuck = |entry: &&fleet::TrailEntry| matches!(entry.event, DeviceEvent::Stuck { .. });
    // A reason is recorded once. A new one replaces it.
    for (cause, times) in [("#2 IMSI unknown in HSS", 1), ("#2 IMSI unknown in HSS", 1), ("#3 Illegal MS", 2)]
    {
        report.refused = vec![fleet::RefusedBy { network: plmn(LOCAL), cause: cause.into() }];
        testbed.check_in(&report).await;
        let device = testbed.device(0).await;
        let state = device.state.to_string();
        assert!(state.contains(&format!("network 724-02 refused the device ({cause})")), "{state}");
        assert!(!state.contains("add an offer"), "{state}");
        assert_eq!(device.trail.entries().iter().filter(is_stuck).count(), times, "{cause}");
    }
    // At home, it does not have to move.
    report.registered.as_mut().unwrap().network = plmn(HOME);
    report.refused.clear();
    testbed.check_in(&report).await;
    assert_eq!(testbed.device(0).await.state.word(), "working");
}

#[tokio::test]
async fn a_device_is_stuck_if_nobody_supplies_the_offered_profile() {
    let testbed = Testbed::new(1).await;
    let setup = Setup { suppliers: BTreeMap::new(), ..setup(&testbed.sm_dp) };
    let testbed = Testbed::set_up(testbed.records, testbed.clock, testbed.sm_dp, 1, setup).decided().await;
    testbed.check_in(&testbed.check_in_of(0, &[bootstrap(0)])).await;
    let state = testbed.device(0).await.state.to_string();
    assert!(state.contains("no supplier is configured for profiles of network 724-02"), "{state}");
}

#[tokio::test]
async fn a_rollback_does_not_wait_for_a_device_that_was_retired_after_its_move() {
    let testbed = Testbed::new(2).await;
    testbed.run(&campaign("c")).await;
    let mut devices = agents(2);
    all(&testbed, &mut devices, |_| MoveResult::Moves).await;
    testbed.platform.retire(eid(0)).await.unwrap();
    testbed.platform.roll_back_campaign(&"c".parse().unwrap()).await.unwrap();
    assert_eq!(violations(&*testbed.records).await.unwrap(), [] as [String; 0]);
    testbed.later(24);
    all(&testbed, &mut devices[1..], |_| MoveResult::Moves).await;
    let current = testbed.campaign("c").await;
    assert_eq!((current.state.word(), current.progress.rolled_back), ("rolled back", 1));
}

#[tokio::test]
async fn a_rollback_does_not_move_a_device_that_is_back_on_its_own() {
    for spec in [campaign("c"), CampaignSpec::decided("c".parse().unwrap())] {
        let testbed = Testbed::new(1).await;
        testbed.run(&spec).await;
        let mut device = Agent::new(0);
        device.settle(&testbed, MoveResult::Moves).await;
        device.profiles.swap(0, 1);
        testbed.platform.roll_back_campaign(&spec.id).await.unwrap();
        testbed.later(24);
        assert_eq!(device.settle(&testbed, MoveResult::Moves).await, 0);
        let current = testbed.campaign("c").await;
        assert_eq!((current.state.word(), current.progress.rolled_back), ("rolled back", 1));
    }
}

#[tokio::test]
async fn a_failed_rollback_is_retried_and_can_be_paused() {
    let testbed = Testbed::new(1).await;
    testbed.run(&CampaignSpec { retries: Retries { times: 1, ..Retries::default() }, ..campaign("c") }).await;
    let id = "c".parse().unwrap();
    let mut device = Agent::new(0);
    device.settle(&testbed, MoveResult::Moves).await;
    testbed.platform.roll_back_campaign(&id).await.unwrap();
    testbed.later(24);
    device.settle(&testbed, MoveResult::ComesBack).await;
    testbed.platform.pause_campaign(&id, "Ada").await.unwrap();
    testbed.later(24);
    assert_eq!(device.settle(&testbed, MoveResult::Moves).await, 0);
    assert_eq!(testbed.platform.resume_campaign(&id).await.unwrap().state.word(), "rolling back");
    testbed.later(24);
    device.settle(&testbed, MoveResult::Moves).await;
    let current = testbed.campaign("c").await;
    assert_eq!((current.state.word(), current.progress.rolled_back), ("rolled back", 1));
}

#[tokio::test]
async fn a_dry_run_matches_the_campaign() {
    let testbed = Testbed::new(2).await;
    let spec = campaign("c");
    let planned = testbed.platform.dry_run(&spec).await.unwrap();
    assert_eq!(planned.len(), 2);
    assert!(planned.iter().all(|planned| matches!(planned.plan, Plan::Move { .. })));
    assert!(testbed.platform.campaigns().await.unwrap().is_empty());
    assert!(testbed.sm_dp.0.lock().unwrap().calls.is_empty());
    testbed.run(&spec).await;
    let mut devices = agents(2);
    all(&testbed, &mut devices, |_| MoveResult::Moves).await;
    let planned = testbed.platform.dry_run(&spec).await.unwrap();
    assert!(planned.iter().all(|planned| matches!(planned.plan, Plan::Nothing { .. })));
    let elsewhere = CampaignSpec { target: Destination::Network(plmn("262-01")), ..campaign("d") };
    let planned = testbed.platform.dry_run(&elsewhere).await.unwrap();
    let [first, _] = &planned[..] else { panic!("{planned:?}") };
    let Plan::Stuck { why, .. } = &first.plan else { panic!("{first:?}") };
    assert!(why.contains("no profile of network 262-01"), "{why}");
}

#[tokio::test]
async fn a_campaign_has_the_devices_listed_or_selected_at_its_start() {
    let testbed = Testbed::new(4).await;
    let listed = Devices::Listed([eid(1), eid(3), eid(77)].into());
    testbed.run(&CampaignSpec { devices: listed, ..campaign("listed") }).await;
    assert_eq!(testbed.campaign("listed").await.progress.devices, 2, "the third is not part of the fleet");
    let selection = Selection { country: Some("DE".parse().unwrap()), ..Selection::default() };
    testbed.run(&CampaignSpec { devices: Devices::Selected(selection), ..campaign("germans") }).await;
    assert_eq!(testbed.campaign("germans").await.state.word(), "done", "no device is selected");
    let mut devices = agents(4);
    all(&testbed, &mut devices, |_| MoveResult::Moves).await;
    let moved: Vec<u32> = devices.iter().filter(|it| it.profiles.len() > 1).map(|it| it.number).collect();
    assert_eq!(moved, [1, 3]);
}

#[tokio::test]
async fn only_a_standing_campaign_includes_a_device_that_is_added_later() {
    for standing in [false, true] {
        let testbed = Testbed::new(1).await;
        let spec = if standing { CampaignSpec::decided("c".parse().unwrap()) } else { campaign("c") };
        testbed.run(&spec).await;
        testbed.put(&roamer(1)).await;
        let moves = Agent::new(1).settle(&testbed, MoveResult::Moves).await;
        assert_eq!(moves, u32::from(standing));
    }
}

#[tokio::test]
async fn a_device_retired_before_the_start_is_not_part_of_the_campaign() {
    let testbed = Testbed::new(2).await;
    let listed = CampaignSpec { devices: Devices::Listed([eid(0), eid(1)].into()), ..campaign("listed") };
    testbed.platform.create_campaign(&listed).await.unwrap();
    testbed.platform.retire(eid(0)).await.unwrap();
    testbed.platform.start_campaign(&listed.id).await.unwrap();
    let shown = testbed.platform.campaign(&listed.id).await.unwrap();
    assert_eq!(shown.devices.iter().map(|it| it.eid).collect::<Vec<_>>(), [eid(1)]);
    let progress = shown.campaign.progress;
    assert_eq!((progress.devices, progress.finished), (1, 0));
    assert_eq!(shown.campaign.state.word(), "running");
}

#[tokio::test]
async fn invalid_specifications_are_refused() {
    let testbed = Testbed::new(1).await;
    let pace = |per_hour, at_once| fleet::Pace { per_hour, at_once };
    let canary = |devices| Some(Canary { devices, wait_hours: 0 });
    let window = |from_hour, until_hour| vec![Window { days: vec![], from_hour, until_hour }];
    for bad in [
        CampaignSpec { pace: pace(Some(0), None), ..campaign("c") },
        CampaignSpec { pace: pace(None, Some(0)), ..campaign("c") },
        CampaignSpec { canary: canary(Share::Count(0)), ..campaign("c") },
        CampaignSpec { canary: canary(Share::Percent(101)), ..campaign("c") },
        CampaignSpec { canary: canary(Share::Percent(10)), ..CampaignSpec::decided("c".parse().unwrap()) },
        CampaignSpec { windows: window(24, 3), ..campaign("c") },
        CampaignSpec { windows: window(3, 25), ..campaign("c") },
        CampaignSpec { stop: Stop { failed_percent: Some(0), ..Stop::default() }, ..campaign("c") },
        CampaignSpec { stop: Stop { lost: Some(0), ..Stop::default() }, ..campaign("c") },
        CampaignSpec { standing: true, ..campaign("c") },
    ] {
        let problem = testbed.platform.create_campaign(&bad).await.unwrap_err();
        assert_eq!(problem.status.as_u16(), 400, "{problem}");
    }
    testbed.run(&campaign("c")).await;
    let problem = testbed.platform.create_campaign(&campaign("c")).await.unwrap_err();
    assert_eq!(problem.status.as_u16(), 409, "{problem}");
    assert!("Meters".parse::<fleet::CampaignId>().is_err());
    // A device that is no longer in the fleet does not hold up a campaign.
    testbed.platform.retire(eid(0)).await.unwrap();
    assert_eq!(testbed.campaign("c").await.state.word(), "done");
}

#[tokio::test]
async fn counts_are_right_after_a_rollback_and_a_retirement() {
    let testbed = Testbed::new(2).await;
    testbed.run(&campaign("c")).await;
    let id = "c".parse().unwrap();
    let mut devices = agents(2);
    all(&testbed, &mut devices, |_| MoveResult::Moves).await;
    testbed.platform.roll_back_campaign(&id).await.unwrap();
    testbed.later(24);
    all(&testbed, &mut devices, |_| MoveResult::Moves).await;
    testbed.platform.retire(eid(0)).await.unwrap();
    let progress = testbed.campaign("c").await.progress;
    assert_eq!((progress.devices, progress.settled, progress.finished), (2, 2, 2));
    assert_eq!((progress.rolled_back, progress.to_roll_back), (2, 0));
}

#[tokio::test]
async fn counts_are_right_after_a_failed_device_of_a_standing_campaign_is_put_off() {
    let testbed = Testbed::new(1).await;
    let retries = Retries { times: 0, after_hours: 1, rest_days: 1 };
    // After its rest on Sunday, the device is put off until the next Saturday.
    let windows = vec![Window { days: vec![Weekday::Sat], from_hour: 0, until_hour: 24 }];
    testbed.run(&CampaignSpec { retries, windows, ..CampaignSpec::decided("s".parse().unwrap()) }).await;
    let mut devices = agents(1);
    let mut finished = Vec::new();
    for _ in 0..24 {
        all(&testbed, &mut devices, |_| MoveResult::Fails).await;
        let progress = testbed.campaign("s").await.progress;
        finished.push((progress.begun, progress.finished));
        assert_eq!(violations(&*testbed.records).await.unwrap(), [] as [String; 0]);
        testbed.later(24);
    }
    finished.dedup();
    assert_eq!(finished, [(0, 0), (1, 1), (1, 0), (2, 1), (2, 0), (3, 1), (3, 0), (4, 1)]);
}
