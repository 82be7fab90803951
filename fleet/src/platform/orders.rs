//! Profile orders (ES2+). Each step is recorded with its call identifier before the call is sent,
//! and again after the answer.

use localize::{Destination, Offer};
use rsp::{
    ids::{Eid, Plmn},
    status::Status,
    time::Timestamp,
};
use world::{Event, Events, Fault, Outcome, Tx, transact};

use super::{Platform, RulesInForce, campaigns};
use crate::{
    campaign::AttemptResult,
    check_in::Discrepancy,
    device::Device,
    moves::{MOVES, Move, ProfileSource},
    plan::{Plan, plan},
    profile_order::{Code, DownloadProgress, ORDERS, OrderStep, ProfileOrder, ProfileOrderId, prefix},
    state::DeviceEvent,
    store,
    supplier::{Es2Plus, Es2PlusError, Supplier},
};

/// Result of driving an order.
pub(super) enum Driven {
    /// The order needs no further call: it is released or cancelled, or no longer exists.
    Settled,
    /// The SM-DP+ is unreachable.
    Unreachable,
}

impl Platform {
    /// Returns an order for a device without an open move. If an order of an earlier attempt still
    /// exists and fits the offer, it is used again. Otherwise the order is new.
    pub(super) async fn order(
        &self,
        tx: &mut Tx<'_>,
        eid: Eid,
        offer: &Offer,
    ) -> Result<ProfileOrderId, Fault> {
        let fits = |order: &ProfileOrder| {
            order.operator == offer.operator.plmn
                && order.what == offer.order
                && order.reported.is_none()
                && !matches!(order.step, OrderStep::Fulfilled { .. })
        };
        let all = tx.list(&ORDERS, &prefix(eid)).await?;
        let Some((key, mut kept)) = all.into_iter().find(|(_, order)| fits(order)) else {
            return self.order_new(tx, eid, offer);
        };
        kept.step = match kept.step {
            OrderStep::Reserving { call, .. } => OrderStep::Reserving { call, unwanted: false },
            OrderStep::Cancelling { iccid, code: Some(Code(code)), .. } => {
                OrderStep::Released { iccid, code }
            }
            OrderStep::Cancelling { iccid, code: None, .. } => {
                OrderStep::Confirming { iccid, call: self.new_call_id() }
            }
            step => step,
        };
        kept.since = self.now();
        tx.put(&ORDERS, &key, &kept)?;
        Ok(ProfileOrderId::from_key(&key))
    }

    fn order_new(&self, tx: &mut Tx<'_>, eid: Eid, offer: &Offer) -> Result<ProfileOrderId, Fault> {
        let id = ProfileOrderId::drawn(eid, &self.0.world);
        let step = OrderStep::Reserving { call: self.new_call_id(), unwanted: false };
        let (operator, what) = (offer.operator.plmn, offer.order.clone());
        let order = ProfileOrder { eid, operator, what, step, since: self.now(), reported: None };
        tx.put(&ORDERS, id.as_ref(), &order)?;
        Ok(id)
    }

    /// Gives up an order, which is cancelled after the commit.
    pub(super) async fn give_up(&self, tx: &mut Tx<'_>, id: &ProfileOrderId) -> Result<(), Fault> {
        let Some(mut order) = tx.get(&ORDERS, id.as_ref()).await? else { return Ok(()) };
        order.step = match order.step {
            OrderStep::Reserving { call, .. } => OrderStep::Reserving { call, unwanted: true },
            OrderStep::Confirming { iccid, .. } => {
                OrderStep::Cancelling { iccid, call: self.new_call_id(), code: None }
            }
            OrderStep::Released { iccid, code } => {
                OrderStep::Cancelling { iccid, call: self.new_call_id(), code: Some(Code(code)) }
            }
            step => step,
        };
        order.since = self.now();
        self.wake_after(tx);
        tx.put(&ORDERS, id.as_ref(), &order)
    }

