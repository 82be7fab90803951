//! The bearer independent protocol for TCP: TS 102 223 sections 6.4.27 to 6.4.31, 7.5.10 and
//! 7.5.11.
//!
//! A channel is a byte stream of `world`. The device reads from the stream only while the card's
//! buffer has room, so a server that sends more data has to wait.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rsp::ota::cat::{BipCause, ChannelState, ChannelStatus, OpenChannel, TransportProtocol};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;
use world::{BoxByteStream, Dial};

/// Maximum number of channels: a channel identifier has three bits, and 0 means no channel.
pub(super) const MAX_CHANNELS: u8 = 7;
/// Maximum data in a TERMINAL RESPONSE: 255 octets minus the other elements of RECEIVE DATA.
pub(super) const MAX_RECEIVED: usize = 0xED;
/// Time after which the connection to a peer that accepts no data is considered lost.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum octets per read.
const CHUNK: usize = 4096;

/// The channels of a device.
pub(super) struct Channels {
    dial: Arc<dyn Dial>,
    open: BTreeMap<u8, Channel>,
}

struct Channel {
    destination: IpAddr,
    port: u16,
    /// The size of each of the two buffers.
    buffer_size: u16,
    link: Link,
    /// Data that the card has sent without a request to transmit it.
    to_send: Vec<u8>,
    received: VecDeque<u8>,
}

enum Link {
    /// The connection is opened with the first data.
    OnDemand,
    Up(BoxByteStream),
    /// The peer has closed the connection, or the connection has failed.
    Dropped,
}

/// The reason why a channel command fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ChannelError {
    /// The command lacks a mandatory element.
    ValuesMissing(&'static str),
    /// This terminal does not support the request.
    BeyondCapabilities(&'static str),
    /// A failure with a BIP cause.
    Bip(BipCause, String),
}

/// An event on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChannelEvent {
    /// Data arrived in an empty buffer.
    Data { channel: u8, length: u8 },
    /// Data arrived in a buffer that was not empty.
    More,
    /// The connection of this channel ended.
    Dropped(u8),
}

impl Channels {
    pub(super) fn new(dial: Arc<dyn Dial>) -> Self {
        Self { dial, open: BTreeMap::new() }
    }

    /// Discards all channels, when the card loses its power.
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }

    /// True if a channel has a connection.
    pub(super) fn is_up(&self) -> bool {
        self.open.values().any(|channel| matches!(channel.link, Link::Up(_)))
    }

    /// Ends all connections after the loss of the network. Returns the channels that had a
    /// connection.
    pub(super) fn drop_links(&mut self) -> Vec<u8> {
        let mut dropped = Vec::new();
        for (number, channel) in &mut self.open {
            if matches!(channel.link, Link::Up(_)) {
                channel.link = Link::Dropped;
                dropped.push(*number);
            }
        }
        dropped
    }

    /// Executes OPEN CHANNEL for a TCP client.
    pub(super) async fn open(&mut self, command: &OpenChannel) -> Result<ChannelStatus, ChannelError> {
        let parameters = &command.parameters;
        let transport =
            parameters.transport.ok_or(ChannelError::ValuesMissing("the transport level is missing"))?;
        if transport.protocol != TransportProtocol::TcpClient {
            return Err(ChannelError::BeyondCapabilities("only TCP client mode is supported"));
        }
        let destination = parameters
            .destination
            .ok_or(ChannelError::ValuesMissing("the destination address is missing"))?;
        let buffer_size =
            parameters.buffer_size.ok_or(ChannelError::ValuesMissing("the buffer size is missing"))?;
        if buffer_size == 0 {
            return Err(ChannelError::Bip(BipCause::BUFFER_SIZE, "the buffer size is zero".into()));
        }
        let number = (1..=MAX_CHANNELS)
            .find(|number| !self.open.contains_key(number))
            .ok_or_else(|| ChannelError::Bip(BipCause::NO_CHANNEL, "all channels are in use".into()))?;
        let mut channel = Channel {
            destination,
            port: transport.port,
            buffer_size,
            link: Link::OnDemand,
            to_send: Vec::new(),
            received: VecDeque::new(),
        };
        if command.immediate {
            channel.set_up(&*self.dial).await?;
        }
        let status = channel.status(number);
        self.open.insert(number, channel);
        Ok(status)
    }

    /// Executes CLOSE CHANNEL.
    pub(super) async fn close(&mut self, number: u8) -> Result<(), ChannelError> {
        let mut channel = self.open.remove(&number).ok_or_else(|| invalid_channel(number))?;
        if let Link::Up(stream) = &mut channel.link {
            // If the peer does not react to the shutdown, it detects the end of the connection when
            // the stream is dropped.
            let _ = timeout(SEND_TIMEOUT, stream.shutdown()).await;
        }
        Ok(())
    }

    /// Executes SEND DATA. Returns the free space of the buffer.
    pub(super) async fn send(
        &mut self,
        number: u8,
        data: &[u8],
        immediately: bool,
    ) -> Result<u8, ChannelError> {
        let dial = Arc::clone(&self.dial);
        let channel = self.open.get_mut(&number).ok_or_else(|| invalid_channel(number))?;
        let stored = channel.to_send.len().saturating_add(data.len());
        if matches!(channel.link, Link::Dropped) {
            return Err(closed_by_peer());
        }
        if stored > usize::from(channel.buffer_size).max(MAX_RECEIVED) {
            return Err(ChannelError::Bip(BipCause::BUFFER_SIZE, "the buffer is full".into()));
        }
        channel.to_send.extend_from_slice(data);
        if !immediately {
            return Ok(octet(usize::from(channel.buffer_size).saturating_sub(stored)));
        }
        if matches!(channel.link, Link::OnDemand) {
            channel.set_up(&*dial).await?;
        }
        channel.flush().await?;
        Ok(octet(usize::from(channel.buffer_size)))
    }

    /// Executes RECEIVE DATA. Returns at most `length` octets of the received data, and the number
    /// of remaining octets.
    pub(super) fn receive(&mut self, number: u8, length: u8) -> Result<(Vec<u8>, u8), ChannelError> {
        let channel = self.open.get_mut(&number).ok_or_else(|| invalid_channel(number))?;
        // Data that has just arrived is included. If it were not included, the card could get an
        // event later for data that it has already received.
        channel.read_available();
        if channel.received.is_empty() && matches!(channel.link, Link::Dropped) {
            return Err(closed_by_peer());
        }
        let count = usize::from(length).min(MAX_RECEIVED).min(channel.received.len());
        let data = channel.received.drain(..count).collect();
        Ok((data, octet(channel.received.len())))
    }

    /// Returns the status of all channels for GET CHANNEL STATUS, or a single "no channel" status.
    pub(super) fn statuses(&self) -> Vec<ChannelStatus> {
        let statuses: Vec<_> = self.open.iter().map(|(number, channel)| channel.status(*number)).collect();
        if statuses.is_empty() {
            vec![ChannelStatus { channel: 0, state: ChannelState::Closed }]
        } else {
            statuses
        }
    }

    /// Returns the status of one channel.
    pub(super) fn status(&self, number: u8) -> ChannelStatus {
        let closed = ChannelStatus { channel: number, state: ChannelState::Closed };
        self.open.get(&number).map_or(closed, |channel| channel.status(number))
    }

    /// Waits for the next event on a channel. The future can be dropped at any time.
    pub(super) async fn next(&mut self) -> ChannelEvent {
        std::future::poll_fn(|context| {
            for (number, channel) in &mut self.open {
                if let Poll::Ready(event) = channel.poll(*number, context) {
                    return Poll::Ready(event);
                }
            }
            Poll::Pending
        })
        .await
    }
}

