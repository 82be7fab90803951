//! The cases of the M2M demonstration: a profile download that the device did not request, a profile
//! refused by its network, a handover to another SM-SR, and a loss of coverage.

use std::time::Duration;

use rsp::{
    ids::{Eid, Iccid},
    sgp02::{
        common::ExecutionStatus,
        eis::{Eis, ProfileState},
        es2, es4,
    },
};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};
use world::{Event, Fault};

use crate::parties::demo_networks::{LOCAL, REFUSING, VISITED, plmn};

use super::{
    demonstration::{DemoDevice, Demonstration, VALIDITY, done, no_sm_sr, telephone},
    observer::OverTheAir,
    operator::{ReceivedNotification, blank},
};

/// Polling interval while a card acts on its own.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Time limit for autonomous actions of a card.
const PATIENCE: Duration = Duration::from_secs(40);

/// Notification that the operator receives after a card has fallen back.
const ENABLED: &str = "HandleProfileEnabledNotification";

/// Result of a case: one row of the summary.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct Case {
    /// Name of the device.
    pub device: String,
    /// EID of its card.
    pub eid: Eid,
    /// True if the case ended as expected.
    pub as_expected: bool,
    /// Description of the ending.
    pub ending: String,
    /// Last registration of the device: subscription and network.
    pub registered: String,
    /// Enabled profile according to the SM-SR that manages the card.
    pub enabled: Option<Iccid>,
    /// SM-SR that manages the card.
    pub sm_sr: String,
    /// Unsolicited notifications that the operator received.
    pub notifications: Vec<String>,
    /// Traffic to and from the card during the case.
    pub over_the_air: OverTheAir,
    /// Real seconds from the operator's order to the end.
    pub seconds: f64,
}

/// State at the start of a case.
struct Begun {
    at: Instant,
    over_the_air: OverTheAir,
    /// Number of confirmed notifications of the card.
    confirmed: u64,
}

impl Demonstration {
    /// Runs all cases, one after the other.
    ///
    /// # Errors
    /// A step failed whose result is not part of a summary, such as the preparation of a device. A
    /// case that ends differently than expected is not an error.
    pub async fn play(&mut self) -> Result<Vec<Case>, Fault> {
        let (first, first_device) = self.download_case().await?;
        let second = self.refusal_case().await?;
        let third = self.handover_case().await?;
        let fourth = self.network_loss_case(first_device).await?;
        Ok(vec![first, second, third, fourth])
    }

    /// Case 1: a profile is downloaded and enabled without a request from the device.
    async fn download_case(&mut self) -> Result<(Case, DemoDevice), Fault> {
        self.print(
            "1. device 1 leaves the factory and roams in Brazil; from now on it is only reached over the air",
        );
        let device = self.device(1, vec![plmn(VISITED)?, plmn(LOCAL)?, plmn(REFUSING)?]).await?;
        let msisdn = telephone("+5511900000001")?;
        let package = self.subscriber(LOCAL, 501, "Local Brasil", &msisdn)?;
        let iccid = self.put_in_stock(&package, &msisdn).await?;
        self.until_registered(&device, "Visited Brasil").await?;
        let begun = self.begin(&device).await;
        self.print(
            "   the operator downloads a local profile to it and enables it; the device requests nothing",
        );
        let response = self.download(&device, iccid, 0, true).await?;
        self.until_registered(&device, "Local Brasil").await.ok();
        let eis = self.eis(device.eid, 0).await?;
        let as_expected = response.base.function_execution_status.status == ExecutionStatus::ExecutedSuccess
            && enabled(&eis) == Some(iccid)
            && self.observations.registered(&device.name).contains("Local Brasil");
        let ending = match as_expected {
            true => "moved over the air, confirmed by the card".to_owned(),
            false => response.base.function_execution_status.to_string(),
        };
        let case = self.end(&device, &eis, &begun, as_expected, ending).await;
        Ok((case, device))
    }

