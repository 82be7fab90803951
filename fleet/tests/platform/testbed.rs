//! Testbed: a platform with a few devices, and a simulated SM-DP+ that only stores orders.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use fleet::{
    Action, Campaign, CampaignId, CampaignSpec, CardProfile, CheckIn, Config, Destination, Device, Ending,
    Es2Plus, Instruction, MoveEnded, Owner, Platform, Problem, Registration, Retries, Setup, Supplier,
    Target,
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
    Link, LinkFault, LinkFaultKind, ManualClock, MemoryEvents, MemoryRecords, Records, SeededRandom, World,
    link_from,
};

pub(crate) const HOME: &str = "234-15";
pub(crate) const BRAZIL: &str = "724-05";
pub(crate) const LOCAL: &str = "724-02";
pub(crate) const SECOND: &str = "724-03";
/// The address of the SM-DP+, which is also the name in its certificate.
pub(crate) const SM_DP: &str = "smdp.example.com";

/// The state of an order at the simulated SM-DP+.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OrderState {
    Reserved,
    Released,
    /// The package was handed out, so the order cannot be cancelled.
    Downloaded,
    /// The SM-DP+ has lost the order.
    Forgotten,
    Cancelled,
}

/// The state of the simulated SM-DP+.
#[derive(Default)]
pub(crate) struct SmDpState {
    pub(crate) orders: BTreeMap<Iccid, (Eid, OrderState)>,
    /// All received calls, including those without an answer.
    pub(crate) calls: Vec<String>,
    answers: BTreeMap<String, serde_json::Value>,
    /// True if the SM-DP+ is unreachable.
    pub(crate) unreachable: bool,
    /// True if the SM-DP+ has no profiles left.
    pub(crate) empty: bool,
    /// Number of replies that still arrive; all later replies are lost. If `None`, no reply is
    /// lost.
    pub(crate) replies_left: Option<u32>,
    /// Offset of the numbers of its profiles, so that two SM-DP+s have different ones.
    pub(crate) offset: u32,
}

#[derive(Clone, Default)]
pub(crate) struct SmDp(pub(crate) Arc<Mutex<SmDpState>>);

impl SmDp {
    pub(crate) fn link(&self) -> Link {
        let stock = self.clone();
        link_from(tower::service_fn(move |request: Request<Bytes>| {
            let stock = stock.clone();
            async move { stock.answer(&request) }
        }))
    }

    pub(crate) fn order(&self, iccid: Iccid) -> OrderState {
        self.0.lock().unwrap().orders[&iccid].1.clone()
    }

    pub(crate) fn set(&self, iccid: Iccid, order_state: OrderState) {
        self.0.lock().unwrap().orders.get_mut(&iccid).unwrap().1 = order_state;
    }

