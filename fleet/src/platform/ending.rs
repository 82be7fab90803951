//! Start and end of moves.

use localize::{Destination, Refused};
use rsp::{
    ids::{Eid, Iccid},
    time::Timestamp,
};
use world::{Event, Fault, Outcome, Tx};

use super::{By, MOVES, Move, Platform, campaigns, orders};
use crate::{
    campaign::{CAMPAIGNS, Campaign, MEMBERS, Member, State, Try, member_key},
    check_in::OrderId,
    device::Device,
    reconcile::{enabled, refuse},
    state::{self, Happening},
};

impl Platform {
    /// Starts a move of a device. The caller has checked that it is the device's turn.
    pub(super) async fn begin(
        &self,
        tx: &mut Tx<'_>,
        device: &mut Device,
        (campaign, member): (&mut Campaign, &mut Member),
        (to, fall_back_to): (&Destination, Option<Iccid>),
    ) -> Result<Move, Fault> {
        let now = self.now();
        let order = OrderId::drawn(&self.0.world);
        let by = match to {
            Destination::Held(held) => By::Held(held.iccid),
            Destination::Offer(offer) if self.sm_dp_plus(offer.operator.plmn).is_none() => {
                By::Operator(offer.order.clone())
            }
            Destination::Offer(offer) => {
                By::Ordered(self.order(tx, device.eid, offer, member.left_over.take()).await?)
            }
            // Plans exclude identities.
            Destination::Identity(_) => return Err(not_by_a_move(device.eid)),
        };
        if !member.started {
            member.came_from = enabled(&device.connection.held);
        }
        let rolls_back = campaign.state == State::RollingBack;
        campaign.begins(member, &order, now);
        let begun = Move {
            order,
            campaign: campaign.spec.id.clone(),
            to: to.operator(),
            by,
            fall_back_to,
            rolls_back,
            begun: now,
        };
        if matches!(device.state, state::State::Moving { .. }) {
            let why = "no move of it is under way here".into();
            device.happened(now, Happening::CameBack { why }).map_err(impossible)?;
        }
        device.happened(now, Happening::MoveBegan { to: begun.to.plmn }).map_err(impossible)?;
        tx.put(&MOVES, &device.eid.to_string(), &begun)?;
        tx.put(&MEMBERS, &member_key(&campaign.spec.id, device.eid), member)?;
        tx.put(&CAMPAIGNS, &campaign.spec.id.to_string(), campaign)?;
        let note = format!("to {} for {}", begun.to.plmn, begun.campaign);
        self.reporter()(tx, event(now, "MoveBegan", device.eid).with_note(note));
        Ok(begun)
    }

    /// Ends a move. Returns the time of the retry, if there is one.
    pub(super) async fn end(
        &self,
        tx: &mut Tx<'_>,
        device: &mut Device,
        ended: &Move,
        (how, why): (Try, &str),
    ) -> Result<Option<Timestamp>, Fault> {
        let now = self.now();
        let why: Box<str> = why.into();
        let happening = match how {
            Try::Moved => Happening::Moved,
            Try::CameBack | Try::NotInstalled => Happening::CameBack { why: why.clone() },
            Try::Lost => Happening::Lost { why: why.clone() },
        };
        // A file may have said meanwhile that it does not move; its word stands.
        if device.happened(now, happening).is_err() {
            device.trail.push(now, Happening::Changed);
        }
        if how == Try::CameBack {
            refuse(device, Refused { operator: ended.to.plmn, at: now });
        }
        tx.delete(&MOVES, &device.eid.to_string());
        let left_over = match &ended.by {
            By::Held(_) | By::Operator(_) => None,
            By::Ordered(order) if matches!(how, Try::Moved | Try::CameBack) => {
                orders::fulfilled(tx, order, now).await?;
                None
            }
            By::Ordered(order) => {
                self.give_up(tx, order).await?;
                Some(order.clone())
            }
        };
        let outcome = if how == Try::Moved { Outcome::Done } else { Outcome::Failed(why.to_string()) };
        self.reporter()(tx, event(now, "MoveEnded", device.eid).with_outcome(outcome));
        let Ok(mut campaign) = campaigns::get(tx, &ended.campaign).await? else { return Ok(None) };
        let key = member_key(&ended.campaign, device.eid);
        let mut member = tx.get(&MEMBERS, &key).await?.unwrap_or_default();
        let again = campaign.ends(&mut member, ended.rolls_back, (how, why), now);
        if let Some(order) = left_over {
            member.left_over = Some(order);
        }
        campaign.settle(now);
        tx.put(&MEMBERS, &key, &member)?;
        tx.put(&CAMPAIGNS, &ended.campaign.to_string(), &campaign)?;
        Ok(again)
    }
}

pub(super) fn event(now: Timestamp, what: &'static str, eid: Eid) -> Event {
    Event::new(now, "platform", what).with_peer("", eid.to_string())
}

pub(super) fn impossible(error: state::NotPossible) -> Fault {
    Fault::caused_by(error, "cannot record an event of a device", "report this as a bug")
}

fn not_by_a_move(eid: Eid) -> Fault {
    Fault::new(
        format!("cannot move device {eid}"),
        "a move cannot change the identity of an applet",
        "report this as a bug: a plan has an identity as its destination",
    )
}
