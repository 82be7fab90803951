//! A scripted terminal, and an SM-SR on the other side of its bearers.

use std::collections::BTreeMap;

use crypto::scp80::{self, Head, Opened, Protection};
use rsp::ids::Aid;
use rsp::ota::cat::{
    Bearer, ChannelState, ChannelStatus, Command, Envelope, EventDownload, GeneralResult, Imei,
    LocalInformation, LocationInformation, LocationStatus, Proactive, RefreshMode, Response,
    TerminalCapability, TerminalProfile, TerminalResponse, TimerAction, TimerValue,
};
use rsp::ota::secured_packet::{CommandHeader, KeyReference, ResponseStatus, Spi, Tar};
use rsp::ota::sms::{
    Accepted, Address, PacketKind, Reassembler, Reference, SmsDeliver, SmsSubmit, UserData, segments,
};
use rsp::sgp02::notification::DefaultNotification;

use super::https_link::Link;
use crate::m2m::tests::testbed::{SCP80, Testbed};

/// KIc and KID of the SM-SR.
const KIC: [u8; 16] = [0x01; 16];
const KID: [u8; 16] = [0x02; 16];

pub(super) const ALL: [TerminalCapability; 21] = [
    TerminalCapability::PROFILE_DOWNLOAD,
    TerminalCapability::SMS_PP_DOWNLOAD,
    TerminalCapability::TIMER_EXPIRATION,
    TerminalCapability::POLL_INTERVAL,
    TerminalCapability::REFRESH,
    TerminalCapability::SEND_SHORT_MESSAGE,
    TerminalCapability::LOCATION_AND_IMEI,
    TerminalCapability::SET_UP_EVENT_LIST,
    TerminalCapability::EVENT_LOCATION_STATUS,
    TerminalCapability::EVENT_DATA_AVAILABLE,
    TerminalCapability::EVENT_CHANNEL_STATUS,
    TerminalCapability::TIMER_MANAGEMENT,
    TerminalCapability::TIMER_TIME_LEFT,
    TerminalCapability::OPEN_CHANNEL,
    TerminalCapability::CLOSE_CHANNEL,
    TerminalCapability::RECEIVE_DATA,
    TerminalCapability::SEND_DATA,
    TerminalCapability::GET_CHANNEL_STATUS,
    TerminalCapability::BEARER_PACKET,
    TerminalCapability::TCP_CLIENT,
    TerminalCapability::REFRESH_PROFILE_STATE_CHANGE,
];

pub(super) fn without(missing: &[TerminalCapability]) -> Vec<TerminalCapability> {
    ALL.into_iter().filter(|facility| !missing.contains(facility)).collect()
}

type Refusal = Box<dyn FnMut(&Command) -> Option<(GeneralResult, Vec<u8>)>>;

pub(super) struct TestTerminal {
    pub(super) testbed: Testbed,
    pub(super) facilities: Vec<TerminalCapability>,
    /// The length announced by 91xx.
    announced: Option<u8>,
    pub(super) network: LocationStatus,
    /// Returns the result for commands that the terminal refuses.
    pub(super) refuse: Refusal,
    /// All fetched commands.
    pub(super) fetched: Vec<Command>,
    /// The last fetched command.
    last: Option<Proactive>,
    /// The sent messages.
    pub(super) sent: Vec<SmsSubmit>,
    /// The running timers, and the seconds until each expires.
    pub(super) timers: BTreeMap<u8, u64>,
    pub(super) link: Option<Link>,
    pub(super) resets: usize,
    /// The number of further commands that the terminal fetches; `None` for no limit.
    pub(super) commands_left: Option<usize>,
    /// True if the terminal follows the protocol, so that the status words of the card are
    /// predictable.
    pub(super) follows_protocol: bool,
    counter: u64,
    reference: u8,
    reassembler: Reassembler,
}

pub(super) fn sm_sr_address() -> Address {
    // The address of the SM-SR that is stored on the card.
    Address::from_value(&hex::decode("913386994211F1").unwrap()).unwrap()
}

impl TestTerminal {
    /// A terminal in a network, before TERMINAL PROFILE.
    pub(super) fn new(testbed: Testbed) -> Self {
        Self {
            testbed,
            facilities: ALL.to_vec(),
            announced: None,
            network: LocationStatus::Normal,
            refuse: Box::new(|_| None),
            fetched: Vec::new(),
            last: None,
            sent: Vec::new(),
            timers: BTreeMap::new(),
            link: None,
            resets: 0,
            commands_left: None,
            follows_protocol: true,
            counter: 0,
            reference: 0,
            reassembler: Reassembler::default(),
        }
    }

    /// A started card with a confirmed declaration.
    pub(super) fn settled() -> Self {
        let mut terminal = Self::new(Testbed::new());
        terminal.settle();
        terminal
    }

