//! The configuration of the server, with a named constant for each default.

use std::{fmt, sync::Arc, time::Duration};

use rsp::ids::SmdpAddress;
use rsp_server::{AllowedAddresses, Settings};

/// Maximum time between two steps of a session. A person needs time to read and to confirm.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Time for which the server waits for an installation result. A device can be without a network
/// for weeks. The key that verifies the result is kept for this time.
pub const NOTIFICATION_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

/// Time for which a confirmed order can be downloaded.
pub const ORDER_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

/// Time for which delivery of a message to an operator or an SM-DS is retried. After a week, the
/// peer has other ways to obtain the information.
pub const DELIVERY_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// Maximum number of messages that wait for an unreachable operator. Later messages are discarded.
pub const MAX_WAITING_MESSAGES: usize = 10_000;

/// Delay after the first failed delivery. Each further failure doubles the delay.
pub const FIRST_REDELIVERY_DELAY: Duration = Duration::from_secs(1);

/// Maximum delay between two attempts. A peer that becomes reachable again receives its messages
/// within this time.
pub const MAX_REDELIVERY_DELAY: Duration = Duration::from_secs(5 * 60);

/// Maximum number of downloads of an order. Poor radio conditions need a few attempts; more
/// indicate abuse.
pub const MAX_DOWNLOAD_ATTEMPTS: u32 = 10;

/// Maximum number of wrong confirmation codes, as for the PIN of a SIM.
pub const MAX_CONFIRMATION_CODE_ATTEMPTS: u32 = 3;

/// Configuration of an SM-DP+. [`Config::new`] sets every default.
#[derive(Clone, Debug)]
pub struct Config {
    /// The settings that every server has.
    pub server: Settings,
    /// The operators that may call ES2+.
    pub requesters: Requesters,
    /// The SM-DSs that an operator may name in ES2+.ConfirmOrder.
    pub sm_ds_addresses: AllowedAddresses,
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
    /// The HostID of every key agreement. Default: a random HostID for each binding.
    pub host_id: Option<HostId>,
    /// True if the package of a profile is removed from the stock when the profile is installed.
    /// A package of a reusable order stays. Default: false.
    pub remove_installed_packages: bool,
    /// Called with each profile that the server personalises.
    pub personalised_hook: Option<PersonalisedHook>,
}

impl Config {
    /// Creates a configuration with the default values and this address.
    pub fn new(address: SmdpAddress) -> Self {
        Self {
            server: Settings::new(address, SESSION_LIFETIME),
            requesters: Requesters::default(),
            sm_ds_addresses: AllowedAddresses::default(),
            notification_lifetime: NOTIFICATION_LIFETIME,
            order_lifetime: ORDER_LIFETIME,
            delivery_lifetime: DELIVERY_LIFETIME,
            max_waiting_messages: MAX_WAITING_MESSAGES,
            max_download_attempts: MAX_DOWNLOAD_ATTEMPTS,
            max_confirmation_code_attempts: MAX_CONFIRMATION_CODE_ATTEMPTS,
            host_id: None,
            remove_installed_packages: false,
            personalised_hook: None,
        }
    }
}

/// The callers that may use ES2+. Every caller must present a client certificate that TLS has
/// verified. In both cases, the identifier of a registered operator can only be used with that
/// operator's certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Requesters {
    /// Every caller whose certificate is for TLS clients only, with an object identifier from the
    /// subjectAltName of its certificate as identifier.
    #[default]
    ByCertificate,
    /// Only registered operators.
    Listed,
}

/// A function that gets the package (DER) of each profile that the server personalises from a
/// template. It is called after the commit and before the reply to the order.
#[derive(Clone)]
pub struct PersonalisedHook(Arc<OnPersonalised>);

type OnPersonalised = dyn Fn(&[u8]) + Send + Sync;

impl PersonalisedHook {
    /// Creates a hook.
    pub fn new(hook: impl Fn(&[u8]) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    pub(crate) fn call(&self, package: &[u8]) {
        (self.0)(package);
    }
}

impl fmt::Debug for PersonalisedHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonalisedHook(..)")
    }
}

/// HostID of the control reference template: 1 to 16 octets (section 5.5.1).
#[derive(Clone, PartialEq, Eq)]
pub struct HostId(Vec<u8>);

impl HostId {
    /// Maximum length of a HostID.
    pub const MAX_OCTETS: usize = 16;

    /// Returns `None` if there are no octets or too many.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_id_has_1_to_16_octets() {
        for length in 0..=HostId::MAX_OCTETS + 1 {
            let octets: Vec<u8> = (0..length).map(|octet| octet as u8 + 1).collect();
            let expected = (1..=16).contains(&length).then_some(octets.as_slice());
            assert_eq!(HostId::new(octets.clone()).as_ref().map(HostId::octets), expected, "{length}");
        }
    }
}
