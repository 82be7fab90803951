//! A device that stays on, with a card that asks for what it is told to ask for, on networks with a service centre; in
//! time that stands still until somebody waits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rsp::ids::Plmn;
use rsp::ota::cat::{
    Bearer, BipCause, ChannelParameters, ChannelState, ChannelStatus, Command, Envelope, Event,
    EventDownload, Facility, GeneralResult, LocalInformation, LocationStatus, OpenChannel, Proactive,
    RefreshMode, Response, TerminalProfile, TerminalResponse, TimerAction, TimerValue, TransportLevel,
    TransportProtocol,
};
use rsp::ota::sms::{Address, SmsDeliver, SmsSubmit, UserData};
use rsp::time::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use world::{
    Arrived, Atr, CardDoor, DoorFault, MemoryHosts, MessageState, RamMemory, Receipts, SeededDice,
    ShortMessage, ShortMessages, Submission, TokioClock, World,
};

use super::fake_usim::{FakeUsim, K, OPC};
use crate::terminal::CardError;
use crate::{Modem, Online, OnlineHandle, OnlineSettings, Teller};
use network::smsc::Account;
use network::{EmmCause, Keys, Network, Networks, Policy, Smsc, SmscSettings, Subscriber, SubscriberServer};

const IMSI: &str = "001010123456789";
const CARD: &str = "+4915100000001";

/// What the card sees of its device.
#[derive(Debug, PartialEq)]
enum Seen {
    Reset,
    Profile(TerminalProfile),
    Response(TerminalResponse),
    Envelope(Envelope),
    Status,
}

#[derive(Default)]
struct Wishes {
    commands: VecDeque<Vec<u8>>,
    /// Data and status word of the answers to the next envelopes; 9000 when there are none.
    answers: VecDeque<(Vec<u8>, u16)>,
    number: u8,
}

/// A card with a USIM that asks for what it is told to.
struct ToolkitCard {
    usim: FakeUsim,
    wishes: Arc<Mutex<Wishes>>,
    seen: mpsc::UnboundedSender<Seen>,
}

impl ToolkitCard {
    fn with_wish(&self, mut answer: Vec<u8>) -> Vec<u8> {
        let wishes = self.wishes.lock().unwrap();
        if let (Some(next), true) = (wishes.commands.front(), answer.ends_with(&[0x90, 0x00])) {
            let at = answer.len() - 2;
            answer[at..].copy_from_slice(&[0x91, u8::try_from(next.len()).unwrap()]);
        }
        answer
    }

    fn sees(&self, seen: Seen) -> Vec<u8> {
        self.seen.send(seen).unwrap();
        vec![0x90, 0x00]
    }
}

impl CardDoor for ToolkitCard {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, DoorFault> {
        let data = command.get(5..).unwrap_or_default();
        let answer = match command {
            [0x80, 0x12, ..] => {
                let fetched = self.wishes.lock().unwrap().commands.pop_front().unwrap();
                [fetched.as_slice(), &[0x90, 0x00]].concat()
            }
            [0x80, 0x10, ..] => self.sees(Seen::Profile(TerminalProfile(data.to_vec()))),
            [0x80, 0x14, ..] => self.sees(Seen::Response(TerminalResponse::parse(data).unwrap())),
            [0x80, 0xF2, ..] => self.sees(Seen::Status),
            [0x80, 0xC2, ..] => {
                let good = self.sees(Seen::Envelope(Envelope::parse(data).unwrap().unwrap()));
                match self.wishes.lock().unwrap().answers.pop_front() {
                    Some((mut answer, status)) => {
                        answer.extend(status.to_be_bytes());
                        answer
                    }
                    None => good,
                }
            }
            _ => self.usim.transmit(command).await?,
        };
        // FETCH's own answer never announces the next.
        Ok(if command.get(1) == Some(&0x12) { answer } else { self.with_wish(answer) })
    }

    async fn reset(&mut self) -> Result<Atr, DoorFault> {
        self.sees(Seen::Reset);
        self.usim.reset().await
    }
}

