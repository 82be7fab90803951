//! A platform of few devices, and an SM-DP+ that only keeps orders.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use fleet::{
    Campaign, CampaignId, CheckIn, Config, Destination, Device, Ending, Es2Plus, Instruction, MoveEnded,
    OnCard, Owner, Platform, Problem, Registration, Retries, Setup, Spec, Supplier, Target, What,
};
use http::{Request, Response};
use localize::{HeldProfile, HeldState, Role, RuleBook};
use rsp::{
    ids::{Eid, Iccid, Plmn, Version},
    sgp22::{
        es2plus::CancelOrderRequest,
        es2plus::{ConfirmOrderReply, ConfirmOrderRequest, DownloadOrderReply, DownloadOrderRequest},
        json,
    },
    status::{Refusal, Status},
    time::Timestamp,
};
use world::{
    Link, LinkFault, LinkFaultKind, ManualClock, MemoryEvents, MemoryRecords, Records, SeededDice, World,
    link_from,
};

pub(crate) const HOME: &str = "234-15";
pub(crate) const BRAZIL: &str = "724-05";
pub(crate) const LOCAL: &str = "724-02";
pub(crate) const SECOND: &str = "724-03";
/// The SM-DP+, as it is found and as its certificate has it.
pub(crate) const SM_DP: &str = "smdp.example.com";

/// Where an order of the pretended SM-DP+ stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    Reserved,
    Released,
    /// Its package was handed out, so that it cannot be cancelled.
    Downloaded,
    Cancelled,
}

/// What the pretended SM-DP+ knows.
#[derive(Default)]
pub(crate) struct Stock {
    pub(crate) orders: BTreeMap<Iccid, (Eid, Stands)>,
    /// The calls that came, answered or not.
    pub(crate) calls: Vec<String>,
    answers: BTreeMap<String, serde_json::Value>,
    /// It is away.
    pub(crate) away: bool,
    /// It has nothing.
    pub(crate) empty: bool,
}

#[derive(Clone, Default)]
pub(crate) struct SmDp(pub(crate) Arc<Mutex<Stock>>);

impl SmDp {
    pub(crate) fn link(&self) -> Link {
        let stock = self.clone();
        link_from(tower::service_fn(move |request: Request<Bytes>| {
            let stock = stock.clone();
            async move { stock.answer(&request) }
        }))
    }

    pub(crate) fn order(&self, iccid: Iccid) -> Stands {
        self.0.lock().unwrap().orders[&iccid].1.clone()
    }

    pub(crate) fn set(&self, iccid: Iccid, stands: Stands) {
        self.0.lock().unwrap().orders.get_mut(&iccid).unwrap().1 = stands;
    }

