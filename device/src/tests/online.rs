//! Tests of the always-on device, with a card that sends configurable proactive commands and
//! networks with an SMSC, on tokio's paused clock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rsp::ids::Plmn;
use rsp::ota::cat::{
    Bearer, BipCause, ChannelParameters, ChannelState, ChannelStatus, Command, Envelope, Event,
    EventDownload, GeneralResult, LocalInformation, LocationStatus, OpenChannel, Proactive, RefreshMode,
    Response, TerminalCapability, TerminalProfile, TerminalResponse, TimerAction, TimerValue, TransportLevel,
    TransportProtocol,
};
use rsp::ota::sms::{Address, SmsDeliver, SmsSubmit, UserData};
use rsp::time::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use world::{
    Atr, CardInterface, CardInterfaceFault, IncomingDelivery, MemoryEvents, MemoryHosts, MessageState,
    Outcome, RamMemory, Receipts, SeededRandom, ShortMessage, ShortMessages, Submission, TokioClock, World,
};

use super::fake_usim::{FakeUsim, K, OPC};
use crate::terminal::CardError;
use crate::{AlwaysOnHandle, AlwaysOnSettings, EventSource, Modem, Online};
use network::smsc::Account;
use network::{EmmCause, Keys, Network, Networks, Policy, Smsc, SmscSettings, Subscriber, SubscriberServer};

const IMSI: &str = "001010123456789";
const CARD: &str = "+4915100000001";

/// An event that the card observes.
#[derive(Debug, PartialEq)]
enum Observed {
    Reset,
    Profile(TerminalProfile),
    Response(TerminalResponse),
    Envelope(Envelope),
    Status,
}

#[derive(Default)]
struct ScriptedCommands {
    commands: VecDeque<Vec<u8>>,
    /// Data and status word of the answers to the next envelopes. The default is 9000.
    envelope_answers: VecDeque<(Vec<u8>, u16)>,
    number: u8,
}

/// A card with a USIM that sends configurable proactive commands.
struct ToolkitCard {
    usim: FakeUsim,
    scripted: Arc<Mutex<ScriptedCommands>>,
    observed: mpsc::UnboundedSender<Observed>,
}

impl ToolkitCard {
    fn announce_next(&self, mut answer: Vec<u8>) -> Vec<u8> {
        let scripted = self.scripted.lock().unwrap();
        if let (Some(next), true) = (scripted.commands.front(), answer.ends_with(&[0x90, 0x00])) {
            let at = answer.len() - 2;
            answer[at..].copy_from_slice(&[0x91, u8::try_from(next.len()).unwrap()]);
        }
        answer
    }

    fn next_observed(&self, observed: Observed) -> Vec<u8> {
        self.observed.send(observed).unwrap();
        vec![0x90, 0x00]
    }
}

impl CardInterface for ToolkitCard {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        let data = command.get(5..).unwrap_or_default();
        let answer = match command {
            [0x80, 0x12, ..] => {
                let fetched = self.scripted.lock().unwrap().commands.pop_front().unwrap();
                [fetched.as_slice(), &[0x90, 0x00]].concat()
            }
            [0x80, 0x10, ..] => self.next_observed(Observed::Profile(TerminalProfile(data.to_vec()))),
            [0x80, 0x14, ..] => {
                self.next_observed(Observed::Response(TerminalResponse::parse(data).unwrap()))
            }
            [0x80, 0xF2, ..] => self.next_observed(Observed::Status),
            [0x80, 0xC2, ..] => {
                let good = self.next_observed(Observed::Envelope(Envelope::parse(data).unwrap().unwrap()));
                match self.scripted.lock().unwrap().envelope_answers.pop_front() {
                    Some((mut answer, status)) => {
                        answer.extend(status.to_be_bytes());
                        answer
                    }
                    None => good,
                }
            }
            _ => self.usim.transmit(command).await?,
        };
        // The answer to FETCH never announces the next command.
        Ok(if command.get(1) == Some(&0x12) { answer } else { self.announce_next(answer) })
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        self.next_observed(Observed::Reset);
        self.usim.reset().await
    }
}

struct Testbed {
    networks: Arc<Networks>,
    smsc: Arc<Smsc>,
    hosts: MemoryHosts,
    scripted: Arc<Mutex<ScriptedCommands>>,
    observed: mpsc::UnboundedReceiver<Observed>,
    events: MemoryEvents,
    device: JoinHandle<Result<(), CardError>>,
    handle: AlwaysOnHandle,
}

