//! The bearer independent protocol for TCP: TS 102 223 sections 6.4.27 to 6.4.31, 7.5.10 and 7.5.11.
//!
//! A channel is a stream of `world`. What comes is read only as far as the card's buffer holds it, so that a server that
//! sends more waits.

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

/// Channels at a time; identifiers have three bits, and 0 is none.
pub(super) const MAX_CHANNELS: u8 = 7;
/// What a TERMINAL RESPONSE holds of data: 255 octets without the other elements of RECEIVE DATA.
pub(super) const MAX_RECEIVED: usize = 0xED;
/// A peer that takes nothing for so long is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// What is read at a time.
const CHUNK: usize = 4096;

/// The channels of a device.
pub(super) struct Channels {
    dial: Arc<dyn Dial>,
    open: BTreeMap<u8, Channel>,
}

struct Channel {
    destination: IpAddr,
    port: u16,
    /// The size of either buffer.
    buffer_size: u16,
    link: Link,
    /// What the card has sent and not let go yet.
    to_send: Vec<u8>,
    received: VecDeque<u8>,
}

enum Link {
    /// Set up with the first data.
    OnDemand,
    Up(BoxByteStream),
    /// Ended by the peer, or broken.
    Dropped,
}

/// Why a channel does not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoChannel {
    /// The command lacks something.
    ValuesMissing(&'static str),
    /// Not with this terminal.
    BeyondCapabilities(&'static str),
    /// The protocol has a cause for it.
    Bip(BipCause, String),
}

/// What happened on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happened {
    /// Data came into an empty buffer.
    Data { channel: u8, length: u8 },
    /// More data came.
    More,
    /// The peer has ended it.
    Dropped(u8),
}

impl Channels {
    pub(super) fn new(dial: Arc<dyn Dial>) -> Self {
        Self { dial, open: BTreeMap::new() }
    }

