//! The service centre of short messages, beside the networks of `landfall network` and `landfall up`.

use std::{net::SocketAddr, sync::Arc};

use clap::Args;
use net::{
    FileMemory,
    smpp::{CentreSettings, serve_centre},
};
use network::{Networks, Smsc, SmscSettings, smsc::Account};
use rsp::ids::Imsi;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use world::{Fault, PhoneNumber, World};

use crate::{faults::Trouble, parties, settings::Settings, unshown::Unshown};

/// What a service centre is like, and who reaches whom through it.
#[derive(Debug, Args)]
pub struct CentreArguments {
    /// The telephone number of a subscriber; may be repeated
    #[arg(long = "msisdn", value_name = "IMSI=NUMBER", value_parser = msisdn)]
    msisdns: Vec<(Imsi, PhoneNumber)>,
    /// Where writers of short messages come in, over SMPP 3.4
    #[arg(long, value_name = "HOST:PORT")]
    smpp: Option<String>,
    /// A writer, with the numbers that it writes as and is reached by; may be repeated
    #[arg(long = "account", value_name = "NAME:PASSWORD:NUMBER,..", value_parser = Unshown(account))]
    accounts: Vec<Account>,
    /// The number of the service centre
    #[arg(long, value_name = "NUMBER", default_value = SERVICE_CENTRE)]
    service_centre: PhoneNumber,
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

/// A service centre that is running.
pub struct Centre {
    number: PhoneNumber,
    numbers: Vec<(Imsi, PhoneNumber)>,
    task: JoinHandle<()>,
    writers: Option<Writers>,
}

impl CentreArguments {
    /// Runs a centre for these networks, its messages in a file of the data folder, and lets its writers in: those named here
    /// and `more`.
    ///
    /// # Errors
    /// The file or the socket fails, the centre's number is none, or a number is for nobody's subscriber.
    pub async fn open(
        &self,
        more: Vec<Account>,
        networks: &Arc<Networks>,
        settings: &Settings,
        world: &World,
        trouble: &Trouble,
    ) -> Result<Centre, Fault> {
        for (imsi, number) in &self.msisdns {
            give_number(networks, *imsi, number.clone())?;
        }
        let accounts = self.accounts.iter().cloned().chain(more).collect();
        let centre = SmscSettings::new(self.service_centre.clone(), accounts);
        let memory = FileMemory::open(settings.data_dir.join("networks").join("short-messages"))?;
        let smsc = Smsc::open(centre, Arc::clone(networks), memory, world.clone())?;
        trouble.messages(&smsc);
        let writers = match &self.smpp {
            Some(address) => Some(Writers::admit(net::listen(address).await?, Arc::clone(&smsc), world)?),
            None => None,
        };
        let number = smsc.number().clone();
        Ok(Centre { number, numbers: self.msisdns.clone(), task: tokio::spawn(smsc.run()), writers })
    }
}

impl Centre {
    /// What there is to say of it: whose numbers were given, and where writers come in.
    pub fn said(&self) -> Vec<String> {
        let numbers =
            self.numbers.iter().map(|(imsi, number)| format!("subscriber {imsi} has the number {number}"));
        let door = self.writers.iter();
        let door = door.map(|door| format!("service centre {} at {} (SMPP 3.4)", self.number, door.address));
        numbers.chain(door).collect()
    }

    /// Unbinds every writer, and stops.
    pub async fn stop(mut self) {
        if let Some(writers) = self.writers.take() {
            writers.stop().await;
        }
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A service centre's door for writers, until it is stopped.
struct Writers {
    /// Where it listens.
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Writers {
    /// Lets the accounts of this centre in.
    ///
    /// # Errors
    /// The listener has no address.
    fn admit(listener: TcpListener, smsc: Arc<Smsc>, world: &World) -> Result<Self, Fault> {
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
    async fn stop(mut self) {
        drop(self.stop.take());
        // The task ends with its last session; if it was aborted there is nothing to wait for.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Gives a subscriber a telephone number.
///
/// # Errors
/// There is no such subscriber, or the record fails.
fn give_number(networks: &Networks, imsi: Imsi, number: PhoneNumber) -> Result<(), Fault> {
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
