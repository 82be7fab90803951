//! Processing of a check-in: read one device, decide, write one device.

use std::time::Duration;

use localize::HeldState;
use rsp::{ids::Iccid, time::Timestamp};
use rsp_server::api::Problem;
use world::{Fault, Tx, transact};

use super::{Platform, RulesInForce, moving::event, offer::Offered, orders::Driven};
use crate::{
    campaign::AttemptResult,
    check_in::{Action, CheckIn, Discrepancy, Ending, Instruction, Target},
    device::Device,
    moves::{MOVES, Move, ProfileSource},
    profile_order::{ORDERS, OrderStep, ProfileOrder, ProfileOrderId, prefix},
    reconcile::{self, Expected},
    state::{DeviceEvent, State},
    store,
    transaction::{Rejected, decide},
};

/// Next step after a check-in was recorded.
enum Recorded {
    /// Send this instruction.
    Reply(Instruction),
    /// Order the profile of the move first.
    OrderFirst(ProfileOrderId),
}

impl Platform {
    /// Processes a check-in and returns the instruction for the device.
    ///
    /// # Errors
    /// The device is not part of the fleet, or the records fail.
    pub async fn check_in(&self, report: &CheckIn) -> Result<Instruction, Problem> {
        let instruction = self.instruct(report).await;
        let event = event(self.now(), "CheckIn", report.eid);
        self.log().keep(&match &instruction {
            Ok(Instruction { what: Action::Nothing, .. }) => event,
            Ok(Instruction { what: Action::Move { order, .. }, .. }) => {
                event.with_note(format!("move {order}"))
            }
            Err(problem) => event.with_outcome(problem.outcome()),
        });
        instruction
    }

    async fn instruct(&self, report: &CheckIn) -> Result<Instruction, Problem> {
        let in_force = self.in_force().await?;
        let in_force = &*in_force;
        match decide(self.records(), |tx| Box::pin(self.record_check_in(tx, report, in_force))).await? {
            Recorded::Reply(instruction) => Ok(instruction),
            Recorded::OrderFirst(order) => {
                let driven = self.drive(&order).await?;
                let wait = match driven {
                    Driven::Settled => self.config().shortest,
                    Driven::Unreachable => self.config().order_again,
                };
                Ok(transact(self.records(), |tx| Box::pin(self.reply(tx, report, wait))).await?)
            }
        }
    }

    async fn record_check_in(
        &self,
        tx: &mut Tx<'_>,
        report: &CheckIn,
        in_force: &RulesInForce,
    ) -> Result<Recorded, Rejected> {
        let (now, key) = (self.now(), report.eid.to_string());
        let Some(mut device) = store::get(tx, report.eid).await? else {
            return Err(Rejected::Refusal(Problem::not_found(
                format!("device {key} cannot check in"),
                "it is not part of the fleet",
                "add it with `landfall fleet import`",
            )));
        };
        if !device.is_in_service() {
            return Ok(Recorded::Reply(self.no_action(None)));
        }
        if matches!(device.state, State::Unreachable { .. }) {
            device.happened(now, DeviceEvent::Heard).map_err(Fault::from)?;
        }
        device.last_seen = Some(now);
        let mut open = tx.get(&MOVES, &key).await?;
        let ordered = tx.list(&ORDERS, &prefix(report.eid)).await?;
        let expected = self.expected(&ordered, open.as_ref());
        let mut found = reconcile::reconcile(&mut device, report, &expected, self.networks(), now);
        let mut not_before = None;
        let by_orders = self.reconcile_orders(tx, report, (&ordered, open.as_ref()), &mut found).await?;
        if let Some(ended) = &open
            && let Some((how, why)) =
                how_it_ended(report, ended, target(tx, ended, &device).await?, &mut found).or(by_orders)
        {
            not_before = self.end(tx, &mut device, ended, (how, &why)).await?;
            open = None;
        }
        for discrepancy in found {
            device.trail.found(now, discrepancy);
        }
        if open.is_none() {
            match self.offer(tx, &mut device, in_force).await? {
                Offered::Begun(begun) => open = Some(begun),
                Offered::NotBefore(time) => not_before = [not_before, time].into_iter().flatten().min(),
            }
        }
        store::put(tx, &device)?;
        Ok(match open {
            None => Recorded::Reply(self.no_action(not_before)),
            Some(open) => match (self.instruction(tx, &open, &device).await?, open.order()) {
                (Some(instruction), _) => Recorded::Reply(instruction),
                (None, Some(order)) => Recorded::OrderFirst(order.clone()),
                (None, None) => Recorded::Reply(self.no_action(None)),
            },
        })
    }

    /// Returns the profiles that are expected on the card of a device: the profile of its move, and
    /// the profiles that are ordered for it.
    fn expected(&self, ordered: &[(String, ProfileOrder)], open: Option<&Move>) -> Vec<Expected> {
        let by_move = open.and_then(|open| match open.source {
            ProfileSource::Card(iccid) => {
                Some(Expected { iccid: Some(iccid), home: open.to, is_target: true })
            }
            ProfileSource::Operator(_) => Some(Expected { iccid: None, home: open.to, is_target: true }),
            ProfileSource::Order { .. } => None,
        });
        let target = open.and_then(Move::order);
        let ordered = ordered.iter().filter_map(|(id, order)| {
            let home = self.networks().locate(order.operator).ok()?;
            let is_target = target.is_some_and(|target| target.as_ref() == id);
            Some(Expected { iccid: Some(order.step.iccid()?), home, is_target })
        });
        by_move.into_iter().chain(ordered).collect()
    }

