//! A device with several subscriptions (IMSIs) in one profile crosses borders. The card is the
//! simulated one, and each subscription has a home network of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use certs::{Pki, PkiOptions};
use crypto::Curve;
use profile::Description;
use rsp::ids::{Imsi, Plmn, SmdpAddress};
use rsp::time::Timestamp;
use world::{
    Atr, CardInterface, CardInterfaceFault, Fault, Link, MemoryHosts, RamMemory, SeededRandom, TokioClock,
    World,
};

use crate::{AlwaysOnHandle, AlwaysOnSettings, Device, EventSource, Lpa, LpaSettings, Modem, Online, Slot};
use euicc_sim::{Card, CardDescription};
use network::{EmmCause, Keys, Network, Networks, Policy, RefusalRule, Subscriber, SubscriberServer};

const BRITISH: &str = "234150000000012";
const BRAZILIAN: &str = "724050000000001";

const DESCRIPTION: &str = r#"
iccid = "89724990000000000129"
imsi = "234150000000012"
[authentication]
ki = "000102030405060708090A0B0C0D0E0F"
opc = "101112131415161718191A1B1C1D1E1F"
[[identity]]
countries = ["724"]
imsi = "724050000000001"
ki = "202122232425262728292A2B2C2D2E2F"
opc = "303132333435363738393A3B3C3D3E3F"
"#;

/// A card that counts its resets.
struct Counted(Card, Arc<AtomicUsize>);

impl CardInterface for Counted {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        Ok(self.0.transmit(command))
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Ok(self.0.reset())
    }
}

struct Testbed {
    networks: Arc<Networks>,
    handle: AlwaysOnHandle,
    resets: Arc<AtomicUsize>,
}

fn plmn(text: &str) -> Plmn {
    text.parse().unwrap()
}

fn octets(first: u8) -> [u8; 16] {
    std::array::from_fn(|place| first + u8::try_from(place).unwrap())
}

fn home(world: &World, network: &str, imsi: &str, first: u8) -> Arc<SubscriberServer> {
    let home = SubscriberServer::open(plmn(network), RamMemory::default(), world.clone()).unwrap();
    let keys = Keys::Milenage { k: octets(first), opc: octets(first + 0x10) };
    home.provision(imsi.parse().unwrap(), Subscriber::new(keys)).unwrap();
    Arc::new(home)
}

/// Creates the networks with their home networks, and the card of the device.
fn world() -> (Arc<Networks>, Counted, EventSource) {
    let clock = TokioClock::starting(Timestamp(1_795_000_000_000));
    let world = World::new(clock, SeededRandom::from_text("multi-imsi"));
    let networks = Arc::new(Networks::new(world.clone()));
    for (code, country) in [("234-15", "GB"), ("724-05", "BR"), ("208-01", "FR")] {
        networks.put(Network::new(plmn(code), code, country));
    }
    networks.put_home(home(&world, "234-15", BRITISH, 0x00));
    networks.put_home(home(&world, "724-05", BRAZILIAN, 0x20));

    let pki = Pki::from_seed(b"multi-imsi", &PkiOptions::default()).unwrap();
    let eid = pki.eids(Curve::P256)[0];
    let credentials = [pki.euicc(Curve::P256, eid).unwrap()];
    let description = CardDescription::default_for(eid.to_string().parse().unwrap(), &credentials);
    let mut card = Card::open(description, RamMemory::default(), world).unwrap();
    let package = Description::parse(DESCRIPTION).unwrap().build().unwrap();
    card.load_in_factory(&package.encode(), true).unwrap();
    (networks, Counted(card, Arc::default()), EventSource::silent(clock))
}

/// Creates an always-on device that is switched on in Britain.
fn testbed() -> Testbed {
    let (networks, card, events) = world();
    let resets = Arc::clone(&card.1);
    let mut modem = Modem::new(card, Arc::clone(&networks), events.clone());
    modem.set_visible(vec![plmn("234-15")]);
    let mut device = Online::new(modem, MemoryHosts::default(), AlwaysOnSettings::default(), events);
    let handle = device.handle();
    tokio::spawn(async move { device.run().await });
    Testbed { networks, handle, resets }
}

/// Creates a device with an LPA whose toolkit is not enabled.
fn device_with_lpa() -> (Arc<Networks>, Device<Slot<Counted>>, Arc<AtomicUsize>) {
    let (networks, card, events) = world();
    let resets = Arc::clone(&card.1);
    let slot = Slot::new(card);
    let links = |_: &SmdpAddress| -> Result<Link, Fault> { Err(Fault::new("no", "server", "here")) };
    let lpa = Lpa::new(slot.clone(), links, LpaSettings::default(), events.clone());
    let modem = Modem::new(slot, Arc::clone(&networks), events.clone());
    (networks, Device::new(lpa, modem, RamMemory::default(), events), resets)
}

