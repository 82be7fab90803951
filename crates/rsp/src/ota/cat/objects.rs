//! The data objects used in commands, responses and envelopes: TS 102 223 section 8.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::tlv::{Elements, Required, Tag, write};
use crate::der::DecodeError;
use crate::finding::{FindingKind, report};
use crate::ota::octets::{Octets, hex_text};

/// Command details, section 8.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommandDetails {
    /// Command number, which the response repeats.
    pub number: u8,
    /// Type of command.
    pub kind: u8,
    /// Command qualifier.
    pub qualifier: u8,
}

impl CommandDetails {
    pub(super) fn write(self, out: &mut Vec<u8>) {
        write(Tag::COMMAND_DETAILS, Required::Yes, &[self.number, self.kind, self.qualifier], out);
    }

    pub(super) fn find(elements: &Elements<'_>) -> Result<Self, DecodeError> {
        let [number, kind, qualifier] = elements.mandatory(Tag::COMMAND_DETAILS, Octets::array)?;
        Ok(Self { number, kind, qualifier })
    }
}

/// Source or destination of a command, section 8.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// The card.
    Uicc,
    /// The terminal.
    Terminal,
    /// The network.
    Network,
    /// A channel, 1 to 7.
    Channel(u8),
}

impl Device {
    /// Returns the encoded octet.
    pub const fn code(self) -> u8 {
        match self {
            Self::Uicc => 0x81,
            Self::Terminal => 0x82,
            Self::Network => 0x83,
            Self::Channel(number) => 0x20 | number & 0x07,
        }
    }

    const fn of(code: u8) -> Option<Self> {
        match code {
            0x81 => Some(Self::Uicc),
            0x82 => Some(Self::Terminal),
            0x83 => Some(Self::Network),
            0x21..=0x27 => Some(Self::Channel(code & 0x07)),
            _ => None,
        }
    }

    pub(super) fn write_pair(source: Self, destination: Self, out: &mut Vec<u8>) {
        write(Tag::DEVICE_IDENTITIES, Required::Yes, &[source.code(), destination.code()], out);
    }

    /// Decodes the source and the destination device.
    pub(super) fn find_pair(elements: &Elements<'_>) -> Result<(Self, Self), DecodeError> {
        elements.mandatory(Tag::DEVICE_IDENTITIES, |reader| {
            let bad = reader.bad("unsupported device identity");
            let [source, destination] = reader.array()?;
            Self::of(source).zip(Self::of(destination)).ok_or(bad)
        })
    }
}

/// Duration, section 8.8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Duration {
    /// Minutes.
    Minutes(u8),
    /// Seconds.
    Seconds(u8),
    /// Tenths of a second.
    Tenths(u8),
}

impl Duration {
    /// Converts to a standard duration.
    pub const fn as_time(self) -> std::time::Duration {
        match self {
            Self::Minutes(count) => std::time::Duration::from_secs(60 * count as u64),
            Self::Seconds(count) => std::time::Duration::from_secs(count as u64),
            Self::Tenths(count) => std::time::Duration::from_millis(100 * count as u64),
        }
    }

    /// Returns the nearest duration that can be encoded, at least one tenth of a second and at most
    /// 255 minutes.
    pub fn nearest(time: std::time::Duration) -> Self {
        let tenths = time.as_millis().div_ceil(100).max(1);
        let within = |count: u128| u8::try_from(count).ok();
        within(tenths)
            .map(Self::Tenths)
            .or_else(|| within(tenths.div_ceil(10)).map(Self::Seconds))
            .or_else(|| within(tenths.div_ceil(600)).map(Self::Minutes))
            .unwrap_or(Self::Minutes(u8::MAX))
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        let (unit, count) = match self {
            Self::Minutes(count) => (0, count),
            Self::Seconds(count) => (1, count),
            Self::Tenths(count) => (2, count),
        };
        write(Tag::DURATION, Required::Yes, &[unit, count], out);
    }

