//! An IoT device of this project, and the servers of the tester. The device runs in a thread of its
//! own, because its futures cannot move between threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crypto::Curve;
use device::ipa::{Binding, Connection};
use device::{EventSource, Ipa, IpaSettings, Lpa, LpaSettings, Modem, Slot};
use euicc_sim::{Card, CardDescription};
use network::Networks;
use rsp::ids::SmdpAddress;
use rsp::sgp32::EimConfigurationData;
use sgp23::minimal_package;
use sgp33::ipa::{Device, IpaUnderTest, Tap};
use tokio::sync::{mpsc, oneshot};
use world::{BoxFuture, Fault, Link, LinkFault, LinkFaultKind, ManualClock, MemoryEvents, RamMemory, World};

use crate::links::answering;
use crate::servers::{PKI, SM_DP, Servers};

/// Changes the device under test, which is correct otherwise.
#[derive(Clone, Copy)]
pub(crate) struct Changes {
    /// Wraps the link of the IPA to the eIM.
    pub(crate) eim: fn(Link) -> Link,
    /// Wraps the link of the IPA to the SM-DP+.
    pub(crate) sm_dp: fn(Link) -> Link,
    /// True if the IPA checks the TLS key of the eIM.
    pub(crate) checks_key: bool,
}

impl Default for Changes {
    fn default() -> Self {
        Self { eim: |link| link, sm_dp: |link| link, checks_key: true }
    }
}

/// A device in a thread of its own.
struct InProcess {
    runs: mpsc::UnboundedSender<oneshot::Sender<()>>,
    has_other_key: Arc<AtomicBool>,
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
}

/// Creates the servers of the tester, and the device.
pub(crate) fn under_test(changes: Changes) -> IpaUnderTest {
    let servers = Servers::new();
    let world = servers.world("tester");
    let (tap, has_other_key) = (Tap::default(), Arc::new(AtomicBool::default()));
    let to_eim = over_tls(tap.over(servers.eim.link()), changes.checks_key, &has_other_key);
    let to_eim = (changes.eim)(to_eim);
    let to_sm_dp = (changes.sm_dp)(servers.sm_dp.link());
    let configuration = servers.eim.configuration_data();
    let runs = device(configuration, to_eim, to_sm_dp, servers.world("device"), servers.clock);
    IpaUnderTest {
        device: Box::new(InProcess { runs, has_other_key }),
        eim: servers.eim,
        tap,
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

/// Starts the thread of the device.
fn device(
    configuration: EimConfigurationData,
    to_eim: Link,
    to_sm_dp: Link,
    world: World,
    clock: ManualClock,
) -> mpsc::UnboundedSender<oneshot::Sender<()>> {
    let (runs, mut requested) = mpsc::unbounded_channel::<oneshot::Sender<()>>();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let eid = PKI.eids(Curve::P256)[0];
        let credentials = PKI.euicc(Curve::P256, eid).unwrap();
        let eims = std::slice::from_ref(&configuration);
        let description = CardDescription::iot_for(eid, std::slice::from_ref(&credentials), eims);
        let slot = Slot::new(Card::open(description, RamMemory::default(), world.clone()).unwrap());
        let events = EventSource::new("device", clock, MemoryEvents::default());
        let settings = IpaSettings {
            device: LpaSettings { request_tries: 2, ..IpaSettings::default().device },
            connection: Connection::Other,
            ..IpaSettings::default()
        };
        let servers = move |_: &SmdpAddress| -> Result<Link, Fault> { Ok(to_sm_dp.clone()) };
        let eims = move |_: &EimConfigurationData, _: Binding| -> Result<Link, Fault> { Ok(to_eim.clone()) };
        let lpa = Lpa::new(slot.clone(), servers, settings.device.clone(), events.clone());
        let modem = Modem::new(slot, Arc::new(Networks::new(world)), events.clone());
        let mut ipa = Ipa::new(lpa, modem, eims, settings, RamMemory::default(), events).unwrap();
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
