//! Tests of the writer: groups, failures, limits.

use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};

use moongate_core::Retry;
use rusqlite::ffi;

use super::*;

/// A writer over a fresh file with one table more.
struct Bed {
    writer: Option<Writer>,
    health: Arc<Health>,
    folder: PathBuf,
}

impl Bed {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("moongate-writer-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("m.db");
        std::fs::write(&path, []).unwrap();
        let connection = schema::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE note (n INTEGER PRIMARY KEY, text TEXT) STRICT").unwrap();
        let health = Arc::new(Health::default());
        Self { writer: Some(Writer::start(connection, health.clone(), Arc::default()).unwrap()), health, folder }
    }

    fn writer(&self) -> &Writer {
        self.writer.as_ref().unwrap()
    }

    fn note(&self, n: i64) -> impl Future<Output = Result<usize, Problem>> + use<> {
        self.writer().submit(move |connection| connection.execute("INSERT INTO note (n) VALUES (?1)", [n]))
    }

    /// Keeps the writer busy until the answer is dropped or sent to.
    fn block(&self) -> Sender<()> {
        let (release, wait) = channel();
        let (started, begun) = channel();
        drop(self.writer().submit(move |_| {
            started.send(()).unwrap();
            let _ = wait.recv();
            Ok(())
        }));
        begun.recv().unwrap();
        release
    }

    async fn notes(&self) -> Vec<i64> {
        let read = |connection: &Connection| {
            connection.prepare("SELECT n FROM note ORDER BY n")?.query_map([], |row| row.get(0))?.collect()
        };
        self.writer().submit(read).await.unwrap()
    }

    fn commits(&self) -> u64 {
        self.writer().counts.commits.load(Relaxed)
    }

    async fn limit_pages(&self, more: i64) {
        let limit = move |connection: &Connection| {
            let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            connection.query_row(&format!("PRAGMA max_page_count = {}", pages + more), [], |row| row.get::<_, i64>(0))
        };
        self.writer().submit(limit).await.unwrap();
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.writer = None;
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn operations_that_wait_together_share_one_commit() {
    let bed = Bed::new();
    let release = bed.block();
    let before = bed.commits();
    let waiting: Vec<_> = (0..100).map(|n| bed.note(n)).collect();
    drop(release);
    for answer in waiting {
        assert_eq!(answer.await, Ok(1));
    }
    assert_eq!(bed.commits() - before, 2, "the one that blocked, and all the others");
    assert_eq!(bed.notes().await, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn every_commit_is_flushed_before_it_is_answered() {
    let bed = Bed::new();
    let number = |sql: &'static str| {
        bed.writer().submit(move |connection| connection.query_row(sql, [], |row| row.get::<_, i64>(0)))
    };
    assert_eq!(number("PRAGMA synchronous").await, Ok(2), "FULL");
    assert_eq!(number("PRAGMA foreign_keys").await, Ok(1));
}

#[tokio::test]
async fn a_failing_operation_leaves_nothing_and_harms_no_neighbour() {
    let bed = Bed::new();
    let release = bed.block();
    let first = bed.note(1);
    let half = bed.writer().submit(|connection| {
        connection.execute("INSERT INTO note (n) VALUES (2)", [])?;
        connection.execute("INSERT INTO note (n) VALUES (1)", [])
    });
    let last = bed.note(3);
    drop(release);
    assert_eq!((first.await, last.await), (Ok(1), Ok(1)));
    assert_eq!(half.await.unwrap_err().code, Code::StoreUnusable);
    assert_eq!(bed.notes().await, [1, 3]);
    assert_eq!(bed.health.check(), Ok(()), "the operation's own mistake is none of the store");
}

#[tokio::test]
async fn a_full_queue_says_later_and_loses_nothing_that_was_taken() {
    let bed = Bed::new();
    let release = bed.block();
    let taken: Vec<_> = (0..QUEUE as i64).map(|n| bed.note(n)).collect();
    let problem = bed.note(-1).await.unwrap_err();
    assert_eq!(problem.code, Code::Overloaded);
    assert!(matches!(problem.retry, Retry::Later(_)), "{problem:?}");
    drop(release);
    for answer in taken {
        assert_eq!(answer.await, Ok(1));
    }
    assert_eq!(bed.notes().await.len(), QUEUE);
}

#[tokio::test]
async fn a_full_disk_makes_the_store_unhealthy_until_there_is_room_again() {
    let bed = Bed::new();
    bed.limit_pages(4).await;
    let large = |bed: &Bed| {
        let text = "x".repeat(100_000);
        bed.writer().submit(move |connection| connection.execute("INSERT INTO note (text) VALUES (?1)", [&text]))
    };
    let problem = large(&bed).await.unwrap_err();
    assert_eq!(problem.code, Code::StoreUnusable);
    assert!(problem.inside.unwrap().contains("full"));
    assert_eq!(bed.health.check().unwrap_err().code, Code::StoreUnusable);
    bed.limit_pages(400).await;
    assert!(bed.health.check().is_err(), "what changes nothing does not show that there is room");
    assert_eq!(large(&bed).await, Ok(1));
    assert_eq!((bed.health.check(), bed.notes().await.len()), (Ok(()), 1));
}

#[tokio::test]
async fn the_writer_finds_out_by_itself_that_there_is_room_again() {
    let bed = Bed::new();
    bed.note(1).await.unwrap();
    bed.health.failed(&rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), None));
    assert!(bed.health.check().is_err());
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while bed.health.check().is_err() {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("the probe ran when the writer was idle");
}

#[tokio::test]
async fn free_pages_go_back_to_the_disk_when_nobody_writes() {
    let bed = Bed::new();
    let text = "x".repeat(1 << 20);
    for n in 0..16 {
        let text = text.clone();
        let insert = move |connection: &Connection| {
            connection.execute("INSERT INTO note (n, text) VALUES (?1, ?2)", rusqlite::params![n, text])
        };
        assert_eq!(bed.writer().submit(insert).await, Ok(1));
    }
    bed.writer().submit(|connection| connection.execute("DELETE FROM note WHERE n > 0", [])).await.unwrap();
    let size = || std::fs::metadata(bed.folder.join("m.db")).unwrap().len();
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while size() == 0 || size() > 8 << 20 {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("the file became smaller");
    assert_eq!(bed.notes().await, [0]);
}

#[tokio::test]
async fn a_damaged_file_is_not_touched_any_more() {
    let mut bed = Bed::new();
    bed.note(1).await.unwrap();
    let before = std::fs::read(bed.folder.join("m.db")).unwrap();
    let corrupt =
        |_: &Connection| Err::<(), _>(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), None));
    assert_eq!(bed.writer().submit(corrupt).await.unwrap_err().code, Code::StoreDamaged);
    assert_eq!(bed.note(2).await.unwrap_err().code, Code::StoreDamaged);
    assert_eq!(bed.health.check().unwrap_err().code, Code::StoreDamaged);
    bed.health.recovered();
    assert!(bed.health.stopped().is_some(), "nothing heals it");
    bed.writer = None;
    assert_eq!(std::fs::read(bed.folder.join("m.db")).unwrap(), before);
    assert!(std::fs::metadata(bed.folder.join("m.db-wal")).unwrap().len() > 0, "the log is kept for the repair");
}