struct Bench {
    networks: Arc<Networks>,
    smsc: Arc<Smsc>,
    hosts: MemoryHosts,
    wishes: Arc<Mutex<Wishes>>,
    seen: mpsc::UnboundedReceiver<Seen>,
    device: JoinHandle<Result<(), CardError>>,
    handle: OnlineHandle,
}

fn plmn(text: &str) -> Plmn {
    text.parse().unwrap()
}

/// The device is in reach of 001-01, its home; 262-42 is abroad. It has been switched on, and has registered.
async fn bench() -> Bench {
    let mut bench = bench_in(&["001-01"]);
    assert_eq!(bench.sees().await, Seen::Reset);
    let Seen::Profile(_) = bench.sees().await else { panic!() };
    // Registered as soon as something comes.
    bench.settle().await;
    bench
}

fn bench_in(visible: &[&str]) -> Bench {
    let world =
        World::new(TokioClock::starting(Timestamp(1_795_000_000_000)), SeededDice::from_text("online"));
    let networks = Networks::new(world.clone());
    for code in ["001-01", "262-42"] {
        networks.put(Network::new(plmn(code), code, "XX"));
    }
    let home = SubscriberServer::open(plmn("001-01"), RamMemory::default(), world.clone()).unwrap();
    let subscriber = Subscriber::new(Keys::Milenage { k: K, opc: OPC });
    home.provision(IMSI.parse().unwrap(), subscriber.with_msisdn(CARD.parse().unwrap())).unwrap();
    networks.put_home(Arc::new(home));
    let networks = Arc::new(networks);
    let account =
        Account { name: "sm-sr".into(), password: "x".into(), numbers: vec!["1000".parse().unwrap()] };
    let settings = SmscSettings::new("+491710000000".parse().unwrap(), vec![account]);
    let smsc = Smsc::open(settings, Arc::clone(&networks), RamMemory::default(), world.clone()).unwrap();
    tokio::spawn(Arc::clone(&smsc).run());
    let (wishes, hosts) = (Arc::<Mutex<Wishes>>::default(), MemoryHosts::default());
    let (sender, seen) = mpsc::unbounded_channel();
    let card = ToolkitCard { usim: FakeUsim::new(IMSI), wishes: Arc::clone(&wishes), seen: sender };
    let teller = Teller::silent(TokioClock::starting(Timestamp(1_795_000_000_000)));
    let mut modem = Modem::new(card, Arc::clone(&networks), teller.clone());
    modem.set_visible(visible.iter().map(|code| plmn(code)).collect());
    let mut device = Online::new(modem, hosts.clone(), OnlineSettings::default(), teller);
    let handle = device.handle();
    let device = tokio::spawn(async move { device.run().await });
    Bench { networks, smsc, hosts, wishes, seen, device, handle }
}

impl Bench {
    /// What the card sees next, STATUS aside.
    async fn sees(&mut self) -> Seen {
        loop {
            match self.seen.recv().await.unwrap() {
                Seen::Status => {}
                seen => return seen,
            }
        }
    }

