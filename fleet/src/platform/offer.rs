//! What the campaigns have for a device that is not on the move.

use localize::{Destination, HeldState, Offer};
use rsp::{ids::Eid, time::Timestamp};
use world::{Fault, Tx};

use super::{Move, Platform, Setup, ending::impossible};
use crate::{
    campaign::{CAMPAIGNS, Campaign, MEMBERS, Member, MemberState, Turn, member_key},
    counted::Policies,
    device::Device,
    plan::{Plan, plan},
    reconcile::enabled,
    state::{Happening, State},
};

/// What came of asking them.
pub(super) enum Offered {
    /// A move has begun.
    Begun(Move),
    /// Nothing is to be done before then, if ever.
    NotBefore(Option<Timestamp>),
}

/// What one of them has.
enum One {
    /// A move, which has begun.
    Begun(Move),
    /// A move that is to wait; so do the campaigns behind it.
    Waits(Option<Timestamp>),
    /// Nothing.
    Nothing(Option<Timestamp>),
    /// A move that is needed and cannot be made.
    Stuck(Box<str>, Option<Timestamp>),
    /// The device is none of its own.
    NotConcerned,
}

impl Platform {
    /// Asks the campaigns that are active, in the order of their names; the first that moves the device does.
    pub(super) async fn offer(
        &self,
        tx: &mut Tx<'_>,
        device: &mut Device,
        policies: &Policies,
    ) -> Result<Offered, Fault> {
        let now = self.now();
        let (mut not_before, mut stuck, mut nothing) = (None, None, false);
        for (_, campaign) in tx.glance(&CAMPAIGNS, "").await? {
            if !campaign.state.is_active() {
                continue;
            }
            let time = match self.offer_of(tx, device, campaign, policies).await? {
                One::Begun(begun) => return Ok(Offered::Begun(begun)),
                One::NotConcerned => None,
                One::Nothing(time) => {
                    nothing = true;
                    time
                }
                One::Stuck(why, time) => {
                    stuck.get_or_insert(why);
                    time
                }
                One::Waits(time) => {
                    not_before = [not_before, time].into_iter().flatten().min();
                    break;
                }
            };
            not_before = [not_before, time].into_iter().flatten().min();
        }
        match (&device.state, stuck) {
            (State::Stuck { why: known, .. }, Some(why)) if *known == why => {}
            (_, Some(why)) => device.happened(now, Happening::Stuck { why }).map_err(impossible)?,
            (State::Stuck { .. }, None) if nothing => {
                device.happened(now, Happening::Helped).map_err(impossible)?;
            }
            _ => {}
        }
        Ok(Offered::NotBefore(not_before))
    }

    async fn offer_of(
        &self,
        tx: &mut Tx<'_>,
        device: &mut Device,
        glanced: Campaign,
        policies: &Policies,
    ) -> Result<One, Fault> {
        let (now, spec) = (self.now(), &glanced.spec);
        let key = member_key(&spec.id, device.eid);
        let mut member = match tx.get(&MEMBERS, &key).await? {
            Some(member) => member,
            None if spec.standing && spec.has(device, now) => Member::default(),
            None => return Ok(One::NotConcerned),
        };
        let planned = match (glanced.goes_back, &member.state) {
            (true, MemberState::Moved { .. } | MemberState::Again { .. } | MemberState::PutOff { .. }) => {
                way_back(device, &member)
            }
            (true, _) => return Ok(One::NotConcerned),
            (false, state) if state.is_final() && !spec.standing => return Ok(One::NotConcerned),
            (false, _) => {
                let Setup { book, owner, .. } = &self.0.setup;
                plan(now, device, spec.target, (book, &owner.offers, policies.of(device)))
            }
        };
        let (to, fall_back_to) = match self.supplied(planned) {
            Plan::Move { to, fall_back_to, .. } => (to, fall_back_to),
            Plan::Nothing { next_check, .. } => {
                let state = match glanced.goes_back {
                    true => MemberState::RolledBack { at: now },
                    false => MemberState::NothingToDo,
                };
                self.finish(tx, &glanced, device.eid, state).await?;
                return Ok(One::Nothing(next_check));
            }
            Plan::Stuck { why, next_check, .. } => {
                let state = MemberState::Failed { at: now, why: why.clone() };
                self.finish(tx, &glanced, device.eid, state).await?;
                return Ok(One::Stuck(why, next_check));
            }
        };
        // Until now it was only looked at: what is decided about it now rests on how it is now.
        let Some(mut campaign) = tx.get(&CAMPAIGNS, &spec.id.to_string()).await? else {
            return Ok(One::NotConcerned);
        };
        let before = (campaign.clone(), member.clone());
        let turn = campaign.turn(&mut member, now);
        if turn == Turn::Now {
            let begun = self.begin(tx, device, (&mut campaign, &mut member), (&to, fall_back_to)).await?;
            return Ok(One::Begun(begun));
        }
        if campaign != before.0 {
            tx.put(&CAMPAIGNS, &spec.id.to_string(), &campaign)?;
        }
        if member != before.1 {
            tx.put(&MEMBERS, &key, &member)?;
        }
        Ok(One::Waits(match turn {
            Turn::At(time) => Some(time),
            Turn::Now | Turn::Later => None,
        }))
    }

    /// A campaign that is not for ever has nothing more to do with the device.
    pub(super) async fn finish(
        &self,
        tx: &mut Tx<'_>,
        glanced: &Campaign,
        eid: Eid,
        state: MemberState,
    ) -> Result<(), Fault> {
        let id = &glanced.spec.id;
        let key = member_key(id, eid);
        let Some(mut member) = tx.get(&MEMBERS, &key).await? else { return Ok(()) };
        if !glanced.goes_back && (glanced.spec.standing || member.state.is_final()) {
            return Ok(());
        }
        let Some(mut campaign) = tx.get(&CAMPAIGNS, &id.to_string()).await? else { return Ok(()) };
        member.state = state;
        campaign.finishes(&member);
        campaign.settle(self.now());
        tx.put(&MEMBERS, &key, &member)?;
        tx.put(&CAMPAIGNS, &id.to_string(), &campaign)
    }

    /// What cannot be ordered anywhere is no way out.
    pub(super) fn supplied(&self, planned: Plan) -> Plan {
        let is_supplied = |offer: &Offer| self.0.setup.suppliers.contains_key(&offer.operator.plmn);
        match planned {
            Plan::Move { to: Destination::Offer(offer), reasons, .. } if !is_supplied(&offer) => {
                let why = format!("nobody is known who brings profiles of network {}", offer.operator.plmn);
                Plan::Stuck { why: why.into(), next_check: None, reasons }
            }
            planned => planned,
        }
    }
}

/// Back to the profile that the device had in use before the campaign moved it.
fn way_back(device: &Device, member: &Member) -> Plan {
    let held = &device.connection.held;
    let (next_check, reasons) = (None, Vec::new());
    match held.iter().find(|held| Some(held.iccid) == member.came_from) {
        Some(there) if there.state == HeldState::Enabled => Plan::Nothing { next_check, reasons },
        Some(there) => Plan::Move {
            to: Destination::Held(there.clone()),
            fall_back_to: enabled(held),
            deadline: None,
            reasons,
        },
        None => {
            let why = "the profile to go back to is no longer on its card".into();
            Plan::Stuck { why, next_check, reasons }
        }
    }
}
