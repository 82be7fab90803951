//! Timers of confirmable messages: RFC 7252 sections 4.2 and 4.8.

use std::time::Duration;

use world::{Random, World};

use crate::block::BlockSize;

/// Minimum time before a message without an acknowledgement is sent again for the first time.
pub const ACK_TIMEOUT: Duration = Duration::from_secs(2);
/// Number of times that a message is sent again. The time before each doubles.
pub const MAX_RETRANSMIT: u32 = 4;
/// Maximum time from the first transmission of a message until its sender gives up, with the
/// default times.
pub const MAX_TRANSMIT_WAIT: Duration = Duration::from_secs(93);
/// Time in which a duplicate of a message can arrive.
pub const EXCHANGE_LIFETIME: Duration = Duration::from_secs(247);

/// Settings of an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Transmission {
    /// Minimum time before the first repetition. A network with a long round trip, such as NB-IoT,
    /// needs more than the default, which is [`ACK_TIMEOUT`].
    pub ack_timeout: Duration,
    /// Maximum size of a block, in both directions. The peer can choose smaller blocks.
    pub block_size: BlockSize,
}

impl Default for Transmission {
    fn default() -> Self {
        Self { ack_timeout: ACK_TIMEOUT, block_size: BlockSize::MAX }
    }
}

/// The times of one message: how long its sender waits for an acknowledgement before it sends the
/// message again or gives up.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    wait: Duration,
    left: u32,
}

impl Backoff {
    /// Starts the times of a message. The first is random between the time-out and one and a half
    /// times it (ACK_RANDOM_FACTOR).
    pub(crate) fn start(transmission: &Transmission, random: &dyn Random) -> Self {
        let mut octets = [0; 2];
        random.fill(&mut octets);
        let share = u32::from(u16::from_be_bytes(octets));
        let extra = (transmission.ack_timeout / 2).saturating_mul(share) / u32::from(u16::MAX);
        Self { wait: transmission.ack_timeout + extra, left: MAX_RETRANSMIT }
    }

    /// The time to wait after the latest transmission.
    pub(crate) fn wait(&self) -> Duration {
        self.wait
    }

    // req: RFC.7252-4.2-Retransmission
    /// Counts a repetition. False if the sender must give up.
    pub(crate) fn repeat(&mut self) -> bool {
        let may_repeat = self.left > 0;
        self.left = self.left.saturating_sub(1);
        self.wait = self.wait.saturating_mul(2);
        may_repeat
    }
}

/// Numbers for message IDs or tokens. They start at a random value, and no value returns before all
/// others were used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers(u16);

impl Numbers {
    pub(crate) fn starting_at_random(world: &World) -> Self {
        Self(u16::from_be_bytes(world.random()))
    }

    pub(crate) fn next(&mut self) -> u16 {
        self.0 = self.0.wrapping_add(1);
        self.0
    }
}
