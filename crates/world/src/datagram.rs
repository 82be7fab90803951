//! Short messages between an SMSC and its clients (3GPP TS 23.040; SMPP 3.4 between hosts).
//!
//! ```text
//! client (an SM-SR) -- ShortMessages::submit ------> SMSC -- radio --> device, card
//!                   <- ShortMessageSink::take ------
//! ```
//!
//! [`MessageCentre`] is the interface of the SMSC for a server that accepts clients over the
//! network. Delivery is at-least-once in both directions: a message that was not acknowledged is
//! repeated, and the receiver has to recognise duplicates.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rsp::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{BoxFuture, Fault};

/// The address of a sender or receiver of short messages: TS 23.040 section 9.1.2.5, SMPP 3.4
/// section 5.2.5.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PhoneNumber {
    /// Type of number: 0 unknown, 1 international, 2 national, 5 alphanumeric.
    ton: u8,
    /// Numbering plan: 0 unknown, 1 E.164.
    npi: u8,
    digits: String,
}

impl PhoneNumber {
    const INTERNATIONAL: u8 = 1;
    const ALPHANUMERIC: u8 = 5;
    const E164: u8 = 1;
    /// The limit of SMPP and of TS 23.040 (ten octets of semi-octets). A telephone number has at
    /// most 15 digits.
    const MAX_DIGITS: usize = 20;

    /// Creates an address from its parts.
    ///
    /// # Errors
    /// The address is longer than 20 characters, or contains characters that its type does not
    /// allow.
    pub fn new(ton: u8, npi: u8, digits: impl Into<String>) -> Result<Self, InvalidPhoneNumber> {
        let digits = digits.into();
        let allowed = |each: char| match ton {
            Self::ALPHANUMERIC => each.is_ascii_graphic() || each == ' ',
            _ => each.is_ascii_digit() || matches!(each, '*' | '#' | 'a' | 'b' | 'c'),
        };
        if digits.len() > Self::MAX_DIGITS || !digits.chars().all(allowed) || ton > 7 || npi > 15 {
            return Err(InvalidPhoneNumber(digits));
        }
        Ok(Self { ton, npi, digits })
    }

    /// Creates an international number, with country code, such as an MSISDN.
    ///
    /// # Errors
    /// The text does not consist of up to 20 digits.
    pub fn international(digits: impl Into<String>) -> Result<Self, InvalidPhoneNumber> {
        Self::new(Self::INTERNATIONAL, Self::E164, digits)
    }

    /// Returns the type of number (three bits).
    pub fn ton(&self) -> u8 {
        self.ton
    }

    /// Returns the numbering plan (four bits).
    pub fn npi(&self) -> u8 {
        self.npi
    }

    /// Returns the digits (or characters), without a plus.
    pub fn digits(&self) -> &str {
        &self.digits
    }

    /// True if both denote the same subscriber number. Only the digits are compared, because
    /// networks and operators disagree on when a number is "international".
    pub fn is_same(&self, other: &Self) -> bool {
        self.digits == other.digits
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plus = if self.ton == Self::INTERNATIONAL { "+" } else { "" };
        write!(f, "{plus}{}", self.digits)
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({}/{})", self.ton, self.npi)
    }
}

impl FromStr for PhoneNumber {
    type Err = InvalidPhoneNumber;

    /// Parses an address: `+` and digits are an international number, digits alone are a number of
    /// unknown type, and any other text is alphanumeric.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix('+') {
            Some("") => Err(InvalidPhoneNumber(text.to_owned())),
            Some(digits) => Self::international(digits),
            _ if text.is_empty() => Err(InvalidPhoneNumber(text.to_owned())),
            _ if text.bytes().all(|each| each.is_ascii_digit()) => Self::new(0, Self::E164, text),
            _ => Self::new(Self::ALPHANUMERIC, 0, text),
        }
    }
}

impl TryFrom<String> for PhoneNumber {
    type Error = InvalidPhoneNumber;

    /// Parses the output of [`From<PhoneNumber>`](String::from), or any text that [`FromStr`]
    /// accepts.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut parts = text.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(ton), Some(npi), Some(digits)) => {
                let bad = |_| InvalidPhoneNumber(text.clone());
                Self::new(ton.parse().map_err(bad)?, npi.parse().map_err(bad)?, digits)
            }
            _ => text.parse(),
        }
    }
}

impl From<PhoneNumber> for String {
    /// Writes a form that [`TryFrom`] reads back unchanged: the form of `Display` if that is
    /// unambiguous, otherwise all three parts.
    fn from(number: PhoneNumber) -> Self {
        let usual = number.to_string();
        if usual.parse().as_ref() == Ok(&number) {
            usual
        } else {
            format!("{}/{}/{}", number.ton, number.npi, number.digits)
        }
    }
}

/// An invalid address of a short message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a valid short message address; use up to 20 digits, with + before an international number"
)]
pub struct InvalidPhoneNumber(String);

