//! Messages: RFC 7252 section 3.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

/// Maximum number of options in a message. The messages of ESipa have fewer than ten.
pub const MAX_OPTIONS: usize = 32;

/// Octet between the options and the payload.
const PAYLOAD_MARKER: u8 = 0xFF;
/// Maximum length of a token.
const MAX_TOKEN: u8 = 8;

/// Numbers of options: RFC 7252 section 5.10, RFC 7959 sections 2.1 and 4.
pub mod option {
    /// Host of the request's URI.
    pub const URI_HOST: u16 = 3;
    /// Identifier of the representation in a response.
    pub const ETAG: u16 = 4;
    /// Port of the request's URI.
    pub const URI_PORT: u16 = 7;
    /// A segment of the request's path.
    pub const URI_PATH: u16 = 11;
    /// Format of the payload.
    pub const CONTENT_FORMAT: u16 = 12;
    /// Time in seconds for which a response is valid, or after which a request can be repeated.
    pub const MAX_AGE: u16 = 14;
    /// An argument of the request's query.
    pub const URI_QUERY: u16 = 15;
    /// Format that the client accepts.
    pub const ACCEPT: u16 = 17;
    /// Block of the response.
    pub const BLOCK2: u16 = 23;
    /// Block of the request.
    pub const BLOCK1: u16 = 27;
    /// Size of the response.
    pub const SIZE2: u16 = 28;
    /// URI that a proxy is to request.
    pub const PROXY_URI: u16 = 35;
    /// Scheme that a proxy is to use.
    pub const PROXY_SCHEME: u16 = 39;
    /// Size of the request.
    pub const SIZE1: u16 = 60;
}

/// The type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// CON: the recipient acknowledges the message.
    Confirmable,
    /// NON: the message is not acknowledged.
    NonConfirmable,
    /// ACK: acknowledges a confirmable message, and can contain the response.
    Acknowledgement,
    /// RST: the recipient could not process the message.
    Reset,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Confirmable, Self::NonConfirmable, Self::Acknowledgement, Self::Reset];

    fn bits(self) -> u8 {
        match self {
            Self::Confirmable => 0,
            Self::NonConfirmable => 1,
            Self::Acknowledgement => 2,
            Self::Reset => 3,
        }
    }
}

/// A method or a response code, displayed as `class.detail`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub u8);

impl Code {
    /// The code of a message without token, options and payload.
    pub const EMPTY: Self = Self(0);
    /// The method POST.
    pub const POST: Self = Self::of(0, 2);
    /// Success without a representation.
    pub const CHANGED: Self = Self::of(2, 4);
    /// Success with a representation.
    pub const CONTENT: Self = Self::of(2, 5);
    /// A block of a request was received, and further ones are expected: RFC 7959 section 2.9.1.
    pub const CONTINUE: Self = Self::of(2, 31);
    /// The request is invalid.
    pub const BAD_REQUEST: Self = Self::of(4, 0);
    /// The request has a critical option that the server does not know.
    pub const BAD_OPTION: Self = Self::of(4, 2);
    /// The server does not know the path.
    pub const NOT_FOUND: Self = Self::of(4, 4);
    /// The path has no such method.
    pub const METHOD_NOT_ALLOWED: Self = Self::of(4, 5);
    /// Blocks of the request are missing: RFC 7959 section 2.9.2.
    pub const REQUEST_INCOMPLETE: Self = Self::of(4, 8);
    /// The request or its block is too large: RFC 7959 section 2.9.3.
    pub const REQUEST_TOO_LARGE: Self = Self::of(4, 13);
    /// The server does not know the format of the request.
    pub const UNSUPPORTED_CONTENT_FORMAT: Self = Self::of(4, 15);
    /// The server has failed.
    pub const INTERNAL_SERVER_ERROR: Self = Self::of(5, 0);
    /// The server cannot execute the request now.
    pub const SERVICE_UNAVAILABLE: Self = Self::of(5, 3);
    /// The server is not a proxy.
    pub const PROXYING_NOT_SUPPORTED: Self = Self::of(5, 5);

    /// Returns the code of this class (0 to 7) and detail (0 to 31).
    pub const fn of(class: u8, detail: u8) -> Self {
        Self((class & 7) << 5 | (detail & 31))
    }