    fn answer(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, LinkFault> {
        let version = Version([2, 5, 0]);
        let function = request.uri().path().rsplit('/').next().unwrap().to_owned();
        let mut stock = self.0.lock().unwrap();
        stock.calls.push(function.clone());
        if stock.away {
            return Err(LinkFault::new(LinkFaultKind::Refused, "sm-dp", "away"));
        }
        let body = request.body();
        let value: serde_json::Value = serde_json::from_slice(body).unwrap();
        let call = value["header"]["functionCallIdentifier"].as_str().unwrap().to_owned();
        if let Some(known) = stock.answers.get(&call) {
            return Ok(json::response(version, Ok(known)));
        }
        let done: Result<serde_json::Value, Refusal> = match function.as_str() {
            "downloadOrder" if stock.empty => Err(Status::ProfileTypeUnavailable.because("none is left")),
            "downloadOrder" => {
                let asked: DownloadOrderRequest = serde_json::from_slice(body).unwrap();
                let free = (100..).map(iccid).find(|iccid| {
                    stock.orders.get(iccid).is_none_or(|(_, stands)| *stands == Stands::Cancelled)
                });
                let iccid = asked.iccid.or(free).unwrap();
                stock.orders.insert(iccid, (asked.eid.unwrap(), Stands::Reserved));
                Ok(serde_json::to_value(DownloadOrderReply { iccid }).unwrap())
            }
            "confirmOrder" => {
                let asked: ConfirmOrderRequest = serde_json::from_slice(body).unwrap();
                stock.orders.get_mut(&asked.iccid).unwrap().1 = Stands::Released;
                let matching_id = format!("M-{}", asked.iccid);
                let reply = ConfirmOrderReply { eid: asked.eid, matching_id, smdp_address: None };
                Ok(serde_json::to_value(reply).unwrap())
            }
            "cancelOrder" => {
                let asked: CancelOrderRequest = serde_json::from_slice(body).unwrap();
                let order = stock.orders.get_mut(&asked.iccid).unwrap();
                assert_eq!(asked.eid, Some(order.0));
                match order.1 {
                    Stands::Downloaded => Err(Status::IccidInvalidTransition.because("it is Downloaded")),
                    _ => {
                        order.1 = Stands::Cancelled;
                        Ok(serde_json::json!({}))
                    }
                }
            }
            other => panic!("{other}"),
        };
        if let Ok(done) = &done {
            stock.answers.insert(call, done.clone());
        }
        Ok(json::response(version, done.as_ref().map_err(Clone::clone)))
    }
}

pub(crate) struct Bench {
    pub(crate) clock: ManualClock,
    pub(crate) records: Arc<dyn Records>,
    pub(crate) sm_dp: SmDp,
    pub(crate) platform: Platform,
    pub(crate) events: MemoryEvents,
}

pub(crate) fn plmn(text: &str) -> Plmn {
    text.parse().unwrap()
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A number with the right check digit, from a small one.
pub(crate) fn iccid(number: u32) -> Iccid {
    let digits = format!("894447650000{number:06}");
    (0..10).find_map(|check| format!("{digits}{check}").parse().ok()).unwrap()
}

/// An EID with the right check digits, from a small number.
pub(crate) fn eid(number: u32) -> Eid {
    let digits = format!("890490320000000000000000{number:06}");
    (0..100).find_map(|check| format!("{digits}{check:02}").parse().ok()).unwrap()
}

/// The number of the profile that a device comes with.
pub(crate) fn bootstrap(number: u32) -> Iccid {
    iccid(900_000 + number)
}

pub(crate) fn setup(sm_dp: &SmDp) -> Setup {
    let mut book = RuleBook::built_in().unwrap();
    let owner = "[[offer]]\nnetwork = \"724-02\"\ntype = \"local-br\"\n";
    let owner = Owner::parse(owner, &mut book).unwrap();
    let supplier = Supplier::SmDpPlus(es2plus(sm_dp));
    Setup { book, owner, suppliers: BTreeMap::from([(plmn(LOCAL), supplier)]), config: Config::default() }
}

fn es2plus(sm_dp: &SmDp) -> Es2Plus {
    Es2Plus {
        link: sm_dp.link(),
        address: SM_DP.parse().unwrap(),
        name: SM_DP.parse().unwrap(),
        requester: "2.999.10".to_owned(),
        tells: true,
    }
}

/// The same, and a second operator that is asked after the first, with its profiles at this SM-DP+.
pub(crate) fn setup_with_second(sm_dp: &SmDp, second: &SmDp) -> Setup {
    let mut setup = setup(sm_dp);
    let owner = format!("[[offer]]\nnetwork = \"{SECOND}\"\ntype = \"second-br\"\npriority = 2\n");
    setup.owner.offers.extend(Owner::parse(&owner, &mut setup.book).unwrap().offers);
    setup.suppliers.insert(plmn(SECOND), Supplier::SmDpPlus(es2plus(second)));
    setup
}

impl Bench {
    /// So many devices that come from Britain, and have been in Brazil since the first of August.
    pub(crate) async fn new(devices: u32) -> Self {
        let records = MemoryRecords::default();
        let clock = ManualClock::at(at("2026-10-29T08:00:00Z"));
        let sm_dp = SmDp::default();
        let mut tx = world::Tx::begin(&records);
        for number in 0..devices {
            fleet::put(&mut tx, &roamer(number)).unwrap();
        }
        let _ = tx.commit().await.unwrap();
        Self::on(Arc::new(records), clock, sm_dp)
    }

    pub(crate) fn on(records: Arc<dyn Records>, clock: ManualClock, sm_dp: SmDp) -> Self {
        Self::in_life(records, clock, sm_dp, 0)
    }

    /// No life throws what another has thrown.
    pub(crate) fn in_life(records: Arc<dyn Records>, clock: ManualClock, sm_dp: SmDp, life: u32) -> Self {
        let setup = setup(&sm_dp);
        Self::set_up(records, clock, sm_dp, life, setup)
    }

    /// The same, and a second operator with profiles.
    pub(crate) fn and_second(self, second: &SmDp) -> Self {
        let setup = setup_with_second(&self.sm_dp, second);
        Self::set_up(self.records, self.clock, self.sm_dp, 1, setup)
    }

    pub(crate) fn set_up(
        records: Arc<dyn Records>,
        clock: ManualClock,
        sm_dp: SmDp,
        life: u32,
        setup: Setup,
    ) -> Self {
        let world = World::new(clock.clone(), SeededDice::from_text(&format!("7 {life}")));
        let events = MemoryEvents::default();
        let platform = Platform::new(Arc::clone(&records), world, events.clone(), setup);
        Self { clock, records, sm_dp, platform, events }
    }

    pub(crate) async fn decided(self) -> Self {
        let id: CampaignId = "standing".parse().unwrap();
        self.run(&Spec::decided(id)).await;
        self
    }

    pub(crate) async fn run(&self, spec: &Spec) {
        self.platform.create_campaign(spec).await.unwrap();
        self.platform.start_campaign(&spec.id).await.unwrap();
    }

    pub(crate) fn later(&self, hours: u64) {
        self.clock.advance(Duration::from_secs(3600 * hours));
    }

    /// Writes a record over.
    pub(crate) async fn put(&self, device: &Device) {
        world::transact(&*self.records, |tx| Box::pin(async move { fleet::put(tx, device) })).await.unwrap();
    }

    pub(crate) async fn device(&self, number: u32) -> Device {
        let fleet = fleet::load(&*self.records).await.unwrap();
        fleet.device(eid(number)).unwrap().clone()
    }

    pub(crate) fn now(&self) -> Timestamp {
        use world::Clock;
        self.clock.now()
    }

    /// What a device says that is in Brazil with these profiles, the first of them in use.
    pub(crate) fn says(&self, number: u32, profiles: &[Iccid]) -> CheckIn {
        let on_card = profiles.iter().enumerate();
        let on_card = on_card.map(|(place, iccid)| OnCard { iccid: *iccid, enabled: place == 0, home: None });
        let mut said = CheckIn::new(eid(number), self.now());
        let registered = |iccid: &Iccid| Registration { network: plmn(BRAZIL), iccid: *iccid, imsi: None };
        said.registered = profiles.first().map(registered);
        said.profiles = Some(on_card.collect());
        said
    }

    pub(crate) async fn check_in(&self, said: &CheckIn) -> Instruction {
        self.platform.check_in(said).await.unwrap()
    }
}

fn roamer(number: u32) -> Device {
    let book = RuleBook::built_in().unwrap();
    let mut device = Device::new(eid(number));
    let home = book.locate(plmn(HOME)).unwrap();
    device.connection.held.push(HeldProfile {
        iccid: bootstrap(number),
        home,
        role: Role::Bootstrap,
        state: HeldState::Enabled,
    });
    let there = book.locate(plmn(BRAZIL)).unwrap();
    device.connection.history.observe_with(there, home.into(), at("2026-08-01T00:00:00Z")).unwrap();
    device
}

/// How a device fares with a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Moves,
    ComesBack,
    Fails,
    /// It is not heard of again.
    Vanishes,
}

/// The program of a device.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) number: u32,
    /// What its card holds, the one in use first.
    pub(crate) profiles: Vec<Iccid>,
    pub(crate) ended: Option<MoveEnded>,
    pub(crate) next: Option<Timestamp>,
}

