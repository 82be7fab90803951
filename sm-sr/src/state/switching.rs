//! State of a change of the enabled profile.

use rsp::{ids::Aid, sgp02::Octets};
use serde::{Deserialize, Serialize};

use super::AtCard;

/// A change of the enabled profile.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Switching {
    /// ISD-P that is enabled if the change succeeds.
    pub expected: Aid,
    /// Current step.
    pub at: SwitchStep,
}

/// Step of a change of the enabled profile.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum SwitchStep {
    /// Waits for the card's response.
    Answer(AtCard),
    /// Waits for the card's notification over the new profile's network.
    Notification {
        /// The card's response.
        data: Octets,
    },
    /// Waits for the card's response to the confirmation of that notification.
    Confirmation {
        /// The card's first response, unless it was lost.
        data: Option<Octets>,
        /// Sequence number of the notification.
        sequence: u16,
    },
}

impl Switching {
    pub(crate) fn at_card(&self) -> Option<&AtCard> {
        match &self.at {
            SwitchStep::Answer(at_card) => Some(at_card),
            _ => None,
        }
    }

    /// Returns true if the card has notified the change and the confirmation is being sent.
    pub(crate) fn is_confirming(&self) -> bool {
        matches!(self.at, SwitchStep::Confirmation { .. })
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.at {
            SwitchStep::Answer(_) => "at the card",
            SwitchStep::Notification { .. } => "waiting for the card's notification",
            SwitchStep::Confirmation { .. } => "waiting for the card to accept the confirmation",
        }
    }
}
