//! `landfall network`: mobile networks with their subscriber servers and their SMSC.

mod subscribers;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use net::FileMemory;
use network::{
    Network, Networks, NetworksService, SubscriberServer, Subscribers,
    smsc::Account,
    subscriber_api::{ListedNetwork, ListedSubscriber},
};
use rsp::ids::Plmn;
use serde::Deserialize;
use testbed::subscription::Subscription;
use world::{Fault, Link, World};

use super::smsc::SmscArguments;
use crate::{
    faults::{ActiveFaults, FaultOptions, FaultPoints},
    hidden_value::toml_error,
    json_schema::{CommandOutput, OneOf, document, lines},
    output::remark,
    parties::{self, Running},
    readiness::{Ready, ReadyOptions},
    settings::{Setting, Settings},
};

/// Mobile networks and their SMSC, for `landfall device --network`
#[derive(Debug, Args)]
#[command(arg = Setting::Network.listen(), args = Setting::flags(&[Setting::Seed]))]
#[command(args_conflicts_with_subcommands = true)]
pub struct Command {
    #[command(subcommand)]
    action: Option<subscribers::Action>,
    /// TOML file of networks: [[network]] with plmn, name, country, and optionally coverage and
    /// policy; [[account]] with the name, password and numbers of an SMPP client
    #[arg(long, value_name = "FILE")]
    networks: Option<PathBuf>,
    /// Profile package (repeatable). The subscriber of its IMSI, and of each further IMSI of a
    /// multi-IMSI package, is added to the home network
    #[arg(long = "subscriber", value_name = "FILE")]
    subscribers: Vec<PathBuf>,
    #[command(flatten)]
    centre: SmscArguments,
    #[command(flatten)]
    faults: FaultOptions,
    #[command(flatten)]
    ready: ReadyOptions,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworksFile {
    network: Vec<Network>,
    #[serde(default)]
    account: Vec<Account>,
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] = &[
    lines::<Ready>("network"),
    document::<Vec<ListedSubscriber>>("network add"),
    document::<OneOf<Vec<ListedSubscriber>, Vec<ListedNetwork>>>("network list"),
    document::<subscribers::Removed>("network remove"),
];

impl Command {
    /// Serves until stopped, or runs the subcommand.
    ///
    /// # Errors
    /// A file or the socket fails.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        if let Some(action) = self.action {
            return action.run(settings, json).await;
        }
        let startup = self.ready.begin()?;
        let (world, _) = parties::os_world()?;
        let active_faults = self.faults.put(&FaultPoints::NETWORK, settings)?;
        let listener = parties::listen_at(&mut settings.network.clone(), "--listen").await?;
        let _claim = net::Claim::take(&settings.data_dir, "network")?;
        let mut accounts = Vec::new();
        let networks = Arc::new(Networks::new(world.clone()));
        if let Some(file) = &self.networks {
            let text = crate::files::read_text(file)?;
            let file_contents: NetworksFile = toml::from_str(&text).map_err(|e| {
                Fault::usage(
                    format!("cannot use the networks in {}", file.display()),
                    toml_error(&text, &e),
                    "correct the file",
                )
            })?;
            file_contents.network.into_iter().for_each(|network| networks.put(network));
            accounts.extend(file_contents.account);
        }
        let subscribers = open_subscribers(&networks, settings, &world)?;
        for file in &self.subscribers {
            let subscription = add_subscribers(&subscribers, &crate::files::read(file)?)?;
            remark(&format!("subscriber {} at home in {}", subscription.imsi, subscription.home));
            for other in &subscription.others {
                remark(&format!("its identity {} at home in {}", other.imsi, other.home));
            }
        }
        let centre = self.centre.open(accounts, &networks, settings, &world, &active_faults).await?;
        for line in centre.messages() {
            remark(&line);
        }
        for network in networks.all() {
            remark(&format!("network {} {} ({})", network.plmn, network.name, network.country));
        }
        let link = startup.with_health(radio_link(networks, subscribers, settings, &active_faults));
        let running = Running::serve(listener, None, link)?;
        remark(&format!("networks at {} (GET /openapi.json); Ctrl-C stops them", running.address));
        let ready = Ready::of("network", settings)
            .at("network", running.address)
            .at_optional("smpp", centre.address());
        startup.announce(&ready, json)?.requested().await;
        centre.stop().await;
        running.stop().await;
        Ok(())
    }
}

/// Link over which devices reach the networks, with radio faults if any are configured. The API for
/// subscribers is at the same link. The servers of the settings can have names; the networks answer
/// to these names too.
pub fn radio_link(
    networks: Arc<Networks>,
    subscribers: Subscribers,
    settings: &Settings,
    active_faults: &ActiveFaults,
) -> Link {
    let radio = active_faults.radio(&networks);
    let Settings { sm_dp_names, sm_ds_names, network, .. } = settings;
    let names = sm_dp_names.iter().chain(sm_ds_names).chain([network]);
    let names = names.map(|name| parties::host_of(name).to_owned());
    let service = NetworksService::new(networks).with_subscribers(subscribers).with_names(names);
    world::link_from(match radio {
        Some(radio) => service.with_radio(radio),
        None => service,
    })
}

