//! An IoT device of this project, and the servers of the tester. The device runs in a thread of its
//! own, because its futures cannot move between threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coap::{BlockSize, Client, Datagrams, DialDatagrams, Transmission, memory_pair};
use crypto::Curve;
use device::ipa::{Binding, Connectivity};
use device::modem::NoService;
use device::{CardError, Es10, EventSource, Ipa, IpaSettings, Lpa, LpaSettings, NotRegistered, Registered};
use euicc_sim::{Card, CardDescription};
use rsp::der::BitString;
use rsp::ids::{Plmn, SmdpAddress};
use rsp::sgp32::EimConfigurationData;
use rsp::sgp32::eim_configuration::protocols;
use sgp23::minimal_package;
use sgp33::ipa::{AnotherEim, Device, IpaUnderTest, Tap};
use tokio::sync::{mpsc, oneshot};
use world::{
    BoxFuture, CardInterface, Fault, Link, LinkFault, LinkFaultKind, ManualClock, MemoryEvents, RamMemory,
    World, link_from,
};

use crate::coap_changes;
use crate::links::answering;
use crate::servers::{EIM_ID, PKI, SM_DP, Servers};

/// The other eIM of the tester.
const OTHER_EIM_ID: &str = "other.landfall.example";

/// A time after which the device returns from the Fallback Profile.
const RETURN_TIME: Duration = Duration::from_secs(2 * 3600);

/// Time without an acknowledgement after which the IPA repeats a message over CoAP.
const ACK_TIMEOUT: Duration = Duration::from_millis(300);

/// Changes the device under test, which is correct otherwise.
#[derive(Clone, Copy)]
pub(crate) struct Changes {
    /// Wraps the link of the IPA to the eIM.
    pub(crate) eim: fn(Link) -> Link,
    /// Wraps the link of the IPA to the other eIM.
    pub(crate) other: fn(Link) -> Link,
    /// True if the other eIM gets all messages too.
    pub(crate) is_mirrored: bool,
    /// Wraps the link of the IPA to the SM-DP+.
    pub(crate) sm_dp: fn(Link) -> Link,
    /// True if the IPA checks the TLS key of the eIM.
    pub(crate) checks_key: bool,
    /// True if the eIM supports only CoAP.
    pub(crate) is_coap: bool,
    /// Changes the messages over CoAP.
    pub(crate) coap: Option<fn() -> coap_changes::Changes>,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            eim: |link| link,
            other: |link| link,
            is_mirrored: false,
            sm_dp: |link| link,
            checks_key: true,
            is_coap: false,
            coap: None,
        }
    }
}

impl Changes {
    /// A device that uses CoAP.
    pub(crate) fn of_coap(coap: Option<fn() -> coap_changes::Changes>) -> Self {
        Self { is_coap: true, coap, ..Self::default() }
    }
}

/// A device in a thread of its own.
struct InProcess {
    runs: mpsc::UnboundedSender<oneshot::Sender<()>>,
    has_other_key: Arc<AtomicBool>,
    is_without_service: Arc<AtomicBool>,
    clock: ManualClock,
}

impl Device for InProcess {
    fn run(&self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let (done, is_done) = oneshot::channel();
            self.runs.send(done).unwrap();
            is_done.await.unwrap();
            Ok(())
        })
    }

    fn present_another_key(&self, is_other: bool) -> bool {
        self.has_other_key.store(is_other, Ordering::Relaxed);
        true
    }

    fn set_service(&self, is_available: bool) -> bool {
        self.is_without_service.store(!is_available, Ordering::Relaxed);
        if is_available {
            self.clock.advance(RETURN_TIME);
        }
        true
    }
}

/// The networks of the device. The profile that is enabled when the service is taken away has none,
/// and any other profile has it.
struct TestNetworks(Arc<AtomicBool>);

impl Connectivity for TestNetworks {
    fn registered(&self) -> Option<&Registered> {
        None
    }

    fn network(&self) -> Option<Plmn> {
        None
    }

    fn deregister(&mut self) {}

    async fn register(&mut self) -> Result<(), NotRegistered> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(NotRegistered { why: NoService::NoCoverage, tried: Vec::new() }),
            false => Ok(()),
        }
    }

    async fn refresh<D: CardInterface>(&mut self, es10: &mut Es10<D>) -> Result<(), CardError> {
        self.0.store(false, Ordering::Relaxed);
        es10.refresh().await
    }

    async fn reset<D: CardInterface>(&mut self, es10: &mut Es10<D>) -> Result<(), CardError> {
        es10.reset().await
    }
}