    pub(super) fn read(reader: &mut Octets<'_>) -> Result<Self, DecodeError> {
        let bad = reader.bad("a duration must be at least 1 minute, second or tenth of a second");
        match reader.array()? {
            [_, 0] => Err(bad),
            [0, count] => Ok(Self::Minutes(count)),
            [1, count] => Ok(Self::Seconds(count)),
            [2, count] => Ok(Self::Tenths(count)),
            _ => Err(bad),
        }
    }
}

/// Timer value, section 8.38: hours, minutes and seconds in swapped digits; less than a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TimerValue(u32);

impl TimerValue {
    /// One second less than 24 hours.
    const MAX: u32 = 24 * 3600 - 1;

    /// Creates a timer value from seconds, limited to less than a day.
    pub fn of_seconds(seconds: u64) -> Self {
        Self(u32::try_from(seconds).unwrap_or(Self::MAX).min(Self::MAX))
    }

    /// Converts to a standard duration.
    pub const fn as_time(self) -> std::time::Duration {
        std::time::Duration::from_secs(self.0 as u64)
    }

    /// Encodes the three octets.
    pub fn to_bytes(self) -> [u8; 3] {
        [self.0 / 3600, self.0 / 60 % 60, self.0 % 60]
            .map(|number| u8::try_from(((number % 10) << 4) | (number / 10)).unwrap_or(0))
    }

    /// Decodes the three octets. Returns `None` if they are not a time of day.
    pub fn of(octets: [u8; 3]) -> Option<Self> {
        let [hours, minutes, seconds] = octets.map(|octet| match (octet & 0x0F, octet >> 4) {
            (tens @ 0..=9, ones @ 0..=9) => Some(u32::from(tens) * 10 + u32::from(ones)),
            _ => None,
        });
        let (hours, minutes, seconds) = (hours?, minutes?, seconds?);
        (hours < 24 && minutes < 60 && seconds < 60).then(|| Self(hours * 3600 + minutes * 60 + seconds))
    }

    pub(super) fn read(reader: &mut Octets<'_>) -> Result<Self, DecodeError> {
        let bad = reader.bad("a timer value must be hours, minutes and seconds in swapped digits");
        Self::of(reader.array()?).ok_or(bad)
    }
}

/// An event of SET UP EVENT LIST, section 8.25.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Event(pub u8);

impl Event {
    /// Location status.
    pub const LOCATION_STATUS: Self = Self(0x03);
    /// Data available.
    pub const DATA_AVAILABLE: Self = Self(0x09);
    /// Channel status.
    pub const CHANNEL_STATUS: Self = Self(0x0A);
    /// Access technology change (single).
    pub const ACCESS_TECHNOLOGY_CHANGE: Self = Self(0x0B);
    /// Network rejection (TS 31.111).
    pub const NETWORK_REJECTION: Self = Self(0x12);
}

/// Location status, section 8.27.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LocationStatus {
    /// Normal service.
    Normal,
    /// Limited service.
    Limited,
    /// No service.
    None,
}

impl LocationStatus {
    pub(super) const fn code(self) -> u8 {
        self as u8
    }

    pub(super) fn read(reader: &mut Octets<'_>) -> Result<Self, DecodeError> {
        let bad = reader.bad("a location status must be 00, 01 or 02");
        match reader.octet()? {
            0 => Ok(Self::Normal),
            1 => Ok(Self::Limited),
            2 => Ok(Self::None),
            _ => Err(bad),
        }
    }
}

/// Location information, section 8.19 and TS 31.111 section 8.19: network, area and cell.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LocationInformation {
    /// MCC and MNC in the encoding of TS 24.008.
    pub plmn: [u8; 3],
    /// LAC or TAC (two octets), followed by the cell (two octets for GSM, four for UTRAN and
    /// E-UTRAN, more for NG-RAN).
    #[serde(with = "hex_text")]
    pub area_and_cell: Vec<u8>,
}

