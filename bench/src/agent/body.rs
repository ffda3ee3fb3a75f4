//! Bodies of answers: whole, or a stream of events of which each leaves by itself.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::answer::{self, Dialect};
use super::request::Rpc;

/// The body of an answer.
pub(super) enum Reply {
    /// Everything at once.
    Whole(Option<Bytes>),
    /// Server-sent events.
    Events(Events),
}

impl Reply {
    /// Everything at once.
    pub(super) fn whole(body: Bytes) -> Self {
        Self::Whole((!body.is_empty()).then_some(body))
    }
}

/// The events of one task.
pub(super) struct Events {
    dialect: Dialect,
    id: String,
    task: String,
    context: String,
    artifacts: u32,
    next: u32,
    flushed: bool,
    pause: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl Events {
    /// The stream that answers a request.
    pub(super) fn new(dialect: Dialect, rpc: &Rpc<'_>, artifacts: u32, pause: Option<Duration>) -> Self {
        Self {
            dialect,
            id: rpc.id().to_owned(),
            task: answer::task_id(rpc.message()),
            context: rpc.context().into_owned(),
            artifacts,
            next: 0,
            flushed: true,
            pause: pause.map(|pause| (pause, Box::pin(tokio::time::sleep(Duration::ZERO)))),
        }
    }

    fn is_over(&self) -> bool {
        self.next > self.artifacts.saturating_add(2)
    }

    fn poll_next(&mut self, task: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.is_over() {
            return Poll::Ready(None);
        }
        match &mut self.pause {
            Some((pause, sleep)) if self.next > 0 => {
                std::task::ready!(sleep.as_mut().poll(task));
                sleep.as_mut().reset(Instant::now() + *pause);
            }
            Some((pause, sleep)) => sleep.as_mut().reset(Instant::now() + *pause),
            // Saying "not yet" once makes the connection write out the event before.
            None if !self.flushed => {
                self.flushed = true;
                task.waker().wake_by_ref();
                return Poll::Pending;
            }
            None => self.flushed = false,
        }
        let event = answer::event(self.dialect, &self.task, &self.context, self.next, self.artifacts);
        self.next += 1;
        let id = &self.id;
        Poll::Ready(
            event.map(|result| format!("data: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}\n\n").into()),
        )
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let data = match &mut *self {
            Self::Whole(body) => Poll::Ready(body.take()),
            Self::Events(events) => events.poll_next(task),
        };
        data.map(|data| data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_none(),
            Self::Events(events) => events.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64)),
            Self::Events(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn every_event_is_a_frame_of_its_own() {
        let rpc = Rpc::read(br#"{"id":"a","method":"SendStreamingMessage"}"#).unwrap();
        let mut reply = Reply::Events(Events::new(Dialect::V1, &rpc, 4, None));
        let mut frames = Vec::new();
        while let Some(frame) = reply.frame().await {
            frames.push(frame.unwrap().into_data().unwrap());
        }
        assert_eq!(frames.len(), 7);
        assert!(frames.iter().all(|frame| frame.starts_with(b"data: {") && frame.ends_with(b"}\n\n")));
        assert!(reply.is_end_stream());
    }
}