    pub(super) fn settle(&mut self) {
        self.start();
        let declaration = self.notification().unwrap();
        self.confirm(declaration.sequence_number);
        self.fetched.clear();
        self.sent.clear();
    }

    /// Sends TERMINAL PROFILE and executes the commands of the card.
    pub(super) fn start(&mut self) {
        let profile = TerminalProfile::of(&self.facilities, 1);
        self.command(0x10, &profile.0);
        self.run();
    }

    pub(super) fn reset(&mut self) {
        self.testbed.card.reset();
        self.announced = None;
        self.timers.clear();
        if let Some(link) = &mut self.link {
            link.hang_up();
        }
        self.resets += 1;
    }

    /// Sends a command of class 80. Returns its data and status word.
    pub(super) fn command(&mut self, ins: u8, data: &[u8]) -> (Vec<u8>, u16) {
        let mut apdu = vec![0x80, ins, 0, 0, u8::try_from(data.len()).unwrap()];
        apdu.extend_from_slice(data);
        let mut answer = self.testbed.card.transmit(&apdu);
        let mut all = Vec::new();
        loop {
            let low = answer.pop().unwrap();
            let high = answer.pop().unwrap();
            all.append(&mut answer);
            match high {
                0x61 => answer = self.testbed.card.transmit(&[0, 0xC0, 0, 0, low]),
                0x91 => {
                    self.announced = Some(low);
                    return (all, 0x9100);
                }
                _ => return (all, u16::from_be_bytes([high, low])),
            }
        }
    }

    pub(super) fn envelope(&mut self, envelope: &Envelope) -> (Vec<u8>, u16) {
        self.command(0xC2, &envelope.to_bytes())
    }

    pub(super) fn status(&mut self) {
        let answer = self.testbed.card.transmit(&[0x80, 0xF2, 0, 0x0C]);
        if let [.., 0x91, length] = answer[..] {
            self.announced = Some(length);
        }
        self.run();
    }

    pub(super) fn report_network(&mut self, status: LocationStatus) {
        self.network = status;
        let event = EventDownload::LocationStatus { status, location: None };
        self.envelope(&Envelope::EventDownload(event));
        self.run();
    }

    /// Expires the next timer.
    pub(super) fn expire_timer(&mut self) -> Option<u64> {
        let (&timer, &seconds) = self.timers.iter().min_by_key(|(_, seconds)| **seconds)?;
        self.timers.remove(&timer);
        self.timers.values_mut().for_each(|left| *left -= seconds);
        let value = TimerValue::of_seconds(seconds);
        self.envelope(&Envelope::TimerExpiration { timer, value });
        self.run();
        Some(seconds)
    }

    /// Fetches the announced command, if there is one.
    pub(super) fn fetch(&mut self) -> Option<Proactive> {
        let length = self.announced.take()?;
        let mut answer = self.testbed.card.transmit(&[0x80, 0x12, 0, 0, length]);
        let status = answer.split_off(answer.len() - 2);
        if !self.follows_protocol && status != [0x90, 0x00] {
            return None;
        }
        assert_eq!(status, [0x90, 0x00], "FETCH of the announced command");
        assert_eq!(answer.len(), usize::from(length));
        let proactive = Proactive::parse(&answer).unwrap();
        self.fetched.push(proactive.command.clone());
        self.last = Some(proactive.clone());
        Some(proactive)
    }

    /// Executes the commands of the card until none is left.
    pub(super) fn run(&mut self) {
        for _ in 0..2000 {
            if let Some(commands_left) = &mut self.commands_left {
                if *commands_left == 0 {
                    return;
                }
                *commands_left -= 1;
            }
            let Some(proactive) = self.fetch() else {
                if !self.report_data() {
                    return;
                }
                continue;
            };
            if !self.execute(&proactive) {
                return;
            }
        }
        panic!("the card sends commands without end: {:?}", &self.fetched[self.fetched.len() - 6..]);
    }

    /// Reports data received on the channel. Returns false if there are none.
    pub(super) fn report_data(&mut self) -> bool {
        let Some(link) = &mut self.link else { return false };
        let Some(event) = link.event() else { return false };
        self.envelope(&Envelope::EventDownload(event));
        true
    }

