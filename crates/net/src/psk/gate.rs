//! Reads the PSK identity from the TLS handshake: RFC 4279 section 2, RFC 5246 sections 6.2 and
//! 7.4.
//!
//! The gate examines only ClientKeyExchange, which precedes all encrypted messages. A misreading
//! has no security impact: OpenSSL parses the same octets and gets a key only for the identity that
//! it has read.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use crypto::Secret;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use world::BoxFuture;

use super::PskKeys;

const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_KEY_EXCHANGE: u8 = 16;
/// Maximum octets before the identity. A ClientHello has some hundred octets, and OpenSSL accepts
/// 128 KiB.
const MAX_BEFORE_IDENTITY: usize = 16 << 10;

/// The identified client of a connection. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Known(Arc<Mutex<Option<Client>>>);

struct Client {
    identity: String,
    key: Secret<Vec<u8>>,
}

impl Known {
    fn learn(&self, identity: String, key: Secret<Vec<u8>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Client { identity, key });
    }

    /// Returns the identity that the client has sent, if the gate has looked up its key.
    pub(super) fn identity(&self) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map(|client| client.identity.clone())
    }

    /// Copies the key of this identity into `to` if it has been looked up, and returns its length.
    pub(super) fn copy_key(&self, identity: &[u8], to: &mut [u8]) -> Option<usize> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let client = known.as_ref().filter(|client| client.identity.as_bytes() == identity)?;
        let key = client.key.expose();
        to.get_mut(..key.len())?.copy_from_slice(key);
        Some(key.len())
    }
}

/// A stream that withholds the identity until its key has been looked up.
pub(super) struct Gate<S> {
    inner: S,
    keys: Arc<dyn PskKeys>,
    known: Known,
    state: State,
}

enum State {
    /// Collects the octets from the start of the connection.
    Reading(Vec<u8>),
    /// Waits for the key and withholds the latest octets.
    LookingUp(BoxFuture<'static, ()>, Vec<u8>),
    /// Passes on the withheld octets.
    Releasing(Vec<u8>),
    PassThrough,
}

impl<S> Gate<S> {
    pub(super) fn new(inner: S, keys: Arc<dyn PskKeys>, known: Known) -> Self {
        Self { inner, keys, known, state: State::Reading(Vec::new()) }
    }

