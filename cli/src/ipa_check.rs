//! The servers of the tester of [`sgp33`] for an IPA, and the device under test.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use certs::Pki;
use eim::records::{Protocol, STORED_FORM};
use net::{ServerDtls, ServerTls};
use rsp::ids::SmdpAddress;
use sgp33::ipa::{AnotherEim, Device, IpaUnderTest, Tap};
use testbed::subscription::own_package;
use tokio::time::Instant;
use world::{BoxFuture, Events, Fault, MemoryRecords, NullEvents, World};

use crate::{
    device_check::command::{DeviceCommand, Values},
    faults::ActiveFaults,
    files,
    output::remark,
    parties::{self, EimServer, Running, TlsServer},
    peers::Delivery,
    pki::names_of,
    settings::{ListenAddress, Settings},
};

/// Options of a check.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Identifier of the eIM.
    pub(crate) id: String,
    /// Listening address of the eIM.
    pub(crate) listen: String,
    /// Listening address of the eIM over CoAP.
    pub(crate) listen_coap: Option<String>,
    /// Listening address of the other eIM.
    pub(crate) listen_other: String,
    /// Listening address of the SM-DP+.
    pub(crate) listen_sm_dp: String,
    /// Command that lets the IPA poll once; empty if the IPA polls by itself.
    pub(crate) command: Vec<String>,
    /// Maximum time of one run of the command, or of a wait for a poll.
    pub(crate) timeout: Duration,
    /// Maximum further runs in one step of a case.
    pub(crate) retries: u32,
}

/// The servers of the tester, and the device.
pub(crate) struct IpaCheck {
    /// The subject of the cases.
    pub(crate) ipa: IpaUnderTest,
    /// Address of the eIM.
    pub(crate) address: String,
    /// File with the configuration of the eIM for the eUICC.
    pub(crate) configuration: PathBuf,
    running: Vec<Running>,
    _deliveries: [Delivery; 2],
    _claim: net::Claim,
}

/// Name of the files of the eIM. Its records survive the check, because the counter of its packages
/// has to increase as long as the eUICC keeps the association.
const NAME: &str = "check-ipa";

/// Home network of the profiles.
const HOME: &str = "724-99";

impl IpaCheck {
    /// Starts the servers.
    ///
    /// # Errors
    /// An address is not available, the PKI has no keys, or the records cannot be opened.
    pub(crate) async fn start(settings: &Settings, options: &Options) -> Result<Self, Fault> {
        let claim = net::Claim::take(&settings.data_dir, NAME)?;
        let (world, _) = parties::os_world()?;
        let pki = crate::pki::load_or_init(settings)?;
        let events: Arc<dyn Events> = Arc::new(NullEvents);

        let mut settings = Settings { sm_dp: options.listen_sm_dp.clone(), ..settings.clone() };
        let listener = parties::listen_at(&mut settings.sm_dp, "--listen-sm-dp").await?;
        let records = Arc::new(MemoryRecords::default());
        let sm_dp = parties::sm_dp_on(&settings, &pki, &world, Arc::clone(&events), records)?;
        let listens = ListenAddress { address: settings.sm_dp.clone(), curve: None };
        let (faults, names) = (ActiveFaults::none(), &settings.sm_dp_names);
        let tls =
            parties::served_tls(TlsServer::SmDp, &listens, names, &pki, &settings, &world.clock, &faults)?;
        let serving_sm_dp = Running::serve(listener, Some(tls), sm_dp.link())?;

        let mut listen = options.listen.clone();
        let listener = parties::listen_at(&mut listen, "--listen").await?;
        let names = names_of(&listen, &[])?;
        let address = address_of(&listen, "--listen")?;
        let file = settings.data_dir.join(format!("{NAME}.sqlite"));
        let records = parties::open_records(&settings, &file, STORED_FORM)?;
        let mut config = eim::Config::new(&options.id, address);
        if options.listen_coap.is_some() {
            config.protocols = vec![Protocol::RetrieveHttps, Protocol::RetrieveCoaps];
        }
        let EimServer { server, identity, delivery } = parties::eim_server(
            (&options.id, &names),
            config,
            records,
            &settings,
            &pki,
            &world,
            Arc::clone(&events),
        )?;
        let tls = parties::eim_tls(None, (&options.id, &names), &pki, &world.clock)?;
        let has_other_key = Arc::new(AtomicBool::default());
        let other = pki
            .eim(&format!("{} with another key", options.id), &names)
            .map_err(|error| crate::pki::missing_certificate(error, "the eIM has no keys"))?;
        let other = parties::identity(&other.tls);
        let other = ServerTls::new(&other, &net::ClientAuth::None, Arc::clone(&world.clock))?;
        let is_other = Arc::clone(&has_other_key);
        let tls = tls.with_substitute(move || is_other.load(Ordering::Relaxed).then(|| other.clone()));

        let (other, serving_other, other_delivery) =
            another_eim(options, &settings, &pki, &world, events).await?;
        let configuration = settings.data_dir.join(format!("{NAME}.json"));
        files::write(&configuration, configuration_of(&server).await?)?;
        let tap = Tap::default();
        let values = Values::new(vec![
            ("eim_configuration", configuration.display().to_string()),
            ("eim", listen.clone()),
            ("root", settings.root_certificate().display().to_string()),
        ]);
        let device: Arc<dyn Device> = match options.command.as_slice() {
            [] => Arc::new(PollingDevice { tap: tap.clone(), timeout: options.timeout, has_other_key }),
            words => {
                let command = DeviceCommand { words: words.to_vec(), timeout: options.timeout };
                Arc::new(CommandDevice { command, values, tap: tap.clone(), has_other_key })
            }
        };
        let ipa = IpaUnderTest {
            device: Box::new(device),
            eim: server,
            tap,
            other: Some(other),
            sm_dp,
            sm_dp_address: parties::reachable(&settings),
            package: |number| own_package(HOME, number, "IPA check"),
            retries: options.retries,
            world,
            known: Mutex::default(),
        };
        let serving_eim = Running::serve(listener, Some(tls), ipa.link())?;
        let mut running = vec![serving_sm_dp, serving_eim, serving_other];
        if let Some(address) = &options.listen_coap {
            let socket = parties::listen_udp_at(&mut address.clone(), "--listen-coap").await?;
            let tap = ipa.tap.clone();
            let dtls =
                ServerDtls::new(&identity, &ipa.world)?.with_layer(move |inner| tap.association(inner));
            let (link, world) = (ipa.tap.over_coap(ipa.eim.link()), ipa.world.clone());
            running.push(Running::serve_coap(socket, dtls, link, world)?);
        }
        Ok(Self {
            ipa,
            address: listen,
            configuration,
            running,
            _deliveries: [delivery, other_delivery],
            _claim: claim,
        })
    }

