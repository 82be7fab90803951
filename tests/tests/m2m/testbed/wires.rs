//! In-memory network between operator, EUM, SM-DP and SM-SR. All messages can be recorded, lost or
//! duplicated.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tokio::sync::Notify;
use world::{Fault, Link, LinkFault, LinkFaultKind, PeerCertificate, link_from};

use super::failure::{Failure, FailurePlan};

/// A recorded message.
#[derive(Clone, Debug)]
pub(crate) enum Recorded {
    /// A SOAP message, or the response to one; it contains its sender.
    Soap(String),
    /// User data of a short message to the card.
    ToCard(Vec<u8>),
    /// User data of a short message from the card.
    FromCard(Vec<u8>),
    /// HTTPS request of the card.
    Request(Request<Bytes>),
    /// HTTPS response to the card.
    Response { status: u16, headers: Vec<(String, String)>, body: Bytes },
}

/// Recorded messages, in order.
pub(super) type Recording = Arc<Mutex<Vec<Recorded>>>;

/// The parties by authority.
pub(super) struct Wires {
    links: Mutex<BTreeMap<String, Link>>,
    failures: Arc<FailurePlan>,
    recording: Recording,
}

impl Wires {
    pub(super) fn new(failures: Arc<FailurePlan>, recording: Recording) -> Self {
        Self { links: Mutex::default(), failures, recording }
    }

    pub(super) fn put(&self, authority: &str, link: Link) {
        self.links.lock().unwrap().insert(authority.to_owned(), link);
    }

    pub(super) fn remove(&self, authority: &str) {
        self.links.lock().unwrap().remove(authority);
    }
}

/// Connection of one party to the network, with its client certificate.
pub(super) struct Connection {
    pub(super) wires: Arc<Wires>,
    pub(super) certificate: Vec<u8>,
    pub(super) woken: Arc<Notify>,
}

impl rsp_server::soap::Peers for Connection {
    fn link(&self, authority: &str) -> Result<Link, Fault> {
        let (wires, certificate, to) =
            (Arc::clone(&self.wires), self.certificate.clone(), authority.to_owned());
        Ok(link_from(tower::service_fn(move |mut request: Request<Bytes>| {
            let (wires, to) = (Arc::clone(&wires), to.clone());
            request.extensions_mut().insert(PeerCertificate(certificate.clone()));
            async move { wires.carry(&to, request).await }
        })))
    }

    fn wake(&self) {
        self.woken.notify_one();
    }
}

impl Wires {
    async fn carry(&self, to: &str, request: Request<Bytes>) -> Result<Response<Bytes>, LinkFault> {
        let link = self.links.lock().unwrap().get(to).cloned();
        let link = link.ok_or_else(|| LinkFault::new(LinkFaultKind::Refused, to, "connection refused"))?;
        let lost = || LinkFault::new(LinkFaultKind::Reset, to, "the test cut the connection");
        match self.failures.of_next_message() {
            Some(Failure::LostRequest(_)) => return Err(lost()),
            Some(Failure::LostResponse(_)) => {
                let _unheard = world::send(&link, request).await;
                return Err(lost());
            }
            Some(Failure::Duplicated(_)) => {
                let _first = world::send(&link, again(&request)).await;
            }
            _ => {}
        }
        self.recording
            .lock()
            .unwrap()
            .push(Recorded::Soap(String::from_utf8_lossy(request.body()).into_owned()));
        let response = world::send(&link, request).await?;
        if !response.body().is_empty() {
            self.recording
                .lock()
                .unwrap()
                .push(Recorded::Soap(String::from_utf8_lossy(response.body()).into_owned()));
        }
        // A stopped party responds with an error because its records fail; a real one would
        // not respond at all.
        match response.status() {
            StatusCode::INTERNAL_SERVER_ERROR => Err(lost()),
            _ => Ok(response),
        }
    }
}

pub(super) fn again(request: &Request<Bytes>) -> Request<Bytes> {
    let mut again = Request::new(request.body().clone());
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.headers_mut() = request.headers().clone();
    *again.extensions_mut() = request.extensions().clone();
    again
}
