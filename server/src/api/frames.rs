//! Answers of server-sent events, which are written while they are sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Frame;
use tokio::sync::mpsc;

/// How often a quiet stream shows that it is alive.
pub const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// An answer of whatever comes out of `frames`, until its other end is dropped.
pub fn answer(frames: mpsc::Receiver<Bytes>) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
        // For proxies that would collect what comes before they pass it on.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::new(Frames(frames))).into_response()
}

/// A body that is written while it is sent.
struct Frames(mpsc::Receiver<Bytes>);

impl HttpBody for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
