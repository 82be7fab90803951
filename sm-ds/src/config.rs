//! Configuration of the server, with a named default for each value.

use std::time::Duration;

use rsp::ids::{SmdpAddress, Version};

/// Maximum time between two steps of a session. It can be short because no step waits for a person.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// Maximum number of events that one SM-DP+ can register for one eUICC. A higher number means that
/// the SM-DP+ never deletes its events.
pub const MAX_EVENTS_PER_EUICC: usize = 100;

/// Maximum length of an event ID in octets. An LPA sends it like the MatchingID of an activation
/// code, which has at most 255 octets (section 4.1).
pub const MAX_EVENT_ID_OCTETS: usize = 255;

/// Configuration of an SM-DS. [`Config::new`] has every default.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address at which SM-DP+s and devices reach this server.
    pub address: SmdpAddress,
    /// Other addresses of this server.
    pub other_addresses: Vec<SmdpAddress>,
    /// See [`SESSION_LIFETIME`].
    pub session_lifetime: Duration,
    /// See [`MAX_EVENTS_PER_EUICC`].
    pub max_events_per_euicc: usize,
    /// Lowest supported version of SGP.22. An eUICC with an older version is refused.
    pub lowest_svn: Version,
    /// Highest supported version of SGP.22. An eUICC that needs a newer one is refused.
    pub highest_svn: Version,
    /// Version named in `X-Admin-Protocol` to a client that speaks this version or a later one.
    pub protocol_version: Version,
}

impl Config {
    /// Returns the default configuration of a server with this address.
    pub fn new(address: SmdpAddress) -> Self {
        Self {
            address,
            other_addresses: Vec::new(),
            session_lifetime: SESSION_LIFETIME,
            max_events_per_euicc: MAX_EVENTS_PER_EUICC,
            lowest_svn: Version([2, 0, 0]),
            highest_svn: Version([2, 7, 255]),
            protocol_version: Version([2, 6, 0]),
        }
    }
}
