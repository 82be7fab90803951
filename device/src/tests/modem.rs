//! Tests of the registration: the modem with a fake USIM, and networks with various policies.

use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use crypto::aka::{Algorithm, Sqn};
use crypto::tuak::{ResLength, Tuak, TuakKey};
use crypto::usim_test::UsimTest;
use rsp::ids::{Plmn, SmdpAddress};
use rsp::ota::sms::Address;
use rsp::time::Timestamp;
use world::{BoxFuture, Fault, Link, ManualClock, MemoryEvents, RamMemory, SeededRandom, World, link_from};

use super::fake_usim::{FakeUsim, K, OPC};
use crate::at::{AtModem, Identity};
use crate::modem::{Modem, NoService, Service};
use crate::{Device, DeviceSettings, EventSource, Lpa, LpaSettings, Pause, Slot};
use network::http::{NetworksService, RemoteNetworks};
use network::{
    Absent, EmmCause, Keys, Network, Networks, Policy, RefusalRule, Roaming, Subscriber, SubscriberServer,
};

const IMSI: &str = "001010123456789";

fn plmn(text: &str) -> Plmn {
    text.parse().unwrap()
}

struct Testbed {
    networks: Arc<Networks>,
    home: Arc<SubscriberServer>,
    memory: RamMemory,
    clock: ManualClock,
}

fn world(clock: &ManualClock) -> World {
    World::new(clock.clone(), SeededRandom::from_text("networks"))
}

/// Creates the home network 001-01, and the visited networks 262-42 and 310-410.
fn testbed() -> Testbed {
    let clock = ManualClock::at(Timestamp(0));
    let networks = Networks::new(world(&clock));
    for (code, name, country) in
        [("001-01", "Home", "XX"), ("262-42", "Away", "DE"), ("310-410", "Far", "US")]
    {
        networks.put(Network::new(plmn(code), name, country));
    }
    let memory = RamMemory::default();
    let home = Arc::new(SubscriberServer::open(plmn("001-01"), memory.clone(), world(&clock)).unwrap());
    home.provision(IMSI.parse().unwrap(), Subscriber::new(Keys::Milenage { k: K, opc: OPC })).unwrap();
    networks.put_home(Arc::clone(&home));
    Testbed { networks: Arc::new(networks), home, memory, clock }
}

impl Testbed {
    fn modem(&self, card: FakeUsim, visible: &[&str]) -> Modem<FakeUsim> {
        let events = EventSource::new("modem", self.clock.clone(), MemoryEvents::default());
        let mut modem = Modem::new(card, Arc::clone(&self.networks), events);
        modem.set_visible(visible.iter().map(|code| plmn(code)).collect());
        modem
    }

    async fn refusal(&self, visible: &[&str]) -> NoService {
        self.modem(FakeUsim::new(IMSI), visible).register().await.unwrap_err().why
    }
}

#[tokio::test]
async fn the_home_network_is_preferred_and_roaming_is_reported() {
    let testbed = testbed();
    let mut modem = testbed.modem(FakeUsim::new(IMSI), &["262-42", "001-01"]);
    let registered = modem.register().await.unwrap();
    assert_eq!((registered.plmn, registered.service), (plmn("001-01"), Service::Home));
    assert_eq!(registered.network_name, "Home");
    assert_eq!(modem.usim().unwrap().service_provider_name.as_deref(), Some("Fake"));

    modem.set_visible(vec![plmn("262-42")]);
    assert_eq!(modem.registered(), None);
    let registered = modem.register().await.unwrap();
    assert_eq!((registered.plmn, registered.service), (plmn("262-42"), Service::Roaming));
    assert_eq!(registered.imsi.to_string(), IMSI);
}

