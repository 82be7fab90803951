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

#[cfg(test)]
mod tests {
    use super::*;

    /// A ClientHello of OpenSSL 3.0.19, up to its extensions, of which there are none here.
    fn hello(sequence: u8, number: u8, cookie: &[u8]) -> Vec<u8> {
        let suites = [0, 4, 0xC0, 0x2B, 0xC0, 0x2C, 1, 0];
        let length = u8::try_from(cookie.len()).unwrap();
        let body = [&[0xFE, 0xFD][..], &[0x5A; 32], &[0], &[length], cookie, &suites].concat();
        let mut message = message(CLIENT_HELLO, &body);
        message[5] = number;
        record(&[0, 0, 0, 0, 0, sequence], &message).to_vec()
    }

    #[test]
    fn a_client_hello_is_read_and_its_first_message_is_restored() {
        let first = hello(0, 0, b"");
        let second = hello(1, 1, b"cookie");
        let read = ClientHello::read(&second).unwrap();
        assert_eq!((read.cookie, read.is_second()), (&b"cookie"[..], true));
        assert_eq!(read.first(), first);
        assert_eq!(ClientHello::read(&first).unwrap().content(), read.content());
        // The cookie depends on the version, the random value and the suites.
        for at in [25, 30, second.len() - 4] {
            let mut other = second.clone();
            other[at] ^= 1;
            assert_ne!(ClientHello::read(&other).unwrap().content(), read.content(), "octet {at}");
        }
        assert!(!ClientHello::read(&first).unwrap().is_second());
        assert!(!ClientHello::read(&hello(0, 1, b"cookie")).unwrap().is_second());
    }

    /// RFC 6347 section 4.2.1: the reply is smaller than the request, so that it amplifies nothing.
    #[test]
    fn a_hello_verify_request_repeats_the_sequence_number() {
        let hello = hello(7, 0, b"");
        let reply = ClientHello::read(&hello).unwrap().verify_request(&[1; 32]);
        assert_eq!(reply[..13], [22, 0xFE, 0xFF, 0, 0, 0, 0, 0, 0, 0, 7, 0, 47]);
        assert_eq!(reply[13..28], [3, 0, 0, 35, 0, 0, 0, 0, 0, 0, 0, 35, 0xFE, 0xFF, 32]);
        assert!(reply.len() < hello.len());
    }

    #[test]
    fn other_datagrams_are_not_a_client_hello() {
        let good = hello(1, 1, b"cookie");
        for length in 0..good.len() {
            assert_eq!(ClientHello::read(&good[..length]), None, "{length}");
        }
        assert_eq!(ClientHello::read(&[&good[..], &[0]].concat()), None);
        // Another content type, version, epoch, message, fragment, session ID and cookie.
        for (at, octet) in [(0, 23), (1, 3), (4, 1), (13, 2), (21, 1), (24, 1), (59, 200), (60, 200)] {
            let mut changed = good.clone();
            changed[at] = octet;
            assert_eq!(ClientHello::read(&changed), None, "octet {at}");
        }
    }
}
