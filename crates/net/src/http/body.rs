//! Response bodies that are sent at once or octet by octet.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use world::SlowBody;

/// The part of the body that remains to be sent.
pub(crate) struct Answer {
    rest: Bytes,
    drip: Option<(Duration, Pin<Box<Sleep>>)>,
}

/// Returns the response with the body that its extensions request.
pub(crate) fn with_body(response: Response<Bytes>) -> Response<Answer> {
    let drip = response.extensions().get::<SlowBody>().copied();
    let drip = drip.map(|SlowBody(pause)| (pause, Box::pin(sleep(Duration::ZERO))));
    response.map(|rest| Answer { rest, drip })
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Self { rest, drip } = &mut *self;
        if rest.is_empty() {
            return Poll::Ready(None);
        }
        let Some((pause, until)) = drip else {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(rest)))));
        };
        ready!(until.as_mut().poll(cx));
        *until = Box::pin(sleep(*pause));
        Poll::Ready(Some(Ok(Frame::data(rest.split_to(1)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.rest.len()).unwrap_or(u64::MAX))
    }
}
