//! The card in a powered-on device, on networks with an SMSC where the SM-SR has an account. Time
//! advances only while a test waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crypto::scp80::{self, Head, Opened, Protection};
use rsp::ids::{Aid, Imsi, Plmn};
use rsp::ota::script::{Script, ScriptResponse};
use rsp::ota::secured_packet::{CommandHeader, KeyReference, Spi, Tar};
use rsp::ota::sms::{Accepted, Address, PacketKind, Reassembler, Reference, UserData, segments};
use rsp::sgp02::es5;
use rsp::sgp02::notification::{DefaultNotification, NotificationType};
use rsp::time::Timestamp;
use tokio::time::{Instant, timeout};
use world::{
    IncomingDelivery, NoDial, RamMemory, Receipts, SeededRandom, ShortMessage, ShortMessages, Submission,
    TokioClock, World,
};

use super::testbed::{BOOTSTRAP, NO_DELETE, NO_RULES, SCP80, Testbed};
use device::{AlwaysOnHandle, AlwaysOnSettings, EventSource, Modem, Online};
use network::smsc::{Account, LocalClient};
use network::{
    EmmCause, Keys, Network, Networks, Policy, RefusalRule, Smsc, SmscSettings, Subscriber, SubscriberServer,
};

/// The number of the SM-SR, as in the card of the testbed.
const SM_SR: &str = "+33689924111";
const HOME: &str = "001-01";

/// The SM-SR, the network, and the device with the card.
struct Environment {
    networks: Arc<Networks>,
    account: LocalClient,
    counter: u64,
    reassembler: Reassembler,
    early: VecDeque<IncomingDelivery>,
    device: AlwaysOnHandle,
}

fn home() -> Plmn {
    HOME.parse().unwrap()
}

fn imsi(profile: u16) -> Imsi {
    format!("0010100000{profile:05}").parse().unwrap()
}

fn number(profile: u16) -> String {
    format!("+49151{profile:08}")
}

/// Starts a home network with the subscribers of these profiles, and a device with the card.
fn environment(subscribers: &[u16]) -> Environment {
    let world =
        World::new(TokioClock::starting(Timestamp(1_795_000_000_000)), SeededRandom::from_text("field"));
    let networks = Networks::new(world.clone());
    networks.put(Network::new(home(), "Home", "XX"));
    let server = SubscriberServer::open(home(), RamMemory::default(), world.clone()).unwrap();
    for profile in subscribers {
        let subscriber = Subscriber::new(Keys::Milenage { k: [0; 16], opc: [0; 16] });
        let subscriber = subscriber.with_msisdn(number(*profile).parse().unwrap());
        server.provision(imsi(*profile), subscriber).unwrap();
    }
    networks.put_home(Arc::new(server));
    let networks = Arc::new(networks);
    let account = Account {
        name: "sm-sr".into(),
        password: "x".to_owned().into(),
        numbers: vec![SM_SR.parse().unwrap()],
    };
    let settings = SmscSettings::new("+491710000000".parse().unwrap(), vec![account]);
    let smsc = Smsc::open(settings, Arc::clone(&networks), RamMemory::default(), world).unwrap();
    tokio::spawn(Arc::clone(&smsc).run());
    let events = EventSource::silent(TokioClock::starting(Timestamp(1_795_000_000_000)));
    let mut modem = Modem::new(Testbed::new().card, Arc::clone(&networks), events.clone());
    modem.set_visible(vec![home()]);
    let mut online = Online::new(modem, NoDial, AlwaysOnSettings::default(), events);
    let device = online.handle();
    tokio::spawn(async move { online.run().await });
    let (reassembler, early) = (Reassembler::default(), VecDeque::new());
    Environment { networks, account: smsc.account("sm-sr"), counter: 0, reassembler, early, device }
}

fn keys() -> scp80::Keys {
    scp80::Keys { kic: [0x01; 16].into(), kid: [0x02; 16].into() }
}

