//! `landfall fleet serve`, and access to the platform's records for the other commands.

use std::{collections::BTreeMap, str::FromStr, sync::Arc};

use certs::ServerName;
use clap::Args;
use fleet::{Config, EimAgent, EimAgentConfig, Es2Plus, Platform, Setup, Supplier};
use hmac::{Hmac, KeyInit, Mac};
use rsp::ids::{Eid, Plmn, SmdpAddress};
use sha2::Sha256;
use tokio::sync::Notify;
use world::{Clock, Collection, Fault, FaultKind, ManualClock, NullEvents, Records, World, transact};

use super::query::{self, LoadedQuery, QueryArguments};
use crate::command::localize;
use crate::{
    faults::ActiveFaults,
    output::{Lines, remark},
    parties::{self, Running, TlsServer},
    peers::Delivery,
    readiness::{Ready, ReadyOptions},
    settings::{ListenAddress, Setting, Settings},
};

/// Secret from which the check-in tokens of all devices are derived. It is generated once.
const SECRETS: Collection<String> = Collection::new("platform-secrets");
const DEVICE_TOKENS: &str = "devices";

/// Run the platform: device check-ins, campaigns and profile orders (docs/fleet.md)
#[derive(Args, Debug)]
#[command(args = Setting::flags(&[Setting::SmDp, Setting::SmDpName, Setting::Pki]))]
pub struct Serve {
    /// Listening address for devices and SM-DP+s (TLS), with =nist or =brainpool for one curve
    /// (repeatable)
    #[arg(long, value_name = "HOST:PORT[=CURVE]", default_value = "127.0.0.1:8449")]
    listen: Vec<ListenAddress>,
    /// Listening address of the owner's API, or `none`
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8491")]
    listen_api: String,
    /// Operator whose client certificate is used towards SM-DP+s
    #[arg(long, default_value = "Landfall Test Operator", value_name = "NAME")]
    operator: String,
    /// SM-DP+ of a network's operator, or `operator` if the operator downloads its profiles
    /// itself (SGP.02) (repeatable) [default: that of --sm-dp, for every offer]
    #[arg(long = "supplier", value_name = "NETWORK=HOST:PORT")]
    suppliers: Vec<SupplierArgument>,
    /// API of an eIM; its devices that are in the fleet are moved through it (SGP.32) (repeatable)
    #[arg(long = "eim", value_name = "HOST:PORT")]
    eims: Vec<String>,
    /// Expect download progress reports from the SM-DP+s, whose --operator option names this
    /// platform
    #[arg(long)]
    told: bool,
    #[command(flatten)]
    query: QueryArguments,
    #[command(flatten)]
    ready: ReadyOptions,
}

/// Value of `--supplier`: a network and its SM-DP+, or no SM-DP+ if the operator downloads its
/// profiles itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SupplierArgument(Plmn, Option<SmdpAddress>);

impl FromStr for SupplierArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (network, address) = text
            .split_once('=')
            .ok_or("expected a network, = and its SM-DP+, such as 724-02=127.0.0.1:8443")?;
        let network = network.parse().map_err(|error| format!("{error}"))?;
        Ok(match address {
            "operator" => Self(network, None),
            _ => Self(network, Some(address.parse().map_err(|error| format!("{error}"))?)),
        })
    }
}

