//! PDUs on a socket.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::RESPONSE_TIMEOUT;
use super::pdu::{Frame, OutOfStep};

pub(super) struct Connection {
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
    buffer: Vec<u8>,
    sequence: u32,
}

/// What came.
pub(super) enum Incoming {
    Frame(Frame),
    /// Nothing after this can be understood.
    OutOfStep(OutOfStep),
    End,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let (read, write) = stream.into_split();
        Ok(Self { read, write, buffer: Vec::new(), sequence: 0 })
    }

    /// The next PDU. Nothing is lost when it is not waited for to the end.
    pub(super) async fn next(&mut self) -> io::Result<Incoming> {
        loop {
            match Frame::take(&mut self.buffer) {
                Ok(Some(frame)) => return Ok(Incoming::Frame(frame)),
                Err(out_of_step) => return Ok(Incoming::OutOfStep(out_of_step)),
                Ok(None) => {}
            }
            if self.read.read_buf(&mut self.buffer).await? == 0 {
                let is_between = self.buffer.is_empty();
                return if is_between { Ok(Incoming::End) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// Sends a PDU whole. To be waited for to the end: half a PDU puts the peer out of step.
    pub(super) async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        let written = timeout(RESPONSE_TIMEOUT, self.write.write_all(&frame.to_bytes())).await;
        written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The number of the next request of ours: section 3.2, 1 to 7FFFFFFF.
    pub(super) fn sequence(&mut self) -> u32 {
        self.sequence = if self.sequence >= 0x7FFF_FFFF { 1 } else { self.sequence.saturating_add(1) };
        self.sequence
    }
}
