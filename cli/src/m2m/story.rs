//! The M2M story: a profile that a device did not ask for, one that its network does not want, a card that changes hands,
//! and a network that is lost.

use std::time::Duration;

use rsp::{
    ids::{Eid, Iccid},
    sgp02::{
        common::ExecutionStatus,
        eis::{Eis, ProfileState},
        es2, es4,
    },
};
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};
use world::{Event, Fault};

use super::{
    operator::{Heard, blank},
    stage::{Actor, LOCAL, REFUSING, Stage, VALIDITY, VISITED, done, nobody, plmn, telephone},
    watching::OverTheAir,
};

/// How often the outside is looked at while a card acts by itself.
const LOOK: Duration = Duration::from_millis(100);
/// How long a card may take for what it does by itself.
const PATIENCE: Duration = Duration::from_secs(40);

/// What the operator is told when a card has fallen back.
const ENABLED: &str = "HandleProfileEnabledNotification";

/// How a device's story ended, a row of the summary.
#[derive(Clone, Debug, Serialize)]
pub struct Story {
    /// Which device.
    pub device: String,
    /// Its card.
    pub eid: Eid,
    /// Whether it ended as it should.
    pub as_expected: bool,
    /// How it ended, in words.
    pub ending: String,
    /// Where the device has registered last, with which subscription.
    pub registered: String,
    /// The enabled profile, as the SM-SR that manages the card has it.
    pub enabled: Option<Iccid>,
    /// By which SM-SR the card is managed.
    pub sm_sr: String,
    /// What the operator was told without having asked.
    pub notifications: Vec<String>,
    /// What went to the card and came from it meanwhile.
    pub over_the_air: OverTheAir,
    /// Real seconds from the operator's order to the end.
    pub seconds: f64,
}

/// Where a story began.
struct Begun {
    at: Instant,
    over_the_air: OverTheAir,
    /// How many of the card's notifications were confirmed.
    confirmed: u64,
}

impl Stage {
    /// All acts.
    ///
    /// # Errors
    /// Something failed that is no part of the story.
    pub async fn play(&mut self) -> Result<Vec<Story>, Fault> {
        self.lay_out_networks()?;
        let (first, first_device) = self.pushed().await?;
        let second = self.refused().await?;
        let third = self.handed_over().await?;
        let fourth = self.network_lost(first_device).await?;
        Ok(vec![first, second, third, fourth])
    }

    /// A profile is pushed to a device that asks for nothing, and enabled.
    async fn pushed(&mut self) -> Result<(Story, Actor), Fault> {
        self.say("1. device 1 leaves the factory, is shipped to Brazil and roams there; nobody will touch it again");
        let device = self.device(1, vec![plmn(VISITED)?, plmn(LOCAL)?, plmn(REFUSING)?]).await?;
        let msisdn = telephone("+5511900000001")?;
        let package = self.subscriber(LOCAL, 501, "Local Brasil", &msisdn)?;
        let iccid = self.put_in_stock(&package, &msisdn).await?;
        self.until_registered(&device, "Visited Brasil").await?;
        let begun = self.begin(&device).await;
        self.say(
            "   the operator orders a local profile for it, to be enabled at once; the device has not asked",
        );
        let response = self.download(&device, iccid, 0, true).await?;
        self.until_registered(&device, "Local Brasil").await.ok();
        let eis = self.eis(device.eid, 0).await?;
        let as_expected = response.base.function_execution_status.status == ExecutionStatus::ExecutedSuccess
            && enabled(&eis) == Some(iccid)
            && self.seen.registered(&device.name).contains("Local Brasil");
        let ending = match as_expected {
            true => "moved over the air, confirmed by the card".to_owned(),
            false => response.base.function_execution_status.to_string(),
        };
        let story = self.story(&device, &eis, &begun, as_expected, ending).await;
        Ok((story, device))
    }

