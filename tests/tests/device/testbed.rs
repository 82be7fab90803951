//! Testbed of one device with a real card, an SM-DP+, two SM-DSs, an operator, and the networks of
//! two countries, in one process.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use certs::{Pki, PkiOptions};
use crypto::Curve;
use device::{Device, EventSource, Lpa, LpaSettings, Modem, Slot};
use euicc_sim::Card;
use http::{Request, Response};
use network::{Keys, Network, Networks, Subscriber, SubscriberServer};
use profile::generic::{Algorithm, Subscription};
use rsp::activation_code::ActivationCode;
use rsp::ids::{Eid, Iccid, Imsi, Plmn, SmdpAddress, Version};
use rsp::sgp22::es2plus::{CancelOrder, CancelOrderRequest, ConfirmOrder, ConfirmOrderRequest};
use rsp::sgp22::es12::{RegisterEvent, RegisterEventRequest};
use rsp::sgp22::json::RequestHeader;
use sm_dp::{Peers, ProfileOptions, ProfileState, SmDpPlus};
use sm_ds::SmDs;
use testbed::operator::Operator;
use tokio::sync::Notify;
use trace::{Exchange, TracingCard};
use world::{
    Atr, CardInterface, CardInterfaceFault, Fault, Link, LinkFault, LinkFaultKind, ManualClock, MemoryEvents,
    RamMemory, SeededRandom, World, link_from,
};

pub(crate) const ADDRESS: &str = "smdpp.landfall.example";

/// The SM-DS stored on the card, and another one.
pub(crate) const ROOT_SM_DS: &str = "smds.landfall.example";
pub(crate) const OTHER_SM_DS: &str = "other-smds.landfall.example";

/// ICCID and IMSI of the device's first profile, and of the profile of the country where the device
/// is.
pub(crate) const BOOTSTRAP: (&str, &str) = ("89000123456789012341", "001010123456789");
pub(crate) const LOCAL: (&str, &str) = ("89494200000000000012", "262420123456789");

static PKI: LazyLock<Arc<Pki>> =
    LazyLock::new(|| Arc::new(Pki::from_seed(b"device tests", &PkiOptions::default()).unwrap()));

pub(crate) fn plmn(text: &str) -> Plmn {
    text.parse().unwrap()
}

pub(crate) fn iccid(profile: (&str, &str)) -> Iccid {
    profile.0.parse().unwrap()
}

