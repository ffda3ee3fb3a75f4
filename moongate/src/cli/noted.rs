//! What a command does by files, and belongs in the audit log all the same: the running gateway is asked to enter it, as nobody
//! else can write its log; if none runs, the command writes the line itself.
//!
//! The line is on the disk before anything is done; where that cannot be, nothing is done.

use std::sync::Arc;

use moongate_audit::Log;
use moongate_config::Config;
use moongate_core::entry::{Deed, Line};
use moongate_core::seam::Clock;
use moongate_core::{Code, Problem};
use moongate_telemetry::SystemClock;
use serde_json::Value;

use super::client::Client;
use super::run;
use crate::wire_up::record;

/// What is about to be done.
pub(super) enum Noted {
    /// The running gateway has entered it, or keeps no log.
    Elsewhere,
    /// It stands in the log that this command writes, and how it ended follows.
    Here(Log, Box<Deed>),
}

/// Enters in the log what is about to be done: `path` is where the running gateway takes it.
pub(super) fn note(config: &Config, operation: &'static str, target: &str, path: &str) -> Result<Noted, Problem> {
    let asked = Client::of(config).and_then(|client| client.api("POST", path, None::<&Value>));
    match asked {
        Ok(_) => Ok(Noted::Elsewhere),
        // Another gateway may listen where this one would, and does not know this operator.
        Err(problem)
            if matches!(
                problem.code,
                Code::GatewayUnreachable | Code::Unauthenticated | Code::Forbidden | Code::NoSuchPath
            ) =>
        {
            here(config, operation, target).map_err(|own| if own.code == Code::AuditLocked { problem } else { own })
        }
        Err(problem) => Err(problem),
    }
}

/// The same where no gateway runs that could be asked.
pub(super) fn here(config: &Config, operation: &'static str, target: &str) -> Result<Noted, Problem> {
    if !record::is_on(config) {
        return Ok(Noted::Elsewhere);
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let log = Log::open(&record::place(config), clock.clone())?;
    let deed = Deed {
        operation: operation.into(),
        source: "operator".into(),
        domain: config.domain.as_str().into(),
        address: None,
        target: target.into(),
        result: "intended",
        code: None,
        detail: None,
        about: None,
        intent: None,
        at: clock.now(),
    };
    let intent = run::runtime()?.block_on(log.intend(Line::Deed(deed.clone())))?;
    Ok(Noted::Here(log, Box::new(Deed { intent: Some(intent), ..deed })))
}

impl Noted {
    /// How it ended.
    pub(super) fn ended<T>(self, result: Result<T, Problem>) -> Result<T, Problem> {
        if let Self::Here(log, deed) = self {
            let code = result.as_ref().err().map(|problem| problem.code);
            let result = if code.is_none() { "done" } else { "failed" };
            log.record(Line::Deed(Deed { result, code, at: SystemClock.now(), ..*deed }));
            log.close();
        }
        result
    }
}