/// Opens the subscriber servers that the data folder has. Further ones are opened when they get a
/// subscriber. A missing network is created.
///
/// # Errors
/// A file of subscribers cannot be read.
pub fn open_subscribers(
    networks: &Arc<Networks>,
    settings: &Settings,
    world: &World,
) -> Result<Subscribers, Fault> {
    let folder = settings.data_dir.join("networks");
    for home in stored_homes(&folder)? {
        open_home(networks, home, &folder, world)?;
    }
    let (of, world) = (Arc::clone(networks), world.clone());
    Ok(Subscribers::new(Arc::clone(networks), move |home| open_home(&of, home, &folder, &world)))
}

/// Returns the home networks with a file of subscribers in this folder, in the order of their codes.
fn stored_homes(folder: &Path) -> Result<Vec<Plmn>, Fault> {
    let unreadable = |error| {
        let what = format!("cannot read the subscribers in {}", folder.display());
        Fault::caused_by(error, what, "correct --data-dir, or make the folder readable")
    };
    let mut homes = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(homes),
        entries => entries.map_err(unreadable)?,
    };
    for entry in entries {
        let name = entry.map_err(unreadable)?.file_name();
        let home: Option<Plmn> = name.to_str().and_then(|name| name.strip_suffix(STORED)?.parse().ok());
        homes.extend(home);
    }
    homes.sort();
    Ok(homes)
}

/// Adds all subscribers of a package (the profile's own and those of its further identities) to
/// their home networks. A missing network is created.
///
/// # Errors
/// The package has no subscriber that a network here could serve, or the record cannot be
/// written.
pub fn add_subscribers(subscribers: &Subscribers, package: &[u8]) -> Result<Subscription, Fault> {
    let subscription = Subscription::of(package)?;
    let Subscription { imsi, home, subscriber, others, .. } = &subscription;
    let others = others.iter().map(|other| (other.imsi, other.home, &other.subscriber));
    for (imsi, home, subscriber) in std::iter::once((*imsi, *home, subscriber)).chain(others) {
        subscribers.provision(imsi, home, subscriber.clone())?;
    }
    Ok(subscription)
}

/// Ending of the files with the subscribers of a home network.
const STORED: &str = ".subscribers";

/// Opens the subscriber server of a home network. A missing network is created.
fn open_home(
    networks: &Networks,
    home: Plmn,
    folder: &Path,
    world: &World,
) -> Result<Arc<SubscriberServer>, Fault> {
    if !networks.all().iter().any(|network| network.plmn == home) {
        let country = localize::RuleBook::built_in().ok().and_then(|book| book.locate(home).ok());
        let country = country.map_or_else(|| "XT".to_owned(), |place| place.country.to_string());
        networks.put(Network::new(home, format!("Network {home}"), country));
    }
    let file = folder.join(format!("{home}{STORED}"));
    let server = Arc::new(SubscriberServer::open(home, FileMemory::open(file)?, world.clone())?);
    networks.put_home(Arc::clone(&server));
    Ok(server)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use testbed::subscription::{OwnIdentities, own_package_with};

    use super::*;

    #[test]
    fn each_identity_of_a_package_is_added_to_its_own_home_network() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::with_data_dir(folder.path().to_owned());
        let (world, _) = parties::os_world().unwrap();
        let networks = Arc::new(Networks::new(world.clone()));
        let subscribers = open_subscribers(&networks, &settings, &world).unwrap();
        let of = vec![("724-91".parse().unwrap(), vec!["724".parse().unwrap()])];
        let package = own_package_with("262-91", 1, "Reise", &OwnIdentities { series: 1, of }).unwrap();
        let subscription = add_subscribers(&subscribers, &package).unwrap();
        let [other] = &subscription.others[..] else { panic!("{subscription:?}") };
        for (imsi, home) in [(subscription.imsi, "262-91"), (other.imsi, "724-91")] {
            let server = networks.home_of(imsi).unwrap();
            assert_eq!(server.plmn().to_string(), home);
            assert!(server.subscriber(imsi).is_some());
            assert!(networks.all().iter().any(|network| network.plmn == server.plmn()));
        }
        let keys = |imsi| networks.home_of(imsi).unwrap().subscriber(imsi).unwrap().keys;
        assert!(keys(subscription.imsi) != keys(other.imsi));
        // After a restart the subscribers are there without --subscriber.
        drop((networks, subscribers));
        let networks = Arc::new(Networks::new(world.clone()));
        open_subscribers(&networks, &settings, &world).unwrap();
        assert!(networks.home_of(other.imsi).unwrap().subscriber(other.imsi).is_some());
    }
}
