//! Commands of the owner for campaigns.

use std::collections::{BTreeMap, BTreeSet};

use localize::Decision;
use rsp::ids::{Eid, Iccid};
use rsp_server::api::{Listing, Page, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::{Fault, Tx};

use super::Platform;
use crate::{
    campaign::{
        CAMPAIGNS, Campaign, CampaignId, CampaignSpec, Devices, MEMBERS, Member, MemberState, MemberStatus,
        State, member_key,
    },
    check_in::MoveId,
    device::{Device, Fleet, Selection},
    evaluated_fleet::EvaluatedFleet,
    moves::MOVES,
    plan::{Plan, plan},
    store::load,
    transaction::{Rejected, decide},
};

/// The reason for which a campaign gives up a device that was retired.
pub(super) const RETIRED: &str = "the device was taken out of service";

/// Maximum number of campaigns. Each check-in reads all of them.
const MAX_CAMPAIGNS: usize = 100;

impl Platform {
    /// Creates a campaign, which does nothing until it is started. Listed devices are stored as
    /// members of the campaign and are no longer part of its specification.
    ///
    /// # Errors
    /// The ID is in use, or the specification is invalid.
    pub async fn create_campaign(&self, spec: &CampaignSpec) -> Result<Campaign, Problem> {
        spec.check()?;
        let made = self.now();
        let mut campaign = Campaign::new(spec.clone(), made);
        let listed = match &mut campaign.spec.devices {
            Devices::Listed(listed) => std::mem::take(listed),
            Devices::Selected(_) => BTreeSet::new(),
        };
        decide(self.records(), |tx| Box::pin(create(tx, &campaign, &listed))).await?;
        Ok(campaign)
    }

    /// Starts a campaign. Unless the campaign is standing, its devices are those that are selected
    /// now.
    ///
    /// # Errors
    /// The campaign does not exist or has already started.
    pub async fn start_campaign(&self, id: &CampaignId) -> Result<Campaign, Problem> {
        decide(self.records(), |tx| Box::pin(self.start(tx, id))).await
    }

    /// Pauses a campaign: no move begins, and moves under way continue.
    ///
    /// # Errors
    /// The campaign does not exist or is not active.
    pub async fn pause_campaign(&self, id: &CampaignId, by: &str) -> Result<Campaign, Problem> {
        let since = self.now();
        self.change(id, |campaign| {
            if !campaign.state.is_active() {
                return Err(campaign.cannot("be paused", "only an active campaign can be paused"));
            }
            campaign.state = State::Paused { by: by.into(), since };
            Ok(())
        })
        .await
    }

    /// Resumes a campaign that is paused or stopped. The stop conditions ignore all failures so
    /// far, and canaries that have finished count as successful.
    ///
    /// # Errors
    /// The campaign does not exist, or is neither paused nor stopped.
    pub async fn resume_campaign(&self, id: &CampaignId) -> Result<Campaign, Problem> {
        self.change(id, |campaign| {
            match campaign.state {
                State::Paused { .. } => {}
                State::Stopped { .. } => {
                    campaign.forgive();
                    campaign.past_canary |= campaign.canaries_are_through();
                }
                _ => {
                    return Err(
                        campaign.cannot("be resumed", "only a paused or stopped campaign can be resumed")
                    );
                }
            }
            campaign.state = campaign.active();
            Ok(())
        })
        .await
    }

    /// Rolls a campaign back: devices return at the campaign's pace to the profiles that they had
    /// before it. Moves under way end first.
    ///
    /// # Errors
    /// The campaign does not exist, has not started, or is already rolled back.
    pub async fn roll_back_campaign(&self, id: &CampaignId) -> Result<Campaign, Problem> {
        decide(self.records(), |tx| Box::pin(self.roll_back(tx, id))).await
    }

    /// Deletes a campaign and the state of its devices.
    ///
    /// # Errors
    /// The campaign does not exist or has not ended.
    pub async fn remove_campaign(&self, id: &CampaignId) -> Result<(), Problem> {
        decide(self.records(), |tx| Box::pin(remove(tx, id))).await
    }

    /// Returns a campaign and the state of its devices.
    ///
    /// # Errors
    /// The campaign does not exist, or the records fail.
    pub async fn campaign(&self, id: &CampaignId) -> Result<CampaignDetails, Problem> {
        let mut tx = Tx::begin(self.records());
        let campaign = get(&mut tx, id).await?;
        let open: BTreeMap<String, MoveId> = tx
            .peek_list(&MOVES, "")
            .await?
            .into_iter()
            .filter(|(_, open)| open.campaign == *id)
            .map(|(key, open)| (key, open.id))
            .collect();
        let members = tx.peek_list(&MEMBERS, &members_of(id)).await?;
        let devices = members.into_iter().filter_map(|(key, member)| {
            let eid = key.rsplit('/').next()?;
            Some(CampaignDevice::new(eid.parse().ok()?, member, open.get(eid).cloned()))
        });
        Ok(CampaignDetails { devices: devices.collect(), campaign })
    }

    /// Returns what the campaign would do with each of its devices now. It makes the same decisions
    /// as a running campaign and writes nothing.
    ///
    /// # Errors
    /// The specification is invalid, or the records fail.
    pub async fn dry_run(&self, spec: &CampaignSpec) -> Result<Vec<PlannedMove>, Problem> {
        spec.check()?;
        let now = self.now();
        let fleet = load(self.records()).await?;
        let book = self.book();
        let conditions = self.conditions(&book, now);
        let counted = EvaluatedFleet::new(&fleet, conditions);
        let planned = fleet.devices().iter().filter(|device| spec.has(device, now)).map(|device| {
            let (connection, policy) = (counted.connection(device), counted.policy(device));
            let by = (&*book, conditions.offers, policy);
            let plan = self.supplied(plan(now, &connection, spec.target, by));
            PlannedMove { eid: device.eid, label: device.label.clone(), plan }
        });
        Ok(planned.collect())
    }

    /// Returns the decision about each selected device, with its reasons.
    ///
    /// # Errors
    /// The selection is invalid, or the records fail.
    pub async fn decisions(&self, listing: &Listing<Selection>) -> Result<Page<DeviceDecision>, Problem> {
        let (selection, now) = (&listing.filter, self.now());
        let fleet = self.fleet_of(selection).await?;
        let book = self.book();
        let counted = EvaluatedFleet::new(&fleet, self.conditions(&book, now));
        let decided = decisions(&counted, selection).into_iter();
        Ok(listing.of_sorted(decided.map(|decision| (decision.eid.to_string(), decision))))
    }

    /// Returns all campaigns in the order of their IDs.
    ///
    /// # Errors
    /// The records fail.
    pub async fn campaigns(&self) -> Result<Vec<Campaign>, Problem> {
        let all = Tx::begin(self.records()).peek_list(&CAMPAIGNS, "").await?;
        Ok(all.into_iter().map(|(_, campaign)| campaign).collect())
    }

    async fn start(&self, tx: &mut Tx<'_>, id: &CampaignId) -> Result<Campaign, Rejected> {
        let mut campaign = get(tx, id).await?;
        if campaign.state != State::Draft {
            return Err(campaign.cannot("be started", "use resume for a paused or stopped campaign").into());
        }
        campaign.state = campaign.active();
        if !campaign.spec.standing {
            let now = self.now();
            let devices = load(self.records()).await?;
            let eids: Vec<Eid> = match &campaign.spec.devices {
                Devices::Selected(_) => {
                    let selected = devices.devices().iter().filter(|device| campaign.spec.has(device, now));
                    selected.map(|device| device.eid).collect()
                }
                Devices::Listed(_) => still_there(tx, id, &devices).await?,
            };
            // Events before the start do not count.
            let member = Member::default();
            for eid in &eids {
                tx.put(&MEMBERS, &member_key(id, *eid), &member)?;
            }
            campaign.recount(eids.iter().map(|_| (&member, false)));
        }
        campaign.settle(self.now());
        tx.put(&CAMPAIGNS, &id.to_string(), &campaign)?;
        Ok(campaign)
    }

    async fn change(
        &self,
        id: &CampaignId,
        change: impl Fn(&mut Campaign) -> Result<(), Problem> + Send + Sync,
    ) -> Result<Campaign, Problem> {
        let (change, now) = (&change, self.now());
        decide(self.records(), |tx| {
            Box::pin(async move {
                let mut campaign = get(tx, id).await?;
                change(&mut campaign)?;
                campaign.settle(now);
                tx.put(&CAMPAIGNS, &id.to_string(), &campaign)?;
                Ok(campaign)
            })
        })
        .await
    }

    async fn roll_back(&self, tx: &mut Tx<'_>, id: &CampaignId) -> Result<Campaign, Rejected> {
        let mut campaign = get(tx, id).await?;
        if campaign.state == State::Draft || campaign.goes_back {
            let next = "only a started campaign can be rolled back, and only once";
            return Err(campaign.cannot("be rolled back", next).into());
        }
        let open = tx.list(&MOVES, "").await?;
        let moving: BTreeSet<String> = open
            .into_iter()
            .filter(|(_, open)| open.campaign == *id)
            .map(|(eid, _)| format!("{}{eid}", members_of(id)))
            .collect();
        let (keys, mut members): (Vec<String>, Vec<(Member, bool)>) = tx
            .list(&MEMBERS, &members_of(id))
            .await?
            .into_iter()
            .map(|(key, member)| {
                let is_moving = moving.contains(&key);
                (key, (member, is_moving))
            })
            .unzip();
        let before = members.clone();
        let devices = load(self.records()).await?;
        for (key, (member, _)) in keys.iter().zip(&mut members) {
            if matches!(member.state, MemberState::Moved { .. }) && member_in_service(&devices, key).is_none()
            {
                member.state = MemberState::Failed { at: self.now(), why: RETIRED.into() };
            }
        }
        campaign.roll_back(&mut members, self.now());
        for ((key, (member, _)), (was, _)) in keys.iter().zip(&members).zip(&before) {
            if member != was {
                tx.put(&MEMBERS, key, member)?;
            }
        }
        campaign.settle(self.now());
        tx.put(&CAMPAIGNS, &id.to_string(), &campaign)?;
        Ok(campaign)
    }
}

/// A campaign with its devices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CampaignDetails {
    /// The campaign.
    #[serde(flatten)]
    pub campaign: Campaign,
    /// The devices in the order of their EIDs.
    pub devices: Vec<CampaignDevice>,
}

