//! What the operator of the bench decides, with a named default for each.

use std::fmt;
use std::time::Duration;

use rsp::ids::{SmdpAddress, Version};

/// How long an LPA may take from one step of a session to the next: time for a person to read and to confirm.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// How long the result of an installation is waited for. A device may be without a network for weeks; until the result
/// comes, the key that verifies it is kept.
pub const NOTIFICATION_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

/// How long a confirmed order may be downloaded.
pub const ORDER_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

/// How long a message to an operator or an SM-DS is tried. After a week without it the peer has other ways to ask.
pub const DELIVERY_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// How many messages may wait for an operator that takes none. Later ones are lost: it has long stopped listening.
pub const MAX_WAITING_MESSAGES: usize = 10_000;

/// How long to wait after the first failed delivery; each further failure doubles it.
pub const FIRST_REDELIVERY: Duration = Duration::from_secs(1);

/// The longest wait between two attempts: a peer that comes back has its messages within this.
pub const SLOWEST_REDELIVERY: Duration = Duration::from_secs(5 * 60);

/// How often a download may begin. Bad radio needs a few; more is somebody trying.
pub const MAX_DOWNLOAD_ATTEMPTS: u32 = 10;

/// How often the confirmation code may be wrong: as with the PIN of a SIM.
pub const MAX_CONFIRMATION_CODE_ATTEMPTS: u32 = 3;

/// How the server behaves. [`Config::new`] has every default.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name by which operators and devices are told to come.
    pub address: SmdpAddress,
    /// Other names it answers to.
    pub other_addresses: Vec<SmdpAddress>,
    /// Who may call ES2+.
    pub requesters: Requesters,
    /// See [`SESSION_LIFETIME`].
    pub session_lifetime: Duration,
    /// See [`NOTIFICATION_LIFETIME`].
    pub notification_lifetime: Duration,
    /// See [`ORDER_LIFETIME`].
    pub order_lifetime: Duration,
    /// See [`DELIVERY_LIFETIME`].
    pub delivery_lifetime: Duration,
    /// See [`MAX_WAITING_MESSAGES`].
    pub max_waiting_messages: usize,
    /// See [`MAX_DOWNLOAD_ATTEMPTS`].
    pub max_download_attempts: u32,
    /// See [`MAX_CONFIRMATION_CODE_ATTEMPTS`].
    pub max_confirmation_code_attempts: u32,
    /// The HostID of every key agreement; drawn anew for each binding when there is none.
    pub host_id: Option<HostId>,
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
            requesters: Requesters::ByCertificate,
            session_lifetime: SESSION_LIFETIME,
            notification_lifetime: NOTIFICATION_LIFETIME,
            order_lifetime: ORDER_LIFETIME,
            delivery_lifetime: DELIVERY_LIFETIME,
            max_waiting_messages: MAX_WAITING_MESSAGES,
            max_download_attempts: MAX_DOWNLOAD_ATTEMPTS,
            max_confirmation_code_attempts: MAX_CONFIRMATION_CODE_ATTEMPTS,
            host_id: None,
            lowest_svn: Version([2, 0, 0]),
            highest_svn: Version([2, 7, 255]),
            protocol_version: Version([2, 6, 0]),
        }
    }

    /// Our own spelling of an address that is ours.
    pub(crate) fn own_address(&self, asked: &str) -> Option<&SmdpAddress> {
        let asked: SmdpAddress = asked.parse().ok()?;
        std::iter::once(&self.address).chain(&self.other_addresses).find(|own| **own == asked)
    }
}

/// Who may call ES2+, among those who have shown a client certificate that TLS has verified. An operator in the records
/// has an identifier that belongs to its certificate alone, in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requesters {
    /// Everybody, under an object identifier that is in the subjectAltName of its certificate.
    ByCertificate,
    /// The operators in the records, and nobody else.
    Listed,
}

/// HostID of the control reference template: 1 to 16 octets (section 5.5.1).
#[derive(Clone, PartialEq, Eq)]
pub struct HostId(Vec<u8>);

impl HostId {
    /// The longest HostID.
    pub const MAX_OCTETS: usize = 16;

    /// `None` for no octets or too many.
    pub fn new(octets: Vec<u8>) -> Option<Self> {
        (1..=Self::MAX_OCTETS).contains(&octets.len()).then_some(Self(octets))
    }

    /// The octets.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostId({})", hex::encode(&self.0))
    }
}
