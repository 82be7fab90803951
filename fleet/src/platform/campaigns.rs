//! Campaigns, as their owner commands them.

use std::collections::BTreeSet;

use localize::Decision;
use rsp::ids::Eid;
use serde::{Deserialize, Serialize};
use world::{Fault, Tx, transact};

use super::{Platform, Setup};
use crate::{
    campaign::{
        CAMPAIGNS, Campaign, CampaignId, Devices, MEMBERS, Member, MemberState, Progress, Spec, State,
        member_key,
    },
    counted::Counted,
    device::{Device, Fleet, Selection},
    plan::{Plan, plan},
    problem::Problem,
    store::load,
};

/// Each is looked at whenever a device checks in.
const MOST: usize = 100;

impl Platform {
    /// Makes a campaign. It does nothing before it is started. Devices that are listed are its devices from now on, and no
    /// longer stand in what it says of itself.
    ///
    /// # Errors
    /// There is one of that name, or it cannot be meant.
    pub async fn create_campaign(&self, spec: &Spec) -> Result<Campaign, Problem> {
        spec.check()?;
        let made = self.now();
        let mut campaign = Campaign::new(spec.clone(), made);
        let listed = match &mut campaign.spec.devices {
            Devices::Listed(listed) => std::mem::take(listed),
            Devices::Selected(_) => BTreeSet::new(),
        };
        transact(self.records(), |tx| Box::pin(create(tx, &campaign, &listed))).await??;
        Ok(campaign)
    }

    /// Starts a campaign. The devices of one that is not standing are those that are selected now.
    ///
    /// # Errors
    /// There is none of that name, or it was started before.
    pub async fn start_campaign(&self, id: &CampaignId) -> Result<Campaign, Problem> {
        transact(self.records(), |tx| Box::pin(self.start(tx, id))).await?
    }

    /// No move begins any more; those that are under way go on.
    ///
    /// # Errors
    /// There is none of that name, or it does not run.
    pub async fn pause_campaign(&self, id: &CampaignId, by: &str) -> Result<Campaign, Problem> {
        let since = self.now();
        self.change(id, |campaign| {
            if !campaign.state.is_active() {
                return Err(campaign.cannot("be paused", "only one that runs can be"));
            }
            campaign.state = State::Paused { by: by.into(), since };
            Ok(())
        })
        .await
    }

    /// A campaign that is paused or has stopped goes on. What has failed until now no longer makes it stop, and canaries that
    /// are through are taken to have done well.
    ///
    /// # Errors
    /// There is none of that name, or it is neither.
    pub async fn resume_campaign(&self, id: &CampaignId) -> Result<Campaign, Problem> {
        self.change(id, |campaign| {
            match campaign.state {
                State::Paused { .. } => {}
                State::Stopped { .. } => {
                    campaign.forgive();
                    campaign.past_canary |= campaign.canaries_are_through();
                }
                _ => return Err(campaign.cannot("be resumed", "only one that is paused or stopped can be")),
            }
            campaign.state = campaign.active();
            Ok(())
        })
        .await
    }

    /// Devices go back to the profile that they had in use before the campaign moved them, at the campaign's pace. Those that
    /// are on the move arrive first.
    ///
    /// # Errors
    /// There is none of that name, or it has moved nobody or moves them back already.
    pub async fn roll_back_campaign(&self, id: &CampaignId) -> Result<Campaign, Problem> {
        transact(self.records(), |tx| Box::pin(self.roll_back(tx, id))).await?
    }

    /// Forgets a campaign and what became of its devices.
    ///
    /// # Errors
    /// There is none of that name, or it is not at an end.
    pub async fn remove_campaign(&self, id: &CampaignId) -> Result<(), Problem> {
        transact(self.records(), |tx| Box::pin(remove(tx, id))).await?
    }

    /// A campaign, and where each device stands that has begun or is to begin.
    ///
    /// # Errors
    /// There is none of that name, or the records fail.
    pub async fn campaign(&self, id: &CampaignId) -> Result<Shown, Problem> {
        let mut tx = Tx::begin(self.records());
        let campaign = get(&mut tx, id).await??;
        let members = tx.glance(&MEMBERS, &members_of(id)).await?;
        let devices = members.into_iter().filter_map(|(key, member)| {
            let eid = key.rsplit('/').next()?.parse().ok()?;
            Some(InCampaign { eid, member })
        });
        Ok(Shown { devices: devices.collect(), campaign })
    }

