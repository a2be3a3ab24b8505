//! The body of a request, which has to come in time: one that trickles would
//! hold its request for ever.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

/// A body that fails when it is not there in time.
pub(super) struct Upload {
    body: Incoming,
    time: Duration,
    /// Runs from where it first had to be waited for.
    running: Option<Pin<Box<Sleep>>>,
}

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// It took too long.
    #[error("the body was not there within {0:?}")]
    TooSlow(Duration),
    /// The connection ended, or what came is no body.
    #[error(transparent)]
    Connection(#[from] hyper::Error),
}

impl Upload {
    pub(super) const fn new(body: Incoming, time: Duration) -> Self {
        Self { body, time, running: None }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Broken::from)));
        }
        let time = self.time;
        let running = self.running.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        ready!(running.as_mut().poll(context));
        Poll::Ready(Some(Err(Broken::TooSlow(time))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