/// Cards permit a limited number of writes.
#[tokio::test]
async fn the_list_of_forbidden_networks_is_not_written_without_a_change() {
    let (testbed, events) = (testbed(), MemoryEvents::default());
    let source = EventSource::new("modem", testbed.clock.clone(), events.clone());
    let mut modem = Modem::new(FakeUsim::new(IMSI), Arc::clone(&testbed.networks), source);
    modem.set_visible(vec![plmn("001-01")]);
    modem.register().await.unwrap();
    let events = events.all();
    assert!(events.iter().all(|event| event.function != "UPDATE EF.FPLMN"));
    // Each event has its own octets: SELECT, AUTHENTICATE and GET RESPONSE, and RES, CK and IK.
    let authenticated = events.iter().find(|event| event.function == "AUTHENTICATE").unwrap();
    assert_eq!((authenticated.bytes_sent, authenticated.bytes_received), (21 + 40 + 5, 2 + 2 + 46));
    let accepted = events.iter().find(|event| event.function == "ATTACH ACCEPT").unwrap();
    assert_eq!((&*accepted.interface, &*accepted.peer), ("NAS", "001-01"));
}

/// TS 23.122 section 4.4.3.3.1. Each device is on 001-02, a partner network in the country of its
/// home network, after an outage of the home network.
#[tokio::test]
async fn a_device_on_a_national_partner_searches_for_its_home_network_at_the_interval_of_its_card() {
    let testbed = testbed();
    let (home, partner) = (plmn("001-01"), plmn("001-02"));
    testbed.networks.put(Network::new(partner, "Partner", "XX"));
    let on_partner = async |steps: Option<u8>| {
        testbed.networks.set_coverage(home, false);
        let mut card = FakeUsim::new(IMSI);
        card.files.extend(steps.map(|steps| (0x6F31, vec![steps])));
        let mut modem = testbed.modem(card, &["001-01", "001-02", "262-42"]);
        let registered = modem.register().await.unwrap();
        assert_eq!(registered.plmn, partner);
        (modem, registered.at)
    };
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let (never, _) = on_partner(Some(0)).await;
    assert_eq!(never.home_search(), None);
    let (seldom, at) = on_partner(Some(80)).await;
    assert_eq!(seldom.home_search(), Some(at.plus(minutes(480))));

    let (mut modem, at) = on_partner(None).await;
    assert_eq!(modem.home_search(), Some(at.plus(minutes(60))));
    testbed.clock.advance(minutes(59));
    assert!(!modem.is_home_search_due());
    testbed.clock.advance(minutes(1));
    assert!(modem.is_home_search_due());
    assert!(modem.search_home().await.is_none(), "the home network is not received");
    assert_eq!(modem.registered().unwrap().plmn, partner);
    assert_eq!(
        modem.home_search(),
        Some(at.plus(minutes(120))),
        "the search is repeated after the same interval"
    );
    // If the home network refuses the device, the device stays on the partner network.
    testbed.networks.set_coverage(home, true);
    testbed
        .networks
        .set_policy(home, Policy::refusing_everybody(EmmCause::NO_SUITABLE_CELLS_IN_TRACKING_AREA));
    assert_eq!(modem.search_home().await.unwrap().unwrap().plmn, partner);
    testbed.networks.set_policy(home, Policy::default());
    assert_eq!(modem.search_home().await.unwrap().unwrap().plmn, home);
    assert_eq!(modem.home_search(), None, "the device is on its home network");

    // The device does not search from another country or after a manual selection.
    modem.set_visible(vec![plmn("262-42")]);
    modem.register().await.unwrap();
    assert_eq!(modem.home_search(), None, "the home network is not received here");
    modem.keep_visible(vec![plmn("262-42"), home]);
    assert!(modem.search_home().await.is_none());
    modem.set_visible(vec![home, partner]);
    modem.register_manually(partner).await.unwrap();
    assert_eq!(modem.home_search(), None);
}