    /// What the campaign would do with each of its devices if it had its turn now: the same decision, and nothing is written.
    ///
    /// # Errors
    /// The campaign cannot be meant, or the records fail.
    pub async fn dry_run(&self, spec: &Spec) -> Result<Vec<Planned>, Problem> {
        spec.check()?;
        let now = self.now();
        let fleet = load(self.records()).await?;
        let counted = Counted::new(&fleet, self.question(now));
        let Setup { book, owner, .. } = &self.0.setup;
        let planned = fleet.devices().iter().filter(|device| spec.has(device, now)).map(|device| {
            let policy = counted.policy(device);
            let plan = self.supplied(plan(now, device, spec.target, (book, &owner.offers, policy)));
            Planned { eid: device.eid, label: device.label.clone(), plan }
        });
        Ok(planned.collect())
    }

    /// What is decided about each selected device, and why.
    ///
    /// # Errors
    /// The selection names what is not there, or the records fail.
    pub async fn decisions(&self, selection: &Selection) -> Result<Vec<Decided>, Problem> {
        let now = self.now();
        let fleet = self.fleet_of(selection).await?;
        let counted = Counted::new(&fleet, self.question(now));
        Ok(decisions(&counted, selection))
    }

    /// All campaigns, by name.
    ///
    /// # Errors
    /// The records fail.
    pub async fn campaigns(&self) -> Result<Vec<Campaign>, Problem> {
        let all = Tx::begin(self.records()).glance(&CAMPAIGNS, "").await?;
        Ok(all.into_iter().map(|(_, campaign)| campaign).collect())
    }

    async fn start(&self, tx: &mut Tx<'_>, id: &CampaignId) -> Result<Result<Campaign, Problem>, Fault> {
        let mut campaign = match get(tx, id).await? {
            Ok(campaign) => campaign,
            Err(problem) => return Ok(Err(problem)),
        };
        if campaign.state != State::Draft {
            return Ok(Err(campaign.cannot("be started", "resume one that is paused or stopped")));
        }
        if !campaign.spec.standing {
            let now = self.now();
            let devices = load(self.records()).await?;
            // What befell listed devices until now is not this campaign's doing.
            campaign.progress = Progress::default();
            let members: Vec<Eid> = match &campaign.spec.devices {
                Devices::Selected(_) => {
                    let selected = devices.devices().iter().filter(|device| campaign.spec.has(device, now));
                    selected.map(|device| device.eid).collect()
                }
                Devices::Listed(_) => still_there(tx, id, &devices).await?,
            };
            for eid in members {
                tx.put(&MEMBERS, &member_key(id, eid), &Member::default())?;
                campaign.progress.devices = campaign.progress.devices.saturating_add(1);
            }
        }
        campaign.state = campaign.active();
        campaign.settle(self.now());
        tx.put(&CAMPAIGNS, &id.to_string(), &campaign)?;
        Ok(Ok(campaign))
    }

    async fn change(
        &self,
        id: &CampaignId,
        change: impl Fn(&mut Campaign) -> Result<(), Problem> + Send + Sync,
    ) -> Result<Campaign, Problem> {
        let (change, now) = (&change, self.now());
        transact(self.records(), |tx| {
            Box::pin(async move {
                let mut campaign = match get(tx, id).await? {
                    Ok(campaign) => campaign,
                    Err(problem) => return Ok(Err(problem)),
                };
                if let Err(problem) = change(&mut campaign) {
                    return Ok(Err(problem));
                }
                campaign.settle(now);
                tx.put(&CAMPAIGNS, &id.to_string(), &campaign)?;
                Ok(Ok(campaign))
            })
        })
        .await?
    }

    async fn roll_back(&self, tx: &mut Tx<'_>, id: &CampaignId) -> Result<Result<Campaign, Problem>, Fault> {
        let mut campaign = match get(tx, id).await? {
            Ok(campaign) => campaign,
            Err(problem) => return Ok(Err(problem)),
        };
        if campaign.state == State::Draft || campaign.goes_back {
            return Ok(Err(campaign.cannot("be rolled back", "one that has moved devices can be, once")));
        }
        campaign.goes_back = true;
        campaign.state = State::RollingBack;
        campaign.forgive();
        for (key, mut member) in tx.list(&MEMBERS, &members_of(id)).await? {
            match member.state {
                MemberState::Moved { .. } => {
                    campaign.progress.to_roll_back = campaign.progress.to_roll_back.saturating_add(1);
                    campaign.progress.finished = campaign.progress.finished.saturating_sub(1);
                }
                MemberState::Moving { .. } => {
                    campaign.progress.to_roll_back = campaign.progress.to_roll_back.saturating_add(1);
                }
                MemberState::Waiting | MemberState::PutOff { .. } | MemberState::Again { .. } => {
                    member.state = MemberState::NothingToDo;
                    campaign.progress.finished = campaign.progress.finished.saturating_add(1);
                    tx.put(&MEMBERS, &key, &member)?;
                }
                _ => {}
            }
        }
        campaign.settle(self.now());
        tx.put(&CAMPAIGNS, &id.to_string(), &campaign)?;
        Ok(Ok(campaign))
    }
}

