//! The environment of a party, as traits: clock, randomness, durable records, links and events,
//! each with an in-memory implementation.
//!
//! A protocol crate obtains everything that is not a pure function of its input through this crate.
//! The same seed therefore gives the same bytes, and a recorded session can be replayed. This crate
//! performs no I/O: the implementations that use sockets, files or the operating system are in
//! `net`.
//!
//! | Interface | Trait or type | In memory | In production |
//! |---|---|---|---|
//! | time | [`Clock`] | [`ManualClock`], [`TokioClock`] | `net::OsClock` |
//! | randomness | [`Random`] | [`SeededRandom`] | `net::OsRandom` |
//! | durable records | [`Records`], used through [`Tx`] and [`transact`] | [`MemoryRecords`] | `net::SqliteRecords` |
//! | non-volatile memory of a card or a device | [`Memory`] | [`RamMemory`] | `net::FileMemory` |
//! | HTTP between two parties | [`Link`] | the router of the other party | `net::Client::link` |
//! | APDUs between device and card | [`CardInterface`] | the card itself | `net::card_interface::TcpCard` |
//! | byte streams between a card's channel and a server | [`Dial`] | [`MemoryHosts`] | `net::TcpDial` |
//! | short messages to and from an SMSC | [`ShortMessages`], [`ShortMessageSink`], [`MessageCentre`] | `network::Smsc` | `net::smpp` |
//! | events | [`Events`] | [`MemoryEvents`], [`NullEvents`] | the timeline of `cli` |

mod call;
mod card_interface;
mod clock;
mod datagram;
mod events;
mod failed_attempts;
mod fault;
mod link;
mod memory;
mod random;
pub mod records;
mod stream;
mod tx;
mod web_page;

pub use call::{Call, CallError, acknowledgement, call, reply};
pub use card_interface::{Atr, BoxCardInterface, CardInterface, CardInterfaceFault};
pub use clock::{Clock, ManualClock, ShiftedClock, TokioClock};
pub use datagram::{
    CentreRefusal, DeliveryTicket, IncomingDelivery, InvalidPhoneNumber, MAX_ACCOUNT, MAX_PASSWORD,
    MessageCentre, MessageId, MessageState, PhoneNumber, QueuedDelivery, Receipt, Receipts, ShortMessage,
    ShortMessageSink, ShortMessages, Submission, SubmitFault, check_account,
};
pub use events::{DEFAULT_NAMESPACE, Event, Events, MemoryEvents, NullEvents, Outcome};
pub use failed_attempts::{FailedAttempts, MAX_FAILED_ATTEMPTS, WINDOW as FAILED_ATTEMPTS_WINDOW};
pub use fault::{Fault, FaultKind, PeerStatus};
pub use link::{
    CanSendSlowly, Link, LinkFault, LinkFaultKind, PeerAddress, PeerCertificate, PskIdentity, SlowBody,
    link_from, send, with_peer_certificate,
};
pub use memory::{Batch, Cells, Content, Memory, RamMemory};
pub use random::{Random, SeededRandom};
pub use records::{ChangeSet, Committed, KeyRange, MemoryRecords, Records, Stored, StoredForm, Version};
pub use stream::{BoxByteStream, ByteStream, Dial, MemoryHosts, MemoryListener, NoDial};
pub use tx::{Collection, MAX_ATTEMPTS, Tx, transact};
pub use web_page::{WebPageRefusal, refuse_web_pages};

use std::pin::Pin;
use std::sync::Arc;

/// A boxed future, the return type of object-safe traits in place of `async fn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Time and randomness of one party. A clone shares both.
#[derive(Clone)]
pub struct World {
    /// The clock of this party.
    pub clock: Arc<dyn Clock>,
    /// The source of this party's random bytes.
    pub random: Arc<dyn Random>,
}

impl World {
    /// Creates a world from this clock and this source of randomness.
    pub fn new(clock: impl Clock + 'static, random: impl Random + 'static) -> Self {
        Self { clock: Arc::new(clock), random: Arc::new(random) }
    }

    /// Returns the current time.
    pub fn now(&self) -> rsp::time::Timestamp {
        self.clock.now()
    }

    /// Returns `N` random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "World(now {})", self.now())
    }
}
