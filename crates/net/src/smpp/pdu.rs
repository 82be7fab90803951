//! The PDUs of SMPP 3.4 that an SMSC and its ESMEs exchange: specification sections 4 and 5.
//!
//! The bodies are types of `rusmpp`. The header is decoded here, so that a request with an invalid
//! body can be answered: with its sequence number, and with the status for the invalid field.

use bytes::{Buf, BytesMut};
use rsp::finding::{self, FindingKind};
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

    /// Decodes the body of a received request, and logs the deviations that are accepted.
    ///
    /// # Errors
    /// The status with which the request must be answered.
    pub fn receive(body: &[u8]) -> Result<Self, CommandStatus> {
        let (sm, findings) = finding::collect(|| Self::parse(body));
        for finding in findings {
            tracing::info!(interface = "SMPP", %finding, "accepted a deviation");
        }
        sm
    }

    /// Decodes the body. An optional parameter that SMPP 5.0 does not define is a finding.
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
            if let TlvTag::Other(tag) = TlvTag::from(tag) {
                finding::report(FindingKind::UnknownElement, || format!("optional parameter {tag:04X}"));
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
    let name = match status {
        CommandStatus::EsmeRxTAppn => "ESME_RX_T_APPN".to_owned(),
        CommandStatus::EsmeRxPAppn => "ESME_RX_P_APPN".to_owned(),
        CommandStatus::EsmeRxRAppn => "ESME_RX_R_APPN".to_owned(),
        _ => format!("{status:?}").to_uppercase().replacen("ESME", "ESME_", 1),
    };
    format!("{name} ({:#010x})", u32::from(status))
}