/// A device of a campaign.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CampaignDevice {
    /// The EID.
    pub eid: Eid,
    /// Attempts that the device has begun, including those of a rollback.
    pub tries: u32,
    /// Its open move, or its state.
    pub state: MemberStatus,
    /// True if the device has begun an attempt.
    pub started: bool,
    /// True if the device was a canary.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canary: bool,
    /// The profile that was enabled before the first attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came_from: Option<Iccid>,
}

impl CampaignDevice {
    fn new(eid: Eid, member: Member, open: Option<MoveId>) -> Self {
        let Member { ended, state, started, canary, came_from, .. } = member;
        let tries = ended.sum().saturating_add(u32::from(open.is_some()));
        let state = match open {
            Some(order) => MemberStatus::Moving { order },
            None => MemberStatus::BetweenMoves(state),
        };
        Self { eid, tries, state, started, canary, came_from }
    }
}

/// The plan of a campaign for a device.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PlannedMove {
    /// The EID.
    pub eid: Eid,
    /// The owner's name for the device.
    pub label: Box<str>,
    /// The plan.
    #[serde(flatten)]
    pub plan: Plan,
}

/// The decision about a device.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct DeviceDecision {
    /// The EID.
    pub eid: Eid,
    /// The owner's name for the device.
    pub label: Box<str>,
    /// The decision.
    #[serde(flatten)]
    pub decision: Decision,
}