    /// Returns the instruction after an attempt to order the profile.
    async fn reply(&self, tx: &mut Tx<'_>, report: &CheckIn, wait: Duration) -> Result<Instruction, Fault> {
        let key = report.eid.to_string();
        let (open, device) = (tx.get(&MOVES, &key).await?, store::get(tx, report.eid).await?);
        let instruction = match (&open, &device) {
            (Some(open), Some(device)) => self.instruction(tx, open, device).await?,
            _ => None,
        };
        Ok(instruction.unwrap_or_else(|| self.no_action(Some(self.now().plus(wait)))))
    }

    /// Returns the instruction for a device whose move has begun, or `None` if its profile must be
    /// ordered first.
    async fn instruction(
        &self,
        tx: &mut Tx<'_>,
        open: &Move,
        device: &Device,
    ) -> Result<Option<Instruction>, Fault> {
        let held = |iccid: &Iccid| device.connection.held.iter().any(|held| held.iccid == *iccid);
        let to = match (&open.source, target(tx, open, device).await?) {
            (ProfileSource::Card(iccid), _) => Target::Enable(*iccid),
            (_, Some(iccid)) if held(&iccid) => Target::Enable(iccid),
            (ProfileSource::Operator(what), _) => {
                Target::Order { operator: open.to.plmn, what: what.clone() }
            }
            (ProfileSource::Order { id, .. }, _) => {
                match tx.get(&ORDERS, id.as_ref()).await?.map(|order| order.step) {
                    Some(OrderStep::Released { iccid, code }) => Target::Download { iccid, code },
                    _ => return Ok(None),
                }
            }
        };
        let what = Action::Move { order: open.id.clone(), to, fall_back_to: open.fall_back_to };
        Ok(Some(Instruction { what, next_check_in: self.now().plus(self.config().report_within) }))
    }

    fn no_action(&self, time: Option<Timestamp>) -> Instruction {
        let (now, config) = (self.now(), self.config());
        let latest = now.plus(config.longest);
        let next_check_in = time.unwrap_or(latest).clamp(now.plus(config.shortest), latest);
        Instruction { what: Action::Nothing, next_check_in }
    }
}

/// Returns the profile of a move once it is known. If the operator chooses the profile, the card
/// reports it.
async fn target(tx: &mut Tx<'_>, open: &Move, device: &Device) -> Result<Option<Iccid>, Fault> {
    Ok(match &open.source {
        ProfileSource::Card(iccid) => Some(*iccid),
        ProfileSource::Order { id, .. } => {
            tx.get(&ORDERS, id.as_ref()).await?.and_then(|order| order.step.iccid())
        }
        ProfileSource::Operator(_) => {
            let profiles = device.connection.held.iter().filter(|held| held.home.plmn == open.to.plmn);
            profiles.max_by_key(|held| held.state == HeldState::Enabled).map(|held| held.iccid)
        }
    })
}

/// Determines from the report and the card how a move has ended, if it has.
fn how_it_ended(
    report: &CheckIn,
    open: &Move,
    target: Option<Iccid>,
    found: &mut Vec<Discrepancy>,
) -> Option<(AttemptResult, Box<str>)> {
    let on_card =
        report.profiles.as_ref().and_then(|profiles| profiles.iter().find(|profile| profile.enabled));
    let in_use =
        on_card.map(|profile| profile.iccid).or(report.registered.map(|registered| registered.iccid));
    let ended = report.ended.as_ref().filter(|ended| ended.order == open.id);
    match (ended.map(|ended| &ended.ending), target) {
        (Some(Ending::Moved), Some(iccid)) if in_use.is_some_and(|in_use| in_use != iccid) => {
            found.push(Discrepancy::NotThere { iccid });
            Some((
                AttemptResult::CameBack,
                format!("it reports that it moved, but profile {iccid} is not enabled").into(),
            ))
        }
        (Some(Ending::Moved), None)
            if matches!(open.source, ProfileSource::Operator(_)) && report.profiles.is_some() =>
        {
            let why = format!("it reports that it moved, but its card has no profile of {}", open.to.plmn);
            Some((AttemptResult::NotInstalled, why.into()))
        }
        (Some(Ending::Moved), _) => Some((AttemptResult::Moved, "".into())),
        (Some(Ending::CameBack { why }), _) => Some((AttemptResult::CameBack, why.clone())),
        (Some(Ending::NotInstalled { why }), _) => Some((AttemptResult::NotInstalled, why.clone())),
        (None, Some(iccid)) if in_use == Some(iccid) && report.registered.is_some() => {
            found.push(Discrepancy::Unreported { iccid });
            Some((AttemptResult::Moved, "".into()))
        }
        (None, _) => None,
    }
}
