//! What waits to be written to a socket: bounded by frames and by bytes, written in order, several frames to a flush.
//!
//! Whoever puts a frame waits while the queue is full. So the streams of a client that reads slowly stand still, read on
//! from the record later ([`crate::supply`]), and nothing grows.

use std::sync::Arc;

use bytes::Bytes;
use moongate_transport::websocket::Mouth;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Frames that may wait.
const FRAMES: usize = 256;
/// Kibibytes that may wait; a single frame may be larger.
const KIBIBYTES: u32 = 4096;

enum Item {
    Text(Bytes, #[allow(dead_code, reason = "gives the room back when the frame has gone")] OwnedSemaphorePermit),
    Ping,
}

/// The end where frames go in.
#[derive(Clone)]
pub(super) struct Out {
    sender: mpsc::Sender<Item>,
    room: Arc<Semaphore>,
}

/// The end where they come out.
pub(super) struct Queue(mpsc::Receiver<Item>);

/// An empty queue.
pub(super) fn queue() -> (Out, Queue) {
    let (sender, receiver) = mpsc::channel(FRAMES);
    (Out { sender, room: Arc::new(Semaphore::new(KIBIBYTES as usize)) }, Queue(receiver))
}

impl Out {
    /// Puts a frame into the queue; waits while there is no room. If the wait is given up, the frame is not in it.
    pub(super) async fn put(&self, text: Bytes) {
        let size = u32::try_from(text.len() / 1024 + 1).unwrap_or(KIBIBYTES).min(KIBIBYTES);
        if let Ok(room) = self.room.clone().acquire_many_owned(size).await {
            // Without a writer there is no socket, and the session is about to end.
            let _ = self.sender.send(Item::Text(text, room)).await;
        }
    }

    /// Asks whether the other side is there. Where so much waits that there is no room, it has been asked already.
    pub(super) fn ping(&self) {
        let _ = self.sender.try_send(Item::Ping);
    }
}

/// Writes what comes until every [`Out`] is gone; gives the socket back if it is still there.
pub(super) async fn write(mut mouth: Mouth, mut queue: Queue) -> Option<Mouth> {
    while let Some(first) = queue.0.recv().await {
        let mut next = Some(first);
        while let Some(item) = next {
            let written = match item {
                Item::Text(text, _room) => mouth.say(text).await,
                Item::Ping => mouth.ping().await,
            };
            written.ok()?;
            next = queue.0.try_recv().ok();
        }
        mouth.flush().await.ok()?;
    }
    Some(mouth)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Polls once.
    async fn at_once<F: Future>(future: F) -> Option<F::Output> {
        tokio::select! { biased; done = future => Some(done), () = std::future::ready(()) => None }
    }

    #[tokio::test]
    async fn a_full_queue_makes_wait_by_frames_and_by_bytes() {
        let (out, mut queue) = queue();
        for _ in 0..FRAMES {
            out.put(Bytes::from_static(b"x")).await;
        }
        assert!(at_once(out.put(Bytes::from_static(b"x"))).await.is_none());
        out.ping();
        for _ in 0..FRAMES {
            assert!(matches!(queue.0.try_recv(), Ok(Item::Text(..))));
        }
        assert!(queue.0.try_recv().is_err(), "what was given up is not in the queue");
        let large = Bytes::from(vec![b'x'; 10 * 1024 * 1024]);
        assert!(at_once(out.put(large)).await.is_some(), "one large frame has room where nothing else waits");
        assert!(at_once(out.put(Bytes::from_static(b"x"))).await.is_none());
        drop(queue.0.try_recv());
        assert!(at_once(out.put(Bytes::from_static(b"x"))).await.is_some());
    }
}
