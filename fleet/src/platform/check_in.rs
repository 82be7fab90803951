//! A device checks in: read one device, decide, write one device.

use std::time::Duration;

use localize::{Destination, HeldState};
use rsp::{ids::Iccid, time::Timestamp};
use world::{Fault, Tx, transact};

use super::{
    By, MOVES, Move, ORDERS, Platform, Setup, Step,
    ending::impossible,
    orders::{Driven, ProfileOrder},
};
use crate::{
    campaign::{CAMPAIGNS, Campaign, MEMBERS, Member, MemberState, State, Try, Turn, member_key},
    check_in::{CheckIn, Discrepancy, Ending, Instruction, OrderId, Target, What},
    counted::Policies,
    device::Device,
    plan::{Plan, plan},
    problem::Problem,
    reconcile::{self, Expected, enabled},
    state::{self, Happening},
    store::{self, DEVICES},
};

/// What is to be done once the check-in is written down.
enum Taken {
    /// This is said.
    Say(Instruction),
    /// The profile of the move is ordered first.
    Order(OrderId),
}

/// What a campaign has for a device.
enum Offered {
    /// A move, which has begun.
    Begun(Move),
    /// Nothing before then, and then perhaps.
    NotBefore(Option<Timestamp>),
    /// A move that is not its turn: other campaigns wait for it.
    Waits(Option<Timestamp>),
}

impl Platform {
    /// A device says how it is, and is told what to do.
    ///
    /// # Errors
    /// The device is not one of the fleet, or the records fail.
    pub async fn check_in(&self, said: &CheckIn) -> Result<Instruction, Problem> {
        let policies = self.policies().await?;
        let policies = &*policies;
        match transact(self.records(), |tx| Box::pin(self.take_in(tx, said, policies))).await?? {
            Taken::Say(instruction) => Ok(instruction),
            Taken::Order(order) => {
                let driven = self.drive(&order).await?;
                let wait = match driven {
                    Driven::Settled => self.config().shortest,
                    Driven::Away => self.config().order_again,
                };
                Ok(transact(self.records(), |tx| Box::pin(self.say(tx, said, wait))).await?)
            }
        }
    }

    async fn take_in(
        &self,
        tx: &mut Tx<'_>,
        said: &CheckIn,
        policies: &Policies,
    ) -> Result<Result<Taken, Problem>, Fault> {
        let (now, key) = (self.now(), said.eid.to_string());
        let Some(mut device) = tx.get(&DEVICES, &key).await? else {
            return Ok(Err(Problem::not_found(
                format!("device {key} cannot check in"),
                "it is not one of the fleet",
                "bring it in with `landfall fleet import`",
            )));
        };
        if !device.is_in_service() {
            return Ok(Ok(Taken::Say(self.nothing_before(None))));
        }
        if matches!(device.state, state::State::Unreachable { .. }) {
            device.happened(now, Happening::Heard).map_err(impossible)?;
        }
        device.last_seen = Some(now);
        let mut open = tx.get(&MOVES, &key).await?;
        let target = match &open {
            Some(open) => target_of(tx, open).await?,
            None => None,
        };
        let expected = open.as_ref().zip(target).map(|(open, (iccid, _))| Expected { iccid, home: open.to });
        let mut found = reconcile::hold(&mut device, said, expected, &self.0.setup.book, now);
        let mut again = None;
        if let Some(ended) = &open
            && let Some((how, why)) = how_it_ended(said, ended, expected, &mut found)
        {
            again = self.end(tx, &mut device, ended, (how, &why)).await?;
            open = None;
        }
        for discrepancy in found {
            device.trail.push(now, Happening::Found(discrepancy));
        }
        let mut not_before = again;
        if open.is_none() {
            for (_, campaign) in tx.glance(&CAMPAIGNS, "").await? {
                if !campaign.state.is_active() {
                    continue;
                }
                let time = match self.offer(tx, &mut device, campaign, policies).await? {
                    Offered::Begun(begun) => {
                        open = Some(begun);
                        break;
                    }
                    Offered::NotBefore(time) => time,
                    Offered::Waits(time) => {
                        not_before = [not_before, time].into_iter().flatten().min();
                        break;
                    }
                };
                not_before = [not_before, time].into_iter().flatten().min();
            }
        }
        store::put(tx, &device)?;
        Ok(Ok(match open {
            None => Taken::Say(self.nothing_before(not_before)),
            Some(open) => match (&open.by, self.instruction(tx, &open, &device).await?) {
                (_, Some(instruction)) => Taken::Say(instruction),
                (By::Ordered(order), None) => Taken::Order(order.clone()),
                (By::Held(_), None) => Taken::Say(self.nothing_before(None)),
            },
        }))
    }

