//! What the operator of the bench decides, with a named default for each.

use std::time::Duration;

use rsp::{ids::Oid, ota::trigger::SessionParameters};

/// How long a function may take that names no validity period. A device may be asleep for hours.
pub const DEFAULT_VALIDITY: Duration = Duration::from_secs(24 * 3600);

/// The longest validity period that is granted; who asks for more is granted this. A function is a record that others
/// wait behind.
pub const LONGEST_VALIDITY: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long an ISD-P may stay in state Created before it is deleted: its download has been given up.
pub const DOWNLOAD_TIME: Duration = Duration::from_secs(48 * 3600);

/// How long a function of our own (a deletion that POL2 asks for, cleaning up) is tried.
pub const OWN_FUNCTION_TIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// After how long a function of our own that has failed is tried again. What the card did not do it may do another day; more
/// often would be a load on a network that others pay for.
pub const OWN_FUNCTION_AGAIN: Duration = Duration::from_secs(24 * 3600);

/// How many lines of its audit trail are kept for a card, the latest: years of an ordinary card's life, and an end to what a
/// card that is asked or tells something every minute takes here and in every handover.
pub const LONGEST_TRAIL: u64 = 2000;

/// How often a card that was taken over is told what it has not done for its new SM-SR, once a day. What it refuses for a
/// month it refuses for good.
pub const MOST_FAREWELLS: u32 = 30;

/// How long whoever has said MoreToDo keeps the card to itself after each function.
pub const HOLD_TIME: Duration = Duration::from_secs(5 * 60);

/// How long a confirmation is tried. A card that does not hear it goes back by itself.
pub const CONFIRMATION_TIME: Duration = Duration::from_secs(3600);

/// How long an SM-SR that was told to prepare for a card waits for it.
pub const PREPARED_TIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// How many functions may wait for one card. A card does one thing at a time; more is somebody who does not listen.
pub const LONGEST_QUEUE: usize = 64;

/// How many octets a SendData may carry, as a command script.
pub const LONGEST_SCRIPT: usize = 512 * 1024;

/// How the server behaves. [`Config::new`] has every default.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name for people, in the From of its messages.
    pub name: String,
    /// Its OID, in EIS and messages.
    pub id: Oid,
    /// See [`DEFAULT_VALIDITY`].
    pub default_validity: Duration,
    /// See [`LONGEST_VALIDITY`].
    pub longest_validity: Duration,
    /// See [`DOWNLOAD_TIME`].
    pub download_time: Duration,
    /// See [`OWN_FUNCTION_TIME`].
    pub own_function_time: Duration,
    /// See [`OWN_FUNCTION_AGAIN`].
    pub own_function_again: Duration,
    /// See [`LONGEST_TRAIL`].
    pub longest_trail: u64,
    /// See [`HOLD_TIME`].
    pub hold_time: Duration,
    /// See [`CONFIRMATION_TIME`].
    pub confirmation_time: Duration,
    /// See [`PREPARED_TIME`].
    pub prepared_time: Duration,
    /// See [`LONGEST_QUEUE`].
    pub longest_queue: usize,
    /// Where cards find this SM-SR; written into every card that is taken over from another one.
    pub card_address: CardAddress,
}

/// What a card is told of where its SM-SR is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardAddress {
    /// The number to which the card sends short messages, in digits.
    pub sms: Option<String>,
    /// How the card opens its HTTPS session, but for the key, which each card has of its own.
    pub https: Option<SessionParameters>,
}

impl Config {
    /// The defaults, for a server of this OID.
    pub fn new(name: impl Into<String>, id: Oid) -> Self {
        Self {
            name: name.into(),
            id,
            default_validity: DEFAULT_VALIDITY,
            longest_validity: LONGEST_VALIDITY,
            download_time: DOWNLOAD_TIME,
            own_function_time: OWN_FUNCTION_TIME,
            own_function_again: OWN_FUNCTION_AGAIN,
            longest_trail: LONGEST_TRAIL,
            hold_time: HOLD_TIME,
            confirmation_time: CONFIRMATION_TIME,
            prepared_time: PREPARED_TIME,
            longest_queue: LONGEST_QUEUE,
            card_address: CardAddress::default(),
        }
    }

    /// How long a function gets that asks for that many seconds.
    pub(crate) fn validity(&self, asked: Option<Duration>) -> Duration {
        asked.unwrap_or(self.default_validity).min(self.longest_validity)
    }
}
