//! A minimal terminal that only executes the proactive commands of the M2M card. Short messages are
//! lists, a channel is a socket.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crypto::{Curve, SecretKey};
use euicc_sim::{
    Card, CardDescription,
    m2m::{
        Addressing, FactoryProfile, M2mDescription,
        keys::{Key, KeyKind, KeySet},
    },
};
use profile::{generic, generic::Subscription};
use rsp::{
    der::{Tag, tlv, tlv_bytes},
    ids::{Aid, Eid, Iccid},
    ota::{
        cat::{
            ChannelParameters, ChannelState, ChannelStatus, Command, Envelope, EventDownload, Imei,
            LocalInformation, LocationInformation, LocationStatus, Proactive, Response, TerminalCapability,
            TerminalProfile, TerminalResponse, TransportLevel, TransportProtocol,
        },
        sms::{Address, SmsDeliver, SmsSubmit, UserData},
        trigger::{HttpParameters, SessionParameters, SessionTrigger},
    },
};
use world::{ManualClock, RamMemory, SeededRandom, World};

use crate::{
    card::{KIC, KID},
    rig::{PSK, SM_SR, start},
};

/// Terminal profile without timers, so that the card measures time by its polls, which the test
/// controls.
const FACILITIES: [TerminalCapability; 19] = [
    TerminalCapability::PROFILE_DOWNLOAD,
    TerminalCapability::SMS_PP_DOWNLOAD,
    TerminalCapability::MORE_TIME,
    TerminalCapability::POLL_INTERVAL,
    TerminalCapability::POLLING_OFF,
    TerminalCapability::REFRESH,
    TerminalCapability::SEND_SHORT_MESSAGE,
    TerminalCapability::LOCATION_AND_IMEI,
    TerminalCapability::SET_UP_EVENT_LIST,
    TerminalCapability::EVENT_LOCATION_STATUS,
    TerminalCapability::EVENT_DATA_AVAILABLE,
    TerminalCapability::EVENT_CHANNEL_STATUS,
    TerminalCapability::OPEN_CHANNEL,
    TerminalCapability::CLOSE_CHANNEL,
    TerminalCapability::RECEIVE_DATA,
    TerminalCapability::SEND_DATA,
    TerminalCapability::GET_CHANNEL_STATUS,
    TerminalCapability::BEARER_PACKET,
    TerminalCapability::TCP_CLIENT,
];

pub(crate) struct Terminal {
    card: Card,
    channel: Option<TcpStream>,
    received: Vec<u8>,
    /// TP-UD of the short messages that the card sent.
    pub(crate) sent: Vec<Vec<u8>>,
    /// True if the card has requested a reset.
    refresh: bool,
    /// Number of opened channels.
    pub(crate) opened: u32,
    /// Number of SEND DATA commands after which the connection is cut; the data of the last one
    /// is not sent.
    pub(crate) cut_after: Option<u32>,
}

/// Returns the profile package of this ISD-P.
fn package(number: u16) -> Vec<u8> {
    let iccid = Iccid::with_luhn(&format!("8988303000000{number:05}")).unwrap();
    let subscription = Subscription {
        iccid: iccid.to_profile_header(),
        imsi: format!("0010100000{number:05}"),
        ..Subscription::default()
    };
    generic(&subscription).encode()
}

/// Returns an unsigned certificate (7F21) with the public key of the ECASD, which no test verifies.
fn ecasd_certificate(key: &SecretKey) -> Vec<u8> {
    let point = tlv_bytes(Tag(0xB0), &key.public_key().to_sec1());
    let key = tlv_bytes(Tag(0x7F49), &[point, vec![0xF0, 1, 0]].concat());
    tlv_bytes(Tag(0x7F21), &key)
}