fn plmn(text: &str) -> Plmn {
    text.parse().unwrap()
}

/// Creates a device that is switched on and registered on 001-01, its home network. 262-42 is a
/// foreign network.
async fn testbed() -> Testbed {
    let mut testbed = testbed_in(&["001-01"]);
    assert_eq!(testbed.next_observed().await, Observed::Reset);
    let Observed::Profile(_) = testbed.next_observed().await else { panic!() };
    // The device has registered when all pending tasks have run.
    testbed.settle().await;
    testbed
}

fn testbed_in(visible: &[&str]) -> Testbed {
    let world =
        World::new(TokioClock::starting(Timestamp(1_795_000_000_000)), SeededRandom::from_text("online"));
    let networks = Networks::new(world.clone());
    for code in ["001-01", "262-42"] {
        networks.put(Network::new(plmn(code), code, "XX"));
    }
    let home = SubscriberServer::open(plmn("001-01"), RamMemory::default(), world.clone()).unwrap();
    let subscriber = Subscriber::new(Keys::Milenage { k: K, opc: OPC });
    home.provision(IMSI.parse().unwrap(), subscriber.with_msisdn(CARD.parse().unwrap())).unwrap();
    networks.put_home(Arc::new(home));
    let networks = Arc::new(networks);
    let account = Account {
        name: "sm-sr".into(),
        password: "x".to_owned().into(),
        numbers: vec!["1000".parse().unwrap()],
    };
    let settings = SmscSettings::new("+491710000000".parse().unwrap(), vec![account]);
    let smsc = Smsc::open(settings, Arc::clone(&networks), RamMemory::default(), world.clone()).unwrap();
    tokio::spawn(Arc::clone(&smsc).run());
    let (scripted, hosts) = (Arc::<Mutex<ScriptedCommands>>::default(), MemoryHosts::default());
    let (sender, observed) = mpsc::unbounded_channel();
    let card = ToolkitCard { usim: FakeUsim::new(IMSI), scripted: Arc::clone(&scripted), observed: sender };
    let events = MemoryEvents::default();
    let clock = TokioClock::starting(Timestamp(1_795_000_000_000));
    let source = EventSource::new("device", clock, events.clone());
    let mut modem = Modem::new(card, Arc::clone(&networks), source.clone());
    modem.set_visible(visible.iter().map(|code| plmn(code)).collect());
    let mut device = Online::new(modem, hosts.clone(), AlwaysOnSettings::default(), source);
    let handle = device.handle();
    let device = tokio::spawn(async move { device.run().await });
    Testbed { networks, smsc, hosts, scripted, observed, events, device, handle }
}

impl Testbed {
    /// Returns the next event of the card other than STATUS.
    async fn next_observed(&mut self) -> Observed {
        loop {
            match self.observed.recv().await.unwrap() {
                Observed::Status => {}
                observed => return observed,
            }
        }
    }

    /// Runs all tasks that do not wait for time to pass.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    fn send_proactive(&self, octets: Vec<u8>) {
        self.scripted.lock().unwrap().commands.push_back(octets);
    }

    /// Makes the card send a proactive command at the next opportunity, and returns the device's
    /// response.
    async fn execute(&mut self, command: Command) -> TerminalResponse {
        let number = {
            let mut scripted = self.scripted.lock().unwrap();
            scripted.number += 1;
            scripted.number
        };
        let proactive = Proactive { number, command };
        self.send_proactive(proactive.to_bytes());
        match self.next_observed().await {
            Observed::Response(response) if response.answers(&proactive) => response,
            other => panic!("{other:?}"),
        }
    }

    async fn execute_refused(&mut self, command: Command) -> (GeneralResult, Vec<u8>) {
        let TerminalResponse { result, additional, .. } = self.execute(command).await;
        (result, additional)
    }

    async fn next_envelope(&mut self) -> Envelope {
        match self.next_observed().await {
            Observed::Envelope(envelope) => envelope,
            other => panic!("{other:?}"),
        }
    }

    async fn subscribe(&mut self, events: &[Event]) {
        let response = self.execute(Command::SetUpEventList(events.to_vec())).await;
        assert_eq!(response.result, GeneralResult::PERFORMED);
    }

    fn answer_envelope(&self, data: &[u8], status: u16) {
        self.scripted.lock().unwrap().envelope_answers.push_back((data.to_vec(), status));
    }

    async fn submit(&self, octets: &[u8]) {
        let user_data = [&[2, 0x70, 0], octets].concat();
        let message = ShortMessage::to_card("1000".parse().unwrap(), CARD.parse().unwrap(), user_data);
        let submission = Submission { message, validity: None, receipts: Receipts::Always };
        self.smsc.account("sm-sr").submit(submission).await.unwrap();
    }

    async fn next_delivery(&self) -> IncomingDelivery {
        let writer = self.smsc.account("sm-sr");
        let next = writer.next().await;
        writer.taken(&next.ticket).unwrap();
        next.arrived
    }

    async fn receipt_state(&self) -> MessageState {
        match self.next_delivery().await {
            IncomingDelivery::Receipt(receipt) => receipt.state,
            other => panic!("{other:?}"),
        }
    }
}

