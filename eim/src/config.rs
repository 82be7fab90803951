//! Configuration of the eIM, with a named default for each value.

use std::time::Duration;

use rsp::{
    ids::{SmdpAddress, Version},
    sgp32::{self, eim_configuration::EimIdType},
};
use rsp_server::{AllowedAddresses, Settings};

use crate::records::Protocol;

/// Maximum time between two steps of a download through the eIM. A device on a slow network needs
/// minutes for a step.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Time for which an order waits for its device. Many devices poll once a day, and some are switched off
/// for weeks.
pub const ORDER_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

/// Maximum number of orders of a device, including ended ones. The oldest ended ones are deleted.
pub const MAX_ORDERS_PER_DEVICE: usize = 100;

/// Maximum number of requests for a result that was lost. An IPA of SGP.32 v1.0 cannot answer them, and
/// would never get its next order.
pub const MAX_RECOVERY_REQUESTS: u32 = 10;

/// Time for which the delivery of a notification is retried.
pub const DELIVERY_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// Delay after the first failed delivery of a notification. Each further failure doubles the delay.
pub const FIRST_REDELIVERY_DELAY: Duration = Duration::from_secs(1);

/// Maximum delay between two attempts.
pub const MAX_REDELIVERY_DELAY: Duration = Duration::from_secs(5 * 60);

/// Maximum number of notifications of one request.
pub const MAX_NOTIFICATIONS: usize = 100;

/// Maximum number of notifications of a device that wait for their recipients. The eUICC keeps the others
/// until the IPA sends them again.
pub const MAX_WAITING_NOTIFICATIONS_PER_DEVICE: usize = 100;

/// Maximum number of forwarded installation results of a device that the eIM remembers. A repetition of
/// an older one is refused.
pub const MAX_FORWARDED_RESULTS_PER_DEVICE: usize = 100;

/// Maximum length of the identifier of an eIM in octets: SGP.32 section 2.11.1.1.1.
pub const MAX_EIM_ID_OCTETS: usize = 128;

/// Configuration of an eIM. [`Config::new`] sets every default value.
#[derive(Clone, Debug)]
pub struct Config {
    /// Settings that every server has.
    pub server: Settings,
    /// The identifier of the eIM.
    pub eim_id: String,
    /// The kind of the identifier.
    pub eim_id_type: EimIdType,
    /// The protocols that IPAs can use, which are announced to eUICCs.
    pub protocols: Vec<Protocol>,
    /// The version of SGP.32 for which replies are encoded.
    pub peer_version: sgp32::Version,
    /// The SM-DP+s and SM-DSs that an IPA may name. Those of orders are always allowed.
    pub rsp_servers: AllowedAddresses,
    /// The version of SGP.22 in requests to SM-DP+s and SM-DSs.
    pub rsp_version: Version,
    /// See [`ORDER_LIFETIME`].
    pub order_lifetime: Duration,
    /// See [`MAX_ORDERS_PER_DEVICE`].
    pub max_orders_per_device: usize,
    /// See [`DELIVERY_LIFETIME`].
    pub delivery_lifetime: Duration,
}

impl Config {
    /// Returns the default configuration of the eIM with this identifier and this address.
    pub fn new(eim_id: impl Into<String>, address: SmdpAddress) -> Self {
        let mut server = Settings::new(address, SESSION_LIFETIME);
        // IPAs send versions of SGP.22 and of SGP.32 in this header.
        server.lowest_svn = Version([0, 0, 0]);
        Self {
            server,
            eim_id: eim_id.into(),
            eim_id_type: EimIdType::PROPRIETARY,
            protocols: vec![Protocol::RetrieveHttps],
            peer_version: sgp32::Version::default(),
            rsp_servers: AllowedAddresses::default(),
            rsp_version: Version([2, 6, 0]),
            order_lifetime: ORDER_LIFETIME,
            max_orders_per_device: MAX_ORDERS_PER_DEVICE,
            delivery_lifetime: DELIVERY_LIFETIME,
        }
    }
}