impl Terminal {
    /// Starts a card with two profiles: 10 is enabled and has the fall-back attribute, 11 is
    /// disabled. Its SM-SR is at `https_server`.
    pub(crate) fn new(eid: Eid, https_server: Option<SocketAddr>) -> Self {
        let ecasd = SecretKey::from_bytes(Curve::P256, &[0x22; 32]).unwrap();
        let profiles = [0x10, 0x11].map(|number| FactoryProfile {
            isd_p: Aid::isd_p(number),
            package: package(number).into(),
            enabled: number == 0x10,
            fallback: number == 0x10,
            key_sets: Vec::new(),
        });
        let https = https_server.map(|https_server| {
            let trigger = SessionTrigger {
                session: Some(SessionParameters {
                    connection: Some(ChannelParameters {
                        transport: Some(TransportLevel {
                            protocol: TransportProtocol::TcpClient,
                            port: https_server.port(),
                        }),
                        destination: Some(https_server.ip()),
                        ..ChannelParameters::default()
                    }),
                    http: Some(HttpParameters {
                        host: Some("sm-sr.example".into()),
                        agent_id: None,
                        uri: Some("/es5".into()),
                    }),
                    ..SessionParameters::default()
                }),
                dns: None,
            };
            tlv::split(&trigger.to_bytes()).unwrap().1.to_vec().into()
        });
        let psk = Key { id: 1, kind: KeyKind::TlsPsk, value: PSK.into() };
        let description = CardDescription {
            m2m: Some(Box::new(M2mDescription {
                ecasd_certificate: ecasd_certificate(&ecasd).into(),
                ecasd_key: [0x22; 32].into(),
                ci_public_key: ecasd.public_key().to_sec1().into(),
                sin: Default::default(),
                sdin: Default::default(),
                key_sets: vec![
                    KeySet::of_three(1, [KIC, KID, [0x44; 16]], 0),
                    KeySet { version: 0x40, keys: vec![psk], counter: 0 },
                ],
                addressing: Addressing {
                    sms: Some(SM_SR.parse::<Address>().unwrap().value().into()),
                    https,
                    dns: None,
                },
                profiles: profiles.to_vec(),
                toolkit: Default::default(),
            })),
            ..CardDescription::default_for(eid, &[])
        };
        let world = World::new(ManualClock::at(start()), SeededRandom::from_text("card"));
        let card = Card::open(description, RamMemory::default(), world).unwrap();
        let mut terminal = Self {
            card,
            channel: None,
            received: Vec::new(),
            sent: Vec::new(),
            refresh: false,
            opened: 0,
            cut_after: None,
        };
        terminal.start();
        terminal
    }

    /// Switches the card on, with the terminal profile and a network.
    fn start(&mut self) {
        self.card.reset();
        self.channel = None;
        self.refresh = false;
        self.apdu(0x10, &TerminalProfile::of(&FACILITIES, 1).0);
        let location =
            Some(LocationInformation { plmn: [0x00, 0xF1, 0x10], area_and_cell: vec![0, 1, 0, 2] });
        let event = EventDownload::LocationStatus { status: LocationStatus::Normal, location };
        self.envelope(&Envelope::EventDownload(event));
    }

    /// Delivers a short message to the card. Returns the data of the delivery report.
    pub(crate) fn message(&mut self, user_data: &[u8]) -> Vec<u8> {
        let user_data = UserData::parse(user_data, true).unwrap();
        let tpdu = SmsDeliver::data_download(SM_SR.parse().unwrap(), [0; 7], user_data).to_bytes();
        self.envelope(&Envelope::SmsPpDownload { service_centre: None, tpdu })
    }

    fn envelope(&mut self, envelope: &Envelope) -> Vec<u8> {
        self.apdu(0xC2, &envelope.to_bytes())
    }

    /// Polls the card with STATUS, which also advances its time.
    pub(crate) fn status(&mut self) {
        self.apdu(0xF2, &[]);
    }

    /// Sends an APDU of class 80, and executes the resulting proactive commands.
    fn apdu(&mut self, ins: u8, data: &[u8]) -> Vec<u8> {
        let length = u8::try_from(data.len()).unwrap();
        let (answer, mut next) = self.exchange(&[&[0x80, ins, 0, 0, length][..], data].concat());
        while let Some(length) = next.take() {
            let (command, _) = self.exchange(&[0x80, 0x12, 0, 0, length]);
            let command = Proactive::parse(&command).unwrap();
            let response = self.perform(&command).to_bytes();
            let length = u8::try_from(response.len()).unwrap();
            (_, next) = self.exchange(&[&[0x80, 0x14, 0, 0, length][..], &response].concat());
        }
        if self.refresh {
            self.start();
        }
        answer
    }