fn channel(port: u16, immediate: bool) -> Command {
    let parameters = ChannelParameters {
        bearer: Some(Bearer::default_bearer()),
        buffer_size: Some(1000),
        transport: Some(TransportLevel { protocol: TransportProtocol::TcpClient, port }),
        destination: Some([10, 0, 0, 1].into()),
        ..ChannelParameters::default()
    };
    Command::OpenChannel(OpenChannel { immediate, automatic_reconnection: false, parameters })
}

#[tokio::test(start_paused = true)]
async fn the_terminal_profile_announces_the_implemented_facilities() {
    let mut testbed = testbed_in(&["001-01"]);
    testbed.next_observed().await;
    let Observed::Profile(profile) = testbed.next_observed().await else { panic!() };
    for facility in [
        TerminalCapability::SMS_PP_DOWNLOAD,
        TerminalCapability::TCP_CLIENT,
        TerminalCapability::TIMER_EXPIRATION,
    ] {
        assert!(profile.can(facility), "{facility:?}");
    }
    assert!(!profile.can(TerminalCapability::UDP_CLIENT));
    assert_eq!(profile.channels(), 7);
    testbed.handle.stop();
    testbed.device.await.unwrap().unwrap();
}

// req: TS.31.111-7.1.1-Busy
#[tokio::test(start_paused = true)]
async fn a_message_reaches_the_card_and_its_answer_reaches_the_client() {
    let mut testbed = testbed().await;
    testbed.answer_envelope(&[2, 0x71, 0, 0xAA], 0x9000);
    testbed.submit(b"do it").await;
    let Envelope::SmsPpDownload { service_centre, tpdu } = testbed.next_envelope().await else { panic!() };
    assert_eq!(service_centre, Some("+491710000000".parse::<Address>().unwrap()));
    assert_eq!(SmsDeliver::parse(&tpdu).unwrap().user_data.octets, b"do it");
    let IncomingDelivery::Report(_, report) = testbed.next_delivery().await else { panic!() };
    assert_eq!((report.user_data, report.has_header), (vec![2, 0x71, 0, 0xAA], true));
    assert_eq!(testbed.receipt_state().await, MessageState::Delivered);
    // A refusal by the card is final. A busy card gets the message again.
    testbed.answer_envelope(&[], 0x6F00);
    testbed.submit(b"not that").await;
    testbed.next_envelope().await;
    assert_eq!(testbed.receipt_state().await, MessageState::Undeliverable);
    testbed.answer_envelope(&[], 0x9300);
    testbed.submit(b"when you have time").await;
    testbed.next_envelope().await;
    testbed.next_envelope().await;
    assert_eq!(testbed.receipt_state().await, MessageState::Delivered);
}

