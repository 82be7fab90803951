//! Profiles that are ordered for a device (ES2+): each step is written down with the identifier of its call before it is asked
//! for, and written down again when it is answered.

use localize::{Destination, Offer, Orderable};
use rsp::{
    activation_code::ActivationCode,
    ids::{Eid, Iccid, Plmn},
    status::Status,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use world::{Collection, Event, Fault, Outcome, Tx, transact};

use super::{By, MOVES, Move, Platform, Setup, Told, campaigns, ending::impossible};
use crate::{
    campaign::Try,
    check_in::{Discrepancy, OrderId},
    counted::Policies,
    device::Device,
    plan::{Plan, plan},
    state::Happening,
    store::{self, DEVICES},
    supplier::{Es2Plus, NoOrder, Supplier},
};

/// Orders at SM-DP+s, by EID and a name of our own: the number of the profile is not known at first.
pub const ORDERS: Collection<ProfileOrder> = Collection::new("profile-orders");

/// A profile that is ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileOrder {
    /// For which device.
    pub eid: Eid,
    /// Of which operator.
    pub operator: Plmn,
    /// Which profile, or of which type.
    pub what: Orderable,
    /// How far it has come.
    pub step: Step,
    /// Since when it is so far.
    pub since: Timestamp,
    /// What the SM-DP+ has said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
    /// Operators that had nothing for this move before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<Plmn>,
}

/// How far an order has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Step {
    /// To be reserved by DownloadOrder.
    Reserving {
        /// The functionCallIdentifier.
        call: Box<str>,
        /// Whether it is no longer wanted, and cancelled as soon as its number is known.
        unwanted: bool,
    },
    /// To be confirmed and released by ConfirmOrder.
    Confirming {
        /// Which profile it is.
        iccid: Iccid,
        /// The functionCallIdentifier.
        call: Box<str>,
    },
    /// Ready to be downloaded.
    Released {
        /// Which profile it is.
        iccid: Iccid,
        /// From where.
        #[serde(with = "crate::check_in::activation_code")]
        code: ActivationCode,
    },
    /// To be cancelled by CancelOrder.
    Cancelling {
        /// Which profile it is.
        iccid: Iccid,
        /// The functionCallIdentifier.
        call: Box<str>,
        /// Its code, if it was released: should it turn out that it cannot be cancelled, it can be downloaded.
        code: Option<Code>,
    },
    /// The profile is on the card.
    Fulfilled {
        /// Which profile it is.
        iccid: Iccid,
    },
}

/// An activation code in a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(#[serde(with = "crate::check_in::activation_code")] pub ActivationCode);

impl Step {
    /// Which profile it is, once that is known.
    pub fn iccid(&self) -> Option<Iccid> {
        match self {
            Self::Reserving { .. } => None,
            Self::Confirming { iccid, .. }
            | Self::Released { iccid, .. }
            | Self::Cancelling { iccid, .. }
            | Self::Fulfilled { iccid } => Some(*iccid),
        }
    }
}

/// What came of driving an order.
pub(super) enum Driven {
    /// It is where it is to be: released, cancelled, or gone.
    Settled,
    /// Its SM-DP+ is away.
    Away,
}

impl Platform {
    /// An order for the device: what is left over of another one, or a new one.
    pub(super) async fn order(
        &self,
        tx: &mut Tx<'_>,
        eid: Eid,
        offer: &Offer,
        left_over: Option<OrderId>,
    ) -> Result<OrderId, Fault> {
        if let Some(id) = left_over
            && let Some(mut kept) = tx.get(&ORDERS, id.as_ref()).await?
            && kept.operator == offer.operator.plmn
        {
            kept.step = match kept.step {
                Step::Reserving { call, .. } => Step::Reserving { call, unwanted: false },
                Step::Cancelling { iccid, code: Some(Code(code)), .. } => Step::Released { iccid, code },
                Step::Cancelling { iccid, code: None, .. } => Step::Confirming { iccid, call: self.call() },
                step => step,
            };
            (kept.since, kept.told, kept.passed_over) = (self.now(), None, Vec::new());
            tx.put(&ORDERS, id.as_ref(), &kept)?;
            return Ok(id);
        }
        self.order_new(tx, eid, offer, Vec::new())
    }

    fn order_new(
        &self,
        tx: &mut Tx<'_>,
        eid: Eid,
        offer: &Offer,
        passed_over: Vec<Plmn>,
    ) -> Result<OrderId, Fault> {
        let id = OrderId::from_key(&format!("{}{}", prefix(eid), OrderId::drawn(&self.0.world)));
        let step = Step::Reserving { call: self.call(), unwanted: false };
        let (operator, what) = (offer.operator.plmn, offer.order.clone());
        let order = ProfileOrder { eid, operator, what, step, since: self.now(), told: None, passed_over };
        tx.put(&ORDERS, id.as_ref(), &order)?;
        Ok(id)
    }

