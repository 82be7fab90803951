//! The PDUs of SMPP 3.4 that an SMSC and its ESMEs exchange: specification sections 4 and 5.
//!
//! Decoding errors of a request are returned as the status of its answer.

use std::fmt;

use world::{MAX_ACCOUNT, MAX_PASSWORD};

pub use super::numbers::{CommandId, Status, Tag};
use super::reader::Reader;

/// A PDU with an undecoded body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The command.
    pub command: CommandId,
    /// The result; 0 in a request.
    pub status: Status,
    /// The sequence number, which links an answer to its request.
    pub sequence: u32,
    /// The octets after the header.
    pub body: Vec<u8>,
}

/// Length of a header: section 3.2.
pub const HEADER: usize = 16;

/// Maximum length of a PDU. Only `message_payload` can be long, and accepted messages have at most
/// 140 octets, but longer ones must be read so that they can be refused properly.
pub const MAX_PDU: usize = 70_000;

impl Frame {
    /// Returns a request.
    pub fn request(command: CommandId, sequence: u32, body: Vec<u8>) -> Self {
        Self { command, status: Status::OK, sequence, body }
    }

    /// Returns the answer to `request`.
    pub fn answer(request: &Self, status: Status, body: Vec<u8>) -> Self {
        Self { command: request.command.answer(), status, sequence: request.sequence, body }
    }

    /// Returns the answer to something that is not a valid request.
    pub fn generic_nack(sequence: u32, status: Status) -> Self {
        Self { command: CommandId::GENERIC_NACK, status, sequence, body: Vec::new() }
    }

    /// Encodes the PDU.
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.body.len().saturating_add(HEADER)).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(self.body.len().saturating_add(HEADER));
        for number in [length, self.command.0, self.status.0, self.sequence] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Removes the first PDU from `buffer`, or returns `None` if it is incomplete.
    ///
    /// # Errors
    /// The length in the header is shorter than a header or longer than any PDU, so the start of
    /// the next PDU is unknown.
    pub fn take(buffer: &mut Vec<u8>) -> Result<Option<Self>, OutOfStep> {
        let number = |at: usize| {
            let octets = buffer.get(at..)?.first_chunk::<4>()?;
            Some(u32::from_be_bytes(*octets))
        };
        let Some(length) = number(0) else { return Ok(None) };
        let sequence = number(12);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if !(HEADER..=MAX_PDU).contains(&length) {
            // The sequence number may not have arrived yet. The present octets are enough for a
            // refusal.
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

/// Error of a stream whose PDU boundaries are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a PDU of {length} octets")]
pub struct OutOfStep {
    /// The length in the header.
    pub length: usize,
    /// The sequence number, if it had arrived.
    pub sequence: u32,
}

/// Body of the three bind commands: section 4.1.
#[derive(Clone, PartialEq, Eq)]
pub struct Bind {
    /// The account.
    pub system_id: String,
    /// Its password.
    pub password: String,
    /// The type of ESME, often empty.
    pub system_type: String,
    /// The interface version: 34 for SMPP 3.4.
    pub interface_version: u8,
}

/// The interface version of SMPP 3.4.
pub const VERSION: u8 = 0x34;

impl Bind {
    /// Encodes the body.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for text in [&self.system_id, &self.password, &self.system_type] {
            put_text(&mut body, text);
        }
        // addr_ton, addr_npi and an empty address_range: the account determines its addresses.
        body.extend([self.interface_version, 0, 0, 0]);
        body
    }

    /// Decodes the body.
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

/// Encodes the body of the answer to a bind: system ID and version.
pub fn bind_answer(system_id: &str) -> Vec<u8> {
    let mut body = Vec::new();
    put_text(&mut body, system_id);
    put_parameter(&mut body, Tag::SC_INTERFACE_VERSION, &[VERSION]);
    body
}

/// An address: sections 5.2.5 to 5.2.9.
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

/// Body of `submit_sm` and `deliver_sm`: sections 4.4.1 and 4.6.1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sm {
    /// The originator.
    pub source: Address,
    /// The destination.
    pub destination: Address,
    /// Messaging mode, message type and features.
    pub esm_class: u8,
    /// TP-PID.
    pub protocol_id: u8,
    /// Scheduled delivery time. Empty means immediately.
    pub schedule_delivery_time: String,
    /// Validity period. Empty means the default of the SMSC.
    pub validity_period: String,
    /// Requested receipts.
    pub registered_delivery: u8,
    /// True (1) if a waiting message is to be replaced.
    pub replace_if_present: u8,
    /// Data coding, which is almost TP-DCS.
    pub data_coding: u8,
    /// Number of a message stored in the SMSC, or 0.
    pub sm_default_msg_id: u8,
    /// The message, at most 254 octets.
    pub short_message: Vec<u8>,
    /// Optional parameters in order.
    pub parameters: Vec<(Tag, Vec<u8>)>,
}

impl Sm {
    /// Returns the optional parameter with this number.
    pub fn parameter(&self, tag: Tag) -> Option<&[u8]> {
        self.parameters.iter().find(|(each, _)| *each == tag).map(|(_, value)| value.as_slice())
    }

    /// Returns the message from either of its two places.
    ///
    /// # Errors
    /// Both places contain a message: section 5.3.2.32 allows one.
    pub fn message(&self) -> Result<&[u8], Status> {
        match self.parameter(Tag::MESSAGE_PAYLOAD) {
            Some(payload) if self.short_message.is_empty() => Ok(payload),
            Some(_) => Err(Status::INVALID_MESSAGE_LENGTH),
            None => Ok(&self.short_message),
        }
    }

    /// Encodes the body.
    pub fn to_bytes(&self) -> Vec<u8> {
        // service_type: empty.
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

    /// Decodes the body.
    ///
    /// # Errors
    /// The error as the status of the answer.
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

/// A body that consists of one text: `message_id` in the answer to `submit_sm`.
pub fn message_id(id: &str) -> Vec<u8> {
    let mut body = Vec::new();
    put_text(&mut body, id);
    body
}

/// Returns the text at the start of a body. An answer with an error can have none.
pub fn read_message_id(body: &[u8]) -> Option<String> {
    Reader::new(body).text(65, Status::INVALID_MESSAGE_ID).ok().filter(|id| !id.is_empty())
}

/// Decodes the message ID of `query_sm` or `cancel_sm`: sections 4.8.1 and 4.9.1.
///
/// # Errors
/// The error as the status of the answer.
pub fn read_named_message(command: CommandId, body: &[u8]) -> Result<String, Status> {
    let mut reader = Reader::new(body);
    if command == CommandId::CANCEL_SM {
        reader.text(6, Status::INVALID_PARAMETER_LENGTH)?;
    }
    let id = reader.text(65, Status::INVALID_MESSAGE_ID)?;
    Address::read(&mut reader, Status::INVALID_SOURCE_ADDRESS)?;
    Ok(id)
}

/// Encodes the body of the answer to `query_sm`. It has no date, because the SMSC does not store
/// one for finished messages.
pub fn query_answer(id: &str, state: u8) -> Vec<u8> {
    let mut body = message_id(id);
    // final_date: empty. The state and no error code follow.
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
