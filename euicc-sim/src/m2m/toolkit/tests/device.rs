//! The card in a simulated device, on networks with an SMSC. Time advances only while a test waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use profile::Octets;
use rsp::ids::{Aid, Plmn};
use rsp::ota::script::{Script, ScriptResponse};
use rsp::ota::secured_packet::{ResponseStatus, Spi};
use rsp::ota::sms::{PacketKind, Reference, segments};
use rsp::sgp02::notification::{DefaultNotification, NotificationType};
use rsp::time::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use world::{
    IncomingDelivery, MemoryHosts, PhoneNumber, RamMemory, Receipts, SeededRandom, ShortMessage,
    ShortMessages, Submission, TokioClock, World,
};

use super::https_link::{Link, audit, identity, session, trigger};
use super::terminal::{header, notification_of, opened, opened_packet, sealed};
use crate::m2m::scp81::tls::tests::Server;
use crate::m2m::tests::testbed::{BOOTSTRAP, DELETE_ON_DISABLE, NO_RULES, Testbed, isd_p_group, store_data};
use crate::m2m::toolkit::ToolkitSettings;
use device::{AlwaysOnHandle, AlwaysOnSettings, EventSource, Modem, Online};
use network::smsc::Account;
use network::{Keys, Network, Networks, Smsc, SmscSettings, Subscriber, SubscriberServer};

const SM_SR: &str = "1000";

/// A device in a network, and the account of the SM-SR at the SMSC.
struct Environment {
    networks: Arc<Networks>,
    smsc: Arc<Smsc>,
    hosts: MemoryHosts,
    device: AlwaysOnHandle,
    counter: u64,
    /// The number at which the card is reachable.
    number: PhoneNumber,
    early: VecDeque<ShortMessage>,
}

fn plmn() -> Plmn {
    "001-01".parse().unwrap()
}

fn msisdn(profile: u16) -> PhoneNumber {
    format!("+4915100000{profile:03}").parse().unwrap()
}

impl Environment {
    /// Starts the network with subscriptions for these profiles, and the device.
    fn with(profiles: &[u16], over_sms: bool) -> Self {
        let world =
            World::new(TokioClock::starting(Timestamp(1_795_000_000_000)), SeededRandom::from_text("field"));
        let networks = Networks::new(world.clone());
        networks.put(Network::new(plmn(), "Test", "XX"));
        let home = SubscriberServer::open(plmn(), RamMemory::default(), world.clone()).unwrap();
        for profile in profiles {
            let subscriber = Subscriber::new(Keys::Milenage { k: [0; 16], opc: [0; 16] });
            let imsi = format!("0010100000{profile:05}").parse().unwrap();
            home.provision(imsi, subscriber.with_msisdn(msisdn(*profile))).unwrap();
        }
        networks.put_home(Arc::new(home));
        let networks = Arc::new(networks);
        let account = Account {
            name: "sm-sr".into(),
            password: "x".to_owned().into(),
            numbers: vec![SM_SR.parse().unwrap()],
        };
        // The service centre of the profiles' connectivity parameters.
        let settings = SmscSettings::new("+33689924111".parse().unwrap(), vec![account]);
        let smsc = Smsc::open(settings, Arc::clone(&networks), RamMemory::default(), world.clone()).unwrap();
        tokio::spawn(Arc::clone(&smsc).run());
        let testbed = Testbed::with(
            |description| {
                let addressing = &mut description.m2m.as_mut().unwrap().addressing;
                addressing.sms = Octets::from_hex("810100").filter(|_| over_sms);
                addressing.https = Some(Octets::from(session().to_bytes().as_slice()));
            },
            RamMemory::default(),
        );
        let events = EventSource::silent(TokioClock::starting(Timestamp(1_795_000_000_000)));
        let mut modem = Modem::new(testbed.card, Arc::clone(&networks), events.clone());
        modem.set_visible(vec![plmn()]);
        let hosts = MemoryHosts::default();
        let mut device = Online::new(modem, hosts.clone(), AlwaysOnSettings::default(), events);
        let handle = device.handle();
        tokio::spawn(async move { device.run().await.unwrap() });
        Self {
            networks,
            smsc,
            hosts,
            device: handle,
            counter: 0,
            number: msisdn(BOOTSTRAP),
            early: VecDeque::new(),
        }
    }

    async fn submit(&self, packet: &[u8]) {
        for part in segments(packet, PacketKind::Command, Reference::Short(7)).unwrap() {
            let message = ShortMessage::to_card(SM_SR.parse().unwrap(), self.number.clone(), part.to_bytes());
            let submission = Submission { message, validity: None, receipts: Receipts::None };
            self.smsc.account("sm-sr").submit(submission).await.unwrap();
        }
    }

