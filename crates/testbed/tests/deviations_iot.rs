//! Visits of an IoT device to its eIM (SGP.32) in which one message on the wire deviates from the
//! standard in a way that no standard requires to refuse. The packages are executed, and the party
//! that received the message reports a finding.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod wire;

use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use certs::{Pki, PkiOptions};
use device::ipa::{Binding, Connection, ResultDelivery};
use device::{EventSource, Ipa, IpaSettings, Lpa, Modem, Slot};
use eim::records::{Download, DownloadSource, Outcome, Package, ProfileOperation};
use euicc_sim::{Card, IotDescription};
use http::{Request, Response};
use rsp::der::BitString;
use rsp::finding::{Finding, FindingKind};
use rsp::ids::SmdpAddress;
use rsp::sgp32::EimConfigurationData;
use rsp::sgp32::es10b::{EuiccMemoryResetRequest, reset_options};
use rsp::sgp32::ipa_data::ipa_features;
use rsp::time::Timestamp;
use testbed::iot::{Iot, IotSetup};
use testbed::time::run;
use wire::{Change, Reading, Wire, long_length, unknown_element, unknown_member};
use world::{Clock as _, Fault, Link, RamMemory};

const BEGIN: Timestamp = Timestamp(1_795_000_000_000);

static PKI: LazyLock<Arc<Pki>> =
    LazyLock::new(|| Arc::new(Pki::from_seed(b"iot deviations", &PkiOptions::default()).unwrap()));

/// What happened in a visit.
struct Visited {
    /// The number of changed messages.
    changed: usize,
    iot: Iot,
    card: Arc<Mutex<Card>>,
}

impl Visited {
    fn findings(&self, party: &str) -> Vec<Finding> {
        if party == "card" {
            return self.card.lock().unwrap().findings().to_vec();
        }
        let events = self.iot.events.all().into_iter().filter(|event| event.party == party);
        events.flat_map(|event| event.findings).collect()
    }

    /// Checks that the changed message was received with a finding of this kind.
    fn check(&self, what: &str, party: &str, kind: FindingKind) {
        assert!(self.changed > 0, "{what}: the message was never sent");
        let findings = self.findings(party);
        assert!(findings.iter().any(|finding| finding.kind == kind), "{what}, {party}: {findings:?}");
    }
}

/// Associates a card with an eIM, downloads a profile through the eIM and enables it, and deletes the
/// profile on the device. The wire is between the IPA and the eIM, and between the IPA and the card.
fn visit(change: Change, binding: Binding) -> Visited {
    run("iot deviations", BEGIN, async |simulation| {
        let settings = IpaSettings {
            binding: Some(binding),
            features: vec![
                ipa_features::INDIRECT_RSP_SERVER_COMMUNICATION,
                ipa_features::EIM_DOWNLOAD_DATA_HANDLING,
            ],
            connection: Connection::Other,
            ..IpaSettings::default()
        };
        let setup =
            IotSetup { pki: Arc::clone(&PKI), ipa: settings.clone(), card: IotDescription::default() };
        let iot = Iot::begin(&simulation, &setup).await.unwrap();
        let parties = testbed::Testbed::with_pki(Arc::clone(&PKI), "iot deviations");
        let mut description = parties.card_description(iot.eid().unwrap()).unwrap();
        description.iot = Some(Box::default());
        let world = simulation.world(&format!("card {}", simulation.clock().now()));
        let card = Arc::new(Mutex::new(Card::open(description, RamMemory::default(), world).unwrap()));
        let wire = Wire::new(change);
        let slot = Slot::new(Reading::new(&wire, &card));
        let (to_sm_dp, to_eim) = (iot.sm_dp.link(), wire.link(iot.first_eim().unwrap().link()));
        let servers = move |_: &SmdpAddress| -> Result<Link, Fault> { Ok(to_sm_dp.clone()) };
        let eims = move |_: &EimConfigurationData, _: Binding| -> Result<Link, Fault> { Ok(to_eim.clone()) };
        let source = EventSource::new("IPA", simulation.clock(), iot.events.clone());
        let lpa = Lpa::new(slot.clone(), servers, settings.device.clone(), source.clone());
        let modem = Modem::new(slot, Arc::clone(&iot.networks), source.clone());
        let mut ipa = Ipa::new(lpa, modem, eims, settings, RamMemory::default(), source).unwrap();
        ipa.add_initial_eim(vec![iot.eim_configuration(0).unwrap()]).await.unwrap();

        let source = DownloadSource::ActivationCode(iot.release(iot.local).await.unwrap());
        let download = Download { source, kept_by_eim: false, iccid: None, policy_rules_allowed: false };
        let downloaded = iot.order(0, Package::Download(download)).await.unwrap();
        let enable = ProfileOperation::Enable { iccid: iot.local, rollback: false };
        let enabled = iot.order(0, Package::ProfileOperations(vec![enable])).await.unwrap();
        let report = ipa.check_in().await.unwrap();
        for package in report.visits.iter().flat_map(|visit| &visit.packages) {
            assert_eq!(package.delivery, ResultDelivery::Delivered, "{report:?}");
        }
        let outcome = iot.outcome(0, &downloaded).await.unwrap();
        assert!(matches!(outcome, Some(Outcome::Download(_) | Outcome::Installation(_))), "{outcome:?}");
        let outcome = iot.outcome(0, &enabled).await.unwrap();
        assert!(matches!(outcome, Some(Outcome::EuiccPackage(_))), "{outcome:?}");
        // The notification of a deletion that no package has caused is sent with HandleNotification.
        let reset_options = BitString::of(&[reset_options::DELETE_OPERATIONAL_PROFILES]);
        ipa.es10().iot_memory_reset(&EuiccMemoryResetRequest { reset_options }).await.unwrap();
        let report = ipa.check_in().await.unwrap();
        let failures: Vec<_> = report.notifications.iter().map(|it| it.failure()).collect();
        assert_eq!(failures, [None], "{report:?}");
        Visited { changed: wire.changed(), iot, card }
    })
    .unwrap()
}

