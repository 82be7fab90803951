//! Proactive commands: TS 102 223 section 6.6, TS 31.111 section 6.6. The card encodes, the
//! terminal decodes.

use serde::{Deserialize, Serialize};

use super::objects::{ChannelParameters, CommandDetails, Device, Duration, Event, TimerValue};
use super::tlv::{Elements, Required, Tag, write};
use crate::der::{DecodeError, write_tlv};
use crate::ota::octets::{Octets, hex_text};
use crate::ota::sms::Address;

/// The tag of a proactive command.
const PROACTIVE: crate::der::Tag = crate::der::Tag(0xD0);

/// A proactive command with its command number, which the response repeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proactive {
    /// Command number, 1 to 254.
    pub number: u8,
    /// The command.
    pub command: Command,
}

/// A command to the terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// REFRESH.
    Refresh(RefreshMode),
    /// MORE TIME.
    MoreTime,
    /// POLL INTERVAL.
    PollInterval(Duration),
    /// POLLING OFF.
    PollingOff,
    /// SET UP EVENT LIST; an empty list removes all events.
    SetUpEventList(Vec<Event>),
    /// SEND SHORT MESSAGE.
    SendShortMessage {
        /// The service centre; if absent, the terminal's default.
        service_centre: Option<Address>,
        /// SMS-SUBMIT.
        #[serde(with = "hex_text")]
        tpdu: Vec<u8>,
    },
    /// PROVIDE LOCAL INFORMATION.
    ProvideLocalInformation(LocalInformation),
    /// TIMER MANAGEMENT.
    TimerManagement {
        /// The timer, 1 to 8.
        timer: u8,
        /// The action on the timer.
        action: TimerAction,
    },
    /// OPEN CHANNEL.
    OpenChannel(OpenChannel),
    /// CLOSE CHANNEL.
    CloseChannel {
        /// The channel, 1 to 7.
        channel: u8,
    },
    /// RECEIVE DATA.
    ReceiveData {
        /// The channel, 1 to 7.
        channel: u8,
        /// The maximum number of octets to return.
        length: u8,
    },
    /// SEND DATA.
    SendData {
        /// The channel, 1 to 7.
        channel: u8,
        /// True if the terminal sends the data immediately; false if it only stores them in the
        /// buffer.
        immediately: bool,
        /// The data.
        #[serde(with = "hex_text")]
        data: Vec<u8>,
    },
    /// GET CHANNEL STATUS.
    GetChannelStatus,
}

/// Type of command, section 9.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandKind {
    /// REFRESH.
    Refresh = 0x01,
    /// MORE TIME.
    MoreTime = 0x02,
    /// POLL INTERVAL.
    PollInterval = 0x03,
    /// POLLING OFF.
    PollingOff = 0x04,
    /// SET UP EVENT LIST.
    SetUpEventList = 0x05,
    /// SEND SHORT MESSAGE.
    SendShortMessage = 0x13,
    /// PROVIDE LOCAL INFORMATION.
    ProvideLocalInformation = 0x26,
    /// TIMER MANAGEMENT.
    TimerManagement = 0x27,
    /// OPEN CHANNEL.
    OpenChannel = 0x40,
    /// CLOSE CHANNEL.
    CloseChannel = 0x41,
    /// RECEIVE DATA.
    ReceiveData = 0x42,
    /// SEND DATA.
    SendData = 0x43,
    /// GET CHANNEL STATUS.
    GetChannelStatus = 0x44,
}

impl CommandKind {
    /// Decodes the type of command. Returns `None` for commands that remote provisioning does not
    /// require.
    pub const fn of(code: u8) -> Option<Self> {
        Some(match code {
            0x01 => Self::Refresh,
            0x02 => Self::MoreTime,
            0x03 => Self::PollInterval,
            0x04 => Self::PollingOff,
            0x05 => Self::SetUpEventList,
            0x13 => Self::SendShortMessage,
            0x26 => Self::ProvideLocalInformation,
            0x27 => Self::TimerManagement,
            0x40 => Self::OpenChannel,
            0x41 => Self::CloseChannel,
            0x42 => Self::ReceiveData,
            0x43 => Self::SendData,
            0x44 => Self::GetChannelStatus,
            _ => return None,
        })
    }
}

/// The qualifier of REFRESH, section 8.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RefreshMode {
    /// 04: the terminal resets the card.
    UiccReset,
    /// 09: eUICC Profile State Change.
    ProfileStateChange,
    /// Another mode, for changed files or the initialisation of an application.
    Other(u8),
}

impl RefreshMode {
    /// Returns the encoded octet.
    pub const fn code(self) -> u8 {
        match self {
            Self::UiccReset => 0x04,
            Self::ProfileStateChange => 0x09,
            Self::Other(code) => code,
        }
    }

    const fn of(code: u8) -> Self {
        match code {
            0x04 => Self::UiccReset,
            0x09 => Self::ProfileStateChange,
            other => Self::Other(other),
        }
    }
}

