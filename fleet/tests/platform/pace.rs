//! Randomised tests of the pace: no device makes two moves at a time, and the limits on moves hold.

use std::collections::BTreeMap;

use fleet::{CampaignSpec, CampaignState, MOVES, Pace, Retries};
use world::{Random, SeededRandom, Tx};

use crate::testbed::{Agent, MoveResult, OrderState, Testbed, campaign};

#[tokio::test]
async fn the_pace_holds_and_no_device_makes_two_moves_at_a_time() {
    for seed in 0..3 {
        let random = SeededRandom::from_text(&format!("pace {seed}"));
        let thrown = |sides: u8| {
            let mut octet = [0];
            random.fill(&mut octet);
            octet[0] % sides
        };
        let testbed = Testbed::new(25).await;
        let pace = Pace { per_hour: Some(u32::from(thrown(5)) + 2), at_once: Some(u32::from(thrown(3)) + 1) };
        let retries = Retries { times: 1, after_hours: 1, rest_days: 7 };
        testbed.run(&CampaignSpec { pace, retries, ..campaign("c") }).await;
        let mut agents: Vec<Agent> = (0..25).map(Agent::new).collect();
        let mut begun: BTreeMap<i64, u32> = BTreeMap::new();
        for _ in 0..60 * 24 * 6 {
            for agent in &mut agents {
                if agent.next.is_some_and(|next| next > testbed.now()) {
                    continue;
                }
                let before = testbed.campaign("c").await.progress.begun;
                let result = match thrown(8) {
                    0 => MoveResult::ComesBack,
                    1 => MoveResult::Fails,
                    2 if thrown(2) == 0 => MoveResult::Vanishes,
                    _ => MoveResult::Moves,
                };
                agent.wake(&testbed, result).await.unwrap();
                if agent.next.is_none() {
                    // The device checks in again later, or counts as lost.
                    agent.next = Some(testbed.now().plus(std::time::Duration::from_secs(3600 * 60)));
                } else if agent.ended.is_some() {
                    // A move takes some minutes.
                    let minutes = u64::from(thrown(20));
                    agent.next = Some(testbed.now().plus(std::time::Duration::from_secs(60 * minutes)));
                }
                let progress = testbed.campaign("c").await.progress;
                *begun.entry(testbed.now().0 / 3_600_000).or_default() += progress.begun - before;
                let open = Tx::begin(&*testbed.records).peek_list(&MOVES, "").await.unwrap();
                assert_eq!(u32::try_from(open.len()).unwrap(), progress.under_way, "seed {seed}");
                assert!(progress.under_way <= pace.at_once.unwrap(), "seed {seed}: {progress:?}");
                assert_eq!(progress.begun, progress.ended() + progress.under_way, "seed {seed}");
            }
            let next = agents.iter().filter_map(|agent| agent.next).min().unwrap();
            let wait = next.since(testbed.now()).max(std::time::Duration::from_secs(60));
            testbed.clock.advance(wait.min(std::time::Duration::from_secs(3600)));
            testbed.platform.due().await.unwrap();
            if testbed.campaign("c").await.state == CampaignState::Done {
                break;
            }
        }
        assert!(begun.values().all(|begun| *begun <= pace.per_hour.unwrap()), "seed {seed}: {begun:?}");
        let current = testbed.campaign("c").await;
        assert_eq!(current.state, CampaignState::Done, "seed {seed}: {:?}", current.progress);
        assert_eq!(current.progress.finished, 25);
        testbed.later(48);
        testbed.platform.due().await.unwrap();
        // Orders that are no longer needed were cancelled: the SM-DP+ reserves no profile that is
        // on no card.
        for (iccid, (_, order_state)) in &testbed.sm_dp.0.lock().unwrap().orders {
            let is_on_card = agents.iter().any(|agent| agent.profiles.contains(iccid));
            let waits = matches!(order_state, OrderState::Reserved | OrderState::Released);
            assert!(!waits || is_on_card, "seed {seed}: {iccid} is {order_state:?}");
        }
    }
}
