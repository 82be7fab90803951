//! The answers of a server, and the faults of exchanges with it.

use std::error::Error;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use world::{LinkFault, LinkFaultKind};

/// Maximum size of a response: a bound profile package with a margin.
pub const MAX_ANSWER: usize = 16 << 20;

/// The name of a server in messages.
#[derive(Clone)]
pub(super) struct Peer(pub(super) Arc<str>);

impl Peer {
    /// Reads the body of an answer.
    pub(super) async fn read(&self, answer: Response<Incoming>) -> Result<Response<Bytes>, LinkFault> {
        let (head, body) = answer.into_parts();
        if body.size_hint().lower() > u64::try_from(MAX_ANSWER).unwrap_or(u64::MAX) {
            return Err(self.too_large());
        }
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(|error| self.explain(&*error))?.to_bytes();
        Ok(Response::from_parts(head, body))
    }

    /// Finds the most specific cause in the error chain.
    pub(super) fn explain(&self, error: &(dyn Error + 'static)) -> LinkFault {
        let mut kind = LinkFaultKind::Protocol;
        let mut why = error.to_string();
        let mut cause = Some(error);
        while let Some(error) = cause {
            why = error.to_string();
            if let Some(fault) = error.downcast_ref::<LinkFault>() {
                return fault.clone();
            }
            if error.is::<LengthLimitError>() {
                return self.too_large();
            }
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return self.fault(kind_of(error), error.to_string());
            }
            if let Some(error) = error.downcast_ref::<hyper::Error>() {
                let broken = error.is_incomplete_message() || error.is_canceled() || error.is_closed();
                kind = if broken { LinkFaultKind::Reset } else { LinkFaultKind::Protocol };
            }
            cause = error.source();
        }
        self.fault(kind, why)
    }

    fn too_large(&self) -> LinkFault {
        self.fault(LinkFaultKind::TooLarge, format!("more than {MAX_ANSWER} bytes"))
    }

    pub(super) fn fault(&self, kind: LinkFaultKind, why: impl ToString) -> LinkFault {
        LinkFault::new(kind, &*self.0, why.to_string())
    }
}

/// Returns the kind of fault for an error of a socket.
pub(crate) fn kind_of(error: &io::Error) -> LinkFaultKind {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => LinkFaultKind::Refused,
        io::ErrorKind::TimedOut => LinkFaultKind::Timeout,
        io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::AddrNotAvailable => LinkFaultKind::Unreachable,
        // rustls uses this kind for its errors; sockets do not. Under TLS 1.3, a server checks the
        // client's certificate after the client has completed its handshake, so a refusal can
        // arrive with the first read.
        io::ErrorKind::InvalidData => LinkFaultKind::Tls,
        _ => LinkFaultKind::Reset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_exchange_has_the_kind_of_its_cause() {
        use io::ErrorKind;
        for (error, kind) in [
            (ErrorKind::ConnectionRefused, LinkFaultKind::Refused),
            (ErrorKind::TimedOut, LinkFaultKind::Timeout),
            (ErrorKind::NetworkUnreachable, LinkFaultKind::Unreachable),
            (ErrorKind::HostUnreachable, LinkFaultKind::Unreachable),
            (ErrorKind::AddrNotAvailable, LinkFaultKind::Unreachable),
            (ErrorKind::InvalidData, LinkFaultKind::Tls),
            (ErrorKind::ConnectionReset, LinkFaultKind::Reset),
            (ErrorKind::BrokenPipe, LinkFaultKind::Reset),
        ] {
            assert_eq!(kind_of(&error.into()), kind, "{error:?}");
        }
    }
}
