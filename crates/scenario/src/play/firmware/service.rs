//! Service of the networks: registration, the search for the home network, and the way back to another
//! profile.

use device::{Ending as MoveEnding, Recovery};
use fleet::Ending;
use world::Fault;

use super::super::dormant_device::{Ordered, Unproven};
use super::Firmware;
use crate::report::Kind;

/// Consecutive attempts without data transport after which a new profile is given up.
const MAX_FAILED_ATTEMPTS: u32 = 3;

impl Firmware<'_> {
    /// Registers with the enabled profile, or with any profile that gets service. Returns true on
    /// success.
    pub(super) async fn restore_service(&mut self) -> Result<bool, Fault> {
        let must_recover = self.device()?.activity.must_recover;
        let open_device = self.open_device().await?;
        let mut registered = None;
        if !must_recover {
            registered = open_device.register().await.ok();
        }
        if registered.is_none()
            && let Recovery::Working { registered: with, .. } = open_device.recover().await
        {
            registered = Some(with);
        }
        self.read_card().await?;
        match registered {
            Some(registered) => {
                self.registered(&registered)?;
                self.close_interrupted_move("the move was interrupted, and the device uses another profile")?;
                Ok(true)
            }
            None => {
                let mut device = self.device()?;
                device.contact.failures = device.contact.failures.saturating_add(1);
                if device.contact.failures == 1 {
                    self.sim.add_event(Kind::Device, &device, "no profile on its card gets service here");
                }
                Ok(false)
            }
        }
    }

    /// Searches for the home network if a search is due. Without coverage of that network, the
    /// registration stays.
    pub(super) async fn schedule_home_search(&mut self) -> Result<(), Fault> {
        let serving = {
            let mut device = self.device()?;
            let now = self.sim.now();
            let Some(attached) = device.service.registered else { return Ok(()) };
            if device.service.home_search.take_if(|at| *at <= now).is_none() {
                return Ok(());
            }
            attached.network
        };
        let Some(found) = self.open_device().await?.search_home(serving).await else { return Ok(()) };
        match found {
            Ok(registered) => self.registered(&registered),
            Err(_) => {
                let mut device = self.device()?;
                self.sim.unregister(&mut device);
                device.service.lost = true;
                Ok(())
            }
        }
    }

    /// Returns to the previous profile if no server was reachable through the new one in several
    /// attempts: the device is registered, but its packets are not transported. A connection
    /// that a server refuses counts as transported. Returns true if the device went back.
    pub(super) async fn give_up_unproven(&mut self) -> Result<bool, Fault> {
        let unproven = self
            .device()?
            .contact
            .unproven
            .clone()
            .filter(|unproven| unproven.failed_attempts >= MAX_FAILED_ATTEMPTS);
        let Some(Unproven { order, target, back, .. }) = unproven else { return Ok(false) };
        let through = self.device()?.service.registered.map(|attached| attached.network.to_string());
        let report = self.open_device().await?.switch_to(back, Some(target)).await;
        self.record_move(&report)?;
        self.read_card().await?;
        if let MoveEnding::Stranded { .. } = report.ending
            && !self.restore_service().await?
        {
            return Ok(false);
        }
        let mut device = self.device()?;
        device.contact.failures = 0;
        if device.service.registered.is_none_or(|attached| attached.iccid == target) {
            device.contact.unproven = None;
            return Ok(false);
        }
        let why = format!("registered in {}, which carried no packets", through.unwrap_or_default()).into();
        device.counts.moved = device.counts.moved.saturating_sub(1);
        self.ended(&mut device, Ordered { order, target, back: None }, Ending::CameBack { why });
        Ok(true)
    }

    /// Returns to the preferred profile, if enough time has passed and its network may have
    /// coverage.
    pub(super) async fn return_to_preferred(&mut self) -> Result<(), Fault> {
        let now = self.sim.now();
        let (iccid, back) = {
            let mut device = self.device()?;
            let Some(group) = self.sim.group(device.group) else { return Ok(()) };
            let Some(preferred) = group.prefers.as_ref().map(|plmn| *plmn.get_ref()) else { return Ok(()) };
            let Some(attached) = device.service.registered else { return Ok(()) };
            if attached.home == preferred {
                device.left_preferred = None;
                return Ok(());
            }
            let left = *device.left_preferred.get_or_insert(now);
            if now < left.plus(group.prefers_after.get_ref().0) {
                return Ok(());
            }
            device.left_preferred = Some(now);
            let is_off = device.hears.contains(&preferred)
                && self.sim.radio.network(preferred).is_some_and(|network| !network.coverage);
            let held = device.profiles.iter().find(|profile| profile.home == Some(preferred));
            match held.filter(|_| !is_off) {
                Some(held) => (held.iccid, attached.iccid),
                None => return Ok(()),
            }
        };
        let report = self.open_device().await?.switch_to(iccid, Some(back)).await;
        self.record_move(&report)?;
        self.read_card().await?;
        if let MoveEnding::Stranded { .. } = report.ending {
            self.restore_service().await?;
        }
        Ok(())
    }
}