/// Failure of the next request whose path ends with the given function.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LinkFailure {
    /// The request is lost.
    RequestLost(&'static str),
    /// The response is lost.
    ResponseLost(&'static str),
    /// The request is lost, and so are all later ones until [`Testbed::reconnect`].
    CutBeforeRequest(&'static str),
    /// The response is lost, and so are all later requests until [`Testbed::reconnect`].
    CutAfterRequest(&'static str),
    /// The response is modified.
    Modified(&'static str, fn(&mut serde_json::Value)),
    /// State after a cut: all requests are lost.
    Disconnected,
}

impl LinkFailure {
    fn applies_to(&self, path: &str) -> bool {
        match self {
            Self::RequestLost(function)
            | Self::ResponseLost(function)
            | Self::CutBeforeRequest(function)
            | Self::CutAfterRequest(function)
            | Self::Modified(function, _) => path.ends_with(function),
            Self::Disconnected => true,
        }
    }
}

/// Returns the key of all subscribers, which is the key of the TS.48 profiles.
fn key() -> [u8; 16] {
    std::array::from_fn(|at| u8::try_from(at).unwrap())
}

/// Generates a profile with this ICCID and IMSI, and with the authentication of the TS.48 profiles.
pub(crate) fn package((iccid, imsi): (&str, &str)) -> Vec<u8> {
    let iccid: Iccid = iccid.parse().unwrap();
    profile::generic(&Subscription {
        iccid: iccid.to_profile_header(),
        imsi: imsi.to_owned(),
        key: key(),
        algorithm: Algorithm::UsimTest,
        ..Subscription::default()
    })
    .encode()
}

/// Returns the TS.48 profile with another ICCID and IMSI. Tests that need the profile are ignored
/// unless the `cfg` `has_ts48` is set.
pub(crate) fn ts48_package((iccid, imsi): (&str, &str)) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/ts48/TS48v7_SAIP2.3_NoBERTLV.der");
    let mut package = std::fs::read(path).unwrap();
    let from: (Iccid, Imsi) = (BOOTSTRAP.0.parse().unwrap(), BOOTSTRAP.1.parse().unwrap());
    let to: (Iccid, Imsi) = (iccid.parse().unwrap(), imsi.parse().unwrap());
    replace(&mut package, &from.0.to_profile_header(), &to.0.to_profile_header());
    replace(&mut package, &from.0.0, &to.0.0);
    replace(&mut package, &from.1.to_ef(), &to.1.to_ef());
    package
}

fn replace(package: &mut [u8], from: &[u8], to: &[u8]) {
    let mut found = 0;
    for at in 0..package.len() - from.len() {
        if package[at..].starts_with(from) {
            package[at..at + from.len()].copy_from_slice(to);
            found += 1;
        }
    }
    assert!(found > 0, "{} is not in the package", hex::encode(from));
}

/// A card that loses power after a number of commands. The last command is executed without a
/// response.
pub(crate) struct FailingCard {
    card: Card,
    power: Arc<Power>,
}

/// Card interface that records all exchanges.
pub(crate) type Interface = TracingCard<FailingCard, Box<dyn FnMut(&Exchange) + Send>>;
pub(crate) type Exchanges = Arc<Mutex<Vec<Exchange>>>;

/// Power of the card, and optionally of the whole device.
pub(crate) struct Power {
    /// Number of commands until the power fails.
    pub(crate) commands_left: AtomicI64,
    /// True if the whole device loses power: futures that wait for the card never complete.
    pub(crate) is_of_device: AtomicBool,
    /// Notified when the device has lost power.
    pub(crate) gone: Notify,
}

impl CardInterface for FailingCard {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        let left = self.power.commands_left.fetch_sub(1, Ordering::SeqCst);
        if left <= 0 {
            return Err(CardInterfaceFault::Broken("no power".into()));
        }
        let answer = self.card.transmit(command);
        if left > 1 {
            return Ok(answer);
        }
        if self.power.is_of_device.load(Ordering::SeqCst) {
            self.power.gone.notify_one();
            std::future::pending::<()>().await;
        }
        Err(CardInterfaceFault::Broken("power failure".into()))
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        if self.power.commands_left.load(Ordering::SeqCst) <= 0 {
            return Err(CardInterfaceFault::Broken("no power".into()));
        }
        Ok(self.card.reset())
    }
}

pub(crate) struct Testbed {
    pub(crate) clock: ManualClock,
    pub(crate) events: MemoryEvents,
    pub(crate) server: SmDpPlus,
    pub(crate) sm_ds: [(&'static str, SmDs); 2],
    pub(crate) networks: Arc<Networks>,
    pub(crate) failures: Arc<Mutex<VecDeque<LinkFailure>>>,
    pub(crate) device: Device<Slot<Interface>>,
    pub(crate) power: Arc<Power>,
    /// The card, for use in another modem.
    pub(crate) slot: Slot<Interface>,
    /// Exchanges since the card was inserted.
    pub(crate) exchanges: Exchanges,
    card_memory: RamMemory,
    device_memory: RamMemory,
}

/// The surroundings of all parties.
fn parties(clock: &ManualClock, events: &MemoryEvents) -> testbed::Testbed {
    testbed::Testbed::with_pki(Arc::clone(&PKI), "device tests")
        .with_clock(clock.clone())
        .with_events(events.clone())
}

impl Testbed {
    /// Returns a testbed with the bootstrap profile enabled and registered abroad, and the
    /// local profile in stock.
    pub(crate) async fn abroad() -> Self {
        Self::abroad_with([package(BOOTSTRAP), package(LOCAL)]).await
    }

    /// As [`Testbed::abroad`], with these packages for the bootstrap and the local profile.
    pub(crate) async fn abroad_with(packages: [Vec<u8>; 2]) -> Self {
        let mut testbed = Self::with(packages).await;
        let code = testbed.order(BOOTSTRAP, None).await;
        testbed.device.lpa.download(&code, Default::default()).await.unwrap();
        testbed.device.lpa.enable(iccid(BOOTSTRAP)).await.unwrap();
        testbed.device.modem.forget();
        testbed.device.register().await.unwrap();
        testbed.device.lpa.process_notifications().await.unwrap();
        testbed.events.take();
        testbed
    }

    /// Returns a testbed with an empty card and both profiles in stock.
    pub(crate) async fn new() -> Self {
        Self::with([package(BOOTSTRAP), package(LOCAL)]).await
    }

    async fn with(packages: [Vec<u8>; 2]) -> Self {
        let clock = ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap());
        let events = MemoryEvents::default();
        let parties = parties(&clock, &events);
        let server = parties.sm_dp_plus(ADDRESS).unwrap();
        let sm_ds = [ROOT_SM_DS, OTHER_SM_DS].map(|address| (address, parties.sm_ds(address).unwrap()));
        let world = |name: &str| parties.world(name);
        let (networks, failures) = (Networks::new(world("networks")), Arc::default());
        let server =
            server.with_peers(Arc::new(SmDsPeers { sm_ds: sm_ds.clone(), failures: Arc::clone(&failures) }));
        for package in &packages {
            server.add_profile(package, &ProfileOptions::default()).await.unwrap();
        }
        for (code, name, country) in [("001-01", "Home", "XX"), ("262-42", "Local", "DE")] {
            networks.put(Network::new(plmn(code), name, country));
            let home = SubscriberServer::open(plmn(code), RamMemory::default(), world(code)).unwrap();
            networks.put_home(Arc::new(home));
        }
        for (_, imsi) in [BOOTSTRAP, LOCAL] {
            let imsi = imsi.parse().unwrap();
            let subscriber = Subscriber::new(Keys::UsimTest { k: key(), res_length: 16 });
            networks.home_of(imsi).unwrap().provision(imsi, subscriber).unwrap();
        }
        let networks = Arc::new(networks);
        let (card_memory, device_memory) = (RamMemory::default(), RamMemory::default());
        let (device, power, slot, exchanges) = Self::device(
            &clock,
            &events,
            (&server, &sm_ds),
            &networks,
            &failures,
            &card_memory,
            &device_memory,
        );
        Self {
            clock,
            events,
            server,
            sm_ds,
            networks,
            failures,
            device,
            power,
            slot,
            exchanges,
            card_memory,
            device_memory,
        }
    }

    fn device(
        clock: &ManualClock,
        events: &MemoryEvents,
        (server, sm_ds): (&SmDpPlus, &[(&'static str, SmDs)]),
        networks: &Arc<Networks>,
        failures: &Arc<Mutex<VecDeque<LinkFailure>>>,
        card_memory: &RamMemory,
        device_memory: &RamMemory,
    ) -> (Device<Slot<Interface>>, Arc<Power>, Slot<Interface>, Exchanges) {
        let eid = PKI.eids(Curve::P256)[0];
        let mut description = parties(clock, events).card_description(eid).unwrap();
        description.root_ds_address = ROOT_SM_DS.to_owned();
        let world = World::new(clock.clone(), SeededRandom::from_text("card"));
        let card = Card::open(description, card_memory.clone(), world).unwrap();
        let power = Arc::new(Power {
            commands_left: AtomicI64::new(i64::MAX),
            is_of_device: AtomicBool::new(false),
            gone: Notify::new(),
        });
        let exchanges = Exchanges::default();
        let context = Arc::clone(&exchanges);
        let sink = Box::new(move |exchange: &Exchange| context.lock().unwrap().push(exchange.clone()));
        let socket = FailingCard { card, power: Arc::clone(&power) };
        let slot = Slot::new(TracingCard::new(socket, eid.to_string(), Arc::new(clock.clone()), sink as _));
        let events = EventSource::new("device", clock.clone(), events.clone());
        let servers = sm_ds.iter().map(|(address, sm_ds)| (*address, sm_ds.link()));
        let servers: Vec<_> = servers
            .chain([(ADDRESS, server.link())])
            .map(|(address, link)| (address, unreliable(link, Arc::clone(failures))))
            .collect();
        let links = move |requested: &SmdpAddress| -> Result<Link, Fault> {
            Ok(servers.iter().find(|(address, _)| requested.as_str() == *address).unwrap().1.clone())
        };
        let lpa = Lpa::new(slot.clone(), links, LpaSettings::default(), events.named("LPA"));
        let modem = Modem::new(slot.clone(), Arc::clone(networks), events.named("modem"));
        let mut device = Device::new(lpa, modem, device_memory.clone(), events);
        device.set_visible(vec![plmn("262-42")]);
        (device, power, slot, exchanges)
    }

    /// Restarts card and device after a power loss.
    pub(crate) fn power_cycle(&mut self) {
        (self.device, self.power, self.slot, self.exchanges) = Self::device(
            &self.clock,
            &self.events,
            (&self.server, &self.sm_ds),
            &self.networks,
            &self.failures,
            &self.card_memory,
            &self.device_memory,
        );
    }

    /// ES2+: orders, confirms and releases a profile.
    pub(crate) async fn order(
        &self,
        profile: (&str, &str),
        confirmation_code: Option<&str>,
    ) -> ActivationCode {
        self.order_as(profile, |confirm| confirm.confirmation_code = confirmation_code.map(str::to_owned))
            .await
    }

    /// Orders a profile; `choose` changes the confirmation before it is sent.
    pub(crate) async fn order_as(
        &self,
        profile: (&str, &str),
        choose: impl FnOnce(&mut ConfirmOrderRequest),
    ) -> ActivationCode {
        let iccid = iccid(profile);
        let operator = self.operator();
        operator.download_order(None, Some(iccid), None).await.unwrap();
        let mut confirm = operator.confirmation(iccid);
        choose(&mut confirm);
        let reply = operator.call::<ConfirmOrder>(&confirm).await.unwrap();
        ActivationCode {
            smdp_address: ADDRESS.parse().unwrap(),
            matching_id: reply.matching_id,
            smdp_oid: None,
            confirmation_code_required: confirm.confirmation_code.is_some(),
            findings: Vec::new(),
        }
    }

    /// ES2+: cancels the order of a profile for this card.
    pub(crate) async fn cancel(&self, profile: (&str, &str)) {
        let operator = self.operator();
        let request = CancelOrderRequest::new(operator.header(), iccid(profile));
        operator.call::<CancelOrder>(&CancelOrderRequest { eid: Some(self.eid()), ..request }).await.unwrap();
    }

    fn operator(&self) -> Operator {
        // The events of the operator are not part of the timeline.
        parties(&self.clock, &MemoryEvents::default()).operator(self.server.link()).unwrap()
    }

    /// EID of the card.
    pub(crate) fn eid(&self) -> Eid {
        PKI.eids(Curve::P256)[0]
    }

    /// Returns the identifiers of the events at the root SM-DS.
    pub(crate) async fn waiting(&self) -> Vec<String> {
        let events = self.sm_ds[0].1.registered_events().await.unwrap();
        events.into_iter().map(|event| event.event_id).collect()
    }

    /// ES12: registers an event of the SM-DP+ at an SM-DS.
    pub(crate) async fn register_event(&self, sm_ds: &str, event_id: &str, address: &str) {
        let certificate = PKI.dp(Curve::P256).unwrap().tls.certificate;
        let event = RegisterEventRequest {
            header: RequestHeader::new(certificate.registered_ids()[0].to_string(), event_id),
            eid: self.eid(),
            rsp_server_address: address.parse().unwrap(),
            event_id: event_id.to_owned(),
            forwarding_indicator: false,
        };
        let (_, sm_ds) = self.sm_ds.iter().find(|(address, _)| *address == sm_ds).unwrap();
        let link = world::with_peer_certificate(sm_ds.link(), certificate.der().to_vec());
        world::call::<RegisterEvent>(&link, Version([2, 5, 0]), &event).await.result.unwrap();
    }

    /// Returns the state of a profile at the SM-DP+.
    pub(crate) async fn state(&self, profile: (&str, &str)) -> ProfileState {
        let orders = self.server.orders().await.unwrap();
        orders.into_iter().find(|order| order.iccid == iccid(profile)).unwrap().state
    }

    pub(crate) fn inject(&self, failures: &[LinkFailure]) {
        self.failures.lock().unwrap().extend(failures);
    }

    /// Restores the connection after a cut.
    pub(crate) fn reconnect(&self) {
        assert!(
            matches!(self.failures.lock().unwrap().pop_front(), Some(LinkFailure::Disconnected)),
            "the connection was not cut"
        );
    }

    /// Returns the ICCIDs of the profiles on the card, and the ICCID of the enabled profile.
    pub(crate) async fn profiles(&mut self) -> (Vec<Iccid>, Option<Iccid>) {
        let list = self.device.lpa.list().await.unwrap();
        (list.iter().filter_map(|profile| profile.iccid).collect(), self.device.lpa.enabled().await.unwrap())
    }

    /// Returns the timeline, one line per event.
    pub(crate) fn timeline(&self) -> Vec<String> {
        self.events.all().iter().map(ToString::to_string).collect()
    }
}

/// Connections of the SM-DP+ to the SM-DSs.
struct SmDsPeers {
    sm_ds: [(&'static str, SmDs); 2],
    failures: Arc<Mutex<VecDeque<LinkFailure>>>,
}

impl Peers for SmDsPeers {
    fn link(&self, address: &SmdpAddress) -> Result<Link, Fault> {
        let certificate = PKI.dp(Curve::P256).unwrap().tls.certificate;
        let sm_ds = self.sm_ds.iter().find(|(name, _)| address.as_str() == *name);
        let (_, sm_ds) =
            sm_ds.ok_or_else(|| Fault::new("no link", "unknown address", "correct the address"))?;
        let shown = world::with_peer_certificate(sm_ds.link(), certificate.der().to_vec());
        Ok(unreliable(shown, Arc::clone(&self.failures)))
    }
}

fn unreliable(link: Link, failures: Arc<Mutex<VecDeque<LinkFailure>>>) -> Link {
    link_from(tower::service_fn(move |request: Request<Bytes>| {
        let (link, failures) = (link.clone(), Arc::clone(&failures));
        async move {
            let next = {
                let mut failures = failures.lock().unwrap();
                let next = failures.front().copied().filter(|inject| inject.applies_to(request.uri().path()));
                match next {
                    Some(LinkFailure::CutBeforeRequest(_) | LinkFailure::CutAfterRequest(_)) => {
                        failures[0] = LinkFailure::Disconnected
                    }
                    Some(LinkFailure::Disconnected) | None => {}
                    Some(_) => drop(failures.pop_front()),
                }
                next
            };
            let lost =
                |kind| Err::<Response<Bytes>, _>(LinkFault::new(kind, ADDRESS, "injected by the test"));
            match next {
                None => world::send(&link, request).await,
                Some(
                    LinkFailure::RequestLost(_)
                    | LinkFailure::CutBeforeRequest(_)
                    | LinkFailure::Disconnected,
                ) => lost(LinkFaultKind::Refused),
                Some(LinkFailure::ResponseLost(_) | LinkFailure::CutAfterRequest(_)) => {
                    world::send(&link, request).await?;
                    lost(LinkFaultKind::Reset)
                }
                Some(LinkFailure::Modified(_, change)) => {
                    let answer = world::send(&link, request).await?;
                    let mut body = serde_json::from_slice(answer.body()).unwrap();
                    change(&mut body);
                    Ok(answer.map(|_| serde_json::to_vec(&body).unwrap().into()))
                }
            }
        }
    }))
}
