//! Campaigns: canaries, when they stop, windows, retries, and what a person commands.

use fleet::{
    Canary, Destination, Devices, MemberState, Plan, Retries, Selection, Share, Spec, Stop, Weekday, Window,
};

use crate::bench::{Agent, Bench, How, at, bootstrap, campaign, eid, plmn};

async fn all(bench: &Bench, agents: &mut [Agent], how: impl Fn(u32) -> How) {
    for agent in agents {
        agent.settle(bench, how(agent.number)).await;
    }
}

fn agents(number: u32) -> Vec<Agent> {
    (0..number).map(Agent::new).collect()
}

#[tokio::test]
async fn a_canary_that_fails_stops_the_campaign_before_the_others_begin() {
    let bench = Bench::new(10).await;
    let canary = Canary { devices: Share::Percent(20), wait_hours: 2 };
    let stop = Stop { failed_percent: Some(50), ..Stop::default() };
    bench.run(&Spec { canary: Some(canary), stop, ..campaign("c") }).await;
    let mut devices = agents(10);
    all(&bench, &mut devices, |number| if number == 0 { How::Moves } else { How::ComesBack }).await;
    let stands = bench.campaign("c").await;
    assert_eq!(stands.progress.begun, 2, "two canaries of ten");
    assert!(stands.state.to_string().contains("1 of 2 tries failed"), "{}", stands.state);
    bench.later(24);
    all(&bench, &mut devices, |_| How::Moves).await;
    assert_eq!(bench.campaign("c").await.progress.begun, 2, "a stopped campaign begins nothing");

    // Somebody has looked into it, and takes the risk.
    bench.platform.resume_campaign(&"c".parse().unwrap()).await.unwrap();
    bench.later(24);
    all(&bench, &mut devices, |_| How::Moves).await;
    let stands = bench.campaign("c").await;
    assert_eq!((stands.progress.moved, stands.progress.came_back), (9, 1));
    assert_eq!(stands.state.word(), "done");
}

#[tokio::test]
async fn the_others_follow_when_the_canaries_have_been_watched() {
    let bench = Bench::new(5).await;
    let canary = Canary { devices: Share::Count(1), wait_hours: 48 };
    bench.run(&Spec { canary: Some(canary), ..campaign("c") }).await;
    let mut devices = agents(5);
    all(&bench, &mut devices, |_| How::Moves).await;
    bench.later(24);
    all(&bench, &mut devices, |_| How::Moves).await;
    assert_eq!(bench.campaign("c").await.progress.begun, 1, "they are watched for two days");
    assert!(bench.platform.due().await.unwrap() <= at("2026-10-31T08:00:00Z"));
    bench.later(24);
    all(&bench, &mut devices, |_| How::Moves).await;
    assert_eq!(bench.campaign("c").await.state.word(), "done");
}

#[tokio::test]
async fn canaries_that_nobody_hears_of_hold_up_the_others() {
    let bench = Bench::new(5).await;
    let canary = Canary { devices: Share::Count(1), wait_hours: 0 };
    bench.run(&Spec { canary: Some(canary), stop: Stop::default(), ..campaign("c") }).await;
    let mut devices = agents(5);
    all(&bench, &mut devices, |_| How::Vanishes).await;
    bench.later(49);
    bench.platform.due().await.unwrap();
    let stands = bench.campaign("c").await;
    assert_eq!((stands.progress.lost, stands.progress.begun), (1, 1));
    assert!(stands.state.to_string().contains("none of the canaries moved"), "{}", stands.state);
    assert_eq!(bench.device(0).await.state.word(), "unreachable");
}