    fn answer(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, LinkFault> {
        let version = Version([2, 5, 0]);
        let function = request.uri().path().rsplit('/').next().unwrap().to_owned();
        let mut stock = self.0.lock().unwrap();
        stock.calls.push(function.clone());
        if stock.unreachable {
            return Err(LinkFault::new(LinkFaultKind::Refused, "sm-dp", "unreachable"));
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
                let request: DownloadOrderRequest = serde_json::from_slice(body).unwrap();
                let free = (100 + stock.offset..).map(iccid).find(|iccid| {
                    stock
                        .orders
                        .get(iccid)
                        .is_none_or(|(_, order_state)| *order_state == OrderState::Cancelled)
                });
                let iccid = request.iccid.or(free).unwrap();
                stock.orders.insert(iccid, (request.eid.unwrap(), OrderState::Reserved));
                Ok(serde_json::to_value(DownloadOrderReply { iccid }).unwrap())
            }
            "confirmOrder" => {
                let request: ConfirmOrderRequest = serde_json::from_slice(body).unwrap();
                let order = stock.orders.get_mut(&request.iccid).unwrap();
                assert_eq!(request.eid, Some(order.0));
                order.1 = OrderState::Released;
                let matching_id = format!("M-{}", request.iccid);
                let reply = ConfirmOrderReply { eid: request.eid, matching_id, smdp_address: None };
                Ok(serde_json::to_value(reply).unwrap())
            }
            "cancelOrder" => {
                let request: CancelOrderRequest = serde_json::from_slice(body).unwrap();
                let order = stock.orders.get_mut(&request.iccid).unwrap();
                assert_eq!(request.eid, Some(order.0));
                match order.1 {
                    OrderState::Downloaded => Err(Status::IccidInvalidTransition.because("it is Downloaded")),
                    OrderState::Forgotten => Err(Status::IccidUnknown.because("there is no such order")),
                    _ => {
                        order.1 = OrderState::Cancelled;
                        Ok(serde_json::json!({}))
                    }
                }
            }
            other => panic!("{other}"),
        };
        if let Ok(done) = &done {
            stock.answers.insert(call, done.clone());
        }
        match &mut stock.replies_left {
            Some(0) => return Err(LinkFault::new(LinkFaultKind::Reset, "sm-dp", "the reply was lost")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(json::response(version, done.as_ref().map_err(Clone::clone)))
    }
}

pub(crate) struct Testbed {
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

/// Returns the ICCID with this number and the right check digit.
pub(crate) fn iccid(number: u32) -> Iccid {
    let digits = format!("894447650000{number:06}");
    (0..10).find_map(|check| format!("{digits}{check}").parse().ok()).unwrap()
}

/// Returns the EID with this number and the right check digits.
pub(crate) fn eid(number: u32) -> Eid {
    let digits = format!("890490320000000000000000{number:06}");
    Eid::with_check_digits(&digits).unwrap()
}

/// The profile that a device has from the start.
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

pub(crate) fn es2plus(sm_dp: &SmDp) -> Es2Plus {
    Es2Plus {
        link: sm_dp.link(),
        address: SM_DP.parse().unwrap(),
        name: SM_DP.parse().unwrap(),
        requester: "2.999.10".to_owned(),
        reports_progress: true,
    }
}

/// The same configuration with a second operator of lower priority, whose SM-DP+ is `second`.
pub(crate) fn setup_with_second(sm_dp: &SmDp, second: &SmDp) -> Setup {
    let mut setup = setup(sm_dp);
    let owner = format!("[[offer]]\nnetwork = \"{SECOND}\"\ntype = \"second-br\"\npriority = 2\n");
    setup.owner.offers.extend(Owner::parse(&owner, &mut setup.book).unwrap().offers);
    setup.suppliers.insert(plmn(SECOND), Supplier::SmDpPlus(es2plus(second)));
    setup
}

impl Testbed {
    /// A fleet of this number of British devices, which have been in Brazil since the first of
    /// August.
    pub(crate) async fn new(devices: u32) -> Self {
        Self::new_in(Arc::new(MemoryRecords::default()), devices).await
    }

    /// The same fleet in an empty store.
    pub(crate) async fn new_in(records: Arc<dyn Records>, devices: u32) -> Self {
        let clock = ManualClock::at(at("2026-10-29T08:00:00Z"));
        let sm_dp = SmDp::default();
        let mut tx = world::Tx::begin(&*records);
        for number in 0..devices {
            fleet::put(&mut tx, &roamer(number)).unwrap();
        }
        let _ = tx.commit().await.unwrap();
        Self::on(records, clock, sm_dp)
    }

    pub(crate) fn on(records: Arc<dyn Records>, clock: ManualClock, sm_dp: SmDp) -> Self {
        Self::in_process(records, clock, sm_dp, 0)
    }

    /// Another process on the same records. Each `process` number has its own random numbers.
    pub(crate) fn in_process(
        records: Arc<dyn Records>,
        clock: ManualClock,
        sm_dp: SmDp,
        process: u32,
    ) -> Self {
        let setup = setup(&sm_dp);
        Self::set_up(records, clock, sm_dp, process, setup)
    }

    /// The same testbed with a second operator.
    pub(crate) fn and_second(self, second: &SmDp) -> Self {
        let setup = setup_with_second(&self.sm_dp, second);
        Self::set_up(self.records, self.clock, self.sm_dp, 1, setup)
    }

    pub(crate) fn set_up(
        records: Arc<dyn Records>,
        clock: ManualClock,
        sm_dp: SmDp,
        process: u32,
        setup: Setup,
    ) -> Self {
        let world = World::new(clock.clone(), SeededRandom::from_text(&format!("7 {process}")));
        let events = MemoryEvents::default();
        let platform = Platform::new(Arc::clone(&records), world, events.clone(), setup);
        Self { clock, records, sm_dp, platform, events }
    }

    pub(crate) async fn decided(self) -> Self {
        let id: CampaignId = "standing".parse().unwrap();
        self.run(&CampaignSpec::decided(id)).await;
        self
    }

    pub(crate) async fn run(&self, spec: &CampaignSpec) {
        self.platform.create_campaign(spec).await.unwrap();
        self.platform.start_campaign(&spec.id).await.unwrap();
    }

    pub(crate) fn later(&self, hours: u64) {
        self.clock.advance(Duration::from_secs(3600 * hours));
    }

    /// Overwrites a device record.
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

    /// A check-in of a device in Brazil with these profiles, of which the first is enabled.
    pub(crate) fn check_in_of(&self, number: u32, profiles: &[Iccid]) -> CheckIn {
        let on_card = profiles.iter().enumerate();
        let on_card =
            on_card.map(|(place, iccid)| CardProfile { iccid: *iccid, enabled: place == 0, home: None });
        let mut report = CheckIn::new(eid(number), self.now());
        let registered =
            |iccid: &Iccid| Registration { network: plmn(BRAZIL), iccid: *iccid, imsi: None, imei: None };
        report.registered = profiles.first().map(registered);
        report.profiles = Some(on_card.collect());
        report
    }

    pub(crate) async fn check_in(&self, report: &CheckIn) -> Instruction {
        self.platform.check_in(report).await.unwrap()
    }
}

/// A British device that has been in Brazil since the first of August.
pub(crate) fn roamer(number: u32) -> Device {
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

/// The result of a simulated move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MoveResult {
    Moves,
    ComesBack,
    Fails,
    /// The device does not check in again.
    Vanishes,
}

/// The firmware of a simulated device.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) number: u32,
    /// The profiles on the card. The first one is enabled.
    pub(crate) profiles: Vec<Iccid>,
    pub(crate) ended: Option<MoveEnded>,
    pub(crate) next: Option<Timestamp>,
}

impl Agent {
    pub(crate) fn new(number: u32) -> Self {
        Self { number, profiles: vec![bootstrap(number)], ended: None, next: None }
    }

    /// Checks in and follows the instruction. Returns true if the device got a move.
    pub(crate) async fn wake(&mut self, testbed: &Testbed, result: MoveResult) -> Result<bool, Problem> {
        let mut report = testbed.check_in_of(self.number, &self.profiles);
        report.ended = self.ended.clone();
        let instruction = testbed.platform.check_in(&report).await?;
        self.ended = None;
        self.next = Some(instruction.next_check_in);
        let Action::Move { order, to, .. } = instruction.what else { return Ok(false) };
        let (iccid, is_new) = match to {
            Target::Enable(iccid) => (iccid, false),
            Target::Download { iccid, .. } => (iccid, true),
            Target::Order { .. } => panic!("the device has no M2M agent"),
        };
        let why = "simulated by the test".into();
        let ending = match result {
            MoveResult::Vanishes => {
                self.next = None;
                return Ok(true);
            }
            MoveResult::Moves => {
                self.profiles.retain(|known| *known != iccid);
                self.profiles.insert(0, iccid);
                Ending::Moved
            }
            MoveResult::ComesBack => {
                self.profiles.extend(is_new.then_some(iccid));
                Ending::CameBack { why }
            }
            MoveResult::Fails => Ending::NotInstalled { why },
        };
        if is_new && result != MoveResult::Fails {
            testbed.sm_dp.set(iccid, OrderState::Downloaded);
        }
        self.ended = Some(MoveEnded { order, ending });
        self.next = Some(testbed.now());
        Ok(true)
    }

    /// Checks in until nothing more can be done at the present time. Returns the number of moves.
    pub(crate) async fn settle(&mut self, testbed: &Testbed, result: MoveResult) -> u32 {
        let mut moves = 0;
        while self.next.is_none_or(|next| next <= testbed.now()) {
            moves += u32::from(self.wake(testbed, result).await.unwrap());
            if self.next.is_none() {
                break;
            }
        }
        moves
    }
}

/// A campaign of all devices to the local network, without retries.
pub(crate) fn campaign(id: &str) -> CampaignSpec {
    CampaignSpec {
        target: Destination::Network(plmn(LOCAL)),
        standing: false,
        retries: Retries { times: 0, ..Retries::default() },
        ..CampaignSpec::decided(id.parse().unwrap())
    }
}

impl Testbed {
    pub(crate) async fn campaign(&self, id: &str) -> Campaign {
        self.platform.campaign(&id.parse().unwrap()).await.unwrap().campaign
    }
}
