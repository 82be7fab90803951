//! The settings of an IPA inside the card (IPAe): SGP.31, SGP.32.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The settings of an IPA inside the card. The standard leaves them to the manufacturer of the
/// card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IpaeDescription {
    /// The address of each server by host name, without a port. The bearer independent protocol
    /// connects to addresses only (TS 102 223 section 8.58), and the card has no DNS client. A
    /// server whose host name is an IP address needs no entry.
    pub servers: BTreeMap<String, SocketAddr>,
    /// True if the IPA downloads profiles and sends notifications directly to SM-DP+s. Otherwise
    /// its eIM relays both.
    pub direct: bool,
    /// The interval at which the IPA polls its eIMs, at most 24 hours less one second.
    pub poll_seconds: u64,
    /// The interval of STATUS commands that the card requests from the terminal.
    pub status_seconds: u64,
    /// Time for the enabled profile to register before the IPA considers it not to work.
    pub attach_seconds: u64,
    /// Time for a server to answer a request.
    pub answer_seconds: u64,
    /// Delay before another attempt to deliver a result, and after a check-in that failed.
    pub retry_seconds: u64,
    /// Maximum attempts to deliver the result of a package that permits a rollback.
    pub delivery_tries: u32,
}

impl Default for IpaeDescription {
    fn default() -> Self {
        Self {
            servers: BTreeMap::new(),
            direct: false,
            poll_seconds: 3600,
            status_seconds: 30,
            attach_seconds: 180,
            answer_seconds: 60,
            retry_seconds: 30,
            delivery_tries: 3,
        }
    }
}
