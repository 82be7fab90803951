//! Facts about devices that fulfil requirements of rules and networks, and changes of owner.

use localize::{Country, Day, Permit};
use world::Fault;

use super::imei::imei;
use super::simulated_world::SimulatedWorld;

/// A change of the facts about a device.
#[derive(Clone, Copy)]
pub(super) enum FactChange {
    /// Its IMEI is registered.
    RegisterImei(Country),
    /// It gets a permit.
    Grant(Permit),
    /// It loses a permit.
    Withdraw(Permit),
    /// It gets another owner.
    NewOwner,
}

impl SimulatedWorld {
    /// Changes the facts about devices: for the rules, for the networks, and in the records of the
    /// platform.
    pub(super) async fn change_facts(&self, devices: Vec<usize>, change: FactChange) -> Result<(), Fault> {
        for index in devices {
            self.change_fact(index, change).await?;
        }
        Ok(())
    }

    async fn change_fact(&self, index: usize, change: FactChange) -> Result<(), Fault> {
        let (eid, registered, permits, owner_since) = {
            let Some(mut device) = self.device(index) else { return Ok(()) };
            let (log, environment) = (&mut device.stay_log, &self.radio.environment);
            match change {
                FactChange::RegisterImei(country) => drop(log.imei_registered_in.insert(country)),
                FactChange::Grant(permit) => drop(log.permits.insert(permit)),
                FactChange::Withdraw(permit) => drop(log.permits.remove(&permit)),
                FactChange::NewOwner => log.owner_since = Some(Day::of(self.now())),
            }
            let facts = (log.imei_registered_in.clone(), log.permits.clone(), log.owner_since);
            match change {
                FactChange::RegisterImei(country) => environment.register_imei(imei(device.eid), country),
                FactChange::Grant(permit) => environment.grant(imei(device.eid), permit),
                FactChange::Withdraw(permit) => environment.withdraw(imei(device.eid), permit),
                FactChange::NewOwner => {}
            }
            (device.eid, facts.0, facts.1, facts.2)
        };
        let records = self.platform_records();
        world::transact(&records, |tx| {
            let (registered, permits) = (registered.clone(), permits.clone());
            Box::pin(async move {
                if let Some(mut device) = fleet::get(tx, eid).await? {
                    device.connection.imei_registered_in = registered;
                    device.connection.permits = permits;
                    device.connection.owner_since = owner_since;
                    fleet::put(tx, &device)?;
                }
                Ok(())
            })
        })
        .await?;
        if let Some(mut device) = self.device(index) {
            self.facts_changed(index, &mut device);
        }
        Ok(())
    }
}
