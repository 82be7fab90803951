//! Short messages between a message centre and those who write to devices (3GPP TS 23.040; SMPP 3.4 between hosts).
//!
//! ```text
//! writer (an SM-SR) -- ShortMessages::submit ------> message centre -- radio --> device, card
//!                  <- ShortMessageSink::take ------
//! ```
//!
//! [`MessageCentre`] is the centre as a door sees it that serves writers elsewhere. Both ends are at-least-once: a
//! message that was not confirmed comes again, and whoever takes it tells a duplicate by itself.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rsp::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{BoxFuture, Fault};

/// The address of one who sends or receives short messages: TS 23.040 section 9.1.2.5, SMPP 3.4 section 5.2.5.
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
    /// What SMPP gives an address; a telephone number has at most 15 digits, TS 23.040 twice ten.
    const MAX_DIGITS: usize = 20;

    /// An address of these parts.
    ///
    /// # Errors
    /// It is longer than 20 characters, or has characters that its type does not allow.
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

    /// A number with its country code, as an MSISDN is.
    ///
    /// # Errors
    /// It does not consist of up to 20 digits.
    pub fn international(digits: impl Into<String>) -> Result<Self, InvalidPhoneNumber> {
        Self::new(Self::INTERNATIONAL, Self::E164, digits)
    }

    /// Type of number, three bits.
    pub fn ton(&self) -> u8 {
        self.ton
    }

    /// Numbering plan, four bits.
    pub fn npi(&self) -> u8 {
        self.npi
    }

    /// The digits (or characters), without a plus.
    pub fn digits(&self) -> &str {
        &self.digits
    }

    /// Whether both mean the same telephone: digits count, how they are typed does not. Networks and operators are not
    /// at one over when a number is "international".
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

    /// `+` and digits is international, digits alone are of unknown type, anything else is alphanumeric.
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

    /// What [`From<PhoneNumber>`](String::from) wrote, or what [`FromStr`] reads.
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
    /// A form that [`TryFrom`] reads back as it was: the usual one where that suffices.
    fn from(number: PhoneNumber) -> Self {
        let usual = number.to_string();
        if usual.parse().as_ref() == Ok(&number) {
            usual
        } else {
            format!("{}/{}/{}", number.ton, number.npi, number.digits)
        }
    }
}

/// Not an address of a short message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be sent short messages; give up to 20 digits, with + before an international number")]
pub struct InvalidPhoneNumber(String);

/// A short message, as far as it is the same on the air and between hosts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShortMessage {
    /// Whose it is.
    pub from: PhoneNumber,
    /// Whom it is for.
    pub to: PhoneNumber,
    /// TP-PID: TS 23.040 section 9.2.3.9.
    pub protocol_identifier: u8,
    /// TP-DCS: TS 23.038 section 4.
    pub data_coding: u8,
    /// TP-UDHI: the user data begin with a header.
    pub has_header: bool,
    /// TP-UD in octets, at most 140; of 7-bit text one octet a character, at most 160.
    #[serde(with = "hex_octets")]
    pub user_data: Vec<u8>,
}

impl ShortMessage {
    /// TP-PID of what the device hands to its card: (U)SIM data download.
    pub const DATA_DOWNLOAD: u8 = 0x7F;
    /// TP-DCS of what a card reads: 8-bit data, class 2, as TS 31.115 section 4 has it.
    pub const CLASS_2_DATA: u8 = 0xF6;
    /// TP-DCS of 8-bit data without a class.
    pub const DATA: u8 = 0x04;

    /// A secured packet, or a part of one, for a card: user data with their header.
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

/// Who, to whom and how much; the content may be anybody's.
impl fmt::Debug for ShortMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, protocol_identifier, data_coding, .. } = self;
        let octets = self.user_data.len();
        write!(f, "{from} -> {to} (PID {protocol_identifier:02X}, DCS {data_coding:02X}, {octets} octets)")
    }
}

/// A message that a writer hands to the centre.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// What.
    pub message: ShortMessage,
    /// How long the centre keeps trying; its own default if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<Duration>,
    /// What the writer wants to hear of it.
    #[serde(default)]
    pub receipts: Receipts,
}

/// When a centre tells what has become of a message: SMPP 3.4 section 5.2.17.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receipts {
    /// Never.
    #[default]
    None,
    /// Whether it was delivered or not.
    Always,
    /// When it was not delivered.
    OnFailure,
}

/// What a centre calls a message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(pub String);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What has become of a message: SMPP 3.4 section 5.2.28.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// It waits.
    Enroute,
    /// The device has it.
    Delivered,
    /// Its time has run out.
    Expired,
    /// Somebody has taken it out of the centre.
    Deleted,
    /// The device will not have it.
    Undeliverable,
    /// The centre does not want to say.
    Unknown,
    /// The centre does not want it.
    Rejected,
}