#[tokio::test]
async fn an_at_modem_searches_for_its_home_network() {
    let testbed = testbed();
    testbed.networks.put(Network::new(plmn("001-02"), "Partner", "XX"));
    testbed.networks.set_coverage(plmn("001-01"), false);
    let modem = testbed.modem(FakeUsim::new(IMSI), &["001-02", "001-01"]);
    let mut port = AtModem::new(modem, Identity::numbered(7), vec![]);
    port.receive(b"AT+CREG=1\r").await;
    let output = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    // The search begins after its report.
    assert!(output(port.settle().await).contains("+CREG: 2"));
    assert!(output(port.settle().await).contains("+CREG: 5"));
    testbed.networks.set_coverage(plmn("001-01"), true);
    assert_eq!(output(port.settle().await), "");
    testbed.clock.advance(Duration::from_secs(3600));
    assert_eq!(output(port.settle().await), "\r\n+CREG: 1\r\n");
}

/// A manual selection survives +CFUN, and a registered modem does not register again.
#[tokio::test]
async fn an_at_modem_registers_on_the_selected_network_when_a_search_is_due() {
    let testbed = testbed();
    let modem = testbed.modem(FakeUsim::new(IMSI), &["001-01", "262-42"]);
    let mut port = AtModem::new(modem, Identity::numbered(7), vec![]);
    port.receive(b"AT+CREG=1;+COPS=1,2,\"26242\"\r").await;
    let output = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    assert_eq!(output(port.settle().await), "\r\n+CREG: 5\r\n");
    testbed.networks.set_policy(plmn("262-42"), Policy::refusing_everybody(EmmCause::CONGESTION));
    assert_eq!(output(port.settle().await), "");
    testbed.networks.set_policy(plmn("262-42"), Policy::default());
    port.receive(b"AT+CFUN=4;+CFUN=1\r").await;
    assert_eq!(output(port.settle().await), "\r\n+CREG: 2\r\n");
    assert_eq!(output(port.settle().await), "\r\n+CREG: 5\r\n");
}

#[tokio::test]
async fn auts_resynchronises_a_sequence_number_that_is_behind() {
    let testbed = testbed();
    let mut card = FakeUsim::new(IMSI);
    card.sqn_ms = Sqn::from_seq_ind(1000, 3).unwrap();
    assert!(testbed.modem(card, &["001-01"]).register().await.is_ok());
    assert_eq!(testbed.home.subscriber(IMSI.parse().unwrap()).unwrap().last_seq, 1001);
    // The server stores the sequence number before it uses the number, so a restarted server
    // continues from the stored number.
    let restarted =
        SubscriberServer::open(plmn("001-01"), testbed.memory.clone(), world(&testbed.clock)).unwrap();
    assert_eq!(restarted.subscriber(IMSI.parse().unwrap()).unwrap().last_seq, 1001);
}

#[tokio::test]
async fn subscribers_of_every_algorithm_are_served() {
    let k = TuakKey::from_bytes(&[0x31; 32]).unwrap();
    let iterations = NonZeroU8::new(3).unwrap();
    let tuak = Tuak::new(k, [0x32; 32]).with_res_length(ResLength::Bits128).with_iterations(iterations);
    for (algorithm, keys) in [
        (
            Algorithm::Tuak(tuak),
            Keys::Tuak { k: vec![0x31; 32], topc: [0x32; 32], res_length: 16, iterations },
        ),
        (
            Algorithm::UsimTest(UsimTest::new(K).with_res_length(8).unwrap()),
            Keys::UsimTest { k: K, res_length: 8 },
        ),
    ] {
        let testbed = testbed();
        testbed.home.provision(IMSI.parse().unwrap(), Subscriber::new(keys.clone())).unwrap();
        let mut card = FakeUsim::new(IMSI);
        card.algorithm = algorithm;
        testbed.modem(card, &["001-01"]).register().await.unwrap();
        let restarted =
            SubscriberServer::open(plmn("001-01"), testbed.memory.clone(), world(&testbed.clock)).unwrap();
        assert_eq!(restarted.subscriber(IMSI.parse().unwrap()).unwrap().keys, keys);
    }
}