impl Serve {
    /// Runs until stopped.
    ///
    /// # Errors
    /// A file, a record or a socket fails.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let startup = self.ready.begin()?;
        let _claim = net::Claim::take(&settings.data_dir, "fleet")?;
        let (world, clock) = parties::os_world()?;
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let has_own_rules = self.query.rules.is_some();
        let read = self.query.read(settings)?;
        localize::warn_of_dates(&read.book, read.now);
        let pki = crate::pki::load(&settings.pki)?;
        let (tls, requester) = parties::operator_tls(&pki, &self.operator, Arc::clone(&clock))?;
        let mut suppliers = BTreeMap::new();
        let here: SmdpAddress = parties::parsed(&[parties::reachable(settings)])?.0;
        let offered =
            read.owner.offers.iter().map(|offer| SupplierArgument(offer.operator.plmn, Some(here.clone())));
        for SupplierArgument(network, address) in offered.chain(self.suppliers) {
            let supplier = match address {
                Some(address) => {
                    let link = parties::device_client(settings).link(address.as_str(), Some(tls.clone()))?;
                    let (name, requester) = (name_of(&address)?, requester.clone());
                    Supplier::SmDpPlus(Es2Plus {
                        link,
                        address,
                        name,
                        requester,
                        reports_progress: self.told,
                    })
                }
                None => Supplier::Operator,
            };
            suppliers.insert(network, supplier);
        }
        let mut api = self.listen_api;
        let listeners = parties::listen_with_tls(&self.listen, "--listen").await?;
        let owners = match api.as_str() {
            "none" => None,
            _ => Some(parties::listen_at(&mut api, "--listen-api").await?),
        };
        let records = query::open(settings)?;
        let secret = secret(&records, &world).await?;
        let woken = Arc::new(Notify::new());
        let wakes = Arc::clone(&woken);
        let events = Lines::new(world.now(), json);
        let platform = Platform::new(records, world, events, read.into_setup(suppliers))
            .with_waker(move || wakes.notify_one());
        let rules = localize::installed(settings);
        let platform = match has_own_rules {
            // The file belongs to the user. After a restart, the platform would use it again.
            true => platform,
            false => platform.with_rules_kept_by(move |text| localize::update::replace(&rules, text)),
        };
        let due = platform.clone();
        let _delivery = Delivery::drive("SM-DP+s", woken, Arc::clone(&clock), move || {
            let platform = due.clone();
            Box::pin(async move { Ok(Some(platform.due().await?).into()) })
        });
        let mut agents = Vec::new();
        for eim in &self.eims {
            let link = net::Client::default().link(eim, None)?;
            let (world, _) = parties::os_world()?;
            let agent = EimAgent::new(platform.clone(), world, link, eim, EimAgentConfig::default());
            let woken = Arc::default();
            agents.push(Delivery::drive("eIM", woken, Arc::clone(&clock), move || {
                let agent = agent.clone();
                Box::pin(async move { Ok(Some(agent.due().await?).into()) })
            }));
        }
        let devices = platform.devices_link(move |eid, token| is_token(&secret, eid, token));
        let none = ActiveFaults::none();
        // The platform presents the certificate of an operator's server, which is that of an SM-DP+.
        let running = parties::serve_with_tls(listeners, &devices, |listens| {
            parties::served_tls(TlsServer::SmDp, listens, &[], &pki, settings, &clock, &none)
        })?;
        let owners_link = startup.with_health(platform.link());
        let owners = owners.map(|listener| Running::serve(listener, None, owners_link)).transpose()?;
        if let Some(owners) = &owners {
            remark(&format!("owner's API at http://{} (GET /openapi.json)", owners.address));
        }
        let at = parties::addresses_of(&running);
        remark(&format!("platform at {at} (POST {}); Ctrl-C stops it", fleet::CHECK_IN));
        let ready = Ready::of("fleet serve", settings)
            .at_all("platform", &running)
            .at_optional("api", owners.as_ref().map(|owners| owners.address));
        startup.announce(&ready, json)?.requested().await;
        platform.end_waits();
        for listener in running {
            listener.stop().await;
        }
        if let Some(owners) = owners {
            owners.stop().await;
        }
        Ok(())
    }
}

/// Opens the platform on the fleet's records, at one point in time, for a command of the owner. It
/// places no orders.
///
/// # Errors
/// There are no records, or they cannot be opened.
pub(super) fn open_platform(settings: &Settings, read: &LoadedQuery) -> Result<Platform, Fault> {
    let records = query::existing(settings)?;
    let world = World::new(ManualClock::at(read.now), net::OsRandom::new()?);
    let offers = read.owner.offers.iter();
    let suppliers = offers.map(|offer| (offer.operator.plmn, Supplier::Operator)).collect();
    Ok(Platform::new(records, world, NullEvents, read.clone().into_setup(suppliers)))
}

