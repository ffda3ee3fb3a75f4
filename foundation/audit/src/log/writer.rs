//! The thread that writes.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use moongate_core::entry::Intent;
use moongate_core::seam::Clock;
use moongate_core::{Code, Mono, Problem};

use super::start::Start;
use super::{Place, Queued, Shared, Waiting};
use crate::key::Key;
use crate::leaf;
use crate::shard::Shard;
use crate::unwritable;

/// The root is signed this often while lines come.
const SIGN: Duration = Duration::from_secs(1);
/// A disk that refused is tried again after so long.
const AGAIN: Duration = Duration::from_millis(250);

/// What the thread owns.
pub(super) struct Writer {
    pub(super) place: Place,
    shared: Arc<Shared>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) key: Key,
    pub(super) shard: Shard,
    /// Intents whose outcome has not come: the number of their line.
    open: BTreeMap<Intent, u64>,
    signed_at: Mono,
    /// Keeps other processes away for as long as it is open.
    _lock: File,
}

impl Writer {
    pub(super) fn open(place: &Place, shared: Arc<Shared>, clock: Arc<dyn Clock>) -> Result<Self, Problem> {
        crate::file::private_folder(&place.folder).map_err(|error| unwritable(&place.folder, &error))?;
        let lock = lock(&place.folder)?;
        let start = Start::of(place, &leaf::month(clock.now()))?;
        let recovered = start.take_up(place)?;
        let key = start.key;
        let (shard, open) = match recovered {
            Some(recovered) => {
                if recovered.cut > 0 {
                    tracing::warn!(
                        bytes = recovered.cut,
                        "the audit log ended in the middle of a line that was never acknowledged; it was cut off"
                    );
                }
                (recovered.shard, recovered.open)
            }
            None => (Shard::begin(&place.folder, &place.domain, &leaf::month(clock.now()), &key)?, BTreeMap::new()),
        };
        let signed_at = clock.mono();
        let mut writer =
            Self { place: place.clone(), shared, clock, key, shard, open: BTreeMap::new(), signed_at, _lock: lock };
        writer.take_up(&open)?;
        Ok(writer)
    }

    /// Begins an empty shard, says of intents of the last run that their outcome is unknown, and signs all that.
    fn take_up(&mut self, open: &BTreeMap<u64, String>) -> Result<(), Problem> {
        let now = self.clock.now();
        self.shard.resume(&self.key, &self.place.mark)?;
        if self.shard.size() == 0 {
            let line = self.shard.opening(None, now);
            self.shard.append(&[line]).map_err(|error| unwritable(&self.place.folder, &error))?;
            // Before the first checkpoint there are only the lines that begin a month.
            self.sign()?;
        }
        let mut lines = Vec::new();
        for (intent, what) in open {
            let mut line = String::new();
            leaf::ended(&mut line, (*intent, what), "unknown", self.shard.size() + lines.len() as u64, now);
            lines.push(line);
        }
        if !lines.is_empty() {
            self.shard.append(&lines).map_err(|error| unwritable(&self.place.folder, &error))?;
        }
        self.prune();
        self.sign()
    }

    pub(super) fn run(mut self) {
        loop {
            let (batch, last) = self.shared.take(SIGN);
            if !batch.is_empty() {
                self.commit(batch);
            }
            let unsigned = self.shard.size() > self.shard.signed_size();
            if unsigned && (last || self.clock.mono() - self.signed_at >= SIGN) {
                self.signed_at = self.clock.mono();
                let signed = self.sign();
                self.say(signed.err().map(|problem| problem.detail.into_owned()));
            }
            if last {
                self.conclude();
                return;
            }
        }
    }

    /// Says that nothing comes behind the last signed line.
    fn conclude(&self) {
        if let Err(problem) = self.shard.conclude(&self.key, &self.place.mark) {
            tracing::warn!(%problem, "the audit log could not be closed; a line that is put behind its end will pass for one of it");
        }
    }

    /// Writes a batch, however often it takes. Intents are refused at the first failure, everything else waits.
    fn commit(&mut self, mut batch: Vec<Queued>) {
        while let Err(why) = self.turn().and_then(|()| self.append(&batch)) {
            self.say(Some(why.detail.to_string()));
            batch.retain_mut(|queued| match queued.done.take() {
                Some(done) => {
                    let _ = done.send(Err(why.clone()));
                    false
                }
                None => true,
            });
            if self.give_up() {
                tracing::error!(lines = batch.len(), "the gateway ends, and these lines could not be written");
                return;
            }
        }
        let mut left = Vec::new();
        for queued in &mut batch {
            let heard = queued.done.take().is_none_or(|done| done.send(Ok(())).is_ok());
            if let (false, Waiting::Intent(intent)) = (heard, queued.phase) {
                left.push(intent);
            }
        }
        self.abandon(&left);
        self.count();
        self.say(None);
        self.shared.room.notify_waiters();
    }