    /// Case 2: the network of a new profile refuses the device, and the card rolls back and
    /// reports it.
    async fn refusal_case(&mut self) -> Result<Case, Fault> {
        self.print("2. device 2 gets a profile of network 724-98, which refuses it");
        let device = self.device(2, vec![plmn(VISITED)?, plmn(LOCAL)?, plmn(REFUSING)?]).await?;
        let msisdn = telephone("+5511900000002")?;
        let package = self.subscriber(REFUSING, 502, "Norte Brasil", &msisdn)?;
        let iccid = self.put_in_stock(&package, &msisdn).await?;
        self.until_registered(&device, "Visited Brasil").await?;
        let begun = self.begin(&device).await;
        let response = self.download(&device, iccid, 0, false).await?;
        done::<es2::DownloadProfile>(&response.base)?;
        let before = enabled(&self.eis(device.eid, 0).await?);
        self.print("   the operator enables the profile");
        let request = es2::EnableProfileRequest {
            base: blank(),
            eid: device.eid,
            smsr_id: self.sm_srs.first().ok_or_else(no_sm_sr)?.id.clone(),
            iccid,
        };
        let answer = self.operator.call::<es2::EnableProfile>(&self.sm_dp_id, request, VALIDITY).await?;
        let eis = self.eis(device.eid, 0).await?;
        let as_expected = !answer.base.is_done()
            && enabled(&eis) == before
            && before != Some(iccid)
            && self.observations.registered(&device.name).contains("Visited Brasil");
        let ending = match as_expected {
            true => "refused by its network; rolled back on its own; SM-SR and operator notified".to_owned(),
            false => answer.base.function_execution_status.to_string(),
        };
        let case = self.end(&device, &eis, &begun, as_expected, ending).await;
        device.off().await;
        Ok(case)
    }

    /// Case 3: a card is handed over to another SM-SR, which then manages it.
    async fn handover_case(&mut self) -> Result<Case, Fault> {
        self.print("3. device 3 is handed over from SM-SR 1 to SM-SR 2");
        let device = self.device(3, vec![plmn(VISITED)?, plmn(LOCAL)?, plmn(REFUSING)?]).await?;
        let msisdn = telephone("+5511900000003")?;
        let package = self.subscriber(LOCAL, 503, "Local Brasil", &msisdn)?;
        let iccid = self.put_in_stock(&package, &msisdn).await?;
        self.until_registered(&device, "Visited Brasil").await?;
        let [current, target] = self.sm_srs.as_slice() else { return Err(no_sm_sr()) };
        let (current, target) = (current.id.clone(), target.id.clone());
        let begun = self.begin(&device).await;
        let prepare = es4::PrepareSmsrChangeRequest {
            base: blank(),
            eid: device.eid,
            current_smsr_id: current.clone(),
        };
        let prepared = self.operator.call::<es4::PrepareSmsrChange>(&target, prepare, VALIDITY).await?;
        done::<es4::PrepareSmsrChange>(&prepared.base)?;
        let change =
            es4::SmsrChangeRequest { base: blank(), eid: device.eid, target_smsr_id: target.clone() };
        let changed = self.operator.call::<es4::SmsrChange>(&current, change, VALIDITY).await?;
        done::<es4::SmsrChange>(&changed.base)?;
        self.print("   the operator downloads a local profile to it through SM-SR 2");
        let response = self.download(&device, iccid, 1, true).await?;
        self.until_registered(&device, "Local Brasil").await.ok();
        let eis = self.eis(device.eid, 1).await?;
        let as_expected = response.base.function_execution_status.status == ExecutionStatus::ExecutedSuccess
            && eis.smsr_id == target
            && enabled(&eis) == Some(iccid);
        let ending = match as_expected {
            true => "handed over and managed by SM-SR 2".to_owned(),
            false => response.base.function_execution_status.to_string(),
        };
        let case = self.end(&device, &eis, &begun, as_expected, ending).await;
        device.off().await;
        Ok(case)
    }

    /// Case 4: the network of the enabled profile loses coverage, and the card falls back.
    async fn network_loss_case(&mut self, device: DemoDevice) -> Result<Case, Fault> {
        self.print("4. device 1 loses its local network, which has an outage");
        let before = enabled(&self.eis(device.eid, 0).await?);
        let begun = self.begin(&device).await;
        self.networks.networks.set_coverage(plmn(LOCAL)?, false);
        device.handle.set_visible(vec![plmn(VISITED)?, plmn(REFUSING)?]);
        self.until_registered(&device, "Visited Brasil").await.ok();
        let mut eis = self.eis(device.eid, 0).await?;
        let last = Instant::now() + PATIENCE;
        while enabled(&eis) == before && Instant::now() < last {
            sleep(POLL_INTERVAL).await;
            eis = self.eis(device.eid, 0).await?;
        }
        // The card notifies the SM-SR, which then notifies the operator. The second message may
        // still be in transit.
        let received = self.until_notified(&device, ENABLED).await;
        let as_expected = before.is_some()
            && enabled(&eis).is_some_and(|now| Some(now) != before)
            && eis.profile_info.iter().any(|it| it.fallback_attribute && it.state == ProfileState::Enabled)
            && received.iter().any(|received| received.ends_with(ENABLED));
        let ending = match as_expected {
            true => "fell back on its own to its first profile; SM-SR and operator notified".to_owned(),
            false => "SM-SR and operator were not notified of a fall-back".to_owned(),
        };
        let mut case = self.end(&device, &eis, &begun, as_expected, ending).await;
        case.notifications.splice(0..0, received);
        device.off().await;
        self.networks.networks.set_coverage(plmn(LOCAL)?, true);
        Ok(case)
    }

