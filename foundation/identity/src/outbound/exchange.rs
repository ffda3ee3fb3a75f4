//! Access tokens of a target's own authorization server for each caller (RFC 8693): the caller's token, or the gateway's word
//! for the caller, is exchanged for one that is good at that target and nowhere else.
//!
//! - What was got is kept for whoever came with the same token, or, by the gateway's word, for the same caller with the same
//!   scopes; never for anybody else. A bounded number is kept.
//! - The caller's token is sent to the configured token endpoint and is then forgotten: kept is a hash of it.
//! - Work that goes on without its caller uses what was got for the token that it was begun with, as long as that is valid.
//!   By the gateway's word it can get another one at any time.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use moongate_config::Secret;
use moongate_core::seam::credential::{Behalf, Credential, Shown};
use moongate_core::seam::{Clock, Dialer, Later};
use moongate_core::{Code, Mono, Problem, TaskId};
use parking_lot::Mutex;

use super::request::{Token, Wanted};
use super::slot::{Old, Slot};
use super::{TokenRequest, Voucher, ended, logged};

/// Tokens that are kept for one target.
const MOST: usize = 4096;
/// Tasks that may use them.
const MOST_TASKS: usize = 16_384;

/// By what a caller is known at the target's authorization server.
#[derive(Debug)]
pub enum Subject {
    /// By the access token that the caller came with.
    Token,
    /// By the gateway's word.
    Assertion(Voucher),
}

/// A hash of what a caller is known by.
type Name = [u8; 32];

/// Tokens for the callers of one target. Cheap to clone.
#[derive(Clone)]
pub struct TokenExchange(Arc<Inner>);

struct Inner {
    request: TokenRequest,
    subject: Subject,
    clock: Arc<dyn Clock>,
    dialer: Arc<dyn Dialer>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    slots: HashMap<Name, Arc<Slot>>,
    tasks: HashMap<TaskId, Name>,
}

/// What a token is asked for with; overwritten when it is no longer needed.
enum Evidence {
    Token(Secret),
    Caller { id: String, scope: String },
}

impl TokenExchange {
    /// Nothing is fetched before somebody asks.
    pub fn new(request: TokenRequest, subject: Subject, clock: Arc<dyn Clock>, dialer: Arc<dyn Dialer>) -> Self {
        Self(Arc::new(Inner { request, subject, clock, dialer, kept: Mutex::default() }))
    }

    /// By what this caller's token is kept.
    fn name(&self, on: &Behalf<'_>) -> Option<Name> {
        match (&self.0.subject, on.token, on.task) {
            (Subject::Assertion(_), ..) => Some(hashed(&["caller", on.id, &on.scopes.words().join(" ")])),
            (Subject::Token, Some(token), _) => Some(hashed(&["token", token.expose()])),
            (Subject::Token, None, Some(task)) => self.0.kept.lock().tasks.get(task).copied(),
            (Subject::Token, None, None) => None,
        }
    }

    /// What to ask with; nothing if the caller's token is not here.
    fn evidence(&self, on: &Behalf<'_>) -> Option<Evidence> {
        match (&self.0.subject, on.token) {
            (Subject::Assertion(_), _) => {
                Some(Evidence::Caller { id: on.id.to_owned(), scope: on.scopes.words().join(" ") })
            }
            (Subject::Token, Some(token)) => Some(Evidence::Token(Secret::new(token.expose()))),
            (Subject::Token, None) => None,
        }
    }

    /// The place of a caller's token; made, if there shall be one.
    fn slot(&self, name: &Name, make: bool) -> Option<Arc<Slot>> {
        let mut kept = self.0.kept.lock();
        if let Some(slot) = kept.slots.get(name) {
            return Some(slot.clone());
        }
        if !make {
            return None;
        }
        kept.make_room(self.0.clock.mono());
        Some(kept.slots.entry(*name).or_default().clone())
    }

    async fn fetch(&self, slot: Arc<Slot>, evidence: Evidence, old: Old) -> Result<Shown, Problem> {
        let this = self.clone();
        ended(tokio::spawn(async move {
            let inner = &*this.0;
            slot.fetch(&*inner.clock, old, || logged(&inner.request, this.ask(evidence))).await
        }))
        .await
    }

