//! The stage *record*: one entry for each request, opened before anything else and closed when it has ended, however it
//! ended.
//!
//! - What policy calls sensitive is in the record before it is carried out, and durable there: a request of another domain,
//!   and one for a skill that opens or burns something. If that cannot be, it is refused.
//! - Everything else is handed over when it has ended, and waits for nothing, unless the record is so far behind that
//!   requests have to wait before they begin.
//! - A caller who goes away leaves an entry too.

use std::sync::{Arc, LazyLock};

use moongate_core::entry::{Intent, Line};
use moongate_core::seam::TraceContext;
use moongate_core::{Entry, Envelope, Mono, Problem, Resolved, Target, TaskId};

use crate::pipeline::{Flow, Trail};

/// The entry of a request that has not ended, and the way that it took so far.
pub(crate) struct Draft<'f> {
    flow: &'f Flow,
    /// Gone once it is recorded, or if nothing shall be.
    entry: Option<Entry>,
    trace: Option<TraceContext>,
    began: Mono,
    intent: Option<Intent>,
    pub(crate) trail: Trail,
}

impl<'f> Draft<'f> {
    pub(crate) fn open(flow: &'f Flow, envelope: &Envelope, records: bool) -> Self {
        static NOBODY: LazyLock<Arc<str>> = LazyLock::new(|| "-".into());
        let nobody = NOBODY.clone();
        let entry = records.then(|| Entry {
            request: envelope.id.clone(),
            source: nobody.clone(),
            domain: nobody.clone(),
            address: envelope.arrival.remote.ip().to_canonical(),
            target: nobody.clone(),
            instance: nobody.clone(),
            skill: None,
            task: envelope.head.task.clone(),
            operation: envelope.head.operation,
            listener: envelope.arrival.listener,
            result: "abandoned",
            code: None,
            rule: nobody.clone(),
            cleared_by: nobody,
            intent: None,
            at: flow.clock.now(),
            took: std::time::Duration::ZERO,
        });
        let (trace, began) = (envelope.trace, envelope.arrival.at);
        Self { flow, entry, trace, began, intent: None, trail: Trail::default() }
    }

    /// Waits while the record is too far behind.
    pub(crate) async fn room(&self) -> Result<(), Problem> {
        match self.entry.as_ref().and_then(|_| self.flow.recorder.room()) {
            Some(room) => room.await,
            None => Ok(()),
        }
    }

    /// Before *dispatch*: what is sensitive is in the record first.
    pub(crate) async fn intend(&mut self, resolved: &Resolved) -> Result<(), Problem> {
        if !self.is_sensitive(resolved) {
            return Ok(());
        }
        let Some(entry) = &self.entry else { return Ok(()) };
        let mut entry = Entry { result: "intended", ..entry.clone() };
        self.fill(&mut entry);
        let line = Line::Request(entry, self.trace.map(|trace| trace.trace_id));
        if let Some(intended) = self.flow.recorder.intend(line) {
            self.intent = Some(intended.await?);
        }
        Ok(())
    }

    fn is_sensitive(&self, resolved: &Resolved) -> bool {
        let home = self.flow.meter.home();
        self.trail.principal.as_ref().is_some_and(|who| *who.domain != *home)
            || resolved.meanings.iter().any(|meaning| meaning.effects.guarded)
    }

    /// A task came of it.
    pub(crate) fn made(&mut self, task: Option<TaskId>) {
        if let (Some(entry), Some(task)) = (&mut self.entry, task) {
            entry.task = Some(task);
        }
    }

    /// The request has ended.
    pub(crate) fn close(mut self, result: Result<&'static str, &Problem>) -> Trail {
        if let Some(entry) = &mut self.entry {
            match result {
                Ok(_) if self.trail.asked_by.is_some() => entry.result = "asked",
                Ok(word) => entry.result = word,
                Err(problem) => {
                    (entry.result, entry.code) = ("failed", Some(problem.code));
                    if let Some(inside) = &problem.inside {
                        let target = self.trail.route.as_ref().map_or("-", |route| agent(&route.target));
                        tracing::warn!(request = %entry.request, code = %problem.code, target, inside, "{}", problem.detail);
                    }
                }
            }
        }
        self.record();
        std::mem::take(&mut self.trail)
    }

    fn fill(&self, entry: &mut Entry) {
        if let Some(who) = &self.trail.principal {
            entry.source = who.id.clone();
            entry.domain = who.domain.clone();
        }
        if let Some(resolved) = &self.trail.resolved {
            entry.rule = resolved.rule.clone();
            entry.skill = resolved.skill.clone();
        }
        if let Some(rule) = self.trail.cleared_by.as_ref().or(self.trail.asked_by.as_ref()) {
            entry.cleared_by = rule.clone();
        }
        if let Some(Target::Agent { agent, instance }) = self.trail.route.as_ref().map(|route| &route.target) {
            entry.target = agent.shared();
            entry.instance = instance.shared();
        }
    }

    fn record(&mut self) {
        let Some(mut entry) = self.entry.take() else { return };
        self.fill(&mut entry);
        entry.intent = self.intent;
        entry.took = self.flow.clock.mono() - self.began;
        self.flow.recorder.record(entry, self.trace.as_ref());
    }
}

/// A request whose caller went away is dropped where it stands.
impl Drop for Draft<'_> {
    fn drop(&mut self) {
        self.record();
    }
}

fn agent(target: &Target) -> &str {
    match target {
        Target::Agent { agent, .. } => agent.as_str(),
        Target::Here => "-",
    }
}