/// A short message, in the parts that are common to the air interface and the interfaces between
/// hosts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShortMessage {
    /// The sender.
    pub from: PhoneNumber,
    /// The receiver.
    pub to: PhoneNumber,
    /// TP-PID: TS 23.040 section 9.2.3.9.
    pub protocol_identifier: u8,
    /// TP-DCS: TS 23.038 section 4.
    pub data_coding: u8,
    /// TP-UDHI: true if the user data begins with a header.
    pub has_header: bool,
    /// TP-UD: at most 140 octets. 7-bit text is stored with one octet per character, at most 160.
    #[serde(with = "hex_octets")]
    pub user_data: Vec<u8>,
}

impl ShortMessage {
    /// TP-PID of (U)SIM data download: the device passes the message to its card.
    pub const DATA_DOWNLOAD: u8 = 0x7F;
    /// TP-DCS of messages to a card: 8-bit data, class 2, as TS 31.115 section 4 requires.
    pub const CLASS_2_DATA: u8 = 0xF6;
    /// TP-DCS of 8-bit data without a class.
    pub const DATA: u8 = 0x04;

    /// Creates a message to a card that contains a secured packet, or a part of one. The user data
    /// includes the header.
    pub fn to_card(from: PhoneNumber, to: PhoneNumber, user_data: Vec<u8>) -> Self {
        Self {
            from,
            to,
            protocol_identifier: Self::DATA_DOWNLOAD,
            data_coding: Self::CLASS_2_DATA,
            has_header: true,
            user_data,
        }
    }
}

/// Shows sender, receiver and length. The content is omitted because it may be confidential.
impl fmt::Debug for ShortMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, protocol_identifier, data_coding, .. } = self;
        let octets = self.user_data.len();
        write!(f, "{from} -> {to} (PID {protocol_identifier:02X}, DCS {data_coding:02X}, {octets} octets)")
    }
}

/// A message that a client submits to the SMSC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// The message.
    pub message: ShortMessage,
    /// The validity period. The default of the SMSC applies if it is `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<Duration>,
    /// The receipts that the client requests.
    #[serde(default)]
    pub receipts: Receipts,
}

/// The receipts that a client requests: SMPP 3.4 section 5.2.17.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receipts {
    /// No receipt.
    #[default]
    None,
    /// A receipt for every final state.
    Always,
    /// A receipt if the message was not delivered.
    OnFailure,
}

/// The message ID assigned by the SMSC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(pub String);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The state of a message: SMPP 3.4 section 5.2.28.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// The message waits for delivery.
    Enroute,
    /// The device has received the message.
    Delivered,
    /// The validity period is over.
    Expired,
    /// The message was cancelled.
    Deleted,
    /// The message cannot be delivered.
    Undeliverable,
    /// The state is unknown.
    Unknown,
    /// The message was rejected by the SMSC.
    Rejected,
}

/// A delivery receipt: the final state of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The message ID.
    pub id: MessageId,
    /// The receiver of the message.
    pub to: PhoneNumber,
    /// The sender of the message, who receives this receipt.
    pub from: PhoneNumber,
    /// The final state.
    pub state: MessageState,
    /// The time at which the SMSC accepted the message.
    pub submitted: Timestamp,
    /// The time at which the final state was reached.
    pub ended: Timestamp,
    /// A textual reason, if one is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// A delivery from the SMSC to a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncomingDelivery {
    /// A message sent by a device.
    Message(ShortMessage),
    /// The user data of the delivery report of a message of this client, written by the device's
    /// card (TS 23.040 section 9.2.2.1a). `from` is the device.
    Report(MessageId, ShortMessage),
    /// The receipt of a message of this client.
    Receipt(Receipt),
}

/// A failure to submit a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitFault {
    /// The connection to the SMSC failed. The SMSC may have received the message.
    #[error("the message centre does not answer: {0}; the message will be sent again when it does")]
    Unreachable(String),
    /// There is no session with the SMSC. The SMSC has not received the message.
    #[error("there is no session with the message centre; the message will be sent when there is one")]
    Unbound,
    /// The SMSC is overloaded.
    #[error("the message centre is throttling; send more slowly")]
    Throttled,
    /// The SMSC refuses this message. A retry is pointless.
    #[error("the message centre refused the message: {0}")]
    Refused(String),
}

impl SubmitFault {
    /// True if a retry can succeed.
    pub fn is_temporary(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }

    /// True if the SMSC has certainly not received the message.
    pub fn is_certain(&self) -> bool {
        !matches!(self, Self::Unreachable(_))
    }
}

/// The direction from a client to the SMSC.
pub trait ShortMessages: Send + Sync {
    /// Submits a message. When it returns, the SMSC has stored the message.
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<MessageId, SubmitFault>>;
}

impl<S: ShortMessages + ?Sized> ShortMessages for Arc<S> {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<MessageId, SubmitFault>> {
        (**self).submit(submission)
    }
}

/// The direction from the SMSC to a client.
pub trait ShortMessageSink: Send + Sync {
    /// Accepts a delivery. After `Ok` the SMSC deletes the delivery; after a fault the SMSC repeats
    /// it.
    fn take(&self, arrived: IncomingDelivery) -> BoxFuture<'_, Result<(), Fault>>;
}

