//! `landfall network add|list|remove`: the subscribers of running networks, over their API.

use std::{
    num::NonZeroU8,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum};
use crypto::Secret;
use http::Method;
use network::{
    Keys,
    subscriber_api::{ListedNetwork, ListedSubscriber, NewSubscriber, SUBSCRIBERS},
};
use profile::SecretOctets;
use rsp::ids::{Imsi, Plmn};
use rsp_server::api::MAX_LIMIT;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use testbed::subscription::Subscription;
use world::{Fault, PhoneNumber};

use crate::{
    advice::Server,
    api_client::ApiClient,
    hidden_value::toml_error,
    output::{Table, print, print_json},
    secret_file::read_secret,
    settings::{Setting, Settings},
};

/// Subscribers of running networks
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Add a subscriber to running networks, or replace one
    #[command(args = Setting::flags(&[Setting::Network]))]
    Add(Box<Add>),
    /// List the subscribers of running networks, without their keys, or the networks
    #[command(args = Setting::flags(&[Setting::Network]))]
    List {
        #[arg(value_enum, default_value_t)]
        resource: Resource,
    },
    /// Remove a subscriber from running networks
    #[command(args = Setting::flags(&[Setting::Network]))]
    Remove { imsi: Imsi },
}

/// A list of the networks' API.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum Resource {
    /// Subscribers
    #[default]
    Subscribers,
    /// Networks
    Networks,
}

/// A subscriber from a profile package, or from an IMSI and keys
#[derive(Args, Debug)]
pub(super) struct Add {
    /// Profile package (TCA, DER): adds the subscriber of its IMSI, and of each further IMSI of a
    /// multi-IMSI package
    #[arg(value_name = "PACKAGE", required_unless_present = "imsi", conflicts_with = "imsi")]
    packages: Vec<PathBuf>,
    /// IMSI of a subscriber without a package
    #[arg(long, requires = "keys")]
    imsi: Option<Imsi>,
    /// TOML file with k, and with opc (for TUAK the TOPc), in hexadecimal digits; `-` for standard
    /// input
    #[arg(long, value_name = "FILE", requires = "imsi")]
    keys: Option<PathBuf>,
    /// Authentication algorithm
    #[arg(long, value_enum, default_value_t, requires = "imsi")]
    algorithm: Algorithm,
    /// Length of RES in octets, for TUAK and the USIM test algorithm
    #[arg(long, value_name = "OCTETS", default_value_t = 8, requires = "imsi")]
    res_length: u8,
    /// Number of iterations of the permutation, for TUAK
    #[arg(long, value_name = "N", default_value = "1", requires = "imsi")]
    iterations: NonZeroU8,
    /// Home network [default: the known network with whose code the IMSI begins]
    #[arg(long, value_name = "PLMN", requires = "imsi")]
    home: Option<Plmn>,
    /// Telephone number, for short messages
    #[arg(long, value_name = "NUMBER", requires = "imsi")]
    msisdn: Option<PhoneNumber>,
}

/// Authentication algorithms of USIMs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Algorithm {
    // The values have no help, so that the help of the command is short.
    #[default]
    Milenage,
    Tuak,
    UsimTest,
}

/// Keys of a subscriber, in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysFile {
    k: HexSecret,
    opc: Option<HexSecret>,
}

/// Secret octets, written in hexadecimal digits.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct HexSecret(SecretOctets);

impl TryFrom<String> for HexSecret {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = Secret::new(text);
        let octets =
            hex::decode(text.expose()).map_err(|_| "expected an even number of hexadecimal digits")?;
        Ok(Self(octets.into()))
    }
}

impl KeysFile {
    fn read(file: &Path) -> Result<Self, Fault> {
        let text = read_secret(file)?;
        toml::from_str(text.expose()).map_err(|e| {
            Fault::usage(
                format!("cannot use the keys in {}", file.display()),
                toml_error(text.expose(), &e),
                "write k = \"...\" and opc = \"...\", in hexadecimal digits",
            )
        })
    }
}