    /// Lets the device do everything that needs no time.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    fn wish(&self, octets: Vec<u8>) {
        self.wishes.lock().unwrap().commands.push_back(octets);
    }

    /// The card asks for this the next time that it is spoken to; gives the device's answer.
    async fn asks(&mut self, command: Command) -> TerminalResponse {
        let number = {
            let mut wishes = self.wishes.lock().unwrap();
            wishes.number += 1;
            wishes.number
        };
        let proactive = Proactive { number, command };
        self.wish(proactive.to_bytes());
        match self.sees().await {
            Seen::Response(response) if response.answers(&proactive) => response,
            other => panic!("{other:?}"),
        }
    }

    async fn asks_in_vain(&mut self, command: Command) -> (GeneralResult, Vec<u8>) {
        let TerminalResponse { result, additional, .. } = self.asks(command).await;
        (result, additional)
    }

    async fn is_told(&mut self) -> Envelope {
        match self.sees().await {
            Seen::Envelope(envelope) => envelope,
            other => panic!("{other:?}"),
        }
    }

    async fn listens_to(&mut self, events: &[Event]) {
        let response = self.asks(Command::SetUpEventList(events.to_vec())).await;
        assert_eq!(response.result, GeneralResult::PERFORMED);
    }

    fn answers(&self, data: &[u8], status: u16) {
        self.wishes.lock().unwrap().answers.push_back((data.to_vec(), status));
    }

    async fn submit(&self, octets: &[u8]) {
        let user_data = [&[2, 0x70, 0], octets].concat();
        let message = ShortMessage::to_card("1000".parse().unwrap(), CARD.parse().unwrap(), user_data);
        let submission = Submission { message, validity: None, receipts: Receipts::Always };
        self.smsc.account("sm-sr").submit(submission).await.unwrap();
    }

    async fn writer_hears(&self) -> Arrived {
        let writer = self.smsc.account("sm-sr");
        let next = writer.next().await;
        writer.taken(&next.ticket).unwrap();
        next.arrived
    }

    async fn ended_as(&self) -> MessageState {
        match self.writer_hears().await {
            Arrived::Receipt(receipt) => receipt.state,
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
async fn the_profile_says_what_is_there() {
    let mut bench = bench_in(&["001-01"]);
    bench.sees().await;
    let Seen::Profile(profile) = bench.sees().await else { panic!() };
    for facility in [Facility::SMS_PP_DOWNLOAD, Facility::TCP_CLIENT, Facility::TIMER_EXPIRATION] {
        assert!(profile.can(facility), "{facility:?}");
    }
    assert!(!profile.can(Facility::UDP_CLIENT));
    assert_eq!(profile.channels(), 7);
    bench.handle.stop();
    bench.device.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_message_for_the_card_reaches_it_and_its_answer_the_writer() {
    let mut bench = bench().await;
    bench.answers(&[2, 0x71, 0, 0xAA], 0x9000);
    bench.submit(b"do it").await;
    let Envelope::SmsPpDownload { service_centre, tpdu } = bench.is_told().await else { panic!() };
    assert_eq!(service_centre, Some("+491710000000".parse::<Address>().unwrap()));
    assert_eq!(SmsDeliver::parse(&tpdu).unwrap().user_data.octets, b"do it");
    let Arrived::Report(_, report) = bench.writer_hears().await else { panic!() };
    assert_eq!((report.user_data, report.has_header), (vec![2, 0x71, 0, 0xAA], true));
    assert_eq!(bench.ended_as().await, MessageState::Delivered);
    // A card that refuses has the last word; one that is busy is asked again.
    bench.answers(&[], 0x6F00);
    bench.submit(b"not that").await;
    bench.is_told().await;
    assert_eq!(bench.ended_as().await, MessageState::Undeliverable);
    bench.answers(&[], 0x9300);
    bench.submit(b"when you have time").await;
    bench.is_told().await;
    bench.is_told().await;
    assert_eq!(bench.ended_as().await, MessageState::Delivered);
}

#[tokio::test(start_paused = true)]
async fn the_card_writes_through_the_device() {
    let mut bench = bench().await;
    let submit = |to: &str| {
        let user_data = UserData::parse(&[2, 0x70, 0, 7], true).unwrap();
        let tpdu = SmsSubmit::data(to.parse().unwrap(), user_data).to_bytes();
        Command::SendShortMessage { service_centre: None, tpdu }
    };
    assert_eq!(bench.asks(submit("1000")).await.result, GeneralResult::PERFORMED);
    let Arrived::Message(message) = bench.writer_hears().await else { panic!() };
    assert_eq!((message.from, message.user_data), (CARD.parse().unwrap(), vec![2, 0x70, 0, 7]));
    assert_eq!(bench.asks_in_vain(submit("999")).await, (GeneralResult::SMS_RP_ERROR, vec![1]));
    let nonsense = Command::SendShortMessage { service_centre: None, tpdu: vec![0xFF] };
    assert_eq!(bench.asks_in_vain(nonsense).await.0, GeneralResult::DATA_NOT_UNDERSTOOD);
    bench.networks.set_coverage(plmn("001-01"), false);
    bench.settle().await;
    assert_eq!(bench.asks_in_vain(submit("1000")).await, (GeneralResult::TERMINAL_UNABLE, vec![4]));
}

#[tokio::test(start_paused = true)]
async fn a_channel_carries_octets_both_ways() {
    let mut bench = bench().await;
    let mut server = bench.hosts.listen("10.0.0.1:443");
    bench.listens_to(&[Event::DATA_AVAILABLE, Event::CHANNEL_STATUS]).await;
    let opened = bench.asks(channel(443, true)).await;
    let status = ChannelStatus { channel: 1, state: ChannelState::Open };
    let bearer = Bearer::default_bearer();
    assert_eq!(opened.response, Response::Channel { status: Some(status), bearer, buffer_size: 1000 });
    let mut stream = server.accept().await.unwrap();
    // Kept back until it is let go, then in one.
    let send = |data: &[u8], immediately| Command::SendData { channel: 1, immediately, data: data.to_vec() };
    assert_eq!(bench.asks(send(b"hel", false)).await.response, Response::Sent { free: 255 });
    assert_eq!(bench.asks(send(b"lo", true)).await.result, GeneralResult::PERFORMED);
    let mut heard = [0; 5];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
    // More than the card's buffer: the event once, the rest as the card takes it.
    let sent: Vec<u8> = (0..1500_u16).map(|at| at.to_le_bytes()[0]).collect();
    stream.write_all(&sent).await.unwrap();
    let told = bench.is_told().await;
    assert_eq!(told, Envelope::EventDownload(EventDownload::DataAvailable { status, length: 255 }));
    let mut received = Vec::new();
    while received.len() < sent.len() {
        let response = bench.asks(Command::ReceiveData { channel: 1, length: 0xED }).await;
        let Response::Received { data, left } = response.response else { panic!("{response:?}") };
        assert_eq!(left == 0, received.len() + data.len() == sent.len());
        received.extend(data);
    }
    assert_eq!(received, sent);
    let response = bench.asks(Command::ReceiveData { channel: 1, length: 10 }).await;
    assert_eq!(response.result, GeneralResult(0x02), "performed, with missing information");
    assert_eq!(response.response, Response::Received { data: vec![], left: 0 });
    // The peer says goodbye and goes: what it said is there to be read.
    stream.write_all(b"bye").await.unwrap();
    bench.is_told().await;
    drop(stream);
    let dropped = ChannelStatus { channel: 1, state: ChannelState::Dropped };
    let told = bench.is_told().await;
    assert_eq!(told, Envelope::EventDownload(EventDownload::ChannelStatus(dropped)));
    assert_eq!(
        bench.asks(Command::GetChannelStatus).await.response,
        Response::ChannelStatuses(vec![dropped])
    );
    let response = bench.asks(Command::ReceiveData { channel: 1, length: 3 }).await;
    assert_eq!(response.response, Response::Received { data: b"bye".to_vec(), left: 0 });
    let closed = (GeneralResult::BIP_ERROR, vec![BipCause::CHANNEL_CLOSED.0]);
    assert_eq!(bench.asks_in_vain(Command::ReceiveData { channel: 1, length: 3 }).await, closed);
    assert_eq!(bench.asks_in_vain(send(b"?", true)).await, closed);
    assert_eq!(bench.asks(Command::CloseChannel { channel: 1 }).await.result, GeneralResult::PERFORMED);
    let none = ChannelStatus { channel: 0, state: ChannelState::Closed };
    assert_eq!(bench.asks(Command::GetChannelStatus).await.response, Response::ChannelStatuses(vec![none]));
}

#[tokio::test(start_paused = true)]
async fn channels_that_cannot_be_are_refused_by_cause() {
    let mut bench = bench().await;
    let mut server = bench.hosts.listen("10.0.0.1:443");
    let bip = |cause: BipCause| (GeneralResult::BIP_ERROR, vec![cause.0]);
    assert_eq!(bench.asks_in_vain(channel(444, true)).await, bip(BipCause::NOT_REACHABLE));
    let changed = |change: fn(&mut ChannelParameters)| {
        let Command::OpenChannel(mut command) = channel(443, true) else { panic!() };
        change(&mut command.parameters);
        Command::OpenChannel(command)
    };
    let missing = GeneralResult::VALUES_MISSING;
    assert_eq!(bench.asks_in_vain(changed(|channel| channel.destination = None)).await.0, missing);
    assert_eq!(bench.asks_in_vain(changed(|channel| channel.transport = None)).await.0, missing);
    let udp = changed(|channel| {
        channel.transport = Some(TransportLevel { protocol: TransportProtocol::UdpClient, port: 1 });
    });
    assert_eq!(bench.asks_in_vain(udp).await.0, GeneralResult::BEYOND_CAPABILITIES);
    let empty = changed(|channel| channel.buffer_size = Some(0));
    assert_eq!(bench.asks_in_vain(empty).await, bip(BipCause::BUFFER_SIZE));
    for command in [
        Command::CloseChannel { channel: 3 },
        Command::ReceiveData { channel: 3, length: 1 },
        Command::SendData { channel: 3, immediately: true, data: vec![1] },
    ] {
        assert_eq!(bench.asks_in_vain(command).await, bip(BipCause::CHANNEL_NOT_VALID));
    }
    // On demand: nobody is called until there is something to say.
    for number in 1..=7 {
        let opened = bench.asks(channel(443, false)).await;
        let status = ChannelStatus { channel: number, state: ChannelState::Closed };
        assert!(matches!(opened.response, Response::Channel { status: Some(own), .. } if own == status));
    }
    assert_eq!(bench.asks_in_vain(channel(443, false)).await, bip(BipCause::NO_CHANNEL));
    let send = Command::SendData { channel: 7, immediately: true, data: b"now".to_vec() };
    assert_eq!(bench.asks(send).await.result, GeneralResult::PERFORMED);
    let mut heard = [0; 3];
    server.accept().await.unwrap().read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"now");
    let too_much = Command::SendData { channel: 1, immediately: false, data: vec![0; 200] };
    for _ in 0..5 {
        assert_eq!(bench.asks(too_much.clone()).await.result, GeneralResult::PERFORMED);
    }
    assert_eq!(bench.asks_in_vain(too_much).await, bip(BipCause::BUFFER_SIZE));
}

#[tokio::test(start_paused = true)]
async fn timers_run_out_and_the_card_is_asked_as_often_as_it_wants() {
    let mut bench = bench().await;
    let timer = |timer, action| Command::TimerManagement { timer, action };
    let seconds = TimerValue::of_seconds;
    let poll = rsp::ota::cat::Duration::Minutes(10);
    assert_eq!(bench.asks(Command::PollInterval(poll)).await.response, Response::PollInterval(poll));
    // Asked within the thirty seconds before that had any say; from now on every ten minutes.
    let begun = Instant::now();
    let response = bench.asks(timer(2, TimerAction::Start(seconds(700)))).await;
    assert_eq!(begun.elapsed().as_secs(), 600);
    assert_eq!(response.response, Response::Timer { timer: 2, left: None });
    let left = bench.asks(timer(2, TimerAction::TimeLeft)).await;
    assert_eq!(left.response, Response::Timer { timer: 2, left: Some(seconds(100)) });
    let told = bench.is_told().await;
    assert_eq!(told, Envelope::TimerExpiration { timer: 2, value: seconds(700) });
    assert_eq!(begun.elapsed().as_secs(), 1300);
    for action in [TimerAction::TimeLeft, TimerAction::Deactivate] {
        assert_eq!(bench.asks_in_vain(timer(2, action)).await.0, GeneralResult::TIMER_CONTRADICTION);
    }
    bench.asks(timer(1, TimerAction::Start(seconds(3600)))).await;
    let stopped = bench.asks(timer(1, TimerAction::Deactivate)).await;
    assert!(matches!(stopped.response, Response::Timer { timer: 1, left: Some(_) }));
    // Without polling the device says nothing by itself; a card that is busy is told later.
    for command in [timer(3, TimerAction::Start(seconds(5))), Command::PollingOff] {
        bench.wish(Proactive { number: 99, command }.to_bytes());
    }
    for _ in 0..2 {
        assert!(matches!(bench.sees().await, Seen::Response(response) if response.result.is_performed()));
    }
    bench.answers(&[], 0x9300);
    bench.is_told().await;
    let busy = Instant::now();
    assert_eq!(bench.is_told().await, Envelope::TimerExpiration { timer: 3, value: seconds(5) });
    assert_eq!(busy.elapsed().as_secs(), 1);
    assert!(tokio::time::timeout(Duration::from_secs(86_400), bench.seen.recv()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_card_learns_where_it_is_and_when_that_changes() {
    let mut bench = bench().await;
    bench.listens_to(&[Event::LOCATION_STATUS]).await;
    let home = match bench.asks(Command::ProvideLocalInformation(LocalInformation::Location)).await.response {
        Response::Location(location) => location,
        other => panic!("{other:?}"),
    };
    assert_eq!(home.plmn, plmn("001-01").to_bytes());
    let imei = bench.asks(Command::ProvideLocalInformation(LocalInformation::Imei)).await;
    assert!(matches!(imei.response, Response::Imei(imei) if imei.digits() == "004999010640000"));
    let status =
        |status, location| Envelope::EventDownload(EventDownload::LocationStatus { status, location });
    bench.networks.set_coverage(plmn("001-01"), false);
    assert_eq!(bench.is_told().await, status(LocationStatus::None, None));
    let nowhere = bench.asks_in_vain(Command::ProvideLocalInformation(LocalInformation::Location)).await;
    assert_eq!(nowhere, (GeneralResult::TERMINAL_UNABLE, vec![4]));
    // It searches until it finds, and says so once.
    tokio::time::sleep(Duration::from_secs(100)).await;
    bench.networks.set_coverage(plmn("001-01"), true);
    assert_eq!(bench.is_told().await, status(LocationStatus::Normal, Some(home)));
    bench.handle.set_visible(vec![plmn("262-42")]);
    let Envelope::EventDownload(EventDownload::LocationStatus { location, .. }) = bench.is_told().await
    else {
        panic!()
    };
    assert_eq!(location.unwrap().plmn, plmn("262-42").to_bytes());
    // A message finds it there.
    bench.submit(b"abroad").await;
    assert!(matches!(bench.is_told().await, Envelope::SmsPpDownload { .. }));
}

/// TS 23.122 section 4.4.3.3.1: after an outage, but not while the card speaks to somebody.
#[tokio::test(start_paused = true)]
async fn a_device_that_was_left_by_its_home_network_goes_back_to_it() {
    let mut bench = bench_in(&["001-01", "262-42"]);
    let (home, partner, imsi) = (plmn("001-01"), plmn("262-42"), IMSI.parse().unwrap());
    bench.settle().await;
    assert_eq!(bench.networks.place_of(imsi), Some(home));
    bench.networks.set_coverage(home, false);
    bench.settle().await;
    assert_eq!(bench.networks.place_of(imsi), Some(partner));
    bench.networks.set_coverage(home, true);
    let mut server = bench.hosts.listen("10.0.0.1:443");
    assert_eq!(bench.sees().await, Seen::Reset);
    let Seen::Profile(_) = bench.sees().await else { panic!() };
    bench.asks(channel(443, true)).await;
    let stream = server.accept().await.unwrap();
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    assert_eq!(bench.networks.place_of(imsi), Some(partner), "the card has a channel open");
    drop(stream);
    bench.settle().await;
    assert_eq!(bench.networks.place_of(imsi), Some(home));
}

/// TS 24.301 section 5.3.7b: neither a network on the list of forbidden ones nor a subscription that was called illegal is so
/// for ever.
#[tokio::test(start_paused = true)]
async fn what_a_network_refuses_for_good_holds_for_a_while() {
    for cause in [EmmCause::PLMN_NOT_ALLOWED, EmmCause::ILLEGAL_UE] {
        let bench = bench_in(&["262-42"]);
        let imsi = IMSI.parse().unwrap();
        bench.networks.set_policy(plmn("262-42"), Policy::refusing_everybody(cause));
        tokio::time::sleep(Duration::from_secs(60)).await;
        bench.networks.set_policy(plmn("262-42"), Policy::default());
        tokio::time::sleep(Duration::from_secs(30 * 60)).await;
        assert_eq!(bench.networks.place_of(imsi), None, "{cause}");
        tokio::time::sleep(Duration::from_secs(15 * 60)).await;
        assert_eq!(bench.networks.place_of(imsi), Some(plmn("262-42")), "{cause}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_ends_what_the_card_had_asked_for_and_the_device_comes_back() {
    let mut bench = bench().await;
    let mut server = bench.hosts.listen("10.0.0.1:443");
    bench.listens_to(&[Event::LOCATION_STATUS, Event::DATA_AVAILABLE]).await;
    bench.asks(channel(443, true)).await;
    let mut stream = server.accept().await.unwrap();
    bench
        .asks(Command::TimerManagement { timer: 1, action: TimerAction::Start(TimerValue::of_seconds(40)) })
        .await;
    bench.wish(Proactive { number: 9, command: Command::Refresh(RefreshMode::UiccReset) }.to_bytes());
    assert_eq!(bench.sees().await, Seen::Reset);
    let Seen::Profile(_) = bench.sees().await else { panic!() };
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "the channel has ended");
    bench.submit(b"still there?").await;
    assert!(matches!(bench.is_told().await, Envelope::SmsPpDownload { .. }), "and no event before it");
    assert_eq!(bench.ended_as().await, MessageState::Delivered);
    // The other kind: no reset, and yet another registration.
    bench.listens_to(&[Event::LOCATION_STATUS]).await;
    let response = bench.asks(Command::Refresh(RefreshMode::ProfileStateChange)).await;
    assert_eq!(response.result, GeneralResult::PERFORMED);
    let told = bench.is_told().await;
    let Envelope::EventDownload(EventDownload::LocationStatus { status, .. }) = told else {
        panic!("{told:?}")
    };
    assert_eq!(status, LocationStatus::Normal);
}

#[tokio::test(start_paused = true)]
async fn what_the_device_cannot_is_answered_all_the_same() {
    let mut bench = bench().await;
    for (command, result) in [
        // DISPLAY TEXT; OPEN CHANNEL without anything; a timer that is none; SEND SS.
        ("D009810301218082028102", GeneralResult::BEYOND_CAPABILITIES),
        ("D009810302400182028182", GeneralResult::DATA_NOT_UNDERSTOOD),
        ("D00C810303270182028182240109", GeneralResult::DATA_NOT_UNDERSTOOD),
        ("D009810304110082028183", GeneralResult::BEYOND_CAPABILITIES),
        // REFRESH, steering of roaming; PROVIDE LOCAL INFORMATION, battery state.
        ("D009810305010782028182", GeneralResult::BEYOND_CAPABILITIES),
        ("D0098103062 60A82028182", GeneralResult::BEYOND_CAPABILITIES),
    ] {
        bench.wish(hex::decode(command.replace(' ', "")).unwrap());
        let Seen::Response(response) = bench.sees().await else { panic!() };
        assert_eq!(response.result, result, "{command}");
    }
    let list = Command::SetUpEventList(vec![Event::LOCATION_STATUS, Event::NETWORK_REJECTION]);
    assert_eq!(bench.asks_in_vain(list).await.0, GeneralResult::BEYOND_CAPABILITIES);
    assert_eq!(bench.asks(Command::MoreTime).await.result, GeneralResult::PERFORMED);
    // A card that cannot even say what it wants is given up.
    bench.wish(vec![0xD0, 0x00]);
    assert!(matches!(bench.device.await.unwrap(), Err(CardError::Answer { .. })));
}