// req: TS.33.102-MacA
#[tokio::test]
async fn a_malformed_answer_to_authenticate_is_an_error_of_the_card() {
    let testbed = testbed();
    for answer in ["DD0101", "DB0901", "DC0D01020304", "DC0E01"] {
        let mut card = FakeUsim::new(IMSI);
        card.false_answer = Some(hex::decode(answer).unwrap());
        let not = testbed.modem(card, &["001-01"]).register().await.unwrap_err();
        assert!(not.to_string().contains("neither DB with RES"), "{answer}: {not}");
    }
}

#[tokio::test]
async fn wrong_keys_cause_a_mac_failure_on_the_card() {
    let testbed = testbed();
    let subscriber = Subscriber::new(Keys::Milenage { k: [9; 16], opc: OPC });
    testbed.home.provision(IMSI.parse().unwrap(), subscriber).unwrap();
    assert_eq!(testbed.refusal(&["001-01"]).await, NoService::Refused(EmmCause::MAC_FAILURE));
}

#[tokio::test]
async fn each_refusal_has_its_cause() {
    let testbed = testbed();
    let visited = plmn("262-42");
    let rule = |prefix: &str, cause| RefusalRule { imsi_prefix: prefix.into(), cause };
    for (policy, cause) in [
        (Policy::with_partners([plmn("310-410")]), EmmCause::PLMN_NOT_ALLOWED),
        (Policy { roaming: Roaming::Nobody, ..Policy::default() }, EmmCause(13)),
        (Policy::refusing_everybody(EmmCause::NO_SUITABLE_CELLS_IN_TRACKING_AREA), EmmCause(15)),
        (
            Policy {
                refusals: vec![rule("99", EmmCause(7)), rule("00101", EmmCause(8))],
                ..Policy::default()
            },
            EmmCause(8),
        ),
    ] {
        testbed.networks.set_policy(visited, policy);
        assert_eq!(testbed.refusal(&["262-42"]).await, NoService::Refused(cause));
    }
    testbed.networks.set_policy(visited, Policy::with_partners([plmn("001-01")]));
    assert!(testbed.modem(FakeUsim::new(IMSI), &["262-42"]).register().await.is_ok());

    testbed.networks.set_coverage(visited, false);
    assert_eq!(testbed.refusal(&["262-42"]).await, NoService::NoCoverage);
    assert_eq!(testbed.refusal(&[]).await, NoService::NoCoverage);

    let imsi = IMSI.parse().unwrap();
    let mut subscriber = testbed.home.subscriber(imsi).unwrap();
    subscriber.may_roam = false;
    testbed.home.provision(imsi, subscriber.clone()).unwrap();
    assert_eq!(testbed.refusal(&["310-410"]).await, NoService::Refused(EmmCause::PLMN_NOT_ALLOWED));
    subscriber.barred = Some(EmmCause::ILLEGAL_UE);
    testbed.home.provision(imsi, subscriber).unwrap();
    assert_eq!(testbed.refusal(&["001-01"]).await, NoService::Refused(EmmCause::ILLEGAL_UE));
    assert!(testbed.home.remove(imsi).unwrap());
    assert_eq!(testbed.refusal(&["001-01"]).await, NoService::Refused(EmmCause::IMSI_UNKNOWN_IN_HSS));
    let stranger = testbed.modem(FakeUsim::new("999990000000001"), &["262-42"]).register().await;
    testbed.networks.set_coverage(visited, true);
    assert_eq!(stranger.unwrap_err().why, NoService::NoCoverage);
}

#[tokio::test]
async fn plmn_not_allowed_forbids_a_network_and_manual_selection_permits_it_again() {
    let testbed = testbed();
    let visited = plmn("262-42");
    testbed.networks.set_policy(visited, Policy::with_partners([]));
    let mut modem = testbed.modem(FakeUsim::new(IMSI), &["262-42", "310-410"]);
    assert_eq!(modem.register().await.unwrap().plmn, plmn("310-410"));
    assert_eq!(modem.read_card().await.unwrap().forbidden, [visited]);
    // The network would accept the device now, but is not tried.
    testbed.networks.set_policy(visited, Policy::default());
    assert_eq!(modem.register().await.unwrap().plmn, plmn("310-410"));
    assert_eq!(modem.register_manually(visited).await.unwrap().plmn, visited);
    assert_eq!(modem.read_card().await.unwrap().forbidden, []);
}