/// A campaign with its devices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// The campaign.
    #[serde(flatten)]
    pub campaign: Campaign,
    /// Its devices, in the order of their EIDs.
    pub devices: Vec<InCampaign>,
}

/// A device of a campaign.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InCampaign {
    /// Which.
    pub eid: Eid,
    /// Where it stands.
    #[serde(flatten)]
    pub member: Member,
}

/// What a campaign means for a device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Planned {
    /// Which.
    pub eid: Eid,
    /// What its owner calls it.
    pub label: Box<str>,
    /// What would be done.
    #[serde(flatten)]
    pub plan: Plan,
}

/// A device and its decision.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decided {
    /// Which.
    pub eid: Eid,
    /// What its owner calls it.
    pub label: Box<str>,
    /// What is decided.
    #[serde(flatten)]
    pub decision: Decision,
}

/// What is decided about each selected device that is in service.
pub fn decisions(counted: &Counted<'_>, selection: &Selection) -> Vec<Decided> {
    let now = counted.question.now;
    let selected = counted.fleet.in_service().filter(|device| selection.has(device, now));
    let decided = selected.map(|device| Decided {
        eid: device.eid,
        label: device.label.clone(),
        decision: counted.decide(device),
    });
    decided.collect()
}

async fn remove(tx: &mut Tx<'_>, id: &CampaignId) -> Result<Result<(), Problem>, Fault> {
    let campaign = match get(tx, id).await? {
        Ok(campaign) => campaign,
        Err(problem) => return Ok(Err(problem)),
    };
    if campaign.state.is_active() || campaign.progress.under_way > 0 {
        return Ok(Err(campaign.cannot("be removed", "pause it, and wait for those that are on the move")));
    }
    tx.delete(&CAMPAIGNS, &id.to_string());
    for (key, _) in tx.list(&MEMBERS, &members_of(id)).await? {
        tx.delete(&MEMBERS, &key);
    }
    Ok(Ok(()))
}

fn members_of(id: &CampaignId) -> String {
    format!("{id}/")
}

/// Of the devices that were listed those that are in service; the others are forgotten.
async fn still_there(tx: &mut Tx<'_>, id: &CampaignId, devices: &Fleet) -> Result<Vec<Eid>, Fault> {
    let mut there = Vec::new();
    for (key, _) in tx.list(&MEMBERS, &members_of(id)).await? {
        let eid = key.rsplit('/').next().and_then(|eid| eid.parse().ok());
        match eid.filter(|eid| devices.device(*eid).is_some_and(Device::is_in_service)) {
            Some(eid) => there.push(eid),
            None => tx.delete(&MEMBERS, &key),
        }
    }
    Ok(there)
}

async fn create(
    tx: &mut Tx<'_>,
    campaign: &Campaign,
    listed: &BTreeSet<Eid>,
) -> Result<Result<(), Problem>, Fault> {
    let id = &campaign.spec.id;
    let what = || format!("cannot make campaign {id}");
    let all = tx.list(&CAMPAIGNS, "").await?;
    if all.iter().any(|(_, other)| other.spec.id == *id) {
        return Ok(Err(Problem::conflict(what(), "there is one of that name", "choose another name")));
    }
    if all.len() >= MOST {
        let why = format!("there are {MOST}, and each is looked at whenever a device checks in");
        return Ok(Err(Problem::conflict(what(), why, "remove those that are done")));
    }
    for eid in listed {
        tx.put(&MEMBERS, &member_key(id, *eid), &Member::default())?;
    }
    tx.put(&CAMPAIGNS, &id.to_string(), campaign)?;
    Ok(Ok(()))
}

/// The campaign of that name.
pub(super) async fn get(tx: &mut Tx<'_>, id: &CampaignId) -> Result<Result<Campaign, Problem>, Fault> {
    Ok(tx.get(&CAMPAIGNS, &id.to_string()).await?.ok_or_else(|| {
        Problem::not_found(
            format!("there is no campaign {id}"),
            "nobody has made it, or it was removed",
            "`landfall fleet campaign list` shows those that there are",
        )
    }))
}