#[tokio::test]
async fn too_many_failures_or_losses_stop_a_campaign() {
    for (how, stop, begun) in [
        (How::ComesBack, Stop { failed_percent: Some(30), after: 3, lost: None }, 3),
        (How::Fails, Stop { failed_percent: Some(30), after: 4, lost: None }, 4),
        (How::ComesBack, Stop { failed_percent: None, after: 1, lost: Some(1) }, 6),
    ] {
        let bench = Bench::new(6).await;
        bench.run(&Spec { stop, ..campaign("c") }).await;
        all(&bench, &mut agents(6), |_| how).await;
        assert_eq!(bench.campaign("c").await.progress.begun, begun, "{how:?}, {stop:?}");
    }
    let bench = Bench::new(6).await;
    bench.run(&Spec { stop: Stop { lost: Some(2), ..Stop::default() }, ..campaign("c") }).await;
    all(&bench, &mut agents(3), |_| How::Vanishes).await;
    bench.later(49);
    bench.platform.due().await.unwrap();
    let stands = bench.campaign("c").await.state.to_string();
    assert!(stands.starts_with("stopped") && stands.contains("2 devices were not heard of"), "{stands}");
}

#[tokio::test]
async fn moves_begin_in_windows_only_and_devices_come_then() {
    let bench = Bench::new(3).await;
    let nights = Window { days: vec![Weekday::Sat], from_hour: 22, until_hour: 2 };
    bench.run(&Spec { windows: vec![nights], ..campaign("c") }).await;
    let mut devices = agents(3);
    // A Thursday: the next window is out of the reach of the longest interval.
    for day in 0..3 {
        all(&bench, &mut devices, |_| How::Moves).await;
        assert_eq!(bench.campaign("c").await.progress.begun, 0, "day {day}");
        bench.later(if day == 2 { 0 } else { 24 });
    }
    let next: Vec<String> = devices.iter().map(|agent| agent.next.unwrap().to_string()).collect();
    assert_eq!(next, ["2026-10-31T22:00:00Z", "2026-10-31T22:00:01Z", "2026-10-31T22:00:02Z"]);
    bench.later(14);
    devices[0].settle(&bench, How::Moves).await;
    assert_eq!(bench.campaign("c").await.progress.begun, 1);
}

#[tokio::test]
async fn a_device_tries_again_later_each_time_and_then_no_more() {
    let bench = Bench::new(1).await;
    let retries = Retries { times: 2, after_hours: 3, rest_days: 7 };
    bench.run(&Spec { retries, ..campaign("c") }).await;
    let mut device = Agent::new(0);
    let mut begun = Vec::new();
    for _ in 0..48 {
        if device.settle(&bench, How::Fails).await > 0 {
            begun.push(bench.now().to_string());
        }
        bench.later(1);
    }
    assert_eq!(begun, ["2026-10-29T08:00:00Z", "2026-10-29T11:00:00Z", "2026-10-29T17:00:00Z"]);
    let shown = bench.platform.campaign(&"c".parse().unwrap()).await.unwrap();
    assert!(matches!(shown.devices[0].member.state, MemberState::Failed { .. }));
    assert_eq!(shown.campaign.state.word(), "done");
}

#[tokio::test]
async fn a_standing_campaign_rests_and_begins_anew() {
    let bench = Bench::new(1).await;
    let retries = Retries { times: 0, after_hours: 1, rest_days: 5 };
    bench.run(&Spec { retries, ..Spec::decided("s".parse().unwrap()) }).await;
    let mut device = Agent::new(0);
    let mut days = Vec::new();
    for day in 0..12 {
        if device.settle(&bench, How::Fails).await > 0 {
            days.push(day);
        }
        bench.later(24);
    }
    assert_eq!(days, [0, 5, 10]);
    let progress = bench.campaign("s").await.progress;
    assert_eq!((progress.devices, progress.started, progress.settled, progress.finished), (1, 1, 1, 1));
}

