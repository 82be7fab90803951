//! The PDUs of SMPP 3.4 that a message centre and its writers exchange: specification sections 4 and 5.
//!
//! Octets in, types out, and back. What is wrong with a request is told as the status that its answer carries.

use std::fmt;

use world::{MAX_ACCOUNT, MAX_PASSWORD};

use super::reader::Reader;

/// A number that says how a request went: section 5.1.3.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub u32);

macro_rules! statuses {
    ($( $(#[$meta:meta])* $name:ident = $number:literal $text:literal ),+ $(,)?) => {
        impl Status {
            $( $(#[$meta])* pub const $name: Self = Self($number); )+

            fn name(self) -> &'static str {
                match self {
                    $( Self::$name => $text, )+
                    _ => "a status that has no name here",
                }
            }
        }
    };
}

statuses! {
    /// No error.
    OK = 0x00 "ESME_ROK",
    /// The message is too long.
    INVALID_MESSAGE_LENGTH = 0x01 "ESME_RINVMSGLEN",
    /// The length of the PDU is impossible.
    INVALID_COMMAND_LENGTH = 0x02 "ESME_RINVCMDLEN",
    /// No such command.
    INVALID_COMMAND_ID = 0x03 "ESME_RINVCMDID",
    /// Not in this state of the session.
    INCORRECT_BIND_STATUS = 0x04 "ESME_RINVBNDSTS",
    /// The session is bound already.
    ALREADY_BOUND = 0x05 "ESME_RALYBND",
    /// Something failed in the centre.
    SYSTEM_ERROR = 0x08 "ESME_RSYSERR",
    /// The originator is no address.
    INVALID_SOURCE_ADDRESS = 0x0A "ESME_RINVSRCADR",
    /// The destination is no address, or nobody's.
    INVALID_DESTINATION_ADDRESS = 0x0B "ESME_RINVDSTADR",
    /// No such message.
    INVALID_MESSAGE_ID = 0x0C "ESME_RINVMSGID",
    /// The bind failed for another reason.
    BIND_FAILED = 0x0D "ESME_RBINDFAIL",
    /// The password is another one.
    INVALID_PASSWORD = 0x0E "ESME_RINVPASWD",
    /// No such account.
    INVALID_SYSTEM_ID = 0x0F "ESME_RINVSYSID",
    /// The message cannot be cancelled any more.
    CANCEL_FAILED = 0x11 "ESME_RCANCELFAIL",
    /// The queue is full.
    QUEUE_FULL = 0x14 "ESME_RMSGQFUL",
    /// A message is to replace another.
    INVALID_REPLACEMENT = 0x42 "ESME_RINVSUBREP",
    /// Flags that exclude each other, or that are not supported.
    INVALID_ESM_CLASS = 0x43 "ESME_RINVESMCLASS",
    /// The message was refused.
    SUBMIT_FAILED = 0x45 "ESME_RSUBMITFAIL",
    /// Too much at a time.
    THROTTLED = 0x58 "ESME_RTHROTTLED",
    /// The time of delivery cannot be had.
    INVALID_SCHEDULE = 0x61 "ESME_RINVSCHED",
    /// The validity period is no time.
    INVALID_EXPIRY = 0x62 "ESME_RINVEXPIRY",
    /// No message is stored under this number.
    INVALID_DEFAULT_MESSAGE = 0x63 "ESME_RINVDFTMSGID",
    /// From the writer: try again later.
    TEMPORARY_RECEIVER_ERROR = 0x64 "ESME_RX_T_APPN",
    /// From the writer: never.
    PERMANENT_RECEIVER_ERROR = 0x65 "ESME_RX_P_APPN",
    /// The optional parameters do not add up.
    INVALID_OPTIONAL_PART = 0xC0 "ESME_RINVOPTPARSTREAM",
    /// A field or parameter has an impossible length.
    INVALID_PARAMETER_LENGTH = 0xC2 "ESME_RINVPARLEN",
    /// A parameter that is needed is missing.
    MISSING_PARAMETER = 0xC3 "ESME_RMISSINGOPTPARAM",
    /// A parameter has an impossible value.
    INVALID_PARAMETER_VALUE = 0xC4 "ESME_RINVOPTPARAMVAL",
    /// Unknown.
    UNKNOWN_ERROR = 0xFF "ESME_RUNKNOWNERR",
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:#010x})", self.name(), self.0)
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is asked or answered: section 5.1.2.1. An answer has the number of its request and the highest bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommandId(pub u32);

impl CommandId {
    const ANSWER: u32 = 0x8000_0000;
    /// `generic_nack`.
    pub const GENERIC_NACK: Self = Self(0x8000_0000);
    /// `bind_receiver`.
    pub const BIND_RECEIVER: Self = Self(0x01);
    /// `bind_transmitter`.
    pub const BIND_TRANSMITTER: Self = Self(0x02);
    /// `query_sm`.
    pub const QUERY_SM: Self = Self(0x03);
    /// `submit_sm`.
    pub const SUBMIT_SM: Self = Self(0x04);
    /// `deliver_sm`.
    pub const DELIVER_SM: Self = Self(0x05);
    /// `unbind`.
    pub const UNBIND: Self = Self(0x06);
    /// `cancel_sm`.
    pub const CANCEL_SM: Self = Self(0x08);
    /// `bind_transceiver`.
    pub const BIND_TRANSCEIVER: Self = Self(0x09);
    /// `enquire_link`.
    pub const ENQUIRE_LINK: Self = Self(0x15);

    /// The answer to this command.
    #[must_use]
    pub const fn answer(self) -> Self {
        Self(self.0 | Self::ANSWER)
    }

    /// Whether it answers something.
    pub const fn is_answer(self) -> bool {
        self.0 & Self::ANSWER != 0
    }
}

/// A PDU whose body has not been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What.
    pub command: CommandId,
    /// How it went; 0 in a request.
    pub status: Status,
    /// Which request an answer belongs to.
    pub sequence: u32,
    /// Everything behind the header.
    pub body: Vec<u8>,
}

/// Octets of a header: section 3.2.
pub const HEADER: usize = 16;

/// The longest PDU that is read: `message_payload` is the one long part, and no message that is taken has more than 140
/// octets, but whoever sends more is to be told so.
pub const MAX_PDU: usize = 70_000;

impl Frame {
    /// A request.
    pub fn request(command: CommandId, sequence: u32, body: Vec<u8>) -> Self {
        Self { command, status: Status::OK, sequence, body }
    }

    /// The answer to `request`.
    pub fn answer(request: &Self, status: Status, body: Vec<u8>) -> Self {
        Self { command: request.command.answer(), status, sequence: request.sequence, body }
    }

    /// That something was no request.
    pub fn generic_nack(sequence: u32, status: Status) -> Self {
        Self { command: CommandId::GENERIC_NACK, status, sequence, body: Vec::new() }
    }

    /// The octets.
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.body.len().saturating_add(HEADER)).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(self.body.len().saturating_add(HEADER));
        for number in [length, self.command.0, self.status.0, self.sequence] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// The first PDU of `buffer`, taken out of it; none if it is not whole yet.
    ///
    /// # Errors
    /// It says of itself that it is shorter than a header or longer than any PDU: nothing after it can be found.
    pub fn take(buffer: &mut Vec<u8>) -> Result<Option<Self>, OutOfStep> {
        let number = |at: usize| {
            let octets = buffer.get(at..)?.first_chunk::<4>()?;
            Some(u32::from_be_bytes(*octets))
        };
        let Some(length) = number(0) else { return Ok(None) };
        let sequence = number(12);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if !(HEADER..=MAX_PDU).contains(&length) {
            // Its sequence number may still be on its way; what is there is enough to say no.
            return Err(OutOfStep { length, sequence: sequence.unwrap_or(0) });
        }
        let (Some(command), Some(status), Some(sequence)) = (number(4), number(8), sequence) else {
            return Ok(None);
        };
        if buffer.len() < length {
            return Ok(None);
        }
        let rest = buffer.split_off(length);
        let mut pdu = std::mem::replace(buffer, rest);
        let body = pdu.split_off(HEADER);
        Ok(Some(Self { command: CommandId(command), status: Status(status), sequence, body }))
    }
}

/// A stream in which PDUs cannot be told from each other any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a PDU of {length} octets")]
pub struct OutOfStep {
    /// What the PDU said.
    pub length: usize,
    /// Its sequence number, if that was there.
    pub sequence: u32,
}

/// The body of the three binds: section 4.1.
#[derive(Clone, PartialEq, Eq)]
pub struct Bind {
    /// The account.
    pub system_id: String,
    /// Its password.
    pub password: String,
    /// What kind of writer; often empty.
    pub system_type: String,
    /// 34 for SMPP 3.4.
    pub interface_version: u8,
}

/// SMPP 3.4.
pub const VERSION: u8 = 0x34;

impl Bind {
    /// The body.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for text in [&self.system_id, &self.password, &self.system_type] {
            put_text(&mut body, text);
        }
        // addr_ton, addr_npi and an empty address_range: this account's messages are known by the account.
        body.extend([self.interface_version, 0, 0, 0]);
        body
    }

    /// From the body.
    ///
    /// # Errors
    /// A field is too long or missing.
    pub fn parse(body: &[u8]) -> Result<Self, Status> {
        let mut reader = Reader::new(body);
        let system_id = reader.text(MAX_ACCOUNT + 1, Status::INVALID_SYSTEM_ID)?;
        let password = reader.text(MAX_PASSWORD + 1, Status::INVALID_PASSWORD)?;
        let system_type = reader.text(13, Status::INVALID_PARAMETER_LENGTH)?;
        let interface_version = reader.octet()?;
        let _ton_and_npi = (reader.octet()?, reader.octet()?);
        reader.text(41, Status::INVALID_PARAMETER_LENGTH)?;
        Ok(Self { system_id, password, system_type, interface_version })
    }
}

