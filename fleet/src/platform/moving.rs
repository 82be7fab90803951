//! Start and end of moves.

use localize::{Day, Destination};
use rsp::{
    ids::{Eid, Iccid},
    time::Timestamp,
};
use world::{Event, Fault, Outcome, Tx};

use super::{Platform, campaigns, orders};
use crate::{
    campaign::{AttemptResult, CAMPAIGNS, Campaign, Direction, MEMBERS, Member, member_key},
    check_in::MoveId,
    device::Device,
    moves::{MOVES, Move, ProfileSource},
    reconcile::{enabled, refuse},
    state::DeviceEvent,
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
        let source = match to {
            Destination::Held(held) => ProfileSource::Card(held.iccid),
            Destination::Offer(offer) if self.sm_dp_plus(offer.operator.plmn).is_none() => {
                ProfileSource::Operator(offer.order.clone())
            }
            Destination::Offer(offer) => {
                let id = self.order(tx, device.eid, offer).await?;
                ProfileSource::Order { id, refused_by: Vec::new() }
            }
            // No plan has an identity as its destination.
            Destination::Identity(_) => return Err(cannot_change_identity(device.eid)),
        };
        if !member.started {
            member.came_from = enabled(&device.connection.held);
        }
        campaign.begins(member, now);
        let begun = Move {
            id: MoveId::drawn(&self.0.world),
            campaign: campaign.spec.id.clone(),
            direction: if campaign.goes_back { Direction::Back } else { Direction::Forward },
            to: to.operator(),
            source,
            fall_back_to,
            begun: now,
        };
        device.happened(now, DeviceEvent::MoveBegan { to: begun.to.plmn })?;
        if device.country(now) == Some(begun.to.country) {
            // A failed move does not withdraw the request, so its deadlines continue.
            device.connection.swap_requested.get_or_insert(Day::of(now));
        }
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
        (result, why): (AttemptResult, &str),
    ) -> Result<Option<Timestamp>, Fault> {
        let now = self.now();
        let why: Box<str> = why.into();
        let ending = match result {
            AttemptResult::Moved => DeviceEvent::Moved,
            AttemptResult::CameBack => DeviceEvent::CameBack { why: why.clone() },
            AttemptResult::NotInstalled => DeviceEvent::NotInstalled { why: why.clone() },
            AttemptResult::Lost => DeviceEvent::Lost { why: why.clone() },
        };
        device.happened(now, ending)?;
        if result == AttemptResult::Moved {
            device.connection.swap_requested = None;
        }
        if result == AttemptResult::CameBack {
            refuse(device, ended.to.plmn, now, &why);
        }
        tx.delete(&MOVES, &device.eid.to_string());
        match (ended.order(), result) {
            (None, _) => {}
            (Some(order), AttemptResult::Moved | AttemptResult::CameBack) => {
                orders::fulfilled(tx, order, now).await?;
            }
            (Some(order), AttemptResult::NotInstalled | AttemptResult::Lost) => {
                self.give_up(tx, order).await?;
            }
        }
        let is_done = result == AttemptResult::Moved;
        let outcome = if is_done { Outcome::Done } else { Outcome::Failed(why.to_string()) };
        self.reporter()(tx, event(now, "MoveEnded", device.eid).with_outcome(outcome));
        let Some(mut campaign) = campaigns::find(tx, &ended.campaign).await? else { return Ok(None) };
        let key = member_key(&ended.campaign, device.eid);
        let Some(mut member) = tx.get(&MEMBERS, &key).await? else { return Ok(None) };
        let retry = campaign.ends(&mut member, ended.direction, (result, why), now);
        campaign.settle(now);
        tx.put(&MEMBERS, &key, &member)?;
        tx.put(&CAMPAIGNS, &ended.campaign.to_string(), &campaign)?;
        Ok(retry)
    }
}

pub(super) fn event(now: Timestamp, what: &'static str, eid: Eid) -> Event {
    Event::new(now, "platform", what).with_peer("", eid.to_string())
}

fn cannot_change_identity(eid: Eid) -> Fault {
    Fault::new(
        format!("cannot move device {eid}"),
        "a move cannot change the identity of an applet",
        "report this as a bug: a plan has an identity as its destination",
    )
}
