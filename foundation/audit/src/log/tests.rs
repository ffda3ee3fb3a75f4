//! The queue without the thread behind it, and the file under a disk that refuses.

use std::borrow::Cow;
use std::fs::{self, OpenOptions};

use moongate_core::Time;

use super::*;
use crate::key::Key;
use crate::shard::Shard;

/// A log whose thread never comes.
fn log(limit: usize) -> Log {
    let shared = Shared {
        queue: Mutex::default(),
        wake: Condvar::new(),
        room: Notify::new(),
        failing: Mutex::default(),
        current: Mutex::default(),
        limit,
        refused: AtomicU64::new(0),
    };
    let key = Key::generate().unwrap().verifying("home.example");
    Log { shared: Arc::new(shared), thread: Mutex::new(None), folder: PathBuf::new(), key, domain: String::new() }
}

fn deed(operation: &'static str) -> Line {
    let nobody: Arc<str> = "-".into();
    Line::Deed(Deed {
        operation: Cow::Borrowed(operation),
        source: nobody.clone(),
        domain: nobody.clone(),
        address: None,
        target: nobody,
        result: "done",
        code: None,
        detail: None,
        about: None,
        intent: None,
        at: Time(0),
    })
}

#[tokio::test]
async fn a_full_queue_makes_callers_wait_until_lines_are_taken() {
    let log = log(2);
    log.record(deed("first"));
    assert!(log.room().is_none());
    log.record(deed("second"));
    let waiting = log.room().unwrap();
    let (taken, last) = log.shared.take(Duration::ZERO);
    assert_eq!((taken.len(), last), (2, false));
    log.shared.room.notify_waiters();
    assert_eq!(waiting.await, Ok(()));
}

#[tokio::test]
async fn a_full_queue_before_a_failing_disk_refuses_at_once() {
    let log = log(1);
    log.record(deed("first"));
    log.shared.fail(Some("no space".into()));
    assert_eq!(log.room().unwrap().await.unwrap_err().code, Code::AuditUnwritable);
    assert_eq!(log.intend(deed("second")).await.unwrap_err().code, Code::AuditUnwritable);
    assert_eq!(log.shared.queue.lock().lines.len(), 1, "what is refused leaves nothing behind");
}

#[test]
fn lines_that_the_disk_refuses_are_no_part_of_the_log_and_may_be_written_again() {
    let folder = std::env::temp_dir().join(format!("moongate-audit-refusing-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    let key = Key::generate().unwrap();
    let mut shard = Shard::begin(&folder, "home.example", "2026-11", &key).unwrap();
    shard.append(&["{\"seq\":0}".into()]).unwrap();
    let root = shard.root();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let good = shard.swap_entries(full);
    assert!(shard.append(&["{\"seq\":1}".into()]).is_err());
    assert_eq!((shard.size(), shard.root()), (1, root));
    shard.swap_entries(good);
    shard.append(&["{\"seq\":1}".into()]).unwrap();
    assert_eq!(shard.size(), 2);
    assert_eq!(fs::read(folder.join("2026-11/entries")).unwrap(), b"\x00\x09{\"seq\":0}\x00\x09{\"seq\":1}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn tiles_that_the_disk_refuses_are_written_before_anything_is_signed_again() {
    let folder = std::env::temp_dir().join(format!("moongate-audit-tiles-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    let key = Key::generate().unwrap();
    let mark = folder.join("mark");
    let mut shard = Shard::begin(&folder, "home.example", "2026-11", &key).unwrap();
    shard.append(&["{\"seq\":0}".into()]).unwrap();
    let good = shard.swap_hashes(OpenOptions::new().write(true).open("/dev/full").unwrap()).unwrap();
    shard.append(&["{\"seq\":1}".into()]).unwrap();
    assert!(shard.sign(&key, &mark).is_err(), "nobody is shown a checkpoint without its tiles");
    shard.swap_hashes(good);
    shard.append(&["{\"seq\":2}".into()]).unwrap();
    assert_eq!(shard.sign(&key, &mark).unwrap().checkpoint.size, 3);
    let hashes = fs::read(folder.join("2026-11/hashes.0")).unwrap();
    let expected = (0..3).flat_map(|seq| crate::Hash::leaf(format!("{{\"seq\":{seq}}}").as_bytes()).0);
    assert!(hashes.into_iter().eq(expected), "every hash stands at its place");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn refusals_for_want_of_room_are_counted_whatever_was_asked_for() {
    let log = log(1);
    log.record(deed("first"));
    let Line::Deed(refused) = deed("agents.add") else { unreachable!() };
    log.record(Line::Deed(Deed { result: "failed", code: Some(Code::AuditBehind), ..refused.clone() }));
    assert_eq!(log.shared.refused.load(Relaxed), 1);
    // Something was done, so it has its line.
    log.record(Line::Deed(Deed { intent: Some(Intent(7)), code: Some(Code::AuditBehind), ..refused }));
    assert_eq!((log.shared.refused.load(Relaxed), log.shared.queue.lock().lines.len()), (1, 2));
}
