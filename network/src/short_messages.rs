//! The messages between a device and the SMSC: TPDUs of 3GPP TS 23.040 in the RP messages of TS
//! 24.011.
//!
//! In JSON, octets are hexadecimal text.

use rsp::ids::Imsi;
use rsp::ota::sms::Address;
use serde::{Deserialize, Serialize};
use world::BoxFuture;

use super::causes::RpCause;
use super::messages::{AttachId, hex_octets};

/// RP-DATA from a device: TS 24.011 section 7.3.1.2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MobileOriginated {
    /// The attachment of the sending device.
    pub attach: AttachId,
    /// RP-Destination Address. It is ignored: a simulated network has only one SMSC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_centre: Option<Address>,
    /// SMS-SUBMIT.
    #[serde(with = "hex_octets")]
    pub tpdu: Vec<u8>,
}

/// RP-DATA to a device: TS 24.011 section 7.3.1.1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MobileTerminated {
    /// RP-Message Reference; the answer quotes it.
    pub reference: u32,
    /// RP-Originator Address.
    pub service_centre: Address,
    /// SMS-DELIVER.
    #[serde(with = "hex_octets")]
    pub tpdu: Vec<u8>,
}

/// A device's answer to RP-DATA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RpReport {
    /// The attachment of the answering device.
    pub attach: AttachId,
    /// The reference of the message that is answered.
    pub reference: u32,
    /// The answer.
    pub answer: RpAnswer,
}

/// RP-ACK or RP-ERROR, with a TPDU if there is one: TS 24.011 sections 7.3.3 and 7.3.4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RpAnswer {
    /// RP-ACK: the message was accepted.
    Ack(#[serde(with = "hex_octets")] Vec<u8>),
    /// RP-ERROR: the message was refused.
    Error(RpCause, #[serde(with = "hex_octets")] Vec<u8>),
}

/// The SMSC, as the networks see it: the receiver of mobile-originated messages.
pub trait MessageReceiver: Send + Sync {
    /// Accepts the SMS-SUBMIT of this subscriber. An RP-ACK means that the message is stored.
    fn submitted(&self, imsi: Imsi, tpdu: Vec<u8>) -> BoxFuture<'_, RpAnswer>;
}
