//! A channel of the terminal as a byte stream.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::toolkit::{Channel, Id, LinkLost, SharedToolkit};

/// An open channel. It is closed when it is dropped.
pub(crate) struct ChannelStream {
    toolkit: SharedToolkit,
    id: Id,
}

impl ChannelStream {
    /// Opens a channel to a server.
    ///
    /// # Errors
    /// The terminal cannot open it.
    pub(crate) async fn open(toolkit: &SharedToolkit, server: SocketAddr) -> Result<Self, String> {
        let id = toolkit.lock().open(server);
        let stream = Self { toolkit: toolkit.clone(), id };
        poll_fn(|_| match toolkit.lock().channel(id) {
            Some(Channel::Opening) => Poll::Pending,
            Some(Channel::Open(_)) => Poll::Ready(Ok(())),
            Some(Channel::Failed(why)) => Poll::Ready(Err(why.clone())),
            None => Poll::Ready(Err("the card was restarted".to_owned())),
        })
        .await?;
        Ok(stream)
    }
}

impl Drop for ChannelStream {
    fn drop(&mut self) {
        self.toolkit.lock().close(self.id);
    }
}

impl AsyncRead for ChannelStream {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.toolkit.lock().receive(self.id, buffer.remaining()) {
            Some(octets) => {
                buffer.put_slice(&octets);
                Poll::Ready(Ok(()))
            }
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for ChannelStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.toolkit.lock().send(self.id, octets) {
            Ok(Some(count)) => Poll::Ready(Ok(count)),
            Ok(None) => Poll::Pending,
            Err(LinkLost) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.toolkit.lock().is_sent(self.id) {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => Poll::Pending,
            Err(LinkLost) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }

    /// The bearer independent protocol cannot close one direction, so this only waits for the
    /// octets that are being sent.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}