async fn register_in<D: CardInterface>(device: &mut Device<D>, network: &str) -> String {
    device.set_visible(vec![plmn(network)]);
    device.register().await.map_or_else(|not| not.to_string(), |registered| registered.imsi.to_string())
}

impl Testbed {
    async fn move_to(&self, network: &str) {
        self.handle.set_visible(vec![plmn(network)]);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// Returns the subscriptions with which the device is registered, and the networks.
    fn registered(&self) -> Vec<(&'static str, String)> {
        let place = |imsi: &str| self.networks.place_of(imsi.parse::<Imsi>().unwrap());
        let places = [BRITISH, BRAZILIAN].map(|imsi| Some((imsi, place(imsi)?.to_string())));
        places.into_iter().flatten().collect()
    }

    fn resets(&self) -> usize {
        self.resets.load(Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn after_each_border_the_device_registers_with_the_subscription_for_the_country() {
    let testbed = testbed();
    for (network, expected, resets) in [
        ("234-15", BRITISH, 1),
        // Each change of identity takes one reset.
        ("724-05", BRAZILIAN, 2),
        ("208-01", BRITISH, 3),
        ("234-15", BRITISH, 3),
        ("724-05", BRAZILIAN, 4),
    ] {
        testbed.move_to(network).await;
        assert_eq!(testbed.registered(), [(expected, network.to_owned())]);
        assert_eq!(testbed.resets(), resets, "{network}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_identity_is_tried_three_times_before_the_device_keeps_the_other() {
    let testbed = testbed();
    testbed.move_to("234-15").await;
    let refusal = RefusalRule {
        imsi_prefix: "72405".into(),
        cause: EmmCause::ROAMING_NOT_ALLOWED_IN_THIS_TRACKING_AREA,
    };
    testbed.networks.set_policy(plmn("724-05"), Policy { refusals: vec![refusal], ..Policy::default() });
    testbed.move_to("724-05").await;
    assert_eq!(testbed.registered(), [(BRITISH, "724-05".to_owned())]);
    assert_eq!(testbed.resets(), 1 + 6, "three changes in each direction");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(testbed.registered(), [(BRITISH, "724-05".to_owned())]);
    assert_eq!(testbed.resets(), 1 + 6);
}

#[tokio::test(start_paused = true)]
async fn limited_service_is_sufficient_to_detect_the_country() {
    let testbed = testbed();
    testbed.move_to("234-15").await;
    // Roaming is forbidden here, so the device has only limited service when it detects the
    // country.
    let policy = Policy { roaming: network::Roaming::Nobody, ..Policy::default() };
    testbed.networks.set_policy(plmn("724-05"), policy);
    testbed.move_to("724-05").await;
    // The British network was not informed that the device had left.
    assert_eq!(testbed.registered(), [(BRITISH, "234-15".to_owned()), (BRAZILIAN, "724-05".to_owned())]);
    assert_eq!(testbed.resets(), 2);
}

fn refusing_brazilian(cause: EmmCause) -> Policy {
    Policy { refusals: vec![RefusalRule { imsi_prefix: "72405".into(), cause }], ..Policy::default() }
}

#[tokio::test(start_paused = true)]
async fn a_device_with_an_lpa_changes_its_identity_at_borders() {
    let (_networks, device, resets) = device_with_lpa();
    let mut device = device.with_toolkit(AlwaysOnSettings::default().imei);
    for (network, expected, changes) in
        [("234-15", BRITISH, 0), ("724-05", BRAZILIAN, 1), ("208-01", BRITISH, 2), ("724-05", BRAZILIAN, 3)]
    {
        assert_eq!(register_in(&mut device, network).await, expected, "{network}");
        assert_eq!(resets.load(Ordering::Relaxed), changes, "{network}");
        // The LPA uses the same card, and sends another TERMINAL PROFILE than the toolkit.
        assert!(device.lpa.enabled().await.unwrap().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_without_a_toolkit_keeps_the_first_identity() {
    let (_networks, mut device, resets) = device_with_lpa();
    assert_eq!(register_in(&mut device, "724-05").await, BRITISH);
    assert_eq!(resets.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_device_with_an_lpa_keeps_the_working_identity_and_retries_the_other_after_a_day() {
    let (networks, device, resets) = device_with_lpa();
    let mut device = device.with_toolkit(AlwaysOnSettings::default().imei);
    networks.set_policy(plmn("724-05"), refusing_brazilian(EmmCause::PLMN_NOT_ALLOWED));
    assert_eq!(register_in(&mut device, "724-05").await, BRITISH);
    assert_eq!(resets.load(Ordering::Relaxed), 6, "three changes in each direction");
    networks.set_policy(plmn("724-05"), Policy::default());
    device.record_idle_time(Duration::from_secs(86_000));
    assert_eq!(register_in(&mut device, "724-05").await, BRITISH, "the retry comes after a full day");
    device.record_idle_time(Duration::from_secs(86_400));
    assert_eq!(register_in(&mut device, "724-05").await, BRAZILIAN);
}

#[tokio::test(start_paused = true)]
async fn a_device_with_an_lpa_changes_its_identity_where_roaming_is_forbidden() {
    let (networks, device, _) = device_with_lpa();
    let mut device = device.with_toolkit(AlwaysOnSettings::default().imei);
    let nobody = Policy { roaming: network::Roaming::Nobody, ..Policy::default() };
    networks.set_policy(plmn("724-05"), nobody);
    assert_eq!(register_in(&mut device, "724-05").await, BRAZILIAN);
}

#[tokio::test(start_paused = true)]
async fn a_device_with_an_lpa_gives_up_an_identity_without_service() {
    let (networks, device, resets) = device_with_lpa();
    let mut device = device.with_toolkit(AlwaysOnSettings::default().imei);
    device.set_visible(vec![plmn("724-05")]);
    let as_british = device.register_current().await;
    assert!(device.run_toolkit_session(&as_british).await, "the Brazilian identity is selected");
    networks.set_coverage(plmn("724-05"), false);
    for (rested, changes) in [(300, 1), (900, 2), (900, 2)] {
        device.record_idle_time(Duration::from_secs(rested));
        assert!(device.register().await.is_err());
        assert_eq!(resets.load(Ordering::Relaxed), changes, "after {rested} s");
    }
}

/// A refusal with cause #11 leaves the device in limited service, so the applet learns that the
/// identity in use is refused, although it was registered elsewhere.
#[tokio::test(start_paused = true)]
async fn a_device_with_an_lpa_returns_to_the_identity_that_a_network_accepts() {
    let (networks, device, _) = device_with_lpa();
    let mut device = device.with_toolkit(AlwaysOnSettings::default().imei);
    assert_eq!(register_in(&mut device, "724-05").await, BRAZILIAN);
    networks.set_policy(plmn("208-01"), Policy::with_partners([plmn("234-15")]));
    assert_eq!(register_in(&mut device, "208-01").await, BRITISH);
}

/// Both kinds of device make the same journeys. The roaming partners of the Brazilian and of the
/// French network take all combinations.
#[tokio::test(start_paused = true)]
async fn both_kinds_of_device_use_the_same_identity_in_the_same_world() {
    let partners = [None, Some(vec!["234-15"]), Some(vec!["724-05"]), Some(vec![])];
    for (brazilian, french) in partners.iter().flat_map(|one| partners.iter().map(move |other| (one, other)))
    {
        let testbed = testbed();
        let (networks, device, _) = device_with_lpa();
        let mut device = device.with_toolkit(AlwaysOnSettings::default().imei);
        for (network, partners) in [("724-05", brazilian), ("208-01", french)] {
            let Some(partners) = partners else { continue };
            let policy = Policy::with_partners(partners.iter().map(|partner| plmn(partner)));
            testbed.networks.set_policy(plmn(network), policy.clone());
            networks.set_policy(plmn(network), policy);
        }
        for (leg, place) in
            ["234-15", "724-05", "208-01", "724-05", "208-01", "234-15"].into_iter().enumerate()
        {
            testbed.move_to(place).await;
            let mut by_lpa = register_in(&mut device, place).await;
            for _ in 0..2 {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                device.record_idle_time(Duration::from_secs(3600));
                by_lpa = register_in(&mut device, place).await;
            }
            let always_on = testbed.registered().into_iter().find(|(_, at)| at == place);
            let always_on = always_on.map(|(imsi, _)| imsi.to_owned());
            let by_lpa = device.modem.registered().map(|_| by_lpa);
            assert_eq!(by_lpa, always_on, "leg {leg} in {place}, with partners {brazilian:?} and {french:?}");
        }
        testbed.handle.stop();
    }
}
