//! A folder, a clock that stands where it is put, and lines.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moongate_audit::{Files, Key, Log, Place, Report, VerifyingKey, verify, whole};
use moongate_core::entry::{Deed, Intent, Line};
use moongate_core::seam::Clock;
use moongate_core::{Code, Entry, Listener, Mono, Operation, Time};

/// 2026-11-27T17:54:56.789Z
pub(crate) const NOVEMBER: u64 = 1_795_802_096_789;

pub(crate) struct Hand {
    pub(crate) wall: AtomicU64,
    mono: AtomicU64,
}

impl Hand {
    pub(crate) fn at(wall: u64) -> Arc<Self> {
        Arc::new(Self { wall: AtomicU64::new(wall), mono: AtomicU64::new(0) })
    }
}

impl Clock for Hand {
    fn now(&self) -> Time {
        Time(self.wall.load(Ordering::Relaxed))
    }

    // Every look at it is a second later: whoever signs once a second signs each batch.
    fn mono(&self) -> Mono {
        Mono(self.mono.fetch_add(1_000_000, Ordering::Relaxed))
    }
}

/// A folder that goes when the test is over.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("moongate-audit-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn place(&self) -> Place {
        Place {
            folder: self.0.join("audit"),
            key: self.0.join("audit.key"),
            mark: self.0.join("audit.mark"),
            domain: "home.example".into(),
            keep_months: None,
        }
    }

    pub(crate) fn open(&self) -> Log {
        Log::open(&self.place(), Hand::at(NOVEMBER)).unwrap()
    }

    pub(crate) fn shard(&self) -> Files {
        Files::at(self.0.join("audit/2026-11"))
    }

    pub(crate) fn key(&self) -> VerifyingKey {
        Key::load(&self.place().key).unwrap().unwrap().verifying("home.example/audit/2026-11")
    }

    pub(crate) fn verify(&self) -> Report {
        verify(&self.shard(), &self.key(), &[], Some(&self.place().mark)).unwrap()
    }

    /// A closed log of so many lines, the opening one included.
    pub(crate) fn written(lines: usize) -> Self {
        let folder = Self::new();
        let log = folder.open();
        (1..lines).for_each(|n| log.record(request(&format!("request-{n}"))));
        log.close();
        folder
    }
}

impl Folder {
    /// Another folder with the same files.
    pub(crate) fn copy(&self) -> Self {
        let other = Self::new();
        copy(&self.0, &other.0);
        other
    }

    /// What a gateway leaves that was killed after so many lines, all of them signed.
    pub(crate) fn killed(lines: usize) -> Self {
        let running = Self::new();
        let log = running.open();
        (1..lines).for_each(|n| log.record(request(&format!("request-{n}"))));
        while log.current().1 < lines as u64 {
            std::thread::yield_now();
        }
        running.copy()
    }

    pub(crate) fn refused(&self) -> Option<(Code, String)> {
        let opened = Log::open(&self.place(), Hand::at(NOVEMBER));
        opened.err().map(|problem| (problem.code, problem.detail.into_owned()))
    }

    /// What is wrong with the log as a whole.
    pub(crate) fn whole(&self) -> Vec<String> {
        whole(&self.place(), &self.key()).unwrap().into_iter().map(|finding| finding.what).collect()
    }

    /// All files with what they hold, to see that nothing was touched.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        gather(&self.0, &mut files);
        files.sort();
        files
    }
}

fn gather(folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { gather(&path, files) } else { files.push((path.clone(), std::fs::read(&path).unwrap())) }
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// Puts a line behind the others.
pub(crate) fn append(entries: &Path, line: &str) {
    let mut bytes = std::fs::read(entries).unwrap();
    bytes.extend_from_slice(&(line.len() as u16).to_be_bytes());
    bytes.extend_from_slice(line.as_bytes());
    std::fs::write(entries, bytes).unwrap();
}

/// Changes a text in a file, in its place.
pub(crate) fn edit(path: &Path, from: &str, to: &str) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    std::fs::write(path, bytes).unwrap();
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn entry(request: &str) -> Entry {
    Entry {
        request: request.into(),
        source: "local".into(),
        domain: "home.example".into(),
        address: [127, 0, 0, 1].into(),
        target: "lights".into(),
        instance: "-".into(),
        skill: Some("lights.set".into()),
        task: None,
        operation: Operation::Send,
        listener: Listener::Plain,
        result: "done",
        code: None,
        rule: "default_agent".into(),
        cleared_by: "-".into(),
        intent: None,
        at: Time(NOVEMBER),
        took: Duration::from_micros(250),
    }
}

pub(crate) fn request(id: &str) -> Line {
    Line::Request(entry(id), None)
}

pub(crate) fn outcome(id: &str, intent: Intent) -> Line {
    Line::Request(Entry { intent: Some(intent), ..entry(id) }, None)
}

pub(crate) fn deed(operation: &'static str) -> Line {
    Line::Deed(Deed {
        operation: operation.into(),
        source: "operator".into(),
        domain: "home.example".into(),
        address: None,
        target: "-".into(),
        result: "done",
        code: None,
        detail: None,
        about: None,
        intent: None,
        at: Time(NOVEMBER),
    })
}

/// All lines, as JSON.
pub(crate) fn leaves(files: &Files) -> Vec<serde_json::Value> {
    let key = files.vkey().unwrap();
    let size = files.signed(&key).unwrap().checkpoint.size;
    (0..size).map(|index| serde_json::from_slice(&files.line(index, size).unwrap()).unwrap()).collect()
}

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}