    /// Executes a command. Returns `false` if the card was reset and started again.
    pub(super) fn execute(&mut self, proactive: &Proactive) -> bool {
        let command = &proactive.command;
        if let Some((result, additional)) = (self.refuse)(command) {
            self.respond(&TerminalResponse::of(proactive, result, additional, Response::None));
            return true;
        }
        let response = match command {
            Command::Refresh(RefreshMode::UiccReset) => {
                self.reset();
                self.start();
                return false;
            }
            Command::Refresh(_) => {
                self.respond(&TerminalResponse::performed(proactive, Response::None));
                self.timers.clear();
                self.resets += 1;
                self.start();
                return false;
            }
            Command::PollInterval(interval) => Response::PollInterval(*interval),
            Command::ProvideLocalInformation(LocalInformation::Location) => match self.network {
                LocationStatus::Normal => Response::Location(LocationInformation {
                    plmn: [0x00, 0xF1, 0x10],
                    area_and_cell: vec![0, 1, 0, 2],
                }),
                LocationStatus::Limited => {
                    let result = GeneralResult(0x06);
                    self.respond(&TerminalResponse::of(proactive, result, Vec::new(), Response::None));
                    return true;
                }
                LocationStatus::None => {
                    let result = GeneralResult::TERMINAL_UNABLE;
                    self.respond(&TerminalResponse::of(proactive, result, vec![0x04], Response::None));
                    return true;
                }
            },
            Command::ProvideLocalInformation(_) => {
                Response::Imei(Imei::of_digits("490154203237518").unwrap())
            }
            Command::TimerManagement { timer, action: TimerAction::Start(value) } => {
                self.timers.insert(*timer, value.as_time().as_secs());
                Response::Timer { timer: *timer, left: None }
            }
            Command::TimerManagement { timer, .. } => {
                self.timers.remove(timer);
                Response::Timer { timer: *timer, left: None }
            }
            Command::SendShortMessage { tpdu, .. } if self.network == LocationStatus::Normal => {
                self.sent.push(SmsSubmit::parse(tpdu).unwrap());
                Response::None
            }
            Command::SendShortMessage { .. } => {
                let result = GeneralResult::NETWORK_UNABLE;
                self.respond(&TerminalResponse::of(proactive, result, vec![0], Response::None));
                return true;
            }
            Command::OpenChannel(open) => {
                let link = self.link.as_mut().expect("a server for the channel");
                link.opened(open);
                let status = Some(ChannelStatus { channel: 1, state: ChannelState::Open });
                Response::Channel { status, bearer: Bearer::default_bearer(), buffer_size: 1400 }
            }
            Command::SendData { channel: 1, data, .. } => {
                let is_open = self.link.as_mut().is_some_and(|link| link.sent(data));
                if !is_open {
                    let result = GeneralResult::BIP_ERROR;
                    self.respond(&TerminalResponse::of(proactive, result, vec![2], Response::None));
                    return true;
                }
                Response::Sent { free: 0xFF }
            }
            Command::ReceiveData { channel: 1, length } => {
                match self.link.as_mut().and_then(|link| link.receive(*length)) {
                    Some((data, left)) => Response::Received { data, left },
                    None => {
                        let result = GeneralResult::BIP_ERROR;
                        self.respond(&TerminalResponse::of(proactive, result, vec![2], Response::None));
                        return true;
                    }
                }
            }
            Command::CloseChannel { channel: 1 } => {
                self.link.as_mut().expect("a channel").closed();
                Response::None
            }
            _ => Response::None,
        };
        self.respond(&TerminalResponse::performed(proactive, response));
        true
    }

    /// From this call on, the terminal follows the protocol. It first responds to the last command.
    pub(super) fn follow_protocol(&mut self) {
        self.refuse = Box::new(|_| None);
        self.network = LocationStatus::Normal;
        self.follows_protocol = false;
        if let Some(last) = self.last.clone() {
            let result = GeneralResult::BEYOND_CAPABILITIES;
            self.respond(&TerminalResponse::of(&last, result, Vec::new(), Response::None));
        }
        self.status();
        self.follows_protocol = true;
    }

    pub(super) fn respond(&mut self, response: &TerminalResponse) {
        let (_, status) = self.command(0x14, &response.to_bytes());
        assert!(
            !self.follows_protocol || matches!(status, 0x9000 | 0x9100),
            "TERMINAL RESPONSE: {status:04X}"
        );
    }

    /// Sends a command packet with the next counter. Returns the delivery report.
    pub(super) fn packet(&mut self, spi: Spi, data: &[u8]) -> Vec<u8> {
        let packet = self.next_packet(spi, data);
        self.deliver(&packet)
    }

    pub(super) fn next_packet(&mut self, spi: Spi, data: &[u8]) -> Vec<u8> {
        self.counter += 1;
        sealed(CommandHeader { spi, ..header() }, self.counter, data)
    }

    /// Sends a packet in as many messages as necessary and executes the commands of the card.
    /// Returns the last delivery report.
    pub(super) fn deliver(&mut self, packet: &[u8]) -> Vec<u8> {
        let (report, status) = self.deliver_only(packet);
        assert!(!self.follows_protocol || matches!(status, 0x9000 | 0x9100), "{status:04X}");
        self.run();
        report
    }

