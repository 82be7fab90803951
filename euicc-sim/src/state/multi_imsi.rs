//! The state of the multi-IMSI applet.

use profile::facts::Aka;
use rsp::ids::{Imsi, Mcc};
use serde::{Deserialize, Serialize};

/// The persistent state of the applet in a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The selections made so far.
    pub(crate) record: Record,
    /// The identity to which the next reset changes.
    pub(crate) due: Option<Imsi>,
    /// The identity with whose keys the profile authenticates; `None` for the profile's own keys.
    pub(crate) keys_of: Option<Imsi>,
    /// Keys of other identities that were in use before, with their sequence numbers.
    pub(crate) kept: Vec<StoredKeys>,
}

/// The keys of an identity, with their sequence numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredKeys {
    /// The identity; `None` for the profile's own keys.
    pub(crate) of: Option<Imsi>,
    pub(crate) aka: Vec<Aka>,
}

impl State {
    pub(crate) fn is_new(&self) -> bool {
        *self == Self::default()
    }
}

/// The volatile state of the applet since TERMINAL PROFILE.
#[derive(Clone, Debug, Default)]
pub(crate) struct LocationTracking {
    /// STATUS commands since the start of the day.
    pub(crate) polls: u32,
    /// STATUS commands since the loss of service; `None` while there is service.
    pub(crate) without_service: Option<u32>,
}

/// The selections made so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The last reported country.
    pub(crate) country: Option<Mcc>,
    /// Selections of this country's identity.
    pub(crate) tries: u8,
    /// Selections in total.
    pub(crate) picks: u8,
    /// True if the identity in use has been registered since it was selected.
    pub(crate) has_been_registered: bool,
}

impl Record {
    /// Starts a new day.
    pub(crate) fn start_day(&mut self) {
        (self.tries, self.picks) = (0, 0);
    }
}