impl fmt::Debug for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bind({:?}, version {:02x})", self.system_id, self.interface_version)
    }
}

/// The body of an answer to a bind: who answers, and its version.
pub fn bind_answer(system_id: &str) -> Vec<u8> {
    let mut body = Vec::new();
    put_text(&mut body, system_id);
    put_parameter(&mut body, Tag::SC_INTERFACE_VERSION, &[VERSION]);
    body
}

/// An address: section 5.2.5 to 5.2.9.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// Type of number.
    pub ton: u8,
    /// Numbering plan.
    pub npi: u8,
    /// The digits.
    pub digits: String,
}

impl Address {
    fn put(&self, body: &mut Vec<u8>) {
        body.extend([self.ton, self.npi]);
        put_text(body, &self.digits);
    }

    fn read(reader: &mut Reader<'_>, bad: Status) -> Result<Self, Status> {
        let (ton, npi) = (reader.octet()?, reader.octet()?);
        Ok(Self { ton, npi, digits: reader.text(21, bad)? })
    }
}

/// The number of an optional parameter: section 5.3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag(pub u16);

impl Tag {
    /// `receipted_message_id`.
    pub const RECEIPTED_MESSAGE_ID: Self = Self(0x001E);
    /// `sc_interface_version`.
    pub const SC_INTERFACE_VERSION: Self = Self(0x0210);
    /// `message_payload`.
    pub const MESSAGE_PAYLOAD: Self = Self(0x0424);
    /// `message_state`.
    pub const MESSAGE_STATE: Self = Self(0x0427);
}