#[tokio::test(start_paused = true)]
async fn the_card_sends_short_messages_through_the_device() {
    let mut testbed = testbed().await;
    let submit = |to: &str| {
        let user_data = UserData::parse(&[2, 0x70, 0, 7], true).unwrap();
        let tpdu = SmsSubmit::data(to.parse().unwrap(), user_data).to_bytes();
        Command::SendShortMessage { service_centre: None, tpdu }
    };
    assert_eq!(testbed.execute(submit("1000")).await.result, GeneralResult::PERFORMED);
    let IncomingDelivery::Message(message) = testbed.next_delivery().await else { panic!() };
    assert_eq!((message.from, message.user_data), (CARD.parse().unwrap(), vec![2, 0x70, 0, 7]));
    assert_eq!(testbed.execute_refused(submit("999")).await, (GeneralResult::SMS_RP_ERROR, vec![1]));
    let nonsense = Command::SendShortMessage { service_centre: None, tpdu: vec![0xFF] };
    assert_eq!(testbed.execute_refused(nonsense).await.0, GeneralResult::DATA_NOT_UNDERSTOOD);
    testbed.networks.set_coverage(plmn("001-01"), false);
    testbed.settle().await;
    assert_eq!(testbed.execute_refused(submit("1000")).await, (GeneralResult::TERMINAL_UNABLE, vec![4]));
}

#[tokio::test(start_paused = true)]
async fn a_channel_transfers_data_in_both_directions() {
    let mut testbed = testbed().await;
    let mut server = testbed.hosts.listen("10.0.0.1:443");
    testbed.subscribe(&[Event::DATA_AVAILABLE, Event::CHANNEL_STATUS]).await;
    let opened = testbed.execute(channel(443, true)).await;
    let status = ChannelStatus { channel: 1, state: ChannelState::Open };
    let bearer = Bearer::default_bearer();
    assert_eq!(opened.response, Response::Channel { status: Some(status), bearer, buffer_size: 1000 });
    let mut stream = server.accept().await.unwrap();
    // The device stores data until the card requests its transmission, and then sends all of it at
    // once.
    let send = |data: &[u8], immediately| Command::SendData { channel: 1, immediately, data: data.to_vec() };
    assert_eq!(testbed.execute(send(b"hel", false)).await.response, Response::Sent { free: 255 });
    assert_eq!(testbed.execute(send(b"lo", true)).await.result, GeneralResult::PERFORMED);
    let mut received = [0; 5];
    stream.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"hello");
    // More data arrives than the card's buffer can hold: the card gets one event, and the device
    // reads the remaining data while the card receives data.
    let sent: Vec<u8> = (0..1500_u16).map(|at| at.to_le_bytes()[0]).collect();
    stream.write_all(&sent).await.unwrap();
    let envelope = testbed.next_envelope().await;
    assert_eq!(envelope, Envelope::EventDownload(EventDownload::DataAvailable { status, length: 255 }));
    let receive = || Command::ReceiveData { channel: 1, length: 0xED };
    let commands = sent.len().div_ceil(0xED);
    for number in 1..=commands {
        let number = u8::try_from(number).unwrap();
        testbed.send_proactive(Proactive { number, command: receive() }.to_bytes());
    }
    let mut received = Vec::new();
    for _ in 1..=commands {
        let Observed::Response(response) = testbed.next_observed().await else { panic!() };
        let Response::Received { data, left } = response.response else { panic!("{response:?}") };
        assert_eq!(left == 0, received.len() + data.len() == sent.len());
        received.extend(data);
    }
    assert_eq!(received, sent);
    let response = testbed.execute(Command::ReceiveData { channel: 1, length: 10 }).await;
    assert_eq!(response.result, GeneralResult(0x02), "performed, with missing information");
    assert_eq!(response.response, Response::Received { data: vec![], left: 0 });
    // The peer sends data and closes the connection. The data can still be received.
    stream.write_all(b"bye").await.unwrap();
    testbed.next_envelope().await;
    drop(stream);
    let dropped = ChannelStatus { channel: 1, state: ChannelState::Dropped };
    let envelope = testbed.next_envelope().await;
    assert_eq!(envelope, Envelope::EventDownload(EventDownload::ChannelStatus(dropped)));
    assert_eq!(
        testbed.execute(Command::GetChannelStatus).await.response,
        Response::ChannelStatuses(vec![dropped])
    );
    let response = testbed.execute(Command::ReceiveData { channel: 1, length: 3 }).await;
    assert_eq!(response.response, Response::Received { data: b"bye".to_vec(), left: 0 });
    let closed = (GeneralResult::BIP_ERROR, vec![BipCause::CHANNEL_CLOSED.0]);
    assert_eq!(testbed.execute_refused(Command::ReceiveData { channel: 1, length: 3 }).await, closed);
    assert_eq!(testbed.execute_refused(send(b"?", true)).await, closed);
    assert_eq!(testbed.execute(Command::CloseChannel { channel: 1 }).await.result, GeneralResult::PERFORMED);
    let none = ChannelStatus { channel: 0, state: ChannelState::Closed };
    assert_eq!(
        testbed.execute(Command::GetChannelStatus).await.response,
        Response::ChannelStatuses(vec![none])
    );
}

