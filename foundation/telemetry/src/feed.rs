//! What happens, for whoever watches: each request that ended, what people decided, and whose health changed.
//!
//! - While nobody watches, telling costs one relaxed load, and nothing is kept.
//! - It holds up nobody: whoever reads too slowly loses the oldest, and learns how many they were.
//! - At most [`READERS`] watch at once.
//! - Whatever is told was decided elsewhere. How it is written is up to the first reader who needs it; the others share that.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use moongate_core::entry::Deed;
use moongate_core::seam::TraceContext;
use moongate_core::{Code, Entry, Problem, Time};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// The most that watch at once.
pub const READERS: usize = 16;

/// So many happenings wait for a slow reader.
pub const KEPT: usize = 1024;

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A request ended; the trace that it belongs to.
    Request(Entry, Option<[u8; 16]>),
    /// What became of a question to people.
    Approval(Deed),
    /// An instance of an agent is there, doubtful or gone.
    Health(Health),
}

/// How the health of an instance changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The agent.
    pub agent: Arc<str>,
    /// The instance.
    pub instance: Arc<str>,
    /// What it was: `up`, `suspect`, `down`, or `gone` if it was not there.
    pub was: &'static str,
    /// What it is.
    pub is: &'static str,
    /// When.
    pub at: Time,
}

/// A happening and its one written form.
#[derive(Debug)]
pub struct Told {
    /// What happened.
    pub what: Happening,
    written: OnceLock<Bytes>,
}

impl Told {
    /// Its written form; made by `write` if nobody needed it before.
    pub fn written(&self, write: impl FnOnce(&Happening) -> Bytes) -> &Bytes {
        self.written.get_or_init(|| write(&self.what))
    }
}

/// Where happenings are told.
#[derive(Debug)]
pub struct Feed {
    readers: AtomicUsize,
    sender: broadcast::Sender<Arc<Told>>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { readers: AtomicUsize::new(0), sender: broadcast::Sender::new(KEPT) }
    }
}

impl Feed {
    /// Whether anybody watches.
    pub fn is_watched(&self) -> bool {
        self.readers.load(Relaxed) > 0
    }

    /// Tells of a request that ended, if anybody watches.
    pub fn request(&self, entry: &Entry, trace: Option<&TraceContext>) {
        if self.is_watched() {
            self.tell(Happening::Request(entry.clone(), trace.map(|trace| trace.trace_id)));
        }
    }

    /// Tells of what was no request, if anybody watches and it is about people's decisions.
    pub fn deed(&self, deed: &Deed) {
        if self.is_watched() && deed.operation.starts_with("approval.") {
            self.tell(Happening::Approval(deed.clone()));
        }
    }

    /// Tells of an instance whose health changed, if anybody watches.
    pub fn health(&self, health: Health) {
        if self.is_watched() {
            self.tell(Happening::Health(health));
        }
    }

    fn tell(&self, what: Happening) {
        let _ = self.sender.send(Arc::new(Told { what, written: OnceLock::new() }));
    }

    /// Watches from now on.
    ///
    /// # Errors
    /// `TooManyWatchers`: [`READERS`] watch already.
    pub fn watch(self: &Arc<Self>) -> Result<Reader, Problem> {
        if self.readers.fetch_add(1, Relaxed) >= READERS {
            self.readers.fetch_sub(1, Relaxed);
            return Err(Problem::new(Code::TooManyWatchers, format!("{READERS} watch already")));
        }
        Ok(Reader { happenings: self.sender.subscribe(), feed: self.clone() })
    }
}

/// One who watches.
#[derive(Debug)]
pub struct Reader {
    happenings: broadcast::Receiver<Arc<Told>>,
    feed: Arc<Feed>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.feed.readers.fetch_sub(1, Relaxed);
    }
}

/// What a reader gets.
#[derive(Debug)]
pub enum News {
    /// Something happened.
    Told(Arc<Told>),
    /// So many happenings were lost for this reader.
    Lost(u64),
}

impl Reader {
    /// The next news.
    pub async fn next(&mut self) -> News {
        match self.happenings.recv().await {
            Ok(told) => News::Told(told),
            Err(RecvError::Lagged(lost)) => News::Lost(lost),
            // The reader itself keeps the feed alive.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }

    /// The next news if there are any yet.
    pub fn ready(&mut self) -> Option<News> {
        match self.happenings.try_recv() {
            Ok(told) => Some(News::Told(told)),
            Err(TryRecvError::Lagged(lost)) => Some(News::Lost(lost)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(number: usize) -> Health {
        let instance: Arc<str> = number.to_string().into();
        Health { agent: "lights".into(), instance, was: "up", is: "down", at: Time(0) }
    }

    fn instance(news: &News) -> String {
        match news {
            News::Told(told) => match &told.what {
                Happening::Health(health) => health.instance.to_string(),
                other => panic!("{other:?}"),
            },
            News::Lost(lost) => format!("lost {lost}"),
        }
    }

    #[test]
    fn nothing_is_kept_while_nobody_watches() {
        let feed = Arc::new(Feed::default());
        feed.health(health(1));
        assert_eq!(feed.sender.len(), 0);
        let mut reader = feed.watch().unwrap();
        assert!(reader.ready().is_none(), "what was before is not told");
        feed.health(health(2));
        assert_eq!(instance(&reader.ready().unwrap()), "2");
        drop(reader);
        assert!(!feed.is_watched());
    }

    #[tokio::test]
    async fn a_slow_reader_loses_the_oldest_and_learns_how_many() {
        let feed = Arc::new(Feed::default());
        let (mut slow, mut quick) = (feed.watch().unwrap(), feed.watch().unwrap());
        for number in 0..KEPT + 7 {
            feed.health(health(number));
            assert_eq!(instance(&quick.next().await), number.to_string());
        }
        assert_eq!(instance(&slow.next().await), "lost 7");
        assert_eq!(instance(&slow.next().await), "7");
    }

    #[test]
    fn so_many_watch_and_no_more() {
        let feed = Arc::new(Feed::default());
        let mut readers: Vec<_> = (0..READERS).map(|_| feed.watch().unwrap()).collect();
        assert_eq!(feed.watch().unwrap_err().code, Code::TooManyWatchers);
        readers.pop();
        assert!(feed.watch().is_ok(), "a place that was left is free");
    }

    #[test]
    fn a_happening_is_written_once_for_all() {
        let told = Told { what: Happening::Health(health(1)), written: OnceLock::new() };
        assert_eq!(told.written(|_| Bytes::from_static(b"one")), "one");
        assert_eq!(told.written(|_| Bytes::from_static(b"two")), "one");
    }
}