    /// Calls the SM-DP+ until the order needs no further call. If the SM-DP+ refuses, the move
    /// continues with the next offer.
    pub(super) async fn drive(&self, id: &ProfileOrderId) -> Result<Driven, Fault> {
        let mut id = id.clone();
        loop {
            let Some(order) = Tx::begin(self.records()).get(&ORDERS, id.as_ref()).await? else {
                return Ok(Driven::Settled);
            };
            let Some(supplier) = self.sm_dp_plus(order.operator) else { return Ok(Driven::Unreachable) };
            let (eid, function) = (order.eid, order.step.function());
            let answer = match &order.step {
                OrderStep::Released { .. } | OrderStep::Fulfilled { .. } => return Ok(Driven::Settled),
                OrderStep::Reserving { call, unwanted } => {
                    let reserved = supplier.download_order(call, eid, &order.what).await;
                    reserved.map(|iccid| {
                        Some(match unwanted {
                            false => OrderStep::Confirming { iccid, call: self.new_call_id() },
                            true => OrderStep::Cancelling { iccid, call: self.new_call_id(), code: None },
                        })
                    })
                }
                OrderStep::Confirming { iccid, call } => {
                    let confirmed = supplier.confirm_order(call, eid, *iccid).await;
                    confirmed.map(|code| Some(OrderStep::Released { iccid: *iccid, code }))
                }
                OrderStep::Cancelling { iccid, call, .. } => {
                    supplier.cancel_order(call, eid, *iccid).await.map(|()| None)
                }
            };
            let outcome = match &answer {
                Ok(_) => Outcome::Done,
                Err(Es2PlusError::Refused(status)) => Outcome::Refused(status.to_string()),
                Err(Es2PlusError::Unreachable(fault)) => Outcome::Failed(fault.to_string()),
            };
            self.0.events.emit(
                Event::new(self.now(), "platform", function)
                    .with_peer("ES2+", supplier.name.to_string())
                    .with_outcome(outcome),
            );
            match answer {
                Ok(step) => self.write_step(&id, &order, step).await?,
                Err(Es2PlusError::Refused(status)) => {
                    let why = status.to_string();
                    let is_under_way = status.status() == Some(Status::IccidInvalidTransition);
                    let in_force = self.in_force().await?;
                    let next = transact(self.records(), |tx| {
                        Box::pin(self.refused(tx, (&id, &order), is_under_way, &why, &in_force))
                    });
                    if let Some(next) = next.await? {
                        id = next;
                    }
                }
                Err(Es2PlusError::Unreachable(_)) => return Ok(Driven::Unreachable),
            }
        }
    }

    /// Records the next step, unless the order has changed meanwhile.
    async fn write_step(
        &self,
        id: &ProfileOrderId,
        was: &ProfileOrder,
        step: Option<OrderStep>,
    ) -> Result<(), Fault> {
        let next = step.map(|step| ProfileOrder { step, since: self.now(), ..was.clone() });
        transact(self.records(), |tx| {
            let next = next.as_ref();
            Box::pin(async move {
                if tx.get(&ORDERS, id.as_ref()).await?.as_ref() != Some(was) {
                    return Ok(());
                }
                match next {
                    Some(next) => tx.put(&ORDERS, id.as_ref(), next),
                    None => {
                        tx.delete(&ORDERS, id.as_ref());
                        Ok(())
                    }
                }
            })
        })
        .await
    }