/// Creates the servers of the tester, and the device.
pub(crate) fn under_test(changes: Changes) -> IpaUnderTest {
    let servers = Servers::new();
    let world = servers.world("tester");
    let (tap, has_other_key) = (Tap::default(), Arc::new(AtomicBool::default()));
    let other = AnotherEim { eim: servers.another_eim(OTHER_EIM_ID), tap: Tap::default() };
    let eim = servers.eim.link();
    let to_eim = match changes.is_coap {
        true => over_coap(&tap, eim, changes.coap, &servers),
        false => over_tls(tap.over(eim), changes.checks_key, &has_other_key),
    };
    let to_other = other.tap.over(other.eim.link());
    let to_eim = match changes.is_mirrored {
        true => mirrored(to_eim, to_other.clone()),
        false => to_eim,
    };
    let links = Links {
        eim: (changes.eim)(to_eim),
        other: (changes.other)(to_other),
        sm_dp: (changes.sm_dp)(servers.sm_dp.link()),
    };
    let mut configuration = servers.eim.configuration_data();
    if changes.is_coap {
        configuration.eim_supported_protocol = Some(BitString::of(&[protocols::RETRIEVE_COAPS]));
    }
    let is_without_service = Arc::new(AtomicBool::default());
    let networks = TestNetworks(Arc::clone(&is_without_service));
    let clock = servers.clock.clone();
    let runs = device(configuration, links, networks, servers.world("device"), clock.clone());
    IpaUnderTest {
        device: Box::new(InProcess { runs, has_other_key, is_without_service, clock }),
        eim: servers.eim,
        tap,
        other: Some(other),
        sm_dp: servers.sm_dp,
        sm_dp_address: SM_DP.to_owned(),
        package: |number| {
            let iccid = rsp::ids::Iccid::with_luhn(&format!("89{number:016}")).unwrap();
            Ok(minimal_package(iccid, "test", &[]))
        },
        retries: 3,
        world,
        known: Mutex::default(),
    }
}

/// A link over which an IPA with a pinned key sends nothing to a server with another one.
fn over_tls(eim: Link, checks_key: bool, has_other_key: &Arc<AtomicBool>) -> Link {
    let has_other_key = Arc::clone(has_other_key);
    answering(eim, move |_| {
        let is_refused = checks_key && has_other_key.load(Ordering::Relaxed);
        is_refused.then(|| Err(LinkFault::new(LinkFaultKind::Tls, "eIM", "the server has another key")))
    })
}

/// Sends each request to the other server too.
fn mirrored(link: Link, other: Link) -> Link {
    link_from(tower::service_fn(move |request: http::Request<bytes::Bytes>| {
        let (link, other) = (link.clone(), other.clone());
        async move {
            let _ = world::send(&other, request.clone()).await;
            world::send(&link, request).await
        }
    }))
}

/// Associations of the IPA with an eIM behind a tap.
struct Associations {
    tap: Tap,
    eim: Link,
    world: World,
}

impl DialDatagrams for Associations {
    fn dial(&self) -> BoxFuture<'_, Result<Arc<dyn Datagrams>, LinkFault>> {
        let (client, server) = memory_pair(EIM_ID);
        let server = self.tap.association(Arc::new(server));
        let (eim, world) = (self.eim.clone(), self.world.clone());
        // The package of a test is small.
        let block_size = BlockSize::of(256).unwrap();
        let transmission = Transmission { block_size, ..Transmission::default() };
        tokio::spawn(async move { coap::serve(&*server, &eim, &world, transmission).await });
        Box::pin(std::future::ready(Ok(Arc::new(client) as Arc<dyn Datagrams>)))
    }
}

fn over_coap(
    tap: &Tap,
    eim: Link,
    changes: Option<fn() -> coap_changes::Changes>,
    servers: &Servers,
) -> Link {
    let eim = tap.over_coap(eim);
    let dial = Associations { tap: tap.clone(), eim, world: servers.world("CoAP server") };
    let dial: Arc<dyn DialDatagrams> = Arc::new(dial);
    let dial = match changes {
        Some(changes) => coap_changes::changed(dial, changes()),
        None => dial,
    };
    let transmission = Transmission { ack_timeout: ACK_TIMEOUT, ..Transmission::default() };
    Client::new(dial, EIM_ID, servers.world("CoAP client"), transmission).link()
}

/// The links of the IPA.
struct Links {
    eim: Link,
    other: Link,
    sm_dp: Link,
}

/// Starts the thread of the device.
fn device(
    configuration: EimConfigurationData,
    links: Links,
    networks: TestNetworks,
    world: World,
    clock: ManualClock,
) -> mpsc::UnboundedSender<oneshot::Sender<()>> {
    let (runs, mut requested) = mpsc::unbounded_channel::<oneshot::Sender<()>>();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let eid = PKI.eids(Curve::P256)[0];
        let credentials = PKI.euicc(Curve::P256, eid).unwrap();
        let eims = std::slice::from_ref(&configuration);
        let description = CardDescription::iot_for(eid, std::slice::from_ref(&credentials), eims);
        let card = Card::open(description, RamMemory::default(), world).unwrap();
        let events = EventSource::new("device", clock, MemoryEvents::default());
        let settings = IpaSettings {
            device: LpaSettings { request_tries: 2, ..IpaSettings::default().device },
            ..IpaSettings::default()
        };
        let Links { eim, other, sm_dp } = links;
        let servers = move |_: &SmdpAddress| -> Result<Link, Fault> { Ok(sm_dp.clone()) };
        let eims = move |configuration: &EimConfigurationData, _: Binding| -> Result<Link, Fault> {
            Ok(if configuration.eim_id == OTHER_EIM_ID { other.clone() } else { eim.clone() })
        };
        let lpa = Lpa::new(card, servers, settings.device.clone(), events.clone());
        let mut ipa = Ipa::inside_card(lpa, networks, eims, settings, RamMemory::default(), events).unwrap();
        runtime.block_on(async {
            while let Some(done) = requested.recv().await {
                // A failed visit is visible in the calls.
                let _ = ipa.check_in().await;
                let _ = done.send(());
            }
        });
    });
    runs
}