/// That a message has come to an end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Which.
    pub id: MessageId,
    /// Whom it was for.
    pub to: PhoneNumber,
    /// Who wrote it, and is told so.
    pub from: PhoneNumber,
    /// How it ended.
    pub state: MessageState,
    /// When the centre took it.
    pub submitted: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// In words, where something is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// What a centre brings to a writer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrived {
    /// A message of a device.
    Message(ShortMessage),
    /// What the device's card said in the delivery report to a message of this writer (TS 23.040 section 9.2.2.1a): user
    /// data that came back with the acknowledgement. `from` is the device.
    Report(MessageId, ShortMessage),
    /// What has become of a message of this writer.
    Receipt(Receipt),
}

/// No message centre took the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitFault {
    /// The way to the centre is broken. It may have the message.
    #[error("the message centre does not answer: {0}; the message is sent again once it does")]
    Unreachable(String),
    /// There is no session with the centre. It has not got the message.
    #[error("there is no session with the message centre; the message is sent once there is one")]
    Unbound,
    /// The centre has too much to do.
    #[error("the message centre takes no more messages just now; send more slowly")]
    Throttled,
    /// The centre does not want this message. Again will not help.
    #[error("the message centre refused the message: {0}")]
    Refused(String),
}

impl SubmitFault {
    /// Whether the same message may be taken later.
    pub fn is_passing(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }

    /// Whether it is certain that the centre has not got the message.
    pub fn is_certain(&self) -> bool {
        !matches!(self, Self::Unreachable(_))
    }
}

/// The way from a writer to a message centre.
pub trait ShortMessages: Send + Sync {
    /// Hands a message over. When it returns the centre has written it down.
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<MessageId, SubmitFault>>;
}

impl<S: ShortMessages + ?Sized> ShortMessages for Arc<S> {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<MessageId, SubmitFault>> {
        (**self).submit(submission)
    }
}

/// The way from a message centre to a writer.
pub trait ShortMessageSink: Send + Sync {
    /// Takes what has come. After `Ok` the centre forgets it; after a fault it brings it again.
    fn take(&self, arrived: Arrived) -> BoxFuture<'_, Result<(), Fault>>;
}

impl<S: ShortMessageSink + ?Sized> ShortMessageSink for Arc<S> {
    fn take(&self, arrived: Arrived) -> BoxFuture<'_, Result<(), Fault>> {
        (**self).take(arrived)
    }
}

/// Which delivery to a writer is meant when it says that it has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeliveryTicket(pub String);

/// Something that waits for a writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedDelivery {
    /// By which it is confirmed.
    pub ticket: DeliveryTicket,
    /// What.
    pub arrived: Arrived,
}

/// A centre does not let a writer in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CentreRefusal {
    /// No such writer.
    #[error("no such account")]
    UnknownAccount,
    /// Another password.
    #[error("wrong password")]
    WrongPassword,
}

/// How many octets SMPP has room for in an account and in its password (SMPP 3.4 section 4.1.1).
pub const MAX_ACCOUNT: usize = 15;
/// See [`MAX_ACCOUNT`].
pub const MAX_PASSWORD: usize = 8;

/// Whether a writer can come in with these: centre and writer want to know before they wonder about each other.
///
/// # Errors
/// One is too long, or no text of SMPP.
pub fn check_account(account: &str, password: &str) -> Result<(), String> {
    for (what, text, most) in [("an account", account, MAX_ACCOUNT), ("a password", password, MAX_PASSWORD)] {
        if text.len() > most || !text.bytes().all(|octet| octet.is_ascii_graphic() || octet == b' ') {
            return Err(format!("{what} of SMPP has at most {most} ASCII characters"));
        }
    }
    Ok(())
}

/// A message centre, as a door to it sees it. Writers are known by an account.
pub trait MessageCentre: Send + Sync {
    /// Whether this writer may come in.
    ///
    /// # Errors
    /// It may not.
    fn admit(&self, account: &str, password: &str) -> Result<(), CentreRefusal>;

    /// Takes a message of this writer. When it returns the message is written down.
    fn submit(&self, account: &str, submission: Submission) -> BoxFuture<'_, Result<MessageId, SubmitFault>>;

    /// What has become of a message of this writer; none if there is no such message, or no longer.
    fn state(&self, account: &str, id: &MessageId) -> Option<MessageState>;

    /// Takes a message that still waits out of the centre; says whether it was there.
    fn cancel(&self, account: &str, id: &MessageId) -> Result<bool, Fault>;

    /// Waits for what is to be brought to this writer: the oldest that is not confirmed. The same again until it is.
    fn next<'a>(&'a self, account: &'a str) -> BoxFuture<'a, QueuedDelivery>;

    /// The writer has this. Confirming twice does nothing.
    ///
    /// # Errors
    /// It cannot be written down; it will be brought again.
    fn taken(&self, account: &str, ticket: &DeliveryTicket) -> Result<(), Fault>;
}

/// Serde for octets as hexadecimal text.
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
    fn a_number_reads_as_it_was_written() {
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
    fn a_submission_survives_in_a_record() {
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
