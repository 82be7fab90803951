//! Networks, stock, and devices with their cards.

use std::sync::Arc;

use cli::m2m::{
    factory::{self, CardAddresses, FirstProfile},
    operator::blank,
};
use device::{AlwaysOnSettings, EventSource, Modem, Online, Slot};
use euicc_sim::{Card, m2m::toolkit::Numbers};
use network::{EmmCause, Network, Policy, SubscriberServer};
use rsp::{
    ids::{Eid, Iccid, Plmn},
    sgp02::{common::SubscriptionAddress, es1},
};
use sm_dp::ProfileOptions;
use tokio::task::JoinHandle;
use world::{PhoneNumber, RamMemory};

use super::{
    Testbed, VALIDITY,
    servers::{CARD_PATH, CARDS, number, sm_sr_number},
};

pub(crate) const LOCAL: &str = "724-99";
pub(crate) const REFUSING: &str = "724-98";
pub(crate) const BOOTSTRAP: &str = "234-99";

pub(crate) fn plmn(text: &str) -> Plmn {
    text.parse().unwrap()
}

/// A running device.
pub(crate) struct Device {
    pub(crate) eid: Eid,
    task: JoinHandle<()>,
}

impl Drop for Device {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Testbed {
    pub(super) fn lay_out_networks(&self) {
        let bootstrap = plmn(BOOTSTRAP);
        self.networks.put(
            Network::new(plmn("724-97"), "Visited", "BR").with_policy(Policy::with_partners([bootstrap])),
        );
        self.networks.put(Network::new(plmn(LOCAL), "Local", "BR").with_policy(Policy::with_partners([])));
        let refusing = Policy::refusing_everybody(EmmCause::PLMN_NOT_ALLOWED);
        self.networks.put(Network::new(plmn(REFUSING), "Refusing", "BR").with_policy(refusing));
        for home in [BOOTSTRAP, LOCAL, REFUSING] {
            let world = self.parts.world(home);
            let server = SubscriberServer::open(plmn(home), RamMemory::default(), world).unwrap();
            self.networks.put_home(Arc::new(server));
        }
    }

    fn subscriber(&self, home: &str, serial: u64, msisdn: &PhoneNumber) -> Vec<u8> {
        let package = cli::demo::own_package(home, serial, home).unwrap();
        let subscription = cli::subscription::Subscription::of(&package).unwrap();
        let server = self.networks.home_of(subscription.imsi).unwrap();
        server.provision(subscription.imsi, subscription.subscriber.with_msisdn(msisdn.clone())).unwrap();
        package
    }

    /// Adds a profile to the stock.
    pub(crate) async fn put_in_stock(&self, home: &str, serial: u64) -> Iccid {
        let msisdn = number(&format!("+55119{serial:08}"));
        let package = self.subscriber(home, serial, &msisdn);
        let iccid = self.stock.add_profile(&package, &ProfileOptions::default()).await.unwrap();
        let address = SubscriptionAddress { imsi: None, msisdn: msisdn.digits().parse().ok() };
        let sm_dp = self.sm_dp.lock().unwrap().server.clone();
        sm_dp.set_subscription_address(iccid, &address).await.unwrap();
        iccid
    }

    /// Creates a device with a registered card, and starts it.
    pub(crate) async fn device(&self, serial: u64, numbers: Numbers) -> Device {
        let eid = cli::parties::eid_of_serial(&self.parts.pki, serial).unwrap();
        let msisdn = number(&format!("+44770091{serial:04}"));
        let package = self.subscriber(BOOTSTRAP, serial, &msisdn);
        let first = FirstProfile { package, operator: self.operator.id().clone(), msisdn };
        let side = CardAddresses { number: sm_sr_number(), https: Some(CARDS), path: CARD_PATH.to_owned() };
        let mut description = factory::card(&self.parts.pki, eid, &first, &side).unwrap();
        description.m2m.as_mut().unwrap().toolkit = numbers;
        let mut eis = factory::eis(
            &self.parts.pki,
            eid,
            &first,
            &self.sm_sr_id(),
            None,
            self.namespace,
            self.world.now(),
        )
        .unwrap();
        assert_eq!(eis.profile_info.len(), 1);
        eis.last_audit_date = None;
        let request = es1::RegisterEisRequest { base: blank(), eis };
        let registered =
            self.eum.call::<es1::RegisterEis>(&self.sm_sr_id(), request, VALIDITY).await.unwrap();
        assert!(registered.base.is_done(), "{}", registered.base.function_execution_status);
        let world = self.parts.world(&format!("card {serial}"));
        let card = Slot::new(Card::open(description, RamMemory::default(), world).unwrap());
        let events = EventSource::new(
            format!("device {serial}"),
            Arc::clone(&self.world.clock),
            self.parts.events.clone(),
        );
        let modem = Modem::new(card, Arc::clone(&self.networks), events.clone());
        let mut online = Online::new(modem, self.parts.hosts.clone(), AlwaysOnSettings::default(), events);
        let handle = online.handle();
        handle.set_visible(vec![plmn("724-97"), plmn(LOCAL), plmn(REFUSING)]);
        let task = tokio::spawn(async move { online.run().await.unwrap() });
        Device { eid, task }
    }
}
