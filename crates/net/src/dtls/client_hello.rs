//! ClientHello and HelloVerifyRequest: RFC 6347 section 4.2.1.
//!
//! The server answers a ClientHello without a cookie at once and keeps nothing. Only a client that
//! receives datagrams at its address can return the cookie, so an association exists only for such
//! clients.
//!
//! OpenSSL counts the messages of a handshake and expects the exchange of cookies. The server
//! therefore gives it two messages when the cookie has arrived: the ClientHello without the cookie,
//! as the client must have sent it before, and then the one that has arrived.

use bytes::Bytes;

/// Content type of records of the handshake.
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const HELLO_VERIFY_REQUEST: u8 = 3;
/// DTLS 1.0. HelloVerifyRequest has this version, whichever version is negotiated later.
const DTLS_1_0: [u8; 2] = [0xFE, 0xFF];
const RECORD_HEADER: usize = 13;
const MESSAGE_HEADER: usize = 12;

/// A ClientHello that is one complete record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientHello<'a> {
    /// Sequence number of the record.
    sequence: &'a [u8],
    /// Number of the message in the handshake: 0 without a cookie, 1 with one.
    number: [u8; 2],
    /// Everything before the cookie: version, random value and session ID.
    before: &'a [u8],
    /// The cookie.
    pub(crate) cookie: &'a [u8],
    /// Everything after the cookie: suites, compression and extensions.
    after: &'a [u8],
}

impl<'a> ClientHello<'a> {
    /// Reads a datagram. `None` if it is not a ClientHello that is complete and alone in it.
    pub(crate) fn read(datagram: &'a [u8]) -> Option<Self> {
        let (header, message) = datagram.split_at_checked(RECORD_HEADER)?;
        let [HANDSHAKE, 0xFE, _, 0, 0, sequence @ .., length_1, length_2] = header else { return None };
        if usize::from(u16::from_be_bytes([*length_1, *length_2])) != message.len() {
            return None;
        }
        let (header, body) = message.split_at_checked(MESSAGE_HEADER)?;
        let [CLIENT_HELLO, l1, l2, l3, n1, n2, 0, 0, 0, f1, f2, f3] = *header else { return None };
        let length = usize::try_from(u32::from_be_bytes([0, l1, l2, l3])).ok()?;
        if length != body.len() || [l1, l2, l3] != [f1, f2, f3] {
            return None;
        }
        let session_length = usize::from(*body.get(34)?);
        let (before, rest) = body.split_at_checked(35 + session_length)?;
        let (cookie_length, rest) = rest.split_first()?;
        let (cookie, after) = rest.split_at_checked(usize::from(*cookie_length))?;
        Some(Self { sequence, number: [n1, n2], before, cookie, after })
    }

    /// The content on which the cookie depends.
    pub(crate) fn content(&self) -> [&'a [u8]; 2] {
        [self.before, self.after]
    }

    /// True if the message is the second of a handshake, in a later record than the first.
    pub(crate) fn is_second(&self) -> bool {
        self.number == [0, 1] && self.sequence.iter().any(|octet| *octet != 0)
    }

    /// Returns the message that the client must have sent before: without a cookie, as the first of
    /// the handshake.
    pub(crate) fn first(&self) -> Bytes {
        let body = [self.before, &[0], self.after].concat();
        record(&[0; 6], &message(CLIENT_HELLO, &body))
    }

    /// Returns the HelloVerifyRequest with this cookie.
    pub(crate) fn verify_request(&self, cookie: &[u8]) -> Bytes {
        let length = u8::try_from(cookie.len()).unwrap_or(u8::MAX);
        let body = [&DTLS_1_0[..], &[length], cookie].concat();
        // The record has the sequence number of the ClientHello, because the server keeps none.
        record(self.sequence, &message(HELLO_VERIFY_REQUEST, &body))
    }
}

/// Returns the first message of a handshake, in one fragment.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[kind][..], &length, &[0, 0, 0, 0, 0], &length, body].concat()
}

fn record(sequence: &[u8], content: &[u8]) -> Bytes {
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[HANDSHAKE][..], &DTLS_1_0, &[0, 0], sequence, &length, content].concat().into()
}