#[tokio::test(start_paused = true)]
async fn invalid_channel_commands_are_refused_with_a_cause() {
    let mut testbed = testbed().await;
    let mut server = testbed.hosts.listen("10.0.0.1:443");
    let bip = |cause: BipCause| (GeneralResult::BIP_ERROR, vec![cause.0]);
    assert_eq!(testbed.execute_refused(channel(444, true)).await, bip(BipCause::NOT_REACHABLE));
    let opened = |testbed: &Testbed| {
        let events = testbed.events.all();
        events.into_iter().rfind(|event| event.function == "OPEN CHANNEL").unwrap().outcome
    };
    assert_eq!(opened(&testbed), Outcome::Refused("result 3A".to_owned()));
    let changed = |change: fn(&mut ChannelParameters)| {
        let Command::OpenChannel(mut command) = channel(443, true) else { panic!() };
        change(&mut command.parameters);
        Command::OpenChannel(command)
    };
    let missing = GeneralResult::VALUES_MISSING;
    assert_eq!(testbed.execute_refused(changed(|channel| channel.destination = None)).await.0, missing);
    assert_eq!(testbed.execute_refused(changed(|channel| channel.transport = None)).await.0, missing);
    let udp = changed(|channel| {
        channel.transport = Some(TransportLevel { protocol: TransportProtocol::UdpClient, port: 1 });
    });
    assert_eq!(testbed.execute_refused(udp).await.0, GeneralResult::BEYOND_CAPABILITIES);
    let empty = changed(|channel| channel.buffer_size = Some(0));
    assert_eq!(testbed.execute_refused(empty).await, bip(BipCause::BUFFER_SIZE));
    for command in [
        Command::CloseChannel { channel: 3 },
        Command::ReceiveData { channel: 3, length: 1 },
        Command::SendData { channel: 3, immediately: true, data: vec![1] },
    ] {
        assert_eq!(testbed.execute_refused(command).await, bip(BipCause::CHANNEL_NOT_VALID));
    }
    // With establishment on demand there is no connection until there is data to send.
    for number in 1..=7 {
        let opened = testbed.execute(channel(443, false)).await;
        let status = ChannelStatus { channel: number, state: ChannelState::Closed };
        assert!(matches!(opened.response, Response::Channel { status: Some(own), .. } if own == status));
    }
    assert_eq!(opened(&testbed), Outcome::Done);
    assert_eq!(testbed.execute_refused(channel(443, false)).await, bip(BipCause::NO_CHANNEL));
    let send = Command::SendData { channel: 7, immediately: true, data: b"now".to_vec() };
    assert_eq!(testbed.execute(send).await.result, GeneralResult::PERFORMED);
    let mut received = [0; 3];
    server.accept().await.unwrap().read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"now");
    let too_much = Command::SendData { channel: 1, immediately: false, data: vec![0; 200] };
    for _ in 0..5 {
        assert_eq!(testbed.execute(too_much.clone()).await.result, GeneralResult::PERFORMED);
    }
    assert_eq!(testbed.execute_refused(too_much).await, bip(BipCause::BUFFER_SIZE));
}

