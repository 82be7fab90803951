//! `landfall network`: the networks a device may see, and the subscriber servers behind them.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use clap::Args;
use euicc_sim::network::{
    Network, Networks, NetworksService, Smsc, SmscSettings, SubscriberServer,
    smsc::{Account, SmsFault},
};
use net::{
    FileMemory,
    smpp::{CentreSettings, serve_centre},
};
use rsp::ids::Imsi;
use serde::Deserialize;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use world::{Fault, PhoneNumber, World};

use crate::{
    output::remark,
    parties::{self, Running},
    settings::Settings,
    subscription::Subscription,
};

/// The networks and their service centre, for `landfall device --network` on this host or another
#[derive(Debug, Args)]
pub struct Command {
    /// The networks, as TOML: [[network]] with plmn, name, country, and optionally coverage and policy; and who may write
    /// short messages: [[account]] with name, password and numbers
    #[arg(long, value_name = "FILE")]
    networks: Option<PathBuf>,
    /// A profile package whose subscriber is at home in its network; may be repeated
    #[arg(long = "subscriber", value_name = "FILE")]
    subscribers: Vec<PathBuf>,
    /// The telephone number of a subscriber; may be repeated
    #[arg(long = "msisdn", value_name = "IMSI=NUMBER", value_parser = msisdn)]
    msisdns: Vec<(Imsi, PhoneNumber)>,
    /// Where writers of short messages come in, over SMPP 3.4
    #[arg(long, value_name = "HOST:PORT")]
    smpp: Option<String>,
    /// A writer, with the numbers that it writes as and is reached by; may be repeated
    #[arg(long = "account", value_name = "NAME:PASSWORD:NUMBER,..", value_parser = account)]
    accounts: Vec<Account>,
    /// The number of the service centre
    #[arg(long, value_name = "NUMBER", default_value = SERVICE_CENTRE)]
    service_centre: PhoneNumber,
    /// Something that goes wrong with short messages, such as lose:mt, double:mo:2, delay=30:mt or lose-answer:mt; may be
    /// repeated
    #[arg(long = "sms-fault", value_name = "FAULT")]
    sms_faults: Vec<SmsFault>,
}

/// A number in a code that is nobody's country.
const SERVICE_CENTRE: &str = "+999000000001";

fn msisdn(text: &str) -> Result<(Imsi, PhoneNumber), String> {
    let (imsi, number) =
        text.split_once('=').ok_or("an IMSI, = and a number, such as 001010123456789=+4915100000001")?;
    let imsi = imsi.parse().map_err(|error: rsp::ids::InvalidId| error.to_string())?;
    Ok((imsi, number.parse().map_err(|error: world::InvalidPhoneNumber| error.to_string())?))
}