impl Channel {
    fn status(&self, channel: u8) -> ChannelStatus {
        let state = match self.link {
            Link::OnDemand => ChannelState::Closed,
            Link::Up(_) => ChannelState::Open,
            Link::Dropped => ChannelState::Dropped,
        };
        ChannelStatus { channel, state }
    }

    async fn set_up(&mut self, dial: &dyn Dial) -> Result<(), ChannelError> {
        let host = self.destination.to_string();
        let stream = dial.dial(&host, self.port).await;
        self.link =
            Link::Up(stream.map_err(|fault| ChannelError::Bip(BipCause::NOT_REACHABLE, fault.to_string()))?);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), ChannelError> {
        let Link::Up(stream) = &mut self.link else { return Ok(()) };
        let data = std::mem::take(&mut self.to_send);
        let sent = timeout(SEND_TIMEOUT, async {
            stream.write_all(&data).await?;
            stream.flush().await
        });
        let why = match sent.await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("the peer accepted no data for {SEND_TIMEOUT:?}"),
        };
        self.link = Link::Dropped;
        Err(ChannelError::Bip(BipCause::CHANNEL_CLOSED, why))
    }

    /// Reads the data that has already arrived.
    fn read_available(&mut self) {
        let mut context = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Ok(1..)) = self.poll_read(&mut context) {}
    }

    fn poll(&mut self, number: u8, context: &mut Context<'_>) -> Poll<ChannelEvent> {
        let was_empty = self.received.is_empty();
        match self.poll_read(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(1..)) if was_empty => {
                Poll::Ready(ChannelEvent::Data { channel: number, length: octet(self.received.len()) })
            }
            Poll::Ready(Ok(1..)) => Poll::Ready(ChannelEvent::More),
            Poll::Ready(Ok(0) | Err(_)) => {
                self.link = Link::Dropped;
                Poll::Ready(ChannelEvent::Dropped(number))
            }
        }
    }

    /// Reads data into the buffer. The future is pending while the buffer is full or there is no
    /// connection.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let room = usize::from(self.buffer_size).saturating_sub(self.received.len()).min(CHUNK);
        let Link::Up(stream) = &mut self.link else { return Poll::Pending };
        if room == 0 {
            return Poll::Pending;
        }
        let mut chunk = [0; CHUNK];
        let mut buffer = ReadBuf::new(chunk.get_mut(..room).unwrap_or_default());
        let read = Pin::new(stream).poll_read(context, &mut buffer);
        read.map(|read| {
            read?;
            self.received.extend(buffer.filled());
            Ok(buffer.filled().len())
        })
    }
}

fn closed_by_peer() -> ChannelError {
    ChannelError::Bip(BipCause::CHANNEL_CLOSED, "the peer has closed the connection".into())
}

fn invalid_channel(number: u8) -> ChannelError {
    ChannelError::Bip(BipCause::CHANNEL_NOT_VALID, format!("channel {number} does not exist"))
}

/// Encodes a number of octets in one octet: FF means 255 or more.
fn octet(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}