/// Returns the meaning of a status and advice for it: SMPP 3.4 section 5.1.3. Statuses that only SMPP 5.0
/// or an SMSC of its own defines have none.
pub fn meaning(status: CommandStatus) -> Option<(&'static str, &'static str)> {
    Some(match status {
        CommandStatus::EsmeRok => ("No error.", "nothing"),
        CommandStatus::EsmeRinvmsglen => (
            "The length of the message is invalid.",
            "send at most 140 octets of user data, or use message_payload",
        ),
        CommandStatus::EsmeRinvcmdlen => {
            ("The length of the PDU is invalid.", "compare command_length with the octets of the PDU")
        }
        CommandStatus::EsmeRinvcmdid => {
            ("The command is unknown or not supported.", "use a command of SMPP 3.4 that the peer supports")
        }
        CommandStatus::EsmeRinvbndsts => (
            "The session is not bound for this command.",
            "bind as transmitter, receiver or transceiver first",
        ),
        CommandStatus::EsmeRalybnd => {
            ("The session is already bound.", "unbind first, or use another connection")
        }
        CommandStatus::EsmeRinvprtflg => ("The priority flag is invalid.", "use a priority from 0 to 3"),
        CommandStatus::EsmeRinvregdlvflg => ("The registered_delivery flag is invalid.", "use 0, 1 or 2"),
        CommandStatus::EsmeRsyserr => {
            ("The SMSC has an internal failure.", "read the log of the SMSC, and retry later")
        }
        CommandStatus::EsmeRinvsrcadr => {
            ("The source address is invalid.", "use an address that the account may use")
        }
        CommandStatus::EsmeRinvdstadr => {
            ("The destination address is invalid.", "correct destination_addr, TON and NPI")
        }
        CommandStatus::EsmeRinvmsgid => {
            ("The message ID is unknown.", "use the message ID of submit_sm_resp")
        }
        CommandStatus::EsmeRbindfail => ("The bind failed.", "check account, password and system type"),
        CommandStatus::EsmeRinvpaswd => ("The password is wrong.", "correct the password of the account"),
        CommandStatus::EsmeRinvsysid => ("The account is unknown.", "correct system_id"),
        CommandStatus::EsmeRcancelfail => {
            ("cancel_sm failed.", "query the message: it may be delivered already")
        }
        CommandStatus::EsmeRreplacefail => {
            ("replace_sm failed.", "query the message: it may be delivered already")
        }
        CommandStatus::EsmeRmsgqful => ("The queue of the SMSC is full.", "wait, and send again more slowly"),
        CommandStatus::EsmeRinvsertyp => ("The service type is invalid.", "leave service_type empty"),
        CommandStatus::EsmeRinvnumdests => {
            ("The number of destinations is invalid.", "use 1 to 254 destinations")
        }
        CommandStatus::EsmeRinvdlname => {
            ("The distribution list is unknown.", "correct the name of the list")
        }
        CommandStatus::EsmeRinvdestflag => {
            ("The destination flag is invalid.", "use 1 for an address and 2 for a list")
        }
        CommandStatus::EsmeRinvsubrep => {
            ("The replace_if_present flag is invalid or not supported.", "use 0")
        }
        CommandStatus::EsmeRinvesmclass => {
            ("esm_class is invalid.", "correct the mode, type and features in esm_class")
        }
        CommandStatus::EsmeRcntsubdl => {
            ("The message cannot be sent to a distribution list.", "send it to each destination")
        }
        CommandStatus::EsmeRsubmitfail => ("The SMSC refused the message.", "read the log of the SMSC"),
        CommandStatus::EsmeRinvsrcton => {
            ("The TON of the source is invalid.", "use 1 (international), 2 (national) or 5 (alphanumeric)")
        }
        CommandStatus::EsmeRinvsrcnpi => ("The NPI of the source is invalid.", "use 1 (E.164)"),
        CommandStatus::EsmeRinvdstton => ("The TON of the destination is invalid.", "use 1 (international)"),
        CommandStatus::EsmeRinvdstnpi => ("The NPI of the destination is invalid.", "use 1 (E.164)"),
        CommandStatus::EsmeRinvsystyp => {
            ("The system type is invalid.", "leave system_type empty, or use that of the account")
        }
        CommandStatus::EsmeRinvrepflag => ("The replace_if_present flag is invalid.", "use 0"),
        CommandStatus::EsmeRinvnummsgs => ("The number of messages is invalid.", "correct the number"),
        CommandStatus::EsmeRthrottled => ("The ESME exceeded its rate.", "wait, and send more slowly"),
        CommandStatus::EsmeRinvsched => (
            "The scheduled delivery time is invalid.",
            "leave schedule_delivery_time empty, or use the format of section 7.1.1",
        ),
        CommandStatus::EsmeRinvexpiry => {
            ("The validity period is invalid.", "use the format of section 7.1.1, and a time in the future")
        }
        CommandStatus::EsmeRinvdftmsgid => {
            ("The predefined message is unknown.", "use 0 in sm_default_msg_id")
        }
        CommandStatus::EsmeRxTAppn => ("The receiver has a temporary failure.", "retry later"),
        CommandStatus::EsmeRxPAppn => ("The receiver has a permanent failure.", "do not retry"),
        CommandStatus::EsmeRxRAppn => ("The receiver rejects the message.", "do not retry"),
        CommandStatus::EsmeRqueryfail => ("query_sm failed.", "check the message ID and the source address"),
        CommandStatus::EsmeRinvtlvstream => {
            ("The optional parameters are malformed.", "check the lengths of the TLVs")
        }
        CommandStatus::EsmeRtlvnotallwd => ("An optional parameter is not allowed here.", "remove the TLV"),
        CommandStatus::EsmeRinvtlvlen => {
            ("The length of an optional parameter is invalid.", "correct the length of the TLV")
        }
        CommandStatus::EsmeRmissingtlv => (
            "A required optional parameter is missing.",
            "add the TLV, such as receipted_message_id in a receipt",
        ),
        CommandStatus::EsmeRinvtlvval => {
            ("The value of an optional parameter is invalid.", "correct the value of the TLV")
        }
        CommandStatus::EsmeRdeliveryfailure => {
            ("The delivery failed.", "read the network error code of the message")
        }
        CommandStatus::EsmeRunknownerr => ("An unknown error.", "ask the operator of the peer"),
        _ => return None,
    })
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
