//! Selection of the next move for a device that is not moving.

use localize::{Destination, HeldState, Offer};
use rsp::{ids::Eid, time::Timestamp};
use world::{Fault, Tx};

use super::{Platform, RulesInForce};
use crate::{
    campaign::{CAMPAIGNS, Campaign, MEMBERS, Member, MemberState, Turn, member_key},
    device::Device,
    moves::Move,
    plan::{Plan, plan},
    reconcile::enabled,
    state::{DeviceEvent, State},
};

/// Result of evaluating the active campaigns for a device.
pub(super) enum Offered {
    /// A move has begun.
    Begun(Move),
    /// No move begins before this time. `None` means that no time is known.
    NotBefore(Option<Timestamp>),
}

/// Result of evaluating one campaign for a device.
enum CampaignOffer {
    /// The campaign has begun a move of the device.
    Begun(Move),
    /// The campaign has a move for the device, which must wait. The other campaigns are not
    /// evaluated.
    Waits(Option<Timestamp>),
    /// No move.
    Nothing(Option<Timestamp>),
    /// The campaign has to move the device, but the move is impossible.
    Stuck(Box<str>, Option<Timestamp>),
    /// The campaign does not include the device.
    NotConcerned,
}

impl Platform {
    /// Evaluates the active campaigns in the order of their IDs. The first campaign with a move for
    /// the device starts this move.
    pub(super) async fn offer(
        &self,
        tx: &mut Tx<'_>,
        device: &mut Device,
        in_force: &RulesInForce,
    ) -> Result<Offered, Fault> {
        let now = self.now();
        let (mut not_before, mut stuck, mut nothing) = (None, None, false);
        for (_, campaign) in tx.peek_list(&CAMPAIGNS, "").await? {
            if !campaign.state.is_active() {
                continue;
            }
            let time = match self.offer_of(tx, device, campaign, in_force).await? {
                CampaignOffer::Begun(begun) => return Ok(Offered::Begun(begun)),
                CampaignOffer::NotConcerned => None,
                CampaignOffer::Nothing(time) => {
                    nothing = true;
                    time
                }
                CampaignOffer::Stuck(why, time) => {
                    stuck.get_or_insert(why);
                    time
                }
                CampaignOffer::Waits(time) => {
                    not_before = [not_before, time].into_iter().flatten().min();
                    break;
                }
            };
            not_before = [not_before, time].into_iter().flatten().min();
        }
        match (&device.state, stuck) {
            (State::Stuck { why: known, .. }, Some(why)) if *known == why => {}
            (_, Some(why)) => device.happened(now, DeviceEvent::Stuck { why })?,
            (State::Stuck { .. }, None) if nothing => {
                device.happened(now, DeviceEvent::Helped)?;
            }
            _ => {}
        }
        Ok(Offered::NotBefore(not_before))
    }

