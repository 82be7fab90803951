//! TERMINAL RESPONSE: TS 102 223 section 6.8. The terminal encodes, the card decodes.

use serde::{Deserialize, Serialize};

use super::objects::{
    Bearer, ChannelStatus, CommandDetails, Device, Duration, Imei, LocationInformation, TimerValue,
};
use super::proactive::{Command, CommandKind, LocalInformation, Proactive, timer_identifier};
use super::tlv::{Elements, Required, Tag, write};
use crate::der::DecodeError;
use crate::ota::octets::{Octets, hex_text};

/// The result of a command, section 8.12.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GeneralResult(pub u8);

impl GeneralResult {
    /// Command performed successfully.
    pub const PERFORMED: Self = Self(0x00);
    /// Command performed with modifications.
    pub const PERFORMED_WITH_MODIFICATION: Self = Self(0x07);
    /// Terminal currently unable to process the command.
    pub const TERMINAL_UNABLE: Self = Self(0x20);
    /// Network currently unable to process the command.
    pub const NETWORK_UNABLE: Self = Self(0x21);
    /// Action in contradiction with the current timer state.
    pub const TIMER_CONTRADICTION: Self = Self(0x24);
    /// Command beyond the terminal's capabilities.
    pub const BEYOND_CAPABILITIES: Self = Self(0x30);
    /// Command type not understood by the terminal.
    pub const TYPE_NOT_UNDERSTOOD: Self = Self(0x31);
    /// Command data not understood by the terminal.
    pub const DATA_NOT_UNDERSTOOD: Self = Self(0x32);
    /// The network rejected the short message: TS 31.111 section 8.12.
    pub const SMS_RP_ERROR: Self = Self(0x35);
    /// Required values are missing.
    pub const VALUES_MISSING: Self = Self(0x36);
    /// Bearer independent protocol error, detailed by [`BipCause`].
    pub const BIP_ERROR: Self = Self(0x3A);

    /// True for `0X` and `1X`: the command was performed.
    pub const fn is_performed(self) -> bool {
        self.0 < 0x20
    }

    /// True for `2X`: the card may retry the command.
    pub const fn is_temporary(self) -> bool {
        self.0 >> 4 == 2
    }
}

/// The additional information of a BIP error, section 8.12.11.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BipCause(pub u8);

impl BipCause {
    /// No specific cause.
    pub const NONE: Self = Self(0x00);
    /// No channel available.
    pub const NO_CHANNEL: Self = Self(0x01);
    /// Channel closed.
    pub const CHANNEL_CLOSED: Self = Self(0x02);
    /// Channel identifier not valid.
    pub const CHANNEL_NOT_VALID: Self = Self(0x03);
    /// Requested buffer size not available.
    pub const BUFFER_SIZE: Self = Self(0x04);
    /// Transport level not available.
    pub const TRANSPORT_LEVEL: Self = Self(0x06);
    /// Remote device not reachable.
    pub const NOT_REACHABLE: Self = Self(0x07);
}

/// A terminal response: the details of the command, the result and the response data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminalResponse {
    /// The command details, repeated from the command.
    pub details: CommandDetails,
    /// The general result.
    pub result: GeneralResult,
    /// Additional information on the result.
    pub additional: Vec<u8>,
    /// The response data.
    pub response: Response,
}

/// The response data of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// No response data.
    None,
    /// POLL INTERVAL: the interval that the terminal will use.
    PollInterval(Duration),
    /// PROVIDE LOCAL INFORMATION: location.
    Location(LocationInformation),
    /// PROVIDE LOCAL INFORMATION: IMEI.
    Imei(Imei),
    /// PROVIDE LOCAL INFORMATION: IMEISV, in the encoding of TS 24.008.
    Imeisv(#[serde(with = "hex_text")] Vec<u8>),
    /// TIMER MANAGEMENT.
    Timer {
        /// The timer, 1 to 8.
        timer: u8,
        /// The remaining time.
        left: Option<TimerValue>,
    },
    /// OPEN CHANNEL. A failed command has a response without a status.
    Channel {
        /// The channel and its state.
        status: Option<ChannelStatus>,
        /// The bearer of the channel.
        bearer: Bearer,
        /// The buffer size.
        buffer_size: u16,
    },
    /// RECEIVE DATA.
    Received {
        /// The received data.
        #[serde(with = "hex_text")]
        data: Vec<u8>,
        /// The number of remaining octets; FF for 255 and more.
        left: u8,
    },
    /// SEND DATA.
    Sent {
        /// The free space in the buffer in octets; FF for 255 and more.
        free: u8,
    },
    /// GET CHANNEL STATUS: the status of every channel.
    ChannelStatuses(Vec<ChannelStatus>),
}

impl TerminalResponse {
    /// Creates the response to a performed command.
    pub fn performed(to: &Proactive, response: Response) -> Self {
        Self::of(to, GeneralResult::PERFORMED, Vec::new(), response)
    }

    /// Creates a response with this result.
    pub fn of(to: &Proactive, result: GeneralResult, additional: Vec<u8>, response: Response) -> Self {
        Self { details: to.details(), result, additional, response }
    }

    /// Creates the response to a command that this terminal cannot decode. Returns `None` if even
    /// the command details cannot be decoded.
    pub fn refusing(octets: &[u8], result: GeneralResult) -> Option<Self> {
        let contents = super::proactive::contents(octets, crate::der::Tag(0xD0)).ok()?;
        let details = CommandDetails::find(&Elements::parse(contents).ok()?).ok()?;
        Some(Self { details, result, additional: Vec::new(), response: Response::None })
    }