    /// Skips counters, as if packets had been lost.
    pub(super) fn skip_counters(&mut self, packets: u64) {
        self.counter += packets;
    }

    /// Sends a session trigger without parameters. The card has no stored parameters either.
    pub(super) fn empty_trigger(&mut self) {
        self.packet(Spi::UNANSWERED, &[0x81, 0x00]);
    }

    pub(super) fn deliver_only(&mut self, packet: &[u8]) -> (Vec<u8>, u16) {
        self.reference = self.reference.wrapping_add(1);
        let parts = segments(packet, PacketKind::Command, Reference::Short(self.reference)).unwrap();
        parts.into_iter().map(|part| self.message(part)).last().unwrap()
    }

    pub(super) fn message(&mut self, part: UserData) -> (Vec<u8>, u16) {
        let tpdu = SmsDeliver::data_download(sm_sr_address(), [0x62; 7], part).to_bytes();
        self.envelope(&Envelope::SmsPpDownload { service_centre: None, tpdu })
    }

    /// Confirms a notification by SMS (ES5.HandleNotificationConfirmation) and returns the response
    /// data.
    pub(super) fn confirm(&mut self, number: u16) -> String {
        let script = format!("AA0F220D80E28900073A08044E02{number:04X}00");
        let report = self.packet(Spi::COMMAND_ANSWERED_IN_REPORT, &hex::decode(script).unwrap());
        let opened = opened(&report);
        assert_eq!(opened.status, ResponseStatus::Ok.code());
        hex::encode_upper(opened.data)
    }

    /// Takes the sent messages and returns the latest notification in them.
    pub(super) fn notification(&mut self) -> Option<DefaultNotification> {
        let mut found = None;
        for message in std::mem::take(&mut self.sent) {
            let whole = self.reassembler.accept(&message.destination, message.user_data);
            if let Ok(Accepted::Whole(PacketKind::Command, packet)) = whole {
                assert_eq!(message.destination, sm_sr_address());
                found = Some(notification_of(&packet));
            }
        }
        found
    }
}

/// The header of a packet to the ISD-R.
pub(super) fn header() -> CommandHeader {
    CommandHeader {
        spi: Spi::COMMAND_ANSWERED_IN_REPORT,
        kic: KeyReference::aes(SCP80),
        kid: KeyReference::aes(SCP80),
        tar: Tar::of_aid(&Aid::ISD_R).unwrap(),
    }
}

fn keys() -> scp80::Keys {
    scp80::Keys { kic: KIC.into(), kid: KID.into() }
}

pub(super) fn sealed(header: CommandHeader, counter: u64, data: &[u8]) -> Vec<u8> {
    sealed_under(&keys(), header, counter, data)
}

/// The same key octets as triple DES keys.
pub(super) fn triple_des_keys() -> scp80::Keys {
    let key = |octets: [u8; 16]| scp80::TripleDesKey::Two(octets.into()).into();
    scp80::Keys { kic: key(KIC), kid: key(KID) }
}

pub(super) fn sealed_under(keys: &scp80::Keys, header: CommandHeader, counter: u64, data: &[u8]) -> Vec<u8> {
    let [_, _, _, counter @ ..] = counter.to_be_bytes();
    let packet = Opened { counter, status: 0, data: data.to_vec() };
    scp80::seal(Head::Command(&header.to_bytes()), &packet, Protection::FULL, keys)
}

/// Opens a response packet in a delivery report.
pub(super) fn opened(report: &[u8]) -> Opened {
    opened_of(Tar::of_aid(&Aid::ISD_R).unwrap(), report)
}

/// Opens a response packet of another application.
pub(super) fn opened_of(tar: Tar, report: &[u8]) -> Opened {
    assert_eq!(report[..3], [0x02, 0x71, 0x00]);
    response_of(tar, &report[3..], Protection::FULL)
}

pub(super) fn opened_packet(packet: &[u8], protection: Protection) -> Opened {
    response_of(Tar::of_aid(&Aid::ISD_R).unwrap(), packet, protection)
}

fn response_of(tar: Tar, packet: &[u8], protection: Protection) -> Opened {
    scp80::open(Head::Response(&tar.0, &[0x02, 0x71, 0x00]), packet, protection, &keys()).unwrap()
}

/// Opens a command packet of the card.
pub(super) fn notification_of(packet: &[u8]) -> DefaultNotification {
    let head: [u8; 7] = packet[3..10].try_into().unwrap();
    assert_eq!(head, [0x06, 0x00, SCP80 << 4 | 2, SCP80 << 4 | 2, 0, 0, 1]);
    let opened = scp80::open(Head::Command(&head), packet, Protection::FULL, &keys()).unwrap();
    assert_eq!(opened.counter, [0; 5]);
    DefaultNotification::parse(&opened.data).unwrap()
}