    fn look_up(&self, identity: Vec<u8>) -> BoxFuture<'static, ()> {
        let (keys, known) = (Arc::clone(&self.keys), self.known.clone());
        Box::pin(async move {
            let Ok(identity) = String::from_utf8(identity) else { return };
            match keys.key(&identity).await {
                Ok(Some(key)) => known.learn(identity, key),
                Ok(None) => {}
                // The client sees the same error as for an unknown identity, and can retry.
                Err(fault) => tracing::error!(%fault, "cannot look up the key of a card"),
            }
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        loop {
            match &mut gate.state {
                State::Reading(received) => {
                    let before = buf.filled().len();
                    ready!(Pin::new(&mut gate.inner).poll_read(cx, buf))?;
                    let new = buf.filled().get(before..).unwrap_or_default().to_vec();
                    received.extend_from_slice(&new);
                    match identity_in(received) {
                        Identity::NotYet if received.len() <= MAX_BEFORE_IDENTITY => {}
                        Identity::NotYet | Identity::Never => gate.state = State::PassThrough,
                        Identity::Is(identity) => {
                            buf.set_filled(before);
                            gate.state = State::LookingUp(gate.look_up(identity), new);
                            continue;
                        }
                    }
                    return Poll::Ready(Ok(()));
                }
                State::LookingUp(lookup, held) => {
                    ready!(lookup.as_mut().poll(cx));
                    gate.state = State::Releasing(std::mem::take(held));
                }
                State::Releasing(held) => {
                    let rest = held.split_off(held.len().min(buf.remaining()));
                    buf.put_slice(held);
                    gate.state = if rest.is_empty() { State::PassThrough } else { State::Releasing(rest) };
                    return Poll::Ready(Ok(()));
                }
                State::PassThrough => return Pin::new(&mut gate.inner).poll_read(cx, buf),
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, octets)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Identity {
    Is(Vec<u8>),
    NotYet,
    /// The octets cannot contain an identity.
    Never,
}

/// Finds the identity in the octets from the start of a connection.
fn identity_in(received: &[u8]) -> Identity {
    // A client can split a message over records, and join messages in one record.
    let mut messages = Vec::new();
    let mut rest = received;
    // True if something other than a handshake has begun.
    let is_over = loop {
        match rest.split_first_chunk::<5>() {
            Some(([HANDSHAKE_RECORD, _, _, high, low], body)) => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                let (fragment, next) = body.split_at(length.min(body.len()));
                messages.extend_from_slice(fragment);
                rest = next;
            }
            Some(_) => break true,
            None => break rest.first().is_some_and(|kind| *kind != HANDSHAKE_RECORD),
        }
    };
    let mut rest = messages.as_slice();
    while let Some((header, body)) = rest.split_first_chunk::<4>() {
        let [kind, a, b, c] = *header;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
        let Some((message, next)) = body.split_at_checked(length) else { break };
        if kind == CLIENT_KEY_EXCHANGE {
            let identity = message.split_first_chunk::<2>().and_then(|(length, identity)| {
                identity.get(..usize::from(u16::from_be_bytes(*length))).map(<[u8]>::to_vec)
            });
            return identity.map_or(Identity::Never, Identity::Is);
        }
        rest = next;
    }
    if is_over { Identity::Never } else { Identity::NotYet }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fragment: &[u8]) -> Vec<u8> {
        let length = u16::try_from(fragment.len()).unwrap().to_be_bytes();
        [&[22, 3, 3], &length[..], fragment].concat()
    }

    fn hello_and_identity() -> Vec<u8> {
        [&[1, 0, 0, 3, 9, 9, 9][..], &[16, 0, 0, 5, 0, 3], b"abc"].concat()
    }

    #[test]
    fn the_identity_is_found_in_any_fragmentation_once_it_is_complete() {
        let messages = hello_and_identity();
        for size in 1..=messages.len() {
            let received: Vec<u8> = messages.chunks(size).flat_map(record).collect();
            let is = Identity::Is(b"abc".to_vec());
            assert_eq!(identity_in(&received), is, "records of {size}");
            // ChangeCipherSpec can follow in the same segment.
            assert_eq!(identity_in(&[&received[..], &[20, 3, 3, 0, 1, 1]].concat()), is);
            for length in 0..received.len() {
                assert_eq!(
                    identity_in(&received[..length]),
                    Identity::NotYet,
                    "{length} of records of {size}"
                );
            }
        }
    }

    #[test]
    fn octets_other_than_a_handshake_pass_through() {
        assert_eq!(identity_in(b"GET / HTTP/1.1"), Identity::Never);
        assert_eq!(identity_in(&[21]), Identity::Never);
        assert_eq!(identity_in(&record(&[16, 0, 0, 3, 0, 9, 1])), Identity::Never);
    }

    #[tokio::test]
    async fn written_octets_pass_a_buffer_below_the_gate() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut client, server) = tokio::io::duplex(1024);
        let keys = Arc::new(Slow(tokio::sync::Semaphore::new(0)));
        let mut gate = Gate::new(tokio::io::BufWriter::new(server), keys, Known::default());
        gate.write_all(b"alert").await.unwrap();
        gate.flush().await.unwrap();
        let mut received = [0; 5];
        let mut read = std::pin::pin!(client.read(&mut received));
        let ready = std::future::poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx))).await;
        assert!(matches!(ready, Poll::Ready(Ok(5))), "it was not flushed");
        gate.shutdown().await.unwrap();
        let mut read = std::pin::pin!(client.read(&mut received));
        let ready = std::future::poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx))).await;
        assert!(matches!(ready, Poll::Ready(Ok(0))), "it was not shut down");
    }

    struct Slow(tokio::sync::Semaphore);

    impl PskKeys for Slow {
        fn key<'a>(
            &'a self,
            identity: &'a str,
        ) -> BoxFuture<'a, Result<Option<Secret<Vec<u8>>>, world::Fault>> {
            Box::pin(async move {
                let _wait = self.0.acquire().await;
                Ok((identity == "abc").then(|| vec![7; 16].into()))
            })
        }
    }

    #[tokio::test]
    async fn the_identity_is_withheld_until_its_key_is_known() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let received = [record(&hello_and_identity()), b"and more".to_vec()].concat();
        let (mut client, server) = tokio::io::duplex(1024);
        client.write_all(&received).await.unwrap();
        let keys = Arc::new(Slow(tokio::sync::Semaphore::new(0)));
        let known = Known::default();
        let mut gate = Gate::new(server, keys.clone(), known.clone());
        let mut read_octets = vec![0; received.len()];
        let mut read = Box::pin(gate.read_exact(&mut read_octets));
        assert!(std::future::poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx).is_pending())).await);
        assert_eq!(known.identity(), None);
        keys.0.add_permits(1);
        read.await.unwrap();
        assert_eq!(known.identity().as_deref(), Some("abc"));
        assert_eq!(read_octets, received);
        let mut key = [0; 32];
        assert_eq!(known.copy_key(b"abc", &mut key), Some(16));
        assert_eq!(key[..17], [[7; 16].as_slice(), &[0]].concat());
        assert_eq!(known.copy_key(b"abd", &mut key), None);
    }
}