const ESIPA: [&str; 6] = [
    "ESipa.GetEimPackage",
    "ESipa.ProvideEimPackageResult",
    "ESipa.InitiateAuthentication",
    "ESipa.AuthenticateClient",
    "ESipa.GetBoundProfilePackage",
    "ESipa.HandleNotification",
];

fn in_body(body: &mut Bytes, change: fn(&[u8]) -> Vec<u8>) {
    let changed = change(body);
    *body = changed.into();
}

#[test]
fn a_visit_without_deviations_has_no_findings() {
    for binding in [Binding::Asn1, Binding::Json] {
        let visited = visit(Change::Command(0, <[u8]>::to_vec), binding);
        for party in ["eIM", "IPA", "card"] {
            assert_eq!(visited.findings(party), [], "{party}, {binding:?}");
        }
    }
}

#[test]
fn the_eim_accepts_deviations_in_each_request() {
    type Deviation = (Binding, fn(&mut Request<Bytes>), FindingKind);
    let deviations: [Deviation; 3] = [
        (Binding::Json, |request| unknown_member(request.body_mut()), FindingKind::UnknownElement),
        (Binding::Asn1, |request| in_body(request.body_mut(), unknown_element), FindingKind::UnknownElement),
        (Binding::Asn1, |request| in_body(request.body_mut(), long_length), FindingKind::NotDer),
    ];
    for function in ESIPA {
        for (binding, change, kind) in deviations {
            let what = format!("{function}, {binding:?}");
            visit(Change::Request(function, change), binding).check(&what, "eIM", kind);
        }
    }
}

#[test]
fn the_ipa_accepts_deviations_in_each_response_of_the_eim() {
    type Deviation = (Binding, fn(&mut Response<Bytes>), FindingKind);
    let deviations: [Deviation; 3] = [
        (Binding::Json, |response| unknown_member(response.body_mut()), FindingKind::UnknownElement),
        (
            Binding::Asn1,
            |response| in_body(response.body_mut(), unknown_element),
            FindingKind::UnknownElement,
        ),
        (Binding::Asn1, |response| in_body(response.body_mut(), long_length), FindingKind::NotDer),
    ];
    // The response to HandleNotification has no body.
    for function in &ESIPA[..5] {
        for (binding, change, kind) in deviations {
            let what = format!("{function}, {binding:?}");
            visit(Change::Response(function, change), binding).check(&what, "IPA", kind);
        }
    }
}

/// AddInitialEim, GetEimConfigurationData, LoadEuiccPackage.
const ES10B: [u32; 3] = [0xBF57, 0xBF55, 0xBF51];

#[test]
fn card_and_ipa_accept_deviations_in_each_function_of_iot() {
    for tag in ES10B {
        for (change, kind) in [
            (unknown_element as fn(&[u8]) -> Vec<u8>, FindingKind::UnknownElement),
            (long_length, FindingKind::NotDer),
        ] {
            visit(Change::Command(tag, change), Binding::Asn1).check(&format!("{tag:X}"), "card", kind);
            visit(Change::Answer(tag, change), Binding::Asn1).check(&format!("{tag:X}"), "IPA", kind);
        }
    }
}
