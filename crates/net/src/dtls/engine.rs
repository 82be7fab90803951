//! One end of a DTLS association, without a socket: datagrams in, datagrams out.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use bytes::Bytes;
use openssl::error::ErrorStack;
use openssl::ssl::{ErrorCode, Ssl, SslContextBuilder, SslMethod, SslOptions, SslRef, SslStream, SslVersion};

use crate::openssl_context::one_version;

/// The suites in order of preference.
const SUITES: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384";
/// Maximum size of a datagram of the handshake: IPv6 guarantees packets of 1280 octets.
const MTU: u32 = 1232;
/// Maximum size of the content of a record.
const MAX_CONTENT: usize = 1 << 14;

/// Returns a context with the settings that both ends have.
pub(crate) fn context(method: SslMethod) -> Result<SslContextBuilder, ErrorStack> {
    let mut builder = one_version(method, SslVersion::DTLS1_2, SUITES)?;
    builder.set_options(SslOptions::NO_QUERY_MTU);
    Ok(builder)
}

/// An association.
pub(crate) struct Engine(SslStream<Queues>);

/// Datagrams that have arrived, and datagrams to send.
#[derive(Default)]
struct Queues {
    arrived: VecDeque<Bytes>,
    to_send: Vec<Bytes>,
}

/// State of a handshake.
pub(crate) enum Handshake {
    Complete,
    Waiting,
}

impl Engine {
    /// Creates an end without a handshake.
    pub(crate) fn new(mut ssl: Ssl, is_server: bool) -> Result<Self, ErrorStack> {
        ssl.set_mtu(MTU)?;
        if is_server {
            ssl.set_accept_state();
        } else {
            ssl.set_connect_state();
        }
        Ok(Self(SslStream::new(ssl, Queues::default())?))
    }

    /// Continues the handshake. If the peer has not answered in time, the latest messages are sent
    /// again, so this must be called from time to time.
    ///
    /// # Errors
    /// The handshake has failed. There can be an alert to send.
    pub(crate) fn shake_hands(&mut self) -> Result<Handshake, openssl::ssl::Error> {
        match self.0.do_handshake() {
            Ok(()) => Ok(Handshake::Complete),
            Err(error) if error.code() == ErrorCode::WANT_READ => Ok(Handshake::Waiting),
            Err(error) => Err(error),
        }
    }

    /// Adds a datagram that has arrived.
    pub(crate) fn put(&mut self, datagram: Bytes) {
        self.0.get_mut().arrived.push_back(datagram);
    }

    /// Returns the content of the next record. `None` if there is none: records that cannot be
    /// authenticated or are repeated are dropped.
    ///
    /// # Errors
    /// The peer has closed the association.
    pub(crate) fn read(&mut self) -> io::Result<Option<Bytes>> {
        let mut content = vec![0; MAX_CONTENT];
        match self.0.ssl_read(&mut content) {
            Ok(length) => {
                content.truncate(length);
                Ok(Some(content.into()))
            }
            Err(error) if error.code() == ErrorCode::WANT_READ => Ok(None),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// Encrypts a record.
    ///
    /// # Errors
    /// The association is over, or the content is too large for a record.
    pub(crate) fn write(&mut self, content: &[u8]) -> io::Result<()> {
        self.0.ssl_write(content).map(|_| ()).map_err(io::Error::other)
    }

    /// Adds the alert that closes the association to the datagrams to send.
    pub(crate) fn close(&mut self) {
        // The association is over in any case.
        let _ = self.0.shutdown();
    }

    /// Takes the datagrams to send.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.0.get_mut().to_send)
    }

    pub(crate) fn ssl(&self) -> &SslRef {
        self.0.ssl()
    }
}

impl Read for Queues {
    /// Reads one datagram. The rest of a datagram that does not fit is lost, as with a socket.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.arrived.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        let length = datagram.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..length), datagram.get(..length)) {
            to.copy_from_slice(from);
        }
        Ok(length)
    }
}

impl Write for Queues {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.to_send.push(Bytes::copy_from_slice(datagram));
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