/// The qualifier of PROVIDE LOCAL INFORMATION, section 8.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LocalInformation {
    /// 00: location (MCC, MNC, area, cell).
    Location,
    /// 01: IMEI.
    Imei,
    /// 08: IMEISV.
    Imeisv,
}

/// The qualifier of TIMER MANAGEMENT, section 8.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TimerAction {
    /// 00: start.
    Start(TimerValue),
    /// 01: deactivate.
    Deactivate,
    /// 02: get the remaining time.
    TimeLeft,
}

/// OPEN CHANNEL for packet data, section 6.6.27.3 and 6.6.27.4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenChannel {
    /// True if the link is established immediately; false if it is established with the first data.
    pub immediate: bool,
    /// True if a dropped link is established again.
    pub automatic_reconnection: bool,
    /// The channel parameters.
    pub parameters: ChannelParameters,
}

impl Proactive {
    /// Encodes the command as FETCH returns it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (kind, qualifier, destination) = self.command.details();
        let mut contents = Vec::new();
        CommandDetails { number: self.number, kind: kind as u8, qualifier }.write(&mut contents);
        Device::write_pair(Device::Uicc, destination, &mut contents);
        self.command.write(&mut contents);
        let mut out = Vec::new();
        write_tlv(PROACTIVE, &contents, &mut out);
        out
    }

    /// Decodes the command as FETCH returned it.
    ///
    /// # Errors
    /// The octets are not a proactive command, the command is unsupported, or it is malformed.
    pub fn parse(octets: &[u8]) -> Result<Self, DecodeError> {
        let elements = Elements::parse(contents(octets, PROACTIVE)?)?;
        let details = CommandDetails::find(&elements)?;
        let (source, destination) = Device::find_pair(&elements)?;
        let start = elements.require(Tag::COMMAND_DETAILS)?;
        if source != Device::Uicc {
            return Err(start
                .bad("the source of a proactive command must be the card")
                .within("device identities"));
        }
        let kind = CommandKind::of(details.kind)
            .ok_or(start.bad("unsupported proactive command").within("command details"))?;
        let command = Command::find(kind, details.qualifier, destination, &elements, start)?;
        Ok(Self { number: details.number, command })
    }
}

/// Returns the contents of the single BER-TLV in `octets`.
pub(super) fn contents(octets: &[u8], tag: crate::der::Tag) -> Result<Octets<'_>, DecodeError> {
    let mut reader = crate::der::Reader::new(octets);
    let contents = reader.contents(tag)?;
    reader.finish()?;
    Ok(Octets::at(contents, octets.len().saturating_sub(contents.len())))
}

impl Command {
    /// Returns the type of command.
    pub fn kind(&self) -> CommandKind {
        self.details().0
    }

    /// Returns type, qualifier and destination.
    pub(super) fn details(&self) -> (CommandKind, u8, Device) {
        use Device::{Channel, Network, Terminal};
        match self {
            Self::Refresh(mode) => (CommandKind::Refresh, mode.code(), Terminal),
            Self::MoreTime => (CommandKind::MoreTime, 0, Terminal),
            Self::PollInterval(_) => (CommandKind::PollInterval, 0, Terminal),
            Self::PollingOff => (CommandKind::PollingOff, 0, Terminal),
            Self::SetUpEventList(_) => (CommandKind::SetUpEventList, 0, Terminal),
            Self::SendShortMessage { .. } => (CommandKind::SendShortMessage, 0, Network),
            Self::ProvideLocalInformation(what) => {
                let qualifier = match what {
                    LocalInformation::Location => 0x00,
                    LocalInformation::Imei => 0x01,
                    LocalInformation::Imeisv => 0x08,
                };
                (CommandKind::ProvideLocalInformation, qualifier, Terminal)
            }
            Self::TimerManagement { action, .. } => {
                let qualifier = match action {
                    TimerAction::Start(_) => 0x00,
                    TimerAction::Deactivate => 0x01,
                    TimerAction::TimeLeft => 0x02,
                };
                (CommandKind::TimerManagement, qualifier, Terminal)
            }
            Self::OpenChannel(channel) => {
                let bit = |set: bool, bit: u8| if set { bit } else { 0 };
                let qualifier = bit(channel.immediate, 0x01) | bit(channel.automatic_reconnection, 0x02);
                (CommandKind::OpenChannel, qualifier, Terminal)
            }
            Self::CloseChannel { channel } => (CommandKind::CloseChannel, 0, Channel(*channel)),
            Self::ReceiveData { channel, .. } => (CommandKind::ReceiveData, 0, Channel(*channel)),
            Self::SendData { channel, immediately, .. } => {
                (CommandKind::SendData, u8::from(*immediately), Channel(*channel))
            }
            Self::GetChannelStatus => (CommandKind::GetChannelStatus, 0, Terminal),
        }
    }