/// The body of `submit_sm` and of `deliver_sm`: sections 4.4.1 and 4.6.1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sm {
    /// Whose.
    pub source: Address,
    /// Whom for.
    pub destination: Address,
    /// Mode, type and features.
    pub esm_class: u8,
    /// TP-PID.
    pub protocol_id: u8,
    /// When to deliver; empty for now.
    pub schedule_delivery_time: String,
    /// How long to try; empty for the centre's own.
    pub validity_period: String,
    /// What the writer wants to hear.
    pub registered_delivery: u8,
    /// Whether a message that waits is to be replaced; 0 for no.
    pub replace_if_present: u8,
    /// TP-DCS, nearly.
    pub data_coding: u8,
    /// Which message that the centre has stored is meant; 0 for none.
    pub sm_default_msg_id: u8,
    /// The message, at most 254 octets.
    pub short_message: Vec<u8>,
    /// Optional parameters in their order.
    pub parameters: Vec<(Tag, Vec<u8>)>,
}

impl Sm {
    /// The optional parameter of this number.
    pub fn parameter(&self, tag: Tag) -> Option<&[u8]> {
        self.parameters.iter().find(|(each, _)| *each == tag).map(|(_, value)| value.as_slice())
    }

    /// The message, wherever it stands.
    ///
    /// # Errors
    /// It stands in both places: section 5.3.2.32 wants one.
    pub fn message(&self) -> Result<&[u8], Status> {
        match self.parameter(Tag::MESSAGE_PAYLOAD) {
            Some(payload) if self.short_message.is_empty() => Ok(payload),
            Some(_) => Err(Status::INVALID_MESSAGE_LENGTH),
            None => Ok(&self.short_message),
        }
    }

