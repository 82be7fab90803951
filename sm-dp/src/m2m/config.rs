//! What the operator of the bench decides, with a named default for each.

use std::time::Duration;

use rsp::ids::Oid;

use crate::es8::key_establishment::Options;

/// How long a download may take whose order names no validity period. A device may be asleep for hours.
pub const DEFAULT_VALIDITY: Duration = Duration::from_secs(24 * 3600);

/// How long the deletion of what a failed download has left on a card is tried.
pub const UNDOING_TIME: Duration = Duration::from_secs(24 * 3600);

/// How the SM-DP behaves. [`Config::new`] has every default.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name for people, in the From of its messages.
    pub name: String,
    /// Its OID: in its TLS certificate, and in its certificate for cards.
    pub id: Oid,
    /// Where it takes messages: a URI.
    pub address: String,
    /// See [`DEFAULT_VALIDITY`].
    pub default_validity: Duration,
    /// See [`UNDOING_TIME`].
    pub undoing_time: Duration,
    /// How the keys of an ISD-P are agreed, where sources leave a choice.
    pub key_establishment: Options,
}

impl Config {
    /// The defaults, for a server of this OID.
    pub fn new(name: impl Into<String>, id: Oid, address: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            id,
            address: address.into(),
            default_validity: DEFAULT_VALIDITY,
            undoing_time: UNDOING_TIME,
            key_establishment: Options::default(),
        }
    }
}