/// Returns the host name that the certificate of the SM-DP+ must contain.
fn name_of(address: &SmdpAddress) -> Result<ServerName, Fault> {
    parties::host_of(address.as_str()).parse().map_err(|error| {
        Fault::usage_caused_by(
            error,
            format!("invalid SM-DP+ address {address}"),
            "give a host name or an IP address",
        )
    })
}

/// Returns the check-in token of a device.
///
/// # Errors
/// There is no fleet, the device is unknown, or the records cannot be read.
pub(super) async fn token(settings: &Settings, eid: Eid) -> Result<String, Fault> {
    let (world, _) = parties::os_world()?;
    let records = query::existing(settings)?;
    if fleet::load(&records).await?.device(eid).is_none() {
        return Err(Fault::new(
            format!("there is no token for {eid}"),
            "the device is not in the fleet",
            "import it with `landfall fleet import`, or choose one of `landfall fleet list`",
        )
        .of_kind(FaultKind::NotFound));
    }
    let secret = secret(&records, &world).await?;
    Ok(hex::encode(mac(&secret, eid).finalize().into_bytes()))
}

async fn secret(records: &dyn Records, world: &World) -> Result<String, Fault> {
    let drawn = hex::encode(world.random::<32>());
    transact(records, |tx| {
        let drawn = drawn.clone();
        Box::pin(async move {
            match tx.get(&SECRETS, DEVICE_TOKENS).await? {
                Some(kept) => Ok(kept),
                None => {
                    tx.put(&SECRETS, DEVICE_TOKENS, &drawn)?;
                    Ok(drawn)
                }
            }
        })
    })
    .await
}

fn mac(secret: &str, eid: Eid) -> Hmac<Sha256> {
    // The secret has 64 hexadecimal digits, which is the block size of SHA-256.
    let mut block = [0; 64];
    for (octet, digit) in block.iter_mut().zip(secret.bytes()) {
        *octet = digit;
    }
    Hmac::<Sha256>::new((&block).into()).chain_update(eid.to_string())
}

fn is_token(secret: &str, eid: Eid, token: &str) -> bool {
    hex::decode(token).is_ok_and(|token| mac(secret, eid).verify_slice(&token).is_ok())
}

impl LoadedQuery {
    /// Converts the parsed arguments into the set-up of a platform.
    fn into_setup(self, suppliers: BTreeMap<Plmn, Supplier>) -> Setup {
        let Self { book, owner, .. } = self;
        Setup { book, owner, suppliers, config: Config::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_valid_for_one_device_and_one_secret() {
        let eids = ["89049032000000000000000000000163", "89049032000000000000000000000260"];
        let [one, other] = eids.map(|eid| eid.parse::<Eid>().unwrap());
        let token = hex::encode(mac("5ec2e7", one).finalize().into_bytes());
        assert!(is_token("5ec2e7", one, &token));
        assert!(!is_token("5ec2e7", other, &token) && !is_token("5ec2e8", one, &token));
        assert!(!is_token("5ec2e7", one, "") && !is_token("5ec2e7", one, "xx"));
    }

    #[test]
    fn a_supplier_is_a_network_and_an_address_or_the_operator_itself() {
        let SupplierArgument(network, address) = "724-02=127.0.0.1:8443".parse().unwrap();
        assert_eq!((network.to_string().as_str(), address.unwrap().as_str()), ("724-02", "127.0.0.1:8443"));
        let its = "724-02=operator".parse::<SupplierArgument>().unwrap();
        assert_eq!(its, SupplierArgument(network, None));
        for bad in ["724-02", "724=127.0.0.1:8443", "=", "724-02="] {
            assert!(bad.parse::<SupplierArgument>().is_err(), "{bad}");
        }
    }
}
