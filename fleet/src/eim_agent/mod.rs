//! The agent for devices that an eIM manages (SGP.32).
//!
//! Such a device has no LPA that could execute an [`Instruction`] of the platform. The agent checks in
//! for it: it reads from the API of the eIM when the device was in contact and in which network it was
//! registered, orders a list of its profiles when they may have changed, and turns the instruction to
//! move into orders of packages. The device itself rolls back if the new profile has no service
//! (SGP.32 section 3.3.1), and the list shows where it ended.
//!
//! Each step is recorded before the eIM is called, and the identifiers of the orders of a move follow
//! from the move. After a crash the agent therefore places no order twice.

mod api;
mod record;

use std::{sync::Arc, time::Duration};

use rsp::{
    ids::{Eid, Iccid, TransactionId},
    time::Timestamp,
};
use world::{Event, Events, Fault, FaultKind, Link, Outcome, Tx, World, transact};

use self::{
    api::{DeviceStatus, EimApi, Order, Package},
    record::{EIM_DEVICES, EimDevice, LastCheckIn, Moving, Task},
};
use crate::{
    check_in::{Action, CardProfile, CheckIn, Ending, Instruction, MoveEnded, Registration},
    platform::Platform,
    store,
};

/// Maximum number of times that expired orders of a move are placed again.
const MAX_EXPIRIES: u8 = 3;

/// The agent for the devices of one eIM. Clones share it.
#[derive(Clone)]
pub struct EimAgent(Arc<Inner>);

struct Inner {
    platform: Platform,
    world: World,
    api: EimApi,
    config: EimAgentConfig,
}

/// The periods of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EimAgentConfig {
    /// The interval between two looks at the devices of the eIM.
    pub interval: Duration,
    /// The lifetime of an order: at least the time that devices sleep.
    pub order_lifetime: Duration,
}

impl Default for EimAgentConfig {
    fn default() -> Self {
        Self { interval: Duration::from_secs(10), order_lifetime: Duration::from_secs(36 * 3600) }
    }
}

impl EimAgent {
    /// Creates the agent of a platform for the eIM whose API is at `authority` (`host:port`).
    pub fn new(
        platform: Platform,
        world: World,
        link: Link,
        authority: &str,
        config: EimAgentConfig,
    ) -> Self {
        let api = EimApi::new(link, authority);
        Self(Arc::new(Inner { platform, world, api, config }))
    }

    /// Looks at all devices of the eIM that are in the fleet, once. Returns the time of the next look.
    /// A device for which the eIM or the platform refuses a request is looked at again the next time.
    ///
    /// # Errors
    /// The eIM is unreachable, does not list its devices or fails, or the records fail. Completed work
    /// remains done.
    pub async fn due(&self) -> Result<Timestamp, Fault> {
        let mut after = None;
        loop {
            let page = self.0.api.devices(after).await?;
            for status in &page {
                match self.look(status).await {
                    // What is refused for one device does not concern the others.
                    Err(fault) if is_refusal(&fault) => {
                        self.report(status.eid, "Look", Outcome::Refused(fault.to_string()));
                    }
                    looked => looked?,
                }
            }
            after = page.last().map(|last| last.eid);
            if page.len() < api::PAGE {
                break;
            }
        }
        Ok(self.now().plus(self.0.config.interval))
    }

    fn now(&self) -> Timestamp {
        self.0.world.now()
    }

    /// Continues the work for a device as far as its orders at the eIM have ended.
    async fn look(&self, status: &DeviceStatus) -> Result<(), Fault> {
        let Some(mut device) = self.read(status.eid).await? else { return Ok(()) };
        let changed = status.state_change.map(|change| change.at);
        if changed > device.changed {
            device.changed = changed;
            device.profiles = None;
        }
        loop {
            match device.task.clone() {
                Task::Listing { order } => {
                    let orders = [(order.clone(), Package::List)];
                    let Some(list) = self.ended(status.eid, &orders).await? else { break };
                    device.task = Task::Idle;
                    device.profiles = list.profiles();
                    if device.profiles.is_none() {
                        // The next look orders another list.
                        break;
                    }
                }
                Task::Moving(moving) => {
                    if !self.follow(status.eid, &mut device, moving).await? {
                        break;
                    }
                }
                Task::Idle if device.profiles.is_none() => {
                    device.task = Task::Listing { order: TransactionId(self.0.world.random::<8>().to_vec()) };
                    self.write(status.eid, &device).await?;
                }
                Task::Idle => {
                    if !self.check_in(status, &mut device).await? {
                        break;
                    }
                    self.write(status.eid, &device).await?;
                }
            }
        }
        self.write(status.eid, &device).await
    }