fn account(text: &str) -> Result<Account, String> {
    let mut parts = text.splitn(3, ':');
    let (Some(name), Some(password), Some(numbers)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("a name, a password and numbers, such as sm-sr:secret:1000".to_owned());
    };
    let numbers = numbers.split(',').map(str::parse).collect::<Result<_, world::InvalidPhoneNumber>>();
    let numbers = numbers.map_err(|error| error.to_string())?;
    Ok(Account { name: name.to_owned(), password: password.to_owned(), numbers })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Laid {
    network: Vec<Network>,
    #[serde(default)]
    account: Vec<Account>,
}

impl Command {
    /// Serves until it is stopped.
    ///
    /// # Errors
    /// A file or the socket fails.
    pub async fn run(self, settings: &Settings) -> Result<(), Fault> {
        let (world, _) = parties::os_world()?;
        let listener = net::listen(&settings.network).await?;
        let mut accounts = self.accounts;
        let networks = Arc::new(Networks::new(world.clone()));
        if let Some(file) = &self.networks {
            let text = super::sm_dp::read_text(file)?;
            let laid: Laid = toml::from_str(&text).map_err(|e| {
                Fault::caused_by(
                    e,
                    format!("cannot use the networks in {}", file.display()),
                    "correct the file",
                )
            })?;
            laid.network.into_iter().for_each(|network| networks.put(network));
            accounts.extend(laid.account);
        }
        for file in &self.subscribers {
            let subscription = serve_at_home(&networks, &super::sm_dp::read(file)?, settings, &world)?;
            remark(&format!("subscriber {} at home in {}", subscription.imsi, subscription.home));
        }
        for (imsi, number) in &self.msisdns {
            give_number(&networks, *imsi, number.clone())?;
            remark(&format!("subscriber {imsi} has the number {number}"));
        }
        let centre = SmscSettings::new(self.service_centre, accounts);
        let smsc = open_centre(centre, &networks, settings, &world)?;
        self.sms_faults.into_iter().for_each(|fault| smsc.inject(fault));
        let centre = tokio::spawn(Arc::clone(&smsc).run());
        let smpp = match &self.smpp {
            Some(address) => Some(Writers::admit(net::listen(address).await?, Arc::clone(&smsc), &world)?),
            None => None,
        };
        if let Some(smpp) = &smpp {
            remark(&format!("service centre {} at {} (SMPP 3.4)", smsc.number(), smpp.address));
        }
        for network in networks.all() {
            remark(&format!("network {} {} ({})", network.plmn, network.name, network.country));
        }
        let running = Running::serve(listener, None, world::link_from(NetworksService(networks)))?;
        remark(&format!("networks at {}; Ctrl-C stops them", running.address));
        super::sm_dp::stop_signal().await;
        if let Some(smpp) = smpp {
            smpp.stop().await;
        }
        running.stop().await;
        centre.abort();
        Ok(())
    }
}

/// The service centre of these networks, its messages in a file of the data folder. It is to be run.
///
/// # Errors
/// The file fails, or the centre's number is none.
pub fn open_centre(
    centre: SmscSettings,
    networks: &Arc<Networks>,
    settings: &Settings,
    world: &World,
) -> Result<Arc<Smsc>, Fault> {
    let memory = FileMemory::open(settings.data_dir.join("networks").join("short-messages"))?;
    Smsc::open(centre, Arc::clone(networks), memory, world.clone())
}

/// A service centre's door for writers, until it is stopped.
pub struct Writers {
    /// Where it listens.
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Writers {
    /// Lets the accounts of this centre in.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn admit(listener: TcpListener, smsc: Arc<Smsc>, world: &World) -> Result<Self, Fault> {
        let address = parties::local_address(&listener)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let settings = CentreSettings::new("landfall", Arc::clone(&world.clock));
        let task = tokio::spawn(serve_centre(listener, smsc, settings, async {
            // A dropped sender stops the door as well as a sent word.
            let _ = stopped.await;
        }));
        Ok(Self { address, stop: Some(stop), task })
    }

    /// Unbinds every writer, and stops.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        // The task ends with its last session; if it was aborted there is nothing to wait for.
        let _ = (&mut self.task).await;
    }
}

/// Gives a subscriber a telephone number.
///
/// # Errors
/// There is no such subscriber, or the record fails.
pub fn give_number(networks: &Networks, imsi: Imsi, number: PhoneNumber) -> Result<(), Fault> {
    let home = networks.home_of(imsi);
    let known = home.as_ref().and_then(|home| home.subscriber(imsi));
    let (Some(home), Some(known)) = (home, known) else {
        return Err(Fault::new(
            format!("cannot give {imsi} the number {number}"),
            "it is no subscriber of a network here",
            "name its package with --subscriber, or correct the IMSI",
        ));
    };
    home.provision(imsi, known.with_msisdn(number))
}

/// Makes the subscriber of a package known to its home network, which comes on the air if it is not there yet.
///
/// # Errors
/// The package has no subscriber that a network here could serve, or the record fails.
pub fn serve_at_home(
    networks: &Networks,
    package: &[u8],
    settings: &Settings,
    world: &World,
) -> Result<Subscription, Fault> {
    let subscription = Subscription::of(package)?;
    let home = subscription.home;
    if !networks.all().iter().any(|network| network.plmn == home) {
        let country = localize::RuleBook::built_in().ok().and_then(|book| book.locate(home).ok());
        let country = country.map_or_else(|| "XT".to_owned(), |place| place.country.to_string());
        networks.put(Network::new(home, format!("Network {home}"), country));
    }
    let server = match networks.home_of(subscription.imsi) {
        Some(server) => server,
        None => {
            let memory =
                FileMemory::open(settings.data_dir.join("networks").join(format!("{home}.subscribers")))?;
            let server = Arc::new(SubscriberServer::open(home, memory, world.clone())?);
            networks.put_home(Arc::clone(&server));
            server
        }
    };
    server.provision(subscription.imsi, subscription.subscriber.clone())?;
    Ok(subscription)
}
