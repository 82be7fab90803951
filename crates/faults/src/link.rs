//! Faults of HTTP links, as a wrapper around a link.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Request, Response, StatusCode};
use tokio::time::sleep;
use tower::Layer;
use world::{CanSendSlowly, Link, LinkFault, LinkFaultKind, SlowBody, link_from};

use super::acts::{ANSWER_PATIENCE, LinkAct};
use super::catalogue::FaultId;
use super::{
    FaultInjector, FaultSpec, InjectedFault,
    function::{AtSmDs, function_of},
};

impl FaultInjector {
    /// Wraps the link to a peer with the faults of the link, and with the false statements if
    /// there is a [`TamperingPeer`].
    ///
    /// [`TamperingPeer`]: super::TamperingPeer
    pub fn link(&self, peer: Link) -> Link {
        self.layer(self.with_false_statements(peer))
    }

    /// Wraps a link to an SM-DS. Works like [`FaultInjector::link`], but requests with ES9+ paths
    /// count as ES11: SGP.22 section 6.5.2.
    pub fn link_to_sm_ds(&self, peer: Link) -> Link {
        let link = self.link(peer);
        link_from(tower::service_fn(move |mut request: Request<Bytes>| {
            request.extensions_mut().insert(AtSmDs);
            let link = link.clone();
            async move { world::send(&link, request).await }
        }))
    }
}

impl Layer<Link> for FaultInjector {
    type Service = Link;

    fn layer(&self, peer: Link) -> Link {
        let (faults, delayed) = (self.clone(), DelayedRequests::default());
        link_from(tower::service_fn(move |request: Request<Bytes>| {
            let (faults, peer, delayed) = (faults.clone(), peer.clone(), delayed.clone());
            async move {
                let injected = faults.next_link_fault(&request);
                let before = delayed.take();
                let answer = match injected {
                    None => world::send(&peer, request).await,
                    Some(injected) => inject(&injected, &peer, request, &delayed).await,
                };
                for late in before {
                    // The sender of this request has already given up.
                    let _ = world::send(&peer, late).await;
                }
                answer
            }
        }))
    }
}

impl FaultInjector {
    fn next_link_fault(&self, request: &Request<Bytes>) -> Option<InjectedFault> {
        let function = function_of(request).unwrap_or_default();
        let interface = function.split('.').next().unwrap_or_default();
        let concerns =
            |spec: &FaultSpec| matches!(spec.id(), FaultId::Link(_)) && spec.is_at(&[interface, &function]);
        self.next_fault(concerns)
    }
}

/// Requests that are delivered after a later request on this link.
#[derive(Clone, Default)]
struct DelayedRequests(Arc<Mutex<Vec<Request<Bytes>>>>);

impl DelayedRequests {
    fn take(&self) -> Vec<Request<Bytes>> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, request: Request<Bytes>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }
}

async fn inject(
    injected: &InjectedFault,
    peer: &Link,
    mut request: Request<Bytes>,
    delayed: &DelayedRequests,
) -> Result<Response<Bytes>, LinkFault> {
    let FaultId::Link(act) = injected.id() else { return world::send(peer, request).await };
    let name = request.uri().authority().map_or_else(|| "server".to_owned(), ToString::to_string);
    let fault = |kind| LinkFault::new(kind, name, injected.spec().to_string());
    match act {
        LinkAct::LoseRequest => {
            sleep(injected.time()).await;
            Err(fault(LinkFaultKind::Timeout))
        }
        LinkAct::LoseAnswer => {
            world::send(peer, request).await?;
            sleep(injected.time()).await;
            Err(fault(LinkFaultKind::Timeout))
        }
        LinkAct::Delay => {
            sleep(injected.time()).await;
            world::send(peer, request).await
        }
        LinkAct::Duplicate => {
            let first = world::send(peer, request.clone()).await;
            let _ = world::send(peer, request).await;
            first
        }
        LinkAct::Reorder => {
            delayed.put(request);
            sleep(injected.time()).await;
            Err(fault(LinkFaultKind::Timeout))
        }
        LinkAct::TruncateRequest => {
            let body = injected.truncate(request.body());
            *request.body_mut() = body;
            world::send(peer, with_length(request)).await
        }
        LinkAct::CorruptRequest => {
            let body = injected.corrupt(request.body());
            *request.body_mut() = body;
            world::send(peer, request).await
        }
        LinkAct::Reset => {
            world::send(peer, request).await?;
            Err(fault(LinkFaultKind::Reset))
        }
        LinkAct::HttpStatus(code) => {
            Ok(empty(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)))
        }
        LinkAct::Redirect => {
            let mut answer = empty(StatusCode::FOUND);
            answer.headers_mut().insert(LOCATION, HeaderValue::from_static("https://elsewhere.example/"));
            Ok(answer)
        }
        LinkAct::TruncateAnswer => answered(peer, request, |body| injected.truncate(body)).await,
        LinkAct::CorruptAnswer => answered(peer, request, |body| injected.corrupt(body)).await,
        LinkAct::EmptyBody => answered(peer, request, |_| Bytes::new()).await,
        LinkAct::HugeBody => {
            let size = injected.number().unwrap_or_default();
            let padded = |body: &Bytes| {
                let mut octets = body.to_vec();
                octets.resize(size.max(octets.len()), b' ');
                octets.into()
            };
            answered(peer, request, padded).await
        }
        LinkAct::WrongContentType => {
            let mut answer = world::send(peer, request).await?;
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
            Ok(answer)
        }
        LinkAct::SlowDrip => {
            let can_drip = request.extensions().get::<CanSendSlowly>().is_some();
            let mut answer = world::send(peer, request).await?;
            if can_drip {
                answer.extensions_mut().insert(SlowBody(injected.time()));
                return Ok(answer);
            }
            let octets = u32::try_from(answer.body().len()).unwrap_or(u32::MAX);
            let takes = injected.time().saturating_mul(octets);
            sleep(takes.min(ANSWER_PATIENCE)).await;
            if takes > ANSWER_PATIENCE { Err(fault(LinkFaultKind::Timeout)) } else { Ok(answer) }
        }
    }
}

/// Sends the request, and returns the answer with a changed body.
async fn answered(
    peer: &Link,
    request: Request<Bytes>,
    change: impl FnOnce(&Bytes) -> Bytes,
) -> Result<Response<Bytes>, LinkFault> {
    let mut answer = world::send(peer, request).await?;
    let body = change(answer.body());
    if answer.headers().contains_key(CONTENT_LENGTH) {
        answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    *answer.body_mut() = body;
    Ok(answer)
}

/// Updates the Content-Length header, if there is one.
fn with_length(mut request: Request<Bytes>) -> Request<Bytes> {
    let length = HeaderValue::from(request.body().len());
    if request.headers().contains_key(CONTENT_LENGTH) {
        request.headers_mut().insert(CONTENT_LENGTH, length);
    }
    request
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = status;
    answer
}
