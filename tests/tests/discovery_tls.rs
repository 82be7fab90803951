//! SM-DP+, SM-DS, operator and device over TLS: an event is registered for an eUICC, found, used
//! for a download, and deleted.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::path::Path;
use std::sync::Arc;

use certs::{Pki, Role};
use cli::faults::ActiveFaults;
use cli::parties::{self, Running};
use cli::peers::{self, Delivery, Operators};
use cli::settings::Settings;
use device::{DownloadOptions, EventSource, Lpa, LpaSettings};
use http::StatusCode;
use net::{Client, ClientTls};
use rsp::ids::{Eid, SmdpAddress, Version};
use rsp::sgp22::es2plus::{ConfirmOrder, ConfirmOrderRequest};
use rsp::sgp22::es12::{self, RegisterEventRequest};
use rsp::sgp22::json::{self, RequestHeader};
use sm_dp::{ProfileOptions, ProfileState};
use testbed::operator::Operator;
use world::{Clock, MemoryEvents, NullEvents, World};

/// The servers, listening on the loopback.
struct Testbed {
    settings: Settings,
    pki: Pki,
    world: World,
    clock: Arc<dyn Clock>,
    events: MemoryEvents,
    sm_dp: sm_dp::SmDpPlus,
    running: Vec<Running>,
    _deliveries: [Delivery; 2],
}

impl Testbed {
    async fn start(folder: &Path) -> Self {
        let mut settings = Settings::with_data_dir(folder.to_owned());
        settings.sm_dp = "127.0.0.1:0".to_owned();
        settings.sm_dp_names = vec![];
        settings.sm_ds = "127.0.0.1:0".to_owned();
        settings.sm_ds_names = vec!["smds.landfall.example".to_owned()];
        let sm_dp_listener = parties::listen_at(&mut settings.sm_dp, "--sm-dp").await.unwrap();
        let sm_ds_listener = parties::listen_at(&mut settings.sm_ds, "--sm-ds").await.unwrap();
        let (world, clock) = parties::os_world().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let events = MemoryEvents::default();
        let pki = cli::pki::load_or_init(&settings).unwrap();
        let shared_events: Arc<dyn world::Events> = Arc::new(events.clone());
        let sm_dp = parties::sm_dp(&settings, &pki, &world, Arc::clone(&shared_events)).unwrap();
        let nobody = Operators::default();
        let (sm_dp, delivery) =
            peers::connect(sm_dp, &nobody, &pki, &settings, &clock, &ActiveFaults::none()).await.unwrap();
        let names = cli::pki::server_names(&settings).unwrap();
        let tls = parties::sm_dp_tls(&pki, &names, Arc::clone(&clock)).unwrap();
        let faults = ActiveFaults::none();
        let (sm_ds, sweep) =
            parties::serve_sm_ds(sm_ds_listener, &settings, &pki, &world, shared_events, &faults).unwrap();
        let running = vec![Running::serve(sm_dp_listener, Some(tls), sm_dp.link()).unwrap(), sm_ds];
        Self { settings, pki, world, clock, events, sm_dp, running, _deliveries: [delivery, sweep] }
    }

    fn operator(&self) -> Operator {
        let events = Arc::new(NullEvents);
        parties::operator(&self.settings, &self.pki, parties::OPERATOR, &self.world, events).unwrap()
    }

    fn lpa(&self, eid: Eid) -> Lpa<euicc_sim::Card> {
        let card = parties::card_of(&self.settings, &self.pki, eid, &self.world, false).unwrap();
        let [sm_dp, sm_ds] = [Role::DpTls, Role::DsTls]
            .map(|role| parties::device_tls(&self.pki, &[role], Arc::clone(&self.clock)).unwrap());
        let client = parties::device_client(&self.settings);
        let at = parties::root_sm_ds(&self.settings);
        let links = move |address: &SmdpAddress| {
            let tls = if address.as_str() == at { &sm_ds } else { &sm_dp };
            client.link(address.as_str(), Some(tls.clone()))
        };
        let events = EventSource::new("device", Arc::clone(&self.clock), self.events.clone());
        Lpa::new(card, links, LpaSettings::default(), events)
    }
}

