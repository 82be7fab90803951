//! The PDUs of SMPP 3.4 that an SMSC and its ESMEs exchange: specification sections 4 and 5.
//!
//! The bodies are types of `rusmpp`. The header is decoded here, so that a request with an invalid
//! body can be answered: with its sequence number, and with the status for the invalid field.

use bytes::{Buf, BytesMut};
use rusmpp::decode::{DecodeError, DecodeWithLength};
use rusmpp::encode::Encode;
use rusmpp::fields::SmppField;
use rusmpp::pdus::{CancelSm, DeliverSm, QuerySm, SubmitSmResp};
use rusmpp::tlvs::TlvTag;
use rusmpp::types::COctetString;
pub use rusmpp::{CommandId, CommandStatus};

/// A PDU with an undecoded body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The command.
    pub command: CommandId,
    /// The result; 0 in a request.
    pub status: CommandStatus,
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
        Self { command, status: CommandStatus::EsmeRok, sequence, body }
    }

    /// Returns the answer to `request`.
    pub fn answer(request: &Self, status: CommandStatus, body: Vec<u8>) -> Self {
        Self { command: request.command.matching_response(), status, sequence: request.sequence, body }
    }

    /// Returns the answer to something that is not a valid request.
    pub fn generic_nack(sequence: u32, status: CommandStatus) -> Self {
        Self { command: CommandId::GenericNack, status, sequence, body: Vec::new() }
    }

    /// Encodes the PDU.
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.body.len().saturating_add(HEADER)).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(self.body.len().saturating_add(HEADER));
        for number in [length, self.command.into(), self.status.into(), self.sequence] {
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
        Ok(Some(Self { command: command.into(), status: status.into(), sequence, body }))
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

/// Body of `submit_sm` and `deliver_sm`, which have the same fields: sections 4.4.1 and 4.6.1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sm {
    /// The mandatory fields.
    pub fields: DeliverSm,
    /// The optional parameters in order.
    ///
    /// They are not decoded by `rusmpp`, which refuses the whole PDU if one has another form than
    /// in SMPP 5.0. Some SMSCs omit the final NUL of `receipted_message_id`.
    pub parameters: Vec<(TlvTag, Vec<u8>)>,
}

/// Maximum number of optional parameters in a PDU. Messages need a few.
const MAX_PARAMETERS: usize = 64;

impl Sm {
    /// Returns the optional parameter with this tag.
    pub fn parameter(&self, tag: TlvTag) -> Option<&[u8]> {
        self.parameters.iter().find(|(each, _)| *each == tag).map(|(_, value)| value.as_slice())
    }

    /// Returns the message from either of its two places.
    ///
    /// # Errors
    /// Both places contain a message: section 5.3.2.32 allows one.
    pub fn message(&self) -> Result<&[u8], CommandStatus> {
        match self.parameter(TlvTag::MessagePayload) {
            Some(payload) if self.fields.short_message().is_empty() => Ok(payload),
            Some(_) => Err(CommandStatus::EsmeRinvmsglen),
            None => Ok(self.fields.short_message()),
        }
    }

    /// Encodes the body.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = encode(&self.fields);
        for (tag, value) in &self.parameters {
            let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
            body.extend(u16::from(*tag).to_be_bytes());
            body.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
            body.extend_from_slice(value);
        }
        body
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// The status with which the request must be answered.
    pub fn parse(body: &[u8]) -> Result<Self, CommandStatus> {
        let (fields, mut rest) = decode(body)?;
        let mut parameters = Vec::new();
        while !rest.is_empty() {
            if parameters.len() >= MAX_PARAMETERS || rest.len() < 4 {
                return Err(CommandStatus::EsmeRinvtlvstream);
            }
            let (tag, length) = (rest.get_u16(), usize::from(rest.get_u16()));
            if rest.len() < length {
                return Err(CommandStatus::EsmeRinvtlvlen);
            }
            parameters.push((TlvTag::from(tag), rest.split_to(length).to_vec()));
        }
        Ok(Self { fields, parameters })
    }
}

/// Encodes a body.
pub fn encode(body: &impl Encode) -> Vec<u8> {
    let mut octets = vec![0; body.length()];
    body.encode(&mut octets);
    octets
}

/// Decodes the mandatory fields of a body. Returns them and the remaining octets.
///
/// # Errors
/// The status with which the request must be answered.
pub fn decode<B: DecodeWithLength>(body: &[u8]) -> Result<(B, BytesMut), CommandStatus> {
    let mut octets = BytesMut::from(body);
    // The length counts only for optional parameters. Zero leaves them in the buffer.
    let (fields, _) = B::decode(&mut octets, 0).map_err(|error| status_of(&error))?;
    Ok((fields, octets))
}

/// The status for each field that has its own: section 5.1.3.
const STATUSES: [(SmppField, CommandStatus); 8] = [
    (SmppField::system_id, CommandStatus::EsmeRinvsysid),
    (SmppField::password, CommandStatus::EsmeRinvpaswd),
    (SmppField::message_id, CommandStatus::EsmeRinvmsgid),
    (SmppField::source_addr, CommandStatus::EsmeRinvsrcadr),
    (SmppField::destination_addr, CommandStatus::EsmeRinvdstadr),
    (SmppField::schedule_delivery_time, CommandStatus::EsmeRinvsched),
    (SmppField::validity_period, CommandStatus::EsmeRinvexpiry),
    (SmppField::short_message, CommandStatus::EsmeRinvmsglen),
];

fn status_of(error: &DecodeError) -> CommandStatus {
    let field = STATUSES.iter().find(|(field, _)| error.field_exists(*field));
    field.map_or(CommandStatus::EsmeRinvcmdlen, |(_, status)| *status)
}

/// The name of a status in SMPP 5.0, and its number.
pub fn name(status: CommandStatus) -> String {
    let name = format!("{status:?}").to_uppercase().replacen("ESME", "ESME_", 1);
    format!("{name} ({:#010x})", u32::from(status))
}

/// Returns `text` as the value of a field, or an empty text if it is longer than the field.
pub fn text<const MOST: usize>(text: &str) -> COctetString<1, MOST> {
    text.parse().unwrap_or_default()
}

/// Encodes a body that starts with a message ID: an answer to `submit_sm` or `deliver_sm`.
pub fn message_id(id: &str) -> Vec<u8> {
    encode(&SubmitSmResp::new(text(id), Vec::new()))
}

/// Returns the message ID of an answer. An answer with an error can have none.
pub fn read_message_id(body: &[u8]) -> Option<String> {
    let (answer, _) = decode::<SubmitSmResp>(body).ok()?;
    Some(answer.message_id().to_string()).filter(|id| !id.is_empty())
}

/// Decodes the message ID of `query_sm` or `cancel_sm`: sections 4.8.1 and 4.9.1.
///
/// # Errors
/// The status with which the request must be answered.
pub fn read_named_message(command: CommandId, body: &[u8]) -> Result<String, CommandStatus> {
    let id = match command {
        CommandId::CancelSm => decode::<CancelSm>(body)?.0.message_id,
        _ => decode::<QuerySm>(body)?.0.message_id,
    };
    Ok(id.to_string())
}
