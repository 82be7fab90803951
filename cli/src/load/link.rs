//! Layers around a link: latency measurement, and retries while a server is unreachable.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use rsp::sgp22::json::{self, Answer};
use serde::de::IgnoredAny;
use tokio::time::Instant;
use world::{Link, LinkFault, LinkFaultKind, link_from};

use super::Figures;

/// Delay before a request to an unreachable server is repeated.
const PAUSE: Duration = Duration::from_millis(200);

/// Retry policy for a server that became unreachable. Clones share their state.
///
/// A server that never responded is not retried: its address is wrong, or it was not started.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    lasts: Duration,
    has_answered: Arc<AtomicBool>,
    repeated: Arc<AtomicUsize>,
}

impl RetryPolicy {
    /// Creates a policy that retries each request for this duration.
    pub fn of(lasts: Duration) -> Self {
        Self { lasts, has_answered: Arc::default(), repeated: Arc::default() }
    }

    /// Number of repeated requests.
    pub fn repeated(&self) -> usize {
        self.repeated.load(Ordering::Relaxed)
    }

    /// Wraps a link so that it repeats a request, with the same octets, while the server is
    /// unreachable.
    pub fn wrap(&self, link: Link) -> Link {
        let retry_policy = self.clone();
        link_from(tower::service_fn(move |request| {
            let (retry_policy, link) = (retry_policy.clone(), link.clone());
            async move { retry_policy.send(&link, request).await }
        }))
    }

    async fn send(&self, link: &Link, request: Request<Bytes>) -> Result<Response<Bytes>, LinkFault> {
        let began = Instant::now();
        loop {
            match world::send(link, copy(&request)).await {
                Ok(answer) => {
                    self.has_answered.store(true, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(fault)
                    if is_unreachable(fault.kind)
                        && self.has_answered.load(Ordering::Relaxed)
                        && began.elapsed() < self.lasts =>
                {
                    self.repeated.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(PAUSE).await;
                }
                Err(fault) => return Err(fault),
            }
        }
    }
}

fn is_unreachable(kind: LinkFaultKind) -> bool {
    matches!(kind, LinkFaultKind::Refused | LinkFaultKind::Reset | LinkFaultKind::Timeout)
}

/// Copies the request without its extensions, which are local to this process.
fn copy(request: &Request<Bytes>) -> Request<Bytes> {
    let mut copy = Request::new(request.body().clone());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// Wraps a link so that its calls are recorded as `interface` and the function at the end of their
/// path.
pub(super) fn measured(link: Link, interface: &'static str, figures: &Figures) -> Link {
    let figures = figures.clone();
    link_from(tower::service_fn(move |request: Request<Bytes>| {
        let (link, figures) = (link.clone(), figures.clone());
        async move {
            let function = format!("{interface}.{}", spelled(request.uri().path()));
            let began = Instant::now();
            let answer = world::send(&link, request).await;
            figures.note(&function, began, answer.as_ref().is_ok_and(is_done));
            answer
        }
    }))
}

/// Returns the function in a path in the spelling of the standard.
fn spelled(path: &str) -> String {
    let mut letters = path.rsplit('/').next().unwrap_or_default().chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

fn is_done(answer: &Response<Bytes>) -> bool {
    match answer.status() {
        StatusCode::NO_CONTENT => true,
        StatusCode::OK if answer.body().is_empty() => true,
        _ => matches!(json::answer::<IgnoredAny>(answer), Ok(Answer::Done(_))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that responds to one call, fails the next `failures` calls, and then
    /// responds again.
    fn server(failures: usize) -> Link {
        let calls = Arc::new(AtomicUsize::new(0));
        link_from(tower::service_fn(move |request: Request<Bytes>| {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            async move {
                match (1..=failures).contains(&call) {
                    true => Err(LinkFault::new(LinkFaultKind::Refused, "server", "failures")),
                    false => Ok(Response::new(request.into_body())),
                }
            }
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_repeated_until_the_server_returns() {
        let retry_policy = RetryPolicy::of(Duration::from_secs(1));
        let link = retry_policy.wrap(server(3));
        for word in ["before", "after"] {
            let answer = world::send(&link, Request::new(Bytes::from_static(word.as_bytes()))).await.unwrap();
            assert_eq!(answer.body(), word);
        }
        assert_eq!(retry_policy.repeated(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn retries_end_after_the_time_limit() {
        let link = RetryPolicy::of(Duration::from_secs(1)).wrap(server(usize::MAX));
        assert!(world::send(&link, Request::default()).await.is_ok());
        assert_eq!(world::send(&link, Request::default()).await.unwrap_err().kind, LinkFaultKind::Refused);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_responded_is_not_retried() {
        let retry_policy = RetryPolicy::of(Duration::from_secs(1));
        let link = retry_policy.wrap(link_from(tower::service_fn(async |_: Request<Bytes>| {
            Err::<Response<Bytes>, _>(LinkFault::new(LinkFaultKind::Refused, "server", "failures"))
        })));
        assert!(world::send(&link, Request::default()).await.is_err());
        assert_eq!(retry_policy.repeated(), 0);
    }
}
