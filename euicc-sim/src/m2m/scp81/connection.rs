//! One channel: TLS over what the terminal sends and receives, HTTP over TLS.

use rsp::ota::admin::{Reply, ReplyReader};
use world::World;

use super::parameters::Parameters;
use super::tls;

/// What fits into SEND DATA, or into the response to RECEIVE DATA, beside their other elements.
pub(super) const MAX_CHANNEL_DATA: u8 = 0xED;

/// A channel and what goes over it.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(super) channel: u8,
    /// How many octets the terminal has for the card, as far as it says.
    pub(super) available: u8,
    /// The link is gone.
    pub(super) is_gone: bool,
    /// All has been said, and the channel is closed once it has been sent.
    pub(super) is_closing: bool,
    tls: tls::Client,
    was_connected: bool,
    outgoing: Vec<u8>,
    replies: ReplyReader,
}

/// The connection is of no use any more.
pub(super) struct Lost(pub(super) String);

/// What octets from the server came to.
pub(super) struct Heard {
    /// The server has just proved itself.
    pub(super) is_connected: bool,
    /// It is the server who speaks: what cannot be told from anybody's octets, and warnings, are not enough.
    pub(super) is_heard: bool,
    pub(super) replies: Vec<Reply>,
}

impl Connection {
    /// On a channel that is open; the first words of TLS are ready.
    pub(super) fn new(channel: u8, parameters: &Parameters, world: &World) -> Self {
        Self {
            channel,
            available: 0,
            is_gone: false,
            is_closing: false,
            tls: tls::Client::new(&parameters.psk_identity, parameters.psk.expose(), world.random()),
            was_connected: false,
            outgoing: Vec::new(),
            replies: ReplyReader::default(),
        }
    }

    /// Takes what came from the server.
    pub(super) fn receive(&mut self, octets: &[u8]) -> Result<Heard, Lost> {
        self.tls.receive(octets).map_err(|error| Lost(error.to_string()))?;
        let is_connected = self.tls.is_connected() && !self.was_connected;
        self.was_connected |= is_connected;
        let mut replies = Vec::new();
        let mut plain = self.tls.take_plaintext();
        let is_heard = is_connected || !plain.is_empty();
        while let Some(reply) = self.replies.push(&plain).map_err(|error| Lost(error.to_string()))? {
            replies.push(reply);
            plain.clear();
        }
        // It has said that nothing will follow, which counts as a link that is gone.
        self.is_gone |= self.tls.is_closed();
        Ok(Heard { is_connected, is_heard, replies })
    }

    /// Says something to the server.
    pub(super) fn say(&mut self, octets: &[u8]) {
        self.tls.send(octets);
    }

    /// Says that nothing will follow.
    pub(super) fn close(&mut self) {
        self.tls.close();
        self.is_closing = true;
    }

    /// The next octets for the terminal to send, as many as fit.
    pub(super) fn next_to_send(&mut self) -> Option<Vec<u8>> {
        self.outgoing.extend(self.tls.take_output());
        let octets = self.outgoing.len().min(usize::from(MAX_CHANNEL_DATA));
        (octets > 0).then(|| self.outgoing.drain(..octets).collect())
    }
}