    /// The order is no longer wanted: it is cancelled after the commit.
    pub(super) async fn give_up(&self, tx: &mut Tx<'_>, id: &OrderId) -> Result<(), Fault> {
        let Some(mut order) = tx.get(&ORDERS, id.as_ref()).await? else { return Ok(()) };
        order.step = match order.step {
            Step::Reserving { call, .. } => Step::Reserving { call, unwanted: true },
            Step::Confirming { iccid, .. } => Step::Cancelling { iccid, call: self.call(), code: None },
            Step::Released { iccid, code } => {
                Step::Cancelling { iccid, call: self.call(), code: Some(Code(code)) }
            }
            step => step,
        };
        order.since = self.now();
        self.wake_after(tx);
        tx.put(&ORDERS, id.as_ref(), &order)
    }

    /// Asks the SM-DP+ what the order waits for, until it waits for nothing of it. If the SM-DP+ refuses, the move goes on with
    /// the next offer.
    pub(super) async fn drive(&self, id: &OrderId) -> Result<Driven, Fault> {
        let mut id = id.clone();
        loop {
            let Some(order) = Tx::begin(self.records()).get(&ORDERS, id.as_ref()).await? else {
                return Ok(Driven::Settled);
            };
            let Some(supplier) = self.sm_dp_plus(order.operator) else { return Ok(Driven::Away) };
            let (eid, function) = (order.eid, order.step.function());
            let answer = match &order.step {
                Step::Released { .. } | Step::Fulfilled { .. } => return Ok(Driven::Settled),
                Step::Reserving { call, unwanted } => {
                    let reserved = supplier.download_order(call, eid, &order.what).await;
                    reserved.map(|iccid| {
                        Some(match unwanted {
                            false => Step::Confirming { iccid, call: self.call() },
                            true => Step::Cancelling { iccid, call: self.call(), code: None },
                        })
                    })
                }
                Step::Confirming { iccid, call } => {
                    let confirmed = supplier.confirm_order(call, eid, *iccid).await;
                    confirmed.map(|code| Some(Step::Released { iccid: *iccid, code }))
                }
                Step::Cancelling { iccid, call, .. } => {
                    supplier.cancel_order(call, eid, *iccid).await.map(|()| None)
                }
            };
            let outcome = match &answer {
                Ok(_) => Outcome::Done,
                Err(NoOrder::Refused(status)) => Outcome::Refused(status.to_string()),
                Err(NoOrder::Away(fault)) => Outcome::Failed(fault.to_string()),
            };
            self.0.events.tell(
                Event::new(self.now(), "platform", function)
                    .with_peer("ES2+", supplier.name.to_string())
                    .with_outcome(outcome),
            );
            match answer {
                Ok(step) => self.write_step(&id, &order, step).await?,
                Err(NoOrder::Refused(status)) => {
                    let why = status.to_string();
                    let is_under_way = status.status() == Some(Status::IccidInvalidTransition);
                    let policies = self.policies().await?;
                    let next = transact(self.records(), |tx| {
                        Box::pin(self.refused(tx, (&id, &order), is_under_way, &why, &policies))
                    });
                    if let Some(next) = next.await? {
                        id = next;
                    }
                }
                Err(NoOrder::Away(_)) => return Ok(Driven::Away),
            }
        }
    }

    /// The next step, unless somebody else has taken one meanwhile.
    async fn write_step(&self, id: &OrderId, was: &ProfileOrder, step: Option<Step>) -> Result<(), Fault> {
        let next = step.map(|step| ProfileOrder { step, since: self.now(), ..was.clone() });
        transact(self.records(), |tx| {
            let next = next.as_ref();
            Box::pin(async move {
                match (tx.get(&ORDERS, id.as_ref()).await?, next) {
                    (Some(kept), Some(next)) if kept == *was => tx.put(&ORDERS, id.as_ref(), next),
                    (Some(kept), None) if kept == *was => {
                        tx.delete(&ORDERS, id.as_ref());
                        Ok(())
                    }
                    _ => Ok(()),
                }
            })
        })
        .await
    }

