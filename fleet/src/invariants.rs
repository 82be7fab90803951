//! Checks that the records of a platform do not contradict each other.

use std::collections::{BTreeMap, BTreeSet};

use rsp::ids::Eid;
use world::{Fault, Records, Tx};

use crate::{
    campaign::{CAMPAIGNS, Direction, MEMBERS, Member},
    moves::{MOVES, Move},
    profile_order::{ORDERS, OrderStep, ProfileOrder},
    state::State,
    store::DEVICES,
};

/// Returns a description of every contradiction between the records. This function reads all records.
/// Tests call it between operations.
///
/// # Errors
/// The records cannot be read.
pub async fn violations(records: &dyn Records) -> Result<Vec<String>, Fault> {
    let tx = Tx::begin(records);
    let devices: BTreeMap<_, _> = tx.peek_list(&DEVICES, "").await?.into_iter().collect();
    let moves: BTreeMap<_, _> = tx.peek_list(&MOVES, "").await?.into_iter().collect();
    let orders: BTreeMap<_, _> = tx.peek_list(&ORDERS, "").await?.into_iter().collect();
    let campaigns = tx.peek_list(&CAMPAIGNS, "").await?;
    let members: BTreeMap<_, _> = tx.peek_list(&MEMBERS, "").await?.into_iter().collect();
    let mut found = Vec::new();
    for (eid, open) in &moves {
        match devices.get(eid).map(|stored| stored.clone().with(None)) {
            None => found.push(format!("{eid} has a move and is not part of the fleet")),
            Some(device) if matches!(device.state, State::Working) => {}
            Some(device) => found.push(format!("{eid} has a move and is {}", device.state)),
        }
        let key = format!("{}/{eid}", open.campaign);
        if !members.get(&key).is_some_and(|member| member.started) {
            found.push(format!("{eid} has a move of a campaign that has not started it"));
        }
    }
    found.extend(wrong_orders(&moves, &orders));
    for (id, campaign) in &campaigns {
        let prefix = format!("{id}/");
        let its_members =
            members.iter().filter_map(|(key, member)| Some((key.strip_prefix(&prefix)?, member)));
        let is_moving = |eid: &str| moves.get(eid).filter(|open| open.campaign == campaign.spec.id);
        let recounted =
            campaign.recounted(its_members.clone().map(|(eid, member)| (member, is_moving(eid).is_some())));
        if recounted != campaign.progress {
            found.push(format!(
                "campaign {id} counts {:?}, but a recount gives {recounted:?}",
                campaign.progress
            ));
        }
        for (eid, member) in its_members {
            found.extend(wrong_member(member, is_moving(eid)).map(|why| format!("{eid} in {id}: {why}")));
            let retired = devices.get(eid).is_some_and(|stored| !stored.clone().with(None).is_in_service());
            if retired && campaign.goes_back && !campaign.is_finished(&member.state) {
                found.push(format!("{eid} is retired, and the rollback of campaign {id} waits for it"));
            }
            let is_back = is_moving(eid).is_some_and(|open| open.direction == Direction::Back);
            if is_back && !campaign.goes_back {
                found.push(format!("{eid} moves back, but campaign {id} is not rolled back"));
            }
        }
    }
    Ok(found)
}

fn wrong_member(member: &Member, open: Option<&Move>) -> Option<&'static str> {
    let has_ended = member.ended.sum() > 0;
    if member.started != (has_ended || open.is_some()) {
        Some("its mark as started does not match its attempts")
    } else if has_ended != member.last_ended.is_some() {
        Some("the time of its last attempt does not match its attempts")
    } else if open.is_some() && member.tries == 0 {
        Some("it has a move and no attempt")
    } else {
        None
    }
}

/// Checks that each order belongs to one device, and to at most one move, which is a move of this
/// device.
fn wrong_orders(moves: &BTreeMap<String, Move>, orders: &BTreeMap<String, ProfileOrder>) -> Vec<String> {
    let mut found = Vec::new();
    let mut ordered: BTreeSet<&str> = BTreeSet::new();
    for (eid, open) in moves {
        let Some(id) = open.order() else { continue };
        match orders.get(id.as_ref()) {
            None => found.push(format!("{eid} moves with order {id}, which does not exist")),
            Some(order) if order.eid.to_string() != *eid => {
                found.push(format!("{eid} moves with order {id} of device {}", order.eid));
            }
            Some(order)
                if order.is_to_be_cancelled() || matches!(order.step, OrderStep::Fulfilled { .. }) =>
            {
                found.push(format!("{eid} moves with order {id}, which is {:?}", order.step));
            }
            Some(_) => {}
        }
        if !ordered.insert(id.as_ref()) {
            found.push(format!("order {id} belongs to two moves"));
        }
    }
    for (key, order) in orders {
        let in_progress =
            matches!(order.step, OrderStep::Reserving { unwanted: false, .. } | OrderStep::Confirming { .. });
        if in_progress && !ordered.contains(key.as_str()) {
            found.push(format!("order {key} is in progress and belongs to no move"));
        }
        if key.split('/').next().and_then(|eid| eid.parse::<Eid>().ok()) != Some(order.eid) {
            found.push(format!("order {key} has the key of another device than {}", order.eid));
        }
    }
    found
}
