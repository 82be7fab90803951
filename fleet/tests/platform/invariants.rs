//! Randomised test of the platform's invariants: random check-ins, failures, repetitions, lost
//! replies, commands and restarts, with a check of all records after each step.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use fleet::{
    Action, CampaignSpec, Ending, MOVES, Member, MemberState, MoveEnded, MoveId, ORDERS, OrderStep, Pace,
    Retries, State, Stop, Target, Window,
};
use rsp::{
    ids::Iccid,
    sgp22::{es2plus::NotificationPointId, json::ExecutionStatus},
};
use world::{Random, SeededRandom, Tx};

use crate::{
    reconciler::progress_report,
    testbed::{OrderState, SM_DP, SmDp, Testbed, bootstrap, campaign, eid, setup_with_second},
};

const DEVICES: u8 = 6;
const SEEDS: u32 = 8;
const STEPS: u32 = 400;
const CAMPAIGNS: [&str; 3] = ["a-standing", "b-once", "c-rolled-back"];

/// A device as the test simulates it.
struct Simulated {
    number: u32,
    /// The profiles on the card. The first one is enabled.
    profiles: Vec<Iccid>,
    /// The last result that the device reported or must still report.
    ended: Option<MoveEnded>,
}

struct Simulation {
    random: SeededRandom,
    testbed: Testbed,
    second: SmDp,
    devices: Vec<Simulated>,
    processes: u32,
    /// Moves that were seen open.
    opened: BTreeSet<MoveId>,
    /// Moves that were seen open and then had ended.
    ended: BTreeSet<MoveId>,
    /// All steps so far, for the message of a failed assertion.
    log: Vec<String>,
}

impl Simulation {
    async fn new(seed: u32) -> Self {
        let testbed = Testbed::new(u32::from(DEVICES)).await;
        let second = SmDp::default();
        second.0.lock().unwrap().offset = 1000;
        let devices = (0..u32::from(DEVICES))
            .map(|number| Simulated { number, profiles: vec![bootstrap(number)], ended: None })
            .collect();
        let random = SeededRandom::from_text(&format!("invariants {seed}"));
        let mut simulation = Self {
            random,
            testbed,
            second,
            devices,
            processes: 0,
            opened: BTreeSet::new(),
            ended: BTreeSet::new(),
            log: Vec::new(),
        };
        simulation.restart();
        let retries = Retries { times: 2, after_hours: 1, rest_days: 1 };
        let pace = Pace { per_hour: Some(3), at_once: Some(2) };
        let stop = Stop { lost: Some(3), ..Stop::default() };
        let windows = vec![Window { days: Vec::new(), from_hour: 6, until_hour: 20 }];
        let once = Retries { times: 0, ..retries };
        let standing = CampaignSpec {
            retries: once,
            pace,
            windows,
            ..CampaignSpec::decided(CAMPAIGNS[0].parse().unwrap())
        };
        for spec in [
            standing,
            CampaignSpec { retries, stop, ..campaign(CAMPAIGNS[1]) },
            CampaignSpec { retries, pace, ..campaign(CAMPAIGNS[2]) },
        ] {
            simulation.testbed.run(&spec).await;
        }
        simulation
    }

    fn below(&self, sides: u8) -> u8 {
        let mut octet = [0];
        self.random.fill(&mut octet);
        octet[0] % sides
    }

    /// Another process of the platform on the same records.
    fn restart(&mut self) {
        self.processes += 1;
        let (records, clock) = (Arc::clone(&self.testbed.records), self.testbed.clock.clone());
        let setup = setup_with_second(&self.testbed.sm_dp, &self.second);
        self.testbed = Testbed::set_up(records, clock, self.testbed.sm_dp.clone(), self.processes, setup);
    }