    /// The class: 0 for methods, 2 for success, 4 for errors of the client and 5 for errors of the
    /// server.
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }

    /// The detail.
    pub const fn detail(self) -> u8 {
        self.0 & 31
    }

    /// True if the code is a method.
    pub const fn is_request(self) -> bool {
        self.class() == 0 && self.0 != 0
    }

    /// True if the code is a response code.
    pub const fn is_response(self) -> bool {
        matches!(self.class(), 2 | 4 | 5)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.detail())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Options in the order of their numbers. Options of the same number keep their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(Vec<(u16, Bytes)>);

impl Options {
    /// Adds an option after those of the same number.
    pub fn add(&mut self, number: u16, value: impl Into<Bytes>) {
        let at = self.0.partition_point(|(present, _)| *present <= number);
        self.0.insert(at, (number, value.into()));
    }

    /// Adds an option with an integer, in as few octets as possible: RFC 7252 section 3.2.
    pub fn add_uint(&mut self, number: u16, value: u32) {
        let octets = value.to_be_bytes();
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        self.add(number, Bytes::copy_from_slice(octets.get(zeros..).unwrap_or_default()));
    }

    /// Returns the values of an option in their order.
    pub fn all(&self, number: u16) -> impl Iterator<Item = &Bytes> {
        self.0.iter().filter(move |(present, _)| *present == number).map(|(_, value)| value)
    }

    /// Returns the first value of an option.
    pub fn first(&self, number: u16) -> Option<&Bytes> {
        self.all(number).next()
    }

    /// Returns an option with an integer. `None` if the option is missing or has more than four
    /// octets.
    pub fn uint(&self, number: u16) -> Option<u32> {
        uint(self.first(number)?)
    }

    /// Returns all options with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &Bytes)> {
        self.0.iter().map(|(number, value)| (*number, value))
    }

    fn encode(&self, out: &mut BytesMut) {
        let mut last = 0;
        for (number, value) in &self.0 {
            let (delta, delta_extension) = nibble(usize::from(number - last));
            let (length, length_extension) = nibble(value.len());
            out.put_u8(delta << 4 | length);
            out.extend_from_slice(&delta_extension);
            out.extend_from_slice(&length_extension);
            out.extend_from_slice(value);
            last = *number;
        }
    }
}

/// Reads an unsigned integer of at most four octets.
pub(crate) fn uint(octets: &[u8]) -> Option<u32> {
    (octets.len() <= 4).then(|| octets.iter().fold(0, |value, octet| value << 8 | u32::from(*octet)))
}

/// Returns the nibble and the extension octets of a delta or a length.
fn nibble(value: usize) -> (u8, Vec<u8>) {
    let small = |value: usize| u8::try_from(value).unwrap_or(u8::MAX);
    match value {
        0..=12 => (small(value), Vec::new()),
        13..=268 => (13, vec![small(value - 13)]),
        _ => (14, u16::try_from(value - 269).unwrap_or(u16::MAX).to_be_bytes().to_vec()),
    }
}

/// A token, of at most eight octets. It associates a response with its request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Token(Bytes);

impl Token {
    /// Returns a token of two octets.
    pub fn of(number: u16) -> Self {
        Self(Bytes::copy_from_slice(&number.to_be_bytes()))
    }
}

impl TryFrom<&[u8]> for Token {
    type Error = InvalidMessage;

    fn try_from(octets: &[u8]) -> Result<Self, InvalidMessage> {
        match u8::try_from(octets.len()) {
            Ok(0..=MAX_TOKEN) => Ok(Self(Bytes::copy_from_slice(octets))),
            length => Err(InvalidMessage::TokenLength(length.unwrap_or(u8::MAX))),
        }
    }
}

/// A CoAP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The type.
    pub kind: Kind,
    /// The method or the response code.
    pub code: Code,
    /// The message ID. It associates an acknowledgement with its message, and identifies duplicates.
    pub id: u16,
    /// The token.
    pub token: Token,
    /// The options.
    pub options: Options,
    /// The payload.
    pub payload: Bytes,
}

/// The reason why a datagram is not a message: RFC 7252 section 3 calls it a message format error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMessage {
    /// The header or the token is incomplete.
    #[error("the datagram ends in the header")]
    Short,
    /// The version is not 1.
    #[error("the version is {0}, not 1")]
    Version(u8),
    /// The length of the token is reserved.
    #[error("the token length is {0}, which is reserved")]
    TokenLength(u8),
    /// An option has a reserved delta or length, exceeds the datagram, or has a number above 65535.
    #[error("an option is malformed")]
    Option,
    /// There are more than [`MAX_OPTIONS`] options.
    #[error("there are more than {MAX_OPTIONS} options")]
    TooManyOptions,
    /// There is no payload after the payload marker.
    #[error("there is no payload after the payload marker")]
    NoPayload,
    /// An empty message has a token, an option or a payload.
    #[error("an empty message has content")]
    EmptyWithContent,
}

