//! State of the takeover of a card from another SM-SR.

use std::fmt;

use rsp::{
    ids::{Eid, Oid},
    sgp02::{Octets, eis::Eis, es5::KeyAgreement, status::Refusal},
    time::Timestamp,
};
use rsp_server::soap::Ticket;
use serde::{Deserialize, Serialize};

use crate::keys::Key;

/// A takeover in progress.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Takeover {
    /// Ticket of ES7.HandoverEUICC; `None` once it has been answered.
    pub ticket: Option<Ticket>,
    /// Public key of the ECASD for the key agreement: 04 || X || Y.
    pub ecasd_key: Octets,
    /// OID of the SM-SR that manages the card.
    pub from: Oid,
    /// EIS sent by that SM-SR.
    pub eis: Eis,
    /// Time at which the takeover began.
    pub since: Timestamp,
    /// Time at which it expires.
    pub expires: Timestamp,
    /// Event that it waits for.
    pub awaits: Awaits,
}

impl Takeover {
    pub(crate) fn eid(&self) -> Eid {
        self.eis.eum_signed_info.eid
    }
}

/// Event that a takeover waits for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Awaits {
    /// The card's challenge, returned by the other SM-SR.
    Challenge,
    /// The card's receipt, returned by the other SM-SR.
    Receipt {
        /// Ephemeral private key.
        secret: Key,
        /// Signed parameters of the key agreement.
        agreement: KeyAgreement,
    },
    /// The finalisation on the card, which belongs to this SM-SR now.
    Finalised(HandoverFinalisation),
}

/// State of the finalisation of a card that was taken over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HandoverFinalisation {
    /// New key for HTTPS, if the card supports HTTPS.
    pub psk: Option<Psk>,
    /// Commands sent last.
    #[serde(rename = "told")]
    pub sent: Vec<FinalisationCommand>,
    /// Commands that failed, to be repeated another day.
    #[serde(rename = "left")]
    pub failed: Vec<FinalisationCommand>,
    /// First failure of this attempt.
    #[serde(rename = "trouble")]
    pub failure: Option<Refusal>,
    /// Number of attempts.
    pub attempts: u32,
}

/// A key for HTTPS that the card is to store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Psk {
    /// Version number of its key set.
    pub version: u8,
    /// The key.
    pub key: Key,
}

/// A command of the finalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FinalisationCommand {
    /// Stores the address of this SM-SR.
    #[serde(rename = "Address")]
    StoreAddress,
    /// Stores the key for HTTPS.
    #[serde(rename = "TakePsk")]
    StorePsk,
    /// Deletes all keys except for those of this SM-SR.
    #[serde(rename = "Forget")]
    DeleteOtherKeys,
}

impl fmt::Display for FinalisationCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StoreAddress => f.write_str("to store the address of its new SM-SR"),
            Self::StorePsk => f.write_str("to store a key for HTTPS"),
            Self::DeleteOtherKeys => f.write_str("to delete the keys of its former SM-SR"),
        }
    }
}