    async fn download(
        &self,
        device: &DemoDevice,
        iccid: Iccid,
        sm_sr: usize,
        enable_profile: bool,
    ) -> Result<es2::DownloadProfileResponse, Fault> {
        let request = es2::DownloadProfileRequest {
            base: blank(),
            eid: device.eid,
            smsr_id: self.sm_srs.get(sm_sr).ok_or_else(no_sm_sr)?.id.clone(),
            profile_type: None,
            iccid: Some(iccid),
            enable_profile,
        };
        self.operator.call::<es2::DownloadProfile>(&self.sm_dp_id, request, VALIDITY).await
    }

    /// Returns the EIS of a card at an SM-SR, requested by the operator.
    async fn eis(&self, eid: Eid, sm_sr: usize) -> Result<Eis, Fault> {
        let id = self.sm_srs.get(sm_sr).ok_or_else(no_sm_sr)?.id.clone();
        let request = es4::GetEisRequest { base: blank(), eid };
        let answer = self.operator.call::<es4::GetEis>(&id, request, VALIDITY).await?;
        done::<es4::GetEis>(&answer.base)?;
        answer.eis.ok_or_else(|| {
            Fault::new("the response to ES4.GetEIS contains no EIS", "the SM-SR omitted it", "report this")
        })
    }

    async fn until_registered(&self, device: &DemoDevice, network: &str) -> Result<(), Fault> {
        let there = async {
            while !self.observations.registered(&device.name).contains(network) {
                sleep(POLL_INTERVAL).await;
            }
        };
        timeout(PATIENCE, there).await.map_err(|_| {
            Fault::new(
                format!("{} did not register in {network}", device.name),
                "it took too long",
                "see the timeline above",
            )
        })
    }

    /// Collects the notifications about a device up to the first one with the name `notification`,
    /// or until the time limit.
    async fn until_notified(&mut self, device: &DemoDevice, notification: &str) -> Vec<String> {
        let mut all = Vec::new();
        let received = async {
            while let Some(received) = self.notifications.recv().await {
                if received.eid == device.eid {
                    let is_last = received.notification.ends_with(notification);
                    all.push(received.notification);
                    if is_last {
                        return;
                    }
                }
            }
        };
        // A missing notification is visible in the summary.
        let _ = timeout(PATIENCE, received).await;
        all
    }

    /// Starts a case. Waits first until the card has sent its first notification and no message of
    /// that exchange is in transit.
    async fn begin(&self, device: &DemoDevice) -> Begun {
        let confirmed = self.until_quiet(device, 1).await;
        Begun { at: Instant::now(), over_the_air: self.observations.over_the_air(&device.name), confirmed }
    }

    /// Waits until this number of the card's notifications is confirmed and no short message is
    /// in transit, or until the time limit. Returns the number of confirmed notifications.
    async fn until_quiet(&self, device: &DemoDevice, notifications: u64) -> u64 {
        let quiet = async {
            loop {
                match self.observations.confirmed(&device.name) {
                    Some(confirmed) if confirmed >= notifications => return confirmed,
                    _ => sleep(POLL_INTERVAL).await,
                }
            }
        };
        timeout(PATIENCE, quiet).await.unwrap_or(notifications)
    }

    /// Ends a case, after waiting for the notification that the card sends in each of the cases.
    async fn end(
        &mut self,
        device: &DemoDevice,
        eis: &Eis,
        begun: &Begun,
        as_expected: bool,
        ending: String,
    ) -> Case {
        self.until_quiet(device, begun.confirmed.saturating_add(1)).await;
        let mut notifications = Vec::new();
        while let Ok(ReceivedNotification { notification, eid, .. }) = self.notifications.try_recv() {
            if eid == device.eid {
                notifications.push(notification);
            }
        }
        let sm_sr = self.sm_srs.iter().position(|sm_sr| sm_sr.id == eis.smsr_id);
        let ends = Event::new(self.world.now(), device.name.clone(), "result");
        self.events.emit(ends.with_note(ending.clone()));
        Case {
            device: device.name.clone(),
            eid: device.eid,
            as_expected,
            ending,
            registered: self.observations.registered(&device.name),
            enabled: enabled(eis),
            sm_sr: sm_sr
                .map_or_else(|| eis.smsr_id.to_string(), |at| format!("SM-SR {}", at.saturating_add(1))),
            notifications,
            over_the_air: self.observations.over_the_air(&device.name) - begun.over_the_air,
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