impl LocationInformation {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write(
            Tag::LOCATION_INFORMATION,
            Required::Yes,
            &[self.plmn.as_slice(), &self.area_and_cell].concat(),
            out,
        );
    }

    pub(super) fn read(reader: &mut Octets<'_>) -> Result<Self, DecodeError> {
        let plmn = reader.array()?;
        let bad = reader.bad("area and cell must have 2 to 8 octets");
        let area_and_cell = reader.take_rest().to_vec();
        if (2..=8).contains(&area_and_cell.len()) { Ok(Self { plmn, area_and_cell }) } else { Err(bad) }
    }
}

/// IMEI, section 8.20: the octets of TS 24.008 section 10.5.1.4, including type of identity and
/// parity bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Imei(pub [u8; 8]);

impl Imei {
    /// Creates an IMEI from 15 digits. Returns `None` for any other text.
    pub fn of_digits(digits: &str) -> Option<Self> {
        let mut nibbles = vec![0x0A];
        for digit in digits.chars() {
            nibbles.push(u8::try_from(digit.to_digit(10)?).ok()?);
        }
        let octets: Vec<u8> =
            nibbles.chunks(2).filter_map(|pair| Some(pair.get(1)? << 4 | pair.first()?)).collect();
        (nibbles.len() == 16).then_some(())?;
        octets.try_into().ok().map(Self)
    }

    /// Returns the 15 digits.
    pub fn digits(&self) -> String {
        self.0
            .iter()
            .flat_map(|octet| [octet & 0x0F, octet >> 4])
            .skip(1)
            .map(|n| char::from(b'0' + n))
            .collect()
    }
}

/// Bearer description, section 8.52: the type and its undecoded parameters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bearer {
    /// Bearer type: 02 packet service, 03 the terminal's default for the transport layer, 0B
    /// E-UTRAN.
    pub kind: u8,
    /// Bearer parameters.
    #[serde(with = "hex_text")]
    pub parameters: Vec<u8>,
}

impl Bearer {
    /// The default bearer for the requested transport layer.
    pub const fn default_bearer() -> Self {
        Self { kind: 0x03, parameters: Vec::new() }
    }

    fn read(reader: &mut Octets<'_>) -> Result<Self, DecodeError> {
        Ok(Self { kind: reader.octet()?, parameters: reader.take_rest().to_vec() })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write(
            Tag::BEARER_DESCRIPTION,
            Required::Yes,
            &[&[self.kind], self.parameters.as_slice()].concat(),
            out,
        );
    }

    pub(super) fn find(elements: &Elements<'_>) -> Result<Option<Self>, DecodeError> {
        elements.optional(Tag::BEARER_DESCRIPTION, Self::read)
    }
}

/// The transport protocol of a channel, section 8.59.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TransportProtocol {
    /// 01: UDP, with the card as client.
    UdpClient,
    /// 02: TCP, with the card as client.
    TcpClient,
}

/// UICC/terminal interface transport level, section 8.59: the protocol and the remote port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TransportLevel {
    /// The protocol.
    pub protocol: TransportProtocol,
    /// The port.
    pub port: u16,
}

impl TransportLevel {
    fn read(reader: &mut Octets<'_>) -> Result<Self, DecodeError> {
        let bad = reader.bad("the transport level is not supported; use UDP or TCP with the card as client");
        let protocol = match reader.octet()? {
            0x01 => TransportProtocol::UdpClient,
            0x02 => TransportProtocol::TcpClient,
            _ => return Err(bad),
        };
        Ok(Self { protocol, port: reader.number16()? })
    }

    fn write(self, out: &mut Vec<u8>) {
        let protocol = match self.protocol {
            TransportProtocol::UdpClient => 0x01,
            TransportProtocol::TcpClient => 0x02,
        };
        let [high, low] = self.port.to_be_bytes();
        write(Tag::TRANSPORT_LEVEL, Required::Yes, &[protocol, high, low], out);
    }
}