    async fn ask(&self, evidence: Evidence) -> Result<Token, Problem> {
        let inner = &*self.0;
        let now = inner.clock.now();
        let (subject, kind) = match (evidence, &inner.subject) {
            (Evidence::Token(token), _) => (token, "access_token"),
            (Evidence::Caller { id, scope }, Subject::Assertion(voucher)) => {
                let signed = voucher.sign(&id, &scope, &inner.request.url, now);
                let failed = || Problem::new(Code::CredentialUnavailable, "the gateway cannot sign for its caller");
                (Secret::new(signed.ok_or_else(failed)?), "jwt")
            }
            (Evidence::Caller { .. }, Subject::Token) => return Err(self.nobody(false)),
        };
        inner.request.send(&*inner.dialer, now, Wanted::Exchange { subject: subject.expose(), kind }).await
    }

    fn nobody(&self, gone: bool) -> Problem {
        let why = if gone {
            "the token that was got for the task's owner has run out, and the owner is not here with another one"
        } else {
            "the caller came without an access token"
        };
        let name = &self.0.request.name;
        Problem::new(Code::NoSubject, format!("the agent {name} wants a token for its caller, and {why}"))
    }
}

impl Kept {
    /// Room for one more: what no longer serves goes first, then what serves the shortest.
    fn make_room(&mut self, now: Mono) {
        if self.slots.len() < MOST {
            return;
        }
        self.slots.retain(|_, slot| slot.at_hand(now).is_some() || Arc::strong_count(slot) > 1);
        while self.slots.len() >= MOST {
            let ends = |slot: &Slot| slot.at_hand(now).map(|held| held.until);
            let Some(first) = self.slots.iter().min_by_key(|(_, slot)| ends(slot)).map(|(name, _)| *name) else {
                break;
            };
            self.slots.remove(&first);
        }
        self.forget(now);
    }

    /// Tasks whose token no longer serves have none.
    fn forget(&mut self, now: Mono) {
        let Self { slots, tasks } = self;
        tasks.retain(|_, name| slots.get(name).is_some_and(|slot| slot.at_hand(now).is_some()));
    }
}

fn hashed(parts: &[&str]) -> Name {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part.as_bytes());
        context.update(&[0]);
    }
    let mut name = [0; 32];
    name.copy_from_slice(context.finish().as_ref());
    name
}

impl Credential for TokenExchange {
    fn ready(&self, on: &Behalf<'_>) -> Option<Shown> {
        let slot = self.slot(&self.name(on)?, false)?;
        let now = self.0.clock.mono();
        let held = slot.at_hand(now)?;
        if slot.is_due(&held, now)
            && let Some(evidence) = self.evidence(on)
        {
            let (this, slot, old) = (self.clone(), slot.clone(), Old::Ends(held.shown.clone()));
            tokio::spawn(async move { this.fetch(slot, evidence, old).await.map(|_| ()) });
        }
        Some(held.shown.clone())
    }

    fn get<'a>(&'a self, on: &'a Behalf<'a>) -> Later<'a, Result<Shown, Problem>> {
        Box::pin(async move {
            if let Some(shown) = self.ready(on) {
                return Ok(shown);
            }
            let gone = on.task.is_some();
            let (Some(name), Some(evidence)) = (self.name(on), self.evidence(on)) else {
                return Err(self.nobody(gone));
            };
            let slot = self.slot(&name, true).ok_or_else(|| self.nobody(gone))?;
            self.fetch(slot, evidence, Old::None).await
        })
    }

    fn renewed<'a>(&'a self, on: &'a Behalf<'a>, refused: &'a Shown) -> Later<'a, Option<Shown>> {
        Box::pin(async move {
            let slot = self.slot(&self.name(on)?, false)?;
            let Some(evidence) = self.evidence(on) else {
                slot.drop_held(refused);
                return None;
            };
            let anew = self.fetch(slot, evidence, Old::Refused(refused.clone())).await;
            anew.ok().filter(|shown| shown != refused)
        })
    }

    fn prepare<'a>(&'a self, on: &'a Behalf<'a>) -> Later<'a, Result<(), Problem>> {
        Box::pin(async move {
            match self.0.subject {
                Subject::Token => self.get(on).await.map(|_| ()),
                Subject::Assertion(_) => Ok(()),
            }
        })
    }

    fn entrust(&self, on: &Behalf<'_>, task: &TaskId) {
        if !matches!(self.0.subject, Subject::Token) || on.token.is_none() {
            return;
        }
        let Some(name) = self.name(on) else { return };
        let now = self.0.clock.mono();
        let mut kept = self.0.kept.lock();
        if kept.tasks.len() >= MOST_TASKS {
            kept.forget(now);
        }
        if kept.tasks.len() < MOST_TASKS || kept.tasks.contains_key(task) {
            kept.tasks.insert(task.clone(), name);
        }
    }
}

#[cfg(test)]
mod tests;
