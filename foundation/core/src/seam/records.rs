//! The facet of the store for small rows of many kinds: users, clients, grants, keys, certificate revocation lists.
//!
//! A row is a key, an opaque value, perhaps a group that it belongs to and a moment after which it is worthless. What a
//! row means is known to the room that owns its kind. Decisions over rows are closures that run inside one transaction,
//! so that "read, judge, write" cannot be split by somebody else.

use std::sync::{Arc, Mutex, PoisonError};

use super::Later;
use crate::problem::{Code, Problem};
use crate::time::Time;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its name among those of its kind.
    pub key: String,
    /// What it belongs to, as the family of a refresh token; rows can be found by it.
    pub group: Option<String>,
    /// What its owner wrote.
    pub value: Vec<u8>,
    /// From when on [`Page::sweep`] removes it. Until then it is there, whoever asks: owners judge time themselves.
    pub expires_at: Option<Time>,
}

/// The store failed; the transaction has no effect, and the reason is what [`Records::change`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// What one transaction sees and does.
pub trait Page {
    /// The row of that key.
    ///
    /// # Errors
    /// The store failed, as for all others.
    fn record(&self, kind: &str, key: &str) -> Result<Option<Record>, Broken>;
    /// Makes or replaces a row.
    ///
    /// # Errors
    /// The store failed.
    fn put(&self, kind: &str, record: &Record) -> Result<(), Broken>;
    /// Removes a row; whether there was one.
    ///
    /// # Errors
    /// The store failed.
    fn remove(&self, kind: &str, key: &str) -> Result<bool, Broken>;
    /// The rows of a group, in the order of their keys.
    ///
    /// # Errors
    /// The store failed.
    fn group(&self, kind: &str, group: &str) -> Result<Vec<Record>, Broken>;
    /// At most `limit` rows with keys beyond this one, in their order (byte by byte).
    ///
    /// # Errors
    /// The store failed.
    fn after(&self, kind: &str, key: &str, limit: usize) -> Result<Vec<Record>, Broken>;
    /// Removes rows of all kinds that have expired; how many.
    ///
    /// # Errors
    /// The store failed.
    fn sweep(&self, now: Time) -> Result<u64, Broken>;
}

/// What is to be done in one transaction. It may run twice, and must then do the same again.
pub type Work = Box<dyn FnMut(&dyn Page) -> Result<(), Broken> + Send>;

/// Small rows. Use [`change`] and [`look`], which give back what the closure found.
pub trait Records: Send + Sync {
    /// Does it; durable when the future is ready.
    fn change(&self, work: Work) -> Later<'_, Result<(), Problem>>;
    /// Looks only, at one moment's state; writing is refused.
    fn look(&self, work: Work) -> Later<'_, Result<(), Problem>>;
}

/// Runs `work` in one transaction; what it gave back, once its effects are durable.
///
/// # Errors
/// `StoreUnusable` and its kin; nothing has changed then.
pub async fn change<T: Send + 'static>(
    records: &dyn Records,
    work: impl FnMut(&dyn Page) -> Result<T, Broken> + Send + 'static,
) -> Result<T, Problem> {
    let (work, found) = keeping(work);
    records.change(work).await?;
    taken(&found)
}

/// Runs `work`, which only reads, over one moment's state.
///
/// # Errors
/// As [`change`].
pub async fn look<T: Send + 'static>(
    records: &dyn Records,
    work: impl FnMut(&dyn Page) -> Result<T, Broken> + Send + 'static,
) -> Result<T, Problem> {
    let (work, found) = keeping(work);
    records.look(work).await?;
    taken(&found)
}

type Found<T> = Arc<Mutex<Option<T>>>;

fn keeping<T: Send + 'static>(
    mut work: impl FnMut(&dyn Page) -> Result<T, Broken> + Send + 'static,
) -> (Work, Found<T>) {
    let found = Arc::new(Mutex::new(None));
    let kept = found.clone();
    let work = move |page: &dyn Page| {
        let result = work(page)?;
        *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        Ok(())
    };
    (Box::new(work), found)
}

fn taken<T>(found: &Found<T>) -> Result<T, Problem> {
    let found = found.lock().unwrap_or_else(PoisonError::into_inner).take();
    found.ok_or_else(|| Problem::new(Code::Internal, "the store did not do what it was asked for"))
}