    /// Sends an APDU. Returns the response, and the length of a pending proactive command.
    fn exchange(&mut self, apdu: &[u8]) -> (Vec<u8>, Option<u8>) {
        let mut answer = self.card.transmit(apdu);
        let mut status = answer.split_off(answer.len() - 2);
        while status[0] == 0x61 {
            let mut more = self.card.transmit(&[0, 0xC0, 0, 0, status[1]]);
            status = more.split_off(more.len() - 2);
            answer.extend(more);
        }
        match status[..] {
            [0x91, length] => (answer, Some(length)),
            [0x90, 0x00] => (answer, None),
            _ => panic!("{} to {}", hex::encode(status), hex::encode(apdu)),
        }
    }

    fn perform(&mut self, command: &Proactive) -> TerminalResponse {
        let response = match &command.command {
            Command::SendShortMessage { tpdu, .. } => {
                self.sent.push(SmsSubmit::parse(tpdu).unwrap().user_data.to_bytes());
                Response::None
            }
            Command::Refresh(_) => {
                self.refresh = true;
                Response::None
            }
            Command::PollInterval(interval) => Response::PollInterval(*interval),
            Command::ProvideLocalInformation(LocalInformation::Location) => {
                Response::Location(LocationInformation {
                    plmn: [0x00, 0xF1, 0x10],
                    area_and_cell: vec![0, 1, 0, 2],
                })
            }
            Command::ProvideLocalInformation(_) => {
                Response::Imei(Imei::of_digits("356938035643809").unwrap())
            }
            Command::TimerManagement { timer, .. } => Response::Timer { timer: *timer, left: None },
            Command::OpenChannel(open) => {
                let to = SocketAddr::new(
                    open.parameters.destination.unwrap(),
                    open.parameters.transport.unwrap().port,
                );
                let channel = TcpStream::connect(to).unwrap();
                channel.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                self.channel = Some(channel);
                self.received.clear();
                self.opened += 1;
                Response::Channel {
                    status: Some(ChannelStatus { channel: 1, state: ChannelState::Open }),
                    bearer: open.parameters.bearer.clone().unwrap(),
                    buffer_size: open.parameters.buffer_size.unwrap(),
                }
            }
            Command::CloseChannel { .. } => {
                self.channel = None;
                Response::None
            }
            Command::SendData { data, .. } => {
                if let Some(left) = &mut self.cut_after {
                    *left -= 1;
                    if *left == 0 {
                        self.cut_after = None;
                        self.channel = None;
                    }
                }
                if let Some(channel) = &mut self.channel {
                    channel.write_all(data).unwrap();
                }
                Response::Sent { free: 0xFF }
            }
            Command::ReceiveData { length, .. } => {
                let rest = self.received.split_off(self.received.len().min(usize::from(*length)));
                let data = std::mem::replace(&mut self.received, rest);
                Response::Received { data, left: u8::try_from(self.received.len()).unwrap_or(0xFF) }
            }
            Command::MoreTime | Command::PollingOff | Command::SetUpEventList(_) => Response::None,
            Command::GetChannelStatus => Response::ChannelStatuses(Vec::new()),
        };
        TerminalResponse::performed(command, response)
    }

    /// Forwards data of the channel to the card until the card closes the channel or the
    /// connection is cut.
    pub(crate) fn serve_channel(&mut self) {
        while let Some(channel) = &mut self.channel {
            let mut octets = [0; 1024];
            let count = channel.read(&mut octets).expect("the server sends data in time");
            if count == 0 {
                self.channel = None;
                break;
            }
            self.received.extend(&octets[..count]);
            let length = u8::try_from(self.received.len()).unwrap_or(0xFF);
            let status = ChannelStatus { channel: 1, state: ChannelState::Open };
            self.envelope(&Envelope::EventDownload(EventDownload::DataAvailable { status, length }));
        }
        let status = ChannelStatus { channel: 1, state: ChannelState::Dropped };
        self.envelope(&Envelope::EventDownload(EventDownload::ChannelStatus(status)));
    }

    pub(crate) fn has_channel(&self) -> bool {
        self.channel.is_some()
    }
}
