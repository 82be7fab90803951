//! Configuration of the server, with a named default for each value.

use std::time::Duration;

use rsp::ids::SmdpAddress;
use rsp_server::Settings;

/// Maximum time between two steps of a session. It can be short because no step waits for a person.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// Maximum number of events that one SM-DP+ can register for one eUICC. A higher number means that
/// the SM-DP+ never deletes its events.
pub const MAX_EVENTS_PER_EUICC: usize = 100;

/// Maximum length of an event ID in octets. An LPA sends it like the MatchingID of an activation
/// code, which has at most 255 octets (section 4.1).
pub const MAX_EVENT_ID_OCTETS: usize = 255;

/// Configuration of an SM-DS. [`Config::new`] sets every default value.
#[derive(Clone, Debug)]
pub struct Config {
    /// Settings that every server has.
    pub server: Settings,
    /// See [`MAX_EVENTS_PER_EUICC`].
    pub max_events_per_euicc: usize,
}

impl Config {
    /// Returns the default configuration of a server with this address.
    pub fn new(address: SmdpAddress) -> Self {
        Self { server: Settings::new(address, SESSION_LIFETIME), max_events_per_euicc: MAX_EVENTS_PER_EUICC }
    }
}