/// Returns the decision about each selected device in service.
pub fn decisions(counted: &EvaluatedFleet<'_>, selection: &Selection) -> Vec<DeviceDecision> {
    let now = counted.conditions.now;
    let selected = counted.fleet.in_service().filter(|device| selection.has(device, now));
    let decided = selected.map(|device| DeviceDecision {
        eid: device.eid,
        label: device.label.clone(),
        decision: counted.decide(device),
    });
    decided.collect()
}

async fn remove(tx: &mut Tx<'_>, id: &CampaignId) -> Result<(), Rejected> {
    let campaign = get(tx, id).await?;
    if campaign.state.is_active() || campaign.progress.under_way > 0 {
        return Err(campaign.cannot("be removed", "pause it and wait until no moves are under way").into());
    }
    tx.delete(&CAMPAIGNS, &id.to_string());
    for (key, _) in tx.list(&MEMBERS, &members_of(id)).await? {
        tx.delete(&MEMBERS, &key);
    }
    Ok(())
}

fn members_of(id: &CampaignId) -> String {
    format!("{id}/")
}

/// Returns the listed devices that are still in service, and deletes the other members.
async fn still_there(tx: &mut Tx<'_>, id: &CampaignId, devices: &Fleet) -> Result<Vec<Eid>, Fault> {
    let mut there = Vec::new();
    for (key, _) in tx.list(&MEMBERS, &members_of(id)).await? {
        match member_in_service(devices, &key) {
            Some(eid) => there.push(eid),
            None => tx.delete(&MEMBERS, &key),
        }
    }
    Ok(there)
}