    fn packet(&mut self, spi: Spi, data: &[u8]) -> Vec<u8> {
        self.counter += 1;
        sealed(rsp::ota::secured_packet::CommandHeader { spi, ..header() }, self.counter, data)
    }

    async fn send(&mut self, spi: Spi, data: &[u8]) {
        let packet = self.packet(spi, data);
        self.submit(&packet).await;
    }

    async fn run(&mut self, apdu: &str) -> ScriptResponse {
        let script = Script::of_apdus([hex::decode(apdu).unwrap()]).to_bytes();
        self.send(Spi::COMMAND_ANSWERED_IN_REPORT, &script).await;
        ScriptResponse::parse(&opened(&self.report().await).data).unwrap()
    }

    /// The next delivery report. Messages that arrive before it are kept.
    async fn report(&mut self) -> Vec<u8> {
        loop {
            match self.receive().await {
                IncomingDelivery::Report(_, report) => return report.user_data,
                IncomingDelivery::Message(message) => self.early.push_back(message),
                other => panic!("{other:?}"),
            }
        }
    }

    async fn receive(&self) -> IncomingDelivery {
        let account = self.smsc.account("sm-sr");
        let next = account.next().await;
        account.taken(&next.ticket).unwrap();
        next.arrived
    }

    /// The next notification. The card is reachable at its sender number afterwards.
    async fn notification(&mut self) -> DefaultNotification {
        let message = match self.early.pop_front() {
            Some(message) => message,
            None => match self.receive().await {
                IncomingDelivery::Message(message) => message,
                other => panic!("{other:?}"),
            },
        };
        self.number = message.from;
        notification_of(&message.user_data[3..])
    }

    async fn confirm(&mut self, number: u16) -> ScriptResponse {
        self.run(&format!("80E28900073A08044E02{number:04X}00")).await
    }

    async fn confirm_declaration(&mut self) {
        let notification = self.notification().await;
        assert_eq!(
            (notification.kind, notification.isd_p),
            (NotificationType::EuiccDeclaration, Aid::isd_p(BOOTSTRAP))
        );
        assert_eq!(self.confirm(1).await.last_apdu().unwrap().status.0, 0x9000);
    }