/// The parameters of a channel in OPEN CHANNEL, in the trigger of an administration session, and
/// among connectivity parameters. All are optional here; the user of the type decides which are
/// required.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChannelParameters {
    /// Bearer description.
    pub bearer: Option<Bearer>,
    /// Buffer size.
    pub buffer_size: Option<u16>,
    /// Network access name, encoded as the label list of TS 23.003 section 9.1.
    pub access_point: Option<AccessPoint>,
    /// Login, encoded with its data coding scheme (04: 8-bit).
    pub login: Option<TextString>,
    /// Password. A password without a login cannot be encoded.
    pub password: Option<TextString>,
    /// Transport level.
    pub transport: Option<TransportLevel>,
    /// Data destination address.
    pub destination: Option<IpAddr>,
}

/// Network access name, section 8.70: an APN.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AccessPoint(pub String);

/// Text string, section 8.15, in 8-bit coding.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TextString(pub String);

impl AccessPoint {
    fn to_bytes(&self) -> Vec<u8> {
        let label = |label: &str| {
            let label = label.as_bytes().get(..label.len().min(63)).unwrap_or_default().to_vec();
            [vec![u8::try_from(label.len()).unwrap_or(0)], label].concat()
        };
        self.0.split('.').flat_map(label).collect()
    }

    fn read(reader: &mut Octets<'_>) -> Result<Self, DecodeError> {
        let bad = reader.bad("an APN must be a sequence of labels, each preceded by its length");
        let mut labels = Vec::new();
        while !reader.is_empty() {
            let label = std::str::from_utf8(reader.field()?.rest()).map_err(|_| bad.clone())?;
            let wellformed =
                !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
            if !wellformed {
                return Err(bad);
            }
            labels.push(label);
        }
        if labels.is_empty() { Err(bad) } else { Ok(Self(labels.join("."))) }
    }
}

/// The data coding scheme of 8-bit text.
const TEXT_8_BIT: u8 = 0x04;

impl TextString {
    fn to_bytes(&self) -> Vec<u8> {
        std::iter::once(TEXT_8_BIT).chain(self.0.bytes()).collect()
    }

    fn read(reader: &mut Octets<'_>) -> Result<Self, DecodeError> {
        let bad = reader.bad("the text is not in 8-bit coding");
        if reader.octet()? & 0x0C != TEXT_8_BIT {
            return Err(bad);
        }
        std::str::from_utf8(reader.take_rest()).map(|text| Self(text.to_owned())).map_err(|_| bad)
    }
}

impl ChannelParameters {
    /// The objects that contain channel parameters.
    const OBJECTS: [Tag; 6] = [
        Tag::BEARER_DESCRIPTION,
        Tag::BUFFER_SIZE,
        Tag::NETWORK_ACCESS_NAME,
        Tag::TEXT_STRING,
        Tag::TRANSPORT_LEVEL,
        Tag::OTHER_ADDRESS,
    ];

    /// Writes the objects in the order of OPEN CHANNEL (section 6.6.27).
    pub fn write(&self, out: &mut Vec<u8>) {
        if let Some(bearer) = &self.bearer {
            bearer.write(out);
        }
        if let Some(size) = self.buffer_size {
            write(Tag::BUFFER_SIZE, Required::Yes, &size.to_be_bytes(), out);
        }
        if let Some(access_point) = &self.access_point {
            write(Tag::NETWORK_ACCESS_NAME, Required::No, &access_point.to_bytes(), out);
        }
        for text in [&self.login, &self.password].into_iter().flatten() {
            write(Tag::TEXT_STRING, Required::No, &text.to_bytes(), out);
        }
        if let Some(transport) = self.transport {
            transport.write(out);
        }
        if let Some(destination) = self.destination {
            write(Tag::OTHER_ADDRESS, Required::Yes, &other_address(destination), out);
        }
    }

