//! Orders at the eIMs of a run (SGP.32). The agent of the platform orders the moves. The steps of a
//! scenario order directly.

use std::time::Duration;

use eim::records::{EimOperation, Package, ProfileOperation};
use eim::{Eim, NewDevice, NewOrder};
use fleet::{EimAgent, EimAgentConfig, Platform};
use rsp::ids::Plmn;
use rsp::time::Timestamp;
use testbed::fault_places::EimPlace;
use world::Fault;

use super::internal_fault::bug;
use super::simulated_world::SimulatedWorld;
use crate::report::Kind;

/// The limits of the interval at which the agent of the platform looks at an eIM.
const AGENT_INTERVALS: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(6 * 3600));

/// An order at the eIM of a device, as a step of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EimOrder {
    /// Enable the profile of this operator, with rollback.
    Enable(Plmn),
    /// Delete the profile of this operator.
    Delete(Plmn),
    /// Hand the card over to this eIM.
    ChangeEim(EimPlace),
}

impl SimulatedWorld {
    /// Lets the agents of the platform look at the eIMs. Returns the time of the next look.
    pub(super) async fn look_at_eims(&self, platform: &Platform) -> Result<Option<Timestamp>, Fault> {
        let Some(iot) = &self.parties.iot else { return Ok(None) };
        let mut next = None;
        for eim in &iot.eims {
            let world = self.simulation.world(&format!("agent for {} at {}", eim.id, self.now()));
            let link = self.server_faults.link(eim.host.link_of(Eim::admin));
            let polls = self.scenario.groups.iter().map(|group| group.check_in.get_ref().0);
            let (shortest, longest) =
                (polls.clone().min().unwrap_or_default(), polls.max().unwrap_or_default());
            let config = EimAgentConfig {
                interval: (shortest / 4).clamp(AGENT_INTERVALS.0, AGENT_INTERVALS.1),
                order_lifetime: longest.mul_f32(1.5),
            };
            let agent = EimAgent::new(platform.clone(), world, link, &eim.id, config);
            next = [next, Some(agent.due().await?)].into_iter().flatten().min();
        }
        Ok(next)
    }

    /// Places orders at the eIMs of devices.
    pub(super) async fn order_at_eim(&self, devices: Vec<usize>, order: EimOrder) -> Result<(), Fault> {
        for index in devices {
            if let Err(why) = self.place_order(index, order).await
                && let Some(device) = self.device(index)
            {
                self.add_event(Kind::Failed, &device, &why.to_string());
            }
        }
        Ok(())
    }

    async fn place_order(&self, index: usize, order: EimOrder) -> Result<(), Fault> {
        let iot = self.parties.iot.as_ref().ok_or_else(|| bug("the devices have no eIM"))?;
        let (eid, profiles, place) = {
            let device = self.device(index).ok_or_else(|| bug("the device does not exist"))?;
            (device.eid, device.profiles.clone(), device.eim)
        };
        let running = |place| {
            let eim = iot.eim(place).and_then(|eim| eim.host.party());
            eim.ok_or_else(|| {
                Fault::new("the order is not placed", "the eIM is not running", "repeat the step")
            })
        };
        let eim = running(place)?;
        let of = |plmn: Plmn| {
            let held = profiles.iter().find(|profile| profile.home == Some(plmn));
            let why = format!("there is no profile of {plmn} on the card");
            held.map(|held| held.iccid)
                .ok_or_else(|| Fault::new("the order is not placed", why, "download one first"))
        };
        let package = match order {
            EimOrder::Enable(plmn) => Package::ProfileOperations(vec![ProfileOperation::Enable {
                iccid: of(plmn)?,
                rollback: true,
            }]),
            EimOrder::Delete(plmn) => {
                let iccid = of(plmn)?;
                if let Some(mut device) = self.device(index) {
                    device.expected_profiles.retain(|expected| *expected != iccid);
                }
                Package::ProfileOperations(vec![ProfileOperation::Delete { iccid }])
            }
            EimOrder::ChangeEim(to) => {
                let other = running(to)?;
                other.register(&NewDevice::new(eid)).await?;
                let own = eim.configuration().eim_id;
                Package::EimOperations(vec![
                    EimOperation::AddEim(Box::new(other.configuration())),
                    EimOperation::DeleteEim { eim_id: own },
                ])
            }
        };
        eim.order(&NewOrder::new(eid, package)).await?;
        if let (EimOrder::ChangeEim(to), Some(mut device)) = (order, self.device(index)) {
            device.eim = to;
        }
        Ok(())
    }
}