/// Returns the EID in the key of a member, if the device is in service.
fn member_in_service(devices: &Fleet, key: &str) -> Option<Eid> {
    let eid = key.rsplit('/').next()?.parse().ok()?;
    devices.device(eid).is_some_and(Device::is_in_service).then_some(eid)
}

async fn create(tx: &mut Tx<'_>, campaign: &Campaign, listed: &BTreeSet<Eid>) -> Result<(), Rejected> {
    let id = &campaign.spec.id;
    let what = || format!("cannot create campaign {id}");
    let all = tx.list(&CAMPAIGNS, "").await?;
    if all.iter().any(|(_, other)| other.spec.id == *id) {
        let next = "choose another name";
        return Err(Problem::conflict(what(), "a campaign of this name exists", next).into());
    }
    if all.len() >= MAX_CAMPAIGNS {
        let why = format!(
            "there are {MAX_CAMPAIGNS} campaigns, which is the limit because each check-in reads all of them"
        );
        return Err(Problem::conflict(what(), why, "remove campaigns that are done").into());
    }
    for eid in listed {
        tx.put(&MEMBERS, &member_key(id, *eid), &Member::default())?;
    }
    tx.put(&CAMPAIGNS, &id.to_string(), campaign)?;
    Ok(())
}

/// Returns the campaign with this ID, or refuses.
async fn get(tx: &mut Tx<'_>, id: &CampaignId) -> Result<Campaign, Rejected> {
    let unknown = || {
        Problem::not_found(
            format!("there is no campaign {id}"),
            "it was never created, or it was removed",
            "list the campaigns with `landfall fleet campaign list`",
        )
    };
    Ok(find(tx, id).await?.ok_or_else(unknown)?)
}

/// Returns the campaign with this ID, if there is one.
pub(super) async fn find(tx: &mut Tx<'_>, id: &CampaignId) -> Result<Option<Campaign>, Fault> {
    tx.get(&CAMPAIGNS, &id.to_string()).await
}