/// TS 23.122 sections 1.2 and 4.4.3.1.1. EF.EHPLMN contains 310-410 and 262-42, in this order.
#[tokio::test]
async fn equivalent_home_networks_replace_the_network_of_the_imsi_in_order_of_priority() {
    let testbed = testbed();
    let mut card = FakeUsim::new(IMSI);
    card.files.insert(0x6FD9, vec![0x13, 0x00, 0x14, 0x62, 0xF2, 0x24, 0xFF, 0xFF, 0xFF]);
    let mut modem = testbed.modem(card, &["001-01", "262-42", "310-410"]);
    assert_eq!(modem.register().await.unwrap().plmn, plmn("310-410"));
    assert_eq!(modem.home_search(), None, "the device is on a home network");
    modem.set_visible(vec![plmn("001-01"), plmn("262-42")]);
    assert_eq!(modem.register().await.unwrap().plmn, plmn("262-42"));

    // The network of the IMSI counts as visited.
    modem.set_visible(vec![plmn("001-01")]);
    let registered = modem.register().await.unwrap();
    assert_eq!((registered.plmn, registered.home_search), (plmn("001-01"), Some(Duration::from_secs(3600))));
    testbed.networks.set_policy(plmn("001-01"), Policy::refusing_everybody(EmmCause::PLMN_NOT_ALLOWED));
    modem.register().await.unwrap_err();
    assert_eq!(modem.read_card().await.unwrap().forbidden, [plmn("001-01")]);
}

/// An empty EF.EHPLMN does not replace the network of the IMSI.
#[tokio::test]
async fn without_equivalent_home_networks_the_network_of_the_imsi_is_home() {
    let testbed = testbed();
    let mut card = FakeUsim::new(IMSI);
    card.files.insert(0x6FD9, vec![0xFF; 15]);
    let mut modem = testbed.modem(card, &["262-42", "001-01"]);
    assert_eq!(modem.register().await.unwrap().plmn, plmn("001-01"));
}

/// TS 23.122 section 3.1: only a visited network is added to the list of forbidden networks.
#[tokio::test]
async fn plmn_not_allowed_does_not_forbid_a_network_that_counts_as_home() {
    let testbed = testbed();
    let home = plmn("001-01");
    let mut second_home = FakeUsim::new(IMSI);
    // EF.HPLMNwAcT: 262-42 with E-UTRAN.
    second_home.files.insert(0x6F62, vec![0x62, 0xF2, 0x24, 0x40, 0x00]);
    for (card, refusing) in [(FakeUsim::new(IMSI), home), (second_home, plmn("262-42"))] {
        testbed.networks.set_policy(refusing, Policy::refusing_everybody(EmmCause::PLMN_NOT_ALLOWED));
        let mut modem = testbed.modem(card, &[&refusing.to_string(), "310-410"]);
        assert_eq!(modem.register().await.unwrap().plmn, plmn("310-410"));
        assert_eq!(modem.read_card().await.unwrap().forbidden, [], "{refusing}");
    }
}

#[tokio::test]
async fn a_cause_that_bars_the_usim_ends_the_search() {
    let testbed = testbed();
    testbed.networks.set_policy(plmn("001-01"), Policy::refusing_everybody(EmmCause::ILLEGAL_UE));
    let not = testbed.modem(FakeUsim::new(IMSI), &["001-01", "262-42"]).register().await.unwrap_err();
    assert_eq!(not.why, NoService::Refused(EmmCause::ILLEGAL_UE));
    assert_eq!(not.tried.len(), 1);
    assert!(not.to_string().contains("#3 illegal UE"), "{not}");
}