    /// What is said after the profile was ordered, or was not.
    async fn say(&self, tx: &mut Tx<'_>, said: &CheckIn, wait: Duration) -> Result<Instruction, Fault> {
        let key = said.eid.to_string();
        let (open, device) = (tx.get(&MOVES, &key).await?, tx.get(&DEVICES, &key).await?);
        let told = match (&open, &device) {
            (Some(open), Some(device)) => self.instruction(tx, open, device).await?,
            _ => None,
        };
        Ok(told.unwrap_or_else(|| self.nothing_before(Some(self.now().plus(wait)))))
    }

    /// What a device is told whose move has begun; none if its profile must be ordered first.
    async fn instruction(
        &self,
        tx: &mut Tx<'_>,
        open: &Move,
        device: &Device,
    ) -> Result<Option<Instruction>, Fault> {
        let Some((iccid, order)) = target_of(tx, open).await? else { return Ok(None) };
        let is_held = device.connection.held.iter().any(|held| held.iccid == iccid);
        let to = match order.map(|order| order.step) {
            None => Target::Enable(iccid),
            Some(_) if is_held => Target::Enable(iccid),
            Some(Step::Released { code, .. }) => Target::Download { iccid, code },
            Some(_) => return Ok(None),
        };
        let what = What::Move { order: open.order.clone(), to, fall_back_to: open.fall_back_to };
        Ok(Some(Instruction { what, next_check_in: self.now().plus(self.config().report_within) }))
    }

    /// What a campaign has for the device, which is not on the move.
    async fn offer(
        &self,
        tx: &mut Tx<'_>,
        device: &mut Device,
        campaign: Campaign,
        policies: &Policies,
    ) -> Result<Offered, Fault> {
        let now = self.now();
        let (id, spec) = (&campaign.spec.id, &campaign.spec);
        let key = member_key(id, device.eid);
        let member = tx.get(&MEMBERS, &key).await?;
        let mut member = match member {
            Some(member) => member,
            None if spec.standing && spec.has(device, now) => Member::default(),
            None => return Ok(Offered::NotBefore(None)),
        };
        let rolls_back = campaign.state == State::RollingBack;
        let planned = match (&member.state, rolls_back) {
            (MemberState::Moved { .. }, true) => way_back(device, &member),
            (MemberState::Again { .. } | MemberState::PutOff { .. }, true) if member.came_from.is_some() => {
                way_back(device, &member)
            }
            (_, true) => return Ok(Offered::NotBefore(None)),
            (state, false) if state.is_final() && !spec.standing => return Ok(Offered::NotBefore(None)),
            (_, false) => {
                let Setup { book, owner, .. } = &self.0.setup;
                plan(now, device, spec.target, (book, &owner.offers, policies.of(device)))
            }
        };
        let planned = match planned {
            Plan::Move { to: Destination::Offer(offer), .. } if !self.supplies(&offer) => {
                let why = format!("no SM-DP+ is known for network {}", offer.operator.plmn);
                Plan::Stuck { why: why.into(), next_check: None, reasons: Vec::new() }
            }
            planned => planned,
        };
        let (to, fall_back_to) = match planned {
            Plan::Move { to, fall_back_to, .. } => (to, fall_back_to),
            Plan::Nothing { next_check, .. } => {
                if matches!(device.state, state::State::Stuck { .. }) {
                    device.happened(now, Happening::Helped).map_err(impossible)?;
                }
                self.finish(tx, (id.clone(), spec.standing), &key, member, MemberState::NothingToDo).await?;
                return Ok(Offered::NotBefore(next_check));
            }
            Plan::Stuck { why, next_check, .. } => {
                let known = matches!(&device.state, state::State::Stuck { why: known, .. } if *known == why);
                if !known {
                    device.happened(now, Happening::Stuck { why: why.clone() }).map_err(impossible)?;
                }
                self.finish(tx, (id.clone(), spec.standing), &key, member, MemberState::Failed { why })
                    .await?;
                return Ok(Offered::NotBefore(next_check));
            }
        };
        let Some(mut campaign) = tx.get(&CAMPAIGNS, &id.to_string()).await? else {
            return Ok(Offered::NotBefore(None));
        };
        let before = (campaign.clone(), member.clone());
        let turn = campaign.turn(&mut member, now);
        if turn == Turn::Now {
            let begun = self.begin(tx, device, (&mut campaign, &mut member), (&to, fall_back_to)).await?;
            return Ok(Offered::Begun(begun));
        }
        if campaign != before.0 {
            tx.put(&CAMPAIGNS, &campaign.spec.id.to_string(), &campaign)?;
        }
        if member != before.1 {
            tx.put(&MEMBERS, &key, &member)?;
        }
        Ok(Offered::Waits(match turn {
            Turn::At(time) => Some(time),
            Turn::Now | Turn::Later => None,
        }))
    }

