//! Yeses that are remembered: whoever said yes to a request may want the very same one answered alike for some minutes.
//!
//! - The very same: the caller, the agent and its place, the operation and every parameter but the message's own id, under
//!   the same rules ([`crate::document::template`]). A changed policy, agent or word is asked about.
//! - Never what is critical: the machine refuses such a vote.
//! - Each can be seen and taken back; a no to the same request takes it back too, and so does whoever ends a person's rights.
//! - Each use is a question of its own, answered at once, with the earlier question as its receipt.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use moongate_core::approval::{Class, Input, Means, State};
use moongate_core::seam::records::{self, Broken, Page, Record, Records};
use moongate_core::{Code, Problem, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, Desk, Stored, is_of, missing};

const MEMORY: &str = "approval.remembered";
/// Rows that are read at once.
const PAGE: usize = 256;

/// One person's yes, remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The question that it was said to.
    pub question: Arc<str>,
    /// Who asked.
    pub requester: Arc<str>,
    /// Who said it.
    pub by: Arc<str>,
    /// What it allows, in one sentence.
    pub sentence: String,
    /// Since when.
    pub made_at: Time,
    /// Until when it was meant to count.
    pub expires_at: Time,
    template: String,
}

impl Memory {
    /// What there is to see of it.
    pub fn view(&self) -> Value {
        let Self { question, requester, by, sentence, made_at, expires_at, .. } = self;
        json!({
            "id": &**question, "requester": &**requester, "by": &**by, "sentence": sentence, "made_at": made_at.0,
            "expires_at": expires_at.0,
        })
    }

    fn counts(&self, most: Duration, now: Time) -> bool {
        now < self.expires_at.min(self.made_at.plus(most))
    }
}

impl Desk {
    /// How long a yes is remembered at most, from now on; zero for never. What is remembered already counts no longer either.
    pub fn remember_at_most(&self, most: Duration) {
        self.remembers.store(u64::try_from(most.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long a yes to this question can be remembered; `None` if it cannot.
    pub fn remembers(&self, question: &Stored) -> Option<Duration> {
        let most = self.most();
        let can = question.approval.class != Class::Critical && !question.template.is_empty() && !most.is_zero();
        can.then_some(most)
    }

    /// A person says yes, to this and to the very same again for so long.
    ///
    /// # Errors
    /// As [`Desk::decide`]; `NotYoursToDecide` for what is critical; `InvalidParams` for longer than is remembered here.
    pub async fn remember(&self, id: &str, by: Arc<str>, answer: Answer, span: Duration) -> Result<Stored, Problem> {
        let question = self.find(id).await?.ok_or_else(|| missing(id))?;
        if question.approval.class == Class::Critical {
            return Err(Problem::new(Code::NotYoursToDecide, "what is critical is asked about each time"));
        }
        let most = self.remembers(&question).unwrap_or_default();
        if span > most || span.is_zero() || answer == Answer::No {
            let why = match most.as_secs() {
                0 => "no yes is remembered here; see approvals.remember_seconds".to_owned(),
                most => format!("a yes is remembered for 1 to {most} seconds"),
            };
            return Err(Problem::new(Code::InvalidParams, why.clone()).field("remember_seconds", why));
        }
        let now = self.clock.now();
        let memory = Memory {
            question: id.into(),
            requester: question.approval.requester.clone(),
            by: by.clone(),
            sentence: question.sentence(),
            made_at: now,
            expires_at: now.plus(span),
            template: question.template.clone(),
        };
        self.answer(id, by, answer, Some(memory)).await
    }

    /// What is remembered, the oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn memories(&self) -> Result<Vec<Memory>, Problem> {
        let (most, now) = (self.most(), self.clock.now());
        let mut found = records::look(self.store.records(), every).await?;
        found.retain(|one| one.counts(most, now));
        found.sort_by(|one, other| (one.made_at, &one.question).cmp(&(other.made_at, &other.question)));
        Ok(found)
    }

    /// The yeses to this question are not remembered any more.
    ///
    /// # Errors
    /// `NoSuchQuestion` if none is; the store fails.
    pub async fn forget(&self, question: &str) -> Result<(), Problem> {
        let question = question.to_owned();
        let none = Problem::new(Code::NoSuchQuestion, format!("no yes to {question} is remembered"));
        let removed = remove(self.store.records(), move |one| *one.question == *question).await?;
        if removed == 0 { Err(none) } else { Ok(()) }
    }

    /// Nothing that a person of this name said counts any more, whichever authority had vouched for the name: yeses that are
    /// remembered, and votes for what has not been carried out.
    ///
    /// # Errors
    /// The store fails.
    pub async fn forget_of(&self, name: &str) -> Result<usize, Problem> {
        self.revoke(name).await?;
        let name = name.to_owned();
        remove(self.store.records(), move |one| is_of(&one.by, &name)).await
    }

    pub(super) fn most(&self) -> Duration {
        Duration::from_millis(self.remembers.load(Ordering::Relaxed))
    }
}

/// Gives a new question the votes that are remembered for it.
pub(super) fn recall(page: &dyn Page, stored: &mut Stored, most: Duration, now: Time) -> Result<(), Broken> {
    for one in of(page, &stored.template)?.into_iter().filter(|one| one.counts(most, now)) {
        let vote = Input::Approve { by: one.by.clone(), means: Means::Remembered };
        if let Ok((next, _)) = stored.approval.apply(&vote, now) {
            stored.approval = next;
            stored.receipts.push(json!({"by": &*one.by, "remembered": &*one.question}));
        }
    }
    Ok(())
}

/// Keeps a yes beside the question that it was said to; a no takes back those to the same request.
pub(super) fn keep(page: &dyn Page, stored: &Stored, memory: Option<&Memory>) -> Result<(), Broken> {
    if stored.approval.state == State::Denied {
        for one in of(page, &stored.template)? {
            page.remove(MEMORY, &key(&one))?;
        }
        return Ok(());
    }
    let Some(memory) = memory else { return Ok(()) };
    let record = Record {
        key: key(memory),
        group: Some(memory.template.clone()),
        value: serde_json::to_vec(memory).map_err(|_| Broken)?,
        expires_at: Some(memory.expires_at),
    };
    page.put(MEMORY, &record)
}

fn key(memory: &Memory) -> String {
    format!("{} {}", memory.question, memory.by)
}

fn of(page: &dyn Page, template: &str) -> Result<Vec<Memory>, Broken> {
    if template.is_empty() {
        return Ok(Vec::new());
    }
    Ok(page.group(MEMORY, template)?.iter().filter_map(read).collect())
}

fn read(record: &Record) -> Option<Memory> {
    serde_json::from_slice(&record.value).ok()
}

fn every(page: &dyn Page) -> Result<Vec<Memory>, Broken> {
    let (mut found, mut last) = (Vec::new(), String::new());
    loop {
        let rows = page.after(MEMORY, &last, PAGE)?;
        found.extend(rows.iter().filter_map(read));
        match rows.last() {
            Some(row) if rows.len() == PAGE => last.clone_from(&row.key),
            _ => return Ok(found),
        }
    }
}

async fn remove(records: &dyn Records, which: impl Fn(&Memory) -> bool + Send + 'static) -> Result<usize, Problem> {
    let removed = records::change(records, move |page| {
        let gone: Vec<Memory> = every(page)?.into_iter().filter(|one| which(one)).collect();
        for one in &gone {
            page.remove(MEMORY, &key(one))?;
        }
        Ok(gone.len())
    });
    removed.await
}
