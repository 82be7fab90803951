//! Parts that the swaps of consumer devices and of M2M devices have in common: the networks of two
//! countries with their subscribers, the events, and the fault injector.

use std::sync::Arc;

use certs::Pki;
use faults::{FaultInjector, TamperingPeer};
use network::{Network, Networks, Policy, SubscriberServer};
use rsp::ids::Plmn;
use world::{Cells, Fault, Memory, MemoryEvents, PhoneNumber, RamMemory};

use crate::subscription::{Subscription, own_package};
use crate::time::Simulation;

/// Home network of the bootstrap profile.
pub const BOOTSTRAP: &str = "234-99";
/// Network on which the bootstrap profile roams.
pub const VISITED: &str = "262-41";
/// Home network of the local profile. Only this network accepts the local profile.
pub const LOCAL: &str = "262-42";

/// A profile of the swap: its package and its subscription.
pub(crate) struct SwapProfile {
    pub(crate) package: Vec<u8>,
    pub(crate) subscription: Subscription,
}

/// Returns the bootstrap profile and the local profile.
pub(crate) fn profiles() -> Result<[SwapProfile; 2], Fault> {
    let profile = |home, number, name| {
        let package = own_package(home, number, name)?;
        Ok::<_, Fault>(SwapProfile { subscription: Subscription::of(&package)?, package })
    };
    Ok([profile(BOOTSTRAP, 1, "Bootstrap")?, profile(LOCAL, 2, "Local")?])
}

/// The stored data of the subscriber servers, by home network.
pub(crate) type StoredHomes = Vec<(Plmn, Cells)>;

/// The subscriber servers of these profiles, without subscribers.
pub(crate) fn empty_homes(profiles: &[SwapProfile]) -> StoredHomes {
    profiles.iter().map(|profile| (profile.subscription.home, Cells::new())).collect()
}

/// The environment of the parties in one run.
pub(crate) struct Surroundings {
    pub(crate) events: MemoryEvents,
    pub(crate) faults: FaultInjector,
    pub(crate) networks: Arc<Networks>,
    pub(crate) homes: Homes,
}

/// The memories of the subscriber servers.
pub(crate) struct Homes(Vec<(Plmn, RamMemory)>);

impl Homes {
    /// Returns the stored data of all subscriber servers.
    pub(crate) fn stored(&self) -> Result<StoredHomes, Fault> {
        self.0.iter().map(|(plmn, memory)| Ok((*plmn, memory.load()?))).collect()
    }
}

impl Surroundings {
    /// Creates the networks with copies of this stored data, and an empty fault injector.
    pub(crate) fn begin(
        simulation: &Simulation,
        pki: &Arc<Pki>,
        stored: &StoredHomes,
    ) -> Result<Self, Fault> {
        let tampering_peer = TamperingPeer::new(Arc::clone(pki));
        let faults = FaultInjector::new(simulation.random("mishaps"), []).with_tampering_peer(tampering_peer);
        let networks = Arc::new(Networks::new(simulation.world("networks")));
        let mut homes = Vec::new();
        for (home, cells) in stored {
            let memory = RamMemory::of(cells.clone());
            let server = SubscriberServer::open(*home, memory.clone(), simulation.world(&home.to_string()))?;
            networks.put_home(Arc::new(server));
            homes.push((*home, memory));
        }
        let roaming = Policy::with_partners([plmn(BOOTSTRAP)?]);
        networks.put(Network::new(plmn(VISITED)?, "Visited", "DE").with_policy(roaming));
        networks.put(Network::new(plmn(LOCAL)?, "Local", "DE").with_policy(Policy::with_partners([])));
        Ok(Self { events: MemoryEvents::default(), faults, networks, homes: Homes(homes) })
    }
}

/// Adds a subscriber to its home network, with an MSISDN if there is one.
pub(crate) fn provision(
    networks: &Networks,
    subscription: &Subscription,
    number: Option<&PhoneNumber>,
) -> Result<(), Fault> {
    let home = networks.home_of(subscription.imsi).ok_or_else(|| unexpected("no home network"))?;
    let subscriber = subscription.subscriber.clone();
    let subscriber = match number {
        Some(number) => subscriber.with_msisdn(number.clone()),
        None => subscriber,
    };
    home.provision(subscription.imsi, subscriber)
}

/// The networks that are visible to the device during the swap.
pub(crate) fn visible() -> Result<Vec<Plmn>, Fault> {
    Ok(vec![plmn(VISITED)?, plmn(LOCAL)?])
}

fn plmn(text: &str) -> Result<Plmn, Fault> {
    text.parse().map_err(|_| unexpected(text))
}

/// The fault of a set-up step that failed.
pub(crate) fn unexpected(why: &str) -> Fault {
    Fault::new("cannot create the parties of a swap", why, "report this")
}