#[tokio::test]
async fn an_order_is_downloaded_through_its_event() {
    let folder = tempfile::tempdir().unwrap();
    let testbed = Testbed::start(folder.path()).await;
    let eid = parties::default_eid(&testbed.pki).unwrap();
    let package = testbed::subscription::own_package("724-99", 1, "Local").unwrap();
    let iccid = testbed.sm_dp.add_profile(&package, &ProfileOptions::default()).await.unwrap();
    let mut lpa = testbed.lpa(eid);
    assert!(lpa.discover(None, DownloadOptions::default()).await.unwrap().is_empty());

    let operator = testbed.operator();
    operator.download_order(Some(eid), Some(iccid), None).await.unwrap();
    let smds_address = Some(parties::root_sm_ds(&testbed.settings));
    let request = ConfirmOrderRequest { eid: Some(eid), smds_address, ..operator.confirmation(iccid) };
    let confirmed = operator.call::<ConfirmOrder>(&request).await.unwrap();

    let discovered = lpa.discover(None, DownloadOptions::default()).await.unwrap();
    assert_eq!(discovered.len(), 1);
    assert_eq!(discovered[0].event.event_id, confirmed.matching_id);
    assert_eq!(discovered[0].outcome.as_ref().unwrap().iccid, iccid);
    assert_eq!(testbed.sm_dp.orders().await.unwrap()[0].state, ProfileState::Installed);
    // The deletion of the event is in progress already. This call waits for its end.
    testbed.sm_dp.deliver_due().await.unwrap();
    assert!(lpa.discover(None, DownloadOptions::default()).await.unwrap().is_empty());
    let events: Vec<String> = testbed.events.all().iter().map(ToString::to_string).collect();
    for call in ["SM-DS -> SM-DP+ ES12.RegisterEvent", "SM-DS -> SM-DP+ ES12.DeleteEvent"] {
        assert!(events.iter().any(|line| line.contains(call)), "{call} in {events:#?}");
    }
    for running in testbed.running {
        running.stop().await;
    }
}

#[tokio::test]
async fn es12_requires_an_sm_dp_plus_certificate_and_es11_on_the_same_port_requires_none() {
    let folder = tempfile::tempdir().unwrap();
    let testbed = Testbed::start(folder.path()).await;
    let clock = || Arc::clone(&testbed.clock);
    let (sm_dp_plus, oid) = parties::sm_dp_client_tls(&testbed.pki, &[], Some(Role::DsTls), clock()).unwrap();
    let nobody = parties::device_tls(&testbed.pki, &[Role::DsTls], clock()).unwrap();
    let operator = parties::identity(&testbed.pki.operator("Landfall Test Operator").unwrap());
    let operator = ClientTls::new(&parties::tls_roots(&testbed.pki), Some(&operator), clock()).unwrap();
    let event = RegisterEventRequest {
        header: RequestHeader {
            function_requester_identifier: oid,
            function_call_identifier: "1".to_owned(),
        },
        eid: parties::default_eid(&testbed.pki).unwrap(),
        rsp_server_address: testbed.settings.sm_dp.parse().unwrap(),
        event_id: "EV-1".to_owned(),
        forwarding_indicator: false,
    };
    let cases = [
        ("no certificate", nobody, StatusCode::FORBIDDEN),
        ("an operator's", operator, StatusCode::FORBIDDEN),
        ("an SM-DP+'s", sm_dp_plus, StatusCode::OK),
    ];
    for (case, tls, status) in cases {
        let link = Client::default().link(&testbed.settings.sm_ds, Some(tls)).unwrap();
        let request = json::request(&es12::path("registerEvent"), Version([2, 5, 0]), &event);
        assert_eq!(world::send(&link, request).await.unwrap().status(), status, "{case}");
    }
    // The LPA uses no certificate. It finds the event, but the profile of the event was not
    // ordered.
    let discovered = testbed.lpa(event.eid).discover(None, DownloadOptions::default()).await.unwrap();
    assert_eq!(discovered[0].event.event_id, "EV-1");
    assert!(discovered[0].outcome.is_err());
    for running in testbed.running {
        running.stop().await;
    }
}
