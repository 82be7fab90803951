//! An open channel: TLS over the data of the terminal's channel, HTTP over TLS.

use rsp::ota::admin::{Reply, ReplyReader};

use super::tls;

/// Maximum length of channel data in SEND DATA and in the response to RECEIVE DATA, in octets.
pub(super) const MAX_CHANNEL_DATA: u8 = 0xED;

/// An open channel with its TLS and HTTP state.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(super) channel: u8,
    /// Number of received octets that the terminal has reported.
    pub(super) available: u8,
    /// True if the link was lost.
    pub(super) is_lost: bool,
    /// True if the channel is to be closed after the pending output.
    pub(super) is_closing: bool,
    tls: tls::Client,
    was_connected: bool,
    outgoing: Vec<u8>,
    replies: ReplyReader,
}

/// The connection failed.
pub(super) struct Lost(pub(super) String);

/// The result of processing received octets.
pub(super) struct Received {
    /// True if the TLS handshake has just finished.
    pub(super) is_connected: bool,
    /// True if authenticated data arrived. Unauthenticated octets and warning alerts do not count.
    pub(super) has_data: bool,
    pub(super) replies: Vec<Reply>,
}

impl Connection {
    /// The state after opening the channel, with the ClientHello in the output.
    pub(super) fn new(channel: u8, psk_identity: &[u8], psk: &[u8], random: [u8; 64]) -> Self {
        Self {
            channel,
            available: 0,
            is_lost: false,
            is_closing: false,
            tls: tls::Client::new(psk_identity, psk, random),
            was_connected: false,
            outgoing: Vec::new(),
            replies: ReplyReader::default(),
        }
    }

    /// Processes received octets.
    pub(super) fn receive(&mut self, octets: &[u8]) -> Result<Received, Lost> {
        self.tls.receive(octets).map_err(|error| Lost(error.to_string()))?;
        let is_connected = self.tls.is_connected() && !self.was_connected;
        self.was_connected |= is_connected;
        let mut replies = Vec::new();
        let mut plain = self.tls.take_plaintext();
        let has_data = is_connected || !plain.is_empty();
        while let Some(reply) = self.replies.push(&plain).map_err(|error| Lost(error.to_string()))? {
            replies.push(reply);
            plain.clear();
        }
        // A close_notify counts as a lost link.
        self.is_lost |= self.tls.is_closed();
        Ok(Received { is_connected, has_data, replies })
    }

    /// Sends data to the server.
    pub(super) fn send(&mut self, octets: &[u8]) {
        self.tls.send(octets);
    }

    /// Sends close_notify and closes the channel.
    pub(super) fn close(&mut self) {
        self.tls.close();
        self.is_closing = true;
    }

    /// The next octets for SEND DATA.
    pub(super) fn next_to_send(&mut self) -> Option<Vec<u8>> {
        self.outgoing.extend(self.tls.take_output());
        let octets = self.outgoing.len().min(usize::from(MAX_CHANNEL_DATA));
        (octets > 0).then(|| self.outgoing.drain(..octets).collect())
    }
}