    /// Encodes the data of TERMINAL RESPONSE.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.details.write(&mut out);
        Device::write_pair(Device::Terminal, Device::Uicc, &mut out);
        write(Tag::RESULT, Required::Yes, &[&[self.result.0], self.additional.as_slice()].concat(), &mut out);
        self.response.write(&mut out);
        out
    }

    /// Decodes the data of TERMINAL RESPONSE.
    ///
    /// # Errors
    /// The octets are not a terminal response, or the response is malformed.
    pub fn parse(octets: &[u8]) -> Result<Self, DecodeError> {
        let elements = Elements::parse(Octets::new(octets))?;
        let details = CommandDetails::find(&elements)?;
        let (result, additional) = elements.mandatory(Tag::RESULT, |reader| {
            Ok((GeneralResult(reader.octet()?), reader.take_rest().to_vec()))
        })?;
        let response = Response::find(details, &elements)?;
        Ok(Self { details, result, additional, response })
    }

    /// True if this is the response to the command.
    pub fn answers(&self, command: &Proactive) -> bool {
        self.details == command.details()
    }

    /// Returns the cause of a BIP error.
    pub fn bip_cause(&self) -> Option<BipCause> {
        (self.result == GeneralResult::BIP_ERROR)
            .then(|| BipCause(self.additional.first().copied().unwrap_or(BipCause::NONE.0)))
    }
}

impl Proactive {
    /// Returns the command details.
    pub fn details(&self) -> CommandDetails {
        let (kind, qualifier) = self.command.kind_and_qualifier();
        CommandDetails { number: self.number, kind: kind as u8, qualifier }
    }
}

impl Response {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::None => {}
            Self::PollInterval(duration) => duration.write(out),
            Self::Location(location) => location.write(out),
            Self::Imei(imei) => write(Tag::IMEI, Required::Yes, &imei.0, out),
            Self::Imeisv(octets) => write(Tag::IMEISV, Required::Yes, octets, out),
            Self::Timer { timer, left } => {
                write(Tag::TIMER_IDENTIFIER, Required::Yes, &[*timer], out);
                if let Some(left) = left {
                    write(Tag::TIMER_VALUE, Required::Yes, &left.to_bytes(), out);
                }
            }
            Self::Channel { status, bearer, buffer_size } => {
                if let Some(status) = status {
                    status.write(out);
                }
                bearer.write(out);
                write(Tag::BUFFER_SIZE, Required::Yes, &buffer_size.to_be_bytes(), out);
            }
            Self::Received { data, left } => {
                write(Tag::CHANNEL_DATA, Required::Yes, data, out);
                write(Tag::CHANNEL_DATA_LENGTH, Required::Yes, &[*left], out);
            }
            Self::Sent { free } => write(Tag::CHANNEL_DATA_LENGTH, Required::Yes, &[*free], out),
            Self::ChannelStatuses(statuses) => statuses.iter().for_each(|status| status.write(out)),
        }
    }

    fn find(details: CommandDetails, elements: &Elements<'_>) -> Result<Self, DecodeError> {
        let statuses = || {
            elements
                .all(Tag::CHANNEL_STATUS)
                .map(|mut status| ChannelStatus::read(&mut status))
                .collect::<Result<Vec<_>, _>>()
        };
        let length = || elements.optional(Tag::CHANNEL_DATA_LENGTH, Octets::octet);
        let found = match CommandKind::of(details.kind) {
            Some(CommandKind::PollInterval) => {
                elements.optional(Tag::DURATION, Duration::read)?.map(Self::PollInterval)
            }
            Some(CommandKind::ProvideLocalInformation) => {
                match elements.optional(Tag::LOCATION_INFORMATION, LocationInformation::read)? {
                    Some(location) => Some(Self::Location(location)),
                    None => match elements.optional(Tag::IMEI, Octets::array)? {
                        Some(imei) => Some(Self::Imei(Imei(imei))),
                        None => elements
                            .optional(Tag::IMEISV, |reader| Ok(reader.take_rest().to_vec()))?
                            .map(Self::Imeisv),
                    },
                }
            }
            Some(CommandKind::TimerManagement) => {
                let left = elements.optional(Tag::TIMER_VALUE, TimerValue::read)?;
                elements
                    .optional(Tag::TIMER_IDENTIFIER, timer_identifier)?
                    .map(|timer| Self::Timer { timer, left })
            }
            Some(CommandKind::OpenChannel) => {
                let status = statuses()?.first().copied();
                let buffer_size = elements.optional(Tag::BUFFER_SIZE, Octets::number16)?;
                Bearer::find(elements)?.zip(buffer_size).map(|(bearer, buffer_size)| Self::Channel {
                    status,
                    bearer,
                    buffer_size,
                })
            }
            Some(CommandKind::ReceiveData) => {
                let left = length()?;
                elements
                    .optional(Tag::CHANNEL_DATA, |reader| Ok(reader.take_rest().to_vec()))?
                    .zip(left)
                    .map(|(data, left)| Self::Received { data, left })
            }
            Some(CommandKind::SendData) => length()?.map(|free| Self::Sent { free }),
            Some(CommandKind::GetChannelStatus) => Some(Self::ChannelStatuses(statuses()?)),
            _ => None,
        };
        Ok(found.unwrap_or(Self::None))
    }
}

impl LocalInformation {
    /// True if the response contains the requested information.
    pub const fn is_answered_by(self, response: &Response) -> bool {
        matches!(
            (self, response),
            (Self::Location, Response::Location(_))
                | (Self::Imei, Response::Imei(_))
                | (Self::Imeisv, Response::Imeisv(_))
        )
    }
}

impl Command {
    fn kind_and_qualifier(&self) -> (CommandKind, u8) {
        let (kind, qualifier, _) = self.details();
        (kind, qualifier)
    }
}
