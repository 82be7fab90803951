//! The outside, as traits: clock, dice, durable records, links, events; memory versions of each.
//!
//! A protocol crate takes everything that is not a pure function of its input from here, so that the same seed gives
//! the same bytes and a recorded session replays. There is no I/O in this crate: the versions that touch a socket, a
//! file or the operating system are in `net`.
//!
//! | seam | trait or type | in memory | on the real thing |
//! |---|---|---|---|
//! | time | [`Clock`] | [`ManualClock`], [`TokioClock`] | `net::OsClock` |
//! | randomness | [`Dice`] | [`SeededDice`] | `net::OsDice` |
//! | durable records | [`Records`], used through [`Tx`] and [`transact`] | [`MemoryRecords`] | `net::SqliteRecords` |
//! | non-volatile memory of a card or a device | [`Memory`] | [`RamMemory`] | `net::FileMemory` |
//! | HTTP between two parties | [`Link`] | the other party's router | `net::Client::link` |
//! | APDUs between device and card | [`CardDoor`] | the card itself | `net::door::TcpCard` |
//! | octets between a card's channel and a server | [`Dial`] | [`MemoryHosts`] | `net::TcpDial` |
//! | short messages to and from a message centre | [`ShortMessages`], [`ShortMessageSink`], [`MessageCentre`] | `network::Smsc` | `net::smpp` |
//! | what happened | [`Events`] | [`MemoryEvents`], [`NullEvents`] | the timeline of `cli` |

mod clock;
mod datagram;
mod dice;
mod door;
mod events;
mod fault;
mod link;
mod memory;
pub mod records;
mod stream;
mod tx;

pub use clock::{Clock, ManualClock, ShiftedClock, TokioClock};
pub use datagram::{
    Arrived, CentreRefusal, DeliveryTicket, InvalidPhoneNumber, MAX_ACCOUNT, MAX_PASSWORD, MessageCentre,
    MessageId, MessageState, PhoneNumber, QueuedDelivery, Receipt, Receipts, ShortMessage, ShortMessageSink,
    ShortMessages, Submission, SubmitFault, check_account,
};
pub use dice::{Dice, SeededDice};
pub use door::{Atr, BoxCardDoor, CardDoor, DoorFault};
pub use events::{Event, Events, MemoryEvents, NullEvents, Outcome};
pub use fault::Fault;
pub use link::{
    CanDrip, Drip, Link, LinkFault, LinkFaultKind, PeerCertificate, PskIdentity, link_from, send,
};
pub use memory::{Batch, Cells, Content, Memory, RamMemory};
pub use records::{ChangeSet, Committed, MemoryRecords, Records, Stored, Version};
pub use stream::{BoxByteStream, ByteStream, Dial, MemoryHosts, MemoryListener, NoDial};
pub use tx::{Collection, MAX_ATTEMPTS, Tx, transact};

use std::pin::Pin;
use std::sync::Arc;

/// A boxed future: what an object-safe trait returns where it would be an `async fn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Time and randomness for one party. A clone is the same world.
#[derive(Clone)]
pub struct World {
    /// What time it is for this party.
    pub clock: Arc<dyn Clock>,
    /// Where this party's random bytes come from.
    pub dice: Arc<dyn Dice>,
}

impl World {
    /// A world made of this clock and these dice.
    pub fn new(clock: impl Clock + 'static, dice: impl Dice + 'static) -> Self {
        Self { clock: Arc::new(clock), dice: Arc::new(dice) }
    }

    /// The time now.
    pub fn now(&self) -> rsp::time::Timestamp {
        self.clock.now()
    }

    /// `N` random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.dice.fill(&mut bytes);
        bytes
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "World(now {})", self.now())
    }
}