    /// Decodes the parameters in a sequence of objects. Other objects are ignored, and are findings.
    ///
    /// # Errors
    /// The octets are not a sequence of objects, or a channel parameter is malformed.
    pub fn parse(octets: Octets<'_>) -> Result<Self, DecodeError> {
        let elements = Elements::parse(octets)?;
        elements.report_unknown("ChannelParameters", &Self::OBJECTS);
        Self::find(&elements)
    }

    pub(super) fn find(elements: &Elements<'_>) -> Result<Self, DecodeError> {
        let mut texts = elements.all(Tag::TEXT_STRING).map(|mut text| TextString::read(&mut text));
        Ok(Self {
            bearer: Bearer::find(elements)?,
            buffer_size: elements.optional(Tag::BUFFER_SIZE, Octets::number16)?,
            access_point: elements.optional(Tag::NETWORK_ACCESS_NAME, AccessPoint::read)?,
            login: texts.next().transpose()?,
            password: texts.next().transpose()?,
            transport: elements.optional(Tag::TRANSPORT_LEVEL, TransportLevel::read)?,
            // The last object with this tag is taken: in front of the transport level, the same tag
            // contains the terminal's own address, which only the terminal uses.
            destination: elements.all(Tag::OTHER_ADDRESS).last().map(read_other_address).transpose()?,
        })
    }
}

/// Other address, section 8.58.
fn other_address(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => std::iter::once(0x21).chain(address.octets()).collect(),
        IpAddr::V6(address) => std::iter::once(0x57).chain(address.octets()).collect(),
    }
}

fn read_other_address(mut reader: Octets<'_>) -> Result<IpAddr, DecodeError> {
    let bad = reader.bad("an address must be 21 with 4 octets (IPv4) or 57 with 16 (IPv6)");
    let address = match reader.octet()? {
        0x21 => IpAddr::from(reader.array::<4>()?),
        0x57 => IpAddr::from(reader.array::<16>()?),
        _ => return Err(bad),
    };
    if !reader.is_empty() {
        report(FindingKind::LongValue, || format!("other address: {} further octets", reader.rest().len()));
    }
    Ok(address)
}

/// Channel status, section 8.56.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChannelStatus {
    /// The channel, 1 to 7; 0 if no channel is open.
    pub channel: u8,
    /// The state of the channel.
    pub state: ChannelState,
}

/// The state of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChannelState {
    /// The link is not established.
    Closed,
    /// The link is established.
    Open,
    /// The link was dropped.
    Dropped,
}

/// b8 of the first octet: the link is established.
const LINK_ESTABLISHED: u8 = 0x80;
/// The second octet: the link was dropped.
const LINK_DROPPED: u8 = 0x05;

impl ChannelStatus {
    /// Encodes the two octets.
    pub const fn to_bytes(self) -> [u8; 2] {
        match self.state {
            ChannelState::Closed => [self.channel & 0x07, 0],
            ChannelState::Open => [self.channel & 0x07 | LINK_ESTABLISHED, 0],
            ChannelState::Dropped => [self.channel & 0x07, LINK_DROPPED],
        }
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        write(Tag::CHANNEL_STATUS, Required::Yes, &self.to_bytes(), out);
    }

    pub(super) fn read(reader: &mut Octets<'_>) -> Result<Self, DecodeError> {
        let bad = reader.bad("not a channel status of a client");
        let [first, second] = reader.array()?;
        let state = match (first & LINK_ESTABLISHED != 0, second) {
            (true, 0) => ChannelState::Open,
            (false, 0) => ChannelState::Closed,
            (_, LINK_DROPPED) => ChannelState::Dropped,
            _ => return Err(bad),
        };
        Ok(Self { channel: first & 0x07, state })
    }
}