#[tokio::test]
async fn a_missing_or_wrong_pin_and_an_empty_card_are_reported() {
    let testbed = testbed();
    let mut card = FakeUsim::new(IMSI);
    card.pin = Some((b"1234\xFF\xFF\xFF\xFF".to_vec(), false));
    let mut modem = testbed.modem(card, &["001-01"]);
    assert!(modem.register().await.unwrap_err().to_string().contains("requires its PIN"));
    modem.set_pin(Some("9999".into()));
    assert!(modem.register().await.unwrap_err().to_string().contains("2 attempts are left"));
    modem.set_pin(Some("1234".into()));
    assert!(modem.register().await.is_ok());

    let mut card = FakeUsim::new(IMSI);
    card.pin = Some((vec![], false));
    let mut modem = testbed.modem(card, &["001-01"]);
    modem.set_pin(Some("1234".into()));
    assert!(modem.register().await.unwrap_err().to_string().contains("6983"), "the PIN is blocked");

    let mut card = FakeUsim::new(IMSI);
    card.has_usim = false;
    let not = testbed.modem(card, &["001-01"]).register().await.unwrap_err();
    assert!(matches!(not.why, NoService::Card(_)), "{not}");
}

#[tokio::test(start_paused = true)]
async fn a_network_is_informed_when_a_device_that_lost_its_registration_leaves() {
    let testbed = testbed();
    let page = || async {
        let centre = Address::from_value(&[0x81, 0x21]).unwrap();
        testbed.networks.page(IMSI.parse().unwrap(), centre, vec![]).await.unwrap_err()
    };
    let mut modem = testbed.modem(FakeUsim::new(IMSI), &["001-01", "262-42"]);
    modem.register().await.unwrap();
    assert_eq!(page().await, Absent::NoPagingResponse);
    // The card was reset or switched, and afterwards no network accepts the device.
    modem.forget();
    assert_eq!(page().await, Absent::NoPagingResponse, "the network was informed before the device left");
    for code in ["001-01", "262-42"] {
        testbed.networks.set_policy(plmn(code), Policy::refusing_everybody(EmmCause::CONGESTION));
    }
    modem.register().await.unwrap_err();
    assert_eq!(page().await, Absent::NotAttached);
    // The device is switched off after the registration was lost.
    testbed.networks.set_policy(plmn("001-01"), Policy::default());
    modem.register().await.unwrap();
    modem.deregister();
    modem.detach().await;
    assert_eq!(page().await, Absent::NotAttached);
    // A device out of reach cannot inform the network.
    modem.register().await.unwrap();
    modem.set_visible(vec![plmn("262-42")]);
    modem.detach().await;
    assert_eq!(page().await, Absent::NoPagingResponse);
}

#[tokio::test]
async fn registration_works_over_an_http_link() {
    let testbed = testbed();
    let remote = RemoteNetworks::new(link_from(NetworksService::new(Arc::clone(&testbed.networks))));
    let imsi = "001010000000002".parse().unwrap();
    let keys = Keys::Milenage { k: K, opc: OPC };
    testbed.home.provision(imsi, Subscriber::new(keys)).unwrap();
    let mut card = FakeUsim::new("001010000000002");
    card.sqn_ms = Sqn::from_seq_ind(7, 0).unwrap();
    let events = EventSource::silent(testbed.clock.clone());
    let mut modem = Modem::new(Slot::new(card), remote, events);
    modem.set_visible(vec![plmn("999-99"), plmn("262-42")]);
    assert_eq!(modem.register().await.unwrap().service, Service::Roaming);
    testbed.networks.set_coverage(plmn("262-42"), false);
    assert_eq!(modem.register().await.unwrap_err().why, NoService::NoCoverage);
}

/// A process of a device with an LPA on this card and memory.
fn device_process(testbed: &Testbed, card: &Slot<FakeUsim>, memory: &RamMemory) -> Device<Slot<FakeUsim>> {
    let events = EventSource::new("device", testbed.clock.clone(), Arc::new(MemoryEvents::default()));
    let links = |_: &SmdpAddress| -> Result<Link, Fault> { Err(Fault::new("no", "server", "here")) };
    let lpa = Lpa::new(card.clone(), links, LpaSettings::default(), events.clone());
    let modem = Modem::new(card.clone(), Arc::clone(&testbed.networks), events.clone());
    let mut device = Device::new(lpa, modem, memory.clone(), events);
    device.set_visible(vec![plmn("262-42"), plmn("310-410")]);
    device
}

