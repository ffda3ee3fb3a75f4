//! Questions as rows: one kind for them, grouped by what may still come of them, and one for how much each
//! requester has asked.

use std::sync::Arc;
use std::time::Duration;

use moongate_core::approval::{Input, Rejected, State};
use moongate_core::seam::records::{self, Broken, Page, Record, Records};
use moongate_core::{Grant, Problem, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::memory::{self, Memory};
use super::{Limits, Stored};

const QUESTION: &str = "approval";
const RATE: &str = "approval.rate";
/// Groups: nobody has decided; decided, and nobody was told yet who carries it out; on its way to its agent; over.
pub(super) const PENDING: &str = "pending";
pub(super) const DECIDED: &str = "decided";
pub(super) const GOING: &str = "going";
const HOUR: Duration = Duration::from_secs(3600);
/// So many questions of one requester are answered by remembered yeses within an hour; then people are asked again.
const RECALLED: usize = 120;
/// How long a question that is over can be looked at.
const KEPT: Duration = Duration::from_secs(DAYS * 24 * 3600);
const DAYS: u64 = 7;

/// Why a question is not asked.
pub(super) enum Refused {
    /// Too many wait already.
    Open,
    /// Too many came within an hour; another one may come then.
    Hour(Time),
}

/// One input, and what comes with it.
pub(super) struct Change {
    pub(super) input: Input,
    /// What a passkey signed.
    pub(super) receipt: Option<Value>,
    /// The yes is remembered.
    pub(super) memory: Option<Memory>,
}

/// How much a requester has asked.
#[derive(Default, Serialize, Deserialize)]
struct Rate {
    open: u32,
    asked: Vec<Time>,
    /// Those that a remembered yes answered.
    #[serde(default)]
    recalled: Vec<Time>,
}

fn read(record: &Record) -> Option<Stored> {
    match serde_json::from_slice(&record.value) {
        Ok(stored) => Some(stored),
        Err(error) => {
            tracing::error!(approval = record.key, %error, "a question in the store cannot be read; it stays unanswered");
            None
        }
    }
}

fn write(page: &dyn Page, stored: &Stored) -> Result<(), Broken> {
    let approval = &stored.approval;
    let is_over = approval.state.is_final() && stored.delivered;
    let group = match approval.state {
        State::Pending => PENDING.to_owned(),
        _ if is_over => over(hour(approval.since)),
        _ if stored.delivered => GOING.to_owned(),
        _ => DECIDED.to_owned(),
    };
    let record = Record {
        key: approval.id.to_string(),
        group: Some(group),
        value: serde_json::to_vec(stored).map_err(|_| Broken)?,
        expires_at: is_over.then(|| approval.since.plus(KEPT)),
    };
    page.put(QUESTION, &record)
}

fn rate(page: &dyn Page, requester: &str) -> Result<Rate, Broken> {
    let found = page.record(RATE, requester)?;
    Ok(found.and_then(|record| serde_json::from_slice(&record.value).ok()).unwrap_or_default())
}

fn put_rate(page: &dyn Page, requester: &str, rate: &Rate) -> Result<(), Broken> {
    let last = rate.asked.last().max(rate.recalled.last()).map(|at| at.plus(HOUR));
    let record = Record {
        key: requester.to_owned(),
        group: None,
        value: serde_json::to_vec(rate).map_err(|_| Broken)?,
        expires_at: last.filter(|_| rate.open == 0),
    };
    page.put(RATE, &record)
}

/// Adds a question within the limits; one that a remembered yes answers bothers nobody, and has a limit of its own.
pub(super) async fn add(
    records: &dyn Records,
    stored: &Stored,
    limits: Limits,
    (most, now): (Duration, Time),
) -> Result<Result<Stored, Refused>, Problem> {
    let stored = stored.clone();
    let added = records::change(records, move |page| {
        let mut stored = stored.clone();
        let requester = stored.approval.requester.clone();
        let mut rate = rate(page, &requester)?;
        rate.asked.retain(|at| at.plus(HOUR) > now);
        rate.recalled.retain(|at| at.plus(HOUR) > now);
        if rate.recalled.len() < RECALLED {
            memory::recall(page, &mut stored, most, now)?;
        }
        if stored.approval.state == State::Pending {
            if rate.open >= limits.open {
                return Ok(Err(Refused::Open));
            }
            let over = rate.asked.len().checked_sub(limits.an_hour as usize);
            if let Some(first) = over.and_then(|over| rate.asked.get(over)) {
                return Ok(Err(Refused::Hour(first.plus(HOUR))));
            }
            rate.open += 1;
            rate.asked.push(now);
        } else {
            rate.recalled.push(now);
        }
        put_rate(page, &requester, &rate)?;
        write(page, &stored)?;
        Ok(Ok(stored))
    });
    added.await
}

pub(super) async fn find(records: &dyn Records, id: &str) -> Result<Option<Stored>, Problem> {
    let id = id.to_owned();
    records::look(records, move |page| Ok(page.record(QUESTION, &id)?.as_ref().and_then(read))).await
}

/// Those that are over have a group for each hour in which they ended, so that the newest are read without the rest.
fn over(hour: u64) -> String {
    format!("over-{hour}")
}

fn hour(at: Time) -> u64 {
    at.0 / 3_600_000
}

/// The newest that are over, at most so many, the newest first.
pub(super) async fn last(records: &dyn Records, most: usize, now: Time) -> Result<Vec<Stored>, Problem> {
    let newest = hour(now);
    let found = records::look(records, move |page| {
        let mut found: Vec<Stored> = Vec::new();
        for hour in (newest.saturating_sub(DAYS * 24)..=newest).rev() {
            let mut group: Vec<Stored> = page.group(QUESTION, &over(hour))?.iter().filter_map(read).collect();
            group.sort_by_key(|one| std::cmp::Reverse(one.approval.since));
            group.truncate(most.saturating_sub(found.len()));
            found.append(&mut group);
            if found.len() >= most {
                break;
            }
        }
        Ok(found)
    });
    found.await
}

/// The questions of a group.
pub(super) async fn all(records: &dyn Records, group: &'static str) -> Result<Vec<Stored>, Problem> {
    records::look(records, move |page| Ok(page.group(QUESTION, group)?.iter().filter_map(read).collect())).await
}

/// What comes of one input; `None` if there is no such question.
pub(super) async fn apply(
    records: &dyn Records,
    id: &str,
    change: Change,
    now: Time,
) -> Result<Option<Result<(Stored, Option<Grant>), Rejected>>, Problem> {
    let id = id.to_owned();
    let applied = records::change(records, move |page| {
        let Some(stored) = page.record(QUESTION, &id)?.as_ref().and_then(read) else { return Ok(None) };
        let (approval, grant) = match stored.approval.apply(&change.input, now) {
            Ok(next) => next,
            Err(rejected) => return Ok(Some(Err(rejected))),
        };
        // What was dispatched is known to whoever dispatches.
        let delivered = approval.state == State::Consumed;
        if stored.approval.state == State::Pending && approval.state != State::Pending {
            let mut rate = rate(page, &approval.requester)?;
            rate.open = rate.open.saturating_sub(1);
            put_rate(page, &approval.requester, &rate)?;
        }
        let mut next = Stored { approval, delivered, ..stored };
        next.receipts.extend(change.receipt.clone());
        memory::keep(page, &next, change.memory.as_ref())?;
        write(page, &next)?;
        Ok(Some(Ok((next, grant))))
    });
    applied.await
}

/// Removes a question that nobody was asked, with its place in the limits.
pub(super) async fn remove(records: &dyn Records, id: &str) -> Result<Option<Stored>, Problem> {
    let id = id.to_owned();
    let removed = records::change(records, move |page| {
        let Some(stored) = page.record(QUESTION, &id)?.as_ref().and_then(read) else { return Ok(None) };
        match stored.approval.state {
            State::Pending => {
                let mut rate = rate(page, &stored.approval.requester)?;
                rate.open = rate.open.saturating_sub(1);
                rate.asked.pop();
                put_rate(page, &stored.approval.requester, &rate)?;
            }
            // A remembered yes had answered it, and counts for no limit.
            State::Approved => {}
            _ => return Ok(Some(stored)),
        }
        page.remove(QUESTION, &id)?;
        Ok(Some(stored))
    });
    removed.await
}

/// Notes that a channel has told of a question.
pub(super) async fn told(records: &dyn Records, id: &str, channel: &Arc<str>) -> Result<(), Problem> {
    let (id, channel) = (id.to_owned(), channel.clone());
    let done = records::change(records, move |page| {
        let Some(mut stored) = page.record(QUESTION, &id)?.as_ref().and_then(read) else { return Ok(()) };
        if stored.told.contains(&channel) {
            return Ok(());
        }
        stored.told.push(channel.clone());
        write(page, &stored)
    });
    done.await
}

pub(super) async fn deliver(records: &dyn Records, id: &str) -> Result<(), Problem> {
    let id = id.to_owned();
    let done = records::change(records, move |page| {
        let Some(stored) = page.record(QUESTION, &id)?.as_ref().and_then(read) else { return Ok(()) };
        write(page, &Stored { delivered: true, ..stored })
    });
    done.await
}