impl Environment {
    /// Sends a script to the ISD-R of the device with this profile, and returns the response from
    /// the delivery report.
    async fn script(&mut self, profile: u16, apdu: Vec<u8>) -> ScriptResponse {
        self.counter += 1;
        let tar = Tar::of_aid(&Aid::ISD_R).unwrap();
        let (kic, kid) = (KeyReference::aes(SCP80), KeyReference::aes(SCP80));
        let header = CommandHeader { spi: Spi::COMMAND_ANSWERED_IN_REPORT, kic, kid, tar };
        let [_, _, _, counter @ ..] = self.counter.to_be_bytes();
        let data = Script::of_apdus([apdu]).to_bytes();
        let packet = Opened { counter, status: 0, data };
        let packet = scp80::seal(Head::Command(&header.to_bytes()), &packet, Protection::FULL, &keys());
        let parts = segments(&packet, PacketKind::Command, Reference::Short(1)).unwrap();
        for part in parts {
            let to = number(profile).parse().unwrap();
            let message = ShortMessage::to_card(SM_SR.parse().unwrap(), to, part.to_bytes());
            let submission = Submission { message, validity: None, receipts: Receipts::None };
            self.account.submit(submission).await.unwrap();
        }
        // The SMSC and the device work independently, so a later message of the card can overtake
        // the report.
        let report = loop {
            match self.receive().await {
                IncomingDelivery::Report(_, report) => break report,
                other => self.early.push_back(other),
            }
        };
        let packet = report.user_data.strip_prefix(&[0x02, 0x71, 0x00]).unwrap();
        let head = Head::Response(&tar.0, &[0x02, 0x71, 0x00]);
        let opened = scp80::open(head, packet, Protection::FULL, &keys()).unwrap();
        assert_eq!((opened.status, opened.counter), (0, counter));
        ScriptResponse::parse(&opened.data).unwrap()
    }

    async fn run_successfully(&mut self, profile: u16, apdu: Vec<u8>) {
        let response = self.script(profile, apdu).await;
        assert_eq!(response.last_apdu().unwrap().status.0, 0x9000);
    }

    async fn receive(&mut self) -> IncomingDelivery {
        let next = self.account.next().await;
        self.account.taken(&next.ticket).unwrap();
        next.arrived
    }

    /// The next notification and its sender number.
    async fn notification(&mut self) -> (DefaultNotification, String) {
        loop {
            let arrived = match self.early.pop_front() {
                Some(arrived) => arrived,
                None => self.receive().await,
            };
            let IncomingDelivery::Message(message) = arrived else { panic!("{arrived:?}") };
            let user_data = UserData::parse(&message.user_data, message.has_header).unwrap();
            let from: Address = message.from.to_string().parse().unwrap();
            let Accepted::Whole(PacketKind::Command, packet) =
                self.reassembler.accept(&from, user_data).unwrap()
            else {
                continue;
            };
            let head: [u8; 7] = packet[3..10].try_into().unwrap();
            let opened = scp80::open(Head::Command(&head), &packet, Protection::FULL, &keys()).unwrap();
            return (DefaultNotification::parse(&opened.data).unwrap(), from.to_string());
        }
    }

    async fn expect_notification(&mut self, kind: NotificationType, profile: u16) -> u16 {
        let (notification, from) = self.notification().await;
        assert_eq!(
            (notification.kind, notification.isd_p, from),
            (kind, Aid::isd_p(profile), number(profile))
        );
        let digits = "004999010640000";
        let imei = rsp::ota::cat::Imei::of_digits(digits).unwrap();
        assert_eq!(notification.imei.unwrap().as_slice(), imei.0, "the IMEI of the device");
        notification.sequence_number
    }

    async fn confirm(&mut self, profile: u16, sequence_number: u16) {
        self.run_successfully(profile, es5::handle_notification_confirmation(sequence_number)).await;
    }

    /// Expects and confirms the declaration of the first attachment.
    async fn confirm_declaration(&mut self) {
        let number = self.expect_notification(NotificationType::EuiccDeclaration, BOOTSTRAP).await;
        self.confirm(BOOTSTRAP, number).await;
    }

