//! The beginning and the end of a move, in whatever way the platform came to know of it.

use localize::{Destination, Refused};
use rsp::{
    ids::{Eid, Iccid},
    time::Timestamp,
};
use world::{Event, Fault, Outcome, Tx};

use super::{By, MOVES, Move, Platform, campaigns, orders};
use crate::{
    campaign::{CAMPAIGNS, Campaign, MEMBERS, Member, MemberState, State, Try, member_key},
    check_in::OrderId,
    device::Device,
    reconcile::{enabled, refuse},
    state::{self, Happening},
};

impl Platform {
    /// A device begins to move. The caller has found that it is its turn.
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
            Destination::Offer(offer) => {
                By::Ordered(self.order(tx, device.eid, offer, member.left_over.take()).await?)
            }
            // A plan never is one.
            Destination::Identity(_) => return Err(not_by_a_move(device.eid)),
        };
        if member.came_from.is_none() {
            member.came_from = enabled(&device.connection.held);
            campaign.progress.started = campaign.progress.started.saturating_add(1);
            if campaign.spec.standing {
                campaign.progress.devices = campaign.progress.devices.saturating_add(1);
            }
        } else if member.state.is_final() {
            campaign.progress.settled = campaign.progress.settled.saturating_sub(1);
            campaign.progress.finished = campaign.progress.finished.saturating_sub(1);
        }
        let rolls_back = campaign.state == State::RollingBack;
        campaign.begins(now);
        member.tries = member.tries.saturating_add(1);
        member.state = MemberState::Moving { order: order.clone() };
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
        self.teller()(tx, event(now, "MoveBegan", device.eid).with_note(note));
        Ok(begun)
    }

    /// A move has ended. Says when the device tries again, if it does.
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
            By::Held(_) => None,
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
        self.teller()(tx, event(now, "MoveEnded", device.eid).with_outcome(outcome));
        let Ok(mut campaign) = campaigns::get(tx, &ended.campaign).await? else { return Ok(None) };
        let key = member_key(&ended.campaign, device.eid);
        let mut member = tx.get(&MEMBERS, &key).await?.unwrap_or_default();
        campaign.ends(how, now);
        let again = campaign.settles(&mut member, ended.rolls_back, (how, why), now);
        if let Some(order) = left_over {
            member.left_over = Some(order);
        }
        campaign.settle(now);
        tx.put(&MEMBERS, &key, &member)?;
        tx.put(&CAMPAIGNS, &ended.campaign.to_string(), &campaign)?;
        Ok(again)
    }
}

impl Campaign {
    /// What the end of a try means to its device.
    fn settles(
        &mut self,
        member: &mut Member,
        rolls_back: bool,
        (how, why): (Try, Box<str>),
        now: Timestamp,
    ) -> Option<Timestamp> {
        let tries = member.tries;
        let is_back = rolls_back && how == Try::Moved;
        let again = match how {
            Try::Moved => None,
            // Those that went nowhere are where they are to go back to.
            _ if self.state == State::RollingBack && !rolls_back => None,
            _ => self.tries_again(tries, now),
        };
        member.state = match again {
            _ if is_back => MemberState::RolledBack { at: now },
            _ if how == Try::Moved => MemberState::Moved { at: now },
            Some(after) => MemberState::Again { after, why },
            None => MemberState::Failed { why },
        };
        if again.is_none() {
            member.tries = 0;
            let progress = &mut self.progress;
            progress.settled = progress.settled.saturating_add(1);
            progress.finished = progress.finished.saturating_add(1);
            let stays_to_do = self.state == State::RollingBack && how == Try::Moved && !rolls_back;
            if self.state == State::RollingBack && !stays_to_do {
                progress.to_roll_back = progress.to_roll_back.saturating_sub(1);
                progress.rolled_back = progress.rolled_back.saturating_add(u32::from(is_back));
            }
        }
        again
    }
}

pub(super) fn event(now: Timestamp, what: &'static str, eid: Eid) -> Event {
    Event::new(now, "platform", what).with_peer("", eid.to_string())
}

pub(super) fn impossible(error: state::NotPossible) -> Fault {
    Fault::caused_by(error, "cannot write down what happened to a device", "report this")
}

fn not_by_a_move(eid: Eid) -> Fault {
    Fault::new(
        format!("cannot move device {eid}"),
        "an identity of an applet is not put on by a move",
        "report this: a plan has it as a destination",
    )
}