    /// A profile is enabled whose network refuses it: the card goes back by itself and says so.
    async fn refused(&mut self) -> Result<Story, Fault> {
        self.say("2. device 2 gets a profile of network 724-98, which refuses its newest subscriber");
        let device = self.device(2, vec![plmn(VISITED)?, plmn(LOCAL)?, plmn(REFUSING)?]).await?;
        let msisdn = telephone("+5511900000002")?;
        let package = self.subscriber(REFUSING, 502, "Norte Brasil", &msisdn)?;
        let iccid = self.put_in_stock(&package, &msisdn).await?;
        self.until_registered(&device, "Visited Brasil").await?;
        let begun = self.begin(&device).await;
        let response = self.download(&device, iccid, 0, false).await?;
        done::<es2::DownloadProfile>(&response.base)?;
        let before = enabled(&self.eis(device.eid, 0).await?);
        self.say("   the operator has it enabled");
        let request = es2::EnableProfileRequest {
            base: blank(),
            eid: device.eid,
            smsr_id: self.sm_srs.first().ok_or_else(nobody)?.id.clone(),
            iccid,
        };
        let answer = self.operator.ask::<es2::EnableProfile>(&self.sm_dp_id, request, VALIDITY).await?;
        let eis = self.eis(device.eid, 0).await?;
        let as_expected = !answer.base.is_done()
            && enabled(&eis) == before
            && before != Some(iccid)
            && self.seen.registered(&device.name).contains("Visited Brasil");
        let ending = match as_expected {
            true => "refused by its network; rolled back by itself; SM-SR and operator know".to_owned(),
            false => answer.base.function_execution_status.to_string(),
        };
        let story = self.story(&device, &eis, &begun, as_expected, ending).await;
        device.off().await;
        Ok(story)
    }

    /// A card changes hands from one SM-SR to the other, and obeys the new one.
    async fn handed_over(&mut self) -> Result<Story, Fault> {
        self.say("3. device 3 is handed over from SM-SR 1 to SM-SR 2");
        let device = self.device(3, vec![plmn(VISITED)?, plmn(LOCAL)?, plmn(REFUSING)?]).await?;
        let msisdn = telephone("+5511900000003")?;
        let package = self.subscriber(LOCAL, 503, "Local Brasil", &msisdn)?;
        let iccid = self.put_in_stock(&package, &msisdn).await?;
        self.until_registered(&device, "Visited Brasil").await?;
        let [current, target] = self.sm_srs.as_slice() else { return Err(nobody()) };
        let (current, target) = (current.id.clone(), target.id.clone());
        let begun = self.begin(&device).await;
        let prepare = es4::PrepareSmsrChangeRequest {
            base: blank(),
            eid: device.eid,
            current_smsr_id: current.clone(),
        };
        let prepared = self.operator.ask::<es4::PrepareSmsrChange>(&target, prepare, VALIDITY).await?;
        done::<es4::PrepareSmsrChange>(&prepared.base)?;
        let change =
            es4::SmsrChangeRequest { base: blank(), eid: device.eid, target_smsr_id: target.clone() };
        let changed = self.operator.ask::<es4::SmsrChange>(&current, change, VALIDITY).await?;
        done::<es4::SmsrChange>(&changed.base)?;
        self.say("   the operator orders a local profile for it through SM-SR 2");
        let response = self.download(&device, iccid, 1, true).await?;
        self.until_registered(&device, "Local Brasil").await.ok();
        let eis = self.eis(device.eid, 1).await?;
        let as_expected = response.base.function_execution_status.status == ExecutionStatus::ExecutedSuccess
            && eis.smsr_id == target
            && enabled(&eis) == Some(iccid);
        let ending = match as_expected {
            true => "handed over, and obeys SM-SR 2".to_owned(),
            false => response.base.function_execution_status.to_string(),
        };
        let story = self.story(&device, &eis, &begun, as_expected, ending).await;
        device.off().await;
        Ok(story)
    }

    /// The network of the enabled profile goes off the air: the card falls back.
    async fn network_lost(&mut self, device: Actor) -> Result<Story, Fault> {
        self.say("4. device 1 loses its local network, which goes off the air");
        let before = enabled(&self.eis(device.eid, 0).await?);
        let begun = self.begin(&device).await;
        self.networks.set_coverage(plmn(LOCAL)?, false);
        device.handle.set_visible(vec![plmn(VISITED)?, plmn(REFUSING)?]);
        self.until_registered(&device, "Visited Brasil").await.ok();
        let mut eis = self.eis(device.eid, 0).await?;
        let last = Instant::now() + PATIENCE;
        while enabled(&eis) == before && Instant::now() < last {
            sleep(LOOK).await;
            eis = self.eis(device.eid, 0).await?;
        }
        // The SM-SR tells the operator once it knows itself, so that may still be on its way.
        let told = self.until_told(&device, ENABLED).await;
        let as_expected = before.is_some()
            && enabled(&eis).is_some_and(|now| Some(now) != before)
            && eis.profile_info.iter().any(|it| it.fallback_attribute && it.state == ProfileState::Enabled)
            && told.iter().any(|told| told.ends_with(ENABLED));
        let ending = match as_expected {
            true => "fell back by itself to its first profile; SM-SR and operator know".to_owned(),
            false => "SM-SR and operator have not heard of a fall-back".to_owned(),
        };
        let mut story = self.story(&device, &eis, &begun, as_expected, ending).await;
        story.notifications.splice(0..0, told);
        device.off().await;
        self.networks.set_coverage(plmn(LOCAL)?, true);
        Ok(story)
    }

