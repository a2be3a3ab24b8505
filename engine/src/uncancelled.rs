//! Work that goes on to its end even when nobody waits for it any more.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tracing::Instrument as _;

/// A future that is finished in the background when it is dropped half-way, as
/// the one of a client that hangs up is. While it is waited for it costs no
/// task of its own.
pub(crate) struct Uncancelled<T: Send + 'static>(Option<Work<T>>);

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<T: Send + 'static> Uncancelled<T> {
    pub(crate) fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl<T: Send + 'static> Future for Uncancelled<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        // Taken out first: work that panics must not be gone on with.
        let Some(mut work) = self.0.take() else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_pending() {
            self.0 = Some(work);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Uncancelled<T> {
    fn drop(&mut self) {
        // Without a runtime the process is ending, and the store with it.
        if let (Some(work), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(async move { drop(work.await) }.in_current_span());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn dropped_half_way_it_still_ends() {
        let (go, wait) = oneshot::channel::<()>();
        let (done, ended) = oneshot::channel();
        let mut work = Box::pin(Uncancelled::new(async move {
            let _ = wait.await;
            let _ = done.send(7);
        }));
        assert!(futures_poll(&mut work).is_pending());
        drop(work);
        let _ = go.send(());
        assert_eq!(ended.await, Ok(7));
    }

    #[tokio::test]
    async fn waited_for_it_answers() {
        assert_eq!(Uncancelled::new(async { 7 }).await, 7);
    }

    fn futures_poll<F: Future>(work: &mut Pin<Box<F>>) -> Poll<F::Output> {
        work.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()))
    }
}
