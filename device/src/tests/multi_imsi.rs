//! A device that crosses borders with several identities in one profile: the real card, networks with two home networks
//! behind them, and the keys of each identity at its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use certs::{Pki, PkiOptions};
use crypto::Curve;
use profile::Description;
use rsp::ids::{Imsi, Plmn, SmdpAddress};
use rsp::time::Timestamp;
use world::{Atr, CardDoor, DoorFault, Fault, Link, MemoryHosts, RamMemory, SeededDice, TokioClock, World};

use crate::{Device, Lpa, LpaSettings, Modem, Online, OnlineHandle, OnlineSettings, Slot, Teller};
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

/// A card whose resets are counted.
struct Counted(Card, Arc<AtomicUsize>);

impl CardDoor for Counted {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, DoorFault> {
        Ok(self.0.transmit(command))
    }

    async fn reset(&mut self) -> Result<Atr, DoorFault> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Ok(self.0.reset())
    }
}

struct Bench {
    networks: Arc<Networks>,
    handle: OnlineHandle,
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

/// Networks and homes, and the card of the device.
fn world() -> (Arc<Networks>, Counted, Teller) {
    let clock = TokioClock::starting(Timestamp(1_795_000_000_000));
    let world = World::new(clock, SeededDice::from_text("multi-imsi"));
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
    (networks, Counted(card, Arc::default()), Teller::silent(clock))
}

/// The device is switched on in Britain.
fn bench() -> Bench {
    let (networks, card, teller) = world();
    let resets = Arc::clone(&card.1);
    let mut modem = Modem::new(card, Arc::clone(&networks), teller.clone());
    modem.set_visible(vec![plmn("234-15")]);
    let mut device = Online::new(modem, MemoryHosts::default(), OnlineSettings::default(), teller);
    let handle = device.handle();
    tokio::spawn(async move { device.run().await });
    Bench { networks, handle, resets }
}

/// A device with an LPA, which nobody has told to serve its card.
fn beside_lpa() -> (Arc<Networks>, Device<Slot<Counted>>, Arc<AtomicUsize>) {
    let (networks, card, teller) = world();
    let resets = Arc::clone(&card.1);
    let slot = Slot::new(card);
    let links = |_: &SmdpAddress| -> Result<Link, Fault> { Err(Fault::new("no", "server", "here")) };
    let lpa = Lpa::new(slot.clone(), links, LpaSettings::default(), teller.clone());
    let modem = Modem::new(slot, Arc::clone(&networks), teller.clone());
    (networks, Device::new(lpa, modem, RamMemory::default(), teller), resets)
}

async fn arrives<D: CardDoor>(device: &mut Device<D>, network: &str) -> String {
    device.set_visible(vec![plmn(network)]);
    device.register().await.map_or_else(|not| not.to_string(), |registered| registered.imsi.to_string())
}

impl Bench {
    async fn moves_to(&self, network: &str) {
        self.handle.set_visible(vec![plmn(network)]);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// As whom the device is registered, and where.
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
async fn at_each_border_the_device_registers_as_the_subscriber_for_that_country() {
    let bench = bench();
    for (network, expected, resets) in [
        ("234-15", BRITISH, 1),
        // One reset for each change of identity.
        ("724-05", BRAZILIAN, 2),
        ("208-01", BRITISH, 3),
        ("234-15", BRITISH, 3),
        ("724-05", BRAZILIAN, 4),
    ] {
        bench.moves_to(network).await;
        assert_eq!(bench.registered(), [(expected, network.to_owned())]);
        assert_eq!(bench.resets(), resets, "{network}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_its_country_refuses_is_tried_three_times_and_the_other_stays() {
    let bench = bench();
    bench.moves_to("234-15").await;
    let refusal = RefusalRule {
        imsi_prefix: "72405".into(),
        cause: EmmCause::ROAMING_NOT_ALLOWED_IN_THIS_TRACKING_AREA,
    };
    bench.networks.set_policy(plmn("724-05"), Policy { refusals: vec![refusal], ..Policy::default() });
    bench.moves_to("724-05").await;
    assert_eq!(bench.registered(), [(BRITISH, "724-05".to_owned())]);
    assert_eq!(bench.resets(), 1 + 6, "three times there and back");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(bench.registered(), [(BRITISH, "724-05".to_owned())]);
    assert_eq!(bench.resets(), 1 + 6);
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_who_may_not_roam_is_still_asked_where_he_is() {
    let bench = bench();
    bench.moves_to("234-15").await;
    // Nobody roams here; the device hears of the country in limited service only.
    let policy = Policy { roaming: network::Roaming::Nobody, ..Policy::default() };
    bench.networks.set_policy(plmn("724-05"), policy);
    bench.moves_to("724-05").await;
    // Britain has not heard that he has left.
    assert_eq!(bench.registered(), [(BRITISH, "234-15".to_owned()), (BRAZILIAN, "724-05".to_owned())]);
    assert_eq!(bench.resets(), 2);
}

fn refusing_the_brazilian(cause: EmmCause) -> Policy {
    Policy { refusals: vec![RefusalRule { imsi_prefix: "72405".into(), cause }], ..Policy::default() }
}

#[tokio::test(start_paused = true)]
async fn a_device_with_an_lpa_changes_at_borders_too() {
    let (_networks, device, resets) = beside_lpa();
    let mut device = device.serving_its_card(OnlineSettings::default().imei);
    for (network, expected, changes) in
        [("234-15", BRITISH, 0), ("724-05", BRAZILIAN, 1), ("208-01", BRITISH, 2), ("724-05", BRAZILIAN, 3)]
    {
        assert_eq!(arrives(&mut device, network).await, expected, "{network}");
        assert_eq!(resets.load(Ordering::Relaxed), changes, "{network}");
        // Its LPA asks the same card, and says another TERMINAL PROFILE.
        assert!(device.lpa.enabled().await.unwrap().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_does_nothing_for_its_card_stays_with_the_first_identity() {
    let (_networks, mut device, resets) = beside_lpa();
    assert_eq!(arrives(&mut device, "724-05").await, BRITISH);
    assert_eq!(resets.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_device_with_an_lpa_ends_on_the_identity_that_works_and_tries_the_other_again_after_a_day() {
    let (networks, device, resets) = beside_lpa();
    let mut device = device.serving_its_card(OnlineSettings::default().imei);
    networks.set_policy(plmn("724-05"), refusing_the_brazilian(EmmCause::PLMN_NOT_ALLOWED));
    assert_eq!(arrives(&mut device, "724-05").await, BRITISH);
    assert_eq!(resets.load(Ordering::Relaxed), 6, "three times there and back");
    networks.set_policy(plmn("724-05"), Policy::default());
    device.has_rested(Duration::from_secs(86_000));
    assert_eq!(arrives(&mut device, "724-05").await, BRITISH, "not before a day is over");
    device.has_rested(Duration::from_secs(86_400));
    assert_eq!(arrives(&mut device, "724-05").await, BRAZILIAN);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_may_roam_a_device_with_an_lpa_is_served_as_the_subscriber_for_that_country() {
    let (networks, device, _) = beside_lpa();
    let mut device = device.serving_its_card(OnlineSettings::default().imei);
    let nobody = Policy { roaming: network::Roaming::Nobody, ..Policy::default() };
    networks.set_policy(plmn("724-05"), nobody);
    assert_eq!(arrives(&mut device, "724-05").await, BRAZILIAN);
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_never_had_any_service_is_given_up_by_a_device_with_an_lpa_too() {
    let (networks, device, resets) = beside_lpa();
    let mut device = device.serving_its_card(OnlineSettings::default().imei);
    device.set_visible(vec![plmn("724-05")]);
    let as_british = device.register_as_it_is().await;
    assert!(device.serve_card(&as_british).await, "the Brazilian identity is picked");
    networks.set_coverage(plmn("724-05"), false);
    for (rested, changes) in [(300, 1), (900, 2), (900, 2)] {
        device.has_rested(Duration::from_secs(rested));
        assert!(device.register().await.is_err());
        assert_eq!(resets.load(Ordering::Relaxed), changes, "after {rested} s");
    }
}
