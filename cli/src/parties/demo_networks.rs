//! The networks of both demonstrations, served on the loopback.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use net::{Client, FileMemory};
use network::{EmmCause, Network, Networks, NetworksService, Policy, RemoteNetworks, SubscriberServer};
use rsp::ids::{InvalidId, Plmn};
use testbed::subscription::Subscription;
use world::{Fault, PhoneNumber, World};

use super::Running;

/// Home network of the bootstrap profiles, in the United Kingdom.
pub const BOOTSTRAP: &str = "234-99";
/// Network in Brazil on which the devices roam.
pub const VISITED: &str = "724-97";
/// Network of the local operator.
pub const LOCAL: &str = "724-99";
/// Network of a local operator that refuses its new subscriber.
pub const REFUSING: &str = "724-98";

/// Running networks. Their subscribers are stored in files.
pub struct DemoNetworks {
    /// The networks.
    pub networks: Arc<Networks>,
    running: Running,
    folder: PathBuf,
    world: World,
}

impl DemoNetworks {
    /// Starts the home network of the bootstrap profiles and the network on which they roam.
    ///
    /// # Errors
    /// There is no free port, or a file in `folder` is not writable.
    pub async fn start(folder: &Path, world: &World) -> Result<Self, Fault> {
        let networks = Arc::new(Networks::new(world.clone()));
        let service = world::link_from(NetworksService::new(Arc::clone(&networks)));
        let running = Running::serve(net::listen("127.0.0.1:0").await?, None, service)?;
        let all = Self { networks, running, folder: folder.to_path_buf(), world: world.clone() };
        let bootstrap = plmn(BOOTSTRAP)?;
        let roaming = Policy::with_partners([bootstrap]);
        all.networks.put(Network::new(plmn(VISITED)?, "Visited Brasil", "BR").with_policy(roaming));
        all.add_home(Network::new(bootstrap, "Bootstrap UK", "GB"))?;
        Ok(all)
    }

    /// Adds a network with a subscriber server.
    ///
    /// # Errors
    /// The file of its subscribers cannot be opened.
    pub fn add_home(&self, network: Network) -> Result<(), Fault> {
        let home = network.plmn;
        let memory = FileMemory::open(self.folder.join("networks").join(format!("{home}.subscribers")))?;
        self.networks.put(network);
        self.networks.put_home(Arc::new(SubscriberServer::open(home, memory, self.world.clone())?));
        Ok(())
    }

    /// Adds the network that refuses its new subscriber.
    ///
    /// # Errors
    /// The file of its subscribers cannot be opened.
    pub fn add_refusing(&self) -> Result<(), Fault> {
        let policy = Policy::refusing_everybody(EmmCause::PLMN_NOT_ALLOWED);
        self.add_home(Network::new(plmn(REFUSING)?, "Norte Brasil", "BR").with_policy(policy))
    }

    /// Adds the subscriber of a profile to its home network, with an MSISDN if there is one.
    ///
    /// # Errors
    /// There is no such network, or its file cannot be written.
    pub fn provision(&self, profile: &Subscription, msisdn: Option<&PhoneNumber>) -> Result<(), Fault> {
        let server = self.networks.home_of(profile.imsi).ok_or_else(|| {
            let why = format!("no home network for {}", profile.imsi);
            Fault::new("cannot set up the networks", why, "report this")
        })?;
        let subscriber = profile.subscriber.clone();
        let subscriber = match msisdn {
            Some(msisdn) => subscriber.with_msisdn(msisdn.clone()),
            None => subscriber,
        };
        server.provision(profile.imsi, subscriber)
    }

    /// Returns the radio interface of a device.
    ///
    /// # Errors
    /// The address of the networks is unusable.
    pub fn radio(&self) -> Result<RemoteNetworks, Fault> {
        Ok(RemoteNetworks::new(Client::default().link(&self.running.address.to_string(), None)?))
    }

    /// Waits for open requests, then stops the networks.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

/// Parses the code of a network.
///
/// # Errors
/// The text is not a network code.
pub fn plmn(text: &str) -> Result<Plmn, Fault> {
    text.parse().map_err(|e: InvalidId| Fault::caused_by(e, "cannot set up the networks", "report this"))
}