    /// Writes the objects after command details and device identities.
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::PollInterval(duration) => duration.write(out),
            Self::SetUpEventList(events) => {
                let events: Vec<u8> = events.iter().map(|event| event.0).collect();
                write(Tag::EVENT_LIST, Required::Yes, &events, out);
            }
            Self::SendShortMessage { service_centre, tpdu } => {
                if let Some(address) = service_centre {
                    write(Tag::ADDRESS, Required::Yes, &address.value(), out);
                }
                write(Tag::SMS_TPDU, Required::Yes, tpdu, out);
            }
            Self::TimerManagement { timer, action } => {
                write(Tag::TIMER_IDENTIFIER, Required::Yes, &[*timer], out);
                if let TimerAction::Start(value) = action {
                    write(Tag::TIMER_VALUE, Required::Yes, &value.to_bytes(), out);
                }
            }
            Self::OpenChannel(channel) => channel.parameters.write(out),
            Self::ReceiveData { length, .. } => {
                write(Tag::CHANNEL_DATA_LENGTH, Required::Yes, &[*length], out)
            }
            Self::SendData { data, .. } => write(Tag::CHANNEL_DATA, Required::Yes, data, out),
            Self::Refresh(_)
            | Self::MoreTime
            | Self::PollingOff
            | Self::ProvideLocalInformation(_)
            | Self::CloseChannel { .. }
            | Self::GetChannelStatus => {}
        }
    }

    fn find(
        kind: CommandKind,
        qualifier: u8,
        destination: Device,
        elements: &Elements<'_>,
        details: Octets<'_>,
    ) -> Result<Self, DecodeError> {
        let unknown = || details.bad("unsupported command qualifier").within("command details");
        let channel = || match destination {
            Device::Channel(channel) => Ok(channel),
            _ => Err(details
                .bad("the destination of the command must be a channel")
                .within("device identities")),
        };
        Ok(match kind {
            CommandKind::Refresh => Self::Refresh(RefreshMode::of(qualifier)),
            CommandKind::MoreTime => Self::MoreTime,
            CommandKind::PollInterval => {
                Self::PollInterval(elements.mandatory(Tag::DURATION, Duration::read)?)
            }
            CommandKind::PollingOff => Self::PollingOff,
            CommandKind::SetUpEventList => {
                let events = elements.mandatory(Tag::EVENT_LIST, |reader| Ok(reader.take_rest()))?;
                Self::SetUpEventList(events.iter().map(|event| Event(*event)).collect())
            }
            CommandKind::SendShortMessage => {
                // The request that the terminal packs the text to septets is refused: it is
                // obsolete, and packing would change the TPDU.
                if qualifier & 0x01 != 0 {
                    return Err(unknown());
                }
                Self::SendShortMessage {
                    service_centre: elements
                        .optional(Tag::ADDRESS, |reader| Address::from_value(reader.take_rest()))?,
                    tpdu: elements.mandatory(Tag::SMS_TPDU, |reader| Ok(reader.take_rest().to_vec()))?,
                }
            }
            CommandKind::ProvideLocalInformation => Self::ProvideLocalInformation(match qualifier {
                0x00 => LocalInformation::Location,
                0x01 => LocalInformation::Imei,
                0x08 => LocalInformation::Imeisv,
                _ => return Err(unknown()),
            }),
            CommandKind::TimerManagement => Self::TimerManagement {
                timer: elements.mandatory(Tag::TIMER_IDENTIFIER, timer_identifier)?,
                action: match qualifier {
                    0x00 => TimerAction::Start(elements.mandatory(Tag::TIMER_VALUE, TimerValue::read)?),
                    0x01 => TimerAction::Deactivate,
                    0x02 => TimerAction::TimeLeft,
                    _ => return Err(unknown()),
                },
            },
            CommandKind::OpenChannel => {
                let parameters = ChannelParameters::find(elements)?;
                // Section 6.6.27: these two objects are mandatory for every bearer.
                elements.require(Tag::BEARER_DESCRIPTION)?;
                elements.require(Tag::BUFFER_SIZE)?;
                Self::OpenChannel(OpenChannel {
                    immediate: qualifier & 0x01 != 0,
                    automatic_reconnection: qualifier & 0x02 != 0,
                    parameters,
                })
            }
            CommandKind::CloseChannel => Self::CloseChannel { channel: channel()? },
            CommandKind::ReceiveData => Self::ReceiveData {
                channel: channel()?,
                length: elements.mandatory(Tag::CHANNEL_DATA_LENGTH, Octets::octet)?,
            },
            CommandKind::SendData => Self::SendData {
                channel: channel()?,
                immediately: qualifier & 0x01 != 0,
                data: elements.mandatory(Tag::CHANNEL_DATA, |reader| Ok(reader.take_rest().to_vec()))?,
            },
            CommandKind::GetChannelStatus => Self::GetChannelStatus,
        })
    }
}

/// Timer identifier, section 8.37.
pub(super) fn timer_identifier(reader: &mut Octets<'_>) -> Result<u8, DecodeError> {
    let bad = reader.bad("the timer must be 1 to 8");
    match reader.octet()? {
        timer @ 1..=8 => Ok(timer),
        _ => Err(bad),
    }
}