    /// Stops the servers.
    pub(crate) async fn stop(self) {
        self.ipa.eim.end_waits();
        for running in self.running {
            running.stop().await;
        }
    }
}

/// Starts another eIM, with which the first one associates the eUICC. Its records are in memory:
/// the association ends with each case.
async fn another_eim(
    options: &Options,
    settings: &Settings,
    pki: &Pki,
    world: &World,
    events: Arc<dyn Events>,
) -> Result<(AnotherEim, Running, Delivery), Fault> {
    let id = format!("other.{}", options.id);
    let mut listen = options.listen_other.clone();
    let listener = parties::listen_at(&mut listen, "--listen-other").await?;
    let names = names_of(&listen, &[])?;
    let address = address_of(&listen, "--listen-other")?;
    let (config, records) = (eim::Config::new(&id, address), Arc::new(MemoryRecords::default()));
    let EimServer { server, delivery, .. } =
        parties::eim_server((&id, &names), config, records, settings, pki, world, events)?;
    let tls = parties::eim_tls(None, (&id, &names), pki, &world.clock)?;
    let tap = Tap::default();
    let running = Running::serve(listener, Some(tls), tap.over(server.link()))?;
    Ok((AnotherEim { eim: server, tap }, running, delivery))
}

/// Returns the address of an eIM, which the flag has set.
fn address_of(listen: &str, flag: &str) -> Result<SmdpAddress, Fault> {
    listen.parse().map_err(|error| {
        Fault::usage_caused_by(error, format!("{listen:?} is not an address"), format!("correct {flag}"))
    })
}

/// Returns the output of `landfall eim configuration`.
async fn configuration_of(eim: &eim::Eim) -> Result<Vec<u8>, Fault> {
    let mut request = http::Request::new(bytes::Bytes::new());
    *request.uri_mut() = http::Uri::from_static("/admin/v1/configuration");
    Ok(world::send(&eim.admin(), request).await?.body().to_vec())
}

/// A device whose command lets its IPA poll once.
struct CommandDevice {
    command: DeviceCommand,
    values: Values,
    tap: Tap,
    has_other_key: Arc<AtomicBool>,
}

impl Device for CommandDevice {
    fn run(&self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let run = self.command.run_alone(&self.values).await?;
            let should_poll = !self.has_other_key.load(Ordering::Relaxed);
            if should_poll && self.tap.calls().is_empty() {
                remark(&format!("the command did not call the eIM; its output was: {}", run.output));
            }
            Ok(())
        })
    }

    fn present_another_key(&self, is_other: bool) -> bool {
        self.has_other_key.store(is_other, Ordering::Relaxed);
        true
    }
}

/// A device that polls by itself.
struct PollingDevice {
    tap: Tap,
    timeout: Duration,
    has_other_key: Arc<AtomicBool>,
}

/// Interval between two looks at the calls.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Time without a call after which a visit has ended.
const QUIET_TIME: Duration = Duration::from_secs(3);

impl Device for PollingDevice {
    fn run(&self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let (start, before) = (Instant::now(), self.tap.calls().len());
            let (mut count, mut last_call) = (before, Instant::now());
            while start.elapsed() < self.timeout && (count == before || last_call.elapsed() < QUIET_TIME) {
                tokio::time::sleep(LOOK_INTERVAL).await;
                let now = self.tap.calls().len();
                if now != count {
                    (count, last_call) = (now, Instant::now());
                }
            }
            Ok(())
        })
    }

    fn present_another_key(&self, is_other: bool) -> bool {
        self.has_other_key.store(is_other, Ordering::Relaxed);
        true
    }
}