impl Agent {
    pub(crate) fn new(number: u32) -> Self {
        Self { number, profiles: vec![bootstrap(number)], ended: None, next: None }
    }

    /// Checks in, and does what it is told. Says whether it was told to move.
    pub(crate) async fn wake(&mut self, bench: &Bench, how: How) -> Result<bool, Problem> {
        let mut said = bench.says(self.number, &self.profiles);
        said.ended = self.ended.clone();
        let told = bench.platform.check_in(&said).await?;
        self.ended = None;
        self.next = Some(told.next_check_in);
        let What::Move { order, to, .. } = told.what else { return Ok(false) };
        let (iccid, is_new) = match to {
            Target::Enable(iccid) => (iccid, false),
            Target::Download { iccid, .. } => (iccid, true),
            Target::Order { .. } => panic!("nobody acts for it"),
        };
        let why = "as the test has it".into();
        let ending = match how {
            How::Vanishes => {
                self.next = None;
                return Ok(true);
            }
            How::Moves => {
                self.profiles.retain(|known| *known != iccid);
                self.profiles.insert(0, iccid);
                Ending::Moved
            }
            How::ComesBack => {
                self.profiles.extend(is_new.then_some(iccid));
                Ending::CameBack { why }
            }
            How::Fails => Ending::NotInstalled { why },
        };
        if is_new && how != How::Fails {
            bench.sm_dp.set(iccid, Stands::Downloaded);
        }
        self.ended = Some(MoveEnded { order, ending });
        self.next = Some(bench.now());
        Ok(true)
    }

    /// Checks in until there is nothing more to do at this time.
    pub(crate) async fn settle(&mut self, bench: &Bench, how: How) -> u32 {
        let mut moves = 0;
        while self.next.is_none_or(|next| next <= bench.now()) {
            moves += u32::from(self.wake(bench, how).await.unwrap());
            if self.next.is_none() {
                break;
            }
        }
        moves
    }
}

/// A campaign of those devices to the local network.
pub(crate) fn campaign(id: &str) -> Spec {
    Spec {
        target: Destination::Network(plmn(LOCAL)),
        standing: false,
        retries: Retries { times: 0, ..Retries::default() },
        ..Spec::decided(id.parse().unwrap())
    }
}

impl Bench {
    pub(crate) async fn campaign(&self, id: &str) -> Campaign {
        self.platform.campaign(&id.parse().unwrap()).await.unwrap().campaign
    }
}