    /// Follows a move. Returns true if it has ended.
    async fn follow(&self, eid: Eid, device: &mut EimDevice, mut moving: Moving) -> Result<bool, Fault> {
        let Some(target) = moving.to.iccid() else {
            let why = "the eIM can only enable a profile of the card or download one with an activation code";
            device.task = Task::Idle;
            let ending = Ending::NotInstalled { why: why.into() };
            device.ended = Some(MoveEnded { order: moving.id, ending });
            return Ok(true);
        };
        let orders = moving.orders(target);
        let placed: Vec<_> = orders.iter().map(|(_, id, package)| (id.clone(), package.clone())).collect();
        let Some(list) = self.ended(eid, &placed).await? else { return Ok(false) };
        for (step, id, package) in &orders {
            let Some(order) = self.0.api.order(id).await? else { continue };
            if order.is_expired() && moving.expiries < MAX_EXPIRIES {
                // The device slept. This order and all after it are placed again.
                (moving.from, moving.expiries) = (*step, moving.expiries.saturating_add(1));
                device.task = Task::Moving(moving);
                return Ok(false);
            }
            if let (None, Some(failure)) = (&moving.failure, order.failure()) {
                moving.failure = Some(format!("{package}: {failure}"));
            }
        }
        let why = moving.failure.unwrap_or_default();
        // Without a list, nothing is known to have changed. The next list shows it.
        let profiles = list.profiles();
        let known = profiles.clone().or_else(|| device.profiles.take()).unwrap_or_default();
        let ending = ending(&known, target, why.into());
        self.report(
            eid,
            "MoveEnded",
            match &ending {
                Ending::Moved => Outcome::Done,
                Ending::CameBack { why } | Ending::NotInstalled { why } => Outcome::Failed(why.to_string()),
            },
        );
        device.task = Task::Idle;
        device.profiles = profiles;
        device.ended = Some(MoveEnded { order: moving.id, ending });
        Ok(true)
    }

    /// Returns the last of these orders once it has ended. Orders that the eIM does not have are placed.
    async fn ended(&self, eid: Eid, orders: &[(TransactionId, Package)]) -> Result<Option<Order>, Fault> {
        let Some((last, _)) = orders.last() else { return Ok(None) };
        if let Some(order) = self.0.api.order(last).await? {
            return Ok(Some(order).filter(Order::is_ended));
        }
        for (id, package) in orders {
            self.0.api.place(eid, id, package, self.0.config.order_lifetime.as_secs()).await?;
            self.report(eid, "PlaceOrder", Outcome::Done);
        }
        Ok(None)
    }

    /// Checks in for a device, if there is a reason. Returns true if the device has to move.
    async fn check_in(&self, status: &DeviceStatus, device: &mut EimDevice) -> Result<bool, Fault> {
        let Some(contact) = status.last_poll else { return Ok(false) };
        if !device.is_check_in_due(contact, status.r_plmn) {
            return Ok(false);
        }
        let enabled = device.profiles.iter().flatten().find(|profile| profile.enabled);
        let registered = status.r_plmn.zip(enabled).map(|(network, profile)| Registration {
            network,
            iccid: profile.iccid,
            imsi: None,
            imei: None,
        });
        let report = device.describe(CheckIn { registered, ..CheckIn::new(status.eid, contact) });
        let Instruction { what, next_check_in } = self.0.platform.check_in(&report).await?;
        device.ended = None;
        device.last = Some(LastCheckIn { at: contact, network: status.r_plmn, next: next_check_in });
        let Action::Move { order, to, .. } = what else { return Ok(false) };
        device.task = Task::Moving(Moving::new(order, to));
        Ok(true)
    }

    /// Returns the record of a device, if the device is in the fleet and in service.
    async fn read(&self, eid: Eid) -> Result<Option<EimDevice>, Fault> {
        let mut tx = Tx::begin(self.0.platform.records());
        let device = store::get(&mut tx, eid).await?;
        if !device.is_some_and(|device| device.is_in_service()) {
            return Ok(None);
        }
        Ok(Some(tx.get(&EIM_DEVICES, &eid.to_string()).await?.unwrap_or_default()))
    }

    async fn write(&self, eid: Eid, device: &EimDevice) -> Result<(), Fault> {
        transact(self.0.platform.records(), |tx| {
            Box::pin(async move {
                let key = eid.to_string();
                if tx.get(&EIM_DEVICES, &key).await?.as_ref() != Some(device) {
                    tx.put(&EIM_DEVICES, &key, device)?;
                }
                Ok(())
            })
        })
        .await
    }

    fn report(&self, eid: Eid, function: &'static str, outcome: Outcome) {
        let event = Event::new(self.now(), "platform", function).with_peer("eIM", eid.to_string());
        self.0.platform.log().emit(event.with_outcome(outcome));
    }
}

/// The end of a move to `target` with these profiles on the card.
fn ending(profiles: &[CardProfile], target: Iccid, why: Box<str>) -> Ending {
    match profiles.iter().find(|profile| profile.iccid == target) {
        Some(profile) if profile.enabled => Ending::Moved,
        Some(_) => Ending::CameBack { why },
        None => Ending::NotInstalled { why },
    }
}

/// True if a request was refused, in contrast to an eIM or to records that fail.
fn is_refusal(fault: &Fault) -> bool {
    matches!(fault.kind, FaultKind::Refused | FaultKind::Usage | FaultKind::NotFound)
}
