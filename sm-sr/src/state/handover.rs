//! State of the handover of a card to another SM-SR.

use rsp::ids::Oid;
use rsp_server::soap::Ticket;
use serde::{Deserialize, Serialize};

use super::AtCard;

/// State of a handover.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HandingOver {
    /// OID of the SM-SR that gets the card.
    pub target: Oid,
    /// Number of jobs sent to the card.
    pub jobs: u32,
    /// Event that it waits for.
    pub awaits: Awaits,
}

/// Event that a handover waits for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Awaits {
    /// The next call of the other SM-SR, or its response.
    Target,
    /// The challenge of the card, which checks the other SM-SR's certificate.
    Challenge {
        /// Call to answer with the challenge.
        ticket: Ticket,
        /// Job at the card.
        at_card: AtCard,
    },
    /// The receipt of the card, which creates a key set with the other SM-SR.
    Receipt {
        /// Call to answer with the receipt.
        ticket: Ticket,
        /// Job at the card.
        at_card: AtCard,
    },
}

impl HandingOver {
    pub(crate) fn at_card(&self) -> Option<&AtCard> {
        match &self.awaits {
            Awaits::Target => None,
            Awaits::Challenge { at_card, .. } | Awaits::Receipt { at_card, .. } => Some(at_card),
        }
    }
}