    async fn download(
        &self,
        device: &Actor,
        iccid: Iccid,
        sm_sr: usize,
        enable_profile: bool,
    ) -> Result<es2::DownloadProfileResponse, Fault> {
        let request = es2::DownloadProfileRequest {
            base: blank(),
            eid: device.eid,
            smsr_id: self.sm_srs.get(sm_sr).ok_or_else(nobody)?.id.clone(),
            profile_type: None,
            iccid: Some(iccid),
            enable_profile,
        };
        self.operator.ask::<es2::DownloadProfile>(&self.sm_dp_id, request, VALIDITY).await
    }

    /// What an SM-SR knows of a card, as the operator sees it.
    async fn eis(&self, eid: Eid, sm_sr: usize) -> Result<Eis, Fault> {
        let id = self.sm_srs.get(sm_sr).ok_or_else(nobody)?.id.clone();
        let request = es4::GetEisRequest { base: blank(), eid };
        let answer = self.operator.ask::<es4::GetEis>(&id, request, VALIDITY).await?;
        done::<es4::GetEis>(&answer.base)?;
        answer.eis.ok_or_else(|| {
            Fault::new("ES4.GetEIS was answered without an EIS", "the SM-SR left it out", "report this")
        })
    }

    async fn until_registered(&self, device: &Actor, network: &str) -> Result<(), Fault> {
        let there = async {
            while !self.seen.registered(&device.name).contains(network) {
                sleep(LOOK).await;
            }
        };
        timeout(PATIENCE, there).await.map_err(|_| {
            Fault::new(
                format!("{} has not registered in {network}", device.name),
                "it took too long",
                "look at the timeline above",
            )
        })
    }

    /// What the operator is told of a device until this, or until it takes too long.
    async fn until_told(&mut self, device: &Actor, notification: &str) -> Vec<String> {
        let mut all = Vec::new();
        let told = async {
            while let Some(heard) = self.heard.recv().await {
                if heard.eid == device.eid {
                    let is_it = heard.notification.ends_with(notification);
                    all.push(heard.notification);
                    if is_it {
                        return;
                    }
                }
            }
        };
        // Who is told nothing is shown by what is in the summary.
        let _ = timeout(PATIENCE, told).await;
        all
    }

    /// Where a story begins: once the card has told of itself at least, and nothing of that is on its way any more.
    async fn begin(&self, device: &Actor) -> Begun {
        let confirmed = self.until_quiet(device, 1).await;
        Begun { at: Instant::now(), over_the_air: self.seen.over_the_air(&device.name), confirmed }
    }

    /// Waits until so many of the card's notifications were confirmed and no short message is on its way, or until that takes
    /// too long; says how many were.
    async fn until_quiet(&self, device: &Actor, notifications: u64) -> u64 {
        let quiet = async {
            loop {
                match self.seen.confirmed(&device.name) {
                    Some(confirmed) if confirmed >= notifications => return confirmed,
                    _ => sleep(LOOK).await,
                }
            }
        };
        timeout(PATIENCE, quiet).await.unwrap_or(notifications)
    }

    /// How it ended, once the card has told of it: in every story it does so once.
    async fn story(
        &mut self,
        device: &Actor,
        eis: &Eis,
        begun: &Begun,
        as_expected: bool,
        ending: String,
    ) -> Story {
        self.until_quiet(device, begun.confirmed.saturating_add(1)).await;
        let mut notifications = Vec::new();
        while let Ok(Heard { notification, eid, .. }) = self.heard.try_recv() {
            if eid == device.eid {
                notifications.push(notification);
            }
        }
        let sm_sr = self.sm_srs.iter().position(|sm_sr| sm_sr.id == eis.smsr_id);
        let ends = Event::new(self.world.now(), device.name.clone(), "in the end");
        self.events.tell(ends.with_note(ending.clone()));
        Story {
            device: device.name.clone(),
            eid: device.eid,
            as_expected,
            ending,
            registered: self.seen.registered(&device.name),
            enabled: enabled(eis),
            sm_sr: sm_sr
                .map_or_else(|| eis.smsr_id.to_string(), |at| format!("SM-SR {}", at.saturating_add(1))),
            notifications,
            over_the_air: self.seen.over_the_air(&device.name) - begun.over_the_air,
            seconds: begun.at.elapsed().as_secs_f64(),
        }
    }
}

fn enabled(eis: &Eis) -> Option<Iccid> {
    eis.profile_info
        .iter()
        .find(|profile| profile.state == ProfileState::Enabled)
        .map(|profile| profile.iccid)
}