    /// There is nothing to do with the device, as far as a campaign with an end goes.
    async fn finish(
        &self,
        tx: &mut Tx<'_>,
        (id, standing): (crate::campaign::CampaignId, bool),
        key: &str,
        mut member: Member,
        state: MemberState,
    ) -> Result<(), Fault> {
        if standing || member.state.is_final() {
            return Ok(());
        }
        let Some(mut campaign) = tx.get(&CAMPAIGNS, &id.to_string()).await? else { return Ok(()) };
        let progress = &mut campaign.progress;
        progress.finished = progress.finished.saturating_add(1);
        progress.settled = progress.settled.saturating_add(u32::from(member.came_from.is_some()));
        member.state = state;
        campaign.settle(self.now());
        tx.put(&MEMBERS, key, &member)?;
        tx.put(&CAMPAIGNS, &id.to_string(), &campaign)
    }

    fn supplies(&self, offer: &localize::Offer) -> bool {
        self.0.setup.suppliers.contains_key(&offer.operator.plmn)
    }

    fn nothing_before(&self, time: Option<Timestamp>) -> Instruction {
        let (now, config) = (self.now(), self.config());
        let latest = now.plus(config.longest);
        let next_check_in = time.unwrap_or(latest).clamp(now.plus(config.shortest), latest);
        Instruction { what: What::Nothing, next_check_in }
    }
}

/// Back to the profile that the device had in use before the campaign moved it.
fn way_back(device: &Device, member: &Member) -> Plan {
    let held = &device.connection.held;
    let there = held.iter().find(|held| Some(held.iccid) == member.came_from);
    match there {
        Some(held) if held.state == HeldState::Enabled => {
            Plan::Nothing { next_check: None, reasons: Vec::new() }
        }
        Some(there) => Plan::Move {
            to: Destination::Held(there.clone()),
            fall_back_to: enabled(held),
            deadline: None,
            reasons: Vec::new(),
        },
        None => Plan::Stuck {
            why: "the profile to go back to is no longer on its card".into(),
            next_check: None,
            reasons: Vec::new(),
        },
    }
}

/// The profile that a move is about, and the order of it, as far as there are any.
async fn target_of(tx: &mut Tx<'_>, open: &Move) -> Result<Option<(Iccid, Option<ProfileOrder>)>, Fault> {
    match &open.by {
        By::Held(iccid) => Ok(Some((*iccid, None))),
        By::Ordered(order) => {
            let order = tx.get(&ORDERS, order.as_ref()).await?;
            Ok(order.and_then(|order| Some((order.step.iccid()?, Some(order)))))
        }
    }
}

/// How a move has ended by what the device says, and its card.
fn how_it_ended(
    said: &CheckIn,
    open: &Move,
    expected: Option<Expected>,
    found: &mut Vec<Discrepancy>,
) -> Option<(Try, Box<str>)> {
    let target = expected.map(|expected| expected.iccid);
    let on_card = said.profiles.as_ref().and_then(|profiles| profiles.iter().find(|profile| profile.enabled));
    let in_use = on_card.map(|profile| profile.iccid).or(said.registered.map(|registered| registered.iccid));
    let ended = said.ended.as_ref().filter(|ended| ended.order == open.order);
    match (ended.map(|ended| &ended.ending), target) {
        (Some(Ending::Moved), Some(iccid)) if in_use.is_some_and(|in_use| in_use != iccid) => {
            found.push(Discrepancy::NotThere { iccid });
            Some((Try::CameBack, format!("it says that it moved, and profile {iccid} is not in use").into()))
        }
        (Some(Ending::Moved), _) => Some((Try::Moved, "".into())),
        (Some(Ending::CameBack { why }), _) => Some((Try::CameBack, why.clone())),
        (Some(Ending::NotInstalled { why }), _) => Some((Try::NotInstalled, why.clone())),
        (None, Some(iccid)) if in_use == Some(iccid) && said.registered.is_some() => {
            found.push(Discrepancy::Unreported { iccid });
            Some((Try::Moved, "".into()))
        }
        (None, _) => None,
    }
}