    /// Nobody waited for these intents until they were durable, so nothing came of them.
    fn abandon(&mut self, left: &[Intent]) {
        let (now, mut lines) = (self.clock.now(), Vec::new());
        for seq in left.iter().filter_map(|intent| self.open.get(intent)) {
            let mut line = String::new();
            leaf::ended(&mut line, (*seq, "-"), "abandoned", self.shard.size() + lines.len() as u64, now);
            lines.push(line);
        }
        // A disk that refuses these leaves the intents open; the next start says of them what it knows.
        if !lines.is_empty() && self.shard.append(&lines).is_ok() {
            self.open.retain(|intent, _| !left.contains(intent));
        }
    }

    /// Says how many requests were refused for want of room.
    fn count(&mut self) {
        let refused = self.shared.refused.swap(0, Relaxed);
        if refused == 0 {
            return;
        }
        let mut line = String::new();
        leaf::refused(&mut line, refused, self.shard.size(), self.clock.now());
        if self.shard.append(&[line]).is_err() {
            self.shared.refused.fetch_add(refused, Relaxed);
        }
    }

    /// Waits until the disk is worth another try; whether nobody waits for that any more.
    fn give_up(&self) -> bool {
        let from = self.clock.mono();
        let mut queue = self.shared.queue.lock();
        while !queue.closed && self.clock.mono() - from < AGAIN {
            self.shared.wake.wait_for(&mut queue, AGAIN);
        }
        queue.closed
    }

    fn append(&mut self, batch: &[Queued]) -> Result<(), Problem> {
        let (first, mut open) = (self.shard.size(), BTreeMap::new());
        let mut lines = Vec::with_capacity(batch.len());
        for (seq, queued) in (first..).zip(batch) {
            let known = |intent: Intent| open.get(&intent).or_else(|| self.open.get(&intent)).copied();
            let phase = queued.phase.phase(known);
            let mut line = String::with_capacity(512);
            leaf::write(&mut line, &queued.line, seq, phase);
            lines.push(line);
            if let Waiting::Intent(intent) = queued.phase {
                open.insert(intent, seq);
            }
        }
        self.shard.append(&lines).map_err(|error| unwritable(&self.place.folder, &error))?;
        self.open.append(&mut open);
        for queued in batch {
            if let Waiting::Outcome(intent) = queued.phase {
                self.open.remove(&intent);
            }
        }
        Ok(())
    }

    /// Begins a new shard with a new month. A clock that was set back begins none.
    fn turn(&mut self) -> Result<(), Problem> {
        let now = self.clock.now();
        let month = leaf::month(now);
        if month <= self.shard.name {
            // Nothing stands in a month before its first checkpoint but what begins it.
            return if self.shard.signed.is_some() { Ok(()) } else { self.sign() };
        }
        let previous = self.shard.sign(&self.key, &self.place.mark)?;
        let mut next = Shard::begin(&self.place.folder, &self.place.domain, &month, &self.key)?;
        let mut lines = vec![next.opening(Some(&previous.text), now)];
        let mut open = BTreeMap::new();
        for (intent, seq) in &self.open {
            let (mut line, here) = (String::new(), lines.len() as u64);
            leaf::carried(&mut line, *seq, &self.shard.origin, here, now);
            lines.push(line);
            open.insert(*intent, here);
        }
        next.append(&lines).map_err(|error| unwritable(&self.place.folder, &error))?;
        (self.shard, self.open) = (next, open);
        tracing::info!(shard = %self.shard.origin, "the audit log begins a new month");
        self.sign()?;
        self.prune();
        self.sign()
    }

    pub(super) fn sign(&mut self) -> Result<(), Problem> {
        let signed = self.shard.sign(&self.key, &self.place.mark)?;
        *self.shared.current.lock() = (self.shard.name.clone(), signed.checkpoint.size);
        Ok(())
    }

    /// Tells everybody whether lines can be written; says so in the program's own log once.
    fn say(&self, why: Option<String>) {
        let before = self.shared.failing.lock().is_some();
        match (&why, before) {
            (Some(why), false) => {
                tracing::error!(why, "the audit log cannot be written; what policy calls sensitive is refused")
            }
            (None, true) => tracing::info!("the audit log is written again"),
            _ => {}
        }
        self.shared.fail(why);
    }
}

/// Whether that could be the name of a shard: `2026-11`.
pub fn is_shard(name: &str) -> bool {
    name.len() == 7 && name.bytes().enumerate().all(|(at, b)| if at == 4 { b == b'-' } else { b.is_ascii_digit() })
}

/// The shards in a folder, the oldest first.
pub(crate) fn names(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| is_shard(name))
        .collect();
    names.sort();
    Ok(names)
}

/// Keeps every other process from writing.
fn lock(folder: &Path) -> Result<File, Problem> {
    let path: PathBuf = folder.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|error| unwritable(folder, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Problem::new(Code::AuditLocked, format!("{} is written by another process", folder.display())))
        }
        Err(TryLockError::Error(error)) => Err(unwritable(folder, &error)),
    }
}
