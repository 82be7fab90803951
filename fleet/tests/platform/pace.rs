//! Whatever happens: no device moves twice at a time, and never more than the pace.

use std::collections::BTreeMap;

use fleet::{CampaignState, MOVES, Pace, Retries, Spec};
use world::{Dice, SeededDice, Tx};

use crate::bench::{Agent, Bench, How, Stands, campaign};

#[tokio::test]
async fn never_more_than_the_pace_and_no_device_twice_at_a_time() {
    for seed in 0..3 {
        let dice = SeededDice::from_text(&format!("pace {seed}"));
        let thrown = |sides: u8| {
            let mut octet = [0];
            dice.fill(&mut octet);
            octet[0] % sides
        };
        let bench = Bench::new(25).await;
        let pace = Pace { per_hour: Some(u32::from(thrown(5)) + 2), at_once: Some(u32::from(thrown(3)) + 1) };
        let retries = Retries { times: 1, after_hours: 1, rest_days: 7 };
        bench.run(&Spec { pace, retries, ..campaign("c") }).await;
        let mut agents: Vec<Agent> = (0..25).map(Agent::new).collect();
        let mut begun: BTreeMap<i64, u32> = BTreeMap::new();
        for _ in 0..60 * 24 * 6 {
            for agent in &mut agents {
                if agent.next.is_some_and(|next| next > bench.now()) {
                    continue;
                }
                let before = bench.campaign("c").await.progress.begun;
                let how = match thrown(8) {
                    0 => How::ComesBack,
                    1 => How::Fails,
                    2 if thrown(2) == 0 => How::Vanishes,
                    _ => How::Moves,
                };
                agent.wake(&bench, how).await.unwrap();
                if agent.next.is_none() {
                    // It comes back some time, or is taken for lost.
                    agent.next = Some(bench.now().plus(std::time::Duration::from_secs(3600 * 60)));
                } else if agent.ended.is_some() {
                    // A move takes a while.
                    let minutes = u64::from(thrown(20));
                    agent.next = Some(bench.now().plus(std::time::Duration::from_secs(60 * minutes)));
                }
                let progress = bench.campaign("c").await.progress;
                *begun.entry(bench.now().0 / 3_600_000).or_default() += progress.begun - before;
                let open = Tx::begin(&*bench.records).glance(&MOVES, "").await.unwrap();
                assert_eq!(u32::try_from(open.len()).unwrap(), progress.under_way, "seed {seed}");
                assert!(progress.under_way <= pace.at_once.unwrap(), "seed {seed}: {progress:?}");
                assert_eq!(progress.begun, progress.ended() + progress.under_way, "seed {seed}");
            }
            let next = agents.iter().filter_map(|agent| agent.next).min().unwrap();
            let wait = next.since(bench.now()).max(std::time::Duration::from_secs(60));
            bench.clock.advance(wait.min(std::time::Duration::from_secs(3600)));
            bench.platform.due().await.unwrap();
            if bench.campaign("c").await.state == CampaignState::Done {
                break;
            }
        }
        assert!(begun.values().all(|begun| *begun <= pace.per_hour.unwrap()), "seed {seed}: {begun:?}");
        let stands = bench.campaign("c").await;
        assert_eq!(stands.state, CampaignState::Done, "seed {seed}: {:?}", stands.progress);
        assert_eq!(stands.progress.finished, 25);
        bench.later(48);
        bench.platform.due().await.unwrap();
        // What is on no card waits for nobody at the SM-DP+.
        for (iccid, (_, stands)) in &bench.sm_dp.0.lock().unwrap().orders {
            let is_on_card = agents.iter().any(|agent| agent.profiles.contains(iccid));
            let waits = matches!(stands, Stands::Reserved | Stands::Released);
            assert!(!waits || is_on_card, "seed {seed}: {iccid} is {stands:?}");
        }
    }
}