/// TS 24.301 section 5.3.7b. EF.FPLMN survives a loss of power, so T3247 must survive it too: else
/// the network would be forbidden for good.
#[tokio::test]
async fn a_device_that_loses_its_power_continues_t3247_and_one_that_is_switched_off_ends_it() {
    for is_switched_off in [false, true] {
        let testbed = testbed();
        let visited = plmn("262-42");
        let (card, memory) = (Slot::new(FakeUsim::new(IMSI)), RamMemory::default());
        testbed.networks.set_policy(visited, Policy::with_partners([]));
        let mut device = device_process(&testbed, &card, &memory);
        assert_eq!(device.register().await.unwrap().plmn, plmn("310-410"));
        assert_eq!(device.modem.read_card().await.unwrap().forbidden, [visited]);
        testbed.networks.set_policy(visited, Policy::default());
        if is_switched_off {
            device.switch_off().await;
        }
        drop(device);
        testbed.clock.advance(Duration::from_secs(44 * 60));
        let mut device = device_process(&testbed, &card, &memory);
        let tried = device.register().await.unwrap().plmn;
        assert_eq!(tried, if is_switched_off { visited } else { plmn("310-410") });
        drop(device);
        testbed.clock.advance(Duration::from_secs(60));
        let mut device = device_process(&testbed, &card, &memory);
        assert_eq!(device.register().await.unwrap().plmn, visited, "T3247 has ended");
        assert_eq!(device.modem.read_card().await.unwrap().forbidden, []);
    }
}

/// TS 23.122 section 4.4.3.3.1, with the LPA's device.
#[tokio::test]
async fn a_device_with_an_lpa_searches_for_its_home_network() {
    let testbed = testbed();
    let (home, partner) = (plmn("001-01"), plmn("001-02"));
    testbed.networks.put(Network::new(partner, "Partner", "XX"));
    testbed.networks.set_coverage(home, false);
    let mut device = device_process(&testbed, &Slot::new(FakeUsim::new(IMSI)), &RamMemory::default());
    device.set_visible(vec![home, partner]);
    let at = device.register().await.unwrap().at;
    let hour = Duration::from_secs(3600);
    assert_eq!(device.modem.home_search(), Some(at.plus(hour)));
    testbed.clock.advance(hour);
    assert!(device.search_home(partner).await.is_none(), "the home network is not received");
    assert_eq!(device.modem.home_search(), Some(at.plus(hour * 2)));
    assert_eq!(device.modem.registered().unwrap().plmn, partner);
    testbed.networks.set_coverage(home, true);
    assert_eq!(device.search_home(partner).await.unwrap().unwrap().plmn, home);
}

/// A pause in which a network accepts devices again.
struct Relents(Arc<Networks>, Plmn);

impl Pause for Relents {
    fn before(&self, _: u32) -> BoxFuture<'_, ()> {
        self.0.set_policy(self.1, Policy::default());
        Box::pin(async {})
    }
}

#[tokio::test]
async fn a_device_with_an_lpa_repeats_a_registration_after_a_temporary_refusal() {
    let testbed = testbed();
    for (registration_tries, is_accepted) in [(1, false), (2, true)] {
        for code in ["262-42", "310-410"] {
            testbed.networks.set_policy(plmn(code), Policy::refusing_everybody(EmmCause::CONGESTION));
        }
        let device = device_process(&testbed, &Slot::new(FakeUsim::new(IMSI)), &RamMemory::default());
        let settings = DeviceSettings { registration_tries, ..DeviceSettings::default() };
        let pause = Relents(Arc::clone(&testbed.networks), plmn("262-42"));
        let mut device = device.with_settings(settings).with_pause(pause);
        assert_eq!(device.register().await.is_ok(), is_accepted, "{registration_tries}");
    }
}
