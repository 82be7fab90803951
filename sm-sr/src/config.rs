//! Configuration of the server, with a named default for each value.

use std::time::Duration;

use rsp::{ids::Oid, ota::trigger::SessionParameters};
use rsp_server::AllowedAddresses;

/// Validity of a function whose caller gives no validity period. A device can be asleep for hours.
pub const DEFAULT_VALIDITY: Duration = Duration::from_secs(24 * 3600);

/// Maximum validity period. A longer one is reduced to this value, because other functions for the
/// card must wait until this function has ended.
pub const MAX_VALIDITY: Duration = Duration::from_secs(30 * 24 * 3600);

/// Time that an ISD-P can stay in state Created. After that the download has failed and the ISD-P
/// is deleted.
pub const DOWNLOAD_TIME: Duration = Duration::from_secs(48 * 3600);

/// Validity of a function that this server starts itself, such as a deletion by POL2 or a cleanup.
pub const OWN_FUNCTION_TIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// Delay before a failed function of this server is retried. The card may execute it on another
/// day; a shorter delay would cause traffic that others pay for.
pub const OWN_FUNCTION_RETRY_DELAY: Duration = Duration::from_secs(24 * 3600);

/// Maximum number of audit trail records kept for a card; older ones are deleted. It covers years
/// of ordinary use, and it limits the storage and the size of handovers for a card with an
/// operation or a notification every minute.
pub const MAX_TRAIL_RECORDS: u64 = 2000;

/// Maximum attempts, one a day, to send a command of the handover finalisation that the card has not
/// executed. A command that fails for a month is given up.
pub const MAX_FINALISATION_ATTEMPTS: u32 = 30;

/// Time for which a caller that set MoreToDo has exclusive use of the card after each function.
pub const RESERVATION_TIME: Duration = Duration::from_secs(5 * 60);

/// Time for which the delivery of a confirmation is attempted. A card that receives no confirmation
/// rolls back by itself.
pub const CONFIRMATION_TIME: Duration = Duration::from_secs(3600);

/// Time for which a prepared SM-SR waits for the handover of a card.
pub const PREPARED_TIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// Maximum number of functions that wait for one card. A card executes one function at a time, so a
/// longer queue means that a caller ignores failures.
pub const MAX_QUEUE_LENGTH: usize = 64;

/// Maximum size of a SendData command script in octets.
pub const MAX_SCRIPT_OCTETS: usize = 512 * 1024;

/// Configuration of an SM-SR. [`Config::new`] sets every default value.
#[derive(Clone, Debug)]
pub struct Config {
    /// Display name, used in the From of messages.
    pub name: String,
    /// OID of the server, used in EIS and messages.
    pub id: Oid,
    /// See [`DEFAULT_VALIDITY`].
    pub default_validity: Duration,
    /// See [`MAX_VALIDITY`].
    pub max_validity: Duration,
    /// See [`DOWNLOAD_TIME`].
    pub download_time: Duration,
    /// See [`OWN_FUNCTION_TIME`].
    pub own_function_time: Duration,
    /// See [`OWN_FUNCTION_RETRY_DELAY`].
    pub own_function_retry_delay: Duration,
    /// See [`MAX_TRAIL_RECORDS`].
    pub max_trail_records: u64,
    /// See [`RESERVATION_TIME`].
    pub reservation_time: Duration,
    /// See [`CONFIRMATION_TIME`].
    pub confirmation_time: Duration,
    /// See [`PREPARED_TIME`].
    pub prepared_time: Duration,
    /// See [`MAX_QUEUE_LENGTH`].
    pub max_queue_length: usize,
    /// Address for cards. It is written into every card that is taken over from another SM-SR.
    pub card_address: CardAddress,
    /// Addresses that a caller may name in ReplyTo, beside its configured address.
    pub reply_addresses: AllowedAddresses,
}

/// Address of an SM-SR as stored in a card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardAddress {
    /// Destination number for the card's short messages, in digits.
    pub sms: Option<String>,
    /// Parameters of the card's HTTPS session, except for the key, which differs for each card.
    pub https: Option<SessionParameters>,
}

impl Config {
    /// Returns the default configuration of a server with this OID.
    pub fn new(name: impl Into<String>, id: Oid) -> Self {
        Self {
            name: name.into(),
            id,
            default_validity: DEFAULT_VALIDITY,
            max_validity: MAX_VALIDITY,
            download_time: DOWNLOAD_TIME,
            own_function_time: OWN_FUNCTION_TIME,
            own_function_retry_delay: OWN_FUNCTION_RETRY_DELAY,
            max_trail_records: MAX_TRAIL_RECORDS,
            reservation_time: RESERVATION_TIME,
            confirmation_time: CONFIRMATION_TIME,
            prepared_time: PREPARED_TIME,
            max_queue_length: MAX_QUEUE_LENGTH,
            card_address: CardAddress::default(),
            reply_addresses: AllowedAddresses::default(),
        }
    }

    /// Returns the validity period that is granted if the caller requests this one.
    pub(crate) fn validity(&self, requested: Option<Duration>) -> Duration {
        requested.unwrap_or(self.default_validity).min(self.max_validity)
    }
}