impl<S: ShortMessageSink + ?Sized> ShortMessageSink for Arc<S> {
    fn take(&self, arrived: IncomingDelivery) -> BoxFuture<'_, Result<(), Fault>> {
        (**self).take(arrived)
    }
}

/// The ticket of a delivery, with which the client acknowledges it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeliveryTicket(pub String);

/// A delivery that waits for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedDelivery {
    /// The ticket with which the delivery is acknowledged.
    pub ticket: DeliveryTicket,
    /// The delivery.
    pub arrived: IncomingDelivery,
}

/// The reason why an SMSC refuses a client's login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CentreRefusal {
    /// The account is unknown.
    #[error("no such account")]
    UnknownAccount,
    /// The password is wrong.
    #[error("wrong password")]
    WrongPassword,
}

/// Maximum length in octets of an SMPP system_id, the account name (SMPP 3.4 section 4.1.1).
pub const MAX_ACCOUNT: usize = 15;
/// Maximum length in octets of an SMPP password.
pub const MAX_PASSWORD: usize = 8;

/// Checks that account and password can be used in an SMPP bind, before a connection fails because
/// of them.
///
/// # Errors
/// One of them is too long, or contains characters that SMPP does not allow.
pub fn check_account(account: &str, password: &str) -> Result<(), String> {
    for (what, text, most) in [("an account", account, MAX_ACCOUNT), ("a password", password, MAX_PASSWORD)] {
        if text.len() > most || !text.bytes().all(|octet| octet.is_ascii_graphic() || octet == b' ') {
            return Err(format!("{what} of SMPP consists of at most {most} ASCII characters"));
        }
    }
    Ok(())
}

/// The interface of an SMSC for a server that accepts clients. A client is identified by its
/// account.
pub trait MessageCentre: Send + Sync {
    /// Checks the credentials of a client.
    ///
    /// # Errors
    /// The account is unknown or the password is wrong.
    fn admit(&self, account: &str, password: &str) -> Result<(), CentreRefusal>;

    /// Accepts a message of this client. When it returns, the message is stored.
    fn submit(&self, account: &str, submission: Submission) -> BoxFuture<'_, Result<MessageId, SubmitFault>>;

    /// Returns the state of a message of this client, or `None` if the message is unknown or was
    /// already forgotten.
    fn state(&self, account: &str, id: &MessageId) -> Option<MessageState>;

    /// Cancels a message that was not delivered yet. Returns false if there is no such message.
    fn cancel(&self, account: &str, id: &MessageId) -> Result<bool, Fault>;

    /// Waits for the oldest delivery to this client that is not acknowledged. Returns the same
    /// delivery until it is acknowledged.
    fn next<'a>(&'a self, account: &'a str) -> BoxFuture<'a, QueuedDelivery>;

    /// Acknowledges a delivery. Repeating the acknowledgement has no effect.
    ///
    /// # Errors
    /// The acknowledgement cannot be stored. The delivery will be repeated.
    fn taken(&self, account: &str, ticket: &DeliveryTicket) -> Result<(), Fault>;
}

/// Serde functions for octets as hexadecimal text.
mod hex_octets {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digit = |octet: &u8| char::from(*octet).to_digit(16);
        let pair = |pair: &[u8]| match pair {
            [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
            _ => None,
        };
        let octets: Option<Vec<u8>> = text.as_bytes().chunks(2).map(pair).collect();
        octets.ok_or_else(|| Error::custom("not pairs of hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_number_round_trips_through_text() {
        for text in ["+4915112345678", "12345", "Landfall", "2/1/030123", "0/0/+"] {
            let parsed = PhoneNumber::try_from(text.to_owned());
            if text == "0/0/+" {
                assert_eq!(parsed, Err(InvalidPhoneNumber("+".into())));
                continue;
            }
            assert_eq!(String::from(parsed.unwrap()), text);
        }
        for text in ["", "+", "+12a4x", "123456789012345678901", "Ümlaut"] {
            assert!(text.parse::<PhoneNumber>().is_err(), "{text}");
        }
        assert!("+12345".parse::<PhoneNumber>().unwrap().is_same(&"12345".parse().unwrap()));
    }

    #[test]
    fn a_submission_round_trips_through_json() {
        let number = |text: &str| text.parse::<PhoneNumber>().unwrap();
        let message = ShortMessage::to_card(number("1000"), number("+491511"), vec![2, 0x70, 0, 0xFF]);
        let submission =
            Submission { message, validity: Some(Duration::from_secs(60)), receipts: Receipts::Always };
        let json = serde_json::to_string(&submission).unwrap();
        assert!(json.contains(r#""user_data":"027000ff""#), "{json}");
        assert_eq!(serde_json::from_str::<Submission>(&json).unwrap(), submission);
        assert!(serde_json::from_str::<Submission>(&json.replace("027000ff", "027000f")).is_err());
    }
}
