//! The configuration of the SM-DP, with a named constant for each default.

use std::time::Duration;

use rsp::ids::Oid;
use rsp_server::AllowedAddresses;

use crate::es8::key_establishment::Options;

/// Time limit of a download whose order names no validity period. A device may be asleep for hours.
pub const DEFAULT_VALIDITY: Duration = Duration::from_secs(24 * 3600);

/// Time for which the server tries to delete the remains of a failed download from a card.
pub const UNDOING_TIME: Duration = Duration::from_secs(24 * 3600);

/// Configuration of an SM-DP. [`Config::new`] sets every default.
#[derive(Clone, Debug)]
pub struct Config {
    /// The human-readable name in the From header of its messages.
    pub name: String,
    /// The OID in its TLS certificate and in its certificate for cards (CERT.DP.ECDSA).
    pub id: Oid,
    /// The URI at which it receives messages.
    pub address: String,
    /// See [`DEFAULT_VALIDITY`].
    pub default_validity: Duration,
    /// See [`UNDOING_TIME`].
    pub undoing_time: Duration,
    /// Options of the key establishment with an ISD-P, where the available sources leave a choice.
    pub key_establishment: Options,
    /// Addresses that a caller may name in ReplyTo, beside its configured address.
    pub reply_addresses: AllowedAddresses,
}

impl Config {
    /// Creates a configuration with the default values.
    pub fn new(name: impl Into<String>, id: Oid, address: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            id,
            address: address.into(),
            default_validity: DEFAULT_VALIDITY,
            undoing_time: UNDOING_TIME,
            key_establishment: Options::default(),
            reply_addresses: AllowedAddresses::default(),
        }
    }
}