impl Action {
    /// Runs the command.
    ///
    /// # Errors
    /// A file is not a package, or the networks are unreachable or refuse the request.
    pub(super) async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let api = ApiClient::at(&settings.network, Server::Networks)?;
        match self {
            Self::Add(add) => {
                let mut added: Vec<ListedSubscriber> = Vec::new();
                for (imsi, new) in add.subscribers()? {
                    added.push(api.write(Method::PUT, &format!("{SUBSCRIBERS}/{imsi}"), &new).await?);
                }
                if json {
                    return print_json(&added);
                }
                for ListedSubscriber { imsi, home, .. } in added {
                    print(&format!("subscriber {imsi} at home in {home}\n"))?;
                }
                Ok(())
            }
            Self::List { resource: Resource::Subscribers } => {
                let all: Vec<ListedSubscriber> =
                    api.list(&format!("{SUBSCRIBERS}?limit={MAX_LIMIT}")).await?;
                if json { print_json(&all) } else { print(&subscriber_table(&all)) }
            }
            Self::List { resource: Resource::Networks } => {
                let all: Vec<ListedNetwork> = api.list(&format!("/v1/networks?limit={MAX_LIMIT}")).await?;
                if json { print_json(&all) } else { print(&network_table(&all)) }
            }
            Self::Remove { imsi } => {
                api.delete(&format!("{SUBSCRIBERS}/{imsi}")).await?;
                match json {
                    true => print_json(&Removed { imsi }),
                    false => Ok(()),
                }
            }
        }
    }
}

/// A subscriber that was removed.
#[derive(JsonSchema, Serialize)]
pub(super) struct Removed {
    imsi: Imsi,
}

impl Add {
    fn subscribers(&self) -> Result<Vec<(Imsi, NewSubscriber)>, Fault> {
        if let (Some(imsi), Some(keys)) = (self.imsi, &self.keys) {
            let (home, msisdn) = (self.home, self.msisdn.clone());
            return Ok(vec![(
                imsi,
                NewSubscriber { home, msisdn, ..NewSubscriber::of(self.keys(KeysFile::read(keys)?)?) },
            )]);
        }
        let mut all = Vec::new();
        for file in &self.packages {
            let Subscription { imsi, home, subscriber, others, .. } =
                Subscription::of(&crate::files::read(file)?)?;
            let others = others.into_iter().map(|other| (other.imsi, other.home, other.subscriber));
            for (imsi, home, subscriber) in std::iter::once((imsi, home, subscriber)).chain(others) {
                all.push((imsi, NewSubscriber { home: Some(home), ..NewSubscriber::of(subscriber.keys) }));
            }
        }
        Ok(all)
    }

    fn keys(&self, KeysFile { k, opc }: KeysFile) -> Result<Keys, Fault> {
        let what = "cannot add the subscriber";
        let opc = |name: &str| {
            opc.as_ref().map(|HexSecret(opc)| opc.expose().to_vec()).ok_or_else(|| {
                Fault::usage(what, format!("the algorithm needs {name}"), "add opc to the file of --keys")
            })
        };
        let sized = |name: &str| {
            let next = "K has 16 octets (TUAK also 32), OPc has 16 octets, TOPc has 32; compare --algorithm";
            Fault::usage(what, format!("{name} has the wrong length"), next)
        };
        let k = k.0.expose().to_vec();
        let short = |k: Vec<u8>| <[u8; 16]>::try_from(k).map_err(|_| sized("K"));
        Ok(match self.algorithm {
            Algorithm::Milenage => {
                let opc = opc("OPc")?.try_into().map_err(|_| sized("OPc"))?;
                Keys::Milenage { k: short(k)?, opc }
            }
            Algorithm::Tuak => {
                let topc = opc("TOPc")?.try_into().map_err(|_| sized("TOPc"))?;
                Keys::Tuak { k, topc, res_length: self.res_length, iterations: self.iterations }
            }
            Algorithm::UsimTest => Keys::UsimTest { k: short(k)?, res_length: self.res_length },
        })
    }
}

fn subscriber_table(all: &[ListedSubscriber]) -> String {
    let mut table = Table::new(&["IMSI", "home", "algorithm", "number", "barred", "attached to"]);
    for ListedSubscriber { imsi, home, algorithm, barred, may_roam: _, msisdn, attached } in all {
        table.row([
            imsi.to_string(),
            home.to_string(),
            algorithm.clone(),
            msisdn.as_ref().map(ToString::to_string).unwrap_or_default(),
            barred.map(|cause| cause.to_string()).unwrap_or_default(),
            attached.map(|network| network.to_string()).unwrap_or_default(),
        ]);
    }
    table.render()
}

fn network_table(all: &[ListedNetwork]) -> String {
    let mut table = Table::new(&["network", "name", "country", "coverage"]);
    for ListedNetwork { plmn, name, country, coverage } in all {
        let coverage = if *coverage { "yes" } else { "no" };
        table.row([plmn.to_string(), name.clone(), country.clone(), coverage.to_owned()]);
    }
    table.render()
}
