//! SM-DP+, SM-DS, operator and device over TLS: an event is left for an eUICC, found, downloaded and taken away.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::path::Path;
use std::sync::Arc;

use certs::Pki;
use cli::operator::Operator;
use cli::parties::{self, Running, SmDpSetup};
use cli::settings::{Layer, Settings};
use euicc_sim::device::{DownloadOptions, Lpa, LpaSettings, Teller};
use http::StatusCode;
use net::{Client, ClientTls};
use rsp::ids::{Eid, SmdpAddress, Version};
use rsp::sgp22::es12::{self, DeleteEventRequest, RegisterEventRequest};
use rsp::sgp22::json::{self, Answer, RequestHeader};
use serde::Serialize;
use sm_dp::{ProfileOptions, ProfileState};
use world::{Clock, MemoryEvents, NullEvents, World};

/// The servers, listening on the loopback.
struct Bench {
    settings: Settings,
    pki: Pki,
    world: World,
    clock: Arc<dyn Clock>,
    events: MemoryEvents,
    sm_dp: sm_dp::SmDpPlus,
    running: Vec<Running>,
}

impl Bench {
    async fn start(folder: &Path) -> Self {
        let mut settings = Settings::resolve(Layer::default(), None).unwrap();
        settings.data_dir = folder.to_owned();
        settings.pki = folder.join("pki");
        settings.sm_dp = "127.0.0.1:0".to_owned();
        settings.sm_dp_names = vec![];
        settings.sm_ds = "127.0.0.1:0".to_owned();
        settings.sm_ds_names = vec!["smds.landfall.example".to_owned()];
        let sm_dp_listener = parties::listen_at(&mut settings.sm_dp).await.unwrap();
        let sm_ds_listener = parties::listen_at(&mut settings.sm_ds).await.unwrap();
        let (world, clock) = parties::os_world().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let events = MemoryEvents::default();
        let (pki, addresses) = parties::pki_and_addresses(&settings).unwrap();
        let told = Arc::new(events.clone());
        let setup = SmDpSetup {
            pki: &pki,
            addresses,
            data_dir: folder,
            world: &world,
            events: Arc::clone(&told) as Arc<dyn world::Events>,
        };
        let sm_dp = parties::sm_dp(&setup).unwrap();
        let names = cli::pki::server_names(&settings).unwrap();
        let tls = parties::sm_dp_tls(&pki, &names, Arc::clone(&clock)).unwrap();
        let running = vec![
            Running::serve(sm_dp_listener, Some(tls), sm_dp.link()).unwrap(),
            parties::serve_sm_ds(sm_ds_listener, &settings, &pki, &world, told).unwrap(),
        ];
        Self { settings, pki, world, clock, events, sm_dp, running }
    }

    /// A function of ES12, over a connection of its own.
    async fn es12(
        &self,
        tls: ClientTls,
        function: &str,
        body: &impl Serialize,
    ) -> http::Response<bytes::Bytes> {
        let link = Client::default().link(&self.settings.sm_ds, Some(tls)).unwrap();
        let request = json::request(&es12::path(function), Version([2, 5, 0]), body);
        world::send(&link, request).await.unwrap()
    }

    fn lpa(&self, eid: Eid) -> Lpa<euicc_sim::card::Card> {
        let card = parties::card_of(&self.settings, &self.pki, eid, &self.world, vec![]).unwrap();
        let tls = parties::device_tls(&self.pki, Arc::clone(&self.clock)).unwrap();
        let client = parties::device_client(&self.settings);
        let links = move |address: &SmdpAddress| client.link(address.as_str(), Some(tls.clone()));
        let teller = Teller::new("device", Arc::clone(&self.clock), self.events.clone());
        Lpa::new(card, links, LpaSettings::default(), teller)
    }
}

#[tokio::test]
async fn an_order_becomes_an_event_and_the_event_a_profile() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::start(folder.path()).await;
    let eid = parties::default_eid(&bench.pki).unwrap();
    let package = cli::demo::own_package("724-99", 1, "Local").unwrap();
    let iccid = bench.sm_dp.add_profile(&package, &ProfileOptions::default()).await.unwrap();
    let (tls, oid) =
        parties::operator_tls(&bench.pki, "Landfall Test Operator", Arc::clone(&bench.clock)).unwrap();
    let link = Client::default().link(&bench.settings.sm_dp, Some(tls)).unwrap();
    let operator = Operator::new(link, oid, bench.world.clone(), Arc::new(NullEvents));
    operator.download_order(Some(eid), Some(iccid), None).await.unwrap();
    let event_id = operator.confirm_order(iccid, Some(eid), None, None, true).await.unwrap().matching_id;

    let (tls, oid) = parties::sm_dp_client_tls(&bench.pki, Arc::clone(&bench.clock)).unwrap();
    let header = |call: &str| RequestHeader {
        function_requester_identifier: oid.clone(),
        function_call_identifier: call.to_owned(),
    };
    let event = RegisterEventRequest {
        header: header("1"),
        eid,
        rsp_server_address: bench.settings.sm_dp.parse().unwrap(),
        event_id: event_id.clone(),
        forwarding_indicator: false,
    };
    // Who shows no certificate, or an operator's, has no business on ES12.
    let nobody = parties::device_tls(&bench.pki, Arc::clone(&bench.clock)).unwrap();
    let (other, _) =
        parties::operator_tls(&bench.pki, "Landfall Test Operator", Arc::clone(&bench.clock)).unwrap();
    for tls in [nobody, other] {
        assert_eq!(bench.es12(tls, "registerEvent", &event).await.status(), StatusCode::FORBIDDEN);
    }
    let mut lpa = bench.lpa(eid);
    assert!(lpa.discover(None, DownloadOptions::default()).await.unwrap().is_empty());

    let registered = bench.es12(tls.clone(), "registerEvent", &event).await;
    assert!(matches!(json::answer::<serde_json::Value>(&registered), Ok(Answer::Done(_))));
    let discovered = lpa.discover(None, DownloadOptions::default()).await.unwrap();
    assert_eq!(discovered.len(), 1);
    assert_eq!(discovered[0].event.event_id, event_id);
    assert_eq!(discovered[0].outcome.as_ref().unwrap().iccid, iccid);
    assert_eq!(bench.sm_dp.orders().await.unwrap()[0].state, ProfileState::Installed);

    let deletion = DeleteEventRequest { header: header("2"), eid, event_id };
    let deleted = bench.es12(tls, "deleteEvent", &deletion).await;
    assert!(matches!(json::answer::<serde_json::Value>(&deleted), Ok(Answer::Done(_))));
    assert!(lpa.discover(None, DownloadOptions::default()).await.unwrap().is_empty());
    for running in bench.running {
        running.stop().await;
    }
}
