//! SMSC of `landfall network` and `landfall up`: command-line options, start and stop.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use crypto::Secret;
use net::{
    FileMemory,
    smpp::{CentreSettings, serve_smsc},
};
use network::{Networks, Smsc, SmscSettings, smsc::Account};
use rsp::ids::Imsi;
use tokio::{net::TcpListener, task::JoinHandle};
use world::{Fault, FaultKind, PhoneNumber, World};

use crate::{
    faults::ActiveFaults,
    hidden_value::HiddenValue,
    parties::{self, Running},
    secret_file::secret,
    settings::Settings,
};

/// SMSC options: subscriber numbers and SMPP accounts.
#[derive(Debug, Args)]
pub struct SmscArguments {
    /// MSISDN of a subscriber (repeatable)
    #[arg(long = "msisdn", value_name = "IMSI=NUMBER", value_parser = msisdn)]
    msisdns: Vec<(Imsi, PhoneNumber)>,
    /// Listening address for SMPP 3.4 clients
    #[arg(long, value_name = "HOST:PORT")]
    listen_smpp: Option<String>,
    /// SMPP account, with its source addresses separated by commas (repeatable)
    #[arg(long = "account", value_name = "NAME:NUMBER", value_parser = HiddenValue(account))]
    accounts: Vec<AccountArgument>,
    /// File with the password of the SMPP accounts [default: LANDFALL_SMSC_PASSWORD]
    #[arg(long, value_name = "FILE")]
    smsc_password_file: Option<PathBuf>,
    /// Number of the SMSC
    #[arg(long, value_name = "NUMBER", default_value = SERVICE_CENTRE)]
    service_centre: PhoneNumber,
}

/// Default SMSC number, in an unassigned country code.
const SERVICE_CENTRE: &str = "+999000000001";

fn msisdn(text: &str) -> Result<(Imsi, PhoneNumber), String> {
    let (imsi, number) = text
        .split_once('=')
        .ok_or("expected an IMSI, = and a number, such as 001010123456789=+4915100000001")?;
    let imsi = imsi.parse().map_err(|error: rsp::ids::InvalidId| error.to_string())?;
    Ok((imsi, number.parse().map_err(|error: world::InvalidPhoneNumber| error.to_string())?))
}

/// Value of `--account`, without the password.
#[derive(Clone, Debug)]
struct AccountArgument {
    name: String,
    numbers: Vec<PhoneNumber>,
}

/// Name of the environment variable with the password of SMPP accounts.
pub(super) const PASSWORD_VARIABLE: &str = "LANDFALL_SMSC_PASSWORD";

/// Returns the password of SMPP accounts.
///
/// # Errors
/// The password is missing, or its file cannot be read.
pub(super) fn password(file: Option<&Path>) -> Result<Secret<String>, Fault> {
    secret(file, PASSWORD_VARIABLE)?.ok_or_else(|| {
        Fault::usage(
            "the SMPP account has no password",
            "no file and no environment variable contains it",
            format!("give the file with --smsc-password-file, or set {PASSWORD_VARIABLE}"),
        )
    })
}

fn account(text: &str) -> Result<AccountArgument, String> {
    let (name, numbers) =
        text.split_once(':').ok_or("expected a name and numbers, such as sm-sr:1000,1001")?;
    if numbers.contains(':') {
        return Err("expected NAME:NUMBER; --smsc-password-file names the file with the password".to_owned());
    }
    let numbers = numbers.split(',').map(str::parse).collect::<Result<_, world::InvalidPhoneNumber>>();
    let numbers = numbers.map_err(|error| error.to_string())?;
    Ok(AccountArgument { name: name.to_owned(), numbers })
}

/// A running SMSC.
pub struct RunningSmsc {
    number: PhoneNumber,
    numbers: Vec<(Imsi, PhoneNumber)>,
    task: JoinHandle<()>,
    clients: Option<Running>,
}

impl SmscArguments {
    /// Starts an SMSC for these networks. Its messages are stored in a file of the data folder.
    /// SMPP clients can bind with the accounts of the command line and with the accounts in
    /// `more`.
    ///
    /// # Errors
    /// The file or the socket fails, the SMSC number is invalid, or an MSISDN is assigned to an
    /// unknown subscriber.
    pub async fn open(
        &self,
        more: Vec<Account>,
        networks: &Arc<Networks>,
        settings: &Settings,
        world: &World,
        active_faults: &ActiveFaults,
    ) -> Result<RunningSmsc, Fault> {
        for (imsi, number) in &self.msisdns {
            give_number(networks, *imsi, number.clone())?;
        }
        let mut accounts = more;
        if !self.accounts.is_empty() {
            let password = password(self.smsc_password_file.as_deref())?;
            accounts.extend(self.accounts.iter().cloned().map(|AccountArgument { name, numbers }| Account {
                name,
                password: password.clone(),
                numbers,
            }));
        }
        let centre = SmscSettings::new(self.service_centre.clone(), accounts);
        let memory = FileMemory::open(settings.data_dir.join("networks").join("short-messages"))?;
        let smsc = Smsc::open(centre, Arc::clone(networks), memory, world.clone())?;
        active_faults.messages(&smsc);
        let clients = match &self.listen_smpp {
            Some(address) => Some(serve_clients(net::listen(address).await?, Arc::clone(&smsc), world)?),
            None => None,
        };
        let number = smsc.number().clone();
        Ok(RunningSmsc { number, numbers: self.msisdns.clone(), task: tokio::spawn(smsc.run()), clients })
    }
}

impl RunningSmsc {
    /// Start-up messages: the assigned numbers and the SMPP address.
    pub fn messages(&self) -> Vec<String> {
        let numbers =
            self.numbers.iter().map(|(imsi, number)| format!("subscriber {imsi} has the number {number}"));
        let address = self.clients.iter();
        let addresses =
            address.map(|clients| format!("SMSC {} at {} (SMPP 3.4)", self.number, clients.address));
        numbers.chain(addresses).collect()
    }

    /// Returns the address for SMPP clients, if the SMSC has one.
    pub fn address(&self) -> Option<SocketAddr> {
        self.clients.as_ref().map(|clients| clients.address)
    }

    /// Unbinds all SMPP clients and stops the SMSC.
    pub async fn stop(mut self) {
        if let Some(clients) = self.clients.take() {
            clients.stop().await;
        }
    }
}

impl Drop for RunningSmsc {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves SMPP clients with the accounts of this SMSC.
fn serve_clients(listener: TcpListener, smsc: Arc<Smsc>, world: &World) -> Result<Running, Fault> {
    let settings = CentreSettings::new("landfall", Arc::clone(&world.clock));
    Running::start(parties::local_address(&listener)?, |stopped| {
        Ok(serve_smsc(listener, smsc, settings, stopped))
    })
}

/// Assigns an MSISDN to a subscriber.
///
/// # Errors
/// The subscriber is unknown, or the record cannot be written.
fn give_number(networks: &Networks, imsi: Imsi, number: PhoneNumber) -> Result<(), Fault> {
    let home = networks.home_of(imsi);
    let known = home.as_ref().and_then(|home| home.subscriber(imsi));
    let (Some(home), Some(known)) = (home, known) else {
        return Err(Fault::new(
            format!("cannot assign the number {number} to {imsi}"),
            "no network here has this subscriber",
            "add its profile package with --subscriber, or correct the IMSI",
        )
        .of_kind(FaultKind::NotFound));
    };
    home.provision(imsi, known.with_msisdn(number))
}
