//! Campaigns, as their owner commands them.

use http::StatusCode;
use world::{Fault, Tx, transact};

use super::Platform;
use crate::{
    campaign::{
        CAMPAIGNS, Campaign, CampaignId, Destination, Devices, MEMBERS, Member, Progress, Share, Spec, State,
        member_key,
    },
    device::Device,
    problem::Problem,
    store::DEVICES,
};

/// Each is looked at whenever a device checks in.
const MOST: usize = 100;

impl Platform {
    /// Makes a campaign. It does nothing before it is started.
    ///
    /// # Errors
    /// There is one of that name, or it cannot be meant.
    pub async fn create_campaign(&self, spec: &Spec) -> Result<Campaign, Problem> {
        check(spec)?;
        let made = self.now();
        let campaign = Campaign::new(spec.clone(), made);
        transact(self.records(), |tx| Box::pin(create(tx, &campaign))).await??;
        Ok(campaign)
    }

    /// Starts a campaign. The devices of one that is not standing are those that are selected now.
    ///
    /// # Errors
    /// There is none of that name, or it was started before.
    pub async fn start_campaign(&self, id: &CampaignId) -> Result<Campaign, Problem> {
        transact(self.records(), |tx| Box::pin(self.start(tx, id))).await?
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
            let what = format!("cannot start campaign {id}");
            let why = format!("it is {}", campaign.state);
            return Ok(Err(Problem::conflict(what, why, "resume one that is paused or stopped")));
        }
        if !campaign.spec.standing {
            let now = self.now();
            let devices = tx.glance(&DEVICES, "").await?;
            let members = devices.iter().filter(|(_, device)| campaign.spec.has(device, now));
            for (_, device) in members {
                tx.put(&MEMBERS, &member_key(id, device.eid), &Member::default())?;
                campaign.progress.devices = campaign.progress.devices.saturating_add(1);
            }
        }
        campaign.state = campaign.active();
        tx.put(&CAMPAIGNS, &id.to_string(), &campaign)?;
        Ok(Ok(campaign))
    }
}

impl Campaign {
    fn new(spec: Spec, made: rsp::time::Timestamp) -> Self {
        let past_canary = spec.canary.is_none();
        let (hour, put_off) = Default::default();
        Self { spec, state: State::Draft, made, past_canary, progress: Progress::default(), hour, put_off }
    }

    /// What it does when it does something.
    fn active(&self) -> State {
        if self.past_canary { State::Running } else { State::Canary }
    }
}

impl Spec {
    /// Whether the device is one that it is about.
    pub(crate) fn has(&self, device: &Device, now: rsp::time::Timestamp) -> bool {
        device.is_in_service()
            && match &self.devices {
                Devices::Selected(selection) => selection.has(device, now),
                Devices::Listed(eids) => eids.contains(&device.eid),
            }
    }
}

async fn create(tx: &mut Tx<'_>, campaign: &Campaign) -> Result<Result<(), Problem>, Fault> {
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
    tx.put(&CAMPAIGNS, &id.to_string(), campaign)?;
    Ok(Ok(()))
}

/// The campaign of that name.
pub(super) async fn get(tx: &mut Tx<'_>, id: &CampaignId) -> Result<Result<Campaign, Problem>, Fault> {
    Ok(tx.get(&CAMPAIGNS, &id.to_string()).await?.ok_or_else(|| {
        Problem::not_found(
            format!("there is no campaign {id}"),
            "nobody has made it, or it was removed",
            "list the campaigns",
        )
    }))
}

/// That a campaign can be meant.
fn check(spec: &Spec) -> Result<(), Problem> {
    let no = |why: &str, next: &str| {
        let what = format!("cannot make campaign {}", spec.id);
        Err(Problem::new(StatusCode::BAD_REQUEST, what, why, next))
    };
    if spec.pace.per_hour == Some(0) || spec.pace.at_once == Some(0) {
        return no("at a pace of 0 nothing ever moves", "give 1 at least, or leave it out");
    }
    if let Some(canary) = spec.canary {
        match canary.devices {
            Share::Percent(_) if spec.standing => {
                return no("a standing campaign has no number of devices", "give the canaries as a count");
            }
            Share::Percent(percent) if !(1..=100).contains(&percent) => {
                return no("the share of canaries is no percentage", "give 1 to 100");
            }
            Share::Count(0) => return no("there are 0 canaries", "give 1 at least, or leave canary out"),
            Share::Count(_) | Share::Percent(_) => {}
        }
    }
    if spec.stop.failed_percent.is_some_and(|percent| !(1..=100).contains(&percent)) {
        return no("the share that makes it stop is no percentage", "give 1 to 100");
    }
    if spec.stop.lost == Some(0) {
        return no("it would stop before it begins", "give 1 lost device at least, or leave it out");
    }
    if !spec.windows.iter().all(crate::campaign::Window::is_sound) {
        return no("a window is from an hour 0 to 23 until an hour 1 to 24", "correct the window");
    }
    if spec.standing && matches!(spec.target, Destination::Network(_)) && spec.devices == Devices::default() {
        return no(
            "every device would move to that network for ever",
            "select devices, or do not let it stand",
        );
    }
    Ok(())
}