    async fn offer_of(
        &self,
        tx: &mut Tx<'_>,
        device: &mut Device,
        snapshot: Campaign,
        in_force: &RulesInForce,
    ) -> Result<CampaignOffer, Fault> {
        let (now, spec) = (self.now(), &snapshot.spec);
        let key = member_key(&spec.id, device.eid);
        let mut member = match tx.get(&MEMBERS, &key).await? {
            Some(member) => member,
            None if spec.standing && spec.has(device, now) => Member::default(),
            None => return Ok(CampaignOffer::NotConcerned),
        };
        let planned = match (snapshot.goes_back, &member.state) {
            (_, state) if snapshot.is_finished(state) && !spec.standing => {
                return Ok(CampaignOffer::NotConcerned);
            }
            (true, MemberState::Moved { .. } | MemberState::Again { .. } | MemberState::PutOff { .. }) => {
                way_back(device, &member)
            }
            (true, _) => return Ok(CampaignOffer::NotConcerned),
            (false, _) => {
                let RulesInForce { book, policies } = in_force;
                let (connection, offers) = (policies.connection(device, now), &self.0.setup.owner.offers);
                plan(now, &connection, spec.target, (book, offers, policies.of(device)))
            }
        };
        let (to, fall_back_to) = match self.supplied(planned) {
            Plan::Move { to, fall_back_to, .. } => (to, fall_back_to),
            Plan::Nothing { next_check, .. } => {
                let state = match snapshot.goes_back {
                    true => MemberState::RolledBack { at: now },
                    false => MemberState::NothingToDo,
                };
                self.finish(tx, &snapshot, device.eid, state).await?;
                return Ok(CampaignOffer::Nothing(next_check));
            }
            Plan::Stuck { why, next_check, .. } => {
                let state = MemberState::Failed { at: now, why: why.clone() };
                self.finish(tx, &snapshot, device.eid, state).await?;
                return Ok(CampaignOffer::Stuck(why, next_check));
            }
        };
        // The campaign was read without conflict detection so far. From here on, the decision
        // depends on its current state, so it is read again with conflict detection.
        let Some(mut campaign) = tx.get(&CAMPAIGNS, &spec.id.to_string()).await? else {
            return Ok(CampaignOffer::NotConcerned);
        };
        let before = (campaign.clone(), member.clone());
        let turn = campaign.turn(&mut member, now);
        if turn == Turn::Now {
            let begun = self.begin(tx, device, (&mut campaign, &mut member), (&to, fall_back_to)).await?;
            return Ok(CampaignOffer::Begun(begun));
        }
        if campaign != before.0 {
            tx.put(&CAMPAIGNS, &spec.id.to_string(), &campaign)?;
        }
        if member != before.1 {
            tx.put(&MEMBERS, &key, &member)?;
        }
        Ok(CampaignOffer::Waits(match turn {
            Turn::At(time) => Some(time),
            Turn::Now | Turn::Later => None,
        }))
    }

    /// Records that a campaign does not have to move the device any more. A standing campaign that
    /// is not rolled back stays unchanged.
    pub(super) async fn finish(
        &self,
        tx: &mut Tx<'_>,
        snapshot: &Campaign,
        eid: Eid,
        state: MemberState,
    ) -> Result<(), Fault> {
        let id = &snapshot.spec.id;
        let key = member_key(id, eid);
        let Some(mut member) = tx.get(&MEMBERS, &key).await? else { return Ok(()) };
        let is_done = |campaign: &Campaign, member: &Member| {
            campaign.is_finished(&member.state) || (campaign.spec.standing && !campaign.goes_back)
        };
        // Most check-ins must not conflict with changes of the campaign, so the first check uses the
        // copy that was read without conflict detection.
        if is_done(snapshot, &member) {
            return Ok(());
        }
        let Some(mut campaign) = tx.get(&CAMPAIGNS, &id.to_string()).await? else { return Ok(()) };
        if is_done(&campaign, &member) {
            return Ok(());
        }
        campaign.finishes(&mut member, state);
        campaign.settle(self.now());
        tx.put(&MEMBERS, &key, &member)?;
        tx.put(&CAMPAIGNS, &id.to_string(), &campaign)
    }

    /// Turns a move to a network without a supplier into a stuck plan.
    pub(super) fn supplied(&self, planned: Plan) -> Plan {
        let is_supplied = |offer: &Offer| self.0.setup.suppliers.contains_key(&offer.operator.plmn);
        match planned {
            Plan::Move { to: Destination::Offer(offer), reasons, .. } if !is_supplied(&offer) => {
                let why =
                    format!("no supplier is configured for profiles of network {}", offer.operator.plmn);
                Plan::Stuck { why: why.into(), next_check: None, reasons }
            }
            planned => planned,
        }
    }
}

/// Plans the return to the profile that the device used before the campaign moved it.
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
            let why = "the former profile is no longer on the card".into();
            Plan::Stuck { why, next_check, reasons }
        }
    }
}
