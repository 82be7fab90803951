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

/// The next item of the peer's stream.
pub(super) enum Incoming {
    Frame(Frame),
    /// The stream is out of step, and nothing after this can be parsed.
    OutOfStep(OutOfStep),
    End,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let (read, write) = stream.into_split();
        Ok(Self { read, write, buffer: Vec::new(), sequence: 0 })
    }

    /// Returns the next PDU. The future can be dropped without losing octets.
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

    /// Sends a complete PDU. The future must not be dropped, because half a PDU would put the peer
    /// out of step.
    pub(super) async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        let written = timeout(RESPONSE_TIMEOUT, self.write.write_all(&frame.to_bytes())).await;
        written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Returns the sequence number of the next request: section 3.2, 1 to 7FFFFFFF.
    pub(super) fn sequence(&mut self) -> u32 {
        self.sequence = if self.sequence >= 0x7FFF_FFFF { 1 } else { self.sequence.saturating_add(1) };
        self.sequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sequence_numbers_start_again_after_the_last_one() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut connection = Connection::new(stream).unwrap();
        assert_eq!([(); 3].map(|()| connection.sequence()), [1, 2, 3]);
        connection.sequence = 0x7FFF_FFFE;
        assert_eq!([(); 3].map(|()| connection.sequence()), [0x7FFF_FFFF, 1, 2]);
    }
}
