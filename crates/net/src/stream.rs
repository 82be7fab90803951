//! TCP connections that a device opens for its card.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use world::{BoxByteStream, BoxFuture, Dial, LinkFault, LinkFaultKind};

/// It is shorter than the time-out of a card: cards that open channels allow for the delays of
/// mobile networks.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens TCP connections. Host names without a DNS entry can be mapped to addresses.
#[derive(Clone, Debug, Default)]
pub struct TcpDial {
    connect_to: Vec<(String, String)>,
}

impl TcpDial {
    /// Maps `host` to `address` (`host:port`) for every requested port.
    #[must_use]
    pub fn with_connect_to(mut self, host: impl Into<String>, address: impl Into<String>) -> Self {
        self.connect_to.push((host.into(), address.into()));
        self
    }

    async fn connect(&self, host: &str, port: u16) -> Result<BoxByteStream, LinkFault> {
        let mapped = self.connect_to.iter().find(|(name, _)| name.eq_ignore_ascii_case(host));
        let bracketed =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let address = mapped.map_or(bracketed, |(_, address)| address.clone());
        let fault = |kind, why: String| LinkFault::new(kind, address.clone(), why);
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(&address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(|error| fault(LinkFaultKind::Reset, error.to_string()))?;
                Ok(Box::new(stream))
            }
            Ok(Err(error)) => Err(fault(kind_of(&error), error.to_string())),
            Err(_) => Err(fault(LinkFaultKind::Timeout, format!("no connection within {CONNECT_TIMEOUT:?}"))),
        }
    }
}

fn kind_of(error: &io::Error) -> LinkFaultKind {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => LinkFaultKind::Refused,
        io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::AddrNotAvailable => LinkFaultKind::Unreachable,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => LinkFaultKind::Reset,
        io::ErrorKind::TimedOut => LinkFaultKind::Timeout,
        _ => LinkFaultKind::Unresolved,
    }
}

impl Dial for TcpDial {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<BoxByteStream, LinkFault>> {
        Box::pin(self.connect(host, port))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_failed_connection_has_the_kind_of_its_cause() {
        use io::ErrorKind;
        for (error, kind) in [
            (ErrorKind::ConnectionRefused, LinkFaultKind::Refused),
            (ErrorKind::NetworkUnreachable, LinkFaultKind::Unreachable),
            (ErrorKind::HostUnreachable, LinkFaultKind::Unreachable),
            (ErrorKind::AddrNotAvailable, LinkFaultKind::Unreachable),
            (ErrorKind::ConnectionReset, LinkFaultKind::Reset),
            (ErrorKind::ConnectionAborted, LinkFaultKind::Reset),
            (ErrorKind::TimedOut, LinkFaultKind::Timeout),
            // Errors of the resolver.
            (ErrorKind::Other, LinkFaultKind::Unresolved),
        ] {
            assert_eq!(kind_of(&error.into()), kind, "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_mapped_host_is_reached_at_its_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let dial = TcpDial::default().with_connect_to("sm-sr.example.com", address.to_string());
        let mut stream = dial.dial("SM-SR.example.com", 443).await.unwrap();
        let (mut accepted, _) = listener.accept().await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut received = Vec::new();
        accepted.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"hello");
        drop(listener);
        let refused = dial.dial("127.0.0.1", address.port()).await.err().map(|fault| fault.kind);
        assert_eq!(refused, Some(LinkFaultKind::Refused));
    }
}
