//! Links that change messages.

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use world::{Link, LinkFault, LinkFaultKind, link_from};

pub(crate) fn lost(why: &str) -> LinkFault {
    LinkFault::new(LinkFaultKind::Reset, "peer", why)
}

/// Answers some requests in place of the server.
pub(crate) fn answering(
    link: Link,
    answer: impl Fn(&Request<Bytes>) -> Option<Result<Response<Bytes>, LinkFault>> + Clone + Send + Sync + 'static,
) -> Link {
    link_from(tower::service_fn(move |request: Request<Bytes>| {
        let (link, answer) = (link.clone(), answer(&request));
        async move {
            match answer {
                Some(answer) => answer,
                None => world::send(&link, request).await,
            }
        }
    }))
}

/// Changes requests.
pub(crate) fn requesting(
    link: Link,
    change: impl Fn(&mut Request<Bytes>) + Clone + Send + Sync + 'static,
) -> Link {
    link_from(tower::service_fn(move |mut request: Request<Bytes>| {
        let link = link.clone();
        change(&mut request);
        async move { world::send(&link, request).await }
    }))
}

/// Changes what became of requests.
pub(crate) fn responding(
    link: Link,
    change: impl Fn(&Request<Bytes>, Result<Response<Bytes>, LinkFault>) -> Result<Response<Bytes>, LinkFault>
    + Clone
    + Send
    + Sync
    + 'static,
) -> Link {
    link_from(tower::service_fn(move |request: Request<Bytes>| {
        let (link, change) = (link.clone(), change.clone());
        async move {
            let answer = world::send(&link, request.clone()).await;
            change(&request, answer)
        }
    }))
}

/// Replaces or removes a header of requests.
pub(crate) fn with_header(link: Link, name: &'static str, value: Option<&'static str>) -> Link {
    requesting(link, move |request| {
        request.headers_mut().remove(name);
        if let Some(value) = value {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
    })
}