    async fn step(&mut self) {
        let device = usize::from(self.below(DEVICES));
        let what = self.below(20);
        self.log.push(format!("{}: {what} with device {device}", self.testbed.now()));
        match what {
            0..=10 => self.check_in(device).await,
            11 => self.testbed.clock.advance(Duration::from_secs(60 * u64::from(self.below(240)))),
            12 => self.testbed.later(u64::from(self.below(60))),
            13 => drop(self.testbed.platform.due().await.unwrap()),
            14 => self.restart(),
            15 => self.change_sm_dps(),
            16 => self.report_progress().await,
            17 => self.command().await,
            // The result of an earlier move arrives again.
            18 => self.repeat(device).await,
            _ => self.restart_and_check_in(device).await,
        }
    }

    async fn check_in(&mut self, device: usize) {
        let simulated = &self.devices[device];
        let mut report = self.testbed.check_in_of(simulated.number, &simulated.profiles);
        report.ended.clone_from(&simulated.ended);
        if self.below(6) == 0 {
            report.profiles = None;
        }
        let instruction = self.testbed.check_in(&report).await;
        // The reply is lost: the device reports the same result again.
        if self.below(5) == 0 {
            return;
        }
        self.devices[device].ended = None;
        if let Action::Move { order, to, .. } = instruction.what {
            self.make_move(device, order, to);
        }
    }

    fn make_move(&mut self, device: usize, order: MoveId, to: Target) {
        let (iccid, is_new) = match to {
            Target::Enable(iccid) => (iccid, false),
            Target::Download { iccid, .. } => (iccid, true),
            Target::Order { .. } => panic!("the device has no M2M agent"),
        };
        let why: Box<str> = "simulated by the test".into();
        let result = self.below(10);
        let simulated = &mut self.devices[device];
        let install = |profiles: &mut Vec<Iccid>, place: usize| {
            profiles.retain(|known| *known != iccid);
            profiles.insert(place.min(profiles.len()), iccid);
        };
        let ending = match result {
            0..=3 => {
                install(&mut simulated.profiles, 0);
                Some(Ending::Moved)
            }
            // The device moves and never reports it.
            4 => {
                install(&mut simulated.profiles, 0);
                None
            }
            5 | 6 => {
                install(&mut simulated.profiles, usize::MAX);
                Some(Ending::CameBack { why })
            }
            7 => Some(Ending::NotInstalled { why }),
            // The device reports a move that did not happen.
            8 => Some(Ending::Moved),
            _ => None,
        };
        let is_on_card = simulated.profiles.contains(&iccid);
        simulated.ended = ending.map(|ending| MoveEnded { order, ending });
        if is_new && is_on_card {
            for sm_dp in [&self.testbed.sm_dp, &self.second] {
                if let Some((_, state)) = sm_dp.0.lock().unwrap().orders.get_mut(&iccid) {
                    *state = OrderState::Downloaded;
                }
            }
        }
    }

    fn change_sm_dps(&self) {
        for sm_dp in [&self.testbed.sm_dp, &self.second] {
            let (unreachable, empty) = (self.below(3) == 0, self.below(4) == 0);
            let mut state = sm_dp.0.lock().unwrap();
            (state.unreachable, state.empty) = (unreachable, empty);
            state.replies_left = (self.below(3) == 0).then(|| u32::from(self.below(3)));
        }
    }

    /// The SM-DP+ reports the end of a random order, rightly or wrongly.
    async fn report_progress(&self) {
        let orders = Tx::begin(&*self.testbed.records).peek_list(&ORDERS, "").await.unwrap();
        let known: Vec<_> =
            orders.iter().filter_map(|(_, order)| Some((order.eid, order.step.iccid()?))).collect();
        let Some((eid, iccid)) = known.get(usize::from(self.below(16))) else { return };
        let status =
            if self.below(2) == 0 { ExecutionStatus::ExecutedSuccess } else { ExecutionStatus::Failed };
        let mut report = progress_report(*iccid, NotificationPointId::BPP_INSTALLATION, status);
        report.eid = Some(*eid);
        self.testbed.platform.process_progress(&[SM_DP.parse().unwrap()], &report).await.unwrap();
    }