#[tokio::test]
async fn a_campaign_is_paused_and_resumed() {
    let bench = Bench::new(4).await;
    bench.run(&campaign("c")).await;
    let id = "c".parse().unwrap();
    let mut devices = agents(4);
    devices[0].settle(&bench, How::Moves).await;
    devices[1].wake(&bench, How::Moves).await.unwrap();
    bench.platform.pause_campaign(&id, "Ada").await.unwrap();
    all(&bench, &mut devices[2..], |_| How::Moves).await;
    // What is on the move arrives.
    devices[1].settle(&bench, How::Moves).await;
    let stands = bench.campaign("c").await;
    assert_eq!((stands.progress.begun, stands.progress.moved), (2, 2));
    assert_eq!(stands.state.to_string(), "paused by Ada since 2026-10-29T08:00:00Z");
    assert!(bench.platform.pause_campaign(&id, "Ada").await.is_err());
    bench.platform.resume_campaign(&id).await.unwrap();
    assert!(bench.platform.resume_campaign(&id).await.is_err());
    bench.later(24);
    all(&bench, &mut devices, |_| How::Moves).await;
    assert_eq!(bench.campaign("c").await.state.word(), "done");
}

#[tokio::test]
async fn a_campaign_is_rolled_back_to_what_devices_had() {
    let bench = Bench::new(4).await;
    bench.run(&campaign("c")).await;
    let id = "c".parse().unwrap();
    let mut devices = agents(4);
    all(&bench, &mut devices[..2], |_| How::Moves).await;
    devices[2].wake(&bench, How::Moves).await.unwrap();
    bench.platform.roll_back_campaign(&id).await.unwrap();
    assert!(bench.platform.roll_back_campaign(&id).await.is_err());
    bench.later(24);
    all(&bench, &mut devices, |_| How::Moves).await;
    bench.later(24);
    all(&bench, &mut devices, |_| How::Moves).await;
    for agent in &devices {
        assert_eq!(agent.profiles[0], bootstrap(agent.number));
    }
    let stands = bench.campaign("c").await;
    assert_eq!((stands.progress.rolled_back, stands.progress.to_roll_back), (3, 0));
    assert_eq!(stands.state.word(), "rolled back");
    assert_eq!(stands.progress.finished, 4);
    bench.platform.remove_campaign(&id).await.unwrap();
    assert!(bench.platform.campaigns().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_roll_back_that_fails_is_tried_again_and_can_be_paused() {
    let bench = Bench::new(1).await;
    bench.run(&Spec { retries: Retries { times: 1, ..Retries::default() }, ..campaign("c") }).await;
    let id = "c".parse().unwrap();
    let mut device = Agent::new(0);
    device.settle(&bench, How::Moves).await;
    bench.platform.roll_back_campaign(&id).await.unwrap();
    bench.later(24);
    device.settle(&bench, How::ComesBack).await;
    bench.platform.pause_campaign(&id, "Ada").await.unwrap();
    bench.later(24);
    assert_eq!(device.settle(&bench, How::Moves).await, 0);
    assert_eq!(bench.platform.resume_campaign(&id).await.unwrap().state.word(), "rolling back");
    bench.later(24);
    device.settle(&bench, How::Moves).await;
    let stands = bench.campaign("c").await;
    assert_eq!((stands.state.word(), stands.progress.rolled_back), ("rolled back", 1));
}

#[tokio::test]
async fn what_a_campaign_would_do_is_what_it_does() {
    let bench = Bench::new(2).await;
    let spec = campaign("c");
    let planned = bench.platform.dry_run(&spec).await.unwrap();
    assert_eq!(planned.len(), 2);
    assert!(planned.iter().all(|planned| matches!(planned.plan, Plan::Move { .. })));
    assert!(bench.platform.campaigns().await.unwrap().is_empty());
    assert!(bench.sm_dp.0.lock().unwrap().calls.is_empty());
    bench.run(&spec).await;
    let mut devices = agents(2);
    all(&bench, &mut devices, |_| How::Moves).await;
    let planned = bench.platform.dry_run(&spec).await.unwrap();
    assert!(planned.iter().all(|planned| matches!(planned.plan, Plan::Nothing { .. })));
    let elsewhere = Spec { target: Destination::Network(plmn("262-01")), ..campaign("d") };
    let planned = bench.platform.dry_run(&elsewhere).await.unwrap();
    let [first, _] = &planned[..] else { panic!("{planned:?}") };
    let Plan::Stuck { why, .. } = &first.plan else { panic!("{first:?}") };
    assert!(why.contains("no profile of network 262-01"), "{why}");
}

#[tokio::test]
async fn a_campaign_has_the_devices_that_are_listed_or_selected_when_it_starts() {
    let bench = Bench::new(4).await;
    let listed = Devices::Listed([eid(1), eid(3), eid(77)].into());
    bench.run(&Spec { devices: listed, ..campaign("listed") }).await;
    assert_eq!(bench.campaign("listed").await.progress.devices, 2, "the third is none of the fleet");
    let selection = Selection { country: Some("DE".parse().unwrap()), ..Selection::default() };
    bench.run(&Spec { devices: Devices::Selected(selection), ..campaign("germans") }).await;
    assert_eq!(bench.campaign("germans").await.state.word(), "done", "there are none");
    let mut devices = agents(4);
    all(&bench, &mut devices, |_| How::Moves).await;
    let moved: Vec<u32> = devices.iter().filter(|it| it.profiles.len() > 1).map(|it| it.number).collect();
    assert_eq!(moved, [1, 3]);
}

#[tokio::test]
async fn one_that_goes_out_of_service_before_the_campaign_starts_is_none_of_its_devices() {
    let bench = Bench::new(2).await;
    let listed = Spec { devices: Devices::Listed([eid(0), eid(1)].into()), ..campaign("listed") };
    bench.platform.create_campaign(&listed).await.unwrap();
    bench.platform.retire(eid(0)).await.unwrap();
    bench.platform.start_campaign(&listed.id).await.unwrap();
    let shown = bench.platform.campaign(&listed.id).await.unwrap();
    assert_eq!(shown.devices.iter().map(|it| it.eid).collect::<Vec<_>>(), [eid(1)]);
    let progress = shown.campaign.progress;
    assert_eq!((progress.devices, progress.finished), (1, 0));
    assert_eq!(shown.campaign.state.word(), "running");
}

#[tokio::test]
async fn one_that_cannot_be_meant_is_refused() {
    let bench = Bench::new(1).await;
    let pace = |per_hour, at_once| fleet::Pace { per_hour, at_once };
    let canary = |devices| Some(Canary { devices, wait_hours: 0 });
    let window = |from_hour, until_hour| vec![Window { days: vec![], from_hour, until_hour }];
    for bad in [
        Spec { pace: pace(Some(0), None), ..campaign("c") },
        Spec { pace: pace(None, Some(0)), ..campaign("c") },
        Spec { canary: canary(Share::Count(0)), ..campaign("c") },
        Spec { canary: canary(Share::Percent(101)), ..campaign("c") },
        Spec { canary: canary(Share::Percent(10)), ..Spec::decided("c".parse().unwrap()) },
        Spec { windows: window(24, 3), ..campaign("c") },
        Spec { windows: window(3, 25), ..campaign("c") },
        Spec { stop: Stop { failed_percent: Some(0), ..Stop::default() }, ..campaign("c") },
        Spec { stop: Stop { lost: Some(0), ..Stop::default() }, ..campaign("c") },
        Spec { standing: true, ..campaign("c") },
    ] {
        let problem = bench.platform.create_campaign(&bad).await.unwrap_err();
        assert_eq!(problem.status.as_u16(), 400, "{problem}");
    }
    bench.run(&campaign("c")).await;
    let problem = bench.platform.create_campaign(&campaign("c")).await.unwrap_err();
    assert_eq!(problem.status.as_u16(), 409, "{problem}");
    assert!("Meters".parse::<fleet::CampaignId>().is_err());
    // A device that is gone from the fleet holds up no campaign.
    bench.platform.retire(eid(0)).await.unwrap();
    assert_eq!(bench.campaign("c").await.state.word(), "done");
}