impl Message {
    /// Creates a message without options and payload.
    pub fn new(kind: Kind, code: Code, id: u16, token: Token) -> Self {
        Self { kind, code, id, token, options: Options::default(), payload: Bytes::new() }
    }

    /// Creates an empty message: an acknowledgement, a reset, or the confirmable message of a ping.
    pub fn empty(kind: Kind, id: u16) -> Self {
        Self::new(kind, Code::EMPTY, id, Token::default())
    }

    /// Decodes a datagram.
    ///
    /// # Errors
    /// The datagram has a message format error.
    pub fn decode(datagram: &Bytes) -> Result<Self, InvalidMessage> {
        let mut reader = Reader(datagram.clone());
        let first = reader.octet()?;
        let code = Code(reader.octet()?);
        let id = u16::from_be_bytes([reader.octet()?, reader.octet()?]);
        let version = first >> 6;
        if version != 1 {
            return Err(InvalidMessage::Version(version));
        }
        let kind = Kind::ALL.into_iter().find(|kind| kind.bits() == first >> 4 & 3);
        let kind = kind.ok_or(InvalidMessage::Short)?;
        let length = first & 15;
        if length > MAX_TOKEN {
            return Err(InvalidMessage::TokenLength(length));
        }
        let token = Token(reader.take(length.into()).ok_or(InvalidMessage::Short)?);
        let mut message = Self::new(kind, code, id, token);
        message.read_options(&mut reader)?;
        let has_content = length > 0 || !message.options.0.is_empty() || !message.payload.is_empty();
        if code == Code::EMPTY && has_content {
            return Err(InvalidMessage::EmptyWithContent);
        }
        Ok(message)
    }

    /// Reads the options and the payload.
    fn read_options(&mut self, reader: &mut Reader) -> Result<(), InvalidMessage> {
        let mut number: u16 = 0;
        while let Ok(first) = reader.octet() {
            if first == PAYLOAD_MARKER {
                self.payload = std::mem::take(&mut reader.0);
                return if self.payload.is_empty() { Err(InvalidMessage::NoPayload) } else { Ok(()) };
            }
            let delta = reader.extended(first >> 4)?;
            let length = reader.extended(first & 15)?;
            let delta = u16::try_from(delta).map_err(|_| InvalidMessage::Option)?;
            number = number.checked_add(delta).ok_or(InvalidMessage::Option)?;
            let value = reader.take(length).ok_or(InvalidMessage::Option)?;
            if self.options.0.len() == MAX_OPTIONS {
                return Err(InvalidMessage::TooManyOptions);
            }
            self.options.0.push((number, value));
        }
        Ok(())
    }

    /// Encodes the message.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64 + self.payload.len());
        let length = u8::try_from(self.token.0.len()).unwrap_or(MAX_TOKEN);
        out.put_u8(1 << 6 | self.kind.bits() << 4 | length);
        out.put_u8(self.code.0);
        out.put_u16(self.id);
        out.extend_from_slice(&self.token.0);
        self.options.encode(&mut out);
        if !self.payload.is_empty() {
            out.put_u8(PAYLOAD_MARKER);
            out.extend_from_slice(&self.payload);
        }
        out.freeze()
    }
}

struct Reader(Bytes);

impl Reader {
    fn octet(&mut self) -> Result<u8, InvalidMessage> {
        self.take(1).and_then(|octets| octets.first().copied()).ok_or(InvalidMessage::Short)
    }

    fn take(&mut self, length: usize) -> Option<Bytes> {
        (length <= self.0.len()).then(|| self.0.split_to(length))
    }

    /// Reads the extension of a delta or a length.
    fn extended(&mut self, nibble: u8) -> Result<usize, InvalidMessage> {
        let mut octet = || self.octet().map(usize::from).map_err(|_| InvalidMessage::Option);
        match nibble {
            0..=12 => Ok(nibble.into()),
            13 => Ok(octet()? + 13),
            14 => Ok((octet()? << 8 | octet()?) + 269),
            _ => Err(InvalidMessage::Option),
        }
    }
}