    /// The operator pauses, resumes or rolls back a campaign, or retires a device. Impossible
    /// commands are refused.
    async fn command(&self) {
        let id = CAMPAIGNS[usize::from(self.below(3))].parse().unwrap();
        let platform = &self.testbed.platform;
        match self.below(12) {
            0..=3 => drop(platform.pause_campaign(&id, "Ada").await),
            4..=9 => drop(platform.resume_campaign(&id).await),
            10 => drop(platform.roll_back_campaign(&CAMPAIGNS[2].parse().unwrap()).await),
            _ => drop(platform.retire(eid(u32::from(DEVICES) - 1)).await),
        }
    }

    /// The device repeats an old result, with the ID of a move that has ended.
    async fn repeat(&mut self, device: usize) {
        let old: Vec<MoveId> = self.ended.iter().cloned().collect();
        let Some(order) = old.get(usize::from(self.below(32))) else { return };
        let simulated = &self.devices[device];
        let mut report = self.testbed.check_in_of(simulated.number, &simulated.profiles);
        report.ended =
            Some(MoveEnded { order: order.clone(), ending: Ending::CameBack { why: "again".into() } });
        self.testbed.check_in(&report).await;
    }

    /// The platform restarts between two identical check-ins.
    async fn restart_and_check_in(&mut self, device: usize) {
        let simulated = &self.devices[device];
        let mut report = self.testbed.check_in_of(simulated.number, &simulated.profiles);
        report.ended.clone_from(&simulated.ended);
        let before = self.testbed.check_in(&report).await;
        self.restart();
        let after = self.testbed.check_in(&report).await;
        if let (Action::Move { order, .. }, Action::Move { order: same, .. }) = (&before.what, &after.what)
            && report.ended.is_none()
        {
            assert_eq!(order, same, "{:#?}", self.log);
        }
    }

    async fn check(&mut self, seed: u32) {
        let records = &*self.testbed.records;
        let found = fleet::violations(records).await.unwrap();
        assert!(found.is_empty(), "seed {seed}: {found:#?}\n{:#?}", self.log);

        let tx = Tx::begin(records);
        let open: BTreeMap<String, MoveId> =
            tx.peek_list(&MOVES, "").await.unwrap().into_iter().map(|(eid, open)| (eid, open.id)).collect();
        let ids: BTreeSet<MoveId> = open.values().cloned().collect();
        assert_eq!(ids.len(), open.len(), "seed {seed}: two devices have the same move");
        let reopened: Vec<_> = ids.intersection(&self.ended).collect();
        assert!(reopened.is_empty(), "seed {seed}: {reopened:?} reopened\n{:#?}", self.log);
        self.ended.extend(self.opened.difference(&ids).cloned());
        self.opened.extend(ids);

        for device in fleet::load(records).await.unwrap().devices() {
            let is_moving = matches!(device.state, State::Moving { .. });
            assert_eq!(is_moving, open.contains_key(&device.eid.to_string()), "seed {seed}: {}", device.eid);
        }
        let members = tx.peek_list(&fleet::MEMBERS, "").await.unwrap();
        for (key, Member { state, tries, .. }) in members {
            let is_final = matches!(state, MemberState::Moved { .. } | MemberState::RolledBack { .. });
            assert!(!is_final || tries == 0, "seed {seed}: {key} is {state:?} after {tries} attempts");
        }
    }
}

#[tokio::test]
async fn random_operations_keep_the_records_consistent() {
    let (mut moves, mut steps) = (0, BTreeSet::new());
    for seed in 0..SEEDS {
        let mut simulation = Simulation::new(seed).await;
        simulation.check(seed).await;
        for _ in 0..STEPS {
            simulation.step().await;
            simulation.check(seed).await;
            let orders = Tx::begin(&*simulation.testbed.records).peek_list(&ORDERS, "").await.unwrap();
            steps.extend(orders.iter().map(|(_, order)| match order.step {
                OrderStep::Reserving { .. } => 0,
                OrderStep::Confirming { .. } => 1,
                OrderStep::Released { .. } => 2,
                OrderStep::Cancelling { .. } => 3,
                OrderStep::Fulfilled { .. } => 4,
            }));
        }
        moves += simulation.ended.len();
    }
    assert!(moves > 100, "the seeds cause too few moves: {moves}");
    assert_eq!(steps.len(), 5, "the seeds do not reach every step of an order: {steps:?}");
}