    /// Processes a refusal of the SM-DP+. Returns the order with which the move continues, if there
    /// is another offer.
    async fn refused(
        &self,
        tx: &mut Tx<'_>,
        (id, was): (&ProfileOrderId, &ProfileOrder),
        is_under_way: bool,
        why: &str,
        in_force: &RulesInForce,
    ) -> Result<Option<ProfileOrderId>, Fault> {
        if tx.get(&ORDERS, id.as_ref()).await?.as_ref() != Some(was) {
            return Ok(None);
        }
        match &was.step {
            OrderStep::Cancelling { iccid, code, .. } => {
                match code {
                    // The profile was handed out, but the SM-DP+ does not know the result: the
                    // profile can be downloaded once more.
                    Some(Code(code)) if is_under_way => {
                        let step = OrderStep::Released { iccid: *iccid, code: code.clone() };
                        let kept = ProfileOrder { step, since: self.now(), ..was.clone() };
                        tx.put(&ORDERS, id.as_ref(), &kept)?;
                    }
                    _ => tx.delete(&ORDERS, id.as_ref()),
                }
                if let Some(mut device) = store::get(tx, was.eid).await? {
                    let found = Discrepancy::NotCancelled { iccid: *iccid, why: why.into() };
                    device.trail.found(self.now(), found);
                    store::put(tx, &device)?;
                }
            }
            step => {
                match step.iccid() {
                    Some(_) => self.give_up(tx, id).await?,
                    None => tx.delete(&ORDERS, id.as_ref()),
                }
                let open = tx.get(&MOVES, &was.eid.to_string()).await?;
                if let Some(open) = open.filter(|open| open.order() == Some(id))
                    && let Some(mut device) = store::get(tx, was.eid).await?
                {
                    let next = self.next_offer(tx, &mut device, &open, (was, why), in_force).await?;
                    if next.is_none() {
                        self.end(tx, &mut device, &open, (AttemptResult::NotInstalled, why)).await?;
                    }
                    store::put(tx, &device)?;
                    return Ok(next);
                }
            }
        }
        Ok(None)
    }

    /// Continues the move with the best offer of an operator that has not refused yet, if there is
    /// one.
    async fn next_offer(
        &self,
        tx: &mut Tx<'_>,
        device: &mut Device,
        open: &Move,
        (was, why): (&ProfileOrder, &str),
        in_force: &RulesInForce,
    ) -> Result<Option<ProfileOrderId>, Fault> {
        let Some(campaign) = campaigns::find(tx, &open.campaign).await? else { return Ok(None) };
        let ProfileSource::Order { refused_by, .. } = &open.source else { return Ok(None) };
        let refused_by: Vec<Plmn> = refused_by.iter().copied().chain([was.operator]).collect();
        let RulesInForce { book, policies } = in_force;
        let is_left = |offer: &&Offer| {
            let network = offer.operator.plmn;
            !refused_by.contains(&network) && self.sm_dp_plus(network).is_some()
        };
        let offers: Vec<Offer> = self.0.setup.owner.offers.iter().filter(is_left).cloned().collect();
        let (now, policy) = (self.now(), policies.of(device));
        let connection = policies.connection(device, now);
        let planned = plan(now, &connection, campaign.spec.target, (book, &offers, policy));
        let Plan::Move { to: Destination::Offer(offer), .. } = planned else { return Ok(None) };
        let to = offer.operator;
        let next = self.order_new(tx, device.eid, &offer)?;
        let event = DeviceEvent::PassedOver { network: was.operator, why: why.into(), to: to.plmn };
        device.happened(now, event)?;
        let source = ProfileSource::Order { id: next.clone(), refused_by };
        tx.put(&MOVES, &device.eid.to_string(), &Move { to, source, ..open.clone() })?;
        Ok(Some(next))
    }

    /// The SM-DP+ at which profiles of this operator are ordered, if there is one.
    pub(super) fn sm_dp_plus(&self, operator: Plmn) -> Option<&Es2Plus> {
        self.0.setup.suppliers.get(&operator).and_then(Supplier::sm_dp_plus)
    }

    /// Returns a new, unique function call identifier.
    fn new_call_id(&self) -> Box<str> {
        format!("landfall-{}", hex::encode(self.0.world.random::<16>())).into()
    }
}

/// Records that the profile of an order is on the card.
pub(super) async fn fulfilled(tx: &mut Tx<'_>, id: &ProfileOrderId, now: Timestamp) -> Result<(), Fault> {
    let Some(order) = tx.get(&ORDERS, id.as_ref()).await? else { return Ok(()) };
    match order.step.iccid() {
        // If the SM-DP+ has already reported the installation, the order is finished.
        Some(iccid) if order.reported != Some(DownloadProgress::Installed) => {
            let step = OrderStep::Fulfilled { iccid };
            tx.put(&ORDERS, id.as_ref(), &ProfileOrder { step, since: now, ..order })
        }
        _ => {
            tx.delete(&ORDERS, id.as_ref());
            Ok(())
        }
    }
}