    async fn enable(&mut self, profile: u16) {
        let response = self.run(&store_data(&isd_p_group("3A03", profile))).await;
        assert_eq!(response.last_apdu().unwrap().status.0, 0x9000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_switch_is_requested_notified_and_confirmed_by_short_message() {
    let mut environment = Environment::with(&[BOOTSTRAP, NO_RULES], true);
    environment.confirm_declaration().await;
    environment.enable(NO_RULES).await;
    let notification = environment.notification().await;
    assert_eq!(
        (notification.kind, notification.isd_p),
        (NotificationType::ProfileChangeSucceeded, Aid::isd_p(NO_RULES))
    );
    assert_eq!(environment.number, msisdn(NO_RULES));
    assert_eq!(environment.confirm(2).await.last_apdu().unwrap().status.0, 0x9000);
}

#[tokio::test(start_paused = true)]
async fn a_profile_without_a_subscription_is_rolled_back() {
    let mut environment = Environment::with(&[BOOTSTRAP, NO_RULES], true);
    environment.confirm_declaration().await;
    let before = Instant::now();
    environment.enable(DELETE_ON_DISABLE).await;
    let notification = environment.notification().await;
    assert_eq!(
        (notification.kind, notification.isd_p),
        (NotificationType::ProfileChangeFailed, Aid::isd_p(BOOTSTRAP))
    );
    assert!(before.elapsed() >= Duration::from_secs(ToolkitSettings::DEFAULT.attach_seconds));
    environment.confirm(notification.sequence_number).await;
}

#[tokio::test(start_paused = true)]
async fn an_unconfirmed_switch_is_rolled_back() {
    let mut environment = Environment::with(&[BOOTSTRAP, NO_RULES], true);
    environment.confirm_declaration().await;
    environment.enable(NO_RULES).await;
    let first = environment.notification().await;
    for _ in 1..ToolkitSettings::DEFAULT.notification_attempts {
        assert_eq!(environment.notification().await, first);
    }
    let notification = environment.notification().await;
    assert_eq!(
        (notification.kind, notification.isd_p),
        (NotificationType::ProfileChangeFailed, Aid::isd_p(BOOTSTRAP))
    );
    assert_eq!(environment.number, msisdn(BOOTSTRAP));
    environment.confirm(notification.sequence_number).await;
}

#[tokio::test(start_paused = true)]
async fn the_card_falls_back_after_a_long_loss_of_the_network() {
    let mut environment = Environment::with(&[BOOTSTRAP, NO_RULES], true);
    environment.confirm_declaration().await;
    environment.enable(NO_RULES).await;
    let notification = environment.notification().await;
    environment.confirm(notification.sequence_number).await;
    environment.networks.set_coverage(plmn(), false);
    tokio::time::sleep(Duration::from_secs(ToolkitSettings::DEFAULT.loss_seconds + 60)).await;
    environment.networks.set_coverage(plmn(), true);
    let notification = environment.notification().await;
    assert_eq!(
        (notification.kind, notification.isd_p),
        (NotificationType::ProfileChangeAfterFallback, Aid::isd_p(BOOTSTRAP))
    );
    environment.confirm(notification.sequence_number).await;
}

#[tokio::test(start_paused = true)]
async fn a_repeated_message_is_executed_once() {
    let mut environment = Environment::with(&[BOOTSTRAP], true);
    environment.confirm_declaration().await;
    let script = Script::of_apdus([hex::decode("80CAFF2100").unwrap()]).to_bytes();
    let packet = environment.packet(Spi::COMMAND_ANSWERED_IN_REPORT, &script);
    environment.submit(&packet).await;
    assert_eq!(opened(&environment.report().await).status, ResponseStatus::Ok.code());
    environment.submit(&packet).await;
    assert_eq!(opened(&environment.report().await).status, ResponseStatus::CounterLow.code());
}

#[tokio::test(start_paused = true)]
async fn a_submitted_response_is_sent_in_several_messages() {
    let mut environment = Environment::with(&[BOOTSTRAP], true);
    environment.confirm_declaration().await;
    let apdus = vec![hex::decode("80CAFF2100").unwrap(); 12];
    environment.send(Spi::COMMAND_ANSWERED_BY_SUBMIT, &Script::of_apdus(apdus).to_bytes()).await;
    let mut reassembler = rsp::ota::sms::Reassembler::default();
    let packet = loop {
        let IncomingDelivery::Message(message) = environment.receive().await else { continue };
        let user_data = rsp::ota::sms::UserData::parse(&message.user_data, true).unwrap();
        let accepted = reassembler.accept(&super::terminal::sm_sr_address(), user_data).unwrap();
        if let rsp::ota::sms::Accepted::Whole(PacketKind::Response, packet) = accepted {
            break packet;
        }
    };
    let answer = opened_packet(&packet, crypto::scp80::Protection::FULL);
    assert_eq!(ScriptResponse::parse(&answer.data).unwrap().apdus().count(), 12);
}

/// Serves channels until all replies are sent, and returns the link with the requests.
async fn serve(environment: &Environment, mut link: Link) -> Link {
    let mut listener = environment.hosts.listen("192.0.2.7:8443");
    while !link.replies.is_empty() {
        let mut stream = listener.accept().await.unwrap();
        link.connected(Server::new("PSK-AES128-CBC-SHA256", &identity(), &[0x41; 16]));
        let mut buffer = [0; 2000];
        while let Ok(octets @ 1..) = stream.read(&mut buffer).await {
            link.sent(&buffer[..octets]);
            if stream.write_all(&link.take()).await.is_err() {
                break;
            }
        }
    }
    link
}

#[tokio::test(start_paused = true)]
async fn a_trigger_starts_a_session_over_the_channel_of_the_device() {
    let mut environment = Environment::with(&[BOOTSTRAP], true);
    environment.confirm_declaration().await;
    environment.send(Spi::UNANSWERED, &trigger()).await;
    let link = serve(&environment, Link::new([audit(Some("/2")), audit(Some("/3"))])).await;
    let uris: Vec<_> = link.requests.iter().map(|request| request.uri.as_str()).collect();
    assert_eq!(uris[..2], ["/gsma/adminagent", "/2"]);
    assert!(hex::encode_upper(&link.requests[1].response().last_apdu().unwrap().data).starts_with("FF21"));
}

#[tokio::test(start_paused = true)]
async fn retries_reach_a_server_that_starts_late() {
    let mut environment = Environment::with(&[BOOTSTRAP], true);
    environment.confirm_declaration().await;
    environment.send(Spi::UNANSWERED, &trigger()).await;
    // The server is not listening yet.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let link = serve(&environment, Link::new([audit(Some("/2"))])).await;
    assert!(link.requests[0].head.contains("X-Admin-Resume"));
}

#[tokio::test(start_paused = true)]
async fn notifications_use_https_without_an_sms_address() {
    let environment = Environment::with(&[BOOTSTRAP], false);
    let link = serve(&environment, Link::new([super::https::confirmation(1)])).await;
    let notification = super::https::notification_in(&link.requests[0]);
    assert_eq!(notification.kind, NotificationType::EuiccDeclaration);
    environment.device.stop();
}