    /// All channels end: with the card's power, or with the network.
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }

    /// Whether a channel has a link.
    pub(super) fn is_up(&self) -> bool {
        self.open.values().any(|channel| matches!(channel.link, Link::Up(_)))
    }

    /// The network is gone, and every link with it. Gives the channels that had one.
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

    /// OPEN CHANNEL, as a client over TCP.
    pub(super) async fn open(&mut self, command: &OpenChannel) -> Result<ChannelStatus, NoChannel> {
        let parameters = &command.parameters;
        let transport =
            parameters.transport.ok_or(NoChannel::ValuesMissing("the transport level is missing"))?;
        if transport.protocol != TransportProtocol::TcpClient {
            return Err(NoChannel::BeyondCapabilities("only TCP with the card as client"));
        }
        let destination =
            parameters.destination.ok_or(NoChannel::ValuesMissing("the destination address is missing"))?;
        let buffer_size =
            parameters.buffer_size.ok_or(NoChannel::ValuesMissing("the buffer size is missing"))?;
        if buffer_size == 0 {
            return Err(NoChannel::Bip(BipCause::BUFFER_SIZE, "a buffer of no octets".into()));
        }
        let number = (1..=MAX_CHANNELS)
            .find(|number| !self.open.contains_key(number))
            .ok_or_else(|| NoChannel::Bip(BipCause::NO_CHANNEL, "all channels are in use".into()))?;
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

    /// CLOSE CHANNEL.
    pub(super) async fn close(&mut self, number: u8) -> Result<(), NoChannel> {
        let mut channel = self.open.remove(&number).ok_or_else(|| not_valid(number))?;
        if let Link::Up(stream) = &mut channel.link {
            // Whoever does not take the end finds it out when the stream is gone.
            let _ = timeout(SEND_TIMEOUT, stream.shutdown()).await;
        }
        Ok(())
    }

    /// SEND DATA; gives how much the buffer takes now.
    pub(super) async fn send(&mut self, number: u8, data: &[u8], immediately: bool) -> Result<u8, NoChannel> {
        let dial = Arc::clone(&self.dial);
        let channel = self.open.get_mut(&number).ok_or_else(|| not_valid(number))?;
        let stored = channel.to_send.len().saturating_add(data.len());
        if matches!(channel.link, Link::Dropped) {
            return Err(NoChannel::Bip(BipCause::CHANNEL_CLOSED, "the peer has ended the channel".into()));
        }
        if stored > usize::from(channel.buffer_size).max(MAX_RECEIVED) {
            return Err(NoChannel::Bip(BipCause::BUFFER_SIZE, "the buffer is full".into()));
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

    /// RECEIVE DATA: at most so many octets of what has come, and how many are left.
    pub(super) fn receive(&mut self, number: u8, length: u8) -> Result<(Vec<u8>, u8), NoChannel> {
        let channel = self.open.get_mut(&number).ok_or_else(|| not_valid(number))?;
        // What has come meanwhile belongs to it: without this, a card would be told of data that it has already had.
        channel.look();
        if channel.received.is_empty() && matches!(channel.link, Link::Dropped) {
            return Err(NoChannel::Bip(BipCause::CHANNEL_CLOSED, "the peer has ended the channel".into()));
        }
        let count = usize::from(length).min(MAX_RECEIVED).min(channel.received.len());
        let data = channel.received.drain(..count).collect();
        Ok((data, octet(channel.received.len())))
    }

    /// GET CHANNEL STATUS: every channel, or that there is none.
    pub(super) fn statuses(&self) -> Vec<ChannelStatus> {
        let statuses: Vec<_> = self.open.iter().map(|(number, channel)| channel.status(*number)).collect();
        if statuses.is_empty() {
            vec![ChannelStatus { channel: 0, state: ChannelState::Closed }]
        } else {
            statuses
        }
    }

    /// One channel's status.
    pub(super) fn status(&self, number: u8) -> ChannelStatus {
        let closed = ChannelStatus { channel: number, state: ChannelState::Closed };
        self.open.get(&number).map_or(closed, |channel| channel.status(number))
    }

    /// Waits until something happens on a channel. It can be given up at any time.
    pub(super) async fn next(&mut self) -> Happened {
        std::future::poll_fn(|context| {
            for (number, channel) in &mut self.open {
                if let Poll::Ready(happened) = channel.poll(*number, context) {
                    return Poll::Ready(happened);
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

    async fn set_up(&mut self, dial: &dyn Dial) -> Result<(), NoChannel> {
        let host = self.destination.to_string();
        let stream = dial.dial(&host, self.port).await;
        self.link =
            Link::Up(stream.map_err(|fault| NoChannel::Bip(BipCause::NOT_REACHABLE, fault.to_string()))?);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), NoChannel> {
        let Link::Up(stream) = &mut self.link else { return Ok(()) };
        let data = std::mem::take(&mut self.to_send);
        let sent = timeout(SEND_TIMEOUT, async {
            stream.write_all(&data).await?;
            stream.flush().await
        });
        let why = match sent.await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("the peer took nothing for {SEND_TIMEOUT:?}"),
        };
        self.link = Link::Dropped;
        Err(NoChannel::Bip(BipCause::CHANNEL_CLOSED, why))
    }

    /// Takes in what is there already.
    fn look(&mut self) {
        let mut context = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Ok(1..)) = self.poll_read(&mut context) {}
    }

    fn poll(&mut self, number: u8, context: &mut Context<'_>) -> Poll<Happened> {
        let was_empty = self.received.is_empty();
        match self.poll_read(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(1..)) if was_empty => {
                Poll::Ready(Happened::Data { channel: number, length: octet(self.received.len()) })
            }
            Poll::Ready(Ok(1..)) => Poll::Ready(Happened::More),
            Poll::Ready(Ok(0) | Err(_)) => {
                self.link = Link::Dropped;
                Poll::Ready(Happened::Dropped(number))
            }
        }
    }

    /// Octets that came into the buffer; pending while it is full or there is no link.
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

fn not_valid(number: u8) -> NoChannel {
    NoChannel::Bip(BipCause::CHANNEL_NOT_VALID, format!("there is no channel {number}"))
}

/// A number of octets as one octet: FF for 255 and more.
fn octet(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}