#[tokio::test(start_paused = true)]
async fn timers_expire_and_the_card_is_polled_at_its_interval() {
    let mut testbed = testbed().await;
    let timer = |timer, action| Command::TimerManagement { timer, action };
    let seconds = TimerValue::of_seconds;
    let poll = rsp::ota::cat::Duration::Minutes(10);
    assert_eq!(testbed.execute(Command::PollInterval(poll)).await.response, Response::PollInterval(poll));
    // The device polls the card first within the default interval of thirty seconds, and from then
    // on every ten minutes.
    let begun = Instant::now();
    let response = testbed.execute(timer(2, TimerAction::Start(seconds(700)))).await;
    assert_eq!(begun.elapsed().as_secs(), 600);
    assert_eq!(response.response, Response::Timer { timer: 2, left: None });
    let left = testbed.execute(timer(2, TimerAction::TimeLeft)).await;
    assert_eq!(left.response, Response::Timer { timer: 2, left: Some(seconds(100)) });
    let envelope = testbed.next_envelope().await;
    assert_eq!(envelope, Envelope::TimerExpiration { timer: 2, value: seconds(700) });
    assert_eq!(begun.elapsed().as_secs(), 1300);
    for action in [TimerAction::TimeLeft, TimerAction::Deactivate] {
        assert_eq!(testbed.execute_refused(timer(2, action)).await.0, GeneralResult::TIMER_CONTRADICTION);
    }
    testbed.execute(timer(1, TimerAction::Start(seconds(3600)))).await;
    let stopped = testbed.execute(timer(1, TimerAction::Deactivate)).await;
    assert!(matches!(stopped.response, Response::Timer { timer: 1, left: Some(_) }));
    // After POLLING OFF the device sends no STATUS. A busy card gets the envelope later.
    for command in [timer(3, TimerAction::Start(seconds(5))), Command::PollingOff] {
        testbed.send_proactive(Proactive { number: 99, command }.to_bytes());
    }
    for _ in 0..2 {
        assert!(
            matches!(testbed.next_observed().await, Observed::Response(response) if response.result.is_performed())
        );
    }
    testbed.answer_envelope(&[], 0x9300);
    testbed.next_envelope().await;
    let busy = Instant::now();
    assert_eq!(testbed.next_envelope().await, Envelope::TimerExpiration { timer: 3, value: seconds(5) });
    assert_eq!(busy.elapsed().as_secs(), 1);
    assert!(tokio::time::timeout(Duration::from_secs(86_400), testbed.observed.recv()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_card_is_informed_of_its_location_and_of_changes() {
    let mut testbed = testbed().await;
    // No channel is open, so there are no events about channels.
    testbed.subscribe(&[Event::LOCATION_STATUS, Event::CHANNEL_STATUS]).await;
    let home =
        match testbed.execute(Command::ProvideLocalInformation(LocalInformation::Location)).await.response {
            Response::Location(location) => location,
            other => panic!("{other:?}"),
        };
    assert_eq!(home.plmn, plmn("001-01").to_bytes());
    let imei = testbed.execute(Command::ProvideLocalInformation(LocalInformation::Imei)).await;
    assert!(matches!(imei.response, Response::Imei(imei) if imei.digits() == "004999010640000"));
    let status =
        |status, location| Envelope::EventDownload(EventDownload::LocationStatus { status, location });
    testbed.networks.set_coverage(plmn("001-01"), false);
    assert_eq!(testbed.next_envelope().await, status(LocationStatus::None, None));
    let nowhere = testbed.execute_refused(Command::ProvideLocalInformation(LocalInformation::Location)).await;
    assert_eq!(nowhere, (GeneralResult::TERMINAL_UNABLE, vec![4]));
    // The device searches until it finds a network, and reports it once.
    tokio::time::sleep(Duration::from_secs(100)).await;
    testbed.networks.set_coverage(plmn("001-01"), true);
    assert_eq!(testbed.next_envelope().await, status(LocationStatus::Normal, Some(home)));
    testbed.handle.set_visible(vec![plmn("262-42")]);
    let Envelope::EventDownload(EventDownload::LocationStatus { location, .. }) =
        testbed.next_envelope().await
    else {
        panic!()
    };
    assert_eq!(location.unwrap().plmn, plmn("262-42").to_bytes());
    // A message reaches the device there.
    testbed.submit(b"abroad").await;
    assert!(matches!(testbed.next_envelope().await, Envelope::SmsPpDownload { .. }));
}

/// TS 23.122 section 4.4.3.3.1: the device searches for its home network after an outage, but not
/// while the card has a connection.
#[tokio::test(start_paused = true)]
async fn a_device_returns_to_its_home_network_after_an_outage() {
    let mut testbed = testbed_in(&["001-01", "262-42"]);
    let (home, partner, imsi) = (plmn("001-01"), plmn("262-42"), IMSI.parse().unwrap());
    testbed.settle().await;
    assert_eq!(testbed.networks.place_of(imsi), Some(home));
    testbed.networks.set_coverage(home, false);
    testbed.settle().await;
    assert_eq!(testbed.networks.place_of(imsi), Some(partner));
    testbed.networks.set_coverage(home, true);
    let mut server = testbed.hosts.listen("10.0.0.1:443");
    assert_eq!(testbed.next_observed().await, Observed::Reset);
    let Observed::Profile(_) = testbed.next_observed().await else { panic!() };
    testbed.execute(channel(443, true)).await;
    let stream = server.accept().await.unwrap();
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    assert_eq!(testbed.networks.place_of(imsi), Some(partner), "the card has a channel open");
    drop(stream);
    testbed.events.take();
    testbed.settle().await;
    assert_eq!(testbed.networks.place_of(imsi), Some(home));
    // The device waits for messages in its present network, and not in the former one.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(testbed.events.all().iter().all(|event| event.function != "network lost"));
}

#[tokio::test(start_paused = true)]
async fn a_device_that_does_not_poll_its_card_returns_to_its_home_network_once() {
    let mut testbed = testbed_in(&["001-01", "262-42"]);
    let (home, imsi) = (plmn("001-01"), IMSI.parse().unwrap());
    assert_eq!(testbed.next_observed().await, Observed::Reset);
    let Observed::Profile(_) = testbed.next_observed().await else { panic!() };
    testbed.settle().await;
    testbed.networks.set_coverage(home, false);
    testbed.settle().await;
    assert_eq!(testbed.networks.place_of(imsi), Some(plmn("262-42")));
    testbed.networks.set_coverage(home, true);
    testbed.subscribe(&[Event::LOCATION_STATUS]).await;
    testbed.execute(Command::PollingOff).await;
    let envelope = testbed.next_envelope().await;
    let Envelope::EventDownload(EventDownload::LocationStatus { location, .. }) = envelope else {
        panic!("{envelope:?}")
    };
    assert_eq!(location.unwrap().plmn, home.to_bytes());
    assert_eq!(testbed.networks.place_of(imsi), Some(home));
    testbed.settle().await;
    testbed.submit(b"at home").await;
    let envelope = testbed.next_envelope().await;
    assert!(matches!(envelope, Envelope::SmsPpDownload { .. }), "another event was reported: {envelope:?}");
}

/// TS 24.301 section 5.3.7b: neither an entry in the list of forbidden networks nor the rejection
/// of a subscription is permanent.
#[tokio::test(start_paused = true)]
async fn a_permanent_refusal_is_respected_for_a_limited_time() {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    // The second refusal of the last device begins another period.
    for (cause, refused, accepted) in
        [(EmmCause::PLMN_NOT_ALLOWED, 1, 45), (EmmCause::ILLEGAL_UE, 1, 45), (EmmCause::ILLEGAL_UE, 46, 90)]
    {
        let testbed = testbed_in(&["262-42"]);
        let imsi = IMSI.parse().unwrap();
        testbed.networks.set_policy(plmn("262-42"), Policy::refusing_everybody(cause));
        tokio::time::sleep(minutes(refused)).await;
        testbed.networks.set_policy(plmn("262-42"), Policy::default());
        tokio::time::sleep(minutes(accepted - refused - 1)).await;
        assert_eq!(testbed.networks.place_of(imsi), None, "{cause}");
        tokio::time::sleep(minutes(2)).await;
        assert_eq!(testbed.networks.place_of(imsi), Some(plmn("262-42")), "{cause}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_temporary_refusal_is_followed_by_another_attempt() {
    let testbed = testbed_in(&["262-42"]);
    testbed.networks.set_policy(plmn("262-42"), Policy::refusing_everybody(EmmCause::NETWORK_FAILURE));
    tokio::time::sleep(Duration::from_secs(60)).await;
    testbed.networks.set_policy(plmn("262-42"), Policy::default());
    tokio::time::sleep(AlwaysOnSettings::default().search_pause).await;
    assert_eq!(testbed.networks.place_of(IMSI.parse().unwrap()), Some(plmn("262-42")));
}

/// Events wait while the card is busy.
#[tokio::test(start_paused = true)]
async fn a_busy_card_gets_all_events_in_their_order() {
    let mut testbed = testbed().await;
    testbed.subscribe(&[Event::LOCATION_STATUS]).await;
    testbed.answer_envelope(&[], 0x9300);
    testbed.networks.set_coverage(plmn("001-01"), false);
    let lost = testbed.next_envelope().await;
    let none = EventDownload::LocationStatus { status: LocationStatus::None, location: None };
    assert_eq!(lost, Envelope::EventDownload(none));
    testbed.handle.set_visible(vec![plmn("262-42")]);
    assert_eq!(testbed.next_envelope().await, lost);
    let moved = testbed.next_envelope().await;
    let Envelope::EventDownload(EventDownload::LocationStatus { status, .. }) = moved else { panic!() };
    assert_eq!(status, LocationStatus::Normal);
    testbed.settle().await;
    let events = testbed.events.all();
    assert_eq!(events.iter().filter(|event| event.function == "location status").count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_reset_discards_the_toolkit_state_and_the_device_registers_again() {
    let mut testbed = testbed().await;
    let mut server = testbed.hosts.listen("10.0.0.1:443");
    testbed.subscribe(&[Event::LOCATION_STATUS, Event::DATA_AVAILABLE]).await;
    testbed.execute(channel(443, true)).await;
    let mut stream = server.accept().await.unwrap();
    testbed
        .execute(Command::TimerManagement {
            timer: 1,
            action: TimerAction::Start(TimerValue::of_seconds(40)),
        })
        .await;
    testbed.send_proactive(
        Proactive { number: 9, command: Command::Refresh(RefreshMode::UiccReset) }.to_bytes(),
    );
    assert_eq!(testbed.next_observed().await, Observed::Reset);
    let Observed::Profile(_) = testbed.next_observed().await else { panic!() };
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "the channel has ended");
    testbed.submit(b"still there?").await;
    assert!(
        matches!(testbed.next_envelope().await, Envelope::SmsPpDownload { .. }),
        "another event was reported before it"
    );
    assert_eq!(testbed.receipt_state().await, MessageState::Delivered);
    // REFRESH of another kind causes a new registration without a reset.
    testbed.subscribe(&[Event::LOCATION_STATUS]).await;
    let response = testbed.execute(Command::Refresh(RefreshMode::ProfileStateChange)).await;
    assert_eq!(response.result, GeneralResult::PERFORMED);
    let envelope = testbed.next_envelope().await;
    let Envelope::EventDownload(EventDownload::LocationStatus { status, .. }) = envelope else {
        panic!("{envelope:?}")
    };
    assert_eq!(status, LocationStatus::Normal);
}

// req: TS.102.223-7-Unsupported
#[tokio::test(start_paused = true)]
async fn unsupported_and_malformed_commands_are_answered() {
    let mut testbed = testbed().await;
    for (command, result) in [
        // DISPLAY TEXT; OPEN CHANNEL without parameters; an invalid timer; SEND SS.
        ("D009810301218082028102", GeneralResult::BEYOND_CAPABILITIES),
        ("D009810302400182028182", GeneralResult::DATA_NOT_UNDERSTOOD),
        ("D00C810303270182028182240109", GeneralResult::DATA_NOT_UNDERSTOOD),
        ("D009810304110082028183", GeneralResult::BEYOND_CAPABILITIES),
        // REFRESH, steering of roaming; PROVIDE LOCAL INFORMATION, battery state.
        ("D009810305010782028182", GeneralResult::BEYOND_CAPABILITIES),
        ("D0098103062 60A82028182", GeneralResult::BEYOND_CAPABILITIES),
    ] {
        testbed.send_proactive(hex::decode(command.replace(' ', "")).unwrap());
        let Observed::Response(response) = testbed.next_observed().await else { panic!() };
        assert_eq!(response.result, result, "{command}");
    }
    let events = testbed.events.take();
    let refused = events.iter().filter(|event| matches!(event.outcome, Outcome::Refused(_)));
    assert_eq!(refused.count(), 6, "{events:?}");
    let list = Command::SetUpEventList(vec![Event::LOCATION_STATUS, Event::NETWORK_REJECTION]);
    assert_eq!(testbed.execute_refused(list).await.0, GeneralResult::BEYOND_CAPABILITIES);
    testbed.events.take();
    assert_eq!(testbed.execute(Command::MoreTime).await.result, GeneralResult::PERFORMED);
    testbed.settle().await;
    let events = testbed.events.take();
    assert!(matches!(&events[..], [event] if event.outcome == Outcome::Done), "{events:?}");
    // A command without command details ends the session.
    testbed.send_proactive(vec![0xD0, 0x00]);
    assert!(matches!(testbed.device.await.unwrap(), Err(CardError::Answer { .. })));
}