    async fn assert_silent_for(&mut self, seconds: u64) {
        let delivery = timeout(Duration::from_secs(seconds), self.account.next()).await;
        assert!(delivery.is_err(), "{delivery:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_switched_card_notifies_the_sm_sr_from_its_new_number() {
    let mut environment = environment(&[BOOTSTRAP, NO_RULES]);
    environment.confirm_declaration().await;
    environment.run_successfully(BOOTSTRAP, es5::enable_profile(&Aid::isd_p(NO_RULES))).await;
    let number = environment.expect_notification(NotificationType::ProfileChangeSucceeded, NO_RULES).await;
    environment.confirm(NO_RULES, number).await;
    environment.assert_silent_for(86_400).await;
    environment.run_successfully(NO_RULES, es5::get_card_resources()).await;
    environment.device.stop();
}

#[tokio::test(start_paused = true)]
async fn a_profile_without_service_is_rolled_back_and_the_sm_sr_is_notified() {
    // The home network does not know the subscriber.
    let mut environment = environment(&[BOOTSTRAP]);
    environment.confirm_declaration().await;
    let begun = Instant::now();
    environment.run_successfully(BOOTSTRAP, es5::enable_profile(&Aid::isd_p(NO_DELETE))).await;
    let number = environment.expect_notification(NotificationType::ProfileChangeFailed, BOOTSTRAP).await;
    assert!(begun.elapsed() < Duration::from_secs(600), "{:?}", begun.elapsed());
    environment.confirm(BOOTSTRAP, number).await;
    environment.assert_silent_for(86_400).await;
}

#[tokio::test(start_paused = true)]
async fn an_unconfirmed_switch_is_rolled_back() {
    let mut environment = environment(&[BOOTSTRAP, NO_RULES]);
    environment.confirm_declaration().await;
    environment.run_successfully(BOOTSTRAP, es5::enable_profile(&Aid::isd_p(NO_RULES))).await;
    let first = environment.expect_notification(NotificationType::ProfileChangeSucceeded, NO_RULES).await;
    // The notification is repeated with its number until the limit is reached. Then the card rolls
    // back.
    loop {
        let (notification, from) = environment.notification().await;
        if notification.kind == NotificationType::ProfileChangeSucceeded {
            assert_eq!((notification.sequence_number, from), (first, number(NO_RULES)));
            continue;
        }
        assert_eq!((notification.kind, from), (NotificationType::ProfileChangeFailed, number(BOOTSTRAP)));
        environment.confirm(BOOTSTRAP, notification.sequence_number).await;
        break;
    }
}

#[tokio::test(start_paused = true)]
async fn a_card_without_network_falls_back() {
    let mut environment = environment(&[BOOTSTRAP, NO_RULES]);
    environment.confirm_declaration().await;
    environment.run_successfully(BOOTSTRAP, es5::enable_profile(&Aid::isd_p(NO_RULES))).await;
    let number = environment.expect_notification(NotificationType::ProfileChangeSucceeded, NO_RULES).await;
    environment.confirm(NO_RULES, number).await;
    // The network rejects this subscriber from now on.
    let rule = RefusalRule {
        imsi_prefix: imsi(NO_RULES).to_string(),
        cause: EmmCause::ROAMING_NOT_ALLOWED_IN_THIS_TRACKING_AREA,
    };
    environment.networks.set_policy(home(), Policy { refusals: vec![rule], ..Policy::default() });
    environment.networks.set_coverage(home(), false);
    tokio::time::sleep(Duration::from_secs(30)).await;
    environment.networks.set_coverage(home(), true);
    let number =
        environment.expect_notification(NotificationType::ProfileChangeAfterFallback, BOOTSTRAP).await;
    environment.confirm(BOOTSTRAP, number).await;
    // A script to the number of the lost profile would wait in the SMSC; one to the fallback
    // profile arrives.
    environment.run_successfully(BOOTSTRAP, es5::get_card_resources()).await;
}
