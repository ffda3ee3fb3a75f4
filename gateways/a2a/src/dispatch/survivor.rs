//! Work that outlives whoever waits for it.
//!
//! A client that hangs up drops its request's future; what was sent to an agent must still be taken into the index, or the
//! task would be nobody's (A2A 1.0 §3.1.2: a client that goes away never cancels the task).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future that goes on in a task of its own if it is dropped before its end.
pub(super) struct Survivor<F: Future<Output: Send> + Send + 'static> {
    work: Option<Pin<Box<F>>>,
}

impl<F: Future<Output: Send> + Send + 'static> Survivor<F> {
    /// Begins when it is first polled; one that never was is dropped like any other.
    pub(super) fn of(work: F) -> Self {
        Self { work: Some(Box::pin(work)) }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Future for Survivor<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(work) = self.work.as_mut() else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Survivor<F> {
    fn drop(&mut self) {
        if let (Some(work), Ok(runtime)) = (self.work.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_goes_on_when_nobody_waits_any_more() {
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let (done, seen) = tokio::sync::oneshot::channel::<u8>();
        let mut survivor = Box::pin(Survivor::of(async move {
            let _ = gone.await;
            let _ = done.send(7);
        }));
        let begun = std::future::poll_fn(|context| Poll::Ready(survivor.as_mut().poll(context).is_pending())).await;
        assert!(begun);
        drop(survivor);
        let _ = go.send(());
        assert_eq!(seen.await, Ok(7));
    }
}
