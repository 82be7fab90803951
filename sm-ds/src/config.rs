//! What the operator of the bench decides, with a named default for each.

use std::time::Duration;

use rsp::ids::{SmdpAddress, Version};

/// How long an LPA may take from one step of a session to the next. No person is asked anything meanwhile.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// How many events of one SM-DP+ may wait for one eUICC: more than that is an SM-DP+ that never deletes.
pub const MAX_EVENTS_PER_EUICC: usize = 100;

/// The longest event id, in octets: that of the activation code it stands for (section 4.1).
pub const MAX_EVENT_ID_OCTETS: usize = 255;

/// How the server behaves. [`Config::new`] has every default.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name by which SM-DP+s and devices are told to come.
    pub address: SmdpAddress,
    /// Other names it answers to.
    pub other_addresses: Vec<SmdpAddress>,
    /// See [`SESSION_LIFETIME`].
    pub session_lifetime: Duration,
    /// See [`MAX_EVENTS_PER_EUICC`].
    pub max_events_per_euicc: usize,
    /// The lowest version of SGP.22 an eUICC may ask for.
    pub lowest_svn: Version,
    /// The highest version of SGP.22 an eUICC may ask for at the least.
    pub highest_svn: Version,
    /// The version that is named in `X-Admin-Protocol` to a client that speaks this one or a later one.
    pub protocol_version: Version,
}

impl Config {
    /// The defaults, for a server of this name.
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

    /// Whether an address is one of ours.
    pub(crate) fn is_own_address(&self, asked: &str) -> bool {
        asked.parse().is_ok_and(|asked: SmdpAddress| {
            std::iter::once(&self.address).chain(&self.other_addresses).any(|own| *own == asked)
        })
    }
}
