//! The firmware of an IoT device: its IPA keeps it connected and polls its eIM (SGP.32).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coap::{InProcess, Transmission};
use device::ipa::{Binding, CheckIn, ConnectionChange, Ipa, IpaError, IpaSettings, VisitEnd};
use fleet::{CardProfile, Ending};
use rsp::ids::Iccid;
use rsp::sgp22::ProfileState;
use rsp::sgp32::EimConfigurationData;
use world::{Fault, Link};

use super::check_in::patience;
use super::dormant_device::DormantDevice;
use super::firmware::{DeviceSlot, Firmware, Parts};
use super::internal_fault::bug;
use crate::file::Esipa;
use crate::report::Kind;
use testbed::consumer::Waits;
use testbed::transport::Transport;

/// Maximum visits of a check-in that are reported.
const REPORTED: usize = 8;

impl Firmware<'_> {
    /// Lets the IPA connect the device and poll its eIMs, if the device is not registered or a poll is
    /// due.
    pub(super) async fn run_iot(&mut self) -> Result<(), Fault> {
        if self.device()?.service.registered.is_some() && !self.is_due()? {
            return Ok(());
        }
        let before = enabled(&self.device()?.profiles);
        let mut ipa = self.ipa()?;
        let checked_in = ipa.check_in().await;
        let profiles = self.profiles(&mut ipa).await;
        if let Some(profiles) = profiles {
            self.device()?.profiles = profiles;
        }
        match checked_in {
            Ok(report) => self.report(&report, before),
            Err(IpaError::NoService(not)) => {
                let mut device = self.device()?;
                self.sim.unregister(&mut device);
                self.failed(&mut device, &format!("no profile on its card gets service here: {not}"));
                Ok(())
            }
            Err(error) => {
                let mut device = self.device()?;
                self.failed(&mut device, &error.to_string());
                Ok(())
            }
        }
    }

    /// Creates the IPA with its card and its modem.
    fn ipa(&self) -> Result<Ipa<DeviceSlot>, Fault> {
        let binding = self.binding()?;
        let settings = IpaSettings { binding: Some(binding), ..IpaSettings::default() };
        let Parts { lpa, modem, memory, events, hears, .. } = self.parts(settings.device.clone())?;
        let mut links: BTreeMap<String, Link> = BTreeMap::new();
        let iot = self.sim.parties.iot.as_ref().ok_or_else(|| bug("the devices have no eIM"))?;
        for eim in &iot.eims {
            let link = match binding {
                Binding::Asn1 | Binding::Json => self.link_to(&*eim.transport)?,
                Binding::Coap => self.coap_link_to(&eim.id, &*eim.transport)?,
            };
            links.insert(eim.id.clone(), link);
        }
        let eims = move |eim: &EimConfigurationData, _: Binding| {
            links.get(&eim.eim_id).cloned().ok_or_else(|| bug("the card has an unknown eIM"))
        };
        let mut ipa = Ipa::new(lpa, modem, eims, settings, memory, events)?.with_pause(Waits);
        ipa.set_visible(hears.to_vec());
        Ok(ipa)
    }

    /// A link to a server over CoAP and the bearer of the current network.
    fn coap_link_to(&self, host: &str, transport: &dyn Transport) -> Result<Link, Fault> {
        let name = {
            let device = self.device()?;
            format!("CoAP {} {}", device.eid, device.activity.wakes)
        };
        let world = self.sim.simulation.world(&name);
        let ack_timeout = self.connections.ack_timeout();
        let transmission = Transmission { ack_timeout, ..Transmission::default() };
        let server = InProcess::new(host, transport.link(None)?, world.clone(), transmission);
        let dial = self.connections.datagrams(self.faults.coap_client(Arc::new(server)));
        let client = coap::Client::new(dial, host, world, transmission);
        Ok(self.power.link(self.faults.link(client.link())))
    }

    fn binding(&self) -> Result<Binding, Fault> {
        let group = self.sim.group(self.device()?.group);
        Ok(match group.map(|group| *group.esipa.get_ref()) {
            None | Some(Esipa::Asn1) => Binding::Asn1,
            Some(Esipa::Json) => Binding::Json,
            Some(Esipa::Coap) => Binding::Coap,
        })
    }

    /// Reads the profiles of the card. `None` if the card does not answer.
    async fn profiles(&self, ipa: &mut Ipa<DeviceSlot>) -> Option<Vec<CardProfile>> {
        let listed = ipa.lpa().list().await.ok()?;
        let on_card = listed.iter().filter_map(|profile| {
            let iccid = profile.iccid?;
            let enabled = profile.profile_state == Some(ProfileState::ENABLED);
            Some(CardProfile { iccid, enabled, home: self.sim.home_of_profile(iccid) })
        });
        Some(on_card.collect())
    }

    /// Records what the IPA did.
    fn report(&self, report: &CheckIn, before: Option<Iccid>) -> Result<(), Fault> {
        if let Some(registered) = &report.registered {
            self.registered(registered)?;
        }
        let sim = self.sim;
        let now = sim.now();
        let mut device = self.device()?;
        device.counts.check_ins = device.counts.check_ins.saturating_add(1);
        for change in &report.changes {
            sim.add_event(Kind::Device, &device, &change.to_string());
        }
        let mut failure = None;
        for visit in report.visits.iter().take(REPORTED) {
            for package in &visit.packages {
                sim.add_event(Kind::Device, &device, &format!("{}: {package}", visit.eim_id));
            }
            match &visit.end {
                VisitEnd::NoPackage | VisitEnd::Interrupted => device.contact.heard_at = Some(now),
                end @ (VisitEnd::Refused(_) | VisitEnd::Failed(_)) => {
                    failure = Some(format!("{}: {end}", visit.eim_id));
                }
            }
        }
        if report.visits.iter().any(|visit| visit.end == VisitEnd::Interrupted) {
            failure.get_or_insert("the visit is to be continued".to_owned());
        }
        self.count_move(&mut device, report, before);
        match failure {
            Some(why) => self.failed(&mut device, &why),
            None => {
                device.contact.failures = 0;
                device.contact.check_in_due = now.plus(self.interval(&device));
            }
        }
        device.contact.must_check_in = false;
        Ok(())
    }

    /// Counts the move that ended in a check-in, if one did.
    fn count_move(&self, device: &mut DormantDevice, report: &CheckIn, before: Option<Iccid>) {
        for profile in &device.profiles {
            if !device.expected_profiles.contains(&profile.iccid) {
                device.expected_profiles.push(profile.iccid);
            }
        }
        let after = enabled(&device.profiles);
        // Fallback and return are no moves.
        let is_of_eim = report.changes.iter().all(|change| *change == ConnectionChange::ImmediatelyEnabled);
        if report.changes.contains(&ConnectionChange::RolledBack) {
            let why = "the IPA could not report over the new profile".into();
            self.sim.move_ended(device, &Ending::CameBack { why });
        } else if is_of_eim && before.is_some() && after.is_some() && after != before {
            self.sim.move_ended(device, &Ending::Moved);
        }
    }

    /// The interval at which the IPA polls.
    fn interval(&self, device: &DormantDevice) -> Duration {
        self.sim.group(device.group).map_or(Duration::ZERO, |group| group.check_in.get_ref().0)
    }

    /// Counts a failed check-in, reports the first one, and schedules the next attempt.
    fn failed(&self, device: &mut DormantDevice, why: &str) {
        device.contact.failures = device.contact.failures.saturating_add(1);
        let wait = patience(device.contact.failures).min(self.interval(device));
        device.contact.check_in_due = self.sim.now().plus(wait);
        if device.contact.failures == 1 {
            self.sim.add_event(Kind::Device, device, why);
        }
    }
}

fn enabled(profiles: &[CardProfile]) -> Option<Iccid> {
    profiles.iter().find(|profile| profile.enabled).map(|profile| profile.iccid)
}