    /// The SM-DP+ has said no. Gives the order with which the move goes on, if there is another offer.
    async fn refused(
        &self,
        tx: &mut Tx<'_>,
        (id, was): (&OrderId, &ProfileOrder),
        is_under_way: bool,
        why: &str,
        policies: &Policies,
    ) -> Result<Option<OrderId>, Fault> {
        if tx.get(&ORDERS, id.as_ref()).await?.as_ref() != Some(was) {
            return Ok(None);
        }
        let key = was.eid.to_string();
        match &was.step {
            Step::Cancelling { iccid, code, .. } => {
                match code {
                    // It was handed out, and how that ended is not known there: it can be downloaded once more.
                    Some(Code(code)) if is_under_way => {
                        let step = Step::Released { iccid: *iccid, code: code.clone() };
                        let kept = ProfileOrder { step, since: self.now(), ..was.clone() };
                        tx.put(&ORDERS, id.as_ref(), &kept)?;
                    }
                    _ => tx.delete(&ORDERS, id.as_ref()),
                }
                if let Some(mut device) = tx.get(&DEVICES, &key).await? {
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
                let open = tx.get(&MOVES, &key).await?;
                if let Some(open) = open.filter(|open| open.by == By::Ordered(id.clone()))
                    && let Some(mut device) = tx.get(&DEVICES, &key).await?
                {
                    let next = self.next_offer(tx, &mut device, &open, (was, why), policies).await?;
                    if next.is_none() {
                        self.end(tx, &mut device, &open, (Try::NotInstalled, why)).await?;
                    }
                    store::put(tx, &device)?;
                    return Ok(next);
                }
            }
        }
        Ok(None)
    }

    /// The move goes on with the best offer that an SM-DP+ has not refused yet, if there is one.
    async fn next_offer(
        &self,
        tx: &mut Tx<'_>,
        device: &mut Device,
        open: &Move,
        (was, why): (&ProfileOrder, &str),
        policies: &Policies,
    ) -> Result<Option<OrderId>, Fault> {
        let Ok(campaign) = campaigns::get(tx, &open.campaign).await? else { return Ok(None) };
        let passed_over: Vec<Plmn> = was.passed_over.iter().copied().chain([was.operator]).collect();
        let Setup { book, owner, .. } = &self.0.setup;
        let is_left = |offer: &&Offer| {
            let network = offer.operator.plmn;
            !passed_over.contains(&network) && self.sm_dp_plus(network).is_some()
        };
        let offers: Vec<Offer> = owner.offers.iter().filter(is_left).cloned().collect();
        let (now, policy) = (self.now(), policies.of(device));
        let planned = plan(now, device, campaign.spec.target, (book, &offers, policy));
        let Plan::Move { to: Destination::Offer(offer), .. } = planned else { return Ok(None) };
        let to = offer.operator;
        let next = self.order_new(tx, device.eid, &offer, passed_over)?;
        let happening = Happening::PassedOver { network: was.operator, why: why.into(), to: to.plmn };
        device.happened(now, happening).map_err(impossible)?;
        let moves = Move { to, by: By::Ordered(next.clone()), ..open.clone() };
        tx.put(&MOVES, &device.eid.to_string(), &moves)?;
        Ok(Some(next))
    }

    /// Where profiles of that operator are ordered, if they are.
    pub(super) fn sm_dp_plus(&self, operator: Plmn) -> Option<&Es2Plus> {
        self.0.setup.suppliers.get(&operator).and_then(Supplier::sm_dp_plus)
    }

    /// The identifier of a call that no other has.
    fn call(&self) -> Box<str> {
        format!("landfall-{}", hex::encode(self.0.world.random::<16>())).into()
    }
}

impl Step {
    fn function(&self) -> &'static str {
        match self {
            Self::Reserving { .. } => "DownloadOrder",
            Self::Confirming { .. } => "ConfirmOrder",
            Self::Cancelling { .. } => "CancelOrder",
            Self::Released { .. } | Self::Fulfilled { .. } => "",
        }
    }
}

/// What the keys of a device's orders begin with.
pub(super) fn prefix(eid: Eid) -> String {
    format!("{eid}/")
}

/// The profile is on the card.
pub(super) async fn fulfilled(tx: &mut Tx<'_>, id: &OrderId, now: Timestamp) -> Result<(), Fault> {
    let Some(order) = tx.get(&ORDERS, id.as_ref()).await? else { return Ok(()) };
    match order.step.iccid() {
        // Its SM-DP+ knows it already.
        Some(iccid) if order.told != Some(Told::Installed) => {
            let step = Step::Fulfilled { iccid };
            tx.put(&ORDERS, id.as_ref(), &ProfileOrder { step, since: now, ..order })
        }
        _ => {
            tx.delete(&ORDERS, id.as_ref());
            Ok(())
        }
    }
}