    /// The body.
    pub fn to_bytes(&self) -> Vec<u8> {
        // service_type: none.
        let mut body = vec![0];
        self.source.put(&mut body);
        self.destination.put(&mut body);
        body.extend([self.esm_class, self.protocol_id, 0]);
        put_text(&mut body, &self.schedule_delivery_time);
        put_text(&mut body, &self.validity_period);
        body.extend([
            self.registered_delivery,
            self.replace_if_present,
            self.data_coding,
            self.sm_default_msg_id,
        ]);
        let message = self.short_message.get(..254).unwrap_or(&self.short_message);
        body.push(u8::try_from(message.len()).unwrap_or(u8::MAX));
        body.extend_from_slice(message);
        for (tag, value) in &self.parameters {
            put_parameter(&mut body, *tag, value);
        }
        body
    }

    /// From the body.
    ///
    /// # Errors
    /// What is wrong, as the status of the answer.
    pub fn parse(body: &[u8]) -> Result<Self, Status> {
        let mut reader = Reader::new(body);
        reader.text(6, Status::INVALID_PARAMETER_LENGTH)?;
        let source = Address::read(&mut reader, Status::INVALID_SOURCE_ADDRESS)?;
        let destination = Address::read(&mut reader, Status::INVALID_DESTINATION_ADDRESS)?;
        let (esm_class, protocol_id, _priority) = (reader.octet()?, reader.octet()?, reader.octet()?);
        let schedule_delivery_time = reader.text(17, Status::INVALID_SCHEDULE)?;
        let validity_period = reader.text(17, Status::INVALID_EXPIRY)?;
        let (registered_delivery, replace_if_present) = (reader.octet()?, reader.octet()?);
        let (data_coding, sm_default_msg_id) = (reader.octet()?, reader.octet()?);
        let length = reader.octet()?;
        let short_message =
            reader.octets(usize::from(length)).ok_or(Status::INVALID_MESSAGE_LENGTH)?.to_vec();
        let parameters = reader.parameters()?;
        Ok(Self {
            source,
            destination,
            esm_class,
            protocol_id,
            schedule_delivery_time,
            validity_period,
            registered_delivery,
            replace_if_present,
            data_coding,
            sm_default_msg_id,
            short_message,
            parameters,
        })
    }
}

/// A body that is one text: `message_id` in the answer to `submit_sm`.
pub fn message_id(id: &str) -> Vec<u8> {
    let mut body = Vec::new();
    put_text(&mut body, id);
    body
}

/// The text that a body begins with. An answer that refuses may have none.
pub fn read_message_id(body: &[u8]) -> Option<String> {
    Reader::new(body).text(65, Status::INVALID_MESSAGE_ID).ok().filter(|id| !id.is_empty())
}

/// The bodies of `query_sm` and, as far as it is the same, `cancel_sm`: sections 4.8.1 and 4.9.1.
///
/// # Errors
/// What is wrong, as the status of the answer.
pub fn read_named_message(command: CommandId, body: &[u8]) -> Result<String, Status> {
    let mut reader = Reader::new(body);
    if command == CommandId::CANCEL_SM {
        reader.text(6, Status::INVALID_PARAMETER_LENGTH)?;
    }
    let id = reader.text(65, Status::INVALID_MESSAGE_ID)?;
    Address::read(&mut reader, Status::INVALID_SOURCE_ADDRESS)?;
    Ok(id)
}

/// The body of the answer to `query_sm`: without a time, because the centre keeps none of a message that has ended.
pub fn query_answer(id: &str, state: u8) -> Vec<u8> {
    let mut body = message_id(id);
    // final_date: none; then the state and no error code.
    body.extend([0, state, 0]);
    body
}

fn put_text(body: &mut Vec<u8>, text: &str) {
    body.extend(text.bytes().filter(|octet| *octet != 0));
    body.push(0);
}

fn put_parameter(body: &mut Vec<u8>, Tag(tag): Tag, value: &[u8]) {
    let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
    body.extend(tag.to_be_bytes());
    body.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    body.extend_from_slice(value);
}
